/* engine/transport.h: sends one HTTP request, reports one set of facts. Knows nothing of retries,
 * stores or lanes.
 *
 * libcurl multi_socket on the loop (transport_curl.c), names through engine/resolver.h, judged by
 * policy/egress on the resolved address, pinned, and checked again when the socket is opened.
 * test/sim links its own instead. */
#ifndef ENGINE_TRANSPORT_H
#define ENGINE_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/loop.h"
#include "policy/conf.h"
#include "store/model.h"

struct transport;

struct transport_request {
    int64_t lane;        /* connections are reused within one lane (subscription number) only */
    const char *url;     /* already accepted by url_parse at registration */
    const char *headers; /* lines "Name: value\n"; copied by transport_send() */
    const void *body;
    size_t body_bytes;                      /* stays valid until done */
    int64_t started_ms;                     /* wall: now; told in the facts */
    int64_t timeout_ms, connect_timeout_ms; /* total deadline includes the name look-up */
};
/* The facts. Pointers are valid during the callback only. */
struct transport_facts {
    enum outcome outcome;
    int status;
    bool cut;             /* by transport_cut() */
    bool literal_refused; /* BLOCKED by the URL itself, not by what a name resolved to */
    int64_t started_ms;   /* wall */
    int64_t duration_us;
    int32_t dns_us, connect_us, tls_us, wait_us, transfer_us; /* -1: did not happen */
    int64_t retry_after_ms;      /* delay parsed from Retry-After (one header only); -1: none */
    const char *address, *error; /* NULL: none */
    const char *head;
    size_t head_bytes; /* status line and headers, capped at 8 KiB */
    const void *body;
    size_t body_bytes; /* first 4 KiB */
    bool truncated;
    bool reused; /* the connection was */
};
typedef void transport_done_fn(void *arg, const struct transport_facts *facts);

/* conf is copied by reference: it must outlive the transport or be replaced with
 * transport_configure(). */
struct transport *transport_new(struct loop *l, const struct conf *conf, struct err *err);
void transport_configure(struct transport *t,
                         const struct conf *conf); /* new rules: idle connections are closed */
/* OK: done runs exactly once, from a deferred call, never from within send. ERR_NOMEM/ERR_BUSY (no
 * descriptors): it never runs. */
enum err_code transport_send(struct transport *t, const struct transport_request *r,
                             transport_done_fn *done, void *arg, struct err *err);
/* Would a request of this lane, which has others in flight, find a connection of its own, or room for one
 * more? Else another lane's, which has just been used, is closed for it: it had better wait for one of
 * its own. */
bool transport_has_connection(const struct transport *t, int64_t lane);
/* So many may be in flight at a time here, of max_in_flight: as many connections leave room for no more. */
void transport_expect(struct transport *t, size_t in_flight);
void transport_forget_lane(struct transport *t,
                           int64_t lane); /* closes its idle connections (url changed, deleted) */
/* Ends every request: where no head was complete with outcome internal and this error. done runs as ever. */
void transport_cut(struct transport *t, const char *error);
size_t transport_in_flight(const struct transport *t);
struct transport_stats {
    int64_t opened, reused;                /* connections */
    int64_t request_bytes, response_bytes; /* bodies sent; heads and bodies read */
};
void transport_stats(const struct transport *t, struct transport_stats *out);
void transport_free(struct transport *t); /* open requests are dropped, callbacks not run */

#endif
