/* store/backend_sqlite.c: the life of the SQLite store: lock, open, migrate, begin, commit,
 * checkpoint.
 *
 * WAL and synchronous=FULL: after commit() returns OK, a power cut takes nothing back, unless the work
 * said that it may (struct backend). The
 * writer's lock lies on a file of its own (FILE.lock): POSIX drops a process's locks on a file when
 * any descriptor of it is closed, so nothing but SQLite may open the database itself. It is an
 * open-file-description lock, gone with the process however it ends. */
#include "store/backend_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/url.h"
#include "store/schema_sqlite.h"

enum {
    LIST_TIME_LIMIT_US = 5 * 1000 * 1000, /* of one reader's transaction */
    PROGRESS_OPS = 20000,                 /* virtual machine steps between looks at the clock */
    PAGE_BYTES = 4096 + 24                /* of one frame in the WAL */
};

/* ---- the lock ---- */
static enum err_code lock_take(struct sq *q, struct err *err)
{
    char name[4096], holder[32] = "";
    snprintf(name, sizeof(name), "%s.lock", q->path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_IO,
                    "cannot open the store's lock %s: %s", name, errno_text(errno));
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &all) != 0) {
        int why = errno;
        ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);
        close(fd);
        if (why != EAGAIN && why != EACCES)
            return fail(err, ERR_IO, "cannot lock %s: %s", name, errno_text(why));
        holder[n > 0 ? n : 0] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        return fail(err, ERR_BUSY, "the store %s is in use by process %s: one daemon per store",
                    q->path, holder[0] != '\0' ? holder : "?");
    }
    int n = snprintf(holder, sizeof(holder), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)n, 0) != n) {
        int why = errno;
        close(fd);
        return fail(err, why == ENOSPC ? ERR_FULL : ERR_IO, "cannot write %s: %s", name,
                    errno_text(why));
    }
    q->lock_fd = fd;
    return OK;
}

/* SQLite would make the file with the umask's mode; -wal and -shm take the mode of the file. Only
 * a file that is not there yet is opened here: no lock of SQLite's can hang on it. */
static enum err_code file_make(struct sq *q, struct err *err)
{
    int fd = open(q->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        close(fd);
        return OK;
    }
    if (errno == EEXIST)
        return OK;
    return fail(err, errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_IO,
                "cannot make the store %s: %s", q->path, errno_text(errno));
}

/* ---- schema ---- */
static enum err_code pragma_get(struct sq *q, const char *sql, int64_t *out, struct err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(q->db, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW) {
        enum err_code code = sq_fail(q, sql, err);
        sqlite3_finalize(st);
        return code;
    }
    *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return OK;
}

static enum err_code schema_look(struct sq *q, int64_t *version, struct err *err)
{
    int64_t app = 0, tables = 0;
    enum err_code code = pragma_get(q, "PRAGMA application_id", &app, err);
    if (code == OK)
        code = pragma_get(q, "PRAGMA user_version", version, err);
    if (code == OK)
        code = pragma_get(q, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (code != OK)
        return code;
    if (app != SCHEMA_APPLICATION_ID && (app != 0 || *version != 0 || tables != 0))
        return fail(err, ERR_INVALID,
                    "%s is a database of something else, not a webhookd store: choose another "
                    "store.url",
                    q->path);
    if (*version > SCHEMA_VERSION)
        return fail(err, ERR_NEWER,
                    "the store %s was written by a newer webhookd (schema %lld, this one knows "
                    "%d): install that version again",
                    q->path, (long long)*version, SCHEMA_VERSION);
    return OK;
}

static enum err_code migrate_one(struct sq *q, int64_t from, struct err *err)
{
    char sql[256];
    enum err_code code = sq_exec(q, "BEGIN IMMEDIATE", err);
    for (const char *const *part = MIGRATIONS[from]; code == OK && *part != NULL; part++)
        code = sq_exec(q, *part, err);
    if (code == OK && from == 0) {
        snprintf(sql, sizeof(sql), "INSERT INTO partner VALUES(1, 'default', %lld)",
                 (long long)clock_store_ms());
        code = sq_exec(q, sql, err);
    }
    if (code == OK) {
        snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %lld",
                 SCHEMA_APPLICATION_ID, (long long)from + 1);
        code = sq_exec(q, sql, err);
    }
    if (code == OK)
        code = sq_exec(q, "COMMIT", err);
    if (code != OK && sqlite3_get_autocommit(q->db) == 0)
        (void)sq_exec(q, "ROLLBACK", NULL);
    return code;
}

/* ---- open ---- */
static int wal_grew(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct sq *q = arg;
    (void)db;
    (void)name;
    __atomic_store_n(&q->log_frames, frames, __ATOMIC_RELAXED);
    return SQLITE_OK;
}

static int past_deadline(void *arg)
{
    const struct sq *q = arg;
    return q->deadline_us != 0 && clock_mono_us() > q->deadline_us;
}

static enum err_code connect(struct sq *q, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    sq_log_register();
    const char *vfs = q->mode == BACKEND_WRITER ? SQ_LOG_VFS : NULL;
    if (sqlite3_open_v2(q->path, &q->db, flags, vfs) != SQLITE_OK) {
        if (q->db == NULL)
            return fail(err, ERR_NOMEM, "no memory for the store");
        return sq_fail(q, "open", err);
    }
    sqlite3_busy_timeout(q->db, 5000);
    sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    enum err_code code = sq_look_init(q, err);
    if (code == OK)
        code = sq_claim_init(q, err);
    if (code != OK)
        return code;
    return sq_exec(q,
                   "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = OFF;"
                   "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;",
                   err);
}

/* A file system without shared memory leaves the old journal mode in force, silently. */
static enum err_code wal_check(struct sq *q, struct err *err)
{
    sqlite3_stmt *st = NULL;
    enum err_code code = OK;
    if (sqlite3_prepare_v2(q->db, "PRAGMA journal_mode", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        code = sq_fail(q, "journal_mode", err);
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "wal") != 0)
        code =
            fail(err, ERR_IO, "the file system of %s cannot hold a WAL: use a local disk", q->path);
    sqlite3_finalize(st);
    return code;
}

/* Does the key file hold every key that secrets are sealed with? One of each key is opened: who comes
 * with another key file hears it now, before anything is sealed with the wrong key. */
enum err_code sq_keys_fit(struct sq *q, struct err *err)
{
    static const char sql[] = "SELECT num, value FROM secret GROUP BY substr(value, 1, 5)";
    sqlite3_stmt *st = NULL;
    enum err_code code = OK;
    struct arena mem;
    const void *value;
    size_t n;
    int rc;
    if (sqlite3_prepare_v2(q->db, sql, -1, &st, NULL) != SQLITE_OK)
        return sq_fail(q, sql, err);
    arena_init(&mem);
    while (code == OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        if (rc == SQLITE_ROW)
            code =
                sq_unseal(q, "secret", sqlite3_column_int64(st, 0), st, 1, &mem, &value, &n, err);
        else
            code = sq_fail(q, sql, err);
        if (code == ERR_CORRUPT && rc == SQLITE_ROW)
            code = OK; /* one damaged row is its subscription's trouble */
    }
    arena_fini(&mem);
    sqlite3_finalize(st);
    return code;
}

static enum err_code open_writer(struct sq *q, struct err *err)
{
    int64_t version = 0;
    enum err_code code = lock_take(q, err);
    if (code == OK)
        code = file_make(q, err);
    if (code == OK)
        code = connect(q, err);
    if (code == OK)
        code = schema_look(q, &version, err); /* before anything is written to it */
    if (code == OK)
        code = sq_exec(q,
                       "PRAGMA cache_size = -32768; PRAGMA journal_mode = WAL;"
                       "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                       "PRAGMA journal_size_limit = 67108864;",
                       err);
    if (code == OK)
        code = wal_check(q, err);
    if (code == OK)
        code = sq_log_sync(q, err); /* who was killed may have left something that lagged */
    while (code == OK && version < SCHEMA_VERSION)
        code = migrate_one(q, version++, err);
    if (code == OK)
        code = sq_keys_fit(q, err);
    if (code == OK)
        sqlite3_wal_hook(q->db, wal_grew, q);
    return code;
}

static enum err_code open_reader(struct sq *q, struct err *err)
{
    int64_t version = 0;
    enum err_code code = connect(q, err);
    if (code == OK)
        code = sq_exec(q, "PRAGMA query_only = ON", err);
    if (code == OK)
        code = schema_look(q, &version, err);
    if (code == OK && version != SCHEMA_VERSION)
        code = fail(err, ERR_INTERNAL, "the store %s has no writer yet", q->path);
    if (code == OK)
        sqlite3_progress_handler(q->db, PROGRESS_OPS, past_deadline, q);
    return code;
}

static void sq_close(struct backend *b)
{
    if (b == NULL)
        return;
    struct sq *q = sq_of(b);
    for (int i = 0; i < SQ_SLOTS; i++)
        sqlite3_finalize(q->stmts[i]);
    for (int i = 0; i < SQ_KEPT; i++)
        sqlite3_finalize(q->kept[i]);
    sqlite3_close_v2(q->db);
    if (q->lock_fd >= 0)
        close(q->lock_fd); /* last: while SQLite still writes, the store is ours */
    free(q->deltas.rows);
    free(q->marked.rows);
    free(q->path);
    free(q->wal_path);
    free(q);
}

/* SQLite counts its memory under one mutex of the process, at each allocation of each connection:
 * a tenth of a settlement's instructions, and the threads meet there. Nobody asks for the count. */
static pthread_once_t memory_once = PTHREAD_ONCE_INIT;
static void memory_uncounted(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum err_code sq_connect(struct backend **out, const char *target, enum backend_mode mode,
                                const struct keyring *keys, struct err *err)
{
    const char *path = url_sqlite_path(target);
    if (path == NULL)
        return fail(err, ERR_INVALID,
                    "store.url %s: sqlite:// is followed by an absolute path, as in "
                    "sqlite:///var/lib/webhookd/webhookd.db",
                    target);
    if (strlen(path) > 4000)
        return fail(err, ERR_INVALID, "store.url: the path is too long");
    struct sq *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return fail(err, ERR_NOMEM, "no memory for the store");
    pthread_once(&memory_once, memory_uncounted);
    q->base.ops = &backend_sqlite;
    q->mode = mode;
    q->keys = keys;
    q->lock_fd = -1;
    q->path = strdup(path);
    if (asprintf(&q->wal_path, "%s-wal", path) < 0)
        q->wal_path = NULL;
    enum err_code code;
    if (q->path == NULL || q->wal_path == NULL)
        code = fail(err, ERR_NOMEM, "no memory for the store");
    else
        code = mode == BACKEND_WRITER ? open_writer(q, err) : open_reader(q, err);
    if (code != OK) {
        sq_close(&q->base);
        return code;
    }
    *out = &q->base;
    return OK;
}

/* ---- transactions ---- */
static enum err_code sq_begin(struct backend *b, struct err *err)
{
    struct sq *q = sq_of(b);
    b->lags = false;
    if (q->mode == BACKEND_WRITER)
        return sq_run(q, SQ_BEGIN, err, "BEGIN IMMEDIATE", "");
    q->deadline_us = clock_mono_us() + LIST_TIME_LIMIT_US;
    return sq_run(q, SQ_BEGIN, err, "BEGIN", "");
}

static void sq_rollback(struct backend *b)
{
    struct sq *q = sq_of(b);
    b->rollbacks++;
    q->deltas.n = 0;
    q->deadline_us = 0;
    q->arrival = q->arrivals_end = q->attempt_row = 0;
    /* After SQLITE_FULL or an I/O error SQLite may have rolled back by itself. */
    if (sqlite3_get_autocommit(q->db) == 0)
        (void)sq_run(q, SQ_ROLLBACK, NULL, "ROLLBACK", "");
}

static enum err_code sq_commit(struct backend *b, struct err *err)
{
    struct sq *q = sq_of(b);
    q->deadline_us = 0;
    enum err_code code = sq_counts_flush(q, err);
    if (code != OK)
        return code;
    if (sqlite3_get_autocommit(q->db) != 0)
        return fail(err, ERR_IO, "store %s: the transaction is gone", q->path);
    bool lags = b->may_lag && b->lags;
    sq_log_lag(q, lags);
    code = sq_run(q, SQ_COMMIT, err, "COMMIT", "");
    sq_log_lag(q, false);
    if (code == OK && !lags)
        code = sq_log_sync(q, err); /* there was nothing to commit, but those before lagged */
    /* Whatever stopped it, only a full disk may be tried again (a failed fsync must not be). */
    if (code != OK && code != ERR_FULL && code != ERR_CORRUPT && code != ERR_NOMEM) {
        code = ERR_IO;
        if (err != NULL)
            err->code = code;
    }
    return code;
}

static enum err_code sq_mark(struct backend *b, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code = sq_counts_mark(q, err);
    return code != OK ? code : sq_run(q, SQ_MARK, err, "SAVEPOINT mark", "");
}

static enum err_code sq_undo(struct backend *b, struct err *err)
{
    struct sq *q = sq_of(b);
    enum err_code code = sq_run(q, SQ_UNDO, err, "ROLLBACK TO mark", "");
    q->arrival = q->arrivals_end = q->attempt_row = 0;
    if (code == OK)
        code = sq_run(q, SQ_KEEP, err, "RELEASE mark", "");
    return code != OK ? code : sq_counts_undo(q, err);
}

static enum err_code sq_keep(struct backend *b, struct err *err)
{
    return sq_run(sq_of(b), SQ_KEEP, err, "RELEASE mark", "");
}

static void sq_checkpoint(struct backend *b)
{
    (void)sqlite3_wal_checkpoint_v2(sq_of(b)->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static int64_t sq_file_bytes(struct backend *b)
{
    struct stat st;
    int64_t bytes = 0;
    if (stat(sq_of(b)->path, &st) == 0)
        bytes += st.st_size;
    if (stat(sq_of(b)->wal_path, &st) == 0)
        bytes += st.st_size;
    return bytes;
}

static int64_t sq_log_bytes(struct backend *b)
{
    return __atomic_load_n(&sq_of(b)->log_frames, __ATOMIC_RELAXED) * PAGE_BYTES;
}

const struct backend_ops backend_sqlite = {
    .scheme = "sqlite",
    .open = sq_connect,
    .close = sq_close,
    .begin = sq_begin,
    .commit = sq_commit,
    .rollback = sq_rollback,
    .mark = sq_mark,
    .undo = sq_undo,
    .keep = sq_keep,
    .checkpoint = sq_checkpoint,
    .file_bytes = sq_file_bytes,
    .log_bytes = sq_log_bytes,
    .partner_put = sq_partner_put,
    .partner_get = sq_partner_get,
    .partner_list = sq_partner_list,
    .sub_put = sq_sub_put,
    .sub_update = sq_sub_update,
    .sub_get = sq_sub_get,
    .sub_get_num = sq_sub_get_num,
    .sub_list = sq_sub_list,
    .secret_put = sq_secret_put,
    .secret_expire = sq_secret_expire,
    .event_put = sq_event_put,
    .event_get = sq_event_get,
    .event_list = sq_event_list,
    .delivery_list = sq_delivery_list,
    .delivery_get = sq_delivery_get,
    .event_states = sq_event_states,
    .event_types = sq_event_types,
    .event_ids = sq_event_ids,
    .delivery_walk = sq_delivery_walk,
    .line_head = sq_line_head,
    .attempt_list = sq_attempt_list,
    .attempt_find = sq_attempt_find,
    .claim = sq_claim,
    .heads = sq_heads,
    .settle = sq_settle,
    .trial = sq_trial,
    .discard = sq_discard,
    .attempt_late = sq_attempt_late,
    .kill = sq_kill,
    .kill_expired = sq_kill_expired,
    .next_expiry = sq_next_expiry,
    .bring_back = sq_bring_back,
    .traffic_add = sq_traffic_add,
    .traffic_sum = sq_traffic_sum,
    .traffic_minutes = sq_traffic_minutes,
    .health_clear = sq_health_clear,
    .due_count = sq_due_count,
    .ready_before = sq_ready_before,
    .dead_list = sq_dead_list,
    .dead_count = sq_dead_count,
    .dead_walk = sq_dead_walk,
    .dead_groups = sq_dead_groups,
    .dead_get = sq_dead_get,
    .dead_replay = sq_dead_replay,
    .over_walk = sq_over_walk,
    .over_groups = sq_over_groups,
    .over_resend = sq_over_resend,
    .delivery_copy = sq_delivery_copy,
    .dead_purge = sq_dead_purge,
    .purged_list = sq_purged_list,
    .purged_count = sq_purged_count,
    .dead_restore = sq_dead_restore,
    .dead_import = sq_dead_import,
    .dead_note = sq_dead_note,
    .deed_put = sq_deed_put,
    .deed_list = sq_deed_list,
    .job_put = sq_job_put,
    .job_update = sq_job_update,
    .job_get = sq_job_get,
    .job_list = sq_job_list,
    .part_put = sq_part_put,
    .part_update = sq_part_update,
    .part_list = sq_part_list,
    .part_move = sq_part_move,
    .part_active = sq_part_active,
    .part_sums = sq_part_sums,
    .outbox_mark = sq_outbox_mark,
    .outbox_set_mark = sq_outbox_set_mark,
    .taken_put = sq_taken_put,
    .taken_list = sq_taken_list,
    .taken_delete = sq_taken_delete,
    .reject_put = sq_reject_put,
    .reject_get = sq_reject_get,
    .reject_list = sq_reject_list,
    .reject_delete = sq_reject_delete,
    .audit_put = sq_audit_put,
    .audit_update = sq_audit_update,
    .audit_list = sq_audit_list,
    .meta_get = sq_meta_get,
    .meta_set = sq_meta_set,
    .counts = sq_counts,
    .retain = sq_retain,
    .retain_look = sq_retain_look,
    .max_num = sq_max_num,
};

const char *backend_library(void)
{
    static char text[64];

    (void)snprintf(text, sizeof text, "SQLite %s", sqlite3_libversion());
    return text;
}
