/* cli/progress.c: see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/out.h"

enum { BAR = 30, LINE_EVERY_MS = 10000, ETA_AFTER_MS = 1000 };

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
    (void)signum;
    interrupted = 1;
}

void progress_begin(struct progress *p, const struct cli *cli)
{
    struct sigaction act = {.sa_handler = on_signal};

    sigemptyset(&act.sa_mask);
    *p = (struct progress){.cli = cli, .start_ms = clock_mono_ms(), .first = -1};
    p->line_ms = p->start_ms;
    interrupted = 0;
    sigaction(SIGINT, &act, &p->interrupt);
    sigaction(SIGTERM, &act, &p->terminate);
}

bool progress_interrupted(void)
{
    return interrupted != 0;
}

static bool redraws(const struct cli *cli)
{
    const char *term = getenv("TERM");

    return cli->err_tty && (term == NULL || strcmp(term, "dumb") != 0);
}

/* No escapes: blanks cover what was there. It stays one column short of the width, since a line that
 * wraps cannot be written over. */
static void line(const char *text)
{
    struct winsize size = {0};
    int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;

    fflush(stdout);
    fprintf(stderr, "\r%-*.*s\r%.*s", width - 1, width - 1, "", width - 1, text);
    fflush(stderr);
}

void progress_clear(const struct progress *p)
{
    if (redraws(p->cli))
        line("");
}

void progress_end(struct progress *p)
{
    progress_clear(p);
    sigaction(SIGINT, &p->interrupt, NULL);
    sigaction(SIGTERM, &p->terminate, NULL);
}

/* "  ETA 7s", as fast as it went so far; nothing where that is not known. */
static void eta_text(const struct progress *p, int64_t done, int64_t whole, char out[32])
{
    int64_t ms = clock_mono_ms() - p->start_ms, made = done - p->first;
    char span[24];

    *out = '\0';
    if (made <= 0 || done >= whole || ms < ETA_AFTER_MS)
        return;
    text_ago(span, sizeof span,
             (int64_t)((double)ms / (double)made * (double)(whole - done)) + 999);
    snprintf(out, 32, "  ETA %s", span);
}

static void bar_text(const struct progress *p, int64_t done, int64_t whole, char out[128])
{
    char bar[BAR + 1], eta[32];
    int64_t filled = whole > 0 ? done * BAR / whole : 0;

    eta_text(p, done, whole, eta);
    memset(bar, ' ', BAR);
    bar[BAR] = '\0';
    memset(bar, '=', (size_t)filled);
    if (filled < BAR)
        bar[filled] = '>';
    snprintf(out, 128, "[%s] %lld/%lld  %lld%%%s", bar, (long long)done, (long long)whole,
             (long long)(done * 100 / whole), eta);
}

void progress_show(struct progress *p, int64_t done, int64_t whole, const char *text)
{
    char bar[128], all[256];
    int64_t now_ms = clock_mono_ms();
    bool draws = redraws(p->cli);

    if (p->first < 0)
        p->first = done;
    if (!draws && now_ms - p->line_ms < LINE_EVERY_MS)
        return;
    p->line_ms = now_ms;
    if (done > whole && whole > 0)
        done = whole;
    if (whole <= 0)
        snprintf(bar, sizeof bar, "%lld", (long long)done);
    else if (draws)
        bar_text(p, done, whole, bar);
    else
        snprintf(bar, sizeof bar, "%lld of %lld (%lld%%)", (long long)done, (long long)whole,
                 (long long)(done * 100 / whole));
    snprintf(all, sizeof all, "%s%s%s", bar, text[0] ? "  " : "", text);
    if (draws)
        line(all);
    else
        out_note("%s", all);
}
