/* engine/api_trace.c: the life of one event over all its deliveries, as one list in order of time.
 *
 *   committed ─ routed ─┬─ attempt ─ attempt ─ dead ─ replayed ─ attempt      (one delivery)
 *                       └─ attempt                            … waiting       (another one)
 *
 * Put together of what is stored anyway: the event's row, its deliveries, their attempts, and what
 * somebody did to them (struct deed) with the jobs that did it. What waits is said last, with what
 * it waits for. Bounded: of an event with more than DELIVERIES_MAX deliveries or ENTRIES_MAX entries
 * the rest is left out, and "truncated" says so. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/egress_pause.h"

enum { DELIVERIES_MAX = 1000, ENTRIES_MAX = 5000, PAGE = 1000, LOOKS = 20000, JOBS_MAX = 64 };

enum kind {
    COMMITTED,
    ROUTED,
    DEED,
    ATTEMPT,
    DEAD, /* without an attempt, or where its last one does not say why */
    GONE, /* discarded by nobody: its time was over */
    WAITING
};

struct entry {
    enum kind kind;
    int64_t at_ms, sort_ms;
    size_t order; /* of equal times: as they were found */
    const struct delivery *d;
    const struct attempt *attempt;
    const struct deed *deed;
    enum cause cause; /* of the death that it was, or that it brought about */
};

struct trace {
    struct api_call *c;
    struct event_rec event;
    struct delivery *deliveries;
    size_t deliveries_n;
    struct entry *entries;
    size_t entries_n;
    bool truncated;
    struct job jobs[JOBS_MAX];
    size_t jobs_n;
    struct egress_pause egress;
};

static struct entry *add(struct trace *t, enum kind kind, int64_t at_ms)
{
    if (t->entries_n == ENTRIES_MAX + DELIVERIES_MAX) {
        t->truncated = true;
        return NULL;
    }
    struct entry *e = &t->entries[t->entries_n];
    *e = (struct entry){.kind = kind, .at_ms = at_ms, .sort_ms = at_ms, .order = t->entries_n};
    t->entries_n++;
    return e;
}

/* ---- what happened ---- */

static const struct delivery *delivery_of(const struct trace *t, int64_t num)
{
    for (size_t i = 0; i < t->deliveries_n; i++)
        if (t->deliveries[i].num == num)
            return &t->deliveries[i];
    return NULL;
}

static enum err_code take_attempts(struct trace *t)
{
    struct api_call *c = t->c;
    struct filter f = {.event_ids = &t->event.id, .event_ids_n = 1, .limit = PAGE};
    struct attempt_page page = {.more = true};
    enum err_code rc = OK;
    while (rc == OK && page.more && t->entries_n < ENTRIES_MAX) {
        rc = c->ops->attempt_find(c->b, &f, LOOKS, c->mem, &page, c->err);
        for (size_t i = 0; rc == OK && i < page.n; i++) {
            const struct attempt *a = &page.rows[i].attempt;
            const struct delivery *d = delivery_of(t, a->delivery);
            struct entry *e = d ? add(t, ATTEMPT, a->started_ms) : NULL;
            if (e) {
                e->attempt = a;
                e->d = d;
            }
        }
        f.after_num = page.at;
    }
    t->truncated = t->truncated || (rc == OK && page.more);
    return rc;
}

/* The last attempt of the delivery up to number n; NULL: none. */
static struct entry *attempt_upto(struct trace *t, const struct delivery *d, int n)
{
    struct entry *last = NULL;
    for (size_t i = 0; i < t->entries_n; i++) {
        struct entry *e = &t->entries[i];
        if (e->attempt && e->d == d && e->attempt->n <= n &&
            (!last || e->attempt->n > last->attempt->n))
            last = e;
    }
    return last;
}

static bool ended_it(const struct entry *e)
{
    return e && e->attempt->next_ms == 0 && e->attempt->outcome != OUTCOME_SUCCESS;
}

/* A death shows in the attempt that it followed from; one by expiry, by max_hold or by a deleted
 * subscription followed from none, and stands for itself: at_ms 0: nobody knows when. */
static void add_death(struct trace *t, const struct delivery *d, int upto_n, enum cause cause,
                      int64_t at_ms)
{
    struct entry *last = attempt_upto(t, d, upto_n);
    if (!ended_it(last))
        last = NULL;
    if (!last && at_ms != 0)
        last = add(t, DEAD, at_ms);
    if (last) {
        last->d = d;
        last->cause = cause;
    }
}

/* The number of the last attempt before those of the job that a deed was done by, if that made any. */
static int before_job(const struct trace *t, const struct delivery *d, const struct deed *deed)
{
    int n = INT_MAX;
    for (size_t i = 0; i < t->entries_n; i++) {
        const struct attempt *a = t->entries[i].attempt;
        if (a && t->entries[i].d == d && deed->job && a->job == deed->job && a->n <= n)
            n = a->n - 1;
    }
    return n;
}

/* Deaths that were taken back, the last one first: each was before all that was done later. */
static void take_deaths(struct trace *t, const struct delivery *d, const struct deed *deeds,
                        size_t n)
{
    int upto_n = INT_MAX;
    if (d->cause != CAUSE_NONE)
        add_death(t, d, upto_n, d->cause, d->state == DELIVERY_DEAD ? d->finished_ms : 0);
    for (size_t i = n; i-- > 0;) {
        int before = before_job(t, d, &deeds[i]);
        upto_n = before < upto_n ? before : upto_n;
        if (deeds[i].cause != CAUSE_NONE)
            add_death(t, d, upto_n, deeds[i].cause, deeds[i].died_ms);
    }
}

static enum err_code take_deeds(struct trace *t, const struct delivery *d)
{
    struct api_call *c = t->c;
    struct deed *deeds = NULL;
    size_t n = 0;
    bool discarded = false;
    enum err_code rc = c->ops->deed_list(c->b, d->num, c->mem, &deeds, &n, c->err);
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct entry *e = add(t, DEED, deeds[i].at_ms);
        discarded = deeds[i].kind == DEED_PURGED || deeds[i].kind == DEED_DISCARDED;
        if (e) {
            e->deed = &deeds[i];
            e->d = d;
        }
    }
    struct entry *end = NULL;
    /* a trial's failure shows in its attempt, as a death does */
    if (rc == OK && d->state == DELIVERY_DISCARDED && !discarded &&
        (!d->trial || !ended_it(attempt_upto(t, d, INT_MAX))))
        end = add(t, GONE, d->finished_ms);
    if (end)
        end->d = d;
    if (rc == OK)
        take_deaths(t, d, deeds, n);
    return rc;
}

static enum err_code take_all(struct trace *t)
{
    struct api_call *c = t->c;
    struct filter f = {.event_ids = &t->event.id, .event_ids_n = 1, .limit = DELIVERIES_MAX};
    enum err_code rc =
        c->ops->delivery_list(c->b, &f, c->mem, &t->deliveries, &t->deliveries_n, c->err);
    t->entries = arena_alloc(c->mem, (ENTRIES_MAX + DELIVERIES_MAX) * sizeof *t->entries);
    if (rc != OK || !t->entries)
        return rc != OK ? rc : fail(c->err, ERR_NOMEM, "no memory for a trace");
    t->truncated = t->deliveries_n == DELIVERIES_MAX;
    (void)add(t, COMMITTED, t->event.created_ms ? t->event.created_ms : t->event.accepted_ms);
    (void)add(t, ROUTED, t->event.accepted_ms);
    rc = take_attempts(t);
    for (size_t i = 0; rc == OK && i < t->deliveries_n; i++) {
        delivery_see(c, &t->deliveries[i]);
        rc = take_deeds(t, &t->deliveries[i]);
    }
    for (size_t i = 0; rc == OK && i < t->deliveries_n; i++) {
        struct entry *e =
            delivery_goes_on(&t->deliveries[i]) ? add(t, WAITING, t->deliveries[i].due_ms) : NULL;
        if (e)
            e->d = &t->deliveries[i];
    }
    return rc;
}

/* A replay stands before the attempts that it made: its time is of the store's clock, theirs of the
 * machine's, and the two may be some ms apart. */
static void settle_order(struct trace *t)
{
    for (size_t i = 0; i < t->entries_n; i++) {
        struct entry *deed = &t->entries[i];
        for (size_t k = 0; deed->deed && deed->deed->job && k < t->entries_n; k++) {
            const struct entry *e = &t->entries[k];
            if (!e->attempt || e->d != deed->d || e->attempt->job != deed->deed->job)
                continue;
            if (e->sort_ms <= deed->sort_ms) {
                deed->sort_ms = e->sort_ms;
                deed->order = 0;
            }
        }
    }
}

/* The beginning first and what waits last, whatever clocks said in between. */
static int rank(const struct entry *e)
{
    return e->kind == COMMITTED ? 0 : e->kind == ROUTED ? 1 : e->kind == WAITING ? 3 : 2;
}

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (rank(x) != rank(y))
        return rank(x) - rank(y);
    if (x->sort_ms != y->sort_ms)
        return x->sort_ms < y->sort_ms ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* ---- as JSON ---- */

static const struct job *job_of(struct trace *t, int64_t num)
{
    for (size_t i = 0; i < t->jobs_n; i++)
        if (t->jobs[i].num == num)
            return &t->jobs[i];
    if (num == 0 || t->jobs_n == JOBS_MAX)
        return NULL;
    struct api_call *c = t->c;
    struct err ignored = {0};
    if (c->ops->job_get(c->b, num, c->mem, &t->jobs[t->jobs_n], &ignored) != OK)
        return NULL;
    return &t->jobs[t->jobs_n++];
}

static const char *kind_name(const struct entry *e)
{
    switch (e->kind) {
    case COMMITTED:
        return "committed";
    case ROUTED:
        return "routed";
    case DEED:
        return deed_kind_name(e->deed->kind);
    case ATTEMPT:
        return "attempt";
    case DEAD:
        return "dead";
    case GONE:
        return "discarded";
    case WAITING:
        break;
    }
    return "waiting";
}

/* What became of the delivery by this attempt. */
static void put_result(struct buf *b, const struct entry *e)
{
    const struct attempt *a = e->attempt;
    bool trial = e->d && e->d->trial; /* no dead letter is left of one */
    const char *result = NULL;
    if (a && a->outcome == OUTCOME_SUCCESS)
        result = "delivered";
    else if (a)
        result = a->next_ms ? "retry" : trial ? "discarded" : "dead";
    put_str(b, "result", result);
    put_str(b, "cause", cause_name(e->cause));
}

static void put_attempt(struct buf *b, const struct attempt *a)
{
    put_int_or_null(b, "n", a ? a->n : 0);
    put_str(b, "outcome", a ? outcome_name(a->outcome) : NULL);
    put_int_or_null(b, "status", a ? a->status : 0);
    put_seconds(b, "duration_seconds", a ? a->duration_us : -1);
    put_str(b, "error", a ? a->error : NULL);
}

static void put_deed(struct buf *b, struct trace *t, const struct entry *e)
{
    int64_t num = e->deed ? e->deed->job : e->attempt ? e->attempt->job : 0;
    const struct job *j = job_of(t, num);
    put_id(b, "job", "job", num);
    put_str(b, "actor", e->deed ? (j ? j->actor : e->deed->actor) : NULL);
    put_str(b, "note", e->deed && j ? j->note : NULL);
    put_str(b, "to", e->deed && j ? j->to_url : NULL);
}

static enum err_code put_entry(struct trace *t, const struct entry *e)
{
    struct buf *b = &t->c->resp->body;
    struct delivery_wait w = {.reason = NULL};
    enum err_code rc = e->kind == WAITING ? delivery_waits(t->c, &t->egress, e->d, &w) : OK;
    if (rc != OK)
        return rc;
    int64_t next = e->attempt ? e->attempt->next_ms : w.until_ms;
    put_open(b, NULL, '{');
    put_time(b, "at", e->kind == WAITING ? t->c->now_ms : e->at_ms);
    put_seconds(b, "after_seconds", (e->at_ms - t->entries[0].at_ms) * 1000);
    put_str(b, "kind", kind_name(e));
    put_id(b, "delivery", "dlv", e->d ? e->d->num : 0);
    put_str(b, "subscription", e->d ? e->d->sub_name : NULL);
    put_id(b, "original", "dlv", e->d ? e->d->original : 0);
    put_str(b, "state", e->kind == WAITING ? delivery_state_name(e->d->state) : NULL);
    put_attempt(b, e->attempt);
    put_result(b, e);
    put_time(b, "next_attempt_at", next);
    put_deed(b, t, e);
    put_str(b, "reason", w.reason);
    put_str(b, "reason_note", w.state_note);
    put_str(b, "behind", w.behind[0] ? w.behind : NULL);
    buf_addc(b, '}');
    return OK;
}

static void put_head(struct trace *t)
{
    struct buf *b = &t->c->resp->body;
    int64_t counts[DELIVERY_STATES] = {0}, open = 0;
    for (size_t i = 0; i < t->deliveries_n; i++) {
        counts[t->deliveries[i].state] += t->deliveries[i].original == 0;
        open += delivery_goes_on(&t->deliveries[i]);
    }
    put_open(b, NULL, '{');
    put_str(b, "id", t->event.id);
    render_event(b, "event", &t->event);
    buf_addc(b, '}');
    put_open(b, "subscriptions", '[');
    for (size_t i = 0; i < t->deliveries_n; i++)
        if (t->deliveries[i].original == 0)
            put_str(b, NULL, t->deliveries[i].sub_name);
    buf_addc(b, ']');
    put_open(b, "deliveries", '{');
    for (int i = 0; i < DELIVERY_STATES; i++)
        put_int(b, delivery_state_name((enum delivery_state)i), counts[i]);
    buf_addc(b, '}');
    put_int(b, "open", open);
    put_bool(b, "daemon", t->c->api->live != NULL);
    put_bool(b, "truncated", t->truncated);
}

enum err_code h_events_trace(struct api_call *c)
{
    struct trace *t = arena_alloc(c->mem, sizeof *t);
    if (!t)
        return fail(c->err, ERR_NOMEM, "no memory for a trace");
    t->c = c;
    enum err_code rc = event_of_ref(c, false, &t->event);
    if (rc == OK)
        rc = egress_pause_read(c->b, &t->egress, c->err);
    if (rc == OK)
        rc = take_all(t);
    if (rc != OK)
        return rc;
    settle_order(t);
    qsort(t->entries, t->entries_n, sizeof *t->entries, by_time);
    put_head(t);
    put_open(&c->resp->body, "entries", '[');
    for (size_t i = 0; rc == OK && i < t->entries_n; i++)
        rc = put_entry(t, &t->entries[i]);
    buf_adds(&c->resp->body, "]}");
    c->resp->status = 200;
    return rc;
}
