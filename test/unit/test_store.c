/* test/unit/test_store.c: the threads in front of a backend: bounds, guard, generations, closing, the
 * lock. (Who comes first, and when it is on the disk: test_store_order.c.) */
#include "test/unit/store_world.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "store/schema_sqlite.h"

static enum err_code fill_work(struct backend *b, void *arg, struct err *err)
{
    char value[4000];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    enum err_code code = OK;
    for (int i = 0; code == OK && i < 256; i++) {
        char key[32];
        snprintf(key, sizeof(key), "fill-%d", i);
        value[0] = (char)('a' + *(int *)arg % 26);
        code = b->ops->meta_set(b, key, value, err);
    }
    return code;
}

static void filled(void *arg, const struct err *err, int64_t generation)
{
    (void)arg, (void)generation;
    assert_int_equal(err->code, OK);
}

/* The log is taken into the file while writing goes on: 100 commits of a megabyte leave no log of
 * a hundred. */
static void the_log_stays_small(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char wal[128];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(store_submit(f->store, STORE_WRITE, 0, fill_work, filled, &i), OK);
        drain(f->store, 1);
    }
    snprintf(wal, sizeof(wal), "%s/s.db-wal", f->folder);
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size < (off_t)90 * 1024 * 1024);
}

static void what_is_written_is_read(void **state)
{
    struct fixture *f = *state;
    struct ask w = {.key = "k", .value = "v"}, r = {.key = "k"};
    ask_and_wait(f->store, STORE_WRITE, 0, set_work, &w);
    assert_int_equal(w.got, OK);
    assert_true(w.generation > 0);
    ask_and_wait(f->store, STORE_LIST, 0, get_work, &r);
    assert_int_equal(r.got, OK);
    assert_string_equal(r.value, "v");
    assert_int_equal(r.generation, w.generation);
    ask_and_wait(f->store, STORE_CLAIM, 0, get_work, &r);
    assert_string_equal(r.value, "v");
}

/* true: it was one batch. */
static bool guarded_story(struct fixture *f)
{
    struct ask good = {.key = "a", .value = "1"};
    struct ask bad = {.key = "a", .value = "2", .answer = ERR_INVALID};
    struct ask after = {.key = "b", .value = "3"};
    struct ask r = {.key = "a"}, first;
    sem_t hold;
    hold_writer(f->store, &first, &hold);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_GUARDED, set_work, done, &good), OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_GUARDED, set_work, done, &bad), OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, STORE_GUARDED, set_work, done, &after),
                     OK);
    sem_post(&hold);
    drain(f->store, 4);
    assert_int_equal(good.got, OK);
    assert_int_equal(bad.got, ERR_INVALID);
    assert_int_equal(after.got, OK);
    ask_and_wait(f->store, STORE_LIST, 0, get_work, &r);
    assert_string_equal(r.value, "1");
    sem_destroy(&hold);
    return good.generation == after.generation;
}

static void a_guarded_answer_undoes_its_own_work_only(void **state)
{
    int tries = 0;
    while (!guarded_story(*state))
        assert_true(++tries < TRIES);
}

/* true: it was one batch. */
static bool full_disk_story(struct fixture *f, char key)
{
    struct ask w = {.key = {key}, .value = "1"};
    struct ask full = {.key = {key}, .value = "2", .answer = ERR_FULL}, r = {.key = {key}}, first;
    sem_t hold;
    hold_writer(f->store, &first, &hold);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &w), OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &full), OK);
    sem_post(&hold);
    drain(f->store, 3);
    sem_destroy(&hold);
    assert_int_equal(full.got, ERR_FULL);
    assert_false(store_failed(f->store, NULL));
    ask_and_wait(f->store, STORE_LIST, 0, get_work, &r);
    if (w.got == OK) { /* committed before */
        assert_string_equal(r.value, "1");
        return false;
    }
    assert_int_equal(w.got, ERR_FULL);
    assert_int_equal(r.got, ERR_NOT_FOUND);
    w.got = ERR_INTERNAL;
    ask_and_wait(f->store, STORE_WRITE, 0, set_work, &w);
    assert_int_equal(w.got, OK);
    return true;
}

static void a_full_disk_takes_the_batch_back_and_the_store_lives(void **state)
{
    char key = 'A'; /* another one each time: it must not be there */
    while (!full_disk_story(*state, key))
        assert_true(++key < 'A' + TRIES);
}

static void corruption_fails_the_store_for_good(void **state)
{
    struct fixture *f = *state;
    sem_t hold;
    struct err why;
    sem_init(&hold, 0, 0);
    struct ask bad = {.answer = ERR_CORRUPT, .hold = &hold}, later = {.key = "x", .value = "y"};
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &bad), OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &later), OK);
    sem_post(&hold);
    drain(f->store, 2);
    assert_int_equal(bad.got, ERR_CORRUPT);
    assert_int_equal(later.got, ERR_CORRUPT);
    assert_true(store_failed(f->store, &why));
    assert_int_equal(why.code, ERR_CORRUPT);
    assert_false(store_has_room(f->store, STORE_WRITE));
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &later), ERR_IO);
    sem_destroy(&hold);
}

enum { QUEUE = 4096, ORDINARY = 3584 };

static void a_full_queue_says_busy(void **state)
{
    struct fixture *f = *state;
    static struct ask asks[QUEUE];
    sem_t hold;
    int order = 0;
    struct store_stats stats;
    sem_init(&hold, 0, 0);
    memset(asks, 0, sizeof(asks));
    asks[0].hold = &hold;
    for (int i = 0; i < QUEUE; i++) {
        assert_int_equal(store_has_room(f->store, STORE_WRITE), i < ORDINARY);
        asks[i].order = &order;
        assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &asks[i]), OK);
    }
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &asks[0]), ERR_BUSY);
    assert_true(store_has_room(f->store, STORE_LIST));
    sem_post(&hold);
    drain(f->store, QUEUE);
    for (int i = 0; i < QUEUE; i++)
        assert_int_equal(asks[i].at, i + 1);
    store_stats(f->store, &stats);
    assert_int_equal(stats.requests, QUEUE);
    assert_int_equal(stats.queued[STORE_WRITE], 0);
    assert_true(stats.batch_max <= 1024);
    assert_true(stats.file_bytes > 0);
    assert_true(store_has_room(f->store, STORE_WRITE));
    sem_destroy(&hold);
}

/* ---- many submitters ---- */
enum { THREADS = 4, EACH = 400 };
struct submitter {
    struct store *store;
    int n;
    struct ask asks[EACH];
};

static void *submit_all(void *arg)
{
    struct submitter *s = arg;
    for (int i = 0; i < EACH; i++) {
        struct ask *a = &s->asks[i];
        snprintf(a->key, sizeof(a->key), "t%d-%d", s->n, i);
        snprintf(a->value, sizeof(a->value), "%d", i);
        if (store_submit(s->store, STORE_WRITE, i % 2 != 0 ? STORE_GUARDED : 0, set_work, done,
                         a) != OK)
            return s;
    }
    return NULL;
}

static void many_threads_submit_in_their_order(void **state)
{
    struct fixture *f = *state;
    static struct submitter subs[THREADS];
    pthread_t threads[THREADS];
    struct store_stats stats;
    int order = 0;
    memset(subs, 0, sizeof(subs));
    for (int t = 0; t < THREADS; t++) {
        subs[t].store = f->store;
        subs[t].n = t;
        for (int i = 0; i < EACH; i++)
            subs[t].asks[i].order = &order;
        assert_int_equal(pthread_create(&threads[t], NULL, submit_all, &subs[t]), 0);
    }
    drain(f->store, (size_t)THREADS * EACH);
    for (int t = 0; t < THREADS; t++) {
        void *bad;
        pthread_join(threads[t], &bad);
        assert_null(bad);
        for (int i = 0; i < EACH; i++) {
            assert_int_equal(subs[t].asks[i].got, OK);
            assert_true(i == 0 || subs[t].asks[i].at > subs[t].asks[i - 1].at);
            assert_true(i == 0 || subs[t].asks[i].generation >= subs[t].asks[i - 1].generation);
        }
    }
    store_stats(f->store, &stats);
    assert_int_equal(stats.requests, THREADS * EACH);
    assert_true(stats.commits <= stats.requests);
    assert_int_equal(stats.ops[STORE_OP_WRITE].n, THREADS * EACH);
    assert_int_equal(stats.ops[STORE_OP_COMMIT].n, stats.commits);
    for (int op = 0; op < STORE_OPS; op++)
        assert_int_equal(stats.ops[op].errors, 0);
}

/* ---- faces ---- */
static void each_face_hears_what_it_asked(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    struct err err;
    struct ask mine = {.key = "a", .value = "1"}, theirs = {.key = "b", .value = "2"},
               look = {.key = "a"}, also = {.key = "b"};
    assert_int_equal(store_join(&other, f->store, &err), OK);
    assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &mine), OK);
    assert_int_equal(store_submit(other, STORE_WRITE, 0, set_work, done, &theirs), OK);
    drain(other, 1);
    assert_true(theirs.generation > 0 && mine.generation == 0);
    drain(f->store, 1);
    assert_true(mine.generation > 0);
    ask_and_wait(other, STORE_CLAIM, 0, get_work, &look);
    assert_string_equal(look.value, "1");
    ask_and_wait(f->store, STORE_CLAIM, 0, get_work, &also);
    assert_string_equal(also.value, "2");
    assert_true(look.generation >= mine.generation);
}

static void claim_readers_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    struct err err;
    sem_t hold;
    sem_init(&hold, 0, 0);
    struct ask held = {.hold = &hold}, quick = {.key = "none"};
    assert_int_equal(store_join(&other, f->store, &err), OK);
    assert_int_equal(store_submit(f->store, STORE_CLAIM, 0, set_work, done, &held), OK);
    ask_and_wait(other, STORE_CLAIM, 0, get_work, &quick);
    sem_post(&hold);
    drain(f->store, 1);
    sem_destroy(&hold);
}

static void a_failed_store_wakes_every_face_and_close_answers_all(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    struct err err;
    struct ask bad = {.answer = ERR_CORRUPT};
    assert_int_equal(store_join(&other, f->store, &err), OK);
    assert_int_equal(store_submit(other, STORE_WRITE, 0, set_work, done, &bad), OK);
    struct pollfd p = {.fd = store_fd(f->store), .events = POLLIN}; /* it asked for nothing */
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_true(store_failed(f->store, NULL));
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(bad.got, ERR_CORRUPT);
}

/* A read that says generation g shows every commit up to g. */
static void a_read_shows_what_its_generation_promises(void **state)
{
    struct fixture *f = *state;
    int64_t last = 0;
    for (int i = 1; i <= 200; i++) {
        struct ask w = {.key = "n"}, r = {.key = "n"};
        snprintf(w.value, sizeof(w.value), "%d", i);
        assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &w), OK);
        assert_int_equal(store_submit(f->store, STORE_CLAIM, 0, get_work, done, &r), OK);
        drain(f->store, 2);
        assert_true(w.generation > last);
        assert_true(r.generation == w.generation || r.generation == last);
        if (r.generation == w.generation)
            assert_string_equal(r.value, w.value);
        last = w.generation;
    }
}

static void close_finishes_what_is_queued(void **state)
{
    struct fixture *f = *state;
    static struct ask asks[500];
    struct ask r = {.key = "c499"};
    struct err err;
    memset(asks, 0, sizeof(asks));
    for (int i = 0; i < 500; i++) {
        asks[i].got = ERR_INTERNAL;
        snprintf(asks[i].key, sizeof(asks[i].key), "c%d", i);
        assert_int_equal(store_submit(f->store, STORE_WRITE, 0, set_work, done, &asks[i]), OK);
    }
    store_close(f->store);
    f->store = NULL;
    for (int i = 0; i < 500; i++)
        assert_int_equal(asks[i].got, OK);
    assert_int_equal(store_open(&f->store, f->url, f->keys, 0, &err), OK);
    ask_and_wait(f->store, STORE_LIST, 0, get_work, &r);
    assert_int_equal(r.got, OK);
}

static void a_second_daemon_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct err err;
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    assert_int_equal(store_open(&second, f->url, f->keys, 50, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, pid));
    assert_null(second);
    struct ask w = {.key = "still", .value = "here"};
    ask_and_wait(f->store, STORE_WRITE, 0, set_work, &w);
    assert_int_equal(w.got, OK);
}

static void what_is_not_a_store_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;
    struct err err;
    char url[160], path[128];
    assert_int_equal(store_open(&s, "mysql://x", f->keys, 0, &err), ERR_INVALID);
    assert_int_equal(store_open(&s, "sqlite://relative.db", f->keys, 0, &err), ERR_INVALID);
    snprintf(url, sizeof(url), "sqlite://%s/no/such/folder.db", f->folder);
    assert_int_equal(store_open(&s, url, f->keys, 0, &err), ERR_IO);
    snprintf(path, sizeof(path), "%s/text", f->folder);
    FILE *text = fopen(path, "w");
    assert_non_null(text);
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", text);
    fclose(text);
    snprintf(url, sizeof(url), "sqlite://%s", path);
    assert_int_equal(store_open(&s, url, f->keys, 0, &err), ERR_CORRUPT);
    unlink(path);
    snprintf(path, sizeof(path), "%s/text.lock", f->folder);
    unlink(path);
    assert_null(s);
}

/* What another program did to the file between two starts. */
static void meddle(const struct fixture *f, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->url + strlen("sqlite://"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_newer_or_foreign_file_is_refused_untouched(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char back[96];
    store_close(f->store);
    f->store = NULL;
    meddle(f, "PRAGMA user_version = 99");
    assert_int_equal(store_open(&f->store, f->url, f->keys, 0, &err), ERR_NEWER);
    assert_non_null(strstr(err.text, "newer"));
    snprintf(back, sizeof back, "PRAGMA user_version = %d; PRAGMA application_id = 42",
             SCHEMA_VERSION);
    meddle(f, back);
    assert_int_equal(store_open(&f->store, f->url, f->keys, 0, &err), ERR_INVALID);
    assert_null(f->store);
    meddle(f, "PRAGMA application_id = 0x77686b64");
    assert_int_equal(store_open(&f->store, f->url, f->keys, 0, &err), OK);
}

static void the_files_are_private(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    struct fixture *f = *state;
    struct ask w = {.key = "k", .value = "v"};
    char path[160];
    struct stat st;
    ask_and_wait(f->store, STORE_WRITE, 0, set_work, &w);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(path, sizeof(path), "%s/s.db%s", f->folder, ends[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_stays_small, setup, teardown),
        cmocka_unit_test_setup_teardown(a_guarded_answer_undoes_its_own_work_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_takes_the_batch_back_and_the_store_lives, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(corruption_fails_the_store_for_good, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_says_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads_submit_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_shows_what_its_generation_promises, setup, teardown),
        cmocka_unit_test_setup_teardown(each_face_hears_what_it_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(claim_readers_do_not_wait_for_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_store_wakes_every_face_and_close_answers_all,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(close_finishes_what_is_queued, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_daemon_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_a_store_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_or_foreign_file_is_refused_untouched, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_files_are_private, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
