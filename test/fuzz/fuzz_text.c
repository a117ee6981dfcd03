/* test/fuzz/fuzz_text.c: what is made harmless for a terminal is UTF-8 without a character that moves a cursor, hides or turns text; what an
 * operator types as a time is refused or a time that can be written and read back. */
#include "base/text.h"

#include "test/fuzz/fuzz.h"

static const char *const HOSTILE[] = {
    "\xc2\x9b",         "\xe2\x80\xae",     "\xe2\x80\xaa",     "\xe2\x81\xa6",
    "\xe2\x80\x8f",     "\xd8\x9c",         "\xe2\x80\xa8",     "\xc2\xad",
    "\xef\xbb\xbf",     "\xe2\x80\x8b",     "\xe2\x81\xa0",     "\xef\xbf\xb9",
    "\xe1\xa0\x8e",     "\xe3\x85\xa4",     "\xf0\x9d\x85\xb3", "\xf0\x9d\x85\xba",
    "\xf3\xa0\x80\x81", "\xf3\xa0\x81\xbf", "\xf0\x9b\xb2\xa0", "\xf0\x93\x90\xb0"};

static void harmless(const uint8_t *data, size_t n, bool keep_newlines)
{
    struct buf out;

    buf_init(&out, (size_t)16 << 20);
    text_escape_terminal(&out, (const char *)data, n, keep_newlines);
    check(!out.failed);
    check(text_is_utf8(out.data != NULL ? out.data : "", out.len));
    for (size_t i = 0; i < out.len; i++) {
        unsigned char c = (unsigned char)out.data[i];

        check((c >= 0x20 && c != 0x7f) || (keep_newlines && (c == '\n' || c == '\t')));
    }
    for (size_t i = 0; i < sizeof HOSTILE / sizeof *HOSTILE; i++)
        check(out.len == 0 || memmem(out.data, out.len, HOSTILE[i], strlen(HOSTILE[i])) == NULL);
    buf_fini(&out);
}

static void a_time(const char *text)
{
    static const int64_t now_ms = INT64_C(1795000000000);
    char written[TEXT_TIME_MAX];
    int64_t ms = 0, again = 0;

    if (!text_parse_when(text, now_ms, &ms))
        return;
    if (ms >= 0 && ms < INT64_C(253402300800000)) { /* the year 10000 */
        check(text_parse_time(text_time(written, ms), &again));
        check(again == ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);

    harmless(data, n, false);
    harmless(data, n, true);
    a_time(text);
    free(text);
    return 0;
}
