/* engine/job.h: what the kinds of durable jobs do: a row for each, and one slice of one job over a
 * backend.
 *
 * A slice is a blocking function within the caller's transaction: on the store thread, asked for by
 * the runner (engine/jobs.h), or, with the daemon stopped, in webhookctl's own process (POST
 * /jobs/{id}/step). What is left and how far it came is in the store, so a job goes on after a crash. */
#ifndef ENGINE_JOB_H
#define ENGINE_JOB_H

#include "base/id.h"
#include "engine/changes.h"
#include "store/backend.h"

/* A letter is sealed or opened in about 0.1 ms: a slice keeps the writer for some 5 ms at most. */
enum { JOB_SLICE = 64, JOB_TICK_MS = 200, JOB_HELD_MAX = CHANGES_HELD_MAX };

struct job_runs; /* what the runner remembers of jobs between two slices (engine/job_run.h) */
/* Deliveries that the lanes have been told not to start, from the slice that chose them to the one
 * that ends them: so nothing starts that is over, or about to be. One job's at a time, turn about. */
struct job_held {
    int64_t job, waiting; /* waiting: another one that wants the next turn; 0: none */
    size_t n;
    struct delivery_key keys[JOB_HELD_MAX];
};
struct job_slice {
    struct backend *b;
    int64_t now_ms; /* store clock */
    int64_t dead_retention_ms;
    int64_t turn_us;         /* how long a step may take */
    int64_t until_us;        /* mono: the end of this one's turn */
    int sub_in_flight;       /* of a subscription without a limit of its own */
    struct changes *changes; /* for the loop */
    struct job_runs *runs;
    struct job_held *held; /* NULL: nobody sends */
    struct id_source *ids; /* of the writer's thread */
    bool busy;             /* out: there is more to do at once */
};
/* Does a slice of *j, counts in it what it did, and sets its state where nothing is left. The
 * row is written by job_step(), in the same transaction. */
typedef enum err_code job_step_fn(struct job_slice *s, struct job *j, struct err *err);

struct job_work {
    job_step_fn *step;
    bool delivers; /* comes to its end by deliveries, which only a daemon makes */
    bool held;     /* an operator may pause, resume and cancel it; else it runs to its end */
};
const struct job_work *job_work(enum job_kind kind);

/* One slice of an active job (any other is left alone): step, started_at and finished_at, the row
 * where something changed, a line in the log where it is done. */
enum err_code job_step(struct job_slice *s, struct job *j, struct err *err);
static inline bool job_over(const struct job *j)
{
    return j->state == JOB_DONE || j->state == JOB_CANCELLED || j->state == JOB_STOPPED;
}

/* Is anything of a stopped replay, or resend, left that it would send if it were resumed? Not what
 * another job sent since, or what was purged. Only reads; s->runs is needed. parts: its. */
enum err_code job_replay_left(struct job_slice *s, const struct job *job,
                              const struct job_part *parts, size_t n, bool *left, struct err *err);

/* Would an open purge still take a letter of sub? Of very many that do not match: perhaps. Only reads;
 * s->runs is needed. */
enum err_code job_purge_left(struct job_slice *s, const struct job *job, int64_t sub, bool *left,
                             struct err *err);

/* ---- the steps, by file ---- */
job_step_fn job_replay_step;                                    /* job_replay.c */
job_step_fn job_purge_step, job_restore_step, job_discard_step; /* job_purge.c */

#endif
