/* cli/out_parts.c: see out_parts.h. */
#include "cli/out_parts.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/out_fit.h"

#define TEXT_MAX_BYTES 16384
#define GAP 2

void out_parts_begin(struct out_parts *p, const struct cli *cli)
{
    size_t columns = out_columns(STDOUT_FILENO);

    *p = (struct out_parts){.cli = cli, .width = SIZE_MAX};
    if (cli->out_tty)
        p->width = columns > 0 ? columns : 80;
}

void out_part(struct out_parts *p, enum out_style style, const char *text)
{
    size_t width = out_width(text);
    struct buf shown;

    if (p->used > 0 && p->used + GAP + width > p->width) {
        printf("\n%*s", GAP, "");
        p->used = GAP;
    } else if (p->used > 0) {
        printf("%*s", GAP, "");
        p->used += GAP;
    }
    buf_init(&shown, TEXT_MAX_BYTES + 64);
    out_styled(&shown, p->cli->out_color, style, text);
    fputs(shown.data ? shown.data : "", stdout);
    p->used += width;
    buf_fini(&shown);
}

void out_parts_end(struct out_parts *p)
{
    putchar('\n');
    p->used = 0;
    p->lines++;
}
