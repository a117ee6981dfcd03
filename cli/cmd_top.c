/* cli/cmd_top.c: top: the subscriptions on a whole screen, every second: sorted, filtered, paused
 * with a question, one of them in detail. Where there is no terminal that can, the lines of monitor
 * instead.
 *
 *   rows ─look─▶ draw ─▶ wait for a key, at most until the next second ─▶ act ─┐
 *    ▲                                                                       │
 *    └───────────────────────────────────────────────────────────────────────┘ */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/monitor.h"
#include "cli/out.h"
#include "cli/out_fit.h"
#include "cli/screen.h"
#include "cli/sub_words.h"
#include "cli/top.h"
#include "store/model.h"

#define EVERY_MS 1000

/* ---- what is selected ---- */
static void select_row(struct top *t, size_t at)
{
    size_t n = json_array_size(t->shown), rows = (size_t)top_body_rows();

    if (n == 0) {
        t->selected[0] = '\0';
        t->first = 0;
        return;
    }
    at = at < n ? at : n - 1;
    const char *name = out_string(json_array_get(t->shown, at), "subscription");

    text_copy(t->selected, sizeof t->selected, name ? name : "");
    if (at < t->first)
        t->first = at;
    if (at >= t->first + rows)
        t->first = at - rows + 1;
}

static void detail_get(struct top *t)
{
    struct buf path, query;

    buf_init(&path, 4096);
    buf_init(&query, 4096);
    json_decref(t->detail);
    json_decref(t->tries);
    t->tries = NULL;
    client_path(&path, "subscriptions", t->selected, "stats");
    int rc =
        top_ask(t->cli, path.data, "window=1h", NULL, &t->detail, t->message, sizeof t->message);

    client_query(&query, "subscription", t->selected);
    client_query(&query, "limit", "50");
    for (int o = 0; o < OUTCOMES; o++)
        if (o != OUTCOME_SUCCESS)
            client_query(&query, "outcome", outcome_name((enum outcome)o));
    if (rc == 0)
        (void)top_ask(t->cli, "/api/v1/attempts", query.data, NULL, &t->tries, t->message,
                      sizeof t->message);
    buf_fini(&path);
    buf_fini(&query);
}

static void history_add(struct top *t, double ok)
{
    if (t->history_n == TOP_HISTORY)
        memmove(t->history, t->history + 1, (TOP_HISTORY - 1) * sizeof *t->history);
    else
        t->history_n++;
    t->history[t->history_n - 1] = ok;
}

/* ---- looking ---- */
static void show_rows(struct top *t)
{
    size_t at = t->shown ? top_selected(t) : 0;

    top_rows_sort(&t->rows, t->sort);
    json_decref(t->shown);
    t->shown = top_rows_filter(&t->rows, t->filter);
    for (size_t i = 0; i < json_array_size(t->shown); i++) {
        const char *name = out_string(json_array_get(t->shown, i), "subscription");

        if (name != NULL && strcmp(name, t->selected) == 0)
            at = i;
    }
    select_row(t, at);
}

static void look(struct top *t)
{
    char why[sizeof t->message] = "";
    int rc = top_rows_look(t->cli, t->query.data ? t->query.data : "", &t->rows, why, sizeof why);

    t->next_ms = clock_mono_ms() + EVERY_MS;
    if (rc != 0) {
        text_copy(t->message, sizeof t->message, why);
        return;
    }
    if (t->line != LINE_CONFIRM)
        t->message[0] = '\0';
    history_add(t, json_number_value(json_object_get(t->rows.status, "ok_now")));
    show_rows(t);
    if (t->view == VIEW_DETAIL)
        detail_get(t);
}

/* ---- acting ---- */
static bool selected_is(const struct top *t, const char *wanted)
{
    const char *state = out_string(json_array_get(t->shown, top_selected(t)), "state");

    return state != NULL && strcmp(state, wanted) == 0;
}

static bool selected_sends(const struct top *t)
{
    return selected_is(t, "active");
}

static bool selected_is_disabled(const struct top *t)
{
    return selected_is(t, "disabled");
}

/* In as many words as there is room for: the end of it, [y/N], must be seen. */
static void pause_ask(struct top *t)
{
    const char *verb = selected_sends(t) ? "Pause" : selected_is_disabled(t) ? "Enable" : "Resume";
    const char *more = selected_sends(t) ? " Its deliveries are held until it is resumed."
                                         : " What it holds is sent.";
    size_t room = (size_t)screen_columns(), around = strlen(verb) + strlen(" ? [y/N] ");
    struct buf name;

    if (!t->selected[0])
        return;
    t->line = LINE_CONFIRM;
    snprintf(t->message, sizeof t->message, "%s %s?%s [y/N] ", verb, t->selected, more);
    if (out_width(t->message) <= room)
        return;
    buf_init(&name, sizeof t->message);
    if (out_width(t->selected) + around > room)
        out_cut(&name, t->selected, room > around ? room - around : 1);
    else
        buf_adds(&name, t->selected);
    snprintf(t->message, sizeof t->message, "%s %s? [y/N] ", verb, name.data ? name.data : "");
    buf_fini(&name);
}

static void pause_do(struct top *t)
{
    const char *verb = selected_sends(t) ? "pause" : selected_is_disabled(t) ? "enable" : "resume";
    char name[sizeof t->selected], why[sizeof t->message];
    json_t *answer = NULL;
    struct buf path;

    text_copy(name, sizeof name, t->selected);
    buf_init(&path, 4096);
    client_path(&path, "subscriptions", name, verb);
    int rc = top_ask(t->cli, path.data, NULL, json_pack("{s:s}", "note", "webhookctl top"), &answer,
                     why, sizeof why);

    look(t);
    if (rc != 0)
        text_copy(t->message, sizeof t->message, why);
    else
        snprintf(t->message, sizeof t->message, "%.63s %s", name,
                 strcmp(verb, "pause") == 0 ? "is paused; its deliveries are held"
                                            : "is active again");
    json_decref(answer);
    buf_fini(&path);
}

static void filter_key(struct top *t, int key)
{
    size_t n = strlen(t->typed);

    if (key == SCREEN_BACKSPACE && n > 0) {
        t->typed[n - 1] = '\0';
    } else if (key == SCREEN_ESCAPE) {
        t->line = LINE_KEYS;
    } else if (key == SCREEN_ENTER) {
        text_copy(t->filter, sizeof t->filter, t->typed);
        t->line = LINE_KEYS;
        t->first = 0;
        show_rows(t);
    } else if (key > ' ' && key < 127 && n + 1 < sizeof t->typed) { /* names are ASCII */
        t->typed[n] = (char)key;
        t->typed[n + 1] = '\0';
    }
}

static void move_key(struct top *t, int key)
{
    size_t at = top_selected(t), page = (size_t)top_body_rows();

    if (key == SCREEN_UP)
        at = at > 0 ? at - 1 : 0;
    else if (key == SCREEN_DOWN)
        at++;
    else if (key == SCREEN_PAGE_UP)
        at = at > page ? at - page : 0;
    else if (key == SCREEN_PAGE_DOWN)
        at += page;
    else if (key == SCREEN_HOME)
        at = 0;
    else if (key == SCREEN_END)
        at = SIZE_MAX;
    select_row(t, at);
}

static void list_key(struct top *t, int key)
{
    t->message[0] = '\0';
    if (key == 'q') {
        t->over = t->view == VIEW_LIST;
        t->view = VIEW_LIST;
    } else if (key == SCREEN_ESCAPE) {
        t->view = VIEW_LIST;
    } else if (key == 's') {
        t->sort = (enum top_sort)((t->sort + 1) % TOP_SORTS);
        show_rows(t);
        select_row(t, 0);
    } else if (key == '/') {
        t->line = LINE_FILTER;
        text_copy(t->typed, sizeof t->typed, t->filter);
    } else if (key == 'p') {
        pause_ask(t);
    } else if (key == 'h' || key == '?') {
        t->view = t->view == VIEW_HELP ? VIEW_LIST : VIEW_HELP;
    } else if (key == SCREEN_ENTER && t->view != VIEW_LIST) {
        t->view = VIEW_LIST;
    } else if (key == SCREEN_ENTER && t->selected[0]) {
        t->view = VIEW_DETAIL;
        detail_get(t);
    } else {
        move_key(t, key);
    }
}

static void key_do(struct top *t, int key)
{
    if (key == SCREEN_NONE || key == SCREEN_RESIZED) {
        if (key == SCREEN_RESIZED)
            select_row(t, top_selected(t));
        if (key == SCREEN_RESIZED && t->line == LINE_CONFIRM)
            pause_ask(t);
        return;
    }
    if (t->line == LINE_FILTER) {
        filter_key(t, key);
    } else if (t->line == LINE_CONFIRM) {
        t->line = LINE_KEYS;
        t->message[0] = '\0';
        if (key == 'y' || key == 'Y')
            pause_do(t);
    } else {
        list_key(t, key);
    }
}

static int run(struct top *t)
{
    look(t);
    while (!t->over && screen_signal() == 0) {
        top_draw(t);
        key_do(t, screen_key(t->next_ms - clock_mono_ms()));
        if (clock_mono_ms() >= t->next_ms)
            look(t);
    }
    return screen_signal();
}

static int sort_read(struct cli *cli, enum top_sort *out)
{
    const char *text = cli_flag(cli, FLAG_SORT);

    *out = TOP_FAIL;
    if (text == NULL)
        return 0;
    for (int i = 0; i < TOP_SORTS; i++) {
        if (strcmp(text, top_sort_words[i]) == 0) {
            *out = (enum top_sort)i;
            return 0;
        }
    }
    const char *near = text_nearest(text, top_sort_words);

    return out_fail(cli, CLI_USAGE, "usage",
                    "--sort %s: not backlog, fail, p95, dead or name%s%s%s", text,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* So that a daemon that is not there, or a name that nobody has, is said before the screen is. */
static int first_ask(struct cli *cli, const struct buf *query)
{
    struct client_request r = {.method = "GET",
                               .path = "/api/v1/stats",
                               .query = query->len > 0 ? query->data : NULL,
                               .daemon_only = true};
    struct answer a;
    int rc = client_send(cli, &r, &a);

    if (rc != 0)
        return rc;
    rc = client_judge(cli, &a, CLI_USAGE);
    answer_fini(&a);
    return rc;
}

int cmd_top(struct cli *cli)
{
    struct top t = {.cli = cli};
    struct filter_flags f;
    int signum = 0, rc = filter_flags_read(cli, &f);

    buf_init(&t.query, 65536);
    if (rc == 0 && f.query.len > 0)
        buf_add(&t.query, f.query.data, f.query.len);
    filter_flags_fini(&f);
    if (rc == 0)
        rc = sort_read(cli, &t.sort);
    if (rc == 0)
        rc = first_ask(cli, &t.query);
    if (rc == 0 && (cli->format != OUT_TABLE || !cli_screen(cli) || !cli->in_tty ||
                    !screen_begin(cli->out_color))) {
        buf_fini(&t.query);
        return cli->format == OUT_JSON ? cmd_monitor(cli) : monitor_run(cli, EVERY_MS, 0);
    }
    if (rc == 0) {
        signum = run(&t);
        screen_end();
    }
    top_rows_fini(&t.rows);
    json_decref(t.shown);
    json_decref(t.detail);
    json_decref(t.tries);
    buf_fini(&t.query);
    if (signum == SIGINT)
        return CLI_INTERRUPTED;
    if (signum != 0)
        raise(signum); /* the terminal is as it was; now it ends us */
    return rc;
}
