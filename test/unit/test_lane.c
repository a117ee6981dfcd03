/* test/unit/test_lane.c: a lane's arithmetic: how many may be in doubt, what a claim is told to skip,
 * which answers of an old snapshot are ghosts. */
#include "engine/lane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* A trial stands before all others and waits for nothing that they wait for. */
static void a_trial_goes_first(void **state)
{
    struct lane *l = lane_new(NULL, 1);
    struct task *t = task_of(l, 2);

    (void)state;
    l->max_in_flight = 1;
    window_init(&l->window, 1);
    rate_init(&l->rate, 0, 1000);
    assert_false(lane_may_try(l, 1000)); /* its row is not there */
    l->row.url = "https://a.example/";
    l->row.state = SUB_PAUSED;
    lane_saw_due(l, 500);
    assert_int_equal(lane_wake_ms(l, 1000), INT64_MAX);
    lane_saw_due(l, TRIAL_DUE_MS);
    assert_true(lane_wants_trial(l, 1000));
    assert_int_equal(lane_appetite(l, 1000), 0); /* the others are held */
    assert_int_equal(lane_wake_ms(l, 1000), 1000);
    l->claiming = true;
    assert_false(lane_wants_trial(l, 1000));
    l->claiming = false;
    l->next_due_ms = 500;
    lane_queue(l, task_of(l, 1));
    t->row->delivery.trial = true;
    t->row->delivery.due_ms = TRIAL_DUE_MS;
    lane_queue(l, t);
    assert_ptr_equal(l->queue.first, t);
    assert_int_equal(lane_wake_ms(l, 1000), 1000);
    l->wait_until_ms = 9000;
    assert_true(lane_may_try(l, 1000));
    assert_false(lane_take(l, 1000));
    l->again_ms = 1100; /* there was no descriptor */
    assert_false(lane_may_try(l, 1000));
    assert_int_equal(lane_wake_ms(l, 1000), 1100);
    l->again_ms = 0;
    l->row.state = SUB_DELETED;
    assert_false(lane_may_try(l, 1000));
    lane_free(l);
}

/* What a lane keeps of its subscription is its own, and all of it. */
static void a_copy_stands_alone(void **state)
{
    char texts[][8] = {"name",  "partner", "url",    "types", "profile",
                       "retry", "cause",   "bearer", "{}"};
    char first[] = "whsec_1", second[] = "s";
    struct secret secrets[] = {{7, first, 1, 2}, {8, second, 3, 0}, {9, NULL, 4, 0}};
    struct subscription from = {.num = 5,
                                .name = texts[0],
                                .partner_name = texts[1],
                                .url = texts[2],
                                .patterns = texts[3],
                                .profile = texts[4],
                                .retry = texts[5],
                                .state_cause = texts[6],
                                .bearer = texts[7],
                                .headers = texts[8],
                                .secrets = secrets,
                                .secrets_n = 3},
                        empty = {.num = 6}, to;

    (void)state;
    void *block = subscription_copy(&from, &to);
    assert_non_null(block);
    memset(texts, 'x', sizeof texts);
    memset(first, 'x', sizeof first);
    memset(second, 'x', sizeof second);
    memset(secrets, 0, sizeof secrets);
    assert_int_equal(to.num, 5);
    assert_string_equal(to.name, "name");
    assert_string_equal(to.partner_name, "partner");
    assert_string_equal(to.url, "url");
    assert_string_equal(to.patterns, "types");
    assert_string_equal(to.profile, "profile");
    assert_string_equal(to.retry, "retry");
    assert_string_equal(to.state_cause, "cause");
    assert_string_equal(to.bearer, "bearer");
    assert_string_equal(to.headers, "{}");
    assert_int_equal(to.secrets_n, 3);
    assert_int_equal(to.secrets[0].num, 7);
    assert_string_equal(to.secrets[0].value, "whsec_1");
    assert_int_equal(to.secrets[0].expires_ms, 2);
    assert_string_equal(to.secrets[1].value, "s");
    assert_null(to.secrets[2].value);
    free(block);
    block = subscription_copy(&empty, &to);
    assert_non_null(block);
    assert_null(to.name);
    assert_null(to.url);
    assert_int_equal(to.secrets_n, 0);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ghosts),
        cmocka_unit_test(doubt_is_bounded),
        cmocka_unit_test(what_is_known),
        cmocka_unit_test(held_by_the_rate),
        cmocka_unit_test(a_trial_goes_first),
        cmocka_unit_test(a_copy_stands_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
