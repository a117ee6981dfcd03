/* policy/window.c: the adaptive window, after TCP's: it doubles per round until the first failure,
 * then grows by one per round and is halved by trouble. */
#include "policy/window.h"

#define WINDOW_START 8

static void clamp(struct window *w)
{
    if (w->size > w->max)
        w->size = w->max;
    if (w->size < 1)
        w->size = 1;
}

void window_init(struct window *w, int max)
{
    *w = (struct window){.size = WINDOW_START, .max = max < 1 ? 1 : max, .slow_start = true};
    clamp(w);
}

void window_reopen(struct window *w)
{
    w->size = 1;
    w->since_cut = 0;
    w->slow_start = true;
}

void window_set_max(struct window *w, int max)
{
    w->max = max < 1 ? 1 : max;
    clamp(w);
}

static void count(struct window *w)
{
    if (w->since_cut < 1 << 30)
        w->since_cut++;
}

void window_succeeded(struct window *w)
{
    count(w);
    /* One a success is twice the size per round; a size-th part of one is one per round. */
    w->size += w->slow_start ? 1 : 1 / w->size;
    clamp(w);
}

void window_failed(struct window *w)
{
    count(w);
    if (!w->slow_start && w->since_cut < window_size(w))
        return;
    /* What is in flight was sent under the old window: its failures are the same trouble. They
     * are counted off below zero before the new window's own results begin. */
    int before = window_size(w);
    w->size /= 2;
    w->slow_start = false;
    clamp(w);
    w->since_cut = window_size(w) - before;
}

int window_size(const struct window *w)
{
    return (int)w->size;
}
