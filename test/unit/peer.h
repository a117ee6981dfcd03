/* test/unit/peer.h: a small HTTP(S) server in threads of the test: one answer a path, good and bad
 * manners. A header with code in it, because a test program is one object. */
#ifndef TEST_UNIT_PEER_H
#define TEST_UNIT_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum peer_manner {
    PEER_KEEP,    /* answer, keep the connection */
    PEER_CLOSE,   /* answer, close */
    PEER_RESET,   /* answer, then RST */
    PEER_HANG,    /* answer (if any), then silence */
    PEER_ENDLESS, /* answer, then bytes for ever */
    PEER_TRICKLE, /* a byte of the answer every 20 ms */
    PEER_EARLY,   /* answer before the body is read, close */
    PEER_LATE,    /* answer, 50 ms later an answer that nobody asked for, keep */
    PEER_GONE,    /* answer, 50 ms later RST */
    PEER_ONCE,    /* answer the connection's first request, close when the next has come */
};
struct peer_page {
    const char *path;
    enum peer_manner manner;
    const char *answer;
    int fill; /* so many 'x' behind the answer, and "\r\n\r\n" where > 0 */
};

enum { REQUEST_ROOM = 1 << 16, GUESTS_MAX = 256 };
struct guest {
    struct peer *p;
    pthread_t thread;
    _Atomic int fd; /* -1: its thread has closed it */
    SSL *ssl;
};
struct peer {
    const struct peer_page *pages;
    int fd;
    uint16_t port;
    SSL_CTX *tls;
    pthread_t thread;
    atomic_int accepted, requests, stirred; /* stirred: what follows an answer has happened */
    atomic_bool over;
    pthread_mutex_t lock; /* last */
    char last[REQUEST_ROOM];
    struct guest guests[GUESTS_MAX];
};

static int guest_read(struct guest *g, char *out, int room)
{
    return g->ssl ? SSL_read(g->ssl, out, room) : (int)recv(g->fd, out, (size_t)room, 0);
}

static bool guest_write(struct guest *g, const char *bytes, size_t n)
{
    while (n > 0) {
        int k =
            g->ssl ? SSL_write(g->ssl, bytes, (int)n) : (int)send(g->fd, bytes, n, MSG_NOSIGNAL);

        if (k <= 0)
            return false;
        bytes += k;
        n -= (size_t)k;
    }
    return true;
}

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* One request into out; its page, or NULL: the peer has gone. */
static const struct peer_page *read_request(struct guest *g, char *out)
{
    size_t n = 0, wanted = 0, rest = 0;
    const struct peer_page *page = NULL;
    char scrap[4096];

    while (wanted == 0 || n < wanted) {
        int k = guest_read(g, out + n, (int)(REQUEST_ROOM - 1 - n));

        if (k <= 0)
            return NULL;
        n += (size_t)k;
        out[n] = '\0';
        char *end = strstr(out, "\r\n\r\n"), *length = strcasestr(out, "content-length:");
        if (end == NULL)
            continue;
        wanted = (size_t)(end + 4 - out) + (length ? (size_t)strtol(length + 15, NULL, 10) : 0);
        if (wanted > REQUEST_ROOM - 1) {
            rest = wanted - (REQUEST_ROOM - 1);
            wanted = REQUEST_ROOM - 1;
        }
        for (page = g->p->pages; page->path != NULL; page++) {
            size_t m = strlen(page->path); /* behind "POST /" */

            if (strncmp(out + 6, page->path, m) == 0 && out[6 + m] == ' ')
                break;
        }
        if (page->manner == PEER_EARLY)
            break;
    }
    while (rest > 0 && page->manner != PEER_EARLY) { /* no answer before the whole was read */
        int k = guest_read(g, scrap, (int)(rest < sizeof(scrap) ? rest : sizeof(scrap)));

        if (k <= 0)
            return NULL;
        rest -= (size_t)k;
    }
    pthread_mutex_lock(&g->p->lock);
    memcpy(g->p->last, out, n + 1);
    pthread_mutex_unlock(&g->p->lock);
    return page;
}

static void answer(struct guest *g, const struct peer_page *page)
{
    static const char fill[1024] = "";
    char xs[1000];
    const char *text = page->answer != NULL ? page->answer : "";

    if (page->manner == PEER_TRICKLE) {
        for (; *text != '\0' && guest_write(g, text, 1) && !g->p->over; text++)
            pause_ms(20);
        return;
    }
    if (!guest_write(g, text, strlen(text)))
        return;
    memset(xs, 'x', sizeof(xs));
    for (int left = page->fill; left > 0; left -= (int)sizeof(xs))
        if (!guest_write(g, xs, left < (int)sizeof(xs) ? (size_t)left : sizeof(xs)))
            return;
    if (page->fill > 0)
        (void)guest_write(g, "\r\n\r\n", 4);
    while (page->manner == PEER_ENDLESS && !g->p->over && guest_write(g, fill, sizeof(fill)))
        ;
}

static void hang(struct guest *g)
{
    char byte;

    while (!g->p->over && guest_read(g, &byte, 1) > 0)
        ;
}

static void *guest_main(void *arg)
{
    struct guest *g = arg;
    char *request = malloc(REQUEST_ROOM);
    const struct peer_page *page = NULL;
    bool reset = false;

    if (g->p->tls != NULL) {
        g->ssl = SSL_new(g->p->tls);
        SSL_set_fd(g->ssl, g->fd);
        if (SSL_accept(g->ssl) != 1)
            goto out;
    }
    for (int n = 1; !g->p->over && (page = read_request(g, request)) != NULL; n++) {
        g->p->requests++;
        if (page->manner == PEER_ONCE && n > 1)
            break;
        answer(g, page);
        if (page->manner == PEER_HANG)
            hang(g);
        if (page->manner == PEER_LATE || page->manner == PEER_GONE)
            pause_ms(50);
        if (page->manner == PEER_LATE) {
            (void)guest_write(g, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 41);
            g->p->stirred++;
        }
        if (page->manner != PEER_KEEP && page->manner != PEER_LATE && page->manner != PEER_ONCE)
            break;
    }
    reset = page != NULL && (page->manner == PEER_RESET || page->manner == PEER_GONE);
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};

        setsockopt(g->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
out:
    SSL_free(g->ssl);
    (void)shutdown(g->fd, reset ? SHUT_RD : SHUT_RDWR);
    if (reset) {
        (void)close(g->fd);
        g->fd = -1;
    }
    g->p->stirred += page != NULL && (page->manner == PEER_GONE || page->manner == PEER_CLOSE);
    free(request);
    return NULL;
}

static void *accept_main(void *arg)
{
    struct peer *p = arg;
    int fd;

    while (p->accepted < GUESTS_MAX && (fd = accept(p->fd, NULL, NULL)) >= 0) {
        struct guest *g = &p->guests[p->accepted];

        g->p = p;
        g->fd = fd;
        p->accepted++; /* before it can answer: the count is read after an answer */
        pthread_create(&g->thread, NULL, guest_main, g);
    }
    return NULL;
}

/* cert_file: PEM of certificate and key; NULL: plain. The pages end with a NULL path. */
static struct peer *peer_new(const struct peer_page *pages, const char *cert_file)
{
    struct peer *p = calloc(1, sizeof(*p));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);

    p->pages = pages;
    pthread_mutex_init(&p->lock, NULL);
    if (cert_file != NULL) {
        p->tls = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_file(p->tls, cert_file, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_use_PrivateKey_file(p->tls, cert_file, SSL_FILETYPE_PEM) != 1)
            abort();
    }
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(p->fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(p->fd, GUESTS_MAX) != 0 || getsockname(p->fd, (struct sockaddr *)&at, &n) != 0)
        abort();
    p->port = ntohs(at.sin_port);
    pthread_create(&p->thread, NULL, accept_main, p);
    return p;
}

static void peer_free(struct peer *p)
{
    p->over = true;
    (void)shutdown(p->fd, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    (void)close(p->fd);
    for (int i = 0; i < p->accepted; i++) {
        if (p->guests[i].fd >= 0)
            (void)shutdown(p->guests[i].fd, SHUT_RDWR);
        pthread_join(p->guests[i].thread, NULL);
        if (p->guests[i].fd >= 0)
            (void)close(p->guests[i].fd);
    }
    SSL_CTX_free(p->tls);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static uint16_t peer_port(const struct peer *p)
{
    return p->port;
}

static int peer_connections(const struct peer *p)
{
    return p->accepted;
}

static void peer_last_request(struct peer *p, char *out, int room)
{
    pthread_mutex_lock(&p->lock);
    (void)snprintf(out, (size_t)room, "%s", p->last);
    pthread_mutex_unlock(&p->lock);
}

#endif
