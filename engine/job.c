/* engine/job.c: the table of the kinds of jobs, what is common to their steps, and the steps that
 * need no file of their own. */
#include "engine/job.h"

#include "base/id.h"
#include "base/log.h"

/* What a deleted subscription has open dies, a slice at a time. */
static enum err_code subscription_delete_step(struct job_slice *s, struct job *j, struct err *err)
{
    size_t n = 0;
    enum err_code rc =
        s->b->ops->kill(s->b, j->sub, INT64_MAX, CAUSE_SUBSCRIPTION_DELETED, JOB_SLICE, s->now_ms,
                        s->now_ms + s->dead_retention_ms, &n, err);
    if (rc != OK)
        return rc;
    if (j->to_url == NULL)
        s->changes->dead[CAUSE_SUBSCRIPTION_DELETED] += (int64_t)n;
    else /* what its copies were sent to: nobody's letters */
        s->changes->discarded += (int64_t)n;
    j->done += (int64_t)n;
    s->busy = s->busy || n > 0;
    if (n == 0) {
        j->state = JOB_DONE;
        j->walked = true;
    }
    return OK;
}

static const struct job_work WORKS[JOB_KINDS] = {
    [JOB_REPLAY] = {.step = job_replay_step, .delivers = true, .held = true},
    [JOB_SUBSCRIPTION_DELETE] = {.step = subscription_delete_step},
    [JOB_PURGE] = {.step = job_purge_step, .held = true},
    [JOB_RESEND] = {.step = job_replay_step, .delivers = true, .held = true},
    [JOB_RESTORE] = {.step = job_restore_step, .held = true},
    [JOB_DISCARD] = {.step = job_discard_step, .held = true},
};

const struct job_work *job_work(enum job_kind kind)
{
    return &WORKS[kind];
}

static bool job_same(const struct job *a, const struct job *b)
{
    return a->state == b->state && a->walked == b->walked && a->done == b->done &&
           a->selected == b->selected && a->excluded == b->excluded &&
           a->started_ms == b->started_ms && a->finished_ms == b->finished_ms &&
           a->mark_ms == b->mark_ms && a->mark_num == b->mark_num;
}

static enum err_code job_log(struct job_slice *s, const struct job *j, struct err *err)
{
    char id[ID_TEXT_MAX];
    struct job_counts sums;
    enum err_code rc = s->b->ops->part_sums(s->b, j->num, &sums, err);

    if (rc == OK)
        log_info(j->state == JOB_STOPPED ? "job_stopped" : "job_done",
                 "job=%s kind=%s done=%lld delivered=%lld dead_again=%lld not_sent=%lld "
                 "gone=%lld",
                 id_text(id, "job", j->num), job_kind_name(j->kind),
                 (long long)(j->done + sums.delivered + sums.dead_again + sums.discarded),
                 (long long)sums.delivered, (long long)sums.dead_again,
                 (long long)(sums.selected - sums.queued - sums.gone), (long long)sums.gone);
    return rc;
}

enum err_code job_step(struct job_slice *s, struct job *j, struct err *err)
{
    struct job before = *j;

    if (j->state != JOB_ACTIVE)
        return OK;
    if (j->started_ms == 0)
        j->started_ms = s->now_ms;
    enum err_code rc = job_work(j->kind)->step(s, j, err);
    if (rc != OK)
        return rc;
    if (job_over(j))
        j->finished_ms = s->now_ms;
    if (job_same(j, &before)) /* a waiting job costs no commit */
        return OK;
    rc = s->b->ops->job_update(s->b, j, err);
    return rc == OK && job_over(j) ? job_log(s, j, err) : rc;
}
