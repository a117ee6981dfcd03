/* test/conformance/test_traffic.c: minutes are added up, an endpoint's health follows its attempts,
 * what is due is counted, old minutes go. */
#include "test/conformance/bed.h"

#define MINUTE(i) (T0 + (i)*TRAFFIC_MINUTE_MS)

static struct traffic_delta delta(int64_t sub, int64_t at_ms, const char *how)
{
    struct traffic_delta d = {.traffic = {.sub = sub, .minute_ms = traffic_minute(at_ms)}};
    for (; *how != '\0'; how++, at_ms++) {
        struct attempt a = {.n = 1, .duration_us = 4000, .outcome = OUTCOME_SUCCESS, .status = 200};
        if (*how == 'x') {
            a.outcome = OUTCOME_HTTP_5XX;
            a.status = 503;
            a.n = 2;
        }
        traffic_count(&d.traffic, &a);
        health_count(&d.health, &a, at_ms);
    }
    return d;
}

static void put(struct bed *bed, int64_t sub, int64_t at_ms, const char *how)
{
    struct traffic_delta d = delta(sub, at_ms, how);
    OK_OR_DIE(bed, bed->ops->traffic_add(bed->b, &d, 1, &bed->err));
}

static void minutes(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0), c = bed_sub(bed, "c", 0);
    struct traffic *list;
    size_t n;
    put(bed, a, MINUTE(0), "ooo");
    put(bed, a, MINUTE(0) + 900, "ox");
    put(bed, a, MINUTE(3), "x");
    put(bed, c, MINUTE(3), "o");
    OK_OR_DIE(bed, bed->ops->traffic_sum(bed->b, MINUTE(0), &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].sub, a);
    assert_int_equal(list[0].ok, 4);
    assert_int_equal(list[0].failed, 2);
    assert_int_equal(list[0].retries, 2);
    assert_int_equal(list[0].buckets[3], 6);
    assert_int_equal(list[1].ok, 1);
    OK_OR_DIE(bed, bed->ops->traffic_sum(bed->b, MINUTE(1), &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].ok, 0);
    OK_OR_DIE(bed, bed->ops->traffic_minutes(bed->b, a, MINUTE(0), MINUTE(3), &bed->a, &list, &n,
                                             &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].minute_ms, traffic_minute(MINUTE(0)));
    assert_int_equal(list[0].ok, 4);
    assert_int_equal(list[1].failed, 1);
    OK_OR_DIE(bed, bed->ops->traffic_minutes(bed->b, c, MINUTE(0), MINUTE(2), &bed->a, &list, &n,
                                             &bed->err));
    assert_int_equal(n, 0);
}

static void health(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0);
    struct health h = bed_sub_get(bed, a).health;
    assert_int_equal(h.ok_total, 0);
    assert_int_equal(h.last_success_ms, 0);
    put(bed, a, T0, "oox");
    put(bed, a, T0 + 1000, "xx"); /* since when it fails is not forgotten */
    h = bed_sub_get(bed, a).health;
    assert_int_equal(h.ok_total, 2);
    assert_int_equal(h.failed_total, 3);
    assert_int_equal(h.last_success_ms, T0 + 1);
    assert_int_equal(h.last_failure_ms, T0 + 1001);
    assert_int_equal(h.last_failure_status, 503);
    assert_int_equal(h.last_failure_outcome, OUTCOME_HTTP_5XX);
    assert_int_equal(h.failing_since_ms, T0 + 2);
    assert_int_equal(h.in_row, 3);
    assert_true(health_failing(&h));
    OK_OR_DIE(bed, bed->ops->health_clear(bed->b, a, &bed->err));
    h = bed_sub_get(bed, a).health;
    assert_false(health_failing(&h));
    assert_int_equal(h.failed_total, 3);
    put(bed, a, T0 + 2000, "xox");
    h = bed_sub_get(bed, a).health;
    assert_int_equal(h.failing_since_ms, T0 + 2002);
    assert_int_equal(h.in_row, 1);
    struct subscription s = bed_sub_get(bed, a); /* a change of the row is none of it */
    s.url = "https://elsewhere.example/";
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    assert_int_equal(bed_sub_get(bed, a).health.failed_total, 5);
}

static void undone(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0);
    put(bed, a, T0, "o");
    bed_commit(bed);
    put(bed, a, T0, "xxx");
    bed->ops->rollback(bed->b);
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    assert_int_equal(bed_sub_get(bed, a).health.failed_total, 0);
    assert_int_equal(bed_sub_get(bed, a).health.ok_total, 1);
}

static void due(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0), other = bed_sub(bed, "other", 0), n;
    char id[8];
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        bed_emit(bed, a, id, NULL, T0 + i * 1000);
    }
    bed_emit(bed, other, "o", NULL, T0);
    OK_OR_DIE(bed, bed->ops->due_count(bed->b, a, T0 + 2000, 100, &n, &bed->err));
    assert_int_equal(n, 3);
    OK_OR_DIE(bed, bed->ops->due_count(bed->b, a, T0 + 9000, 2, &n, &bed->err));
    assert_int_equal(n, 2);
    OK_OR_DIE(bed, bed->ops->due_count(bed->b, a, T0 - 1, 100, &n, &bed->err));
    assert_int_equal(n, 0);
}

static void before(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0), job = bed_num(bed), n, due_ms;
    int64_t dead = bed_emit(bed, a, "d", NULL, T0);
    char id[8];
    bed_settle(bed, dead, SETTLE_DEAD, T0 + 10);
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        bed_emit(bed, a, id, NULL, T0 + 1000 + i * 1000);
    }
    bed_replay(bed, dead, job, T0 + 3500); /* behind three, before two */
    OK_OR_DIE(bed, bed->ops->ready_before(bed->b, a, job, T0 + 9000, 100, &n, &due_ms, &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(due_ms, T0 + 3500);
    OK_OR_DIE(bed, bed->ops->ready_before(bed->b, a, job, T0 + 9000, 2, &n, &due_ms, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(due_ms, 0);
    OK_OR_DIE(bed, bed->ops->ready_before(bed->b, a, job, T0 + 2000, 100, &n, &due_ms, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(due_ms, 0);
    OK_OR_DIE(bed, bed->ops->ready_before(bed->b, a, 4242, T0 + 9000, 100, &n, &due_ms, &bed->err));
    assert_int_equal(n, 6);
    assert_int_equal(due_ms, 0);
}

static void retention(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0);
    struct traffic *list;
    size_t n;
    for (int i = 0; i < 5; i++)
        put(bed, a, MINUTE(i), "o");
    put(bed, a, MINUTE(3) + 3 * (int64_t)TRAFFIC_KEPT_MS, "o"); /* by a clock that was ahead */
    OK_OR_DIE(
        bed, bed->ops->retain(bed->b, RETAIN_TRAFFIC, traffic_minute(MINUTE(3)), 3, &n, &bed->err));
    assert_int_equal(n, 3);
    OK_OR_DIE(
        bed, bed->ops->retain(bed->b, RETAIN_TRAFFIC, traffic_minute(MINUTE(3)), 3, &n, &bed->err));
    assert_int_equal(n, 1);
    OK_OR_DIE(
        bed, bed->ops->retain(bed->b, RETAIN_TRAFFIC, traffic_minute(MINUTE(3)), 3, &n, &bed->err));
    assert_int_equal(n, 0);
    OK_OR_DIE(bed, bed->ops->traffic_sum(bed->b, 0, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].ok, 2);
    assert_int_equal(bed_sub_get(bed, a).health.ok_total, 6); /* totals stay */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(minutes), ON_BOTH(health), ON_BOTH(undone),
        ON_BOTH(due),     ON_BOTH(before), ON_BOTH(retention),
    };
    return cmocka_run_group_tests_name("conformance: traffic", tests, NULL, NULL);
}
