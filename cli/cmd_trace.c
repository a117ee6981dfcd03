/* cli/cmd_trace.c: event trace: the life of one event over all its deliveries, a line each thing
 * that happened; -f goes on until every delivery is over.
 *
 *   05:07:41.120  committed   trade.settled key=T-1042
 *   05:07:41.131  routed      2 subscriptions: acme-settle, audit-log
 *   05:07:41.158  +0.038s     acme-settle  #1 503 0.412s  retry in 5s */
#include "cli/cmd_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/follow.h"
#include "cli/ids.h"
#include "cli/object.h"

#define LOOK_EVERY_MS 300
#define LABEL_WIDTH 10
#define NAME_WIDTH_MAX 32

struct trace {
    struct cli *cli;
    int name_width;
    char day[16];  /* of the last line on a terminal */
    json_t *shown; /* -f: what was printed, by key */
};

/* ---- the words of one line ---- */
static void word(const struct trace *t, const json_t *entry, const char *name, enum out_kind kind,
                 struct buf *out)
{
    out_value(t->cli, json_object_get(entry, name), kind, out);
}

static int64_t ms_of(const json_t *entry, const char *name)
{
    const char *text = out_string(entry, name);
    int64_t ms = 0;

    return text != NULL && text_parse_time(text, &ms) ? ms : 0;
}

/* "5s", "in 2h 14m": from one point in time to another. */
static void span(struct buf *out, int64_t ms)
{
    char text[32];

    if (ms < 0)
        ms = 0;
    if (ms < 10000)
        buf_addf(out, "%.3gs", (double)ms / 1000);
    else {
        text_ago(text, sizeof text, ms);
        buf_adds(out, text);
    }
}

/* traceparent 00-TRACE-SPAN-01 of the event's attributes. */
static void committed(const struct trace *t, const json_t *event, struct buf *out)
{
    const char *parent = out_string(event, "attributes.traceparent");
    const char *box = out_string(event, "outbox");

    word(t, event, "type", OUT_TEXT, out);
    if (out_string(event, "ordering_key") != NULL) {
        buf_adds(out, " key=");
        word(t, event, "ordering_key", OUT_TEXT, out);
    }
    if (box != NULL && strcmp(box, "api") != 0) {
        buf_adds(out, " outbox=");
        word(t, event, "outbox", OUT_TEXT, out);
    }
    if (out_string(event, "source") != NULL) {
        buf_adds(out, " source=");
        word(t, event, "source", OUT_TEXT, out);
    }
    if (out_string(event, "correlation_id") != NULL) {
        buf_adds(out, " correlation=");
        word(t, event, "correlation_id", OUT_TEXT, out);
    }
    if (parent != NULL && strlen(parent) == 55) {
        buf_adds(out, " trace=");
        text_escape_terminal(out, parent + 3, 32, false);
    }
}

static void routed(const struct trace *t, const json_t *whole, struct buf *out)
{
    const json_t *names = json_object_get(whole, "subscriptions");
    size_t n = json_array_size(names);

    if (n == 0)
        buf_adds(out, "matched no subscription: nobody gets it (webhookctl sub list shows what "
                      "each one asks for)");
    else
        buf_addf(out, "%s subscription%s: ", TEXT_COUNTED(n), n == 1 ? "" : "s");
    for (size_t i = 0; i < n && i < 20; i++) {
        buf_adds(out, i ? ", " : "");
        out_value(t->cli, json_array_get(names, i), OUT_TEXT, out);
    }
    if (n > 20)
        buf_adds(out, ", …");
}

static void attempt(const struct trace *t, const json_t *entry, struct buf *out)
{
    const char *result = out_string(entry, "result");
    int64_t ended = ms_of(entry, "at") +
                    (int64_t)(json_number_value(json_object_get(entry, "duration_seconds")) * 1000);

    buf_addf(out, "#%lld ", (long long)out_integer(entry, "n"));
    word(t, entry, json_is_integer(json_object_get(entry, "status")) ? "status" : "outcome",
         OUT_TEXT, out);
    buf_addc(out, ' ');
    word(t, entry, "duration_seconds", OUT_SECONDS, out);
    if (out_string(entry, "error") != NULL) {
        buf_adds(out, " (");
        word(t, entry, "error", OUT_TEXT, out);
        buf_addc(out, ')');
    }
    if (result == NULL)
        return;
    if (strcmp(result, "retry") == 0) {
        buf_adds(out, "  retry in ");
        span(out, ms_of(entry, "next_attempt_at") - ended);
        return;
    }
    buf_adds(out, strcmp(result, "delivered") == 0   ? "  DELIVERED"
                  : strcmp(result, "discarded") == 0 ? "  DISCARDED"
                                                     : "  DEAD");
    if (out_string(entry, "cause") != NULL) {
        buf_addc(out, ' ');
        word(t, entry, "cause", OUT_TEXT, out);
    }
}

static void done(const struct trace *t, const json_t *entry, struct buf *out)
{
    if (out_string(entry, "to") != NULL) {
        buf_adds(out, "copy of ");
        word(t, entry, "original", OUT_TEXT, out);
        buf_adds(out, " to ");
        word(t, entry, "to", OUT_TEXT, out);
        buf_addc(out, ' ');
    }
    if (out_string(entry, "job") != NULL) {
        word(t, entry, "job", OUT_TEXT, out);
        buf_addc(out, ' ');
    }
    if (out_string(entry, "actor") != NULL) {
        buf_adds(out, "by ");
        word(t, entry, "actor", OUT_TEXT, out);
    }
    if (out_string(entry, "note") != NULL) {
        buf_adds(out, " \"");
        word(t, entry, "note", OUT_TEXT, out);
        buf_addc(out, '"');
    }
}

/* For how long still: until it is due; until the next probe, which may fail; until a pause ends. */
static void waiting_until(const struct cli *cli, const json_t *entry, int64_t left_ms,
                          struct buf *out)
{
    const char *reason = out_string(entry, "reason");
    bool pause = strstr(reason, "_paused") != NULL;

    if (pause && (cli->times != OUT_TIMES_AUTO || !cli->out_tty)) {
        buf_adds(out, ", until ");
        out_value(cli, json_object_get(entry, "next_attempt_at"), OUT_TIME, out);
        return;
    }
    buf_adds(out, pause                                  ? ", for "
                  : strcmp(reason, "endpoint_down") == 0 ? ", next probe in "
                                                         : "due in ");
    span(out, left_ms);
    buf_adds(out, pause ? " more" : "");
}

/* What it waits for, and what an operator can do about it. */
void trace_waiting(const struct cli *cli, const json_t *entry, const char *subscription,
                   struct buf *out)
{
    static const struct {
        const char *reason, *words, *then;
    } rows[] = {
        {"in_flight", "an attempt is under way", ""},
        {"retry", "for its next attempt, ", ""},
        {"due", "due now", ""},
        {"deliver_after", "for its deliver_after, ", ""},
        {"ordering_key", "behind event %s of the same ordering key", ""},
        {"blocked_key", "its ordering key is held by the dead letter of event %s",
         "; replay or purge that one"},
        {"subscription_paused", "the subscription is paused", "; webhookctl sub resume %s"},
        {"subscription_disabled", "the subscription is disabled", "; webhookctl sub enable %s"},
        {"subscription_deleted", "the subscription is deleted: it will be dead soon", ""},
        {"egress_paused", "egress is paused", "; webhookctl egress resume"},
        {"endpoint_down", "the endpoint is down: it goes once a probe succeeds",
         "; webhookctl attempt list -s %s"},
        {"no_daemon", "webhookd does not run", ""},
    };
    const char *reason = out_string(entry, "reason");
    int64_t until = ms_of(entry, "next_attempt_at"), now = ms_of(entry, "at");

    for (size_t i = 0; reason != NULL && i < sizeof rows / sizeof rows[0]; i++) {
        const char *at = rows[i].words, *gap = strstr(at, "%s");

        if (strcmp(rows[i].reason, reason) != 0)
            continue;
        buf_add(out, at, gap ? (size_t)(gap - at) : strlen(at));
        if (gap != NULL) {
            out_value(cli, json_object_get(entry, "behind"), OUT_TEXT, out);
            buf_adds(out, gap + 2);
        }
        if (out_string(entry, "reason_note") != NULL &&
            strcmp(out_string(entry, "reason_note"), "operator") != 0) {
            buf_adds(out, " (");
            out_value(cli, json_object_get(entry, "reason_note"), OUT_TEXT, out);
            buf_addc(out, ')');
        }
        if (until > now)
            waiting_until(cli, entry, until - now, out);
        gap = strstr(rows[i].then, "%s");
        buf_add(out, rows[i].then, gap ? (size_t)(gap - rows[i].then) : strlen(rows[i].then));
        if (gap != NULL && subscription != NULL)
            text_escape_terminal(out, subscription, strlen(subscription), false);
    }
}

/* ---- lines ---- */
static void label_of(const json_t *entry, const char *kind, char out[32])
{
    const json_t *after = json_object_get(entry, "after_seconds");
    double s = json_number_value(after);

    if (strcmp(kind, "attempt") == 0 && json_is_number(after))
        snprintf(out, 32, s < 100 ? "+%.3fs" : "+%.1fs", s);
    else
        snprintf(out, 32, "%s", strcmp(kind, "attempt") == 0 ? "" : kind);
}

/* A terminal shows the time of the day: whose day it is stands above, wherever that changes. */
static void put_time_of(struct trace *t, const json_t *entry, struct buf *out)
{
    char local[TEXT_TIME_MAX];
    struct buf text;

    buf_init(&text, 128);
    word(t, entry, "at", OUT_CLOCK, &text);
    if (text.len < 20 && ms_of(entry, "at") != 0) {
        text_time_local(local, ms_of(entry, "at"));
        local[strlen("2026-11-22")] = '\0';
        if (strcmp(local, t->day) != 0)
            printf("%s\n", local);
        text_copy(t->day, sizeof t->day, local);
    }
    buf_adds(out, text.data ? text.data : "-");
    buf_fini(&text);
}

static void line_print(struct trace *t, const json_t *whole, const json_t *entry)
{
    const char *kind = out_string(entry, "kind");
    char label[32];
    struct buf line, name;

    if (kind == NULL)
        return;
    buf_init(&line, 65536);
    buf_init(&name, 4096);
    put_time_of(t, entry, &line);
    label_of(entry, kind, label);
    buf_addf(&line, "  %-*s  ", LABEL_WIDTH, label);
    if (json_is_string(json_object_get(entry, "delivery"))) {
        word(t, entry, "subscription", OUT_TEXT, &name);
        buf_addf(&line, "%-*s  ", t->name_width, name.data ? name.data : "-");
    }
    if (strcmp(kind, "committed") == 0)
        committed(t, json_object_get(whole, "event"), &line);
    else if (strcmp(kind, "routed") == 0)
        routed(t, whole, &line);
    else if (strcmp(kind, "attempt") == 0)
        attempt(t, entry, &line);
    else if (strcmp(kind, "waiting") == 0)
        trace_waiting(t->cli, entry, out_string(entry, "subscription"), &line);
    else if (strcmp(kind, "dead") == 0)
        buf_addf(&line, "DEAD %s", out_string(entry, "cause") ? out_string(entry, "cause") : "");
    else if (strcmp(kind, "discarded") == 0 && out_string(entry, "actor") == NULL)
        buf_adds(&line, "its time as a dead letter was over");
    else
        done(t, entry, &line);
    while (line.len > 0 && line.data[line.len - 1] == ' ')
        line.data[--line.len] = '\0';
    puts(line.data ? line.data : "");
    buf_fini(&line);
    buf_fini(&name);
}

/* How wide the names of subscriptions are, escaped as they are printed. */
static void measure(struct trace *t, const json_t *whole)
{
    size_t i;
    json_t *name;

    json_array_foreach(json_object_get(whole, "subscriptions"), i, name)
    {
        int n = (int)json_string_length(name);

        if (n > t->name_width && n <= NAME_WIDTH_MAX)
            t->name_width = n;
    }
}

static void entry_print(struct trace *t, const json_t *whole, const json_t *entry)
{
    if (out_is_json(t->cli))
        out_json(entry, true);
    else
        line_print(t, whole, entry);
}

static void tail_notes(const struct trace *t, const json_t *whole)
{
    if (t->cli->format != OUT_TABLE)
        return;
    if (json_is_true(json_object_get(whole, "truncated")))
        out_note("There is more than is shown. All of it: webhookctl delivery list --event ID and "
                 "webhookctl attempt list ID");
    if (json_is_false(json_object_get(whole, "daemon")) && out_integer(whole, "open") > 0)
        out_note("webhookd does not run: what is open goes on when it is started.");
}

static int trace_once(struct trace *t, const char *ref)
{
    struct buf path;
    struct answer a;
    size_t i;
    json_t *entry;

    buf_init(&path, 16384);
    client_path(&path, "events", ref, "trace");
    int rc = client_call(t->cli, "GET", path.data, NULL, NULL, &a);

    buf_fini(&path);
    if (rc == 0)
        rc = client_readable(t->cli, &a);
    if (rc != 0)
        return rc;
    measure(t, a.json);
    if (t->cli->format == OUT_JSON || t->cli->format == OUT_ID)
        (void)object_plain(t->cli, &a, ref);
    else
        json_array_foreach(json_object_get(a.json, "entries"), i, entry)
            entry_print(t, a.json, entry);
    tail_notes(t, a.json);
    answer_fini(&a);
    return rc;
}

/* ---- follow ---- */

/* False: it was printed already. A waiting one is news only where what it waits for is. */
static bool is_new(struct trace *t, const json_t *entry)
{
    static const char *const members[] = {"kind", "delivery", "n", "job", "reason", "behind", NULL};
    const char *kind = out_string(entry, "kind"), *reason = out_string(entry, "reason");
    struct buf key;
    bool news = true;

    if (kind == NULL ||
        (reason != NULL && (strcmp(reason, "retry") == 0 || strcmp(reason, "in_flight") == 0 ||
                            strcmp(reason, "due") == 0)))
        return false; /* its attempts tell */
    buf_init(&key, 4096);
    for (size_t i = 0; members[i]; i++) {
        char *text = json_dumps(json_object_get(entry, members[i]), JSON_ENCODE_ANY);

        buf_addf(&key, "%s ", text ? text : "-");
        free(text);
    }
    if (strcmp(kind, "waiting") != 0)
        buf_adds(&key, out_string(entry, "at") ? out_string(entry, "at") : "");
    if (key.data != NULL && json_object_get(t->shown, key.data) != NULL)
        news = false;
    else if (key.data != NULL)
        json_object_set_new(t->shown, key.data, json_true());
    buf_fini(&key);
    return news;
}

static void say_open(const json_t *whole)
{
    struct buf text;
    size_t i, n = 0;
    json_t *entry;

    buf_init(&text, 4096);
    json_array_foreach(json_object_get(whole, "entries"), i, entry)
    {
        const char *kind = out_string(entry, "kind"), *sub = out_string(entry, "subscription");
        const char *state = out_string(entry, "state");

        if (kind != NULL && strcmp(kind, "waiting") == 0 && n++ < 5)
            buf_addf(&text, "%s%s (%s)", n > 1 ? ", " : "", sub ? sub : "-", state ? state : "?");
    }
    if (n > 0)
        out_note("Still open: %s%s", text.data ? text.data : "", n > 5 ? ", …" : "");
    buf_fini(&text);
}

static void say_over(const struct trace *t, const json_t *whole)
{
    int64_t delivered = out_integer(whole, "deliveries.delivered");
    int64_t dead = out_integer(whole, "deliveries.dead");
    int64_t discarded = out_integer(whole, "deliveries.discarded");
    const char *id = out_string(whole, "id");

    if (t->cli->format != OUT_TABLE || delivered + dead + discarded == 0)
        return;
    if (dead > 0)
        out_note("Over: %s delivered, %s dead, %s discarded. Next: webhookctl dlq show %s",
                 TEXT_COUNTED(delivered), TEXT_COUNTED(dead), TEXT_COUNTED(discarded),
                 id ? id : "");
    else
        out_note("Over: %s delivered, %s discarded", TEXT_COUNTED(delivered),
                 TEXT_COUNTED(discarded));
}

static int trace_follow(struct trace *t, const char *ref)
{
    struct follow f;
    struct answer a;
    struct buf path;
    json_t *last = NULL, *entry;
    size_t i;
    int rc;

    buf_init(&path, 16384);
    client_path(&path, "events", ref, "trace");
    t->shown = json_object();
    follow_begin(&f, t->cli);
    do {
        rc = follow_get(&f, path.data, NULL, &a);
        if (rc != 0)
            continue;
        measure(t, a.json);
        json_array_foreach(json_object_get(a.json, "entries"), i, entry)
        {
            if (is_new(t, entry))
                entry_print(t, a.json, entry);
        }
        json_decref(last);
        last = json_incref(a.json);
        answer_fini(&a);
    } while ((rc == -1 || (rc == 0 && out_integer(last, "open") > 0)) &&
             follow_pause(LOOK_EVERY_MS));
    if (rc == CLI_UNREACHABLE)
        out_note("-f follows what a running webhookd does; without -f the trace is read from the "
                 "store");
    if (follow_interrupted()) {
        say_open(last);
        rc = CLI_INTERRUPTED;
    } else if (rc == 0) {
        say_over(t, last);
    }
    follow_end(&f);
    json_decref(last);
    json_decref(t->shown);
    buf_fini(&path);
    return rc;
}

int cmd_event_trace(struct cli *cli)
{
    struct trace t = {.cli = cli};
    const char *ref = cli->args->words[0];
    char whole[IDS_MAX];
    int rc = ids_whole(cli, "dlv", ref, whole);

    if (rc != 0)
        return rc;
    ref = *whole ? whole : ref;
    if (cli_flag(cli, FLAG_FOLLOW) == NULL)
        return trace_once(&t, ref);
    if (cli->format == OUT_JSON)
        return out_fail(cli, CLI_USAGE, "usage",
                        "-f -o json: one document cannot follow: use -o jsonl, an entry a line");
    return trace_follow(&t, ref);
}
