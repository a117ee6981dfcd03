/* store/backend_memory_event.c: events come in, are looked up and listed; deliveries are
 * read. */
#include "store/backend_memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- put ---- */
static struct mem_key seen_key(const uint8_t digest[32])
{
    struct mem_key key = {0};
    memcpy(&key.a, digest, 8);
    memcpy(&key.b, digest + 8, 8);
    return key;
}

/* True: the id is known, and *out says so. */
static bool is_seen(const struct mem_db *db, const uint8_t digest[32], struct event_put_result *out)
{
    const struct mem_seen *seen = mem_get(db, MEM_SEEN, seen_key(digest));
    if (seen == NULL)
        return false;
    bool same = memcmp(seen->content, digest + 16, 16) == 0;
    out->kind = same ? EVENT_DUPLICATE : EVENT_CONFLICT;
    out->num = mem_get(db, MEM_EVENT, mem_num(seen->event)) != NULL ? seen->event : 0;
    return true;
}

static void put_delivery(struct mem_db *db, const struct event_rec *e, int64_t sub, bool in_line,
                         int64_t num)
{
    struct mem_delivery r = {.ready = true, .in_line = in_line, .expires_ms = e->expires_ms};
    struct delivery *d = &r.d;
    d->num = num;
    d->event = e->num;
    d->sub = sub;
    d->event_id = e->id;
    d->type = e->type;
    d->ordering_key = e->ordering_key;
    d->state = DELIVERY_PENDING;
    d->budget_since_ms = d->created_ms = e->accepted_ms;
    d->due_ms = e->deliver_after_ms > e->accepted_ms ? e->deliver_after_ms : e->accepted_ms;
    if (in_line) {
        struct mem_key line = {.text = e->ordering_key, .a = sub, .b = INT64_MIN};
        const struct mem_node *first = mem_index_from(db, MEM_LINE, line);
        r.ready =
            first == NULL || first->key.a != sub || strcmp(first->key.text, e->ordering_key) != 0;
    }
    mem_put(db, MEM_DELIVERY, mem_num(num), &r);
}

enum err_code mem_event_put(struct backend *b, const struct event_rec *e, const int64_t *subs,
                            const bool *ordered, size_t n, int64_t first_delivery,
                            const uint8_t digest[32], int64_t seen_until_ms,
                            struct event_put_result *out, struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)err;
    if (is_seen(db, digest, out))
        return OK;
    struct event_rec row = *e;
    struct mem_blob blob = {.n = e->payload_bytes,
                            .bytes = e->payload != NULL ? e->payload : (const void *)""};
    struct mem_seen seen = {.event = e->num, .until_ms = seen_until_ms};
    memcpy(seen.content, digest + 16, 16);
    row.payload = NULL;
    row.partner_name = NULL;
    mem_put(db, MEM_EVENT, mem_num(e->num), &row);
    mem_put(db, MEM_PAYLOAD, mem_num(e->num), &blob);
    mem_put(db, MEM_SEEN, seen_key(digest), &seen);
    const struct event_rec *kept = mem_get(db, MEM_EVENT, mem_num(e->num));
    bool can_line = e->ordering_key != NULL && e->deliver_after_ms <= e->accepted_ms;
    for (size_t i = 0; i < n; i++)
        put_delivery(db, kept, subs[i], can_line && ordered != NULL && ordered[i],
                     first_delivery + (int64_t)i);
    out->kind = EVENT_NEW;
    out->num = e->num;
    return OK;
}

/* ---- read ---- */
static void read_event(const struct mem_db *db, const struct event_rec *row, struct arena *a,
                       struct event_rec *out)
{
    struct event_rec e = *row;
    const struct partner *p = mem_get(db, MEM_PARTNER, mem_num(e.partner));
    e.partner_name = p != NULL ? p->name : NULL;
    mem_read(&mem_layouts[MEM_EVENT], &e, out, a);
}

enum err_code mem_event_get(struct backend *b, const char *id, bool with_payload, struct arena *a,
                            struct event_rec *out, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_node *i =
        mem_index_from(db, MEM_EVENT_ID, (struct mem_key){.text = id, .a = INT64_MIN});
    int64_t num = 0;
    for (; i != NULL && strcmp(i->key.text, id) == 0; i = i->next[0])
        num = i->key.a; /* the newest: an id that is no longer remembered may come again */
    const struct event_rec *row = mem_get(db, MEM_EVENT, mem_num(num));
    if (row == NULL)
        return fail(err, ERR_NOT_FOUND, "no event %.130s", id);
    read_event(db, row, a, out);
    const struct mem_blob *payload = mem_get(db, MEM_PAYLOAD, mem_num(num));
    if (with_payload && payload != NULL) {
        struct mem_blob copy;
        mem_read(&mem_layouts[MEM_PAYLOAD], payload, &copy, a);
        out->payload = copy.bytes;
    }
    return OK;
}

/* What lists of events and of deliveries have in common. */
static bool in_range(const struct filter *f, int64_t num, int64_t created_ms)
{
    if (f->since_ms != 0 && created_ms < f->since_ms)
        return false;
    if (f->until_ms != 0 && created_ms >= f->until_ms)
        return false;
    if (f->after_num == 0)
        return true;
    return f->newest_first ? num < f->after_num : num > f->after_num;
}

static bool event_matches(const struct filter *f, const struct event_rec *e)
{
    return mem_event_matches(f, e->id, e->type) && in_range(f, e->num, e->created_ms);
}

/* Rows are found in ascending order: of the newest first only the last `limit` matter, so all are
 * collected, and the end is turned round. */
static void **matching(const struct mem_db *db, enum mem_table t, const struct filter *f,
                       bool (*matches)(const struct mem_db *, const struct filter *, const void *),
                       struct arena *a, size_t *n)
{
    void *rows = NULL;
    size_t all = 0;
    for (const struct mem_node *i = mem_from(db, t, mem_num(INT64_MIN));
         i != NULL && (f->newest_first || all < f->limit); i = i->next[0]) {
        if (!matches(db, f, i->row))
            continue;
        void **p = mem_push(a, &rows, &all, sizeof(*p));
        *p = i->row;
    }
    void **list = rows;
    *n = all < f->limit ? all : f->limit;
    for (size_t lo = 0, hi = all; f->newest_first && lo + 1 < hi; lo++) {
        void *swap = list[lo];
        list[lo] = list[--hi];
        list[hi] = swap;
    }
    return list;
}

static bool match_event(const struct mem_db *db, const struct filter *f, const void *row)
{
    (void)db;
    return event_matches(f, row);
}

enum err_code mem_event_list(struct backend *b, const struct filter *f, struct arena *a,
                             struct event_rec **out, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    void *rows = NULL;
    size_t rows_n = 0, found;
    void **list = matching(db, MEM_EVENT, f, match_event, a, &found);
    (void)err;
    for (size_t i = 0; i < found; i++)
        read_event(db, list[i], a, mem_push(a, &rows, &rows_n, sizeof(**out)));
    *out = rows;
    *n = rows_n;
    return OK;
}

/* ---- deliveries ---- */
static enum delivery_state shown_state(const struct mem_db *db, const struct delivery *d)
{
    bool held = mem_is_open(d->state) && mem_held(mem_get(db, MEM_SUB, mem_num(d->sub)));
    return held ? DELIVERY_HELD : d->state;
}

void mem_read_delivery(const struct mem_db *db, const struct mem_delivery *row, struct arena *a,
                       struct delivery *out)
{
    struct delivery d = row->d;
    const struct subscription *s = mem_get(db, MEM_SUB, mem_num(d.sub));
    d.sub_name = s != NULL ? s->name : NULL;
    d.state = shown_state(db, &d);
    mem_read(&mem_layout_delivery, &d, out, a);
}

bool mem_delivery_matches(const struct mem_db *db, const struct filter *f, const void *row)
{
    const struct delivery *d = &((const struct mem_delivery *)row)->d;
    if (!mem_has(f->subs, f->subs_n, d->sub) || !mem_has(f->ids, f->ids_n, d->num))
        return false;
    if (!mem_event_matches(f, d->event_id, d->type) || !mem_end_matches(f, d))
        return false;
    if (f->states != 0 && !(f->states & FILTER_BIT(shown_state(db, d))))
        return false;
    if (f->ended_before_ms != 0 && (d->finished_ms == 0 || d->finished_ms >= f->ended_before_ms))
        return false;
    return in_range(f, d->num, d->created_ms);
}

enum err_code mem_event_states(struct backend *b, const int64_t *events, size_t n,
                               int64_t (*out)[DELIVERY_STATES], struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)err;
    memset(out, 0, n * sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        struct mem_key first = {.a = events[i], .b = INT64_MIN};
        for (const struct mem_node *k = mem_index_from(db, MEM_BY_EVENT, first);
             k != NULL && k->key.a == events[i]; k = k->next[0]) {
            const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(k->key.b));
            out[i][shown_state(db, &d->d)] += d->d.original == 0;
        }
    }
    return OK;
}

static int by_count(const void *a, const void *b)
{
    const struct type_count *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->type, y->type);
}

enum err_code mem_event_types(struct backend *b, size_t looks, struct arena *a,
                              struct type_count **out, size_t *n, struct err *err)
{
    void *rows = NULL;
    size_t rows_n = 0, all = 0, skipped = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_EVENT, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0])
        all++;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_EVENT, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        const struct event_rec *e = i->row;
        struct type_count *t = rows;
        size_t at = 0;
        if (all - skipped > looks && skipped++ < all)
            continue;
        while (at < rows_n && strcmp(t[at].type, e->type) != 0)
            at++;
        if (at == rows_n) {
            t = mem_push(a, &rows, &rows_n, sizeof(*t));
            *t = (struct type_count){arena_copy(a, e->type), 0, e->created_ms, e->created_ms};
        } else {
            t += at;
        }
        t->n++;
        t->first_ms = e->created_ms < t->first_ms ? e->created_ms : t->first_ms;
        t->last_ms = e->created_ms > t->last_ms ? e->created_ms : t->last_ms;
    }
    if (rows_n > 0)
        qsort(rows, rows_n, sizeof(**out), by_count);
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code mem_event_ids(struct backend *b, const char *begin, size_t limit, struct arena *a,
                            const char ***out, size_t *n, struct err *err)
{
    const struct mem_node *i =
        mem_index_from(mem_db(b), MEM_EVENT_ID, (struct mem_key){.text = begin, .a = INT64_MIN});
    void *rows = NULL;
    const char *last = NULL;
    (void)err;
    *n = 0;
    for (; i != NULL && *n < limit && strncmp(i->key.text, begin, strlen(begin)) == 0;
         i = i->next[0]) {
        if (last != NULL && strcmp(last, i->key.text) == 0)
            continue;
        last = i->key.text;
        const char **id = mem_push(a, &rows, n, sizeof(*id));
        *id = arena_copy(a, last);
    }
    *out = rows;
    return OK;
}

enum err_code mem_line_head(struct backend *b, int64_t num, int64_t *head, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(num));
    (void)err;
    *head = 0;
    if (d == NULL || !d->in_line)
        return OK;
    struct mem_key line = {.text = d->d.ordering_key, .a = d->d.sub, .b = INT64_MIN};
    const struct mem_node *first = mem_index_from(db, MEM_LINE, line);
    *head = first != NULL ? first->key.b : 0;
    return OK;
}

enum err_code mem_delivery_list(struct backend *b, const struct filter *f, struct arena *a,
                                struct delivery **out, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    void *rows = NULL;
    size_t rows_n = 0, found;
    void **list = matching(db, MEM_DELIVERY, f, mem_delivery_matches, a, &found);
    (void)err;
    for (size_t i = 0; i < found; i++)
        mem_read_delivery(db, list[i], a, mem_push(a, &rows, &rows_n, sizeof(**out)));
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code mem_delivery_walk(struct backend *b, const struct filter *f, size_t looks,
                                struct arena *a, struct delivery_key **out, size_t *n, int64_t *end,
                                struct err *err)
{
    struct mem_db *db = mem_db(b);
    void *rows = NULL;
    size_t rows_n = 0, looked = 0;
    bool named = f->ids_n > 0 || f->event_ids_n > 0;
    int64_t last = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(db, MEM_DELIVERY, mem_num(f->after_num + 1));
         i != NULL && rows_n < f->limit && (looked < looks || named); i = i->next[0]) {
        const struct delivery *d = &((const struct mem_delivery *)i->row)->d;
        if (f->subs_n == 1 && d->sub != f->subs[0])
            continue;
        if (++looked == looks)
            last = d->num;
        if (mem_delivery_matches(db, f, i->row))
            *(struct delivery_key *)mem_push(a, &rows, &rows_n, sizeof(**out)) =
                (struct delivery_key){d->num, d->sub};
    }
    *out = rows;
    *n = rows_n;
    *end = rows_n == f->limit && rows_n > 0 ? (*out)[rows_n - 1].num : named ? 0 : last;
    return OK;
}

enum err_code mem_delivery_get(struct backend *b, int64_t num, struct arena *a,
                               struct delivery *out, struct err *err)
{
    const struct mem_delivery *d = mem_get(mem_db(b), MEM_DELIVERY, mem_num(num));
    if (d == NULL)
        return fail(err, ERR_NOT_FOUND, "no such delivery");
    mem_read_delivery(mem_db(b), d, a, out);
    return OK;
}
