/* store/backend_memory_retain.c: what retention deletes: for each kind a question to every row of
 * one table, and what goes with it. */
#include "store/backend_memory.h"

typedef bool doomed_fn(const struct mem_db *db, const void *row, int64_t before_ms);
typedef void drop_fn(struct backend *b, struct mem_key key, int64_t before_ms);

/* ---- deliveries, then events without any ---- */
static bool has_delivery(const struct mem_db *db, int64_t event)
{
    const struct mem_node *i =
        mem_index_from(db, MEM_BY_EVENT, (struct mem_key){.a = event, .b = INT64_MIN});
    return i != NULL && i->key.a == event;
}

static bool is_over(enum delivery_state s)
{
    return s == DELIVERY_DELIVERED || s == DELIVERY_DISCARDED;
}

static bool restorable(const struct mem_db *db, int64_t num)
{
    return mem_get(db, MEM_PURGED, mem_num(num)) != NULL;
}

static bool delivery_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    const struct mem_delivery *d = row;
    return is_over(d->d.state) && d->d.finished_ms < before_ms && !restorable(db, d->d.num);
}

static void event_drop(struct backend *b, struct mem_key key, int64_t before_ms)
{
    (void)before_ms;
    mem_drop(mem_db(b), MEM_PAYLOAD, key);
    mem_drop(mem_db(b), MEM_EVENT, key);
}

static void delivery_drop(struct backend *b, struct mem_key key, int64_t before_ms)
{
    struct mem_db *db = mem_db(b);
    int64_t event = ((const struct mem_delivery *)mem_get(db, MEM_DELIVERY, key))->d.event;
    for (const struct mem_node *i;
         (i = mem_from(db, MEM_ATTEMPT, key)) != NULL && i->key.a == key.a;)
        mem_drop(db, MEM_ATTEMPT, i->key);
    struct mem_key deeds = {.a = key.a, .b = INT64_MIN, .c = INT64_MIN};
    for (const struct mem_node *i;
         (i = mem_from(db, MEM_DEED, deeds)) != NULL && i->key.a == key.a;)
        mem_drop(db, MEM_DEED, i->key);
    mem_drop(db, MEM_DELIVERY, key);
    if (has_delivery(db, event))
        mem_payload_unused(db, event);
    else
        event_drop(b, mem_num(event), before_ms);
}

static bool event_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    const struct event_rec *e = row;
    return e->accepted_ms < before_ms && !has_delivery(db, e->num);
}

/* ---- the others ---- */
static bool attempt_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    const struct attempt *x = row;
    const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(x->delivery));
    return x->started_ms < before_ms &&
           (d == NULL || (is_over(d->d.state) && !restorable(db, d->d.num)));
}

static bool dead_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    (void)db;
    return ((const struct dead_letter *)row)->expires_ms <= before_ms;
}

static void dead_drop(struct backend *b, struct mem_key key, int64_t before_ms)
{
    (void)mem_dead_purge(b, key.a, 0, 0, before_ms, NULL, NULL);
}

static bool purged_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    (void)db;
    return ((const struct mem_purged *)row)->until_ms <= before_ms;
}

static bool audit_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    (void)db;
    return ((const struct audit_entry *)row)->created_ms < before_ms;
}

static bool seen_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    (void)db;
    return ((const struct mem_seen *)row)->until_ms <= before_ms;
}

static bool secret_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    int64_t expires = ((const struct mem_secret *)row)->secret.expires_ms;
    (void)db;
    return expires != 0 && expires <= before_ms;
}

static bool traffic_doomed(const struct mem_db *db, const void *row, int64_t before_ms)
{
    const struct traffic *t = row;
    (void)db;
    return t->minute_ms < before_ms || t->minute_ms > before_ms + 2 * TRAFFIC_KEPT_MS;
}

struct rule {
    enum mem_table table;
    doomed_fn *doomed;
    drop_fn *drop; /* NULL: the row alone */
};
static const struct rule RULES[RETAINS] = {
    [RETAIN_DELIVERED] = {MEM_DELIVERY, delivery_doomed, delivery_drop},
    [RETAIN_ATTEMPTS] = {MEM_ATTEMPT, attempt_doomed, NULL},
    [RETAIN_DEAD] = {MEM_DEAD, dead_doomed, dead_drop},
    [RETAIN_PURGED] = {MEM_PURGED, purged_doomed, NULL},
    [RETAIN_AUDIT] = {MEM_AUDIT, audit_doomed, NULL},
    [RETAIN_SEEN] = {MEM_SEEN, seen_doomed, NULL},
    [RETAIN_SECRETS] = {MEM_SECRET, secret_doomed, NULL},
    [RETAIN_TRAFFIC] = {MEM_TRAFFIC, traffic_doomed, NULL},
};
static const struct rule LONELY_EVENTS = {MEM_EVENT, event_doomed, event_drop};

static size_t sweep(struct backend *b, const struct rule *r, int64_t before_ms, size_t limit)
{
    struct mem_db *db = mem_db(b);
    size_t n = 0;
    const struct mem_node *next;
    for (const struct mem_node *i = mem_from(db, r->table, (struct mem_key){.a = INT64_MIN});
         i != NULL && n < limit; i = next) {
        struct mem_key key = i->key;
        next = i->next[0]; /* what is dropped with a row lies in other tables */
        if (!r->doomed(db, i->row, before_ms))
            continue;
        if (r->drop != NULL)
            r->drop(b, key, before_ms);
        else
            mem_drop(db, r->table, key);
        n++;
    }
    return n;
}

enum err_code mem_retain(struct backend *b, enum retain_what what, int64_t before_ms, size_t limit,
                         size_t *n, struct err *err)
{
    if ((int)what < 0 || what >= RETAINS)
        return fail(err, ERR_INVALID, "no such retention");
    *n = sweep(b, &RULES[what], before_ms, limit);
    if (what == RETAIN_DELIVERED && *n < limit)
        *n += sweep(b, &LONELY_EVENTS, before_ms, limit - *n);
    return OK;
}

/* ---- looking ---- */
/* Does the row count at all? And when was it? 0: that is not told. */
static bool row_counts(enum retain_what what, const void *row, int64_t *at_ms)
{
    *at_ms = 0;
    switch (what) {
    case RETAIN_DELIVERED:
        *at_ms = ((const struct mem_delivery *)row)->d.finished_ms;
        return is_over(((const struct mem_delivery *)row)->d.state);
    case RETAIN_ATTEMPTS:
        *at_ms = ((const struct attempt *)row)->started_ms;
        return true;
    case RETAIN_DEAD:
        *at_ms = ((const struct dead_letter *)row)->died_ms;
        return true;
    case RETAIN_AUDIT:
        *at_ms = ((const struct audit_entry *)row)->created_ms;
        return true;
    case RETAIN_TRAFFIC:
        *at_ms = ((const struct traffic *)row)->minute_ms;
        return true;
    case RETAIN_SECRETS:
        return ((const struct mem_secret *)row)->secret.expires_ms != 0;
    case RETAIN_PURGED:
    case RETAIN_SEEN:
    case RETAINS:
        break;
    }
    return true;
}

enum err_code mem_retain_look(struct backend *b, enum retain_what what, int64_t before_ms,
                              int64_t budget_us, struct retain_look *out, struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)budget_us;
    *out = (struct retain_look){0};
    if ((int)what < 0 || what >= RETAINS)
        return fail(err, ERR_INVALID, "no such retention");
    for (const struct mem_node *i =
             mem_from(db, RULES[what].table, (struct mem_key){.a = INT64_MIN});
         i != NULL; i = i->next[0]) {
        int64_t at_ms;
        if (!row_counts(what, i->row, &at_ms))
            continue;
        out->rows++;
        out->due += RULES[what].doomed(db, i->row, before_ms);
        if (at_ms > 0 && (out->oldest_ms == 0 || at_ms < out->oldest_ms))
            out->oldest_ms = at_ms;
    }
    return OK;
}
