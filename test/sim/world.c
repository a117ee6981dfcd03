/* test/sim/world.c: the simulated clock, dice, loop, transport and store face. See world.h. */
#include "test/sim/world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dice.h"

/* ---- clock and dice ---- */
static int64_t now_us;
static uint64_t dice_state;
static world_endpoint_fn *endpoint;
static void *endpoint_arg;
static int most_in_flight, claims;

static int64_t fails_until_ms[STORE_THREADS]; /* the store's */

void world_reset(uint64_t seed, int64_t wall_ms)
{
    now_us = wall_ms * 1000;
    dice_state = seed * 2 + 1;
    most_in_flight = claims = 0;
    memset(fails_until_ms, 0, sizeof fails_until_ms);
}

int64_t world_now_ms(void)
{
    return now_us / 1000;
}

int64_t clock_wall_ms(void)
{
    return now_us / 1000;
}

int64_t clock_mono_ms(void)
{
    return now_us / 1000;
}

int64_t clock_mono_us(void)
{
    return now_us;
}

int64_t clock_store_ms(void)
{
    return now_us / 1000;
}

uint32_t dice_u32(void)
{
    dice_state ^= dice_state << 13; /* xorshift64 */
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (uint32_t)(dice_state >> 16);
}

void dice_bytes(void *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)dice_u32();
}

/* ---- loop ---- */
struct loop_timer {
    struct loop *loop;
    loop_fn *fn;
    void *arg;
    int64_t at_ms; /* 0: not set */
    struct loop_timer *next;
};
struct deferred {
    loop_fn *fn;
    void *arg;
    struct deferred *next;
};
struct loop {
    struct loop_timer *timers;
    struct deferred *first, **last;
};

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof *l);

    assert(l != NULL);
    l->last = &l->first;
    return l;
}

void loop_free(struct loop *l)
{
    while (l->first != NULL) {
        struct deferred *d = l->first;

        l->first = d->next;
        free(d);
    }
    free(l);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
    struct loop_timer *t = calloc(1, sizeof *t);

    assert(t != NULL);
    *t = (struct loop_timer){.loop = l, .fn = fn, .arg = arg, .next = l->timers};
    l->timers = t;
    return t;
}

void loop_timer_at(struct loop_timer *t, int64_t mono_ms)
{
    t->at_ms = mono_ms;
}

void loop_timer_stop(struct loop_timer *t)
{
    t->at_ms = 0;
}

void loop_timer_free(struct loop_timer *t)
{
    if (t == NULL)
        return;
    struct loop_timer **p = &t->loop->timers;
    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
    free(t);
}

void loop_defer(struct loop *l, loop_fn *fn, void *arg)
{
    struct deferred *d = calloc(1, sizeof *d);

    assert(d != NULL);
    d->fn = fn;
    d->arg = arg;
    *l->last = d;
    l->last = &d->next;
}

void loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    loop_defer(l, fn, arg);
}

void loop_defer_cancel(struct loop *l, loop_fn *fn, void *arg)
{
    struct deferred **at = &l->first, *d;

    while ((d = *at) != NULL) {
        if (d->fn == fn && d->arg == arg) {
            *at = d->next;
            free(d);
        } else {
            at = &d->next;
        }
    }
    l->last = at;
}

bool loop_sim_step(struct loop *l, int64_t until_ms)
{
    struct deferred *d = l->first;
    struct loop_timer *due = NULL;

    if (d != NULL) {
        l->first = d->next;
        if (l->first == NULL)
            l->last = &l->first;
        d->fn(d->arg);
        free(d);
        return true;
    }
    for (struct loop_timer *t = l->timers; t != NULL; t = t->next)
        if (t->at_ms != 0 && t->at_ms <= until_ms && (due == NULL || t->at_ms < due->at_ms))
            due = t;
    if (due == NULL)
        return false;
    if (due->at_ms * 1000 > now_us)
        now_us = due->at_ms * 1000;
    due->at_ms = 0;
    due->fn(due->arg);
    return true;
}

void world_run(struct loop *l, struct store *s, int64_t for_ms)
{
    int64_t until_ms = world_now_ms() + for_ms;

    for (;;) {
        if (store_sim_pending(s)) {
            store_drain(s);
            continue;
        }
        if (!loop_sim_step(l, until_ms))
            break;
    }
    now_us = until_ms * 1000;
}

/* ---- transport ---- */
struct transport {
    struct loop *loop;
    int in_flight;
};
struct exchange {
    struct transport *transport;
    struct loop_timer *timer;
    transport_done_fn *done;
    void *arg;
    struct world_answer answer;
    int64_t started_ms;
};

void world_endpoint(world_endpoint_fn *fn, void *arg)
{
    endpoint = fn;
    endpoint_arg = arg;
}

int world_claims(void)
{
    return claims;
}

int world_most_in_flight(void)
{
    return most_in_flight;
}

struct transport *transport_new(struct loop *l, const struct conf *conf, struct err *err)
{
    struct transport *t = calloc(1, sizeof *t);

    (void)conf, (void)err;
    assert(t != NULL);
    t->loop = l;
    return t;
}

static void exchange_over(void *arg)
{
    struct exchange *x = arg;
    struct transport_facts f = {
        .outcome = x->answer.outcome,
        .status = x->answer.status,
        .started_ms = x->started_ms,
        .duration_us = x->answer.after_ms * 1000,
        .dns_us = -1,
        .connect_us = -1,
        .tls_us = -1,
        .wait_us = (int32_t)(x->answer.after_ms * 1000),
        .transfer_us = 0,
        .retry_after_ms = x->answer.retry_after_ms,
    };

    x->transport->in_flight--;
    loop_timer_free(x->timer);
    x->done(x->arg, &f);
    free(x);
}

enum err_code transport_send(struct transport *t, const struct transport_request *r,
                             transport_done_fn *done, void *arg, struct err *err)
{
    struct exchange *x = calloc(1, sizeof *x);

    (void)err;
    assert(x != NULL && r->body_bytes > 0 && strstr(r->headers, "webhook-id: ") != NULL);
    *x = (struct exchange){.transport = t, .done = done, .arg = arg, .started_ms = world_now_ms()};
    x->answer = endpoint(endpoint_arg, r->url, world_now_ms());
    if (x->answer.after_ms > r->timeout_ms)
        x->answer = (struct world_answer){OUTCOME_TIMEOUT, 0, r->timeout_ms, -1};
    x->timer = loop_timer_new(t->loop, exchange_over, x);
    loop_timer_at(x->timer, world_now_ms() + x->answer.after_ms);
    if (++t->in_flight > most_in_flight)
        most_in_flight = t->in_flight;
    return OK;
}

void transport_configure(struct transport *t, const struct conf *conf)
{
    (void)t, (void)conf;
}

void transport_cut(struct transport *t, const char *error)
{
    (void)t, (void)error;
}

bool transport_has_connection(const struct transport *t, int64_t lane)
{
    (void)t;
    (void)lane;
    return true;
}

void transport_expect(struct transport *t, size_t in_flight)
{
    (void)t, (void)in_flight;
}

void transport_forget_lane(struct transport *t, int64_t lane)
{
    (void)t, (void)lane;
}

size_t transport_in_flight(const struct transport *t)
{
    return (size_t)t->in_flight;
}

void transport_stats(const struct transport *t, struct transport_stats *out)
{
    (void)t;
    *out = (struct transport_stats){0};
}

void transport_free(struct transport *t)
{
    free(t);
}

/* ---- store face: the work at once, the answer later ---- */
struct answer {
    store_done_fn *done;
    void *arg;
    struct err err;
    int64_t generation;
    struct answer *next;
};
struct store {
    struct backend *backend;
    int64_t generation;
    struct answer *first, **last;
};

void world_store_fails(enum store_thread lane, int64_t until_ms)
{
    fails_until_ms[lane] = until_ms;
}

enum err_code store_open(struct store **out, const char *url, const struct keyring *keys,
                         int64_t lock_wait_ms, struct err *err)
{
    struct store *s = calloc(1, sizeof *s);

    (void)lock_wait_ms;
    assert(s != NULL);
    s->last = &s->first;
    enum err_code rc = backend_find(url)->open(&s->backend, url, BACKEND_WRITER, keys, err);
    if (rc != OK) {
        free(s);
        return rc;
    }
    *out = s;
    return OK;
}

enum err_code store_submit(struct store *s, enum store_thread lane, unsigned flags,
                           store_work_fn *work, store_done_fn *done, void *arg)
{
    struct answer *a = calloc(1, sizeof *a);
    struct err err = {0};

    (void)flags;
    assert(a != NULL);
    claims += lane == STORE_CLAIM;
    int64_t seen = s->generation;
    enum err_code rc = s->backend->ops->begin(s->backend, &err);
    assert(rc == OK);
    rc = world_now_ms() < fails_until_ms[lane] ? fail(&err, ERR_FULL, "the disk is full")
                                               : work(s->backend, arg, &err);
    if (rc != OK || lane != STORE_WRITE) {
        s->backend->ops->rollback(s->backend);
    } else {
        rc = s->backend->ops->commit(s->backend, &err);
        assert(rc == OK);
        seen = ++s->generation;
    }
    err.code = rc;
    *a = (struct answer){.done = done, .arg = arg, .err = err, .generation = seen};
    *s->last = a;
    s->last = &a->next;
    return OK;
}

bool store_sim_pending(const struct store *s)
{
    return s->first != NULL;
}

size_t store_drain(struct store *s)
{
    size_t n = 0;

    for (; s->first != NULL; n++) {
        struct answer *a = s->first;

        s->first = a->next;
        if (s->first == NULL)
            s->last = &s->first;
        a->done(a->arg, &a->err, a->generation);
        free(a);
    }
    return n;
}

void store_close(struct store *s)
{
    store_drain(s);
    s->backend->ops->close(s->backend);
    free(s);
}

bool store_has_room(struct store *s, enum store_thread lane)
{
    (void)s, (void)lane;
    return true;
}

bool store_is_live(const struct store *s)
{
    (void)s;
    return false;
}

int64_t store_slice_us(const struct store *s)
{
    (void)s;
    return 5000;
}

bool store_failed(const struct store *s, struct err *why)
{
    (void)s, (void)why;
    return false;
}
