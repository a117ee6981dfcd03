/* engine/api_attempts.c: attempts, looked at: those of one delivery, whole; those of all, as lists
 * show them.
 *
 * A list over all walks the store from its end, so many rows a call: where few match, a page may be
 * short or empty and have a next_cursor all the same. end_cursor is where the store ended: who
 * follows asks for order=oldest from there, and goes on from the answer's. */
#include <string.h>

#include "engine/api_impl.h"

enum { LOOKS = 20000 }; /* rows of one call: some 20 ms */

enum err_code h_attempts_of(struct api_call *c)
{
    struct delivery d;
    struct attempt *rows = NULL;
    size_t n = 0;
    enum err_code rc = delivery_of_ref(c, &d);
    if (rc == OK)
        rc = c->ops->attempt_list(c->b, d.num, c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    put_list_begin(c);
    for (size_t i = 0; i < n; i++)
        render_attempt(&c->resp->body, &rows[i]);
    return put_list_end(c, false, 0, 0);
}

/* Whoever names one thing wants to hear that it is not there. */
static enum err_code check_id(struct api_call *c)
{
    const char *id = json_string_value(json_object_get(c->query, "id"));
    struct delivery d;
    struct event_rec e;
    int64_t num;
    if (!id)
        return OK;
    enum err_code rc = id_parse(id, "dlv", &num)
                           ? c->ops->delivery_get(c->b, num, c->mem, &d, c->err)
                           : c->ops->event_get(c->b, id, false, c->mem, &e, c->err);
    return rc == ERR_NOT_FOUND ? api_refuse(c, 404, "not_found", "id", "%s",
                                            api_nobody(c->b, API_KIND_DELIVERIES, id, c->mem))
                               : rc;
}

static enum err_code check_members(struct api_call *c)
{
    static const char *const others[] = {"cause", "state", "min_attempts"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (json_object_get(c->query, others[i]))
            return api_refuse(c, 422, "invalid_filter", others[i],
                              "%s: of deliveries; attempts are filtered by subscription, id, "
                              "event_id, type, outcome, status, since, until and job",
                              others[i]);
    return OK;
}

enum err_code h_attempts_list(struct api_call *c)
{
    struct api_filter f;
    struct attempt_page page = {0};
    char end[64];
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_ATTEMPTS, &f);
    if (rc == OK)
        rc = check_members(c);
    if (rc == OK)
        rc = check_id(c);
    if (rc == OK)
        rc = c->ops->attempt_find(c->b, &f.f, LOOKS, c->mem, &page, c->err);
    if (rc != OK)
        return rc;
    struct buf *b = &c->resp->body;
    put_open(b, NULL, '{');
    api_cursor_write(end, 0, f.f.newest_first ? page.last : page.at);
    put_str(b, "end_cursor", end);
    put_open(b, "items", '[');
    for (size_t i = 0; i < page.n; i++)
        render_attempt_found(b, &page.rows[i]);
    buf_addc(b, ']');
    put_cursor(c, page.more, 0, page.at);
    if (f.f.after_num == 0) /* said once, with the first page */
        rc = put_unmatched(c, &f, API_FILTER_DELIVERIES);
    buf_addc(b, '}');
    c->resp->status = 200;
    return rc;
}
