/* policy/breaker.h: is the endpoint as a whole down? Pure: time comes in.
 *
 *            min_failures in a row, of >= 5 deliveries, over >= min_period
 *   CLOSED -------------------------------------------------------------> OPEN <-----+
 *     ^                                                                    |         |
 *     | probe succeeded (the window starts small)      probe_interval over |         | probe failed
 *     |                                                                    v         | or returned
 *     +---------------------------------------------------------------- PROBING -----+
 *
 * From min_failures on, until min_period is over, attempts start once a millisecond only (and the window
 * has shrunk by then): an endpoint that refuses at once would take ten thousand a second, which prove
 * no more and which all others have to wait for.
 *
 * Any other move asserts. Answers of stragglers, sent before it opened, are ignored in OPEN. */
#ifndef POLICY_BREAKER_H
#define POLICY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };
struct breaker_policy {
    int min_failures;
    int64_t min_period_ms, probe_interval_ms;
};
struct breaker {
    enum breaker_state state;
    int failures;             /* in a row */
    int64_t first_failure_ms; /* of that row */
    int64_t deliveries[5];    /* different ones seen failing in that row */
    int deliveries_n;
    int64_t opened_ms;
    int64_t probe_ms; /* when the next probe may go; in CLOSED the next attempt, 0: now */
};

void breaker_init(struct breaker *b);
/* Restores OPEN after a restart: since when it has been. */
void breaker_restore(struct breaker *b, const struct breaker_policy *p, int64_t opened_ms,
                     int64_t now_ms);
/* May an attempt start? In OPEN at probe time: true once, and moves to PROBING. */
bool breaker_allows(struct breaker *b, int64_t now_ms);
/* When breaker_allows may next be true; 0: now; INT64_MAX: after the running probe's answer. */
int64_t breaker_next_ms(const struct breaker *b);
void breaker_succeeded(struct breaker *b);
void breaker_failed(struct breaker *b, const struct breaker_policy *p, int64_t delivery,
                    int64_t now_ms);
/* The probe did not take place after all (its delivery expired, the lane was paused): OPEN, probe
 * at once. */
void breaker_probe_returned(struct breaker *b);

#endif
