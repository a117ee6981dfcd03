/* test/unit/test_store_order.c: which write goes with which commit, when that is on the disk, and who
 * hears of it when. */
#include "test/unit/store_world.h"

#include <errno.h>
#include <sys/syscall.h>

#include "base/clock.h"

static bool is_log(int fd)
{
    char link[64], path[256] = "";
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    return n > 4 && strcmp(path + n - 4, "-wal") == 0;
}

/* In place of libc's, for SQLite: how often a log was synced and written. */
static _Atomic int log_syncs, log_writes;
static _Atomic bool syncs_fail;
int fdatasync(int fd)
{
    log_syncs += is_log(fd);
    if (syncs_fail && is_log(fd)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    log_writes += is_log(fd);
    return syscall(SYS_pwrite64, fd, data, n, at);
}

/* Whoever hears "accepted" hears it after the log is on the disk: once for each commit. */
static void a_commit_is_on_the_disk(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        struct ask w = {.key = "k", .value = "v"};
        int before = log_syncs;
        ask_and_wait(f->store, STORE_WRITE, 0, set_work, &w);
        assert_int_equal(w.got, OK);
        assert_true(log_syncs > before);
    }
}

/* Pages of one commit go to the log together: with the log's head, where it begins anew. */
static void a_commit_is_one_write(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        struct ask w = {.key = "k", .value = "1"};
        int before = log_writes;
        ask_and_wait(f->store, STORE_WRITE, 0, set_work, &w);
        assert_int_equal(w.got, OK);
        assert_in_range(log_writes - before, 1, 2);
    }
}

/* It was there first, and goes last, by itself. false: the machine was so busy that it had waited long
 * enough. */
static bool patient_story(struct fixture *f)
{
    int order = 0;
    struct ask patient = {.order = &order}, one = {.order = &order}, two = {.order = &order}, first;
    sem_t hold;
    hold_writer(f->store, &first, &hold);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_PATIENT, set_work, done, &patient),
                     OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &one), OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &two), OK);
    sem_post(&hold);
    drain(f->store, 4);
    sem_destroy(&hold);
    assert_int_not_equal(patient.generation, one.generation);
    assert_int_not_equal(patient.generation, two.generation);
    return patient.at == 3;
}

static void a_patient_one_waits_for_the_others(void **state)
{
    int tries = 0;
    while (!patient_story(*state))
        assert_true(++tries < TRIES);
}

/* A settlement while events come in one by one: it goes with the next one. false: the machine was so
 * busy that it had lingered long enough. */
static bool lingering_story(struct fixture *f)
{
    struct ask event = {0}, outcome = {0}, next = {0};
    ask_and_wait(f->store, STORE_WRITE, STORE_HURRY, set_work, &event);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_LINGER, set_work, done, &outcome),
                     OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_HURRY, set_work, done, &next), OK);
    drain(f->store, 2);
    return outcome.generation == next.generation;
}

static void one_that_lingers_goes_with_the_next_in_a_hurry(void **state)
{
    struct fixture *f = *state;
    struct ask alone = {0};
    int tries = 0;
    while (!lingering_story(f))
        assert_true(++tries < TRIES);
    ask_and_wait(f->store, STORE_WRITE, STORE_LINGER, set_work, &alone); /* nobody comes */
    assert_int_equal(alone.got, OK);
}

/* FEW: more than half of BUSY, for which a batch with others in it waits. */
enum { BUSY = 12, FEW = 8, MOMENT_US = 3000 };

/* The loop is busy: settlements wait for company, but not when somebody else comes. false: the machine
 * was so busy that they had lingered long enough. */
static bool gathering_story(struct fixture *f)
{
    struct ask first, busy[BUSY] = {0}, few[FEW] = {0}, other = {0};
    sem_t hold;
    hold_writer(f->store, &first, &hold);
    for (size_t i = 0; i < BUSY; i++)
        assert_int_equal(
            store_submit(f->store, STORE_WRITE, STORE_LINGER, set_work, done, &busy[i]), OK);
    sem_post(&hold);
    drain(f->store, 1 + BUSY);
    sem_destroy(&hold);
    for (size_t i = 0; i < FEW; i++)
        assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_LINGER, set_work, done, &few[i]),
                         OK);
    int64_t until_us = clock_mono_us() + MOMENT_US;
    struct store_stats stats;
    do
        store_stats(f->store, &stats);
    while (stats.queued[STORE_WRITE] == FEW && clock_mono_us() < until_us);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &other), OK);
    drain(f->store, FEW + 1);
    return few[0].generation == other.generation;
}

static void settlements_are_gathered_while_the_loop_is_busy(void **state)
{
    struct fixture *f = *state;
    struct ask alone = {0};
    int tries = 0;
    while (!gathering_story(f))
        assert_true(++tries < 10);
    ask_and_wait(f->store, STORE_WRITE, STORE_LINGER, set_work, &alone); /* nobody comes */
    assert_int_equal(alone.got, OK);
}

/* Both wait for the same commit. false: the machine was so busy that each had its own. */
static bool hurried_story(struct fixture *f)
{
    int order = 0;
    struct ask one = {.order = &order}, event = {.order = &order}, first;
    sem_t hold;
    hold_writer(f->store, &first, &hold);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &one), OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_HURRY, set_work, done, &event), OK);
    sem_post(&hold);
    drain(f->store, 3);
    sem_destroy(&hold);
    return event.at < one.at;
}

static void one_in_a_hurry_comes_first(void **state)
{
    int tries = 0;
    while (!hurried_story(*state))
        assert_true(++tries < TRIES);
}

static enum err_code lagging_work(struct backend *b, void *arg, struct err *err)
{
    b->lags = true;
    return set_work(b, arg, err);
}

/* A slice of something larger need not be on the disk: what comes next takes it along. */
static void a_slice_may_lag_behind(void **state)
{
    struct fixture *f = *state;
    struct ask slice = {.key = "a", .value = "1"}, end = {.key = "b", .value = "2"};
    int before = log_syncs;
    ask_and_wait(f->store, STORE_WRITE, STORE_PATIENT, lagging_work, &slice);
    assert_int_equal(slice.got, OK);
    assert_int_equal(log_syncs, before);
    ask_and_wait(f->store, STORE_WRITE, STORE_PATIENT, set_work, &end); /* it says nothing */
    assert_int_equal(log_syncs, before + 1);
    ask_and_wait(f->store, STORE_WRITE, STORE_PATIENT, lagging_work, &slice);
    assert_int_equal(log_syncs, before + 1);
    ask_and_wait(f->store, STORE_WRITE, 0, lagging_work, &end); /* no slice: whatever it says */
    assert_int_equal(log_syncs, before + 2);
}

/* Others keep on writing: each that is over asks for the next one. */
struct flow {
    struct ask ask;
    struct fixture *f;
    const struct ask *until;
    int *flowing;
};
static void flows(void *arg, const struct err *err, int64_t generation)
{
    struct flow *w = arg;
    done(&w->ask, err, generation);
    if (w->until->got == OK)
        --*w->flowing;
    else
        assert_int_equal(store_submit(w->f->store, STORE_WRITE, 0, set_work, flows, w), OK);
}

static void but_not_for_ever(void **state)
{
    struct fixture *f = *state;
    struct ask patient = {.got = ERR_BUSY};
    struct flow flow[16];
    int flowing = 16;
    for (size_t i = 0; i < 16; i++) {
        flow[i] = (struct flow){.f = f, .until = &patient, .flowing = &flowing};
        assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, flows, &flow[i]), OK);
    }
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_PATIENT, set_work, done, &patient),
                     OK);
    while (patient.got != OK || flowing > 0) {
        struct pollfd p = {.fd = store_fd(f->store), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        (void)store_drain(f->store);
    }
}

/* ---- answered before it is on the disk ---- */
static void wait_durable(struct fixture *f)
{
    int64_t until = clock_mono_us() + 20 * 1000 * 1000;
    while (!store_is_durable(f->store)) {
        assert_true(clock_mono_us() < until);
        usleep(200);
    }
}

/* What comes again by itself is answered first and synced soon after, whoever comes or not. false: the
 * machine was so busy that the sync was first. */
static bool early_story(struct fixture *f)
{
    struct ask event = {.key = "e", .value = "1"};
    int before = log_syncs;
    ask_and_wait(f->store, STORE_WRITE, STORE_HURRY | STORE_EARLY, set_work, &event);
    bool first = log_syncs == before;
    assert_int_equal(event.got, OK);
    wait_durable(f);
    assert_int_equal(log_syncs, before + 1);
    return first;
}

static void what_comes_again_is_answered_before_its_sync(void **state)
{
    struct ask r = {.key = "e"};
    struct fixture *f = *state;
    int tries = 0;
    while (!early_story(f))
        assert_true(++tries < TRIES);
    ask_and_wait(f->store, STORE_CLAIM, 0, get_work, &r);
    assert_string_equal(r.value, "1");
}

struct noted {
    struct ask ask;
    int syncs; /* so often was the log synced when it was answered */
};

static void note(void *arg, const struct err *err, int64_t generation)
{
    struct noted *n = arg;
    done(&n->ask, err, generation);
    n->syncs = log_syncs;
}

/* An event that comes again, and with it something else: syncs before each of the two was answered. true:
 * it was one batch. */
static bool pair_story(struct fixture *f, unsigned flags, int *event_syncs, int *other_syncs)
{
    struct noted event = {.ask = {.key = "e", .value = "1"}};
    struct noted other = {.ask = {.key = "o", .value = "1"}};
    struct ask first;
    sem_t hold;
    wait_durable(f);
    hold_writer(f->store, &first, &hold); /* it writes nothing, so nothing is synced for it */
    int before = log_syncs;
    assert_int_equal(store_submit(f->store, STORE_WRITE, flags, set_work, note, &other), OK);
    assert_int_equal(
        store_submit(f->store, STORE_WRITE, STORE_HURRY | STORE_EARLY, set_work, note, &event), OK);
    sem_post(&hold);
    drain(f->store, 3);
    sem_destroy(&hold);
    *event_syncs = event.syncs - before;
    *other_syncs = other.syncs - before;
    return other.ask.generation == event.ask.generation;
}

/* What lingers goes with it, and is answered once that is on the disk. */
static void what_lingers_with_it_is_answered_after_the_sync(void **state)
{
    int event = 1, other = 0;
    for (int tries = 0; event > 0; tries++) {
        assert_true(tries < TRIES);
        if (!pair_story(*state, STORE_LINGER, &event, &other))
            event = 1;
        assert_true(other > 0);
    }
}

/* What must not be seen before it is on the disk makes the whole commit wait. */
static void beside_anything_else_it_waits(void **state)
{
    int event = 0, other = 0;
    for (int tries = 0; !pair_story(*state, 0, &event, &other); tries++)
        assert_true(tries < TRIES);
    assert_true(event > 0);
    assert_true(other > 0);
}

/* What was answered early stands elsewhere; what waited for the sync hears that it failed, and nothing is
 * acknowledged any more. */
static void a_sync_that_fails_fails_the_store(void **state)
{
    struct fixture *f = *state;
    struct ask later = {.key = "x", .value = "y"};
    struct noted with = {.ask = {.key = "o", .value = "1"}}, early = {.ask = {.key = "e"}};
    struct ask first;
    sem_t hold;
    wait_durable(f);
    hold_writer(f->store, &first, &hold);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_LINGER, set_work, note, &with), OK);
    assert_int_equal(
        store_submit(f->store, STORE_WRITE, STORE_HURRY | STORE_EARLY, set_work, note, &early), OK);
    syncs_fail = true;
    sem_post(&hold);
    drain(f->store, 3);
    syncs_fail = false;
    sem_destroy(&hold);
    assert_int_equal(with.ask.got, ERR_IO);
    assert_true(store_failed(f->store, NULL));
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &later), ERR_IO);
}

static void closing_syncs_what_was_answered(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct ask event = {.key = "e", .value = "1"};
    int before = log_syncs;
    ask_and_wait(f->store, STORE_WRITE, STORE_HURRY | STORE_EARLY, set_work, &event);
    store_close(f->store);
    assert_true(log_syncs > before);
    assert_int_equal(store_open(&f->store, f->url, f->keys, 0, &err), OK);
}

/* Whoever was killed left a log that the kernel has and perhaps not the disk: before anybody goes by what
 * it says, as whoever deletes rows that were taken, it is there. */
static void opening_syncs_what_was_left(void **state)
{
    struct fixture *f = *state;
    struct err err;
    store_close(f->store);
    int before = log_syncs;
    assert_int_equal(store_open(&f->store, f->url, f->keys, 0, &err), OK);
    assert_true(log_syncs > before);
    assert_true(store_is_durable(f->store));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_commit_is_on_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_is_one_write, setup, teardown),
        cmocka_unit_test_setup_teardown(a_patient_one_waits_for_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_lingers_goes_with_the_next_in_a_hurry, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(settlements_are_gathered_while_the_loop_is_busy, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_in_a_hurry_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slice_may_lag_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(but_not_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(what_comes_again_is_answered_before_its_sync, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_lingers_with_it_is_answered_after_the_sync, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(beside_anything_else_it_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sync_that_fails_fails_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_syncs_what_was_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(opening_syncs_what_was_left, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
