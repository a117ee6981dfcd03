/* store/backend_sqlite_dead.c: dead letters: list, count, look, replay, purge, note.
 *
 * While a delivery is dead its payload lies here, sealed and bound to its number; the event's own
 * copy goes when nothing else needs it, and a replay puts it back. */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define DEAD_COLS                                                                                  \
    "SELECT x.num, d.event, x.sub, x.event_id, x.type, x.sub_name, x.cause, x.attempts,"           \
    " d.budget_start, d.budget_since_ms, d.due_ms, x.last_status, x.last_outcome, d.created_ms,"   \
    " d.finished_ms, d.job, x.ordering_key, x.partner, x.partner_name, x.correlation_id,"          \
    " x.source, x.version, x.attributes, x.deliver_after_ms, x.event_expires_ms, x.created_ms,"    \
    " x.accepted_ms, x.outbox, x.seq, x.payload_bytes, x.died_ms, x.expires_ms, x.sub_url, x.note" \
    " FROM dead x CROSS JOIN delivery d ON d.num = x.num"

static void read_dead(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct dead_letter *l = row;
    struct delivery *d = &l->delivery;
    struct event_rec *e = &l->event;
    memset(l, 0, sizeof(*l));
    d->num = sqlite3_column_int64(st, 0);
    d->event = e->num = sqlite3_column_int64(st, 1);
    d->sub = l->sub_num = sqlite3_column_int64(st, 2);
    d->event_id = e->id = sq_text(st, 3, a, bad);
    d->type = e->type = sq_text(st, 4, a, bad);
    d->sub_name = l->sub_name = sq_text(st, 5, a, bad);
    d->state = DELIVERY_DEAD;
    d->cause = (enum cause)sqlite3_column_int(st, 6);
    d->attempts = sqlite3_column_int(st, 7);
    d->budget_start = sqlite3_column_int(st, 8);
    d->budget_since_ms = sqlite3_column_int64(st, 9);
    d->due_ms = sqlite3_column_int64(st, 10);
    d->last_status = sqlite3_column_int(st, 11);
    d->last_outcome = (enum outcome)sqlite3_column_int(st, 12);
    d->created_ms = sqlite3_column_int64(st, 13);
    d->finished_ms = sqlite3_column_int64(st, 14);
    d->job = sqlite3_column_int64(st, 15);
    d->ordering_key = e->ordering_key = sq_text(st, 16, a, bad);
    e->partner = sqlite3_column_int64(st, 17);
    e->partner_name = sq_text(st, 18, a, bad);
    e->correlation_id = sq_text(st, 19, a, bad);
    e->source = sq_text(st, 20, a, bad);
    e->version = sq_text(st, 21, a, bad);
    e->attributes = sq_text(st, 22, a, bad);
    e->deliver_after_ms = sqlite3_column_int64(st, 23);
    e->expires_ms = sqlite3_column_int64(st, 24);
    e->created_ms = sqlite3_column_int64(st, 25);
    e->accepted_ms = sqlite3_column_int64(st, 26);
    e->outbox = sq_text(st, 27, a, bad);
    e->seq = sqlite3_column_int64(st, 28);
    e->payload_bytes = (size_t)sqlite3_column_int64(st, 29);
    l->died_ms = sqlite3_column_int64(st, 30);
    l->expires_ms = sqlite3_column_int64(st, 31);
    l->sub_url = sq_text(st, 32, a, bad);
    l->note = sq_text(st, 33, a, bad);
}

static void dead_where(struct sq_query *s, const struct filter *f)
{
    sq_and_in(s, f->subs_n == 1 ? "x.sub" : "+x.sub", f->subs, f->subs_n);
    sq_and_in(s, "x.num", f->ids, f->ids_n);
    if (f->event_id != NULL) {
        sq_and(s, "x.event_id = ?");
        sq_param(s, f->event_id);
    }
    sq_and_type(s, "x.type", f->type);
    if (f->cause != CAUSE_NONE)
        sq_and(s, "x.cause = %d", (int)f->cause);
    if (f->status_min != 0 || f->status_max != 0)
        sq_and(s, "x.last_status BETWEEN %d AND %d", f->status_min, f->status_max);
    if (f->outcome_set)
        sq_and(s, "x.attempts > 0 AND x.last_outcome = %d", f->outcome);
    if (f->min_attempts > 0)
        sq_and(s, "x.attempts >= %d", f->min_attempts);
    if (f->job != 0)
        sq_and(s, "x.num IN (SELECT num FROM delivery WHERE job = %lld AND job <> 0)",
               (long long)f->job);
    if (f->since_ms != 0)
        sq_and(s, "x.died_ms >= %lld", (long long)f->since_ms);
    if (f->until_ms != 0)
        sq_and(s, "x.died_ms < %lld", (long long)f->until_ms);
    if (!f->with_expired)
        sq_and(s, "(x.event_expires_ms = 0 OR x.event_expires_ms > %lld)",
               (long long)clock_store_ms());
    if (f->after_ms != 0 || f->after_num != 0)
        sq_and(s, "(x.died_ms, x.num) %c (%lld, %lld)", f->newest_first ? '<' : '>',
               (long long)f->after_ms, (long long)f->after_num);
}

enum err_code sq_dead_list(struct backend *b, const struct filter *f, struct arena *a,
                           struct dead_letter **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    void *rows;
    const char *dir = f->newest_first ? "DESC" : "ASC";
    sq_query_init(&s, DEAD_COLS);
    dead_where(&s, f);
    buf_addf(&s.sql, " ORDER BY x.died_ms %s, x.num %s LIMIT %zu", dir, dir, f->limit);
    enum err_code code = sq_query_all(q, &s, read_dead, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_dead_count(struct backend *b, const struct filter *f, int64_t *count,
                            int64_t *payload_bytes, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    sqlite3_stmt *st;
    sq_query_init(&s, "SELECT count(*), ifnull(sum(x.payload_bytes), 0) FROM dead x");
    dead_where(&s, f);
    enum err_code code = sq_query_open(q, &s, &st, err);
    if (code != OK)
        return code;
    code = sq_next(q, st, err);
    if (code == OK) {
        *count = sqlite3_column_int64(st, 0);
        *payload_bytes = sqlite3_column_int64(st, 1);
    }
    sqlite3_finalize(st);
    return code;
}

/* OK also where the letter has no payload (imported without one): then *out is NULL. */
static enum err_code open_payload(struct sq *q, int64_t num, struct arena *a, const void **out,
                                  size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code =
        sq_row(q, SQ_DEAD_PAYLOAD, &st, err, "SELECT payload FROM dead WHERE num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such dead letter");
    if (code != OK)
        return code;
    code = sq_unseal(q, "dead", num, st, 0, a, out, n, err);
    sq_done(st);
    return code;
}

enum err_code sq_dead_get(struct backend *b, int64_t num, struct arena *a, struct dead_letter *out,
                          struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    struct dead_letter l;
    size_t n;
    enum err_code code = sq_row(q, SQ_DEAD_GET, &st, err, DEAD_COLS " WHERE x.num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such dead letter");
    if (code == OK)
        code = sq_take(st, read_dead, a, &l, err);
    if (code == OK)
        code = open_payload(q, num, a, &l.event.payload, &n, err);
    if (code == OK)
        *out = l;
    return code;
}

/* ---- replay, purge, note ---- */
static enum err_code load_dead(struct sq *q, int64_t num, struct sq_open_delivery *d,
                               struct err *err)
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

static enum err_code letter_delete(struct sq *q, int64_t num, struct err *err)
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
    code = open_payload(q, d->num, &a, &payload, &n, err);
    if (code == OK && payload == NULL)
        code = fail(err, ERR_INVALID, "it was imported without its payload");
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

static enum err_code reopen(struct sq *q, const struct sq_open_delivery *d, int64_t job,
                            int64_t due_ms, int64_t now_ms, struct err *err)
{
    enum delivery_state state = d->attempts > 0 ? DELIVERY_RETRYING : DELIVERY_PENDING;
    /* What has expired already is replayed on purpose; it must not expire again at once. */
    int64_t expires = d->expires_ms > now_ms ? d->expires_ms : 0;
    enum err_code code =
        sq_run(q, SQ_REPLAY, err,
               "UPDATE delivery SET state = ?2, cause = 0, budget_start = attempts,"
               " budget_since_ms = ?3, due_ms = ?4, finished_ms = 0, job = ?5, expires_ms = ?6"
               " WHERE num = ?1 AND state = 5",
               "lillll", d->num, (int)state, now_ms, due_ms, job, expires);
    if (code == OK)
        code = letter_delete(q, d->num, err);
    if (code == OK)
        code = sq_ready_put(q, d->sub, due_ms, d->num, now_ms, err);
    if (code == OK && expires != 0)
        code = sq_expiring_put(q, expires, d->num, err);
    return code == OK ? sq_count_move(q, d->sub, DELIVERY_DEAD, state, err) : code;
}

enum err_code sq_dead_replay(struct backend *b, int64_t num, int64_t job, int64_t due_ms,
                             int64_t now_ms, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_open_delivery d;
    enum err_code code = load_dead(q, num, &d, err);
    if (code == OK)
        code = sub_lives(q, d.sub, err);
    if (code == OK)
        code = restore_payload(q, &d, err);
    if (code == OK)
        code = reopen(q, &d, job, due_ms, now_ms, err);
    free(d.line);
    return code;
}

enum err_code sq_dead_purge(struct backend *b, int64_t num, int64_t now_ms, struct settled *out,
                            struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_open_delivery d;
    struct settled r = {0};
    enum err_code code = load_dead(q, num, &d, err);
    if (code == OK)
        code = sq_run(q, SQ_DEAD_PURGED, err,
                      "UPDATE delivery SET state = 6, finished_ms = ?2 WHERE num = ?1"
                      " AND state = 5",
                      "ll", num, now_ms);
    if (code == OK)
        code = letter_delete(q, num, err);
    if (code == OK)
        code = sq_line_leave(q, &d, now_ms, &r.next_due_ms, err);
    if (code == OK)
        code = sq_count_move(q, d.sub, DELIVERY_DEAD, DELIVERY_DISCARDED, err);
    free(d.line);
    if (code == OK && out != NULL)
        *out = r;
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
