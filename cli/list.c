/* cli/list.c: lists, page by page, in every format (filter.h). */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"

#define PAGE_MAX 1000
#define PAGE_IDS_MAX 200 /* ids in one query: the daemon takes a head of 16 KiB */

struct walk {
    struct cli *cli;
    const char *path;
    list_visit_fn *visit;
    void *arg;
    size_t left;
    char *cursor; /* 128 bytes */
    bool stopped;
};

/* One query to its end. base: everything but limit and cursor. */
static int walk_query(struct walk *w, const struct buf *base)
{
    bool more = true;
    int rc = 0;

    w->cursor[0] = '\0';
    while (rc == 0 && more && w->left > 0 && !w->stopped) {
        struct answer a;
        struct buf query;
        char limit[24];
        size_t i;
        json_t *item;

        buf_init(&query, (size_t)256 << 10);
        if (base->len > 0)
            buf_add(&query, base->data, base->len);
        snprintf(limit, sizeof limit, "%zu", w->left < PAGE_MAX ? w->left : (size_t)PAGE_MAX);
        client_query(&query, "limit", limit);
        if (w->cursor[0])
            client_query(&query, "cursor", w->cursor);
        rc = client_call(w->cli, "GET", w->path, query.data, NULL, &a);
        buf_fini(&query);
        if (rc == 0)
            rc = client_readable(w->cli, &a);
        if (rc != 0)
            break;
        json_array_foreach(json_object_get(a.json, "items"), i, item)
        {
            if (w->left == 0 || w->stopped)
                break;
            w->stopped = !w->visit(w->arg, item);
            w->left--;
        }
        const char *next = out_string(a.json, "next_cursor");

        text_copy(w->cursor, 128, next ? next : "");
        more = w->cursor[0] != '\0' && i > 0;
        answer_fini(&a);
    }
    return rc;
}

int list_walk(struct cli *cli, const char *path, const char *query, const struct filter_flags *f,
              size_t limit, char cursor[128], list_visit_fn *visit, void *arg)
{
    struct walk w = {cli, path, visit, arg, limit, cursor, false};
    size_t from = 0;
    int rc = 0;

    cursor[0] = '\0';
    if (f != NULL && f->ids_n == 0 && json_object_get(f->json, "id") != NULL)
        return 0; /* --ids-from with no id in it: nothing, not everything */
    do {
        struct buf base;

        buf_init(&base, (size_t)256 << 10);
        if (query != NULL)
            buf_adds(&base, query);
        if (f != NULL && f->query.len > 0)
            buf_addf(&base, "%s%s", base.len ? "&" : "", f->query.data);
        for (size_t n = 0; f != NULL && from < f->ids_n && n < PAGE_IDS_MAX; n++)
            client_query(&base, "id", f->ids[from++]);
        rc = walk_query(&w, &base);
        buf_fini(&base);
    } while (rc == 0 && f != NULL && from < f->ids_n && w.left > 0 && !w.stopped);
    return rc;
}

struct printing {
    const struct cli *cli;
    struct out_table *table;
    json_t *items; /* -o json */
    size_t n;
};

static bool print_item(void *arg, const json_t *item)
{
    struct printing *p = arg;
    const char *id = out_string(item, "id");

    p->n++;
    switch (p->cli->format) {
    case OUT_TABLE:
        out_table_row(p->table, item);
        break;
    case OUT_JSON:
        json_array_append_new(p->items, json_deep_copy(item));
        break;
    case OUT_JSONL:
        out_json(item, true);
        break;
    case OUT_ID:
        puts(id ? id : "-");
        break;
    }
    return ferror(stdout) == 0;
}

int list_print(struct cli *cli, const struct list *l, size_t *shown, bool *more)
{
    struct printing p = {.cli = cli};
    char cursor[128];

    if (cli->format == OUT_TABLE)
        p.table = out_table_new(cli, l->columns);
    if (cli->format == OUT_JSON)
        p.items = json_array();
    int rc = list_walk(cli, l->path, l->query, l->filter, l->limit, cursor, print_item, &p);

    if (rc == 0 && cli->format == OUT_JSON) {
        json_t *whole = json_object();

        json_object_set(whole, "items", p.items);
        json_object_set_new(whole, "next_cursor", cursor[0] ? json_string(cursor) : json_null());
        out_json(whole, false);
        json_decref(whole);
    }
    json_decref(p.items);
    out_table_print(p.table);
    if (rc == 0 && p.n == 0)
        out_note("%s", l->empty);
    if (shown != NULL)
        *shown = p.n;
    if (more != NULL)
        *more = cursor[0] != '\0';
    return rc;
}

int list_command(struct cli *cli, const char *path, const struct out_column *columns,
                 const char *empty)
{
    struct filter_flags f;
    struct list l = {.path = path, .filter = &f, .columns = columns, .empty = empty};
    bool more = false;
    size_t shown = 0;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = filter_limit(cli, 50, &l.limit);
    if (rc == 0)
        rc = list_print(cli, &l, &shown, &more);
    if (rc == 0 && more && cli->format == OUT_TABLE)
        out_note("%zu shown, there are more; --limit N or --all for them", shown);
    filter_flags_fini(&f);
    return rc;
}

int object_command(struct cli *cli, const char *method, const char *noun, const char *ref,
                   const char *verb, json_t *body, const struct out_column *fields,
                   const char *done)
{
    struct answer a;
    struct buf path;
    int rc;

    buf_init(&path, 16384);
    client_path(&path, noun, ref, verb);
    if (strcmp(method, "GET") == 0)
        rc = client_call(cli, method, path.data, NULL, NULL, &a);
    else
        rc = client_call_json(cli, method, path.data, body, &a);
    buf_fini(&path);
    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    const char *id = out_string(a.json, "id");

    if (cli->format == OUT_TABLE)
        out_fields(cli, a.json, fields);
    else if (cli->format == OUT_ID)
        puts(id ? id : ref);
    else if (a.raw.len > 0)
        printf("%s\n", a.raw.data);
    if (done != NULL)
        out_note("%s %s", ref, done);
    answer_fini(&a);
    return CLI_OK;
}
