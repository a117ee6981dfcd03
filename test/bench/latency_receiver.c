/* test/bench/latency_receiver.c: an endpoint that does nothing but note when the first byte of each
 * request came.
 *
 * Reads requests on loopback, answers 200, and prints "N MICROSECONDS" (wall clock) for each body
 * that holds "n":N. One epoll loop; keep-alive; a request is small and comes in one or two
 * segments. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, REQUEST_MAX = 16384 };

struct connection {
    size_t have;
    int64_t first_us;
    char bytes[REQUEST_MAX + 1];
};
static struct connection *connections[CONNECTIONS_MAX];

static int64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Length of the complete request at the start of c->bytes; 0: not yet. */
static size_t request_length(const struct connection *c)
{
    const char *end = strstr(c->bytes, "\r\n\r\n");

    if (end == NULL)
        return 0;
    const char *length = strcasestr(c->bytes, "\r\ncontent-length:");
    size_t body = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    size_t whole = (size_t)(end + 4 - c->bytes) + body;
    return whole <= c->have ? whole : 0;
}

static bool connection_read(int fd, struct connection *c)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    ssize_t n = recv(fd, c->bytes + c->have, REQUEST_MAX - c->have, 0);

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (c->have == 0)
        c->first_us = now_us();
    c->have += (size_t)n;
    c->bytes[c->have] = '\0';
    size_t whole = request_length(c);
    if (whole == 0)
        return c->have < REQUEST_MAX;
    const char *number = strstr(c->bytes, "\"n\":");
    if (number != NULL)
        printf("%ld %lld\n", strtol(number + 4, NULL, 10), (long long)c->first_us);
    c->have = 0; /* the sender waits for the answer: nothing follows */
    return send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) == (ssize_t)sizeof answer - 1;
}

int main(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof addr;
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];

    if (listener < 0 || poll < 0 || bind(listener, (struct sockaddr *)&addr, sizeof addr) != 0 ||
        listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &length) != 0)
        return 1;
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    printf("port %d\n", ntohs(addr.sin_port));
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poll, events, 256, 200);

        if (n == 0)
            fflush(stdout);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == listener) {
                fd = accept(listener, NULL, NULL);
                if (fd < 0 || fd >= CONNECTIONS_MAX)
                    return 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                connections[fd] = calloc(1, sizeof(struct connection));
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            } else if (!connection_read(fd, connections[fd])) {
                free(connections[fd]);
                connections[fd] = NULL;
                close(fd);
            }
        }
    }
}
