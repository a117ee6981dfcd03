/* test/unit/test_api.c: every route by its handler, on a real store: what it takes, what it
 * refuses, what it gives back. Those of dead letters: test_api_dead.c. */
#include "test/unit/api_world.h"

static const char ACME[] = "{\"url\":\"https://hooks.acme.example/x\",\"events\":[\"order.*\"],"
                           "\"name\":\"acme\"}";

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
    assert_true(json_is_false(at(w, "items.0.delivers")));
    char step[128];
    (void)snprintf(step, sizeof step, V1 "/jobs/%s/step", text(w, "items.0.id"));
    struct api_live live = {0};
    w->api.live = &live;
    EXPECT(200, "POST", step, NULL); /* the daemon's runner does it */
    assert_string_equal(text(w, "state"), "active");
    w->api.live = NULL;
    EXPECT(200, "POST", step, NULL);
    assert_string_equal(text(w, "state"), "done");
    assert_string_not_equal(text(w, "finished_at"), "(none)");
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
        TEST(test_rejects),
        TEST(test_status),
        cmocka_unit_test(test_routes_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
