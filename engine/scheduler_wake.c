/* engine/scheduler_wake.c: how the parts of the scheduler ask for another turn. It calls none of
 * them. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/scheduler_impl.h"

/* So much earlier comes a lane for each turn that another had more, and for so many at most: then it had
 * nothing to send for a while. */
enum { TURN_MS = 8, TURNS_MAX = 16 };

void scheduler_kick(struct scheduler *s)
{
    if (s->run_planned || s->draining || !s->loaded)
        return;
    s->run_planned = true;
    loop_defer(s->parts.loop, s->run, s);
}

void scheduler_line_up(struct scheduler *s, struct lane *l)
{
    if (l->in_line)
        return;
    l->in_line = true;
    l->behind = NULL;
    l->ahead = s->line_end;
    *(s->line_end != NULL ? &s->line_end->behind : &s->line) = l;
    s->line_end = l;
}

void scheduler_line_leave(struct scheduler *s, struct lane *l)
{
    if (!l->in_line)
        return;
    l->in_line = false;
    *(l->ahead != NULL ? &l->ahead->behind : &s->line) = l->behind;
    *(l->behind != NULL ? &l->behind->ahead : &s->line_end) = l->ahead;
    l->ahead = l->behind = NULL;
}

void scheduler_queue(struct scheduler *s, struct lane *l, struct task *t)
{
    s->holders_n += lane_is_empty(l);
    lane_queue(l, t);
}

void scheduler_forget(struct scheduler *s, struct lane *l, struct task_list *list, struct task *t)
{
    task_list_remove(list, t);
    task_free(&s->tasks, t);
    s->holders_n -= lane_is_empty(l);
}

int64_t scheduler_key(const struct scheduler *s, struct lane *l, int64_t wake, int64_t now_ms)
{
    if (wake != now_ms)
        return wake;
    if (l->turns < s->turns - TURNS_MAX)
        l->turns = s->turns - TURNS_MAX;
    return now_ms - TURN_MS * (s->turns - l->turns);
}

void scheduler_touch(struct scheduler *s, struct lane *l)
{
    int64_t now_ms = clock_store_ms();
    int64_t wake = lane_wake_ms(l, now_ms);

    if (lane_rate_holds(l, now_ms))
        metrics_rate_held(s->parts.metrics);
    if (wake > now_ms)
        scheduler_line_leave(s, l);
    if (wake == INT64_MAX) {
        heap_remove(&s->heap, &l->wake);
        return;
    }
    if (l->in_line) {
        scheduler_kick(s);
        return;
    }
    if (l->wake.at != 0 && l->wake.key <= wake && l->wake.key <= now_ms)
        wake = l->wake.key; /* it waits for its turn already: keep its place */
    if (!heap_put(&s->heap, &l->wake, scheduler_key(s, l, wake, now_ms)))
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
