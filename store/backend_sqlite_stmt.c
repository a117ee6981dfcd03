/* store/backend_sqlite_stmt.c: statements of the SQLite backend: prepare once, bind, step, reset;
 * the counts' deltas.
 *
 * A statement that is not reset holds a snapshot and would stop the WAL from ever being reset:
 * hence every function here resets before it returns. */
#include "store/backend_sqlite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err_code code_of(sqlite3 *db)
{
    int x = sqlite3_extended_errcode(db);
    if (x == SQLITE_IOERR_NOMEM)
        return ERR_NOMEM;
    switch (x & 0xff) {
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_INTERRUPT:
        return ERR_BUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return ERR_DENIED;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_ERROR:
        return ERR_INTERNAL;
    default:
        return ERR_IO;
    }
}

enum err_code sq_fail(struct sq *q, const char *what, struct err *err)
{
    enum err_code code = code_of(q->db);
    if (sqlite3_errcode(q->db) == SQLITE_INTERRUPT)
        return fail(err, ERR_BUSY, "the look took too long: narrow the filter");
    return fail(err, code, "store %s: %s: %s (%d)", q->path, what, sqlite3_errmsg(q->db),
                sqlite3_extended_errcode(q->db));
}

enum err_code sq_exec(struct sq *q, const char *sql, struct err *err)
{
    if (sqlite3_exec(q->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sq_fail(q, "exec", err);
    return OK;
}

static int bind(sqlite3_stmt *st, const char *fmt, va_list ap)
{
    int rc = SQLITE_OK;
    for (int i = 1; *fmt != '\0' && rc == SQLITE_OK; fmt++, i++) {
        if (*fmt == 'i') {
            rc = sqlite3_bind_int(st, i, va_arg(ap, int));
        } else if (*fmt == 'l') {
            rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
        } else if (*fmt == 'd') {
            rc = sqlite3_bind_double(st, i, va_arg(ap, double));
        } else if (*fmt == 't') {
            rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
        } else {
            const void *p = va_arg(ap, const void *);
            size_t n = va_arg(ap, size_t);
            rc = sqlite3_bind_blob64(st, i, p, n, SQLITE_STATIC);
        }
    }
    return rc;
}

static enum err_code ready(struct sq *q, enum sq_slot slot, sqlite3_stmt **out, struct err *err,
                           const char *sql, const char *fmt, va_list ap)
{
    sqlite3_stmt *st = q->stmts[slot];
    if (st == NULL) {
        if (sqlite3_prepare_v3(q->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK)
            return sq_fail(q, sql, err);
        q->stmts[slot] = st;
    }
    if (bind(st, fmt, ap) != SQLITE_OK) {
        sqlite3_reset(st);
        return sq_fail(q, "bind", err);
    }
    *out = st;
    return OK;
}

enum err_code sq_run(struct sq *q, enum sq_slot slot, struct err *err, const char *sql,
                     const char *fmt, ...)
{
    sqlite3_stmt *st;
    va_list ap;
    va_start(ap, fmt);
    enum err_code code = ready(q, slot, &st, err, sql, fmt, ap);
    va_end(ap);
    if (code != OK)
        return code;
    int rc;
    do
        rc = sqlite3_step(st);
    while (rc == SQLITE_ROW);
    if (rc != SQLITE_DONE)
        code = sq_fail(q, "write", err);
    sqlite3_reset(st);
    return code;
}

enum err_code sq_open(struct sq *q, enum sq_slot slot, sqlite3_stmt **out, struct err *err,
                      const char *sql, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum err_code code = ready(q, slot, out, err, sql, fmt, ap);
    va_end(ap);
    return code;
}

enum err_code sq_next(struct sq *q, sqlite3_stmt *st, struct err *err)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return OK;
    enum err_code code = rc == SQLITE_DONE ? ERR_NOT_FOUND : sq_fail(q, "read", err);
    sqlite3_reset(st);
    return code;
}

enum err_code sq_row(struct sq *q, enum sq_slot slot, sqlite3_stmt **out, struct err *err,
                     const char *sql, const char *fmt, ...)
{
    sqlite3_stmt *st;
    va_list ap;
    va_start(ap, fmt);
    enum err_code code = ready(q, slot, &st, err, sql, fmt, ap);
    va_end(ap);
    if (code == OK)
        code = sq_next(q, st, err);
    if (code == OK)
        *out = st;
    return code;
}

void sq_done(sqlite3_stmt *st)
{
    sqlite3_reset(st);
}

int64_t sq_changes(struct sq *q)
{
    return sqlite3_changes64(q->db);
}

const char *sq_text(sqlite3_stmt *st, int col, struct arena *a, bool *bad)
{
    if (sqlite3_column_type(st, col) == SQLITE_NULL)
        return NULL;
    const void *text = sqlite3_column_text(st, col);
    char *copy = arena_bytes(a, text, (size_t)sqlite3_column_bytes(st, col));
    if (copy == NULL)
        *bad = true;
    return copy;
}

const void *sq_bytes(sqlite3_stmt *st, int col, struct arena *a, size_t *n, bool *bad)
{
    *n = 0;
    if (sqlite3_column_type(st, col) == SQLITE_NULL)
        return NULL;
    const void *bytes = sqlite3_column_blob(st, col);
    *n = (size_t)sqlite3_column_bytes(st, col);
    void *copy = arena_bytes(a, bytes, *n);
    if (copy == NULL)
        *bad = true;
    return copy;
}

/* Doubles at powers of two, so that no room has to be remembered. */
void *sq_push(struct arena *a, void **rows, size_t *n, size_t size)
{
    if (*n == 0 || (*n & (*n - 1)) == 0) {
        void *more = arena_alloc(a, (*n == 0 ? 1 : *n * 2) * size);
        if (more == NULL)
            return NULL;
        if (*n > 0)
            memcpy(more, *rows, *n * size);
        *rows = more;
    }
    return (char *)*rows + (*n)++ * size;
}

/* ---- rows ---- */
enum err_code sq_take(sqlite3_stmt *st, sq_read_fn *read, struct arena *a, void *row,
                      struct err *err)
{
    bool bad = false;
    read(st, a, row, &bad);
    sq_done(st);
    return bad ? fail(err, ERR_NOMEM, "no memory for a row") : OK;
}

enum err_code sq_take_all(struct sq *q, sqlite3_stmt *st, sq_read_fn *read, size_t size,
                          struct arena *a, void **rows, size_t *n, struct err *err)
{
    void *all = NULL;
    size_t all_n = 0;
    bool bad = false;
    enum err_code code;
    while ((code = sq_next(q, st, err)) == OK) {
        void *row = sq_push(a, &all, &all_n, size);
        if (row != NULL)
            read(st, a, row, &bad);
        if (row == NULL || bad) {
            sq_done(st);
            return fail(err, ERR_NOMEM, "no memory for rows");
        }
    }
    if (code != ERR_NOT_FOUND)
        return code;
    *rows = all;
    *n = all_n;
    return OK;
}

enum err_code sq_take_nums(struct sq *q, sqlite3_stmt *st, size_t limit, int64_t *nums, size_t *n,
                           struct err *err)
{
    enum err_code code = OK;
    *n = 0;
    while (*n < limit && (code = sq_next(q, st, err)) == OK)
        nums[(*n)++] = sqlite3_column_int64(st, 0);
    if (code == OK)
        sq_done(st);
    return code == ERR_NOT_FOUND ? OK : code;
}

/* ---- counts ---- */
enum err_code sq_count(struct sq *q, int64_t sub, enum delivery_state state, int64_t n,
                       struct err *err)
{
    struct sq_deltas *d = &q->deltas;
    /* From the end: a batch mostly goes on with the subscription it has just touched. */
    for (size_t i = d->n; i > 0; i--) {
        if (d->rows[i - 1].sub == sub) {
            d->rows[i - 1].n[state] += n;
            return OK;
        }
    }
    if (d->n == 256) { /* the search stays short */
        enum err_code code = sq_counts_flush(q, err);
        if (code != OK)
            return code;
    }
    if (d->n == d->room) {
        size_t room = d->room == 0 ? 16 : d->room * 2;
        struct sq_delta *rows = realloc(d->rows, room * sizeof(*rows));
        if (rows == NULL)
            return fail(err, ERR_NOMEM, "no memory for counts");
        d->rows = rows;
        d->room = room;
    }
    struct sq_delta *row = &d->rows[d->n++];
    memset(row, 0, sizeof(*row));
    row->sub = sub;
    row->n[state] = n;
    return OK;
}

enum err_code sq_count_move(struct sq *q, int64_t sub, enum delivery_state from,
                            enum delivery_state to, struct err *err)
{
    enum err_code code = sq_count(q, sub, from, -1, err);
    return code == OK ? sq_count(q, sub, to, 1, err) : code;
}

enum err_code sq_counts_flush(struct sq *q, struct err *err)
{
    for (size_t i = 0; i < q->deltas.n; i++) {
        const struct sq_delta *d = &q->deltas.rows[i];
        for (int state = 0; state < DELIVERY_STATES; state++) {
            if (d->n[state] == 0)
                continue;
            enum err_code code = sq_run(q, SQ_COUNTS_ADD, err,
                                        "INSERT INTO counts VALUES(?1, ?2, ?3)"
                                        " ON CONFLICT DO UPDATE SET n = n + excluded.n",
                                        "lil", d->sub, state, d->n[state]);
            if (code != OK)
                return code;
        }
    }
    q->deltas.n = 0;
    return OK;
}

/* undo() takes the table back to mark(), flushed deltas included; the copy made here takes the
 * deltas back, so that both are right whether a flush came in between or not. */
enum err_code sq_counts_mark(struct sq *q, struct err *err)
{
    struct sq_deltas *m = &q->marked;
    if (m->room < q->deltas.n) {
        struct sq_delta *rows = realloc(m->rows, q->deltas.room * sizeof(*rows));
        if (rows == NULL)
            return fail(err, ERR_NOMEM, "no memory for counts");
        m->rows = rows;
        m->room = q->deltas.room;
    }
    m->n = q->deltas.n;
    if (m->n > 0)
        memcpy(m->rows, q->deltas.rows, m->n * sizeof(*m->rows));
    return OK;
}

enum err_code sq_counts_undo(struct sq *q, struct err *err)
{
    if (q->deltas.room < q->marked.n)
        return fail(err, ERR_INTERNAL, "counts shrank");
    q->deltas.n = q->marked.n;
    if (q->marked.n > 0)
        memcpy(q->deltas.rows, q->marked.rows, q->marked.n * sizeof(*q->marked.rows));
    return OK;
}

/* ---- sealing ---- */
enum err_code sq_seal(struct sq *q, const char *what, int64_t num, const void *plain, size_t n,
                      struct buf *out, struct err *err)
{
    char bound[64];
    snprintf(bound, sizeof(bound), "%s:%lld", what, (long long)num);
    buf_init(out, SIZE_MAX / 4);
    if (plain == NULL)
        return OK;
    return seal(q->keys, bound, plain, n, out, err);
}

enum err_code sq_unseal(struct sq *q, const char *what, int64_t num, sqlite3_stmt *st, int col,
                        struct arena *a, const void **out, size_t *n, struct err *err)
{
    char bound[64];
    *out = NULL;
    *n = 0;
    if (sqlite3_column_type(st, col) == SQLITE_NULL)
        return OK;
    snprintf(bound, sizeof(bound), "%s:%lld", what, (long long)num);
    const void *sealed = sqlite3_column_blob(st, col);
    size_t sealed_n = (size_t)sqlite3_column_bytes(st, col);
    struct buf plain;
    buf_init(&plain, SIZE_MAX / 4);
    enum err_code code = seal_open(q->keys, bound, sealed, sealed_n, &plain, err);
    if (code == OK) {
        *out = arena_bytes(a, plain.data, plain.len);
        *n = plain.len;
        if (*out == NULL)
            code = fail(err, ERR_NOMEM, "no memory to open %s", bound);
    }
    if (plain.data != NULL)
        explicit_bzero(plain.data, plain.len);
    buf_fini(&plain);
    return code;
}
