/* test/unit/test_transport_hostile.c: peers that mean harm, or whose connections die at the worst
 * moment: one request on the wire is one set of facts, and an answer belongs to its request. */
#include "test/unit/transport_world.h"

#include <signal.h>
#include <time.h>

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define GONE "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"

static const struct peer_page manners[] = {
    {"ok", PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0},
    {"once", PEER_ONCE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst", 0},
    {"late", PEER_LATE, OK_EMPTY, 0},
    {"gone", PEER_GONE, OK_EMPTY, 0},
    {"two", PEER_KEEP, OK_EMPTY GONE, 0},
    {"two-bodies", PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab" GONE, 0},
    {"two-chunked", PEER_KEEP,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GONE, 0},
    {"one-and-a-half", PEER_KEEP, "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 410 Gone\r\nContent-Le", 0},
    {"surplus", PEER_KEEP, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcdefgh", 0},
    {"204-body", PEER_KEEP, "HTTP/1.1 204 No\r\nContent-Length: 40\r\n\r\n" GONE, 0},
    {"304-body", PEER_KEEP, "HTTP/1.1 304 No\r\nContent-Length: 40\r\n\r\n" GONE, 0},
    {"two-lengths", PEER_KEEP,
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n" GONE, 0},
    {"length-and-chunked", PEER_KEEP,
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GONE, 0},
    {"hang-upgrade", PEER_KEEP,
     "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" GONE, 0},
    {"coded", PEER_KEEP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n",
     0},
    {"coded-alone", PEER_CLOSE, "HTTP/1.1 503 No\r\nTransfer-Encoding: gzip\r\n\r\nabc", 0},
    {"moved", PEER_CLOSE,
     "HTTP/1.1 307 Moved\r\nLocation: file:///etc/passwd\r\nSet-Cookie: a=b\r\n"
     "Alt-Svc: h2=\"127.0.0.1:1\"; ma=999\r\nStrict-Transport-Security: max-age=999\r\n"
     "WWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
     0},
    {"login", PEER_CLOSE,
     "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nWWW-Authenticate: Basic\r\n"
     "Content-Length: 0\r\n\r\n",
     0},
    {"expect", PEER_CLOSE, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", 0},
    {"trailers", PEER_KEEP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", 3000},
    {NULL, PEER_CLOSE, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0},
};

/* libcurl sends a request again by itself where a kept connection dies under it. Nobody would have
 * recorded the first one, which may well have been worked on. */
static void a_request_is_sent_once(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    assert_string_equal(post_to(&w, "once").body, "first");
    struct result r = post_to(&w, "once");
    assert_int_equal(r.f.outcome, OUTCOME_RESET);
    assert_int_equal(r.f.status, 0);
    assert_non_null(strstr(r.error, "closed"));
    assert_int_equal(w.peer->requests, 2);
    assert_int_equal(peer_connections(w.peer), 1);
    assert_true(r.f.reused);
    r = post_to(&w, "once");
    assert_int_equal(r.f.outcome, OUTCOME_SUCCESS);
    assert_int_equal(w.peer->requests, 3);
    world_close(&w);
}

static void an_answer_belongs_to_its_request(void **state)
{
    static const struct {
        const char *path;
        int status;
    } rows[] = {{"two", 200},
                {"two-bodies", 200},
                {"two-chunked", 200},
                {"one-and-a-half", 204},
                {"surplus", 200},
                {"204-body", 204},
                {"304-body", 304},
                {"two-lengths", 200},
                {"length-and-chunked", 200},
                {"hang-upgrade", 0},
                {"coded", 200},
                {"coded-alone", 503}};
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int n = 0; n < 3; n++) { /* the same URL: another one has other connections */
            struct result r = post_to(&w, rows[i].path);

            if (r.f.status != rows[i].status)
                fail_msg("%s, request %d: %d %s", rows[i].path, n, r.f.status, r.error);
        }
    }
    world_close(&w);
}

/* What happened on a connection while it was idle costs no attempt and answers none. */
static void an_idle_connection_that_stirred_is_not_used(void **state)
{
    static const char *const paths[] = {"late", "gone"};
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    for (int i = 0; i < 2; i++) {
        int stirred = w.peer->stirred, connections = peer_connections(w.peer);

        for (int n = 1; n <= 3; n++) {
            struct result r = post_to(&w, paths[i]);
            int64_t until = clock_mono_ms() + 20000;

            if (r.f.status != 200 || r.f.reused)
                fail_msg("%s, request %d: %d %s", paths[i], n, r.f.status, r.error);
            assert_int_equal(peer_connections(w.peer), connections + n);
            while (w.peer->stirred < stirred + n && clock_mono_ms() < until)
                pause_ms(1);
        }
    }
    assert_int_equal(w.peer->requests, 6);
    world_close(&w);
}

static void nothing_is_followed_remembered_or_answered(void **state)
{
    static const char *const paths[] = {"moved", "login", "expect"};
    static const int statuses[] = {307, 401, 417};
    char request[REQUEST_ROOM];
    struct world w;

    (void)state;
    world_open(&w, manners, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(post_to(&w, paths[i]).f.status, statuses[i]);
        assert_int_equal(w.peer->requests, 2 * i + 1);
        assert_int_equal(post_to(&w, "ok").f.status, 200);
        peer_last_request(w.peer, request, REQUEST_ROOM);
        assert_null(strcasestr(request, "\r\ncookie:"));
        assert_null(strcasestr(request, "\r\nauthorization:"));
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_sent_once),
        cmocka_unit_test(an_answer_belongs_to_its_request),
        cmocka_unit_test(an_idle_connection_that_stirred_is_not_used),
        cmocka_unit_test(nothing_is_followed_remembered_or_answered),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
