/* cli/out_table.c: tables on a terminal and in a pipe (out.h). libsmartcols is used here alone. */
#include <ctype.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/out_fit.h"
#include "cli/out_style.h"

#define CELL_MAX_BYTES ((size_t)64 << 10)
#define COLUMNS_MAX OUT_COLUMNS_MAX
_Static_assert(COLUMNS_MAX <= OUT_FIT_MAX, "they must fit");
#define MIN_WIDTH 8   /* to which a column may be cut */
#define LONG_WIDTH 16 /* to which a long one may, before others are left out */
#define WRAP_WIDTH 24
#define GAP 2

struct out_table {
    const struct cli *cli;
    const struct out_column *columns[COLUMNS_MAX];
    size_t columns_n;
    struct libscols_table *table;
    size_t rows;
    FILE *to;
};

/* A header or a member's name as --columns may have it: "LAST DIED" is last-died and last_died. */
static void column_key(char out[64], const char *text)
{
    text_copy(out, 64, text);
    for (char *p = out; *p; p++)
        *p = *p == ' ' || *p == '_' ? '-' : (char)tolower((unsigned char)*p);
}

static const struct out_column *column_find(const struct out_column *columns, const char *name)
{
    char wanted[64], key[64];

    column_key(wanted, name);
    for (size_t i = 0; columns[i].header; i++) {
        column_key(key, columns[i].header);
        if (strcmp(key, wanted) == 0)
            return &columns[i];
        column_key(key, columns[i].path);
        if (strcmp(key, wanted) == 0)
            return &columns[i];
    }
    return NULL;
}

static void column_unknown(const struct cli *cli, const struct out_column *columns,
                           const char *name)
{
    char keys[COLUMNS_MAX][64], wanted[64], near[TEXT_NEAR_MAX];
    const char *list[COLUMNS_MAX + 1];
    struct buf all;
    size_t n = 0;

    buf_init(&all, 4096);
    for (; columns[n].header && n < COLUMNS_MAX; n++) {
        column_key(keys[n], columns[n].header);
        list[n] = keys[n];
        buf_addf(&all, "%s%s", n ? "," : "", keys[n]);
    }
    list[n] = NULL;
    column_key(wanted, name);
    *cli->refused = out_fail(cli, CLI_USAGE, "usage", "no column '%s'; there are %s%s", name,
                             all.data ? all.data : "none", text_did_you_mean(near, wanted, list));
    buf_fini(&all);
}

/* Which columns, in which order: --columns or all. False: it names one that is not there. */
static bool columns_choose(struct out_table *t, const struct out_column *columns)
{
    const char *at = t->cli->columns;
    char name[64];

    for (size_t i = 0; at == NULL && columns[i].header && i < COLUMNS_MAX; i++) {
        if (columns[i].rank != OUT_NAMED)
            t->columns[t->columns_n++] = &columns[i];
    }
    while (at != NULL && *at && t->columns_n < COLUMNS_MAX) {
        size_t n = strcspn(at, ",");

        text_copy(name, n + 1 < sizeof name ? n + 1 : sizeof name, at);
        const struct out_column *column = column_find(columns, name);

        if (column == NULL) {
            column_unknown(t->cli, columns, name);
            return false;
        }
        t->columns[t->columns_n++] = column;
        at += n + (at[n] == ',');
    }
    return true;
}

struct out_table *out_table_new(const struct cli *cli, const struct out_column *columns)
{
    struct out_table *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->cli = cli;
    t->to = stdout;
    if (!columns_choose(t, columns) || (t->table = scols_new_table()) == NULL) {
        free(t);
        return NULL;
    }
    scols_table_set_column_separator(t->table, "  ");
    scols_table_enable_minout(t->table, 1);
    scols_table_enable_noheadings(t->table, !cli->headers);
    /* Cells are escaped by out_value(); the library's own escapes would double the backslashes. */
    scols_table_enable_noencoding(t->table, 1);
    /* fit() knows what may give way, and marks it; the library would cut without a sign. */
    scols_table_set_termforce(t->table, SCOLS_TERMFORCE_NEVER);
    for (size_t i = 0; i < t->columns_n; i++)
        scols_table_new_column(t->table, t->columns[i]->header, 0, 0);
    return t;
}

void out_table_to(struct out_table *t, FILE *to)
{
    if (t == NULL)
        return;
    t->to = to;
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
    for (size_t i = 0; i < t->columns_n; i++) {
        const struct out_column *column = t->columns[i];

        buf_init(&cell, CELL_MAX_BYTES);
        out_value(t->cli, column_value(item, column->path), column->kind, &cell);
        scols_line_set_data(line, i, cell.data ? cell.data : "-");
        if (column->kind == OUT_STATE && cell.data != NULL &&
            out_style_of(cell.data) != STYLE_PLAIN)
            scols_cell_set_color(scols_line_get_cell(line, i),
                                 out_style_sequence(out_style_of(cell.data)));
        buf_fini(&cell);
    }
}

static const char *cell_text(const struct out_table *t, size_t row, size_t column)
{
    struct libscols_line *line = scols_table_get_line(t->table, row);
    const char *text = scols_cell_get_data(scols_line_get_cell(line, column));

    return text ? text : "";
}

static void cut_column(struct out_table *t, size_t column, size_t width)
{
    bool wraps = t->columns[column]->kind == OUT_WRAP;

    if (wraps) {
        struct libscols_column *c = scols_table_get_column(t->table, column);

        scols_column_set_flags(c, SCOLS_FL_WRAP);
        scols_column_set_wrapfunc(c, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
    }
    for (size_t i = 0; i < t->rows; i++) {
        const char *text = cell_text(t, i, column);
        struct buf less;

        if (out_width(text) <= width)
            continue;
        buf_init(&less, CELL_MAX_BYTES);
        if (wraps)
            out_wrap(&less, text, width, true);
        else
            out_cut(&less, text, width);
        scols_line_set_data(scols_table_get_line(t->table, i), column, less.data);
        buf_fini(&less);
    }
}

/* "dlv_01N8D3VQ0C4T5", "dlv_01N8D3VQ0C4T5/3": worth nothing unless whole. */
static bool is_id(const char *text)
{
    size_t n;

    if (strlen(text) <= 12 || text[3] != '_')
        return false;
    n = 4 + strspn(text + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return text[n] == '\0' ||
           (text[n] == '/' && strspn(text + n + 1, "0123456789") == strlen(text + n + 1));
}

/* "3m ago", "just now" in a column of times: "3m" and "now" say the same under its header. */
static const char *time_short(char less[64], const char *text)
{
    const char *ago = strstr(text, " ago");

    if (strcmp(text, "just now") == 0)
        return text_copy(less, 64, "now");
    if (ago == NULL || ago[strlen(" ago")] != '\0' || (size_t)(ago - text) >= 64)
        return text;
    return text_copy(less, (size_t)(ago - text) + 1, text);
}

static void times_shorten(struct out_table *t)
{
    char less[64];

    for (size_t c = 0; c < t->columns_n; c++) {
        for (size_t i = 0; t->columns[c]->kind == OUT_TIME && i < t->rows; i++)
            scols_line_set_data(scols_table_get_line(t->table, i), c,
                                time_short(less, cell_text(t, i, c)));
    }
}

/* How wide each column is, and how narrow it may become: ids, times and numbers stay whole. */
static void measure(const struct out_table *t, bool short_times, struct out_fit *f)
{
    f->columns_n = t->columns_n;
    f->gap = GAP;
    for (size_t c = 0; c < t->columns_n; c++) {
        enum out_kind kind = t->columns[c]->kind;
        size_t head = out_width(t->columns[c]->header), whole = head;
        bool ids = false, empty = true, shorten = short_times && kind == OUT_TIME;

        for (size_t i = 0; i < t->rows; i++) {
            const char *text = cell_text(t, i, c);
            char less[64];
            size_t width = out_width(shorten ? time_short(less, text) : text);

            empty = empty && strcmp(text, "-") == 0;
            whole = width > whole ? width : whole;
            ids = ids || is_id(text);
        }
        f->columns[c].whole = f->columns[c].least = whole;
        f->columns[c].first = kind == OUT_LONG || kind == OUT_WRAP;
        f->columns[c].soft = kind == OUT_WRAP ? WRAP_WIDTH : LONG_WIDTH;
        f->columns[c].soft = f->columns[c].soft < whole ? f->columns[c].soft : whole;
        f->columns[c].rank = t->columns[c]->rank;
        f->columns[c].empty = empty;
        if (!ids && (kind == OUT_LONG || kind == OUT_WRAP || kind == OUT_TEXT) && whole > MIN_WIDTH)
            f->columns[c].least = head > MIN_WIDTH ? head : MIN_WIDTH;
    }
}

static void tell_hidden(const struct out_table *t, const struct out_fit *f)
{
    struct buf names;

    buf_init(&names, 4096);
    for (size_t c = 0; c < t->columns_n; c++) {
        if (f->columns[c].hidden && !f->columns[c].empty)
            buf_addf(&names, "%s%s", names.len ? ", " : "", t->columns[c]->header);
    }
    if (names.len > 0)
        out_note("(too narrow for %s; --columns chooses)", names.data);
    buf_fini(&names);
}

static size_t hidden_n(const struct out_fit *f)
{
    size_t n = 0;

    for (size_t c = 0; c < f->columns_n; c++)
        n += f->columns[c].hidden && !f->columns[c].empty;
    return n;
}

/* A table is never wider than the terminal: long columns are cut, then names and such, then whole
 * columns are left out, which is said; times are short where that saves one. Ids are whole or not
 * there. */
static void fit(struct out_table *t, struct out_fit *f)
{
    size_t width = out_columns(fileno(t->to));
    struct out_fit other = {.columns_n = 0};

    width = width > 0 ? width : 80;
    measure(t, false, f);
    out_fit(f, width);
    measure(t, true, &other);
    out_fit(&other, width);
    if (hidden_n(&other) < hidden_n(f)) {
        times_shorten(t);
        *f = other;
    }
    for (size_t c = 0; c < t->columns_n; c++) {
        if (f->columns[c].hidden)
            scols_column_set_flags(scols_table_get_column(t->table, c), SCOLS_FL_HIDDEN);
        else if (f->columns[c].now < f->columns[c].whole)
            cut_column(t, c, f->columns[c].now);
    }
}

static void colors(struct out_table *t)
{
    if (!(t->to == stderr ? t->cli->err_color : t->cli->out_color))
        return;
    scols_table_enable_colors(t->table, 1);
    for (size_t c = 0; c < t->columns_n; c++)
        scols_cell_set_color(scols_column_get_header(scols_table_get_column(t->table, c)),
                             out_style_sequence(STYLE_HEAD));
}

void out_table_print(struct out_table *t)
{
    struct out_fit f = {.columns_n = 0};

    if (t == NULL)
        return;
    if (t->rows > 0) {
        if (t->to == stderr ? t->cli->err_tty : t->cli->out_tty)
            fit(t, &f);
        colors(t);
        scols_print_table(t->table);
        tell_hidden(t, &f);
    }
    scols_unref_table(t->table);
    free(t);
}
