/* policy/retry.h: when to try again, as arithmetic. Time and dice are arguments. */
#ifndef POLICY_RETRY_H
#define POLICY_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETRY_SCHEDULE_MAX 64
#define RETRY_STATUSES_MAX 64

struct retry_policy {
    char name[65];
    int max_retries; /* with a schedule: its length, unless set */
    int64_t initial_delay_ms, max_delay_ms;
    double multiplier;
    double jitter; /* 0..1 */
    int64_t schedule_ms[RETRY_SCHEDULE_MAX];
    int schedule_n;     /* 0: exponential */
    int64_t max_age_ms; /* since the budget began; 0: no limit */
    int64_t retry_after_max_ms;
    bool retry_non_2xx;                         /* retry_on: non_2xx */
    int16_t retry_statuses[RETRY_STATUSES_MAX]; /* retry_on: [408, 409] beside the built-in ones */
    int retry_statuses_n;
};

struct retry_facts {
    int failed;       /* attempts made in this budget, the one that just failed included: 1.. */
    int max;          /* attempts of this budget, whatever the policy allows; 0: as it allows */
    int64_t since_ms; /* when the budget began */
    int64_t now_ms;   /* end of that attempt */
    int64_t hint_ms;  /* Retry-After as a delay; -1: none */
    uint32_t dice;    /* uniform over 32 bits */
};

/* The built-in policies. */
void retry_policy_default(
    struct retry_policy *p); /* 5 retries, 1s ×2, cap 5m, jitter 0.1, retry_after_max 1h */
void retry_policy_bondbricks(struct retry_policy *p); /* 1m 5m 15m, jitter 0.1, non_2xx */

/* True and *next_ms set (delay before retry n = min(max_delay, initial × multiplier^(n-1)) × (1 ±
 * jitter), never above max_delay; max with the hint, which is cut to retry_after_max), or false:
 * give up. */
bool retry_next(const struct retry_policy *p, const struct retry_facts *f, int64_t *next_ms);

/* Retry-After (RFC 9110 10.2.3): delta-seconds or one of the three HTTP-dates. The delay in ms from
 * now, 0 for a past date, -1 where it is not legal (ignored). Huge numbers are cut to 100 years. */
int64_t retry_after_parse(const char *value, size_t n, int64_t now_wall_ms);

#endif
