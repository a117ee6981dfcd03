/* engine/resolver_names.c: hash table and order of use; see resolver_names.h. */
#include "engine/resolver_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/dice.h"

#define CACHED_MAX 4096

static uint32_t bucket_of(const struct names *names, const char *host)
{
    uint32_t h = names->seed ^ 2166136261U; /* FNV-1a, seeded: partners choose their names */

    for (; *host != '\0'; host++)
        h = (h ^ (uint8_t)*host) * 16777619U;
    return (h ^ h >> 15) & (NAMES_BUCKETS - 1);
}

static void lru_remove(struct names *names, struct name *n)
{
    *(n->older != NULL ? &n->older->newer : &names->oldest) = n->newer;
    *(n->newer != NULL ? &n->newer->older : &names->newest) = n->older;
    n->older = n->newer = NULL;
}

static void lru_add(struct names *names, struct name *n)
{
    n->older = names->newest;
    n->newer = NULL;
    *(names->newest != NULL ? &names->newest->newer : &names->oldest) = n;
    names->newest = n;
}

static void take(struct names *names, struct name *n)
{
    struct name **at = &names->buckets[bucket_of(names, n->host)];

    while (*at != n)
        at = &(*at)->chain;
    *at = n->chain;
    if (!n->running)
        lru_remove(names, n);
    names->n--;
}

void names_init(struct names *names)
{
    names->seed = dice_u32();
}

struct name *names_find(const struct names *names, const char *host)
{
    struct name *n = names->buckets[bucket_of(names, host)];

    while (n != NULL && strcmp(n->host, host) != 0)
        n = n->chain;
    return n;
}

struct name *names_add(struct names *names, const char *host)
{
    size_t length = strlen(host);
    struct name *n, *oldest = names->oldest, **bucket;

    if (names->n >= CACHED_MAX && oldest != NULL) {
        take(names, oldest);
        free(oldest);
    }
    n = calloc(1, sizeof(*n) + length + 1);
    if (n == NULL)
        return NULL;
    memcpy(n->host, host, length + 1);
    bucket = &names->buckets[bucket_of(names, host)];
    n->chain = *bucket;
    *bucket = n;
    lru_add(names, n);
    names->n++;
    return n;
}

void names_used(struct names *names, struct name *n)
{
    lru_remove(names, n);
    lru_add(names, n);
}

void names_running(struct names *names, struct name *n)
{
    lru_remove(names, n);
    n->running = true;
}

void names_idle(struct names *names, struct name *n)
{
    n->running = false;
    lru_add(names, n);
}

struct name *names_take_any(struct names *names)
{
    for (size_t i = 0; i < NAMES_BUCKETS; i++) {
        struct name *n = names->buckets[i];

        if (n != NULL) {
            take(names, n);
            return n;
        }
    }
    return NULL;
}
