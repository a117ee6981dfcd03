/* test/conformance/test_faults.c: the disk fails at the n-th write or sync, for every n.
 *
 * Whatever the write: the operation or the commit says so with an error that makes the caller roll
 * back, and the store, opened again, shows the state before the transaction or the one after it,
 * never a third, with counts that are right. "After" is allowed only where a commit was tried: of
 * a failed sync nobody knows whether the bytes are there.
 *
 * The fault sits below SQLite: a default VFS whose files are the real ones with two methods
 * replaced. */
#include <sqlite3.h>

#include "test/conformance/dump.h"

enum { KINDS = 4 }; /* of files: SQLite has methods of their own for database and log */
static struct {
    int countdown; /* 0: no fault armed; 1: the next one fails */
    bool hit;
    const sqlite3_io_methods *real[KINDS];
    sqlite3_io_methods faulty[KINDS];
    sqlite3_vfs vfs, *real_vfs;
} disk;

static const sqlite3_io_methods *real_of(const sqlite3_file *f)
{
    for (int i = 0; i < KINDS; i++)
        if (f->pMethods == &disk.faulty[i])
            return disk.real[i];
    return NULL;
}

static bool fails_now(void)
{
    if (disk.countdown == 0 || --disk.countdown > 0)
        return false;
    disk.hit = true;
    return true;
}

static int faulty_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    if (!fails_now())
        return real_of(f)->xWrite(f, bytes, n, at);
    (void)real_of(f)->xWrite(f, bytes, n / 2, at); /* torn */
    return SQLITE_IOERR_WRITE;
}

static int faulty_sync(sqlite3_file *f, int flags)
{
    return fails_now() ? SQLITE_IOERR_FSYNC : real_of(f)->xSync(f, flags);
}

static int faulty_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags,
                       int *out_flags)
{
    (void)vfs;
    int rc = disk.real_vfs->xOpen(disk.real_vfs, name, f, flags, out_flags);
    if (rc != SQLITE_OK || f->pMethods == NULL)
        return rc;
    for (int i = 0; i < KINDS; i++) {
        if (disk.real[i] == NULL) {
            disk.real[i] = f->pMethods;
            disk.faulty[i] = *f->pMethods;
            disk.faulty[i].xWrite = faulty_write;
            disk.faulty[i].xSync = faulty_sync;
        }
        if (f->pMethods == disk.real[i]) {
            f->pMethods = &disk.faulty[i];
            break;
        }
    }
    return rc;
}

static int disk_install(void **state)
{
    (void)state;
    disk.real_vfs = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real_vfs;
    disk.vfs.zName = "faulty";
    disk.vfs.xOpen = faulty_open;
    return sqlite3_vfs_register(&disk.vfs, 1);
}

/* ---- what is tried ---- */
struct story {
    int64_t sub, open, dead, waiting;
};

static void before(struct bed *bed, struct story *s)
{
    s->sub = bed_sub(bed, "a", ORDERED);
    s->open = bed_emit(bed, s->sub, "open", "k", T0);
    s->waiting = bed_emit(bed, s->sub, "waiting", "k", T0);
    s->dead = bed_emit(bed, s->sub, "dead", NULL, T0);
    bed_settle(bed, s->dead, SETTLE_DEAD, T0 + 1);
}

/* OK, or the first error. */
static enum err_code change(struct bed *bed, const struct story *s)
{
    static const uint8_t digest[32] = {5};
    struct event_rec e = {.num = 900, .id = "new", .partner = 1, .type = "x", .accepted_ms = T0};
    struct event_put_result put;
    struct settled out;
    struct settlement done = bed_settlement(s->open, SETTLE_DELIVERED, T0 + 5);
    bool ordered = false;
    enum err_code code;
    static char payload[300 * 1024]; /* of more pages than go to the log at once */
    memset(payload, ' ', sizeof(payload));
    payload[0] = '{';
    payload[sizeof(payload) - 1] = '}';
    e.payload = payload;
    e.payload_bytes = sizeof(payload);
    code =
        bed->ops->event_put(bed->b, &e, &s->sub, &ordered, 1, 901, digest, T0 + 9, &put, &bed->err);
    if (code == OK)
        code = bed->ops->settle(bed->b, &done, T0, &out, &bed->err);
    if (code == OK)
        code = bed->ops->dead_replay(
            bed->b, s->dead, &(struct reopening){.due_ms = T0 + 6, .now_ms = T0 + 6}, &bed->err);
    if (code == OK)
        code = bed->ops->outbox_set_mark(bed->b, "trades", 77, &bed->err);
    return code;
}

/* One run with the n-th write failing. False: there were fewer, and all went well. */
static bool run(int n, struct buf text[3])
{
    struct bed bed;
    struct story s;
    bool tried_commit = false;
    bed_open(&bed, "sqlite");
    before(&bed, &s);
    bed_commit(&bed);
    dump_all(&bed, &s.sub, 1, &text[0]);
    disk.countdown = n;
    disk.hit = false;
    enum err_code code = change(&bed, &s);
    if (code == OK) {
        tried_commit = true;
        code = bed.ops->commit(bed.b, &bed.err);
    }
    bool hit = disk.hit;
    if (code != OK)
        bed.ops->rollback(bed.b);
    if (!hit)
        assert_int_equal(code, OK);
    else
        assert_true(code == ERR_IO || code == ERR_FULL || code == ERR_CORRUPT);
    disk.countdown = 0;
    bed.ops->close(bed.b);
    bed.b = NULL;
    OK_OR_DIE(&bed, bed.ops->open(&bed.b, bed.target, BACKEND_WRITER, bed.keys, &bed.err));
    OK_OR_DIE(&bed, bed.ops->begin(bed.b, &bed.err));
    dump_all(&bed, &s.sub, 1, &text[1]);
    bool unchanged = strcmp(text[0].data, text[1].data) == 0;
    if (!unchanged)
        assert_true(tried_commit);
    if (!hit) {
        assert_false(unchanged);
    } else if (unchanged) { /* and the same again works */
        OK_OR_DIE(&bed, change(&bed, &s));
        bed_commit(&bed);
        dump_all(&bed, &s.sub, 1, &text[1]);
    }
    if (text[2].data == NULL)
        buf_adds(&text[2], text[1].data);
    assert_string_equal(text[2].data, text[1].data);
    bed_close(&bed);
    return hit;
}

static void every_write_may_fail(void **state)
{
    struct buf text[3];
    int n = 1;
    (void)state;
    for (int i = 0; i < 3; i++)
        buf_init(&text[i], 1 << 20);
    while (n < 1000 && run(n, text))
        n++;
    print_message("%d places\n", n - 1);
    assert_true(n > 3 && n < 1000);
    for (int i = 0; i < 3; i++)
        buf_fini(&text[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_write_may_fail)};
    return cmocka_run_group_tests_name("conformance: faults", tests, disk_install, NULL);
}
