/* engine/api_replay.c: a replay, of dead letters, or a resend, of what was delivered or discarded, is
 * looked at beforehand and asked for here (engine/job_replay.c runs it).
 *
 *   filter ─▶ groups by subscription ─▶ targets: what is sent where, what is left out and why
 *             (and type: to look)          ├─▶ preview
 *                                          └─▶ the job and a part for each target
 *
 * A million letters are counted on the list reader. What changes meanwhile the writer looks at anew:
 * the subscriptions' states and their active jobs.
 *
 * A replay's set is fixed when it is asked for: letters that die later are not in it. A subscription
 * has one active replay at a time: two at different rates would give the partner neither. */
#include <stdlib.h>
#include <string.h>

#include "engine/api_impl.h"
#include "engine/egress_pause.h"

enum {
    FEW = 64, /* subscriptions that are looked up one by one */
    NOTE_MAX = 1000,
    TARGETS_SHOWN = 100,
    CANARY_MAX = 1000,
};

struct target {
    struct dead_group all, sent; /* letters that match; of those the ones that will be sent */
    struct subscription sub;     /* num 0: unknown */
    enum job_reason out;         /* why nothing is sent to it */
    int64_t blocked_by;          /* another job that is active there; 0: none */
};
struct replay {
    struct api_filter f;
    struct job job; /* as it will be put */
    bool dry_run;
    struct dead_group *groups; /* by subscription and, where types_told, type */
    size_t groups_n;
    bool types_told;
    struct target *targets; /* in order of subscription */
    size_t n;
    struct job_counts sum;   /* selected, excluded */
    struct dead_group total; /* of what is sent: bytes, times of death */
    bool egress_paused;
};

/* ---- what was asked for ---- */
enum err_code api_member_rate(struct api_call *c, double *out)
{
    const json_t *v = json_object_get(c->body, "rate_per_second");
    enum err_code rc = api_member_number(c, "rate_per_second", 0, 1e6, out);
    if (v && json_is_null(v))
        *out = 0;
    if (rc == OK && *out > 0 && *out < 0.001)
        return api_refuse(c, 422, "invalid_member", "rate_per_second",
                          "rate_per_second: at least 0.001, or 0 for no limit");
    return rc;
}

/* "full", or "1" as a word or a number. */
static enum err_code read_attempts(struct api_call *c, int *out)
{
    const json_t *v = json_object_get(c->body, "attempts");
    const char *word = json_string_value(v);
    if (!v || json_is_null(v) || (word && !strcmp(word, "full")))
        *out = 0;
    else if ((word && !strcmp(word, "1")) || json_integer_value(v) == 1)
        *out = 1;
    else
        return api_refuse(c, 422, "invalid_member", "attempts",
                          "attempts: full (as the retry policy says) or 1");
    return OK;
}

static enum err_code read_order(struct api_call *c, bool *newest_first)
{
    const char *word = NULL;
    enum err_code rc = api_member_text(c, "order", &word);
    if (rc == OK && word && strcmp(word, "oldest") != 0 && strcmp(word, "newest") != 0)
        return api_refuse(c, 422, "invalid_member", "order", "order: oldest or newest first");
    *newest_first = word && !strcmp(word, "newest");
    return rc;
}

static enum err_code read_options(struct api_call *c, struct job *j)
{
    double canary = 1;
    j->stop_at = 0.5;
    enum err_code rc = api_member_rate(c, &j->rate_per_s);
    if (rc == OK)
        rc = api_member_number(c, "canary", 0, CANARY_MAX, &canary);
    if (rc == OK)
        rc = api_member_number(c, "stop_at_ratio", 0, 1, &j->stop_at);
    if (rc == OK)
        rc = read_attempts(c, &j->attempts_max);
    if (rc == OK)
        rc = read_order(c, &j->newest_first);
    if (rc == OK)
        rc = api_member_text(c, "note", &j->note);
    if (rc == OK)
        rc = api_member_bool(c, "ignore_expiry", &j->ignore_expiry);
    j->canary = (int)canary;
    if (rc == OK && j->canary < canary)
        rc = api_refuse(c, 422, "invalid_member", "canary", "canary: not a whole number");
    if (rc == OK && j->note && strlen(j->note) > NOTE_MAX)
        rc = api_refuse(c, 422, "invalid_member", "note", "note: longer than 1000 bytes");
    return rc;
}

static bool is_resend(const struct replay *r)
{
    return r->job.kind == JOB_RESEND;
}

/* By a filter what was delivered is meant, unless it says otherwise; by their ids also those that were
 * discarded: purged letters were purged on purpose. */
static enum err_code read_over(struct api_call *c, struct replay *r)
{
    unsigned delivered = FILTER_BIT(DELIVERY_DELIVERED), both = delivered;
    struct filter *f = &r->f.f;
    both |= FILTER_BIT(DELIVERY_DISCARDED);
    if (f->states & ~both)
        return api_refuse(c, 422, "invalid_filter", "state",
                          "state: delivered or discarded; what is dead is sent again by webhookctl "
                          "dlq replay, and what is open goes by itself");
    if (f->states == 0)
        f->states = f->ids_n > 0 || f->event_ids_n > 0 ? both : delivered;
    f->newest_first = false;
    f->ended_before_ms = c->now_ms + 1;
    return OK;
}

static enum err_code read_replay(struct api_call *c, const json_t *filter, struct replay *r)
{
    enum err_code rc = read_options(c, &r->job);
    if (rc == OK)
        rc = api_member_bool(c, "dry_run", &r->dry_run);
    if (rc == OK)
        rc = api_filter_of_call(c, filter, is_resend(r) ? API_FILTER_DELIVERIES : API_FILTER_DEAD,
                                &r->f);
    if (rc == OK && is_resend(r))
        rc = read_over(c, r);
    if (rc != OK)
        return rc;
    if (!r->f.narrows && !r->f.all)
        return api_refuse(c, 422, "filter_required", "filter",
                          "filter: empty: give ids or a filter, or \"all\": true");
    if (r->f.paged)
        return api_refuse(c, 422, "invalid_filter", "filter",
                          "filter: limit and cursor are for lists");
    if (!r->f.f.until_ms || r->f.f.until_ms > c->now_ms + 1)
        r->f.f.until_ms = c->now_ms + 1;
    r->job.created_ms = c->now_ms;
    r->f.f.with_expired = true;
    return OK;
}

/* ---- targets ---- */
static int by_sub(const void *x, const void *y)
{
    int64_t a = ((const struct target *)x)->all.sub, b = ((const struct target *)y)->all.sub;
    return a == b ? 0 : a < b ? -1 : 1;
}

static struct target *target_of(const struct replay *r, int64_t sub)
{
    struct target key = {.all = {.sub = sub}};
    return r->n ? bsearch(&key, r->targets, r->n, sizeof key, by_sub) : NULL;
}

/* A few are looked up by number; of many, the whole list is cheaper. */
static enum err_code targets_name(struct api_call *c, struct replay *r)
{
    enum err_code rc = OK;
    if (r->n <= FEW) {
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

/* How many of a group are sent. */
static int64_t sent_of(const struct replay *r, const struct dead_group *g)
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

/* One look at all letters that match. More kinds than can be counted: no types are told. */
static enum err_code targets_count(struct api_call *c, struct replay *r, bool types)
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

/* What is sent, as the subscriptions are now. */
static enum err_code targets_judge(struct api_call *c, struct replay *r)
{
    enum err_code rc = targets_name(c, r);
    for (size_t i = 0; rc == OK && i < r->n; i++) {
        struct target *t = &r->targets[i];
        t->out = left_out(&t->sub);
        if (t->out != JOB_REASON_NONE)
            t->sent = (struct dead_group){0};
        if (t->sent.count > 0)
            rc = c->ops->part_active(c->b, t->all.sub, &t->blocked_by, c->err);
        sums_add(r, t);
    }
    return rc;
}

static const char *target_name(const struct target *t)
{
    return t->sub.num ? t->sub.name : t->all.sub_name;
}

/* ---- preview ---- */
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

static void put_target(struct buf *b, const struct target *t)
{
    put_open(b, NULL, '{');
    put_str(b, "subscription", target_name(t));
    put_id(b, "subscription_id", "sub", t->all.sub);
    put_str(b, "url", t->sub.num ? t->sub.url : NULL);
    put_str(b, "state", t->sub.num ? sub_state_name(t->sub.state) : sub_state_name(SUB_DELETED));
    put_str(b, "reason", job_reason_name(t->out));
    put_time(b, "broken_since", t->sub.broken_since_ms);
    put_time(b, "failing_since", t->sub.health.failing_since_ms);
    put_time(b, "last_success_at", t->sub.health.last_success_ms);
    put_int(b, "count", t->sent.count);
    put_int(b, "payload_bytes", t->sent.payload_bytes);
    put_int(b, "excluded", t->all.count - t->sent.count);
    put_id(b, "blocked_by", "job", t->blocked_by);
    buf_addc(b, '}');
}

static void preview_answer(struct api_call *c, struct replay *r)
{
    struct buf *b = &c->resp->body;
    double rate = r->job.rate_per_s;
    size_t types_n = types_find(r);
    put_open(b, NULL, '{');
    put_int(b, "count", r->sum.selected);
    put_int(b, "payload_bytes", r->total.payload_bytes);
    put_int(b, "excluded", r->sum.excluded);
    put_excluded(b, r);
    put_open(b, "types", '[');
    for (size_t i = 0; i < types_n; i++) {
        put_open(b, NULL, '{');
        put_str(b, "type", r->groups[i].type);
        put_int(b, "count", r->groups[i].count);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    put_time(b, "oldest_died_at", is_resend(r) ? 0 : r->total.first_ms);
    put_time(b, "newest_died_at", is_resend(r) ? 0 : r->total.last_ms);
    put_time(b, "oldest_created_at", is_resend(r) ? r->total.first_ms : 0);
    put_time(b, "newest_created_at", is_resend(r) ? r->total.last_ms : 0);
    put_real(b, "about_seconds", rate > 0 ? (double)r->sum.selected / rate : 0);
    put_bool(b, "egress_paused", r->egress_paused);
    render_job_options(b, &r->job);
    put_open(b, "targets", '[');
    for (size_t i = 0; i < r->n && i < TARGETS_SHOWN; i++)
        put_target(b, &r->targets[i]);
    buf_addc(b, ']');
    put_int(b, "targets_total", (int64_t)r->n);
    buf_addc(b, '}');
    c->resp->status = 200;
}

/* ---- creation ---- */
enum err_code job_in_the_way(struct api_call *c, int64_t job, const char *subscription)
{
    char id[ID_TEXT_MAX];
    struct job j = {0};
    enum err_code rc = c->ops->job_get(c->b, job, c->mem, &j, c->err);
    bool paused = rc == OK && j.state == JOB_PAUSED;
    return api_refuse(
        c, 409, "job_active", NULL,
        "%s is %s on %s: %s (webhookctl job %s %s), or cancel it (webhookctl job cancel %s)",
        id_text(id, "job", job), paused ? "paused" : "active",
        subscription ? subscription : "a subscription of it",
        paused ? "let it go on" : "wait for it", paused ? "resume" : "watch", id, id);
}

static enum err_code parts_put(struct api_call *c, const struct replay *r)
{
    enum err_code rc = OK;
    for (size_t i = 0; rc == OK && i < r->n; i++) {
        const struct target *t = &r->targets[i];
        struct job_part p = {
            .job = r->job.num,
            .sub = t->all.sub,
            .state = t->out == JOB_REASON_NONE ? JOB_ACTIVE : JOB_CANCELLED,
            .reason = t->out,
            .canary_tried = -1,
            .counts = {.selected = t->sent.count, .excluded = t->all.count - t->sent.count}};
        rc = c->ops->part_put(c->b, &p, c->err);
    }
    return rc;
}

static enum err_code replay_audit(struct api_call *c, const struct replay *r)
{
    char id[ID_TEXT_MAX];
    struct buf detail;
    buf_init(&detail, 1 << 20);
    put_open(&detail, NULL, '{');
    put_int(&detail, "selected", r->sum.selected);
    put_int(&detail, "excluded", r->sum.excluded);
    render_job_options(&detail, &r->job);
    put_str(&detail, "note", r->job.note);
    put_raw(&detail, "filter", r->job.filter, strlen(r->job.filter));
    buf_addc(&detail, '}');
    enum err_code rc = detail.failed
                           ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                           : api_audit(c, is_resend(r) ? "delivery.resend" : "dead_letter.replay",
                                       id_text(id, "job", r->job.num), detail.data);
    buf_fini(&detail);
    return rc;
}

static enum err_code replay_put(struct api_call *c, struct replay *r)
{
    struct buf filter;
    enum err_code rc = OK;
    for (size_t i = 0; rc == OK && i < r->n; i++)
        if (r->targets[i].blocked_by)
            rc = job_in_the_way(c, r->targets[i].blocked_by, target_name(&r->targets[i]));
    if (rc != OK)
        return rc;
    buf_init(&filter, 1 << 20);
    api_filter_write(&r->f, NULL, &filter);
    r->job.num = api_new_num(c);
    r->job.state = JOB_ACTIVE;
    r->job.filter = filter.data;
    r->job.actor = c->req->actor ? c->req->actor : "unknown";
    r->job.walked = true; /* its parts are made here */
    if (filter.failed)
        rc = fail(c->err, ERR_NOMEM, "no memory for a filter");
    if (rc == OK)
        rc = c->ops->job_put(c->b, &r->job, c->err);
    if (rc == OK)
        rc = parts_put(c, r);
    if (rc == OK)
        rc = replay_audit(c, r);
    if (rc == OK)
        rc = job_answer(c, &r->job, 202);
    c->resp->changes.jobs = true;
    buf_fini(&filter);
    return rc;
}

/* ---- the two halves ---- */
static enum err_code replay_look(struct api_call *c, struct replay *r)
{
    struct egress_pause egress;
    enum err_code rc = targets_judge(c, r);
    if (rc == OK)
        rc = egress_pause_read(c->b, &egress, c->err);
    if (rc != OK)
        return rc;
    r->egress_paused = egress.paused;
    preview_answer(c, r);
    return OK;
}

static enum err_code replay_write(struct api_call *c)
{
    struct replay *r = c->found;
    enum err_code rc = targets_judge(c, r);
    return rc == OK ? replay_put(c, r) : rc;
}

static enum err_code nobodys_ids(struct api_call *c, const struct replay *r)
{
    return api_refuse(c, 404, "not_found", "id", "%s",
                      is_resend(r)
                          ? "none of these ids is that of a delivered or discarded delivery; dead "
                            "letters are sent again by webhookctl dlq replay"
                          : "no dead letter has any of these ids (a subscription's are chosen with "
                            "-s NAME); what was replayed is a delivery again: webhookctl delivery "
                            "show ID");
}

static enum err_code replay_plan(struct api_call *c, enum job_kind kind, const json_t *filter,
                                 bool only_look)
{
    struct replay *r = arena_alloc(c->mem, sizeof *r);
    if (!r)
        return fail(c->err, ERR_NOMEM, "no memory for a replay");
    *r = (struct replay){.job = {.kind = kind}};
    enum err_code rc = read_replay(c, filter, r);
    only_look = only_look || r->dry_run;
    if (rc == OK)
        rc = targets_count(c, r, only_look);
    if (rc == OK && r->f.ids && r->n == 0)
        rc = nobodys_ids(c, r);
    if (rc == OK && only_look)
        return replay_look(c, r);
    c->then = replay_write;
    c->found = r;
    return rc;
}

#define OPTIONS                                                                                    \
    "rate_per_second", "canary", "stop_at_ratio", "attempts", "order", "ignore_expiry", "note",    \
        "dry_run"

static enum err_code replay_of_filter(struct api_call *c, enum job_kind kind, bool only_look)
{
    static const char *const names[] = {"filter", OPTIONS, NULL};
    const json_t *filter = json_object_get(c->body, "filter");
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK && !filter)
        rc = api_refuse(c, 422, "filter_required", "filter", "filter: missing");
    return rc == OK ? replay_plan(c, kind, filter, only_look) : rc;
}

enum err_code h_replays_post(struct api_call *c)
{
    return replay_of_filter(c, JOB_REPLAY, false);
}

enum err_code h_replays_preview(struct api_call *c)
{
    return replay_of_filter(c, JOB_REPLAY, true);
}

enum err_code h_resend_post(struct api_call *c)
{
    return replay_of_filter(c, JOB_RESEND, false);
}

enum err_code h_resend_preview(struct api_call *c)
{
    return replay_of_filter(c, JOB_RESEND, true);
}

enum err_code h_dead_replay_one(struct api_call *c)
{
    static const char *const names[] = {OPTIONS, NULL};
    enum err_code rc = api_members(c, c->body, names);
    if (rc != OK)
        return rc;
    json_t *filter = json_object();
    if (!filter || json_object_set_new(filter, "id", json_string(c->ref)) != 0)
        rc = fail(c->err, ERR_NOMEM, "no memory for a filter");
    else
        rc = replay_plan(c, JOB_REPLAY, filter, false);
    json_decref(filter);
    return rc;
}
