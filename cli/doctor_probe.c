/* cli/doctor_probe.c: one look at each endpoint: does its name resolve, may its address be dialled,
 * does it connect, does its certificate hold? By libcurl, set up like the daemon's transport: the
 * same authorities, TLS versions and egress rules. No request is sent. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/doctor.h"
#include "policy/conf.h"

enum { AT_A_TIME = 16, POLL_MS = 200 };
static const char system_ca_file[] = "/etc/ssl/certs/ca-certificates.crt";

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct probe *p = arg;
    struct egress_addr a;

    if (purpose != CURLSOCKTYPE_IPCXN || !egress_addr_of(&to->addr, to->addrlen, &a))
        return CURL_SOCKET_BAD;
    egress_addr_text(&a, p->address);
    p->refused = egress_judge_addr(p->rules, &a);
    if (p->refused != NULL)
        return CURL_SOCKET_BAD;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static CURL *probe_start(const struct conf *conf, struct probe *p)
{
    CURL *c = curl_easy_init();
    char source[64];

    if (c == NULL)
        return NULL;
    curl_easy_setopt(c, CURLOPT_URL, p->url);
    curl_easy_setopt(c, CURLOPT_PRIVATE, p);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, p->said);
    curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(c, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)conf->connect_timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)conf->connect_timeout_ms);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, p);
    if (conf->ca_file != NULL || access(system_ca_file, R_OK) == 0) {
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
        curl_easy_setopt(c, CURLOPT_CAINFO, conf->ca_file ? conf->ca_file : system_ca_file);
    }
    if (conf->source_address != NULL && conf->source_address[0] != '\0') {
        snprintf(source, sizeof source, "host!%s", conf->source_address);
        curl_easy_setopt(c, CURLOPT_INTERFACE, source);
    }
    return c;
}

/* "Jan  2 03:04:05 2027 GMT"; 0: it is none. */
static int64_t date_ms(const char *text)
{
    time_t s = curl_getdate(text, NULL);

    return s > 0 ? (int64_t)s * 1000 : 0;
}

/* The end of the first certificate of the chain: the endpoint's own. */
static int64_t expiry_of(CURL *c)
{
    static const char field[] = "Expire date:";
    struct curl_certinfo *chain = NULL;

    if (curl_easy_getinfo(c, CURLINFO_CERTINFO, &chain) != CURLE_OK || chain == NULL ||
        chain->num_of_certs < 1)
        return 0;
    for (const struct curl_slist *line = chain->certinfo[0]; line != NULL; line = line->next)
        if (strncmp(line->data, field, sizeof field - 1) == 0)
            return date_ms(line->data + sizeof field - 1);
    return 0;
}

/* The text of OpenSSL's verdict on a certificate; other texts of libcurl may hold the peer's. */
static const char *reason_of(const struct probe *p, CURLcode code)
{
    static const char verdict[] = "SSL certificate problem:";

    return strncmp(p->said, verdict, sizeof verdict - 1) == 0 ? p->said : curl_easy_strerror(code);
}

static void probe_end(CURL *c, CURLcode code)
{
    struct probe *p = NULL;
    curl_off_t took = 0;
    long os = 0;

    curl_easy_getinfo(c, CURLINFO_PRIVATE, &p);
    curl_easy_getinfo(c, CURLINFO_TOTAL_TIME_T, &took);
    curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os);
    p->took_us = took;
    p->connected = code == CURLE_OK;
    p->expires_ms = expiry_of(c);
    p->step = "";
    if (code == CURLE_OK)
        return;
    p->step = code == CURLE_COULDNT_RESOLVE_HOST || p->address[0] == '\0' ? "name"
              : code == CURLE_COULDNT_CONNECT                             ? "connect"
              : code == CURLE_OPERATION_TIMEDOUT                          ? "connect"
                                                                          : "tls";
    if (p->refused != NULL)
        p->step = "address";
    snprintf(p->error, sizeof p->error, "%s",
             code == CURLE_COULDNT_CONNECT && os != 0 ? errno_text((int)os) : reason_of(p, code));
}

static void reap(CURLM *m, size_t *running)
{
    const CURLMsg *said;
    int left;

    while ((said = curl_multi_info_read(m, &left)) != NULL) {
        CURL *c = said->easy_handle;

        if (said->msg != CURLMSG_DONE)
            continue;
        probe_end(c, said->data.result);
        curl_multi_remove_handle(m, c);
        curl_easy_cleanup(c);
        (*running)--;
    }
}

bool probe_all(const struct conf *conf, struct probe *probes, size_t n)
{
    CURLM *m = curl_multi_init();
    size_t next = 0, running = 0;
    bool whole = m != NULL;
    int busy = 0;

    while (whole && (next < n || running > 0)) {
        while (next < n && running < AT_A_TIME) {
            CURL *c = probe_start(conf, &probes[next++]);

            whole = c != NULL && curl_multi_add_handle(m, c) == CURLM_OK;
            if (!whole)
                break;
            running++;
        }
        if (curl_multi_perform(m, &busy) != CURLM_OK)
            whole = false;
        reap(m, &running);
        if (running > 0)
            curl_multi_poll(m, NULL, 0, POLL_MS, NULL);
    }
    curl_multi_cleanup(m);
    return whole;
}
