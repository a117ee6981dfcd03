/* base/utf8.h: one decoder of UTF-8 for all who must not be fooled by bytes from outside. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at p (n > 0 bytes are there). Returns its length, 1 to 4, or 0 where the
 * bytes are not UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
size_t utf8_next(const unsigned char *p, size_t n, uint32_t *code);

/* Moves a terminal's cursor, reorders what is read, breaks lines or hides: C0, DEL, C1, U+2028/2029, and
 * Unicode's category Cf (bidi controls, zero-width, tags, musical and annotation controls) but its signs
 * that are seen (U+0600 and its like); Hangul's blank letters. */
bool utf8_is_hostile(uint32_t code);

#endif
