/* store/backend_memory_move.c: what is due, and the moves of a delivery.
 *
 * Of a (subscription, key) all deliveries that have not left stand in the line; only the first may
 * be ready. A delivered one leaves; a dead one leaves too, or with on_dead=block stays and holds
 * the others until it is purged or its replay is delivered. */
#include "store/backend_memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- claim ---- */
static int cmp_num(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a == b ? 0 : a < b ? -1 : 1;
}

enum err_code mem_claim(struct backend *b, int64_t sub, int64_t now_ms, const struct claim_ask *ask,
                        struct claimed **out, struct claim_got *got, struct err *err)
{
    struct mem_db *db = mem_db(b);
    size_t room = ask->max_bytes;
    struct claim_got g = {0};
    for (const struct mem_node *i =
             mem_index_from(db, MEM_READY, (struct mem_key){.a = sub, .b = ask->from_ms});
         i != NULL && i->key.a == sub && g.next_due_ms == 0; i = i->next[0]) {
        int64_t num = i->key.c;
        if (ask->skip_n > 0 && bsearch(&num, ask->skip, ask->skip_n, sizeof(num), cmp_num) != NULL)
            continue;
        if (i->key.b > now_ms || g.n == ask->max) {
            g.next_due_ms = i->key.b;
            continue;
        }
        const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(num));
        const struct event_rec *e = mem_get(db, MEM_EVENT, mem_num(d->d.event));
        const struct mem_blob *payload = mem_get(db, MEM_PAYLOAD, mem_num(d->d.event));
        if (e == NULL || payload == NULL) {
            while (g.n > 0)
                claimed_free(out[--g.n]);
            return fail(err, ERR_CORRUPT, "delivery %lld is ready but has no event to send",
                        (long long)num);
        }
        struct event_rec whole = *e;
        whole.payload = payload->bytes;
        whole.payload_bytes = payload->n;
        whole.expires_ms = d->expires_ms;
        struct claimed *c = claimed_new(&d->d, &whole);
        if (c == NULL)
            abort(); /* as mem_alloc does */
        if (c->bytes > room || c->bytes > ask->max_row_bytes) {
            g.next_due_ms = i->key.b;
            g.next_bytes = c->bytes;
            claimed_free(c);
            continue;
        }
        room -= c->bytes;
        out[g.n++] = c;
    }
    *got = g;
    return OK;
}

enum err_code mem_heads(struct backend *b, const int64_t *subs, size_t n, int64_t *due_ms,
                        struct err *err)
{
    (void)err;
    for (size_t i = 0; i < n; i++) {
        const struct mem_node *head =
            mem_index_from(mem_db(b), MEM_READY, (struct mem_key){.a = subs[i], .b = INT64_MIN});
        due_ms[i] = head != NULL && head->key.a == subs[i] ? head->key.b : 0;
    }
    return OK;
}

/* ---- the line ---- */
/* Whoever stands first in the line may go, unless dead (block). One that was put there by a clock
 * that was ahead is due now all the same. */
static void line_advance(struct mem_db *db, int64_t sub, const char *key, int64_t now_ms,
                         int64_t *next_due_ms)
{
    const struct mem_node *first =
        mem_index_from(db, MEM_LINE, (struct mem_key){.text = key, .a = sub, .b = INT64_MIN});
    if (first == NULL || first->key.a != sub || strcmp(first->key.text, key) != 0)
        return;
    struct mem_delivery d =
        *(const struct mem_delivery *)mem_get(db, MEM_DELIVERY, mem_num(first->key.b));
    if (!mem_is_open(d.d.state))
        return;
    d.ready = true;
    if (d.d.due_ms > now_ms && d.d.budget_since_ms > now_ms)
        mem_due_now(db, &d, now_ms);
    else
        mem_put(db, MEM_DELIVERY, mem_num(d.d.num), &d);
    *next_due_ms = d.d.due_ms;
}

void mem_line_leave(struct mem_db *db, struct mem_delivery *d, int64_t now_ms, int64_t *next_due_ms)
{
    if (!d->in_line)
        return;
    d->in_line = false;
    mem_put(db, MEM_DELIVERY, mem_num(d->d.num), d);
    line_advance(db, d->d.sub, d->d.ordering_key, now_ms, next_due_ms);
}

/* ---- death ---- */
void mem_payload_unused(struct mem_db *db, int64_t event)
{
    for (const struct mem_node *i =
             mem_index_from(db, MEM_BY_EVENT, (struct mem_key){.a = event, .b = INT64_MIN});
         i != NULL && i->key.a == event; i = i->next[0]) {
        const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(i->key.b));
        if (mem_is_open(d->d.state) || (d->d.state == DELIVERY_DELIVERED && d->d.original == 0))
            return;
    }
    mem_drop(db, MEM_PAYLOAD, mem_num(event));
}

/* The dead letter has everything of its own: it outlives event and subscription. */
static void dead_put(struct mem_db *db, const struct mem_delivery *d, int64_t now_ms,
                     int64_t dead_expires_ms)
{
    const struct event_rec *e = mem_get(db, MEM_EVENT, mem_num(d->d.event));
    const struct mem_blob *payload = mem_get(db, MEM_PAYLOAD, mem_num(d->d.event));
    const struct subscription *s = mem_get(db, MEM_SUB, mem_num(d->d.sub));
    const struct partner *p = mem_get(db, MEM_PARTNER, mem_num(e->partner));
    struct dead_letter l = {.delivery = {.num = d->d.num}, .event = *e};
    l.event.payload = payload != NULL ? payload->bytes : NULL;
    l.event.partner_name = p != NULL ? p->name : NULL;
    l.died_ms = now_ms;
    l.expires_ms = dead_expires_ms;
    l.arrival = ++db->arrivals_ever;
    l.sub_num = d->d.sub;
    l.sub_name = s != NULL ? s->name : NULL;
    l.sub_url = s != NULL ? s->url : NULL;
    mem_put(db, MEM_DEAD, mem_num(d->d.num), &l);
}

static bool blocks(const struct mem_db *db, int64_t sub)
{
    const struct subscription *s = mem_get(db, MEM_SUB, mem_num(sub));
    return s != NULL && s->on_dead_block && s->state != SUB_DELETED;
}

static void end(struct mem_db *db, struct mem_delivery *d, enum delivery_state state,
                enum cause cause, int64_t now_ms)
{
    d->ready = false;
    d->d.state = state;
    d->d.cause = cause;
    d->d.finished_ms = now_ms;
    mem_put(db, MEM_DELIVERY, mem_num(d->d.num), d);
}

/* Over, and nobody's letter. */
static void discard(struct mem_db *db, struct mem_delivery *d, enum cause cause, int64_t now_ms,
                    int64_t *next_due_ms)
{
    end(db, d, DELIVERY_DISCARDED, cause, now_ms);
    mem_payload_unused(db, d->d.event);
    mem_line_leave(db, d, now_ms, next_due_ms);
}

void mem_die(struct mem_db *db, struct mem_delivery *d, enum cause cause, int64_t now_ms,
             int64_t dead_expires_ms, int64_t *next_due_ms)
{
    if (d->d.trial) {
        discard(db, d, cause, now_ms, next_due_ms);
        return;
    }
    end(db, d, DELIVERY_DEAD, cause, now_ms);
    dead_put(db, d, now_ms, dead_expires_ms);
    mem_payload_unused(db, d->d.event);
    if (!blocks(db, d->d.sub))
        mem_line_leave(db, d, now_ms, next_due_ms);
}

enum err_code mem_discard(struct backend *b, int64_t num, int64_t now_ms, struct settled *out,
                          struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(num));
    if (row == NULL || !mem_is_open(row->d.state))
        return fail(err, ERR_STALE, "the delivery is over already, or unknown");
    struct mem_delivery d = *row;
    struct settled r = {.job = d.d.job};
    mem_part_count(db, &row->d, PART_DISCARDED);
    discard(db, &d, CAUSE_NONE, now_ms, &r.next_due_ms);
    *out = r;
    return OK;
}

/* ---- settle ---- */
static void settle_open(struct mem_db *db, const struct settlement *s, struct mem_delivery *d,
                        int64_t dead_expires_ms, struct settled *out)
{
    switch (s->to) {
    case SETTLE_DELIVERED:
        d->ready = false;
        d->d.state = DELIVERY_DELIVERED;
        d->d.finished_ms = s->now_ms;
        mem_put(db, MEM_DELIVERY, mem_num(d->d.num), d);
        mem_line_leave(db, d, s->now_ms, &out->next_due_ms);
        if (d->d.original != 0)
            mem_payload_unused(db, d->d.event);
        break;
    case SETTLE_RETRY:
        d->ready = true;
        d->d.state = DELIVERY_RETRYING;
        d->d.due_ms = s->due_ms;
        mem_put(db, MEM_DELIVERY, mem_num(d->d.num), d);
        break;
    case SETTLE_DEAD:
        mem_die(db, d, s->cause, s->now_ms, dead_expires_ms, &out->next_due_ms);
        break;
    }
}

enum err_code mem_settle(struct backend *b, const struct settlement *s, int64_t dead_expires_ms,
                         struct settled *out, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(s->delivery));
    if (row == NULL)
        return fail(err, ERR_STALE, "no such delivery");
    if (!mem_is_open(row->d.state))
        return fail(err, ERR_STALE, "the delivery is over already");
    struct mem_delivery d = *row;
    struct settled r = {.job = d.d.job};
    mem_part_count(db, &row->d,
                   s->to == SETTLE_DELIVERED ? PART_DELIVERED
                   : s->to == SETTLE_DEAD    ? PART_DEAD
                                             : PART_GOES_ON);
    if (s->has_attempt) {
        d.d.attempts++;
        d.d.last_status = s->attempt.status;
        d.d.last_outcome = s->attempt.outcome;
        mem_attempt_put(db, &s->attempt, d.d.num, d.d.attempts, s->attempt.job);
    }
    settle_open(db, s, &d, dead_expires_ms, &r);
    *out = r;
    return OK;
}

enum err_code mem_trial(struct backend *b, int64_t num, int budget_max, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(num));
    if (row == NULL || !mem_is_open(row->d.state) || row->in_line)
        return fail(err, ERR_STALE, "the delivery is over already, or stands in line");
    struct mem_delivery d = *row;
    d.d.trial = true;
    d.d.budget_max = budget_max;
    d.d.due_ms = TRIAL_DUE_MS;
    mem_put(db, MEM_DELIVERY, mem_num(num), &d);
    return OK;
}

enum err_code mem_attempt_late(struct backend *b, const struct attempt *a, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(a->delivery));
    if (row == NULL)
        return fail(err, ERR_STALE, "no such delivery");
    struct mem_delivery d = *row;
    d.d.attempts++;
    d.d.last_status = a->status;
    d.d.last_outcome = a->outcome;
    mem_attempt_put(db, a, d.d.num, d.d.attempts, a->job);
    mem_put(db, MEM_DELIVERY, mem_num(d.d.num), &d);
    const struct dead_letter *l = mem_get(db, MEM_DEAD, mem_num(a->delivery));
    if (l == NULL)
        return OK;
    struct dead_letter letter = *l;
    letter.delivery.attempts++;
    letter.delivery.last_status = a->status;
    letter.delivery.last_outcome = a->outcome;
    letter.arrival = ++db->arrivals_ever; /* a filter may name it now that did not before */
    mem_put(db, MEM_DEAD, mem_num(a->delivery), &letter);
    return OK;
}

/* ---- kill ---- */
enum err_code mem_kill(struct backend *b, int64_t sub, int64_t before_ms, enum cause cause,
                       size_t limit, int64_t now_ms, int64_t dead_expires_ms, size_t *n,
                       struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct mem_key at = {.a = sub, .b = INT64_MIN};
    size_t killed = 0;
    (void)err;
    /* Looked up anew each time: a death takes its node out of the index. */
    for (const struct mem_node *i;
         killed < limit && (i = mem_index_from(db, MEM_BY_SUB, at)) && i->key.a == sub;) {
        struct mem_delivery d =
            *(const struct mem_delivery *)mem_get(db, MEM_DELIVERY, mem_num(i->key.b));
        int64_t ignored = 0;
        at.b = d.d.num + 1;
        /* "Created" is the start of the budget: what is replayed today is not too old. */
        bool old = d.d.due_ms < before_ms || d.d.budget_since_ms < before_ms;
        if (before_ms != INT64_MAX && (!old || d.d.due_ms == TRIAL_DUE_MS))
            continue;
        mem_part_count(db, &d.d, PART_DEAD);
        mem_die(db, &d, cause, now_ms, dead_expires_ms, &ignored);
        killed++;
    }
    *n = killed;
    return OK;
}

enum err_code mem_kill_expired(struct backend *b, bool everyone, size_t limit, int64_t now_ms,
                               int64_t dead_expires_ms, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct mem_key at = {.a = INT64_MIN};
    size_t killed = 0;
    (void)err;
    for (const struct mem_node *i;
         killed < limit && (i = mem_index_from(db, MEM_EXPIRING, at)) && i->key.a <= now_ms;) {
        struct mem_delivery d =
            *(const struct mem_delivery *)mem_get(db, MEM_DELIVERY, mem_num(i->key.b));
        const struct subscription *s = mem_get(db, MEM_SUB, mem_num(d.d.sub));
        int64_t ignored = 0;
        at = (struct mem_key){.a = i->key.a, .b = i->key.b + 1};
        if (!everyone && s != NULL && !mem_held(s) && d.ready)
            continue;
        mem_part_count(db, &d.d, PART_DEAD);
        mem_die(db, &d, CAUSE_EXPIRED, now_ms, dead_expires_ms, &ignored);
        killed++;
    }
    *n = killed;
    return OK;
}

enum err_code mem_next_expiry(struct backend *b, int64_t now_ms, int64_t *at_ms, struct err *err)
{
    const struct mem_node *i =
        mem_index_from(mem_db(b), MEM_EXPIRING, (struct mem_key){.a = now_ms, .b = INT64_MAX});
    (void)err;
    *at_ms = i != NULL ? i->key.a : INT64_MAX;
    return OK;
}
