/* cli/cmd_job.c: jobs: list, show, cancel, and following one to its end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cmd_dlq.h"
#include "cli/list.h"
#include "cli/object.h"

#define POLL_NS 200000000L
#define LINE_EVERY_MS 10000

struct job_now {
    char state[32];
    int64_t selected, excluded, delivered, dead;
};

static void job_read(const json_t *job, struct job_now *out)
{
    const char *state = out_string(job, "state");

    snprintf(out->state, sizeof out->state, "%s", state ? state : "");
    out->selected = out_integer(job, "counts.selected");
    out->excluded = out_integer(job, "counts.excluded");
    out->delivered = out_integer(job, "counts.delivered");
    out->dead = out_integer(job, "counts.dead_again");
}

static bool job_over(const struct job_now *j)
{
    return strcmp(j->state, "active") != 0 && strcmp(j->state, "paused") != 0;
}

static int job_exit(const struct job_now *j)
{
    int64_t missed = j->selected - j->delivered;

    if (missed <= 0 && j->dead == 0)
        return CLI_OK;
    return j->delivered > 0 ? CLI_PARTIAL : CLI_NO;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signum)
{
    (void)signum;
    interrupted = 1;
}

/* One line that is written over, on a terminal that can; else a line now and then. No escapes:
 * blanks cover what was there. It stays one column short of the width, since a line that wraps
 * cannot be written over. */
static void progress_line(const char *text)
{
    struct winsize size = {0};
    int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;

    fprintf(stderr, "\r%-*.*s\r%.*s", width - 1, width - 1, "", width - 1, text);
    fflush(stderr);
}

static bool redraws(const struct cli *cli)
{
    const char *term = getenv("TERM");

    return cli->err_tty && (term == NULL || strcmp(term, "dumb") != 0);
}

static void progress(const struct cli *cli, const struct job_now *j, int64_t *line_ms)
{
    int64_t over = j->delivered + j->dead, now = clock_mono_ms();
    int64_t whole = j->selected > over ? j->selected : over;
    char text[160], bar[21] = "                    ";

    snprintf(text, sizeof text, "%lld of %lld: delivered %lld, dead again %lld", (long long)over,
             (long long)whole, (long long)j->delivered, (long long)j->dead);
    if (redraws(cli)) {
        char line[200];

        memset(bar, '=', whole > 0 ? (size_t)(over * 20 / whole) : 0);
        snprintf(line, sizeof line, "%s [%s]", text, bar);
        progress_line(line);
    } else if (now - *line_ms >= LINE_EVERY_MS) {
        *line_ms = now;
        out_note("%s", text);
    }
}

/* What is said next stands on a line of its own. */
static void progress_end(const struct cli *cli)
{
    if (redraws(cli))
        progress_line("");
}

static void job_print(const char *id, const json_t *job, const struct job_now *j)
{
    printf("%s %s: %lld delivered, %lld dead again", id, j->state, (long long)j->delivered,
           (long long)j->dead);
    if (j->excluded > 0)
        printf(", %lld left out", (long long)j->excluded);
    if (j->selected > j->delivered + j->dead)
        printf(", %lld not sent", (long long)(j->selected - j->delivered - j->dead));
    printf(", in %.1f s\n", json_number_value(out_member(job, "elapsed_seconds")));
}

static int job_report(struct cli *cli, const char *id, const struct answer *a,
                      const struct job_now *j)
{
    if (!object_plain(cli, a, id))
        job_print(id, a->json, j);
    if (j->delivered + j->dead > 0)
        out_note("Each of them: webhookctl delivery list --job %s%s", id,
                 j->dead > 0 ? "   What is dead now: webhookctl dlq summary" : "");
    return job_exit(j);
}

/* A look at the job; with the daemon stopped, one that delivers nothing gets on by being looked at:
 * *step then says that it has more to do. */
static int job_ask(struct cli *cli, const char *id, bool *step, struct answer *a)
{
    if (!*step) {
        int rc = object_get(cli, "jobs", id, NULL, a);

        *step = rc == 0 && a->in_process && !json_is_true(json_object_get(a->json, "delivers")) &&
                strcmp(out_string(a->json, "state"), "active") == 0;
        if (rc != 0 || !*step)
            return rc;
        answer_fini(a);
    }
    int rc = object_change(cli, "POST", "jobs", id, "step", NULL, a);

    *step = rc == 0 && a->in_process && strcmp(out_string(a->json, "state"), "active") == 0;
    return rc;
}

/* One look; -1: not over yet, else the exit code. */
static int job_look(struct cli *cli, const char *id, bool *step, int64_t *line_ms)
{
    struct job_now now = {.state = ""};
    struct answer a;
    int rc = job_ask(cli, id, step, &a);

    if (rc != 0)
        return rc;
    job_read(a.json, &now);
    rc = -1;
    if (job_over(&now)) {
        progress_end(cli);
        rc = job_report(cli, id, &a, &now);
    } else if (a.in_process && !*step) {
        progress_end(cli);
        out_note("%s is %s; it goes on when webhookd starts.", id, now.state);
        rc = CLI_LATER;
    } else if (strcmp(now.state, "paused") == 0) {
        progress_end(cli);
        out_note("%s is paused. Go on: webhookctl job resume %s", id, id);
        rc = CLI_LATER;
    } else {
        progress(cli, &now, line_ms);
    }
    answer_fini(&a);
    return rc;
}

int job_follow(struct cli *cli, const char *id, int64_t wait_ms)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = POLL_NS};
    struct sigaction act = {.sa_handler = on_interrupt}, before;
    int64_t start = clock_mono_ms(), line_ms = start;
    bool step = false;
    int rc = -1;

    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, &before);
    while (rc == -1) {
        rc = job_look(cli, id, &step, &line_ms);
        if (rc != -1)
            break;
        if (wait_ms >= 0 && clock_mono_ms() - start >= wait_ms) {
            progress_end(cli);
            out_note("%s is not done yet and goes on. Watch: webhookctl job watch %s   Stop: "
                     "webhookctl job cancel %s",
                     id, id, id);
            rc = CLI_LATER;
        } else if (!interrupted && !step) {
            nanosleep(&pause, NULL);
        }
        if (interrupted) {
            progress_end(cli);
            out_note("Detached; %s continues. Watch: webhookctl job watch %s   Stop: webhookctl "
                     "job cancel %s",
                     id, id, id);
            rc = CLI_INTERRUPTED;
        }
    }
    sigaction(SIGINT, &before, NULL);
    return rc;
}

int cmd_job_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"JOB", "id", OUT_TEXT},
                                                {"KIND", "kind", OUT_TEXT},
                                                {"STATE", "state", OUT_STATE},
                                                {"SELECTED", "counts.selected", OUT_TEXT},
                                                {"DELIVERED", "counts.delivered", OUT_TEXT},
                                                {"DEAD AGAIN", "counts.dead_again", OUT_TEXT},
                                                {"CREATED", "created_at", OUT_TIME},
                                                {"BY", "actor", OUT_LONG},
                                                {"NOTE", "note", OUT_LONG},
                                                OUT_COLUMNS_END};

    return list_command(cli, "/api/v1/jobs", columns, "No jobs.");
}

static const struct out_column job_fields[] = {{"Job", "id", OUT_TEXT},
                                               {"Kind", "kind", OUT_TEXT},
                                               {"State", "state", OUT_STATE},
                                               {"Filter", "filter", OUT_TEXT},
                                               {"Rate", "options.rate_per_second", OUT_TEXT},
                                               {"By", "actor", OUT_TEXT},
                                               {"Note", "note", OUT_TEXT},
                                               {"Selected", "counts.selected", OUT_TEXT},
                                               {"Left out", "counts.excluded", OUT_TEXT},
                                               {"Queued", "counts.queued", OUT_TEXT},
                                               {"Delivered", "counts.delivered", OUT_TEXT},
                                               {"Dead again", "counts.dead_again", OUT_TEXT},
                                               {"Created", "created_at", OUT_TIME},
                                               {"Started", "started_at", OUT_TIME},
                                               {"Finished", "finished_at", OUT_TIME},
                                               OUT_COLUMNS_END};

int cmd_job_show(struct cli *cli)
{
    return object_command(cli, "GET", "jobs", cli->args->words[0], NULL, NULL, job_fields, NULL);
}

int cmd_job_cancel(struct cli *cli)
{
    return object_command(
        cli, "POST", "jobs", cli->args->words[0], "cancel", NULL, job_fields,
        "is cancelled; what was not sent stays dead. Next: webhookctl dlq summary");
}

int cmd_job_pause(struct cli *cli)
{
    return object_command(cli, "POST", "jobs", cli->args->words[0], "pause", NULL, job_fields,
                          "is paused; webhookctl job resume lets it go on");
}

int cmd_job_resume(struct cli *cli)
{
    return object_command(cli, "POST", "jobs", cli->args->words[0], "resume", NULL, job_fields,
                          "goes on; webhookctl job watch follows it");
}

int cmd_job_watch(struct cli *cli)
{
    int64_t wait_ms = -1;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    return rc == 0 ? job_follow(cli, cli->args->words[0], wait_ms) : rc;
}
