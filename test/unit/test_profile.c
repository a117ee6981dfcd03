/* test/unit/test_profile.c: every profile's bytes and signatures.
 *
 * The expected HMACs were computed elsewhere (Python's hmac); the one of `standard` is the vector
 * that the Standard Webhooks libraries were checked with. */
#include "policy/profile.h"
#include "policy/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: it has a macro named fail */

#define OLD "whsec_d2hzZWMtZG9jLWV4YW1wbGUtbm90LXNlY3JldC0zMmI="
#define NEW "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define PAYLOAD "{\"price\":100.50,\"n\":1e400}"
#define TIME "2024-01-15T10:30:00.123Z"
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static uint8_t dice[32];

struct fixture {
    struct profile_event event;
    struct profile_key keys[2];
    struct profile_input in;
    struct buf body, headers;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    for (uint8_t i = 0; i < 32; i++)
        dice[i] = i;
    f->event = (struct profile_event){.id = "evt-12345",
                                      .type = "order.executed",
                                      .payload = PAYLOAD,
                                      .payload_bytes = strlen(PAYLOAD),
                                      .correlation_id = "corr-67890",
                                      .source = "bondx-trading-engine",
                                      .version = "2.1",
                                      .created_ms = 1705314600123};
    f->keys[0].value = OLD;
    f->in = (struct profile_input){.event = &f->event,
                                   .keys = f->keys,
                                   .keys_n = 1,
                                   .user_agent = "webhookd/0.1.0",
                                   .attempt = 3,
                                   .now_wall_ms = 1795332600987,
                                   .random = dice};
    buf_init(&f->body, 1 << 20);
    buf_init(&f->headers, 1 << 16);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_fini(&f->body);
    buf_fini(&f->headers);
    free(f);
    return 0;
}

static void render(struct fixture *f, const char *profile)
{
    buf_clear(&f->body);
    buf_clear(&f->headers);
    if (profile_render(profile_find(profile), &f->in, &f->body, &f->headers, &f->err) != OK)
        fail_msg("%s: %s", profile, f->err.text);
}

static void expect_line(const struct fixture *f, const char *line)
{
    size_t n = strlen(line);

    for (const char *at = f->headers.data; at != NULL && *at != '\0';) {
        if (strncmp(at, line, n) == 0 && at[n] == '\n')
            return;
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    fail_msg("no line '%s' in:\n%s", line, f->headers.data);
}

static void expect_none(const struct fixture *f, const char *text)
{
    if (strstr(f->headers.data, text) != NULL)
        fail_msg("'%s' in:\n%s", text, f->headers.data);
}

static void bondx(void **state)
{
    struct fixture *f = *state;

    render(f, "bondx");
    assert_string_equal(f->body.data,
                        "{\"event\":\"order.executed\",\"event_id\":\"evt-12345\",\"timestamp\":"
                        "\"" TIME "\",\"data\":" PAYLOAD ",\"metadata\":{\"correlation_id\":"
                        "\"corr-67890\",\"source\":\"bondx-trading-engine\",\"version\":\"2.1\"}}");
    assert_int_equal(strncmp(f->headers.data, "Content-Type: application/json\n", 31), 0);
    expect_line(f, "X-BondX-Signature: sha256="
                   "6508fc40bad70b187b278965aa94b588f4298f498eef55a99e32bd7a4a66345d");
    expect_line(f, "User-Agent: webhookd/0.1.0");
    expect_line(f, "webhook-id: evt-12345");
    expect_line(f, "webhook-timestamp: 1795332600");
    expect_line(f, "webhook-attempt: 3");
    expect_line(f, "X-Request-ID: 00010203-0405-4607-8809-0a0b0c0d0e0f");
    expect_line(f, "X-Correlation-ID: corr-67890");
    expect_none(f, "webhook-signature");
    expect_none(f, "traceparent");
    expect_none(f, "Authorization");
    expect_none(f, "-Next");
}

static void nothing_is_null_but_the_correlation(void **state)
{
    struct fixture *f = *state;

    f->event.correlation_id = f->event.source = f->event.version = NULL;
    render(f, "bondx");
    assert_non_null(strstr(f->body.data, "\"metadata\":{\"correlation_id\":null,\"source\":"
                                         "\"webhookd\",\"version\":\"1.0\"}}"));
    expect_none(f, "X-Correlation-ID");
}

static void bondbricks(void **state)
{
    struct fixture *f = *state;

    render(f, "bondbricks");
    assert_string_equal(f->body.data, "{\"event\":\"order.executed\",\"id\":\"evt-12345\","
                                      "\"data\":" PAYLOAD ",\"timestamp\":\"" TIME "\"}");
    expect_line(f, "X-Webhook-Signature: "
                   "6affce6e79ba7765377f219363855d9da14fb180a72ea01b909239d9f0974bd8");
    assert_string_equal(profile_find("bondbricks")->retry, "bondbricks");
}

static void event_platform(void **state)
{
    struct fixture *f = *state;

    render(f, "event-platform");
    assert_string_equal(f->body.data,
                        "{\"id\":\"whk_evt-12345\",\"event\":\"order.executed\",\"timestamp\":"
                        "\"" TIME "\",\"version\":\"2.1\",\"data\":" PAYLOAD
                        ",\"signature\":{\"timestamp\":\"1795332600\",\"token\":"
                        "\"1ff971fe29092425ed1774360bcc999d6b0b4031\",\"signature\":\"sha256="
                        "ef51edc9dff06d957782af590106181b344866922584a096cf20baeaf3a21c58\"}}");
    expect_none(f, "ignature");
}

static void standard(void **state)
{
    struct fixture *f = *state;
    static const char data[] = "{\"trade_id\":\"T-1042\",\"qty\":100}";

    f->event.id = "evt_01JD9Y3N8Q4T6V";
    f->event.type = "trade.settled";
    f->event.created_ms = 1795332600000;
    f->event.payload = data;
    f->event.payload_bytes = strlen(data);
    render(f, "standard");
    assert_string_equal(f->body.data, "{\"type\":\"trade.settled\",\"timestamp\":"
                                      "\"2026-11-22T07:30:00.000Z\",\"data\":{\"trade_id\":"
                                      "\"T-1042\",\"qty\":100}}");
    expect_line(f, "webhook-signature: v1,moI6jyvgPO5n1PiME3loYKCW/OzUixvYMrxsyw6M9Xk=");
    f->keys[0].value = NEW;
    f->keys[1].value = OLD;
    f->in.keys_n = 2;
    render(f, "standard");
    expect_line(f, "webhook-signature: v1,hyK36AYs4Ck7LPAfrYjvn+54E/f12A8WjgEINmfqb/M= "
                   "v1,moI6jyvgPO5n1PiME3loYKCW/OzUixvYMrxsyw6M9Xk=");
    f->keys[0].value = "no-whsec";
    assert_int_equal(profile_render(profile_find("standard"), &f->in, &f->body, &f->headers, NULL),
                     ERR_INVALID);
}

static void raw(void **state)
{
    struct fixture *f = *state;

    render(f, "raw");
    assert_string_equal(f->body.data, PAYLOAD);
    expect_line(f, "webhook-signature: v1,WFBFyxT7yXp0mKNPDHx9wltOnBJ5vlde3ZwGlk+h8RI= "
                   "v1,cSIBcuxKJ+sCe11x39S53xHRgB9O8xfISVcUyVHUzs0=");
    expect_line(f, "Content-Type: application/json");
    f->keys[0].value = "just-a-password";
    f->event.attributes = "{\"content_type\":\"text/csv; charset=utf-8\"}";
    render(f, "raw");
    expect_line(f, "webhook-signature: v1,dyYjROfNZzhopd3Y0/ONT4W6+Prj8YFAdRDeCZPD3dY=");
    expect_line(f, "Content-Type: text/csv; charset=utf-8");
    f->event.attributes = "{\"content_type\":\"text/csv\\r\\nX-Evil: 1\"}";
    render(f, "raw");
    expect_line(f, "Content-Type: application/json");
    expect_none(f, "Evil");
}

static void rotation(void **state)
{
    struct fixture *f = *state;

    f->keys[0].value = NEW;
    f->keys[1].value = OLD;
    f->in.keys_n = 2;
    render(f, "bondx");
    expect_line(f, "X-BondX-Signature: sha256="
                   "6508fc40bad70b187b278965aa94b588f4298f498eef55a99e32bd7a4a66345d");
    expect_line(f, "X-BondX-Signature-Next: sha256="
                   "d80c72df4ef5f5541a53607e9ae8657d0daaf9b97ec75c1276e3b3980c1f933e");
    render(f, "bondbricks");
    expect_line(f, "X-Webhook-Signature: "
                   "6affce6e79ba7765377f219363855d9da14fb180a72ea01b909239d9f0974bd8");
    render(f, "event-platform");
    assert_non_null(strstr(f->body.data, "sha256=ef51edc9"));
}

/* G4: the bytes of a body do not depend on the attempt. */
static void same_body_every_attempt(void **state)
{
    static const char *const names[] = {"bondx", "bondbricks", "standard", "raw"};
    struct fixture *f = *state;

    for (size_t i = 0; i < 4; i++) {
        dice[0] = 0;
        f->in.attempt = 1;
        f->in.now_wall_ms = 1795332600000;
        render(f, names[i]);
        char *first = buf_take(&f->body);
        dice[0] = 99;
        f->in.attempt = 2;
        f->in.now_wall_ms = 1795339999000;
        buf_init(&f->body, 1 << 20);
        render(f, names[i]);
        assert_string_equal(f->body.data, first);
        expect_line(f, "webhook-timestamp: 1795339999");
        free(first);
    }
}

static void trace(void **state)
{
    static const char *const bad[] = {
        "{\"traceparent\":\"00-00000000000000000000000000000000-00f067aa0ba902b7-01\"}",
        "{\"traceparent\":\"00-" TRACE "-0000000000000000-01\"}",
        "{\"traceparent\":\"ff-" TRACE "-00f067aa0ba902b7-01\"}",
        "{\"traceparent\":\"00-" TRACE "-00f067aa0ba902b7-01-x\"}",
        "{\"traceparent\":\"00-" TRACE "-00F067AA0ba902b7-01\"}",
        "{\"traceparent\":\"00-" TRACE "-00f067aa0ba902b7\"}",
        "{\"traceparent\":7}",
        "not json",
    };
    struct fixture *f = *state;

    f->event.attributes =
        "{\"traceparent\":\"00-" TRACE "-00f067aa0ba902b7-01\",\"tracestate\":\"a=1,b=2\"}";
    render(f, "bondx");
    expect_line(f, "traceparent: 00-" TRACE "-1011121314151617-01");
    expect_line(f, "tracestate: a=1,b=2");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->event.attributes = bad[i];
        render(f, "bondx");
        expect_none(f, "traceparent");
    }
}

static void masked(void **state)
{
    struct fixture *f = *state;

    f->in.mask = true;
    f->in.bearer = "tok-123";
    f->in.headers = "{\"X-Tenant\":\"secretive\"}";
    for (size_t i = 0; profile_names()[i] != NULL; i++) {
        render(f, profile_names()[i]);
        expect_none(f, "tok-123");
        expect_none(f, "secretive");
        expect_none(f, "6508fc40");
        expect_none(f, "v1,");
        expect_line(f, "Authorization: Bearer ***");
        expect_line(f, "X-Request-ID: ***");
        assert_null(strstr(f->body.data, "sha256="));
    }
}

static void bearer_and_custom_headers(void **state)
{
    struct fixture *f = *state;

    f->in.bearer = "abc.DEF-1~2+3/4==";
    f->in.headers = "{\"X-Tenant\":\"acme\",\"X-Env\":\"prod\"}";
    render(f, "bondx");
    expect_line(f, "Authorization: Bearer abc.DEF-1~2+3/4==");
    expect_line(f, "X-Tenant: acme");
    expect_line(f, "X-Env: prod");
    f->in.keys_n = 0; /* the token alone will do for bondx, and for no other */
    render(f, "bondx");
    expect_none(f, "X-BondX-Signature");
    assert_int_equal(
        profile_render(profile_find("bondbricks"), &f->in, &f->body, &f->headers, NULL),
        ERR_INVALID);
}

static void bad_values(void **state)
{
    static const char *const headers[] = {
        "[]",
        "{",
        "{\"Host\":\"x\"}",
        "{\"content-length\":\"1\"}",
        "{\"WEBHOOK-ID\":\"1\"}",
        "{\"Transfer-Encoding\":\"chunked\"}",
        "{\"authorization\":\"x\"}",
        "{\"X-BondX-Signature\":\"x\"}",
        "{\"X-A\":\"a\\nb\"}",
        "{\"X-A\":\"\"}",
        "{\"X-A\":1}",
        "{\"X A\":\"1\"}",
        "{\"X-A:\":\"1\"}",
        "{\"\":\"1\"}",
        "{\"X-A\":\"1\",\"x-a\":\"2\"}",
        "{\"X-A\":\"1\",\"X-A\":\"2\"}",
        "{\"X-A\":\"\\u00e9\"}",
        "{\"User-Agent\":\"x\"}",
    };
    static const char *const tokens[] = {"", "a b", "=", "a=b", "a\n", "t\xc3\xa9"};
    static const char *const good[] = {"{}", "{\"X-A\":\"1\"}", "{\"Hostess\":\"1\"}"};
    const struct profile *standard_profile = profile_find("standard"), *b = profile_find("bondx");

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (profile_headers_problem(headers[i]) == NULL)
            fail_msg("accepted %s", headers[i]);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_null(profile_headers_problem(good[i]));
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        if (profile_bearer_problem(tokens[i]) == NULL)
            fail_msg("accepted %s", tokens[i]);
    }
    assert_null(profile_secret_problem(standard_profile, OLD));
    assert_non_null(profile_secret_problem(standard_profile, "whsec_c2hvcnQ="));
    assert_non_null(profile_secret_problem(standard_profile, "d2hzZWMtZG9jLWV4YW1wbGUtbm90LXNl"));
    assert_null(profile_secret_problem(b, "12345678"));
    assert_non_null(profile_secret_problem(b, "1234567"));
    assert_non_null(profile_secret_problem(b, "1234\n5678"));
}

static void new_secrets(void **state)
{
    static const uint8_t bytes[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                      11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                      22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    char secret[64];

    (void)state;
    profile_secret_new(secret, bytes);
    assert_string_equal(secret, NEW);
    for (size_t i = 0; profile_names()[i] != NULL; i++) {
        assert_non_null(profile_find(profile_names()[i]));
        assert_null(profile_secret_problem(profile_find(profile_names()[i]), secret));
    }
    assert_null(profile_find("stripe"));
}

/* RFC 4231, test cases 1 and 6 (a key longer than the block). */
static void hmac_vectors(void **state)
{
    static const uint8_t case1[32] = {0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53,
                                      0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b,
                                      0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7,
                                      0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7};
    static const uint8_t case6[4] = {0x60, 0xe4, 0x31, 0x59};
    static const char text6[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    uint8_t key[131], out[32];

    (void)state;
    memset(key, 0x0b, 20);
    sign_hmac_sha256(key, 20, "Hi There", 8, out);
    assert_memory_equal(out, case1, 32);
    memset(key, 0xaa, sizeof(key));
    sign_hmac_sha256(key, sizeof(key), text6, strlen(text6), out);
    assert_memory_equal(out, case6, 4);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(bondx),
        WITH(nothing_is_null_but_the_correlation),
        WITH(bondbricks),
        WITH(event_platform),
        WITH(standard),
        WITH(raw),
        WITH(rotation),
        WITH(same_body_every_attempt),
        WITH(trace),
        WITH(masked),
        WITH(bearer_and_custom_headers),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(new_secrets),
        cmocka_unit_test(hmac_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
