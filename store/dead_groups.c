/* store/dead_groups.c: see dead_groups.h. A hash table of its own, since a sort of a million rows
 * (what SQL's GROUP BY would do) takes ten times as long as this look at each. */
#include "store/dead_groups.h"

#include <stdlib.h>
#include <string.h>

void dead_grouping_init(struct dead_grouping *g, unsigned by, int64_t now_ms, struct arena *a)
{
    *g = (struct dead_grouping){.by = by, .now_ms = now_ms, .a = a};
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

/* What the letter's group is told by; all else stays zero. The type is not copied. */
static struct dead_group key_of(const struct dead_grouping *g, const struct dead_facts *f)
{
    struct dead_group k = {.type = g->by & DEAD_BY_TYPE ? f->type : NULL};
    if (g->by & DEAD_BY_SUBSCRIPTION)
        k.sub = f->sub;
    if (g->by & DEAD_BY_CAUSE)
        k.cause = f->cause;
    if (g->by & DEAD_BY_STATUS) {
        k.tried = f->attempts > 0;
        k.last_status = f->last_status;
        k.last_outcome = k.tried ? f->last_outcome : OUTCOME_SUCCESS;
    }
    return k;
}

static uint64_t hash_of(const struct dead_group *k, size_t type_n)
{
    uint64_t h = mix(0, (uint64_t)k->sub);
    h = mix(h, (uint64_t)k->cause << 32 | (uint64_t)k->tried << 31 | (uint64_t)k->last_outcome);
    h = mix(h, (uint64_t)k->last_status);
    for (size_t i = 0; k->type != NULL && i < type_n; i++)
        h = (h ^ (unsigned char)k->type[i]) * 0x100000001b3u;
    return mix(h, 0);
}

static bool same(const struct dead_group *g, const struct dead_group *k, size_t type_n)
{
    if (g->sub != k->sub || g->cause != k->cause || g->tried != k->tried ||
        g->last_status != k->last_status || g->last_outcome != k->last_outcome)
        return false;
    return k->type == NULL || (strncmp(g->type, k->type, type_n) == 0 && g->type[type_n] == '\0');
}

/* At most half full: the slots double, and every group finds its place anew. */
static bool make_room(struct dead_grouping *g)
{
    if ((g->n + 1) * 2 > g->slots_n) {
        size_t slots_n = g->slots_n != 0 ? g->slots_n * 2 : 256;
        uint32_t *slots = calloc(slots_n, sizeof(*slots));
        if (slots == NULL)
            return false;
        for (size_t i = 0; i < g->n; i++) {
            const struct dead_group *k = &g->groups[i];
            size_t at = hash_of(k, k->type != NULL ? strlen(k->type) : 0) & (slots_n - 1);
            while (slots[at] != 0)
                at = (at + 1) & (slots_n - 1);
            slots[at] = (uint32_t)(i + 1);
        }
        free(g->slots);
        g->slots = slots;
        g->slots_n = slots_n;
    }
    if (g->n == g->room) {
        size_t room = g->room != 0 ? g->room * 2 : 64;
        struct dead_group *groups = reallocarray(g->groups, room, sizeof(*groups));
        if (groups == NULL)
            return false;
        g->groups = groups;
        g->room = room;
    }
    return true;
}

static struct dead_group *group_new(struct dead_grouping *g, const struct dead_group *key,
                                    size_t type_n)
{
    struct dead_group fresh = *key;
    if (key->type != NULL) {
        fresh.type = arena_bytes(g->a, key->type, type_n);
        if (fresh.type == NULL)
            return NULL;
    }
    g->groups[g->n] = fresh;
    return &g->groups[g->n++];
}

static struct dead_group *group_of(struct dead_grouping *g, const struct dead_facts *f)
{
    const struct dead_group key = key_of(g, f);
    g->trouble = DEAD_GROUPING_NOMEM;
    if (!make_room(g))
        return NULL;
    size_t at = hash_of(&key, f->type_n) & (g->slots_n - 1);
    for (; g->slots[at] != 0; at = (at + 1) & (g->slots_n - 1)) {
        if (same(&g->groups[g->slots[at] - 1], &key, f->type_n)) {
            g->trouble = DEAD_GROUPING_OK;
            return &g->groups[g->slots[at] - 1];
        }
    }
    if (g->n == DEAD_GROUPS_MAX) {
        g->trouble = DEAD_GROUPING_TOO_MANY;
        return NULL;
    }
    struct dead_group *fresh = group_new(g, &key, f->type_n);
    if (fresh != NULL) {
        g->trouble = DEAD_GROUPING_OK;
        g->slots[at] = (uint32_t)g->n;
    }
    return fresh;
}

void dead_grouping_add(struct dead_grouping *g, const struct dead_facts *f)
{
    if (g->trouble != DEAD_GROUPING_OK)
        return;
    struct dead_group *x = group_of(g, f);
    if (x == NULL)
        return;
    if (x->count == 0 || f->died_ms < x->first_ms)
        x->first_ms = f->died_ms;
    if (x->count == 0 || f->died_ms > x->last_ms ||
        (f->died_ms == x->last_ms && f->num > x->example)) {
        x->last_ms = f->died_ms;
        x->example = f->num;
    }
    x->count++;
    if (f->arrival >= x->arrivals)
        x->arrivals = f->arrival + 1;
    if (f->payload_bytes < 0) {
        x->gone++;
        return;
    }
    x->payload_bytes += f->payload_bytes;
    if (f->expires_ms != 0 && f->expires_ms <= g->now_ms) {
        x->expired++;
        x->expired_bytes += f->payload_bytes;
        return;
    }
    if (x->live_first_ms == 0 || f->died_ms < x->live_first_ms)
        x->live_first_ms = f->died_ms;
    if (f->died_ms > x->live_last_ms)
        x->live_last_ms = f->died_ms;
}

static int order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_count(const void *a, const void *b)
{
    const struct dead_group *x = a, *y = b;
    int rc = order(y->count, x->count);
    rc = rc != 0 ? rc : order(x->sub, y->sub);
    rc = rc != 0 ? rc : order((int)x->cause, (int)y->cause);
    rc = rc != 0 ? rc : order(x->tried, y->tried);
    rc = rc != 0 ? rc : order(x->last_status, y->last_status);
    rc = rc != 0 ? rc : order((int)x->last_outcome, (int)y->last_outcome);
    return rc != 0 || x->type == NULL ? rc : strcmp(x->type, y->type);
}

enum err_code dead_grouping_take(struct dead_grouping *g, struct dead_group **out, size_t *n,
                                 struct err *err)
{
    enum err_code code = OK;
    struct dead_group *copy = NULL;
    if (g->trouble == DEAD_GROUPING_TOO_MANY)
        code = fail(err, ERR_INVALID,
                    "more than %d groups: narrow the filter, or group by fewer things",
                    DEAD_GROUPS_MAX);
    else if (g->trouble == DEAD_GROUPING_NOMEM)
        code = fail(err, ERR_NOMEM, "no memory for groups of dead letters");
    if (code == OK && g->n > 0) {
        qsort(g->groups, g->n, sizeof(*g->groups), by_count);
        copy = arena_bytes(g->a, g->groups, g->n * sizeof(*copy));
        if (copy == NULL)
            code = fail(err, ERR_NOMEM, "no memory for groups of dead letters");
    }
    if (code == OK) {
        *out = copy;
        *n = g->n;
    }
    free(g->groups);
    free(g->slots);
    g->groups = NULL;
    g->slots = NULL;
    return code;
}
