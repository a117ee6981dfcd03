/* engine/transport_request.c: an exchange and its libcurl handle.
 *
 * Handles are pooled and never reset: what holds for every request is set once for each
 * configuration, what differs is set for each request. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "engine/transport_impl.h"

/* TLS 1.2 suites of the security bar: forward secrecy and AEAD only. 1.3 keeps its own. */
static const char tls12_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
#define CA_NAMES 32 /* of one file, one after the other */
/* Named, with no folder beside it: only so does libcurl keep the parsed store from one connection
 * to the next; reading it costs some 10 ms a handshake. */
static const char system_ca_file[] = "/etc/ssl/certs/ca-certificates.crt";

/* Where a connection that was kept from an earlier request dies under this one, libcurl sends it
 * again by itself. The first one may have been worked on: an attempt that nobody recorded. So that
 * ends here, as a reset. What may go out again is a request that was provably not looked at:
 * refused by HTTP/2's own means (GOAWAY, REFUSED_STREAM: no error text then) or on a new
 * connection, which libcurl repeats for no other reason. */
static bool sends_again(struct exchange *x)
{
    x->worn |= x->sent;
    x->sent_again = x->sent && x->sent_on_kept && (!x->lane->http2 || x->curl_error[0] != '\0');
    return x->sent_again;
}

static int before_sending(void *exchange, char *to, char *from, int to_port, int from_port)
{
    struct exchange *x = exchange;
    long connects = 0;

    (void)to;
    (void)from;
    (void)to_port;
    (void)from_port;
    tlane_pin_loaded(x);
    if (sends_again(x))
        return CURL_PREREQFUNC_ABORT;
    (void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (x->budget.left_bytes >= 0)
        x->budget.left_bytes = tls_budget_bytes(x);
    x->sent = true;
    x->sent_on_kept = connects == 0;
    return CURL_PREREQFUNC_OK;
}

/* The last judge: whatever libcurl is about to dial, and however it came by it. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct exchange *x = arg;
    struct egress_addr a;
    int fd;

    tlane_pin_loaded(x);
    if (sends_again(x))
        return CURL_SOCKET_BAD;
    x->blocked = purpose == CURLSOCKTYPE_IPCXN && egress_addr_of(&to->addr, to->addrlen, &a)
                     ? egress_judge_addr(&x->t->conf->egress, &a)
                     : "not an IP address";
    if (x->blocked != NULL)
        return CURL_SOCKET_BAD;
    fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    if (fd < 0) {
        x->open_errno = errno;
        return CURL_SOCKET_BAD;
    }
    if (!glue_opened(x, fd, a.family)) {
        x->open_errno = ENOMEM;
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

static bool set_source(CURL *c, const char *source_address)
{
    char text[64] = "host!";

    if (source_address == NULL || source_address[0] == '\0')
        return curl_easy_setopt(c, CURLOPT_INTERFACE, NULL) == CURLE_OK;
    if (strlen(source_address) >= sizeof(text) - 5)
        return false;
    memcpy(text + 5, source_address, strlen(source_address) + 1);
    return curl_easy_setopt(c, CURLOPT_INTERFACE, text) == CURLE_OK;
}

/* libcurl keeps the parsed file for a day, under its name. After a reload it gets another name of
 * the same file, so that a CA that was added or withdrawn counts from then on. */
static bool set_ca(const struct exchange *x, const char *ca)
{
    char name[PATH_MAX + 2 * CA_NAMES];
    bool absolute = ca[0] == '/';
    size_t n = 0;

    if (strlen(ca) >= PATH_MAX)
        return false;
    if (absolute)
        name[n++] = '/';
    for (unsigned i = (x->t->options - 1) % CA_NAMES; i > 0; i--) {
        name[n++] = '.';
        name[n++] = '/';
    }
    text_copy(name + n, sizeof(name) - n, ca + (absolute ? 1 : 0));
    return curl_easy_setopt(x->easy, CURLOPT_CAINFO, name) == CURLE_OK;
}

/* What depends on the configuration. */
static bool set_configured(struct exchange *x)
{
    const struct conf *conf = x->t->conf;
    const char *ca = conf->ca_file;
    bool ok = true;

    if (ca == NULL && access(system_ca_file, R_OK) == 0)
        ca = system_ca_file;
    if (ca != NULL) {
        ok &= curl_easy_setopt(x->easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
        ok &= set_ca(x, ca);
    }
    ok &= curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR,
                           conf->egress.allow_http ? "http,https" : "https") == CURLE_OK;
    ok &= set_source(x->easy, conf->source_address);
    if (ok)
        x->options = x->t->options;
    return ok;
}

#define SET(option, value) ok &= curl_easy_setopt(c, option, value) == CURLE_OK

static bool set_safe(CURL *c)
{
    bool ok = true;

    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_ACCEPT_ENCODING, NULL);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_CIPHER_LIST, tls12_ciphers);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    return ok;
}

static bool set_constant(struct exchange *x)
{
    CURL *c = x->easy;
    bool ok = set_safe(c);

    SET(CURLOPT_NOSIGNAL, 1L); /* the daemon ignores SIGPIPE */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, 16384L); /* the least; 64 KiB are not faster */
    /* One is allocated for each answer, and the 16 KiB of the default are not at hand in every
     * allocator (libc's tidied up its heap each time). A webhook's answer is mostly smaller. */
    SET(CURLOPT_BUFFERSIZE, 1024L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    /* Never by age: the resolver knows how long an address holds, and tells of another one. */
    SET(CURLOPT_DNS_CACHE_TIMEOUT, -1L);
    SET(CURLOPT_MAXLIFETIME_CONN, 600L); /* a partner who moves is followed */
    SET(CURLOPT_HTTPHEADER, x->headers); /* their nodes stay where they are */
    SET(CURLOPT_PRIVATE, x);
    SET(CURLOPT_ERRORBUFFER, x->curl_error);
    SET(CURLOPT_HEADERFUNCTION, answer_head);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, answer_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_PREREQFUNCTION, before_sending);
    SET(CURLOPT_PREREQDATA, x);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, x);
    SET(CURLOPT_CLOSESOCKETFUNCTION, glue_close);
    SET(CURLOPT_CLOSESOCKETDATA, x->t);
    SET(CURLOPT_SSL_CTX_FUNCTION, tls_begins);
    SET(CURLOPT_SSL_CTX_DATA, x);
    return ok && set_configured(x);
}

/* ---- an exchange ---- */

/* Its cache of one connection and of its lane's addresses. */
static bool share_new(struct exchange *x)
{
    x->share = curl_share_init();
    return x->share != NULL &&
           curl_share_setopt(x->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) == CURLSHE_OK &&
           curl_share_setopt(x->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
           curl_easy_setopt(x->easy, CURLOPT_SHARE, x->share) == CURLE_OK;
}

static bool disconnect(struct exchange *x)
{
    (void)curl_easy_setopt(x->easy, CURLOPT_SHARE, NULL);
    (void)curl_share_cleanup(x->share);
    x->pin_serial = 0;
    x->worn |= !share_new(x);
    return !x->worn;
}

struct exchange *exchange_new(struct transport *t)
{
    struct exchange *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return NULL;
    x->t = t;
    x->fds[0] = x->fds[1] = -1;
    buf_init(&x->header_text, (size_t)256 << 10);
    buf_init(&x->head, HEAD_KEPT_BYTES);
    buf_init(&x->answer, BODY_KEPT_BYTES);
    x->easy = curl_easy_init();
    if (x->easy != NULL && share_new(x) && set_constant(x))
        return x;
    exchange_free(x);
    return NULL;
}

static void leave_lane(struct exchange *x)
{
    if (x->lane != NULL)
        tlane_unref(x->lane);
    x->lane = NULL;
    x->set_up_for = NULL;
    x->pin_serial = 0;
}

/* The connection goes with the share: what it points to goes after it. */
void exchange_free(struct exchange *x)
{
    exchange_clear(x);
    curl_easy_cleanup(x->easy);
    if (x->share != NULL)
        (void)curl_share_cleanup(x->share);
    leave_lane(x);
    buf_fini(&x->header_text);
    buf_fini(&x->head);
    buf_fini(&x->answer);
    free(x);
}

void exchange_spare(struct exchange *x)
{
    struct transport *t = x->t;

    if (x->worn || t->spare_n >= (size_t)t->conf->max_in_flight ||
        (glue_fd_of(x) >= 0 && !disconnect(x))) {
        exchange_free(x);
        return;
    }
    leave_lane(x);
    x->state = EXCHANGE_SPARE;
    x->next = t->spare;
    t->spare = x;
    t->spare_n++;
}

void exchange_clear(struct exchange *x)
{
    if (x->resolve_set)
        (void)curl_easy_setopt(x->easy, CURLOPT_RESOLVE, NULL);
    x->resolve_set = false;
    x->query = NULL;
    x->head_complete = x->head_too_large = x->body_capped = x->body_coded = false;
    x->status = 0;
    x->head_seen = x->body_seen = 0;
    x->retry_after_n = 0;
    x->sent = x->sent_on_kept = x->sent_again = false;
    if (x->budget.left_bytes < 0)
        x->budget.left_bytes = 0;
    x->blocked = NULL;
    x->open_errno = 0;
    x->error[0] = x->curl_error[0] = x->address[0] = '\0';
    buf_clear(&x->header_text);
    buf_clear(&x->head);
    buf_clear(&x->answer);
}

/* "Name:" alone would mean to libcurl "do not send it"; "Name;" sends it empty. */
static void keep_empty(char *line)
{
    char *colon = strchr(line, ':');

    if (colon != NULL && colon[1 + strspn(colon + 1, " \t")] == '\0') {
        colon[0] = ';';
        colon[1] = '\0';
    }
}

enum err_code exchange_headers(struct exchange *x, const char *lines, struct err *err)
{
    static char expect[] = "Expect:"; /* no 100-continue: it would wait a second for nothing */
    size_t n = 0;

    buf_adds(&x->header_text, lines);
    if (x->header_text.failed)
        return fail(err, ERR_NOMEM, "no memory for the request's headers");
    for (char *line = x->header_text.data; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');

        if (n == HEADERS_MAX)
            return fail(err, ERR_INVALID, "more than %d request headers", HEADERS_MAX);
        if (end != NULL)
            *end = '\0';
        keep_empty(line);
        x->headers[n].data = line;
        x->headers[n].next = &x->headers[n + 1];
        n++;
        line = end != NULL ? end + 1 : NULL;
    }
    x->headers[n].data = expect;
    x->headers[n].next = NULL;
    return OK;
}

static bool set_deadlines(struct exchange *x, int64_t timeout_ms)
{
    CURL *c = x->easy;
    int64_t connect_ms = x->connect_timeout_ms < timeout_ms ? x->connect_timeout_ms : timeout_ms;
    bool ok = true;

    if (x->set_timeout_ms != timeout_ms)
        SET(CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 0 ? timeout_ms : 1));
    if (x->set_connect_ms != connect_ms)
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_ms > 0 ? connect_ms : 1));
    x->set_timeout_ms = timeout_ms;
    x->set_connect_ms = connect_ms;
    return ok;
}

/* What its lane alone decides. The text is for libcurl's messages, the parsed one for its work. */
static bool set_lane(struct exchange *x)
{
    CURL *c = x->easy;
    bool ok = true;

    SET(CURLOPT_URL, x->lane->url.whole);
    SET(CURLOPT_CURLU, x->lane->parsed);
    if (ok)
        x->set_up_for = x->lane;
    return ok;
}

bool exchange_prepare(struct exchange *x, int64_t timeout_ms)
{
    CURL *c = x->easy;
    bool ok = x->options == x->t->options || set_configured(x);

    /* A kept connection that was reset meanwhile would cost an attempt that nobody received; an
     * answer that came in unasked would be taken for this request's. */
    if (glue_fd_of(x) >= 0 && glue_stirred(x) && !disconnect(x))
        return false;
    if (x->set_up_for != x->lane)
        ok &= set_lane(x);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_bytes);
    SET(CURLOPT_POSTFIELDS, x->body_bytes > 0 ? x->body : "");
    /* Until its answer is there: by itself libcurl keeps an HTTP/2 connection that nobody answers
     * on any more, and sends each next attempt into the same hole. */
    SET(CURLOPT_FORBID_REUSE, 1L);
    ok &= set_deadlines(x, timeout_ms);
    tlane_pin(x);
    return ok;
}
