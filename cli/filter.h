/* cli/filter.h: the filter flags and ids of a command, once as a query and once as JSON; and lists,
 * page by page. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/out.h"

struct filter_flags {
    json_t *json;     /* the API's "filter" object */
    struct buf query; /* the same without ids */
    const char **ids; /* of the command line, then of --ids-from */
    size_t ids_n, ids_room;
    struct buf ids_text; /* where those of a file live */
    bool any;            /* something narrows the set, or --all was given */
};
/* 0, or 64/66 with the reason printed. Free with filter_flags_fini() in both cases. */
int filter_flags_read(struct cli *cli, struct filter_flags *f);
void filter_flags_fini(struct filter_flags *f);

/* --limit: *out as given, else standard; SIZE_MAX with --all and no limit. */
int filter_limit(struct cli *cli, size_t standard, size_t *out);

/* "20/s" or "20": 0 where the flag is not given. */
int filter_rate(struct cli *cli, double *out);
int filter_duration(struct cli *cli, enum flag_id flag, int64_t *out_ms);

/* Calls visit for each item of a list until it returns false, limit is reached or the list ends.
 * f may be NULL. *cursor: 64 bytes or more, "" at the end of the list. */
typedef bool list_visit_fn(void *arg, const json_t *item);
int list_walk(struct cli *cli, const char *path, const char *query, const struct filter_flags *f,
              size_t limit, char cursor[128], list_visit_fn *visit, void *arg);

/* The whole of a list command in every format. */
struct list {
    const char *path, *query;
    const struct filter_flags *filter; /* may be NULL */
    size_t limit;
    const struct out_column *columns;
    const char *empty; /* "No dead letters match." */
};
/* *shown: how many; *more: there are others. Both may be NULL. */
int list_print(struct cli *cli, const struct list *l, size_t *shown, bool *more);
/* list_print() with --limit read and a word about the rest. */
int list_command(struct cli *cli, const char *path, const struct out_column *columns,
                 const char *empty);

/* One request about /api/v1/NOUN/REF[/VERB] and its answer in every format: the fields in a table,
 * the id, or the answer as it came. body (may be NULL) is taken. done: what is said on stderr after
 * a change; NULL: nothing. */
int object_command(struct cli *cli, const char *method, const char *noun, const char *ref,
                   const char *verb, json_t *body, const struct out_column *fields,
                   const char *done);

#endif
