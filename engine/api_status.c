/* engine/api_status.c: one screen of the whole: the daemon, what waits and for how long, who fails,
 * and everything that waits for an operator. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/api_stats.h"
#include "engine/egress_pause.h"

enum { WORST = 5, JOBS_SHOWN = 10, STOPPED_LOOKS = 100 };
#define WINDOW_MS INT64_C(300000)

struct worst {
    struct subscription row; /* strings in c->mem */
    struct sub_stats stats;
};

/* What the walk over subscriptions gathers. */
struct whole {
    int64_t subs[SUB_STATES], failing;
    int64_t backlog, due, held, later, oldest_due_ms;
    struct stats_now now;
    const char *oldest_sub;
    struct worst worst[WORST]; /* failing longest first */
    size_t worst_n;
    const char *stopped[SUB_STATES][WORST]; /* names of the first ones that are paused, disabled */
};

static bool keep(struct api_call *c, const char **text)
{
    const char *copy = arena_copy(c->mem, *text);
    bool ok = *text == NULL || copy != NULL;
    *text = copy;
    return ok;
}

/* Those that fail longest stay: since then nothing has arrived there. */
static enum err_code worst_add(struct api_call *c, struct whole *w, const struct subscription *s,
                               const struct sub_stats *x)
{
    size_t at = w->worst_n;
    while (at > 0 && w->worst[at - 1].stats.failing_since_ms > x->failing_since_ms)
        at--;
    if (at == WORST)
        return OK;
    struct worst one = {.row = *s, .stats = *x};
    one.stats.traffic = NULL;
    if (!keep(c, &one.row.name) || !keep(c, &one.row.url) || !keep(c, &one.row.state_cause))
        return fail(c->err, ERR_NOMEM, "no memory for the status");
    size_t n = w->worst_n < WORST ? w->worst_n : WORST - 1;
    memmove(&w->worst[at + 1], &w->worst[at], (n - at) * sizeof w->worst[0]);
    w->worst[at] = one;
    w->worst_n = n + 1;
    return OK;
}

static enum err_code look_at_sub(struct api_call *c, const struct subscription *s, void *arg,
                                 bool *more)
{
    struct whole *w = arg;
    struct sub_stats x;
    (void)more;
    if (s->state != SUB_ACTIVE && w->subs[s->state] < WORST)
        w->stopped[s->state][w->subs[s->state]] = arena_copy(c->mem, s->name);
    w->subs[s->state]++;
    enum err_code rc = stats_of_sub(c, s, NULL, &w->now, &x);
    if (rc != OK)
        return rc;
    w->backlog += x.backlog;
    w->due += x.due;
    w->held += x.held;
    w->later = w->later < 0 || x.later < 0 ? LATER_UNKNOWN : w->later + x.later;
    /* what is paused waits because somebody said so */
    if (s->state == SUB_ACTIVE && x.oldest_due_ms &&
        (!w->oldest_due_ms || x.oldest_due_ms < w->oldest_due_ms)) {
        w->oldest_due_ms = x.oldest_due_ms;
        w->oldest_sub = arena_copy(c->mem, s->name);
    }
    if (!sub_failing(s))
        return OK;
    w->failing++;
    return worst_add(c, w, s, &x);
}

/* ---- members ---- */

/* Without "user:password@", where the URL has one. */
static void put_store_url(struct buf *b, const char *url)
{
    char text[1024];
    const char *host = url ? strstr(url, "://") : NULL;
    const char *at = host ? strchr(host, '@') : NULL;
    if (at)
        (void)snprintf(text, sizeof text, "%.*s***%s", (int)(host + 3 - url), url, at);
    put_str(b, "url", at ? text : url);
}

static void put_reloads(struct buf *b, const struct api_live *live)
{
    put_time(b, "config_loaded_at", live ? live->config_loaded_ms : 0);
    put_int(b, "config_reloads", live ? live->config_reloads : 0);
    if (live)
        put_bool(b, "config_last_reload_ok", live->config_failed_ms == 0);
    else
        put_null(b, "config_last_reload_ok");
    put_time(b, "config_failed_at", live ? live->config_failed_ms : 0);
}

static void put_stopped_subs(struct buf *b, const struct whole *w, enum sub_state state)
{
    put_open(b, sub_state_name(state), '[');
    for (int i = 0; i < WORST && w->stopped[state][i]; i++)
        put_str(b, NULL, w->stopped[state][i]);
    buf_addc(b, ']');
}

static void put_live(struct buf *b, const struct api_live *live)
{
    int64_t up_ms = live ? clock_wall_ms() - live->started_ms : 0;
    put_int(b, "in_flight", live ? live->in_flight : 0);
    put_int(b, "in_flight_limit", live ? live->in_flight_limit : 0);
    buf_addf(b, ",\"delivered_per_second\":%.1f", live ? live->delivered_per_s : 0.0);
    put_int(b, "breakers_open", live ? live->breakers_open : 0);
    put_seconds(b, "uptime_seconds", live ? (up_ms > 0 ? up_ms * 1000 : 0) : -1);
    put_time(b, "started_at", live ? live->started_ms : 0);
    put_reloads(b, live);
    put_bool(b, "draining", live && live->draining);
    put_bool(b, "daemon", live != NULL);
}

static void put_store(struct api_call *c)
{
    struct buf *b = &c->resp->body;
    put_open(b, "store", '{');
    put_store_url(b, c->api->conf->store_url);
    put_int(b, "file_bytes", c->ops->file_bytes(c->b));
    put_int_or_null(b, "log_bytes", c->api->live ? c->api->live->log_bytes : 0);
    buf_addc(b, '}');
}

static void put_deliveries(struct buf *b, const int64_t counts[DELIVERY_STATES])
{
    put_open(b, "deliveries", '{');
    for (int i = 0; i < DELIVERY_STATES; i++)
        put_int(b, delivery_state_name((enum delivery_state)i), counts[i]);
    buf_addc(b, '}');
}

static void put_worst(struct buf *b, const struct whole *w)
{
    put_open(b, "failing", '[');
    for (size_t i = 0; i < w->worst_n; i++) {
        const struct worst *x = &w->worst[i];
        put_open(b, NULL, '{');
        put_id(b, "id", "sub", x->row.num);
        put_str(b, "subscription", x->row.name);
        put_str(b, "url", x->row.url);
        put_health(b, &x->row);
        put_waiting(b, &x->stats);
        put_int(b, "dead", x->stats.dead);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void put_subscriptions(struct buf *b, const struct whole *w)
{
    put_open(b, "subscriptions", '{');
    for (int i = SUB_ACTIVE; i < SUB_DELETED; i++)
        put_int(b, sub_state_name((enum sub_state)i), w->subs[i]);
    put_int(b, "failing", w->failing);
    buf_addc(b, '}');
    put_open(b, "subscriptions_stopped", '{');
    put_stopped_subs(b, w, SUB_PAUSED);
    put_stopped_subs(b, w, SUB_DISABLED);
    buf_addc(b, '}');
}

static const struct outbox_state *outbox_state_of(const struct api_live *live, const char *name)
{
    for (size_t i = 0; live && i < live->outboxes_n; i++)
        if (!strncmp(live->outboxes[i].name, name, sizeof live->outboxes[i].name - 1))
            return &live->outboxes[i];
    return NULL;
}

static void put_outboxes(struct api_call *c)
{
    struct buf *b = &c->resp->body;
    put_open(b, "outboxes", '[');
    for (size_t i = 0; i < c->api->conf->outbox_n; i++) {
        const struct conf_outbox *o = &c->api->conf->outbox[i];
        const char *path = url_sqlite_path(o->url);
        const char *name = o->name && *o->name ? o->name : path ? path : o->url;
        const struct outbox_state *s = outbox_state_of(c->api->live, name);
        bool bad = s && s->error[0];
        put_open(b, NULL, '{');
        put_str(b, "name", name);
        put_str(b, "url", o->url);
        put_str(b, "table", o->table && *o->table ? o->table : "outbox");
        put_str(b, "state", !s ? NULL : bad ? "failing" : s->disk_low ? "disk_low" : "ok");
        put_str(b, "error", bad ? s->error : NULL);
        put_time(b, "failing_since", bad ? s->since_ms : 0);
        put_time(b, "last_taken_at", s ? s->taken_ms : 0);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

/* Since the daemon's start, for whoever takes differences; durations by upper bound, the last one
 * without. */
static void put_attempts(struct buf *b, const struct api_live *live)
{
    if (!live) {
        put_null(b, "attempts");
        return;
    }
    const struct traffic *t = &live->attempts;
    put_open(b, "attempts", '{');
    put_int(b, "ok", t->ok);
    put_int(b, "failed", t->failed);
    put_int(b, "retries", t->retries);
    put_int(b, "died", t->dead);
    put_open(b, "durations", '[');
    for (int i = 0; i < TRAFFIC_BUCKETS; i++)
        put_int(b, NULL, t->buckets[i]);
    buf_adds(b, "]}");
}

static enum err_code put_jobs(struct api_call *c, const struct job *jobs, size_t n)
{
    struct buf *b = &c->resp->body;
    enum err_code rc = OK;
    put_int(b, "jobs_active", (int64_t)n);
    put_open(b, "jobs", '[');
    for (size_t i = 0; rc == OK && i < n && i < JOBS_SHOWN; i++)
        rc = render_job(c, &jobs[i], false);
    buf_addc(b, ']');
    return rc;
}

/* Those that stopped by themselves and have something left to send, until somebody lets them go on or
 * cancels them. */
static enum err_code put_stopped(struct api_call *c)
{
    struct job_filter f = {.states = FILTER_BIT(JOB_STOPPED), .limit = STOPPED_LOOKS};
    struct job *jobs = NULL;
    size_t n = 0, shown = 0;
    enum err_code rc = c->ops->job_list(c->b, &f, c->mem, &jobs, &n, c->err);
    put_open(&c->resp->body, "jobs_stopped", '[');
    for (size_t i = 0; rc == OK && i < n && shown < JOBS_SHOWN; i++) {
        bool left;
        rc = job_resumable(c, &jobs[i], &left);
        if (rc != OK || !left)
            continue;
        rc = render_job(c, &jobs[i], false);
        shown++;
    }
    buf_addc(&c->resp->body, ']');
    return rc;
}

static enum err_code put_window(struct api_call *c)
{
    struct traffic *rows = NULL, total = {0};
    struct stats_window w = {WINDOW_MS, traffic_minute(c->now_ms - WINDOW_MS), 0};
    size_t n = 0;
    enum err_code rc = c->ops->traffic_sum(c->b, w.since_ms, c->mem, &rows, &n, c->err);
    w.over_ms = c->now_ms - w.since_ms;
    for (size_t i = 0; rc == OK && i < n; i++)
        traffic_add(&total, &rows[i]);
    if (rc == OK)
        rc = stats_begun(c, rows, n, &w);
    if (rc != OK)
        return rc;
    put_open(&c->resp->body, "last_5m", '{');
    put_traffic(&c->resp->body, &total, w.over_ms);
    buf_addc(&c->resp->body, '}');
    return OK;
}

enum err_code h_status(struct api_call *c)
{
    const struct api_live *live = c->api->live;
    struct buf *b = &c->resp->body;
    struct whole w = {0};
    int64_t counts[DELIVERY_STATES] = {0}, rejects = 0;
    struct egress_pause egress = {0};
    struct job *jobs = NULL;
    size_t jobs_n = 0;
    enum err_code rc = c->ops->counts(c->b, counts, &rejects, c->err);
    if (rc == OK)
        rc = c->ops->job_list(c->b, &(struct job_filter){.states = JOBS_OPEN, .limit = 1000},
                              c->mem, &jobs, &jobs_n, c->err);
    if (rc == OK)
        rc = egress_pause_read(c->b, &egress, c->err);
    w.now = (struct stats_now){.egress_paused = egress.paused, .due_left = STATS_DUE_MAX};
    if (rc == OK)
        rc = stats_visit_subs(c, 0, false, look_at_sub, &w);
    if (rc != OK)
        return rc;
    int64_t waiting = counts[DELIVERY_PENDING] + counts[DELIVERY_RETRYING];
    if (live)
        deliveries_in_flight(counts, live->in_flight, live->in_flight_retrying);
    put_open(b, NULL, '{');
    put_str(b, "version", WEBHOOKD_VERSION);
    put_bool(b, "ready", live && live->ready);
    put_time(b, "as_of", c->now_ms);
    put_int_or_null(b, "pid", live ? live->pid : 0);
    put_store(c);
    put_deliveries(b, counts);
    put_int(b, "backlog", w.backlog);
    put_int(b, "due", w.due);
    put_int(b, "held", w.held);
    put_later(b, w.later);
    put_time(b, "oldest_due_at", w.oldest_due_ms);
    put_str(b, "oldest_due_subscription", w.oldest_sub);
    render_egress(b, "egress", &egress, waiting);
    put_int(b, "rejects", rejects);
    rc = put_jobs(c, jobs, jobs_n);
    rc = rc == OK ? put_stopped(c) : rc;
    put_subscriptions(b, &w);
    put_worst(b, &w);
    put_outboxes(c);
    if (rc == OK)
        rc = put_window(c);
    if (rc != OK)
        return rc;
    put_attempts(b, live);
    put_live(b, live);
    buf_addc(b, '}');
    c->resp->status = 200;
    return OK;
}
