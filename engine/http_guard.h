/* engine/http_guard.h: judges the head of an HTTP request before evhttp parses it.
 *
 * evhttp 2.1.12 takes two Content-Lengths, a Content-Length beside Transfer-Encoding, and bare LF:
 * what a proxy in front reads as one request it could read as two (request smuggling, RFC
 * 9112 11.2). So a small scanner sees every byte of a head first. It judges only that; the parsing
 * stays evhttp's. One request per connection (answers say Connection: close). */
#ifndef ENGINE_HTTP_GUARD_H
#define ENGINE_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_GUARD_NAME_MAX = 24 };

struct http_guard {
    size_t line_bytes; /* of the current line so far */
    size_t head_bytes;
    bool cr;   /* the last byte was CR */
    bool over; /* the empty line was seen: what follows is body */
    bool in_name;
    size_t name_n;
    char name[HTTP_GUARD_NAME_MAX]; /* lower case */
    int lengths, encodings;
};
void http_guard_init(struct http_guard *g);
/* Feeds bytes as they arrive. NULL: nothing wrong so far; else why the request is refused. */
const char *http_guard_feed(struct http_guard *g, const void *bytes, size_t n);

#endif
