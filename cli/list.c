/* cli/list.c: lists, page by page; see list.h. */
#include "cli/list.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { PEOPLE_READ = 50 };

struct printing {
    struct cli *cli;
    struct out_column columns[OUT_COLUMNS_MAX + 1];
    const struct list *list; /* NULL: items that are at hand */
    const char *id;          /* the member that -o id prints */
    struct out_table *table;
    json_t *items; /* -o json */
    size_t n;
};

static bool print_item(void *arg, const json_t *item)
{
    struct printing *p = arg;
    const char *id = out_string(item, p->id);

    p->n++;
    if (p->list != NULL && p->list->seen != NULL)
        p->list->seen(p->list->seen_arg, item);
    switch (p->cli->format) {
    case OUT_TABLE: {
        json_t *shaped = p->list && p->list->shape ? p->list->shape(p->cli, item) : NULL;

        out_table_row(p->table, shaped ? shaped : item);
        json_decref(shaped);
        break;
    }
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

/* One name alone was given with -s: every row would say it again. */
static bool is_one_subscription(const struct cli *cli)
{
    size_t n = 0;

    for (size_t i = 0; i < cli->args->given_n; i++)
        n += cli->args->given[i].flag == FLAG_SUBSCRIPTION;
    return n == 1 && strpbrk(cli_flag(cli, FLAG_SUBSCRIPTION), ",*") == NULL;
}

/* What somebody looks at leaves out what was asked for; scripts find the same columns always. */
static const struct out_column *columns_shown(struct printing *p, const struct out_column *columns)
{
    size_t n = 0;

    if (!p->cli->out_tty || p->cli->columns != NULL || !is_one_subscription(p->cli))
        return columns;
    for (; columns->header != NULL && n < OUT_COLUMNS_MAX; columns++) {
        if (strcmp(columns->header, "SUBSCRIPTION") != 0)
            p->columns[n++] = *columns;
    }
    return p->columns;
}

/* 0, or the exit status of columns that are not there. */
static int print_begin(struct printing *p, const struct out_column *columns)
{
    columns = columns_shown(p, columns);
    if (p->cli->format == OUT_JSON)
        p->items = json_array();
    if (p->cli->format != OUT_TABLE || (p->table = out_table_new(p->cli, columns)) != NULL)
        return 0;
    return *p->cli->refused ? *p->cli->refused : CLI_INTERNAL;
}

/* 0, or 4 where what was named is nobody's. */
static int print_end(struct printing *p, bool whole, const char *cursor, const char *empty)
{
    if (whole && p->cli->format == OUT_JSON) {
        json_t *list =
            json_pack("{s:O,s:s?}", "items", p->items, "next_cursor", *cursor ? cursor : NULL);

        out_json(list, false);
        json_decref(list);
    }
    json_decref(p->items);
    out_table_print(p->table);
    return whole && p->n == 0 ? filter_empty(p->cli, p->list ? p->list->filter : NULL, empty) : 0;
}

int list_array(struct cli *cli, const json_t *items, const char *id,
               const struct out_column *columns, const char *empty)
{
    struct printing p = {.cli = cli, .id = id};
    size_t i;
    json_t *item;
    int rc = print_begin(&p, columns);

    if (rc != 0)
        return rc;
    json_array_foreach(items, i, item) print_item(&p, item);
    return print_end(&p, true, "", empty);
}

int list_print(struct cli *cli, const struct list *l, size_t *shown, bool *more)
{
    struct printing p = {.cli = cli, .list = l, .id = "id"};
    char cursor[128];
    int rc = print_begin(&p, l->columns);

    if (rc != 0)
        return rc;
    rc = filter_walk(cli, l->path, l->filter, l->limit, cursor, print_item, &p);

    int named = print_end(&p, rc == 0, cursor, l->empty);
    if (shown != NULL)
        *shown = p.n;
    if (more != NULL)
        *more = cursor[0] != '\0';
    return rc != 0 ? rc : named;
}

int list_limit(struct cli *cli, size_t *out)
{
    bool by_line = cli->format == OUT_JSONL || cli->format == OUT_ID;

    return filter_limit(cli, by_line ? SIZE_MAX : PEOPLE_READ, out);
}

void list_more(const struct cli *cli, size_t shown, int64_t total)
{
    char some[32], all[32];
    /* whoever says how many, or reads next_cursor, knows */
    bool told =
        cli->format == OUT_TABLE || (cli->format == OUT_JSON && cli_flag(cli, FLAG_LIMIT) == NULL);

    if (!told)
        return;
    text_count(some, sizeof some, (int64_t)shown);
    if (total >= 0)
        out_note("%s of %s shown; --limit N or --all for more", some,
                 text_count(all, sizeof all, total));
    else
        out_note("%s shown, there are more; --limit N or --all for them", some);
}

int list_command(struct cli *cli, const char *path, const struct out_column *columns,
                 const char *empty)
{
    return list_shaped(cli, path, columns, NULL, empty);
}

int list_shaped(struct cli *cli, const char *path, const struct out_column *columns,
                json_t *(*shape)(const struct cli *cli, const json_t *item), const char *empty)
{
    struct list l = {.path = path, .columns = columns, .shape = shape, .empty = empty};
    bool more;
    size_t shown;

    return list_filtered(cli, &l, &shown, &more);
}

int list_filtered(struct cli *cli, struct list *l, size_t *shown, bool *more)
{
    struct filter_flags f;
    int rc = filter_flags_read(cli, &f);

    *shown = 0;
    *more = false;
    l->filter = &f;
    if (rc == 0)
        rc = list_limit(cli, &l->limit);
    if (rc == 0)
        rc = list_print(cli, l, shown, more);
    if (rc == 0 && *more)
        list_more(cli, *shown, -1);
    if (rc == 0)
        rc = filter_unmatched(&f, API_KIND_DELIVERIES); /* no other list has ids of its own */
    filter_flags_fini(&f);
    return rc;
}
