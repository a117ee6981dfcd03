/* test/conformance/test_rest.c: intake's memory, audit, retention of each kind, numbers. */
#include "test/conformance/bed.h"

static void outbox_memory(void **state)
{
    struct bed *bed = *state;
    int64_t mark;
    struct taken t = {.seq = 5, .digest = {1, 2, 3}}, u = t, *list;
    bool fresh;
    size_t n;
    OK_OR_DIE(bed, bed->ops->outbox_mark(bed->b, "trades", &mark, &bed->err));
    assert_int_equal(mark, 0);
    OK_OR_DIE(bed, bed->ops->outbox_set_mark(bed->b, "trades", 17, &bed->err));
    OK_OR_DIE(bed, bed->ops->outbox_set_mark(bed->b, "other", 3, &bed->err));
    OK_OR_DIE(bed, bed->ops->outbox_set_mark(bed->b, "trades", 12, &bed->err)); /* may step back */
    OK_OR_DIE(bed, bed->ops->outbox_mark(bed->b, "trades", &mark, &bed->err));
    assert_int_equal(mark, 12);
    OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "trades", &t, &fresh, &bed->err));
    assert_true(fresh);
    OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "trades", &t, &fresh, &bed->err));
    assert_false(fresh); /* twice is once */
    u.digest[15] = 9;    /* the same seq, issued again for another row */
    OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "trades", &u, &fresh, &bed->err));
    assert_true(fresh);
    u.seq = 8;
    OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "trades", &u, &fresh, &bed->err));
    OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "zzz", &u, &fresh, &bed->err));
    assert_true(fresh); /* of another outbox */
    OK_OR_DIE(bed, bed->ops->taken_list(bed->b, "trades", 0, 9, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(list[0].seq, 5);
    assert_int_equal(list[2].seq, 8);
    assert_int_equal(list[2].digest[15], 9);
    OK_OR_DIE(bed, bed->ops->taken_list(bed->b, "trades", 5, 9, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    OK_OR_DIE(bed, bed->ops->taken_delete(bed->b, "trades", &t, 1, &bed->err));
    OK_OR_DIE(bed, bed->ops->taken_list(bed->b, "trades", 0, 9, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].digest[15], 9); /* exactly that one */
}

/* Of a slice exactly those that are named go, whatever lies between them. */
static void taken_in_slices(void **state)
{
    struct bed *bed = *state;
    struct taken all[20], *list;
    bool fresh;
    size_t n;
    memset(all, 0, sizeof(all));
    for (int i = 0; i < 20; i++) {
        all[i].seq = i / 2; /* each number was issued twice */
        all[i].digest[0] = (uint8_t)(i % 2);
        OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "trades", &all[i], &fresh, &bed->err));
        OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "other", &all[i], &fresh, &bed->err));
    }
    OK_OR_DIE(bed, bed->ops->taken_delete(bed->b, "trades", all + 4, 6, &bed->err));
    OK_OR_DIE(bed, bed->ops->taken_list(bed->b, "trades", -1, 99, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 14);
    assert_int_equal(list[4].seq, 5);
    /* one of a pair stays; two are gone already */
    OK_OR_DIE(bed, bed->ops->taken_delete(bed->b, "trades", all + 8, 5, &bed->err));
    OK_OR_DIE(bed, bed->ops->taken_list(bed->b, "trades", -1, 99, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 11);
    assert_int_equal(list[4].seq, 6);
    assert_int_equal(list[4].digest[0], 1);
    OK_OR_DIE(bed, bed->ops->taken_list(bed->b, "other", -1, 99, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 20);
}

static void rejects(void **state)
{
    struct bed *bed = *state;
    struct reject got, *list;
    int64_t counts[DELIVERY_STATES], n_rejects, first = bed->last + 1;
    size_t n;
    for (int i = 0; i < 3; i++) {
        struct reject r = {.num = bed_num(bed),
                           .outbox = "trades",
                           .seq = 10 + i,
                           .reason = "not JSON",
                           .row = "{\"payload\":\"nope\"}",
                           .created_ms = T0 + i};
        OK_OR_DIE(bed, bed->ops->reject_put(bed->b, &r, &bed->err));
    }
    OK_OR_DIE(bed, bed->ops->reject_get(bed->b, first + 1, &bed->a, &got, &bed->err));
    assert_string_equal(got.outbox, "trades");
    assert_int_equal(got.seq, 11);
    assert_string_equal(got.reason, "not JSON");
    assert_string_equal(got.row, "{\"payload\":\"nope\"}");
    assert_int_equal(got.created_ms, T0 + 1);
    OK_OR_DIE(bed, bed->ops->reject_list(bed->b, 0, 2, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    OK_OR_DIE(bed, bed->ops->reject_list(bed->b, list[1].num, 2, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].seq, 12);
    OK_OR_DIE(bed, bed->ops->reject_delete(bed->b, first, &bed->err));
    assert_int_equal(bed->ops->reject_delete(bed->b, first, &bed->err), ERR_NOT_FOUND);
    assert_int_equal(bed->ops->reject_get(bed->b, first, &bed->a, &got, &bed->err), ERR_NOT_FOUND);
    OK_OR_DIE(bed, bed->ops->counts(bed->b, counts, &n_rejects, &bed->err));
    assert_int_equal(n_rejects, 2);
}

static void audit(void **state)
{
    struct bed *bed = *state;
    struct audit_entry *list;
    size_t n;
    for (int i = 0; i < 4; i++) {
        struct audit_entry e = {.num = bed_num(bed),
                                .actor = "uid:0",
                                .action = "dlq.purge",
                                .target = i == 0 ? NULL : "sub_x",
                                .detail = "{\"n\":3}",
                                .created_ms = T0 + i};
        OK_OR_DIE(bed, bed->ops->audit_put(bed->b, &e, &bed->err));
    }
    OK_OR_DIE(bed, bed->ops->audit_list(bed->b, &(struct audit_filter){.limit = 3}, &bed->a, &list,
                                        &n, &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(list[0].created_ms, T0 + 3); /* newest first */
    assert_string_equal(list[0].actor, "uid:0");
    assert_string_equal(list[0].action, "dlq.purge");
    assert_string_equal(list[0].target, "sub_x");
    assert_string_equal(list[0].detail, "{\"n\":3}");
    OK_OR_DIE(bed, bed->ops->audit_list(
                       bed->b, &(struct audit_filter){.before_num = list[2].num, .limit = 3},
                       &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_null(list[0].target);
    static const char *const words[] = {"nowhere", "\"n\":3"};
    const struct {
        struct audit_filter f;
        size_t n;
    } table[] = {{{.limit = 9, .target = "x", .mentioned = words, .mentioned_n = 1}, 0},
                 {{.limit = 9, .target = "x", .mentioned = words, .mentioned_n = 2}, 4},
                 {{.limit = 9, .actor = "uid"}, 4},
                 {{.limit = 9, .actor = "uid:1"}, 0},
                 {{.limit = 9, .action = "dlq.*"}, 4},
                 {{.limit = 9, .action = "dlq.purge"}, 4},
                 {{.limit = 9, .action = "job.*"}, 0},
                 {{.limit = 9, .target = "sub_x"}, 3},
                 {{.limit = 9, .target = "sub_"}, 0},
                 {{.limit = 9, .since_ms = T0 + 1}, 3},
                 {{.limit = 9, .until_ms = T0 + 1}, 1},
                 {{.limit = 2, .target = "sub_x"}, 2},
                 {{.limit = 9, .since_ms = T0 + 1, .until_ms = T0 + 3, .actor = "0"}, 2}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        OK_OR_DIE(bed, bed->ops->audit_list(bed->b, &table[i].f, &bed->a, &list, &n, &bed->err));
        assert_int_equal(n, table[i].n);
    }
    OK_OR_DIE(bed, bed->ops->audit_list(bed->b, &(struct audit_filter){.limit = 2}, &bed->a, &list,
                                        &n, &bed->err));
    OK_OR_DIE(bed, bed->ops->audit_update(bed->b, list[1].num, "{\"n\":4}", &bed->err));
    assert_int_equal(bed->ops->audit_update(bed->b, 1, "{}", &bed->err), ERR_NOT_FOUND);
    OK_OR_DIE(bed, bed->ops->audit_list(bed->b, &(struct audit_filter){.limit = 2}, &bed->a, &list,
                                        &n, &bed->err));
    assert_string_equal(list[0].detail, "{\"n\":3}");
    assert_string_equal(list[1].detail, "{\"n\":4}");
    assert_string_equal(list[1].target, "sub_x");
    assert_int_equal(list[1].created_ms, T0 + 2);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_AUDIT, T0 + 2, 1, &n, &bed->err));
    assert_int_equal(n, 1);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_AUDIT, T0 + 2, 9, &n, &bed->err));
    assert_int_equal(n, 1);
    OK_OR_DIE(bed, bed->ops->audit_list(bed->b, &(struct audit_filter){.limit = 9}, &bed->a, &list,
                                        &n, &bed->err));
    assert_int_equal(n, 2);
}

/* ---- retention ---- */
static size_t retain(struct bed *bed, enum retain_what what, int64_t before_ms, size_t limit)
{
    size_t n;
    OK_OR_DIE(bed, bed->ops->retain(bed->b, what, before_ms, limit, &n, &bed->err));
    assert_true(n <= limit);
    return n;
}

static bool has_event(struct bed *bed, const char *id, bool *with_payload)
{
    struct event_rec e;
    if (bed->ops->event_get(bed->b, id, true, &bed->a, &e, &bed->err) != OK)
        return false;
    *with_payload = e.payload != NULL;
    return true;
}

/* What retain() would delete, and what there is. */
static void look(struct bed *bed, enum retain_what what, int64_t before_ms, int64_t rows,
                 int64_t due, int64_t oldest_ms)
{
    struct retain_look l;
    OK_OR_DIE(bed, bed->ops->retain_look(bed->b, what, before_ms, 10000000, &l, &bed->err));
    assert_int_equal(l.rows, rows);
    assert_int_equal(l.due, due);
    if (oldest_ms > 0) /* of the first that was written: mostly the oldest */
        assert_int_equal(l.oldest_ms, oldest_ms);
    assert_false(l.rows_more || l.due_more);
}

static void retain_delivered(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2] = {bed_sub(bed, "a", 0), bed_sub(bed, "b", 0)}, d[4];
    struct event_rec both = bed_event_of(bed, "both", T0), none = bed_event_of(bed, "none", T0);
    struct attempt *attempts;
    struct delivery gone;
    struct dead_letter l;
    size_t n;
    bool payload = false;
    for (int i = 0; i < 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        d[i] = bed_emit(bed, subs[0], id, NULL, T0);
        bed_settle(bed, d[i], SETTLE_DELIVERED, T0 + i);
    }
    int64_t x = bed_put_at(bed, &both, subs, 2, false, NULL);
    bed_put_at(bed, &none, NULL, 0, false, NULL);
    bed_settle(bed, x, SETTLE_DELIVERED, T0);
    bed_settle(bed, x + 1, SETTLE_DEAD, T0);
    int64_t open = bed_emit(bed, subs[0], "open", NULL, T0);
    look(bed, RETAIN_DELIVERED, T0, 5, 0, T0);
    look(bed, RETAIN_DELIVERED, T0 + 3, 5, 4, T0);
    look(bed, RETAIN_DEAD, T0, 1, 0, T0);
    assert_int_equal(retain(bed, RETAIN_DELIVERED, T0, 9), 0); /* none finished before T0 */
    assert_int_equal(retain(bed, RETAIN_DELIVERED, T0 + 3, 2), 2);
    size_t more = 0;
    while ((n = retain(bed, RETAIN_DELIVERED, T0 + 3, 2)) > 0)
        more += n;
    assert_int_equal(more, 3); /* two deliveries and the event that matched nobody */
    assert_int_equal(bed->ops->delivery_get(bed->b, d[0], &bed->a, &gone, &bed->err),
                     ERR_NOT_FOUND);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, d[0], &bed->a, &attempts, &n, &bed->err));
    assert_int_equal(n, 0);
    assert_false(has_event(bed, "e0", &payload));
    assert_false(has_event(bed, "none", &payload));
    assert_true(has_event(bed, "e3", &payload));
    assert_true(payload);
    /* dead letters and open ones stay, however old; a dead one needs no second copy in the clear */
    assert_int_equal(bed_delivery(bed, open).state, DELIVERY_PENDING);
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, x + 1, &bed->a, &l, &bed->err));
    assert_non_null(l.event.payload);
    assert_true(has_event(bed, "both", &payload));
    assert_false(payload);
    assert_int_equal(bed_sub_get(bed, subs[0]).counts[DELIVERY_DELIVERED], 1);
    bed_replay(bed, x + 1, 0, T0 + 50);
    ASSERT_CLAIMS(bed, subs[1], T0 + 50, x + 1);
}

static void retain_attempts(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), done = bed_emit(bed, sub, "done", NULL, T0);
    int64_t dead = bed_emit(bed, sub, "dead", NULL, T0), open = bed_emit(bed, sub, "o", NULL, T0);
    struct attempt *list;
    size_t n;
    bed_settle(bed, done, SETTLE_RETRY, T0 + 10); /* each starts 5 ms earlier */
    bed_settle(bed, done, SETTLE_DELIVERED, T0 + 30);
    bed_settle(bed, dead, SETTLE_DEAD, T0 + 10);
    bed_settle(bed, open, SETTLE_RETRY, T0 + 10);
    look(bed, RETAIN_ATTEMPTS, T0 + 20, 4, 1, T0 + 5);
    assert_int_equal(retain(bed, RETAIN_ATTEMPTS, T0 + 20, 9), 1);
    look(bed, RETAIN_ATTEMPTS, T0 + 20, 3, 0, 0);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, done, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].n, 2);
    assert_int_equal(bed_delivery(bed, done).attempts, 2); /* as many were made */
    assert_int_equal(retain(bed, RETAIN_ATTEMPTS, T0 + 99, 9), 1);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, dead, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, open, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
}

/* A clock that was set back makes a later attempt the older one, and it goes first: those before it stay
 * its delivery's. */
static void retain_attempts_after_the_clock_went_back(void **state)
{
    static const int started_ms[] = {50, 10, 60, 5};
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), done = bed_emit(bed, sub, "done", NULL, T0);
    struct attempt *list;
    size_t n;
    for (int i = 0; i < 4; i++)
        bed_settle(bed, done, i < 3 ? SETTLE_RETRY : SETTLE_DELIVERED, T0 + started_ms[i] + 5);
    assert_int_equal(retain(bed, RETAIN_ATTEMPTS, T0 + 20, 9), 2);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, done, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].n, 1);
    assert_int_equal(list[1].n, 3);
    assert_true(retain(bed, RETAIN_DELIVERED, T0 + 99, 9) > 0);
    look(bed, RETAIN_ATTEMPTS, T0 + 99, 0, 0, 0);
}

static void retain_dead(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[3];
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        d[i] = bed_emit(bed, sub, id, NULL, T0);
        bed_settle(bed, d[i], SETTLE_DEAD, T0 + i);
    }
    assert_int_equal(retain(bed, RETAIN_DEAD, T0 + DEAD_KEPT - 1, 9), 0);
    assert_int_equal(retain(bed, RETAIN_DEAD, T0 + DEAD_KEPT + 1, 1), 1);
    assert_int_equal(retain(bed, RETAIN_DEAD, T0 + DEAD_KEPT + 1, 9), 1);
    assert_int_equal(retain(bed, RETAIN_DEAD, T0 + DEAD_KEPT + 1, 9), 0);
    assert_int_equal(bed_delivery(bed, d[0]).state, DELIVERY_DISCARDED);
    assert_int_equal(bed_delivery(bed, d[1]).state, DELIVERY_DISCARDED);
    assert_int_equal(bed_delivery(bed, d[1]).finished_ms, T0 + DEAD_KEPT + 1);
    assert_int_equal(bed_delivery(bed, d[2]).state, DELIVERY_DEAD);
}

static void max_num(void **state)
{
    struct bed *bed = *state;
    int64_t max;
    bed->last = 500;
    bed_emit(bed, bed_sub(bed, "a", 0), "e", NULL, T0);
    OK_OR_DIE(bed, bed->ops->max_num(bed->b, &max, &bed->err));
    assert_int_equal(max, bed->last);
    struct secret s = {.num = 900, .value = "v", .created_ms = T0};
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, 501, &s, &bed->err));
    OK_OR_DIE(bed, bed->ops->max_num(bed->b, &max, &bed->err));
    assert_int_equal(max, 900);
    struct job j = {.num = 901, .kind = JOB_REPLAY};
    OK_OR_DIE(bed, bed->ops->job_put(bed->b, &j, &bed->err));
    struct reject r = {.num = 902, .outbox = "o", .reason = "x", .row = "{}"};
    OK_OR_DIE(bed, bed->ops->reject_put(bed->b, &r, &bed->err));
    struct audit_entry e = {.num = 903, .actor = "a", .action = "b"};
    OK_OR_DIE(bed, bed->ops->audit_put(bed->b, &e, &bed->err));
    struct partner p = {.num = 904, .name = "p"};
    OK_OR_DIE(bed, bed->ops->partner_put(bed->b, &p, &bed->err));
    OK_OR_DIE(bed, bed->ops->max_num(bed->b, &max, &bed->err));
    assert_int_equal(max, 904);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(outbox_memory),
        ON_BOTH(taken_in_slices),
        ON_BOTH(rejects),
        ON_BOTH(audit),
        ON_BOTH(retain_delivered),
        ON_BOTH(retain_attempts),
        ON_BOTH(retain_attempts_after_the_clock_went_back),
        ON_BOTH(retain_dead),
        ON_BOTH(max_num),
    };
    return cmocka_run_group_tests_name("conformance: the rest", tests, NULL, NULL);
}
