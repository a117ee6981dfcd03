/* engine/api.h: what operators (and later partners) can ask. One table of routes (api.c); a handler
 * is a blocking function over one store transaction (house rule 13): on the store thread where it
 * writes, on the list reader where it reads, or in webhookctl's own process with the daemon
 * stopped. One that counts many letters before it writes a job has two halves (api_plan_make).
 *
 * All bodies are JSON, snake_case, RFC 3339 UTC with ms; unknown = null, never missing. Lists:
 * {"items":[…],"next_cursor":"…"|null}. Errors:
 * {"error":{"code","message","details","target","status","timestamp","correlation_id","documentation"}}.
 *
 * All paths begin with /api/v1. {ref} is a name or an id. Every request that changes something takes
 * ?dry_run=1: it is judged and answered (200) as it would be, and undone; "dry_run":true is in that
 * answer, a secret is null, and what is new has an id that is nobody's.
 *
 *   POST /events               one object or an array of them -> 202 {"id","duplicate","matched"}
 *                              or {"items":[…]}, after the commit. An object: {"type","data","id",
 *                              "partner","ordering_key","correlation_id","source","version",
 *                              "attributes","created_at","deliver_after","expires_at"}. data: any
 *                              JSON, its bytes are kept; times: RFC 3339 or ms. The outbox's
 *                              "payload" and "event_id" are as good as data and id. ?dry_run=1
 *                              -> 200 {"id","id_known","matched","subscriptions"}
 *   GET  /events               ?type= since= until= contains= limit= cursor=
 *   GET  /events/{id}          ?payload=1; with its "deliveries"
 *   GET  /events/{id}/trace    its life over all deliveries: "entries" in order of time, what waits
 *                              last. {id}: of the event or of one of its deliveries
 *   GET  /event-ids            ?begin=TEXT -> {"items":[{"id"}],…}, four at most, in order
 *   GET  /event-types          types of the last 20,000 events, the commonest first
 *   POST /partners             {"name"} -> 201              GET /partners
 *   POST /subscriptions        {"url","events":["order.*"],"name","partner","profile","secret",
 *                              "bearer","headers":{},"retry","rate_per_second","concurrency",
 *                              "timeout_seconds","ordering":"none|key","on_dead":"skip|block"}
 *                              -> 201, the subscription and, once, its "secret"
 *   GET  /subscriptions        ?state=active|paused|disabled|failing partner=; with "last_hour" and
 *                              what waits. "failing" is no state of its own: the active ones whose
 *                              "failing_since" is set
 *   GET|PATCH|DELETE /subscriptions/{ref}       GET: with its "retry_policy", "state_by" {"actor","note"}
 *                              PATCH takes what POST does but partner and secret
 *   POST /subscriptions/{ref}/pause|resume|enable|disable   {"note","for_seconds"}
 *   POST /subscriptions/{ref}/test                          {"type","data"} -> 202, the delivery, a
 *                              trial: one attempt, counted nowhere, discarded where it fails; also
 *                              of a paused, disabled or broken one. 409 while egress is paused
 *   POST /subscriptions/{ref}/rotate-secret                 {"overlap_seconds":86400,"secret"}
 *   GET  /subscriptions/{ref}/deliveries                    ?FILTER
 *   GET  /deliveries           ?FILTER   GET /deliveries/{id}: with "attempt_log",
 *                              "event", the "request" (?attempt=N: as that one
 *                              sent it), what it is "waiting" for, "deeds"; ?payload=1
 *   GET  /deliveries/{id}/attempts
 *   POST /deliveries/resend    what was delivered or discarded, as /replays sends dead letters; state:
 *                              without it delivered ones are meant (of ids, both). Types and
 *                              "oldest_created_at" instead of "oldest_died_at" in the preview:
 *   POST /deliveries/resend/preview
 *   GET  /attempts             ?FILTER -> of all deliveries, newest first; without the answers' heads
 *                              and bodies; a page may be short and have a next_cursor. end_cursor:
 *                              from where order=oldest finds what comes next
 *   GET  /dead-letters         ?FILTER   GET /dead-letters/{dlv_… or event id}: with "request",
 *                              "attempt_log", "event"; ?payload=1; ?curl=1: "request_now", signed
 *                              anew; ?subscription= where an event has several
 *   GET  /dead-letters/count   ?FILTER -> {"count","payload_bytes","as_of","arrived_before",
 *                              "next_cursor"}; with that arrived_before in a filter, the set stays
 *                              what was counted, less what has left it
 *   GET  /dead-letters/summary ?FILTER&by=subscription,cause,status,type (default: the first three)
 *                              -> {"total","payload_bytes","groups","first_died_at",
 *                              "last_died_at","by","items":[{what by names,"count",…,"example",
 *                              "subscription_now"}],"next_cursor"}; limit: the largest so many
 *   GET  /dead-letters/export  ?FILTER&cursor= -> JSON Lines, one page; header X-Next-Cursor while
 *                              there is more
 *   POST /dead-letters/export  {"filter","selected","file","note"}: for the audit log, before the first page
 *   POST /dead-letters/import  JSON Lines, a chunk -> {"imported","skipped","unbound","refused","audit",
 *                              "errors":[{"line","message"}]}; ?file= its name, for the audit log;
 *                              ?audit= as the chunk before answered: one entry for all of them
 *   POST /dead-letters/purge   {"filter":{…},"confirm":N,"note"} -> 202, the job; 409 where the count
 *                              differs, or, of a filter with arrived_before, is greater: what was
 *                              counted is purged, whatever comes in later is not.
 *                              409 job_active while a replay is not through with letters of these
 *                              subscriptions.
 *                              {"filter","dry_run":true} -> 200 {"count","payload_bytes",
 *                              "oldest_died_at","newest_died_at","arrived_before",
 *                              "subscriptions":[],"types":[],"recoverable_until"}
 *   POST /dead-letters/restore {"job":"job_…","note"} -> 202, the job that takes back what that purge
 *                              took; {"job","dry_run":true} -> 200 {"count","payload_bytes",
 *                              "recoverable_until"}
 *   PATCH /dead-letters/{…}    {"note": TEXT or null} -> the letter, as in the list
 *   DELETE /dead-letters/{…}   -> 200, the purge of the one letter, a job that is done
 *   POST /replays              {"filter":{…},"rate_per_second","canary","stop_at_ratio","attempts",
 *                              "order","ignore_expiry","to","note"} -> 202, the job; 409 while
 *                              another one, or a purge, is active on one of the subscriptions. "to": a URL that
 *                              gets copies (trials with an "original", once each unless "attempts"
 *                              says otherwise) while the letters stay as they are, whatever state
 *                              their subscriptions are in; 422 where a subscription's URL would be.
 *                              "dry_run":true: as
 *   POST /replays/preview      the same -> 200 {"count","payload_bytes","excluded","excluded_by":[],
 *                              "types":[],"oldest_died_at","newest_died_at","options":{},"until",
 *                              "targets":[],"about_seconds","live_ahead_seconds"}; on the list reader. until: the end
 *                              of the set. A target: its subscription as it is now, its backlog,
 *                              "live_per_second"; "taken_per_second" where that is near, and
 *                              about_seconds is not known
 *   POST /dead-letters/{dlv_… or event id}/replay           the same without "filter"
 *   GET  /jobs                 ?state=&kind=; GET /jobs/{id}   POST /jobs/{id}/cancel|pause|resume
 *                              {"note"}, for the audit log
 *   POST /jobs/{id}/rate       {"rate_per_second"}: from now on; 0: no limit
 *   POST /jobs/{id}/step       without a daemon: runs a few slices of a job that does not "deliver"
 *                              (there it needs none); else the same as GET
 *   GET  /outbox-rejects       GET|DELETE /outbox-rejects/{id}   POST /outbox-rejects/{id}/retry
 *   GET  /retention            -> items {"rule","key","keep_seconds","rows","rows_exact","due",
 *                              "due_exact","oldest"}
 *   GET  /egress               -> {"paused","since","resume_at","actor","note","waiting"}: the kill switch
 *   POST /egress/pause         {"note","for_seconds"}   POST /egress/resume   {"note"} -> the same
 *   GET  /config               -> {"file","loaded_at","config":{…}}: what runs
 *   POST /config/reload        -> {"applied","path","changed":[{"key","running","file","reloadable"}]};
 *                              422 with every mistake in "details", 409 where a restart is needed
 *   GET  /log                  -> {"level","configured","until"}   POST /log {"level","for_seconds"}
 *   GET  /audit                ?actor= (a part of it) action= ("job.*") target= ({ref} or id) since=
 *                              until= limit= cursor=. An item's "subscriptions": whose deliveries it
 *                              is about; target= finds those too
 *   POST /backups              {"path","bytes","sha256"}: for the audit log; the copy was made beside it
 *   GET  /status               the whole on one screen: readiness, store, deliveries by state, what
 *                              waits ("backlog" = "due" + "held" + "later"), who is "failing", "jobs",
 *                              "outboxes", "last_5m", "attempts" since the start
 *   GET  /stats                ?window=5m (1m..1h) subscription= all=1 limit= cursor= -> {"window_seconds",
 *                              "since","as_of","total":{…},"items":[{"id","subscription","state","ok",
 *                              "failed","ok_per_second","success_ratio","p50_seconds","in_flight",
 *                              "backlog","due","held","held_by","later","dead",…}]}: those with
 *                              traffic in the window, backlog, dead letters, or not active; all=1: all
 *   GET  /subscriptions/{ref}/stats  ?window=1h -> the same of one, and its "minutes"
 *   POST /deliveries/discard/preview {"filter":FILTER} -> {"count","in_flight","as_of"}: of those that
 *                              are open (pending, retrying, held) how many, and sent just now
 *   POST /deliveries/discard   {"filter":FILTER,"note"} -> 202, the job. What is in flight ends: that
 *                              attempt is recorded, and is the last
 *
 * FILTER, in the query or as members of "filter": subscription ({ref}), id (dlv_… or event id),
 * event_id, type, cause, status ("503" or "5xx"), outcome, state, job, since, until, min_attempts,
 * max_attempts, contains, limit, cursor, order ("oldest" or "newest" first); "all":true where nothing
 * else is given and something changes. Up to state, several values (repeated, or an array) mean any
 * of them. Every spelling is the CLI's. Lists, counts and summaries that were given ids say "unmatched":
 * those of them that are nobody's here.
 *
 * contains (bytes of the payload, as they stand; only to look) opens one sealed payload after the
 * other: such an answer may be short, or partial, and still have a next_cursor. */
#ifndef ENGINE_API_H
#define ENGINE_API_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Of a request on the socket: an exported letter in one line, whose payload is the largest that an outbox
 * may be allowed, 16 MiB, as base64, and then some. */
#define API_BODY_MAX_BYTES ((size_t)32 << 20)
/* Where they are given at all (0: no limit, the profile's timeout). */
#define API_RATE_MIN_PER_S 0.001
#define API_RATE_MAX_PER_S 1e6
#define API_CONCURRENCY_MAX 1024
#define API_TIMEOUT_MIN_MS 10
#define API_TIMEOUT_MAX_MS 600000
/* "for_seconds" of a pause, and of a level of the log; left out: until somebody ends it. */
#define API_FOR_MIN_MS 1
#define API_FOR_MAX_MS (INT64_C(366) * 86400000)
#define API_LOG_FOR_MAX_MS (INT64_C(30) * 86400000)
#include "engine/changes.h"
#include "engine/intake.h"
#include "engine/outbox.h"
#include "policy/conf.h"
#include "store/backend.h"

struct api_request {
    const char *method, *path, *query; /* query without '?', may be NULL */
    const void *body;
    size_t body_bytes;
    const char *actor;          /* "uid:1000 ana" */
    const char *correlation_id; /* X-Correlation-ID, or NULL: one is made */
};
struct api_response {
    int status;
    const char *content_type; /* constant */
    char next_cursor[64];     /* "" or X-Next-Cursor */
    char correlation_id[129];
    struct buf body;
    struct changes changes;
};
struct api_lane { /* a subscription that has something in flight, or whose endpoint is down */
    int64_t sub;
    int in_flight;
    int64_t
        probe_ms; /* wall; when its breaker lets the next probe go; 0: it is closed, or probing */
};
/* What only the running loop knows, as of the request; NULL with the daemon stopped. */
struct api_live {
    long pid;
    int64_t started_ms; /* wall */
    bool ready, draining;
    int in_flight_limit;
    const int64_t *sending; /* the numbers of those in flight, sorted; for routes that show them */
    size_t sending_n;
    double delivered_per_s; /* over the last ten seconds */
    int64_t config_loaded_ms;
    const char *config_file; /* absolute */
    bool may_reload;
    int64_t log_until_ms; /* store clock: the log's level is another one until then; 0: it is not */
    int64_t config_reloads,
        config_failed_ms; /* how many were taken over; the last one was not: when */
    /* For routes that show them (api_route_shows_lanes): */
    int in_flight, in_flight_retrying, breakers_open; /* retrying: of those, not the first try */
    struct api_lane *lanes;                           /* in order of sub */
    size_t lanes_n;
    struct outbox_state *outboxes;
    size_t outboxes_n;
    int64_t log_bytes;
    struct traffic attempts; /* since the start */
};
struct api {
    const struct conf *conf;
    struct intake *intake;       /* the writing thread's; handlers that only read do not touch it */
    const struct api_live *live; /* NULL: no daemon */
    int64_t slice_us;            /* what writes in slices works so long at a time; 0: to its end */
};

struct api_route;
/* NULL: none; *allowed then says whether the path exists with another method (405). */
const struct api_route *api_route_find(const char *method, const char *path, bool *allowed);
bool api_route_writes(const struct api_route *r);
bool api_route_ingests(const struct api_route *r);          /* it brings events */
bool api_route_is_patient(const struct api_route *r);       /* one of many: STORE_PATIENT */
bool api_route_shows_deliveries(const struct api_route *r); /* wants api_live's sending */
bool api_route_shows_lanes(const struct api_route *r); /* wants api_live's lanes and outboxes */
const char *api_route_name(const struct api_route *r); /* "POST /api/v1/events": for logs */
const struct api_route *api_route_at(size_t i);        /* the whole table, row by row; NULL: end */

void api_response_init(struct api_response *resp);
void api_response_fini(struct api_response *resp);
/* Runs the handler over b, inside the caller's transaction. Fills resp in every case. Returns OK,
 * or a code after which the caller must undo (4xx answers too); ERR_IO and the like: the store has
 * failed (status 500 or 507). */
enum err_code api_handle(const struct api *api, const struct api_route *route, struct backend *b,
                         const struct api_request *req, struct api_response *resp);
/* The same in two halves: the first, for the list reader, counts what may be a million letters; the
 * second, for the writer, judges again what may have changed meanwhile and writes. A plan is what the
 * first one found: plain data that goes from thread to thread. The second may write a slice and want to
 * be called again, in a transaction of its own. api_handle runs all in one go. */
struct api_plan;
bool api_route_plans(const struct api_route *r);
/* OK with *out NULL: resp is the answer already (a dry run). */
enum err_code api_plan_make(const struct api *api, const struct api_route *route, struct backend *b,
                            const struct api_request *req, struct api_response *resp,
                            struct api_plan **out);
enum err_code api_plan_write(const struct api *api, const struct api_route *route,
                             struct backend *b, const struct api_request *req,
                             struct api_plan *plan, struct api_response *resp);
bool api_plan_goes_on(const struct api_plan *p); /* after a write: there is more, and no answer */
void api_plan_free(struct api_plan *p);
/* Fills resp with the error object. */
void api_fail(struct api_response *resp, int status, const char *code, const char *target,
              const char *message);

#endif
