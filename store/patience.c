/* store/patience.c: see patience.h. */
#include "store/patience.h"

enum {
    BUSY_US = 100 * 1000, /* others wrote so long ago at most: somebody may be waiting */
    REST_TIMES = 2,       /* so many times as long as the last patient one took */
    REST_MAX_US = 50 * 1000,
    SLICE_US = 5000,
    SLICE_BUSY_US = 2000
};

static bool others_write(const struct patience *p, int64_t now_us)
{
    return now_us - __atomic_load_n(&p->others_us, __ATOMIC_RELAXED) <= BUSY_US;
}

void patience_init(struct patience *p)
{
    *p = (struct patience){.others_us = -BUSY_US};
}

int64_t patience_wait_us(const struct patience *p, int64_t since_us, bool others_queued,
                         int64_t now_us)
{
    if (now_us - since_us >= PATIENCE_US)
        return 0;
    if (others_queued)
        return PATIENCE_US;
    return p->rested_us > now_us ? p->rested_us - now_us : 0;
}

void patience_others(struct patience *p, int64_t now_us)
{
    __atomic_store_n(&p->others_us, now_us, __ATOMIC_RELAXED);
}

void patience_done(struct patience *p, int64_t from_us, int64_t now_us)
{
    int64_t rest_us = others_write(p, now_us) ? (now_us - from_us) * REST_TIMES : 0;
    p->rested_us = now_us + (rest_us < REST_MAX_US ? rest_us : REST_MAX_US);
}

int64_t patience_slice_us(const struct patience *p, int64_t now_us)
{
    return others_write(p, now_us) ? SLICE_BUSY_US : SLICE_US;
}
