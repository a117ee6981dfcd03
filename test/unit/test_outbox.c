/* test/unit/test_outbox.c: rows become events: in order, once, bad ones beside them; trimming; the
 * doorbell; init and check. The hazards (restored backups and the like) are in
 * test_outbox_hazards.c. */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "outbox_world.h"

static void rows_become_events_in_order(void **state)
{
    struct world *w = world_new();
    (void)state;
    world_outbox(w, 0, true);
    sql(w->producer[0], "INSERT INTO outbox(type, payload, event_id, ordering_key, correlation_id, "
                        "source, version, attributes, deliver_after, expires_at) VALUES"
                        "('order.executed', '{\"n\":1e400}', 'e-1', 'k', 'c', 's', '2', "
                        "'{\"subject\":\"x\"}', 1900000000000, 1900000000001)");
    world_start(w);
    WAIT_FOR(w, w->accepted == 1);
    sql(w->producer[0], "WITH RECURSIVE n(i) AS (VALUES(2) UNION ALL SELECT i + 1 FROM n WHERE i < "
                        "600) INSERT INTO outbox(type, payload, event_id) SELECT 't', i, 'e-' || i "
                        "FROM n");
    WAIT_FOR(w, w->accepted == 600);
    assert_int_equal(w->unrouted, 600);
    assert_int_equal(world_count(w, look_mark), 600); /* a new start reads on from here */

    struct world_ask a = {.look = look_events};
    world_ask(w, STORE_LIST, &a);
    assert_int_equal(a.n, 600);
    for (size_t i = 0; i < a.n; i++) {
        char id[32];
        snprintf(id, sizeof id, "e-%zu", i + 1);
        assert_string_equal(a.events[i].id, id);
        assert_int_equal(a.events[i].seq, (int64_t)i + 1);
    }
    const struct event_rec *e = &a.events[0];
    assert_string_equal(e->type, "order.executed");
    assert_string_equal(e->ordering_key, "k");
    assert_string_equal(e->correlation_id, "c");
    assert_string_equal(e->source, "s");
    assert_string_equal(e->version, "2");
    assert_string_equal(e->attributes, "{\"subject\":\"x\"}");
    assert_int_equal(e->deliver_after_ms, 1900000000000);
    assert_int_equal(e->expires_ms, 1900000000001);
    assert_true(llabs(e->created_ms - clock_wall_ms()) < 60000);
    arena_fini(&a.mem);
    world_free(w);
}

/* What is wrong with a row, and a word of the reason. The rows stand between good ones. */
static const struct bad {
    const char *columns, *values, *reason;
} bad_rows[] = {
    {"type, payload", "'a b', '{}'", "type: 'a b'"},
    {"type, payload", "'', '{}'", "type: ''"},
    {"type, payload", "'t', '{'", "payload: not JSON"},
    {"type, payload", "'t', ''", "payload: not JSON"},
    {"type, payload", "'t', x'ff'", "payload: not JSON"},
    {"type, payload", "'t', 9e999", "payload: not JSON"},
    {"type, payload", "'t', '\"' || hex(zeroblob(600000)) || '\"'", "max_payload_bytes"},
    {"type, payload", "'t', zeroblob(20000000)", "more than 16 MiB"},
    {"type, payload, event_id", "'t', '{}', 'a b'", "event_id: 'a b'"},
    {"type, payload, event_id", "'t', '{}', ''", "event_id: ''"},
    {"type, payload, event_id", "'t', '{\"other\":1}', 'good-1'", "other content"},
    {"type, payload, partner", "'t', '{}', 'nobody'", "webhookctl partner add nobody"},
    {"type, payload, partner", "'t', '{}', 'a b'", "partner: 'a b'"},
    {"type, payload, deliver_after", "'t', '{}', 1900000000", "multiply by 1000"},
    {"type, payload, expires_at", "'t', '{}', 1900000000", "multiply by 1000"},
    {"type, payload, expires_at", "'t', '{}', -5", "before 1970"},
    {"type, payload, expires_at", "'t', '{}', 1900000000000000", "microseconds"},
    {"type, payload, expires_at", "'t', '{}', 'tomorrow'", "expires_at: not an integer"},
    {"type, payload, created_at", "'t', '{}', 1900000000", "multiply by 1000"},
    {"type, payload, attributes", "'t', '{}', '[1]'", "not a JSON object"},
    {"type, payload, attributes", "'t', '{}', 'x'", "attributes: not JSON"},
    {"type, payload, correlation_id", "'t', '{}', 'a' || char(13) || char(10) || 'b'", "control"},
    {"type, payload, ordering_key", "'t', '{}', x'c328'", "not UTF-8"},
    {"type, payload, type", "'t', '{}', 't'", NULL}, /* ends the table */
};

static void bad_rows_become_rejects_in_nobodys_way(void **state)
{
    struct world *w = world_new();
    size_t n = sizeof bad_rows / sizeof bad_rows[0] - 1;
    (void)state;
    world_outbox(w, 0, true);
    sql(w->producer[0], "BEGIN; INSERT INTO outbox(type, payload, event_id) VALUES('t', '{}', "
                        "'good-1')");
    for (size_t i = 0; i < n; i++) {
        char text[400];
        snprintf(text, sizeof text, "INSERT INTO outbox(%s) VALUES(%s)", bad_rows[i].columns,
                 bad_rows[i].values);
        sql(w->producer[0], text);
    }
    sql(w->producer[0], "INSERT INTO outbox(type, payload, event_id) VALUES('t', '{}', 'good-2');"
                        "INSERT INTO outbox(type, payload, event_id) VALUES('t', '{}', 'good-1');"
                        "COMMIT");
    world_start(w);
    WAIT_FOR(w, w->duplicates == 1);
    assert_int_equal(w->accepted, 2);
    assert_int_equal(w->rejected, (int64_t)n);
    struct world_ask a = {.look = look_rejects};
    world_ask(w, STORE_LIST, &a);
    assert_int_equal(a.n, n);
    for (size_t i = 0; i < n; i++) {
        const struct reject *r = NULL; /* the list may come newest first */
        for (size_t j = 0; j < n; j++)
            if (a.rejects[j].seq == (int64_t)i + 2)
                r = &a.rejects[j];
        assert_non_null(r);
        if (!strstr(r->reason, bad_rows[i].reason))
            FAIL("%s: reason is '%s'", bad_rows[i].values, r->reason);
        assert_string_equal(r->outbox, w->file[0]);
        assert_non_null(strstr(r->row, "\"partner\":"));
    }
    arena_fini(&a.mem);
    world_free(w);
}

static void two_outboxes_are_served_and_one_may_fail(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->conf.outbox_n = 2;
    world_outbox(w, 0, true);
    world_outbox(w, 1, true);
    world_start(w);
    for (int i = 0; i < 2; i++)
        sql(w->producer[i], "INSERT INTO outbox(type, payload) VALUES('t', '{}')");
    WAIT_FOR(w, w->accepted == 2);
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR + 1);
    sql(w->producer[0], "DROP TABLE outbox");
    for (int i = 0; i < 20; i++) {
        sql(w->producer[1], "INSERT INTO outbox(type, payload) VALUES('t', '{}')");
        WAIT_FOR(w, w->accepted == 3 + i);
    }
    world_free(w);
}

static void engine_trims_what_it_took(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->conf.outbox[0].trim = TRIM_ENGINE;
    world_outbox(w, 0, true);
    world_start(w);
    sql(w->producer[0], "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < "
                        "700) INSERT INTO outbox(type, payload) SELECT 't', i FROM n");
    WAIT_FOR(w, w->accepted == 700);
    /* Whoever holds the lock is not waited for, and is not disturbed. */
    sql(w->producer[0], "BEGIN IMMEDIATE; INSERT INTO outbox(type, payload) VALUES('t', '701')");
    int64_t until = clock_mono_ms() + 1500;
    WAIT_FOR(w, clock_mono_ms() > until);
    assert_int_equal(sql_number(w->producer[0], "SELECT count(*) FROM outbox"), 701);
    sql(w->producer[0], "COMMIT");
    WAIT_FOR(w, sql_number(w->producer[0], "SELECT count(*) FROM outbox") == 0);
    WAIT_FOR(w, w->accepted == 701);
    WAIT_FOR(w, world_count(w, look_taken) == 0);
    sql(w->producer[0], "INSERT INTO outbox(type, payload) VALUES('t', '1')");
    WAIT_FOR(w, w->accepted == 702);
    world_restart(w);
    WAIT_FOR(w, sql_number(w->producer[0], "SELECT count(*) FROM outbox") == 0);
    assert_int_equal(w->accepted + w->duplicates, 0);
    world_free(w);
}

static void producer_trims_by_the_mark(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->conf.outbox[0].trim = TRIM_PRODUCER;
    world_outbox(w, 0, true);
    sql(w->producer[0], "CREATE TABLE outbox_mark(name TEXT PRIMARY KEY, mark INTEGER NOT NULL)");
    world_start(w);
    sql(w->producer[0], "INSERT INTO outbox(type, payload) VALUES('t', 1), ('t', 2), ('t', 3)");
    WAIT_FOR(w, sql_number(w->producer[0],
                           "SELECT max(mark) FROM outbox_mark WHERE name = 'outbox'") == 3);
    sql(w->producer[0], "DELETE FROM outbox WHERE seq <= 3");
    WAIT_FOR(w, world_count(w, look_taken) == 0); /* forgotten: they are gone */
    assert_int_equal(w->accepted, 3);
    world_free(w);
}

static void doorbell_wakes(void **state)
{
    struct world *w = world_new();
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)state;
    w->conf.outbox[0].doorbell = w->bell;
    world_outbox(w, 0, false); /* no watch there: only the slow poll and the bell */
    world_start(w);
    memcpy(to.sun_path, w->bell, strlen(w->bell));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 20; i++) {
        sql(w->producer[0], "INSERT INTO outbox(type, payload) VALUES('t', '{}')");
        assert_int_equal(sendto(fd, "!", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
        WAIT_FOR(w, w->accepted == i + 1);
    }
    close(fd);
    world_free(w);
}

static void a_doorbell_is_taken_from_nobody(void **state)
{
    struct world *w = world_new();
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct err err = {0};
    (void)state;
    w->conf.outbox[0].doorbell = w->bell;
    memcpy(at.sun_path, w->bell, strlen(w->bell));
    for (int kind = 0; kind < 2; kind++) {
        int fd = socket(AF_UNIX, (kind ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(
            outbox_source_new(&w->source, &w->conf, w->store, w->intake, world_changed, w, &err),
            ERR_BUSY);
        assert_non_null(strstr(err.text, "another process"));
        assert_int_equal(access(w->bell, F_OK), 0);
        close(fd);
        if (!kind)
            assert_int_equal(unlink(w->bell), 0);
    }
    assert_int_equal(unlink(w->bell), 0);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    close(fd);
    world_start(w); /* that one was left behind */
    assert_int_equal(access(w->bell, F_OK), 0);
    /* Given up before the store is: it is the next daemon's from then on. */
    outbox_source_stop(w->source);
    assert_int_equal(access(w->bell, F_OK), -1);
    world_free(w);
}

static void one_table_is_one_outbox(void **state)
{
    struct world *w = world_new();
    struct err err = {0};
    (void)state;
    world_outbox(w, 0, true);
    assert_int_equal(symlink(w->file[0], w->file[1]), 0);
    w->conf.outbox_n = 2;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            outbox_source_new(&w->source, &w->conf, w->store, w->intake, world_changed, w, &err),
            ERR_CONFIG);
        assert_non_null(strstr(err.text, "the same table"));
        free(w->conf.outbox[1].table);
        w->conf.outbox[1].table = strdup(i == 0 ? "OutBox" : "second");
    }
    world_start(w); /* another table of that database */
    sql(w->producer[0], "INSERT INTO outbox(type, payload) VALUES('t', '{}');"
                        "INSERT INTO second(type, payload) VALUES('t', '{}')");
    WAIT_FOR(w, w->accepted == 2);
    world_free(w);
}

static void missing_files_are_made(void **state)
{
    struct world *w = world_new();
    struct stat st;
    char folder[100];
    (void)state;
    snprintf(folder, sizeof folder, "%s/a/b", w->dir);
    snprintf(w->file[0], sizeof w->file[0], "%s/new.db", folder);
    snprintf(w->url[0], sizeof w->url[0], "sqlite://%s", w->file[0]);
    world_start(w);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
    assert_int_equal(stat(w->file[0], &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    w->producer[0] = producer_open(w->file[0]);
    sql(w->producer[0], "INSERT INTO outbox(type, payload) VALUES('t', '{}')");
    WAIT_FOR(w, w->accepted == 1);
    world_free(w);
}

static void init_may_be_repeated_and_check_tells(void **state)
{
    struct world *w = world_new();
    struct err err = {0};
    struct buf report;
    bool created = true;
    (void)state;
    world_start(w); /* makes file 0 */
    buf_init(&report, 10000);
    must(outbox_init(w->file[1], "outbox", false, &created, &err), &err);
    assert_true(created);
    must(outbox_init(w->file[1], "outbox", false, &created, &err), &err);
    assert_false(created);
    must(outbox_check(w->file[1], "outbox", &report, &err), &err);
    assert_non_null(strstr(report.data, "warning: the journal mode is not WAL"));
    buf_clear(&report);
    must(outbox_init(w->file[1], "outbox", true, &created, &err), &err);
    must(outbox_check(w->file[1], "outbox", &report, &err), &err);
    assert_non_null(strstr(report.data, "ok: journal mode WAL"));
    assert_null(strstr(report.data, "warning"));
    buf_clear(&report);
    w->producer[1] = producer_open(w->file[1]);
    sql(w->producer[1], "CREATE TABLE other(seq INTEGER PRIMARY KEY, type)");
    assert_int_equal(outbox_check(w->file[1], "other", &report, &err), ERR_INVALID);
    assert_non_null(strstr(report.data, "error: table other has no column payload"));
    assert_int_equal(outbox_init(w->file[1], "other", false, &created, &err), ERR_INVALID);
    buf_clear(&report);
    assert_int_equal(outbox_check("/nonexistent/x.db", "outbox", &report, &err), ERR_INVALID);
    assert_non_null(strstr(report.data, "outbox init"));
    buf_fini(&report);
    world_free(w);
}

static void low_disk_stops_taking(void **state)
{
    struct world *w = world_new();
    (void)state;
    world_outbox(w, 0, true);
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR + 1);
    w->conf.low_disk_bytes = INT64_MAX;
    sql(w->producer[0], "INSERT INTO outbox(type, payload) VALUES('t', '{}')");
    world_start(w);
    int64_t until = clock_mono_ms() + 300;
    WAIT_FOR(w, clock_mono_ms() > until);
    assert_int_equal(w->accepted, 0);
    w->conf.low_disk_bytes = 1;
    outbox_source_configure(w->source, &w->conf);
    WAIT_FOR(w, w->accepted == 1);
    world_free(w);
}

/* Starts the source as somebody who may do nothing: it must say what is missing and the fix. */
static void refuses_nobody(struct world *w, const char *what, const char *fix)
{
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        struct err err = {0};
        struct outbox_source *s = NULL;
        if (setuid(65534) != 0)
            _exit(2);
        enum err_code code =
            outbox_source_new(&s, &w->conf, w->store, w->intake, world_changed, w, &err);
        _exit(code == ERR_DENIED && strstr(err.text, what) && strstr(err.text, fix) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Only where the tests run as root can somebody else be played. */
static void missing_permission_is_named(void **state)
{
    char url[600];
    (void)state;
    if (geteuid() != 0)
        skip();
    struct world *w = world_new();
    world_outbox(w, 0, true);
    assert_int_equal(chmod(w->dir, 0755), 0);
    assert_int_equal(chmod(w->file[0], 0666), 0);
    refuses_nobody(w, "may not write into the folder", "chmod 2770");
    assert_int_equal(chmod(w->file[0], 0600), 0);
    refuses_nobody(w, "may not read and write the file", "chmod 0660");
    assert_int_equal(chmod(w->file[0], 0666), 0);

    char *there = w->conf.outbox[0].url;
    snprintf(url, sizeof url, "sqlite://%s/new/trades.db", w->dir);
    w->conf.outbox[0].url = url;
    refuses_nobody(w, "/new: Permission denied", "make it yourself");
    w->conf.outbox[0].url = there;

    assert_int_equal(chmod(w->dir, 0700), 0);
    refuses_nobody(w, "may not enter the folder", "chmod g+x");
    world_start(w);
    world_free(w);
}

/* SIGHUP and SIGTERM may come before the daemon has its outboxes. */
static void signals_come_early(void **state)
{
    (void)state;
    outbox_source_configure(NULL, NULL);
    outbox_source_stop(NULL);
    outbox_source_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_events_in_order),
        cmocka_unit_test(bad_rows_become_rejects_in_nobodys_way),
        cmocka_unit_test(two_outboxes_are_served_and_one_may_fail),
        cmocka_unit_test(engine_trims_what_it_took),
        cmocka_unit_test(producer_trims_by_the_mark),
        cmocka_unit_test(doorbell_wakes),
        cmocka_unit_test(a_doorbell_is_taken_from_nobody),
        cmocka_unit_test(one_table_is_one_outbox),
        cmocka_unit_test(missing_files_are_made),
        cmocka_unit_test(init_may_be_repeated_and_check_tells),
        cmocka_unit_test(low_disk_stops_taking),
        cmocka_unit_test(missing_permission_is_named),
        cmocka_unit_test(signals_come_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
