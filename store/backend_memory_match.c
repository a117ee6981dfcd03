/* store/backend_memory_match.c: does a row match a filter, and the rows of a table that do. */
#include "store/backend_memory.h"

#include <string.h>

bool mem_held(const struct subscription *s)
{
    return s != NULL && (s->state != SUB_ACTIVE || s->broken_since_ms != 0);
}

bool mem_type_matches(const char *pattern, const char *type)
{
    size_t n = strlen(pattern);
    if (strcmp(pattern, "*") == 0)
        return true;
    if (n >= 2 && strcmp(pattern + n - 2, ".*") == 0)
        return strncmp(type, pattern, n - 1) == 0;
    return strcmp(type, pattern) == 0;
}

bool mem_event_matches(const struct filter *f, const char *id, const char *type)
{
    bool of_id = f->event_ids_n == 0, of_type = f->types_n == 0;
    for (size_t i = 0; i < f->event_ids_n; i++)
        of_id = of_id || strcmp(f->event_ids[i], id) == 0;
    for (size_t i = 0; i < f->types_n; i++)
        of_type = of_type || mem_type_matches(f->types[i], type);
    return of_id && of_type;
}

bool mem_status_matches(const struct filter *f, int status)
{
    bool found = f->statuses_n == 0;
    for (size_t i = 0; i < f->statuses_n; i++)
        found = found || (status >= f->statuses[i].min && status <= f->statuses[i].max);
    return found;
}

bool mem_end_matches(const struct filter *f, const struct delivery *d)
{
    if (!mem_status_matches(f, d->last_status) ||
        (f->causes != 0 && !(f->causes & FILTER_BIT(d->cause))))
        return false;
    if (f->outcomes != 0 && (d->attempts == 0 || !(f->outcomes & FILTER_BIT(d->last_outcome))))
        return false;
    if (f->max_attempts_set && d->attempts > f->max_attempts)
        return false;
    return d->attempts >= f->min_attempts && (f->job == 0 || d->job == f->job);
}

bool mem_has(const int64_t *nums, size_t n, int64_t num)
{
    bool found = n == 0;
    for (size_t i = 0; i < n && !found; i++)
        found = nums[i] == num;
    return found;
}

/* The set goes up only, so all are collected and the end is given back. */
void mem_list_down(const struct mem_db *db, enum mem_table t, int64_t before_num, size_t limit,
                   mem_keep_fn *keep, struct arena *a, void **out, size_t *n)
{
    void *found = NULL;
    size_t all = 0;
    *out = NULL;
    *n = 0;
    for (const struct mem_node *i = mem_from(db, t, mem_num(INT64_MIN));
         i != NULL && (before_num == 0 || i->key.a < before_num); i = i->next[0]) {
        if (keep != NULL && !keep(i->row))
            continue;
        void **p = mem_push(a, &found, &all, sizeof(*p));
        *p = i->row;
    }
    for (void **list = found; all > 0 && *n < limit;)
        mem_read(&mem_layouts[t], list[--all], mem_push(a, out, n, mem_layouts[t].size), a);
}
