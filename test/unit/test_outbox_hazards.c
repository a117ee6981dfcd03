/* test/unit/test_outbox_hazards.c: what producers' databases can do to us: numbers that come again,
 * other encodings and journal modes, files that are replaced, producers that must not be disturbed,
 * crashes between. */
#include "engine/outbox_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "outbox_world.h"

/* In place of libc's, for SQLite and for us. What we open to sync is a -wal, and only to read. */
static _Atomic bool wal_sync_fails;
int fdatasync(int fd)
{
    if (wal_sync_fails && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

#define ROW "INSERT INTO outbox(type, payload) VALUES('t', '{}')"

static void copy_file(const char *from, const char *to)
{
    char command[400];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* A backup is put back while webhookd runs: seqs 2 and 3 are issued again for other events. */
static void a_restored_backup_loses_and_doubles_nothing(void **state)
{
    struct world *w = world_new();
    char backup[140];
    (void)state;
    snprintf(backup, sizeof backup, "%s/backup.db", w->dir);
    world_outbox(w, 0, true);
    sql(w->producer[0], "INSERT INTO outbox(type, payload, event_id) VALUES('t', '{}', 'one')");
    sql(w->producer[0], "PRAGMA wal_checkpoint(TRUNCATE)");
    copy_file(w->file[0], backup);
    world_start(w);
    sql(w->producer[0], "INSERT INTO outbox(type, payload, event_id) VALUES('t', '{}', 'two'), "
                        "('t', '{}', 'three')");
    WAIT_FOR(w, w->accepted == 3);
    sqlite3_close(w->producer[0]);
    char wal[140], shm[140];
    snprintf(wal, sizeof wal, "%s-wal", w->file[0]);
    snprintf(shm, sizeof shm, "%s-shm", w->file[0]);
    unlink(wal);
    unlink(shm);
    assert_int_equal(rename(backup, w->file[0]), 0);
    w->producer[0] = producer_open(w->file[0]);
    sql(w->producer[0], "INSERT INTO outbox(type, payload, event_id) VALUES('t', '{}', 'two-b')");
    WAIT_FOR(w, w->accepted == 4);
    sql(w->producer[0], "INSERT INTO outbox(type, payload, event_id) VALUES('t', '{}', 'three-b'), "
                        "('t', '{}', 'four')");
    WAIT_FOR(w, w->accepted == 6);
    assert_int_equal(world_count(w, look_events), 6);
    assert_int_equal(w->duplicates + w->rejected, 0);
    world_free(w);
}

/* The same within one file, and nobody looks in between: daemon down, or a power cut. */
static void numbers_that_went_back_are_new_events(void **state)
{
    struct world *w = world_new();
    (void)state;
    world_outbox(w, 0, true);
    world_start(w);
    sql(w->producer[0], ROW ";" ROW ";" ROW);
    WAIT_FOR(w, w->accepted == 3);
    sql(w->producer[0], "BEGIN; DELETE FROM outbox WHERE seq > 1; UPDATE sqlite_sequence SET seq = "
                        "1; INSERT INTO outbox(type, payload) VALUES('t', '\"again\"'); COMMIT");
    WAIT_FOR(w, w->accepted == 4);
    outbox_source_stop(w->source);
    sql(w->producer[0], "BEGIN; DELETE FROM outbox WHERE seq > 1; UPDATE sqlite_sequence SET seq = "
                        "1; INSERT INTO outbox(type, payload) VALUES('t', '\"a\"'), ('t', "
                        "'\"b\"'), ('t', '\"c\"'), ('t', '\"d\"'); COMMIT");
    world_restart(w);
    WAIT_FOR(w, w->accepted == 4);
    assert_int_equal(world_count(w, look_events), 8);
    world_free(w);
}

static void without_autoincrement_numbers_come_again(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->conf.outbox[0].trim = TRIM_ENGINE;
    w->producer[0] = producer_open(w->file[0]);
    sql(w->producer[0], "PRAGMA journal_mode = WAL; CREATE TABLE outbox(seq INTEGER PRIMARY KEY, "
                        "type, payload, extra)");
    world_start(w);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) {
            sql(w->producer[0], ROW); /* the same content under the same number */
            WAIT_FOR(w, w->accepted == round * 6 + i + 1);
        }
        /* The last row goes and its number comes again at once. */
        sql(w->producer[0], "BEGIN; DELETE FROM outbox WHERE seq = (SELECT max(seq) FROM outbox); "
                            "INSERT INTO outbox(type, payload) VALUES('t', random()); COMMIT");
        WAIT_FOR(w, w->accepted == round * 6 + 6);
        if (round < 2)
            WAIT_FOR(w, sql_number(w->producer[0], "SELECT count(*) FROM outbox") == 0);
    }
    assert_int_equal(world_count(w, look_events), 18);
    world_free(w);
}

static void utf16_is_read_as_text(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->producer[0] = producer_open(w->file[0]);
    sql(w->producer[0], "PRAGMA encoding = 'UTF-16le'; PRAGMA journal_mode = WAL; CREATE TABLE "
                        "outbox(seq INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT, payload TEXT, "
                        "ordering_key TEXT); INSERT INTO outbox(type, payload, ordering_key) "
                        "VALUES('t.x', '{\"a\":\"\xc3\xa4\xf0\x9f\x98\x80\"}', '\xc3\xb6')");
    world_start(w);
    WAIT_FOR(w, w->accepted == 1);
    struct world_ask a = {.look = look_events};
    world_ask(w, STORE_LIST, &a);
    assert_string_equal(a.events[0].type, "t.x");
    assert_string_equal(a.events[0].ordering_key, "\xc3\xb6");
    assert_int_equal(a.events[0].payload_bytes, 14);
    arena_fini(&a.mem);
    world_free(w);
}

static void a_rollback_journal_is_read_and_kept(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->conf.outbox[0].trim = TRIM_ENGINE;
    world_outbox(w, 0, false);
    world_start(w);
    for (int i = 0; i < 200; i++)
        sql(w->producer[0], ROW);
    WAIT_FOR(w, w->accepted == 200);
    WAIT_FOR(w, sql_number(w->producer[0], "SELECT count(*) FROM outbox") == 0);
    sqlite3_stmt *st = NULL;
    sqlite3_prepare_v2(w->producer[0], "PRAGMA journal_mode", -1, &st, NULL);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "delete");
    sqlite3_finalize(st);
    world_free(w);
}

/* BEGIN DEFERRED, read, write: any commit of ours in between would be SQLITE_BUSY_SNAPSHOT. */
static void a_deferred_producer_is_not_disturbed(void **state)
{
    struct world *w = world_new();
    const enum conf_trim trims[] = {TRIM_OFF, TRIM_ENGINE};
    (void)state;
    world_outbox(w, 0, true);
    sql(w->producer[0], "CREATE TABLE trades(id INTEGER PRIMARY KEY)");
    world_start(w);
    int64_t n = 0;
    for (size_t t = 0; t < 2; t++) {
        w->conf.outbox[0].trim = trims[t];
        outbox_source_configure(w->source, &w->conf);
        for (int i = 0; i < 200; i++) {
            sql(w->producer[0], "BEGIN; SELECT count(*) FROM trades");
            world_pump(w);
            sql(w->producer[0], "INSERT INTO trades DEFAULT VALUES;" ROW "; COMMIT");
            n++;
        }
        WAIT_FOR(w, w->accepted == n);
    }
    world_free(w);
}

static enum err_code lose_memory(struct backend *b, struct world_ask *a, struct err *err)
{
    struct taken *list = NULL;
    size_t n = 0;
    enum err_code code = b->ops->taken_list(b, a->text, INT64_MIN, 1000, &a->mem, &list, &n, err);
    for (size_t i = 0; code == OK && i < n; i++)
        code = b->ops->taken_delete(b, a->text, &list[i], 1, err);
    return code == OK ? b->ops->outbox_set_mark(b, a->text, 0, err) : code;
}

/* A row that is read again without its mark gives the same derived id, and is dropped. */
static void reading_twice_gives_the_same_id(void **state)
{
    struct world *w = world_new();
    (void)state;
    world_outbox(w, 0, true);
    world_start(w);
    sql(w->producer[0], ROW ";" ROW ";" ROW);
    WAIT_FOR(w, w->accepted == 3);
    outbox_source_stop(w->source);
    struct world_ask a = {.look = lose_memory, .text = w->file[0]};
    world_ask(w, STORE_WRITE, &a);
    arena_fini(&a.mem);
    world_restart(w);
    WAIT_FOR(w, w->duplicates == 3);
    assert_int_equal(w->accepted, 0);
    assert_int_equal(world_count(w, look_events), 3);
    world_free(w);
}

static void a_restart_takes_nothing_twice(void **state)
{
    struct world *w = world_new();
    (void)state;
    world_outbox(w, 0, true);
    world_start(w);
    sql(w->producer[0], ROW ";" ROW ";" ROW);
    WAIT_FOR(w, w->accepted == 3);
    world_restart(w);
    sql(w->producer[0], ROW);
    WAIT_FOR(w, w->accepted == 1);
    assert_int_equal(w->duplicates, 0);
    assert_int_equal(world_count(w, look_events), 4);
    world_free(w);
}

static void columns_may_be_added_later(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->producer[0] = producer_open(w->file[0]);
    sql(w->producer[0], "PRAGMA journal_mode = WAL; CREATE TABLE outbox(seq INTEGER PRIMARY KEY "
                        "AUTOINCREMENT, type TEXT, payload BLOB);" ROW);
    world_start(w);
    WAIT_FOR(w, w->accepted == 1);
    sql(w->producer[0], "ALTER TABLE outbox ADD COLUMN ordering_key TEXT; INSERT INTO outbox(type, "
                        "payload, ordering_key) VALUES('t', '{}', 'k')");
    WAIT_FOR(w, w->accepted == 2);
    struct world_ask a = {.look = look_events};
    world_ask(w, STORE_LIST, &a);
    assert_int_equal(a.n, 2);
    assert_null(a.events[0].ordering_key);
    assert_string_equal(a.events[1].ordering_key, "k");
    arena_fini(&a.mem);
    world_restart(w); /* the new column leaves the digest of the old row as it was */
    sql(w->producer[0], ROW);
    WAIT_FOR(w, w->accepted == 1);
    assert_int_equal(w->duplicates, 0);
    world_free(w);
}

/* An unknown row at or below the mark is never deleted unread, whatever put it there. */
static void an_explicit_number_below_the_mark_is_found(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->conf.outbox[0].trim = TRIM_ENGINE;
    world_outbox(w, 0, true);
    world_start(w);
    sql(w->producer[0], "INSERT INTO outbox(seq, type, payload) VALUES(100, 't', '{}')");
    WAIT_FOR(w, w->accepted == 1);
    sql(w->producer[0], "INSERT INTO outbox(seq, type, payload) VALUES(50, 't', '{}')");
    WAIT_FOR(w, w->accepted == 2);
    WAIT_FOR(w, sql_number(w->producer[0], "SELECT count(*) FROM outbox") == 0);
    assert_int_equal(world_count(w, look_events), 2);
    world_free(w);
}

/* A producer at synchronous=NORMAL has not synced its commit: until we have, nothing of it goes out
 * that a power cut could undo. */
static void nothing_goes_out_before_the_producers_log_is_synced(void **state)
{
    struct world *w = world_new();
    (void)state;
    world_outbox(w, 0, true);
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR + 1);
    wal_sync_fails = true;
    sql(w->producer[0], ROW);
    world_start(w);
    for (int i = 0; i < 200; i++)
        world_pump(w);
    assert_int_equal(w->accepted, 0);
    wal_sync_fails = false;
    WAIT_FOR(w, w->accepted == 1);
    world_free(w);
}

/* A number that was issued again, or a row that was changed, since it was taken: it is not the row
 * that may be deleted. */
static void trimming_deletes_only_what_was_taken(void **state)
{
    struct world *w = world_new();
    struct outbox_db db = {0};
    struct outbox_row rows[2];
    struct outbox_trimmed trimmed;
    struct taken taken[2];
    struct arena mem;
    struct err err = {0};
    size_t n = 0;
    (void)state;
    world_outbox(w, 0, true);
    sql(w->producer[0], ROW ", ('t', '{}')");
    arena_init(&mem);
    must(outbox_db_open(&db, w->file[0], "outbox", &err), &err);
    must(outbox_db_read(&db, OUTBOX_START, INT64_MAX, 2, &mem, rows, &n, &err), &err);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        taken[i].seq = rows[i].seq;
        memcpy(taken[i].digest, rows[i].digest, sizeof taken[i].digest);
    }
    sql(w->producer[0], "UPDATE outbox SET payload = '{\"changed\":true}' WHERE seq = 1");
    must(outbox_db_trim(&db, taken, n, &trimmed, &err), &err);
    assert_true(trimmed.gone[0] && trimmed.other);
    for (size_t i = trimmed.looked; i < n; i += trimmed.looked) { /* a slice ends after 2 ms */
        must(outbox_db_trim(&db, taken + i, n - i, &trimmed, &err), &err);
        assert_true(trimmed.gone[0] && !trimmed.other);
    }
    assert_int_equal(sql_number(w->producer[0], "SELECT count(*) FROM outbox"), 1);
    assert_int_equal(sql_number(w->producer[0], "SELECT seq FROM outbox"), 1);
    arena_fini(&mem);
    outbox_db_close(&db);
    world_start(w);
    world_free(w);
}

/* SQLite follows the link and puts the log beside the file that it leads to. */
static void a_link_to_a_database_is_that_database(void **state)
{
    struct world *w = world_new();
    (void)state;
    world_outbox(w, 1, true);
    assert_int_equal(symlink(w->file[1], w->file[0]), 0);
    world_start(w);
    for (int i = 0; i < 3; i++) {
        sql(w->producer[1], ROW);
        WAIT_FOR(w, w->accepted == i + 1);
    }
    world_free(w);
}

/* Rows that nobody can delete from here are in nobody's way. */
static void a_trigger_that_only_the_producer_can_run_stops_no_row(void **state)
{
    struct world *w = world_new();
    struct err err = {0};
    struct buf report;
    (void)state;
    w->conf.outbox[0].trim = TRIM_ENGINE;
    world_outbox(w, 0, true);
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR + 1);
    sql(w->producer[0], "CREATE TRIGGER keep BEFORE DELETE ON outbox BEGIN SELECT "
                        "producers_function(old.seq); END;" ROW);
    world_start(w);
    WAIT_FOR(w, w->accepted == 1);
    int64_t until = clock_mono_ms() + 1200; /* a quiet moment, in which trimming is tried */
    WAIT_FOR(w, clock_mono_ms() > until);
    for (int i = 0; i < 3; i++) {
        int64_t asked = clock_mono_ms();
        sql(w->producer[0], ROW);
        WAIT_FOR(w, w->accepted == i + 2);
        assert_true(clock_mono_ms() - asked < 5000);
    }
    assert_int_equal(sql_number(w->producer[0], "SELECT count(*) FROM outbox"), 4);
    buf_init(&report, 10000);
    must(outbox_check(w->file[0], "outbox", &report, &err), &err);
    assert_non_null(strstr(report.data, "warning: rows cannot be deleted from here"));
    buf_fini(&report);
    world_free(w);
}

static void read_two(struct outbox_db *db, struct arena *mem, struct taken taken[2])
{
    struct outbox_row rows[2];
    struct err err = {0};
    size_t n = 0;
    must(outbox_db_read(db, OUTBOX_START, INT64_MAX, 2, mem, rows, &n, &err), &err);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        taken[i].seq = rows[i].seq;
        memcpy(taken[i].digest, rows[i].digest, sizeof taken[i].digest);
    }
}

/* Slices go by statements that delete several rows: never one that was not taken, whatever lies among
 * them, and a row that stays is not believed gone. */
static void a_slice_takes_its_rows_alone(void **state)
{
    enum { ALL = 60, CHANGED = 7, MISSING = 20, UNKNOWN = 33, KEPT = 41 };
    struct world *w = world_new();
    struct outbox_db db = {0};
    static struct outbox_row rows[ALL];
    struct taken taken[ALL];
    struct arena mem;
    struct err err = {0};
    size_t n = 0, k = 0;
    (void)state;
    world_outbox(w, 0, true);
    for (int i = 0; i < ALL; i++)
        sql(w->producer[0], ROW);
    arena_init(&mem);
    must(outbox_db_open(&db, w->file[0], "outbox", &err), &err);
    must(outbox_db_read(&db, OUTBOX_START, INT64_MAX, ALL, &mem, rows, &n, &err), &err);
    assert_int_equal(n, ALL);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].seq == UNKNOWN)
            continue;
        taken[k].seq = rows[i].seq;
        memcpy(taken[k++].digest, rows[i].digest, sizeof taken[i].digest);
    }
    sql(w->producer[0], "UPDATE outbox SET payload = '[]' WHERE seq = 7;"
                        "DELETE FROM outbox WHERE seq = 20;"
                        "CREATE TRIGGER keep BEFORE DELETE ON outbox WHEN old.seq = 41"
                        " BEGIN SELECT raise(ignore); END");
    for (size_t at = 0; at < k;) {
        struct outbox_trimmed trimmed;
        must(outbox_db_trim(&db, taken + at, k - at, &trimmed, &err), &err);
        assert_true(trimmed.looked > 0);
        for (size_t i = 0; i < trimmed.looked; i++)
            assert_int_equal(trimmed.gone[i], taken[at + i].seq != KEPT);
        at += trimmed.looked;
    }
    assert_int_equal(sql_number(w->producer[0], "SELECT count(*) FROM outbox"), 3);
    assert_int_equal(sql_number(w->producer[0], "SELECT count(*) FROM outbox"
                                                " WHERE seq IN (7, 33, 41)"),
                     3);
    arena_fini(&mem);
    outbox_db_close(&db);
    world_start(w);
    world_free(w);
}

/* Who believed it gone would forget that it was taken, and take it for a new event. */
static void a_row_that_a_trigger_keeps_is_not_gone(void **state)
{
    struct world *w = world_new();
    struct outbox_db db = {0};
    struct outbox_trimmed trimmed;
    struct taken taken[2];
    struct arena mem;
    struct err err = {0};
    (void)state;
    world_outbox(w, 0, true);
    sql(w->producer[0], ROW ", ('t', '{}'); CREATE TRIGGER keep BEFORE DELETE ON outbox WHEN "
                            "old.seq = 1 BEGIN SELECT raise(ignore); END");
    arena_init(&mem);
    must(outbox_db_open(&db, w->file[0], "outbox", &err), &err);
    read_two(&db, &mem, taken);
    must(outbox_db_trim(&db, taken, 1, &trimmed, &err), &err);
    assert_false(trimmed.gone[0] || trimmed.other);
    must(outbox_db_trim(&db, taken + 1, 1, &trimmed, &err), &err);
    assert_true(trimmed.gone[0] && !trimmed.other);
    assert_int_equal(sql_number(w->producer[0], "SELECT seq FROM outbox"), 1);
    arena_fini(&mem);
    outbox_db_close(&db);
    world_start(w);
    world_free(w);
}

/* INTEGER PRIMARY KEY DESC is no row number: seq may be NULL there, and such a row is never seen. */
static void a_descending_key_is_refused(void **state)
{
    struct world *w = world_new();
    struct outbox_db db = {0};
    struct err err = {0};
    struct buf report;
    bool created = false;
    (void)state;
    w->producer[1] = producer_open(w->file[1]);
    sql(w->producer[1], "CREATE TABLE outbox(seq INTEGER PRIMARY KEY DESC, type, payload);"
                        "CREATE TABLE plain(seq INTEGER PRIMARY KEY, type, payload UNIQUE);"
                        "CREATE TABLE rows(seq INTEGER PRIMARY KEY, type, payload) WITHOUT ROWID;");
    assert_int_equal(outbox_db_open(&db, w->file[1], "outbox", &err), ERR_INVALID);
    assert_int_equal(outbox_init(w->file[1], "outbox", false, &created, &err), ERR_INVALID);
    buf_init(&report, 10000);
    assert_int_equal(outbox_check(w->file[1], "outbox", &report, &err), ERR_INVALID);
    assert_non_null(strstr(report.data, "DESC"));
    buf_fini(&report);
    must(outbox_init(w->file[1], "plain", false, &created, &err), &err);
    must(outbox_init(w->file[1], "rows", false, &created, &err), &err);
    world_start(w);
    world_free(w);
}

/* Between two looks: what is in the log by now must be synced there. */
static void a_log_that_was_turned_on_just_now_is_synced(void **state)
{
    struct world *w = world_new();
    struct outbox_db db = {0};
    struct err err = {0};
    (void)state;
    world_outbox(w, 0, false);
    must(outbox_db_open(&db, w->file[0], "outbox", &err), &err);
    assert_false(db.wal);
    must(outbox_db_sync(&db, &err), &err);
    sql(w->producer[0], "PRAGMA journal_mode = WAL;" ROW);
    wal_sync_fails = true;
    assert_int_equal(outbox_db_sync(&db, &err), ERR_IO);
    wal_sync_fails = false;
    must(outbox_db_sync(&db, &err), &err);
    outbox_db_close(&db);
    world_start(w);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_backup_loses_and_doubles_nothing),
        cmocka_unit_test(numbers_that_went_back_are_new_events),
        cmocka_unit_test(without_autoincrement_numbers_come_again),
        cmocka_unit_test(utf16_is_read_as_text),
        cmocka_unit_test(a_rollback_journal_is_read_and_kept),
        cmocka_unit_test(a_deferred_producer_is_not_disturbed),
        cmocka_unit_test(reading_twice_gives_the_same_id),
        cmocka_unit_test(a_restart_takes_nothing_twice),
        cmocka_unit_test(columns_may_be_added_later),
        cmocka_unit_test(an_explicit_number_below_the_mark_is_found),
        cmocka_unit_test(nothing_goes_out_before_the_producers_log_is_synced),
        cmocka_unit_test(trimming_deletes_only_what_was_taken),
        cmocka_unit_test(a_slice_takes_its_rows_alone),
        cmocka_unit_test(a_link_to_a_database_is_that_database),
        cmocka_unit_test(a_trigger_that_only_the_producer_can_run_stops_no_row),
        cmocka_unit_test(a_row_that_a_trigger_keeps_is_not_gone),
        cmocka_unit_test(a_descending_key_is_refused),
        cmocka_unit_test(a_log_that_was_turned_on_just_now_is_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
