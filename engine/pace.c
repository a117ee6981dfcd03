/* engine/pace.c: a ring of counters, one for each second in which something was delivered. A reader
 * may see a slot between its second and its count: a few too many or too few, once. */
#include "engine/pace.h"

void pace_count(struct pace *p, int64_t now_ms)
{
    int64_t second = now_ms / 1000, n = 0;
    int slot = (int)(second % PACE_SLOTS);

    if (p->second[slot] == second)
        n = p->n[slot];
    else
        __atomic_store_n(&p->second[slot], second, __ATOMIC_RELAXED);
    __atomic_store_n(&p->n[slot], n + 1, __ATOMIC_RELAXED);
}

int64_t pace_sum(const struct pace *p, int64_t now_ms)
{
    int64_t second = now_ms / 1000, sum = 0;

    for (int i = 0; i < PACE_SLOTS; i++) {
        int64_t of = __atomic_load_n(&p->second[i], __ATOMIC_RELAXED);

        if (of < second && of >= second - PACE_SECONDS)
            sum += __atomic_load_n(&p->n[i], __ATOMIC_RELAXED);
    }
    return sum;
}
