/* test/unit/test_owners.c: whose lane is it? Somebody's, nobody else's, and each has as many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/id.h"
#include "engine/owners.h"

#include <cmocka.h> /* last: its fail() is a macro */

enum { LOOPS = 3, SUBS = 300 };

static void of_few_each_loop_has_as_many(void **state)
{
    struct id_source ids = {0};

    (void)state;
    for (int loops = 1; loops <= 7; loops++) {
        struct owners o;
        int64_t subs[SUBS];
        int had[SUBS], n[7] = {0};

        owners_init(&o, loops);
        for (int i = 0; i < SUBS; i++) { /* not one after the other */
            subs[i] = id_next(&ids, INT64_C(1700000000000) + (i % 2) * i * INT64_C(1000));
            had[i] = owners_of(&o, subs[i]);
            assert_in_range(had[i], 0, loops - 1);
            assert_in_range(++n[had[i]], i / loops, i / loops + 1);
        }
        for (int i = 0; i < SUBS; i++) {
            assert_int_equal(owners_of(&o, subs[i]), had[i]);
            assert_int_equal(owners_find(&o, subs[i]), had[i]);
        }
        owners_fini(&o);
    }
}

static void a_place_that_is_free_is_taken_next(void **state)
{
    struct owners o;

    (void)state;
    owners_init(&o, LOOPS);
    for (int64_t sub = 1; sub <= 9; sub++)
        (void)owners_of(&o, sub);
    int had = owners_of(&o, 5);
    owners_forget(&o, 5, (had + 1) % LOOPS); /* who has not got it has nothing to say */
    assert_int_equal(owners_find(&o, 5), had);
    owners_forget(&o, 5, had);
    assert_int_equal(owners_find(&o, 5), -1); /* asking does not give it to anybody */
    owners_forget(&o, 5, had);
    assert_int_equal(owners_of(&o, 10), had);
    owners_fini(&o);
}

/* All ask for the same ones at once, as the loops do at the start. */
struct asker {
    struct owners *o;
    int answers[SUBS];
};
static void *ask(void *arg)
{
    struct asker *a = arg;

    for (int i = 0; i < SUBS; i++)
        a->answers[i] = owners_of(a->o, i + 1);
    return NULL;
}

static void all_get_the_same_answer(void **state)
{
    struct owners o;
    struct asker askers[LOOPS];
    pthread_t threads[LOOPS];
    int n[LOOPS] = {0};

    (void)state;
    owners_init(&o, LOOPS);
    for (int i = 0; i < LOOPS; i++) {
        askers[i].o = &o;
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int s = 0; s < SUBS; s++) {
        n[askers[0].answers[s]]++;
        for (int i = 1; i < LOOPS; i++)
            assert_int_equal(askers[i].answers[s], askers[0].answers[s]);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(n[i], SUBS / LOOPS);
    owners_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_few_each_loop_has_as_many),
        cmocka_unit_test(a_place_that_is_free_is_taken_next),
        cmocka_unit_test(all_get_the_same_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
