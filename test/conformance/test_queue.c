/* test/conformance/test_queue.c: the hot path: what is due, in which order, and how a delivery
 * moves; no attempt after a final state (G3). */
#include "test/conformance/bed.h"

/* ---- claim ---- */
static void claim_in_order_of_due(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0), b = bed_sub(bed, "b", 0);
    int64_t late = bed_emit(bed, a, "late", NULL, T0 + 50), d1 = bed_emit(bed, a, "d1", NULL, T0);
    int64_t other = bed_emit(bed, b, "other", NULL, T0), d2 = bed_emit(bed, a, "d2", NULL, T0);
    ASSERT_CLAIMS(bed, a, T0, d1, d2); /* same due: by number */
    assert_int_equal(bed_claim(bed, a, T0).next_due_ms, T0 + 50);
    ASSERT_CLAIMS(bed, a, T0 + 50, d1, d2, late);
    assert_int_equal(bed_claim(bed, a, T0 + 50).next_due_ms, 0);
    ASSERT_CLAIMS(bed, b, T0, other);
    ASSERT_NO_CLAIMS(bed, a, T0 - 1);
    assert_int_equal(bed_claim(bed, 4242, T0).n, 0);
}

static void claim_holds_what_sending_needs(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0);
    struct event_rec e = bed_event_of(bed, "evt", T0);
    struct claimed *c;
    struct claim_got got;
    e.correlation_id = "corr";
    e.ordering_key = "k";
    e.attributes = "{}";
    e.version = "1.1";
    e.source = "s";
    e.expires_ms = T0 + 500;
    int64_t d = bed_put_at(bed, &e, &sub, 1, true, NULL);
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0, &CLAIM_UPTO(1), &c, &got, &bed->err));
    assert_int_equal(got.n, 1);
    assert_int_equal(c->delivery.num, d);
    assert_int_equal(c->delivery.sub, sub);
    assert_int_equal(c->delivery.state, DELIVERY_PENDING);
    assert_string_equal(c->delivery.ordering_key, "k");
    assert_string_equal(c->event.id, "evt");
    assert_string_equal(c->event.type, "order.executed");
    assert_string_equal(c->event.correlation_id, "corr");
    assert_string_equal(c->event.attributes, "{}");
    assert_string_equal(c->event.version, "1.1");
    assert_string_equal(c->event.source, "s");
    assert_int_equal(c->event.expires_ms, T0 + 500);
    assert_int_equal(c->event.payload_bytes, 7);
    assert_memory_equal(c->event.payload, "{\"n\":1}", 7);
    claimed_free(c);
    /* claiming changes nothing */
    ASSERT_CLAIMS(bed, sub, T0, d);
}

static void claim_max_and_skip(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[5];
    char id[16];
    struct claimed *c[5];
    struct claim_got got;
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        d[i] = bed_emit(bed, sub, id, NULL, T0 + i);
    }
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 9, &CLAIM_UPTO(2), c, &got, &bed->err));
    assert_int_equal(got.n, 2);
    assert_int_equal(got.next_due_ms, T0 + 2); /* the first not returned, due already */
    claimed_free(c[0]);
    claimed_free(c[1]);
    const int64_t skip[] = {d[0], d[2], d[3]};
    struct claim_ask ask = {
        .max = 1, .max_row_bytes = SIZE_MAX, .max_bytes = SIZE_MAX, .skip = skip, .skip_n = 3};
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 9, &ask, c, &got, &bed->err));
    assert_int_equal(got.n, 1);
    assert_int_equal(c[0]->delivery.num, d[1]);
    assert_int_equal(got.next_due_ms, T0 + 4); /* skipped ones do not count */
    claimed_free(c[0]);
    ask.max = 5;
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 3, &ask, c, &got, &bed->err));
    assert_int_equal(got.n, 1);
    assert_int_equal(got.next_due_ms, T0 + 4);
    claimed_free(c[0]);
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 9, &CLAIM_UPTO(0), c, &got, &bed->err));
    assert_int_equal(got.n, 0);
    assert_int_equal(got.next_due_ms, T0);
    ask.from_ms = T0 + 1; /* what is due before is in memory */
    ask.skip_n = 0;
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 2, &ask, c, &got, &bed->err));
    assert_int_equal(got.n, 2);
    assert_int_equal(c[0]->delivery.num, d[1]);
    assert_int_equal(c[1]->delivery.num, d[2]);
    assert_int_equal(got.next_due_ms, T0 + 3);
    claimed_free(c[0]);
    claimed_free(c[1]);
}

/* What would go beyond the bytes that were asked for stays, and says how large it is. */
static void claim_max_bytes(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d[3];
    struct claimed *c[3];
    struct claim_got got;
    d[0] = bed_emit(bed, sub, "e0", NULL, T0);
    struct event_rec large = bed_event_of(bed, "e1", T0 + 1);
    char payload[5000];
    memset(payload, '1', sizeof(payload));
    large.payload = payload;
    large.payload_bytes = sizeof(payload);
    d[1] = bed_put_at(bed, &large, &sub, 1, false, NULL);
    d[2] = bed_emit(bed, sub, "e2", NULL, T0 + 2);
    struct claim_ask ask = {.max = 3, .max_row_bytes = SIZE_MAX, .max_bytes = 2000};
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 9, &ask, c, &got, &bed->err));
    assert_int_equal(got.n, 1); /* the third would fit, but is not its turn */
    assert_int_equal(c[0]->delivery.num, d[0]);
    assert_int_equal(got.next_due_ms, T0 + 1);
    assert_true(got.next_bytes > 5000 && got.next_bytes < 6000);
    ask = (struct claim_ask){0, 3, SIZE_MAX, got.next_bytes, d, 1};
    claimed_free(c[0]);
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 9, &ask, c, &got, &bed->err));
    assert_int_equal(got.n, 1);
    assert_int_equal(c[0]->delivery.num, d[1]);
    assert_int_equal(c[0]->bytes, ask.max_bytes);
    assert_int_equal(c[0]->event.payload_bytes, sizeof(payload));
    assert_memory_equal(c[0]->event.payload, payload, sizeof(payload));
    assert_true(got.next_bytes > 0 && got.next_bytes < 2000);
    ask = (struct claim_ask){0, 3, ask.max_bytes - 1, SIZE_MAX, d, 1};
    struct claimed *none[3];
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 9, &ask, none, &got, &bed->err));
    assert_int_equal(got.n, 0);
    assert_int_equal(got.next_bytes, c[0]->bytes);
    claimed_drop_payload(c[0]);
    assert_null(c[0]->event.payload);
    assert_string_equal(c[0]->event.id, "e1");
    assert_true(c[0]->bytes < 1000);
    claimed_free(c[0]);
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 9, &CLAIM_UPTO(3), c, &got, &bed->err));
    assert_int_equal(got.n, 3);
    assert_int_equal(got.next_due_ms, 0);
    assert_int_equal(got.next_bytes, 0);
    for (size_t i = 0; i < 3; i++)
        claimed_free(c[i]);
}

static void heads(void **state)
{
    struct bed *bed = *state;
    int64_t subs[3] = {bed_sub(bed, "a", 0), bed_sub(bed, "b", 0), 4242}, due[3];
    bed_emit(bed, subs[0], "late", NULL, T0 + 50);
    int64_t d = bed_emit(bed, subs[0], "early", NULL, T0 + 5);
    OK_OR_DIE(bed, bed->ops->heads(bed->b, subs, 3, due, &bed->err));
    assert_int_equal(due[0], T0 + 5);
    assert_int_equal(due[1], 0);
    assert_int_equal(due[2], 0);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 6);
    OK_OR_DIE(bed, bed->ops->heads(bed->b, subs, 3, due, &bed->err));
    assert_int_equal(due[0], T0 + 50);
}

/* ---- settle ---- */
static void settle_delivered(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct event_rec e;
    struct settled out = bed_settle(bed, d, SETTLE_DELIVERED, T0 + 3);
    assert_int_equal(out.next_due_ms, 0);
    assert_int_equal(out.job, 0);
    struct delivery x = bed_delivery(bed, d);
    assert_int_equal(x.state, DELIVERY_DELIVERED);
    assert_int_equal(x.attempts, 1);
    assert_int_equal(x.last_status, 200);
    assert_int_equal(x.last_outcome, OUTCOME_SUCCESS);
    assert_int_equal(x.finished_ms, T0 + 3);
    ASSERT_NO_CLAIMS(bed, sub, INT64_MAX);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "e", true, &bed->a, &e, &bed->err));
    assert_non_null(e.payload); /* kept until retention */
}

static void settle_retry(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    bed_settle(bed, d, SETTLE_RETRY, T0 + 3);
    struct delivery x = bed_delivery(bed, d);
    assert_int_equal(x.state, DELIVERY_RETRYING);
    assert_int_equal(x.attempts, 1);
    assert_int_equal(x.budget_start, 0);
    assert_int_equal(x.due_ms, T0 + 1003);
    assert_int_equal(x.finished_ms, 0);
    ASSERT_NO_CLAIMS(bed, sub, T0 + 1002);
    ASSERT_CLAIMS(bed, sub, T0 + 1003, d);
    bed_settle(bed, d, SETTLE_RETRY, T0 + 1003);
    ASSERT_CLAIMS(bed, sub, T0 + 2003, d);
    assert_int_equal(bed_delivery(bed, d).attempts, 2);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_RETRYING], 1);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_PENDING], 0);
}

static void settle_dead(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct dead_letter l;
    struct event_rec e;
    bed_settle(bed, d, SETTLE_RETRY, T0 + 1);
    struct settlement s = bed_settlement(d, SETTLE_DEAD, T0 + 2000);
    s.cause = CAUSE_EXPIRED;
    s.has_attempt = false;
    bed_settle_as(bed, &s);
    struct delivery x = bed_delivery(bed, d);
    assert_int_equal(x.state, DELIVERY_DEAD);
    assert_int_equal(x.cause, CAUSE_EXPIRED);
    assert_int_equal(x.attempts, 1); /* died without another */
    assert_int_equal(x.last_status, 503);
    assert_int_equal(x.finished_ms, T0 + 2000);
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, d, &bed->a, &l, &bed->err));
    assert_int_equal(l.died_ms, T0 + 2000);
    assert_int_equal(l.expires_ms, T0 + 2000 + DEAD_KEPT);
    assert_string_equal(l.sub_name, "a");
    assert_string_equal(l.sub_url, "https://partner.example/hook");
    assert_int_equal(l.sub_num, sub);
    assert_int_equal(l.delivery.cause, CAUSE_EXPIRED);
    assert_memory_equal(l.event.payload, "{\"n\":1}", 7);
    assert_string_equal(l.event.partner_name, "default");
    /* nobody else needs the payload: only the sealed letter has it */
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "e", true, &bed->a, &e, &bed->err));
    assert_null(e.payload);
    assert_int_equal(e.payload_bytes, 7);
}

static void payload_stays_while_one_needs_it(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2] = {bed_sub(bed, "a", 0), bed_sub(bed, "b", 0)};
    struct event_rec e = bed_event_of(bed, "e", T0);
    int64_t d = bed_put_at(bed, &e, subs, 2, false, NULL);
    bed_settle(bed, d, SETTLE_DEAD, T0 + 1);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "e", true, &bed->a, &e, &bed->err));
    assert_non_null(e.payload);
    ASSERT_CLAIMS(bed, subs[1], T0, d + 1);
    bed_settle(bed, d + 1, SETTLE_DEAD, T0 + 1);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "e", true, &bed->a, &e, &bed->err));
    assert_null(e.payload);
    /* a replay of one puts it back */
    bed_replay(bed, d, 0, T0 + 2);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "e", true, &bed->a, &e, &bed->err));
    assert_memory_equal(e.payload, "{\"n\":1}", 7);
    ASSERT_CLAIMS(bed, subs[0], T0 + 2, d);
}

static void late_answers_are_stale(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0);
    int64_t d[3] = {bed_emit(bed, sub, "e0", NULL, T0), bed_emit(bed, sub, "e1", NULL, T0),
                    bed_emit(bed, sub, "e2", NULL, T0)};
    struct settled out;
    bed_settle(bed, d[0], SETTLE_DELIVERED, T0 + 1);
    bed_settle(bed, d[1], SETTLE_DEAD, T0 + 1);
    bed_settle(bed, d[2], SETTLE_DEAD, T0 + 1);
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, d[2], 0, 0, T0 + 2, &out, &bed->err));
    for (int i = 0; i < 3; i++) {
        struct delivery before = bed_delivery(bed, d[i]);
        for (int to = SETTLE_DELIVERED; to <= SETTLE_DEAD; to++) {
            struct settlement s = bed_settlement(d[i], (enum settle_to)to, T0 + 9);
            assert_int_equal(bed->ops->settle(bed->b, &s, T0, &out, &bed->err), ERR_STALE);
        }
        struct delivery after = bed_delivery(bed, d[i]);
        assert_int_equal(before.state, after.state);
        assert_int_equal(before.attempts, after.attempts);
        assert_int_equal(before.finished_ms, after.finished_ms);
    }
    struct settlement s = bed_settlement(4242, SETTLE_DELIVERED, T0 + 9);
    assert_int_equal(bed->ops->settle(bed->b, &s, T0, &out, &bed->err), ERR_STALE);
    ASSERT_NO_CLAIMS(bed, sub, INT64_MAX);
}

static void an_attempt_that_was_overtaken_is_recorded(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct dead_letter letter;
    struct attempt *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, INT64_MAX, CAUSE_SUBSCRIPTION_DELETED, 10, T0 + 1,
                                  T0 + 99, &n, &bed->err));
    assert_int_equal(n, 1);
    struct settlement s = bed_settlement(d, SETTLE_DELIVERED, T0 + 9);
    OK_OR_DIE(bed, bed->ops->attempt_late(bed->b, &s.attempt, &bed->err));
    struct delivery after = bed_delivery(bed, d);
    assert_int_equal(after.state, DELIVERY_DEAD);
    assert_int_equal(after.attempts, 1);
    assert_int_equal(after.last_status, 200);
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, d, &bed->a, &letter, &bed->err));
    assert_int_equal(letter.delivery.attempts, 1);
    assert_int_equal(letter.delivery.last_status, 200);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, d, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].n, 1);
    s.attempt.delivery = 4242;
    assert_int_equal(bed->ops->attempt_late(bed->b, &s.attempt, &bed->err), ERR_STALE);
}

/* ---- kill ---- */
static void kill_by_age(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", ORDERED), other = bed_sub(bed, "b", 0);
    int64_t old = bed_emit(bed, sub, "old", NULL, T0), tried = bed_emit(bed, sub, "t", NULL, T0);
    int64_t k1 = bed_emit(bed, sub, "k1", "k", T0), k2 = bed_emit(bed, sub, "k2", "k", T0 + 1);
    int64_t young = bed_emit(bed, sub, "young", NULL, T0 + 500);
    int64_t not_its = bed_emit(bed, other, "o", NULL, T0);
    struct dead_letter l;
    size_t n;
    bed_settle(bed, tried, SETTLE_RETRY, T0 + 10); /* due at T0 + 1010, created long before */
    OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, T0 + 100, CAUSE_ENDPOINT_DOWN, 3, T0 + 600, T0 + 900,
                                  &n, &bed->err));
    assert_int_equal(n, 3);
    OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, T0 + 100, CAUSE_ENDPOINT_DOWN, 3, T0 + 600, T0 + 900,
                                  &n, &bed->err));
    assert_int_equal(n, 1);
    const int64_t dead[] = {old, tried, k1, k2};
    for (int i = 0; i < 4; i++)
        assert_int_equal(bed_delivery(bed, dead[i]).state, DELIVERY_DEAD);
    assert_int_equal(bed_delivery(bed, k2).cause, CAUSE_ENDPOINT_DOWN);
    assert_int_equal(bed_delivery(bed, k2).finished_ms, T0 + 600);
    assert_int_equal(bed_delivery(bed, k2).attempts, 0);
    assert_int_equal(bed_delivery(bed, tried).attempts, 1);
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, k2, &bed->a, &l, &bed->err));
    assert_int_equal(l.expires_ms, T0 + 900);
    assert_non_null(l.event.payload);
    ASSERT_CLAIMS(bed, sub, T0 + 600, young);
    ASSERT_CLAIMS(bed, other, T0 + 600, not_its);
    OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, INT64_MAX, CAUSE_SUBSCRIPTION_DELETED, 9, T0 + 600,
                                  T0 + 900, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(bed_delivery(bed, young).cause, CAUSE_SUBSCRIPTION_DELETED);
    ASSERT_NO_CLAIMS(bed, sub, INT64_MAX);
}

static int64_t next_expiry(struct bed *bed, int64_t now_ms)
{
    int64_t at_ms = 0;
    OK_OR_DIE(bed, bed->ops->next_expiry(bed->b, now_ms, &at_ms, &bed->err));
    return at_ms;
}

static void kill_expired(void **state)
{
    struct bed *bed = *state;
    int64_t live = bed_sub(bed, "live", ORDERED), held = bed_sub(bed, "held", 0);
    struct subscription s = bed_sub_get(bed, held);
    int64_t d[5];
    size_t n;
    for (int i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        struct event_rec e = bed_event_of(bed, id, T0);
        e.ordering_key = i < 3 ? "k" : NULL;
        e.expires_ms = i == 2 ? T0 + 900 : T0 + 100;
        d[i] = bed_put_at(bed, &e, i == 4 ? &held : &live, 1, i < 3, NULL);
    }
    s.broken_since_ms = T0 + 1;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    OK_OR_DIE(bed, bed->ops->kill_expired(bed->b, false, 9, T0 + 99, T0 + 999, &n, &bed->err));
    assert_int_equal(n, 0);
    assert_int_equal(next_expiry(bed, T0 + 99), T0 + 100);
    assert_int_equal(next_expiry(bed, T0 + 100), T0 + 900);
    assert_int_equal(next_expiry(bed, T0 + 900), INT64_MAX);
    OK_OR_DIE(bed, bed->ops->kill_expired(bed->b, false, 9, T0 + 100, T0 + 999, &n, &bed->err));
    assert_int_equal(n, 2); /* one behind the key, one of the broken subscription */
    assert_int_equal(bed_delivery(bed, d[1]).cause, CAUSE_EXPIRED);
    assert_int_equal(bed_delivery(bed, d[4]).cause, CAUSE_EXPIRED);
    /* what can be claimed is the lane's to judge */
    ASSERT_CLAIMS(bed, live, T0 + 200, d[0], d[3]);
    bed_settle(bed, d[0], SETTLE_DELIVERED, T0 + 200);
    ASSERT_CLAIMS(bed, live, T0 + 200, d[2], d[3]);
    /* where nobody claims, nobody judges it either */
    OK_OR_DIE(bed, bed->ops->kill_expired(bed->b, true, 9, T0 + 200, T0 + 999, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(bed_delivery(bed, d[3]).cause, CAUSE_EXPIRED);
    ASSERT_CLAIMS(bed, live, T0 + 200, d[2]);
}

/* Somebody tries an endpoint: once, before all others, and no dead letter comes of it. */
static void trial(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), other = bed_emit(bed, sub, "e0", NULL, T0);
    int64_t good = bed_emit(bed, sub, "e1", NULL, T0 + 5),
            bad = bed_emit(bed, sub, "e2", NULL, T0 + 6);
    int64_t killed = bed_emit(bed, sub, "e3", NULL, T0 + 7);
    struct dead_letter l;
    size_t n;
    OK_OR_DIE(bed, bed->ops->trial(bed->b, good, 1, &bed->err));
    OK_OR_DIE(bed, bed->ops->trial(bed->b, bad, 1, &bed->err));
    OK_OR_DIE(bed, bed->ops->trial(bed->b, killed, 1, &bed->err));
    ASSERT_CLAIMS(bed, sub, T0 + 4, good, bad, killed, other);
    struct claimed *c;
    struct claim_got got;
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0, &CLAIM_UPTO(1), &c, &got, &bed->err));
    assert_true(c->delivery.trial);
    assert_int_equal(c->delivery.budget_max, 1);
    claimed_free(c);
    bed_settle(bed, good, SETTLE_DELIVERED, T0 + 8);
    bed_settle(bed, bad, SETTLE_DEAD, T0 + 8);
    struct delivery d = bed_delivery(bed, bad);
    assert_true(d.trial);
    assert_int_equal(d.state, DELIVERY_DISCARDED);
    assert_int_equal(d.cause, CAUSE_RETRIES_EXHAUSTED);
    assert_int_equal(d.finished_ms, T0 + 8);
    assert_int_equal(bed->ops->dead_get(bed->b, bad, &bed->a, &l, &bed->err), ERR_NOT_FOUND);
    assert_int_equal(bed->ops->trial(bed->b, bad, 1, &bed->err), ERR_STALE);
    /* who holds nothing of it does not end it for its age */
    OK_OR_DIE(
        bed, bed->ops->kill(bed->b, sub, T0 - 1, CAUSE_EXPIRED, 9, T0 + 9, T0 + 99, &n, &bed->err));
    assert_int_equal(n, 0);
    OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, INT64_MAX, CAUSE_SUBSCRIPTION_DELETED, 9, T0 + 9,
                                  T0 + 99, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(bed_delivery(bed, killed).state, DELIVERY_DISCARDED);
    assert_int_equal(bed_delivery(bed, other).state, DELIVERY_DEAD);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DISCARDED], 2);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DEAD], 1);
}

/* Open ones are given up: nobody's letter, and the next one of the key goes on. */
static void discard(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", ORDERED);
    int64_t first = bed_emit(bed, sub, "e0", "k", T0),
            second = bed_emit(bed, sub, "e1", "k", T0 + 1);
    int64_t alone = bed_emit(bed, sub, "e2", NULL, T0 + 2),
            third = bed_emit(bed, sub, "e3", "k", T0);
    struct settled out;
    struct dead_letter l;
    bed_settle_as(bed, &(struct settlement){.delivery = first,
                                            .sub = sub,
                                            .to = SETTLE_RETRY,
                                            .due_ms = T0 + 900,
                                            .now_ms = T0 + 5,
                                            .has_attempt = false});
    OK_OR_DIE(bed, bed->ops->discard(bed->b, second, T0 + 6, &out, &bed->err));
    assert_int_equal(out.next_due_ms, T0 + 900); /* the head is who it was */
    OK_OR_DIE(bed, bed->ops->discard(bed->b, first, T0 + 7, &out, &bed->err));
    assert_int_equal(out.next_due_ms, T0);
    OK_OR_DIE(bed, bed->ops->discard(bed->b, alone, T0 + 8, &out, &bed->err));
    assert_int_equal(out.next_due_ms, 0);
    ASSERT_CLAIMS(bed, sub, T0 + 9999, third);
    struct delivery d = bed_delivery(bed, alone);
    assert_int_equal(d.state, DELIVERY_DISCARDED);
    assert_int_equal(d.cause, CAUSE_NONE);
    assert_int_equal(d.finished_ms, T0 + 8);
    assert_int_equal(bed->ops->dead_get(bed->b, alone, &bed->a, &l, &bed->err), ERR_NOT_FOUND);
    assert_int_equal(bed->ops->discard(bed->b, alone, T0 + 9, &out, &bed->err), ERR_STALE);
    assert_int_equal(bed->ops->discard(bed->b, 12345, T0 + 9, &out, &bed->err), ERR_STALE);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DISCARDED], 3);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_PENDING], 1);
}

static void walked(struct bed *bed, const struct filter *asked, size_t looks, int64_t *nums,
                   size_t *n)
{
    struct filter f = *asked;
    *n = 0;
    do {
        struct delivery_key *keys;
        size_t got;
        OK_OR_DIE(bed, bed->ops->delivery_walk(bed->b, &f, looks, &bed->a, &keys, &got,
                                               &f.after_num, &bed->err));
        assert_in_range(got, 0, f.limit < looks ? f.limit : looks);
        for (size_t i = 0; i < got; i++)
            nums[(*n)++] = keys[i].num;
    } while (f.after_num != 0);
}

/* However it is sliced, a walk meets each one that matches once, in order. */
static void walk_in_slices(void **state)
{
    struct bed *bed = *state;
    int64_t a = bed_sub(bed, "a", 0), b = bed_sub(bed, "b", 0), of_a[20], open[20], got[50];
    size_t n;
    for (int i = 0; i < 20; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        of_a[i] = bed_emit(bed, a, id, NULL, T0 + i);
        (void)snprintf(id, sizeof id, "b%d", i);
        (void)bed_emit(bed, b, id, NULL, T0 + i);
    }
    for (int i = 0; i < 20; i += 2)
        bed_settle(bed, of_a[i], SETTLE_DELIVERED, T0 + 50);
    for (int i = 1; i < 20; i += 2)
        open[i / 2] = of_a[i];
    struct filter f = {.subs = &a, .subs_n = 1, .states = FILTER_BIT(DELIVERY_PENDING)};
    for (size_t looks = 1; looks < 50; looks += 3)
        for (f.limit = 1; f.limit < 25; f.limit += 5) {
            walked(bed, &f, looks, got, &n);
            assert_int_equal(n, 10);
            assert_memory_equal(got, open, n * sizeof *got);
        }
    struct filter all = {.limit = 7, .states = FILTER_BIT(DELIVERY_PENDING)};
    walked(bed, &all, 3, got, &n);
    assert_int_equal(n, 30);
    struct filter named = {.limit = 2, .ids = open, .ids_n = 5};
    walked(bed, &named, 1000, got, &n);
    assert_int_equal(n, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(discard),
        ON_BOTH(walk_in_slices),
        ON_BOTH(trial),
        ON_BOTH(claim_in_order_of_due),
        ON_BOTH(claim_holds_what_sending_needs),
        ON_BOTH(claim_max_and_skip),
        ON_BOTH(claim_max_bytes),
        ON_BOTH(heads),
        ON_BOTH(settle_delivered),
        ON_BOTH(settle_retry),
        ON_BOTH(settle_dead),
        ON_BOTH(payload_stays_while_one_needs_it),
        ON_BOTH(late_answers_are_stale),
        ON_BOTH(an_attempt_that_was_overtaken_is_recorded),
        ON_BOTH(kill_by_age),
        ON_BOTH(kill_expired),
    };
    return cmocka_run_group_tests_name("conformance: queue", tests, NULL, NULL);
}
