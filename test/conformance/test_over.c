/* test/conformance/test_over.c: what was delivered or discarded is found, and goes out again, or a copy of it
 * does. */
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
    OK_OR_DIE(bed, bed->ops->trial(bed->b, d, 1, &bed->err));
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
    int64_t subs[2], all[BED_MANY], some[20];
    struct dead_key *keys, end;
    size_t n, some_n = 0;
    bed_many(bed, subs, all);
    for (int i = 0; i < BED_MANY; i++) {
        if (i % 5 == 0)
            continue; /* stays open */
        bed_settle(bed, all[i], i % 3 == 0 ? SETTLE_DEAD : SETTLE_DELIVERED,
                   T0 + (i < 100 ? 5 : 10));
        if (i % 12 == 1)
            some[some_n++] = all[i];
    }
    size_t each[2] = {0, 0};
    for (int i = 0; i < 100; i++)
        each[i % 2] += i % 5 != 0 && i % 3 != 0;
    bed_walk_all(bed, walk_with, subs[0], each[0]);
    bed_walk_all(bed, walk_with, 0, each[0] + each[1]);
    /* named by number they are not looked for */
    struct filter f = {.ids = some, .ids_n = some_n, .limit = 10000, .with_expired = true};
    OK_OR_DIE(bed, bed->ops->over_walk(bed->b, &f, 1, &bed->a, &keys, &n, &end, &bed->err));
    assert_int_equal(n, some_n);
    assert_int_equal(end.num, 0);
}

/* ---- copies ---- */
static int64_t copies_sub(struct bed *bed, const char *name, int64_t job, int64_t source)
{
    struct subscription s = bed_sub_of(bed, name, 0);
    s.job = job;
    s.source = source;
    s.patterns = "";
    OK_OR_DIE(bed, bed->ops->sub_put(bed->b, &s, &bed->err));
    return s.num;
}

static enum err_code copy(struct bed *bed, int64_t original, unsigned states, int64_t num,
                          int64_t sub)
{
    static const struct reopening once = {
        .job = 9, .due_ms = T0 + 60, .now_ms = T0 + 50, .budget_max = 1};
    return bed->ops->delivery_copy(bed->b, original, states, num, sub, &once, &bed->err);
}

static const void *payload_of(struct bed *bed, const char *event)
{
    struct event_rec e;
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, event, true, &bed->a, &e, &bed->err));
    return e.payload;
}

/* It goes where it is told to, and the letter stays what it is, its payload sealed again. */
static void a_copy_of_a_letter(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", ORDERED | BLOCK), to = copies_sub(bed, "to", 9, sub);
    int64_t d = bed_emit(bed, sub, "e", "key", T0), next = bed_emit(bed, sub, "f", "key", T0);
    const unsigned dead = FILTER_BIT(DELIVERY_DEAD);
    struct claimed *got[1];
    struct claim_got n;
    int64_t counts[DELIVERY_STATES], rejects;
    assert_int_equal(copy(bed, d, dead, 900, to), ERR_STALE); /* open */
    bed_settle(bed, d, SETTLE_DEAD, T0 + 1);
    assert_null(payload_of(bed, "e"));
    struct delivery before = bed_delivery(bed, d);
    assert_int_equal(copy(bed, d, FILTER_BIT(DELIVERY_DELIVERED), 900, to), ERR_STALE);
    assert_int_equal(copy(bed, d, dead, 900, 4242), ERR_INVALID);
    OK_OR_DIE(bed, copy(bed, d, dead, 900, to));
    struct delivery x = bed_delivery(bed, 900), after = bed_delivery(bed, d);
    assert_int_equal(x.state, DELIVERY_PENDING);
    assert_int_equal(x.original, d);
    assert_int_equal(x.event, before.event);
    assert_string_equal(x.event_id, "e");
    assert_int_equal(x.sub, to);
    assert_int_equal(x.job, 9);
    assert_int_equal(x.attempts, 0);
    assert_int_equal(x.budget_max, 1);
    assert_int_equal(x.created_ms, T0 + 50);
    assert_true(x.trial);
    assert_int_equal(after.state, DELIVERY_DEAD);
    assert_int_equal(after.job, 0);
    assert_int_equal(after.finished_ms, before.finished_ms);
    ASSERT_NO_CLAIMS(bed, sub, T0 + 70); /* the key is blocked as before */
    ASSERT_NO_CLAIMS(bed, to, T0 + 59);
    OK_OR_DIE(bed, bed->ops->claim(bed->b, to, T0 + 60, &CLAIM_UPTO(1), got, &n, &bed->err));
    assert_int_equal(n.n, 1);
    assert_string_equal(got[0]->event.payload, "{\"n\":1}");
    claimed_free(got[0]);
    assert_int_equal(bed_sub_get(bed, to).counts[DELIVERY_PENDING], 1);
    bed_settle(bed, 900, SETTLE_DELIVERED, T0 + 61);
    assert_int_equal(bed_sub_get(bed, to).counts[DELIVERY_DELIVERED], 1);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DEAD], 1);
    OK_OR_DIE(bed, bed->ops->counts(bed->b, counts, &rejects, &bed->err));
    assert_int_equal(counts[DELIVERY_DELIVERED], 0);
    assert_int_equal(counts[DELIVERY_DEAD], 1);
    assert_null(payload_of(bed, "e"));
    assert_int_equal(copy(bed, 900, FILTER_BIT(DELIVERY_DELIVERED), 901, to), ERR_STALE);
    /* and can be sent as before */
    bed_replay(bed, d, 0, T0 + 62);
    ASSERT_CLAIMS(bed, sub, T0 + 62, d);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 63);
    ASSERT_CLAIMS(bed, sub, T0 + 63, next);
}

/* One that fails is nobody's letter, whatever becomes of the original meanwhile. */
static void a_copy_that_fails(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), to = copies_sub(bed, "to", 9, sub);
    int64_t d = bed_emit(bed, sub, "e", NULL, T0);
    const unsigned dead = FILTER_BIT(DELIVERY_DEAD);
    struct dead_sums letters;
    bed_settle(bed, d, SETTLE_DEAD, T0 + 1);
    OK_OR_DIE(bed, copy(bed, d, dead, 900, to));
    OK_OR_DIE(bed, copy(bed, d, dead, 901, to));
    bed_settle(bed, 900, SETTLE_DEAD, T0 + 61);
    assert_int_equal(bed_delivery(bed, 900).state, DELIVERY_DISCARDED);
    assert_non_null(payload_of(bed, "e")); /* the other one needs it */
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, d, 0, 0, T0 + 62, NULL, &bed->err));
    ASSERT_CLAIMS(bed, to, T0 + 62, 901);
    bed_settle(bed, 901, SETTLE_DEAD, T0 + 63);
    assert_null(payload_of(bed, "e"));
    struct filter all = {.with_expired = true, .limit = 10};
    OK_OR_DIE(bed, bed->ops->dead_count(bed->b, &all, &letters, &bed->err));
    assert_int_equal(letters.count, 0);
    assert_int_equal(copy(bed, d, FILTER_BIT(DELIVERY_DISCARDED), 902, to), ERR_INVALID); /* gone */
}

static void a_copy_of_a_delivered_one(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), to = copies_sub(bed, "to", 9, sub);
    struct event_rec e = bed_event_of(bed, "e", T0);
    e.expires_ms = T0 + 10;
    int64_t d = bed_put_at(bed, &e, &sub, 1, false, NULL);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    struct subscription s = bed_sub_get(bed, sub);
    s.state = SUB_DELETED; /* that one need not be there */
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    OK_OR_DIE(bed, copy(bed, d, FILTER_BIT(DELIVERY_DELIVERED), 900, to));
    size_t n;
    OK_OR_DIE(bed, bed->ops->kill_expired(bed->b, true, 10, T0 + 1000, T0 + 9999, &n, &bed->err));
    assert_int_equal(n, 0); /* past its expiry it goes on purpose */
    bed_settle(bed, 900, SETTLE_DEAD, T0 + 61);
    assert_int_equal(bed_delivery(bed, d).state, DELIVERY_DELIVERED);
    assert_non_null(payload_of(bed, "e")); /* a delivered one keeps it */
}

/* Its subscription signs with the secrets of whose copies it sends; a part counts for it. */
static void whose_copies(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), to = copies_sub(bed, "to", 9, sub);
    struct secret k = {.num = 500, .value = "whsec_x", .created_ms = T0};
    struct job j = {.num = 9, .kind = JOB_REPLAY, .to_url = "https://test.example/"};
    struct job_part p = {.job = 9, .sub = to, .canary_tried = -1, .counts = {.selected = 1}};
    struct job_part *parts;
    size_t n;
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, sub, &k, &bed->err));
    struct subscription s = bed_sub_get(bed, to);
    assert_int_equal(s.job, 9);
    assert_int_equal(s.source, sub);
    assert_int_equal(s.secrets_n, 1);
    assert_string_equal(s.secrets[0].value, "whsec_x");
    s.job = s.source = 0; /* stay */
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    assert_int_equal(bed_sub_get(bed, to).source, sub);
    OK_OR_DIE(bed, bed->ops->job_put(bed->b, &j, &bed->err));
    OK_OR_DIE(bed, bed->ops->part_put(bed->b, &p, &bed->err));
    int64_t d = bed_emit(bed, sub, "e", NULL, T0);
    bed_settle(bed, d, SETTLE_DEAD, T0 + 1);
    OK_OR_DIE(bed, copy(bed, d, FILTER_BIT(DELIVERY_DEAD), 900, to));
    assert_int_equal(bed_settle(bed, 900, SETTLE_DEAD, T0 + 61).job, 9);
    OK_OR_DIE(bed, bed->ops->part_list(bed->b, 9, false, -1, 10, &bed->a, &parts, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(parts[0].source, sub);
    assert_string_equal(parts[0].sub_name, "a");
    assert_int_equal(parts[0].counts.dead_again, 1);
    assert_int_equal(parts[0].counts.failed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_delivered_one),
        ON_BOTH(of_a_deleted_subscription),
        ON_BOTH(a_purged_one),
        ON_BOTH(a_trial_is_left_out),
        ON_BOTH(walks),
        ON_BOTH(a_copy_of_a_letter),
        ON_BOTH(a_copy_that_fails),
        ON_BOTH(a_copy_of_a_delivered_one),
        ON_BOTH(whose_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
