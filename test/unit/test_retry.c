/* test/unit/test_retry.c: retries as tables: policy and facts in, time of the next attempt out; and
 * Retry-After. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "policy/retry.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define NOW INT64_C(1700000000000)
#define LOW 0U
#define MIDDLE 0x80000000U /* jitter: none, to the rounding of a millisecond */
#define HIGH UINT32_MAX
#define GIVE_UP INT64_C(-1)

/* The delay of retry n, or GIVE_UP. */
static int64_t delay_of(const struct retry_policy *p, int failed, int64_t hint_ms, uint32_t dice)
{
    struct retry_facts f = {
        .failed = failed, .since_ms = NOW, .now_ms = NOW, .hint_ms = hint_ms, .dice = dice};
    int64_t next = -77;
    if (!retry_next(p, &f, &next)) {
        assert_int_equal(next, -77); /* written only on success */
        return GIVE_UP;
    }
    return next - NOW;
}

static void defaults(void **state)
{
    (void)state;
    static const struct {
        int failed;
        uint32_t dice;
        int64_t delay_ms;
    } rows[] = {
        {1, MIDDLE, 1000},      {2, MIDDLE, 2000},    {3, MIDDLE, 4000},    {4, MIDDLE, 8000},
        {5, MIDDLE, 16000},     {6, MIDDLE, GIVE_UP}, {7, MIDDLE, GIVE_UP}, {1, LOW, 900},
        {2, LOW, 1800},         {5, LOW, 14400},      {6, LOW, GIVE_UP},    {1, HIGH, 1100},
        {2, HIGH, 2200},        {5, HIGH, 17600},     {6, HIGH, GIVE_UP},   {1, 0x40000000U, 950},
        {1, 0xc0000000U, 1050}, /* uniform between the ends */
    };
    struct retry_policy p;
    retry_policy_default(&p);
    assert_string_equal(p.name, "default");
    for (size_t i = 0; i < N(rows); i++)
        assert_int_equal(delay_of(&p, rows[i].failed, -1, rows[i].dice), rows[i].delay_ms);
}

static void bondbricks(void **state)
{
    (void)state;
    static const struct {
        int failed;
        uint32_t dice;
        int64_t delay_ms;
    } rows[] = {
        {1, MIDDLE, 60000},   {2, MIDDLE, 300000}, {3, MIDDLE, 900000},
        {4, MIDDLE, GIVE_UP}, {1, LOW, 54000},     {3, LOW, 810000},
        {1, HIGH, 66000},     {3, HIGH, 990000}, /* beyond max_delay: a schedule is not capped */
    };
    struct retry_policy p;
    retry_policy_bondbricks(&p);
    assert_string_equal(p.name, "bondbricks");
    assert_true(p.retry_non_2xx);
    for (size_t i = 0; i < N(rows); i++)
        assert_int_equal(delay_of(&p, rows[i].failed, -1, rows[i].dice), rows[i].delay_ms);
}

static void schedule_longer_or_shorter_than_max_retries(void **state)
{
    (void)state;
    struct retry_policy p;
    retry_policy_bondbricks(&p);
    p.jitter = 0;
    p.max_retries = 5;
    assert_int_equal(delay_of(&p, 3, -1, HIGH), 900000);
    assert_int_equal(delay_of(&p, 4, -1, HIGH), 900000); /* the last entry repeats */
    assert_int_equal(delay_of(&p, 5, -1, HIGH), 900000);
    assert_int_equal(delay_of(&p, 6, -1, HIGH), GIVE_UP);
    p.max_retries = 2;
    assert_int_equal(delay_of(&p, 2, -1, HIGH), 300000);
    assert_int_equal(delay_of(&p, 3, -1, HIGH), GIVE_UP);
    p.max_retries = 0;
    assert_int_equal(delay_of(&p, 1, -1, HIGH), GIVE_UP);
}

static void cap(void **state)
{
    (void)state;
    static const struct {
        int failed;
        double multiplier, jitter;
        uint32_t dice;
        int64_t delay_ms;
    } rows[] = {
        {9, 2, 0, MIDDLE, 256000},       /* 2^8 s, the last below five minutes */
        {10, 2, 0, MIDDLE, 300000},      /* 512 s, capped */
        {10, 2, 0.1, HIGH, 300000},      /* jitter never lifts it above the cap */
        {10, 2, 0.1, LOW, 270000},       /* but spreads it below */
        {9, 2, 0.5, HIGH, 300000},       /* 384 s after jitter, capped */
        {1000, 2, 0, MIDDLE, 300000},    /* 2^999: beyond every integer */
        {100000, 10, 0.1, HIGH, 300000}, /* infinity */
        {50, 1, 0, MIDDLE, 1000},        /* a constant delay */
        {3, 1.5, 0, MIDDLE, 2250},
        {1, 2, 1, LOW, 0}, /* full jitter reaches zero, never less */
        {1, 2, 1, HIGH, 2000},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct retry_policy p;
        retry_policy_default(&p);
        p.max_retries = 1000000;
        p.multiplier = rows[i].multiplier;
        p.jitter = rows[i].jitter;
        assert_int_equal(delay_of(&p, rows[i].failed, -1, rows[i].dice), rows[i].delay_ms);
    }
}

static void jitter_is_uniform_and_stays_inside(void **state)
{
    (void)state;
    struct retry_policy p;
    retry_policy_default(&p);
    int64_t sum = 0, before = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        int64_t d = delay_of(&p, 4, -1, i * (UINT32_MAX / 999));
        assert_in_range(d, 7200, 8800);
        assert_true(d >= before); /* no folding over at the middle */
        before = d;
        sum += d;
    }
    assert_in_range(sum / 1000, 7995, 8005);
}

static void hint(void **state)
{
    (void)state;
    static const struct {
        int failed;
        int64_t hint_ms, delay_ms;
    } rows[] = {
        {1, -1, 1000},           {1, 0, 1000},
        {1, 999, 1000}, /* shorter than the backoff: the backoff */
        {1, 1001, 1001},         {1, 120000, 120000},
        {1, 600000, 600000},                            /* beyond max_delay is legal */
        {1, 3600000, 3600000},   {1, 3600001, 3600000}, /* retry_after_max */
        {1, INT64_MAX, 3600000}, {5, 10000, 16000},
        {6, 10000, GIVE_UP}, /* a hint gives no further attempt */
    };
    struct retry_policy p;
    retry_policy_default(&p);
    p.jitter = 0;
    for (size_t i = 0; i < N(rows); i++)
        assert_int_equal(delay_of(&p, rows[i].failed, rows[i].hint_ms, MIDDLE), rows[i].delay_ms);
    p.retry_after_max_ms = 500; /* below the backoff: the backoff stays */
    assert_int_equal(delay_of(&p, 1, 9999, MIDDLE), 1000);
    p.retry_after_max_ms = 0;
    assert_int_equal(delay_of(&p, 1, 9999, MIDDLE), 1000);
}

static void max_age(void **state)
{
    (void)state;
    static const struct {
        int64_t max_age_ms, since_ago_ms, hint_ms;
        bool again;
    } rows[] = {
        {0, INT64_C(1000000000000), -1, true}, /* no limit */
        {10000, 0, -1, true},
        {10000, 9000, -1, true},  /* exactly at the limit */
        {10000, 9001, -1, false}, /* one ms beyond */
        {10000, 20000, -1, false},
        {10000, 0, 10000, true},
        {10000, 0, 10001, false}, /* the hint leads beyond it */
    };
    struct retry_policy p;
    retry_policy_default(&p);
    p.jitter = 0;
    for (size_t i = 0; i < N(rows); i++) {
        p.max_age_ms = rows[i].max_age_ms;
        struct retry_facts f = {.failed = 1,
                                .since_ms = NOW - rows[i].since_ago_ms,
                                .now_ms = NOW,
                                .hint_ms = rows[i].hint_ms,
                                .dice = MIDDLE};
        int64_t next;
        assert_int_equal(retry_next(&p, &f, &next), rows[i].again);
    }
}

static void retry_after(void **state)
{
    (void)state;
    const int64_t now = INT64_C(784111777000); /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *value;
        int64_t ms;
    } rows[] = {
        {"0", 0},
        {"120", 120000},
        {"  7\t", 7000},
        {"007", 7000},
        {"3155760000", INT64_C(3155760000000)},
        {"3155760001", INT64_C(3155760000000)},
        {"99999999999999999999999999999999999999999999999999999999999", INT64_C(3155760000000)},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0}, /* past */
        {"Sun, 06 Nov 1994 08:49:38 GMT", 1000},
        {"Mon, 07 Nov 1994 08:49:37 GMT", 86400000},
        {"Tue, 29 Feb 2000 00:00:00 GMT", INT64_C(951782400000 - 784111777000)},
        {"Sun, 06 Nov 1994 08:49:60 GMT", 23000}, /* a leap second */
        {"Sunday, 06-Nov-94 08:49:47 GMT", 10000},
        {"Wednesday, 01-Jan-70 00:00:00 GMT", 0}, /* 1970: 24 years back */
        {"Tuesday, 01-Jan-30 00:00:00 GMT", INT64_C(1893456000000 - 784111777000)}, /* 36 ahead */
        {"Friday, 01-Jan-99 00:00:00 GMT", INT64_C(915148800000 - 784111777000)},
        {"Saturday, 01-Jan-45 00:00:00 GMT", 0}, /* 51 ahead is 1945 */
        {"Sun Nov  6 08:49:47 1994", 10000},
        {"Wed Nov 16 08:49:37 1994", 864000000},
        {"Fri, 01 Jan 9999 00:00:00 GMT", INT64_C(3155760000000)},
        {"", -1},
        {"   ", -1},
        {"-1", -1},
        {"+1", -1},
        {"1.5", -1},
        {"1s", -1},
        {"1 2", -1},
        {"0x10", -1},
        {"soon", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 +0000", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT!", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"sun, 06 nov 1994 08:49:37 gmt", -1},
        {"Sun, 06 Foo 1994 08:49:37 GMT", -1},
        {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
        {"Tue, 29 Feb 1995 00:00:00 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:60:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
        {"Sunday, 06-Nov-1994 08:49:37 GMT", -1},
        {"Sun Nov 06 08:49:37 94", -1},
        {"1994-11-06T08:49:37Z", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT Sun, 06 Nov 1994 08:49:37 GMT", -1},
    };
    for (size_t i = 0; i < N(rows); i++) {
        int64_t ms = retry_after_parse(rows[i].value, strlen(rows[i].value), now);
        if (ms != rows[i].ms)
            fail_msg("Retry-After: \"%s\": %lld, not %lld", rows[i].value, (long long)ms,
                     (long long)rows[i].ms);
    }
    /* 2026: a year more than 50 ahead is the past century's. */
    static const char y76[] = "Wednesday, 01-Jan-76 00:00:00 GMT";
    static const char y77[] = "Friday, 01-Jan-77 00:00:00 GMT";
    assert_true(retry_after_parse(y76, sizeof y76 - 1, INT64_C(1795324061120)) ==
                INT64_C(3345062400000 - 1795324061120));
    assert_int_equal(retry_after_parse(y77, sizeof y77 - 1, INT64_C(1795324061120)), 0);
    assert_int_equal(retry_after_parse("12", 1, now), 1000); /* n counts, not a NUL */
    assert_int_equal(retry_after_parse("1\0002", 3, now), -1);
    assert_int_equal(retry_after_parse("Sun, 06 Nov 1994 08:49:47 GMT\0x", 31, now), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(bondbricks),
        cmocka_unit_test(schedule_longer_or_shorter_than_max_retries),
        cmocka_unit_test(cap),
        cmocka_unit_test(jitter_is_uniform_and_stays_inside),
        cmocka_unit_test(hint),
        cmocka_unit_test(max_age),
        cmocka_unit_test(retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
