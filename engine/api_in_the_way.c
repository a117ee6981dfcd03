/* engine/api_in_the_way.c: who is at work on the same letters: one job at a time, else 409, which names it.
 *
 *   a replay  waits for another one on its subscription (part_active), and for a purge that would still
 *             take letters of it
 *   a purge   waits for a replay, copies too, that has not come to the end of its letters there: what it
 *             took would be missing in what the replay was asked for
 *
 * A paused job is one at work: it goes on. Two purges do not harm each other, and a restore brings back
 * what no running job has in its set (struct dead_sums). */
#include "engine/api_impl.h"
#include "engine/job_run.h"

enum { JOBS = 64, PARTS = 1000 };

enum err_code job_in_the_way(struct api_call *c, int64_t job, const char *subscription)
{
    char id[ID_TEXT_MAX];
    struct job j = {0};
    enum err_code rc = c->ops->job_get(c->b, job, c->mem, &j, c->err);
    bool paused = rc == OK && j.state == JOB_PAUSED;
    return api_refuse(
        c, 409, "job_active", NULL,
        "%s (a %s) is %s on %s: %s (webhookctl job %s %s), or cancel it (webhookctl job cancel %s)",
        id_text(id, "job", job), job_kind_name(j.kind), paused ? "paused" : "active",
        subscription ? subscription : "a subscription of it",
        paused ? "let it go on" : "wait for it", paused ? "resume" : "watch", id, id);
}

enum err_code put_in_the_way(struct api_call *c, int64_t job)
{
    struct buf *b = &c->resp->body;
    struct job j = {0};
    struct job_counts n = {0};
    enum err_code rc = job ? c->ops->job_get(c->b, job, c->mem, &j, c->err) : OK;
    if (rc == OK && job)
        rc = c->ops->part_sums(c->b, job, &n, c->err);
    put_id(b, "blocked_by", "job", job);
    put_str(b, "blocked_by_kind", job ? job_kind_name(j.kind) : NULL);
    put_str(b, "blocked_by_state", job ? job_state_name(j.state) : NULL);
    put_str(b, "blocked_by_actor", j.actor);
    put_int(b, "blocked_by_done", n.delivered + n.dead_again + n.discarded + j.done);
    put_int(b, "blocked_by_selected", n.selected + j.selected);
    return rc;
}

static struct on_sub *on_of(struct on_sub *subs, size_t n, int64_t sub)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        if (subs[at].sub == sub)
            return &subs[at];
        if (subs[at].sub < sub)
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

/* What one open job adds to the answer. */
typedef enum err_code look_fn(struct api_call *c, const struct job *j, struct on_sub *subs,
                              size_t n, int64_t *any);

static enum err_code look_at_open(struct api_call *c, enum job_kind kind, look_fn *look,
                                  struct on_sub *subs, size_t subs_n, int64_t *any)
{
    struct job_filter f = {.states = JOBS_OPEN, .kinds = FILTER_BIT(kind), .limit = JOBS};
    size_t n = JOBS;
    enum err_code rc = OK;
    while (rc == OK && n == JOBS) {
        struct job *rows = NULL;
        rc = c->ops->job_list(c->b, &f, c->mem, &rows, &n, c->err);
        for (size_t i = 0; rc == OK && i < n; i++) {
            f.after_num = rows[i].num;
            rc = look(c, &rows[i], subs, subs_n, any);
        }
    }
    return rc;
}

/* ---- replays in the way of a purge ---- */
static enum err_code replay_look_at(struct api_call *c, const struct job *j, struct on_sub *subs,
                                    size_t subs_n, int64_t *any)
{
    int64_t after_sub = -1;
    size_t n = PARTS;
    enum err_code rc = OK;
    while (rc == OK && n == PARTS) {
        struct arena mem;
        struct job_part *parts = NULL;
        arena_init(&mem);
        rc = c->ops->part_list(c->b, j->num, true, after_sub, PARTS, &mem, &parts, &n, c->err);
        for (size_t i = 0; rc == OK && i < n; i++) {
            struct on_sub *on = on_of(subs, subs_n, parts[i].source);
            after_sub = parts[i].sub;
            if (!parts[i].walked)
                *any = j->num;
            if (!parts[i].walked && on)
                on->job = j->num;
        }
        arena_fini(&mem);
    }
    return rc;
}

enum err_code replays_on(struct api_call *c, struct on_sub *subs, size_t n, int64_t *any)
{
    *any = 0;
    return look_at_open(c, JOB_REPLAY, replay_look_at, subs, n, any);
}

/* ---- purges in the way of a replay ---- */
static enum err_code purge_look_at(struct api_call *c, const struct job *j, struct on_sub *subs,
                                   size_t n, int64_t *any)
{
    struct job_slice slice = {.b = c->b, .now_ms = c->now_ms, .runs = job_runs_new()};
    enum err_code rc = slice.runs ? OK : fail(c->err, ERR_NOMEM, "no memory for a job");
    bool left = false;
    for (size_t i = 0; rc == OK && i < n; i++) {
        if (subs[i].job == 0)
            rc = job_purge_left(&slice, j, subs[i].sub, &left, c->err);
        if (subs[i].job == 0 && left)
            subs[i].job = *any = j->num;
    }
    job_runs_free(slice.runs);
    return rc;
}

enum err_code purges_on(struct api_call *c, struct on_sub *subs, size_t n)
{
    int64_t any = 0;
    return look_at_open(c, JOB_PURGE, purge_look_at, subs, n, &any);
}
