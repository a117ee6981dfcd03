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

enum { BAR = 30, BAR_LEAST = 5, LINE_EVERY_MS = 10000, ETA_AFTER_MS = 1000, DRAWN_AFTER_MS = 300 };

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

static int screen_width(void)
{
    struct winsize size = {0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* No escapes: blanks cover what was there. It stays one column short of the width, since a line that
 * wraps cannot be written over. */
static void line(const char *text)
{
    int width = screen_width();

    (void)out_flush();
    fprintf(stderr, "\r%-*.*s\r%.*s", width - 1, width - 1, "", width - 1, text);
    fflush(stderr);
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        line("");
    p->drawn = false;
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

/* The bar has what the words leave of the screen. */
static void put_bar(struct buf *out, int64_t done, int64_t whole, int room)
{
    int n = room < BAR ? room : BAR;

    if (n < BAR_LEAST)
        return;
    buf_addc(out, '[');
    for (int i = 0; i < n; i++)
        buf_addc(out, i < done * n / whole ? '=' : i == done * n / whole ? '>' : ' ');
    buf_adds(out, "] ");
}

/* "221/371  59%  TEXT  ETA 7s", or the plain line's "221 of 371 (59%)  TEXT"; of a share "59%  TEXT". */
static void put_words(const struct progress *p, struct buf *out, int64_t done, int64_t whole,
                      const char *text, bool draws)
{
    char eta[32] = "";

    if (whole > 0 && p->share)
        buf_addf(out, "%lld%%", (long long)(done * 100 / whole));
    else
        buf_addf(out, "%lld", (long long)done);
    if (whole > 0 && !p->share)
        buf_addf(out, draws ? "/%lld  %lld%%" : " of %lld (%lld%%)", (long long)whole,
                 (long long)(done * 100 / whole));
    if (whole > 0 && draws)
        eta_text(p, done, whole, eta);
    buf_addf(out, "%s%s%s", text[0] ? "  " : "", text, eta);
}

void progress_last(struct progress *p)
{
    p->last = true;
}

void progress_show(struct progress *p, int64_t done, int64_t whole, const char *text)
{
    struct buf words, all;
    int64_t now_ms = clock_mono_ms();
    bool draws = redraws(p->cli);
    bool tenth = whole > 0 && (done - p->shown) * 10 >= whole;

    if (p->first < 0)
        p->first = p->shown = done;
    if (p->last && (!p->seen || done == p->shown))
        return;
    if (!p->last && !draws && !tenth && now_ms - p->line_ms < LINE_EVERY_MS)
        return;
    if (!p->last && draws && now_ms - p->start_ms < DRAWN_AFTER_MS)
        return; /* what is over at once needs no bar */
    p->seen = true;
    p->drawn = draws;
    p->line_ms = now_ms;
    p->shown = done;
    if (done > whole && whole > 0)
        done = whole;
    buf_init(&words, 4096);
    buf_init(&all, 4096);
    put_words(p, &words, done, whole, text, draws);
    if (draws && whole > 0)
        put_bar(&all, done, whole, screen_width() - 1 - (int)words.len - 3);
    buf_adds(&all, words.data ? words.data : "");
    if (draws)
        line(all.data ? all.data : "");
    else
        out_note("%s", all.data ? all.data : "");
    buf_fini(&words);
    buf_fini(&all);
}
