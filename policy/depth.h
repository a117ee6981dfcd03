/* policy/depth.h: how many requests at once keep a loop busy.
 *
 *   of those in flight, answered by the time the loop looks      then
 *   half or more                                                 they wait for the loop: fewer will do
 *   less than a quarter, and it was refused more                 the loop waits for them: twice as many
 *
 * What is in flight beyond that lies cold in memory until its turn. */
#ifndef POLICY_DEPTH_H
#define POLICY_DEPTH_H

#include <stdbool.h>
#include <stdint.h>

enum { DEPTH_MIN = 32 };
struct depth {
    int size;
    int ended;    /* since the last look */
    bool refused; /* it wanted more than size */
    int64_t grew_ms;
};

void depth_init(struct depth *d);
bool depth_lets(struct depth *d, int in_flight); /* may one more start? */
void depth_ended(struct depth *d);               /* one did */
/* The loop has looked at all that had come in. max: as many may be in flight at all. */
void depth_look(struct depth *d, int in_flight, int max, int64_t now_ms);

#endif
