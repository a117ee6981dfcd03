/* cli/cmd_dlq_replay.c: dlq replay: preview, ask, make the job, follow it to what was delivered. */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/out.h"

static const char path[] = "/api/v1/replays";

static json_t *replay_body(struct cli *cli, const struct filter_flags *f, double rate, bool dry)
{
    json_t *body = json_object();

    json_object_set(body, "filter", f->json);
    if (rate > 0)
        json_object_set_new(body, "rate_per_second", json_real(rate));
    if (cli_flag(cli, FLAG_NOTE) != NULL)
        json_object_set_new(body, "note", json_string(cli_flag(cli, FLAG_NOTE)));
    if (cli_flag(cli, FLAG_IGNORE_EXPIRY) != NULL)
        json_object_set_new(body, "ignore_expiry", json_true());
    if (dry)
        json_object_set_new(body, "dry_run", json_true());
    return body;
}

/* --limit N: the set is the first N of the list, by their ids. */
static int replay_limit(struct cli *cli, struct filter_flags *f)
{
    size_t limit;
    int rc = filter_limit(cli, SIZE_MAX, &limit);

    return rc != 0 || limit == SIZE_MAX ? rc : filter_to_ids(cli, f, limit);
}

/* " at 20/s (about 2 s)", or nothing. */
static void pace_text(char *out, size_t room, double rate, int64_t count)
{
    char span[32];

    *out = '\0';
    if (rate <= 0)
        return;
    text_ago(span, sizeof span, (int64_t)((double)count / rate * 1000) + 999);
    snprintf(out, room, " at %g/s (about %s)", rate, span);
}

static int preview_print(struct cli *cli, struct filter_flags *f, FILE *to, const json_t *a,
                         const char *pace)
{
    char size[32];
    int64_t count = out_integer(a, "count"), excluded = out_integer(a, "excluded");

    text_size(size, sizeof size, out_integer(a, "payload_bytes"));
    fprintf(to,
            "Would replay %lld dead letter%s, %s%s. The receiver sees the same webhook-id as "
            "before.\n",
            (long long)count, count == 1 ? "" : "s", size, pace);
    if (excluded > 0)
        fprintf(to,
                "Left out: %lld (subscription deleted, or event expired: --ignore-expiry sends "
                "the latter)\n",
                (long long)excluded);
    return count + excluded > 0 ? dlq_targets_print(cli, f, to) : 0;
}

/* What stands in the way of a job; *count is the preview's. 0, or an exit code. */
static int replay_preview(struct cli *cli, struct filter_flags *f, double rate, int64_t *count,
                          int64_t *left_out)
{
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    struct answer a;
    char question[160], pace[64];

    if (json_is_array(json_object_get(f->json, "id")) &&
        json_array_size(json_object_get(f->json, "id")) == 0) {
        *count = 0;
        return 0;
    }
    int rc = client_call_json(cli, "POST", path, replay_body(cli, f, rate, true), &a);

    if (rc != 0)
        return rc;
    *count = out_integer(a.json, "count");
    *left_out = out_integer(a.json, "excluded");
    bool asks = !dry && cli->in_tty && cli_flag(cli, FLAG_YES) == NULL;

    pace_text(pace, sizeof pace, rate, *count);
    if (dry && cli->format != OUT_TABLE)
        out_json_raw(a.raw.data, a.raw.len);
    else if (*count + *left_out > 0 && (dry || (asks && *count > 0)))
        rc = preview_print(cli, f, dry ? stdout : stderr, a.json, pace);
    if (dry)
        out_note("Nothing was changed.");
    answer_fini(&a);
    if (rc != 0 || dry || *count == 0)
        return rc;
    snprintf(question, sizeof question, "Replay %lld dead letter%s%s? [y/N] ", (long long)*count,
             *count == 1 ? "" : "s", pace);
    return cli_confirm(cli, question);
}

static int replay_start(struct cli *cli, const struct filter_flags *f, double rate, int64_t wait_ms)
{
    struct answer a;
    char id[ID_TEXT_MAX + 8];
    int rc = client_call_json(cli, "POST", path, replay_body(cli, f, rate, false), &a);

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
    if (detach) {
        out_note("%s started. Watch: webhookctl job watch %s   Stop: webhookctl job cancel %s", id,
                 id, id);
        return CLI_OK;
    }
    out_note("%s started. Ctrl-C leaves it running; webhookctl job cancel %s stops it.", id, id);
    return job_follow(cli, id, wait_ms);
}

int cmd_dlq_replay(struct cli *cli)
{
    struct filter_flags f;
    double rate = 0;
    int64_t count = 0, left_out = 0, wait_ms = -1;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = dlq_selected(cli, &f, "replay");
    if (rc == 0)
        rc = filter_rate(cli, &rate);
    if (rc == 0)
        rc = filter_duration(cli, FLAG_WAIT, &wait_ms);
    if (rc == 0 && cli_flag(cli, FLAG_WAIT) && cli_flag(cli, FLAG_DETACH))
        rc = out_fail(cli, CLI_USAGE, "usage", "--wait and --detach exclude each other");
    if (rc == 0)
        rc = replay_limit(cli, &f);
    if (rc == 0)
        rc = replay_preview(cli, &f, rate, &count, &left_out);
    if (rc == 0 && count == 0 && left_out > 0 && cli_flag(cli, FLAG_DRY_RUN) == NULL) {
        rc = out_fail(cli, CLI_NO, "not_replayable",
                      "none of the %lld dead letters that match can be sent: their events have "
                      "expired (--ignore-expiry sends them) or their subscriptions are deleted",
                      (long long)left_out);
    } else if (rc == 0 && count == 0 && left_out == 0) {
        out_note("No dead letters match; nothing to replay.");
        /* one named by hand that is not there is a mistake; a filter that is empty is an answer */
        if (cli->args->words_n > 0)
            rc = CLI_NOT_FOUND;
    } else if (rc == 0 && cli_flag(cli, FLAG_DRY_RUN) == NULL) {
        rc = replay_start(cli, &f, rate, wait_ms);
    }
    filter_flags_fini(&f);
    return rc;
}
