/* engine/api_discard.c: open deliveries are discarded: how many there are, and the job
 * (engine/job_purge.c). */
#include "engine/api_impl.h"

enum { PAGE = 65536 };
#define OPEN                                                                                       \
    (FILTER_BIT(DELIVERY_PENDING) | FILTER_BIT(DELIVERY_RETRYING) | FILTER_BIT(DELIVERY_HELD))

/* The set is fixed now: what comes in later is not in it. */
static enum err_code discard_read(struct api_call *c, struct api_filter *f)
{
    enum err_code rc =
        api_filter_of_call(c, json_object_get(c->body, "filter"), API_FILTER_DELIVERIES, f);
    if (rc != OK)
        return rc;
    if (!f->narrows && !f->all)
        return api_refuse(c, 422, "filter_required", "filter",
                          "filter: empty: give ids or a filter, or \"all\": true");
    if (f->paged)
        return api_refuse(c, 422, "invalid_filter", "filter",
                          "filter: limit and cursor are for lists");
    if (f->f.states & ~OPEN)
        return api_refuse(c, 422, "invalid_filter", "state",
                          "state: only what is pending, retrying or held can be discarded (what is "
                          "in flight is one of these; for dead letters: dlq purge)");
    if (!f->f.states)
        f->f.states = OPEN;
    if (!f->f.until_ms || f->f.until_ms > c->now_ms + 1)
        f->f.until_ms = c->now_ms + 1;
    return OK;
}

static enum err_code count(struct api_call *c, const struct filter *asked, int64_t *n,
                           int64_t *sending)
{
    struct filter f = *asked;
    enum err_code rc = OK;
    f.newest_first = false;
    f.limit = PAGE;
    do {
        struct arena mem;
        struct delivery_key *keys = NULL;
        size_t found = 0;
        arena_init(&mem);
        rc = c->ops->delivery_walk(c->b, &f, PAGE, &mem, &keys, &found, &f.after_num, c->err);
        for (size_t i = 0; rc == OK && i < found; i++) {
            struct delivery d = {.num = keys[i].num, .state = DELIVERY_PENDING};
            delivery_see(c, &d);
            *sending += d.state == DELIVERY_IN_FLIGHT;
        }
        *n += (int64_t)found;
        arena_fini(&mem);
    } while (rc == OK && f.after_num != 0);
    return rc;
}

enum err_code h_discard_preview(struct api_call *c)
{
    static const char *const names[] = {"filter", "note", NULL};
    const char *note = NULL;
    struct buf *b = &c->resp->body;
    struct api_filter f;
    int64_t n = 0, sending = 0;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_note(c, &note); /* what the discard itself would refuse */
    if (rc == OK)
        rc = discard_read(c, &f);
    if (rc == OK)
        rc = count(c, &f.f, &n, &sending);
    if (rc != OK)
        return rc;
    put_open(b, NULL, '{');
    put_int(b, "count", n);
    put_int(b, "in_flight", sending);
    put_time(b, "as_of", c->now_ms);
    rc = put_unmatched(c, &f, API_FILTER_DELIVERIES);
    buf_addc(b, '}');
    c->resp->status = 200;
    return rc;
}

enum err_code h_deliveries_discard(struct api_call *c)
{
    static const char *const names[] = {"filter", "note", NULL};
    struct api_filter f;
    struct job j = {.kind = JOB_DISCARD, .state = JOB_ACTIVE};
    struct buf filter;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_note(c, &j.note);
    if (rc == OK)
        rc = discard_read(c, &f);
    if (rc != OK)
        return rc;
    buf_init(&filter, 1 << 20);
    api_filter_write(&f, NULL, &filter);
    j.filter = filter.data;
    rc = filter.failed ? fail(c->err, ERR_NOMEM, "no memory for a filter")
                       : api_job_make(c, &j, "delivery.discard");
    if (rc == OK)
        rc = api_job_made(c, &j);
    buf_fini(&filter);
    return rc;
}
