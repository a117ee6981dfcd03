/* cli/job_run.c: see job_work.h.
 *
 * With the daemon stopped the job gets on by being asked for: each step is a few slices of it, in a
 * transaction of its own, so a million letters hold nobody up and Ctrl-C loses nothing. */
#include "cli/job_run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/job_words.h"
#include "cli/out.h"
#include "cli/progress.h"

#define POLL_NS 100000000L

static void take(const json_t *job, struct job_run *w)
{
    const char *id = out_string(job, "id"), *state = out_string(job, "state");
    const char *until = out_string(job, "recoverable_until");

    text_copy(w->id, sizeof w->id, id ? id : "");
    text_copy(w->state, sizeof w->state, state ? state : "");
    text_copy(w->recoverable_until, sizeof w->recoverable_until, until ? until : "");
    w->selected = out_integer(job, "counts.selected");
    w->done = out_integer(job, "counts.done");
    w->over = strcmp(w->state, "active") != 0 && strcmp(w->state, "paused") != 0;
}

/* *step: nobody but us gets it on. */
static int look(struct cli *cli, struct job_run *w, bool *step)
{
    struct answer a;
    struct buf path;

    buf_init(&path, 256);
    client_path(&path, "jobs", w->id, *step ? "step" : NULL);
    int rc = *step ? client_call_json(cli, "POST", path.data, NULL, &a)
                   : client_call(cli, "GET", path.data, NULL, NULL, &a);

    buf_fini(&path);
    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    *step = a.in_process;
    take(a.json, w);
    answer_fini(&a);
    return 0;
}

static int leave(const struct cli *cli, const struct job_run *w, bool step, bool interrupted)
{
    (void)cli;
    if (strcmp(w->state, "paused") == 0)
        out_note("%s is paused at %s of %s. Go on: webhookctl job resume %s", w->id,
                 TEXT_COUNTED(w->done), TEXT_COUNTED(w->selected), w->id);
    else if (step)
        out_note("Interrupted; %s stands at %s of %s and goes on when webhookd starts, or while it "
                 "is watched.",
                 w->id, TEXT_COUNTED(w->done), TEXT_COUNTED(w->selected));
    else
        out_note("%s %s continues.", interrupted ? "Detached;" : "Not done yet;", w->id);
    if (strcmp(w->state, "paused") != 0)
        job_say_commands(w->id);
    return interrupted ? CLI_INTERRUPTED : CLI_LATER;
}

static int by_counts(const struct job_run *w)
{
    return w->done >= w->selected ? CLI_OK : w->done > 0 ? CLI_PARTIAL : CLI_NO;
}

static int follow(struct cli *cli, struct job_run *w, int64_t wait_ms)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = POLL_NS};
    struct progress p;
    int64_t until_ms = wait_ms < 0 ? INT64_MAX : clock_mono_ms() + wait_ms;
    bool step = false, late = false;
    int rc = 0;

    progress_begin(&p, cli);
    while (rc == 0 && !progress_interrupted() && !late) {
        rc = look(cli, w, &step);
        if (rc != 0 || strcmp(w->state, "paused") == 0)
            break;
        if (w->over)
            progress_last(&p);
        progress_show(&p, w->done, w->selected, "");
        if (w->over)
            break;
        late = clock_mono_ms() >= until_ms;
        if (!step && !late)
            nanosleep(&pause, NULL);
    }
    progress_end(&p);
    if (rc != 0)
        return rc;
    return w->over ? by_counts(w) : leave(cli, w, step, progress_interrupted());
}

int job_run_follow(struct cli *cli, const char *id, struct job_run *out)
{
    int64_t wait_ms = -1;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    *out = (struct job_run){.over = false};
    text_copy(out->id, sizeof out->id, id);
    return rc == 0 ? follow(cli, out, wait_ms) : rc;
}

int job_run_flags(struct cli *cli)
{
    int64_t wait_ms = -1;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    if (rc == 0 && cli_flag(cli, FLAG_WAIT) && cli_flag(cli, FLAG_DETACH))
        rc = out_fail(cli, CLI_USAGE, "usage", "--wait and --detach exclude each other");
    return rc;
}

int job_run_start(struct cli *cli, const char *path, json_t *body, struct job_run *out)
{
    struct answer a;
    int64_t wait_ms = -1;

    *out = (struct job_run){.over = false};
    (void)filter_duration(cli, FLAG_WAIT, &wait_ms); /* judged by job_run_flags() */
    int rc = client_call_json(cli, "POST", path, body, &a);
    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    take(a.json, out);
    answer_fini(&a);
    if (cli_flag(cli, FLAG_DETACH) == NULL)
        return follow(cli, out, wait_ms);
    out_note("%s started.", out->id);
    job_say_commands(out->id);
    return CLI_OK;
}
