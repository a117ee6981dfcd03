/* base/dice.c: the real dice: the kernel's, drawn by the kilobyte. test/sim links seeded ones in
 * place of this file.
 *
 * Each attempt wants a few random bytes, and a system call for each would be a fiftieth of its
 * cost. So every thread has a pool; what is given out is wiped there at once, and a child of fork
 * begins with an empty pool, so that no byte is ever given out twice. */
#include "base/dice.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { POOL_BYTES = 1024 };

static _Thread_local struct {
    size_t left; /* at the end of bytes */
    unsigned char bytes[POOL_BYTES];
} pool;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* In the child, whose one thread is the one that forked. */
static void empty_pool(void)
{
    explicit_bzero(&pool, sizeof pool);
}

static void watch_forks(void)
{
    if (pthread_atfork(NULL, NULL, empty_pool) != 0)
        abort();
}

static void from_kernel(unsigned char *at, size_t n)
{
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            fputs("webhookd: the kernel gives no randomness\n", stderr);
            abort();
        }
        at += got;
        n -= (size_t)got;
    }
}

uint32_t dice_u32(void)
{
    uint32_t v;
    dice_bytes(&v, sizeof v);
    return v;
}

void dice_bytes(void *out, size_t n)
{
    if (n > POOL_BYTES) {
        from_kernel(out, n);
        return;
    }
    if (n > pool.left) {
        pthread_once(&once, watch_forks);
        from_kernel(pool.bytes, POOL_BYTES);
        pool.left = POOL_BYTES;
    }
    unsigned char *from = pool.bytes + POOL_BYTES - pool.left;
    memcpy(out, from, n);
    explicit_bzero(from, n);
    pool.left -= n;
}
