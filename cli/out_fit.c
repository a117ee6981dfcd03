/* cli/out_fit.c: see out_fit.h. */
#include "cli/out_fit.h"

#include <stdlib.h>
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

/* The widest gives way, again and again: of those that go first (or of all). */
static void shrink(struct out_fit *f, size_t room, bool all)
{
    while (total(f) > room) {
        size_t widest = OUT_FIT_MAX;

        for (size_t i = 0; i < f->columns_n; i++) {
            if (!f->columns[i].hidden && f->columns[i].now > f->columns[i].least &&
                (all || f->columns[i].first) &&
                (widest == OUT_FIT_MAX || f->columns[i].now > f->columns[widest].now))
                widest = i;
        }
        if (widest == OUT_FIT_MAX)
            return;
        f->columns[widest].now--;
    }
}

/* The next column to be left out: the last that is empty, else the last; 0: none. */
static size_t victim(const struct out_fit *f)
{
    size_t last = 0;

    for (size_t i = f->columns_n; i-- > 1;) {
        if (f->columns[i].hidden)
            continue;
        if (f->columns[i].empty)
            return i;
        last = last == 0 ? i : last;
    }
    return last;
}

void out_fit(struct out_fit *f, size_t room)
{
    for (;;) {
        for (size_t i = 0; i < f->columns_n; i++)
            f->columns[i].now = f->columns[i].whole;
        shrink(f, room, false);
        shrink(f, room, true);
        size_t next = victim(f);

        if (total(f) <= room)
            return;
        if (next == 0) {
            f->columns[0].now = room;
            return;
        }
        f->columns[next].hidden = true;
    }
}
