/* engine/jobs.c: the job runner. A slice of each active job runs on the store thread; a timer on the
 * loop asks for the next one. */
#include "engine/jobs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/job.h"
#include "engine/job_run.h"

/* Every outcome of a job kicks, at a load of thousands a second: one slice for all of a millisecond. */
enum { TICK_MS = JOB_TICK_MS, KICK_MS = 1, LOOKS_MAX = 256 };

struct jobs {
    struct loop_timer *timer;
    struct store *store;
    jobs_changes_fn *changed;
    void *arg;
    int64_t dead_retention_ms; /* as configured now */
    int sub_in_flight;
    bool running, kicked, stopped;
    int active;
    /* While running, these belong to the store thread. */
    struct job_slice slice; /* with what was configured when it began */
    struct changes changes;
    struct job_runs *runs;
    struct id_source *ids;
    struct job_held held, ahead; /* as the loop knows it; as it is after the slice */
    int found;
};

static enum err_code jobs_work(struct backend *b, void *arg, struct err *err)
{
    struct jobs *j = arg;
    struct arena arena;
    struct job *rows = NULL;
    size_t n = 0;
    bool theirs = false;

    arena_init(&arena);
    j->found = 0;
    j->slice.b = b;
    j->slice.now_ms = clock_store_ms();
    enum err_code rc = b->ops->job_list(b, true, 0, LOOKS_MAX, &arena, &rows, &n, err);
    j->ahead = j->held;
    for (size_t i = 0; rc == OK && i < n; i++) {
        if (rows[i].state != JOB_ACTIVE)
            continue;
        j->found++;
        theirs = theirs || rows[i].num == j->held.job;
        rc = job_step(&j->slice, &rows[i], err);
    }
    if (!theirs && j->ahead.job == j->held.job) /* paused or cancelled: they may go */
        j->ahead.n = 0;
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
    else {
        j->held = j->ahead;
        j->changes.held = (struct change_held){true, j->held.keys, j->held.n};
        j->changed(j->arg, &j->changes);
    }
    changes_clear(&j->changes);
    if (j->stopped)
        return;
    if (err->code != OK)
        loop_timer_at(j->timer, clock_mono_ms() + 1000);
    else if (j->slice.busy || j->kicked)
        loop_timer_at(j->timer, clock_mono_ms() + KICK_MS);
    else if (j->active > 0)
        loop_timer_at(j->timer, clock_mono_ms() + TICK_MS);
}

static void jobs_tick(void *arg)
{
    struct jobs *j = arg;

    if (j->running || j->stopped)
        return;
    j->kicked = false;
    j->slice = (struct job_slice){.dead_retention_ms = j->dead_retention_ms,
                                  .sub_in_flight = j->sub_in_flight,
                                  .changes = &j->changes,
                                  .runs = j->runs,
                                  .held = &j->ahead,
                                  .ids = j->ids};
    /* Live traffic first: a slice waits while the writer is behind. */
    if (!store_has_room(j->store, STORE_WRITE) ||
        store_submit(j->store, STORE_WRITE, STORE_GUARDED, jobs_work, jobs_done, j) != OK) {
        loop_timer_at(j->timer, clock_mono_ms() + TICK_MS);
        return;
    }
    j->running = true;
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
    changes_init(&j->changes);
    j->timer = loop_timer_new(l, jobs_tick, j);
    j->runs = job_runs_new();
    if (j->timer == NULL || j->runs == NULL) {
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
    if (!j->kicked && !j->running && !j->stopped)
        loop_timer_at(j->timer, clock_mono_ms() + KICK_MS);
    j->kicked = true;
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
    job_runs_free(j->runs);
    changes_fini(&j->changes);
    free(j);
}

int jobs_active(const struct jobs *j)
{
    return j->active;
}
