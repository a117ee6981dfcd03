/* engine/api_near.c: which name was nearly meant: of the first so many, since a slip of the pen is
 * no reason to read a table to its end. */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "engine/api_impl.h"

#define NEAR_NAMES 1000

/* "; did you mean 'acme'?" in the arena, or "". */
static const char *near_text(struct arena *a, const char *ref, const char *const *names)
{
    char text[TEXT_NEAR_MAX];
    const char *kept = arena_copy(a, text_did_you_mean(text, ref, names));
    return kept ? kept : "";
}

const char *api_near_sub(struct backend *b, const char *ref, struct arena *a)
{
    struct subscription *subs = NULL;
    const char **names = arena_alloc(a, (NEAR_NAMES + 1) * sizeof *names);
    struct err err = {OK, ""};
    size_t n = 0, kept = 0;
    int64_t num;
    if (!names || id_parse(ref, "sub", &num) ||
        b->ops->sub_list(b, 0, NEAR_NAMES, false, a, &subs, &n, &err) != OK)
        return "";
    for (size_t i = 0; i < n; i++)
        if (subs[i].name && subs[i].state != SUB_DELETED)
            names[kept++] = subs[i].name;
    names[kept] = NULL;
    return near_text(a, ref, names);
}

const char *api_near_partner(struct backend *b, const char *ref, struct arena *a)
{
    struct partner *partners = NULL;
    const char **names = arena_alloc(a, (NEAR_NAMES + 1) * sizeof *names);
    struct err err = {OK, ""};
    size_t n = 0;
    if (!names || b->ops->partner_list(b, 0, NEAR_NAMES, a, &partners, &n, &err) != OK)
        return "";
    for (size_t i = 0; i < n; i++)
        names[i] = partners[i].name;
    names[n] = NULL;
    return near_text(a, ref, names);
}
