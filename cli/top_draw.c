/* cli/top_draw.c: what stands on the screen of top: the head, then the list, one subscription in
 * detail, or the keys; and the last line. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/out.h"
#include "cli/out_fit.h"
#include "cli/screen.h"
#include "cli/sub_words.h"
#include "cli/top.h"

#define CELL_MAX_BYTES 4096
#define FIRST_ROW 3 /* of the table's body */

/* ---- cells ---- */
/* In the order in which they are worth their place: what does not fit, is left out, but the first two,
 * which are cut then. */
static const struct {
    const char *header, *path;
    enum out_kind kind;
    int most; /* left-justified and no wider than that; 0: a number, right-justified */
} columns[] = {{"SUBSCRIPTION", "subscription", OUT_TEXT, 28},
               {"STATE", "", OUT_STATE, 40},
               {"OK/s", "ok_now", OUT_RATE, 0},
               {"FAIL/s", "fail_now", OUT_RATE, 0},
               {"OK%", "success_ratio", OUT_RATIO, 0},
               {"BACKLOG", "backlog", OUT_COUNT, 0},
               {"DEAD", "dead", OUT_COUNT, 0},
               {"P95", "p95_seconds", OUT_BRIEF, 0},
               {"OLDEST", "oldest_due_at", OUT_TIME, 0},
               {"INFL", "in_flight", OUT_COUNT, 0},
               {"P50", "p50_seconds", OUT_BRIEF, 0}};
enum { COLUMNS_N = sizeof columns / sizeof *columns, NUMBER_MIN = 4, COLUMNS_KEPT = 2 };

static void cell_text(const struct top *t, const json_t *item, size_t c, struct buf *out)
{
    buf_clear(out);
    if (columns[c].kind == OUT_STATE)
        sub_state_words(t->cli, out, item);
    else if (columns[c].kind == OUT_TIME)
        span_words(out, ago_ms(out_member(item, columns[c].path)));
    else
        out_value(t->cli, out_member(item, columns[c].path), columns[c].kind, out);
}

/* As its content wants it: the whole list's, so that scrolling moves nothing. */
static size_t width_of(const struct top *t, size_t c)
{
    size_t width = out_width(columns[c].header), n = json_array_size(t->shown);
    size_t most = columns[c].most > 0 ? (size_t)columns[c].most : SIZE_MAX;
    struct buf b;

    width = width > NUMBER_MIN ? width : NUMBER_MIN;
    buf_init(&b, CELL_MAX_BYTES);
    for (size_t i = 0; i < n; i++) {
        cell_text(t, json_array_get(t->shown, i), c, &b);
        size_t w = out_width(b.data ? b.data : "");

        width = w > width ? w : width;
    }
    buf_fini(&b);
    return width < most ? width : most;
}

static void put_padded(int row, int *at, size_t width, bool right, enum out_style style,
                       bool reverse, const char *text)
{
    struct buf cut, line;
    size_t w = out_width(text);

    buf_init(&cut, CELL_MAX_BYTES);
    buf_init(&line, CELL_MAX_BYTES);
    if (w > width) {
        out_cut(&cut, text, width);
        text = cut.data ? cut.data : "";
        w = width;
    }
    if (right)
        buf_addf(&line, "%*s", (int)(width - w), "");
    buf_adds(&line, text);
    screen_put(row, *at, style, reverse, line.data ? line.data : "");
    *at += (int)width + 2;
    buf_fini(&cut);
    buf_fini(&line);
}

/* ---- the head ---- */
static void bars(struct buf *out, const double *values, size_t n)
{
    static const char *const steps[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = values[i] > most ? values[i] : most;
    for (size_t i = 0; i < n; i++)
        buf_adds(out, values[i] <= 0 ? "▁" : steps[(size_t)(values[i] / most * 7)]);
}

static void head_draw(const struct top *t)
{
    const json_t *s = t->rows.status;
    char n[32], now[TEXT_TIME_MAX];
    struct buf b;

    buf_init(&b, CELL_MAX_BYTES);
    /* of the numbers: while webhookd is away they are as they were */
    text_time_local(now, clock_wall_ms() - ago_ms(json_object_get(s, "as_of")));
    now[strlen("2026-11-22T05:07:41")] = '\0';
    buf_addf(&b, "webhookd %s", now + strlen("2026-11-22T"));
    buf_addf(&b, "  dead %s", text_count(n, sizeof n, out_integer(s, "deliveries.dead")));
    buf_addf(&b, "  due %s", text_count(n, sizeof n, out_integer(s, "due")));
    if (out_integer(s, "held") > 0)
        buf_addf(&b, "  held %s", text_count(n, sizeof n, out_integer(s, "held")));
    buf_adds(&b, "  oldest ");
    span_words(&b, ago_ms(json_object_get(s, "oldest_due_at")));
    buf_addf(&b, "  in flight %s/%s", TEXT_COUNTED(out_integer(s, "in_flight")),
             TEXT_COUNTED(out_integer(s, "in_flight_limit")));
    screen_put(0, 0, STYLE_HEAD, false, b.data);
    buf_clear(&b);
    out_value(t->cli, json_object_get(s, "ok_now"), OUT_RATE, &b);
    buf_adds(&b, " ok/s  ");
    out_value(t->cli, json_object_get(s, "fail_now"), OUT_RATE, &b);
    buf_adds(&b, " fail/s");
    if (json_is_true(out_member(s, "egress.paused")))
        buf_adds(&b, "  EGRESS IS PAUSED");
    if (!json_is_true(json_object_get(s, "ready")))
        buf_adds(&b, "  not ready");
    buf_adds(&b, "  ");
    bars(&b, t->history, t->history_n);
    screen_put(1, 0, STYLE_PLAIN, false, b.data);
    buf_fini(&b);
}

static void last_line_draw(const struct top *t)
{
    int row = screen_rows() - 1;
    char text[512];

    screen_cursor(-1, 0);
    if (t->line == LINE_FILTER) {
        snprintf(text, sizeof text, "/%s", t->typed);
        screen_put(row, 0, STYLE_HEAD, false, text);
        screen_cursor(row, (int)out_width(text));
        return;
    }
    if (t->message[0]) {
        screen_put(row, 0, t->line == LINE_CONFIRM ? STYLE_WAITS : STYLE_HEAD, false, t->message);
        return;
    }
    snprintf(text, sizeof text,
             "q quit  h help  s sort: %s  / filter%s%s  p pause/resume  Enter details",
             top_sort_words[t->sort], t->filter[0] ? ": " : "", t->filter);
    screen_put(row, 0, STYLE_PLAIN, false, text);
}

/* ---- the list ---- */
int top_body_rows(void)
{
    int n = screen_rows() - FIRST_ROW - 1;

    return n > 0 ? n : 1;
}

size_t top_selected(const struct top *t)
{
    const json_t *item;
    size_t i;

    json_array_foreach(t->shown, i, item)
    {
        const char *name = out_string(item, "subscription");

        if (name != NULL && strcmp(name, t->selected) == 0)
            return i;
    }
    return 0;
}

static void list_draw(struct top *t)
{
    size_t widths[COLUMNS_N], n = json_array_size(t->shown), at_row = top_selected(t);
    size_t fit = 0;
    struct buf b;
    int at = 0;

    buf_init(&b, CELL_MAX_BYTES);
    for (; fit < COLUMNS_N; fit++) {
        int room = screen_columns() / (fit == 0 ? 2 : 1) - at;

        widths[fit] = width_of(t, fit);
        if (fit < COLUMNS_KEPT && (int)widths[fit] > room)
            widths[fit] = room > 1 ? (size_t)room : 1;
        else if ((int)widths[fit] > room)
            break;
        put_padded(2, &at, widths[fit], columns[fit].most == 0, STYLE_HEAD, false,
                   columns[fit].header);
    }
    for (size_t i = t->first; i < n && i < t->first + (size_t)top_body_rows(); i++) {
        const json_t *item = json_array_get(t->shown, i);
        bool here = i == at_row;
        int row = FIRST_ROW + (int)(i - t->first);

        at = 0;
        for (size_t c = 0; c < fit; c++) {
            cell_text(t, item, c, &b);
            const char *text = b.data ? b.data : "";

            put_padded(row, &at, widths[c], columns[c].most == 0,
                       columns[c].kind == OUT_STATE ? out_style_of(text) : STYLE_PLAIN, here, text);
        }
    }
    if (n == 0)
        screen_put(FIRST_ROW, 0, STYLE_PLAIN, false,
                   t->filter[0] ? "No subscription has that in its name; / changes the filter."
                                : "No traffic, no backlog, no dead letters.");
    buf_fini(&b);
}

/* ---- one in detail ---- */
static void detail_line(int *row, const char *label, struct buf *b)
{
    screen_put(*row, 0, STYLE_HEAD, false, label);
    screen_put((*row)++, 14, STYLE_PLAIN, false, b->data ? b->data : "-");
    buf_clear(b);
}

static void detail_minutes(const struct top *t, int *row, const char *label, const char *member)
{
    const json_t *minute;
    double values[60] = {0};
    size_t i;
    struct buf b;

    buf_init(&b, CELL_MAX_BYTES);
    json_array_foreach(json_object_get(t->detail, "minutes"), i, minute)
    {
        int64_t ago = ago_ms(json_object_get(minute, "at")) / 60000;

        if (ago >= 0 && ago < 60)
            values[59 - ago] = json_number_value(json_object_get(minute, member));
    }
    bars(&b, values, 60);
    detail_line(row, label, &b);
    buf_fini(&b);
}

static void detail_tries(const struct top *t, int row)
{
    static const struct {
        const char *path;
        enum out_kind kind;
    } parts[] = {{"started_at", OUT_CLOCK}, {"event_id", OUT_TEXT},          {"outcome", OUT_TEXT},
                 {"status", OUT_TEXT},      {"duration_seconds", OUT_BRIEF}, {"error", OUT_TEXT}};
    const json_t *a;
    size_t i;
    struct buf b;

    screen_put(row++, 0, STYLE_HEAD, false, "Last attempts that failed");
    buf_init(&b, CELL_MAX_BYTES);
    json_array_foreach(json_object_get(t->tries, "items"), i, a)
    {
        if (row >= screen_rows() - 1)
            break;
        buf_clear(&b);
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            buf_adds(&b, k > 0 ? "  " : "");
            out_value(t->cli, json_object_get(a, parts[k].path), parts[k].kind, &b);
        }
        screen_put(row++, 0, STYLE_PLAIN, false, b.data);
    }
    buf_fini(&b);
}

static void detail_draw(const struct top *t)
{
    const json_t *d = t->detail;
    char n[32];
    int row = 2;
    struct buf b;

    if (d == NULL)
        return;
    buf_init(&b, CELL_MAX_BYTES);
    buf_addf(&b, "%s  ", out_string(d, "subscription"));
    sub_state_words(t->cli, &b, d);
    buf_adds(&b, "  ");
    out_value(t->cli, json_object_get(d, "url"), OUT_TEXT, &b);
    detail_line(&row, "Subscription", &b);
    buf_addf(&b, "%s ok", text_count(n, sizeof n, out_integer(d, "ok")));
    buf_addf(&b, ", %s failed (", text_count(n, sizeof n, out_integer(d, "failed")));
    out_value(t->cli, json_object_get(d, "success_ratio"), OUT_RATIO, &b);
    buf_adds(&b, " ok), p50 ");
    out_value(t->cli, json_object_get(d, "p50_seconds"), OUT_BRIEF, &b);
    buf_adds(&b, ", p95 ");
    out_value(t->cli, json_object_get(d, "p95_seconds"), OUT_BRIEF, &b);
    detail_line(&row, "Last hour", &b);
    detail_minutes(t, &row, "ok", "ok");
    detail_minutes(t, &row, "failed", "failed");
    out_value(t->cli, json_object_get(d, "last_success_at"), OUT_TIME, &b);
    detail_line(&row, "Last 2xx", &b);
    out_value(t->cli, json_object_get(d, "last_failure_at"), OUT_TIME, &b);
    buf_adds(&b, ": ");
    sub_failure_words(&b, d);
    if (json_is_string(json_object_get(d, "last_failure_at")))
        detail_line(&row, "Last failure", &b);
    buf_clear(&b);
    waiting_words(&b, d);
    if (json_is_string(json_object_get(d, "oldest_due_at"))) {
        buf_adds(&b, ", oldest ");
        span_words(&b, ago_ms(json_object_get(d, "oldest_due_at")));
    }
    buf_addf(&b, "; %s dead", text_count(n, sizeof n, out_integer(d, "dead")));
    detail_line(&row, "Backlog", &b);
    detail_tries(t, row + 1);
    buf_fini(&b);
}

static void help_draw(void)
{
    static const char *const lines[] = {
        "q            quit (in details: back)",
        "s            sort: backlog, fail, p95, dead, name in turn",
        "/            show those whose name has a text in it; empty: all",
        "p            pause the selected subscription, resume or enable it; asks first",
        "Enter        the selected one in detail, and its last failures",
        "Up Down      select; PageUp, PageDown, Home and End too",
        "h ?          this help",
        "",
        "OK/s and FAIL/s are of the second before, OK%, P50 and P95 of the last minute.",
        "failing: the last three attempts failed, every one so far, or its breaker is",
        "open. Columns that do not fit are left out: a wider terminal shows more.",
    };

    screen_put(2, 0, STYLE_HEAD, false, "Keys");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        screen_put(4 + (int)i, 0, STYLE_PLAIN, false, lines[i]);
}

void top_draw(struct top *t)
{
    screen_clear();
    head_draw(t);
    switch (t->view) {
    case VIEW_LIST:
        list_draw(t);
        break;
    case VIEW_DETAIL:
        detail_draw(t);
        break;
    case VIEW_HELP:
        help_draw();
        break;
    }
    last_line_draw(t);
    screen_show();
}
