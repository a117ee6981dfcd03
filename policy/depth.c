/* policy/depth.c: it doubles while nothing or little comes back, and shrinks by an eighth where most has
 * come back. A look that finds nothing says so only a moment after the last one that grew: what was
 * just started cannot have been answered. */
#include "policy/depth.h"

void depth_init(struct depth *d)
{
    *d = (struct depth){.size = DEPTH_MIN};
}

bool depth_lets(struct depth *d, int in_flight)
{
    if (in_flight < d->size)
        return true;
    d->refused = true;
    return false;
}

void depth_ended(struct depth *d)
{
    d->ended++;
}

void depth_look(struct depth *d, int in_flight, int max, int64_t now_ms)
{
    int n = d->ended, before = in_flight + n;

    if (n == 0 && (!d->refused || now_ms <= d->grew_ms))
        return;
    if (2 * n >= before)
        d->size -= d->size / 8;
    else if (d->refused && 4 * n < before && d->size < max)
        d->size *= 2;
    if (d->size < DEPTH_MIN)
        d->size = DEPTH_MIN;
    d->grew_ms = now_ms;
    d->ended = 0;
    d->refused = false;
}
