/* engine/api_filter_ids.c: ids in a filter: of deliveries, and of events, which stand for all their
 * dead letters (or deliveries). */
#include <stdlib.h>

#include "base/id.h"
#include "engine/api_filter_impl.h"

enum { EVENT_LETTERS_MAX = 1000, UNMATCHED_MAX = 1000 };

struct nums {
    int64_t *list;
    size_t n, room;
};

static bool nums_add(struct nums *x, int64_t num)
{
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 64;
        int64_t *more = reallocarray(x->list, room, sizeof *more);
        if (!more)
            return false;
        x->list = more;
        x->room = room;
    }
    x->list[x->n++] = num;
    return true;
}

/* An event's id stands for all its dead letters (or deliveries). */
static enum err_code add_of_event(struct filter_reading *r, const char *id, struct nums *x)
{
    struct filter f = {
        .event_ids = &id, .event_ids_n = 1, .limit = EVENT_LETTERS_MAX, .with_expired = true};
    struct dead_letter *letters = NULL;
    struct delivery *deliveries = NULL;
    struct arena mem;
    size_t n = 0;
    bool room = true;
    arena_init(&mem);
    enum err_code rc = r->of == API_FILTER_DEAD
                           ? r->b->ops->dead_list(r->b, &f, &mem, &letters, &n, r->err)
                           : r->b->ops->delivery_list(r->b, &f, &mem, &deliveries, &n, r->err);
    for (size_t i = 0; rc == OK && i < n; i++)
        room = room && nums_add(x, letters ? letters[i].delivery.num : deliveries[i].num);
    arena_fini(&mem);
    return rc == OK && !room ? fail(r->err, ERR_NOMEM, "no memory for ids") : rc;
}

static enum err_code bad_id(struct filter_reading *r, const char *id)
{
    r->target = "id";
    return fail(r->err, ERR_INVALID,
                "id: '%.80s' is not the id of a delivery (dlv_…) or of an event", id);
}

static enum err_code collect_ids(struct filter_reading *r, const json_t *v, struct nums *x)
{
    for (size_t i = 0; i < filter_values_n(v); i++) {
        const char *id = filter_text_at(v, i);
        int64_t num;
        enum err_code rc = OK;
        if (id && id_parse(id, "dlv", &num))
            rc = nums_add(x, num) ? OK : fail(r->err, ERR_NOMEM, "no memory for ids");
        else if (id && id_is_event_id(id))
            rc = add_of_event(r, id, x);
        else
            rc = bad_id(r, id ? id : "");
        if (rc == OK && x->n > API_FILTER_IDS_MAX)
            rc = filter_bad(r, "id", "more than 10000 ids: use other filters, or several calls");
        if (rc != OK)
            return rc;
    }
    return OK;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

enum err_code filter_read_ids(struct filter_reading *r)
{
    const json_t *v = filter_member(r, "id");
    struct nums x = {0};
    if (!v)
        return OK;
    enum err_code rc = collect_ids(r, v, &x);
    /* Ids that match nothing must not become "no filter": 0 is nobody's number. */
    if (rc == OK && x.n == 0 && !nums_add(&x, 0))
        rc = fail(r->err, ERR_NOMEM, "no memory for ids");
    if (rc == OK) {
        qsort(x.list, x.n, sizeof *x.list, by_value);
        size_t kept = 1;
        for (size_t i = 1; i < x.n; i++)
            if (x.list[i] != x.list[kept - 1])
                x.list[kept++] = x.list[i];
        r->out->f.ids = arena_bytes(r->a, x.list, kept * sizeof *x.list);
        r->out->f.ids_n = kept;
        r->out->ids = true;
        if (!r->out->f.ids)
            rc = fail(r->err, ERR_NOMEM, "no memory for ids");
    }
    free(x.list);
    return rc;
}

/* ---- which of them are nothing here ---- */

/* states: of deliveries that are over; open ones change as they are looked at. */
static enum err_code is_here(struct api_call *c, const char *id, enum api_filter_of of,
                             unsigned states, bool *here)
{
    unsigned over = FILTER_BIT(DELIVERY_DELIVERED) | FILTER_BIT(DELIVERY_DISCARDED);
    if (of == API_FILTER_DEAD || (states & ~over))
        states = 0;
    struct filter f = {
        .event_ids = &id, .event_ids_n = 1, .states = states, .limit = 1, .with_expired = true};
    struct dead_letter *letters = NULL;
    struct delivery *deliveries = NULL, d;
    struct arena mem;
    size_t n = 0;
    int64_t num;
    enum err_code rc;
    arena_init(&mem);
    if (id_parse(id, "dlv", &num)) {
        rc = c->ops->delivery_get(c->b, num, &mem, &d, c->err);
        n = rc == OK && (of != API_FILTER_DEAD || d.state == DELIVERY_DEAD) &&
            (states == 0 || (states & FILTER_BIT(d.state)));
        rc = rc == ERR_NOT_FOUND ? OK : rc;
    } else if (of == API_FILTER_DEAD) {
        rc = c->ops->dead_list(c->b, &f, &mem, &letters, &n, c->err);
    } else {
        rc = c->ops->delivery_list(c->b, &f, &mem, &deliveries, &n, c->err);
    }
    arena_fini(&mem);
    *here = n > 0;
    return rc;
}

/* The id alone with the rest of the filter. An event's is judged where no other events are asked for. */
static enum err_code is_left_in(struct api_call *c, const struct api_filter *whole, const char *id,
                                bool *in)
{
    struct filter f = whole->f;
    struct dead_letter *rows = NULL;
    struct arena mem;
    size_t n = 0;
    int64_t num;
    bool of_event = !id_parse(id, "dlv", &num);
    if (of_event && f.event_ids_n > 0)
        return OK;
    f.ids = of_event ? NULL : &num;
    f.ids_n = of_event ? 0 : 1;
    if (of_event) {
        f.event_ids = &id;
        f.event_ids_n = 1;
    }
    f.limit = 1;
    f.after_ms = f.after_num = 0;
    arena_init(&mem);
    enum err_code rc = c->ops->dead_list(c->b, &f, &mem, &rows, &n, c->err);
    arena_fini(&mem);
    *in = n > 0;
    return rc;
}

static bool filter_has_more(const struct filter *f)
{
    return f->subs_n > 0 || f->event_ids_n > 0 || f->types_n > 0 || f->statuses_n > 0 ||
           f->causes || f->outcomes || f->since_ms || f->until_ms || f->min_attempts ||
           f->max_attempts_set || f->job;
}

enum err_code put_unmatched(struct api_call *c, const struct api_filter *f, enum api_filter_of of)
{
    const json_t *asked = c->body ? json_object_get(c->body, "filter") : c->query;
    const json_t *v = json_object_get(asked, "id");
    enum err_code rc = OK;
    if (!f->ids)
        return OK;
    put_open(&c->resp->body, "unmatched", '[');
    for (size_t i = 0, n = 0; rc == OK && n < UNMATCHED_MAX && i < filter_values_n(v); i++) {
        const char *id = filter_text_at(v, i);
        bool here = true;
        if (id)
            rc = is_here(c, id, of, f->f.states, &here);
        if (rc == OK && id && here && of == API_FILTER_DEAD && filter_has_more(&f->f))
            rc = is_left_in(c, f, id, &here);
        if (!here) {
            put_str(&c->resp->body, NULL, id);
            n++;
        }
    }
    buf_addc(&c->resp->body, ']');
    return rc;
}
