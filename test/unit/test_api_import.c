/* test/unit/test_api_import.c: export and import of dead letters by their handlers, on a real store. */
#include "test/unit/api_dead_world.h"

static void test_round_trip(void **state)
{
    struct world *w = *state;
    three_letters(w);
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    char *first = strdup(w->raw);
    size_t lines = 0;
    for (const char *p = first; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 5);
    assert_string_equal(w->cursor, "");
    EXPECT(200, "POST", V1 "/dead-letters/import", first);
    assert_int_equal(number(w, "skipped"), 5);
    char job[64];
    purge(w, "{\"all\":true}", 5, job);
    EXPECT(200, "POST", V1 "/dead-letters/import?dry_run=1", first);
    assert_int_equal(number(w, "imported"), 5);
    assert_int_equal(count(w, ""), 0);
    EXPECT(200, "POST", V1 "/dead-letters/import", first);
    assert_int_equal(number(w, "imported"), 5);
    assert_int_equal(json_array_size(at(w, "errors")), 0);
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    assert_string_equal(w->raw, first);
    EXPECT(200, "GET", V1 "/dead-letters/export?limit=2", NULL);
    assert_string_not_equal(w->cursor, "");
    char target[128];
    (void)snprintf(target, sizeof target, V1 "/dead-letters/export?cursor=%s", w->cursor);
    EXPECT(200, "GET", target, NULL);
    assert_non_null(strstr(first, w->raw));
    EXPECT(202, "POST", V1 "/replays", "{\"filter\":{\"all\":true}}");
    assert_int_equal(number(w, "counts.selected"), 5);
    free(first);
}

/* While events come in a page is as long as its turn; page by page it is the same. */
static void test_short_pages(void **state)
{
    struct world *w = *state;
    char id[16], target[128] = V1 "/dead-letters/export";
    sub_of(w, "acme");
    for (int i = 0; i < 40; i++) {
        (void)snprintf(id, sizeof id, "ev-%d", i);
        emit(w, id);
    }
    kill_all(w, "acme");
    EXPECT(200, "GET", target, NULL);
    char *whole = strdup(w->raw);
    size_t at = 0, pages = 0;
    w->api.slice_us = 1;
    do {
        EXPECT(200, "GET", target, NULL);
        size_t n = strlen(w->raw);
        assert_memory_equal(w->raw, whole + at, n);
        at += n;
        pages++;
        (void)snprintf(target, sizeof target, V1 "/dead-letters/export?cursor=%s", w->cursor);
    } while (w->cursor[0] != '\0');
    assert_int_equal(at, strlen(whole));
    assert_true(pages > 1);
    free(whole);
}

/* Changes one piece of a good line. */
static char *with(const char *line, const char *from, const char *to)
{
    const char *p = strstr(line, from);
    assert_non_null(p);
    char *out = NULL;
    assert_true(asprintf(&out, "%.*s%s%s", (int)(p - line), line, to, p + strlen(from)) > 0);
    return out;
}

static void test_import_refuses(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"{\"v\":1", "{\"v\":2"},
        {"\"kind\":\"dead_letter\"", "\"kind\":\"x\""},
        {"\"delivery\":\"dlv_", "\"delivery\":\"sub_"},
        {"\"cause\":\"retries_exhausted\"", "\"cause\":\"boredom\""},
        {"\"died_at\":\"2", "\"died_at\":\"9"},
        {"\"attempts_made\":1", "\"attempts_made\":-1"},
        {"\"attempts_made\":1", "\"attempts_made\":0"},
        {"\"type\":\"order.new\"", "\"type\":\"order new\""},
        {"\"payload\":\"{\\\"n\\\":1}\"", "\"payload\":\"{\""},
        {"\"payload\":\"{\\\"n\\\":1}\"", "\"payload\":null"},
        {"\"payload\":\"{\\\"n\\\":1}\"", "\"payload_base64\":\"*\""},
        {"\"outcome\":\"http_5xx\"", "\"outcome\":\"luck\""},
        {"\"duration_seconds\":0.412345", "\"duration_seconds\":1e300"},
        {"\"name\":\"acme\"", "\"name\":\"../a\""},
        {"\"url\":\"https", "\"url\":\" https"},
        {"\"attempts\":[{", "\"attempts\":[7,{"},
        {"\"v\":1", "\"v\":1,\"v\":1"},
        {"\"event\":{", "\"event\":["},
    };
    sub_of(w, "acme");
    emit(w, "ev-1");
    kill_all(w, "acme");
    EXPECT(200, "GET", V1 "/dead-letters/export", NULL);
    char *line = strdup(w->raw);
    char job[64];
    purge(w, "{\"all\":true}", 1, job);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *bad = with(line, rows[i].from, rows[i].to);
        char *body = NULL;
        assert_true(asprintf(&body, "\n%s", bad) > 0);
        EXPECT(200, "POST", V1 "/dead-letters/import", body);
        if (json_array_size(at(w, "errors")) != 1 || number(w, "imported") != 0) {
            print_error("row %zu: %s\n%s", i, w->raw, bad);
            _fail(__FILE__, __LINE__);
        }
        assert_int_equal(number(w, "errors.0.line"), 2);
        free(bad);
        free(body);
    }
    EXPECT(200, "POST", V1 "/dead-letters/import", line);
    assert_int_equal(number(w, "imported"), 1);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_short_pages),
        TEST(test_import_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
