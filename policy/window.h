/* policy/window.h: how many deliveries of one subscription may run at a time. Grows with success
 * (one per window of successes; doubling until the first failure: slow start), shrinks with
 * endpoint failures (by a half at most once per window), never below 1, never above max. */
#ifndef POLICY_WINDOW_H
#define POLICY_WINDOW_H

#include <stdbool.h>

struct window {
    double size;
    int max;
    int since_cut; /* results since the last cut */
    bool slow_start;
};
void window_init(struct window *w, int max); /* starts at min(max, 8) */
void window_reopen(struct window *w);        /* after a breaker: starts at 1, grows again */
void window_set_max(struct window *w, int max);
void window_succeeded(struct window *w);
void window_failed(struct window *w);
int window_size(const struct window *w);

#endif
