/* engine/api_replay_preview.c: what a replay or a resend would do, as the answer of a look: how many of
 * which types, where they go and what is in the way there, what is left out and why. */
#include <stdlib.h>
#include <string.h>

#include "engine/api_replay_impl.h"
#include "engine/api_stats.h"

enum { TARGETS_SHOWN = 100, LIVE_LOOKS = 20000 };
#define LIVE_WINDOW_MS INT64_C(180000)
#define LIVE_LATE_MS INT64_C(10000)
#define LIVE_NEAR 0.9 /* of what the endpoint takes: what is left for a replay is anybody's guess */

/* How long: by the slowest subscription. */
struct pace {
    double sends_s, waits_s; /* its letters; the live ones before them */
    bool unknown;            /* live ones wait where there is no rate */
    bool full;               /* live ones come in as fast as they are taken: nobody knows */
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

/* What came in live in the last minutes, a second: deliveries by their numbers, which grow with time, so
 * that what waits is counted like what is out. Of very many: as the first of them came. */
static enum err_code live_rate(struct api_call *c, int64_t sub, double *out)
{
    int64_t begin_ms = c->now_ms - LIVE_WINDOW_MS, end = 0, end_ms = c->now_ms;
    struct filter f = {
        .subs = &sub, .subs_n = 1, .after_num = id_at(begin_ms), .limit = LIVE_LOOKS};
    struct delivery_key *keys = NULL;
    struct arena mem;
    size_t n = 0;
    arena_init(&mem);
    enum err_code rc = c->ops->delivery_walk(c->b, &f, LIVE_LOOKS, &mem, &keys, &n, &end, c->err);
    if (end != 0 && id_ms(end) > begin_ms)
        end_ms = id_ms(end);
    *out = (double)n * 1000 / (double)(end_ms > begin_ms ? end_ms - begin_ms : LIVE_WINDOW_MS);
    arena_fini(&mem);
    return rc;
}

/* What the endpoint takes, a second: its own rate; or, where deliveries wait although nothing holds them,
 * what went out. 0: as fast as it goes. */
static enum err_code taken_rate(struct api_call *c, const struct subscription *s,
                                const struct sub_stats *x, double *out)
{
    struct traffic *rows = NULL, sum = {0};
    int64_t since_ms = traffic_minute(c->now_ms - LIVE_WINDOW_MS);
    size_t n = 0;
    enum err_code rc = OK;
    *out = s->rate_per_s;
    if (s->rate_per_s > 0 || x->due == 0 || x->oldest_due_ms == 0 ||
        x->oldest_due_ms > c->now_ms - LIVE_LATE_MS)
        return OK;
    rc = c->ops->traffic_minutes(c->b, s->num, since_ms, c->now_ms, c->mem, &rows, &n, c->err);
    for (size_t i = 0; rc == OK && i < n; i++)
        traffic_add(&sum, &rows[i]);
    *out = (double)(sum.ok + sum.failed) * 1000 / (double)(c->now_ms - since_ms);
    return rc;
}

static enum err_code put_live_rates(struct api_call *c, const struct target *t,
                                    const struct sub_stats *x, struct pace *pace)
{
    struct buf *b = &c->resp->body;
    double live = 0, taken = 0;
    enum err_code rc = t->sub.num ? live_rate(c, t->sub.num, &live) : OK;
    if (rc == OK && t->sub.num)
        rc = taken_rate(c, &t->sub, x, &taken);
    bool full = taken > 0 && live >= taken * LIVE_NEAR;
    buf_addf(b, ",\"live_per_second\":%.2f", live);
    if (full)
        buf_addf(b, ",\"taken_per_second\":%.2f", taken);
    else
        put_null(b, "taken_per_second");
    pace->full = pace->full || (full && t->sent.count > 0);
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
    rc = rc == OK ? put_live_rates(c, t, &x, pace) : rc;
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
    about = pace.sends_s > about ? pace.sends_s : about;
    put_real(b, "about_seconds", pace.full ? 0 : about);
    put_real(b, "live_ahead_seconds", pace.unknown ? 0 : pace.waits_s);
    if (rc == OK)
        rc = put_unmatched(c, &r->f, is_resend(r) ? API_FILTER_DELIVERIES : API_FILTER_DEAD);
    buf_addc(b, '}');
    c->resp->status = 200;
    return rc;
}
