/* cli/cmd_job.c: jobs are held, let go, cancelled, hurried, followed (job_follow.c); a line each. Looks:
 * cmd_job_look.c. */
#include <string.h>

#include "base/text.h"
#include "cli/filter.h"
#include "cli/job_follow.h"
#include "cli/job_words.h"
#include "cli/object.h"

#define WORDS_MAX 4096

static int64_t count(const json_t *job, const char *name)
{
    return out_integer(json_object_get(job, "counts"), name);
}

static bool delivers(const json_t *job)
{
    return json_is_true(json_object_get(job, "delivers"));
}

/* "12 delivered, 5 on their way, 46 not sent" */
static void put_stand(struct buf *out, const json_t *job, const char *underway_too)
{
    int64_t underway = count(job, "waiting") + count(job, "retrying");
    const char *state = out_string(job, "state");
    bool copies = out_string(job, "options.to") != NULL;
    bool cancelled = state != NULL && strcmp(state, "cancelled") == 0;

    if (!delivers(job)) {
        buf_addf(out, "%s of %s done", TEXT_COUNTED(count(job, "done")),
                 TEXT_COUNTED(count(job, "selected")));
        return;
    }
    buf_addf(out, "%s delivered", TEXT_COUNTED(count(job, "delivered")));
    if (count(job, "dead_again") > 0)
        buf_addf(out, ", %s dead again", TEXT_COUNTED(count(job, "dead_again")));
    if (copies && count(job, "discarded") > 0)
        buf_addf(out, ", %s failed", TEXT_COUNTED(count(job, "discarded")));
    if (underway > 0)
        buf_addf(out, ", %s on their way%s", TEXT_COUNTED(underway),
                 copies && cancelled ? " (they are discarded)" : underway_too);
    if (count(job, "gone") > 0)
        buf_addf(out, ", %s gone", TEXT_COUNTED(count(job, "gone")));
    buf_addf(out, ", %s not sent", TEXT_COUNTED(count(job, "not_sent")));
}

/* One change, and one line about it on stderr. */
typedef void say_fn(struct buf *out, const char *id, const json_t *job);

static int tap(struct cli *cli, const char *verb, json_t *body, say_fn *say)
{
    const char *ref = cli->args->words[0];
    struct answer a;
    struct buf line;
    int rc = object_change(cli, "POST", "jobs", ref, verb, body, &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        buf_init(&line, WORDS_MAX);
        say(&line, out_string(a.json, "id") ? out_string(a.json, "id") : ref, a.json);
        out_done(cli, "%s", line.data ? line.data : "");
        buf_fini(&line);
    }
    answer_fini(&a);
    return CLI_OK;
}

static void say_cancelled(struct buf *out, const char *id, const json_t *job)
{
    const char *kind = out_string(job, "kind");

    buf_addf(out, "%s is cancelled: ", id);
    put_stand(out, job, " (they go on)");
    if (kind != NULL && strcmp(kind, "replay") == 0 && count(job, "not_sent") > 0)
        buf_adds(out, " (they stay dead)");
    buf_adds(out, ". Next: webhookctl dlq summary");
}

static void say_paused(struct buf *out, const char *id, const json_t *job)
{
    buf_addf(out, "%s is paused: ", id);
    put_stand(out, job, " (they go on)");
    buf_addf(out, ". Go on: webhookctl job resume %s", id);
}

/* What is in the way of a job that is to go on, as of the first subscription where something is. */
static void put_hindrance(struct buf *out, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    size_t i;

    json_array_foreach(parts, i, part)
    {
        const char *name = out_string(part, "subscription");
        const char *state = out_string(part, "subscription_state");
        bool paused = state != NULL && strcmp(state, "paused") == 0;

        if (name == NULL || count(part, "not_sent") == 0 ||
            (!paused && (state == NULL || strcmp(state, "disabled") != 0)))
            continue;
        buf_addf(out, " Nothing goes to %s before webhookctl sub %s %s", name,
                 paused ? "resume" : "enable", name);
        return;
    }
}

static void say_resumed(struct buf *out, const char *id, const json_t *job)
{
    buf_addf(out, "%s goes on: ", id);
    put_stand(out, job, "");
    buf_addf(out, ". Watch: webhookctl job watch %s", id);
    put_hindrance(out, job);
    if (count(job, "dead_again") > 0)
        buf_addf(out,
                 "   The %s that died again are not among them; afterwards: webhookctl dlq replay "
                 "--job %s",
                 TEXT_COUNTED(count(job, "dead_again")), id);
}

/* Why, for the audit log. */
static json_t *note_body(const struct cli *cli)
{
    return json_pack("{s:s*}", "note", cli_flag(cli, FLAG_NOTE));
}

int cmd_job_cancel(struct cli *cli)
{
    return tap(cli, "cancel", note_body(cli), say_cancelled);
}

int cmd_job_pause(struct cli *cli)
{
    return tap(cli, "pause", note_body(cli), say_paused);
}

int cmd_job_resume(struct cli *cli)
{
    return tap(cli, "resume", note_body(cli), say_resumed);
}

int cmd_job_watch(struct cli *cli)
{
    int64_t wait_ms = -1;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    return rc == 0 ? job_follow(cli, cli->args->words[0], wait_ms) : rc;
}

/* How fast it was, as words. */
static int rate_before(struct cli *cli, struct buf *out)
{
    struct answer a;
    int rc = object_get(cli, "jobs", cli->args->words[0], NULL, &a);

    if (rc != 0)
        return rc;
    job_rate_words(out, a.json);
    answer_fini(&a);
    return 0;
}

static int rate_set(struct cli *cli, double rate, const struct buf *before)
{
    const char *ref = cli->args->words[0];
    struct answer a;
    struct buf after;
    int rc = object_change(cli, "POST", "jobs", ref, "rate",
                           json_pack("{s:f}", "rate_per_second", rate), &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        const char *id = out_string(a.json, "id");

        buf_init(&after, WORDS_MAX);
        job_rate_words(&after, a.json);
        out_done(cli, "%s: %s -> %s. Watch: webhookctl job watch %s", id ? id : ref, before->data,
                 after.data, id ? id : ref);
        buf_fini(&after);
    }
    answer_fini(&a);
    return CLI_OK;
}

/* "20/s", "20"; "none": no limit. */
int cmd_job_set_rate(struct cli *cli)
{
    const char *text = cli->args->words[1];
    bool none = strcmp(text, "none") == 0 || strcmp(text, "0") == 0;
    struct buf before;
    double rate = 0;
    int rc = none ? 0 : filter_rate_of(cli, text, text, &rate);

    buf_init(&before, WORDS_MAX);
    if (rc == 0)
        rc = rate_before(cli, &before);
    if (rc == 0)
        rc = rate_set(cli, rate, &before);
    buf_fini(&before);
    return rc;
}
