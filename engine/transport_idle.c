/* engine/transport_idle.c: connections that wait for their lane's next request.
 *
 *   over ─put─▶ idle ─take─▶ active        the last used one first: it is warm, the others grow old
 *                 ├─ its peer ends it, or talks unasked (HTTP/1.1) ──▶ closed
 *                 ├─ a minute without a request ─────────────────────▶ closed
 *                 └─ room is needed: the oldest ─────────────────────▶ closed */
#include "base/clock.h"
#include "engine/transport_impl.h"

static void idle_remove(struct exchange *x)
{
    struct transport *t = x->t;

    *(x->prev != NULL ? &x->prev->next : &x->lane->idle) = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    *(x->older != NULL ? &x->older->newer : &t->idle_oldest) = x->newer;
    *(x->newer != NULL ? &x->newer->older : &t->idle_newest) = x->older;
    x->prev = x->next = x->older = x->newer = NULL;
    t->idle_n--;
}

void idle_end(struct exchange *x)
{
    idle_remove(x);
    exchange_spare(x);
}

/* One timer for the oldest, which is moved only when it fires. */
static void idle_watch(struct transport *t)
{
    if (t->idle_timed || t->idle_oldest == NULL)
        return;
    t->idle_timed = true;
    loop_timer_at(t->idle_timer, t->idle_oldest->idle_since_ms + IDLE_MS);
}

void idle_timed_out(void *transport)
{
    struct transport *t = transport;
    int64_t now_ms = clock_mono_ms();

    t->idle_timed = false;
    while (t->idle_oldest != NULL && t->idle_oldest->idle_since_ms + IDLE_MS <= now_ms)
        idle_end(t->idle_oldest);
    idle_watch(t);
}

void idle_put(struct exchange *x)
{
    struct transport *t = x->t;
    struct tlane *l = x->lane;

    x->state = EXCHANGE_IDLE;
    x->idle_since_ms = (x->started_us + x->facts.duration_us) / 1000;
    x->prev = NULL;
    x->next = l->idle;
    if (l->idle != NULL)
        l->idle->prev = x;
    l->idle = x;
    x->newer = NULL;
    x->older = t->idle_newest;
    *(t->idle_newest != NULL ? &t->idle_newest->newer : &t->idle_oldest) = x;
    t->idle_newest = x;
    t->idle_n++;
    if (!glue_listens(x) && glue_stirred(x)) /* nobody would tell us */
        idle_end(x);
    else
        idle_watch(t);
}

struct exchange *idle_take(struct tlane *l)
{
    struct exchange *x = l->idle;

    if (x != NULL)
        idle_remove(x);
    return x;
}

/* Within libevent's frame: it is closed at the end of the turn. */
void idle_stirred(struct exchange *x)
{
    struct transport *t = x->t;

    if (!glue_stirred(x))
        return;
    idle_remove(x);
    x->next = t->ended;
    t->ended = x;
    glue_plan_flush(t);
}

void idle_close_ended(struct transport *t)
{
    while (t->ended != NULL) {
        struct exchange *x = t->ended;

        t->ended = x->next;
        x->next = NULL;
        exchange_spare(x);
    }
}

bool idle_has_room(const struct transport *t)
{
    const struct exchange *oldest = t->idle_oldest;

    return t->active_n + t->idle_n < t->enough ||
           (oldest != NULL && oldest->idle_since_ms + IDLE_USED_MS <= clock_mono_ms());
}

void idle_make_room(struct transport *t, bool beside)
{
    if (beside && t->idle_oldest != NULL && t->active_n + t->idle_n >= t->enough)
        idle_end(t->idle_oldest);
    while (t->idle_oldest != NULL && t->active_n + t->idle_n >= t->open_max)
        idle_end(t->idle_oldest);
}
