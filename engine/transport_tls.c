/* engine/transport_tls.c: how much a TLS peer may say.
 *
 * Heads and bodies are capped where they arrive (transport_facts.c), but a peer can talk below them:
 * HTTP/2 frames that belong to no stream, session tickets, chunks' extensions. libcurl 7.88 and
 * OpenSSL read on and on within one call, as long as there is more: an endpoint that sends such
 * things as fast as they are read would stop the whole loop, its own time-outs included. So each request
 * brings its connection a budget of bytes; OpenSSL tells of every record, and the connection of a
 * peer that has used it up is cut there and then. Nothing but the socket can end those loops. */
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "engine/transport_impl.h"

#define RECORD_HEAD_BYTES 5
#define HANDSHAKE_BYTES ((int64_t)256 << 10)
#define REQUEST_BYTES ((int64_t)192 << 10) /* a head, and whatever is not the body */

/* Unlike shutdown() this throws away what has come in already. The next read fails. */
static void cut(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};

    (void)connect(fd, &none, sizeof(none));
}

static void record_seen(int sent, int version, int type, const void *bytes, size_t n, SSL *ssl,
                        void *budget)
{
    struct tls_budget *b = budget;
    const unsigned char *head = bytes;

    (void)version;
    (void)ssl;
    if (sent || type != SSL3_RT_HEADER || n < RECORD_HEAD_BYTES || b->left_bytes < 0)
        return;
    b->left_bytes -= RECORD_HEAD_BYTES + (head[3] << 8 | head[4]);
    if (b->left_bytes < 0)
        cut(b->fd);
}

CURLcode tls_begins(CURL *easy, void *ssl_ctx, void *exchange)
{
    struct exchange *x = exchange;

    (void)easy;
    x->budget = (struct tls_budget){.fd = glue_fd_of(x), .left_bytes = HANDSHAKE_BYTES};
    SSL_CTX_set_msg_callback(ssl_ctx, record_seen);
    SSL_CTX_set_msg_callback_arg(ssl_ctx, &x->budget);
    return CURLE_OK;
}

int64_t tls_budget_bytes(const struct exchange *x)
{
    return REQUEST_BYTES + (int64_t)x->t->conf->max_response_bytes;
}
