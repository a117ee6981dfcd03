/* engine/api_misc.c: what does not fit elsewhere: outbox rejects, the audit log. */
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"

/* ---- rejects ---- */

static void render_reject(struct buf *b, const struct reject *r, bool whole)
{
    size_t at = 0, n = r->row ? strlen(r->row) : 0;
    put_open(b, NULL, '{');
    put_id(b, "id", "rej", r->num);
    put_str(b, "outbox", r->outbox);
    put_int(b, "seq", r->seq);
    put_str(b, "reason", r->reason);
    put_time(b, "created_at", r->created_ms);
    if (whole && n && !text_json_problem(r->row, n, &at))
        put_raw(b, "row", r->row, n);
    else if (whole)
        put_null(b, "row");
    buf_addc(b, '}');
}

enum err_code h_rejects_list(struct api_call *c)
{
    struct api_page page;
    struct reject *rows = NULL;
    size_t n = 0;
    enum err_code rc = api_page_read(c, &page);
    if (rc == OK)
        rc = c->ops->reject_list(c->b, page.after_num, page.limit, c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    put_list_begin(c);
    for (size_t i = 0; i < n; i++)
        render_reject(&c->resp->body, &rows[i], false);
    return put_list_end(c, n == page.limit, 0, n ? rows[n - 1].num : 0);
}

static enum err_code reject_of_ref(struct api_call *c, struct reject *r)
{
    int64_t num;
    enum err_code rc = ERR_NOT_FOUND;
    if (id_parse(c->ref, "rej", &num))
        rc = c->ops->reject_get(c->b, num, c->mem, r, c->err);
    return rc == ERR_NOT_FOUND ? api_refuse(c, 404, "not_found", NULL, "%s",
                                            api_nobody(c->b, API_KIND_REJECT, c->ref, c->mem))
                               : rc;
}

enum err_code h_rejects_get(struct api_call *c)
{
    struct reject r;
    enum err_code rc = reject_of_ref(c, &r);
    if (rc != OK)
        return rc;
    render_reject(&c->resp->body, &r, true);
    c->resp->status = 200;
    return OK;
}

static enum err_code reject_done(struct api_call *c, const struct reject *r, const char *action)
{
    char id[ID_TEXT_MAX];
    struct buf detail;
    enum err_code rc = c->ops->reject_delete(c->b, r->num, c->err);
    if (rc != OK)
        return rc;
    buf_init(&detail, 16384);
    put_open(&detail, NULL, '{');
    put_str(&detail, "outbox", r->outbox);
    put_int(&detail, "seq", r->seq);
    put_str(&detail, "reason", r->reason);
    buf_addc(&detail, '}');
    rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                       : api_audit(c, action, id_text(id, "rej", r->num), detail.data);
    buf_fini(&detail);
    return rc;
}

enum err_code h_rejects_delete(struct api_call *c)
{
    struct reject r;
    enum err_code rc = reject_of_ref(c, &r);
    if (rc == OK)
        rc = reject_done(c, &r, "outbox_reject.purge");
    if (rc != OK)
        return rc;
    render_reject(&c->resp->body, &r, false);
    c->resp->status = 200;
    return OK;
}

static const char *member(const json_t *row, const char *name)
{
    return json_string_value(json_object_get(row, name));
}

/* The payload as bytes: text, or {"base64": …}. False: there is none, or no memory. */
static bool payload_of(const json_t *row, struct buf *out)
{
    const json_t *v = json_object_get(row, "payload");
    const char *base64 = json_string_value(json_object_get(v, "base64"));
    if (base64)
        return text_base64_decode(out, base64, strlen(base64)) && !out->failed;
    if (!json_is_string(v))
        return false;
    buf_add(out, json_string_value(v), json_string_length(v));
    return !out->failed;
}

static struct intake_limits limits_of(const struct conf *conf, const char *outbox)
{
    struct intake_limits limits = {conf->max_payload_bytes, conf->retain_dedupe_ms};
    for (size_t i = 0; i < conf->outbox_n; i++)
        if (outbox && conf->outbox[i].name && !strcmp(conf->outbox[i].name, outbox))
            limits.max_payload_bytes = conf->outbox[i].max_payload_bytes;
    return limits;
}

static enum err_code judge_again(struct api_call *c, const struct reject *r, const json_t *row,
                                 const struct buf *payload, struct intake_result *out)
{
    struct intake_event ev = {
        .id = member(row, "event_id"),
        .partner = member(row, "partner") ? member(row, "partner") : "default",
        .type = member(row, "type"),
        .payload = payload->data,
        .payload_bytes = payload->len,
        .ordering_key = member(row, "ordering_key"),
        .correlation_id = member(row, "correlation_id"),
        .source = member(row, "source"),
        .version = member(row, "version"),
        .attributes = member(row, "attributes"),
        .deliver_after_ms = json_integer_value(json_object_get(row, "deliver_after")),
        .expires_ms = json_integer_value(json_object_get(row, "expires_at")),
        .created_ms = json_integer_value(json_object_get(row, "created_at")),
        .outbox = r->outbox,
        .seq = r->seq};
    struct intake_limits limits = limits_of(c->api->conf, r->outbox);
    char text[sizeof c->err->text];
    enum err_code rc =
        intake_accept(c->api->intake, c->b, &ev, &limits, &c->resp->changes, out, c->err);
    if (rc != ERR_INVALID && rc != ERR_EXISTS)
        return rc;
    text_copy(text, sizeof text, c->err->text);
    return api_refuse(c, rc == ERR_EXISTS ? 409 : 422, "still_rejected", NULL, "%s", text);
}

/* Judged anew: a partner that was unknown may exist by now, a limit may have been raised. */
enum err_code h_rejects_retry(struct api_call *c)
{
    struct reject r;
    struct buf payload;
    struct intake_result result;
    enum err_code rc = reject_of_ref(c, &r);
    if (rc != OK)
        return rc;
    json_t *row = json_loads(r.row ? r.row : "{}", 0, NULL);
    buf_init(&payload, (size_t)64 << 20);
    if (!payload_of(row, &payload))
        rc = api_refuse(c, 422, "still_rejected", NULL, "%s",
                        r.reason ? r.reason : "the row has no payload");
    if (rc == OK)
        rc = judge_again(c, &r, row, &payload, &result);
    if (rc == OK)
        rc = reject_done(c, &r, "outbox_reject.retry");
    if (rc == OK) {
        render_accepted(&c->resp->body, &result);
        c->resp->status = 202;
    }
    json_decref(row);
    buf_fini(&payload);
    return rc;
}
