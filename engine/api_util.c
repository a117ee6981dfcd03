/* engine/api_util.c: what handlers need of a request: decoded parameters, pages, members of a body.
 * Every refusal names the member and what it should be. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"

enum { QUERY_PAIRS_MAX = 2048 };

/* ---- the query ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *api_decode(struct arena *a, const char *text, size_t n, bool plus_is_blank)
{
    char *out = arena_alloc(a, n + 1);
    size_t at = 0;
    for (size_t i = 0; out && i < n; i++) {
        int high, low;
        if (text[i] != '%') {
            out[at++] = plus_is_blank && text[i] == '+' ? ' ' : text[i];
            continue;
        }
        if (i + 2 >= n || (high = hex_value(text[i + 1])) < 0 || (low = hex_value(text[i + 2])) < 0)
            return NULL;
        out[at] = (char)(high << 4 | low);
        if (out[at++] == '\0')
            return NULL;
        i += 2;
    }
    return out && text_is_utf8(out, at) ? out : NULL;
}

static bool query_add(json_t *query, const char *name, const char *value)
{
    json_t *old = json_object_get(query, name), *fresh = json_string(value);
    if (!old)
        return json_object_set_new(query, name, fresh) == 0;
    if (json_is_array(old))
        return json_array_append_new(old, fresh) == 0;
    json_t *both = json_array();
    return json_array_append(both, old) == 0 && json_array_append_new(both, fresh) == 0 &&
           json_object_set_new(query, name, both) == 0;
}

json_t *api_query_parse(struct arena *a, const char *query)
{
    json_t *out = json_object();
    size_t pairs = 0;
    while (out && query && *query) {
        size_t n = strcspn(query, "&"), eq = 0;
        while (eq < n && query[eq] != '=')
            eq++;
        char *name = api_decode(a, query, eq, true);
        char *value = api_decode(a, query + eq + (eq < n), n - eq - (eq < n), true);
        if (!name || !value || ++pairs > QUERY_PAIRS_MAX ||
            (n > 0 && !query_add(out, name, value))) {
            json_decref(out);
            return NULL;
        }
        query += n + (query[n] == '&');
    }
    return out;
}

bool api_param_true(const struct api_call *c, const char *name)
{
    const char *v = json_string_value(json_object_get(c->query, name));
    return v && (!strcmp(v, "1") || !strcmp(v, "true") || !strcmp(v, "yes") || !*v);
}

/* ---- pages ---- */

enum err_code api_page_read(struct api_call *c, struct api_page *out)
{
    const json_t *limit = json_object_get(c->query, "limit");
    const json_t *cursor = json_object_get(c->query, "cursor");
    *out = (struct api_page){.limit = API_PAGE_STANDARD};
    if (limit) {
        const char *text = json_string_value(limit);
        char *end = NULL;
        long n = text ? strtol(text, &end, 10) : 0;
        if (!text || end == text || *end || n < 1 || n > API_PAGE_MAX)
            return api_refuse(c, 422, "invalid_filter", "limit", "limit: not a number from 1 to %d",
                              API_PAGE_MAX);
        out->limit = (size_t)n;
    }
    if (cursor && !api_cursor_read(json_string_value(cursor), &out->after_ms, &out->after_num))
        return api_refuse(c, 422, "invalid_filter", "cursor",
                          "cursor: not one that a list has given");
    return OK;
}

/* ---- members of a body ---- */

enum err_code api_members(struct api_call *c, const json_t *object, const char *const *names)
{
    json_t *o = (json_t *)(uintptr_t)object; /* jansson's iterator wants it without const */
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        bool known = false;
        for (size_t i = 0; names[i]; i++)
            known = known || !strcmp(names[i], key);
        if (known)
            continue;
        char near[TEXT_NEAR_MAX];
        return api_refuse(c, 422, "unknown_member", key, "%.64s: unknown member%s", key,
                          text_did_you_mean(near, key, names));
    }
    return OK;
}

enum err_code api_member_text(struct api_call *c, const char *name, const char **out)
{
    const json_t *v = json_object_get(c->body, name);
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_string(v))
        return api_refuse(c, 422, "invalid_member", name, "%s: not a string", name);
    if (json_string_length(v) > 8192)
        return api_refuse(c, 422, "invalid_member", name, "%s: longer than 8192 bytes", name);
    *out = json_string_value(v);
    return OK;
}

enum err_code api_member_number(struct api_call *c, const char *name, double min, double max,
                                double *out)
{
    const json_t *v = json_object_get(c->body, name);
    if (!v || json_is_null(v))
        return OK;
    double n = json_number_value(v);
    if (!json_is_number(v) || !isfinite(n) || n < min || n > max)
        return api_refuse(c, 422, "invalid_member", name, "%s: not a number from %g to %g", name,
                          min, max);
    *out = n;
    return OK;
}

enum err_code api_member_bool(struct api_call *c, const char *name, bool *out)
{
    const json_t *v = json_object_get(c->body, name);
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_boolean(v))
        return api_refuse(c, 422, "invalid_member", name, "%s: not true or false", name);
    *out = json_is_true(v);
    return OK;
}

enum err_code api_member_dry_run(struct api_call *c, bool *out)
{
    bool member = false;
    enum err_code rc = api_member_bool(c, "dry_run", &member);
    *out = c->dry_run || member;
    return rc;
}

bool api_time_of(const json_t *value, int64_t *out_ms)
{
    if (json_is_integer(value)) {
        *out_ms = json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (!text)
        return false;
    if (*text && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 15) {
        *out_ms = strtoll(text, NULL, 10);
        return true;
    }
    return text_parse_time(text, out_ms);
}
