/* store/backend_sqlite_line.c: the line of an ordering key.
 *
 * Of a (subscription, key) all deliveries that have not left stand in `lineup`; only the
 * first may be in `ready`. A delivered one leaves; a dead one leaves too, or with on_dead=block
 * stays and holds the others until it is purged or its replay is delivered. */
#include "store/backend_sqlite.h"

/* Whoever stands first in the line may go, unless dead (block) or in `ready` already. One that was put in line by a clock that was ahead is due now all the same. */
static enum err_code line_advance(struct sq *q, int64_t sub, const char *key, int64_t now_ms,
                                  int64_t *next_due_ms, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_LINE_NEXT, &st, err,
                                "SELECT d.num, d.due_ms, d.state, d.budget_since_ms FROM delivery d"
                                " WHERE d.num = (SELECT num FROM lineup WHERE sub = ?1"
                                " AND key = ?2 ORDER BY num LIMIT 1)",
                                "lt", sub, key);
    if (code != OK)
        return code == ERR_NOT_FOUND ? OK : code;
    struct sq_open_delivery d = {.sub = sub,
                                 .num = sqlite3_column_int64(st, 0),
                                 .due_ms = sqlite3_column_int64(st, 1),
                                 .since_ms = sqlite3_column_int64(st, 3)};
    bool open = sq_is_open((enum delivery_state)sqlite3_column_int(st, 2));
    bool early = d.due_ms > now_ms && d.since_ms > now_ms;
    sq_done(st);
    if (!open)
        return OK;
    code = early ? sq_due_now(q, &d, now_ms, err)
                 : sq_ready_put(q, sub, d.due_ms, d.num, d.since_ms, err);
    if (code == OK && next_due_ms != NULL)
        *next_due_ms = early ? now_ms : d.due_ms;
    return code;
}

enum err_code sq_line_leave(struct sq *q, const struct sq_open_delivery *d, int64_t now_ms,
                            int64_t *next_due_ms, struct err *err)
{
    if (d->line == NULL)
        return OK;
    enum err_code code =
        sq_run(q, SQ_LINE_DEL, err, "DELETE FROM lineup WHERE sub = ?1 AND key = ?2 AND num = ?3",
               "ltl", d->sub, d->line, d->num);
    if (code == OK)
        code = sq_run(q, SQ_UNLINE, err, "UPDATE delivery SET line = NULL WHERE num = ?1", "l",
                      d->num);
    return code == OK ? line_advance(q, d->sub, d->line, now_ms, next_due_ms, err) : code;
}

enum err_code sq_line_blocks(struct sq *q, int64_t sub, bool *out, struct err *err)
{
    sqlite3_stmt *st;
    *out = false;
    enum err_code code = sq_row(q, SQ_DEAD_SUB_STATE, &st, err,
                                "SELECT on_dead_block AND state <> 3 FROM subscription"
                                " WHERE num = ?1",
                                "l", sub);
    if (code == OK) {
        *out = sqlite3_column_int(st, 0) != 0;
        sq_done(st);
    }
    return code == ERR_NOT_FOUND ? OK : code;
}
