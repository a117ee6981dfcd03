/* test/sim/sim.c: a day of retries in a second. Scenarios over the real scheduler, policies and
 * memory backend; see world.h and house.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/egress_pause.h"
#include "test/sim/house.h"

/* The plain schedule, to the millisecond: 1, 2, 4, 8, 16 s after the end of the attempt before
 * (each takes 100 ms). */
static void the_schedule_is_exact(void **state)
{
    struct house h;
    const int64_t delays[] = {1000, 2000, 4000, 8000, 16000};

    (void)state;
    house_open(&h, "retry: {default: {jitter: 0}}\n");
    h.down_to_ms = INT64_MAX;
    write_now(&h, add_sub, &(struct request){.name = "bad", .url = "https://bad.example/"});
    world_run(h.loop, h.store, SECOND);
    post(&h, 1, "order.executed");
    world_run(h.loop, h.store, HOUR);
    assert_int_equal(h.attempts, 6);
    for (int i = 0; i < 5; i++)
        assert_int_equal(h.attempt_ms[i + 1] - h.attempt_ms[i], delays[i] + 100);
    assert_int_equal(tally(&h).states[DELIVERY_DEAD], 1);
    house_close(&h);
}

/* A day: an endpoint is down from hour 2 to hour 8, an event every minute; a policy with many
 * retries. Nothing is lost, the healthy neighbour is never held up, and the dead one is spared by
 * its breaker. */
static void a_day_with_an_outage(void **state)
{
    struct house h;

    (void)state;
    house_open(
        &h, "retry: {default: {max_retries: 200, max_delay: 5m}}\n"
            "breaker: {min_failures: 20, min_period: 30s, probe_interval: 10s, max_hold: 24h}\n");
    h.down_from_ms = START + 2 * HOUR;
    h.down_to_ms = START + 8 * HOUR;
    write_now(&h, add_sub, &(struct request){.name = "bad", .url = "https://bad.example/"});
    write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    for (int minute = 0; minute < 24 * 60; minute++) {
        post(&h, 1, "order.executed");
        world_run(h.loop, h.store, MINUTE);
    }
    world_run(h.loop, h.store, HOUR);
    struct tally t = tally(&h);
    assert_int_equal(t.states[DELIVERY_DELIVERED], 2 * 24 * 60);
    assert_int_equal(t.states[DELIVERY_DEAD], 0);
    assert_int_equal(h.good_attempts, 24 * 60);
    assert_true(h.attempts > 24 * 60);
    assert_true(h.attempts <
                24 * 60 + 6 * 360 + 200); /* about one probe per interval while it was down */
    house_close(&h);
}

/* With an ordering key a failing head holds its key, in order; the same events without a key go
 * past. */
static void ordering_holds(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "retry: {default: {jitter: 0}}\n");
    h.down_from_ms = 0;
    h.down_to_ms = START + 5 * SECOND;
    write_now(&h, add_sub,
              &(struct request){.name = "bad", .url = "https://bad.example/", .ordered = true});
    world_run(h.loop, h.store, SECOND);
    for (int i = 0; i < 3; i++)
        write_now(&h, add_event, &(struct request){.type = "a.b", .key = "K"});
    world_run(h.loop, h.store, 3 * SECOND);
    assert_int_equal(tally(&h).states[DELIVERY_RETRYING], 1); /* only the head was tried */
    assert_int_equal(tally(&h).states[DELIVERY_PENDING], 2);
    world_run(h.loop, h.store, MINUTE);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 3);
    assert_int_equal(h.attempts, 2 + 3); /* in vain at 2 and 3.1 s */
    assert_int_equal(world_most_in_flight(), 1);
    house_close(&h);
}

/* What expires while it waits for a retry is dead then, cause expired, with no attempt after. */
static void expiry_ends_retries(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    h.down_to_ms = INT64_MAX;
    write_now(&h, add_sub, &(struct request){.name = "bad", .url = "https://bad.example/"});
    world_run(h.loop, h.store, SECOND);
    write_now(&h, add_event,
              &(struct request){.type = "a.b", .expires_ms = world_now_ms() + 2 * SECOND});
    world_run(h.loop, h.store, HOUR);
    assert_int_equal(h.attempts, 2);
    assert_int_equal(tally(&h).states[DELIVERY_DEAD], 1);
    house_close(&h);
}

/* A broken endpoint's deliveries that were held for max_hold are dead, without a storm of attempts.
 */
static void max_hold_buries(void **state)
{
    struct house h;

    (void)state;
    house_open(&h,
               "breaker: {min_failures: 50, min_period: 30s, probe_interval: 10s, max_hold: 1h}\n"
               "retry: {default: {max_retries: 1000}}\n");
    h.down_to_ms = INT64_MAX;
    write_now(&h, add_sub, &(struct request){.name = "bad", .url = "https://bad.example/"});
    world_run(h.loop, h.store, SECOND);
    post(&h, 500, "order.executed");
    world_run(h.loop, h.store, 3 * HOUR);
    struct tally t = tally(&h);
    assert_int_equal(t.states[DELIVERY_DEAD], 500);
    assert_true(h.attempts < 500 * 4);
    house_close(&h);
}

/* ---- trials ---- */
static enum err_code add_trial(struct backend *b, void *arg, struct err *err)
{
    static const uint8_t digest[32];
    struct request *r = arg;
    int64_t now_ms = world_now_ms(), num = id_next(intake_ids(r->h->intake), now_ms);
    struct event_rec e = {.num = id_next(intake_ids(r->h->intake), now_ms),
                          .id = "test_1",
                          .type = "webhookd.test",
                          .payload = "{}",
                          .payload_bytes = 2,
                          .created_ms = now_ms,
                          .accepted_ms = now_ms,
                          .outbox = "test"};
    struct event_put_result put;
    bool ordered = false;
    enum err_code rc =
        b->ops->event_put(b, &e, &r->sub, &ordered, 1, num, digest, now_ms, &put, err);

    if (rc == OK)
        rc = b->ops->trial(b, num, 1, err);
    changes_wake(&r->changes, r->sub, TRIAL_DUE_MS);
    return rc;
}

/* Until expires_ms; 0: until somebody resumes it. */
static enum err_code pause_sub(struct backend *b, void *arg, struct err *err)
{
    struct request *r = arg;
    struct arena a;
    struct subscription s;

    arena_init(&a);
    enum err_code rc = b->ops->sub_get_num(b, r->sub, &a, &s, err);
    s.state = SUB_PAUSED;
    s.state_since_ms = world_now_ms();
    s.resume_at_ms = r->expires_ms;
    if (rc == OK)
        rc = b->ops->sub_update(b, &s, err);
    arena_fini(&a);
    changes_sub(&r->changes, r->sub);
    return rc;
}

/* It goes at once and alone: its endpoint is broken, and paused for a month on top of it. */
static void a_trial_is_not_held(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "breaker: {min_failures: 5, min_period: 1s, probe_interval: 1h, max_hold: 4h}\n"
                   "retry: {default: {max_retries: 1000}}\n");
    h.down_to_ms = INT64_MAX;
    struct request sub = {.name = "bad", .url = "https://bad.example/"};
    write_now(&h, add_sub, &sub);
    world_run(h.loop, h.store, SECOND);
    post(&h, 20, "order.executed");
    world_run(h.loop, h.store, 5 * MINUTE); /* the breaker is open */
    int64_t before = h.attempts;
    write_now(&h, add_trial, &sub);
    world_run(h.loop, h.store, SECOND);
    assert_int_equal(h.attempts, before + 1);
    write_now(&h, pause_sub, &sub);
    world_run(h.loop, h.store, 29 * (int64_t)DAY);
    assert_int_equal(h.attempts, before + 1);
    write_now(&h, add_trial, &sub);
    world_run(h.loop, h.store, SECOND);
    assert_int_equal(h.attempts, before + 2);
    assert_int_equal(tally(&h).states[DELIVERY_DISCARDED], 1); /* the first is forgotten */
    assert_int_equal(tally(&h).states[DELIVERY_HELD], 20);
    world_run(h.loop, h.store, 2 * DAY);
    assert_int_equal(tally(&h).states[DELIVERY_DEAD], 20); /* expired */
    house_close(&h);
}

/* A slow endpoint, whose window is one: the trial goes beside, and takes nobody's turn. */
static void a_trial_goes_beside(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "delivery: {max_in_flight_per_subscription: 1}\n");
    struct request sub = {.name = "slow", .url = "https://slow.example/"};
    write_now(&h, add_sub, &sub);
    world_run(h.loop, h.store, SECOND);
    post(&h, 3, "order.executed");
    world_run(h.loop, h.store, SECOND);
    write_now(&h, add_trial, &sub);
    world_run(h.loop, h.store, 9 * SECOND + 500);
    assert_int_equal(world_most_in_flight(), 2);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 2);
    world_run(h.loop, h.store, MINUTE);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 4);
    house_close(&h);
}

/* ---- the kill switch ---- */
static enum err_code throw_switch(struct backend *b, void *arg, struct err *err)
{
    struct request *r = arg;
    struct egress_pause p = {.paused = r->paused, .since_ms = world_now_ms()};

    if (r->expires_ms > 0)
        p.resume_at_ms = r->expires_ms;
    return egress_pause_write(b, &p, err);
}

static void pause_egress(struct house *h, bool paused)
{
    write_now(h, throw_switch, &(struct request){.paused = paused});
    scheduler_pause(h->scheduler, paused);
}

/* Hours of pause: nobody is sent to, nothing dies of the open breaker, no attempt is burnt; what
 * expires, does. Afterwards all goes out, in order of their keys. */
static void a_pause_holds_everything(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "breaker: {min_failures: 5, min_period: 1s, probe_interval: 10s, max_hold: 1h}\n"
                   "retry: {default: {max_retries: 1000, max_delay: 5m}}\n");
    h.down_to_ms = START + 10 * MINUTE;
    write_now(&h, add_sub, &(struct request){.name = "bad", .url = "https://bad.example/"});
    write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    world_run(h.loop, h.store, SECOND);
    post(&h, 20, "order.executed");
    world_run(h.loop, h.store, 5 * MINUTE);
    assert_int_equal(h.good_attempts, 20);
    pause_egress(&h, true); /* the breaker of bad is open */
    int64_t attempts = h.attempts;
    post(&h, 300, "order.executed");
    write_now(&h, add_event,
              &(struct request){.type = "a.b", .expires_ms = world_now_ms() + MINUTE});
    world_run(h.loop, h.store, 5 * HOUR);
    assert_in_range(h.attempts, attempts, attempts + 1); /* one was in flight, perhaps */
    assert_int_equal(h.good_attempts, 20);
    struct tally t = tally(&h);
    assert_int_equal(t.states[DELIVERY_DEAD], 2); /* the one that expired, for both */
    assert_int_equal(world_most_in_flight() > 0, 1);
    pause_egress(&h, false);
    world_run(h.loop, h.store, 10 * MINUTE);
    t = tally(&h);
    assert_int_equal(t.states[DELIVERY_DELIVERED], 2 * 320);
    assert_int_equal(t.states[DELIVERY_DEAD], 2);
    house_close(&h);
}

/* What a claim brings that was out when the pause began is not sent after it: it may have been
 * buried meanwhile. And who thrashes the switch loses nothing. */
static void a_pause_at_every_moment(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    world_run(h.loop, h.store, SECOND);
    for (int i = 0; i < 200; i++) {
        post(&h, 3, "order.executed");
        if (i % 3 == 0)
            loop_sim_step(h.loop, world_now_ms() + 1);
        pause_egress(&h, i % 2 == 0);
        if (i % 5 == 0)
            world_run(h.loop, h.store, 7);
    }
    pause_egress(&h, false);
    world_run(h.loop, h.store, MINUTE);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 600);
    assert_int_equal(h.good_attempts, 600);
    house_close(&h);
}

/* It ends by itself, at its time; across a start as well (the sweep reads the store). */
static void a_pause_ends_by_itself(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    write_now(&h, throw_switch,
              &(struct request){.paused = true, .expires_ms = world_now_ms() + HOUR});
    scheduler_pause(h.scheduler, true);
    sweep_wake_at(h.sweep, world_now_ms() + HOUR);
    post(&h, 5, "order.executed");
    world_run(h.loop, h.store, HOUR - SECOND);
    assert_int_equal(h.good_attempts, 0);
    world_run(h.loop, h.store, SECOND + 100);
    assert_int_equal(h.good_attempts, 5);
    house_close(&h);
}

static enum err_code nothing_at_all(struct backend *b, void *arg, struct err *err)
{
    (void)b;
    (void)arg;
    (void)err;
    return OK;
}

static void generation_seen(void *arg, const struct err *err, int64_t generation)
{
    (void)err;
    *(int64_t *)arg = generation;
}

static int64_t commits(struct house *h)
{
    int64_t generation = 0;

    assert_int_equal(
        store_submit(h->store, STORE_WRITE, 0, nothing_at_all, generation_seen, &generation), OK);
    store_drain(h->store);
    return generation;
}

/* A paused subscription with events that expire: the sweep sleeps, and is five seconds late at most. */
static void time_wakes_the_sweep(void **state)
{
    struct house h;
    struct request sub = {.name = "good", .url = "https://good.example/"};

    (void)state;
    house_open(&h, "{}\n");
    write_now(&h, add_sub, &sub);
    sub.expires_ms = START + 10 * HOUR;
    write_now(&h, pause_sub, &sub);
    for (int i = 1; i <= 2; i++)
        write_now(&h, add_event,
                  &(struct request){.type = "a.b", .expires_ms = START + i * (HOUR + 7 * SECOND)});
    post(&h, 5, "order.executed");
    for (int i = 1; i <= 2; i++) {
        world_run(h.loop, h.store, START + i * (HOUR + 7 * SECOND) - SECOND - world_now_ms());
        assert_int_equal(tally(&h).states[DELIVERY_DEAD], i - 1);
        world_run(h.loop, h.store, 6 * SECOND + 100);
        assert_int_equal(tally(&h).states[DELIVERY_DEAD], i);
    }
    world_run(h.loop, h.store, START + 8 * HOUR - world_now_ms());
    int64_t before = commits(&h);
    world_run(h.loop, h.store, HOUR);
    assert_in_range(commits(&h) - before, 1, HOUR / (5 * MINUTE) + 3);
    world_run(h.loop, h.store, START + 10 * HOUR - SECOND - world_now_ms());
    assert_int_equal(h.good_attempts, 0);
    world_run(h.loop, h.store, 6 * SECOND + 200);
    assert_int_equal(h.good_attempts, 5);
    house_close(&h);
}

/* The head of a key is far from its next retry when max_hold buries it. What stood behind it is
 * sent at once: its endpoint is up again. */
static void who_stood_behind_the_buried_goes(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "breaker: {min_failures: 5, min_period: 1s, probe_interval: 10s, max_hold: 1h}\n"
                   "retry: {default: {schedule: [1s, 1s, 1s, 1s, 10h], jitter: 0}}\n");
    h.down_to_ms = START + 10 * MINUTE;
    write_now(&h, add_sub,
              &(struct request){.name = "bad", .url = "https://bad.example/", .ordered = true});
    world_run(h.loop, h.store, SECOND);
    const char *keys[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < 6; i++)
        write_now(&h, add_event, &(struct request){.type = "a.b", .key = keys[i]});
    world_run(h.loop, h.store, 30 * MINUTE);
    for (size_t i = 0; i < 6; i++)
        write_now(&h, add_event, &(struct request){.type = "a.b", .key = keys[i]});
    world_run(h.loop, h.store, 50 * MINUTE);
    struct tally t = tally(&h);
    assert_int_equal(t.states[DELIVERY_PENDING] + t.states[DELIVERY_RETRYING], 0);
    assert_int_equal(t.states[DELIVERY_DELIVERED], 6);
    house_close(&h);
}

/* Thirty endpoints that take nine seconds each could fill all of max_in_flight. The one beside them
 * that is well has its events at once all the same. */
static void the_slow_leave_a_way(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    for (int i = 0; i < 30; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "slow%d", i);
        write_now(&h, add_sub, &(struct request){.name = name, .url = "https://slow.example/"});
    }
    write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    world_run(h.loop, h.store, SECOND);
    post(&h, 300, "order.executed");
    world_run(h.loop, h.store, MINUTE);
    assert_int_equal(h.good_attempts, 300);
    for (int i = 0; i < 100; i++) {
        post(&h, 1, "order.executed");
        world_run(h.loop, h.store, 100);
        assert_int_equal(h.good_attempts, 301 + i);
    }
    assert_true(world_most_in_flight() > 440);
    house_close(&h);
}

static enum err_code broken_since(struct backend *b, void *arg, struct err *err)
{
    struct request *r = arg;
    struct arena a;
    struct subscription s;

    arena_init(&a);
    enum err_code rc = b->ops->sub_get_num(b, r->sub, &a, &s, err);
    r->expires_ms = rc == OK ? s.broken_since_ms : -1;
    arena_fini(&a);
    return rc;
}

/* The disk is full while the endpoint recovers: the answers are settled when there is room again,
 * and the store hears that the breaker has closed. Else the sweep would bury, an hour later, what a
 * healthy endpoint is about to get. */
static void a_full_disk_forgets_nothing(void **state)
{
    struct house h;
    struct request look;

    (void)state;
    house_open(&h, "breaker: {min_failures: 10, min_period: 1s, probe_interval: 10s}\n"
                   "retry: {default: {max_retries: 1000}}\n");
    h.down_to_ms = START + 10 * MINUTE;
    look.sub =
        write_now(&h, add_sub, &(struct request){.name = "bad", .url = "https://bad.example/"});
    world_run(h.loop, h.store, SECOND);
    post(&h, 50, "order.executed");
    world_run(h.loop, h.store, 9 * MINUTE);
    store_submit(h.store, STORE_LIST, 0, broken_since, counted, &look);
    store_drain(h.store);
    assert_true(look.expires_ms > START);
    world_store_fails(STORE_WRITE, START + 12 * MINUTE);
    world_run(h.loop, h.store, 11 * MINUTE);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 50);
    store_submit(h.store, STORE_LIST, 0, broken_since, counted, &look);
    store_drain(h.store);
    assert_int_equal(look.expires_ms, 0);
    house_close(&h);
}

/* A subscription whose row could not be read when it was made is read later. */
static void a_row_that_cannot_be_read_is_read_later(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    world_store_fails(STORE_LIST, world_now_ms() + 5 * SECOND);
    write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    post(&h, 1, "order.executed");
    world_run(h.loop, h.store, MINUTE);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 1);
    house_close(&h);
}

/* What cannot be signed is tried like anything that fails, is dead in the end, and holds nobody up.
 */
static void the_unsendable_dies(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    write_now(&h, add_sub,
              &(struct request){.name = "k", .url = "https://good.example/", .keyless = true});
    world_run(h.loop, h.store, SECOND);
    post(&h, 20, "order.executed");
    world_run(h.loop, h.store, HOUR);
    assert_int_equal(tally(&h).states[DELIVERY_DEAD], 20);
    assert_int_equal(h.good_attempts, 0);
    house_close(&h);
}

/* An event that somebody waits for goes out without a question to the claim reader; of a backlog
 * and of what must be retried the reader is asked. */
static void a_fresh_row_needs_no_claim(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    world_run(h.loop, h.store, SECOND);
    int before = world_claims();
    for (int i = 0; i < 100; i++) {
        post(&h, 1, "order.executed");
        world_run(h.loop, h.store, SECOND);
    }
    assert_int_equal(h.good_attempts, 100);
    assert_int_equal(world_claims(), before);
    post(&h, 3000, "order.executed");
    world_run(h.loop, h.store, MINUTE);
    assert_int_equal(h.good_attempts, 3100);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 3100);
    assert_true(world_claims() > before);
    house_close(&h);
}

static void held_back(void *arg, const struct err *err, int64_t generation)
{
    (void)arg, (void)err, (void)generation;
}

/* A commit can be seen by the claim reader before the loop hears of it: a row that a claim has
 * brought, or brings now, or that is delivered already, is not sent twice. */
static void a_row_comes_once(void **state)
{
    struct house h;

    (void)state;
    house_open(&h, "{}\n");
    int64_t sub =
        write_now(&h, add_sub, &(struct request){.name = "good", .url = "https://good.example/"});
    world_run(h.loop, h.store, SECOND);
    for (int64_t wait_ms = 0; wait_ms < 40; wait_ms += 5) {
        struct request r = {.h = &h, .type = "order.executed"};
        struct changes wake;

        h.good_attempts = 0;
        changes_init(&r.changes);
        changes_init(&wake);
        changes_wake(&wake, sub, world_now_ms());
        assert_int_equal(store_submit(h.store, STORE_WRITE, 0, add_event, held_back, &r), OK);
        scheduler_changed(h.scheduler, &wake);
        world_run(h.loop, h.store, wait_ms); /* 20 ms is how long an answer takes */
        assert_int_equal(r.changes.rows_n, 1);
        scheduler_changed(h.scheduler, &r.changes);
        world_run(h.loop, h.store, SECOND);
        assert_int_equal(h.good_attempts, 1);
        changes_fini(&r.changes);
        changes_fini(&wake);
    }
    house_close(&h);
}

static size_t held_bytes(const struct house *h)
{
    struct scheduler_now now;

    scheduler_look(h->scheduler, &now);
    return now.held_bytes;
}

/* A hundred slow endpoints and payloads of 1 MiB: what is in memory stays within a budget, however
 * many want some. Who has small payloads does not notice, a fast one with large payloads has its
 * turn among the slow. */
static void large_payloads_have_a_budget(void **state)
{
    struct house h;
    const size_t budget = (size_t)48 << 20, row = ((size_t)1 << 20) + 16384;
    size_t most = 0;
    char *large = calloc(1, ((size_t)1 << 20) + 1);

    (void)state;
    assert_non_null(large);
    memset(large, '1', (size_t)1 << 20);
    house_open(&h, "{}\n");
    for (int i = 0; i < 100; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "slow%d", i);
        write_now(
            &h, add_sub,
            &(struct request){.name = name, .url = "https://slow.example/", .patterns = "large"});
    }
    write_now(&h, add_sub,
              &(struct request){.name = "fast", .url = "https://up.example/", .patterns = "large"});
    write_now(
        &h, add_sub,
        &(struct request){.name = "good", .url = "https://good.example/", .patterns = "small"});
    world_run(h.loop, h.store, SECOND);
    for (int i = 0; i < 10; i++)
        write_now(&h, add_event, &(struct request){.type = "large", .payload = large});
    for (int i = 0; i < 3000; i++) {
        world_run(h.loop, h.store, 30);
        post(&h, 1, "small");
        world_run(h.loop, h.store, 30);
        assert_int_equal(h.good_attempts, i + 1);
        if (held_bytes(&h) > most)
            most = held_bytes(&h);
    }
    assert_in_range(most, budget - row, budget + row);
    assert_int_equal(h.attempts, 10);
    world_run(h.loop, h.store, 10 * MINUTE);
    assert_int_equal(tally(&h).states[DELIVERY_DELIVERED], 101 * 10 + 3000);
    assert_int_equal(held_bytes(&h), 0);
    house_close(&h);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schedule_is_exact),
        cmocka_unit_test(a_day_with_an_outage),
        cmocka_unit_test(ordering_holds),
        cmocka_unit_test(expiry_ends_retries),
        cmocka_unit_test(max_hold_buries),
        cmocka_unit_test(a_trial_is_not_held),
        cmocka_unit_test(a_trial_goes_beside),
        cmocka_unit_test(a_pause_holds_everything),
        cmocka_unit_test(a_pause_at_every_moment),
        cmocka_unit_test(a_pause_ends_by_itself),
        cmocka_unit_test(a_fresh_row_needs_no_claim),
        cmocka_unit_test(a_row_comes_once),
        cmocka_unit_test(who_stood_behind_the_buried_goes),
        cmocka_unit_test(time_wakes_the_sweep),
        cmocka_unit_test(the_slow_leave_a_way),
        cmocka_unit_test(a_full_disk_forgets_nothing),
        cmocka_unit_test(a_row_that_cannot_be_read_is_read_later),
        cmocka_unit_test(the_unsendable_dies),
        cmocka_unit_test(large_payloads_have_a_budget),
    };

    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
