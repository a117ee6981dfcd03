/* test/unit/test_breaker.c: the breaker as stories: a line of steps each, with the state after
 * every one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/breaker.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define T0 INT64_C(1700000000000)

static const struct breaker_policy policy = {
    .min_failures = 10, .min_period_ms = 30000, .probe_interval_ms = 10000};

/* n failures of k deliveries by turns, the first at T0, the last at T0 + span. */
static void fail_row(struct breaker *b, int n, int k, int64_t span_ms)
{
    for (int i = 0; i < n; i++)
        breaker_failed(b, &policy, 100 + i % k, T0 + (n > 1 ? span_ms * i / (n - 1) : 0));
}

static struct breaker opened(void)
{
    struct breaker b;
    breaker_init(&b);
    fail_row(&b, 10, 5, 30000);
    assert_int_equal(b.state, BREAKER_OPEN);
    return b;
}

static void when_it_opens(void **state)
{
    (void)state;
    static const struct {
        int failures, deliveries;
        int64_t span_ms;
        enum breaker_state after;
    } rows[] = {
        {1, 1, 0, BREAKER_CLOSED},          {9, 9, 60000, BREAKER_CLOSED}, /* too few */
        {10, 10, 30000, BREAKER_OPEN},     /* all three at their limits */
        {10, 5, 30000, BREAKER_OPEN},      /* five deliveries are enough */
        {10, 4, 30000, BREAKER_CLOSED},    /* four are not */
        {1000, 4, 600000, BREAKER_CLOSED}, /* however often and long: bad events, not the endpoint
                                            */
        {1000, 1, 600000, BREAKER_CLOSED},  {10, 10, 29999, BREAKER_CLOSED}, /* too short */
        {1000, 100, 29999, BREAKER_CLOSED}, /* a burst is no outage */
        {1000, 100, 30000, BREAKER_OPEN},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct breaker b;
        breaker_init(&b);
        fail_row(&b, rows[i].failures, rows[i].deliveries, rows[i].span_ms);
        if (b.state != rows[i].after)
            fail_msg("row %zu: state %d", i, (int)b.state);
    }
}

static void a_success_ends_the_row(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b);
    fail_row(&b, 9, 9, 60000);
    breaker_succeeded(&b);
    assert_int_equal(b.failures, 0);
    assert_int_equal(b.deliveries_n, 0);
    breaker_failed(&b, &policy, 1, T0 + 70000);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(b.first_failure_ms, T0 + 70000); /* the period begins anew */
}

static void from_enough_failures_on_it_is_slow(void **state)
{
    (void)state;
    struct breaker b;
    breaker_init(&b);
    fail_row(&b, 9, 9, 900);
    assert_int_equal(breaker_next_ms(&b), 0);
    assert_true(breaker_allows(&b, T0 + 900));
    breaker_failed(&b, &policy, 99, T0 + 1000);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(breaker_next_ms(&b), T0 + 1001);
    assert_false(breaker_allows(&b, T0 + 1000));
    assert_true(breaker_allows(&b, T0 + 1001));
    breaker_failed(&b, &policy, 99, T0 + 29999);
    assert_int_equal(breaker_next_ms(&b), T0 + 30000);
    breaker_succeeded(&b);
    assert_true(breaker_allows(&b, T0 + 30000));
    fail_row(&b, 1000, 4, 900); /* of too few deliveries: they keep to their schedules */
    assert_true(breaker_allows(&b, T0 + 900));
}

static void open_lets_one_probe_through_at_its_time(void **state)
{
    (void)state;
    struct breaker b = opened();
    int64_t probe = T0 + 30000 + 10000;
    assert_int_equal(b.opened_ms, T0 + 30000);
    assert_int_equal(breaker_next_ms(&b), probe);
    assert_false(breaker_allows(&b, probe - 1));
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_true(breaker_allows(&b, probe));
    assert_int_equal(b.state, BREAKER_PROBING);
    assert_false(breaker_allows(&b, probe + 1000000)); /* one, until it answers */
    assert_true(breaker_next_ms(&b) == INT64_MAX);
}

static void probe_fails(void **state)
{
    (void)state;
    struct breaker b = opened();
    assert_true(breaker_allows(&b, T0 + 50000));
    breaker_failed(&b, &policy, 7, T0 + 60000);
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(b.opened_ms, T0 + 30000); /* down since then, for max_hold */
    assert_int_equal(breaker_next_ms(&b), T0 + 70000);
}

static void probe_succeeds(void **state)
{
    (void)state;
    struct breaker b = opened();
    assert_true(breaker_allows(&b, T0 + 50000));
    breaker_succeeded(&b);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(breaker_next_ms(&b), 0);
    assert_true(breaker_allows(&b, T0 + 50001));
    assert_true(breaker_allows(&b, T0 + 50001));
    breaker_failed(&b, &policy, 8, T0 + 50002); /* one failure does not throw it back */
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(b.failures, 1);
}

static void probe_is_returned(void **state)
{
    (void)state;
    struct breaker b = opened();
    assert_true(breaker_allows(&b, T0 + 50000));
    breaker_probe_returned(&b);
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_true(breaker_allows(&b, T0 + 50000)); /* at once */
    assert_int_equal(b.state, BREAKER_PROBING);
    breaker_succeeded(&b);
    breaker_probe_returned(&b); /* late: nobody waits for it */
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void stragglers_prove_nothing(void **state)
{
    (void)state;
    struct breaker b = opened();
    int64_t probe = breaker_next_ms(&b);
    breaker_succeeded(&b);
    assert_int_equal(b.state, BREAKER_OPEN);
    for (int i = 0; i < 32; i++)
        breaker_failed(&b, &policy, 200 + i, T0 + 35000);
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(breaker_next_ms(&b), probe); /* not put off */
}

static void restored(void **state)
{
    (void)state;
    static const struct {
        int64_t opened_ago_ms, next_in_ms;
    } rows[] = {
        {0, 10000}, {4000, 6000}, {10000, 0}, {86400000, 0}, {-5000, 0}, /* clock stepped back */
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct breaker b;
        breaker_restore(&b, &policy, T0 - rows[i].opened_ago_ms, T0);
        assert_int_equal(b.state, BREAKER_OPEN);
        assert_true(b.opened_ms <= T0);
        assert_int_equal(breaker_next_ms(&b), T0 + rows[i].next_in_ms);
        assert_int_equal(breaker_allows(&b, T0), rows[i].next_in_ms == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_it_opens),
        cmocka_unit_test(a_success_ends_the_row),
        cmocka_unit_test(from_enough_failures_on_it_is_slow),
        cmocka_unit_test(open_lets_one_probe_through_at_its_time),
        cmocka_unit_test(probe_fails),
        cmocka_unit_test(probe_succeeds),
        cmocka_unit_test(probe_is_returned),
        cmocka_unit_test(stragglers_prove_nothing),
        cmocka_unit_test(restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
