/* engine/outbox_table.c: one producer's database, as the outbox source sees it.
 *
 * The producer comes first: no read stays open (every statement is reset at once), nothing here
 * waits for a lock, our connection never checkpoints, the journal mode is never changed. Only seq,
 * type and payload must be there; every other column is read where it exists, and columns that we
 * do not know are left alone. No descriptor of the database file itself is opened and closed
 * beside SQLite's: POSIX would drop SQLite's locks with it. (The -wal file carries no locks.) */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/outbox_parts.h"

#define TRIM_TIME_US 2000
#define TRIM_CHUNK 16 /* rows between two looks at the clock */

static enum err_code prepare(struct outbox_db *d, struct sqlite3_stmt **out, char *sql,
                             struct err *err)
{
    if (!sql)
        return fail(err, ERR_NOMEM, "no memory for a statement on %s", d->path);
    int rc = sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? OK : outbox_sql_fail(err, d->handle, rc, "read outbox", d->path);
}

/* One number of a one-row statement; `none` where there is no row or NULL. */
static enum err_code number(struct outbox_db *d, struct sqlite3_stmt *st, int64_t none,
                            int64_t *out, struct err *err)
{
    int rc = sqlite3_step(st);
    int64_t value = none;
    if (rc == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
        value = sqlite3_column_int64(st, 0);
    int again = sqlite3_reset(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return outbox_sql_fail(err, d->handle, again, "read outbox", d->path);
    *out = value;
    return OK;
}

enum err_code outbox_columns_find(struct sqlite3 *handle, const char *path, const char *table,
                                  unsigned *present, bool *seq_is_key, struct err *err)
{
    /* "INTEGER PRIMARY KEY DESC" is an index, and its seq may be NULL: such rows would never be
     * seen. Only WITHOUT ROWID may the key be an index. */
    static const char columns_sql[] =
        "SELECT name, type, pk, (SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk') = "
        "0 OR EXISTS (SELECT 1 FROM pragma_table_list(?1) WHERE schema = 'main' AND wr) FROM "
        "pragma_table_info(?1)";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(handle, columns_sql, -1, &st, NULL);
    unsigned found = 0, rows = 0;
    bool key = false;
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        const char *type = (const char *)sqlite3_column_text(st, 1);
        rows++;
        rc = SQLITE_OK;
        for (unsigned i = 0; name && i < COLS; i++)
            if (!sqlite3_stricmp(name, outbox_columns[i])) {
                found |= 1u << i;
                if (i == COL_SEQ)
                    key = sqlite3_column_int(st, 2) == 1 && sqlite3_column_int(st, 3) && type &&
                          !sqlite3_stricmp(type, "INTEGER");
            }
    }
    enum err_code code = OK;
    if (rc != SQLITE_DONE)
        code = outbox_sql_fail(err, handle, rc, "read schema of", path);
    sqlite3_finalize(st);
    if (code != OK)
        return code;
    if (!rows)
        return fail(err, ERR_NOT_FOUND,
                    "%s has no table %s: make it with `webhookctl outbox init %s`", path, table,
                    path);
    *present = found;
    *seq_is_key = key;
    return OK;
}

/* ---- open and close ---- */

static void drop_statements(struct outbox_db *d)
{
    struct sqlite3_stmt **all[] = {&d->version, &d->schema,   &d->after, &d->one,
                                   &d->top,     &d->sequence, &d->remove};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        sqlite3_finalize(*all[i]);
        *all[i] = NULL;
    }
}

void outbox_db_close(struct outbox_db *d)
{
    drop_statements(d);
    if (d->handle)
        sqlite3_close_v2(d->handle);
    free(d->path);
    free(d->table);
    buf_fini(&d->scratch);
    *d = (struct outbox_db){0};
}

static void add_select(sqlite3_str *sql, const char *table, unsigned present)
{
    sqlite3_str_appendall(sql, "SELECT ");
    for (unsigned i = 0; i < COLS; i++) {
        if (i == COL_PAYLOAD)
            sqlite3_str_appendf(sql, "CASE WHEN length(payload) > %d THEN NULL ELSE payload END, ",
                                OUTBOX_KEPT_BYTES);
        else
            sqlite3_str_appendf(sql, "%s, ", present & 1u << i ? outbox_columns[i] : "NULL");
    }
    sqlite3_str_appendf(sql, "length(payload) FROM \"%w\"", table);
}

static enum err_code prepare_all(struct outbox_db *d, struct err *err)
{
    unsigned present = 0;
    bool key = false;
    drop_statements(d);
    enum err_code code = outbox_columns_find(d->handle, d->path, d->table, &present, &key, err);
    if (code != OK)
        return code;
    if ((present & COLS_NEEDED) != COLS_NEEDED || !key)
        return fail(err, ERR_INVALID,
                    "table %s of %s is no outbox: it needs seq INTEGER PRIMARY KEY, type and "
                    "payload; see `webhookctl outbox check %s`",
                    d->table, d->path, d->path);

    sqlite3_str *after = sqlite3_str_new(d->handle), *one = sqlite3_str_new(d->handle);
    add_select(after, d->table, present);
    sqlite3_str_appendall(after, " WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
    add_select(one, d->table, present);
    sqlite3_str_appendall(one, " WHERE seq = ?1");
    char *after_sql = sqlite3_str_finish(after), *one_sql = sqlite3_str_finish(one);
    code = prepare(d, &d->after, after_sql, err);
    if (code == OK)
        code = prepare(d, &d->one, one_sql, err);
    else
        sqlite3_free(one_sql);
    if (code == OK)
        code = prepare(d, &d->version, sqlite3_mprintf("PRAGMA data_version"), err);
    if (code == OK)
        code = prepare(d, &d->schema, sqlite3_mprintf("PRAGMA schema_version"), err);
    if (code == OK)
        code = prepare(d, &d->top, sqlite3_mprintf("SELECT max(seq) FROM \"%w\"", d->table), err);
    if (code == OK)
        code = number(d, d->schema, 0, &d->schema_seen, err);
    return code;
}

static enum err_code find_autoincrement(struct outbox_db *d, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    int64_t yes = 0;
    d->autoincrement = false;
    enum err_code code =
        prepare(d, &st,
                sqlite3_mprintf("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name "
                                "= %Q COLLATE NOCASE AND sql LIKE '%%AUTOINCREMENT%%'",
                                d->table),
                err);
    if (code == OK)
        code = number(d, st, 0, &yes, err);
    sqlite3_finalize(st);
    if (code != OK || !yes)
        return code;
    d->autoincrement = true;
    return prepare(d, &d->sequence,
                   sqlite3_mprintf("SELECT max(seq) FROM sqlite_sequence WHERE name = %Q COLLATE "
                                   "NOCASE",
                                   d->table),
                   err);
}

static enum err_code find_mode(struct outbox_db *d, struct err *err)
{
    struct sqlite3_stmt *st = NULL;
    enum err_code code = prepare(d, &st, sqlite3_mprintf("PRAGMA journal_mode"), err);
    int rc = code == OK ? sqlite3_step(st) : SQLITE_ROW;
    if (rc != SQLITE_ROW) {
        code = outbox_sql_fail(err, d->handle, rc, "read the journal mode of", d->path);
    } else if (code == OK) {
        const char *mode = (const char *)sqlite3_column_text(st, 0);
        d->wal = mode && !sqlite3_stricmp(mode, "wal");
    }
    sqlite3_finalize(st);
    return code;
}

static ino_t inode_of(const char *path, dev_t *dev)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && dev)
        *dev = st.st_dev;
    return there ? st.st_ino : 0;
}

static enum err_code open_handle(struct outbox_db *d, struct err *err)
{
    /* Before SQLite opens: a file that is replaced in between is then seen as moved. */
    d->ino = inode_of(d->path, &d->dev);
    if (!d->ino)
        return fail(err, ERR_NOT_FOUND, "outbox database %s: %s", d->path, errno_text(errno));
    int rc =
        sqlite3_open_v2(d->path, &d->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return outbox_sql_fail(err, d->handle, rc, "open outbox", d->path);
    sqlite3_extended_result_codes(d->handle, 1);
    d->wal_path = sqlite3_filename_wal(sqlite3_db_filename(d->handle, "main"));
    /* A checkpoint of ours could make the producer wait; and one at close could write into a file
     * that was put in this one's place. */
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_wal_autocheckpoint(d->handle, 0);
    sqlite3_busy_timeout(d->handle, 0);
    /* NORMAL: the fsync of a trim is done after the lock was given back, see outbox_db_trim(). */
    rc = sqlite3_exec(d->handle, "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024;", NULL,
                      NULL, NULL);
    return rc == SQLITE_OK ? OK : outbox_sql_fail(err, d->handle, rc, "open outbox", d->path);
}

enum err_code outbox_db_open(struct outbox_db *d, const char *path, const char *table,
                             struct err *err)
{
    *d = (struct outbox_db){.path = strdup(path), .table = strdup(table)};
    buf_init(&d->scratch, OUTBOX_SCRATCH_MAX);
    enum err_code code = OK;
    if (!d->path || !d->table)
        code = fail(err, ERR_NOMEM, "no memory for outbox %s", path);
    if (code == OK)
        code = open_handle(d, err);
    if (code == OK)
        code = find_mode(d, err);
    if (code == OK)
        code = prepare_all(d, err);
    if (code == OK)
        code = find_autoincrement(d, err);
    if (code == OK && d->wal)
        d->wal_ino = inode_of(d->wal_path, NULL);
    if (code != OK)
        outbox_db_close(d);
    return code;
}

/* While we have a WAL database open nobody may delete or replace its log; who does has put another
 * database there, and our connection would look at the old one for ever. */
bool outbox_db_moved(struct outbox_db *d)
{
    dev_t dev = 0;
    ino_t ino = inode_of(d->path, &dev);
    if (ino != d->ino || dev != d->dev)
        return true;
    ino_t wal = inode_of(d->wal_path, NULL);
    if (d->wal)
        return d->wal_ino && wal != d->wal_ino;
    /* The producer may have turned WAL on: then it can be watched. */
    return wal && find_mode(d, NULL) == OK && d->wal;
}

/* ---- looking ---- */

enum err_code outbox_db_version(struct outbox_db *d, int64_t *out, struct err *err)
{
    int64_t schema = d->schema_seen, version = 0;
    enum err_code code = number(d, d->version, 0, &version, err);
    /* Looked at often in vain: a change of the schema is a change. */
    if (code == OK && version != d->version_seen)
        code = number(d, d->schema, 0, &schema, err);
    if (code == OK && schema != d->schema_seen) {
        code = prepare_all(d, err);
        if (code == OK)
            code = find_autoincrement(d, err);
        /* data_version is the connection's: the new statement goes on counting. */
    }
    if (code == OK)
        *out = d->version_seen = version;
    return code;
}

enum err_code outbox_db_top(struct outbox_db *d, int64_t *out, struct err *err)
{
    return number(d, d->autoincrement ? d->sequence : d->top, OUTBOX_START, out, err);
}

/* ---- syncing ---- */

static enum err_code sync_wal(struct outbox_db *d, struct err *err)
{
    int fd = open(d->wal_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum err_code code = OK;
    if (fd < 0 || fdatasync(fd) != 0)
        code = fail(err, ERR_IO, "sync %s: %s", d->wal_path, errno_text(errno));
    if (fd >= 0)
        close(fd);
    return code;
}

enum err_code outbox_db_sync(struct outbox_db *d, struct err *err)
{
    /* A log although the mode was another when we opened: the producer has just turned WAL on. */
    if (d->wal || inode_of(d->wal_path, NULL))
        return sync_wal(d, err);
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(d->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc == SQLITE_OK && file && file->pMethods)
        rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    return rc == SQLITE_OK ? OK : fail(err, ERR_IO, "sync %s: %s", d->path, sqlite3_errstr(rc));
}

/* ---- writing: rare, tiny, never waiting ---- */

static enum err_code run(struct outbox_db *d, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(d->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : outbox_sql_fail(err, d->handle, rc, "trim outbox", d->path);
}

static void undo(struct outbox_db *d)
{
    if (!sqlite3_get_autocommit(d->handle))
        sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* Rows that were read again, and which of the taken ones each is: TAKEN_NONE, or its place. */
struct trim_chunk {
    struct outbox_row rows[TRIM_CHUNK];
    size_t of[TRIM_CHUNK];
    size_t n;
};
#define TAKEN_NONE SIZE_MAX

/* list[n] against the rows that stand there; how many of the list were judged. */
static size_t judge(struct trim_chunk *c, const struct taken *list, size_t n,
                    struct outbox_trimmed *out)
{
    size_t i = 0, r = 0;
    for (size_t j = 0; j < c->n; j++)
        c->of[j] = TAKEN_NONE;
    /* What was not read is not judged; where nothing was, nothing stands. */
    for (; i < n && (c->n == 0 || list[i].seq <= c->rows[c->n - 1].seq); i++) {
        while (r < c->n && c->rows[r].seq < list[i].seq)
            r++;
        bool found = r < c->n && c->rows[r].seq == list[i].seq;
        bool same = found && memcmp(c->rows[r].digest, list[i].digest, sizeof list[i].digest) == 0;
        if (same && !c->rows[r].huge)
            c->of[r] = out->looked + i;
        out->gone[out->looked + i] = !same;
        out->other |= found && !same;
    }
    return i;
}

/* The rows from..to, all of which may go, and nothing else stands between. */
static enum err_code remove_rows(struct outbox_db *d, const struct trim_chunk *c, size_t from,
                                 size_t to, struct outbox_trimmed *out, struct err *err)
{
    sqlite3_bind_int64(d->remove, 1, c->rows[from].seq);
    sqlite3_bind_int64(d->remove, 2, c->rows[to].seq);
    sqlite3_step(d->remove);
    int rc = sqlite3_reset(d->remove);
    if (rc != SQLITE_OK)
        return outbox_sql_fail(err, d->handle, rc, "trim outbox", d->path);
    bool all = sqlite3_changes(d->handle) == (int)(to - from + 1);
    enum err_code code = OK;
    for (size_t j = from; code == OK && j <= to; j++) {
        bool stands = false; /* the producer's trigger may keep the row */
        struct arena mem;
        struct outbox_row row;
        arena_init(&mem);
        if (!all)
            code = outbox_db_row(d, c->rows[j].seq, &mem, &row, &stands, err);
        arena_fini(&mem);
        out->gone[c->of[j]] = !stands;
    }
    return code;
}

/* The first of list[n]: each row is read again, those that lie side by side go by one statement. */
static enum err_code remove_chunk(struct outbox_db *d, const struct taken *list, size_t n,
                                  struct outbox_trimmed *out, struct err *err)
{
    struct trim_chunk c = {.n = 0};
    struct arena mem;
    size_t k = n < TRIM_CHUNK ? n : TRIM_CHUNK, judged = 0;
    arena_init(&mem);
    enum err_code code =
        outbox_db_read(d, list[0].seq - 1, list[k - 1].seq, TRIM_CHUNK, &mem, c.rows, &c.n, err);
    if (code == OK)
        judged = judge(&c, list, k, out);
    for (size_t j = 0, end; code == OK && j < c.n; j = end + 1) {
        for (end = j; end + 1 < c.n && c.of[end] != TAKEN_NONE && c.of[end + 1] != TAKEN_NONE;)
            end++;
        if (c.of[j] != TAKEN_NONE)
            code = remove_rows(d, &c, j, end, out, err);
    }
    out->looked += judged;
    arena_fini(&mem);
    return code;
}

enum err_code outbox_db_trim_prepare(struct outbox_db *d, struct err *err)
{
    if (d->remove)
        return OK;
    return prepare(d, &d->remove,
                   sqlite3_mprintf("DELETE FROM \"%w\" WHERE seq >= ?1 AND seq <= ?2", d->table),
                   err);
}

enum err_code outbox_db_trim(struct outbox_db *d, const struct taken *list, size_t n,
                             struct outbox_trimmed *out, struct err *err)
{
    int64_t until = clock_mono_us() + TRIM_TIME_US;
    *out = (struct outbox_trimmed){0};
    enum err_code code = outbox_db_trim_prepare(d, err);
    if (code == OK)
        code = run(d, "BEGIN IMMEDIATE", err);
    while (code == OK && out->looked < n && (!out->looked || clock_mono_us() < until))
        code = remove_chunk(d, list + out->looked, n - out->looked, out, err);
    if (code == OK)
        code = run(d, "COMMIT", err);
    if (code != OK) {
        undo(d);
        return code;
    }
    /* Before the rows are forgotten: a row that a power cut brought back would be unknown. */
    return outbox_db_sync(d, err);
}

enum err_code outbox_db_put_mark(struct outbox_db *d, int64_t mark, struct err *err)
{
    char *sql = sqlite3_mprintf("INSERT INTO outbox_mark(name, mark) VALUES (%Q, %lld) ON "
                                "CONFLICT(name) DO UPDATE SET mark = excluded.mark",
                                d->table, (long long)mark);
    if (!sql)
        return fail(err, ERR_NOMEM, "no memory for the mark of %s", d->path);
    enum err_code code = run(d, "BEGIN IMMEDIATE", err);
    if (code == OK)
        code = run(d,
                   "CREATE TABLE IF NOT EXISTS outbox_mark(name TEXT PRIMARY KEY, mark INTEGER "
                   "NOT NULL)",
                   err);
    if (code == OK)
        code = run(d, sql, err);
    if (code == OK)
        code = run(d, "COMMIT", err);
    if (code != OK)
        undo(d);
    sqlite3_free(sql);
    return code;
}
