/* cli/cmd_show.c: the screens of one event, one delivery, one dead letter: the request, every
 * attempt with its timings, the last answer. Bytes of a partner are escaped line by line. */
#include "cli/cmd_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cmd_trace.h"
#include "cli/list.h"
#include "cli/object.h"

#define BODY_MAX_BYTES ((size_t)16 << 20)
#define TAKEN_LOOKS 200 /* deliveries, as many as a query may name */
#define TAKEN_SHOWN 3
#define TAKEN_QUERY_MAX_BYTES ((size_t)16 << 10)

static const struct out_column attempt_columns[] = {{"#", "n", OUT_TEXT},
                                                    {"STARTED", "started_at", OUT_CLOCK},
                                                    {"OUTCOME", "outcome", OUT_STATE},
                                                    {"STATUS", "status", OUT_TEXT},
                                                    {"TIME", "duration_seconds", OUT_SECONDS},
                                                    {"DNS", "dns_seconds", OUT_MS, 3},
                                                    {"TCP", "connect_seconds", OUT_MS, 3},
                                                    {"TLS", "tls_seconds", OUT_MS, 3},
                                                    {"WAIT", "wait_seconds", OUT_MS, 2},
                                                    {"NEXT", "next_attempt_at", OUT_CLOCK, 1},
                                                    {"ERROR", "error", OUT_LONG},
                                                    OUT_COLUMNS_END};

void show_attempts(const struct cli *cli, const json_t *attempts)
{
    struct out_table *t = out_table_new(cli, attempt_columns);
    size_t i;
    json_t *item;

    json_array_foreach(attempts, i, item) out_table_row(t, item);
    out_table_print(t);
}

/* Text that may be a string, or base64 where it was no UTF-8. */
static void text_print(const json_t *object, const char *text, const char *base64,
                       const char *indent)
{
    const json_t *plain = out_member(object, text);
    const char *coded = out_string(object, base64);
    struct buf bytes;

    if (json_is_string(plain)) {
        out_escaped(json_string_value(plain), json_string_length(plain), indent);
    } else if (coded != NULL) {
        buf_init(&bytes, BODY_MAX_BYTES);
        if (text_base64_decode(&bytes, coded, strlen(coded)))
            out_escaped(bytes.data ? bytes.data : "", bytes.len, indent);
        buf_fini(&bytes);
    } else if (plain != NULL && !json_is_null(plain)) {
        char *dump = json_dumps(plain, JSON_COMPACT | JSON_ENCODE_ANY);

        out_escaped(dump ? dump : "", dump ? strlen(dump) : 0, indent);
        free(dump);
    }
}

/* [["name","value"],…] */
static void headers_print(const json_t *headers)
{
    struct buf line;
    size_t i;
    json_t *pair;

    json_array_foreach(headers, i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));

        buf_init(&line, 65536);
        buf_addf(&line, "%s: %s", name ? name : "", value ? value : "");
        out_escaped(line.data ? line.data : "", line.len, "  ");
        buf_fini(&line);
    }
}

void show_request(const json_t *letter)
{
    const json_t *request = json_object_get(letter, "request");
    const char *method = out_string(request, "method"), *url = out_string(request, "url");
    char size[32];
    struct buf line;

    if (!json_is_object(request))
        return;
    buf_init(&line, 65536);
    buf_addf(&line, "%s %s", method ? method : "POST", url ? url : "");
    fputs("\nRequest\n", stdout);
    out_escaped(line.data ? line.data : "", line.len, "  ");
    headers_print(json_object_get(request, "headers"));
    if (json_is_integer(json_object_get(request, "body_bytes"))) {
        text_size(size, sizeof size, out_integer(request, "body_bytes"));
        printf("  (a body of %s, SHA-256 %s)\n", size, out_string(request, "body_sha256"));
    }
    buf_fini(&line);
}

void show_response(const json_t *a)
{
    if (out_string(a, "response_head") == NULL)
        return;
    printf("\nAnswer to attempt %lld%s\n", (long long)out_integer(a, "n"),
           json_is_true(json_object_get(a, "response_truncated")) ? " (cut)" : "");
    text_print(a, "response_head", "response_head_base64", "  ");
    if (out_string(a, "response_body") || out_string(a, "response_body_base64"))
        putchar('\n');
    text_print(a, "response_body", "response_body_base64", "  ");
}

bool show_body(const json_t *a)
{
    text_print(a, "response_body", "response_body_base64", "");
    return out_string(a, "response_body") || out_string(a, "response_body_base64");
}

/* The newest attempt that was answered. */
static void response_print(const json_t *attempts)
{
    for (size_t i = json_array_size(attempts); i-- > 0;) {
        if (out_string(json_array_get(attempts, i), "response_head") == NULL)
            continue;
        show_response(json_array_get(attempts, i));
        return;
    }
}

/* Where the value of a member begins and ends in the text of a JSON document: a payload is shown
 * as the bytes it was accepted with, numbers of any size included, which jansson would not keep.
 * The first member of that name whose object is at most depth levels deep. */
static bool raw_member(const struct buf *json, const char *name, int depth, const char **value,
                       size_t *value_n)
{
    const char *at = json->data, *end = at ? at + json->len : at, *start = NULL;
    size_t name_n = strlen(name);
    int now = 0, start_depth = 0;

    for (; at < end; at++) {
        if (*at == '"') {
            const char *text = at + 1;

            for (at++; at < end && *at != '"'; at++)
                at += *at == '\\';
            if (start == NULL && now <= depth && at + 1 < end && at[1] == ':' &&
                (size_t)(at - text) == name_n && memcmp(text, name, name_n) == 0) {
                start = at + 2;
                start_depth = now;
            }
        } else if (start != NULL && at >= start && now == start_depth &&
                   (*at == ',' || *at == '}')) {
            *value = start;
            *value_n = (size_t)(at - start);
            return true;
        } else {
            now += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        }
    }
    return false;
}

bool show_payload_bytes(const struct answer *a, struct buf *out)
{
    const char *value;
    size_t n;

    if (raw_member(&a->raw, "payload", 2, &value, &n)) {
        if (n == strlen("null") && memcmp(value, "null", n) == 0 &&
            out_integer(a->json, "payload_bytes") != (int64_t)n)
            return false;
        buf_add(out, value, n);
        return true;
    }
    return raw_member(&a->raw, "payload_base64", 2, &value, &n) && n > 2 &&
           text_base64_decode(out, value + 1, n - 2);
}

/* A request of its own, so that a payload which jansson refuses does not cost the rest. */
int show_payload(struct cli *cli, const char *noun, const char *ref)
{
    struct answer a;
    struct buf bytes;
    int rc = object_get(cli, noun, ref, "payload=1", &a);

    if (rc != 0)
        return rc;
    fputs("\nData\n", stdout);
    buf_init(&bytes, BODY_MAX_BYTES);
    if (show_payload_bytes(&a, &bytes))
        out_escaped(bytes.data ? bytes.data : "", bytes.len, "");
    else
        puts("(not kept any more)");
    buf_fini(&bytes);
    answer_fini(&a);
    return CLI_OK;
}

/* A table asks for the payload by itself (show_payload). */
static const char *payload_query(const struct cli *cli, bool body)
{
    return body && cli->format != OUT_TABLE ? "payload=1" : NULL;
}

int show_event(struct cli *cli, const char *ref, bool body)
{
    static const struct out_column fields[] = {{"Event", "id", OUT_TEXT},
                                               {"Type", "type", OUT_TEXT},
                                               {"Partner", "partner", OUT_TEXT},
                                               {"Ordering key", "ordering_key", OUT_TEXT},
                                               {"Correlation", "correlation_id", OUT_TEXT},
                                               {"Source", "source", OUT_TEXT},
                                               {"Version", "version", OUT_TEXT},
                                               {"Attributes", "attributes", OUT_TEXT},
                                               {"Created", "created_at", OUT_TIME},
                                               {"Accepted", "accepted_at", OUT_TIME},
                                               {"Deliver after", "deliver_after", OUT_TIME},
                                               {"Expires", "expires_at", OUT_TIME},
                                               {"Outbox", "outbox", OUT_TEXT},
                                               {"Data", "payload_bytes", OUT_BYTES},
                                               OUT_COLUMNS_END};
    static const struct out_column deliveries[] = {{"DELIVERY", "id", OUT_TEXT},
                                                   {"SUBSCRIPTION", "subscription", OUT_TEXT},
                                                   {"STATE", "state", OUT_STATE},
                                                   {"TRIES", "attempts", OUT_TEXT},
                                                   {"LAST", "last_status|last_outcome", OUT_TEXT},
                                                   {"CAUSE", "cause", OUT_TEXT},
                                                   OUT_COLUMNS_END};
    struct answer a;
    size_t i;
    json_t *item;
    int rc = object_get(cli, "events", ref, payload_query(cli, body), &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        struct out_table *t = out_table_new(cli, deliveries);

        out_fields(cli, a.json, fields);
        json_array_foreach(json_object_get(a.json, "deliveries"), i, item)
        {
            if (i == 0)
                putchar('\n');
            out_table_row(t, item);
        }
        out_table_print(t);
        if (body)
            rc = show_payload(cli, "events", ref);
    }
    answer_fini(&a);
    return rc;
}

static void waiting_print(const struct cli *cli, const json_t *delivery)
{
    const json_t *waiting = json_object_get(delivery, "waiting");
    struct buf text;

    if (!json_is_object(waiting))
        return;
    buf_init(&text, 4096);
    trace_waiting(cli, waiting, out_string(delivery, "subscription"), &text);
    printf("%-14s %s\n", "Waits", text.data ? text.data : "-");
    buf_fini(&text);
}

static void deeds_print(const struct cli *cli, const json_t *deeds)
{
    static const struct out_column columns[] = {
        {"DONE", "kind", OUT_TEXT}, {"WHEN", "at", OUT_TIME},   {"JOB", "job", OUT_TEXT},
        {"BY", "actor", OUT_TEXT},  {"NOTE", "note", OUT_LONG}, OUT_COLUMNS_END};
    struct out_table *t = out_table_new(cli, columns);
    size_t i;
    json_t *item;

    json_array_foreach(deeds, i, item)
    {
        if (i == 0)
            putchar('\n');
        out_table_row(t, item);
    }
    out_table_print(t);
}

int cmd_delivery_show(struct cli *cli)
{
    static const struct out_column fields[] = {{"Delivery", "id", OUT_TEXT},
                                               {"Event", "event_id", OUT_TEXT},
                                               {"Type", "type", OUT_TEXT},
                                               {"Subscription", "subscription", OUT_TEXT},
                                               {"URL", "url", OUT_LONG},
                                               {"State", "state", OUT_TEXT},
                                               {"Cause", "cause", OUT_TEXT},
                                               {"Attempts", "attempts", OUT_TEXT},
                                               {"Last status", "last_status", OUT_TEXT},
                                               {"Last outcome", "last_outcome", OUT_TEXT},
                                               {"Next attempt", "next_attempt_at", OUT_TIME},
                                               {"Ordering key", "ordering_key", OUT_TEXT},
                                               {"Created", "created_at", OUT_TIME},
                                               {"Finished", "finished_at", OUT_TIME},
                                               {"Data", "event.payload_bytes", OUT_BYTES},
                                               {"Copy of", "original", OUT_TEXT},
                                               OUT_COLUMNS_END};
    const char *ref = cli->args->words[0];
    bool body = cli_flag(cli, FLAG_BODY) != NULL;
    struct answer a;
    int rc = object_get(cli, "deliveries", ref, payload_query(cli, body), &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        const json_t *attempts = json_object_get(a.json, "attempt_log");
        const char *id = out_string(a.json, "id"), *state = out_string(a.json, "state");

        out_fields(cli, a.json, fields);
        waiting_print(cli, a.json);
        deeds_print(cli, json_object_get(a.json, "deeds"));
        if (json_array_size(attempts) > 0)
            putchar('\n');
        show_attempts(cli, attempts);
        show_request(a.json);
        response_print(attempts);
        if (body)
            rc = show_payload(cli, "deliveries", ref);
        printf("\nNext: webhookctl event trace %s%s%s\n", id ? id : ref,
               state && strcmp(state, "dead") == 0 ? "   webhookctl dlq show " : "",
               state && strcmp(state, "dead") == 0 ? (id ? id : ref) : "");
    }
    answer_fini(&a);
    return rc;
}

/* What is held does not go when it is due. */
static json_t *delivery_row(const struct cli *cli, const json_t *item)
{
    const char *state = out_string(item, "state");
    json_t *row = json_copy((json_t *)(uintptr_t)item);

    (void)cli;
    if (state != NULL && strcmp(state, "held") == 0)
        json_object_set_new(row, "next_attempt_at", json_null());
    return row;
}

/* Asked for all that one job sent, and nothing else narrows that. */
static bool all_of_a_job(const struct cli *cli)
{
    const flag_mask other =
        FLAGS_GLOBAL | FLAG_BIT(FLAG_JOB) | FLAG_BIT(FLAG_ALL) | FLAG_BIT(FLAG_ORDER);
    bool all = cli->format == OUT_TABLE && cli_flag(cli, FLAG_JOB) != NULL;

    for (size_t i = 0; all && i < cli->args->given_n; i++)
        all = (other & FLAG_BIT(cli->args->given[i].flag)) != 0;
    return all;
}

/* Of these deliveries how many have which job now. */
static void jobs_count(struct cli *cli, const json_t *deliveries, const char *but, json_t *counts)
{
    struct client_request r = {.method = "GET", .path = "/api/v1/deliveries", .quiet = true};
    struct answer a;
    struct buf query;
    const char *id;
    json_t *value, *item;
    size_t i;

    buf_init(&query, TAKEN_QUERY_MAX_BYTES);
    client_query(&query, "limit", "1000");
    json_object_foreach((json_t *)(uintptr_t)deliveries, id, value) client_query(&query, "id", id);
    r.query = query.data;
    if (client_send(cli, &r, &a) == 0) {
        json_array_foreach(json_object_get(a.json, "items"), i, item)
        {
            const char *job = out_string(item, "job");

            if (job != NULL && strcmp(job, but) != 0)
                json_object_set_new(counts, job, json_integer(out_integer(counts, job) + 1));
        }
        answer_fini(&a);
    }
    buf_fini(&query);
}

/* Which jobs took them since: its attempts say what it sent, whoever sent that later. The latest few
 * are enough. */
static void taken_by(struct cli *cli, const char *job, struct buf *out)
{
    struct client_request r = {.method = "GET", .path = "/api/v1/attempts", .quiet = true};
    json_t *deliveries = json_object(), *counts = json_object(), *item, *n;
    struct answer a;
    struct buf query;
    const char *other;
    size_t i, shown = 0;

    buf_init(&query, 1024);
    client_query(&query, "job", job);
    client_query(&query, "limit", "1000");
    r.query = query.data;
    if (client_send(cli, &r, &a) == 0) {
        json_array_foreach(json_object_get(a.json, "items"), i, item)
        {
            const char *id = out_string(item, "delivery");

            if (id != NULL && json_object_size(deliveries) < TAKEN_LOOKS)
                json_object_set_new(deliveries, id, json_true());
        }
        answer_fini(&a);
    }
    if (json_object_size(deliveries) > 0)
        jobs_count(cli, deliveries, job, counts);
    json_object_foreach(counts, other, n)
    {
        if (shown++ < TAKEN_SHOWN)
            buf_addf(out, "%s%s", shown > 1 ? ", " : "", other);
    }
    buf_adds(out, shown > TAKEN_SHOWN ? ", …" : "");
    buf_fini(&query);
    json_decref(deliveries);
    json_decref(counts);
}

/* A delivery is listed with the job that sent it last. */
static void say_taken(struct cli *cli, size_t shown)
{
    struct answer a;

    if (object_get(cli, "jobs", cli_flag(cli, FLAG_JOB), NULL, &a) != 0)
        return;
    int64_t taken = out_integer(a.json, "counts.queued") - (int64_t)shown;
    const char *id = out_string(a.json, "id");

    if (taken > 0 && id != NULL && json_is_true(json_object_get(a.json, "delivers"))) {
        struct buf jobs;

        buf_init(&jobs, 4096);
        taken_by(cli, id, &jobs);
        out_note("%s more that it sent are not among these: a later job sent them again%s%s%s, or "
                 "retention deleted them. All it sent: webhookctl attempt list -q --job %s | "
                 "webhookctl delivery list --ids-from -",
                 TEXT_COUNTED(taken), jobs.len ? " (" : "", jobs.len ? jobs.data : "",
                 jobs.len ? ")" : "", id);
        buf_fini(&jobs);
    }
    answer_fini(&a);
}

int cmd_delivery_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"DELIVERY", "id", OUT_TEXT},
                                                {"EVENT", "event_id", OUT_TEXT, 5},
                                                {"TYPE", "type", OUT_TEXT},
                                                {"SUBSCRIPTION", "subscription", OUT_LONG, 1},
                                                {"STATE", "state", OUT_STATE},
                                                {"TRIES", "attempts", OUT_TEXT},
                                                {"LAST", "last_status|last_outcome", OUT_TEXT},
                                                {"CAUSE", "cause", OUT_TEXT, 3},
                                                {"CREATED", "created_at", OUT_TIME, 2},
                                                {"NEXT", "next_attempt_at", OUT_TIME, 4},
                                                OUT_COLUMNS_END};

    struct list l = {.path = "/api/v1/deliveries",
                     .columns = columns,
                     .shape = delivery_row,
                     .empty = "No deliveries match."};
    bool more;
    size_t shown;
    int rc = list_filtered(cli, &l, &shown, &more);

    if (rc == 0 && !more && all_of_a_job(cli))
        say_taken(cli, shown);
    return rc;
}
