/* cli/top_rows.c: see top_rows.h. */
#include "cli/top_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/sub_words.h"

#define PAGES_MAX 100

const char *const top_sort_words[TOP_SORTS + 1] = {
    [TOP_BACKLOG] = "backlog", [TOP_FAIL] = "fail", [TOP_P95] = "p95",
    [TOP_DEAD] = "dead",       [TOP_NAME] = "name", [TOP_SORTS] = NULL};

void top_rows_fini(struct top_rows *r)
{
    json_decref(r->items);
    json_decref(r->status);
    json_decref(r->before);
}

int top_ask(struct cli *cli, const char *path, const char *query, json_t *body, json_t **out,
            char *message, size_t room)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct client_request r = {.method = body ? "POST" : "GET",
                               .path = path,
                               .query = query,
                               .body = text,
                               .body_bytes = text ? strlen(text) : 0,
                               .daemon_only = true,
                               .quiet = true};
    struct answer a;
    int sent = client_send(cli, &r, &a), rc = sent;

    json_decref(body);
    *out = NULL;
    if (sent != 0) {
        snprintf(message, room, "webhookd does not answer (a restart?); waiting for it");
    } else if (a.status >= 300 || a.json == NULL) {
        const char *why = out_string(a.json, "error.message");

        snprintf(message, room, "%s", why ? why : "webhookd gave no answer that can be read");
        rc = cli_exit_of_status(a.status, out_string(a.json, "error.code"), CLI_USAGE);
        if (rc == CLI_OK)
            rc = CLI_INTERNAL;
    } else {
        *out = json_incref(a.json);
    }
    if (sent == 0)
        answer_fini(&a);
    free(text);
    return rc;
}

static int items_get(struct cli *cli, const char *query, json_t *items, char *message, size_t room)
{
    char cursor[128] = "";
    int rc = 0;

    for (int page = 0; rc == 0 && page < PAGES_MAX && (page == 0 || *cursor); page++) {
        struct buf q;
        json_t *answer = NULL;

        buf_init(&q, 65536);
        buf_adds(&q, query);
        client_query(&q, "limit", "1000");
        client_query(&q, "window", "1m");
        if (*cursor)
            client_query(&q, "cursor", cursor);
        rc = top_ask(cli, "/api/v1/stats", q.data, NULL, &answer, message, room);
        buf_fini(&q);
        const char *next = out_string(answer, "next_cursor");

        text_copy(cursor, sizeof cursor, next ? next : "");
        json_array_extend(items, json_object_get(answer, "items"));
        json_decref(answer);
    }
    return rc;
}

/* A second's worth of what came between; at the first look that of the last minute. */
static void rates_set(json_t *item, const json_t *before, int64_t ok, int64_t failed,
                      double seconds)
{
    bool known = json_is_object(before) && seconds > 0;
    int64_t more_ok = ok - out_integer(before, "ok");
    int64_t more_failed = failed - out_integer(before, "failed");

    json_object_set_new(item, "ok_now",
                        json_real(known
                                      ? (double)(more_ok > 0 ? more_ok : 0) / seconds
                                      : json_number_value(json_object_get(item, "ok_per_second"))));
    json_object_set_new(
        item, "fail_now",
        json_real(known ? (double)(more_failed > 0 ? more_failed : 0) / seconds
                        : json_number_value(json_object_get(item, "failed_per_second"))));
}

static void totals_keep(json_t *all, const char *id, int64_t ok, int64_t failed)
{
    json_t *one = json_object();

    json_object_set_new(one, "ok", json_integer(ok));
    json_object_set_new(one, "failed", json_integer(failed));
    json_object_set_new(all, id, one);
}

static void rates_make(struct top_rows *r, json_t *items, json_t *status)
{
    json_t *now = json_object(), *item;
    int64_t at_ms = 0, started_ms = 0;
    const char *at = out_string(status, "as_of"), *started = out_string(status, "started_at");
    size_t i;

    if (at != NULL)
        (void)text_parse_time(at, &at_ms);
    if (started != NULL)
        (void)text_parse_time(started, &started_ms);
    double seconds = r->before_ms > 0 ? (double)(at_ms - r->before_ms) / 1000.0 : 0;

    json_array_foreach(items, i, item)
    {
        const char *id = out_string(item, "id");
        int64_t ok = out_integer(item, "ok_total"), failed = out_integer(item, "failed_total");

        rates_set(item, json_object_get(r->before, id ? id : "-"), ok, failed, seconds);
        totals_keep(now, id ? id : "-", ok, failed);
    }
    int64_t ok = out_integer(status, "attempts.ok"),
            failed = out_integer(status, "attempts.failed");

    /* what the daemon counts begins with it */
    rates_set(status, started_ms == r->started_ms ? json_object_get(r->before, "*") : NULL, ok,
              failed, seconds);
    totals_keep(now, "*", ok, failed);
    json_decref(r->before);
    r->before = now;
    r->before_ms = at_ms;
    r->started_ms = started_ms;
}

int top_rows_look(struct cli *cli, const char *query, struct top_rows *r, char *message,
                  size_t room)
{
    json_t *items = json_array(), *status = NULL;
    int rc = top_ask(cli, "/api/v1/status", NULL, NULL, &status, message, room);

    if (rc == 0)
        rc = items_get(cli, query, items, message, room);
    if (rc != 0) {
        json_decref(items);
        json_decref(status);
        return rc;
    }
    rates_make(r, items, status);
    json_decref(r->items);
    json_decref(r->status);
    r->items = items;
    r->status = status;
    return 0;
}

/* ---- order ---- */
struct row {
    const json_t *item;
    double key;
    const char *name;
};

static double key_of(const json_t *item, enum top_sort sort)
{
    switch (sort) {
    case TOP_BACKLOG:
        return (double)out_integer(item, "backlog");
    case TOP_FAIL: /* what fails, then how fast */
        return (sub_is_failing(item) ? 1e9 : 0) +
               json_number_value(json_object_get(item, "fail_now"));
    case TOP_P95:
        return json_number_value(json_object_get(item, "p95_seconds"));
    case TOP_DEAD:
        return (double)out_integer(item, "dead");
    case TOP_NAME:
    case TOP_SORTS:
        break;
    }
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->key < y->key || x->key > y->key)
        return x->key < y->key ? 1 : -1;
    return strcmp(x->name, y->name);
}

void top_rows_sort(struct top_rows *r, enum top_sort sort)
{
    size_t n = json_array_size(r->items);
    struct row *rows = calloc(n + 1, sizeof *rows);
    json_t *sorted = json_array();

    for (size_t i = 0; rows != NULL && i < n; i++) {
        const char *name = out_string(json_array_get(r->items, i), "subscription");

        rows[i].item = json_array_get(r->items, i);
        rows[i].key = key_of(rows[i].item, sort);
        rows[i].name = name ? name : "";
    }
    if (rows == NULL) {
        json_decref(sorted);
        return;
    }
    qsort(rows, n, sizeof *rows, by_key);
    for (size_t i = 0; i < n; i++)
        json_array_append(sorted, (json_t *)(uintptr_t)rows[i].item);
    free(rows);
    json_decref(r->items);
    r->items = sorted;
}

json_t *top_rows_filter(const struct top_rows *r, const char *text)
{
    json_t *out = json_array(), *item;
    size_t i;

    json_array_foreach(r->items, i, item)
    {
        const char *name = out_string(item, "subscription");

        if (*text == '\0' || (name != NULL && strstr(name, text) != NULL))
            json_array_append(out, item);
    }
    return out;
}
