/* policy/retry.c: when to try again. Nothing here reads a clock or throws dice: the caller brings
 * both, and the test is a table. Retry-After is parsed in policy/retry_after.c. */
#include "policy/retry.h"

#include <math.h>

#include "base/text.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

void retry_policy_default(struct retry_policy *p)
{
    *p = (struct retry_policy){
        .max_retries = 5,
        .initial_delay_ms = SECOND_MS,
        .max_delay_ms = 5 * MINUTE_MS,
        .multiplier = 2,
        .jitter = 0.1,
        .retry_after_max_ms = HOUR_MS,
    };
    text_copy(p->name, sizeof p->name, "default");
}

void retry_policy_bondbricks(struct retry_policy *p)
{
    retry_policy_default(p);
    text_copy(p->name, sizeof p->name, "bondbricks");
    p->max_retries = p->schedule_n = 3;
    p->schedule_ms[0] = MINUTE_MS;
    p->schedule_ms[1] = 5 * MINUTE_MS;
    p->schedule_ms[2] = 15 * MINUTE_MS;
    p->retry_non_2xx = true;
}

/* In doubles up to here: multiplier^(n-1) leaves every integer behind, and is capped before it is
 * turned into one. */
static int64_t to_ms(double ms)
{
    const double most = 4e15; /* a hundred thousand years, exact in a double */
    if (!(ms > 0))
        return 0;
    return (int64_t)llround(ms < most ? ms : most);
}

/* dice 0 .. 2^32-1 becomes 1-jitter .. 1+jitter, both ends included. */
static double jittered(double ms, double jitter, uint32_t dice)
{
    return ms * (1 + jitter * (2.0 * dice / UINT32_MAX - 1));
}

/* Before retry n, from 1. */
static int64_t backoff_ms(const struct retry_policy *p, int n, uint32_t dice)
{
    if (p->schedule_n > 0) {
        /* More retries than entries: the last one repeats. What the operator spelled out is not
         * capped by max_delay. */
        int i = n <= p->schedule_n ? n - 1 : p->schedule_n - 1;
        return to_ms(jittered((double)p->schedule_ms[i], p->jitter, dice));
    }
    double max = (double)p->max_delay_ms;
    double ms = (double)p->initial_delay_ms * pow(p->multiplier, n - 1);
    if (!(ms < max)) /* NaN and infinity too */
        ms = max;
    ms = jittered(ms, p->jitter, dice);
    return to_ms(ms < max ? ms : max);
}

bool retry_next(const struct retry_policy *p, const struct retry_facts *f, int64_t *next_ms)
{
    int n = f->failed > 0 ? f->failed : 1;
    if (n > p->max_retries || (f->max > 0 && n >= f->max))
        return false;
    int64_t delay = backoff_ms(p, n, f->dice), next;
    /* The partner's word can lengthen the wait, never shorten it; its limit is retry_after_max, not
     * max_delay. */
    int64_t hint = f->hint_ms < p->retry_after_max_ms ? f->hint_ms : p->retry_after_max_ms;
    if (hint > delay)
        delay = hint;
    if (__builtin_add_overflow(f->now_ms, delay, &next))
        return false;
    if (p->max_age_ms > 0 && next - f->since_ms > p->max_age_ms)
        return false;
    *next_ms = next;
    return true;
}
