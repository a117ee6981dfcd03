/* engine/transport_glue.c: libcurl's sockets and its one timer on the loop.
 *
 * Lazy: when libcurl stops watching a socket (after each answer) it stays armed for reading; the
 * next request on that connection needs no epoll_ctl. It is taken out where libcurl closes it. A
 * descriptor that fires while nobody waits for it (the peer closed, or talks unasked) is disarmed,
 * and its exchange told. Measured: 20% less CPU a delivery. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/transport_impl.h"

struct sock {
    struct event *ev;       /* kept for the descriptor's number, NULL: never used */
    short armed;            /* EV_READ, EV_WRITE; 0: not in the loop */
    bool wanted;            /* libcurl watches it */
    struct exchange *owner; /* whose connection it is */
};

void glue_plan_flush(struct transport *t)
{
    if (t->flush_planned)
        return;
    t->flush_planned = true;
    loop_defer(t->loop, t->flush, t);
}

static void sock_ready(evutil_socket_t fd, short what, void *arg)
{
    struct transport *t = arg;
    struct sock *s = &t->socks[fd];
    int running, bits = ((what & EV_READ) ? CURL_CSELECT_IN : 0) |
                        ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0);

    if (!s->wanted) {
        event_del(s->ev);
        s->armed = 0;
        if (s->owner != NULL && s->owner->state == EXCHANGE_IDLE)
            idle_stirred(s->owner);
        return;
    }
    (void)curl_multi_socket_action(t->multi, fd, bits, &running);
    glue_plan_flush(t);
}

static struct sock *sock_at(struct transport *t, curl_socket_t fd)
{
    size_t at = (size_t)fd;

    if (at >= t->socks_n) {
        size_t n = (at | 63) + 1;
        struct sock *socks = realloc(t->socks, n * sizeof(*socks));

        if (socks == NULL)
            return NULL;
        memset(socks + t->socks_n, 0, (n - t->socks_n) * sizeof(*socks));
        t->socks = socks;
        t->socks_n = n;
    }
    if (t->socks[at].ev == NULL)
        t->socks[at].ev = event_new(loop_base(t->loop), fd, EV_READ | EV_PERSIST, sock_ready, t);
    return t->socks[at].ev == NULL ? NULL : &t->socks[at];
}

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
    struct transport *t = arg;
    struct sock *s = sock_at(t, fd);
    short want =
        (short)(((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0));

    (void)easy;
    (void)per_socket;
    if (s == NULL)
        return -1; /* no memory: libcurl fails its transfers */
    s->wanted = what != CURL_POLL_REMOVE;
    if (!s->wanted && s->armed == EV_READ)
        return 0;
    if (want == s->armed)
        return 0;
    if (s->armed != 0)
        event_del(s->ev);
    s->armed = 0;
    if (want == 0)
        return 0;
    if (event_assign(s->ev, loop_base(t->loop), fd, (short)(want | EV_PERSIST), sock_ready, t) !=
            0 ||
        event_add(s->ev, NULL) != 0)
        return -1;
    s->armed = want;
    return 0;
}

/* ---- whose descriptor is it? ---- */

int glue_fd_of(const struct exchange *x)
{
    return x->fds[0] >= 0 ? x->fds[0] : x->fds[1];
}

bool glue_opened(struct exchange *x, int fd, int family)
{
    struct sock *s = sock_at(x->t, fd);

    if (s == NULL)
        return false;
    s->owner = x;
    x->fds[family == 6] = fd;
    return true;
}

bool glue_listens(const struct exchange *x)
{
    return x->t->socks[glue_fd_of(x)].armed != 0;
}

/* libcurl 7.88 looks for itself, but takes a connection that was reset, and one on which an answer
 * to nothing waits, for a good one. What comes in on HTTP/2 are frames, libcurl's to read. */
bool glue_stirred(const struct exchange *x)
{
    char byte;
    ssize_t n = recv(glue_fd_of(x), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n > 0 && !x->lane->http2) || (n < 0 && errno != EAGAIN && errno != EINTR);
}

int glue_close(void *transport, curl_socket_t fd)
{
    struct transport *t = transport;

    if ((size_t)fd < t->socks_n) {
        struct sock *s = &t->socks[fd];

        for (int i = 0; s->owner != NULL && i < 2; i++)
            if (s->owner->fds[i] == fd)
                s->owner->fds[i] = -1;
        s->owner = NULL;
        if (s->armed != 0)
            event_del(s->ev);
        s->armed = 0;
        s->wanted = false;
    }
    return close(fd);
}

/* One event for libcurl's timer, moved only when it must fire earlier: each transfer sets and
 * clears its deadlines, and what fires too early is set again. */
static void timer_fired(void *arg)
{
    struct transport *t = arg;

    t->timer_armed_ms = -1;
    if (t->timer_due_ms < 0)
        return;
    if (clock_mono_ms() < t->timer_due_ms) {
        t->timer_armed_ms = t->timer_due_ms;
        loop_timer_at(t->timer, t->timer_due_ms);
        return;
    }
    t->timer_due_ms = -1;
    t->turn_due = true;
    glue_plan_flush(t);
}

static int timer_changed(CURLM *multi, long wait_ms, void *arg)
{
    struct transport *t = arg;

    (void)multi;
    t->turn_due = wait_ms == 0;
    t->timer_due_ms = -1;
    if (wait_ms == 0) {
        glue_plan_flush(t); /* never from within libcurl's frame */
    } else if (wait_ms > 0) {
        t->timer_due_ms = clock_mono_ms() + wait_ms;
        if (t->timer_armed_ms < 0 || t->timer_due_ms < t->timer_armed_ms) {
            t->timer_armed_ms = t->timer_due_ms;
            loop_timer_at(t->timer, t->timer_due_ms);
        }
    }
    return 0;
}

void glue_turn(struct transport *t)
{
    int running;

    t->turn_due = false;
    (void)curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

bool glue_setup(struct transport *t, loop_fn *flush)
{
    t->flush = flush;
    t->timer_due_ms = t->timer_armed_ms = -1;
    t->timer = loop_timer_new(t->loop, timer_fired, t);
    (void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    (void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
    (void)curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    (void)curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
    return t->timer != NULL;
}

void glue_fini(struct transport *t)
{
    loop_defer_cancel(t->loop, t->flush, t);
    for (size_t i = 0; i < t->socks_n; i++)
        if (t->socks[i].ev != NULL)
            event_free(t->socks[i].ev);
    free(t->socks);
    loop_timer_free(t->timer);
}
