/* engine/http_conn.c: every connection's bytes run past http_guard before evhttp parses them: a
 * callback on the socket's input buffer sees them as they arrive. A refused connection gets its 400
 * straight on the socket and no further reading: evhttp then sees the end and lets it go. (A filter
 * bufferevent would be the obvious place, but evhttp 2.1.12 closes a filtered connection before the
 * answer has left the socket below.)
 *
 * evhttp tells nobody about a connection before its first request is complete. Our own hold on it
 * is the argument that evhttp gives to the bufferevent's callbacks, which is its evhttp_connection;
 * from that comes the close callback that frees ours. */
#include "engine/http_conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "engine/http_guard.h"

enum {
    CONNECTIONS_MAX = 256,
    BACKLOG = CONNECTIONS_MAX, /* as many may come at once */
    HEAD_MAX_BYTES = 16384,
    READ_DEADLINE_S = 10
};

struct conn {
    struct http_listener *listener;
    struct bufferevent *socket;
    struct event *deadline, *begun;
    struct http_guard guard;
    bool refused;
    struct conn *prev, *next;
};

struct http_listener {
    struct event_base *base;
    struct evhttp *evhttp;
    struct evconnlistener *accepts;
    struct conn *conns;
    int conns_n;
    bool stopped;
};

static void conn_refuse(struct conn *c, const char *why)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    int fd = bufferevent_getfd(c->socket);

    c->refused = true;
    log_warn("http_refused", "reason=%s", why);
    if (fd < 0)
        return;
    (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_RD);
}

static void conn_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct conn *c = arg;
    size_t n = evbuffer_get_length(input);
    const char *why = NULL;
    struct evbuffer_ptr at;
    struct evbuffer_iovec part;

    /* The body is evhttp's; and to find its end in the buffer takes as long as it is. */
    if (info->n_added == 0 || (c->guard.over && !c->refused))
        return;
    (void)evbuffer_ptr_set(input, &at, n - info->n_added, EVBUFFER_PTR_SET);
    while (!c->refused && why == NULL && evbuffer_peek(input, -1, &at, &part, 1) > 0) {
        why = http_guard_feed(&c->guard, part.iov_base, part.iov_len);
        if (evbuffer_ptr_set(input, &at, part.iov_len, EVBUFFER_PTR_ADD) != 0 ||
            (size_t)at.pos >= n)
            break;
    }
    if (why != NULL)
        conn_refuse(c, why);
    if (c->refused)
        (void)evbuffer_drain(input, n);
}

static void conn_late(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    (void)what;
    int sock = bufferevent_getfd(c->socket);
    if (sock >= 0)
        (void)shutdown(sock, SHUT_RDWR); /* evhttp sees the end and frees the connection */
}

static void conn_free(struct conn *c)
{
    struct http_listener *l = c->listener;

    if (c->deadline != NULL)
        event_free(c->deadline);
    if (c->begun != NULL)
        event_free(c->begun);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    l->conns_n--;
    if (!l->stopped)
        (void)evconnlistener_enable(l->accepts);
    free(c);
}

static void conn_closed(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    conn_free(arg);
}

/* Runs right after the accept: now the bufferevent has its evhttp_connection. */
static void conn_begun(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    void *connection = NULL;

    (void)fd;
    (void)what;
    bufferevent_getcb(c->socket, NULL, NULL, NULL, &connection);
    evhttp_connection_set_closecb(connection, conn_closed, c);
}

/* evhttp asks for the bufferevent of a connection it has just accepted. */
static struct bufferevent *conn_new(struct event_base *base, void *arg)
{
    struct http_listener *l = arg;
    struct conn *c = calloc(1, sizeof *c);
    const struct timeval deadline = {.tv_sec = READ_DEADLINE_S};

    if (c == NULL)
        return NULL;
    c->listener = l;
    http_guard_init(&c->guard);
    c->next = l->conns;
    if (c->next != NULL)
        c->next->prev = c;
    l->conns = c;
    l->conns_n++;
    c->socket = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    c->deadline = event_new(base, -1, 0, conn_late, c);
    c->begun = event_new(base, -1, 0, conn_begun, c);
    if (c->socket == NULL || c->deadline == NULL || c->begun == NULL ||
        evbuffer_add_cb(bufferevent_get_input(c->socket), conn_input, c) == NULL) {
        if (c->socket != NULL)
            bufferevent_free(c->socket);
        conn_free(c);
        return NULL;
    }
    (void)event_add(c->deadline, &deadline);
    event_active(c->begun, EV_TIMEOUT, 1);
    if (l->conns_n >= CONNECTIONS_MAX)
        (void)evconnlistener_disable(l->accepts); /* the rest waits in the kernel's backlog */
    return c->socket;
}

int http_conn_request_read(struct http_listener *l, struct evhttp_request *req)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));

    for (struct conn *c = l->conns; c != NULL; c = c->next)
        if (c->socket == bev) {
            (void)event_del(c->deadline);
            return bufferevent_getfd(c->socket);
        }
    return -1;
}

struct http_listener *http_listener_new(struct event_base *base, int fd, size_t body_max_bytes,
                                        http_listener_request_fn *request, void *arg)
{
    struct http_listener *l = calloc(1, sizeof *l);

    if (l == NULL)
        goto fail;
    l->base = base;
    l->evhttp = evhttp_new(base);
    if (l->evhttp == NULL)
        goto fail;
    evhttp_set_max_headers_size(l->evhttp, HEAD_MAX_BYTES);
    evhttp_set_max_body_size(l->evhttp, (ev_ssize_t)body_max_bytes);
    evhttp_set_timeout(l->evhttp, READ_DEADLINE_S);
    evhttp_set_allowed_methods(l->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                              EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE |
                                              EVHTTP_REQ_PUT);
    evhttp_set_default_content_type(l->evhttp, NULL);
    evhttp_set_bevcb(l->evhttp, conn_new, l);
    evhttp_set_gencb(l->evhttp, request, arg);
    (void)evutil_make_socket_nonblocking(fd);
    l->accepts = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                                    BACKLOG, fd);
    if (l->accepts == NULL)
        goto fail;
    if (evhttp_bind_listener(l->evhttp, l->accepts) == NULL) {
        evconnlistener_free(l->accepts);
        fd = -1;
        goto fail;
    }
    return l;

fail:
    if (fd >= 0)
        close(fd);
    if (l != NULL && l->evhttp != NULL)
        evhttp_free(l->evhttp);
    free(l);
    return NULL;
}

void http_listener_free(struct http_listener *l)
{
    if (l == NULL)
        return;
    l->stopped = true;
    evhttp_free(l->evhttp); /* the listener and its connections with it */
    /* libevent runs close callbacks deferred, and ours counts in l: let them run before l goes. */
    while (l->conns != NULL && event_base_loop(l->base, EVLOOP_NONBLOCK | EVLOOP_ONCE) == 0)
        ;
    free(l);
}

/* ---- binding ---- */
int http_bind_unix(const char *path, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;

    if (strlen(path) >= sizeof addr.sun_path) {
        (void)fail(err, ERR_CONFIG, "listen.socket: %s: longer than %zu bytes", path,
                   sizeof addr.sun_path - 1);
        return -1;
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode)) {
            (void)fail(err, ERR_CONFIG, "listen.socket: %s exists and is not a socket: remove it",
                       path);
            return -1;
        }
        if (!process_left_socket(&addr, SOCK_STREAM)) {
            (void)fail(err, ERR_BUSY, "listen.socket: another process listens on %s", path);
            return -1;
        }
        (void)unlink(path); /* left behind by one that was killed */
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The mode of the socket is the mode of its file (0660 from the first moment on, less the
     * umask). */
    int rc = fd < 0 || fchmod(fd, 0660) != 0
                 ? -1
                 : bind(fd, (const struct sockaddr *)&addr, sizeof addr);
    int errnum = errno;
    if (rc == 0)
        (void)chmod(path, 0660);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    (void)fail(
        err, ERR_IO,
        "listen.socket: cannot bind %s: %s: does its folder exist, and may this user write there?",
        path, errno_text(errnum));
    return -1;
}

int http_bind_tcp(const char *address, struct err *err)
{
    char host[128];
    const char *colon = strrchr(address, ':');
    struct addrinfo *found = NULL,
                    hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    int fd = -1, on = 1;
    size_t n = colon != NULL ? (size_t)(colon - address) : 0;

    if (n == 0 || n >= sizeof host) {
        (void)fail(err, ERR_CONFIG, "listen.http: '%s' is not ADDRESS:PORT", address);
        return -1;
    }
    bool bracketed = address[0] == '[' && address[n - 1] == ']';
    (void)snprintf(host, sizeof host, "%.*s", (int)(bracketed ? n - 2 : n),
                   address + (bracketed ? 1 : 0));
    if (strcmp(host, "localhost") == 0) /* the configuration allows it; no name is looked up */
        (void)snprintf(host, sizeof host, "127.0.0.1");
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        (void)fail(err, ERR_CONFIG, "listen.http: '%s' is not an IP address and a port", address);
        return -1;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
        (void)fail(err, ERR_IO, "listen.http: cannot bind %s: %s", address, errno_text(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}
