/* cli/cmd_status.c: the whole on one screen: dense lines that say how it is, then a line beginning
 * with `!` for everything that waits for somebody, with the command to type next. Never takes the
 * store's lock. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/job_words.h"
#include "cli/out.h"
#include "cli/out_parts.h"
#include "cli/sub_words.h"

#define TEXT_MAX_BYTES 16384
#define LONG_WAIT_MS 60000 /* what is due for longer, waits too long */

/* Escaped: a reason may hold what somebody else wrote. */
static const char *safe(struct buf *b, const char *text)
{
    buf_clear(b);
    text_escape_terminal(b, text ? text : "-", text ? strlen(text) : 1, false);
    return b->data ? b->data : "";
}

static void value(struct out_parts *s, struct buf *b, const json_t *json, const char *path,
                  enum out_kind kind)
{
    out_value(s->cli, out_member(json, path), kind, b);
}

/* ---- how it is ---- */
static void head_print(struct out_parts *s, const json_t *j)
{
    bool ready = json_is_true(json_object_get(j, "ready"));
    struct buf b;
    char size[32], log[32];

    buf_init(&b, TEXT_MAX_BYTES);
    buf_addf(&b, "webhookd %s", out_string(j, "version"));
    out_part(s, STYLE_HEAD, b.data);
    buf_clear(&b);
    buf_addf(&b, "pid %lld", (long long)out_integer(j, "pid"));
    out_part(s, STYLE_PLAIN, b.data);
    buf_clear(&b);
    buf_adds(&b, "up ");
    span_words(&b, ago_ms(json_object_get(j, "started_at")));
    out_part(s, STYLE_PLAIN, b.data);
    out_part(s, ready ? STYLE_GOOD : STYLE_BAD,
             ready                                          ? "ready"
             : json_is_true(json_object_get(j, "draining")) ? "not ready, draining"
                                                            : "not ready");
    out_parts_end(s);
    const char *url = out_string(j, "store.url");
    out_part(s, STYLE_PLAIN, safe(&b, url));
    text_size(size, sizeof size, out_integer(j, "store.file_bytes"));
    text_size(log, sizeof log, out_integer(j, "store.log_bytes"));
    buf_clear(&b);
    buf_addf(&b, "%s (log in use %s)", size, log);
    out_part(s, STYLE_PLAIN, b.data);
    out_parts_end(s);
    buf_fini(&b);
}

static void counted(struct out_parts *s, const json_t *j, const char *path, const char *name,
                    enum out_style style)
{
    char n[32];
    struct buf b;

    buf_init(&b, 256);
    buf_addf(&b, "%s %s", name, text_count(n, sizeof n, out_integer(j, path)));
    out_part(s, out_integer(j, path) > 0 ? style : STYLE_PLAIN, b.data);
    buf_fini(&b);
}

static void deliveries_print(struct out_parts *s, const json_t *j)
{
    struct buf b;

    buf_init(&b, TEXT_MAX_BYTES);
    buf_adds(&b, "backlog ");
    waiting_words(&b, j);
    out_part(s, out_integer(j, "held") > 0 ? STYLE_WAITS : STYLE_PLAIN, b.data);
    if (json_is_string(json_object_get(j, "oldest_due_at"))) {
        buf_clear(&b);
        buf_adds(&b, "oldest ");
        ago_words(s->cli, &b, json_object_get(j, "oldest_due_at"));
        buf_addf(&b, " (%s)", out_string(j, "oldest_due_subscription"));
        out_part(s, STYLE_PLAIN, b.data);
    }
    buf_clear(&b);
    buf_addf(&b, "in flight %s/%s", TEXT_COUNTED(out_integer(j, "in_flight")),
             TEXT_COUNTED(out_integer(j, "in_flight_limit")));
    out_part(s, STYLE_PLAIN, b.data);
    counted(s, j, "deliveries.dead", "dead", STYLE_BAD);
    counted(s, j, "deliveries.delivered", "delivered", STYLE_PLAIN);
    out_parts_end(s);
    buf_fini(&b);
}

static void traffic_print(struct out_parts *s, const json_t *j)
{
    static const struct {
        const char *path, *before, *after;
        enum out_kind kind;
    } parts[] = {{"delivered_per_second", "", " delivered/s", OUT_RATE},
                 {"last_5m.ok", "last 5m: ", " ok", OUT_COUNT},
                 {"last_5m.failed", "", " failed", OUT_COUNT},
                 {"last_5m.p50_seconds", "p50 ", "", OUT_BRIEF},
                 {"last_5m.p95_seconds", "p95 ", "", OUT_BRIEF},
                 {"last_5m.p99_seconds", "p99 ", "", OUT_BRIEF}};
    struct buf b;

    buf_init(&b, 1024);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (json_is_null(out_member(j, parts[i].path)))
            continue;
        buf_clear(&b);
        buf_adds(&b, parts[i].before);
        value(s, &b, j, parts[i].path, parts[i].kind);
        buf_adds(&b, parts[i].after);
        out_part(s, STYLE_PLAIN, b.data);
    }
    out_parts_end(s);
    buf_fini(&b);
}

static void config_print(struct out_parts *s, const json_t *j)
{
    int64_t reloads = out_integer(j, "config_reloads");
    size_t outboxes = json_array_size(json_object_get(j, "outboxes"));
    struct buf b;

    buf_init(&b, 1024);
    buf_addf(&b, "subscriptions %s active", TEXT_COUNTED(out_integer(j, "subscriptions.active")));
    if (out_integer(j, "subscriptions.paused") > 0)
        buf_addf(&b, ", %s paused", TEXT_COUNTED(out_integer(j, "subscriptions.paused")));
    if (out_integer(j, "subscriptions.disabled") > 0)
        buf_addf(&b, ", %s disabled", TEXT_COUNTED(out_integer(j, "subscriptions.disabled")));
    out_part(s, STYLE_PLAIN, b.data);
    buf_clear(&b);
    buf_addf(&b, "%s outbox%s", TEXT_COUNTED(outboxes), outboxes == 1 ? "" : "es");
    out_part(s, STYLE_PLAIN, b.data);
    buf_clear(&b);
    buf_adds(&b, "config loaded ");
    value(s, &b, j, "config_loaded_at", OUT_TIME);
    if (reloads > 0)
        buf_addf(&b, " (%s reload%s)", TEXT_COUNTED(reloads), reloads == 1 ? "" : "s");
    out_part(s, STYLE_PLAIN, b.data);
    out_parts_end(s);
    buf_fini(&b);
}

static void jobs_print(struct out_parts *s, const json_t *j)
{
    const json_t *job;
    size_t i;
    struct buf b;

    buf_init(&b, 1024);
    json_array_foreach(json_object_get(j, "jobs"), i, job)
    {
        int64_t all = out_integer(job, "counts.selected");
        int64_t over = out_integer(job, "counts.done");

        buf_clear(&b);
        buf_addf(&b, "job %s: %s ", out_string(job, "id"), out_string(job, "kind"));
        job_state_words(&b, job);
        if (all > 0)
            buf_addf(&b, ", %s of %s", TEXT_COUNTED(over), TEXT_COUNTED(all));
        out_part(s, STYLE_PLAIN, b.data);
        out_parts_end(s);
    }
    buf_fini(&b);
}

/* ---- what waits for somebody ---- */
/* "! text.  command", the command on a line of its own where both do not fit. */
static void warn(struct out_parts *s, const char *text, const char *command)
{
    struct buf b, shown;

    buf_init(&b, TEXT_MAX_BYTES);
    buf_init(&shown, TEXT_MAX_BYTES);
    text_escape_terminal(&shown, text, strlen(text), false);
    buf_addf(&b, "! %s", shown.data ? shown.data : "");
    out_part(s, STYLE_BAD, b.data);
    out_part(s, STYLE_PLAIN, safe(&shown, command));
    out_parts_end(s);
    buf_fini(&b);
    buf_fini(&shown);
}

static void warn_count(struct out_parts *s, int64_t n, const char *one, const char *command,
                       const char *many)
{
    struct buf b;
    char count[32];

    if (n <= 0)
        return;
    buf_init(&b, 1024);
    buf_addf(&b, "%s %s", text_count(count, sizeof count, n), n == 1 ? one : many);
    warn(s, b.data, command);
    buf_fini(&b);
}

/* "1 subscription is disabled: initech" */
static void warn_stopped_subs(struct out_parts *s, const json_t *j, const char *state)
{
    const json_t *names = json_object_get(json_object_get(j, "subscriptions_stopped"), state),
                 *name;
    int64_t n = out_integer(json_object_get(j, "subscriptions"), state);
    struct buf b, command;
    char count[32];
    size_t i;

    if (n <= 0)
        return;
    buf_init(&b, 4096);
    buf_init(&command, 4096);
    buf_addf(&b, "%s subscription%s %s", text_count(count, sizeof count, n), n == 1 ? "" : "s",
             n == 1 ? "is" : "are");
    buf_addf(&b, " %s", state);
    json_array_foreach(names, i, name)
        buf_addf(&b, "%s %s", i == 0 ? ":" : ",", json_string_value(name));
    if (n > (int64_t)json_array_size(names) && json_array_size(names) > 0)
        buf_adds(&b, ", …");
    if (n == 1 && json_array_size(names) == 1)
        buf_addf(&command, "webhookctl sub show %s", json_string_value(json_array_get(names, 0)));
    else
        buf_addf(&command, "webhookctl sub list --state %s", state);
    warn(s, b.data, command.data);
    buf_fini(&b);
    buf_fini(&command);
}

static void warn_egress(struct out_parts *s, const json_t *egress)
{
    struct buf b;

    if (!json_is_true(json_object_get(egress, "paused")))
        return;
    buf_init(&b, TEXT_MAX_BYTES);
    egress_words(s->cli, &b, egress);
    warn(s, b.data, "webhookctl egress resume");
    buf_fini(&b);
}

static void warn_outboxes(struct out_parts *s, const json_t *j)
{
    const json_t *o;
    size_t i;

    json_array_foreach(json_object_get(j, "outboxes"), i, o)
    {
        const char *state = out_string(o, "state"), *name = out_string(o, "name");
        const char *url = out_string(o, "url");
        struct buf b, command;

        if (state == NULL || strcmp(state, "ok") == 0)
            continue;
        buf_init(&b, TEXT_MAX_BYTES);
        buf_init(&command, TEXT_MAX_BYTES);
        buf_addf(&b, "outbox %s ", name);
        if (strcmp(state, "failing") == 0) {
            sub_state_words(s->cli, &b, o);
            buf_addf(&b, ": %s", out_string(o, "error"));
            buf_addf(&command, "webhookctl outbox check %s",
                     url != NULL && strncmp(url, "sqlite://", 9) == 0 ? url + 9 : name);
        } else { /* it is fit itself */
            buf_adds(&b, "waits: the store's disk is nearly full");
            buf_adds(&command, "webhookctl doctor");
        }
        warn(s, b.data, command.data);
        buf_fini(&b);
        buf_fini(&command);
    }
}

static void warn_failing(struct out_parts *s, const json_t *j)
{
    const json_t *sub, *list = json_object_get(j, "failing");
    int64_t more = out_integer(j, "subscriptions.failing") - (int64_t)json_array_size(list);
    size_t i;

    json_array_foreach(list, i, sub)
    {
        struct buf b, command;
        char n[32];

        buf_init(&b, TEXT_MAX_BYTES);
        buf_init(&command, 1024);
        buf_addf(&b, "%s ", out_string(sub, "subscription"));
        sub_state_words(s->cli, &b, sub);
        if (out_integer(sub, "backlog") > 0) {
            buf_adds(&b, ", backlog ");
            waiting_words(&b, sub);
        }
        if (out_integer(sub, "dead") > 0)
            buf_addf(&b, ", %s dead", text_count(n, sizeof n, out_integer(sub, "dead")));
        buf_addf(&command, "webhookctl attempt list -s %s --limit 5",
                 out_string(sub, "subscription"));
        warn(s, b.data, command.data);
        buf_fini(&b);
        buf_fini(&command);
    }
    warn_count(s, more, "more fails", "webhookctl sub list --state failing", "more fail");
}

static bool is_among(const json_t *failing, const char *name)
{
    const json_t *sub;
    size_t i;

    json_array_foreach(failing, i, sub)
    {
        const char *other = out_string(sub, "subscription");

        if (other != NULL && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

/* Of one that does not fail: its rate, its concurrency, or webhookd itself is too slow for it. */
static void warn_late(struct out_parts *s, const json_t *j)
{
    const char *name = out_string(j, "oldest_due_subscription");
    struct buf b, command;

    if (name == NULL || ago_ms(json_object_get(j, "oldest_due_at")) < LONG_WAIT_MS ||
        is_among(json_object_get(j, "failing"), name) ||
        json_is_true(out_member(j, "egress.paused")))
        return;
    buf_init(&b, 1024);
    buf_init(&command, 1024);
    buf_addf(&b, "%s: a delivery is due for ", name);
    span_words(&b, ago_ms(json_object_get(j, "oldest_due_at")));
    buf_addf(&command, "webhookctl sub show %s", name);
    warn(s, b.data, command.data);
    buf_fini(&b);
    buf_fini(&command);
}

/* What hangs half done is somebody's. */
static void warn_stopped(struct out_parts *s, const json_t *j)
{
    const json_t *job;
    size_t i;

    json_array_foreach(json_object_get(j, "jobs_stopped"), i, job)
    {
        struct buf b, command;

        buf_init(&b, 1024);
        buf_init(&command, 1024);
        buf_addf(&command, "webhookctl job show %s", out_string(job, "id"));
        if (job_stopped_words(&b, job))
            warn(s, b.data, command.data);
        buf_fini(&b);
        buf_fini(&command);
    }
}

static void warn_config(struct out_parts *s, const json_t *j)
{
    struct buf b;

    if (!json_is_string(json_object_get(j, "config_failed_at")))
        return;
    buf_init(&b, 1024);
    buf_adds(&b, "a reload was refused ");
    value(s, &b, j, "config_failed_at", OUT_TIME);
    buf_adds(&b, "; what ran before goes on");
    warn(s, b.data, "webhookctl config check");
    buf_fini(&b);
}

static void warnings_print(struct out_parts *s, const json_t *j)
{
    size_t before = s->lines;

    warn_egress(s, json_object_get(j, "egress"));
    warn_outboxes(s, j);
    warn_failing(s, j);
    warn_late(s, j);
    warn_stopped_subs(s, j, "disabled");
    warn_stopped_subs(s, j, "paused");
    warn_count(s, out_integer(j, "deliveries.dead"), "dead letter", "webhookctl dlq summary",
               "dead letters");
    warn_stopped(s, j);
    warn_count(s, out_integer(j, "rejects"), "row of an outbox was refused",
               "webhookctl outbox rejects list", "rows of outboxes were refused");
    warn_config(s, j);
    if (s->lines == before)
        puts("Nothing waits for you.");
}

static void status_print(const struct cli *cli, const json_t *j)
{
    struct out_parts s;

    out_parts_begin(&s, cli);
    head_print(&s, j);
    deliveries_print(&s, j);
    traffic_print(&s, j);
    config_print(&s, j);
    jobs_print(&s, j);
    warnings_print(&s, j);
}

int cmd_status(struct cli *cli)
{
    struct client_request r = {.method = "GET", .path = "/api/v1/status", .daemon_only = true};
    struct answer a;
    int rc = client_send(cli, &r, &a);

    if (rc != 0)
        return rc;
    rc = client_judge(cli, &a, CLI_INTERNAL);
    if (rc == 0) {
        rc = json_is_true(json_object_get(a.json, "ready")) ? CLI_OK : CLI_NO;
        if (cli->format == OUT_TABLE)
            status_print(cli, a.json);
        else
            out_json_raw(a.raw.data, a.raw.len);
    }
    answer_fini(&a);
    return rc;
}
