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
#define PORT_BUCKETS 1024
#define DESCRIPTORS_SPARE 64 /* of RLIMIT_NOFILE: databases, API, resolver */
#define ERROR_TEXT_MAX 320

struct exchange;

/* Of a descriptor; see transport_tls.c. */
struct tls_budget {
    int fd;
    int64_t left_bytes; /* below 0: it was cut */
};

/* What libcurl is told to forget: "-name:port" in the next RESOLVE list. */
struct unpin {
    struct curl_slist node;
    char text[48];
};

/* A lane at one URL under one set of rules. Its name, "<serial>.lane", is libcurl's key of
 * connections and pinned addresses; serials are never used again, so that forgetting a lane is
 * dropping this object, and its idle connections meet no request any more. */
struct tlane {
    int64_t lane;
    char *url_text;
    struct url url;
    bool literal;           /* the host is an address */
    bool http2;             /* its last answer was */
    const char *refused;    /* why the URL may not be requested; NULL: it may */
    bool literal_refused;   /* see transport_facts */
    char refused_text[256]; /* what refused points to where it is made up here */
    char name[32];
    char connect_to_text[48];
    struct curl_slist connect_to;
    /* Addresses to pin. Each change has a number; confirmed is the last one that libcurl has. */
    struct resolver_answer pin;
    uint64_t pin_serial, pin_confirmed;
    struct unpin *unpin; /* made beforehand: forgetting needs no memory */
    size_t refs;         /* table and exchanges */
    struct tlane *chain; /* in the table */
    struct tlane *older, *newer;
};

enum exchange_state {
    EXCHANGE_SPARE,     /* in t->spare */
    EXCHANGE_RESOLVING, /* waits for the resolver */
    EXCHANGE_RUNNING,   /* libcurl has it */
    EXCHANGE_OVER,      /* in t->over: facts are known, done is about to run */
};
struct exchange {
    struct transport *t;
    enum exchange_state state;
    struct exchange *prev, *next; /* in t->active; next alone in t->spare, t->over */
    CURL *easy;
    unsigned options; /* number of the configuration its options are from */
    struct tlane *lane;
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
    char resolve_text[1024];
    uint64_t pin_serial; /* carries this pin; 0: none */
    struct unpin *unpins;

    /* the answer */
    bool head_complete, head_too_large, body_capped, body_coded;
    int status;
    size_t head_seen, body_seen;
    struct buf head, answer;
    int retry_after_n;
    char retry_after[64];

    bool sent, sent_on_kept, sent_again; /* see before_sending() */
    bool worn; /* libcurl repeated a request: its handle counts to five and is never reset */
    bool stale, fresh;         /* the kept connection was; it goes out on a new one */
    struct tls_budget *budget; /* of its connection; NULL: none known */
    int fds[2];                /* opened last, of IPv4 and IPv6; -1: none */
    const char *blocked;       /* by OPENSOCKETFUNCTION */
    int open_errno;            /* socket() failed */
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
    int ports[PORT_BUCKETS]; /* 1 + the first descriptor of a list by local port; 0: none */
    struct exchange *active, *spare, *over, **over_tail;
    size_t active_n, spare_n, active_max;
    struct tlane *lanes[LANE_BUCKETS];
    struct tlane *oldest, *newest;
    size_t lanes_n;
    uint64_t serial;
    struct unpin *unpins;
    struct transport_stats stats;
};

/* transport_glue.c: libcurl's sockets and timer on the loop. flush runs at the end of a turn in which
 * something happened, outside of all frames. */
void glue_setup(struct transport *t, loop_fn *flush);
void glue_plan_flush(struct transport *t);
void glue_fini(struct transport *t); /* after curl_multi_cleanup */
int glue_close(void *transport, curl_socket_t fd);
void glue_turn(struct transport *t);          /* curl_multi_socket_action(TIMEOUT) */
bool glue_opened(struct exchange *x, int fd); /* by libcurl, for x; false: no memory */
int glue_fd_of(const struct exchange *x);     /* the connection that x has opened; -1: none */
/* From now on it is found by its local port: nothing else tells which one libcurl uses again. */
void glue_connected(struct transport *t, int fd, int port);
/* What its TLS peer may still say; NULL: no memory, no descriptor. */
struct tls_budget *glue_budget(struct transport *t, int fd);
struct tls_budget *glue_refill(struct transport *t, int port, int64_t bytes); /* NULL: no TLS */
/* Has anything come in on the idle connection of this local port, or has it ended? frames: HTTP/2,
 * where what comes in is libcurl's to read. */
bool glue_stirred(const struct transport *t, int port, bool frames);

/* transport_lane.c */
struct tlane *tlane_get(struct transport *t, int64_t lane, const char *url); /* NULL: no memory */
void tlane_unref(struct transport *t, struct tlane *l);
void tlane_forget(struct transport *t, int64_t lane);
void tlane_forget_all(struct transport *t);
/* Judges the addresses and takes them as the lane's pin. NULL or why not. */
const char *tlane_judge(struct transport *t, struct tlane *l, const struct resolver_answer *a,
                        char *why, size_t why_room);
/* Writes the RESOLVE list where libcurl does not have the pin yet. */
void tlane_pin(struct transport *t, struct tlane *l, struct exchange *x);
void tlane_pin_loaded(struct exchange *x);

/* transport_request.c */
struct exchange *exchange_new(struct transport *t);
void exchange_free(struct exchange *x);
void exchange_clear(struct exchange *x); /* ready for the next request */
enum err_code exchange_headers(struct exchange *x, const char *lines, struct err *err);
bool exchange_prepare(struct exchange *x, int64_t timeout_ms); /* false: no memory */
/* Once more, before anything was sent, on a connection of its own. */
bool exchange_prepare_fresh(struct exchange *x, int64_t timeout_ms);

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
