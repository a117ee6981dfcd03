/* cli/top_rows.h: what `top` shows, without a screen: subscriptions with their rates since the look
 * before, sorted and filtered. */
#ifndef CLI_TOP_ROWS_H
#define CLI_TOP_ROWS_H

#include <jansson.h>

#include "cli/cli.h"

enum top_sort { TOP_BACKLOG, TOP_FAIL, TOP_P95, TOP_DEAD, TOP_NAME, TOP_SORTS };
extern const char *const top_sort_words[TOP_SORTS + 1]; /* NULL-terminated */

struct top_rows {
    json_t *items;  /* of the last look, sorted; with the members ok_now and fail_now, a second */
    json_t *status; /* of the last look, with ok_now and fail_now too */
    json_t *before; /* id: {"ok","failed"} of the look before */
    int64_t before_ms, started_ms;
};
void top_rows_fini(struct top_rows *r);
/* One look. 0, or why not: then message[] says it and the rows are as they were. query: of /stats. */
int top_rows_look(struct cli *cli, const char *query, struct top_rows *r, char *message,
                  size_t room);
void top_rows_sort(struct top_rows *r, enum top_sort sort);
/* Those whose name has text in it, in order; a new array. */
json_t *top_rows_filter(const struct top_rows *r, const char *text);

/* A request of the daemon whose failure is a message and no line on standard error. body NULL: GET;
 * it is taken. */
int top_ask(struct cli *cli, const char *path, const char *query, json_t *body, json_t **out,
            char *message, size_t room);

#endif
