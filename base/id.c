/* base/id.c: identifiers: numbers that grow, their text, and the alphabets of names that come from
 * outside. */
#include "base/id.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/dice.h"

#define COUNT_BITS 21
#define MS_MAX ((INT64_C(1) << 42) - 1)
#define TEXT_DIGITS 13

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

int64_t id_next(struct id_source *s, int64_t wall_ms)
{
    int64_t ms = wall_ms < 0 ? 0 : wall_ms > MS_MAX ? MS_MAX : wall_ms;
    /* The start is random in the lower half only: at least 2^20 more fit into the ms. */
    int64_t id = ms << COUNT_BITS | (int64_t)(dice_u32() >> (32 - COUNT_BITS + 1));
    if (ms <= s->last >> COUNT_BITS)
        id = s->last + 1;
    s->last = id;
    return id;
}

void id_base32(char *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t bit = i * 5, at = bit / 8, shift = bit % 8;
        /* The last digit may end with its byte: there is no next one to look at. */
        unsigned pair = (unsigned)bytes[at] << 8 | (shift > 3 ? bytes[at + 1] : 0u);
        out[i] = alphabet[pair >> (11 - shift) & 31];
    }
    out[n] = '\0';
}

char *id_text(char out[ID_TEXT_MAX], const char *prefix, int64_t id)
{
    char digits[TEXT_DIGITS + 1];
    uint64_t left = (uint64_t)id;
    for (int i = TEXT_DIGITS - 1; i >= 0; i--) {
        digits[i] = alphabet[left & 31];
        left >>= 5;
    }
    digits[TEXT_DIGITS] = '\0';
    snprintf(out, ID_TEXT_MAX, "%.9s_%s", prefix, digits);
    return out;
}

bool id_parse(const char *text, const char *prefix, int64_t *out)
{
    size_t n = strlen(prefix);
    if (strncasecmp(text, prefix, n) != 0 || text[n] != '_' || strlen(text + n + 1) != TEXT_DIGITS)
        return false;
    uint64_t v = 0;
    for (const char *p = text + n + 1; *p; p++) {
        int upper = *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p;
        const char *digit = strchr(alphabet, upper);
        if (!digit || v >> 58) /* five bits more must stay within 63 */
            return false;
        v = v << 5 | (uint64_t)(digit - alphabet);
    }
    *out = (int64_t)v;
    return true;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* 1 to max letters, digits and characters of extra. */
static bool is_word(const char *text, size_t max, const char *extra)
{
    size_t n = 0;
    for (; text[n]; n++)
        if (n >= max || (!is_alnum(text[n]) && !strchr(extra, text[n])))
            return false;
    return n > 0;
}

bool id_is_event_id(const char *text)
{
    return is_word(text, 128, "_:-");
}

bool id_is_type(const char *text)
{
    return is_word(text, 128, "_.-");
}

bool id_is_name(const char *text)
{
    return is_alnum(text[0]) && is_word(text, 64, "_.-");
}

bool id_is_table(const char *text)
{
    return !(text[0] >= '0' && text[0] <= '9') && is_word(text, 64, "_");
}
