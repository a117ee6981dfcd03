/* cli/cmd_config.c: the configuration: checked, shown, explained. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/list.h"
#include "cli/out.h"
#include "policy/conf.h"

int cmd_config_check(struct cli *cli)
{
    if (cli->args->words_n > 0)
        cli->config_file = cli->args->words[0];
    int rc = cli_conf(cli);

    if (rc != 0)
        return rc;
    if (out_is_json(cli)) {
        json_t *json = json_pack("{s:o,s:b}", "file", out_path(cli->config_file), "valid", 1);

        out_json(json, cli->format == OUT_JSONL);
        json_decref(json);
    }
    out_note("configuration %s is valid", cli->config_file);
    return CLI_OK;
}

/* ---- show ---- */
struct origins {
    const struct cli *cli;
    json_t *items;
};

static void origin_row(void *arg, const char *key, const char *value, int line)
{
    struct origins *o = arg;
    json_t *row = json_pack("{s:s,s:s,s:s,s:o,s:o}", "key", key, "value", value, "origin",
                            line > 0 ? "file" : "default", "file",
                            line > 0 ? out_path(o->cli->config_file) : json_null(), "line",
                            line > 0 ? json_integer(line) : json_null());
    struct buf words;

    if (o->cli->format == OUT_TABLE) {
        const char *slash = strrchr(o->cli->config_file, '/');

        buf_init(&words, 8192);
        buf_adds(&words, line <= 0 ? "default" : slash ? slash + 1 : o->cli->config_file);
        if (line > 0)
            buf_addf(&words, ":%d", line);
        json_object_set_new(row, "from", out_path(words.data ? words.data : "?"));
        buf_fini(&words);
    }
    json_array_append_new(o->items, row);
}

/* Nothing but the file sets a value; which file, somebody or something has said. */
static int origins_print(struct cli *cli)
{
    static const struct out_column columns[] = {{"KEY", "key", OUT_TEXT},
                                                {"VALUE", "value", OUT_WRAP},
                                                {"FROM", "from", OUT_TEXT},
                                                OUT_COLUMNS_END};
    struct origins o = {.cli = cli, .items = json_array()};

    conf_origins(cli->conf, origin_row, &o);
    int rc = list_array(cli, o.items, "key", columns, "No keys.");

    json_decref(o.items);
    if (rc == 0 && cli->format == OUT_TABLE)
        out_note("%s: %s", cli->config_file,
                 cli_flag(cli, FLAG_CONFIG) != NULL ? "named by -c"
                 : getenv("WEBHOOKD_CONFIG") != NULL && *getenv("WEBHOOKD_CONFIG")
                     ? "named by WEBHOOKD_CONFIG in the environment"
                     : "the standard place; -c and WEBHOOKD_CONFIG name others");
    return rc;
}

int cmd_config_show(struct cli *cli)
{
    struct buf text;
    int rc = cli_conf(cli);

    if (rc == 0 && cli_flag(cli, FLAG_ORIGIN) != NULL)
        return origins_print(cli);
    if (rc != 0)
        return rc;
    buf_init(&text, (size_t)1 << 20);
    conf_show(cli->conf, out_is_json(cli), &text);
    if (cli->format == OUT_JSONL) {
        json_t *json = json_loadb(text.data ? text.data : "", text.len, 0, NULL);

        buf_clear(&text);
        out_json(json, true);
        json_decref(json);
    }
    if (text.len > 0)
        fwrite(text.data, 1, text.len, stdout);
    if (text.len > 0 && text.data[text.len - 1] != '\n')
        putchar('\n');
    buf_fini(&text);
    return CLI_OK;
}

/* conf_reference() gives one line a key with tabs between its columns. */
int cmd_config_reference(struct cli *cli)
{
    static const char *const names[] = {"key", "type", "default", "reloadable", "help"};
    static const struct out_column columns[] = {
        {"KEY", "key", OUT_LONG},         {"TYPE", "type", OUT_TEXT},
        {"DEFAULT", "default", OUT_TEXT}, {"RELOAD", "reloadable", OUT_TEXT},
        {"HELP", "help", OUT_TEXT},       OUT_COLUMNS_END};
    struct buf text;
    json_t *items = json_array();

    buf_init(&text, (size_t)1 << 20);
    conf_reference(&text);
    for (char *at = text.data; at != NULL && *at;) {
        size_t line = strcspn(at, "\n");
        char *next = at + line + (at[line] == '\n');
        json_t *row = json_object();

        at[line] = '\0';
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            size_t n = strcspn(at, "\t");

            json_object_set_new(row, names[i], json_stringn(at, n));
            at += n + (at[n] == '\t');
        }
        json_array_append_new(items, row);
        at = next;
    }
    int rc = list_array(cli, items, "key", columns, "No keys.");

    json_decref(items);
    buf_fini(&text);
    return rc;
}
