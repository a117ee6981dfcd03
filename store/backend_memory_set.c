/* store/backend_memory_set.c: an ordered set, rows that never change, and the journal of changes.
 *
 * The set is a skip list: libc's own tree (tsearch) cannot begin in the middle, which is what every
 * list, claim and line here does, and arrays would make a simulation of 100,000 deliveries slow. */
#include "store/backend_memory.h"

#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t n)
{
    void *p = calloc(1, n > 0 ? n : 1);
    if (p == NULL)
        abort();
    return p;
}

/* ---- the set ---- */
static int key_cmp(const struct mem_key *x, const struct mem_key *y)
{
    if (x->text != y->text) {
        if (x->text == NULL || y->text == NULL)
            return x->text == NULL ? -1 : 1;
        int c = strcmp(x->text, y->text);
        if (c != 0)
            return c;
    }
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    if (x->b != y->b)
        return x->b < y->b ? -1 : 1;
    return x->c == y->c ? 0 : x->c < y->c ? -1 : 1;
}

/* The links, one a level, that point at the first node at or after key. */
static void find(struct mem_set *s, const struct mem_key *key, struct mem_node **links[MEM_LEVELS])
{
    struct mem_node **link = s->head;
    for (int level = MEM_LEVELS - 1; level >= 0; level--) {
        while (link[level] != NULL && key_cmp(&link[level]->key, key) < 0)
            link = link[level]->next;
        links[level] = &link[level];
    }
}

struct mem_node *mem_set_from(const struct mem_set *s, struct mem_key key)
{
    struct mem_node *const *link = s->head;
    for (int level = MEM_LEVELS - 1; level >= 0; level--)
        while (link[level] != NULL && key_cmp(&link[level]->key, &key) < 0)
            link = link[level]->next;
    return link[0];
}

static bool stands_at(const struct mem_node *node, const struct mem_key *key)
{
    return node != NULL && key_cmp(&node->key, key) == 0;
}

void *mem_set_put(struct mem_set *s, struct mem_key key, void *row)
{
    struct mem_node **links[MEM_LEVELS];
    find(s, &key, links);
    if (stands_at(*links[0], &key)) {
        struct mem_node *node = *links[0];
        void *before = node->row;
        node->row = row;
        node->key = key; /* its text lives in the new row */
        return before;
    }
    s->dice = s->dice * 1664525U + 1013904223U;
    int levels = 1;
    while (levels < MEM_LEVELS && (s->dice >> (11 + levels) & 1U) != 0)
        levels++;
    struct mem_node *node = mem_alloc(sizeof(*node) + (size_t)levels * sizeof(node->next[0]));
    node->key = key;
    node->row = row;
    node->levels = levels;
    for (int i = 0; i < levels; i++) {
        node->next[i] = *links[i];
        *links[i] = node;
    }
    return NULL;
}

void *mem_set_remove(struct mem_set *s, struct mem_key key)
{
    struct mem_node **links[MEM_LEVELS];
    find(s, &key, links);
    struct mem_node *node = *links[0];
    if (!stands_at(node, &key))
        return NULL;
    for (int i = 0; i < node->levels; i++)
        *links[i] = node->next[i];
    void *row = node->row;
    free(node);
    return row;
}

void *mem_set_get(const struct mem_set *s, struct mem_key key)
{
    struct mem_node *node = mem_set_from(s, key);
    return stands_at(node, &key) ? node->row : NULL;
}

void mem_set_fini(struct mem_set *s)
{
    while (s->head[0] != NULL) {
        struct mem_node *next = s->head[0]->next[0];
        free(s->head[0]);
        s->head[0] = next;
    }
    memset(s, 0, sizeof(*s));
}

/* ---- rows ---- */
static const char *text_at(const void *row, size_t offset)
{
    const char *text;
    memcpy(&text, (const char *)row + offset, sizeof(text));
    return text;
}

static void set_pointer(void *row, size_t offset, const void *p)
{
    memcpy((char *)row + offset, &p, sizeof(p));
}

static size_t bytes_at(const struct mem_layout *l, const void *row, const void **bytes)
{
    size_t n = 0;
    *bytes = NULL;
    if (l->bytes == 0)
        return 0;
    memcpy(bytes, (const char *)row + l->bytes, sizeof(*bytes));
    if (*bytes != NULL)
        memcpy(&n, (const char *)row + l->bytes_n, sizeof(n));
    return n;
}

void *mem_row(const struct mem_layout *l, const void *from)
{
    const void *bytes;
    size_t bytes_n = bytes_at(l, from, &bytes), room = l->size + bytes_n + 1;
    for (const size_t *t = l->texts; *t != 0; t++)
        room += text_at(from, *t) == NULL ? 0 : strlen(text_at(from, *t)) + 1;
    char *row = mem_alloc(room), *at = row + l->size;
    memcpy(row, from, l->size);
    for (const size_t *t = l->texts; *t != 0; t++) {
        const char *text = text_at(from, *t);
        if (text == NULL)
            continue;
        size_t n = strlen(text) + 1;
        set_pointer(row, *t, memcpy(at, text, n));
        at += n;
    }
    if (bytes != NULL)
        set_pointer(row, l->bytes, bytes_n > 0 ? memcpy(at, bytes, bytes_n) : at);
    return row;
}

static void *arena_must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

void mem_read(const struct mem_layout *l, const void *from, void *to, struct arena *a)
{
    const void *bytes;
    memmove(to, from, l->size);
    for (const size_t *t = l->texts; *t != 0; t++)
        if (text_at(from, *t) != NULL)
            set_pointer(to, *t, arena_must(arena_copy(a, text_at(from, *t))));
    size_t n = bytes_at(l, from, &bytes);
    if (bytes != NULL)
        set_pointer(to, l->bytes, arena_must(arena_bytes(a, bytes, n)));
}

/* Doubles at powers of two, so that no room has to be remembered. */
void *mem_push(struct arena *a, void **rows, size_t *n, size_t size)
{
    if (*n == 0 || (*n & (*n - 1)) == 0) {
        void *more = arena_must(arena_alloc(a, (*n == 0 ? 1 : *n * 2) * size));
        if (*n > 0)
            memcpy(more, *rows, *n * size);
        *rows = more;
    }
    return (char *)*rows + (*n)++ * size;
}

/* ---- tables and their journal ---- */
void *mem_get(const struct mem_db *db, enum mem_table t, struct mem_key key)
{
    return mem_set_get(&db->tables[t], key);
}

struct mem_node *mem_from(const struct mem_db *db, enum mem_table t, struct mem_key key)
{
    return mem_set_from(&db->tables[t], key);
}

static void change(struct mem_db *db, enum mem_table t, struct mem_key key, void *after)
{
    if (db->journal_n == db->journal_room) {
        size_t room = db->journal_room == 0 ? 64 : db->journal_room * 2;
        struct mem_change *more = realloc(db->journal, room * sizeof(*more));
        if (more == NULL)
            abort();
        db->journal = more;
        db->journal_room = room;
    }
    void *before = after != NULL ? mem_set_put(&db->tables[t], key, after)
                                 : mem_set_remove(&db->tables[t], key);
    if (before == NULL && after == NULL)
        return;
    db->journal[db->journal_n++] =
        (struct mem_change){.table = t, .key = key, .before = before, .after = after};
    mem_index(db, t, before, after);
}

void mem_put(struct mem_db *db, enum mem_table t, struct mem_key key, const void *from)
{
    change(db, t, key, mem_row(&mem_layouts[t], from));
}

void mem_put_text(struct mem_db *db, enum mem_table t, struct mem_key key, size_t text,
                  const void *from)
{
    void *row = mem_row(&mem_layouts[t], from);
    key.text = text_at(row, text);
    change(db, t, key, row);
}

/* The key of a removed row may point into the caller's memory: the journal needs the row's own. */
void mem_drop(struct mem_db *db, enum mem_table t, struct mem_key key)
{
    const struct mem_node *node = mem_from(db, t, key);
    if (node != NULL && key_cmp(&node->key, &key) == 0)
        change(db, t, node->key, NULL);
}

void mem_undo(struct mem_db *db, size_t mark)
{
    while (db->journal_n > mark) {
        struct mem_change c = db->journal[--db->journal_n];
        struct mem_set *s = &db->tables[c.table];
        mem_index(db, c.table, c.after, c.before);
        /* Removed first: the text of the key that stands there may be the row's that goes. */
        (void)mem_set_remove(s, c.key);
        if (c.before != NULL) {
            /* Equal keys, but only the text that is in `before` outlives this. A text that is a
             * key is the first of its row. */
            struct mem_key key = c.key;
            if (key.text != NULL)
                key.text = (const char *)c.before + mem_layouts[c.table].size;
            (void)mem_set_put(s, key, c.before);
        }
        free(c.after);
    }
}

void mem_forget(struct mem_db *db)
{
    for (size_t i = 0; i < db->journal_n; i++)
        free(db->journal[i].before);
    db->journal_n = 0;
}
