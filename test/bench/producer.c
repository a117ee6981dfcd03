/* test/bench/producer.c: a service that commits one outbox row a transaction, at a rate.
 *
 *   producer FILE [DOORBELL]
 *
 * Takes lines "RATE COMMITS FIRST" from stdin. For each it commits so many rows with
 * synchronous=FULL, numbered from FIRST on, rings the doorbell after each, and prints a line "N
 * BEGAN_US COMMITTED_US" (wall clock) for each, then "." alone. Where the disk or the processor
 * cannot keep the rate, the next commit begins at once: what was reached is in the stamps. */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { COMMITS_MAX = 1000000, BUSY_MS = 10000 };

struct stamp {
    int64_t began_us, committed_us;
};
static struct stamp stamps[COMMITS_MAX];

static int64_t clock_us(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "producer: %s\n", what);
    exit(1);
}

static sqlite3 *open_file(const char *path, sqlite3_stmt **insert)
{
    sqlite3 *db;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "INSERT INTO outbox(type, payload) VALUES ('order.executed', ?1)",
                           -1, insert, NULL) != SQLITE_OK)
        die(sqlite3_errmsg(db));
    return db;
}

static void commit_one(sqlite3 *db, sqlite3_stmt *insert, long n)
{
    char payload[400];
    int length = snprintf(payload, sizeof payload,
                          "{\"n\":%ld,\"order_id\":\"ORD-2024-%08ld\",\"instrument_id\":"
                          "\"GOVT-2034\",\"execution_price\":100.5,\"executed_quantity\":1000}",
                          n, n);

    (void)sqlite3_bind_text(insert, 1, payload, length, SQLITE_STATIC);
    (void)sqlite3_step(insert);
    if (sqlite3_reset(insert) != SQLITE_OK)
        die(sqlite3_errmsg(db));
}

static void sleep_until_us(int64_t at)
{
    struct timespec ts = {.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0)
        continue;
}

static void ring(int bell, const struct sockaddr_un *to)
{
    if (bell >= 0)
        (void)sendto(bell, "!", 1, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to);
}

int main(int argc, char **argv)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    sqlite3_stmt *insert;
    char line[100];

    if (argc < 2)
        die("usage: producer FILE [DOORBELL]");
    int bell = argc > 2 ? socket(AF_UNIX, SOCK_DGRAM, 0) : -1;
    if (argc > 2)
        (void)snprintf(to.sun_path, sizeof to.sun_path, "%s", argv[2]);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    sqlite3 *db = open_file(argv[1], &insert);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *rest;
        long rate = strtol(line, &rest, 10), commits = strtol(rest, &rest, 10);
        long first = strtol(rest, NULL, 10);

        if (rate < 1 || commits < 1 || commits > COMMITS_MAX)
            die("a line is RATE COMMITS FIRST");
        int64_t start = clock_us(CLOCK_MONOTONIC);
        for (long i = 0; i < commits; i++) {
            sleep_until_us(start + i * 1000000 / rate);
            stamps[i].began_us = clock_us(CLOCK_REALTIME);
            commit_one(db, insert, first + i);
            stamps[i].committed_us = clock_us(CLOCK_REALTIME);
            ring(bell, &to);
        }
        for (long i = 0; i < commits; i++)
            printf("%ld %lld %lld\n", first + i, (long long)stamps[i].began_us,
                   (long long)stamps[i].committed_us);
        puts(".");
        fflush(stdout);
    }
    sqlite3_finalize(insert);
    sqlite3_close(db);
    return 0;
}
