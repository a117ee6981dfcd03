/* engine/job_replay.c: one slice of a replay, or of a resend, which is walked subscription by
 * subscription.
 *
 *   filter ─▶ parts, one a subscription ─▶ up to `cap` letters of each queued and not yet tried
 *                      ▲                                     │
 *                      └── settle: tried, failed, recent ◀───┘   (and it kicks the runner)
 *
 * So a slow endpoint holds up nobody else's letters, and live events wait behind a few letters at
 * most: half of what the subscription may have in flight. What is queued is due in steps of the
 * rate, so that the partners see N/s and not bursts of N. A part begins with its canary
 * (policy/canary.h), and ends by itself where too much fails.
 *
 * A part's walk goes by (died_ms, num), oldest or newest first. What dies again dies later than the
 * filter's `until`: it is not walked into twice. A resend, of deliveries that are over already and
 * not dead, walks by num alone.
 *
 * A job with a URL of its own leaves the letters where they are and sends copies there: its parts are
 * subscriptions made for it (engine/job_copies.c), each of which walks another one's letters. */
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/egress_pause.h"
#include "engine/job_copies.h"
#include "engine/job_run.h"
#include "policy/canary.h"

enum {
    PARTS = 64,        /* looked at in one slice */
    PARTS_PAGE = 1000, /* read at a time at the end */
    LOOKS = 2048,      /* letters of a part that are looked at for those that match */
    LEFT_LOOKS = 4,    /* slices of a part that are looked at for one that is left */
    LETTER_US = 50,    /* one takes some so long */
};

/* ---- the parts of a job that has none yet: made before there were parts ---- */
static enum err_code plan_part(struct job_slice *s, const struct job *job,
                               const struct dead_group *g, struct err *err)
{
    struct job_part *found = NULL, p = {.job = job->num, .sub = g->sub, .canary_tried = -1};
    struct arena arena;
    size_t n = 0;

    arena_init(&arena);
    enum err_code rc =
        s->b->ops->part_list(s->b, job->num, false, g->sub - 1, 1, &arena, &found, &n, err);
    bool is_new = n == 0 || found[0].sub != g->sub;
    if (!is_new)
        p = found[0];
    p.walked = false;
    p.mark_ms = job->mark_ms;
    p.mark_num = job->mark_num;
    p.counts.excluded += job->ignore_expiry ? 0 : g->expired;
    p.counts.selected += job->ignore_expiry ? g->count : g->count - g->expired;
    if (rc == OK)
        rc = is_new ? s->b->ops->part_put(s->b, &p, err) : s->b->ops->part_update(s->b, &p, err);
    arena_fini(&arena);
    return rc;
}

static enum err_code plan(struct job_slice *s, struct job *job, const struct job_run *run,
                          struct err *err)
{
    struct filter f = run->filter;
    struct dead_group *groups = NULL;
    struct arena arena;
    size_t n = 0;
    enum err_code rc = OK;

    arena_init(&arena);
    if (f.since_ms < job->mark_ms)
        f.since_ms = job->mark_ms;
    if (!run->lost)
        rc = s->b->ops->dead_groups(s->b, &f, DEAD_BY_SUBSCRIPTION, &arena, &groups, &n, err);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = plan_part(s, job, &groups[i], err);
    arena_fini(&arena);
    job->walked = rc == OK;
    return rc;
}

/* ---- letters ---- */
/* *num: the delivery that goes out, the letter's own or a copy. */
static enum err_code letter_open(struct job_slice *s, const struct job *job,
                                 const struct job_part *p, const struct dead_key *k,
                                 const struct reopening *r, int64_t *num, struct err *err)
{
    unsigned over = FILTER_BIT(DELIVERY_DELIVERED) | FILTER_BIT(DELIVERY_DISCARDED);

    *num = k->num;
    if (job->to_url != NULL) {
        *num = id_next(s->ids, s->now_ms);
        return s->b->ops->delivery_copy(s->b, k->num,
                                        job->kind == JOB_RESEND ? over : FILTER_BIT(DELIVERY_DEAD),
                                        *num, p->sub, r, err);
    }
    return job->kind == JOB_RESEND ? s->b->ops->over_resend(s->b, k->num, r, err)
                                   : s->b->ops->dead_replay(s->b, k->num, r, err);
}

static enum deed_kind letter_deed(const struct job *job)
{
    if (job->to_url != NULL)
        return DEED_COPIED;
    return job->kind == JOB_RESEND ? DEED_RESENT : DEED_REPLAYED;
}

static bool letter_expired(const struct job_slice *s, const struct job *job,
                           const struct dead_key *k)
{
    return k->expires_ms > 0 && k->expires_ms <= s->now_ms && !job->ignore_expiry;
}

static enum err_code letter_send(struct job_slice *s, const struct job *job, struct job_run *run,
                                 struct job_part *p, const struct dead_key *k, struct err *err)
{
    struct reopening r = {job->num, 0, s->now_ms, job->attempts_max};

    p->mark_ms = k->died_ms;
    p->mark_num = k->num;
    if (k->job == job->num) /* died again "earlier": somebody set the clock back */
        return OK;
    if (k->gone) /* was counted as left out */
        return OK;
    if (letter_expired(s, job, k)) {
        /* what was expired already when the job was made is counted as left out */
        p->counts.gone += k->expires_ms > job->created_ms;
        return OK;
    }
    double due_before_ms = run->next_due_ms;
    r.due_ms = job_run_due(run, job, s->now_ms);
    struct deed deed = {.at_ms = s->now_ms, .kind = letter_deed(job), .job = job->num};
    if (job->to_url == NULL && k->cause != CAUSE_NONE) { /* else it stays dead */
        deed.cause = k->cause;
        deed.died_ms = k->died_ms;
    }
    enum err_code rc = letter_open(s, job, p, k, &r, &deed.delivery, err);
    if (rc == ERR_STALE || rc == ERR_INVALID || rc == ERR_NOT_FOUND) {
        p->counts.gone++; /* purged, replayed by another, or without its payload */
        run->next_due_ms = due_before_ms;
        return OK;
    }
    if (rc == OK)
        rc = s->b->ops->deed_put(s->b, &deed, err);
    if (rc != OK)
        return rc;
    p->counts.queued++;
    changes_wake(s->changes, p->sub, r.due_ms);
    return OK;
}

static bool key_is_ahead(const struct job_part *p, const struct dead_key *k, bool newest_first)
{
    if (p->mark_ms == 0 && p->mark_num == 0)
        return true;
    bool same_ms = k->died_ms == p->mark_ms;
    bool later = same_ms ? k->num > p->mark_num : k->died_ms > p->mark_ms;
    return later != newest_first && !(same_ms && k->num == p->mark_num);
}

/* The part's next letters, up to `most`; *over: behind them there are no more. */
static enum err_code letters_next(struct job_slice *s, const struct job *job,
                                  const struct job_run *run, struct job_part *p, size_t most,
                                  struct arena *a, struct dead_key **out, size_t *n, bool *over,
                                  struct err *err)
{
    struct filter f = run->filter;
    struct dead_key end = {0};
    enum err_code rc = OK;

    *n = 0;
    if (run->named) {
        *out = arena_alloc(a, most * sizeof **out);
        if (*out == NULL)
            return fail(err, ERR_NOMEM, "no memory for letters");
        for (size_t i = 0; i < run->keys_n && *n < most; i++)
            if (run->keys[i].sub == p->source && key_is_ahead(p, &run->keys[i], job->newest_first))
                (*out)[(*n)++] = run->keys[i];
        *over = *n < most;
        return OK;
    }
    f.subs = &p->source;
    f.subs_n = 1;
    f.limit = most;
    f.after_ms = p->mark_ms;
    f.after_num = p->mark_num;
    if (!run->lost)
        rc = job_keys(s->b, job, &f, LOOKS, a, out, n, &end, err);
    *over = end.num == 0;
    if (rc == OK && *n < most && !*over) { /* so many looked at, so few found: go on from there */
        p->mark_ms = end.died_ms;
        p->mark_num = end.num;
        s->busy = true;
    }
    return rc;
}

static enum err_code part_walk(struct job_slice *s, const struct job *job, struct job_run *run,
                               struct job_part *p, size_t most, struct err *err)
{
    struct arena arena;
    struct dead_key *keys = NULL;
    size_t n = 0, i = 0;
    bool over = false;

    arena_init(&arena);
    enum err_code rc = letters_next(s, job, run, p, most, &arena, &keys, &n, &over, err);
    int64_t mark_ms = p->mark_ms, mark_num = p->mark_num;
    while (rc == OK && i < n && (i == 0 || clock_mono_us() < s->until_us))
        rc = letter_send(s, job, run, p, &keys[i++], err);
    if (i == n && n < most && !over) { /* the walk is further than its last letter */
        p->mark_ms = mark_ms;
        p->mark_num = mark_num;
    }
    p->walked = rc == OK && i == n && over;
    s->busy = s->busy || i < n;
    arena_fini(&arena);
    return rc;
}

/* ---- a part ---- */
static int64_t part_waiting(const struct job_part *p) /* queued, and their first attempt not over */
{
    return p->counts.queued - p->counts.tried;
}

static bool part_is_out(const struct job_part *p) /* something of it is still on its way */
{
    const struct job_counts *n = &p->counts;

    return n->queued > n->delivered + n->dead_again + n->discarded;
}

/* The walk is over: what was selected and did not go out was not there any more, whoever took it. */
static void part_count_gone(struct job_part *p)
{
    int64_t gone = p->counts.selected - p->counts.queued;

    if (p->walked && gone > p->counts.gone)
        p->counts.gone = gone;
}

static bool part_ended(const struct job_part *p)
{
    return p->walked && !part_is_out(p);
}

static void part_stop(struct job_part *p, enum job_state state, enum job_reason reason)
{
    p->state = state;
    p->reason = reason;
}

/* May it go on, and with how many letters on their way? */
static int64_t part_cap(const struct job_slice *s, const struct job *job, struct job_part *p)
{
    int limit = p->sub_concurrency > 0 ? p->sub_concurrency : s->sub_in_flight;
    struct canary_facts facts = {
        .wanted = job->canary,
        .stop_at = job->stop_at,
        .tried = p->counts.tried - p->base_tried,
        .failed = p->counts.failed - p->base_failed,
        .since = p->canary_tried < 0 ? -1 : p->counts.tried - p->canary_tried,
        .recent = p->recent,
    };

    switch (canary_judge(&facts)) {
    case CANARY_ONE:
        return 1;
    case CANARY_THROUGH:
        if (p->canary_tried < 0)
            p->canary_tried = p->counts.tried;
        return limit > 1 ? limit / 2 : 1;
    case CANARY_FAILED:
        part_stop(p, JOB_STOPPED, JOB_REASON_CANARY);
        return 0;
    case CANARY_STOP:
        part_stop(p, JOB_STOPPED, JOB_REASON_FAILURES);
        return 0;
    }
    return 0;
}

/* Letters that it may be given now. A paused subscription makes its part wait; a disabled or deleted
 * one ends it. */
static size_t part_room(const struct job_slice *s, const struct job *job, struct job_part *p)
{
    if (part_ended(p))
        part_stop(p, JOB_DONE, JOB_REASON_NONE);
    else if (!p->walked && p->sub_state == SUB_DELETED)
        part_stop(p, JOB_CANCELLED, JOB_REASON_DELETED);
    else if (!p->walked && p->sub_state == SUB_DISABLED)
        part_stop(p, JOB_STOPPED, JOB_REASON_DISABLED);
    if (p->state != JOB_ACTIVE || p->walked)
        return 0;
    int64_t room = part_cap(s, job, p) - part_waiting(p);
    return p->state == JOB_ACTIVE && p->sub_state == SUB_ACTIVE && room > 0 ? (size_t)room : 0;
}

static bool part_same(const struct job_part *a, const struct job_part *b)
{
    return a->state == b->state && a->walked == b->walked && a->mark_ms == b->mark_ms &&
           a->mark_num == b->mark_num && a->canary_tried == b->canary_tried &&
           a->counts.queued == b->counts.queued && a->counts.gone == b->counts.gone;
}

/* *left: letters that the slice and the rate still allow. */
static enum err_code part_step(struct job_slice *s, const struct job *job, struct job_run *run,
                               struct job_part *p, size_t share, size_t *left, struct err *err)
{
    char id[ID_TEXT_MAX];
    struct job_part before = *p;
    size_t room = part_room(s, job, p), most = room < share ? room : share;
    enum err_code rc = OK;

    if (most > *left)
        most = *left;
    if (most > 0)
        rc = part_walk(s, job, run, p, most, err);
    if (rc != OK)
        return rc;
    part_count_gone(p);
    int64_t sent = p->counts.queued - before.counts.queued;
    *left -= (size_t)sent;
    run->given_sub = sent > 0 ? p->sub : run->given_sub;
    if (!p->walked && most > 0 && (room > most || sent < (int64_t)most))
        s->busy = s->busy || *left > 0; /* it has room for more than its share of this slice */
    if (part_ended(p))
        part_stop(p, JOB_DONE, JOB_REASON_NONE);
    if (part_same(p, &before))
        return OK;
    if (p->state == JOB_STOPPED)
        log_warn("job_part_stopped", "job=%s sub=%s reason=%s tried=%lld failed=%lld",
                 id_text(id, "job", job->num), p->sub_name, job_reason_name(p->reason),
                 (long long)p->counts.tried, (long long)p->counts.failed);
    return s->b->ops->part_update(s->b, p, err);
}

/* Whose turn it is: the one behind the one that got letters last. */
static size_t first_turn(const struct job_run *run, const struct job_part *parts, size_t n)
{
    size_t i = 0;

    while (i < n && parts[i].sub <= run->given_sub)
        i++;
    return i < n ? i : 0;
}

/* No part is active any more. Copies that are still on their way need their subscription: the job is
 * over when they are. */
static enum err_code replay_over(struct job_slice *s, struct job *job, struct err *err)
{
    enum job_state state = JOB_DONE;
    bool out = false;
    struct job_part *parts = NULL;
    int64_t after_sub = -1;
    size_t n = PARTS_PAGE;
    enum err_code rc = OK;

    while (rc == OK && n == PARTS_PAGE) {
        struct arena arena;

        arena_init(&arena);
        rc = s->b->ops->part_list(s->b, job->num, false, after_sub, PARTS_PAGE, &arena, &parts, &n,
                                  err);
        for (size_t i = 0; rc == OK && i < n; i++) {
            state = parts[i].state == JOB_STOPPED ? JOB_STOPPED : state;
            out = out || part_is_out(&parts[i]);
            after_sub = parts[i].sub;
        }
        arena_fini(&arena);
    }
    if (rc != OK || (job->to_url != NULL && out))
        return rc;
    job_run_forget(s->runs, job->num);
    job->state = state;
    return job->to_url != NULL ? job_copies_end(s, job, err) : OK;
}

/* How many are looked for: what the turn will not do of them is looked for once more. */
static size_t letters_max(const struct job_slice *s)
{
    int64_t n = s->turn_us / LETTER_US;

    return n < 1 ? 1 : n < JOB_SLICE ? (size_t)n : JOB_SLICE;
}

static enum err_code parts_step(struct job_slice *s, struct job *job, struct job_run *run,
                                struct arena *a, struct err *err)
{
    const struct backend_ops *ops = s->b->ops;
    struct egress_pause egress;
    struct job_part *parts = NULL;
    size_t n = 0, left = job_run_allows(run, job, s->now_ms, letters_max(s)), at;
    enum err_code rc = egress_pause_read(s->b, &egress, err);

    if (rc == OK && egress.paused)
        left = 0; /* what was queued now would go out in one burst */
    if (rc == OK)
        rc = ops->part_list(s->b, job->num, true, run->after_sub, PARTS, a, &parts, &n, err);

    if (rc == OK && n == 0 && run->after_sub >= 0) { /* round again */
        run->after_sub = -1;
        rc = ops->part_list(s->b, job->num, true, -1, PARTS, a, &parts, &n, err);
    }
    if (rc == OK && n == 0)
        return replay_over(s, job, err);
    size_t share = n > 0 && left > n ? left / n : 1;
    at = first_turn(run, parts, n);
    for (size_t i = 0; rc == OK && i < n; i++) {
        rc = part_step(s, job, run, &parts[(at + i) % n], share, &left, err);
        if (clock_mono_us() > s->until_us) {
            s->busy = true;
            break;
        }
    }
    run->after_sub = n == PARTS ? parts[n - 1].sub : -1;
    s->busy = s->busy || n == PARTS ||
              (left == 0 && !egress.paused && job_run_allows(run, job, s->now_ms, 1) > 0);
    for (size_t i = 0; i < n && n < PARTS && !s->busy; i++) /* over now? Then the job may be too */
        s->busy = parts[i].state != JOB_ACTIVE;
    return rc;
}

enum err_code job_replay_step(struct job_slice *s, struct job *job, struct err *err)
{
    struct job_run *run = NULL;
    struct arena arena;

    if (s->runs == NULL)
        return OK;
    s->until_us = clock_mono_us() + s->turn_us;
    arena_init(&arena);
    enum err_code rc = job_run_of(s->runs, s->b, job, s->now_ms, &run, err);
    if (rc == OK && !job->walked)
        rc = plan(s, job, run, err);
    if (rc == OK)
        rc = parts_step(s, job, run, &arena, err);
    arena_fini(&arena);
    return rc;
}

/* ---- what a stopped one has left ---- */
static enum err_code part_left(struct job_slice *s, const struct job *job,
                               const struct job_run *run, struct job_part p, bool *left,
                               struct err *err)
{
    struct dead_key *keys = NULL;
    size_t n = 0;
    bool over = false;
    enum err_code rc = OK;

    for (int i = 0; rc == OK && !over && !*left; i++) {
        struct arena arena;

        arena_init(&arena);
        rc = letters_next(s, job, run, &p, JOB_SLICE, &arena, &keys, &n, &over, err);
        for (size_t k = 0; rc == OK && k < n; k++) {
            *left = *left ||
                    (keys[k].job != job->num && !keys[k].gone && !letter_expired(s, job, &keys[k]));
            p.mark_ms = n == JOB_SLICE ? keys[k].died_ms : p.mark_ms;
            p.mark_num = n == JOB_SLICE ? keys[k].num : p.mark_num;
        }
        *left = *left || i == LEFT_LOOKS; /* so many, and behind them there may be one */
        arena_fini(&arena);
    }
    return rc;
}

enum err_code job_replay_left(struct job_slice *s, const struct job *job,
                              const struct job_part *parts, size_t n, bool *left, struct err *err)
{
    struct job_run *run = NULL;
    enum err_code rc = job_run_of(s->runs, s->b, job, s->now_ms, &run, err);

    *left = false;
    for (size_t i = 0; rc == OK && !*left && i < n; i++)
        if (parts[i].state == JOB_STOPPED &&
            (job->to_url != NULL || parts[i].sub_state != SUB_DELETED))
            rc = part_left(s, job, run, parts[i], left, err);
    return rc;
}
