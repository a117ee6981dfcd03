/* policy/conf_problem.c: the mistakes of a configuration, collected as lines. */
#include "policy/conf_table.h"

#include <stdarg.h>
#include <stdio.h>

void conf_problem(struct conf_problems *p, int line, int col, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    if (p->n++ >= CONF_PROBLEMS_MAX) {
        if (p->n == CONF_PROBLEMS_MAX + 1)
            buf_addf(p->out, "%s:%d:%d: error: and more: stopped listing here\n", p->file, line,
                     col);
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_addf(p->out, "%s:%d:%d: error: %s\n", p->file, line, col, text);
}
