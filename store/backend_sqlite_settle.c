/* store/backend_sqlite_settle.c: the moves of a delivery. (Its line: backend_sqlite_line.c.)
 *
 *   pending, retrying (0, 2) --settle--> delivered (4) | retrying (2) | dead (5)
 *                            --kill----> dead (5)
 *                            --discard-> discarded (6)
 *   dead (5) --purge--> discarded (6);  dead --replay--> retrying or pending
 *
 * A delivery that is over moves only through the dead letter's operations (G3): every write here
 * says "AND state IN (0, 2)". */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

enum { EXPIRED_SCAN_MAX = 4096, KILL_SCAN_MAX = 50000 };

enum err_code sq_delivery_load(struct sq *q, int64_t num, struct sq_open_delivery *out,
                               struct err *err)
{
    sqlite3_stmt *st;
    memset(out, 0, sizeof(*out));
    enum err_code code =
        sq_row(q, SQ_OPEN_GET, &st, err,
               "SELECT event, sub, state, due_ms, job, expires_ms, budget_since_ms,"
               " attempts, budget_start, line, trial, original <> 0, last_attempt FROM delivery"
               " WHERE num = ?1",
               "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_STALE, "no such delivery");
    if (code != OK)
        return code;
    out->num = num;
    out->event = sqlite3_column_int64(st, 0);
    out->sub = sqlite3_column_int64(st, 1);
    out->state = (enum delivery_state)sqlite3_column_int(st, 2);
    out->due_ms = sqlite3_column_int64(st, 3);
    out->job = sqlite3_column_int64(st, 4);
    out->expires_ms = sqlite3_column_int64(st, 5);
    out->since_ms = sqlite3_column_int64(st, 6);
    out->attempts = sqlite3_column_int(st, 7);
    out->budget_start = sqlite3_column_int(st, 8);
    out->trial = sqlite3_column_int(st, 10) != 0;
    out->copy = sqlite3_column_int(st, 11) != 0;
    out->last_attempt = sqlite3_column_int64(st, 12);
    const void *line = sqlite3_column_text(st, 9);
    if (line != NULL && (out->line = strdup(line)) == NULL)
        code = fail(err, ERR_NOMEM, "no memory for a delivery");
    sq_done(st);
    return code;
}

/* ---- what is due, and what expires ---- */
enum err_code sq_ready_put(struct sq *q, int64_t sub, int64_t due_ms, int64_t num, int64_t since_ms,
                           struct err *err)
{
    return sq_run(q, SQ_READY_PUT, err, "INSERT OR IGNORE INTO ready VALUES(?1, ?2, ?3, ?4)",
                  "llll", sub, due_ms, num, since_ms);
}

enum err_code sq_ready_delete(struct sq *q, const struct sq_open_delivery *d, struct err *err)
{
    return sq_run(q, SQ_READY_DEL, err,
                  "DELETE FROM ready WHERE sub = ?1 AND due = ?2 AND num = ?3", "lll", d->sub,
                  d->due_ms, d->num);
}

enum err_code sq_expiring_put(struct sq *q, int64_t expires_ms, int64_t num, struct err *err)
{
    return sq_run(q, SQ_EXPIRING_PUT, err, "INSERT OR IGNORE INTO expiring VALUES(?1, ?2)", "ll",
                  expires_ms, num);
}

/* What an open delivery holds in `ready` and `expiring` is taken away. */
static enum err_code close_open(struct sq *q, const struct sq_open_delivery *d, struct err *err)
{
    enum err_code code = sq_ready_delete(q, d, err);
    if (code == OK && d->expires_ms != 0)
        code = sq_run(q, SQ_EXPIRING_DEL, err,
                      "DELETE FROM expiring WHERE expires_ms = ?1 AND num = ?2", "ll",
                      d->expires_ms, d->num);
    return code;
}

/* ---- death ---- */
enum err_code sq_event_payload(struct sq *q, int64_t event, sqlite3_stmt **out, struct err *err)
{
    return sq_row(q, SQ_EVENT_PAYLOAD, out, err, "SELECT payload FROM event WHERE num = ?1", "l",
                  event);
}

enum err_code sq_event_unused(struct sq *q, int64_t event, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_EVENT_HELD_BY, &st, err,
                                "SELECT 1 FROM delivery WHERE event = ?1 AND (state IN (0, 2)"
                                " OR (state = 4 AND original = 0)) LIMIT 1",
                                "l", event);
    if (code == OK)
        sq_done(st);
    if (code != ERR_NOT_FOUND)
        return code;
    return sq_run(q, SQ_EVENT_CLEAR, err, "UPDATE event SET payload = NULL WHERE num = ?1", "l",
                  event);
}

/* The dead letter has columns of its own for everything: it outlives event and subscription. */
static enum err_code dead_put(struct sq *q, const struct sq_open_delivery *d, int64_t now_ms,
                              int64_t dead_expires_ms, struct err *err)
{
    sqlite3_stmt *st;
    struct buf sealed;
    enum err_code code = sq_event_payload(q, d->event, &st, err);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_CORRUPT, "store %s: delivery %lld has no event", q->path,
                    (long long)d->num);
    if (code != OK)
        return code;
    int64_t arrival = 0;
    const void *payload = sqlite3_column_blob(st, 0);
    size_t n = (size_t)sqlite3_column_bytes(st, 0);
    if (payload == NULL && sqlite3_column_type(st, 0) != SQLITE_NULL)
        payload = "";
    code = sq_seal(q, "dead", d->num, payload, n, &sealed, err);
    sq_done(st);
    if (code == OK)
        code = sq_arrival(q, &arrival, err);
    if (code == OK)
        code = sq_run(
            q, SQ_DEAD_PUT, err,
            "INSERT OR REPLACE INTO dead SELECT d.num, d.sub, s.name, s.url, e.id, e.partner,"
            " p.name, e.type, e.ordering_key, e.correlation_id, e.source, e.version, e.attributes,"
            " e.deliver_after_ms, e.expires_ms, e.created_ms, e.accepted_ms, e.outbox, e.seq,"
            " e.payload_bytes, d.cause, d.attempts, d.last_status, d.last_outcome, ?2, ?3, NULL,"
            " ?4, ?5 FROM delivery d JOIN event e ON e.num = d.event LEFT JOIN subscription s"
            " ON s.num = d.sub LEFT JOIN partner p ON p.num = e.partner WHERE d.num = ?1",
            "lllbl", d->num, now_ms, dead_expires_ms, (const void *)sealed.data, sealed.len,
            arrival);
    buf_fini(&sealed);
    return code;
}

/* What a trial comes to where another delivery is dead, and what an operator discards: over, and
 * nobody's letter. */
static enum err_code discard(struct sq *q, const struct sq_open_delivery *d, enum cause cause,
                             int64_t now_ms, struct settled *out, struct err *err)
{
    enum err_code code = close_open(q, d, err);
    if (code == OK)
        code = sq_run(q, SQ_DISCARD, err,
                      "UPDATE delivery SET state = 6, cause = ?2, finished_ms = ?3 WHERE num = ?1"
                      " AND state IN (0, 2)",
                      "lil", d->num, (int)cause, now_ms);
    if (code == OK)
        code = sq_event_unused(q, d->event, err);
    if (code == OK && d->line != NULL)
        code = sq_line_leave(q, d, now_ms, &out->next_due_ms, err);
    if (code == OK)
        code = sq_part_count(q, d, cause == CAUSE_NONE ? PART_DISCARDED : PART_DEAD, err);
    out->job = d->job;
    return code == OK ? sq_count_move(q, d->sub, d->state, DELIVERY_DISCARDED, err) : code;
}

enum err_code sq_die(struct sq *q, const struct sq_open_delivery *d, enum cause cause,
                     int64_t now_ms, int64_t dead_expires_ms, struct settled *out, struct err *err)
{
    bool block = false;
    if (d->trial)
        return discard(q, d, cause, now_ms, out, err);
    enum err_code code = close_open(q, d, err);
    if (code == OK)
        code = sq_run(q, SQ_DIE, err,
                      "UPDATE delivery SET state = 5, cause = ?2, finished_ms = ?3 WHERE num = ?1"
                      " AND state IN (0, 2)",
                      "lil", d->num, (int)cause, now_ms);
    if (code == OK)
        code = dead_put(q, d, now_ms, dead_expires_ms, err);
    if (code == OK)
        code = sq_event_unused(q, d->event, err);
    if (code == OK && d->line != NULL)
        code = sq_line_blocks(q, d->sub, &block, err);
    if (code == OK && d->line != NULL && !block)
        code = sq_line_leave(q, d, now_ms, &out->next_due_ms, err);
    if (code == OK)
        code = sq_part_count(q, d, PART_DEAD, err);
    if (code == OK)
        code = sq_count_move(q, d->sub, d->state, DELIVERY_DEAD, err);
    out->job = d->job;
    return code;
}

enum err_code sq_discard(struct backend *b, int64_t num, int64_t now_ms, struct settled *out,
                         struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_open_delivery d;
    struct settled r = {0};
    enum err_code code = sq_delivery_load(q, num, &d, err);
    if (code == OK && !sq_is_open(d.state))
        code = fail(err, ERR_STALE, "the delivery is over already");
    if (code == OK)
        code = discard(q, &d, CAUSE_NONE, now_ms, &r, err);
    free(d.line);
    if (code == OK)
        *out = r;
    return code;
}

enum err_code sq_trial(struct backend *b, int64_t num, int budget_max, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_open_delivery d;
    enum err_code code = sq_delivery_load(q, num, &d, err);
    if (code == OK && (!sq_is_open(d.state) || d.line != NULL))
        code = fail(err, ERR_STALE, "the delivery is over already, or stands in line");
    if (code == OK)
        code = sq_ready_delete(q, &d, err);
    if (code == OK)
        code = sq_run(q, SQ_TRIAL, err,
                      "UPDATE delivery SET trial = 1, budget_max = ?2, due_ms = ?3 WHERE num = ?1",
                      "lil", num, budget_max, TRIAL_DUE_MS);
    if (code == OK)
        code = sq_ready_put(q, d.sub, TRIAL_DUE_MS, num, d.since_ms, err);
    free(d.line);
    return code;
}

/* ---- settle ---- */
/* *moved false: it is not as d says, and nothing was written. A dead one is moved by sq_die; here it
 * only gets what its attempt found out. attempt: the row that will have. */
static enum err_code settle_row(struct sq *q, const struct settlement *s, int64_t attempt,
                                const struct sq_open_delivery *d, bool *moved, struct err *err)
{
    bool over = s->to == SETTLE_DELIVERED;
    enum delivery_state state = over                    ? DELIVERY_DELIVERED
                                : s->to == SETTLE_RETRY ? DELIVERY_RETRYING
                                                        : d->state;
    enum err_code code = sq_run(
        q, SQ_SETTLE, err,
        "UPDATE delivery SET state = ?2, attempts = attempts + ?3, due_ms = ?4,"
        " last_status = CASE WHEN ?3 THEN ?5 ELSE last_status END,"
        " last_outcome = CASE WHEN ?3 THEN ?6 ELSE last_outcome END,"
        " last_attempt = CASE WHEN ?3 THEN ?12 ELSE last_attempt END,"
        " finished_ms = ?7 WHERE num = ?1 AND state = ?8 AND due_ms = ?9"
        " AND attempts = ?10 AND job = ?11",
        "liiliililill", d->num, (int)state, (int)s->has_attempt,
        s->to == SETTLE_RETRY ? s->due_ms : d->due_ms, s->attempt.status, (int)s->attempt.outcome,
        over ? s->now_ms : (int64_t)0, (int)d->state, d->due_ms, d->attempts, d->job, attempt);
    if (code == OK)
        *moved = sq_changes(q) == 1;
    return code;
}

/* What the claim saw is all that it takes to deliver or to retry one that stands in no line and is no
 * copy, if it stands so still: each reopening has a job of its own. */
static bool seen_enough(const struct settlement *s, struct sq_open_delivery *d)
{
    const struct claimed *c = s->seen;
    if (c == NULL || s->to == SETTLE_DEAD || c->event.ordering_key != NULL ||
        c->delivery.original != 0)
        return false;
    *d = (struct sq_open_delivery){.num = s->delivery,
                                   .event = c->delivery.event,
                                   .sub = c->delivery.sub,
                                   .due_ms = c->delivery.due_ms,
                                   .job = c->delivery.job,
                                   .expires_ms = c->event.expires_ms,
                                   .since_ms = c->delivery.budget_since_ms,
                                   .last_attempt = c->delivery.last_attempt,
                                   .state = c->delivery.state,
                                   .attempts = c->delivery.attempts,
                                   .budget_start = c->delivery.budget_start,
                                   .trial = c->delivery.trial};
    return sq_is_open(d->state);
}

/* Moves the delivery's row; *d is as it was before. */
static enum err_code settle_open(struct sq *q, const struct settlement *s, int64_t attempt,
                                 struct sq_open_delivery *d, struct err *err)
{
    bool moved = false;
    enum err_code code = OK;
    if (seen_enough(s, d))
        code = settle_row(q, s, attempt, d, &moved, err);
    if (code != OK || moved)
        return code;
    code = sq_delivery_load(q, s->delivery, d, err);
    if (code == OK && !sq_is_open(d->state))
        code = fail(err, ERR_STALE, "the delivery is over already");
    return code == OK ? settle_row(q, s, attempt, d, &moved, err) : code;
}

static enum err_code settle_delivered(struct sq *q, const struct sq_open_delivery *d,
                                      int64_t now_ms, struct settled *out, struct err *err)
{
    enum err_code code = close_open(q, d, err);
    if (code == OK && d->line != NULL)
        code = sq_line_leave(q, d, now_ms, &out->next_due_ms, err);
    if (code == OK)
        code = sq_part_count(q, d, PART_DELIVERED, err);
    if (code == OK && d->copy)
        code = sq_event_unused(q, d->event, err);
    return code == OK ? sq_count_move(q, d->sub, d->state, DELIVERY_DELIVERED, err) : code;
}

static enum err_code settle_retry(struct sq *q, const struct sq_open_delivery *d, int64_t due_ms,
                                  struct err *err)
{
    enum err_code code = sq_ready_delete(q, d, err);
    if (code == OK)
        code = sq_ready_put(q, d->sub, due_ms, d->num, d->since_ms, err);
    if (code == OK)
        code = sq_part_count(q, d, PART_GOES_ON, err);
    if (code == OK && d->state != DELIVERY_RETRYING)
        code = sq_count_move(q, d->sub, d->state, DELIVERY_RETRYING, err);
    return code;
}

enum err_code sq_settle(struct backend *b, const struct settlement *s, int64_t dead_expires_ms,
                        struct settled *out, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_open_delivery d = {0};
    struct settled r = {0};
    int64_t row = 0;
    enum err_code code = s->has_attempt ? sq_attempt_row(q, &row, err) : OK;
    if (code == OK)
        code = settle_open(q, s, row, &d, err);
    r.job = d.job;
    if (code == OK && s->has_attempt)
        code = sq_attempt_put(q, &s->attempt, d.num, d.attempts + 1, s->attempt.job, row,
                              d.last_attempt, err);
    if (code == OK) {
        switch (s->to) {
        case SETTLE_DELIVERED:
            code = settle_delivered(q, &d, s->now_ms, &r, err);
            break;
        case SETTLE_RETRY:
            code = settle_retry(q, &d, s->due_ms, err);
            break;
        case SETTLE_DEAD:
            code = sq_die(q, &d, s->cause, s->now_ms, dead_expires_ms, &r, err);
            break;
        }
    }
    free(d.line);
    if (code == OK)
        *out = r;
    return code;
}

enum err_code sq_attempt_late(struct backend *b, const struct attempt *a, struct err *err)
{
    struct sq *q = sq_of(b);
    int64_t arrival = 0, row = 0;
    struct sq_open_delivery d;
    enum err_code code = sq_delivery_load(q, a->delivery, &d, err);
    if (code == OK)
        code = sq_attempt_row(q, &row, err);
    if (code == OK)
        code = sq_attempt_put(q, a, d.num, d.attempts + 1, a->job, row, d.last_attempt, err);
    if (code == OK)
        code = sq_run(q, SQ_LATE, err,
                      "UPDATE delivery SET attempts = attempts + 1, last_status = ?2,"
                      " last_outcome = ?3, last_attempt = ?4 WHERE num = ?1",
                      "liil", d.num, a->status, (int)a->outcome, row);
    if (code == OK && d.state == DELIVERY_DEAD)
        code = sq_arrival(q, &arrival, err); /* a filter may name it now that did not before */
    if (code == OK && d.state == DELIVERY_DEAD)
        code = sq_run(q, SQ_LATE_LETTER, err,
                      "UPDATE dead SET attempts = attempts + 1, last_status = ?2,"
                      " last_outcome = ?3, arrival = ?4 WHERE num = ?1",
                      "liil", d.num, a->status, (int)a->outcome, arrival);
    free(d.line);
    return code;
}

/* ---- kill ---- */
static enum err_code kill_all(struct sq *q, const int64_t *nums, size_t n, enum cause cause,
                              int64_t now_ms, int64_t dead_expires_ms, size_t *killed,
                              struct err *err)
{
    enum err_code code = OK;
    for (size_t i = 0; code == OK && i < n; i++) {
        struct sq_open_delivery d;
        struct settled ignored = {0};
        code = sq_delivery_load(q, nums[i], &d, err);
        if (code == OK && sq_is_open(d.state)) {
            code = sq_die(q, &d, cause, now_ms, dead_expires_ms, &ignored, err);
            (*killed)++;
        }
        free(d.line);
    }
    return code;
}

/* "Created" is the start of the budget: a letter replayed today is not killed for its age. A trial,
 * due at 1 (TRIAL_DUE_MS), is old by its look alone. */
struct kill_way {
    enum sq_slot slot;
    const char *sql; /* ?1 sub, ?2 before, ?3 limit, ?4 rows to look at */
};
static const struct kill_way KILL_WAYS[] = {
    {SQ_KILL_READY, "SELECT num FROM ready WHERE sub = ?1 AND due < ?2"
                    " AND (due > 1 OR ?2 = 9223372036854775807) ORDER BY due, num"
                    " LIMIT min(?3, ?4)"},
    {SQ_KILL_LATER, "SELECT num FROM (SELECT num, since_ms FROM ready WHERE sub = ?1"
                    " AND due >= ?2 LIMIT ?4) WHERE since_ms < ?2 LIMIT ?3"},
    {SQ_KILL_LINE, "SELECT l.num FROM lineup l CROSS JOIN delivery d ON d.num = l.num"
                   " WHERE l.sub = ?1 AND l.created_ms < ?2 AND d.state IN (0, 2)"
                   " AND d.budget_since_ms < ?2"
                   " LIMIT min(?3, ?4)"},
};

enum err_code sq_kill(struct backend *b, int64_t sub, int64_t before_ms, enum cause cause,
                      size_t limit, int64_t now_ms, int64_t dead_expires_ms, size_t *n,
                      struct err *err)
{
    struct sq *q = sq_of(b);
    size_t killed = 0;
    enum err_code code = OK;
    int64_t *nums = calloc(limit > 0 ? limit : 1, sizeof(*nums));
    if (nums == NULL)
        return fail(err, ERR_NOMEM, "no memory to kill");
    for (size_t i = 0; code == OK && i < sizeof(KILL_WAYS) / sizeof(KILL_WAYS[0]); i++) {
        sqlite3_stmt *st;
        size_t got = 0;
        if (killed >= limit)
            break;
        code = sq_open(q, KILL_WAYS[i].slot, &st, err, KILL_WAYS[i].sql, "llli", sub, before_ms,
                       (int64_t)(limit - killed), (int)KILL_SCAN_MAX);
        if (code == OK)
            code = sq_take_nums(q, st, limit - killed, nums, &got, err);
        if (code == OK)
            code = kill_all(q, nums, got, cause, now_ms, dead_expires_ms, &killed, err);
    }
    free(nums);
    if (code == OK)
        *n = killed;
    return code;
}

/* Walks a slice of what has expired, from where the last slice ended: those that a lane will claim
 * by itself are passed over, however many they are. */
static enum err_code expired_slice(struct sq *q, bool everyone, size_t limit, int64_t now_ms,
                                   int64_t *nums, size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    size_t looked = 0;
    *n = 0;
    enum err_code code = sq_open(
        q, SQ_EXPIRED_SCAN, &st, err,
        "SELECT x.expires_ms, x.num, ?4 OR s.num IS NULL OR " SQ_HELD " OR (d.line IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM ready r WHERE r.sub = d.sub AND r.due = d.due_ms"
        " AND r.num = d.num)) FROM expiring x CROSS JOIN delivery d ON d.num = x.num"
        " LEFT JOIN subscription s ON s.num = d.sub WHERE x.expires_ms <= ?1"
        " AND (x.expires_ms, x.num) > (?2, ?3) ORDER BY x.expires_ms, x.num",
        "llli", now_ms, q->expired_ms, q->expired_num, (int)everyone);
    while (code == OK && *n < limit && looked < EXPIRED_SCAN_MAX &&
           (code = sq_next(q, st, err)) == OK) {
        looked++;
        q->expired_ms = sqlite3_column_int64(st, 0);
        q->expired_num = sqlite3_column_int64(st, 1);
        if (sqlite3_column_int(st, 2) != 0)
            nums[(*n)++] = q->expired_num;
    }
    if (code == OK)
        sq_done(st);
    if (code == ERR_NOT_FOUND)
        q->expired_ms = q->expired_num = 0; /* the end: begin anew next time */
    return code == ERR_NOT_FOUND ? OK : code;
}

enum err_code sq_kill_expired(struct backend *b, bool everyone, size_t limit, int64_t now_ms,
                              int64_t dead_expires_ms, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    size_t got = 0, killed = 0;
    int64_t *nums = calloc(limit > 0 ? limit : 1, sizeof(*nums));
    if (nums == NULL)
        return fail(err, ERR_NOMEM, "no memory to kill");
    bool middle = q->expired_ms != 0;
    enum err_code code = expired_slice(q, everyone, limit, now_ms, nums, &got, err);
    if (code == OK && got == 0 && middle && q->expired_ms == 0)
        code = expired_slice(q, everyone, limit, now_ms, nums, &got, err);
    if (code == OK)
        code = kill_all(q, nums, got, CAUSE_EXPIRED, now_ms, dead_expires_ms, &killed, err);
    free(nums);
    if (code == OK)
        *n = killed;
    return code;
}

enum err_code sq_next_expiry(struct backend *b, int64_t now_ms, int64_t *at_ms, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    *at_ms = q->expired_ms; /* where the walk stands */
    if (q->expired_ms != 0)
        return OK;
    *at_ms = INT64_MAX;
    enum err_code code = sq_open(
        q, SQ_EXPIRED_NEXT, &st, err,
        "SELECT expires_ms FROM expiring WHERE expires_ms > ?1 ORDER BY 1 LIMIT 1", "l", now_ms);
    if (code == OK && (code = sq_next(q, st, err)) == OK) {
        *at_ms = sqlite3_column_int64(st, 0);
        sq_done(st);
    }
    return code == ERR_NOT_FOUND ? OK : code;
}
