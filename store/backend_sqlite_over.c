/* store/backend_sqlite_over.c: deliveries that are over, looked at by whoever sends them again.
 *
 * The order is that of num: of one subscription its index has it, else the table. A slice ends at a
 * row of that order, found first, so that it costs the same however few match. */
#include "store/backend_sqlite.h"

#include "base/clock.h"

/* Discarded ones may be without: their event's is cleared once nobody else needs it, and what is kept
 * of a purged one goes with its grace. */
#define GONE                                                                                       \
    "(e.payload IS NULL AND NOT EXISTS (SELECT 1 FROM purged g WHERE g.num = d.num"                \
    " AND g.payload IS NOT NULL))"

static bool is_named(const struct filter *f)
{
    return f->ids_n > 0 || f->event_ids_n > 0;
}

/* The last of the next `looks` deliveries, 0: there are fewer. */
static enum err_code look_end(struct sq *q, const struct filter *f, size_t looks, int64_t *end,
                              struct err *err)
{
    struct sq_query s;
    sqlite3_stmt *st;
    *end = 0;
    if (is_named(f))
        return OK;
    sq_query_init(&s, f->subs_n == 1 ? "SELECT d.num FROM delivery d INDEXED BY delivery_sub"
                                     : "SELECT d.num FROM delivery d NOT INDEXED");
    if (f->subs_n == 1)
        sq_and_in(&s, "d.sub", f->subs, f->subs_n);
    if (f->after_num != 0) {
        sq_and(&s, "d.num %c ?", f->newest_first ? '<' : '>');
        sq_param_num(&s, f->after_num);
    }
    buf_addf(&s.sql, " ORDER BY d.num %s LIMIT 1 OFFSET ?", f->newest_first ? "DESC" : "ASC");
    sq_param_num(&s, (int64_t)looks - 1);
    enum err_code code = sq_query_kept(q, &s, &st, err);
    if (code != OK)
        return code;
    code = sq_next(q, st, err);
    if (code == OK)
        *end = sqlite3_column_int64(st, 0);
    sq_done(st);
    return code == ERR_NOT_FOUND ? OK : code;
}

static void over_from(struct sq_query *s, const char *select, const struct filter *f, int64_t end)
{
    struct filter over = *f;
    unsigned both = FILTER_BIT(DELIVERY_DELIVERED) | FILTER_BIT(DELIVERY_DISCARDED);
    over.states = 0;
    sq_query_init(s, select);
    buf_adds(&s->sql, " FROM delivery d");
    if (!is_named(f))
        buf_adds(&s->sql, f->subs_n == 1 ? " INDEXED BY delivery_sub" : " NOT INDEXED");
    buf_adds(&s->sql, " CROSS JOIN event e ON e.num = d.event");
    sq_delivery_where(s, &over);
    sq_and_set(s, "d.state", f->states != 0 ? f->states & both : both);
    if (f->states != 0 && (f->states & both) == 0)
        sq_and(s, "0");
    sq_and(s, "d.trial = 0");
    if (!f->with_expired)
        sq_and(s, "(e.expires_ms = 0 OR e.expires_ms > %lld)", (long long)clock_store_ms());
    if (end != 0) {
        sq_and(s, "d.num %s ?", f->newest_first ? ">=" : "<=");
        sq_param_num(s, end);
    }
}

static void read_key(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    (void)a;
    (void)bad;
    *(struct dead_key *)row = (struct dead_key){.num = sqlite3_column_int64(st, 0),
                                                .sub = sqlite3_column_int64(st, 1),
                                                .expires_ms = sqlite3_column_int64(st, 2),
                                                .job = sqlite3_column_int64(st, 3),
                                                .gone = sqlite3_column_int(st, 4) != 0,
                                                .cause = (enum cause)sqlite3_column_int(st, 5)};
}

static enum err_code walk_some(struct sq *q, const struct filter *f, size_t looks, struct arena *a,
                               struct dead_key **out, size_t *n, struct dead_key *end,
                               struct err *err)
{
    struct sq_query s;
    sqlite3_stmt *st;
    struct dead_key last = {0};
    void *rows;
    enum err_code code = look_end(q, f, looks, &last.num, err);
    if (code != OK)
        return code;
    over_from(&s, "SELECT d.num, d.sub, e.expires_ms, d.job, " GONE ", d.cause", f, last.num);
    buf_addf(&s.sql, " ORDER BY d.num %s LIMIT ?", f->newest_first ? "DESC" : "ASC");
    sq_param_num(&s, (int64_t)f->limit);
    code = sq_query_kept(q, &s, &st, err);
    if (code == OK)
        code = sq_take_all(q, st, read_key, sizeof(**out), a, &rows, n, err);
    if (code != OK)
        return code;
    *out = rows;
    *end = *n == f->limit ? (*out)[*n - 1] : last;
    return OK;
}

enum err_code sq_over_walk(struct backend *b, const struct filter *f, size_t looks, struct arena *a,
                           struct dead_key **out, size_t *n, struct dead_key *end, struct err *err)
{
    size_t near = sq_walk_near(f);
    if (near < looks) {
        enum err_code code = walk_some(sq_of(b), f, near, a, out, n, end, err);
        if (code != OK || *n == f->limit || end->num == 0)
            return code;
    }
    return walk_some(sq_of(b), f, looks, a, out, n, end, err);
}

enum err_code sq_over_groups(struct backend *b, const struct filter *f, unsigned by,
                             struct arena *a, struct dead_group **out, size_t *n, struct err *err)
{
    struct sq_query s;
    struct filter whole = *f;
    whole.after_num = 0;
    over_from(&s,
              "SELECT dead_group(d.num, d.sub, d.created_ms, e.expires_ms, d.cause, d.attempts,"
              " d.last_status, d.last_outcome, CASE WHEN " GONE " THEN -1 ELSE e.payload_bytes END,"
              " 0, e.type)",
              &whole, 0);
    return sq_groups_take(sq_of(b), &s, by, a, out, n, err);
}
