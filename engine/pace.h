/* engine/pace.h: how many were delivered in the last seconds. Counted by one thread, which pays no timer
 * for it; read by any. */
#ifndef ENGINE_PACE_H
#define ENGINE_PACE_H

#include <stdint.h>

enum { PACE_SECONDS = 10, PACE_SLOTS = 16 };
struct pace {
    int64_t second[PACE_SLOTS], n[PACE_SLOTS];
};
void pace_count(struct pace *p, int64_t now_ms);
/* In the last PACE_SECONDS seconds that were over before this one began. */
int64_t pace_sum(const struct pace *p, int64_t now_ms);

#endif
