/* engine/outbox_parts.h: what the files of the outbox source share. Nobody else includes it.
 *
 *   outbox.c        the thread: whose turn is it, what is read next
 *   outbox_source.c made, started, stopped
 *   outbox_setup.c  init, check, making and permissions at start
 *   outbox_table.c  one producer's database: open, read rows, sync, delete rows
 *   outbox_row.c    one row as plain data, its columns and its digest
 *   outbox_take.c   the requests to the store: rows become events or rejects, marks, taken rows
 *   outbox_watch.c  what wakes the thread: inotify, doorbells
 *   outbox_trim.c   when to delete what was taken
 */
#ifndef ENGINE_OUTBOX_PARTS_H
#define ENGINE_OUTBOX_PARTS_H

#include <pthread.h>
#include <sys/types.h>

#include "base/buf.h"
#include "engine/outbox.h"
#include "store/model.h"

struct sqlite3;
struct sqlite3_stmt;

#define OUTBOX_BATCH 256         /* rows of a batch, and of a slice of trimming */
#define OUTBOX_BATCH_ROLLBACK 64 /* without WAL a reader stands in the producer's way */
#define OUTBOX_BATCH_BYTES (8 << 20)
#define OUTBOX_KEPT_BYTES (16 << 20) /* a larger payload is not copied, and never deleted by us */

#define OUTBOX_QUIET_US 1000000 /* without new rows: a moment to trim in */
#define OUTBOX_SCRATCH_MAX ((size_t)1 << 31)
#define OUTBOX_START INT64_MIN /* the mark before any row */

/* ---- outbox_row.c ---- */

extern const char *const outbox_columns[];
enum {
    COL_SEQ,
    COL_TYPE,
    COL_PAYLOAD,
    COL_EVENT_ID,
    COL_PARTNER,
    COL_ORDERING_KEY,
    COL_CORRELATION_ID,
    COL_SOURCE,
    COL_VERSION,
    COL_ATTRIBUTES,
    COL_DELIVER_AFTER,
    COL_EXPIRES_AT,
    COL_CREATED_AT,
    COLS
};
/* As a mask: without these columns a table is no outbox. */
#define COLS_NEEDED (1u << COL_SEQ | 1u << COL_TYPE | 1u << COL_PAYLOAD)

struct outbox_row {
    int64_t seq;
    const char *type, *event_id, *partner, *ordering_key, *correlation_id, *source, *version,
        *attributes;
    const void *payload; /* NULL: none, or too large to be kept */
    size_t payload_bytes;
    int64_t deliver_after_ms, expires_ms, created_ms;
    const char *problem; /* NULL, or why this cannot even be an event */
    bool huge;
    uint8_t digest[16]; /* of seq and every column that is read */
};

struct outbox_db {
    struct sqlite3 *handle;
    struct sqlite3_stmt *version, *schema, *after, *one, *top, *sequence, *remove;
    char *path, *table;
    const char *wal_path; /* SQLite's: path may be a link, the log lies beside what it leads to */
    bool wal, autoincrement, more; /* more: the last read did not come to the end */
    int64_t schema_seen, version_seen;
    dev_t dev;
    ino_t ino, wal_ino;
    struct buf scratch;
};

/* Rows with after < seq <= upto in order; rows[] has room for `limit`. */
enum err_code outbox_db_read(struct outbox_db *d, int64_t after, int64_t upto, size_t limit,
                             struct arena *mem, struct outbox_row *rows, size_t *n,
                             struct err *err);
enum err_code outbox_db_row(struct outbox_db *d, int64_t seq, struct arena *mem,
                            struct outbox_row *row, bool *found, struct err *err);
/* An SQLite result in our codes. */
enum err_code outbox_sql_fail(struct err *err, struct sqlite3 *handle, int rc, const char *doing,
                              const char *path);

/* ---- outbox_table.c ---- */

/* Opens what is there, makes nothing. Path and table are copied. ERR_NOT_FOUND: no file or table;
 * ERR_INVALID: the table lacks a column that is required; ERR_BUSY, ERR_CORRUPT, ERR_DENIED,
 * ERR_IO. */
enum err_code outbox_db_open(struct outbox_db *d, const char *path, const char *table,
                             struct err *err);
void outbox_db_close(struct outbox_db *d); /* idempotent on a zeroed one */
/* Was the file (or its WAL) replaced since it was opened? */
bool outbox_db_moved(struct outbox_db *d);
/* Changes with every commit of somebody else. Prepares anew after a change of the schema. */
enum err_code outbox_db_version(struct outbox_db *d, int64_t *out, struct err *err);
/* The greatest seq that was handed out, as far as the file tells: sqlite_sequence or max(seq).
 * OUTBOX_START: none. */
enum err_code outbox_db_top(struct outbox_db *d, int64_t *out, struct err *err);
/* What was read is on the disk of the producer when this returns OK. */
enum err_code outbox_db_sync(struct outbox_db *d, struct err *err);
/* Deletes those of list[n] that stand exactly so in the table: one small transaction that never
 * waits (ERR_BUSY). gone[i]: that row is not in the table any more. *looked: how many of the list
 * were judged before the time was up; *other: a seq of the list is another row now. */
/* Fails where a trigger of the producer's needs what only the producer has, a function. */
enum err_code outbox_db_trim_prepare(struct outbox_db *d, struct err *err);
struct outbox_trimmed {
    bool gone[OUTBOX_BATCH];
    size_t looked;
    bool other;
};
enum err_code outbox_db_trim(struct outbox_db *d, const struct taken *list, size_t n,
                             struct outbox_trimmed *out, struct err *err);
/* outbox_mark(name, mark) in the producer's database; never waits. */
enum err_code outbox_db_put_mark(struct outbox_db *d, int64_t mark, struct err *err);

/* Which columns a table has; bits in the order of outbox_columns. OK or ERR_NOT_FOUND. */
enum err_code outbox_columns_find(struct sqlite3 *handle, const char *path, const char *table,
                                  unsigned *present, bool *seq_is_key, struct err *err);

/* ---- outbox_setup.c ---- */

/* For the daemon: makes what is missing, names the permission that is missing. */
enum err_code outbox_prepare(const char *path, const char *table, struct err *err);
/* ERR_DENIED: what we may not do with a file that is there, and the fix. */
enum err_code outbox_permissions(const char *path, struct err *err);

/* ---- one configured outbox ---- */

struct outbox {
    char *name, *path, *table, *doorbell;
    /* reloadable: guarded by the source's mutex, copied into each request */
    char *partner, *source, *version;
    enum conf_trim trim;
    int64_t max_payload_bytes;
    struct outbox_state shown; /* guarded likewise */

    /* the thread's own */
    struct outbox_db db;
    bool open, placed; /* placed: the mark was read from the store */
    int64_t mark;      /* every row up to here was taken */
    int64_t tail_seq;  /* the last row that was read, to see whether it still stands */
    uint8_t tail[16];
    int64_t seen; /* data_version of the last look */
    bool look;    /* read although the version is the same */
    bool sweeping, sweep_fast;
    int64_t sweep_at, sweep_version, swept_version, sweep_us;
    int64_t next_us, slow_us, rows_us; /* next turn, next slow poll, when rows came last */
    int64_t recheck_us;                /* 0: no re-check is running; else its pause */
    int64_t rung_us;                   /* when the doorbell was rung last */
    int64_t backoff_us, busy_since_us;
    char fault[256]; /* what was logged last */
    int64_t fault_us;
    bool warned_rollback;

    bool trim_pending;
    int64_t trim_at, trim_us, trim_pause_us, trim_fault_us;
    int64_t untrimmed,
        untrimmed_left; /* rows taken and not deleted: now, and after the last slice */
    int64_t mark_put;   /* what outbox_mark says; OUTBOX_START: not known */
    bool mark_lower;    /* it says too much: lower it before anything else */

    int watch_wal, watch_db, bell; /* -1: none */
};

struct outbox_source {
    /* Guards: refs, stopping, every request's done and abandoned, the reloadable fields of
     * outboxes and what is shown of them, low_disk_bytes and dedupe_ms. (freed is the loop thread's alone.) */
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    unsigned refs; /* the owner's and one for each request under way */
    bool stopping, freed, running;
    pthread_t thread;
    int wake, inotify;
    struct store *store;
    struct intake *intake;
    outbox_changes_fn *changed;
    void *arg;
    char *store_folder; /* NULL: no disk to watch */
    int64_t low_disk_bytes, dedupe_ms;
    bool disk_low;
    int64_t disk_us;
    struct outbox outboxes[CONF_OUTBOXES_MAX];
    size_t n;
};

/* ---- outbox.c ---- */
void *outbox_thread(void *arg); /* struct outbox_source */

/* ---- outbox_take.c: requests; each blocks the thread until its commit, or until stop ---- */

enum err_code outbox_ask_mark(struct outbox_source *s, const struct outbox *o, int64_t *mark,
                              struct err *err);
enum err_code outbox_ask_taken(struct outbox_source *s, const struct outbox *o, int64_t after,
                               struct taken out[OUTBOX_BATCH], size_t *n, struct err *err);
/* Returns once whatever the store was given by now is on its disk: before it rows must not go. */
enum err_code outbox_ask_durable(struct outbox_source *s, const struct outbox *o, struct err *err);
enum err_code outbox_ask_forget(struct outbox_source *s, const struct outbox *o,
                                const struct taken *list, size_t n, struct err *err);
/* A batch of rows on its way into the store. */
struct outbox_request;
struct outbox_request *outbox_request_new(struct outbox_source *s, const struct outbox *o);
void outbox_request_free(struct outbox_request *r);
struct arena *outbox_request_memory(struct outbox_request *r);
struct outbox_row *outbox_request_rows(struct outbox_request *r); /* OUTBOX_BATCH of them */
struct outbox_sweep {
    int64_t after, upto; /* the slice; rows taken from it that are gone are forgotten */
};
/* Rows that are not known as taken become events or rejects. sweep NULL: the mark moves to the
 * last row. Frees r. *fresh: how many were not known. *swept: up to where the slice was done. */
enum err_code outbox_ask_take(struct outbox_request *r, size_t n, const struct outbox_sweep *sweep,
                              size_t *fresh, int64_t *swept, struct err *err);
void outbox_source_unref(struct outbox_source *s); /* with the mutex held; releases it */

/* ---- outbox_watch.c ---- */
enum err_code outbox_bell_open(struct outbox *o, struct err *err);
void outbox_bell_close(struct outbox *o);
/* Its producer rang a moment ago, and is expected to for each commit: the watch is not listened to. */
bool outbox_rings(const struct outbox *o, int64_t now_us);
void outbox_watch_add(struct outbox_source *s, struct outbox *o);
void outbox_watch_drop(struct outbox_source *s, struct outbox *o);
/* Sleeps until until_us or until something happened; what happened is marked in the outboxes. */
void outbox_watch_wait(struct outbox_source *s, int64_t until_us);

/* ---- outbox_trim.c ---- */
/* One slice, if it is time. A lock that is held is no error: o->trim_us says when to come again. */
enum err_code outbox_trim_turn(struct outbox_source *s, struct outbox *o, int64_t now_us,
                               struct err *err);

#endif
