/* engine/api_deliveries.c: deliveries, looked at. */
#include <stdlib.h>

#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/api_request.h"
#include "engine/egress_pause.h"

/* ---- in flight: a fact of the loop's memory, laid over what the store says ---- */

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool is_sending(const struct api_call *c, int64_t num)
{
    const struct api_live *live = c->api->live;
    return live && live->sending_n > 0 &&
           bsearch(&num, live->sending, live->sending_n, sizeof num, by_number);
}

void delivery_see(const struct api_call *c, struct delivery *d)
{
    bool open =
        d->state == DELIVERY_PENDING || d->state == DELIVERY_RETRYING || d->state == DELIVERY_HELD;
    if (open && is_sending(c, d->num))
        d->state = DELIVERY_IN_FLIGHT;
}

/* The store knows none in that state: it is asked for those that are, by number. */
static enum err_code ask_by_number(struct api_call *c, struct filter *f)
{
    const struct api_live *live = c->api->live;
    size_t n = live ? live->sending_n : 0, kept = 0;
    int64_t *nums = arena_alloc(c->mem, (n + 1) * sizeof *nums);
    if (!nums)
        return fail(c->err, ERR_NOMEM, "no memory for a filter");
    for (size_t i = 0; i < n && f->ids_n == 0; i++)
        nums[kept++] = live->sending[i];
    for (size_t i = 0; i < f->ids_n && kept <= n; i++)
        if (is_sending(c, f->ids[i]))
            nums[kept++] = f->ids[i];
    if (kept == 0)
        nums[kept++] = 0; /* nobody's: an empty list would mean any */
    f->ids = nums;
    f->ids_n = kept;
    f->states = 0;
    return OK;
}

struct listing {
    const struct api_filter *wanted;
    struct filter asked; /* of the store, page by page */
    struct opening opening;
    size_t shown;
    int64_t last; /* looked at so far */
    bool more;
};

static bool is_open(const struct listing *l)
{
    const struct api_filter *f = l->wanted;
    return !f->contains || (l->shown < f->f.limit && opening_may(&l->opening));
}

/* One page of the store, without those that are in flight and not asked for, or that do not contain
 * the text. */
static enum err_code list_page(struct api_call *c, struct listing *l)
{
    unsigned states = l->wanted->f.states;
    struct delivery *rows = NULL;
    size_t n = 0, i = 0;
    enum err_code rc = c->ops->delivery_list(c->b, &l->asked, c->mem, &rows, &n, c->err);
    for (; rc == OK && i < n && is_open(l); i++) {
        bool yes = true;
        delivery_see(c, &rows[i]);
        l->last = rows[i].num;
        if (states && !(states & FILTER_BIT(rows[i].state)))
            continue;
        if (l->wanted->contains)
            rc = opening_look(c, &l->opening, rows[i].event_id ? rows[i].event_id : "", &yes);
        if (rc != OK || !yes)
            continue;
        render_delivery_item(&c->resp->body, &rows[i]);
        l->shown++;
    }
    l->asked.after_num = l->last;
    l->more = i < n || n == l->asked.limit;
    return rc;
}

static enum err_code list(struct api_call *c, const struct api_filter *f)
{
    struct listing l = {.wanted = f, .asked = f->f, .opening = opening_begin(f->contains)};
    struct filter *asked = &l.asked;
    enum err_code rc = OK;
    if (asked->states == FILTER_BIT(DELIVERY_IN_FLIGHT))
        rc = ask_by_number(c, asked);
    else if (asked->states & FILTER_BIT(DELIVERY_IN_FLIGHT)) /* what may be it; list_page() knows */
        asked->states |= FILTER_BIT(DELIVERY_PENDING) | FILTER_BIT(DELIVERY_RETRYING) |
                         FILTER_BIT(DELIVERY_HELD);
    if (f->contains)
        asked->limit = API_SLICE;
    put_list_begin(c);
    do { /* an empty page would look like the end; of payloads as many as a request may open */
        if (rc == OK)
            rc = list_page(c, &l);
        if (rc != OK)
            return rc;
    } while (l.more && (f->contains ? is_open(&l) : l.shown == 0));
    buf_addc(&c->resp->body, ']');
    put_cursor(c, l.more, 0, l.last);
    if (f->f.after_num == 0) /* said once, with the first page */
        rc = put_unmatched(c, f, API_FILTER_DELIVERIES);
    buf_addc(&c->resp->body, '}');
    c->resp->status = 200;
    return rc;
}

enum err_code h_deliveries_list(struct api_call *c)
{
    struct api_filter f;
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_LOOK_DELIVERIES, &f);
    return rc == OK ? list(c, &f) : rc;
}

enum err_code h_sub_deliveries(struct api_call *c)
{
    struct subscription s;
    struct api_filter f;
    enum err_code rc = sub_of_ref(c, &s);
    if (rc == OK && json_object_set_new(c->query, "subscription", json_string(c->ref)) != 0)
        rc = fail(c->err, ERR_NOMEM, "no memory for a filter");
    if (rc == OK)
        rc = api_filter_of_call(c, c->query, API_FILTER_LOOK_DELIVERIES, &f);
    return rc == OK ? list(c, &f) : rc;
}

/* An event's id stands for its delivery, where it has only one. */
static enum err_code delivery_of_event(struct api_call *c, struct delivery *d)
{
    struct filter f = {.event_ids = &c->ref, .event_ids_n = 1, .limit = 2};
    struct delivery *rows = NULL;
    char a[ID_TEXT_MAX], b[ID_TEXT_MAX];
    size_t n = 0;
    enum err_code rc = c->ops->delivery_list(c->b, &f, c->mem, &rows, &n, c->err);
    if (rc == OK && n > 1)
        return api_refuse(c, 409, "ambiguous", NULL,
                          "event %.140s has several deliveries, for instance %s and %s: name one "
                          "of them",
                          c->ref, id_text(a, "dlv", rows[0].num), id_text(b, "dlv", rows[1].num));
    if (rc == OK && n == 1)
        *d = rows[0];
    return rc == OK && n == 0 ? ERR_NOT_FOUND : rc;
}

enum err_code delivery_of_ref(struct api_call *c, struct delivery *d)
{
    int64_t num;
    enum err_code rc = id_parse(c->ref, "dlv", &num)
                           ? c->ops->delivery_get(c->b, num, c->mem, d, c->err)
                           : delivery_of_event(c, d);
    return rc == ERR_NOT_FOUND ? api_refuse(c, 404, "not_found", NULL, "%s",
                                            api_nobody(c->b, API_KIND_DELIVERY, c->ref, c->mem))
                               : rc;
}

static enum err_code put_waiting(struct api_call *c, const struct delivery *d)
{
    struct buf *b = &c->resp->body;
    struct delivery_wait w = {.reason = NULL};
    struct egress_pause egress;
    enum err_code rc = egress_pause_read(c->b, &egress, c->err);
    if (rc == OK && delivery_goes_on(d))
        rc = delivery_waits(c, &egress, d, &w);
    if (rc != OK)
        return rc;
    if (!w.reason) {
        put_null(b, "waiting");
        return OK;
    }
    put_open(b, "waiting", '{');
    put_time(b, "at", c->now_ms);
    put_str(b, "reason", w.reason);
    put_str(b, "reason_note", w.state_note);
    put_str(b, "behind", w.behind[0] ? w.behind : NULL);
    put_time(b, "next_attempt_at", w.until_ms);
    buf_addc(b, '}');
    return OK;
}

/* What somebody did to it, and with which job. */
static enum err_code put_deeds(struct api_call *c, const struct delivery *d)
{
    struct buf *b = &c->resp->body;
    struct deed *rows = NULL;
    size_t n = 0;
    enum err_code rc = c->ops->deed_list(c->b, d->num, c->mem, &rows, &n, c->err);
    put_open(b, "deeds", '[');
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct job j = {0};
        struct err ignored = {0};
        bool known = rows[i].job && c->ops->job_get(c->b, rows[i].job, c->mem, &j, &ignored) == OK;
        put_open(b, NULL, '{');
        put_time(b, "at", rows[i].at_ms);
        put_str(b, "kind", deed_kind_name(rows[i].kind));
        put_id(b, "job", "job", rows[i].job);
        put_str(b, "actor", known ? j.actor : rows[i].actor);
        put_str(b, "note", known ? j.note : NULL);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    return rc;
}

/* With its payload, also where only the letter has that. */
static enum err_code event_whole(struct api_call *c, const struct delivery *d, struct event_rec *e)
{
    struct dead_letter l;
    enum err_code rc = c->ops->event_get(c->b, d->event_id, true, c->mem, e, c->err);
    if (rc == OK && !e->payload && d->state == DELIVERY_DEAD) {
        rc = c->ops->dead_get(c->b, d->num, c->mem, &l, c->err); /* its own, sealed */
        if (rc == OK) {
            e->payload = l.event.payload;
            e->payload_bytes = l.event.payload_bytes;
        }
    }
    return rc;
}

static void put_event(struct api_call *c, const struct event_rec *e)
{
    render_event(&c->resp->body, "event", e);
    if (api_param_true(c, "payload"))
        render_payload(&c->resp->body, e);
    buf_addc(&c->resp->body, '}');
}

/* Of ?attempt=N, else of the last one. The URL is the one that the subscription has now: attempts do not
 * say theirs. */
static void put_request(struct api_call *c, const struct event_rec *e, const struct subscription *s,
                        const struct attempt *log, size_t n)
{
    const char *text = json_string_value(json_object_get(c->query, "attempt"));
    const struct attempt *a = n > 0 ? &log[n - 1] : NULL;
    int64_t wanted = 0;
    if (text && text_digits(text, &wanted))
        a = NULL;
    for (size_t i = 0; i < n && !a; i++)
        if (log[i].n == wanted)
            a = &log[i];
    if (a)
        put_request_sent(c, e, s->url, s->url ? s : NULL, a->n, a->started_ms);
    else
        put_null(&c->resp->body, "request");
}

enum err_code h_deliveries_get(struct api_call *c)
{
    struct delivery d;
    struct event_rec e;
    struct attempt *log = NULL;
    struct buf *b = &c->resp->body;
    size_t n = 0;
    enum err_code rc = delivery_of_ref(c, &d);
    if (rc == OK)
        rc = c->ops->attempt_list(c->b, d.num, c->mem, &log, &n, c->err);
    if (rc != OK)
        return rc;
    struct subscription s = {0};
    rc = c->ops->sub_get_num(c->b, d.sub, c->mem, &s, c->err);
    if (rc == OK || rc == ERR_NOT_FOUND)
        rc = event_whole(c, &d, &e);
    if (rc != OK)
        return rc;
    delivery_see(c, &d);
    render_delivery(b, NULL, &d);
    put_str(b, "url", s.url);
    put_event(c, &e);
    put_request(c, &e, &s, log, n);
    rc = put_waiting(c, &d);
    if (rc == OK)
        rc = put_deeds(c, &d);
    if (rc != OK)
        return rc;
    put_open(b, "attempt_log", '[');
    for (size_t i = 0; i < n; i++)
        render_attempt(b, &log[i]);
    buf_adds(b, "]}");
    c->resp->status = 200;
    return OK;
}
