/* engine/outbox.c: the outbox source's thread: whose turn is it, what is read next.
 *
 * A turn of an outbox takes one batch at most, so that several are served alike:
 *
 *   open ─▶ look (data_version) ─▶ rows above the mark ─▶ sync ─▶ store ─▶ look again
 *                  │ nothing new
 *                  ├─▶ a slice of the sweep (rows at or below the mark)
 *                  └─▶ a slice of trimming
 *
 * Which rows are new? Those above the mark, in order; and the store knows every row that was taken
 * and still stands as (seq, digest), so each row that is read is compared there, and one that is
 * unknown is an event whatever its number. The mark only says where reading begins; it goes back to
 * the start of the table (rows are read again in order, known ones fall out) when numbers may have
 * been issued again at or below it:
 *   with AUTOINCREMENT     sqlite_sequence is below the mark: a backup was restored, or the
 *                          producer lost power at synchronous=NORMAL;
 *   without                max(seq) is below the mark, or the row at the mark is gone or another:
 *                          SQLite continues behind the last row that stands.
 * Nothing else can put a row below the mark but an explicit seq, or numbers that went back and
 * passed the mark again between two looks. For those there is the sweep: a slow walk, 256 rows a
 * second, over what stands below the mark, once at each start or reopening (then without pauses)
 * and again while the database changes. The sweep also forgets taken rows that are gone. */
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "engine/outbox_parts.h"

#define SLOW_US 500000
#define SLOW_ROLLBACK_US 200000 /* without WAL this poll is all there is */
#define SWEEP_PAUSE_US 1000000
#define RECHECK_MAX_US 50000
#define BUSY_MIN_US 2000
#define BUSY_MAX_US 50000
#define BUSY_LOG_US 5000000
#define FAULT_MIN_US 100000
#define FAULT_MAX_US 5000000
#define FAULT_LOG_US 60000000
#define FULL_PAUSE_US 5000
#define DISK_PAUSE_US 1000000

static bool stopping(struct outbox_source *s)
{
    pthread_mutex_lock(&s->mutex);
    bool is = s->stopping;
    pthread_mutex_unlock(&s->mutex);
    return is;
}

/* ---- what operators see ---- */

static void show_error(struct outbox_source *s, struct outbox *o, const char *error)
{
    pthread_mutex_lock(&s->mutex);
    if (!o->shown.error[0])
        o->shown.since_ms = clock_wall_ms();
    text_copy(o->shown.error, sizeof o->shown.error, error);
    pthread_mutex_unlock(&s->mutex);
}

static void show_taken(struct outbox_source *s, struct outbox *o)
{
    pthread_mutex_lock(&s->mutex);
    o->shown.taken_ms = clock_wall_ms();
    pthread_mutex_unlock(&s->mutex);
}

static void show_disk(struct outbox_source *s, bool low)
{
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++)
        s->outboxes[i].shown.disk_low = low;
    pthread_mutex_unlock(&s->mutex);
}

/* ---- trouble ---- */

static void shut(struct outbox_source *s, struct outbox *o)
{
    outbox_watch_drop(s, o);
    outbox_db_close(&o->db);
    o->open = false;
}

static int64_t grown(int64_t us, int64_t min, int64_t max)
{
    int64_t next = us * 2;
    return next < min ? min : next > max ? max : next;
}

/* A lock of the producer's is no trouble, unless it is held for long. */
static void busy(struct outbox_source *s, struct outbox *o, const struct err *err, int64_t now)
{
    if (!o->busy_since_us)
        o->busy_since_us = now;
    o->backoff_us = grown(o->backoff_us, BUSY_MIN_US, BUSY_MAX_US);
    o->next_us = now + o->backoff_us;
    if (now - o->busy_since_us > BUSY_LOG_US && !o->fault[0]) {
        log_warn("outbox_locked", "outbox=%s error=%s", o->name, err->text);
        text_copy(o->fault, sizeof o->fault, err->text);
        show_error(s, o, err->text);
    }
}

static void fault(struct outbox_source *s, struct outbox *o, const struct err *err, int64_t now)
{
    o->look = true;
    if (err->code == ERR_BUSY) {
        busy(s, o, err, now);
        return;
    }
    if (now - o->fault_us > FAULT_LOG_US || strncmp(o->fault, err->text, sizeof o->fault - 1)) {
        log_error("outbox_failed", "outbox=%s code=%s error=%s", o->name, err_code_name(err->code),
                  err->text);
        text_copy(o->fault, sizeof o->fault, err->text);
        o->fault_us = now;
        show_error(s, o, err->text);
    }
    o->backoff_us = grown(o->backoff_us, FAULT_MIN_US, FAULT_MAX_US);
    o->next_us = now + o->backoff_us;
    shut(s, o); /* whatever it was: begin with a fresh connection */
}

static void fine(struct outbox_source *s, struct outbox *o)
{
    if (o->fault[0]) {
        log_info("outbox_recovered", "outbox=%s", o->name);
        show_error(s, o, "");
    }
    o->fault[0] = 0;
    o->backoff_us = 0;
    o->busy_since_us = 0;
}

/* ---- opening ---- */

static enum err_code open_outbox(struct outbox_source *s, struct outbox *o, struct err *err)
{
    struct err permission = {0};
    enum err_code code = outbox_db_open(&o->db, o->path, o->table, err);
    /* SQLite says "unable to open"; which permission is missing, and the fix, is worth more */
    if ((code == ERR_IO || code == ERR_DENIED) &&
        outbox_permissions(o->path, &permission) == ERR_DENIED)
        *err = permission;
    if (code != OK)
        return err->code;
    o->open = true;
    o->look = true;
    o->sweeping = o->sweep_fast = true;
    o->sweep_at = OUTBOX_START;
    o->sweep_version = o->seen = -1;
    o->tail_seq = OUTBOX_START;
    o->mark_put = OUTBOX_START;
    o->trim_pending = true;
    o->trim_at = OUTBOX_START;
    outbox_watch_add(s, o);
    if (!o->db.wal && !o->warned_rollback)
        log_warn("outbox_not_wal", "outbox=%s effect=%s fix=%s", o->name,
                 "rows are noticed by polling, and reading can make the producer wait",
                 "webhookctl outbox init FILE --wal");
    o->warned_rollback = !o->db.wal;
    return OK;
}

static enum err_code ready(struct outbox_source *s, struct outbox *o, int64_t now, struct err *err)
{
    if (o->open && now >= o->slow_us && outbox_db_moved(&o->db)) {
        log_info("outbox_replaced", "outbox=%s path=%s", o->name, o->path);
        shut(s, o);
    }
    if (now >= o->slow_us)
        o->slow_us = now + (o->open && !o->db.wal ? SLOW_ROLLBACK_US : SLOW_US);
    enum err_code code = o->open ? OK : open_outbox(s, o, err);
    if (code != OK || o->placed)
        return code;
    int64_t mark = 0;
    code = outbox_ask_mark(s, o, &mark, err);
    if (code != OK)
        return code;
    o->mark = mark ? mark : OUTBOX_START;
    o->placed = true;
    return OK;
}

/* ---- looking ---- */

static void rewind_mark(struct outbox *o, int64_t top)
{
    if (o->db.autoincrement)
        log_warn("outbox_numbers_went_back",
                 "outbox=%s mark=%" PRId64 " sequence=%" PRId64 " effect=%s", o->name, o->mark,
                 top == OUTBOX_START ? 0 : top,
                 "a backup was restored or power was lost: rows are compared by content");
    o->mark = OUTBOX_START;
    o->mark_lower = true;
    o->trim_us = 0;
}

static enum err_code judge_numbers(struct outbox *o, struct err *err)
{
    int64_t top = 0;
    if (o->mark == OUTBOX_START)
        return OK;
    enum err_code code = outbox_db_top(&o->db, &top, err);
    if (code != OK)
        return code;
    if (top < o->mark) {
        rewind_mark(o, top);
    } else if (!o->db.autoincrement && o->tail_seq == o->mark) {
        struct arena mem;
        struct outbox_row row = {0};
        bool found = false;
        arena_init(&mem);
        code = outbox_db_row(&o->db, o->mark, &mem, &row, &found, err);
        if (code == OK && (!found || memcmp(row.digest, o->tail, sizeof o->tail) != 0))
            rewind_mark(o, top);
        arena_fini(&mem);
    }
    return code;
}

static size_t batch_limit(const struct outbox *o)
{
    return o->db.wal ? OUTBOX_BATCH : OUTBOX_BATCH_ROLLBACK;
}

static enum err_code take(struct outbox_source *s, struct outbox *o, int64_t now, bool *took,
                          struct err *err)
{
    size_t n = 0, fresh = 0;
    struct outbox_request *r = outbox_request_new(s, o);
    if (!r)
        return fail(err, ERR_NOMEM, "no memory for a batch");
    struct outbox_row *rows = outbox_request_rows(r);
    enum err_code code = outbox_db_read(&o->db, o->mark, INT64_MAX, batch_limit(o),
                                        outbox_request_memory(r), rows, &n, err);
    if (code == OK && n)
        code = outbox_db_sync(&o->db, err);
    if (code != OK || !n) {
        outbox_request_free(r);
        return code;
    }
    int64_t last = rows[n - 1].seq;
    uint8_t digest[16];
    memcpy(digest, rows[n - 1].digest, sizeof digest);
    code = outbox_ask_take(r, n, NULL, &fresh, NULL, err);
    if (code != OK)
        return code;
    o->mark = o->tail_seq = last;
    memcpy(o->tail, digest, sizeof digest);
    o->untrimmed += (int64_t)fresh;
    o->trim_pending = true;
    o->rows_us = now;
    show_taken(s, o);
    *took = true;
    return OK;
}

static enum err_code look(struct outbox_source *s, struct outbox *o, int64_t now, bool *took,
                          struct err *err)
{
    int64_t version = 0;
    enum err_code code = outbox_db_version(&o->db, &version, err);
    if (code != OK || (version == o->seen && !o->look))
        return code;
    if (version != o->seen)
        code = judge_numbers(o, err);
    if (code == OK)
        code = take(s, o, now, took, err);
    if (code != OK)
        return code;
    o->seen = version; /* a commit since then changes it again */
    o->look = *took && (o->db.more || !outbox_rings(o, now));
    return OK;
}

/* ---- the sweep ---- */

static void sweep_over(struct outbox *o)
{
    o->sweeping = o->sweep_fast = false;
    o->swept_version = o->sweep_version;
}

static bool sweep_due(struct outbox *o, int64_t now)
{
    if (!o->sweeping && o->swept_version != o->seen && now >= o->sweep_us) {
        o->sweeping = true;
        o->sweep_at = OUTBOX_START;
        o->sweep_version = o->seen;
    }
    return o->sweeping && (o->sweep_fast || now >= o->sweep_us);
}

static enum err_code sweep(struct outbox_source *s, struct outbox *o, int64_t now, struct err *err)
{
    o->sweep_us = now + SWEEP_PAUSE_US;
    if (o->sweep_version < 0)
        o->sweep_version = o->seen;
    if (o->sweep_at >= o->mark) {
        sweep_over(o);
        return OK;
    }
    struct outbox_request *r = outbox_request_new(s, o);
    if (!r)
        return fail(err, ERR_NOMEM, "no memory for a batch");
    struct outbox_row *rows = outbox_request_rows(r);
    size_t n = 0, fresh = 0;
    enum err_code code = outbox_db_read(&o->db, o->sweep_at, o->mark, batch_limit(o),
                                        outbox_request_memory(r), rows, &n, err);
    if (code == OK && n)
        code = outbox_db_sync(&o->db, err);
    if (code != OK) {
        outbox_request_free(r);
        return code;
    }
    int64_t swept = 0;
    struct outbox_sweep part = {o->sweep_at, n ? rows[n - 1].seq : o->mark};
    code = outbox_ask_take(r, n, &part, &fresh, &swept, err);
    if (code != OK)
        return code;
    if (fresh) {
        log_info("outbox_rows_below_mark", "outbox=%s rows=%zu", o->name, fresh);
        o->trim_pending = true;
        o->rows_us = now;
    }
    o->sweep_at = swept;
    if (swept >= o->mark)
        sweep_over(o);
    return OK;
}

/* ---- a turn ---- */

/* Below the limit rows wait in the producer's table, and what is stored goes on being delivered. */
static bool disk_low(struct outbox_source *s, int64_t now)
{
    struct statvfs fs;
    if (!s->store_folder || now < s->disk_us)
        return s->disk_low;
    s->disk_us = now + DISK_PAUSE_US;
    pthread_mutex_lock(&s->mutex);
    int64_t limit = s->low_disk_bytes;
    pthread_mutex_unlock(&s->mutex);
    if (statvfs(s->store_folder, &fs) != 0)
        return s->disk_low;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    bool low = limit > 0 && free_bytes < (uint64_t)limit;
    if (low && !s->disk_low)
        log_error("outbox_disk_low",
                  "folder=%s free_bytes=%" PRIu64 " limit_bytes=%" PRId64 " effect=%s",
                  s->store_folder, free_bytes, limit,
                  "rows wait in the producers' tables; deliveries go on");
    if (!low && s->disk_low)
        log_info("outbox_disk_ok", "folder=%s free_bytes=%" PRIu64, s->store_folder, free_bytes);
    if (low != s->disk_low)
        show_disk(s, low);
    s->disk_low = low;
    return low;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void schedule(struct outbox *o, int64_t now)
{
    int64_t next = o->slow_us;
    if (o->recheck_us) {
        next = sooner(next, now + o->recheck_us);
        o->recheck_us += o->recheck_us / 2;
        if (o->recheck_us > RECHECK_MAX_US) /* while nobody listens to the watch they go on */
            o->recheck_us = outbox_rings(o, now) ? RECHECK_MAX_US : 0;
    }
    if (o->look || (o->sweeping && o->sweep_fast))
        next = now;
    else if (o->sweeping || o->swept_version != o->seen)
        next = sooner(next, o->sweep_us);
    if (o->trim_pending) {
        int64_t quiet = o->rows_us + OUTBOX_QUIET_US;
        next = sooner(next, quiet > o->trim_us ? quiet : o->trim_us);
    }
    o->next_us = next;
}

static void turn(struct outbox_source *s, struct outbox *o, int64_t now)
{
    struct err err = {0};
    bool took = false;
    if (disk_low(s, now)) {
        o->next_us = now + DISK_PAUSE_US;
        return;
    }
    if (!store_has_room(s->store, STORE_WRITE)) {
        o->next_us = now + FULL_PAUSE_US;
        return;
    }
    enum err_code code = ready(s, o, now, &err);
    if (code == OK)
        code = look(s, o, now, &took, &err);
    if (code == OK && !took && sweep_due(o, now))
        code = sweep(s, o, now, &err);
    if (code == OK && (!took || o->untrimmed || o->mark_lower))
        code = outbox_trim_turn(s, o, now, &err);
    if (code == OK) {
        fine(s, o);
        schedule(o, now);
    } else if (!stopping(s)) {
        fault(s, o, &err, now);
    }
}

void *outbox_thread(void *arg)
{
    struct outbox_source *s = arg;
    process_name_thread("outbox");
    /* The kernel may otherwise be 50 us late with each re-check of 100 us and more. */
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    while (!stopping(s)) {
        int64_t next = clock_mono_us() + SLOW_US;
        for (size_t i = 0; i < s->n && !stopping(s); i++) {
            int64_t now = clock_mono_us();
            if (s->outboxes[i].next_us <= now)
                turn(s, &s->outboxes[i], now);
            next = sooner(next, s->outboxes[i].next_us);
        }
        outbox_watch_wait(s, next);
    }
    for (size_t i = 0; i < s->n; i++)
        shut(s, &s->outboxes[i]);
    return NULL;
}
