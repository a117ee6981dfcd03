/* store/store.h: the asynchronous face of what is remembered. A loop has its own: what it submits is
 * answered to it.
 *
 * Three threads, each with its own connection (DESIGN rules 4, 5, 10):
 *   STORE_WRITE  the only writer. Whatever arrived during the last commit is the next batch: one
 *                transaction, one fsync. What nobody waits for lingers a moment (at most 5 ms), while
 *                batches are large or others are in a hurry. The fsync of what is durable elsewhere
 *                comes after its answer, and is due after 2 ms.
 *   STORE_CLAIM  reads what is due, on its own snapshot: one for each face.
 *   STORE_LIST   lists and single looks for people; each request its own short snapshot.
 *
 * A request is a blocking function over one backend. store_submit() returns OK and then done runs
 * exactly once, on the thread that calls store_drain() (the face's loop), after the batch that held it has
 * been committed or has failed; or it returns ERR_BUSY (queue full) or ERR_IO (store has failed)
 * and neither runs. arg belongs to the store in between: only copies cross.
 *
 * Failure: a work function that returns a domain answer is undone alone (the request was submitted
 * GUARDED) or has changed nothing. ERR_IO, ERR_FULL, ERR_CORRUPT from any operation, or from
 * commit, fail the whole batch. After a failed fsync (ERR_IO at commit) or ERR_CORRUPT the store is
 * failed for good: nothing is acknowledged any more and store_failed() is true; the daemon exits
 * and starts again from the disk. (ERR_CORRUPT of a STORE_LIST request is that request's alone: a
 * person looked at one damaged row.) */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/backend.h"
#include "store/timing.h"

struct store;
enum store_thread { STORE_WRITE, STORE_CLAIM, STORE_LIST, STORE_THREADS };
/* Flags. GUARDED: wrap the work in a savepoint. PATIENT: a slice of something large, which waits while
 * others write (but not for ever), shares no transaction with them, and leaves them most of the
 * writer's time; a page of something large, which leaves them the processors while events come in.
 * HURRY: somebody waits for it. LINGER: nobody does, it may go with the next one in a hurry. EARLY: if a
 * power cut takes it back, it comes again as it was. A commit of such two alone is shown once it is
 * written (kill -9 loses nothing of it) and synced soon after; EARLY is answered in between, LINGER
 * after the sync. The others say what kind of write it is, for the statistics. */
enum {
    STORE_GUARDED = 1,
    STORE_INGEST = 2,
    STORE_RECORD = 4,
    STORE_PRUNE = 8,
    STORE_PATIENT = 16,
    STORE_HURRY = 32,
    STORE_LINGER = 64,
    STORE_EARLY = 128
};

/* On the thread that was asked for, within a transaction. */
typedef enum err_code store_work_fn(struct backend *b, void *arg, struct err *err);
/* On the loop thread. err->code == OK on success. generation: for STORE_WRITE the commit that holds
 * the work; for reads the newest commit that the snapshot is certain to show. Grows with every
 * commit. */
typedef void store_done_fn(void *arg, const struct err *err, int64_t generation);

/* Opens (creates, migrates, locks; waits up to lock_wait_ms for the lock) and starts the threads.
 * keys must outlive it. ERR_BUSY: another process has the lock; ERR_NEWER, ERR_INVALID: the file is
 * not for this version, or not ours; ERR_DENIED, ERR_IO, ERR_FULL, ERR_NOMEM. */
enum err_code store_open(struct store **out, const char *url, const struct keyring *keys,
                         int64_t lock_wait_ms, struct err *err);
/* Another face of the same store, for another loop, with a claim reader of its own. Before that loop
 * runs; store_close() of the first one ends it too. url of store_open() is read once more. */
enum { STORE_FACES_MAX = 64 };
enum err_code store_join(struct store **out, struct store *of, struct err *err);
/* Finishes what is queued, stops the threads, runs the remaining callbacks of all faces, closes. */
void store_close(struct store *s);

enum err_code store_submit(struct store *s, enum store_thread thread, unsigned flags,
                           store_work_fn *work, store_done_fn *done, void *arg);
int store_fd(const struct store *s); /* readable when store_drain() has something */
size_t store_drain(struct store *s); /* runs callbacks; how many */
bool store_failed(const struct store *s, struct err *why);
/* True while the thread's queue has room for ordinary work (the last eighth is kept for settlements).
 */
bool store_has_room(struct store *s, enum store_thread thread);

/* How long a patient slice should work before it lets go: less while others write. */
int64_t store_slice_us(const struct store *s);
bool store_is_live(const struct store *s); /* events come in */
/* Whatever was answered EARLY by now, or could be read of it, is on the disk. */
bool store_is_durable(const struct store *s);

struct store_stats {
    int64_t commits, requests; /* since start */
    int64_t batch_max;
    int64_t file_bytes, log_bytes; /* of the database with its log; of that log */
    struct timing ops[STORE_OPS];
    size_t queued[STORE_THREADS];
};
void store_stats(const struct store *s, struct store_stats *out);

#endif
