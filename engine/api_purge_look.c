/* engine/api_purge_look.c: what a purge would do: how many letters, whose, of which types, from when to
 * when, and until when they could be restored. Counted in one look, on the list reader. */
#include <stdlib.h>
#include <string.h>

#include "engine/api_impl.h"

enum { SUBS_SHOWN = 100, TYPES_SHOWN = 100 };

static int by_sub(const void *x, const void *y)
{
    int64_t a = ((const struct dead_group *)x)->sub, b = ((const struct dead_group *)y)->sub;
    return (a > b) - (a < b);
}

static int by_type(const void *x, const void *y)
{
    return strcmp(((const struct dead_group *)x)->type, ((const struct dead_group *)y)->type);
}

static int by_count(const void *x, const void *y)
{
    const struct dead_group *a = x, *b = y;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->type ? by_type(a, b) : by_sub(a, b);
}

static void group_join(struct dead_group *to, const struct dead_group *from)
{
    if (to->count == 0 || from->first_ms < to->first_ms)
        to->first_ms = from->first_ms;
    if (from->last_ms > to->last_ms)
        to->last_ms = from->last_ms;
    if (from->arrivals > to->arrivals)
        to->arrivals = from->arrivals;
    to->count += from->count;
    to->payload_bytes += from->payload_bytes;
}

/* Groups that are the same by `same` become one, in place; the largest first. How many are left. */
static size_t groups_join(struct dead_group *g, size_t n, int (*same)(const void *, const void *))
{
    size_t k = 0;
    if (n == 0)
        return 0;
    qsort(g, n, sizeof *g, same);
    for (size_t i = 1; i < n; i++)
        if (same(&g[k], &g[i]) == 0)
            group_join(&g[k], &g[i]);
        else
            g[++k] = g[i];
    for (size_t i = 0; same == by_sub && i <= k; i++)
        g[i].type = NULL;
    qsort(g, k + 1, sizeof *g, by_count);
    return k + 1;
}

/* ---- whose they are, and who sends them ---- */
static int on_by_sub(const void *x, const void *y)
{
    int64_t a = ((const struct on_sub *)x)->sub, b = ((const struct on_sub *)y)->sub;
    return (a > b) - (a < b);
}

/* One for each subscription of the groups. */
static enum err_code subs_of(struct api_call *c, const struct dead_group *g, size_t n,
                             struct on_sub **subs, size_t *subs_n)
{
    struct on_sub *rows = arena_alloc(c->mem, (n + 1) * sizeof *rows);
    size_t k = 0;
    if (!rows)
        return fail(c->err, ERR_NOMEM, "no memory for a purge");
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct on_sub){.sub = g[i].sub};
    if (n > 0)
        qsort(rows, n, sizeof *rows, on_by_sub);
    for (size_t i = 0; i < n; i++)
        if (k == 0 || rows[k - 1].sub != rows[i].sub)
            rows[k++] = rows[i];
    *subs = rows;
    *subs_n = k;
    return OK;
}

enum err_code purge_count(struct api_call *c, const struct filter *f, struct dead_sums *sums,
                          struct on_sub **subs, size_t *subs_n, int64_t *any)
{
    struct dead_group *g = NULL, all = {.arrivals = 1};
    size_t n = 0;
    enum err_code rc = c->ops->dead_groups(c->b, f, DEAD_BY_SUBSCRIPTION, c->mem, &g, &n, c->err);
    *subs = NULL;
    *subs_n = 0;
    if (rc == ERR_INVALID) { /* so many subscriptions */
        rc = c->ops->dead_count(c->b, f, sums, c->err);
        return rc == OK ? replays_on(c, NULL, 0, any) : rc;
    }
    for (size_t i = 0; rc == OK && i < n; i++)
        group_join(&all, &g[i]);
    *sums = (struct dead_sums){all.count, all.payload_bytes, all.arrivals};
    if (rc == OK)
        rc = subs_of(c, g, n, subs, subs_n);
    return rc == OK ? replays_on(c, *subs, *subs_n, any) : rc;
}

/* By its name now; of one that is gone, by the name that it had. */
static enum err_code put_sub(struct api_call *c, const struct dead_group *g,
                             const struct on_sub *on)
{
    struct buf *b = &c->resp->body;
    struct subscription s = {0};
    enum err_code rc = ERR_NOT_FOUND;
    if (g->sub != 0)
        rc = c->ops->sub_get_num(c->b, g->sub, c->mem, &s, c->err);
    if (rc != OK && rc != ERR_NOT_FOUND)
        return rc;
    put_open(b, NULL, '{');
    put_str(b, "subscription", rc == OK ? s.name : g->sub_name);
    put_id(b, "subscription_id", "sub", g->sub);
    put_int(b, "count", g->count);
    put_int(b, "payload_bytes", g->payload_bytes);
    put_time(b, "oldest_died_at", g->first_ms);
    put_time(b, "newest_died_at", g->last_ms);
    rc = put_in_the_way(c, on ? on->job : 0);
    buf_addc(b, '}');
    return rc;
}

static void put_type(struct buf *b, const struct dead_group *g)
{
    put_open(b, NULL, '{');
    put_str(b, "type", g->type);
    put_int(b, "count", g->count);
    put_int(b, "payload_bytes", g->payload_bytes);
    buf_addc(b, '}');
}

static void put_totals(struct buf *b, const struct dead_group *groups, size_t n)
{
    struct dead_group all = {.arrivals = 1};
    for (size_t i = 0; i < n; i++)
        group_join(&all, &groups[i]);
    put_int(b, "count", all.count);
    put_int(b, "payload_bytes", all.payload_bytes);
    put_time(b, "oldest_died_at", all.first_ms);
    put_time(b, "newest_died_at", all.last_ms);
    put_int(b, "arrived_before", all.arrivals);
}

/* More kinds than can be counted: no types are told. */
static enum err_code count(struct api_call *c, const struct filter *f, bool *types,
                           struct dead_group **groups, size_t *n)
{
    enum err_code rc = c->ops->dead_groups(c->b, f, DEAD_BY_SUBSCRIPTION | DEAD_BY_TYPE, c->mem,
                                           groups, n, c->err);
    *types = rc == OK;
    return rc == ERR_INVALID
               ? c->ops->dead_groups(c->b, f, DEAD_BY_SUBSCRIPTION, c->mem, groups, n, c->err)
               : rc;
}

static enum err_code put_groups(struct api_call *c, struct dead_group *groups, size_t n, bool types)
{
    struct buf *b = &c->resp->body;
    struct dead_group *copy = arena_bytes(c->mem, groups, n * sizeof *groups);
    struct on_sub *on = NULL;
    size_t on_n = 0;
    int64_t any;
    enum err_code rc = copy ? OK : fail(c->err, ERR_NOMEM, "no memory for a preview");
    if (rc == OK)
        rc = subs_of(c, groups, n, &on, &on_n);
    if (rc == OK)
        rc = replays_on(c, on, on_n, &any);
    size_t subs_n = groups_join(groups, n, by_sub);
    size_t types_n = types && copy ? groups_join(copy, n, by_type) : 0;
    put_open(b, "subscriptions", '[');
    for (size_t i = 0; rc == OK && i < subs_n && i < SUBS_SHOWN; i++)
        rc = put_sub(
            c, &groups[i],
            bsearch(&(struct on_sub){.sub = groups[i].sub}, on, on_n, sizeof *on, on_by_sub));
    buf_addc(b, ']');
    put_int(b, "subscriptions_total", (int64_t)subs_n);
    put_open(b, "types", '[');
    for (size_t i = 0; i < types_n && i < TYPES_SHOWN; i++)
        put_type(b, &copy[i]);
    buf_addc(b, ']');
    put_int_or_null(b, "types_total", (int64_t)types_n);
    return rc;
}

enum err_code purge_look(struct api_call *c, const struct api_filter *f, int64_t until_ms)
{
    struct buf *b = &c->resp->body;
    struct dead_group *groups = NULL;
    size_t n = 0;
    bool types;
    enum err_code rc = count(c, &f->f, &types, &groups, &n);
    if (rc != OK)
        return rc;
    put_open(b, NULL, '{');
    put_totals(b, groups, n);
    rc = put_groups(c, groups, n, types);
    put_time(b, "recoverable_until", until_ms);
    if (rc == OK)
        rc = put_unmatched(c, f, API_FILTER_DEAD);
    buf_addc(b, '}');
    c->resp->status = 200;
    return rc;
}
