/* store/backend_sqlite_dead.c: the moves of a dead letter: replay, note; and how a
 * delivery that is over otherwise is opened again, or copied. (Purge and restore:
 * backend_sqlite_purge.c; looks: backend_sqlite_look.c.)
 *
 * While a delivery is dead its payload lies here, sealed and bound to its number; the event's own
 * copy goes when nothing else needs it, and a replay puts it back. */
#include "store/backend_sqlite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARRIVALS_ASIDE = 65536 };

/* Numbers are set aside by the thousands, so that a death costs no statement more; what is left of
 * them at a restart or a rollback is nobody's. */
static enum err_code arrivals_more(struct sq *q, struct err *err)
{
    char text[24] = "1";
    enum err_code code = sq_meta_get(&q->base, "arrivals", text, sizeof(text), err);
    if (code != OK && code != ERR_NOT_FOUND)
        return code;
    int64_t from = strtoll(text, NULL, 10);
    snprintf(text, sizeof(text), "%" PRId64, from + ARRIVALS_ASIDE);
    code = sq_meta_set(&q->base, "arrivals", text, err);
    if (code != OK)
        return code;
    q->arrival = from;
    q->arrivals_end = from + ARRIVALS_ASIDE;
    return OK;
}

enum err_code sq_arrival(struct sq *q, int64_t *out, struct err *err)
{
    enum err_code code = q->arrival < q->arrivals_end ? OK : arrivals_more(q, err);
    if (code == OK)
        *out = q->arrival++;
    return code;
}

/* ---- replay, note ---- */
enum err_code sq_dead_load(struct sq *q, int64_t num, struct sq_open_delivery *d, struct err *err)
{
    enum err_code code = sq_delivery_load(q, num, d, err);
    if (code == OK && d->state != DELIVERY_DEAD)
        return fail(err, ERR_STALE, "the delivery is not dead");
    return code;
}

static enum err_code sub_lives(struct sq *q, int64_t sub, struct err *err)
{
    enum sub_state state;
    enum err_code code = sq_sub_state(q, sub, &state, err);
    if (code == ERR_NOT_FOUND || (code == OK && state == SUB_DELETED))
        return fail(err, ERR_INVALID, "its subscription is deleted");
    return code;
}

enum err_code sq_letter_delete(struct sq *q, int64_t num, struct err *err)
{
    return sq_run(q, SQ_DEAD_DEL, err, "DELETE FROM dead WHERE num = ?1", "l", num);
}

/* One letter that does not open must not stop a walk over thousands: for a replay it is INVALID. */
static enum err_code restore_payload(struct sq *q, const struct sq_open_delivery *d,
                                     struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_event_payload(q, d->event, &st, err);
    if (code != OK)
        return code == ERR_NOT_FOUND ? fail(err, ERR_INVALID, "its event is gone") : code;
    bool there = sqlite3_column_type(st, 0) != SQLITE_NULL;
    sq_done(st);
    if (there)
        return OK;
    struct arena a;
    const void *payload;
    size_t n;
    arena_init(&a);
    code = d->state == DELIVERY_DEAD ? sq_dead_payload(q, d->num, &a, &payload, &n, err)
                                     : sq_purged_payload(q, d->num, &a, &payload, &n, err);
    if (code == OK && payload == NULL)
        code = fail(err, ERR_INVALID, "its payload is gone, or was never here");
    if (code == ERR_CORRUPT || code == ERR_DENIED) {
        code = ERR_INVALID;
        if (err != NULL)
            err->code = code;
    }
    if (code == OK)
        code = sq_run(q, SQ_EVENT_RESTORE, err, "UPDATE event SET payload = ?2 WHERE num = ?1",
                      "lb", d->event, payload, n);
    arena_fini(&a);
    return code;
}

/* What has expired already is sent on purpose; it must not expire again at once. */
static int64_t expiry_left(const struct sq_open_delivery *d, const struct reopening *r)
{
    return d->expires_ms > r->now_ms ? d->expires_ms : 0;
}

/* It waits to be sent. */
static enum err_code wait_put(struct sq *q, int64_t sub, int64_t num, int64_t expires_ms,
                              const struct reopening *r, struct err *err)
{
    enum err_code code = sq_ready_put(q, sub, r->due_ms, num, r->now_ms, err);
    return code == OK && expires_ms != 0 ? sq_expiring_put(q, expires_ms, num, err) : code;
}

static enum err_code reopen(struct sq *q, const struct sq_open_delivery *d,
                            const struct reopening *r, struct err *err)
{
    enum delivery_state state = d->attempts > 0 ? DELIVERY_RETRYING : DELIVERY_PENDING;
    int64_t expires = expiry_left(d, r);
    enum err_code code =
        sq_run(q, SQ_REPLAY, err,
               "UPDATE delivery SET state = ?2, cause = 0, budget_start = attempts,"
               " budget_since_ms = ?3, due_ms = ?4, finished_ms = 0, job = ?5, expires_ms = ?6,"
               " budget_max = ?7 WHERE num = ?1 AND state = ?8",
               "lillllii", d->num, (int)state, r->now_ms, r->due_ms, r->job, expires, r->budget_max,
               (int)d->state);
    if (code == OK)
        code = d->state == DELIVERY_DEAD ? sq_letter_delete(q, d->num, err)
                                         : sq_purged_delete(q, d->num, err);
    if (code == OK)
        code = wait_put(q, d->sub, d->num, expires, r, err);
    return code == OK ? sq_count_move(q, d->sub, d->state, state, err) : code;
}

static enum err_code load_over(struct sq *q, int64_t num, unsigned states,
                               struct sq_open_delivery *d, struct err *err)
{
    enum err_code code = sq_delivery_load(q, num, d, err);
    if (code == OK && (!(FILTER_BIT(d->state) & states) || (d->trial && d->state != DELIVERY_DEAD)))
        return fail(err, ERR_STALE, "the delivery is %s", delivery_state_name(d->state));
    return code;
}

static enum err_code open_again(struct sq *q, int64_t num, unsigned states,
                                const struct reopening *r, struct err *err)
{
    struct sq_open_delivery d;
    enum err_code code = load_over(q, num, states, &d, err);
    if (code == OK)
        code = sub_lives(q, d.sub, err);
    if (code == OK)
        code = restore_payload(q, &d, err);
    if (code == OK)
        code = reopen(q, &d, r, err);
    free(d.line);
    return code;
}

enum err_code sq_dead_replay(struct backend *b, int64_t num, const struct reopening *r,
                             struct err *err)
{
    return open_again(sq_of(b), num, FILTER_BIT(DELIVERY_DEAD), r, err);
}

enum err_code sq_over_resend(struct backend *b, int64_t num, const struct reopening *r,
                             struct err *err)
{
    return open_again(sq_of(b), num,
                      FILTER_BIT(DELIVERY_DELIVERED) | FILTER_BIT(DELIVERY_DISCARDED), r, err);
}

/* ---- a copy ---- */
static enum err_code copy_put(struct sq *q, const struct sq_open_delivery *d, int64_t num,
                              int64_t sub, const struct reopening *r, struct err *err)
{
    int64_t expires = expiry_left(d, r);
    enum err_code code =
        sq_run(q, SQ_COPY, err,
               "INSERT INTO delivery(num, event, sub, state, budget_since_ms, due_ms, created_ms,"
               " job, expires_ms, budget_max, trial, original)"
               " VALUES(?1, ?2, ?3, 0, ?4, ?5, ?4, ?6, ?7, ?8, 1, ?9)",
               "lllllllil", num, d->event, sub, r->now_ms, r->due_ms, r->job, expires,
               r->budget_max, d->num);
    if (code == OK)
        code = wait_put(q, sub, num, expires, r, err);
    return code == OK ? sq_count(q, sub, DELIVERY_PENDING, 1, err) : code;
}

enum err_code sq_delivery_copy(struct backend *b, int64_t original, unsigned states, int64_t num,
                               int64_t sub, const struct reopening *r, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_open_delivery d;
    enum err_code code = load_over(q, original, states, &d, err);
    if (code == OK)
        code = sub_lives(q, sub, err);
    if (code == OK)
        code = restore_payload(q, &d, err);
    if (code == OK)
        code = copy_put(q, &d, num, sub, r, err);
    free(d.line);
    return code;
}

enum err_code sq_dead_note(struct backend *b, int64_t num, const char *note, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code =
        sq_run(q, SQ_DEAD_NOTE, err, "UPDATE dead SET note = ?2 WHERE num = ?1", "lt", num, note);
    if (code == OK && sq_changes(q) == 0)
        return fail(err, ERR_NOT_FOUND, "no such dead letter");
    return code;
}
