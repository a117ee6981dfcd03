/* cli/out.c: see out.h. Tables: out_table.c. */
#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cli/out_fit.h"
#include "cli/out_style.h"

#define CELL_MAX_BYTES ((size_t)64 << 10)
#define TIME_CHARACTERS strlen("2026-11-22T05:07:41.158Z")

void out_line(FILE *to, const char *text)
{
    size_t width = out_columns(fileno(to));
    struct buf safe, lines;

    buf_init(&safe, CELL_MAX_BYTES);
    buf_init(&lines, CELL_MAX_BYTES * 2);
    text_escape_terminal(&safe, text, strlen(text), true);
    if (safe.data != NULL && width > 0)
        out_wrap(&lines, safe.data, width, false);
    fprintf(to, "%s\n", lines.len > 0 ? lines.data : safe.data ? safe.data : "");
    buf_fini(&safe);
    buf_fini(&lines);
}

void out_said(FILE *to, struct buf *text)
{
    if (text->len > 0)
        out_line(to, text->data);
    buf_clear(text);
}

static int out_errno; /* of the first flush that failed: the stream only knows that there was one */

int out_flush(void)
{
    errno = 0;
    if (fflush(stdout) != 0 && out_errno == 0)
        out_errno = errno;
    return out_errno != 0 ? out_errno : ferror(stdout) ? -1 : 0;
}

void out_note(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;

    (void)out_flush(); /* what was said before stands before it on a terminal too */
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);

    va_end(ap);
    out_line(stderr, n > 0 ? text : "");
    free(text);
}

void out_done(const struct cli *cli, const char *fmt, ...)
{
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);

    va_end(ap);
    out_note("%s%s", dry ? "Dry run, nothing was changed. It would be: " : "", n >= 0 ? text : "");
    free(n >= 0 ? text : NULL);
}

bool out_dry(const struct cli *cli)
{
    if (cli_flag(cli, FLAG_DRY_RUN) == NULL)
        return false;
    out_note("Nothing was changed.");
    return true;
}

const char *out_created(const struct cli *cli)
{
    return cli_flag(cli, FLAG_DRY_RUN) != NULL ? "would create" : "created";
}

bool out_is_json(const struct cli *cli)
{
    return cli->format == OUT_JSON || cli->format == OUT_JSONL;
}

/* One hostile character as JSON may write it: in a string, where alone it can stand for itself. */
static void json_escape(struct buf *out, uint32_t code)
{
    if (code < 0x10000)
        buf_addf(out, "\\u%04x", (unsigned)code);
    else
        buf_addf(out, "\\u%04x\\u%04x", 0xd800u + ((code - 0x10000u) >> 10),
                 0xdc00u + ((code - 0x10000u) & 0x3ffu));
}

static void json_print(FILE *to, const char *json, size_t n)
{
    const unsigned char *at = (const unsigned char *)json, *end = at + n;
    struct buf safe;
    uint32_t code = 0;
    size_t step;

    buf_init(&safe, n * 12 + 16);
    for (; at < end; at += step) {
        step = utf8_next(at, (size_t)(end - at), &code);
        if (step == 0)
            step = 1; /* no JSON of ours; nothing to be kept */
        else if (code == '\n' || !utf8_is_hostile(code))
            buf_add(&safe, at, step);
        else if (code == '\t' || code == '\r') /* between tokens: in strings they are escaped */
            buf_addc(&safe, ' ');
        else
            json_escape(&safe, code);
    }
    if (safe.len > 0)
        fwrite(safe.data, 1, safe.len, to);
    if (safe.len == 0 || safe.data[safe.len - 1] != '\n')
        fputc('\n', to);
    buf_fini(&safe);
}

int out_fail(const struct cli *cli, int exit_code, const char *code, const char *fmt, ...)
{
    char text[1024], now[TEXT_TIME_MAX];
    struct buf line;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_init(&line, CELL_MAX_BYTES);
    if (out_is_json(cli)) {
        buf_adds(&line, "{\"error\":{\"code\":");
        buf_add_json(&line, code);
        buf_adds(&line, ",\"message\":");
        buf_add_json(&line, text);
        buf_addf(&line,
                 ",\"details\":null,\"target\":null,\"status\":null,\"timestamp\":\"%s\","
                 "\"correlation_id\":null,\"documentation\":null}}",
                 text_time(now, clock_wall_ms()));
    } else {
        buf_addf(&line, "webhookctl: %s", text);
    }
    (void)out_flush();
    if (out_is_json(cli))
        json_print(stderr, line.data ? line.data : "", line.len);
    else
        out_line(stderr, line.data ? line.data : "");
    buf_fini(&line);
    return exit_code;
}

static int exit_of_err(enum err_code code)
{
    switch (code) {
    case OK:
        return CLI_OK;
    case ERR_INVALID:
        return CLI_USAGE;
    case ERR_CONFIG:
    case ERR_NEWER:
        return CLI_CONFIG;
    case ERR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case ERR_EXISTS:
    case ERR_STALE:
        return CLI_NO;
    case ERR_UNDONE:
        return CLI_OK;
    case ERR_BUSY:
        return CLI_LATER;
    case ERR_DENIED:
        return CLI_DENIED;
    case ERR_FULL:
        return CLI_CANNOT_CREATE;
    case ERR_IO:
    case ERR_CORRUPT:
        return CLI_IO;
    case ERR_NOMEM:
    case ERR_INTERNAL:
        break;
    }
    return CLI_INTERNAL;
}

int out_fail_err(const struct cli *cli, const struct err *err)
{
    return out_fail(cli, exit_of_err(err->code), err_code_name(err->code), "%s", err->text);
}

json_t *out_path(const char *path)
{
    struct buf text;

    buf_init(&text, CELL_MAX_BYTES);
    text_escape_terminal(&text, path, strlen(path), false);
    json_t *json = json_string(text.data ? text.data : "");

    buf_fini(&text);
    return json;
}

/* Borrowed: jansson's getters give a mutable pointer out of a const object. */
json_t *out_member(const json_t *object, const char *path)
{
    char name[64];
    json_t *at = NULL;

    while (*path) {
        size_t n = strcspn(path, ".");

        text_copy(name, n + 1 < sizeof name ? n + 1 : sizeof name, path);
        at = json_object_get(at ? at : object, name);
        if (at == NULL)
            return NULL;
        path += n + (path[n] == '.');
    }
    return at;
}

const char *out_string(const json_t *object, const char *path)
{
    return json_string_value(out_member(object, path));
}

int64_t out_integer(const json_t *object, const char *path)
{
    return (int64_t)json_integer_value(out_member(object, path));
}

static void value_time(const struct cli *cli, const char *text, enum out_kind kind, struct buf *out)
{
    char ago[32], local[TEXT_TIME_MAX];
    int64_t ms, now = clock_wall_ms();
    bool raw = cli->times == OUT_TIMES_UTC || (cli->times == OUT_TIMES_AUTO && !cli->out_tty);

    if (raw || !text_parse_time(text, &ms) || strlen(text) < TIME_CHARACTERS) {
        text_escape_terminal(out, text, strlen(text), false);
        return;
    }
    text_time_local(local, ms);
    if (cli->times == OUT_TIMES_LOCAL) {
        buf_adds(out, local);
        return;
    }
    if (kind == OUT_CLOCK) {
        buf_add(out, local + strlen("2026-11-22T"), strlen("05:07:41.158"));
        return;
    }
    if (kind == OUT_WHEN)
        buf_addf(out, "%s, ", local);
    if (ms <= now && now - ms < 1000) {
        buf_adds(out, "just now");
        return;
    }
    int64_t span = ms > now ? ms - now : now - ms;

    text_ago(ago, sizeof ago, span < 60000 ? span : span - span % 60000);
    buf_addf(out, ms > now ? "in %s" : "%s ago", ago);
}

static void value_ms(struct buf *out, double number)
{
    buf_addf(out, number < 0.00995 ? "%.1fms" : "%.0fms", number * 1000);
}

/* Below a tenth seconds would be a row of zeros. */
static void value_seconds(struct buf *out, double number, int digits)
{
    if (number < 0.0995)
        value_ms(out, number);
    else
        buf_addf(out, "%.*fs", digits, number);
}

static void value_number(const json_t *value, enum out_kind kind, struct buf *out)
{
    double number = json_number_value(value);
    char size[32];

    switch (kind) {
    case OUT_SECONDS:
        value_seconds(out, number, 3);
        return;
    case OUT_MS:
        value_ms(out, number);
        return;
    case OUT_BYTES:
        text_size(size, sizeof size, (int64_t)number);
        buf_adds(out, size);
        return;
    case OUT_COUNT:
        buf_adds(out, text_count(size, sizeof size, (int64_t)number));
        return;
    case OUT_RATIO: /* a single failure of ten thousand is no 100% */
        buf_addf(out, "%.1f%%", number < 1 && number > 0.999 ? 99.9 : number * 100);
        return;
    case OUT_RATE:
        buf_addf(out, number == 0 ? "0" : number < 9.95 ? "%.2f" : "%.1f", number);
        return;
    case OUT_BRIEF:
        value_seconds(out, number, number < 9.995 ? 2 : 1);
        return;
    case OUT_TEXT:
    case OUT_LONG:
    case OUT_WRAP:
    case OUT_TIME:
    case OUT_CLOCK:
    case OUT_WHEN:
    case OUT_COUNTS:
    case OUT_STATE:
        break;
    }
    if (json_is_integer(value))
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        buf_addf(out, "%.10g", number);
}

/* Borrowed: jansson walks mutable objects. */
static void value_counts(const json_t *value, struct buf *out)
{
    json_t *o = (json_t *)(uintptr_t)value, *n;
    const char *state;
    bool some = false;

    json_object_foreach(o, state, n)
    {
        if (json_integer_value(n) <= 0)
            continue;
        buf_addf(out, "%s%s %s", some ? ", " : "", TEXT_COUNTED(json_integer_value(n)), state);
        some = true;
    }
    if (!some)
        buf_adds(out, "matched nobody");
}

void out_value(const struct cli *cli, const json_t *value, enum out_kind kind, struct buf *out)
{
    size_t i;
    json_t *item;

    if (json_is_string(value) && json_string_length(value) > 0) {
        if (kind == OUT_TIME || kind == OUT_CLOCK || kind == OUT_WHEN)
            value_time(cli, json_string_value(value), kind, out);
        else
            text_escape_terminal(out, json_string_value(value), json_string_length(value), false);
    } else if (json_is_number(value)) {
        value_number(value, kind, out);
    } else if (json_is_boolean(value)) {
        buf_adds(out, json_is_true(value) ? "yes" : "no");
    } else if (json_is_array(value) && json_array_size(value) > 0) {
        json_array_foreach(value, i, item)
        {
            if (i > 0)
                buf_addc(out, ',');
            out_value(cli, item, kind, out);
        }
    } else if (json_is_object(value) && kind == OUT_COUNTS) {
        value_counts(value, out);
    } else if (json_is_object(value)) {
        char *text = json_dumps(value, JSON_COMPACT);

        text_escape_terminal(out, text ? text : "", text ? strlen(text) : 0, false);
        free(text);
    } else {
        buf_addc(out, '-');
    }
}

static void out_field(const struct cli *cli, const char *label, enum out_kind kind,
                      const char *text)
{
    enum out_style style = kind == OUT_STATE ? out_style_of(text) : STYLE_PLAIN;
    struct buf line;

    buf_init(&line, CELL_MAX_BYTES + 256);
    buf_addf(&line, "%-14s ", label);
    out_styled(&line, cli->out_color, style, text);
    puts(line.data ? line.data : "");
    buf_fini(&line);
}

void out_fields(const struct cli *cli, const json_t *object, const struct out_column *fields)
{
    struct buf text;

    for (size_t i = 0; fields[i].header; i++) {
        json_t *value = out_member(object, fields[i].path);

        if (value == NULL || json_is_null(value))
            continue;
        buf_init(&text, CELL_MAX_BYTES);
        out_value(cli, value, fields[i].kind, &text);
        out_field(cli, fields[i].header, fields[i].kind, text.data ? text.data : "-");
        buf_fini(&text);
    }
}

void out_escaped(const char *text, size_t n, const char *indent)
{
    struct buf plain, safe;

    buf_init(&plain, n + 16);
    buf_init(&safe, n * 8 + 16);
    /* heads end their lines in CR LF; that is no trick of a partner */
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\r' || i + 1 == n || text[i + 1] != '\n')
            buf_addc(&plain, text[i]);
    }
    text_escape_terminal(&safe, plain.data ? plain.data : "", plain.len, true);
    for (char *at = safe.data; at != NULL && *at;) {
        size_t len = strcspn(at, "\n");

        printf("%s%.*s\n", indent, (int)len, at);
        at += len + (at[len] == '\n');
    }
    buf_fini(&plain);
    buf_fini(&safe);
}

void out_json_raw(const char *json, size_t n)
{
    json_print(stdout, json, n);
}

int out_fail_json(int exit_code, const json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT);

    (void)out_flush();
    json_print(stderr, text ? text : "{}", text ? strlen(text) : 2);
    free(text);
    return exit_code;
}

void out_json(const json_t *value, bool lines)
{
    /* 17 digits, as jansson has them, make 0.00036900000000000002 of 0.000369 */
    char *text =
        json_dumps(value, (lines ? JSON_COMPACT : JSON_INDENT(2)) | JSON_REAL_PRECISION(15));

    if (text != NULL)
        out_json_raw(text, strlen(text));
    free(text);
}
