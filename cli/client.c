/* cli/client.c: see client.h. */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/url.h"
#include "cli/client_log.h"
#include "cli/client_store.h"
#include "cli/out.h"
#include "engine/api.h"
#include "engine/intake.h"
#include "store/backend.h"
#include "store/seal.h"

#define ANSWER_MAX_BYTES ((size_t)64 << 20)
#define LOCK_WAIT_MS 2000

struct client {
    CURL *curl;
    struct keyring *keys; /* NULL until the first call in this process */
};

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct answer *out = arg;

    buf_add(&out->raw, bytes, size * n);
    return out->raw.failed ? 0 : size * n;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    static const char name[] = "x-next-cursor:";
    struct answer *out = arg;
    size_t len = size * n;

    if (len < sizeof name || strncasecmp(bytes, name, sizeof name - 1) != 0)
        return len;
    const char *at = bytes + sizeof name - 1;
    size_t rest = len - (sizeof name - 1);

    while (rest > 0 && *at == ' ')
        at++, rest--;
    while (rest > 0 && (at[rest - 1] == '\r' || at[rest - 1] == '\n' || at[rest - 1] == ' '))
        rest--;
    if (rest < sizeof out->next_cursor)
        text_copy(out->next_cursor, rest + 1, at);
    return len;
}

enum reach { REACH_ANSWERED, REACH_NO_DAEMON, REACH_LOST, REACH_FAILED };

static void curl_setup(struct cli *cli, const struct client_request *r, struct curl_slist *headers,
                       struct answer *out)
{
    CURL *curl = cli->client->curl;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, cli->socket);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "webhookctl/" WEBHOOKD_VERSION);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)cli->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, out);
    if (strcmp(r->method, "GET") != 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body ? (const char *)r->body : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_bytes);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

static bool connection_lost(CURLcode code)
{
    return code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING ||
           code == CURLE_PARTIAL_FILE;
}

static int no_answer(const struct cli *cli, const struct client_request *r, CURLcode code)
{
    const char *doubt = strcmp(r->method, "GET") == 0 ? "" : "; whether it was done is not known";
    char waited[32];

    text_duration(waited, sizeof waited, cli->timeout_ms);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return out_fail(cli, CLI_UNREACHABLE, "unavailable",
                        "webhookd at %s did not answer within %s%s; --timeout DUR waits longer",
                        cli->socket, waited, doubt);
    return out_fail(cli, CLI_UNREACHABLE, "unavailable", "webhookd at %s did not answer: %s%s",
                    cli->socket, curl_easy_strerror(code), doubt);
}

/* Fills out on REACH_ANSWERED; *rc is the exit code of REACH_FAILED, whose reason was printed.
 * REACH_LOST, where again says that it may be asked again: webhookd ended under it. */
static enum reach ask_daemon(struct cli *cli, const struct client_request *r, struct answer *out,
                             bool again, int *rc)
{
    CURL *curl = cli->client->curl;
    struct curl_slist *headers = NULL;
    char type[128];
    struct buf url;
    long os_errno = 0, status = 0;

    buf_init(&url, (size_t)1 << 20);
    buf_addf(&url, "http://webhookd%s%s%s", r->path, r->query ? "?" : "", r->query ? r->query : "");
    snprintf(type, sizeof type, "Content-Type: %s",
             r->content_type ? r->content_type : "application/json");
    headers = curl_slist_append(NULL, type);
    /* no waiting for "100 Continue" */
    struct curl_slist *more = curl_slist_append(headers, "Expect:");

    headers = more ? more : headers;
    curl_setup(cli, r, headers, out);
    curl_easy_setopt(curl, CURLOPT_URL, url.data);
    CURLcode code = curl_easy_perform(curl);

    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    buf_fini(&url);
    if (code == CURLE_OK) {
        out->status = (int)status;
        return REACH_ANSWERED;
    }
    if (code == CURLE_COULDNT_CONNECT && os_errno != EACCES && os_errno != EPERM &&
        os_errno != EAGAIN)
        return REACH_NO_DAEMON;
    if (again && connection_lost(code))
        return REACH_LOST;
    if (code == CURLE_COULDNT_CONNECT && (os_errno == EACCES || os_errno == EPERM))
        *rc =
            out_fail(cli, CLI_DENIED, "forbidden",
                     "no permission for %s: run as root or as a member of its group", cli->socket);
    else if (r->quiet)
        *rc = CLI_UNREACHABLE;
    else
        *rc = no_answer(cli, r, code);
    return REACH_FAILED;
}

static int client_ready(struct cli *cli)
{
    int rc = cli_socket(cli);

    if (rc != 0 || cli->client != NULL)
        return rc;
    struct client *c = calloc(1, sizeof *c);

    if (c != NULL)
        c->curl = curl_easy_init();
    if (c == NULL || c->curl == NULL) {
        free(c);
        return out_fail(cli, CLI_INTERNAL, "internal", "out of memory");
    }
    cli->client = c;
    return 0;
}

const char *client_library(void)
{
    static char text[64];

    snprintf(text, sizeof text, "libcurl %s", curl_version_info(CURLVERSION_NOW)->version);
    return text;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    curl_easy_cleanup(c->curl);
    keyring_free(c->keys);
    free(c);
}

/* jansson refuses numbers that a double or 64 bits cannot hold, which are legal in a producer's
 * JSON and come back in answers. They become strings of the same characters here, for screens; the
 * raw answer keeps them. */
static json_t *parse_softened(const struct buf *raw)
{
    struct buf soft;
    bool text = false;

    buf_init(&soft, ANSWER_MAX_BYTES * 2);
    for (const char *at = raw->data, *end = at ? at + raw->len : at; at < end;) {
        size_t n = text ? 0 : strspn(at, "+-.0123456789eE");

        if (n > 0 && strchr("-0123456789", *at) != NULL && (n > 15 || strcspn(at, "eE") < n)) {
            buf_addc(&soft, '"');
            buf_add(&soft, at, n);
            buf_addc(&soft, '"');
        } else if (n == 0) {
            n = text && *at == '\\' ? 2 : 1;
            text = text != (*at == '"');
            buf_add(&soft, at, n);
        } else {
            buf_add(&soft, at, n);
        }
        at += n;
    }
    json_t *json =
        soft.failed ? NULL : json_loadb(soft.data ? soft.data : "", soft.len, JSON_ALLOW_NUL, NULL);

    buf_fini(&soft);
    return json;
}

int client_send(struct cli *cli, const struct client_request *r, struct answer *out)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 50000000};
    int64_t until = clock_mono_ms() + LOCK_WAIT_MS;
    struct err err = {OK, ""};
    bool dry = strcmp(r->method, "GET") != 0 && cli_flag(cli, FLAG_DRY_RUN) != NULL;
    bool again = dry || strcmp(r->method, "GET") == 0; /* who only looks may look twice */
    int64_t start = clock_mono_ms();
    int rc = client_ready(cli);
    struct client_request tried = *r;

    if (dry) { /* whatever the command means to do, webhookd changes nothing */
        tried.query = "dry_run=1";
        r = &tried;
    }
    memset(out, 0, sizeof *out);
    buf_init(&out->raw, ANSWER_MAX_BYTES);
    client_log_request(cli, r);
    while (rc == 0) {
        enum reach reach = ask_daemon(cli, r, out, again, &rc);

        if (reach == REACH_LOST) { /* one that is killed may take another connection meanwhile */
            again = clock_mono_ms() < until;
            buf_clear(&out->raw);
            out->next_cursor[0] = '\0';
            nanosleep(&pause, NULL);
            continue;
        }
        if (reach != REACH_NO_DAEMON)
            break;
        if (r->daemon_only) {
            rc = CLI_UNREACHABLE;
            if (!r->quiet)
                out_fail(cli, rc, "unavailable",
                         cli->conf != NULL
                             ? "no webhookd listens at %s; start it with webhookd -c %s"
                             : "no webhookd listens at %s; none can start before %s is correct",
                         cli->socket, cli->config_file);
            break;
        }
        rc = cli_conf(cli); /* the store itself cannot be found past mistakes */
        if (rc != 0)
            break;
        if (client_ask_store(cli, &cli->client->keys, r, out, &err) == OK)
            break;
        if (err.code != ERR_BUSY)
            rc = out_fail_err(cli, &err);
        else if (clock_mono_ms() >= until)
            rc = out_fail(cli, CLI_LATER, "busy",
                          "no webhookd listens at %s, but a process holds the store (one that "
                          "starts or stops?): %s; try again",
                          cli->socket, err.text);
        else
            nanosleep(&pause, NULL); /* starting or stopping: ask both again */
    }
    if (rc != 0) {
        answer_fini(out);
        return rc;
    }
    client_log_answer(cli, out, clock_mono_ms() - start);
    out->json = json_loadb(out->raw.data ? out->raw.data : "", out->raw.len, JSON_ALLOW_NUL, NULL);
    if (out->json == NULL && out->raw.len > 0 && out->raw.data[0] == '{')
        out->json = parse_softened(&out->raw);
    return 0;
}

int client_judge(struct cli *cli, const struct answer *a, int on_invalid)
{
    const char *code = out_string(a->json, "error.code");
    const char *message = out_string(a->json, "error.message");

    if (a->status >= 200 && a->status < 300)
        return 0;
    /* without a code it is no answer of webhookd's, whatever its status is */
    int rc = code != NULL ? cli_exit_of_status(a->status, code, on_invalid) : CLI_INTERNAL;

    if (cli->format != OUT_TABLE && cli->format != OUT_ID && code != NULL)
        return out_fail_json(rc, a->json);
    const char *target = out_string(a->json, "error.target");

    /* most messages begin with what they are about, and what is not there is named */
    if (a->status == 404)
        target = NULL;
    if (target != NULL && message != NULL && strncmp(target, message, strlen(target)) == 0)
        target = NULL;
    return out_fail(cli, rc, code ? code : "internal", "%s%s%s", target ? target : "",
                    target ? ": " : "",
                    message ? message : "webhookd gave an answer that this webhookctl cannot read");
}

int client_call(struct cli *cli, const char *method, const char *path, const char *query,
                const struct buf *body, struct answer *out)
{
    struct client_request r = {.method = method,
                               .path = path,
                               .query = query && *query ? query : NULL,
                               .body = body ? body->data : NULL,
                               .body_bytes = body ? body->len : 0};
    int rc = client_send(cli, &r, out);

    if (rc != 0)
        return rc;
    rc = client_judge(cli, out, CLI_USAGE);
    if (rc != 0)
        answer_fini(out);
    return rc;
}

int client_call_json(struct cli *cli, const char *method, const char *path, json_t *body,
                     struct answer *out)
{
    struct buf text;
    char *dump = body ? json_dumps(body, JSON_COMPACT) : NULL;

    buf_init(&text, (size_t)16 << 20);
    buf_adds(&text, dump ? dump : "{}");
    int rc = client_call(cli, method, path, NULL, &text, out);

    buf_fini(&text);
    free(dump);
    json_decref(body);
    return rc;
}

int client_ask_daemon(struct cli *cli, const char *path, json_t *body, struct answer *out)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct client_request r = {.method = body != NULL ? "POST" : "GET",
                               .path = path,
                               .body = text,
                               .body_bytes = text != NULL ? strlen(text) : 0,
                               .daemon_only = true};
    int rc = client_send(cli, &r, out);

    free(text);
    json_decref(body);
    return rc == 0 ? client_readable(cli, out) : rc;
}

void answer_fini(struct answer *a)
{
    json_decref(a->json);
    a->json = NULL;
    buf_fini(&a->raw);
}

int client_unreadable(struct cli *cli, struct answer *a)
{
    answer_fini(a);
    return out_fail(cli, CLI_INTERNAL, "internal",
                    "webhookd gave an answer that this webhookctl cannot read");
}

int client_readable(struct cli *cli, struct answer *a)
{
    return json_is_object(a->json) ? 0 : client_unreadable(cli, a);
}

static void percent(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (const char *p = text; *p; p++) {
        if (strchr(plain, *p) != NULL)
            buf_addc(out, *p);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

void client_query(struct buf *q, const char *key, const char *value)
{
    if (q->len > 0)
        buf_addc(q, '&');
    buf_adds(q, key);
    buf_addc(q, '=');
    percent(q, value);
}

void client_path(struct buf *path, const char *noun, const char *ref, const char *verb)
{
    buf_addf(path, "/api/v1/%s/", noun);
    percent(path, ref);
    if (verb != NULL)
        buf_addf(path, "/%s", verb);
}
