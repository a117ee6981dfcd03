/* cli/job_words.c: see job_words.h. */
#include "cli/job_words.h"

#include <string.h>

#include "base/text.h"
#include "cli/out.h"

#define WORDS_MAX 256

struct words {
    const char *word, *text;
};

static const char *words_of(const struct words *rows, size_t n, const char *word)
{
    for (size_t i = 0; word != NULL && i < n; i++)
        if (strcmp(rows[i].word, word) == 0)
            return rows[i].text;
    return word;
}

const char *job_reason_words(const char *reason)
{
    static const struct words rows[] = {
        {"canary_failed", "the first 5 failed"},
        {"too_many_failures", "too many of the last 20 failed"},
        {"subscription_paused", "subscription paused"},
        {"subscription_disabled", "subscription disabled"},
        {"subscription_deleted", "subscription deleted"},
    };

    return words_of(rows, sizeof rows / sizeof *rows, reason);
}

static const char *wait_words(const char *what)
{
    static const struct words rows[] = {{"endpoint_down", "endpoint down"},
                                        {"egress_paused", "egress paused"}};

    return job_reason_words(words_of(rows, sizeof rows / sizeof *rows, what));
}

void job_ahead_words(struct buf *out, const json_t *what)
{
    int64_t n = out_integer(what, "live_ahead");
    double rate = json_number_value(json_object_get(what, "subscription_rate_per_second"));
    bool more = json_is_true(json_object_get(what, "live_ahead_truncated"));
    char count[32];

    buf_addf(out, "%s%s live %s first", more ? "more than " : "",
             text_count(count, sizeof count, n), n == 1 ? "delivery goes" : "deliveries go");
    if (rate > 0)
        buf_addf(out, " (%g/s)", rate);
}

static void put_state(struct buf *out, const char *state, const json_t *what, bool delivers)
{
    const char *waits = out_string(what, "waits_for");
    bool active = state != NULL && strcmp(state, "active") == 0;
    bool done = state != NULL && strcmp(state, "done") == 0;

    if (active && waits != NULL)
        buf_addf(out, "waiting: %s", strcmp(waits, "live_backlog") == 0 ? "" : wait_words(waits));
    if (active && waits != NULL && strcmp(waits, "live_backlog") == 0)
        job_ahead_words(out, what);
    else if (!active || waits == NULL)
        buf_adds(out, state ? state : "-");
    if (done && delivers && out_integer(what, "counts.selected") > 0 &&
        out_integer(what, "counts.delivered") == 0)
        buf_adds(out, ", none delivered");
}

void job_state_words(struct buf *out, const json_t *job)
{
    put_state(out, out_string(job, "state"), job, json_is_true(json_object_get(job, "delivers")));
}

/* A part stays active while its job is paused: nobody else may begin there. */
void job_part_words(struct buf *out, const json_t *job, const json_t *part)
{
    const char *whole = out_string(job, "state"), *state = out_string(part, "state");
    bool held = whole != NULL && strcmp(whole, "paused") == 0 && state != NULL &&
                strcmp(state, "active") == 0;

    put_state(out, held ? whole : state, part, true);
}

bool job_stopped_words(struct buf *out, const json_t *job)
{
    int64_t left = out_integer(job, "counts.not_sent");
    int64_t again = out_integer(job, "counts.dead_again");
    char n[32];

    if (left <= 0 || !json_is_true(json_object_get(job, "resumable")))
        return false;
    buf_addf(out, "%s stopped: %s not sent", out_string(job, "id"), text_count(n, sizeof n, left));
    if (again > 0)
        buf_addf(out, ", %s died again", text_count(n, sizeof n, again));
    return true;
}

void job_say_commands(const char *id)
{
    out_note("Watch: webhookctl job watch %s", id);
    out_note("Stop:  webhookctl job cancel %s", id);
}

bool job_state_by_words(const struct cli *cli, struct buf *out, const json_t *job)
{
    static const struct words rows[] = {
        {"job.pause", "paused"}, {"job.cancel", "cancelled"}, {"job.resume", "resumed"}};
    const char *did =
        words_of(rows, sizeof rows / sizeof *rows, out_string(job, "state_by.action"));
    const char *actor = out_string(job, "state_by.actor"), *note = out_string(job, "state_by.note");

    if (did == NULL)
        return false;
    buf_addf(out, "%s by %s ", did, actor ? actor : "somebody");
    out_value(cli, out_member(job, "state_by.at"), OUT_TIME, out);
    if (note != NULL)
        buf_addf(out, " (%s)", note);
    return true;
}

bool job_gone_words(struct buf *out, const json_t *job)
{
    int64_t gone = out_integer(job, "counts.gone");

    if (gone > 0)
        buf_addf(out, "%s: purged, expired or sent by another job", TEXT_COUNTED(gone));
    return gone > 0;
}

bool job_in_the_way_words(struct buf *out, const json_t *row)
{
    const char *other = out_string(row, "blocked_by"), *name = out_string(row, "subscription");
    const char *actor = out_string(row, "blocked_by_actor"),
               *kind = out_string(row, "blocked_by_kind"),
               *state = out_string(row, "blocked_by_state");
    bool paused = state != NULL && strcmp(state, "paused") == 0;

    if (other == NULL)
        return false;
    buf_addf(out, "%s (a %s by %s, %s of %s) is %s on %s, which takes one job at a time: ", other,
             kind ? kind : "job", actor ? actor : "somebody",
             TEXT_COUNTED(out_integer(row, "blocked_by_done")),
             TEXT_COUNTED(out_integer(row, "blocked_by_selected")), paused ? "paused" : "active",
             name ? name : "it");
    buf_addf(out,
             paused ? "let it go on (webhookctl job resume %s)"
                    : "wait for it (webhookctl job watch %s)",
             other);
    buf_addf(out, ", or cancel it (webhookctl job cancel %s).", other);
    return true;
}

void job_rate_words(struct buf *out, const json_t *job)
{
    double rate = json_number_value(out_member(job, "options.rate_per_second"));

    if (rate > 0)
        buf_addf(out, "%g/s", rate);
    else
        buf_adds(out, "no limit");
}

json_t *job_with_words(const struct cli *cli, const json_t *job)
{
    json_t *shown = json_copy((json_t *)(uintptr_t)job);
    struct buf words;

    (void)cli;
    buf_init(&words, WORDS_MAX);
    job_state_words(&words, job);
    json_object_set_new(shown, "state_words", json_string(words.data ? words.data : "-"));
    buf_fini(&words);
    return shown;
}
