/* engine/api_replay_preview.c: what a replay or a resend would do, as the answer of a look: how many of
 * which types, where they go and what is in the way there, what is left out and why. */
#include <stdlib.h>
#include <string.h>

#include "engine/api_replay_impl.h"
#include "engine/api_stats.h"

enum { TARGETS_SHOWN = 100 };

/* How long: by the slowest subscription. */
struct pace {
    double sends_s, waits_s; /* its letters; the live ones before them */
    bool unknown;            /* live ones wait where there is no rate */
};

static int group_by_type(const void *x, const void *y)
{
    return strcmp(((const struct dead_group *)x)->type, ((const struct dead_group *)y)->type);
}

static int group_by_count(const void *x, const void *y)
{
    int64_t a = ((const struct dead_group *)x)->count, b = ((const struct dead_group *)y)->count;
    return a == b ? group_by_type(x, y) : a > b ? -1 : 1;
}

/* Types of what will be sent, the commonest first: what becomes of the groups, whose end this is. */
static size_t types_find(struct replay *r)
{
    struct dead_group *g = r->groups;
    size_t sent_n = 0, n = 0;
    for (size_t i = 0; r->types_told && i < r->groups_n; i++) {
        const struct target *t = target_of(r, g[i].sub);
        int64_t count = sent_of(r, &g[i]);
        if (t && t->out == JOB_REASON_NONE && count > 0)
            g[sent_n++] = (struct dead_group){.type = g[i].type, .count = count};
    }
    if (sent_n == 0)
        return 0;
    qsort(g, sent_n, sizeof *g, group_by_type);
    for (size_t i = 1; i < sent_n; i++)
        if (strcmp(g[i].type, g[n].type) == 0)
            g[n].count += g[i].count;
        else
            g[++n] = g[i];
    qsort(g, n + 1, sizeof *g, group_by_count);
    return n + 1;
}

static void put_excluded_by(struct buf *b, const char *reason, int64_t n)
{
    if (n == 0)
        return;
    put_open(b, NULL, '{');
    put_str(b, "reason", reason);
    put_int(b, "count", n);
    buf_addc(b, '}');
}

static void put_excluded(struct buf *b, const struct replay *r)
{
    int64_t by[JOB_REASONS] = {0}, gone = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct target *t = &r->targets[i];
        bool sent_to = t->out == JOB_REASON_NONE; /* so what is left out has expired, or is gone */
        gone += sent_to ? t->all.gone : 0;
        by[t->out] += t->all.count - t->sent.count - (sent_to ? t->all.gone : 0);
    }
    put_open(b, "excluded_by", '[');
    put_excluded_by(b, "payload_gone", gone);
    put_excluded_by(b, cause_name(CAUSE_EXPIRED), by[JOB_REASON_NONE]);
    for (int i = 1; i < JOB_REASONS; i++)
        put_excluded_by(b, job_reason_name((enum job_reason)i), by[i]);
    buf_addc(b, ']');
}

static enum err_code put_in_the_way(struct api_call *c, int64_t job)
{
    struct buf *b = &c->resp->body;
    struct job j = {0};
    enum err_code rc = job ? c->ops->job_get(c->b, job, c->mem, &j, c->err) : OK;
    put_id(b, "blocked_by", "job", job);
    put_str(b, "blocked_by_state", job ? job_state_name(j.state) : NULL);
    put_str(b, "blocked_by_actor", j.actor);
    struct job_counts n = {0};
    rc = rc == OK && job ? c->ops->part_sums(c->b, job, &n, c->err) : rc;
    put_int(b, "blocked_by_done", n.delivered + n.dead_again + n.discarded);
    put_int(b, "blocked_by_selected", n.selected);
    return rc;
}

/* Live deliveries that are due there go first, each subscription at its own rate. */
static enum err_code put_waiting_there(struct api_call *c, const struct target *t,
                                       struct stats_now *now, struct pace *pace)
{
    struct sub_stats x = {0};
    enum err_code rc = t->sub.num ? stats_of_sub(c, &t->sub, NULL, now, &x) : OK;
    int64_t first = x.due + x.held;
    double rate = t->sub.rate_per_s;
    put_int(&c->resp->body, "backlog", x.backlog);
    put_int(&c->resp->body, "live_ahead", first);
    put_real(&c->resp->body, "rate_per_second", rate);
    if (t->sent.count == 0)
        return rc;
    if (rate > 0 && (double)t->sent.count / rate > pace->sends_s)
        pace->sends_s = (double)t->sent.count / rate;
    if (rate > 0 && (double)first / rate > pace->waits_s)
        pace->waits_s = (double)first / rate;
    pace->unknown = pace->unknown || (rate <= 0 && first > 0);
    return rc;
}

static enum err_code put_target(struct api_call *c, const struct target *t, struct stats_now *now,
                                struct pace *pace)
{
    static const struct subscription unknown = {.state = SUB_DELETED};
    struct buf *b = &c->resp->body;
    put_open(b, NULL, '{');
    put_str(b, "subscription", target_name(t));
    put_id(b, "subscription_id", "sub", t->all.sub);
    put_sub_now(b, t->sub.num ? &t->sub : &unknown);
    enum err_code rc = put_waiting_there(c, t, now, pace);
    put_str(b, "reason", job_reason_name(t->out));
    put_int(b, "count", t->sent.count);
    put_int(b, "payload_bytes", t->sent.payload_bytes);
    put_int(b, "excluded", t->all.count - t->sent.count);
    rc = rc == OK ? put_in_the_way(c, t->blocked_by) : rc;
    buf_addc(b, '}');
    return rc;
}

static enum err_code put_targets(struct api_call *c, const struct replay *r, struct pace *pace)
{
    struct stats_now now = {.egress_paused = r->egress_paused, .due_left = STATS_DUE_MAX};
    struct buf *b = &c->resp->body;
    enum err_code rc = OK;
    put_open(b, "targets", '[');
    for (size_t i = 0; rc == OK && i < r->n && i < TARGETS_SHOWN; i++)
        rc = put_target(c, &r->targets[i], &now, pace);
    buf_addc(b, ']');
    put_int(b, "targets_total", (int64_t)r->n);
    return rc;
}

static void put_types(struct buf *b, struct replay *r)
{
    size_t n = types_find(r);
    put_open(b, "types", '[');
    for (size_t i = 0; i < n; i++) {
        put_open(b, NULL, '{');
        put_str(b, "type", r->groups[i].type);
        put_int(b, "count", r->groups[i].count);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

enum err_code preview_answer(struct api_call *c, struct replay *r)
{
    struct buf *b = &c->resp->body;
    double rate = r->job.rate_per_s;
    struct pace pace = {0};
    put_open(b, NULL, '{');
    put_int(b, "count", r->sum.selected);
    put_int(b, "payload_bytes", r->total.payload_bytes);
    put_int(b, "excluded", r->sum.excluded);
    put_excluded(b, r);
    put_types(b, r);
    put_time(b, "oldest_died_at", is_resend(r) ? 0 : r->total.first_ms);
    put_time(b, "newest_died_at", is_resend(r) ? 0 : r->total.last_ms);
    put_time(b, "oldest_created_at", is_resend(r) ? r->total.first_ms : 0);
    put_time(b, "newest_created_at", is_resend(r) ? r->total.last_ms : 0);
    put_bool(b, "egress_paused", r->egress_paused);
    render_job_options(b, &r->job);
    put_time(b, "until", r->f.f.until_ms); /* with it the set is the same later */
    enum err_code rc = put_targets(c, r, &pace);
    double about = rate > 0 ? (double)r->sum.selected / rate : 0;
    if (r->job.to_url) /* nobody's rate, and nobody's letters before them */
        pace = (struct pace){0};
    put_real(b, "about_seconds", pace.sends_s > about ? pace.sends_s : about);
    put_real(b, "live_ahead_seconds", pace.unknown ? 0 : pace.waits_s);
    buf_addc(b, '}');
    c->resp->status = 200;
    return rc;
}
