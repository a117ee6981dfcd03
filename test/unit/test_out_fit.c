/* test/unit/test_out_fit.c: which columns of a table give way, how text is cut, and what is
 * coloured. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/out_fit.h"
#include "cli/out_style.h"

static void test_columns(void **state)
{
    static const struct {
        size_t room;
        const char *widths; /* "-" where one is left out */
    } rows[] = {
        {100, "17 20 18 9"}, {64, "17 20 18 3"}, {57, "17 15 16 3"}, {51, "17 12 13 3"},
        {50, "17 12 12 3"},  {48, "17 10 12 3"}, {40, "17 7 12 -"},  {24, "17 5 - -"},
        {18, "17 - - -"},    {17, "17 - - -"},   {9, "9 - - -"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct out_fit f = {.columns_n = 4,
                            .gap = 2,
                            .columns = {{.whole = 17, .least = 17},
                                        {.whole = 20, .least = 5},
                                        {.whole = 18, .least = 12},
                                        {.whole = 9, .least = 3, .first = true}}};
        size_t sum = 0;
        struct buf text;

        out_fit(&f, rows[i].room);
        buf_init(&text, 256);
        for (size_t c = 0; c < 4; c++) {
            if (f.columns[c].hidden)
                buf_adds(&text, "-");
            else
                buf_addf(&text, "%zu", f.columns[c].now);
            buf_adds(&text, c < 3 ? " " : "");
            sum += f.columns[c].hidden ? 0 : f.columns[c].now + (c > 0 ? 2 : 0);
        }
        assert_true(sum <= rows[i].room);
        assert_string_equal(text.data, rows[i].widths);
        buf_fini(&text);
    }
}

static void test_cut(void **state)
{
    static const struct {
        const char *text;
        size_t width;
        const char *cut;
    } rows[] = {
        {"abcdef", 6, "abcdef"},         {"abcdef", 5, "abcd…"}, {"abcdef", 1, "…"},
        {"日本語", 6, "日本語"},         {"日本語", 5, "日本…"}, {"日本語", 4, "日…"},
        {"e\xcc\x81x", 2, "e\xcc\x81x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;

        buf_init(&out, 256);
        out_cut(&out, rows[i].text, rows[i].width);
        assert_string_equal(out.data, rows[i].cut);
        assert_true(out_width(out.data) <= rows[i].width);
        buf_fini(&out);
    }
}

static void test_styles(void **state)
{
    static const struct {
        const char *word;
        enum out_style style;
    } rows[] = {
        {"dead", STYLE_BAD},       {"failing 53m", STYLE_BAD}, {"disabled (410)", STYLE_BAD},
        {"retrying", STYLE_WAITS}, {"delivered", STYLE_GOOD},  {"deadline", STYLE_PLAIN},
        {"", STYLE_PLAIN},         {"active", STYLE_PLAIN}};
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(out_style_of(rows[i].word), rows[i].style);
    buf_init(&out, 256);
    out_styled(&out, true, STYLE_BAD, "a");
    out_styled(&out, false, STYLE_BAD, "b");
    out_styled(&out, true, STYLE_PLAIN, "c");
    assert_string_equal(out.data, "\033[31ma\033[0mbc");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_styles),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
