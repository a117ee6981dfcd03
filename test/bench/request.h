/* test/bench/request.h: one request like those of webhookd, for clients that are its yardstick.
 *
 * FILE is a request that webhookd sent (recorder.py): header lines without those that an HTTP
 * library adds by itself (Host, Accept, Content-Length), an empty line, the body. Each request
 * gets its number into the event's id (header and body) and into X-Request-ID, and its body is
 * signed anew; all else is as recorded, byte for byte. */
#ifndef TEST_BENCH_REQUEST_H
#define TEST_BENCH_REQUEST_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { REQUEST_NUMBER_DIGITS = 12 };

struct request_shape {
    char *file; /* as read */
    size_t file_bytes, body_at;
};
struct request {
    char *text; /* headers, each with an end of line, an empty line, body */
    char *body;
    size_t body_bytes;
    char *id_in_head, *id_in_body, *request_id; /* where the digits go; NULL: not there */
    char *signature;                            /* 64 hexadecimal digits */
};

static inline double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline double cpu_s(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inline bool request_shape_read(struct request_shape *s, const char *path)
{
    FILE *f = fopen(path, "rb");
    const char *end;

    if (f == NULL)
        return false;
    s->file = calloc(1, (size_t)2 << 20);
    s->file_bytes = s->file != NULL ? fread(s->file, 1, ((size_t)2 << 20) - 1, f) : 0;
    (void)fclose(f);
    end = s->file_bytes > 0 ? strstr(s->file, "\n\n") : NULL;
    s->body_at = end != NULL ? (size_t)(end - s->file) + 2 : 0;
    return end != NULL;
}

/* Behind NAME in the headers; NULL: not there. *end: behind its value. */
static inline char *request_value(const struct request *r, const char *name, char **end)
{
    char *at = strstr(r->text, name);

    if (at == NULL || at >= r->body)
        return NULL;
    at += strlen(name);
    *end = at + strcspn(at, "\r\n");
    return at;
}

/* Finds in a text what changes from one request to the next. */
static inline bool request_mark(struct request *r, char *text, size_t body_at, size_t bytes)
{
    char *end, *id;

    r->text = text;
    r->body = text + body_at;
    r->body_bytes = bytes - body_at;
    r->id_in_head = r->id_in_body = r->request_id = NULL;
    if ((id = request_value(r, "webhook-id: ", &end)) != NULL) {
        char kept = *end;

        *end = '\0';
        r->id_in_head = end - REQUEST_NUMBER_DIGITS;
        r->id_in_body = strstr(r->body, id);
        if (r->id_in_body != NULL)
            r->id_in_body += r->id_in_head - id;
        *end = kept;
    }
    if (request_value(r, "X-Request-ID: ", &end) != NULL)
        r->request_id = end - REQUEST_NUMBER_DIGITS;
    r->signature = request_value(r, "X-BondX-Signature: sha256=", &end);
    return r->signature != NULL && end - r->signature == 64;
}

static inline void request_digits(char *at, long number)
{
    if (at == NULL)
        return;
    for (int i = REQUEST_NUMBER_DIGITS; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
}

/* Makes it the number-th. */
static inline void request_next(struct request *r, long number)
{
    static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_bytes = 0;

    request_digits(r->id_in_head, number);
    request_digits(r->id_in_body, number);
    request_digits(r->request_id, number);
    (void)HMAC(EVP_sha256(), secret, sizeof(secret) - 1, (const unsigned char *)r->body,
               r->body_bytes, mac, &mac_bytes);
    for (unsigned int i = 0; i < 32; i++) {
        r->signature[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        r->signature[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
}

/* The one line that a client prints. */
static inline void request_report(long n, long bad, double seconds, double cpu)
{
    printf("{\"n\":%ld,\"bad\":%ld,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", n, bad, seconds, cpu);
}

#endif
