/* test/unit/test_api_dead.c: the routes of dead letters by their handlers, on a real store: filters, groups,
 * payloads, ids that are nobody's. */
#include "test/unit/api_dead_world.h"

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
    EXPECT(422, "GET", V1 "/attempts?contains=n", NULL);
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
        TEST(test_dead_summary),
        TEST(test_dead_contains),
        TEST(test_dead_unmatched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
