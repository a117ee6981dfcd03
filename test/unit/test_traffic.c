/* test/unit/test_traffic.c: minutes, percentiles out of steps, and whether an endpoint fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/pace.h"
#include "store/traffic.h"

/* Last: it has a macro named fail, as base/err.h has a function. */
#include <cmocka.h>

static struct attempt attempt(enum outcome outcome, int64_t us)
{
    return (struct attempt){.n = 1,
                            .outcome = outcome,
                            .status = outcome == OUTCOME_SUCCESS ? 200 : 503,
                            .duration_us = us};
}

/* Every percentile lies in the step of the true one, and no step is wider than its half. */
static void percentiles(void **state)
{
    static const struct {
        const char *what;
        int64_t from_us, step_us;
        int n;
        double fraction;
        int64_t low_us, high_us;
    } rows[] = {
        {"one", 80000, 0, 1, 0.5, 70000, 100000},
        {"one, the last", 80000, 0, 1, 0.99, 70000, 100000},
        {"a hundred alike", 4000, 0, 100, 0.95, 3000, 5000},
        {"1 to 100 ms", 1000, 1000, 100, 0.5, 48000, 52000},
        {"1 to 100 ms", 1000, 1000, 100, 0.95, 90000, 100000},
        {"1 to 1000 ms", 1000, 1000, 1000, 0.99, 950000, 1000000},
        {"faster than the first step", 10, 0, 10, 0.5, 0, 1000},
        {"slower than the last", 45000000, 0, 10, 0.5, 30000000, TRAFFIC_LONGEST_US},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct traffic t = {0};
        for (int k = 0; k < rows[i].n; k++) {
            struct attempt a = attempt(OUTCOME_SUCCESS, rows[i].from_us + k * rows[i].step_us);
            traffic_count(&t, &a);
        }
        int64_t us = traffic_percentile(&t, rows[i].fraction);
        if (us < rows[i].low_us || us > rows[i].high_us)
            fail_msg("%s %.2f: %lld us", rows[i].what, rows[i].fraction, (long long)us);
    }
    struct traffic none = {0};
    assert_int_equal(traffic_percentile(&none, 0.5), -1);
    for (int i = 1; i < TRAFFIC_BUCKETS - 1; i++)
        assert_true(traffic_bounds_us[i] > traffic_bounds_us[i - 1]);
}

static void sums(void **state)
{
    struct traffic a = {.sub = 1, .minute_ms = 60000}, b = {.sub = 2};
    struct attempt ok = attempt(OUTCOME_SUCCESS, 500), bad = attempt(OUTCOME_TIMEOUT, 9000000);
    (void)state;
    bad.n = 3;
    traffic_count(&a, &ok);
    traffic_count(&b, &ok);
    traffic_count(&b, &bad);
    b.dead = 1;
    traffic_add(&a, &b);
    assert_int_equal(a.sub, 1);
    assert_int_equal(a.minute_ms, 60000);
    assert_int_equal(a.ok, 2);
    assert_int_equal(a.failed, 1);
    assert_int_equal(a.retries, 1);
    assert_int_equal(a.dead, 1);
    assert_int_equal(a.buckets[0], 2);
    assert_int_equal(traffic_minute(119999), 60000);
    assert_int_equal(traffic_minute(120000), 120000);
}

/* o: success, x: failure, '|': what follows is another write's. */
static struct health lived(const char *life)
{
    struct health whole = {0}, now = {0};
    for (int64_t ms = 1; *life != '\0'; life++, ms++) {
        struct attempt a = attempt(*life == 'o' ? OUTCOME_SUCCESS : OUTCOME_HTTP_5XX, 1000);
        if (*life == '|') {
            health_add(&whole, &now);
            memset(&now, 0, sizeof now);
        } else {
            health_count(&now, &a, ms);
        }
    }
    health_add(&whole, &now);
    return whole;
}

static void health(void **state)
{
    static const struct {
        const char *life;
        int64_t since_ms, in_row;
        bool failing;
    } rows[] = {
        {"", 0, 0, false},        {"o", 0, 0, false},      {"x", 1, 1, true}, /* it never worked */
        {"ox", 2, 1, false},      {"oxx", 2, 2, false},    {"oxxx", 2, 3, true},
        {"ox|x|x", 2, 3, true}, /* however it is cut */
        {"o|xxx|o", 0, 0, false}, {"xxx|ox", 6, 1, false}, {"oxxx|ox|xx", 7, 3, true},
        {"x|o", 0, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct health h = lived(rows[i].life);
        if (h.failing_since_ms != rows[i].since_ms || h.in_row != rows[i].in_row ||
            health_failing(&h) != rows[i].failing)
            fail_msg("%s: since %lld, in a row %lld", rows[i].life, (long long)h.failing_since_ms,
                     (long long)h.in_row);
    }
}

static void of_a_subscription(void **state)
{
    struct subscription s = {.health = lived("oxxx"), .broken_since_ms = 99};
    (void)state;
    assert_int_equal(sub_failing_since(&s), 2);
    s.health = lived("ox");
    assert_int_equal(sub_failing_since(&s), 99); /* the breaker knows */
    s.broken_since_ms = 0;
    assert_int_equal(sub_failing_since(&s), 0);
}

static void pace_is_of_whole_seconds(void **state)
{
    struct pace p = {0};
    (void)state;
    assert_int_equal(pace_sum(&p, 5000000), 0);
    for (int i = 0; i < 30; i++)
        for (int k = 0; k <= i; k++)
            pace_count(&p, 1000000 + i * 1000 + k);
    assert_int_equal(pace_sum(&p, 1029500), 20 + 21 + 22 + 23 + 24 + 25 + 26 + 27 + 28 + 29);
    assert_int_equal(pace_sum(&p, 1030000), 21 + 22 + 23 + 24 + 25 + 26 + 27 + 28 + 29 + 30);
    assert_int_equal(pace_sum(&p, 1039000), 30);
    assert_int_equal(pace_sum(&p, 1040000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pace_is_of_whole_seconds),
        cmocka_unit_test(percentiles),
        cmocka_unit_test(sums),
        cmocka_unit_test(health),
        cmocka_unit_test(of_a_subscription),
    };
    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}
