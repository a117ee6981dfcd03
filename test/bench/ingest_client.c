/* test/bench/ingest_client.c: clients that post events to webhookd's unix socket, each the next one as
 * soon as the last is acknowledged. A connection each: the daemon answers one request a connection.
 *
 *   ingest_client SOCKET CLIENTS REQUESTS EVENTS
 *
 * EVENTS a request: 1, or an array of so many. Prints {"seconds", "cpu_seconds", "busy"}: of all of it,
 * what this process had of it on a processor, and how often it was told to come again (503). */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 65536, CLIENTS_MAX = 1024, EVENT_MAX = 512, HEAD_MAX = 256 };

struct client {
    int fd;
    size_t sent; /* of the request */
    size_t got;  /* of the answer */
    char answer[ANSWER_MAX];
};

struct crowd {
    struct sockaddr_un to;
    int epoll;
    char *request;
    size_t request_n;
    long to_begin, to_end, busy;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "ingest_client: %s\n", what);
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The payload is that of the other sections, 420 bytes. */
static void make_request(struct crowd *k, int events)
{
    static const char EVENT[] =
        "{\"type\":\"order.executed\",\"data\":{\"order_id\":\"ORD-2024\",\"pad\":"
        "\"%0380d\"}}";
    char *body = malloc((size_t)events * EVENT_MAX + 3);
    size_t n = 0;

    k->request = malloc((size_t)events * EVENT_MAX + HEAD_MAX);
    if (!body || !k->request)
        die("no memory");
    if (events > 1)
        body[n++] = '[';
    for (int i = 0; i < events; i++) {
        if (i > 0)
            body[n++] = ',';
        n += (size_t)snprintf(body + n, EVENT_MAX, EVENT, i);
    }
    if (events > 1)
        body[n++] = ']';
    k->request_n =
        (size_t)snprintf(k->request, HEAD_MAX,
                         "POST /api/v1/events HTTP/1.1\r\nHost: webhookd\r\nContent-Type: "
                         "application/json\r\nContent-Length: %zu\r\n\r\n",
                         n);
    memcpy(k->request + k->request_n, body, n);
    k->request_n += n;
    free(body);
}

/* Sends what the socket takes; the rest when it takes more. */
static void push(struct crowd *k, struct client *c, int op)
{
    while (c->sent < k->request_n) {
        ssize_t n =
            send(c->fd, k->request + c->sent, k->request_n - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die(strerror(errno));
        if (n < 0)
            break;
        c->sent += (size_t)n;
    }
    struct epoll_event e = {.events = c->sent < k->request_n ? EPOLLIN | EPOLLOUT : EPOLLIN,
                            .data.ptr = c};
    if (epoll_ctl(k->epoll, op, c->fd, &e) != 0)
        die(strerror(errno));
}

/* The daemon answers one request a connection. */
static void begin(struct crowd *k, struct client *c)
{
    if (k->to_begin == 0)
        return;
    k->to_begin--;
    c->sent = c->got = 0;
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&k->to, sizeof k->to) != 0)
        die(strerror(errno));
    push(k, c, EPOLL_CTL_ADD);
}

/* The answer ends with the connection. */
static bool answered(struct client *c)
{
    ssize_t n = recv(c->fd, c->answer + c->got, ANSWER_MAX - 1 - c->got, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0)
        die(strerror(errno));
    c->got += (size_t)n;
    c->answer[c->got] = '\0';
    if (n > 0)
        return false;
    close(c->fd);
    return true;
}

/* Busy: it is posted again, at once. */
static void took(struct crowd *k, const struct client *c)
{
    bool busy = strncmp(c->answer, "HTTP/1.1 503", 12) == 0;
    if (!busy && strncmp(c->answer, "HTTP/1.1 202", 12) != 0)
        die(c->got > 0 ? c->answer : "a connection ended without an answer");
    k->busy += busy;
    k->to_begin += busy;
    k->to_end -= !busy;
}

static void run(struct crowd *k)
{
    struct epoll_event events[64];

    while (k->to_end > 0) {
        int n = epoll_wait(k->epoll, events, 64, 30000);
        if (n <= 0)
            die("no answer for 30 s");
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                push(k, c, EPOLL_CTL_MOD);
            if (events[i].events & ~(uint32_t)EPOLLOUT && answered(c)) {
                took(k, c);
                begin(k, c);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct crowd k = {.to = {.sun_family = AF_UNIX}, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    int clients = argc == 5 ? atoi(argv[2]) : 0;
    struct client *all = calloc(CLIENTS_MAX, sizeof *all);

    if (clients < 1 || clients > CLIENTS_MAX || atoi(argv[4]) < 1 || !all ||
        strlen(argv[1]) >= sizeof k.to.sun_path)
        die("SOCKET CLIENTS REQUESTS EVENTS");
    memcpy(k.to.sun_path, argv[1], strlen(argv[1]) + 1);
    k.to_begin = k.to_end = atol(argv[3]);
    make_request(&k, atoi(argv[4]));
    double start = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < clients; i++)
        begin(&k, &all[i]);
    run(&k);
    printf("{\"seconds\": %.6f, \"cpu_seconds\": %.6f, \"busy\": %ld}\n",
           seconds(CLOCK_MONOTONIC) - start, seconds(CLOCK_PROCESS_CPUTIME_ID) - used, k.busy);
    free(all);
    free(k.request);
    return 0;
}
