/* cli/cmd_dlq.c: dlq list and count, and what all of dlq shares. (The other verbs have their own
 * files.) */
#include "cli/cmd_dlq.h"

#include <stdio.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/list.h"
#include "cli/out.h"

static const char path[] = "/api/v1/dead-letters";

/* One query to its end: with --contains the count comes page by page. */
static int count_query(struct cli *cli, const struct filter_flags *f, const struct buf *base,
                       int64_t *count, int64_t *bytes, int64_t *arrivals)
{
    char cursor[128] = "";
    int rc = 0;

    do {
        struct answer a;
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        if (base->len > 0)
            buf_add(&query, base->data, base->len);
        if (cursor[0])
            client_query(&query, "cursor", cursor);
        rc = client_call(cli, "GET", "/api/v1/dead-letters/count", query.data, NULL, &a);
        buf_fini(&query);
        if (rc != 0)
            break;
        filter_answered(f, a.json);
        if (out_integer(a.json, "arrived_before") > *arrivals)
            *arrivals = out_integer(a.json, "arrived_before");
        *count += out_integer(a.json, "count");
        *bytes += out_integer(a.json, "payload_bytes");
        text_copy(cursor, sizeof cursor,
                  out_string(a.json, "next_cursor") ? out_string(a.json, "next_cursor") : "");
        answer_fini(&a);
    } while (cursor[0]);
    return rc;
}

static int count_all(struct cli *cli, const struct filter_flags *f, int64_t *count, int64_t *bytes,
                     int64_t *arrivals)
{
    size_t from = 0;
    bool more = true;
    int rc = 0;

    *count = *bytes = *arrivals = 0;
    while (rc == 0 && more) {
        struct buf query;

        buf_init(&query, (size_t)256 << 10);
        more = filter_query(f, &from, &query);
        if (more)
            rc = count_query(cli, f, &query, count, bytes, arrivals);
        buf_fini(&query);
    }
    return rc;
}

int dlq_count(struct cli *cli, const struct filter_flags *f, int64_t *count, int64_t *bytes)
{
    int64_t arrivals;

    return count_all(cli, f, count, bytes, &arrivals);
}

int dlq_fix(struct cli *cli, struct filter_flags *f, int64_t *count, int64_t *bytes)
{
    int64_t arrivals;
    int rc = count_all(cli, f, count, bytes, &arrivals);

    if (rc == 0)
        filter_arrived(f, arrivals > 0 ? arrivals : 1);
    return rc;
}

int dlq_selected(struct cli *cli, const struct filter_flags *f, const char *command)
{
    if (f->any)
        return 0;
    return out_fail(cli, CLI_USAGE, "usage",
                    "%s: name ids or a filter, or say --all; see webhookctl help filters", command);
}

int dlq_limit(struct cli *cli, struct filter_flags *f)
{
    size_t limit;
    int rc = filter_limit(cli, SIZE_MAX, &limit);

    return rc != 0 || limit == SIZE_MAX ? rc : filter_to_ids(cli, f, limit);
}

int cmd_dlq_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"DELIVERY", "id", OUT_TEXT},
                                                {"TYPE", "type", OUT_TEXT},
                                                {"SUBSCRIPTION", "subscription", OUT_TEXT, 1},
                                                {"DIED", "died_at", OUT_TIME},
                                                {"TRIES", "attempts", OUT_TEXT, 2},
                                                {"LAST", "last_status|last_outcome", OUT_TEXT},
                                                {"CAUSE", "cause", OUT_TEXT},
                                                {"EVENT", "event_id", OUT_LONG, 3},
                                                OUT_COLUMNS_END};
    struct filter_flags f;
    struct list l = {
        .path = path, .filter = &f, .columns = columns, .empty = "No dead letters match."};
    size_t shown = 0;
    bool more = false;
    int64_t count, bytes;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = list_limit(cli, &l.limit);
    if (rc == 0)
        rc = list_print(cli, &l, &shown, &more);
    if (rc == 0 && more && (f.contains || cli->format != OUT_TABLE))
        list_more(cli, shown, -1); /* a count would read all payloads, or again */
    else if (rc == 0 && more && dlq_count(cli, &f, &count, &bytes) == 0 && count > (int64_t)shown)
        list_more(cli, shown, count);
    if (rc == 0)
        rc = filter_unmatched(&f, API_KIND_LETTERS);
    filter_flags_fini(&f);
    return rc;
}

int cmd_dlq_count(struct cli *cli)
{
    struct filter_flags f;
    int64_t count = 0, bytes;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = dlq_count(cli, &f, &count, &bytes);
    if (rc == 0)
        printf(out_is_json(cli) ? "{\"count\":%lld}\n" : "%lld\n", (long long)count);
    if (rc == 0 && count == 0)
        rc = filter_empty(cli, &f, NULL); /* 0 says the rest */
    if (rc == 0)
        rc = filter_unmatched(&f, API_KIND_LETTERS);
    filter_flags_fini(&f);
    return rc;
}
