/* engine/metrics.h: a table of counters, gauges and histograms (rows in metrics.c), text exposition
 * 0.0.4.
 *
 * Counters belong to a loop: each has its own, and they are added up to be shown. Gauges that others know are filled by a callback before each
 * exposition. */
#ifndef ENGINE_METRICS_H
#define ENGINE_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "store/model.h"
#include "store/store.h"

struct metrics;
struct metrics *metrics_new(void); /* NULL: no memory */
void metrics_free(struct metrics *m);
struct metrics *metrics_copy(const struct metrics *m); /* NULL: no memory */
void metrics_add(struct metrics *to, const struct metrics *m);

enum metrics_source { METRICS_OUTBOX, METRICS_API, METRICS_CLI };
void metrics_ingested(struct metrics *m, enum metrics_source source, int64_t n);
void metrics_unrouted(struct metrics *m, int64_t n);
void metrics_rejected(struct metrics *m, int64_t n);
void metrics_duplicates(struct metrics *m, int64_t n);
enum metrics_trigger { METRICS_FIRST, METRICS_RETRY, METRICS_REPLAY };
void metrics_attempt(struct metrics *m, const struct attempt *a, enum metrics_trigger t);
/* result: DELIVERY_DELIVERED, _DEAD or _DISCARDED. e2e_ms: from the
 * event's creation to its 2xx, -1: unknown. */
void metrics_completed(struct metrics *m, enum delivery_state result, enum cause cause,
                       int64_t e2e_ms);
/* From the event's creation to the start of its first attempt. */
void metrics_pickup(struct metrics *m, int64_t ms);
/* A delivery that may not start yet because of its subscription's own rate. */
void metrics_rate_held(struct metrics *m);
void metrics_http_request(struct metrics *m, int64_t us);
void metrics_reload(struct metrics *m, bool ok, int64_t wall_ms);

/* Gauges of the moment. */
struct metrics_now {
    int64_t deliveries[DELIVERY_STATES];
    int64_t oldest_due_ms; /* 0: none */
    int64_t in_flight, in_flight_retrying, in_flight_limit;
    int64_t subscriptions[SUB_STATES], jobs_active, rejects;
    struct store_stats store;
    int64_t free_bytes;
    int64_t connections_opened, connections_reused, request_bytes, response_bytes;
    int64_t breakers_open;
    bool egress_paused;
};
void metrics_write(const struct metrics *m, const struct metrics_now *now, struct buf *out);

#endif
