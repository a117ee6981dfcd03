/* test/unit/test_transport.c: the transport against a real server on loopback, well and badly
 * behaved. */
#include "test/unit/transport_world.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* ---- one answer, one set of facts ---- */

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static const struct peer_page manners[] = {
    {"ok", PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello", 0},
    {"made", PEER_KEEP, "HTTP/1.1 204 No Content\r\n\r\n", 0},
    {"moved", PEER_KEEP,
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n", 0},
    {"no", PEER_KEEP, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0},
    {"slow", PEER_KEEP, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 0},
    {"slow2", PEER_KEEP,
     "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nretry-after: 9\r\nContent-Length: 0\r\n\r\n", 0},
    {"slow3", PEER_KEEP, "HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 0},
    {"broken", PEER_CLOSE, "HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nabc", 0},
    {"early-hints", PEER_KEEP, "HTTP/1.1 103 Early Hints\r\nRetry-After: 3\r\n\r\n" OK_EMPTY, 0},
    {"only-hints", PEER_CLOSE, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 0},
    {"hang", PEER_HANG, NULL, 0},
    {"hang-head", PEER_HANG, "HTTP/1.1 200 OK\r\nContent-", 0},
    {"hang-body", PEER_HANG, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 0},
    {"trickle", PEER_TRICKLE,
     "HTTP/1.1 200 OK\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
     0},
    {"reset", PEER_RESET, NULL, 0},
    {"reset-head", PEER_RESET, "HTTP/1.1 200 OK\r\nConte", 0},
    {"reset-body", PEER_RESET, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 0},
    {"cut-503", PEER_CLOSE, "HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nabc", 0},
    {"empty", PEER_CLOSE, NULL, 0},
    {"endless", PEER_ENDLESS, "HTTP/1.1 200 OK\r\n\r\n", 0},
    {"gzip", PEER_CLOSE,
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08z", 0},
    {"chunked", PEER_KEEP,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nRetry-After: 5\r\n\r\n",
     0},
    {"long-line", PEER_KEEP, "HTTP/1.1 200 OK\r\nX-Long: ", 80000},
    {"longer-line", PEER_KEEP, "HTTP/1.1 200 OK\r\nX-Long: ", 200000},
    {"long-status", PEER_KEEP, "HTTP/1.1 200 ", 200000},
    {"two-blanks", PEER_KEEP, "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", 0},
    {"http09", PEER_CLOSE, "hello world\r\n\r\n", 0},
    {"smtp", PEER_CLOSE, "220 mail ready\r\n", 0},
    {"bad-head", PEER_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0},
    {"late", PEER_LATE, OK_EMPTY, 0},
    {"early", PEER_EARLY,
     "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 0},
    {NULL, PEER_CLOSE, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0},
};

struct manner {
    const char *path;
    enum outcome outcome;
    int status;
    int64_t retry_after_ms;
    const char *error, *body;
};
static const struct manner outcomes[] = {
    {"ok", OUTCOME_SUCCESS, 200, -1, "", "hello"},
    {"made", OUTCOME_SUCCESS, 204, -1, "", ""},
    {"moved", OUTCOME_HTTP_3XX, 302, -1, "", ""},
    {"no", OUTCOME_HTTP_4XX, 404, -1, "", ""},
    {"slow", OUTCOME_HTTP_429, 429, 7000, "", ""},
    {"slow2", OUTCOME_HTTP_429, 429, -1, "", ""},
    {"slow3", OUTCOME_HTTP_5XX, 503, -1, "", ""},
    {"broken", OUTCOME_HTTP_5XX, 500, -1, "", "abc"},
    {"early-hints", OUTCOME_SUCCESS, 200, -1, "", ""},
    {"only-hints", OUTCOME_RESET, 0, -1, NULL, ""},
    {"hang", OUTCOME_TIMEOUT, 0, -1, "timed out: waiting for the answer", ""},
    {"hang-head", OUTCOME_TIMEOUT, 0, -1, NULL, ""},
    {"hang-body", OUTCOME_SUCCESS, 200, -1, "timed out: reading the body", "abc"},
    {"trickle", OUTCOME_TIMEOUT, 0, -1, "timed out: reading the response head", ""},
    {"reset", OUTCOME_RESET, 0, -1, NULL, ""},
    {"reset-head", OUTCOME_RESET, 0, -1, NULL, ""},
    {"reset-body", OUTCOME_SUCCESS, 200, -1, NULL, NULL},
    {"cut-503", OUTCOME_HTTP_5XX, 503, -1, NULL, "abc"},
    {"empty", OUTCOME_RESET, 0, -1, "Empty reply from server", ""},
    {"endless", OUTCOME_SUCCESS, 200, -1, "", NULL},
    {"gzip", OUTCOME_SUCCESS, 200, -1, "", "\x1f\x8b\x08z"},
    {"chunked", OUTCOME_SUCCESS, 200, -1, "", "abc"},
    {"long-line", OUTCOME_RESET, 0, -1, "response head larger than 64 KiB", ""},
    {"longer-line", OUTCOME_RESET, 0, -1, "response head larger than 64 KiB", ""},
    {"long-status", OUTCOME_RESET, 0, -1, "response head larger than 64 KiB", ""},
    {"two-blanks", OUTCOME_RESET, 0, -1, "the answer has no HTTP response head", ""},
    {"http09", OUTCOME_RESET, 0, -1, NULL, ""},
    {"smtp", OUTCOME_RESET, 0, -1, NULL, ""},
    {"bad-head", OUTCOME_RESET, 0, -1, NULL, ""},
};
enum { MANNERS = sizeof(outcomes) / sizeof(outcomes[0]) };

static void is_its_outcome(const struct manner *m, const struct result *r)
{
    if (r->f.outcome != m->outcome || r->f.status != m->status ||
        r->f.retry_after_ms != m->retry_after_ms ||
        (m->error != NULL && strcmp(r->error, m->error) != 0) ||
        (m->body != NULL && strcmp(r->body, m->body) != 0) || r->f.duration_us > 4000000)
        fail_msg("%s: %s %d, retry-after %lld, error \"%s\", body \"%s\", %lld ms", m->path,
                 outcome_name(r->f.outcome), r->f.status, (long long)r->f.retry_after_ms, r->error,
                 r->body, (long long)(r->f.duration_us / 1000));
}

/* Those that only their deadline ends run at the same time: it is long enough for what comes before
 * the silence, however busy the machine is. */
static void every_manner_has_its_outcome(void **state)
{
    static struct flight x[MANNERS];
    static struct result r[MANNERS];
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    for (size_t i = 0; i < MANNERS; i++)
        if (peer_is_silent(outcomes[i].path))
            fly(&w,
                (struct transport_request){.lane = 1,
                                           .url = url_to(&w, "http", "127.0.0.1", outcomes[i].path),
                                           .timeout_ms = 2500},
                &x[i], &r[i]);
    wait_all(&w);
    for (size_t i = 0; i < MANNERS; i++) {
        if (!peer_is_silent(outcomes[i].path))
            r[i] = post_to(&w, outcomes[i].path);
        is_its_outcome(&outcomes[i], &r[i]);
    }
    world_close(&w);
}

static void facts_hold_head_body_address_and_timings(void **state)
{
    struct world w;
    char request[REQUEST_ROOM], address[64];

    (void)state;
    world_open(&w, manners, NULL);
    struct result r = post_to(&w, "ok");
    assert_string_equal(r.head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n");
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", peer_port(w.peer));
    assert_string_equal(r.address, address);
    assert_false(r.f.truncated);
    assert_false(r.f.reused);
    assert_true(r.f.connect_us >= 0 && r.f.wait_us >= 0 && r.f.transfer_us >= 0);
    assert_true(r.f.dns_us == -1 && r.f.tls_us == -1);
    assert_true(r.f.duration_us > 0 && r.f.started_ms > 1600000000000);

    peer_last_request(w.peer, request, REQUEST_ROOM);
    assert_non_null(strstr(request, "POST /ok HTTP/1.1\r\n"));
    (void)snprintf(address, sizeof(address), "\r\nHost: 127.0.0.1:%u\r\n", peer_port(w.peer));
    assert_non_null(strstr(request, address));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(request, "\r\n\r\n{\"n\":1}"));
    assert_null(strcasestr(request, "expect:"));
    assert_null(strcasestr(request, "accept-encoding"));
    assert_null(strcasestr(request, ".lane"));

    r = post_to(&w, "endless");
    assert_true(r.f.truncated);
    assert_int_equal(r.f.body_bytes, 4096);
    world_close(&w);
}

static void an_answer_before_the_request_was_sent_is_an_answer(void **state)
{
    size_t n = (size_t)8 << 20;
    char *body = malloc(n);
    struct world w;

    (void)state;
    memset(body, 'x', n);
    world_open(&w, manners, NULL);
    struct result r =
        post(&w, (struct transport_request){.lane = 1,
                                            .url = url_to(&w, "http", "127.0.0.1", "early"),
                                            .body = body,
                                            .body_bytes = n});
    assert_int_equal(r.f.status, 413);
    assert_int_equal(r.f.outcome, OUTCOME_HTTP_4XX);
    world_close(&w);
    free(body);
}

static void nobody_listens(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int held = socket(AF_INET, SOCK_STREAM, 0); /* its port is nobody's, as long as it is bound */
    char url[64];
    struct world w;

    (void)state;
    assert_int_equal(bind(held, (const struct sockaddr *)&at, n), 0);
    assert_int_equal(getsockname(held, (struct sockaddr *)&at, &n), 0);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(at.sin_port));
    world_open(&w, manners, NULL);
    struct result r = post(&w, (struct transport_request){.lane = 1, .url = url});
    assert_int_equal(r.f.outcome, OUTCOME_CONNECT);
    assert_non_null(strstr(r.error, "refused"));
    assert_null(strstr(r.error, ".lane"));
    r = post(&w, (struct transport_request){
                     .lane = 2, .url = "http://no.such.host.invalid./", .timeout_ms = 1000});
    assert_true(r.f.outcome == OUTCOME_DNS || r.f.outcome == OUTCOME_BLOCKED);
    r = post(&w, (struct transport_request){
                     .lane = 2, .url = "http://no-such-host.example/", .timeout_ms = 1000});
    assert_int_equal(r.f.outcome, OUTCOME_DNS);
    world_close(&w);
    (void)close(held);
}

/* Bodies as they stand, answers as far as they were read; what never left counts nothing. (The peer
 * reads 64 KiB of a request before it answers.) */
static void bytes_are_counted(void **state)
{
    struct world w;
    struct transport_stats stats;
    char *large = calloc(1, 60000);

    (void)state;
    assert_non_null(large);
    world_open(&w, manners, NULL);
    (void)post_to(&w, "ok");
    transport_stats(w.t, &stats);
    assert_int_equal(stats.request_bytes, 7);
    int64_t head_and_hello = stats.response_bytes;
    assert_in_range(head_and_hello, 30, 300);
    (void)post(&w, (struct transport_request){.lane = 1,
                                              .url = url_to(&w, "http", "127.0.0.1", "ok"),
                                              .body = large,
                                              .body_bytes = 60000});
    transport_stats(w.t, &stats);
    assert_int_equal(stats.request_bytes, 60007);
    assert_int_equal(stats.response_bytes, 2 * head_and_hello);
    (void)post(&w, (struct transport_request){.lane = 2, .url = "http://10.0.0.1/"});
    transport_stats(w.t, &stats);
    assert_int_equal(stats.request_bytes, 60007);
    world_close(&w);
    free(large);
}

/* ---- connections ---- */

static void connections_are_reused_within_a_lane_only(void **state)
{
    struct world w;
    struct transport_stats stats;

    (void)state;
    world_open(&w, manners, NULL);
    struct transport_request a = {.lane = 1, .url = strdup(url_to(&w, "http", "127.0.0.1", "ok"))};
    struct transport_request b = {.lane = 2, .url = a.url};

    for (int i = 0; i < 3; i++)
        assert_int_equal(post(&w, a).f.reused, i > 0);
    assert_int_equal(peer_connections(w.peer), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(post(&w, b).f.reused, i > 0);
    assert_int_equal(peer_connections(w.peer), 2);
    struct result r = post(&w, a);
    assert_true(r.f.reused && r.f.connect_us == -1 && r.f.dns_us == -1);
    assert_int_equal(peer_connections(w.peer), 2);

    transport_forget_lane(w.t, 1);
    assert_false(post(&w, a).f.reused);
    assert_int_equal(peer_connections(w.peer), 3);
    transport_configure(w.t, w.conf);
    assert_false(post(&w, b).f.reused);
    assert_int_equal(peer_connections(w.peer), 4);
    transport_stats(w.t, &stats);
    assert_int_equal(stats.opened, 4);
    assert_int_equal(stats.reused, 5);
    free((char *)(uintptr_t)a.url);
    world_close(&w);
}

static void idle_for(struct world *w, int64_t ms)
{
    loop_timer_at(w->alarm, clock_mono_ms() + ms);
    loop_run(w->loop);
    w->alarmed = false;
}

/* What happens on an idle connection neither spins the loop nor reaches the next request. */
static void idle_connections_that_stir_are_left(void **state)
{
    static const char *const pages[] = {"broken", "late"};
    static const int status[] = {500, 200};
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    for (size_t i = 0; i < 2; i++) {
        int stirred = w.peer->stirred;

        assert_int_equal(post_to(&w, pages[i]).f.status, status[i]);
        clock_t cpu = clock();
        for (int n = 0; w.peer->stirred == stirred && n < 2000; n++)
            pause_ms(10);
        idle_for(&w, 200);
        assert_true(clock() - cpu < CLOCKS_PER_SEC / 20);
        int before = peer_connections(w.peer);
        assert_int_equal(post_to(&w, pages[i]).f.status, status[i]);
        assert_int_equal(peer_connections(w.peer), before + 1);
    }
    world_close(&w);
}

/* While as many are open as may be in flight, a lane that has others in flight waits for one of its own,
 * and where it does not, another's goes for it. */
static void another_beside_ones_own_is_one_for_one(void **state)
{
    struct world w;
    struct result r[2];
    struct flight x[2];

    (void)state;
    world_open(&w, manners, NULL);
    w.conf->max_in_flight = 2;
    transport_configure(w.t, w.conf);
    struct transport_request other = {.lane = 2,
                                      .url = strdup(url_to(&w, "http", "127.0.0.1", "ok"))};
    struct transport_request hang = {
        .lane = 1, .url = strdup(url_to(&w, "http", "127.0.0.1", "hang")), .timeout_ms = 400};

    int64_t used_ms = clock_mono_ms();
    assert_false(post(&w, other).f.reused);
    assert_true(transport_has_connection(w.t, 1));
    fly(&w, hang, &x[0], &r[0]);
    /* unless this took so long that lane 2 does not count as using its own any more */
    assert_true(!transport_has_connection(w.t, 1) || clock_mono_ms() - used_ms >= 100);
    assert_true(transport_has_connection(w.t, 2));
    fly(&w, hang, &x[1], &r[1]);
    wait_all(&w);
    assert_int_equal(peer_connections(w.peer), 3);
    assert_false(post(&w, other).f.reused);
    free((void *)(uintptr_t)other.url);
    free((void *)(uintptr_t)hang.url);
    world_close(&w);
}

/* A loop that may have a part of all has no more connections beside those that its lanes need. */
static void as_many_connections_as_may_be_in_flight_are_enough(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    struct transport_request other = {.lane = 2,
                                      .url = strdup(url_to(&w, "http", "127.0.0.1", "ok"))};
    int64_t used_ms = clock_mono_ms();
    (void)post(&w, other);
    assert_true(transport_has_connection(w.t, 1));
    transport_expect(w.t, 1);
    assert_true(!transport_has_connection(w.t, 1) || clock_mono_ms() - used_ms >= 100);
    assert_true(transport_has_connection(w.t, 2));
    transport_expect(w.t, 2);
    assert_true(transport_has_connection(w.t, 1));
    free((void *)(uintptr_t)other.url);
    world_close(&w);
}

static void many_at_once(void **state)
{
    enum { N = 150 }; /* fewer than the pool keeps open, 2 * 64 + 64: more would be made room for */
    static struct flight x[N];
    static struct result r[N];
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++)
            fly(&w,
                (struct transport_request){.lane = i % 7,
                                           .url = url_to(&w, "http", "localhost", "ok")},
                &x[i], &r[i]);
        wait_all(&w);
        for (int i = 0; i < N; i++) {
            assert_int_equal(r[i].n, 1);
            assert_int_equal(r[i].f.outcome, OUTCOME_SUCCESS);
            assert_string_equal(r[i].body, "hello");
        }
    }
    assert_true(peer_connections(w.peer) <= N + N / 10); /* fewer may be kept than were open */
    world_close(&w);
}

static void open_requests_are_dropped_without_a_word(void **state)
{
    static struct flight x[3];
    static struct result r[3];
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    fly(&w, (struct transport_request){.lane = 1, .url = url_to(&w, "http", "127.0.0.1", "hang")},
        &x[0], &r[0]);
    fly(&w, (struct transport_request){.lane = 2, .url = "http://10.1.2.3/"}, &x[1], &r[1]);
    fly(&w, (struct transport_request){.lane = 3, .url = "http://x.example/"}, &x[2], &r[2]);
    assert_int_equal(transport_in_flight(w.t), 3);
    world_close(&w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(r[i].n, 0);
}

/* ---- egress ---- */

/* Allowed when it was sent, refused before the socket opens: the last judge sees what is dialled. */
static void the_socket_is_judged_too(void **state)
{
    struct world w;
    struct flight x;
    struct result out;

    (void)state;
    world_open(&w, manners, NULL);
    fly(&w, (struct transport_request){.lane = 1, .url = url_to(&w, "http", "127.0.0.1", "ok")}, &x,
        &out);
    w.conf->egress.allow_n = 0;
    wait_all(&w);
    assert_int_equal(out.f.outcome, OUTCOME_BLOCKED);
    assert_string_equal(out.error, "address refused: loopback");
    assert_int_equal(peer_connections(w.peer), 0);
    world_close(&w);
}

static void what_egress_refuses_is_blocked(void **state)
{
    static const struct {
        const char *url;
        bool literal;
    } rows[] = {
        {"https://127.0.0.1/x", true},    {"https://10.0.0.1/", true},
        {"https://[::1]/", true},         {"https://[::ffff:127.0.0.1]/", true},
        {"http://example.com/", true},    {"https://example.com:25/", true},
        {"https://localhost/x", false},   {"https://169.254.169.254/", true},
        {"https://user:pw@e.com/", true}, {"ftp://example.com/", true},
    };
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    w.conf->egress.allow_http = false;
    w.conf->egress.allow_n = 0;
    transport_configure(w.t, w.conf);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct result r = post(&w, (struct transport_request){.lane = 1, .url = rows[i].url});

        if (r.f.outcome != OUTCOME_BLOCKED || r.f.literal_refused != rows[i].literal ||
            r.error[0] == '\0')
            fail_msg("%s: %s %d %s", rows[i].url, outcome_name(r.f.outcome), r.f.literal_refused,
                     r.error);
    }
    world_close(&w);
}

/* localhost is two addresses; the one that is allowed is dialled, and closing it again counts at
 * the next request although a connection is open. */
static void rules_hold_at_each_request(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    struct transport_request q = {.lane = 1, .url = url_to(&w, "http", "localhost", "ok")};
    assert_int_equal(post(&w, q).f.outcome, OUTCOME_SUCCESS);
    w.conf->egress.allow_n = 0;
    transport_configure(w.t, w.conf);
    struct result r = post(&w, q);
    assert_int_equal(r.f.outcome, OUTCOME_BLOCKED);
    assert_false(r.f.literal_refused);
    assert_int_equal(peer_connections(w.peer), 1);
    world_close(&w);
}

static void a_proxy_in_the_environment_is_ignored(void **state)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"};
    struct world w;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        (void)setenv(names[i], "http://127.0.0.1:1", 1);
    world_open(&w, manners, NULL);
    assert_int_equal(post_to(&w, "ok").f.outcome, OUTCOME_SUCCESS);
    world_close(&w);
    for (size_t i = 0; i < 4; i++)
        (void)unsetenv(names[i]);
}

/* ---- TLS ---- */

static void make_cert(const char *file, const char *names)
{
    char command[768];

    (void)snprintf(command, sizeof(command),
                   "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                   "-subj /CN=test -addext subjectAltName=%s -keyout %s -out %s.crt 2>/dev/null "
                   "&& cat %s.crt >>%s",
                   names, file, file, file, file);
    assert_int_equal(system(command), 0);
}

static void certificates_are_verified_against_the_real_host(void **state)
{
    char folder[] = "/tmp/test_transport.XXXXXX", good[64], other[64], clean[96];
    struct world w;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(good, sizeof(good), "%s/good.pem", folder);
    (void)snprintf(other, sizeof(other), "%s/other.pem", folder);
    make_cert(good, "DNS:localhost");
    make_cert(other, "DNS:localhost");
    world_open(&w, manners, good);

    struct transport_request q = {.lane = 1, .url = strdup(url_to(&w, "https", "localhost", "ok"))};
    struct result r = post(&w, q); /* the system's CAs do not know it */
    assert_int_equal(r.f.outcome, OUTCOME_TLS);
    assert_non_null(strstr(r.error, "certificate"));
    w.conf->ca_file = other;
    transport_configure(w.t, w.conf);
    assert_int_equal(post(&w, q).f.outcome, OUTCOME_TLS);
    w.conf->ca_file = good;
    transport_configure(w.t, w.conf);
    r = post(&w, q);
    assert_int_equal(r.f.outcome, OUTCOME_SUCCESS);
    assert_true(r.f.tls_us > 0);
    assert_true(post(&w, q).f.reused);
    free((char *)(uintptr_t)q.url);

    q.url = url_to(&w, "https", "127.0.0.1", "ok"); /* known CA, another name */
    q.lane = 2;
    r = post(&w, q);
    assert_int_equal(r.f.outcome, OUTCOME_TLS);
    assert_null(strstr(r.error, ".lane"));
    world_close(&w);

    world_open(&w, manners, NULL); /* no TLS there: it waits for the end of a request's head */
    w.conf->ca_file = good;
    r = post(&w, (struct transport_request){
                     .lane = 1, .url = url_to(&w, "https", "localhost", "ok"), .timeout_ms = 500});
    assert_int_equal(r.f.outcome, OUTCOME_TIMEOUT);
    assert_string_equal(r.error, "timed out: TLS handshake");
    world_close(&w);
    (void)snprintf(clean, sizeof(clean), "rm -r %s", folder);
    assert_int_equal(system(clean), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_manner_has_its_outcome),
        cmocka_unit_test(facts_hold_head_body_address_and_timings),
        cmocka_unit_test(an_answer_before_the_request_was_sent_is_an_answer),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(bytes_are_counted),
        cmocka_unit_test(connections_are_reused_within_a_lane_only),
        cmocka_unit_test(idle_connections_that_stir_are_left),
        cmocka_unit_test(another_beside_ones_own_is_one_for_one),
        cmocka_unit_test(as_many_connections_as_may_be_in_flight_are_enough),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(open_requests_are_dropped_without_a_word),
        cmocka_unit_test(what_egress_refuses_is_blocked),
        cmocka_unit_test(the_socket_is_judged_too),
        cmocka_unit_test(rules_hold_at_each_request),
        cmocka_unit_test(a_proxy_in_the_environment_is_ignored),
        cmocka_unit_test(certificates_are_verified_against_the_real_host),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
