/* test/conformance/bed.h: what every conformance case stands on: a fresh store of either kind with
 * a transaction open, and short words for the usual requests.
 *
 * A case is written once and registered with ON_BOTH(): it runs on the memory backend and on the
 * SQLite one, and has to find the same. */
#ifndef TEST_CONFORMANCE_BED_H
#define TEST_CONFORMANCE_BED_H

#include "base/id.h"
#include "store/backend.h"
#include "store/seal.h"

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Last: it has a macro named fail, as base/err.h has a function. */
#include <cmocka.h>

enum { T0 = 1000000 }; /* when the cases begin; far in the past, so nothing is future by accident */
enum { DEAD_KEPT = 50000 };

struct bed {
    const struct backend_ops *ops;
    struct backend *b;
    struct keyring *keys;
    struct arena a;
    struct err err;
    char dir[64], target[128]; /* dir: a folder of its own, gone at the end */
    int64_t last;              /* number given out last */
};

/* Members of a struct filter. */
#define ONE_EVENT(id) .event_ids = (const char *const[]){id}, .event_ids_n = 1
#define ONE_TYPE(pattern) .types = (const char *const[]){pattern}, .types_n = 1
#define ONE_STATUS(from, to) .statuses = (const struct status_range[]){{from, to}}, .statuses_n = 1

#define OK_OR_DIE(bed, call) bed_ok((bed), (call), #call, __FILE__, __LINE__)
#define ON_BOTH(f)                                                                                 \
    {"memory " #f, f, bed_setup, bed_teardown, bed_memory},                                        \
    {                                                                                              \
        "sqlite " #f, f, bed_setup, bed_teardown, bed_sqlite                                       \
    }

__attribute__((unused)) static char bed_memory[] = "memory", bed_sqlite[] = "sqlite";

static inline void bed_ok(const struct bed *bed, enum err_code code, const char *what,
                          const char *file, int line)
{
    if (code != OK) {
        print_error("%s: %s: %s\n", what, err_code_name(code), bed->err.text);
        _fail(file, line);
    }
}

/* ---- life ---- */
static inline void bed_open(struct bed *bed, const char *scheme)
{
    static const uint8_t key[32] = "a key of thirty-two bytes, yes!";
    memset(bed, 0, sizeof(*bed));
    bed->last = 100;
    arena_init(&bed->a);
    OK_OR_DIE(bed, keyring_from_bytes(&bed->keys, key, &bed->err));
    char dir[] = "/tmp/conformance-XXXXXX";
    assert_non_null(mkdtemp(dir));
    memcpy(bed->dir, dir, sizeof(dir));
    if (strcmp(scheme, "memory") == 0)
        snprintf(bed->target, sizeof(bed->target), "memory:%s", dir);
    else
        snprintf(bed->target, sizeof(bed->target), "sqlite://%s/store.db", dir);
    bed->ops = backend_find(bed->target);
    assert_non_null(bed->ops);
    OK_OR_DIE(bed, bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
}

static inline void bed_close(struct bed *bed)
{
    if (bed->b != NULL)
        bed->ops->rollback(bed->b);
    bed->ops->close(bed->b);
    keyring_free(bed->keys);
    arena_fini(&bed->a);
    DIR *d = opendir(bed->dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", bed->dir, e->d_name);
        (void)unlink(path);
    }
    if (d != NULL)
        closedir(d);
    (void)rmdir(bed->dir);
}

static inline int bed_setup(void **state)
{
    struct bed *bed = malloc(sizeof(*bed));
    assert_non_null(bed);
    bed_open(bed, *state);
    *state = bed;
    return 0;
}

static inline int bed_teardown(void **state)
{
    bed_close(*state);
    free(*state);
    return 0;
}

static inline void bed_commit(struct bed *bed)
{
    OK_OR_DIE(bed, bed->ops->commit(bed->b, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
}

static inline bool bed_is_file(const struct bed *bed)
{
    return strcmp(bed->ops->scheme, "sqlite") == 0;
}

/* ---- short words ---- */
static inline int64_t bed_num(struct bed *bed)
{
    return ++bed->last;
}

enum { ORDERED = 1, BLOCK = 2 };
static inline struct subscription bed_sub_of(struct bed *bed, const char *name, int flags)
{
    return (struct subscription){.num = bed_num(bed),
                                 .name = name,
                                 .partner = 1,
                                 .url = "https://partner.example/hook",
                                 .patterns = "order.*,trade.settled",
                                 .ordered = (flags & ORDERED) != 0,
                                 .on_dead_block = (flags & BLOCK) != 0,
                                 .created_ms = T0,
                                 .updated_ms = T0,
                                 .revision = 1};
}

static inline int64_t bed_sub(struct bed *bed, const char *name, int flags)
{
    struct subscription s = bed_sub_of(bed, name, flags);
    OK_OR_DIE(bed, bed->ops->sub_put(bed->b, &s, &bed->err));
    return s.num;
}

static inline struct subscription bed_sub_get(struct bed *bed, int64_t num)
{
    struct subscription s;
    OK_OR_DIE(bed, bed->ops->sub_get_num(bed->b, num, &bed->a, &s, &bed->err));
    return s;
}

static inline void bed_digest(const char *id, const char *type, const void *payload, size_t n,
                              uint8_t out[32])
{
    uint64_t h[2] = {1469598103934665603U, 1469598103934665603U};
    const unsigned char *p = payload;
    for (; *id != '\0'; id++)
        h[0] = (h[0] ^ (unsigned char)*id) * 1099511628211U;
    for (; *type != '\0'; type++)
        h[1] = (h[1] ^ (unsigned char)*type) * 1099511628211U;
    for (size_t i = 0; i < n; i++)
        h[1] = (h[1] ^ p[i]) * 1099511628211U;
    memset(out, 7, 32);
    memcpy(out, &h[0], 8);
    memcpy(out + 16, &h[1], 8);
}

/* An event of its most usual kind; change what the case is about. */
static inline struct event_rec bed_event_of(struct bed *bed, const char *id, int64_t at_ms)
{
    return (struct event_rec){.num = bed_num(bed),
                              .id = id,
                              .partner = 1,
                              .type = "order.executed",
                              .payload = "{\"n\":1}",
                              .payload_bytes = 7,
                              .created_ms = at_ms,
                              .accepted_ms = at_ms,
                              .outbox = "trades",
                              .seq = 1};
}

/* Returns the number of the first delivery; the others follow it. */
static inline int64_t bed_put_at(struct bed *bed, const struct event_rec *e, const int64_t *subs,
                                 size_t n, bool ordered, struct event_put_result *out)
{
    struct event_put_result r;
    uint8_t digest[32];
    bool flags[16];
    int64_t first = bed->last + 1;
    assert_true(n <= 16);
    for (size_t i = 0; i < n; i++)
        flags[i] = ordered;
    bed->last += (int64_t)n;
    bed_digest(e->id, e->type, e->payload, e->payload_bytes, digest);
    OK_OR_DIE(bed, bed->ops->event_put(bed->b, e, subs, flags, n, first, digest,
                                       e->accepted_ms + 100000, out != NULL ? out : &r, &bed->err));
    return first;
}

/* One event for one subscription, with an ordering key or NULL. */
static inline int64_t bed_emit(struct bed *bed, int64_t sub, const char *id, const char *key,
                               int64_t at_ms)
{
    struct event_rec e = bed_event_of(bed, id, at_ms);
    struct event_put_result r;
    e.ordering_key = key;
    int64_t d = bed_put_at(bed, &e, &sub, 1, key != NULL, &r);
    assert_int_equal(r.kind, EVENT_NEW);
    return d;
}

static inline struct delivery bed_delivery(struct bed *bed, int64_t num)
{
    struct delivery d;
    OK_OR_DIE(bed, bed->ops->delivery_get(bed->b, num, &bed->a, &d, &bed->err));
    return d;
}

static inline struct settlement bed_settlement(int64_t delivery, enum settle_to to, int64_t now_ms)
{
    struct settlement s = {.delivery = delivery, .has_attempt = true, .to = to, .now_ms = now_ms};
    s.attempt = (struct attempt){.delivery = delivery,
                                 .started_ms = now_ms - 5,
                                 .duration_us = 5000,
                                 .dns_us = -1,
                                 .connect_us = 10,
                                 .tls_us = -1,
                                 .wait_us = 30,
                                 .transfer_us = 4,
                                 .outcome = OUTCOME_HTTP_5XX,
                                 .status = 503,
                                 .address = "203.0.113.7:443",
                                 .response_head = "HTTP/1.1 503 Service Unavailable\r\n\r\n",
                                 .response_body = "sorry",
                                 .response_body_bytes = 5};
    if (to == SETTLE_DELIVERED) {
        s.attempt.outcome = OUTCOME_SUCCESS;
        s.attempt.status = 200;
    } else if (to == SETTLE_DEAD) {
        s.cause = CAUSE_RETRIES_EXHAUSTED;
    } else {
        s.due_ms = now_ms + 1000;
        s.attempt.next_ms = s.due_ms;
    }
    return s;
}

static inline struct settled bed_settle_as(struct bed *bed, const struct settlement *s)
{
    struct settled out;
    OK_OR_DIE(bed, bed->ops->settle(bed->b, s, s->now_ms + DEAD_KEPT, &out, &bed->err));
    return out;
}

static inline struct settled bed_settle(struct bed *bed, int64_t delivery, enum settle_to to,
                                        int64_t now_ms)
{
    struct settlement s = bed_settlement(delivery, to, now_ms);
    return bed_settle_as(bed, &s);
}

static inline void bed_replay(struct bed *bed, int64_t num, int64_t job, int64_t now_ms)
{
    OK_OR_DIE(bed, bed->ops->dead_replay(bed->b, num, &(struct reopening){job, now_ms, now_ms, 0},
                                         &bed->err));
}

#define CLAIM_UPTO(n)                                                                              \
    ((struct claim_ask){.max = (n), .max_row_bytes = SIZE_MAX, .max_bytes = SIZE_MAX})

/* The numbers that sub's lane could send at now, in order; at most 32. */
struct claims {
    size_t n;
    int64_t num[32], next_due_ms;
};
static inline struct claims bed_claim(struct bed *bed, int64_t sub, int64_t now_ms)
{
    struct claimed *out[32];
    struct claims c;
    struct claim_got got;
    OK_OR_DIE(bed, bed->ops->claim(bed->b, sub, now_ms, &CLAIM_UPTO(32), out, &got, &bed->err));
    c.n = got.n;
    c.next_due_ms = got.next_due_ms;
    for (size_t i = 0; i < c.n; i++) {
        c.num[i] = out[i]->delivery.num;
        claimed_free(out[i]);
    }
    return c;
}

/* Exactly these may go at now, in this order. */
#define ASSERT_CLAIMS(bed, sub, now, ...)                                                          \
    bed_assert_claims((bed), (sub), (now), (const int64_t[]){__VA_ARGS__},                         \
                      sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), __FILE__,          \
                      __LINE__)
static inline void bed_assert_claims(struct bed *bed, int64_t sub, int64_t now_ms,
                                     const int64_t *want, size_t n, const char *file, int line)
{
    struct claims c = bed_claim(bed, sub, now_ms);
    bool same = c.n == n && memcmp(c.num, want, n * sizeof(*want)) == 0;
    if (same)
        return;
    print_error("claimed %zu:", c.n);
    for (size_t i = 0; i < c.n; i++)
        print_error(" %" PRId64, c.num[i]);
    print_error(", wanted %zu from %" PRId64 "\n", n, want[0]);
    _fail(file, line);
}
#define ASSERT_NO_CLAIMS(bed, sub, now) assert_int_equal(bed_claim((bed), (sub), (now)).n, 0)

/* Many deliveries, of two subscriptions by turns, none of them over yet: what walks are tried on. */
enum { BED_MANY = 120 };
static inline void bed_many(struct bed *bed, int64_t subs[2], int64_t out[BED_MANY])
{
    subs[0] = bed_sub(bed, "a", 0);
    subs[1] = bed_sub(bed, "b", 0);
    for (int i = 0; i < BED_MANY; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        out[i] = bed_emit(bed, subs[i % 2], id, NULL, T0);
    }
}

/* A walk over the deliveries of sub (0: of all), `limit` at a time of `looks` looked at, finds so many. */
typedef void bed_walk_fn(struct bed *bed, int64_t sub, size_t looks, size_t limit, bool down,
                         size_t expected);
static inline void bed_walk_all(struct bed *bed, bed_walk_fn *walk, int64_t sub, size_t expected)
{
    static const size_t sizes[][2] = {{1, 1}, {7, 3}, {3, 7}, {10, 10}, {1000, 5}, {1000, 1000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int down = 0; down < 2; down++)
            walk(bed, sub, sizes[i][0], sizes[i][1], down != 0, expected);
}

#endif
