/* test/unit/test_patience.c: when a slice of what takes long may be taken, and how long it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/patience.h"

/* When a slice of what takes long is taken; times in ms. */
static void patience(void **state)
{
    (void)state;
    static const struct {
        int64_t others, from, done, since, now, waits, slice;
        bool queued;
    } rows[] = {
        {-1000, 10, 12, 12, 12, 0, 5000, false}, /* nobody else writes: at once, a long one */
        {11, 10, 12, 12, 12, 4, 2000, false}, /* they do: twice as long as it took, a short one */
        {11, 10, 12, 12, 15, 1, 2000, false}, /* the rest of that */
        {11, 10, 12, 12, 16, 0, 2000, false}, /* it is over */
        {11, 10, 12, 12, 16, 50, 2000, true}, /* somebody is there: he first */
        {11, 10, 12, 12, 62, 0, 2000, true},  /* it has waited long enough */
        {11, 0, 1000, 1000, 1000, 0, 5000, false},   /* they wrote before it, and not since */
        {999, 0, 1000, 1000, 1000, 50, 2000, false}, /* it rests so long at most */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct patience p;
        patience_init(&p);
        if (rows[i].others > 0)
            patience_others(&p, false, rows[i].others * 1000);
        patience_done(&p, rows[i].from * 1000, rows[i].done * 1000);
        assert_int_equal(
            patience_wait_us(&p, rows[i].since * 1000, rows[i].queued, rows[i].now * 1000),
            rows[i].waits * 1000);
        assert_int_equal(patience_slice_us(&p, rows[i].now * 1000), rows[i].slice);
    }
}

/* While events come in, slices become as short as it takes not to hold the writer for long. */
static void slices_learn(void **state)
{
    (void)state;
    struct patience p;
    int64_t now = 1000000;
    patience_init(&p);
    assert_false(patience_live(&p, now));
    patience_others(&p, true, now);
    assert_true(patience_live(&p, now));
    assert_int_equal(patience_slice_us(&p, now), 400);
    for (int i = 0; i < 9; i++)
        patience_done(&p, now - 900, now);
    assert_int_equal(patience_slice_us(&p, now), 200);
    patience_done(&p, now - 100, now); /* it found nothing to do */
    assert_int_equal(patience_slice_us(&p, now), 200);
    patience_done(&p, now - 800, now); /* longer by an eighth, where its commit leaves room */
    assert_int_equal(patience_slice_us(&p, now), 225);
    for (int i = 0; i < 20; i++)
        patience_done(&p, now - 700, now);
    assert_in_range(patience_slice_us(&p, now), 400, 450);
    assert_int_equal(patience_wait_us(&p, now, false, now),
                     6 * 700); /* longer than beside others */
    for (int i = 0; i < 9; i++)
        patience_done(&p, now - 900, now);
    patience_others(&p, false, now + 90000);
    assert_int_equal(patience_slice_us(&p, now + 50000), 200);
    assert_int_equal(patience_slice_us(&p, now + 110000), 2000); /* only outcomes are written */
    assert_false(patience_live(&p, now + 110000));
    assert_int_equal(patience_slice_us(&p, now + 200000), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patience),
        cmocka_unit_test(slices_learn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
