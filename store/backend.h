/* store/backend.h: what a database must offer. Blocking, single-threaded, no locks of its own.
 *
 * One `struct backend` is one connection, used by one thread at a time. Writing operations arrive
 * between begin(write) and commit(); reading ones also between begin(read) and commit() on a
 * reader's connection. An operation returns OK, or a domain answer (ERR_EXISTS, ERR_NOT_FOUND,
 * ERR_STALE, ERR_INVALID, ERR_BUSY) that leaves the transaction usable and has changed nothing, or
 * ERR_IO / ERR_FULL / ERR_CORRUPT / ERR_NOMEM, after which the caller rolls back.
 *
 * Sealing (store/seal.h) is done inside: secrets, bearer tokens, custom headers and dead letters
 * are AES-256-GCM at rest, bound to their row; a row that does not open is ERR_CORRUPT. */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "base/err.h"
#include "store/model.h"
#include "store/traffic.h"

struct backend;
struct keyring; /* store/seal.h */

enum backend_mode { BACKEND_WRITER, BACKEND_READER };

struct event_put_result {
    enum {
        EVENT_NEW,
        EVENT_DUPLICATE,
        EVENT_CONFLICT
    } kind;      /* conflict: id seen with other content */
    int64_t num; /* of the new one, or of the one that was there (0 where it is gone) */
};

/* What retention deletes, a slice at a time. */
enum retain_what {
    RETAIN_DELIVERED, /* delivered and discarded deliveries that ended before before_ms, with their
                         attempts, then events without deliveries; an event that only dead letters
                         are left of gives up its payload. What can be restored stays */
    RETAIN_ATTEMPTS,  /* attempts, begun before before_ms, of delivered and discarded deliveries;
                         those of what can be restored stay */
    RETAIN_DEAD,      /* dead letters whose expires_ms <= before_ms: purged at that time, erased */
    RETAIN_PURGED,    /* what was purged and whose until_ms <= before_ms: erased */
    RETAIN_AUDIT,     /* written before before_ms */
    RETAIN_SEEN,      /* remembered ids whose seen_until_ms <= before_ms */
    RETAIN_SECRETS,   /* secrets that expire and whose expires_ms <= before_ms */
    RETAIN_TRAFFIC,   /* minutes that began before before_ms, or so long after it that only a clock
                         that was ahead can have written them */
    RETAINS
};

struct retain_look {
    int64_t rows, due;        /* there are; would go now */
    bool rows_more, due_more; /* at least: the time was up */
    int64_t oldest_ms;        /* of the first that was written; 0: none, or not found in time */
};

struct claim_ask {
    int64_t from_ms;      /* what was due before that is not looked at: it is in memory; 0: all */
    size_t max;           /* rows */
    size_t max_row_bytes; /* claimed.bytes of each */
    size_t max_bytes;     /* of all together */
    const int64_t *skip;  /* numbers that are left out, sorted ascending */
    size_t skip_n;
};
struct claim_got {
    size_t n;
    /* Due of the first one not returned (may be <= now where a bound was reached; skipped ones do
     * not count), 0: none. */
    int64_t next_due_ms;
    size_t next_bytes; /* of it, where its size was what stopped; else 0 */
};

struct ready_at {
    int64_t due_ms, num;
};
#define READY_LAST ((struct ready_at){INT64_MAX, INT64_MAX})

/* How a delivery that is over is opened again, or a copy of it is. */
struct reopening {
    int64_t job;
    int64_t due_ms, now_ms;
    int budget_max; /* attempts; 0: the policy's */
};

struct backend_ops {
    const char *scheme; /* "sqlite", "memory" */

    /* ---- life ---- */
    /* target: the store.url, whole. The writer takes the exclusive lock (ERR_BUSY where another
     * process holds it; never waits), creates and migrates (ERR_NEWER). A reader opens what the
     * writer has opened (for "memory": the same data). Takes no ownership of keys, which must
     * outlive it. */
    enum err_code (*open)(struct backend **out, const char *target, enum backend_mode mode,
                          const struct keyring *keys, struct err *err);
    void (*close)(struct backend *b); /* NULL is fine */
    enum err_code (*begin)(struct backend *b, struct err *err);
    enum err_code (*commit)(struct backend *b, struct err *err);
    void (*rollback)(struct backend *b);
    /* One savepoint deep: what happened since mark() is undone by undo(), kept by keep(). */
    enum err_code (*mark)(struct backend *b, struct err *err);
    enum err_code (*undo)(struct backend *b, struct err *err);
    enum err_code (*keep)(struct backend *b, struct err *err);
    /* Outside a transaction: move the log into the file, without waiting for anybody. */
    void (*checkpoint)(struct backend *b);
    /* These two from any thread. Database and log; 0: none. */
    int64_t (*file_bytes)(struct backend *b);
    /* Of a writer: bytes in the log since it was last reset. NULL: there is no log. */
    int64_t (*log_bytes)(struct backend *b);

    /* ---- partners; the one named "default" exists from the start ---- */
    enum err_code (*partner_put)(struct backend *, const struct partner *,
                                 struct err *); /* EXISTS */
    /* by name or "par_…" */
    enum err_code (*partner_get)(struct backend *, const char *ref, struct arena *,
                                 struct partner *, struct err *);
    enum err_code (*partner_list)(struct backend *, int64_t after_num, size_t limit, struct arena *,
                                  struct partner **out, size_t *n, struct err *);

    /* ---- subscriptions ---- */
    enum err_code (*sub_put)(struct backend *, const struct subscription *,
                             struct err *); /* EXISTS: name */
    /* All columns but num, created_ms, job, source, counts, secrets; adds 1 to revision. State deleted frees the
     * name. Without on_dead_block, keys that wait behind a dead one go on. */
    enum err_code (*sub_update)(struct backend *, const struct subscription *, struct err *);
    /* by name or "sub_…"; secrets and counts filled. A name means the one that has it; where none
     * has, the deleted one that had it last (its dead letters are still asked for by name). */
    enum err_code (*sub_get)(struct backend *, const char *ref, struct arena *,
                             struct subscription *, struct err *);
    enum err_code (*sub_get_num)(struct backend *, int64_t num, struct arena *,
                                 struct subscription *, struct err *);
    /* In order of num, deleted ones left out; secrets only with_secrets. */
    enum err_code (*sub_list)(struct backend *, int64_t after_num, size_t limit, bool with_secrets,
                              struct arena *, struct subscription **out, size_t *n, struct err *);
    enum err_code (*secret_put)(struct backend *, int64_t sub, const struct secret *, struct err *);
    /* All secrets of sub but `except` expire at expires_ms at the latest. */
    enum err_code (*secret_expire)(struct backend *, int64_t sub, int64_t except,
                                   int64_t expires_ms, struct err *);

    /* ---- events and deliveries ---- */
    /* Stores the event once and a delivery for each of subs[n] (0 is legal: matched nobody),
     * numbered from first_delivery on. due = max(accepted_ms, deliver_after_ms). For a sub whose
     * bit in ordered[] is set and an event with ordering_key and without a future deliver_after,
     * only the head of (sub, key) becomes ready. digest: 32 bytes, keyed digest of id and of
     * content (first and second half), remembered until RETAIN_SEEN passes
     * seen_until_ms. */
    enum err_code (*event_put)(struct backend *, const struct event_rec *, const int64_t *subs,
                               const bool *ordered, size_t n, int64_t first_delivery,
                               const uint8_t digest[32], int64_t seen_until_ms,
                               struct event_put_result *out, struct err *);
    enum err_code (*event_get)(struct backend *, const char *id, bool with_payload, struct arena *,
                               struct event_rec *, struct err *);
    /* filter: type, since, until, event_id, cursor */
    enum err_code (*event_list)(struct backend *, const struct filter *, struct arena *,
                                struct event_rec **out, size_t *n, struct err *);
    /* The subset of `filter` that names columns of a delivery. */
    enum err_code (*delivery_list)(struct backend *, const struct filter *, struct arena *,
                                   struct delivery **out, size_t *n, struct err *);
    enum err_code (*delivery_get)(struct backend *, int64_t num, struct arena *, struct delivery *,
                                  struct err *);
    /* For whoever walks deliveries to change them, slice by slice: those that match, in order of num
     * after f->after_num, up to limit, of the next `looks` deliveries of the one subscription that f
     * names, or of all; of those named by id or event, all. *end: the number to go on from; 0: that
     * was the last. */
    enum err_code (*delivery_walk)(struct backend *, const struct filter *f, size_t looks,
                                   struct arena *, struct delivery_key **out, size_t *n,
                                   int64_t *end, struct err *);
    /* out[i]: how many deliveries of events[i] are in which state (HELD derived); copies are left
     * out. */
    enum err_code (*event_states)(struct backend *, const int64_t *events, size_t n,
                                  int64_t (*out)[DELIVERY_STATES], struct err *);
    /* Types of the last `looks` events, the commonest first. */
    enum err_code (*event_types)(struct backend *, size_t looks, struct arena *,
                                 struct type_count **out, size_t *n, struct err *);
    /* Ids of events that begin like that, in order, each once. */
    enum err_code (*event_ids)(struct backend *, const char *begin, size_t limit, struct arena *,
                               const char ***out, size_t *n, struct err *);
    /* *head: the first of the line that the delivery stands in (by its ordering key), perhaps
     * itself; 0: it stands in none. */
    enum err_code (*line_head)(struct backend *, int64_t num, int64_t *head, struct err *);
    enum err_code (*attempt_list)(struct backend *, int64_t delivery, struct arena *,
                                  struct attempt **out, size_t *n, struct err *);
    /* Attempts of all deliveries in the order of attempt.row, which is after_num's number here (0
     * with newest_first: from the last one down). filter: subs, ids, event_id, type, outcome,
     * status, since and until (of the attempt's start), job (that made it). No index says which
     * attempts match, so a page looks at about `looks` rows at most: it may hold less than limit,
     * even nothing, and there may be more all the same. */
    enum err_code (*attempt_find)(struct backend *, const struct filter *, size_t looks,
                                  struct arena *, struct attempt_page *, struct err *);

    /* ---- the hot path ---- */
    /* Ready deliveries of sub with from <= due <= now, in order of (due, num), as many as ask allows;
     * out[] has room for ask->max. Whoever gets them calls claimed_free(). Index seek. */
    enum err_code (*claim)(struct backend *, int64_t sub, int64_t now_ms, const struct claim_ask *,
                           struct claimed **out, struct claim_got *, struct err *);
    /* Earliest due of each of subs[n], 0: none. */
    enum err_code (*heads)(struct backend *, const int64_t *subs, size_t n, int64_t *due_ms,
                           struct err *);
    /* ERR_STALE where the delivery is over already or unknown. Counts, job counters, ordering, seal
     * of a dead one: all here. */
    enum err_code (*settle)(struct backend *, const struct settlement *, int64_t dead_expires_ms,
                            struct settled *out, struct err *);
    /* Makes an open delivery that stands in no line a trial: its budget is budget_max attempts, it is
     * due at TRIAL_DUE_MS, before all others, and where others are dead it is discarded, so that no
     * dead letter comes of it. ERR_STALE: not open, or unknown. */
    enum err_code (*trial)(struct backend *, int64_t num, int budget_max, struct err *);
    /* An open delivery is over without an attempt, state discarded, and nobody's letter; the next one
     * of its key goes on (out->next_due_ms). ERR_STALE: not open, or unknown. */
    enum err_code (*discard)(struct backend *, int64_t num, int64_t now_ms, struct settled *out,
                             struct err *);
    /* Records the attempt of a delivery whose end (kill, purge) overtook it: attempts grows by one, its
     * letter's too, the state stays. ERR_STALE: unknown. */
    enum err_code (*attempt_late)(struct backend *, const struct attempt *, struct err *);
    /* Kills up to limit open deliveries of sub, without an attempt: those that are due or created
     * (replayed) before before_ms, whether ready or waiting behind an ordering key; trials, which
     * nobody holds, are left out. INT64_MAX: all. *n: how many. */
    enum err_code (*kill)(struct backend *, int64_t sub, int64_t before_ms, enum cause cause,
                          size_t limit, int64_t now_ms, int64_t dead_expires_ms, size_t *n,
                          struct err *);
    /* The same, cause expired, for deliveries whose event's expires_ms <= now and that cannot be
     * claimed now: of paused, disabled or broken subscriptions, or waiting behind a key. everyone:
     * nobody claims at all, so those that could be are among them. Index on expiry. */
    enum err_code (*kill_expired)(struct backend *, bool everyone, size_t limit, int64_t now_ms,
                                  int64_t dead_expires_ms, size_t *n, struct err *);
    /* When time alone gives kill_expired() something to look at, that by now_ms it has not seen:
     * the next expires_ms. INT64_MAX: nothing can expire any more. */
    enum err_code (*next_expiry)(struct backend *, int64_t now_ms, int64_t *at_ms, struct err *);

    /* Deliveries from the future, where the clock was set back: of sub's ready ones those whose
     * budget began or that were last tried after now, or that are due after far_ms, are due now; a
     * deliver_after stays. Looks at up to limit of them before *at (READY_LAST at first), from the
     * last due time down, until one is right; at->due_ms 0: that was the last. *n: how many. */
    enum err_code (*bring_back)(struct backend *, int64_t sub, int64_t now_ms, int64_t far_ms,
                                size_t limit, struct ready_at *at, size_t *n, struct err *);

    /* ---- traffic ---- */
    /* Minutes are added to those of the same (sub, minute_ms), healths to their subscription's. */
    enum err_code (*traffic_add)(struct backend *, const struct traffic_delta *, size_t n,
                                 struct err *);
    /* One row for each subscription that had any since then, minute_ms 0, in order of sub. */
    enum err_code (*traffic_sum)(struct backend *, int64_t since_ms, struct arena *,
                                 struct traffic **out, size_t *n, struct err *);
    /* The minutes of one, from that of since_ms to that of until_ms, in order; those without
     * traffic are left out. */
    enum err_code (*traffic_minutes)(struct backend *, int64_t sub, int64_t since_ms,
                                     int64_t until_ms, struct arena *, struct traffic **out,
                                     size_t *n, struct err *);
    /* Another endpoint, or one that somebody vouches for again: the failures in a row so far are not its
     * own. Totals, and when it last failed and succeeded, stay. */
    enum err_code (*health_clear)(struct backend *, int64_t sub, struct err *);
    /* Ready deliveries of sub with due <= now, those in flight included; counts up to max. */
    enum err_code (*due_count)(struct backend *, int64_t sub, int64_t now_ms, int64_t max,
                               int64_t *n, struct err *);
    /* Of those the ones that go before the job's first one, counted up to max; *due_ms: when that
     * one was due, 0: it is not among those that were looked at. */
    enum err_code (*ready_before)(struct backend *, int64_t sub, int64_t job, int64_t now_ms,
                                  int64_t max, int64_t *n, int64_t *due_ms, struct err *);

    /* ---- dead letters: their own table ---- */
    enum err_code (*dead_list)(struct backend *, const struct filter *, struct arena *,
                               struct dead_letter **out, size_t *n, struct err *);
    enum err_code (*dead_count)(struct backend *, const struct filter *, struct dead_sums *out,
                                struct err *);
    /* For whoever walks letters to change them, slice by slice: the keys of those that match, as dead_list
     * orders them, after the cursor, up to limit (which may exceed 1000 here), of the next `looks`
     * letters of the one subscription that f names, or of all; of those named by id or event, all. *end: the key to go on from; end->num
     * 0: that was the last. */
    enum err_code (*dead_walk)(struct backend *, const struct filter *f, size_t looks,
                               struct arena *, struct dead_key **out, size_t *n,
                               struct dead_key *end, struct err *);
    /* The letters that match (limit and cursor do not count) in groups by what the DEAD_BY_… bits of
     * `by` say (0: one group of all), the largest first. None matches: *n is 0. ERR_INVALID: more
     * than DEAD_GROUPS_MAX groups (store/dead_groups.h). */
    enum err_code (*dead_groups)(struct backend *, const struct filter *, unsigned by,
                                 struct arena *, struct dead_group **out, size_t *n, struct err *);
    /* Payload opened. */
    enum err_code (*dead_get)(struct backend *, int64_t num, struct arena *, struct dead_letter *,
                              struct err *);
    /* Back to ready with a fresh retry budget, state retrying (pending where it had no attempt);
     * bypasses the ordering key's line; a key that it blocks goes on once it is delivered. An
     * expiry that is past is dropped. ERR_STALE: not dead, or unknown. ERR_INVALID: the
     * subscription is deleted or unknown, or the sealed payload is missing or does not open. */
    enum err_code (*dead_replay)(struct backend *, int64_t num, const struct reopening *,
                                 struct err *);
    /* State discarded; a key that it blocked goes on (out->next_due_ms). The letter lies in
     * `purged` under that job until until_ms, or until its delivery is anything but discarded
     * again; until_ms <= now_ms: it is erased. ERR_STALE: not dead, or unknown. out may be NULL. */
    enum err_code (*dead_purge)(struct backend *, int64_t num, int64_t job, int64_t until_ms,
                                int64_t now_ms, struct settled *out, struct err *);
    /* Purged by that job and not restored, resent or imported since, with until_ms > now_ms; in
     * order of num. */
    enum err_code (*purged_list)(struct backend *, int64_t job, int64_t now_ms, int64_t after_num,
                                 size_t limit, struct arena *, struct purged **out, size_t *n,
                                 struct err *);
    enum err_code (*purged_count)(struct backend *, int64_t job, int64_t now_ms, int64_t *count,
                                  int64_t *payload_bytes, struct err *);
    /* A dead letter again, as it was; kept until its until_ms at least. It holds no ordering key: that
     * went on at the purge. ERR_STALE: not purged, or its until_ms <= now_ms. */
    enum err_code (*dead_restore)(struct backend *, int64_t num, int64_t now_ms, struct err *);
    /* Puts an exported letter (with its attempts) back, delivery number and all. ERR_EXISTS: it is
     * here and dead already. A discarded delivery of that number becomes dead again. ERR_INVALID:
     * the number is another, open delivery. sub_num 0 or unknown: bind by sub_name; a name
     * that is unknown is kept as text. Its event is the one here of the same id, type and payload,
     * else one without payload is made for it. */
    enum err_code (*dead_import)(struct backend *, const struct dead_letter *,
                                 const struct attempt *, size_t attempts_n, struct err *);
    enum err_code (*dead_note)(struct backend *, int64_t num, const char *note, struct err *);

    /* ---- deliveries that are over, for whoever sends them again ---- */
    /* Delivered or discarded ones that match (f.states narrows it to one of the two), trials left out.
     * As dead_walk and dead_groups do it, but in order of num (after_ms, died_ms: unused), by the
     * time of creation, and without the subscriptions' names. */
    enum err_code (*over_walk)(struct backend *, const struct filter *, size_t looks,
                               struct arena *, struct dead_key **out, size_t *n,
                               struct dead_key *end, struct err *);
    enum err_code (*over_groups)(struct backend *, const struct filter *, unsigned by,
                                 struct arena *, struct dead_group **out, size_t *n, struct err *);
    /* As dead_replay, of a delivered or discarded delivery: the same one, its attempts go on. What
     * was purged cannot be restored any more. ERR_STALE: neither, a trial, or unknown. ERR_INVALID:
     * the subscription is deleted, or there is no payload any more. */
    enum err_code (*over_resend)(struct backend *, int64_t num, const struct reopening *,
                                 struct err *);

    /* A new delivery of the same event for sub, which one that is over (in one of the states of the
     * mask) stays as it is for: num is its number, original says whose copy it is. It is a
     * trial, but takes its turn, and stands in no line. An expiry that is past is dropped. A payload that
     * only the original had is the event's again until no open one needs it. ERR_STALE: not in such
     * a state, a trial itself, or unknown. ERR_INVALID: sub is deleted or unknown, or there is no
     * payload any more. */
    enum err_code (*delivery_copy)(struct backend *, int64_t original, unsigned states, int64_t num,
                                   int64_t sub, const struct reopening *, struct err *);

    /* ---- what was done to deliveries ---- */
    /* One of its kind at a time: the same again at the same ms takes its place. Gone with the
     * delivery. */
    enum err_code (*deed_put)(struct backend *, const struct deed *, struct err *);
    enum err_code (*deed_list)(struct backend *, int64_t delivery, struct arena *,
                               struct deed **out, size_t *n, struct err *); /* in order of time */

    /* ---- jobs ---- */
    enum err_code (*job_put)(struct backend *, const struct job *, struct err *);
    /* Everything but num, kind, created_ms, until_ms. */
    enum err_code (*job_update)(struct backend *, const struct job *, struct err *);
    enum err_code (*job_get)(struct backend *, int64_t num, struct arena *, struct job *,
                             struct err *);
    enum err_code (*job_list)(struct backend *, const struct job_filter *, struct arena *,
                              struct job **out, size_t *n, struct err *); /* newest first */
    enum err_code (*part_put)(struct backend *, const struct job_part *, struct err *);
    /* Everything but what settle counts: tried, failed, delivered, dead_again, discarded, recent. */
    enum err_code (*part_update)(struct backend *, const struct job_part *, struct err *);
    /* In order of sub, those after after_sub (-1: all). */
    enum err_code (*part_list)(struct backend *, int64_t job, bool active_only, int64_t after_sub,
                               size_t limit, struct arena *, struct job_part **out, size_t *n,
                               struct err *);
    /* All parts of job in state `from`. A part that becomes active begins its canary anew. */
    enum err_code (*part_move)(struct backend *, int64_t job, enum job_state from,
                               enum job_state to, struct err *);
    /* The job with an active part of sub; 0: none. */
    enum err_code (*part_active)(struct backend *, int64_t sub, int64_t *job, struct err *);
    enum err_code (*part_sums)(struct backend *, int64_t job, struct job_counts *, struct err *);

    /* ---- intake's memory ---- */
    enum err_code (*outbox_mark)(struct backend *, const char *outbox, int64_t *mark,
                                 struct err *); /* 0: new */
    enum err_code (*outbox_set_mark)(struct backend *, const char *outbox, int64_t mark,
                                     struct err *);
    /* *fresh: it was not there before. */
    enum err_code (*taken_put)(struct backend *, const char *outbox, const struct taken *,
                               bool *fresh, struct err *);
    enum err_code (*taken_list)(struct backend *, const char *outbox, int64_t after_seq,
                                size_t limit, struct arena *, struct taken **out, size_t *n,
                                struct err *);
    /* Of list[n], as taken_list orders it, those that are there. */
    enum err_code (*taken_delete)(struct backend *, const char *outbox, const struct taken *list,
                                  size_t n, struct err *);
    enum err_code (*reject_put)(struct backend *, const struct reject *, struct err *);
    enum err_code (*reject_get)(struct backend *, int64_t num, struct arena *, struct reject *,
                                struct err *);
    enum err_code (*reject_list)(struct backend *, int64_t after_num, size_t limit, struct arena *,
                                 struct reject **out, size_t *n, struct err *);
    enum err_code (*reject_delete)(struct backend *, int64_t num, struct err *);

    /* ---- the rest ---- */
    enum err_code (*audit_put)(struct backend *, const struct audit_entry *, struct err *);
    /* What an entry says, anew: of what goes on. NOT_FOUND */
    enum err_code (*audit_update)(struct backend *, int64_t num, const char *detail, struct err *);
    enum err_code (*audit_list)(struct backend *, const struct audit_filter *, struct arena *,
                                struct audit_entry **out, size_t *n,
                                struct err *); /* newest first */
    enum err_code (*meta_get)(struct backend *, const char *key, char *out, size_t room,
                              struct err *); /* NOT_FOUND */
    enum err_code (*meta_set)(struct backend *, const char *key, const char *value, struct err *);
    /* Deliveries by stored state, over all subscriptions; [DELIVERY_HELD] derived; rejects too. Copies
     * that are over are left out. */
    enum err_code (*counts)(struct backend *, int64_t out[DELIVERY_STATES], int64_t *rejects,
                            struct err *);
    /* *n: rows deleted. 0: this slice found none; the next call goes on where it ended. */
    enum err_code (*retain)(struct backend *, enum retain_what, int64_t before_ms, size_t limit,
                            size_t *n, struct err *);
    /* What retain() would delete (of RETAIN_DELIVERED the deliveries alone), without deleting it;
     * takes about budget_us. */
    enum err_code (*retain_look)(struct backend *, enum retain_what, int64_t before_ms,
                                 int64_t budget_us, struct retain_look *, struct err *);
    /* The greatest number used as a key anywhere: where an id_source starts. */
    enum err_code (*max_num)(struct backend *, int64_t *out, struct err *);
};

/* Every backend begins with this. */
struct backend {
    const struct backend_ops *ops;
    int64_t rollbacks; /* so far: what was read in a transaction may be gone since */
    /* Before begin: this transaction may be one that need not be on the disk before the next one that
     * must. Within it: it is. (begin forgets what the last one said.) A power cut then takes it back:
     * of something large the end of what was done, and with it how far that had come. */
    bool may_lag, lags;
};

/* By the scheme of a URL ("sqlite:///…", "memory:"); NULL: unknown. */
const struct backend_ops *backend_find(const char *url);
/* Nothing is there yet: only then may a missing key file be made. */
bool backend_is_new(const char *url);
const char *backend_library(void); /* "SQLite 3.40.1" */
extern const struct backend_ops backend_sqlite;
extern const struct backend_ops backend_memory;

#endif
