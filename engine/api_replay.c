/* engine/api_replay.c: a replay, of dead letters, or a resend, of what was delivered or discarded, is
 * asked for and put here (engine/job_replay.c runs it).
 *
 *   filter ─▶ groups by subscription ─▶ targets: what is sent where, what is left out and why
 *             (and type: to look)          ├─▶ preview
 *                                          └─▶ the job and a part for each target
 *
 * A replay's set is fixed when it is asked for: letters that die later are not in it. A subscription
 * has one active replay at a time: two at different rates would give the partner neither. */
#include <string.h>

#include "engine/api_replay_impl.h"
#include "engine/egress_pause.h"
#include "engine/job_copies.h"

enum { NOTE_MAX = 1000, CANARY_MAX = 1000 };

/* ---- what was asked for ---- */
enum err_code api_member_rate(struct api_call *c, double *out)
{
    const json_t *v = json_object_get(c->body, "rate_per_second");
    enum err_code rc = api_member_number(c, "rate_per_second", 0, API_RATE_MAX_PER_S, out);
    if (v && json_is_null(v))
        *out = 0;
    if (rc == OK && *out > 0 && *out < API_RATE_MIN_PER_S)
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

/* What copies are for is to see what the endpoint says: once, where nothing else is asked for. */
static enum err_code read_to(struct api_call *c, struct job *j)
{
    enum err_code rc = api_member_url(c, "to", &j->to_url);
    if (rc == OK && j->to_url && !json_object_get(c->body, "attempts"))
        j->attempts_max = 1;
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
        rc = read_to(c, j);
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
        rc = api_member_dry_run(c, &r->dry_run);
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

/* ---- creation ---- */
static enum err_code parts_put(struct api_call *c, const struct replay *r)
{
    struct job_slice slice = {.b = c->b,
                              .now_ms = c->now_ms,
                              .changes = &c->resp->changes,
                              .ids = intake_ids(c->api->intake)};
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
        if (r->job.to_url && t->out == JOB_REASON_NONE)
            rc = job_copies_begin(&slice, &r->job, &t->sub, &p.sub, c->err);
        if (rc == OK)
            rc = c->ops->part_put(c->b, &p, c->err);
    }
    return rc;
}

static void put_targets_touched(struct buf *b, const struct replay *r)
{
    put_open(b, "subscriptions", '[');
    for (size_t i = 0; i < r->n; i++)
        if (r->targets[i].all.sub)
            put_id(b, NULL, "sub", r->targets[i].all.sub);
    buf_addc(b, ']');
}

static enum err_code replay_audit(struct api_call *c, const struct replay *r)
{
    char id[ID_TEXT_MAX];
    struct buf detail;
    buf_init(&detail, 1 << 20);
    put_open(&detail, NULL, '{');
    put_int(&detail, "selected", r->sum.selected);
    put_int(&detail, "excluded", r->sum.excluded);
    put_targets_touched(&detail, r);
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

/* What comes in later, imported or restored, may have died long ago: its arrival tells. */
static void replay_fix(struct replay *r)
{
    if (is_resend(r) || r->f.f.arrived_before)
        return;
    for (size_t i = 0; i < r->groups_n; i++)
        if (r->groups[i].arrivals > r->f.f.arrived_before)
            r->f.f.arrived_before = r->groups[i].arrivals;
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
    replay_fix(r);
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
    return preview_answer(c, r);
}

static enum err_code replay_write(struct api_call *c)
{
    struct replay *r = c->found;
    enum err_code rc = targets_judge(c, r);
    return rc == OK ? replay_put(c, r) : rc;
}

/* The first of the named ones that is a copy; NULL: none. */
static const struct delivery *named_copy(struct api_call *c, const struct replay *r)
{
    struct filter named = {.ids = r->f.f.ids, .ids_n = r->f.f.ids_n, .limit = API_PAGE_MAX};
    struct delivery *rows = NULL;
    size_t n = 0;
    if (named.ids_n > 0 && c->ops->delivery_list(c->b, &named, c->mem, &rows, &n, c->err) != OK)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (rows[i].original)
            return &rows[i];
    return NULL;
}

static enum err_code nobodys_ids(struct api_call *c, const json_t *filter, const struct replay *r)
{
    const struct delivery *copy = named_copy(c, r);
    char id[ID_TEXT_MAX], of[ID_TEXT_MAX], job[ID_TEXT_MAX];
    if (copy)
        return api_refuse(c, 409, "wrong_state", "id",
                          "%s is a copy, which %s sent to another endpoint: it is not sent again. "
                          "Its original is %s",
                          id_text(id, "dlv", copy->num), id_text(job, "job", copy->job),
                          id_text(of, "dlv", copy->original));
    const char *other = api_other_asked(c, is_resend(r) ? API_KIND_DELIVERIES : API_KIND_LETTERS);
    const json_t *ids = json_object_get(filter, "id");
    const char *one = json_string_value(json_array_size(ids) == 1 ? json_array_get(ids, 0) : ids);
    int64_t num = 0;
    if (!other && !is_resend(r) && one)
        return letter_not_dead(c, one, id_parse(one, "dlv", &num) ? num : 0);
    return api_refuse(c, 404, "not_found", "id", "%s",
                      other ? other
                      : is_resend(r)
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
        rc = nobodys_ids(c, filter, r);
    if (rc == OK && r->job.to_url && r->n > JOB_COPIES_MAX)
        rc = api_refuse(c, 422, "invalid_filter", "to",
                        "to: these are of %zu subscriptions, of %d at most copies can be sent in "
                        "one go: choose with subscription",
                        r->n, JOB_COPIES_MAX);
    if (rc == OK && only_look)
        return replay_look(c, r);
    c->then = replay_write;
    c->found = r;
    return rc;
}

#define OPTIONS                                                                                    \
    "rate_per_second", "canary", "stop_at_ratio", "attempts", "order", "ignore_expiry", "to",      \
        "note", "dry_run"

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
