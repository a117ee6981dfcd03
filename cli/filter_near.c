/* cli/filter_near.c: why nothing matched, where a slip of the pen may be why: a type that no event has,
 * an event that is not there, ids that are nobody's or a subscription's name. See filter.h. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/out.h"
#include "policy/route.h"

#define LOOKED_AT 4 /* values of one flag that are looked up */
#define UNMATCHED_SHOWN 10

/* Asks without a word where nobody answers: nothing is wrong but that nothing matched. */
static bool ask(struct cli *cli, const char *path, struct answer *a)
{
    struct client_request r = {.method = "GET", .path = path, .quiet = true};

    return client_send(cli, &r, a) == 0;
}

/* The types and, for patterns, their beginnings: "trade.settled", "trade.*". */
static size_t words_of(const json_t *types, const char **words, size_t room, struct arena *mem)
{
    size_t i, n = 0;
    json_t *row;

    json_array_foreach(types, i, row)
    {
        const char *type = out_string(row, "type");

        if (type == NULL || n + 2 > room)
            continue;
        words[n++] = type;
        const char *dot = strchr(type, '.');
        char begin[130];

        if (dot == NULL || (size_t)(dot - type) + 3 > sizeof begin)
            continue;
        text_copy(begin, (size_t)(dot - type) + 2, type);
        memcpy(begin + (dot - type) + 1, "*", 2);
        words[n] = arena_copy(mem, begin);
        n += words[n] != NULL;
    }
    words[n] = NULL;
    return n;
}

static void type_judge(const json_t *types, const char *pattern)
{
    size_t i, room = json_array_size(types) * 2 + 1;
    const char **words = calloc(room + 1, sizeof *words);
    struct arena mem;
    char near[TEXT_NEAR_MAX];
    json_t *row;
    bool known = false;

    arena_init(&mem);
    json_array_foreach(types, i, row)
    {
        const char *type = out_string(row, "type");

        known = known || (type != NULL && route_matches(pattern, type));
    }
    if (!known && words != NULL) {
        (void)words_of(types, words, room, &mem);
        out_note("no event of type '%s' is stored%s", pattern,
                 text_did_you_mean(near, pattern, words));
    }
    arena_fini(&mem);
    free(words);
}

static void types_judge(struct cli *cli, const struct filter_flags *f)
{
    const json_t *asked = json_object_get(f->json, "type");
    size_t n = json_is_array(asked) ? json_array_size(asked) : asked != NULL;
    struct answer a;

    if (n == 0 || !ask(cli, "/api/v1/event-types", &a))
        return;
    for (size_t i = 0; i < n && i < LOOKED_AT && a.status == 200; i++) {
        const json_t *one = json_is_array(asked) ? json_array_get(asked, i) : asked;

        type_judge(json_object_get(a.json, "items"), json_string_value(one));
    }
    answer_fini(&a);
}

/* 4: those that were named are all nobody's, as where an id is an argument. */
static int events_judge(struct cli *cli, const struct filter_flags *f)
{
    const json_t *asked = json_object_get(f->json, "event_id");
    size_t n = json_is_array(asked) ? json_array_size(asked) : asked != NULL, unknown = 0;

    for (size_t i = 0; i < n && i < LOOKED_AT; i++) {
        const json_t *one = json_is_array(asked) ? json_array_get(asked, i) : asked;
        struct answer a;
        struct buf path;

        buf_init(&path, 4096);
        client_path(&path, "events", json_string_value(one), NULL);
        if (ask(cli, path.data, &a)) {
            if (a.status == 404 && out_string(a.json, "error.message") != NULL)
                out_note("%s", out_string(a.json, "error.message"));
            unknown += a.status == 404;
            answer_fini(&a);
        }
        buf_fini(&path);
    }
    return n > 0 && unknown == n ? CLI_NOT_FOUND : 0;
}

int filter_empty(struct cli *cli, const struct filter_flags *f, const char *says)
{
    if (says != NULL)
        out_note("%s", says);
    if (f == NULL || f->json == NULL)
        return 0;
    types_judge(cli, f);
    return events_judge(cli, f);
}

/* Where ids are wanted many a person gives the name that all else takes. */
static bool names_a_subscription(struct cli *cli, const char *name)
{
    struct answer a = {.status = 0};
    struct buf path;

    if (!id_is_name(name))
        return false;
    buf_init(&path, 4096);
    client_path(&path, "subscriptions", name, NULL);
    bool yes = ask(cli, path.data, &a) && a.status == 200;

    answer_fini(&a);
    buf_fini(&path);
    return yes;
}

/* One that is there, and not in the set: the rest of the filter, or its state, is why. */
static bool left_out(const struct filter_flags *f, enum api_kind kind, const char *id)
{
    bool letters = kind == API_KIND_LETTERS, said = false;
    struct answer a = {.status = 0};
    struct buf path;

    buf_init(&path, 4096);
    client_path(&path, letters ? "dead-letters" : "deliveries", id, NULL);
    if (ask(f->cli, path.data, &a) && a.status == 200) {
        said = true;
        if (letters)
            out_note("%s is a dead letter of %s, type %s: the rest of the filter leaves it out", id,
                     out_string(a.json, "subscription"), out_string(a.json, "type"));
        else
            out_note("%s is %s, which is not what this is about", id, out_string(a.json, "state"));
    }
    answer_fini(&a);
    buf_fini(&path);
    return said;
}

void filter_unmatched_head(const struct filter_flags *f, enum api_kind kind)
{
    size_t n = json_object_size(f->unmatched);

    if (n > 0 && n < f->named_n)
        out_note("%zu of %zu ids are no %s of this set:", n, f->named_n,
                 kind == API_KIND_LETTERS ? "dead letters" : "deliveries");
}

int filter_unmatched(const struct filter_flags *f, enum api_kind kind)
{
    size_t n = json_object_size(f->unmatched), i = 0;
    const char *id;
    json_t *value;

    json_object_foreach(f->unmatched, id, value)
    {
        char other[API_KIND_TEXT_MAX];

        if (i++ >= UNMATCHED_SHOWN)
            continue;
        bool known = api_kind_text(other, kind, id);

        if (!known && i <= LOOKED_AT && names_a_subscription(f->cli, id)) {
            api_kind_says(other, kind, "sub", id);
            known = true;
        }
        if (known)
            out_note("%s", other);
        else if (!left_out(f, kind, id))
            out_note("no %s '%s'", api_kind_noun(kind), id);
    }
    if (n > UNMATCHED_SHOWN)
        out_note("and %s more", TEXT_COUNTED(n - UNMATCHED_SHOWN));
    return n > 0 && n >= f->named_n ? CLI_NOT_FOUND : 0;
}
