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
#include "cli/job_words.h"
#include "cli/object.h"
#include "cli/out.h"
#include "cli/replay_preview.h"

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
    if (cli_flag(cli, FLAG_TO) != NULL)
        json_object_set_new(body, "to", json_string(cli_flag(cli, FLAG_TO)));
    if (cli_flag(cli, FLAG_NOTE) != NULL)
        json_object_set_new(body, "note", json_string(cli_flag(cli, FLAG_NOTE)));
    if (cli_flag(cli, FLAG_IGNORE_EXPIRY) != NULL)
        json_object_set_new(body, "ignore_expiry", json_true());
    return rc;
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
        rc = filter_empty(cli, f, says);
        /* one named by hand that is not there is a mistake; a filter that is empty is an answer */
        return cli->args->words_n > 0 ? CLI_NOT_FOUND : rc;
    }
    buf_init(&why, 4096);
    replay_preview_excluded(&why, a);
    rc = out_fail(cli, CLI_NO, "not_replayable",
                  excluded == 1 ? "the %s %s that matches cannot be sent: %s"
                                : "none of the %s %s that match can be sent: %s",
                  TEXT_COUNTED(excluded), sending_noun(s, excluded), why.data ? why.data : "");
    buf_fini(&why);
    replay_preview_obstacles(cli, stderr, a);
    return rc;
}

static void question_text(const struct sending *s, char *out, size_t room, const json_t *a)
{
    double rate = json_number_value(out_member(a, "options.rate_per_second"));
    int64_t count = out_integer(a, "count");
    char pace[32] = "", about[PREVIEW_ABOUT_MAX], where[224] = "";

    if (rate > 0)
        snprintf(pace, sizeof pace, " at %g/s", rate);
    if (replay_preview_to(a) != NULL)
        snprintf(where, sizeof where, " to %.200s", replay_preview_to(a));
    replay_preview_about(a, about);
    snprintf(out, room, *about ? "%s %s %s%s%s (%s)? [y/N] " : "%s %s %s%s%s%s? [y/N] ",
             *where ? "Send copies of" : s->Verb, TEXT_COUNTED(count), sending_noun(s, count),
             where, pace, about);
}

/* The answer as a screen or as JSON, and the command that sends just that. */
static void dry_run_print(struct cli *cli, const struct sending *s, const struct filter_flags *f,
                          const json_t *a)
{
    struct buf command, line;
    bool some = out_integer(a, "count") > 0;

    if (cli->format == OUT_ID) /* that is the job's, and there is none */
        return;
    buf_init(&command, (size_t)1 << 20);
    buf_init(&line, (size_t)1 << 20);
    if (some)
        replay_preview_command(cli, s, f, a, &command);
    if (cli->format != OUT_TABLE) {
        json_t *shown = json_copy((json_t *)(uintptr_t)a);

        json_object_set_new(shown, "command", some ? json_string(command.data) : json_null());
        out_json(shown, cli->format == OUT_JSONL);
        json_decref(shown);
    } else {
        replay_preview_print(cli, s, stdout, a);
        buf_addf(&line, "%s %s: %s", s->Verb, s->exactly, command.data);
        if (some)
            out_line(stdout, line.data);
    }
    buf_fini(&command);
    buf_fini(&line);
}

/* What was shown is what is sent: whatever dies until somebody says yes is not in it. */
static void fix_set(json_t *body, const json_t *a)
{
    json_t *filter = json_object_get(body, "filter");

    if (json_object_get(filter, "until") == NULL)
        json_object_set(filter, "until", json_object_get(a, "until"));
}

/* Nobody is asked for what is refused after. */
static int blocked(struct cli *cli, const json_t *a)
{
    struct buf why;
    int rc = 0;

    buf_init(&why, 4096);
    if (replay_preview_blocked(a, &why))
        rc = out_fail(cli, CLI_LATER, "job_active", "%s", why.data ? why.data : "");
    buf_fini(&why);
    return rc;
}

static enum api_kind sending_kind(const struct sending *s)
{
    return s == &sending_replay ? API_KIND_LETTERS : API_KIND_DELIVERIES;
}

/* 0: go on where *agreed, how many were shown, is not 0; else it is over. */
static int replay_preview(struct cli *cli, const struct sending *s, const struct filter_flags *f,
                          json_t *body, int64_t *agreed)
{
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    struct answer a;
    char question[512];

    *agreed = 0;
    if (no_ids(f))
        return nothing_to_send(cli, s, f, NULL);
    int rc = client_call_json(cli, "POST", s->preview, json_incref(body), &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    int64_t count = out_integer(a.json, "count");

    filter_answered(f, a.json);
    filter_unmatched_head(f, sending_kind(s));
    (void)filter_unmatched(f, sending_kind(s));

    if (dry && (cli->format != OUT_TABLE || count + out_integer(a.json, "excluded") > 0))
        dry_run_print(cli, s, f, a.json);
    else if (count == 0)
        rc = nothing_to_send(cli, s, f, a.json);
    else if (!dry && (rc = blocked(cli, a.json)) != 0)
        ; /* said */
    else if (!dry && cli->in_tty && cli_flag(cli, FLAG_YES) == NULL)
        replay_preview_print(cli, s, stderr, a.json);
    if (dry)
        out_note("Nothing was changed.");
    fix_set(body, a.json);
    question_text(s, question, sizeof question, a.json);
    answer_fini(&a);
    if (rc == 0 && !dry && count > 0) {
        rc = cli_confirm(cli, question);
        *agreed = rc == 0 ? count : 0;
    }
    return rc;
}

/* "1 now, not 3: 2 were purged or replayed meanwhile": somebody else is at work, too. */
static void say_other_number(const struct sending *s, const json_t *job, int64_t agreed)
{
    int64_t now = out_integer(job, "counts.selected");

    if (now < agreed)
        out_note("%s now, not %s: %s %s meanwhile.", TEXT_COUNTED(now), TEXT_COUNTED(agreed),
                 TEXT_COUNTED(agreed - now),
                 s == &sending_replay ? "purged, replayed or expired" : "sent again or gone");
    else if (now > agreed)
        out_note("%s now, not %s: %s came meanwhile.", TEXT_COUNTED(now), TEXT_COUNTED(agreed),
                 TEXT_COUNTED(now - agreed));
}

static int replay_start(struct cli *cli, const struct sending *s, json_t *body, int64_t agreed,
                        int64_t wait_ms)
{
    struct answer a;
    char id[ID_TEXT_MAX + 8];
    int rc = client_call_json(cli, "POST", s->path, json_incref(body), &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    text_copy(id, sizeof id, out_string(a.json, "id") ? out_string(a.json, "id") : "");
    say_other_number(s, a.json, agreed);
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
        job_say_commands(id);
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
    int64_t agreed = 0;
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
        rc = replay_preview(cli, s, &f, body, &agreed);
    if (rc == 0 && agreed > 0)
        rc = replay_start(cli, s, body, agreed, wait_ms);
    if (rc == 0 && agreed > 0 && json_object_size(f.unmatched) > 0)
        rc = CLI_PARTIAL; /* not all that were named were sent */
    json_decref(body);
    filter_flags_fini(&f);
    return rc;
}

int cmd_dlq_replay(struct cli *cli)
{
    return send_again(cli, &sending_replay);
}

int cmd_delivery_resend(struct cli *cli)
{
    return send_again(cli, &sending_resend);
}
