/* store/backend_sqlite_attempt.c: attempts are put, deleted and read: those of one delivery, and those
 * of all; what somebody did to a delivery.
 *
 * No index says whose an attempt is or how it ended: it would cost every attempt a write. A delivery
 * knows its latest attempt, an attempt the one before. Rows grow with time, so a list over all walks from the end, and a page is over after so many rows looked
 * at. Where the filter names few deliveries it goes by them instead, whatever lies in between. */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

#define FEW 50000 /* deliveries of a subscription, or events of a type, are asked one by one */

/* ---- put, delete ---- */
enum err_code sq_attempt_row(struct sq *q, int64_t *row, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = OK;
    if (q->attempt_row == 0) {
        code = sq_row(q, SQ_ATTEMPT_ROW, &st, err, "SELECT ifnull(max(row), 0) FROM attempt", "");
        if (code != OK)
            return code;
        q->attempt_row = sqlite3_column_int64(st, 0);
        sq_done(st);
    }
    *row = ++q->attempt_row;
    return code;
}

enum err_code sq_attempt_put(struct sq *q, const struct attempt *a, int64_t delivery, int n,
                             int64_t job, int64_t row, int64_t prev, struct err *err)
{
    return sq_run(q, SQ_ATTEMPT_PUT, err,
                  "INSERT INTO attempt VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                  " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
                  "llilliiiiiiililtttbl", row, delivery, n, a->started_ms, a->duration_us,
                  (int)a->dns_us, (int)a->connect_us, (int)a->tls_us, (int)a->wait_us,
                  (int)a->transfer_us, (int)a->outcome, a->status, job, (int)a->response_truncated,
                  a->next_ms, a->address, a->error, a->response_head, a->response_body,
                  a->response_body_bytes, prev);
}

#define OF_ONE "SELECT last_attempt, num FROM delivery WHERE num = ?1"

enum err_code sq_attempts_delete(struct sq *q, int64_t delivery, struct err *err)
{
    return sq_run(q, SQ_ATTEMPTS_DEL, err,
                  "DELETE FROM attempt WHERE row IN (" SQ_ATTEMPTS_OF(
                      OF_ONE) " SELECT a.row" SQ_FROM_ATTEMPTS ")",
                  "l", delivery);
}

/* Whoever knew it knows the one before it instead. Where that is gone too, as when the oldest go
 * first, nothing needs to be written: the chain ends there either way. */
static enum err_code link_around(struct sq *q, int64_t row, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code =
        sq_row(q, SQ_ATTEMPT_BEFORE, &st, err,
               "SELECT a.delivery, p.row FROM attempt a CROSS JOIN attempt p ON p.row = a.prev"
               " AND p.delivery = a.delivery AND p.row < a.row WHERE a.row = ?1",
               "l", row);
    if (code != OK)
        return code == ERR_NOT_FOUND ? OK : code;
    int64_t delivery = sqlite3_column_int64(st, 0), before = sqlite3_column_int64(st, 1);
    sq_done(st);
    code = sq_run(q, SQ_ATTEMPT_LINK, err,
                  "UPDATE attempt SET prev = ?3 WHERE prev = ?2 AND row IN (" SQ_ATTEMPTS_OF(
                      OF_ONE) " SELECT a.row" SQ_FROM_ATTEMPTS ")",
                  "lll", delivery, row, before);
    if (code == OK)
        code = sq_run(q, SQ_ATTEMPT_LAST, err,
                      "UPDATE delivery SET last_attempt = ?3 WHERE num = ?1 AND last_attempt = ?2",
                      "lll", delivery, row, before);
    return code;
}

enum err_code sq_attempt_delete(struct sq *q, int64_t row, struct err *err)
{
    enum err_code code = link_around(q, row, err);
    return code == OK
               ? sq_run(q, SQ_ATTEMPT_DEL, err, "DELETE FROM attempt WHERE row = ?1", "l", row)
               : code;
}

/* ---- of one delivery ---- */
#define ATTEMPT_COLS                                                                               \
    "a.delivery, a.n, a.started_ms, a.duration_us, a.dns_us, a.connect_us, a.tls_us, a.wait_us,"   \
    " a.transfer_us, a.outcome, a.status, a.job, a.response_truncated, a.next_ms, a.row,"          \
    " a.address, a.error"

static void read_plain(sqlite3_stmt *st, struct arena *a, struct attempt *x, bool *bad)
{
    memset(x, 0, sizeof(*x));
    x->delivery = sqlite3_column_int64(st, 0);
    x->n = sqlite3_column_int(st, 1);
    x->started_ms = sqlite3_column_int64(st, 2);
    x->duration_us = sqlite3_column_int64(st, 3);
    x->dns_us = sqlite3_column_int(st, 4);
    x->connect_us = sqlite3_column_int(st, 5);
    x->tls_us = sqlite3_column_int(st, 6);
    x->wait_us = sqlite3_column_int(st, 7);
    x->transfer_us = sqlite3_column_int(st, 8);
    x->outcome = (enum outcome)sqlite3_column_int(st, 9);
    x->status = sqlite3_column_int(st, 10);
    x->job = sqlite3_column_int64(st, 11);
    x->response_truncated = sqlite3_column_int(st, 12) != 0;
    x->next_ms = sqlite3_column_int64(st, 13);
    x->row = sqlite3_column_int64(st, 14);
    x->address = sq_text(st, 15, a, bad);
    x->error = sq_text(st, 16, a, bad);
}

static void read_attempt(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct attempt *x = row;
    read_plain(st, a, x, bad);
    x->response_head = sq_text(st, 17, a, bad);
    x->response_body = sq_bytes(st, 18, a, &x->response_body_bytes, bad);
}

enum err_code sq_attempt_list(struct backend *b, int64_t delivery, struct arena *a,
                              struct attempt **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code =
        sq_open(q, SQ_ATTEMPT_LIST, &st, err,
                SQ_ATTEMPTS_OF(OF_ONE) " SELECT " ATTEMPT_COLS
                                       ", a.response_head, a.response_body" SQ_FROM_ATTEMPTS
                                       " ORDER BY a.n",
                "l", delivery);
    if (code == OK)
        code = sq_take_all(q, st, read_attempt, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

/* ---- of all ---- */
#define SUB_OF "(SELECT d.sub FROM delivery d WHERE d.num = a.delivery)"
#define TYPE_OF                                                                                    \
    "(SELECT e.type FROM delivery d JOIN event e ON e.num = d.event WHERE d.num = a.delivery)"

/* The cheap ones first: SQLite looks no further where one of them says no. */
static void and_wanted(struct sq_query *s, const struct filter *f)
{
    sq_and_set(s, "a.outcome", f->outcomes);
    sq_and_statuses(s, "a.status", f);
    if (f->since_ms != 0)
        sq_and(s, "a.started_ms >= %lld", (long long)f->since_ms);
    if (f->until_ms != 0)
        sq_and(s, "a.started_ms < %lld", (long long)f->until_ms);
    if (f->job != 0)
        sq_and(s, "a.job = %lld", (long long)f->job);
    sq_and_in(s, SUB_OF, f->subs, f->subs_n);
    sq_and_types(s, TYPE_OF, f);
}

static void and_after(struct sq_query *s, const struct filter *f)
{
    if (f->after_num != 0)
        sq_and(s, "a.row %c %lld", f->newest_first ? '<' : '>', (long long)f->after_num);
}

static enum err_code one_number(struct sq *q, struct sq_query *s, int64_t *out, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_query_open(q, s, &st, err);
    if (code != OK)
        return code;
    code = sq_next(q, st, err);
    if (code == OK)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return code;
}

enum way { BY_ROW, BY_DELIVERY, BY_EVENT };

static enum err_code at_most(struct sq *q, struct sq_query *s, bool *few, struct err *err)
{
    int64_t n = 0;
    enum err_code code = one_number(q, s, &n, err);
    *few = code == OK && n <= FEW;
    return code;
}

/* Where few deliveries are in question, however far apart, they are asked one by one. Who follows
 * the end has a few rows to look at, whoever's they are. */
static enum err_code way_of(struct sq *q, const struct filter *f, int64_t rows, size_t looks,
                            enum way *way, struct err *err)
{
    struct sq_query s;
    bool few = false;
    enum err_code code = OK;
    *way = f->ids_n > 0 || f->event_ids_n > 0 ? BY_DELIVERY : BY_ROW;
    if (*way != BY_ROW || rows <= (int64_t)looks)
        return OK;
    if (f->subs_n > 0) {
        sq_query_init(&s, "SELECT ifnull(sum(n), 0) FROM counts");
        sq_and_in(&s, "sub", f->subs, f->subs_n);
        code = at_most(q, &s, &few, err);
        *way = few ? BY_DELIVERY : BY_ROW;
    } else if (f->types_n > 0) {
        sq_query_init(&s, "SELECT count(*) FROM (SELECT 1 FROM event e");
        sq_and_types(&s, "e.type", f);
        buf_addf(&s.sql, " LIMIT %d)", FEW + 1);
        code = at_most(q, &s, &few, err);
        *way = few ? BY_EVENT : BY_ROW;
    }
    return code;
}

static enum err_code one_by_one(struct sq *q, const struct filter *f, enum way way,
                                struct attempt_page *page, int64_t *found, struct err *err)
{
    struct sq_query s;
    sqlite3_stmt *st;
    sq_query_init(&s, SQ_ATTEMPTS_OF_BEGIN "SELECT d.last_attempt, d.num FROM ");
    buf_adds(&s.sql,
             way == BY_EVENT ? "event e CROSS JOIN delivery d ON d.event = e.num" : "delivery d");
    if (way == BY_EVENT)
        sq_and_types(&s, "e.type", f);
    sq_and_in(&s, "d.num", f->ids, f->ids_n);
    sq_and_texts(&s, "d.event IN (SELECT num FROM event WHERE id", f->event_ids, f->event_ids_n,
                 ")");
    sq_and_in(&s, "d.sub", f->subs, f->subs_n);
    buf_adds(&s.sql, SQ_ATTEMPTS_OF_END " SELECT a.row" SQ_FROM_ATTEMPTS);
    s.where = false;
    and_wanted(&s, f);
    and_after(&s, f);
    buf_addf(&s.sql, " ORDER BY a.row %s LIMIT %zu", f->newest_first ? "DESC" : "ASC", f->limit);
    enum err_code code = sq_query_open(q, &s, &st, err);
    if (code != OK)
        return code;
    code = sq_take_nums(q, st, f->limit, found, &page->n, err);
    sqlite3_finalize(st);
    page->more = page->n == f->limit;
    if (page->n > 0)
        page->at = found[page->n - 1];
    return code;
}

static enum err_code by_row(struct sq *q, const struct filter *f, size_t looks,
                            struct attempt_page *page, int64_t *found, struct err *err)
{
    struct sq_query s;
    sqlite3_stmt *st;
    size_t looked = 0;
    sq_query_init(&s, "SELECT a.row, CASE WHEN 1");
    s.where = true;
    and_wanted(&s, f);
    buf_adds(&s.sql, " THEN 1 ELSE 0 END FROM attempt a");
    s.where = false;
    and_after(&s, f);
    buf_addf(&s.sql, " ORDER BY a.row %s LIMIT %zu", f->newest_first ? "DESC" : "ASC", looks);
    enum err_code code = sq_query_open(q, &s, &st, err);
    if (code != OK)
        return code;
    while (page->n < f->limit && (code = sq_next(q, st, err)) == OK) {
        looked++;
        page->at = sqlite3_column_int64(st, 0);
        if (sqlite3_column_int(st, 1) != 0)
            found[page->n++] = page->at;
    }
    sqlite3_finalize(st);
    page->more = page->n == f->limit || looked == looks;
    return code == ERR_NOT_FOUND ? OK : code;
}

static void read_found(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct attempt_found *x = row;
    read_plain(st, a, &x->attempt, bad);
    x->sub = sqlite3_column_int64(st, 17);
    x->event_id = sq_text(st, 18, a, bad);
    x->type = sq_text(st, 19, a, bad);
    x->sub_name = sq_text(st, 20, a, bad);
}

static enum err_code take_found(struct sq *q, const int64_t *found, struct arena *a,
                                struct attempt_page *page, struct err *err)
{
    page->rows = arena_alloc(a, (page->n + 1) * sizeof(*page->rows));
    if (page->rows == NULL)
        return fail(err, ERR_NOMEM, "no memory for attempts");
    enum err_code code = OK;
    for (size_t i = 0; code == OK && i < page->n; i++) {
        sqlite3_stmt *st;
        code = sq_row(q, SQ_ATTEMPT_GET, &st, err,
                      "SELECT " ATTEMPT_COLS ", d.sub, e.id, e.type, s.name FROM attempt a"
                      " LEFT JOIN delivery d ON d.num = a.delivery"
                      " LEFT JOIN event e ON e.num = d.event"
                      " LEFT JOIN subscription s ON s.num = d.sub WHERE a.row = ?1",
                      "l", found[i]);
        if (code == OK)
            code = sq_take(st, read_found, a, &page->rows[i], err);
    }
    return code;
}

enum err_code sq_attempt_find(struct backend *b, const struct filter *f, size_t looks,
                              struct arena *a, struct attempt_page *out, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query last;
    struct attempt_page page = {.at = f->after_num};
    enum way way = BY_ROW;
    int64_t *found = arena_alloc(a, f->limit * sizeof(*found));
    if (found == NULL)
        return fail(err, ERR_NOMEM, "no memory for attempts");
    sq_query_init(&last, "SELECT ifnull(max(row), 0) FROM attempt");
    enum err_code code = one_number(q, &last, &page.last, err);
    if (code == OK)
        code =
            way_of(q, f, f->newest_first ? page.last : page.last - f->after_num, looks, &way, err);
    if (code == OK)
        code = way == BY_ROW ? by_row(q, f, looks, &page, found, err)
                             : one_by_one(q, f, way, &page, found, err);
    if (code == OK)
        code = take_found(q, found, a, &page, err);
    if (code != OK)
        return code;
    if (!page.more && !f->newest_first)
        page.at = page.last;
    *out = page;
    return OK;
}

/* ---- what somebody did to a delivery ---- */
enum err_code sq_deed_put(struct backend *b, const struct deed *d, struct err *err)
{
    return sq_run(sq_of(b), SQ_DEED_PUT, err,
                  "INSERT OR REPLACE INTO deed(delivery, at_ms, kind, job, actor, cause, died_ms)"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                  "lliltil", d->delivery, d->at_ms, (int)d->kind, d->job, d->actor, (int)d->cause,
                  d->died_ms);
}

static void read_deed(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct deed *d = row;
    memset(d, 0, sizeof(*d));
    d->delivery = sqlite3_column_int64(st, 0);
    d->at_ms = sqlite3_column_int64(st, 1);
    d->kind = (enum deed_kind)sqlite3_column_int(st, 2);
    d->job = sqlite3_column_int64(st, 3);
    d->actor = sq_text(st, 4, a, bad);
    d->cause = (enum cause)sqlite3_column_int(st, 5);
    d->died_ms = sqlite3_column_int64(st, 6);
}

enum err_code sq_deed_list(struct backend *b, int64_t delivery, struct arena *a, struct deed **out,
                           size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code =
        sq_open(q, SQ_DEED_LIST, &st, err,
                "SELECT delivery, at_ms, kind, job, actor, cause, died_ms FROM deed"
                " WHERE delivery = ?1 ORDER BY at_ms, kind",
                "l", delivery);
    if (code == OK)
        code = sq_take_all(q, st, read_deed, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}
