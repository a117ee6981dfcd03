/* base/id.h: identifiers. A number inside (63 bits, sortable by time), prefix + base32 outside.
 *
 *   63 bits:  | 42 bits ms since 1970 | 21 bits: random start within the ms, then counting |
 *
 * so ids of one store grow in the order of commits, ids of two stores practically never meet (an
 * exported dead letter can be imported elsewhere), and the number is the SQL primary key.
 * Text: 13 characters of Crockford base32, e.g. dlv_1N8D3VQ0C4T5X. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_TEXT_MAX 24 /* prefix, 13 characters, NUL */

struct id_source {
    int64_t last;
};
/* The next number, always greater than every one before (also when the clock steps back);
 * start `last` with the greatest number in the store. One source belongs to one thread. */
int64_t id_next(struct id_source *s, int64_t wall_ms);

/* The least number of a ms; the ms of a number. */
static inline int64_t id_at(int64_t wall_ms)
{
    return wall_ms > 0 && wall_ms < INT64_MAX >> 21 ? wall_ms << 21 : wall_ms > 0 ? INT64_MAX : 0;
}

static inline int64_t id_ms(int64_t id)
{
    return id >> 21;
}

/* prefix without the underscore: "dlv" "sub" "par" "job" "rej" … ; returns out */
char *id_text(char out[ID_TEXT_MAX], const char *prefix, int64_t id);
/* Accepts exactly prefix_XXXXXXXXXXXXX (any letter case). */
bool id_parse(const char *text, const char *prefix, int64_t *out);

/* The first n × 5 bits of bytes as n digits of the same alphabet; out has room for n + 1. */
void id_base32(char *out, const uint8_t *bytes, size_t n);

/* Event ids: [A-Za-z0-9_:-]{1,128}. Types: [A-Za-z0-9_.-]{1,128}. Names of subscriptions and
 * partners: [A-Za-z0-9][A-Za-z0-9_.-]{0,63}. Tables: [A-Za-z_][A-Za-z0-9_]{0,63}. */
bool id_is_event_id(const char *text);
bool id_is_type(const char *text);
bool id_is_name(const char *text);
bool id_is_table(const char *text);

#endif
