/* test/unit/test_lane.c: a lane's arithmetic: how many may be in doubt, what a claim is told to skip,
 * which answers of an old snapshot are ghosts. */
#include "engine/lane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct task *task_of(struct lane *l, int64_t delivery)
{
    struct task *t = calloc(1, sizeof *t);

    t->lane = l;
    t->row = calloc(1, sizeof *t->row);
    t->row->delivery.num = delivery;
    return t;
}

/* A ghost is a delivery that was settled after the snapshot which shows it as ready. A snapshot as
 * new as the settlement is right: it may be ready again, by a replay. */
static void ghosts(void **state)
{
    struct lane *l = lane_new(NULL, 1);

    (void)state;
    assert_true(lane_ghost_add(l, 7, 100));
    assert_true(lane_ghost_add(l, 8, 102));
    assert_true(lane_is_ghost(l, 7, 99) && lane_is_ghost(l, 8, 99));
    assert_false(lane_is_ghost(l, 7, 100));
    assert_true(lane_is_ghost(l, 8, 101));
    assert_false(lane_is_ghost(l, 9, 99));
    lane_ghosts_forget(l);
    assert_false(lane_is_ghost(l, 7, 99));
    lane_free(l);
}

/* G2: at most twice the ceiling can be in doubt, settling ones included. */
static void doubt_is_bounded(void **state)
{
    struct lane *l = lane_new(NULL, 1);

    (void)state;
    l->max_in_flight = 2;
    window_init(&l->window, 2);
    for (int n = 0; n < 4; n++) {
        assert_true(lane_has_window(l));
        task_list_add(&l->busy, task_of(l, n + 1)); /* sent and answered: it settles */
    }
    assert_false(lane_has_window(l));
    lane_free(l);
}

/* A claim skips what is in memory, in order. */
static void what_is_known(void **state)
{
    struct lane *l = lane_new(NULL, 1);
    size_t n = 9;

    (void)state;
    assert_null(lane_known(l, NULL, 0, &n));
    assert_int_equal(n, 0);
    task_list_add(&l->queue, task_of(l, 30));
    task_list_add(&l->busy, task_of(l, 10));
    task_list_add(&l->queue, task_of(l, 20));
    int64_t *known = lane_known(l, NULL, 0, &n);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(known[i], 10 * ((int64_t)i + 1));
    free(known);
    lane_free(l);
}

/* A delivery that waits for the rate counts once, however often somebody looks. */
static void held_by_the_rate(void **state)
{
    struct lane *l = lane_new(NULL, 1);
    struct task *t = task_of(l, 1);

    (void)state;
    l->row.state = SUB_ACTIVE;
    l->max_in_flight = 8;
    window_init(&l->window, 8);
    rate_init(&l->rate, 2, 1000);
    assert_false(lane_rate_holds(l, 1000)); /* nothing waits */
    task_list_add(&l->queue, t);
    assert_false(lane_rate_holds(l, 1000)); /* it may go */
    assert_true(lane_take(l, 1000));
    assert_true(lane_rate_holds(l, 1000)); /* so may not the next */
    assert_false(lane_rate_holds(l, 1100));
    assert_false(lane_take(l, 1100));
    assert_true(lane_take(l, 1500));
    assert_true(lane_rate_holds(l, 1501));
    l->row.state = SUB_PAUSED;
    assert_true(lane_open_ms(l, 1502) == INT64_MAX);
    l->rate_held = false;
    assert_false(lane_rate_holds(l, 1502)); /* it is not the rate alone */
    lane_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ghosts),
        cmocka_unit_test(doubt_is_bounded),
        cmocka_unit_test(what_is_known),
        cmocka_unit_test(held_by_the_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
