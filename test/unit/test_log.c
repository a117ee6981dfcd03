/* test/unit/test_log.c: log lines as they arrive on stderr, with values that try to break out of
 * their quotes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

struct capture {
    FILE *file;
    int stderr_before;
    char text[20000];
    size_t n;
};

static void capture_begin(struct capture *c)
{
    c->file = tmpfile();
    assert_non_null(c->file);
    c->stderr_before = dup(STDERR_FILENO);
    assert_true(dup2(fileno(c->file), STDERR_FILENO) >= 0);
}

static void capture_end(struct capture *c)
{
    dup2(c->stderr_before, STDERR_FILENO);
    close(c->stderr_before);
    ssize_t n = pread(fileno(c->file), c->text, sizeof c->text - 1, 0);
    assert_true(n >= 0);
    c->n = (size_t)n;
    c->text[c->n] = '\0';
    fclose(c->file);
}

/* One line, its end and its time stamp cut off. */
static const char *only_line(struct capture *c)
{
    assert_true(c->n > 0);
    char *end = strchr(c->text, '\n');
    assert_non_null(end);
    assert_ptr_equal(end, c->text + c->n - 1); /* one line, whatever was in it */
    *end = '\0';
    if (strncmp(c->text, "ts=", 3) == 0) {
        char *rest = strchr(c->text, ' ');
        int64_t ms;
        *rest = '\0';
        assert_true(text_parse_time(c->text + 3, &ms));
        return rest + 1;
    }
    return c->text;
}

#define LINE(c, ...)                                                                               \
    do {                                                                                           \
        capture_begin(c);                                                                          \
        log_line(__VA_ARGS__);                                                                     \
        capture_end(c);                                                                            \
    } while (0)

static void logfmt_values(void **state)
{
    (void)state;
    static const struct {
        const char *value, *expected;
    } rows[] = {
        {"plain", "plain"},
        {NULL, "null"},
        {"null", "\"null\""}, /* a text, not a missing one */
        {"", "\"\""},
        {"https://a.example/x", "https://a.example/x"},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"x level=error event=forged", "\"x level=error event=forged\""},
        {"a\" forged=1 b=\"", "\"a\\\" forged=1 b=\\\"\""},
        {"a\nts=2026 level=info", "\"a\\nts=2026 level=info\""},
        {"\r\x1b[2J", "\"\\r\\u001b[2J\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"\xc3\xa4", "\"\xc3\xa4\""},
        {"\xe2\x80\xae"
         "evil",
         "\"\\u202eevil\""},
        {"\xff\xfe", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"%s%n", "%s%n"},
    };
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    for (size_t i = 0; i < N(rows); i++) {
        struct capture c;
        char expected[200];
        LINE(&c, LOG_LEVEL_WARN, "something", "before=%d v=%s after=%s", 1, rows[i].value, "z");
        snprintf(expected, sizeof expected, "level=warn event=something before=1 v=%s after=z",
                 rows[i].expected);
        assert_string_equal(only_line(&c), expected);
    }
}

static void conversions(void **state)
{
    (void)state;
    struct capture c;
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_DEBUG);
    LINE(&c, LOG_LEVEL_DEBUG, "all",
         "d=%d u=%u ld=%ld lld=%lld llu=%llu zu=%zu f=%.3f i64=%" PRId64 " u64=%" PRIu64
         " x64=%" PRIx64 " pad=%05d addr=%s:%u part=%.*s pct=%d%% c=%c",
         -1, 4000000000U, -5L, -9000000000LL, 18446744073709551615ULL, (size_t)7, 1.0 / 3,
         INT64_MIN, UINT64_MAX, UINT64_C(0xabcdef0123456789), 42, "10.0.0.1", 443U, 3, "abcdef", 50,
         'q');
    assert_string_equal(only_line(&c),
                        "level=debug event=all d=-1 u=4000000000 ld=-5 lld=-9000000000 "
                        "llu=18446744073709551615 zu=7 f=0.333 i64=-9223372036854775808 "
                        "u64=18446744073709551615 x64=abcdef0123456789 pad=00042 "
                        "addr=10.0.0.1:443 part=abc pct=50% c=q");
    LINE(&c, LOG_LEVEL_ERROR, "words", "why=%s while reading %s in=%d", "no", "x y", 3);
    assert_string_equal(only_line(&c), "level=error event=words why=\"no while reading x y\" in=3");
    LINE(&c, LOG_LEVEL_INFO, "empty", "%s", "");
    assert_string_equal(only_line(&c), "level=info event=empty text=\"\"");
}

static void json_lines(void **state)
{
    (void)state;
    static const char *const hostile[] = {"",
                                          "\"",
                                          "\\",
                                          "\",\"level\":\"error",
                                          "\n\r\t\x01\x1b\x7f",
                                          "\xff\xc0\xaf\xed\xa0\x80",
                                          "\xe2\x80\xae",
                                          "}{",
                                          "a=b c=d",
                                          "\xf0\x9f\x98",
                                          "%d%s%n"};
    const char *volatile missing = NULL; /* hidden from gcc, which warns of a NULL for %s */
    log_setup(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    for (size_t i = 0; i < N(hostile); i++) {
        struct capture c;
        LINE(&c, LOG_LEVEL_INFO, "fact", "a=%s n=%d f=%.3f nan=%.3f none=%s z=%s", hostile[i], 7,
             0.5, (double)NAN, missing, hostile[i]);
        const char *line = only_line(&c);
        assert_null(text_json_problem(line, strlen(line), NULL));
        assert_non_null(strstr(line, "\"level\":\"info\",\"event\":\"fact\",\"a\":\""));
        assert_non_null(strstr(line, "\"n\":7,\"f\":0.500,\"nan\":\"nan\",\"none\":null,\"z\":\""));
        assert_null(strstr(line, "\"level\":\"error"));
    }
    struct capture c;
    LINE(&c, LOG_LEVEL_INFO, "fact", "pad=%03d hex=%x two=%d/%d", 7, 16U, 1, 2);
    assert_non_null(strstr(only_line(&c), "\"pad\":\"007\",\"hex\":\"10\",\"two\":\"1/2\"}"));
}

static void lines_are_capped(void **state)
{
    (void)state;
    static char big[20000];
    static const char fills[] = {'a', '"', '\x01', '\xc3', '='};
    static const enum log_format formats[] = {LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON};
    for (size_t k = 0; k < N(formats); k++) {
        for (size_t i = 0; i < N(fills); i++) {
            struct capture c;
            memset(big, fills[i], sizeof big - 1);
            log_setup(formats[k], LOG_LEVEL_INFO);
            LINE(&c, LOG_LEVEL_INFO, "big", "a=%s b=%s c=%s d=%d", big, big, big, 7);
            assert_true(c.n <= 8192);
            const char *line = only_line(&c);
            assert_non_null(strstr(line, formats[k] == LOG_FORMAT_JSON ? "\"truncated\":true"
                                                                       : " truncated=true"));
            if (formats[k] == LOG_FORMAT_JSON)
                assert_null(text_json_problem(line, strlen(line), NULL));
        }
    }
}

static void levels(void **state)
{
    (void)state;
    struct capture c;
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_WARN);
    assert_false(log_wants(LOG_LEVEL_INFO));
    assert_true(log_wants(LOG_LEVEL_WARN));
    capture_begin(&c);
    log_debug("quiet", "a=%d", 1);
    log_info("quiet", "a=%d", 1);
    log_warn("loud", "a=%d", 1);
    capture_end(&c);
    assert_string_equal(only_line(&c), "level=warn event=loud a=1");
}

static void journal(void **state)
{
    (void)state;
    static const struct {
        enum log_level level;
        const char *prefix;
    } rows[] = {{LOG_LEVEL_DEBUG, "<7>level=debug "},
                {LOG_LEVEL_INFO, "<6>level=info "},
                {LOG_LEVEL_WARN, "<4>level=warn "},
                {LOG_LEVEL_ERROR, "<3>level=error "}};
    for (size_t i = 0; i < N(rows); i++) {
        struct capture c;
        struct stat st;
        char stream[64];
        capture_begin(&c);
        fstat(STDERR_FILENO, &st);
        snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_DEBUG);
        log_line(rows[i].level, "x", "a=%d", 1);
        capture_end(&c);
        assert_memory_equal(c.text, rows[i].prefix, strlen(rows[i].prefix)); /* no ts */
    }
    setenv("JOURNAL_STREAM", "1:1", 1); /* inherited from a parent, not ours */
    struct capture c;
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    LINE(&c, LOG_LEVEL_INFO, "x", "a=%d", 1);
    assert_memory_equal(c.text, "ts=", 3);
    unsetenv("JOURNAL_STREAM");
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
}

static void errno_survives(void **state)
{
    (void)state;
    struct capture c;
    capture_begin(&c);
    close(STDERR_FILENO); /* write() fails */
    errno = ENOSPC;
    log_error("x", "a=%d", 1);
    int after = errno;
    capture_end(&c);
    assert_int_equal(after, ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logfmt_values),    cmocka_unit_test(conversions),
        cmocka_unit_test(json_lines),       cmocka_unit_test(levels),
        cmocka_unit_test(lines_are_capped), cmocka_unit_test(journal),
        cmocka_unit_test(errno_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
