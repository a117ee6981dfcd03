/* engine/api_answer.c: what a handler says beside its answer: the error object, an entry of the audit
 * log, a new number. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/api_impl.h"

enum { RESPONSE_MAX_BYTES = 192 << 20 };

void api_response_init(struct api_response *resp)
{
    *resp = (struct api_response){.content_type = "application/json"};
    buf_init(&resp->body, RESPONSE_MAX_BYTES);
    changes_init(&resp->changes);
}

void api_response_fini(struct api_response *resp)
{
    buf_fini(&resp->body);
    changes_fini(&resp->changes);
}

/* An array of the lines; null where there are none. */
static void put_lines(struct buf *b, const char *name, const struct buf *lines)
{
    const char *at = lines ? lines->data : NULL;
    if (!at) {
        put_null(b, name);
        return;
    }
    put_open(b, name, '[');
    while (*at) {
        size_t n = strcspn(at, "\n");
        char *line = strndup(at, n);
        put_str(b, NULL, line);
        free(line);
        at += n + (at[n] == '\n');
    }
    buf_addc(b, ']');
}

static void put_failure(struct api_response *resp, int status, const char *code, const char *target,
                        const char *message, const struct buf *lines)
{
    struct buf *b = &resp->body;
    buf_clear(b);
    resp->status = status;
    resp->content_type = "application/json";
    resp->next_cursor[0] = '\0';
    put_open(b, NULL, '{');
    put_open(b, "error", '{');
    put_str(b, "code", code);
    put_str(b, "message", message);
    put_lines(b, "details", lines);
    put_str(b, "target", target);
    put_int(b, "status", status);
    put_time(b, "timestamp", clock_wall_ms());
    put_str(b, "correlation_id", resp->correlation_id[0] ? resp->correlation_id : NULL);
    put_null(b, "documentation");
    buf_adds(b, "}}");
}

void api_fail(struct api_response *resp, int status, const char *code, const char *target,
              const char *message)
{
    put_failure(resp, status, code, target, message, NULL);
}

void api_fail_lines(struct api_response *resp, int status, const char *code, const char *message,
                    const struct buf *lines)
{
    put_failure(resp, status, code, NULL, message, lines);
}

static enum err_code code_of_status(int status)
{
    switch (status) {
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_EXISTS;
    case 503:
        return ERR_BUSY;
    default:
        return ERR_INVALID;
    }
}

enum err_code api_refuse(struct api_call *c, int status, const char *code, const char *target,
                         const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    api_fail(c->resp, status, code, target, text);
    c->refused = true;
    return fail(c->err, code_of_status(status), "%s", text);
}

int64_t api_new_num(struct api_call *c)
{
    return id_next(intake_ids(c->api->intake), c->now_ms);
}

enum err_code api_deed(struct api_call *c, int64_t delivery, enum deed_kind kind)
{
    struct deed deed = {.delivery = delivery,
                        .at_ms = c->now_ms,
                        .kind = kind,
                        .actor = c->req->actor ? c->req->actor : "unknown"};
    return c->ops->deed_put(c->b, &deed, c->err);
}

enum err_code api_audit(struct api_call *c, const char *action, const char *target,
                        const char *detail)
{
    struct audit_entry entry = {.num = api_new_num(c),
                                .actor = c->req->actor ? c->req->actor : "unknown",
                                .action = action,
                                .target = target,
                                .detail = detail,
                                .created_ms = c->now_ms};
    return c->ops->audit_put(c->b, &entry, c->err);
}
