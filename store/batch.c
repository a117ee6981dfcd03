/* store/batch.c: runs requests over one backend, within the transaction that store.c began. */
#include "store/batch.h"

#include <stddef.h>

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

void batch_fail(struct batch *batch, const struct err *why)
{
    for (struct request *r = batch->first; r != NULL; r = r->next)
        r->err = *why;
}

/* ---- one request ---- */
bool batch_is_answer(enum err_code code)
{
    switch (code) {
    case OK:
    case ERR_INVALID:
    case ERR_CONFIG:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_STALE:
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
    int64_t until = clock_mono_us() + BATCH_WORK_US;
    struct request *r;
    while ((r = batch_take(todo)) != NULL) {
        batch_put(ran, r);
        enum err_code code =
            (r->flags & STORE_GUARDED) != 0 ? run_guarded(b, r) : batch_run_one(b, r);
        if (!batch_is_answer(code)) {
            *err = r->err;
            err->code = code;
            return code;
        }
        if (clock_mono_us() >= until)
            break;
    }
    return OK;
}
