/* store/backend_memory_misc.c: intake's memory (marks, taken rows, rejects), audit, meta, counts;
 * lists by number. */
#include "store/backend_memory.h"

#include <stddef.h>
#include <string.h>

#include "base/text.h"

/* ---- lists by number ---- */
static void list_up(const struct mem_db *db, enum mem_table t, int64_t after_num, size_t limit,
                    struct arena *a, void **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    for (const struct mem_node *i = mem_from(db, t, mem_num(after_num + 1));
         i != NULL && *n < limit; i = i->next[0])
        mem_read(&mem_layouts[t], i->row, mem_push(a, out, n, mem_layouts[t].size), a);
}

/* ---- intake's memory ---- */
enum err_code mem_outbox_mark(struct backend *b, const char *outbox, int64_t *mark, struct err *err)
{
    const struct mem_mark *m = mem_get(mem_db(b), MEM_MARK, (struct mem_key){.text = outbox});
    (void)err;
    *mark = m != NULL ? m->mark : 0;
    return OK;
}

enum err_code mem_outbox_set_mark(struct backend *b, const char *outbox, int64_t mark,
                                  struct err *err)
{
    struct mem_mark row = {.mark = mark, .outbox = outbox};
    (void)err;
    mem_put_text(mem_db(b), MEM_MARK, (struct mem_key){0}, offsetof(struct mem_mark, outbox), &row);
    return OK;
}

/* In order of (outbox, seq, digest): the digest's bytes as two numbers, their order is free. */
static struct mem_key taken_key(const char *outbox, const struct taken *t)
{
    struct mem_key key = {.text = outbox, .a = t->seq};
    memcpy(&key.b, t->digest, 8);
    memcpy(&key.c, t->digest + 8, 8);
    return key;
}

enum err_code mem_taken_put(struct backend *b, const char *outbox, const struct taken *t,
                            bool *fresh, struct err *err)
{
    struct mem_taken row = {.taken = *t, .outbox = outbox};
    (void)err;
    *fresh = mem_get(mem_db(b), MEM_TAKEN, taken_key(outbox, t)) == NULL;
    mem_put_text(mem_db(b), MEM_TAKEN, taken_key(outbox, t), offsetof(struct mem_taken, outbox),
                 &row);
    return OK;
}

enum err_code mem_taken_list(struct backend *b, const char *outbox, int64_t after_seq, size_t limit,
                             struct arena *a, struct taken **out, size_t *n, struct err *err)
{
    struct mem_key at = {.text = outbox, .a = after_seq + 1, .b = INT64_MIN, .c = INT64_MIN};
    void *rows = NULL;
    size_t rows_n = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_TAKEN, at);
         i != NULL && rows_n < limit && strcmp(i->key.text, outbox) == 0; i = i->next[0]) {
        struct taken *t = mem_push(a, &rows, &rows_n, sizeof(*t));
        *t = ((const struct mem_taken *)i->row)->taken;
    }
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code mem_taken_delete(struct backend *b, const char *outbox, const struct taken *list,
                               size_t n, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < n; i++)
        mem_drop(mem_db(b), MEM_TAKEN, taken_key(outbox, &list[i]));
    return OK;
}

/* ---- rejects, audit ---- */
enum err_code mem_reject_put(struct backend *b, const struct reject *r, struct err *err)
{
    (void)err;
    mem_put(mem_db(b), MEM_REJECT, mem_num(r->num), r);
    return OK;
}

enum err_code mem_reject_get(struct backend *b, int64_t num, struct arena *a, struct reject *out,
                             struct err *err)
{
    const struct reject *r = mem_get(mem_db(b), MEM_REJECT, mem_num(num));
    if (r == NULL)
        return fail(err, ERR_NOT_FOUND, "no such reject");
    mem_read(&mem_layouts[MEM_REJECT], r, out, a);
    return OK;
}

enum err_code mem_reject_list(struct backend *b, int64_t after_num, size_t limit, struct arena *a,
                              struct reject **out, size_t *n, struct err *err)
{
    void *rows;
    (void)err;
    list_up(mem_db(b), MEM_REJECT, after_num, limit, a, &rows, n);
    *out = rows;
    return OK;
}

enum err_code mem_reject_delete(struct backend *b, int64_t num, struct err *err)
{
    if (mem_get(mem_db(b), MEM_REJECT, mem_num(num)) == NULL)
        return fail(err, ERR_NOT_FOUND, "no such reject");
    mem_drop(mem_db(b), MEM_REJECT, mem_num(num));
    return OK;
}

enum err_code mem_audit_put(struct backend *b, const struct audit_entry *e, struct err *err)
{
    (void)err;
    mem_put(mem_db(b), MEM_AUDIT, mem_num(e->num), e);
    return OK;
}

enum err_code mem_audit_update(struct backend *b, int64_t num, const char *detail, struct err *err)
{
    const struct audit_entry *old = mem_get(mem_db(b), MEM_AUDIT, mem_num(num));
    if (old == NULL)
        return fail(err, ERR_NOT_FOUND, "no such entry");
    struct audit_entry e = *old;
    e.detail = detail;
    mem_put(mem_db(b), MEM_AUDIT, mem_num(num), &e);
    return OK;
}

static bool audit_is_about(const struct audit_filter *f, const struct audit_entry *e)
{
    if (f->target == NULL || (e->target != NULL && strcmp(e->target, f->target) == 0))
        return true;
    for (size_t i = 0; i < f->mentioned_n; i++)
        if (e->detail != NULL && strstr(e->detail, f->mentioned[i]) != NULL)
            return true;
    return false;
}

static bool audit_wanted(const struct audit_filter *f, const struct audit_entry *e)
{
    if (f->before_num != 0 && e->num >= f->before_num)
        return false;
    if ((f->since_ms != 0 && e->created_ms < f->since_ms) ||
        (f->until_ms != 0 && e->created_ms >= f->until_ms))
        return false;
    if (f->actor != NULL && (e->actor == NULL || strstr(e->actor, f->actor) == NULL))
        return false;
    if (!audit_is_about(f, e))
        return false;
    return f->action == NULL || mem_type_matches(f->action, e->action != NULL ? e->action : "");
}

enum err_code mem_audit_list(struct backend *b, const struct audit_filter *f, struct arena *a,
                             struct audit_entry **out, size_t *n, struct err *err)
{
    struct mem_db *db = mem_db(b);
    void *rows = NULL, *found = NULL;
    size_t all = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(db, MEM_AUDIT, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        if (!audit_wanted(f, i->row))
            continue;
        void **p = mem_push(a, &found, &all, sizeof(*p));
        *p = i->row;
    }
    *n = 0;
    for (void **list = found; all > 0 && *n < f->limit;)
        mem_read(&mem_layouts[MEM_AUDIT], list[--all], mem_push(a, &rows, n, sizeof(**out)), a);
    *out = rows;
    return OK;
}

/* ---- meta, counts, numbers ---- */
enum err_code mem_meta_get(struct backend *b, const char *key, char *out, size_t room,
                           struct err *err)
{
    const struct mem_meta *m = mem_get(mem_db(b), MEM_META, (struct mem_key){.text = key});
    if (m == NULL)
        return fail(err, ERR_NOT_FOUND, "nothing is known of %s", key);
    text_copy(out, room, m->value);
    return OK;
}

enum err_code mem_meta_set(struct backend *b, const char *key, const char *value, struct err *err)
{
    struct mem_meta row = {.key = key, .value = value};
    (void)err;
    mem_put_text(mem_db(b), MEM_META, (struct mem_key){0}, offsetof(struct mem_meta, key), &row);
    return OK;
}

enum err_code mem_counts(struct backend *b, int64_t out[DELIVERY_STATES], int64_t *rejects,
                         struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)err;
    memset(out, 0, DELIVERY_STATES * sizeof(out[0]));
    for (const struct mem_node *i = mem_index_from(db, MEM_COUNTS, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        const int64_t *n = i->row;
        const struct subscription *sub = mem_get(db, MEM_SUB, i->key);
        for (int s = 0; s < DELIVERY_STATES; s++) {
            bool open = mem_is_open((enum delivery_state)s);
            if (open || sub == NULL || sub->job == 0)
                out[open && mem_held(sub) ? DELIVERY_HELD : s] += n[s];
        }
    }
    *rejects = 0;
    for (const struct mem_node *i = mem_from(db, MEM_REJECT, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0])
        ++*rejects;
    return OK;
}

enum err_code mem_max_num(struct backend *b, int64_t *out, struct err *err)
{
    static const enum mem_table keyed[] = {MEM_EVENT, MEM_DELIVERY, MEM_SUB,   MEM_PARTNER,
                                           MEM_JOB,   MEM_REJECT,   MEM_AUDIT, MEM_SECRET};
    struct mem_db *db = mem_db(b);
    int64_t max = 0;
    (void)err;
    for (size_t t = 0; t < sizeof(keyed) / sizeof(keyed[0]); t++) {
        for (const struct mem_node *i = mem_from(db, keyed[t], mem_num(INT64_MIN)); i != NULL;
             i = i->next[0]) {
            int64_t num = keyed[t] == MEM_SECRET ? i->key.b : i->key.a;
            max = num > max ? num : max;
        }
    }
    *out = max;
    return OK;
}
