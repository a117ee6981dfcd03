/* test/conformance/test_over.c: what was delivered or discarded is found, and goes out again. */
#include "bed.h"

static const struct reopening LATER = {.job = 0, .due_ms = T0 + 60, .now_ms = T0 + 50};

static enum err_code resend(struct bed *bed, int64_t num)
{
    return bed->ops->over_resend(bed->b, num, &LATER, &bed->err);
}

static struct dead_group groups_of(struct bed *bed, struct filter f, size_t *n)
{
    struct dead_group *g = NULL;
    f.with_expired = true;
    OK_OR_DIE(bed, bed->ops->over_groups(bed->b, &f, 0, &bed->a, &g, n, &bed->err));
    return *n > 0 ? g[0] : (struct dead_group){0};
}

static void a_delivered_one(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct attempt *list;
    size_t n;
    assert_int_equal(resend(bed, d), ERR_STALE); /* open */
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    OK_OR_DIE(bed, resend(bed, d));
    struct delivery x = bed_delivery(bed, d);
    assert_int_equal(x.state, DELIVERY_RETRYING);
    assert_int_equal(x.attempts, 1);
    assert_int_equal(x.budget_start, 1);
    assert_int_equal(x.budget_since_ms, T0 + 50);
    assert_int_equal(x.finished_ms, 0);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DELIVERED], 0);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_RETRYING], 1);
    assert_int_equal(resend(bed, d), ERR_STALE);
    ASSERT_NO_CLAIMS(bed, sub, T0 + 59);
    ASSERT_CLAIMS(bed, sub, T0 + 60, d);
    bed_settle(bed, d, SETTLE_DEAD, T0 + 61); /* a letter as any other */
    assert_int_equal(bed_delivery(bed, d).state, DELIVERY_DEAD);
    assert_int_equal(resend(bed, d), ERR_STALE);
    bed_replay(bed, d, 0, T0 + 62);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 63);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, d, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(list[2].n, 3);
    assert_int_equal(resend(bed, 4242), ERR_STALE);
}

static void of_a_deleted_subscription(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    struct subscription s = bed_sub_get(bed, sub);
    s.state = SUB_DELETED;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    assert_int_equal(resend(bed, d), ERR_INVALID);
    assert_int_equal(bed_delivery(bed, d).state, DELIVERY_DELIVERED);
}

/* A purged one goes while what was kept of it is there, and is no more restored then. */
static void a_purged_one(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[2];
    struct filter f = {.states = FILTER_BIT(DELIVERY_DISCARDED)};
    size_t n;
    for (int i = 0; i < 2; i++) {
        d[i] = bed_emit(bed, sub, i == 0 ? "e" : "f", NULL, T0);
        bed_settle(bed, d[i], SETTLE_DEAD, T0 + 1);
        OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, d[i], 9, i == 0 ? T0 + 1000 : 0, T0 + 2, NULL,
                                            &bed->err));
    }
    struct dead_group g = groups_of(bed, f, &n);
    assert_int_equal(g.count, 2);
    assert_int_equal(g.gone, 1);
    OK_OR_DIE(bed, resend(bed, d[0]));
    assert_int_equal(bed->ops->dead_restore(bed->b, d[0], T0 + 51, &bed->err), ERR_STALE);
    ASSERT_CLAIMS(bed, sub, T0 + 60, d[0]);
    assert_int_equal(resend(bed, d[1]), ERR_INVALID);
    assert_int_equal(bed_delivery(bed, d[1]).state, DELIVERY_DISCARDED);
}

static void a_trial_is_left_out(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    size_t n;
    OK_OR_DIE(bed, bed->ops->trial(bed->b, d, 1, T0, &bed->err));
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    (void)groups_of(bed, (struct filter){0}, &n);
    assert_int_equal(n, 0);
    assert_int_equal(resend(bed, d), ERR_STALE);
}

/* Whatever the slices' size, every delivery that matches comes once, in order. */
static void walk_with(struct bed *bed, int64_t sub, size_t looks, size_t limit, bool down,
                      size_t expected)
{
    struct filter f = {.subs = &sub,
                       .subs_n = sub != 0,
                       .states = FILTER_BIT(DELIVERY_DELIVERED),
                       .ended_before_ms = T0 + 10,
                       .limit = limit,
                       .newest_first = down,
                       .with_expired = true};
    struct dead_key *keys, end = {0};
    struct dead_group *g;
    int64_t last = 0;
    size_t n, all = 0, turns = 0;
    do {
        OK_OR_DIE(bed, bed->ops->over_walk(bed->b, &f, looks, &bed->a, &keys, &n, &end, &bed->err));
        assert_true(n <= limit && n <= looks);
        for (size_t i = 0; i < n; i++, all++) {
            assert_true(last == 0 || (keys[i].num > last) != down);
            assert_true(sub == 0 || keys[i].sub == sub);
            assert_false(keys[i].gone);
            last = keys[i].num;
        }
        f.after_num = end.num;
        assert_true(++turns < 1000);
    } while (end.num != 0);
    assert_int_equal(all, expected);
    OK_OR_DIE(bed, bed->ops->over_groups(bed->b, &f, 0, &bed->a, &g, &n, &bed->err));
    assert_int_equal(n > 0 ? g[0].count : 0, expected);
}

static void walks(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2] = {bed_sub(bed, "a", 0), bed_sub(bed, "b", 0)}, some[20];
    struct dead_key *keys, end;
    size_t n, some_n = 0;
    for (int i = 0; i < 120; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        int64_t d = bed_emit(bed, subs[i % 2], id, NULL, T0);
        if (i % 5 == 0)
            continue; /* stays open */
        bed_settle(bed, d, i % 3 == 0 ? SETTLE_DEAD : SETTLE_DELIVERED, T0 + (i < 100 ? 5 : 10));
        if (i % 12 == 1)
            some[some_n++] = d;
    }
    static const size_t sizes[][2] = {{1, 1}, {7, 3}, {3, 7}, {10, 10}, {1000, 5}, {1000, 1000}};
    size_t each[2] = {0, 0};
    for (int i = 0; i < 100; i++)
        each[i % 2] += i % 5 != 0 && i % 3 != 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int down = 0; down < 2; down++) {
            walk_with(bed, subs[0], sizes[i][0], sizes[i][1], down != 0, each[0]);
            walk_with(bed, 0, sizes[i][0], sizes[i][1], down != 0, each[0] + each[1]);
        }
    /* named by number they are not looked for */
    struct filter f = {.ids = some, .ids_n = some_n, .limit = 10000, .with_expired = true};
    OK_OR_DIE(bed, bed->ops->over_walk(bed->b, &f, 1, &bed->a, &keys, &n, &end, &bed->err));
    assert_int_equal(n, some_n);
    assert_int_equal(end.num, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_delivered_one), ON_BOTH(of_a_deleted_subscription),
        ON_BOTH(a_purged_one),    ON_BOTH(a_trial_is_left_out),
        ON_BOTH(walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
