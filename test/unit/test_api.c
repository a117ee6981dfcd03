/* test/unit/test_api.c: every route by its handler, on a real store: what it takes, what it
 * refuses, what it gives back. */
#include "test/unit/api_world.h"

#define V1 "/api/v1"
static const char ACME[] = "{\"url\":\"https://hooks.acme.example/x\",\"events\":[\"order.*\"],"
                           "\"name\":\"acme\"}";

static void sub_of(struct world *w, const char *name)
{
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"url\":\"https://%s.example/x\",\"events\":[\"order.*\"],\"name\":\"%s\"}",
                   name, name);
    EXPECT(201, "POST", V1 "/subscriptions", body);
}

static void emit(struct world *w, const char *id)
{
    char body[256];
    (void)snprintf(body, sizeof body, "{\"type\":\"order.new\",\"data\":{\"n\":1},\"id\":\"%s\"}",
                   id);
    EXPECT(202, "POST", V1 "/events", body);
}

/* ---- events ---- */

static void test_event_bytes_are_kept(void **state)
{
    struct world *w = *state;
    const char *data = "{ \"a\":1e400,\"b\":\"\\u0000 x\\/\" , \"c\":[1.0, 2,{}]}";
    char body[512];
    sub_of(w, "acme");
    (void)snprintf(body, sizeof body,
                   "{\"id\":\"ev-1\", \"type\":\"order.new\",\"data\": %s ,"
                   "\"attributes\":{\"n\":1.50}}",
                   data);
    EXPECT(202, "POST", V1 "/events", body);
    assert_string_equal(text(w, "id"), "ev-1");
    assert_true(json_is_false(at(w, "duplicate")));
    assert_int_equal(number(w, "matched"), 1);
    assert_true(w->woke);
    EXPECT(202, "POST", V1 "/events", body);
    assert_true(json_is_true(at(w, "duplicate")));
    EXPECT(200, "GET", V1 "/events/ev-1?payload=1", NULL);
    assert_non_null(strstr(w->raw, data));
    assert_non_null(strstr(w->raw, "\"attributes\":{\"n\":1.50}"));
    EXPECT(200, "GET", V1 "/events/ev-1", NULL);
    assert_null(at(w, "payload"));
    assert_string_equal(text(w, "deliveries.0.state"), "pending");
    assert_string_equal(text(w, "source"), "webhookd");
    /* as the outbox calls them */
    EXPECT(202, "POST", V1 "/events", "{\"event_id\":\"ev-2\",\"type\":\"a\",\"payload\": [1.0] }");
    assert_string_equal(text(w, "id"), "ev-2");
    EXPECT(200, "GET", V1 "/events/ev-2?payload=1", NULL);
    assert_non_null(strstr(w->raw, "\"payload\":[1.0]"));
}

static void test_event_refusals(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *body;
        int status;
        const char *code, *target;
    } rows[] = {
        {"", 400, "invalid_json", NULL},
        {"{\"type\":", 400, "invalid_json", NULL},
        {"17", 422, "invalid_event", NULL},
        {"[]", 422, "invalid_event", NULL},
        {"{\"type\":\"a.b\"}", 422, "invalid_event", "data"},
        {"{\"data\":1}", 422, "invalid_event", "type"},
        {"{\"type\":\"a b\",\"data\":1}", 422, "invalid_event", "type"},
        {"{\"type\":\"a\",\"data\":1,\"id\":\"a b\"}", 422, "invalid_event", "id"},
        {"{\"type\":\"a\",\"data\":1,\"data\":2}", 422, "invalid_event", "data"},
        {"{\"type\":\"a\",\"data\":1,\"d\\u0061ta\":2}", 422, "invalid_event", ""},
        {"{\"type\":\"a\",\"d\\u0061ta\":2}", 422, "invalid_event", "data"},
        {"{\"type\":\"a\",\"data\":1,\"p\\u0061yload\":2}", 422, "invalid_event", "data"},
        {"{\"type\":\"a\",\"data\":1,\"payload\":2}", 422, "invalid_event", "data"},
        {"{\"type\":\"a\",\"data\":1,\"id\":\"a\",\"event_id\":\"a\"}", 422, "invalid_event",
         "event_id"},
        {"{\"type\":\"a\",\"type\":\"a\",\"data\":1}", 422, "invalid_event", ""},
        {"{\"type\":\"a\",\"data\":1,\"expires_in\":2}", 422, "unknown_member", "expires_in"},
        {"{\"type\":\"a\",\"data\":1,\"expires_at\":1700000000}", 422, "invalid_event",
         "expires_at"},
        {"{\"type\":\"a\",\"data\":1,\"expires_at\":\"soon\"}", 422, "invalid_event", "expires_at"},
        {"{\"type\":\"a\",\"data\":1,\"attributes\":[]}", 422, "invalid_event", "attributes"},
        {"{\"type\":\"a\",\"data\":1,\"partner\":\"nobody\"}", 422, "invalid_event", "partner"},
        {"[{\"type\":\"a\",\"data\":1},{\"type\":\"a\"}]", 422, "invalid_event", "[1].data"},
        {"[{\"type\":\"a\",\"data\":1},3]", 422, "invalid_event", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        EXPECT(rows[i].status, "POST", V1 "/events", rows[i].body);
        assert_string_equal(text(w, "error.code"), rows[i].code);
        assert_string_equal(text(w, "error.target"), rows[i].target ? rows[i].target : "(none)");
        assert_string_equal(text(w, "error.correlation_id"), "corr-1");
    }
    EXPECT(200, "GET", V1 "/events", NULL);
    assert_int_equal(items(w), 0); /* of an array with a bad one, nothing is stored */
}

static void test_event_conflict_and_size(void **state)
{
    struct world *w = *state;
    char *body = malloc(8192);
    EXPECT(202, "POST", V1 "/events", "{\"type\":\"a\",\"data\":1,\"id\":\"x\"}");
    EXPECT(409, "POST", V1 "/events", "{\"type\":\"a\",\"data\":2,\"id\":\"x\"}");
    assert_string_equal(text(w, "error.code"), "id_conflict");
    int n = snprintf(body, 8192, "{\"type\":\"a\",\"data\":\"");
    memset(body + n, 'x', 5000);
    memcpy(body + n + 5000, "\"}", 3);
    EXPECT(413, "POST", V1 "/events", body);
    free(body);
    EXPECT(202, "POST", V1 "/events",
           "[{\"type\":\"a\",\"data\":null},{\"type\":\"a\",\"data\":\"]}\\\"\"}]");
    assert_int_equal(items(w), 2);
    EXPECT(200, "GET", V1 "/events?limit=2&type=a", NULL);
    assert_int_equal(items(w), 2);
    char target[128];
    (void)snprintf(target, sizeof target, V1 "/events?limit=2&cursor=%s", text(w, "next_cursor"));
    EXPECT(200, "GET", target, NULL);
    assert_int_equal(items(w), 1);
    assert_true(json_is_null(at(w, "next_cursor")));
}

/* ---- subscriptions ---- */

static void test_sub_life(void **state)
{
    struct world *w = *state;
    EXPECT(201, "POST", V1 "/subscriptions", ACME);
    assert_int_equal(strncmp(text(w, "secret"), "whsec_", 6), 0);
    assert_true(w->subs);
    assert_string_equal(text(w, "partner"), "default");
    assert_string_equal(text(w, "profile"), "bondx");
    EXPECT(409, "POST", V1 "/subscriptions", ACME);
    assert_string_equal(text(w, "error.code"), "name_taken");
    EXPECT(200, "GET", V1 "/subscriptions/acme", NULL);
    assert_null(at(w, "secret"));
    assert_int_equal(json_array_size(at(w, "secrets")), 1);
    EXPECT(
        200, "PATCH", V1 "/subscriptions/acme",
        "{\"events\":\"a.*,b\",\"rate_per_second\":2.5,\"concurrency\":3,\"timeout_seconds\":1.5,"
        "\"bearer\":\"abc\",\"headers\":{\"X-A\":\"b\"},\"ordering\":\"key\",\"on_dead\":"
        "\"block\"}");
    assert_string_equal(text(w, "events.1"), "b");
    assert_true(json_is_true(at(w, "bearer")));
    assert_string_equal(text(w, "headers.0"), "X-A");
    assert_int_equal(number(w, "revision"), 2);
    EXPECT(200, "POST", V1 "/subscriptions/acme/pause", "{\"for_seconds\":60,\"note\":\"x\"}");
    assert_string_equal(text(w, "state"), "paused");
    assert_string_not_equal(text(w, "resume_at"), "(none)");
    EXPECT(200, "POST", V1 "/subscriptions/acme/resume", NULL);
    EXPECT(200, "POST", V1 "/subscriptions/acme/resume", NULL);
    assert_string_equal(text(w, "state"), "active");
    EXPECT(200, "POST", V1 "/subscriptions/acme/disable", "{}");
    EXPECT(409, "POST", V1 "/subscriptions/acme/resume", NULL);
    EXPECT(200, "POST", V1 "/subscriptions/acme/enable", NULL);
    EXPECT(200, "POST", V1 "/subscriptions/acme/rotate-secret", "{\"overlap_seconds\":60}");
    assert_int_equal(json_array_size(at(w, "secrets")), 2);
    EXPECT(200, "POST", V1 "/subscriptions/acme/rotate-secret", "{\"overlap_seconds\":0}");
    assert_int_equal(json_array_size(at(w, "secrets")), 1);
    EXPECT(200, "DELETE", V1 "/subscriptions/acme", NULL);
    assert_string_equal(text(w, "state"), "deleted");
    assert_true(w->jobs);
    EXPECT(404, "DELETE", V1 "/subscriptions/acme", NULL);
    EXPECT(200, "GET", V1 "/jobs", NULL);
    assert_string_equal(text(w, "items.0.kind"), "subscription_delete");
    EXPECT(201, "POST", V1 "/subscriptions", ACME); /* the name is free again */
    EXPECT(200, "GET", V1 "/audit", NULL);
    assert_int_equal(items(w), 10);
    assert_string_equal(text(w, "items.0.actor"), "uid:7 test");
    assert_null(strstr(w->raw, "whsec_"));
    assert_null(strstr(w->raw, "abc"));
}

static void test_sub_refusals(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *more;
        int status;
        const char *code;
    } rows[] = {
        {"\"url\":\"http://a.example/\"", 422, "invalid_url"},
        {"\"url\":\"https://10.0.0.1/\"", 422, "invalid_url"},
        {"\"url\":\"https://169.254.169.254/\"", 422, "invalid_url"},
        {"\"url\":\"ftp://a.example/\"", 422, "invalid_url"},
        {"\"url\":\"https://u:p@a.example/\"", 422, "invalid_url"},
        {"\"url\":7", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"events\":[\"a b\"]", 422, "invalid_events"},
        {"\"url\":\"https://a.example/\",\"events\":[\"a,b\"]", 422, "invalid_events"},
        {"\"url\":\"https://a.example/\",\"events\":[]", 422, "invalid_events"},
        {"\"url\":\"https://a.example/\",\"name\":\"a b\"", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"profile\":\"bondy\"", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"retry\":\"nope\"", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"partner\":\"nope\"", 404, "not_found"},
        {"\"url\":\"https://a.example/\",\"secret\":\"x\"", 422, "invalid_secret"},
        {"\"url\":\"https://a.example/\",\"profile\":\"standard\",\"secret\":\"longenough\"", 422,
         "invalid_secret"},
        {"\"url\":\"https://a.example/\",\"concurrency\":1.5", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"rate_per_second\":-1", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"on_dead\":\"block\"", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"headers\":{\"Host\":\"x\"}", 422, "invalid_member"},
        {"\"url\":\"https://a.example/\",\"ulr\":1", 422, "unknown_member"},
    };
    char body[512];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(body, sizeof body, "{%s%s}",
                       strstr(rows[i].more, "events") ? "" : "\"events\":\"*\",", rows[i].more);
        EXPECT(rows[i].status, "POST", V1 "/subscriptions", body);
        if (strcmp(text(w, "error.code"), rows[i].code) != 0)
            print_error("row %zu: %s\n", i, w->raw);
        assert_string_equal(text(w, "error.code"), rows[i].code);
    }
    EXPECT(400, "POST", V1 "/subscriptions", "[]");
    EXPECT(404, "GET", V1 "/subscriptions/nobody", NULL);
    EXPECT(405, "PUT", V1 "/subscriptions/nobody", NULL);
    EXPECT(404, "GET", V1 "/nothing", NULL);
    EXPECT(201, "POST", V1 "/subscriptions",
           "{\"url\":\"https://127.0.0.1:8443/\",\"events\":\"*\"}");
    assert_string_equal(text(w, "name"), "127.0.0.1");
    EXPECT(201, "POST", V1 "/subscriptions",
           "{\"url\":\"https://127.0.0.1:8443/\",\"events\":\"*\"}");
    assert_string_equal(text(w, "name"), "127.0.0.1-2");
    EXPECT(200, "GET", V1 "/subscriptions?limit=1", NULL);
    assert_int_equal(items(w), 1);
    assert_string_not_equal(text(w, "next_cursor"), "(none)");
}

static void test_partners(void **state)
{
    struct world *w = *state;
    EXPECT(201, "POST", V1 "/partners", "{\"name\":\"globex\"}");
    EXPECT(409, "POST", V1 "/partners", "{\"name\":\"globex\"}");
    EXPECT(422, "POST", V1 "/partners", "{\"name\":\"a b\"}");
    EXPECT(200, "GET", V1 "/partners", NULL);
    assert_int_equal(items(w), 2);
    EXPECT(201, "POST", V1 "/subscriptions",
           "{\"url\":\"https://g.example/\",\"events\":\"*\",\"partner\":\"globex\"}");
    assert_string_equal(text(w, "partner"), "globex");
    EXPECT(202, "POST", V1 "/events", "{\"type\":\"a\",\"data\":1,\"partner\":\"globex\"}");
    assert_int_equal(number(w, "matched"), 1);
    EXPECT(202, "POST", V1 "/events", "{\"type\":\"a\",\"data\":1}");
    assert_int_equal(number(w, "matched"), 0);
}

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
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (count(w, rows[i].query) != rows[i].n) {
            print_error("%s: %lld\n", rows[i].query, (long long)number(w, "count"));
            _fail(__FILE__, __LINE__);
        }
    static const char *const refused[] = {"caus=gone",      "cause=x",   "status=700", "since=soon",
                                          "limit=0",        "cursor=x",  "id=a%20b",   "type=a%20b",
                                          "min_attempts=x", "limit=1001"};
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
    EXPECT(200, "POST", V1 "/replays",
           "{\"filter\":{\"all\":true},\"dry_run\":true,\"ignore_expiry\":true}");
    assert_int_equal(number(w, "count"), 2);
    EXPECT(200, "DELETE", V1 "/subscriptions/acme", NULL);
    EXPECT(200, "POST", V1 "/replays", "{\"filter\":{\"all\":true},\"dry_run\":true}");
    assert_int_equal(number(w, "count"), 0);
    assert_int_equal(number(w, "excluded"), 2);
}

static void test_purge(void **state)
{
    struct world *w = *state;
    three_letters(w);
    EXPECT(422, "POST", V1 "/dead-letters/purge", "{\"filter\":{},\"confirm\":5}");
    EXPECT(422, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true}}");
    assert_string_equal(text(w, "error.code"), "confirm_required");
    EXPECT(409, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":4}");
    assert_int_equal(count(w, ""), 5);
    EXPECT(200, "POST", V1 "/dead-letters/purge",
           "{\"filter\":{\"subscription\":\"acme\"},\"confirm\":2}");
    assert_int_equal(number(w, "purged"), 2);
    assert_true(json_is_false(at(w, "more")));
    assert_int_equal(count(w, ""), 3);
    EXPECT(200, "GET", V1 "/deliveries?state=discarded", NULL);
    assert_int_equal(items(w), 2);
}

static void test_purge_in_slices(void **state)
{
    struct world *w = *state;
    char *body = malloc(65536), again[512];
    size_t n = 0;
    sub_of(w, "acme");
    for (int half = 0; half < 2; half++) {
        n = (size_t)snprintf(body, 65536, "[");
        for (int i = 0; i < 150; i++)
            n += (size_t)snprintf(body + n, 65536 - n, "%s{\"type\":\"order.x\",\"data\":%d}",
                                  i ? "," : "", i);
        (void)snprintf(body + n, 65536 - n, "]");
        EXPECT(202, "POST", V1 "/events", body);
    }
    free(body);
    for (int i = 0; i < 5; i++)
        kill_all(w, "acme");
    EXPECT(200, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":300}");
    assert_int_equal(number(w, "purged"), 256);
    assert_true(json_is_true(at(w, "more")));
    (void)snprintf(again, sizeof again,
                   "{\"filter\":{\"all\":true},\"cursor\":\"%s\",\"until\":\"%s\"}",
                   text(w, "cursor"), text(w, "until"));
    EXPECT(200, "POST", V1 "/dead-letters/purge", again);
    assert_int_equal(number(w, "purged"), 44);
    assert_int_equal(count(w, ""), 0);
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
    EXPECT(200, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":5}");
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
    EXPECT(200, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":1}");
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

/* ---- the rest ---- */

static void test_rejects(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    char target[128];
    struct reject r = {.num = 4711,
                       .outbox = "trades",
                       .seq = 3,
                       .reason = "partner: 'globex' is unknown",
                       .row = "{\"seq\":3,\"type\":\"a.b\",\"payload\":\"{\\\"q\\\":1}\","
                              "\"event_id\":\"x-1\",\"partner\":\"globex\",\"attributes\":null,"
                              "\"deliver_after\":null}",
                       .created_ms = 1700000000000};
    must(w->b->ops->begin(w->b, &err), &err);
    must(w->b->ops->reject_put(w->b, &r, &err), &err);
    must(w->b->ops->commit(w->b, &err), &err);
    EXPECT(200, "GET", V1 "/outbox-rejects", NULL);
    assert_int_equal(items(w), 1);
    (void)snprintf(target, sizeof target, V1 "/outbox-rejects/%s", text(w, "items.0.id"));
    EXPECT(200, "GET", target, NULL);
    assert_string_equal(text(w, "row.type"), "a.b");
    char retry[160];
    (void)snprintf(retry, sizeof retry, "%s/retry", target);
    EXPECT(422, "POST", retry, NULL);
    assert_string_equal(text(w, "error.code"), "still_rejected");
    EXPECT(201, "POST", V1 "/partners", "{\"name\":\"globex\"}");
    EXPECT(202, "POST", retry, NULL);
    assert_string_equal(text(w, "id"), "x-1");
    EXPECT(404, "DELETE", target, NULL);
    EXPECT(200, "GET", V1 "/events/x-1?payload=1", NULL);
    assert_int_equal(number(w, "payload.q"), 1);
}

static void test_status(void **state)
{
    struct world *w = *state;
    struct api_live live = {.pid = 12, .ready = true, .in_flight = 3, .in_flight_limit = 512};
    EXPECT(200, "GET", V1 "/status", NULL);
    assert_true(json_is_false(at(w, "daemon")));
    assert_true(json_is_false(at(w, "ready")));
    w->api.live = &live;
    EXPECT(200, "GET", V1 "/status", NULL);
    assert_true(json_is_true(at(w, "ready")));
    assert_int_equal(number(w, "pid"), 12);
    assert_int_equal(number(w, "deliveries.in_flight"), 3);
    w->api.live = NULL;
}

static void states_are(struct world *w, const char *query, const char *first, const char *second)
{
    EXPECT(200, "GET", query, NULL);
    assert_string_equal(text(w, "items.0.state"), first);
    assert_string_equal(text(w, "items.1.state"), second);
}

/* The store knows nothing of it: what the loop told is laid over its answers. */
static void test_in_flight(void **state)
{
    struct world *w = *state;
    struct api_live live = {.ready = true, .in_flight = 1};
    char path[128], first[64];
    int64_t num;
    sub_of(w, "acme");
    EXPECT(202, "POST", V1 "/events", "{\"type\":\"order.new\",\"data\":1,\"id\":\"e-1\"}");
    EXPECT(202, "POST", V1 "/events", "{\"type\":\"order.new\",\"data\":2,\"id\":\"e-2\"}");
    EXPECT(200, "GET", V1 "/events/e-1", NULL);
    (void)snprintf(first, sizeof first, "%s", text(w, "deliveries.0.id"));
    assert_true(id_parse(first, "dlv", &num));
    states_are(w, V1 "/deliveries?order=oldest", "pending", "pending");
    states_are(w, V1 "/deliveries?state=in_flight", "(none)", "(none)");
    live.sending = &num;
    live.sending_n = 1;
    w->api.live = &live;
    states_are(w, V1 "/deliveries?order=oldest", "in_flight", "pending");
    states_are(w, V1 "/deliveries?state=in_flight", "in_flight", "(none)");
    assert_string_equal(text(w, "items.0.id"), first);
    assert_string_equal(text(w, "items.0.next_attempt_at"), "(none)");
    states_are(w, V1 "/subscriptions/acme/deliveries?state=in_flight&id=e-1", "in_flight",
               "(none)");
    states_are(w, V1 "/deliveries?state=in_flight&id=e-2", "(none)", "(none)");
    /* a page that is all in flight is not the end */
    states_are(w, V1 "/deliveries?state=pending&order=oldest&limit=1", "pending", "(none)");
    assert_string_equal(text(w, "items.0.event_id"), "e-2");
    (void)snprintf(path, sizeof path, V1 "/deliveries/%s", first);
    EXPECT(200, "GET", path, NULL);
    assert_string_equal(text(w, "state"), "in_flight");
    EXPECT(200, "GET", V1 "/events/e-1", NULL);
    assert_string_equal(text(w, "deliveries.0.state"), "in_flight");
    EXPECT(200, "GET", V1 "/status", NULL);
    assert_int_equal(number(w, "deliveries.in_flight"), 1);
    assert_int_equal(number(w, "deliveries.pending"), 1);
    w->api.live = NULL;
}

static void test_routes_are_distinct(void **state)
{
    bool allowed;
    (void)state;
    for (size_t i = 0; api_route_at(i); i++) {
        char method[16], path[128];
        assert_int_equal(sscanf(api_route_name(api_route_at(i)), "%15s %127s", method, path), 2);
        assert_ptr_equal(api_route_find(method, path, &allowed), api_route_at(i));
    }
    assert_null(api_route_find("GET", V1 "/subscriptions/", &allowed));
    assert_null(api_route_find("GET", V1 "/subscriptions/a/b", &allowed));
    assert_null(api_route_find("GET", "", &allowed));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_event_bytes_are_kept),
        TEST(test_event_refusals),
        TEST(test_event_conflict_and_size),
        TEST(test_sub_life),
        TEST(test_sub_refusals),
        TEST(test_partners),
        TEST(test_in_flight),
        TEST(test_dead_filters),
        TEST(test_replay),
        TEST(test_replay_leaves_out),
        TEST(test_purge),
        TEST(test_purge_in_slices),
        TEST(test_round_trip),
        TEST(test_import_refuses),
        TEST(test_rejects),
        TEST(test_status),
        cmocka_unit_test(test_routes_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
