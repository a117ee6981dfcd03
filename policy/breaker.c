/* policy/breaker.c: the breaker's moves; the picture is in breaker.h. It is slow to open on
 * purpose: a handful of failing events must follow their plain schedule. */
#include "policy/breaker.h"

#include <assert.h>

enum { SUSPECT_GAP_MS = 1 };
#define DELIVERIES_MIN ((int)(sizeof((struct breaker *)0)->deliveries / sizeof(int64_t)))

static void forget_row(struct breaker *b)
{
    b->failures = 0;
    b->first_failure_ms = 0;
    b->deliveries_n = 0;
}

/* The one mover. */
static void move(struct breaker *b, enum breaker_state to)
{
    switch (b->state) {
    case BREAKER_CLOSED:
        assert(to == BREAKER_OPEN);
        break;
    case BREAKER_OPEN:
        assert(to == BREAKER_PROBING);
        break;
    case BREAKER_PROBING:
        assert(to == BREAKER_OPEN || to == BREAKER_CLOSED);
        break;
    }
    b->state = to;
}

void breaker_init(struct breaker *b)
{
    *b = (struct breaker){.state = BREAKER_CLOSED};
}

void breaker_restore(struct breaker *b, const struct breaker_policy *p, int64_t opened_ms,
                     int64_t now_ms)
{
    int64_t probe_ms = opened_ms + p->probe_interval_ms;
    *b = (struct breaker){
        .state = BREAKER_OPEN,
        .opened_ms = opened_ms < now_ms ? opened_ms : now_ms,
        /* A clock that stepped back must not put the probe far away. */
        .probe_ms = opened_ms > now_ms  ? now_ms
                    : probe_ms > now_ms ? probe_ms
                                        : now_ms,
    };
}

bool breaker_allows(struct breaker *b, int64_t now_ms)
{
    switch (b->state) {
    case BREAKER_CLOSED:
        return now_ms >= b->probe_ms;
    case BREAKER_OPEN:
        if (now_ms < b->probe_ms)
            return false;
        move(b, BREAKER_PROBING);
        return true;
    case BREAKER_PROBING:
        return false;
    }
    return false;
}

int64_t breaker_next_ms(const struct breaker *b)
{
    switch (b->state) {
    case BREAKER_CLOSED:
    case BREAKER_OPEN:
        return b->probe_ms;
    case BREAKER_PROBING:
        return INT64_MAX;
    }
    return 0;
}

void breaker_succeeded(struct breaker *b)
{
    /* In OPEN it is a straggler's, sent before the trouble: it proves nothing. */
    if (b->state == BREAKER_OPEN)
        return;
    if (b->state == BREAKER_PROBING)
        move(b, BREAKER_CLOSED);
    forget_row(b);
    b->opened_ms = b->probe_ms = 0;
}

static void remember(struct breaker *b, int64_t delivery)
{
    for (int i = 0; i < b->deliveries_n; i++)
        if (b->deliveries[i] == delivery)
            return;
    if (b->deliveries_n < DELIVERIES_MIN)
        b->deliveries[b->deliveries_n++] = delivery;
}

void breaker_failed(struct breaker *b, const struct breaker_policy *p, int64_t delivery,
                    int64_t now_ms)
{
    if (b->state == BREAKER_OPEN)
        return; /* a straggler's: known already, and it must not put off the probe */
    if (b->state == BREAKER_PROBING) {
        move(b, BREAKER_OPEN); /* opened_ms stays: the endpoint has been down since then */
        b->probe_ms = now_ms + p->probe_interval_ms;
        return;
    }
    if (b->failures == 0)
        b->first_failure_ms = now_ms;
    if (b->failures < INT32_MAX)
        b->failures++;
    remember(b, delivery);
    if (b->failures < p->min_failures || b->deliveries_n < DELIVERIES_MIN)
        return;
    if (now_ms - b->first_failure_ms < p->min_period_ms) {
        b->probe_ms = now_ms + SUSPECT_GAP_MS;
        return;
    }
    move(b, BREAKER_OPEN);
    b->opened_ms = now_ms;
    b->probe_ms = now_ms + p->probe_interval_ms;
}

void breaker_probe_returned(struct breaker *b)
{
    /* A straggler may have answered in the probe's place, or the lane was made new meanwhile: then
     * nobody waits for this probe any more. */
    if (b->state != BREAKER_PROBING)
        return;
    move(b, BREAKER_OPEN);
    b->probe_ms = 0;
}
