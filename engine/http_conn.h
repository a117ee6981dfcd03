/* engine/http_conn.h: what stands between a socket and evhttp: the guard, a total deadline, a cap
 * on connections. */
#ifndef ENGINE_HTTP_CONN_H
#define ENGINE_HTTP_CONN_H

#include <stddef.h>

#include "base/err.h"

struct event_base;
struct evhttp;
struct evhttp_request;
struct bufferevent;

/* One listener with its evhttp; connections of it are counted and guarded. */
struct http_listener;
typedef void http_listener_request_fn(struct evhttp_request *req, void *arg);

/* fd is bound, not yet listening; it belongs to the listener from here on, also on failure. */
struct http_listener *http_listener_new(struct event_base *base, int fd, size_t body_max_bytes,
                                        http_listener_request_fn *request, void *arg);
void http_listener_free(struct http_listener *l); /* its connections with it; NULL is fine */
/* The request was read completely: its read deadline ends. Returns the socket, -1: gone. */
int http_conn_request_read(struct http_listener *l, struct evhttp_request *req);

int http_bind_unix(const char *path, struct err *err);   /* -1: failed */
int http_bind_tcp(const char *address, struct err *err); /* "127.0.0.1:8420", "[::1]:8420" */

#endif
