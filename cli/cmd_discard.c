/* cli/cmd_discard.c: delivery discard: what is open is given up: count, question, then a job. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/job_run.h"
#include "cli/out.h"

struct discard {
    struct filter_flags f;
    int64_t count, in_flight;
    struct job_run job;
};

static int preview(struct cli *cli, struct discard *d)
{
    struct answer a;
    int64_t as_of_ms;
    json_t *body = json_pack("{s:O,s:s*}", "filter", d->f.json, "note", cli_flag(cli, FLAG_NOTE));
    int rc = client_call_json(cli, "POST", "/api/v1/deliveries/discard/preview", body, &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    const char *as_of = out_string(a.json, "as_of");

    d->count = out_integer(a.json, "count");
    d->in_flight = out_integer(a.json, "in_flight");
    filter_answered(&d->f, a.json);
    if (as_of != NULL && text_parse_time(as_of, &as_of_ms))
        filter_until(&d->f, as_of_ms + 1); /* what comes in later was not seen by anybody */
    answer_fini(&a);
    return 0;
}

static void what_text(const struct discard *d, char *out, size_t room)
{
    snprintf(out, room, "%s open deliver%s", TEXT_COUNTED(d->count), d->count == 1 ? "y" : "ies");
}

static void sending_text(const struct discard *d, char *out, size_t room)
{
    *out = '\0';
    if (d->in_flight > 0)
        snprintf(out, room, " %s %s being sent just now: that attempt ends, and is the last one.",
                 TEXT_COUNTED(d->in_flight), d->in_flight == 1 ? "is" : "are");
}

static void result_print(const struct cli *cli, const struct discard *d, bool dry)
{
    if (cli->format == OUT_ID && d->job.id[0])
        puts(d->job.id);
    if (!out_is_json(cli))
        return;
    json_t *json = json_pack("{s:I,s:I,s:I,s:s?,s:b}", "matched", (json_int_t)d->count, "in_flight",
                             (json_int_t)d->in_flight, "discarded", (json_int_t)d->job.done, "job",
                             d->job.id[0] ? d->job.id : NULL, "dry_run", dry);

    out_json(json, cli->format == OUT_JSONL);
    json_decref(json);
}

static void report(const struct discard *d)
{
    if (!d->job.over)
        return;
    out_note("discarded %s deliver%s", TEXT_COUNTED(d->job.done), d->job.done == 1 ? "y" : "ies");
    if (d->job.done < d->job.selected)
        out_note("%s of them were delivered or dead before their turn came, or the job was "
                 "cancelled: webhookctl job show %s",
                 TEXT_COUNTED(d->job.selected - d->job.done), d->job.id);
}

static int discard(struct cli *cli, struct discard *d)
{
    char what[64], sending[120], question[320];
    const char *note = cli_flag(cli, FLAG_NOTE);

    what_text(d, what, sizeof what);
    sending_text(d, sending, sizeof sending);
    if (cli_flag(cli, FLAG_DRY_RUN) != NULL) {
        result_print(cli, d, true);
        out_note("Would discard %s.%s Nothing was changed.", what, sending);
        return CLI_OK;
    }
    snprintf(question, sizeof question,
             "Discard %s? They are not sent, and cannot be brought back.%s [y/N] ", what, sending);
    int rc = cli_confirm(cli, question);

    if (rc != 0)
        return rc;
    json_t *body = json_pack("{s:O,s:s*}", "filter", d->f.json, "note", note);

    rc = job_run_start(cli, "/api/v1/deliveries/discard", body, &d->job);
    if (d->job.id[0]) {
        result_print(cli, d, false);
        report(d);
    }
    return rc;
}

int cmd_delivery_discard(struct cli *cli)
{
    struct discard d = {.count = 0};
    size_t limit;
    int rc = job_run_flags(cli);

    if (rc == 0)
        rc = filter_flags_read(cli, &d.f);

    if (rc == 0 && !d.f.any)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "delivery discard: name ids or a filter, or say --all; see webhookctl help "
                      "filters");
    if (rc == 0)
        rc = filter_limit(cli, SIZE_MAX, &limit);
    if (rc == 0 && limit != SIZE_MAX)
        rc = filter_to_ids(cli, &d.f, limit);
    if (rc == 0)
        rc = preview(cli, &d);
    int unknown = rc == 0 ? filter_unmatched(&d.f, API_KIND_DELIVERIES) : 0;

    if (rc == 0 && d.count == 0) {
        if (unknown == 0)
            result_print(cli, &d, cli_flag(cli, FLAG_DRY_RUN) != NULL);
        rc = filter_empty(cli, &d.f, "No open deliveries match.");
        rc = unknown ? unknown : rc;
    } else if (rc == 0) {
        rc = discard(cli, &d);
    }
    filter_flags_fini(&d.f);
    return rc;
}
