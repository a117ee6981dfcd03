/* engine/job_run.h: what the runner remembers of a replay or a purge between two slices: its filter as read, the
 * keys of letters that were named one by one, and how far its rate has come. All of it can be made
 * anew from the job's row: after a restart, or where there are too many. Belongs to the store thread. */
#ifndef ENGINE_JOB_RUN_H
#define ENGINE_JOB_RUN_H

#include "engine/job.h"

struct job_run {
    int64_t job, used; /* used: when it was asked for last, in turns */
    struct arena arena;
    struct filter filter;
    bool lost;             /* what the filter names is gone: no letter matches */
    bool named;            /* its letters are named by id or event, and known: */
    struct dead_key *keys; /* all of them, in order */
    size_t keys_n;
    double rate_per_s, next_due_ms; /* the rate, and when its next letter is due */
    int64_t last_due_ms;            /* when the last one that was queued is due */
    int64_t after_sub, given_sub;   /* parts: looked at up to, the last that got letters */
};

/* A job's next keys, as dead_walk or, of a resend, over_walk gives them. */
enum err_code job_keys(struct backend *b, const struct job *j, const struct filter *f, size_t looks,
                       struct arena *a, struct dead_key **out, size_t *n, struct dead_key *end,
                       struct err *err);

struct job_runs *job_runs_new(void); /* NULL: no memory */
void job_runs_free(struct job_runs *runs);
/* The job's; made where there is none. Stays until the next call. */
enum err_code job_run_of(struct job_runs *runs, struct backend *b, const struct job *j,
                         int64_t now_ms, struct job_run **out, struct err *err);
void job_run_forget(struct job_runs *runs, int64_t job);

/* Of letters that were named: those behind the key, oldest first, up to most. *end: the last of them,
 * num 0 where there are no more behind. */
void job_run_named(const struct job_run *run, int64_t after_ms, int64_t after_num, size_t most,
                   struct dead_key **out, size_t *n, struct dead_key *end);

/* How many letters may be queued now, up to most: those that are due before the next tick. */
size_t job_run_allows(struct job_run *run, const struct job *j, int64_t now_ms, size_t most);
/* When the letter is due that is queued now. */
int64_t job_run_due(struct job_run *run, const struct job *j, int64_t now_ms);

#endif
