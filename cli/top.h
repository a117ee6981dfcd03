/* cli/top.h: what the files of top share. Not for others.
 *
 *   cmd_top.c   keys, looks, what is done
 *   top_draw.c  what stands on the screen
 *   top_rows.c  rows: asked for, rates, order (its own header) */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <stdint.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/top_rows.h"

#define TOP_HISTORY 30

enum top_view { VIEW_LIST, VIEW_DETAIL, VIEW_HELP };
enum top_line { LINE_KEYS, LINE_FILTER, LINE_CONFIRM };

struct top {
    struct cli *cli;
    struct top_rows rows;
    struct buf query; /* -s */
    json_t *shown;    /* filtered */
    enum top_sort sort;
    enum top_view view;
    enum top_line line; /* what the last line is for */
    char filter[64], typed[64], message[256];
    char selected[64];      /* a subscription's name */
    size_t first;           /* row at the top */
    json_t *detail, *tries; /* of the selected one */
    double history[TOP_HISTORY];
    size_t history_n;
    int64_t next_ms;
    bool over;
};

int top_body_rows(void);                  /* of the table, on the screen that is */
size_t top_selected(const struct top *t); /* its index in shown */
void top_draw(struct top *t);

#endif
