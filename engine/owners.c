/* engine/owners.c: a sorted list and a few counts; see owners.h. */
#include "engine/owners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void owners_init(struct owners *o, int loops)
{
    *o = (struct owners){.loops = loops};
    pthread_mutex_init(&o->mutex, NULL);
}

void owners_fini(struct owners *o)
{
    free(o->list);
    pthread_mutex_destroy(&o->mutex);
}

/* Of the first that is not below sub. */
static size_t position(const struct owners *o, int64_t sub)
{
    size_t low = 0, high = o->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (o->list[mid].sub < sub)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct owner *find(const struct owners *o, int64_t sub)
{
    size_t at = position(o, sub);

    return at < o->n && o->list[at].sub == sub ? &o->list[at] : NULL;
}

static void grow(struct owners *o)
{
    size_t room = o->room > 0 ? o->room * 2 : 64;
    struct owner *more = reallocarray(o->list, room, sizeof *more);

    /* Two loops would believe that they have it. A crash loses nothing (G1). */
    if (more == NULL) {
        fputs("webhookd: no memory for the list of lanes\n", stderr);
        abort();
    }
    o->list = more;
    o->room = room;
}

static int fewest(const struct owners *o)
{
    int least = 0;

    for (int i = 1; i < o->loops; i++)
        if (o->lanes[i] < o->lanes[least])
            least = i;
    return least;
}

static int give(struct owners *o, int64_t sub)
{
    int loop = fewest(o);

    if (o->n == o->room)
        grow(o);
    size_t at = position(o, sub);
    memmove(o->list + at + 1, o->list + at, (o->n - at) * sizeof *o->list);
    o->list[at] = (struct owner){sub, loop};
    o->n++;
    o->lanes[loop]++;
    return loop;
}

int owners_of(struct owners *o, int64_t sub)
{
    if (o->loops == 1)
        return 0;
    pthread_mutex_lock(&o->mutex);
    const struct owner *found = find(o, sub);
    int loop = found != NULL ? found->loop : give(o, sub);
    pthread_mutex_unlock(&o->mutex);
    return loop;
}

int owners_find(struct owners *o, int64_t sub)
{
    if (o->loops == 1)
        return 0;
    pthread_mutex_lock(&o->mutex);
    const struct owner *found = find(o, sub);
    int loop = found != NULL ? found->loop : -1;
    pthread_mutex_unlock(&o->mutex);
    return loop;
}

void owners_forget(struct owners *o, int64_t sub, int loop)
{
    if (o->loops == 1)
        return;
    pthread_mutex_lock(&o->mutex);
    struct owner *found = find(o, sub);
    if (found != NULL && found->loop == loop) {
        size_t at = (size_t)(found - o->list);

        memmove(found, found + 1, (o->n - at - 1) * sizeof *found);
        o->n--;
        o->lanes[loop]--;
    }
    pthread_mutex_unlock(&o->mutex);
}
