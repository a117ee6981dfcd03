/* engine/api_deliveries.c: deliveries and their attempts, looked at. */
#include "engine/api_impl.h"

static enum err_code list(struct api_call *c, const struct api_filter *f)
{
    struct delivery *rows = NULL;
    size_t n = 0;
    enum err_code rc = c->ops->delivery_list(c->b, &f->f, c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    buf_adds(&c->resp->body, "{\"items\":[");
    for (size_t i = 0; i < n; i++)
        render_delivery_item(&c->resp->body, &rows[i]);
    put_list_end(c, n == f->f.limit, 0, n ? rows[n - 1].num : 0);
    c->resp->status = 200;
    return OK;
}

enum err_code h_deliveries_list(struct api_call *c)
{
    struct api_filter f;
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_DELIVERIES, &f);
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
        rc = api_filter_of_call(c, c->query, API_FILTER_DELIVERIES, &f);
    return rc == OK ? list(c, &f) : rc;
}

/* An event's id stands for its delivery, where it has only one. */
static enum err_code delivery_of_event(struct api_call *c, struct delivery *d)
{
    struct filter f = {.event_id = c->ref, .limit = 2};
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

static enum err_code delivery_of_ref(struct api_call *c, struct delivery *d)
{
    int64_t num;
    enum err_code rc = id_parse(c->ref, "dlv", &num)
                           ? c->ops->delivery_get(c->b, num, c->mem, d, c->err)
                           : delivery_of_event(c, d);
    return rc == ERR_NOT_FOUND
               ? api_refuse(c, 404, "not_found", NULL, "no delivery '%.140s'", c->ref)
               : rc;
}

enum err_code h_deliveries_get(struct api_call *c)
{
    struct delivery d;
    struct attempt *log = NULL;
    struct buf *b = &c->resp->body;
    size_t n = 0;
    enum err_code rc = delivery_of_ref(c, &d);
    if (rc == OK)
        rc = c->ops->attempt_list(c->b, d.num, c->mem, &log, &n, c->err);
    if (rc != OK)
        return rc;
    render_delivery(b, NULL, &d);
    put_open(b, "attempt_log", '[');
    for (size_t i = 0; i < n; i++)
        render_attempt(b, &log[i]);
    buf_adds(b, "]}");
    c->resp->status = 200;
    return OK;
}

enum err_code h_attempts_list(struct api_call *c)
{
    struct delivery d;
    struct attempt *rows = NULL;
    size_t n = 0;
    enum err_code rc = delivery_of_ref(c, &d);
    if (rc == OK)
        rc = c->ops->attempt_list(c->b, d.num, c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    buf_adds(&c->resp->body, "{\"items\":[");
    for (size_t i = 0; i < n; i++)
        render_attempt(&c->resp->body, &rows[i]);
    put_list_end(c, false, 0, 0);
    c->resp->status = 200;
    return OK;
}
