/* cli/cmd_dlq_summary.c: dead letters in groups, as the store counts them: dlq summary, the first
 * screen of whoever is called at night, with the commands to type next; and whom a replay would
 * reach.
 *
 * Where one query is not enough (many ids, --contains, which answers page by page), the groups of
 * the answers are added up here. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/failure.h"
#include "cli/job_report.h"
#include "cli/out.h"
#include "cli/shell.h"
#include "cli/sub_words.h"

#define NEXT_SHOWN 3

struct summary {
    const char *by;  /* of the query; NULL: the standard */
    json_t *groups;  /* key -> row */
    json_t *by_list; /* as answered */
    int64_t total, payload_bytes;
};

/* ---- asked and added up ---- */
static void time_merge(json_t *row, const json_t *item, const char *member, int wanted)
{
    const char *old = out_string(row, member), *fresh = out_string(item, member);

    /* RFC 3339 UTC of one form: the order of the bytes is the order in time */
    if (fresh != NULL && (old == NULL || strcmp(fresh, old) * wanted > 0)) {
        json_object_set(row, member, json_object_get(item, member));
        if (wanted > 0)
            json_object_set(row, "example", json_object_get(item, "example"));
    }
}

static void group_merge(struct summary *s, json_t *item)
{
    static const char *const told_by[] = {"subscription_id", "cause", "last_status", "last_outcome",
                                          "type"};
    static const char *const summed[] = {"count", "payload_bytes", "expired"};
    char *key;
    json_t *key_of = json_array();

    for (size_t i = 0; i < sizeof told_by / sizeof *told_by; i++)
        json_array_append(key_of, json_object_get(item, told_by[i]));
    key = json_dumps(key_of, JSON_COMPACT);
    json_decref(key_of);
    json_t *row = key ? json_object_get(s->groups, key) : NULL;

    if (row == NULL && key != NULL) {
        json_object_set(s->groups, key, item);
    } else if (row != NULL) {
        for (size_t i = 0; i < sizeof summed / sizeof *summed; i++)
            json_object_set_new(
                row, summed[i],
                json_integer(out_integer(row, summed[i]) + out_integer(item, summed[i])));
        time_merge(row, item, "first_died_at", -1);
        time_merge(row, item, "last_died_at", 1);
    }
    free(key);
}

/* One query to its end. base: everything but the cursor. */
static int summary_query(struct cli *cli, struct summary *s, const struct filter_flags *f,
                         const struct buf *base)
{
    char cursor[128] = "";
    int rc = 0;

    do {
        struct answer a;
        struct buf query;
        json_t *item;
        size_t i;

        buf_init(&query, (size_t)256 << 10);
        if (base->len > 0)
            buf_add(&query, base->data, base->len);
        if (s->by != NULL)
            client_query(&query, "by", s->by);
        if (cursor[0])
            client_query(&query, "cursor", cursor);
        rc = client_call(cli, "GET", "/api/v1/dead-letters/summary", query.data, NULL, &a);
        buf_fini(&query);
        if (rc != 0)
            break;
        filter_answered(f, a.json);
        s->total += out_integer(a.json, "total");
        s->payload_bytes += out_integer(a.json, "payload_bytes");
        if (s->by_list == NULL)
            s->by_list = json_incref(json_object_get(a.json, "by"));
        json_array_foreach(json_object_get(a.json, "items"), i, item) group_merge(s, item);
        text_copy(cursor, sizeof cursor,
                  out_string(a.json, "next_cursor") ? out_string(a.json, "next_cursor") : "");
        answer_fini(&a);
    } while (cursor[0]);
    return rc;
}

static int summary_ask(struct cli *cli, struct summary *s, const struct filter_flags *f)
{
    size_t from = 0;
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        more = filter_query(f, &from, &query);
        if (more)
            rc = summary_query(cli, s, f, &query);
        buf_fini(&query);
    }
    return rc;
}

static int by_count(const void *a, const void *b)
{
    int64_t x = out_integer(*(json_t *const *)a, "count");
    int64_t y = out_integer(*(json_t *const *)b, "count");

    return (x < y) - (x > y);
}

/* The groups as an array, the largest first, limit of them. */
static json_t *summary_rows(const struct summary *s, size_t limit)
{
    size_t n = json_object_size(s->groups), i = 0;
    json_t **rows = calloc(n + 1, sizeof *rows);
    json_t *out = json_array(), *row;
    const char *key;

    if (rows == NULL)
        return out;
    json_object_foreach(s->groups, key, row) rows[i++] = row;
    qsort(rows, n, sizeof *rows, by_count);
    for (i = 0; i < n && i < limit; i++)
        json_array_append(out, rows[i]);
    free(rows);
    return out;
}

static void summary_fini(struct summary *s)
{
    json_decref(s->groups);
    json_decref(s->by_list);
}

/* ---- what a subscription is doing now ---- */
enum now { NOW_UNKNOWN, NOW_DELETED, NOW_PAUSED, NOW_DISABLED, NOW_FAILING, NOW_FINE };

static enum now now_of(const json_t *now)
{
    const char *state = out_string(now, "state");

    if (state == NULL)
        return NOW_UNKNOWN;
    if (strcmp(state, "deleted") == 0)
        return NOW_DELETED;
    if (strcmp(state, "paused") == 0)
        return NOW_PAUSED;
    if (strcmp(state, "disabled") == 0)
        return NOW_DISABLED;
    return out_string(now, "failing_since") || out_string(now, "broken_since") ? NOW_FAILING
                                                                               : NOW_FINE;
}

static void now_text(const struct cli *cli, const json_t *now, struct buf *out)
{
    json_t *sub = json_copy((json_t *)(uintptr_t)now);
    enum now what = now_of(now);

    if (what == NOW_FAILING && out_string(now, "failing_since") == NULL)
        json_object_set(sub, "failing_since", json_object_get(now, "broken_since"));
    if (what == NOW_UNKNOWN)
        buf_adds(out, "not here");
    else
        sub_state_words(cli, out, sub);
    if (what == NOW_FINE && out_string(now, "last_success_at") != NULL) {
        buf_adds(out, ", 2xx ");
        out_value(cli, json_object_get(now, "last_success_at"), OUT_TIME, out);
    }
    json_decref(sub);
}

/* ---- the screen ---- */
/* "oldest 2h 14m (21 Nov 05:19)" */
static void oldest_text(const struct cli *cli, const json_t *rows, struct buf *out)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const char *first = NULL;
    char text[TEXT_TIME_MAX], ago[32];
    size_t i;
    int64_t ms;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        const char *time = out_string(row, "first_died_at");

        if (time != NULL && (first == NULL || strcmp(time, first) < 0))
            first = time;
    }
    if (first == NULL || !text_parse_time(first, &ms))
        return;
    if (!cli->out_tty || cli->times == OUT_TIMES_UTC) {
        buf_addf(out, ", oldest %s", first);
        return;
    }
    text_time_local(text, ms);
    text_ago(ago, sizeof ago, clock_wall_ms() - ms);
    long month = strtol(text + strlen("2026-"), NULL, 10);

    buf_addf(out, ", oldest %s (%.2s %s %.5s)", ago, text + strlen("2026-11-"),
             months[month >= 1 && month <= 12 ? month - 1 : 0], text + strlen("2026-11-21T"));
}

static bool grouped_by(const struct summary *s, const char *what)
{
    size_t i;
    json_t *word;

    json_array_foreach(s->by_list, i, word)
    {
        if (strcmp(json_string_value(word), what) == 0)
            return true;
    }
    return false;
}

static size_t subscriptions_n(const struct summary *s)
{
    json_t *seen = json_object(), *row;
    const char *key;

    json_object_foreach(s->groups, key, row)
    {
        const char *id = out_string(row, "subscription_id");

        json_object_set_new(seen, id ? id : "-", json_true());
    }
    size_t n = json_object_size(seen);

    json_decref(seen);
    return n;
}

static void table_print(struct cli *cli, const struct summary *s, json_t *rows)
{
    struct out_column columns[9];
    size_t n = 0, i;
    json_t *row;

    if (grouped_by(s, "subscription"))
        columns[n++] = (struct out_column){"SUBSCRIPTION", "subscription", OUT_LONG};
    if (grouped_by(s, "type"))
        columns[n++] = (struct out_column){"TYPE", "type", OUT_LONG};
    if (grouped_by(s, "cause"))
        columns[n++] = (struct out_column){"CAUSE", "cause", OUT_TEXT};
    if (grouped_by(s, "status"))
        columns[n++] = (struct out_column){"LAST", "last_status|last_outcome", OUT_TEXT};
    columns[n++] = (struct out_column){"COUNT", "count", OUT_COUNT};
    columns[n++] = (struct out_column){"FIRST DIED", "first_died_at", OUT_TIME, 1};
    columns[n++] = (struct out_column){"LAST DIED", "last_died_at", OUT_TIME};
    if (grouped_by(s, "subscription"))
        columns[n++] = (struct out_column){"SUBSCRIPTION NOW", "now", OUT_STATE};
    columns[n] = (struct out_column)OUT_COLUMNS_END;
    struct out_table *t = out_table_new(cli, columns);

    json_array_foreach(rows, i, row)
    {
        struct buf now;
        json_t *shown = json_copy(row);

        buf_init(&now, 256);
        now_text(cli, json_object_get(row, "subscription_now"), &now);
        json_object_set_new(shown, "now", json_string(now.data ? now.data : "-"));
        out_table_row(t, shown);
        json_decref(shown);
        buf_fini(&now);
    }
    out_table_print(t);
}

/* A line to copy: the first is told apart. */
struct next {
    const struct cli *cli;
    size_t n;
    const char *cause; /* which of its letters, where it has several kinds; NULL: all of them */
};

__attribute__((format(printf, 3, 4))) static void next_line(struct next *x, const char *name,
                                                            const char *fmt, ...)
{
    struct buf line, word;
    char before[64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(before, sizeof before, fmt, ap);
    va_end(ap);
    buf_init(&word, 4096);
    shell_word(&word, name ? name : "NAME");
    buf_init(&line, 65536);
    buf_addf(&line, "%s webhookctl %s %s", x->n++ == 0 ? "Next:" : "     ", before, word.data);
    if (strncmp(before, "dlq replay", strlen("dlq replay")) == 0) {
        filter_words(x->cli, FLAG_BIT(FLAG_SUBSCRIPTION), &line);
        if (x->cause != NULL)
            buf_addf(&line, " --cause %s", x->cause);
        buf_adds(&line, " --dry-run");
    }
    out_escaped(line.data, line.len, "");
    buf_fini(&line);
    buf_fini(&word);
}

static void not_here_line(struct next *x, const char *name)
{
    struct buf line;

    buf_init(&line, 65536);
    buf_adds(&line, x->n++ == 0 ? "Next: " : "      ");
    sub_not_here_words(&line, name ? name : "its subscription");
    out_escaped(line.data, line.len, "");
    buf_fini(&line);
}

/* What helps depends on what the subscription is doing now. Where it fails, nobody knows whether it
 * still does until something is sent: both are offered, unless somebody has to do something first
 * (a 401 stays one). Nothing can be sent to one that is gone. */
static void next_of(struct next *x, const json_t *row)
{
    const char *name = out_string(row, "subscription");
    const json_t *now = json_object_get(row, "subscription_now");
    int64_t status = out_integer(now, "last_failure_status");
    const char *outcome = out_string(now, "last_failure_outcome");
    const struct failure *why = failure_of(status, outcome);

    switch (now_of(now)) {
    case NOW_UNKNOWN:
        not_here_line(x, name);
        break;
    case NOW_DELETED:
        break;
    case NOW_PAUSED:
        if (out_string(now, "failing_since") != NULL) {
            next_line(x, name, "sub test");
            failure_say(stdout, status, outcome, name);
        }
        next_line(x, name, "sub resume");
        break;
    case NOW_DISABLED:
        next_line(x, name, "sub show");
        failure_say(stdout, status, outcome, name);
        break;
    case NOW_FAILING:
        next_line(x, name, "attempt list --limit 5 -s");
        if (why == NULL || !why->again_in_vain)
            next_line(x, name, "dlq replay -s");
        failure_say(stdout, status, outcome, name);
        break;
    case NOW_FINE:
        next_line(x, name, "dlq replay -s");
        break;
    }
}

/* The cause of a row whose subscription has letters of other causes too: what died of one thing is
 * replayed when that is mended, and the rest would only fail again. */
static const char *cause_among(const struct cli *cli, const json_t *rows, const json_t *row)
{
    const char *id = out_string(row, "subscription_id"), *cause = out_string(row, "cause");
    size_t i;
    json_t *other;

    if (id == NULL || cause == NULL || cli_flag(cli, FLAG_CAUSE) != NULL)
        return NULL;
    json_array_foreach(rows, i, other)
    {
        const char *its = out_string(other, "subscription_id"), *why = out_string(other, "cause");

        if (its != NULL && why != NULL && strcmp(its, id) == 0 && strcmp(why, cause) != 0)
            return cause;
    }
    return NULL;
}

/* Of the subscriptions with the most letters, each once. */
static void next_print(const struct cli *cli, const json_t *rows)
{
    struct next x = {.cli = cli};
    json_t *seen = json_object(), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *id = out_string(row, "subscription_id");

        if (json_object_size(seen) == NEXT_SHOWN || json_object_get(seen, id ? id : "-") != NULL)
            continue;
        json_object_set_new(seen, id ? id : "-", json_true());
        x.cause = cause_among(cli, rows, row);
        next_of(&x, row);
    }
    json_decref(seen);
}

static void summary_print(struct cli *cli, const struct summary *s, json_t *rows)
{
    const char *example = out_string(json_array_get(rows, 0), "example");
    bool by_sub = grouped_by(s, "subscription");
    size_t subs = by_sub ? subscriptions_n(s) : 0;
    struct buf head;

    buf_init(&head, 1024);
    buf_addf(&head, "%s dead letter%s", TEXT_COUNTED(s->total), s->total == 1 ? "" : "s");
    if (by_sub)
        buf_addf(&head, " in %s subscription%s", TEXT_COUNTED(subs), subs == 1 ? "" : "s");
    oldest_text(cli, rows, &head);
    printf("%s\n\n", head.data);
    buf_fini(&head);
    table_print(cli, s, rows);
    if (json_array_size(rows) < json_object_size(s->groups))
        out_note("%s of %s groups shown", TEXT_COUNTED(json_array_size(rows)),
                 TEXT_COUNTED(json_object_size(s->groups)));
    printf("\nWhy:  webhookctl dlq show %s\n", example ? example : "ID");
    if (by_sub)
        next_print(cli, rows);
    else
        puts("Next: webhookctl dlq summary");
    egress_note(cli);
    job_report_stopped(cli, by_sub && cli_flag(cli, FLAG_SUBSCRIPTION) != NULL ? rows : NULL);
}

static void summary_out(struct cli *cli, const struct summary *s, json_t *rows)
{
    size_t i;
    json_t *row;

    if (cli->format == OUT_JSON) {
        json_t *whole =
            json_pack("{s:I,s:I,s:i,s:O?,s:O,s:n}", "total", (json_int_t)s->total, "payload_bytes",
                      (json_int_t)s->payload_bytes, "groups", (int)json_object_size(s->groups),
                      "by", s->by_list, "items", rows, "next_cursor");

        out_json(whole, false);
        json_decref(whole);
    } else if (cli->format == OUT_TABLE && s->total > 0) {
        summary_print(cli, s, rows);
    }
    json_array_foreach(rows, i, row)
    {
        const char *id = out_string(row, "example");

        if (cli->format == OUT_JSONL)
            out_json(row, true);
        else if (cli->format == OUT_ID)
            puts(id ? id : "-");
    }
}

/* --by a --by b,c as one list. */
static int by_read(struct cli *cli, struct buf *out)
{
    for (size_t i = 0; i < cli->args->given_n; i++) {
        if (cli->args->given[i].flag == FLAG_BY)
            buf_addf(out, "%s%s", out->len ? "," : "", cli->args->given[i].value);
    }
    return cli_flag(cli, FLAG_BY) != NULL && out->len == 0
               ? out_fail(cli, CLI_USAGE, "usage",
                          "--by: one or more of subscription, cause, status, type")
               : 0;
}

int cmd_dlq_summary(struct cli *cli)
{
    struct summary s = {.groups = json_object()};
    struct filter_flags f;
    struct buf by;
    size_t limit;
    int rc = filter_flags_read(cli, &f);

    buf_init(&by, 256);
    if (rc == 0)
        rc = filter_limit(cli, SIZE_MAX, &limit);
    if (rc == 0)
        rc = by_read(cli, &by);
    s.by = by.data;
    if (rc == 0)
        rc = summary_ask(cli, &s, &f);
    if (rc == 0) {
        json_t *rows = summary_rows(&s, limit);

        summary_out(cli, &s, rows);
        json_decref(rows);
        rc = filter_unmatched(&f, API_KIND_LETTERS);
        if (rc == 0 && s.total == 0)
            rc = filter_empty(cli, &f, "No dead letters match.");
    }
    buf_fini(&by);
    summary_fini(&s);
    filter_flags_fini(&f);
    return rc;
}
