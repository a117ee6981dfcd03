/* base/buf.c: growing bytes with a hard cap; see buf.h for how failure is told. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "base/utf8.h"

void buf_init(struct buf *b, size_t cap_bytes)
{
    *b = (struct buf){.cap = cap_bytes};
}

void buf_fini(struct buf *b)
{
    span_free(b->data, b->room);
    b->data = NULL;
    b->len = b->room = 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

static bool resize(struct buf *b, size_t room)
{
    char *data = span_resize(b->data, b->room, room);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->room = room;
    return true;
}

static bool within_cap(struct buf *b, size_t n)
{
    if (n > b->cap || b->len > b->cap - n || b->len + n >= SIZE_MAX / 2)
        b->failed = true;
    return !b->failed;
}

/* Makes room for n more bytes and the NUL; false: failed is set. */
static bool reserve(struct buf *b, size_t n)
{
    if (b->failed || !within_cap(b, n))
        return false;
    size_t need = b->len + n + 1;
    if (need <= b->room)
        return true;
    size_t room = b->room ? b->room : 64;
    while (room < need)
        room *= 2;
    return resize(b, room);
}

void buf_reserve(struct buf *b, size_t n)
{
    if (!b->failed && within_cap(b, n) && b->len + n + 1 > b->room && resize(b, b->len + n + 1))
        b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n > 0)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addi(struct buf *b, int64_t n)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        digits[--at] = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (n < 0)
        digits[--at] = '-';
    buf_add(b, digits + at, sizeof digits - at);
}

void buf_join(struct buf *b, ...)
{
    va_list ap;
    const char *text;
    va_start(ap, b);
    while ((text = va_arg(ap, const char *)) != NULL)
        buf_adds(b, text);
    va_end(ap);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    size_t room = b->failed ? 0 : b->room - b->len; /* mostly enough: one pass, not two */
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(room > 0 ? b->data + b->len : NULL, room, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->failed = true;
    } else {
        if ((size_t)n >= room)
            vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    if (b->data)
        b->data[b->len] = '\0'; /* what did not fit leaves nothing behind */
}

static void add_json_escape(struct buf *b, uint32_t code)
{
    static const char shorts[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
        if (code == (unsigned char)shorts[i]) {
            buf_addc(b, '\\');
            buf_addc(b, shorts[i + 1]);
            return;
        }
    }
    if (code <= 0xffff) {
        buf_addf(b, "\\u%04x", (unsigned)code);
        return;
    }
    unsigned high = 0xd800U + (unsigned)((code - 0x10000) >> 10);
    unsigned low = 0xdc00U + (unsigned)((code - 0x10000) & 0x3ff);
    buf_addf(b, "\\u%04x\\u%04x", high, low);
}

/* Hostile characters (controls, bidi) are escaped although RFC 8259 asks it of C0 only: our JSON
 * ends up on terminals and in log viewers, and the value is the same. */
void buf_add_json(struct buf *b, const char *text)
{
    if (!text) {
        buf_adds(b, "null");
        return;
    }
    const unsigned char *p = (const unsigned char *)text;
    size_t left = strlen(text), run = 0; /* run: bytes before p that go out as they are */
    buf_addc(b, '"');
    while (left > 0) {
        if (*p >= ' ' && *p <= '~' && *p != '"' && *p != '\\') { /* nearly all there is */
            run++;
            p++;
            left--;
            continue;
        }
        uint32_t code = 0xfffd;
        size_t n = utf8_next(p, left, &code);
        bool escape = n == 0 || code == '"' || code == '\\' || utf8_is_hostile(code);
        size_t step = n ? n : 1;
        if (escape) {
            buf_add(b, p - run, run);
            if (n == 0)
                buf_adds(b, "\xef\xbf\xbd");
            else
                add_json_escape(b, code);
            run = 0;
        } else
            run += step;
        p += step;
        left -= step;
    }
    buf_add(b, p - run, run);
    buf_addc(b, '"');
}

char *buf_take(struct buf *b)
{
    char *taken = malloc(b->len + 1); /* its own block may not be malloc's */
    if (taken != NULL) {
        memcpy(taken, b->data != NULL ? b->data : "", b->len);
        taken[b->len] = '\0';
    }
    buf_fini(b);
    b->failed = false;
    return taken;
}
