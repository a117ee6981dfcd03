/* test/conformance/test_purge.c: dead letters that were purged: how long they can come back, what comes
 * back, and what ends that. */
#include "test/conformance/bed.h"

enum { JOB = 77, UNTIL = T0 + 1000 };

static int64_t dead_one(struct bed *bed, int64_t sub, const char *id, const char *key)
{
    int64_t d = bed_emit(bed, sub, id, key, T0);
    bed_settle(bed, d, SETTLE_DEAD, T0 + 1);
    return d;
}

static int64_t purge_one(struct bed *bed, int64_t num, int64_t job)
{
    struct settled out;
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, num, job, UNTIL, T0 + 2, &out, &bed->err));
    return out.next_due_ms;
}

static size_t restorable(struct bed *bed, int64_t job, int64_t now_ms)
{
    struct purged *list;
    size_t n;
    int64_t count, bytes;
    OK_OR_DIE(bed,
              bed->ops->purged_list(bed->b, job, now_ms, 0, 100, &bed->a, &list, &n, &bed->err));
    OK_OR_DIE(bed, bed->ops->purged_count(bed->b, job, now_ms, &count, &bytes, &bed->err));
    assert_int_equal(count, (int64_t)n);
    assert_int_equal(bytes, 7 * (int64_t)n);
    return n;
}

static size_t retain(struct bed *bed, enum retain_what what, int64_t before_ms)
{
    size_t n;
    OK_OR_DIE(bed, bed->ops->retain(bed->b, what, before_ms, 99, &n, &bed->err));
    return n;
}

static void comes_back_as_it_was(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = dead_one(bed, sub, "e", NULL);
    struct dead_letter before, after;
    struct attempt *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->dead_note(bed->b, d, "called them", &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, d, &bed->a, &before, &bed->err));
    purge_one(bed, d, JOB);
    assert_int_equal(bed_delivery(bed, d).state, DELIVERY_DISCARDED);
    assert_int_equal(bed->ops->dead_get(bed->b, d, &bed->a, &after, &bed->err), ERR_NOT_FOUND);
    assert_int_equal(restorable(bed, JOB, T0 + 3), 1);
    OK_OR_DIE(bed, bed->ops->dead_restore(bed->b, d, T0 + 3, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, d, &bed->a, &after, &bed->err));
    assert_int_equal(after.died_ms, before.died_ms);
    assert_int_equal(after.expires_ms, before.expires_ms);
    assert_int_equal(after.delivery.state, DELIVERY_DEAD);
    assert_int_equal(after.delivery.cause, before.delivery.cause);
    assert_int_equal(after.delivery.attempts, before.delivery.attempts);
    assert_int_equal(after.delivery.finished_ms, before.delivery.finished_ms);
    assert_string_equal(after.note, "called them");
    assert_string_equal(after.sub_name, "a");
    assert_memory_equal(after.event.payload, "{\"n\":1}", 7);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, d, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DEAD], 1);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DISCARDED], 0);
    assert_int_equal(restorable(bed, JOB, T0 + 3), 0);
    assert_int_equal(bed->ops->dead_restore(bed->b, d, T0 + 4, &bed->err), ERR_STALE);
    bed_replay(bed, d, 0, T0 + 5); /* and is a dead letter like any other */
    ASSERT_CLAIMS(bed, sub, T0 + 5, d);
}

static void is_erased_without_a_grace(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = dead_one(bed, sub, "e", NULL);
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, d, JOB, 0, T0 + 2, NULL, &bed->err));
    assert_int_equal(restorable(bed, JOB, T0), 0);
    assert_int_equal(bed->ops->dead_restore(bed->b, d, T0 + 3, &bed->err), ERR_STALE);
    assert_int_equal(bed->ops->dead_restore(bed->b, 4242, T0 + 3, &bed->err), ERR_STALE);
}

static void comes_back_within_its_grace(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = dead_one(bed, sub, "e", NULL);
    purge_one(bed, d, JOB);
    assert_int_equal(restorable(bed, JOB, UNTIL - 1), 1);
    assert_int_equal(restorable(bed, JOB, UNTIL), 0);
    assert_int_equal(bed->ops->dead_restore(bed->b, d, UNTIL, &bed->err), ERR_STALE);
    assert_int_equal(bed_delivery(bed, d).state, DELIVERY_DISCARDED);
    assert_int_equal(retain(bed, RETAIN_PURGED, UNTIL - 1), 0);
    assert_int_equal(retain(bed, RETAIN_PURGED, UNTIL), 1);
    assert_int_equal(bed->ops->dead_restore(bed->b, d, UNTIL - 1, &bed->err), ERR_STALE);
}

/* A letter near the end of its own time does not vanish by being restored. */
static void is_kept_to_the_end_of_the_grace(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = dead_one(bed, sub, "e", NULL);
    struct dead_letter l;
    int64_t until = T0 + 2 * DEAD_KEPT;
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, d, JOB, until, T0 + 2, NULL, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_restore(bed->b, d, until - 1, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, d, &bed->a, &l, &bed->err));
    assert_int_equal(l.expires_ms, until);
    assert_int_equal(retain(bed, RETAIN_DEAD, until - 1), 0);
}

/* The delivery and its attempts stay while the letter may want them back. */
static void retention_waits_for_the_grace(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = dead_one(bed, sub, "e", NULL);
    purge_one(bed, d, JOB);
    assert_int_equal(retain(bed, RETAIN_DELIVERED, T0 + 900), 0);
    assert_int_equal(retain(bed, RETAIN_ATTEMPTS, T0 + 900), 0);
    OK_OR_DIE(bed, bed->ops->dead_restore(bed->b, d, T0 + 901, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, d, JOB, UNTIL, T0 + 902, NULL, &bed->err));
    assert_int_equal(retain(bed, RETAIN_PURGED, UNTIL), 1);
    assert_int_equal(retain(bed, RETAIN_ATTEMPTS, T0 + 1900), 1);
    assert_true(retain(bed, RETAIN_DELIVERED, T0 + 1900) > 0);
    struct delivery x;
    assert_int_equal(bed->ops->delivery_get(bed->b, d, &bed->a, &x, &bed->err), ERR_NOT_FOUND);
}

/* Each purge has its own; pages go by number. */
static void belongs_to_its_job(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[5], after = 0;
    struct purged *list;
    size_t n;
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof(id), "e%d", i);
        d[i] = dead_one(bed, sub, id, NULL);
        purge_one(bed, d[i], i == 2 ? JOB + 1 : JOB);
    }
    assert_int_equal(restorable(bed, JOB, T0 + 3), 4);
    assert_int_equal(restorable(bed, JOB + 1, T0 + 3), 1);
    assert_int_equal(restorable(bed, JOB + 2, T0 + 3), 0);
    static const int want[] = {0, 1, 3, 4};
    for (int i = 0; i < 4; i++) {
        OK_OR_DIE(bed, bed->ops->purged_list(bed->b, JOB, T0 + 3, after, 1, &bed->a, &list, &n,
                                             &bed->err));
        assert_int_equal(n, 1);
        assert_int_equal(list[0].num, d[want[i]]);
        assert_int_equal(list[0].sub, sub);
        assert_int_equal(list[0].until_ms, UNTIL);
        after = list[0].num;
    }
}

/* Imported again, it is dead by itself: there is nothing left to restore. */
static void import_ends_it(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = dead_one(bed, sub, "e", NULL);
    struct dead_letter l;
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, d, &bed->a, &l, &bed->err));
    purge_one(bed, d, JOB);
    OK_OR_DIE(bed, bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err));
    assert_int_equal(restorable(bed, JOB, T0 + 3), 0);
    assert_int_equal(bed->ops->dead_restore(bed->b, d, T0 + 3, &bed->err), ERR_STALE);
}

/* A purge lets the key go on; what comes back does not stop it again. */
static void holds_no_key_again(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", ORDERED | BLOCK);
    int64_t first = bed_emit(bed, sub, "e1", "k", T0), second = bed_emit(bed, sub, "e2", "k", T0);
    bed_settle(bed, first, SETTLE_DEAD, T0 + 1);
    ASSERT_NO_CLAIMS(bed, sub, T0 + 1);
    assert_int_equal(purge_one(bed, first, JOB), T0);
    ASSERT_CLAIMS(bed, sub, T0 + 2, second);
    OK_OR_DIE(bed, bed->ops->dead_restore(bed->b, first, T0 + 3, &bed->err));
    ASSERT_CLAIMS(bed, sub, T0 + 3, second);
    int64_t third = bed_emit(bed, sub, "e3", "k", T0 + 3);
    bed_settle(bed, second, SETTLE_DELIVERED, T0 + 4);
    ASSERT_CLAIMS(bed, sub, T0 + 4, third);
}

/* The attempt that the purge overtook belongs to the letter. */
static void late_attempt_is_in_it(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = dead_one(bed, sub, "e", NULL);
    struct attempt late = bed_settlement(d, SETTLE_RETRY, T0 + 5).attempt;
    struct dead_letter l;
    late.status = 500;
    purge_one(bed, d, JOB);
    OK_OR_DIE(bed, bed->ops->attempt_late(bed->b, &late, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_restore(bed->b, d, T0 + 6, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, d, &bed->a, &l, &bed->err));
    assert_int_equal(l.delivery.attempts, 2);
    assert_int_equal(l.delivery.last_status, 500);
}

/* What was counted stays the set, whatever comes in later and however long ago it died. */
static void nothing_joins_what_was_counted(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), back = dead_one(bed, sub, "e0", NULL),
            stays = dead_one(bed, sub, "e1", NULL), again = dead_one(bed, sub, "e2", NULL),
            late = dead_one(bed, sub, "e3", NULL);
    struct filter f = {.limit = 10, .with_expired = true};
    struct reopening r = {.due_ms = T0 + 3, .now_ms = T0 + 3};
    struct attempt attempt = bed_settlement(late, SETTLE_RETRY, T0 + 5).attempt;
    struct dead_sums sums;
    struct dead_group *g;
    struct dead_key *keys, end;
    size_t n;
    purge_one(bed, back, JOB);
    OK_OR_DIE(bed, bed->ops->dead_count(bed->b, &f, &sums, &bed->err));
    assert_int_equal(sums.count, 3);
    OK_OR_DIE(bed, bed->ops->dead_groups(bed->b, &f, 0, &bed->a, &g, &n, &bed->err));
    assert_int_equal(g[0].arrivals, sums.arrivals);
    OK_OR_DIE(bed, bed->ops->dead_restore(bed->b, back, T0 + 3, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_replay(bed->b, again, &r, &bed->err));
    bed_settle(bed, again, SETTLE_DEAD, T0 + 1); /* by a clock that was set back */
    OK_OR_DIE(bed, bed->ops->attempt_late(bed->b, &attempt, &bed->err));
    dead_one(bed, sub, "e4", NULL);
    OK_OR_DIE(bed, bed->ops->dead_count(bed->b, &f, &sums, &bed->err));
    assert_int_equal(sums.count, 5);
    f.arrived_before = g[0].arrivals;
    OK_OR_DIE(bed, bed->ops->dead_count(bed->b, &f, &sums, &bed->err));
    assert_int_equal(sums.count, 1);
    OK_OR_DIE(bed, bed->ops->dead_walk(bed->b, &f, 100, &bed->a, &keys, &n, &end, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(keys[0].num, stays);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(comes_back_as_it_was),
        ON_BOTH(is_erased_without_a_grace),
        ON_BOTH(comes_back_within_its_grace),
        ON_BOTH(is_kept_to_the_end_of_the_grace),
        ON_BOTH(retention_waits_for_the_grace),
        ON_BOTH(belongs_to_its_job),
        ON_BOTH(import_ends_it),
        ON_BOTH(holds_no_key_again),
        ON_BOTH(late_attempt_is_in_it),
        ON_BOTH(nothing_joins_what_was_counted),
    };
    return cmocka_run_group_tests_name("conformance: purged letters", tests, NULL, NULL);
}
