/* store/timing.c: histograms of durations. Whoever holds one guards it. */
#include "store/timing.h"

#include <stddef.h>

const int64_t timing_bounds_us[TIMING_BOUNDS] = {
    50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 100000, 500000, 2500000, 10000000};

const char *store_op_name(enum store_op op)
{
    static const char *const names[STORE_OPS] = {
        [STORE_OP_CLAIM] = "claim",   [STORE_OP_LIST] = "list",
        [STORE_OP_INGEST] = "ingest", [STORE_OP_RECORD] = "record",
        [STORE_OP_PRUNE] = "prune",   [STORE_OP_WRITE] = "write",
        [STORE_OP_COMMIT] = "commit", [STORE_OP_CHECKPOINT] = "checkpoint",
    };

    return names[op];
}

void timing_add(struct timing *t, int64_t us)
{
    size_t i = 0;

    while (i < TIMING_BOUNDS && us > timing_bounds_us[i])
        i++;
    t->buckets[i]++;
    t->n++;
    t->us += us;
}
