/* cli/cmd_config_live.c: a running webhookd's configuration: beside its file (diff), and taken over from
 * there (reload); how much it logs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/filter.h"
#include "cli/out.h"
#include "cli/running_conf.h"
#include "engine/api.h"
#include "policy/conf.h"

/* Looking for the daemon where the file says: it may still be where the file said before. */
static int ask(struct cli *cli, const char *path, json_t *body, struct answer *a)
{
    int rc = client_ask_daemon(cli, path, body, a);

    if (rc == CLI_UNREACHABLE)
        out_note("(if listen.socket in %s was changed, webhookd still listens at the old path: "
                 "restart it, or give a copy of the old file with -c)",
                 cli->config_file);
    return rc;
}

/* ---- diff ---- */
static void diff_row(void *arg, const char *key, const char *now, const char *next, bool reloadable)
{
    json_array_append_new(arg, json_pack("{s:s,s:s?,s:s?,s:b,s:s}", "key", key, "running", now,
                                         "file", next, "reloadable", reloadable, "takes_effect",
                                         reloadable ? "at reload" : "needs a restart"));
}

static int file_read(const char *file, struct conf **out)
{
    struct buf problems;

    buf_init(&problems, (size_t)1 << 20);
    enum err_code rc = conf_load(out, file, &problems);

    if (rc != OK)
        fputs(problems.data ? problems.data : "", stderr);
    buf_fini(&problems);
    return rc == OK ? 0 : CLI_CONFIG;
}

/* own: the file that webhookd would read itself. */
static void diff_print(struct cli *cli, const char *file, const char *own, const json_t *rows)
{
    static const struct out_column columns[] = {{"KEY", "key", OUT_TEXT},
                                                {"RUNNING", "running", OUT_LONG},
                                                {"FILE", "file", OUT_LONG},
                                                {"TAKES EFFECT", "takes_effect", OUT_TEXT},
                                                OUT_COLUMNS_END};
    size_t i, restarts = 0, n = json_array_size(rows);
    json_t *row;

    if (cli->format == OUT_JSON) {
        json_t *whole = json_pack("{s:O,s:n,s:s}", "items", rows, "next_cursor", "file", file);

        out_json(whole, false);
        json_decref(whole);
    }
    struct out_table *t = cli->format == OUT_TABLE ? out_table_new(cli, columns) : NULL;

    json_array_foreach(rows, i, row)
    {
        restarts += json_is_false(json_object_get(row, "reloadable"));
        if (cli->format == OUT_JSONL)
            out_json(row, true);
        else if (cli->format == OUT_ID)
            puts(out_string(row, "key"));
        else if (t != NULL)
            out_table_row(t, row);
    }
    out_table_print(t);
    if (n == 0)
        out_note("webhookd runs with what is in %s", file);
    else if (restarts > 0)
        out_note("%s of %s need a restart of webhookd, and until then nothing of it can be "
                 "reloaded",
                 TEXT_COUNTED(restarts), TEXT_COUNTED(n));
    else if (own != NULL && strcmp(file, own) != 0)
        out_note("webhookd reads %s: put it there, then webhookctl config reload", own);
    else
        out_note("Next: webhookctl config reload");
}

/* The one key that can be something else without a file. */
static void level_print(struct cli *cli)
{
    struct answer a;

    if (client_ask_daemon(cli, "/api/v1/log", NULL, &a) != 0)
        return;
    const char *now = out_string(a.json, "level"), *was = out_string(a.json, "configured");

    if (now != NULL && was != NULL && strcmp(now, was) != 0)
        out_note("log.level is %s for now, by webhookctl log level; configured is %s, which a "
                 "reload or a restart brings back",
                 now, was);
    answer_fini(&a);
}

static int config_diff(struct cli *cli, const char *named, size_t *n)
{
    struct conf *running = NULL, *file = NULL;
    json_t *rows = json_array();
    struct answer a;
    int rc = ask(cli, "/api/v1/config", NULL, &a);

    if (rc != 0) {
        if (rc == CLI_UNREACHABLE)
            out_note(
                "Nothing runs that a file could be compared with. What a file sets, and what is "
                "left as it is: webhookctl config show --origin");
        json_decref(rows);
        return rc;
    }
    rc = client_judge(cli, &a, CLI_INTERNAL);
    const char *path = named ? named : out_string(a.json, "file");

    if (rc == 0 && (path == NULL || !json_is_object(json_object_get(a.json, "config"))))
        rc = client_unreadable(cli, &a);
    if (rc == 0)
        rc = running_conf(cli, a.json, &running);
    if (rc == 0)
        rc = file_read(path, &file);
    if (rc == 0) {
        *n = conf_diff(running, file, diff_row, rows);
        diff_print(cli, path, out_string(a.json, "file"), rows);
        level_print(cli);
    }
    answer_fini(&a);
    json_decref(rows);
    conf_free(running);
    conf_free(file);
    return rc;
}

int cmd_config_diff(struct cli *cli)
{
    size_t n = 0;
    int rc = config_diff(cli, cli->args->words_n > 0 ? cli->args->words[0] : NULL, &n);

    return rc != 0 ? rc : n > 0 ? CLI_NO : CLI_OK;
}

/* ---- reload ---- */
static void details_print(const struct cli *cli, const json_t *answer)
{
    const json_t *line;
    size_t i;

    if (cli->format != OUT_TABLE && cli->format != OUT_ID)
        return; /* they are in the error object */
    json_array_foreach(out_member(answer, "error.details"), i, line)
        out_note("%s", json_string_value(line));
}

static void reloaded_print(struct cli *cli, const struct answer *a)
{
    const json_t *rows = json_object_get(a->json, "changed"), *row;
    size_t i;

    if (cli->format == OUT_JSON || cli->format == OUT_JSONL) {
        out_json_raw(a->raw.data, a->raw.len);
        return;
    }
    json_array_foreach(rows, i, row)
    {
        if (cli->format == OUT_ID) {
            puts(out_string(row, "key"));
            continue;
        }
        const char *now = out_string(row, "running"), *next = out_string(row, "file");
        struct buf line;

        buf_init(&line, (size_t)256 << 10);
        buf_addf(&line, "%s: %s -> %s", out_string(row, "key"), now ? now : "(none)",
                 next ? next : "(none)");
        out_escaped(line.data ? line.data : "", line.len, "");
        buf_fini(&line);
    }
    out_note("%s is taken over: %s value%s changed", out_string(a->json, "path"),
             TEXT_COUNTED(json_array_size(rows)), json_array_size(rows) == 1 ? "" : "s");
}

int cmd_config_reload(struct cli *cli)
{
    struct answer a;
    size_t n = 0;

    if (cli_flag(cli, FLAG_DRY_RUN) != NULL) {
        int rc = config_diff(cli, NULL, &n);

        if (rc == 0)
            out_note("Nothing was changed.");
        return rc;
    }
    int rc = ask(cli, "/api/v1/config/reload", json_object(), &a);

    if (rc != 0)
        return rc;
    rc = a.status >= 200 && a.status < 300 ? 0 : CLI_NO;
    if (rc != 0) {
        details_print(cli, a.json);
        rc = client_judge(cli, &a, CLI_CONFIG);
    } else {
        reloaded_print(cli, &a);
    }
    answer_fini(&a);
    return rc;
}

/* ---- log level ---- */
static const struct out_column level_fields[] = {{"Level", "level", OUT_TEXT},
                                                 {"Configured", "configured", OUT_TEXT},
                                                 {"Until", "until", OUT_TIME},
                                                 OUT_COLUMNS_END};

int cmd_log_level(struct cli *cli)
{
    const char *level = cli->args->words_n > 0 ? cli->args->words[0] : NULL;
    int64_t for_ms = 0;
    struct answer a;
    json_t *body = NULL;
    int rc = filter_for(cli, API_LOG_FOR_MAX_MS, &for_ms);

    if (rc == 0 && level == NULL && cli_flag(cli, FLAG_FOR) != NULL)
        rc = out_fail(cli, CLI_USAGE, "usage", "--for needs a level: log level debug --for 10m");
    if (rc != 0)
        return rc;
    if (level != NULL)
        body = json_pack("{s:s,s:o*}", "level", level, "for_seconds",
                         for_ms > 0 ? json_real((double)for_ms / 1000.0) : NULL);
    rc = ask(cli, "/api/v1/log", body, &a);
    if (rc != 0)
        return rc;
    rc = client_judge(cli, &a, CLI_USAGE);
    if (rc == 0) {
        if (cli->format == OUT_ID)
            puts(out_string(a.json, "level"));
        else if (cli->format != OUT_TABLE)
            out_json_raw(a.raw.data, a.raw.len);
        else if (level == NULL || cli_flag(cli, FLAG_DRY_RUN) == NULL)
            out_fields(cli, a.json, level_fields);
        if (level != NULL)
            out_done(cli, "the log's level is %s%s%s", level, for_ms > 0 ? " for " : "",
                     for_ms > 0 ? cli_flag(cli, FLAG_FOR)
                                : " until a reload or a restart; --for DUR goes back by itself");
    }
    answer_fini(&a);
    return rc;
}
