/* cli/out_fit.c: see out_fit.h. */
#include "cli/out_fit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

size_t out_width(const char *text)
{
    mbstate_t state = {0};
    size_t width = 0, n;
    wchar_t c;

    for (; (n = mbrtowc(&c, text, MB_CUR_MAX, &state)) != 0 && n <= MB_CUR_MAX; text += n)
        width += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
    return width;
}

void out_cut(struct buf *out, const char *text, size_t width)
{
    mbstate_t state = {0};
    size_t used = 0, n;
    wchar_t c;

    if (out_width(text) <= width) {
        buf_adds(out, text);
        return;
    }
    for (; (n = mbrtowc(&c, text, MB_CUR_MAX, &state)) != 0 && n <= MB_CUR_MAX; text += n) {
        used += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
        if (used >= width)
            break;
        buf_add(out, text, n);
    }
    buf_adds(out, "…");
}

static size_t total(const struct out_fit *f)
{
    size_t sum = 0, n = 0;

    for (size_t i = 0; i < f->columns_n; i++) {
        if (!f->columns[i].hidden)
            sum += f->columns[i].now + (n++ > 0 ? f->gap : 0);
    }
    return sum;
}

enum shrinking { SHRINK_SOFT, SHRINK_FIRST, SHRINK_ALL };

static size_t least(const struct out_fit *f, size_t i, enum shrinking how)
{
    size_t soft = how == SHRINK_SOFT ? f->columns[i].soft : 0;

    return soft > f->columns[i].least ? soft : f->columns[i].least;
}

/* The widest gives way, again and again: of those that go first (or of all). */
static void shrink(struct out_fit *f, size_t room, enum shrinking how)
{
    while (total(f) > room) {
        size_t widest = OUT_FIT_MAX;

        for (size_t i = 0; i < f->columns_n; i++) {
            if (!f->columns[i].hidden && f->columns[i].now > least(f, i, how) &&
                (how == SHRINK_ALL || f->columns[i].first) &&
                (widest == OUT_FIT_MAX || f->columns[i].now > f->columns[widest].now))
                widest = i;
        }
        if (widest == OUT_FIT_MAX)
            return;
        f->columns[widest].now--;
    }
}

/* The next to be left out before anything of weight is cut: the last that is empty, else the one of
 * the highest rank; 0: none. */
static size_t expendable(const struct out_fit *f)
{
    size_t found = 0;
    int rank = 0;

    for (size_t i = f->columns_n; i-- > 1;) {
        if (f->columns[i].hidden)
            continue;
        if (f->columns[i].empty)
            return i;
        if (f->columns[i].rank > rank) {
            found = i;
            rank = f->columns[i].rank;
        }
    }
    return found;
}

static size_t last(const struct out_fit *f)
{
    size_t i = f->columns_n;

    while (i-- > 1) {
        if (!f->columns[i].hidden)
            return i;
    }
    return 0;
}

void out_fit(struct out_fit *f, size_t room)
{
    for (;;) {
        for (size_t i = 0; i < f->columns_n; i++)
            f->columns[i].now = f->columns[i].whole;
        shrink(f, room, SHRINK_SOFT);
        size_t next = total(f) > room ? expendable(f) : 0;

        if (next == 0) {
            shrink(f, room, SHRINK_FIRST);
            shrink(f, room, SHRINK_ALL);
            if (total(f) <= room)
                return;
            next = last(f);
        }
        if (next == 0) {
            f->columns[0].now = room;
            return;
        }
        f->columns[next].hidden = true;
    }
}

/* What stays on one line: a word, or a command to its end. */
static size_t unit(const char *text, bool all)
{
    size_t n = strcspn(text, " ");

    if (all || strncmp(text + (*text == '('), "webhookctl ", strlen("webhookctl ")) != 0)
        return n;
    while (text[n] == ' ' && text[n + 1] != ' ' && strchr(",;:.)?", text[n - 1]) == NULL)
        n += 1 + strcspn(text + n + 1, " ");
    return n;
}

/* As many bytes of the word as width columns hold, at least one character. */
static size_t piece(const char *word, size_t n, size_t width)
{
    mbstate_t state = {0};
    size_t at = 0, used = 0, step, comma = 0;
    wchar_t c;

    while (at < n && (step = mbrtowc(&c, word + at, n - at, &state)) != 0 && step <= n - at) {
        used += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
        if (used > width && at > 0)
            return comma > 0 ? comma : at;
        at += step;
        if (c == L',' || c == L'/')
            comma = at;
    }
    return n;
}

static size_t width_of(const char *text, size_t n)
{
    struct buf word;
    size_t width;

    buf_init(&word, n + 1);
    buf_add(&word, text, n);
    width = out_width(word.data ? word.data : "");
    buf_fini(&word);
    return width;
}

/* One line of the text as so many lines as it needs. */
static void wrap_line(struct buf *out, const char *text, size_t n, size_t width, bool all)
{
    size_t indent = strspn(text, " "), at = indent, used;

    if (width_of(text, n) <= width || indent >= n || indent + 1 >= width) {
        buf_add(out, text, n);
        return;
    }
    buf_add(out, text, indent);
    used = indent;
    for (bool first = true; at < n; first = false) {
        size_t gap = strspn(text + at, " "), word = unit(text + at + gap, all);
        size_t wide;

        if (at + gap >= n)
            break;
        word = word < n - at - gap ? word : n - at - gap;
        wide = width_of(text + at + gap, word);
        if (!first && used + gap + wide > width && (all || wide <= width - indent)) {
            buf_addf(out, "\n%*s", (int)indent, "");
            used = indent;
            gap = 0;
            at += strspn(text + at, " ");
        }
        if (all && used + gap + wide > width)
            word = piece(text + at + gap, word, width - used - gap);
        buf_add(out, text + at, gap + word);
        used += gap + width_of(text + at + gap, word);
        at += gap + word;
    }
}

void out_wrap(struct buf *out, const char *text, size_t width, bool all)
{
    while (*text) {
        size_t n = strcspn(text, "\n");

        wrap_line(out, text, n, width, all);
        text += n;
        if (*text) {
            buf_addc(out, '\n');
            text++;
        }
    }
}

size_t out_columns(int fd)
{
    struct winsize size = {0};

    return fd >= 0 && isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
