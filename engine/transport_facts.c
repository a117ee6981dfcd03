/* engine/transport_facts.c: what came back, as facts.
 *
 * The head of the final response decides: once it is complete its status is the outcome, whatever
 * becomes of the body (cut, endless, too slow). 1xx heads are not final, trailers are no head; but
 * all of them count against one limit, because libcurl keeps every header line of a transfer. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/transport_impl.h"
#include "policy/verdict.h"

static void keep(struct buf *b, const char *bytes, size_t n)
{
    size_t room = b->cap > b->len ? b->cap - b->len : 0;

    buf_add(b, bytes, n < room ? n : room);
}

static void head_start(struct exchange *x, const char *line, size_t n)
{
    const char *blank = memchr(line, ' ', n);

    buf_clear(&x->head);
    x->retry_after_n = 0;
    x->body_coded = false;
    x->status = 0;
    /* libcurl passes on nothing but three digits here. */
    for (const char *p = blank; p != NULL && p + 1 < line + n && isdigit((unsigned char)p[1]); p++)
        x->status = x->status * 10 + (p[1] - '0');
}

static void take_retry_after(struct exchange *x, const char *line, size_t n)
{
    static const char name[] = "retry-after:";
    size_t skip = sizeof(name) - 1;

    if (n < skip || strncasecmp(line, name, skip) != 0)
        return;
    while (skip < n && (line[skip] == ' ' || line[skip] == '\t'))
        skip++;
    while (n > skip && isspace((unsigned char)line[n - 1]))
        n--;
    x->retry_after_n++;
    if (n - skip >= sizeof(x->retry_after)) /* no number, no date is that long */
        n = skip;
    memcpy(x->retry_after, line + skip, n - skip);
    x->retry_after[n - skip] = '\0';
}

/* A coding that no TE header of ours asked for. libcurl would decode it, and a few kilobytes of
 * gzip within gzip are gigabytes of work: such a body is not read at all. */
static void take_coding(struct exchange *x, const char *line, size_t n)
{
    static const char name[] = "transfer-encoding:", plain[] = "chunked";
    size_t skip = sizeof(name) - 1;

    if (n < skip || strncasecmp(line, name, skip) != 0)
        return;
    while (skip < n && (line[skip] == ' ' || line[skip] == '\t'))
        skip++;
    while (n > skip && isspace((unsigned char)line[n - 1]))
        n--;
    if (n - skip != sizeof(plain) - 1 || strncasecmp(line + skip, plain, n - skip) != 0)
        x->body_coded = true;
}

/* Nobody reads on: the connection is closed, or the rest would run into the next answer. */
static void leave_body(struct exchange *x)
{
    x->body_capped = true;
    (void)curl_easy_setopt(x->easy, CURLOPT_FORBID_REUSE, 1L);
}

static void head_end(struct exchange *x)
{
    x->head_complete = true;
    (void)curl_easy_setopt(x->easy, CURLOPT_FORBID_REUSE, 0L); /* exchange_prepare() says why */
    if (x->body_coded)
        leave_body(x);
}

size_t answer_head(char *line, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;

    n *= size;
    x->head_seen += n;
    if (x->head_seen > HEAD_MAX_BYTES) {
        x->head_too_large = !x->head_complete;
        if (x->head_complete)
            leave_body(x);
        return 0; /* ends the transfer */
    }
    if (x->head_complete)
        return n; /* a trailer */
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0)
        head_start(x, line, n);
    take_retry_after(x, line, n);
    take_coding(x, line, n);
    if (n <= 2 && (line[0] == '\r' || line[0] == '\n') && x->status >= 200) {
        head_end(x);
        return x->body_capped ? 0 : n;
    }
    keep(&x->head, line, n);
    return n;
}

size_t answer_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;

    n *= size;
    keep(&x->answer, bytes, n);
    x->body_seen += n;
    if (x->body_seen > (size_t)x->t->conf->max_response_bytes) {
        leave_body(x);
        return 0; /* ends the transfer */
    }
    return n;
}

/* ---- outcome ---- */

static enum outcome outcome_of_code(CURLcode code)
{
    switch ((int)code) { /* libcurl's list is open */
    case CURLE_OPERATION_TIMEDOUT:
        return OUTCOME_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return OUTCOME_DNS;
    case CURLE_COULDNT_CONNECT:
        return OUTCOME_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_CLIENTCERT:
        return OUTCOME_TLS;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 and other versions */
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_OK: /* without a final head */
        return OUTCOME_RESET;
    default:
        return OUTCOME_INTERNAL;
    }
}

static curl_off_t info_us(const struct exchange *x, CURLINFO info)
{
    curl_off_t us = 0;

    return curl_easy_getinfo(x->easy, info, &us) == CURLE_OK ? us : 0;
}

static int32_t phase(curl_off_t from, curl_off_t to)
{
    curl_off_t us = to - from;

    return to <= 0 || us < 0 ? -1 : us > INT32_MAX ? INT32_MAX : (int32_t)us;
}

static void facts_timings(const struct exchange *x, struct transport_facts *f)
{
    curl_off_t looked = info_us(x, CURLINFO_NAMELOOKUP_TIME_T);
    curl_off_t connected = info_us(x, CURLINFO_CONNECT_TIME_T);
    curl_off_t secured = info_us(x, CURLINFO_APPCONNECT_TIME_T);
    curl_off_t ready = info_us(x, CURLINFO_PRETRANSFER_TIME_T);
    curl_off_t first = info_us(x, CURLINFO_STARTTRANSFER_TIME_T);
    curl_off_t total = info_us(x, CURLINFO_TOTAL_TIME_T);

    if (!f->reused) {
        f->connect_us = phase(looked, connected);
        f->tls_us = secured > 0 ? phase(connected, secured) : -1;
    }
    if (x->status > 0) {
        f->wait_us = phase(ready, first);
        f->transfer_us = phase(first, total);
    }
}

static void facts_address(struct exchange *x, struct transport_facts *f)
{
    const char *ip = NULL;
    long port = 0;

    if (curl_easy_getinfo(x->easy, CURLINFO_PRIMARY_IP, &ip) != CURLE_OK || ip == NULL || !*ip)
        return;
    (void)curl_easy_getinfo(x->easy, CURLINFO_PRIMARY_PORT, &port);
    (void)snprintf(x->address, sizeof(x->address), strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip,
                   port);
    f->address = x->address;
}

static const char *timeout_text(const struct exchange *x)
{
    long connects = 0;

    if (x->head_complete)
        return "timed out: reading the body";
    if (info_us(x, CURLINFO_PRETRANSFER_TIME_T) > 0)
        return x->head_seen > 0 ? "timed out: reading the response head"
                                : "timed out: waiting for the answer";
    /* libcurl 7.88 tells the time of the connection only when TLS is up too, but counts it at once. */
    (void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (connects > 0)
        return "timed out: TLS handshake";
    return "timed out: connecting";
}

static void error_text(struct exchange *x, CURLcode code, enum outcome outcome)
{
    long os = 0;

    (void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os);
    if (x->budget.left_bytes < 0)
        text_copy(x->error, sizeof(x->error), "far more came in than an answer can be");
    else if (code == CURLE_OPERATION_TIMEDOUT)
        text_copy(x->error, sizeof(x->error), timeout_text(x));
    else if (code == CURLE_OK)
        text_copy(x->error, sizeof(x->error), "the answer has no HTTP response head");
    else if (outcome == OUTCOME_CONNECT)
        (void)snprintf(x->error, sizeof(x->error), "connect%s%s: %s", x->address[0] ? " to " : "",
                       x->address, os != 0 ? errno_text((int)os) : "failed");
    else if (x->curl_error[0] != '\0')
        text_copy(x->error, sizeof(x->error), x->curl_error);
    else
        text_copy(x->error, sizeof(x->error), curl_easy_strerror(code));
}

static void facts_common(struct exchange *x)
{
    struct transport_facts *f = &x->facts;

    memset(f, 0, sizeof(*f));
    f->started_ms = x->started_wall_ms;
    f->duration_us = clock_mono_us() - x->started_us;
    f->dns_us = x->resolved_us > 0 ? phase(x->started_us, x->resolved_us) : -1;
    f->connect_us = f->tls_us = f->wait_us = f->transfer_us = -1;
    f->retry_after_ms = -1;
}

void facts_without(struct exchange *x, enum outcome outcome, const char *error)
{
    facts_common(x);
    x->facts.outcome = outcome;
    text_copy(x->error, sizeof(x->error), error);
    x->facts.error = x->error;
}

/* A kept connection may have been closed before the request reached anybody. */
static bool died_unheard(const struct exchange *x, CURLcode code)
{
    return x->sent_on_kept && !x->lane->http2 && x->head_seen == 0 &&
           (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR);
}

static void facts_failed(struct exchange *x, CURLcode code)
{
    struct transport_facts *f = &x->facts;

    f->outcome = outcome_of_code(code);
    /* libcurl calls one endless line, the first one too, a lack of memory. */
    if (x->head_too_large || (code == CURLE_OUT_OF_MEMORY && x->sent)) {
        f->outcome = OUTCOME_RESET;
        text_copy(x->error, sizeof(x->error), "response head larger than 64 KiB");
    } else if (x->sent_again || died_unheard(x, code)) {
        f->outcome = OUTCOME_RESET;
        text_copy(x->error, sizeof(x->error),
                  "the connection, kept from an earlier request, was closed without an answer");
    } else if (x->blocked != NULL && code == CURLE_COULDNT_CONNECT) {
        f->outcome = OUTCOME_BLOCKED;
        (void)snprintf(x->error, sizeof(x->error), "address refused: %s", x->blocked);
    } else if (x->open_errno != 0 && code == CURLE_COULDNT_CONNECT) {
        f->outcome = OUTCOME_INTERNAL;
        (void)snprintf(x->error, sizeof(x->error), "no socket: %s", errno_text(x->open_errno));
    } else {
        error_text(x, code, f->outcome);
    }
    f->error = x->error;
}

static void facts_response(struct exchange *x)
{
    struct transport_facts *f = &x->facts;

    if (x->head.len > 0) {
        f->head = x->head.data;
        f->head_bytes = x->head.len;
        f->status = x->head_complete ? x->status : 0;
    }
    if (x->answer.len > 0) {
        f->body = x->answer.data;
        f->body_bytes = x->answer.len;
    }
    f->truncated = x->body_seen > x->answer.len || x->head_seen > HEAD_KEPT_BYTES;
    if (x->head_complete && x->retry_after_n == 1)
        f->retry_after_ms =
            retry_after_parse(x->retry_after, strlen(x->retry_after), clock_wall_ms());
}

void facts_of(struct exchange *x, CURLcode code)
{
    struct transport_facts *f = &x->facts;
    long connects = 0, version = 0;

    facts_common(x);
    (void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
    (void)curl_easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
    if (x->status > 0)
        x->lane->http2 = version == CURL_HTTP_VERSION_2_0;
    f->reused =
        x->sent_again ||
        (connects == 0 && (x->head_seen > 0 || info_us(x, CURLINFO_PRETRANSFER_TIME_T) > 0));
    facts_address(x, f);
    facts_timings(x, f);
    facts_response(x);
    if (!x->head_complete) {
        facts_failed(x, code);
        return;
    }
    f->outcome = (enum outcome)verdict_outcome_of_status(x->status);
    if (code != CURLE_OK && !x->body_capped) {
        error_text(x, code, f->outcome);
        f->error = x->error;
    }
}
