/* cli/cmd_job_look.c: jobs looked at: list, and one with all about it, in words. */
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/job_words.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/replay_preview.h"

#define WORDS_MAX 4096
enum { VALUES_SHOWN = 3 };

/* always: a nought is told too. */
static void set_count(json_t *shown, const char *member, const json_t *job, const char *path,
                      bool always)
{
    int64_t n = out_integer(job, path);

    if (n > 0 || always)
        json_object_set_new(shown, member, json_integer(n));
}

/* A purge delivers nothing, and few jobs send copies: where to is said with the note. */
static json_t *list_words(const struct cli *cli, const json_t *job)
{
    json_t *row = job_with_words(cli, job);
    const char *to = out_string(job, "options.to"), *note = out_string(job, "note");

    if (json_is_true(json_object_get(job, "delivers"))) {
        set_count(row, "delivered", job, "counts.delivered", true);
        set_count(row, "dead_again", job, "counts.dead_again", true);
        set_count(row, "not_sent", job, "counts.not_sent", true);
    }
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
                                                {"SELECTED", "counts.selected", OUT_COUNT},
                                                {"DELIVERED", "delivered", OUT_COUNT},
                                                {"DEAD AGAIN", "dead_again", OUT_COUNT, 1},
                                                {"NOT SENT", "not_sent", OUT_COUNT},
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
                                               {"Filter", "filter_words", OUT_TEXT},
                                               {"Copies to", "options.to", OUT_LONG},
                                               {"Rate", "rate", OUT_TEXT},
                                               {"Canary", "canary", OUT_TEXT},
                                               {"Stops", "stops", OUT_TEXT},
                                               {"Attempts", "attempts", OUT_TEXT},
                                               {"Order", "order", OUT_TEXT},
                                               {"By", "actor", OUT_TEXT},
                                               {"State by", "state_by_words", OUT_LONG},
                                               {"Note", "note", OUT_TEXT},
                                               {"Selected", "counts.selected", OUT_COUNT},
                                               {"Left out", "left_out", OUT_COUNT},
                                               {"Delivered", "delivered", OUT_COUNT},
                                               {"Dead again", "dead_again", OUT_COUNT},
                                               {"Failed", "copies_failed", OUT_COUNT},
                                               {"Retrying", "retrying", OUT_COUNT},
                                               {"On their way", "waiting", OUT_COUNT},
                                               {"Discarded", "discarded", OUT_COUNT},
                                               {"Gone meanwhile", "gone_words", OUT_TEXT},
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
        buf_addf(&words, canary == 1 ? "%s letter first" : "%s letters first, one at a time",
                 TEXT_COUNTED(canary));
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
    if (job_gone_words(&words, job))
        set_words(shown, "gone_words", &words);
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
        buf_addf(&words, "%s until %s, by webhookctl dlq restore %s", TEXT_COUNTED(n), until,
                 out_string(job, "id"));
    else if (out_string(job, "restored_by") != NULL)
        buf_adds(&words, "nothing any more: it is back");
    else
        buf_adds(&words, "nothing: it is erased, or back already");
    set_words(shown, "restorable_words", &words);
    buf_fini(&words);
}

/* A subscription's name where the job knows it. */
static const char *name_of(const json_t *job, const char *value)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    size_t i;

    json_array_foreach(parts, i, part)
    {
        const char *id = out_string(part, "subscription_id");

        if (id != NULL && strcmp(id, value) == 0 && out_string(part, "subscription") != NULL)
            return out_string(part, "subscription");
    }
    const char *name =
        json_string_value(json_object_get(json_object_get(job, "filter_names"), value));
    return name != NULL ? name : value;
}

/* "5xx", "acme,globex", "dlv_1,dlv_2,dlv_3 and 2 more" */
static void put_value(struct buf *out, const json_t *job, const json_t *value)
{
    size_t i, n = json_array_size(value);
    const json_t *item;

    if (json_is_string(value))
        buf_addf(out, " %s", name_of(job, json_string_value(value)));
    else if (json_is_integer(value))
        buf_addf(out, " %lld", (long long)json_integer_value(value));
    json_array_foreach(value, i, item)
    {
        if (i == VALUES_SHOWN) {
            buf_addf(out, " and %s more", TEXT_COUNTED(n - i));
            break;
        }
        buf_addf(out, "%s%s", i > 0 ? "," : " ",
                 json_is_string(item) ? name_of(job, json_string_value(item)) : "-");
    }
}

/* "subscription acme, status 5xx, until 2026-11-28T19:01:01.772Z" */
static void set_filter(json_t *shown, const json_t *job)
{
    json_t *filter = json_object_get(job, "filter"), *value;
    const char *name;
    struct buf words;

    buf_init(&words, (size_t)1 << 16);
    json_object_foreach(filter, name, value)
    {
        if (strcmp(name, "arrived_before") == 0) /* what fixes the set: nobody typed it */
            continue;
        buf_addf(&words, "%s%s", words.len > 0 ? ", " : "", name);
        put_value(&words, job, value);
    }
    set_words(shown, "filter_words", &words);
    buf_fini(&words);
}

static void set_state_by(const struct cli *cli, json_t *shown, const json_t *job)
{
    struct buf words;

    buf_init(&words, WORDS_MAX);
    if (job_state_by_words(cli, &words, job))
        set_words(shown, "state_by_words", &words);
    buf_fini(&words);
}

static json_t *show_words(const struct cli *cli, const json_t *job)
{
    json_t *shown = job_with_words(cli, job);
    const char *why = job_reason_words(out_string(job, "reason"));

    set_filter(shown, job);
    set_state_by(cli, shown, job);
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
    int64_t gone = out_integer(part, "counts.gone");
    struct buf words;

    buf_init(&words, WORDS_MAX);
    job_part_words(&words, job, part);
    set_words(shown, "state_words", &words);
    if (why != NULL)
        buf_adds(&words, why);
    if (gone > 0)
        buf_addf(&words, "%s%s gone meanwhile", why != NULL ? "; " : "", TEXT_COUNTED(gone));
    if (words.len > 0)
        set_words(shown, "why", &words);
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
                                         {"SELECTED", "counts.selected", OUT_COUNT},
                                         {"DELIVERED", "counts.delivered", OUT_COUNT},
                                         {"RETRYING", "counts.retrying", OUT_COUNT, 1},
                                         {copies ? "FAILED" : "DEAD AGAIN",
                                          copies ? "counts.discarded" : "counts.dead_again",
                                          OUT_COUNT},
                                         {"NOT SENT", "counts.not_sent", OUT_COUNT},
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
