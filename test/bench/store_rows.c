/* test/bench/store_rows.c: the SQLite store by itself, without a loop: what a row costs that is put,
 * claimed and settled as the daemon does it (a batch a transaction, claims that skip what is in
 * memory).
 *
 *   store_rows FOLDER [N [BATCH [SUBS]]]         microseconds, pages of the log a row
 *   valgrind --tool=callgrind --toggle-collect=rows_settle store_rows FOLDER 5000   instructions
 *
 * The steps are functions of their own for that: rows_put, rows_claim, rows_settle. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/backend.h"
#include "store/seal.h"

enum { PUT_BATCH = 256, CLAIM_ROWS = 64, SUBS_MAX = 1000 };

struct bench {
    const struct backend_ops *ops;
    struct backend *writer, *reader;
    struct keyring *keys;
    int64_t n, batch, subs;
    int64_t next_num;
    struct claimed **rows; /* in the order of their claims */
    int64_t claimed, settled;
    int64_t *in_memory; /* numbers of one lane */
    int64_t frames;     /* of the log, so far */
    int64_t us[3];
};

static void check(enum err_code code, const struct err *err, const char *what)
{
    if (code == OK)
        return;
    fprintf(stderr, "store_rows: %s: %s\n", what, err->text);
    exit(1);
}

static void begin(struct backend *b)
{
    struct err err;
    check(b->ops->begin(b, &err), &err, "begin");
}

static void commit(struct backend *b)
{
    struct err err;
    check(b->ops->commit(b, &err), &err, "commit");
}

static void make_subs(struct bench *s)
{
    struct err err;
    char name[32];
    begin(s->writer);
    for (int64_t i = 1; i <= s->subs; i++) {
        snprintf(name, sizeof name, "sub-%" PRId64, i);
        struct subscription sub = {.num = i,
                                   .name = name,
                                   .partner = 1,
                                   .url = "https://partner.example/hook",
                                   .patterns = "*",
                                   .created_ms = 1,
                                   .updated_ms = 1,
                                   .revision = 1};
        check(s->ops->sub_put(s->writer, &sub, &err), &err, "sub_put");
    }
    commit(s->writer);
}

static void put(struct bench *s, int64_t i)
{
    char id[40], payload[421];
    uint8_t digest[32];
    int64_t sub = 1 + i % s->subs;
    bool ordered = false;
    struct err err;
    struct event_put_result result;
    snprintf(id, sizeof id, "evt_%08x%018" PRId64, (unsigned)(i * 2654435761u), i);
    memset(payload, 'x', sizeof payload);
    snprintf(payload, sizeof payload, "{\"n\":%" PRId64 ",\"pad\":\"", i);
    payload[strlen(payload)] = 'x';
    memset(digest, 0, sizeof digest);
    memcpy(digest, &i, sizeof i);
    struct event_rec e = {.num = s->next_num++,
                          .id = id,
                          .partner = 1,
                          .type = "order.executed",
                          .payload = payload,
                          .payload_bytes = sizeof payload - 1,
                          .created_ms = 1800000000000 + i / 10,
                          .accepted_ms = 1800000000000 + i / 10,
                          .outbox = "/var/lib/webhookd/outbox/outbox.db",
                          .seq = i + 1};
    check(s->ops->event_put(s->writer, &e, &sub, &ordered, 1, s->next_num, digest, 1900000000000,
                            &result, &err),
          &err, "event_put");
    s->next_num++;
}

__attribute__((noinline)) static void rows_put(struct bench *s, int64_t from, int64_t to)
{
    begin(s->writer);
    for (int64_t i = from; i < to; i++)
        put(s, i);
    commit(s->writer);
}

/* Two claims are in memory at a time: one is on its way, the other waits. */
__attribute__((noinline)) static void rows_claim(struct bench *s, int64_t sub)
{
    struct err err;
    struct claim_got got;
    struct claim_ask ask = {.max = CLAIM_ROWS, .max_row_bytes = 8192, .max_bytes = SIZE_MAX};
    for (int64_t i = s->settled; i < s->claimed; i++)
        if (s->rows[i]->delivery.sub == sub)
            s->in_memory[ask.skip_n++] = s->rows[i]->delivery.num;
    ask.skip = s->in_memory;
    begin(s->reader);
    check(s->ops->claim(s->reader, sub, INT64_MAX - 1, &ask, s->rows + s->claimed, &got, &err),
          &err, "claim");
    commit(s->reader);
    s->claimed += (int64_t)got.n;
}

static void settle(struct bench *s, const struct claimed *c)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 29 Nov 2026 00:00:00 "
        "GMT\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
        "Connection: keep-alive\r\n\r\n";
    struct err err;
    struct settled settled;
    struct settlement st = {.delivery = c->delivery.num,
                            .sub = c->delivery.sub,
                            .seen = c,
                            .has_attempt = true,
                            .attempt = {.delivery = c->delivery.num,
                                        .n = 1,
                                        .started_ms = 1800000001000,
                                        .duration_us = 1500,
                                        .dns_us = -1,
                                        .connect_us = -1,
                                        .tls_us = -1,
                                        .wait_us = 1200,
                                        .transfer_us = 10,
                                        .outcome = OUTCOME_SUCCESS,
                                        .status = 200,
                                        .address = "127.0.0.1:8443",
                                        .response_head = head},
                            .to = SETTLE_DELIVERED,
                            .now_ms = 1800000002000};
    check(s->ops->settle(s->writer, &st, 1900000000000, &settled, &err), &err, "settle");
}

__attribute__((noinline)) static void rows_settle(struct bench *s, int64_t to)
{
    begin(s->writer);
    for (; s->settled < to; s->settled++)
        settle(s, s->rows[s->settled]);
    commit(s->writer);
}

/* ---- the run ---- */
static int64_t minimum(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void note(struct bench *s, int step, int64_t from_us)
{
    s->us[step] += clock_mono_us() - from_us;
}

/* As the list reader does it: now and then, and counted to nobody. */
static void tidy(struct bench *s)
{
    if (s->ops->log_bytes(s->writer) > 4 << 20) {
        s->frames += s->ops->log_bytes(s->writer) / 4120;
        s->ops->checkpoint(s->reader);
    }
}

static void report(const struct bench *s, const char *step, int at, int64_t frames)
{
    printf("%-7s %6.2f us a row", step, (double)s->us[at] / (double)s->n);
    if (frames > 0)
        printf(", %.3f pages of the log", (double)frames / (double)s->n);
    printf("\n");
}

static void run(struct bench *s)
{
    for (int64_t i = 0; i < s->n; i += PUT_BATCH) {
        int64_t from_us = clock_mono_us();
        rows_put(s, i, minimum(i + PUT_BATCH, s->n));
        note(s, 0, from_us);
        tidy(s);
    }
    int64_t put_frames = s->frames + s->ops->log_bytes(s->writer) / 4120;
    int64_t ahead = 2 * CLAIM_ROWS * s->subs, turn = 0;
    while (s->settled < s->n) {
        int64_t from_us = clock_mono_us();
        if (s->claimed < s->n && s->claimed - s->settled < ahead) {
            rows_claim(s, 1 + turn++ % s->subs);
            note(s, 1, from_us);
        } else {
            rows_settle(s, minimum(s->settled + s->batch, s->claimed));
            note(s, 2, from_us);
            tidy(s);
        }
    }
    int64_t all_frames = s->frames + s->ops->log_bytes(s->writer) / 4120;
    report(s, "put", 0, put_frames);
    report(s, "claim", 1, 0);
    report(s, "settle", 2, all_frames - put_frames);
}

static int64_t argument(int argc, char **argv, int at, int64_t otherwise)
{
    return argc > at ? strtoll(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    static const uint8_t key[32] = "a key of thirty-two bytes, yes!";
    struct bench s = {.n = argument(argc, argv, 2, 100000),
                      .batch = argument(argc, argv, 3, 64),
                      .subs = argument(argc, argv, 4, 1)};
    char target[4096];
    struct err err;
    if (argc < 2 || s.n < 1 || s.batch < 1 || s.subs < 1)
        return fprintf(stderr, "usage: store_rows FOLDER [N [BATCH [SUBS]]]\n"), 64;
    snprintf(target, sizeof target, "sqlite://%s/rows.db", argv[1]);
    s.ops = backend_find(target);
    s.next_num = s.subs + 1;
    s.rows = calloc((size_t)(s.n + CLAIM_ROWS), sizeof *s.rows);
    s.in_memory = calloc((size_t)(s.n + CLAIM_ROWS), sizeof *s.in_memory);
    check(keyring_from_bytes(&s.keys, key, &err), &err, "key");
    check(s.ops->open(&s.writer, target, BACKEND_WRITER, s.keys, &err), &err, "open");
    check(s.ops->open(&s.reader, target, BACKEND_READER, s.keys, &err), &err, "open");
    make_subs(&s);
    run(&s);
    for (int64_t i = 0; i < s.claimed; i++)
        claimed_free(s.rows[i]);
    s.ops->close(s.reader);
    s.ops->close(s.writer);
    keyring_free(s.keys);
    free(s.rows);
    free(s.in_memory);
    return 0;
}
