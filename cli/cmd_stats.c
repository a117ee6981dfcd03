/* cli/cmd_stats.c: stats: a row for each subscription about the last minutes; once, or again and
 * again: in place on a terminal, as blocks (or JSON Lines) elsewhere. With the daemon stopped the
 * numbers come from the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/follow.h"
#include "cli/list.h"
#include "cli/out.h"
#include "cli/out_parts.h"
#include "cli/sub_words.h"

#define PAGES_MAX 100 /* of 1000 subscriptions */
#define WATCH_MIN_MS 100
#define CLOCK_CHARACTERS strlen("05:07:41.158")
#define CLOCK_MS_CHARACTERS strlen(".158")

struct stats {
    json_t *first; /* the whole answer of the first page */
    json_t *items;
};

static void stats_fini(struct stats *s)
{
    json_decref(s->first);
    json_decref(s->items);
}

/* All pages of one look. follow: of a running daemon, which may be away (-1). */
static int stats_get(struct cli *cli, const struct filter_flags *f, struct stats *out)
{
    const char *window = cli_flag(cli, FLAG_WINDOW);
    char cursor[128] = "";
    int rc = 0;

    *out = (struct stats){.items = json_array()};
    for (int page = 0; rc == 0 && page < PAGES_MAX && (page == 0 || *cursor); page++) {
        struct buf query;
        struct answer a;

        buf_init(&query, (size_t)256 << 10);
        if (f->query.len > 0)
            buf_add(&query, f->query.data, f->query.len);
        client_query(&query, "limit", "1000");
        if (window != NULL)
            client_query(&query, "window", window);
        if (cli_flag(cli, FLAG_ALL) != NULL)
            client_query(&query, "all", "1");
        if (*cursor)
            client_query(&query, "cursor", cursor);
        rc = client_call(cli, "GET", "/api/v1/stats", query.data, NULL, &a);
        buf_fini(&query);
        if (rc == 0)
            rc = client_readable(cli, &a);
        if (rc != 0)
            break;
        const char *next = out_string(a.json, "next_cursor");

        text_copy(cursor, sizeof cursor, next ? next : "");
        json_array_extend(out->items, json_object_get(a.json, "items"));
        if (out->first == NULL)
            out->first = json_incref(a.json);
        answer_fini(&a);
    }
    return rc;
}

/* What fails stands first, then what waits most. */
static int by_trouble(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int fails = (int)sub_is_failing(y) - (int)sub_is_failing(x);
    int64_t waits = out_integer(y, "backlog") - out_integer(x, "backlog");

    if (fails != 0)
        return fails;
    if (waits != 0)
        return waits > 0 ? 1 : -1;
    return strcmp(out_string(x, "subscription"), out_string(y, "subscription"));
}

static void sort(json_t *items)
{
    size_t n = json_array_size(items);
    json_t **list = calloc(n + 1, sizeof(json_t *));

    for (size_t i = 0; list != NULL && i < n; i++)
        list[i] = json_incref(json_array_get(items, i));
    if (list == NULL)
        return;
    qsort(list, n, sizeof(json_t *), by_trouble);
    for (size_t i = 0; i < n; i++)
        json_array_set_new(items, i, list[i]);
    free(list);
}

static void summary_print(const struct cli *cli, const struct stats *s)
{
    static const struct {
        const char *path, *before, *after;
        enum out_kind kind;
        bool goes_on; /* behind the value before it, not a part of its own */
    } parts[] = {{"as_of", "", "", OUT_CLOCK, false},
                 {"since", "since ", "", OUT_CLOCK, false},
                 {"total.ok", "", " ok", OUT_COUNT, false},
                 {"total.failed", ", ", " failed", OUT_COUNT, true},
                 {"total.success_ratio", " (", " ok)", OUT_RATIO, true},
                 {"total.ok_per_second", "", " ok/s", OUT_RATE, false},
                 {"total.p50_seconds", "p50 ", "", OUT_BRIEF, false},
                 {"total.p95_seconds", "p95 ", "", OUT_BRIEF, false},
                 {"total.p99_seconds", "p99 ", "", OUT_BRIEF, false}};
    struct out_parts line;
    struct buf b;

    out_parts_begin(&line, cli);
    buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *value = out_member(s->first, parts[i].path);
        size_t from;

        if (value == NULL || json_is_null(value))
            continue;
        if (!parts[i].goes_on && b.len > 0) {
            out_part(&line, STYLE_PLAIN, b.data);
            buf_clear(&b);
        }
        buf_adds(&b, parts[i].before);
        from = b.len;
        out_value(cli, value, parts[i].kind, &b);
        if (parts[i].kind == OUT_CLOCK && cli->out_tty && b.len == from + CLOCK_CHARACTERS)
            b.len -= CLOCK_MS_CHARACTERS; /* thousandths matter to programs */
        buf_adds(&b, parts[i].after);
    }
    out_part(&line, STYLE_PLAIN, b.data ? b.data : "");
    if (!json_is_true(json_object_get(s->first, "daemon")))
        out_part(&line, STYLE_WAITS, "(webhookd is not running)");
    out_parts_end(&line);
    buf_fini(&b);
}

static int table_print(struct cli *cli, const struct stats *s)
{
    static const struct out_column columns[] = {{"SUBSCRIPTION", "subscription", OUT_TEXT},
                                                {"STATE", "state_words", OUT_STATE},
                                                {"OK", "ok", OUT_COUNT},
                                                {"FAILED", "failed", OUT_COUNT},
                                                {"OK%", "success_ratio", OUT_RATIO, 1},
                                                {"OK/s", "ok_per_second", OUT_RATE, 3},
                                                {"P50", "p50_seconds", OUT_BRIEF, 4},
                                                {"P95", "p95_seconds", OUT_BRIEF, 2},
                                                {"INFL", "in_flight", OUT_COUNT, 5},
                                                {"BACKLOG", "backlog", OUT_COUNT},
                                                {"OLDEST", "oldest_due_at", OUT_TIME, 2},
                                                {"DEAD", "dead", OUT_COUNT},
                                                OUT_COLUMNS_END};
    struct out_table *t = out_table_new(cli, columns);
    const json_t *item;
    size_t i;

    if (t == NULL)
        return *cli->refused ? *cli->refused : CLI_INTERNAL;
    summary_print(cli, s);
    json_array_foreach(s->items, i, item)
    {
        json_t *shown = sub_with_words(cli, item);

        out_table_row(t, shown);
        json_decref(shown);
    }
    out_table_print(t);
    egress_note(cli);
    if (json_array_size(s->items) == 0)
        out_note("No traffic, no backlog, no dead letters in this window. All subscriptions: "
                 "webhookctl stats --all");
    return 0;
}

static int stats_print(struct cli *cli, struct stats *s)
{
    const json_t *item;
    size_t i;

    sort(s->items);
    switch (cli->format) {
    case OUT_TABLE:
        return table_print(cli, s);
    case OUT_JSON:
        json_object_set(s->first, "items", s->items);
        json_object_set_new(s->first, "next_cursor", json_null());
        out_json(s->first, false);
        return 0;
    case OUT_JSONL: /* each line says when it was: --watch appends them */
        json_array_foreach(s->items, i, item)
        {
            json_t *line = json_copy((json_t *)(uintptr_t)item);

            json_object_set(line, "as_of", json_object_get(s->first, "as_of"));
            json_object_set(line, "window_seconds", json_object_get(s->first, "window_seconds"));
            out_json(line, true);
            json_decref(line);
        }
        return 0;
    case OUT_ID:
        json_array_foreach(s->items, i, item) puts(out_string(item, "id"));
        return 0;
    }
    return 0;
}

static int look(struct cli *cli, const struct filter_flags *f, bool in_place)
{
    struct stats s;
    int rc = stats_get(cli, f, &s);

    if (rc == 0 && in_place)
        fputs(out_style_clear(), stdout);
    if (rc == 0)
        rc = stats_print(cli, &s);
    stats_fini(&s);
    return rc;
}

/* On a terminal that can: over and over in the same place. Elsewhere block after block. */
static int watch(struct cli *cli, const struct filter_flags *f, int64_t every_ms)
{
    bool in_place = cli->format == OUT_TABLE && cli_screen(cli);
    struct follow follow;
    int rc, looks = 0;

    follow_begin(&follow, cli);
    do {
        if (looks++ > 0 && !in_place && cli->format == OUT_TABLE)
            putchar('\n');
        rc = look(cli, f, in_place);
        /* a restart: neither the daemon nor the store can be asked for a moment */
        if (looks > 1 && (rc == CLI_UNREACHABLE || rc == CLI_LATER))
            rc = 0;
    } while (rc == 0 && follow_pause(every_ms) && ferror(stdout) == 0);
    follow_end(&follow);
    return rc == 0 ? CLI_INTERRUPTED : rc;
}

int cmd_stats(struct cli *cli)
{
    struct filter_flags f;
    int64_t every_ms = 0;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = filter_duration(cli, FLAG_WATCH, &every_ms);
    if (rc == 0 && cli_flag(cli, FLAG_WATCH) != NULL && every_ms < WATCH_MIN_MS)
        rc = out_fail(cli, CLI_USAGE, "usage", "--watch %s: 100ms at least",
                      cli_flag(cli, FLAG_WATCH));
    if (rc == 0 && every_ms > 0 && cli->format == OUT_JSON)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "-o json: one document, and --watch never ends: use -o jsonl");
    if (rc == 0)
        rc = every_ms > 0 ? watch(cli, &f, every_ms) : look(cli, &f, false);
    filter_flags_fini(&f);
    return rc;
}
