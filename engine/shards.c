/* engine/shards.c: all delivery loops: told, asked, added up; see shards.h. */
#include "engine/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/shard.h"

struct question {
    struct shards *all;
    struct question *prev, *next;
    unsigned what;
    int left; /* answers that are not there yet */
    loop_fn *fn;
    void *arg;
    struct ticket tickets[]; /* one for each shard */
};

struct shards {
    struct shards_parts parts;
    struct quota quota;
    struct owners owners;
    struct question *questions;
    int ready_n, idle_n;
    bool stopped;
    int n;
    struct shard shards[];
};

/* ---- questions ---- */
static void question_end(struct question *q)
{
    loop_fn *fn = q->fn;
    void *arg = q->arg;

    *(q->prev != NULL ? &q->prev->next : &q->all->questions) = q->next;
    if (q->next != NULL)
        q->next->prev = q->prev;
    for (int i = 0; i < q->all->n; i++) { /* those that nobody took over */
        free(q->tickets[i].view.lanes);
        free(q->tickets[i].view.sending);
        metrics_free(q->tickets[i].view.metrics);
    }
    free(q);
    fn(arg);
}

static void ticket_back(void *ticket)
{
    struct ticket *t = ticket;
    struct question *q = t->question;

    if (t->shard->n > 0)
        shard_view_take(&t->shard->view, &t->view, q->what);
    if (--q->left == 0)
        question_end(q);
}

void shards_answered(struct ticket *t)
{
    if (t->shard->n == 0)
        ticket_back(t);
    else
        loop_post(t->shard->all->parts.loop, ticket_back, t);
}

static struct question *question_new(struct shards *s, unsigned what, loop_fn *fn, void *arg)
{
    struct question *q = calloc(1, sizeof *q + (size_t)s->n * sizeof q->tickets[0]);

    /* Who goes on believing that all have heard would be wrong. A crash loses nothing (G1). */
    if (q == NULL) {
        fputs("webhookd: no memory for a question to the delivery loops\n", stderr);
        abort();
    }
    *q = (struct question){
        .all = s, .next = s->questions, .what = what, .left = s->n, .fn = fn, .arg = arg};
    if (q->next != NULL)
        q->next->prev = q;
    s->questions = q;
    for (int i = 0; i < s->n; i++)
        q->tickets[i] = (struct ticket){.question = q, .shard = &s->shards[i], .what = what};
    return q;
}

void shards_ask(struct shards *s, unsigned what, loop_fn *fn, void *arg)
{
    if (s->stopped) { /* nothing runs that would have to hear it: a job's last step, at store_close() */
        fn(arg);
        return;
    }
    if (s->n == 1) {
        if ((what & ASK_TRAFFIC) != 0)
            traffic_flush(s->shards[0].traffic, fn, arg);
        else
            fn(arg);
        return;
    }
    struct question *q = question_new(s, what, fn, arg);
    for (int i = 1; i < s->n; i++) {
        struct orders *o = shard_orders(&s->shards[i]);

        *o->last = &q->tickets[i];
        o->last = &q->tickets[i].next;
        shard_tell(&s->shards[i]);
    }
    shard_asked(&q->tickets[0]);
}

/* ---- what they are told ---- */
/* To each what concerns its lanes: rows move, the rest is copied. Work of a subscription that nobody has
 * yet is left out: whoever comes to have it asks the store for it then, after this commit. */
static void divide(struct shards *s, const struct changes *ch, struct changes *const *to)
{
    for (size_t i = 0; i < ch->rows_n; i++) {
        int n = ch->rows[i] != NULL ? owners_find(&s->owners, ch->rows[i]->delivery.sub) : -1;

        if (n >= 0)
            changes_move_row(to[n], &ch->rows[i]);
    }
    for (size_t i = 0; i < ch->subs_n; i++)
        changes_sub(to[owners_of(&s->owners, ch->subs[i])], ch->subs[i]);
    for (size_t i = 0; i < ch->wakes_n; i++) {
        int n = owners_find(&s->owners, ch->wakes[i].sub);

        if (n >= 0)
            changes_wake(to[n], ch->wakes[i].sub, ch->wakes[i].due_ms);
    }
    for (int n = 0; n < s->n; n++) {
        to[n]->failed = to[n]->failed || ch->failed;
        to[n]->freed = to[n]->freed || ch->freed;
    }
}

static void hold(struct orders *o, const struct change_held *held)
{
    o->changes.held = *held;
    if (held->n > 0)
        memcpy(o->held, held->keys, held->n * sizeof o->held[0]);
}

void shards_changed(struct shards *s, const struct changes *ch)
{
    struct changes *own = &s->shards[0].taken.changes, *to[QUOTA_SHARES_MAX] = {own};

    if (s->n == 1) {
        scheduler_changed(s->shards[0].scheduler, ch);
        return;
    }
    for (int i = 1; i < s->n; i++) {
        struct orders *o = shard_orders(&s->shards[i]);

        to[i] = &o->changes;
        if (ch->held.told)
            hold(o, &ch->held);
    }
    divide(s, ch, to);
    for (int i = 1; i < s->n; i++)
        shard_tell(&s->shards[i]);
    own->held = ch->held;
    own->jobs = ch->jobs;
    scheduler_changed(s->shards[0].scheduler, own);
    changes_clear(own);
}

void shards_configure(struct shards *s, const struct conf *conf)
{
    quota_set_max(&s->quota, conf->max_in_flight);
    for (int i = 1; i < s->n; i++) {
        shard_orders(&s->shards[i])->conf = conf;
        shard_tell(&s->shards[i]);
    }
    transport_configure(s->shards[0].transport, conf);
    scheduler_configure(s->shards[0].scheduler, conf);
}

void shards_pause(struct shards *s, bool paused)
{
    for (int i = 1; i < s->n; i++) {
        struct orders *o = shard_orders(&s->shards[i]);

        o->pause_told = true;
        o->paused = paused;
        shard_tell(&s->shards[i]);
    }
    scheduler_pause(s->shards[0].scheduler, paused);
}

void shards_drain(struct shards *s)
{
    for (int i = 1; i < s->n; i++) {
        shard_orders(&s->shards[i])->drain = true;
        shard_tell(&s->shards[i]);
    }
    scheduler_drain(s->shards[0].scheduler);
}

void shards_cut(struct shards *s, const char *error)
{
    for (int i = 1; i < s->n; i++) {
        struct orders *o = shard_orders(&s->shards[i]);

        o->cut = true;
        o->error = error;
        shard_tell(&s->shards[i]);
    }
    transport_cut(s->shards[0].transport, error);
}

void shards_died(struct shards *s, int64_t n)
{
    traffic_died(s->shards[0].traffic, n);
}

/* ---- how they are ---- */
static void add(struct shards_now *to, const struct shards_now *now)
{
    int64_t due_ms = now->lanes.oldest_due_ms;

    to->lanes.in_flight += now->lanes.in_flight;
    to->lanes.in_flight_retrying += now->lanes.in_flight_retrying;
    to->lanes.breakers_open += now->lanes.breakers_open;
    for (int state = 0; state < SUB_STATES; state++)
        to->lanes.lanes[state] += now->lanes.lanes[state];
    to->lanes.held_bytes += now->lanes.held_bytes;
    if (due_ms != 0 && (to->lanes.oldest_due_ms == 0 || due_ms < to->lanes.oldest_due_ms))
        to->lanes.oldest_due_ms = due_ms;
    to->sent.opened += now->sent.opened;
    to->sent.reused += now->sent.reused;
    to->sent.request_bytes += now->sent.request_bytes;
    to->sent.response_bytes += now->sent.response_bytes;
    traffic_add(&to->attempts, &now->attempts);
}

void shards_look(const struct shards *s, struct shards_now *out)
{
    struct shard_view own;

    shard_see(&s->shards[0], 0, &own);
    *out = own.now;
    for (int i = 1; i < s->n; i++)
        add(out, &s->shards[i].view.now);
}

bool shards_are_quiet(const struct shards *s)
{
    bool quiet = scheduler_is_quiet(s->shards[0].scheduler);

    for (int i = 1; i < s->n; i++)
        quiet = quiet && s->shards[i].view.quiet;
    return quiet;
}

int64_t shards_delivered_lately(const struct shards *s)
{
    int64_t n = 0, now_ms = clock_mono_ms();

    for (int i = 0; i < s->n; i++)
        n += pace_sum(scheduler_pace(s->shards[i].scheduler), now_ms);
    return n;
}

/* One list of all, in order. */
static void *joined(const void *const *lists, const size_t *ns, int n, size_t size,
                    int (*order)(const void *, const void *), size_t *out_n)
{
    size_t all = 0;

    *out_n = 0;
    for (int i = 0; i < n; i++)
        all += lists[i] != NULL ? ns[i] : 0;
    char *out = all > 0 ? malloc(all * size) : NULL;
    for (int i = 0; out != NULL && i < n; i++) {
        if (lists[i] == NULL)
            continue;
        memcpy(out + *out_n * size, lists[i], ns[i] * size);
        *out_n += ns[i];
    }
    if (out != NULL)
        qsort(out, all, size, order);
    return out;
}

static int by_sub(const void *a, const void *b)
{
    const struct api_lane *x = a, *y = b;

    return (x->sub > y->sub) - (x->sub < y->sub);
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

struct api_lane *shards_lanes(const struct shards *s, size_t *n)
{
    const void *lists[QUOTA_SHARES_MAX];
    size_t ns[QUOTA_SHARES_MAX];
    struct api_lane *own = scheduler_lanes(s->shards[0].scheduler, &ns[0]);

    lists[0] = own;
    for (int i = 1; i < s->n; i++) {
        lists[i] = s->shards[i].view.lanes;
        ns[i] = s->shards[i].view.lanes_n;
    }
    struct api_lane *all = joined(lists, ns, s->n, sizeof *all, by_sub, n);
    free(own);
    return all;
}

int64_t *shards_sending(const struct shards *s, size_t *n)
{
    const void *lists[QUOTA_SHARES_MAX];
    size_t ns[QUOTA_SHARES_MAX];
    int64_t *own = scheduler_sending(s->shards[0].scheduler, &ns[0]);

    lists[0] = own;
    for (int i = 1; i < s->n; i++) {
        lists[i] = s->shards[i].view.sending;
        ns[i] = s->shards[i].view.sending_n;
    }
    int64_t *all = joined(lists, ns, s->n, sizeof *all, by_number, n);
    free(own);
    return all;
}

struct metrics *shards_metrics(const struct shards *s)
{
    struct metrics *sum = metrics_copy(s->shards[0].metrics);

    for (int i = 1; sum != NULL && i < s->n; i++)
        if (s->shards[i].view.metrics != NULL)
            metrics_add(sum, s->shards[i].view.metrics);
    return sum;
}

/* ---- what they tell; on the engine's loop ---- */
static void shard_is_ready(void *shard)
{
    struct shard *h = shard;
    struct shards *s = h->all;

    if (++s->ready_n == s->n)
        s->parts.ready(s->parts.arg);
}

static void shard_is_idle(void *shard)
{
    struct shard *h = shard;
    struct shards *s = h->all;

    s->idle_n += !h->idle; /* it may say so again */
    h->idle = true;
    if (s->idle_n == s->n)
        s->parts.idle(s->parts.arg);
}

static void shard_has_jobs(void *shard)
{
    struct shard *h = shard;

    atomic_store(&h->kicks, false);
    h->all->parts.jobs_changed(h->all->parts.arg);
}

/* ---- and on their own ---- */
static void say(struct shard *h, loop_fn *fn)
{
    if (h->n == 0)
        fn(h);
    else
        loop_post(h->all->parts.loop, fn, h);
}

static void on_ready(void *shard)
{
    say(shard, shard_is_ready);
}

static void on_idle(void *shard)
{
    say(shard, shard_is_idle);
}

static void on_jobs(void *shard)
{
    struct shard *h = shard;

    if (!atomic_exchange(&h->kicks, true))
        say(h, shard_has_jobs);
}

static void may_start(void *shard)
{
    struct shard *h = shard;

    atomic_store(&h->woken, false);
    scheduler_may_start(h->scheduler);
}

static void wake(void *shards, int n)
{
    struct shard *h = &((struct shards *)shards)->shards[n];

    if (!atomic_exchange(&h->woken, true))
        loop_post(h->loop, may_start, h);
}

/* ---- life ---- */
enum err_code shards_new(struct shards **out, const struct shards_parts *parts, struct err *err)
{
    int n = parts->conf->threads; /* no more than QUOTA_SHARES_MAX, STORE_FACES_MAX */
    struct shards *s = calloc(1, sizeof *s + (size_t)n * sizeof s->shards[0]);

    if (s == NULL)
        return fail(err, ERR_NOMEM, "start: out of memory");
    *out = s;
    s->parts = *parts;
    quota_init(&s->quota, parts->conf->max_in_flight, n, wake, s);
    owners_init(&s->owners, n);
    struct scheduler_parts of_each = {.loop = parts->loop,
                                      .store = parts->store,
                                      .metrics = parts->metrics,
                                      .conf = parts->conf,
                                      .intake = parts->intake,
                                      .quota = &s->quota,
                                      .owners = &s->owners,
                                      .ready = on_ready,
                                      .idle = on_idle,
                                      .jobs_changed = on_jobs};
    enum err_code rc = OK;
    while (rc == OK && s->n < n) {
        rc = shard_init(&s->shards[s->n], s, s->n, &of_each, err);
        s->n++;
    }
    return rc;
}

enum err_code shards_start(struct shards *s, struct err *err)
{
    enum err_code rc = OK;

    for (int i = 0; rc == OK && i < s->n; i++)
        rc = shard_start(&s->shards[i], err);
    return rc;
}

void shards_stop(struct shards *s)
{
    if (s == NULL)
        return;
    for (int i = s->n - 1; i >= 0; i--)
        shard_stop(&s->shards[i]);
    s->stopped = true;
    while (s->questions != NULL)
        question_end(s->questions);
}

void shards_free(struct shards *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < s->n; i++)
        shard_fini(&s->shards[i]);
    owners_fini(&s->owners);
    free(s);
}
