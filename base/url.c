/* base/url.c: the one URL parser: what is refused before libcurl sees it, then CURLU, then a
 * comparison.
 *
 * libcurl is lenient where attackers play (one to three slashes, %70 in a host, 0x7f.1, userinfo,
 * tabs), so the text is first held against RFC 3986 and the canonical forms; and because a guard
 * and a client that read a URL differently are how SSRF works, host and port of both readings must
 * agree. The reasons name no part of the URL: it may hold a secret. */
#include "base/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_MAX_BYTES 2048
#define HOST_MAX_BYTES 253
#define LABEL_MAX_BYTES 63

/* Our own reading of the authority. */
struct authority {
    char host[HOST_MAX_BYTES + 3]; /* lower case, without brackets and trailing dot */
    bool v6;
    long port; /* 0: none given */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *check_characters(const char *text)
{
    size_t n = strlen(text);
    if (n == 0)
        return "the URL is empty";
    if (n > URL_MAX_BYTES)
        return "the URL is longer than 2048 bytes";
    for (const char *p = text; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return "blanks, control and non-ASCII characters are not allowed in a URL (write names "
                   "in their xn-- form, other characters percent-encoded)";
        if (strchr("<>\"\\^`{|}", *p))
            return "one of <>\"\\^`{|} in the URL must be percent-encoded";
        if (*p == '#')
            return "a fragment (#) is never sent: leave it away";
    }
    return NULL;
}

static const char *check_scheme(const char *text, const char **rest)
{
    size_t n = strncasecmp(text, "https:", 6) == 0 ? 6 : strncasecmp(text, "http:", 5) == 0 ? 5 : 0;
    if (n == 0)
        return "the URL must begin with https:// (or http:// where that is allowed)";
    if (strncmp(text + n, "//", 2) != 0 || text[n + 2] == '/')
        return "the scheme must be followed by exactly two slashes";
    *rest = text + n + 2;
    return NULL;
}

static const char *read_port(const char *text, size_t n, long *port)
{
    long v = 0;
    if (n == 0 || n > 5 || text[0] == '0')
        return "the port must be a number from 1 to 65535";
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(text[i]))
            return "the port must be a number from 1 to 65535";
        v = v * 10 + (text[i] - '0');
    }
    if (v > 65535)
        return "the port must be a number from 1 to 65535";
    *port = v;
    return NULL;
}

/* "[2001:db8::1]:443", n bytes. */
static const char *read_v6(const char *text, size_t n, struct authority *a)
{
    const char *close = memchr(text, ']', n);
    if (!close)
        return "a bracket is not closed in the host";
    size_t inner_n = (size_t)(close - text) - 1;
    char inner[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (inner_n >= sizeof inner)
        return "the host in brackets is not an IPv6 address";
    memcpy(inner, text + 1, inner_n);
    inner[inner_n] = '\0';
    if (inet_pton(AF_INET6, inner, &addr) != 1)
        return "the host in brackets is not an IPv6 address (zone ids are not allowed)";
    inet_ntop(AF_INET6, &addr, a->host, sizeof a->host);
    a->v6 = true;
    size_t rest_n = n - inner_n - 2;
    if (rest_n == 0)
        return NULL;
    if (close[1] != ':')
        return "only a port may follow an IPv6 address";
    return read_port(close + 2, rest_n - 1, &a->port);
}

static const char *check_label(const char *label, size_t n)
{
    if (n == 0)
        return "the host has an empty label";
    if (n > LABEL_MAX_BYTES)
        return "a label of the host is longer than 63 bytes";
    if (label[0] == '-' || label[n - 1] == '-')
        return "a label of the host begins or ends with a hyphen";
    for (size_t i = 0; i < n; i++) {
        char c = label[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
            return "the host may hold letters, digits, hyphens and dots only";
    }
    return NULL;
}

/* inet_aton() and browsers read such a last label as part of an address: 7, 0x7f, 017. */
static bool is_numeric_label(const char *label)
{
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

static const char *check_name(char *host)
{
    size_t n = strlen(host);
    bool dot = n > 0 && host[n - 1] == '.';
    if (dot)
        host[--n] = '\0';
    if (n == 0)
        return "the host is missing";
    const char *label = host, *last = host;
    while (label) {
        const char *end = strchr(label, '.');
        const char *why = check_label(label, end ? (size_t)(end - label) : strlen(label));
        if (why)
            return why;
        last = label;
        label = end ? end + 1 : NULL;
    }
    if (!is_numeric_label(last))
        return NULL;
    struct in_addr addr;
    char canonical[INET_ADDRSTRLEN];
    if (dot || inet_pton(AF_INET, host, &addr) != 1 ||
        !inet_ntop(AF_INET, &addr, canonical, sizeof canonical) || strcmp(canonical, host) != 0)
        return "a host that looks like a number must be an IPv4 address of four decimal parts "
               "without leading zeros";
    return NULL;
}

static const char *read_authority(const char *text, size_t n, struct authority *a)
{
    if (memchr(text, '@', n))
        return "a user name or password is not allowed in a URL: use a bearer token or headers";
    if (memchr(text, '%', n))
        return "percent-encoding is not allowed in the host";
    if (n > 0 && text[0] == '[')
        return read_v6(text, n, a);
    const char *colon = memchr(text, ':', n);
    size_t host_n = colon ? (size_t)(colon - text) : n;
    if (host_n > HOST_MAX_BYTES + 1)
        return "the host is longer than 253 bytes";
    for (size_t i = 0; i < host_n; i++)
        a->host[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    a->host[host_n] = '\0';
    const char *why = check_name(a->host);
    if (why)
        return why;
    if (strlen(a->host) > HOST_MAX_BYTES)
        return "the host is longer than 253 bytes";
    return colon ? read_port(colon + 1, n - host_n - 1, &a->port) : NULL;
}

/* libcurl's reading of the host; brackets and spelling of addresses apart it must be ours. */
static bool same_host(const char *curls, const struct authority *a)
{
    if (!a->v6) {
        size_t n = strlen(a->host);
        return strncasecmp(curls, a->host, n) == 0 &&
               (curls[n] == '\0' || strcmp(curls + n, ".") == 0);
    }
    char inner[INET6_ADDRSTRLEN];
    struct in6_addr mine, theirs;
    size_t n = strlen(curls);
    if (n < 2 || n - 2 >= sizeof inner || curls[0] != '[')
        return false;
    memcpy(inner, curls + 1, n - 2);
    inner[n - 2] = '\0';
    return inet_pton(AF_INET6, inner, &theirs) == 1 && inet_pton(AF_INET6, a->host, &mine) == 1 &&
           memcmp(&mine, &theirs, sizeof mine) == 0;
}

static char *part(CURLU *u, CURLUPart what, unsigned flags)
{
    char *curls = NULL;
    if (curl_url_get(u, what, &curls, flags) != CURLUE_OK)
        return NULL;
    char *own = strdup(curls); /* url_fini() frees with free(), not with curl_free() */
    curl_free(curls);
    return own;
}

/* Gives libcurl the host as we spell it (lower case, no trailing dot) and reads all parts back. */
static bool normalise(CURLU *u, const struct authority *a, struct url *out)
{
    char bracketed[sizeof a->host + 2];
    snprintf(bracketed, sizeof bracketed, "[%s]", a->host);
    if (curl_url_set(u, CURLUPART_HOST, a->v6 ? bracketed : a->host, 0) != CURLUE_OK)
        return false;
    out->whole = part(u, CURLUPART_URL, CURLU_NO_DEFAULT_PORT);
    out->scheme = part(u, CURLUPART_SCHEME, 0);
    out->host = strdup(a->host);
    char *port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    long v = port ? strtol(port, NULL, 10) : 0;
    free(port);
    if (!out->whole || !out->scheme || !out->host || v < 1 || v > 65535 ||
        (a->port && v != a->port))
        return false;
    out->port = (uint16_t)v;
    const char *path = strchr(out->whole + strlen(out->scheme) + 3, '/');
    out->path = strdup(path ? path : "/");
    return out->path != NULL;
}

enum err_code url_parse(const char *text, struct url *out, struct err *err)
{
    const char *rest = NULL, *why = check_characters(text);
    struct authority a = {.port = 0};
    if (!why)
        why = check_scheme(text, &rest);
    if (!why)
        why = read_authority(rest, strcspn(rest, "/?"), &a);
    if (why)
        return fail(err, ERR_INVALID, "%s", why);

    struct url made = {0};
    enum err_code code = OK;
    char *curls = NULL;
    CURLU *u = curl_url();
    if (!u)
        return fail(err, ERR_NOMEM, "no memory for a URL");
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, text, 0);
    if (rc != CURLUE_OK) {
        code = fail(err, ERR_INVALID, "not a URL: %s", curl_url_strerror(rc));
        goto free_curl;
    }
    if (curl_url_get(u, CURLUPART_HOST, &curls, 0) != CURLUE_OK || !same_host(curls, &a)) {
        code = fail(err, ERR_INVALID, "the host of the URL can be read in two ways");
        goto free_curl;
    }
    if (!normalise(u, &a, &made)) {
        url_fini(&made);
        code = fail(err, ERR_INVALID, "the URL cannot be brought into its normal form");
        goto free_curl;
    }
    *out = made;
free_curl:
    curl_free(curls);
    curl_url_cleanup(u);
    return code;
}

void url_fini(struct url *u)
{
    free(u->whole);
    free(u->scheme);
    free(u->host);
    free(u->path);
    *u = (struct url){0};
}

const char *url_sqlite_path(const char *url)
{
    static const char scheme[] = "sqlite://";
    const size_t n = sizeof scheme - 1;

    return strncmp(url, scheme, n) == 0 && url[n] == '/' ? url + n : NULL;
}
