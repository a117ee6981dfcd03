/* engine/api_request.c: see api_request.h. */
#include "engine/api_request.h"

#include <stdlib.h>
#include <string.h>

#include "base/dice.h"
#include "base/text.h"
#include "engine/message.h"

enum { RENDERED_MAX_BYTES = 64 << 20 };
#define MASKED "MASKED" /* a token must look like one */

static void put_headers(struct buf *b, const struct buf *lines)
{
    const char *at = lines->data ? lines->data : "";
    put_open(b, "headers", '[');
    while (*at) {
        size_t n = strcspn(at, "\n"), name_n = 0;
        char name[256], value[8192];
        while (name_n < n && at[name_n] != ':')
            name_n++;
        const char *v = at + name_n + (name_n < n);
        v += *v == ' ';
        size_t value_n = (size_t)(at + n - v);
        put_open(b, NULL, '[');
        put_str(b, NULL, text_copy(name, name_n < sizeof name ? name_n + 1 : sizeof name, at));
        put_str(b, NULL, text_copy(value, value_n < sizeof value ? value_n + 1 : sizeof value, v));
        buf_addc(b, ']');
        at += n + (at[n] == '\n');
    }
    buf_addc(b, ']');
}

/* false: it cannot be rendered any more. */
static bool render(const struct event_rec *e, const struct subscription *s,
                   const struct message_attempt *attempt, struct buf *body, struct buf *headers)
{
    const struct profile *p = profile_find(s->profile);

    return p && e->payload && message_render(p, e, s, attempt, body, headers, NULL) == OK;
}

static void put_request(struct api_call *c, const char *name, const char *url,
                        const struct event_rec *e, const struct subscription *s,
                        const struct message_attempt *attempt)
{
    struct buf *b = &c->resp->body;
    struct buf body, headers;
    buf_init(&body, RENDERED_MAX_BYTES);
    buf_init(&headers, 1 << 20);
    if (s && render(e, s, attempt, &body, &headers)) {
        put_open(b, name, '{');
        put_str(b, "method", "POST");
        put_str(b, "url", url);
        put_headers(b, &headers);
        put_bytes(b, "body", body.data ? body.data : "", body.len);
        put_int(b, "body_bytes", (int64_t)body.len);
        put_sha256(b, "body_sha256", body.data ? body.data : "", body.len);
        buf_addc(b, '}');
    } else {
        put_null(b, name);
    }
    buf_fini(&body);
    buf_fini(&headers);
}

void put_request_sent(struct api_call *c, const struct event_rec *e, const char *url,
                      const struct subscription *s, int n, int64_t sent_ms)
{
    struct message_attempt attempt = {.n = n, .sent_ms = sent_ms, .mask = true};
    put_request(c, "request", url, e, s, &attempt);
}

/* The names of custom headers; their values are secrets. */
static const char *headers_masked(struct api_call *c, const char *headers)
{
    json_t *all = headers ? json_loads(headers, 0, NULL) : NULL, *value;
    const char *name, *masked;
    if (!all)
        return NULL;
    json_object_foreach(all, name, value) json_object_set_new(all, name, json_string(MASKED));
    char *text = json_dumps(all, JSON_COMPACT);
    masked = arena_copy(c->mem, text ? text : "{}");
    free(text);
    json_decref(all);
    return masked;
}

void put_request_now(struct api_call *c, const struct event_rec *e, const struct subscription *s,
                     int n)
{
    struct message_attempt attempt = {.n = n, .sent_ms = c->now_ms};
    struct subscription masked = {0};
    dice_bytes(attempt.random, sizeof attempt.random);
    if (s) {
        masked = *s;
        masked.bearer = s->bearer ? MASKED : NULL;
        masked.headers = headers_masked(c, s->headers);
    }
    put_request(c, "request_now", masked.url, e, s ? &masked : NULL, &attempt);
}
