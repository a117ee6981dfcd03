/* test/unit/test_message.c: what one attempt says: which secrets sign, what is masked. */
#include "engine/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OLD "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
#define NEW "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="

static const struct event_rec event = {.id = "e-1",
                                       .type = "order.executed",
                                       .payload = "{\"qty\":1}",
                                       .payload_bytes = 9,
                                       .created_ms = 1800000000000};
static struct secret secrets[] = {
    {.num = 2, .value = NEW, .created_ms = 1000},
    {.num = 1, .value = OLD, .created_ms = 0, .expires_ms = 2000},
};

static struct buf body, headers;

static enum err_code render(const char *profile, size_t secrets_n, int64_t sent_ms, bool mask)
{
    struct subscription s = {
        .profile = profile, .secrets = secrets, .secrets_n = secrets_n, .bearer = "token-1"};
    struct message_attempt attempt = {.n = 3, .sent_ms = sent_ms, .mask = mask};

    buf_clear(&body);
    buf_clear(&headers);
    return message_render(profile_find(profile), &event, &s, &attempt, &body, &headers, NULL);
}

static int signatures(void)
{
    int n = 0;

    for (const char *at = headers.data; (at = strstr(at, " v1,")) != NULL; at++)
        n++;
    return n;
}

/* Both sign while both are valid, to the millisecond; a secret that is over signs nothing more. */
static void valid_secrets_sign(void **state)
{
    (void)state;
    assert_int_equal(render("standard", 2, 1999, false), OK);
    assert_int_equal(signatures(), 2);
    assert_int_equal(render("standard", 2, 2000, false), OK);
    assert_int_equal(signatures(), 1);
    assert_non_null(strstr(headers.data, "\nwebhook-attempt: 3\n"));
    assert_non_null(strstr(headers.data, "\nAuthorization: Bearer token-1\n"));
}

static void nothing_to_sign_with_is_invalid(void **state)
{
    (void)state;
    assert_int_equal(render("standard", 0, 2000, false), ERR_INVALID);
}

/* What dlq show prints holds neither signature nor token. */
static void masked(void **state)
{
    (void)state;
    assert_int_equal(render("standard", 2, 1999, true), OK);
    assert_int_equal(signatures(), 0);
    assert_null(strstr(headers.data, "token-1"));
    assert_non_null(strstr(headers.data, "webhook-signature: ***"));
}

/* What went out before a secret was rotated is not shown with the new one. */
static void the_past_is_shown_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(render("bondx", 2, 1999, true), OK);
    assert_non_null(strstr(headers.data, "X-BondX-Signature-Next: sha256=***"));
    assert_int_equal(render("bondx", 2, 999, true), OK);
    assert_null(strstr(headers.data, "X-BondX-Signature-Next"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_secrets_sign),
        cmocka_unit_test(nothing_to_sign_with_is_invalid),
        cmocka_unit_test(masked),
        cmocka_unit_test(the_past_is_shown_as_it_was),
    };

    buf_init(&body, 1 << 20);
    buf_init(&headers, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_fini(&body);
    buf_fini(&headers);
    return failed;
}
