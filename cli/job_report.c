/* cli/job_report.c: see job_report.h.
 *
 *   counts on one line ─▶ why a subscription's part ended, and what to do there ─▶ a few of what failed
 *   ─▶ what was not sent, what died again, where each of them is: each with its command */
#include "cli/job_report.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/job_words.h"
#include "cli/object.h"

enum { ERRORS_SHOWN = 3 };

static bool is(const json_t *object, const char *path, const char *word)
{
    const char *text = out_string(object, path);

    return text != NULL && strcmp(text, word) == 0;
}

static int64_t count(const json_t *job, const char *name)
{
    return out_integer(json_object_get(job, "counts"), name);
}

/* Where its copies go; NULL: what it sends are the originals. */
static const char *copies_to(const json_t *job)
{
    return out_string(job, "options.to");
}

static int job_exit(const json_t *job)
{
    int64_t done = json_is_true(json_object_get(job, "delivers")) ? count(job, "delivered")
                                                                  : count(job, "done");

    if (done >= count(job, "selected"))
        return CLI_OK;
    return done > 0 ? CLI_PARTIAL : CLI_NO;
}

static void put_count(struct buf *out, const json_t *job, const char *name, const char *word,
                      bool always)
{
    if (always || count(job, name) > 0)
        buf_addf(out, "%s%s %s", out->len > 0 ? ", " : "", TEXT_COUNTED(count(job, name)), word);
}

static void report_line(const char *id, const json_t *job)
{
    struct buf text, where;

    buf_init(&text, 512);
    if (json_is_true(json_object_get(job, "delivers"))) {
        put_count(&text, job, "delivered", "delivered", true);
        put_count(&text, job, "retrying", "retrying", false);
        put_count(&text, job, "waiting", "on their way", false);
        if (copies_to(job) != NULL)
            put_count(&text, job, "discarded", "failed (discarded)", true);
        else
            put_count(&text, job, "dead_again", is(job, "kind", "resend") ? "dead" : "dead again",
                      true);
        if (copies_to(job) == NULL)
            put_count(&text, job, "discarded", "discarded", false);
        put_count(&text, job, "gone", "gone meanwhile", false);
        put_count(&text, job, "not_sent", "not sent", false);
        put_count(&text, job, "excluded", "left out", false);
    } else {
        put_count(&text, job, "done", "done", true);
    }
    buf_init(&where, 8192);
    if (copies_to(job) != NULL) {
        buf_adds(&where, "sent to ");
        text_escape_terminal(&where, copies_to(job), strlen(copies_to(job)), false);
        buf_adds(&where, ": ");
    }
    printf("%s %s: %s%s, in %.1f s\n", id, out_string(job, "state"),
           where.len > 0 ? where.data : "", text.data,
           json_number_value(json_object_get(job, "elapsed_seconds")));
    buf_fini(&where);
    buf_fini(&text);
}

/* Why no more copies of a subscription's were sent. */
static void report_copies(const json_t *part)
{
    const char *name = out_string(part, "subscription"), *reason = out_string(part, "reason");

    if (reason == NULL)
        return;
    if (strcmp(reason, "subscription_deleted") == 0)
        out_note(
            "A subscription that is not known here any more: no copies of its %s can be signed.",
            TEXT_COUNTED(count(part, "excluded")));
    else
        out_note("Copies of %s's stopped: %s; %s were not sent.", name,
                 strcmp(reason, "canary_failed") == 0 ? "the first ones failed, one after the other"
                                                      : "too many of the last ones failed",
                 TEXT_COUNTED(count(part, "not_sent")));
}

/* What was copied is where it was. */
static void report_originals(const char *id, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions");
    const char *one =
        json_array_size(parts) == 1 ? out_string(json_array_get(parts, 0), "subscription") : NULL;

    if (count(job, "queued") > 0)
        out_note("What the endpoint said to each: webhookctl delivery list --job %s", id);
    if (is(job, "kind", "replay"))
        out_note("The letters themselves are still dead. To send them: the same again without --to "
                 "(webhookctl dlq replay%s%s …)",
                 one ? " -s " : "", one ? one : "");
}

/* Is there somebody to send to? */
static bool sends(const json_t *part)
{
    return !is(part, "subscription_state", "disabled") &&
           !is(part, "subscription_state", "deleted");
}

/* Over the subscriptions that can be sent to. */
static int64_t count_sendable(const json_t *job, const char *name)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    int64_t n = 0;
    size_t i;

    if (copies_to(job) != NULL || json_is_true(json_object_get(job, "subscriptions_truncated")))
        return count(job, name);
    json_array_foreach(parts, i, part) n += sends(part) ? count(part, name) : 0;
    return n;
}

/* Who said of itself that it is gone is asked before it is enabled. */
static void put_next(const json_t *part, const char *verb, char *out, size_t room)
{
    const char *name = out_string(part, "subscription");

    if (name == NULL || verb == NULL)
        return;
    if (is(part, "subscription_cause", "gone"))
        snprintf(
            out, room,
            " It answered that it is gone for good. Does it still? webhookctl sub test %s, and "
            "where it accepts that: webhookctl sub enable %s",
            name, name);
    else
        snprintf(out, room, "   Next: webhookctl %s %s", verb, name);
}

/* Why a subscription's letters were left out, or stopped, and what to do about it. */
static void report_part(const json_t *job, const json_t *part)
{
    static const struct {
        const char *reason, *text, *next;
    } rows[] = {
        {"canary_failed", "stopped: its first letters failed, one after the other", "sub show"},
        {"too_many_failures", "stopped: too many of the last letters failed", "sub show"},
        {"subscription_paused", "is paused: nothing was sent", "sub resume"},
        {"subscription_disabled", "is disabled: nothing more is sent", "sub enable"},
        {"subscription_deleted", "is deleted: nothing can be sent", NULL},
    };
    const char *name = out_string(part, "subscription"), *reason = out_string(part, "reason");
    int64_t again = count(part, "dead_again");
    int64_t unsent = count(part, "not_sent") + count(part, "excluded");
    char next[512] = "", dead[64] = "";

    bool resend = is(job, "kind", "resend");

    if (again > 0)
        snprintf(dead, sizeof dead, resend ? ", %s are dead" : " (%s died again)",
                 TEXT_COUNTED(again));
    for (size_t i = 0; reason != NULL && i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(reason, rows[i].reason) != 0)
            continue;
        put_next(part, rows[i].next, next, sizeof next);
        if (resend)
            out_note("%s %s; %s were not sent%s.%s", name ? name : "A deleted subscription",
                     rows[i].text, TEXT_COUNTED(unsent), dead, next);
        else
            out_note("%s %s; %s of its letters are dead%s.%s",
                     name ? name : "A deleted subscription", rows[i].text,
                     TEXT_COUNTED(unsent + again), dead, next);
    }
}

static void report_errors(const json_t *job)
{
    const json_t *errors = json_object_get(job, "errors"), *row;
    size_t i;

    json_array_foreach(errors, i, row)
    {
        char status[24] = "";

        if (i == ERRORS_SHOWN) {
            out_note("  … and others");
            break;
        }
        if (out_integer(row, "status") > 0)
            snprintf(status, sizeof status, " %lld", (long long)out_integer(row, "status"));
        out_note("  %s %s %s%s", out_string(row, "delivery"), out_string(row, "state"),
                 out_string(row, "outcome") ? out_string(row, "outcome") : out_string(row, "cause"),
                 status);
    }
}

/* Somebody may have replayed or purged them since. */
static int64_t still_dead(struct cli *cli, const char *id)
{
    struct answer a;
    char query[64];

    snprintf(query, sizeof query, "job=%.48s", id);
    if (object_get(cli, "dead-letters", "count", query, &a) != 0)
        return 0;
    int64_t n = out_integer(a.json, "count");

    answer_fini(&a);
    return n;
}

/* What is still being tried may die, too: the command takes those as well. */
static void report_dead_again(struct cli *cli, const char *id, const json_t *job)
{
    int64_t dead = count_sendable(job, "dead_again"), trying = count(job, "retrying");
    int64_t still = dead > 0 ? still_dead(cli, out_string(job, "id")) : 0;
    char more[64] = "";

    dead = dead < still ? dead : still;

    if (trying > 0)
        snprintf(more, sizeof more, ", and those of the %s retrying that will",
                 TEXT_COUNTED(trying));
    if (dead > 0)
        out_note("The %s that died again%s: webhookctl dlq replay --job %s", TEXT_COUNTED(dead),
                 more, id);
}

static void report_gone(const json_t *job)
{
    struct buf words;

    buf_init(&words, 128);
    if (job_gone_words(&words, job))
        out_note("Gone meanwhile %s.", words.data);
    buf_fini(&words);
}

static void report_notes(struct cli *cli, const char *id, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    bool sent = count(job, "delivered") + count(job, "dead_again") + count(job, "retrying") > 0;
    size_t i;

    if (copies_to(job) != NULL)
        json_array_foreach(parts, i, part) report_copies(part);
    else
        json_array_foreach(parts, i, part) report_part(job, part);
    report_errors(job);
    report_gone(job);
    if (count(job, "retrying") + count(job, "waiting") > 0)
        out_note("What is retrying or on its way goes on by itself. Look: webhookctl delivery list "
                 "--job %s --state retrying",
                 id);
    if (copies_to(job) != NULL)
        report_originals(id, job);
    if (json_is_false(json_object_get(job, "resumable")) && count(job, "not_sent") > 0)
        out_note(
            "Of the %s that were not sent none is left to send: another job sent them since, or "
            "they are purged or expired. Nothing is to be done here.",
            TEXT_COUNTED(count(job, "not_sent")));
    else if (is(job, "state", "stopped") && count_sendable(job, "not_sent") > 0)
        out_note("When it is mended, the %s that were not sent: webhookctl job resume %s",
                 TEXT_COUNTED(count_sendable(job, "not_sent")), id);
    if (copies_to(job) != NULL)
        return;
    report_dead_again(cli, id, job);
    if (sent)
        out_note("Each of them: webhookctl delivery list --job %s%s", id,
                 count(job, "dead_again") > 0 ? "   What is dead now: webhookctl dlq summary" : "");
}

int job_report(struct cli *cli, const char *id, const struct answer *a)
{
    if (!object_plain(cli, a, id))
        report_line(id, a->json);
    if (json_is_true(json_object_get(a->json, "delivers")))
        report_notes(cli, id, a->json);
    return job_exit(a->json);
}

/* Does it send to a subscription of these rows? */
static bool sends_to_any(struct cli *cli, const char *id, const json_t *rows)
{
    const json_t *part, *row;
    struct answer a;
    bool yes = false;
    size_t i, k;

    if (object_get(cli, "jobs", id, NULL, &a) != 0)
        return true;
    json_array_foreach(json_object_get(a.json, "subscriptions"), i, part)
    {
        const char *name = out_string(part, "subscription");

        json_array_foreach(rows, k, row) yes = yes || (name && is(row, "subscription", name));
    }
    answer_fini(&a);
    return yes;
}

void job_report_stopped(struct cli *cli, const json_t *rows)
{
    const json_t *job;
    struct answer a;
    size_t i;

    if (client_call(cli, "GET", "/api/v1/jobs", "state=stopped", NULL, &a) != 0)
        return;
    json_array_foreach(json_object_get(a.json, "items"), i, job)
    {
        struct buf line;

        buf_init(&line, 1024);
        if (job_stopped_words(&line, job) &&
            (rows == NULL || sends_to_any(cli, out_string(job, "id"), rows))) {
            buf_addf(&line, ": webhookctl job show %s", out_string(job, "id"));
            out_line(stdout, line.data);
        }
        buf_fini(&line);
    }
    answer_fini(&a);
}
