/* test/conformance/test_events.c: events come in; events, deliveries and attempts are read. */
#include "test/conformance/bed.h"

static void put_and_get(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0);
    struct event_rec e = bed_event_of(bed, "evt_1", T0), got;
    struct event_put_result out;
    e.payload = "{\"zero\":\"\\u0000\"}\0after";
    e.payload_bytes = 22;
    e.ordering_key = "k";
    e.correlation_id = "corr";
    e.source = "src";
    e.version = "2.0";
    e.attributes = "{\"subject\":\"x\"}";
    e.expires_ms = T0 + 99;
    e.created_ms = T0 - 3;
    e.seq = 42;
    int64_t d = bed_put_at(bed, &e, &sub, 1, false, &out);
    assert_int_equal(out.kind, EVENT_NEW);
    assert_int_equal(out.num, e.num);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "evt_1", true, &bed->a, &got, &bed->err));
    assert_int_equal(got.num, e.num);
    assert_string_equal(got.type, "order.executed");
    assert_int_equal(got.payload_bytes, 22);
    assert_memory_equal(got.payload, e.payload, 22);
    assert_string_equal(got.partner_name, "default");
    assert_string_equal(got.ordering_key, "k");
    assert_string_equal(got.correlation_id, "corr");
    assert_string_equal(got.source, "src");
    assert_string_equal(got.version, "2.0");
    assert_string_equal(got.attributes, e.attributes);
    assert_int_equal(got.expires_ms, T0 + 99);
    assert_int_equal(got.created_ms, T0 - 3);
    assert_int_equal(got.accepted_ms, T0);
    assert_string_equal(got.outbox, "trades");
    assert_int_equal(got.seq, 42);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "evt_1", false, &bed->a, &got, &bed->err));
    assert_null(got.payload);
    assert_int_equal(bed->ops->event_get(bed->b, "evt_2", true, &bed->a, &got, &bed->err),
                     ERR_NOT_FOUND);
    struct delivery one = bed_delivery(bed, d);
    assert_int_equal(one.event, e.num);
    assert_int_equal(one.sub, sub);
    assert_int_equal(one.state, DELIVERY_PENDING);
    assert_int_equal(one.due_ms, T0);
    assert_int_equal(one.budget_since_ms, T0);
    assert_string_equal(one.event_id, "evt_1");
    assert_string_equal(one.sub_name, "a");
    assert_string_equal(one.ordering_key, "k");
    assert_int_equal(bed->ops->delivery_get(bed->b, 4242, &bed->a, &one, &bed->err), ERR_NOT_FOUND);
}

static void duplicate_and_conflict(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), counts[DELIVERY_STATES], rejects;
    struct event_rec e = bed_event_of(bed, "evt_1", T0), again;
    struct event_put_result out;
    size_t n;
    bed_put_at(bed, &e, &sub, 1, false, &out);
    again = e;
    again.num = bed_num(bed);
    bed_put_at(bed, &again, &sub, 1, false, &out);
    assert_int_equal(out.kind, EVENT_DUPLICATE);
    assert_int_equal(out.num, e.num);
    again.payload = "{\"n\":2}";
    bed_put_at(bed, &again, &sub, 1, false, &out);
    assert_int_equal(out.kind, EVENT_CONFLICT);
    assert_int_equal(out.num, e.num);
    OK_OR_DIE(bed, bed->ops->counts(bed->b, counts, &rejects, &bed->err));
    assert_int_equal(counts[DELIVERY_PENDING], 1);
    /* The event goes, its id stays remembered; then that goes too. */
    int64_t d = bed_claim(bed, sub, T0).num[0];
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_DELIVERED, T0 + 2, 10, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(bed->ops->event_get(bed->b, "evt_1", false, &bed->a, &again, &bed->err),
                     ERR_NOT_FOUND);
    again = e;
    again.num = bed_num(bed);
    bed_put_at(bed, &again, &sub, 1, false, &out);
    assert_int_equal(out.kind, EVENT_DUPLICATE);
    assert_int_equal(out.num, 0);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_SEEN, T0 + 99999, 10, &n, &bed->err));
    assert_int_equal(n, 0);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_SEEN, T0 + 100001, 10, &n, &bed->err));
    assert_int_equal(n, 1);
    bed_put_at(bed, &again, &sub, 1, false, &out);
    assert_int_equal(out.kind, EVENT_NEW);
}

static void fan_out(void **state)
{
    struct bed *bed = *state;
    int64_t subs[3] = {bed_sub(bed, "a", 0), bed_sub(bed, "b", 0), bed_sub(bed, "c", 0)};
    struct event_rec e = bed_event_of(bed, "three", T0);
    int64_t d = bed_put_at(bed, &e, subs, 3, false, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bed_delivery(bed, d + i).sub, subs[i]);
        assert_int_equal(bed_sub_get(bed, subs[i]).counts[DELIVERY_PENDING], 1);
    }
    struct event_rec none = bed_event_of(bed, "none", T0), got;
    struct event_put_result out;
    struct delivery *list;
    size_t n;
    bed_put_at(bed, &none, NULL, 0, false, &out);
    assert_int_equal(out.kind, EVENT_NEW);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "none", true, &bed->a, &got, &bed->err));
    assert_non_null(got.payload);
    struct filter f = {ONE_EVENT("three"), .limit = 10};
    OK_OR_DIE(bed, bed->ops->delivery_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 3);
    f.event_ids = (const char *const[]){"none"};
    OK_OR_DIE(bed, bed->ops->delivery_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 0);
}

static void event_lists(void **state)
{
    struct bed *bed = *state;
    struct event_rec *list;
    char id[16];
    size_t n;
    for (int i = 0; i < 6; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        struct event_rec e = bed_event_of(bed, id, T0 + i);
        e.type = i % 2 == 0 ? "order.a" : "orders";
        bed_put_at(bed, &e, NULL, 0, false, NULL);
    }
    const struct {
        struct filter f;
        const char *want;
    } table[] = {
        {{.limit = 10}, "012345"},
        {{.limit = 2}, "01"},
        {{.limit = 10, .newest_first = true}, "543210"},
        {{.limit = 3, .newest_first = true}, "543"},
        {{.limit = 10, ONE_TYPE("order.*")}, "024"},
        {{.limit = 10, ONE_TYPE("orders")}, "135"},
        {{.limit = 10, ONE_TYPE("order")}, ""},
        {{.limit = 10, ONE_TYPE("*")}, "012345"},
        {{.limit = 10, .since_ms = T0 + 2}, "2345"},
        {{.limit = 10, .until_ms = T0 + 2}, "01"},
        {{.limit = 10, ONE_EVENT("e4")}, "4"},
        {{.limit = 10, ONE_EVENT("e4"), ONE_TYPE("orders")}, ""},
    };
    for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
        char got[16] = "";
        OK_OR_DIE(bed, bed->ops->event_list(bed->b, &table[t].f, &bed->a, &list, &n, &bed->err));
        for (size_t i = 0; i < n; i++)
            got[i] = list[i].id[1];
        assert_string_equal(got, table[t].want);
    }
    struct filter f = {.limit = 10, ONE_EVENT("e2")};
    OK_OR_DIE(bed, bed->ops->event_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
    struct filter after = {.limit = 2, .after_num = list[0].num};
    OK_OR_DIE(bed, bed->ops->event_list(bed->b, &after, &bed->a, &list, &n, &bed->err));
    assert_string_equal(list[0].id, "e3");
    after.newest_first = true;
    OK_OR_DIE(bed, bed->ops->event_list(bed->b, &after, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].id, "e1");
    assert_string_equal(list[1].id, "e0");
}

/* Six deliveries: 0 pending of a; 1 delivered; 2 dead; 3 retrying; 4 held (of paused b); 5 purged.
 */
static int64_t six(struct bed *bed, int64_t subs[2])
{
    char id[16];
    int64_t first = 0;
    subs[0] = bed_sub(bed, "a", 0);
    subs[1] = bed_sub(bed, "b", 0);
    struct subscription b = bed_sub_get(bed, subs[1]);
    struct settled out;
    b.state = SUB_PAUSED;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &b, &bed->err));
    bed->last = 1000;
    for (int i = 0; i < 6; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        struct event_rec e = bed_event_of(bed, id, T0 + i);
        e.type = i < 3 ? "x.low" : "x.high";
        e.num += 100;
        bed->last = 1000 + i;
        int64_t d = bed_put_at(bed, &e, &subs[i == 4], 1, false, NULL);
        first = i == 0 ? d : first;
    }
    bed_settle(bed, first + 1, SETTLE_DELIVERED, T0 + 10);
    bed_settle(bed, first + 2, SETTLE_DEAD, T0 + 10);
    bed_settle(bed, first + 3, SETTLE_RETRY, T0 + 10);
    bed_settle(bed, first + 5, SETTLE_DEAD, T0 + 10);
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, first + 5, 0, 0, T0 + 11, &out, &bed->err));
    return first;
}

static void delivery_lists(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs);
    const int64_t ids[] = {first + 4, first + 1};
    const struct {
        struct filter f;
        const char *want;
    } table[] = {
        {{.limit = 10}, "012345"},
        {{.limit = 10, .subs = &subs[1], .subs_n = 1}, "4"},
        {{.limit = 10, .subs = subs, .subs_n = 2}, "012345"},
        {{.limit = 10, .ids = ids, .ids_n = 2}, "14"},
        {{.limit = 10, ONE_EVENT("e3")}, "3"},
        {{.limit = 10, ONE_TYPE("x.high")}, "345"},
        {{.limit = 10, ONE_TYPE("x.*")}, "012345"},
        {{.limit = 10, .causes = FILTER_BIT(CAUSE_RETRIES_EXHAUSTED)}, "25"},
        {{.limit = 10, ONE_STATUS(500, 599)}, "235"},
        {{.limit = 10, ONE_STATUS(200, 200)}, "1"},
        {{.limit = 10, .outcomes = FILTER_BIT(OUTCOME_SUCCESS)}, "1"},
        {{.limit = 10, .outcomes = FILTER_BIT(OUTCOME_HTTP_5XX)}, "235"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_PENDING)}, "0"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_RETRYING)}, "3"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_HELD)}, "4"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_HELD) | FILTER_BIT(DELIVERY_PENDING)}, "04"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_DELIVERED)}, "1"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_DEAD)}, "2"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_DISCARDED)}, "5"},
        {{.limit = 10, .states = FILTER_BIT(DELIVERY_IN_FLIGHT)}, ""},
        {{.limit = 10, .since_ms = T0 + 1, .until_ms = T0 + 3}, "12"},
        {{.limit = 10, .min_attempts = 1}, "1235"},
        {{.limit = 2, .newest_first = true}, "54"},
        {{.limit = 2, .after_num = first + 2}, "34"},
        {{.limit = 2, .newest_first = true, .after_num = first + 2}, "10"},
        {{.limit = 10, ONE_TYPE("x.high"), .subs = subs, .subs_n = 1}, "35"},
    };
    for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
        struct delivery *list;
        char got[16] = "";
        size_t n;
        OK_OR_DIE(bed, bed->ops->delivery_list(bed->b, &table[t].f, &bed->a, &list, &n, &bed->err));
        for (size_t i = 0; i < n; i++)
            got[i] = (char)('0' + list[i].num - first);
        if (strcmp(got, table[t].want) != 0)
            print_error("row %zu\n", t);
        assert_string_equal(got, table[t].want);
    }
}

static void counts_follow(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], counts[DELIVERY_STATES], rejects;
    static const int64_t want[DELIVERY_STATES] = {
        [DELIVERY_PENDING] = 1,   [DELIVERY_RETRYING] = 1, [DELIVERY_HELD] = 1,
        [DELIVERY_DELIVERED] = 1, [DELIVERY_DEAD] = 1,     [DELIVERY_DISCARDED] = 1};
    six(bed, subs);
    OK_OR_DIE(bed, bed->ops->counts(bed->b, counts, &rejects, &bed->err));
    assert_memory_equal(counts, want, sizeof(want));
    struct subscription s = bed_sub_get(bed, subs[1]);
    assert_int_equal(s.counts[DELIVERY_HELD], 1);
    assert_int_equal(s.counts[DELIVERY_PENDING], 0);
    /* broken is held too */
    s.state = SUB_ACTIVE;
    s.broken_since_ms = T0;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    assert_int_equal(bed_sub_get(bed, subs[1]).counts[DELIVERY_HELD], 1);
    s.broken_since_ms = 0;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    assert_int_equal(bed_sub_get(bed, subs[1]).counts[DELIVERY_PENDING], 1);
}

static void attempts_are_kept(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct settlement s = bed_settlement(d, SETTLE_RETRY, T0 + 10);
    struct attempt *list;
    size_t n;
    s.attempt.error = "words";
    s.attempt.response_truncated = true;
    s.attempt.job = 77;
    bed_settle_as(bed, &s);
    struct settlement bare = {.delivery = d,
                              .has_attempt = true,
                              .to = SETTLE_DELIVERED,
                              .now_ms = T0 + 20,
                              .attempt = {.started_ms = T0 + 19, .outcome = OUTCOME_SUCCESS}};
    bed_settle_as(bed, &bare);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, d, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].delivery, d);
    assert_int_equal(list[0].n, 1);
    assert_int_equal(list[0].started_ms, T0 + 5);
    assert_int_equal(list[0].duration_us, 5000);
    assert_int_equal(list[0].dns_us, -1);
    assert_int_equal(list[0].connect_us, 10);
    assert_int_equal(list[0].tls_us, -1);
    assert_int_equal(list[0].wait_us, 30);
    assert_int_equal(list[0].transfer_us, 4);
    assert_int_equal(list[0].outcome, OUTCOME_HTTP_5XX);
    assert_int_equal(list[0].status, 503);
    assert_int_equal(list[0].job, 77);
    assert_int_equal(list[0].next_ms, T0 + 1010);
    assert_string_equal(list[0].address, "203.0.113.7:443");
    assert_string_equal(list[0].error, "words");
    assert_non_null(strstr(list[0].response_head, "503"));
    assert_int_equal(list[0].response_body_bytes, 5);
    assert_memory_equal(list[0].response_body, "sorry", 5);
    assert_true(list[0].response_truncated);
    assert_int_equal(list[1].n, 2);
    assert_null(list[1].address);
    assert_null(list[1].response_body);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, 4242, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 0);
}

/* Ten attempts a to j: of deliveries 0, 1 and 2 of sub a (types x.low, x.high), and 3 of sub b. */
static int64_t ten(struct bed *bed, int64_t subs[2])
{
    static const struct {
        int delivery, status;
        enum outcome outcome;
        int64_t job;
    } made[] = {
        {0, 503, OUTCOME_HTTP_5XX, 0}, {1, 0, OUTCOME_TIMEOUT, 0},    {0, 503, OUTCOME_HTTP_5XX, 0},
        {2, 404, OUTCOME_HTTP_4XX, 0}, {3, 500, OUTCOME_HTTP_5XX, 0}, {1, 502, OUTCOME_HTTP_5XX, 0},
        {0, 200, OUTCOME_SUCCESS, 9},  {3, 0, OUTCOME_DNS, 0},        {1, 200, OUTCOME_SUCCESS, 0},
        {3, 200, OUTCOME_SUCCESS, 9},
    };
    int64_t d[4];
    subs[0] = bed_sub(bed, "a", 0);
    subs[1] = bed_sub(bed, "b", 0);
    for (int i = 0; i < 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        struct event_rec e = bed_event_of(bed, id, T0);
        e.type = i < 2 ? "x.low" : "x.high";
        d[i] = bed_put_at(bed, &e, &subs[i == 3], 1, false, NULL);
    }
    for (int i = 0; i < 10; i++) {
        struct settlement s = bed_settlement(d[made[i].delivery], SETTLE_RETRY, T0 + 10 * i + 10);
        s.attempt.status = made[i].status;
        s.attempt.outcome = made[i].outcome;
        s.attempt.job = made[i].job;
        bed_settle_as(bed, &s);
    }
    return d[0];
}

static void attempts_are_found(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = ten(bed, subs), ids[] = {first, 4242}, nobody[] = {4242};
    const struct {
        struct filter f;
        const char *want;
    } table[] = {
        {{.limit = 3}, "abcdefghij"},
        {{.limit = 3, .newest_first = true}, "jihgfedcba"},
        {{.limit = 100, .newest_first = true}, "jihgfedcba"},
        {{.limit = 2, .subs = &subs[1], .subs_n = 1, .newest_first = true}, "jhe"},
        {{.limit = 2, .subs = subs, .subs_n = 2}, "abcdefghij"},
        {{.limit = 2, .ids = ids, .ids_n = 2, .newest_first = true}, "gca"},
        {{.limit = 2, .ids = nobody, .ids_n = 1}, ""},
        {{.limit = 2, ONE_EVENT("e1")}, "bfi"},
        {{.limit = 2, ONE_EVENT("nobody")}, ""},
        {{.limit = 2, ONE_TYPE("x.low")}, "abcfgi"},
        {{.limit = 2, ONE_TYPE("x.*"), .newest_first = true}, "jihgfedcba"},
        {{.limit = 2, .outcomes = FILTER_BIT(OUTCOME_TIMEOUT)}, "b"},
        {{.limit = 2, .outcomes = FILTER_BIT(OUTCOME_SUCCESS)}, "gij"},
        {{.limit = 2, ONE_STATUS(500, 599), .newest_first = true}, "feca"},
        {{.limit = 2, .since_ms = T0 + 85, .newest_first = true}, "ji"},
        {{.limit = 2, .until_ms = T0 + 25}, "ab"},
        {{.limit = 2, .job = 9}, "gj"},
        {{.limit = 2, ONE_TYPE("x.low"), .subs = &subs[1], .subs_n = 1}, ""},
    };
    for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
        for (size_t looks = 1; looks < 12; looks += 5) {
            struct filter f = table[t].f;
            struct attempt_page page;
            char got[16] = "";
            size_t n = 0;
            do {
                OK_OR_DIE(bed,
                          bed->ops->attempt_find(bed->b, &f, looks, &bed->a, &page, &bed->err));
                assert_true(page.n <= f.limit);
                for (size_t i = 0; i < page.n; i++)
                    got[n++] = (char)('a' + (page.rows[i].attempt.started_ms - T0 - 5) / 10);
                f.after_num = page.at;
            } while (page.more && n < 11);
            if (strcmp(got, table[t].want) != 0)
                print_error("row %zu, %zu looks\n", t, looks);
            assert_string_equal(got, table[t].want);
        }
    }
}

/* Who has seen all goes on from the end, and finds what comes after it alone. */
static void attempts_are_followed(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = ten(bed, subs);
    struct filter f = {.limit = 5, .subs = &subs[1], .subs_n = 1, .newest_first = true};
    struct attempt_page page;
    OK_OR_DIE(bed, bed->ops->attempt_find(bed->b, &f, 100, &bed->a, &page, &bed->err));
    assert_int_equal(page.n, 3);
    assert_string_equal(page.rows[0].event_id, "e3");
    assert_string_equal(page.rows[0].type, "x.high");
    assert_string_equal(page.rows[0].sub_name, "b");
    assert_int_equal(page.rows[0].sub, subs[1]);
    assert_int_equal(page.rows[0].attempt.n, 3);
    assert_null(page.rows[0].attempt.response_body);
    f.newest_first = false;
    f.after_num = page.last;
    for (int i = 0; i < 4; i++) {
        int64_t of = i % 2 == 0 ? first : first + 6;
        bed_settle(bed, of, SETTLE_RETRY, T0 + 1000 + i);
        OK_OR_DIE(bed, bed->ops->attempt_find(bed->b, &f, 100, &bed->a, &page, &bed->err));
        assert_int_equal(page.n, i % 2);
        assert_int_equal(page.at, page.last);
        assert_false(page.more);
        f.after_num = page.at;
    }
    /* Retention took the end away, and numbers come again: nobody waits for one that is past. */
    f.after_num = INT64_MAX;
    OK_OR_DIE(bed, bed->ops->attempt_find(bed->b, &f, 100, &bed->a, &page, &bed->err));
    assert_int_equal(page.n, 0);
    assert_int_equal(page.at, page.last);
}

/* In order of time, one of a kind at a time; gone with the delivery. */
static void deeds_are_kept(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    const struct deed deeds[] = {{d, T0 + 30, DEED_PURGED, 0, "uid:7 ana"},
                                 {d, T0 + 20, DEED_REPLAYED, 77, NULL},
                                 {d + 1, T0 + 20, DEED_IMPORTED, 0, "uid:7 ana"},
                                 {d, T0 + 30, DEED_RESTORED, 78, NULL},
                                 {d, T0 + 20, DEED_REPLAYED, 79, NULL, CAUSE_GONE, T0 + 19}};
    struct deed *list;
    size_t n;
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
        OK_OR_DIE(bed, bed->ops->deed_put(bed->b, &deeds[i], &bed->err));
    OK_OR_DIE(bed, bed->ops->deed_list(bed->b, d, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(list[0].kind, DEED_REPLAYED);
    assert_int_equal(list[0].job, 79);
    assert_null(list[0].actor);
    assert_int_equal(list[0].cause, CAUSE_GONE);
    assert_int_equal(list[0].died_ms, T0 + 19);
    assert_int_equal(list[1].cause, CAUSE_NONE);
    assert_int_equal(list[1].kind, DEED_PURGED);
    assert_int_equal(list[1].at_ms, T0 + 30);
    assert_string_equal(list[1].actor, "uid:7 ana");
    assert_int_equal(list[2].kind, DEED_RESTORED);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_DELIVERED, T0 + 2, 10, &n, &bed->err));
    OK_OR_DIE(bed, bed->ops->deed_list(bed->b, d, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 0);
    OK_OR_DIE(bed, bed->ops->deed_list(bed->b, d + 1, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
}

static void states_and_types(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs), counts[3][DELIVERY_STATES];
    struct event_rec none = bed_event_of(bed, "none", T0 + 9);
    struct type_count *types;
    size_t n;
    none.num += 1000;
    bed_put_at(bed, &none, NULL, 0, false, NULL);
    int64_t events[3] = {bed_delivery(bed, first + 1).event, none.num,
                         bed_delivery(bed, first + 4).event};
    OK_OR_DIE(bed, bed->ops->event_states(bed->b, events, 3, counts, &bed->err));
    for (int s = 0; s < DELIVERY_STATES; s++) {
        assert_int_equal(counts[0][s], s == DELIVERY_DELIVERED);
        assert_int_equal(counts[1][s], 0);
        assert_int_equal(counts[2][s], s == DELIVERY_HELD);
    }
    OK_OR_DIE(bed, bed->ops->event_types(bed->b, 100, &bed->a, &types, &n, &bed->err));
    assert_int_equal(n, 3);
    assert_string_equal(types[0].type, "x.high");
    assert_int_equal(types[0].n, 3);
    assert_int_equal(types[0].first_ms, T0 + 3);
    assert_int_equal(types[0].last_ms, T0 + 5);
    assert_string_equal(types[1].type, "x.low");
    assert_string_equal(types[2].type, "order.executed");
    const char **ids;
    OK_OR_DIE(bed, bed->ops->event_ids(bed->b, "n", 4, &bed->a, &ids, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_string_equal(ids[0], "none");
    OK_OR_DIE(bed, bed->ops->event_ids(bed->b, "none-", 4, &bed->a, &ids, &n, &bed->err));
    assert_int_equal(n, 0);
    OK_OR_DIE(bed, bed->ops->event_types(bed->b, 3, &bed->a, &types, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_int_equal(types[0].n + types[1].n, 3);
}

/* Who stands before it: itself, another, or there is no line. */
static void the_line(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", ORDERED | BLOCK), head;
    int64_t d[3] = {bed_emit(bed, sub, "e1", "k", T0), bed_emit(bed, sub, "e2", "k", T0),
                    bed_emit(bed, sub, "e3", NULL, T0)};
    const int64_t want[3] = {d[0], d[0], 0};
    for (int i = 0; i < 3; i++) {
        OK_OR_DIE(bed, bed->ops->line_head(bed->b, d[i], &head, &bed->err));
        assert_int_equal(head, want[i]);
    }
    bed_settle(bed, d[0], SETTLE_DEAD, T0 + 1); /* it blocks its key */
    OK_OR_DIE(bed, bed->ops->line_head(bed->b, d[1], &head, &bed->err));
    assert_int_equal(head, d[0]);
    OK_OR_DIE(bed, bed->ops->line_head(bed->b, 4242, &head, &bed->err));
    assert_int_equal(head, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(put_and_get),       ON_BOTH(duplicate_and_conflict), ON_BOTH(fan_out),
        ON_BOTH(event_lists),       ON_BOTH(delivery_lists),         ON_BOTH(counts_follow),
        ON_BOTH(attempts_are_kept), ON_BOTH(attempts_are_found),     ON_BOTH(attempts_are_followed),
        ON_BOTH(deeds_are_kept),    ON_BOTH(states_and_types),       ON_BOTH(the_line),
    };
    return cmocka_run_group_tests_name("conformance: events", tests, NULL, NULL);
}
