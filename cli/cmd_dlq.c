/* cli/cmd_dlq.c: dlq summary, list, count, purge. (show, replay, export and import have their own
 * files.) */
#include "cli/cmd_dlq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/out.h"

#define COUNT_IDS_MAX 200

static const char empty[] = "No dead letters match.";
static const char path[] = "/api/v1/dead-letters";

int dlq_count(struct cli *cli, const struct filter_flags *f, int64_t *count, int64_t *bytes)
{
    size_t from = 0;
    int rc = 0;

    *count = *bytes = 0;
    if (f->ids_n == 0 && json_object_get(f->json, "id") != NULL)
        return 0;
    do {
        struct answer a;
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        if (f->query.len > 0)
            buf_adds(&query, f->query.data);
        for (size_t n = 0; from < f->ids_n && n < COUNT_IDS_MAX; n++)
            client_query(&query, "id", f->ids[from++]);
        rc = client_call(cli, "GET", "/api/v1/dead-letters/count", query.data, NULL, &a);
        buf_fini(&query);
        if (rc != 0)
            break;
        *count += out_integer(a.json, "count");
        *bytes += out_integer(a.json, "payload_bytes");
        answer_fini(&a);
    } while (from < f->ids_n);
    return rc;
}

int dlq_selected(struct cli *cli, const struct filter_flags *f, const char *verb)
{
    if (f->any)
        return 0;
    return out_fail(cli, CLI_USAGE, "usage",
                    "dlq %s: name ids or a filter, or say --all; see webhookctl help filters",
                    verb);
}

int cmd_dlq_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"DELIVERY", "id", OUT_TEXT},
                                                {"TYPE", "type", OUT_TEXT},
                                                {"SUBSCRIPTION", "subscription", OUT_TEXT},
                                                {"DIED", "died_at", OUT_TIME},
                                                {"TRIES", "attempts", OUT_TEXT},
                                                {"LAST", "last_status", OUT_TEXT},
                                                {"CAUSE", "cause", OUT_TEXT},
                                                {"EVENT", "event_id", OUT_LONG},
                                                OUT_COLUMNS_END};
    struct filter_flags f;
    struct list l = {.path = path, .filter = &f, .columns = columns, .empty = empty};
    size_t shown = 0;
    bool more = false;
    int64_t count, bytes;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = filter_limit(cli, 50, &l.limit);
    if (rc == 0)
        rc = list_print(cli, &l, &shown, &more);
    if (rc == 0 && more && cli->format == OUT_TABLE && dlq_count(cli, &f, &count, &bytes) == 0)
        out_note("%zu of %lld shown; --limit for more, --all for the rest", shown,
                 (long long)count);
    filter_flags_fini(&f);
    return rc;
}

int cmd_dlq_count(struct cli *cli)
{
    struct filter_flags f;
    int64_t count = 0, bytes;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = dlq_count(cli, &f, &count, &bytes);
    if (rc == 0)
        printf(cli->format == OUT_JSON || cli->format == OUT_JSONL ? "{\"count\":%lld}\n"
                                                                   : "%lld\n",
               (long long)count);
    filter_flags_fini(&f);
    return rc;
}

/* ---- summary: groups are counted here, over the list ---- */

struct summary {
    json_t *groups; /* "subscription\ncause\nstatus" -> row */
    int64_t total;
};

static void later(json_t *row, const char *member, const char *time, bool wanted_later)
{
    const char *now = out_string(row, member);

    /* RFC 3339 UTC of one form: the order of the bytes is the order in time */
    if (time != NULL && (now == NULL || (strcmp(time, now) > 0) == wanted_later))
        json_object_set_new(row, member, json_string(time));
}

static bool summary_item(void *arg, const json_t *item)
{
    struct summary *s = arg;
    const char *sub = out_string(item, "subscription"), *cause = out_string(item, "cause");
    json_t *status = json_object_get(item, "last_status");
    char key[256];

    snprintf(key, sizeof key, "%s\n%s\n%lld", sub ? sub : "-", cause ? cause : "-",
             (long long)json_integer_value(status));
    json_t *row = json_object_get(s->groups, key);

    if (row == NULL) {
        row = json_object();
        json_object_set(row, "subscription", json_object_get(item, "subscription"));
        json_object_set(row, "cause", json_object_get(item, "cause"));
        json_object_set(row, "last_status", status);
        json_object_set_new(row, "count", json_integer(0));
        json_object_set_new(s->groups, key, row);
    }
    json_object_set_new(row, "count", json_integer(out_integer(row, "count") + 1));
    later(row, "first_died_at", out_string(item, "died_at"), false);
    later(row, "last_died_at", out_string(item, "died_at"), true);
    s->total++;
    return true;
}

static int by_count(const void *a, const void *b)
{
    int64_t x = out_integer(*(json_t *const *)a, "count");
    int64_t y = out_integer(*(json_t *const *)b, "count");

    return (x < y) - (x > y);
}

/* The groups as an array, the largest first. */
static json_t *summary_sorted(const struct summary *s)
{
    size_t n = json_object_size(s->groups), i = 0;
    json_t **rows = calloc(n + 1, sizeof *rows);
    json_t *out = json_array(), *row;
    const char *key;

    if (rows == NULL)
        return out;
    json_object_foreach(s->groups, key, row) rows[i++] = row;
    qsort(rows, n, sizeof *rows, by_count);
    for (i = 0; i < n; i++)
        json_array_append(out, rows[i]);
    free(rows);
    return out;
}

/* What each subscription is doing now; one that is gone has no state. */
static bool state_item(void *arg, const json_t *item)
{
    const char *name = out_string(item, "name");

    if (name != NULL)
        json_object_set(arg, name, json_object_get(item, "state"));
    return true;
}

static void summary_print(struct cli *cli, const struct summary *s, json_t *rows)
{
    static const struct out_column columns[] = {
        {"SUBSCRIPTION", "subscription", OUT_TEXT},
        {"CAUSE", "cause", OUT_TEXT},
        {"LAST STATUS", "last_status", OUT_TEXT},
        {"COUNT", "count", OUT_TEXT},
        {"FIRST", "first_died_at", OUT_TIME},
        {"LAST", "last_died_at", OUT_TIME},
        {"SUBSCRIPTION NOW", "subscription_state", OUT_TEXT},
        OUT_COLUMNS_END};
    struct out_table *t = out_table_new(cli, columns);
    size_t i;
    json_t *row;

    printf("%lld dead letter%s\n\n", (long long)s->total, s->total == 1 ? "" : "s");
    json_array_foreach(rows, i, row) out_table_row(t, row);
    out_table_print(t);
    printf("\nNext: webhookctl dlq replay -s %s --dry-run\n",
           out_string(json_array_get(rows, 0), "subscription"));
}

int cmd_dlq_summary(struct cli *cli)
{
    struct summary s = {.groups = json_object()};
    struct filter_flags f;
    json_t *states = json_object(), *rows = NULL, *row;
    char cursor[128];
    size_t i;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = list_walk(cli, path, NULL, &f, SIZE_MAX, cursor, summary_item, &s);
    if (rc == 0 && s.total > 0)
        rc = list_walk(cli, "/api/v1/subscriptions", NULL, NULL, SIZE_MAX, cursor, state_item,
                       states);
    if (rc == 0) {
        rows = summary_sorted(&s);
        json_array_foreach(rows, i, row)
        {
            const char *name = out_string(row, "subscription");
            json_t *state = name ? json_object_get(states, name) : NULL;

            json_object_set_new(row, "subscription_state",
                                state ? json_incref(state) : json_null());
        }
        if (cli->format == OUT_JSON) {
            json_t *whole = json_pack("{s:I,s:O,s:n}", "total", (json_int_t)s.total, "items", rows,
                                      "next_cursor");

            out_json(whole, false);
            json_decref(whole);
        } else if (cli->format != OUT_TABLE) {
            json_array_foreach(rows, i, row) out_json(row, true);
        } else if (s.total > 0) {
            summary_print(cli, &s, rows);
        }
        if (s.total == 0)
            out_note("%s", empty);
    }
    json_decref(rows);
    json_decref(states);
    json_decref(s.groups);
    filter_flags_fini(&f);
    return rc;
}
