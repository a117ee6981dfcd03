/* base/buf.h: growing bytes with a hard cap. Always NUL-terminated after the last byte.
 *
 * Appends never fail visibly one by one: the first that would pass the cap (or memory) sets
 * `failed`, later ones do nothing, and the caller asks once at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL while empty */
    size_t len, room, cap;
    bool failed;
};

void buf_init(struct buf *b, size_t cap_bytes);
void buf_fini(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory, forgets content and failure */
/* Room for n bytes more, no more than that: who knows what will come does not double. */
void buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_addi(struct buf *b, int64_t n); /* decimal */
/* Texts one after the other, up to a NULL: where a format would be read for each of many. */
__attribute__((sentinel)) void buf_join(struct buf *b, ...);
__attribute__((format(printf, 2, 3))) void buf_addf(struct buf *b, const char *fmt, ...);
/* text as a JSON string with its quotes: RFC 8259 escapes, invalid UTF-8 becomes U+FFFD. NULL: null
 */
void buf_add_json(struct buf *b, const char *text);
/* Gives the bytes to the caller, who frees them; b is empty afterwards. */
char *buf_take(struct buf *b);

#endif
