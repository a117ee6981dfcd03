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

/* The subscription that the job made: where its copies go. */
static struct subscription copies_of(struct world *w, const char *job, struct arena *mem)
{
    struct subscription s;
    struct job_part *parts;
    struct err err = {0};
    int64_t num;
    size_t n;
    assert_true(id_parse(job, "job", &num));
    must(w->b->ops->begin(w->b, &err), &err);
    must(w->b->ops->part_list(w->b, num, false, -1, 10, mem, &parts, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_int_not_equal(parts[0].source, parts[0].sub);
    must(w->b->ops->sub_get_num(w->b, parts[0].sub, mem, &s, &err), &err);
    must(w->b->ops->commit(w->b, &err), &err);
    return s;
}

static void test_replay_to_another_url(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *url, *word;
    } bad[] = {{"nonsense", "to: "},
               {"http://", "to: "},
               {"https://10.1.2.3/x", "private"},
               {"https://[::ffff:169.254.169.254]/", "may not be dialled"},
               {"https://u:p@test.example/", "to: "},
               {"https://test.example:22/", "port"}};
    char body[256], job[64], target[128], name[80];
    struct arena mem;
    three_letters(w);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(body, sizeof body, "{\"filter\":{\"all\":true},\"to\":\"%s\"}", bad[i].url);
        EXPECT(422, "POST", V1 "/replays", body);
        assert_string_equal(text(w, "error.code"), "invalid_url");
        assert_string_equal(text(w, "error.target"), "to");
        assert_non_null(strstr(text(w, "error.message"), bad[i].word));
        EXPECT(422, "POST", V1 "/replays/preview", body);
        EXPECT(422, "POST", V1 "/deliveries/resend", body);
    }
    EXPECT(422, "POST", V1 "/replays", "{\"filter\":{\"all\":true},\"to\":7}");
    EXPECT(200, "POST", V1 "/subscriptions/acme/pause", NULL);
    /* once, unless it is asked for more; a job that is active there and a pause are not in the way */
    for (int full = 0; full < 2; full++) {
        (void)snprintf(body, sizeof body,
                       "{\"filter\":{\"subscription\":\"acme\"},\"to\":\"https://Test.example\"%s}",
                       full ? ",\"attempts\":\"full\"" : "");
        EXPECT(200, "POST", V1 "/replays/preview", body);
        assert_int_equal(number(w, "count"), 2);
        EXPECT(202, "POST", V1 "/replays", body);
        assert_string_equal(text(w, "options.to"), "https://test.example/");
        assert_string_equal(text(w, "options.attempts"), full ? "full" : "1");
        assert_int_equal(number(w, "counts.selected"), 2);
        assert_string_equal(text(w, "subscriptions.0.subscription"), "acme");
        assert_string_equal(text(w, "subscriptions.0.url"), "https://test.example/");
    }
    (void)snprintf(job, sizeof job, "%s", text(w, "id"));
    arena_init(&mem);
    struct subscription s = copies_of(w, job, &mem);
    assert_int_equal(s.state, SUB_ACTIVE);
    assert_null(s.bearer);
    assert_null(s.headers);
    assert_int_equal(s.secrets_n, 1);
    assert_string_equal(s.patterns, "");
    (void)snprintf(name, sizeof name, "%s", s.name);
    assert_int_equal(strncmp(name, "acme.to-", 8), 0);
    EXPECT(200, "GET", V1 "/subscriptions", NULL);
    assert_int_equal(items(w), 2);
    static const char *const verbs[] = {"pause",  "resume", "disable",
                                        "enable", "test",   "rotate-secret"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        (void)snprintf(target, sizeof target, V1 "/subscriptions/%s/%s", name, verbs[i]);
        EXPECT(409, "POST", target, NULL);
    }
    (void)snprintf(target, sizeof target, V1 "/subscriptions/%s", name);
    EXPECT(409, "DELETE", target, NULL);
    EXPECT(409, "PATCH", target, "{\"rate_per_second\":1}");
    EXPECT(202, "POST", V1 "/events", "{\"type\":\"order.x\",\"data\":1}"); /* not for it */
    assert_int_equal(number(w, "matched"), 2);
    (void)snprintf(target, sizeof target, V1 "/jobs/%s/cancel", job);
    EXPECT(200, "POST", target, NULL);
    assert_int_equal(copies_of(w, job, &mem).state, SUB_DELETED);
    EXPECT(200, "GET", V1 "/dead-letters/count?subscription=acme", NULL);
    assert_int_equal(number(w, "count"), 2);
    arena_fini(&mem);
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
        TEST(test_replay_to_another_url),
        TEST(test_replay_leaves_out),
        TEST(test_two_replays_between_their_halves),
        TEST(test_replay_sees_what_changed_between_its_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
