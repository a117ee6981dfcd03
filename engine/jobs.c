/* engine/jobs.c: the job runner. A slice of each active job runs on the store thread; a timer on the
 * loop asks for the next one. */
#include "engine/jobs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/job.h"

enum { TICK_MS = 200, LOOKS_MAX = 256 };

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
    struct job_paces *paces;
    bool busy; /* more to do at once */
    int found;
};

static enum err_code jobs_work(struct backend *b, void *arg, struct err *err)
{
    struct jobs *j = arg;
    struct job_slice slice = {.b = b,
                              .now_ms = clock_store_ms(),
                              .dead_retention_ms = j->slice_retention_ms,
                              .changes = &j->changes,
                              .paces = j->paces};
    struct arena arena;
    struct job *rows = NULL;
    size_t n = 0;

    arena_init(&arena);
    j->found = 0;
    enum err_code rc = b->ops->job_list(b, true, 0, LOOKS_MAX, &arena, &rows, &n, err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        if (rows[i].state != JOB_ACTIVE)
            continue;
        j->found++;
        rc = job_step(&slice, &rows[i], err);
    }
    j->busy = slice.busy;
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
    j->paces = job_paces_new();
    if (j->timer == NULL || j->paces == NULL) {
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
    job_paces_free(j->paces);
    changes_fini(&j->changes);
    free(j);
}

int jobs_active(const struct jobs *j)
{
    return j->active;
}
