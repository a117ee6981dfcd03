/* engine/loop.h: timers, deferred calls, watched descriptors; libevent below. test/sim links
 * its own instead. */
#ifndef ENGINE_LOOP_H
#define ENGINE_LOOP_H

#include <stdint.h>

struct event_base;
struct loop;
struct loop_timer;
typedef void loop_fn(void *arg);

struct loop *loop_new(void); /* NULL: no memory */
void loop_free(struct loop *l);
void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);
struct event_base *loop_base(struct loop *l); /* for evhttp, curl's glue, c-ares' glue */

/* One-shot, at a point of clock_mono_ms(); setting it again moves it. */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg);
void loop_timer_at(struct loop_timer *t, int64_t mono_ms);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is fine */

/* Runs fn once, after the callbacks of this turn: nothing of ours runs (or is freed) in a library's
 * frame. */
void loop_defer(struct loop *l, loop_fn *fn, void *arg);
/* Forgets every deferred call of fn with arg: for whoever is freed while one is planned. */
void loop_defer_cancel(struct loop *l, loop_fn *fn, void *arg);

/* From any thread: fn runs once on the loop's own, among the deferred calls of a turn that begins by it.
 * Posts of one thread keep their order. Who posts keeps one under way at most (or a few). */
void loop_post(struct loop *l, loop_fn *fn, void *arg);

struct loop_watch;
struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_fn *readable, void *arg);
void loop_watch_free(struct loop_watch *w);
struct loop_watch *loop_signal_new(struct loop *l, int signum, loop_fn *fn, void *arg);

#endif
