/* store/backend_sqlite_retain_look.c: what retention would delete, without deleting it: counted row by row
 * until the time is up, so that a store of millions answers too, with "at least". */
#include "store/backend_sqlite.h"

#include "base/clock.h"
#include "base/id.h"

enum { ROWS_A_LOOK = 512, LATE_ROWS = 4096 };

#define OVER                                                                                       \
    "(d.state = 4 OR (d.state = 6 AND NOT EXISTS (SELECT 1 FROM purged p WHERE p.num = d.num)))"

/* Each query: column 0 is 1 where the row counts; column 1, where there is one, whether it is too young
 * to count: after many of those in a row nothing older comes. ?1 is before_ms, ?2 the least number
 * that was made then or later (numbers grow with time). */
static const struct look {
    const char *rows, *due, *oldest; /* oldest: its time; NULL: there is none to tell */
} LOOKS[RETAINS] = {
    [RETAIN_DELIVERED] =
        {NULL,
         "SELECT " OVER " AND d.finished_ms < ?1 FROM delivery d WHERE d.num < ?2 ORDER BY d.num",
         "SELECT CASE WHEN state IN (4, 6) THEN finished_ms ELSE 0 END FROM delivery ORDER BY num"},
    [RETAIN_ATTEMPTS] =
        {"SELECT 1 FROM attempt",
         "SELECT a.started_ms < ?1 AND ifnull((SELECT " OVER
         " FROM delivery d WHERE d.num = a.delivery), 1), a.started_ms >= ?1 FROM attempt a"
         " ORDER BY a.row",
         "SELECT started_ms FROM attempt ORDER BY row LIMIT 1"},
    [RETAIN_DEAD] = {NULL, "SELECT 1 FROM dead WHERE expires_ms <= ?1",
                     "SELECT died_ms FROM dead ORDER BY died_ms LIMIT 1"},
    [RETAIN_PURGED] = {"SELECT 1 FROM purged", "SELECT 1 FROM purged WHERE until_ms <= ?1", NULL},
    [RETAIN_AUDIT] = {"SELECT 1 FROM audit",
                      "SELECT created_ms < ?1, created_ms >= ?1 FROM audit ORDER BY num",
                      "SELECT created_ms FROM audit ORDER BY num LIMIT 1"},
    [RETAIN_SEEN] = {"SELECT 1 FROM seen UNION ALL SELECT 1 FROM event WHERE digest IS NOT NULL",
                     "SELECT 1 FROM seen WHERE until_ms <= ?1 UNION ALL SELECT 1 FROM event"
                     " WHERE digest IS NOT NULL AND seen_until_ms <= ?1",
                     NULL},
    [RETAIN_SECRETS] = {"SELECT expires_ms <> 0 FROM secret",
                        "SELECT expires_ms <> 0 AND expires_ms <= ?1 FROM secret", NULL},
    [RETAIN_TRAFFIC] = {"SELECT 1 FROM traffic", "SELECT 1 FROM traffic WHERE minute_ms < ?1",
                        "SELECT minute_ms FROM traffic ORDER BY minute_ms LIMIT 1"},
};

/* Adds up column 0 (first: until one is there) until the end or the time is up. */
static enum err_code walk(struct sq *q, const char *sql, int64_t before_ms, int64_t until_us,
                          bool first, int64_t *sum, bool *more, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc, late = 0;
    *sum = 0;
    *more = false;
    if (sqlite3_prepare_v2(q->db, sql, -1, &st, NULL) != SQLITE_OK)
        return sq_fail(q, sql, err);
    int64_t cut = before_ms > 0 ? id_at(before_ms) : INT64_MAX;
    sqlite3_bind_int64(st, 1, before_ms); /* a query that has no such parameter: nothing happens */
    sqlite3_bind_int64(st, 2, before_ms > 0 ? cut : 0);
    for (int64_t n = 0; (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {
        *sum += sqlite3_column_int64(st, 0);
        bool young = sqlite3_column_count(st) > 1 && sqlite3_column_int(st, 1) != 0;
        late = young ? late + 1 : 0;
        if ((first && *sum != 0) || late > LATE_ROWS)
            break;
        if (n % ROWS_A_LOOK == 0 && clock_mono_us() > until_us) {
            *more = true;
            break;
        }
    }
    enum err_code code = OK;
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        *more = true;
    else if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        code = sq_fail(q, sql, err);
    sqlite3_finalize(st);
    return code;
}

/* The rows of these two are counted already, by state. */
static enum err_code rows_counted(struct sq *q, enum retain_what what, int64_t *rows,
                                  struct err *err)
{
    int64_t counts[DELIVERY_STATES] = {0}, rejects = 0;
    enum err_code code = sq_counts(&q->base, counts, &rejects, err);
    *rows = what == RETAIN_DEAD ? counts[DELIVERY_DEAD]
                                : counts[DELIVERY_DELIVERED] + counts[DELIVERY_DISCARDED];
    return code;
}

enum err_code sq_retain_look(struct backend *b, enum retain_what what, int64_t before_ms,
                             int64_t budget_us, struct retain_look *out, struct err *err)
{
    struct sq *q = sq_of(b);
    *out = (struct retain_look){0};
    if ((int)what < 0 || what >= RETAINS)
        return fail(err, ERR_INVALID, "no such retention");
    const struct look *l = &LOOKS[what];
    int64_t from = clock_mono_us();
    bool ignored = false;
    enum err_code code = l->rows == NULL ? rows_counted(q, what, &out->rows, err)
                                         : walk(q, l->rows, before_ms, from + budget_us / 2, false,
                                                &out->rows, &out->rows_more, err);
    if (code == OK)
        code = walk(q, l->due, before_ms, from + budget_us, false, &out->due, &out->due_more, err);
    if (code == OK && l->oldest != NULL)
        code = walk(q, l->oldest, before_ms, from + budget_us * 3 / 2, true, &out->oldest_ms,
                    &ignored, err);
    return code;
}
