/* cli/cmd_dlq_restore.c: dlq restore, which takes a purge back, and dlq note. */
#include <stdio.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/job_run.h"
#include "cli/object.h"
#include "cli/out.h"

/* ---- restore ---- */

static int restore_preview(struct cli *cli, const char *job, struct answer *a)
{
    json_t *body =
        json_pack("{s:s,s:b,s:s*}", "job", job, "dry_run", 1, "note", cli_flag(cli, FLAG_NOTE));

    return client_call_json(cli, "POST", "/api/v1/dead-letters/restore", body, a);
}

static int restore_do(struct cli *cli, const char *job, int64_t count)
{
    const char *note = cli_flag(cli, FLAG_NOTE);
    struct job_run w;
    json_t *body = json_pack("{s:s}", "job", job);

    if (note != NULL)
        json_object_set_new(body, "note", json_string(note));
    int rc = job_run_start(cli, "/api/v1/dead-letters/restore", body, &w);

    if (w.id[0] == '\0')
        return rc;
    if (out_is_json(cli))
        printf("{\"count\":%lld,\"restored\":%lld,\"job\":\"%s\",\"dry_run\":false}\n",
               (long long)count, (long long)w.done, w.id);
    else if (cli->format == OUT_ID)
        puts(w.id);
    if (!w.over)
        return rc;
    out_note("restored %s dead letter%s. Next: webhookctl dlq summary", TEXT_COUNTED(w.done),
             w.done == 1 ? "" : "s");
    if (w.done < w.selected)
        out_note(
            "%s could not be: they were sent or imported again meanwhile, their time was over, "
            "or the job was cancelled",
            TEXT_COUNTED(w.selected - w.done));
    return rc;
}

int cmd_dlq_restore(struct cli *cli)
{
    const char *job = cli->args->words[0];
    struct answer a;
    char size[32];
    int rc = job_run_flags(cli);

    if (rc == 0)
        rc = restore_preview(cli, job, &a);

    if (rc != 0)
        return rc;
    int64_t count = out_integer(a.json, "count");
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    const char *until = out_string(a.json, "recoverable_until");

    text_size(size, sizeof size, out_integer(a.json, "payload_bytes"));
    if (dry && out_is_json(cli))
        printf("{\"count\":%lld,\"restored\":0,\"job\":null,\"dry_run\":true}\n", (long long)count);
    if (dry)
        out_note("Would restore %s dead letter%s, %s; recoverable until %s. Nothing was changed.",
                 TEXT_COUNTED(count), count == 1 ? "" : "s", size, until ? until : "-");
    answer_fini(&a);
    return dry ? CLI_OK : restore_do(cli, job, count);
}

/* ---- note ---- */

int cmd_dlq_note(struct cli *cli)
{
    const char *text = cli->args->words[1];
    json_t *body = json_object();

    json_object_set_new(body, "note", *text ? json_string(text) : json_null());
    return object_command(cli, "PATCH", "dead-letters", cli->args->words[0], NULL, body, NULL,
                          *text ? "has that note now" : "has no note now");
}
