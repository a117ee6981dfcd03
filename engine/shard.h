/* engine/shard.h: one delivery loop with all that is its own. For shards.c alone.
 *
 * The first one's loop is the engine's; each other is a thread. What the engine tells one is put into its
 * orders, under their mutex; a post to its loop makes it look. Orders merge: they are no more than one
 * of each kind, however late it looks. */
#ifndef ENGINE_SHARD_H
#define ENGINE_SHARD_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/shards.h"

struct shard;
struct shard_view {
    struct shards_now now;
    bool quiet;
    struct api_lane *lanes;
    size_t lanes_n;
    int64_t *sending;
    size_t sending_n;
    struct metrics *metrics;
};
/* A question to one of them, and its answer. */
struct ticket {
    struct question *question;
    struct shard *shard;
    struct ticket *next; /* in the orders */
    unsigned what;
    struct shard_view view;
};
struct orders {
    bool posted; /* it will look */
    struct changes changes;
    struct delivery_key held[CHANGES_HELD_MAX]; /* changes.held's keys */
    const struct conf *conf;                    /* NULL: as it was */
    bool pause_told, paused, drain, cut, stop;
    const char *error; /* of cut */
    struct ticket *first, **last;
};

struct shard {
    struct shards *all;
    int n;
    struct loop *loop;
    struct store *store;
    struct loop_watch *store_watch; /* NULL of the first one: the engine has it */
    struct metrics *metrics;
    struct traffic_log *traffic;
    struct transport *transport;
    struct scheduler *scheduler;
    pthread_t thread;
    bool runs;              /* the thread does */
    bool ready, idle;       /* it said so; the engine's loop's */
    atomic_bool kicks;      /* a word about jobs is on its way to the engine's loop */
    atomic_bool woken;      /* a word about the quota is on its way to it */
    struct shard_view view; /* last answers; the engine's loop's */
    struct orders taken;    /* being followed: its loop's */
    pthread_mutex_t mutex;  /* guards orders */
    struct orders orders;
};

enum err_code shard_init(struct shard *h, struct shards *all, int n,
                         const struct scheduler_parts *parts, struct err *err);
enum err_code shard_start(struct shard *h, struct err *err);
void shard_stop(struct shard *h);
void shard_fini(struct shard *h);

/* The orders to add to, locked; shard_tell lets go, and makes the shard look where there is something. */
struct orders *shard_orders(struct shard *h);
void shard_tell(struct shard *h);

/* Answers the ticket, at once or when its traffic is written. On the shard's loop. */
void shard_asked(struct ticket *t);

/* How it is now, for the one who runs its loop; what: ASK_…. */
void shard_see(const struct shard *h, unsigned what, struct shard_view *v);
/* Takes over what was asked for; *from is empty after it. */
void shard_view_take(struct shard_view *to, struct shard_view *from, unsigned what);

/* shards.c: on the shard's loop, once it has answered. */
void shards_answered(struct ticket *t);

#endif
