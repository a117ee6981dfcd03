/* test/unit/test_api_replay.c: replays by their handlers, on a real store: what they take, what they leave out,
 * what happens between their halves. */
#include "test/unit/api_dead_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_replay),
        TEST(test_replay_leaves_out),
        TEST(test_two_replays_between_their_halves),
        TEST(test_replay_sees_what_changed_between_its_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
