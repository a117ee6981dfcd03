/* store/backend_memory_index.c: the layouts of the rows, and the indexes that follow from them.
 *
 * mem_index() is called for every change and for every change that is taken back, with the two
 * rows exchanged: it takes out what the one row stood for and puts in what the other does. */
#include "store/backend_memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define DELIVERY_TEXTS(at)                                                                         \
    (at) + offsetof(struct delivery, event_id), (at) + offsetof(struct delivery, type),            \
        (at) + offsetof(struct delivery, sub_name), (at) + offsetof(struct delivery, ordering_key)
#define EVENT_TEXTS(at)                                                                            \
    (at) + offsetof(struct event_rec, id), (at) + offsetof(struct event_rec, partner_name),        \
        (at) + offsetof(struct event_rec, type), (at) + offsetof(struct event_rec, ordering_key),  \
        (at) + offsetof(struct event_rec, correlation_id),                                         \
        (at) + offsetof(struct event_rec, source), (at) + offsetof(struct event_rec, version),     \
        (at) + offsetof(struct event_rec, attributes), (at) + offsetof(struct event_rec, outbox)

const struct mem_layout mem_layout_delivery = {.size = sizeof(struct delivery),
                                               .texts = {DELIVERY_TEXTS((size_t)0)}};

const struct mem_layout mem_layouts[MEM_TABLES] = {
    [MEM_PARTNER] = {.size = sizeof(struct partner), .texts = {offsetof(struct partner, name)}},
    [MEM_SUB] =
        {.size = sizeof(struct subscription),
         .texts = {offsetof(struct subscription, name), offsetof(struct subscription, partner_name),
                   offsetof(struct subscription, url), offsetof(struct subscription, patterns),
                   offsetof(struct subscription, profile), offsetof(struct subscription, retry),
                   offsetof(struct subscription, state_cause),
                   offsetof(struct subscription, bearer), offsetof(struct subscription, headers)}},
    [MEM_SECRET] = {.size = sizeof(struct mem_secret),
                    .texts = {offsetof(struct mem_secret, secret) +
                              offsetof(struct secret, value)}},
    [MEM_EVENT] = {.size = sizeof(struct event_rec), .texts = {EVENT_TEXTS((size_t)0)}},
    [MEM_PAYLOAD] = {.size = sizeof(struct mem_blob),
                     .bytes = offsetof(struct mem_blob, bytes),
                     .bytes_n = offsetof(struct mem_blob, n)},
    [MEM_SEEN] = {.size = sizeof(struct mem_seen)},
    [MEM_DELIVERY] = {.size = sizeof(struct mem_delivery)},
    [MEM_ATTEMPT] = {.size = sizeof(struct attempt),
                     .texts = {offsetof(struct attempt, address), offsetof(struct attempt, error),
                               offsetof(struct attempt, response_head)},
                     .bytes = offsetof(struct attempt, response_body),
                     .bytes_n = offsetof(struct attempt, response_body_bytes)},
    [MEM_DEAD] = {.size = sizeof(struct dead_letter),
                  .texts = {EVENT_TEXTS(offsetof(struct dead_letter, event)),
                            offsetof(struct dead_letter, sub_name),
                            offsetof(struct dead_letter, sub_url),
                            offsetof(struct dead_letter, note)},
                  .bytes =
                      offsetof(struct dead_letter, event) + offsetof(struct event_rec, payload),
                  .bytes_n = offsetof(struct dead_letter, event) +
                             offsetof(struct event_rec, payload_bytes)},
    [MEM_PURGED] =
        {.size = sizeof(struct mem_purged),
         .texts = {EVENT_TEXTS(offsetof(struct mem_purged, letter) +
                               offsetof(struct dead_letter, event)),
                   offsetof(struct mem_purged, letter) + offsetof(struct dead_letter, sub_name),
                   offsetof(struct mem_purged, letter) + offsetof(struct dead_letter, sub_url),
                   offsetof(struct mem_purged, letter) + offsetof(struct dead_letter, note)},
         .bytes = offsetof(struct mem_purged, letter) + offsetof(struct dead_letter, event) +
                  offsetof(struct event_rec, payload),
         .bytes_n = offsetof(struct mem_purged, letter) + offsetof(struct dead_letter, event) +
                    offsetof(struct event_rec, payload_bytes)},
    [MEM_DEED] = {.size = sizeof(struct deed), .texts = {offsetof(struct deed, actor)}},
    [MEM_JOB] = {.size = sizeof(struct job),
                 .texts = {offsetof(struct job, filter), offsetof(struct job, to_url),
                           offsetof(struct job, actor), offsetof(struct job, note)}},
    [MEM_PART] = {.size = sizeof(struct job_part)},
    [MEM_MARK] = {.size = sizeof(struct mem_mark), .texts = {offsetof(struct mem_mark, outbox)}},
    [MEM_TAKEN] = {.size = sizeof(struct mem_taken), .texts = {offsetof(struct mem_taken, outbox)}},
    [MEM_REJECT] = {.size = sizeof(struct reject),
                    .texts = {offsetof(struct reject, outbox), offsetof(struct reject, reason),
                              offsetof(struct reject, row)}},
    [MEM_AUDIT] = {.size = sizeof(struct audit_entry),
                   .texts = {offsetof(struct audit_entry, actor),
                             offsetof(struct audit_entry, action),
                             offsetof(struct audit_entry, target),
                             offsetof(struct audit_entry, detail)}},
    [MEM_META] = {.size = sizeof(struct mem_meta),
                  .texts = {offsetof(struct mem_meta, key), offsetof(struct mem_meta, value)}},
    [MEM_TRAFFIC] = {.size = sizeof(struct traffic)},
    [MEM_HEALTH] = {.size = sizeof(struct health)},
};

static void set(struct mem_db *db, enum mem_index x, bool in, struct mem_key key)
{
    if (in)
        (void)mem_set_put(&db->indexes[x], key, db); /* anything but NULL */
    else
        (void)mem_set_remove(&db->indexes[x], key);
}

static void count(struct mem_db *db, int64_t sub, enum delivery_state state, int64_t by)
{
    int64_t *n = mem_set_get(&db->indexes[MEM_COUNTS], mem_num(sub));
    if (n == NULL) {
        n = mem_alloc(DELIVERY_STATES * sizeof(*n));
        (void)mem_set_put(&db->indexes[MEM_COUNTS], mem_num(sub), n);
    }
    n[state] += by;
}

static void delivery(struct mem_db *db, const struct mem_delivery *r, bool in)
{
    const struct delivery *d = &r->d;
    bool open = mem_is_open(d->state);
    if (r->ready)
        set(db, MEM_READY, in, (struct mem_key){.a = d->sub, .b = d->due_ms, .c = d->num});
    if (r->in_line)
        set(db, MEM_LINE, in, (struct mem_key){.text = d->ordering_key, .a = d->sub, .b = d->num});
    if (open && r->expires_ms != 0)
        set(db, MEM_EXPIRING, in, (struct mem_key){.a = r->expires_ms, .b = d->num});
    if (open)
        set(db, MEM_BY_SUB, in, (struct mem_key){.a = d->sub, .b = d->num});
    set(db, MEM_BY_EVENT, in, (struct mem_key){.a = d->event, .b = d->num});
    count(db, d->sub, d->state, in ? 1 : -1);
}

static void index_row(struct mem_db *db, enum mem_table t, const void *row, bool in)
{
    if (row == NULL)
        return;
    if (t == MEM_DELIVERY) {
        delivery(db, row, in);
    } else if (t == MEM_EVENT) {
        const struct event_rec *e = row;
        set(db, MEM_EVENT_ID, in, (struct mem_key){.text = e->id, .a = e->num});
    } else if (t == MEM_DEAD) {
        const struct dead_letter *l = row;
        set(db, MEM_DEAD_TIME, in, (struct mem_key){.a = l->died_ms, .b = l->delivery.num});
    } else if (t == MEM_ATTEMPT) {
        const struct attempt *x = row;
        set(db, MEM_STORED, in, (struct mem_key){.a = x->row, .b = x->delivery, .c = x->n});
    }
}

void mem_index(struct mem_db *db, enum mem_table t, const void *before, const void *after)
{
    index_row(db, t, before, false);
    index_row(db, t, after, true);
}

struct mem_node *mem_index_from(const struct mem_db *db, enum mem_index x, struct mem_key key)
{
    return mem_set_from(&db->indexes[x], key);
}

const int64_t *mem_counts_of(const struct mem_db *db, int64_t sub)
{
    return mem_set_get(&db->indexes[MEM_COUNTS], mem_num(sub));
}
