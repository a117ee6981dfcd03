/* cli/cmd_attempt.c: attempts: the latest of all or those of a delivery, one as it was, and all as
 * they happen. What a partner answered is escaped, but with --raw, which is for files and pipes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cmd_show.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/out_fit.h"

#define TAIL_EVERY_MS 500
#define TAIL_FIRST 10
#define TAIL_FIRST_MAX 1000
#define TAIL_LESS_MAX 3
#define SAME_MIN 3

static const struct out_column all_columns[] = {{"TIME", "started_at", OUT_TIME},
                                                {"SUBSCRIPTION", "subscription", OUT_LONG, 1},
                                                {"EVENT", "event_id", OUT_TEXT, 4},
                                                {"TYPE", "type", OUT_TEXT, 3},
                                                {"ATTEMPT", "id", OUT_TEXT},
                                                {"RESULT", "status|outcome", OUT_TEXT},
                                                {"TOOK", "duration_seconds", OUT_SECONDS, 2},
                                                {"ADDRESS", "address", OUT_TEXT, 5},
                                                {"ERROR", "error", OUT_LONG},
                                                {"DELIVERY", "delivery", OUT_TEXT, OUT_NAMED},
                                                {"#", "n", OUT_TEXT, OUT_NAMED},
                                                OUT_COLUMNS_END};

/* Of one delivery, or of one event's: in the order in which they were made. */
static const struct out_column one_columns[] = {{"ATTEMPT", "id", OUT_TEXT},
                                                {"SUBSCRIPTION", "subscription", OUT_LONG, 1},
                                                {"STARTED", "started_at", OUT_CLOCK},
                                                {"OUTCOME", "outcome", OUT_STATE},
                                                {"STATUS", "status", OUT_TEXT},
                                                {"TIME", "duration_seconds", OUT_SECONDS},
                                                {"DNS", "dns_seconds", OUT_MS, 4},
                                                {"TCP", "connect_seconds", OUT_MS, 4},
                                                {"TLS", "tls_seconds", OUT_MS, 4},
                                                {"WAIT", "wait_seconds", OUT_MS, 3},
                                                {"NEXT", "next_attempt_at", OUT_CLOCK, 2},
                                                {"ERROR", "error", OUT_LONG},
                                                {"DELIVERY", "delivery", OUT_TEXT, OUT_NAMED},
                                                {"#", "n", OUT_TEXT, OUT_NAMED},
                                                OUT_COLUMNS_END};

/* ---- list ---- */
struct same {
    json_t *newest;
    size_t n;
    bool oldest_first;
    bool same; /* all have failed, and all in the same way */
};

static bool member_equal(const json_t *a, const json_t *b, const char *name)
{
    return json_equal(json_object_get(a, name), json_object_get(b, name)) == 1;
}

static void same_see(void *arg, const json_t *item)
{
    struct same *s = arg;
    const char *outcome = out_string(item, "outcome");

    if (s->n++ == 0)
        s->same = outcome != NULL && strcmp(outcome, "success") != 0;
    else
        s->same = s->same && member_equal(s->newest, item, "subscription_id") &&
                  member_equal(s->newest, item, "outcome") &&
                  member_equal(s->newest, item, "status") && member_equal(s->newest, item, "error");
    if (s->n == 1 || s->oldest_first) {
        json_decref(s->newest);
        s->newest = json_deep_copy(item);
    }
}

/* "503" or "timeout", and why where it is known. */
static void result_text(const struct cli *cli, const json_t *item, struct buf *out)
{
    const json_t *status = json_object_get(item, "status");
    const json_t *error = json_object_get(item, "error");

    out_value(cli, json_is_integer(status) ? status : json_object_get(item, "outcome"), OUT_TEXT,
              out);
    if (json_is_string(error)) {
        buf_adds(out, ", ");
        out_value(cli, error, OUT_TEXT, out);
    }
}

/* What somebody wants to know who asks why a partner fails: is it always the same, what does that
 * mean, and where does it say more? */
static void same_say(const struct cli *cli, const struct same *s)
{
    const char *delivery = out_string(s->newest, "delivery");
    struct buf text;

    if (!s->same || cli->format != OUT_TABLE || delivery == NULL)
        return;
    if (s->n >= SAME_MIN) {
        buf_init(&text, 65536);
        result_text(cli, s->newest, &text);
        out_note("All %s failed the same way: %s. The newest answer: webhookctl attempt show "
                 "%s/%lld",
                 TEXT_COUNTED(s->n), text.data ? text.data : "?", delivery,
                 (long long)out_integer(s->newest, "n"));
        buf_fini(&text);
    }
    failure_say(stderr, out_integer(s->newest, "status"), out_string(s->newest, "outcome"),
                out_string(s->newest, "subscription"));
}

int cmd_attempt_list(struct cli *cli)
{
    struct filter_flags f;
    bool more = false;
    size_t shown = 0;
    int rc = filter_flags_read(cli, &f);
    struct same same = {.oldest_first = f.by_ids};
    struct list l = {.path = "/api/v1/attempts",
                     .filter = &f,
                     .columns = f.by_ids ? one_columns : all_columns,
                     .empty = f.by_ids ? "No attempts yet." : "No attempts match.",
                     .seen = same_see,
                     .seen_arg = &same};

    if (rc == 0)
        rc = f.by_ids ? filter_limit(cli, SIZE_MAX, &l.limit) : list_limit(cli, &l.limit);
    if (rc == 0 && f.by_ids)
        filter_order(&f, "oldest");
    if (rc == 0)
        rc = list_print(cli, &l, &shown, &more);
    if (rc == 0 && more)
        list_more(cli, shown, -1);
    if (rc == 0)
        same_say(cli, &same);
    if (rc == 0)
        rc = filter_unmatched(&f, API_KIND_DELIVERIES);
    json_decref(same.newest);
    filter_flags_fini(&f);
    return rc;
}

/* ---- show ---- */

/* "dlv_…/3", "dlv_… 3", "dlv_…": the reference into ref, *n 0: the last one. */
static int attempt_ref(struct cli *cli, char *ref, size_t room, int64_t *n)
{
    const char *word = cli->args->words[0], *slash = strchr(word, '/');
    const char *number = slash ? slash + 1 : cli->args->words_n > 1 ? cli->args->words[1] : NULL;
    size_t ref_n = slash ? (size_t)(slash - word) : strlen(word);

    *n = 0;
    if (slash != NULL && cli->args->words_n > 1)
        return out_fail(cli, CLI_USAGE, "usage", "the number of the attempt is given twice");
    if (number != NULL) {
        const char *end = text_digits(number, n);

        if (end == NULL || *end || *n < 1)
            return out_fail(cli, CLI_USAGE, "usage",
                            "'%s' is not the number of an attempt (1, 2, …)", number);
    }
    text_copy(ref, ref_n + 1 < room ? ref_n + 1 : room, word);
    return 0;
}

static const json_t *attempt_of(const json_t *delivery, int64_t n)
{
    const json_t *log = json_object_get(delivery, "attempt_log");
    size_t i;
    json_t *item;

    if (n == 0)
        return json_array_get(log, json_array_size(log) - 1);
    json_array_foreach(log, i, item)
    {
        if (out_integer(item, "n") == n)
            return item;
    }
    return NULL;
}

/* The answer's bytes as they are stored. */
static int raw_print(struct cli *cli, const json_t *attempt, bool head)
{
    const char *text = out_string(attempt, head ? "response_head" : "response_body");
    const char *coded = out_string(attempt, head ? "response_head_base64" : "response_body_base64");
    struct buf bytes;

    if (text != NULL) {
        fwrite(
            text, 1,
            json_string_length(json_object_get(attempt, head ? "response_head" : "response_body")),
            stdout);
    } else if (coded != NULL) {
        buf_init(&bytes, (size_t)16 << 20);
        if (text_base64_decode(&bytes, coded, strlen(coded)))
            fwrite(bytes.data ? bytes.data : "", 1, bytes.len, stdout);
        buf_fini(&bytes);
    } else if (!head) {
        return out_fail(cli, CLI_NO, "not_found", "no body of an answer is stored");
    }
    return 0;
}

static void screen_print(struct cli *cli, const json_t *delivery, const json_t *attempt)
{
    static const struct out_column whose[] = {
        {"Delivery", "id", OUT_TEXT}, {"Event", "event_id", OUT_TEXT},
        {"Type", "type", OUT_TEXT},   {"Subscription", "subscription", OUT_TEXT},
        {"URL", "url", OUT_LONG},     OUT_COLUMNS_END};
    static const struct out_column how[] = {{"Attempt", "n", OUT_TEXT},
                                            {"Trigger", "trigger", OUT_TEXT},
                                            {"Job", "job", OUT_TEXT},
                                            {"Started", "started_at", OUT_WHEN},
                                            {"Outcome", "outcome", OUT_STATE},
                                            {"Status", "status", OUT_TEXT},
                                            {"Error", "error", OUT_LONG},
                                            {"Address", "address", OUT_TEXT},
                                            {"Took", "duration_seconds", OUT_SECONDS},
                                            {"  dns", "dns_seconds", OUT_MS},
                                            {"  connect", "connect_seconds", OUT_MS},
                                            {"  tls", "tls_seconds", OUT_MS},
                                            {"  wait", "wait_seconds", OUT_MS},
                                            {"  transfer", "transfer_seconds", OUT_MS},
                                            {"Next planned", "next_attempt_at", OUT_TIME},
                                            OUT_COLUMNS_END};

    out_fields(cli, delivery, whose);
    out_fields(cli, attempt, how);
    show_request(delivery);
    show_response(attempt);
    failure_say(stderr, out_integer(attempt, "status"), out_string(attempt, "outcome"),
                out_string(delivery, "subscription"));
    out_note("Next: webhookctl event trace %s", out_string(delivery, "id"));
}

/* The attempt as a list has it, and what was sent and answered. */
static json_t *attempt_whole(const json_t *delivery, const json_t *attempt)
{
    static const char *const taken[] = {"event_id", "type", "subscription", "subscription_id",
                                        "url"};
    const char *delivery_id = out_string(delivery, "id");
    json_t *whole = json_object();
    char id[64];

    snprintf(id, sizeof id, "%.32s/%lld", delivery_id ? delivery_id : "",
             (long long)out_integer(attempt, "n"));
    json_object_set_new(whole, "id", json_string(id));
    json_object_set(whole, "delivery", json_object_get(delivery, "id"));
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        json_object_set(whole, taken[i], json_object_get(delivery, taken[i]));
    json_object_update(whole, (json_t *)(uintptr_t)attempt);
    json_object_set(whole, "request", json_object_get(delivery, "request"));
    return whole;
}

static int attempt_print(struct cli *cli, const char *ref, const json_t *delivery,
                         const json_t *attempt)
{
    const char *id = out_string(delivery, "id");

    if (cli_flag(cli, FLAG_RAW) != NULL) {
        if (cli->out_tty && cli_flag(cli, FLAG_FORCE_RAW) == NULL)
            return out_fail(cli, CLI_USAGE, "usage",
                            "--raw: a partner's bytes could do anything to a terminal: send them "
                            "to a file or a pipe, or give --force");
        int rc = cli_flag(cli, FLAG_BODY) ? 0 : raw_print(cli, attempt, true);

        return rc == 0 ? raw_print(cli, attempt, false) : rc;
    }
    if (cli_flag(cli, FLAG_BODY) != NULL && !out_is_json(cli)) {
        if (!show_body(attempt))
            return out_fail(cli, CLI_NO, "not_found", "no body of an answer is stored");
        return CLI_OK;
    }
    switch (cli->format) {
    case OUT_TABLE:
        screen_print(cli, delivery, attempt);
        break;
    case OUT_JSON:
    case OUT_JSONL: {
        json_t *whole = attempt_whole(delivery, attempt);

        out_json(whole, cli->format == OUT_JSONL);
        json_decref(whole);
        break;
    }
    case OUT_ID:
        printf("%s/%lld\n", id ? id : ref, (long long)out_integer(attempt, "n"));
        break;
    }
    return CLI_OK;
}

int cmd_attempt_show(struct cli *cli)
{
    char ref[160];
    int64_t n;
    char query[40] = "";
    struct answer a;
    int rc = attempt_ref(cli, ref, sizeof ref, &n);

    if (n > 0)
        snprintf(query, sizeof query, "attempt=%lld", (long long)n);
    if (rc == 0)
        rc = object_get(cli, "deliveries", ref, query[0] ? query : NULL, &a);
    if (rc != 0)
        return rc;
    const json_t *attempt = attempt_of(a.json, n);
    int64_t made = (int64_t)json_array_size(json_object_get(a.json, "attempt_log"));

    if (attempt != NULL)
        rc = attempt_print(cli, ref, a.json, attempt);
    else if (made == 0)
        rc = out_fail(cli, CLI_NOT_FOUND, "not_found", "%s has no attempt yet (state %s)", ref,
                      out_string(a.json, "state") ? out_string(a.json, "state") : "?");
    else
        rc = out_fail(cli, CLI_NOT_FOUND, "not_found",
                      "%s has no attempt %lld: see webhookctl attempt list %s", ref, (long long)n,
                      ref);
    answer_fini(&a);
    return rc;
}

/* ---- tail ---- */
struct tail {
    struct cli *cli;
    struct follow follow;
    const struct filter_flags *filter;
    char cursor[128]; /* all up to here was shown */
};

/* less: how much is left out, what its id finds first: the type, the event, how long it took. */
static void tail_text(const struct cli *cli, const json_t *item, int less, struct buf *text)
{
    static const struct {
        const char *name;
        enum out_kind kind;
        int left_out; /* from that less on; 0: never */
    } parts[] = {{"started_at", OUT_CLOCK, 0},
                 {"subscription", OUT_TEXT, 0},
                 {"event_id", OUT_TEXT, 2},
                 {"type", OUT_TEXT, 1},
                 {"id", OUT_TEXT, 0},
                 {"outcome", OUT_TEXT, 0},
                 {"duration_seconds", OUT_SECONDS, 3}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].left_out != 0 && parts[i].left_out <= less)
            continue;
        buf_adds(text, i > 0 ? "  " : "");
        if (strcmp(parts[i].name, "outcome") == 0 &&
            json_is_integer(json_object_get(item, "status")))
            buf_addf(text, "%lld ", (long long)out_integer(item, "status"));
        out_value(cli, json_object_get(item, parts[i].name), parts[i].kind, text);
    }
    if (out_string(item, "error") != NULL) {
        buf_adds(text, "  ");
        out_value(cli, json_object_get(item, "error"), OUT_TEXT, text);
    }
}

/* As a table fits. What a partner's error says is of any length: it takes more lines. */
static bool tail_fits(const struct cli *cli, const struct buf *text)
{
    size_t columns = out_columns(STDOUT_FILENO);

    return !cli->out_tty || out_width(text->data ? text->data : "") <= (columns ? columns : 80);
}

static void tail_line(const struct cli *cli, const json_t *item)
{
    struct buf text;
    const char *id = out_string(item, "id");

    if (out_is_json(cli)) {
        out_json(item, true);
        return;
    }
    if (cli->format == OUT_ID) {
        puts(id ? id : "-");
        return;
    }
    buf_init(&text, 65536);
    tail_text(cli, item, 0, &text);
    for (int less = 1; less <= TAIL_LESS_MAX && !tail_fits(cli, &text); less++) {
        buf_clear(&text);
        tail_text(cli, item, less, &text);
    }
    puts(text.data ? text.data : "-");
    buf_fini(&text);
}

static int tail_ask(struct tail *t, const char *cursor, bool oldest, size_t limit,
                    struct answer *out)
{
    struct buf query;
    char number[24];
    size_t from = 0;

    buf_init(&query, (size_t)256 << 10);
    filter_query(t->filter, &from, &query);
    snprintf(number, sizeof number, "%zu", limit);
    client_query(&query, "limit", number);
    client_query(&query, "order", oldest ? "oldest" : "newest");
    if (cursor[0] != '\0')
        client_query(&query, "cursor", cursor);
    int rc = follow_get(&t->follow, "/api/v1/attempts", query.data, out);

    buf_fini(&query);
    return rc;
}

/* The last few that there are, oldest first, as one reads on. */
static int tail_first(struct tail *t, size_t limit)
{
    json_t *items = json_array();
    char cursor[128] = "";
    size_t n = 0;
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && !follow_interrupted()) {
        struct answer a;

        rc = tail_ask(t, cursor, false, limit - n > 0 ? limit - n : 1, &a);
        if (rc == -1) {
            rc = follow_pause(TAIL_EVERY_MS) ? 0 : CLI_INTERRUPTED;
            continue;
        }
        if (rc != 0)
            break;
        const char *next = out_string(a.json, "next_cursor");

        if (t->cursor[0] == '\0')
            text_copy(t->cursor, sizeof t->cursor,
                      out_string(a.json, "end_cursor") ? out_string(a.json, "end_cursor") : "");
        json_array_extend(items, json_object_get(a.json, "items"));
        n = json_array_size(items);
        text_copy(cursor, sizeof cursor, next ? next : "");
        more = next != NULL && n < limit;
        answer_fini(&a);
    }
    for (size_t i = n < limit ? n : limit; rc == 0 && i-- > 0;)
        tail_line(t->cli, json_array_get(items, i));
    json_decref(items);
    return rc;
}

/* One look at what came since. */
static int tail_look(struct tail *t)
{
    struct answer a;
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && !follow_interrupted()) {
        size_t i;
        json_t *item;

        rc = tail_ask(t, t->cursor, true, 1000, &a);
        if (rc != 0)
            break;
        const char *end = out_string(a.json, "end_cursor");

        json_array_foreach(json_object_get(a.json, "items"), i, item) tail_line(t->cli, item);
        if (end != NULL)
            text_copy(t->cursor, sizeof t->cursor, end);
        more = out_string(a.json, "next_cursor") != NULL;
        answer_fini(&a);
        if (out_flush() != 0)
            rc = CLI_INTERRUPTED; /* said at the end */
    }
    return rc;
}

int cmd_attempt_tail(struct cli *cli)
{
    struct filter_flags f;
    struct tail t = {.cli = cli, .filter = &f};
    size_t limit = TAIL_FIRST;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0 && cli->format == OUT_JSON)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "-o json: one document, and this one never ends: use -o jsonl");
    if (rc == 0)
        rc = filter_limit(cli, TAIL_FIRST, &limit);
    if (rc == 0 && limit > TAIL_FIRST_MAX)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "--limit: at most %d before the new ones: see "
                      "webhookctl attempt list",
                      TAIL_FIRST_MAX);
    if (rc == 0) {
        follow_begin(&t.follow, cli);
        rc = tail_first(&t, limit);
        while ((rc == 0 || rc == -1) && follow_pause(TAIL_EVERY_MS))
            rc = tail_look(&t);
        if (follow_interrupted())
            rc = CLI_INTERRUPTED;
        follow_end(&t.follow);
    }
    filter_flags_fini(&f);
    return rc;
}
