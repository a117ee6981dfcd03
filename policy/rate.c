/* policy/rate.c: a token bucket whose bucket is a tenth of a second: N/s is N in every second, not
 * 2N in the first. Tokens are fractions, so that slow rates lose nothing to rounding. */
#include "policy/rate.h"

#include <math.h>

/* A token but for rounding is a token. next_ms aims at the middle of that margin, so that a take at
 * the promised time succeeds and a millisecond earlier does not. */
#define EPSILON 1e-9

static double filled(const struct rate *r, int64_t now_ms)
{
    double tokens = r->tokens;
    if (now_ms > r->at_ms) /* a clock that steps back brings nothing and takes nothing */
        tokens += (double)(now_ms - r->at_ms) * r->per_s / 1000;
    return tokens < r->burst ? tokens : r->burst;
}

void rate_init(struct rate *r, double per_s, int64_t now_ms)
{
    *r = (struct rate){.per_s = per_s > 0 ? per_s : 0, .at_ms = now_ms};
    r->burst = r->per_s > 10 ? r->per_s / 10 : 1;
    r->tokens = r->burst;
}

/* Keeps what has been saved up, as far as the new bucket holds it: setting a rate again and again
 * gives nobody free tokens. */
void rate_set(struct rate *r, double per_s, int64_t now_ms)
{
    bool was_limited = r->per_s > 0;
    double tokens = filled(r, now_ms);
    rate_init(r, per_s, now_ms);
    if (was_limited && tokens < r->burst)
        r->tokens = tokens;
}

bool rate_take(struct rate *r, int64_t now_ms)
{
    if (!(r->per_s > 0))
        return true;
    r->tokens = filled(r, now_ms);
    if (now_ms > r->at_ms)
        r->at_ms = now_ms;
    if (r->tokens < 1 - EPSILON)
        return false;
    r->tokens -= 1;
    return true;
}

void rate_return(struct rate *r)
{
    r->tokens = r->tokens + 1 < r->burst ? r->tokens + 1 : r->burst;
}

int64_t rate_next_ms(const struct rate *r, int64_t now_ms)
{
    if (!(r->per_s > 0))
        return now_ms;
    double missing = 1 - filled(r, now_ms);
    if (missing <= EPSILON)
        return now_ms;
    double wait_ms = ceil((missing - EPSILON / 2) * 1000 / r->per_s);
    const double most = 1e15;
    int64_t from = now_ms > r->at_ms ? now_ms : r->at_ms;
    return from + (int64_t)(wait_ms < most ? wait_ms : most);
}
