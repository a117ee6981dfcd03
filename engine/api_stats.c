/* engine/api_stats.c: what passed through each subscription, and how much waits.
 *
 * The past comes from the store's minutes, so that it is the same with the daemon down; what is in
 * flight, from the live lanes. Windows begin with a minute: `since` says with which. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_stats.h"
#include "engine/egress_pause.h"

enum { PAGE = 256 };
#define WINDOW_MIN_MS INT64_C(60000)
#define LIVED_MIN_MS INT64_C(1000)
#define WINDOW_MAX_MS INT64_C(3600000)

/* ---- one subscription ---- */
static const struct api_lane *lane_of(const struct api_live *live, int64_t sub)
{
    size_t low = 0, high = live ? live->lanes_n : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (live->lanes[mid].sub < sub)
            low = mid + 1;
        else
            high = mid;
    }
    return live && low < live->lanes_n && live->lanes[low].sub == sub ? &live->lanes[low] : NULL;
}

int stats_in_flight(const struct api_live *live, int64_t sub)
{
    const struct api_lane *l = lane_of(live, sub);
    return l ? l->in_flight : 0;
}

int64_t stats_probe_ms(const struct api_live *live, int64_t sub)
{
    const struct api_lane *l = lane_of(live, sub);
    return l ? l->probe_ms : 0;
}

int64_t stats_backlog(const struct api_call *c, const struct subscription *s)
{
    int64_t open = s->counts[DELIVERY_PENDING] + s->counts[DELIVERY_RETRYING];
    int64_t n = open + s->counts[DELIVERY_HELD] - stats_in_flight(c->api->live, s->num);
    return n > 0 ? n : 0; /* the two were not read at one instant */
}

enum err_code stats_now_read(struct api_call *c, int64_t due_max, struct stats_now *out)
{
    struct egress_pause p;
    enum err_code rc = egress_pause_read(c->b, &p, c->err);
    *out = (struct stats_now){.egress_paused = p.paused, .due_left = due_max};
    return rc;
}

static const char *held_by(const struct subscription *s, const struct stats_now *now)
{
    return s->state == SUB_PAUSED     ? "subscription_paused"
           : s->state == SUB_DISABLED ? "subscription_disabled"
           : now->egress_paused       ? "egress_paused"
           : s->broken_since_ms != 0  ? "endpoint_down"
                                      : NULL;
}

static enum err_code count_due(struct api_call *c, const struct subscription *s,
                               struct stats_now *now, struct sub_stats *out)
{
    int64_t busy = out->in_flight, most = now->due_left + busy, n = 0;
    enum err_code rc = c->ops->due_count(c->b, s->num, c->now_ms, most, &n, c->err);
    out->due = n <= busy ? 0 : n - busy < out->backlog ? n - busy : out->backlog;
    out->later = n < most ? out->backlog - out->due : LATER_UNKNOWN;
    now->due_left -= out->due;
    return rc;
}

enum err_code stats_of_sub(struct api_call *c, const struct subscription *s,
                           const struct traffic *t, struct stats_now *now, struct sub_stats *out)
{
    static const struct traffic none;
    enum err_code rc = OK;
    *out = (struct sub_stats){.traffic = t ? t : &none,
                              .in_flight = stats_in_flight(c->api->live, s->num),
                              .dead = s->counts[DELIVERY_DEAD],
                              .failing_since_ms = sub_failing_since(s)};
    out->backlog = stats_backlog(c, s);
    if (out->backlog == 0)
        return OK;
    out->held_by = held_by(s, now);
    if (out->held_by)
        out->held = out->backlog;
    else
        rc = count_due(c, s, now, out);
    if (rc == OK && out->due + out->held > 0)
        rc = c->ops->heads(c->b, &s->num, 1, &out->oldest_due_ms, c->err);
    if (out->oldest_due_ms > c->now_ms || out->oldest_due_ms == TRIAL_DUE_MS)
        out->oldest_due_ms = 0; /* held, and not even due; or somebody tries the endpoint */
    return rc;
}

bool sub_failing(const struct subscription *s)
{
    return s->state == SUB_ACTIVE && sub_failing_since(s) != 0;
}

enum err_code stats_visit_subs(struct api_call *c, int64_t after, bool secrets,
                               stats_visit_fn *visit, void *arg)
{
    enum err_code rc = OK;
    bool more = true;
    while (rc == OK && more) {
        struct arena page;
        struct subscription *rows = NULL;
        size_t n = 0;
        arena_init(&page);
        rc = c->ops->sub_list(c->b, after, PAGE, secrets, &page, &rows, &n, c->err);
        for (size_t i = 0; rc == OK && more && i < n; i++) {
            after = rows[i].num;
            if (rows[i].job == 0)
                rc = visit(c, &rows[i], arg, &more);
        }
        more = more && n == PAGE;
        arena_fini(&page);
    }
    return rc;
}

/* ---- members ---- */
static void put_ratio(struct buf *b, const char *name, const struct traffic *t)
{
    if (t->ok + t->failed == 0)
        put_null(b, name);
    else
        buf_addf(b, ",\"%s\":%.4f", name, (double)t->ok / (double)(t->ok + t->failed));
}

void put_traffic(struct buf *b, const struct traffic *t, int64_t over_ms)
{
    double seconds = (double)over_ms / 1000.0;
    put_int(b, "ok", t->ok);
    put_int(b, "failed", t->failed);
    put_int(b, "retries", t->retries);
    put_int(b, "died", t->dead);
    if (seconds > 0)
        buf_addf(b, ",\"ok_per_second\":%.3f,\"failed_per_second\":%.3f", (double)t->ok / seconds,
                 (double)t->failed / seconds);
    put_ratio(b, "success_ratio", t);
    put_seconds(b, "p50_seconds", traffic_percentile(t, 0.50));
    put_seconds(b, "p95_seconds", traffic_percentile(t, 0.95));
    put_seconds(b, "p99_seconds", traffic_percentile(t, 0.99));
}

void put_later(struct buf *b, int64_t later)
{
    if (later == LATER_UNKNOWN)
        put_null(b, "later");
    else
        put_int(b, "later", later);
}

void put_waiting(struct buf *b, const struct sub_stats *x)
{
    put_int(b, "backlog", x->backlog);
    put_int(b, "due", x->due);
    put_int(b, "held", x->held);
    put_str(b, "held_by", x->held_by);
    put_later(b, x->later);
    put_time(b, "oldest_due_at", x->oldest_due_ms);
}

void put_sub_stats(struct buf *b, const struct subscription *s, const struct sub_stats *x,
                   int64_t over_ms)
{
    put_id(b, "id", "sub", s->num);
    put_str(b, "subscription", s->name);
    put_str(b, "url", s->url);
    put_str(b, "state", sub_state_name(s->state));
    put_str(b, "state_cause", s->state_cause);
    put_time(b, "state_since", s->state_since_ms);
    put_time(b, "resume_at", s->resume_at_ms);
    put_traffic(b, x->traffic, over_ms);
    put_int(b, "in_flight", x->in_flight);
    put_waiting(b, x);
    put_int(b, "dead", x->dead);
    put_time(b, "broken_since", s->broken_since_ms);
    put_health(b, s);
    put_int(b, "ok_total", s->health.ok_total);
    put_int(b, "failed_total", s->health.failed_total);
}

/* ---- windows ---- */
enum err_code stats_window(struct api_call *c, const char *standard, struct stats_window *w)
{
    const char *text = json_string_value(json_object_get(c->query, "window"));
    text = text ? text : standard;
    if (!text_parse_duration(text, &w->window_ms) || w->window_ms < WINDOW_MIN_MS ||
        w->window_ms > WINDOW_MAX_MS)
        return api_refuse(c, 422, "invalid_parameter", "window",
                          "window: not a duration from 1m to 1h: %.40s", text);
    w->since_ms = traffic_minute(c->now_ms - w->window_ms);
    w->over_ms = c->now_ms - w->since_ms;
    return OK;
}

/* A rate is over the time that was lived: one that is younger than the window has not had all of it. */
static int64_t over_since(const struct api_call *c, const struct stats_window *w, int64_t born_ms)
{
    int64_t over_ms = c->now_ms - born_ms;
    if (born_ms <= w->since_ms)
        return w->over_ms;
    return over_ms > LIVED_MIN_MS ? over_ms : LIVED_MIN_MS;
}

static void window_lived(const struct api_call *c, struct stats_window *w, int64_t born_ms)
{
    w->over_ms = over_since(c, w, born_ms);
    if (born_ms > w->since_ms)
        w->since_ms = born_ms;
}

enum err_code stats_begun(struct api_call *c, const struct traffic *rows, size_t n,
                          struct stats_window *w)
{
    const struct api_live *live = c->api->live;
    struct traffic *others = NULL;
    int64_t made = 0;
    enum err_code rc = OK;
    if (!live || live->started_ms <= w->since_ms)
        return OK;
    if (!rows) {
        rc = c->ops->traffic_sum(c->b, w->since_ms, c->mem, &others, &n, c->err);
        rows = others;
    }
    for (size_t i = 0; rc == OK && i < n; i++)
        made += rows[i].ok + rows[i].failed;
    if (rc == OK && made <= live->attempts.ok + live->attempts.failed)
        window_lived(c, w, live->started_ms);
    return rc;
}

static enum err_code first_born(struct api_call *c, const struct subscription *s, void *arg,
                                bool *more)
{
    (void)c;
    *(int64_t *)arg = s->created_ms;
    *more = false;
    return OK;
}

static void put_window(struct api_call *c, const struct stats_window *w)
{
    struct buf *b = &c->resp->body;
    put_seconds(b, "window_seconds", w->window_ms * 1000);
    put_time(b, "since", w->since_ms);
    put_time(b, "as_of", c->now_ms);
    put_bool(b, "daemon", c->api->live != NULL);
}

const struct traffic *stats_find(const struct traffic *rows, size_t n, int64_t sub)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (rows[mid].sub < sub)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && rows[low].sub == sub ? &rows[low] : NULL;
}

/* ---- GET /stats ---- */
struct listing {
    struct stats_window window;
    struct traffic *rows;
    size_t rows_n;
    const int64_t *named; /* of these subscriptions only; NULL: any */
    size_t named_n;
    bool all; /* also those without anything */
    size_t limit, n;
    int64_t last;
    bool more;
    struct stats_now now;
};

static bool is_named(const struct listing *l, int64_t sub)
{
    for (size_t i = 0; i < l->named_n; i++)
        if (l->named[i] == sub)
            return true;
    return l->named == NULL;
}

static enum err_code list_sub(struct api_call *c, const struct subscription *s, void *arg,
                              bool *more)
{
    struct listing *l = arg;
    struct buf *b = &c->resp->body;
    struct sub_stats x;
    const struct traffic *t = stats_find(l->rows, l->rows_n, s->num);
    if (!is_named(l, s->num))
        return OK;
    if (l->n == l->limit) {
        l->more = true;
        *more = false;
        return OK;
    }
    enum err_code rc = stats_of_sub(c, s, t, &l->now, &x);
    if (rc != OK)
        return rc;
    bool quiet = !t && !x.backlog && !x.in_flight && !x.dead && s->state == SUB_ACTIVE;
    if (quiet && !l->all && !l->named)
        return OK;
    put_open(b, NULL, '{');
    put_sub_stats(b, s, &x, over_since(c, &l->window, s->created_ms));
    buf_addc(b, '}');
    l->last = s->num;
    l->n++;
    return OK;
}

/* By name, by id, or many by 'acme*', as in every filter. One that nobody has is a mistake of the
 * caller's, not an empty list. */
static enum err_code named_read(struct api_call *c, struct listing *l)
{
    json_t *asked = json_object_get(c->query, "subscription");
    json_t *filter = asked ? json_pack("{s:O}", "subscription", asked) : NULL;
    struct api_filter f;
    if (!asked)
        return OK;
    enum err_code rc = filter ? api_filter_of_call(c, filter, API_FILTER_DELIVERIES, &f)
                              : fail(c->err, ERR_NOMEM, "no memory for a filter");
    json_decref(filter);
    if (rc == OK && f.deleted)
        rc = api_refuse(c, 404, "not_found", "subscription", "that subscription is deleted");
    if (rc == OK) {
        l->named = f.f.subs;
        l->named_n = f.f.subs_n;
    }
    return rc;
}

enum err_code h_stats(struct api_call *c)
{
    struct listing l = {.all = api_param_true(c, "all")};
    struct buf *b = &c->resp->body;
    struct api_page page;
    struct traffic total = {0};
    int64_t born_ms = 0;
    enum err_code rc = api_page_read(c, &page);
    if (rc == OK)
        rc = stats_window(c, "5m", &l.window);
    if (rc == OK)
        rc = named_read(c, &l);
    if (rc == OK)
        rc = stats_now_read(c, STATS_DUE_MAX, &l.now);
    if (rc == OK)
        rc = c->ops->traffic_sum(c->b, l.window.since_ms, c->mem, &l.rows, &l.rows_n, c->err);
    if (rc != OK)
        return rc;
    l.limit = page.limit;
    rc = stats_visit_subs(c, 0, false, first_born, &born_ms); /* the oldest is the first */
    if (rc != OK)
        return rc;
    window_lived(c, &l.window, born_ms);
    rc = stats_begun(c, l.rows, l.rows_n, &l.window);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < l.rows_n; i++)
        if (is_named(&l, l.rows[i].sub))
            traffic_add(&total, &l.rows[i]);
    put_open(b, NULL, '{');
    put_window(c, &l.window);
    put_open(b, "total", '{');
    put_traffic(b, &total, l.window.over_ms);
    buf_addc(b, '}');
    put_open(b, "items", '[');
    rc = stats_visit_subs(c, page.after_num, false, list_sub, &l);
    if (rc != OK)
        return rc;
    return put_list_end(c, l.more, 0, l.last);
}

/* ---- GET /subscriptions/{ref}/stats ---- */
enum err_code h_sub_stats(struct api_call *c)
{
    struct subscription s;
    struct stats_window w;
    struct stats_now now;
    struct sub_stats x;
    struct traffic sum = {0}, *rows = NULL;
    struct buf *b = &c->resp->body;
    size_t n = 0;
    enum err_code rc = sub_of_ref(c, &s);
    if (rc == OK)
        rc = stats_window(c, "1h", &w);
    if (rc == OK)
        rc = c->ops->traffic_minutes(c->b, s.num, w.since_ms, c->now_ms, c->mem, &rows, &n, c->err);
    for (size_t i = 0; rc == OK && i < n; i++)
        traffic_add(&sum, &rows[i]);
    if (rc == OK)
        rc = stats_now_read(c, STATS_DUE_MAX, &now);
    if (rc == OK)
        rc = stats_of_sub(c, &s, &sum, &now, &x);
    window_lived(c, &w, s.created_ms);
    if (rc == OK)
        rc = stats_begun(c, NULL, 0, &w);
    if (rc != OK)
        return rc;
    put_open(b, NULL, '{');
    put_sub_stats(b, &s, &x, w.over_ms);
    put_window(c, &w);
    put_open(b, "minutes", '[');
    for (size_t i = 0; i < n; i++) {
        put_open(b, NULL, '{');
        put_time(b, "at", rows[i].minute_ms);
        put_traffic(b, &rows[i], 0);
        buf_addc(b, '}');
    }
    buf_adds(b, "]}");
    c->resp->status = 200;
    return OK;
}
