/* store/batch.h: requests, lists of them, and running a list over one backend. For store.c alone:
 * no thread and no mutex in here. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/store.h"

enum { BATCH_WORK_US = 5000 }; /* then commit what there is: nobody waits behind a long batch */

struct request {
    struct request *next;
    enum store_lane lane;
    unsigned flags;
    store_work_fn *work;
    store_done_fn *done;
    void *arg;
    int64_t generation;
    struct err err;
};

struct list {
    struct request *first, **end;
    size_t n;
};

void list_init(struct list *l);
void list_put(struct list *l, struct request *r);
struct request *list_take(struct list *l); /* NULL: empty */
void list_join(struct list *to, struct list *from);
void list_fail(struct list *l, const struct err *why); /* that is what each will hear */

/* A domain answer leaves the transaction usable; anything else takes the batch with it. */
bool batch_is_answer(enum err_code code);
enum err_code batch_run_one(struct backend *b, struct request *r);
/* Runs requests of todo until they have worked long enough, guarded ones within a savepoint. OK:
 * they are in ran and the transaction stands; else the batch is to be rolled back. */
enum err_code batch_write(struct backend *b, struct list *todo, struct list *ran, struct err *err);

#endif
