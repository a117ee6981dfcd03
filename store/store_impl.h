/* store/store_impl.h: what store.c (the faces) and worker.c (the threads) share. Not for others.
 *
 *   a loop ─▶ its face ─▶ queue of a worker ─▶ the worker's thread: begin, work, … commit
 *     ▲                                                  │
 *     └── drain ◀── eventfd ◀── the face's done list ◀───┘
 *
 * Faces share the writer and the list reader; each has a claim reader of its own. One mutex guards the
 * queues, the done lists, the failure and the statistics. */
#ifndef STORE_STORE_IMPL_H
#define STORE_STORE_IMPL_H

#include <pthread.h>

#include "store/batch.h"
#include "store/patience.h"
#include "store/store.h"

struct core;
struct worker {
    struct core *core;
    struct worker *next; /* in core->workers */
    enum store_thread which;
    struct backend *backend; /* of its thread alone, once that runs */
    pthread_t thread;
    bool running;
    pthread_cond_t wake;
    /* Of the writer: those in a hurry come first, the patient ones last; what a turn was too short
     * for, which its thread alone knows, comes between. */
    struct batch hurried, queue, patient, rest;
    int64_t hurried_us; /* the last of those came */
    size_t lingering;   /* of the queue, by their flag */
    size_t enough;      /* while it lingers: so many are worth a commit; else 0 */
    int64_t wakes_us;   /* while it waits: when it looks by itself; else 0 */
    struct patience patience;
    bool checkpoint;    /* STORE_LIST: the writer asks for one */
    size_t outstanding; /* submitted, callback not run yet */
};

struct store { /* one face */
    struct core *core;
    struct store *next; /* in core->faces */
    struct worker claims;
    struct batch done;
    int fd;
};

struct core {
    const struct backend_ops *ops;
    const char *url; /* both the opener's */
    const struct keyring *keys;
    pthread_mutex_t mutex; /* guards all below but generation and what workers own */
    bool stopping, failed;
    struct err failure;
    struct store_stats stats;
    struct worker *workers; /* both lists are made at the start and stay; the writer is the last */
    struct worker writer, lists;
    struct store *faces;
    int faces_n;
    int64_t generation;                     /* atomic */
    int64_t checkpointed_bytes, high_bytes; /* of the writer alone */
    size_t last_batch;
    bool lagging; /* atomic: a commit is written, or about to be, and not on the disk */
    /* Of the writer alone: */
    int64_t lags_since_us; /* 0: nothing does */
    struct batch unsynced; /* committed, answered once it is on the disk */
};

void *worker_main(void *worker);
bool worker_put(struct worker *w, struct request *r); /* with the mutex; true: wake it */

#endif
