/* engine/transport_impl.h: what the transport_*.c files share. Not for others. */
#ifndef ENGINE_TRANSPORT_IMPL_H
#define ENGINE_TRANSPORT_IMPL_H

#include <curl/curl.h>

#include "base/buf.h"
#include "base/url.h"
#include "engine/resolver.h"
#include "engine/transport.h"

#define HEAD_KEPT_BYTES ((size_t)8 << 10)
#define BODY_KEPT_BYTES ((size_t)4 << 10)
#define HEAD_MAX_BYTES ((size_t)64 << 10)
#define HEADERS_MAX 64 /* request headers; more are refused */
#define LANES_MAX 8192 /* remembered ones without a request; the oldest is forgotten */
#define LANE_BUCKETS 4096
#define DESCRIPTORS_SPARE 64 /* of RLIMIT_NOFILE: databases, API, resolver */
#define ERROR_TEXT_MAX 320
#define IDLE_MS 60000    /* an unused connection is closed */
#define IDLE_USED_MS 100 /* so long it counts as used by its lane */

struct exchange;

/* What the peer of a TLS connection may still say; see transport_tls.c. */
struct tls_budget {
    int fd;
    int64_t left_bytes; /* below 0: it was cut */
};

/* A lane at one URL under one set of rules. Forgetting it closes its idle connections; what is in
 * flight ends as it would, and its connection with it. */
struct tlane {
    int64_t lane;
    char *url_text;
    struct url url;
    CURLU *parsed;
    bool literal;           /* the host is an address */
    bool http2;             /* its last answer was */
    bool forgotten;         /* it is in no table any more */
    const char *refused;    /* why the URL may not be requested; NULL: it may */
    bool literal_refused;   /* see transport_facts */
    char refused_text[256]; /* what refused points to where it is made up here */
    /* Addresses to pin. Each change has a number. */
    struct resolver_answer pin;
    uint64_t pin_serial;
    struct exchange *idle; /* its connections that wait, the last used one first */
    size_t refs;           /* table and exchanges */
    struct tlane *chain;   /* in the table */
    struct tlane *older, *newer;
};

enum exchange_state {
    EXCHANGE_SPARE,     /* in t->spare: no lane, no connection */
    EXCHANGE_IDLE,      /* its connection waits: in lane->idle, and by age in t */
    EXCHANGE_RESOLVING, /* waits for the resolver */
    EXCHANGE_RUNNING,   /* libcurl has it */
    EXCHANGE_OVER,      /* in t->over: facts are known, done is about to run */
};
/* One connection, and one request at a time on it. Its share is libcurl's cache of connections and
 * addresses for this one alone: so libcurl has nothing to search, and nothing of one lane can meet another's
 * request. (In a cache for all, libcurl 7.88 walks past every connection in use for each request,
 * and past half of all at its end.) */
struct exchange {
    struct transport *t;
    enum exchange_state state;
    struct exchange *prev,
        *next; /* in t->active, lane->idle; next alone in t->spare, over, ended */
    struct exchange *older, *newer; /* EXCHANGE_IDLE */
    int64_t idle_since_ms;
    CURL *easy;
    CURLSH *share;
    unsigned options; /* number of the configuration its options are from */
    struct tlane *lane;
    const struct tlane *set_up_for; /* whose URL libcurl has */
    struct resolver_query *query;
    transport_done_fn *done;
    void *arg;
    const void *body;
    size_t body_bytes;
    int64_t timeout_ms, connect_timeout_ms;
    int64_t started_wall_ms, started_us, resolved_us;

    struct curl_slist headers[HEADERS_MAX + 2];
    struct buf header_text;
    struct curl_slist resolve;
    char resolve_text[1280];
    bool resolve_set;
    uint64_t pin_serial, resolve_serial; /* of the addresses that libcurl has, and gets; 0: none */
    int64_t set_timeout_ms, set_connect_ms; /* that libcurl has */

    /* the answer */
    bool head_complete, head_too_large, body_capped, body_coded;
    int status;
    size_t head_seen, body_seen;
    struct buf head, answer;
    int retry_after_n;
    char retry_after[64];

    bool sent, sent_on_kept, sent_again; /* see before_sending() */
    bool worn;     /* libcurl repeated a request: its handle counts to five and is never reset */
    CURLcode code; /* libcurl's, when it is through with it */
    struct exchange *done_next;
    struct tls_budget budget;
    int fds[2];          /* open, of IPv4 and IPv6; -1: none */
    const char *blocked; /* by OPENSOCKETFUNCTION */
    int open_errno;      /* socket() failed */
    struct transport_facts facts;
    char error[ERROR_TEXT_MAX], curl_error[CURL_ERROR_SIZE], address[64];
};

struct sock;
struct transport {
    struct loop *loop;
    const struct conf *conf;
    unsigned options; /* grows with every configuration */
    CURLM *multi;
    struct resolver *resolver;
    struct loop_timer *timer;
    int64_t timer_due_ms, timer_armed_ms; /* -1: none */
    bool turn_due;                        /* libcurl wants a call without a socket, now */
    loop_fn *flush;
    bool flush_planned;
    struct sock *socks; /* by descriptor */
    size_t socks_n;
    struct exchange *active, *spare, *over, **over_tail;
    struct exchange *ended; /* idle ones whose connection the peer has ended */
    size_t active_n, spare_n, active_max;
    struct exchange *idle_oldest, *idle_newest;
    size_t idle_n, open_max; /* idle and active ones together */
    size_t enough;           /* of those, so that no lane needs another one beside its own */
    struct loop_timer *idle_timer;
    bool idle_timed;
    struct tlane *lanes[LANE_BUCKETS];
    struct tlane *oldest, *newest;
    size_t lanes_n;
    struct transport_stats stats;
};

/* transport_glue.c: libcurl's sockets and timer on the loop. flush runs at the end of a turn in which
 * something happened, outside of all frames. */
bool glue_setup(struct transport *t, loop_fn *flush); /* false: no memory */
void glue_plan_flush(struct transport *t);
void glue_fini(struct transport *t); /* after curl_multi_cleanup */
int glue_close(void *transport, curl_socket_t fd);
void glue_turn(struct transport *t);                      /* curl_multi_socket_action(TIMEOUT) */
bool glue_opened(struct exchange *x, int fd, int family); /* by libcurl, for x; false: no memory */
int glue_fd_of(const struct exchange *x);                 /* of its connection; -1: none */
/* Would the loop tell if something came in on it? */
bool glue_listens(const struct exchange *x);
/* Has anything come in on the idle connection, or has it ended? */
bool glue_stirred(const struct exchange *x);

/* transport_lane.c */
struct tlane *tlane_find(const struct transport *t, int64_t lane);           /* NULL: none */
struct tlane *tlane_get(struct transport *t, int64_t lane, const char *url); /* NULL: no memory */
void tlane_unref(struct tlane *l);
void tlane_forget(struct transport *t, int64_t lane);
void tlane_forget_all(struct transport *t);
/* Judges the addresses and takes them as the lane's pin. NULL or why not. */
const char *tlane_judge(struct transport *t, struct tlane *l, const struct resolver_answer *a,
                        char *why, size_t why_room);
/* Writes the RESOLVE list where libcurl does not have the pin yet. */
void tlane_pin(struct exchange *x);
void tlane_pin_loaded(struct exchange *x);

/* transport_idle.c: connections that wait for their lane's next request. */
void idle_put(struct exchange *x);           /* it is over; its connection may be used again */
struct exchange *idle_take(struct tlane *l); /* NULL: none waits */
void idle_stirred(struct exchange *x);       /* its peer spoke, or left */
void idle_end(struct exchange *x);           /* closes it */
/* For another connection of a lane beside its own, without closing one that is used. */
bool idle_has_room(const struct transport *t);
void idle_make_room(struct transport *t, bool beside); /* for one more: beside others of its lane */
void idle_close_ended(struct transport *t);
void idle_timed_out(void *transport);

/* transport_request.c */
struct exchange *exchange_new(struct transport *t);
void exchange_free(struct exchange *x);
void exchange_clear(struct exchange *x); /* ready for the next request */
void exchange_spare(struct exchange *x); /* without lane or connection from now on; may be freed */
enum err_code exchange_headers(struct exchange *x, const char *lines, struct err *err);
bool exchange_prepare(struct exchange *x, int64_t timeout_ms); /* false: no memory */

/* transport_tls.c */
CURLcode tls_begins(CURL *easy, void *ssl_ctx, void *exchange);
int64_t tls_budget_bytes(const struct exchange *x); /* with a request of x on its way */

/* transport_facts.c */
size_t answer_head(char *bytes, size_t size, size_t n, void *exchange);
size_t answer_body(char *bytes, size_t size, size_t n, void *exchange);
void facts_of(struct exchange *x, CURLcode code);
/* Facts of an exchange that never reached libcurl. */
void facts_without(struct exchange *x, enum outcome outcome, const char *error);

#endif
