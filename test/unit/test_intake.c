/* test/unit/test_intake.c: what is an event and what is not; ids; remembered ids; routing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* base/err.h has a function of that name */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/intake.h"

#define FAIL(...)                                                                                  \
    do {                                                                                           \
        print_error(__VA_ARGS__);                                                                  \
        print_error("\n");                                                                         \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (0)

struct desk {
    char dir[64];
    struct keyring *keys;
    struct backend *b;
    struct intake *in;
    struct changes ch;
};
static const struct intake_limits limits = {.max_payload_bytes = 100, .dedupe_ms = 86400000};

static void must(enum err_code code, const struct err *err)
{
    if (code != OK)
        FAIL("%s: %s", err_code_name(code), err->text);
}

static struct desk *desk_new(void)
{
    struct desk *d = calloc(1, sizeof *d);
    struct err err = {0};
    char url[128];
    uint8_t key[32] = {7};
    assert_non_null(d);
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    snprintf(d->dir, sizeof d->dir, "/tmp/webhookd-intake-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(url, sizeof url, "sqlite://%s/store.db", d->dir);
    must(keyring_from_bytes(&d->keys, key, &err), &err);
    must(backend_find(url)->open(&d->b, url, BACKEND_WRITER, d->keys, &err), &err);
    must(d->b->ops->begin(d->b, &err), &err);
    d->in = intake_new(d->keys);
    must(intake_prime(d->in, d->b, &err), &err);
    changes_init(&d->ch);
    return d;
}

static void desk_free(struct desk *d)
{
    char command[100];
    intake_free(d->in);
    d->b->ops->rollback(d->b);
    d->b->ops->close(d->b);
    keyring_free(d->keys);
    changes_fini(&d->ch);
    snprintf(command, sizeof command, "rm -rf '%s'", d->dir);
    assert_int_equal(system(command), 0);
    free(d);
}

static int64_t add_partner(struct desk *d, const char *name)
{
    struct err err = {0};
    struct partner p = {.num = id_next(intake_ids(d->in), clock_wall_ms()),
                        .name = name,
                        .created_ms = clock_wall_ms()};
    must(d->b->ops->partner_put(d->b, &p, &err), &err);
    return p.num;
}

static int64_t partner_num(struct desk *d, const char *name)
{
    struct err err = {0};
    struct arena mem;
    struct partner p = {0};
    arena_init(&mem);
    must(d->b->ops->partner_get(d->b, name, &mem, &p, &err), &err);
    arena_fini(&mem);
    return p.num;
}

static int64_t add_sub(struct desk *d, const char *name, int64_t partner, const char *patterns,
                       enum sub_state state)
{
    struct err err = {0};
    struct subscription sub = {.num = id_next(intake_ids(d->in), clock_wall_ms()),
                               .name = name,
                               .partner = partner,
                               .url = "https://example.com/hook",
                               .patterns = patterns,
                               .profile = "bondx",
                               .state = state,
                               .created_ms = clock_wall_ms(),
                               .updated_ms = clock_wall_ms(),
                               .revision = 1};
    must(d->b->ops->sub_put(d->b, &sub, &err), &err);
    intake_forget_routes(d->in);
    return sub.num;
}

static struct intake_event event_of(const char *type, const char *payload)
{
    return (struct intake_event){.type = type,
                                 .payload = payload,
                                 .payload_bytes = payload ? strlen(payload) : 0,
                                 .partner = "default",
                                 .outbox = "api"};
}

static struct intake_result accept(struct desk *d, const struct intake_event *ev)
{
    struct err err = {0};
    struct intake_result r = {0};
    must(intake_accept(d->in, d->b, ev, &limits, &d->ch, &r, &err), &err);
    return r;
}

/* The transaction that made a subscription is undone: nothing may be routed to it any more. */
static void an_undone_subscription_is_forgotten(void **state)
{
    struct desk *d = desk_new();
    struct err err = {0};
    struct intake_event ev = event_of("a.b", "{}");
    (void)state;
    must(d->b->ops->commit(d->b, &err), &err);
    must(d->b->ops->begin(d->b, &err), &err);
    add_sub(d, "undone", 1, "*", SUB_ACTIVE);
    assert_int_equal(accept(d, &ev).matched, 1);
    d->b->ops->rollback(d->b);
    must(d->b->ops->begin(d->b, &err), &err);
    assert_int_equal(accept(d, &ev).matched, 0);
    desk_free(d);
}

/* ---- judgement ---- */

static const struct judgement {
    struct intake_event ev;
    const char *reason; /* NULL: accepted */
} judgements[] = {
    {{.type = "order.executed", .payload = "{}"}, NULL},
    {{.type = "A_b-9.", .payload = "[1e999,\"\\u0000\"]"}, NULL},
    {{.type = "t", .payload = "null", .id = "a:B_9-"}, NULL},
    {{.type = "t", .payload = "1", .expires_ms = 100000000000}, NULL},
    {{.type = "t", .payload = "1", .ordering_key = "", .correlation_id = "", .attributes = ""},
     NULL},
    {{.type = "t", .payload = "1", .attributes = " {\"subject\":\"x\"}"}, NULL},
    {{.type = "t", .payload = "1", .partner = "*"}, NULL},
    {{.payload = "{}"}, "type: ''"},
    {{.type = "a b", .payload = "{}"}, "type: 'a b'"},
    {{.type = "\xc3\xa4", .payload = "{}"}, "type:"},
    {{.type = "t"}, "payload: missing"},
    {{.type = "t", .payload = ""}, "payload: not JSON"},
    {{.type = "t", .payload = "{}x"}, "payload: not JSON"},
    {{.type = "t", .payload = "\"\xff\""}, "payload: not JSON"},
    {{.type = "t",
      .payload = "\"................................................................"
                 "................................................\""},
     "max_payload_bytes (100)"},
    {{.type = "t", .payload = "{}", .id = "a b"}, "event_id:"},
    {{.type = "t", .payload = "{}", .id = ""}, "event_id:"},
    {{.type = "t", .payload = "{}", .partner = "who"}, "webhookctl partner add who"},
    {{.type = "t", .payload = "{}", .partner = "par_00000000000ZZ"}, "unknown"},
    {{.type = "t", .payload = "{}", .partner = ""}, "partner: ''"},
    {{.type = "t", .payload = "{}", .expires_ms = 1}, "multiply by 1000"},
    {{.type = "t", .payload = "{}", .expires_ms = 99999999999}, "multiply by 1000"},
    {{.type = "t", .payload = "{}", .deliver_after_ms = 1764000000}, "multiply by 1000"},
    {{.type = "t", .payload = "{}", .created_ms = 1764000000}, "multiply by 1000"},
    {{.type = "t", .payload = "{}", .deliver_after_ms = -1}, "before 1970"},
    {{.type = "t", .payload = "{}", .deliver_after_ms = 1764000000000000}, "2200"},
    {{.type = "t", .payload = "{}", .attributes = "[]"}, "attributes: not a JSON object"},
    {{.type = "t", .payload = "{}", .attributes = "{"}, "attributes: not JSON"},
    {{.type = "t", .payload = "{}", .correlation_id = "a\r\nX-Evil: 1"}, "correlation_id: control"},
    {{.type = "t", .payload = "{}", .source = "\xff"}, "source: not UTF-8"},
};

static void judges_by_the_table(void **state)
{
    struct desk *d = desk_new();
    (void)state;
    for (size_t i = 0; i < sizeof judgements / sizeof judgements[0]; i++) {
        struct intake_event ev = judgements[i].ev;
        const char *reason = judgements[i].reason;
        struct intake_result r = {0};
        struct err err = {0};
        ev.payload_bytes = ev.payload ? strlen(ev.payload) : 0;
        ev.outbox = "api";
        if (!ev.partner)
            ev.partner = "default";
        enum err_code code = intake_accept(d->in, d->b, &ev, &limits, &d->ch, &r, &err);
        if (!reason && code != OK)
            FAIL("row %zu is refused: %s", i, err.text);
        if (reason && (code != ERR_INVALID || !strstr(err.text, reason)))
            FAIL("row %zu: %s '%s', not '%s'", i, err_code_name(code), err.text, reason);
    }
    assert_int_equal(d->ch.accepted, 7);
    desk_free(d);
}

/* ---- ids ---- */

static void a_row_has_one_id(void **state)
{
    struct desk *d = desk_new();
    struct intake_event ev = event_of("t", "{}");
    (void)state;
    ev.outbox = "/a";
    ev.seq = 7;
    struct intake_result first = accept(d, &ev), again = accept(d, &ev);
    assert_int_equal(strlen(first.id), 30);
    assert_memory_equal(first.id, "evt_", 4);
    assert_true(id_is_event_id(first.id));
    assert_string_equal(first.id, again.id);
    assert_false(first.duplicate);
    assert_true(again.duplicate);
    assert_int_equal(again.num, first.num);
    ev.numbers_reused = true; /* the caller knows that it is another row */
    assert_false(accept(d, &ev).duplicate);
    ev.numbers_reused = false;

    struct intake_event other[6];
    for (size_t i = 0; i < 6; i++)
        other[i] = ev;
    other[0].seq = 8;
    other[1].outbox = "/b";
    other[2].payload = "[]";
    other[3].created_ms = 1764000000000;
    other[4].correlation_id = "c";
    other[5].partner = "*";
    for (size_t i = 0; i < 6; i++) {
        struct intake_result r = accept(d, &other[i]);
        assert_false(r.duplicate);
        assert_string_not_equal(r.id, first.id);
    }
    ev.seq = 0; /* no row: each is an event of its own */
    assert_string_not_equal(accept(d, &ev).id, accept(d, &ev).id);
    desk_free(d);
}

static void an_id_is_remembered_with_its_content(void **state)
{
    struct desk *d = desk_new();
    struct intake_event ev = event_of("t", "{\"a\":1}");
    struct intake_result r = {0};
    struct err err = {0};
    (void)state;
    ev.id = "mine";
    assert_false(accept(d, &ev).duplicate);
    ev.created_ms = 1764000000000; /* sent again, later */
    assert_true(accept(d, &ev).duplicate);
    ev.deliver_after_ms = ev.expires_ms = 1964000000000; /* `--expires-in 1h`, an hour later */
    assert_true(accept(d, &ev).duplicate);
    assert_int_equal(d->ch.duplicates, 2);
    struct intake_event other[7];
    for (size_t i = 0; i < 7; i++)
        other[i] = ev;
    other[0].type = "u";
    other[1].payload = "{\"a\":2}";
    other[2].partner = "*";
    other[3].ordering_key = "k";
    other[4].correlation_id = "c";
    other[5].source = "s";
    other[6].version = "v";
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(intake_accept(d->in, d->b, &other[i], &limits, &d->ch, &r, &err),
                         ERR_EXISTS);
    assert_non_null(strstr(err.text, "other content"));
    assert_int_equal(d->ch.accepted, 1);
    desk_free(d);
}

/* ---- routing ---- */

/* In order of subscriptions, whatever the patterns by which they are found. */
static void several_patterns_are_one_delivery(void **state)
{
    struct desk *d = desk_new();
    (void)state;
    int64_t home = partner_num(d, "default"), acme = add_partner(d, "acme");
    const int64_t want[] = {add_sub(d, "all", home, "*", SUB_ACTIVE),
                            add_sub(d, "much", home, "order.*, order.executed,*, a.b", SUB_ACTIVE),
                            add_sub(d, "one", home, "order.executed", SUB_ACTIVE)};
    add_sub(d, "theirs", acme, "order.executed", SUB_ACTIVE);
    add_sub(d, "other", home, "order.execute,orders.*", SUB_ACTIVE);
    struct intake_event ev = event_of("order.executed", "{}");
    assert_int_equal(accept(d, &ev).matched, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(d->ch.rows[i]->delivery.sub, want[i]);
    assert_int_equal(accept(d, &ev).matched, 3);
    desk_free(d);
}

static void events_go_to_their_partners_subscriptions(void **state)
{
    struct desk *d = desk_new();
    (void)state;
    int64_t home = partner_num(d, "default"), acme = add_partner(d, "acme");
    int64_t orders = add_sub(d, "orders", home, "order.*", SUB_ACTIVE);
    add_sub(d, "paused", home, "*", SUB_PAUSED);
    add_sub(d, "disabled", home, "trade.settled, order.executed", SUB_DISABLED);
    int64_t theirs = add_sub(d, "theirs", acme, "*", SUB_ACTIVE);
    char ref[ID_TEXT_MAX];
    const struct {
        const char *partner, *type;
        size_t matched;
    } rows[] = {{"default", "order.executed", 3}, {"default", "order.x.y", 2},
                {"default", "trade.settled", 2},  {"default", "other", 1},
                {"acme", "order.executed", 1},    {id_text(ref, "par", acme), "order.executed", 1},
                {"*", "order.executed", 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct intake_event ev = event_of(rows[i].type, "{}");
        ev.partner = rows[i].partner;
        assert_int_equal(accept(d, &ev).matched, rows[i].matched);
    }
    assert_int_equal(d->ch.rows_n, 14);
    assert_int_equal(d->ch.unrouted, 0);

    /* A delivery that is due later wakes later. */
    changes_clear(&d->ch);
    struct intake_event ev = event_of("order.executed", "{}");
    ev.deliver_after_ms = clock_store_ms() + 3600000;
    accept(d, &ev);
    assert_int_equal(d->ch.wakes[0].sub, orders);
    assert_int_equal(d->ch.wakes[0].due_ms, ev.deliver_after_ms);

    /* A partner that came with the same transaction is found; its numbers are apart. */
    add_partner(d, "late");
    ev = event_of("t", "{}");
    ev.partner = "late";
    assert_int_equal(accept(d, &ev).matched, 0);
    assert_int_equal(d->ch.unrouted, 1);
    ev.partner = "acme";
    assert_int_equal(accept(d, &ev).matched, 1);
    assert_int_equal(d->ch.rows[d->ch.rows_n - 1]->delivery.sub, theirs);
    desk_free(d);
}

static void deliveries_are_numbered_without_gaps(void **state)
{
    struct desk *d = desk_new();
    struct err err = {0};
    (void)state;
    int64_t home = partner_num(d, "default");
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        add_sub(d, name, home, "*", SUB_ACTIVE);
    }
    struct intake_event ev = event_of("t", "{}");
    struct intake_result first = accept(d, &ev), second = accept(d, &ev);
    struct arena mem;
    struct delivery *list = NULL;
    size_t n = 0;
    struct filter f = {.limit = 100};
    arena_init(&mem);
    must(d->b->ops->delivery_list(d->b, &f, &mem, &list, &n, &err), &err);
    assert_int_equal(n, 10);
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(list[i].num, list[i - 1].num + 1);
    assert_true(list[0].num > first.num && list[4].num < second.num);
    arena_fini(&mem);
    desk_free(d);
}

/* What is due now comes along as a claim would bring it; what is not, or too much, is a wake. */
static void what_is_due_comes_along(void **state)
{
    struct desk *d = desk_new();
    struct err err = {0};
    struct claimed *claimed[2] = {NULL, NULL};
    struct claim_ask ask = {.max = 2, .max_row_bytes = SIZE_MAX, .max_bytes = SIZE_MAX};
    struct claim_got got = {0};
    (void)state;
    int64_t sub = add_sub(d, "s", partner_num(d, "default"), "*", SUB_ACTIVE);
    struct intake_event ev = event_of("t", "{\"a\":1}");
    ev.correlation_id = "c";
    ev.source = "x";
    ev.attributes = "{}";
    ev.ordering_key = "k"; /* of a subscription that does not keep order */
    accept(d, &ev);
    must(d->b->ops->claim(d->b, sub, clock_store_ms(), &ask, claimed, &got, &err), &err);
    assert_int_equal(got.n, 1);
    assert_int_equal(d->ch.rows_n, 1);
    const struct claimed *mine = d->ch.rows[0], *theirs = claimed[0];
    assert_int_equal(mine->delivery.num, theirs->delivery.num);
    assert_int_equal(mine->delivery.event, theirs->delivery.event);
    assert_int_equal(mine->delivery.state, theirs->delivery.state);
    assert_int_equal(mine->delivery.due_ms, theirs->delivery.due_ms);
    assert_int_equal(mine->delivery.budget_since_ms, theirs->delivery.budget_since_ms);
    assert_int_equal(mine->delivery.created_ms, theirs->delivery.created_ms);
    assert_int_equal(mine->event.created_ms, theirs->event.created_ms);
    assert_string_equal(mine->event.id, theirs->event.id);
    assert_string_equal(mine->event.ordering_key, theirs->event.ordering_key);
    assert_string_equal(mine->event.correlation_id, theirs->event.correlation_id);
    assert_string_equal(mine->event.source, theirs->event.source);
    assert_string_equal(mine->event.attributes, theirs->event.attributes);
    assert_int_equal(mine->event.payload_bytes, theirs->event.payload_bytes);
    assert_memory_equal(mine->event.payload, theirs->event.payload, theirs->event.payload_bytes);
    assert_int_equal(mine->bytes, theirs->bytes);
    claimed_free(claimed[0]);

    for (int i = 1; i < CHANGES_ROWS_MAX; i++)
        accept(d, &ev);
    assert_int_equal(d->ch.wakes_n, 0);
    accept(d, &ev);
    assert_int_equal(d->ch.rows_n, CHANGES_ROWS_MAX);
    assert_int_equal(d->ch.wakes_n, 1);
    changes_clear(&d->ch);
    assert_int_equal(d->ch.rows_n + d->ch.wakes_n, 0);

    static char large[CHANGES_ROWS_BYTES + 16];
    struct delivery of = {.num = 1, .sub = sub};
    struct event_rec heavy = {.id = "e", .type = "t", .payload = large};
    heavy.payload_bytes = CHANGES_ROWS_BYTES - 1;
    changes_row(&d->ch, &of, &heavy);
    changes_row(&d->ch, &of, &heavy);
    assert_int_equal(d->ch.rows_n, 1);
    assert_int_equal(d->ch.wakes_n, 1);
    desk_free(d);
}

static void wakes_are_merged_by_subscription(void **state)
{
    struct changes c;
    (void)state;
    changes_init(&c);
    for (int64_t i = 0; i < 1000; i++)
        changes_wake(&c, i * 37 % 100, 1000 - i);
    assert_int_equal(c.wakes_n, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(c.wakes[i].sub, (int64_t)i);
        assert_true(c.wakes[i].due_ms <= 100);
    }
    changes_sub(&c, 5);
    changes_sub(&c, 5);
    assert_int_equal(c.subs_n, 1);
    changes_clear(&c);
    assert_int_equal(c.wakes_n + c.subs_n, 0);
    changes_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_undone_subscription_is_forgotten),
        cmocka_unit_test(judges_by_the_table),
        cmocka_unit_test(a_row_has_one_id),
        cmocka_unit_test(an_id_is_remembered_with_its_content),
        cmocka_unit_test(several_patterns_are_one_delivery),
        cmocka_unit_test(events_go_to_their_partners_subscriptions),
        cmocka_unit_test(deliveries_are_numbered_without_gaps),
        cmocka_unit_test(what_is_due_comes_along),
        cmocka_unit_test(wakes_are_merged_by_subscription),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
