/* store/backend_sqlite_purge.c: dead letters go, and come back while that can be.
 *
 *   dead, row in `dead` --purge--> discarded, row in `purged` --until_ms--> erased
 *                       <-restore-
 *
 * A row of `purged` stands only while its delivery is discarded: whatever else becomes of the
 * delivery (it is sent again, imported again) takes the row away. The payload stays sealed and
 * bound to the same number on the way, so it is moved without being opened. */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

/* The columns that `dead` and `purged` have in common, in one order. */
#define LETTER_COLS                                                                                \
    "num, sub, sub_name, sub_url, event_id, partner, partner_name, type, ordering_key,"            \
    " correlation_id, source, version, attributes, deliver_after_ms, event_expires_ms,"            \
    " created_ms, accepted_ms, outbox, seq, payload_bytes, cause, attempts, last_status,"          \
    " last_outcome, died_ms, note, payload"

static enum err_code keep_letter(struct sq *q, int64_t num, int64_t job, int64_t until_ms,
                                 struct err *err)
{
    return sq_run(q, SQ_PURGED_PUT, err,
                  "INSERT OR REPLACE INTO purged(" LETTER_COLS ", expires_ms, job, until_ms)"
                  " SELECT " LETTER_COLS ", expires_ms, ?2, ?3 FROM dead WHERE num = ?1",
                  "lll", num, job, until_ms);
}

enum err_code sq_dead_purge(struct backend *b, int64_t num, int64_t job, int64_t until_ms,
                            int64_t now_ms, struct settled *out, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_open_delivery d;
    struct settled r = {0};
    enum err_code code = sq_dead_load(q, num, &d, err);
    if (code == OK)
        code = sq_run(q, SQ_DEAD_PURGED, err,
                      "UPDATE delivery SET state = 6, finished_ms = ?2 WHERE num = ?1"
                      " AND state = 5",
                      "ll", num, now_ms);
    if (code == OK && until_ms > now_ms)
        code = keep_letter(q, num, job, until_ms, err);
    if (code == OK)
        code = sq_letter_delete(q, num, err);
    if (code == OK)
        code = sq_line_leave(q, &d, now_ms, &r.next_due_ms, err);
    if (code == OK)
        code = sq_count_move(q, d.sub, DELIVERY_DEAD, DELIVERY_DISCARDED, err);
    free(d.line);
    if (code == OK && out != NULL)
        *out = r;
    return code;
}

enum err_code sq_purged_delete(struct sq *q, int64_t num, struct err *err)
{
    return sq_run(q, SQ_PURGED_DEL, err, "DELETE FROM purged WHERE num = ?1", "l", num);
}

static void read_purged(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct purged *p = row;
    (void)a;
    (void)bad;
    memset(p, 0, sizeof(*p));
    p->num = sqlite3_column_int64(st, 0);
    p->sub = sqlite3_column_int64(st, 1);
    p->until_ms = sqlite3_column_int64(st, 2);
}

enum err_code sq_purged_list(struct backend *b, int64_t job, int64_t now_ms, int64_t after_num,
                             size_t limit, struct arena *a, struct purged **out, size_t *n,
                             struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code = sq_open(q, SQ_PURGED_LIST, &st, err,
                                 "SELECT num, sub, until_ms FROM purged WHERE job = ?1"
                                 " AND num > ?3 AND until_ms > ?2 ORDER BY num LIMIT ?4",
                                 "llll", job, now_ms, after_num, (int64_t)limit);
    if (code == OK)
        code = sq_take_all(q, st, read_purged, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_purged_count(struct backend *b, int64_t job, int64_t now_ms, int64_t *count,
                              int64_t *payload_bytes, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_PURGED_COUNT, &st, err,
                                "SELECT count(*), ifnull(sum(payload_bytes), 0) FROM purged"
                                " WHERE job = ?1 AND until_ms > ?2",
                                "ll", job, now_ms);
    if (code != OK)
        return code;
    *count = sqlite3_column_int64(st, 0);
    *payload_bytes = sqlite3_column_int64(st, 1);
    sq_done(st);
    return OK;
}

enum err_code sq_dead_restore(struct backend *b, int64_t num, int64_t now_ms, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    int64_t sub = 0, arrival = 0;
    enum err_code code =
        sq_row(q, SQ_PURGED_GET, &st, err,
               "SELECT sub FROM purged WHERE num = ?1 AND until_ms > ?2", "ll", num, now_ms);
    if (code == OK) {
        sub = sqlite3_column_int64(st, 0);
        sq_done(st);
        code = sq_run(q, SQ_RESTORE, err,
                      "UPDATE delivery SET state = 5, finished_ms = (SELECT died_ms FROM purged"
                      " WHERE num = ?1) WHERE num = ?1 AND state = 6",
                      "l", num);
    }
    if (code == ERR_NOT_FOUND || (code == OK && sq_changes(q) == 0))
        return fail(err, ERR_STALE, "it was not purged, or its grace is over");
    if (code == OK)
        code = sq_arrival(q, &arrival, err);
    if (code == OK)
        code = sq_run(q, SQ_RESTORE_DEAD, err,
                      "INSERT OR REPLACE INTO dead(" LETTER_COLS ", expires_ms, arrival)"
                      " SELECT " LETTER_COLS ", max(expires_ms, until_ms), ?2 FROM purged"
                      " WHERE num = ?1",
                      "ll", num, arrival);
    if (code == OK) /* an attempt that was under way at the purge may have come in since */
        code = sq_run(q, SQ_RESTORE_NOW, err,
                      "UPDATE dead SET (attempts, last_status, last_outcome) = (SELECT attempts,"
                      " last_status, last_outcome FROM delivery WHERE num = ?1) WHERE num = ?1",
                      "l", num);
    if (code == OK)
        code = sq_purged_delete(q, num, err);
    return code == OK ? sq_count_move(q, sub, DELIVERY_DISCARDED, DELIVERY_DEAD, err) : code;
}
