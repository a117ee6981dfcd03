/* test/unit/test_loop.c: deferred calls, timers, watches, signals; and the resolver on the loop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/loop.h"
#include "engine/resolver.h"

#include <cmocka.h> /* last: its fail() is a macro */

struct story {
    struct loop *loop;
    char text[256];
    int fds[2];
    struct loop_watch *watch;
    int64_t at_ms;
    int answers, wanted;
    struct resolver_answer answer;
};
struct step {
    struct story *story;
    const char *word;
    struct step *then;
    bool last;
};

static void say(struct story *s, const char *word)
{
    size_t n = strlen(s->text);

    (void)snprintf(s->text + n, sizeof(s->text) - n, "%s ", word);
}

static void stop(void *arg)
{
    struct story *s = arg;

    say(s, "stop");
    loop_stop(s->loop);
}

static void step(void *arg)
{
    struct step *p = arg;

    say(p->story, p->word);
    if (p->then != NULL)
        loop_defer(p->story->loop, step, p->then);
    if (p->last)
        loop_defer(p->story->loop, stop, p->story);
}

static void deferred_calls_run_in_order_and_new_ones_in_the_next_turn(void **state)
{
    struct story s = {.loop = loop_new()};
    struct step later = {.story = &s, .word = "later", .last = true},
                a = {.story = &s, .word = "a", .then = &later}, b = {.story = &s, .word = "b"},
                gone = {.story = &s, .word = "gone"};

    (void)state;
    loop_defer(s.loop, step, &a);
    loop_defer(s.loop, step, &gone);
    loop_defer(s.loop, step, &b);
    loop_defer_cancel(s.loop, step, &gone);
    loop_run(s.loop);
    assert_string_equal(s.text, "a b later stop ");
    loop_free(s.loop);
}

static void always_readable(void *arg)
{
    struct story *s = arg;
    char byte;

    say(s, "ready");
    if (++s->answers == 1)
        loop_defer(s->loop, stop, s);
    if (s->answers == 20) /* the end of a loop that never comes to the deferred call */
        assert_int_equal(read(s->fds[0], &byte, 1), 1);
}

static void a_peer_that_never_stops_talking_holds_up_no_deferred_call(void **state)
{
    struct story s = {.loop = loop_new()};

    (void)state;
    assert_int_equal(pipe(s.fds), 0);
    assert_int_equal(write(s.fds[1], "x", 1), 1);
    s.watch = loop_watch_new(s.loop, s.fds[0], always_readable, &s);
    struct step deferred = {.story = &s, .word = "deferred"}; /* the turn does not wait */
    loop_defer(s.loop, step, &deferred);
    loop_run(s.loop);
    assert_string_equal(s.text, "ready deferred stop ");
    loop_watch_free(s.watch);
    (void)close(s.fds[0]);
    (void)close(s.fds[1]);
    loop_free(s.loop);
}

static void note_time(void *arg)
{
    struct story *s = arg;

    s->at_ms = clock_mono_ms();
    loop_stop(s->loop);
}

static void a_timer_is_never_early_and_moves(void **state)
{
    struct story s = {.loop = loop_new()};
    struct loop_timer *t = loop_timer_new(s.loop, note_time, &s),
                      *stopped = loop_timer_new(s.loop, stop, &s),
                      *late = loop_timer_new(s.loop, stop, &s);

    (void)state;
    for (int i = 0; i < 10; i++) {
        int64_t due_ms = clock_mono_ms() + 7;

        loop_timer_at(t, due_ms + 1000);
        loop_timer_at(t, due_ms);
        loop_timer_at(stopped, due_ms - 3);
        loop_timer_stop(stopped);
        loop_timer_at(late, due_ms + 500); /* however late the machine is, its turn comes after */
        loop_run(s.loop);
        assert_true(s.at_ms >= due_ms);
        assert_string_equal(s.text, "");
    }
    loop_timer_free(late);
    loop_timer_at(t, 0); /* long past: in the next turn */
    loop_run(s.loop);
    loop_timer_at(t, INT64_MAX);
    assert_string_equal(s.text, "");
    loop_timer_free(t);
    loop_timer_free(stopped);
    loop_timer_free(NULL);
    loop_free(s.loop);
}

static void readable(void *arg)
{
    struct story *s = arg;
    char byte;

    assert_int_equal(read(s->fds[0], &byte, 1), 1);
    say(s, "read");
    loop_watch_free(s->watch); /* in its own callback */
    s->watch = NULL;
    (void)raise(SIGUSR1);
}

static void watches_and_signals(void **state)
{
    struct story s = {.loop = loop_new()};

    (void)state;
    assert_int_equal(pipe(s.fds), 0);
    s.watch = loop_watch_new(s.loop, s.fds[0], readable, &s);
    struct loop_watch *sig = loop_signal_new(s.loop, SIGUSR1, stop, &s);
    assert_int_equal(write(s.fds[1], "xy", 2), 2);
    loop_run(s.loop);
    assert_string_equal(s.text, "read stop ");
    loop_watch_free(sig);
    loop_watch_free(NULL);
    (void)close(s.fds[0]);
    (void)close(s.fds[1]);
    loop_free(s.loop);
}

/* ---- posts ---- */
enum { POSTERS = 3, POSTS = 2000 };
struct poster {
    struct loop *loop;
    int last, *left;
    struct post {
        struct poster *from;
        int n;
    } posts[POSTS];
};

static void post_arrives(void *arg)
{
    struct post *p = arg;

    assert_int_equal(p->n, p->from->last + 1); /* in their order, each once */
    p->from->last = p->n;
    if (--*p->from->left == 0)
        loop_stop(p->from->loop);
}

static void *post_all(void *arg)
{
    struct poster *from = arg;

    for (int i = 0; i < POSTS; i++) {
        from->posts[i] = (struct post){from, i + 1};
        loop_post(from->loop, post_arrives, &from->posts[i]);
    }
    return NULL;
}

/* Nothing else would ever wake it. */
static void other_threads_posts_wake_the_loop_and_keep_their_order(void **state)
{
    static struct poster posters[POSTERS];
    struct loop *l = loop_new();
    pthread_t threads[POSTERS];
    int left = POSTERS * POSTS;

    (void)state;
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = l, .left = &left};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    loop_run(l);
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(left, 0);
    loop_free(l);
}

/* ---- resolver ---- */

static void answered(void *arg, const struct resolver_answer *a)
{
    struct story *s = arg;

    s->answer = *a;
    if (++s->answers == s->wanted)
        loop_stop(s->loop);
}

static void localhost_and_impossible_names_are_answered_at_once(void **state)
{
    struct story s = {.loop = loop_new()};
    struct err err;
    struct resolver *r = resolver_new(s.loop, &err);
    struct resolver_query *q;
    struct resolver_answer now;
    char text[46], long_name[300];

    (void)state;
    assert_non_null(r);
    assert_true(resolver_ask(r, "localhost", 1000, &now, answered, &s, &q));
    assert_int_equal(now.n, 2);
    egress_addr_text(&now.addrs[0], text);
    assert_string_equal(text, "127.0.0.1");
    egress_addr_text(&now.addrs[1], text);
    assert_string_equal(text, "::1");
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_true(resolver_ask(r, long_name, 1000, &now, answered, &s, &q));
    assert_int_equal(now.n, 0);
    assert_non_null(now.error);
    resolver_free(r);
    loop_free(s.loop);
}

static void equal_questions_are_one_and_a_cancelled_one_stays_silent(void **state)
{
    struct story s = {.loop = loop_new(), .wanted = 3};
    struct err err;
    struct resolver *r = resolver_new(s.loop, &err);
    struct resolver_query *q, *cancelled;
    struct resolver_answer now;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_false(resolver_ask(r, "no.such.name.invalid", 300, &now, answered, &s, &q));
    assert_false(resolver_ask(r, "no.such.name.invalid", 300, &now, answered, &s, &cancelled));
    resolver_cancel(cancelled);
    assert_int_equal(s.answers, 0); /* never within resolver_ask */
    loop_run(s.loop);
    assert_int_equal(s.answers, 3);
    assert_int_equal(s.answer.n, 0);
    assert_non_null(s.answer.error);
    resolver_free(r);
    loop_free(s.loop);
}

static void many_names_run_at_once_and_free_ends_them(void **state)
{
    struct story s = {.loop = loop_new()};
    struct err err;
    struct resolver *r = resolver_new(s.loop, &err);
    struct resolver_query *q;
    struct resolver_answer now = {.n = 0};

    (void)state;
    for (int i = 0; i < 300; i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "n%d.invalid", i);
        assert_false(resolver_ask(r, name, 1000, &now, answered, &s, &q));
    }
    resolver_free(r);
    assert_int_equal(s.answers, 0);
    loop_free(s.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deferred_calls_run_in_order_and_new_ones_in_the_next_turn),
        cmocka_unit_test(a_peer_that_never_stops_talking_holds_up_no_deferred_call),
        cmocka_unit_test(a_timer_is_never_early_and_moves),
        cmocka_unit_test(watches_and_signals),
        cmocka_unit_test(other_threads_posts_wake_the_loop_and_keep_their_order),
        cmocka_unit_test(localhost_and_impossible_names_are_answered_at_once),
        cmocka_unit_test(equal_questions_are_one_and_a_cancelled_one_stays_silent),
        cmocka_unit_test(many_names_run_at_once_and_free_ends_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
