/* test/unit/test_api_purge.c: purge, restore and notes of dead letters by their handlers, on a real store. */
#include "test/unit/api_dead_world.h"

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

static void test_restore(void **state)
{
    struct world *w = *state;
    char job[64], body[128], replay[64];
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
    (void)snprintf(replay, sizeof replay, "%s", text(w, "id"));
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", replay);
    EXPECT(422, "POST", V1 "/dead-letters/restore", body); /* that is a replay */
    (void)snprintf(body, sizeof body, V1 "/jobs/%s/cancel", replay);
    EXPECT(200, "POST", body, NULL);
    /* while it purges, and when it was stopped in the middle */
    EXPECT(202, "POST", V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":5}");
    (void)snprintf(body, sizeof body, "{\"job\":\"%s\"}", text(w, "id"));
    (void)snprintf(job, sizeof job, "%s", text(w, "id"));
    EXPECT(409, "POST", V1 "/dead-letters/restore", body);
    assert_string_equal(text(w, "error.code"), "job_active");
}

static void job_moved(struct world *w, const char *job, const char *verb)
{
    char path[128];
    (void)snprintf(path, sizeof path, V1 "/jobs/%s/%s", job, verb);
    EXPECT(200, "POST", path, NULL);
}

#define PURGE_OF(sub, n) "{\"filter\":{\"subscription\":\"" sub "\"},\"confirm\":" #n "}"

/* What a replay has selected is not taken away from under it, also while it is paused; of others it is. */
static void test_not_under_a_replay(void **state)
{
    struct world *w = *state;
    struct half h;
    char replay[64], job[64];
    three_letters(w);
    half_begin(w, &h, V1 "/dead-letters/purge", "{\"filter\":{\"all\":true},\"confirm\":5}");
    EXPECT(202, "POST", V1 "/replays", "{\"filter\":{\"subscription\":\"acme\"}}");
    (void)snprintf(replay, sizeof replay, "%s", text(w, "id"));
    assert_int_equal(half_end(w, &h), 409); /* it began between the halves */
    for (int i = 0; i < 2; i++) {
        EXPECT(409, "POST", V1 "/dead-letters/purge", PURGE_OF("acme", 2));
        assert_string_equal(text(w, "error.code"), "job_active");
        assert_non_null(strstr(text(w, "error.message"), replay));
        EXPECT(409, "DELETE", V1 "/dead-letters/ev-1?subscription=acme", NULL);
        EXPECT(200, "POST", V1 "/dead-letters/purge",
               "{\"filter\":{\"all\":true},\"dry_run\":true}");
        assert_string_equal(text(w, "subscriptions.1.blocked_by"), replay);
        assert_true(json_is_null(at(w, "subscriptions.0.blocked_by")));
        job_moved(w, replay, "pause");
    }
    purge(w, "{\"subscription\":\"globex\"}", 3, job);
    job_moved(w, replay, "cancel");
    purge(w, "{\"subscription\":\"acme\"}", 2, job);
}

/* Copies are made of what is still there. */
static void test_not_under_copies(void **state)
{
    struct world *w = *state;
    char job[64], copies[64];
    three_letters(w);
    EXPECT(202, "POST", V1 "/replays",
           "{\"filter\":{\"subscription\":\"acme\"},\"to\":\"https://copies.example.com/\"}");
    (void)snprintf(copies, sizeof copies, "%s", text(w, "id"));
    EXPECT(409, "POST", V1 "/dead-letters/purge", PURGE_OF("acme", 2));
    job_moved(w, copies, "cancel");
    purge(w, "{\"subscription\":\"acme\"}", 2, job);
}

/* And a replay counts nothing that a purge is taking just now. */
static void test_no_replay_under_a_purge(void **state)
{
    struct world *w = *state;
    char purging[64];
    three_letters(w);
    EXPECT(202, "POST", V1 "/dead-letters/purge", PURGE_OF("acme", 2));
    (void)snprintf(purging, sizeof purging, "%s", text(w, "id"));
    EXPECT(409, "POST", V1 "/replays", "{\"filter\":{\"all\":true}}");
    assert_non_null(strstr(text(w, "error.message"), purging));
    EXPECT(200, "POST", V1 "/replays/preview", "{\"filter\":{\"all\":true}}");
    assert_string_equal(text(w, "targets.0.blocked_by_kind"), "purge");
    EXPECT(202, "POST", V1 "/replays", "{\"filter\":{\"subscription\":\"globex\"}}");
    job_moved(w, purging, "cancel");
    EXPECT(202, "POST", V1 "/replays", "{\"filter\":{\"subscription\":\"acme\"}}");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_purge),
        TEST(test_purge_counts_as_of_its_first_half),
        TEST(test_restore_between_its_halves),
        TEST(test_restore),
        TEST(test_not_under_a_replay),
        TEST(test_not_under_copies),
        TEST(test_no_replay_under_a_purge),
        TEST(test_purge_without_a_grace),
        TEST(test_delete_and_note_of_one),
        TEST(test_purge_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
