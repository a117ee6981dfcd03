/* engine/routes.c: the table of routes; see routes.h. */
#include "engine/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "policy/route.h"

#define PAGE 500

struct route {
    int64_t partner, sub;
    const char *patterns;
    bool ordered;
};

void routes_init(struct routes *routes)
{
    *routes = (struct routes){0};
    arena_init(&routes->names);
}

void routes_forget(struct routes *routes)
{
    free(routes->list);
    free(routes->tenants);
    free(routes->subs);
    free(routes->ordered);
    routes->list = NULL;
    routes->tenants = NULL;
    routes->subs = NULL;
    routes->ordered = NULL;
    routes->n = routes->tenants_n = 0;
    routes->loaded = false;
    arena_fini(&routes->names);
    arena_init(&routes->names);
}

void routes_fini(struct routes *routes)
{
    routes_forget(routes);
    arena_fini(&routes->names);
}

/* ---- loading ---- */

static int by_partner(const void *a, const void *b)
{
    const struct route *x = a, *y = b;
    if (x->partner != y->partner)
        return x->partner < y->partner ? -1 : 1;
    return (x->sub > y->sub) - (x->sub < y->sub);
}

static int by_name(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum err_code load_tenants(struct routes *routes, struct backend *b, struct err *err)
{
    int64_t after = 0;
    for (;;) {
        struct partner *page = NULL;
        size_t n = 0;
        enum err_code code = b->ops->partner_list(b, after, PAGE, &routes->names, &page, &n, err);
        if (code != OK || !n)
            return code;
        struct tenant *more = reallocarray(routes->tenants, routes->tenants_n + n, sizeof *more);
        if (!more)
            return fail(err, ERR_NOMEM, "no memory for %zu partners", routes->tenants_n + n);
        routes->tenants = more;
        for (size_t i = 0; i < n; i++)
            more[routes->tenants_n++] = (struct tenant){.num = page[i].num, .name = page[i].name};
        after = page[n - 1].num;
        if (n < PAGE)
            return OK;
    }
}

static enum err_code load_subs(struct routes *routes, struct backend *b, struct err *err)
{
    int64_t after = 0;
    for (;;) {
        struct subscription *page = NULL;
        size_t n = 0;
        enum err_code code =
            b->ops->sub_list(b, after, PAGE, false, &routes->names, &page, &n, err);
        if (code != OK || !n)
            return code;
        struct route *more = reallocarray(routes->list, routes->n + n, sizeof *more);
        if (!more)
            return fail(err, ERR_NOMEM, "no memory for %zu routes", routes->n + n);
        routes->list = more;
        for (size_t i = 0; i < n; i++)
            if (page[i].state != SUB_DELETED && page[i].job == 0) /* those get copies only */
                more[routes->n++] = (struct route){.partner = page[i].partner,
                                                   .sub = page[i].num,
                                                   .patterns = page[i].patterns,
                                                   .ordered = page[i].ordered};
        after = page[n - 1].num;
        if (n < PAGE)
            return OK;
    }
}

static void index_tenants(struct routes *routes)
{
    for (size_t i = 0; i < routes->tenants_n; i++) {
        struct tenant *t = &routes->tenants[i];
        size_t low = 0, high = routes->n;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (routes->list[mid].partner < t->num)
                low = mid + 1;
            else
                high = mid;
        }
        t->range.first = low;
        while (low < routes->n && routes->list[low].partner == t->num)
            low++;
        t->range.n = low - t->range.first;
    }
}

enum err_code routes_load(struct routes *routes, struct backend *b, struct err *err)
{
    if (routes->loaded && routes->rollbacks == b->rollbacks)
        return OK;
    routes_forget(routes);
    enum err_code code = load_tenants(routes, b, err);
    if (code == OK)
        code = load_subs(routes, b, err);
    if (code == OK) {
        routes->subs = calloc(routes->n + 1, sizeof *routes->subs);
        routes->ordered = calloc(routes->n + 1, sizeof *routes->ordered);
        if (!routes->subs || !routes->ordered)
            code = fail(err, ERR_NOMEM, "no memory for %zu routes", routes->n);
    }
    if (code != OK) {
        routes_forget(routes);
        return code;
    }
    if (routes->n)
        qsort(routes->list, routes->n, sizeof *routes->list, by_partner);
    if (routes->tenants_n)
        qsort(routes->tenants, routes->tenants_n, sizeof *routes->tenants, by_name);
    index_tenants(routes);
    routes->loaded = true;
    routes->rollbacks = b->rollbacks;
    return OK;
}

const struct tenant *routes_tenant(const struct routes *routes, const char *ref)
{
    if (!routes->tenants_n)
        return NULL;
    struct tenant key = {.name = ref};
    const struct tenant *t =
        bsearch(&key, routes->tenants, routes->tenants_n, sizeof *routes->tenants, by_name);
    int64_t num = 0;
    if (t || !id_parse(ref, "par", &num))
        return t;
    for (size_t i = 0; i < routes->tenants_n; i++)
        if (routes->tenants[i].num == num)
            return &routes->tenants[i];
    return NULL;
}

struct routes_range routes_all(const struct routes *routes)
{
    return (struct routes_range){0, routes->n};
}

size_t routes_match(struct routes *routes, struct routes_range range, const char *type)
{
    size_t n = 0;
    for (size_t i = range.first; i < range.first + range.n; i++) {
        const struct route *r = &routes->list[i];
        if (!route_matches(r->patterns, type))
            continue;
        routes->subs[n] = r->sub;
        routes->ordered[n++] = r->ordered;
    }
    return n;
}
