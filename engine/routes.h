/* engine/routes.h: who wants which events: a table of the partners and of their subscriptions'
 * patterns, loaded from the store. Of the writing thread, as struct intake is.
 *
 * Routes are indexed by pattern and partner, so that an event costs what those cost that want it, without
 * an allocation and without a query. Paused and disabled subscriptions are routed to as well: they
 * hold. */
#ifndef ENGINE_ROUTES_H
#define ENGINE_ROUTES_H

#include "base/err.h"
#include "store/backend.h"

struct route;
struct wanted;
struct routes_range {
    size_t first, n;
};
struct tenant {
    int64_t num;
    const char *name;
    struct routes_range range; /* of its routes */
};
struct routes {
    bool loaded;
    int64_t rollbacks;  /* of the backend, when it was loaded */
    struct arena names; /* the strings of routes and tenants */
    struct route *list;
    size_t n;
    struct wanted *wanted; /* by pattern */
    size_t wanted_n;
    size_t *found; /* places in list */
    unsigned match;
    struct tenant *tenants; /* sorted by name */
    size_t tenants_n;
    int64_t *subs; /* what routes_match() found, n of each at most */
    bool *ordered;
};
void routes_init(struct routes *routes);
void routes_fini(struct routes *routes);
void routes_forget(struct routes *routes); /* the next load reads it anew */
/* Where it was forgotten, or a transaction was rolled back in which it may have read a subscription
 * that is not there. */
enum err_code routes_load(struct routes *routes, struct backend *b, struct err *err);
const struct tenant *routes_tenant(const struct routes *routes, const char *ref); /* NULL: none */
struct routes_range routes_all(const struct routes *routes);
/* How many of the range want this type; subs[] and ordered[] say which. */
size_t routes_match(struct routes *routes, struct routes_range range, const char *type);

#endif
