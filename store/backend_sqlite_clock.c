/* store/backend_sqlite_clock.c: deliveries from the future, where the clock was set back.
 *
 * Read from the last due time down: what was planned by a clock that was ahead lies there, and the
 * first one that is right ends the walk, so that a store whose clock was never set back costs a
 * look at one row a subscription. */
#include "store/backend_sqlite.h"

#include <stdlib.h>

enum err_code sq_due_now(struct sq *q, const struct sq_open_delivery *d, int64_t now_ms,
                         struct err *err)
{
    int64_t since_ms = d->since_ms < now_ms ? d->since_ms : now_ms;
    enum err_code code = sq_ready_delete(q, d, err);
    if (code == OK)
        code = sq_run(q, SQ_DUE_NOW, err,
                      "UPDATE delivery SET due_ms = ?2, budget_since_ms = ?3 WHERE num = ?1", "lll",
                      d->num, now_ms, since_ms);
    return code == OK ? sq_ready_put(q, d->sub, now_ms, d->num, since_ms, err) : code;
}

static enum err_code scan(struct sq *q, int64_t sub, int64_t now_ms, int64_t far_ms, size_t limit,
                          struct ready_at *at, int64_t *nums, size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    bool right = false;
    *n = 0;
    enum err_code code =
        sq_open(q, SQ_FUTURE_SCAN, &st, err,
                "SELECT r.due, r.num, e.deliver_after_ms = r.due,"
                " r.since_ms > ?2 OR r.due > ?3 OR coalesce((SELECT a.started_ms FROM attempt a"
                " WHERE a.row = d.last_attempt AND a.delivery = r.num), 0) > ?2"
                " FROM ready r CROSS JOIN delivery d ON d.num = r.num"
                " CROSS JOIN event e ON e.num = d.event"
                " WHERE r.sub = ?1 AND r.due > ?2 AND (r.due, r.num) < (?4, ?5)"
                " ORDER BY r.due DESC, r.num DESC",
                "lllll", sub, now_ms, far_ms, at->due_ms, at->num);
    for (size_t i = 0; code == OK && !right && i < limit && (code = sq_next(q, st, err)) == OK;
         i++) {
        at->due_ms = sqlite3_column_int64(st, 0);
        at->num = sqlite3_column_int64(st, 1);
        if (sqlite3_column_int(st, 2) != 0)
            continue; /* whoever asked for that time meant it */
        right = sqlite3_column_int(st, 3) == 0;
        if (!right)
            nums[(*n)++] = at->num;
    }
    if (code == OK)
        sq_done(st);
    if (right || code == ERR_NOT_FOUND)
        *at = (struct ready_at){0, 0};
    return code == ERR_NOT_FOUND ? OK : code;
}

enum err_code sq_bring_back(struct backend *b, int64_t sub, int64_t now_ms, int64_t far_ms,
                            size_t limit, struct ready_at *at, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    int64_t *nums = calloc(limit > 0 ? limit : 1, sizeof(*nums));
    if (nums == NULL)
        return fail(err, ERR_NOMEM, "no memory for deliveries");
    enum err_code code = scan(q, sub, now_ms, far_ms, limit, at, nums, n, err);
    for (size_t i = 0; code == OK && i < *n; i++) {
        struct sq_open_delivery d;
        code = sq_delivery_load(q, nums[i], &d, err);
        if (code == OK)
            code = sq_due_now(q, &d, now_ms, err);
        free(d.line);
    }
    free(nums);
    return code;
}
