/* cli/follow.c: see follow.h. */
#include "cli/follow.h"

#include <string.h>
#include <time.h>

#include "cli/out.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signum)
{
    (void)signum;
    interrupted = 1;
}

void follow_begin(struct follow *f, struct cli *cli)
{
    struct sigaction act = {.sa_handler = on_interrupt};

    *f = (struct follow){.cli = cli};
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, &f->before);
}

void follow_end(struct follow *f)
{
    sigaction(SIGINT, &f->before, NULL);
}

bool follow_interrupted(void)
{
    return interrupted != 0;
}

bool follow_pause(int64_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    /* who reads a pipe sees each line when it happens; what nobody can read any more is over */
    if (out_flush() != 0)
        return false;
    if (!interrupted)
        nanosleep(&pause, NULL);
    return !interrupted;
}

/* Not answered, or by one that is about to stop or has only just started. */
static bool is_away(int rc, const struct answer *a)
{
    return rc == CLI_UNREACHABLE || (rc == 0 && a->status == 503);
}

int follow_get(struct follow *f, const char *path, const char *query, struct answer *a)
{
    struct client_request r = {
        .method = "GET", .path = path, .query = query, .daemon_only = true, .quiet = f->seen};
    int rc = client_send(f->cli, &r, a);

    if (f->seen && is_away(rc, a)) {
        if (rc == 0)
            answer_fini(a);
        if (!f->away)
            out_note("webhookd does not answer (a restart?); waiting for it");
        f->away = true;
        return -1;
    }
    if (rc != 0)
        return rc;
    if (f->away)
        out_note("webhookd is back");
    f->away = false;
    f->seen = true;
    rc = client_judge(f->cli, a, CLI_USAGE);
    if (rc != 0) {
        answer_fini(a);
        return rc;
    }
    return client_readable(f->cli, a);
}
