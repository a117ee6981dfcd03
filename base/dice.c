/* base/dice.c: the real dice: the kernel's. test/sim links seeded ones in place of this file. */
#include "base/dice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

uint32_t dice_u32(void)
{
    uint32_t v;
    dice_bytes(&v, sizeof v);
    return v;
}

void dice_bytes(void *out, size_t n)
{
    unsigned char *at = out;
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
