/* store/store.c: the threads in front of the backends. It moves requests; what they do is theirs.
 *
 *   submit ─▶ queue ─▶ worker's thread: begin, work, work, … commit ─▶ done list ─▶ drain
 *   (any thread)             (its own connection)                      eventfd   (the loop)
 *
 * One mutex guards the queues, the done list, the failure and the statistics; no work and no
 * callback runs under it. A worker takes whatever has arrived as its next batch. The writer's batch
 * is one transaction and one fsync; the claim reader's is one snapshot; the list reader takes one
 * request per snapshot, so that a long list pins no log longer than itself. */
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/batch.h"
#include "store/patience.h"

enum {
    QUEUE_MAX = 4096,          /* per worker: queued, running or not drained yet */
    QUEUE_ORDINARY_MAX = 3584, /* seven eighths: the rest is for settlements */
    BATCH_MAX = 1024,
    CLAIM_BATCH_MAX = 64,
    LINGER_BATCH_MIN = 8, /* smaller batches mean that nobody is in a hurry */
    LINGER_STEPS = 3,
    LINGER_STEP_NS = 500 * 1000,
    LOCK_STEP_MS = 20,
    LOG_STEP_BYTES = 4 * 1024 * 1024,  /* about 1000 pages: time for a checkpoint */
    LOG_HIGH_BYTES = 64 * 1024 * 1024, /* the writer itself checkpoints, so that the log is reset */
    LOG_HIGH_STEP_BYTES = 16 * 1024 * 1024
};

struct worker {
    struct store *store;
    enum store_thread which;
    struct backend *backend; /* of its thread alone, once that runs */
    pthread_t thread;
    bool running;
    pthread_cond_t wake;
    struct batch queue;
    struct batch patient; /* STORE_WRITE: those that wait while others write */
    struct patience patience;
    bool checkpoint;    /* STORE_LIST: the writer asks for one */
    size_t outstanding; /* submitted, callback not run yet */
};

struct store {
    const struct backend_ops *ops;
    pthread_mutex_t mutex; /* guards all below but generation and what workers own */
    bool stopping, failed;
    struct err failure;
    struct batch done;
    struct store_stats stats;
    struct worker workers[STORE_THREADS];
    int fd;
    int64_t generation;                     /* atomic */
    int64_t checkpointed_bytes, high_bytes; /* of the writer alone */
    size_t last_batch;
};

/* ---- completion ---- */
static void wake_loop(struct store *s)
{
    uint64_t one = 1;
    /* A full counter (EAGAIN) is readable already: nothing is lost. */
    while (write(s->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static void complete(struct store *s, struct batch *batch, bool committed)
{
    pthread_mutex_lock(&s->mutex);
    bool was_empty = s->done.first == NULL;
    batch_count(batch, s->stats.ops);
    s->stats.requests += (int64_t)batch->n;
    if (committed) {
        s->stats.commits++;
        if ((int64_t)batch->n > s->stats.batch_max)
            s->stats.batch_max = (int64_t)batch->n;
    }
    batch_join(&s->done, batch);
    pthread_mutex_unlock(&s->mutex);
    if (was_empty)
        wake_loop(s);
}

/* For good: nothing is acknowledged any more; what is queued hears why. */
static void fail_store(struct store *s, const struct err *why)
{
    struct batch queued;
    batch_init(&queued);
    pthread_mutex_lock(&s->mutex);
    if (!s->failed) {
        s->failed = true;
        s->failure = *why;
    }
    for (int i = 0; i < STORE_THREADS; i++) {
        batch_join(&queued, &s->workers[i].queue);
        batch_join(&queued, &s->workers[i].patient);
    }
    pthread_mutex_unlock(&s->mutex);
    batch_fail(&queued, why);
    if (queued.n > 0)
        complete(s, &queued, false);
}

/* ---- the writer ---- */
static bool is_fatal(enum err_code code, bool at_commit)
{
    return code == ERR_CORRUPT || (at_commit && code != ERR_FULL && code != ERR_NOMEM);
}

static void note_op(struct store *s, enum store_op op, int64_t from_us, bool failed)
{
    int64_t us = clock_mono_us() - from_us;
    pthread_mutex_lock(&s->mutex);
    timing_add(&s->stats.ops[op], us);
    s->stats.ops[op].errors += failed;
    pthread_mutex_unlock(&s->mutex);
}

static void log_checkpoint(struct store *s, struct backend *b)
{
    int64_t from_us = clock_mono_us();
    s->ops->checkpoint(b);
    note_op(s, STORE_OP_CHECKPOINT, from_us, false);
}

/* Off the commit path: the list reader does it. Only where the log has outgrown that (a passive
 * checkpoint never catches up with a writer that does not pause) the writer does one itself: then
 * nothing is added meanwhile, and the next commit begins the log anew. */
static void mind_log(struct store *s, struct backend *b)
{
    if (s->ops->log_bytes == NULL)
        return;
    int64_t bytes = s->ops->log_bytes(b);
    if (bytes < s->checkpointed_bytes)
        s->checkpointed_bytes = s->high_bytes = 0;
    if (bytes >= LOG_HIGH_BYTES && bytes - s->high_bytes >= LOG_HIGH_STEP_BYTES) {
        s->high_bytes = bytes;
        log_checkpoint(s, b);
    }
    if (bytes - s->checkpointed_bytes < LOG_STEP_BYTES)
        return;
    s->checkpointed_bytes = bytes;
    pthread_mutex_lock(&s->mutex);
    s->workers[STORE_LIST].checkpoint = true;
    pthread_cond_signal(&s->workers[STORE_LIST].wake);
    pthread_mutex_unlock(&s->mutex);
}

static void note_size(struct store *s, struct backend *b)
{
    int64_t bytes = s->ops->file_bytes(b);
    int64_t log_bytes = s->ops->log_bytes != NULL ? s->ops->log_bytes(b) : 0;
    pthread_mutex_lock(&s->mutex);
    s->stats.file_bytes = bytes;
    s->stats.log_bytes = log_bytes;
    pthread_mutex_unlock(&s->mutex);
}

static void write_once(struct store *s, struct backend *b, struct batch *todo)
{
    struct batch ran;
    struct err err = {.code = OK};
    bool at_commit = false;
    batch_init(&ran);
    enum err_code code = s->ops->begin(b, &err);
    if (code != OK) /* nothing ran: the whole batch hears it */
        batch_join(&ran, todo);
    else
        code = batch_write(b, todo, &ran, &err);
    if (code == OK) {
        int64_t from_us = clock_mono_us();
        at_commit = true;
        code = s->ops->commit(b, &err);
        note_op(s, STORE_OP_COMMIT, from_us, code != OK);
    }
    if (code == OK) {
        batch_set_generation(&ran, __atomic_add_fetch(&s->generation, 1, __ATOMIC_SEQ_CST));
        s->last_batch = ran.n;
        complete(s, &ran, true);
        note_size(s, b);
        mind_log(s, b);
        return;
    }
    err.code = code;
    s->ops->rollback(b);
    batch_fail(&ran, &err);
    if (is_fatal(code, at_commit)) {
        batch_fail(todo, &err);
        batch_join(&ran, todo);
        fail_store(s, &err);
    }
    complete(s, &ran, false);
}

/* ---- the readers ---- */
static void read_once(struct store *s, struct backend *b, struct batch *todo, size_t max)
{
    struct batch ran;
    struct err err = {.code = OK};
    batch_init(&ran);
    /* Before the snapshot begins: whatever was committed until here, the snapshot shows. */
    int64_t generation = __atomic_load_n(&s->generation, __ATOMIC_SEQ_CST);
    enum err_code code = s->ops->begin(b, &err);
    if (code != OK) {
        err.code = code;
        batch_fail(todo, &err);
        batch_join(&ran, todo);
        complete(s, &ran, false);
        return;
    }
    code = batch_read(b, todo, &ran, max, &err);
    batch_set_generation(&ran, generation);
    if (code == ERR_CORRUPT && ran.first->thread == STORE_CLAIM)
        fail_store(s, &err);
    if (s->ops->commit(b, &err) != OK)
        s->ops->rollback(b);
    complete(s, &ran, false);
}

/* ---- the threads ---- */
/* When the first patient one may be taken: now (0) or later. */
static int64_t patient_wait_us(const struct worker *w, int64_t now_us)
{
    if (w->store->stopping)
        return 0;
    return patience_wait_us(&w->patience, w->patient.first->since_us, w->queue.first != NULL,
                            now_us);
}

static void wait_us(struct worker *w, int64_t us)
{
    struct timespec at;
    int64_t ns;
    clock_gettime(CLOCK_MONOTONIC, &at);
    ns = at.tv_nsec + us * 1000;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    (void)pthread_cond_timedwait(&w->wake, &w->store->mutex, &at);
}

/* Nothing to take yet: waits for it. */
static void worker_wait(struct worker *w)
{
    struct store *s = w->store;
    while (w->queue.first == NULL && !s->stopping && !w->checkpoint) {
        int64_t us = w->patient.first != NULL ? patient_wait_us(w, clock_mono_us()) : -1;
        if (us == 0)
            return;
        if (us < 0)
            pthread_cond_wait(&w->wake, &s->mutex);
        else
            wait_us(w, us);
    }
}

/* Waits for work, or (the list reader) for a checkpoint, and takes what has arrived, or one patient
 * request; false: stopping, and nothing is left. */
static bool worker_take(struct worker *w, struct batch *todo, bool *checkpoint)
{
    struct store *s = w->store;
    *checkpoint = false;
    pthread_mutex_lock(&s->mutex);
    worker_wait(w);
    *checkpoint = w->checkpoint;
    w->checkpoint = false;
    size_t max = w->which == STORE_WRITE ? BATCH_MAX : CLAIM_BATCH_MAX;
    struct request *r;
    if (w->patient.first != NULL && patient_wait_us(w, clock_mono_us()) == 0)
        batch_put(todo, batch_take(&w->patient));
    else
        while (todo->n < max && (r = batch_take(&w->queue)) != NULL)
            batch_put(todo, r);
    bool go_on = todo->n > 0 || *checkpoint || !s->stopping;
    pthread_mutex_unlock(&s->mutex);
    return go_on;
}

/* While the loop is busy, commits of a handful cost it a wake-up each: wait a moment for a batch as
 * large as the last one. Not at all where the last one was small. */
static void linger(struct worker *w)
{
    struct store *s = w->store;
    const struct timespec step = {.tv_nsec = LINGER_STEP_NS};
    if (s->last_batch < LINGER_BATCH_MIN)
        return;
    for (int i = 0; i < LINGER_STEPS; i++) {
        pthread_mutex_lock(&s->mutex);
        size_t n = w->queue.n;
        bool stop = s->stopping;
        pthread_mutex_unlock(&s->mutex);
        if (stop || n == 0 || n * 2 >= s->last_batch)
            return;
        nanosleep(&step, NULL);
    }
}

static void write_turn(struct worker *w, struct batch *todo)
{
    bool patient = (todo->first->flags & STORE_PATIENT) != 0;
    int64_t from_us = clock_mono_us();
    write_once(w->store, w->backend, todo);
    if (patient)
        patience_done(&w->patience, from_us, clock_mono_us());
    else
        patience_others(&w->patience, clock_mono_us());
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct store *s = w->store;
    struct batch todo;
    bool checkpoint;
    batch_init(&todo);
    while (worker_take(w, &todo, &checkpoint)) {
        while (todo.n > 0) {
            pthread_mutex_lock(&s->mutex);
            bool failed = s->failed;
            struct err why = s->failure;
            pthread_mutex_unlock(&s->mutex);
            if (failed) {
                batch_fail(&todo, &why);
                complete(s, &todo, false);
            } else if (w->which == STORE_WRITE) {
                write_turn(w, &todo);
            } else {
                read_once(s, w->backend, &todo, w->which == STORE_CLAIM ? CLAIM_BATCH_MAX : 1);
            }
        }
        if (checkpoint)
            log_checkpoint(s, w->backend);
        if (w->which == STORE_WRITE)
            linger(w);
    }
    return NULL;
}

/* ---- life ---- */
static enum err_code open_writer(struct store *s, const char *url, const struct keyring *keys,
                                 int64_t wait_ms, struct err *err)
{
    const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000 * 1000};
    struct backend **b = &s->workers[STORE_WRITE].backend;
    enum err_code code = s->ops->open(b, url, BACKEND_WRITER, keys, err);
    for (int64_t ms = 0; code == ERR_BUSY && ms < wait_ms; ms += LOCK_STEP_MS) {
        nanosleep(&step, NULL);
        code = s->ops->open(b, url, BACKEND_WRITER, keys, err);
    }
    return code;
}

static void stop_threads(struct store *s)
{
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    for (int i = 0; i < STORE_THREADS; i++)
        pthread_cond_signal(&s->workers[i].wake);
    pthread_mutex_unlock(&s->mutex);
    for (int i = 0; i < STORE_THREADS; i++) {
        if (s->workers[i].running)
            pthread_join(s->workers[i].thread, NULL);
        s->workers[i].running = false;
    }
}

static void store_free(struct store *s)
{
    /* The writer closes last: it takes the log into the file and lets the lock go. */
    for (int i = STORE_THREADS - 1; i >= 0; i--) {
        s->ops->close(s->workers[i].backend);
        pthread_cond_destroy(&s->workers[i].wake);
    }
    pthread_mutex_destroy(&s->mutex);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

/* Signals are the loop's: no worker is ever interrupted. */
static enum err_code start_threads(struct store *s, struct err *err)
{
    sigset_t all, before;
    int rc = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; rc == 0 && i < STORE_THREADS; i++) {
        rc = pthread_create(&s->workers[i].thread, NULL, worker_main, &s->workers[i]);
        s->workers[i].running = rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? OK : fail(err, ERR_NOMEM, "no thread for the store: %s", errno_text(rc));
}

static enum err_code start(struct store *s, const char *url, const struct keyring *keys,
                           int64_t wait_ms, struct err *err)
{
    if (s->fd < 0)
        return fail(err, ERR_IO, "eventfd: %s", errno_text(errno));
    enum err_code code = open_writer(s, url, keys, wait_ms, err);
    for (int i = STORE_CLAIM; code == OK && i < STORE_THREADS; i++)
        code = s->ops->open(&s->workers[i].backend, url, BACKEND_READER, keys, err);
    if (code != OK)
        return code;
    note_size(s, s->workers[STORE_WRITE].backend);
    return start_threads(s, err);
}

enum err_code store_open(struct store **out, const char *url, const struct keyring *keys,
                         int64_t lock_wait_ms, struct err *err)
{
    const struct backend_ops *ops = backend_find(url);
    if (ops == NULL)
        return fail(err, ERR_INVALID, "store.url %s: only sqlite:///PATH is known", url);
    struct store *s = calloc(1, sizeof(*s));
    pthread_condattr_t monotonic;
    if (s == NULL)
        return fail(err, ERR_NOMEM, "no memory for the store");
    s->ops = ops;
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&s->mutex, NULL);
    batch_init(&s->done);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (int i = 0; i < STORE_THREADS; i++) {
        s->workers[i].store = s;
        s->workers[i].which = (enum store_thread)i;
        pthread_cond_init(&s->workers[i].wake, &monotonic);
        batch_init(&s->workers[i].queue);
        batch_init(&s->workers[i].patient);
        patience_init(&s->workers[i].patience);
    }
    pthread_condattr_destroy(&monotonic);
    enum err_code code = start(s, url, keys, lock_wait_ms, err);
    if (code != OK) {
        stop_threads(s);
        store_free(s);
        return code;
    }
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    stop_threads(s);
    while (store_drain(s) > 0)
        continue;
    store_free(s);
}

/* ---- the face ---- */
enum err_code store_submit(struct store *s, enum store_thread thread, unsigned flags,
                           store_work_fn *work, store_done_fn *done, void *arg)
{
    struct worker *w = &s->workers[thread];
    struct request *r = request_new(thread, flags, work, done, arg);
    if (r == NULL)
        return ERR_BUSY;
    enum err_code code = OK;
    bool first = false;
    pthread_mutex_lock(&s->mutex);
    if (s->failed || s->stopping) {
        code = ERR_IO;
    } else if (w->outstanding >= QUEUE_MAX) {
        code = ERR_BUSY;
    } else {
        struct batch *queue = (flags & STORE_PATIENT) != 0 ? &w->patient : &w->queue;
        w->outstanding++;
        r->since_us = clock_mono_us();
        batch_put(queue, r);
        first = queue->n == 1;
    }
    pthread_mutex_unlock(&s->mutex);
    if (first) /* not under the mutex: whom it wakes would only wait for that */
        pthread_cond_signal(&w->wake);
    if (code != OK)
        free(r);
    return code;
}

int store_fd(const struct store *s)
{
    return s->fd;
}

size_t store_drain(struct store *s)
{
    uint64_t ignored;
    struct batch mine;
    size_t n = 0;
    /* Emptied first: what is completed after the list was taken wakes the loop again. */
    while (read(s->fd, &ignored, sizeof(ignored)) < 0 && errno == EINTR)
        continue;
    batch_init(&mine);
    pthread_mutex_lock(&s->mutex);
    batch_join(&mine, &s->done);
    for (const struct request *r = mine.first; r != NULL; r = r->next)
        s->workers[r->thread].outstanding--;
    pthread_mutex_unlock(&s->mutex);
    struct request *r;
    while ((r = batch_take(&mine)) != NULL) {
        r->done(r->arg, &r->err, r->generation);
        free(r);
        n++;
    }
    return n;
}

/* A const store is one that the caller does not change; its mutex is not part of that. */
static pthread_mutex_t *mutex_of(const struct store *s)
{
    union {
        const struct store *in;
        struct store *out;
    } u = {.in = s};
    return &u.out->mutex;
}

bool store_failed(const struct store *s, struct err *why)
{
    pthread_mutex_lock(mutex_of(s));
    bool failed = s->failed;
    if (failed && why != NULL)
        *why = s->failure;
    pthread_mutex_unlock(mutex_of(s));
    return failed;
}

bool store_has_room(const struct store *s, enum store_thread thread)
{
    pthread_mutex_lock(mutex_of(s));
    bool room = !s->failed && s->workers[thread].outstanding < QUEUE_ORDINARY_MAX;
    pthread_mutex_unlock(mutex_of(s));
    return room;
}

int64_t store_slice_us(const struct store *s)
{
    return patience_slice_us(&s->workers[STORE_WRITE].patience, clock_mono_us());
}

void store_stats(const struct store *s, struct store_stats *out)
{
    pthread_mutex_lock(mutex_of(s));
    *out = s->stats;
    for (int i = 0; i < STORE_THREADS; i++)
        out->queued[i] = s->workers[i].queue.n + s->workers[i].patient.n;
    pthread_mutex_unlock(mutex_of(s));
}
