/* engine/loop_libevent.c: the loop on libevent.
 *
 *   turn:  event_base_loop(ONCE) ──▶ callbacks (thin: decode, arm, defer)
 *          deferred calls of this turn ──▶ the work
 *
 * A call that is deferred while deferred calls run belongs to the next turn, which then does not
 * wait: sockets get their share however much work makes more work. Another thread's calls wait under
 * the mutex, which guards nothing else; a descriptor wakes the loop for them. */
#include "engine/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"

struct deferred {
    loop_fn *fn; /* NULL: cancelled */
    void *arg;
};
struct calls {
    struct deferred *rows;
    size_t n, room;
};
struct loop {
    struct event_base *base;
    struct calls next, running;
    bool stopped;
    pthread_mutex_t mutex;
    struct calls posted; /* the one thing that it guards */
    int posted_fd;
    struct loop_watch *posted_watch;
};
struct loop_timer {
    struct event *ev;
    loop_fn *fn;
    void *arg;
};
struct loop_watch {
    struct event *ev;
    loop_fn *fn;
    void *arg;
};

static void take_posted(void *loop);

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof(*l));
    struct event_config *config = event_config_new();

    /* Precise: without it libevent reads the coarse clock, and a timer fires up to a jiffy before
     * its point of clock_mono_ms(). No cached time: a timer set late in a turn would be early by
     * the length of that turn. */
    if (l != NULL && config != NULL &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER |
                                          EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
        l->base = event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    if (l == NULL || l->base == NULL) {
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->mutex, NULL);
    l->posted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->posted_watch = l->posted_fd >= 0 ? loop_watch_new(l, l->posted_fd, take_posted, l) : NULL;
    if (l->posted_watch == NULL) {
        loop_free(l);
        return NULL;
    }
    return l;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    loop_watch_free(l->posted_watch);
    if (l->posted_fd >= 0)
        close(l->posted_fd);
    pthread_mutex_destroy(&l->mutex);
    event_base_free(l->base);
    free(l->next.rows);
    free(l->running.rows);
    free(l->posted.rows);
    free(l);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

static void run_deferred(struct loop *l)
{
    struct calls now = l->next;

    l->next = l->running;
    l->next.n = 0;
    l->running = now;
    for (size_t i = 0; i < l->running.n; i++) {
        struct deferred d = l->running.rows[i];

        l->running.rows[i].fn = NULL;
        if (d.fn != NULL)
            d.fn(d.arg);
    }
    l->running.n = 0;
}

void loop_run(struct loop *l)
{
    while (!l->stopped) {
        /* ONCE with NONBLOCK too: without it libevent goes on as long as any socket is ready, and a
         * peer that never stops talking would keep the deferred calls, all other work, waiting. */
        int wait = l->next.n > 0 ? EVLOOP_NONBLOCK : 0;

        if (event_base_loop(l->base, wait | EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) < 0)
            break;
        run_deferred(l);
    }
    l->stopped = false; /* at the end: a stop before the run counts */
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
    event_base_loopbreak(l->base);
}

static void calls_add(struct calls *c, loop_fn *fn, void *arg)
{
    if (c->n == c->room) {
        size_t room = c->room == 0 ? 64 : c->room * 2;
        struct deferred *rows = realloc(c->rows, room * sizeof(*rows));

        /* A dropped call would be an attempt that never ends. A crash loses nothing (G1), and there
         * are never more calls than objects that may defer one. */
        if (rows == NULL) {
            fputs("webhookd: no memory for the loop\n", stderr);
            abort();
        }
        c->rows = rows;
        c->room = room;
    }
    c->rows[c->n++] = (struct deferred){fn, arg};
}

void loop_defer(struct loop *l, loop_fn *fn, void *arg)
{
    calls_add(&l->next, fn, arg);
}

void loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    uint64_t one = 1;

    pthread_mutex_lock(&l->mutex);
    bool first = l->posted.n == 0;
    calls_add(&l->posted, fn, arg);
    pthread_mutex_unlock(&l->mutex);
    while (first && write(l->posted_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static void take_posted(void *loop)
{
    struct loop *l = loop;
    uint64_t ignored;

    while (read(l->posted_fd, &ignored, sizeof(ignored)) < 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&l->mutex);
    for (size_t i = 0; i < l->posted.n; i++)
        calls_add(&l->next, l->posted.rows[i].fn, l->posted.rows[i].arg);
    l->posted.n = 0;
    pthread_mutex_unlock(&l->mutex);
}

static void cancel_in(struct calls *c, loop_fn *fn, const void *arg)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->rows[i].fn == fn && c->rows[i].arg == arg)
            c->rows[i].fn = NULL;
    }
}

void loop_defer_cancel(struct loop *l, loop_fn *fn, void *arg)
{
    cancel_in(&l->next, fn, arg);
    cancel_in(&l->running, fn, arg);
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *t = arg;

    (void)fd;
    (void)what;
    t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
    struct loop_timer *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->fn = fn;
    t->arg = arg;
    t->ev = evtimer_new(l->base, timer_fired, t);
    if (t->ev == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void loop_timer_at(struct loop_timer *t, int64_t mono_ms)
{
    int64_t wait_ms = mono_ms - clock_mono_ms();

    /* libevent refuses what does not fit its time; a month is as good as never, the timer's owner
     * looks at its clock anyway. */
    if (wait_ms < 0)
        wait_ms = 0;
    if (wait_ms > 30 * INT64_C(86400000))
        wait_ms = 30 * INT64_C(86400000);
    struct timeval tv = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    evtimer_add(t->ev, &tv);
}

void loop_timer_stop(struct loop_timer *t)
{
    evtimer_del(t->ev);
}

void loop_timer_free(struct loop_timer *t)
{
    if (t == NULL)
        return;
    event_free(t->ev);
    free(t);
}

static void watch_fired(evutil_socket_t fd, short what, void *arg)
{
    struct loop_watch *w = arg;

    (void)fd;
    (void)what;
    w->fn(w->arg);
}

static struct loop_watch *watch_new(struct loop *l, int fd, short what, loop_fn *fn, void *arg)
{
    struct loop_watch *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->fn = fn;
    w->arg = arg;
    w->ev = event_new(l->base, fd, what, watch_fired, w);
    if (w->ev == NULL || event_add(w->ev, NULL) != 0) {
        if (w->ev != NULL)
            event_free(w->ev);
        free(w);
        return NULL;
    }
    return w;
}

struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_fn *readable, void *arg)
{
    return watch_new(l, fd, EV_READ | EV_PERSIST, readable, arg);
}

struct loop_watch *loop_signal_new(struct loop *l, int signum, loop_fn *fn, void *arg)
{
    return watch_new(l, signum, EV_SIGNAL | EV_PERSIST, fn, arg);
}

void loop_watch_free(struct loop_watch *w)
{
    if (w == NULL)
        return;
    event_free(w->ev);
    free(w);
}
