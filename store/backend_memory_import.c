/* store/backend_memory_import.c: a dead letter comes back that was exported. */
#include "store/backend_memory.h"

#include <string.h>

/* The delivery that has the letter's number: none, or the same one, discarded; or dead, when it
 * came before its subscription. */
static enum err_code look_delivery(const struct mem_db *db, const struct dead_letter *l,
                                   int64_t *event, struct err *err)
{
    const struct mem_delivery *d = mem_get(db, MEM_DELIVERY, mem_num(l->delivery.num));
    if (d == NULL)
        return OK;
    bool same = strcmp(d->d.event_id, l->event.id) == 0;
    bool orphan = d->d.state == DELIVERY_DEAD && d->d.sub == 0 && l->sub_num != 0;
    if (d->d.state == DELIVERY_DEAD && same && !orphan)
        return fail(err, ERR_EXISTS, "it is here already");
    if ((d->d.state != DELIVERY_DISCARDED && !orphan) || !same)
        return fail(err, ERR_INVALID, "its number is that of another delivery, which is %s",
                    delivery_state_name(d->d.state));
    *event = d->d.event;
    return OK;
}

static int64_t look_sub(const struct mem_db *db, const struct dead_letter *l)
{
    if (l->sub_num != 0 && mem_get(db, MEM_SUB, mem_num(l->sub_num)) != NULL)
        return l->sub_num;
    for (const struct mem_node *i = mem_from(db, MEM_SUB, mem_num(INT64_MIN));
         l->sub_name != NULL && i != NULL; i = i->next[0]) {
        const struct subscription *s = i->row;
        if (s->state != SUB_DELETED && strcmp(s->name, l->sub_name) == 0)
            return s->num;
    }
    return l->sub_num;
}

static int64_t look_partner(const struct mem_db *db, const struct event_rec *e)
{
    for (const struct mem_node *i = mem_from(db, MEM_PARTNER, mem_num(INT64_MIN));
         e->partner_name != NULL && i != NULL; i = i->next[0]) {
        const struct partner *p = i->row;
        if (strcmp(p->name, e->partner_name) == 0)
            return p->num;
    }
    return e->partner;
}

/* The same id is the same event only where the content is the same (as far as it is known). */
static int64_t look_event(const struct mem_db *db, const struct event_rec *e)
{
    int64_t found = 0;
    for (const struct mem_node *i =
             mem_index_from(db, MEM_EVENT_ID, (struct mem_key){.text = e->id, .a = INT64_MIN});
         i != NULL && strcmp(i->key.text, e->id) == 0; i = i->next[0]) {
        const struct event_rec *have = mem_get(db, MEM_EVENT, mem_num(i->key.a));
        const struct mem_blob *p = mem_get(db, MEM_PAYLOAD, mem_num(i->key.a));
        bool same = strcmp(have->type, e->type) == 0 && have->payload_bytes == e->payload_bytes;
        if (p != NULL)
            same = same && e->payload != NULL && memcmp(p->bytes, e->payload, p->n) == 0;
        if (same)
            found = i->key.a;
    }
    return found;
}

static void put_delivery(struct mem_db *db, const struct dead_letter *l, int64_t sub, int64_t event)
{
    const struct event_rec *e = mem_get(db, MEM_EVENT, mem_num(event));
    struct mem_delivery r = {.d = l->delivery, .expires_ms = l->event.expires_ms};
    r.d.event = event;
    r.d.sub = sub;
    r.d.event_id = e->id;
    r.d.type = e->type;
    r.d.ordering_key = e->ordering_key;
    r.d.sub_name = NULL;
    r.d.state = DELIVERY_DEAD;
    r.d.finished_ms = l->died_ms;
    r.d.budget_max = 0;
    mem_put(db, MEM_DELIVERY, mem_num(r.d.num), &r);
}

static void put_attempts(struct mem_db *db, int64_t num, const struct attempt *attempts, size_t n)
{
    for (const struct mem_node *i;
         (i = mem_from(db, MEM_ATTEMPT, mem_num(num))) != NULL && i->key.a == num;)
        mem_drop(db, MEM_ATTEMPT, i->key);
    for (size_t i = 0; i < n; i++)
        mem_attempt_put(db, &attempts[i], num, attempts[i].n, attempts[i].job);
}

enum err_code mem_dead_import(struct backend *b, const struct dead_letter *letter,
                              const struct attempt *attempts, size_t attempts_n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    struct dead_letter l = *letter;
    int64_t num = l.delivery.num, event = 0;
    l.event.id = l.event.id != NULL ? l.event.id : l.delivery.event_id;
    l.event.type = l.event.type != NULL ? l.event.type : l.delivery.type;
    if (num <= 0 || l.event.id == NULL || l.event.type == NULL)
        return fail(err, ERR_INVALID, "a dead letter needs an id, an event id and a type");
    l.sub_num = look_sub(db, &l);
    enum err_code code = look_delivery(db, &l, &event, err);
    if (code != OK)
        return code;
    l.event.partner = look_partner(db, &l.event);
    if (event == 0)
        event = look_event(db, &l.event);
    if (event == 0) {
        struct event_rec e = l.event;
        bool free_num = e.num != 0 && mem_get(db, MEM_EVENT, mem_num(e.num)) == NULL;
        /* A delivery's number is nobody's event number: both come from one source of ids. */
        e.num = event = free_num ? e.num : num;
        e.payload = NULL;
        e.partner_name = NULL;
        mem_put(db, MEM_EVENT, mem_num(event), &e);
    }
    put_delivery(db, &l, l.sub_num, event);
    l.arrival = ++db->arrivals_ever;
    mem_put(db, MEM_DEAD, mem_num(num), &l);
    mem_drop(db, MEM_PURGED, mem_num(num));
    put_attempts(db, num, attempts, attempts_n);
    return OK;
}
