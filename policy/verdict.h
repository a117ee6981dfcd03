/* policy/verdict.h: facts of an attempt in, judgement out. Nobody else decides about retries (house
 * rule 1). */
#ifndef POLICY_VERDICT_H
#define POLICY_VERDICT_H

#include "policy/retry.h"

/* The same closed lists as store/model.h; policy may not include store, so engine/settle.c maps
 * them with _Static_asserts that the numbers agree. */
enum fact_outcome {
    FACT_SUCCESS,
    FACT_HTTP_3XX,
    FACT_HTTP_4XX,
    FACT_HTTP_429,
    FACT_HTTP_5XX,
    FACT_TIMEOUT,
    FACT_DNS,
    FACT_CONNECT,
    FACT_TLS,
    FACT_RESET,
    FACT_BLOCKED,
    FACT_INTERNAL
};
enum verdict_cause {
    VERDICT_NONE,
    VERDICT_RETRIES_EXHAUSTED,
    VERDICT_PERMANENT_FAILURE,
    VERDICT_GONE,
    VERDICT_INVALID_ENDPOINT,
    VERDICT_ENDPOINT_DOWN,
    VERDICT_EXPIRED
};

/* By the status of a complete head. */
enum fact_outcome verdict_outcome_of_status(int status);

struct verdict_facts {
    enum fact_outcome outcome;
    int status; /* 0: none */
    bool cut; /* we ended the attempt ourselves (the grace period is over): another one, at once */
    bool literal_refused; /* BLOCKED because the URL itself holds a refused address, scheme or port
                           */
    int64_t expires_ms;   /* of the event; 0: none */
    struct retry_facts retry;
};
struct verdict {
    enum { VERDICT_DELIVERED, VERDICT_RETRY, VERDICT_DEAD } kind;
    int64_t next_ms;            /* RETRY: min(next, expires_ms) */
    enum verdict_cause cause;   /* DEAD */
    bool disable;               /* 410: the subscription is to be disabled */
    int64_t lane_wait_until_ms; /* 429 and 503 with Retry-After: the whole lane waits; 0: no */
    bool endpoint_failure; /* counts against the breaker: 5xx, timeouts, dns, connect, tls, reset */
    bool endpoint_success; /* the endpoint answered: anything below 500 but 429 */
};
void verdict_judge(const struct retry_policy *p, const struct verdict_facts *f,
                   struct verdict *out);

#endif
