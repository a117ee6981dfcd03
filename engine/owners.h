/* engine/owners.h: which delivery loop has which lane.
 *
 *   a subscription is loaded or named ──▶ the loop with the fewest lanes has it, until it is deleted
 *
 * Whoever asks first, from whatever thread, decides: so no two loops ever have the same one, and of a few
 * subscriptions each loop has as many as the others. With one loop nothing is kept. */
#ifndef ENGINE_OWNERS_H
#define ENGINE_OWNERS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/quota.h"

struct owners {
    int loops;
    pthread_mutex_t mutex; /* guards what follows */
    struct owner {
        int64_t sub;
        int loop;
    } * list; /* by sub */
    size_t n, room;
    size_t lanes[QUOTA_SHARES_MAX]; /* of each loop */
};
void owners_init(struct owners *o, int loops);
void owners_fini(struct owners *o);

/* From any thread. Which loop has it; where nobody had it, one has now. */
int owners_of(struct owners *o, int64_t sub);
/* The same without giving it to anybody; -1: nobody has it. */
int owners_find(struct owners *o, int64_t sub);
/* The lane is gone; no-op where another loop has it. */
void owners_forget(struct owners *o, int64_t sub, int loop);

#endif
