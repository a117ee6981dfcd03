/* store/backend_sqlite.h: what the files of the SQLite backend share. Nobody else includes it.
 *
 *   backend_sqlite.c         life: open, lock, migrate, begin, commit, checkpoint; the table of ops
 *   backend_sqlite_log.c     the log: pages gathered, commits that need not be on the disk yet
 *   backend_sqlite_stmt.c    statements: prepare once, bind, step, reset; counts
 *   backend_sqlite_query.c   lists: a filter as a WHERE
 *   backend_sqlite_sub.c     partners, subscriptions, secrets
 *   backend_sqlite_event.c   events: put, get, list; deliveries as rows to read
 *   backend_sqlite_attempt.c attempts as rows to read: of one delivery, of all; deeds
 *   backend_sqlite_claim.c   what is due
 *   backend_sqlite_settle.c  the moves of a delivery: settle, kill, the ordering key's line
 *   backend_sqlite_dead.c    the moves of a dead letter: replay, note
 *   backend_sqlite_purge.c   out of the dead letters, and back while that can be
 *   backend_sqlite_look.c    dead letters looked at: list, count, groups, one of them
 *   backend_sqlite_import.c  an exported dead letter comes back
 *   backend_sqlite_job.c     jobs and their parts
 *   backend_sqlite_misc.c    intake's memory, audit, meta, counts
 *   backend_sqlite_retain.c  what retention deletes
 *   backend_sqlite_traffic.c traffic by minute, health of endpoints, how much is due */
#ifndef STORE_BACKEND_SQLITE_H
#define STORE_BACKEND_SQLITE_H

#include <sqlite3.h>

#include "base/buf.h"
#include "store/backend.h"
#include "store/seal.h"

/* Prepared statements are cached by slot; the text stands where it is used. */
enum sq_slot {
    SQ_BEGIN,
    SQ_COMMIT,
    SQ_ROLLBACK,
    SQ_MARK,
    SQ_UNDO,
    SQ_KEEP,
    SQ_PARTNER_PUT,
    SQ_PARTNER_BY_NAME,
    SQ_PARTNER_BY_NUM,
    SQ_PARTNER_LIST,
    SQ_SUB_PUT,
    SQ_SUB_UPDATE,
    SQ_SUB_NAME_TAKEN,
    SQ_SUB_BY_NAME,
    SQ_SUB_DELETED_BY_NAME,
    SQ_SUB_BY_NUM,
    SQ_SUB_LIST,
    SQ_SUB_STATE,
    SQ_SUB_COUNTS,
    SQ_SUB_HELD,
    SQ_SUB_BLOCKED,
    SQ_SECRETS,
    SQ_SECRET_PUT,
    SQ_SECRET_EXPIRE,
    SQ_EVENT_SEEN,
    SQ_SEEN,
    SQ_EVENT_PUT,
    SQ_EVENT_GET,
    SQ_EVENT_PAYLOAD,
    SQ_EVENT_CLEAR,
    SQ_EVENT_RESTORE,
    SQ_EVENT_HELD_BY,
    SQ_EVENT_NUM,
    SQ_DELIVERY_PUT,
    SQ_READY_PUT,
    SQ_READY_DEL,
    SQ_LINE_HEAD,
    SQ_LINE_NEXT,
    SQ_LINE_PUT,
    SQ_LINE_DEL,
    SQ_EXPIRING_PUT,
    SQ_EXPIRING_DEL,
    SQ_ATTEMPT_PUT,
    SQ_ATTEMPT_ROW,
    SQ_ATTEMPTS_DEL,
    SQ_ATTEMPT_DEL,
    SQ_ATTEMPT_BEFORE,
    SQ_ATTEMPT_LINK,
    SQ_ATTEMPT_LAST,
    SQ_ATTEMPT_LIST,
    SQ_ATTEMPT_GET,
    SQ_DELIVERY_GET,
    SQ_CLAIM,
    SQ_HEAD,
    SQ_OPEN_GET,
    SQ_SETTLE,
    SQ_LATE,
    SQ_LATE_LETTER,
    SQ_DIE,
    SQ_UNLINE,
    SQ_KILL_READY,
    SQ_KILL_LATER,
    SQ_KILL_LINE,
    SQ_DUE_NOW,
    SQ_TRIAL,
    SQ_DISCARD,
    SQ_FUTURE_SCAN,
    SQ_EXPIRED_SCAN,
    SQ_EXPIRED_NEXT,
    SQ_DEAD_PUT,
    SQ_DEAD_NAME,
    SQ_DEAD_GET,
    SQ_DEAD_PAYLOAD,
    SQ_PURGED_PAYLOAD,
    SQ_DEAD_DEL,
    SQ_DEAD_NOTE,
    SQ_COPY,
    SQ_DEAD_PURGED,
    SQ_PURGED_PUT,
    SQ_PURGED_GET,
    SQ_PURGED_DEL,
    SQ_PURGED_LIST,
    SQ_PURGED_COUNT,
    SQ_RESTORE,
    SQ_RESTORE_DEAD,
    SQ_RESTORE_NOW,
    SQ_DEAD_SUB_STATE,
    SQ_REPLAY,
    SQ_IMPORT_STATE,
    SQ_IMPORT_EVENT,
    SQ_IMPORT_EVENT_PUT,
    SQ_IMPORT_DELIVERY,
    SQ_IMPORT_DEAD,
    SQ_IMPORT_SUB,
    SQ_IMPORT_PARTNER,
    SQ_EVENT_STATES,
    SQ_EVENT_TYPES,
    SQ_EVENT_IDS,
    SQ_LINE_HEAD_OF,
    SQ_DEED_PUT,
    SQ_DEED_LIST,
    SQ_DEED_DEL,
    SQ_JOB_PUT,
    SQ_JOB_UPDATE,
    SQ_JOB_GET,
    SQ_JOB_LIST,
    SQ_JOB_LIST_ACTIVE,
    SQ_JOB_LIST_STOPPED,
    SQ_PART_PUT,
    SQ_PART_UPDATE,
    SQ_PART_LIST,
    SQ_PART_LIST_ACTIVE,
    SQ_PART_MOVE,
    SQ_PART_ACTIVE,
    SQ_PART_SUMS,
    SQ_PART_COUNT,
    SQ_OUTBOX_MARK,
    SQ_OUTBOX_SET_MARK,
    SQ_TAKEN_PUT,
    SQ_TAKEN_LIST,
    SQ_TAKEN_RANGE,
    SQ_TAKEN_DEL,
    SQ_TAKEN_DEL_RANGE,
    SQ_REJECT_PUT,
    SQ_REJECT_GET,
    SQ_REJECT_LIST,
    SQ_REJECT_DEL,
    SQ_REJECT_COUNT,
    SQ_AUDIT_PUT,
    SQ_AUDIT_UPDATE,
    SQ_META_GET,
    SQ_META_SET,
    SQ_COUNTS,
    SQ_COUNTS_ADD,
    SQ_MAX_NUM,
    SQ_RETAIN_OVER,
    SQ_RETAIN_EVENTS,
    SQ_RETAIN_DELIVERY_DEL,
    SQ_RETAIN_EVENT_USED,
    SQ_RETAIN_EVENT_SEEN,
    SQ_RETAIN_EVENT_DEL,
    SQ_RETAIN_ATTEMPTS,
    SQ_RETAIN_DEAD,
    SQ_RETAIN_PURGED,
    SQ_RETAIN_AUDIT,
    SQ_RETAIN_SEEN,
    SQ_RETAIN_SEEN_EVENT,
    SQ_RETAIN_SECRETS,
    SQ_RETAIN_TRAFFIC,
    SQ_TRAFFIC_ADD,
    SQ_TRAFFIC_SUM,
    SQ_TRAFFIC_MINUTE,
    SQ_HEALTH_ADD,
    SQ_HEALTH_CLEAR,
    SQ_DUE_COUNT,
    SQ_READY_BEFORE,
    SQ_SLOTS
};
enum { SQ_KEPT = 4 };

/* Changes of counts that are not in the table yet: one row per (sub, state) and commit. */
struct sq_delta {
    int64_t sub;
    int64_t n[DELIVERY_STATES];
};
struct sq_deltas {
    struct sq_delta *rows;
    size_t n, room;
};

struct sq {
    struct backend base;
    sqlite3 *db;
    enum backend_mode mode;
    const struct keyring *keys;
    char *path, *wal_path;
    int lock_fd;
    int64_t log_frames; /* atomic; of the writer: frames in the WAL after the last commit */
    int64_t deadline_us;
    struct sq_deltas deltas, marked;
    int64_t over_at, event_at, attempt_at; /* where the next slice of retention goes on */
    int64_t expired_ms, expired_num;       /* and of kill_expired */
    struct dead_grouping *grouping;        /* what a query of dead_groups adds to */
    const struct claim_ask *asking;        /* what a claim under way was asked for */
    int64_t arrival, arrivals_end;         /* of the writer: the next one, of those set aside */
    int64_t attempt_row;                   /* of the writer: the last one given; 0: not known yet */
    sqlite3_stmt *stmts[SQ_SLOTS];
    sqlite3_stmt *kept[SQ_KEPT]; /* of sq_query_kept */
    size_t kept_next;
};

static inline struct sq *sq_of(struct backend *b)
{
    return (struct sq *)(void *)b;
}

/* ---- the writer's log (backend_sqlite_log.c) ---- */
#define SQ_LOG_VFS "webhookd-log" /* what a writer's connection is opened with */
void sq_log_register(void);
/* The next commit need not be on the disk, or must be again. */
void sq_log_lag(struct sq *q, bool lags);
/* What lags is on the disk after it. ERR_IO. */
enum err_code sq_log_sync(struct sq *q, struct err *err);

/* ---- statements (backend_sqlite_stmt.c) ----
 * fmt tells the types of what follows: i int (also bool, enum), l int64_t, d double, t text or
 * NULL, b bytes and size_t (NULL bytes: NULL), in the order of ?1 ?2 … A statement is reset before
 * a function returns, but where it gives it to the caller, who calls sq_done(). */
enum err_code sq_fail(struct sq *q, const char *what, struct err *err);
enum err_code sq_exec(struct sq *q, const char *sql, struct err *err);
enum err_code sq_run(struct sq *q, enum sq_slot slot, struct err *err, const char *sql,
                     const char *fmt, ...);
/* OK: *out stands on the first row. ERR_NOT_FOUND (no text in err): no row, nothing to reset. */
enum err_code sq_row(struct sq *q, enum sq_slot slot, sqlite3_stmt **out, struct err *err,
                     const char *sql, const char *fmt, ...);
/* *out stands before the first row. */
enum err_code sq_open(struct sq *q, enum sq_slot slot, sqlite3_stmt **out, struct err *err,
                      const char *sql, const char *fmt, ...);
/* OK: a row. ERR_NOT_FOUND: the end (no text in err), the statement is reset. */
enum err_code sq_next(struct sq *q, sqlite3_stmt *st, struct err *err);
void sq_done(sqlite3_stmt *st);
int64_t sq_changes(struct sq *q);
/* Copies of the column; NULL stays NULL. *bad is set where there is no memory. */
const char *sq_text(sqlite3_stmt *st, int col, struct arena *a, bool *bad);
const void *sq_bytes(sqlite3_stmt *st, int col, struct arena *a, size_t *n, bool *bad);

/* A growing array in an arena: room for one more of `size` bytes; NULL: no memory. */
void *sq_push(struct arena *a, void **rows, size_t *n, size_t size);

/* Fills one row (the whole struct) from where st stands; *bad is set where there is no memory. */
typedef void sq_read_fn(sqlite3_stmt *st, struct arena *a, void *row, bool *bad);
/* The row that sq_row found; the statement is reset. */
enum err_code sq_take(sqlite3_stmt *st, sq_read_fn *read, struct arena *a, void *row,
                      struct err *err);
/* All rows from here to the end, of `size` bytes each; the statement is reset. */
enum err_code sq_take_all(struct sq *q, sqlite3_stmt *st, sq_read_fn *read, size_t size,
                          struct arena *a, void **rows, size_t *n, struct err *err);
/* The first columns of up to limit rows; the statement is reset, so that rows may be deleted. */
enum err_code sq_take_nums(struct sq *q, sqlite3_stmt *st, size_t limit, int64_t *nums, size_t *n,
                           struct err *err);

/* A list's WHERE, put together (backend_sqlite_query.c): numbers are written, texts are bound in order. */
struct sq_query {
    struct buf sql;
    struct {
        const char *text; /* NULL: num */
        int64_t num;
    } params[256];
    int params_n;
    bool where;
};
void sq_query_init(struct sq_query *s, const char *select);
__attribute__((format(printf, 2, 3))) void sq_and(struct sq_query *s, const char *fmt, ...);
void sq_and_in(struct sq_query *s, const char *column, const int64_t *nums, size_t n);
/* Bound to the ? just written. */
void sq_param(struct sq_query *s, const char *text);
void sq_param_num(struct sq_query *s, int64_t num);
/* What all lists may ask: one of these texts, patterns, ranges, members of a set. */
void sq_and_texts(struct sq_query *s, const char *before, const char *const *texts, size_t n,
                  const char *after);
void sq_and_types(struct sq_query *s, const char *column, const struct filter *f);
void sq_and_statuses(struct sq_query *s, const char *column, const struct filter *f);
void sq_and_set(struct sq_query *s, const char *column, unsigned set);
/* attempts, last_outcome, last_status, cause of table t. */
void sq_and_ends(struct sq_query *s, const char *t, const struct filter *f);
/* Prepares and frees s; the caller steps with sq_next and ends with sqlite3_finalize. */
enum err_code sq_query_open(struct sq *q, struct sq_query *s, sqlite3_stmt **out, struct err *err);
/* Where a walk looks first. Its end, so many looks on, is found by stepping there; where most letters
 * match that would cost more than what it is about to do with them. */
size_t sq_walk_near(const struct filter *f);
/* The same for what is asked again and again, with other numbers: the statement is kept (SQ_KEPT of them),
 * as long as what changes is bound. The caller ends with sq_done. */
enum err_code sq_query_kept(struct sq *q, struct sq_query *s, sqlite3_stmt **out, struct err *err);
/* The whole list: sq_query_open and sq_take_all. */
enum err_code sq_query_all(struct sq *q, struct sq_query *s, sq_read_fn *read, size_t size,
                           struct arena *a, void **rows, size_t *n, struct err *err);

/* ---- counts ---- */
enum err_code sq_count(struct sq *q, int64_t sub, enum delivery_state state, int64_t n,
                       struct err *err);
enum err_code sq_count_move(struct sq *q, int64_t sub, enum delivery_state from,
                            enum delivery_state to, struct err *err);
enum err_code sq_counts_flush(struct sq *q, struct err *err);
enum err_code sq_counts_mark(struct sq *q, struct err *err);
enum err_code sq_counts_undo(struct sq *q, struct err *err);

/* ---- sealing ---- */
enum err_code sq_keys_fit(struct sq *q, struct err *err); /* backend_sqlite.c */
enum err_code sq_seal(struct sq *q, const char *what, int64_t num, const void *plain, size_t n,
                      struct buf *out, struct err *err);
enum err_code sq_unseal(struct sq *q, const char *what, int64_t num, sqlite3_stmt *st, int col,
                        struct arena *a, const void **out, size_t *n, struct err *err);

/* ---- rows that several files read ---- */
#define SQ_HELD "(s.state <> 0 OR s.broken_since_ms <> 0)"
#define SQ_DELIVERY_COLS                                                                           \
    "d.num, d.event, d.sub, e.id, e.type, s.name,"                                                 \
    " CASE WHEN d.state IN (0, 2) AND " SQ_HELD " THEN 3 ELSE d.state END,"                        \
    " d.cause, d.attempts, d.budget_start, d.budget_since_ms, d.due_ms, d.last_status,"            \
    " d.last_outcome, d.created_ms, d.finished_ms, d.job, e.ordering_key, d.budget_max, d.trial,"  \
    " d.original"
#define SQ_DELIVERY_FROM                                                                           \
    " FROM delivery d JOIN event e ON e.num = d.event LEFT JOIN subscription s ON s.num = d.sub"
/* The numbers of a row whose first 17 columns stand in the order of SQ_DELIVERY_COLS. */
void sq_delivery_numbers(sqlite3_stmt *st, struct delivery *d);
enum err_code sq_sub_state(struct sq *q, int64_t sub, enum sub_state *state,
                           struct err *err); /* ERR_NOT_FOUND: none, no text in err */

/* ---- the moves of a delivery (backend_sqlite_settle.c) ---- */
struct sq_open_delivery { /* what a move needs to know of an open delivery */
    int64_t num, event, sub, due_ms, job, expires_ms;
    int64_t since_ms;     /* when its budget began: `ready` carries it for kill() */
    int64_t last_attempt; /* its row; 0: none was made */
    enum delivery_state state;
    int attempts, budget_start;
    bool trial, copy;
    char *line; /* malloc'ed, NULL: stands in no line */
};
enum err_code sq_ready_put(struct sq *q, int64_t sub, int64_t due_ms, int64_t num, int64_t since_ms,
                           struct err *err);
enum err_code sq_expiring_put(struct sq *q, int64_t expires_ms, int64_t num, struct err *err);
enum err_code sq_delivery_load(struct sq *q, int64_t num, struct sq_open_delivery *out,
                               struct err *err);
enum err_code sq_ready_delete(struct sq *q, const struct sq_open_delivery *d, struct err *err);
/* Ready at now instead of a time in the future. */
enum err_code sq_due_now(struct sq *q, const struct sq_open_delivery *d, int64_t now_ms,
                         struct err *err);
static inline bool sq_is_open(enum delivery_state s)
{
    return s == DELIVERY_PENDING || s == DELIVERY_RETRYING;
}
/* ---- the line of an ordering key (backend_sqlite_line.c) ---- */
/* A dead one of the subscription holds its key. */
enum err_code sq_line_blocks(struct sq *q, int64_t sub, bool *out, struct err *err);
/* Takes it out of its line; where its successor may go now, *next_due_ms is set. */
enum err_code sq_line_leave(struct sq *q, const struct sq_open_delivery *d, int64_t now_ms,
                            int64_t *next_due_ms, struct err *err);
/* The letter of a dead delivery, or of a purged one, goes (it is sent again, say). */
enum err_code sq_letter_delete(struct sq *q, int64_t num, struct err *err);
/* A letter comes in: its arrival. */
enum err_code sq_arrival(struct sq *q, int64_t *out, struct err *err);
enum err_code sq_purged_delete(struct sq *q, int64_t num, struct err *err);
/* The filter as a WHERE over `delivery d` and `event e`. */
void sq_delivery_where(struct sq_query *s, const struct filter *f);
/* ERR_STALE: not dead, or unknown. */
enum err_code sq_dead_load(struct sq *q, int64_t num, struct sq_open_delivery *d, struct err *err);
/* An open delivery dies: row, ready, line, expiry, dead letter, counts, job. */
enum err_code sq_die(struct sq *q, const struct sq_open_delivery *d, enum cause cause,
                     int64_t now_ms, int64_t dead_expires_ms, struct settled *out, struct err *err);
/* *out stands on the event's payload (NULL: cleared). ERR_NOT_FOUND: no event, no text in err. */
enum err_code sq_event_payload(struct sq *q, int64_t event, sqlite3_stmt **out, struct err *err);
/* No open or delivered delivery needs the payload any more: it is cleared. A copy that was delivered
 * needs none: it is not sent again. */
enum err_code sq_event_unused(struct sq *q, int64_t event, struct err *err);
/* ---- attempts (backend_sqlite_attempt.c) ---- */
/* The rows of `attempt` of the deliveries that seed names as (last_attempt, num), "a" in what follows.
 * A row that is gone ends a chain; where its number is given again, it is no part of it. */
#define SQ_ATTEMPTS_OF(seed) SQ_ATTEMPTS_OF_BEGIN seed SQ_ATTEMPTS_OF_END
#define SQ_ATTEMPTS_OF_BEGIN "WITH RECURSIVE chain(row, num) AS ("
#define SQ_ATTEMPTS_OF_END                                                                         \
    " UNION ALL SELECT x.prev, x.delivery FROM chain c CROSS JOIN attempt x ON x.row = c.row"      \
    " WHERE x.delivery = c.num AND x.prev < x.row)"
#define SQ_FROM_ATTEMPTS                                                                           \
    " FROM chain c CROSS JOIN attempt a ON a.row = c.row AND a.delivery = c.num"
/* The row that the next attempt will have. */
enum err_code sq_attempt_row(struct sq *q, int64_t *row, struct err *err);
/* prev: the row of the delivery's attempt before; the caller lets its last_attempt be row. */
enum err_code sq_attempt_put(struct sq *q, const struct attempt *a, int64_t delivery, int n,
                             int64_t job, int64_t row, int64_t prev, struct err *err);
/* All of them. */
enum err_code sq_attempts_delete(struct sq *q, int64_t delivery, struct err *err);
/* One of them, from wherever it is in its chain. */
enum err_code sq_attempt_delete(struct sq *q, int64_t row, struct err *err);

enum err_code sq_claim_init(struct sq *q, struct err *err); /* for each connection */
/* ---- looks at dead letters (backend_sqlite_look.c) ---- */
enum err_code sq_look_init(struct sq *q, struct err *err); /* for each connection */
/* Runs a query of dead_group(…), the aggregate whose arguments are read where it is defined. Takes s. */
enum err_code sq_groups_take(struct sq *q, struct sq_query *s, unsigned by, struct arena *a,
                             struct dead_group **out, size_t *n, struct err *err);
/* OK also where the letter has no payload (imported without one): then *out is NULL. */
enum err_code sq_dead_payload(struct sq *q, int64_t num, struct arena *a, const void **out,
                              size_t *n, struct err *err);

/* The same of a letter that was purged; not there: *out is NULL. */
enum err_code sq_purged_payload(struct sq *q, int64_t num, struct arena *a, const void **out,
                                size_t *n, struct err *err);

/* ---- parts of jobs (backend_sqlite_job.c) ---- */
/* What became of a delivery, as it was before: counted in its job's part. Neither delivered nor dead:
 * its attempt failed and another will follow. Costs a statement where the delivery is part of a job
 * and this is its first attempt there, or its end. */
enum err_code sq_part_count(struct sq *q, const struct sq_open_delivery *d, enum part_turn turn,
                            struct err *err);

/* ---- operations, by file ---- */
enum err_code sq_partner_put(struct backend *, const struct partner *, struct err *);
enum err_code sq_partner_get(struct backend *, const char *, struct arena *, struct partner *,
                             struct err *);
enum err_code sq_partner_list(struct backend *, int64_t, size_t, struct arena *, struct partner **,
                              size_t *, struct err *);
enum err_code sq_sub_put(struct backend *, const struct subscription *, struct err *);
enum err_code sq_sub_update(struct backend *, const struct subscription *, struct err *);
enum err_code sq_sub_get(struct backend *, const char *, struct arena *, struct subscription *,
                         struct err *);
enum err_code sq_sub_get_num(struct backend *, int64_t, struct arena *, struct subscription *,
                             struct err *);
enum err_code sq_sub_list(struct backend *, int64_t, size_t, bool, struct arena *,
                          struct subscription **, size_t *, struct err *);
enum err_code sq_secret_put(struct backend *, int64_t, const struct secret *, struct err *);
enum err_code sq_secret_expire(struct backend *, int64_t, int64_t, int64_t, struct err *);

enum err_code sq_event_put(struct backend *, const struct event_rec *, const int64_t *,
                           const bool *, size_t, int64_t, const uint8_t[32], int64_t,
                           struct event_put_result *, struct err *);
enum err_code sq_event_get(struct backend *, const char *, bool, struct arena *, struct event_rec *,
                           struct err *);
enum err_code sq_event_list(struct backend *, const struct filter *, struct arena *,
                            struct event_rec **, size_t *, struct err *);
enum err_code sq_delivery_list(struct backend *, const struct filter *, struct arena *,
                               struct delivery **, size_t *, struct err *);
enum err_code sq_delivery_get(struct backend *, int64_t, struct arena *, struct delivery *,
                              struct err *);
enum err_code sq_event_states(struct backend *, const int64_t *, size_t,
                              int64_t (*)[DELIVERY_STATES], struct err *);
enum err_code sq_event_ids(struct backend *, const char *, size_t, struct arena *, const char ***,
                           size_t *, struct err *);
enum err_code sq_event_types(struct backend *, size_t, struct arena *, struct type_count **,
                             size_t *, struct err *);
enum err_code sq_delivery_walk(struct backend *, const struct filter *, size_t, struct arena *,
                               struct delivery_key **, size_t *, int64_t *, struct err *);
enum err_code sq_line_head(struct backend *, int64_t, int64_t *, struct err *);
enum err_code sq_attempt_list(struct backend *, int64_t, struct arena *, struct attempt **,
                              size_t *, struct err *);
enum err_code sq_attempt_find(struct backend *, const struct filter *, size_t, struct arena *,
                              struct attempt_page *, struct err *);

enum err_code sq_claim(struct backend *, int64_t, int64_t, const struct claim_ask *,
                       struct claimed **, struct claim_got *, struct err *);
enum err_code sq_heads(struct backend *, const int64_t *, size_t, int64_t *, struct err *);
enum err_code sq_trial(struct backend *, int64_t, int, struct err *);
enum err_code sq_discard(struct backend *, int64_t, int64_t, struct settled *, struct err *);
enum err_code sq_attempt_late(struct backend *, const struct attempt *, struct err *);
enum err_code sq_settle(struct backend *, const struct settlement *, int64_t, struct settled *,
                        struct err *);
enum err_code sq_kill(struct backend *, int64_t, int64_t, enum cause, size_t, int64_t, int64_t,
                      size_t *, struct err *);
enum err_code sq_kill_expired(struct backend *, bool, size_t, int64_t, int64_t, size_t *,
                              struct err *);
enum err_code sq_next_expiry(struct backend *, int64_t, int64_t *, struct err *);
enum err_code sq_bring_back(struct backend *, int64_t, int64_t, int64_t, size_t, struct ready_at *,
                            size_t *, struct err *);

enum err_code sq_dead_list(struct backend *, const struct filter *, struct arena *,
                           struct dead_letter **, size_t *, struct err *);
enum err_code sq_dead_count(struct backend *, const struct filter *, struct dead_sums *,
                            struct err *);
enum err_code sq_dead_walk(struct backend *, const struct filter *, size_t, struct arena *,
                           struct dead_key **, size_t *, struct dead_key *, struct err *);
enum err_code sq_dead_groups(struct backend *, const struct filter *, unsigned, struct arena *,
                             struct dead_group **, size_t *, struct err *);
enum err_code sq_dead_get(struct backend *, int64_t, struct arena *, struct dead_letter *,
                          struct err *);
enum err_code sq_dead_replay(struct backend *, int64_t, const struct reopening *, struct err *);
enum err_code sq_over_walk(struct backend *, const struct filter *, size_t, struct arena *,
                           struct dead_key **, size_t *, struct dead_key *, struct err *);
enum err_code sq_over_groups(struct backend *, const struct filter *, unsigned, struct arena *,
                             struct dead_group **, size_t *, struct err *);
enum err_code sq_over_resend(struct backend *, int64_t, const struct reopening *, struct err *);
enum err_code sq_delivery_copy(struct backend *, int64_t, unsigned, int64_t, int64_t,
                               const struct reopening *, struct err *);
enum err_code sq_dead_purge(struct backend *, int64_t, int64_t, int64_t, int64_t, struct settled *,
                            struct err *);
enum err_code sq_purged_list(struct backend *, int64_t, int64_t, int64_t, size_t, struct arena *,
                             struct purged **, size_t *, struct err *);
enum err_code sq_purged_count(struct backend *, int64_t, int64_t, int64_t *, int64_t *,
                              struct err *);
enum err_code sq_dead_restore(struct backend *, int64_t, int64_t, struct err *);
enum err_code sq_dead_import(struct backend *, const struct dead_letter *, const struct attempt *,
                             size_t, struct err *);
enum err_code sq_dead_note(struct backend *, int64_t, const char *, struct err *);

enum err_code sq_deed_put(struct backend *, const struct deed *, struct err *);
enum err_code sq_deed_list(struct backend *, int64_t, struct arena *, struct deed **, size_t *,
                           struct err *);
enum err_code sq_job_put(struct backend *, const struct job *, struct err *);
enum err_code sq_job_update(struct backend *, const struct job *, struct err *);
enum err_code sq_job_get(struct backend *, int64_t, struct arena *, struct job *, struct err *);
enum err_code sq_job_list(struct backend *, const struct job_filter *, struct arena *,
                          struct job **, size_t *, struct err *);
enum err_code sq_part_put(struct backend *, const struct job_part *, struct err *);
enum err_code sq_part_update(struct backend *, const struct job_part *, struct err *);
enum err_code sq_part_list(struct backend *, int64_t, bool, int64_t, size_t, struct arena *,
                           struct job_part **, size_t *, struct err *);
enum err_code sq_part_move(struct backend *, int64_t, enum job_state, enum job_state, struct err *);
enum err_code sq_part_active(struct backend *, int64_t, int64_t *, struct err *);
enum err_code sq_part_sums(struct backend *, int64_t, struct job_counts *, struct err *);
enum err_code sq_outbox_mark(struct backend *, const char *, int64_t *, struct err *);
enum err_code sq_outbox_set_mark(struct backend *, const char *, int64_t, struct err *);
enum err_code sq_taken_put(struct backend *, const char *, const struct taken *, bool *,
                           struct err *);
enum err_code sq_taken_list(struct backend *, const char *, int64_t, size_t, struct arena *,
                            struct taken **, size_t *, struct err *);
enum err_code sq_taken_delete(struct backend *, const char *, const struct taken *, size_t,
                              struct err *);
enum err_code sq_reject_put(struct backend *, const struct reject *, struct err *);
enum err_code sq_reject_get(struct backend *, int64_t, struct arena *, struct reject *,
                            struct err *);
enum err_code sq_reject_list(struct backend *, int64_t, size_t, struct arena *, struct reject **,
                             size_t *, struct err *);
enum err_code sq_reject_delete(struct backend *, int64_t, struct err *);
enum err_code sq_audit_put(struct backend *, const struct audit_entry *, struct err *);
enum err_code sq_audit_update(struct backend *, int64_t, const char *, struct err *);
enum err_code sq_audit_list(struct backend *, const struct audit_filter *, struct arena *,
                            struct audit_entry **, size_t *, struct err *);
enum err_code sq_meta_get(struct backend *, const char *, char *, size_t, struct err *);
enum err_code sq_meta_set(struct backend *, const char *, const char *, struct err *);
enum err_code sq_counts(struct backend *, int64_t[DELIVERY_STATES], int64_t *, struct err *);
enum err_code sq_retain(struct backend *, enum retain_what, int64_t, size_t, size_t *,
                        struct err *);
enum err_code sq_retain_look(struct backend *, enum retain_what, int64_t, int64_t,
                             struct retain_look *, struct err *);
enum err_code sq_max_num(struct backend *, int64_t *, struct err *);
enum err_code sq_traffic_add(struct backend *, const struct traffic_delta *, size_t, struct err *);
enum err_code sq_traffic_sum(struct backend *, int64_t, struct arena *, struct traffic **, size_t *,
                             struct err *);
enum err_code sq_traffic_minutes(struct backend *, int64_t, int64_t, int64_t, struct arena *,
                                 struct traffic **, size_t *, struct err *);
enum err_code sq_health_clear(struct backend *, int64_t, struct err *);
enum err_code sq_due_count(struct backend *, int64_t, int64_t, int64_t, int64_t *, struct err *);
enum err_code sq_ready_before(struct backend *, int64_t, int64_t, int64_t, int64_t, int64_t *,
                              int64_t *, struct err *);

#endif
