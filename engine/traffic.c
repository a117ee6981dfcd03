/* engine/traffic.c: counting and writing behind; see traffic.h.
 *
 * Lanes that have counted something stand in a list, in the order in which they began to. A write
 * takes the first of them; what could not be written is counted again on top of what came since. */
#include "engine/traffic.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { WRITE_MAX = 256, WRITE_EVERY_MS = 1000 };

struct traffic_lane {
    struct traffic_log *log;
    struct traffic_delta delta;
    bool listed;
    struct traffic_lane *prev, *next; /* in log->first */
};

struct write {
    struct traffic_log *log;
    size_t n;
    struct traffic_delta list[WRITE_MAX];
    struct traffic_lane *lanes[WRITE_MAX]; /* NULL: gone meanwhile */
    struct write *other;                   /* writes under way, in log->writes */
};

struct waiter {
    loop_fn *fn;
    void *arg;
    int64_t round; /* the first one that began after it */
    struct waiter *next;
};

struct traffic_log {
    struct loop *loop;
    struct store *store;
    struct loop_timer *timer;
    struct traffic total;
    struct traffic_lane *first, *last;
    size_t listed_n;
    struct write *writes;
    bool planned; /* a write will begin by itself */
    bool stopped;
    struct waiter *waiters; /* in their order */
    int64_t round;          /* how many began */
    size_t round_left;      /* lanes that this second's writes still take */
    int64_t written_ms;     /* mono: when the last round began */
};

/* ---- the list ---- */
static void list_add(struct traffic_log *t, struct traffic_lane *tl)
{
    tl->listed = true;
    tl->prev = t->last;
    tl->next = NULL;
    if (t->last != NULL)
        t->last->next = tl;
    else
        t->first = tl;
    t->last = tl;
    t->listed_n++;
}

static void list_remove(struct traffic_log *t, struct traffic_lane *tl)
{
    if (!tl->listed)
        return;
    if (tl->prev != NULL)
        tl->prev->next = tl->next;
    else
        t->first = tl->next;
    if (tl->next != NULL)
        tl->next->prev = tl->prev;
    else
        t->last = tl->prev;
    tl->listed = false;
    t->listed_n--;
}

/* ---- writing ---- */
static void write_begin(void *arg);

static void plan(struct traffic_log *t)
{
    if (t->planned || t->stopped || t->writes != NULL || t->first == NULL)
        return;
    int64_t now_ms = clock_mono_ms(), at_ms = t->written_ms + WRITE_EVERY_MS;

    t->planned = true;
    if (at_ms > now_ms)
        loop_timer_at(t->timer, at_ms);
    else /* it may still share the commit of what was just settled */
        loop_defer(t->loop, write_begin, t);
}

/* Its counts as they were before, and what came since on top. */
static void take_back(struct traffic_lane *tl, const struct traffic_delta *d)
{
    struct traffic_delta since = tl->delta;
    bool had = tl->listed;

    tl->delta = *d;
    if (had) {
        traffic_add(&tl->delta.traffic, &since.traffic);
        health_add(&tl->delta.health, &since.health);
    } else {
        list_add(tl->log, tl);
    }
}

static enum err_code write_work(struct backend *b, void *arg, struct err *err)
{
    struct write *w = arg;

    return b->ops->traffic_add(b, w->list, w->n, err);
}

static void write_free(struct write *w)
{
    struct write **at = &w->log->writes;

    while (*at != w)
        at = &(*at)->other;
    *at = w->other;
    free(w);
}

/* Whoever waits for a round that is over, or for nothing. */
static void waiters_call(struct traffic_log *t, bool all)
{
    while (t->waiters != NULL && (all || t->waiters->round <= t->round)) {
        struct waiter w = *t->waiters;

        free(t->waiters);
        t->waiters = w.next;
        w.fn(w.arg);
    }
}

static void write_done(void *arg, const struct err *err, int64_t generation)
{
    struct write *w = arg;
    struct traffic_log *t = w->log;

    (void)generation;
    if (err->code != OK) {
        for (size_t i = 0; i < w->n; i++)
            if (w->lanes[i] != NULL)
                take_back(w->lanes[i], &w->list[i]);
        t->round_left = 0;
    }
    write_free(w);
    if (t->round_left > 0 && t->first != NULL && !t->stopped) {
        write_begin(t);
        return;
    }
    t->round_left = 0;
    if (t->writes == NULL)
        waiters_call(t, err->code != OK || t->first == NULL);
    if (t->waiters != NULL && t->writes == NULL)
        write_begin(t);
    else
        plan(t);
}

static struct write *write_new(struct traffic_log *t, size_t max)
{
    struct write *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->log = t;
    while (t->first != NULL && w->n < max) {
        struct traffic_lane *tl = t->first;

        w->list[w->n] = tl->delta;
        w->lanes[w->n++] = tl;
        list_remove(t, tl);
    }
    w->other = t->writes;
    t->writes = w;
    return w;
}

/* False: the store has no room; all is as it was. */
static bool write_some(struct traffic_log *t, size_t max)
{
    struct write *w = write_new(t, max < WRITE_MAX ? max : WRITE_MAX);

    if (w == NULL)
        return false;
    if (store_submit(t->store, STORE_WRITE, STORE_GUARDED, write_work, write_done, w) == OK)
        return true;
    for (size_t i = 0; i < w->n; i++)
        take_back(w->lanes[i], &w->list[i]);
    write_free(w);
    return false;
}

static void write_begin(void *arg)
{
    struct traffic_log *t = arg;

    t->planned = false;
    if (t->first == NULL || t->stopped || t->writes != NULL)
        return;
    if (t->round_left == 0) {
        t->round++;
        t->round_left = t->listed_n;
        t->written_ms = clock_mono_ms();
    }
    size_t before = t->listed_n;
    if (!store_has_room(t->store, STORE_WRITE) || !write_some(t, t->round_left)) {
        t->round_left = 0;
        waiters_call(t, true);
        plan(t);
        return;
    }
    size_t took = before - t->listed_n;
    t->round_left = t->round_left > took ? t->round_left - took : 0;
}

void traffic_flush(struct traffic_log *t, loop_fn *fn, void *arg)
{
    struct waiter **at = &t->waiters, *w;

    bool clean = t->first == NULL && t->writes == NULL;
    w = clean || t->stopped ? NULL : malloc(sizeof *w);
    if (w == NULL) { /* nothing to wait for, or no memory to do so */
        fn(arg);
        return;
    }
    *w = (struct waiter){.fn = fn, .arg = arg, .round = t->round + 1};
    while (*at != NULL)
        at = &(*at)->next;
    *at = w;
    if (t->writes == NULL)
        write_begin(t);
}

/* ---- counting ---- */
/* What is counted within a second belongs to the minute in which it began. */
static struct traffic_lane *lane_ready(struct traffic_log *t, struct traffic_lane **at, int64_t sub,
                                       int64_t now_ms)
{
    struct traffic_lane *tl = *at;

    if (tl == NULL) {
        tl = *at = calloc(1, sizeof *tl);
        if (tl == NULL) {
            log_error("out_of_memory", "at=traffic");
            return NULL;
        }
        tl->log = t;
    }
    if (!tl->listed) {
        memset(&tl->delta, 0, sizeof tl->delta);
        tl->delta.traffic.sub = sub;
        tl->delta.traffic.minute_ms = traffic_minute(now_ms);
        list_add(t, tl);
    }
    return tl;
}

void traffic_settled(struct traffic_log *t, struct traffic_lane **at, int64_t sub,
                     const struct attempt *a, bool here, bool died, int64_t now_ms)
{
    struct traffic_lane *tl = a != NULL || died ? lane_ready(t, at, sub, now_ms) : NULL;

    if (tl == NULL)
        return;
    if (a != NULL) {
        traffic_count(&tl->delta.traffic, a);
        traffic_count(&t->total, a);
    }
    if (a != NULL && here)
        health_count(&tl->delta.health, a, now_ms);
    tl->delta.traffic.dead += died;
    t->total.dead += died;
    plan(t);
}

void traffic_died(struct traffic_log *t, int64_t n)
{
    t->total.dead += n;
}

void traffic_begins_anew(struct traffic_lane *tl)
{
    if (tl != NULL)
        tl->delta.health.failing_since_ms = tl->delta.health.in_row = 0;
}

void traffic_forget(struct traffic_lane *tl)
{
    if (tl == NULL)
        return;
    list_remove(tl->log, tl);
    for (struct write *w = tl->log->writes; w != NULL; w = w->other)
        for (size_t i = 0; i < w->n; i++)
            if (w->lanes[i] == tl)
                w->lanes[i] = NULL;
    free(tl);
}

const struct traffic *traffic_total(const struct traffic_log *t)
{
    return &t->total;
}

/* ---- life ---- */
struct traffic_log *traffic_new(struct loop *l, struct store *store)
{
    struct traffic_log *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->loop = l;
    t->store = store;
    t->written_ms = clock_mono_ms() - WRITE_EVERY_MS;
    t->timer = loop_timer_new(l, write_begin, t);
    if (t->timer == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void traffic_stop(struct traffic_log *t)
{
    if (t == NULL)
        return;
    while (t->first != NULL && write_some(t, WRITE_MAX))
        continue;
    t->stopped = true;
    waiters_call(t, true);
}

void traffic_free(struct traffic_log *t)
{
    if (t == NULL)
        return;
    loop_defer_cancel(t->loop, write_begin, t);
    loop_timer_free(t->timer);
    free(t);
}
