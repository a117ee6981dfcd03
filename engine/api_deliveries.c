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
        render_delivery(&c->resp->body, NULL, &rows[i]);
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

static enum err_code delivery_of_ref(struct api_call *c, struct delivery *d)
{
    int64_t num;
    enum err_code rc = ERR_NOT_FOUND;
    if (id_parse(c->ref, "dlv", &num))
        rc = c->ops->delivery_get(c->b, num, c->mem, d, c->err);
    return rc == ERR_NOT_FOUND
               ? api_refuse(c, 404, "not_found", NULL, "no delivery '%.140s'", c->ref)
               : rc;
}

enum err_code h_deliveries_get(struct api_call *c)
{
    struct delivery d;
    enum err_code rc = delivery_of_ref(c, &d);
    if (rc != OK)
        return rc;
    render_delivery(&c->resp->body, NULL, &d);
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
