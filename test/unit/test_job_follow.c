/* test/unit/test_job_follow.c: what is said while a job is followed, over a clock, a sleep and a daemon
 * of our own: minutes take no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/job_follow.h"
#include "cli/object.h"

#define SAID_MAX (1 << 20)
#define START_MS INT64_C(1000000)

/* ---- the world: linked in the place of the real one ---- */
static int64_t now_ms;
static json_t *(*job_at)(int64_t ms); /* since the start */
static int64_t away_until_ms;         /* since the start; from 5 s on */

int64_t clock_wall_ms(void)
{
    return now_ms;
}

int64_t clock_mono_ms(void)
{
    return now_ms;
}

int64_t clock_mono_us(void)
{
    return now_ms * 1000;
}

int64_t clock_store_ms(void)
{
    return now_ms;
}

int nanosleep(const struct timespec *span, struct timespec *left)
{
    (void)left;
    now_ms += (int64_t)span->tv_sec * 1000 + span->tv_nsec / 1000000;
    return 0;
}

int object_get(struct cli *cli, const char *noun, const char *ref, const char *query,
               struct answer *a)
{
    (void)cli;
    memset(a, 0, sizeof *a);
    if (query != NULL) { /* who died again is dead still */
        assert_string_equal(noun, "dead-letters");
        assert_string_equal(query, "job=job_1");
        a->json = json_pack("{s:i}", "count", 1000);
        return 0;
    }
    assert_string_equal(noun, "jobs");
    assert_string_equal(ref, "job_1");
    a->json = job_at(now_ms - START_MS);
    assert_non_null(a->json);
    return 0;
}

int object_get_live(struct cli *cli, const char *noun, const char *ref, struct answer *a)
{
    if (away_until_ms != 0 && now_ms - START_MS >= 5000 && now_ms - START_MS < away_until_ms)
        return -1;
    return object_get(cli, noun, ref, NULL, a);
}

int object_change(struct cli *cli, const char *method, const char *noun, const char *ref,
                  const char *verb, json_t *body, struct answer *a)
{
    (void)method;
    (void)verb;
    json_decref(body);
    return object_get(cli, noun, ref, NULL, a);
}

bool object_plain(const struct cli *cli, const struct answer *a, const char *ref)
{
    (void)cli;
    (void)a;
    (void)ref;
    return false;
}

/* ---- jobs ---- */
struct look {
    const char *state, *waits_for;
    int selected, queued, delivered, dead_again;
};

static json_t *counts(const struct look *l)
{
    int over = l->delivered + l->dead_again;

    return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "selected", l->selected, "waiting",
                     l->queued - over, "tried", over, "delivered", l->delivered, "dead_again",
                     l->dead_again, "not_sent", l->selected - l->queued, "done", over, "retrying",
                     0);
}

static json_t *job_of(const struct look *l)
{
    json_t *part = json_pack("{s:s,s:s,s:s?,s:s?,s:{s:i,s:i,s:b},s:o}", "subscription", "acme",
                             "state", l->state, "waits_for", l->waits_for, "last_failure",
                             l->waits_for ? "503" : (const char *)NULL, "canary", "wanted", 1,
                             "delivered", 1, "through", l->delivered > 0, "counts", counts(l));

    return json_pack("{s:s,s:s,s:s,s:b,s:o,s:[o],s:{s:n},s:[],s:f}", "id", "job_1", "kind",
                     "replay", "state", l->state, "delivers", 1, "counts", counts(l),
                     "subscriptions", part, "options", "to", "errors", "elapsed_seconds", 1.5);
}

/* ---- what is said ---- */
static int follow(bool terminal, int64_t wait_ms, char said[SAID_MAX])
{
    struct cli cli = {.err_tty = terminal};
    FILE *to = tmpfile();
    int before = dup(STDERR_FILENO), out = dup(STDOUT_FILENO);

    assert_non_null(to);
    now_ms = START_MS;
    fflush(stdout);
    dup2(fileno(to), STDERR_FILENO);
    dup2(fileno(to), STDOUT_FILENO);
    int rc = job_follow(&cli, "job_1", wait_ms);

    fflush(stdout);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    dup2(out, STDOUT_FILENO);
    close(before);
    close(out);
    rewind(to);
    size_t n = fread(said, 1, SAID_MAX - 1, to);

    said[n] = '\0';
    fclose(to);
    return rc;
}

static size_t times_said(const char *said, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(said, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

/* ---- the tests ---- */
static json_t *down_for_ever(int64_t ms)
{
    (void)ms;
    return job_of(&(struct look){
        .state = "active", .waits_for = "endpoint_down", .selected = 5, .queued = 1});
}

/* Where nobody looks on it does not wait for ever, and says why. */
static void test_it_gives_up_where_nothing_comes(void **state)
{
    static char said[SAID_MAX];

    (void)state;
    job_at = down_for_ever;
    assert_int_equal(follow(false, -1, said), CLI_LATER);
    assert_in_range(now_ms - START_MS, 30000, 30200);
    assert_int_equal(times_said(said, "acme does not answer (503); webhookd tries it now and then"),
                     1);
    assert_non_null(strstr(said, "0 of 5 (0%)  waiting: acme does not answer (503)  delivered 0  "
                                 "failed 0  in flight 0\n"));
    assert_non_null(strstr(said, "Nothing came back for 30 s: acme does not answer (503)."));
    assert_non_null(strstr(said, "job_1 goes on by itself when that is over.\n"
                                 "Watch: webhookctl job watch job_1\n"
                                 "Stop:  webhookctl job cancel job_1\n"));
}

static json_t *down_for_a_minute(int64_t ms)
{
    if (ms < 60000)
        return down_for_ever(ms);
    return job_of(&(struct look){.state = "done", .selected = 5, .queued = 5, .delivered = 5});
}

/* Who sits before it sees that it waits, and may wait with it. */
static void test_on_a_terminal_it_waits_on(void **state)
{
    static char said[SAID_MAX];

    (void)state;
    job_at = down_for_a_minute;
    assert_int_equal(follow(true, -1, said), CLI_OK);
    assert_in_range(now_ms - START_MS, 60000, 60200);
    assert_non_null(strstr(said, "0/5  0%  waiting: acme does not answer (503)"));
    assert_non_null(strstr(said, "5/5  100%")); /* what is seen last is the end */
    assert_non_null(strstr(said, "job_1 done: 5 delivered, 0 dead again, in 1.5 s\n"));
}

static void test_no_longer_than_it_may(void **state)
{
    static char said[SAID_MAX];

    (void)state;
    job_at = down_for_ever;
    assert_int_equal(follow(false, 2000, said), CLI_LATER);
    assert_in_range(now_ms - START_MS, 2000, 2200);
    assert_non_null(strstr(said, "job_1 is not done yet and goes on."));
}

/* It waits for 20 s, then five come a second. */
static json_t *late_then_steady(int64_t ms)
{
    struct look l = {.state = "active", .selected = 300};

    if (ms < 20000) {
        l.waits_for = "endpoint_down";
        l.queued = 1;
        return job_of(&l);
    }
    l.delivered = (int)((ms - 20000) * 5 / 1000);
    l.delivered = l.delivered < 300 ? l.delivered : 300;
    l.queued = l.delivered + 2 < 300 ? l.delivered + 2 : 300;
    l.state = l.delivered == 300 ? "done" : "active";
    return job_of(&l);
}

/* The rate is that of the last seconds, not of all the time it took. */
static void test_the_rate_is_that_of_now(void **state)
{
    static char said[SAID_MAX];
    size_t seen = 0;

    (void)state;
    job_at = late_then_steady;
    assert_int_equal(follow(false, -1, said), CLI_OK);
    for (const char *at = strstr(said, "/s  delivered "); at != NULL;
         at = strstr(at + 1, "/s  delivered ")) {
        const char *number = at;

        while (number > said && number[-1] != ' ')
            number--;
        seen++;
        assert_true(strtod(number, NULL) > 4.7 && strtod(number, NULL) < 5.3);
    }
    assert_true(seen >= 5);
    assert_non_null(strstr(said, "300 of 300 (100%)"));
}

/* A restart is waited for; where nobody looks, not for ever, and with the way back. */
static void test_a_daemon_that_is_away(void **state)
{
    static char said[SAID_MAX];

    (void)state;
    job_at = down_for_a_minute;
    away_until_ms = 65000;
    assert_int_equal(follow(true, -1, said), CLI_OK);
    assert_int_equal(times_said(said, "webhookd does not answer (a restart?); waiting"), 1);
    assert_int_equal(times_said(said, "webhookd is back"), 1);
    assert_int_equal(follow(false, -1, said), CLI_LATER);
    assert_in_range(now_ms - START_MS, 35000, 35200);
    assert_non_null(strstr(said, "job_1 goes on when webhookd starts.\n"
                                 "Watch: webhookctl job watch job_1\n"));
    away_until_ms = 0;
}

static json_t *paused_by_ana(int64_t ms)
{
    json_t *job = job_of(
        &(struct look){.state = ms < 3000 ? "active" : "paused", .selected = 5, .queued = 1});

    json_object_set_new(job, "state_by",
                        json_pack("{s:s,s:s,s:s,s:n}", "action", "job.pause", "actor", "uid:7 ana",
                                  "note", "lunch", "at"));
    return job;
}

static void test_a_colleague_pauses_it(void **state)
{
    static char said[SAID_MAX];

    (void)state;
    job_at = paused_by_ana;
    assert_int_equal(follow(true, -1, said), CLI_LATER);
    assert_non_null(strstr(said, "job_1 is paused by uid:7 ana"));
    assert_non_null(strstr(said, "(lunch): what it had queued goes on"));
    assert_non_null(strstr(said, "Go on: webhookctl job resume job_1\nWatch: webhookctl job watch "
                                 "job_1\n"));
}

static json_t *over_at_once(int64_t ms)
{
    (void)ms;
    return job_of(&(struct look){.state = "done", .selected = 2, .queued = 2, .dead_again = 2});
}

static void test_what_is_over_at_once_has_no_progress(void **state)
{
    static char said[SAID_MAX];

    (void)state;
    job_at = over_at_once;
    assert_int_equal(follow(false, -1, said), CLI_NO);
    assert_null(strstr(said, "%"));
    assert_int_equal(follow(true, -1, said), CLI_NO);
    assert_null(strstr(said, "%"));
    assert_null(strstr(said, "\r"));
    assert_non_null(strstr(said, "The 2 that died again: webhookctl dlq replay --job job_1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_gives_up_where_nothing_comes),
        cmocka_unit_test(test_on_a_terminal_it_waits_on),
        cmocka_unit_test(test_no_longer_than_it_may),
        cmocka_unit_test(test_the_rate_is_that_of_now),
        cmocka_unit_test(test_a_daemon_that_is_away),
        cmocka_unit_test(test_a_colleague_pauses_it),
        cmocka_unit_test(test_what_is_over_at_once_has_no_progress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
