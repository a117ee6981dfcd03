/* store/worker.c: the store's threads, each over its own connection; see store_impl.h for who waits for
 * whom.
 *
 * A worker takes whatever has arrived as its next batch. The writer's batch is one transaction, and one
 * fsync, which may come later and be that of several; a claim reader's is one snapshot; the list reader takes one request per snapshot, so that a
 * long list pins no log longer than itself. No work and no callback runs under the mutex. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "store/store_impl.h"

enum {
    BATCH_MAX = 1024,
    CLAIM_BATCH_MAX = 64,
    LINGER_BATCH_MIN = 8, /* smaller batches mean that the loop is not busy */
    LINGER_US = 1500,
    GATHER_BATCH = 160,
    GATHER_US = 5000,
    RECORD_LINGER_US = 2000,
    LAG_US = 2000,                     /* from a commit that was answered early to the disk */
    HURRY_FRESH_US = 10 * 1000,        /* so long after one in a hurry the next one is expected */
    LOG_STEP_BYTES = 4 * 1024 * 1024,  /* about 1000 pages: time for a checkpoint */
    LOG_HIGH_BYTES = 64 * 1024 * 1024, /* the writer itself checkpoints, so that the log is reset */
    LOG_HIGH_STEP_BYTES = 16 * 1024 * 1024
};

/* ---- completion ---- */
static void wake(int fd)
{
    uint64_t one = 1;
    /* A full counter (EAGAIN) is readable already: nothing is lost. */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* Each to the face that it came from; whose list was empty is woken, once, and not under the mutex. */
static void complete(struct core *c, struct batch *batch, bool committed)
{
    int fds[STORE_FACES_MAX], n = 0;
    struct request *r;
    pthread_mutex_lock(&c->mutex);
    batch_count(batch, c->stats.ops);
    c->stats.requests += (int64_t)batch->n;
    if (committed) {
        c->stats.commits++;
        if ((int64_t)batch->n > c->stats.batch_max)
            c->stats.batch_max = (int64_t)batch->n;
    }
    while ((r = batch_take(batch)) != NULL) {
        if (r->from->done.first == NULL)
            fds[n++] = r->from->fd;
        batch_put(&r->from->done, r);
    }
    pthread_mutex_unlock(&c->mutex);
    while (n > 0)
        wake(fds[--n]);
}

/* For good: nothing is acknowledged any more; what is queued hears why, and whoever waits for nothing
 * looks up too. */
static void fail_store(struct core *c, const struct err *why)
{
    struct batch queued;
    batch_init(&queued);
    pthread_mutex_lock(&c->mutex);
    if (!c->failed) {
        c->failed = true;
        c->failure = *why;
    }
    for (struct worker *w = c->workers; w != NULL; w = w->next) {
        batch_join(&queued, &w->hurried);
        batch_join(&queued, &w->queue);
        batch_join(&queued, &w->patient);
        w->lingering = 0;
    }
    for (struct store *s = c->faces; s != NULL; s = s->next)
        wake(s->fd);
    pthread_mutex_unlock(&c->mutex);
    batch_fail(&queued, why);
    if (queued.n > 0)
        complete(c, &queued, false);
}

/* ---- the writer ---- */
static bool is_fatal(enum err_code code, bool at_commit)
{
    return code == ERR_CORRUPT || (at_commit && code != ERR_FULL && code != ERR_NOMEM);
}

static void note_op(struct core *c, enum store_op op, int64_t from_us, bool failed)
{
    int64_t us = clock_mono_us() - from_us;
    pthread_mutex_lock(&c->mutex);
    timing_add(&c->stats.ops[op], us);
    c->stats.ops[op].errors += failed;
    pthread_mutex_unlock(&c->mutex);
}

static void log_checkpoint(struct core *c, struct backend *b)
{
    int64_t from_us = clock_mono_us();
    c->ops->checkpoint(b);
    note_op(c, STORE_OP_CHECKPOINT, from_us, false);
}

/* Off the commit path: the list reader does it. Only where the log has outgrown that (a passive
 * checkpoint never catches up with a writer that does not pause) the writer does one itself: then
 * nothing is added meanwhile, and the next commit begins the log anew. */
static void mind_log(struct core *c, struct backend *b)
{
    if (c->ops->log_bytes == NULL)
        return;
    int64_t bytes = c->ops->log_bytes(b);
    if (bytes < c->checkpointed_bytes)
        c->checkpointed_bytes = c->high_bytes = 0;
    if (bytes >= LOG_HIGH_BYTES && bytes - c->high_bytes >= LOG_HIGH_STEP_BYTES) {
        c->high_bytes = bytes;
        log_checkpoint(c, b);
    }
    if (bytes - c->checkpointed_bytes < LOG_STEP_BYTES)
        return;
    c->checkpointed_bytes = bytes;
    pthread_mutex_lock(&c->mutex);
    c->lists.checkpoint = true;
    pthread_cond_signal(&c->lists.wake);
    pthread_mutex_unlock(&c->mutex);
}

/* Those of an early commit are answered, but who wants it on the disk first. */
static void answer_early(struct core *c, struct batch *ran)
{
    struct batch now;
    struct request *r;
    batch_init(&now);
    while ((r = batch_take(ran)) != NULL)
        batch_put((r->flags & STORE_EARLY) != 0 ? &now : &c->unsynced, r);
    if (c->lags_since_us == 0)
        c->lags_since_us = clock_mono_us();
    complete(c, &now, true);
}

/* And those, with the commit that synced. */
static void answer_synced(struct core *c, struct batch *ran)
{
    batch_join(&c->unsynced, ran);
    batch_join(ran, &c->unsynced);
    c->lags_since_us = 0;
    __atomic_store_n(&c->lagging, false, __ATOMIC_SEQ_CST);
}

/* early: nobody waits for the disk. todo may be empty: then what lags is synced. */
static void write_once(struct core *c, struct backend *b, struct batch *todo, bool early)
{
    struct batch ran;
    struct err err = {.code = OK};
    bool at_commit = false;
    batch_init(&ran);
    if (early) /* before anybody can see it */
        __atomic_store_n(&c->lagging, true, __ATOMIC_SEQ_CST);
    enum err_code code = c->ops->begin(b, &err);
    if (code != OK) /* nothing ran: the whole batch hears it */
        batch_join(&ran, todo);
    else
        code = batch_write(b, todo, &ran, &err);
    if (code == OK) {
        int64_t from_us = clock_mono_us();
        at_commit = true;
        b->lags |= early;
        code = c->ops->commit(b, &err);
        note_op(c, STORE_OP_COMMIT, from_us, code != OK);
    }
    if (code == OK) {
        batch_set_generation(&ran, __atomic_add_fetch(&c->generation, 1, __ATOMIC_SEQ_CST));
        c->last_batch = ran.n > 0 ? ran.n : c->last_batch;
        if (early) {
            answer_early(c, &ran);
        } else {
            bool wrote = ran.n > 0;
            if (!b->may_lag || !b->lags)
                answer_synced(c, &ran);
            complete(c, &ran, wrote);
        }
        mind_log(c, b);
        return;
    }
    err.code = code;
    c->ops->rollback(b);
    batch_fail(&ran, &err);
    if (is_fatal(code, at_commit)) {
        batch_fail(todo, &err);
        batch_join(&ran, todo);
        batch_fail(&c->unsynced, &err);
        batch_join(&ran, &c->unsynced);
        fail_store(c, &err);
    }
    complete(c, &ran, false);
}

/* ---- the readers ---- */
static void read_once(struct core *c, struct backend *b, struct batch *todo, size_t max)
{
    struct batch ran;
    struct err err = {.code = OK};
    batch_init(&ran);
    /* Before the snapshot begins: whatever was committed until here, the snapshot shows. */
    int64_t generation = __atomic_load_n(&c->generation, __ATOMIC_SEQ_CST);
    enum err_code code = c->ops->begin(b, &err);
    if (code != OK) {
        err.code = code;
        batch_fail(todo, &err);
        batch_join(&ran, todo);
        complete(c, &ran, false);
        return;
    }
    code = batch_read(b, todo, &ran, max, &err);
    batch_set_generation(&ran, generation);
    if (code == ERR_CORRUPT && ran.first->thread == STORE_CLAIM)
        fail_store(c, &err);
    if (c->ops->commit(b, &err) != OK)
        c->ops->rollback(b);
    complete(c, &ran, false);
}

/* ---- the threads ---- */
/* When the first patient one may be taken: now (0) or later. */
static int64_t patient_wait_us(const struct worker *w, int64_t now_us)
{
    if (w->core->stopping)
        return 0;
    size_t n = w->queue.n;
    bool gathers = n > 0 && w->lingering == n && w->core->last_batch >= LINGER_BATCH_MIN;
    bool others = w->hurried.first != NULL || w->rest.first != NULL || (n > 0 && !gathers);
    return patience_wait_us(&w->patience, w->patient.first->since_us, others, now_us);
}

static void wait_us(struct worker *w, int64_t us)
{
    struct timespec at;
    int64_t ns;
    clock_gettime(CLOCK_MONOTONIC, &at);
    ns = at.tv_nsec + us * 1000;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    (void)pthread_cond_timedwait(&w->wake, &w->core->mutex, &at);
}

/* How long may what is queued wait for company? While the loop is busy, commits of a handful cost it a
 * wake-up each: for a batch half as large as the last one, and where nobody waits for any of them, for one that
 * writes a page for several rows of it though they are of many lanes. And while events come in one by
 * one, settlements go with the next of them: a commit of their own would stand in its way. */
static int64_t linger_us(struct worker *w, int64_t now_us)
{
    int64_t most = 0;
    w->enough = 0;
    if (w->which != STORE_WRITE || w->core->stopping)
        return 0;
    size_t last = w->core->last_batch, n = w->queue.n; /* the writer's own: nobody else looks */
    bool waited_for = w->lingering < n;
    if (last >= LINGER_BATCH_MIN && !waited_for) {
        most = GATHER_US;
        w->enough = GATHER_BATCH;
    } else if (last >= LINGER_BATCH_MIN) {
        most = LINGER_US;
        w->enough = (last + 1) / 2;
    } else if (!waited_for && now_us - w->hurried_us <= HURRY_FRESH_US) {
        most = RECORD_LINGER_US;
        w->enough = LINGER_BATCH_MIN;
    }
    int64_t left = w->queue.first->since_us + most - now_us;
    return left > 0 && n < w->enough ? left : 0;
}

static bool is_lagging(const struct worker *w)
{
    return w->which == STORE_WRITE && w->core->lags_since_us != 0;
}

static int64_t lag_left_us(const struct core *c, int64_t now_us)
{
    int64_t left = c->lags_since_us + LAG_US - now_us;
    return left > 0 ? left : 0;
}

/* Until something may be taken: 0, now; -1: until somebody says so. */
static int64_t next_us(struct worker *w)
{
    int64_t now_us = clock_mono_us(), us = -1;
    if (w->hurried.first != NULL || w->rest.first != NULL)
        return 0;
    if (w->queue.first != NULL && (us = linger_us(w, now_us)) == 0)
        return 0;
    if (is_lagging(w)) {
        int64_t lag_us = lag_left_us(w->core, now_us);
        if (lag_us == 0)
            return 0;
        us = us < 0 || lag_us < us ? lag_us : us;
    }
    if (w->patient.first == NULL)
        return us;
    int64_t patient_us = patient_wait_us(w, now_us);
    return us < 0 || patient_us < us ? patient_us : us;
}

/* Nothing to take yet: waits for it. */
static void worker_wait(struct worker *w)
{
    struct core *c = w->core;
    int64_t us;
    while (!c->stopping && !w->checkpoint && (us = next_us(w)) != 0) {
        w->wakes_us = us < 0 ? INT64_MAX : clock_mono_us() + us;
        if (us < 0)
            pthread_cond_wait(&w->wake, &c->mutex);
        else
            wait_us(w, us);
    }
    w->wakes_us = 0;
    w->enough = 0;
}

/* A thread that wakes soon enough by itself is not woken for the few that linger. */
bool worker_put(struct worker *w, struct request *r)
{
    struct batch *to = (r->flags & STORE_PATIENT) != 0 ? &w->patient
                       : (r->flags & STORE_HURRY) != 0 ? &w->hurried
                                                       : &w->queue;
    batch_put(to, r);
    if (to == &w->hurried)
        w->hurried_us = r->since_us;
    if (to == &w->queue)
        w->lingering += (r->flags & STORE_LINGER) != 0;
    if (to == &w->queue && (r->flags & STORE_LINGER) != 0 && w->enough == 0 &&
        w->wakes_us <= r->since_us + RECORD_LINGER_US)
        return to->n == LINGER_BATCH_MIN;
    if (to != &w->queue)
        return to->n == 1;
    bool first = (r->flags & STORE_LINGER) == 0 && w->lingering == to->n - 1; /* not to linger */
    return to->n == 1 || to->n == w->enough || first;
}

static void take_some(struct worker *w, struct batch *from, struct batch *todo)
{
    size_t max = w->which == STORE_WRITE ? BATCH_MAX : CLAIM_BATCH_MAX;
    struct request *r;
    while (todo->n < max && (r = batch_take(from)) != NULL) {
        if (from == &w->queue)
            w->lingering -= (r->flags & STORE_LINGER) != 0;
        batch_put(todo, r);
    }
}

/* Waits for work, or (the list reader) for a checkpoint, and takes what has arrived, or one patient
 * request; false: stopping, and nothing is left. */
static bool worker_take(struct worker *w, struct batch *todo, bool *checkpoint)
{
    struct core *c = w->core;
    *checkpoint = false;
    pthread_mutex_lock(&c->mutex);
    worker_wait(w);
    *checkpoint = w->checkpoint;
    w->checkpoint = false;
    if (w->patient.first != NULL && patient_wait_us(w, clock_mono_us()) == 0)
        batch_put(todo, batch_take(&w->patient));
    else {
        take_some(w, &w->hurried, todo);
        take_some(w, &w->rest, todo);
        take_some(w, &w->queue, todo);
    }
    bool go_on = todo->n > 0 || *checkpoint || !c->stopping;
    pthread_mutex_unlock(&c->mutex);
    return go_on;
}

/* Somebody can be answered early, and nobody must not see it early. */
static bool goes_early(const struct batch *todo)
{
    bool early = false;
    for (const struct request *r = todo->first; r != NULL; r = r->next) {
        if ((r->flags & (STORE_EARLY | STORE_LINGER)) == 0)
            return false;
        early |= (r->flags & STORE_EARLY) != 0;
    }
    return early;
}

static bool has_failed(struct core *c, struct err *why)
{
    pthread_mutex_lock(&c->mutex);
    bool failed = c->failed;
    *why = c->failure;
    pthread_mutex_unlock(&c->mutex);
    return failed;
}

/* Where that could not be begun, for want of memory or disk, it is tried again, unless this is the last
 * time. (A sync that failed is for good.) */
static void sync_lagging(struct worker *w, bool last)
{
    struct core *c = w->core;
    struct batch none;
    struct err why;
    batch_init(&none);
    if (!has_failed(c, &why)) {
        w->backend->may_lag = false;
        write_once(c, w->backend, &none, false);
        if (c->lags_since_us == 0)
            return;
        c->lags_since_us = clock_mono_us();
        if (!last)
            return;
        (void)fail(&why, ERR_IO, "the store's log could not be synced");
    }
    batch_fail(&c->unsynced, &why);
    complete(c, &c->unsynced, false);
    c->lags_since_us = 0;
}

static void write_turn(struct worker *w, struct batch *todo)
{
    bool patient = (todo->first->flags & STORE_PATIENT) != 0;
    bool early = goes_early(todo);
    bool live = false;
    for (const struct request *r = todo->first; r != NULL && !live; r = r->next)
        live = (r->flags & (STORE_HURRY | STORE_INGEST)) != 0;
    int64_t from_us = clock_mono_us();
    w->backend->may_lag = patient || early;
    write_once(w->core, w->backend, todo, early);
    if (patient)
        patience_done(&w->patience, from_us, clock_mono_us());
    else
        patience_others(&w->patience, live, clock_mono_us());
}

/* A patient list is of something large: while events come in the processors are left to them. */
static void list_turn(struct worker *w, struct batch *todo)
{
    bool patient = (todo->first->flags & STORE_PATIENT) != 0;
    int64_t from_us = clock_mono_us();
    read_once(w->core, w->backend, todo, 1);
    int64_t now_us = clock_mono_us();
    if (patient && patience_live(&w->core->writer.patience, now_us)) {
        patience_others(&w->patience, true, now_us);
        patience_done(&w->patience, from_us, now_us);
    }
}

void *worker_main(void *arg)
{
    static const char *const names[STORE_THREADS] = {"store-write", "store-claim", "store-list"};
    struct worker *w = arg;
    struct core *c = w->core;
    struct batch todo;
    struct err why;
    bool checkpoint;
    process_name_thread(names[w->which]);
    batch_init(&todo);
    while (worker_take(w, &todo, &checkpoint)) {
        while (todo.n > 0) {
            if (has_failed(c, &why)) {
                batch_fail(&todo, &why);
                complete(c, &todo, false);
            } else if (w->which == STORE_WRITE) {
                write_turn(w, &todo);
                batch_join(&w->rest, &todo); /* who is in a hurry now comes before it */
            } else if (w->which == STORE_LIST) {
                list_turn(w, &todo);
            } else {
                read_once(c, w->backend, &todo, CLAIM_BATCH_MAX);
            }
        }
        if (is_lagging(w) && lag_left_us(c, clock_mono_us()) == 0)
            sync_lagging(w, false);
        if (checkpoint)
            log_checkpoint(c, w->backend);
    }
    if (is_lagging(w))
        sync_lagging(w, true);
    return NULL;
}
