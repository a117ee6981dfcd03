/* test/unit/api_world.h: a store on SQLite in memory of its own folder, and calls of the api's
 * handlers on it, as the daemon's store thread makes them: a savepoint, undone where refused. */
#ifndef TEST_API_WORLD_H
#define TEST_API_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* base/err.h has a function of that name */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/api.h"
#include "engine/api_filter.h"
#include "store/seal.h"

struct world {
    char dir[64], url[128];
    struct keyring *keys;
    struct backend *b;
    struct intake *intake;
    struct conf *conf;
    struct api api;
    /* the last answer */
    int status;
    json_t *json;
    char *raw;
    size_t raw_n;
    char cursor[64];
    bool woke, jobs, subs;
};

static inline void must(enum err_code code, const struct err *err)
{
    if (code != OK) {
        print_error("%s: %s\n", err_code_name(code), err->text);
        _fail(__FILE__, __LINE__);
    }
}

static inline int world_open(void **state)
{
    static const uint8_t key[32] = {7};
    struct world *w = calloc(1, sizeof *w);
    struct err err = {0};
    struct buf problems;
    const char *conf = "egress: {allow: [127.0.0.0/8]}\n"
                       "api: {max_payload_bytes: 4KiB}\n";
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/webhookd-api-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->url, sizeof w->url, "sqlite://%s/store.db", w->dir);
    buf_init(&problems, 65536);
    if (conf_parse(&w->conf, "test", conf, strlen(conf), &problems) != OK) {
        print_error("%s", problems.data);
        _fail(__FILE__, __LINE__);
    }
    buf_fini(&problems);
    must(keyring_from_bytes(&w->keys, key, &err), &err);
    must(backend_find(w->url)->open(&w->b, w->url, BACKEND_WRITER, w->keys, &err), &err);
    w->intake = intake_new(w->keys);
    w->api = (struct api){.conf = w->conf, .intake = w->intake};
    *state = w;
    return 0;
}

static inline int world_close(void **state)
{
    struct world *w = *state;
    char command[128];
    json_decref(w->json);
    free(w->raw);
    intake_free(w->intake);
    w->b->ops->close(w->b);
    keyring_free(w->keys);
    conf_free(w->conf);
    (void)snprintf(command, sizeof command, "rm -rf %s", w->dir);
    int rc = system(command);
    free(w);
    return rc;
}

/* Returns the status. */
static inline int call_bytes(struct world *w, const char *method, const char *target,
                             const void *body, size_t n)
{
    struct err err = {0};
    struct api_response resp;
    char path[65536];
    bool allowed;
    (void)snprintf(path, sizeof path, "%s", target);
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    struct api_request req = {.method = method,
                              .path = path,
                              .query = query,
                              .body = body,
                              .body_bytes = n,
                              .actor = "uid:7 test",
                              .correlation_id = "corr-1"};
    const struct api_route *route = api_route_find(method, path, &allowed);
    if (!route)
        return w->status = allowed ? 405 : 404;
    api_response_init(&resp);
    must(w->b->ops->begin(w->b, &err), &err);
    must(w->b->ops->mark(w->b, &err), &err);
    enum err_code rc = api_handle(&w->api, route, w->b, &req, &resp);
    must(rc == OK ? w->b->ops->keep(w->b, &err) : w->b->ops->undo(w->b, &err), &err);
    must(w->b->ops->commit(w->b, &err), &err);
    assert_true((rc == OK || rc == ERR_UNDONE) == (resp.status < 400)); /* undone: a dry run */
    assert_string_equal(resp.correlation_id, "corr-1");
    json_decref(w->json);
    free(w->raw);
    w->status = resp.status;
    w->raw_n = resp.body.len;
    w->raw = resp.body.data ? buf_take(&resp.body) : strdup("");
    w->json = json_loadb(w->raw, w->raw_n, JSON_REJECT_DUPLICATES, NULL);
    w->woke = resp.changes.wakes_n + resp.changes.rows_n > 0;
    w->jobs = resp.changes.jobs;
    w->subs = resp.changes.subs_n > 0;
    memcpy(w->cursor, resp.next_cursor, sizeof w->cursor);
    api_response_fini(&resp);
    return w->status;
}

static inline int call(struct world *w, const char *method, const char *target, const char *body)
{
    return call_bytes(w, method, target, body, body ? strlen(body) : 0);
}

#define EXPECT(status_, ...)                                                                       \
    do {                                                                                           \
        if (call(w, __VA_ARGS__) != (status_)) {                                                   \
            print_error("%d, not %d: %s\n", w->status, (status_), w->raw ? w->raw : "");           \
            _fail(__FILE__, __LINE__);                                                             \
        }                                                                                          \
    } while (0)

/* "counts.dead", "items.0.id" */
static inline const json_t *at(const struct world *w, const char *path)
{
    const json_t *v = w->json;
    char part[64];
    while (*path && v) {
        size_t n = strcspn(path, ".");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        v = json_is_array(v) ? json_array_get(v, (size_t)strtoul(part, NULL, 10))
                             : json_object_get(v, part);
        path += n + (path[n] == '.');
    }
    return v;
}

static inline const char *text(const struct world *w, const char *path)
{
    const char *s = json_string_value(at(w, path));
    return s ? s : "(none)";
}

static inline int64_t number(const struct world *w, const char *path)
{
    const json_t *v = at(w, path);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static inline size_t items(const struct world *w)
{
    return json_array_size(at(w, "items"));
}

/* The newest delivery of sub dies after one attempt with a 503. */
static inline void kill_all(struct world *w, const char *sub)
{
    struct err err = {0};
    struct arena mem;
    struct subscription s;
    struct claimed *rows[64];
    struct claim_ask ask = {.max = 64, .max_row_bytes = SIZE_MAX, .max_bytes = SIZE_MAX};
    struct claim_got got = {0};
    arena_init(&mem);
    must(w->b->ops->begin(w->b, &err), &err);
    must(w->b->ops->sub_get(w->b, sub, &mem, &s, &err), &err);
    must(w->b->ops->claim(w->b, s.num, INT64_MAX - 1, &ask, rows, &got, &err), &err);
    for (size_t i = 0; i < got.n; i++) {
        struct settled out;
        struct settlement st = {.delivery = rows[i]->delivery.num,
                                .sub = s.num,
                                .has_attempt = true,
                                .attempt = {.delivery = rows[i]->delivery.num,
                                            .n = 1,
                                            .started_ms = clock_wall_ms(),
                                            .duration_us = 412345,
                                            .dns_us = 3,
                                            .connect_us = -1,
                                            .tls_us = -1,
                                            .wait_us = 100000,
                                            .transfer_us = 0,
                                            .outcome = OUTCOME_HTTP_5XX,
                                            .status = 503,
                                            .address = "127.0.0.1:443",
                                            .error = "it said \"503\"",
                                            .response_head = "HTTP/1.1 503 No\r\nA: b\r\n",
                                            .response_body = "\xff\x00raw",
                                            .response_body_bytes = 5,
                                            .response_truncated = true},
                                .to = SETTLE_DEAD,
                                .cause = CAUSE_RETRIES_EXHAUSTED,
                                .now_ms = clock_store_ms()};
        must(w->b->ops->settle(w->b, &st, st.now_ms + 1000000, &out, &err), &err);
        claimed_free(rows[i]);
    }
    must(w->b->ops->commit(w->b, &err), &err);
    arena_fini(&mem);
}

#define V1 "/api/v1"
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)

static inline void sub_of(struct world *w, const char *name)
{
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"url\":\"https://%s.example/x\",\"events\":[\"order.*\"],\"name\":\"%s\"}",
                   name, name);
    EXPECT(201, "POST", V1 "/subscriptions", body);
}

static inline void emit(struct world *w, const char *id)
{
    char body[256];
    (void)snprintf(body, sizeof body, "{\"type\":\"order.new\",\"data\":{\"n\":1},\"id\":\"%s\"}",
                   id);
    EXPECT(202, "POST", V1 "/events", body);
}

#endif
