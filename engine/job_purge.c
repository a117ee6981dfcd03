/* engine/job_purge.c: one slice of a purge, of what takes it back, and of a discard.
 *
 * A purge walks its set by (died_ms, num), so a letter that comes back dead (restored, or replayed
 * and dead again) is not met twice; a restore walks what its purge took by number. Both count in
 * `done` how many they moved.
 *
 * A discard ends open deliveries, by number: first it counts them (into `selected`), then it goes
 * through them once more. Those that a slice has chosen are held by the lanes (struct job_held) until
 * the next one has ended them. What was on its way before that ends too: its attempt is recorded. */
#include <string.h>

#include "base/clock.h"
#include "engine/api_filter.h"
#include "engine/job_run.h"

/* Nothing is sealed or opened here: a row takes some 20 us. LOOKS: letters or deliveries that are looked
 * at for those that match. */
enum { ROWS_MAX = 256, ROW_US = 20, LOOKS = 1024 };

static bool turn_over(const struct job_slice *s, int64_t from_us)
{
    return clock_mono_us() - from_us > s->turn_us;
}

/* How many are looked for: what the turn will do of them is not worth more. */
static size_t rows_of(const struct job_slice *s)
{
    int64_t n = s->turn_us / ROW_US;
    return n < 1 ? 1 : n > ROWS_MAX ? ROWS_MAX : (size_t)n;
}

static enum err_code deed(struct job_slice *s, const struct job *j, int64_t num,
                          enum deed_kind kind, struct err *err)
{
    struct deed d = {.delivery = num, .at_ms = s->now_ms, .kind = kind, .job = j->num};
    return s->b->ops->deed_put(s->b, &d, err);
}

static enum err_code purge_one(struct job_slice *s, struct job *j, const struct dead_key *l,
                               struct err *err)
{
    struct settled out = {0};
    enum err_code rc =
        s->b->ops->dead_purge(s->b, l->num, j->num, j->until_ms, s->now_ms, &out, err);
    j->mark_ms = l->died_ms;
    j->mark_num = l->num;
    if (rc == ERR_STALE || rc == ERR_NOT_FOUND) {
        j->excluded++;
        return OK;
    }
    if (rc == OK)
        rc = deed(s, j, l->num, DEED_PURGED, err);
    if (rc != OK)
        return rc;
    j->done++;
    s->changes->discarded++;
    if (out.next_due_ms != 0)
        changes_wake(s->changes, l->sub, out.next_due_ms);
    return OK;
}

typedef enum err_code filter_fn(struct backend *b, const char *json, int64_t now_ms,
                                struct arena *a, struct filter *out, struct err *err);
/* What the filter of *j names; nothing (*named false) where that is gone. */
static enum err_code filter_of(struct job_slice *s, const struct job *j, filter_fn *read,
                               struct arena *a, struct filter *out, bool *named, struct err *err)
{
    enum err_code rc = read(s->b, j->filter, s->now_ms, a, out, err);
    *named = rc == OK;
    return rc == ERR_NOT_FOUND || rc == ERR_INVALID ? OK : rc;
}

static void job_end(struct job *j)
{
    j->walked = true;
    j->state = JOB_DONE;
}

/* The next ones behind the mark. *end: where the walk goes on from when they are gone; its num 0:
 * behind them there are no more. */
static enum err_code letters_next(struct job_slice *s, const struct job *j, struct arena *a,
                                  struct dead_key **keys, size_t *n, struct dead_key *end,
                                  struct err *err)
{
    struct job_run *run;
    enum err_code rc = job_run_of(s->runs, s->b, j, s->now_ms, &run, err);
    *n = 0;
    *end = (struct dead_key){0};
    if (rc != OK || run->lost)
        return rc;
    if (run->named)
        return job_run_named(run, j->mark_ms, j->mark_num, rows_of(s), keys, n, end), OK;
    struct filter f = run->filter;
    f.limit = rows_of(s);
    f.after_ms = j->mark_ms;
    f.after_num = j->mark_num;
    return s->b->ops->dead_walk(s->b, &f, LOOKS, a, keys, n, end, err);
}

/* The next ones, as many as the turn is long enough for; or, where few match, the looks at those that
 * do not. */
static enum err_code purge_some(struct job_slice *s, struct job *j, int64_t from_us,
                                struct err *err)
{
    struct arena arena;
    struct dead_key *keys = NULL, end;
    size_t n = 0, i = 0;
    arena_init(&arena);
    enum err_code rc = letters_next(s, j, &arena, &keys, &n, &end, err);
    while (rc == OK && i < n && (i == 0 || !turn_over(s, from_us)))
        rc = purge_one(s, j, &keys[i++], err);
    if (rc == OK && i == n && end.num == 0) {
        job_end(j);
        job_run_forget(s->runs, j->num);
    } else if (rc == OK && i == n) {
        j->mark_ms = end.died_ms;
        j->mark_num = end.num;
    }
    arena_fini(&arena);
    return rc;
}

enum err_code job_purge_step(struct job_slice *s, struct job *j, struct err *err)
{
    int64_t from_us = clock_mono_us();
    enum err_code rc = OK;
    do {
        rc = purge_some(s, j, from_us, err);
    } while (rc == OK && j->state == JOB_ACTIVE && !turn_over(s, from_us));
    s->busy = s->busy || j->state == JOB_ACTIVE;
    return rc;
}

/* ---- what an open one has left ---- */
static bool names_sub(const struct filter *f, int64_t sub)
{
    for (size_t i = 0; i < f->subs_n; i++)
        if (f->subs[i] == sub)
            return true;
    return f->subs_n == 0;
}

static bool named_left(const struct job_run *run, const struct job *j, int64_t sub)
{
    for (size_t i = 0; i < run->keys_n; i++) {
        const struct dead_key *k = &run->keys[i];
        if (k->sub == sub &&
            (k->died_ms > j->mark_ms || (k->died_ms == j->mark_ms && k->num > j->mark_num)))
            return true;
    }
    return false;
}

enum err_code job_purge_left(struct job_slice *s, const struct job *job, int64_t sub, bool *left,
                             struct err *err)
{
    struct job_run *run;
    struct dead_key *keys = NULL, end = {0};
    struct arena arena;
    size_t n = 0;
    enum err_code rc = job_run_of(s->runs, s->b, job, s->now_ms, &run, err);
    *left = false;
    if (rc != OK || run->lost || !names_sub(&run->filter, sub))
        return rc;
    if (run->named)
        return *left = named_left(run, job, sub), OK;
    struct filter f = run->filter;
    f.subs = &sub;
    f.subs_n = 1;
    f.limit = 1;
    f.after_ms = job->mark_ms;
    f.after_num = job->mark_num;
    arena_init(&arena);
    rc = s->b->ops->dead_walk(s->b, &f, LOOKS, &arena, &keys, &n, &end, err);
    *left = n > 0 || end.num != 0;
    arena_fini(&arena);
    return rc;
}

static enum err_code restore_one(struct job_slice *s, struct job *j, int64_t num, struct err *err)
{
    enum err_code rc = s->b->ops->dead_restore(s->b, num, s->now_ms, err);
    j->mark_num = num;
    if (rc == ERR_STALE) {
        j->excluded++;
        return OK;
    }
    if (rc == OK)
        rc = deed(s, j, num, DEED_RESTORED, err);
    j->done += rc == OK;
    return rc;
}

enum err_code job_restore_step(struct job_slice *s, struct job *j, struct err *err)
{
    int64_t from_us = clock_mono_us();
    struct arena arena;
    struct filter f = {0};
    struct purged *rows = NULL;
    size_t n = 0, i = 0, most = rows_of(s);
    bool named;
    arena_init(&arena);
    enum err_code rc = filter_of(s, j, api_filter_json, &arena, &f, &named, err);
    if (rc == OK && named)
        rc = s->b->ops->purged_list(s->b, f.job, s->now_ms, j->mark_num, most, &arena, &rows, &n,
                                    err);
    while (rc == OK && i < n && (i == 0 || !turn_over(s, from_us)))
        rc = restore_one(s, j, rows[i++].num, err);
    if (rc == OK && i == n && n < most)
        job_end(j);
    s->busy = s->busy || j->state == JOB_ACTIVE;
    arena_fini(&arena);
    return rc;
}

/* ---- discard ---- */
static enum err_code discard_one(struct job_slice *s, struct job *j, const struct delivery_key *k,
                                 struct err *err)
{
    struct settled out = {0};
    enum err_code rc = s->b->ops->discard(s->b, k->num, s->now_ms, &out, err);
    j->mark_num = k->num;
    if (rc == ERR_STALE)
        return OK;
    if (rc == OK)
        rc = deed(s, j, k->num, DEED_DISCARDED, err);
    if (rc != OK)
        return rc;
    j->done++;
    s->changes->discarded++;
    s->changes->jobs = s->changes->jobs || out.job != 0;
    if (out.next_due_ms != 0)
        changes_wake(s->changes, k->sub, out.next_due_ms);
    return OK;
}

/* The next ones of the set behind the mark; *end 0: behind them there are no more. */
static enum err_code open_next(struct job_slice *s, const struct job *j, size_t most,
                               struct arena *a, struct delivery_key **keys, size_t *n, int64_t *end,
                               struct err *err)
{
    struct filter f;
    bool named;
    enum err_code rc = filter_of(s, j, api_filter_json_deliveries, a, &f, &named, err);
    *n = 0;
    *end = 0;
    if (rc != OK || !named)
        return rc;
    f.limit = most;
    f.newest_first = false;
    f.after_num = j->mark_num;
    return s->b->ops->delivery_walk(s->b, &f, LOOKS, a, keys, n, end, err);
}

static void discard_end(struct job *j)
{
    if (j->selected < j->done) /* opened again since they were counted */
        j->selected = j->done;
    j->excluded = j->selected - j->done; /* sent, or dead, meanwhile */
    j->state = JOB_DONE;
}

static enum err_code count_step(struct job_slice *s, struct job *j, struct arena *a,
                                struct err *err)
{
    struct delivery_key *keys;
    size_t n;
    int64_t end;
    enum err_code rc = open_next(s, j, LOOKS, a, &keys, &n, &end, err);
    if (rc != OK)
        return rc;
    j->selected += (int64_t)n;
    j->mark_num = end;
    j->walked = end == 0;
    return OK;
}

/* *i: how many the turn was long enough for. */
static enum err_code discard_all(struct job_slice *s, struct job *j, int64_t from_us,
                                 const struct delivery_key *keys, size_t n, size_t *i,
                                 struct err *err)
{
    enum err_code rc = OK;
    for (*i = 0; rc == OK && *i < n && (*i == 0 || !turn_over(s, from_us)); ++*i)
        rc = discard_one(s, j, &keys[*i], err);
    return rc;
}

/* Nobody sends: they are ended as they are found. */
static enum err_code discard_alone(struct job_slice *s, struct job *j, int64_t from_us,
                                   struct arena *a, struct err *err)
{
    struct delivery_key *keys;
    size_t n, i = 0;
    int64_t end;
    enum err_code rc = open_next(s, j, rows_of(s), a, &keys, &n, &end, err);
    if (rc == OK)
        rc = discard_all(s, j, from_us, keys, n, &i, err);
    if (rc != OK || i < n)
        return rc;
    j->mark_num = end;
    if (end == 0)
        discard_end(j);
    return OK;
}

/* Ends those that are held, then chooses the next ones to be held. */
static enum err_code discard_held(struct job_slice *s, struct job *j, int64_t from_us,
                                  struct arena *a, struct err *err)
{
    struct job_held *h = s->held;
    struct delivery_key *keys;
    size_t n, i;
    int64_t end;
    if (h->n > 0 && h->job != j->num) { /* another one's turn */
        h->waiting = j->num;
        return OK;
    }
    enum err_code rc = discard_all(s, j, from_us, h->keys, h->n, &i, err);
    h->n -= i;
    memmove(h->keys, h->keys + i, h->n * sizeof *h->keys);
    if (rc != OK || h->n > 0)
        return rc;
    if (h->waiting != 0 && h->waiting != j->num) { /* one after the other */
        h->waiting = 0;
        return OK;
    }
    rc = open_next(s, j, JOB_HELD_MAX, a, &keys, &n, &end, err);
    if (rc != OK)
        return rc;
    h->job = j->num;
    h->n = n;
    if (n > 0)
        memcpy(h->keys, keys, n * sizeof *keys);
    else if (end != 0)
        j->mark_num = end; /* so many looked at, none found */
    else
        discard_end(j);
    return OK;
}

enum err_code job_discard_step(struct job_slice *s, struct job *j, struct err *err)
{
    int64_t from_us = clock_mono_us();
    struct arena arena;
    arena_init(&arena);
    enum err_code rc = !j->walked ? count_step(s, j, &arena, err)
                       : s->held  ? discard_held(s, j, from_us, &arena, err)
                                  : discard_alone(s, j, from_us, &arena, err);
    s->busy = s->busy || j->state == JOB_ACTIVE;
    arena_fini(&arena);
    return rc;
}
