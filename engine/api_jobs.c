/* engine/api_jobs.c: jobs are looked at, held, stopped and hurried here. (Replays are asked for in
 * api_replay.c; engine/jobs.c runs all of them.) */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/api_impl.h"
#include "engine/job_copies.h"
#include "engine/job_run.h"

enum { STEP_US = 200000 };

typedef bool parse_fn(const char *word, int *out);

static bool state_of(const char *word, int *out)
{
    enum job_state state;
    bool ok = job_state_parse(word, &state);
    *out = ok ? (int)state : 0;
    return ok;
}

static bool kind_of(const char *word, int *out)
{
    enum job_kind kind;
    bool ok = job_kind_parse(word, &kind);
    *out = ok ? (int)kind : 0;
    return ok;
}

/* A parameter once or several times: *out has a bit for each; 0: any. */
static enum err_code read_mask(struct api_call *c, const char *name, parse_fn *parse,
                               const char *words, unsigned *out)
{
    const json_t *v = json_object_get(c->query, name);
    size_t n = json_is_array(v) ? json_array_size(v) : v ? 1 : 0;
    int bit;
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (!parse(json_string_value(json_is_array(v) ? json_array_get(v, i) : v), &bit))
            return api_refuse(c, 422, "invalid_parameter", name, "%s: %s", name, words);
        *out |= FILTER_BIT(bit);
    }
    return OK;
}

enum err_code h_jobs_list(struct api_call *c)
{
    struct job_filter f = {0};
    struct api_page page;
    struct job *rows = NULL;
    size_t n = 0;
    enum err_code rc = api_page_read(c, &page);
    if (rc == OK)
        rc = read_mask(c, "state", state_of, "active, paused, stopped, done or cancelled",
                       &f.states);
    if (rc == OK)
        rc = read_mask(c, "kind", kind_of,
                       "replay, resend, purge, restore, discard or subscription_delete", &f.kinds);
    if (rc != OK)
        return rc;
    f.after_num = page.after_num;
    f.limit = page.limit;
    rc = c->ops->job_list(c->b, &f, c->mem, &rows, &n, c->err);
    put_list_begin(c);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = render_job(c, &rows[i], false);
    if (rc != OK)
        return rc;
    return put_list_end(c, n == page.limit, 0, n ? rows[n - 1].num : 0);
}

static enum err_code job_of_ref(struct api_call *c, struct job *j)
{
    int64_t num;
    enum err_code rc = ERR_NOT_FOUND;
    if (id_parse(c->ref, "job", &num))
        rc = c->ops->job_get(c->b, num, c->mem, j, c->err);
    return rc == ERR_NOT_FOUND ? api_refuse(c, 404, "not_found", NULL, "%s",
                                            api_nobody(c->b, API_KIND_JOB, c->ref, c->mem))
                               : rc;
}

enum err_code h_jobs_get(struct api_call *c)
{
    struct job j;
    enum err_code rc = job_of_ref(c, &j);
    if (rc != OK)
        return rc;
    return job_answer(c, &j, 200);
}

/* A job that delivers nothing needs no daemon: with it stopped, webhookctl runs the slices, as many in
 * one call as fit into STEP_US. With a daemon, or where only a daemon gets on, it is a look. */
enum err_code h_jobs_step(struct api_call *c)
{
    struct job j;
    struct job_slice slice = {.b = c->b,
                              .dead_retention_ms = c->api->conf->dead_retention_ms,
                              .turn_us = STEP_US,
                              .runs = job_runs_new(),
                              .changes = &c->resp->changes,
                              .ids = intake_ids(c->api->intake)};
    int64_t until_us = clock_mono_us() + STEP_US;
    enum err_code rc =
        slice.runs ? job_of_ref(c, &j) : fail(c->err, ERR_NOMEM, "no memory for a job");
    if (rc == OK && !c->api->live && !job_work(j.kind)->delivers) {
        do {
            slice.now_ms = clock_store_ms();
            slice.busy = false;
            rc = job_step(&slice, &j, c->err);
        } while (rc == OK && j.state == JOB_ACTIVE && clock_mono_us() < until_us);
    }
    job_runs_free(slice.runs);
    if (rc != OK)
        return rc;
    return job_answer(c, &j, 200);
}

static enum err_code wrong_state(struct api_call *c, const struct job *j)
{
    char id[ID_TEXT_MAX];
    return api_refuse(c, 409, "wrong_state", NULL, "%s is %s", id_text(id, "job", j->num),
                      job_state_name(j->state));
}

/* Its stopped parts must not meet another job that has begun on one of them since. */
static enum err_code parts_free(struct api_call *c, const struct job *j)
{
    struct job_part *parts = NULL;
    int64_t after_sub = -1, other = 0;
    size_t n = API_PAGE_MAX;
    enum err_code rc = OK;
    while (rc == OK && n == API_PAGE_MAX) {
        rc = c->ops->part_list(c->b, j->num, false, after_sub, API_PAGE_MAX, c->mem, &parts, &n,
                               c->err);
        for (size_t i = 0; rc == OK && i < n; i++) {
            after_sub = parts[i].sub;
            if (parts[i].state == JOB_STOPPED)
                rc = c->ops->part_active(c->b, parts[i].sub, &other, c->err);
            if (rc == OK && other != 0)
                rc = job_in_the_way(c, other, parts[i].sub_name);
        }
    }
    return rc;
}

/* The parts go with their job: one that is paused stays the active job of its subscriptions. What it
 * made for its copies goes, or is back. */
static enum err_code parts_move(struct api_call *c, struct job *j, enum job_state to)
{
    struct job_slice slice = {.b = c->b,
                              .now_ms = c->now_ms,
                              .changes = &c->resp->changes,
                              .ids = intake_ids(c->api->intake)};
    enum job_state from = j->state;
    enum err_code rc = OK;
    j->state = to;
    if (to == JOB_CANCELLED && from == JOB_STOPPED) { /* put away: what it made is gone already */
        rc = c->ops->part_move(c->b, j->num, JOB_STOPPED, JOB_CANCELLED, c->err);
    } else if (to == JOB_CANCELLED) {
        j->finished_ms = c->now_ms;
        rc = c->ops->part_move(c->b, j->num, JOB_ACTIVE, JOB_CANCELLED, c->err);
        if (rc == OK && j->to_url)
            rc = job_copies_end(&slice, j, c->err);
    } else if (from == JOB_STOPPED) {
        j->finished_ms = 0;
        rc = parts_free(c, j);
        if (rc == OK)
            rc = c->ops->part_move(c->b, j->num, JOB_STOPPED, JOB_ACTIVE, c->err);
        if (rc == OK && j->to_url)
            rc = job_copies_again(&slice, j, c->err);
    }
    return rc;
}

static enum err_code move_audit(struct api_call *c, const struct job *j, const char *action,
                                const char *note)
{
    char id[ID_TEXT_MAX];
    struct buf detail;
    buf_init(&detail, 16384);
    put_open(&detail, NULL, '{');
    put_str(&detail, "note", note);
    buf_addc(&detail, '}');
    enum err_code rc =
        detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                      : api_audit(c, action, id_text(id, "job", j->num), note ? detail.data : NULL);
    buf_fini(&detail);
    return rc;
}

/* What others have sent since is not sent twice, and a job of nothing is not begun again. */
static enum err_code something_left(struct api_call *c, const struct job *j)
{
    char id[ID_TEXT_MAX];
    bool left;
    enum err_code rc = job_resumable(c, j, &left);
    return rc == OK && !left
               ? api_refuse(c, 409, "wrong_state", NULL,
                            "nothing of %s is left to send: another job sent it since, or it is "
                            "purged or expired; what died again: webhookctl dlq replay --job %s",
                            id_text(id, "job", j->num), id)
               : rc;
}

/*   ACTIVE ⇄ PAUSED     both ─▶ CANCELLED     STOPPED ─▶ ACTIVE, CANCELLED
 * The same again changes nothing. What a replay has queued goes on its way all the same: it is an
 * ordinary delivery by now. Copies that are cancelled on their way are discarded. */
static enum err_code job_move(struct api_call *c, enum job_state to, const char *action)
{
    static const char *const names[] = {"note", NULL};
    struct job j;
    const char *note = NULL;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_note(c, &note);
    if (rc == OK)
        rc = job_of_ref(c, &j);
    if (rc == OK && !job_work(j.kind)->held)
        rc = api_refuse(c, 409, "wrong_state", NULL, "a %s job runs to its end",
                        job_kind_name(j.kind));
    if (rc != OK || j.state == to)
        return rc == OK ? job_answer(c, &j, 200) : rc;
    if (job_over(&j) && (j.state != JOB_STOPPED || to == JOB_PAUSED))
        return wrong_state(c, &j);
    if (j.state == JOB_STOPPED && to == JOB_ACTIVE)
        rc = something_left(c, &j);
    if (rc == OK)
        rc = parts_move(c, &j, to);
    if (rc == OK)
        rc = c->ops->job_update(c->b, &j, c->err);
    if (rc == OK)
        rc = move_audit(c, &j, action, note);
    c->resp->changes.jobs = true;
    return rc == OK ? job_answer(c, &j, 200) : rc;
}

enum err_code h_jobs_rate(struct api_call *c)
{
    static const char *const names[] = {"rate_per_second", NULL};
    struct job j;
    char id[ID_TEXT_MAX], detail[64];
    double rate = -1;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_rate(c, &rate);
    if (rc == OK && rate < 0)
        rc = api_refuse(c, 422, "invalid_member", "rate_per_second",
                        "rate_per_second: missing; 0: no limit");
    if (rc == OK)
        rc = job_of_ref(c, &j);
    if (rc == OK && !job_work(j.kind)->delivers)
        rc = api_refuse(c, 409, "wrong_state", NULL, "a %s job has no rate", job_kind_name(j.kind));
    if (rc == OK && job_over(&j) && j.state != JOB_STOPPED)
        rc = wrong_state(c, &j);
    if (rc != OK)
        return rc;
    j.rate_per_s = rate;
    rc = c->ops->job_update(c->b, &j, c->err);
    (void)snprintf(detail, sizeof detail, "{\"rate_per_second\":%.17g}", rate);
    if (rc == OK)
        rc = api_audit(c, "job.rate", id_text(id, "job", j.num), detail);
    c->resp->changes.jobs = true;
    return rc == OK ? job_answer(c, &j, 200) : rc;
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
