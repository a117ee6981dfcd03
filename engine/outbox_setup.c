/* engine/outbox_setup.c: outbox init, outbox check, and what the daemon makes and checks at start.
 *
 * Making never takes anything away: an existing table is left as it is, and so is the journal mode
 * of a file that was there before, unless the producer asked for WAL. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "engine/outbox_parts.h"

#define FILE_MODE 0660
#define FOLDER_MODE 02770
#define WAIT_MS 2000
#define PATH_TEXT_MAX 4096

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS \"%w\" (\n"
    "  seq            INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  type           TEXT    NOT NULL,\n"
    "  payload        BLOB    NOT NULL,\n"
    "  event_id       TEXT,\n"
    "  partner        TEXT,\n"
    "  ordering_key   TEXT,\n"
    "  correlation_id TEXT,\n"
    "  source         TEXT,\n"
    "  version        TEXT,\n"
    "  attributes     TEXT,\n"
    "  deliver_after  INTEGER,\n"
    "  expires_at     INTEGER,\n"
    "  created_at     INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS "
    "INTEGER))\n"
    ")";

/* ---- init ---- */

static enum err_code ensure_wal(struct sqlite3 *handle, const char *file, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(handle, "PRAGMA journal_mode = WAL", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    const char *mode = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
    enum err_code code = OK;
    if (rc != SQLITE_ROW)
        code = outbox_sql_fail(err, handle, rc, "set journal_mode=WAL of", file);
    else if (!mode || sqlite3_stricmp(mode, "wal") != 0)
        code = fail(err, ERR_INVALID,
                    "%s stays in journal mode %s: close what has it open, then repeat with --wal",
                    file, mode ? mode : "?");
    sqlite3_finalize(st);
    return code;
}

static enum err_code table_exists(struct sqlite3 *handle, const char *file, const char *table,
                                  bool *exists, struct err *err)
{
    unsigned present = 0;
    bool key = false;
    enum err_code code = outbox_columns_find(handle, file, table, &present, &key, err);
    if (code == ERR_NOT_FOUND) {
        *exists = false;
        return OK;
    }
    if (code == OK && ((present & COLS_NEEDED) != COLS_NEEDED || !key))
        code = fail(err, ERR_INVALID,
                    "%s has a table %s that is no outbox: it needs seq INTEGER PRIMARY KEY, type "
                    "and payload; choose another name for the outbox's table",
                    file, table);
    *exists = code == OK;
    return code;
}

static enum err_code ensure_table(struct sqlite3 *handle, const char *file, const char *table,
                                  bool *created, struct err *err)
{
    bool exists = false;
    enum err_code code = table_exists(handle, file, table, &exists, err);
    if (code != OK || exists) {
        *created = false;
        return code;
    }
    char *sql = sqlite3_mprintf(create_sql, table);
    if (!sql)
        return fail(err, ERR_NOMEM, "no memory");
    int rc = sqlite3_exec(handle, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    if (rc != SQLITE_OK)
        return outbox_sql_fail(err, handle, rc, "create the outbox in", file);
    *created = true;
    return OK;
}

enum err_code outbox_init(const char *file, const char *table, bool wal, bool *created,
                          struct err *err)
{
    struct sqlite3 *handle = NULL;
    bool made = false;
    enum err_code code = OK;
    int rc = sqlite3_open_v2(
        file, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_CANTOPEN && handle)
        code = fail(err, sqlite3_system_errno(handle) == EACCES ? ERR_DENIED : ERR_IO,
                    "cannot open or make %s: %s", file, errno_text(sqlite3_system_errno(handle)));
    else if (rc != SQLITE_OK)
        code = outbox_sql_fail(err, handle, rc, "open", file);
    if (code == OK) {
        sqlite3_extended_result_codes(handle, 1);
        sqlite3_busy_timeout(handle, WAIT_MS);
        if (wal)
            code = ensure_wal(handle, file, err);
    }
    if (code == OK)
        code = ensure_table(handle, file, table, &made, err);
    sqlite3_close_v2(handle);
    if (code == OK && created)
        *created = made;
    return code;
}

enum err_code outbox_exists(const char *file, const char *table, bool *exists, struct err *err)
{
    char folder[PATH_TEXT_MAX];
    struct sqlite3 *handle = NULL;
    *exists = false;
    if (access(file, F_OK) != 0 && errno == ENOENT) {
        text_folder(folder, sizeof folder, file);
        return access(folder, W_OK | X_OK) == 0
                   ? OK
                   : fail(err, errno == EACCES ? ERR_DENIED : ERR_IO, "cannot make %s: %s", file,
                          errno_text(errno));
    }
    int rc = sqlite3_open_v2(file, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    enum err_code code = rc == SQLITE_OK ? table_exists(handle, file, table, exists, err)
                                         : outbox_sql_fail(err, handle, rc, "open", file);
    sqlite3_close_v2(handle);
    return code;
}

/* ---- check ---- */

struct check {
    struct buf *report;
    int errors;
};

static void check_columns(struct check *c, struct sqlite3 *handle, const char *file,
                          const char *table)
{
    unsigned present = 0;
    bool key = false;
    struct err why = {0};
    if (outbox_columns_find(handle, file, table, &present, &key, &why) != OK) {
        buf_addf(c->report, "error: %s\n", why.text);
        c->errors++;
        return;
    }
    for (unsigned i = 0; i < COLS; i++) {
        if (present & 1u << i)
            continue;
        bool needed = (COLS_NEEDED & 1u << i) != 0;
        c->errors += needed;
        buf_addf(c->report,
                 needed ? "error: table %s has no column %s. fix: `ALTER TABLE %s ADD COLUMN %s`, "
                          "or let `webhookctl outbox init` make another table\n"
                        : "warning: table %s has no column %s: its default is used. fix: `ALTER "
                          "TABLE %s ADD COLUMN %s`\n",
                 table, outbox_columns[i], table, outbox_columns[i]);
    }
    if (present & 1u << COL_SEQ && !key) {
        c->errors++;
        buf_addf(c->report,
                 "error: seq of table %s is not INTEGER PRIMARY KEY (with DESC it is none). fix: "
                 "make the table anew as `webhookctl outbox init` does\n",
                 table);
    }
    if (!c->errors)
        buf_addf(c->report, "ok: table %s is an outbox\n", table);
}

static void check_database(struct check *c, const char *file, const char *table)
{
    struct outbox_db d = {0};
    struct err why = {0};
    if (outbox_db_open(&d, file, table, &why) != OK) {
        if (!c->errors)
            buf_addf(c->report, "error: %s\n", why.text);
        c->errors++;
        return;
    }
    if (d.wal)
        buf_adds(c->report, "ok: journal mode WAL\n");
    else
        buf_addf(c->report,
                 "warning: the journal mode is not WAL: reading makes the producer wait, and rows "
                 "are noticed by polling. fix: `webhookctl outbox init %s --wal`\n",
                 file);
    if (d.autoincrement)
        buf_adds(c->report, "ok: seq is AUTOINCREMENT\n");
    else
        buf_adds(c->report, "warning: seq is not AUTOINCREMENT: numbers of deleted rows come "
                            "again, each is compared by content. fix: make the table anew as "
                            "`webhookctl outbox init` does\n");
    if (outbox_db_trim_prepare(&d, &why) != OK)
        buf_addf(c->report,
                 "warning: rows cannot be deleted from here: %s. fix: set `trim: producer` or "
                 "`trim: off`\n",
                 why.text);
    outbox_db_close(&d);
}

/* The first folder on the way to path that we may not enter. */
static bool closed_folder(const char *path, char folder[PATH_TEXT_MAX])
{
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        text_copy(folder, PATH_TEXT_MAX, path);
        if ((size_t)(slash - path) < PATH_TEXT_MAX)
            folder[slash - path] = 0;
        if (eaccess(folder, X_OK) != 0 && errno == EACCES)
            return true;
    }
    return false;
}

/* Who cannot write into the folder cannot read a database in WAL mode: its -shm is made there. */
enum err_code outbox_permissions(const char *path, struct err *err)
{
    char folder[PATH_TEXT_MAX];
    if (closed_folder(path, folder))
        return fail(err, ERR_DENIED,
                    "outbox %s: uid %ld may not enter the folder %s (%s); fix: add webhookd's user "
                    "to the folder's group, then `chmod g+x %s`, and `chmod 2770` the file's own "
                    "folder",
                    path, (long)geteuid(), folder, errno_text(EACCES), folder);
    text_folder(folder, sizeof folder, path);
    if (eaccess(path, R_OK | W_OK) != 0)
        return fail(err, ERR_DENIED,
                    "outbox %s: uid %ld may not read and write the file (%s); fix: add webhookd's "
                    "user to the file's group, then `chmod 0660 %s`",
                    path, (long)geteuid(), errno_text(errno), path);
    if (eaccess(folder, W_OK | X_OK) != 0)
        return fail(err, ERR_DENIED,
                    "outbox %s: uid %ld may not write into the folder %s (%s), which every reader "
                    "of a WAL database must; fix: add webhookd's user to the folder's group, then "
                    "`chmod 2770 %s`",
                    path, (long)geteuid(), folder, errno_text(errno), folder);
    return OK;
}

enum err_code outbox_check(const char *file, const char *table, struct buf *report, struct err *err)
{
    struct check c = {.report = report};
    struct sqlite3 *handle = NULL;
    struct err why = {0};
    if (access(file, F_OK) != 0 && errno != EACCES) {
        buf_addf(report, "error: %s: %s. fix: `webhookctl outbox init %s`\n", file,
                 errno_text(errno), file);
        return fail(err, ERR_INVALID, "%s is not fit to be an outbox", file);
    }
    if (outbox_permissions(file, &why) != OK) {
        buf_addf(report, "error: %s\n", why.text);
        c.errors++;
    } else {
        buf_adds(report, "ok: file and folder can be written\n");
    }
    int rc = sqlite3_open_v2(file, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(handle, WAIT_MS);
        check_columns(&c, handle, file, table);
    } else if (!c.errors) { /* else it was said why */
        buf_addf(report, "error: open %s: %s\n", file, sqlite3_errstr(rc));
        c.errors++;
    }
    sqlite3_close_v2(handle);
    if (!c.errors)
        check_database(&c, file, table);
    return c.errors ? fail(err, ERR_INVALID, "%s is not fit to be an outbox", file) : OK;
}

/* ---- what the daemon makes at start ---- */

static enum err_code make_folder(const char *path, struct err *err)
{
    char folder[PATH_TEXT_MAX];
    text_folder(folder, sizeof folder, path);
    if (access(folder, F_OK) == 0)
        return OK;
    int rc = mkdir(folder, 0770);
    if (rc != 0 && errno == ENOENT) {
        enum err_code code = make_folder(folder, err);
        if (code != OK)
            return code;
        rc = mkdir(folder, 0770);
    }
    if (rc != 0 && errno != EEXIST)
        return fail(err, ERR_DENIED,
                    "outbox %s: cannot make the folder %s: %s; fix: make it yourself and give it "
                    "to webhookd's user",
                    path, folder, errno_text(errno));
    /* mkdir's mode is cut by the umask, and setgid is what lets producers share the files. */
    if (chmod(folder, FOLDER_MODE) != 0)
        return fail(err, ERR_DENIED, "outbox %s: cannot chmod the folder %s: %s", path, folder,
                    errno_text(errno));
    return OK;
}

static enum err_code make_file(const char *path, struct err *err)
{
    enum err_code code = make_folder(path, err);
    if (code != OK)
        return code;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fail(err, ERR_DENIED,
                    "outbox %s: cannot make the file: %s; fix: let webhookd's user write into its "
                    "folder, or make it with `webhookctl outbox init %s`",
                    path, errno_text(errno), path);
    /* SQLite gives -wal and -shm the mode of the database. Nobody has this file open yet. */
    if (fchmod(fd, FILE_MODE) != 0)
        code = fail(err, ERR_DENIED, "outbox %s: chmod: %s", path, errno_text(errno));
    close(fd);
    return code;
}

enum err_code outbox_prepare(const char *path, const char *table, struct err *err)
{
    bool ours = access(path, F_OK) != 0 && errno == ENOENT;
    enum err_code code = ours ? make_file(path, err) : outbox_permissions(path, err);
    if (code != OK)
        return code;
    return outbox_init(path, table, ours, NULL, err);
}
