/* engine/api.c: the table of routes and the dispatch. What each route does stands in the other api_*.c
 * files; what it takes and gives, in api.h. */
#include "engine/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/dice.h"
#include "base/text.h"
#include "engine/api_impl.h"

enum {
    ROUTE_READS = 0,
    ROUTE_WRITES = 1,
    ROUTE_JSON = 2,
    ROUTE_INGESTS = 4,
    ROUTE_DELIVERIES = 8,
    ROUTE_LIVE = 16,
    ROUTE_PLANS = 32, /* the handler looks, and says who writes (api_call's then) */
    ROUTE_PATIENT = 64
};

struct api_route {
    const char *name; /* "METHOD /path", with one {…} at most */
    unsigned flags;
    api_handler *handler;
};
#define V1 " /api/v1"
#define WRITES_JSON (ROUTE_WRITES | ROUTE_JSON)
#define PLANS_JSON (WRITES_JSON | ROUTE_PLANS)
/* An endpoint begins anew: what the lanes have counted of it so far comes first. */
#define ANEW_JSON (WRITES_JSON | ROUTE_LIVE)
static const struct api_route ROUTES[] = {
    {"POST" V1 "/events", ROUTE_WRITES | ROUTE_INGESTS, h_events_post},
    {"GET" V1 "/events", ROUTE_READS, h_events_list},
    {"GET" V1 "/events/{id}", ROUTE_DELIVERIES, h_events_get},
    {"GET" V1 "/events/{id}/trace", ROUTE_DELIVERIES | ROUTE_LIVE, h_events_trace},
    {"GET" V1 "/event-types", ROUTE_READS, h_event_types},
    {"GET" V1 "/event-ids", ROUTE_READS, h_event_ids},
    {"POST" V1 "/partners", WRITES_JSON, h_partners_post},
    {"GET" V1 "/partners", ROUTE_READS, h_partners_list},
    {"POST" V1 "/subscriptions", WRITES_JSON, h_subs_post},
    {"GET" V1 "/subscriptions", ROUTE_LIVE, h_subs_list},
    {"GET" V1 "/subscriptions/{id}", ROUTE_LIVE, h_subs_get},
    {"PATCH" V1 "/subscriptions/{id}", ANEW_JSON, h_subs_patch},
    {"DELETE" V1 "/subscriptions/{id}", ROUTE_WRITES, h_subs_delete},
    {"POST" V1 "/subscriptions/{id}/pause", WRITES_JSON, h_subs_pause},
    {"POST" V1 "/subscriptions/{id}/resume", ANEW_JSON, h_subs_resume},
    {"POST" V1 "/subscriptions/{id}/enable", ANEW_JSON, h_subs_enable},
    {"POST" V1 "/subscriptions/{id}/disable", WRITES_JSON, h_subs_disable},
    {"POST" V1 "/subscriptions/{id}/test", WRITES_JSON, h_subs_test},
    {"POST" V1 "/subscriptions/{id}/rotate-secret", WRITES_JSON, h_subs_rotate},
    {"GET" V1 "/subscriptions/{id}/stats", ROUTE_LIVE, h_sub_stats},
    {"GET" V1 "/subscriptions/{id}/deliveries", ROUTE_DELIVERIES, h_sub_deliveries},
    {"GET" V1 "/deliveries", ROUTE_DELIVERIES, h_deliveries_list},
    {"POST" V1 "/deliveries/discard", WRITES_JSON, h_deliveries_discard},
    {"POST" V1 "/deliveries/discard/preview", ROUTE_DELIVERIES | ROUTE_JSON, h_discard_preview},
    {"GET" V1 "/deliveries/{id}", ROUTE_DELIVERIES | ROUTE_LIVE, h_deliveries_get},
    {"GET" V1 "/deliveries/{id}/attempts", ROUTE_READS, h_attempts_of},
    {"POST" V1 "/deliveries/resend", PLANS_JSON | ROUTE_LIVE, h_resend_post},
    {"POST" V1 "/deliveries/resend/preview", ROUTE_JSON | ROUTE_LIVE, h_resend_preview},
    {"GET" V1 "/attempts", ROUTE_READS, h_attempts_list},
    {"GET" V1 "/dead-letters", ROUTE_READS, h_dead_list},
    {"GET" V1 "/dead-letters/count", ROUTE_READS, h_dead_count},
    {"GET" V1 "/dead-letters/summary", ROUTE_READS, h_dead_summary},
    {"GET" V1 "/dead-letters/export", ROUTE_READS | ROUTE_PATIENT, h_dead_export},
    {"POST" V1 "/dead-letters/export", WRITES_JSON, h_export_begin},
    {"POST" V1 "/dead-letters/import", ROUTE_WRITES | ROUTE_PLANS | ROUTE_PATIENT, h_dead_import},
    {"POST" V1 "/dead-letters/purge", PLANS_JSON, h_dead_purge},
    {"POST" V1 "/dead-letters/restore", PLANS_JSON, h_dead_restore},
    {"GET" V1 "/dead-letters/{id}", ROUTE_READS, h_dead_get},
    {"PATCH" V1 "/dead-letters/{id}", WRITES_JSON, h_dead_patch},
    {"DELETE" V1 "/dead-letters/{id}", ROUTE_WRITES, h_dead_delete},
    {"POST" V1 "/dead-letters/{id}/replay", PLANS_JSON | ROUTE_LIVE, h_dead_replay_one},
    {"POST" V1 "/replays", PLANS_JSON | ROUTE_LIVE, h_replays_post},
    {"POST" V1 "/replays/preview", ROUTE_JSON | ROUTE_LIVE, h_replays_preview},
    {"GET" V1 "/jobs", ROUTE_READS, h_jobs_list},
    {"GET" V1 "/jobs/{id}", ROUTE_READS, h_jobs_get},
    {"POST" V1 "/jobs/{id}/cancel", WRITES_JSON, h_jobs_cancel},
    {"POST" V1 "/jobs/{id}/pause", WRITES_JSON, h_jobs_pause},
    {"POST" V1 "/jobs/{id}/resume", WRITES_JSON, h_jobs_resume},
    {"POST" V1 "/jobs/{id}/rate", WRITES_JSON, h_jobs_rate},
    {"POST" V1 "/jobs/{id}/step", WRITES_JSON, h_jobs_step},
    {"GET" V1 "/outbox-rejects", ROUTE_READS, h_rejects_list},
    {"GET" V1 "/outbox-rejects/{id}", ROUTE_READS, h_rejects_get},
    {"DELETE" V1 "/outbox-rejects/{id}", ROUTE_WRITES, h_rejects_delete},
    {"POST" V1 "/outbox-rejects/{id}/retry", WRITES_JSON, h_rejects_retry},
    {"GET" V1 "/config", ROUTE_READS, h_config_get},
    {"POST" V1 "/config/reload", WRITES_JSON, h_config_reload},
    {"GET" V1 "/log", ROUTE_READS, h_log_get},
    {"POST" V1 "/log", WRITES_JSON, h_log_set},
    {"GET" V1 "/retention", ROUTE_READS, h_retention_get},
    {"GET" V1 "/egress", ROUTE_READS, h_egress_get},
    {"POST" V1 "/egress/pause", WRITES_JSON, h_egress_pause},
    {"POST" V1 "/egress/resume", WRITES_JSON, h_egress_resume},
    {"GET" V1 "/audit", ROUTE_READS, h_audit_list},
    {"POST" V1 "/backups", WRITES_JSON, h_backup_told},
    {"GET" V1 "/status", ROUTE_LIVE, h_status},
    {"GET" V1 "/stats", ROUTE_LIVE, h_stats},
};
enum { ROUTES_N = sizeof ROUTES / sizeof ROUTES[0] };

/* ---- routes ---- */

/* Does the path match the route's, whose {id} stands for one segment? *ref: that segment, or NULL. */
static bool path_matches(const struct api_route *r, const char *path, const char **ref,
                         size_t *ref_n)
{
    const char *pattern = strchr(r->name, ' ') + 1;
    *ref = NULL;
    *ref_n = 0;
    while (*pattern) {
        if (*pattern == '{') {
            *ref = path;
            *ref_n = strcspn(path, "/");
            if (*ref_n == 0)
                return false;
            path += *ref_n;
            pattern = strchr(pattern, '}') + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

const struct api_route *api_route_find(const char *method, const char *path, bool *allowed)
{
    const char *ref;
    size_t n = strlen(method), ref_n;
    *allowed = false;
    for (size_t i = 0; i < ROUTES_N; i++) {
        if (!path_matches(&ROUTES[i], path, &ref, &ref_n))
            continue;
        if (!strncmp(ROUTES[i].name, method, n) && ROUTES[i].name[n] == ' ')
            return &ROUTES[i];
        *allowed = true;
    }
    return NULL;
}

bool api_route_writes(const struct api_route *r)
{
    return (r->flags & ROUTE_WRITES) != 0;
}

bool api_route_plans(const struct api_route *r)
{
    return (r->flags & ROUTE_PLANS) != 0;
}

bool api_route_is_patient(const struct api_route *r)
{
    return (r->flags & ROUTE_PATIENT) != 0;
}

bool api_route_ingests(const struct api_route *r)
{
    return (r->flags & ROUTE_INGESTS) != 0;
}

bool api_route_shows_deliveries(const struct api_route *r)
{
    return (r->flags & ROUTE_DELIVERIES) != 0;
}

bool api_route_shows_lanes(const struct api_route *r)
{
    return (r->flags & ROUTE_LIVE) != 0;
}

const char *api_route_name(const struct api_route *r)
{
    return r->name;
}

const struct api_route *api_route_at(size_t i)
{
    return i < ROUTES_N ? &ROUTES[i] : NULL;
}

/* ---- dispatch ---- */

/* A caller's id is taken as it is where it can stand in a header and a log line. */
static bool correlation_id_fits(const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n == 0 || n > 128)
        return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f || text[i] == '"' || text[i] == '\\')
            return false;
    return true;
}

static void correlation_id_set(struct api_response *resp, const char *given)
{
    if (correlation_id_fits(given)) {
        text_copy(resp->correlation_id, sizeof resp->correlation_id, given);
        return;
    }
    unsigned char random[12];
    dice_bytes(random, sizeof random);
    memcpy(resp->correlation_id, "req_", 4);
    text_hex(resp->correlation_id + 4, random, sizeof random);
}

static enum err_code body_parse(struct api_call *c)
{
    json_error_t why;
    if (c->req->body_bytes == 0) {
        c->body = json_object();
        return c->body ? OK : fail(c->err, ERR_NOMEM, "no memory for a request");
    }
    c->body = json_loadb(c->req->body, c->req->body_bytes, JSON_REJECT_DUPLICATES, &why);
    if (!c->body)
        return api_refuse(c, 400, "invalid_json", NULL, "the body is not JSON: %s (line %d)",
                          why.text, why.line);
    if (!json_is_object(c->body))
        return api_refuse(c, 400, "invalid_json", NULL, "the body is not a JSON object");
    return OK;
}

/* What a handler left to us to say: the store's own answers and failures. */
static void store_answer(struct api_call *c, enum err_code rc)
{
    static const struct {
        enum err_code rc;
        int status;
    } rows[] = {{ERR_NOT_FOUND, 404}, {ERR_EXISTS, 409}, {ERR_STALE, 409}, {ERR_INVALID, 422},
                {ERR_BUSY, 503},      {ERR_DENIED, 403}, {ERR_FULL, 507}};
    int status = 500;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].rc == rc)
            status = rows[i].status;
    api_fail(c->resp, status, status == 507 ? "disk_full" : err_code_name(rc), NULL, c->err->text);
}

static enum err_code call_prepare(struct api_call *c)
{
    const char *ref;
    size_t ref_n;
    if (path_matches(c->route, c->req->path, &ref, &ref_n) && ref) {
        c->ref = api_decode(c->mem, ref, ref_n, false);
        if (!c->ref)
            return api_refuse(c, 400, "invalid_path", NULL,
                              "the path is not percent-encoded UTF-8");
    }
    c->query = api_query_parse(c->mem, c->req->query);
    if (!c->query)
        return api_refuse(c, 400, "invalid_query", NULL,
                          "the query is not percent-encoded name=value pairs in UTF-8");
    c->dry_run = api_route_writes(c->route) && api_param_true(c, "dry_run");
    return c->route->flags & ROUTE_JSON ? body_parse(c) : OK;
}

static struct api_call call_of(const struct api *api, const struct api_route *route,
                               struct backend *b, const struct api_request *req,
                               struct api_response *resp, struct arena *mem, struct err *err)
{
    return (struct api_call){.api = api,
                             .route = route,
                             .b = b,
                             .ops = b->ops,
                             .req = req,
                             .resp = resp,
                             .mem = mem,
                             .err = err,
                             .now_ms = clock_store_ms()};
}

/* What both halves read. */
struct api_plan {
    struct arena mem;
    json_t *query, *body;
    const char *ref;
    api_handler *then;
    void *found;
};

bool api_plan_goes_on(const struct api_plan *p)
{
    return p->then;
}

void api_plan_free(struct api_plan *p)
{
    if (!p)
        return;
    json_decref(p->query);
    json_decref(p->body);
    arena_fini(&p->mem);
    free(p);
}

/* A dry run is judged and written like any other, answered, and undone: what it says cannot differ from
 * what would be. (A handler that does so much that it is better counted looks at dry_run itself.) */
static enum err_code undone(struct api_call *c)
{
    struct buf *body = &c->resp->body;
    if (body->len > 2 && body->data[body->len - 1] == '}' && body->data[0] == '{') {
        body->len--; /* the object is open again */
        buf_adds(body, ",\"dry_run\":true}");
    }
    if (c->resp->status == 201 || c->resp->status == 202)
        c->resp->status = 200;
    return fail(c->err, ERR_UNDONE, "a dry run");
}

/* The end of every call: what went wrong is said. */
static enum err_code call_end(struct api_call *c, enum err_code rc)
{
    if (rc == OK && c->resp->body.failed)
        rc = api_refuse(c, 500, "too_large", NULL, "the answer is too large: ask for less");
    if (rc != OK && !c->refused)
        store_answer(c, rc);
    if (rc == OK && c->dry_run)
        rc = undone(c);
    if (rc != OK)
        changes_clear(&c->resp->changes);
    return rc;
}

/* What intake read in this transaction is undone with it. */
static enum err_code writer_end(struct api_call *c, enum err_code rc)
{
    rc = call_end(c, rc);
    if (rc != OK && api_route_writes(c->route))
        intake_forget_routes(c->api->intake);
    return rc;
}

enum err_code api_plan_make(const struct api *api, const struct api_route *route, struct backend *b,
                            const struct api_request *req, struct api_response *resp,
                            struct api_plan **out)
{
    struct err err = {0};
    struct api_plan *p = calloc(1, sizeof *p);
    *out = NULL;
    correlation_id_set(resp, req->correlation_id);
    if (!p) {
        api_fail(resp, 500, "internal", NULL, "no memory for a request");
        return ERR_NOMEM;
    }
    arena_init(&p->mem);
    struct api_call c = call_of(api, route, b, req, resp, &p->mem, &err);
    enum err_code rc = call_prepare(&c);
    if (rc == OK)
        rc = route->handler(&c);
    rc = call_end(&c, rc);
    p->query = c.query;
    p->body = c.body;
    p->ref = c.ref;
    p->then = c.then;
    p->found = c.found;
    if (rc == OK && p->then)
        *out = p;
    else
        api_plan_free(p);
    return rc;
}

enum err_code api_plan_write(const struct api *api, const struct api_route *route,
                             struct backend *b, const struct api_request *req,
                             struct api_plan *plan, struct api_response *resp)
{
    struct err err = {0};
    struct api_call c = call_of(api, route, b, req, resp, &plan->mem, &err);
    c.query = plan->query;
    c.body = plan->body;
    c.ref = plan->ref;
    c.found = plan->found;
    enum err_code rc = intake_prime(api->intake, b, &err);
    if (rc == OK)
        rc = plan->then(&c);
    plan->then = rc == OK ? c.then : NULL;
    return writer_end(&c, rc);
}

static enum err_code plan_and_write(const struct api *api, const struct api_route *route,
                                    struct backend *b, const struct api_request *req,
                                    struct api_response *resp)
{
    struct api_plan *plan;
    enum err_code rc = api_plan_make(api, route, b, req, resp, &plan);
    while (rc == OK && plan && plan->then)
        rc = api_plan_write(api, route, b, req, plan, resp);
    api_plan_free(plan);
    return rc;
}

enum err_code api_handle(const struct api *api, const struct api_route *route, struct backend *b,
                         const struct api_request *req, struct api_response *resp)
{
    struct arena mem;
    struct err err = {0};
    if (api_route_plans(route))
        return plan_and_write(api, route, b, req, resp);
    arena_init(&mem);
    struct api_call c = call_of(api, route, b, req, resp, &mem, &err);
    correlation_id_set(resp, req->correlation_id);
    enum err_code rc = OK;
    if (api_route_writes(route))
        rc = intake_prime(api->intake, b, &err);
    if (rc == OK)
        rc = call_prepare(&c);
    if (rc == OK)
        rc = route->handler(&c);
    rc = writer_end(&c, rc);
    json_decref(c.query);
    json_decref(c.body);
    arena_fini(&mem);
    return rc;
}
