/* store/backend_sqlite_check.c: is the SQLite store sound? SQLite's own checks, then what must hold
 * between our tables, then whether what is sealed opens. Within one snapshot.
 *
 * Each invariant is a query that counts who breaks it and names one. */
#include "store/backend_sqlite_care.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "store/schema_sqlite.h"
#include "store/seal.h"

enum { PROGRESS_OPS = 50000, SEALS_QUICK = 1000, PROBLEMS_MAX = 5 };

#define OPEN_D "d.state IN (0, 2)"
#define IS_READY                                                                                   \
    "EXISTS (SELECT 1 FROM ready r WHERE r.sub = d.sub AND r.due = d.due_ms AND r.num = d.num)"
#define RESTORE "restore the last backup that is sound (webhookctl help backup)"
#define REPORT                                                                                     \
    "this should not be: make a backup (webhookctl db backup FILE) and report it with this output"

static const struct invariant {
    const char *check, *sql; /* two columns: how many, one of them */
    const char *prefix;      /* of the id of that one */
    const char *bad, *fix;
} invariants[] = {
    {"counts", /* kept within each commit: what status shows */
     "SELECT count(*), min(sub) FROM (SELECT sub, state, sum(n) FROM (SELECT sub, state,"
     " count(*) AS n FROM delivery GROUP BY sub, state UNION ALL SELECT sub, state, -n FROM counts)"
     " GROUP BY sub, state HAVING sum(n) <> 0)",
     "sub", "counts that are not the number of rows", REPORT},
    {"events of open deliveries",
     "SELECT count(*), min(d.num) FROM delivery d LEFT JOIN event e ON e.num = d.event"
     " WHERE " OPEN_D " AND (e.num IS NULL OR e.payload IS NULL)",
     "dlv", "open deliveries whose event or payload is gone: they cannot be sent", RESTORE},
    {"ready", /* what may be sent, and nothing else */
     "SELECT count(*), min(r.num) FROM ready r LEFT JOIN delivery d ON d.num = r.num"
     " WHERE d.num IS NULL OR NOT " OPEN_D " OR d.sub <> r.sub OR d.due_ms <> r.due",
     "dlv", "entries of ready without their open delivery", REPORT},
    {"open deliveries wait somewhere",
     "SELECT count(*), min(d.num) FROM delivery d WHERE " OPEN_D
     " AND d.line IS NULL AND NOT " IS_READY,
     "dlv", "open deliveries that nobody would ever send", REPORT},
    {"heads of ordering keys",
     "SELECT count(*), min(d.num) FROM (SELECT min(num) AS num FROM lineup GROUP BY sub, key) l"
     " JOIN delivery d ON d.num = l.num WHERE " OPEN_D " AND NOT " IS_READY,
     "dlv", "ordering keys that stand still although nothing holds them", REPORT},
    {"lines of ordering keys",
     "SELECT count(*), min(l.num) FROM lineup l LEFT JOIN delivery d ON d.num = l.num"
     " WHERE d.num IS NULL OR d.sub <> l.sub OR d.line IS NOT l.key",
     "dlv", "places in a line without their delivery", REPORT},
    {"expiry",
     "SELECT count(*), min(d.num) FROM delivery d WHERE " OPEN_D " AND d.expires_ms <> 0"
     " AND NOT EXISTS (SELECT 1 FROM expiring x WHERE x.expires_ms = d.expires_ms"
     " AND x.num = d.num)",
     "dlv", "open deliveries whose expiry would be overlooked", REPORT},
    {"dead letters",
     "SELECT count(*), min(x.num) FROM dead x LEFT JOIN delivery d ON d.num = x.num"
     " WHERE d.num IS NULL OR d.state <> 5",
     "dlv", "dead letters whose delivery is not dead", REPORT},
    {"dead deliveries",
     "SELECT count(*), min(d.num) FROM delivery d WHERE d.state = 5"
     " AND NOT EXISTS (SELECT 1 FROM dead x WHERE x.num = d.num)",
     "dlv", "dead deliveries without their letter: they cannot be replayed", RESTORE},
    {"attempts",
     "SELECT count(*), min(a.delivery) FROM attempt a"
     " WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.num = a.delivery"
     " AND d.last_attempt >= a.row)",
     "dlv", "attempts of deliveries that are gone or do not know of them", REPORT},
    {"payloads",
     "SELECT count(*), min(e.num) FROM event e WHERE e.payload IS NOT NULL"
     " AND EXISTS (SELECT 1 FROM delivery d WHERE d.event = e.num)"
     " AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event = e.num AND d.state IN (0, 2, 4))",
     NULL, "payloads that only dead letters are left of, unsealed", REPORT},
};
enum { INVARIANTS = sizeof invariants / sizeof *invariants };

struct run {
    struct care *c;
    const struct care_check *how;
    int64_t done, total;
    int bad;
    bool stopped;
};

static void found(struct run *r, const char *check, enum care_verdict verdict, const char *detail,
                  const char *fix)
{
    struct care_finding f = {.check = check, .verdict = verdict, .detail = detail, .fix = fix};
    r->bad += verdict == CARE_BAD;
    r->done++;
    r->how->found(r->how->arg, &f);
}

static int go_on(void *arg)
{
    struct run *r = arg;
    r->stopped = r->stopped ||
                 (r->how->progress != NULL && !r->how->progress(r->how->arg, r->done, r->total));
    return r->stopped;
}

/* SQLite's own look at pages and indexes: "ok", or a line for each mistake. */
static enum err_code check_pages(struct run *r, struct err *err)
{
    const char *sql = r->how->quick ? "PRAGMA quick_check(100)" : "PRAGMA integrity_check(100)";
    sqlite3_stmt *st = NULL;
    char detail[400] = "";
    int rc, n = 0;
    if (sqlite3_prepare_v2(r->c->q.db, sql, -1, &st, NULL) != SQLITE_OK)
        return care_fail(r->c, sql, err);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const void *text = sqlite3_column_text(st, 0);
        const char *line = text != NULL ? text : "";
        if (strcmp(line, "ok") == 0)
            continue;
        size_t at = strlen(detail);
        if (n++ < PROBLEMS_MAX)
            snprintf(detail + at, sizeof(detail) - at, "%s%s", at > 0 ? "; " : "", line);
    }
    enum err_code code = OK;
    if (rc == SQLITE_DONE)
        found(r, "database file", n > 0 ? CARE_BAD : CARE_SOUND,
              n > 0           ? detail
              : r->how->quick ? "every page can be read"
                              : "every page can be read, every index fits its table",
              n > 0 ? RESTORE : NULL);
    else
        code = care_fail(r->c, sql, err);
    sqlite3_finalize(st);
    return code;
}

static enum err_code check_invariant(struct run *r, const struct invariant *v, struct err *err)
{
    sqlite3_stmt *st = NULL;
    char detail[300], id[ID_TEXT_MAX];
    if (sqlite3_prepare_v2(r->c->q.db, v->sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW) {
        enum err_code code = care_fail(r->c, v->check, err);
        sqlite3_finalize(st);
        return code;
    }
    int64_t n = sqlite3_column_int64(st, 0), one = sqlite3_column_int64(st, 1);
    sqlite3_finalize(st);
    if (n == 0) {
        found(r, v->check, CARE_SOUND, "as they must be", NULL);
        return OK;
    }
    if (v->prefix != NULL)
        snprintf(detail, sizeof(detail), "%lld %s; one is %s", (long long)n, v->bad,
                 id_text(id, v->prefix, one));
    else
        snprintf(detail, sizeof(detail), "%lld %s", (long long)n, v->bad);
    found(r, v->check, CARE_BAD, detail, v->fix);
    return OK;
}

/* ---- what is sealed ---- */
static const struct sealed {
    const char *check, *what, *sql, *fix;
} sealed[] = {
    {"secrets open", "secret", "SELECT num, value FROM secret ORDER BY num DESC",
     "the key file has not all its keys: put the old lines back, or rotate these secrets"},
    {"bearer tokens open", "bearer",
     "SELECT num, bearer FROM subscription WHERE bearer IS NOT NULL",
     "put the old lines of the key file back, or set them anew (webhookctl sub set NAME "
     "bearer-file=F)"},
    {"headers open", "headers", "SELECT num, headers FROM subscription WHERE headers IS NOT NULL",
     "put the old lines of the key file back, or set them anew (webhookctl sub set NAME "
     "header-file=F)"},
    {"dead letters open", "dead",
     "SELECT num, payload FROM dead WHERE payload IS NOT NULL"
     " ORDER BY num DESC",
     "put the old lines of the key file back: without them these letters cannot be replayed"},
};
enum { SEALED = sizeof sealed / sizeof *sealed };

static enum err_code check_sealed(struct run *r, const struct sealed *s, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int64_t n = 0, shut = 0, one = 0;
    char detail[200], id[ID_TEXT_MAX];
    int rc;
    if (sqlite3_prepare_v2(r->c->q.db, s->sql, -1, &st, NULL) != SQLITE_OK)
        return care_fail(r->c, s->check, err);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && (!r->how->quick || n < SEALS_QUICK)) {
        struct arena mem;
        const void *plain;
        size_t plain_n;
        arena_init(&mem);
        n++;
        enum err_code code = sq_unseal(&r->c->q, s->what, sqlite3_column_int64(st, 0), st, 1, &mem,
                                       &plain, &plain_n, NULL);
        if (code != OK && shut++ == 0)
            one = sqlite3_column_int64(st, 0);
        if (code == OK && plain != NULL)
            explicit_bzero((char *)(uintptr_t)plain, plain_n);
        arena_fini(&mem);
    }
    enum err_code code =
        rc == SQLITE_DONE || rc == SQLITE_ROW ? OK : care_fail(r->c, s->check, err);
    sqlite3_finalize(st);
    if (code != OK)
        return code;
    const char *prefix = strcmp(s->what, "dead") == 0     ? "dlv"
                         : strcmp(s->what, "secret") == 0 ? "key"
                                                          : "sub";
    if (shut > 0)
        snprintf(detail, sizeof(detail), "%lld of %lld do not open; one is %s", (long long)shut,
                 (long long)n, id_text(id, prefix, one));
    else
        snprintf(detail, sizeof(detail), "%s%lld looked at", rc == SQLITE_ROW ? "the newest " : "",
                 (long long)n);
    found(r, s->check, shut > 0 ? CARE_BAD : CARE_SOUND, detail, shut > 0 ? s->fix : NULL);
    return OK;
}

static enum err_code check_ours(struct run *r, struct err *err)
{
    enum err_code code = OK;
    if (r->c->schema != SCHEMA_VERSION) {
        found(r, "tables", CARE_UNSEEN, "of another version of webhookd",
              "check it with the webhookctl of its version, or after webhookd has migrated it");
        return OK;
    }
    for (size_t i = 0; code == OK && i < INVARIANTS; i++)
        code = check_invariant(r, &invariants[i], err);
    r->c->q.keys = r->how->keys;
    if (code == OK && r->how->keys == NULL)
        found(r, "sealed rows", CARE_UNSEEN, "the key file cannot be read",
              "run this as root or as the user that webhookd runs as");
    for (size_t i = 0; code == OK && r->how->keys != NULL && i < SEALED; i++)
        code = check_sealed(r, &sealed[i], err);
    return code;
}

/* Pages that cannot be read are what somebody looks for here, no failure of looking. */
static enum err_code damaged(struct run *r, enum err_code code, struct err *err)
{
    if (code != ERR_CORRUPT)
        return code;
    found(r, "database file", CARE_BAD, err->text, RESTORE);
    return OK;
}

enum err_code care_check(struct care *c, const struct care_check *how, int *bad, struct err *err)
{
    struct run r = {.c = c, .how = how, .total = 1 + INVARIANTS + SEALED};
    sqlite3_progress_handler(c->q.db, PROGRESS_OPS, go_on, &r);
    enum err_code code = sq_exec(&c->q, "BEGIN", err);
    if (code == OK)
        code = damaged(&r, check_pages(&r, err), err);
    if (code == OK)
        code = damaged(&r, check_ours(&r, err), err);
    (void)sqlite3_exec(c->q.db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_progress_handler(c->q.db, 0, NULL, NULL);
    *bad = r.bad;
    return code;
}
