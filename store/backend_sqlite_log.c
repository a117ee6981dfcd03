/* store/backend_sqlite_log.c: the writer's log: its pages go to the file together, and to the disk when
 * the commit says so.
 *
 *   SQLite:  header of a frame, page, header of a frame, page, … sync ── now the commit is shown ──▶
 *   file:                                       all of them in one write, fdatasync or not yet
 *
 * SQLite writes a commit to its log by two system calls a page, one after another, and syncs it before
 * anybody may see it (synchronous=FULL): half of a small commit's time were those calls. Here they are
 * gathered until the sync. Nobody else reads that far: readers follow the index in shared memory, which
 * SQLite changes after the sync. What does not fit goes to the file earlier.
 *
 * A sync is left out where the commit may lag (struct backend), but never the one of the log's own head:
 * that one keeps an old log's pages from being taken for the new one's. */
#include "store/backend_sqlite.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    GATHERED_MAX = 31 * (4096 + 24), /* frames; SQLite's own file takes less than 128 KiB at once */
    WRITE_BACK_BYTES = 256 * 1024
};

struct sq_log {
    sqlite3_file file; /* first: SQLite knows it as this */
    sqlite3_int64 at;  /* where what was gathered begins */
    size_t n;
    unsigned char *gathered;    /* room for GATHERED_MAX; NULL: none yet */
    bool lags;                  /* the next sync may be left out */
    bool head;                  /* the log's head was written and not synced */
    sqlite3_int64 unsynced;     /* bytes that were written and not synced */
    sqlite3_int64 written_back; /* of them */
    const char *name;           /* SQLite's */
    int fd;                     /* to write it back; -1: none yet */
    sqlite3_file real[];        /* the one of SQLite's own, whose size its vfs knows */
};

static struct sq_log *log_of(sqlite3_file *f)
{
    return (struct sq_log *)(void *)f;
}

static int flush(struct sq_log *l)
{
    size_t n = l->n;

    if (n == 0)
        return SQLITE_OK;
    l->n = 0; /* what fails is rolled back, and written again by who comes next */
    l->unsynced += (sqlite3_int64)n;
    return l->real->pMethods->xWrite(l->real, l->gathered, (int)n, l->at);
}

/* ---- the file's methods ---- */
static int log_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    struct sq_log *l = log_of(f);
    int rc = SQLITE_OK;

    l->head |= at == 0;
    if (l->gathered == NULL)
        l->gathered = malloc(GATHERED_MAX);
    if (at != l->at + (sqlite3_int64)l->n || l->n + (size_t)n > GATHERED_MAX)
        rc = flush(l);
    if (rc != SQLITE_OK)
        return rc;
    if (l->gathered == NULL || n > GATHERED_MAX) {
        l->unsynced += n;
        return l->real->pMethods->xWrite(l->real, data, n, at);
    }
    if (l->n == 0)
        l->at = at;
    memcpy(l->gathered + l->n, data, (size_t)n);
    l->n += (size_t)n;
    return SQLITE_OK;
}

/* Whoever syncs it next finds little left to do. A hint: nothing depends on it. */
static void write_back(struct sq_log *l)
{
    if (l->unsynced - l->written_back < WRITE_BACK_BYTES)
        return;
    l->written_back = l->unsynced;
    if (l->fd < 0)
        l->fd = open(l->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (l->fd >= 0)
        (void)sync_file_range(l->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int log_sync(sqlite3_file *f, int flags)
{
    struct sq_log *l = log_of(f);
    int rc = flush(l);

    if (rc != SQLITE_OK)
        return rc;
    if (l->lags && !l->head) {
        write_back(l);
        return SQLITE_OK;
    }
    rc = l->real->pMethods->xSync(l->real, flags);
    if (rc == SQLITE_OK) {
        l->unsynced = l->written_back = 0;
        l->head = false;
    }
    return rc;
}

static int log_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    struct sq_log *l = log_of(f);
    int rc = flush(l); /* a large transaction reads pages of its own again */

    return rc == SQLITE_OK ? l->real->pMethods->xRead(l->real, out, n, at) : rc;
}

static int log_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct sq_log *l = log_of(f);
    int rc = flush(l);

    return rc == SQLITE_OK ? l->real->pMethods->xTruncate(l->real, size) : rc;
}

static int log_size(sqlite3_file *f, sqlite3_int64 *size)
{
    struct sq_log *l = log_of(f);
    int rc = flush(l);

    return rc == SQLITE_OK ? l->real->pMethods->xFileSize(l->real, size) : rc;
}

static int log_close(sqlite3_file *f)
{
    struct sq_log *l = log_of(f);

    (void)flush(l); /* of a transaction that is over without a commit, if there is anything */
    free(l->gathered);
    if (l->fd >= 0)
        close(l->fd); /* nobody locks a log: no lock is lost */
    return l->real->pMethods->xClose(l->real);
}

static int log_control(sqlite3_file *f, int op, void *arg)
{
    sqlite3_file *real = log_of(f)->real;

    return real->pMethods->xFileControl(real, op, arg);
}

static int log_sector(sqlite3_file *f)
{
    sqlite3_file *real = log_of(f)->real;

    return real->pMethods->xSectorSize(real);
}

static int log_characteristics(sqlite3_file *f)
{
    sqlite3_file *real = log_of(f)->real;

    return real->pMethods->xDeviceCharacteristics(real);
}

/* A log is never locked: locks are the database's. */
static int log_lock(sqlite3_file *f, int level)
{
    (void)f;
    (void)level;
    return SQLITE_OK;
}

static int log_reserved(sqlite3_file *f, int *reserved)
{
    (void)f;
    *reserved = 0;
    return SQLITE_OK;
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_lock,
    .xCheckReservedLock = log_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_characteristics,
};

/* ---- the vfs ---- */
static sqlite3_vfs *real_vfs;

/* All but logs are SQLite's own, and so are logs but for the methods above. */
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *got)
{
    struct sq_log *l = log_of(f);

    (void)vfs;
    if ((flags & SQLITE_OPEN_WAL) == 0)
        return real_vfs->xOpen(real_vfs, name, f, flags, got);
    memset(l, 0, sizeof *l);
    l->name = name;
    l->fd = -1;
    l->unsynced = 1; /* what is in it already was perhaps written by somebody who was killed */
    int rc = real_vfs->xOpen(real_vfs, name, l->real, flags, got);
    if (rc == SQLITE_OK)
        l->file.pMethods = &log_methods;
    return rc;
}

static void vfs_register(void)
{
    static sqlite3_vfs vfs; /* SQLite keeps it */

    real_vfs = sqlite3_vfs_find(NULL);
    if (real_vfs == NULL)
        return; /* it has no file system: opening says so */
    vfs = *real_vfs;
    vfs.pNext = NULL;
    vfs.zName = SQ_LOG_VFS;
    vfs.szOsFile = (int)sizeof(struct sq_log) + real_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    (void)sqlite3_vfs_register(&vfs, 0);
}

void sq_log_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, vfs_register);
}

/* ---- what a commit says ---- */
static struct sq_log *log_find(struct sq *q)
{
    sqlite3_file *f = NULL;
    int rc = sqlite3_file_control(q->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f);

    return rc == SQLITE_OK && f != NULL && f->pMethods == &log_methods ? log_of(f) : NULL;
}

void sq_log_lag(struct sq *q, bool lags)
{
    struct sq_log *l = log_find(q);

    if (l != NULL)
        l->lags = lags;
}

enum err_code sq_log_sync(struct sq *q, struct err *err)
{
    struct sq_log *l = log_find(q);

    if (l == NULL || l->unsynced == 0)
        return OK;
    int rc = log_sync(&l->file, SQLITE_SYNC_NORMAL);
    return rc == SQLITE_OK ? OK : fail(err, ERR_IO, "sync %s: %s", q->wal_path, sqlite3_errstr(rc));
}
