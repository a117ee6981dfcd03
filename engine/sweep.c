/* engine/sweep.c: the janitor. Deletes by retention, buries what was held too long, ends pauses.
 *
 * It never touches what a lane may be sending: retention looks at what is over, kill at
 * subscriptions that do not send. */
#include "engine/sweep.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/egress_pause.h"

enum {
    SLICE = 256,       /* rows that are only read, or moved */
    KILL_SLICE = 64,   /* letters, which are sealed */
    RETAIN_SLICE = 32, /* rows with all that hangs on them */
    RETAIN_CALLS = 4,  /* that find less, of each kind, and its round is over */
    EVERY_MS = 5000,
    ASLEEP_MS = 300000, /* at most, whatever is known */
    SPAN_PARTS = 8,     /* of the shortest time that something is kept: nor longer than one */
    AGAIN_MS = 5,
    RETENTION_EVERY_MS = 60000,
    SUBS_PAGE = 256,
    TURN_US = 5000
};
/* Twice the longest delay of any policy: no retry is planned later than that. */
#define FAR_MS (INT64_C(60) * 86400 * 1000)

struct sweep {
    struct loop_timer *timer;
    struct store *store;
    const struct conf *conf;
    struct sweep_hooks hooks;
    bool running, stopped, again; /* again: there is more to do */
    bool alone;                   /* nobody else wrote since the last round, nor did this one */
    bool stirred;                 /* within a round */
    int64_t planned_ms;           /* mono */
    int64_t generation;           /* of the store, as its last slice left it */
    int64_t next_retention_ms;    /* mono */
    int64_t wake_ms;              /* store clock: something ends then; 0: nothing */
    /* While running, these belong to the store thread. */
    int64_t dead_retention_ms, max_hold_ms;
    struct egress_pause egress;
    bool quiet;                 /* nothing is in flight */
    int64_t next_ms;            /* store clock: what this round saw that ends first */
    int64_t retain_ms[RETAINS]; /* how long; -1: not this time */
    int retain_calls[RETAINS];  /* left of this round */
    int retain_from;            /* whose turn it is */
    bool retaining;             /* the round is not over */
    struct changes changes;
    int64_t after_sub; /* where the walk over subscriptions stands; 0: at the start */
    bool more;
    /* Once, at the start: what the clock's being set back made late. */
    bool clock_minded;
    int64_t clock_sub; /* the walk stands behind it, and within the next one at clock_at */
    struct ready_at clock_at;
    size_t clock_n;
};

static void ends_at(struct sweep *w, int64_t at_ms)
{
    if (at_ms < w->next_ms)
        w->next_ms = at_ms;
}

static enum err_code kill_held(struct sweep *w, struct backend *b, const struct subscription *row,
                               int64_t now_ms, struct err *err)
{
    bool broken = row->state == SUB_ACTIVE;
    int64_t age_ms = broken ? w->max_hold_ms : w->dead_retention_ms;
    int64_t held_since = broken ? row->broken_since_ms : row->state_since_ms;
    enum cause cause = broken ? CAUSE_ENDPOINT_DOWN : CAUSE_EXPIRED;
    size_t n = 0;

    if (broken && w->egress.paused)
        return OK; /* no probe could say that it is back */
    if (broken && w->egress.since_ms > held_since)
        held_since = w->egress.since_ms;
    if (held_since + age_ms > now_ms) {
        ends_at(w, held_since + age_ms);
        return OK;
    }
    enum err_code rc = b->ops->kill(b, row->num, now_ms - age_ms, cause, KILL_SLICE, now_ms,
                                    now_ms + w->dead_retention_ms, &n, err);
    if (rc != OK)
        return rc;
    w->changes.dead[cause] += (int64_t)n;
    w->more = w->more || n == KILL_SLICE;
    if (n > 0) /* what stood behind them in a key's line is ready now */
        changes_wake(&w->changes, row->num, CHANGES_DUE_BEFORE);
    return OK;
}

static enum err_code end_pause(struct sweep *w, struct backend *b, int64_t sub, int64_t now_ms,
                               struct err *err)
{
    struct arena arena;
    struct subscription row;

    arena_init(&arena); /* a list's row may lack columns that an update writes */
    enum err_code rc = b->ops->sub_get_num(b, sub, &arena, &row, err);
    if (rc == OK) {
        row.state = SUB_ACTIVE;
        row.state_cause = NULL;
        row.state_since_ms = row.updated_ms = now_ms;
        row.resume_at_ms = row.broken_since_ms = 0;
        changes_sub(&w->changes, sub);
        log_info("sub_resumed", "sub=%s cause=%s", row.name, "pause_over");
        rc = b->ops->sub_update(b, &row, err);
    }
    arena_fini(&arena);
    return rc;
}

/* A page of subscriptions a turn; the next one goes on behind it. */
static enum err_code sweep_subs(struct sweep *w, struct backend *b, int64_t now_ms, struct err *err)
{
    struct arena arena;
    struct subscription *rows = NULL;
    int64_t page = w->after_sub;
    size_t n = 0;

    arena_init(&arena);
    enum err_code rc = b->ops->sub_list(b, w->after_sub, SUBS_PAGE, false, &arena, &rows, &n, err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        w->after_sub = rows[i].num;
        if (rows[i].state == SUB_PAUSED && rows[i].resume_at_ms > 0 &&
            rows[i].resume_at_ms <= now_ms)
            rc = end_pause(w, b, rows[i].num, now_ms, err);
        else if (rows[i].state != SUB_ACTIVE || rows[i].broken_since_ms > 0)
            rc = kill_held(w, b, &rows[i], now_ms, err);
        if (rows[i].state == SUB_PAUSED && rows[i].resume_at_ms > now_ms)
            ends_at(w, rows[i].resume_at_ms);
    }
    if (w->more) /* killed a slice and there may be more: this page again */
        w->after_sub = page;
    else if (n < SUBS_PAGE)
        w->after_sub = 0;
    arena_fini(&arena);
    return rc;
}

/* ---- a clock that was set back ---- */
/* The store's clock is the wall clock at the start; if that is behind what an earlier run had (its
 * clock was ahead, or this one is not set yet), whatever was due at once or soon would wait for as
 * long. Times that somebody asked for (deliver_after, expires_at) stay. */
static enum err_code mind_sub(struct sweep *w, struct backend *b, int64_t sub, int64_t now_ms,
                              struct err *err)
{
    struct arena arena;
    struct subscription row;

    arena_init(&arena);
    enum err_code rc = b->ops->sub_get_num(b, sub, &arena, &row, err);
    if (rc == OK) {
        if (row.resume_at_ms > 0 && row.state_since_ms > now_ms)
            row.resume_at_ms -= row.state_since_ms - now_ms;
        if (row.state_since_ms > now_ms)
            row.state_since_ms = now_ms;
        if (row.broken_since_ms > now_ms)
            row.broken_since_ms = now_ms;
        row.updated_ms = now_ms;
        rc = b->ops->sub_update(b, &row, err);
        changes_sub(&w->changes, sub);
    }
    arena_fini(&arena);
    return rc;
}

static enum err_code mind_deliveries(struct sweep *w, struct backend *b,
                                     const struct subscription *row, int64_t now_ms,
                                     struct err *err)
{
    size_t n = 0;
    enum err_code rc =
        b->ops->bring_back(b, row->num, now_ms, now_ms + FAR_MS, SLICE, &w->clock_at, &n, err);

    if (rc != OK)
        return rc;
    w->clock_n += n;
    if (n > 0)
        changes_wake(&w->changes, row->num, now_ms);
    if (w->clock_at.due_ms != 0)
        return OK;
    if (w->clock_n > 0)
        log_warn("clock_set_back", "sub=%s deliveries=%zu effect=%s", row->name, w->clock_n,
                 "planned by a clock that was ahead: due now");
    w->clock_sub = row->num;
    w->clock_at = READY_LAST;
    w->clock_n = 0;
    return OK;
}

/* A page of subscriptions at most a turn, a slice of one's deliveries, or 5 ms. */
static enum err_code mind_clock(struct sweep *w, struct backend *b, int64_t now_ms, struct err *err)
{
    struct arena arena;
    struct subscription *rows = NULL;
    int64_t from_us = clock_mono_us();
    size_t n = 0;

    arena_init(&arena);
    enum err_code rc = b->ops->sub_list(b, w->clock_sub, SUBS_PAGE, false, &arena, &rows, &n, err);
    w->clock_minded = rc == OK && n < SUBS_PAGE;
    for (size_t i = 0; rc == OK && i < n; i++) {
        if (rows[i].state_since_ms > now_ms || rows[i].broken_since_ms > now_ms)
            rc = mind_sub(w, b, rows[i].num, now_ms, err);
        if (rc == OK)
            rc = mind_deliveries(w, b, &rows[i], now_ms, err);
        bool late = clock_mono_us() - from_us > TURN_US && i + 1 < n;
        if (w->clock_sub != rows[i].num || late) { /* there is more */
            w->clock_minded = false;
            break;
        }
    }
    w->more = w->more || !w->clock_minded;
    arena_fini(&arena);
    return rc;
}

/* ---- the kill switch ---- */
static enum err_code sweep_egress(struct sweep *w, struct backend *b, int64_t now_ms,
                                  struct err *err)
{
    struct egress_pause *p = &w->egress;
    enum err_code rc = egress_pause_read(b, p, err);

    if (rc != OK || !p->paused || p->resume_at_ms == 0)
        return rc;
    if (p->since_ms > now_ms) { /* by a clock that was ahead */
        p->resume_at_ms -= p->since_ms - now_ms;
        p->since_ms = now_ms;
    } else if (p->resume_at_ms <= now_ms) {
        *p = (struct egress_pause){.since_ms = now_ms, .actor = "webhookd", .note = "pause over"};
    } else {
        return OK;
    }
    w->changes.egress =
        (struct change_egress){.told = true, .paused = p->paused, .resume_at_ms = p->resume_at_ms};
    return egress_pause_write(b, p, err);
}

/* One call: up to RETAIN_SLICE rows of a kind. */
static enum err_code retain_some(struct sweep *w, struct backend *b, int what, int64_t now_ms,
                                 struct err *err)
{
    size_t n = 0;
    enum err_code rc = b->ops->retain(b, (enum retain_what)what, now_ms - w->retain_ms[what],
                                      RETAIN_SLICE, &n, err);

    if (rc != OK)
        return rc;
    if (what == RETAIN_DEAD && n > 0) {
        w->changes.discarded += (int64_t)n;
        w->changes.freed = true;
    }
    w->retain_calls[what] -= n < RETAIN_SLICE;
    return OK;
}

/* As much of this round as the turn is long enough for, each kind in its turn. */
static enum err_code sweep_retain(struct sweep *w, struct backend *b, int64_t now_ms,
                                  int64_t from_us, struct err *err)
{
    enum err_code rc = OK;
    bool late = false;

    for (int i = 0; rc == OK && !late && i < RETAINS; i++) {
        int what = w->retain_from;

        while (rc == OK && !late && w->retain_ms[what] >= 0 && w->retain_calls[what] > 0) {
            rc = retain_some(w, b, what, now_ms, err);
            late = clock_mono_us() - from_us > TURN_US;
        }
        w->retain_from = (what + 1) % RETAINS;
    }
    w->retaining = false;
    for (int what = 0; what < RETAINS; what++)
        w->retaining = w->retaining || (w->retain_ms[what] >= 0 && w->retain_calls[what] > 0);
    w->more = w->more || w->retaining;
    return rc;
}

static enum err_code sweep_work(struct backend *b, void *arg, struct err *err)
{
    struct sweep *w = arg;
    int64_t now_ms = clock_store_ms(), from_us = clock_mono_us(), expiry_ms = INT64_MAX;
    size_t n = 0;

    w->more = false;
    if (w->after_sub == 0)
        w->next_ms = INT64_MAX;
    enum err_code rc = sweep_egress(w, b, now_ms, err);
    if (rc == OK && !w->clock_minded)
        rc = mind_clock(w, b, now_ms, err);
    if (rc == OK)
        rc = sweep_subs(w, b, now_ms, err);
    if (rc == OK)
        rc = b->ops->kill_expired(b, w->egress.paused && w->quiet, KILL_SLICE, now_ms,
                                  now_ms + w->dead_retention_ms, &n, err);
    if (rc == OK) {
        w->changes.dead[CAUSE_EXPIRED] += (int64_t)n;
        w->changes.freed = w->changes.freed || n > 0;
        w->more = w->more || n == KILL_SLICE;
        rc = b->ops->next_expiry(b, now_ms, &expiry_ms, err);
        ends_at(w, expiry_ms);
    }
    return rc == OK ? sweep_retain(w, b, now_ms, from_us, err) : rc;
}

/* A lane settles without a word to us; what that begins lasts at least this long. */
static int64_t shortest_span(const struct conf *c)
{
    int64_t span_ms = c->breaker_max_hold_ms;

    for (int what = 0; what < RETAINS; what++) {
        int64_t kept_ms = retention_of(c, (enum retain_what)what);

        if (kept_ms > 0 && kept_ms < span_ms)
            span_ms = kept_ms;
    }
    return span_ms;
}

/* How long nothing can come to an end, as far as the last round knows. */
static int64_t asleep(const struct sweep *w)
{
    int64_t most_ms = shortest_span(w->conf) / SPAN_PARTS;
    int64_t left_ms = w->next_ms == INT64_MAX ? ASLEEP_MS : w->next_ms - clock_store_ms();

    if (most_ms > ASLEEP_MS)
        most_ms = ASLEEP_MS;
    if (left_ms > most_ms)
        left_ms = most_ms;
    return left_ms > EVERY_MS ? left_ms : EVERY_MS;
}

static void plan(struct sweep *w, int64_t in_ms)
{
    if (w->wake_ms != 0 && w->wake_ms - clock_store_ms() < in_ms)
        in_ms = w->wake_ms > clock_store_ms() ? w->wake_ms - clock_store_ms() : 0;
    w->planned_ms = clock_mono_ms() + in_ms;
    if (!w->stopped)
        loop_timer_at(w->timer, w->planned_ms);
}

static void sweep_done(void *arg, const struct err *err, int64_t generation)
{
    struct sweep *w = arg;
    bool found = changes_any(&w->changes);

    w->running = false;
    w->alone = (w->alone || !w->again) && generation == w->generation + 1 && !found;
    w->generation = generation;
    if (err->code != OK)
        log_error("store_error", "op=sweep code=%s error=%s", err_code_name(err->code), err->text);
    else if (found)
        w->hooks.changed(w->hooks.arg, &w->changes);
    changes_clear(&w->changes);
    if (w->more && err->code == OK)
        w->next_retention_ms = 0;
    w->again = (w->more || w->after_sub != 0) && err->code == OK;
    if (w->again) {
        plan(w, AGAIN_MS);
        return;
    }
    plan(w, w->alone && !w->stirred && err->code == OK ? asleep(w) : EVERY_MS);
    w->stirred = false;
}

/* Sooner than planned, perhaps. */
static void plan_within(struct sweep *w, int64_t in_ms)
{
    int64_t left_ms = w->planned_ms - clock_mono_ms();

    plan(w, left_ms > in_ms ? in_ms : left_ms > 0 ? left_ms : 0);
}

void sweep_wake_at(struct sweep *w, int64_t store_ms)
{
    w->wake_ms = store_ms;
    if (!w->running)
        plan_within(w, EVERY_MS);
}

void sweep_stir(struct sweep *w)
{
    if (w->running || w->again)
        w->stirred = true;
    else if (w->planned_ms > clock_mono_ms() + EVERY_MS)
        plan(w, EVERY_MS);
}

/* ---- retention ---- */
int64_t retention_of(const struct conf *c, enum retain_what what)
{
    const int64_t keep_ms[RETAINS] = {
        [RETAIN_DELIVERED] = c->retain_delivered_ms,
        [RETAIN_ATTEMPTS] = c->retain_attempts_ms,
        [RETAIN_DEAD] = c->dead_retention_ms,
        [RETAIN_PURGED] = c->purge_grace_ms,
        [RETAIN_AUDIT] = c->retain_audit_ms,
        [RETAIN_SEEN] = c->retain_dedupe_ms,
        [RETAIN_SECRETS] = 0,
        [RETAIN_TRAFFIC] = TRAFFIC_KEPT_MS,
    };
    return keep_ms[what];
}

int64_t retention_before(const struct conf *c, enum retain_what what)
{
    bool own_end = what == RETAIN_DEAD || what == RETAIN_PURGED || what == RETAIN_SEEN ||
                   what == RETAIN_SECRETS;
    return own_end ? 0 : retention_of(c, what);
}

static void sweep_begin(void *arg)
{
    struct sweep *w = arg;
    const struct conf *c = w->conf;
    bool retention = clock_mono_ms() >= w->next_retention_ms;

    w->running = false;
    if (w->stopped)
        return;
    if (w->wake_ms != 0 && w->wake_ms <= clock_store_ms())
        w->wake_ms = 0;
    w->quiet = w->hooks.quiet(w->hooks.arg);
    w->dead_retention_ms = c->dead_retention_ms;
    w->max_hold_ms = c->breaker_max_hold_ms;
    for (int what = 0; what < RETAINS; what++)
        w->retain_ms[what] = retention ? retention_before(c, (enum retain_what)what) : -1;
    for (int what = 0; retention && !w->retaining && what < RETAINS; what++)
        w->retain_calls[what] = RETAIN_CALLS;
    if (!store_has_room(w->store, STORE_WRITE) ||
        store_submit(w->store, STORE_WRITE, STORE_GUARDED | STORE_PRUNE | STORE_PATIENT, sweep_work,
                     sweep_done, w) != OK) {
        plan(w, EVERY_MS);
        return;
    }
    w->running = true;
    if (retention)
        w->next_retention_ms = clock_mono_ms() + RETENTION_EVERY_MS;
}

static void sweep_tick(void *arg)
{
    struct sweep *w = arg;

    if (w->running || w->stopped)
        return;
    w->running = true; /* looking is a part of it */
    w->hooks.look(w->hooks.arg, sweep_begin, w);
}

struct sweep *sweep_new(struct loop *l, struct store *store, const struct conf *conf,
                        const struct sweep_hooks *hooks)
{
    struct sweep *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->store = store;
    w->conf = conf;
    w->hooks = *hooks;
    changes_init(&w->changes);
    w->timer = loop_timer_new(l, sweep_tick, w);
    if (w->timer == NULL) {
        sweep_free(w);
        return NULL;
    }
    w->clock_at = READY_LAST;
    plan(w, EVERY_MS);
    return w;
}

void sweep_configure(struct sweep *w, const struct conf *conf)
{
    w->conf = conf;
    sweep_stir(w);
}

void sweep_stop(struct sweep *w)
{
    w->stopped = true;
    loop_timer_stop(w->timer);
}

void sweep_free(struct sweep *w)
{
    if (w == NULL)
        return;
    loop_timer_free(w->timer);
    changes_fini(&w->changes);
    free(w);
}
