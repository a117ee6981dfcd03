/* store/backend_memory_over.c: deliveries that are over, looked at by whoever sends them again. */
#include "store/backend_memory.h"

#include <string.h>

#include "base/clock.h"
#include "store/dead_groups.h"

static bool is_gone(const struct mem_db *db, const struct delivery *d)
{
    const struct mem_purged *p = mem_get(db, MEM_PURGED, mem_num(d->num));
    return mem_get(db, MEM_PAYLOAD, mem_num(d->event)) == NULL &&
           (p == NULL || p->letter.event.payload == NULL);
}

static bool matches(const struct mem_db *db, const struct filter *f, const struct mem_delivery *row)
{
    unsigned both = FILTER_BIT(DELIVERY_DELIVERED) | FILTER_BIT(DELIVERY_DISCARDED);
    const struct event_rec *e = mem_get(db, MEM_EVENT, mem_num(row->d.event));
    struct filter over = *f;
    over.states = f->states != 0 ? f->states & both : both;
    over.after_num = 0; /* looked at by its caller */
    return over.states != 0 && mem_delivery_matches(db, &over, row) && !row->d.trial &&
           (f->with_expired || e->expires_ms == 0 || e->expires_ms > clock_store_ms());
}

/* The next `looks` deliveries in order, of those named all; *end as the operations say it. */
static enum err_code slice(const struct mem_db *db, const struct filter *f, size_t looks,
                           struct arena *a, const struct mem_delivery ***out, size_t *n,
                           int64_t *end)
{
    void *all = NULL, *rows = NULL;
    size_t all_n = 0, looked = 0;
    bool named = f->ids_n > 0 || f->event_ids_n > 0;
    *n = 0;
    *end = 0;
    for (const struct mem_node *i = mem_from(db, MEM_DELIVERY, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0])
        *(const void **)mem_push(a, &all, &all_n, sizeof(void *)) = i->row;
    for (size_t i = 0; i < all_n && (named || looked < looks); i++) {
        const struct mem_delivery *d =
            ((const struct mem_delivery **)all)[f->newest_first ? all_n - 1 - i : i];
        bool passed = f->after_num != 0 &&
                      (f->newest_first ? d->d.num >= f->after_num : d->d.num <= f->after_num);
        if (passed || (f->subs_n == 1 && d->d.sub != f->subs[0]))
            continue;
        looked++;
        *end = !named && looked == looks ? d->d.num : 0;
        if (matches(db, f, d))
            *(const void **)mem_push(a, &rows, n, sizeof(void *)) = d;
    }
    *out = rows;
    return OK;
}

enum err_code mem_over_walk(struct backend *b, const struct filter *f, size_t looks,
                            struct arena *a, struct dead_key **out, size_t *n, struct dead_key *end,
                            struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_delivery **rows;
    struct dead_key last = {0};
    void *keys = NULL;
    size_t rows_n, keys_n = 0;
    (void)err;
    enum err_code code = slice(db, f, looks, a, &rows, &rows_n, &last.num);
    for (size_t i = 0; i < rows_n && keys_n < f->limit; i++) {
        const struct delivery *d = &rows[i]->d;
        const struct event_rec *e = mem_get(db, MEM_EVENT, mem_num(d->event));
        *(struct dead_key *)mem_push(a, &keys, &keys_n, sizeof(**out)) =
            (struct dead_key){.num = d->num,
                              .sub = d->sub,
                              .expires_ms = e->expires_ms,
                              .job = d->job,
                              .gone = is_gone(db, d),
                              .cause = d->cause};
    }
    *out = keys;
    *n = keys_n;
    *end = keys_n == f->limit ? (*out)[keys_n - 1] : last;
    return code;
}

enum err_code mem_over_groups(struct backend *b, const struct filter *f, unsigned by,
                              struct arena *a, struct dead_group **out, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_delivery **rows;
    struct dead_grouping g;
    struct filter whole = *f;
    size_t rows_n;
    int64_t end;
    whole.after_num = 0;
    (void)slice(db, &whole, SIZE_MAX, a, &rows, &rows_n, &end);
    dead_grouping_init(&g, by, clock_store_ms(), a);
    for (size_t i = 0; i < rows_n; i++) {
        const struct delivery *d = &rows[i]->d;
        const struct event_rec *e = mem_get(db, MEM_EVENT, mem_num(d->event));
        struct dead_facts facts = {.num = d->num,
                                   .sub = d->sub,
                                   .died_ms = d->created_ms,
                                   .expires_ms = e->expires_ms,
                                   .cause = d->cause,
                                   .attempts = d->attempts,
                                   .last_status = d->last_status,
                                   .last_outcome = d->last_outcome,
                                   .payload_bytes = is_gone(db, d) ? -1 : (int64_t)e->payload_bytes,
                                   .type = e->type,
                                   .type_n = strlen(e->type)};
        dead_grouping_add(&g, &facts);
    }
    return dead_grouping_take(&g, out, n, err);
}
