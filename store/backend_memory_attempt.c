/* store/backend_memory_attempt.c: attempts are put and read: those of one delivery, and of all; what
 * somebody did to a delivery. */
#include "store/backend_memory.h"

#include <string.h>

void mem_attempt_put(struct mem_db *db, const struct attempt *from, int64_t delivery, int n,
                     int64_t job)
{
    struct attempt row = *from;
    row.delivery = delivery;
    row.n = n;
    row.job = job;
    row.row = ++db->attempts_ever;
    mem_put(db, MEM_ATTEMPT, (struct mem_key){.a = delivery, .b = n}, &row);
}

enum err_code mem_attempt_list(struct backend *b, int64_t delivery, struct arena *a,
                               struct attempt **out, size_t *n, struct err *err)
{
    void *rows = NULL;
    size_t rows_n = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_ATTEMPT, mem_num(delivery));
         i != NULL && i->key.a == delivery; i = i->next[0])
        mem_read(&mem_layouts[MEM_ATTEMPT], i->row, mem_push(a, &rows, &rows_n, sizeof(**out)), a);
    *out = rows;
    *n = rows_n;
    return OK;
}

/* ---- of all ---- */
static bool is_wanted(const struct mem_db *db, const struct filter *f, const struct attempt *x)
{
    const struct mem_delivery *r = mem_get(db, MEM_DELIVERY, mem_num(x->delivery));
    if (f->outcomes != 0 && !(f->outcomes & FILTER_BIT(x->outcome)))
        return false;
    if (!mem_status_matches(f, x->status))
        return false;
    if (f->since_ms != 0 && x->started_ms < f->since_ms)
        return false;
    if ((f->until_ms != 0 && x->started_ms >= f->until_ms) || (f->job != 0 && x->job != f->job))
        return false;
    if (!mem_has(f->ids, f->ids_n, x->delivery) || !mem_has(f->subs, f->subs_n, r ? r->d.sub : 0))
        return false;
    return mem_event_matches(f, r != NULL ? r->d.event_id : "", r != NULL ? r->d.type : "");
}

static void read_found(const struct mem_db *db, const struct attempt *x, struct arena *a,
                       struct attempt_found *out)
{
    const struct mem_delivery *r = mem_get(db, MEM_DELIVERY, mem_num(x->delivery));
    struct attempt plain = *x;
    plain.response_head = NULL;
    plain.response_body = NULL;
    plain.response_body_bytes = 0;
    mem_read(&mem_layouts[MEM_ATTEMPT], &plain, &out->attempt, a);
    if (r == NULL)
        return;
    const struct subscription *s = mem_get(db, MEM_SUB, mem_num(r->d.sub));
    out->sub = r->d.sub;
    out->event_id = arena_copy(a, r->d.event_id);
    out->type = arena_copy(a, r->d.type);
    out->sub_name = s != NULL ? arena_copy(a, s->name) : NULL;
}

enum err_code mem_attempt_find(struct backend *b, const struct filter *f, size_t looks,
                               struct arena *a, struct attempt_page *out, struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct attempt_page page = {.at = f->after_num};
    void *rows = NULL, *found = NULL;
    size_t n = 0, looked = 0;
    (void)err;
    /* The set goes upwards only: all are collected, and read from the end that is asked for. */
    for (const struct mem_node *i = mem_index_from(db, MEM_STORED, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        page.last = i->key.a;
        if (f->after_num != 0 &&
            (f->newest_first ? i->key.a >= f->after_num : i->key.a <= f->after_num))
            continue;
        struct mem_key key = {.a = i->key.b, .b = i->key.c};
        const void **p = mem_push(a, &rows, &n, sizeof(*p));
        *p = mem_get(db, MEM_ATTEMPT, key);
    }
    const struct attempt *const *list = rows;
    for (; looked < n && looked < looks && page.n < f->limit; looked++) {
        const struct attempt *x = list[f->newest_first ? n - 1 - looked : looked];
        page.at = x->row;
        if (is_wanted(db, f, x))
            read_found(db, x, a, mem_push(a, &found, &page.n, sizeof(*page.rows)));
    }
    page.rows = found;
    page.more = page.n == f->limit || (looked == looks && looked > 0);
    if (!page.more && !f->newest_first)
        page.at = page.last;
    *out = page;
    return OK;
}

/* ---- what somebody did to a delivery ---- */
enum err_code mem_deed_put(struct backend *b, const struct deed *d, struct err *err)
{
    (void)err;
    mem_put(mem_db(b), MEM_DEED, (struct mem_key){.a = d->delivery, .b = d->at_ms, .c = d->kind},
            d);
    return OK;
}

enum err_code mem_deed_list(struct backend *b, int64_t delivery, struct arena *a, struct deed **out,
                            size_t *n, struct err *err)
{
    void *rows = NULL;
    size_t rows_n = 0;
    struct mem_key first = {.a = delivery, .b = INT64_MIN, .c = INT64_MIN};
    (void)err;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_DEED, first);
         i != NULL && i->key.a == delivery; i = i->next[0])
        mem_read(&mem_layouts[MEM_DEED], i->row, mem_push(a, &rows, &rows_n, sizeof(**out)), a);
    *out = rows;
    *n = rows_n;
    return OK;
}
