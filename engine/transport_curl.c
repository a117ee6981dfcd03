/* engine/transport_curl.c: the transport on libcurl's multi_socket interface.
 *
 *   send ─▶ lane (transport_lane) ─▶ names (resolver) ─▶ judge, pin ─▶ libcurl ─┐
 *    │ refused                         │ failed            │ refused            │ over
 *    └─────────────────────────────────┴───────────────────┴──────▶ over ◀──────┘
 *                                                                    │ end of turn (flush)
 *                                                                   done
 *
 * Within libcurl's and libevent's frames nothing is done but to decode and to plan the flush. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "engine/transport_impl.h"

/* ---- ends ---- */

static void active_remove(struct exchange *x)
{
    struct transport *t = x->t;

    *(x->prev != NULL ? &x->prev->next : &t->active) = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    x->prev = x->next = NULL;
}

/* Its facts are known: done runs in the next flush. */
static void exchange_over(struct exchange *x)
{
    struct transport *t = x->t;

    active_remove(x);
    x->state = EXCHANGE_OVER;
    *t->over_tail = x;
    t->over_tail = &x->next;
    glue_plan_flush(t);
}

static void count_bytes(struct exchange *x)
{
    curl_off_t sent = 0;

    (void)curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    x->t->stats.request_bytes += sent;
    x->t->stats.response_bytes += (int64_t)(x->head_seen + x->body_seen);
}

static void exchange_fail(struct exchange *x, enum outcome outcome, const char *error)
{
    facts_without(x, outcome, error);
    exchange_over(x);
}

/* All that libcurl is through with, as a list by next. Taken from it as a whole, because removing a
 * handle walks through all messages that are left. */
static struct exchange *messages(struct transport *t)
{
    struct exchange *first = NULL, **end = &first;
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(t->multi, &left)) != NULL) {
        struct exchange *x = NULL;

        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x) != CURLE_OK)
            continue;
        x->code = m->data.result;
        x->done_next = NULL;
        *end = x;
        end = &x->done_next;
    }
    return first;
}

static void take_messages(struct transport *t)
{
    for (struct exchange *x = messages(t); x != NULL; x = x->done_next) {
        (void)curl_multi_remove_handle(t->multi, x->easy);
        facts_of(x, x->code);
        count_bytes(x);
        if (x->facts.reused)
            t->stats.reused++;
        else if (x->facts.connect_us >= 0)
            t->stats.opened++;
        exchange_over(x);
    }
}

/* Where its connection is as it should be, the next request of this lane has it. */
static void exchange_rest(struct exchange *x)
{
    bool usable =
        glue_fd_of(x) >= 0 && !x->worn && x->options == x->t->options && !x->lane->forgotten;

    exchange_clear(x);
    if (usable)
        idle_put(x);
    else
        exchange_spare(x);
}

static void transport_flush(void *arg)
{
    struct transport *t = arg;
    struct exchange *over;

    t->flush_planned = false;
    if (t->turn_due)
        glue_turn(t);
    take_messages(t);
    over = t->over;
    t->over = NULL;
    t->over_tail = &t->over;
    while (over != NULL) {
        struct exchange *x = over;

        over = x->next;
        x->next = NULL;
        t->active_n--; /* before done: it may send the next */
        x->done(x->arg, &x->facts);
        exchange_rest(x);
    }
    idle_close_ended(t);
}

/* ---- starts ---- */

static void exchange_run(struct exchange *x, const struct resolver_answer *a, int64_t left_ms)
{
    struct transport *t = x->t;
    char why[128];

    if (a->n == 0) {
        exchange_fail(x, OUTCOME_DNS, a->error != NULL ? a->error : "the name has no address");
        return;
    }
    if (tlane_judge(t, x->lane, a, why, sizeof(why)) != NULL) {
        exchange_fail(x, OUTCOME_BLOCKED, why);
        return;
    }
    if (!exchange_prepare(x, left_ms) || curl_multi_add_handle(t->multi, x->easy) != CURLM_OK) {
        exchange_fail(x, OUTCOME_INTERNAL, "the request could not be prepared");
        return;
    }
    x->state = EXCHANGE_RUNNING;
}

static void resolved(void *arg, const struct resolver_answer *a)
{
    struct exchange *x = arg;

    x->query = NULL;
    x->resolved_us = clock_mono_us();
    exchange_run(x, a, x->timeout_ms - (x->resolved_us - x->started_us) / 1000);
}

static void exchange_start(struct exchange *x)
{
    struct transport *t = x->t;
    int64_t wait_ms = x->connect_timeout_ms < x->timeout_ms ? x->connect_timeout_ms : x->timeout_ms;
    struct tlane *l = x->lane;
    struct resolver_answer now = {.n = 0};

    if (l->refused != NULL) {
        exchange_fail(x, OUTCOME_BLOCKED, l->refused);
        x->facts.literal_refused = l->literal_refused;
        return;
    }
    if (l->literal) {
        now.n = egress_addr_parse(l->url.host, &now.addrs[0]) ? 1 : 0;
        exchange_run(x, &now, x->timeout_ms);
        return;
    }
    x->state = EXCHANGE_RESOLVING;
    if (resolver_ask(t->resolver, l->url.host, wait_ms, &now, resolved, x, &x->query))
        exchange_run(x, &now, x->timeout_ms);
}

static struct exchange *exchange_take(struct transport *t, struct tlane *l)
{
    struct exchange *x = idle_take(l);

    if (x != NULL)
        return x;
    idle_make_room(t, l->refs > 1);
    x = t->spare;
    if (x != NULL) {
        t->spare = x->next;
        t->spare_n--;
    } else {
        x = exchange_new(t);
    }
    if (x != NULL) {
        x->lane = l;
        l->refs++;
    }
    return x;
}

enum err_code transport_send(struct transport *t, const struct transport_request *r,
                             transport_done_fn *done, void *arg, struct err *err)
{
    struct tlane *l;
    struct exchange *x;

    if (t->active_n >= t->active_max)
        return fail(err, ERR_BUSY, "%zu requests are in flight, descriptors allow no more",
                    t->active_n);
    l = tlane_get(t, r->lane, r->url);
    x = l != NULL ? exchange_take(t, l) : NULL;
    if (x == NULL)
        return fail(err, ERR_NOMEM, "no memory for a request");
    t->active_n++;
    enum err_code rc = exchange_headers(x, r->headers != NULL ? r->headers : "", err);
    if (rc != OK) {
        t->active_n--;
        exchange_rest(x);
        return rc;
    }
    x->done = done;
    x->arg = arg;
    x->body = r->body;
    x->body_bytes = r->body_bytes;
    x->timeout_ms = r->timeout_ms;
    x->connect_timeout_ms = r->connect_timeout_ms;
    x->started_wall_ms = r->started_ms;
    x->started_us = clock_mono_us();
    x->resolved_us = 0;
    x->prev = NULL;
    x->next = t->active;
    if (t->active != NULL)
        t->active->prev = x;
    t->active = x;
    exchange_start(x);
    return OK;
}

/* ---- the transport ---- */

/* Descriptors bound what may be open: beyond it the oldest idle connection makes room. Far below the
 * number in flight, each answer would close its connection (measured: 2.6 times the CPU), hence
 * the factor: each of many lanes keeps its one. A lane's second one is another matter. Where as many are
 * open as requests may be in flight there is none too few, and each more is a cold one: 128 in flight
 * to 100 endpoints took 56 us a delivery on the loop over 600 connections, 46 over 320, 44 over 160.
 *
 * One request at a time on a connection, of HTTP/2 too: multiplexing saves nothing here
 * (measured), and where streams share a connection libcurl 7.88 loses every other answer that comes before the
 * request's body is through, and one stream's trouble is all the others'. */
static void set_limits(struct transport *t)
{
    struct rlimit files = {.rlim_cur = 1024};
    size_t wanted = 2 * (size_t)t->conf->max_in_flight + 64, open;

    (void)getrlimit(RLIMIT_NOFILE, &files);
    open = files.rlim_cur > 1000000 ? 1000000 : (size_t)files.rlim_cur;
    open = open > DESCRIPTORS_SPARE ? (open - DESCRIPTORS_SPARE) / (size_t)t->conf->threads : 0;
    open = open > 8 ? open : 8; /* each loop has as many */
    t->active_max = open;
    t->open_max = wanted < open ? wanted : open;
    transport_expect(t, (size_t)t->conf->max_in_flight);
}

void transport_expect(struct transport *t, size_t in_flight)
{
    t->enough = in_flight < t->open_max ? in_flight : t->open_max;
}

struct transport *transport_new(struct loop *l, const struct conf *conf, struct err *err)
{
    struct transport *t = calloc(1, sizeof(*t));

    if (t == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(t);
        (void)fail(err, ERR_NOMEM, "no memory for the transport");
        return NULL;
    }
    t->loop = l;
    t->conf = conf;
    t->options = 1;
    t->over_tail = &t->over;
    t->resolver = resolver_new(l, err);
    if (t->resolver == NULL)
        goto no_resolver;
    t->multi = curl_multi_init();
    if (t->multi == NULL)
        goto no_multi;
    (void)curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    t->idle_timer = loop_timer_new(l, idle_timed_out, t);
    if (t->idle_timer == NULL || !glue_setup(t, transport_flush))
        goto no_timer;
    set_limits(t);
    return t;

no_timer:
    if (t->idle_timer != NULL)
        loop_timer_free(t->idle_timer);
    (void)curl_multi_cleanup(t->multi);
no_multi:
    (void)fail(err, ERR_NOMEM, "no memory for the transport");
    resolver_free(t->resolver);
no_resolver:
    free(t);
    curl_global_cleanup();
    return NULL;
}

void transport_configure(struct transport *t, const struct conf *conf)
{
    t->conf = conf;
    t->options++;
    tlane_forget_all(t);
    set_limits(t);
}

bool transport_has_connection(const struct transport *t, int64_t lane)
{
    const struct tlane *l;

    if (idle_has_room(t))
        return true;
    l = tlane_find(t, lane);
    return l != NULL && l->idle != NULL;
}

void transport_forget_lane(struct transport *t, int64_t lane)
{
    tlane_forget(t, lane);
}

size_t transport_in_flight(const struct transport *t)
{
    return t->active_n;
}

void transport_stats(const struct transport *t, struct transport_stats *out)
{
    *out = t->stats;
}

static void free_all(struct exchange *x)
{
    while (x != NULL) {
        struct exchange *next = x->next;

        if (x->state == EXCHANGE_RUNNING)
            (void)curl_multi_remove_handle(x->t->multi, x->easy);
        resolver_cancel(x->query);
        exchange_free(x);
        x = next;
    }
}

void transport_cut(struct transport *t, const char *error)
{
    while (t->active != NULL) {
        struct exchange *x = t->active;

        if (x->query != NULL)
            resolver_cancel(x->query);
        x->query = NULL;
        if (x->state == EXCHANGE_RUNNING) {
            (void)curl_multi_remove_handle(t->multi, x->easy);
            count_bytes(x);
        }
        if (x->head_complete) { /* the status has decided; only the body is cut */
            facts_of(x, CURLE_OPERATION_TIMEDOUT);
            exchange_over(x);
        } else {
            exchange_fail(x, OUTCOME_INTERNAL, error);
            x->facts.cut = true;
        }
    }
}

void transport_free(struct transport *t)
{
    if (t == NULL)
        return;
    tlane_forget_all(t);
    idle_close_ended(t);
    free_all(t->active);
    free_all(t->over);
    free_all(t->spare);
    (void)curl_multi_cleanup(t->multi);
    loop_timer_free(t->idle_timer);
    glue_fini(t);
    resolver_free(t->resolver);
    free(t);
    curl_global_cleanup();
}
