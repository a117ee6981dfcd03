/* test/conformance/test_life.c: transactions, connections, and what lies in the SQLite file. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "test/conformance/dump.h"

/* ---- transactions ---- */
/* A bit of everything, so that taking it back has something to do. */
static int64_t some_of_all(struct bed *bed, int64_t sub)
{
    char id[32];
    struct settled out;
    struct taken t = {.seq = bed->last + 1};
    snprintf(id, sizeof(id), "e%" PRId64, bed->last);
    int64_t d = bed_emit(bed, sub, id, "k", T0);
    snprintf(id, sizeof(id), "f%" PRId64, bed->last);
    int64_t dead = bed_emit(bed, sub, id, "k", T0);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    bed_settle(bed, dead, SETTLE_DEAD, T0 + 2);
    snprintf(id, sizeof(id), "g%" PRId64, bed->last);
    int64_t purged = bed_emit(bed, sub, id, NULL, T0);
    bed_settle(bed, purged, SETTLE_DEAD, T0 + 2);
    OK_OR_DIE(bed, bed->ops->dead_purge(bed->b, purged, 0, 0, T0 + 3, &out, &bed->err));
    struct subscription s = bed_sub_get(bed, sub);
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    struct job j = {.num = bed_num(bed), .kind = JOB_REPLAY};
    OK_OR_DIE(bed, bed->ops->job_put(bed->b, &j, &bed->err));
    bed_replay(bed, dead, j.num, T0 + 4);
    struct secret x = {.num = bed_num(bed), .value = "v", .created_ms = T0};
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, sub, &x, &bed->err));
    bool fresh;
    OK_OR_DIE(bed, bed->ops->taken_put(bed->b, "trades", &t, &fresh, &bed->err));
    OK_OR_DIE(bed, bed->ops->outbox_set_mark(bed->b, "trades", bed->last, &bed->err));
    return dead;
}

static void taken_back(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", ORDERED), dead = some_of_all(bed, sub);
    struct buf before, after;
    size_t n;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    bed_settle(bed, dead, SETTLE_DEAD, T0 + 5);
    bed_commit(bed);
    dump_all(bed, &sub, 1, &before);
    /* mark and undo, twice in one transaction */
    for (int i = 0; i < 2; i++) {
        OK_OR_DIE(bed, bed->ops->mark(bed->b, &bed->err));
        some_of_all(bed, sub);
        bed_replay(bed, dead, 0, T0 + 6);
        OK_OR_DIE(bed, bed->ops->kill(bed->b, sub, INT64_MAX, CAUSE_OPERATOR, 99, T0 + 7, T0 + 99,
                                      &n, &bed->err));
        OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_DELIVERED, T0 + 99, 99, &n, &bed->err));
        OK_OR_DIE(bed, bed->ops->undo(bed->b, &bed->err));
        dump_all(bed, &sub, 1, &after);
        assert_string_equal(before.data, after.data);
    }
    /* undo takes back only what came after the mark */
    int64_t kept = bed_emit(bed, sub, "kept", NULL, T0);
    OK_OR_DIE(bed, bed->ops->mark(bed->b, &bed->err));
    bed_settle(bed, kept, SETTLE_DELIVERED, T0 + 1);
    OK_OR_DIE(bed, bed->ops->undo(bed->b, &bed->err));
    assert_int_equal(bed_delivery(bed, kept).state, DELIVERY_PENDING);
    /* rollback takes back all, kept marks too */
    OK_OR_DIE(bed, bed->ops->mark(bed->b, &bed->err));
    some_of_all(bed, sub);
    OK_OR_DIE(bed, bed->ops->keep(bed->b, &bed->err));
    bed->ops->rollback(bed->b);
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    dump_all(bed, &sub, 1, &after);
    assert_string_equal(before.data, after.data);
    /* keep keeps */
    OK_OR_DIE(bed, bed->ops->mark(bed->b, &bed->err));
    kept = bed_emit(bed, sub, "kept", NULL, T0);
    OK_OR_DIE(bed, bed->ops->keep(bed->b, &bed->err));
    bed_commit(bed);
    assert_int_equal(bed_delivery(bed, kept).state, DELIVERY_PENDING);
    buf_fini(&before);
    buf_fini(&after);
}

static void a_domain_answer_changes_nothing(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0), d = bed_emit(bed, sub, "e", NULL, T0);
    struct buf before, after;
    struct settled out;
    struct settlement late = bed_settlement(d, SETTLE_RETRY, T0 + 9);
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    bed_settle(bed, d, SETTLE_DELIVERED, T0 + 1);
    dump_all(bed, &sub, 1, &before);
    assert_int_equal(bed->ops->settle(bed->b, &late, T0, &out, &bed->err), ERR_STALE);
    assert_int_equal(bed->ops->dead_purge(bed->b, d, 0, 0, T0, &out, &bed->err), ERR_STALE);
    assert_int_equal(bed->ops->dead_replay(
                         bed->b, d, &(struct reopening){.due_ms = T0, .now_ms = T0}, &bed->err),
                     ERR_STALE);
    dump_all(bed, &sub, 1, &after);
    assert_string_equal(before.data, after.data);
    bed_emit(bed, sub, "goes on", NULL, T0);
    bed_commit(bed);
    buf_fini(&before);
    buf_fini(&after);
}

/* ---- connections ---- */
static void readers_see_commits(void **state)
{
    struct bed *bed = *state;
    struct backend *reader = NULL;
    int64_t sub = bed_sub(bed, "a", 0), due;
    bed_emit(bed, sub, "e", NULL, T0);
    OK_OR_DIE(bed, bed->ops->commit(bed->b, &bed->err));
    OK_OR_DIE(bed, bed->ops->open(&reader, bed->target, BACKEND_READER, bed->keys, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(reader, &bed->err));
    OK_OR_DIE(bed, bed->ops->heads(reader, &sub, 1, &due, &bed->err));
    assert_int_equal(due, T0);
    OK_OR_DIE(bed, bed->ops->commit(reader, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    bed_emit(bed, sub, "earlier", NULL, T0 - 5);
    OK_OR_DIE(bed, bed->ops->commit(bed->b, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(reader, &bed->err));
    OK_OR_DIE(bed, bed->ops->heads(reader, &sub, 1, &due, &bed->err));
    assert_int_equal(due, T0 - 5);
    OK_OR_DIE(bed, bed->ops->commit(reader, &bed->err));
    bed->ops->close(reader);
    bed->ops->close(NULL);
    bed->ops->checkpoint(bed->b);
    assert_true(bed->ops->file_bytes(bed->b) > 0 || !bed_is_file(bed));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
}

static void one_writer(void **state)
{
    struct bed *bed = *state;
    struct backend *second = NULL;
    assert_int_equal(bed->ops->open(&second, bed->target, BACKEND_WRITER, bed->keys, &bed->err),
                     ERR_BUSY);
    assert_null(second);
    assert_true(bed->err.text[0] != '\0');
    bed->ops->rollback(bed->b);
    bed->ops->close(bed->b);
    OK_OR_DIE(bed, bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
}

/* A file keeps all when it is opened again; memory keeps it while somebody has it open. */
static void opened_again(void **state)
{
    struct bed *bed = *state;
    struct backend *holder = NULL;
    int64_t sub = bed_sub(bed, "a", ORDERED);
    struct buf before, after;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    bed_settle(bed, some_of_all(bed, sub), SETTLE_DEAD, T0 + 9);
    bed_emit(bed, sub, "waiting", "k", T0);
    bed_emit(bed, sub, "behind", "k", T0);
    dump_all(bed, &sub, 1, &before);
    OK_OR_DIE(bed, bed->ops->commit(bed->b, &bed->err));
    if (!bed_is_file(bed))
        OK_OR_DIE(bed, bed->ops->open(&holder, bed->target, BACKEND_READER, bed->keys, &bed->err));
    bed->ops->close(bed->b);
    bed->b = NULL;
    OK_OR_DIE(bed, bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err));
    bed->ops->close(holder);
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    dump_all(bed, &sub, 1, &after);
    assert_string_equal(before.data, after.data);
    buf_fini(&before);
    buf_fini(&after);
}

static void unknown_stores(void **state)
{
    struct bed *bed = *state;
    struct backend *b = NULL;
    char nowhere[160];
    snprintf(nowhere, sizeof(nowhere), "%s-nowhere", bed->target);
    assert_int_not_equal(bed->ops->open(&b, nowhere, BACKEND_READER, bed->keys, &bed->err), OK);
    assert_null(b);
    assert_null(backend_find("mysql://x"));
    assert_null(backend_find("memoryx"));
    assert_null(backend_find(NULL));
    assert_ptr_equal(backend_find("memory:"), &backend_memory);
    assert_ptr_equal(backend_find("sqlite:///x"), &backend_sqlite);
}

/* ---- the file ---- */
static void path_of(const struct bed *bed, const char *suffix, char out[256])
{
    snprintf(out, 256, "%s%s", bed->target + strlen("sqlite://"), suffix);
}

static bool file_contains(const char *path, const char *marker)
{
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(1 << 22);
    bool found = false;
    assert_non_null(bytes);
    if (f != NULL) {
        size_t n = fread(bytes, 1, 1 << 22, f);
        found = memmem(bytes, n, marker, strlen(marker)) != NULL;
        fclose(f);
    }
    free(bytes);
    return found;
}

static bool store_contains(const struct bed *bed, const char *marker)
{
    char path[256], wal[256];
    path_of(bed, "", path);
    path_of(bed, "-wal", wal);
    return file_contains(path, marker) || file_contains(wal, marker);
}

static void secrets_are_sealed(void **state)
{
    struct bed *bed = *state;
    struct subscription s = bed_sub_of(bed, "visible-name", 0);
    s.bearer = "MARKER-bearer";
    s.headers = "{\"X\":\"MARKER-header\"}";
    OK_OR_DIE(bed, bed->ops->sub_put(bed->b, &s, &bed->err));
    struct secret x = {.num = bed_num(bed), .value = "whsec_MARKER-secret", .created_ms = T0};
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, s.num, &x, &bed->err));
    /* a letter that comes in by import has never been an event in the clear */
    struct dead_letter l = {
        .delivery = {.num = 7000, .state = DELIVERY_DEAD, .cause = CAUSE_GONE},
        .event = {.id = "evt", .type = "x", .payload = "\"MARKER-payload\"", .payload_bytes = 16},
        .died_ms = T0,
        .expires_ms = T0 + 9,
        .sub_name = "visible-name"};
    OK_OR_DIE(bed, bed->ops->dead_import(bed->b, &l, NULL, 0, &bed->err));
    for (int i = 0; i < 2; i++) {
        bed_commit(bed);
        assert_true(store_contains(bed, "visible-name")); /* the search works */
        assert_false(store_contains(bed, "MARKER"));
        OK_OR_DIE(bed, bed->ops->commit(bed->b, &bed->err));
        bed->ops->checkpoint(bed->b);
        OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    }
}

/* What was sealed for one row does not open in another's place, nor with another key. */
static void sealed_rows_are_bound(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0);
    struct secret x = {.num = 7001, .value = "one", .created_ms = T0};
    struct secret y = {.num = 7002, .value = "two", .created_ms = T0};
    struct subscription got;
    struct keyring *other;
    static const uint8_t key[32] = {9};
    sqlite3 *db;
    char path[256];
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, sub, &x, &bed->err));
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, sub, &y, &bed->err));
    OK_OR_DIE(bed, bed->ops->commit(bed->b, &bed->err));
    bed->ops->close(bed->b);
    bed->b = NULL;
    OK_OR_DIE(bed, keyring_from_bytes(&other, key, &bed->err));
    assert_int_equal(bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, other, &bed->err),
                     ERR_DENIED);
    keyring_free(other);
    path_of(bed, "", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE secret SET value = (SELECT value FROM secret"
                                  " WHERE num = 7001) WHERE num = 7002",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    OK_OR_DIE(bed, bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    assert_int_equal(bed->ops->sub_get_num(bed->b, sub, &bed->a, &got, &bed->err), ERR_CORRUPT);
    assert_null(strstr(bed->err.text, "one"));
}

static void with_pragma(struct bed *bed, const char *sql)
{
    sqlite3 *db;
    char path[256];
    bed->ops->rollback(bed->b);
    bed->ops->close(bed->b);
    bed->b = NULL;
    path_of(bed, "", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void newer_schema_is_refused(void **state)
{
    struct bed *bed = *state;
    with_pragma(bed, "PRAGMA user_version = 999");
    assert_int_equal(bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err),
                     ERR_NEWER);
    assert_null(bed->b);
    assert_int_equal(bed->ops->open(&bed->b, bed->target, BACKEND_READER, bed->keys, &bed->err),
                     ERR_NEWER);
}

static void somebody_elses_database_is_refused(void **state)
{
    struct bed *bed = *state;
    with_pragma(bed, "PRAGMA application_id = 5");
    assert_int_equal(bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err),
                     ERR_INVALID);
}

static void files_are_private(void **state)
{
    struct bed *bed = *state;
    struct stat st;
    char path[256];
    static const char *const SUFFIXES[] = {"", "-wal", ".lock"};
    bed_sub(bed, "a", 0);
    bed_commit(bed);
    for (size_t i = 0; i < sizeof(SUFFIXES) / sizeof(SUFFIXES[0]); i++) {
        path_of(bed, SUFFIXES[i], path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

/* ---- memory ---- */
static void memory_goes_with_its_last_handle(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "a", 0);
    struct subscription s;
    bed_commit(bed);
    bed->ops->rollback(bed->b);
    bed->ops->close(bed->b);
    OK_OR_DIE(bed, bed->ops->open(&bed->b, bed->target, BACKEND_WRITER, bed->keys, &bed->err));
    OK_OR_DIE(bed, bed->ops->begin(bed->b, &bed->err));
    assert_int_equal(bed->ops->sub_get_num(bed->b, sub, &bed->a, &s, &bed->err), ERR_NOT_FOUND);
}

#define ON_SQLITE(f)                                                                               \
    {                                                                                              \
        "sqlite " #f, f, bed_setup, bed_teardown, bed_sqlite                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(taken_back),
        ON_BOTH(a_domain_answer_changes_nothing),
        ON_BOTH(readers_see_commits),
        ON_BOTH(one_writer),
        ON_BOTH(opened_again),
        ON_BOTH(unknown_stores),
        ON_SQLITE(secrets_are_sealed),
        ON_SQLITE(sealed_rows_are_bound),
        ON_SQLITE(newer_schema_is_refused),
        ON_SQLITE(somebody_elses_database_is_refused),
        ON_SQLITE(files_are_private),
        {"memory memory_goes_with_its_last_handle", memory_goes_with_its_last_handle, bed_setup,
         bed_teardown, bed_memory},
    };
    return cmocka_run_group_tests_name("conformance: life", tests, NULL, NULL);
}
