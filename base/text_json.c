/* base/text_json.c: the grammar of RFC 8259 as a check: no tree, no recursion, no number is
 * converted.
 *
 *   value ──▶ scalar ──▶ after ──, or close──▶ value …       containers are bits on a stack
 *
 * By hand, because jansson refuses legal texts (1e400, \u0000) and payloads go through verbatim. */
#include "base/text.h"

#include <string.h>

#include "base/utf8.h"

#define DEPTH_MAX 1000

struct scan {
    const unsigned char *p, *end;
};

static int peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : -1;
}

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool skip_digits(struct scan *s)
{
    if (!is_digit(peek(s)))
        return false;
    while (is_digit(peek(s)))
        s->p++;
    return true;
}

static const char *scan_number(struct scan *s)
{
    if (peek(s) == '-')
        s->p++;
    if (peek(s) == '0') {
        s->p++;
        if (is_digit(peek(s)))
            return "a number begins with 0";
    } else if (!skip_digits(s))
        return "not a JSON value";
    if (peek(s) == '.') {
        s->p++;
        if (!skip_digits(s))
            return "digits are missing after the point";
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->p++;
        if (peek(s) == '+' || peek(s) == '-')
            s->p++;
        if (!skip_digits(s))
            return "digits are missing in the exponent";
    }
    return NULL;
}

static bool is_hex(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const char *scan_escape(struct scan *s)
{
    s->p++;
    int c = peek(s);
    if (c < 0)
        return "the string does not end";
    if (c == 0 || !strchr("\"\\/bfnrtu", c))
        return "an unknown escape in a string";
    s->p++;
    for (int i = 0; c == 'u' && i < 4; i++, s->p++)
        if (!is_hex(peek(s)))
            return "four hex digits are missing after \\u";
    return NULL;
}

/* Lone surrogates as escapes are legal by the grammar; bytes must be UTF-8. */
static const char *scan_string(struct scan *s)
{
    s->p++;
    for (;;) {
        int c = peek(s);
        if (c < 0)
            return "the string does not end";
        if (c < 0x20)
            return "a control character in a string";
        if (c == '"') {
            s->p++;
            return NULL;
        }
        if (c == '\\') {
            const char *why = scan_escape(s);
            if (why)
                return why;
            continue;
        }
        uint32_t code;
        size_t n = utf8_next(s->p, (size_t)(s->end - s->p), &code);
        if (n == 0)
            return "not UTF-8";
        s->p += n;
    }
}

static const char *scan_scalar(struct scan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    if (peek(s) == '"')
        return scan_string(s);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
            s->p += n;
            return NULL;
        }
    }
    return peek(s) < 0 ? "a value is missing" : scan_number(s);
}

static const char *scan_key(struct scan *s)
{
    skip_blanks(s);
    if (peek(s) != '"')
        return "a member's name in quotes is missing";
    const char *why = scan_string(s);
    if (why)
        return why;
    skip_blanks(s);
    if (peek(s) != ':')
        return "a colon is missing";
    s->p++;
    return NULL;
}

/* After a value: closes what ends here, and stops where the next value begins. *depth 0: all is
 * read. */
static const char *scan_after(struct scan *s, const bool *is_object, size_t *depth)
{
    while (*depth > 0) {
        bool object = is_object[*depth - 1];
        skip_blanks(s);
        if (peek(s) == (object ? '}' : ']')) {
            s->p++;
            (*depth)--;
            continue;
        }
        if (peek(s) != ',')
            return peek(s) < 0 ? "the text ends too early" : "a comma or a bracket is missing";
        s->p++;
        return object ? scan_key(s) : NULL;
    }
    return NULL;
}

/* Reads one opening bracket. *empty: it was closed at once, so a whole value has been read. */
static const char *scan_open(struct scan *s, bool *is_object, size_t *depth, bool *empty)
{
    if (*depth == DEPTH_MAX)
        return "nested more than 1000 deep";
    bool object = *s->p++ == '{';
    is_object[(*depth)++] = object;
    skip_blanks(s);
    *empty = peek(s) == (object ? '}' : ']');
    return object && !*empty ? scan_key(s) : NULL;
}

static const char *scan_text(struct scan *s)
{
    bool is_object[DEPTH_MAX], empty;
    size_t depth = 0;
    const char *why;
    do {
        skip_blanks(s);
        if (peek(s) == '{' || peek(s) == '[') {
            why = scan_open(s, is_object, &depth, &empty);
            if (why)
                return why;
            if (!empty)
                continue;
        } else {
            why = scan_scalar(s);
            if (why)
                return why;
        }
        why = scan_after(s, is_object, &depth);
        if (why)
            return why;
    } while (depth > 0);
    skip_blanks(s);
    return s->p < s->end ? "something follows the value" : NULL;
}

const char *text_json_problem(const void *bytes, size_t n, size_t *at)
{
    const unsigned char *start = bytes;
    struct scan s = {start, start + n};
    const char *why = n ? scan_text(&s) : "empty";
    if (why && at)
        *at = n ? (size_t)(s.p - start) : 0;
    return why;
}
