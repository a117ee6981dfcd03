/* test/unit/store_world.h: a store on SQLite in a folder of its own, and requests to it. */
#ifndef STORE_WORLD_H
#define STORE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* ours is in base/err.h */
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/seal.h"
#include "store/store.h"

struct fixture {
    char folder[64], url[128];
    struct keyring *keys;
    struct store *store;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    uint8_t key[32] = {1};
    struct err err;
    *state = f;
    snprintf(f->folder, sizeof(f->folder), "/tmp/test_store.XXXXXX");
    if (mkdtemp(f->folder) == NULL || keyring_from_bytes(&f->keys, key, NULL) != OK)
        return -1;
    snprintf(f->url, sizeof(f->url), "sqlite://%s/s.db", f->folder);
    if (store_open(&f->store, f->url, f->keys, 0, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    return 0;
}

static inline int teardown(void **state)
{
    static const char *const names[] = {"s.db", "s.db-wal", "s.db-shm", "s.db.lock"};
    struct fixture *f = *state;
    char path[128];
    store_close(f->store);
    keyring_free(f->keys);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", f->folder, names[i]);
        unlink(path);
    }
    rmdir(f->folder);
    free(f);
    return 0;
}

/* One request of a test: what it does, and what came back. */
struct ask {
    enum err_code answer; /* what the work returns */
    char key[32], value[32];
    sem_t *at_work; /* the work says here that it runs */
    sem_t *hold;    /* and waits here */
    int *order;     /* a counter of callbacks */
    int at;         /* when the callback ran, from 1 */
    enum err_code got;
    int64_t generation;
};

static inline enum err_code set_work(struct backend *b, void *arg, struct err *err)
{
    const struct ask *a = arg;
    if (a->at_work != NULL)
        sem_post(a->at_work);
    if (a->hold != NULL)
        while (sem_wait(a->hold) != 0)
            continue;
    if (a->key[0] != '\0') {
        enum err_code code = b->ops->meta_set(b, a->key, a->value, err);
        if (code != OK)
            return code;
    }
    return a->answer == OK ? OK : fail(err, a->answer, "as told");
}

static inline enum err_code get_work(struct backend *b, void *arg, struct err *err)
{
    struct ask *a = arg;
    return b->ops->meta_get(b, a->key, a->value, sizeof(a->value), err);
}

static inline void done(void *arg, const struct err *err, int64_t generation)
{
    struct ask *a = arg;
    if (a->order != NULL)
        a->at = ++*a->order;
    a->got = err->code;
    a->generation = generation;
}

/* Drains until n callbacks have run. */
static inline void drain(struct store *s, size_t n)
{
    while (n > 0) {
        struct pollfd p = {.fd = store_fd(s), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        size_t got = store_drain(s);
        assert_true(got <= n);
        n -= got;
    }
}

static inline void ask_and_wait(struct store *s, enum store_thread lane, unsigned flags,
                                store_work_fn *work, struct ask *a)
{
    assert_int_equal(store_submit(s, lane, flags, work, done, a), OK);
    drain(s, 1);
}

/* The writer works at `first`, a batch of its own, until `hold` is posted: whatever is submitted
 * meanwhile stands in one batch, but for a machine that is so busy that the batch's time is up
 * after the first of them. Who needs one batch tries again then. */
enum { TRIES = 50 };
static inline void hold_writer(struct store *s, struct ask *first, sem_t *hold)
{
    sem_t at_work;
    sem_init(&at_work, 0, 0);
    sem_init(hold, 0, 0);
    *first = (struct ask){.at_work = &at_work, .hold = hold};
    assert_int_equal(store_submit(s, STORE_WRITE, 0, set_work, done, first), OK);
    while (sem_wait(&at_work) != 0)
        continue;
    sem_destroy(&at_work);
}

#endif
