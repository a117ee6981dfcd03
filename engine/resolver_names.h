/* engine/resolver_names.h: the names that resolver_cares.c has looked up or looks up now: a hash
 * table, and the order of their use. Not for others.
 *
 * A name that is running (in a look-up, or its answer is not handed out yet) stays; of the others
 * the one that was used longest ago makes room where there are too many. */
#ifndef ENGINE_RESOLVER_NAMES_H
#define ENGINE_RESOLVER_NAMES_H

#include "engine/resolver.h"

enum { NAMES_BUCKETS = 4096 /* a power of two */ };

struct name {
    struct name *chain;         /* in its bucket */
    struct name *older, *newer; /* by use; NULL while it runs */
    bool running;

    /* the resolver's */
    struct resolver *resolver;
    struct name *finished;
    int64_t fresh_until_ms;
    struct resolver_answer answer;
    struct resolver_query *waiting;
    char host[];
};
struct names {
    struct name *buckets[NAMES_BUCKETS];
    uint32_t seed;
    struct name *oldest, *newest;
    size_t n;
};

void names_init(struct names *names);                                 /* of zeroed memory */
struct name *names_find(const struct names *names, const char *host); /* NULL: none */
struct name *names_add(struct names *names, const char *host);        /* NULL: no memory */
void names_used(struct names *names, struct name *n);                 /* of one that does not run */
void names_running(struct names *names, struct name *n);
void names_idle(struct names *names, struct name *n); /* it runs no more */
struct name *names_take_any(struct names *names);     /* out of the table; NULL: it is empty */

#endif
