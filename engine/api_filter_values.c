/* engine/api_filter_values.c: the values of a filter's members: one or several, as text or as JSON has
 * them. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_filter_impl.h"

enum { WORDS_MAX = 32 };

const json_t *filter_member(const struct filter_reading *r, const char *name)
{
    const json_t *v = json_object_get(r->object, name);
    return json_is_null(v) ? NULL : v;
}

enum err_code filter_bad(struct filter_reading *r, const char *name, const char *what)
{
    r->target = name;
    return fail(r->err, ERR_INVALID, "%s: %s", name, what);
}

const char *filter_text_at(const json_t *v, size_t i)
{
    return json_string_value(json_is_array(v) ? json_array_get(v, i) : v);
}

size_t filter_values_n(const json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : 1;
}

enum err_code filter_read_text(struct filter_reading *r, const char *name, const char **out)
{
    const json_t *v = filter_member(r, name);
    if (!v)
        return OK;
    if (!json_is_string(v))
        return filter_bad(r, name, "not one string");
    *out = arena_copy(r->a, json_string_value(v));
    return *out ? OK : fail(r->err, ERR_NOMEM, "no memory for a filter");
}

enum err_code filter_read_number(struct filter_reading *r, const char *name, int64_t max,
                                 int64_t *out)
{
    const json_t *v = filter_member(r, name);
    const char *text = json_string_value(v);
    if (!v)
        return OK;
    char *end = NULL;
    long long n = text ? strtoll(text, &end, 10) : json_integer_value(v);
    if ((text && (end == text || *end)) || (!text && !json_is_integer(v)) || n < 0 || n > max)
        return filter_bad(r, name, "not a whole number in range");
    *out = n;
    return OK;
}

enum err_code filter_read_when(struct filter_reading *r, const char *name, int64_t *out)
{
    const json_t *v = filter_member(r, name);
    if (!v)
        return OK;
    if (api_time_of(v, out) ||
        (json_is_string(v) && text_parse_when(json_string_value(v), r->now_ms, out))) {
        if (*out <= 0)
            *out = 1; /* 0 would mean: open */
        return OK;
    }
    return filter_bad(r, name,
                      "not a time: RFC 3339, 18:55, or 2h, 3d (ago), today, yesterday, now");
}

enum err_code filter_read_texts(struct filter_reading *r, const char *name, size_t max,
                                const char *const **out, size_t *out_n)
{
    const json_t *v = filter_member(r, name);
    if (!v)
        return OK;
    size_t n = filter_values_n(v);
    const char **texts = arena_alloc(r->a, (n + 1) * sizeof *texts);
    if (!texts)
        return fail(r->err, ERR_NOMEM, "no memory for a filter");
    r->target = name;
    if (n == 0 || n > max)
        return fail(r->err, ERR_INVALID, "%s: give 1 to %zu values", name, max);
    for (size_t i = 0; i < n; i++) {
        const char *text = filter_text_at(v, i);
        if (!text)
            return filter_bad(r, name, "not a string, or strings");
        texts[i] = arena_copy(r->a, text);
        if (!texts[i])
            return fail(r->err, ERR_NOMEM, "no memory for a filter");
    }
    *out = texts;
    *out_n = n;
    return OK;
}

static enum err_code bad_word(struct filter_reading *r, const char *name, const char *word,
                              filter_word *word_of, int values)
{
    const char *words[FILTER_SET_MAX + 1];
    char near[TEXT_NEAR_MAX];
    size_t n = 0;
    struct buf all;
    buf_init(&all, 1024);
    for (int i = 0; i < values; i++)
        if (word_of(i))
            words[n++] = word_of(i);
    words[n] = NULL;
    for (size_t i = 0; i < n; i++)
        buf_addf(&all, "%s%s", i ? ", " : "", words[i]);
    r->target = name;
    enum err_code rc = fail(r->err, ERR_INVALID, "%s: '%.40s' is not one of %s%s", name, word,
                            all.data ? all.data : "", text_did_you_mean(near, word, words));
    buf_fini(&all);
    return rc;
}

enum err_code filter_read_set(struct filter_reading *r, const char *name, filter_word *word_of,
                              int values, unsigned *out)
{
    const char *const *texts = NULL;
    size_t n = 0;
    enum err_code rc = filter_read_texts(r, name, WORDS_MAX, &texts, &n);
    for (size_t i = 0; rc == OK && i < n; i++) {
        int value = 0;
        while (value < values && (!word_of(value) || strcmp(word_of(value), texts[i]) != 0))
            value++;
        if (value == values)
            return bad_word(r, name, texts[i], word_of, values);
        *out |= FILTER_BIT(value);
    }
    return rc;
}
