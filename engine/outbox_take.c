/* engine/outbox_take.c: what the outbox's thread asks of the store, and the taking itself.
 *
 *   outbox thread: request_new ─ fill ─ ask ──────────── wait ───────────────▶ answer, free
 *   store thread:                         take rows, commit
 *   loop thread:                                           done: changes, log, wake
 *
 * A request owns everything it carries, so that only copies cross. The thread waits for the commit
 * (the next batch follows it), but not at a stop: then it leaves the request behind, which is
 * committed and freed without it. Events, rejects, taken rows and the mark are one transaction. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/outbox_parts.h"

#define REJECTS_LOGGED 16 /* of one batch; the rest are one line */

struct outbox_request {
    struct outbox_source *source;
    bool done, abandoned; /* guarded by the source's mutex */
    struct err err;

    struct arena mem;
    const char *outbox, *partner, *name_source, *version;
    struct intake_limits limits;
    bool numbers_reused, mark_lower;
    enum conf_trim trim;
    struct outbox_row rows[OUTBOX_BATCH];
    size_t n;
    bool sweep;
    struct outbox_sweep slice;
    int64_t mark; /* in: the new one; out of ask_mark */
    struct taken taken[OUTBOX_BATCH];
    size_t taken_n;
    int64_t after;

    struct changes changes;
    size_t fresh;
    int64_t swept;
    struct {
        int64_t num, seq;
        const char *reason;
    } rejects[REJECTS_LOGGED];
    size_t rejects_n;
};

struct outbox_request *outbox_request_new(struct outbox_source *s, const struct outbox *o)
{
    struct outbox_request *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    arena_init(&r->mem);
    changes_init(&r->changes);
    r->source = s;
    r->numbers_reused = !o->db.autoincrement;
    pthread_mutex_lock(&s->mutex);
    r->outbox = arena_copy(&r->mem, o->name);
    r->partner = arena_copy(&r->mem, o->partner);
    r->name_source = arena_copy(&r->mem, o->source);
    r->version = arena_copy(&r->mem, o->version);
    r->trim = o->trim;
    r->mark_lower = o->mark_lower;
    r->limits = (struct intake_limits){o->max_payload_bytes, s->dedupe_ms};
    pthread_mutex_unlock(&s->mutex);
    if (!r->outbox || !r->partner) {
        outbox_request_free(r);
        return NULL;
    }
    return r;
}

void outbox_request_free(struct outbox_request *r)
{
    if (!r)
        return;
    changes_fini(&r->changes);
    arena_fini(&r->mem);
    free(r);
}

struct arena *outbox_request_memory(struct outbox_request *r)
{
    return &r->mem;
}

struct outbox_row *outbox_request_rows(struct outbox_request *r)
{
    return r->rows;
}

/* ---- on the loop thread, after the commit ---- */

static void log_rejects(const struct outbox_request *r)
{
    for (size_t i = 0; i < r->rejects_n && i < REJECTS_LOGGED; i++) {
        char id[ID_TEXT_MAX];
        log_warn("outbox_row_rejected", "outbox=%s seq=%" PRId64 " reject=%s reason=%s", r->outbox,
                 r->rejects[i].seq, id_text(id, "rej", r->rejects[i].num), r->rejects[i].reason);
    }
    if (r->rejects_n > REJECTS_LOGGED)
        log_warn("outbox_rows_rejected", "outbox=%s more=%zu hint=%s", r->outbox,
                 r->rejects_n - REJECTS_LOGGED, "see webhookctl outbox rejects list");
}

static void answered(void *arg, const struct err *err, int64_t generation)
{
    struct outbox_request *r = arg;
    struct outbox_source *s = r->source;
    (void)generation;
    r->err = *err;
    if (err->code == OK) {
        log_rejects(r);
        if (!s->freed && r->fresh) /* only this thread sets it */
            s->changed(s->arg, &r->changes);
    }
    pthread_mutex_lock(&s->mutex);
    bool ours = r->abandoned;
    r->done = true;
    pthread_cond_signal(&s->answered);
    outbox_source_unref(s);
    if (ours)
        outbox_request_free(r);
}

/* Blocks until the answer. False: the source stops, and r is not the caller's any more. */
static bool ask(struct outbox_request *r, enum store_thread thread, unsigned flags,
                store_work_fn *work)
{
    struct outbox_source *s = r->source;
    pthread_mutex_lock(&s->mutex);
    s->refs++;
    pthread_mutex_unlock(&s->mutex);
    enum err_code code = store_submit(s->store, thread, flags, work, answered, r);
    pthread_mutex_lock(&s->mutex);
    if (code != OK) {
        outbox_source_unref(s);
        fail(&r->err, code, code == ERR_BUSY ? "the store's queue is full" : "the store failed");
        return true;
    }
    while (!r->done && !s->stopping)
        pthread_cond_wait(&s->answered, &s->mutex);
    bool mine = r->done;
    r->abandoned = !mine;
    pthread_mutex_unlock(&s->mutex);
    return mine;
}

static enum err_code stopped(struct err *err)
{
    return fail(err, ERR_BUSY, "the outbox source stops");
}

/* The end of a request: what it came to. */
static enum err_code finish(struct outbox_request *r, struct err *err)
{
    enum err_code code = r->err.code;
    if (code != OK && err)
        *err = r->err;
    outbox_request_free(r);
    return code;
}

/* ---- small questions ---- */

static enum err_code mark_work(struct backend *b, void *arg, struct err *err)
{
    struct outbox_request *r = arg;
    return b->ops->outbox_mark(b, r->outbox, &r->mark, err);
}

enum err_code outbox_ask_mark(struct outbox_source *s, const struct outbox *o, int64_t *mark,
                              struct err *err)
{
    struct outbox_request *r = outbox_request_new(s, o);
    if (!r)
        return fail(err, ERR_NOMEM, "no memory for a request");
    if (!ask(r, STORE_WRITE, 0, mark_work))
        return stopped(err);
    if (r->err.code == OK)
        *mark = r->mark;
    return finish(r, err);
}

static enum err_code taken_work(struct backend *b, void *arg, struct err *err)
{
    struct outbox_request *r = arg;
    struct arena mem;
    struct taken *list = NULL;
    size_t n = 0;
    arena_init(&mem);
    enum err_code code =
        b->ops->taken_list(b, r->outbox, r->after, OUTBOX_BATCH, &mem, &list, &n, err);
    if (code == OK && n)
        memcpy(r->taken, list, n * sizeof *list);
    r->taken_n = code == OK ? n : 0;
    arena_fini(&mem);
    return code;
}

enum err_code outbox_ask_taken(struct outbox_source *s, const struct outbox *o, int64_t after,
                               struct taken out[OUTBOX_BATCH], size_t *n, struct err *err)
{
    struct outbox_request *r = outbox_request_new(s, o);
    if (!r)
        return fail(err, ERR_NOMEM, "no memory for a request");
    r->after = after;
    if (!ask(r, STORE_LIST, 0, taken_work))
        return stopped(err);
    if (r->err.code == OK) {
        memcpy(out, r->taken, r->taken_n * sizeof *out);
        *n = r->taken_n;
    }
    return finish(r, err);
}

static enum err_code forget_work(struct backend *b, void *arg, struct err *err)
{
    struct outbox_request *r = arg;
    return b->ops->taken_delete(b, r->outbox, r->taken, r->taken_n, err);
}

enum err_code outbox_ask_forget(struct outbox_source *s, const struct outbox *o,
                                const struct taken *list, size_t n, struct err *err)
{
    struct outbox_request *r = outbox_request_new(s, o);
    if (!r)
        return fail(err, ERR_NOMEM, "no memory for a request");
    memcpy(r->taken, list, n * sizeof *list);
    r->taken_n = n;
    if (!ask(r, STORE_WRITE, STORE_GUARDED, forget_work))
        return stopped(err);
    return finish(r, err);
}

static enum err_code no_work(struct backend *b, void *arg, struct err *err)
{
    (void)b;
    (void)arg;
    (void)err;
    return OK;
}

enum err_code outbox_ask_durable(struct outbox_source *s, const struct outbox *o, struct err *err)
{
    if (store_is_durable(s->store))
        return OK;
    struct outbox_request *r = outbox_request_new(s, o);
    if (!r)
        return fail(err, ERR_NOMEM, "no memory for a request");
    if (!ask(r, STORE_WRITE, 0, no_work))
        return stopped(err);
    return finish(r, err);
}

/* ---- taking, on the store's thread ---- */

static void add_member(struct buf *b, const char *name, const char *text)
{
    buf_addf(b, ",\"%s\":", name);
    buf_add_json(b, text);
}

static void add_payload(struct buf *b, const struct outbox_row *row)
{
    buf_adds(b, ",\"payload\":");
    if (!row->payload) {
        buf_adds(b, "null");
    } else if (text_is_utf8(row->payload, row->payload_bytes) &&
               !memchr(row->payload, 0, row->payload_bytes)) {
        buf_add_json(b, row->payload);
    } else {
        buf_adds(b, "{\"base64\":\"");
        text_base64(b, row->payload, row->payload_bytes);
        buf_adds(b, "\"}");
    }
}

static void add_time(struct buf *b, const char *name, int64_t ms)
{
    if (ms)
        buf_addf(b, ",\"%s\":%" PRId64, name, ms);
    else
        buf_addf(b, ",\"%s\":null", name);
}

static const char *or_default(const char *text, const char *fallback)
{
    return text ? text : fallback;
}

/* The row as JSON with the outbox's defaults filled in, so that a retry of the reject gives the
 * event that the row would have given. */
static void row_json(const struct outbox_request *r, const struct outbox_row *row, struct buf *b)
{
    buf_addf(b, "{\"seq\":%" PRId64, row->seq);
    add_member(b, "type", row->type);
    add_payload(b, row);
    add_member(b, "event_id", row->event_id);
    add_member(b, "partner", or_default(row->partner, r->partner));
    add_member(b, "ordering_key", row->ordering_key);
    add_member(b, "correlation_id", row->correlation_id);
    add_member(b, "source", or_default(row->source, r->name_source));
    add_member(b, "version", or_default(row->version, r->version));
    add_member(b, "attributes", row->attributes);
    add_time(b, "deliver_after", row->deliver_after_ms);
    add_time(b, "expires_at", row->expires_ms);
    add_time(b, "created_at", row->created_ms);
    buf_addc(b, '}');
}

static enum err_code reject_row(struct outbox_request *r, struct backend *b,
                                const struct outbox_row *row, const char *reason, struct err *err)
{
    struct buf json;
    int64_t now = clock_store_ms();
    buf_init(&json, (size_t)OUTBOX_KEPT_BYTES * 16);
    row_json(r, row, &json);
    struct reject reject = {.num = id_next(intake_ids(r->source->intake), now),
                            .outbox = r->outbox,
                            .seq = row->seq,
                            .reason = reason,
                            .row = json.data,
                            .created_ms = now};
    enum err_code code = json.failed ? fail(err, ERR_NOMEM, "no memory for a reject")
                                     : b->ops->reject_put(b, &reject, err);
    buf_fini(&json);
    if (code != OK)
        return code;
    r->changes.rejected++;
    if (r->rejects_n < REJECTS_LOGGED) {
        const char *copy = arena_copy(&r->mem, reason);
        r->rejects[r->rejects_n].num = reject.num;
        r->rejects[r->rejects_n].seq = row->seq;
        r->rejects[r->rejects_n].reason = copy ? copy : "no memory";
    }
    r->rejects_n++;
    return OK;
}

static enum err_code accept_row(struct outbox_request *r, struct backend *b,
                                const struct outbox_row *row, struct err *err)
{
    struct intake_event ev = {.id = row->event_id,
                              .partner = or_default(row->partner, r->partner),
                              .type = row->type,
                              .payload = row->payload,
                              .payload_bytes = row->payload_bytes,
                              .ordering_key = row->ordering_key,
                              .correlation_id = row->correlation_id,
                              .source = or_default(row->source, r->name_source),
                              .version = or_default(row->version, r->version),
                              .attributes = row->attributes,
                              .deliver_after_ms = row->deliver_after_ms,
                              .expires_ms = row->expires_ms,
                              .created_ms = row->created_ms,
                              .outbox = r->outbox,
                              .seq = row->seq,
                              .numbers_reused = r->numbers_reused};
    struct intake_result result;
    if (row->problem)
        return fail(err, ERR_INVALID, "%s", row->problem);
    return intake_accept(r->source->intake, b, &ev, &r->limits, &r->changes, &result, err);
}

static enum err_code take_row(struct outbox_request *r, struct backend *b,
                              const struct outbox_row *row, struct err *err)
{
    struct taken taken = {.seq = row->seq};
    bool fresh = false;
    memcpy(taken.digest, row->digest, sizeof taken.digest);
    enum err_code code = b->ops->taken_put(b, r->outbox, &taken, &fresh, err);
    if (code != OK || !fresh)
        return code;
    struct err why = {0};
    r->fresh++;
    code = accept_row(r, b, row, &why);
    if (code == ERR_INVALID || code == ERR_EXISTS)
        return reject_row(r, b, row, why.text, err);
    if (code != OK && err)
        *err = why;
    return code;
}

static bool stands(const struct outbox_request *r, const struct taken *t)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->rows[i].seq == t->seq && !memcmp(r->rows[i].digest, t->digest, sizeof t->digest))
            return true;
    return false;
}

/* What was taken from the slice and is not in the table any more needs not be remembered. */
static enum err_code forget_gone(struct outbox_request *r, struct backend *b, struct err *err)
{
    struct arena mem;
    struct taken *list = NULL;
    size_t n = 0;
    arena_init(&mem);
    enum err_code code =
        b->ops->taken_list(b, r->outbox, r->slice.after, OUTBOX_BATCH, &mem, &list, &n, err);
    for (size_t i = 0; code == OK && i < n && list[i].seq <= r->slice.upto; i++)
        if (!stands(r, &list[i]))
            code = b->ops->taken_delete(b, r->outbox, &list[i], 1, err);
    if (code == OK && n == OUTBOX_BATCH && list[n - 1].seq < r->slice.upto)
        r->swept = list[n - 1].seq;
    arena_fini(&mem);
    return code == ERR_NOT_FOUND ? OK : code;
}

static enum err_code take_work(struct backend *b, void *arg, struct err *err)
{
    struct outbox_request *r = arg;
    enum err_code code = intake_prime(r->source->intake, b, err);
    for (size_t i = 0; code == OK && i < r->n; i++)
        code = take_row(r, b, &r->rows[i], err);
    if (code == OK && r->sweep)
        code = forget_gone(r, b, err);
    if (code == OK && !r->sweep && r->n)
        code = b->ops->outbox_set_mark(b, r->outbox, r->mark, err);
    return code;
}

/* Nobody deletes the rows before we said, once they are on our disk, that they are taken. */
static bool stay(const struct outbox_request *r)
{
    return r->trim == TRIM_ENGINE || (r->trim == TRIM_PRODUCER && !r->sweep && !r->mark_lower);
}

/* The rows are on the producer's disk. Whatever a power cut took back from the store would be read again,
 * and give the same events with the same bytes: then they may go out before the store's own sync. */
static bool come_again(const struct outbox_request *r)
{
    bool all = stay(r) && !r->numbers_reused;
    for (size_t i = 0; all && i < r->n; i++)
        all = r->rows[i].created_ms != 0;
    return all;
}

enum err_code outbox_ask_take(struct outbox_request *r, size_t n, const struct outbox_sweep *sweep,
                              size_t *fresh, int64_t *swept, struct err *err)
{
    r->n = n;
    r->sweep = sweep != NULL;
    if (sweep) {
        r->slice = *sweep;
        r->swept = sweep->upto;
    } else {
        r->mark = r->rows[n - 1].seq;
    }
    /* More than a handful is a load, and no event that somebody waits for. */
    unsigned hurry = n <= CHANGES_ROWS_MAX && !sweep ? STORE_HURRY : 0;
    unsigned early = come_again(r) ? STORE_EARLY : 0;
    if (!ask(r, STORE_WRITE, STORE_GUARDED | STORE_INGEST | hurry | early, take_work))
        return stopped(err);
    if (r->err.code == OK) {
        *fresh = r->fresh;
        if (swept)
            *swept = r->swept;
    }
    return finish(r, err);
}
