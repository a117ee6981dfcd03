/* engine/scheduler_wake.c: how the parts of the scheduler ask for another turn. It calls none of
 * them. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/scheduler_impl.h"

void scheduler_kick(struct scheduler *s)
{
    if (s->run_planned || s->draining || !s->loaded)
        return;
    s->run_planned = true;
    loop_defer(s->parts.loop, s->run, s);
}

void scheduler_touch(struct scheduler *s, struct lane *l)
{
    int64_t now_ms = clock_store_ms();
    int64_t wake = lane_wake_ms(l, now_ms);

    if (lane_rate_holds(l, now_ms))
        metrics_rate_held(s->parts.metrics);
    if (wake == INT64_MAX) {
        heap_remove(&s->heap, &l->wake);
        return;
    }
    if (l->wake.at != 0 && l->wake.key <= wake && l->wake.key <= now_ms)
        wake = l->wake.key; /* it waits for its turn already: keep its place */
    if (!heap_put(&s->heap, &l->wake, wake))
        log_error("out_of_memory", "at=scheduler");
    scheduler_kick(s);
}

void scheduler_try_again(struct scheduler *s, int64_t in_ms)
{
    int64_t at_ms = clock_mono_ms() + in_ms;

    if (s->again_ms != 0 && s->again_ms <= at_ms)
        return;
    s->again_ms = at_ms;
    loop_timer_at(s->again_timer, at_ms);
}

bool scheduler_is_quiet(const struct scheduler *s)
{
    return s->in_flight == 0 && s->settling == 0 && s->unsettled_n == 0;
}

void scheduler_maybe_idle(struct scheduler *s)
{
    if (s->draining && scheduler_is_quiet(s))
        s->parts.idle(s->parts.arg);
}
