/* engine/api_impl.h: what the api_*.c files share. Not for others.
 *
 *   request ─▶ api.c (route, query, body) ─▶ a handler ─▶ api_json.c, api_answer.c ─▶ response
 *                                               └─▶ api_util.c, api_filter.c, the store's operations
 *
 * A handler returns OK with resp filled, or a code after which the caller undoes: a refusal that it
 * said itself (api_refuse), or a code of the store (c->err says why), which api.c turns into an
 * error object. */
#ifndef ENGINE_API_IMPL_H
#define ENGINE_API_IMPL_H

#include <jansson.h>

#include "engine/api.h"
#include "engine/api_filter.h"
#include "engine/api_kind.h"

/* Rows of one turn of the store (house rule 9); of a list's page. */
enum { API_SLICE = 256, API_PAGE_STANDARD = 100, API_PAGE_MAX = 1000, API_NOTE_MAX = 1000 };

struct api_call;
typedef enum err_code api_handler(struct api_call *c);
struct api_call {
    const struct api *api;
    const struct api_route *route;
    struct backend *b;
    const struct backend_ops *ops;
    const struct api_request *req;
    struct api_response *resp;
    struct arena *mem;
    struct err *err;
    json_t *query;     /* object of strings; arrays where a name was repeated */
    json_t *body;      /* an object, where the route takes one (empty body: {}); else NULL */
    const char *ref;   /* the {…} of the path, decoded; NULL where the route has none */
    int64_t now_ms;    /* store clock */
    bool refused;      /* resp holds the error object already */
    bool dry_run;      /* ?dry_run=1 of a route that writes: what it does is undone after it */
    api_handler *then; /* of a route with two halves: the second one. Left NULL: nothing to write */
    void *found;       /* by the first half, in mem, for the second */
};

/* ---- api_answer.c ---- */
__attribute__((format(printf, 5, 6))) enum err_code api_refuse(struct api_call *c, int status,
                                                               const char *code, const char *target,
                                                               const char *fmt, ...);
/* An entry of the audit log; detail: a JSON object without secrets, or NULL. */
enum err_code api_audit(struct api_call *c, const char *action, const char *target,
                        const char *detail);
/* ---- api_audit.c: whose deliveries an entry is about, as the member "subscriptions" of its detail: by it
 * `audit list --target` finds the entry, and the list tells their names ---- */
/* n numbers; fewer than 0: any may be among them. */
void put_touched(struct buf *b, const int64_t *subs, int n);
/* Those of a filter as a job keeps it. */
void put_touched_by(struct api_call *c, struct buf *b, const char *filter);

/* api_fail() with the lines as its "details". */
void api_fail_lines(struct api_response *resp, int status, const char *code, const char *message,
                    const struct buf *lines);
/* The caller did this to a delivery, now: its trace tells. (What a job does, its step writes.) */
enum err_code api_deed(struct api_call *c, int64_t delivery, enum deed_kind kind);
int64_t api_new_num(struct api_call *c); /* on the writing thread */

/* ---- api_util.c: members of a body, parameters of a query ---- */
char *api_decode(struct arena *a, const char *text, size_t n, bool plus_is_blank); /* NULL: bad */
json_t *api_query_parse(struct arena *a, const char *query);                       /* NULL: bad */
bool api_param_true(const struct api_call *c, const char *name); /* 1, true, yes */
/* limit (1..1000, default 100) and cursor of a list. */
struct api_page {
    size_t limit;
    int64_t after_ms, after_num;
};
enum err_code api_page_read(struct api_call *c, struct api_page *out);
/* Refuses members of the body that are not in names[] (NULL-terminated). */
enum err_code api_members(struct api_call *c, const json_t *object, const char *const *names);
/* Absent and null leave *out alone. */
enum err_code api_member_text(struct api_call *c, const char *name, const char **out);
enum err_code api_member_number(struct api_call *c, const char *name, double min, double max,
                                double *out);
enum err_code api_member_bool(struct api_call *c, const char *name, bool *out);
enum err_code api_member_dry_run(struct api_call *c, bool *out); /* the member, or ?dry_run=1 */
/* RFC 3339, ms since 1970 as a number or in digits. */
bool api_time_of(const json_t *value, int64_t *out_ms);

/* ---- api_filter.c ---- */
enum api_filter_of {
    API_FILTER_DEAD,
    API_FILTER_LOOK, /* dead letters that are only looked at: "contains" is allowed */
    API_FILTER_DELIVERIES,
    API_FILTER_LOOK_DELIVERIES, /* the same of deliveries */
    API_FILTER_EVENTS,
    API_FILTER_ATTEMPTS
};
struct api_filter {
    struct filter f;
    bool all;      /* "all": true was said */
    bool narrows;  /* something else than limit, cursor and order was said */
    bool ids;      /* ids were said (f.ids is then never empty) */
    bool paged;    /* limit or cursor was said */
    bool limited;  /* limit was said */
    bool deleted;  /* of the named subscriptions one at least is deleted */
    int64_t *live; /* the named subscriptions that are not deleted */
    size_t live_n;
    const char *contains; /* bytes of the payload; the store knows nothing of it (api_look.c,
                           * api_event_look.c) */
};
/* object: of strings (a query) or of JSON's own types (a body). *target: the member at fault. */
enum err_code api_filter_read(struct backend *b, const json_t *object, enum api_filter_of of,
                              int64_t now_ms, struct arena *a, struct api_filter *out,
                              const char **target, struct err *err);
/* The same for a handler; its refusals are said: 404 for an unknown subscription, else 422. */
enum err_code api_filter_of_call(struct api_call *c, const json_t *object, enum api_filter_of of,
                                 struct api_filter *out);
/* As JSON that api_filter_read accepts again: names and times are resolved. */
void api_filter_write(const struct api_filter *f, const char *name, struct buf *out);
/* Puts "unmatched": those ids of the query, or of the body's "filter", that are nobody's here. Nothing where none were given. */
enum err_code put_unmatched(struct api_call *c, const struct api_filter *f, enum api_filter_of of);

/* ---- api_json.c: members. Each puts the comma before itself. ---- */
void put_name(struct buf *b, const char *name);                   /* a value of any kind follows */
void put_open(struct buf *b, const char *name, char bracket);     /* name NULL: in an array */
void put_str(struct buf *b, const char *name, const char *value); /* NULL: null */
void put_int(struct buf *b, const char *name, int64_t value);
void put_int_or_null(struct buf *b, const char *name, int64_t value); /* 0: null */
void put_bool(struct buf *b, const char *name, bool value);
void put_real(struct buf *b, const char *name, double value); /* 0: null */
void put_number(struct buf *b, const char *name, double value);
void put_null(struct buf *b, const char *name);
void put_time(struct buf *b, const char *name, int64_t ms);                    /* 0: null */
void put_id(struct buf *b, const char *name, const char *prefix, int64_t num); /* 0: null */
void put_seconds(struct buf *b, const char *name, int64_t us);                 /* < 0: null */
void put_raw(struct buf *b, const char *name, const char *bytes, size_t n);
/* name, or name_base64 where the bytes are no text (or hold a NUL); NULL bytes: null. */
void put_bytes(struct buf *b, const char *name, const void *bytes, size_t n);
void put_sha256(struct buf *b, const char *name, const void *bytes, size_t n); /* the same */
void api_cursor_write(char out[64], int64_t ms, int64_t num);
bool api_cursor_read(const char *text, int64_t *ms, int64_t *num);
/* The envelope of a list: {"items":[ … ],"next_cursor":…}; its end makes it the answer (200, OK). */
void put_list_begin(struct api_call *c);
enum err_code put_list_end(struct api_call *c, bool more, int64_t ms, int64_t num);
void put_cursor(struct api_call *c, bool more, int64_t ms, int64_t num); /* "next_cursor" alone */

/* ---- api_json.c: objects ---- */
void render_subscription(struct buf *b, const struct subscription *s, int64_t now_ms,
                         const char *secret);                 /* no last brace */
void put_health(struct buf *b, const struct subscription *s); /* last_success_at … failing_since */
void render_accepted(struct buf *b, const struct intake_result *r); /* of POST /events */
void render_event(struct buf *b, const char *name, const struct event_rec *e);
void render_payload(struct buf *b, const struct event_rec *e); /* payload or payload_base64 */
void render_delivery(struct buf *b, const char *name, const struct delivery *d); /* no last brace */
void render_delivery_item(struct buf *b, const struct delivery *d);
void render_attempt(struct buf *b, const struct attempt *a);
void render_attempt_found(struct buf *b, const struct attempt_found *x); /* an item of the list */
void render_letter(struct buf *b, const struct dead_letter *l);          /* an item of the list */
struct egress_pause; /* waiting: deliveries that would be sent otherwise */
void render_egress(struct buf *b, const char *name, const struct egress_pause *p, int64_t waiting);
/* What the subscription is doing now; NULL: it is unknown. The members, and an object of them. */
void put_sub_now(struct buf *b, const struct subscription *s); /* state … failing_since */
void render_subscription_now(struct buf *b, const struct subscription *s);

/* ---- api_job_json.c: a job is more than its row: what its parts and deliveries say is read ---- */
enum err_code render_job(struct api_call *c, const struct job *j, bool whole); /* not: for a list */
/* It stopped, and something of it is left to send. Nothing is where others have sent its letters since, or
 * purged them: it is nobody's to act upon any more. */
enum err_code job_resumable(struct api_call *c, const struct job *j, bool *out);
enum err_code job_answer(struct api_call *c, const struct job *j, int status);
/* The member "options", of a preview too. */
void render_job_options(struct buf *b, const struct job *j);

/* ---- api_sub_look.c ---- */
/* Why it was brought into its state, by that action; NULL: nobody said. */
enum err_code sub_state_note(struct api_call *c, const struct subscription *s, const char *action,
                             const char **note);

/* ---- api_in_the_way.c: another job that is at work on the same letters ---- */
/* Says so: 409. */
enum err_code job_in_the_way(struct api_call *c, int64_t job, const char *subscription);
/* The members "blocked_by…": null and 0 of job 0. */
enum err_code put_in_the_way(struct api_call *c, int64_t job);
struct on_sub {
    int64_t sub, job; /* job: in the way there; 0: none */
};
/* Replays (copies too) that are not through with the letters of these yet; subs in order, their jobs 0.
 * *any: one that is not through with somebody's. */
enum err_code replays_on(struct api_call *c, struct on_sub *subs, size_t n, int64_t *any);
/* Purges that would still take letters of these. One that is known already stays. */
enum err_code purges_on(struct api_call *c, struct on_sub *subs, size_t n);

/* ---- api_purge.c: jobs that deliver nothing are asked for ---- */
enum err_code api_member_note(struct api_call *c, const char **note);
/* Puts the job, number, actor and all, and an entry of the audit log. */
enum err_code api_job_make(struct api_call *c, struct job *j, const char *action);
enum err_code api_job_made(struct api_call *c,
                           const struct job *j); /* 202; the runner looks at it */

/* ---- api_purge_look.c ---- */
/* The answer to whoever asks what a purge of f would do. until_ms: they can be restored so long. */
enum err_code purge_look(struct api_call *c, const struct api_filter *f, int64_t until_ms);
/* The letters of f, whose they are (in order of sub), and replays on them. More subscriptions than can be
 * told apart: *subs_n is 0. *any: as in replays_on(). */
enum err_code purge_count(struct api_call *c, const struct filter *f, struct dead_sums *sums,
                          struct on_sub **subs, size_t *subs_n, int64_t *any);

/* ---- api_replay.c ---- */
enum err_code api_member_rate(struct api_call *c, double *out); /* rate_per_second; null: 0 */

/* ---- api_deliveries.c ---- */
void delivery_see(const struct api_call *c, struct delivery *d); /* in flight, where it is so now */
/* By its id, or its event's where that has only one; what is refused is said. */
enum err_code delivery_of_ref(struct api_call *c, struct delivery *d);

/* ---- api_look.c ---- */
bool letter_contains(const struct dead_letter *l, const char *text); /* text NULL: true */

/* ---- api_dead.c: of the {…} of the path, a delivery's id or an event's that has one letter ---- */
enum err_code letter_of_ref(struct api_call *c, struct dead_letter *l); /* its refusals are said */
/* Says why there is no such letter: 404. num: the delivery's; 0: ref is an event's id. */
enum err_code letter_not_dead(struct api_call *c, const char *ref, int64_t num);

/* ---- api_near.c ---- */
/* "; did you mean 'acme'?" in the arena, or "" */
const char *api_near_sub(struct backend *b, const char *ref, struct arena *a);
/* What ref is of instead ("'job_…' is a job, not a subscription: …"), by its form or as somebody's
 * name; NULL: of nothing. */
const char *api_other(struct backend *b, enum api_kind wanted, const char *ref, struct arena *a);
/* The same of the first id in a body's filter. */
const char *api_other_asked(struct api_call *c, enum api_kind wanted);
/* What is said where nobody has that id or name: that, or the nearest name ("no subscription
 * 'acne'; did you mean 'acme'?"). */
const char *api_nobody(struct backend *b, enum api_kind wanted, const char *ref, struct arena *a);

/* ---- api_scan.c ---- */
struct scanned {
    const char *data, *attributes; /* NULL: no such member */
    size_t data_n, attributes_n;
    size_t data_seen, attributes_seen; /* how often */
    struct buf rest;                   /* the object with both replaced by null */
};
/* The objects of a body that is one object or an array of them. body is legal JSON. -1: something
 * else; -2: more than max. Each of out[] must be finished by the caller. */
int scan_events(const char *body, size_t n, struct scanned *out, int max, bool *array);

/* ---- api_wait.c ---- */
struct egress_pause;
struct delivery_wait {
    const char *reason;
    int64_t until_ms;       /* it ends by itself then, or may (a probe); 0: not known */
    char behind[140];       /* the event that goes first, by its ordering key */
    const char *state_note; /* why the subscription is so, or egress paused */
};
bool delivery_goes_on(const struct delivery *d); /* as delivery_see() left it */
enum err_code delivery_waits(struct api_call *c, const struct egress_pause *egress,
                             const struct delivery *d, struct delivery_wait *w);

/* ---- api_events.c ---- */
/* An event by its own id, or else by a delivery's; what is refused is said. */
enum err_code event_of_ref(struct api_call *c, bool payload, struct event_rec *e);
/* A request opens so many payloads at most, and for so long: the page is short then, and has a cursor. */
struct opening {
    const char *text; /* what is looked for */
    int64_t until_us; /* of clock_mono_us() */
    size_t left;
    char event_id[140]; /* the last one, whose other deliveries follow it for the most part */
    bool found;
};
struct opening opening_begin(const char *text);
bool opening_may(const struct opening *o);
/* Is the text in the event's payload? */
enum err_code opening_look(struct api_call *c, struct opening *o, const char *event_id, bool *yes);

/* ---- handlers ---- */
api_handler h_events_post, h_events_list, h_events_get, h_events_trace, h_event_types, h_event_ids;
api_handler h_partners_post, h_partners_list;
api_handler h_subs_post, h_subs_list, h_subs_get, h_subs_patch, h_subs_delete;
api_handler h_subs_pause, h_subs_resume, h_subs_enable, h_subs_disable, h_subs_rotate, h_subs_test;
api_handler h_deliveries_list, h_deliveries_get, h_sub_deliveries;
api_handler h_deliveries_discard, h_discard_preview;
api_handler h_attempts_of, h_attempts_list;
api_handler h_dead_list, h_dead_count, h_dead_summary, h_dead_get, h_dead_export, h_export_begin,
    h_dead_import;
api_handler h_backup_told;
api_handler h_dead_purge, h_dead_restore, h_dead_delete, h_dead_patch;
api_handler h_resend_post, h_resend_preview;
api_handler h_replays_post, h_replays_preview, h_dead_replay_one, h_jobs_list, h_jobs_get;
api_handler h_jobs_cancel, h_jobs_pause, h_jobs_resume, h_jobs_step, h_jobs_rate;
api_handler h_rejects_list, h_rejects_get, h_rejects_delete, h_rejects_retry;
api_handler h_config_get, h_config_reload, h_log_get, h_log_set;
api_handler h_retention_get;
api_handler h_egress_get, h_egress_pause, h_egress_resume;
api_handler h_audit_list, h_status, h_stats, h_sub_stats;

/* api_subscriptions.c; ERR_NOT_FOUND is said: 404 */
enum err_code sub_of_ref(struct api_call *c, struct subscription *s);
/* Not a deleted one, nor one that a job made for its copies: an operator may change and try it. */
enum err_code sub_live_of_ref(struct api_call *c, struct subscription *s);
/* api_sub_input.c: a URL, judged by the one parser and by the egress rules; in c->mem. */
enum err_code api_member_url(struct api_call *c, const char *member, const char **out);
/* the members of a body into *s (url, events, …), judged. create: url and events
 * are required. */
enum err_code sub_input(struct api_call *c, struct subscription *s, bool create);
enum err_code sub_profile_secrets(struct api_call *c, const struct subscription *s);

#endif
