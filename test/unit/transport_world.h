/* test/unit/transport_world.h: a transport on its loop, a peer on loopback, and requests that wait
 * for their facts. A header with code in it, because a test program is one object. */
#ifndef TEST_UNIT_TRANSPORT_WORLD_H
#define TEST_UNIT_TRANSPORT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/transport.h"
#include "test/unit/peer.h"

#include <cmocka.h> /* last: its fail() is a macro */

struct result {
    struct transport_facts f; /* its pointers are replaced by the copies below */
    char error[512], address[64];
    char head[8193], body[4097];
    int n; /* callbacks */
};
struct world {
    struct loop *loop;
    struct conf *conf;
    struct transport *t;
    struct peer *peer;
    char folder[64];
    int waiting;
    struct loop_timer *alarm;
    bool alarmed;
};
struct flight {
    struct world *w;
    struct result *r;
};

static void landed(void *arg, const struct transport_facts *f)
{
    struct flight *x = arg;
    struct result *r = x->r;

    r->f = *f;
    r->n++;
    (void)snprintf(r->error, sizeof(r->error), "%s", f->error ? f->error : "");
    (void)snprintf(r->address, sizeof(r->address), "%s", f->address ? f->address : "");
    memcpy(r->head, f->head ? f->head : "", f->head_bytes);
    r->head[f->head_bytes] = '\0';
    memcpy(r->body, f->body ? f->body : "", f->body_bytes);
    r->body[f->body_bytes] = '\0';
    if (--x->w->waiting == 0)
        loop_stop(x->w->loop);
}

static void alarmed(void *arg)
{
    struct world *w = arg;

    w->alarmed = true;
    loop_stop(w->loop);
}

static void fly(struct world *w, struct transport_request r, struct flight *x, struct result *out)
{
    struct err err = {.text = ""};

    memset(out, 0, sizeof(*out));
    *x = (struct flight){w, out};
    if (r.headers == NULL)
        r.headers = "Content-Type: application/json\nX-Empty:\nUser-Agent: test/1\n";
    if (r.body == NULL) {
        r.body = "{\"n\":1}";
        r.body_bytes = 7;
    }
    if (r.started_ms == 0)
        r.started_ms = clock_wall_ms();
    if (r.timeout_ms == 0)
        r.timeout_ms = 5000;
    if (r.connect_timeout_ms == 0)
        r.connect_timeout_ms = 3000;
    assert_int_equal(transport_send(w->t, &r, landed, x, &err), OK);
    assert_int_equal(out->n, 0); /* never within send */
    w->waiting++;
}

static void wait_all(struct world *w)
{
    loop_timer_at(w->alarm, clock_mono_ms() + 20000);
    loop_run(w->loop);
    loop_timer_stop(w->alarm);
    assert_false(w->alarmed);
}

static struct result post(struct world *w, struct transport_request r)
{
    static struct result out;
    struct flight x;

    fly(w, r, &x, &out);
    wait_all(w);
    assert_int_equal(out.n, 1);
    assert_int_equal(transport_in_flight(w->t), 0);
    return out;
}

static const char *url_to(const struct world *w, const char *scheme, const char *host,
                          const char *path)
{
    static char text[256];

    (void)snprintf(text, sizeof(text), "%s://%s:%u/%s", scheme, host, peer_port(w->peer), path);
    return text;
}
/* On purpose. */
static bool peer_is_silent(const char *path)
{
    return strncmp(path, "hang", 4) == 0 || strcmp(path, "trickle") == 0;
}

/* Short where the page is silent on purpose, long where only a busy machine could be. */
static struct result post_to(struct world *w, const char *path)
{
    return post(w, (struct transport_request){.lane = 1,
                                              .url = url_to(w, "http", "127.0.0.1", path),
                                              .timeout_ms = peer_is_silent(path) ? 400 : 8000});
}

static void world_open(struct world *w, const struct peer_page *pages, const char *cert)
{
    static const struct egress_cidr loopback = {{4, {127}}, 8};
    struct err err;

    memset(w, 0, sizeof(*w));
    w->loop = loop_new();
    w->conf = calloc(1, sizeof(*w->conf));
    w->conf->max_in_flight = 64;
    w->conf->threads = 1;
    w->conf->max_response_bytes = 65536;
    w->conf->egress.allow_http = true;
    w->conf->egress.allow[0] = loopback;
    w->conf->egress.allow_n = 1;
    w->t = transport_new(w->loop, w->conf, &err);
    assert_non_null(w->t);
    w->alarm = loop_timer_new(w->loop, alarmed, w);
    w->peer = peer_new(pages, cert);
}

static void world_close(struct world *w)
{
    transport_free(w->t);
    peer_free(w->peer);
    loop_timer_free(w->alarm);
    free(w->conf);
    loop_free(w->loop);
}

#endif
