/* test/unit/test_canary.c: when a replay's letters may go, as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/canary.h"

static void test_canary(void **state)
{
    (void)state;
    static const struct {
        struct canary_facts f;
        enum canary_verdict verdict;
    } rows[] = {
        /* wanted, stop_at, tried, failed, since, recent */
        {{1, 0.5, 0, 0, -1, 0}, CANARY_ONE},
        {{0, 0.5, 0, 0, -1, 0}, CANARY_THROUGH}, /* no canary */
        {{1, 0.5, 1, 0, -1, 0}, CANARY_THROUGH},
        {{1, 0.5, 1, 1, -1, 1}, CANARY_ONE},
        {{1, 0.5, 4, 4, -1, 0xf}, CANARY_ONE}, /* a set of four simply gets tried */
        {{1, 0.5, 5, 5, -1, 0x1f}, CANARY_FAILED},
        {{1, 0.5, 4, 4, -1, 0xff},
         CANARY_ONE}, /* what failed before it was resumed does not count */
        {{1, 0.5, 5, 4, -1, 0x1e}, CANARY_THROUGH},
        {{3, 0.5, 5, 3, -1, 0x13}, CANARY_ONE},    /* two of three, not five failures in a row */
        {{3, 0.5, 9, 7, -1, 0x1f}, CANARY_FAILED}, /* five in a row, later */
        {{3, 0.5, 8, 5, -1, 0x0f}, CANARY_THROUGH},
        {{1, 0.5, 20, 19, 19, 0x7ffff}, CANARY_THROUGH}, /* nineteen since: too few to say */
        {{1, 0.5, 21, 11, 20, 0x7ff}, CANARY_STOP},      /* eleven of twenty */
        {{1, 0.5, 21, 10, 20, 0x3ff}, CANARY_THROUGH},   /* ten: not more than half */
        {{1, 0.5, 99, 99, 98, UINT64_MAX << 20}, CANARY_THROUGH}, /* long ago */
        {{1, 1.0, 99, 99, 98, UINT64_MAX}, CANARY_THROUGH},       /* never */
        {{1, 0.0, 21, 1, 20, 1}, CANARY_STOP},
        {{1, 0.0, 21, 0, 20, 0}, CANARY_THROUGH},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (canary_judge(&rows[i].f) != rows[i].verdict) {
            print_error("row %zu\n", i);
            assert_int_equal(canary_judge(&rows[i].f), rows[i].verdict);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_canary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
