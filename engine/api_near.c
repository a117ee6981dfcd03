/* engine/api_near.c: which name was nearly meant: of the first so many, since a slip of the pen is
 * no reason to read a table to its end. */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "engine/api_impl.h"

#define NEAR_NAMES 1000
#define PART_MIN 2
#define PARTS_SHOWN 3

/* "; did you mean 'acme'?" in the arena, or "". */
static const char *near_text(struct arena *a, const char *ref, const char *const *names)
{
    char text[TEXT_NEAR_MAX];
    const char *kept = arena_copy(a, text_did_you_mean(text, ref, names));
    return kept ? kept : "";
}

/* Those that ref is the beginning or a part of: "; did you mean 'acme-settle' or 'acme-fills'?". */
static const char *parts_text(struct arena *a, const char *ref, const char *const *names)
{
    struct buf text;
    size_t n = 0, len = strlen(ref);
    len -= len > 0 && ref[len - 1] == '*';
    char *part = arena_copy(a, ref);
    if (!part || len < PART_MIN)
        return NULL;
    part[len] = '\0';
    buf_init(&text, 1024);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; names[i] && n < PARTS_SHOWN; i++) {
            const char *at = strcasestr(names[i], part);
            if (at && (at == names[i]) == (pass == 0))
                buf_addf(&text, "%s'%.140s'", n++ == 0 ? "; did you mean " : ", ", names[i]);
        }
    buf_addc(&text, '?');
    const char *kept = n > 0 && text.data ? arena_copy(a, text.data) : NULL;
    buf_fini(&text);
    return kept;
}

/* Of 'acne*': a name whose beginning is near to that. */
static const char *begins_text(struct arena *a, const char *ref, const char *const *names, size_t n)
{
    const char **begins = arena_alloc(a, (n + 1) * sizeof *begins);
    size_t len = strlen(ref) - 1;
    char begin[64], text[TEXT_NEAR_MAX] = "";
    if (!begins || len >= sizeof begin)
        return "";
    for (size_t i = 0; i <= n; i++)
        begins[i] = names[i] ? arena_copy(a, text_copy(begin, len + 1, names[i])) : NULL;
    const char *near = text_nearest(text_copy(begin, len + 1, ref), begins);
    for (size_t i = 0; near && i < n; i++)
        if (begins[i] == near)
            (void)snprintf(text, sizeof text, "; did you mean '%.90s'?", names[i]);
    const char *kept = arena_copy(a, text);
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
        if (subs[i].name && subs[i].state != SUB_DELETED && subs[i].job == 0)
            names[kept++] = subs[i].name;
    names[kept] = NULL;
    const char *parts = parts_text(a, ref, names);
    size_t len = strlen(ref);
    if (!parts && len > 0 && ref[len - 1] == '*')
        return begins_text(a, ref, names, kept);
    return parts ? parts : near_text(a, ref, names);
}

static const char *near_partner(struct backend *b, const char *ref, struct arena *a)
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

const char *api_other(struct backend *b, enum api_kind wanted, const char *ref, struct arena *a)
{
    bool of_event = wanted != API_KIND_SUBSCRIPTION && wanted != API_KIND_JOB &&
                    wanted != API_KIND_PARTNER && wanted != API_KIND_REJECT;
    char text[API_KIND_TEXT_MAX];
    struct err err = {OK, ""};
    struct subscription s;
    struct event_rec e;
    if (api_kind_text(text, wanted, ref))
        return arena_copy(a, text);
    if (wanted != API_KIND_SUBSCRIPTION && b->ops->sub_get(b, ref, a, &s, &err) == OK)
        api_kind_says(text, wanted, "sub", ref);
    else if (!of_event && b->ops->event_get(b, ref, false, a, &e, &err) == OK)
        api_kind_says(text, wanted, "evt", ref);
    else
        return NULL;
    return arena_copy(a, text);
}

const char *api_other_asked(struct api_call *c, enum api_kind wanted)
{
    const json_t *ids = json_object_get(json_object_get(c->body, "filter"), "id");
    const char *first = json_string_value(json_is_array(ids) ? json_array_get(ids, 0) : ids);
    return first ? api_other(c->b, wanted, first, c->mem) : NULL;
}

const char *api_nobody(struct backend *b, enum api_kind wanted, const char *ref, struct arena *a)
{
    char text[API_KIND_TEXT_MAX];
    const char *kept = api_other(b, wanted, ref, a);
    if (!kept) {
        (void)snprintf(text, sizeof text, "no %s '%.140s'%s", api_kind_noun(wanted), ref,
                       wanted == API_KIND_SUBSCRIPTION ? api_near_sub(b, ref, a)
                       : wanted == API_KIND_PARTNER    ? near_partner(b, ref, a)
                                                       : "");
        kept = arena_copy(a, text);
    }
    return kept ? kept : "there is no such thing";
}
