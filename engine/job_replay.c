/* engine/job_replay.c: one slice of a replay.
 *
 * A replay of rate N/s queues N × elapsed letters a slice, each due a little after the one before,
 * so that the partner sees N/s and not bursts of N. The walk goes by (died_ms, num), and what dies
 * again dies later than the job's `until`: it is not walked into twice. */
#include <math.h>
#include <stdlib.h>

#include "engine/api_filter.h"
#include "engine/egress_pause.h"
#include "engine/job.h"

enum { FIRST_TICK_MS = 200, PACED_MAX = 64 };

struct pace { /* of one replay */
    int64_t job, last_ms;
    double credit;
};
struct job_paces {
    struct pace rows[PACED_MAX];
};

struct job_paces *job_paces_new(void)
{
    return calloc(1, sizeof(struct job_paces));
}

void job_paces_free(struct job_paces *p)
{
    free(p);
}

static struct pace *pace_of(struct job_paces *p, const struct job *job, int64_t now_ms)
{
    struct pace *free_one = &p->rows[0];

    for (size_t i = 0; i < PACED_MAX; i++) {
        if (p->rows[i].job == job->num)
            return &p->rows[i];
        if (p->rows[i].last_ms < free_one->last_ms)
            free_one = &p->rows[i];
    }
    *free_one = (struct pace){.job = job->num, .last_ms = now_ms - FIRST_TICK_MS};
    return free_one;
}

/* How many letters the rate allows now. */
static size_t allowance(struct job_slice *s, const struct job *job)
{
    if (job->rate_per_s <= 0 || s->paces == NULL)
        return JOB_SLICE;
    struct pace *p = pace_of(s->paces, job, s->now_ms);
    double elapsed = (double)(s->now_ms - p->last_ms) / 1000.0;

    p->last_ms = s->now_ms;
    p->credit = fmin(p->credit + elapsed * job->rate_per_s, fmax(1.0, job->rate_per_s));
    double whole = floor(p->credit);
    if (whole > JOB_SLICE)
        whole = JOB_SLICE;
    p->credit -= whole;
    return (size_t)whole;
}

static enum err_code replay_one(struct job_slice *s, struct job *job, const struct dead_letter *d,
                                int64_t due_ms, struct err *err)
{
    bool expired = d->event.expires_ms > 0 && d->event.expires_ms <= s->now_ms;

    job->mark_ms = d->died_ms;
    job->mark_num = d->delivery.num;
    if (d->delivery.job == job->num) /* died again "earlier": somebody set the clock back */
        return OK;
    if (expired && !job->ignore_expiry) {
        job->excluded++;
        return OK;
    }
    enum err_code rc =
        s->b->ops->dead_replay(s->b, d->delivery.num, job->num, due_ms, s->now_ms, err);
    if (rc == ERR_STALE || rc == ERR_INVALID || rc == ERR_NOT_FOUND) {
        job->excluded++; /* purged, replayed by another, or its subscription is gone */
        return OK;
    }
    struct deed deed = {
        .delivery = d->delivery.num, .at_ms = s->now_ms, .kind = DEED_REPLAYED, .job = job->num};
    if (rc == OK)
        rc = s->b->ops->deed_put(s->b, &deed, err);
    if (rc != OK)
        return rc;
    job->queued++;
    changes_wake(s->changes, d->delivery.sub, due_ms);
    return OK;
}

static enum err_code replay_walk(struct job_slice *s, struct job *job, struct err *err)
{
    size_t most = allowance(s, job);
    struct arena arena;
    struct filter filter;
    struct dead_letter *letters = NULL;
    size_t n = 0;

    if (most == 0)
        return OK;
    arena_init(&arena);
    enum err_code rc = api_filter_json(s->b, job->filter, s->now_ms, &arena, &filter, err);
    if (rc == OK) {
        filter.limit = most;
        filter.newest_first = false;
        filter.with_expired = true;
        filter.after_ms = job->mark_ms;
        filter.after_num = job->mark_num;
        rc = s->b->ops->dead_list(s->b, &filter, &arena, &letters, &n, err);
    } else if (rc == ERR_NOT_FOUND || rc == ERR_INVALID) {
        rc = OK; /* what it names is gone: nothing is left to walk */
    }
    double step_ms = job->rate_per_s > 0 ? 1000.0 / job->rate_per_s : 0.0;
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = replay_one(s, job, &letters[i], s->now_ms + (int64_t)((double)i * step_ms), err);
    if (rc == OK && n < most)
        job->walked = true;
    else if (rc == OK && (job->rate_per_s <= 0 || most == JOB_SLICE))
        s->busy = true; /* also where the rate allows more than a slice a tick */
    arena_fini(&arena);
    return rc;
}

enum err_code job_replay_step(struct job_slice *s, struct job *job, struct err *err)
{
    struct egress_pause egress;
    enum err_code rc = egress_pause_read(s->b, &egress, err);
    /* What was queued while egress is paused would go out in one burst. */
    if (rc == OK && !egress.paused && !job->walked)
        rc = replay_walk(s, job, err);
    if (rc == OK && job->walked && job->queued <= job->delivered + job->dead_again)
        job->state = JOB_DONE;
    return rc;
}
