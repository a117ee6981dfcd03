/* store/timing.h: how long the store's operations took, by kind; and which of them failed. */
#ifndef STORE_TIMING_H
#define STORE_TIMING_H

#include <stdbool.h>
#include <stdint.h>

enum store_op {
    STORE_OP_CLAIM,  /* what is due, for the lanes */
    STORE_OP_LIST,   /* reads for people and at the start */
    STORE_OP_INGEST, /* events in */
    STORE_OP_RECORD, /* settlements */
    STORE_OP_PRUNE,  /* what time alone brings about */
    STORE_OP_WRITE,  /* every other write */
    STORE_OP_COMMIT,
    STORE_OP_CHECKPOINT,
    STORE_OPS
};
const char *store_op_name(enum store_op op);

enum { TIMING_BOUNDS = 13 };
extern const int64_t timing_bounds_us[TIMING_BOUNDS]; /* upper ones; above the last: one more */

struct timing {
    int64_t n, us, buckets[TIMING_BOUNDS + 1];
    int64_t errors; /* of the store itself; "there is no such delivery" is none */
};
void timing_add(struct timing *t, int64_t us);

#endif
