/* cli/out_table.c: tables on a terminal and in a pipe (out.h). libsmartcols is used here alone. */
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/text.h"
#include "cli/out.h"

#define CELL_MAX_BYTES ((size_t)64 << 10)
#define COLUMNS_MAX 16
#define LONG_MIN_WIDTH 8

struct out_table {
    const struct cli *cli;
    const struct out_column *columns;
    struct libscols_table *table;
    size_t rows;
};

struct out_table *out_table_new(const struct cli *cli, const struct out_column *columns)
{
    struct out_table *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->cli = cli;
    t->columns = columns;
    t->table = scols_new_table();
    if (t->table == NULL) {
        free(t);
        return NULL;
    }
    scols_table_set_column_separator(t->table, "  ");
    scols_table_enable_minout(t->table, 1);
    /* Cells are escaped by out_value(); the library's own escapes would double the backslashes. */
    scols_table_enable_noencoding(t->table, 1);
    /* fit() knows what may give way, and marks it; the library would cut without a sign. */
    scols_table_set_termforce(t->table, SCOLS_TERMFORCE_NEVER);
    for (size_t i = 0; columns[i].header; i++)
        scols_table_new_column(t->table, columns[i].header, 0, 0);
    return t;
}

void out_table_to(struct out_table *t, FILE *to)
{
    if (t != NULL)
        scols_table_set_stream(t->table, to);
}

static json_t *column_value(const json_t *item, const char *path)
{
    const char *other = strchr(path, '|');
    char first[64];

    if (other == NULL)
        return out_member(item, path);
    json_t *value = out_member(item, text_copy(first, (size_t)(other - path) + 1, path));

    return value != NULL && !json_is_null(value) ? value : out_member(item, other + 1);
}

void out_table_row(struct out_table *t, const json_t *item)
{
    struct libscols_line *line = t ? scols_table_new_line(t->table, NULL) : NULL;
    struct buf cell;

    if (line == NULL)
        return;
    t->rows++;
    for (size_t i = 0; t->columns[i].header; i++) {
        buf_init(&cell, CELL_MAX_BYTES);
        out_value(t->cli, column_value(item, t->columns[i].path), t->columns[i].kind, &cell);
        scols_line_set_data(line, i, cell.data ? cell.data : "-");
        buf_fini(&cell);
    }
}

/* Columns that a text takes on the screen. */
static size_t width_of(const char *text)
{
    mbstate_t state = {0};
    size_t width = 0, n;
    wchar_t c;

    for (; (n = mbrtowc(&c, text, MB_CUR_MAX, &state)) != 0 && n <= MB_CUR_MAX; text += n)
        width += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
    return width;
}

/* Up to width columns of text, the last of them "…" where there was more. */
static void cut(const char *text, size_t width, struct buf *out)
{
    mbstate_t state = {0};
    size_t used = 0, n;
    wchar_t c;

    for (; (n = mbrtowc(&c, text, MB_CUR_MAX, &state)) != 0 && n <= MB_CUR_MAX; text += n) {
        used += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
        if (used >= width)
            break;
        buf_add(out, text, n);
    }
    buf_adds(out, "…");
}

static struct libscols_line *row(const struct out_table *t, size_t i)
{
    return scols_table_get_line(t->table, i);
}

static void cut_column(struct out_table *t, size_t column, size_t width)
{
    for (size_t i = 0; i < t->rows; i++) {
        const char *text = scols_cell_get_data(scols_line_get_cell(row(t, i), column));
        struct buf less;

        if (text == NULL || width_of(text) <= width)
            continue;
        buf_init(&less, CELL_MAX_BYTES);
        cut(text, width, &less);
        scols_line_set_data(row(t, i), column, less.data);
        buf_fini(&less);
    }
}

/* Where the terminal is too narrow, the widest of the long columns gives way, again and again, down
 * to its header or LONG_MIN_WIDTH. Ids and all else stay whole: a line that wraps can still be
 * copied from. */
static void fit(struct out_table *t)
{
    size_t widths[COLUMNS_MAX] = {0}, whole[COLUMNS_MAX], n = 0, total = 0;
    struct winsize size = {0};
    size_t room =
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;

    for (; t->columns[n].header && n < COLUMNS_MAX; n++) {
        widths[n] = width_of(t->columns[n].header);
        for (size_t i = 0; i < t->rows; i++) {
            size_t w = width_of(scols_cell_get_data(scols_line_get_cell(row(t, i), n)));

            widths[n] = w > widths[n] ? w : widths[n];
        }
        whole[n] = widths[n];
        total += widths[n] + (n > 0 ? 2 : 0);
    }
    while (total > room) {
        size_t widest = n;

        for (size_t i = 0; i < n; i++) {
            if (t->columns[i].kind == OUT_LONG && widths[i] > LONG_MIN_WIDTH &&
                widths[i] > strlen(t->columns[i].header) &&
                (widest == n || widths[i] > widths[widest]))
                widest = i;
        }
        if (widest == n)
            break;
        widths[widest]--;
        total--;
    }
    for (size_t i = 0; i < n; i++) {
        if (widths[i] < whole[i])
            cut_column(t, i, widths[i]);
    }
}

void out_table_print(struct out_table *t)
{
    if (t == NULL)
        return;
    if (t->rows > 0 && t->cli->out_tty)
        fit(t);
    if (t->rows > 0)
        scols_print_table(t->table);
    scols_unref_table(t->table);
    free(t);
}
