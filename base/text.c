/* base/text.c: how things are written: sizes, near words, terminals, copies, files. Times are in
 * text_time.c, encodings in text_encode.c, JSON's grammar in text_json.c. */
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

const char *text_digits(const char *text, int64_t *out)
{
    int64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(*p - '0'), &v))
            return NULL;
    if (p == text)
        return NULL;
    *out = v;
    return p;
}

bool text_parse_size(const char *text, int64_t *out_bytes)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"", 0},   {"B", 0},    {"K", 10}, {"KiB", 10},
                 {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
    int64_t v = 0, bytes;
    const char *p = text_digits(text, &v);
    if (!p)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(p, units[i].unit) != 0)
            continue;
        if (__builtin_mul_overflow(v, INT64_C(1) << units[i].shift, &bytes))
            return false;
        *out_bytes = bytes;
        return true;
    }
    return false;
}

void text_size(char *out, size_t room, int64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) {
        snprintf(out, room, "%lld B", (long long)bytes);
        return;
    }
    double v = (double)bytes / 1024;
    size_t i = 0;
    /* 1023.95 would be printed as 1024.0 of the smaller unit */
    for (; v >= 1023.95 && i + 1 < sizeof units / sizeof units[0]; i++)
        v /= 1024;
    snprintf(out, room, "%.1f %s", v, units[i]);
}

void text_escape_terminal(struct buf *out, const char *text, size_t n, bool keep_newlines)
{
    const unsigned char *p = (const unsigned char *)text;
    while (n > 0) {
        uint32_t code = 0;
        size_t step = utf8_next(p, n, &code);
        if (step == 0) {
            buf_addf(out, "\\x%02x", *p);
            step = 1;
        } else if (keep_newlines && (code == '\n' || code == '\t'))
            buf_addc(out, (char)code);
        else if (!utf8_is_hostile(code))
            buf_add(out, p, step);
        else if (code < 0x80)
            buf_addf(out, "\\x%02x", (unsigned)code);
        else if (code <= 0xffff)
            buf_addf(out, "\\u%04x", (unsigned)code);
        else
            buf_addf(out, "\\U%08x", (unsigned)code);
        p += step;
        n -= step;
    }
}

#define NEAREST_MAX 64

/* Half edits between two words: to insert, delete or replace is two, to swap neighbours, the commonest
 * slip, one. Large where too long. */
static size_t distance(const char *a, const char *b)
{
    size_t an = strlen(a), bn = strlen(b);
    if (an > NEAREST_MAX || bn > NEAREST_MAX)
        return SIZE_MAX;
    size_t rows[3][NEAREST_MAX + 1]; /* i-2, i-1, i by turns */
    for (size_t j = 0; j <= bn; j++)
        rows[0][j] = 2 * j;
    for (size_t i = 1; i <= an; i++) {
        size_t *now = rows[i % 3], *up = rows[(i + 2) % 3], *upper = rows[(i + 1) % 3];
        now[0] = 2 * i;
        for (size_t j = 1; j <= bn; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1] ? 2 : 0);
            best = up[j] + 2 < best ? up[j] + 2 : best;
            best = now[j - 1] + 2 < best ? now[j - 1] + 2 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                upper[j - 2] + 1 < best)
                best = upper[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[an % 3][bn];
}

const char *text_nearest(const char *text, const char *const *words)
{
    size_t n = strlen(text), limit = n < 5 ? 2 : 2 * (1 + n / 4);
    const char *nearest = NULL;
    for (; *words; words++) {
        size_t d = distance(text, *words);
        if (d > limit || d >= 2 * n)
            continue;
        nearest = *words;
        limit = d ? d - 1 : 0; /* the first of equals wins */
        if (d == 0)
            break;
    }
    return nearest;
}

char *text_did_you_mean(char out[TEXT_NEAR_MAX], const char *text, const char *const *words)
{
    const char *near = text_nearest(text, words);
    snprintf(out, TEXT_NEAR_MAX, "%s%s%s", near ? "; did you mean '" : "", near ? near : "",
             near ? "'?" : "");
    return out;
}

bool text_is_utf8(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    while (n > 0) {
        uint32_t code;
        size_t step = utf8_next(p, n, &code);
        if (step == 0)
            return false;
        p += step;
        n -= step;
    }
    return true;
}

char *text_copy(char *out, size_t room, const char *text)
{
    if (room == 0)
        return out;
    size_t n = strnlen(text, room - 1);
    memmove(out, text, n);
    out[n] = '\0';
    return out;
}

char *text_folder(char *out, size_t room, const char *path)
{
    text_copy(out, room, path);
    char *folder = dirname(out); /* out itself, or a constant */
    return folder == out ? out : text_copy(out, room, folder);
}

static enum err_code code_of_errno(int errnum)
{
    if (errnum == ENOENT || errnum == ENOTDIR)
        return ERR_NOT_FOUND;
    return errnum == EACCES || errnum == EPERM ? ERR_DENIED : ERR_IO;
}

static enum err_code read_all(int fd, const char *name, size_t cap_bytes, struct buf *out,
                              struct err *err)
{
    char piece[16384];
    size_t start = out->len;
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, code_of_errno(errno), "%s: %s", name, errno_text(errno));
        if (n == 0)
            return OK;
        if ((size_t)n > cap_bytes - (out->len - start))
            return fail(err, ERR_INVALID, "%s: larger than %zu bytes", name, cap_bytes);
        buf_add(out, piece, (size_t)n);
        if (out->failed)
            return fail(err, ERR_NOMEM, "%s: does not fit into memory", name);
    }
}

enum err_code text_read_file(const char *path, size_t cap_bytes, struct buf *out, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", cap_bytes, out, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, code_of_errno(errno), "%s: %s", path, errno_text(errno));
    enum err_code code = read_all(fd, path, cap_bytes, out, err);
    close(fd);
    return code;
}

char *text_count(char *out, size_t room, int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)(n < 0 ? -n : n));
    size_t at = 0;

    if (n < 0 && room > 1)
        out[at++] = '-';
    for (int i = 0; i < len && at + 2 < room; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}
