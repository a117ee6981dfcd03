/* store/batch.h: requests, queues of them, and running a queue over one backend. For store.c alone:
 * no thread and no mutex in here. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/store.h"

enum { BATCH_WORK_US = 5000 }; /* then commit what there is: nobody waits behind a long batch */

struct request {
    struct request *next;
    struct store *from; /* the face that it is answered to */
    enum store_thread thread;
    unsigned flags;
    store_work_fn *work;
    store_done_fn *done;
    void *arg;
    int64_t generation;
    int64_t since_us; /* when it was submitted */
    int64_t us;       /* how long it worked; -1: not at all */
    struct err err;
};

struct batch {
    struct request *first, **end;
    size_t n;
};

/* NULL: no memory. */
struct request *request_new(enum store_thread thread, unsigned flags, store_work_fn *work,
                            store_done_fn *done, void *arg);

void batch_init(struct batch *batch);
void batch_put(struct batch *batch, struct request *r);
struct request *batch_take(struct batch *batch); /* NULL: empty */
void batch_join(struct batch *to, struct batch *from);
void batch_set_generation(struct batch *batch, int64_t generation);
void batch_count(const struct batch *batch, struct timing ops[STORE_OPS]);
void batch_fail(struct batch *batch, const struct err *why); /* that is what each will hear */

/* A domain answer leaves the transaction usable; anything else takes the batch with it. */
bool batch_is_answer(enum err_code code);
enum err_code batch_run_one(struct backend *b, struct request *r);
/* Runs requests of todo until they have worked long enough, guarded ones within a savepoint. OK:
 * they are in ran and the transaction stands; else the batch is to be rolled back. */
enum err_code batch_write(struct backend *b, struct batch *todo, struct batch *ran,
                          struct err *err);
/* The same within a reader's snapshot: at most max of them, until one leaves it unusable. */
enum err_code batch_read(struct backend *b, struct batch *todo, struct batch *ran, size_t max,
                         struct err *err);

#endif
