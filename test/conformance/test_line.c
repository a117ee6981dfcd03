/* test/conformance/test_line.c: the line of an ordering key, of which the head alone is ready (G7);
 * and what a clock that was set back made late. */
#include "test/conformance/bed.h"

/* ---- the line of an ordering key ---- */
static void only_the_head_is_ready(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", ORDERED), b = bed_sub(bed, "b", ORDERED);
    int64_t k1 = bed_emit(bed, a, "k1", "k", T0), k2 = bed_emit(bed, a, "k2", "k", T0 + 1);
    int64_t j1 = bed_emit(bed, a, "j1", "j", T0 + 2), k3 = bed_emit(bed, a, "k3", "k", T0 + 3);
    int64_t none = bed_emit(bed, a, "none", NULL, T0 + 4);
    int64_t other = bed_emit(bed, b, "other", "k", T0 + 5); /* another subscription's line */
    ASSERT_CLAIMS(bed, a, T0 + 9, k1, j1, none);
    ASSERT_CLAIMS(bed, b, T0 + 9, other);
    /* a retry keeps its place */
    struct settled out = bed_settle(bed, k1, SETTLE_RETRY, T0 + 10);
    assert_int_equal(out.next_due_ms, 0);
    ASSERT_CLAIMS(bed, a, T0 + 20, j1, none);
    ASSERT_CLAIMS(bed, a, T0 + 2000, j1, none, k1);
    out = bed_settle(bed, k1, SETTLE_DELIVERED, T0 + 2000);
    assert_int_equal(out.next_due_ms, T0 + 1);
    ASSERT_CLAIMS(bed, a, T0 + 2000, k2, j1, none);
    out = bed_settle(bed, j1, SETTLE_DELIVERED, T0 + 2000);
    assert_int_equal(out.next_due_ms, 0); /* nobody behind it */
    out = bed_settle(bed, k2, SETTLE_DELIVERED, T0 + 2001);
    assert_int_equal(out.next_due_ms, T0 + 3);
    ASSERT_CLAIMS(bed, a, T0 + 2001, k3, none);
    bed_settle(bed, k3, SETTLE_DELIVERED, T0 + 2002);
    int64_t k4 = bed_emit(bed, a, "k4", "k", T0 + 2003); /* the line was empty */
    ASSERT_CLAIMS(bed, a, T0 + 2003, none, k4);
}

static void unordered_subscriptions_ignore_keys(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[2];
    for (int i = 0; i < 2; i++) {
        struct event_rec e = bed_event_of(bed, i == 0 ? "e0" : "e1", T0);
        e.ordering_key = "k";
        d[i] = bed_put_at(bed, &e, &sub, 1, false, NULL);
    }
    ASSERT_CLAIMS(bed, sub, T0, d[0], d[1]);
}

static void a_dead_one_lets_its_key_go_on(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "skip", ORDERED);
    int64_t k1 = bed_emit(bed, sub, "k1", "k", T0), k2 = bed_emit(bed, sub, "k2", "k", T0 + 1);
    int64_t k3 = bed_emit(bed, sub, "k3", "k", T0 + 2);
    struct settled out = bed_settle(bed, k1, SETTLE_DEAD, T0 + 5);
    assert_int_equal(out.next_due_ms, T0 + 1);
    ASSERT_CLAIMS(bed, sub, T0 + 5, k2);
    /* its replay passes the line by, and holds nobody up */
    bed_replay(bed, k1, 0, T0 + 6);
    ASSERT_CLAIMS(bed, sub, T0 + 6, k2, k1);
    out = bed_settle(bed, k1, SETTLE_DEAD, T0 + 7);
    assert_int_equal(out.next_due_ms, 0);
    out = bed_settle(bed, k2, SETTLE_DELIVERED, T0 + 7);
    assert_int_equal(out.next_due_ms, T0 + 2);
    ASSERT_CLAIMS(bed, sub, T0 + 7, k3);
}

static void a_dead_one_holds_its_key(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "block", ORDERED | BLOCK);
    int64_t k1 = bed_emit(bed, sub, "k1", "k", T0), k2 = bed_emit(bed, sub, "k2", "k", T0 + 1);
    int64_t k3 = bed_emit(bed, sub, "k3", "k", T0 + 2), j1 = bed_emit(bed, sub, "j1", "j", T0 + 3);
    struct settled out = bed_settle(bed, k1, SETTLE_DEAD, T0 + 5);
    assert_int_equal(out.next_due_ms, 0);
    ASSERT_CLAIMS(bed, sub, T0 + 9, j1);
    int64_t k4 = bed_emit(bed, sub, "k4", "k", T0 + 4); /* new ones wait too */
    ASSERT_CLAIMS(bed, sub, T0 + 9, j1);
    /* purged: goes on */
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, k1, 0, 0, T0 + 10, &out, &bed->err));
    assert_int_equal(out.next_due_ms, T0 + 1);
    ASSERT_CLAIMS(bed, sub, T0 + 10, k2, j1);
    /* replayed: it goes first, and holds until it is delivered */
    bed_settle(bed, k2, SETTLE_DEAD, T0 + 11);
    bed_replay(bed, k2, 0, T0 + 12);
    ASSERT_CLAIMS(bed, sub, T0 + 12, j1, k2);
    bed_settle(bed, k2, SETTLE_DEAD, T0 + 13);
    ASSERT_CLAIMS(bed, sub, T0 + 13, j1);
    bed_replay(bed, k2, 0, T0 + 14);
    out = bed_settle(bed, k2, SETTLE_DELIVERED, T0 + 15);
    assert_int_equal(out.next_due_ms, T0 + 2);
    ASSERT_CLAIMS(bed, sub, T0 + 15, k3, j1);
    /* no longer blocking: goes on */
    bed_settle(bed, k3, SETTLE_DEAD, T0 + 16);
    ASSERT_CLAIMS(bed, sub, T0 + 16, j1);
    struct subscription s = bed_sub_get(bed, sub);
    s.on_dead_block = false;
    s.updated_ms = T0 + 16;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    ASSERT_CLAIMS(bed, sub, T0 + 16, j1, k4);
}

/* ---- a clock that was set back ---- */
static size_t bring_back(struct bed *bed, int64_t sub, int64_t now_ms, size_t limit)
{
    struct ready_at at = READY_LAST;
    size_t all = 0, n = 0;
    while (at.due_ms != 0) {
        OK_OR_DIE(bed, bed->ops->bring_back(bed->b, sub, now_ms, now_ms + 5000000, limit, &at, &n,
                                            &bed->err));
        assert_true(n <= limit);
        all += n;
    }
    return all;
}

static int64_t bed_retry(struct bed *bed, int64_t delivery, int64_t started_ms, int64_t due_ms)
{
    struct settlement s = bed_settlement(delivery, SETTLE_RETRY, started_ms);
    s.has_attempt = true;
    s.attempt = (struct attempt){.delivery = delivery,
                                 .n = 1,
                                 .started_ms = started_ms,
                                 .outcome = OUTCOME_HTTP_5XX,
                                 .status = 503};
    s.due_ms = due_ms;
    (void)bed_settle_as(bed, &s);
    return delivery;
}

/* An hour ahead is T0 + 3600000; the clock is right again at T0. */
static void what_a_wrong_clock_planned_is_due_now(void **state)
{
    struct bed *bed = *state;
    const int64_t ahead = T0 + 3600000;
    int64_t sub = bed_sub(bed, "a", 0), other = bed_sub(bed, "b", 0);
    int64_t fresh = bed_emit(bed, sub, "fresh", NULL, ahead);
    int64_t retried = bed_emit(bed, sub, "retried", NULL, T0 - 9);
    int64_t far = bed_emit(bed, sub, "far", NULL, T0 - 8);
    struct event_rec e = bed_event_of(bed, "asked", ahead);
    e.deliver_after_ms = ahead + 60000;
    int64_t asked = bed_put_at(bed, &e, &sub, 1, false, NULL);
    int64_t due = bed_emit(bed, sub, "due", NULL, T0 - 1);
    bed_retry(bed, retried, ahead, ahead + 2000);
    bed_retry(bed, far, T0 - 5, T0 + 6000000); /* by no clock is a retry that far */
    (void)bed_emit(bed, other, "neighbour", NULL, ahead);
    ASSERT_CLAIMS(bed, sub, T0, due);
    assert_int_equal(bring_back(bed, sub, T0, 2), 3);
    ASSERT_CLAIMS(bed, sub, T0, due, fresh, retried, far);
    ASSERT_NO_CLAIMS(bed, other, T0);
    ASSERT_CLAIMS(bed, sub, ahead + 60000, due, fresh, retried, far, asked);
    assert_int_equal(bring_back(bed, sub, T0, 2), 0);
    (void)bed_settle(bed, retried, SETTLE_DELIVERED, T0 + 1); /* it is ready once */
    ASSERT_CLAIMS(bed, sub, ahead + 60000, due, fresh, far, asked);
}

/* What is right stays, and nobody looks beyond it. */
static void what_a_right_clock_planned_stays(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0);
    int64_t d = bed_retry(bed, bed_emit(bed, sub, "e", NULL, T0 - 10), T0 - 5, T0 + 4000000);
    assert_int_equal(bring_back(bed, sub, T0, 9), 0);
    ASSERT_NO_CLAIMS(bed, sub, T0 + 3999999);
    ASSERT_CLAIMS(bed, sub, T0 + 4000000, d);
}

/* Behind a key's head stand some from the future: each is due when its turn comes. */
static void a_line_from_the_future_moves_on(void **state)
{
    struct bed *bed = *state;
    const int64_t ahead = T0 + 3600000;
    int64_t sub = bed_sub(bed, "a", ORDERED);
    int64_t k1 = bed_emit(bed, sub, "k1", "k", ahead), k2 = bed_emit(bed, sub, "k2", "k", ahead);
    int64_t k3 = bed_emit(bed, sub, "k3", "k", ahead + 1);
    assert_int_equal(bring_back(bed, sub, T0, 9), 1);
    ASSERT_CLAIMS(bed, sub, T0, k1);
    struct settled out = bed_settle(bed, k1, SETTLE_DELIVERED, T0 + 5);
    assert_int_equal(out.next_due_ms, T0 + 5);
    ASSERT_CLAIMS(bed, sub, T0 + 5, k2);
    (void)bed_settle(bed, k2, SETTLE_DEAD, T0 + 6);
    ASSERT_CLAIMS(bed, sub, T0 + 6, k3);
    (void)bed_settle(bed, k3, SETTLE_DELIVERED, T0 + 7);
    ASSERT_NO_CLAIMS(bed, sub, INT64_MAX);
}

static void expiry_of_a_dead_one_frees_its_key(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "block", ORDERED | BLOCK);
    int64_t k1 = bed_emit(bed, sub, "k1", "k", T0), k2 = bed_emit(bed, sub, "k2", "k", T0 + 1);
    size_t n;
    bed_settle(bed, k1, SETTLE_DEAD, T0 + 5);
    ASSERT_NO_CLAIMS(bed, sub, INT64_MAX);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_DEAD, T0 + 5 + DEAD_KEPT, 9, &n, &bed->err));
    assert_int_equal(n, 1);
    ASSERT_CLAIMS(bed, sub, T0 + 9, k2);
}

static void deliver_after_passes_the_line_by(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", ORDERED);
    struct event_rec e = bed_event_of(bed, "later", T0);
    e.ordering_key = "k";
    e.deliver_after_ms = T0 + 100;
    int64_t later = bed_put_at(bed, &e, &sub, 1, true, NULL);
    int64_t k1 = bed_emit(bed, sub, "k1", "k", T0 + 1), k2 = bed_emit(bed, sub, "k2", "k", T0 + 2);
    ASSERT_CLAIMS(bed, sub, T0 + 50, k1); /* not held up by it */
    assert_int_equal(bed_claim(bed, sub, T0 + 50).next_due_ms, T0 + 100);
    ASSERT_CLAIMS(bed, sub, T0 + 100, k1, later);
    assert_int_equal(bed_delivery(bed, later).due_ms, T0 + 100);
    struct settled out = bed_settle(bed, later, SETTLE_DEAD, T0 + 100);
    assert_int_equal(out.next_due_ms, 0);
    bed_settle(bed, k1, SETTLE_DELIVERED, T0 + 100);
    ASSERT_CLAIMS(bed, sub, T0 + 100, k2);
    /* one that is past is no future: it stands in line */
    struct event_rec past = bed_event_of(bed, "past", T0 + 200);
    past.ordering_key = "k";
    past.deliver_after_ms = T0 + 150;
    int64_t p = bed_put_at(bed, &past, &sub, 1, true, NULL);
    assert_int_equal(bed_delivery(bed, p).due_ms, T0 + 200);
    ASSERT_CLAIMS(bed, sub, T0 + 200, k2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(only_the_head_is_ready),
        ON_BOTH(unordered_subscriptions_ignore_keys),
        ON_BOTH(a_dead_one_lets_its_key_go_on),
        ON_BOTH(a_dead_one_holds_its_key),
        ON_BOTH(what_a_wrong_clock_planned_is_due_now),
        ON_BOTH(what_a_right_clock_planned_stays),
        ON_BOTH(a_line_from_the_future_moves_on),
        ON_BOTH(expiry_of_a_dead_one_frees_its_key),
        ON_BOTH(deliver_after_passes_the_line_by),
    };
    return cmocka_run_group_tests_name("conformance: line", tests, NULL, NULL);
}
