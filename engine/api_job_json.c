/* engine/api_job_json.c: a job as JSON: its row, the sums and the states of its parts, and a few of
 * the deliveries that went wrong. */
#include <stdio.h>
#include <string.h>

#include "engine/api_stats.h"
#include "engine/egress_pause.h"
#include "engine/job_run.h"

enum { PARTS_SHOWN = 100, ERRORS_SHOWN = 10, RESTORES_SOUGHT = 256, NAMES_SHOWN = 10 };
/* Live deliveries are counted one by one, up to that many for all parts together; who waits for them
 * for less than that waits for nothing. */
enum { AHEAD_MAX = 10000, AHEAD_LATE_MS = 1000 };

struct part_wait {
    const char *what; /* NULL: nothing beside its turn */
    int64_t ahead;    /* live deliveries that go before its first letter */
    bool ahead_more;  /* at least so many */
};
struct parts {
    struct job_part *rows;
    struct part_wait *waits; /* of each */
    size_t n;
};

static int64_t over(const struct job_counts *n)
{
    return n->delivered + n->dead_again + n->discarded;
}

static int64_t less(int64_t n, int64_t by)
{
    return n > by ? n - by : 0;
}

void render_job_options(struct buf *b, const struct job *j)
{
    put_open(b, "options", '{');
    put_real(b, "rate_per_second", j->rate_per_s);
    put_int(b, "canary", j->canary);
    put_number(b, "stop_at_ratio", j->stop_at);
    put_str(b, "attempts", j->attempts_max == 1 ? "1" : "full");
    put_str(b, "order", j->newest_first ? "newest" : "oldest");
    put_bool(b, "ignore_expiry", j->ignore_expiry);
    put_str(b, "to", j->to_url);
    buf_addc(b, '}');
}

/* done: by the job itself, where it has no parts. */
static void put_job_counts(struct buf *b, const struct job *j, const struct job_counts *n,
                           int64_t done)
{
    put_open(b, "counts", '{');
    put_int(b, "selected", n->selected);
    put_int(b, "excluded", n->excluded);
    put_int(b, "queued", n->queued);
    put_int(b, "waiting", less(n->queued, n->tried));
    put_int(b, "in_progress", less(n->queued, over(n)));
    put_int(b, "tried", n->tried);
    put_int(b, "failed", n->failed);
    put_int(b, "retrying", less(n->tried, over(n)));
    put_int(b, "delivered", n->delivered);
    put_int(b, "dead_again", j->to_url ? 0 : n->dead_again);
    /* a copy that failed is nobody's letter */
    put_int(b, "discarded", n->discarded + (j->to_url ? n->dead_again : 0));
    put_int(b, "gone", n->gone);
    put_int(b, "not_sent", less(n->selected, n->queued + n->gone + done));
    put_int(b, "done", over(n) + done);
    buf_addc(b, '}');
}

/* Letters of a part are ordinary deliveries, in the order in which they are due: what was due before
 * the first of them goes first. What is in flight is not before it any more. */
static enum err_code ahead_of(struct api_call *c, const struct job_part *p, int64_t *left,
                              struct part_wait *w)
{
    int64_t busy = stats_in_flight(c->api->live, p->sub), most = *left + busy, n, due_ms;
    if (!c->api->live || p->counts.queued <= p->counts.tried || *left <= 0)
        return OK;
    enum err_code rc =
        c->ops->ready_before(c->b, p->sub, p->job, c->now_ms, most, &n, &due_ms, c->err);
    *left -= n;
    bool late = due_ms != 0 && due_ms <= c->now_ms - AHEAD_LATE_MS;
    w->ahead_more = rc == OK && n == most;
    if (rc == OK && n > busy && (late || w->ahead_more)) {
        w->what = "live_backlog";
        w->ahead = n - busy;
    }
    return rc;
}

static enum err_code wait_of(struct api_call *c, const struct job_part *p, bool egress_paused,
                             int64_t *left, struct part_wait *w)
{
    if (p->state != JOB_ACTIVE)
        return OK;
    if (p->sub_state == SUB_PAUSED)
        w->what = job_reason_name(JOB_REASON_PAUSED);
    else if (p->sub_state == SUB_DISABLED)
        w->what = job_reason_name(JOB_REASON_DISABLED);
    else if (egress_paused)
        w->what = "egress_paused";
    else if (p->sub_broken_since_ms != 0)
        w->what = "endpoint_down";
    else
        return ahead_of(c, p, left, w);
    return OK;
}

/* "503", "timeout": how the endpoint failed last that a part waits for. */
static enum err_code put_failure(struct api_call *c, const struct job_part *p, const char *waits)
{
    struct subscription s = {0};
    char status[16];
    enum err_code rc = OK;
    if (waits && !strcmp(waits, "endpoint_down"))
        rc = c->ops->sub_get_num(c->b, p->sub, c->mem, &s, c->err);
    (void)snprintf(status, sizeof status, "%d", s.health.last_failure_status);
    put_str(&c->resp->body, "last_failure",
            s.health.last_failure_ms == 0      ? NULL
            : s.health.last_failure_status > 0 ? status
                                               : outcome_name(s.health.last_failure_outcome));
    return rc;
}

static void put_wait(struct buf *b, const struct part_wait *w)
{
    put_str(b, "waits_for", w->what);
    put_int_or_null(b, "live_ahead", w->ahead);
    put_bool(b, "live_ahead_truncated", w->ahead_more);
}

static enum err_code put_part(struct api_call *c, const struct job *j, const struct job_part *p,
                              const struct part_wait *w)
{
    struct buf *b = &c->resp->body;
    int64_t delivered = p->counts.tried - p->base_tried - (p->counts.failed - p->base_failed);
    put_open(b, NULL, '{');
    put_str(b, "subscription", p->sub_name);
    put_id(b, "subscription_id", "sub", p->source);
    put_str(b, "url", p->sub_url);
    put_str(b, "state", job_state_name(p->state));
    put_str(b, "reason", job_reason_name(p->reason));
    put_str(b, "subscription_state", sub_state_name(p->sub_state));
    put_str(b, "subscription_cause", p->sub_cause);
    put_real(b, "subscription_rate_per_second", p->sub_rate_per_s);
    put_int(b, "subscription_in_flight", stats_in_flight(c->api->live, p->sub));
    put_wait(b, w);
    enum err_code rc = put_failure(c, p, w->what);
    put_open(b, "canary", '{');
    put_int(b, "wanted", j->canary);
    put_int(b, "delivered", delivered < j->canary ? delivered : j->canary);
    put_bool(b, "through", p->canary_tried >= 0);
    buf_addc(b, '}');
    put_job_counts(b, j, &p->counts, 0);
    buf_addc(b, '}');
    return rc;
}

static enum err_code put_parts(struct api_call *c, const struct job *j, const struct parts *p)
{
    struct buf *b = &c->resp->body;
    enum err_code rc = OK;
    put_open(b, "subscriptions", '[');
    for (size_t i = 0; rc == OK && i < p->n && i < PARTS_SHOWN; i++)
        rc = put_part(c, j, &p->rows[i], &p->waits[i]);
    buf_addc(b, ']');
    put_bool(b, "subscriptions_truncated", p->n > PARTS_SHOWN);
    return rc;
}

static enum err_code put_errors_of(struct api_call *c, const struct job *j,
                                   enum delivery_state state, size_t *shown, bool *more)
{
    struct filter f = {.job = j->num, .states = 1u << state, .limit = ERRORS_SHOWN + 1 - *shown};
    struct delivery *rows = NULL;
    size_t n = 0;
    enum err_code rc = c->ops->delivery_list(c->b, &f, c->mem, &rows, &n, c->err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        const struct delivery *d = &rows[i];
        struct buf *b = &c->resp->body;
        if (state == DELIVERY_RETRYING && d->attempts == d->budget_start)
            continue; /* on its way for the first time */
        *more = *more || *shown == ERRORS_SHOWN;
        if (*more)
            break;
        put_open(b, NULL, '{');
        put_id(b, "delivery", "dlv", d->num);
        put_str(b, "event_id", d->event_id);
        put_str(b, "subscription", d->sub_name);
        put_str(b, "state", delivery_state_name(d->state));
        put_str(b, "outcome", d->attempts > d->budget_start ? outcome_name(d->last_outcome) : NULL);
        put_int_or_null(b, "status", d->attempts > d->budget_start ? d->last_status : 0);
        put_str(b, "cause", cause_name(d->cause));
        buf_addc(b, '}');
        ++*shown;
    }
    return rc;
}

/* The first few of what is dead again or waits for another attempt: read when asked. */
static enum err_code put_errors(struct api_call *c, const struct job *j, const struct job_counts *n)
{
    size_t shown = 0;
    bool more = false;
    enum err_code rc = OK;
    put_open(&c->resp->body, "errors", '[');
    if (n->dead_again > 0)
        rc = put_errors_of(c, j, j->to_url ? DELIVERY_DISCARDED : DELIVERY_DEAD, &shown, &more);
    if (rc == OK && n->tried > over(n) && !more)
        rc = put_errors_of(c, j, DELIVERY_RETRYING, &shown, &more);
    buf_addc(&c->resp->body, ']');
    put_bool(&c->resp->body, "errors_truncated", more);
    return rc;
}

/* Why it stopped: as its first stopped part says. */
static const char *stopped_by(const struct job *j, const struct parts *p)
{
    for (size_t i = 0; i < p->n && j->state == JOB_STOPPED; i++)
        if (p->rows[i].state == JOB_STOPPED)
            return job_reason_name(p->rows[i].reason);
    return NULL;
}

/* What all that is active of it waits for: as the first one does, and all live deliveries before it. */
static struct part_wait all_wait(const struct job *j, const struct parts *p)
{
    struct part_wait all = {0};
    for (size_t i = 0; i < p->n && j->state == JOB_ACTIVE; i++) {
        if (p->rows[i].state != JOB_ACTIVE)
            continue;
        if (!p->waits[i].what)
            return (struct part_wait){0};
        all.what = all.what ? all.what : p->waits[i].what;
        all.ahead += p->waits[i].ahead;
        all.ahead_more = all.ahead_more || p->waits[i].ahead_more;
    }
    return all;
}

/* The newest job that took back what the purge took. Restores are few, and younger than it. */
static enum err_code restore_of(struct api_call *c, const struct job *purge, int64_t *out)
{
    struct job_filter f = {.kinds = FILTER_BIT(JOB_RESTORE), .limit = RESTORES_SOUGHT};
    char id[ID_TEXT_MAX];
    size_t n = RESTORES_SOUGHT;
    enum err_code rc = OK;
    id_text(id, "job", purge->num);
    for (*out = 0; rc == OK && n == RESTORES_SOUGHT && *out == 0;) {
        struct job *rows = NULL;
        rc = c->ops->job_list(c->b, &f, c->mem, &rows, &n, c->err);
        for (size_t i = 0; rc == OK && i < n && *out == 0; i++) {
            f.after_num = rows[i].num;
            if (rows[i].num <= purge->num)
                return OK;
            if (rows[i].filter && strstr(rows[i].filter, id))
                *out = rows[i].num;
        }
    }
    return rc;
}

/* A purge: how many come back with dlq restore, and what did bring some back. */
static enum err_code put_restoring(struct api_call *c, const struct job *j, bool whole)
{
    struct buf *b = &c->resp->body;
    int64_t left = 0, bytes, by = 0;
    bool over = whole && j->kind == JOB_PURGE && job_over(j);
    enum err_code rc = OK;
    if (over && j->until_ms > c->now_ms)
        rc = c->ops->purged_count(c->b, j->num, c->now_ms, &left, &bytes, c->err);
    if (rc == OK && over)
        rc = restore_of(c, j, &by);
    put_time(b, "recoverable_until", j->until_ms);
    if (over)
        put_int(b, "restorable", left);
    else
        put_null(b, "restorable");
    put_id(b, "restored_by", "job", by);
    return rc;
}

/* Not asked for where nobody wants to know: a list is long, and most of it over. */
static enum err_code parts_read(struct api_call *c, const struct job *j, bool whole,
                                struct parts *out)
{
    struct egress_pause egress = {0};
    int64_t left = AHEAD_MAX;
    enum err_code rc = OK;
    *out = (struct parts){0};
    if (!whole && j->state != JOB_ACTIVE && j->state != JOB_STOPPED)
        return OK;
    rc = egress_pause_read(c->b, &egress, c->err);
    if (rc == OK)
        rc = c->ops->part_list(c->b, j->num, false, -1, API_PAGE_MAX, c->mem, &out->rows, &out->n,
                               c->err);
    if (rc == OK && out->n > 0)
        out->waits = arena_alloc(c->mem, out->n * sizeof *out->waits);
    if (rc == OK && out->n > 0 && !out->waits)
        rc = fail(c->err, ERR_NOMEM, "no memory for a job");
    for (size_t i = 0; rc == OK && i < out->n; i++)
        rc = wait_of(c, &out->rows[i], egress.paused, &left, &out->waits[i]);
    return rc;
}

enum err_code job_resumable(struct api_call *c, const struct job *j, bool *out)
{
    struct job_slice slice = {.b = c->b, .now_ms = c->now_ms};
    struct job_part *parts = NULL;
    size_t n = 0;
    *out = false;
    if (j->state != JOB_STOPPED)
        return OK;
    enum err_code rc =
        c->ops->part_list(c->b, j->num, false, -1, API_PAGE_MAX, c->mem, &parts, &n, c->err);
    if (rc == OK && (slice.runs = job_runs_new()) == NULL)
        rc = fail(c->err, ERR_NOMEM, "no memory for a job");
    if (rc == OK)
        rc = job_replay_left(&slice, j, parts, n, out, c->err);
    job_runs_free(slice.runs);
    *out = *out || n == API_PAGE_MAX; /* of so many one will have something */
    return rc;
}

static enum err_code put_resumable(struct api_call *c, const struct job *j)
{
    bool yes;
    enum err_code rc = job_resumable(c, j, &yes);
    if (j->state == JOB_STOPPED)
        put_bool(&c->resp->body, "resumable", yes);
    else
        put_null(&c->resp->body, "resumable");
    return rc;
}

/* Who paused it, cancelled it or let it go on last, and why. */
static enum err_code put_state_by(struct api_call *c, const struct job *j, bool whole)
{
    struct buf *b = &c->resp->body;
    struct audit_entry *rows = NULL;
    char id[ID_TEXT_MAX];
    struct audit_filter f = {.action = j->state == JOB_PAUSED      ? "job.pause"
                                       : j->state == JOB_CANCELLED ? "job.cancel"
                                                                   : "job.resume",
                             .target = id_text(id, "job", j->num),
                             .limit = 1};
    size_t n = 0;
    enum err_code rc = whole ? c->ops->audit_list(c->b, &f, c->mem, &rows, &n, c->err) : OK;
    if (rc != OK || n == 0) {
        put_null(b, "state_by");
        return rc;
    }
    json_t *detail = rows->detail ? json_loads(rows->detail, 0, NULL) : NULL;
    put_open(b, "state_by", '{');
    put_str(b, "action", rows->action);
    put_str(b, "actor", rows->actor);
    put_str(b, "note", json_string_value(json_object_get(detail, "note")));
    put_time(b, "at", rows->created_ms);
    buf_addc(b, '}');
    json_decref(detail);
    return OK;
}

/* A filter keeps ids: the names of its first subscriptions, by id. */
static enum err_code put_filter_names(struct api_call *c, const struct job *j, bool whole)
{
    struct buf *b = &c->resp->body;
    json_t *filter = whole && j->filter ? json_loads(j->filter, 0, NULL) : NULL;
    const json_t *ids = json_object_get(filter, "subscription");
    size_t n = json_is_array(ids) ? json_array_size(ids) : ids ? 1 : 0;
    enum err_code rc = OK;
    put_open(b, "filter_names", '{');
    for (size_t i = 0; rc == OK && i < n && i < NAMES_SHOWN; i++) {
        const char *id = json_string_value(json_is_array(ids) ? json_array_get(ids, i) : ids);
        struct subscription s;
        int64_t num;
        rc = id && id_parse(id, "sub", &num) ? c->ops->sub_get_num(c->b, num, c->mem, &s, c->err)
                                             : ERR_NOT_FOUND;
        if (rc == OK)
            put_str(b, id, s.name);
        rc = rc == ERR_NOT_FOUND ? OK : rc;
    }
    buf_addc(b, '}');
    json_decref(filter);
    return rc;
}

enum err_code render_job(struct api_call *c, const struct job *j, bool whole)
{
    struct buf *b = &c->resp->body;
    struct job_counts sums;
    struct parts parts;
    int64_t end = j->finished_ms ? j->finished_ms : c->now_ms;
    enum err_code rc = c->ops->part_sums(c->b, j->num, &sums, c->err);
    if (rc == OK)
        rc = parts_read(c, j, whole, &parts);
    if (rc != OK)
        return rc;
    struct part_wait wait = all_wait(j, &parts);
    sums.selected += j->selected;
    sums.excluded += j->excluded;
    put_open(b, NULL, '{');
    put_id(b, "id", "job", j->num);
    put_str(b, "kind", job_kind_name(j->kind));
    put_str(b, "state", job_state_name(j->state));
    put_str(b, "reason", stopped_by(j, &parts));
    rc = put_state_by(c, j, whole);
    rc = rc == OK ? put_resumable(c, j) : rc;
    put_wait(b, &wait);
    put_bool(b, "delivers", job_work(j->kind)->delivers);
    put_str(b, "actor", j->actor);
    put_str(b, "note", j->note);
    put_raw(b, "filter", j->filter ? j->filter : "{}", j->filter ? strlen(j->filter) : 2);
    rc = rc == OK ? put_filter_names(c, j, whole) : rc;
    render_job_options(b, j);
    put_job_counts(b, j, &sums, j->done);
    if (!whole) { /* an item of a list tells less */
        put_null(b, "subscriptions");
        put_null(b, "errors");
    } else {
        rc = rc == OK ? put_parts(c, j, &parts) : rc;
        rc = rc == OK ? put_errors(c, j, &sums) : rc;
    }
    put_time(b, "created_at", j->created_ms);
    put_time(b, "started_at", j->started_ms);
    put_time(b, "finished_at", j->finished_ms);
    rc = rc == OK ? put_restoring(c, j, whole) : rc;
    put_seconds(b, "elapsed_seconds",
                j->started_ms && end > j->started_ms ? (end - j->started_ms) * 1000 : 0);
    buf_addc(b, '}');
    return rc;
}

enum err_code job_answer(struct api_call *c, const struct job *j, int status)
{
    enum err_code rc = render_job(c, j, true);
    c->resp->status = status;
    return rc;
}
