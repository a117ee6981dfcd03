/* test/unit/test_api_dead.c: the routes of dead letters by their handlers, on a real store: filters,
 * replay, purge, restore, notes, export and import. */
#include "test/unit/api_world.h"

/* ---- dead letters ---- */

static void three_letters(struct world *w)
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

static int64_t count(struct world *w, const char *query)
{
    char target[512];
    (void)snprintf(target, sizeof target, V1 "/dead-letters/count?%s", query);
    EXPECT(200, "GET", target, NULL);
    return number(w, "count");
}

static void test_dead_filters(void **state)
{
    struct world *w = *state;
    char query[128], id[64];
    three_letters(w);
    static const struct {
        const char *query;
        int64_t n;
    } rows[] = {
        {"", 5},
        {"subscription=acme", 2},
        {"subscription=acme&subscription=globex", 5},
        {"event_id=ev-1", 2},
        {"id=ev-1", 2},
        {"id=ev-1&subscription=acme", 1},
        {"id=ev-nobody", 0},
        {"type=order.*", 5},
        {"type=order.old", 0},
        {"cause=retries_exhausted", 5},
        {"cause=gone", 0},
        {"status=503", 5},
        {"status=5xx", 5},
        {"status=4xx", 0},
        {"outcome=http_5xx", 5},
        {"since=1h", 5},
        {"until=1h", 0},
        {"min_attempts=1", 5},
        {"min_attempts=2", 0},
        {"max_attempts=1", 5},
        {"max_attempts=0", 0},
        {"event_id=ev-1&event_id=ev-3", 3},
        {"type=order.old&type=order.*", 5},
        {"cause=gone&cause=retries_exhausted", 5},
        {"cause=gone&cause=expired", 0},
        {"status=4xx&status=503", 5},
        {"outcome=timeout&outcome=http_5xx", 5},
        {"contains=%7B%22n%22:1", 5},
        {"contains=%22N%22", 0},
        {"contains=%22n%22&subscription=acme", 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (count(w, rows[i].query) != rows[i].n) {
            print_error("%s: %lld\n", rows[i].query, (long long)number(w, "count"));
            _fail(__FILE__, __LINE__);
        }
    static const char *const refused[] = {
        "caus=gone", "cause=x",  "status=700", "since=soon", "contains=",      "max_attempts=-1",
        "limit=0",   "cursor=x", "id=a%20b",   "type=a%20b", "min_attempts=x", "limit=1001"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        (void)snprintf(query, sizeof query, V1 "/dead-letters?%s", refused[i]);
        EXPECT(422, "GET", query, NULL);
        assert_string_equal(text(w, "error.code"), "invalid_filter");
    }
    EXPECT(404, "GET", V1 "/dead-letters?subscription=nobody", NULL);
    EXPECT(400, "GET", V1 "/dead-letters?type=%zz", NULL);
    EXPECT(200, "GET", V1 "/dead-letters?limit=2", NULL);
    assert_int_equal(items(w), 2);
    assert_string_equal(text(w, "items.0.cause"), "retries_exhausted");
    assert_int_equal(number(w, "items.0.last_status"), 503);
    (void)snprintf(id, sizeof id, "%s", text(w, "items.0.id"));
    (void)snprintf(query, sizeof query, V1 "/dead-letters/%s?payload=1", id);
    EXPECT(200, "GET", query, NULL);
    assert_int_equal(number(w, "event.payload.n"), 1);
    assert_string_equal(text(w, "request.method"), "POST");
    assert_non_null(strstr(text(w, "request.body"), "\"data\":{\"n\":1}"));
    assert_string_equal(text(w, "attempt_log.0.response_body_base64"), "/wByYXc=");
    assert_true(json_real_value(at(w, "attempt_log.0.duration_seconds")) > 0.412344);
    assert_string_equal(text(w, "subscription_now.state"), "active");
    assert_null(strstr(w->raw, "whsec_"));
    EXPECT(409, "GET", V1 "/dead-letters/ev-1", NULL); /* two letters of it */
    EXPECT(404, "GET", V1 "/dead-letters/ev-nobody", NULL);
    EXPECT(200, "GET", V1 "/deliveries?state=dead&subscription=acme", NULL);
    assert_int_equal(items(w), 2);
    (void)snprintf(query, sizeof query, V1 "/deliveries/%s/attempts", id);
    EXPECT(200, "GET", query, NULL);
    assert_string_equal(text(w, "items.0.trigger"), "schedule");
    EXPECT(200, "GET", V1 "/subscriptions/acme/deliveries", NULL);
    assert_int_equal(items(w), 3);
}

static void test_replay(void **state)
{
    struct world *w = *state;
    char job[64], target[128];
    three_letters(w);
    EXPECT(422, "POST", V1 "/replays", "{\"filter\":{}}");
    assert_string_equal(text(w, "error.code"), "filter_required");
    EXPECT(422, "POST", V1 "/replays", "{\"filter\":{\"subscription\":\"acme\",\"limit\":1}}");
    EXPECT(404, "POST", V1 "/replays", "{\"filter\":{\"id\":[\"ev-nobody\"]}}");
    EXPECT(200, "POST", V1 "/replays", "{\"filter\":{\"all\":true},\"dry_run\":true}");
    assert_int_equal(number(w, "count"), 5);
    assert_false(w->jobs);
    EXPECT(202, "POST", V1 "/replays",
           "{\"filter\":{\"subscription\":[\"acme\"]},\"rate_per_second\":20,\"note\":\"INC-1\"}");
    assert_true(w->jobs);
    assert_int_equal(number(w, "counts.selected"), 2);
    assert_string_equal(text(w, "note"), "INC-1");
    assert_string_equal(text(w, "state"), "active");
    assert_int_equal(strncmp(text(w, "filter.subscription.0"), "sub_", 4), 0);
    assert_string_not_equal(text(w, "filter.until"), "(none)");
    (void)snprintf(job, sizeof job, "%s", text(w, "id"));
    EXPECT(409, "POST", V1 "/replays", "{\"filter\":{\"all\":true}}");
    assert_string_equal(text(w, "error.code"), "job_active");
    EXPECT(409, "POST", V1 "/dead-letters/ev-1/replay", NULL);
    EXPECT(202, "POST", V1 "/replays", "{\"filter\":{\"subscription\":\"globex\"}}");
    /* what the runner reads of it */
    (void)snprintf(target, sizeof target, V1 "/jobs/%s", job);
    EXPECT(200, "GET", target, NULL);
    char *stored = json_dumps(at(w, "filter"), JSON_COMPACT);
    struct err err = {0};
    struct arena mem;
    struct filter f;
    arena_init(&mem);
    must(w->b->ops->begin(w->b, &err), &err);
    must(api_filter_json(w->b, stored, clock_store_ms(), &mem, &f, &err), &err);
    assert_int_equal(f.subs_n, 1);
    assert_true(f.until_ms > 0 && f.with_expired && !f.newest_first);
    must(w->b->ops->commit(w->b, &err), &err);
    arena_fini(&mem);
    free(stored);
    (void)snprintf(target, sizeof target, V1 "/jobs/%s/pause", job);
    EXPECT(200, "POST", target, NULL);
    (void)snprintf(target, sizeof target, V1 "/jobs/%s/cancel", job);
    EXPECT(200, "POST", target, NULL);
    assert_string_equal(text(w, "state"), "cancelled");
    EXPECT(200, "POST", target, NULL);
    (void)snprintf(target, sizeof target, V1 "/jobs/%s/resume", job);
    EXPECT(409, "POST", target, NULL);
    EXPECT(202, "POST", V1 "/replays",
           "{\"filter\":{\"id\":[\"ev-1\"],\"subscription\":\"acme\"}}");
    assert_int_equal(number(w, "counts.selected"), 1);
    assert_int_equal(json_array_size(at(w, "filter.id")), 2);
}

static void test_replay_leaves_out(void **state)
{
    struct world *w = *state;
    sub_of(w, "acme");
    EXPECT(202, "POST", V1 "/events",
           "{\"type\":\"order.x\",\"data\":1,\"expires_at\":\"2001-01-01T00:00:00Z\"}");
    emit(w, "ev-1");
    kill_all(w, "acme");
    EXPECT(200, "POST", V1 "/replays", "{\"filter\":{\"all\":true},\"dry_run\":true}");
    assert_int_equal(number(w, "count"), 1);
    assert_int_equal(number(w, "excluded"), 1);
    assert_int_equal(json_array_size(at(w, "types")), 1);
    assert_int_equal(number(w, "payload_bytes"), 7); /* not the expired one's */
    EXPECT(200, "POST", V1 "/replays",
           "{\"filter\":{\"all\":true},\"dry_run\":true,\"ignore_expiry\":true}");
    assert_int_equal(number(w, "count"), 2);
    assert_int_equal(number(w, "payload_bytes"), 8);
    assert_int_equal(json_array_size(at(w, "types")), 2);
    assert_int_equal(number(w, "types.0.count"), 1);
    EXPECT(200, "DELETE", V1 "/subscriptions/acme", NULL);
    EXPECT(200, "POST", V1 "/replays", "{\"filter\":{\"all\":true},\"dry_run\":true}");
    assert_int_equal(number(w, "count"), 0);
    assert_int_equal(number(w, "excluded"), 2);
}

/* The job's slices, as webhookctl runs them with the daemon stopped. */
static void run_job(struct world *w, char job[64])
{
    char target[128];
    (void)snprintf(job, 64, "%s", text(w, "id"));
    (void)snprintf(target, sizeof target, V1 "/jobs/%s/step", job);
    do
        EXPECT(200, "POST", target, NULL);
    while (strcmp(text(w, "state"), "active") == 0);
}

static void purge(struct world *w, const char *filter, int64_t n, char job[64])
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

static void restore(struct world *w, const char *purge, int64_t n)
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

/* ---- two halves: what happens between them ---- */

struct half { /* a request whose first half is over */
    struct api_request req;
    const struct api_route *route;
    struct api_plan *plan;
    struct api_response resp;
};

static void half_begin(struct world *w, struct half *h, const char *path, const char *body)
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
static int half_end(struct world *w, struct half *h)
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

static void test_two_replays_between_their_halves(void **state)
{
    struct world *w = *state;
    struct half a, b;
    three_letters(w);
    half_begin(w, &a, V1 "/replays", "{\"filter\":{\"all\":true},\"note\":\"the first\"}");
    half_begin(w, &b, V1 "/replays", "{\"filter\":{\"subscription\":\"acme\"}}");
    assert_int_equal(half_end(w, &a), 202);
    assert_int_equal(number(w, "counts.selected"), 5);
    assert_string_equal(text(w, "note"), "the first");
    assert_int_equal(half_end(w, &b), 409);
    assert_string_equal(text(w, "error.code"), "job_active");
    EXPECT(200, "GET", V1 "/jobs", NULL);
    assert_int_equal(items(w), 1);
}

static void test_replay_sees_what_changed_between_its_halves(void **state)
{
    struct world *w = *state;
    struct half h;
    three_letters(w);
    half_begin(w, &h, V1 "/replays", "{\"filter\":{\"all\":true}}");
    EXPECT(200, "POST", V1 "/subscriptions/acme/disable", NULL);
    kill_all(w, "acme"); /* ev-3 dies: it is not in the set */
    assert_int_equal(half_end(w, &h), 202);
    assert_int_equal(number(w, "counts.selected"), 3);
    assert_int_equal(number(w, "counts.excluded"), 2);
}

static void test_purge_counts_as_of_its_first_half(void **state)
{
    struct world *w = *state;
    struct half h;
    char job[64];
    three_letters(w);
    half_begin(w, &h, V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":5}");
    kill_all(w, "acme");
    purge(w, "{\"subscription\":\"globex\"}", 3, job);
    assert_int_equal(half_end(w, &h), 202);
    run_job(w, job);
    assert_int_equal(number(w, "counts.selected"), 5);
    assert_int_equal(number(w, "counts.done"), 2); /* globex's were gone */
    assert_int_equal(count(w, ""), 1);             /* acme's third died later */
}

static void test_restore_between_its_halves(void **state)
{
    struct world *w = *state;
    struct half h;
    char job[64], body[128];
    three_letters(w);
    purge(w, "{\"all\":true}", 5, job);
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", job);
    half_begin(w, &h, V1 "/dead-letters/restore", body);
    restore(w, job, 5); /* somebody else was quicker */
    assert_int_equal(half_end(w, &h), 202);
    run_job(w, job);
    assert_int_equal(number(w, "counts.done"), 0);
    assert_int_equal(count(w, ""), 5);
}

static void test_purge(void **state)
{
    struct world *w = *state;
    char job[64];
    three_letters(w);
    EXPECT(422, "POST", V1 "/dead-letters/purge", "{\"filter\":{},\"confirm\":5}");
    EXPECT(422, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true}}");
    assert_string_equal(text(w, "error.code"), "confirm_required");
    EXPECT(409, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":4}");
    assert_string_equal(text(w, "error.code"), "count_differs");
    EXPECT(200, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"dry_run\":true}");
    assert_int_equal(number(w, "count"), 5);
    assert_non_null(text(w, "recoverable_until"));
    assert_int_equal(count(w, ""), 5);
    purge(w, "{\"subscription\":\"acme\"}", 2, job);
    assert_non_null(text(w, "recoverable_until"));
    assert_int_equal(count(w, ""), 3);
    EXPECT(200, "GET", V1 "/deliveries?state=discarded", NULL);
    assert_int_equal(items(w), 2);
    EXPECT(200, "GET", V1 "/audit", NULL);
    assert_string_equal(text(w, "items.0.action"), "dead_letter.purge");
    assert_string_equal(text(w, "items.0.target"), job);
}

static void test_restore(void **state)
{
    struct world *w = *state;
    char job[64], body[128];
    three_letters(w);
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    char *before = strdup(w->raw);
    purge(w, "{\"all\":true}", 5, job);
    assert_int_equal(count(w, ""), 0);
    restore(w, job, 5);
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    assert_string_equal(w->raw, before);
    free(before);
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", job);
    EXPECT(409, "POST", V1 "/dead-letters/restore", body);
    assert_string_equal(text(w, "error.code"), "nothing_left");
    EXPECT(404, "POST", V1 "/dead-letters/restore", "{\"job\":\"job_01N8D3VQ0C4T5\"}");
    EXPECT(422, "POST", V1 "/dead-letters/restore", "{}");
    EXPECT(202, "POST", V1 "/replays", "{\"filter\":{\"all\":true}}");
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", text(w, "id"));
    EXPECT(422, "POST", V1 "/dead-letters/restore", body); /* that is a replay */
    /* while it purges, and when it was stopped in the middle */
    EXPECT(202, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":5}");
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", text(w, "id"));
    (void)snprintf(job, sizeof job, "%s", text(w, "id"));
    EXPECT(409, "POST", V1 "/dead-letters/restore", body);
    assert_string_equal(text(w, "error.code"), "job_active");
}

/* A grace of nothing: erased at once, and that is said. */
static void test_purge_without_a_grace(void **state)
{
    struct world *w = *state;
    char job[64], body[128];
    three_letters(w);
    w->conf->purge_grace_ms = 0;
    purge(w, "{\"all\":true}", 5, job);
    assert_true(json_is_null(at(w, "recoverable_until")));
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", job);
    EXPECT(409, "POST", V1 "/dead-letters/restore", body);
    assert_string_equal(text(w, "error.code"), "grace_over");
}

static void test_delete_and_note_of_one(void **state)
{
    struct world *w = *state;
    char job[64];
    three_letters(w);
    EXPECT(409, "DELETE", V1 "/dead-letters/ev-1", NULL); /* two subscriptions have it */
    EXPECT(200, "DELETE", V1 "/dead-letters/ev-3", NULL);
    assert_string_equal(text(w, "kind"), "purge");
    assert_string_equal(text(w, "state"), "done");
    (void)snprintf(job, sizeof job, "%s", text(w, "id"));
    assert_int_equal(count(w, ""), 4);
    EXPECT(404, "DELETE", V1 "/dead-letters/ev-3", NULL);
    EXPECT(404, "PATCH", V1 "/dead-letters/ev-3", "{\"note\":\"x\"}");
    restore(w, job, 1);
    EXPECT(200, "PATCH", V1 "/dead-letters/ev-3", "{\"note\":\"called them\"}");
    assert_string_equal(text(w, "note"), "called them");
    EXPECT(200, "GET", V1 "/dead-letters/ev-3", NULL);
    assert_string_equal(text(w, "note"), "called them");
    EXPECT(422, "PATCH", V1 "/dead-letters/ev-3", "{}");
    EXPECT(200, "PATCH", V1 "/dead-letters/ev-3", "{\"note\":null}");
    assert_true(json_is_null(at(w, "note")));
}

static void test_purge_in_slices(void **state)
{
    struct world *w = *state;
    char *body = malloc(65536), job[64];
    size_t n = 0;
    sub_of(w, "acme");
    for (int half = 0; half < 4; half++) {
        n = (size_t)snprintf(body, 65536, "[");
        for (int i = 0; i < 150; i++)
            n += (size_t)snprintf(body + n, 65536 - n, "%s{\"type\":\"order.x\",\"data\":%d}",
                                  i ? "," : "", i);
        (void)snprintf(body + n, 65536 - n, "]");
        EXPECT(202, "POST", V1 "/events", body);
    }
    free(body);
    for (int i = 0; i < 10; i++)
        kill_all(w, "acme");
    purge(w, "{\"all\":true}", 600, job);
    assert_int_equal(count(w, ""), 0);
    restore(w, job, 600);
    assert_int_equal(count(w, ""), 600);
}

/* ---- export, import ---- */

static void test_round_trip(void **state)
{
    struct world *w = *state;
    three_letters(w);
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    char *first = strdup(w->raw);
    size_t lines = 0;
    for (const char *p = first; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 5);
    assert_string_equal(w->cursor, "");
    EXPECT(200, "POST", V1 "/dead-letters/import", first);
    assert_int_equal(number(w, "skipped"), 5);
    char job[64];
    purge(w, "{\"all\":true}", 5, job);
    EXPECT(200, "POST", V1 "/dead-letters/import?dry_run=1", first);
    assert_int_equal(number(w, "imported"), 5);
    assert_int_equal(count(w, ""), 0);
    EXPECT(200, "POST", V1 "/dead-letters/import", first);
    assert_int_equal(number(w, "imported"), 5);
    assert_int_equal(json_array_size(at(w, "errors")), 0);
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    assert_string_equal(w->raw, first);
    EXPECT(200, "GET", V1 "/dead-letters/export?limit=2", NULL);
    assert_string_not_equal(w->cursor, "");
    char target[128];
    (void)snprintf(target, sizeof target, V1 "/dead-letters/export?cursor=%s", w->cursor);
    EXPECT(200, "GET", target, NULL);
    assert_non_null(strstr(first, w->raw));
    EXPECT(202, "POST", V1 "/replays", "{\"filter\":{\"all\":true}}");
    assert_int_equal(number(w, "counts.selected"), 5);
    free(first);
}

/* Changes one piece of a good line. */
static char *with(const char *line, const char *from, const char *to)
{
    const char *p = strstr(line, from);
    assert_non_null(p);
    char *out = NULL;
    assert_true(asprintf(&out, "%.*s%s%s", (int)(p - line), line, to, p + strlen(from)) > 0);
    return out;
}

static void test_import_refuses(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"{\"v\":1", "{\"v\":2"},
        {"\"kind\":\"dead_letter\"", "\"kind\":\"x\""},
        {"\"delivery\":\"dlv_", "\"delivery\":\"sub_"},
        {"\"cause\":\"retries_exhausted\"", "\"cause\":\"boredom\""},
        {"\"died_at\":\"2", "\"died_at\":\"9"},
        {"\"attempts_made\":1", "\"attempts_made\":-1"},
        {"\"attempts_made\":1", "\"attempts_made\":0"},
        {"\"type\":\"order.new\"", "\"type\":\"order new\""},
        {"\"payload\":\"{\\\"n\\\":1}\"", "\"payload\":\"{\""},
        {"\"payload\":\"{\\\"n\\\":1}\"", "\"payload\":null"},
        {"\"payload\":\"{\\\"n\\\":1}\"", "\"payload_base64\":\"*\""},
        {"\"outcome\":\"http_5xx\"", "\"outcome\":\"luck\""},
        {"\"duration_seconds\":0.412345", "\"duration_seconds\":1e300"},
        {"\"name\":\"acme\"", "\"name\":\"../a\""},
        {"\"url\":\"https", "\"url\":\" https"},
        {"\"attempts\":[{", "\"attempts\":[7,{"},
        {"\"v\":1", "\"v\":1,\"v\":1"},
        {"\"event\":{", "\"event\":["},
    };
    sub_of(w, "acme");
    emit(w, "ev-1");
    kill_all(w, "acme");
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    char *line = strdup(w->raw);
    char job[64];
    purge(w, "{\"all\":true}", 1, job);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *bad = with(line, rows[i].from, rows[i].to);
        char *body = NULL;
        assert_true(asprintf(&body, "\n%s", bad) > 0);
        EXPECT(200, "POST", V1 "/dead-letters/import", body);
        if (json_array_size(at(w, "errors")) != 1 || number(w, "imported") != 0) {
            print_error("row %zu: %s\n%s", i, w->raw, bad);
            _fail(__FILE__, __LINE__);
        }
        assert_int_equal(number(w, "errors.0.line"), 2);
        free(bad);
        free(body);
    }
    EXPECT(200, "POST", V1 "/dead-letters/import", line);
    assert_int_equal(number(w, "imported"), 1);
    free(line);
}

static void test_dead_summary(void **state)
{
    struct world *w = *state;
    three_letters(w);
    EXPECT(200, "GET", V1 "/dead-letters/summary", NULL);
    assert_int_equal(number(w, "total"), 5);
    assert_int_equal(number(w, "groups"), 2);
    assert_int_equal(items(w), 2);
    assert_string_equal(text(w, "items.0.subscription"), "globex");
    assert_int_equal(number(w, "items.0.count"), 3);
    assert_int_equal(number(w, "items.1.count"), 2);
    assert_string_equal(text(w, "items.1.cause"), "retries_exhausted");
    assert_int_equal(number(w, "items.1.last_status"), 503);
    assert_string_equal(text(w, "items.1.last_outcome"), "http_5xx");
    assert_true(json_is_null(at(w, "items.1.type")));
    assert_string_equal(text(w, "items.1.subscription_now.state"), "active");
    assert_string_equal(text(w, "by.2"), "status");
    EXPECT(200, "GET", V1 "/dead-letters/summary?by=type,cause&event_id=ev-1&event_id=ev-3", NULL);
    assert_int_equal(number(w, "total"), 3);
    assert_int_equal(items(w), 1);
    assert_true(json_is_null(at(w, "items.0.subscription")));
    assert_true(json_is_null(at(w, "items.0.subscription_now")));
    EXPECT(200, "GET", V1 "/dead-letters/summary?by=subscription&contains=%22n%22&limit=1", NULL);
    assert_int_equal(number(w, "total"), 5);
    assert_int_equal(number(w, "groups"), 2);
    assert_int_equal(items(w), 1);
    assert_string_equal(text(w, "items.0.subscription"), "globex");
    EXPECT(200, "GET", V1 "/dead-letters/summary?cause=gone", NULL);
    assert_int_equal(number(w, "total"), 0);
    assert_true(json_is_null(at(w, "first_died_at")));
    EXPECT(422, "GET", V1 "/dead-letters/summary?by=colour", NULL);
    EXPECT(422, "GET", V1 "/dead-letters/summary?by=", NULL);
}

/* Payloads are sealed: what changes something names ids; what looks may be short and go on. */
static void test_dead_contains(void **state)
{
    struct world *w = *state;
    char target[256];
    three_letters(w);
    EXPECT(200, "GET", V1 "/dead-letters?contains=%22n%22:1&limit=3", NULL);
    assert_int_equal(items(w), 3);
    (void)snprintf(target, sizeof target, V1 "/dead-letters?contains=%%22n%%22:1&cursor=%s",
                   text(w, "next_cursor"));
    EXPECT(200, "GET", target, NULL);
    assert_int_equal(items(w), 2);
    assert_true(json_is_null(at(w, "next_cursor")));
    EXPECT(200, "GET", V1 "/dead-letters/export?contains=nothing", NULL);
    assert_int_equal(strlen(w->raw ? w->raw : ""), 0);
    EXPECT(422, "POST", V1 "/replays", "{\"filter\":{\"contains\":\"n\"}}");
    EXPECT(422, "POST", V1 "/dead-letters/purge",
           "{\"filter\":{\"contains\":\"n\"},\"confirm\":5}");
    EXPECT(422, "GET", V1 "/deliveries?contains=n", NULL);
}

static void test_dead_unmatched(void **state)
{
    struct world *w = *state;
    three_letters(w);
    EXPECT(200, "GET", V1 "/dead-letters?id=ev-1&id=dlv_0000000000001&id=ev-none", NULL);
    assert_int_equal(items(w), 2);
    assert_string_equal(text(w, "unmatched.0"), "dlv_0000000000001");
    assert_string_equal(text(w, "unmatched.1"), "ev-none");
    EXPECT(200, "GET", V1 "/dead-letters/count?id=ev-none", NULL);
    assert_int_equal(number(w, "count"), 0);
    assert_string_equal(text(w, "unmatched.0"), "ev-none");
    EXPECT(200, "GET", V1 "/dead-letters/summary?id=ev-1", NULL);
    assert_int_equal(json_array_size(at(w, "unmatched")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dead_filters),
        TEST(test_replay),
        TEST(test_replay_leaves_out),
        TEST(test_purge),
        TEST(test_two_replays_between_their_halves),
        TEST(test_replay_sees_what_changed_between_its_halves),
        TEST(test_purge_counts_as_of_its_first_half),
        TEST(test_restore_between_its_halves),
        TEST(test_purge_in_slices),
        TEST(test_round_trip),
        TEST(test_import_refuses),
        TEST(test_restore),
        TEST(test_purge_without_a_grace),
        TEST(test_delete_and_note_of_one),
        TEST(test_dead_summary),
        TEST(test_dead_contains),
        TEST(test_dead_unmatched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
