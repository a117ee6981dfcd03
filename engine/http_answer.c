/* engine/http_answer.c: see http_answer.h. */
#include "engine/http_answer.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <string.h>

void http_answer(struct evhttp_request *req, int status, const char *type, const void *body,
                 size_t n)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(req);
    struct evbuffer *buffer = evbuffer_new();

    if (buffer != NULL)
        (void)evbuffer_add(buffer, body, n);
    (void)evhttp_add_header(out, "Connection",
                            "close"); /* the guard judges one head per connection */
    if (type != NULL)
        (void)evhttp_add_header(out, "Content-Type", type);
    (void)evhttp_add_header(out, "Cache-Control", "no-store");
    evhttp_send_reply(req, status, NULL, buffer);
    if (buffer != NULL)
        evbuffer_free(buffer);
}

void http_answer_text(struct evhttp_request *req, int status, const char *text)
{
    http_answer(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

void http_answer_response(struct evhttp_request *req, const struct api_response *resp)
{
    struct evkeyvalq *in = evhttp_request_get_input_headers(req);
    struct evkeyvalq *out = evhttp_request_get_output_headers(req);
    const char *request_id = evhttp_find_header(in, "X-Request-ID");

    if (resp->correlation_id[0] != '\0')
        (void)evhttp_add_header(out, "X-Correlation-ID", resp->correlation_id);
    if (request_id != NULL &&
        strlen(request_id) <= 128) /* evhttp refuses values with line breaks */
        (void)evhttp_add_header(out, "X-Request-ID", request_id);
    if (resp->next_cursor[0] != '\0')
        (void)evhttp_add_header(out, "X-Next-Cursor", resp->next_cursor);
    if (resp->status == 503)
        (void)evhttp_add_header(out, "Retry-After", "1");
    http_answer(req, resp->status, resp->content_type,
                resp->body.data != NULL ? resp->body.data : "", resp->body.len);
}

void http_answer_fail(struct evhttp_request *req, int status, const char *code, const char *message)
{
    struct api_response resp;

    api_response_init(&resp);
    api_fail(&resp, status, code, NULL, message);
    http_answer_response(req, &resp);
    api_response_fini(&resp);
}
