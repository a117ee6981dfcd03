/* cli/filter_walk.c: what a filter finds, item by item, page by page, query by query. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/out.h"

enum { PAGE_MAX = 1000 };

struct walk {
    struct cli *cli;
    const char *path;
    const struct filter_flags *filter; /* may be NULL */
    filter_visit_fn *visit;
    void *arg;
    size_t left;
    char *cursor; /* 128 bytes */
    bool stopped;
};

/* One query to its end. base: everything but limit and cursor. */
static int walk_query(struct walk *w, const struct buf *base)
{
    bool more = true;
    int rc = 0;

    w->cursor[0] = '\0';
    while (rc == 0 && more && w->left > 0 && !w->stopped) {
        struct answer a;
        struct buf query;
        char limit[24];
        size_t i;
        json_t *item;

        buf_init(&query, (size_t)256 << 10);
        if (base->len > 0)
            buf_add(&query, base->data, base->len);
        snprintf(limit, sizeof limit, "%zu", w->left < PAGE_MAX ? w->left : (size_t)PAGE_MAX);
        client_query(&query, "limit", limit);
        if (w->cursor[0])
            client_query(&query, "cursor", w->cursor);
        rc = client_call(w->cli, "GET", w->path, query.data, NULL, &a);
        buf_fini(&query);
        if (rc == 0)
            rc = client_readable(w->cli, &a);
        if (rc != 0)
            break;
        json_array_foreach(json_object_get(a.json, "items"), i, item)
        {
            if (w->left == 0 || w->stopped)
                break;
            w->stopped = !w->visit(w->arg, item);
            w->left--;
        }
        const char *next = out_string(a.json, "next_cursor");

        filter_answered(w->filter, a.json);

        text_copy(w->cursor, 128, next ? next : "");
        more = w->cursor[0] != '\0'; /* also after an empty page: it has looked at enough */
        answer_fini(&a);
    }
    return rc;
}

int filter_walk(struct cli *cli, const char *path, const struct filter_flags *f, size_t limit,
                char cursor[128], filter_visit_fn *visit, void *arg)
{
    static const struct filter_flags everything;
    struct walk w = {cli, path, f, visit, arg, limit, cursor, false};
    size_t from = 0;
    bool more = true;
    int rc = 0;

    cursor[0] = '\0';
    while (rc == 0 && more && w.left > 0 && !w.stopped) {
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        more = filter_query(f != NULL ? f : &everything, &from, &query);
        if (more)
            rc = walk_query(&w, &query);
        buf_fini(&query);
    }
    return rc;
}

static bool collect_id(void *arg, const json_t *item)
{
    json_array_append(arg, json_object_get(item, "id"));
    return true;
}

int filter_ids(struct cli *cli, const char *path, const struct filter_flags *f, size_t limit,
               json_t *ids)
{
    char cursor[128];

    return filter_walk(cli, path, f, limit, cursor, collect_id, ids);
}

/* What a change of deliveries means where no state is said: engine/api_replay.c, api_discard.c. */
static void states_meant(const struct cli *cli, struct filter_flags *f)
{
    static const char *const open[] = {"pending", "in_flight", "retrying", "held"};

    if (json_object_get(f->json, "state") != NULL)
        return;
    if (strcmp(cli->args->command->words, "delivery resend") == 0)
        filter_text(f, "state", "delivered");
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        if (strcmp(cli->args->command->words, "delivery discard") == 0)
            filter_text(f, "state", open[i]);
    }
}

int filter_to_ids(struct cli *cli, struct filter_flags *f, size_t limit)
{
    bool letters = strncmp(cli->args->command->words, "dlq ", 4) == 0;
    json_t *ids = json_array();

    states_meant(cli, f);
    int rc =
        filter_ids(cli, letters ? "/api/v1/dead-letters" : "/api/v1/deliveries", f, limit, ids);

    if (rc == 0 && json_array_size(ids) > FILTER_IDS_MAX)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "more than %d %s match: narrow the filter, for instance by -s or --since",
                      FILTER_IDS_MAX, letters ? "dead letters" : "deliveries");
    if (rc == 0)
        rc = filter_name(f, ids);
    json_decref(ids);
    return rc;
}
