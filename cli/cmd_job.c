/* cli/cmd_job.c: jobs: list, show, hold, cancel, hurry; following one is job_follow.c. */
#include <string.h>

#include "base/text.h"
#include "cli/filter.h"
#include "cli/job_follow.h"
#include "cli/job_words.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/replay_preview.h"

#define WORDS_MAX 4096

/* Few jobs send copies: where to is said with the note. */
static json_t *list_words(const struct cli *cli, const json_t *job)
{
    json_t *row = job_with_words(cli, job);
    const char *to = out_string(job, "options.to"), *note = out_string(job, "note");

    if (to != NULL)
        json_object_set_new(
            row, "note", json_sprintf("copies to %s%s%s", to, note ? ": " : "", note ? note : ""));
    return row;
}

int cmd_job_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"JOB", "id", OUT_TEXT},
                                                {"KIND", "kind", OUT_TEXT},
                                                {"STATE", "state_words", OUT_STATE},
                                                {"SELECTED", "counts.selected", OUT_TEXT},
                                                {"DELIVERED", "counts.delivered", OUT_TEXT},
                                                {"DEAD AGAIN", "counts.dead_again", OUT_TEXT, 1},
                                                {"CREATED", "created_at", OUT_TIME, 2},
                                                {"BY", "actor", OUT_LONG, 3},
                                                {"NOTE", "note", OUT_LONG},
                                                OUT_COLUMNS_END};

    return list_shaped(cli, "/api/v1/jobs", columns, list_words, "No jobs.");
}

/* ---- show ---- */
static const struct out_column job_fields[] = {{"Job", "id", OUT_TEXT},
                                               {"Kind", "kind", OUT_TEXT},
                                               {"State", "state_words", OUT_STATE},
                                               {"Why", "why", OUT_TEXT},
                                               {"Filter", "filter", OUT_TEXT},
                                               {"Copies to", "options.to", OUT_LONG},
                                               {"Rate", "rate", OUT_TEXT},
                                               {"Canary", "canary", OUT_TEXT},
                                               {"Stops", "stops", OUT_TEXT},
                                               {"Attempts", "attempts", OUT_TEXT},
                                               {"Order", "order", OUT_TEXT},
                                               {"By", "actor", OUT_TEXT},
                                               {"Note", "note", OUT_TEXT},
                                               {"Selected", "counts.selected", OUT_COUNT},
                                               {"Left out", "left_out", OUT_COUNT},
                                               {"Delivered", "delivered", OUT_COUNT},
                                               {"Dead again", "dead_again", OUT_COUNT},
                                               {"Failed", "copies_failed", OUT_COUNT},
                                               {"Retrying", "retrying", OUT_COUNT},
                                               {"On their way", "waiting", OUT_COUNT},
                                               {"Discarded", "discarded", OUT_COUNT},
                                               {"Gone before", "gone", OUT_COUNT},
                                               {"Not sent", "not_sent", OUT_COUNT},
                                               {"Done", "done", OUT_COUNT},
                                               {"Created", "created_at", OUT_TIME},
                                               {"Started", "started_at", OUT_TIME},
                                               {"Finished", "finished_at", OUT_TIME},
                                               {"Restorable", "restorable_words", OUT_TEXT},
                                               {"Restored by", "restored_by", OUT_TEXT},
                                               OUT_COLUMNS_END};

static void set_words(json_t *shown, const char *member, struct buf *words)
{
    json_object_set_new(shown, member, json_string(words->data ? words->data : ""));
    buf_clear(words);
}

/* always: a nought is told too. */
static void set_count(json_t *shown, const char *member, const json_t *job, const char *path,
                      bool always)
{
    int64_t n = out_integer(job, path);

    if (n > 0 || always)
        json_object_set_new(shown, member, json_integer(n));
}

/* What only a job has that sends something. */
static void set_sending(json_t *shown, const json_t *job)
{
    int64_t canary = out_integer(job, "options.canary");
    const char *attempts = out_string(job, "options.attempts");
    struct buf words;

    buf_init(&words, WORDS_MAX);
    job_rate_words(&words, job);
    set_words(shown, "rate", &words);
    if (canary > 0)
        buf_addf(&words, canary == 1 ? "%lld letter first" : "%lld letters first, one at a time",
                 (long long)canary);
    else
        buf_adds(&words, "none");
    set_words(shown, "canary", &words);
    replay_rule(&words, job);
    set_words(shown, "stops", &words);
    buf_adds(&words, attempts != NULL && strcmp(attempts, "1") == 0 ? "one each"
                                                                    : "as the retry policy says");
    set_words(shown, "attempts", &words);
    buf_addf(&words, "%s first", out_string(job, "options.order"));
    set_words(shown, "order", &words);
    set_count(shown, "delivered", job, "counts.delivered", true);
    if (out_string(job, "options.to") != NULL)
        set_count(shown, "copies_failed", job, "counts.discarded", true);
    else
        set_count(shown, "dead_again", job, "counts.dead_again", true);
    set_count(shown, "retrying", job, "counts.retrying", false);
    set_count(shown, "waiting", job, "counts.waiting", false);
    if (out_string(job, "options.to") == NULL)
        set_count(shown, "discarded", job, "counts.discarded", false);
    set_count(shown, "gone", job, "counts.gone", false);
    set_count(shown, "not_sent", job, "counts.not_sent", true);
    buf_fini(&words);
}

static void set_restoring(json_t *shown, const json_t *job)
{
    int64_t n = out_integer(job, "restorable");
    const char *until = out_string(job, "recoverable_until");
    struct buf words;

    if (!json_is_integer(json_object_get(job, "restorable")))
        return;
    buf_init(&words, WORDS_MAX);
    if (n > 0)
        buf_addf(&words, "%lld until %s, by webhookctl dlq restore %s", (long long)n, until,
                 out_string(job, "id"));
    else if (out_string(job, "restored_by") != NULL)
        buf_adds(&words, "nothing any more: it is back");
    else
        buf_adds(&words, "nothing: it is erased, or back already");
    set_words(shown, "restorable_words", &words);
    buf_fini(&words);
}

static json_t *show_words(const struct cli *cli, const json_t *job)
{
    json_t *shown = job_with_words(cli, job);
    const char *why = job_reason_words(out_string(job, "reason"));

    if (why != NULL)
        json_object_set_new(shown, "why", json_string(why));
    set_count(shown, "left_out", job, "counts.excluded", false);
    if (json_is_true(json_object_get(job, "delivers")))
        set_sending(shown, job);
    else
        set_count(shown, "done", job, "counts.done", true);
    set_restoring(shown, job);
    return shown;
}

static json_t *part_words(const json_t *job, const json_t *part)
{
    json_t *shown = json_copy((json_t *)(uintptr_t)part);
    const char *why = job_reason_words(out_string(part, "reason"));
    struct buf words;

    buf_init(&words, WORDS_MAX);
    job_part_words(&words, job, part);
    set_words(shown, "state_words", &words);
    json_object_set_new(shown, "why", why ? json_string(why) : json_null());
    buf_fini(&words);
    return shown;
}

/* The job, and where its letters go. */
static void job_print(const struct cli *cli, const json_t *job)
{
    bool copies = out_string(job, "options.to") != NULL;
    const struct out_column columns[] = {{"SUBSCRIPTION", "subscription|subscription_id", OUT_TEXT},
                                         {"STATE", "state_words", OUT_STATE},
                                         {"WHY", "why", OUT_TEXT},
                                         {"SELECTED", "counts.selected", OUT_TEXT},
                                         {"DELIVERED", "counts.delivered", OUT_TEXT},
                                         {"RETRYING", "counts.retrying", OUT_TEXT, 1},
                                         {copies ? "FAILED" : "DEAD AGAIN",
                                          copies ? "counts.discarded" : "counts.dead_again",
                                          OUT_TEXT},
                                         {"NOT SENT", "counts.not_sent", OUT_TEXT},
                                         OUT_COLUMNS_END};
    const json_t *parts = json_object_get(job, "subscriptions");
    struct out_table *t = json_array_size(parts) > 0 ? out_table_new(cli, columns) : NULL;
    json_t *part, *shown = show_words(cli, job);
    size_t i;

    out_fields(cli, shown, job_fields);
    json_decref(shown);
    if (t == NULL)
        return;
    puts("");
    json_array_foreach(parts, i, part)
    {
        shown = part_words(job, part);
        out_table_row(t, shown);
        json_decref(shown);
    }
    out_table_print(t);
}

int cmd_job_show(struct cli *cli)
{
    struct answer a;
    int rc = object_get(cli, "jobs", cli->args->words[0], NULL, &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, cli->args->words[0]))
        job_print(cli, a.json);
    answer_fini(&a);
    return CLI_OK;
}

/* ---- the tap ---- */
static int64_t count(const json_t *job, const char *name)
{
    return out_integer(json_object_get(job, "counts"), name);
}

static bool delivers(const json_t *job)
{
    return json_is_true(json_object_get(job, "delivers"));
}

/* "12 delivered, 5 on their way, 46 not sent" */
static void put_stand(struct buf *out, const json_t *job)
{
    int64_t underway = count(job, "waiting") + count(job, "retrying");

    if (!delivers(job)) {
        buf_addf(out, "%lld of %lld done", (long long)count(job, "done"),
                 (long long)count(job, "selected"));
        return;
    }
    buf_addf(out, "%lld delivered", (long long)count(job, "delivered"));
    if (count(job, "dead_again") > 0)
        buf_addf(out, ", %lld dead again", (long long)count(job, "dead_again"));
    if (underway > 0)
        buf_addf(out, ", %lld on their way (they go on)", (long long)underway);
    buf_addf(out, ", %lld not sent", (long long)count(job, "not_sent"));
}

/* One change, and one line about it on stderr. */
typedef void say_fn(struct buf *out, const char *id, const json_t *job);

static int tap(struct cli *cli, const char *verb, json_t *body, say_fn *say)
{
    const char *ref = cli->args->words[0];
    struct answer a;
    struct buf line;
    int rc = object_change(cli, "POST", "jobs", ref, verb, body, &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        buf_init(&line, WORDS_MAX);
        say(&line, out_string(a.json, "id") ? out_string(a.json, "id") : ref, a.json);
        out_note("%s", line.data ? line.data : "");
        buf_fini(&line);
    }
    answer_fini(&a);
    return CLI_OK;
}

static void say_cancelled(struct buf *out, const char *id, const json_t *job)
{
    const char *kind = out_string(job, "kind");

    buf_addf(out, "%s is cancelled: ", id);
    put_stand(out, job);
    if (kind != NULL && strcmp(kind, "replay") == 0 && count(job, "not_sent") > 0)
        buf_adds(out, " (they stay dead)");
    buf_adds(out, ". Next: webhookctl dlq summary");
}

static void say_paused(struct buf *out, const char *id, const json_t *job)
{
    buf_addf(out, "%s is paused: ", id);
    put_stand(out, job);
    buf_addf(out, ". Go on: webhookctl job resume %s", id);
}

/* What is in the way of a job that is to go on, as of the first subscription where something is. */
static void put_hindrance(struct buf *out, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    size_t i;

    json_array_foreach(parts, i, part)
    {
        const char *name = out_string(part, "subscription");
        const char *state = out_string(part, "subscription_state");
        bool paused = state != NULL && strcmp(state, "paused") == 0;

        if (name == NULL || count(part, "not_sent") == 0 ||
            (!paused && (state == NULL || strcmp(state, "disabled") != 0)))
            continue;
        buf_addf(out, " Nothing goes to %s before webhookctl sub %s %s", name,
                 paused ? "resume" : "enable", name);
        return;
    }
}

static void say_resumed(struct buf *out, const char *id, const json_t *job)
{
    buf_addf(out, "%s goes on: ", id);
    put_stand(out, job);
    buf_addf(out, ". Watch: webhookctl job watch %s", id);
    put_hindrance(out, job);
    if (count(job, "dead_again") > 0)
        buf_addf(
            out,
            "   The %lld that died again are not among them; afterwards: webhookctl dlq replay "
            "--job %s",
            (long long)count(job, "dead_again"), id);
}

int cmd_job_cancel(struct cli *cli)
{
    return tap(cli, "cancel", NULL, say_cancelled);
}

int cmd_job_pause(struct cli *cli)
{
    return tap(cli, "pause", NULL, say_paused);
}

int cmd_job_resume(struct cli *cli)
{
    return tap(cli, "resume", NULL, say_resumed);
}

int cmd_job_watch(struct cli *cli)
{
    int64_t wait_ms = -1;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    return rc == 0 ? job_follow(cli, cli->args->words[0], wait_ms) : rc;
}

/* How fast it was, as words. */
static int rate_before(struct cli *cli, struct buf *out)
{
    struct answer a;
    int rc = object_get(cli, "jobs", cli->args->words[0], NULL, &a);

    if (rc != 0)
        return rc;
    job_rate_words(out, a.json);
    answer_fini(&a);
    return 0;
}

static int rate_set(struct cli *cli, double rate, const struct buf *before)
{
    const char *ref = cli->args->words[0];
    struct answer a;
    struct buf after;
    int rc = object_change(cli, "POST", "jobs", ref, "rate",
                           json_pack("{s:f}", "rate_per_second", rate), &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        const char *id = out_string(a.json, "id");

        buf_init(&after, WORDS_MAX);
        job_rate_words(&after, a.json);
        out_note("%s: %s -> %s. Watch: webhookctl job watch %s", id ? id : ref, before->data,
                 after.data, id ? id : ref);
        buf_fini(&after);
    }
    answer_fini(&a);
    return CLI_OK;
}

/* "20/s", "20"; "none": no limit. */
int cmd_job_set_rate(struct cli *cli)
{
    const char *text = cli->args->words[1];
    bool none = strcmp(text, "none") == 0 || strcmp(text, "0") == 0;
    struct buf before;
    double rate = 0;
    int rc = none ? 0 : filter_rate_of(cli, text, &rate);

    buf_init(&before, WORDS_MAX);
    if (rc == 0)
        rc = rate_before(cli, &before);
    if (rc == 0)
        rc = rate_set(cli, rate, &before);
    buf_fini(&before);
    return rc;
}
