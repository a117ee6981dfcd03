/* cli/cmd_doctor.c: doctor: runs the checks and prints their rows; see doctor.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/out.h"
#include "store/backend.h"

/* Every mistake of the file is a row; without a configuration there is nothing else to look at. */
static void conf_mistakes(struct doctor *d)
{
    struct buf problems;
    struct conf *conf = NULL;

    buf_init(&problems, (size_t)1 << 20);
    if (conf_load(&conf, d->cli->config_file, &problems) == OK) {
        d->cli->conf = conf;
        doctor_say(d, "configuration", DOCTOR_OK, NULL, "%s is valid", d->cli->config_file);
    }
    for (char *at = problems.data; at != NULL && *at;) {
        size_t n = strcspn(at, "\n");

        doctor_say(d, "configuration", DOCTOR_FAIL, "correct the file; webhookctl config check",
                   "%.*s", (int)n, at);
        at += n + (at[n] == '\n');
    }
    buf_fini(&problems);
}

/* An outbox without a name is called by its path, which stands under SEEN too: here the file will do. */
static void row_print(struct out_table *t, const json_t *item)
{
    const char *check = out_string(item, "check"), *slash = check ? strrchr(check, '/') : NULL;
    json_t *row = json_copy((json_t *)(uintptr_t)item);
    char name[128];

    if (slash != NULL && strncmp(check, "outbox ", strlen("outbox ")) == 0) {
        snprintf(name, sizeof name, "outbox %s", slash + 1);
        json_object_set_new(row, "check", json_string(name));
    }
    out_table_row(t, row);
    json_decref(row);
}

static void print(struct doctor *d)
{
    static const struct out_column columns[] = {{"CHECK", "check", OUT_WRAP},
                                                {"RESULT", "result", OUT_STATE},
                                                {"SEEN", "detail", OUT_WRAP},
                                                OUT_COLUMNS_END};
    const struct cli *cli = d->cli;
    struct out_table *t = cli->format == OUT_TABLE ? out_table_new(cli, columns) : NULL;
    const json_t *item;
    size_t i;

    if (cli->format == OUT_JSON) {
        json_t *whole = json_pack("{s:O,s:n}", "items", d->items, "next_cursor");

        out_json(whole, false);
        json_decref(whole);
    }
    json_array_foreach(d->items, i, item)
    {
        if (t != NULL)
            row_print(t, item);
        else if (cli->format == OUT_JSONL)
            out_json(item, true);
        else if (cli->format == OUT_ID && strcmp(out_string(item, "result"), "fail") == 0)
            puts(out_string(item, "check"));
    }
    out_table_print(t);
    if (t == NULL)
        return;
    json_array_foreach(d->items, i, item)
    {
        const char *result = out_string(item, "result"), *fix = out_string(item, "fix");

        if (fix == NULL || strcmp(result, "ok") == 0)
            continue;
        /* a table that fits its terminal has cut what is wrong, perhaps in the middle of the reason */
        if (cli->out_tty && strcmp(result, "fail") == 0)
            out_note("%s: %s\n  %s", out_string(item, "check"), out_string(item, "detail"), fix);
        else
            out_note("%s: %s", out_string(item, "check"), fix);
    }
    if (d->failed > 0)
        out_note("%d check%s failed.", d->failed, d->failed == 1 ? "" : "s");
    else if (d->warned > 0)
        out_note("Nothing fails; %d warning%s.", d->warned, d->warned == 1 ? "" : "s");
    else
        out_note("Nothing is wrong.");
}

int cmd_doctor(struct cli *cli)
{
    struct doctor d = {.cli = cli, .items = json_array(), .user = (uid_t)-1};
    const char *const *names = (const char *const *)cli->args->words;
    bool named = cli->args->words_n > 0;
    int rc = 0;

    conf_mistakes(&d);
    if (cli->conf != NULL) {
        doctor_daemon(&d);
        if (!named) {
            doctor_files(&d);
            doctor_machine(&d);
            doctor_outboxes(&d);
        }
        /* Asking a store that is not there would make one. */
        if (d.listens || named || !backend_is_new(cli->conf->store_url))
            rc = doctor_endpoints(&d, names, cli->args->words_n,
                                  named || cli_flag(cli, FLAG_ENDPOINTS) != NULL);
        if (rc != 0 && !named) { /* the store cannot be asked: that is a finding like others */
            doctor_say(&d, "endpoints", DOCTOR_UNSEEN, NULL, "the subscriptions cannot be read");
            rc = 0;
        }
    }
    if (rc == 0)
        print(&d);
    json_decref(d.status);
    json_decref(d.items);
    return rc != 0 ? rc : d.failed > 0 ? CLI_NO : CLI_OK;
}
