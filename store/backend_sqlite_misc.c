/* store/backend_sqlite_misc.c: intake's memory (marks, taken rows, rejects), audit, meta, counts. */
#include "store/backend_sqlite.h"

#include <string.h>

#include "base/text.h"

/* ---- intake's memory ---- */
enum err_code sq_outbox_mark(struct backend *b, const char *outbox, int64_t *mark, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(sq_of(b), SQ_OUTBOX_MARK, &st, err,
                                "SELECT mark FROM outbox WHERE name = ?1", "t", outbox);
    if (code != OK && code != ERR_NOT_FOUND)
        return code;
    *mark = code == OK ? sqlite3_column_int64(st, 0) : 0;
    if (code == OK)
        sq_done(st);
    return OK;
}

enum err_code sq_outbox_set_mark(struct backend *b, const char *outbox, int64_t mark,
                                 struct err *err)
{
    return sq_run(sq_of(b), SQ_OUTBOX_SET_MARK, err, "INSERT OR REPLACE INTO outbox VALUES(?1, ?2)",
                  "tl", outbox, mark);
}

enum err_code sq_taken_put(struct backend *b, const char *outbox, const struct taken *t,
                           bool *fresh, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code =
        sq_run(q, SQ_TAKEN_PUT, err, "INSERT OR IGNORE INTO taken VALUES(?1, ?2, ?3)", "tlb",
               outbox, t->seq, (const void *)t->digest, sizeof(t->digest));
    if (code == OK)
        *fresh = sq_changes(q) == 1;
    return code;
}

static void read_taken(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct taken *t = row;
    (void)a;
    (void)bad;
    memset(t, 0, sizeof(*t));
    t->seq = sqlite3_column_int64(st, 0);
    if (sqlite3_column_bytes(st, 1) == (int)sizeof(t->digest))
        memcpy(t->digest, sqlite3_column_blob(st, 1), sizeof(t->digest));
}

enum err_code sq_taken_list(struct backend *b, const char *outbox, int64_t after_seq, size_t limit,
                            struct arena *a, struct taken **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code = sq_open(q, SQ_TAKEN_LIST, &st, err,
                                 "SELECT seq, digest FROM taken WHERE outbox = ?1 AND seq > ?2"
                                 " ORDER BY seq, digest LIMIT ?3",
                                 "tll", outbox, after_seq, (int64_t)limit);
    if (code == OK)
        code = sq_take_all(q, st, read_taken, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

/* Is the list all that is there between its first and its last one? */
static enum err_code taken_alone(struct sq *q, const char *outbox, const struct taken *list,
                                 size_t n, bool *alone, struct err *err)
{
    sqlite3_stmt *st;
    size_t i = 0;
    *alone = true;
    enum err_code code = sq_open(q, SQ_TAKEN_RANGE, &st, err,
                                 "SELECT seq, digest FROM taken WHERE outbox = ?1 AND seq >= ?2"
                                 " AND seq <= ?3 ORDER BY seq, digest",
                                 "tll", outbox, list[0].seq, list[n - 1].seq);
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        struct taken t;
        read_taken(st, NULL, &t, NULL);
        *alone = i < n && t.seq == list[i].seq &&
                 memcmp(t.digest, list[i].digest, sizeof(t.digest)) == 0;
        if (!*alone)
            break;
        i++;
    }
    if (code == OK)
        sq_done(st);
    return code == ERR_NOT_FOUND ? OK : code;
}

/* Mostly a slice that was trimmed: one statement for all of it. */
enum err_code sq_taken_delete(struct backend *b, const char *outbox, const struct taken *list,
                              size_t n, struct err *err)
{
    struct sq *q = sq_of(b);
    bool alone = false;
    enum err_code code = n > 1 ? taken_alone(q, outbox, list, n, &alone, err) : OK;
    if (code == OK && alone)
        return sq_run(q, SQ_TAKEN_DEL_RANGE, err,
                      "DELETE FROM taken WHERE outbox = ?1 AND seq >= ?2 AND seq <= ?3", "tll",
                      outbox, list[0].seq, list[n - 1].seq);
    for (size_t i = 0; code == OK && i < n; i++)
        code = sq_run(q, SQ_TAKEN_DEL, err,
                      "DELETE FROM taken WHERE outbox = ?1 AND seq = ?2 AND digest = ?3", "tlb",
                      outbox, list[i].seq, (const void *)list[i].digest, sizeof(list[i].digest));
    return code;
}

/* ---- rejects ---- */
enum err_code sq_reject_put(struct backend *b, const struct reject *r, struct err *err)
{
    return sq_run(sq_of(b), SQ_REJECT_PUT, err, "INSERT INTO reject VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                  "ltlttl", r->num, r->outbox, r->seq, r->reason, r->row, r->created_ms);
}

static void read_reject(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct reject *r = row;
    r->num = sqlite3_column_int64(st, 0);
    r->outbox = sq_text(st, 1, a, bad);
    r->seq = sqlite3_column_int64(st, 2);
    r->reason = sq_text(st, 3, a, bad);
    r->row = sq_text(st, 4, a, bad);
    r->created_ms = sqlite3_column_int64(st, 5);
}

enum err_code sq_reject_get(struct backend *b, int64_t num, struct arena *a, struct reject *out,
                            struct err *err)
{
    sqlite3_stmt *st;
    struct reject r;
    enum err_code code = sq_row(
        sq_of(b), SQ_REJECT_GET, &st, err,
        "SELECT num, outbox, seq, reason, row, created_ms FROM reject WHERE num = ?1", "l", num);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "no such reject");
    if (code == OK)
        code = sq_take(st, read_reject, a, &r, err);
    if (code == OK)
        *out = r;
    return code;
}

enum err_code sq_reject_list(struct backend *b, int64_t after_num, size_t limit, struct arena *a,
                             struct reject **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    void *rows;
    enum err_code code =
        sq_open(q, SQ_REJECT_LIST, &st, err,
                "SELECT num, outbox, seq, reason, row, created_ms FROM reject WHERE num > ?1"
                " ORDER BY num LIMIT ?2",
                "ll", after_num, (int64_t)limit);
    if (code == OK)
        code = sq_take_all(q, st, read_reject, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

enum err_code sq_reject_delete(struct backend *b, int64_t num, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code =
        sq_run(q, SQ_REJECT_DEL, err, "DELETE FROM reject WHERE num = ?1", "l", num);
    if (code == OK && sq_changes(q) == 0)
        return fail(err, ERR_NOT_FOUND, "no such reject");
    return code;
}

/* ---- audit ---- */
enum err_code sq_audit_put(struct backend *b, const struct audit_entry *e, struct err *err)
{
    return sq_run(sq_of(b), SQ_AUDIT_PUT, err, "INSERT INTO audit VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                  "lttttl", e->num, e->actor, e->action, e->target, e->detail, e->created_ms);
}

enum err_code sq_audit_update(struct backend *b, int64_t num, const char *detail, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code = sq_run(q, SQ_AUDIT_UPDATE, err,
                                "UPDATE audit SET detail = ?2 WHERE num = ?1", "lt", num, detail);
    if (code == OK && sq_changes(q) == 0)
        return fail(err, ERR_NOT_FOUND, "no such entry");
    return code;
}

static void read_audit(sqlite3_stmt *st, struct arena *a, void *row, bool *bad)
{
    struct audit_entry *e = row;
    e->num = sqlite3_column_int64(st, 0);
    e->actor = sq_text(st, 1, a, bad);
    e->action = sq_text(st, 2, a, bad);
    e->target = sq_text(st, 3, a, bad);
    e->detail = sq_text(st, 4, a, bad);
    e->created_ms = sqlite3_column_int64(st, 5);
}

enum err_code sq_audit_list(struct backend *b, const struct audit_filter *f, struct arena *a,
                            struct audit_entry **out, size_t *n, struct err *err)
{
    struct sq *q = sq_of(b);
    struct sq_query s;
    struct filter actions = {.types = &f->action, .types_n = f->action != NULL};
    void *rows;
    sq_query_init(&s, "SELECT num, actor, action, target, detail, created_ms FROM audit");
    if (f->before_num != 0)
        sq_and(&s, "num < %lld", (long long)f->before_num);
    if (f->since_ms != 0)
        sq_and(&s, "created_ms >= %lld", (long long)f->since_ms);
    if (f->until_ms != 0)
        sq_and(&s, "created_ms < %lld", (long long)f->until_ms);
    if (f->actor != NULL) {
        sq_and(&s, "instr(actor, ?) > 0");
        sq_param(&s, f->actor);
    }
    if (f->target != NULL) {
        sq_and(&s, "(target = ?");
        sq_param(&s, f->target);
        for (size_t i = 0; i < f->mentioned_n; i++) {
            buf_adds(&s.sql, " OR instr(detail, ?) > 0");
            sq_param(&s, f->mentioned[i]);
        }
        buf_addc(&s.sql, ')');
    }
    sq_and_types(&s, "action", &actions);
    buf_addf(&s.sql, " ORDER BY num DESC LIMIT %zu", f->limit);
    enum err_code code = sq_query_all(q, &s, read_audit, sizeof(**out), a, &rows, n, err);
    if (code == OK)
        *out = rows;
    return code;
}

/* ---- meta, counts, numbers ---- */
enum err_code sq_meta_get(struct backend *b, const char *key, char *out, size_t room,
                          struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code =
        sq_row(sq_of(b), SQ_META_GET, &st, err, "SELECT value FROM meta WHERE key = ?1", "t", key);
    if (code == ERR_NOT_FOUND)
        return fail(err, ERR_NOT_FOUND, "nothing is known of %s", key);
    if (code != OK)
        return code;
    text_copy(out, room, (const char *)sqlite3_column_text(st, 0));
    sq_done(st);
    return OK;
}

enum err_code sq_meta_set(struct backend *b, const char *key, const char *value, struct err *err)
{
    return sq_run(sq_of(b), SQ_META_SET, err, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)", "tt",
                  key, value);
}

enum err_code sq_counts(struct backend *b, int64_t out[DELIVERY_STATES], int64_t *rejects,
                        struct err *err)
{
    struct sq *q = sq_of(b);
    sqlite3_stmt *st;
    int64_t n[DELIVERY_STATES] = {0};
    enum err_code code = sq_counts_flush(q, err);
    if (code == OK)
        code = sq_open(q, SQ_COUNTS, &st, err,
                       "SELECT CASE WHEN c.state IN (0, 2) AND " SQ_HELD " THEN 3 ELSE c.state END"
                       " AS shown, sum(c.n) FROM counts c LEFT JOIN subscription s"
                       " ON s.num = c.sub WHERE c.state IN (0, 2) OR ifnull(s.job, 0) = 0"
                       " GROUP BY shown",
                       "");
    while (code == OK && (code = sq_next(q, st, err)) == OK) {
        int state = sqlite3_column_int(st, 0);
        if (state >= 0 && state < DELIVERY_STATES)
            n[state] = sqlite3_column_int64(st, 1);
    }
    if (code == ERR_NOT_FOUND)
        code = sq_row(q, SQ_REJECT_COUNT, &st, err, "SELECT count(*) FROM reject", "");
    if (code != OK)
        return code;
    *rejects = sqlite3_column_int64(st, 0);
    sq_done(st);
    memcpy(out, n, sizeof(n));
    return OK;
}

enum err_code sq_max_num(struct backend *b, int64_t *out, struct err *err)
{
    sqlite3_stmt *st;
    enum err_code code = sq_row(sq_of(b), SQ_MAX_NUM, &st, err,
                                "SELECT max(ifnull((SELECT max(num) FROM event), 0),"
                                " ifnull((SELECT max(num) FROM delivery), 0),"
                                " ifnull((SELECT max(num) FROM subscription), 0),"
                                " ifnull((SELECT max(num) FROM secret), 0),"
                                " ifnull((SELECT max(num) FROM partner), 0),"
                                " ifnull((SELECT max(num) FROM job), 0),"
                                " ifnull((SELECT max(num) FROM reject), 0),"
                                " ifnull((SELECT max(num) FROM audit), 0))",
                                "");
    if (code != OK)
        return code;
    *out = sqlite3_column_int64(st, 0);
    sq_done(st);
    return OK;
}
