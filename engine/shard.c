/* engine/shard.c: one delivery loop: made, run, told, looked at; see shard.h. */
#include "engine/shard.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/process.h"

/* ---- views ---- */
void shard_see(const struct shard *h, unsigned what, struct shard_view *v)
{
    *v = (struct shard_view){.quiet = scheduler_is_quiet(h->scheduler)};
    v->now.attempts = *traffic_total(h->traffic);
    scheduler_look(h->scheduler, &v->now.lanes);
    if (h->transport != NULL)
        transport_stats(h->transport, &v->now.sent);
    if ((what & ASK_LANES) != 0)
        v->lanes = scheduler_lanes(h->scheduler, &v->lanes_n);
    if ((what & ASK_SENDING) != 0)
        v->sending = scheduler_sending(h->scheduler, &v->sending_n);
    if ((what & ASK_METRICS) != 0)
        v->metrics = metrics_copy(h->metrics);
}

void shard_view_take(struct shard_view *to, struct shard_view *from, unsigned what)
{
    struct shard_view old = *to;

    *to = *from;
    if ((what & ASK_LANES) == 0) {
        to->lanes = old.lanes;
        to->lanes_n = old.lanes_n;
        old.lanes = NULL;
    }
    if ((what & ASK_SENDING) == 0) {
        to->sending = old.sending;
        to->sending_n = old.sending_n;
        old.sending = NULL;
    }
    if (from->metrics == NULL) {
        to->metrics = old.metrics;
        old.metrics = NULL;
    }
    free(old.lanes);
    free(old.sending);
    metrics_free(old.metrics);
    *from = (struct shard_view){.quiet = false};
}

/* ---- orders ---- */
struct orders *shard_orders(struct shard *h)
{
    pthread_mutex_lock(&h->mutex);
    return &h->orders;
}

static bool is_something(const struct orders *o)
{
    const struct changes *c = &o->changes;

    return o->conf != NULL || o->pause_told || o->drain || o->cut || o->stop || o->first != NULL ||
           c->wakes_n > 0 || c->rows_n > 0 || c->subs_n > 0 || c->held.told || c->failed ||
           c->freed;
}

static void look(void *shard);

void shard_tell(struct shard *h)
{
    bool first = !h->orders.posted && is_something(&h->orders);

    if (first)
        h->orders.posted = true;
    pthread_mutex_unlock(&h->mutex);
    if (first)
        loop_post(h->loop, look, h);
}

/* Into h->taken, whose changes are empty; their buffers change places. */
static void orders_take(struct shard *h)
{
    struct orders *o = &h->orders, *t = &h->taken;
    struct changes empty = t->changes;

    pthread_mutex_lock(&h->mutex);
    t->changes = o->changes;
    if (t->changes.held.told) {
        memcpy(t->held, o->held, t->changes.held.n * sizeof t->held[0]);
        t->changes.held.keys = t->held;
    }
    t->conf = o->conf;
    t->pause_told = o->pause_told;
    t->paused = o->paused;
    t->drain = o->drain;
    t->cut = o->cut;
    t->error = o->error;
    t->stop = o->stop;
    t->first = o->first;
    o->changes = empty;
    o->conf = NULL;
    o->pause_told = o->drain = o->cut = o->stop = o->posted = false;
    o->first = NULL;
    o->last = &o->first;
    pthread_mutex_unlock(&h->mutex);
}

static void answer(void *ticket)
{
    struct ticket *t = ticket;

    if (t->shard->n > 0) /* the engine's own is looked at when it is shown */
        shard_see(t->shard, t->what, &t->view);
    shards_answered(t);
}

void shard_asked(struct ticket *t)
{
    if ((t->what & ASK_TRAFFIC) != 0)
        traffic_flush(t->shard->traffic, answer, t);
    else
        answer(t);
}

/* Follows its orders; questions last: who is answered knows that the others are followed. */
static void look(void *shard)
{
    struct shard *h = shard;
    struct orders *o = &h->taken;

    orders_take(h);
    if (o->conf != NULL) {
        transport_configure(h->transport, o->conf);
        scheduler_configure(h->scheduler, o->conf);
    }
    if (o->pause_told)
        scheduler_pause(h->scheduler, o->paused);
    scheduler_changed(h->scheduler, &o->changes);
    changes_clear(&o->changes);
    if (o->drain)
        scheduler_drain(h->scheduler);
    if (o->cut)
        transport_cut(h->transport, o->error);
    for (struct ticket *t = o->first, *next; t != NULL; t = next) {
        next = t->next;
        shard_asked(t);
    }
    if (o->stop)
        loop_stop(h->loop);
}

/* ---- life ---- */
static void store_readable(void *shard)
{
    const struct shard *h = shard;

    store_drain(h->store);
}

/* What each has of its own. */
static enum err_code own_parts(struct shard *h, const struct scheduler_parts *parts,
                               struct err *err)
{
    enum err_code rc = store_join(&h->store, parts->store, err);

    if (rc != OK)
        return rc;
    h->loop = loop_new();
    h->metrics = metrics_new();
    if (h->loop != NULL)
        h->store_watch = loop_watch_new(h->loop, store_fd(h->store), store_readable, h);
    if (h->metrics == NULL || h->store_watch == NULL)
        return fail(err, ERR_NOMEM, "start: out of memory");
    return OK;
}

enum err_code shard_init(struct shard *h, struct shards *all, int n,
                         const struct scheduler_parts *parts, struct err *err)
{
    struct scheduler_parts mine = *parts;
    enum err_code rc = OK;

    h->all = all;
    h->n = n;
    pthread_mutex_init(&h->mutex, NULL);
    changes_init(&h->orders.changes);
    changes_init(&h->taken.changes);
    h->orders.last = &h->orders.first;
    if (n == 0) {
        h->loop = parts->loop;
        h->store = parts->store;
        h->metrics = parts->metrics;
    } else {
        rc = own_parts(h, parts, err);
    }
    if (rc != OK)
        return rc;
    h->traffic = traffic_new(h->loop, h->store);
    h->transport = transport_new(h->loop, parts->conf, err);
    if (h->transport == NULL)
        return err->code;
    mine.loop = h->loop;
    mine.store = h->store;
    mine.metrics = h->metrics;
    mine.traffic = h->traffic;
    mine.transport = h->transport;
    mine.part = n;
    mine.arg = h;
    if (h->traffic != NULL)
        h->scheduler = scheduler_new(&mine);
    return h->scheduler != NULL ? OK : fail(err, ERR_NOMEM, "start: out of memory");
}

static void *shard_main(void *shard)
{
    const struct shard *h = shard;
    char name[24];

    (void)snprintf(name, sizeof name, "loop-%d", h->n + 1);
    process_name_thread(name);
    loop_run(h->loop);
    return NULL;
}

/* Signals are the engine's loop's. */
enum err_code shard_start(struct shard *h, struct err *err)
{
    sigset_t all, before;
    int rc = 0;

    scheduler_start(h->scheduler);
    if (h->n > 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&h->thread, NULL, shard_main, h);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        h->runs = rc == 0;
    }
    return rc == 0 ? OK : fail(err, ERR_NOMEM, "no thread for a delivery loop: %s", errno_text(rc));
}

void shard_stop(struct shard *h)
{
    if (h->runs) {
        shard_orders(h)->stop = true;
        shard_tell(h);
        pthread_join(h->thread, NULL);
        h->runs = false;
    }
    if (h->scheduler != NULL)
        scheduler_drain(h->scheduler); /* nothing new, whatever brought us here */
    transport_free(h->transport);
    h->transport = NULL;
    loop_watch_free(h->store_watch);
    h->store_watch = NULL;
    traffic_stop(h->traffic);
}

void shard_fini(struct shard *h)
{
    struct shard_view none = {.quiet = false};

    scheduler_free(h->scheduler);
    traffic_free(h->traffic);
    if (h->n > 0) {
        metrics_free(h->metrics);
        loop_free(h->loop);
    }
    shard_view_take(&h->view, &none, ASK_LANES | ASK_SENDING);
    metrics_free(h->view.metrics);
    changes_fini(&h->orders.changes);
    changes_fini(&h->taken.changes);
    pthread_mutex_destroy(&h->mutex);
}
