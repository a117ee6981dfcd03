/* test/bench/bare_client.c: the yardstick: how fast does libcurl alone POST from a libevent loop?
 *
 *   bare_client [--mode textbook|tuned] [-n REQUESTS] [-c CONCURRENCY] [--ca FILE] URL
 *
 * No store, no resolver, no rules, no retries; but the same headers and an HMAC over the same body
 * as webhookd signs. textbook: libcurl's own hiperfifo example (one event a socket, moved whenever
 * libcurl says so). tuned: sockets stay armed between requests, as in engine/transport_glue.c.
 * Prints one line of JSON; exit 1 where an answer was not 2xx. */
#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 4096, BODY_BYTES = 500 };

struct sock {
    struct event *ev;
    short armed;
    bool wanted;
};
struct bench {
    struct event_base *base;
    CURLM *multi;
    struct event *timer;
    bool tuned;
    long n, started, over, bad, running;
    const char *url, *ca;
    struct sock socks[FDS_MAX];
};
struct request {
    CURL *easy;
    struct curl_slist *headers;
    char body[BODY_BYTES];
};

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static size_t swallow(char *bytes, size_t size, size_t n, void *arg)
{
    (void)bytes;
    (void)arg;
    return size * n;
}

static struct curl_slist *headers_of(long number, const struct request *r)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_bytes = 0;
    char line[256], hex[65] = "";
    struct curl_slist *list = NULL;

    HMAC(EVP_sha256(), "whsec_bench_secret_of_some_length", 33, (const unsigned char *)r->body,
         sizeof(r->body), mac, &mac_bytes);
    for (unsigned int i = 0; i < mac_bytes && i < 32; i++) {
        hex[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
    list = curl_slist_append(list, "Content-Type: application/json");
    list = curl_slist_append(list, "User-Agent: webhookd/bench");
    (void)snprintf(line, sizeof(line), "X-BondX-Signature: sha256=%s", hex);
    list = curl_slist_append(list, line);
    (void)snprintf(line, sizeof(line), "X-Request-ID: req_%020ld", number);
    list = curl_slist_append(list, line);
    (void)snprintf(line, sizeof(line), "X-Correlation-ID: cor_%020ld", number);
    list = curl_slist_append(list, line);
    (void)snprintf(line, sizeof(line), "webhook-id: evt_%020ld", number);
    list = curl_slist_append(list, line);
    (void)snprintf(line, sizeof(line), "webhook-timestamp: %ld", 1760000000 + number);
    list = curl_slist_append(list, line);
    list = curl_slist_append(list, "webhook-attempt: 1");
    return curl_slist_append(list, "Expect:");
}

static void start(struct bench *b, struct request *r)
{
    long number = b->started++;
    int k = snprintf(
        r->body, sizeof(r->body),
        "{\"event\":\"order.executed\",\"event_id\":\"evt_%020ld\",\"data\":{\"pad\":\"", number);

    memset(r->body + k, 'x', sizeof(r->body) - (size_t)k);
    memcpy(r->body + sizeof(r->body) - 3, "\"}}", 3);
    curl_slist_free_all(r->headers);
    r->headers = headers_of(number, r);
    (void)curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
    b->running++;
    (void)curl_multi_add_handle(b->multi, r->easy);
}

static void take(struct bench *b)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(b->multi, &left)) != NULL) {
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        struct request *r = NULL;
        long status = 0;

        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &r);
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_multi_remove_handle(b->multi, easy);
        b->over++;
        b->running--;
        if (code != CURLE_OK || status / 100 != 2)
            b->bad++;
        if (b->started < b->n)
            start(b, r);
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

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    struct bench *b = arg;
    int running;

    (void)fd;
    (void)what;
    (void)curl_multi_socket_action(b->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take(b);
}

static int timer_changed(CURLM *multi, long wait_ms, void *arg)
{
    struct bench *b = arg;
    struct timeval tv = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};

    (void)multi;
    if (wait_ms < 0)
        evtimer_del(b->timer);
    else
        evtimer_add(b->timer, &tv);
    return 0;
}

static void set_up(struct bench *b, struct request *r)
{
    CURL *c = r->easy = curl_easy_init();

    (void)curl_easy_setopt(c, CURLOPT_URL, b->url);
    (void)curl_easy_setopt(c, CURLOPT_PRIVATE, r);
    (void)curl_easy_setopt(c, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)sizeof(r->body));
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, swallow);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 10000L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    (void)curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    (void)curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, b);
    if (b->ca != NULL)
        (void)curl_easy_setopt(c, CURLOPT_CAINFO, b->ca);
}

static void report(const struct bench *b, double seconds)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    printf("{\"n\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"per_s\":%.1f}\n", b->n, seconds, cpu,
           (double)b->n / seconds);
}

int main(int argc, char **argv)
{
    static struct bench b = {.n = 20000};
    long concurrency = 128;
    bool legal = true;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (argv[i][0] != '-') {
            b.url = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--mode") == 0)
            b.tuned = strcmp(value, "tuned") == 0;
        else if (strcmp(argv[i], "-n") == 0)
            b.n = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "-c") == 0)
            concurrency = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--ca") == 0)
            b.ca = value;
        else
            legal = false;
        i++;
    }
    if (!legal || b.url == NULL || b.n < 1 || concurrency < 1 || concurrency > FDS_MAX / 2) {
        fputs("usage: bare_client [--mode textbook|tuned] [-n N] [-c N] [--ca FILE] URL\n", stderr);
        return 2;
    }
    struct request *requests = calloc((size_t)concurrency, sizeof(*requests));
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    b.base = event_base_new();
    b.multi = curl_multi_init();
    b.timer = evtimer_new(b.base, timer_fired, &b);
    if (requests == NULL || b.base == NULL || b.multi == NULL || b.timer == NULL)
        return 2;
    (void)curl_multi_setopt(b.multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    (void)curl_multi_setopt(b.multi, CURLMOPT_SOCKETDATA, &b);
    (void)curl_multi_setopt(b.multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    (void)curl_multi_setopt(b.multi, CURLMOPT_TIMERDATA, &b);
    (void)curl_multi_setopt(b.multi, CURLMOPT_MAXCONNECTS, concurrency * 2);
    double begun = now_s();
    for (long i = 0; i < concurrency && b.started < b.n; i++) {
        set_up(&b, &requests[i]);
        start(&b, &requests[i]);
    }
    (void)event_base_loop(b.base, EVLOOP_NO_EXIT_ON_EMPTY);
    report(&b, now_s() - begun);
    for (long i = 0; i < concurrency; i++) {
        curl_slist_free_all(requests[i].headers);
        curl_easy_cleanup(requests[i].easy);
    }
    (void)curl_multi_cleanup(b.multi);
    event_free(b.timer);
    event_base_free(b.base);
    free(requests);
    if (b.bad > 0)
        fprintf(stderr, "bare_client: %ld of %ld answers were not 2xx\n", b.bad, b.n);
    return b.bad > 0;
}
