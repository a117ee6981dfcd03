/* test/bench/notice.c: how soon is a committed row noticed?
 *
 *   notice FOLDER RATE SECONDS [doorbell]
 *
 * The real outbox source (watch, doorbell, reading, the sync of the producer's log) stands before a
 * store that only looks at its watch: store_submit() below takes the place of store/store.c's. A
 * producer's connection with synchronous=FULL commits in this process. Time runs from the return of
 * COMMIT to the moment at which the batch would go to the store. Prints one line of JSON. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/outbox.h"

enum { COMMITS_MAX = 100000, WAIT_US = 100000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static int64_t handed_us; /* guarded by mutex: when the last batch came; 0: none since */

enum err_code store_submit(struct store *s, enum store_thread thread, unsigned flags,
                           store_work_fn *work, store_done_fn *done, void *arg)
{
    const struct err fine = {.code = OK};

    (void)s;
    (void)work;
    (void)thread;
    if (flags & STORE_INGEST) { /* a batch of rows */
        pthread_mutex_lock(&mutex);
        handed_us = clock_mono_us();
        pthread_cond_signal(&came);
        pthread_mutex_unlock(&mutex);
    }
    done(arg, &fine, 1);
    return OK;
}

bool store_is_durable(const struct store *s)
{
    (void)s;
    return true;
}

bool store_has_room(struct store *s, enum store_thread thread)
{
    (void)s;
    (void)thread;
    return true;
}

static void nothing(void *arg, const struct changes *ch)
{
    (void)arg;
    (void)ch;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "notice: %s\n", what);
    exit(1);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void sleep_until_us(int64_t at)
{
    int64_t left = at - clock_mono_us();
    struct timespec ts = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};

    if (left > 0)
        (void)nanosleep(&ts, NULL);
}

/* Microseconds from the commit to its batch; -1: nobody came. */
static int64_t once(sqlite3_stmt *insert, int bell, const struct sockaddr_un *to)
{
    struct timespec limit;

    pthread_mutex_lock(&mutex);
    handed_us = 0;
    pthread_mutex_unlock(&mutex);
    (void)sqlite3_step(insert);
    if (sqlite3_reset(insert) != SQLITE_OK)
        die("the producer cannot commit");
    int64_t from = clock_mono_us();
    if (bell >= 0)
        (void)sendto(bell, "!", 1, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof(*to));
    (void)clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec++;
    pthread_mutex_lock(&mutex);
    int rc = 0;
    while (handed_us == 0 && rc == 0)
        rc = pthread_cond_timedwait(&came, &mutex, &limit);
    int64_t at = handed_us;
    pthread_mutex_unlock(&mutex);
    /* It may see the commit before the producer's own call returns. */
    return at == 0 ? -1 : at > from ? at - from : 0;
}

int main(int argc, char **argv)
{
    static int64_t took[COMMITS_MAX];
    static char db_path[300], url[320], bell_path[100];
    struct outbox_source *source;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct err err;
    sqlite3 *db;
    sqlite3_stmt *insert;
    long n = 0, rate = argc > 3 ? strtol(argv[2], NULL, 10) : 0;
    long commits = argc > 3 ? rate * strtol(argv[3], NULL, 10) : 0;
    int bell = argc > 4 ? socket(AF_UNIX, SOCK_DGRAM, 0) : -1;

    if (commits < 1 || commits > COMMITS_MAX)
        die("usage: notice FOLDER RATE SECONDS [doorbell]");
    (void)snprintf(db_path, sizeof db_path, "%s/notice.db", argv[1]);
    (void)snprintf(url, sizeof url, "sqlite://%s", db_path);
    (void)snprintf(bell_path, sizeof bell_path, "%s/bell", argv[1]);
    memcpy(to.sun_path, bell_path, sizeof bell_path);
    struct conf conf = {.store_url = url,
                        .outbox = {{.url = url,
                                    .trim = TRIM_OFF,
                                    .doorbell = bell >= 0 ? bell_path : NULL,
                                    .max_payload_bytes = 1 << 20}},
                        .outbox_n = 1};
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    if (outbox_source_new(&source, &conf, NULL, NULL, nothing, NULL, &err) != OK)
        die(err.text);
    if (sqlite3_open(db_path, &db) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "INSERT INTO outbox(type, payload) VALUES ('a.b', '{}')", -1,
                           &insert, NULL) != SQLITE_OK)
        die(sqlite3_errmsg(db));
    outbox_source_start(source);
    sleep_until_us(clock_mono_us() + WAIT_US);
    int64_t start = clock_mono_us();
    for (long i = 0; i < commits; i++) {
        sleep_until_us(start + i * 1000000 / rate);
        int64_t us = once(insert, bell, &to);
        if (us < 0 && n == 0)
            break;
        if (us >= 0)
            took[n++] = us;
    }
    outbox_source_free(source);
    sqlite3_finalize(insert);
    sqlite3_close(db);
    if (n == 0)
        die("no row was noticed");
    qsort(took, (size_t)n, sizeof took[0], by_size);
    printf("{\"n\":%ld,\"missed\":%ld,\"p50_us\":%lld,\"p99_us\":%lld}\n", n, commits - n,
           (long long)took[n / 2], (long long)took[n * 99 / 100]);
    return 0;
}
