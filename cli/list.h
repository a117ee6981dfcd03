/* cli/list.h: lists, page by page, in every format. */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/filter.h"
#include "cli/out.h"

/* The whole of a list command in every format. */
struct list {
    const char *path;
    const struct filter_flags *filter; /* may be NULL */
    size_t limit;
    const struct out_column *columns;
    const char *empty; /* "No dead letters match." */
    /* What a table's row is made of: a new reference; NULL: the item itself. */
    json_t *(*shape)(const struct cli *cli, const json_t *item);
    /* Looks on, item by item; may be NULL. */
    void (*seen)(void *arg, const json_t *item);
    void *seen_arg;
};
/* *shown: how many; *more: there are others. Both may be NULL. */
int list_print(struct cli *cli, const struct list *l, size_t *shown, bool *more);
/* A list that is at hand already, in every format: items is an array of objects; with -o id their
 * member id is printed. */
int list_array(struct cli *cli, const json_t *items, const char *id,
               const struct out_column *columns, const char *empty);
/* list_print() with the filter flags and --limit read, and a word about the rest. */
int list_shaped(struct cli *cli, const char *path, const struct out_column *columns,
                json_t *(*shape)(const struct cli *cli, const json_t *item), const char *empty);
/* The same of a list whose filter and limit are not set yet. */
int list_filtered(struct cli *cli, struct list *l, size_t *shown, bool *more);
/* A word on stderr about the rest of a list: total items (-1: nobody counted them). */
void list_more(const struct cli *cli, size_t shown, int64_t total);
/* --limit and --all; without them people get 50, and what reads line by line gets all. 0, or an exit
 * status with the reason said. */
int list_limit(struct cli *cli, size_t *out);
int list_command(struct cli *cli, const char *path, const struct out_column *columns,
                 const char *empty);

#endif
