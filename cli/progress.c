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

enum {
    BAR = 30,
    BAR_LEAST = 5,
    LINE_EVERY_MS = 10000,
    ETA_AFTER_MS = 1000,
    DRAWN_AFTER_MS = 300,
    LOOK_EVERY_MS = 100,
    SETTLES_MS = 1000,
    RATE_AFTER_MS = 1000
};

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
    *p = (struct progress){.cli = cli, .start_ms = clock_mono_ms()};
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

/* The oldest look of the ring that is kept, and the newest. */
static size_t look_first(const struct progress *p)
{
    return p->looks_n > PROGRESS_LOOKS ? p->looks_n % PROGRESS_LOOKS : 0;
}

static void look_add(struct progress *p, int64_t done)
{
    int64_t now_ms = clock_mono_ms();
    size_t last = (p->looks_n + PROGRESS_LOOKS - 1) % PROGRESS_LOOKS;

    if (p->looks_n > 0 && now_ms - p->looks[last].at_ms < LOOK_EVERY_MS)
        return;
    if (p->anew_ms != 0 && now_ms - p->anew_ms < SETTLES_MS)
        return;
    p->looks[p->looks_n % PROGRESS_LOOKS].at_ms = now_ms;
    p->looks[p->looks_n++ % PROGRESS_LOOKS].done = done;
}

static int64_t look_span_ms(const struct progress *p)
{
    return p->looks_n == 0 ? 0 : clock_mono_ms() - p->looks[look_first(p)].at_ms;
}

double progress_rate(struct progress *p, int64_t done)
{
    look_add(p, done);
    int64_t ms = look_span_ms(p);

    return ms >= RATE_AFTER_MS ? (double)(done - p->looks[look_first(p)].done) * 1000 / (double)ms
                               : -1;
}

void progress_anew(struct progress *p)
{
    p->looks_n = 0;
    p->anew_ms = clock_mono_ms();
}

/* "  ETA 7s", as fast as it went in the last seconds; nothing where that is not known. */
static void eta_text(struct progress *p, int64_t done, int64_t whole, char out[32])
{
    double rate = progress_rate(p, done);
    char span[24];

    *out = '\0';
    if (rate <= 0 || done >= whole || look_span_ms(p) < ETA_AFTER_MS)
        return;
    text_ago(span, sizeof span, (int64_t)((double)(whole - done) / rate * 1000) + 999);
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
static void put_words(struct progress *p, struct buf *out, int64_t done, int64_t whole,
                      const char *text, bool draws)
{
    char eta[32] = "";

    if (whole > 0 && p->share)
        buf_addf(out, "%lld%%", (long long)(done * 100 / whole));
    else
        buf_addf(out, "%s", TEXT_COUNTED(done));
    if (whole > 0 && !p->share)
        buf_addf(out, draws ? "/%s  %lld%%" : " of %s (%lld%%)", TEXT_COUNTED(whole),
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

    if (!p->begun)
        p->shown = done;
    p->begun = true;
    look_add(p, done);
    if (p->last && (!p->seen || done == p->shown))
        return;
    if (!p->last && !draws && !tenth && now_ms - p->line_ms < LINE_EVERY_MS)
        return;
    if (!p->last && now_ms - p->start_ms < DRAWN_AFTER_MS)
        return; /* what is over at once needs none */
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
