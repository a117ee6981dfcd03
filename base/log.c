/* base/log.c: one fact, one line on stderr. The format is read pair by pair: a value is expanded,
 * then quoted as a whole, so that no text from outside can begin a new key or a new line.
 *
 *   "delivery=%s cause=%s"  ──▶  key, value template ──▶ expand() ──▶ add_pair() ──▶ one write(2)
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

#define LINE_MAX_BYTES 8192
#define VALUE_MAX_BYTES 4096
#define TAIL_BYTES 32 /* kept free for truncated=true and the end */

/* Set at start and at a reload, read by every thread. */
static _Atomic int level_now = LOG_LEVEL_INFO;
static _Atomic int log_format_now = LOG_FORMAT_LOGFMT;
static _Atomic int log_to_journal = 0;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* systemd names the device and inode that it connected: only then is stderr its journal, which
 * stamps time itself and reads the level from <N>. */
static int is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return 0;
    char mine[64];
    snprintf(mine, sizeof mine, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, mine) == 0;
}

void log_setup(enum log_format format, enum log_level level)
{
    atomic_store(&log_format_now, (int)format);
    atomic_store(&level_now, (int)level);
    atomic_store(&log_to_journal, is_journal());
}

void log_set_level(enum log_level level)
{
    atomic_store(&level_now, (int)level);
}

enum log_level log_level_now(void)
{
    return (enum log_level)atomic_load(&level_now);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_wants(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&level_now, memory_order_relaxed);
}

struct value {
    struct buf text;
    bool null;   /* a lone %s that was NULL */
    bool number; /* a lone conversion that makes a number */
    bool cut;    /* longer than VALUE_MAX_BYTES */
};

/* Text that is a JSON number as it stands ("007" and "nan" are not). */
static bool is_number(const char *text)
{
    const char *p = text + (*text == '-');
    return *p >= '0' && *p <= '9' && text_json_problem(text, strlen(text), NULL) == NULL;
}

static bool is_bare(const char *text)
{
    if (!*text || strcmp(text, "null") == 0)
        return false;
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p > '~' || *p == '"' || *p == '=' || *p == '\\')
            return false;
    return true;
}

static void render_value(struct buf *out, const struct value *v, bool json)
{
    const char *text = v->text.data ? v->text.data : "";
    if (v->null)
        buf_adds(out, "null");
    else if (json ? v->number && is_number(text) : is_bare(text))
        buf_adds(out, text);
    else
        buf_add_json(out, text);
}

/* A line in the making. */
struct line {
    struct buf text;
    bool json;
    bool begun;     /* there is a pair to be parted from */
    bool truncated; /* something was shortened or left out */
};

/* Adds the pair where it fits, shortening its value by halves; else it is left out. */
static void add_pair(struct line *l, const char *key, size_t key_n, struct value *v)
{
    size_t used = l->text.len + TAIL_BYTES;
    struct buf pair;
    buf_init(&pair, used < LINE_MAX_BYTES ? LINE_MAX_BYTES - used : 0);
    for (;;) {
        buf_clear(&pair);
        if (l->begun)
            buf_addc(&pair, l->json ? ',' : ' ');
        buf_addf(&pair, l->json ? "\"%.*s\":" : "%.*s=", (int)key_n, key);
        render_value(&pair, v, l->json);
        if (!pair.failed || v->text.len < 16)
            break;
        v->text.len /= 2;
        v->text.data[v->text.len] = '\0';
        v->number = false;
        l->truncated = true;
    }
    if (pair.failed)
        l->truncated = true;
    else {
        buf_add(&l->text, pair.data, pair.len);
        l->begun = true;
    }
    buf_fini(&pair);
}

struct args {
    va_list ap;
};

enum length { LENGTH_INT, LENGTH_LONG, LENGTH_LLONG, LENGTH_SIZE, LENGTH_MAX };

/* A conversion "%-08.3lld" in parts. */
struct conversion {
    char spec[24]; /* flags, width and precision, without length and letter */
    enum length length;
    char letter;
    int precision; /* -1: none */
};

static const char *read_conversion(const char *p, struct conversion *c, struct args *args)
{
    size_t n = 0;
    *c = (struct conversion){.precision = -1};
    bool point = false;
    c->spec[n++] = '%';
    for (; *p && strchr("0123456789.-+ #*", *p); p++) {
        char part[16] = {*p, '\0'};
        if (*p == '.') {
            point = true;
            c->precision = 0;
        } else if (*p == '*') {
            int given = va_arg(args->ap, int);
            snprintf(part, sizeof part, "%d", given);
            if (point)
                c->precision = given;
        } else if (point && c->precision < VALUE_MAX_BYTES)
            c->precision = c->precision * 10 + (*p - '0');
        for (const char *q = part; *q && n + 1 < sizeof c->spec; q++)
            c->spec[n++] = *q;
    }
    c->spec[n] = '\0';
    for (; *p == 'l'; p++)
        c->length = c->length == LENGTH_INT ? LENGTH_LONG : LENGTH_LLONG;
    if (*p == 'z' || *p == 'j')
        c->length = *p++ == 'z' ? LENGTH_SIZE : LENGTH_MAX;
    while (*p == 'h')
        p++;
    c->letter = *p;
    return *p ? p + 1 : p;
}

static intmax_t take_signed(enum length length, struct args *args)
{
    switch (length) {
    case LENGTH_INT:
        return va_arg(args->ap, int);
    case LENGTH_LONG:
        return va_arg(args->ap, long);
    case LENGTH_LLONG:
        return va_arg(args->ap, long long);
    case LENGTH_SIZE:
        return va_arg(args->ap, ssize_t);
    case LENGTH_MAX:
        return va_arg(args->ap, intmax_t);
    }
    return 0;
}

static uintmax_t take_unsigned(enum length length, struct args *args)
{
    switch (length) {
    case LENGTH_INT:
        return va_arg(args->ap, unsigned);
    case LENGTH_LONG:
        return va_arg(args->ap, unsigned long);
    case LENGTH_LLONG:
        return va_arg(args->ap, unsigned long long);
    case LENGTH_SIZE:
        return va_arg(args->ap, size_t);
    case LENGTH_MAX:
        return va_arg(args->ap, uintmax_t);
    }
    return 0;
}

static void add_text(struct value *v, const struct conversion *c, const char *text)
{
    if (!text) {
        v->null = v->text.len == 0;
        buf_adds(&v->text, "null");
        return;
    }
    size_t room = VALUE_MAX_BYTES - (v->text.len < VALUE_MAX_BYTES ? v->text.len : VALUE_MAX_BYTES);
    if (c->precision >= 0 && (size_t)c->precision < room)
        room = (size_t)c->precision;
    size_t n = strnlen(text, room);
    v->cut = v->cut || (n == room && c->precision < 0 && text[n]);
    buf_add(&v->text, text, n);
}

/* The spec is built from our own literal formats, which the compiler has checked at the caller
 * (attribute format); here it cannot see that any more. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void add_number(struct value *v, const struct conversion *c, struct args *args)
{
    char spec[32], out[512];
    int n;
    if (c->letter == 'd' || c->letter == 'i') {
        snprintf(spec, sizeof spec, "%sjd", c->spec);
        n = snprintf(out, sizeof out, spec, take_signed(c->length, args));
    } else if (strchr("uxXo", c->letter)) {
        snprintf(spec, sizeof spec, "%sj%c", c->spec, c->letter);
        n = snprintf(out, sizeof out, spec, take_unsigned(c->length, args));
    } else {
        snprintf(spec, sizeof spec, "%s%c", c->spec, c->letter);
        n = snprintf(out, sizeof out, spec, va_arg(args->ap, double));
    }
    if (n > 0)
        buf_adds(&v->text, out);
}
#pragma GCC diagnostic pop

/* One conversion into v; false: of an unknown kind, so that the arguments behind it are unusable.
 */
static bool expand(struct value *v, const struct conversion *c, struct args *args)
{
    if (c->letter == '%')
        buf_addc(&v->text, '%');
    else if (c->letter == 's')
        add_text(v, c, va_arg(args->ap, const char *));
    else if (c->letter == 'c') {
        char one[2] = {(char)va_arg(args->ap, int), '\0'};
        add_text(v, c, one);
    } else if (c->letter && strchr("diuxXofgeFGE", c->letter))
        add_number(v, c, args);
    else
        return false;
    return true;
}

/* The length of a key before '=', or 0: what follows belongs to the value before it. */
static size_t key_length(const char *p)
{
    size_t n = 0;
    while ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= 'A' && p[n] <= 'Z') ||
           (n > 0 && p[n] >= '0' && p[n] <= '9') || p[n] == '_')
        n++;
    return p[n] == '=' ? n : 0;
}

/* Reads one value template from p into v; returns where the next pair begins, or the end. */
static const char *read_value(const char *p, struct value *v, struct args *args)
{
    const char *start = p;
    while (*p && !(*p == ' ' && key_length(p + 1))) {
        if (*p != '%') {
            buf_addc(&v->text, *p++);
            v->null = false;
            continue;
        }
        struct conversion c;
        bool lone = p == start;
        p = read_conversion(p + 1, &c, args);
        if (!expand(v, &c, args))
            return p + strlen(p);
        bool ends = *p == '\0' || *p == ' ';
        v->number = lone && ends && strchr("diufgeFGE", c.letter) != NULL;
        v->null = v->null && lone && ends;
    }
    return *p == ' ' ? p + 1 : p;
}

static void add_pairs(struct line *l, const char *fmt, struct args *args)
{
    struct value v;
    buf_init(&v.text, LINE_MAX_BYTES);
    while (*fmt) {
        size_t key_n = key_length(fmt);
        const char *key = key_n ? fmt : "text";
        buf_clear(&v.text);
        v.null = v.number = v.cut = false;
        fmt = read_value(key_n ? fmt + key_n + 1 : fmt, &v, args);
        add_pair(l, key, key_n ? key_n : 4, &v);
        l->truncated = l->truncated || v.cut;
    }
    buf_fini(&v.text);
}

static void add_constant(struct line *l, const char *key, const char *text)
{
    struct value v = {.null = false};
    buf_init(&v.text, VALUE_MAX_BYTES);
    buf_add(&v.text, text, strnlen(text, 128));
    add_pair(l, key, strlen(key), &v);
    buf_fini(&v.text);
}

static void write_line(const struct buf *line)
{
    ssize_t n;
    do {
        n = write(STDERR_FILENO, line->data, line->len);
    } while (n < 0 && errno == EINTR);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    static const char journal_levels[] = "7643";
    if (!log_wants(level))
        return;
    int saved_errno = errno; /* a log line between a failure and its report must not disturb it */
    bool journal = atomic_load(&log_to_journal) != 0;
    char when[TEXT_TIME_MAX];
    struct line l = {.json = atomic_load(&log_format_now) == LOG_FORMAT_JSON};
    buf_init(&l.text, LINE_MAX_BYTES);
    if (journal)
        buf_addf(&l.text, "<%c>", journal_levels[level]);
    if (l.json)
        buf_addc(&l.text, '{');
    if (!journal)
        add_constant(&l, "ts", text_time(when, clock_wall_ms()));
    add_constant(&l, "level", level_names[level]);
    add_constant(&l, "event", event);

    struct args args;
    va_start(args.ap, fmt);
    add_pairs(&l, fmt, &args);
    va_end(args.ap);
    if (l.truncated)
        buf_adds(&l.text, l.json ? ",\"truncated\":true" : " truncated=true");
    buf_adds(&l.text, l.json ? "}\n" : "\n");
    if (!l.text.failed)
        write_line(&l.text);
    buf_fini(&l.text);
    errno = saved_errno;
}
