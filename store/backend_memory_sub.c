/* store/backend_memory_sub.c: partners, subscriptions and their secrets. */
#include "store/backend_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"

/* ---- partners ---- */
static const struct partner *partner_named(const struct mem_db *db, const char *name)
{
    for (const struct mem_node *i = mem_from(db, MEM_PARTNER, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        const struct partner *p = i->row;
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

enum err_code mem_partner_put(struct backend *b, const struct partner *p, struct err *err)
{
    if (partner_named(mem_db(b), p->name) != NULL)
        return fail(err, ERR_EXISTS, "there is a partner named %s already", p->name);
    mem_put(mem_db(b), MEM_PARTNER, mem_num(p->num), p);
    return OK;
}

enum err_code mem_partner_get(struct backend *b, const char *ref, struct arena *a,
                              struct partner *out, struct err *err)
{
    const struct partner *p = NULL;
    int64_t num;
    if (id_parse(ref, "par", &num))
        p = mem_get(mem_db(b), MEM_PARTNER, mem_num(num));
    if (p == NULL)
        p = partner_named(mem_db(b), ref);
    if (p == NULL)
        return fail(err, ERR_NOT_FOUND, "no partner %.80s", ref);
    mem_read(&mem_layouts[MEM_PARTNER], p, out, a);
    return OK;
}

enum err_code mem_partner_list(struct backend *b, int64_t after_num, size_t limit, struct arena *a,
                               struct partner **out, size_t *n, struct err *err)
{
    void *rows = NULL;
    size_t rows_n = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_PARTNER, mem_num(after_num + 1));
         i != NULL && rows_n < limit; i = i->next[0])
        mem_read(&mem_layouts[MEM_PARTNER], i->row, mem_push(a, &rows, &rows_n, sizeof(**out)), a);
    *out = rows;
    *n = rows_n;
    return OK;
}

/* ---- subscriptions: write ---- */
static const struct subscription *sub_named(const struct mem_db *db, const char *name)
{
    for (const struct mem_node *i = mem_from(db, MEM_SUB, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        const struct subscription *s = i->row;
        if (s->state != SUB_DELETED && strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

/* The newest of that name, deleted or not. */
static const struct subscription *sub_named_last(const struct mem_db *db, const char *name)
{
    const struct subscription *last = NULL;
    for (const struct mem_node *i = mem_from(db, MEM_SUB, mem_num(INT64_MIN)); i != NULL;
         i = i->next[0]) {
        const struct subscription *s = i->row;
        if (strcmp(s->name, name) == 0)
            last = s;
    }
    return last;
}

static enum err_code name_free(const struct mem_db *db, const struct subscription *s,
                               struct err *err)
{
    const struct subscription *other = s->state == SUB_DELETED ? NULL : sub_named(db, s->name);
    if (other != NULL && other->num != s->num)
        return fail(err, ERR_EXISTS, "there is a subscription named %s already", s->name);
    return OK;
}

/* Secrets, counts and names of others are not part of the row. */
static void sub_store(struct mem_db *db, struct subscription s)
{
    s.partner_name = NULL;
    s.secrets = NULL;
    s.secrets_n = 0;
    memset(s.counts, 0, sizeof(s.counts));
    memset(&s.health, 0, sizeof(s.health));
    mem_put(db, MEM_SUB, mem_num(s.num), &s);
}

enum err_code mem_sub_put(struct backend *b, const struct subscription *s, struct err *err)
{
    enum err_code code = name_free(mem_db(b), s, err);
    if (code == OK)
        sub_store(mem_db(b), *s);
    return code;
}

/* A subscription that no longer blocks on dead ones lets every key that waits behind one go on. */
static void unblock(struct mem_db *db, int64_t sub, int64_t now_ms)
{
    const struct mem_node *next;
    for (const struct mem_node *i = mem_from(db, MEM_DEAD, mem_num(INT64_MIN)); i != NULL;
         i = next) {
        const struct mem_delivery *row = mem_get(db, MEM_DELIVERY, i->key);
        next = i->next[0];
        if (row == NULL || row->d.sub != sub || !row->in_line)
            continue;
        struct mem_delivery d = *row;
        int64_t due = 0;
        mem_line_leave(db, &d, now_ms, &due);
        mem_put(db, MEM_DELIVERY, mem_num(d.d.num), &d);
    }
}

enum err_code mem_sub_update(struct backend *b, const struct subscription *s, struct err *err)
{
    struct mem_db *db = mem_db(b);
    enum err_code code = name_free(db, s, err);
    if (code != OK)
        return code;
    const struct subscription *old = mem_get(db, MEM_SUB, mem_num(s->num));
    if (old == NULL)
        return fail(err, ERR_NOT_FOUND, "no such subscription");
    struct subscription new = *s;
    new.created_ms = old->created_ms;
    new.job = old->job;
    new.source = old->source;
    new.revision = old->revision + 1;
    sub_store(db, new);
    if (!s->on_dead_block)
        unblock(db, s->num, s->updated_ms);
    return OK;
}

enum err_code mem_secret_put(struct backend *b, int64_t sub, const struct secret *s,
                             struct err *err)
{
    struct mem_secret row = {.secret = *s, .sub = sub};
    (void)err;
    mem_put(mem_db(b), MEM_SECRET, (struct mem_key){.a = sub, .b = s->num}, &row);
    return OK;
}

enum err_code mem_secret_expire(struct backend *b, int64_t sub, int64_t except, int64_t expires_ms,
                                struct err *err)
{
    struct mem_db *db = mem_db(b);
    (void)err;
    for (const struct mem_node *i =
             mem_from(db, MEM_SECRET, (struct mem_key){.a = sub, .b = INT64_MIN});
         i != NULL && i->key.a == sub; i = i->next[0]) {
        struct mem_secret row = *(const struct mem_secret *)i->row;
        bool later = row.secret.expires_ms == 0 || row.secret.expires_ms > expires_ms;
        if (row.secret.num == except || !later)
            continue;
        row.secret.expires_ms = expires_ms;
        mem_put(db, MEM_SECRET, i->key, &row);
    }
    return OK;
}

/* ---- subscriptions: read ---- */
static int newest_first(const void *x, const void *y)
{
    const struct secret *a = x, *b = y;
    if (a->created_ms != b->created_ms)
        return a->created_ms > b->created_ms ? -1 : 1;
    return a->num > b->num ? -1 : 1;
}

static void read_secrets(const struct mem_db *db, struct arena *a, struct subscription *s)
{
    void *rows = NULL;
    size_t n = 0;
    int64_t whose = s->source != 0 ? s->source : s->num;
    for (const struct mem_node *i =
             mem_from(db, MEM_SECRET, (struct mem_key){.a = whose, .b = INT64_MIN});
         i != NULL && i->key.a == whose; i = i->next[0]) {
        struct mem_secret row;
        mem_read(&mem_layouts[MEM_SECRET], i->row, &row, a);
        struct secret *x = mem_push(a, &rows, &n, sizeof(*x));
        *x = row.secret;
    }
    if (n > 1)
        qsort(rows, n, sizeof(struct secret), newest_first);
    s->secrets = rows;
    s->secrets_n = n;
}

static void read_sub(const struct mem_db *db, const struct subscription *row, bool with_secrets,
                     struct arena *a, struct subscription *out)
{
    struct subscription s = *row;
    const struct partner *p = mem_get(db, MEM_PARTNER, mem_num(s.partner));
    const int64_t *counts = mem_counts_of(db, s.num);
    s.partner_name = p != NULL ? p->name : NULL;
    mem_read(&mem_layouts[MEM_SUB], &s, out, a);
    if (with_secrets)
        read_secrets(db, a, out);
    if (counts != NULL)
        memcpy(out->counts, counts, sizeof(out->counts));
    const struct health *health = mem_get(db, MEM_HEALTH, mem_num(s.num));
    if (health != NULL)
        out->health = *health;
    if (mem_held(row)) {
        out->counts[DELIVERY_HELD] = out->counts[DELIVERY_PENDING] + out->counts[DELIVERY_RETRYING];
        out->counts[DELIVERY_PENDING] = out->counts[DELIVERY_RETRYING] = 0;
    }
}

enum err_code mem_sub_get_num(struct backend *b, int64_t num, struct arena *a,
                              struct subscription *out, struct err *err)
{
    const struct subscription *s = mem_get(mem_db(b), MEM_SUB, mem_num(num));
    if (s == NULL)
        return fail(err, ERR_NOT_FOUND, "no such subscription");
    read_sub(mem_db(b), s, true, a, out);
    return OK;
}

enum err_code mem_sub_get(struct backend *b, const char *ref, struct arena *a,
                          struct subscription *out, struct err *err)
{
    const struct subscription *s = NULL;
    int64_t num;
    if (id_parse(ref, "sub", &num))
        s = mem_get(mem_db(b), MEM_SUB, mem_num(num));
    if (s == NULL)
        s = sub_named(mem_db(b), ref);
    if (s == NULL)
        s = sub_named_last(mem_db(b), ref);
    if (s == NULL)
        return fail(err, ERR_NOT_FOUND, "no subscription %.80s", ref);
    read_sub(mem_db(b), s, true, a, out);
    return OK;
}

enum err_code mem_sub_list(struct backend *b, int64_t after_num, size_t limit, bool with_secrets,
                           struct arena *a, struct subscription **out, size_t *n, struct err *err)
{
    void *rows = NULL;
    size_t rows_n = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_SUB, mem_num(after_num + 1));
         i != NULL && rows_n < limit; i = i->next[0]) {
        const struct subscription *s = i->row;
        if (s->state != SUB_DELETED)
            read_sub(mem_db(b), s, with_secrets, a, mem_push(a, &rows, &rows_n, sizeof(*s)));
    }
    *out = rows;
    *n = rows_n;
    return OK;
}
