/* test/fuzz/fuzz_http_guard.c: the guard's verdict does not depend on how the bytes are cut into reads. */
#include "engine/http_guard.h"

#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct http_guard whole, parts;
    const char *why, *piece = NULL;
    char *text = fuzz_text(data, n);

    http_guard_init(&whole);
    why = http_guard_feed(&whole, text, n);
    http_guard_init(&parts);
    for (size_t at = 0, step; at < n && piece == NULL; at += step) {
        step = 1 + (size_t)(data[at] % 7);
        if (step > n - at)
            step = n - at;
        piece = http_guard_feed(&parts, text + at, step);
    }
    check(why == piece);
    check(why != NULL || whole.over == parts.over);
    free(text);
    return 0;
}
