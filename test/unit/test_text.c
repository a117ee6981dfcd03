/* test/unit/test_text.c: how things are written and read: durations, sizes, times, terminals, near
 * words, encodings, files, and JSON's grammar. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;          /* -1: refused */
        const char *written; /* NULL: as text */
    } rows[] = {
        {"0", 0, "0s"},
        {"0s", 0, "0s"},
        {"500ms", 500, NULL},
        {"10s", 10000, NULL},
        {"90s", 90000, NULL},
        {"60s", 60000, "1m"},
        {"5m", 300000, NULL},
        {"60m", 3600000, "1h"},
        {"24h", 86400000, "1d"},
        {"30d", 2592000000, NULL},
        {"1500ms", 1500, NULL},
        {"007s", 7000, "7s"},
        {"", -1, NULL},
        {"s", -1, NULL},
        {"5", -1, NULL},
        {"-5s", -1, NULL},
        {"1.5s", -1, NULL},
        {"5 s", -1, NULL},
        {" 5s", -1, NULL},
        {"5s ", -1, NULL},
        {"5S", -1, NULL},
        {"1h30m", -1, NULL},
        {"5w", -1, NULL},
        {"9223372036854775808ms", -1, NULL},
        {"106751991168d", -1, NULL},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char out[32];
        int64_t ms = -9;
        assert_int_equal(text_parse_duration(rows[i].text, &ms), rows[i].ms >= 0);
        assert_int_equal(ms, rows[i].ms >= 0 ? rows[i].ms : -9);
        if (rows[i].ms < 0)
            continue;
        text_duration(out, sizeof out, ms);
        assert_string_equal(out, rows[i].written ? rows[i].written : rows[i].text);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } parsed[] = {
        {"65536", 65536},
        {"64KiB", 65536},
        {"64K", 65536},
        {"1MiB", 1048576},
        {"1M", 1048576},
        {"1GiB", 1 << 30},
        {"2G", INT64_C(1) << 31},
        {"0", 0},
        {"10B", 10},
        {"", -1},
        {"K", -1},
        {"1 K", -1},
        {"1KB", -1},
        {"-1", -1},
        {"1.5K", -1},
        {"9223372036854775807K", -1},
    };
    static const struct {
        int64_t bytes;
        const char *text;
    } written[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {43201331, "41.2 MiB"},
        {1048575, "1.0 MiB"},
        {INT64_C(5) << 40, "5.0 TiB"},
        {INT64_MAX, "8192.0 PiB"},
    };
    for (size_t i = 0; i < N(parsed); i++) {
        int64_t bytes = -1;
        assert_int_equal(text_parse_size(parsed[i].text, &bytes), parsed[i].bytes >= 0);
        assert_int_equal(bytes, parsed[i].bytes); /* -1: left alone */
    }
    for (size_t i = 0; i < N(written); i++) {
        char out[32];
        text_size(out, sizeof out, written[i].bytes);
        assert_string_equal(out, written[i].text);
    }
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        bool legal;
        const char *written;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, true, "1970-01-01T00:00:00.000Z"},
        {"2026-11-22T05:07:41.120Z", 1795324061120, true, "2026-11-22T05:07:41.120Z"},
        {"2026-11-22T05:07:41.1209999Z", 1795324061120, true, "2026-11-22T05:07:41.120Z"},
        {"2026-11-22t07:07:41.12+02:00", 1795324061120, true, "2026-11-22T05:07:41.120Z"},
        {"2026-11-21 23:37:41.12-05:30", 1795324061120, true, "2026-11-22T05:07:41.120Z"},
        {"2024-02-29T00:00:00z", 1709164800000, true, "2024-02-29T00:00:00.000Z"},
        {"2016-12-31T23:59:60Z", 1483228799000, true, "2016-12-31T23:59:59.000Z"},
        {"1969-12-31T23:59:59.999Z", -1, true, "1969-12-31T23:59:59.999Z"},
        {"0000-01-01T00:00:00Z", -62167219200000, true, "0000-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", 253402300799999, true, "9999-12-31T23:59:59.999Z"},
        {"2023-02-29T00:00:00Z", 0, false, NULL},
        {"1900-02-29T00:00:00Z", 0, false, NULL},
        {"2026-13-01T00:00:00Z", 0, false, NULL},
        {"2026-00-01T00:00:00Z", 0, false, NULL},
        {"2026-04-31T00:00:00Z", 0, false, NULL},
        {"2026-01-01T24:00:00Z", 0, false, NULL},
        {"2026-01-01T00:60:00Z", 0, false, NULL},
        {"2026-01-01T00:00:61Z", 0, false, NULL},
        {"2026-01-01T00:00:00", 0, false, NULL},
        {"2026-01-01T00:00:00.Z", 0, false, NULL},
        {"2026-01-01T00:00Z", 0, false, NULL},
        {"2026-01-01T00:00:00+0200", 0, false, NULL},
        {"2026-01-01T00:00:00+24:00", 0, false, NULL},
        {"2026-01-01T00:00:00Zx", 0, false, NULL},
        {"26-01-01T00:00:00Z", 0, false, NULL},
        {"2026-1-1T00:00:00Z", 0, false, NULL},
        {"1795324061120", 0, false, NULL},
        {"", 0, false, NULL},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char out[TEXT_TIME_MAX];
        int64_t ms = 0;
        if (text_parse_time(rows[i].text, &ms) != rows[i].legal || ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
        if (rows[i].legal)
            assert_string_equal(text_time(out, ms), rows[i].written);
    }
    char out[TEXT_TIME_MAX];
    assert_string_equal(text_time(out, INT64_MAX), "9999-12-31T23:59:59.999Z");
    assert_string_equal(text_time(out, INT64_MIN), "0000-01-01T00:00:00.000Z");
}

static void whens(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1); /* of a time of day */
    tzset();
    const int64_t now = 1795324061120; /* 2026-11-22T05:07:41.120Z */
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"now", 1795324061120},
        {"today", 1795305600000},
        {"yesterday", 1795305600000 - 86400000},
        {"00:00", 1795305600000},
        {"00:00:01", 1795305601000},
        {"0:00", -1},
        {"24:00", -1},
        {"00:60", -1},
        {"00:00:0", -1},
        {"00:00 ", -1},
        {"0", 1795324061120},
        {"2h", 1795324061120 - 7200000},
        {"3d", 1795324061120 - 259200000},
        {"500ms", 1795324061120 - 500},
        {"2026-11-22", 1795305600000},
        {"2026-11-22T00:00:00+01:00", 1795302000000},
        {"2026-11-22T05:07:41", 1795324061000}, /* of TZ, see below */
        {"2026-11-22 05:07:41.120", 1795324061120},
        {"2026-11-22T05:07", 1795324020000},
        {"2026-11-22T05:07x", -1},
        {"2026-11-22T05:7", -1},
        {"2026-11-22T24:00", -1},
        {"2026-11-22T", -1},
        {"2026-11-31", -1},
        {"2026-11", -1},
        {"Now", -1},
        {"2", -1},
        {"-2h", -1},
        {"", -1},
    };
    for (size_t i = 0; i < N(rows); i++) {
        int64_t ms = -1;
        assert_int_equal(text_parse_when(rows[i].text, now, &ms), rows[i].ms >= 0);
        assert_int_equal(ms, rows[i].ms);
    }
    int64_t ms;
    setenv("TZ", "MEZ-1", 1);
    assert_true(text_parse_when("2026-11-22T06:07:41", now, &ms));
    assert_int_equal(ms, 1795324061000);
    assert_true(text_parse_when("2026-11-22T05:07:41Z", now, &ms));
    assert_int_equal(ms, 1795324061000);
    setenv("TZ", "UTC", 1);
    assert_true(text_parse_when("today", -1, &ms)); /* before 1970 too */
    assert_int_equal(ms, -86400000);
}

static void agos(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {-5, "0ms"},
        {0, "0ms"},
        {450, "450ms"},
        {1000, "1s"},
        {12999, "12s"},
        {60000, "1m"},
        {61000, "1m 1s"},
        {3599999, "59m 59s"},
        {8040000, "2h 14m"},
        {7200000, "2h"},
        {7259000, "2h"},
        {90000000, "1d 1h"},
        {INT64_C(8640000000), "100d"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        char out[32];
        text_ago(out, sizeof out, rows[i].ms);
        assert_string_equal(out, rows[i].text);
    }
}

static void terminals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep;
        const char *out;
    } rows[] = {
        {"plain \xc3\xa4 \xf0\x9f\x98\x80", false, "plain \xc3\xa4 \xf0\x9f\x98\x80"},
        {"\x1b[31mred", false, "\\x1b[31mred"},
        {"a\nb\tc\r", false, "a\\x0ab\\x09c\\x0d"},
        {"a\nb\tc\r", true, "a\nb\tc\\x0d"},
        {"\x7f\x08", true, "\\x7f\\x08"},
        {"\xc2\x9b"
         "31m",
         false, "\\u009b31m"}, /* C1's CSI */
        {"\xe2\x80\xaegnp.exe", false, "\\u202egnp.exe"},
        {"\xe2\x81\xa6x\xe2\x80\x8b", false, "\\u2066x\\u200b"},
        {"\xf3\xa0\x81\x81", false, "\\U000e0041"},
        {"a\xf0\x9d\x85\xb3z\xf0\x9d\x85\xba", false, "a\\U0001d173z\\U0001d17a"},
        {"\xef\xbf\xb9\xef\xbf\xbb\xc2\xad", false, "\\ufff9\\ufffb\\u00ad"},
        {"\xf0\x9b\xb2\xa0\xf0\x93\x90\xb0", false, "\\U0001bca0\\U00013430"},
        {"\xe3\x85\xa4\xd8\x80", false, "\\u3164\xd8\x80"}, /* a blank letter; a visible sign */
        {"\xff\xc3", false, "\\xff\\xc3"},
        {"\xe2\x80", false, "\\xe2\\x80"},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct buf b;
        buf_init(&b, 1000);
        text_escape_terminal(&b, rows[i].text, strlen(rows[i].text), rows[i].keep);
        assert_string_equal(b.data, rows[i].out);
        buf_fini(&b);
    }
}

static void near_words(void **state)
{
    (void)state;
    static const char *const words[] = {
        "timeout", "connect_timeout", "threads", "profile", "list", "show", NULL};
    static const struct {
        const char *text, *nearest;
    } rows[] = {
        {"timout", "timeout"},
        {"tiemout", "timeout"},
        {"threds", "threads"},
        {"profil", "profile"},
        {"conect_timeot", "connect_timeout"},
        {"lsit", "list"},
        {"shwo", "show"},
        {"shxx", NULL},
        {"list", "list"},
        {"elephant", NULL},
        {"", NULL},
        {"x", NULL},
        {"retention", NULL},
    };
    for (size_t i = 0; i < N(rows); i++) {
        const char *w = text_nearest(rows[i].text, words);
        if (!rows[i].nearest)
            assert_null(w);
        else
            assert_string_equal(w, rows[i].nearest);
    }
    char huge[1000];
    memset(huge, 'a', sizeof huge);
    huge[999] = '\0';
    assert_null(text_nearest(huge, words));
}

static void base64_and_hex(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xff\xfe\xfb", "//77"}}; /* RFC 4648 section 10 */
    static const char *const bad[] = {"Z",        "Zg",    "Zg=",    "Zh==", "Zm9=",
                                      "Zg==Zg==", "Zg= =", "Z===",   "====", "Zm9v\n",
                                      "Zm 9v===", "Zm-_",  "Zm9\xc3"};
    struct buf b;
    buf_init(&b, 100);
    for (size_t i = 0; i < N(rows); i++) {
        buf_clear(&b);
        text_base64(&b, rows[i].bytes, strlen(rows[i].bytes));
        assert_string_equal(b.data ? b.data : "", rows[i].text);
        buf_clear(&b);
        assert_true(text_base64_decode(&b, rows[i].text, strlen(rows[i].text)));
        assert_string_equal(b.data ? b.data : "", rows[i].bytes);
    }
    for (size_t i = 0; i < N(bad); i++)
        assert_false(text_base64_decode(&b, bad[i], strlen(bad[i])));
    buf_fini(&b);
    char hex[9];
    text_hex(hex, "\x00\x9f\xff\x10", 4);
    assert_string_equal(hex, "009fff10");
}

static void copies(void **state)
{
    (void)state;
    char out[4];
    assert_string_equal(text_copy(out, sizeof out, "ab"), "ab");
    assert_string_equal(text_copy(out, sizeof out, "abcdef"), "abc");
    assert_ptr_equal(text_copy(out, 0, "x"), out);
    assert_string_equal(out, "abc");
}

static void folders(void **state)
{
    static const char *const rows[][2] = {
        {"/var/lib/x", "/var/lib"}, {"/x", "/"}, {"x", "."}, {"a/x", "a"}};
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(text_folder(out, sizeof out, rows[i][0]), rows[i][1]);
}

static void files(void **state)
{
    (void)state;
    char path[] = "/tmp/test_text_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hello", 5), 5);
    close(fd);
    struct buf b;
    struct err e;
    buf_init(&b, 100);
    assert_int_equal(text_read_file(path, 5, &b, &e), OK);
    assert_string_equal(b.data, "hello");
    buf_clear(&b);
    assert_int_equal(text_read_file(path, 4, &b, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, path));
    unlink(path);
    assert_int_equal(text_read_file(path, 4, &b, &e), ERR_NOT_FOUND);
    assert_int_equal(text_read_file("/", 4, &b, &e), ERR_IO);
    buf_fini(&b);
}

static void json_grammar(void **state)
{
    (void)state;
    static const char *const legal[] = {"{}",
                                        "[]",
                                        "null",
                                        "true",
                                        "false",
                                        "0",
                                        "-0",
                                        "1",
                                        "\"\"",
                                        " \t\r\n{} \n",
                                        "1e400",
                                        "-1.5E-10",
                                        "0.0",
                                        "123456789012345678901234567890",
                                        "\"\\u0000\"",
                                        "\"\\ud800\"",
                                        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
                                        "[1,2,[3,{\"a\":[]}]]",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"\":{}}",
                                        "[[],{}]",
                                        "\"\xc3\xa4\xf0\x9f\x98\x80\"",
                                        "\"\x7f\"",
                                        "[ 1 , 2 ]",
                                        "{ \"a\" : null , \"b\" : [ ] }"};
    static const struct {
        const char *text;
        size_t at;
    } illegal[] = {
        {"", 0},
        {"   ", 3},
        {"{", 1},
        {"[", 1},
        {"}", 0},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"{\"a\"}", 4},
        {"{\"a\":}", 5},
        {"{\"a\":1,}", 7},
        {"{a:1}", 1},
        {"{1:1}", 1},
        {"[1}", 2},
        {"{\"a\":1]", 6},
        {"01", 1},
        {"-", 1},
        {"+1", 0},
        {".5", 0},
        {"1.", 2},
        {"1e", 2},
        {"1e+", 3},
        {"-01", 2},
        {"0x1", 1},
        {"NaN", 0},
        {"Infinity", 0},
        {"tru", 0},
        {"truee", 4},
        {"True", 0},
        {"'a'", 0},
        {"\"", 1},
        {"\"a", 2},
        {"\"\\", 2},
        {"\"\\x\"", 2},
        {"\"\\u12\"", 5},
        {"\"\\u12g4\"", 5},
        {"\"\n\"", 1},
        {"\"\x01\"", 1},
        {"\"\xff\"", 1},
        {"\"\xc0\xaf\"", 1},
        {"\"\xed\xa0\x80\"", 1},
        {"\xef\xbb\xbf{}", 0},
        {"{} {}", 3},
        {"1 //x", 2},
        {"[1]x", 3},
    };
    for (size_t i = 0; i < N(legal); i++)
        if (text_json_problem(legal[i], strlen(legal[i]), NULL))
            fail_msg("%s: %s", legal[i], text_json_problem(legal[i], strlen(legal[i]), NULL));
    for (size_t i = 0; i < N(illegal); i++) {
        size_t at = 999;
        if (!text_json_problem(illegal[i].text, strlen(illegal[i].text), &at))
            fail_msg("%s must be refused", illegal[i].text);
        if (at != illegal[i].at)
            fail_msg("%s: at %zu, not %zu", illegal[i].text, at, illegal[i].at);
    }
    assert_non_null(text_json_problem("1\0", 2, NULL)); /* NUL is a byte like others */
    assert_null(text_json_problem("1}", 1, NULL));      /* n bytes, not one more */
}

static void json_depth(void **state)
{
    (void)state;
    static char deep[2002];
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    assert_null(text_json_problem(deep, 2000, NULL));
    memset(deep, '[', 1001);
    memset(deep + 1001, ']', 1001);
    size_t at = 0;
    assert_non_null(text_json_problem(deep, 2002, &at));
    assert_int_equal(at, 1000);
}

/* Every text cut short or with one byte changed: no reading beyond the end (ASan looks on). */
static void json_cut_short(void **state)
{
    (void)state;
    static const char whole[] = "{\"a\":[1.5e+3,\"\\u00e4\xc3\xa4\",true,{\"b\":null}]}";
    for (size_t n = 0; n + 1 < sizeof whole; n++) {
        char *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, whole, n);
        assert_non_null(text_json_problem(exact, n, NULL));
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),  cmocka_unit_test(sizes),
        cmocka_unit_test(times),      cmocka_unit_test(whens),
        cmocka_unit_test(agos),       cmocka_unit_test(terminals),
        cmocka_unit_test(near_words), cmocka_unit_test(base64_and_hex),
        cmocka_unit_test(copies),     cmocka_unit_test(folders),
        cmocka_unit_test(files),      cmocka_unit_test(json_grammar),
        cmocka_unit_test(json_depth), cmocka_unit_test(json_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
