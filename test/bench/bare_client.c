/* test/bench/bare_client.c: the yardstick: how fast does libcurl alone POST from a libevent loop?
 *
 *   bare_client [--mode textbook|tuned] [-n REQUESTS] [-c CONCURRENCY] [--ca FILE] --request FILE URL…
 *
 * No store, no resolver, no rules, no retries; but requests like those that webhookd sends, signed
 * anew (request.h), to the URLs in turn, one at a time on a connection of HTTP/2 too. Handles are
 * kept in both modes.
 *
 * textbook: as libcurl's own hiperfifo example: a new event whenever libcurl says so, a list of
 * headers appended for each request.
 * tuned: sockets stay armed between requests, as in engine/transport_glue.c, the timer is moved only
 * when it must fire earlier, and the headers' nodes are our own.
 *
 * Prints one line of JSON; exit 1 where an answer was not 2xx. */
#include <curl/curl.h>
#include <event2/event.h>
#include <stdbool.h>
#include <unistd.h>

#include "test/bench/request.h"

enum { FDS_MAX = 4096, LINES_MAX = 16 };

struct sock {
    struct event *ev;
    short armed;
    bool wanted;
};
struct bench {
    struct event_base *base;
    CURLM *multi;
    struct event *timer, *turn;
    double timer_due_s, timer_armed_s; /* tuned; 0: none */
    bool tuned;
    long n, started, over, bad;
    char **urls;
    long urls_n;
    const char *ca;
    struct request_shape shape;
    struct sock socks[FDS_MAX];
};
struct transfer {
    CURL *easy;
    struct request request;
    struct curl_slist nodes[LINES_MAX]; /* tuned */
    struct curl_slist *headers;         /* textbook */
};

static size_t swallow(char *bytes, size_t size, size_t n, void *arg)
{
    (void)bytes;
    (void)arg;
    return size * n;
}

/* The lines of the request and "Expect:", as nodes; each line ends with a '\0' then. */
static bool split_headers(struct transfer *t)
{
    static char no_expect[] = "Expect:";
    size_t n = 0;

    for (char *line = t->request.text, *end; line + 1 < t->request.body; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL || n + 1 == LINES_MAX)
            return false;
        *end = '\0';
        t->nodes[n].data = line;
        t->nodes[n].next = &t->nodes[n + 1];
        n++;
    }
    t->nodes[n].data = no_expect;
    return true;
}

static struct curl_slist *headers_of(const struct bench *b, struct transfer *t)
{
    if (b->tuned)
        return t->nodes;
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    for (const struct curl_slist *line = t->nodes; line != NULL; line = line->next)
        t->headers = curl_slist_append(t->headers, line->data);
    return t->headers;
}

static bool make_request(const struct bench *b, struct transfer *t)
{
    const struct request_shape *s = &b->shape;
    char *text = malloc(s->file_bytes + 1);

    if (text == NULL)
        return false;
    memcpy(text, s->file, s->file_bytes + 1);
    return request_mark(&t->request, text, s->body_at, s->file_bytes) && split_headers(t);
}

static void start(struct bench *b, struct transfer *t)
{
    long number = b->started++;

    request_next(&t->request, number);
    (void)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, headers_of(b, t));
    if (b->urls_n > 1)
        (void)curl_easy_setopt(t->easy, CURLOPT_URL, b->urls[number % b->urls_n]);
    (void)curl_multi_add_handle(b->multi, t->easy);
}

static void take(struct bench *b)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(b->multi, &left)) != NULL) {
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        struct transfer *t = NULL;
        long status = 0;

        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_multi_remove_handle(b->multi, easy);
        b->over++;
        if (code != CURLE_OK || status / 100 != 2)
            b->bad++;
        if (b->started < b->n)
            start(b, t);
    }
    if (b->over == b->n)
        event_base_loopbreak(b->base);
}

static void sock_ready(evutil_socket_t fd, short what, void *arg)
{
    struct bench *b = arg;
    int running, bits = ((what & EV_READ) ? CURL_CSELECT_IN : 0) |
                        ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0);

    if (!b->socks[fd].wanted) {
        event_del(b->socks[fd].ev);
        b->socks[fd].armed = 0;
        return;
    }
    (void)curl_multi_socket_action(b->multi, fd, bits, &running);
    take(b);
}

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
    struct bench *b = arg;
    struct sock *s = &b->socks[fd];
    short want =
        (short)(((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0));

    (void)easy;
    (void)per_socket;
    s->wanted = what != CURL_POLL_REMOVE;
    if (b->tuned && ((!s->wanted && s->armed == EV_READ) || want == s->armed))
        return 0;
    if (s->ev != NULL)
        event_free(s->ev);
    s->ev = NULL;
    s->armed = want;
    if (want != 0) {
        s->ev = event_new(b->base, fd, (short)(want | EV_PERSIST), sock_ready, b);
        event_add(s->ev, NULL);
    }
    return 0;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct sock *s = &((struct bench *)arg)->socks[fd];

    if (s->ev != NULL)
        event_free(s->ev);
    memset(s, 0, sizeof(*s));
    return close(fd);
}

static void arm_timer(struct bench *b, double wait_s)
{
    struct timeval tv = {.tv_sec = (time_t)wait_s,
                         .tv_usec = (suseconds_t)((wait_s - (double)(time_t)wait_s) * 1e6)};

    evtimer_add(b->timer, &tv);
}

static void time_over(evutil_socket_t fd, short what, void *arg)
{
    struct bench *b = arg;
    int running;

    (void)fd;
    (void)what;
    b->timer_due_s = 0;
    (void)curl_multi_socket_action(b->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take(b);
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    struct bench *b = arg;
    double early = b->timer_due_s - now_s();

    b->timer_armed_s = 0;
    if (!b->tuned || (b->timer_due_s > 0 && early <= 0)) {
        time_over(fd, what, arg);
    } else if (b->timer_due_s > 0) {
        b->timer_armed_s = b->timer_due_s;
        arm_timer(b, early);
    }
}

/* Each transfer sets and clears its deadlines. Tuned: what fires too early is set again, and "at
 * once" is no timer. */
static int timer_changed(CURLM *multi, long wait_ms, void *arg)
{
    struct bench *b = arg;
    double wait_s = (double)wait_ms / 1000;

    (void)multi;
    b->timer_due_s = wait_ms < 0 ? 0 : now_s() + wait_s;
    if (b->tuned && wait_ms == 0) {
        event_active(b->turn, EV_TIMEOUT, 0);
        return 0;
    }
    if (b->tuned && (wait_ms < 0 || (b->timer_armed_s > 0 && b->timer_armed_s <= b->timer_due_s)))
        return 0;
    b->timer_armed_s = b->timer_due_s;
    if (wait_ms < 0)
        evtimer_del(b->timer);
    else
        arm_timer(b, wait_s);
    return 0;
}

static bool set_up(struct bench *b, struct transfer *t)
{
    CURL *c = t->easy = curl_easy_init();

    if (c == NULL || !make_request(b, t))
        return false;
    (void)curl_easy_setopt(c, CURLOPT_URL, b->urls[0]);
    (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    (void)curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    (void)curl_easy_setopt(c, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)t->request.body_bytes);
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->request.body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, swallow);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 10000L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    (void)curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    (void)curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, b);
    return b->ca == NULL || curl_easy_setopt(c, CURLOPT_CAINFO, b->ca) == CURLE_OK;
}

static bool read_options(struct bench *b, long *concurrency, int argc, char **argv)
{
    int opt = 1;

    for (; opt + 1 < argc && argv[opt][0] == '-'; opt += 2) {
        const char *name = argv[opt], *value = argv[opt + 1];

        if (strcmp(name, "--mode") == 0)
            b->tuned = strcmp(value, "tuned") == 0;
        else if (strcmp(name, "-n") == 0)
            b->n = strtol(value, NULL, 10);
        else if (strcmp(name, "-c") == 0)
            *concurrency = strtol(value, NULL, 10);
        else if (strcmp(name, "--ca") == 0)
            b->ca = value;
        else if (strcmp(name, "--request") != 0 || !request_shape_read(&b->shape, value))
            return false;
    }
    b->urls = argv + opt;
    b->urls_n = argc - opt;
    return b->urls_n > 0 && b->shape.file != NULL && b->n > 0 && *concurrency > 0 &&
           *concurrency <= FDS_MAX / 4;
}

static void run(struct bench *b, struct transfer *transfers, long concurrency)
{
    double begun = now_s(), cpu = cpu_s();

    for (long i = 0; i < concurrency && b->started < b->n; i++)
        start(b, &transfers[i]);
    (void)event_base_loop(b->base, EVLOOP_NO_EXIT_ON_EMPTY);
    request_report(b->n, b->bad, now_s() - begun, cpu_s() - cpu);
}

int main(int argc, char **argv)
{
    static struct bench b = {.n = 20000};
    long concurrency = 128;

    if (!read_options(&b, &concurrency, argc, argv)) {
        fputs("usage: bare_client [--mode textbook|tuned] [-n N] [-c N] [--ca FILE] --request FILE "
              "URL...\n",
              stderr);
        return 2;
    }
    struct transfer *transfers = calloc((size_t)concurrency, sizeof(*transfers));
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    b.base = event_base_new();
    b.multi = curl_multi_init();
    b.timer = evtimer_new(b.base, timer_fired, &b);
    b.turn = event_new(b.base, -1, 0, time_over, &b);
    if (transfers == NULL || b.base == NULL || b.multi == NULL || b.timer == NULL || b.turn == NULL)
        return 2;
    (void)curl_multi_setopt(b.multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    (void)curl_multi_setopt(b.multi, CURLMOPT_SOCKETDATA, &b);
    (void)curl_multi_setopt(b.multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    (void)curl_multi_setopt(b.multi, CURLMOPT_TIMERDATA, &b);
    (void)curl_multi_setopt(b.multi, CURLMOPT_MAXCONNECTS, FDS_MAX / 2L);
    (void)curl_multi_setopt(b.multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    for (long i = 0; i < concurrency; i++)
        if (!set_up(&b, &transfers[i]))
            return 2;
    run(&b, transfers, concurrency);
    for (long i = 0; i < concurrency; i++) {
        curl_slist_free_all(transfers[i].headers);
        curl_easy_cleanup(transfers[i].easy);
        free(transfers[i].request.text);
    }
    (void)curl_multi_cleanup(b.multi);
    event_free(b.timer);
    event_free(b.turn);
    event_base_free(b.base);
    free(transfers);
    free(b.shape.file);
    if (b.bad > 0)
        fprintf(stderr, "bare_client: %ld of %ld answers were not 2xx\n", b.bad, b.n);
    return b.bad > 0;
}
