/* engine/resolver_cares.c: the resolver on c-ares.
 *
 *   ask ─▶ name (resolver_names.c) ─fresh─▶ the answer, at once
 *            │ stale or new
 *            ▼
 *          running: one c-ares look-up, any number of waiting queries, each with its own deadline
 *            │ answered ─▶ cached for the TTL ─▶ deferred: every waiting query hears it
 *
 * A query that is past its deadline leaves; the look-up goes on and fills the cache for the next.
 * Not libcurl's resolver: that is a thread per name, and it can block the loop for seconds. Not the
 * libc's: it blocks. Search domains are not applied, a partner's URL holds an absolute name. */
#include "engine/resolver.h"

#include <ares.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/resolver_names.h"

/* A silent server holds a look-up for 10 s, and who owns a domain owns any number of silent names:
 * the limit is for memory (some 2 KB each), far from what the attempts in flight can ask for. */
#define NAMES_RUNNING_MAX 4096
#define SOCKETS_MAX 64
#define TTL_MIN_MS INT64_C(5000)
#define TTL_MAX_MS INT64_C(300000)
#define TTL_FAILED_MS INT64_C(1000)
#define CONF_CHECK_MS INT64_C(10000)
#define TRY_TIMEOUT_MS 1500
#define TRIES 3

struct resolver_query {
    struct name *name; /* NULL: the answer is on its way */
    struct resolver_query *prev, *next;
    resolver_done_fn *done;
    void *arg;
    struct loop_timer *deadline;
};
struct watch {
    ares_socket_t fd;
    struct event *ev;
    short what;
};
struct resolver {
    struct loop *loop;
    ares_channel channel;
    bool closing;
    struct loop_timer *timer;
    struct watch watches[SOCKETS_MAX];
    size_t watches_n;
    struct names names;
    size_t running_n;
    struct name *finished;
    bool flush_planned;
    struct timespec conf_time; /* of resolv.conf, when the channel was made */
    int64_t conf_checked_ms;
};

static const char failed_full[] = "too many names are being looked up";
static const char failed_timeout[] = "name look-up timed out";

/* ---- queries ---- */

static void query_free(struct resolver_query *q)
{
    if (q->name != NULL) {
        *(q->prev != NULL ? &q->prev->next : &q->name->waiting) = q->next;
        if (q->next != NULL)
            q->next->prev = q->prev;
    }
    loop_timer_free(q->deadline);
    free(q);
}

static void query_answer(struct resolver_query *q, const struct resolver_answer *a)
{
    resolver_done_fn *done = q->done;
    void *arg = q->arg;

    query_free(q);
    done(arg, a);
}

static void query_too_late(void *arg)
{
    static const struct resolver_answer late = {.error = failed_timeout};

    query_answer(arg, &late);
}

void resolver_cancel(struct resolver_query *q)
{
    if (q != NULL)
        query_free(q);
}

/* Answers whoever waits. A callback may ask for the same name again: the name is fresh then, or
 * runs again and its new queries wait at the front; so those to answer are counted first. */
static void resolver_flush(void *arg)
{
    struct resolver *r = arg;

    r->flush_planned = false;
    while (r->finished != NULL) {
        struct name *n = r->finished;
        struct resolver_answer answer = n->answer;

        r->finished = n->finished;
        r->running_n--;
        names_idle(&r->names, n);
        while (!n->running && n->waiting != NULL)
            query_answer(n->waiting, &answer);
    }
}

static void name_finished(struct name *n, int64_t ttl_ms)
{
    struct resolver *r = n->resolver;

    n->fresh_until_ms = clock_mono_ms() + ttl_ms;
    n->finished = r->finished;
    r->finished = n;
    if (!r->flush_planned && !r->closing) {
        r->flush_planned = true;
        loop_defer(r->loop, resolver_flush, r);
    }
}

/* ---- answers ---- */

/* Does the machine have a route for IPv6? Connecting a datagram socket sends nothing. */
static bool reaches_v6(const struct egress_addr *a)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool reached;

    if (fd < 0)
        return false;
    memcpy(&to.sin6_addr, a->bytes, 16);
    reached = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
    (void)close(fd);
    return reached;
}

/* At most RESOLVER_ADDRS_MAX, IPv6 first where it is routed (RFC 6724 in short: c-ares' own sorting
 * opens a socket for each of the addresses, however many a hostile server sends). */
static void answer_fill(struct resolver_answer *out, const struct ares_addrinfo *result,
                        int64_t *ttl_ms)
{
    struct egress_addr by_family[2][RESOLVER_ADDRS_MAX];
    size_t n[2] = {0, 0}, first, take;
    int ttl = INT32_MAX;

    for (const struct ares_addrinfo_node *node = result->nodes; node; node = node->ai_next) {
        struct egress_addr a;

        if (!egress_addr_of(node->ai_addr, node->ai_addrlen, &a))
            continue;
        size_t f = a.family == 6;
        if (n[f] < RESOLVER_ADDRS_MAX)
            by_family[f][n[f]++] = a;
        if (node->ai_ttl < ttl)
            ttl = node->ai_ttl;
    }
    first = n[1] > 0 && reaches_v6(&by_family[1][0]) ? 1 : 0;
    take = n[first];
    if (take > RESOLVER_ADDRS_MAX / 2 && n[!first] > 0)
        take = RESOLVER_ADDRS_MAX / 2;
    memcpy(out->addrs, by_family[first], take * sizeof(out->addrs[0]));
    out->n = take;
    for (size_t i = 0; i < n[!first] && out->n < RESOLVER_ADDRS_MAX; i++)
        out->addrs[out->n++] = by_family[!first][i];
    *ttl_ms = (int64_t)ttl * 1000; /* a hosts file's answer says 0 */
    if (*ttl_ms < TTL_MIN_MS)
        *ttl_ms = TTL_MIN_MS;
    if (*ttl_ms > TTL_MAX_MS)
        *ttl_ms = TTL_MAX_MS;
}

static void looked_up(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct name *n = arg;
    int64_t ttl_ms = TTL_FAILED_MS;

    (void)timeouts;
    memset(&n->answer, 0, sizeof(n->answer));
    if (status == ARES_SUCCESS && result != NULL)
        answer_fill(&n->answer, result, &ttl_ms);
    if (n->answer.n == 0) {
        n->answer.error = status == ARES_ETIMEOUT  ? failed_timeout
                          : status == ARES_SUCCESS ? "the name has no address"
                                                   : ares_strerror(status);
        ttl_ms = TTL_FAILED_MS;
    }
    if (result != NULL)
        ares_freeaddrinfo(result);
    name_finished(n, ttl_ms);
}

/* ---- c-ares on the loop ---- */

static void rearm(struct resolver *r)
{
    struct timeval tv, *wait = ares_timeout(r->channel, NULL, &tv);

    if (wait != NULL)
        loop_timer_at(r->timer, clock_mono_ms() + wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1);
    else
        loop_timer_stop(r->timer);
}

static void timer_fired(void *arg)
{
    struct resolver *r = arg;

    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    rearm(r);
}

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
    struct resolver *r = arg;

    ares_process_fd(r->channel, (what & EV_READ) ? fd : ARES_SOCKET_BAD,
                    (what & EV_WRITE) ? fd : ARES_SOCKET_BAD);
    rearm(r);
}

/* c-ares says which sockets it wants watched; both false: it is about to close it. */
static void socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    size_t i = 0;

    while (i < r->watches_n && r->watches[i].fd != fd)
        i++;
    if (i < r->watches_n && r->watches[i].what == what)
        return;
    if (i < r->watches_n) {
        event_free(r->watches[i].ev);
        r->watches[i] = r->watches[--r->watches_n];
    }
    /* Beyond SOCKETS_MAX (servers of one resolv.conf, twice) the timer alone drives the look-up. */
    if (what == 0 || r->watches_n == SOCKETS_MAX)
        return;
    struct event *ev =
        event_new(loop_base(r->loop), fd, (short)(what | EV_PERSIST), socket_ready, r);
    if (ev == NULL)
        return;
    event_add(ev, NULL);
    r->watches[r->watches_n++] = (struct watch){fd, ev, what};
}

static bool conf_changed(struct resolver *r)
{
    struct stat st;

    if (stat("/etc/resolv.conf", &st) != 0)
        return false;
    if (st.st_mtim.tv_sec == r->conf_time.tv_sec && st.st_mtim.tv_nsec == r->conf_time.tv_nsec)
        return false;
    r->conf_time = st.st_mtim;
    return true;
}

static int channel_open(struct resolver *r, ares_channel *out)
{
    struct ares_options options = {
        .timeout = TRY_TIMEOUT_MS,
        .tries = TRIES,
        .ndomains = 0,
        .sock_state_cb = socket_state,
        .sock_state_cb_data = r,
    };

    return ares_init_options(out, &options,
                             ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS |
                                 ARES_OPT_SOCK_STATE_CB);
}

/* c-ares reads resolv.conf once; a daemon outlives it. Between look-ups only: a channel that goes
 * takes its look-ups with it. */
static void follow_conf(struct resolver *r)
{
    int64_t now_ms = clock_mono_ms();
    ares_channel fresh;

    if (r->running_n > 0 || now_ms - r->conf_checked_ms < CONF_CHECK_MS)
        return;
    r->conf_checked_ms = now_ms;
    if (!conf_changed(r) || channel_open(r, &fresh) != ARES_SUCCESS)
        return;
    ares_destroy(r->channel);
    r->channel = fresh;
}

/* ---- the face ---- */

struct resolver *resolver_new(struct loop *l, struct err *err)
{
    struct resolver *r = calloc(1, sizeof(*r));
    int rc = ARES_ENOMEM;

    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        goto no_library;
    if (r == NULL)
        goto no_resolver;
    r->loop = l;
    names_init(&r->names);
    r->conf_checked_ms = clock_mono_ms();
    (void)conf_changed(r);
    r->timer = loop_timer_new(l, timer_fired, r);
    if (r->timer == NULL)
        goto no_resolver;
    rc = channel_open(r, &r->channel);
    if (rc == ARES_SUCCESS)
        return r;
    loop_timer_free(r->timer);
no_resolver:
    ares_library_cleanup();
no_library:
    free(r);
    (void)fail(err, rc == ARES_ENOMEM ? ERR_NOMEM : ERR_IO, "name resolver: %s", ares_strerror(rc));
    return NULL;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    r->closing = true;
    ares_destroy(r->channel); /* ends every look-up: all names are out of c-ares' hands */
    loop_defer_cancel(r->loop, resolver_flush, r);
    for (size_t i = 0; i < r->watches_n; i++)
        event_free(r->watches[i].ev);
    loop_timer_free(r->timer);
    for (struct name *n; (n = names_take_any(&r->names)) != NULL; free(n))
        while (n->waiting != NULL)
            query_free(n->waiting);
    free(r);
    ares_library_cleanup();
}

static bool answer_failed(struct resolver_answer *now, const char *why)
{
    memset(now, 0, sizeof(*now));
    now->error = why;
    return true;
}

/* RFC 6761 6.3: not a question for a server. */
static bool answer_localhost(struct resolver_answer *now)
{
    memset(now, 0, sizeof(*now));
    now->n = 2;
    now->addrs[0] = (struct egress_addr){.family = 4, .bytes = {127, 0, 0, 1}};
    now->addrs[1] = (struct egress_addr){.family = 6, .bytes = {[15] = 1}};
    return true;
}

static void look_up(struct resolver *r, struct name *n)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    names_running(&r->names, n);
    n->resolver = r;
    r->running_n++;
    ares_getaddrinfo(r->channel, n->host, NULL, &hints, looked_up, n);
    rearm(r);
}

bool resolver_ask(struct resolver *r, const char *host, int64_t timeout_ms,
                  struct resolver_answer *now, resolver_done_fn *done, void *arg,
                  struct resolver_query **query)
{
    struct resolver_query *q;
    struct name *n;

    if (strcmp(host, "localhost") == 0)
        return answer_localhost(now);
    n = names_find(&r->names, host);
    if (n != NULL && !n->running && clock_mono_ms() < n->fresh_until_ms) {
        names_used(&r->names, n);
        *now = n->answer;
        return true;
    }
    if (host[0] == '\0' || strlen(host) > 253)
        return answer_failed(now, "the name is no legal host name");
    if ((n == NULL || !n->running) && r->running_n >= NAMES_RUNNING_MAX)
        return answer_failed(now, failed_full);
    q = calloc(1, sizeof(*q));
    if (q == NULL || (q->deadline = loop_timer_new(r->loop, query_too_late, q)) == NULL) {
        free(q);
        return answer_failed(now, "no memory");
    }
    follow_conf(r);
    if (n == NULL && (n = names_add(&r->names, host)) == NULL) {
        query_free(q);
        return answer_failed(now, "no memory");
    }
    q->done = done;
    q->arg = arg;
    q->name = n;
    q->next = n->waiting;
    if (q->next != NULL)
        q->next->prev = q;
    n->waiting = q;
    loop_timer_at(q->deadline, clock_mono_ms() + timeout_ms);
    if (!n->running)
        look_up(r, n);
    *query = q;
    return false;
}
