/* test/unit/test_base.c: faults, buffers, UTF-8, ids and the heap. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/dice.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/span.h"
#include "base/text.h"

#undef fail /* cmocka's; ours is meant */
#define N(a) (sizeof(a) / sizeof((a)[0]))

static void a_fault_is_a_code_and_one_line(void **state)
{
    (void)state;
    struct err e = {OK, ""};
    assert_int_equal(fail(&e, ERR_IO, "open %s: %d", "x\ny\x1b[2J", 7), ERR_IO);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.text, "open x y [2J: 7");
    fail(&e, ERR_CONFIG, "while loading: %s", e.text); /* wraps itself */
    assert_string_equal(e.text, "while loading: open x y [2J: 7");
    assert_int_equal(fail(NULL, ERR_BUSY, "nobody listens"), ERR_BUSY);
    char big[2000];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    fail(&e, ERR_IO, "%s", big);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    for (int i = OK; i <= ERR_INTERNAL; i++)
        assert_string_not_equal(err_code_name((enum err_code)i), "unknown");
    assert_string_equal(errno_text(ENOENT), "No such file or directory");
    assert_string_equal(errno_text(99999), "Unknown error");
}

static void a_buffer_stops_at_its_cap(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_adds(&b, "01234");
    buf_addf(&b, "%s-%d", "ab", 12);
    assert_false(b.failed);
    assert_string_equal(b.data, "01234ab-12");
    buf_addc(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.len, 10); /* nothing half done */
    buf_clear(&b);
    assert_false(b.failed);
    buf_adds(&b, "01234567890");
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    buf_adds(&b, "a"); /* after a failure nothing is added, or the text would have holes */
    assert_int_equal(b.len, 0);
    buf_fini(&b);
    buf_init(&b, 100000);
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "%04d,", i);
    assert_int_equal(b.len, 5000);
    assert_memory_equal(b.data + 4995, "0999,", 6);
    char *taken = buf_take(&b);
    assert_null(b.data);
    free(taken);
    taken = buf_take(&b);
    assert_string_equal(taken, "");
    free(taken);
    buf_init(&b, 100000);
    buf_adds(&b, "a");
    buf_reserve(&b, 5000);
    assert_int_equal(b.room, 5002); /* and a NUL; not doubled */
    assert_string_equal(b.data, "a");
    const char *before = b.data;
    for (int i = 0; i < 1000; i++)
        buf_adds(&b, "12345");
    assert_ptr_equal(b.data, before);
    buf_reserve(&b, 100000);
    assert_true(b.failed);
    buf_fini(&b);
}

/* From one kind of memory to the other and back. */
static void a_span_keeps_what_is_in_it(void **state)
{
    static const size_t sizes[] = {100, 5000, 131071, 131072, 1 << 20, 3 << 20, 200000, 90000, 10};
    (void)state;
    char *span = NULL;
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        span = span_resize(span, n, sizes[i]);
        assert_non_null(span);
        n = sizes[i];
        for (size_t k = 0; k < n && k < kept; k++)
            assert_int_equal((unsigned char)span[k], k % 251);
        for (size_t k = 0; k < n; k++)
            span[k] = (char)(k % 251);
        kept = n;
    }
    span_free(span, n);
    span = span_new(1 << 20);
    assert_non_null(span);
    span[(1 << 20) - 1] = 'x';
    span_free(span, 1 << 20);
    span_free(NULL, 1 << 20);
}

static void a_large_text_is_taken(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        buf_addf(&b, "%05d", i);
    char *taken = buf_take(&b);
    assert_int_equal(strlen(taken), 500000);
    assert_string_equal(taken + 499995, "99999");
    free(taken);
}

static void json_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } rows[] = {
        {NULL, "null"},
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\b\t\n\f\r\x01\x1b\x7f", "\"\\b\\t\\n\\f\\r\\u0001\\u001b\\u007f\""},
        {"\xc3\xa4\xf0\x9f\x98\x80", "\"\xc3\xa4\xf0\x9f\x98\x80\""},
        {"a\xe2\x80\xae"
         "b",
         "\"a\\u202eb\""},                                            /* bidi */
        {"\xf3\xa0\x81\x81", "\"\\udb40\\udc41\""},                   /* a tag character */
        {"\xff", "\"\xef\xbf\xbd\""},                                 /* never valid */
        {"x\xc3", "\"x\xef\xbf\xbd\""},                               /* cut off */
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct buf b;
        buf_init(&b, 1000);
        buf_add_json(&b, rows[i].text);
        assert_string_equal(b.data, rows[i].json);
        assert_null(text_json_problem(b.data, b.len, NULL));
        buf_fini(&b);
    }
}

/* The alphabet has no I, L, O, U; digits are cut from the left. */
static void base32(void **state)
{
    (void)state;
    char out[27];
    const uint8_t rising[5] = {0x00, 0x44, 0x32, 0x14, 0xc7}; /* 0 1 2 3 4 5 6 7 in fives */
    const uint8_t full[17] = {255, 255, 255, 255, 255, 255, 255, 255, 255,
                              255, 255, 255, 255, 255, 255, 255, 255};
    id_base32(out, rising, 8);
    assert_string_equal(out, "01234567");
    id_base32(out, full, 26);
    assert_string_equal(out, "ZZZZZZZZZZZZZZZZZZZZZZZZZZ");
}

static void ids_grow(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1700000000000);
    struct id_source s = {0};
    int64_t last = 0;
    for (int i = 0; i < 10000; i++) {
        int64_t wall = now + (i % 7 == 0 ? -i : i / 100); /* the clock steps back now and then */
        int64_t id = id_next(&s, wall);
        assert_true(id > last);
        last = id;
    }
    struct id_source fresh = {0};
    assert_int_equal(id_next(&fresh, now) >> 21, now);
    struct id_source ahead = {.last = INT64_C(1) << 62}; /* a store from a clock far ahead */
    assert_true(id_next(&ahead, now) == (INT64_C(1) << 62) + 1);
}

static void ids_as_text(void **state)
{
    (void)state;
    char text[ID_TEXT_MAX];
    static const int64_t rows[] = {0, 1, 31, 32, INT64_C(3565158400000000000), INT64_MAX};
    for (size_t i = 0; i < N(rows); i++) {
        int64_t back = -1;
        assert_ptr_equal(id_text(text, "dlv", rows[i]), text);
        assert_int_equal(strlen(text), 17);
        assert_true(id_parse(text, "dlv", &back));
        assert_true(back == rows[i]);
        for (char *p = text + 4; *p; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p + 32);
        assert_true(id_parse(text, "dlv", &back));
    }
    assert_string_equal(id_text(text, "sub", INT64_MAX), "sub_7ZZZZZZZZZZZZ");
    char before[ID_TEXT_MAX];
    id_text(before, "dlv", 12345);
    id_text(text, "dlv", 12346);
    assert_true(strcmp(before, text) < 0); /* text sorts as the numbers do */
    static const char *const bad[] = {
        "",
        "dlv_",
        "dlv",
        "dlv_000000000000",   /* 12 */
        "dlv_00000000000000", /* 14 */
        "sub_0000000000000",
        "dlv-0000000000000",
        "dlv_8000000000000", /* 64 bits */
        "dlv_ZZZZZZZZZZZZZ",
        "dlv_000000000000U",
        "dlv_000000000000 ",
        " dlv_0000000000000",
        "dlv_000000000000I",
    };
    int64_t untouched = -5;
    for (size_t i = 0; i < N(bad); i++)
        assert_false(id_parse(bad[i], "dlv", &untouched));
    assert_int_equal(untouched, -5);
}

static void words_from_outside(void **state)
{
    (void)state;
    char longest[130];
    memset(longest, 'x', sizeof longest);
    longest[128] = '\0';
    static const struct {
        const char *text;
        bool event_id, type, name, table;
    } rows[] = {
        {"a", true, true, true, true},
        {"", false, false, false, false},
        {"order.executed", false, true, true, false},
        {"evt:1", true, false, false, false},
        {"-a", true, true, false, false},
        {"_a", true, true, false, true},
        {"1a", true, true, true, false},
        {"a b", false, false, false, false},
        {"a/b", false, false, false, false},
        {"\xc3\xa4", false, false, false, false},
        {"a\n", false, false, false, false},
    };
    for (size_t i = 0; i < N(rows); i++) {
        assert_int_equal(id_is_event_id(rows[i].text), rows[i].event_id);
        assert_int_equal(id_is_type(rows[i].text), rows[i].type);
        assert_int_equal(id_is_name(rows[i].text), rows[i].name);
        assert_int_equal(id_is_table(rows[i].text), rows[i].table);
    }
    assert_true(id_is_event_id(longest));
    assert_true(id_is_type(longest));
    longest[128] = 'x';
    longest[129] = '\0';
    assert_false(id_is_event_id(longest));
    assert_false(id_is_type(longest));
    longest[64] = '\0';
    assert_true(id_is_name(longest));
    assert_true(id_is_table(longest));
    longest[64] = 'x';
    longest[65] = '\0';
    assert_false(id_is_name(longest));
    assert_false(id_is_table(longest));
}

/* Random puts, moves and removals against a plain search for the smallest. */
static void the_heap_knows_the_smallest(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node nodes[64] = {{0, 0}};
    uint32_t x = 12345;
    heap_init(&h);
    assert_null(heap_top(&h));
    heap_remove(&h, &nodes[0]); /* not in it: nothing */
    for (int step = 0; step < 20000; step++) {
        x = x * 1664525 + 1013904223;
        struct heap_node *n = &nodes[x >> 26];
        if ((x >> 8 & 3) == 0)
            heap_remove(&h, n);
        else
            assert_true(heap_put(&h, n, (x >> 10 & 255) - 128));
        int64_t least = INT64_MAX;
        size_t in = 0;
        for (size_t i = 0; i < N(nodes); i++) {
            if (!nodes[i].at)
                continue;
            in++;
            assert_ptr_equal(h.nodes[nodes[i].at - 1], &nodes[i]);
            if (nodes[i].key < least)
                least = nodes[i].key;
        }
        assert_int_equal(h.n, in);
        assert_true(in == 0 ? !heap_top(&h) : heap_top(&h)->key == least);
    }
    heap_fini(&h);
}

static void clocks_and_dice(void **state)
{
    (void)state;
    int64_t a = clock_mono_ms(), store = clock_store_ms();
    assert_true(clock_mono_ms() >= a);
    assert_true(clock_store_ms() >= store);
    assert_true(llabs(clock_store_ms() - clock_wall_ms()) < 5000);
    uint32_t seen_or = 0, seen_and = UINT32_MAX;
    for (int i = 0; i < 200; i++) {
        uint32_t v = dice_u32();
        seen_or |= v;
        seen_and &= v;
    }
    assert_true(seen_or == UINT32_MAX && seen_and == 0);
}

/* The dice are pooled: no byte may come twice, not even in a child that got a copy of the pool. */
static void a_child_has_dice_of_its_own(void **state)
{
    uint8_t mine[16], childs[16], none[16] = {0};
    int pipe_fds[2], status;
    (void)state;
    (void)dice_u32(); /* there is a pool to inherit */
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dice_bytes(childs, sizeof childs);
        _exit(write(pipe_fds[1], childs, sizeof childs) == (ssize_t)sizeof childs ? 0 : 1);
    }
    dice_bytes(mine, sizeof mine);
    assert_int_equal(read(pipe_fds[0], childs, sizeof childs), sizeof childs);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_memory_not_equal(mine, childs, sizeof mine);
    assert_memory_not_equal(mine, none, sizeof mine);
}

static void large_draws_and_the_pools_edge(void **state)
{
    static uint8_t out[200][24], large[5000];
    (void)state;
    dice_bytes(large, sizeof large);
    for (size_t i = 0; i < 200; i++) {
        dice_bytes(out[i], sizeof out[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(out[i], out[k], sizeof out[i]);
    }
    for (size_t i = 0; i + 16 <= sizeof large; i += 16)
        for (size_t k = 0; k < i; k += 16)
            assert_memory_not_equal(large + i, large + k, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_is_a_code_and_one_line),
        cmocka_unit_test(a_buffer_stops_at_its_cap),
        cmocka_unit_test(a_span_keeps_what_is_in_it),
        cmocka_unit_test(a_large_text_is_taken),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(ids_grow),
        cmocka_unit_test(ids_as_text),
        cmocka_unit_test(base32),
        cmocka_unit_test(words_from_outside),
        cmocka_unit_test(the_heap_knows_the_smallest),
        cmocka_unit_test(clocks_and_dice),
        cmocka_unit_test(a_child_has_dice_of_its_own),
        cmocka_unit_test(large_draws_and_the_pools_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
