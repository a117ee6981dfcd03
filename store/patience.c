/* store/patience.c: see patience.h. */
#include "store/patience.h"

enum {
    BUSY_US = 100 * 1000, /* others wrote so long ago at most: somebody may be waiting */
    REST_TIMES = 2,       /* so many times as long as the last patient one took */
    REST_LIVE_TIMES = 6,  /* while events come in */
    REST_MAX_US = 50 * 1000,
    SLICE_US = 5000,
    SLICE_BUSY_US = 2000,
    SLICE_LIVE_MIN_US = 200,
    SLICE_LIVE_MAX_US = 400,
    HOLD_US = 800 /* so long may one hold the writer while events come in, its commit with it */
};

static bool is_fresh(const int64_t *at_us, int64_t now_us)
{
    return now_us - __atomic_load_n(at_us, __ATOMIC_RELAXED) <= BUSY_US;
}

bool patience_live(const struct patience *p, int64_t now_us)
{
    return is_fresh(&p->live_us, now_us);
}

static bool others_write(const struct patience *p, int64_t now_us)
{
    return is_fresh(&p->others_us, now_us);
}

void patience_init(struct patience *p)
{
    *p = (struct patience){.others_us = -BUSY_US, .live_us = -BUSY_US, .slice_us = HOLD_US / 2};
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

void patience_others(struct patience *p, bool live, int64_t now_us)
{
    __atomic_store_n(&p->others_us, now_us, __ATOMIC_RELAXED);
    if (live)
        __atomic_store_n(&p->live_us, now_us, __ATOMIC_RELAXED);
}

/* What the commit of a slice costs depends on the pages that it touched, and on the disk. One that was
 * over before its turn was, having found little to do, teaches nothing. */
static void slice_learn(struct patience *p, int64_t held_us)
{
    int64_t us = p->slice_us;
    if (held_us > HOLD_US)
        us = us / 2 > SLICE_LIVE_MIN_US ? us / 2 : SLICE_LIVE_MIN_US;
    else if (held_us >= us && us < SLICE_LIVE_MAX_US)
        us += us / 8;
    __atomic_store_n(&p->slice_us, us, __ATOMIC_RELAXED);
}

void patience_done(struct patience *p, int64_t from_us, int64_t now_us)
{
    p->rested_us = now_us;
    if (!others_write(p, now_us))
        return;
    bool live = patience_live(p, now_us);
    int64_t held_us = now_us - from_us;
    int64_t rest_us = held_us * (live ? REST_LIVE_TIMES : REST_TIMES);
    p->rested_us += rest_us < REST_MAX_US ? rest_us : REST_MAX_US;
    if (live)
        slice_learn(p, held_us);
}

int64_t patience_slice_us(const struct patience *p, int64_t now_us)
{
    if (patience_live(p, now_us))
        return __atomic_load_n(&p->slice_us, __ATOMIC_RELAXED);
    return others_write(p, now_us) ? SLICE_BUSY_US : SLICE_US;
}
