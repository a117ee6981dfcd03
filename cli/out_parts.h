/* cli/out_parts.h: dense lines of parts on standard output: two spaces between them, no part is broken,
 * and on a terminal no line is wider than it is. */
#ifndef CLI_OUT_PARTS_H
#define CLI_OUT_PARTS_H

#include "cli/cli.h"
#include "cli/out_style.h"

struct out_parts {
    const struct cli *cli;
    size_t width; /* SIZE_MAX in a pipe */
    size_t used;  /* of this line; 0: nothing yet */
    size_t lines; /* that are finished */
};

void out_parts_begin(struct out_parts *p, const struct cli *cli);
void out_part(struct out_parts *p, enum out_style style, const char *text);
void out_parts_end(struct out_parts *p); /* of a line; another may follow */

#endif
