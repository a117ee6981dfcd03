/* cli/cmd_dlq_purge.c: dlq purge and restore: count, confirm by the number, export where that was asked
 * for, then a job. And dlq note. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/job_run.h"
#include "cli/object.h"
#include "cli/out.h"

struct purge {
    struct filter_flags f;
    int64_t count, bytes;
    int64_t exported; /* -1: not asked for */
    char oldest[TEXT_TIME_MAX];
    char recoverable_until[40];
    struct job_run job;
};

/* --older-than DUR is --until DUR, said as one says it. */
static int older_than(struct cli *cli, struct filter_flags *f)
{
    const char *text = cli_flag(cli, FLAG_OLDER_THAN);
    int64_t ms = 0;

    if (text == NULL)
        return 0;
    if (cli_flag(cli, FLAG_UNTIL) != NULL)
        return out_fail(cli, CLI_USAGE, "usage", "--older-than and --until say the same: give one");
    int rc = filter_duration(cli, FLAG_OLDER_THAN, &ms);

    if (rc == 0) {
        filter_until(f, clock_wall_ms() - ms);
        f->any = true;
    }
    return rc;
}

/* What the daemon says of the set: whether it can be restored, and until when. */
static int preview(struct cli *cli, struct purge *p)
{
    struct answer a;
    struct buf query;
    size_t from = 0;
    json_t *body = json_pack("{s:O,s:b}", "filter", p->f.json, "dry_run", 1);
    int rc = client_call_json(cli, "POST", "/api/v1/dead-letters/purge", body, &a);

    if (rc != 0)
        return rc;
    const char *until = out_string(a.json, "recoverable_until");

    text_copy(p->recoverable_until, sizeof p->recoverable_until, until ? until : "");
    answer_fini(&a);
    buf_init(&query, (size_t)256 << 10);
    (void)filter_query(&p->f, &from, &query);
    client_query(&query, "limit", "1");
    rc = client_call(cli, "GET", "/api/v1/dead-letters", query.data, NULL, &a);
    buf_fini(&query);
    if (rc != 0)
        return rc;
    const char *oldest = out_string(json_array_get(json_object_get(a.json, "items"), 0), "died_at");

    text_copy(p->oldest, sizeof p->oldest, oldest ? oldest : "");
    answer_fini(&a);
    return 0;
}

/* "1204 dead letters, 118.2 KiB (the oldest died 2026-10-25)" */
static void what_text(const struct purge *p, char *out, size_t room)
{
    char size[32];

    text_size(size, sizeof size, p->bytes);
    snprintf(out, room, "%lld dead letter%s, %s (the oldest died %.10s)", (long long)p->count,
             p->count == 1 ? "" : "s", size, p->oldest[0] ? p->oldest : "-");
}

/* The number must be known to whoever purges: typed on a terminal, given by --confirm elsewhere. */
static int purge_confirm(struct cli *cli, const struct purge *p)
{
    const char *given = cli_flag(cli, FLAG_CONFIRM), *file = cli_flag(cli, FLAG_EXPORT);
    char answer[32], what[160];
    struct buf question;

    if (given == NULL && !cli->in_tty)
        return out_fail(cli, CLI_USAGE, "usage", "refusing without --confirm=%lld: %s",
                        (long long)p->count, cli_no_asking(cli));
    if (given == NULL) {
        what_text(p, what, sizeof what);
        buf_init(&question, 8192);
        buf_addf(&question, "Purge %s?", what);
        if (file != NULL) {
            buf_adds(&question, " They are exported to ");
            text_escape_terminal(&question, file, strlen(file), false);
            buf_adds(&question, " first.");
        }
        if (p->recoverable_until[0] == '\0')
            buf_adds(&question, " They cannot be restored.");
        buf_addf(&question, " Type %lld to confirm: ", (long long)p->count);
        int rc = cli_ask(cli, question.data, answer, sizeof answer);

        buf_fini(&question);
        if (rc != 0)
            return rc;
        given = answer;
    }
    char *end;
    long long n = strtoll(given, &end, 10);

    if (end == given || *end != '\0')
        return out_fail(
            cli, CLI_USAGE, "usage",
            "'%s' is not a number; give %lld, the number of letters; nothing was changed", given,
            (long long)p->count);
    if (n != p->count)
        return out_fail(cli, CLI_USAGE, "count_differs",
                        "%lld dead letters match, not %lld; nothing was changed",
                        (long long)p->count, n);
    return 0;
}

static int purge_export(struct cli *cli, struct purge *p)
{
    const char *file = cli_flag(cli, FLAG_EXPORT);

    if (file == NULL)
        return 0;
    if (strcmp(file, "-") == 0 && out_is_json(cli))
        return out_fail(cli, CLI_USAGE, "usage",
                        "--export - and -o json both want standard output: name a file");
    p->exported = 0;
    int rc = dlq_export(cli, &p->f, file, p->count, &p->exported);

    if (rc != 0) {
        out_note("Nothing was purged.");
        return rc;
    }
    if (p->exported != p->count)
        return out_fail(cli, CLI_USAGE, "count_differs",
                        "%lld dead letters match now, not %lld; nothing was purged",
                        (long long)p->exported, (long long)p->count);
    return 0;
}

static void print_integer_or_null(const char *name, int64_t value)
{
    if (value < 0)
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%lld", name, (long long)value);
}

static void print_text_or_null(const char *name, const char *value)
{
    if (value[0])
        printf(",\"%s\":\"%s\"", name, value);
    else
        printf(",\"%s\":null", name);
}

static void purge_json(const struct purge *p, bool dry)
{
    printf("{\"matched\":%lld,\"payload_bytes\":%lld,\"purged\":%lld", (long long)p->count,
           (long long)p->bytes, (long long)p->job.done);
    print_integer_or_null("exported", p->exported);
    print_text_or_null("job", p->job.id);
    print_text_or_null("recoverable_until", p->recoverable_until);
    printf(",\"dry_run\":%s}\n", dry ? "true" : "false");
}

static void purge_report(const struct cli *cli, const struct purge *p, bool dry)
{
    char what[160];

    if (out_is_json(cli))
        purge_json(p, dry);
    else if (cli->format == OUT_ID && p->job.id[0])
        puts(p->job.id);
    what_text(p, what, sizeof what);
    if (dry && p->count > 0) {
        out_note("Would purge %s. Nothing was changed.", what);
        if (p->recoverable_until[0])
            out_note("They could be restored until %s.", p->recoverable_until);
        else
            out_note("They could not be restored (dead_letter.purge_grace is 0): keep a copy with "
                     "--export FILE");
    }
    if (dry || !p->job.over)
        return;
    if (p->exported >= 0)
        out_note("exported %lld to %s", (long long)p->exported, cli_flag(cli, FLAG_EXPORT));
    out_note("purged %lld dead letter%s", (long long)p->job.done, p->job.done == 1 ? "" : "s");
    if (p->job.done < p->job.selected)
        out_note("%lld of them were not there any more when their turn came, or the job was "
                 "cancelled: webhookctl job show %s",
                 (long long)(p->job.selected - p->job.done), p->job.id);
    if (p->job.recoverable_until[0] && p->job.done > 0)
        out_note("recoverable until %s with: webhookctl dlq restore %s", p->job.recoverable_until,
                 p->job.id);
}

static int purge_do(struct cli *cli, struct purge *p)
{
    const char *note = cli_flag(cli, FLAG_NOTE);
    int rc = purge_confirm(cli, p);

    if (rc == 0)
        rc = purge_export(cli, p);
    if (rc != 0)
        return rc;
    json_t *body = json_pack("{s:O,s:I}", "filter", p->f.json, "confirm", (json_int_t)p->count);

    if (note != NULL)
        json_object_set_new(body, "note", json_string(note));
    rc = job_run_start(cli, "/api/v1/dead-letters/purge", body, &p->job);
    if (p->job.id[0])
        purge_report(cli, p, false);
    return rc;
}

int cmd_dlq_purge(struct cli *cli)
{
    struct purge p = {.exported = -1};
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    int rc = filter_flags_read(cli, &p.f);

    if (rc == 0)
        rc = older_than(cli, &p.f);
    if (rc == 0)
        rc = dlq_selected(cli, &p.f, "dlq purge");
    if (rc == 0)
        rc = dlq_limit(cli, &p.f);
    if (rc == 0)
        rc = dlq_fix(cli, &p.f, &p.count, &p.bytes);
    int unknown = rc == 0 ? filter_unmatched(&p.f, API_KIND_LETTERS) : 0;

    if (rc == 0 && unknown != 0) {
        rc = unknown;
    } else if (rc == 0 && p.count == 0 && cli_flag(cli, FLAG_CONFIRM) == NULL) {
        purge_report(cli, &p, dry);
        filter_empty(cli, &p.f, "No dead letters match.");
    } else if (rc == 0) {
        rc = p.count > 0 ? preview(cli, &p) : 0;
        if (rc == 0 && dry)
            purge_report(cli, &p, true);
        else if (rc == 0)
            rc = purge_do(cli, &p);
    }
    filter_flags_fini(&p.f);
    return rc;
}

/* ---- restore ---- */

static int restore_preview(struct cli *cli, const char *job, struct answer *a)
{
    json_t *body = json_pack("{s:s,s:b}", "job", job, "dry_run", 1);

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
    out_note("restored %lld dead letter%s. Next: webhookctl dlq summary", (long long)w.done,
             w.done == 1 ? "" : "s");
    if (w.done < w.selected)
        out_note(
            "%lld could not be: they were sent or imported again meanwhile, their time was over, "
            "or the job was cancelled",
            (long long)(w.selected - w.done));
    return rc;
}

int cmd_dlq_restore(struct cli *cli)
{
    const char *job = cli->args->words[0];
    struct answer a;
    char size[32];
    int rc = restore_preview(cli, job, &a);

    if (rc != 0)
        return rc;
    int64_t count = out_integer(a.json, "count");
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    const char *until = out_string(a.json, "recoverable_until");

    text_size(size, sizeof size, out_integer(a.json, "payload_bytes"));
    if (dry && out_is_json(cli))
        printf("{\"count\":%lld,\"restored\":0,\"job\":null,\"dry_run\":true}\n", (long long)count);
    if (dry)
        out_note("Would restore %lld dead letter%s, %s; recoverable until %s. Nothing was changed.",
                 (long long)count, count == 1 ? "" : "s", size, until ? until : "-");
    answer_fini(&a);
    return dry ? CLI_OK : restore_do(cli, job, count);
}

/* ---- note ---- */

int cmd_dlq_note(struct cli *cli)
{
    static const struct out_column fields[] = {{"Delivery", "id", OUT_TEXT},
                                               {"Event", "event_id", OUT_TEXT},
                                               {"Subscription", "subscription", OUT_TEXT},
                                               {"Note", "note", OUT_TEXT},
                                               OUT_COLUMNS_END};
    const char *text = cli->args->words[1];
    json_t *body = json_object();

    json_object_set_new(body, "note", *text ? json_string(text) : json_null());
    return object_command(cli, "PATCH", "dead-letters", cli->args->words[0], NULL, body, fields,
                          *text ? "has that note now" : "has no note now");
}
