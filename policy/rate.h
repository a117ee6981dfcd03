/* policy/rate.h: token bucket. May I start, and if not, when? */
#ifndef POLICY_RATE_H
#define POLICY_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
    double per_s; /* 0: unlimited */
    double burst; /* max(1, per_s / 10): a tenth of a second's worth, so that N/s is N/s */
    double tokens;
    int64_t at_ms;
};
void rate_init(struct rate *r, double per_s, int64_t now_ms);
void rate_set(struct rate *r, double per_s, int64_t now_ms);
bool rate_take(struct rate *r, int64_t now_ms);
void rate_return(struct rate *r); /* a token taken and not used */
int64_t rate_next_ms(const struct rate *r,
                     int64_t now_ms); /* when take succeeds; now_ms: at once */

#endif
