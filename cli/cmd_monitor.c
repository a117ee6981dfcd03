/* cli/cmd_monitor.c: monitor: a line a second about the whole, in the manner of vmstat. Rates and
 * percentiles are those of the time between two lines: differences of what the daemon has counted
 * since its start. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/filter.h"
#include "cli/follow.h"
#include "cli/monitor.h"
#include "cli/out.h"
#include "cli/sub_words.h"
#include "store/traffic.h"

#define HEADER_EVERY 20
#define INTERVAL_MIN_MS 100

struct sample {
    bool known;
    int64_t at_ms, started_ms;
    struct traffic attempts;
};
struct monitor {
    struct cli *cli;
    struct sample before;
    int64_t lines;
};

static bool sample_read(const json_t *status, struct sample *out)
{
    const json_t *attempts = json_object_get(status, "attempts");
    const json_t *durations = json_object_get(attempts, "durations");
    const char *at = out_string(status, "as_of"), *started = out_string(status, "started_at");

    *out = (struct sample){.known = true};
    if (at == NULL || started == NULL || !text_parse_time(at, &out->at_ms) ||
        !text_parse_time(started, &out->started_ms) || !json_is_object(attempts))
        return false;
    out->attempts.ok = out_integer(attempts, "ok");
    out->attempts.failed = out_integer(attempts, "failed");
    out->attempts.retries = out_integer(attempts, "retries");
    out->attempts.dead = out_integer(attempts, "died");
    for (size_t i = 0; i < TRAFFIC_BUCKETS; i++)
        out->attempts.buckets[i] = json_integer_value(json_array_get(durations, i));
    return true;
}

/* What came between; another daemon has counted from 0 again. */
static struct traffic between(const struct sample *before, const struct sample *now)
{
    struct traffic t = now->attempts;

    if (!before->known || before->started_ms != now->started_ms)
        return t;
    t.ok -= before->attempts.ok;
    t.failed -= before->attempts.failed;
    t.retries -= before->attempts.retries;
    t.dead -= before->attempts.dead;
    for (size_t i = 0; i < TRAFFIC_BUCKETS; i++)
        t.buckets[i] -= before->attempts.buckets[i];
    return t;
}

static json_t *seconds_of(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e6);
}

static json_t *line_of(const json_t *status, const struct traffic *t, double seconds)
{
    json_t *line = json_object();

    json_object_set(line, "at", json_object_get(status, "as_of"));
    json_object_set(line, "ready", json_object_get(status, "ready"));
    json_object_set(line, "backlog", json_object_get(status, "backlog"));
    json_object_set(line, "due", json_object_get(status, "due"));
    json_object_set(line, "held", json_object_get(status, "held"));
    json_object_set(line, "oldest_due_at", json_object_get(status, "oldest_due_at"));
    json_object_set(line, "in_flight", json_object_get(status, "in_flight"));
    json_object_set(line, "dead", out_member(status, "deliveries.dead"));
    json_object_set_new(line, "ok_per_second", json_real((double)t->ok / seconds));
    json_object_set_new(line, "failed_per_second", json_real((double)t->failed / seconds));
    json_object_set_new(line, "retries_per_second", json_real((double)t->retries / seconds));
    json_object_set_new(line, "died_per_second", json_real((double)t->dead / seconds));
    json_object_set_new(line, "p50_seconds", seconds_of(traffic_percentile(t, 0.50)));
    json_object_set_new(line, "p99_seconds", seconds_of(traffic_percentile(t, 0.99)));
    return line;
}

static void cell(const struct cli *cli, const json_t *line, const char *member, enum out_kind kind,
                 int width)
{
    struct buf b;

    buf_init(&b, 256);
    out_value(cli, json_object_get(line, member), kind, &b);
    printf(" %*s", width, b.data ? b.data : "-");
    buf_fini(&b);
}

static void row_print(struct monitor *m, const json_t *line)
{
    const struct cli *cli = m->cli;
    struct buf age;

    if (cli->headers && (m->lines == 0 || (cli->out_tty && m->lines % HEADER_EVERY == 0)))
        printf("%-8s %6s %6s %6s %4s %7s %7s %7s %6s %6s %6s\n", "time", "due", "held", "oldest",
               "infl", "ok/s", "fail/s", "retry/s", "dead/s", "p50", "p99");
    const char *at = out_string(line, "at");

    printf("%.8s", at ? at + strlen("2026-11-22T") : "-");
    cell(cli, line, "due", OUT_COUNT, 6);
    cell(cli, line, "held", OUT_COUNT, 6);
    buf_init(&age, 64);
    span_words(&age, ago_ms(json_object_get(line, "oldest_due_at")));
    printf(" %6s", age.data ? age.data : "-");
    buf_fini(&age);
    cell(cli, line, "in_flight", OUT_COUNT, 4);
    cell(cli, line, "ok_per_second", OUT_RATE, 7);
    cell(cli, line, "failed_per_second", OUT_RATE, 7);
    cell(cli, line, "retries_per_second", OUT_RATE, 7);
    cell(cli, line, "died_per_second", OUT_RATE, 6);
    cell(cli, line, "p50_seconds", OUT_BRIEF, 6);
    cell(cli, line, "p99_seconds", OUT_BRIEF, 6);
    putchar('\n');
}

static int line_print(struct monitor *m, const json_t *status, int64_t interval_ms)
{
    struct sample now;

    if (!sample_read(status, &now))
        return out_fail(m->cli, CLI_INTERNAL, "internal",
                        "webhookd gave an answer that this webhookctl cannot read");
    bool same = m->before.known && m->before.started_ms == now.started_ms;
    struct traffic t = between(&m->before, &now);
    /* The first line of a daemon is about its whole life. */
    int64_t over_ms = now.at_ms - (same ? m->before.at_ms : now.started_ms);
    double seconds = (double)(over_ms > 0 ? over_ms : interval_ms) / 1000.0;
    json_t *line = line_of(status, &t, seconds);

    if (m->cli->format == OUT_TABLE)
        row_print(m, line);
    else
        out_json(line, true);
    json_decref(line);
    m->before = now;
    m->lines++;
    return 0;
}

int monitor_run(struct cli *cli, int64_t interval_ms, int64_t count)
{
    struct monitor m = {.cli = cli};
    struct follow follow;
    bool go_on = true;
    int rc = 0;

    follow_begin(&follow, cli);
    while (go_on) {
        struct answer a;

        rc = follow_get(&follow, "/api/v1/status", NULL, &a);
        if (rc == 0) {
            rc = line_print(&m, a.json, interval_ms);
            answer_fini(&a);
        }
        go_on = (rc == 0 || rc == -1) && (count == 0 || m.lines < count) && ferror(stdout) == 0 &&
                follow_pause(interval_ms);
    }
    follow_end(&follow);
    if (rc == 0 || rc == -1)
        rc = follow_interrupted() ? CLI_INTERRUPTED : CLI_OK;
    return rc;
}

int cmd_monitor(struct cli *cli)
{
    const char *count = cli_flag(cli, FLAG_COUNT);
    int64_t interval_ms = 1000, n = 0;
    int rc = 0;

    if (cli->format == OUT_JSON)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "-o json: one document, and this one never ends: use -o jsonl");
    if (rc == 0)
        rc = filter_duration(cli, FLAG_INTERVAL, &interval_ms);

    if (rc == 0 && interval_ms < INTERVAL_MIN_MS)
        rc = out_fail(cli, CLI_USAGE, "usage", "--interval %s: 100ms at least",
                      cli_flag(cli, FLAG_INTERVAL));
    if (rc == 0 && count != NULL) {
        const char *end = text_digits(count, &n);

        if (end == NULL || *end || n < 1)
            rc = out_fail(cli, CLI_USAGE, "usage", "--count %s: not a number from 1 on", count);
    }
    return rc == 0 ? monitor_run(cli, interval_ms, n) : rc;
}
