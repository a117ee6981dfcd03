/* test/bench/socket_client.c: what is left: the same requests without an HTTP library.
 *
 *   socket_client [-n N] [-c CONCURRENCY] [--ca FILE] --request FILE http[s]://ADDRESS:PORT/PATH
 *
 * A kept connection for each request in flight, one write and one read a request, HTTP/1.1, over
 * OpenSSL for https. It verifies the peer's certificate and looks at the status; deadlines, names,
 * chunked answers, a peer that closes, it does not know: a lower bound, not an alternative.
 * Prints one line of JSON; exit 1 where an answer was not 2xx. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/request.h"

enum { ANSWER_MAX = 4096, HEAD_MAX = 8192 };

struct client {
    struct event_base *base;
    SSL_CTX *tls; /* NULL: http */
    struct sockaddr_in to;
    char address[64], path[256];
    long n, started, over, bad;
    struct request_shape shape;
};
struct connection {
    struct client *c;
    int fd;
    SSL *ssl;
    struct event *readable;
    struct request request;
    size_t bytes; /* of the whole request */
    char answer[ANSWER_MAX + 1];
    size_t answer_n;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "socket_client: %s\n", what);
    exit(2);
}

/* The request as it goes over the wire. */
static void render(struct connection *x)
{
    const struct request_shape *s = &x->c->shape;
    size_t body_bytes = s->file_bytes - s->body_at, n = 0;
    char *wire = malloc(HEAD_MAX + body_bytes + 1);

    if (wire == NULL || s->body_at > HEAD_MAX / 2)
        die("no memory for a request");
    n += (size_t)snprintf(wire, HEAD_MAX, "POST %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n",
                          x->c->path, x->c->address);
    for (const char *line = s->file, *end; *line != '\n'; line = end + 1) {
        end = strchr(line, '\n');
        n += (size_t)snprintf(wire + n, HEAD_MAX - n, "%.*s\r\n", (int)(end - line), line);
    }
    n += (size_t)snprintf(wire + n, HEAD_MAX - n, "Content-Length: %zu\r\n\r\n", body_bytes);
    memcpy(wire + n, s->file + s->body_at, body_bytes + 1);
    x->bytes = n + body_bytes;
    if (!request_mark(&x->request, wire, n, x->bytes))
        die("the recorded request has no signature");
}

static void start(struct connection *x)
{
    size_t sent = 0;

    request_next(&x->request, x->c->started++);
    x->answer_n = 0;
    while (sent < x->bytes) { /* requests are small: the socket's buffer takes them whole */
        const char *at = x->request.text + sent;
        ssize_t n = x->ssl != NULL ? SSL_write(x->ssl, at, (int)(x->bytes - sent))
                                   : write(x->fd, at, x->bytes - sent);
        if (n <= 0)
            die("a request does not fit into the socket's buffer");
        sent += (size_t)n;
    }
}

/* Bytes of the whole answer; 0: its head is not there yet. */
static size_t answer_bytes(const struct connection *x)
{
    const char *end = strstr(x->answer, "\r\n\r\n");
    const char *length = end != NULL ? strcasestr(x->answer, "\r\nContent-Length:") : NULL;

    if (end == NULL)
        return 0;
    if (length == NULL || length > end)
        die("an answer without Content-Length");
    return (size_t)(end + 4 - x->answer) + strtoul(length + 17, NULL, 10);
}

static void came(evutil_socket_t fd, short what, void *arg)
{
    struct connection *x = arg;
    struct client *c = x->c;
    char *at = x->answer + x->answer_n;
    size_t room = ANSWER_MAX - x->answer_n, whole;
    ssize_t n = x->ssl != NULL ? SSL_read(x->ssl, at, (int)room) : read(fd, at, room);

    (void)what;
    if (n <= 0 && x->ssl != NULL && SSL_get_error(x->ssl, (int)n) == SSL_ERROR_WANT_READ)
        return; /* a session ticket */
    if (n <= 0)
        die("the connection ended");
    x->answer_n += (size_t)n;
    x->answer[x->answer_n] = '\0';
    whole = answer_bytes(x);
    if (whole == 0 || x->answer_n < whole)
        return;
    c->over++;
    if (strncmp(x->answer, "HTTP/1.1 2", 10) != 0)
        c->bad++;
    if (c->started < c->n)
        start(x);
    if (c->over == c->n)
        event_base_loopbreak(c->base);
}

/* Connects and shakes hands in blocking calls, one connection after the other. */
static void dial(struct connection *x)
{
    struct client *c = x->c;
    int on = 1;

    x->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (x->fd < 0 || connect(x->fd, (const struct sockaddr *)&c->to, sizeof(c->to)) != 0)
        die("cannot connect");
    (void)setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (c->tls != NULL) {
        char host[64];

        x->ssl = SSL_new(c->tls);
        (void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(c->address, ":"), c->address);
        if (x->ssl == NULL || SSL_set_fd(x->ssl, x->fd) != 1 ||
            X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(x->ssl), host) != 1 ||
            SSL_connect(x->ssl) != 1)
            die("no TLS connection");
    }
    (void)fcntl(x->fd, F_SETFL, O_NONBLOCK);
    x->readable = event_new(c->base, x->fd, EV_READ | EV_PERSIST, came, x);
    if (x->readable == NULL || event_add(x->readable, NULL) != 0)
        die("no event");
}

static bool read_url(struct client *c, const char *url, bool *tls)
{
    char host[40];
    int port = 0;

    *tls = strncmp(url, "https://", 8) == 0;
    if (sscanf(url, "%*[a-z]://%39[0-9.]:%d%255s", host, &port, c->path) != 3)
        return false;
    (void)snprintf(c->address, sizeof(c->address), "%s:%d", host, port);
    c->to.sin_family = AF_INET;
    c->to.sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &c->to.sin_addr) == 1;
}

static void use_tls(struct client *c, const char *ca)
{
    c->tls = SSL_CTX_new(TLS_client_method());
    if (c->tls == NULL || (ca != NULL && SSL_CTX_load_verify_locations(c->tls, ca, NULL) != 1))
        die("no TLS");
    SSL_CTX_set_verify(c->tls, SSL_VERIFY_PEER, NULL);
}

int main(int argc, char **argv)
{
    static struct client c = {.n = 20000};
    const char *ca = NULL;
    long concurrency = 128;
    bool legal = true, tls = false;
    int opt = 1;

    for (; opt + 1 < argc && argv[opt][0] == '-'; opt += 2) {
        const char *name = argv[opt], *value = argv[opt + 1];

        if (strcmp(name, "-n") == 0)
            c.n = strtol(value, NULL, 10);
        else if (strcmp(name, "-c") == 0)
            concurrency = strtol(value, NULL, 10);
        else if (strcmp(name, "--ca") == 0)
            ca = value;
        else
            legal = strcmp(name, "--request") == 0 && request_shape_read(&c.shape, value);
    }
    if (!legal || opt + 1 != argc || !read_url(&c, argv[opt], &tls) || c.shape.file == NULL ||
        c.n < 1 || concurrency < 1)
        die("usage: socket_client [-n N] [-c N] [--ca FILE] --request FILE URL");
    struct connection *connections = calloc((size_t)concurrency, sizeof(*connections));
    c.base = event_base_new();
    if (connections == NULL || c.base == NULL)
        die("no memory");
    if (tls)
        use_tls(&c, ca);
    for (long i = 0; i < concurrency; i++) {
        connections[i].c = &c;
        render(&connections[i]);
    }
    double begun = now_s(), cpu = cpu_s();
    for (long i = 0; i < concurrency && c.started < c.n; i++) {
        dial(&connections[i]);
        start(&connections[i]);
    }
    (void)event_base_dispatch(c.base);
    request_report(c.n, c.bad, now_s() - begun, cpu_s() - cpu);
    for (long i = 0; i < concurrency; i++) {
        if (connections[i].readable != NULL) {
            event_free(connections[i].readable);
            (void)close(connections[i].fd);
        }
        SSL_free(connections[i].ssl);
        free(connections[i].request.text);
    }
    SSL_CTX_free(c.tls);
    event_base_free(c.base);
    free(connections);
    free(c.shape.file);
    return c.bad > 0;
}
