/* engine/job_run.c: see job_run.h. */
#include "engine/job_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/api_filter.h"

enum {
    RUNS_MAX = 256,
    AHEAD_MS = JOB_TICK_MS + 50, /* letters are queued so long before they are due */
    NAMED_MAX = 1000000,         /* no filter names so many: ids are 10,000 at most */
    LATE_MS = 500,               /* what a slow turn missed is made up for; no more */
};

struct job_runs {
    struct job_run *rows[RUNS_MAX];
    int64_t turn;
};

struct job_runs *job_runs_new(void)
{
    return calloc(1, sizeof(struct job_runs));
}

static void run_free(struct job_run *run)
{
    if (run == NULL)
        return;
    arena_fini(&run->arena);
    free(run);
}

void job_runs_free(struct job_runs *runs)
{
    for (size_t i = 0; runs != NULL && i < RUNS_MAX; i++)
        run_free(runs->rows[i]);
    free(runs);
}

void job_run_forget(struct job_runs *runs, int64_t job)
{
    for (size_t i = 0; runs != NULL && i < RUNS_MAX; i++)
        if (runs->rows[i] != NULL && runs->rows[i]->job == job) {
            run_free(runs->rows[i]);
            runs->rows[i] = NULL;
        }
}

enum err_code job_keys(struct backend *b, const struct job *j, const struct filter *f, size_t looks,
                       struct arena *a, struct dead_key **out, size_t *n, struct dead_key *end,
                       struct err *err)
{
    return j->kind == JOB_RESEND ? b->ops->over_walk(b, f, looks, a, out, n, end, err)
                                 : b->ops->dead_walk(b, f, looks, a, out, n, end, err);
}

/* Letters that were named are read once, not ten thousand names at each slice. */
static enum err_code run_load(struct job_run *run, struct backend *b, const struct job *j,
                              int64_t now_ms, struct err *err)
{
    struct filter *f = &run->filter;
    struct dead_key end = {0};
    enum err_code rc = j->kind == JOB_RESEND
                           ? api_filter_json_deliveries(b, j->filter, now_ms, &run->arena, f, err)
                           : api_filter_json(b, j->filter, now_ms, &run->arena, f, err);
    if (rc == ERR_NOT_FOUND || rc == ERR_INVALID) {
        run->lost = true;
        return OK;
    }
    f->with_expired = true;
    if (j->kind == JOB_RESEND) /* what is delivered later is not in the set */
        f->ended_before_ms = j->created_ms + 1;
    f->newest_first = j->newest_first;
    run->named = f->ids_n > 0 || f->event_ids_n > 0;
    f->limit = NAMED_MAX;
    if (rc == OK && run->named)
        rc = job_keys(b, j, f, 1, &run->arena, &run->keys, &run->keys_n, &end, err);
    if (rc == OK && end.num != 0)
        rc = fail(err, ERR_INTERNAL, "a replay of more letters than can be named");
    return rc;
}

/* The job's own place, else a free one, else that of the one which was not asked for longest. */
static size_t run_place(const struct job_runs *runs, int64_t job)
{
    size_t place = 0;
    for (size_t i = 0; i < RUNS_MAX; i++) {
        const struct job_run *run = runs->rows[i], *best = runs->rows[place];
        if (run != NULL && run->job == job)
            return i;
        if (best != NULL && (run == NULL || run->used < best->used))
            place = i;
    }
    return place;
}

enum err_code job_run_of(struct job_runs *runs, struct backend *b, const struct job *j,
                         int64_t now_ms, struct job_run **out, struct err *err)
{
    size_t place = run_place(runs, j->num);
    struct job_run *run = runs->rows[place];
    if (run == NULL || run->job != j->num) {
        run = calloc(1, sizeof *run);
        if (run == NULL)
            return fail(err, ERR_NOMEM, "no memory for a job");
        *run = (struct job_run){.job = j->num,
                                .rate_per_s = j->rate_per_s,
                                .next_due_ms = (double)now_ms,
                                .after_sub = -1};
        arena_init(&run->arena);
        enum err_code rc = run_load(run, b, j, now_ms, err);
        if (rc != OK) {
            run_free(run);
            return rc;
        }
        run_free(runs->rows[place]);
        runs->rows[place] = run;
    }
    run->used = ++runs->turn;
    *out = run;
    return OK;
}

void job_run_named(const struct job_run *run, int64_t after_ms, int64_t after_num, size_t most,
                   struct dead_key **out, size_t *n, struct dead_key *end)
{
    size_t from = 0;
    while (from < run->keys_n &&
           (run->keys[from].died_ms < after_ms ||
            (run->keys[from].died_ms == after_ms && run->keys[from].num <= after_num)))
        from++;
    *out = run->keys + from;
    *n = run->keys_n - from < most ? run->keys_n - from : most;
    *end = from + *n < run->keys_n ? run->keys[from + *n - 1] : (struct dead_key){0};
}

/* ---- the rate ---- */
size_t job_run_allows(struct job_run *run, const struct job *j, int64_t now_ms, size_t most)
{
    if (j->rate_per_s <= 0)
        return most;
    if (fabs(run->rate_per_s - j->rate_per_s) > 1e-9) { /* changed by an operator */
        run->rate_per_s = j->rate_per_s;
        run->next_due_ms = (double)now_ms;
    }
    run->next_due_ms = fmax(run->next_due_ms, (double)(now_ms - LATE_MS));
    double ahead_ms = (double)(now_ms + AHEAD_MS) - run->next_due_ms;
    double n = ahead_ms < 0 ? 0 : floor(ahead_ms * j->rate_per_s / 1000) + 1;
    return n < (double)most ? (size_t)n : most;
}

/* What is due in the same millisecond goes by its number, the oldest first: where the newest is to go
 * first each has a millisecond of its own. (Without a rate that makes a thousand a second the most; a
 * higher one is kept, and the order within a millisecond is not.) */
int64_t job_run_due(struct job_run *run, const struct job *j, int64_t now_ms)
{
    int64_t due_ms = j->rate_per_s > 0 ? (int64_t)run->next_due_ms : now_ms;
    if (j->rate_per_s > 0)
        run->next_due_ms += 1000 / j->rate_per_s;
    due_ms = due_ms > now_ms ? due_ms : now_ms;
    if (j->newest_first && j->rate_per_s <= 1000 && due_ms <= run->last_due_ms)
        due_ms = run->last_due_ms + 1;
    run->last_due_ms = due_ms;
    return due_ms;
}
