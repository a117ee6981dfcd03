/* store/model.h: what is remembered, as plain data. No live pointers: rows are copied across
 * threads.
 *
 * Strings are NUL-terminated; NULL means absent. Rows that a backend returns keep their strings in
 * an arena (below) that the caller owns and frees as a whole. Times are ms since 1970 (store
 * clock), 0: none. */
#ifndef STORE_MODEL_H
#define STORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- memory of one answer ---- */
struct arena {
    struct arena_block *blocks;
};
void arena_init(struct arena *a);
void arena_fini(struct arena *a);
void *arena_alloc(struct arena *a, size_t n);        /* zeroed, aligned; NULL: no memory */
char *arena_copy(struct arena *a, const char *text); /* NULL stays NULL */
void *arena_bytes(struct arena *a, const void *bytes, size_t n); /* copy with a NUL behind it */

/* ---- closed lists; each has NAME <-> value functions at the end ---- */
enum delivery_state {
    DELIVERY_PENDING,   /* no attempt yet */
    DELIVERY_IN_FLIGHT, /* in memory only: never stored */
    DELIVERY_RETRYING,  /* at least one attempt failed, another is due */
    DELIVERY_HELD, /* derived: pending or retrying of a paused, disabled or broken subscription */
    DELIVERY_DELIVERED,
    DELIVERY_DEAD,
    DELIVERY_DISCARDED,
    DELIVERY_STATES
};
enum outcome {
    OUTCOME_SUCCESS,
    OUTCOME_HTTP_3XX,
    OUTCOME_HTTP_4XX,
    OUTCOME_HTTP_429,
    OUTCOME_HTTP_5XX,
    OUTCOME_TIMEOUT,
    OUTCOME_DNS,
    OUTCOME_CONNECT,
    OUTCOME_TLS,
    OUTCOME_RESET,
    OUTCOME_BLOCKED,
    OUTCOME_INTERNAL,
    OUTCOMES
};
enum cause {
    CAUSE_NONE,
    CAUSE_RETRIES_EXHAUSTED,
    CAUSE_PERMANENT_FAILURE,
    CAUSE_GONE,
    CAUSE_INVALID_ENDPOINT,
    CAUSE_ENDPOINT_DOWN,
    CAUSE_EXPIRED,
    CAUSE_SUBSCRIPTION_DELETED,
    CAUSE_OPERATOR,
    CAUSES
};
enum sub_state { SUB_ACTIVE, SUB_PAUSED, SUB_DISABLED, SUB_DELETED, SUB_STATES };
enum job_state {
    JOB_ACTIVE,
    JOB_PAUSED,
    JOB_DONE,
    JOB_CANCELLED,
    JOB_STOPPED, /* by itself: too much failed. It can be resumed */
    JOB_STATES
};
/* Why a part of a job was left out from the start, or ended before its end. */
enum job_reason {
    JOB_REASON_NONE,
    JOB_REASON_PAUSED,
    JOB_REASON_DISABLED,
    JOB_REASON_DELETED,
    JOB_REASON_CANARY,   /* the first letters failed, one after the other */
    JOB_REASON_FAILURES, /* more than the job's stop_at of the last letters failed */
    JOB_REASONS
};
enum job_kind { /* engine/job.c: what they do */
                JOB_REPLAY,
                JOB_SUBSCRIPTION_DELETE,
                JOB_PURGE,
                JOB_RESTORE,
                JOB_DISCARD,
                JOB_RESEND,
                JOB_KINDS
};

struct partner {
    int64_t num; /* "par_…" */
    const char *name;
    int64_t created_ms;
};

struct secret {
    int64_t num;       /* key id "key_…" */
    const char *value; /* opened: "whsec_…" or whatever the file held. Wiped by the caller */
    int64_t created_ms;
    int64_t expires_ms; /* 0: does not expire */
};

/* What a subscription's attempts so far say about its endpoint. */
struct health {
    int64_t ok_total, failed_total; /* attempts, ever */
    int64_t last_success_ms, last_failure_ms;
    int last_failure_status; /* 0: no answer */
    enum outcome last_failure_outcome;
    int64_t in_row;           /* failures since the last success */
    int64_t failing_since_ms; /* the first of them; 0: the last attempt succeeded */
};

struct subscription {
    int64_t num;      /* "sub_…" */
    const char *name; /* unique among those not deleted */
    int64_t partner;
    const char *partner_name; /* filled on read */
    const char *url;
    const char *patterns; /* comma-separated, as given: "order.*,trade.settled" */
    const char *profile;
    const char *retry;  /* name of a policy; NULL: the profile's */
    double rate_per_s;  /* 0: unlimited */
    int concurrency;    /* 0: delivery.max_in_flight_per_subscription */
    int64_t timeout_ms; /* 0: the profile's, else delivery.timeout */
    bool ordered;       /* --ordering key */
    bool on_dead_block; /* --on-dead block */
    enum sub_state state;
    const char *state_cause; /* "operator", "gone", … */
    int64_t state_since_ms;
    int64_t resume_at_ms;    /* a pause that ends by itself; 0: none */
    int64_t broken_since_ms; /* breaker open since; 0: closed */
    const char *bearer;      /* sealed at rest; NULL: none */
    const char *headers;     /* sealed at rest; JSON object of custom headers; NULL: none */
    int64_t created_ms, updated_ms;
    int64_t revision;       /* grows by one with every change */
    int64_t job;            /* made by that job, for its copies alone; 0: somebody's own */
    int64_t source;         /* and copies of whose deliveries those are; its secrets are read */
    struct secret *secrets; /* newest first, expired ones included until swept; read only */
    size_t secrets_n;
    int64_t counts[DELIVERY_STATES]; /* filled by sub_get and sub_list; HELD is derived */
    struct health health;            /* filled by sub_get and sub_list; traffic_add changes it */
};
/* A copy that lives long: all that it points to is in the one block returned, as large as it must be; free() it.
 * NULL: no memory. */
void *subscription_copy(const struct subscription *from, struct subscription *to);

struct event_rec {
    int64_t num;
    const char *id;
    int64_t partner;          /* 0: '*', every partner */
    const char *partner_name; /* filled on read */
    const char *type;
    const void
        *payload; /* NULL on read: gone (all its deliveries are dead or over) or not asked for */
    size_t payload_bytes;
    const char *ordering_key, *correlation_id, *source, *version, *attributes;
    int64_t deliver_after_ms, expires_ms, created_ms, accepted_ms;
    const char *outbox; /* name of the outbox, or "api" */
    int64_t seq;
};

/* A trial that an operator sends by hand is due long before whatever else is: no backlog stands before it,
 * and that is how a lane and kill() know it (a replay's copies are trials that wait for their turn). */
#define TRIAL_DUE_MS INT64_C(1)

struct delivery {
    int64_t num; /* "dlv_…" */
    int64_t event, sub;
    const char *event_id, *type, *sub_name; /* filled on read */
    enum delivery_state state;              /* HELD is derived on read */
    enum cause cause;                       /* of death */
    int attempts;                           /* ever made, over all replays */
    int budget_start;        /* attempts made before the current retry budget began */
    int64_t budget_since_ms; /* when the current budget began: creation or replay (for max_age) */
    int64_t due_ms;
    int last_status; /* 0: none */
    enum outcome last_outcome;
    int64_t created_ms, finished_ms;
    int budget_max; /* attempts of the current budget, whatever the policy allows; 0: the policy's */
    bool trial;     /* ends discarded where others are dead */
    int64_t job;    /* the replay that last touched it, 0: none */
    int64_t original; /* it is a copy of that one, for another endpoint; 0: of none */
    int64_t
        last_attempt; /* its row, where a claim read it and the backend has use for it; else 0 */
    const char *ordering_key;
};

struct delivery_key {
    int64_t num, sub;
};

struct attempt {
    int64_t delivery;
    int n;              /* from 1 */
    int64_t started_ms; /* wall clock */
    int64_t duration_us;
    int32_t dns_us, connect_us, tls_us, wait_us, transfer_us; /* -1: phase did not happen */
    enum outcome outcome;
    int status;                /* 0: no answer */
    int64_t job;               /* trigger: 0 the schedule, else a replay */
    const char *address;       /* "203.0.113.7:443"; NULL: not connected */
    const char *error;         /* why, in words; NULL: none */
    const char *response_head; /* status line and headers as received, capped; NULL */
    const void *response_body; /* the head of it, capped; NULL */
    size_t response_body_bytes;
    bool response_truncated;
    int64_t next_ms; /* when the next attempt was planned; 0: none */
    int64_t row;     /* grows in the order in which attempts are stored; filled on read */
};

/* One of a list over all deliveries: whose it is; without its answer's head and body. */
struct attempt_found {
    struct attempt attempt;
    int64_t sub;
    const char *event_id, *type, *sub_name;
};
struct attempt_page {
    struct attempt_found *rows;
    size_t n;
    int64_t at;   /* where the next page begins (filter.after_num): all up to there was looked at */
    bool more;    /* there may be others behind it */
    int64_t last; /* the greatest row of the store */
};

/* What claim returns: everything that sending and settling need; of the delivery not cause, last_…,
 * created_ms, finished_ms, of the event not where it came from and when (partner, outbox, seq,
 * deliver_after_ms, accepted_ms): those are 0. event.expires_ms is the delivery's own: 0 where a
 * replay ignores that the event has expired. A large payload lies apart from the rest, so that it can go
 * as soon as the body is made of it. */
struct claimed {
    struct delivery delivery;
    struct event_rec event;
    char *payload; /* what event.payload points to, where that is a block of its own; else NULL */
    size_t bytes;  /* of memory, payload included */
};

/* The same made of rows in hand (their filled-on-read names are left out); NULL: no memory. */
struct claimed *claimed_new(const struct delivery *d, const struct event_rec *e);
/* For backends: text_n bytes follow the struct for its strings, payload has room for payload_bytes
 * and is ended by a NUL; all else is zero. NULL: no memory. */
struct claimed *claimed_alloc(size_t text_n, size_t payload_bytes);
size_t claimed_size(size_t text_n, size_t payload_bytes); /* what claimed.bytes will be */
char *claimed_payload(struct claimed *c);                 /* that room */
void claimed_drop_payload(struct claimed *c);             /* a large one's memory goes back */
void claimed_free(struct claimed *c);                     /* NULL is fine */

enum settle_to { SETTLE_DELIVERED, SETTLE_RETRY, SETTLE_DEAD };
struct settlement {
    int64_t delivery, sub;
    const struct claimed *seen; /* as it was claimed, where that is at hand; NULL: look it up */
    bool has_attempt;           /* false: death without an attempt (expired, endpoint_down, …) */
    struct attempt attempt;
    enum settle_to to;
    int64_t due_ms;   /* SETTLE_RETRY */
    enum cause cause; /* SETTLE_DEAD */
    int64_t now_ms;
};
struct settled {
    int64_t next_due_ms; /* ordering key: its next delivery is ready and due then; 0: none */
    int64_t job;         /* a replay that this was part of, 0: none */
};

struct dead_letter {
    struct delivery delivery;
    struct event_rec event; /* payload opened only by dead_get */
    int64_t died_ms;
    int64_t expires_ms;             /* died (or imported) + dead_letter.retention */
    const char *sub_name, *sub_url; /* as at death; still known when the subscription is gone */
    int64_t sub_num;
    const char *note;
    int64_t arrival; /* grows with each letter that comes in, whatever way it comes */
};

/* How often a type was seen, and when. */
struct type_count {
    const char *type;
    int64_t n, first_ms, last_ms; /* of creation */
};

/* What somebody did to a delivery: its life beside its attempts. Written with the doing, by whoever
 * calls the operation that does it. */
enum deed_kind {
    DEED_REPLAYED,
    DEED_RESENT, /* what was over already */
    DEED_PURGED, /* a dead letter */
    DEED_RESTORED,
    DEED_DISCARDED, /* one that was open */
    DEED_IMPORTED,
    DEED_COPIED, /* made, as a copy for another endpoint */
    DEED_KINDS
};
struct deed {
    int64_t delivery, at_ms;
    enum deed_kind kind;
    int64_t job;       /* that did it, 0: none */
    const char *actor; /* where no job did it */
    /* Of the death that it took back, which stands nowhere else from then on: CAUSE_NONE: none; died_ms
     * 0: not known. */
    enum cause cause;
    int64_t died_ms;
};

/* A dead letter that was purged and can be restored. */
struct purged {
    int64_t num; /* of its delivery */
    int64_t sub, until_ms;
};

/* What a walk needs to know of a letter, or of a delivery that is over (died_ms is then 0: those are
 * walked in order of num). */
struct dead_key {
    int64_t num, sub, died_ms;
    int64_t expires_ms; /* of its event; 0: none */
    int64_t job;        /* that last sent it again */
    enum cause cause;   /* of its death; CAUSE_NONE: it was delivered, or discarded while open */
    bool gone;          /* a delivery's payload is not here any more */
};

/* Dead letters that have something in common: what DEAD_BY_… bits say; the rest of the members above
 * count is zero. */
#define DEAD_BY_SUBSCRIPTION 1u
#define DEAD_BY_CAUSE 2u
#define DEAD_BY_STATUS 4u /* last_status and last_outcome */
#define DEAD_BY_TYPE 8u
struct dead_group {
    int64_t sub;
    enum cause cause;
    bool tried; /* there was an attempt: last_outcome means something */
    int last_status;
    enum outcome last_outcome;
    const char *type;
    int64_t count, payload_bytes;
    int64_t first_ms, last_ms;           /* of death */
    int64_t example;                     /* number of the one that died last */
    int64_t gone;                        /* of count: deliveries without their payload */
    int64_t expired, expired_bytes;      /* of the others: past their event's expires_at */
    int64_t live_first_ms, live_last_ms; /* of death, of the others; 0: there are none */
    const char *sub_name;                /* DEAD_BY_SUBSCRIPTION: the example's */
    int64_t arrivals;                    /* as in struct dead_sums */
};
/* Dead letters counted. What comes in after the counting has an arrival of at least `arrivals`, and so
 * has whatever left meanwhile and came back: with filter.arrived_before the set stays what was
 * counted, less what has left it, though a letter that was imported or restored died long ago. */
struct dead_sums {
    int64_t count, payload_bytes, arrivals;
};

/* One filter for every list. Zero value: everything. Fields AND together, the values of one field OR.
 * A set is a mask of FILTER_BIT(value); 0: any. */
#define FILTER_BIT(value) (1u << (value))
struct status_range {
    int min, max;
};
struct filter {
    const int64_t *subs;
    size_t subs_n;
    const int64_t *ids;
    size_t ids_n; /* delivery numbers */
    const char *const *event_ids;
    size_t event_ids_n;
    const char *const *types; /* patterns: exact, "a.*" or "*" */
    size_t types_n;
    const struct status_range *statuses; /* of the last answer */
    size_t statuses_n;
    unsigned causes;
    unsigned outcomes; /* of the last attempt: one that was never tried has none */
    unsigned states;   /* deliveries */
    int64_t since_ms,
        until_ms; /* dead letters: of death, else of creation; until is exclusive; 0: open */
    int min_attempts;
    int max_attempts; /* with max_attempts_set, since 0 is: never tried */
    bool max_attempts_set;
    int64_t job;             /* deliveries: touched by that replay; 0: any */
    int64_t ended_before_ms; /* deliveries: over, and that before this time; 0: any */
    int64_t arrived_before;  /* dead letters: of a smaller arrival; 0: any */
    bool with_expired; /* dead letters: also those past their event's expires_at (replay excludes
                          them) */
    bool newest_first;
    size_t limit; /* required, 1..1000 */
    /* Keyset cursor: rows strictly after (before, with newest_first) this key. 0,0: from the start.
     * Dead letters sort by (died_ms, num), all else by num with after_ms unused. */
    int64_t after_ms, after_num;
};

/* What became of letters. A part's are counted by the runner, which queues, and by settle, in the
 * commit of the outcome: of a letter's attempts the first one in this job says `tried` and, where
 * it did not deliver, `failed`. */
/* What became of a letter of a part, as the part counts it. */
enum part_turn { PART_GOES_ON, PART_DELIVERED, PART_DEAD, PART_DISCARDED };
struct job_counts {
    int64_t selected, excluded;    /* when the job was made: to be sent; left out */
    int64_t queued;                /* of selected: ever moved to ready */
    int64_t gone;                  /* of selected: could not be when it was their turn */
    int64_t tried, failed;         /* of queued; an end without an attempt counts in both */
    int64_t delivered, dead_again; /* of queued: over */
    int64_t discarded;             /* of queued: an operator gave them up on their way */
};

struct job {
    int64_t num; /* "job_…" */
    enum job_kind kind;
    enum job_state state;
    const char *filter; /* JSON, as the api wrote it */
    double rate_per_s;  /* 0: unlimited */
    int canary;         /* so many must be delivered at once before the rest goes; 0: none */
    double stop_at;     /* a part ends where more than that ratio of its last ones fail; 1: never */
    bool newest_first;
    int attempts_max; /* of each letter's budget; 0: the policy's */
    bool ignore_expiry;
    const char *to_url; /* sent there instead; NULL: to the subscription */
    const char *actor, *note;
    int64_t sub; /* of a job about one subscription that has no parts; 0: none */
    /* A job that walks the letters itself keeps watermark and counts here; one with parts says by
     * `walked` that its parts are made. */
    int64_t mark_ms, mark_num;
    bool walked;
    int64_t selected, excluded, done;
    int64_t created_ms, started_ms, finished_ms;
    int64_t until_ms; /* purge: what it takes can be restored until then; 0: it is erased */
};

struct job_filter {         /* zero value: everything */
    unsigned states, kinds; /* masks of FILTER_BIT */
    int64_t after_num;      /* keyset cursor; 0: from the newest */
    size_t limit;           /* required */
};
#define JOBS_OPEN (FILTER_BIT(JOB_ACTIVE) | FILTER_BIT(JOB_PAUSED))

/* What a job does about one subscription. Its state is JOB_ACTIVE also while the job is paused; of a
 * subscription one part at most is active. Where the job sends copies somewhere else (to_url), that is
 * a subscription which it made for them. */
struct job_part {
    int64_t job, sub; /* sub 0: letters sent before there were parts */
    enum job_state state;
    enum job_reason reason;
    int64_t mark_ms, mark_num;       /* watermark: letters up to this key were looked at */
    bool walked;                     /* the walk has reached the end of the set */
    int64_t base_tried, base_failed; /* counts when the canary began */
    int64_t canary_tried;            /* and when it was through; -1: not yet */
    struct job_counts counts;
    uint64_t recent; /* the last first attempts, newest in bit 0; 1: failed */
    /* filled on read; an unknown subscription is deleted */
    int64_t source; /* whose deliveries it walks: sub's own, or those that sub gets copies of */
    const char *sub_name; /* of source */
    const char *sub_url, *sub_cause;
    enum sub_state sub_state;
    int sub_concurrency;
    int64_t sub_broken_since_ms;
    double sub_rate_per_s;
};

struct reject {
    int64_t num; /* "rej_…" */
    const char *outbox;
    int64_t seq;
    const char *reason; /* words: what is wrong and what to do */
    const char *row;    /* JSON object of the row's columns; payload as text or {"base64":…} */
    int64_t created_ms;
};

struct audit_entry {
    int64_t num;
    const char *actor, *action, *target, *detail; /* detail: JSON object or NULL; no secrets */
    int64_t created_ms;
};

struct audit_filter {   /* zero value: everything */
    const char *actor;  /* a part of it: "ana" finds "uid:1000 ana" */
    const char *action; /* "job.cancel", or "job.*" */
    const char *target;
    const char *const *mentioned; /* with target: or where one of these texts is in the detail */
    size_t mentioned_n;
    int64_t since_ms, until_ms; /* until is exclusive; 0: open */
    int64_t before_num;         /* keyset cursor; 0: from the newest */
    size_t limit;
};

/* A row of a producer's outbox that was taken and is not trimmed yet. */
struct taken {
    int64_t seq;
    uint8_t digest[16];
};

const char *delivery_state_name(enum delivery_state s);
/* Counts of a store, in which nothing is in flight, and how many are: each is counted once. The two
 * were not read at one instant, hence never below zero. */
void deliveries_in_flight(int64_t counts[DELIVERY_STATES], int64_t n, int64_t retrying);
bool delivery_state_parse(const char *word, enum delivery_state *out);
const char *outcome_name(enum outcome o);
bool outcome_parse(const char *word, enum outcome *out);
const char *cause_name(enum cause c); /* CAUSE_NONE: NULL */
bool cause_parse(const char *word, enum cause *out);
const char *deed_kind_name(enum deed_kind k);
const char *sub_state_name(enum sub_state s);
const char *job_state_name(enum job_state s);
bool job_state_parse(const char *word, enum job_state *out);
const char *job_reason_name(enum job_reason r); /* JOB_REASON_NONE: NULL */
const char *job_kind_name(enum job_kind k);
bool job_kind_parse(const char *word, enum job_kind *out);

#endif
