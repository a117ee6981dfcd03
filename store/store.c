/* store/store.c: the faces of the store: opened, joined, closed, asked; see store_impl.h. It moves
 * requests; what they do is theirs, and worker.c runs them. */
#include "store/store_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    QUEUE_MAX = 4096,          /* per worker: queued, running or not drained yet */
    QUEUE_ORDINARY_MAX = 3584, /* seven eighths: the rest is for settlements */
    LOCK_STEP_MS = 20
};

static struct worker *worker_of(struct store *s, enum store_thread thread)
{
    return thread == STORE_WRITE  ? &s->core->writer
           : thread == STORE_LIST ? &s->core->lists
                                  : &s->claims;
}

/* ---- life ---- */
static enum err_code open_backend(struct core *c, struct worker *w, int64_t wait_ms,
                                  struct err *err)
{
    const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000 * 1000};
    enum backend_mode mode = w->which == STORE_WRITE ? BACKEND_WRITER : BACKEND_READER;
    enum err_code code = c->ops->open(&w->backend, c->url, mode, c->keys, err);
    for (int64_t ms = 0; code == ERR_BUSY && ms < wait_ms; ms += LOCK_STEP_MS) {
        nanosleep(&step, NULL);
        code = c->ops->open(&w->backend, c->url, mode, c->keys, err);
    }
    return code;
}

static enum err_code worker_open(struct core *c, struct worker *w, enum store_thread which,
                                 int64_t wait_ms, struct err *err)
{
    pthread_condattr_t monotonic;
    w->core = c;
    w->which = which;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    batch_init(&w->hurried);
    batch_init(&w->queue);
    batch_init(&w->patient);
    batch_init(&w->rest);
    patience_init(&w->patience);
    w->next = c->workers;
    c->workers = w;
    return open_backend(c, w, wait_ms, err);
}

/* Signals are the loop's: no worker is ever interrupted. */
static enum err_code worker_start(struct worker *w, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->running = rc == 0;
    return rc == 0 ? OK : fail(err, ERR_NOMEM, "no thread for the store: %s", errno_text(rc));
}

static void stop_threads(struct core *c)
{
    pthread_mutex_lock(&c->mutex);
    c->stopping = true;
    for (struct worker *w = c->workers; w != NULL; w = w->next)
        pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&c->mutex);
    for (struct worker *w = c->workers; w != NULL; w = w->next) {
        if (w->running)
            pthread_join(w->thread, NULL);
        w->running = false;
    }
}

static void core_free(struct core *c)
{
    /* The writer closes last: it takes the log into the file and lets the lock go. */
    for (struct worker *w = c->workers; w != NULL; w = w->next) {
        c->ops->close(w->backend);
        pthread_cond_destroy(&w->wake);
    }
    for (struct store *s = c->faces, *next; s != NULL; s = next) {
        next = s->next;
        close(s->fd);
        free(s);
    }
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

/* A face, and its claim reader. */
static enum err_code face_new(struct store **out, struct core *c, struct err *err)
{
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return fail(err, ERR_NOMEM, "no memory for the store");
    s->core = c;
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->fd < 0) {
        free(s);
        return fail(err, ERR_IO, "eventfd: %s", errno_text(errno));
    }
    batch_init(&s->done);
    s->next = c->faces;
    c->faces = s;
    c->faces_n++;
    *out = s;
    return worker_open(c, &s->claims, STORE_CLAIM, 0, err);
}

enum err_code store_open(struct store **out, const char *url, const struct keyring *keys,
                         int64_t lock_wait_ms, struct err *err)
{
    const struct backend_ops *ops = backend_find(url);
    if (ops == NULL)
        return fail(err, ERR_INVALID, "store.url %s: only sqlite:///PATH is known", url);
    struct core *c = calloc(1, sizeof(*c));
    struct store *s = NULL;
    if (c == NULL)
        return fail(err, ERR_NOMEM, "no memory for the store");
    batch_init(&c->unsynced);
    c->ops = ops;
    c->url = url;
    c->keys = keys;
    pthread_mutex_init(&c->mutex, NULL);
    enum err_code code = worker_open(c, &c->writer, STORE_WRITE, lock_wait_ms, err);
    if (code == OK)
        code = worker_open(c, &c->lists, STORE_LIST, 0, err);
    if (code == OK)
        code = face_new(&s, c, err);
    for (struct worker *w = c->workers; code == OK && w != NULL; w = w->next)
        code = worker_start(w, err);
    if (code != OK) {
        stop_threads(c);
        core_free(c);
        return code;
    }
    *out = s;
    return OK;
}

enum err_code store_join(struct store **out, struct store *of, struct err *err)
{
    struct store *s = NULL;
    if (of->core->faces_n == STORE_FACES_MAX)
        return fail(err, ERR_FULL, "the store has %d faces", STORE_FACES_MAX);
    pthread_mutex_lock(&of->core->mutex); /* a worker that fails goes through the lists */
    enum err_code code = face_new(&s, of->core, err);
    pthread_mutex_unlock(&of->core->mutex);
    if (code == OK)
        code = worker_start(&s->claims, err);
    if (code == OK)
        *out = s;
    return code;
}

void store_close(struct store *s)
{
    size_t n;
    if (s == NULL)
        return;
    struct core *c = s->core;
    stop_threads(c);
    do {
        n = 0;
        for (struct store *face = c->faces; face != NULL; face = face->next)
            n += store_drain(face);
    } while (n > 0);
    core_free(c);
}

/* ---- the face ---- */
enum err_code store_submit(struct store *s, enum store_thread thread, unsigned flags,
                           store_work_fn *work, store_done_fn *done, void *arg)
{
    struct core *c = s->core;
    struct worker *w = worker_of(s, thread);
    struct request *r = request_new(thread, flags, work, done, arg);
    if (r == NULL)
        return ERR_BUSY;
    r->from = s;
    enum err_code code = OK;
    bool look = false;
    pthread_mutex_lock(&c->mutex);
    if (c->failed || c->stopping) {
        code = ERR_IO;
    } else if (w->outstanding >= QUEUE_MAX) {
        code = ERR_BUSY;
    } else {
        w->outstanding++;
        r->since_us = clock_mono_us();
        look = worker_put(w, r);
    }
    pthread_mutex_unlock(&c->mutex);
    if (look) /* not under the mutex: whom it wakes would only wait for that */
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
    pthread_mutex_lock(&s->core->mutex);
    batch_join(&mine, &s->done);
    for (const struct request *r = mine.first; r != NULL; r = r->next)
        worker_of(s, r->thread)->outstanding--;
    pthread_mutex_unlock(&s->core->mutex);
    struct request *r;
    while ((r = batch_take(&mine)) != NULL) {
        r->done(r->arg, &r->err, r->generation);
        free(r);
        n++;
    }
    return n;
}

bool store_failed(const struct store *s, struct err *why)
{
    struct core *c = s->core;
    pthread_mutex_lock(&c->mutex);
    bool failed = c->failed;
    if (failed && why != NULL)
        *why = c->failure;
    pthread_mutex_unlock(&c->mutex);
    return failed;
}

bool store_has_room(struct store *s, enum store_thread thread)
{
    pthread_mutex_lock(&s->core->mutex);
    bool room = !s->core->failed && worker_of(s, thread)->outstanding < QUEUE_ORDINARY_MAX;
    pthread_mutex_unlock(&s->core->mutex);
    return room;
}

bool store_is_live(const struct store *s)
{
    return patience_live(&s->core->writer.patience, clock_mono_us());
}

bool store_is_durable(const struct store *s)
{
    return __atomic_load_n(&s->core->lagging, __ATOMIC_SEQ_CST) == false;
}

int64_t store_slice_us(const struct store *s)
{
    return patience_slice_us(&s->core->writer.patience, clock_mono_us());
}

void store_stats(const struct store *s, struct store_stats *out)
{
    struct core *c = s->core;
    pthread_mutex_lock(&c->mutex);
    *out = c->stats;
    out->file_bytes = c->ops->file_bytes(c->writer.backend);
    out->log_bytes = c->ops->log_bytes != NULL ? c->ops->log_bytes(c->writer.backend) : 0;
    for (const struct worker *w = c->workers; w != NULL; w = w->next)
        out->queued[w->which] += w->hurried.n + w->queue.n + w->patient.n;
    pthread_mutex_unlock(&c->mutex);
}
