/* engine/sweep.h: what time alone brings about: retention, expiry of what is held, the end of a
 * pause (of a subscription, of egress), max_hold of a broken endpoint; and, once after the start, what a clock that was set back made
 * late.
 *
 * One slice at a time on the store thread (at most 256 rows of each kind): every few seconds while
 * the store is written to, sooner while there is more. After a round that found nothing, and nobody
 * else wrote, it sleeps until the next moment that it has read of, some minutes at most. */
#ifndef ENGINE_SWEEP_H
#define ENGINE_SWEEP_H

#include "engine/changes.h"
#include "engine/loop.h"
#include "policy/conf.h"
#include "store/store.h"

struct sweep;
struct sweep_hooks {
    void *arg;
    void (*changed)(void *arg, const struct changes *ch);
    void (*look)(void *arg, loop_fn *fn, void *fn_arg); /* runs fn once quiet() is of now */
    bool (*quiet)(void *arg); /* nothing is in flight, and nothing waits to be settled */
};
struct sweep *sweep_new(struct loop *l, struct store *store, const struct conf *conf,
                        const struct sweep_hooks *hooks); /* NULL: no memory */
/* Something ends then, in the store's time: look at once. 0: nothing does. */
void sweep_wake_at(struct sweep *w, int64_t store_ms);
/* Others changed the store, or are about to: what time brings about next may be sooner now. */
void sweep_stir(struct sweep *w);
void sweep_configure(struct sweep *w, const struct conf *conf);
void sweep_stop(struct sweep *w);
void sweep_free(struct sweep *w); /* after store_close */

/* How long what a rule of retention is about is kept; 0: each row says so itself. */
int64_t retention_of(const struct conf *c, enum retain_what what);
/* How long before now `before_ms` of retain() lies: 0 where a row knows its own end. */
int64_t retention_before(const struct conf *c, enum retain_what what);

#endif
