/* engine/api_sub_look.c: subscriptions looked at: the list, and one with everything about it. Its
 * secrets' ages are shown, their values never. */
#include <string.h>

#include "base/text.h"
#include "engine/api_stats.h"
#include "policy/profile.h"

#define HOUR_MS INT64_C(3600000)

enum { EACH_MAX = 64 };

struct look {
    int64_t since_ms; /* the last hour */
    bool each;        /* few: the minutes of each are sought; else the sums of all are at hand */
    struct traffic *rows; /* those sums */
    size_t rows_n;
    const char *state; /* only such; NULL: any. "failing" is one of them */
    int64_t partner;   /* 0: any */
    size_t limit, n;
    int64_t last;
    bool more;
    struct stats_now now;
};

static enum err_code hour_read(struct api_call *c, struct look *l, size_t limit)
{
    enum err_code rc = stats_now_read(c, 0, &l->now);
    l->since_ms = traffic_minute(c->now_ms - HOUR_MS);
    l->each = limit <= EACH_MAX;
    if (rc == OK && !l->each)
        rc = c->ops->traffic_sum(c->b, l->since_ms, c->mem, &l->rows, &l->rows_n, c->err);
    return rc;
}

/* *sum is where it is put together; *t: NULL where there was nothing. */
static enum err_code hour_of(struct api_call *c, const struct look *l, int64_t sub,
                             struct traffic *sum, const struct traffic **t)
{
    struct traffic *minutes = NULL;
    size_t n = 0;
    *t = stats_find(l->rows, l->rows_n, sub);
    if (!l->each)
        return OK;
    *sum = (struct traffic){.sub = sub};
    enum err_code rc =
        c->ops->traffic_minutes(c->b, sub, l->since_ms, c->now_ms, c->mem, &minutes, &n, c->err);
    for (size_t i = 0; rc == OK && i < n; i++)
        traffic_add(sum, &minutes[i]);
    *t = n > 0 ? sum : NULL;
    return rc;
}

/* The subscription and what the last hour knows of it; the object stays open. */
static enum err_code render_looked(struct api_call *c, const struct subscription *s, struct look *l)
{
    struct buf *b = &c->resp->body;
    struct sub_stats x;
    struct traffic sum;
    const struct traffic *t;
    enum err_code rc = hour_of(c, l, s->num, &sum, &t);
    l->now.due_left = STATS_DUE_MAX / 10;
    if (rc == OK)
        rc = stats_of_sub(c, s, t, &l->now, &x);
    if (rc != OK)
        return rc;
    render_subscription(b, s, c->now_ms, NULL);
    put_waiting(b, &x);
    put_int(b, "in_flight", x.in_flight);
    put_int(b, "dead", x.dead);
    put_int(b, "ok_total", s->health.ok_total);
    put_int(b, "failed_total", s->health.failed_total);
    put_open(b, "last_hour", '{');
    put_traffic(b, x.traffic, 0);
    buf_addc(b, '}');
    return OK;
}

/* ---- the list ---- */
static bool wanted(const struct look *l, const struct subscription *s)
{
    if (l->partner != 0 && s->partner != l->partner)
        return false;
    if (l->state == NULL)
        return true;
    return !strcmp(l->state, "failing") ? sub_failing(s)
                                        : !strcmp(l->state, sub_state_name(s->state));
}

static enum err_code list_sub(struct api_call *c, const struct subscription *s, void *arg,
                              bool *more)
{
    struct look *l = arg;
    if (!wanted(l, s))
        return OK;
    if (l->n == l->limit) {
        l->more = true;
        *more = false;
        return OK;
    }
    enum err_code rc = render_looked(c, s, l);
    buf_addc(&c->resp->body, '}');
    l->last = s->num;
    l->n++;
    return rc;
}

static enum err_code filters_read(struct api_call *c, struct look *l)
{
    static const char *const STATES[] = {"active", "paused", "disabled", "failing", NULL};
    const char *partner = json_string_value(json_object_get(c->query, "partner"));
    char near[TEXT_NEAR_MAX];
    struct partner p;
    l->state = json_string_value(json_object_get(c->query, "state"));
    if (l->state && strcmp(l->state, "active") && strcmp(l->state, "paused") &&
        strcmp(l->state, "disabled") && strcmp(l->state, "failing"))
        return api_refuse(c, 422, "invalid_parameter", "state",
                          "state: '%.40s' is not one of active, paused, disabled, failing%s",
                          l->state, text_did_you_mean(near, l->state, STATES));
    if (!partner)
        return OK;
    enum err_code rc = c->ops->partner_get(c->b, partner, c->mem, &p, c->err);
    if (rc == ERR_NOT_FOUND)
        return api_refuse(c, 404, "not_found", "partner", "%s",
                          api_nobody(c->b, API_KIND_PARTNER, partner, c->mem));
    l->partner = rc == OK ? p.num : 0;
    return rc;
}

enum err_code h_subs_list(struct api_call *c)
{
    struct look l = {0};
    struct api_page page;
    enum err_code rc = api_page_read(c, &page);
    if (rc == OK)
        rc = filters_read(c, &l);
    if (rc == OK)
        rc = hour_read(c, &l, page.limit);
    if (rc != OK)
        return rc;
    l.limit = page.limit;
    put_list_begin(c);
    rc = stats_visit_subs(c, page.after_num, true, list_sub, &l);
    if (rc != OK)
        return rc;
    return put_list_end(c, l.more, 0, l.last);
}

/* ---- one ---- */
/* The policy that holds now, and its delays as they would be if no dice were thrown. */
static void put_retry_policy(struct api_call *c, const struct subscription *s)
{
    const struct conf *conf = c->api->conf;
    struct buf *b = &c->resp->body;
    const struct profile *profile = profile_find(s->profile ? s->profile : conf->profile);
    const struct retry_policy *p = conf_retry(conf, s->retry  ? s->retry
                                                    : profile ? profile->retry
                                                              : NULL);
    if (p == NULL)
        p = conf_retry(conf, "default");
    if (p == NULL) {
        put_null(b, "retry_policy");
        return;
    }
    struct retry_facts f = {.failed = 1, .hint_ms = -1, .dice = UINT32_C(0x80000000)};
    int64_t delay_ms = 0;
    put_open(b, "retry_policy", '{');
    put_str(b, "name", p->name);
    put_open(b, "delays_seconds", '[');
    for (; f.failed <= RETRY_SCHEDULE_MAX && retry_next(p, &f, &delay_ms); f.failed++) {
        /* thousandths are enough: the dice leave less */
        put_seconds(b, NULL, (delay_ms - f.now_ms) * 1000);
        f.now_ms = delay_ms;
    }
    buf_addc(b, ']');
    put_int(b, "attempts", f.failed);
    buf_addf(b, ",\"jitter\":%.4g", p->jitter);
    put_seconds(b, "max_age_seconds", p->max_age_ms > 0 ? p->max_age_ms * 1000 : -1);
    put_seconds(b, "retry_after_max_seconds", p->retry_after_max_ms * 1000);
    put_bool(b, "retry_non_2xx", p->retry_non_2xx);
    buf_addc(b, '}');
}

/* What brought it into its state last: *n is 0 or 1. */
static enum err_code state_entry(struct api_call *c, const struct subscription *s,
                                 const char *action, struct audit_entry **rows, size_t *n)
{
    char id[ID_TEXT_MAX];
    struct audit_filter f = {.action = action,
                             .target = id_text(id, "sub", s->num),
                             .since_ms = s->state_since_ms,
                             .limit = 1};
    return c->ops->audit_list(c->b, &f, c->mem, rows, n, c->err);
}

enum err_code sub_state_note(struct api_call *c, const struct subscription *s, const char *action,
                             const char **note)
{
    struct audit_entry *rows = NULL;
    size_t n = 0;
    enum err_code rc = state_entry(c, s, action, &rows, &n);
    json_t *detail = rc == OK && n > 0 && rows->detail ? json_loads(rows->detail, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(detail, "note"));
    *note = text ? arena_bytes(c->mem, text, strlen(text) + 1) : NULL;
    if (text && !*note)
        rc = fail(c->err, ERR_NOMEM, "no memory for a note");
    json_decref(detail);
    return rc;
}

/* Who paused or disabled it, and why: an operator, or webhookd at a 410. */
static enum err_code put_state_by(struct api_call *c, const struct subscription *s)
{
    struct buf *b = &c->resp->body;
    struct audit_entry *rows = NULL;
    size_t n = 0;
    enum err_code rc = OK;
    if (s->state == SUB_PAUSED || s->state == SUB_DISABLED)
        rc = state_entry(c, s,
                         s->state == SUB_PAUSED ? "subscription.pause" : "subscription.disable",
                         &rows, &n);
    if (rc != OK)
        return rc;
    if (n == 0) {
        put_null(b, "state_by");
        return OK;
    }
    json_t *detail = rows->detail ? json_loads(rows->detail, 0, NULL) : NULL;
    put_open(b, "state_by", '{');
    put_str(b, "actor", rows->actor);
    put_str(b, "note", json_string_value(json_object_get(detail, "note")));
    buf_addc(b, '}');
    json_decref(detail);
    return OK;
}

enum err_code h_subs_get(struct api_call *c)
{
    struct subscription s;
    struct look l = {0};
    struct buf *b = &c->resp->body;
    enum err_code rc = sub_of_ref(c, &s);
    if (rc == OK)
        rc = hour_read(c, &l, 1);
    if (rc == OK)
        rc = render_looked(c, &s, &l);
    if (rc == OK)
        rc = put_state_by(c, &s);
    if (rc != OK)
        return rc;
    put_retry_policy(c, &s);
    buf_addc(b, '}');
    c->resp->status = 200;
    return OK;
}
