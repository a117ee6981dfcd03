/* engine/api_event_look.c: events looked at: the list, one, their types.
 *
 * The store answers a list from an index, but for "contains": payloads are opened one after the other,
 * so such a page may hold less than its limit and have a next_cursor all the same. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/api_impl.h"

enum { DELIVERIES_SHOWN_MAX = 1000, TYPES_LOOKED_MAX = 20000 };
enum { EVENT_ID_DERIVED_CHARS = 30, EVENT_IDS_SHOWN = 4 }; /* "evt_" and 26 */
enum { OPENED_MAX = 4096, OPENING_MAX_US = 200 * 1000 };

/* ---- one ---- */

/* An event by its own id, or else by a delivery's. */
enum err_code event_of_ref(struct api_call *c, bool payload, struct event_rec *e)
{
    struct delivery d;
    int64_t num;
    enum err_code rc = c->ops->event_get(c->b, c->ref, payload, c->mem, e, c->err);
    if (rc == ERR_NOT_FOUND && id_parse(c->ref, "dlv", &num)) {
        rc = c->ops->delivery_get(c->b, num, c->mem, &d, c->err);
        if (rc == OK)
            rc = c->ops->event_get(c->b, d.event_id, payload, c->mem, e, c->err);
    }
    if (rc != ERR_NOT_FOUND)
        return rc;
    bool is_short = strncmp(c->ref, "evt_", 4) == 0 && strlen(c->ref) < EVENT_ID_DERIVED_CHARS;
    return api_refuse(
        c, 404, "not_found", NULL, "%s%s", api_nobody(c->b, API_KIND_EVENT, c->ref, c->mem),
        is_short ? "; ids may be shortened at a terminal, where they are unambiguous" : "");
}

/* Once no delivery is open an event gives up its payload; each dead letter has it, sealed. */
static enum err_code payload_of_letter(struct api_call *c, const struct delivery *rows, size_t n,
                                       struct event_rec *e)
{
    struct dead_letter l;
    enum err_code rc = OK;
    for (size_t i = 0; i < n && rc == OK && !e->payload; i++) {
        if (rows[i].state != DELIVERY_DEAD)
            continue;
        rc = c->ops->dead_get(c->b, rows[i].num, c->mem, &l, c->err);
        if (rc == OK) {
            e->payload = l.event.payload;
            e->payload_bytes = l.event.payload_bytes;
        }
    }
    return rc;
}

enum err_code h_events_get(struct api_call *c)
{
    struct event_rec e = {0};
    struct delivery *rows = NULL;
    size_t n = 0;
    bool payload = api_param_true(c, "payload");
    struct filter f = {.limit = DELIVERIES_SHOWN_MAX};
    enum err_code rc = event_of_ref(c, payload, &e);
    f.event_ids = &e.id;
    f.event_ids_n = 1;
    if (rc == OK)
        rc = c->ops->delivery_list(c->b, &f, c->mem, &rows, &n, c->err);
    if (rc == OK && payload)
        rc = payload_of_letter(c, rows, n, &e);
    if (rc != OK)
        return rc;
    struct buf *b = &c->resp->body;
    render_event(b, NULL, &e);
    if (payload)
        render_payload(b, &e);
    put_open(b, "deliveries", '[');
    for (size_t i = 0; i < n; i++) {
        delivery_see(c, &rows[i]);
        render_delivery_item(b, &rows[i]);
    }
    buf_adds(b, "]}");
    c->resp->status = 200;
    return OK;
}

/* ---- the list ---- */

static enum err_code states_of(struct api_call *c, const struct event_rec *rows, size_t n,
                               int64_t (**out)[DELIVERY_STATES])
{
    int64_t *nums = arena_alloc(c->mem, (n + 1) * sizeof *nums);
    *out = arena_alloc(c->mem, (n + 1) * sizeof **out);
    if (!nums || !*out)
        return fail(c->err, ERR_NOMEM, "no memory for events");
    for (size_t i = 0; i < n; i++)
        nums[i] = rows[i].num;
    return c->ops->event_states(c->b, nums, n, *out, c->err);
}

/* How many deliveries are in which state; "matched": of them all. */
static void put_states(struct buf *b, const int64_t states[DELIVERY_STATES])
{
    int64_t all = 0;
    for (int i = 0; i < DELIVERY_STATES; i++)
        all += states[i];
    put_int(b, "matched", all);
    put_open(b, "states", '{');
    for (int i = 0; i < DELIVERY_STATES; i++)
        if (i != DELIVERY_IN_FLIGHT)
            put_int(b, delivery_state_name((enum delivery_state)i), states[i]);
    buf_addc(b, '}');
}

struct opening opening_begin(const char *text)
{
    return (struct opening){
        .text = text, .until_us = clock_mono_us() + OPENING_MAX_US, .left = OPENED_MAX};
}

bool opening_may(const struct opening *o)
{
    return o->left > 0 && clock_mono_us() < o->until_us;
}

/* What does not open holds no text that anybody could find. */
static enum err_code event_contains(struct api_call *c, const char *id, const char *text, bool *yes)
{
    struct arena mem, *own = c->mem; /* one payload at a time */
    struct filter f = {.event_ids = &id, .event_ids_n = 1, .limit = DELIVERIES_SHOWN_MAX};
    struct delivery *rows = NULL;
    struct event_rec e = {0};
    size_t n = 0;
    arena_init(&mem);
    c->mem = &mem;
    enum err_code rc = c->ops->event_get(c->b, id, true, c->mem, &e, c->err);
    if (rc == OK && !e.payload)
        rc = c->ops->delivery_list(c->b, &f, c->mem, &rows, &n, c->err);
    if (rc == OK && !e.payload)
        rc = payload_of_letter(c, rows, n, &e);
    *yes = rc == OK && e.payload && memmem(e.payload, e.payload_bytes, text, strlen(text));
    c->mem = own;
    arena_fini(&mem);
    return rc == ERR_CORRUPT || rc == ERR_DENIED || rc == ERR_NOT_FOUND ? OK : rc;
}

enum err_code opening_look(struct api_call *c, struct opening *o, const char *event_id, bool *yes)
{
    enum err_code rc = OK;
    if (o->event_id[0] == '\0' || strcmp(o->event_id, event_id) != 0) {
        o->left--;
        rc = event_contains(c, event_id, o->text, &o->found);
        text_copy(o->event_id, sizeof o->event_id, event_id);
    }
    *yes = o->found;
    return rc;
}

struct listed {
    struct event_rec *rows;
    size_t n;
    bool more;
    int64_t last; /* looked at so far */
};

static enum err_code list_containing(struct api_call *c, const struct api_filter *f,
                                     struct listed *l)
{
    struct filter page = f->f;
    struct opening o = opening_begin(f->contains);
    size_t n = 0, i = 0;
    enum err_code rc = OK;
    page.limit = API_SLICE;
    l->rows = arena_alloc(c->mem, (f->f.limit + 1) * sizeof *l->rows);
    if (!l->rows)
        return fail(c->err, ERR_NOMEM, "no memory for events");
    do {
        struct event_rec *rows = NULL;
        rc = c->ops->event_list(c->b, &page, c->mem, &rows, &n, c->err);
        for (i = 0; rc == OK && i < n && l->n < f->f.limit && opening_may(&o); i++) {
            bool yes = false;
            rc = opening_look(c, &o, rows[i].id, &yes);
            l->last = rows[i].num;
            if (yes)
                l->rows[l->n++] = rows[i];
        }
        page.after_num = l->last;
        l->more = i < n || n == page.limit;
    } while (rc == OK && l->more && i == n && l->n < f->f.limit);
    return rc;
}

static enum err_code list(struct api_call *c, const struct api_filter *f, struct listed *l)
{
    if (f->contains)
        return list_containing(c, f, l);
    enum err_code rc = c->ops->event_list(c->b, &f->f, c->mem, &l->rows, &l->n, c->err);
    l->more = l->n == f->f.limit;
    l->last = rc == OK && l->n ? l->rows[l->n - 1].num : 0;
    return rc;
}

enum err_code h_events_list(struct api_call *c)
{
    int64_t(*states)[DELIVERY_STATES] = NULL;
    struct api_filter f;
    struct listed l = {0};
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_EVENTS, &f);
    if (rc == OK && (f.ids || f.f.subs_n))
        rc = api_refuse(c, 422, "invalid_filter", f.ids ? "id" : "subscription",
                        "events are filtered by type, since, until, event_id and contains");
    if (rc == OK)
        rc = list(c, &f, &l);
    if (rc == OK)
        rc = states_of(c, l.rows, l.n, &states);
    if (rc != OK)
        return rc;
    put_list_begin(c);
    for (size_t i = 0; i < l.n; i++) {
        render_event(&c->resp->body, NULL, &l.rows[i]);
        put_states(&c->resp->body, states[i]);
        buf_addc(&c->resp->body, '}');
    }
    return put_list_end(c, l.more, 0, l.last);
}

enum err_code h_event_types(struct api_call *c)
{
    struct type_count *rows = NULL;
    struct buf *b = &c->resp->body;
    size_t n = 0;
    enum err_code rc = c->ops->event_types(c->b, TYPES_LOOKED_MAX, c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    put_list_begin(c);
    for (size_t i = 0; i < n && i < API_PAGE_MAX; i++) {
        put_open(b, NULL, '{');
        put_str(b, "type", rows[i].type);
        put_int(b, "count", rows[i].n);
        put_time(b, "first_at", rows[i].first_ms);
        put_time(b, "last_at", rows[i].last_ms);
        buf_addc(b, '}');
    }
    return put_list_end(c, false, 0, 0);
}

/* Whoever typed an id short wants to know whose beginning it is. */
enum err_code h_event_ids(struct api_call *c)
{
    const char *begin = json_string_value(json_object_get(c->query, "begin"));
    struct buf *b = &c->resp->body;
    const char **ids = NULL;
    size_t n = 0;
    if (!begin || !id_is_event_id(begin))
        return api_refuse(c, 422, "invalid_member", "begin", "begin: the first letters of an id");
    enum err_code rc = c->ops->event_ids(c->b, begin, EVENT_IDS_SHOWN, c->mem, &ids, &n, c->err);
    if (rc != OK)
        return rc;
    put_list_begin(c);
    for (size_t i = 0; i < n; i++) {
        put_open(b, NULL, '{');
        put_str(b, "id", ids[i]);
        buf_addc(b, '}');
    }
    return put_list_end(c, false, 0, 0);
}
