/* cli/cmd_doctor.c: doctor: runs the checks and prints their rows; see doctor.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/out.h"
#include "cli/running_conf.h"
#include "store/backend.h"

/* By what a running webhookd has all the rest can be looked at, whatever its file says by now. */
static void conf_of_running(struct doctor *d)
{
    struct cli *cli = d->cli;
    struct client_request r = {
        .method = "GET", .path = "/api/v1/config", .daemon_only = true, .quiet = true};
    struct conf *conf = NULL;
    struct answer a;

    if (client_send(cli, &r, &a) != 0)
        return;
    if (a.status == 200 && running_conf(cli, a.json, &conf) == 0) {
        cli->conf = conf;
        doctor_say(
            d, "running configuration", DOCTOR_OK, NULL,
            "what follows is seen by what webhookd runs with since its start or last reload");
    }
    answer_fini(&a);
}

/* Every mistake of the file is a row; without a configuration there is nothing else to look at. */
static void conf_mistakes(struct doctor *d)
{
    const char *file = d->cli->config_file;
    struct buf problems;
    struct conf *conf = NULL;

    buf_init(&problems, (size_t)1 << 20);
    if (conf_load(&conf, file, &problems) == OK) {
        d->cli->conf = conf;
        doctor_say(d, "configuration", DOCTOR_OK, NULL, "%s is valid", file);
    } else if (access(file, R_OK) != 0 && errno == EACCES) {
        doctor_say(d, "configuration", DOCTOR_UNSEEN, DOCTOR_AS_WHOM, "%s: %s", file,
                   errno_text(EACCES));
        buf_clear(&problems);
    }
    bool mistaken = problems.len > 0;

    for (char *at = problems.data; mistaken && *at;) {
        size_t n = strcspn(at, "\n");

        doctor_say(d, "configuration", DOCTOR_FAIL, "correct the file; webhookctl config check",
                   "%.*s", (int)n, at);
        at += n + (at[n] == '\n');
    }
    buf_fini(&problems);
    char *path = mistaken ? conf_socket(file) : NULL;

    if (path != NULL)
        d->cli->socket = path; /* known, without the warning that the rows are already */
    if (path != NULL)
        conf_of_running(d);
}

/* An outbox without a name is called by its path, which stands under SEEN too: here the file will do. */
static void row_print(struct out_table *t, const json_t *item)
{
    const char *check = out_string(item, "check"), *slash = check ? strrchr(check, '/') : NULL;
    json_t *row = json_copy((json_t *)(uintptr_t)item);
    char name[128];

    if (slash != NULL && strncmp(check, "outbox ", strlen("outbox ")) == 0) {
        snprintf(name, sizeof name, "%.*s%s", (int)strcspn(check, "/"), check, slash + 1);
        json_object_set_new(row, "check", json_string(name));
    }
    out_table_row(t, row);
    json_decref(row);
}

/* What was not looked at is no proof of health. */
static void end_print(const struct doctor *d)
{
    char unseen[128] = "";

    if (d->unseen > 0)
        snprintf(unseen, sizeof unseen, "%d check%s could not be made: " DOCTOR_AS_WHOM ".",
                 d->unseen, d->unseen == 1 ? "" : "s");
    if (d->failed > 0)
        out_note("%d check%s failed.%s%s", d->failed, d->failed == 1 ? "" : "s", *unseen ? " " : "",
                 unseen);
    else if (d->unseen > 0)
        out_note("%s", unseen);
    else if (d->warned > 0)
        out_note("Nothing fails; %d warning%s.", d->warned, d->warned == 1 ? "" : "s");
    else
        out_note("Nothing is wrong.");
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
    end_print(d);
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
            doctor_modes(&d);
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
    return rc != 0 ? rc : d.failed > 0 ? CLI_NO : d.unseen > 0 ? CLI_DENIED : CLI_OK;
}
