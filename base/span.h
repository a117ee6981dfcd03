/* base/span.h: memory that may be large and lives for a moment, as that of a payload. From 128 KiB on it
 * comes straight from the system and goes back to it at once. An allocator keeps what is freed for a
 * while: after a flood of large payloads, whose rows one thread makes and another frees, twice what is
 * in use stayed resident. The price is fresh pages for each, half a millisecond for a payload of 1 MiB. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stddef.h>

/* n: bytes, above 0; the same for all three. NULL: no memory. */
void *span_new(size_t n);
void *span_resize(void *span, size_t n,
                  size_t to);         /* span NULL: a new one; NULL: it is as it was */
void span_free(void *span, size_t n); /* NULL is fine */

#endif
