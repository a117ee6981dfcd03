/* engine/scheduler.c: one timer, one question ("which lanes can do something now?"), a bounded
 * batch, repeat.
 *
 * A lane is in the heap exactly while time alone can make it runnable. A lane that waits for an
 * answer (a claim, a settlement, the probe) is not: that answer touches it. Fairness: a lane starts
 * at most QUANTUM deliveries before the others have their turn, and one at a time where others have
 * something in memory: bursts would need connections that idle until the next burst. Its key is the
 * time it asked, and earlier by what it had less turns than others: who sends seldom comes before those
 * with a backlog, and these go through theirs side by side, as it lies in the store, where the
 * settlements of a commit then share pages. */
#include "engine/scheduler_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/api.h"

enum {
    QUANTUM = 8,
    VISITS_MAX = 1024, /* to lanes, in one turn of the loop */
    CALLS_MAX = 32,    /* of those in line, that may find no room again */
    STUCK_MS = 5,
    REFUSED_MS = 20,
    HEADERS_MAX_BYTES = 1 << 20 /* of one request */
};

/* ---- the run ---- */
static bool run_may_start(struct scheduler *s)
{
    return !s->draining && !s->paused && share_is_open(&s->share, s->in_flight) &&
           depth_lets(&s->depth, s->in_flight);
}

/* Half of what would be its part, were all shared alike, is its own, whoever has got it. */
static bool lane_has_little(const struct scheduler *s, const struct lane *l)
{
    return (size_t)l->in_flight * 2 * s->holders_n < (size_t)share_size(&s->share);
}

static bool lane_may_start(struct scheduler *s, const struct lane *l)
{
    bool first = l->in_flight == 0;

    return !s->draining && !s->paused &&
           (first || lane_has_little(s, l) ||
            transport_has_connection(s->parts.transport, l->sub)) &&
           depth_lets(&s->depth, s->in_flight) && share_lets(&s->share, s->in_flight, first);
}

/* Takes what it costs to start this one. */
static bool lane_lets(struct scheduler *s, struct lane *l, const struct task *t, int64_t now_ms)
{
    if (task_is_first(t))
        return lane_may_try(l, now_ms);
    if (lane_take(l, now_ms))
        return true;
    if (lane_rate_holds(l, now_ms))
        metrics_rate_held(s->parts.metrics);
    return false;
}

static void lane_run(struct scheduler *s, struct lane *l, int64_t now_ms)
{
    int quantum = s->holders_n > 1 ? 1 : QUANTUM;

    for (int i = 0; i < quantum && l->queue.first != NULL && lane_may_start(s, l); i++) {
        struct task *t = l->queue.first;
        int64_t expires = t->row->event.expires_ms;

        if (expires > 0 && expires <= now_ms) {
            settle_without_attempt(s, t, CAUSE_EXPIRED);
            continue;
        }
        if (!lane_lets(s, l, t, now_ms))
            return;
        if (!delivery_start(s, t)) {
            if (!task_is_first(t))
                lane_give_back(l);
            l->again_ms = now_ms + 100;
            return;
        }
        if (++l->turns > s->turns)
            s->turns = l->turns;
    }
}

/* Those that waited longest for room in memory ask again. */
static void line_call(struct scheduler *s)
{
    for (int i = 0; i < CALLS_MAX && s->line != NULL && claim_has_room(s); i++) {
        struct lane *l = s->line;

        scheduler_line_leave(s, l);
        if (!heap_put(&s->heap, &l->wake, l->wake.key))
            log_error("out_of_memory", "at=scheduler");
    }
}

/* It had its turn: when is the next one? */
static void lane_plan(struct scheduler *s, struct lane *l, int64_t now_ms)
{
    int64_t wake = lane_wake_ms(l, now_ms);
    bool asks = l->queue.n == 0 && !l->claiming; /* and was refused */

    if (wake <= now_ms && lane_wants_trial(l, now_ms))
        wake = now_ms + STUCK_MS;
    else if (wake <= now_ms && asks && lane_is_empty(l)) {
        scheduler_line_up(s, l);
        return;
    } else if (wake <= now_ms && asks) /* at most so many as there is room for in memory */
        wake = now_ms + REFUSED_MS;
    else if (wake <= now_ms && !lane_may_start(s, l))
        wake = now_ms + STUCK_MS; /* what is left of max_in_flight is not for this one */
    if (wake != INT64_MAX && !heap_put(&s->heap, &l->wake, scheduler_key(s, l, wake, now_ms)))
        log_error("out_of_memory", "at=scheduler");
}

/* Where nothing comes back, the next look is a timer's. */
static void timer_plan(struct scheduler *s, int64_t now_ms)
{
    const struct heap_node *top = heap_top(&s->heap);
    int64_t at_ms = top != NULL ? top->key : INT64_MAX;
    bool open = run_may_start(s);

    if (s->line != NULL && at_ms > now_ms + STUCK_MS)
        at_ms = now_ms + STUCK_MS;
    /* Where all is taken, the next settlement kicks; unless another loop has it all, and what is due
     * here later has not asked for its part yet. */
    if (!open && at_ms < now_ms + STUCK_MS)
        at_ms = now_ms + STUCK_MS;
    if (s->depth.refused)
        at_ms = now_ms + 1;
    if (at_ms != INT64_MAX && (open || s->depth.refused || s->share.quota->shares > 1))
        loop_timer_at(s->timer, clock_mono_ms() + (at_ms > now_ms ? at_ms - now_ms : 0));
    else
        loop_timer_stop(s->timer);
}

static void scheduler_run(void *arg)
{
    struct scheduler *s = arg;
    int64_t now_ms = clock_store_ms();
    struct claim *claim = NULL;
    struct heap_node *top;

    s->run_planned = false;
    if (s->draining || s->paused || !s->loaded)
        return;
    depth_look(&s->depth, s->in_flight, share_size(&s->share), now_ms);
    transport_expect(s->parts.transport, (size_t)share_reach(&s->share));
    line_call(s);
    for (int i = 0; (top = heap_top(&s->heap)) != NULL && top->key <= now_ms; i++) {
        struct lane *l = (struct lane *)top; /* wake is its first member */

        if (i == VISITS_MAX) {
            scheduler_kick(s);
            break;
        }

        heap_remove(&s->heap, top);
        lane_run(s, l, now_ms);
        claim = claim_add(s, claim, l, now_ms);
        if (!run_may_start(s) && l->queue.n > 0) {
            /* All of max_in_flight is taken: the next settlement kicks; keep our place in the line.
             */
            if (!heap_put(&s->heap, &l->wake, top->key))
                log_error("out_of_memory", "at=scheduler");
            break;
        }
        lane_plan(s, l, now_ms);
    }
    claim_submit(s, claim);
    share_rest(&s->share, s->in_flight);
    timer_plan(s, now_ms);
}

/* A row straight from its commit: it saves the way to the claim reader and back. */
static void row_arrived(struct scheduler *s, struct claimed **row)
{
    const struct delivery *d = &(*row)->delivery;
    struct lane *l = lanes_find(s, d->sub);
    int64_t now_ms = clock_store_ms();
    struct task *t = NULL;

    if (l == NULL)
        return; /* its load, which comes after this commit, asks for its head */
    if (!s->paused && lane_accepts(l, d->num, now_ms) && claim_accepts(s, l, (*row)->bytes, now_ms))
        t = task_new(&s->tasks, *row);
    if (t != NULL) {
        *row = NULL;
        scheduler_queue(s, l, t);
    } else {
        lane_saw_due(l, d->due_ms);
    }
    scheduler_touch(s, l);
}

void scheduler_changed(struct scheduler *s, const struct changes *ch)
{
    for (size_t i = 0; i < ch->rows_n; i++)
        row_arrived(s, &ch->rows[i]);
    if (ch->held.told)
        lanes_hold(s, ch->held.keys, ch->held.n);
    for (size_t i = 0; i < ch->subs_n; i++)
        lanes_reload(s, ch->subs[i]);
    for (size_t i = 0; i < ch->wakes_n; i++) {
        struct lane *l = lanes_find(s, ch->wakes[i].sub);

        if (l == NULL)
            continue; /* its load, which comes after this commit, asks for its head */
        lane_saw_due(l, ch->wakes[i].due_ms);
        scheduler_touch(s, l);
    }
    if (ch->failed)
        lanes_load_all(s);
    if (ch->failed || ch->freed)
        lanes_ask_heads(s);
    if (ch->jobs && s->parts.jobs_changed != NULL)
        s->parts.jobs_changed(s->parts.arg);
}

/* ---- life ---- */
/* What the store could not take or give is asked for again. */
static void try_again(void *arg)
{
    struct scheduler *s = arg;

    s->again_ms = 0;
    settle_again(s);
    lanes_load_again(s);
}

struct scheduler *scheduler_new(const struct scheduler_parts *parts)
{
    struct scheduler *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->parts = *parts;
    s->conf = parts->conf;
    s->tasks.all_bytes = &parts->quota->bytes;
    share_init(&s->share, parts->quota, parts->part);
    s->run = scheduler_run;
    heap_init(&s->heap);
    buf_init(&s->headers, HEADERS_MAX_BYTES);
    depth_init(&s->depth);
    s->timer = loop_timer_new(parts->loop, scheduler_run, s);
    s->again_timer = loop_timer_new(parts->loop, try_again, s);
    if (s->timer == NULL || s->again_timer == NULL) {
        scheduler_free(s);
        return NULL;
    }
    return s;
}

void scheduler_free(struct scheduler *s)
{
    if (s == NULL)
        return;
    loop_timer_free(s->timer);
    loop_timer_free(s->again_timer);
    settle_forget(s);
    lanes_forget_loads(s);
    for (size_t i = 0; i < s->lanes_n; i++)
        lane_free(s->lanes[i]);
    free(s->lanes);
    task_pool_fini(&s->tasks);
    heap_fini(&s->heap);
    buf_fini(&s->headers);
    free(s);
}

void scheduler_start(struct scheduler *s)
{
    lanes_load_all(s);
}

void scheduler_configure(struct scheduler *s, const struct conf *conf)
{
    int64_t now_ms = clock_store_ms();

    s->conf = conf;
    for (size_t i = 0; i < s->lanes_n; i++) {
        if (s->lanes[i]->row.url == NULL)
            continue;
        lane_configure(s->lanes[i], conf, now_ms);
        lanes_check_retry(s->lanes[i]);
        scheduler_touch(s, s->lanes[i]);
    }
}

/* What is queued goes back, it is ready in the store still: the sweep may bury it there meanwhile. */
void scheduler_pause(struct scheduler *s, bool paused)
{
    if (s->paused == paused)
        return;
    s->paused = paused;
    s->pauses += paused;
    for (size_t i = 0; i < s->lanes_n; i++) {
        if (paused)
            lanes_drop_queue(s, s->lanes[i]);
        scheduler_touch(s, s->lanes[i]);
    }
}

void scheduler_may_start(struct scheduler *s)
{
    scheduler_kick(s);
}

void scheduler_drain(struct scheduler *s)
{
    s->draining = true;
    loop_timer_stop(s->timer);
    scheduler_maybe_idle(s);
}

const struct pace *scheduler_pace(const struct scheduler *s)
{
    return &s->pace;
}

void scheduler_look(const struct scheduler *s, struct scheduler_now *out)
{
    memset(out, 0, sizeof *out);
    out->in_flight = s->in_flight;
    out->in_flight_retrying = s->in_flight_retrying;
    out->held_bytes = s->tasks.held_bytes;
    for (size_t i = 0; i < s->lanes_n; i++) {
        if (s->lanes[i]->row.job == 0)
            out->lanes[s->lanes[i]->row.state]++;
        if (s->lanes[i]->breaker.state != BREAKER_CLOSED)
            out->breakers_open++;
        /* what is paused or disabled waits because somebody said so */
        bool sends = s->lanes[i]->row.state == SUB_ACTIVE;
        int64_t due = s->lanes[i]->next_due_ms;
        if (sends && due > CHANGES_DUE_BEFORE &&
            (out->oldest_due_ms == 0 || due < out->oldest_due_ms))
            out->oldest_due_ms = due;
    }
}

static bool lane_shows(const struct lane *l)
{
    return l->in_flight > 0 || l->breaker.state == BREAKER_OPEN;
}

struct api_lane *scheduler_lanes(const struct scheduler *s, size_t *n)
{
    size_t room = 0;

    *n = 0;
    for (size_t i = 0; i < s->lanes_n; i++)
        room += lane_shows(s->lanes[i]);
    struct api_lane *out = room > 0 ? calloc(room, sizeof *out) : NULL;

    for (size_t i = 0; out != NULL && i < s->lanes_n && *n < room; i++) {
        const struct lane *l = s->lanes[i];
        bool open = l->breaker.state == BREAKER_OPEN;

        if (lane_shows(l))
            out[(*n)++] = (struct api_lane){l->sub, l->in_flight, open ? l->breaker.probe_ms : 0};
    }
    return out;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int64_t *scheduler_sending(const struct scheduler *s, size_t *n)
{
    size_t room = (size_t)s->in_flight;
    int64_t *nums = room > 0 ? malloc(room * sizeof *nums) : NULL;

    *n = 0;
    for (size_t i = 0; nums != NULL && i < s->lanes_n; i++)
        for (const struct task *t = s->lanes[i]->busy.first; t != NULL && *n < room; t = t->next)
            if (t->state == TASK_SENDING)
                nums[(*n)++] = t->row->delivery.num;
    if (nums != NULL)
        qsort(nums, *n, sizeof *nums, by_number);
    return nums;
}
