/* engine/changes.h: what a write to the store changed for the loop: who has work, which lane must
 * be loaded anew.
 *
 * Filled on the store thread, travels with the answer, applied by the loop after the commit. */
#ifndef ENGINE_CHANGES_H
#define ENGINE_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/model.h"

struct reload; /* engine/reload.h */

/* More than a handful is no event that somebody waits for, it is a load: claims are better at it.
 */
enum { CHANGES_ROWS_MAX = 16, CHANGES_ROWS_BYTES = 65536 };
enum { CHANGES_HELD_MAX = 256 };

struct changes {
    struct change_wake {
        int64_t sub, due_ms;
    } * wakes; /* sub has a delivery that is due then; merged by sub */
    size_t wakes_n, wakes_room;
    /* Deliveries that are due now, as a claim would bring them: a lane with nothing before them may
     * send them without asking the store again. Whoever takes one sets its place to NULL. */
    struct claimed **rows; /* room for CHANGES_ROWS_MAX, once there is one */
    size_t rows_n, rows_bytes;
    struct change_held {
        bool told;
        const struct delivery_key *keys; /* the teller's, who outlives the call */
        size_t n;
    } held; /* these alone must not start until told otherwise: somebody is about to end them */
    int64_t *subs; /* created, changed, deleted: load the lane anew */
    size_t subs_n, subs_room;
    struct change_egress { /* the kill switch was thrown */
        bool told, paused;
        int64_t resume_at_ms; /* 0: not by itself */
    } egress;
    struct change_log { /* how much is logged, until_ms 0: until told otherwise */
        bool told;
        int level; /* enum log_level */
        int64_t until_ms;
    } log;
    struct reload *reload; /* the configuration was read anew; owned */
    bool jobs;             /* a job was made or changed: look at jobs now */
    bool freed;            /* ordering keys may go on, in subscriptions that nobody named */
    /* for metrics */
    int64_t accepted, duplicates, unrouted, rejected;
    int64_t dead[CAUSES], discarded; /* deaths without an attempt, by enum cause */
    bool by_cli;                     /* webhookctl asked for it */
    bool failed;                     /* out of memory: the loop looks at everything */
};
void changes_init(struct changes *c);
void changes_fini(struct changes *c);
void changes_clear(struct changes *c);
/* Does it tell the loop anything? (What intake counted does not.) */
bool changes_any(const struct changes *c);
/* due_ms: of the earliest that became ready. What was due before is not looked for again. */
void changes_wake(struct changes *c, int64_t sub, int64_t due_ms);
/* Some time ago, nobody knows when: before all but a trial. */
#define CHANGES_DUE_BEFORE (TRIAL_DUE_MS + 1)
/* A delivery that may go at once; where there is no room for it, a wake. */
void changes_row(struct changes *c, const struct delivery *d, const struct event_rec *e);
/* The same of one that is made already: it moves (*row is NULL then) or becomes a wake. */
void changes_move_row(struct changes *c, struct claimed **row);
void changes_sub(struct changes *c, int64_t sub);

#endif
