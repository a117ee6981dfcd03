/* engine/shards.h: all delivery loops (delivery.threads) as one. Each has the lanes of its subscriptions,
 * and its own transport, scheduler, claim reader, counts (engine/shard.h); the first one is on the
 * engine's loop, and alone where there are no others: then all of this is at once.
 *
 *   engine's loop: tell ──▶ each shard's loop      (in the order told, merged until it looks)
 *                  ask  ──▶ each answers for itself ──▶ fn, once all have; they have heard all that was
 *                                                      told before
 *
 * All functions on the engine's loop. What is looked at is of the last question that asked for it, of
 * the engine's own shard: of now. */
#ifndef ENGINE_SHARDS_H
#define ENGINE_SHARDS_H

#include "engine/api.h"
#include "engine/scheduler.h"

struct shards;
struct shards_parts {
    struct loop *loop;
    struct store *store;
    struct metrics *metrics; /* of what the engine's loop counts */
    const struct conf *conf;
    struct intake *intake;
    /* As in scheduler_parts, of all of them; on the engine's loop. */
    scheduler_fn *ready, *idle, *jobs_changed;
    void *arg;
};
enum err_code shards_new(struct shards **out, const struct shards_parts *parts, struct err *err);
/* Loads the lanes; the others' threads begin. */
enum err_code shards_start(struct shards *s, struct err *err);
/* Nothing runs any more, nobody waits for an answer: fn of each question has run, and that of a later one
 * runs at once. Before store_close. */
void shards_stop(struct shards *s);
void shards_free(struct shards *s); /* after store_close */

void shards_changed(struct shards *s, const struct changes *ch);
void shards_configure(struct shards *s, const struct conf *conf);
void shards_pause(struct shards *s, bool paused);
void shards_drain(struct shards *s);
void shards_cut(struct shards *s, const char *error); /* a constant */
void shards_died(struct shards *s, int64_t n);        /* deaths without an attempt or a lane */

/* Runs fn once all have answered; at once where there is one, and nothing to be written. */
enum {
    ASK_TRAFFIC = 1, /* what was counted of the traffic is written first */
    ASK_LANES = 2,
    ASK_SENDING = 4,
    ASK_METRICS = 8
};
void shards_ask(struct shards *s, unsigned what, loop_fn *fn, void *arg);
struct shards_now {
    struct scheduler_now lanes;
    struct transport_stats sent;
    struct traffic attempts; /* since the start */
};
void shards_look(const struct shards *s, struct shards_now *out);
bool shards_are_quiet(const struct shards *s);
int64_t shards_delivered_lately(const struct shards *s); /* in PACE_SECONDS */
/* As scheduler_lanes() and scheduler_sending(). */
struct api_lane *shards_lanes(const struct shards *s, size_t *n);
int64_t *shards_sending(const struct shards *s, size_t *n);
/* All counts; the caller frees. NULL: no memory. */
struct metrics *shards_metrics(const struct shards *s);

#endif
