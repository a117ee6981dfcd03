/* engine/scheduler.h: who sends what next: one timer over all lanes, claims for lanes that have
 * room.
 *
 *   changes (intake, api, settle) --wake--> lanes (heap by wake time)
 *                                             --run--> start from the queue, or claim more
 *
 * It knows the store's face, the transport's face and policy; neither SQL nor sockets. */
#ifndef ENGINE_SCHEDULER_H
#define ENGINE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/changes.h"
#include "engine/intake.h"
#include "engine/loop.h"
#include "engine/metrics.h"
#include "engine/owners.h"
#include "engine/pace.h"
#include "engine/quota.h"
#include "engine/traffic.h"
#include "engine/transport.h"
#include "policy/conf.h"
#include "store/store.h"

struct scheduler;
typedef void scheduler_fn(void *arg);

/* All arguments outlive it. ready runs once, when all subscriptions are loaded and their first due
 * times are known; idle runs when draining and nothing is in flight or unsettled any more. Both
 * from a deferred call or a store callback. */
struct scheduler_parts {
    struct loop *loop;
    struct store *store;
    struct transport *transport;
    struct metrics *metrics;
    struct traffic_log *traffic;
    const struct conf *conf;
    struct intake *intake; /* numbers for the audit log; used on the store thread only */
    struct quota *quota;
    struct owners *owners;
    int part; /* which of quota->shares, of the owners' loops; 0 where there is one */
    scheduler_fn *ready, *idle, *jobs_changed;
    void *arg;
};
struct scheduler *scheduler_new(const struct scheduler_parts *parts); /* NULL: no memory */
/* After transport_free and store_close: no callback may come any more. */
void scheduler_free(struct scheduler *s);
void scheduler_start(struct scheduler *s);
void scheduler_changed(struct scheduler *s, const struct changes *ch);
void scheduler_configure(struct scheduler *s, const struct conf *conf);
/* The kill switch (engine/egress_pause.h): while it is on nothing is claimed and nothing starts. */
void scheduler_pause(struct scheduler *s, bool paused);
void scheduler_drain(struct scheduler *s);
/* There may be more to borrow of the quota. */
void scheduler_may_start(struct scheduler *s);
/* Nothing is in flight, and nothing waits to be settled. */
bool scheduler_is_quiet(const struct scheduler *s);

struct scheduler_now {
    int in_flight, in_flight_retrying, breakers_open, lanes[SUB_STATES];
    size_t held_bytes;     /* of large claimed deliveries: rows, bodies, answers */
    int64_t oldest_due_ms; /* of ready deliveries that wait in the store; 0: none */
};
void scheduler_look(const struct scheduler *s, struct scheduler_now *out);
/* What was delivered lately; from any thread. */
const struct pace *scheduler_pace(const struct scheduler *s);
/* Subscriptions with something in flight or an open breaker, in order of sub; the caller frees. NULL: none, or no
 * memory. */
struct api_lane;
struct api_lane *scheduler_lanes(const struct scheduler *s, size_t *n);
/* The numbers of the deliveries in flight, sorted; the caller frees. NULL: none, or no memory. */
int64_t *scheduler_sending(const struct scheduler *s, size_t *n);

#endif
