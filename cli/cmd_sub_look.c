/* cli/cmd_sub_look.c: subscriptions looked at: subscription list, show, stats. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/failure.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/out_style.h"
#include "cli/sub_words.h"

#define LINE_MAX_BYTES 65536

/* ---- list ---- */
int cmd_sub_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"NAME", "name", OUT_TEXT},
                                                {"STATE", "state_words", OUT_STATE},
                                                {"EVENTS", "events", OUT_LONG, 4},
                                                {"OK 1h", "last_hour.success_ratio", OUT_RATIO, 3},
                                                {"P95", "last_hour.p95_seconds", OUT_BRIEF, 5},
                                                {"BACKLOG", "backlog", OUT_COUNT},
                                                {"DEAD", "dead", OUT_COUNT},
                                                {"RATE", "rate_per_second", OUT_TEXT, 6},
                                                {"LAST 2XX", "last_success_at", OUT_TIME},
                                                {"URL", "url", OUT_LONG, 8},
                                                {"ID", "id", OUT_TEXT, 7},
                                                OUT_COLUMNS_END};
    bool any = cli_flag(cli, FLAG_SUB_STATE) != NULL || cli_flag(cli, FLAG_PARTNER) != NULL;

    int rc = list_shaped(cli, "/api/v1/subscriptions", columns, sub_with_words,
                         any ? "No subscriptions match."
                             : "No subscriptions. Next: webhookctl sub add --url URL "
                               "--events PATTERN");

    if (rc == 0)
        egress_note(cli);
    return rc;
}

/* ---- show ---- */
static const struct out_column show_fields[] = {{"Subscription", "id", OUT_TEXT},
                                                {"Name", "name", OUT_TEXT},
                                                {"Partner", "partner", OUT_TEXT},
                                                {"URL", "url", OUT_LONG},
                                                {"Events", "events", OUT_TEXT},
                                                {"Profile", "profile", OUT_TEXT},
                                                {"State", "state_words", OUT_STATE},
                                                {"Cause", "state_cause", OUT_TEXT},
                                                {"By", "state_by.actor", OUT_TEXT},
                                                {"Note", "state_by.note", OUT_LONG},
                                                {"Active since", "active_since", OUT_TIME},
                                                {"Paused since", "paused_since", OUT_TIME},
                                                {"Disabled since", "disabled_since", OUT_TIME},
                                                {"Resumes", "resume_at", OUT_TIME},
                                                {"Down since", "broken_since", OUT_TIME},
                                                {"Last 2xx", "last_success_at", OUT_TIME},
                                                {"Last failure", "last_failure_words", OUT_TEXT},
                                                {"Attempts 1h", "hour_words", OUT_TEXT},
                                                {"Backlog", "backlog_words", OUT_TEXT},
                                                {"Dead", "dead", OUT_COUNT},
                                                {"Delivered", "counts.delivered", OUT_COUNT},
                                                {"Retry", "retry_words", OUT_TEXT},
                                                {"Rate", "rate_per_second", OUT_TEXT},
                                                {"Concurrency", "concurrency", OUT_TEXT},
                                                {"Timeout", "timeout_seconds", OUT_SECONDS},
                                                {"Ordering", "ordering", OUT_TEXT},
                                                {"On dead", "on_dead", OUT_TEXT},
                                                {"Headers", "header_words", OUT_TEXT},
                                                {"Made by", "job", OUT_TEXT},
                                                {"Created", "created_at", OUT_TIME},
                                                {"Updated", "updated_at", OUT_TIME},
                                                OUT_COLUMNS_END};

static void duration_add(struct buf *out, double seconds)
{
    char text[32];
    int64_t ms = (int64_t)(seconds * 1000 + 0.5);

    text_duration(text, sizeof text, ms);
    buf_adds(out, text);
}

static void retry_words(struct buf *out, const json_t *policy)
{
    const json_t *delays = json_object_get(policy, "delays_seconds"), *delay;
    double jitter = json_number_value(json_object_get(policy, "jitter"));
    size_t i;

    buf_addf(out, "%s: %lld attempts", out_string(policy, "name"),
             (long long)out_integer(policy, "attempts"));
    json_array_foreach(delays, i, delay)
    {
        buf_adds(out, i == 0 ? ", after " : ", ");
        duration_add(out, json_number_value(delay));
    }
    if (jitter > 0 && i > 0)
        buf_addf(out, " (each +-%.0f%%)", jitter * 100);
    if (json_is_number(json_object_get(policy, "max_age_seconds"))) {
        buf_adds(out, ", at most ");
        duration_add(out, json_number_value(json_object_get(policy, "max_age_seconds")));
    }
    if (json_is_true(json_object_get(policy, "retry_non_2xx")))
        buf_adds(out, ", whatever the status but 2xx");
}

static void failure_words(const struct cli *cli, struct buf *out, const json_t *sub)
{
    out_value(cli, json_object_get(sub, "last_failure_at"), OUT_TIME, out);
    buf_adds(out, ": ");
    sub_failure_words(out, sub);
}

static void backlog_words(const struct cli *cli, struct buf *out, const json_t *sub)
{
    char n[32];

    waiting_words(out, sub);
    if (json_is_string(json_object_get(sub, "oldest_due_at"))) {
        buf_adds(out, ", oldest ");
        out_value(cli, json_object_get(sub, "oldest_due_at"), OUT_TIME, out);
    }
    if (out_integer(sub, "in_flight") > 0)
        buf_addf(out, "; %s more in flight",
                 text_count(n, sizeof n, out_integer(sub, "in_flight")));
}

static void hour_words(const struct cli *cli, struct buf *out, const json_t *hour)
{
    char n[32];

    buf_addf(out, "%s ok", text_count(n, sizeof n, out_integer(hour, "ok")));
    buf_addf(out, ", %s failed", text_count(n, sizeof n, out_integer(hour, "failed")));
    if (json_is_number(json_object_get(hour, "success_ratio"))) {
        buf_adds(out, " (");
        out_value(cli, json_object_get(hour, "success_ratio"), OUT_RATIO, out);
        buf_adds(out, " ok), p50 ");
        out_value(cli, json_object_get(hour, "p50_seconds"), OUT_BRIEF, out);
        buf_adds(out, ", p95 ");
        out_value(cli, json_object_get(hour, "p95_seconds"), OUT_BRIEF, out);
    }
}

/* As a member for out_fields(), which escapes it. */
static void words_set(json_t *shown, const char *member, struct buf *words)
{
    json_object_set_new(shown, member, json_string(words->data ? words->data : ""));
    buf_clear(words);
}

static json_t *show_words(const struct cli *cli, const json_t *sub)
{
    json_t *shown = sub_with_words(cli, sub), *policy = json_object_get(sub, "retry_policy");
    struct buf words;

    buf_init(&words, LINE_MAX_BYTES);
    buf_addf(&words, "%s_since", out_string(sub, "state"));
    json_object_set(shown, words.data, json_object_get(sub, "state_since"));
    buf_clear(&words);
    if (json_is_string(json_object_get(sub, "last_failure_at"))) {
        failure_words(cli, &words, sub);
        words_set(shown, "last_failure_words", &words);
    }
    hour_words(cli, &words, json_object_get(sub, "last_hour"));
    words_set(shown, "hour_words", &words);
    backlog_words(cli, &words, sub);
    words_set(shown, "backlog_words", &words);
    if (json_is_object(policy)) {
        retry_words(&words, policy);
        words_set(shown, "retry_words", &words);
    }
    if (json_array_size(json_object_get(sub, "headers")) > 0)
        json_object_set(shown, "header_words", json_object_get(sub, "headers"));
    buf_fini(&words);
    return shown;
}

static void secrets_print(const struct cli *cli, const json_t *sub)
{
    static const struct out_column columns[] = {{"SECRET", "key_id", OUT_TEXT},
                                                {"CREATED", "created_at", OUT_TIME},
                                                {"EXPIRES", "expires_at", OUT_TIME},
                                                OUT_COLUMNS_END};
    struct out_table *t = out_table_new(cli, columns);
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(sub, "secrets"), i, item) out_table_row(t, item);
    putchar('\n');
    out_table_print(t);
}

static void next_print(const json_t *sub)
{
    const char *name = out_string(sub, "name"), *state = out_string(sub, "state");

    if (name == NULL || state == NULL)
        return;
    bool paused = strcmp(state, "paused") == 0;
    bool refused = paused && out_string(sub, "failing_since") != NULL;

    if (sub_is_failing(sub) || refused || strcmp(state, "disabled") == 0)
        failure_say(stderr, out_integer(sub, "last_failure_status"),
                    out_string(sub, "last_failure_outcome"), name);
    if (sub_is_failing(sub))
        out_note("Next: webhookctl attempt list -s %s --limit 5", name);
    else if (refused)
        out_note("Next: webhookctl sub test %s, and where it accepts that: webhookctl "
                 "sub resume %s",
                 name, name);
    else if (paused)
        out_note("Next: webhookctl sub resume %s", name);
    else if (strcmp(state, "disabled") == 0)
        out_note("Next: webhookctl sub test %s, and where it accepts that: webhookctl "
                 "sub enable %s",
                 name, name);
    else if (out_integer(sub, "dead") > 0)
        out_note("Next: webhookctl dlq summary -s %s", name);
}

int cmd_sub_show(struct cli *cli)
{
    const char *ref = cli->args->words[0];
    struct answer a;
    int rc = object_get(cli, "subscriptions", ref, NULL, &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        json_t *shown = show_words(cli, a.json);

        out_fields(cli, shown, show_fields);
        secrets_print(cli, a.json);
        egress_note(cli);
        next_print(a.json);
        json_decref(shown);
    }
    answer_fini(&a);
    return CLI_OK;
}

/* ---- stats ---- */
static const struct out_column stats_fields[] = {{"Subscription", "subscription", OUT_TEXT},
                                                 {"State", "state_words", OUT_STATE},
                                                 {"Attempts", "hour_words", OUT_TEXT},
                                                 {"OK/s", "ok_per_second", OUT_RATE},
                                                 {"Failed/s", "failed_per_second", OUT_RATE},
                                                 {"Retries", "retries", OUT_COUNT},
                                                 {"Died", "died", OUT_COUNT},
                                                 {"P99", "p99_seconds", OUT_BRIEF},
                                                 {"Last 2xx", "last_success_at", OUT_TIME},
                                                 {"Last failure", "last_failure_words", OUT_TEXT},
                                                 {"Backlog", "backlog_words", OUT_TEXT},
                                                 {"Dead", "dead", OUT_COUNT},
                                                 {"Since", "since", OUT_TIME},
                                                 {"OK ever", "ok_total", OUT_COUNT},
                                                 {"Failed ever", "failed_total", OUT_COUNT},
                                                 OUT_COLUMNS_END};

static void minutes_print(const struct cli *cli, const json_t *stats)
{
    static const struct out_column columns[] = {
        {"MINUTE", "at", OUT_TIME},        {"OK", "ok", OUT_COUNT},
        {"FAILED", "failed", OUT_COUNT},   {"RETRIES", "retries", OUT_COUNT},
        {"DIED", "died", OUT_COUNT},       {"OK%", "success_ratio", OUT_RATIO},
        {"P50", "p50_seconds", OUT_BRIEF}, {"P95", "p95_seconds", OUT_BRIEF},
        {"P99", "p99_seconds", OUT_BRIEF}, OUT_COLUMNS_END};
    const json_t *minutes = json_object_get(stats, "minutes"), *item;
    size_t i;

    if (json_array_size(minutes) == 0)
        return;
    struct out_table *t = out_table_new(cli, columns);

    json_array_foreach(minutes, i, item) out_table_row(t, item);
    putchar('\n');
    out_table_print(t);
}

int cmd_sub_stats(struct cli *cli)
{
    const char *ref = cli->args->words[0], *window = cli_flag(cli, FLAG_WINDOW);
    struct buf path, query, words;
    struct answer a;

    buf_init(&path, 16384);
    buf_init(&query, 1024);
    client_path(&path, "subscriptions", ref, "stats");
    client_query(&query, "window", window ? window : "1h");
    int rc = client_call(cli, "GET", path.data, query.data, NULL, &a);

    buf_fini(&path);
    buf_fini(&query);
    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        json_t *shown = show_words(cli, a.json);

        buf_init(&words, LINE_MAX_BYTES);
        hour_words(cli, &words, a.json);
        words_set(shown, "hour_words", &words);
        buf_fini(&words);
        out_fields(cli, shown, stats_fields);
        minutes_print(cli, a.json);
        egress_note(cli);
        json_decref(shown);
    }
    answer_fini(&a);
    return CLI_OK;
}
