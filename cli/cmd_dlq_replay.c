/* cli/cmd_dlq_replay.c: dlq replay and delivery resend: preview, ask, make the job, follow it to what
 * was delivered. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/job_follow.h"
#include "cli/object.h"
#include "cli/out.h"

enum { TYPES_SHOWN = 5 };

/* What the two commands differ in. */
struct sending {
    const char *command, *path, *preview;
    const char *verb, *Verb, *one, *many; /* "replay", "dead letter" */
    const char *when;                     /* "died": of the oldest and the newest */
    const char *oldest, *newest;          /* members of the preview */
    const char *column;
};
static const struct sending replay = {"dlq replay",
                                      "/api/v1/replays",
                                      "/api/v1/replays/preview",
                                      "replay",
                                      "Replay",
                                      "dead letter",
                                      "dead letters",
                                      "died",
                                      "oldest_died_at",
                                      "newest_died_at",
                                      "LETTERS"};
static const struct sending resend = {"delivery resend",
                                      "/api/v1/deliveries/resend",
                                      "/api/v1/deliveries/resend/preview",
                                      "resend",
                                      "Resend",
                                      "delivery",
                                      "deliveries",
                                      "created",
                                      "oldest_created_at",
                                      "newest_created_at",
                                      "DELIVERIES"};

static const char *noun(const struct sending *s, int64_t n)
{
    return n == 1 ? s->one : s->many;
}

/* ---- what was asked for ---- */
/* --canary 3, --stop-at 0.5 */
static int number_flag(struct cli *cli, enum flag_id flag, double max, const char *what,
                       json_t *body, const char *member)
{
    const char *text = cli_flag(cli, flag);
    char *end;

    if (text == NULL)
        return 0;
    double n = strtod(text, &end);

    if (end == text || *end || !isfinite(n) || n < 0 || n > max)
        return out_fail(cli, CLI_USAGE, "usage", "--%s %s: not %s", flags_table[flag].name, text,
                        what);
    json_object_set_new(body, member, json_real(n));
    return 0;
}

static int word_flag(struct cli *cli, enum flag_id flag, json_t *body, const char *member)
{
    const char *text = cli_flag(cli, flag), *words = flags_table[flag].words;
    char word[16];

    if (text == NULL)
        return 0;
    for (size_t i = 0; args_word(words, i, word, sizeof word); i++) {
        if (strcmp(word, text) == 0) {
            json_object_set_new(body, member, json_string(text));
            return 0;
        }
    }
    return out_fail(cli, CLI_USAGE, "usage", "--%s %s: not one of %s", flags_table[flag].name, text,
                    words);
}

/* The request, as preview and replay take it. */
static int replay_body(struct cli *cli, const struct filter_flags *f, json_t *body)
{
    double rate = 0;
    int rc = filter_rate(cli, &rate);

    json_object_set(body, "filter", f->json);
    if (rate > 0)
        json_object_set_new(body, "rate_per_second", json_real(rate));
    if (rc == 0)
        rc = number_flag(cli, FLAG_CANARY, 1000, "a number from 0 to 1000", body, "canary");
    if (rc == 0)
        rc = number_flag(cli, FLAG_STOP_AT, 1, "a ratio from 0 to 1", body, "stop_at_ratio");
    if (rc == 0)
        rc = word_flag(cli, FLAG_ATTEMPTS, body, "attempts");
    if (rc == 0)
        rc = word_flag(cli, FLAG_ORDER, body, "order");
    if (cli_flag(cli, FLAG_NOTE) != NULL)
        json_object_set_new(body, "note", json_string(cli_flag(cli, FLAG_NOTE)));
    if (cli_flag(cli, FLAG_IGNORE_EXPIRY) != NULL)
        json_object_set_new(body, "ignore_expiry", json_true());
    return rc;
}

/* ---- the preview as a screen ---- */
/* "302 trade.settled, 69 trade.cancelled"; hostile types are made harmless. */
static void put_types(struct buf *out, const json_t *types)
{
    size_t i, n = json_array_size(types);
    json_t *row;

    json_array_foreach(types, i, row)
    {
        if (i == TYPES_SHOWN) {
            buf_addf(out, ", and %zu other types", n - TYPES_SHOWN);
            break;
        }
        buf_addf(out, "%s%lld %s", i > 0 ? ", " : "", (long long)out_integer(row, "count"),
                 out_string(row, "type"));
    }
}

/* ", died 2h ago (oldest) to 12m ago", as the clock on the wall elsewhere than on a terminal. */
static void put_when(const struct cli *cli, const struct sending *s, struct buf *out,
                     const json_t *a)
{
    json_t *oldest = json_object_get(a, s->oldest);

    if (oldest == NULL || json_is_null(oldest))
        return;
    buf_addf(out, ", %s ", s->when);
    out_value(cli, oldest, OUT_TIME, out);
    buf_adds(out, " (oldest) to ");
    out_value(cli, json_object_get(a, s->newest), OUT_TIME, out);
}

static void print_escaped(FILE *to, const struct buf *text)
{
    struct buf safe;

    buf_init(&safe, (size_t)1 << 16);
    text_escape_terminal(&safe, text->data ? text->data : "", text->len, true);
    fprintf(to, "%s\n", safe.data ? safe.data : "");
    buf_fini(&safe);
}

static void print_what(const struct cli *cli, const struct sending *s, FILE *to, const json_t *a)
{
    struct buf text;
    char size[32];
    int64_t count = out_integer(a, "count");

    buf_init(&text, (size_t)1 << 16);
    text_size(size, sizeof size, out_integer(a, "payload_bytes"));
    buf_addf(&text, "Would %s %lld %s", s->verb, (long long)count, noun(s, count));
    if (json_array_size(json_object_get(a, "types")) > 0) {
        buf_adds(&text, " (");
        put_types(&text, json_object_get(a, "types"));
        buf_addc(&text, ')');
    }
    buf_addf(&text, ", %s", size);
    put_when(cli, s, &text, a);
    buf_addc(&text, count > 0 ? ':' : '.');
    print_escaped(to, &text);
    buf_fini(&text);
}

static void print_targets(struct cli *cli, const struct sending *s, FILE *to, const json_t *a)
{
    const struct out_column columns[] = {{"TO", "subscription|subscription_id", OUT_TEXT},
                                         {s->column, "count", OUT_TEXT},
                                         {"STATE NOW", "state", OUT_STATE},
                                         {"URL", "url", OUT_LONG},
                                         {"LAST SUCCESS", "last_success_at", OUT_TIME},
                                         OUT_COLUMNS_END};
    const json_t *targets = json_object_get(a, "targets");
    int64_t total = out_integer(a, "targets_total");
    struct out_table *t = out_table_new(cli, columns);
    json_t *row;
    size_t i;

    out_table_to(t, to);
    json_array_foreach(targets, i, row) out_table_row(t, row);
    out_table_print(t);
    if (total > (int64_t)json_array_size(targets))
        fprintf(to, "(and %lld others)\n", (long long)(total - (int64_t)json_array_size(targets)));
}

/* "Canary 1, then 20/s; stops if >50% of the last 20 fail. About 19 s. …" */
static void print_plan(FILE *to, const json_t *a)
{
    double rate = json_number_value(out_member(a, "options.rate_per_second"));
    double stop_at = json_number_value(out_member(a, "options.stop_at_ratio"));
    double seconds = json_number_value(json_object_get(a, "about_seconds"));
    int64_t canary = out_integer(a, "options.canary");
    char span[32];

    if (canary > 0)
        fprintf(to, "Canary %lld, then ", (long long)canary);
    if (rate > 0)
        fprintf(to, "%g/s", rate);
    else
        fprintf(to, canary > 0 ? "as fast as it goes" : "As fast as it goes");
    fprintf(to, stop_at < 1 ? "; stops if >%g%% of the last 20 fail." : "; stops for no failures.",
            stop_at * 100);
    if (seconds > 0) {
        text_ago(span, sizeof span, (int64_t)(seconds * 1000) + 999);
        fprintf(to, " About %s.", span);
    }
    fputs(" The receiver sees the same webhook-id as before.\n", to);
}

static const char *reason_text(const char *reason)
{
    static const struct {
        const char *reason, *text;
    } rows[] = {{"expired", "expired: --ignore-expiry sends them"},
                {"payload_gone", "payload gone: retention deleted it"},
                {"subscription_paused", "subscription paused"},
                {"subscription_disabled", "subscription disabled"},
                {"subscription_deleted", "subscription deleted"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (reason != NULL && strcmp(reason, rows[i].reason) == 0)
            return rows[i].text;
    return reason;
}

static void put_excluded(struct buf *out, const json_t *a)
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(a, "excluded_by"), i, row)
        buf_addf(out, "%s%lld %s", i > 0 ? "; " : "", (long long)out_integer(row, "count"),
                 reason_text(out_string(row, "reason")));
}

/* What would have to be done first, subscription by subscription. */
static void print_obstacles(FILE *to, const json_t *a)
{
    struct buf text;
    json_t *row;
    size_t i;

    buf_init(&text, (size_t)1 << 16);
    json_array_foreach(json_object_get(a, "targets"), i, row)
    {
        const char *name = out_string(row, "subscription"), *state = out_string(row, "state");
        const char *other = out_string(row, "blocked_by");
        bool paused = state != NULL && strcmp(state, "paused") == 0;

        buf_clear(&text);
        if (paused || (state != NULL && strcmp(state, "disabled") == 0))
            buf_addf(&text, "%s is %s: its letters stay where they are until webhookctl sub %s %s",
                     name, state, paused ? "resume" : "enable", name);
        else if (other != NULL)
            buf_addf(&text, "%s is active on %s: wait for it, or webhookctl job cancel %s", other,
                     name, other);
        if (text.len > 0)
            print_escaped(to, &text);
    }
    buf_fini(&text);
    if (json_is_true(json_object_get(a, "egress_paused")))
        fputs("Egress is paused: it begins after webhookctl egress resume\n", to);
}

static void print_preview(struct cli *cli, const struct sending *s, FILE *to, const json_t *a)
{
    struct buf text;

    print_what(cli, s, to, a);
    if (json_array_size(json_object_get(a, "targets")) > 0)
        print_targets(cli, s, to, a);
    if (out_integer(a, "count") > 0)
        print_plan(to, a);
    if (out_integer(a, "excluded") > 0) {
        buf_init(&text, 4096);
        put_excluded(&text, a);
        fprintf(to, "Left out: %lld (%s)\n", (long long)out_integer(a, "excluded"),
                text.data ? text.data : "");
        buf_fini(&text);
    }
    print_obstacles(to, a);
}

/* ---- asking, and the job ---- */
static bool no_ids(const struct filter_flags *f)
{
    const json_t *ids = json_object_get(f->json, "id");

    return json_is_array(ids) && json_array_size(ids) == 0;
}

/* Nothing can be sent: why, and the exit code. */
static int nothing_to_send(struct cli *cli, const struct sending *s, const struct filter_flags *f,
                           const json_t *a)
{
    struct buf why;
    char says[96];
    int64_t excluded = a != NULL ? out_integer(a, "excluded") : 0;
    int rc;

    if (excluded == 0) {
        (void)snprintf(says, sizeof says, "No %s match; nothing to %s.", s->many, s->verb);
        filter_empty(cli, f, says);
        /* one named by hand that is not there is a mistake; a filter that is empty is an answer */
        return cli->args->words_n > 0 ? CLI_NOT_FOUND : CLI_OK;
    }
    buf_init(&why, 4096);
    put_excluded(&why, a);
    rc = out_fail(cli, CLI_NO, "not_replayable", "none of the %lld %s that match can be sent: %s",
                  (long long)excluded, s->many, why.data ? why.data : "");
    buf_fini(&why);
    print_obstacles(stderr, a);
    return rc;
}

static void question_text(const struct sending *s, char *out, size_t room, const json_t *a)
{
    double rate = json_number_value(out_member(a, "options.rate_per_second"));
    double seconds = json_number_value(json_object_get(a, "about_seconds"));
    int64_t count = out_integer(a, "count");
    char pace[64] = "", span[32];

    if (rate > 0) {
        text_ago(span, sizeof span, (int64_t)(seconds * 1000) + 999);
        snprintf(pace, sizeof pace, " at %g/s (about %s)", rate, span);
    }
    snprintf(out, room, "%s %lld %s%s? [y/N] ", s->Verb, (long long)count, noun(s, count), pace);
}

/* 0: go on with *go; else it is over. */
static int replay_preview(struct cli *cli, const struct sending *s, const struct filter_flags *f,
                          json_t *body, bool *go)
{
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    struct answer a;
    char question[160];

    *go = false;
    if (no_ids(f))
        return nothing_to_send(cli, s, f, NULL);
    int rc = client_call_json(cli, "POST", s->preview, json_incref(body), &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    int64_t count = out_integer(a.json, "count");

    if (dry && cli->format != OUT_TABLE)
        out_json_raw(a.raw.data, a.raw.len);
    else if (dry && count + out_integer(a.json, "excluded") > 0)
        print_preview(cli, s, stdout, a.json);
    else if (count == 0)
        rc = nothing_to_send(cli, s, f, a.json);
    else if (!dry && cli->in_tty && cli_flag(cli, FLAG_YES) == NULL)
        print_preview(cli, s, stderr, a.json);
    if (dry)
        out_note("Nothing was changed.");
    question_text(s, question, sizeof question, a.json);
    answer_fini(&a);
    if (rc == 0 && !dry && count > 0) {
        rc = cli_confirm(cli, question);
        *go = rc == 0;
    }
    return rc;
}

static int replay_start(struct cli *cli, const struct sending *s, json_t *body, int64_t wait_ms)
{
    struct answer a;
    char id[ID_TEXT_MAX + 8];
    int rc = client_call_json(cli, "POST", s->path, json_incref(body), &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    text_copy(id, sizeof id, out_string(a.json, "id") ? out_string(a.json, "id") : "");
    bool detach = cli_flag(cli, FLAG_DETACH) != NULL, waits = a.in_process;

    if ((detach || waits) && !object_plain(cli, &a, id))
        puts(id);
    answer_fini(&a);
    if (waits) {
        out_note("%s is queued; it runs when webhookd starts. Watch: webhookctl job watch %s", id,
                 id);
        return detach ? CLI_OK : CLI_LATER;
    }
    out_note("%s started (the set is fixed now: later %s are not included)", id, s->many);
    if (detach) {
        out_note("Watch: webhookctl job watch %s   Stop: webhookctl job cancel %s", id, id);
        return CLI_OK;
    }
    out_note("Ctrl-C leaves it running; webhookctl job cancel %s stops it.", id);
    return job_follow(cli, id, wait_ms);
}

static int send_again(struct cli *cli, const struct sending *s)
{
    struct filter_flags f;
    json_t *body = json_object();
    int64_t wait_ms = -1;
    bool go = false;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = dlq_selected(cli, &f, s->command);
    if (rc == 0)
        rc = filter_duration(cli, FLAG_WAIT, &wait_ms);
    if (rc == 0 && cli_flag(cli, FLAG_WAIT) && cli_flag(cli, FLAG_DETACH))
        rc = out_fail(cli, CLI_USAGE, "usage", "--wait and --detach exclude each other");
    if (rc == 0)
        rc = dlq_limit(cli, &f);
    if (rc == 0)
        rc = replay_body(cli, &f, body);
    if (rc == 0)
        rc = replay_preview(cli, s, &f, body, &go);
    if (rc == 0 && go)
        rc = replay_start(cli, s, body, wait_ms);
    json_decref(body);
    filter_flags_fini(&f);
    return rc;
}

int cmd_dlq_replay(struct cli *cli)
{
    return send_again(cli, &replay);
}

int cmd_delivery_resend(struct cli *cli)
{
    return send_again(cli, &resend);
}
