/* store/backend_memory_dead.c: dead letters: list, count, look, replay, purge, restore, note.
 * (Import: backend_memory_import.c.)
 *
 * A letter lies plain in memory here: there is no file that it could be read from. */
#include "store/backend_memory.h"

#include <string.h>

#include "base/clock.h"
#include "store/dead_groups.h"

/* ---- read ---- */
static void read_dead(const struct mem_db *db, const struct dead_letter *row, bool with_payload,
                      struct arena *a, struct dead_letter *out)
{
    const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(row->delivery.num));
    struct dead_letter l = *row;
    if (!with_payload)
        l.event.payload = NULL;
    mem_read(&mem_layouts[MEM_DEAD], &l, out, a);
    out->delivery = d->d;
    out->event.num = d->d.event;
    out->delivery.event_id = out->event.id;
    out->delivery.type = out->event.type;
    out->delivery.ordering_key = out->event.ordering_key;
    out->delivery.sub_name = out->sub_name;
}

static bool matches(const struct mem_db *db, const struct filter *f, const struct dead_letter *l)
{
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(l->delivery.num));
    const struct delivery *d = &row->d;
    if (!mem_has(f->subs, f->subs_n, l->sub_num) || !mem_has(f->ids, f->ids_n, d->num))
        return false;
    if (!mem_event_matches(f, l->event.id, l->event.type) || !mem_end_matches(f, d))
        return false;
    if (f->since_ms != 0 && l->died_ms < f->since_ms)
        return false;
    if (f->until_ms != 0 && l->died_ms >= f->until_ms)
        return false;
    if (f->arrived_before != 0 && l->arrival >= f->arrived_before)
        return false;
    int64_t expires = l->event.expires_ms;
    return f->with_expired || expires == 0 || expires > clock_store_ms();
}

/* True: the letter stands behind the cursor. */
static bool behind(const struct filter *f, int64_t died_ms, int64_t num)
{
    if (f->after_ms == 0 && f->after_num == 0)
        return true;
    bool later = died_ms != f->after_ms ? died_ms > f->after_ms : num > f->after_num;
    bool same = died_ms == f->after_ms && num == f->after_num;
    return !same && later != f->newest_first;
}

enum err_code mem_dead_list(struct backend *b, const struct filter *f, struct arena *a,
                            struct dead_letter **out, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    void *found = NULL, *rows = NULL;
    size_t found_n = 0, rows_n = 0;
    struct mem_key at = {.a = INT64_MIN};
    (void)err;
    if (!f->newest_first && (f->after_ms != 0 || f->after_num != 0))
        at = (struct mem_key){.a = f->after_ms, .b = f->after_num};
    for (const struct mem_node *i = mem_index_from(db, MEM_DEAD_TIME, at);
         i != NULL && (f->newest_first || found_n < f->limit); i = i->next[0]) {
        void *l = mem_get(db, MEM_DEAD, mem_num(i->key.b));
        if (!behind(f, i->key.a, i->key.b) || !matches(db, f, l))
            continue;
        void **p = mem_push(a, &found, &found_n, sizeof(*p));
        *p = l;
    }
    void **list = found;
    for (size_t i = 0; i < found_n && rows_n < f->limit; i++)
        read_dead(db, list[f->newest_first ? found_n - 1 - i : i], false, a,
                  mem_push(a, &rows, &rows_n, sizeof(**out)));
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code mem_dead_walk(struct backend *b, const struct filter *f, size_t looks,
                            struct arena *a, struct dead_key **out, size_t *n, struct dead_key *end,
                            struct err *err)
{
    struct mem_db *db = mem_db(b);
    void *all = NULL, *rows = NULL;
    size_t all_n = 0, rows_n = 0, looked = 0;
    struct dead_key last = {0};
    bool named = f->ids_n > 0 || f->event_ids_n > 0;
    (void)err;
    for (const struct mem_node *i =
             mem_index_from(db, MEM_DEAD_TIME, (struct mem_key){.a = INT64_MIN});
         i != NULL; i = i->next[0]) {
        void **p = mem_push(a, &all, &all_n, sizeof(*p));
        *p = mem_get(db, MEM_DEAD, mem_num(i->key.b));
    }
    for (size_t i = 0; i < all_n && rows_n < f->limit && (looked < looks || named); i++) {
        const struct dead_letter *l = ((void **)all)[f->newest_first ? all_n - 1 - i : i];
        const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(l->delivery.num));
        struct dead_key key = {d->d.num, l->sub_num, l->died_ms, l->event.expires_ms,
                               d->d.job, d->d.cause, false};
        if (!behind(f, l->died_ms, d->d.num) || (f->subs_n == 1 && l->sub_num != f->subs[0]) ||
            (f->since_ms != 0 && l->died_ms < f->since_ms) ||
            (f->until_ms != 0 && l->died_ms >= f->until_ms))
            continue;
        last = ++looked == looks ? key : last;
        if (matches(db, f, l))
            *(struct dead_key *)mem_push(a, &rows, &rows_n, sizeof(key)) = key;
    }
    *out = rows;
    *n = rows_n;
    if (rows_n == f->limit && rows_n > 0)
        last = (*out)[rows_n - 1];
    *end = named && rows_n < f->limit ? (struct dead_key){0} : last;
    return OK;
}

enum err_code mem_dead_count(struct backend *b, const struct filter *f, struct dead_sums *out,
                             struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct dead_sums sums = {.arrivals = 1};
    (void)err;
    for (const struct mem_node *i = mem_from(db, MEM_DEAD, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        const struct dead_letter *l = i->row;
        if (!behind(f, l->died_ms, l->delivery.num) || !matches(db, f, l))
            continue;
        sums.count++;
        sums.payload_bytes += (int64_t)l->event.payload_bytes;
        if (l->arrival >= sums.arrivals)
            sums.arrivals = l->arrival + 1;
    }
    *out = sums;
    return OK;
}

enum err_code mem_dead_groups(struct backend *b, const struct filter *f, unsigned by,
                              struct arena *a, struct dead_group **out, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct dead_grouping g;
    struct filter whole = *f;
    whole.after_ms = whole.after_num = 0;
    dead_grouping_init(&g, by, clock_store_ms(), a);
    for (const struct mem_node *i = mem_from(db, MEM_DEAD, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        const struct dead_letter *l = i->row;
        const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(l->delivery.num));
        struct dead_facts facts = {.num = l->delivery.num,
                                   .sub = l->sub_num,
                                   .died_ms = l->died_ms,
                                   .expires_ms = l->event.expires_ms,
                                   .cause = row->d.cause,
                                   .attempts = row->d.attempts,
                                   .last_status = row->d.last_status,
                                   .last_outcome = row->d.last_outcome,
                                   .payload_bytes = (int64_t)l->event.payload_bytes,
                                   .arrival = l->arrival,
                                   .type = l->event.type,
                                   .type_n = strlen(l->event.type)};
        if (matches(db, &whole, l))
            dead_grouping_add(&g, &facts);
    }
    enum err_code code = dead_grouping_take(&g, out, n, err);
    for (size_t i = 0; code == OK && (by & DEAD_BY_SUBSCRIPTION) && i < *n; i++) {
        const struct dead_letter *l = mem_get(db, MEM_DEAD, mem_num((*out)[i].example));
        (*out)[i].sub_name = arena_copy(a, l->sub_name);
    }
    return code;
}

enum err_code mem_dead_get(struct backend *b, int64_t num, struct arena *a, struct dead_letter *out,
                           struct err *err)
{
    const struct dead_letter *l = mem_get(mem_db(b), MEM_DEAD, mem_num(num));
    if (l == NULL)
        return fail(err, ERR_NOT_FOUND, "no such dead letter");
    read_dead(mem_db(b), l, true, a, out);
    return OK;
}

/* ---- replay, purge, restore, note ---- */
static enum err_code load_dead(const struct mem_db *db, int64_t num, struct mem_delivery *out,
                               struct err *err)
{
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(num));
    if (row == NULL)
        return fail(err, ERR_STALE, "no such delivery");
    if (row->d.state != DELIVERY_DEAD)
        return fail(err, ERR_STALE, "the delivery is not dead");
    *out = *row;
    return OK;
}

/* Where the payload of a delivery that is over lies beside its event; NULL: nowhere. */
static const struct event_rec *kept_event(const struct mem_db *db, const struct delivery *d)
{
    const struct dead_letter *l = mem_get(db, MEM_DEAD, mem_num(d->num));
    const struct mem_purged *p = mem_get(db, MEM_PURGED, mem_num(d->num));
    const struct event_rec *e = l != NULL ? &l->event : p != NULL ? &p->letter.event : NULL;
    return e != NULL && e->payload != NULL ? e : NULL;
}

/* One that is over in one of these states, with its event's payload where it was before its end; for
 * sub. */
static enum err_code load_over(struct mem_db *db, int64_t num, unsigned states, int64_t sub,
                               struct mem_delivery *out, struct err *err)
{
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(num));
    if (row == NULL)
        return fail(err, ERR_STALE, "no such delivery");
    if (!(FILTER_BIT(row->d.state) & states) || (row->d.trial && row->d.state != DELIVERY_DEAD))
        return fail(err, ERR_STALE, "the delivery is %s", delivery_state_name(row->d.state));
    struct mem_delivery d = *row;
    const struct subscription *s = mem_get(db, MEM_SUB, mem_num(sub != 0 ? sub : d.d.sub));
    if (s == NULL || s->state == SUB_DELETED)
        return fail(err, ERR_INVALID, "its subscription is deleted");
    if (mem_get(db, MEM_PAYLOAD, mem_num(d.d.event)) == NULL) {
        const struct event_rec *e = kept_event(db, &d.d);
        if (e == NULL)
            return fail(err, ERR_INVALID, "its payload is gone, or was never here");
        struct mem_blob blob = {.n = e->payload_bytes, .bytes = e->payload};
        mem_put(db, MEM_PAYLOAD, mem_num(d.d.event), &blob);
    }
    *out = d;
    return OK;
}

static enum err_code open_again(struct mem_db *db, int64_t num, unsigned states,
                                const struct reopening *r, struct err *err)
{
    struct mem_delivery d;
    enum err_code code = load_over(db, num, states, 0, &d, err);
    if (code != OK)
        return code;
    d.d.state = d.d.attempts > 0 ? DELIVERY_RETRYING : DELIVERY_PENDING;
    d.d.cause = CAUSE_NONE;
    d.d.budget_start = d.d.attempts;
    d.d.budget_since_ms = r->now_ms;
    d.d.budget_max = r->budget_max;
    d.d.due_ms = r->due_ms;
    d.d.finished_ms = 0;
    d.d.job = r->job;
    d.ready = true;
    /* What has expired already is replayed on purpose; it must not expire again at once. */
    if (d.expires_ms <= r->now_ms)
        d.expires_ms = 0;
    mem_put(db, MEM_DELIVERY, mem_num(num), &d);
    mem_drop(db, MEM_DEAD, mem_num(num));
    mem_drop(db, MEM_PURGED, mem_num(num));
    return OK;
}

enum err_code mem_dead_replay(struct backend *b, int64_t num, const struct reopening *r,
                              struct err *err)
{
    return open_again(mem_db(b), num, FILTER_BIT(DELIVERY_DEAD), r, err);
}

enum err_code mem_over_resend(struct backend *b, int64_t num, const struct reopening *r,
                              struct err *err)
{
    return open_again(mem_db(b), num,
                      FILTER_BIT(DELIVERY_DELIVERED) | FILTER_BIT(DELIVERY_DISCARDED), r, err);
}

enum err_code mem_delivery_copy(struct backend *b, int64_t original, unsigned states, int64_t num,
                                int64_t sub, const struct reopening *r, struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct mem_delivery d;
    enum err_code code = load_over(db, original, states, sub, &d, err);
    if (code != OK)
        return code;
    struct mem_delivery copy = {.ready = true,
                                .expires_ms = d.expires_ms > r->now_ms ? d.expires_ms : 0,
                                .d = {.num = num,
                                      .event = d.d.event,
                                      .sub = sub,
                                      .event_id = d.d.event_id,
                                      .type = d.d.type,
                                      .ordering_key = d.d.ordering_key,
                                      .state = DELIVERY_PENDING,
                                      .budget_since_ms = r->now_ms,
                                      .due_ms = r->due_ms,
                                      .created_ms = r->now_ms,
                                      .budget_max = r->budget_max,
                                      .trial = true,
                                      .job = r->job,
                                      .original = original}};
    mem_put(db, MEM_DELIVERY, mem_num(num), &copy);
    return OK;
}

enum err_code mem_dead_purge(struct backend *b, int64_t num, int64_t job, int64_t until_ms,
                             int64_t now_ms, struct settled *out, struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct mem_delivery d;
    struct settled r = {0};
    enum err_code code = load_dead(db, num, &d, err);
    if (code != OK)
        return code;
    d.d.state = DELIVERY_DISCARDED;
    d.d.finished_ms = now_ms;
    mem_put(db, MEM_DELIVERY, mem_num(num), &d);
    if (until_ms > now_ms) {
        struct mem_purged p = {.job = job, .until_ms = until_ms};
        p.letter = *(const struct dead_letter *)mem_get(db, MEM_DEAD, mem_num(num));
        mem_put(db, MEM_PURGED, mem_num(num), &p);
    }
    mem_drop(db, MEM_DEAD, mem_num(num));
    mem_line_leave(db, &d, now_ms, &r.next_due_ms);
    if (out != NULL)
        *out = r;
    return OK;
}

/* ---- what was purged ---- */
/* The next one of that job after num that can be restored; NULL: none. */
static const struct mem_purged *next_purged(const struct mem_db *db, int64_t job, int64_t now_ms,
                                            int64_t num)
{
    for (const struct mem_node *i = mem_from(db, MEM_PURGED, mem_num(num + 1)); i != NULL;
         i = i->next[0]) {
        const struct mem_purged *p = i->row;
        if (p->job == job && p->until_ms > now_ms)
            return p;
    }
    return NULL;
}

enum err_code mem_purged_list(struct backend *b, int64_t job, int64_t now_ms, int64_t after_num,
                              size_t limit, struct arena *a, struct purged **out, size_t *n,
                              struct err *err)
{
    const struct mem_purged *p;
    void *rows = NULL;
    (void)err;
    *n = 0;
    while (*n < limit && (p = next_purged(mem_db(b), job, now_ms, after_num)) != NULL) {
        after_num = p->letter.delivery.num;
        *(struct purged *)mem_push(a, &rows, n, sizeof(**out)) =
            (struct purged){after_num, p->letter.sub_num, p->until_ms};
    }
    *out = rows;
    return OK;
}

enum err_code mem_purged_count(struct backend *b, int64_t job, int64_t now_ms, int64_t *count,
                               int64_t *payload_bytes, struct err *err)
{
    const struct mem_purged *p;
    int64_t after_num = INT64_MIN;
    (void)err;
    *count = *payload_bytes = 0;
    while ((p = next_purged(mem_db(b), job, now_ms, after_num)) != NULL) {
        after_num = p->letter.delivery.num;
        (*count)++;
        *payload_bytes += (int64_t)p->letter.event.payload_bytes;
    }
    return OK;
}

enum err_code mem_dead_restore(struct backend *b, int64_t num, int64_t now_ms, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct mem_purged *p = mem_get(db, MEM_PURGED, mem_num(num));
    const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, mem_num(num));
    if (p == NULL || p->until_ms <= now_ms || row == NULL || row->d.state != DELIVERY_DISCARDED)
        return fail(err, ERR_STALE, "it was not purged, or its grace is over");
    struct mem_delivery d = *row;
    struct dead_letter l = p->letter;
    d.d.state = DELIVERY_DEAD;
    d.d.finished_ms = l.died_ms;
    if (l.expires_ms < p->until_ms)
        l.expires_ms = p->until_ms;
    l.arrival = ++db->arrivals_ever;
    mem_put(db, MEM_DELIVERY, mem_num(num), &d);
    mem_put(db, MEM_DEAD, mem_num(num), &l);
    mem_drop(db, MEM_PURGED, mem_num(num));
    return OK;
}

enum err_code mem_dead_note(struct backend *b, int64_t num, const char *note, struct err *err)
{
    struct mem_db *db = mem_db(b);
    const struct dead_letter *l = mem_get(db, MEM_DEAD, mem_num(num));
    if (l == NULL)
        return fail(err, ERR_NOT_FOUND, "no such dead letter");
    struct dead_letter changed = *l;
    changed.note = note;
    mem_put(db, MEM_DEAD, mem_num(num), &changed);
    return OK;
}
