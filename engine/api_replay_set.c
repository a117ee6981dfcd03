/* engine/api_replay_set.c: where the letters of a replay (or the deliveries of a resend) go: groups
 * by subscription become targets, which are named and judged by what their subscriptions are now.
 *
 * A million letters are counted on the list reader. What changes meanwhile the writer judges anew:
 * the subscriptions' states and their active jobs. */
#include <stdlib.h>

#include "engine/api_replay_impl.h"

enum { FEW = 64 }; /* subscriptions that are looked up one by one */

static int by_sub(const void *x, const void *y)
{
    int64_t a = ((const struct target *)x)->all.sub, b = ((const struct target *)y)->all.sub;
    return a == b ? 0 : a < b ? -1 : 1;
}

struct target *target_of(const struct replay *r, int64_t sub)
{
    struct target key = {.all = {.sub = sub}};
    return r->n ? bsearch(&key, r->targets, r->n, sizeof key, by_sub) : NULL;
}

/* A few are looked up by number; of many, the whole list is cheaper. */
static enum err_code targets_name(struct api_call *c, struct replay *r)
{
    enum err_code rc = OK;
    if (r->n <= FEW || r->job.to_url) { /* copies are sent of what is deleted, too */
        for (size_t i = 0; rc == OK && i < r->n; i++) {
            struct target *t = &r->targets[i];
            rc = c->ops->sub_get_num(c->b, t->all.sub, c->mem, &t->sub, c->err);
            if (rc == ERR_NOT_FOUND)
                rc = OK;
        }
        return rc;
    }
    struct subscription *rows = NULL;
    size_t n = API_PAGE_MAX;
    for (int64_t after = 0; rc == OK && n == API_PAGE_MAX;) {
        rc = c->ops->sub_list(c->b, after, API_PAGE_MAX, false, c->mem, &rows, &n, c->err);
        for (size_t i = 0; rc == OK && i < n; i++) {
            struct target *t = target_of(r, rows[i].num);
            after = rows[i].num;
            if (t)
                t->sub = rows[i];
        }
    }
    return rc;
}

static void span(struct dead_group *sum, int64_t first_ms, int64_t last_ms)
{
    if (first_ms != 0 && (sum->first_ms == 0 || first_ms < sum->first_ms))
        sum->first_ms = first_ms;
    if (last_ms > sum->last_ms)
        sum->last_ms = last_ms;
}

int64_t sent_of(const struct replay *r, const struct dead_group *g)
{
    return g->count - g->gone - (r->job.ignore_expiry ? 0 : g->expired);
}

static void target_add(const struct replay *r, struct target *t, const struct dead_group *g)
{
    bool whole = r->job.ignore_expiry;
    t->all.sub = g->sub;
    t->all.sub_name = g->sub_name;
    t->all.count += g->count;
    t->all.gone += g->gone;
    t->sent.count += sent_of(r, g);
    t->sent.payload_bytes += whole ? g->payload_bytes : g->payload_bytes - g->expired_bytes;
    span(&t->sent, whole ? g->first_ms : g->live_first_ms, whole ? g->last_ms : g->live_last_ms);
}

static int group_by_sub(const void *x, const void *y)
{
    int64_t a = ((const struct dead_group *)x)->sub, b = ((const struct dead_group *)y)->sub;
    return (a > b) - (a < b);
}

enum err_code targets_count(struct api_call *c, struct replay *r, bool types)
{
    unsigned by = DEAD_BY_SUBSCRIPTION | (types ? DEAD_BY_TYPE : 0);
    enum err_code (*groups)(struct backend *, const struct filter *, unsigned, struct arena *,
                            struct dead_group **, size_t *, struct err *) =
        is_resend(r) ? c->ops->over_groups : c->ops->dead_groups;
    enum err_code rc = groups(c->b, &r->f.f, by, c->mem, &r->groups, &r->groups_n, c->err);
    r->types_told = types && rc == OK;
    if (types && rc == ERR_INVALID)
        return targets_count(c, r, false);
    r->targets = rc == OK ? arena_alloc(c->mem, (r->groups_n + 1) * sizeof *r->targets) : NULL;
    if (rc == OK && !r->targets)
        rc = fail(c->err, ERR_NOMEM, "no memory for a replay");
    if (rc == OK && r->groups_n > 0)
        qsort(r->groups, r->groups_n, sizeof *r->groups, group_by_sub);
    for (size_t i = 0; rc == OK && i < r->groups_n; i++) {
        if (r->n == 0 || r->targets[r->n - 1].all.sub != r->groups[i].sub)
            r->targets[r->n++] = (struct target){0};
        target_add(r, &r->targets[r->n - 1], &r->groups[i]);
    }
    return rc;
}

static enum job_reason left_out(const struct subscription *s)
{
    if (s->num == 0)
        return JOB_REASON_DELETED;
    switch (s->state) {
    case SUB_ACTIVE:
    case SUB_STATES:
        return JOB_REASON_NONE;
    case SUB_PAUSED:
        return JOB_REASON_PAUSED;
    case SUB_DISABLED:
        return JOB_REASON_DISABLED;
    case SUB_DELETED:
        return JOB_REASON_DELETED;
    }
    return JOB_REASON_NONE;
}

static void sums_add(struct replay *r, const struct target *t)
{
    r->sum.selected += t->sent.count;
    r->sum.excluded += t->all.count - t->sent.count;
    r->total.payload_bytes += t->sent.payload_bytes;
    span(&r->total, t->sent.first_ms, t->sent.last_ms);
}

/* A purge on its way takes what would be counted here. */
static enum err_code targets_purged(struct api_call *c, struct replay *r)
{
    struct on_sub *subs = arena_alloc(c->mem, (r->n + 1) * sizeof *subs);
    enum err_code rc = subs ? OK : fail(c->err, ERR_NOMEM, "no memory for a replay");
    for (size_t i = 0; rc == OK && i < r->n; i++)
        subs[i] = (struct on_sub){r->targets[i].all.sub, r->targets[i].blocked_by};
    if (rc == OK)
        rc = purges_on(c, subs, r->n);
    for (size_t i = 0; rc == OK && i < r->n; i++)
        r->targets[i].blocked_by = r->targets[i].sent.count > 0 ? subs[i].job : 0;
    return rc;
}

enum err_code targets_judge(struct api_call *c, struct replay *r)
{
    enum err_code rc = targets_name(c, r);
    for (size_t i = 0; rc == OK && i < r->n; i++) {
        struct target *t = &r->targets[i];
        t->out = left_out(&t->sub);
        if (r->job.to_url && t->sub.num)
            t->out = JOB_REASON_NONE; /* what holds the letters has nothing to do with the copies */
        if (t->out != JOB_REASON_NONE)
            t->sent = (struct dead_group){0};
        if (t->sent.count > 0 && !r->job.to_url)
            rc = c->ops->part_active(c->b, t->all.sub, &t->blocked_by, c->err);
        sums_add(r, t);
    }
    return rc == OK && !is_resend(r) ? targets_purged(c, r) : rc;
}

const char *target_name(const struct target *t)
{
    return t->sub.num ? t->sub.name : t->all.sub_name;
}
