/* store/backend_sqlite_retain.c: what retention deletes, a slice at a time.
 *
 * Rows are walked in order of their number, which is the order of their age, from where the last
 * slice ended: what must stay (dead letters, open ones) is passed over once a round, not each time.
 * At the end the walk begins anew. A slice looks at SCAN_MAX rows at most. */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

enum { SCAN_MAX = 1024 };

/* ---- a walk ---- */
struct walk {
    enum sq_slot slot;
    const char *sql; /* SELECT num, doomed FROM … WHERE num > ?1 ORDER BY num; ?2 is before_ms */
    int64_t *at;
};

/* Fills nums with up to limit doomed rows of the next slice. */
static enum err_code walk_slice(struct sq *q, const struct walk *w, int64_t before_ms, size_t limit,
                                int64_t *nums, size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    size_t looked = 0;
    *n = 0;
    enum err_code code = sq_open(q, w->slot, &st, err, w->sql, "ll", *w->at, before_ms);
    while (code == OK && *n < limit && looked < SCAN_MAX && (code = sq_next(q, st, err)) == OK) {
        looked++;
        *w->at = sqlite3_column_int64(st, 0);
        if (sqlite3_column_int(st, 1) != 0)
            nums[(*n)++] = *w->at;
    }
    if (code == OK)
        sq_done(st);
    if (code == ERR_NOT_FOUND)
        *w->at = 0;
    return code == ERR_NOT_FOUND ? OK : code;
}

static enum err_code walk(struct sq *q, const struct walk *w, int64_t before_ms, size_t limit,
                          int64_t *nums, size_t *n, struct err *err)
{
    bool middle = *w->at != 0;
    enum err_code code = walk_slice(q, w, before_ms, limit, nums, n, err);
    if (code == OK && *n == 0 && middle && *w->at == 0)
        code = walk_slice(q, w, before_ms, limit, nums, n, err);
    return code;
}

/* ---- deliveries and events ---- */
/* Its id stays remembered in `seen` for as long as it was promised. */
static enum err_code event_delete(struct sq *q, int64_t num, struct err *err)
{
    enum err_code code =
        sq_run(q, SQ_RETAIN_EVENT_SEEN, err,
               "INSERT OR REPLACE INTO seen SELECT substr(digest, 1, 16), substr(digest, 17),"
               " seen_until_ms FROM event WHERE num = ?1 AND digest IS NOT NULL",
               "l", num);
    if (code == OK)
        code = sq_run(q, SQ_RETAIN_EVENT_DEL, err, "DELETE FROM event WHERE num = ?1", "l", num);
    return code;
}

static enum err_code event_drop_unused(struct sq *q, int64_t event, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_RETAIN_EVENT_USED, &st, err,
                                "SELECT 1 FROM delivery WHERE event = ?1 LIMIT 1", "l", event);
    if (code == OK) {
        sq_done(st);
        return sq_event_unused(q, event, err); /* only dead ones are left: they have their own */
    }
    return code == ERR_NOT_FOUND ? event_delete(q, event, err) : code;
}

static enum err_code delivery_delete(struct sq *q, int64_t num, struct err *err)
{
    struct sq_open_delivery d;
    enum err_code code = sq_delivery_load(q, num, &d, err);
    if (code == OK)
        code = sq_attempts_delete(q, num, err);
    if (code == OK)
        code = sq_run(q, SQ_DEED_DEL, err, "DELETE FROM deed WHERE delivery = ?1", "l", num);
    if (code == OK)
        code =
            sq_run(q, SQ_RETAIN_DELIVERY_DEL, err, "DELETE FROM delivery WHERE num = ?1", "l", num);
    if (code == OK)
        code = event_drop_unused(q, d.event, err);
    if (code == OK)
        code = sq_count(q, d.sub, d.state, -1, err);
    free(d.line);
    return code;
}

static enum err_code retain_deliveries(struct sq *q, int64_t before_ms, size_t limit, int64_t *nums,
                                       size_t *done, struct err *err)
{
    const struct walk over = {
        SQ_RETAIN_OVER,
        "SELECT num, state IN (4, 6) AND finished_ms < ?2 AND (state = 4 OR NOT EXISTS"
        " (SELECT 1 FROM purged p WHERE p.num = delivery.num)) FROM delivery WHERE num > ?1"
        " ORDER BY num",
        &q->over_at};
    const struct walk lonely = {
        SQ_RETAIN_EVENTS,
        "SELECT e.num, e.accepted_ms < ?2 AND NOT EXISTS (SELECT 1 FROM delivery d"
        " WHERE d.event = e.num) FROM event e WHERE e.num > ?1 ORDER BY e.num",
        &q->event_at};
    size_t n = 0;
    enum err_code code = walk(q, &over, before_ms, limit, nums, &n, err);
    for (size_t i = 0; code == OK && i < n; i++)
        code = delivery_delete(q, nums[i], err);
    *done = n;
    if (code != OK || n >= limit)
        return code;
    code = walk(q, &lonely, before_ms, limit - n, nums, &n, err);
    for (size_t i = 0; code == OK && i < n; i++)
        code = event_delete(q, nums[i], err);
    *done += n;
    return code;
}

static enum err_code retain_attempts(struct sq *q, int64_t before_ms, size_t limit, int64_t *nums,
                                     size_t *done, struct err *err)
{
    const struct walk old = {
        SQ_RETAIN_ATTEMPTS,
        "SELECT a.row, a.started_ms < ?2 AND ifnull((SELECT d.state = 4 OR (d.state = 6"
        " AND NOT EXISTS (SELECT 1 FROM purged p WHERE p.num = d.num)) FROM delivery d"
        " WHERE d.num = a.delivery), 1) FROM attempt a WHERE a.row > ?1 ORDER BY a.row",
        &q->attempt_at};
    enum err_code code = walk(q, &old, before_ms, limit, nums, done, err);
    for (size_t i = 0; code == OK && i < *done; i++)
        code = sq_attempt_delete(q, nums[i], err);
    return code;
}

/* ---- dead letters ---- */
static enum err_code retain_dead(struct sq *q, int64_t before_ms, size_t limit, int64_t *nums,
                                 size_t *done, struct err *err)
{
    sqlite3_stmt *st;
    size_t n = 0;
    enum err_code code = sq_open(q, SQ_RETAIN_DEAD, &st, err,
                                 "SELECT num FROM dead WHERE expires_ms <= ?1 ORDER BY expires_ms"
                                 " LIMIT ?2",
                                 "ll", before_ms, (int64_t)limit);
    if (code == OK)
        code = sq_take_nums(q, st, limit, nums, &n, err);
    for (size_t i = 0; code == OK && i < n; i++)
        code = sq_dead_purge(&q->base, nums[i], 0, 0, before_ms, NULL, err);
    *done = n;
    return code;
}

/* ---- the simple ones ---- */
static enum err_code delete_some(struct sq *q, enum sq_slot slot, const char *sql,
                                 int64_t before_ms, size_t limit, size_t *done, struct err *err)
{
    enum err_code code = sq_run(q, slot, err, sql, "ll", before_ms, (int64_t)limit);
    if (code == OK)
        *done += (size_t)sq_changes(q);
    return code;
}

static enum err_code retain_seen(struct sq *q, int64_t before_ms, size_t limit, size_t *done,
                                 struct err *err)
{
    enum err_code code = delete_some(q, SQ_RETAIN_SEEN,
                                     "DELETE FROM seen WHERE id_digest IN (SELECT id_digest"
                                     " FROM seen WHERE until_ms <= ?1 LIMIT ?2)",
                                     before_ms, limit, done, err);
    if (code != OK || *done >= limit)
        return code;
    return delete_some(q, SQ_RETAIN_SEEN_EVENT,
                       "UPDATE event SET digest = NULL WHERE num IN (SELECT num FROM event"
                       " WHERE digest IS NOT NULL AND seen_until_ms <= ?1 LIMIT ?2)",
                       before_ms, limit - *done, done, err);
}

/* Only a clock that was ahead can have written what is after before_ms by more than is ever kept. */
static enum err_code retain_traffic(struct sq *q, int64_t before_ms, size_t limit, size_t *done,
                                    struct err *err)
{
    enum err_code code =
        sq_run(q, SQ_RETAIN_TRAFFIC, err,
               "DELETE FROM traffic WHERE (minute_ms, sub) IN (SELECT minute_ms, sub FROM traffic"
               " WHERE minute_ms < ?1 UNION ALL SELECT minute_ms, sub FROM traffic"
               " WHERE minute_ms > ?2 LIMIT ?3)",
               "lll", before_ms, before_ms + 2 * TRAFFIC_KEPT_MS, (int64_t)limit);
    if (code == OK)
        *done += (size_t)sq_changes(q);
    return code;
}

static enum err_code retain(struct sq *q, enum retain_what what, int64_t before_ms, size_t limit,
                            int64_t *nums, size_t *done, struct err *err)
{
    switch (what) {
    case RETAIN_DELIVERED:
        return retain_deliveries(q, before_ms, limit, nums, done, err);
    case RETAIN_ATTEMPTS:
        return retain_attempts(q, before_ms, limit, nums, done, err);
    case RETAIN_DEAD:
        return retain_dead(q, before_ms, limit, nums, done, err);
    case RETAIN_PURGED:
        return delete_some(q, SQ_RETAIN_PURGED,
                           "DELETE FROM purged WHERE num IN (SELECT num FROM purged"
                           " WHERE until_ms <= ?1 ORDER BY until_ms LIMIT ?2)",
                           before_ms, limit, done, err);
    case RETAIN_AUDIT: /* numbers are in the order of time: no index on created_ms is needed */
        return delete_some(q, SQ_RETAIN_AUDIT,
                           "DELETE FROM audit WHERE num IN (SELECT num FROM (SELECT num,"
                           " created_ms FROM audit ORDER BY num LIMIT ?2) WHERE created_ms < ?1)",
                           before_ms, limit, done, err);
    case RETAIN_SEEN:
        return retain_seen(q, before_ms, limit, done, err);
    case RETAIN_SECRETS:
        return delete_some(q, SQ_RETAIN_SECRETS,
                           "DELETE FROM secret WHERE num IN (SELECT num FROM secret"
                           " WHERE expires_ms <> 0 AND expires_ms <= ?1 LIMIT ?2)",
                           before_ms, limit, done, err);
    case RETAIN_TRAFFIC:
        return retain_traffic(q, before_ms, limit, done, err);
    case RETAINS:
        break;
    }
    return fail(err, ERR_INVALID, "no such retention");
}

enum err_code sq_retain(struct backend *b, enum retain_what what, int64_t before_ms, size_t limit,
                        size_t *n, struct err *err)
{
    size_t done = 0;
    int64_t *nums = calloc(limit > 0 ? limit : 1, sizeof(*nums));
    if (nums == NULL)
        return fail(err, ERR_NOMEM, "no memory for retention");
    enum err_code code = retain(sq_of(b), what, before_ms, limit, nums, &done, err);
    free(nums);
    if (code == OK)
        *n = done;
    return code;
}
