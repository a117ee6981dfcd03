/* base/clock.c: the real clocks. test/sim links its own in place of this file. */
#include "base/clock.h"

#include <pthread.h>
#include <time.h>

/* Wall minus monotonic at the first call; guarded by pthread_once, constant afterwards. */
static int64_t anchor_us;
static pthread_once_t anchor_once = PTHREAD_ONCE_INIT;

static int64_t read_us(clockid_t id)
{
    struct timespec t = {0, 0};
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

static void take_anchor(void)
{
    anchor_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_MONOTONIC);
}

int64_t clock_store_ms(void)
{
    pthread_once(&anchor_once, take_anchor);
    return (anchor_us + read_us(CLOCK_MONOTONIC)) / 1000;
}
