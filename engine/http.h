/* engine/http.h: HTTP in front of the api: the operators' unix socket and, on TCP, /healthz /readyz
 * /metrics. evhttp behind limits.
 *
 * Limits: header 16 KiB, body 32 MiB on the socket (API_BODY_MAX_BYTES) and 1 MiB on TCP, 256
 * connections, 128 MiB of bodies that wait for the store, total deadlines of 10 s for reading a request. Refused with 400 and
 * close before evhttp sees them: two Content-Lengths, Content-Length with Transfer-Encoding, bare LF in the head. */
#ifndef ENGINE_HTTP_H
#define ENGINE_HTTP_H

#include "base/err.h"
#include "engine/api.h"
#include "engine/loop.h"
#include "engine/metrics.h"
#include "engine/shards.h"
#include "store/store.h"

struct http;
struct http_hooks { /* all on the loop thread */
    void *arg;
    /* After a write was committed; heard runs once the answer may go out, at once or later. */
    void (*changed)(void *arg, const struct changes *ch, loop_fn *heard, void *heard_arg);
    /* Runs fn once what the four below show is of now. what: ASK_… (engine/shards.h) */
    void (*look)(void *arg, unsigned what, loop_fn *fn, void *fn_arg);
    void (*live)(void *arg, struct api_live *out);
    int64_t *(*sending)(void *arg, size_t *n);      /* api_live's; freed by http */
    void (*lanes)(void *arg, struct api_live *out); /* lanes, outboxes, …; the arrays are http's */
    void (*metrics)(
        void *arg,
        struct metrics_now *out); /* gauges that the loop knows; store counts are filled by http */
    void (*metrics_text)(void *arg, const struct metrics_now *now, struct buf *out);
    const struct conf *(*conf)(void *arg); /* the current one */
};
/* Binds both listeners (a stale socket file is replaced; mode 0660); ERR_IO names the address and
 * the fix. */
enum err_code http_new(struct http **out, struct loop *l, const struct conf *conf,
                       struct store *store, struct intake *intake, struct metrics *m,
                       const struct http_hooks *hooks, struct err *err);
/* What changes something is answered 503 from here on; who looks is still served. */
void http_drain(struct http *h);
void http_free(struct http *h); /* held requests are answered 503; before store_close */

#endif
