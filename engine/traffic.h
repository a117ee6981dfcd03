/* engine/traffic.h: attempts counted on the loop, per lane, and written behind to the store.
 *
 *   settle ─▶ traffic_settled: a few additions ─▶ lane's delta ─▶ at most once a second, and only where
 *   something was counted: up to 256 lanes' deltas in one request to the store's writer
 *
 * Whoever wants to see it asks for a write first (traffic_flush), so that numbers are of now.
 *
 * So the hot path gains no statement and an idle daemon writes nothing. A crash loses what was counted
 * since the last write: a second's counts, never a delivery. A clean stop writes them. */
#ifndef ENGINE_TRAFFIC_H
#define ENGINE_TRAFFIC_H

#include "engine/loop.h"
#include "store/store.h"

struct traffic_lane; /* what a lane has counted since the last write */
struct traffic_log;

struct traffic_log *traffic_new(struct loop *l, struct store *store); /* NULL: no memory */
/* After the last attempt: the rest goes to the store, before store_close. */
void traffic_stop(struct traffic_log *t);
void traffic_free(struct traffic_log *t); /* after store_close */

/* A delivery of the subscription was settled. *tl: its lane's, made here at its first attempt. a: the
 * attempt, NULL: none. here: it went to the endpoint that the subscription has now. now_ms: store
 * clock. */
void traffic_settled(struct traffic_log *t, struct traffic_lane **tl, int64_t sub,
                     const struct attempt *a, bool here, bool died, int64_t now_ms);
void traffic_died(struct traffic_log *t, int64_t n); /* others, without an attempt or a lane */
/* Another endpoint, or one that somebody vouches for again: failures so far are not its own. */
void traffic_begins_anew(struct traffic_lane *tl);
void traffic_forget(struct traffic_lane *tl); /* the lane goes. For both NULL is fine */

/* Runs fn once all that was counted before this call is in the store, or could not be written; at
 * once where it is there already. */
void traffic_flush(struct traffic_log *t, loop_fn *fn, void *arg);

/* All attempts since the start, sub 0. */
const struct traffic *traffic_total(const struct traffic_log *t);

#endif
