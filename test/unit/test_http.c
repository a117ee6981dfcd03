/* test/unit/test_http.c: the real server on a real socket and port, asked by a plain client in
 * another thread that sends what no library would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* base/err.h has a function of that name */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/http.h"
#include "store/seal.h"

struct world {
    char dir[32], url[128], socket[64];
    int port, held, wake[2];
    bool not_ready;
    struct keyring *keys;
    struct store *store;
    struct intake *intake;
    struct metrics *metrics;
    struct conf *conf;
    struct loop *loop;
    struct loop_watch *store_watch, *end_watch;
    struct http *http;
    int changed; /* writes that the loop heard of */
    void (*story)(struct world *w);
    char answer[65536];
    int status;
    char why[512]; /* what the client's thread found wrong */
};

static void must(enum err_code code, const struct err *err)
{
    if (code != OK) {
        print_error("%s: %s\n", err_code_name(code), err->text);
        _fail(__FILE__, __LINE__);
    }
}

/* ---- the daemon's side ---- */
static void on_changed(void *arg, const struct changes *ch, loop_fn *heard, void *heard_arg)
{
    struct world *w = arg;
    (void)ch;
    w->changed++;
    heard(heard_arg);
}
static void on_live(void *arg, struct api_live *out)
{
    struct world *w = arg;
    *out = (struct api_live){.pid = 1, .ready = !w->not_ready, .draining = w->not_ready};
}
static int64_t *on_sending(void *arg, size_t *n)
{
    (void)arg;
    *n = 0;
    return NULL;
}
static void on_look(void *arg, unsigned what, loop_fn *fn, void *fn_arg)
{
    (void)arg;
    (void)what;
    fn(fn_arg);
}
static void on_lanes(void *arg, struct api_live *out)
{
    (void)arg;
    out->log_bytes = 4096;
}
static void on_metrics(void *arg, struct metrics_now *out)
{
    (void)arg;
    out->in_flight_limit = 512;
}
static void on_metrics_text(void *arg, const struct metrics_now *now, struct buf *out)
{
    metrics_write(((struct world *)arg)->metrics, now, out);
}
static const struct conf *on_conf(void *arg)
{
    return ((struct world *)arg)->conf;
}
static void on_store(void *arg)
{
    store_drain(((struct world *)arg)->store);
}
static void on_end(void *arg)
{
    loop_stop(((struct world *)arg)->loop);
}

/* Bound and never listening, *held keeps the port from everybody but who names it. */
static int free_port(int *held)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int on = 1;
    *held = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(*held, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(*held, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(*held, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static struct http_hooks hooks_of(struct world *w)
{
    return (struct http_hooks){w,        on_changed, on_look,         on_live, on_sending,
                               on_lanes, on_metrics, on_metrics_text, on_conf};
}

static int world_open(void **state)
{
    static const uint8_t key[32] = {9};
    struct world *w = calloc(1, sizeof *w);
    struct err err = {0};
    struct buf problems;
    char text[512];
    (void)signal(SIGPIPE, SIG_IGN); /* as engine.c does */
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/webhookd-http-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->url, sizeof w->url, "sqlite://%s/store.db", w->dir);
    (void)snprintf(w->socket, sizeof w->socket, "%s/sock", w->dir);
    w->port = free_port(&w->held);
    (void)snprintf(text, sizeof text, "listen: {socket: %s, http: \"127.0.0.1:%d\"}\n", w->socket,
                   w->port);
    buf_init(&problems, 65536);
    if (conf_parse(&w->conf, "test", text, strlen(text), &problems) != OK)
        print_error("%s", problems.data);
    buf_fini(&problems);
    must(keyring_from_bytes(&w->keys, key, &err), &err);
    must(store_open(&w->store, w->url, w->keys, 0, &err), &err);
    w->intake = intake_new(w->keys);
    w->metrics = metrics_new();
    w->loop = loop_new();
    assert_int_equal(pipe(w->wake), 0);
    w->store_watch = loop_watch_new(w->loop, store_fd(w->store), on_store, w);
    w->end_watch = loop_watch_new(w->loop, w->wake[0], on_end, w);
    struct http_hooks hooks = hooks_of(w);
    must(http_new(&w->http, w->loop, w->conf, w->store, w->intake, w->metrics, &hooks, &err), &err);
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    char command[128];
    http_free(w->http);
    loop_watch_free(w->store_watch);
    loop_watch_free(w->end_watch);
    store_close(w->store);
    intake_free(w->intake);
    metrics_free(w->metrics);
    loop_free(w->loop);
    keyring_free(w->keys);
    conf_free(w->conf);
    close(w->held);
    close(w->wake[0]);
    close(w->wake[1]);
    (void)snprintf(command, sizeof command, "rm -rf %s", w->dir);
    int rc = system(command);
    free(w);
    return rc;
}

/* ---- the client's side ---- */
#define CHECK(w, cond)                                                                             \
    do {                                                                                           \
        if (!(cond) && !(w)->why[0])                                                               \
            (void)snprintf((w)->why, sizeof(w)->why, "line %d: %s; answer %d %.300s", __LINE__,    \
                           #cond, (w)->status, (w)->answer);                                       \
    } while (0)

static int dial(struct world *w, bool tcp)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)},
                             .sin_port = htons((uint16_t)w->port)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = 15};
    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s", w->socket);
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    int rc = tcp ? connect(fd, (struct sockaddr *)&in, sizeof in)
                 : connect(fd, (struct sockaddr *)&un, sizeof un);
    if (rc != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Sends bytes (step at a time), reads to the end: every connection has one answer. */
static int ask(struct world *w, bool tcp, const char *bytes, size_t step)
{
    size_t n = strlen(bytes), got = 0;
    int fd = dial(w, tcp);
    w->status = 0;
    w->answer[0] = '\0';
    if (fd < 0)
        return -1;
    for (size_t i = 0; i < n; i += step)
        if (send(fd, bytes + i, n - i < step ? n - i : step, MSG_NOSIGNAL) < 0)
            break;
    for (;;) {
        ssize_t more = recv(fd, w->answer + got, sizeof w->answer - 1 - got, 0);
        if (more <= 0)
            break;
        got += (size_t)more;
    }
    w->answer[got] = '\0';
    close(fd);
    if (!strncmp(w->answer, "HTTP/1.", 7))
        w->status = (int)strtol(w->answer + 9, NULL, 10);
    return w->status;
}

static void *client(void *arg)
{
    struct world *w = arg;
    w->story(w);
    (void)!write(w->wake[1], "", 1);
    return NULL;
}

static void play(struct world *w, void (*story)(struct world *w))
{
    pthread_t t;
    w->story = story;
    assert_int_equal(pthread_create(&t, NULL, client, w), 0);
    loop_run(w->loop);
    pthread_join(t, NULL);
    if (w->why[0]) {
        print_error("%s\n", w->why);
        _fail(__FILE__, __LINE__);
    }
}

/* ---- the stories ---- */
static const char SUB[] = "{\"url\":\"https://a.example/\",\"events\":\"*\",\"name\":\"acme\"}";

static void story_api(struct world *w)
{
    char text[512];
    CHECK(w,
          ask(w, false, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: c-7\r\n\r\n",
              4096) == 200);
    CHECK(w, strstr(w->answer, "\"ready\":true") != NULL);
    CHECK(w, strstr(w->answer, "X-Correlation-ID: c-7\r\n") != NULL);
    CHECK(w, strstr(w->answer, "Connection: close\r\n") != NULL);
    (void)snprintf(
        text, sizeof text,
        "POST /api/v1/subscriptions HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(SUB), SUB);
    CHECK(w, ask(w, false, text, 1) == 201); /* byte by byte */
    CHECK(w, strstr(w->answer, "whsec_") != NULL);
    CHECK(w, ask(w, false, text, 4096) == 409);
    CHECK(w, ask(w, false, "GET /api/v1/audit HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 200);
    (void)snprintf(text, sizeof text, "\"actor\":\"uid:%u", (unsigned)getuid());
    CHECK(w, strstr(w->answer, text) != NULL);
    /* a body is nobody's head, whatever its lines look like */
    static const char lines[] = "{\n \"name\"\n: \"lf\"}\n\n";
    (void)snprintf(text, sizeof text,
                   "POST /api/v1/partners HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(lines), lines);
    CHECK(w, ask(w, false, text, 4096) == 201);
    (void)snprintf(text, sizeof text,
                   "POST /api/v1/partners HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(lines), lines);
    CHECK(w, ask(w, false, text, 1) == 409);
    CHECK(w, ask(w, false, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 404);
    CHECK(w, ask(w, false, "DELETE /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 405);
    CHECK(w, ask(w, false, "DELETE /api/v1/subscriptions/acme HTTP/1.1\r\nHost: x\r\n\r\n", 4096) ==
                 200);
}

static void test_api(void **state)
{
    struct world *w = *state;
    struct stat st;
    assert_int_equal(stat(w->socket, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    play(w, story_api);
    assert_int_equal(w->changed, 3); /* the refused ones changed nothing */
}

static void story_smuggle(struct world *w)
{
    static const char *const heads[] = {
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\nX: a\nY: b\r\n\r\n{}",
        "content-length: 2\r\nCONTENT-LENGTH: 3\r\n\r\n{}",
    };
    char text[1024];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        for (size_t step = 1; step < 2000; step += 1000) {
            (void)snprintf(text, sizeof text,
                           "POST /api/v1/subscriptions/x/pause HTTP/1.1\r\nHost: x\r\n%s",
                           heads[i]);
            if (ask(w, false, text, step) != 400)
                (void)snprintf(w->why, sizeof w->why, "head %zu: %d %.200s", i, w->status,
                               w->answer);
        }
    char *big = malloc(40000);
    int n = snprintf(big, 40000, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\nX: ");
    memset(big + n, 'a', 30000);
    memcpy(big + n + 30000, "\r\n\r\n", 5);
    (void)ask(w, false, big, 4096);
    CHECK(w, w->status >= 400 || w->status == 0); /* refused or cut */
    free(big);
    (void)ask(w, false,
              "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 4096);
    CHECK(w, w->status >= 400 || w->status == 0);
    CHECK(w, ask(w, false, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 200);
}

static void test_smuggle(void **state)
{
    play(*state, story_smuggle);
}

static void story_tcp(struct world *w)
{
    CHECK(w, ask(w, true, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 200);
    CHECK(w, ask(w, true, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 200);
    CHECK(w, ask(w, true, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 200);
    CHECK(w, strstr(w->answer, "webhookd_deliveries{state=\"dead\"} 0\n") != NULL);
    CHECK(w, strstr(w->answer, "text/plain; version=0.0.4") != NULL);
    CHECK(w, ask(w, true, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 404);
    CHECK(w, ask(w, true, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 4096) ==
                 405);
    w->not_ready = true;
    CHECK(w, ask(w, true, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 503);
    CHECK(w, ask(w, true, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 200);
}

static void test_tcp(void **state)
{
    play(*state, story_tcp);
}

/* Clients that go away at every moment of a request leave nothing behind. */
static void story_rude(struct world *w)
{
    static const char request[] = "POST /api/v1/partners HTTP/1.1\r\nHost: x\r\n"
                                  "Content-Length: 14\r\n\r\n{\"name\":\"glo\"}";
    for (size_t n = 0; n <= sizeof request - 1; n += 7) {
        int fd = dial(w, false);
        (void)send(fd, request, n, MSG_NOSIGNAL);
        close(fd);
    }
    for (int i = 0; i < 300; i++) { /* more than may be open at once */
        int fd = dial(w, false);
        (void)send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
        close(fd);
    }
    /* As long as theirs are held, "busy" is the right answer. */
    int status = 503;
    for (int i = 0; status == 503 && i < 500; i++) {
        status = ask(w, false, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 4096);
        (void)poll(NULL, 0, 10);
    }
    CHECK(w, status == 200);
}

static void test_rude(void **state)
{
    play(*state, story_rude);
}

/* ---- bodies that wait ---- */
enum { LARGE = 5 };
struct gate {
    pthread_mutex_t mutex; /* locked: the writer waits */
    bool passed;
};

static enum err_code gate_work(struct backend *b, void *arg, struct err *err)
{
    struct gate *g = arg;
    (void)b;
    (void)err;
    pthread_mutex_lock(&g->mutex);
    pthread_mutex_unlock(&g->mutex);
    return OK;
}

static void gate_done(void *arg, const struct err *err, int64_t generation)
{
    (void)err;
    (void)generation;
    ((struct gate *)arg)->passed = true;
}

static struct gate gate;

/* The whole head and body; false: the other side stopped reading. */
static bool send_large(int fd)
{
    static char part[65536];
    char head[128];
    size_t left = API_BODY_MAX_BYTES;
    int n =
        snprintf(head, sizeof head,
                 "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", left);
    bool ok = send(fd, head, (size_t)n, MSG_NOSIGNAL) == n;
    memset(part, 'x', sizeof part);
    while (ok && left > 0) {
        ssize_t sent = send(fd, part, left < sizeof part ? left : sizeof part, MSG_NOSIGNAL);
        ok = sent > 0;
        left -= ok ? (size_t)sent : 0;
    }
    return ok;
}

static int status_of(struct world *w, int fd)
{
    char answer[4096] = "";
    if (recv(fd, answer, sizeof answer - 1, MSG_WAITALL) < 12)
        CHECK(w, !"an answer");
    return (int)strtol(answer + 9, NULL, 10);
}

/* While nothing is written, four of the largest may wait, and any number of small ones beside them. */
static void story_large(struct world *w)
{
    static const char small[] =
        "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    int large[LARGE], waits = dial(w, false);
    for (int i = 0; i < LARGE; i++) {
        large[i] = dial(w, false);
        CHECK(w, send_large(large[i]));
    }
    CHECK(w, status_of(w, large[LARGE - 1]) == 503);
    CHECK(w, send(waits, small, sizeof small - 1, MSG_NOSIGNAL) > 0);
    CHECK(w, ask(w, false, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 4096) == 200);
    pthread_mutex_unlock(&gate.mutex);
    for (int i = 0; i < LARGE - 1; i++)
        CHECK(w, status_of(w, large[i]) == 400); /* no JSON */
    CHECK(w, status_of(w, waits) == 400);
    for (int i = 0; i < LARGE; i++)
        close(large[i]);
    close(waits);
    int again = dial(w, false); /* there is room again */
    CHECK(w, send_large(again));
    CHECK(w, status_of(w, again) == 400);
    close(again);
}

static void test_large(void **state)
{
    struct world *w = *state;
    gate = (struct gate){.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_mutex_lock(&gate.mutex);
    assert_int_equal(store_submit(w->store, STORE_WRITE, 0, gate_work, gate_done, &gate), OK);
    play(w, story_large);
    assert_true(gate.passed);
}

static void test_socket_file(void **state)
{
    struct world *w = *state;
    struct http *second = NULL;
    struct err err = {0};
    struct http_hooks hooks = hooks_of(w);
    assert_int_equal(
        http_new(&second, w->loop, w->conf, w->store, w->intake, w->metrics, &hooks, &err),
        ERR_BUSY);
    http_free(w->http);
    w->http = NULL;
    /* a stale one: bound, then left behind */
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s", w->socket);
    /* somebody's, of another kind */
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(
        http_new(&w->http, w->loop, w->conf, w->store, w->intake, w->metrics, &hooks, &err),
        ERR_BUSY);
    close(fd);
    assert_int_equal(unlink(w->socket), 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(fd);
    must(http_new(&w->http, w->loop, w->conf, w->store, w->intake, w->metrics, &hooks, &err), &err);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_api),  TEST(test_smuggle), TEST(test_tcp),
                                       TEST(test_rude), TEST(test_large),   TEST(test_socket_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
