/* engine/scheduler_impl.h: what scheduler.c, delivery.c, settle.c and lanes.c share. Not for
 * others. */
#ifndef ENGINE_SCHEDULER_IMPL_H
#define ENGINE_SCHEDULER_IMPL_H

#include "base/heap.h"
#include "engine/lane.h"
#include "engine/scheduler.h"

/* Bytes of claimed payloads that may be in memory at once; a claim is cut to what is left of it
 * (but to one at least). */
#define PAYLOAD_BUDGET_BYTES ((size_t)48 << 20)

struct load;
struct sub_change;
struct scheduler {
    struct scheduler_parts parts;
    const struct conf *conf;
    struct lane **lanes; /* sorted by sub */
    size_t lanes_n, lanes_room;
    struct heap heap;
    struct loop_timer *timer, *again_timer;
    int64_t again_ms; /* mono, when again_timer fires; 0: it is not set */
    bool run_planned, draining, loaded, told_ready;
    int in_flight;                /* over all lanes */
    int settling;                 /* settlements on their way to the store */
    size_t claimed_n;             /* tasks in memory */
    size_t payload_bytes;         /* in memory */
    int unsettled_n;              /* tasks in TASK_UNSETTLED */
    struct sub_change *unwritten; /* of subscriptions, that the store did not take yet */
    struct load *unread;          /* rows that it did not give yet */
    struct task *spare;           /* task objects with warm buffers */
    size_t spare_n;
    int64_t delivered;
    int heads_out;    /* heads requests under way */
    bool heads_again; /* somebody asked for all of them meanwhile */
};

/* scheduler.c */
void scheduler_kick(struct scheduler *s);                  /* run at the end of this turn */
void scheduler_touch(struct scheduler *s, struct lane *l); /* its wake time may have changed */
/* The store had no room or failed: settlements, changes and loads go there once more, then. */
void scheduler_try_again(struct scheduler *s, int64_t in_ms);
void scheduler_maybe_idle(struct scheduler *s);
struct task *task_new(struct scheduler *s, struct lane *l, struct claimed *row);
void task_free(struct scheduler *s, struct task *t); /* in no list any more */

/* lanes.c */
struct lane *lanes_find(const struct scheduler *s, int64_t sub); /* NULL: none */
void lanes_load_all(struct scheduler *s);
void lanes_ask_heads(
    struct scheduler *s); /* of every lane: somebody freed keys without saying whose */
void lanes_reload(struct scheduler *s, int64_t sub);
void lanes_drop_queue(struct scheduler *s, struct lane *l);
void lanes_load_again(struct scheduler *s);
void lanes_forget_loads(struct scheduler *s); /* at the end */

/* delivery.c */
/* Starts the attempt of a queued task. False: it could not start now (no descriptor, no memory);
 * the task is queued still. What can never be sent (a secret that is no key) has been an attempt,
 * outcome internal, and is settled like one. */
bool delivery_start(struct scheduler *s, struct task *t);

/* settle.c */
void settle_attempt(struct scheduler *s, struct task *t, const struct transport_facts *f);
/* A death without an attempt. */
void settle_without_attempt(struct scheduler *s, struct task *t, enum cause cause);
void settle_again(struct scheduler *s);
void settle_forget(struct scheduler *s); /* at the end */

#endif
