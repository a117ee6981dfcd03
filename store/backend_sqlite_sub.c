/* store/backend_sqlite_sub.c: partners, subscriptions and their secrets.
 *
 * Bearer tokens, custom headers and secrets are sealed, each bound to its own row. */
#include "store/backend_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"

/* ---- partners ---- */
enum err_code sq_partner_put(struct backend *b, const struct partner *p, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code =
        sq_run(q, SQ_PARTNER_PUT, err,
               "INSERT INTO partner VALUES(?1, ?2, ?3) ON CONFLICT(name) DO NOTHING", "ltl", p->num,
               p->name, p->created_ms);
    if (code == OK && sq_changes(q) == 0)
        return fail(err, ERR_EXISTS, "there is a partner named %s already", p->name);
    return code;
}

static void read_partner(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct partner *p = row;
    p->num = sqlite3_column_int64(st, 0);
    p->name = sq_text(st, 1, a, bad);
    p->created_ms = sqlite3_column_int64(st, 2);
}

enum err_code sq_partner_get(struct backend *b, const char *ref, struct arena *a,
                             struct partner *out, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    int64_t num;
    struct partner p;
    enum err_code code = ERR_NOT_FOUND;
    if (id_parse(ref, "par", &num))
        code = sq_row(q, SQ_PARTNER_BY_NUM, &st, err,
                      "SELECT num, name, created_ms FROM partner WHERE num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        code = sq_row(q, SQ_PARTNER_BY_NAME, &st, err,
                      "SELECT num, name, created_ms FROM partner WHERE name = ?1", "t", ref);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no partner %.80s", ref);
    if (code == OK)
        code = sq_take(st, read_partner, a, &p, err);
    if (code == OK)
        *out = p;
    return code;
}

enum err_code sq_partner_list(struct backend *b, int64_t after_num, size_t limit, struct arena *a,
                              struct partner **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code = sq_open(q, SQ_PARTNER_LIST, &st, err,
                                 "SELECT num, name, created_ms FROM partner WHERE num > ?1"
                                 " ORDER BY num LIMIT ?2",
                                 "ll", after_num, (int64_t)limit);
    if (code == OK)
        code = sq_take_all(q, st, read_partner, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

/* ---- subscriptions: write ---- */
static enum err_code name_free(struct sq *q, const struct subscription *s, struct err *err)
{
    sqlite3_stmt *st;
    if (s->state == SUB_DELETED)
        return OK;
    enum err_code code = sq_row(q, SQ_SUB_NAME_TAKEN, &st, err,
                                "SELECT 1 FROM subscription WHERE name = ?1 AND state <> 3"
                                " AND num <> ?2",
                                "tl", s->name, s->num);
    if (code == ERR_NOT_FOUND)
        return OK;
    if (code == OK) {
        sq_done(st);
        return fail(err, ERR_EXISTS, "there is a subscription named %s already", s->name);
    }
    return code;
}

static enum err_code seal_sub(struct sq *q, const struct subscription *s, struct buf *bearer,
                              struct buf *headers, struct err *err)
{
    enum err_code code = sq_seal(q, "bearer", s->num, s->bearer,
                                 s->bearer != NULL ? strlen(s->bearer) : 0, bearer, err);
    enum err_code second =
        sq_seal(q, "headers", s->num, s->headers, s->headers != NULL ? strlen(s->headers) : 0,
                headers, code == OK ? err : NULL);
    return code != OK ? code : second;
}

enum err_code sq_sub_put(struct backend *b, const struct subscription *s, struct err *err)
{
    struct sq *q = sq_of(b);
    struct buf bearer, headers;
    enum err_code code = name_free(q, s, err);
    if (code != OK)
        return code;
    code = seal_sub(q, s, &bearer, &headers, err);
    if (code == OK)
        code = sq_run(q, SQ_SUB_PUT, err,
                      "INSERT INTO subscription VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                      " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
                      "ltlttttdiliiitlllbblllll", s->num, s->name, s->partner, s->url, s->patterns,
                      s->profile, s->retry, s->rate_per_s, s->concurrency, s->timeout_ms,
                      s->ordered, s->on_dead_block, (int)s->state, s->state_cause,
                      s->state_since_ms, s->resume_at_ms, s->broken_since_ms,
                      (const void *)bearer.data, bearer.len, (const void *)headers.data,
                      headers.len, s->created_ms, s->updated_ms, s->revision, s->job, s->source);
    buf_fini(&bearer);
    buf_fini(&headers);
    return code;
}

/* A subscription that no longer blocks on dead ones lets every key that waits behind one go on.
 * The dead ones leave the line; what is found first in each is made ready. */
static enum err_code unblock(struct sq *q, int64_t sub, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code;
    while ((code = sq_row(q, SQ_SUB_BLOCKED, &st, err,
                          "SELECT l.num FROM lineup l JOIN delivery d ON d.num = l.num"
                          " WHERE l.sub = ?1 AND d.state = 5 LIMIT 1",
                          "l", sub)) == OK) {
        int64_t num = sqlite3_column_int64(st, 0), due = 0;
        struct sq_open_delivery d;
        sq_done(st);
        code = sq_delivery_load(q, num, &d, err);
        if (code == OK)
            code = sq_line_leave(q, &d, now_ms, &due, err);
        free(d.line);
        if (code != OK)
            return code;
    }
    return code == ERR_NOT_FOUND ? OK : code;
}

enum err_code sq_sub_update(struct backend *b, const struct subscription *s, struct err *err)
{
    struct sq *q = sq_of(b);
    struct buf bearer, headers;
    enum err_code code = name_free(q, s, err);
    if (code != OK)
        return code;
    code = seal_sub(q, s, &bearer, &headers, err);
    if (code == OK)
        code =
            sq_run(q, SQ_SUB_UPDATE, err,
                   "UPDATE subscription SET name = ?2, partner = ?3, url = ?4, patterns = ?5,"
                   " profile = ?6, retry = ?7, rate_per_s = ?8, concurrency = ?9,"
                   " timeout_ms = ?10, ordered = ?11, on_dead_block = ?12, state = ?13,"
                   " state_cause = ?14, state_since_ms = ?15, resume_at_ms = ?16,"
                   " broken_since_ms = ?17, bearer = ?18, headers = ?19, updated_ms = ?20,"
                   " revision = revision + 1 WHERE num = ?1",
                   "ltlttttdiliiitlllbbl", s->num, s->name, s->partner, s->url, s->patterns,
                   s->profile, s->retry, s->rate_per_s, s->concurrency, s->timeout_ms, s->ordered,
                   s->on_dead_block, (int)s->state, s->state_cause, s->state_since_ms,
                   s->resume_at_ms, s->broken_since_ms, (const void *)bearer.data, bearer.len,
                   (const void *)headers.data, headers.len, s->updated_ms);
    buf_fini(&bearer);
    buf_fini(&headers);
    if (code == OK && sq_changes(q) == 0)
        return fail(err, ERR_NOT_FOUND, "no such subscription");
    if (code == OK && !s->on_dead_block)
        code = unblock(q, s->num, s->updated_ms, err);
    return code;
}

enum err_code sq_secret_put(struct backend *b, int64_t sub, const struct secret *s, struct err *err)
{
    struct sq *q = sq_of(b);
    struct buf sealed;
    enum err_code code = sq_seal(q, "secret", s->num, s->value, strlen(s->value), &sealed, err);
    if (code == OK)
        code = sq_run(q, SQ_SECRET_PUT, err, "INSERT INTO secret VALUES(?1, ?2, ?3, ?4, ?5)",
                      "llbll", s->num, sub, (const void *)sealed.data, sealed.len, s->created_ms,
                      s->expires_ms);
    buf_fini(&sealed);
    return code;
}

enum err_code sq_secret_expire(struct backend *b, int64_t sub, int64_t except, int64_t expires_ms,
                               struct err *err)
{
    return sq_run(sq_of(b), SQ_SECRET_EXPIRE, err,
                  "UPDATE secret SET expires_ms = ?3 WHERE sub = ?1 AND num <> ?2"
                  " AND (expires_ms = 0 OR expires_ms > ?3)",
                  "lll", sub, except, expires_ms);
}

/* ---- subscriptions: read ---- */
#define SUB_COLS                                                                                   \
    "SELECT s.num, s.name, s.partner, s.url, s.patterns, s.profile, s.retry, s.rate_per_s,"        \
    " s.concurrency, s.timeout_ms, s.ordered, s.on_dead_block, s.state, s.state_cause,"            \
    " s.state_since_ms, s.resume_at_ms, s.broken_since_ms, s.bearer, s.headers, s.created_ms,"     \
    " s.updated_ms, s.revision, p.name, h.ok_total, h.failed_total, h.last_success_ms,"            \
    " h.last_failure_ms, h.last_failure_status, h.last_failure_outcome, h.in_row,"                 \
    " h.failing_since_ms, s.job, s.source FROM subscription s LEFT JOIN partner p ON p.num = "     \
    "s.partner"                                                                                    \
    " LEFT JOIN health h ON h.sub = s.num "

/* NULLs, where there was no attempt yet, read as 0. */
static void read_health(sqlite3_stmt *st, int col, struct health *h)
{
    h->ok_total = sqlite3_column_int64(st, col);
    h->failed_total = sqlite3_column_int64(st, col + 1);
    h->last_success_ms = sqlite3_column_int64(st, col + 2);
    h->last_failure_ms = sqlite3_column_int64(st, col + 3);
    h->last_failure_status = sqlite3_column_int(st, col + 4);
    h->last_failure_outcome = (enum outcome)sqlite3_column_int(st, col + 5);
    h->in_row = sqlite3_column_int64(st, col + 6);
    h->failing_since_ms = sqlite3_column_int64(st, col + 7);
}

static enum err_code read_sub(struct sq *q, sqlite3_stmt *st, struct arena *a,
                              struct subscription *s, struct err *err)
{
    bool bad = false;
    size_t n;
    const void *bytes;
    memset(s, 0, sizeof(*s));
    s->num = sqlite3_column_int64(st, 0);
    s->name = sq_text(st, 1, a, &bad);
    s->partner = sqlite3_column_int64(st, 2);
    s->url = sq_text(st, 3, a, &bad);
    s->patterns = sq_text(st, 4, a, &bad);
    s->profile = sq_text(st, 5, a, &bad);
    s->retry = sq_text(st, 6, a, &bad);
    s->rate_per_s = sqlite3_column_double(st, 7);
    s->concurrency = sqlite3_column_int(st, 8);
    s->timeout_ms = sqlite3_column_int64(st, 9);
    s->ordered = sqlite3_column_int(st, 10) != 0;
    s->on_dead_block = sqlite3_column_int(st, 11) != 0;
    s->state = (enum sub_state)sqlite3_column_int(st, 12);
    s->state_cause = sq_text(st, 13, a, &bad);
    s->state_since_ms = sqlite3_column_int64(st, 14);
    s->resume_at_ms = sqlite3_column_int64(st, 15);
    s->broken_since_ms = sqlite3_column_int64(st, 16);
    s->created_ms = sqlite3_column_int64(st, 19);
    s->updated_ms = sqlite3_column_int64(st, 20);
    s->revision = sqlite3_column_int64(st, 21);
    s->partner_name = sq_text(st, 22, a, &bad);
    read_health(st, 23, &s->health);
    s->job = sqlite3_column_int64(st, 31);
    s->source = sqlite3_column_int64(st, 32);
    if (bad)
        return fail(err, ERR_NOMEM, "no memory for a subscription");
    enum err_code code = sq_unseal(q, "bearer", s->num, st, 17, a, &bytes, &n, err);
    s->bearer = bytes;
    if (code == OK)
        code = sq_unseal(q, "headers", s->num, st, 18, a, &bytes, &n, err);
    s->headers = bytes;
    return code;
}

static enum err_code read_secrets(struct sq *q, struct arena *a, struct subscription *s,
                                  struct err *err)
{
    sqlite3_stmt *st;
    void *rows = NULL;
    enum err_code code = sq_open(q, SQ_SECRETS, &st, err,
                                 "SELECT num, value, created_ms, expires_ms FROM secret"
                                 " WHERE sub = ?1 ORDER BY created_ms DESC, num DESC",
                                 "l", s->source != 0 ? s->source : s->num);
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        const void *value;
        size_t n;
        struct secret *x = sq_push(a, &rows, &s->secrets_n, sizeof(*x));
        if (x == NULL) {
            code = fail(err, ERR_NOMEM, "no memory for secrets");
        } else {
            x->num = sqlite3_column_int64(st, 0);
            x->created_ms = sqlite3_column_int64(st, 2);
            x->expires_ms = sqlite3_column_int64(st, 3);
            code = sq_unseal(q, "secret", x->num, st, 1, a, &value, &n, err);
            x->value = value;
        }
        if (code != OK)
            sq_done(st);
    }
    s->secrets = rows;
    return code == ERR_NOT_FOUND ? OK : code;
}

static enum err_code read_counts(struct sq *q, struct subscription *s, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_open(q, SQ_SUB_COUNTS, &st, err,
                                 "SELECT state, n FROM counts WHERE sub = ?1", "l", s->num);
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        int state = sqlite3_column_int(st, 0);
        if (state >= 0 && state < DELIVERY_STATES)
            s->counts[state] = sqlite3_column_int64(st, 1);
    }
    if (s->state != SUB_ACTIVE || s->broken_since_ms != 0) {
        s->counts[DELIVERY_HELD] = s->counts[DELIVERY_PENDING] + s->counts[DELIVERY_RETRYING];
        s->counts[DELIVERY_PENDING] = s->counts[DELIVERY_RETRYING] = 0;
    }
    return code == ERR_NOT_FOUND ? OK : code;
}

enum err_code sq_sub_state(struct sq *q, int64_t sub, enum sub_state *state, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_SUB_STATE, &st, err,
                                "SELECT state FROM subscription WHERE num = ?1", "l", sub);
    if (code != OK)
        return code;
    *state = (enum sub_state)sqlite3_column_int(st, 0);
    sq_done(st);
    return OK;
}

/* st stands on the row of a subscription; it is reset here. */
static enum err_code take_sub(struct sq *q, sqlite3_stmt *st, struct arena *a,
                              struct subscription *out, struct err *err)
{
    struct subscription s;
    enum err_code code = read_sub(q, st, a, &s, err);
    sq_done(st);
    if (code == OK)
        code = read_secrets(q, a, &s, err);
    if (code == OK)
        code = sq_counts_flush(q, err);
    if (code == OK)
        code = read_counts(q, &s, err);
    if (code == OK)
        *out = s;
    return code;
}

enum err_code sq_sub_get_num(struct backend *b, int64_t num, struct arena *a,
                             struct subscription *out, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    enum err_code code = sq_row(q, SQ_SUB_BY_NUM, &st, err, SUB_COLS "WHERE s.num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such subscription");
    return code != OK ? code : take_sub(q, st, a, out, err);
}

enum err_code sq_sub_get(struct backend *b, const char *ref, struct arena *a,
                         struct subscription *out, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    int64_t num;
    enum err_code code = ERR_NOT_FOUND;
    if (id_parse(ref, "sub", &num))
        code = sq_row(q, SQ_SUB_BY_NUM, &st, err, SUB_COLS "WHERE s.num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        code = sq_row(q, SQ_SUB_BY_NAME, &st, err, SUB_COLS "WHERE s.name = ?1 AND s.state <> 3",
                      "t", ref);
    if (code == ERR_NOT_FOUND)
        code = sq_row(q, SQ_SUB_DELETED_BY_NAME, &st, err,
                      SUB_COLS "WHERE s.name = ?1 ORDER BY s.num DESC LIMIT 1", "t", ref);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no subscription %.80s", ref);
    return code != OK ? code : take_sub(q, st, a, out, err);
}

enum err_code sq_sub_list(struct backend *b, int64_t after_num, size_t limit, bool with_secrets,
                          struct arena *a, struct subscription **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows = NULL;
    size_t rows_n = 0;
    enum err_code code = sq_counts_flush(q, err);
    if (code == OK)
        code = sq_open(q, SQ_SUB_LIST, &st, err,
                       SUB_COLS "WHERE s.num > ?1 AND s.state <> 3 ORDER BY s.num LIMIT ?2", "ll",
                       after_num, (int64_t)limit);
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        struct subscription *s = sq_push(a, &rows, &rows_n, sizeof(*s));
        if (s == NULL)
            code = fail(err, ERR_NOMEM, "no memory for subscriptions");
        if (code == OK)
            code = read_sub(q, st, a, s, err);
        if (code == OK && with_secrets)
            code = read_secrets(q, a, s, err);
        if (code == OK)
            code = read_counts(q, s, err);
        if (code != OK)
            sq_done(st);
    }
    if (code != ERR_NOT_FOUND)
        return code;
    *out = rows;
    *n = rows_n;
    return OK;
}
