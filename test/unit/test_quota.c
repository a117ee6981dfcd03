/* test/unit/test_quota.c: what all delivery loops together may have in flight: never more, nobody goes
 * without, and nothing gets lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <sched.h>

#include "base/dice.h"
#include "engine/quota.h"

#include <cmocka.h> /* last: its fail() is a macro */

enum { MAX = 64, MOST = 3 };
struct world {
    struct quota quota;
    struct share shares[MOST];
    int in_flight[MOST], woken[MOST];
};

static void wake(void *arg, int share)
{
    ((struct world *)arg)->woken[share]++;
}

static void begin(struct world *w, int max, int shares)
{
    *w = (struct world){.woken = {0}};
    quota_init(&w->quota, max, shares, wake, w);
    for (int i = 0; i < shares; i++)
        share_init(&w->shares[i], &w->quota, i);
}

/* A run: as many as it may; how many it has then. */
static int start(struct world *w, int i, int n, bool first)
{
    for (; n > 0 && share_lets(&w->shares[i], w->in_flight[i], first); n--)
        w->in_flight[i]++;
    share_rest(&w->shares[i], w->in_flight[i]);
    return w->in_flight[i];
}

static void settle(struct world *w, int i, int n)
{
    for (; n > 0; n--)
        share_trim(&w->shares[i], --w->in_flight[i]);
}

static void one_loop_has_all_of_it(void **state)
{
    struct world w;

    (void)state;
    begin(&w, MAX, 1);
    assert_int_equal(share_size(&w.shares[0]), MAX);
    assert_int_equal(start(&w, 0, 1000, false), MAX - MAX / 8); /* the rest is for first ones */
    assert_int_equal(start(&w, 0, 1000, true), MAX);
    assert_false(share_is_open(&w.shares[0], MAX));
    settle(&w, 0, 1);
    assert_false(share_lets(&w.shares[0], MAX - 1, false));
    assert_true(share_lets(&w.shares[0], MAX - 1, true));
    settle(&w, 0, MAX - 1);
    assert_int_equal(share_size(&w.shares[0]), MAX);
}

static void less_is_followed_as_attempts_end_and_more_at_once(void **state)
{
    struct world w;

    (void)state;
    for (int shares = 1; shares <= MOST; shares += MOST - 1) {
        begin(&w, MAX, shares);
        start(&w, 0, 50, true);
        quota_set_max(&w.quota, 10);
        assert_false(share_is_open(&w.shares[0], 50));
        settle(&w, 0, 40);
        assert_false(share_lets(&w.shares[0], 10, true));
        settle(&w, 0, 1);
        assert_int_equal(start(&w, 0, 1000, true), 10);
        quota_set_max(&w.quota, MAX);
        assert_int_equal(start(&w, 0, 1000, true), MAX);
    }
}

static void a_busy_loop_has_what_the_others_leave(void **state)
{
    struct world w;

    (void)state;
    begin(&w, MAX, 2);
    assert_int_equal(start(&w, 0, 1000, false), MAX - MAX / 8);
    settle(&w, 0, MAX - MAX / 8);
    assert_int_equal(w.shares[0].held, 0); /* idle: nothing stays with it */
    assert_int_equal(start(&w, 1, 1000, true), MAX);
}

static void who_comes_later_gets_its_part(void **state)
{
    struct world w;
    int part = (MAX - MAX / 8) / 2;

    (void)state;
    begin(&w, MAX, 2);
    start(&w, 0, 1000, false);
    assert_int_equal(start(&w, 1, 1000, true), MAX / 8); /* a first one of a lane has its way */
    assert_int_equal(start(&w, 1, 1, false), MAX / 8);
    settle(&w, 0, 1);
    assert_int_equal(w.woken[1], 1);
    for (int i = 0; i < 1000; i++) { /* both would always start more */
        settle(&w, i % 2, 1);
        start(&w, i % 2, 1000, false);
        assert_true(w.in_flight[0] + w.in_flight[1] <= MAX);
    }
    assert_true(w.in_flight[1] >= part - 2);
    assert_true(w.in_flight[0] >= part - 2);
}

/* ---- all at the same time ---- */
struct runner {
    struct share share;
    atomic_int *all;
    int most;
};

static void *run(void *arg)
{
    struct runner *r = arg;
    int in_flight = 0;

    for (int i = 0; i < 20000; i++) {
        uint32_t dice = dice_u32();

        if (dice % 2 == 0 && share_lets(&r->share, in_flight, dice % 8 == 0)) {
            int n = atomic_fetch_add(r->all, 1) + 1;

            in_flight++;
            r->most = n > r->most ? n : r->most;
        } else if (in_flight > 0) {
            atomic_fetch_sub(r->all, 1);
            share_trim(&r->share, --in_flight);
        }
        if (dice % 4 == 0)
            share_rest(&r->share, in_flight);
        if (dice % 64 == 0)
            (void)sched_yield();
    }
    while (in_flight > 0) {
        atomic_fetch_sub(r->all, 1);
        share_trim(&r->share, --in_flight);
    }
    share_rest(&r->share, 0); /* it may have found nothing just before: */
    share_rest(&r->share, 0); /* a run in which it wants nothing ends the waiting */
    return NULL;
}

static void nobody(void *arg, int share)
{
    (void)arg;
    (void)share;
}

static void many_threads_keep_the_limit_and_lose_nothing(void **state)
{
    struct runner runners[MOST];
    pthread_t threads[MOST];
    struct quota q;
    atomic_int all = 0;

    (void)state;
    quota_init(&q, 10, MOST, nobody, NULL);
    for (int i = 0; i < MOST; i++) {
        runners[i] = (struct runner){.all = &all};
        share_init(&runners[i].share, &q, i);
        assert_int_equal(pthread_create(&threads[i], NULL, run, &runners[i]), 0);
    }
    for (int i = 0; i < MOST; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(runners[i].most <= 10);
        assert_int_equal(runners[i].share.held, 0);
    }
    assert_int_equal(atomic_load(&q.left), 10);
    assert_true(atomic_load(&q.waiting) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_loop_has_all_of_it),
        cmocka_unit_test(less_is_followed_as_attempts_end_and_more_at_once),
        cmocka_unit_test(a_busy_loop_has_what_the_others_leave),
        cmocka_unit_test(who_comes_later_gets_its_part),
        cmocka_unit_test(many_threads_keep_the_limit_and_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
