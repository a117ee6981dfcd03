/* store/backend_sqlite_traffic.c: traffic by minute, the health of endpoints, how much is due.
 *
 * A minute's key begins with its time: a window over all subscriptions is one range, retention its
 * beginning, and a window of one subscription as many seeks as it has minutes. */
#include "store/backend_sqlite.h"

#include <string.h>

static const char ADD[] =
    "INSERT INTO traffic VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
    " ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)"
    " ON CONFLICT DO UPDATE SET ok = ok + ?3, failed = failed + ?4, retries = retries + ?5,"
    " dead = dead + ?6, b0 = b0 + ?7, b1 = b1 + ?8, b2 = b2 + ?9, b3 = b3 + ?10, b4 = b4 + ?11,"
    " b5 = b5 + ?12, b6 = b6 + ?13, b7 = b7 + ?14, b8 = b8 + ?15, b9 = b9 + ?16, b10 = b10 + ?17,"
    " b11 = b11 + ?18, b12 = b12 + ?19, b13 = b13 + ?20, b14 = b14 + ?21, b15 = b15 + ?22,"
    " b16 = b16 + ?23, b17 = b17 + ?24, b18 = b18 + ?25, b19 = b19 + ?26, b20 = b20 + ?27,"
    " b21 = b21 + ?28, b22 = b22 + ?29, b23 = b23 + ?30";
static const char SUM[] =
    "SELECT 0, sub, sum(ok), sum(failed), sum(retries), sum(dead), sum(b0), sum(b1), sum(b2),"
    " sum(b3), sum(b4), sum(b5), sum(b6), sum(b7), sum(b8), sum(b9), sum(b10), sum(b11), sum(b12),"
    " sum(b13), sum(b14), sum(b15), sum(b16), sum(b17), sum(b18), sum(b19), sum(b20), sum(b21),"
    " sum(b22), sum(b23) FROM traffic WHERE minute_ms >= ?1 GROUP BY sub ORDER BY sub";
/* As health_add() has it. */
static const char HEALTH[] =
    "INSERT INTO health VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET"
    " ok_total = ok_total + ?2, failed_total = failed_total + ?3,"
    " failing_since_ms = CASE WHEN ?4 <> 0 OR failing_since_ms = 0 THEN ?9 ELSE failing_since_ms"
    " END, in_row = CASE WHEN ?4 <> 0 THEN ?8 ELSE in_row + ?8 END,"
    " last_success_ms = CASE WHEN ?4 <> 0 THEN ?4 ELSE last_success_ms END,"
    " last_failure_status = CASE WHEN ?5 <> 0 THEN ?6 ELSE last_failure_status END,"
    " last_failure_outcome = CASE WHEN ?5 <> 0 THEN ?7 ELSE last_failure_outcome END,"
    " last_failure_ms = CASE WHEN ?5 <> 0 THEN ?5 ELSE last_failure_ms END";

static enum err_code minute_add(struct sq *q, const struct traffic *t, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_open(q, SQ_TRAFFIC_ADD, &st, err, ADD, "llllll", t->minute_ms, t->sub,
                                 t->ok, t->failed, t->retries, t->dead);
    if (code != OK)
        return code;
    for (int i = 0; i < TRAFFIC_BUCKETS; i++)
        sqlite3_bind_int64(st, 7 + i, t->buckets[i]);
    code = sq_next(q, st, err);
    return code == ERR_NOT_FOUND ? OK : code;
}

static enum err_code one_health_add(struct sq *q, int64_t sub, const struct health *h,
                                    struct err *err)
{
    return sq_run(q, SQ_HEALTH_ADD, err, HEALTH, "lllllilll", sub, h->ok_total, h->failed_total,
                  h->last_success_ms, h->last_failure_ms, h->last_failure_status,
                  (int64_t)h->last_failure_outcome, h->in_row, h->failing_since_ms);
}

enum err_code sq_traffic_add(struct backend *b, const struct traffic_delta *list, size_t n,
                             struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code = OK;
    for (size_t i = 0; code == OK && i < n; i++) {
        code = minute_add(q, &list[i].traffic, err);
        if (code == OK)
            code = one_health_add(q, list[i].traffic.sub, &list[i].health, err);
    }
    return code;
}

static void read_traffic(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct traffic *t = row;
    (void)a;
    (void)bad;
    memset(t, 0, sizeof(*t));
    t->minute_ms = sqlite3_column_int64(st, 0);
    t->sub = sqlite3_column_int64(st, 1);
    t->ok = sqlite3_column_int64(st, 2);
    t->failed = sqlite3_column_int64(st, 3);
    t->retries = sqlite3_column_int64(st, 4);
    t->dead = sqlite3_column_int64(st, 5);
    for (int i = 0; i < TRAFFIC_BUCKETS; i++)
        t->buckets[i] = sqlite3_column_int64(st, 6 + i);
}

enum err_code sq_traffic_sum(struct backend *b, int64_t since_ms, struct arena *a,
                             struct traffic **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code = sq_open(q, SQ_TRAFFIC_SUM, &st, err, SUM, "l", traffic_minute(since_ms));
    if (code == OK)
        code = sq_take_all(q, st, read_traffic, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_traffic_minutes(struct backend *b, int64_t sub, int64_t since_ms, int64_t until_ms,
                                 struct arena *a, struct traffic **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows = NULL;
    size_t rows_n = 0;
    bool bad = false;
    for (int64_t at = traffic_minute(since_ms); at <= until_ms; at += TRAFFIC_MINUTE_MS) {
        enum err_code code =
            sq_row(q, SQ_TRAFFIC_MINUTE, &st, err,
                   "SELECT * FROM traffic WHERE minute_ms = ?1 AND sub = ?2", "ll", at, sub);
        if (code == ERR_NOT_FOUND)
            continue;
        if (code != OK)
            return code;
        struct traffic *t = sq_push(a, &rows, &rows_n, sizeof(*t));
        if (t != NULL)
            read_traffic(st, a, t, &bad);
        sq_done(st);
        if (t == NULL)
            return fail(err, ERR_NOMEM, "no memory for traffic");
    }
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code sq_health_clear(struct backend *b, int64_t sub, struct err *err)
{
    return sq_run(sq_of(b), SQ_HEALTH_CLEAR, err,
                  "UPDATE health SET failing_since_ms = 0, in_row = 0 WHERE sub = ?1", "l", sub);
}

enum err_code sq_due_count(struct backend *b, int64_t sub, int64_t now_ms, int64_t max, int64_t *n,
                           struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(sq_of(b), SQ_DUE_COUNT, &st, err,
                                "SELECT count(*) FROM (SELECT 1 FROM ready WHERE sub = ?1"
                                " AND due <= ?2 LIMIT ?3)",
                                "lll", sub, now_ms, max);
    if (code != OK)
        return code;
    *n = sqlite3_column_int64(st, 0);
    sq_done(st);
    return OK;
}

enum err_code sq_ready_before(struct backend *b, int64_t sub, int64_t job, int64_t now_ms,
                              int64_t max, int64_t *n, int64_t *due_ms, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    *n = *due_ms = 0;
    enum err_code code = sq_open(q, SQ_READY_BEFORE, &st, err,
                                 "SELECT r.due, d.job FROM ready r CROSS JOIN delivery d"
                                 " ON d.num = r.num WHERE r.sub = ?1 AND r.due <= ?2"
                                 " ORDER BY r.due, r.num LIMIT ?3",
                                 "lll", sub, now_ms, max);
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        if (sqlite3_column_int64(st, 1) == job) {
            *due_ms = sqlite3_column_int64(st, 0);
            break;
        }
        ++*n;
    }
    if (code == OK)
        sq_done(st);
    return code == ERR_NOT_FOUND ? OK : code;
}
