/* cli/filter_walk.c: what a filter finds, item by item, page by page, query by query. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/out.h"

enum { PAGE_MAX = 1000 };

struct walk {
    struct cli *cli;
    const char *path;
    const struct filter_flags *filter; /* may be NULL */
    filter_visit_fn *visit;
    void *arg;
    size_t left;
    char *cursor; /* 128 bytes */
    bool stopped;
};

/* One query to its end. base: everything but limit and cursor. */
static int walk_query(struct walk *w, const struct buf *base)
{
    bool more = true;
    int rc = 0;

    w->cursor[0] = '\0';
    while (rc == 0 && more && w->left > 0 && !w->stopped) {
        struct answer a;
        struct buf query;
        char limit[24];
        size_t i;
        json_t *item;

        buf_init(&query, (size_t)256 << 10);
        if (base->len > 0)
            buf_add(&query, base->data, base->len);
        snprintf(limit, sizeof limit, "%zu", w->left < PAGE_MAX ? w->left : (size_t)PAGE_MAX);
        client_query(&query, "limit", limit);
        if (w->cursor[0])
            client_query(&query, "cursor", w->cursor);
        rc = client_call(w->cli, "GET", w->path, query.data, NULL, &a);
        buf_fini(&query);
        if (rc == 0)
            rc = client_readable(w->cli, &a);
        if (rc != 0)
            break;
        json_array_foreach(json_object_get(a.json, "items"), i, item)
        {
            if (w->left == 0 || w->stopped)
                break;
            w->stopped = !w->visit(w->arg, item);
            w->left--;
        }
        const char *next = out_string(a.json, "next_cursor");

        filter_answered(w->filter, a.json);

        text_copy(w->cursor, 128, next ? next : "");
        more = w->cursor[0] != '\0'; /* also after an empty page: it has looked at enough */
        answer_fini(&a);
    }
    return rc;
}

/* ---- the first few of many ids ----
 * They are asked for some at a time, each time in order: what is first of all of them is judged here. */

struct ranked {
    const char *died;
    int64_t num;
    json_t *item;
};

struct merge {
    json_t *items; /* the first so many, in order */
    size_t limit;
    bool newest, cut;
};

static bool merge_visit(void *arg, const json_t *item)
{
    struct merge *m = arg;

    return json_array_append(m->items, (json_t *)(uintptr_t)item) == 0;
}

static int oldest_first(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;
    int died = strcmp(a->died, b->died);

    return died != 0 ? died : (a->num > b->num) - (a->num < b->num);
}

static int newest_first(const void *x, const void *y)
{
    return oldest_first(y, x);
}

/* Sorts what came and lets go what is behind the limit. */
static int merge_cut(struct cli *cli, struct merge *m)
{
    size_t n = json_array_size(m->items), kept = n < m->limit ? n : m->limit;
    struct ranked *ranked = calloc(n + 1, sizeof *ranked);
    json_t *items = json_array();

    for (size_t i = 0; ranked != NULL && i < n; i++) {
        struct ranked *r = &ranked[i];
        const char *id;

        r->item = json_array_get(m->items, i);
        id = out_string(r->item, "id");
        r->died = out_string(r->item, "died_at");
        r->died = r->died != NULL ? r->died : "";
        (void)id_parse(id != NULL ? id : "", "dlv", &r->num);
    }
    if (ranked != NULL)
        qsort(ranked, n, sizeof *ranked, m->newest ? newest_first : oldest_first);
    for (size_t i = 0; ranked != NULL && i < kept; i++)
        json_array_append(items, ranked[i].item);
    free(ranked);
    json_decref(m->items);
    m->items = items;
    m->cut = m->cut || kept < n;
    return json_array_size(items) == kept
               ? 0
               : out_fail(cli, CLI_INTERNAL, "internal", "out of memory");
}

/* Where the list would go on behind the last one that is shown. */
static void merge_cursor(const struct merge *m, char cursor[128])
{
    const json_t *last = json_array_get(m->items, json_array_size(m->items) - 1);
    const char *died = out_string(last, "died_at"), *id = out_string(last, "id");
    int64_t ms = 0, num = 0;

    cursor[0] = '\0';
    if (!m->cut || id == NULL || !id_parse(id, "dlv", &num))
        return;
    if (died != NULL)
        (void)text_parse_time(died, &ms);
    snprintf(cursor, 128, "%lld.%lld", (long long)ms, (long long)num);
}

static bool order_is_newest(const struct walk *w)
{
    const char *order = w->filter->order;

    /* without a word letters come as they died, deliveries the latest first */
    return order != NULL ? strcmp(order, "newest") == 0 : strstr(w->path, "dead-letters") == NULL;
}

static int walk_merged(const struct walk *asked)
{
    struct merge m = {json_array(), asked->left, order_is_newest(asked), false};
    struct walk w = *asked;
    bool more = true;
    size_t from = 0, i;
    json_t *item;
    int rc = 0;

    w.visit = merge_visit;
    w.arg = &m;
    while (rc == 0 && more) {
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        more = filter_query(w.filter, &from, &query);
        w.left = asked->left;
        if (more)
            rc = walk_query(&w, &query);
        m.cut = m.cut || w.cursor[0] != '\0';
        if (rc == 0 && more)
            rc = merge_cut(w.cli, &m);
        buf_fini(&query);
    }
    json_array_foreach(m.items, i, item)
    {
        if (rc != 0 || !asked->visit(asked->arg, item))
            break;
    }
    merge_cursor(&m, w.cursor);
    json_decref(m.items);
    return rc;
}

int filter_walk(struct cli *cli, const char *path, const struct filter_flags *f, size_t limit,
                char cursor[128], filter_visit_fn *visit, void *arg)
{
    static const struct filter_flags everything;
    struct walk w = {cli, path, f, visit, arg, limit, cursor, false};
    size_t from = 0;
    bool more = true;
    int rc = 0;

    cursor[0] = '\0';
    if (f != NULL && f->ids_n > FILTER_QUERY_IDS && limit != SIZE_MAX)
        return walk_merged(&w);
    while (rc == 0 && more && w.left > 0 && !w.stopped) {
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        more = filter_query(f != NULL ? f : &everything, &from, &query);
        if (more)
            rc = walk_query(&w, &query);
        buf_fini(&query);
    }
    return rc;
}

static bool collect_id(void *arg, const json_t *item)
{
    json_array_append(arg, json_object_get(item, "id"));
    return true;
}

int filter_ids(struct cli *cli, const char *path, const struct filter_flags *f, size_t limit,
               json_t *ids)
{
    char cursor[128];

    return filter_walk(cli, path, f, limit, cursor, collect_id, ids);
}

/* What a change of deliveries means where no state is said: engine/api_replay.c, api_discard.c. */
static void states_meant(const struct cli *cli, struct filter_flags *f)
{
    static const char *const open[] = {"pending", "in_flight", "retrying", "held"};

    if (json_object_get(f->json, "state") != NULL)
        return;
    if (strcmp(cli->args->command->words, "delivery resend") == 0)
        filter_text(f, "state", "delivered");
    if (strcmp(cli->args->command->words, "delivery resend") == 0 && f->by_ids)
        filter_text(f, "state", "discarded");
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        if (strcmp(cli->args->command->words, "delivery discard") == 0)
            filter_text(f, "state", open[i]);
    }
}

int filter_to_ids(struct cli *cli, struct filter_flags *f, size_t limit)
{
    bool letters = strncmp(cli->args->command->words, "dlq ", 4) == 0;
    json_t *ids = json_array();

    states_meant(cli, f);
    if (!letters && f->order == NULL) /* as a job goes, not as people look */
        filter_order(f, "oldest");
    int rc =
        filter_ids(cli, letters ? "/api/v1/dead-letters" : "/api/v1/deliveries", f, limit, ids);

    if (rc == 0 && json_array_size(ids) > FILTER_IDS_MAX)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "more than %d %s match: narrow the filter, for instance by -s or --since",
                      FILTER_IDS_MAX, letters ? "dead letters" : "deliveries");
    if (rc == 0)
        rc = filter_name(f, ids);
    json_decref(ids);
    return rc;
}
