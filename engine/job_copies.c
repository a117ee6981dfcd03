/* engine/job_copies.c: see job_copies.h. */
#include "engine/job_copies.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"

enum { NAME_ROOM = 65 }; /* a name has 64 at most */

/* "acme.to-1N8D3VQ0C4T5X": of the number of its own, so that no two are the same. */
static void copies_name(char out[NAME_ROOM], const struct subscription *source, int64_t num)
{
    char id[ID_TEXT_MAX];

    (void)id_text(id, "sub", num);
    (void)snprintf(out, NAME_ROOM, "%.46s.to-%.13s", source->name, strchr(id, '_') + 1);
}

enum err_code job_copies_begin(struct job_slice *s, const struct job *job,
                               const struct subscription *source, int64_t *sub, struct err *err)
{
    char name[NAME_ROOM];
    struct subscription to = {.num = id_next(s->ids, s->now_ms),
                              .name = name,
                              .partner = source->partner,
                              .url = job->to_url,
                              .patterns = "",
                              .profile = source->profile,
                              .retry = source->retry,
                              .concurrency = source->concurrency,
                              .timeout_ms = source->timeout_ms,
                              .state = SUB_ACTIVE,
                              .state_since_ms = s->now_ms,
                              .created_ms = s->now_ms,
                              .updated_ms = s->now_ms,
                              .revision = 1,
                              .job = job->num,
                              .source = source->num};

    copies_name(name, source, to.num);
    enum err_code rc = s->b->ops->sub_put(s->b, &to, err);
    if (rc == OK)
        changes_sub(s->changes, to.num);
    *sub = to.num;
    return rc;
}

/* What it has open is killed by a job of its own, slice by slice: a trial ends discarded. */
static enum err_code discard_open(struct job_slice *s, const struct job *job,
                                  const struct subscription *to, struct err *err)
{
    struct job clean = {.num = id_next(s->ids, s->now_ms),
                        .kind = JOB_SUBSCRIPTION_DELETE,
                        .to_url = job->to_url,
                        .actor = job->actor,
                        .sub = to->num,
                        .created_ms = s->now_ms};

    if (to->counts[DELIVERY_PENDING] + to->counts[DELIVERY_RETRYING] + to->counts[DELIVERY_HELD] ==
        0)
        return OK;
    s->changes->jobs = true;
    return s->b->ops->job_put(s->b, &clean, err);
}

static enum err_code move(struct job_slice *s, const struct job *job, const struct job_part *p,
                          enum sub_state state, struct err *err)
{
    struct arena arena;
    struct subscription to;

    arena_init(&arena);
    enum err_code rc = s->b->ops->sub_get_num(s->b, p->sub, &arena, &to, err);
    if (rc == OK && to.state != state) {
        to.state = state;
        to.state_cause = state == SUB_DELETED ? "job_over" : NULL;
        to.state_since_ms = to.updated_ms = s->now_ms;
        rc = s->b->ops->sub_update(s->b, &to, err);
        changes_sub(s->changes, to.num);
        if (rc == OK && state == SUB_DELETED)
            rc = discard_open(s, job, &to, err);
    }
    arena_fini(&arena);
    return rc;
}

static enum err_code move_all(struct job_slice *s, const struct job *job, bool active_only,
                              enum sub_state state, struct err *err)
{
    struct arena arena;
    struct job_part *parts = NULL;
    size_t n = 0;

    arena_init(&arena);
    enum err_code rc = s->b->ops->part_list(s->b, job->num, active_only, -1, JOB_COPIES_MAX, &arena,
                                            &parts, &n, err);
    for (size_t i = 0; rc == OK && i < n; i++)
        if (parts[i].source != parts[i].sub) /* else it was left out from the start */
            rc = move(s, job, &parts[i], state, err);
    arena_fini(&arena);
    return rc;
}

enum err_code job_copies_end(struct job_slice *s, const struct job *job, struct err *err)
{
    return move_all(s, job, false, SUB_DELETED, err);
}

enum err_code job_copies_again(struct job_slice *s, const struct job *job, struct err *err)
{
    return move_all(s, job, true, SUB_ACTIVE, err);
}
