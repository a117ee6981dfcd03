/* engine/quota.c: permits move between the pool and the shares; see quota.h.
 *
 * They move some at a time, so that a busy loop seldom touches what the others touch. Whoever is below
 * its part and finds nothing says so (waiting); who is above its own then gives back what it settles
 * instead of using it again, and does not borrow. */
#include "engine/quota.h"

enum { STEPS = 16 }; /* a share takes so much of its part at a time */

static int max_of(const struct quota *q)
{
    return atomic_load_explicit(&q->max, memory_order_relaxed);
}

static int left_of(const struct quota *q)
{
    return atomic_load_explicit(&q->left, memory_order_relaxed);
}

static uint64_t others_wait(const struct share *s)
{
    return atomic_load_explicit(&s->quota->waiting, memory_order_relaxed) & ~(UINT64_C(1) << s->n);
}

static int reserve_of(const struct quota *q)
{
    return max_of(q) / 8;
}

/* Of what lanes with something in flight may have together. */
static int part_of(const struct quota *q)
{
    int part = (max_of(q) - reserve_of(q)) / q->shares;

    return part > 1 ? part : 1;
}

static int step_of(const struct quota *q)
{
    int step = q->shares == 1 ? max_of(q) : part_of(q) / STEPS;

    return step > 1 ? step : 1;
}

void quota_init(struct quota *q, int max, int shares, quota_wake_fn *wake, void *arg)
{
    q->shares = shares;
    q->wake = wake;
    q->arg = arg;
    atomic_init(&q->max, max);
    atomic_init(&q->left, max);
    atomic_init(&q->waiting, 0);
    atomic_init(&q->bytes, 0);
    atomic_init(&q->hungry_until_ms, 0);
}

void quota_set_max(struct quota *q, int max)
{
    int before = atomic_exchange(&q->max, max);

    atomic_fetch_add(&q->left, max - before);
}

/* Some of what is left; false: nothing. */
static bool take(struct share *s)
{
    struct quota *q = s->quota;
    int left = left_of(q);

    while (left > 0) {
        int n = left < step_of(q) ? left : step_of(q);

        if (atomic_compare_exchange_weak(&q->left, &left, left - n)) {
            s->held += n;
            return true;
        }
    }
    return false;
}

void share_init(struct share *s, struct quota *q, int n)
{
    *s = (struct share){.quota = q, .n = n};
    if (q->shares == 1)
        (void)take(s);
}

static void wait_for_part(struct share *s)
{
    s->wants = true;
    if (!s->waits)
        atomic_fetch_or(&s->quota->waiting, UINT64_C(1) << s->n);
    s->waits = true;
}

static bool borrow(struct share *s)
{
    if (s->held >= part_of(s->quota))
        return others_wait(s) == 0 && take(s);
    if (take(s))
        return true;
    wait_for_part(s);
    return take(s); /* somebody may have given it back meanwhile, and seen nobody wait */
}

/* What nobody uses, as far as this loop can see. */
static int unused(const struct share *s, int in_flight)
{
    return left_of(s->quota) + s->held - in_flight;
}

bool share_lets(struct share *s, int in_flight, bool first)
{
    if (unused(s, in_flight) > (first ? 0 : reserve_of(s->quota)))
        return in_flight < s->held || borrow(s);
    if (s->quota->shares > 1 && s->held < part_of(s->quota))
        wait_for_part(s);
    return false;
}

bool share_is_open(const struct share *s, int in_flight)
{
    return unused(s, in_flight) > 0;
}

/* One of those that wait, each in its turn, looks again. */
static void wake_next(const struct share *s)
{
    const struct quota *q = s->quota;
    uint64_t waiting = others_wait(s);

    for (int i = 1; waiting != 0 && i < q->shares; i++) {
        int n = (s->n + i) % q->shares;

        if ((waiting >> n & 1) != 0) {
            q->wake(q->arg, n);
            return;
        }
    }
}

static void give_back(struct share *s, int n)
{
    s->held -= n;
    atomic_fetch_add(&s->quota->left, n);
    wake_next(s);
}

void share_trim(struct share *s, int in_flight)
{
    const struct quota *q = s->quota;
    int spare = s->held - in_flight, left = left_of(q), n = 0;

    if (q->shares > 1) {
        int step = step_of(q), above = s->held - part_of(q);

        if (in_flight == 0)
            n = spare;
        else if (spare >= 2 * step)
            n = spare - step;
        if (n < above && others_wait(s) != 0)
            n = above;
    }
    if (n < -left)
        n = -left;
    if (n > spare)
        n = spare;
    if (n > 0)
        give_back(s, n);
}

void share_rest(struct share *s, int in_flight)
{
    if (s->waits && !s->wants) { /* it has what it wanted, or wants it no more: who is next? */
        s->waits = false;
        atomic_fetch_and(&s->quota->waiting, ~(UINT64_C(1) << s->n));
        if (left_of(s->quota) > 0)
            wake_next(s);
    }
    s->wants = false;
    share_trim(s, in_flight);
}

int share_size(const struct share *s)
{
    int part = part_of(s->quota);

    return s->held > part ? s->held : part;
}

int share_reach(const struct share *s)
{
    int part = part_of(s->quota), left = left_of(s->quota), step = step_of(s->quota);
    int reach = s->held + (left < step ? left : step);

    return reach > part ? reach : part;
}
