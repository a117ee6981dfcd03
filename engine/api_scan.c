/* engine/api_scan.c: finds the bytes of "data" (or "payload", as the outbox's column is called) and
 * "attributes" in a body of POST /events.
 *
 * Hand-written although jansson parses everything else: events are passed on byte for byte, and
 * jansson neither tells where a value stands nor accepts all that is legal (1e400, \u0000). So the
 * two values are cut out here and jansson gets the rest. The body is known to be legal JSON
 * (text_json_problem), which leaves little to do: strings, brackets, commas. */
#include <string.h>

#include "engine/api_impl.h"

struct scan {
    const char *at, *end;
};

static void skip_blanks(struct scan *s)
{
    while (s->at < s->end && strchr(" \t\r\n", *s->at) && *s->at)
        s->at++;
}

static void skip_string(struct scan *s)
{
    s->at++;
    while (s->at < s->end && *s->at != '"')
        s->at += *s->at == '\\' ? 2 : 1;
    s->at++;
}

/* One value of any kind, without recursion: only the depth counts. */
static void skip_value(struct scan *s)
{
    size_t depth = 0;
    do {
        skip_blanks(s);
        if (s->at >= s->end)
            return;
        if (*s->at == '"') {
            skip_string(s);
        } else if (*s->at == '{' || *s->at == '[') {
            depth++;
            s->at++;
        } else if (*s->at == '}' || *s->at == ']') {
            depth--;
            s->at++;
        } else if (*s->at == ',' || *s->at == ':') {
            s->at++;
        } else {
            while (s->at < s->end && !strchr(" \t\r\n,]}", *s->at))
                s->at++;
        }
    } while (depth > 0);
}

static bool name_is(const char *quoted, size_t n, const char *name)
{
    return n == strlen(name) + 2 && !memcmp(quoted + 1, name, n - 2);
}

/* Stands on '{' and ends behind '}'. A name that is spelled with escapes stays in the rest, where
 * the reader of the rest meets it. */
static void scan_object(struct scan *s, struct scanned *out)
{
    const char *kept = s->at;
    s->at++;
    skip_blanks(s);
    while (s->at < s->end && *s->at != '}') {
        const char *name = s->at;
        skip_string(s);
        size_t name_n = (size_t)(s->at - name);
        skip_blanks(s);
        s->at++; /* the colon */
        skip_blanks(s);
        const char *value = s->at;
        skip_value(s);
        size_t n = (size_t)(s->at - value);
        bool data = name_is(name, name_n, "data") || name_is(name, name_n, "payload");
        if (data || name_is(name, name_n, "attributes")) {
            *(data ? &out->data : &out->attributes) = value;
            *(data ? &out->data_n : &out->attributes_n) = n;
            ++*(data ? &out->data_seen : &out->attributes_seen);
            buf_add(&out->rest, kept, (size_t)(value - kept));
            buf_adds(&out->rest, "null");
            kept = s->at;
        }
        skip_blanks(s);
        if (s->at < s->end && *s->at == ',')
            s->at++;
        skip_blanks(s);
    }
    s->at++;
    buf_add(&out->rest, kept, (size_t)(s->at - kept));
}

int scan_events(const char *body, size_t n, struct scanned *out, int max, bool *array)
{
    struct scan s = {body, body + n};
    int found = 0;
    skip_blanks(&s);
    *array = s.at < s.end && *s.at == '[';
    if (*array)
        s.at++;
    skip_blanks(&s);
    while (s.at < s.end && *s.at != ']') {
        if (*s.at != '{')
            return -1;
        if (found == max)
            return -2;
        out[found] = (struct scanned){0};
        buf_init(&out[found].rest, n + 64);
        scan_object(&s, &out[found++]);
        skip_blanks(&s);
        if (!*array)
            return found;
        if (s.at < s.end && *s.at == ',')
            s.at++;
        skip_blanks(&s);
    }
    return *array ? found : -1;
}
