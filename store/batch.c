/* store/batch.c: runs requests over one backend, within the transaction that store.c began. */
#include "store/batch.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* ---- a queue of requests, in order of arrival ---- */
void batch_init(struct batch *batch)
{
    batch->first = NULL;
    batch->end = &batch->first;
    batch->n = 0;
}

void batch_put(struct batch *batch, struct request *r)
{
    r->next = NULL;
    *batch->end = r;
    batch->end = &r->next;
    batch->n++;
}

struct request *batch_take(struct batch *batch)
{
    struct request *r = batch->first;
    if (r == NULL)
        return NULL;
    batch->first = r->next;
    if (batch->first == NULL)
        batch->end = &batch->first;
    batch->n--;
    return r;
}

void batch_join(struct batch *to, struct batch *from)
{
    if (from->first == NULL)
        return;
    *to->end = from->first;
    to->end = from->end;
    to->n += from->n;
    batch_init(from);
}

void batch_set_generation(struct batch *batch, int64_t generation)
{
    for (struct request *r = batch->first; r != NULL; r = r->next)
        r->generation = generation;
}

void batch_fail(struct batch *batch, const struct err *why)
{
    for (struct request *r = batch->first; r != NULL; r = r->next)
        r->err = *why;
}

/* ---- one request ---- */
struct request *request_new(enum store_thread thread, unsigned flags, store_work_fn *work,
                            store_done_fn *done, void *arg)
{
    struct request *r = malloc(sizeof(*r)); /* most of it is room for an error's text */
    if (r == NULL)
        return NULL;
    memset(r, 0, offsetof(struct request, err.text) + 1);
    r->thread = thread;
    r->flags = flags;
    r->work = work;
    r->done = done;
    r->arg = arg;
    r->us = -1;
    return r;
}

/* It began then, and is over now, which is returned: the next one begins. */
static int64_t note_time(struct request *r, int64_t from_us)
{
    int64_t now_us = clock_mono_us();
    r->us = now_us - from_us;
    return now_us;
}

bool batch_is_answer(enum err_code code)
{
    switch (code) {
    case OK:
    case ERR_INVALID:
    case ERR_CONFIG:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_STALE:
    case ERR_UNDONE:
    case ERR_BUSY:
    case ERR_DENIED:
        return true;
    case ERR_FULL:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_NEWER:
    case ERR_NOMEM:
    case ERR_INTERNAL:
        return false;
    }
    return false;
}

enum err_code batch_run_one(struct backend *b, struct request *r)
{
    r->err.code = OK;
    r->err.text[0] = '\0';
    enum err_code code = r->work(b, r->arg, &r->err);
    if (code != OK && r->err.code != code) /* it left no text */
        fail(&r->err, code, "%s", err_code_name(code));
    r->err.code = code;
    return code;
}

static enum store_op request_op(const struct request *r)
{
    if (r->thread != STORE_WRITE)
        return r->thread == STORE_CLAIM ? STORE_OP_CLAIM : STORE_OP_LIST;
    return (r->flags & STORE_RECORD) != 0   ? STORE_OP_RECORD
           : (r->flags & STORE_INGEST) != 0 ? STORE_OP_INGEST
           : (r->flags & STORE_PRUNE) != 0  ? STORE_OP_PRUNE
                                            : STORE_OP_WRITE;
}

void batch_count(const struct batch *batch, struct timing ops[STORE_OPS])
{
    for (const struct request *r = batch->first; r != NULL; r = r->next) {
        struct timing *t = &ops[request_op(r)];
        if (r->us >= 0)
            timing_add(t, r->us);
        t->errors += !batch_is_answer(r->err.code);
    }
}

static enum err_code run_guarded(struct backend *b, struct request *r)
{
    struct err undo_err;
    enum err_code code = b->ops->mark(b, &r->err);
    if (code != OK)
        return batch_is_answer(code) ? ERR_IO : code;
    code = batch_run_one(b, r);
    if (!batch_is_answer(code))
        return code;
    enum err_code after = code == OK ? b->ops->keep(b, &r->err) : b->ops->undo(b, &undo_err);
    if (after == OK)
        return code;
    if (code != OK)
        r->err = undo_err;
    return batch_is_answer(after) ? ERR_IO : after;
}

enum err_code batch_write(struct backend *b, struct batch *todo, struct batch *ran, struct err *err)
{
    int64_t now_us = clock_mono_us(), until_us = now_us + BATCH_WORK_US;
    struct request *r;
    while ((r = batch_take(todo)) != NULL) {
        batch_put(ran, r);
        enum err_code code =
            (r->flags & STORE_GUARDED) != 0 ? run_guarded(b, r) : batch_run_one(b, r);
        now_us = note_time(r, now_us);
        if (!batch_is_answer(code)) {
            *err = r->err;
            err->code = code;
            return code;
        }
        if (now_us >= until_us)
            break;
    }
    return OK;
}

enum err_code batch_read(struct backend *b, struct batch *todo, struct batch *ran, size_t max,
                         struct err *err)
{
    int64_t now_us = clock_mono_us(), until_us = now_us + BATCH_WORK_US;
    struct request *r;
    while (ran->n < max && now_us < until_us && (r = batch_take(todo)) != NULL) {
        enum err_code code = batch_run_one(b, r);
        now_us = note_time(r, now_us);
        batch_put(ran, r);
        if (!batch_is_answer(code)) {
            *err = r->err;
            return code;
        }
    }
    return OK;
}
