/* policy/conf_problem.c: the mistakes of a configuration, collected as lines. */
#include "policy/conf_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

void conf_problem_line(struct buf *out, const char *file, int line, int col, const char *text)
{
    text_escape_terminal(out, file, strlen(file), false);
    buf_addf(out, ":%d:%d: error: ", line, col);
    text_escape_terminal(out, text, strlen(text), false);
    buf_addc(out, '\n');
}

void conf_problem(struct conf_problems *p, int line, int col, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    if (p->n++ >= CONF_PROBLEMS_MAX) {
        if (p->n == CONF_PROBLEMS_MAX + 1)
            conf_problem_line(p->out, p->file, line, col, "and more: stopped listing here");
        return;
    }
    struct conf_problem_at *at = &p->at[p->n - 1];
    *at = (struct conf_problem_at){.line = line, .col = col, .start = p->out->len};
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    conf_problem_line(p->out, p->file, line, col, text);
    at->end = p->out->len;
}

/* What stands in one place keeps its order. */
static void sort_places(struct conf_problem_at *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct conf_problem_at moved = at[i];
        size_t to = i;

        for (; to > 0 && (at[to - 1].line > moved.line ||
                          (at[to - 1].line == moved.line && at[to - 1].col > moved.col));
             to--)
            at[to] = at[to - 1];
        at[to] = moved;
    }
}

void conf_problems_sort(struct conf_problems *p)
{
    size_t n = p->n < CONF_PROBLEMS_MAX ? (size_t)p->n : CONF_PROBLEMS_MAX;
    struct buf sorted;

    if (n < 2 || p->out->failed)
        return;
    size_t start = p->at[0].start, end = p->at[n - 1].end;
    buf_init(&sorted, end - start + 1);
    sort_places(p->at, n);
    for (size_t i = 0; i < n; i++)
        buf_add(&sorted, p->out->data + p->at[i].start, p->at[i].end - p->at[i].start);
    if (!sorted.failed)
        memcpy(p->out->data + start, sorted.data, sorted.len);
    buf_fini(&sorted);
}
