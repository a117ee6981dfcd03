/* engine/api_replay_impl.h: what the api_replay*.c files share. Not for others.
 *
 *   api_replay.c         asked for ─▶ planned ─┬─▶ put: the job and its parts
 *   api_replay_set.c          its targets ─────┤   (counted, named, judged)
 *   api_replay_preview.c                       └─▶ looked at: the answer */
#ifndef ENGINE_API_REPLAY_IMPL_H
#define ENGINE_API_REPLAY_IMPL_H

#include "engine/api_impl.h"

struct target {
    struct dead_group all, sent; /* letters that match; of those the ones that will be sent */
    struct subscription sub;     /* num 0: unknown */
    enum job_reason out;         /* why nothing is sent to it */
    int64_t blocked_by;          /* another job that is active there; 0: none */
};
struct replay {
    struct api_filter f;
    struct job job; /* as it will be put */
    bool dry_run;
    struct dead_group *groups; /* by subscription and, where types_told, type */
    size_t groups_n;
    bool types_told;
    struct target *targets; /* in order of subscription */
    size_t n;
    struct job_counts sum;   /* selected, excluded */
    struct dead_group total; /* of what is sent: bytes, times of death */
    bool egress_paused;
};

static inline bool is_resend(const struct replay *r)
{
    return r->job.kind == JOB_RESEND;
}

/* ---- api_replay_set.c ---- */
/* One look at all letters that match. More kinds than can be counted: no types are told. */
enum err_code targets_count(struct api_call *c, struct replay *r, bool types);
/* What is sent, as the subscriptions are now. */
enum err_code targets_judge(struct api_call *c, struct replay *r);
struct target *target_of(const struct replay *r, int64_t sub); /* NULL: none */
const char *target_name(const struct target *t);
int64_t sent_of(const struct replay *r, const struct dead_group *g); /* how many of a group are */

/* ---- api_replay_preview.c: of targets that are judged; eats the groups ---- */
enum err_code preview_answer(struct api_call *c, struct replay *r);

#endif
