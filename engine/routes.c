/* engine/routes.c: the table of routes; see routes.h.
 *
 *   list      routes by (partner, sub)
 *   wanted    one entry for each pattern of each route, by (pattern, place in list)
 *
 * So those of a partner that want a type are a few runs of `wanted`, one for each pattern that matches
 * the type, whatever the number of those that do not want it. */
#include "engine/routes.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "policy/route.h"

#define PAGE 500

struct route {
    int64_t partner, sub;
    const char *patterns;
    bool ordered;
    unsigned found; /* by the match of this number */
};
struct wanted {
    struct route_piece pattern;
    size_t route;
};

void routes_init(struct routes *routes)
{
    *routes = (struct routes){0};
    arena_init(&routes->names);
}

void routes_forget(struct routes *routes)
{
    free(routes->list);
    free(routes->wanted);
    free(routes->found);
    free(routes->tenants);
    free(routes->subs);
    free(routes->ordered);
    routes->list = NULL;
    routes->wanted = NULL;
    routes->found = NULL;
    routes->wanted_n = 0;
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

/* Many subscriptions have the same patterns: often the last one's. */
static const char *keep_patterns(struct routes *routes, const char *patterns)
{
    const char *last = routes->n > 0 ? routes->list[routes->n - 1].patterns : NULL;
    return last && !strcmp(last, patterns) ? last : arena_copy(&routes->names, patterns);
}

static enum err_code take_page(struct routes *routes, const struct subscription *page, size_t n,
                               struct err *err)
{
    struct route *more = reallocarray(routes->list, routes->n + n, sizeof *more);
    if (!more)
        return fail(err, ERR_NOMEM, "no memory for %zu routes", routes->n + n);
    routes->list = more;
    for (size_t i = 0; i < n; i++) {
        if (page[i].state == SUB_DELETED || page[i].job != 0) /* those get copies only */
            continue;
        const char *patterns = keep_patterns(routes, page[i].patterns);
        if (!patterns)
            return fail(err, ERR_NOMEM, "no memory for %zu routes", routes->n + n);
        more[routes->n++] = (struct route){.partner = page[i].partner,
                                           .sub = page[i].num,
                                           .patterns = patterns,
                                           .ordered = page[i].ordered};
    }
    return OK;
}

static enum err_code load_subs(struct routes *routes, struct backend *b, struct err *err)
{
    enum err_code code = OK;
    int64_t after = 0;
    size_t n = PAGE;
    while (code == OK && n == PAGE) {
        struct subscription *page = NULL;
        struct arena rows;
        arena_init(&rows);
        code = b->ops->sub_list(b, after, PAGE, false, &rows, &page, &n, err);
        if (code == OK && n > 0) {
            after = page[n - 1].num;
            code = take_page(routes, page, n, err);
        }
        arena_fini(&rows);
    }
    return code;
}

static int by_pattern(struct route_piece a, struct route_piece b)
{
    int order = memcmp(a.at, b.at, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int by_wanted(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    int order = by_pattern(x->pattern, y->pattern);
    return order ? order : (x->route > y->route) - (x->route < y->route);
}

static enum err_code index_patterns(struct routes *routes, struct err *err)
{
    size_t n = 0;
    struct route_piece p;
    for (size_t i = 0; i < routes->n; i++)
        for (const char *list = routes->list[i].patterns; route_piece(&list, &p);)
            n++;
    routes->wanted = calloc(n + 1, sizeof *routes->wanted);
    routes->found = calloc(routes->n + 1, sizeof *routes->found);
    if (!routes->wanted || !routes->found)
        return fail(err, ERR_NOMEM, "no memory for %zu routes", routes->n);
    for (size_t i = 0; i < routes->n; i++)
        for (const char *list = routes->list[i].patterns; route_piece(&list, &p);)
            routes->wanted[routes->wanted_n++] = (struct wanted){.pattern = p, .route = i};
    if (n > 0)
        qsort(routes->wanted, n, sizeof *routes->wanted, by_wanted);
    return OK;
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
    code = index_patterns(routes, err);
    if (code != OK) {
        routes_forget(routes);
        return code;
    }
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

/* Where the run of this pattern begins, from this place in the list on. */
static size_t run_begins(const struct routes *routes, const struct wanted *key)
{
    size_t low = 0, high = routes->wanted_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (by_wanted(&routes->wanted[mid], key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int by_place(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Those of the range that want just this pattern, and were not found yet. */
static size_t find_pattern(struct routes *routes, struct routes_range range, const char *pattern,
                           size_t n)
{
    struct wanted key = {.pattern = {pattern, strlen(pattern)}, .route = range.first};
    for (size_t i = run_begins(routes, &key); i < routes->wanted_n; i++) {
        const struct wanted *w = &routes->wanted[i];
        if (w->route >= range.first + range.n || by_pattern(w->pattern, key.pattern))
            break;
        if (routes->list[w->route].found == routes->match)
            continue;
        routes->list[w->route].found = routes->match;
        routes->found[n++] = w->route;
    }
    return n;
}

size_t routes_match(struct routes *routes, struct routes_range range, const char *type)
{
    char pattern[ROUTE_PATTERN_ROOM];
    size_t n = 0, runs = 0;
    if (++routes->match == 0) /* it came round: no old number may look like a new one */
        for (size_t i = 0; i < routes->n; i++)
            routes->list[i].found = UINT_MAX;
    for (size_t i = 0; range.n > 0 && route_pattern(type, i, pattern); i++) {
        size_t had = n;
        n = find_pattern(routes, range, pattern, n);
        runs += n > had;
    }
    if (runs > 1)
        qsort(routes->found, n, sizeof *routes->found, by_place);
    for (size_t i = 0; i < n; i++) {
        routes->subs[i] = routes->list[routes->found[i]].sub;
        routes->ordered[i] = routes->list[routes->found[i]].ordered;
    }
    return n;
}
