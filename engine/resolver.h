/* engine/resolver.h: names to addresses, asynchronously (c-ares on the loop), bounded, cached for
 * the TTL (5 s to 5 min; failures 1 s). Look-ups of one name that run at the same time are one
 * look-up. It judges nothing. */
#ifndef ENGINE_RESOLVER_H
#define ENGINE_RESOLVER_H

#include "base/err.h"
#include "engine/loop.h"
#include "policy/egress.h"

#define RESOLVER_ADDRS_MAX 16
struct resolver;
struct resolver_query;
struct resolver_answer {
    struct egress_addr addrs[RESOLVER_ADDRS_MAX];
    size_t n;          /* 0: failed */
    const char *error; /* NULL or why */
};
/* Runs exactly once unless cancelled, from a deferred call or the c-ares frame's defer; never
 * within resolver_ask. */
typedef void resolver_done_fn(void *arg, const struct resolver_answer *a);

struct resolver *resolver_new(struct loop *l, struct err *err);
void resolver_free(struct resolver *r);
/* A fresh cache entry answers at once: returns true and fills *now. Else false, and done will run
 * (timeout_ms at most). */
bool resolver_ask(struct resolver *r, const char *host, int64_t timeout_ms,
                  struct resolver_answer *now, resolver_done_fn *done, void *arg,
                  struct resolver_query **query);
void resolver_cancel(struct resolver_query *q);

#endif
