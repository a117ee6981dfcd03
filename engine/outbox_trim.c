/* engine/outbox_trim.c: when to delete what was taken, and what to tell a producer that does it
 * itself.
 *
 * trim: engine    a pass over the taken rows, in slices of at most 256 rows or 2 ms, in a quiet
 *                 moment or when the table grows. Each row is read again under the lock and goes
 *                 only if it is the one that was taken. Whoever holds the lock is not waited for.
 *                 A slice rests twenty times as long as it took (nobody hurries: a processor that
 *                 delivers a backlog has better to do), unless more came meanwhile than it took away.
 * trim: producer  outbox_mark says up to where rows may be deleted; written once a quiet moment,
 *                 and at once where it must be lowered (a restored backup issues numbers again).
 * trim: off       nothing.
 *
 * What keeps us from deleting (a trigger of the producer's, a file that became read-only) keeps
 * nobody from reading: it is told, and tried again at leisure. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/outbox_parts.h"

#define GROWN_ROWS 10000
#define SLICE_PAUSE_US 5000
#define REST_TIMES 20
#define BUSY_PAUSE_US 20000
#define BUSY_PAUSE_MAX_US 1000000
#define FAULT_PAUSE_US 10000000
#define FAULT_LOG_US 60000000

static bool may(const struct outbox *o, int64_t now_us)
{
    return now_us >= o->trim_us &&
           (now_us - o->rows_us >= OUTBOX_QUIET_US || o->untrimmed >= GROWN_ROWS);
}

static void later(struct outbox *o, int64_t now_us)
{
    o->trim_pause_us = o->trim_pause_us ? o->trim_pause_us * 2 : BUSY_PAUSE_US;
    if (o->trim_pause_us > BUSY_PAUSE_MAX_US)
        o->trim_pause_us = BUSY_PAUSE_MAX_US;
    o->trim_us = now_us + o->trim_pause_us;
}

/* Whatever it was, the rows are only in nobody's way. */
static void hindered(struct outbox *o, const struct err *err, int64_t now_us)
{
    if (err->code == ERR_BUSY) {
        later(o, now_us);
        return;
    }
    if (!o->trim_fault_us || now_us - o->trim_fault_us > FAULT_LOG_US) {
        log_error("outbox_trim_failed", "outbox=%s code=%s error=%s effect=%s", o->name,
                  err_code_name(err->code), err->text,
                  "rows that were taken stay in the table; new ones are taken");
        o->trim_fault_us = now_us;
    }
    o->trim_us = now_us + FAULT_PAUSE_US;
}

static void pass_over(struct outbox *o)
{
    o->trim_pending = false;
    o->trim_at = OUTBOX_START;
    o->untrimmed = o->untrimmed_left = 0;
}

/* rows went in the slice that took so long. */
static void rest(struct outbox *o, int64_t rows, int64_t took_us)
{
    bool grows = o->untrimmed - o->untrimmed_left > rows;
    int64_t pause_us = grows ? 0 : took_us * REST_TIMES;
    o->trim_pause_us = 0;
    o->trim_us = clock_mono_us() + (pause_us > SLICE_PAUSE_US ? pause_us : SLICE_PAUSE_US);
    o->untrimmed -= rows < o->untrimmed ? rows : o->untrimmed;
    o->untrimmed_left = o->untrimmed;
}

/* Numbers that a table without AUTOINCREMENT gives again start behind what is left in it. */
static enum err_code follow_numbers(struct outbox *o, struct err *err)
{
    int64_t top = 0;
    if (o->db.autoincrement)
        return OK;
    enum err_code code = outbox_db_top(&o->db, &top, err);
    if (code == OK && top == OUTBOX_START)
        o->mark = OUTBOX_START;
    return code;
}

static enum err_code slice(struct outbox_source *s, struct outbox *o, int64_t now_us,
                           struct err *err)
{
    struct taken list[OUTBOX_BATCH], gone[OUTBOX_BATCH];
    size_t n = 0, gone_n = 0;
    struct outbox_trimmed done;
    enum err_code code = outbox_ask_taken(s, o, o->trim_at, list, &n, err);
    if (code != OK)
        return code;
    if (!n) {
        pass_over(o);
        return OK;
    }
    if ((code = outbox_ask_durable(s, o, err)) != OK)
        return code; /* the row is all that there is while its event is not on the disk */
    struct err why = {0};
    int64_t from_us = clock_mono_us();
    if (outbox_db_trim(&o->db, list, n, &done, &why) != OK) {
        hindered(o, &why, now_us);
        return OK;
    }
    int64_t took_us = clock_mono_us() - from_us;
    for (size_t i = 0; i < done.looked; i++)
        if (done.gone[i])
            gone[gone_n++] = list[i];
    if (gone_n)
        code = outbox_ask_forget(s, o, gone, gone_n, err);
    if (code != OK)
        return code;
    log_debug("outbox_trimmed", "outbox=%s rows=%zu", o->name, gone_n);
    rest(o, (int64_t)gone_n, took_us);
    o->trim_at = list[done.looked - 1].seq;
    if (done.other) { /* a number was issued again: find out for what */
        o->mark = OUTBOX_START;
        o->look = true;
    }
    if (done.looked == n && n < OUTBOX_BATCH)
        pass_over(o);
    return follow_numbers(o, err);
}

static enum err_code put_mark(struct outbox_source *s, struct outbox *o, int64_t now_us,
                              struct err *err)
{
    int64_t mark = o->mark == OUTBOX_START ? 0 : o->mark;
    struct err why = {0};
    enum err_code code = outbox_ask_durable(s, o, err);
    if (code != OK)
        return code;
    if (outbox_db_put_mark(&o->db, mark, &why) != OK) {
        hindered(o, &why, now_us);
        return OK;
    }
    o->trim_pause_us = 0;
    o->mark_put = o->mark;
    o->mark_lower = false;
    o->untrimmed = 0;
    o->trim_pending = false;
    return OK;
}

enum err_code outbox_trim_turn(struct outbox_source *s, struct outbox *o, int64_t now_us,
                               struct err *err)
{
    pthread_mutex_lock(&s->mutex);
    enum conf_trim trim = o->trim;
    pthread_mutex_unlock(&s->mutex);
    switch (trim) {
    case TRIM_ENGINE:
        return o->trim_pending && may(o, now_us) ? slice(s, o, now_us, err) : OK;
    case TRIM_PRODUCER:
        if (o->mark_lower && now_us >= o->trim_us)
            return put_mark(s, o, now_us, err);
        /* Not before the first sweep is over: what it finds lies below the mark. */
        if (o->sweeping && o->sweep_fast)
            return OK;
        o->trim_pending = o->mark != o->mark_put;
        return o->trim_pending && may(o, now_us) ? put_mark(s, o, now_us, err) : OK;
    case TRIM_OFF:
        break;
    }
    o->trim_pending = false;
    return OK;
}
