/* policy/profile_headers.c: the headers of one attempt, the signatures among them.
 *
 * Every value that comes from outside is checked here once more before it becomes a line: whatever
 * a database holds, no value can end a header and begin another. */
#include "policy/profile_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "base/text.h"
#include "policy/sign.h"

#define HEADERS_MAX 32
#define HEADER_NAME_MAX 128
#define HEADER_VALUE_MAX 4096
#define TRACEPARENT_N 55 /* 00-<32>-<16>-<2> */

static bool is_value(const char *text, size_t max)
{
    size_t n = strlen(text);

    if (n == 0 || n > max || text[0] == ' ' || text[n - 1] == ' ')
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    }
    return true;
}

static bool is_lower_hex(const char *text, size_t n)
{
    bool zero = true;

    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\0' || strchr("0123456789abcdef", text[i]) == NULL)
            return false;
        zero = zero && text[i] == '0';
    }
    return !zero;
}

/* W3C Trace Context: version 00 exactly; a later version is read by its first four fields. */
static bool is_traceparent(const char *t)
{
    if (strnlen(t, TRACEPARENT_N) < TRACEPARENT_N || t[2] != '-' || t[35] != '-' || t[52] != '-')
        return false;
    if (strncmp(t, "ff", 2) == 0 || !is_lower_hex(t + 3, 32) || !is_lower_hex(t + 36, 16))
        return false;
    if (strncmp(t, "00", 2) == 0 ? t[55] != '\0' : t[55] != '\0' && t[55] != '-')
        return false;
    return strspn(t, "0123456789abcdef") == 2 && strspn(t + 53, "0123456789abcdef") == 2;
}

static void add_trace(const struct profile_input *in, json_t *attributes, struct buf *out)
{
    const char *parent = json_string_value(json_object_get(attributes, "traceparent"));
    const char *state = json_string_value(json_object_get(attributes, "tracestate"));
    char span[17];

    if (parent == NULL || !is_traceparent(parent))
        return;
    text_hex(span, in->random + 16, 8);
    if (strspn(span, "0") == 16) /* all zero is "no span" */
        span[15] = '1';
    buf_addf(out, "traceparent: 00-%.32s-%s-%.2s\n", parent + 3, in->mask ? PROFILE_MASKED : span,
             parent + 53);
    if (state != NULL && is_value(state, 512))
        buf_addf(out, "tracestate: %s\n", state);
}

/* A random UUID (RFC 9562 version 4), new for every attempt and not remembered. */
static void add_request_id(const struct profile_input *in, struct buf *out)
{
    static const uint8_t ends[] = {8, 12, 16, 20, 32};
    uint8_t u[16];
    char h[33];
    size_t at = 0;

    if (in->mask) {
        buf_adds(out, "X-Request-ID: " PROFILE_MASKED "\n");
        return;
    }
    memcpy(u, in->random, 16);
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
    text_hex(h, u, 16);
    buf_adds(out, "X-Request-ID: ");
    for (size_t i = 0; i < sizeof(ends); i++) {
        buf_add(out, h + at, ends[i] - at);
        buf_addc(out, ends[i] < 32 ? '-' : '\n');
        at = ends[i];
    }
}

/* A correlation id that cannot be a header's value is left to the body, where the envelope has it.
 */
static void add_common(const struct profile_input *in, bool own_type, struct buf *out)
{
    const struct profile_event *ev = in->event;
    const char *type = NULL;
    json_t *attributes = NULL;

    if (ev->attributes != NULL && ev->attributes[0] != '\0')
        attributes = json_loads(ev->attributes, 0, NULL);
    if (own_type)
        type = json_string_value(json_object_get(attributes, "content_type"));
    if (type == NULL || !is_value(type, 256) || strchr(type, '/') == NULL)
        type = "application/json";
    buf_join(out, "Content-Type: ", type, "\nUser-Agent: ", in->user_agent,
             "\nwebhook-id: ", ev->id, "\nwebhook-timestamp: ", NULL);
    buf_addi(out, in->now_wall_ms / 1000);
    buf_adds(out, "\nwebhook-attempt: ");
    buf_addi(out, in->attempt);
    buf_addc(out, '\n');
    add_request_id(in, out);
    if (ev->correlation_id != NULL && is_value(ev->correlation_id, 512))
        buf_join(out, "X-Correlation-ID: ", ev->correlation_id, "\n", NULL);
    add_trace(in, attributes, out);
    json_decref(attributes);
}

bool profile_key_decode(const char *secret, struct buf *key)
{
    if (strncmp(secret, "whsec_", 6) != 0)
        return false;
    return text_base64_decode(key, secret + 6, strlen(secret + 6)) && key->len >= 24 &&
           key->len <= 64;
}

void profile_hex_signature(const struct profile_input *in, size_t key, const void *body, size_t n,
                           struct buf *out)
{
    const char *secret = in->keys[key].value;
    uint8_t mac[32];
    char hex[65];

    if (in->mask) {
        buf_adds(out, PROFILE_MASKED);
        return;
    }
    sign_hmac_sha256(secret, strlen(secret), body, n, mac);
    text_hex(hex, mac, sizeof(mac));
    buf_adds(out, hex);
}

/* One signature a header, by the oldest key that is still valid; in an overlap the newest key's in
 * NAME-Next (profile.h says why). */
static void add_hex_headers(const struct profile_input *in, const char *name, const char *prefix,
                            const struct buf *body, struct buf *out)
{
    if (in->keys_n == 0)
        return;
    buf_join(out, name, ": ", prefix, NULL);
    profile_hex_signature(in, in->keys_n - 1, body->data, body->len, out);
    buf_addc(out, '\n');
    if (in->keys_n == 1)
        return;
    buf_join(out, name, "-Next: ", prefix, NULL);
    profile_hex_signature(in, 0, body->data, body->len, out);
    buf_addc(out, '\n');
}

void headers_bondx(const struct profile_input *in, const struct buf *body, struct buf *out)
{
    add_common(in, false, out);
    add_hex_headers(in, "X-BondX-Signature", "sha256=", body, out);
}

void headers_bondbricks(const struct profile_input *in, const struct buf *body, struct buf *out)
{
    add_common(in, false, out);
    add_hex_headers(in, "X-Webhook-Signature", "", body, out);
}

void headers_event_platform(const struct profile_input *in, const struct buf *body, struct buf *out)
{
    (void)body;
    add_common(in, false, out);
}

static void add_v1(const void *key, size_t key_n, const struct buf *content, struct buf *out)
{
    uint8_t mac[32];

    sign_hmac_sha256(key, key_n, content->data, content->len, mac);
    buf_adds(out, " v1,");
    text_base64(out, mac, sizeof(mac));
}

static void add_v1_of(const char *secret, bool as_it_stands, const struct buf *content,
                      struct buf *out)
{
    struct buf key;

    buf_init(&key, 512);
    if (profile_key_decode(secret, &key))
        add_v1(key.data, key.len, content, out);
    if (as_it_stands)
        add_v1(secret, strlen(secret), content, out);
    sign_wipe(key.data, key.len);
    buf_fini(&key);
}

/* Standard Webhooks 1.0.0: "{id}.{timestamp}.{body}", every valid key in the one header, newest
 * first. as_it_stands also lists the signature by the undecoded secret: raw takes any secret, and
 * of one that looks like whsec_… both readings are common. */
static void add_standard(const struct profile_input *in, bool as_it_stands, const struct buf *body,
                         struct buf *out)
{
    struct buf content;

    buf_adds(out, "webhook-signature:");
    if (in->mask) {
        buf_adds(out, " " PROFILE_MASKED "\n");
        return;
    }
    buf_init(&content, body->len + 256);
    buf_join(&content, in->event->id, ".", NULL);
    buf_addi(&content, in->now_wall_ms / 1000);
    buf_addc(&content, '.');
    buf_add(&content, body->data, body->len);
    for (size_t i = 0; i < in->keys_n && !content.failed; i++)
        add_v1_of(in->keys[i].value, as_it_stands, &content, out);
    buf_addc(out, '\n');
    if (content.failed)
        out->failed = true;
    buf_fini(&content);
}

void headers_standard(const struct profile_input *in, const struct buf *body, struct buf *out)
{
    add_common(in, false, out);
    add_standard(in, false, body, out);
}

void headers_raw(const struct profile_input *in, const struct buf *body, struct buf *out)
{
    add_common(in, true, out);
    add_standard(in, true, body, out);
}

/* What the transport, the envelope or the signature owns; a trailing '*' stands for any rest. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {
        "Host",
        "Content-*",
        "Connection",
        "Keep-Alive",
        "Proxy-*",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Authorization",
        "Accept-Encoding",
        "User-Agent",
        "webhook-*",
        "traceparent",
        "tracestate",
        "X-Request-ID",
        "X-Correlation-ID",
        "X-BondX-Signature*",
        "X-Webhook-Signature*",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = strlen(names[i]);
        bool prefix = names[i][n - 1] == '*';

        if (strncasecmp(name, names[i], prefix ? n - 1 : n + 1) == 0)
            return true;
    }
    return false;
}

static bool is_token(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "!#$%&'*+-.^_`|~";
    size_t n = strspn(name, letters);

    return n > 0 && n <= HEADER_NAME_MAX && name[n] == '\0';
}

static bool has_twin(json_t *object, const char *name)
{
    const char *other;
    json_t *value;

    json_object_foreach(object, other, value)
    {
        if (other != name && strcasecmp(other, name) == 0)
            return true;
    }
    return false;
}

static const char *object_problem(json_t *object)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return "are not a JSON object of names and strings";
    if (json_object_size(object) > HEADERS_MAX)
        return "are more than 32";
    json_object_foreach(object, name, value)
    {
        if (!is_token(name))
            return "have a name that is no HTTP token";
        if (is_reserved(name))
            return "have a name that webhookd sets itself (Host, Content-*, Authorization, "
                   "webhook-*, …)";
        if (!json_is_string(value) || !is_value(json_string_value(value), HEADER_VALUE_MAX))
            return "have a value that is not printable ASCII text of 1 to 4096 bytes";
        if (has_twin(object, name))
            return "have one name twice";
    }
    return NULL;
}

const char *profile_headers_problem(const char *json)
{
    json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    const char *why = object_problem(object);

    json_decref(object);
    return why;
}

bool profile_headers_custom(const char *json, bool mask, struct buf *out)
{
    json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    bool good = object_problem(object) == NULL;
    const char *name;
    json_t *value;

    if (good) {
        json_object_foreach(object, name, value)
        {
            buf_addf(out, "%s: %s\n", name, mask ? PROFILE_MASKED : json_string_value(value));
        }
    }
    json_decref(object);
    return good;
}
