/* base/text_encode.c: Base64 (RFC 4648 section 4) and hex. By hand, because base stands on libc
 * alone. */
#include "base/text.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64(struct buf *out, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (; n > 0; p += 3, n -= n < 3 ? n : 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        char four[4] = {letters[v >> 18], letters[v >> 12 & 63], letters[v >> 6 & 63],
                        letters[v & 63]};
        if (n < 3)
            four[3] = '=';
        if (n < 2)
            four[2] = '=';
        buf_add(out, four, 4);
    }
}

static int value_of(char c)
{
    const char *at = c ? strchr(letters, c) : NULL;
    return at ? (int)(at - letters) : -1;
}

/* Four characters; last: padding may stand here. The bytes made, or -1. */
static int decode_four(const char *four, bool last, unsigned char three[3])
{
    int pad = !last || four[3] != '=' ? 0 : four[2] != '=' ? 1 : 2;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int d = i >= 4 - pad ? 0 : value_of(four[i]);
        if (d < 0)
            return -1;
        v = v << 6 | (uint32_t)d;
    }
    /* Bits that no byte uses must be zero: one text for one value. */
    if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
        return -1;
    three[0] = (unsigned char)(v >> 16);
    three[1] = (unsigned char)(v >> 8);
    three[2] = (unsigned char)v;
    return 3 - pad;
}

bool text_base64_decode(struct buf *out, const char *text, size_t n)
{
    if (n % 4 != 0)
        return false;
    for (size_t i = 0; i < n; i += 4) {
        unsigned char three[3];
        int got = decode_four(text + i, i + 4 == n, three);
        if (got < 0)
            return false;
        buf_add(out, three, (size_t)got);
    }
    return !out->failed;
}

void text_hex(char *out, const void *bytes, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex[p[i] >> 4];
        out[2 * i + 1] = hex[p[i] & 15];
    }
    out[2 * n] = '\0';
}
