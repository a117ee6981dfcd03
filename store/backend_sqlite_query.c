/* store/backend_sqlite_query.c: the queries of lists: a WHERE put together from a filter. Numbers are
 * written into it, texts are bound. */
#include "store/backend_sqlite.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sq_query_init(struct sq_query *s, const char *select)
{
    memset(s, 0, sizeof(*s));
    buf_init(&s->sql, 1024 * 1024);
    buf_adds(&s->sql, select);
}

void sq_and(struct sq_query *s, const char *fmt, ...)
{
    char part[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(part, sizeof(part), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(part))
        s->sql.failed = true;
    buf_adds(&s->sql, s->where ? " AND " : " WHERE ");
    buf_adds(&s->sql, part);
    s->where = true;
}

static void param_add(struct sq_query *s, const char *text, int64_t num)
{
    if (s->params_n == (int)(sizeof(s->params) / sizeof(s->params[0]))) {
        s->sql.failed = true;
        return;
    }
    s->params[s->params_n].text = text;
    s->params[s->params_n++].num = num;
}

void sq_param(struct sq_query *s, const char *text)
{
    param_add(s, text, 0);
}

void sq_param_num(struct sq_query *s, int64_t num)
{
    param_add(s, NULL, num);
}

void sq_and_in(struct sq_query *s, const char *column, const int64_t *nums, size_t n)
{
    if (n == 0)
        return;
    sq_and(s, "%s IN (", column);
    for (size_t i = 0; i < n; i++)
        buf_addf(&s->sql, "%s%lld", i > 0 ? "," : "", (long long)nums[i]);
    buf_addc(&s->sql, ')');
}

void sq_and_texts(struct sq_query *s, const char *before, const char *const *texts, size_t n,
                  const char *after)
{
    if (n == 0)
        return;
    sq_and(s, "%s IN (", before);
    for (size_t i = 0; i < n; i++) {
        buf_adds(&s->sql, i > 0 ? ",?" : "?");
        sq_param(s, texts[i]);
    }
    buf_addf(&s->sql, ")%s", after);
}

static bool is_any(const char *pattern)
{
    return strcmp(pattern, "*") == 0;
}

void sq_and_types(struct sq_query *s, const char *column, const struct filter *f)
{
    for (size_t i = 0; i < f->types_n; i++)
        if (is_any(f->types[i]))
            return;
    for (size_t i = 0; i < f->types_n; i++) {
        const char *pattern = f->types[i];
        size_t n = strlen(pattern);
        if (i == 0)
            sq_and(s, "(");
        else
            buf_adds(&s->sql, " OR ");
        if (n >= 2 && strcmp(pattern + n - 2, ".*") == 0)
            buf_addf(&s->sql, "substr(%s, 1, %zu) = substr(?, 1, %zu)", column, n - 1, n - 1);
        else
            buf_addf(&s->sql, "%s = ?", column);
        sq_param(s, pattern);
    }
    if (f->types_n > 0)
        buf_addc(&s->sql, ')');
}

void sq_and_statuses(struct sq_query *s, const char *column, const struct filter *f)
{
    for (size_t i = 0; i < f->statuses_n; i++) {
        if (i == 0)
            sq_and(s, "(");
        else
            buf_adds(&s->sql, " OR ");
        buf_addf(&s->sql, "%s BETWEEN %d AND %d", column, f->statuses[i].min, f->statuses[i].max);
    }
    if (f->statuses_n > 0)
        buf_addc(&s->sql, ')');
}

void sq_and_set(struct sq_query *s, const char *column, unsigned set)
{
    if (set != 0)
        sq_and(s, "(1 << %s) & %u", column, set);
}

void sq_and_ends(struct sq_query *s, const char *t, const struct filter *f)
{
    char column[32];
    snprintf(column, sizeof(column), "%s.cause", t);
    sq_and_set(s, column, f->causes);
    snprintf(column, sizeof(column), "%s.last_status", t);
    sq_and_statuses(s, column, f);
    if (f->outcomes != 0)
        sq_and(s, "%s.attempts > 0", t);
    snprintf(column, sizeof(column), "%s.last_outcome", t);
    sq_and_set(s, column, f->outcomes);
    if (f->min_attempts > 0)
        sq_and(s, "%s.attempts >= %d", t, f->min_attempts);
    if (f->max_attempts_set)
        sq_and(s, "%s.attempts <= %d", t, f->max_attempts);
}

size_t sq_walk_near(const struct filter *f)
{
    return f->limit * 2;
}

static enum err_code query_prepare(struct sq *q, struct sq_query *s, unsigned flags,
                                   sqlite3_stmt **st, struct err *err)
{
    if (s->sql.failed)
        return fail(err, ERR_INVALID, "the filter is too large");
    if (sqlite3_prepare_v3(q->db, s->sql.data, -1, flags, st, NULL) != SQLITE_OK)
        return sq_fail(q, "list", err);
    return OK;
}

static enum err_code query_bind(struct sq *q, const struct sq_query *s, sqlite3_stmt *st,
                                struct err *err)
{
    for (int i = 0; i < s->params_n; i++) {
        const char *text = s->params[i].text;
        int rc = text != NULL ? sqlite3_bind_text(st, i + 1, text, -1, SQLITE_TRANSIENT)
                              : sqlite3_bind_int64(st, i + 1, s->params[i].num);
        if (rc != SQLITE_OK)
            return sq_fail(q, "bind", err);
    }
    return OK;
}

enum err_code sq_query_open(struct sq *q, struct sq_query *s, sqlite3_stmt **out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    enum err_code code = query_prepare(q, s, 0, &st, err);
    if (code == OK)
        code = query_bind(q, s, st, err);
    buf_fini(&s->sql);
    if (code != OK) {
        sqlite3_finalize(st);
        return code;
    }
    *out = st;
    return OK;
}

/* The place of the statement with this text; SQ_KEPT: there is none. */
static size_t kept_find(const struct sq *q, const struct sq_query *s)
{
    size_t i = 0;
    while (i < SQ_KEPT && (s->sql.failed || q->kept[i] == NULL ||
                           strcmp(sqlite3_sql(q->kept[i]), s->sql.data) != 0))
        i++;
    return i;
}

enum err_code sq_query_kept(struct sq *q, struct sq_query *s, sqlite3_stmt **out, struct err *err)
{
    size_t at = kept_find(q, s);
    enum err_code code = OK;
    if (at == SQ_KEPT) { /* in the place of the one that was made longest ago */
        at = q->kept_next;
        q->kept_next = (at + 1) % SQ_KEPT;
        sqlite3_finalize(q->kept[at]);
        q->kept[at] = NULL;
        code = query_prepare(q, s, SQLITE_PREPARE_PERSISTENT, &q->kept[at], err);
    }
    if (code == OK)
        code = query_bind(q, s, q->kept[at], err);
    buf_fini(&s->sql);
    if (code == OK)
        *out = q->kept[at];
    return code;
}

enum err_code sq_query_all(struct sq *q, struct sq_query *s, sq_read_fn *read, size_t size,
                           struct arena *a, void **rows, size_t *n, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_query_open(q, s, &st, err);
    if (code != OK)
        return code;
    code = sq_take_all(q, st, read, size, a, rows, n, err);
    sqlite3_finalize(st);
    return code;
}
