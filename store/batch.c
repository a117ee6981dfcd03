/* store/batch.c: runs requests over one backend, within the transaction that store.c began. */
#include "store/batch.h"

#include <stddef.h>

#include "base/clock.h"

/* ---- lists ---- */
void list_init(struct list *l)
{
    l->first = NULL;
    l->end = &l->first;
    l->n = 0;
}

void list_put(struct list *l, struct request *r)
{
    r->next = NULL;
    *l->end = r;
    l->end = &r->next;
    l->n++;
}

struct request *list_take(struct list *l)
{
    struct request *r = l->first;
    if (r == NULL)
        return NULL;
    l->first = r->next;
    if (l->first == NULL)
        l->end = &l->first;
    l->n--;
    return r;
}

void list_join(struct list *to, struct list *from)
{
    if (from->first == NULL)
        return;
    *to->end = from->first;
    to->end = from->end;
    to->n += from->n;
    list_init(from);
}

void list_fail(struct list *l, const struct err *why)
{
    for (struct request *r = l->first; r != NULL; r = r->next)
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

enum err_code batch_write(struct backend *b, struct list *todo, struct list *ran, struct err *err)
{
    int64_t until = clock_mono_us() + BATCH_WORK_US;
    struct request *r;
    while ((r = list_take(todo)) != NULL) {
        list_put(ran, r);
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
