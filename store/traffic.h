/* store/traffic.h: what passed through a subscription, minute by minute: how many attempts, how they
 * ended, how long they took. Sums of minutes are minutes too.
 *
 * Durations are counted in TRAFFIC_BUCKETS steps of roughly a third each; a percentile is read out of
 * them by a straight line within its step. */
#ifndef STORE_TRAFFIC_H
#define STORE_TRAFFIC_H

#include "store/model.h"

enum { TRAFFIC_MINUTE_MS = 60000, TRAFFIC_BUCKETS = 24, TRAFFIC_KEPT_MS = 2 * 60 * 60000 };
/* Upper bounds; above the last one: one more step, which reads as ending at TRAFFIC_LONGEST_US. */
extern const int64_t traffic_bounds_us[TRAFFIC_BUCKETS - 1];
#define TRAFFIC_LONGEST_US INT64_C(60000000)

struct traffic {
    int64_t sub, minute_ms; /* when the minute began */
    int64_t ok, failed;     /* attempts */
    int64_t retries;        /* of those: not the first of their delivery */
    int64_t dead;           /* deliveries that ended so */
    int64_t buckets[TRAFFIC_BUCKETS];
};

/* What a moment added: to a minute, and to what is known of the endpoint. health.last_success_ms 0:
 * no success was among it; health.failing_since_ms and in_row: since the last one among it. */
struct traffic_delta {
    struct traffic traffic;
    struct health health;
};

int64_t traffic_minute(int64_t ms); /* when the minute of this point in time began */
void traffic_add(struct traffic *to, const struct traffic *from); /* sub and minute stay */
void traffic_count(struct traffic *t, const struct attempt *a);
/* fraction: 0.5, 0.95. In microseconds; -1: there were none. */
int64_t traffic_percentile(const struct traffic *t, double fraction);

void health_count(struct health *h, const struct attempt *a, int64_t now_ms);
/* `then` came after *h. */
void health_add(struct health *h, const struct health *then);
/* An endpoint fails where its last three attempts did, or every one so far. A single refused message
 * between good ones says nothing about it. */
bool health_failing(const struct health *h);
/* The same of a subscription, whose breaker knows too; 0: it does not fail. */
int64_t sub_failing_since(const struct subscription *s);

#endif
