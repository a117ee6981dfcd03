/* test/unit/api_dead_world.h: what the tests of dead letters' routes share: letters, jobs run to their
 * end, requests whose two halves stand apart. */
#ifndef TEST_API_DEAD_WORLD_H
#define TEST_API_DEAD_WORLD_H

#include "test/unit/api_world.h"

static inline void three_letters(struct world *w)
{
    sub_of(w, "acme");
    sub_of(w, "globex");
    emit(w, "ev-1");
    emit(w, "ev-2");
    kill_all(w, "acme");
    emit(w, "ev-3");
    kill_all(w, "globex");
    /* acme: ev-1, ev-2 dead, ev-3 pending; globex: all three dead */
}

static inline int64_t count(struct world *w, const char *query)
{
    char target[512];
    (void)snprintf(target, sizeof target, V1 "/dead-letters/count?%s", query);
    EXPECT(200, "GET", target, NULL);
    return number(w, "count");
}

/* The job's slices, as webhookctl runs them with the daemon stopped. */
static inline void run_job(struct world *w, char job[64])
{
    char target[128];
    (void)snprintf(job, 64, "%s", text(w, "id"));
    (void)snprintf(target, sizeof target, V1 "/jobs/%s/step", job);
    do
        EXPECT(200, "POST", target, NULL);
    while (strcmp(text(w, "state"), "active") == 0);
}

static inline void purge(struct world *w, const char *filter, int64_t n, char job[64])
{
    char body[256];
    (void)snprintf(body, sizeof body, "{\"filter\":%s,\"confirm\":%lld,\"note\":\"old ones\"}",
                   filter, (long long)n);
    EXPECT(202, "POST", V1 "/dead-letters/purge", body);
    assert_string_equal(text(w, "kind"), "purge");
    assert_int_equal(number(w, "counts.selected"), n);
    run_job(w, job);
    assert_string_equal(text(w, "state"), "done");
    assert_int_equal(number(w, "counts.done"), n);
    assert_string_equal(text(w, "note"), "old ones");
}

static inline void restore(struct world *w, const char *purge, int64_t n)
{
    char body[128], job[64];
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\",\"dry_run\":true}", purge);
    EXPECT(200, "POST", V1 "/dead-letters/restore", body);
    assert_int_equal(number(w, "count"), n);
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", purge);
    EXPECT(202, "POST", V1 "/dead-letters/restore", body);
    run_job(w, job);
    assert_string_equal(text(w, "kind"), "restore");
    assert_int_equal(number(w, "counts.done"), n);
}

struct half { /* a request whose first half is over */
    struct api_request req;
    const struct api_route *route;
    struct api_plan *plan;
    struct api_response resp;
};

static inline void half_begin(struct world *w, struct half *h, const char *path, const char *body)
{
    struct err err = {0};
    bool allowed;
    *h = (struct half){.req = {.method = "POST",
                               .path = path,
                               .body = body,
                               .body_bytes = strlen(body),
                               .actor = "uid:7 test"}};
    h->route = api_route_find("POST", path, &allowed);
    assert_true(api_route_plans(h->route));
    api_response_init(&h->resp);
    struct api reader = {.conf = w->conf}; /* intake is the writer's */
    must(w->b->ops->begin(w->b, &err), &err);
    enum err_code rc = api_plan_make(&reader, h->route, w->b, &h->req, &h->resp, &h->plan);
    w->b->ops->rollback(w->b); /* it has written nothing that would be missed */
    assert_int_equal(rc, OK);
    assert_non_null(h->plan);
    assert_int_equal(h->resp.body.len, 0);
    for (int64_t now_ms = clock_store_ms(); clock_store_ms() == now_ms;)
        ; /* what dies from here on dies later */
}

/* Returns the status. The answer is w's. */
static inline int half_end(struct world *w, struct half *h)
{
    struct err err = {0};
    char made[sizeof h->resp.correlation_id];
    memcpy(made, h->resp.correlation_id, sizeof made);
    must(w->b->ops->begin(w->b, &err), &err);
    enum err_code rc = api_plan_write(&w->api, h->route, w->b, &h->req, h->plan, &h->resp);
    if (rc == OK)
        must(w->b->ops->commit(w->b, &err), &err);
    else
        w->b->ops->rollback(w->b);
    assert_true((rc == OK) == (h->resp.status < 400));
    assert_true(made[0] != '\0');
    assert_string_equal(h->resp.correlation_id, made);
    json_decref(w->json);
    w->json = json_loadb(h->resp.body.data, h->resp.body.len, 0, NULL);
    w->status = h->resp.status;
    api_plan_free(h->plan);
    api_response_fini(&h->resp);
    return w->status;
}

#endif
