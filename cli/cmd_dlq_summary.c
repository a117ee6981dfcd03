/* cli/cmd_dlq_summary.c: dead letters in groups, counted here over the list: dlq summary, and whom
 * a replay would reach. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/list.h"
#include "cli/out.h"

/* A preview looks at so many letters, so that it is there at once however many there are. */
#define PREVIEW_MAX 10000

struct summary {
    json_t *groups; /* key -> row */
    bool by_cause;  /* else by subscription alone */
    int64_t total;
};

static void later(json_t *row, const char *member, const char *time, bool wanted_later)
{
    const char *now = out_string(row, member);

    /* RFC 3339 UTC of one form: the order of the bytes is the order in time */
    if (time != NULL && (now == NULL || (strcmp(time, now) > 0) == wanted_later))
        json_object_set_new(row, member, json_string(time));
}

static json_t *group_of(struct summary *s, const json_t *item)
{
    static const char *const copied[] = {"subscription", "subscription_id", "cause", "last_status",
                                         "last_outcome"};
    const char *id = out_string(item, "subscription_id"), *cause = out_string(item, "cause");
    const char *outcome = out_string(item, "last_outcome");
    char key[256];

    if (s->by_cause)
        snprintf(key, sizeof key, "%s\n%s\n%s\n%lld", id ? id : "-", cause ? cause : "-",
                 outcome ? outcome : "-", (long long)out_integer(item, "last_status"));
    else
        snprintf(key, sizeof key, "%s", id ? id : "-");
    json_t *row = json_object_get(s->groups, key);

    if (row != NULL)
        return row;
    row = json_object();
    for (size_t i = 0; i < (s->by_cause ? sizeof copied / sizeof *copied : 2); i++)
        json_object_set(row, copied[i], json_object_get(item, copied[i]));
    json_object_set_new(row, "count", json_integer(0));
    json_object_set_new(s->groups, key, row);
    return row;
}

static bool summary_item(void *arg, const json_t *item)
{
    struct summary *s = arg;
    json_t *row = group_of(s, item);

    json_object_set_new(row, "count", json_integer(out_integer(row, "count") + 1));
    later(row, "first_died_at", out_string(item, "died_at"), false);
    later(row, "last_died_at", out_string(item, "died_at"), true);
    /* the newest of the group, for whoever wants to see one */
    json_object_set(row, "example", json_object_get(item, "id"));
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
static bool subscription_item(void *arg, const json_t *item)
{
    const char *id = out_string(item, "id");

    if (id != NULL)
        json_object_set(arg, id, (json_t *)(uintptr_t)item);
    return true;
}

/* The letters that match, grouped and sorted, with the state of their subscriptions. *rows: free
 * with json_decref() in every case. */
static int summary_make(struct cli *cli, const struct filter_flags *f, struct summary *s,
                        size_t most, json_t **rows)
{
    json_t *subs = json_object(), *row;
    char cursor[128];
    size_t i;
    int rc = list_walk(cli, "/api/v1/dead-letters", f, most, cursor, summary_item, s);

    *rows = NULL;
    if (rc == 0 && s->total > 0)
        rc = list_walk(cli, "/api/v1/subscriptions", NULL, SIZE_MAX, cursor, subscription_item,
                       subs);
    if (rc == 0)
        *rows = summary_sorted(s);
    json_array_foreach(*rows, i, row)
    {
        const char *id = out_string(row, "subscription_id");
        json_t *sub = id ? json_object_get(subs, id) : NULL;
        json_t *state = sub ? json_object_get(sub, "state") : NULL;
        json_t *url = sub ? json_object_get(sub, "url") : NULL;

        json_object_set_new(row, "subscription_state", state ? json_incref(state) : json_null());
        if (!s->by_cause)
            json_object_set_new(row, "url", url ? json_incref(url) : json_null());
    }
    json_decref(subs);
    return rc;
}

/* The largest group that can be replayed: its subscription is there. */
static const char *next_name(const json_t *rows)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        if (out_string(row, "subscription_state") != NULL)
            return out_string(row, "subscription");
    }
    return NULL;
}

static void summary_print(struct cli *cli, const struct summary *s, const json_t *rows)
{
    static const struct out_column columns[] = {
        {"SUBSCRIPTION", "subscription", OUT_TEXT},
        {"CAUSE", "cause", OUT_TEXT},
        {"LAST", "last_status|last_outcome", OUT_TEXT},
        {"COUNT", "count", OUT_TEXT},
        {"FIRST DIED", "first_died_at", OUT_TIME},
        {"LAST DIED", "last_died_at", OUT_TIME},
        {"SUBSCRIPTION NOW", "subscription_state", OUT_TEXT},
        OUT_COLUMNS_END};
    struct out_table *t = out_table_new(cli, columns);
    const char *example = out_string(json_array_get(rows, 0), "example");
    const char *name = next_name(rows);
    size_t i;
    json_t *row;

    printf("%lld dead letter%s\n\n", (long long)s->total, s->total == 1 ? "" : "s");
    json_array_foreach(rows, i, row) out_table_row(t, row);
    out_table_print(t);
    printf("\nWhy:  webhookctl dlq show %s\n", example ? example : "ID");
    if (name != NULL)
        printf("Next: webhookctl dlq replay -s %s --dry-run\n", name);
}

static void summary_out(struct cli *cli, const struct summary *s, json_t *rows)
{
    size_t i;
    json_t *row;

    if (cli->format == OUT_JSON) {
        json_t *whole =
            json_pack("{s:I,s:O,s:n}", "total", (json_int_t)s->total, "items", rows, "next_cursor");

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
    if (s->total == 0)
        out_note("No dead letters match.");
}

int cmd_dlq_summary(struct cli *cli)
{
    struct summary s = {.groups = json_object(), .by_cause = true};
    struct filter_flags f;
    json_t *rows = NULL;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = summary_make(cli, &f, &s, SIZE_MAX, &rows);
    if (rc == 0)
        summary_out(cli, &s, rows);
    json_decref(rows);
    json_decref(s.groups);
    filter_flags_fini(&f);
    return rc;
}

/* Where a replay would wait for somebody. */
static void target_warn(const json_t *row, FILE *to)
{
    const char *state = out_string(row, "subscription_state");
    const char *name = out_string(row, "subscription");
    bool paused = state != NULL && strcmp(state, "paused") == 0;

    if (paused || (state != NULL && strcmp(state, "disabled") == 0))
        fprintf(to, "%s is %s: what is replayed waits until webhookctl sub %s %s\n", name, state,
                paused ? "resume" : "enable", name);
}

int dlq_targets_print(struct cli *cli, const struct filter_flags *f, size_t limit, FILE *to)
{
    static const struct out_column columns[] = {{"TO", "subscription", OUT_TEXT},
                                                {"LETTERS", "count", OUT_TEXT},
                                                {"STATE NOW", "subscription_state", OUT_TEXT},
                                                {"URL", "url", OUT_LONG},
                                                OUT_COLUMNS_END};
    struct summary s = {.groups = json_object()};
    struct out_table *t;
    json_t *rows = NULL, *row;
    size_t i;
    int rc = summary_make(cli, f, &s, limit < PREVIEW_MAX ? limit : PREVIEW_MAX, &rows);

    if (rc == 0) {
        t = out_table_new(cli, columns);
        out_table_to(t, to);
        json_array_foreach(rows, i, row) out_table_row(t, row);
        out_table_print(t);
        if (s.total == PREVIEW_MAX)
            fprintf(to, "(of the first %d letters)\n", PREVIEW_MAX);
        json_array_foreach(rows, i, row) target_warn(row, to);
    }
    json_decref(rows);
    json_decref(s.groups);
    return rc;
}
