/* engine/scheduler_impl.h: what the files of the scheduler share. Not for others. Each calls only
 * those to its left:
 *
 *   scheduler_wake.c ◀─ lanes.c ◀─┬─ settle.c ◀─ delivery.c ◀─┬─ scheduler.c
 *                                 └─ claim.c ◀────────────────┘                */
#ifndef ENGINE_SCHEDULER_IMPL_H
#define ENGINE_SCHEDULER_IMPL_H

#include "base/heap.h"
#include "engine/lane.h"
#include "engine/scheduler.h"
#include "policy/depth.h"

struct load;
struct sub_change;
struct scheduler {
    struct scheduler_parts parts;
    const struct conf *conf;
    struct lane **lanes; /* sorted by sub */
    size_t lanes_n, lanes_room;
    struct heap heap;
    loop_fn *run; /* what a kick brings about: scheduler.c's */
    struct loop_timer *timer, *again_timer;
    int64_t again_ms; /* mono, when again_timer fires; 0: it is not set */
    bool run_planned, draining, paused, loaded, told_ready;
    unsigned pauses;              /* so far: what was claimed before one is not sent after it */
    struct share share;           /* of what all loops may have */
    struct depth depth;           /* how many of that keep this loop busy */
    int in_flight;                /* over all lanes */
    int in_flight_retrying;       /* of those: not the first try */
    int settling;                 /* settlements on their way to the store */
    struct task_pool tasks;       /* all that are in memory */
    struct buf headers;           /* of the request that is being made */
    int64_t turns;                /* of the lane that had most */
    size_t holders_n;             /* lanes that have some of them */
    struct lane *line, *line_end; /* have none, and wait for room; not in the heap */
    size_t asked_n;               /* what claims under way may bring */
    struct delivery_key held[CHANGES_HELD_MAX]; /* nobody may start these; by number */
    size_t held_n;
    int unsettled_n;              /* tasks in TASK_UNSETTLED */
    struct sub_change *unwritten; /* of subscriptions, that the store did not take yet */
    struct load *unread;          /* rows that it did not give yet */
    struct pace pace;             /* others read it */
    int heads_out;                /* heads requests under way */
    bool heads_again;             /* somebody asked for all of them meanwhile */
};

/* scheduler_wake.c */
void scheduler_kick(struct scheduler *s);                  /* run at the end of this turn */
void scheduler_touch(struct scheduler *s, struct lane *l); /* its wake time may have changed */
/* Its key in the heap: wake, or earlier where that is now and others had more turns. */
int64_t scheduler_key(const struct scheduler *s, struct lane *l, int64_t wake, int64_t now_ms);
/* Its place in the line of those that wait for room in memory; no-ops where it stands there, or does not. */
void scheduler_line_up(struct scheduler *s, struct lane *l);
void scheduler_line_leave(struct scheduler *s, struct lane *l);
/* A task comes into its lane's queue; leaves a list of its lane and is freed. */
void scheduler_queue(struct scheduler *s, struct lane *l, struct task *t);
void scheduler_forget(struct scheduler *s, struct lane *l, struct task_list *list, struct task *t);
/* The store had no room or failed: settlements, changes and loads go there once more, then. */
void scheduler_try_again(struct scheduler *s, int64_t in_ms);
void scheduler_maybe_idle(struct scheduler *s);

/* lanes.c */
struct lane *lanes_find(const struct scheduler *s, int64_t sub); /* NULL: none */
void lanes_load_all(struct scheduler *s);
void lanes_ask_heads(
    struct scheduler *s); /* of every lane: somebody freed keys without saying whose */
void lanes_reload(struct scheduler *s, int64_t sub);
void lanes_drop_queue(struct scheduler *s, struct lane *l);
void lanes_hold_queue(struct scheduler *s, struct lane *l); /* all but trials */
/* These must not start from now on; those that were held before may, where they are ready still. */
void lanes_hold(struct scheduler *s, const struct delivery_key *keys, size_t n);
void lanes_check_retry(const struct lane *l); /* tells of a policy that the file has no more */
void lanes_load_again(struct scheduler *s);
void lanes_forget_loads(struct scheduler *s); /* at the end */

/* settle.c */
void settle_attempt(struct scheduler *s, struct task *t, const struct transport_facts *f);
/* A death without an attempt. */
void settle_without_attempt(struct scheduler *s, struct task *t, enum cause cause);
void settle_again(struct scheduler *s);
void settle_forget(struct scheduler *s); /* at the end */

/* delivery.c */
/* Starts the attempt of a queued task. False: it could not start now (no descriptor, no memory);
 * the task is queued still. What can never be sent (a secret that is no key) has been an attempt,
 * outcome internal, and is settled like one. */
bool delivery_start(struct scheduler *s, struct task *t);

/* claim.c: what is due comes into memory, as much as there is room for.
 *
 * claim_add adds the lane to c (NULL: a new one is made) if it wants rows and may have some, and
 * returns the claim that is open now; claim_submit sends it. */
struct claim;
struct claim *claim_add(struct scheduler *s, struct claim *c, struct lane *l, int64_t now_ms);
void claim_submit(struct scheduler *s, struct claim *c);
/* May a lane that has nothing in memory claim one? */
bool claim_has_room(const struct scheduler *s);
/* Half of what may be in memory waits for the store: there is little room for what comes next. */
bool claim_waits(const struct scheduler *s);
/* May a row of so many bytes that nobody asked for come into memory? */
bool claim_accepts(const struct scheduler *s, const struct lane *l, size_t bytes, int64_t now_ms);

#endif
