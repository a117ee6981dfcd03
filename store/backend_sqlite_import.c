/* store/backend_sqlite_import.c: an exported dead letter comes back: delivery, event, letter,
 * attempts.
 *
 * Numbers of two stores practically never meet (base/id.h), so the letter keeps its own. Its event
 * is the one of that id where there is one; else a row without payload is made for it, so that
 * every delivery has an event to be listed with. */
#include "store/backend_sqlite.h"

#include <string.h>

/* What of the letter has to be found in this store. */
struct import {
    const struct dead_letter *l;
    const char *event_id, *type;
    int64_t num, sub, event, partner;
    bool was_here; /* discarded, or dead without a subscription */
    int was_state;
    int64_t was_of; /* the subscription that it counts for so far */
};

static enum err_code look_delivery(struct sq *q, struct import *im, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_IMPORT_STATE, &st, err,
                                "SELECT d.state, d.event, e.id = ?2, d.sub FROM delivery d"
                                " LEFT JOIN event e ON e.num = d.event WHERE d.num = ?1",
                                "lt", im->num, im->event_id);
    if (code != OK)
        return code == ERR_NOT_FOUND ? OK : code;
    int state = im->was_state = sqlite3_column_int(st, 0);
    bool same = sqlite3_column_int(st, 2) != 0;
    im->event = sqlite3_column_int64(st, 1);
    im->was_of = sqlite3_column_int64(st, 3);
    sq_done(st);
    /* One that came before its subscription is bound by coming again. */
    bool orphan = state == DELIVERY_DEAD && im->was_of == 0 && im->sub != 0;
    if (state == DELIVERY_DEAD && same && !orphan)
        return fail(err, ERR_EXISTS, "it is here already");
    if ((state != DELIVERY_DISCARDED && !orphan) || !same)
        return fail(err, ERR_INVALID, "its number is that of another delivery, which is %s",
                    delivery_state_name((enum delivery_state)state));
    im->was_here = true;
    return OK;
}

static enum err_code look_num(struct sq *q, enum sq_slot slot, const char *sql, const char *name,
                              int64_t *num, struct err *err)
{
    sqlite3_stmt *st;
    if (name == NULL)
        return OK;
    enum err_code code = sq_row(q, slot, &st, err, sql, "t", name);
    if (code != OK)
        return code == ERR_NOT_FOUND ? OK : code;
    *num = sqlite3_column_int64(st, 0);
    sq_done(st);
    return OK;
}

static enum err_code look_sub(struct sq *q, struct import *im, struct err *err)
{
    enum sub_state any;
    im->sub = im->l->sub_num;
    if (im->sub != 0) {
        enum err_code code = sq_sub_state(q, im->sub, &any, err);
        if (code != ERR_NOT_FOUND)
            return code;
    }
    return look_num(q, SQ_IMPORT_SUB, "SELECT num FROM subscription WHERE name = ?1 AND state <> 3",
                    im->l->sub_name, &im->sub, err);
}

static enum err_code look_event(struct sq *q, struct import *im, struct err *err)
{
    const struct event_rec *e = &im->l->event;
    sqlite3_stmt *st;
    if (im->event != 0)
        return OK;
    /* The same id is the same event only where the content is the same (as far as it is known). */
    enum err_code code = sq_row(q, SQ_IMPORT_EVENT, &st, err,
                                "SELECT num FROM event WHERE id = ?1 AND type = ?2"
                                " AND payload_bytes = ?3 AND (payload IS NULL OR payload = ?4)"
                                " ORDER BY num DESC LIMIT 1",
                                "ttlb", im->event_id, im->type, (int64_t)e->payload_bytes,
                                e->payload, e->payload_bytes);
    if (code == OK) {
        im->event = sqlite3_column_int64(st, 0);
        sq_done(st);
    }
    return code == ERR_NOT_FOUND ? OK : code;
}

static enum err_code put_event(struct sq *q, struct import *im, struct err *err)
{
    const struct event_rec *e = &im->l->event;
    sqlite3_stmt *st;
    if (im->event != 0)
        return OK;
    /* A delivery's number is nobody's event number: both come from one source of ids. */
    im->event = e->num != 0 ? e->num : im->num;
    enum err_code code =
        sq_row(q, SQ_EVENT_NUM, &st, err, "SELECT 1 FROM event WHERE num = ?1", "l", im->event);
    if (code == OK) {
        sq_done(st);
        im->event = im->num;
    } else if (code != ERR_NOT_FOUND) {
        return code;
    }
    return sq_run(q, SQ_IMPORT_EVENT_PUT, err,
                  "INSERT OR IGNORE INTO event VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                  " ?11, ?12, ?13, ?14, ?15, ?16, NULL, 0, NULL)",
                  "ltltltttttlllltl", im->event, im->event_id, im->partner, im->type,
                  (int64_t)e->payload_bytes, e->ordering_key, e->correlation_id, e->source,
                  e->version, e->attributes, e->deliver_after_ms, e->expires_ms, e->created_ms,
                  e->accepted_ms, e->outbox, e->seq);
}

static enum err_code put_delivery(struct sq *q, const struct import *im, int64_t last_attempt,
                                  struct err *err)
{
    const struct delivery *d = &im->l->delivery;
    enum err_code code =
        sq_run(q, SQ_IMPORT_DELIVERY, err,
               "INSERT OR REPLACE INTO delivery(num, event, sub, state, cause, attempts,"
               " budget_start, budget_since_ms, due_ms, last_status, last_outcome, created_ms,"
               " finished_ms, job, expires_ms, last_attempt) VALUES(?1, ?2, ?3, 5, ?4, ?5, ?6, ?7,"
               " ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
               "llliiilliilllll", im->num, im->event, im->sub, (int)d->cause, d->attempts,
               d->budget_start, d->budget_since_ms, d->due_ms, d->last_status, (int)d->last_outcome,
               d->created_ms, im->l->died_ms, d->job, im->l->event.expires_ms, last_attempt);
    if (code == OK && im->was_here)
        code = sq_count(q, im->was_of, (enum delivery_state)im->was_state, -1, err);
    return code == OK ? sq_count(q, im->sub, DELIVERY_DEAD, 1, err) : code;
}

static enum err_code put_letter(struct sq *q, const struct import *im, struct err *err)
{
    const struct dead_letter *l = im->l;
    const struct event_rec *e = &l->event;
    struct buf sealed;
    int64_t arrival = 0;
    enum err_code code = sq_seal(q, "dead", im->num, e->payload, e->payload_bytes, &sealed, err);
    if (code == OK)
        code = sq_arrival(q, &arrival, err);
    if (code == OK)
        code = sq_run(q, SQ_IMPORT_DEAD, err,
                      "INSERT OR REPLACE INTO dead VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                      " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25,"
                      " ?26, ?27, ?28, ?29)",
                      "llttt"
                      "lttttttt"
                      "llll"
                      "tlliiiilltbl",
                      im->num, im->sub, l->sub_name, l->sub_url, im->event_id, im->partner,
                      e->partner_name, im->type, e->ordering_key, e->correlation_id, e->source,
                      e->version, e->attributes, e->deliver_after_ms, e->expires_ms, e->created_ms,
                      e->accepted_ms, e->outbox, e->seq, (int64_t)e->payload_bytes,
                      (int)l->delivery.cause, l->delivery.attempts, l->delivery.last_status,
                      (int)l->delivery.last_outcome, l->died_ms, l->expires_ms, l->note,
                      (const void *)sealed.data, sealed.len, arrival);
    buf_fini(&sealed);
    return code;
}

/* In the place of those that the delivery had; *last: the row of the last one, 0: there is none. */
static enum err_code put_attempts(struct sq *q, int64_t num, const struct attempt *attempts,
                                  size_t n, int64_t *last, struct err *err)
{
    enum err_code code = sq_attempts_delete(q, num, err);
    *last = 0;
    for (size_t i = 0; code == OK && i < n; i++) {
        int64_t row = 0;
        code = sq_attempt_row(q, &row, err);
        if (code == OK)
            code = sq_attempt_put(q, &attempts[i], num, attempts[i].n, attempts[i].job, row, *last,
                                  err);
        *last = row;
    }
    return code;
}

enum err_code sq_dead_import(struct backend *b, const struct dead_letter *l,
                             const struct attempt *attempts, size_t attempts_n, struct err *err)
{
    struct sq *q = sq_of(b);
    struct import im = {.l = l, .num = l->delivery.num, .partner = l->event.partner};
    int64_t last_attempt = 0;
    im.event_id = l->event.id != NULL ? l->event.id : l->delivery.event_id;
    im.type = l->event.type != NULL ? l->event.type : l->delivery.type;
    if (im.num <= 0 || im.event_id == NULL || im.type == NULL)
        return fail(err, ERR_INVALID, "a dead letter needs an id, an event id and a type");
    enum err_code code = look_sub(q, &im, err);
    if (code == OK)
        code = look_delivery(q, &im, err);
    if (code == OK)
        code = look_num(q, SQ_IMPORT_PARTNER, "SELECT num FROM partner WHERE name = ?1",
                        l->event.partner_name, &im.partner, err);
    if (code == OK)
        code = look_event(q, &im, err);
    if (code == OK)
        code = put_event(q, &im, err);
    if (code == OK)
        code = put_attempts(q, im.num, attempts, attempts_n, &last_attempt, err);
    if (code == OK)
        code = put_delivery(q, &im, last_attempt, err);
    if (code == OK)
        code = put_letter(q, &im, err);
    return code == OK && im.was_here ? sq_purged_delete(q, im.num, err) : code;
}
