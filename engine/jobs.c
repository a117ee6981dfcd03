/* engine/jobs.c: the job runner. A slice runs on the store thread; a timer on the loop asks for the
 * next one.
 *
 * A replay of rate N/s queues N × elapsed letters a slice, each due a little after the one before,
 * so that the partner sees N/s and not bursts of N. The walk goes by (died_ms, num), and what dies
 * again dies later than the job's `until`: it is not walked into twice. */
#include "engine/jobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/api_filter.h"

/* A letter is sealed or opened in about 0.1 ms: a slice keeps the writer for some 5 ms. */
enum { SLICE = 64, TICK_MS = 200, PACED_MAX = 64, LOOKS_MAX = 256 };

struct pace { /* of one replay; belongs to the store thread */
    int64_t job, last_ms;
    double credit;
};
struct jobs {
    struct loop_timer *timer;
    struct store *store;
    jobs_changes_fn *changed;
    void *arg;
    int64_t dead_retention_ms; /* as configured now */
    bool running, again, stopped;
    int active;
    /* While running, these belong to the store thread. */
    int64_t slice_retention_ms; /* of this slice: a reload must not change it under the slice */
    struct changes changes;
    struct pace pace[PACED_MAX];
    bool busy; /* more to do at once */
    int found;
};

static struct pace *pace_of(struct jobs *j, const struct job *job, int64_t now_ms)
{
    struct pace *free_one = &j->pace[0];

    for (size_t i = 0; i < PACED_MAX; i++) {
        if (j->pace[i].job == job->num)
            return &j->pace[i];
        if (j->pace[i].last_ms < free_one->last_ms)
            free_one = &j->pace[i];
    }
    *free_one = (struct pace){.job = job->num, .last_ms = now_ms - TICK_MS};
    return free_one;
}

/* How many letters the rate allows now. */
static size_t allowance(struct jobs *j, const struct job *job, int64_t now_ms)
{
    if (job->rate_per_s <= 0)
        return SLICE;
    struct pace *p = pace_of(j, job, now_ms);
    double elapsed = (double)(now_ms - p->last_ms) / 1000.0;

    p->last_ms = now_ms;
    p->credit = fmin(p->credit + elapsed * job->rate_per_s, fmax(1.0, job->rate_per_s));
    double whole = floor(p->credit);
    if (whole > SLICE)
        whole = SLICE;
    p->credit -= whole;
    return (size_t)whole;
}

static enum err_code replay_one(struct jobs *j, struct backend *b, struct job *job,
                                const struct dead_letter *d, int64_t due_ms, int64_t now_ms,
                                struct err *err)
{
    bool expired = d->event.expires_ms > 0 && d->event.expires_ms <= now_ms;

    job->mark_ms = d->died_ms;
    job->mark_num = d->delivery.num;
    if (d->delivery.job == job->num) /* died again "earlier": somebody set the clock back */
        return OK;
    if (expired && !job->ignore_expiry) {
        job->excluded++;
        return OK;
    }
    enum err_code rc = b->ops->dead_replay(b, d->delivery.num, job->num, due_ms, now_ms, err);
    if (rc == ERR_STALE || rc == ERR_INVALID || rc == ERR_NOT_FOUND) {
        job->excluded++; /* purged, replayed by another, or its subscription is gone */
        return OK;
    }
    if (rc != OK)
        return rc;
    job->queued++;
    changes_wake(&j->changes, d->delivery.sub, due_ms);
    return OK;
}

static enum err_code replay_walk(struct jobs *j, struct backend *b, struct job *job, int64_t now_ms,
                                 struct err *err)
{
    size_t most = allowance(j, job, now_ms);
    struct arena arena;
    struct filter filter;
    struct dead_letter *letters = NULL;
    size_t n = 0;

    if (most == 0)
        return OK;
    arena_init(&arena);
    enum err_code rc = api_filter_json(b, job->filter, now_ms, &arena, &filter, err);
    if (rc == OK) {
        filter.limit = most;
        filter.newest_first = false;
        filter.with_expired = true;
        filter.after_ms = job->mark_ms;
        filter.after_num = job->mark_num;
        rc = b->ops->dead_list(b, &filter, &arena, &letters, &n, err);
    } else if (rc == ERR_NOT_FOUND || rc == ERR_INVALID) {
        rc = OK; /* what it names is gone: nothing is left to walk */
    }
    double step_ms = job->rate_per_s > 0 ? 1000.0 / job->rate_per_s : 0.0;
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = replay_one(j, b, job, &letters[i], now_ms + (int64_t)((double)i * step_ms), now_ms,
                        err);
    if (rc == OK && n < most)
        job->walked = true;
    else if (rc == OK && (job->rate_per_s <= 0 || most == SLICE))
        j->busy = true; /* also where the rate allows more than a slice a tick */
    arena_fini(&arena);
    return rc;
}

static enum err_code replay_step(struct jobs *j, struct backend *b, struct job *job,
                                 struct err *err)
{
    int64_t now_ms = clock_store_ms();
    struct job before = *job;
    enum err_code rc = OK;

    if (job->started_ms == 0)
        job->started_ms = now_ms;
    if (!job->walked)
        rc = replay_walk(j, b, job, now_ms, err);
    if (rc != OK)
        return rc;
    if (job->walked && job->queued <= job->delivered + job->dead_again) {
        job->state = JOB_DONE;
        job->finished_ms = now_ms;
    }
    if (job->state == before.state && job->walked == before.walked &&
        job->queued == before.queued && job->excluded == before.excluded && before.started_ms != 0)
        return OK; /* nothing to write: a waiting job costs no commit */
    return b->ops->job_update(b, job, err);
}

static enum err_code delete_step(struct jobs *j, struct backend *b, struct job *job,
                                 struct err *err)
{
    int64_t now_ms = clock_store_ms();
    size_t n = 0;

    enum err_code rc = b->ops->kill(b, job->sub, INT64_MAX, CAUSE_SUBSCRIPTION_DELETED, SLICE,
                                    now_ms, now_ms + j->slice_retention_ms, &n, err);
    if (rc != OK)
        return rc;
    j->changes.dead[CAUSE_SUBSCRIPTION_DELETED] += (int64_t)n;
    job->queued += (int64_t)n;
    if (job->started_ms == 0)
        job->started_ms = now_ms;
    if (n == 0) {
        job->state = JOB_DONE;
        job->finished_ms = now_ms;
        job->walked = true;
    }
    j->busy = j->busy || n > 0;
    return b->ops->job_update(b, job, err);
}

static enum err_code jobs_work(struct backend *b, void *arg, struct err *err)
{
    struct jobs *j = arg;
    struct arena arena;
    struct job *rows = NULL;
    size_t n = 0;

    arena_init(&arena);
    j->busy = false;
    j->found = 0;
    enum err_code rc = b->ops->job_list(b, true, 0, LOOKS_MAX, &arena, &rows, &n, err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        if (rows[i].state == JOB_PAUSED)
            continue;
        j->found++;
        rc = strcmp(rows[i].kind, "replay") == 0 ? replay_step(j, b, &rows[i], err)
                                                 : delete_step(j, b, &rows[i], err);
        if (rc == OK && rows[i].state == JOB_DONE) {
            char id[ID_TEXT_MAX];

            log_info("job_done", "job=%s kind=%s delivered=%lld dead_again=%lld excluded=%lld",
                     id_text(id, "job", rows[i].num), rows[i].kind, (long long)rows[i].delivered,
                     (long long)rows[i].dead_again, (long long)rows[i].excluded);
        }
    }
    arena_fini(&arena);
    return rc;
}

static void jobs_done(void *arg, const struct err *err, int64_t generation)
{
    struct jobs *j = arg;

    (void)generation;
    j->running = false;
    j->active = j->found;
    if (err->code != OK)
        log_error("store_error", "op=jobs code=%s error=%s", err_code_name(err->code), err->text);
    else
        j->changed(j->arg, &j->changes);
    changes_clear(&j->changes);
    if (j->stopped)
        return;
    if (err->code != OK)
        loop_timer_at(j->timer, clock_mono_ms() + 1000);
    else if (j->busy || j->again)
        loop_timer_at(j->timer, clock_mono_ms() + (j->busy ? 1 : TICK_MS / 4));
    else if (j->active > 0)
        loop_timer_at(j->timer, clock_mono_ms() + TICK_MS);
    j->again = false;
}

static void jobs_tick(void *arg)
{
    struct jobs *j = arg;

    if (j->running || j->stopped)
        return;
    j->slice_retention_ms = j->dead_retention_ms;
    /* Live traffic first: a slice waits while the writer is behind. */
    if (!store_has_room(j->store, STORE_WRITE) ||
        store_submit(j->store, STORE_WRITE, STORE_GUARDED, jobs_work, jobs_done, j) != OK) {
        loop_timer_at(j->timer, clock_mono_ms() + TICK_MS);
        return;
    }
    j->running = true;
}

struct jobs *jobs_new(struct loop *l, struct store *store, int64_t dead_retention_ms,
                      jobs_changes_fn *changed, void *arg)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->store = store;
    j->dead_retention_ms = dead_retention_ms;
    j->changed = changed;
    j->arg = arg;
    changes_init(&j->changes);
    j->timer = loop_timer_new(l, jobs_tick, j);
    if (j->timer == NULL) {
        jobs_free(j);
        return NULL;
    }
    return j;
}

void jobs_configure(struct jobs *j, int64_t dead_retention_ms)
{
    j->dead_retention_ms = dead_retention_ms;
}

void jobs_kick(struct jobs *j)
{
    if (j->running)
        j->again = true;
    else if (!j->stopped)
        loop_timer_at(j->timer, clock_mono_ms() + TICK_MS / 8);
}

void jobs_stop(struct jobs *j)
{
    j->stopped = true;
    loop_timer_stop(j->timer);
}

void jobs_free(struct jobs *j)
{
    if (j == NULL)
        return;
    loop_timer_free(j->timer);
    changes_fini(&j->changes);
    free(j);
}

int jobs_active(const struct jobs *j)
{
    return j->active;
}
