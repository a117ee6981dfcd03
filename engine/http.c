/* engine/http.c: requests of both listeners: routed, copied, run on the store's threads, answered.
 * One request per connection. */
#include "engine/http.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/http_answer.h"
#include "engine/http_conn.h"

enum { TCP_BODY_MAX = 1 << 20 };
/* Bodies of requests that wait, together. How many may wait their connections bound. */
#define HELD_BYTES_MAX (4 * API_BODY_MAX_BYTES)

/* One request that waits for the store. Owned by the store between submit and done. */
struct held {
    struct http *http;             /* NULL: http is gone, nobody waits any more */
    struct evhttp_request *req;    /* NULL likewise */
    const struct api_route *route; /* NULL: /metrics */
    struct api api;
    struct api_live live;
    int64_t *sending; /* what live points to */
    struct api_request request;
    struct api_plan *plan; /* NULL: no first half, or it is not over */
    struct api_response response;
    struct metrics_now now;
    int64_t started_us;
    char *copy; /* what request points to */
    char actor[160];
    bool by_cli;    /* webhookctl asks */
    struct err err; /* of the store, while the loops hear what changed */
    struct held *prev, *next;
};

struct http {
    struct event_base *base;
    struct store *store;
    struct intake *intake;
    struct metrics *metrics;
    struct http_hooks hooks;
    struct http_listener *unix_listener, *tcp_listener;
    char *socket_path;
    struct held *held;
    size_t held_bytes;
    bool draining;
};

/* ---- held requests ---- */
static void held_free(struct held *h)
{
    if (h->http != NULL) {
        if (h->prev != NULL)
            h->prev->next = h->next;
        else
            h->http->held = h->next;
        if (h->next != NULL)
            h->next->prev = h->prev;
        h->http->held_bytes -= h->request.body_bytes;
    }
    api_plan_free(h->plan);
    api_response_fini(&h->response);
    free(h->copy);
    free(h->sending);
    free(h->live.lanes);
    free(h->live.outboxes);
    free(h);
}

static struct held *held_new(struct http *http, struct evhttp_request *req)
{
    struct held *h = calloc(1, sizeof *h);

    if (h == NULL)
        return NULL;
    h->http = http;
    h->req = req;
    h->started_us = clock_mono_us();
    api_response_init(&h->response);
    h->api = (struct api){
        .conf = http->hooks.conf(http->hooks.arg), .intake = http->intake, .live = &h->live};
    h->next = http->held;
    if (h->next != NULL)
        h->next->prev = h;
    http->held = h;
    return h;
}

static bool is_cli(const char *user_agent)
{
    return user_agent != NULL && strncmp(user_agent, "webhookctl/", 11) == 0;
}

/* All that the handler reads in one block: evhttp's memory belongs to the loop. The body moves. */
static bool held_copy(struct held *h, struct evhttp_request *req, const char *method)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    struct evkeyvalq *in = evhttp_request_get_input_headers(req);
    const char *texts[4] = {method, evhttp_uri_get_path(uri), evhttp_uri_get_query(uri),
                            evhttp_find_header(in, "X-Correlation-ID")};
    const char **to[4] = {&h->request.method, &h->request.path, &h->request.query,
                          &h->request.correlation_id};
    struct evbuffer *body = evhttp_request_get_input_buffer(req);
    size_t n = evbuffer_get_length(body), room = n + 1;

    for (int i = 0; i < 4; i++)
        room += texts[i] != NULL ? strlen(texts[i]) + 1 : 0;
    h->copy = malloc(room);
    if (h->copy == NULL)
        return false;
    char *at = h->copy;
    (void)evbuffer_remove(body, at, n);
    at[n] = '\0';
    h->request.body = at;
    h->request.body_bytes = n;
    h->http->held_bytes += n;
    at += n + 1;
    for (int i = 0; i < 4; i++) {
        if (texts[i] == NULL)
            continue;
        size_t len = strlen(texts[i]) + 1;
        memcpy(at, texts[i], len);
        *to[i] = at;
        at += len;
    }
    h->request.actor = h->actor;
    h->by_cli = is_cli(evhttp_find_header(in, "User-Agent"));
    return true;
}

static void plan_done(void *arg, const struct err *err, int64_t generation);

static enum err_code request_work(struct backend *b, void *arg, struct err *err)
{
    struct held *h = arg;
    enum err_code rc =
        h->plan != NULL ? api_plan_write(&h->api, h->route, b, &h->request, h->plan, &h->response)
                        : api_handle(&h->api, h->route, b, &h->request, &h->response);

    if (rc != OK)
        (void)fail(err, rc, "%s: status %d", api_route_name(h->route), h->response.status);
    return rc;
}

static enum err_code plan_work(struct backend *b, void *arg, struct err *err)
{
    struct held *h = arg;
    enum err_code rc = api_plan_make(&h->api, h->route, b, &h->request, &h->response, &h->plan);

    if (rc != OK)
        (void)fail(err, rc, "%s: status %d", api_route_name(h->route), h->response.status);
    return rc;
}

static void request_answer(void *arg)
{
    struct held *h = arg;
    struct http *http = h->http;
    const struct err *err = &h->err;

    if (err->code == OK && h->plan != NULL && api_plan_goes_on(h->plan)) {
        changes_clear(&h->response.changes);
        plan_done(h, err, 0); /* the next slice */
        return;
    }
    if (err->code != OK && err->code != ERR_UNDONE &&
        h->response.status < 400) { /* the handler was content, the commit was not */
        buf_clear(&h->response.body);
        api_fail(&h->response, err->code == ERR_FULL ? 507 : 503, "store_unavailable", NULL,
                 err->text);
    }
    if (http != NULL) {
        metrics_http_request(http->metrics, clock_mono_us() - h->started_us);
        log_debug("admin_request", "route=%s status=%d actor=%s", api_route_name(h->route),
                  h->response.status, h->actor);
        http_answer_response(h->req, &h->response);
    }
    held_free(h);
}

static void request_done(void *arg, const struct err *err, int64_t generation)
{
    struct held *h = arg;
    struct http *http = h->http;

    (void)generation;
    h->err = *err;
    if (err->code != OK || http == NULL || !api_route_writes(h->route)) {
        request_answer(h);
        return;
    }
    h->response.changes.by_cli = h->by_cli;
    http->hooks.changed(http->hooks.arg, &h->response.changes, request_answer, h);
}

/* ---- who asks ---- */
static void actor_fill(int fd, char *out, size_t room)
{
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t n = sizeof who;
    struct passwd pw, *found = NULL;
    char names[1024];

    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0) {
        (void)snprintf(out, room, "unknown");
        return;
    }
    if (getpwuid_r(who.uid, &pw, names, sizeof names, &found) == 0 && found != NULL)
        (void)snprintf(out, room, "uid:%u %s", (unsigned)who.uid, found->pw_name);
    else
        (void)snprintf(out, room, "uid:%u", (unsigned)who.uid);
}

static const char *method_of(struct evhttp_request *req)
{
    enum evhttp_cmd_type command = evhttp_request_get_command(req);

    return command == EVHTTP_REQ_GET      ? "GET"
           : command == EVHTTP_REQ_POST   ? "POST"
           : command == EVHTTP_REQ_PATCH  ? "PATCH"
           : command == EVHTTP_REQ_DELETE ? "DELETE"
           : command == EVHTTP_REQ_HEAD   ? "HEAD"
                                          : "PUT";
}

static void request_submit(void *arg);

/* The first half is over. Perhaps it was the whole answer. */
static void plan_done(void *arg, const struct err *err, int64_t generation)
{
    struct held *h = arg;

    if (err->code != OK || h->plan == NULL) {
        request_done(arg, err, generation);
        return;
    }
    if (h->http == NULL) { /* nobody waits any more */
        held_free(h);
        return;
    }
    if (h->http->draining) {
        struct evhttp_request *req = h->req;

        held_free(h);
        http_answer_fail(req, 503, "busy", "webhookd is stopping: try again");
        return;
    }
    request_submit(h);
}

/* To the store's thread; or nobody waits any more. */
static void request_submit(void *arg)
{
    struct held *h = arg;
    struct http *http = h->http;

    if (http == NULL) {
        held_free(h);
        return;
    }
    struct evhttp_request *req = h->req;
    bool plan = api_route_plans(h->route) && h->plan == NULL;
    enum store_thread thread = api_route_writes(h->route) && !plan ? STORE_WRITE : STORE_LIST;
    unsigned flags = (thread == STORE_WRITE ? STORE_GUARDED : 0) |
                     (api_route_ingests(h->route) ? STORE_INGEST : 0) |
                     (!plan && api_route_is_patient(h->route) ? STORE_PATIENT : 0);

    h->api.slice_us = store_slice_us(http->store);
    if (!store_has_room(http->store, thread) ||
        store_submit(http->store, thread, flags, plan ? plan_work : request_work,
                     plan ? plan_done : request_done, h) != OK) {
        held_free(h);
        http_answer_fail(req, 503, "busy", "the store's queue is full: try again");
    }
}

/* How all is now goes along with the request. */
static void request_with_live(void *arg)
{
    struct held *h = arg;
    struct http *http = h->http;

    if (http != NULL) {
        http->hooks.live(http->hooks.arg, &h->live);
        if (api_route_shows_deliveries(h->route))
            h->live.sending = h->sending = http->hooks.sending(http->hooks.arg, &h->live.sending_n);
        if (api_route_shows_lanes(h->route))
            http->hooks.lanes(http->hooks.arg, &h->live);
    }
    request_submit(h);
}

/* What is counted of the traffic is in the store before a route shows it. */
static unsigned wanted(const struct api_route *r)
{
    return (api_route_shows_deliveries(r) ? ASK_SENDING : 0U) |
           (api_route_shows_lanes(r) ? ASK_TRAFFIC | ASK_LANES : 0U);
}

static void unix_request(struct evhttp_request *req, void *arg)
{
    struct http *http = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    const char *method = method_of(req);
    int fd = http_conn_request_read(http->unix_listener, req);
    bool allowed = false;

    const struct api_route *route = path != NULL ? api_route_find(method, path, &allowed) : NULL;
    if (route == NULL) {
        http_answer_fail(req, allowed ? 405 : 404, allowed ? "method_not_allowed" : "not_found",
                         allowed ? "this path has other methods" : "no such path");
        return;
    }
    size_t body_bytes = evbuffer_get_length(evhttp_request_get_input_buffer(req));
    bool writes = api_route_writes(route), busy = body_bytes > HELD_BYTES_MAX - http->held_bytes;
    struct held *h = busy || (writes && http->draining) ? NULL : held_new(http, req);
    if (h == NULL || !held_copy(h, req, method)) {
        if (h != NULL)
            held_free(h);
        http_answer_fail(req, 503, "busy",
                         "too much is waiting for the store, or webhookd is stopping: try again");
        return;
    }
    h->route = route;
    actor_fill(fd, h->actor, sizeof h->actor);
    if (wanted(route) != 0)
        http->hooks.look(http->hooks.arg, wanted(route), request_with_live, h);
    else
        request_with_live(h);
}

/* ---- TCP: health and metrics ---- */
static enum err_code metrics_work(struct backend *b, void *arg, struct err *err)
{
    struct held *h = arg;

    return b->ops->counts(b, h->now.deliveries, &h->now.rejects, err);
}

static void metrics_done(void *arg, const struct err *err, int64_t generation)
{
    struct held *h = arg;
    struct http *http = h->http;

    (void)generation;
    if (http != NULL && err->code == OK) {
        struct buf text;

        http->hooks.metrics(http->hooks.arg, &h->now);
        store_stats(http->store, &h->now.store);
        buf_init(&text, 1 << 20);
        http->hooks.metrics_text(http->hooks.arg, &h->now, &text);
        http_answer(h->req, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
        buf_fini(&text);
    } else if (http != NULL) {
        http_answer_text(h->req, 503, err->text);
    }
    held_free(h);
}

static void metrics_submit(void *arg)
{
    struct held *h = arg;

    if (h->http != NULL &&
        store_submit(h->http->store, STORE_LIST, 0, metrics_work, metrics_done, h) == OK)
        return;
    if (h->http != NULL)
        http_answer_fail(h->req, 503, "busy", "the store's queue is full: try again");
    held_free(h);
}

static void ready_answer(struct http *http, struct evhttp_request *req)
{
    struct api_live live;
    struct err why;

    http->hooks.live(http->hooks.arg, &live);
    if (store_failed(http->store, &why))
        http_answer_text(req, 503, "store failed\n");
    else if (!live.ready)
        http_answer_text(req, 503, live.draining ? "draining\n" : "starting\n");
    else
        http_answer_text(req, 200, "ready\n");
}

static void tcp_request(struct evhttp_request *req, void *arg)
{
    struct http *http = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    enum evhttp_cmd_type command = evhttp_request_get_command(req);

    (void)http_conn_request_read(http->tcp_listener, req);
    path = path != NULL ? path : "";
    bool known = strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0 ||
                 strcmp(path, "/metrics") == 0;
    if (!known) {
        http_answer_fail(req, 404, "not_found",
                         "here are /healthz, /readyz and /metrics; the api is on listen.socket");
        return;
    }
    if (command != EVHTTP_REQ_GET && command != EVHTTP_REQ_HEAD) {
        http_answer_fail(req, 405, "method_not_allowed", "GET only");
        return;
    }
    if (strcmp(path, "/healthz") == 0) {
        http_answer_text(req, 200, "ok\n"); /* that the loop turned is the answer */
        return;
    }
    if (strcmp(path, "/readyz") == 0) {
        ready_answer(http, req);
        return;
    }
    struct held *h = held_new(http, req);
    if (h == NULL)
        http_answer_fail(req, 503, "busy", "out of memory: try again");
    else
        http->hooks.look(http->hooks.arg, ASK_METRICS, metrics_submit, h);
}

/* ---- life ---- */
enum err_code http_new(struct http **out, struct loop *l, const struct conf *conf,
                       struct store *store, struct intake *intake, struct metrics *m,
                       const struct http_hooks *hooks, struct err *err)
{
    struct http *http = calloc(1, sizeof *http);
    int fd;

    if (http == NULL)
        return fail(err, ERR_NOMEM, "http: out of memory");
    http->base = loop_base(l);
    http->store = store;
    http->intake = intake;
    http->metrics = m;
    http->hooks = *hooks;
    fd = http_bind_unix(conf->listen_socket, err);
    if (fd < 0)
        goto fail;
    http->socket_path = strdup(conf->listen_socket);
    http->unix_listener = http_listener_new(http->base, fd, API_BODY_MAX_BYTES, unix_request, http);
    if (http->unix_listener == NULL || http->socket_path == NULL) {
        (void)fail(err, ERR_NOMEM, "http: out of memory");
        goto fail;
    }
    if (conf->listen_http != NULL && conf->listen_http[0] != '\0') {
        fd = http_bind_tcp(conf->listen_http, err);
        if (fd < 0)
            goto fail;
        http->tcp_listener = http_listener_new(http->base, fd, TCP_BODY_MAX, tcp_request, http);
        if (http->tcp_listener == NULL) {
            (void)fail(err, ERR_NOMEM, "http: out of memory");
            goto fail;
        }
    }
    *out = http;
    return OK;

fail:
    http_free(http);
    return err->code;
}

void http_drain(struct http *http)
{
    http->draining = true;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    while (http->held != NULL) { /* the store still has them: they are freed when it answers */
        struct held *h = http->held;

        http->held = h->next;
        http_answer_fail(h->req, 503, "stopping", "webhookd is stopping: try again");
        h->http = NULL;
        h->req = NULL;
        h->prev = h->next = NULL;
    }
    http_listener_free(http->unix_listener);
    http_listener_free(http->tcp_listener);
    if (http->socket_path != NULL)
        (void)unlink(http->socket_path);
    free(http->socket_path);
    free(http);
}
