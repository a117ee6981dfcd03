/* test/fuzz/fuzz_retry_after.c: a Retry-After is ignored or a delay within 100 years; all digits are never ignored. */
#include "policy/retry.h"

#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const int64_t hundred_years_ms = INT64_C(101) * 366 * 86400 * 1000;
    char *text = fuzz_text(data, n);
    int64_t ms = retry_after_parse(text, n, INT64_C(1795000000000));

    check(ms >= -1 && ms <= hundred_years_ms);
    if (n > 0 && n < 64 && strspn(text, "0123456789") == n)
        check(ms >= 0);
    free(text);
    return 0;
}
