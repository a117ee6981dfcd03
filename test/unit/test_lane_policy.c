/* test/unit/test_lane_policy.c: window, rate and patterns: what a lane asks before it starts a
 * delivery. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "policy/depth.h"
#include "policy/rate.h"
#include "policy/route.h"
#include "policy/window.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define T0 INT64_C(1700000000000)

/* Steps: '+' a success, '-' a failure, 'o' reopen; then the size that is expected. */
static void window_rows(void **state)
{
    (void)state;
    static const struct {
        int max;
        const char *steps;
        int size;
    } rows[] = {
        {32, "", 8},
        {4, "", 4},
        {0, "", 1},
        {32, "+", 9},
        {32, "++++++++", 16},                                 /* slow start: double per round */
        {32, "++++++++++++++++++++++++++++++++++++++++", 32}, /* never above max */
        {32, "-", 4},
        {32, "--", 4}, /* the same trouble: cut once per window */
        {32, "-------", 4},
        {32, "---------", 2}, /* the old window and the new one have failed throughout */
        {32, "----------------------------------------", 1},
        {32, "-++++", 4}, /* 4 + 4 × about 1/4: one per round, not two */
        {32, "-+++++", 5},
        {1, "-", 1},
        {1, "+++++", 1},
        {32, "o", 1},
        {32, "o+", 2},
        {32, "o+++++++", 8},
        {32, "+++-o", 1},
        {32, "o-+", 2},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct window w;
        window_init(&w, rows[i].max);
        for (const char *s = rows[i].steps; *s; s++) {
            if (*s == '+')
                window_succeeded(&w);
            else if (*s == '-')
                window_failed(&w);
            else
                window_reopen(&w);
            assert_in_range(window_size(&w), 1, rows[i].max < 1 ? 1 : rows[i].max);
        }
        if (window_size(&w) != rows[i].size)
            fail_msg("max %d, %s: %d, not %d", rows[i].max, rows[i].steps, window_size(&w),
                     rows[i].size);
    }
}

static void window_max_changes(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 32);
    window_set_max(&w, 3);
    assert_int_equal(window_size(&w), 3);
    window_set_max(&w, 64);
    assert_int_equal(window_size(&w), 3); /* grows by success alone */
    window_succeeded(&w);
    assert_int_equal(window_size(&w), 4);
    window_set_max(&w, -1);
    assert_int_equal(window_size(&w), 1);
}

/* A loop that always wants more: each row so many looks, `share` of 64 of what is in flight having come back
 * by each. */
static void depth_is_what_keeps_a_loop_busy(void **state)
{
    (void)state;
    static const struct {
        int share, looks, ms, size;
    } rows[] = {
        {0, 1, 0, 32},    /* what was just started cannot have been answered */
        {0, 1, 1, 64},    /* a ms later it is not the loop that is slow */
        {0, 9, 1, 512},   /* no more than may be in flight */
        {20, 50, 0, 512}, /* enough for both */
        {64, 1, 0, 448},  /* all waited for the loop */
        {40, 50, 0, 32},  {20, 50, 0, 32}, {64, 50, 1, 32}, {4, 1, 0, 64}, {4, 9, 0, 512},
    };
    struct depth d;
    int64_t now_ms = T0;
    depth_init(&d);
    depth_look(&d, 0, 512, now_ms);
    d.grew_ms = now_ms;
    for (size_t i = 0; i < N(rows); i++) {
        for (int k = 0; k < rows[i].looks; k++) {
            int n = 0, back;
            while (n < 512 && depth_lets(&d, n))
                n++;
            back = n * rows[i].share / 64;
            for (int e = 0; e < back; e++)
                depth_ended(&d);
            depth_look(&d, n - back, 512, now_ms += rows[i].ms);
        }
        if (d.size != rows[i].size)
            fail_msg("row %zu: %d, not %d", i, d.size, rows[i].size);
    }
}

static void a_depth_that_nobody_asks_more_of_stays(void **state)
{
    (void)state;
    struct depth d;
    depth_init(&d);
    for (int i = 0; i < 100; i++) {
        assert_true(depth_lets(&d, 30));
        if (i % 2 == 0)
            depth_ended(&d);
        depth_look(&d, 30, 512, T0 + i);
    }
    assert_int_equal(d.size, DEPTH_MIN);
}

/* A caller that always wants more: how many start in the ms [from, to). */
static int taken(struct rate *r, int64_t from_ms, int64_t to_ms)
{
    int n = 0;
    for (int64_t t = from_ms; t < to_ms; t++)
        while (n < 100000 && rate_take(r, t))
            n++;
    return n;
}

static void rate_keeps_to_its_number(void **state)
{
    (void)state;
    static const struct {
        double per_s;
        int first_second, next_ten;
    } rows[] = {
        {1, 1, 10}, {5, 5, 50}, {10, 10, 100}, {100, 109, 1000}, {1000, 1099, 10000}, {0.5, 1, 5},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct rate r;
        rate_init(&r, rows[i].per_s, T0);
        /* The bucket of a tenth of a second may come on top, once. */
        assert_in_range(taken(&r, T0, T0 + 1000), rows[i].first_second - 1,
                        rows[i].first_second + 1);
        assert_in_range(taken(&r, T0 + 1000, T0 + 11000), rows[i].next_ten - 1,
                        rows[i].next_ten + 1);
    }
}

static void rate_saves_up_a_tenth_of_a_second_only(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r, 100, T0);
    assert_int_equal(taken(&r, T0, T0 + 1), 10);
    assert_int_equal(taken(&r, T0 + 3600000, T0 + 3600001), 10);
}

static void rate_next_is_exact(void **state)
{
    (void)state;
    static const double per_s[] = {0.001, 0.3, 1, 3, 7, 10, 33.3, 999};
    for (size_t i = 0; i < N(per_s); i++) {
        struct rate r;
        rate_init(&r, per_s[i], T0);
        int64_t t = T0;
        for (int n = 0; n < 200; n++) {
            int64_t next = rate_next_ms(&r, t);
            assert_true(next >= t);
            if (next > t)
                assert_false(rate_take(&r, next - 1));
            assert_true(rate_take(&r, next)); /* what was promised holds */
            t = next;
        }
    }
}

static void rate_without_limit(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r, 0, T0);
    assert_int_equal(rate_next_ms(&r, T0), T0);
    assert_int_equal(taken(&r, T0, T0 + 1), 100000);
    rate_set(&r, 2, T0); /* from no limit to one */
    assert_int_equal(taken(&r, T0, T0 + 1), 1);
    assert_int_equal(rate_next_ms(&r, T0), T0 + 500);
}

static void rate_corners(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r, 1, T0);
    assert_true(rate_take(&r, T0));
    rate_return(&r);
    assert_true(rate_take(&r, T0)); /* it was not used */
    assert_false(rate_take(&r, T0));
    rate_return(&r);
    rate_return(&r);
    assert_int_equal(taken(&r, T0, T0 + 1), 1); /* never more than the bucket */
    assert_false(rate_take(&r, T0 - 5000)); /* the clock steps back: nothing comes, nothing goes */
    assert_int_equal(rate_next_ms(&r, T0 - 5000), T0 + 1000);
    assert_true(rate_take(&r, T0 + 1000));
    for (int i = 0; i < 10; i++)
        rate_set(&r, 1, T0 + 1000); /* a reload gives no free tokens */
    assert_false(rate_take(&r, T0 + 1000));
}

/* As an index finds it: is a piece of the list one of the type's patterns? */
static bool has_pattern_of(const char *list, const char *type)
{
    struct route_piece p;
    char pattern[ROUTE_PATTERN_ROOM];
    while (route_piece(&list, &p))
        for (size_t i = 0; p.n > 0 && route_pattern(type, i, pattern); i++)
            if (strlen(pattern) == p.n && memcmp(pattern, p.at, p.n) == 0)
                return true;
    return false;
}

static void patterns_match(void **state)
{
    (void)state;
    static const struct {
        const char *patterns, *type;
        bool matches;
    } rows[] = {
        {"*", "order.executed", true},
        {"*", "x", true},
        {"order.executed", "order.executed", true},
        {"order.executed", "order.execute", false},
        {"order.executed", "order.executed2", false},
        {"order.executed", "Order.executed", false},
        {"order.*", "order.executed", true},
        {"order.*", "order.executed.partly", true}, /* further dots included */
        {"order.*", "order", false},
        {"order.*", "orders.executed", false},
        {"order.*", "order.", true},
        {"order.*", "my.order.executed", false},
        {"a.b.*", "a.b.c", true},
        {"a.b.*", "a.c.b", false},
        {"a,b", "a", true},
        {"a,b", "b", true},
        {"a,b", "a,b", false},
        {"a,b", "c", false},
        {" a ,\tb.* ", "b.c", true},
        {" a ,\tb.* ", "a", true},
        {"a,*", "zzz", true},
        {"", "a", false},
        {",", "a", false},
    };
    for (size_t i = 0; i < N(rows); i++)
        if (route_matches(rows[i].patterns, rows[i].type) != rows[i].matches ||
            has_pattern_of(rows[i].patterns, rows[i].type) != rows[i].matches)
            fail_msg("%s on %s", rows[i].patterns, rows[i].type);
}

static void patterns_of_a_type(void **state)
{
    (void)state;
    static const char *const rows[][5] = {{"a", "a", "*"},
                                          {"a.b", "a.b", "a.*", "*"},
                                          {"a.b.c", "a.b.c", "a.b.*", "a.*", "*"},
                                          {"a.", "a.", "a.*", "*"}};
    for (size_t i = 0; i < N(rows); i++) {
        char pattern[ROUTE_PATTERN_ROOM];
        size_t n = 0;
        for (; route_pattern(rows[i][0], n, pattern); n++)
            assert_string_equal(pattern, rows[i][n + 1]);
        assert_true(n == 4 || rows[i][n + 1] == NULL);
    }
}

static void patterns_legal(void **state)
{
    (void)state;
    static const struct {
        const char *patterns;
        bool legal;
    } rows[] = {
        {"*", true},      {"a", true},     {"order.*", true},   {"a.b.*,c-d_e, F9.x", true},
        {"*,*", true},    {"", false},     {" ", false},        {"a,", false},
        {",a", false},    {"a,,b", false}, {"a*", false},       {"*.a", false},
        {"a.*.b", false}, {"**", false},   {".*", false},       {"a b", false},
        {"a/b", false},   {"a\nb", false}, {"\xc3\xa4", false}, {"a?", false},
    };
    for (size_t i = 0; i < N(rows); i++)
        if ((route_problem(rows[i].patterns) == NULL) != rows[i].legal)
            fail_msg("\"%s\": %s", rows[i].patterns,
                     rows[i].legal ? route_problem(rows[i].patterns) : "must be refused");
    char many[512] = "a";
    for (int i = 1; i < 100; i++)
        memcpy(many + 1 + (i - 1) * 2, ",a", 3);
    assert_null(route_problem(many));
    memcpy(many + strlen(many), ",a", 3);
    assert_non_null(route_problem(many));
    char wide[140];
    memset(wide, 'a', sizeof wide);
    wide[128] = '\0';
    assert_null(route_problem(wide));
    memcpy(wide + 128, ".*", 3);
    assert_null(route_problem(wide));
    wide[128] = 'a';
    wide[129] = '\0';
    assert_non_null(route_problem(wide));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_rows),
        cmocka_unit_test(window_max_changes),
        cmocka_unit_test(depth_is_what_keeps_a_loop_busy),
        cmocka_unit_test(a_depth_that_nobody_asks_more_of_stays),
        cmocka_unit_test(rate_keeps_to_its_number),
        cmocka_unit_test(rate_saves_up_a_tenth_of_a_second_only),
        cmocka_unit_test(rate_next_is_exact),
        cmocka_unit_test(rate_without_limit),
        cmocka_unit_test(rate_corners),
        cmocka_unit_test(patterns_match),
        cmocka_unit_test(patterns_of_a_type),
        cmocka_unit_test(patterns_legal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
