/* test/unit/test_verdict.c: verdicts as a table: every outcome under the three kinds of policy,
 * then the special rules. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/verdict.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define NOW INT64_C(1700000000000)
#define MIDDLE 0x80000000U

static struct retry_policy policy(void)
{
    struct retry_policy p;
    retry_policy_default(&p);
    p.jitter = 0;
    return p;
}

static struct verdict_facts facts(enum fact_outcome outcome, int status, int failed)
{
    return (struct verdict_facts){
        .outcome = outcome,
        .status = status,
        .retry = {.failed = failed, .since_ms = NOW, .now_ms = NOW, .hint_ms = -1, .dice = MIDDLE}};
}

static void outcome_of_status(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum fact_outcome outcome;
    } rows[] = {
        {200, FACT_SUCCESS},  {201, FACT_SUCCESS},  {204, FACT_SUCCESS},  {299, FACT_SUCCESS},
        {300, FACT_HTTP_3XX}, {301, FACT_HTTP_3XX}, {304, FACT_HTTP_3XX}, {399, FACT_HTTP_3XX},
        {400, FACT_HTTP_4XX}, {404, FACT_HTTP_4XX}, {408, FACT_HTTP_4XX}, {410, FACT_HTTP_4XX},
        {428, FACT_HTTP_4XX}, {429, FACT_HTTP_429}, {430, FACT_HTTP_4XX}, {499, FACT_HTTP_4XX},
        {500, FACT_HTTP_5XX}, {503, FACT_HTTP_5XX}, {599, FACT_HTTP_5XX}, {101, FACT_HTTP_5XX},
        {199, FACT_HTTP_5XX}, {600, FACT_HTTP_5XX}, {999, FACT_HTTP_5XX}, {0, FACT_HTTP_5XX},
    };
    for (size_t i = 0; i < N(rows); i++)
        assert_int_equal(verdict_outcome_of_status(rows[i].status), rows[i].outcome);
}

/* D delivered, R retry, P dead permanent_failure, G dead gone, I dead invalid_endpoint,
 * X dead retries_exhausted, E dead expired. */
static char letter(const struct verdict *v)
{
    if (v->kind == VERDICT_DELIVERED)
        return 'D';
    if (v->kind == VERDICT_RETRY)
        return 'R';
    switch (v->cause) {
    case VERDICT_RETRIES_EXHAUSTED:
        return 'X';
    case VERDICT_PERMANENT_FAILURE:
        return 'P';
    case VERDICT_GONE:
        return 'G';
    case VERDICT_INVALID_ENDPOINT:
        return 'I';
    case VERDICT_EXPIRED:
        return 'E';
    case VERDICT_NONE:
    case VERDICT_ENDPOINT_DOWN:
        return '?';
    }
    return '?';
}

static void every_outcome_under_every_kind_of_policy(void **state)
{
    (void)state;
    /* verdicts: first failure, last failure (budget used up), first failure of an expired event;
     * endpoint: + a success for the breaker, - a failure, 0 neither. */
    static const struct {
        enum fact_outcome outcome;
        int status;
        bool literal;
        const char *by_default, *by_list, *by_non_2xx; /* the list: 302, 404, 408, 410 */
        char endpoint;
    } rows[] = {
        {FACT_SUCCESS, 200, false, "DDD", "DDD", "DDD", '+'},
        {FACT_SUCCESS, 204, false, "DDD", "DDD", "DDD", '+'},
        {FACT_HTTP_3XX, 301, false, "PPE", "PPE", "RXE", '+'},
        {FACT_HTTP_3XX, 302, false, "PPE", "RXE", "RXE", '+'},
        {FACT_HTTP_4XX, 400, false, "PPE", "PPE", "RXE", '+'},
        {FACT_HTTP_4XX, 401, false, "PPE", "PPE", "RXE", '+'},
        {FACT_HTTP_4XX, 404, false, "PPE", "RXE", "RXE", '+'},
        {FACT_HTTP_4XX, 408, false, "PPE", "RXE", "RXE", '+'},
        {FACT_HTTP_4XX, 410, false, "GGE", "GGE", "GGE", '+'},
        {FACT_HTTP_429, 429, false, "RXE", "RXE", "RXE", '0'},
        {FACT_HTTP_5XX, 500, false, "RXE", "RXE", "RXE", '-'},
        {FACT_HTTP_5XX, 501, false, "RXE", "RXE", "RXE", '-'},
        {FACT_HTTP_5XX, 503, false, "RXE", "RXE", "RXE", '-'},
        {FACT_TIMEOUT, 0, false, "RXE", "RXE", "RXE", '-'},
        {FACT_DNS, 0, false, "RXE", "RXE", "RXE", '-'},
        {FACT_CONNECT, 0, false, "RXE", "RXE", "RXE", '-'},
        {FACT_TLS, 0, false, "RXE", "RXE", "RXE", '-'},
        {FACT_RESET, 0, false, "RXE", "RXE", "RXE", '-'},
        {FACT_BLOCKED, 0, true, "IIE", "IIE", "IIE", '0'},
        {FACT_BLOCKED, 0, false, "RIE", "RIE", "RIE", '0'},
        {FACT_INTERNAL, 0, false, "RXE", "RXE", "RXE", '0'},
    };
    struct retry_policy by_default = policy(), by_list = policy(), by_non_2xx = policy();
    static const int16_t listed[] = {302, 404, 408, 410};
    for (size_t i = 0; i < N(listed); i++)
        by_list.retry_statuses[by_list.retry_statuses_n++] = listed[i];
    by_non_2xx.retry_non_2xx = true;
    for (size_t i = 0; i < N(rows); i++) {
        const struct {
            const struct retry_policy *policy;
            const char *expected;
        } columns[] = {{&by_default, rows[i].by_default},
                       {&by_list, rows[i].by_list},
                       {&by_non_2xx, rows[i].by_non_2xx}};
        for (size_t c = 0; c < N(columns); c++) {
            for (int when = 0; when < 3; when++) {
                struct verdict_facts f = facts(rows[i].outcome, rows[i].status, when == 1 ? 6 : 1);
                f.literal_refused = rows[i].literal;
                f.expires_ms = when == 2 ? NOW : 0;
                struct verdict v;
                verdict_judge(columns[c].policy, &f, &v);
                if (letter(&v) != columns[c].expected[when])
                    fail_msg("row %zu column %zu case %d: %c, not %c", i, c, when, letter(&v),
                             columns[c].expected[when]);
                assert_int_equal(v.disable, rows[i].status == 410);
                assert_int_equal(v.endpoint_success, rows[i].endpoint == '+');
                assert_int_equal(v.endpoint_failure, rows[i].endpoint == '-');
                assert_int_equal(v.lane_wait_until_ms, 0);
                assert_int_equal(v.next_ms, v.kind == VERDICT_RETRY ? NOW + 1000 : 0);
                if (v.kind != VERDICT_DEAD)
                    assert_int_equal(v.cause, VERDICT_NONE);
            }
        }
    }
}

static void the_whole_budget(void **state)
{
    (void)state;
    static const int64_t delays[] = {1000, 2000, 4000, 8000, 16000};
    struct retry_policy p = policy();
    struct verdict v;
    for (int failed = 1; failed <= 6; failed++) {
        struct verdict_facts f = facts(FACT_HTTP_5XX, 503, failed);
        verdict_judge(&p, &f, &v);
        if (failed <= 5) {
            assert_int_equal(v.kind, VERDICT_RETRY);
            assert_int_equal(v.next_ms, NOW + delays[failed - 1]);
        }
    }
    assert_int_equal(v.kind, VERDICT_DEAD);
    assert_int_equal(v.cause, VERDICT_RETRIES_EXHAUSTED);
}

static void age_ends_it_too(void **state)
{
    (void)state;
    struct retry_policy p = policy();
    p.max_age_ms = 60000;
    struct verdict_facts f = facts(FACT_TIMEOUT, 0, 1);
    struct verdict v;
    f.retry.since_ms = NOW - 59000;
    verdict_judge(&p, &f, &v);
    assert_int_equal(letter(&v), 'R');
    f.retry.since_ms--;
    verdict_judge(&p, &f, &v);
    assert_int_equal(letter(&v), 'X');
}

static void expiry(void **state)
{
    (void)state;
    static const struct {
        int64_t expires_in_ms;
        char verdict;
        int64_t next_in_ms;
    } rows[] = {
        {-1, 'E', 0},      {0, 'E', 0},     /* at its expiry it is past */
        {1, 'R', 1},       {999, 'R', 999}, /* wakes up to die in time */
        {1000, 'R', 1000}, {5000, 'R', 1000},
    };
    struct retry_policy p = policy();
    for (size_t i = 0; i < N(rows); i++) {
        struct verdict_facts f = facts(FACT_CONNECT, 0, 1);
        struct verdict v;
        f.expires_ms = NOW + rows[i].expires_in_ms;
        verdict_judge(&p, &f, &v);
        assert_int_equal(letter(&v), rows[i].verdict);
        if (rows[i].verdict == 'R')
            assert_int_equal(v.next_ms, NOW + rows[i].next_in_ms);
    }
}

/* What we cut off ourselves gets another attempt, also where the budget is used up; not where it has expired. */
static void cut_off_by_ourselves(void **state)
{
    struct retry_policy p;
    struct verdict v;
    struct verdict_facts f = {
        .outcome = FACT_INTERNAL,
        .cut = true,
        .retry = {.failed = 99, .since_ms = 1, .now_ms = 1000, .hint_ms = -1}};
    (void)state;
    retry_policy_default(&p);
    verdict_judge(&p, &f, &v);
    assert_int_equal(v.kind, VERDICT_RETRY);
    assert_int_equal(v.next_ms, 1000);
    assert_false(v.endpoint_failure);
    f.expires_ms = 1000;
    verdict_judge(&p, &f, &v);
    assert_int_equal(v.kind, VERDICT_DEAD);
}

static void lane_waits(void **state)
{
    (void)state;
    static const struct {
        enum fact_outcome outcome;
        int status;
        int64_t hint_ms, lane_ms, next_ms; /* from now; 0: no */
    } rows[] = {
        {FACT_HTTP_429, 429, -1, 0, 1000},
        {FACT_HTTP_429, 429, 0, 0, 1000},
        {FACT_HTTP_429, 429, 500, 500, 1000},
        {FACT_HTTP_429, 429, 30000, 30000, 30000},
        {FACT_HTTP_5XX, 503, 30000, 30000, 30000},
        {FACT_HTTP_5XX, 503, 7200000, 3600000, 3600000}, /* retry_after_max */
        {FACT_HTTP_5XX, 500, 30000, 0, 30000},           /* this delivery only */
        {FACT_HTTP_4XX, 404, 30000, 0, 0},
        {FACT_SUCCESS, 200, 30000, 0, 0},
    };
    struct retry_policy p = policy();
    for (size_t i = 0; i < N(rows); i++) {
        struct verdict_facts f = facts(rows[i].outcome, rows[i].status, 1);
        struct verdict v;
        f.retry.hint_ms = rows[i].hint_ms;
        verdict_judge(&p, &f, &v);
        assert_int_equal(v.lane_wait_until_ms, rows[i].lane_ms ? NOW + rows[i].lane_ms : 0);
        assert_int_equal(v.next_ms, rows[i].next_ms ? NOW + rows[i].next_ms : 0);
    }
    /* The lane waits also for the others where this delivery's own budget is used up. */
    struct verdict_facts f = facts(FACT_HTTP_429, 429, 6);
    struct verdict v;
    f.retry.hint_ms = 30000;
    verdict_judge(&p, &f, &v);
    assert_int_equal(letter(&v), 'X');
    assert_int_equal(v.lane_wait_until_ms, NOW + 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcome_of_status),
        cmocka_unit_test(every_outcome_under_every_kind_of_policy),
        cmocka_unit_test(the_whole_budget),
        cmocka_unit_test(age_ends_it_too),
        cmocka_unit_test(expiry),
        cmocka_unit_test(cut_off_by_ourselves),
        cmocka_unit_test(lane_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
