/* test/conformance/test_dead.c: dead letters: lists, replay with its budget and its job, purge,
 * export and import. */
#include "test/conformance/bed.h"

/* Six letters over two subscriptions, each different in what can be filtered by. */
static int64_t six(struct bed *bed, int64_t subs[2])
{
    int64_t first = 0;
    subs[0] = bed_sub(bed, "a", 0);
    subs[1] = bed_sub(bed, "b", 0);
    for (int i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        bed->last = 1000 + i;
        struct event_rec e = bed_event_of(bed, id, T0);
        e.num += 500;
        e.type = i < 3 ? "x.low" : "x.high";
        e.expires_ms = i == 5 ? T0 + 1 : 0;
        bed->last = 1000 + i;
        int64_t d = bed_put_at(bed, &e, &subs[i % 2], 1, false, NULL);
        first = i == 0 ? d : first;
        if (i == 4)
            bed_settle(bed, d, SETTLE_RETRY, T0 + 1);
        struct settlement s = bed_settlement(d, SETTLE_DEAD, T0 + 10 + 10 * (i / 2));
        if (i == 1) {
            s.cause = CAUSE_GONE;
            s.attempt.status = 410;
            s.attempt.outcome = OUTCOME_HTTP_4XX;
        }
        s.has_attempt = i != 2;
        bed_settle_as(bed, &s);
    }
    return first;
}

static void lists_and_counts(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs);
    const int64_t ids[] = {first + 3, first};
    const struct {
        struct filter f;
        const char *want;
    } table[] = {
        {{.limit = 10, .with_expired = true}, "012345"},
        {{.limit = 10}, "01234"}, /* 5 is past its event's expiry */
        {{.limit = 10, .with_expired = true, .newest_first = true}, "543210"},
        {{.limit = 10, .subs = &subs[1], .subs_n = 1}, "13"},
        {{.limit = 10, .subs = subs, .subs_n = 2}, "01234"},
        {{.limit = 10, .ids = ids, .ids_n = 2}, "03"},
        {{.limit = 10, ONE_EVENT("e2")}, "2"},
        {{.limit = 10, .event_ids = (const char *const[]){"e2", "e9", "e4"}, .event_ids_n = 3},
         "24"},
        {{.limit = 10, .types = (const char *const[]){"x.low", "x.high"}, .types_n = 2}, "01234"},
        {{.limit = 10, .types = (const char *const[]){"x.hi", "*"}, .types_n = 2}, "01234"},
        {{.limit = 10, .types = (const char *const[]){"y.*", "x.high"}, .types_n = 2}, "34"},
        {{.limit = 10, .causes = FILTER_BIT(CAUSE_GONE) | FILTER_BIT(CAUSE_RETRIES_EXHAUSTED)},
         "01234"},
        {{.limit = 10,
          .statuses = (const struct status_range[]){{410, 410}, {500, 599}},
          .statuses_n = 2},
         "0134"},
        {{.limit = 10,
          .outcomes = FILTER_BIT(OUTCOME_HTTP_4XX) | FILTER_BIT(OUTCOME_HTTP_5XX),
          .with_expired = true},
         "01345"},
        {{.limit = 10, .max_attempts_set = true}, "2"},
        {{.limit = 10, .max_attempts_set = true, .max_attempts = 1, .min_attempts = 1}, "013"},
        {{.limit = 10, .subs = &subs[1], .subs_n = 1, .causes = FILTER_BIT(CAUSE_GONE)}, "1"},
        {{.limit = 10, ONE_TYPE("x.low")}, "012"},
        {{.limit = 10, ONE_TYPE("x.*")}, "01234"},
        {{.limit = 10, .causes = FILTER_BIT(CAUSE_GONE)}, "1"},
        {{.limit = 10, ONE_STATUS(500, 599)}, "034"},
        {{.limit = 10, ONE_STATUS(410, 410)}, "1"},
        {{.limit = 10, .outcomes = FILTER_BIT(OUTCOME_HTTP_4XX)}, "1"},
        {{.limit = 10, .outcomes = FILTER_BIT(OUTCOME_SUCCESS)}, ""},
        {{.limit = 10, .since_ms = T0 + 20}, "234"},
        {{.limit = 10, .until_ms = T0 + 20}, "01"},
        {{.limit = 10, .min_attempts = 2}, "4"},
        {{.limit = 10, ONE_TYPE("x.high"), .subs = subs, .subs_n = 1}, "4"},
        {{.limit = 10, .after_ms = T0 + 10, .after_num = 0}, "01234"},
        {{.limit = 2, .with_expired = true, .newest_first = true}, "54"},
    };
    for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
        struct dead_letter *list;
        char got[16] = "";
        struct dead_sums sums;
        size_t n;
        OK_OR_DIE(bed, bed->ops->dead_list(bed->b, &table[t].f, &bed->a, &list, &n, &bed->err));
        for (size_t i = 0; i < n; i++)
            got[i] = (char)('0' + list[i].delivery.num - first);
        if (strcmp(got, table[t].want) != 0)
            print_error("row %zu\n", t);
        assert_string_equal(got, table[t].want);
        OK_OR_DIE(bed, bed->ops->dead_count(bed->b, &table[t].f, &sums, &bed->err));
        if (table[t].f.limit == 10) {
            assert_int_equal(sums.count, (int64_t)n);
            assert_int_equal(sums.payload_bytes, 7 * (int64_t)n);
        }
    }
}

/* One line a group: count, and what it is told by. */
static void groups_text(struct bed *bed, const struct filter *f, unsigned by, const int64_t subs[2],
                        int64_t first, struct buf *out)
{
    struct dead_group *g;
    size_t n;
    OK_OR_DIE(bed, bed->ops->dead_groups(bed->b, f, by, &bed->a, &g, &n, &bed->err));
    buf_clear(out);
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%lld:%s%s%s%s%d/%d%s b%lld e%lld %lld-%lld x%lld|", (long long)g[i].count,
                 g[i].sub == 0         ? ""
                 : g[i].sub == subs[0] ? "0"
                                       : "1",
                 g[i].sub_name ? g[i].sub_name : "-",
                 g[i].cause == CAUSE_GONE   ? "gone"
                 : g[i].cause == CAUSE_NONE ? "-"
                                            : "tries",
                 g[i].type ? g[i].type : "-", g[i].last_status, (int)g[i].last_outcome,
                 g[i].tried ? "" : "?", (long long)g[i].payload_bytes, (long long)g[i].expired,
                 (long long)(g[i].first_ms - T0), (long long)(g[i].last_ms - T0),
                 (long long)(g[i].example - first));
}

static void groups(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs);
    struct buf got;
    const struct {
        struct filter f;
        unsigned by;
        const char *want;
    } table[] = {
        {{.with_expired = true}, 0, "6:---0/0? b42 e1 10-30 x5|"},
        {{.with_expired = true, .limit = 1, .after_ms = T0 + 20}, 0, "6:---0/0? b42 e1 10-30 x5|"},
        {{0}, 0, "5:---0/0? b35 e0 10-30 x4|"},
        {{.with_expired = true},
         DEAD_BY_SUBSCRIPTION,
         "3:0a--0/0? b21 e0 10-30 x4|3:1b--0/0? b21 e1 10-30 x5|"},
        {{.with_expired = true},
         DEAD_BY_TYPE,
         "3:--x.high0/0? b21 e1 20-30 x5|3:--x.low0/0? b21 e0 10-20 x2|"},
        {{.with_expired = true},
         DEAD_BY_CAUSE | DEAD_BY_STATUS,
         "4:-tries-503/4 b28 e1 10-30 x5|1:-tries-0/0? b7 e0 20-20 x2|"
         "1:-gone-410/2 b7 e0 10-10 x1|"},
        {{.with_expired = true, .subs = &subs[1], .subs_n = 1},
         DEAD_BY_SUBSCRIPTION | DEAD_BY_CAUSE | DEAD_BY_STATUS | DEAD_BY_TYPE,
         "2:1btriesx.high503/4 b14 e1 20-30 x5|"
         "1:1bgonex.low410/2 b7 e0 10-10 x1|"},
        {{ONE_TYPE("nothing.here")}, DEAD_BY_CAUSE, ""},
    };
    buf_init(&got, 4096);
    for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
        groups_text(bed, &table[t].f, table[t].by, subs, first, &got);
        if (strcmp(got.data ? got.data : "", table[t].want) != 0)
            print_error("row %zu\n", t);
        assert_string_equal(got.data ? got.data : "", table[t].want);
    }
    buf_fini(&got);
}

static void listed_without_payload(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs);
    struct filter f = {.limit = 1};
    struct dead_letter *list, one;
    size_t n;
    OK_OR_DIE(bed, bed->ops->dead_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_null(list[0].event.payload);
    assert_int_equal(list[0].event.payload_bytes, 7);
    assert_string_equal(list[0].delivery.event_id, "e0");
    assert_string_equal(list[0].delivery.sub_name, "a");
    assert_int_equal(list[0].delivery.state, DELIVERY_DEAD);
    assert_int_equal(list[0].delivery.attempts, 1);
    assert_int_equal(list[0].delivery.created_ms, T0);
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, first, &bed->a, &one, &bed->err));
    assert_memory_equal(one.event.payload, "{\"n\":1}", 7);
    assert_int_equal(bed->ops->dead_get(bed->b, 4242, &bed->a, &one, &bed->err), ERR_NOT_FOUND);
}

/* Many died in the same ms: the cursor is (died, num), and neither skips nor repeats. */
static void pages_of_a_thousand(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), first = 0;
    static bool seen[1000];
    for (int i = 0; i < 1000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        struct event_rec e = bed_event_of(bed, id, T0);
        e.num += 100000;
        int64_t d = bed_put_at(bed, &e, &sub, 1, false, NULL);
        first = i == 0 ? d : first;
        bed_settle(bed, d, SETTLE_DEAD, T0 + i * 7 % 13);
    }
    for (int down = 0; down < 2; down++) {
        struct filter f = {.limit = 37, .newest_first = down != 0};
        struct dead_letter *list;
        int64_t last_ms = 0, last_num = 0;
        size_t n, all = 0;
        memset(seen, 0, sizeof(seen));
        do {
            OK_OR_DIE(bed, bed->ops->dead_list(bed->b, &f, &bed->a, &list, &n, &bed->err));
            for (size_t i = 0; i < n; i++, all++) {
                int64_t at = (list[i].delivery.num - first) / 2;
                bool later = list[i].died_ms != last_ms ? list[i].died_ms > last_ms
                                                        : list[i].delivery.num > last_num;
                assert_true(all == 0 || later == (down == 0));
                assert_false(seen[at]);
                seen[at] = true;
                f.after_ms = last_ms = list[i].died_ms;
                f.after_num = last_num = list[i].delivery.num;
            }
        } while (n == f.limit);
        assert_int_equal(all, 1000);
    }
}

static void replay_starts_a_fresh_budget(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct dead_letter l;
    struct attempt *list;
    size_t n;
    bed_settle(bed, d, SETTLE_RETRY, T0 + 1);
    bed_settle(bed, d, SETTLE_DEAD, T0 + 2);
    OK_OR_DIE(bed, bed->ops->dead_replay(bed->b, d,
                                         &(struct reopening){.due_ms = T0 + 60, .now_ms = T0 + 50},
                                         &bed->err));
    struct delivery x = bed_delivery(bed, d);
    assert_int_equal(x.state, DELIVERY_RETRYING);
    assert_int_equal(x.cause, CAUSE_NONE);
    assert_int_equal(x.attempts, 2);
    assert_int_equal(x.budget_start, 2);
    assert_int_equal(x.budget_since_ms, T0 + 50);
    assert_int_equal(x.due_ms, T0 + 60);
    assert_int_equal(x.finished_ms, 0);
    assert_int_equal(x.created_ms, T0);
    assert_int_equal(bed->ops->dead_get(bed->b, d, &bed->a, &l, &bed->err), ERR_NOT_FOUND);
    assert_int_equal(bed->ops->dead_replay(
                         bed->b, d, &(struct reopening){.due_ms = T0, .now_ms = T0}, &bed->err),
                     ERR_STALE);
    ASSERT_NO_CLAIMS(bed, sub, T0 + 59);
    ASSERT_CLAIMS(bed, sub, T0 + 60, d);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 61);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, d, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 3);
    assert_int_equal(list[2].n, 3); /* numbers keep counting */
    assert_int_equal(bed->ops->dead_replay(
                         bed->b, d, &(struct reopening){.due_ms = T0, .now_ms = T0}, &bed->err),
                     ERR_STALE);
    assert_int_equal(bed->ops->dead_replay(
                         bed->b, 4242, &(struct reopening){.due_ms = T0, .now_ms = T0}, &bed->err),
                     ERR_STALE);
}

static void replay_of_one_never_tried_is_pending(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct subscription s;
    size_t n;
    OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, INT64_MAX, CAUSE_OPERATOR, 9, T0 + 1, T0 + 9, &n,
                                  &bed->err));
    bed_replay(bed, d, 0, T0 + 2);
    assert_int_equal(bed_delivery(bed, d).state, DELIVERY_PENDING);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_PENDING], 1);
    bed_settle(bed, d, SETTLE_DEAD, T0 + 3);
    s = bed_sub_get(bed, sub);
    s.state = SUB_DELETED;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    assert_int_equal(bed->ops->dead_replay(
                         bed->b, d, &(struct reopening){.due_ms = T0, .now_ms = T0}, &bed->err),
                     ERR_INVALID);
    assert_int_equal(bed_delivery(bed, d).state, DELIVERY_DEAD);
}

/* What expired once is replayed on purpose (--ignore-expiry): it must not be killed at once. */
static void replay_of_an_expired_one_lives(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0);
    struct event_rec e = bed_event_of(bed, "e", T0);
    e.expires_ms = T0 + 10;
    int64_t d = bed_put_at(bed, &e, &sub, 1, false, NULL);
    struct subscription s = bed_sub_get(bed, sub);
    size_t n;
    s.state = SUB_PAUSED;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    OK_OR_DIE(bed, bed->ops->kill_expired(bed->b, false, 9, T0 + 10, T0 + 99, &n, &bed->err));
    assert_int_equal(n, 1);
    bed_replay(bed, d, 0, T0 + 20);
    OK_OR_DIE(bed, bed->ops->kill_expired(bed->b, false, 9, T0 + 30, T0 + 99, &n, &bed->err));
    assert_int_equal(n, 0);
    struct claimed *c;
    struct claim_got got;
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, T0 + 30, &CLAIM_UPTO(1), &c, &got, &bed->err));
    assert_int_equal(got.n, 1);
    assert_int_equal(c->delivery.num, d);
    assert_int_equal(c->event.expires_ms, 0); /* nor by the scheduler */
    claimed_free(c);
}

static void purge(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs), counts[DELIVERY_STATES], rejects;
    struct dead_letter l;
    struct settled out;
    struct attempt *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, first, 0, 0, T0 + 99, &out, &bed->err));
    assert_int_equal(out.next_due_ms, 0);
    struct delivery d = bed_delivery(bed, first);
    assert_int_equal(d.state, DELIVERY_DISCARDED);
    assert_int_equal(d.cause, CAUSE_RETRIES_EXHAUSTED);
    assert_int_equal(d.finished_ms, T0 + 99);
    assert_int_equal(bed->ops->dead_get(bed->b, first, &bed->a, &l, &bed->err), ERR_NOT_FOUND);
    assert_int_equal(bed->ops->dead_purge(bed->b, first, 0, 0, T0, &out, &bed->err), ERR_STALE);
    assert_int_equal(bed->ops->dead_purge(bed->b, 4242, 0, 0, T0, &out, &bed->err), ERR_STALE);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, first, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1); /* until retention */
    OK_OR_DIE(bed, bed->ops->counts(bed->b, counts, &rejects, &bed->err));
    assert_int_equal(counts[DELIVERY_DEAD], 5);
    assert_int_equal(counts[DELIVERY_DISCARDED], 1);
}

static void note(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs);
    struct dead_letter l;
    OK_OR_DIE(bed, bed->ops->dead_note(bed->b, first, "called them", &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, first, &bed->a, &l, &bed->err));
    assert_string_equal(l.note, "called them");
    assert_memory_equal(l.event.payload, "{\"n\":1}", 7);
    OK_OR_DIE(bed, bed->ops->dead_note(bed->b, first, NULL, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, first, &bed->a, &l, &bed->err));
    assert_null(l.note);
    assert_int_equal(bed->ops->dead_note(bed->b, 4242, "x", &bed->err), ERR_NOT_FOUND);
}

/* ---- export and import ---- */
static void export_letter(struct bed *bed, int64_t num, struct dead_letter *l,
                          struct attempt **attempts, size_t *n)
{
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, num, &bed->a, l, &bed->err));
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, num, &bed->a, attempts, n, &bed->err));
}

static void import_after_purge(void **state)
{
    struct bed *bed = *state;
    int64_t subs[2], first = six(bed, subs);
    struct dead_letter l, again;
    struct attempt *attempts, *list;
    struct settled out;
    size_t n, list_n;
    export_letter(bed, first + 4, &l, &attempts, &n);
    assert_int_equal(n, 2);
    assert_int_equal(bed->ops->dead_import(bed->b, &l, attempts, n, &bed->err), ERR_EXISTS);
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, first + 4, 0, 0, T0 + 98, &out, &bed->err));
    l.expires_ms = T0 + 777;
    OK_OR_DIE(bed, bed->ops->dead_import(bed->b, &l, attempts, n, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, first + 4, &bed->a, &again, &bed->err));
    assert_int_equal(again.died_ms, l.died_ms);
    assert_int_equal(again.expires_ms, T0 + 777);
    assert_int_equal(again.delivery.attempts, 2);
    assert_int_equal(again.delivery.cause, l.delivery.cause);
    assert_int_equal(again.sub_num, subs[0]);
    assert_memory_equal(again.event.payload, "{\"n\":1}", 7);
    OK_OR_DIE(bed, bed->ops->attempt_list(bed->b, first + 4, &bed->a, &list, &list_n, &bed->err));
    assert_int_equal(list_n, 2);
    assert_string_equal(list[1].address, attempts[1].address);
    assert_int_equal(bed_sub_get(bed, subs[0]).counts[DELIVERY_DEAD], 3);
    assert_int_equal(bed_sub_get(bed, subs[0]).counts[DELIVERY_DISCARDED], 0);
    bed_replay(bed, first + 4, 0, T0 + 100);
    ASSERT_CLAIMS(bed, subs[0], T0 + 100, first + 4);
    assert_int_equal(bed->ops->dead_import(bed->b, &l, attempts, n, &bed->err),
                     ERR_INVALID); /* it is on its way */
}

static struct dead_letter foreign(int64_t num)
{
    return (struct dead_letter){.delivery = {.num = num,
                                             .state = DELIVERY_DEAD,
                                             .cause = CAUSE_GONE,
                                             .attempts = 1,
                                             .last_status = 410,
                                             .last_outcome = OUTCOME_HTTP_4XX,
                                             .created_ms = T0,
                                             .finished_ms = T0 + 5},
                                .event = {.id = "foreign",
                                          .num = num - 1,
                                          .partner_name = "default",
                                          .type = "x.y",
                                          .payload = "[1]",
                                          .payload_bytes = 3,
                                          .accepted_ms = T0,
                                          .created_ms = T0},
                                .died_ms = T0 + 5,
                                .expires_ms = T0 + 999,
                                .sub_name = "a",
                                .sub_url = "https://partner.example/hook",
                                .note = "from elsewhere"};
}

static void import_from_another_store(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), max;
    struct dead_letter l = foreign(70000), got;
    struct attempt x = {.n = 1, .started_ms = T0 + 4, .outcome = OUTCOME_HTTP_4XX, .status = 410};
    struct event_rec e;
    OK_OR_DIE(bed, bed->ops->dead_import(bed->b, &l, &x, 1, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, 70000, &bed->a, &got, &bed->err));
    assert_int_equal(got.sub_num, sub); /* bound by name */
    assert_string_equal(got.note, "from elsewhere");
    assert_string_equal(got.event.id, "foreign");
    assert_string_equal(bed_delivery(bed, 70000).event_id, "foreign");
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DEAD], 1);
    OK_OR_DIE(bed, bed->ops->event_get(bed->b, "foreign", true, &bed->a, &e, &bed->err));
    assert_null(e.payload); /* it lies in the letter, sealed */
    OK_OR_DIE(bed, bed->ops->max_num(bed->b, &max, &bed->err));
    assert_true(max >= 70000);
    bed_replay(bed, 70000, 0, T0 + 60);
    ASSERT_CLAIMS(bed, sub, T0 + 60, 70000);
    bed_settle(bed, 70000, SETTLE_DELIVERED, T0 + 61);
    assert_int_equal(bed->ops->dead_import(bed->b, &l, &x, 1, &bed->err), ERR_INVALID);
}

static void import_for_an_unknown_subscription(void **state)
{
    struct bed *bed = *state;
    struct dead_letter l = foreign(70000), got;
    OK_OR_DIE(bed, bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err));
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, 70000, &bed->a, &got, &bed->err));
    assert_int_equal(got.sub_num, 0);
    assert_string_equal(got.sub_name, "a"); /* kept as text */
    assert_string_equal(got.sub_url, l.sub_url);
    assert_int_equal(bed->ops->dead_replay(
                         bed->b, 70000, &(struct reopening){.due_ms = T0, .now_ms = T0}, &bed->err),
                     ERR_INVALID);
    /* another event's delivery has that number */
    l.event.id = "else";
    assert_int_equal(bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err), ERR_INVALID);
    l.event.id = NULL;
    assert_int_equal(bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err), ERR_INVALID);
}

/* The subscription was made after the import: the letter is bound to it by coming again. */
static void import_again_binds_to_a_new_subscription(void **state)
{
    struct bed *bed = *state;
    struct dead_letter l = foreign(70000), got;
    OK_OR_DIE(bed, bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err));
    assert_int_equal(bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err), ERR_EXISTS);
    int64_t sub = bed_sub(bed, "a", 0);
    OK_OR_DIE(bed, bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err));
    assert_int_equal(bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err), ERR_EXISTS);
    OK_OR_DIE(bed, bed->ops->dead_get(bed->b, 70000, &bed->a, &got, &bed->err));
    assert_int_equal(got.sub_num, sub);
    assert_int_equal(bed_sub_get(bed, sub).counts[DELIVERY_DEAD], 1);
    bed_replay(bed, 70000, 0, T0 + 60);
    ASSERT_CLAIMS(bed, sub, T0 + 60, 70000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(lists_and_counts),
        ON_BOTH(groups),
        ON_BOTH(listed_without_payload),
        ON_BOTH(pages_of_a_thousand),
        ON_BOTH(replay_starts_a_fresh_budget),
        ON_BOTH(replay_of_one_never_tried_is_pending),
        ON_BOTH(replay_of_an_expired_one_lives),
        ON_BOTH(import_again_binds_to_a_new_subscription),
        ON_BOTH(purge),
        ON_BOTH(note),
        ON_BOTH(import_after_purge),
        ON_BOTH(import_from_another_store),
        ON_BOTH(import_for_an_unknown_subscription),
    };
    return cmocka_run_group_tests_name("conformance: dead letters", tests, NULL, NULL);
}
