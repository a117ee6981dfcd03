/* store/backend_memory_clock.c: deliveries from the future, where the clock was set back. */
#include "store/backend_memory.h"

void mem_due_now(struct mem_db *db, struct mem_delivery *d, int64_t now_ms)
{
    d->d.due_ms = now_ms;
    if (d->d.budget_since_ms > now_ms)
        d->d.budget_since_ms = now_ms;
    mem_put(db, MEM_DELIVERY, mem_num(d->d.num), d);
}

/* The last of sub's ready ones that lies between now and *at; NULL: none. */
static const struct mem_node *last_before(struct mem_db *db, int64_t sub, int64_t now_ms,
                                          const struct ready_at *at)
{
    const struct mem_node *last = NULL;
    for (const struct mem_node *i =
             mem_index_from(db, MEM_READY, (struct mem_key){.a = sub, .b = now_ms + 1});
         i != NULL && i->key.a == sub; i = i->next[0]) {
        if (i->key.b > at->due_ms || (i->key.b == at->due_ms && i->key.c >= at->num))
            break;
        last = i;
    }
    return last;
}

static bool from_the_future(struct mem_db *db, const struct mem_delivery *d, int64_t now_ms,
                            int64_t far_ms)
{
    const struct attempt *last = NULL;
    for (const struct mem_node *i = mem_from(db, MEM_ATTEMPT, mem_num(d->d.num));
         i != NULL && i->key.a == d->d.num; i = i->next[0])
        last = i->row;
    return d->d.budget_since_ms > now_ms || d->d.due_ms > far_ms ||
           (last != NULL && last->started_ms > now_ms);
}

enum err_code mem_bring_back(struct backend *b, int64_t sub, int64_t now_ms, int64_t far_ms,
                             size_t limit, struct ready_at *at, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)err;
    *n = 0;
    for (size_t i = 0; i < limit; i++) {
        const struct mem_node *node = last_before(db, sub, now_ms, at);
        if (node == NULL) {
            *at = (struct ready_at){0, 0};
            return OK;
        }
        *at = (struct ready_at){node->key.b, node->key.c};
        struct mem_delivery d =
            *(const struct mem_delivery *)mem_get(db, MEM_DELIVERY, mem_num(at->num));
        const struct event_rec *e = mem_get(db, MEM_EVENT, mem_num(d.d.event));
        if (e->deliver_after_ms == d.d.due_ms)
            continue;
        if (!from_the_future(db, &d, now_ms, far_ms)) {
            *at = (struct ready_at){0, 0};
            return OK;
        }
        mem_due_now(db, &d, now_ms);
        (*n)++;
    }
    return OK;
}
