/* store/backend_memory.h: what the files of the in-memory backend share. Nobody else includes it.
 *
 *   backend_memory.c        life: shared data by name, begin, commit, mark; the table of operations
 *   backend_memory_set.c    an ordered set; rows; the journal that takes changes back
 *   backend_memory_index.c  what follows from the rows: ready, lines, expiry, counts
 *   backend_memory_sub.c    partners, subscriptions, secrets
 *   backend_memory_event.c  events, deliveries: put and read
 *   backend_memory_attempt.c attempts, deeds: put and read
 *   backend_memory_move.c   claim, heads, settle, kill: the moves of a delivery
 *   backend_memory_dead.c   dead letters
 *   backend_memory_job.c    jobs and their parts
 *   backend_memory_misc.c   intake's memory, audit, meta, counts; lists by number
 *   backend_memory_retain.c what retention deletes
 *   backend_memory_traffic.c traffic by minute, health of endpoints, how much is due
 *
 * Rows never change: a changed row is a new one in the place of the old, which the journal keeps
 * until commit. The indexes are a function of the rows and follow through one hook, forwards and
 * backwards, so that undoing cannot leave them wrong.
 *
 * Without memory the process ends: what this backend holds lives in it anyway. */
#ifndef STORE_BACKEND_MEMORY_H
#define STORE_BACKEND_MEMORY_H

#include <pthread.h>

#include "store/backend.h"

/* ---- the ordered set (backend_memory_set.c) ---- */
struct mem_key { /* in order of text (NULL first), a, b, c. The text belongs to the row. */
    const char *text;
    int64_t a, b, c;
};
enum { MEM_LEVELS = 20 };
struct mem_node {
    struct mem_key key;
    void *row;
    int levels;
    struct mem_node *next[];
};
struct mem_set {
    struct mem_node *head[MEM_LEVELS];
    uint32_t dice; /* of the levels: a sequence of its own, the same in every run */
};
void mem_set_fini(struct mem_set *s); /* nodes, not rows */
/* The row that was there before is returned, NULL: none. */
void *mem_set_put(struct mem_set *s, struct mem_key key, void *row);
void *mem_set_remove(struct mem_set *s, struct mem_key key); /* NULL: was not there */
void *mem_set_get(const struct mem_set *s, struct mem_key key);
/* The first node at or after key; NULL: none. Go on with node->next[0]. */
struct mem_node *mem_set_from(const struct mem_set *s, struct mem_key key);

/* ---- rows: one malloc'ed block each, struct first, strings behind ---- */
struct mem_layout {
    size_t size;
    size_t
        texts[16]; /* offsets of the `const char *` members; 0 ends (no struct begins with one) */
    size_t bytes, bytes_n; /* offsets of one pointer and its length; 0, 0: none */
};
void *mem_alloc(size_t n); /* zeroed; never NULL */
void *mem_row(const struct mem_layout *l, const void *from);
/* *to becomes a copy of *from with its strings in a. */
void mem_read(const struct mem_layout *l, const void *from, void *to, struct arena *a);
/* Appends a zeroed element of `size` bytes to an array in an arena. */
void *mem_push(struct arena *a, void **rows, size_t *n, size_t size);

/* ---- tables ---- */
enum mem_table {
    MEM_PARTNER,  /* num */
    MEM_SUB,      /* num */
    MEM_SECRET,   /* sub, num: struct mem_secret */
    MEM_EVENT,    /* num: without payload */
    MEM_PAYLOAD,  /* event: struct mem_blob */
    MEM_SEEN,     /* id digest: struct mem_seen */
    MEM_DELIVERY, /* num: struct mem_delivery */
    MEM_ATTEMPT,  /* delivery, n */
    MEM_DEAD,     /* num: struct dead_letter */
    MEM_PURGED,   /* num: struct mem_purged */
    MEM_DEED,     /* delivery, at_ms, kind */
    MEM_JOB,      /* num */
    MEM_PART,     /* job, sub: struct job_part, names not filled */
    MEM_MARK,     /* outbox name: struct mem_mark */
    MEM_TAKEN,    /* outbox name, seq, digest: struct mem_taken */
    MEM_REJECT,   /* num */
    MEM_AUDIT,    /* num */
    MEM_META,     /* key: struct mem_meta */
    MEM_TRAFFIC,  /* minute_ms, sub */
    MEM_HEALTH,   /* sub */
    MEM_TABLES
};
struct mem_secret {
    struct secret secret;
    int64_t sub;
};
struct mem_blob {
    size_t n;
    const void *bytes;
};
struct mem_seen {
    uint8_t content[16];
    int64_t event, until_ms;
};
struct mem_delivery {
    struct delivery d; /* texts: those of the event's row; sub_name NULL */
    bool ready;        /* may be claimed when due */
    bool in_line;      /* stands in the line of (sub, ordering key) */
    int64_t expires_ms;
};
struct mem_purged {
    struct dead_letter letter;
    int64_t job, until_ms;
};
struct mem_mark {
    int64_t mark;
    const char *outbox;
};
struct mem_taken {
    struct taken taken;
    const char *outbox;
};
struct mem_meta {
    size_t value_n;
    const char *key, *value;
};
extern const struct mem_layout mem_layouts[MEM_TABLES];
extern const struct mem_layout mem_layout_delivery; /* struct delivery, for reading */

/* What follows from the rows. */
enum mem_index {
    MEM_READY,     /* sub, due, num */
    MEM_LINE,      /* key; sub, num */
    MEM_EXPIRING,  /* expires, num: open deliveries that can */
    MEM_BY_SUB,    /* sub, num: open deliveries */
    MEM_BY_EVENT,  /* event, num: deliveries */
    MEM_EVENT_ID,  /* id; num */
    MEM_DEAD_TIME, /* died, num */
    MEM_STORED,    /* row, delivery, n: attempts in the order in which they were stored */
    MEM_COUNTS,    /* sub: int64_t[DELIVERY_STATES] */
    MEM_INDEXES
};

struct mem_change {
    enum mem_table table;
    struct mem_key key;
    void *before, *after; /* rows; NULL: none. Both live until commit or undo */
};

/* The data of one name. */
struct mem_db {
    struct mem_db *next;
    char *name;
    int handles;
    bool written;         /* a writer has it */
    pthread_mutex_t lock; /* guards all below; held from begin to commit or rollback */
    struct mem_set tables[MEM_TABLES], indexes[MEM_INDEXES];
    struct mem_change *journal;
    size_t journal_n, journal_room;
    int64_t
        attempts_ever; /* the row of the last one; not taken back, since only its order counts */
    int64_t arrivals_ever; /* likewise, of letters */
};
struct mem {
    struct backend base;
    struct mem_db *db;
    enum backend_mode mode;
    size_t mark;
};
static inline struct mem_db *mem_db(struct backend *b)
{
    return ((struct mem *)(void *)b)->db;
}

static inline struct mem_key mem_num(int64_t num)
{
    return (struct mem_key){.a = num};
}
void *mem_get(const struct mem_db *db, enum mem_table t, struct mem_key key);
struct mem_node *mem_from(const struct mem_db *db, enum mem_table t, struct mem_key key);
/* A copy of *from becomes the row of that key. The key's text must be the row's own member. */
void mem_put(struct mem_db *db, enum mem_table t, struct mem_key key, const void *from);
/* The same where the key is a text of the row: `text` is its offset. */
void mem_put_text(struct mem_db *db, enum mem_table t, struct mem_key key, size_t text,
                  const void *from);
void mem_drop(struct mem_db *db, enum mem_table t, struct mem_key key);
void mem_undo(struct mem_db *db, size_t mark);
void mem_forget(struct mem_db *db); /* commit: what was replaced is freed */

/* ---- indexes (backend_memory_index.c) ---- */
/* The row of t has changed; before or after NULL: there was or is none. */
void mem_index(struct mem_db *db, enum mem_table t, const void *before, const void *after);
struct mem_node *mem_index_from(const struct mem_db *db, enum mem_index x, struct mem_key key);
const int64_t *mem_counts_of(const struct mem_db *db, int64_t sub); /* NULL: none */

/* ---- what matches (backend_memory_match.c) ---- */
bool mem_held(const struct subscription *s); /* its open deliveries are shown as held */
bool mem_event_matches(const struct filter *f, const char *id, const char *type);
bool mem_status_matches(const struct filter *f, int status);
/* cause, last answer, last outcome, attempts and job */
bool mem_end_matches(const struct filter *f, const struct delivery *d);
bool mem_type_matches(const char *pattern, const char *type);
bool mem_has(const int64_t *nums, size_t n, int64_t num); /* true where n is 0 */
/* Rows of a table by number, newest first, below before_num (0: from the newest); keep NULL: all. */
typedef bool mem_keep_fn(const void *row);
void mem_list_down(const struct mem_db *db, enum mem_table t, int64_t before_num, size_t limit,
                   mem_keep_fn *keep, struct arena *a, void **out, size_t *n);

/* ---- what several files need ---- */
static inline bool mem_is_open(enum delivery_state s)
{
    return s == DELIVERY_PENDING || s == DELIVERY_RETRYING;
}
/* As readers see it: names filled, held derived. */
void mem_read_delivery(const struct mem_db *db, const struct mem_delivery *d, struct arena *a,
                       struct delivery *out);
bool mem_delivery_matches(const struct mem_db *db, const struct filter *f, const void *row);
/* No open or delivered delivery needs the payload any more: it goes. */
void mem_payload_unused(struct mem_db *db, int64_t event);
/* Takes d (a copy of its row) out of its line; where its successor may go now, it becomes ready
 * and *next_due_ms is set. */
void mem_line_leave(struct mem_db *db, struct mem_delivery *d, int64_t now_ms,
                    int64_t *next_due_ms);
/* Ready at now instead of a time in the future. */
void mem_due_now(struct mem_db *db, struct mem_delivery *d, int64_t now_ms);
void mem_attempt_put(struct mem_db *db, const struct attempt *from, int64_t delivery, int n,
                     int64_t job);
/* What became of a delivery, as it was before: counted in its job's part. Neither delivered nor dead:
 * its attempt failed and another will follow. */
void mem_part_count(struct mem_db *db, const struct delivery *d, enum part_turn turn);
/* An open delivery (a copy of its row) dies: row, line, dead letter; its job is not told. */
void mem_die(struct mem_db *db, struct mem_delivery *d, enum cause cause, int64_t now_ms,
             int64_t dead_expires_ms, int64_t *next_due_ms);

/* ---- operations, by file ---- */
enum err_code mem_partner_put(struct backend *, const struct partner *, struct err *);
enum err_code mem_partner_get(struct backend *, const char *, struct arena *, struct partner *,
                              struct err *);
enum err_code mem_partner_list(struct backend *, int64_t, size_t, struct arena *, struct partner **,
                               size_t *, struct err *);
enum err_code mem_sub_put(struct backend *, const struct subscription *, struct err *);
enum err_code mem_sub_update(struct backend *, const struct subscription *, struct err *);
enum err_code mem_sub_get(struct backend *, const char *, struct arena *, struct subscription *,
                          struct err *);
enum err_code mem_sub_get_num(struct backend *, int64_t, struct arena *, struct subscription *,
                              struct err *);
enum err_code mem_sub_list(struct backend *, int64_t, size_t, bool, struct arena *,
                           struct subscription **, size_t *, struct err *);
enum err_code mem_secret_put(struct backend *, int64_t, const struct secret *, struct err *);
enum err_code mem_secret_expire(struct backend *, int64_t, int64_t, int64_t, struct err *);

enum err_code mem_event_put(struct backend *, const struct event_rec *, const int64_t *,
                            const bool *, size_t, int64_t, const uint8_t[32], int64_t,
                            struct event_put_result *, struct err *);
enum err_code mem_event_get(struct backend *, const char *, bool, struct arena *,
                            struct event_rec *, struct err *);
enum err_code mem_event_list(struct backend *, const struct filter *, struct arena *,
                             struct event_rec **, size_t *, struct err *);
enum err_code mem_delivery_list(struct backend *, const struct filter *, struct arena *,
                                struct delivery **, size_t *, struct err *);
enum err_code mem_delivery_get(struct backend *, int64_t, struct arena *, struct delivery *,
                               struct err *);
enum err_code mem_event_states(struct backend *, const int64_t *, size_t,
                               int64_t (*)[DELIVERY_STATES], struct err *);
enum err_code mem_event_ids(struct backend *, const char *, size_t, struct arena *, const char ***,
                            size_t *, struct err *);
enum err_code mem_event_types(struct backend *, size_t, struct arena *, struct type_count **,
                              size_t *, struct err *);
enum err_code mem_delivery_walk(struct backend *, const struct filter *, size_t, struct arena *,
                                struct delivery_key **, size_t *, int64_t *, struct err *);
enum err_code mem_line_head(struct backend *, int64_t, int64_t *, struct err *);
enum err_code mem_attempt_list(struct backend *, int64_t, struct arena *, struct attempt **,
                               size_t *, struct err *);
enum err_code mem_attempt_find(struct backend *, const struct filter *, size_t, struct arena *,
                               struct attempt_page *, struct err *);

enum err_code mem_claim(struct backend *, int64_t, int64_t, const struct claim_ask *,
                        struct claimed **, struct claim_got *, struct err *);
enum err_code mem_heads(struct backend *, const int64_t *, size_t, int64_t *, struct err *);
enum err_code mem_trial(struct backend *, int64_t, int, struct err *);
enum err_code mem_discard(struct backend *, int64_t, int64_t, struct settled *, struct err *);
enum err_code mem_attempt_late(struct backend *, const struct attempt *, struct err *);
enum err_code mem_settle(struct backend *, const struct settlement *, int64_t, struct settled *,
                         struct err *);
enum err_code mem_kill(struct backend *, int64_t, int64_t, enum cause, size_t, int64_t, int64_t,
                       size_t *, struct err *);
enum err_code mem_kill_expired(struct backend *, bool, size_t, int64_t, int64_t, size_t *,
                               struct err *);
enum err_code mem_next_expiry(struct backend *, int64_t, int64_t *, struct err *);
enum err_code mem_bring_back(struct backend *, int64_t, int64_t, int64_t, size_t, struct ready_at *,
                             size_t *, struct err *);

enum err_code mem_dead_list(struct backend *, const struct filter *, struct arena *,
                            struct dead_letter **, size_t *, struct err *);
enum err_code mem_dead_count(struct backend *, const struct filter *, struct dead_sums *,
                             struct err *);
enum err_code mem_dead_walk(struct backend *, const struct filter *, size_t, struct arena *,
                            struct dead_key **, size_t *, struct dead_key *, struct err *);
enum err_code mem_dead_groups(struct backend *, const struct filter *, unsigned, struct arena *,
                              struct dead_group **, size_t *, struct err *);
enum err_code mem_dead_get(struct backend *, int64_t, struct arena *, struct dead_letter *,
                           struct err *);
enum err_code mem_dead_replay(struct backend *, int64_t, const struct reopening *, struct err *);
enum err_code mem_over_walk(struct backend *, const struct filter *, size_t, struct arena *,
                            struct dead_key **, size_t *, struct dead_key *, struct err *);
enum err_code mem_over_groups(struct backend *, const struct filter *, unsigned, struct arena *,
                              struct dead_group **, size_t *, struct err *);
enum err_code mem_over_resend(struct backend *, int64_t, const struct reopening *, struct err *);
enum err_code mem_delivery_copy(struct backend *, int64_t, unsigned, int64_t, int64_t,
                                const struct reopening *, struct err *);
enum err_code mem_dead_purge(struct backend *, int64_t, int64_t, int64_t, int64_t, struct settled *,
                             struct err *);
enum err_code mem_purged_list(struct backend *, int64_t, int64_t, int64_t, size_t, struct arena *,
                              struct purged **, size_t *, struct err *);
enum err_code mem_purged_count(struct backend *, int64_t, int64_t, int64_t *, int64_t *,
                               struct err *);
enum err_code mem_dead_restore(struct backend *, int64_t, int64_t, struct err *);
enum err_code mem_dead_import(struct backend *, const struct dead_letter *, const struct attempt *,
                              size_t, struct err *);
enum err_code mem_dead_note(struct backend *, int64_t, const char *, struct err *);

enum err_code mem_deed_put(struct backend *, const struct deed *, struct err *);
enum err_code mem_deed_list(struct backend *, int64_t, struct arena *, struct deed **, size_t *,
                            struct err *);
enum err_code mem_job_put(struct backend *, const struct job *, struct err *);
enum err_code mem_job_update(struct backend *, const struct job *, struct err *);
enum err_code mem_job_get(struct backend *, int64_t, struct arena *, struct job *, struct err *);
enum err_code mem_job_list(struct backend *, const struct job_filter *, struct arena *,
                           struct job **, size_t *, struct err *);
enum err_code mem_part_put(struct backend *, const struct job_part *, struct err *);
enum err_code mem_part_update(struct backend *, const struct job_part *, struct err *);
enum err_code mem_part_list(struct backend *, int64_t, bool, int64_t, size_t, struct arena *,
                            struct job_part **, size_t *, struct err *);
enum err_code mem_part_move(struct backend *, int64_t, enum job_state, enum job_state,
                            struct err *);
enum err_code mem_part_active(struct backend *, int64_t, int64_t *, struct err *);
enum err_code mem_part_sums(struct backend *, int64_t, struct job_counts *, struct err *);
enum err_code mem_outbox_mark(struct backend *, const char *, int64_t *, struct err *);
enum err_code mem_outbox_set_mark(struct backend *, const char *, int64_t, struct err *);
enum err_code mem_taken_put(struct backend *, const char *, const struct taken *, bool *,
                            struct err *);
enum err_code mem_taken_list(struct backend *, const char *, int64_t, size_t, struct arena *,
                             struct taken **, size_t *, struct err *);
enum err_code mem_taken_delete(struct backend *, const char *, const struct taken *, size_t,
                               struct err *);
enum err_code mem_reject_put(struct backend *, const struct reject *, struct err *);
enum err_code mem_reject_get(struct backend *, int64_t, struct arena *, struct reject *,
                             struct err *);
enum err_code mem_reject_list(struct backend *, int64_t, size_t, struct arena *, struct reject **,
                              size_t *, struct err *);
enum err_code mem_reject_delete(struct backend *, int64_t, struct err *);
enum err_code mem_audit_put(struct backend *, const struct audit_entry *, struct err *);
enum err_code mem_audit_update(struct backend *, int64_t, const char *, struct err *);
enum err_code mem_audit_list(struct backend *, const struct audit_filter *, struct arena *,
                             struct audit_entry **, size_t *, struct err *);
enum err_code mem_meta_get(struct backend *, const char *, char *, size_t, struct err *);
enum err_code mem_meta_set(struct backend *, const char *, const char *, struct err *);
enum err_code mem_counts(struct backend *, int64_t[DELIVERY_STATES], int64_t *, struct err *);
enum err_code mem_retain_look(struct backend *, enum retain_what, int64_t, int64_t,
                              struct retain_look *, struct err *);
enum err_code mem_retain(struct backend *, enum retain_what, int64_t, size_t, size_t *,
                         struct err *);
enum err_code mem_max_num(struct backend *, int64_t *, struct err *);
enum err_code mem_traffic_add(struct backend *, const struct traffic_delta *, size_t, struct err *);
enum err_code mem_traffic_sum(struct backend *, int64_t, struct arena *, struct traffic **,
                              size_t *, struct err *);
enum err_code mem_traffic_minutes(struct backend *, int64_t, int64_t, int64_t, struct arena *,
                                  struct traffic **, size_t *, struct err *);
enum err_code mem_health_clear(struct backend *, int64_t, struct err *);
enum err_code mem_due_count(struct backend *, int64_t, int64_t, int64_t, int64_t *, struct err *);
enum err_code mem_ready_before(struct backend *, int64_t, int64_t, int64_t, int64_t, int64_t *,
                               int64_t *, struct err *);

#endif
