/* store/backend_memory_traffic.c: traffic by minute, the health of endpoints, how much is due. */
#include "store/backend_memory.h"

#include <stdlib.h>

static struct mem_key minute_key(int64_t minute_ms, int64_t sub)
{
    return (struct mem_key){.a = minute_ms, .b = sub};
}

enum err_code mem_traffic_add(struct backend *b, const struct traffic_delta *list, size_t n,
                              struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)err;
    for (size_t i = 0; i < n; i++) {
        const struct traffic *t = &list[i].traffic;
        struct mem_key key = minute_key(t->minute_ms, t->sub);
        const struct traffic *had = mem_get(db, MEM_TRAFFIC, key);
        const struct health *known = mem_get(db, MEM_HEALTH, mem_num(t->sub));
        struct traffic sum = *t;
        struct health health = {0};
        if (had != NULL)
            traffic_add(&sum, had);
        if (known != NULL)
            health = *known;
        health_add(&health, &list[i].health);
        mem_put(db, MEM_TRAFFIC, key, &sum);
        mem_put(db, MEM_HEALTH, mem_num(t->sub), &health);
    }
    return OK;
}

static int by_sub(const void *x, const void *y)
{
    const struct traffic *a = x, *b = y;
    return (a->sub > b->sub) - (a->sub < b->sub);
}

static struct traffic *sum_of(struct traffic *rows, size_t n, int64_t sub)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].sub == sub)
            return &rows[i];
    return NULL;
}

enum err_code mem_traffic_sum(struct backend *b, int64_t since_ms, struct arena *a,
                              struct traffic **out, size_t *n, struct err *err)
{
    void *rows = NULL;
    size_t rows_n = 0;
    (void)err;
    for (const struct mem_node *i =
             mem_from(mem_db(b), MEM_TRAFFIC, minute_key(traffic_minute(since_ms), INT64_MIN));
         i != NULL; i = i->next[0]) {
        const struct traffic *t = i->row;
        struct traffic *sum = sum_of(rows, rows_n, t->sub);
        if (sum == NULL) {
            sum = mem_push(a, &rows, &rows_n, sizeof(*sum));
            sum->sub = t->sub;
        }
        traffic_add(sum, t);
    }
    if (rows_n > 1)
        qsort(rows, rows_n, sizeof(struct traffic), by_sub);
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code mem_traffic_minutes(struct backend *b, int64_t sub, int64_t since_ms,
                                  int64_t until_ms, struct arena *a, struct traffic **out,
                                  size_t *n, struct err *err)
{
    void *rows = NULL;
    size_t rows_n = 0;
    (void)err;
    for (int64_t at = traffic_minute(since_ms); at <= until_ms; at += TRAFFIC_MINUTE_MS) {
        const struct traffic *t = mem_get(mem_db(b), MEM_TRAFFIC, minute_key(at, sub));
        if (t != NULL)
            *(struct traffic *)mem_push(a, &rows, &rows_n, sizeof(*t)) = *t;
    }
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code mem_health_clear(struct backend *b, int64_t sub, struct err *err)
{
    const struct health *known = mem_get(mem_db(b), MEM_HEALTH, mem_num(sub));
    (void)err;
    if (known == NULL)
        return OK;
    struct health h = *known;
    h.failing_since_ms = h.in_row = 0;
    mem_put(mem_db(b), MEM_HEALTH, mem_num(sub), &h);
    return OK;
}

enum err_code mem_due_count(struct backend *b, int64_t sub, int64_t now_ms, int64_t max, int64_t *n,
                            struct err *err)
{
    (void)err;
    *n = 0;
    for (const struct mem_node *i = mem_index_from(
             mem_db(b), MEM_READY, (struct mem_key){.a = sub, .b = INT64_MIN, .c = INT64_MIN});
         i != NULL && i->key.a == sub && i->key.b <= now_ms && *n < max; i = i->next[0])
        ++*n;
    return OK;
}

enum err_code mem_ready_before(struct backend *b, int64_t sub, int64_t job, int64_t now_ms,
                               int64_t max, int64_t *n, int64_t *due_ms, struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)err;
    *n = *due_ms = 0;
    for (const struct mem_node *i = mem_index_from(
             db, MEM_READY, (struct mem_key){.a = sub, .b = INT64_MIN, .c = INT64_MIN});
         i != NULL && i->key.a == sub && i->key.b <= now_ms && *n < max; i = i->next[0], ++*n) {
        const struct mem_delivery *r = mem_get(db, MEM_DELIVERY, mem_num(i->key.c));
        if (r->d.job == job) {
            *due_ms = i->key.b;
            return OK;
        }
    }
    return OK;
}
