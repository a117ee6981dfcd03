/* store/backend_sqlite_care.c: the SQLite store's file looked at and copied; see care.h. Checking it:
 * backend_sqlite_check.c. */
#include "store/backend_sqlite_care.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/url.h"
#include "store/schema_sqlite.h"

enum { PAGES_A_STEP = 1024, PROGRESS_OPS = 10000 };

enum err_code care_fail(struct care *c, const char *what, struct err *err)
{
    if (sqlite3_errcode(c->q.db) == SQLITE_INTERRUPT)
        return fail(err, ERR_BUSY, "stopped");
    return sq_fail(&c->q, what, err);
}

enum err_code care_number(struct care *c, const char *sql, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    enum err_code code = OK;
    if (sqlite3_prepare_v2(c->q.db, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        code = care_fail(c, sql, err);
    else
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return code;
}

/* ---- open ---- */
static enum err_code look_before(const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fail(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED, "the store %s: %s", path,
                    errno_text(errno));
    if (access(path, R_OK) != 0)
        return fail(err, ERR_DENIED,
                    "the store %s: %s: run this as root or as the user that webhookd runs as", path,
                    errno_text(errno));
    return OK;
}

static enum err_code is_ours(struct care *c, struct err *err)
{
    int64_t app = 0;
    enum err_code code = care_number(c, "PRAGMA application_id", &app, err);
    if (code == OK)
        code = care_number(c, "PRAGMA user_version", &c->schema, err);
    if (code == OK && app != SCHEMA_APPLICATION_ID)
        code = fail(err, ERR_INVALID, "%s is no webhookd store", c->q.path);
    return code;
}

enum err_code care_open(struct care **out, const char *url, struct err *err)
{
    const char *path = url_sqlite_path(url);
    if (path == NULL)
        return fail(err, ERR_INVALID, "store.url %s names no file: there is nothing to look at",
                    url);
    enum err_code code = look_before(path, err);
    if (code != OK)
        return code;
    struct care *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->q.path = strdup(path)) == NULL) {
        free(c);
        return fail(err, ERR_NOMEM, "no memory for the store");
    }
    c->q.lock_fd = -1;
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &c->q.db, flags, NULL) != SQLITE_OK) {
        code = c->q.db == NULL ? fail(err, ERR_NOMEM, "no memory for the store")
                               : care_fail(c, "open", err);
    } else {
        sqlite3_busy_timeout(c->q.db, 5000);
        code = sq_exec(&c->q, "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16384", err);
    }
    if (code == OK)
        code = is_ours(c, err);
    if (code != OK) {
        care_close(c);
        return code;
    }
    *out = c;
    return OK;
}

void care_close(struct care *c)
{
    if (c == NULL)
        return;
    sqlite3_close_v2(c->q.db);
    free(c->q.path);
    free(c);
}

/* ---- what it is ---- */
static int past_deadline(void *arg)
{
    const struct care *c = arg;
    return clock_mono_us() > c->deadline_us;
}

/* Those that are a subscription to anybody: not the deleted ones, whose letters name them still, nor what
 * a job made for its copies. */
static const char *only_some(const struct care *c, const struct care_table *t)
{
    if (strcmp(t->name, "subscription") != 0)
        return "";
    return c->schema < 3 ? " WHERE state <> 3" : " WHERE state <> 3 AND job = 0";
}

/* Stepped through, not count(*): where time runs out the number so far is still worth saying. */
static enum err_code rows_of(struct care *c, struct care_table *t, struct err *err)
{
    sqlite3_stmt *st = NULL;
    char *sql = sqlite3_mprintf("SELECT 1 FROM \"%w\"%s", t->name, only_some(c, t));
    int rc = sql != NULL ? sqlite3_prepare_v2(c->q.db, sql, -1, &st, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    if (rc != SQLITE_OK)
        return care_fail(c, t->name, err);
    t->rows = 0;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        t->rows++;
    t->more = (rc & 0xff) == SQLITE_INTERRUPT;
    enum err_code code = rc == SQLITE_DONE || t->more ? OK : care_fail(c, t->name, err);
    sqlite3_finalize(st);
    return code;
}

static enum err_code tables_of(struct care *c, struct care_info *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc;
    if (sqlite3_prepare_v2(c->q.db,
                           "SELECT name FROM sqlite_master WHERE type = 'table'"
                           " AND name NOT LIKE 'sqlite_%' ORDER BY name",
                           -1, &st, NULL) != SQLITE_OK)
        return care_fail(c, "tables", err);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && out->tables_n < CARE_TABLES_MAX) {
        const void *name = sqlite3_column_text(st, 0);
        struct care_table *t = &out->tables[out->tables_n++];
        snprintf(t->name, sizeof(t->name), "%s", name != NULL ? (const char *)name : "");
    }
    enum err_code code = rc == SQLITE_DONE || rc == SQLITE_ROW ? OK : care_fail(c, "tables", err);
    sqlite3_finalize(st);
    return code;
}

static int64_t size_of(const char *path, const char *suffix)
{
    char name[4200];
    struct stat st;
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

static enum err_code journal_of(struct care *c, char out[16], struct err *err)
{
    sqlite3_stmt *st = NULL;
    enum err_code code = OK;
    if (sqlite3_prepare_v2(c->q.db, "PRAGMA journal_mode", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        code = care_fail(c, "journal_mode", err);
    else
        snprintf(out, 16, "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return code;
}

enum err_code care_info(struct care *c, int64_t budget_ms, struct care_info *out, struct err *err)
{
    memset(out, 0, sizeof(*out));
    out->schema = c->schema;
    out->schema_known = SCHEMA_VERSION;
    out->library = "SQLite " SQLITE_VERSION;
    out->file_bytes = size_of(c->q.path, "");
    out->log_bytes = size_of(c->q.path, "-wal");
    enum err_code code = care_number(c, "PRAGMA page_size", &out->page_bytes, err);
    if (code == OK)
        code = care_number(c, "PRAGMA page_count", &out->pages, err);
    if (code == OK)
        code = care_number(c, "PRAGMA freelist_count", &out->free_pages, err);
    if (code == OK)
        code = journal_of(c, out->journal, err);
    if (code == OK)
        code = tables_of(c, out, err);
    c->deadline_us = clock_mono_us() + budget_ms * 1000;
    sqlite3_progress_handler(c->q.db, PROGRESS_OPS, past_deadline, c);
    for (size_t i = 0; code == OK && i < out->tables_n; i++)
        code = rows_of(c, &out->tables[i], err);
    sqlite3_progress_handler(c->q.db, 0, NULL, NULL);
    return code;
}

enum err_code care_keys_fit(struct care *c, const struct keyring *keys, struct err *err)
{
    c->q.keys = keys;
    return sq_keys_fit(&c->q, err);
}

enum err_code care_newest(struct care *c, int64_t *ms, struct err *err)
{
    return care_number(
        c, "SELECT ifnull((SELECT accepted_ms FROM event ORDER BY num DESC LIMIT 1), 0)", ms, err);
}

enum err_code care_schema(struct care *c, struct buf *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc;
    if (sqlite3_prepare_v2(c->q.db,
                           "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
                           " ORDER BY tbl_name, type = 'index', name",
                           -1, &st, NULL) != SQLITE_OK)
        return care_fail(c, "schema", err);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        buf_addf(out, "%s;\n", (const char *)sqlite3_column_text(st, 0));
    enum err_code code = rc == SQLITE_DONE ? OK : care_fail(c, "schema", err);
    sqlite3_finalize(st);
    buf_addf(out, "PRAGMA application_id = %d;\nPRAGMA user_version = %lld;\n",
             SCHEMA_APPLICATION_ID, (long long)c->schema);
    return code;
}

/* ---- backup ---- */
/* The copy is made without a journal and unsynced: until the caller has renamed it, it is nothing. */
static enum err_code target_open(const char *file, sqlite3 **out, struct err *err)
{
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, errno == ENOSPC ? ERR_FULL : ERR_IO, "%s: %s", file, errno_text(errno));
    bool private = fchmod(fd, 0600) == 0;
    close(fd);
    if (!private)
        return fail(err, ERR_IO, "%s: its mode cannot be made 0600", file);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(file, out, flags, NULL) == SQLITE_OK &&
        sqlite3_exec(*out, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL,
                     NULL) == SQLITE_OK)
        return OK;
    enum err_code code = fail(err, ERR_IO, "%s: %s", file, sqlite3_errmsg(*out));
    sqlite3_close_v2(*out);
    *out = NULL;
    return code;
}

static enum err_code copy_fail(sqlite3 *to, const char *file, int rc, struct err *err)
{
    int base = rc & 0xff;
    if (base == SQLITE_FULL)
        return fail(err, ERR_FULL, "%s: the disk is full", file);
    return fail(err, base == SQLITE_CORRUPT || base == SQLITE_NOTADB ? ERR_CORRUPT : ERR_IO,
                "%s: %s", file, sqlite3_errmsg(to));
}

static enum err_code copy(struct care *c, sqlite3 *to, const char *file, care_progress_fn *progress,
                          void *arg, struct err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", c->q.db, "main");
    enum err_code code = OK;
    int rc = SQLITE_OK;
    if (b == NULL)
        return fail(err, ERR_IO, "%s: %s", file, sqlite3_errmsg(to));
    while (code == OK && (rc = sqlite3_backup_step(b, PAGES_A_STEP)) == SQLITE_OK) {
        int64_t total = sqlite3_backup_pagecount(b), left = sqlite3_backup_remaining(b);
        if (progress != NULL && !progress(arg, total - left, total))
            code = fail(err, ERR_BUSY, "stopped");
    }
    int end = sqlite3_backup_finish(b);
    if (code == OK && rc != SQLITE_DONE)
        code = copy_fail(to, file, rc, err);
    else if (code == OK && end != SQLITE_OK)
        code = copy_fail(to, file, end, err);
    return code;
}

/* The copy says of itself that it is in WAL mode; without a log beside it that only makes it harder to
 * read (SQLite's file format, bytes 18 and 19: 1 is a rollback journal, 2 a WAL). */
static enum err_code stands_alone(const char *file, struct err *err)
{
    static const unsigned char versions[2] = {1, 1};
    int fd = open(file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    bool done = fd >= 0 && pwrite(fd, versions, sizeof(versions), 18) == sizeof(versions);
    int why = errno;
    if (fd >= 0)
        close(fd);
    return done ? OK : fail(err, ERR_IO, "%s: %s", file, errno_text(why));
}

/* The source's transaction is held open over all steps: else each commit of a live daemon would make
 * the copy begin anew, and it would never end. */
enum err_code care_backup(struct care *c, const char *file, care_progress_fn *progress, void *arg,
                          struct err *err)
{
    sqlite3 *to = NULL;
    int64_t ignored = 0;
    enum err_code code = target_open(file, &to, err);
    if (code != OK)
        return code;
    code = sq_exec(&c->q, "BEGIN", err);
    if (code == OK)
        code = care_number(c, "SELECT count(*) FROM sqlite_master", &ignored, err);
    if (code == OK)
        code = copy(c, to, file, progress, arg, err);
    (void)sqlite3_exec(c->q.db, "ROLLBACK", NULL, NULL, NULL);
    if (sqlite3_close(to) != SQLITE_OK && code == OK)
        code = fail(err, ERR_IO, "%s: cannot be closed", file);
    return code == OK ? stands_alone(file, err) : code;
}
