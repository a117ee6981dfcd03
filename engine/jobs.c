/* engine/jobs.c: the job runner. A slice of each active job runs on the store thread; a timer on the
 * loop asks for the next one.
 *
 * Two runners: what delivers is itself live traffic, a few letters at a time, and gives way to events
 * that come in only; what just changes the store, as fast as it goes, waits while others write
 * (STORE_PATIENT). */
#include "engine/jobs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/job.h"
#include "engine/job_run.h"

/* Every outcome of a job kicks, at a load of thousands a second: one slice for all of a millisecond.
 * While events come in, for all of KICK_LIVE_MS: the letters of a slice are some milliseconds of work
 * for the loop, the receiver and the disk behind it, and what is live has the rest. */
enum { TICK_MS = JOB_TICK_MS, KICK_MS = 1, KICK_LIVE_MS = 20, LOOKS_MAX = 256, TURN_US = 5000 };

struct runner {
    struct jobs *jobs;
    struct loop_timer *timer;
    bool delivers; /* the kinds that it runs */
    bool running, kicked;
    int active;
    /* While running, these belong to the store thread. */
    struct job_slice slice; /* with what was configured when it began */
    struct changes changes;
    struct job_runs *runs;
    struct job_held held, ahead; /* as the loop knows it; as it is after the slice */
    int found;
};
enum { RUNNERS = 2 };

struct jobs {
    struct store *store;
    struct id_source *ids; /* the writer's thread's own */
    jobs_changes_fn *changed;
    void *arg;
    int64_t dead_retention_ms; /* as configured now */
    int sub_in_flight;
    bool stopped;
    struct runner runners[RUNNERS];
};

static void runner_soon(struct runner *r)
{
    bool yields = r->delivers && store_is_live(r->jobs->store);
    loop_timer_at(r->timer, clock_mono_ms() + (yields ? KICK_LIVE_MS : KICK_MS));
}

static enum err_code runner_work(struct backend *b, void *arg, struct err *err)
{
    struct runner *r = arg;
    struct arena arena;
    struct job *rows = NULL;
    size_t n = 0;
    bool theirs = false, goes_on = true;

    arena_init(&arena);
    r->found = 0;
    r->slice.b = b;
    r->slice.now_ms = clock_store_ms();
    enum err_code rc = b->ops->job_list(
        b, &(struct job_filter){.states = JOBS_OPEN, .limit = LOOKS_MAX}, &arena, &rows, &n, err);
    r->ahead = r->held;
    for (size_t i = 0; rc == OK && i < n; i++) {
        if (rows[i].state != JOB_ACTIVE || job_work(rows[i].kind)->delivers != r->delivers)
            continue;
        r->found++;
        theirs = theirs || rows[i].num == r->held.job;
        rc = job_step(&r->slice, &rows[i], err);
        goes_on = goes_on && rows[i].state == JOB_ACTIVE;
    }
    b->lags = goes_on;                          /* nobody has been told of an end */
    if (!theirs && r->ahead.job == r->held.job) /* paused or cancelled: they may go */
        r->ahead.n = 0;
    arena_fini(&arena);
    return rc;
}

/* What the next slice is about is held by now. */
static void runner_heard(void *arg)
{
    struct runner *r = arg;

    r->running = false;
    changes_clear(&r->changes);
    if (r->jobs->stopped)
        return;
    if (r->slice.busy || r->kicked)
        runner_soon(r);
    else if (r->active > 0)
        loop_timer_at(r->timer, clock_mono_ms() + TICK_MS);
}

static void runner_done(void *arg, const struct err *err, int64_t generation)
{
    struct runner *r = arg;
    struct jobs *j = r->jobs;

    (void)generation;
    r->active = r->found;
    if (err->code == OK) {
        r->held = r->ahead;
        if (!r->delivers)
            r->changes.held = (struct change_held){true, r->held.keys, r->held.n};
        j->changed(j->arg, &r->changes, runner_heard, r);
        return;
    }
    log_error("store_error", "op=jobs code=%s error=%s", err_code_name(err->code), err->text);
    r->running = false;
    changes_clear(&r->changes);
    if (!j->stopped)
        loop_timer_at(r->timer, clock_mono_ms() + 1000);
}

static void runner_tick(void *arg)
{
    struct runner *r = arg;
    struct jobs *j = r->jobs;
    bool patient = !r->delivers || store_is_live(j->store);

    if (r->running || j->stopped)
        return;
    r->kicked = false;
    r->slice = (struct job_slice){.dead_retention_ms = j->dead_retention_ms,
                                  .sub_in_flight = j->sub_in_flight,
                                  .turn_us = patient ? store_slice_us(j->store) : TURN_US,
                                  .changes = &r->changes,
                                  .runs = r->runs,
                                  .held = &r->ahead,
                                  .ids = j->ids};
    /* Live traffic first: a slice waits while the writer is behind. */
    if (!store_has_room(j->store, STORE_WRITE) ||
        store_submit(j->store, STORE_WRITE, STORE_GUARDED | (patient ? STORE_PATIENT : 0),
                     runner_work, runner_done, r) != OK) {
        loop_timer_at(r->timer, clock_mono_ms() + TICK_MS);
        return;
    }
    r->running = true;
}

static bool runner_init(struct runner *r, struct jobs *j, struct loop *l, bool delivers)
{
    r->jobs = j;
    r->delivers = delivers;
    changes_init(&r->changes);
    r->timer = loop_timer_new(l, runner_tick, r);
    r->runs = job_runs_new();
    return r->timer != NULL && r->runs != NULL;
}

static void runner_kick(struct runner *r)
{
    if (!r->kicked && !r->running && !r->jobs->stopped)
        runner_soon(r);
    r->kicked = true;
}

static void runner_fini(struct runner *r)
{
    if (r->jobs == NULL)
        return;
    loop_timer_free(r->timer);
    job_runs_free(r->runs);
    changes_fini(&r->changes);
}

struct jobs *jobs_new(struct loop *l, struct store *store, const struct conf *conf,
                      struct id_source *ids, jobs_changes_fn *changed, void *arg)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->store = store;
    j->ids = ids;
    jobs_configure(j, conf);
    j->changed = changed;
    j->arg = arg;
    for (int i = 0; i < RUNNERS; i++)
        if (!runner_init(&j->runners[i], j, l, i == 0)) {
            jobs_free(j);
            return NULL;
        }
    return j;
}

void jobs_configure(struct jobs *j, const struct conf *conf)
{
    j->dead_retention_ms = conf->dead_retention_ms;
    j->sub_in_flight = conf->max_in_flight_per_subscription;
}

void jobs_kick(struct jobs *j)
{
    for (int i = 0; i < RUNNERS; i++)
        runner_kick(&j->runners[i]);
}

void jobs_stop(struct jobs *j)
{
    j->stopped = true;
    for (int i = 0; i < RUNNERS; i++)
        loop_timer_stop(j->runners[i].timer);
}

void jobs_free(struct jobs *j)
{
    for (int i = 0; j != NULL && i < RUNNERS; i++)
        runner_fini(&j->runners[i]);
    free(j);
}

int jobs_active(const struct jobs *j)
{
    return j->runners[0].active + j->runners[1].active;
}
