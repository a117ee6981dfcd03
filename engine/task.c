/* engine/task.c: a task's moves, lists of them, and the pool that they come from. */
#include "engine/task.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SPARE_TASKS_MAX = 1024,
    SPARE_BUF_MAX = 8192,
    BODY_MAX_BYTES = 64 << 20 /* the largest payload, with its envelope and escapes */
};

void task_move(struct task *t, enum task_state to)
{
    switch (t->state) {
    case TASK_QUEUED:
        assert(to == TASK_SENDING || to == TASK_SETTLING);
        break;
    case TASK_SENDING:
        assert(to == TASK_SETTLING);
        break;
    case TASK_SETTLING:
        assert(to == TASK_UNSETTLED);
        break;
    case TASK_UNSETTLED:
        assert(to == TASK_SETTLING);
        break;
    }
    t->state = to;
}

static void task_destroy(struct task *t)
{
    buf_fini(&t->body);
    buf_fini(&t->text);
    claimed_free(t->row);
    free(t);
}

bool task_is_first(const struct task *t)
{
    return t->row->delivery.trial && t->row->delivery.due_ms == TRIAL_DUE_MS;
}

/* ---- lists ---- */
void task_list_add(struct task_list *list, struct task *t)
{
    t->prev = list->last;
    t->next = NULL;
    if (list->last != NULL)
        list->last->next = t;
    else
        list->first = t;
    list->last = t;
    list->n++;
}

void task_list_put_first(struct task_list *list, struct task *t)
{
    t->prev = NULL;
    t->next = list->first;
    if (list->first != NULL)
        list->first->prev = t;
    else
        list->last = t;
    list->first = t;
    list->n++;
}

void task_list_remove(struct task_list *list, struct task *t)
{
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        list->first = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    else
        list->last = t->prev;
    t->prev = t->next = NULL;
    list->n--;
}

void task_list_free(struct task_list *list)
{
    while (list->first != NULL) {
        struct task *t = list->first;

        task_list_remove(list, t);
        task_destroy(t);
    }
}

/* ---- the pool ---- */
static void weigh(struct task_pool *p, struct task *t)
{
    size_t bytes = sizeof *t + t->row->bytes + t->body.room + t->text.room;

    p->held_bytes += bytes - t->held_bytes;
    atomic_fetch_add(p->all_bytes, bytes - t->held_bytes);
    t->held_bytes = bytes;
}

struct task *task_new(struct task_pool *p, struct claimed *row)
{
    struct task *t = p->spare;

    if (t != NULL) {
        p->spare = t->next;
        p->spare_n--;
        t->next = NULL;
    } else {
        t = calloc(1, sizeof *t);
        if (t == NULL)
            return NULL;
        buf_init(&t->text, (size_t)1 << 20);
    }
    t->state = TASK_QUEUED;
    t->probe = false;
    t->row = row;
    p->n++;
    if (row->bytes > TASK_SMALL_BYTES)
        weigh(p, t);
    return t;
}

void task_weigh(struct task_pool *p, struct task *t)
{
    if (t->held_bytes > 0)
        weigh(p, t);
}

void task_take_body(struct task_pool *p, struct task *t)
{
    if (p->bodies_n > 0)
        t->body = p->bodies[--p->bodies_n];
    else
        buf_init(&t->body, BODY_MAX_BYTES);
}

void task_give_body(struct task_pool *p, struct task *t)
{
    if (t->body.room <= SPARE_BUF_MAX && p->bodies_n < SPARE_BODIES_MAX) {
        buf_clear(&t->body);
        p->bodies[p->bodies_n++] = t->body;
        t->body = (struct buf){0};
    } else {
        buf_fini(&t->body);
    }
    task_weigh(p, t);
}

void task_free(struct task_pool *p, struct task *t)
{
    p->n--;
    if (t->held_bytes > 0) {
        p->held_bytes -= t->held_bytes;
        atomic_fetch_sub(p->all_bytes, t->held_bytes);
        t->held_bytes = 0;
    }
    claimed_free(t->row);
    t->row = NULL;
    if (p->spare_n < SPARE_TASKS_MAX && t->text.room <= SPARE_BUF_MAX) {
        buf_clear(&t->text);
        t->next = p->spare;
        p->spare = t;
        p->spare_n++;
        return;
    }
    task_destroy(t);
}

void task_pool_fini(struct task_pool *p)
{
    while (p->spare != NULL) {
        struct task *t = p->spare;

        p->spare = t->next;
        task_destroy(t);
    }
    while (p->bodies_n > 0)
        buf_fini(&p->bodies[--p->bodies_n]);
}
