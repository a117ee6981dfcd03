/* engine/task.h: one claimed delivery on its way through the engine.
 *
 *   QUEUED ──▶ SENDING ──▶ SETTLING ⇄ UNSETTLED (the store had no room, or its disk is full)
 *      └────────────────────▲ a death without an attempt
 *
 * It ends from QUEUED (its lane stopped) or SETTLING (committed); any other move asserts.
 *
 * Tasks come from a pool: it keeps some that are over, and counts what those in use hold in memory. A
 * task has a buffer for its body from the start of its attempt to the end of it, the one that was
 * given back last: of a thousand that wait, none keeps a cold one. */
#ifndef ENGINE_TASK_H
#define ENGINE_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/model.h"

/* A claimed row up to this size is small: their number alone is bounded. */
enum { TASK_SMALL_BYTES = 8192 };

struct lane;
enum task_state { TASK_QUEUED, TASK_SENDING, TASK_SETTLING, TASK_UNSETTLED };
struct task {
    enum task_state state;
    struct task *prev, *next; /* in lane->queue or lane->busy */
    struct lane *lane;        /* lane_queue sets it */
    struct claimed *row;      /* owned */
    struct buf body;          /* while SENDING; else empty */
    size_t held_bytes;        /* as the pool counts them; 0: a small one */
    bool probe;     /* the breaker's: its answer alone decides while the breaker is not closed */
    unsigned moves; /* of its lane when it was sent */
    /* While SETTLING these belong to the store thread. */
    struct settlement settlement;
    struct buf text; /* the strings that settlement points to */
    struct settled settled;
    bool late; /* the delivery was over already: only its attempt was recorded */
    int64_t dead_expires_ms;
};
struct task_list {
    struct task *first, *last;
    size_t n;
};

void task_move(struct task *t, enum task_state to); /* the one mover */
/* An operator's question (TRIAL_DUE_MS): it waits for nothing that others wait for. */
bool task_is_first(const struct task *t);
void task_list_add(struct task_list *list, struct task *t);
void task_list_put_first(struct task_list *list, struct task *t);
void task_list_remove(struct task_list *list, struct task *t);
void task_list_free(struct task_list *list); /* at the end: the tasks with it, past the pool */

enum { SPARE_BODIES_MAX = 512 };
struct task_pool {
    struct task *spare;
    size_t spare_n;
    struct buf bodies[SPARE_BODIES_MAX];
    size_t bodies_n;
    size_t n;                 /* in use */
    size_t held_bytes;        /* what large ones hold: rows, bodies, answers */
    atomic_size_t *all_bytes; /* of all loops: counted there too */
};
void task_pool_fini(struct task_pool *p);
struct task *task_new(struct task_pool *p, struct claimed *row); /* NULL: no memory */
void task_free(struct task_pool *p, struct task *t);             /* in no list any more */
void task_weigh(struct task_pool *p, struct task *t);     /* counts anew what a large one holds */
void task_take_body(struct task_pool *p, struct task *t); /* an empty one, for its attempt */
void task_give_body(struct task_pool *p, struct task *t); /* its attempt is over, or never began */

#endif
