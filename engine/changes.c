/* engine/changes.c: what a write changed for the loop, collected on the store thread.
 *
 * Wakes are kept sorted by subscription, so that merging stays cheap when a batch of 256 events
 * fans out to thousands of subscriptions. Running out of memory is not an error here: the flag
 * `failed` tells the loop to look at everything, which is slow and right. */
#include "engine/changes.h"

#include <stdlib.h>
#include <string.h>

#include "engine/reload.h"

void changes_init(struct changes *c)
{
    *c = (struct changes){0};
}

static void free_rows(struct changes *c)
{
    for (size_t i = 0; i < c->rows_n; i++)
        claimed_free(c->rows[i]);
    c->rows_n = 0;
}

void changes_fini(struct changes *c)
{
    free_rows(c);
    reload_free(c->reload);
    free(c->rows);
    free(c->wakes);
    free(c->subs);
    *c = (struct changes){0};
}

void changes_clear(struct changes *c)
{
    free_rows(c);
    reload_free(c->reload);
    struct changes kept = {.rows = c->rows,
                           .wakes = c->wakes,
                           .wakes_room = c->wakes_room,
                           .subs = c->subs,
                           .subs_room = c->subs_room};
    *c = kept;
}

bool changes_any(const struct changes *c)
{
    bool died = c->discarded > 0;

    for (int cause = 0; cause < CAUSES; cause++)
        died = died || c->dead[cause] > 0;
    return died || c->wakes_n > 0 || c->rows_n > 0 || c->subs_n > 0 || c->held.told ||
           c->egress.told || c->log.told || c->reload != NULL || c->jobs || c->freed || c->failed;
}

/* Room for one more element of `size` bytes; NULL: no memory, the old block stays. */
static void *grown(void *block, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return block;
    size_t more = *room ? *room * 2 : 16;
    void *bigger = reallocarray(block, more, size);
    if (bigger)
        *room = more;
    return bigger;
}

static size_t wake_position(const struct changes *c, int64_t sub)
{
    size_t low = 0, high = c->wakes_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->wakes[mid].sub < sub)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void changes_wake(struct changes *c, int64_t sub, int64_t due_ms)
{
    size_t at = wake_position(c, sub);
    if (at < c->wakes_n && c->wakes[at].sub == sub) {
        if (due_ms < c->wakes[at].due_ms)
            c->wakes[at].due_ms = due_ms;
        return;
    }
    struct change_wake *wakes = grown(c->wakes, c->wakes_n, &c->wakes_room, sizeof *wakes);
    if (!wakes) {
        c->failed = true;
        return;
    }
    c->wakes = wakes;
    memmove(wakes + at + 1, wakes + at, (c->wakes_n - at) * sizeof *wakes);
    wakes[at] = (struct change_wake){sub, due_ms};
    c->wakes_n++;
}

static bool has_room(struct changes *c, size_t payload_bytes)
{
    if (c->rows == NULL)
        c->rows = calloc(CHANGES_ROWS_MAX, sizeof(struct claimed *));
    return c->rows != NULL && c->rows_n < CHANGES_ROWS_MAX &&
           payload_bytes <= CHANGES_ROWS_BYTES - c->rows_bytes;
}

static void add_row(struct changes *c, struct claimed *row, size_t payload_bytes)
{
    c->rows[c->rows_n++] = row;
    c->rows_bytes += payload_bytes;
}

void changes_row(struct changes *c, const struct delivery *d, const struct event_rec *e)
{
    struct claimed *row = has_room(c, e->payload_bytes) ? claimed_new(d, e) : NULL;

    if (row != NULL)
        add_row(c, row, e->payload_bytes);
    else
        changes_wake(c, d->sub, d->due_ms);
}

void changes_move_row(struct changes *c, struct claimed **row)
{
    size_t payload_bytes = (*row)->event.payload_bytes;

    if (!has_room(c, payload_bytes)) {
        changes_wake(c, (*row)->delivery.sub, (*row)->delivery.due_ms);
        return;
    }
    add_row(c, *row, payload_bytes);
    *row = NULL;
}

void changes_sub(struct changes *c, int64_t sub)
{
    for (size_t i = 0; i < c->subs_n; i++)
        if (c->subs[i] == sub)
            return;
    int64_t *subs = grown(c->subs, c->subs_n, &c->subs_room, sizeof *subs);
    if (!subs) {
        c->failed = true;
        return;
    }
    c->subs = subs;
    subs[c->subs_n++] = sub;
}
