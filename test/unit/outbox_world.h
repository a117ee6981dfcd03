/* test/unit/outbox_world.h: a store on a SQLite file, an outbox source beside it, producers with
 * their own connections, all in one temporary folder. Facts are waited for, with a deadline. */
#ifndef TEST_OUTBOX_WORLD_H
#define TEST_OUTBOX_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* base/err.h has a function of that name */
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/outbox.h"

#define DEADLINE_MS 20000
#define FAIL(...)                                                                                  \
    do {                                                                                           \
        print_error(__VA_ARGS__);                                                                  \
        print_error("\n");                                                                         \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (0)
#define WORLD_OUTBOXES 2

struct world {
    char dir[64], store_url[128], file[WORLD_OUTBOXES][128], url[WORLD_OUTBOXES][160], bell[128];
    struct keyring *keys;
    struct store *store;
    struct intake *intake;
    struct outbox_source *source;
    struct conf conf;
    sqlite3 *producer[WORLD_OUTBOXES];
    int64_t accepted, duplicates, unrouted, rejected; /* as told to the loop */
};

static inline void world_changed(void *arg, const struct changes *ch)
{
    struct world *w = arg;
    w->accepted += ch->accepted;
    w->duplicates += ch->duplicates;
    w->unrouted += ch->unrouted;
    w->rejected += ch->rejected;
}

static inline void must(enum err_code code, const struct err *err)
{
    if (code != OK)
        FAIL("%s: %s", err_code_name(code), err->text);
}

static inline void sql(sqlite3 *db, const char *text)
{
    char *problem = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &problem) != SQLITE_OK)
        FAIL("%s: %s", text, problem);
}

static inline int64_t sql_number(sqlite3 *db, const char *text)
{
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    int rc = sqlite3_step(st);
    int64_t n = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    return n;
}

static inline sqlite3 *producer_open(const char *file)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                     SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    return db;
}

/* ---- the store ---- */

struct world_ask {
    enum err_code (*look)(struct backend *b, struct world_ask *a, struct err *err);
    const char *text;
    struct arena mem;
    struct event_rec *events;
    struct reject *rejects;
    size_t n;
    bool done;
    struct err err;
};

static inline enum err_code world_work(struct backend *b, void *arg, struct err *err)
{
    struct world_ask *a = arg;
    return a->look(b, a, err);
}

static inline void world_done(void *arg, const struct err *err, int64_t generation)
{
    struct world_ask *a = arg;
    (void)generation;
    a->err = *err;
    a->done = true;
}

static inline void world_pump(struct world *w)
{
    struct pollfd p = {.fd = store_fd(w->store), .events = POLLIN};
    poll(&p, 1, 2);
    store_drain(w->store);
}

static inline void world_ask(struct world *w, enum store_thread lane, struct world_ask *a)
{
    struct err err = {0};
    arena_init(&a->mem);
    must(store_submit(w->store, lane, 0, world_work, world_done, a), &err);
    int64_t until = clock_mono_ms() + DEADLINE_MS;
    while (!a->done && clock_mono_ms() < until)
        world_pump(w);
    assert_true(a->done);
    must(a->err.code, &a->err);
}

static inline enum err_code look_events(struct backend *b, struct world_ask *a, struct err *err)
{
    struct filter f = {.limit = 1000};
    return b->ops->event_list(b, &f, &a->mem, &a->events, &a->n, err);
}

static inline enum err_code look_rejects(struct backend *b, struct world_ask *a, struct err *err)
{
    return b->ops->reject_list(b, 0, 1000, &a->mem, &a->rejects, &a->n, err);
}

static inline enum err_code look_taken(struct backend *b, struct world_ask *a, struct err *err)
{
    struct taken *list = NULL;
    return b->ops->taken_list(b, a->text, INT64_MIN, 1000, &a->mem, &list, &a->n, err);
}

static inline enum err_code look_mark(struct backend *b, struct world_ask *a, struct err *err)
{
    int64_t mark = 0;
    enum err_code code = b->ops->outbox_mark(b, a->text, &mark, err);
    a->n = (size_t)mark;
    return code;
}

static inline size_t world_count(struct world *w,
                                 enum err_code (*look)(struct backend *, struct world_ask *,
                                                       struct err *))
{
    struct world_ask a = {.look = look, .text = w->file[0]};
    world_ask(w, STORE_LIST, &a);
    size_t n = a.n;
    arena_fini(&a.mem);
    return n;
}

/* ---- waiting ---- */

#define WAIT_FOR(w, fact)                                                                          \
    do {                                                                                           \
        int64_t until_ = clock_mono_ms() + DEADLINE_MS;                                            \
        while (!(fact)) {                                                                          \
            world_pump(w);                                                                         \
            if (clock_mono_ms() > until_)                                                          \
                FAIL("not in time: %s", #fact);                                                    \
        }                                                                                          \
    } while (0)

/* ---- life ---- */

static inline void world_store_open(struct world *w)
{
    struct err err = {0};
    must(store_open(&w->store, w->store_url, w->keys, 1000, &err), &err);
    w->intake = intake_new(w->keys);
    assert_non_null(w->intake);
}

static inline struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err = {0};
    uint8_t key[32] = {1, 2, 3};
    assert_non_null(w);
    log_setup(LOG_FORMAT_LOGFMT, getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    char dir[] = "/tmp/webhookd-outbox-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(w->dir, sizeof w->dir, "%s", dir);
    snprintf(w->store_url, sizeof w->store_url, "sqlite://%s/store.db", dir);
    snprintf(w->bell, sizeof w->bell, "%s/bell", dir);
    for (int i = 0; i < WORLD_OUTBOXES; i++) {
        snprintf(w->file[i], sizeof w->file[i], "%s/trades%d.db", dir, i);
        snprintf(w->url[i], sizeof w->url[i], "sqlite://%s/trades%d.db", dir, i);
        w->conf.outbox[i] = (struct conf_outbox){
            .url = w->url[i], .name = w->file[i], .trim = TRIM_OFF, .max_payload_bytes = 1 << 20};
        w->conf.outbox[i].table = strdup("outbox");
        w->conf.outbox[i].partner = strdup("default");
    }
    w->conf.outbox_n = 1;
    w->conf.store_url = w->store_url;
    w->conf.retain_dedupe_ms = 86400000;
    must(keyring_from_bytes(&w->keys, key, &err), &err);
    world_store_open(w);
    return w;
}

static inline void world_start(struct world *w)
{
    struct err err = {0};
    must(outbox_source_new(&w->source, &w->conf, w->store, w->intake, world_changed, w, &err),
         &err);
    outbox_source_start(w->source);
}

/* As a crash and a new start: the source and its memory are gone, the files stay. */
static inline void world_stop(struct world *w)
{
    outbox_source_stop(w->source);
    store_close(w->store);
    outbox_source_free(w->source);
    intake_free(w->intake);
    w->source = NULL;
    w->store = NULL;
    w->intake = NULL;
}

static inline void world_restart(struct world *w)
{
    world_stop(w);
    w->accepted = w->duplicates = w->unrouted = w->rejected = 0;
    world_store_open(w);
    world_start(w);
}

static inline void world_free(struct world *w)
{
    char command[160];
    world_stop(w);
    for (int i = 0; i < WORLD_OUTBOXES; i++) {
        sqlite3_close(w->producer[i]);
        free(w->conf.outbox[i].table);
        free(w->conf.outbox[i].partner);
    }
    keyring_free(w->keys);
    snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
}

/* Makes outbox i as a producer does, in the given journal mode. */
static inline void world_outbox(struct world *w, int i, bool wal)
{
    struct err err = {0};
    bool created = false;
    must(outbox_init(w->file[i], "outbox", wal, &created, &err), &err);
    assert_true(created);
    w->producer[i] = producer_open(w->file[i]);
}

#endif
