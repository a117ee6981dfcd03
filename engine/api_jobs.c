/* engine/api_jobs.c: replays are asked for here and run by engine/jobs.c; jobs are looked at and
 * stopped here.
 *
 * A replay is a filter whose set is fixed now: letters that die later are not in it. One active
 * replay per subscription: two at different rates would give the partner neither. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/api_impl.h"
#include "engine/job.h"

enum { JOBS_LOOKED_MAX = 1000, IDS_LOOKED_MAX = 256, STEP_US = 200000 };

struct replay {
    struct api_filter f;
    double rate;
    const char *note;
    bool dry_run, ignore_expiry;
    int64_t selected, excluded, payload_bytes;
};

static enum err_code replay_read(struct api_call *c, const json_t *filter, struct replay *r)
{
    enum err_code rc = api_member_number(c, "rate_per_second", 0, 1e6, &r->rate);
    if (rc == OK)
        rc = api_member_text(c, "note", &r->note);
    if (rc == OK)
        rc = api_member_bool(c, "dry_run", &r->dry_run);
    if (rc == OK)
        rc = api_member_bool(c, "ignore_expiry", &r->ignore_expiry);
    if (rc == OK)
        rc = api_filter_of_call(c, filter, API_FILTER_DEAD, &r->f);
    if (rc != OK)
        return rc;
    if (r->rate > 0 && r->rate < 0.001)
        return api_refuse(c, 422, "invalid_member", "rate_per_second",
                          "rate_per_second: at least 0.001, or 0 for no limit");
    if (r->note && strlen(r->note) > 1000)
        return api_refuse(c, 422, "invalid_member", "note", "note: longer than 1000 bytes");
    if (!r->f.narrows && !r->f.all)
        return api_refuse(c, 422, "filter_required", "filter",
                          "filter: empty: give ids or a filter, or \"all\": true");
    if (r->f.paged)
        return api_refuse(c, 422, "invalid_filter", "filter",
                          "filter: limit and cursor are for lists");
    if (!r->f.f.until_ms || r->f.f.until_ms > c->now_ms + 1)
        r->f.f.until_ms = c->now_ms + 1;
    return OK;
}

/* ---- counting ---- */

/* Subscriptions that are gone but for their dead letters: each has left a job behind. */
static enum err_code deleted_subs(struct api_call *c, int64_t **out, size_t *n)
{
    struct job *rows = NULL;
    size_t rows_n = 0;
    enum err_code rc =
        c->ops->job_list(c->b, false, 0, JOBS_LOOKED_MAX, c->mem, &rows, &rows_n, c->err);
    *n = 0;
    *out = arena_alloc(c->mem, (rows_n + 1) * sizeof **out);
    if (!*out)
        return fail(c->err, ERR_NOMEM, "no memory for jobs");
    for (size_t i = 0; rc == OK && i < rows_n; i++)
        if (rows[i].kind == JOB_SUBSCRIPTION_DELETE)
            (*out)[(*n)++] = rows[i].sub;
    return rc;
}

/* What cannot be replayed: its subscription is deleted, or its event has expired. */
static enum err_code replay_count(struct api_call *c, struct replay *r)
{
    struct filter f = r->f.f;
    int64_t all = 0, all_bytes = 0, gone = 0, gone_bytes = 0;
    int64_t *subs = NULL;
    size_t subs_n = 0;
    enum err_code rc = c->ops->dead_count(c->b, &f, &all, &all_bytes, c->err);
    f.with_expired = r->ignore_expiry;
    if (rc == OK)
        rc = c->ops->dead_count(c->b, &f, &r->selected, &r->payload_bytes, c->err);
    if (rc == OK && f.subs_n == 0) {
        rc = deleted_subs(c, &subs, &subs_n);
        f.subs = subs;
        f.subs_n = subs_n;
        if (rc == OK && subs_n)
            rc = c->ops->dead_count(c->b, &f, &gone, &gone_bytes, c->err);
    } else if (rc == OK && r->f.deleted) {
        f.subs = r->f.live;
        f.subs_n = r->f.live_n;
        int64_t live = 0, live_bytes = 0;
        if (f.subs_n)
            rc = c->ops->dead_count(c->b, &f, &live, &live_bytes, c->err);
        gone = r->selected - live;
        gone_bytes = r->payload_bytes - live_bytes;
    }
    r->selected -= gone;
    r->payload_bytes -= gone_bytes;
    r->excluded = all - r->selected;
    return rc;
}

/* ---- one active replay per subscription ---- */

/* A few ids: which subscriptions they belong to. Of many, or of none, it stays "any". */
static enum err_code subs_of_ids(struct api_call *c, struct api_filter *f)
{
    if (!f->ids || f->f.subs_n || f->f.ids_n > IDS_LOOKED_MAX)
        return OK;
    int64_t *subs = arena_alloc(c->mem, f->f.ids_n * sizeof *subs);
    size_t n = 0;
    if (!subs)
        return fail(c->err, ERR_NOMEM, "no memory for ids");
    for (size_t i = 0; i < f->f.ids_n; i++) {
        struct delivery d;
        enum err_code rc = c->ops->delivery_get(c->b, f->f.ids[i], c->mem, &d, c->err);
        if (rc != OK && rc != ERR_NOT_FOUND)
            return rc;
        size_t at = 0;
        while (rc == OK && at < n && subs[at] != d.sub)
            at++;
        if (rc == OK && d.sub && at == n)
            subs[n++] = d.sub;
    }
    f->live = subs; /* only for the comparison: the stored filter names the ids alone */
    f->live_n = n;
    return OK;
}

static bool meet(const int64_t *a, size_t a_n, const int64_t *b, size_t b_n)
{
    if (!a_n || !b_n) /* any */
        return true;
    for (size_t i = 0; i < a_n; i++)
        for (size_t k = 0; k < b_n; k++)
            if (a[i] == b[k])
                return true;
    return false;
}

static enum err_code subs_of_job(struct api_call *c, const struct job *j, struct api_filter *f)
{
    json_t *object = json_loads(j->filter ? j->filter : "{}", 0, NULL);
    struct err ignored;
    *f = (struct api_filter){0};
    enum err_code rc = object ? api_filter_read(c->b, object, API_FILTER_DEAD, c->now_ms, c->mem, f,
                                                NULL, &ignored)
                              : OK;
    json_decref(object);
    if (rc == ERR_NOT_FOUND || rc == ERR_INVALID)
        rc = OK;
    return rc == OK ? subs_of_ids(c, f) : fail(c->err, rc, "%s", ignored.text);
}

static enum err_code job_in_the_way(struct api_call *c, const struct replay *r)
{
    struct job *rows = NULL;
    size_t n = 0;
    char id[ID_TEXT_MAX];
    enum err_code rc = c->ops->job_list(c->b, true, 0, JOBS_LOOKED_MAX, c->mem, &rows, &n, c->err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct api_filter f;
        if (rows[i].kind != JOB_REPLAY)
            continue;
        rc = subs_of_job(c, &rows[i], &f);
        if (rc == OK && meet(r->f.live, r->f.live_n, f.live, f.live_n))
            rc = api_refuse(c, 409, "job_active", NULL,
                            "%s is active on the same subscription: wait for it, or cancel it",
                            id_text(id, "job", rows[i].num));
    }
    return rc;
}

/* ---- creation ---- */

static enum err_code job_create(struct api_call *c, struct replay *r, const char *filter)
{
    char id[ID_TEXT_MAX];
    struct buf detail;
    struct job j = {.num = api_new_num(c),
                    .kind = JOB_REPLAY,
                    .state = JOB_ACTIVE,
                    .filter = filter,
                    .rate_per_s = r->rate,
                    .ignore_expiry = r->ignore_expiry,
                    .actor = c->req->actor ? c->req->actor : "unknown",
                    .note = r->note,
                    .sub = r->f.live_n == 1 ? r->f.live[0] : 0,
                    .selected = r->selected,
                    .created_ms = c->now_ms};
    enum err_code rc = c->ops->job_put(c->b, &j, c->err);
    if (rc != OK)
        return rc;
    buf_init(&detail, 1 << 20);
    put_open(&detail, NULL, '{');
    put_int(&detail, "selected", r->selected);
    put_int(&detail, "excluded", r->excluded);
    put_real(&detail, "rate_per_second", r->rate);
    put_str(&detail, "note", r->note);
    put_raw(&detail, "filter", filter, strlen(filter));
    buf_addc(&detail, '}');
    rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                       : api_audit(c, "dead_letter.replay", id_text(id, "job", j.num), detail.data);
    buf_fini(&detail);
    if (rc != OK)
        return rc;
    /* The runner counts what it leaves out as it meets it; the answer tells what it will be. */
    j.excluded = r->excluded;
    render_job(&c->resp->body, &j, c->now_ms);
    c->resp->changes.jobs = true;
    c->resp->status = 202;
    return OK;
}

static enum err_code replay_create(struct api_call *c, const json_t *given)
{
    struct replay r = {0};
    struct buf filter;
    enum err_code rc = replay_read(c, given, &r);
    if (rc == OK)
        rc = replay_count(c, &r);
    if (rc != OK)
        return rc;
    if (r.f.ids && r.selected + r.excluded == 0)
        return api_refuse(c, 404, "not_found", "id",
                          "no dead letter has any of these ids; what was replayed is a delivery "
                          "again: webhookctl delivery show ID");
    if (r.dry_run) {
        struct buf *b = &c->resp->body;
        put_open(b, NULL, '{');
        put_int(b, "count", r.selected);
        put_int(b, "payload_bytes", r.payload_bytes);
        put_int(b, "excluded", r.excluded);
        buf_addc(b, '}');
        c->resp->status = 200;
        return OK;
    }
    rc = subs_of_ids(c, &r.f);
    if (rc == OK)
        rc = job_in_the_way(c, &r);
    if (rc != OK)
        return rc;
    buf_init(&filter, 1 << 20);
    api_filter_write(&r.f, NULL, &filter);
    rc = filter.failed ? fail(c->err, ERR_NOMEM, "no memory for a filter")
                       : job_create(c, &r, filter.data);
    buf_fini(&filter);
    return rc;
}

enum err_code h_replays_post(struct api_call *c)
{
    static const char *const names[] = {"filter",  "rate_per_second", "note",
                                        "dry_run", "ignore_expiry",   NULL};
    const json_t *filter = json_object_get(c->body, "filter");
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK && !filter)
        rc = api_refuse(c, 422, "filter_required", "filter", "filter: missing");
    return rc == OK ? replay_create(c, filter) : rc;
}

enum err_code h_dead_replay_one(struct api_call *c)
{
    static const char *const names[] = {"rate_per_second", "note", "dry_run", "ignore_expiry",
                                        NULL};
    enum err_code rc = api_members(c, c->body, names);
    if (rc != OK)
        return rc;
    json_t *filter = json_object();
    if (!filter || json_object_set_new(filter, "id", json_string(c->ref)) != 0)
        rc = fail(c->err, ERR_NOMEM, "no memory for a filter");
    else
        rc = replay_create(c, filter);
    json_decref(filter);
    return rc;
}

/* ---- jobs ---- */

enum err_code h_jobs_list(struct api_call *c)
{
    struct api_page page;
    struct job *rows = NULL;
    size_t n = 0;
    const char *state = json_string_value(json_object_get(c->query, "state"));
    enum err_code rc = api_page_read(c, &page);
    if (rc == OK)
        rc = c->ops->job_list(c->b, state && !strcmp(state, "active"), page.after_num, page.limit,
                              c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    buf_adds(&c->resp->body, "{\"items\":[");
    for (size_t i = 0; i < n; i++)
        if (!state || !strcmp(state, job_state_name(rows[i].state)))
            render_job(&c->resp->body, &rows[i], c->now_ms);
    put_list_end(c, n == page.limit, 0, n ? rows[n - 1].num : 0);
    c->resp->status = 200;
    return OK;
}

static enum err_code job_of_ref(struct api_call *c, struct job *j)
{
    int64_t num;
    enum err_code rc = ERR_NOT_FOUND;
    if (id_parse(c->ref, "job", &num))
        rc = c->ops->job_get(c->b, num, c->mem, j, c->err);
    return rc == ERR_NOT_FOUND ? api_refuse(c, 404, "not_found", NULL, "no job '%.64s'", c->ref)
                               : rc;
}

enum err_code h_jobs_get(struct api_call *c)
{
    struct job j;
    enum err_code rc = job_of_ref(c, &j);
    if (rc != OK)
        return rc;
    render_job(&c->resp->body, &j, c->now_ms);
    c->resp->status = 200;
    return OK;
}

/* A job that delivers nothing needs no daemon: with it stopped, webhookctl runs the slices, as many in
 * one call as fit into STEP_US. With a daemon, or where only a daemon gets on, it is a look. */
enum err_code h_jobs_step(struct api_call *c)
{
    struct job j;
    struct job_slice slice = {.b = c->b,
                              .dead_retention_ms = c->api->conf->dead_retention_ms,
                              .changes = &c->resp->changes};
    int64_t until_us = clock_mono_us() + STEP_US;
    enum err_code rc = job_of_ref(c, &j);
    if (rc == OK && !c->api->live && !job_work(j.kind)->delivers) {
        do {
            slice.now_ms = clock_store_ms();
            slice.busy = false;
            rc = job_step(&slice, &j, c->err);
        } while (rc == OK && j.state == JOB_ACTIVE && clock_mono_us() < until_us);
    }
    if (rc != OK)
        return rc;
    render_job(&c->resp->body, &j, c->now_ms);
    c->resp->status = 200;
    return OK;
}

/* ACTIVE ⇄ PAUSED, and both to CANCELLED; the same again changes nothing. What a replay has queued
 * goes on its way all the same: it is an ordinary delivery by now. */
static enum err_code job_move(struct api_call *c, enum job_state to, const char *action)
{
    struct job j;
    char id[ID_TEXT_MAX];
    enum err_code rc = job_of_ref(c, &j);
    if (rc == OK && !job_work(j.kind)->held)
        rc = api_refuse(c, 409, "wrong_state", NULL, "a %s job runs to its end",
                        job_kind_name(j.kind));
    if (rc == OK && j.state != to && job_over(&j))
        rc = api_refuse(c, 409, "wrong_state", NULL, "job %s is %s", id_text(id, "job", j.num),
                        job_state_name(j.state));
    if (rc == OK && j.state != to) {
        j.state = to;
        if (to == JOB_CANCELLED)
            j.finished_ms = c->now_ms;
        rc = c->ops->job_update(c->b, &j, c->err);
        if (rc == OK)
            rc = api_audit(c, action, id_text(id, "job", j.num), NULL);
        c->resp->changes.jobs = true;
    }
    if (rc != OK)
        return rc;
    render_job(&c->resp->body, &j, c->now_ms);
    c->resp->status = 200;
    return OK;
}

enum err_code h_jobs_cancel(struct api_call *c)
{
    return job_move(c, JOB_CANCELLED, "job.cancel");
}

enum err_code h_jobs_pause(struct api_call *c)
{
    return job_move(c, JOB_PAUSED, "job.pause");
}

enum err_code h_jobs_resume(struct api_call *c)
{
    return job_move(c, JOB_ACTIVE, "job.resume");
}
