/* policy/profile.c: the table of profiles, rendering, and what a secret or a token may look like.
 *
 * A profile is a row: an envelope (profile_body.c), headers with the signature (profile_headers.c),
 * a retry policy, a timeout (0: delivery.timeout, which is 10s unless configured). Adding one is
 * adding a row and two functions. */
#include "policy/profile.h"
#include "policy/sign.h"

#include <string.h>

#include "base/text.h"
#include "policy/profile_table.h"

static const struct profile profiles[] = {
    {"bondx", "default", 0, body_bondx, headers_bondx},
    {"bondbricks", "bondbricks", 0, body_bondbricks, headers_bondbricks},
    {"event-platform", "default", 0, body_event_platform, headers_event_platform},
    {"standard", "default", 15000, body_standard, headers_standard},
    {"raw", "default", 0, body_raw, headers_raw},
};
#define PROFILES_N (sizeof(profiles) / sizeof(profiles[0]))

const struct profile *profile_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < PROFILES_N; i++) {
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    }
    return NULL;
}

const char *const *profile_names(void)
{
    static const char *const names[] = {"bondx",    "bondbricks", "event-platform",
                                        "standard", "raw",        NULL};

    _Static_assert(sizeof(names) / sizeof(names[0]) == PROFILES_N + 1, "one name a row");
    return names;
}

/* Only bondx can do without a key: its partners may rely on the bearer token alone. */
static enum err_code keys_check(const struct profile *p, const struct profile_input *in,
                                struct err *err)
{
    if (in->keys_n == 0 && !(strcmp(p->name, "bondx") == 0 && in->bearer != NULL))
        return fail(err, ERR_INVALID, "profile %s: no secret to sign with", p->name);
    for (size_t i = 0; i < in->keys_n; i++) {
        const char *why = profile_secret_problem(p, in->keys[i].value);

        if (why != NULL)
            return fail(err, ERR_INVALID, "profile %s: secret %s", p->name, why);
    }
    return OK;
}

enum err_code profile_render(const struct profile *p, const struct profile_input *in,
                             struct buf *body, struct buf *headers, struct err *err)
{
    enum err_code rc = keys_check(p, in, err);

    if (rc != OK)
        return rc;
    if (in->bearer != NULL && profile_bearer_problem(in->bearer) != NULL)
        return fail(err, ERR_INVALID, "bearer token %s", profile_bearer_problem(in->bearer));
    p->body(in, body);
    if (body->failed)
        return fail(err, ERR_NOMEM, "profile %s: body of event %s: no memory, or above the limit",
                    p->name, in->event->id);
    p->headers_add(in, body, headers);
    if (in->bearer != NULL)
        buf_join(headers, "Authorization: Bearer ", in->mask ? PROFILE_MASKED : in->bearer, "\n",
                 NULL);
    if (in->headers != NULL && !profile_headers_custom(in->headers, in->mask, headers))
        return fail(err, ERR_INVALID, "custom headers %s", profile_headers_problem(in->headers));
    if (headers->failed)
        return fail(err, ERR_NOMEM, "profile %s: headers: no memory, or above the limit", p->name);
    return OK;
}

void profile_secret_new(char out[64], const uint8_t random[32])
{
    struct buf b;

    buf_init(&b, 64);
    text_base64(&b, random, 32);
    text_copy(out, 64, "whsec_");
    text_copy(out + 6, 58, b.data == NULL ? "" : b.data);
    sign_wipe(b.data, b.len);
    buf_fini(&b);
}

const char *profile_secret_problem(const struct profile *p, const char *secret)
{
    size_t n = strlen(secret);
    struct buf key;
    bool fits;

    if (n < 8)
        return "is shorter than 8 bytes";
    if (n > 512)
        return "is longer than 512 bytes";
    for (size_t i = 0; i < n; i++) {
        if (secret[i] < 0x20 || secret[i] > 0x7e)
            return "has bytes that are not printable ASCII";
    }
    if (strcmp(p->name, "standard") != 0)
        return NULL;
    buf_init(&key, 512);
    fits = profile_key_decode(secret, &key);
    sign_wipe(key.data, key.len);
    buf_fini(&key);
    return fits ? NULL : "is not whsec_ and padded standard base64 of 24 to 64 bytes";
}

const char *profile_bearer_problem(const char *token)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~+/";
    size_t body = strspn(token, letters);

    if (body == 0)
        return "does not begin with a letter, a digit or one of -._~+/";
    if (strlen(token) > 4096)
        return "is longer than 4096 bytes";
    if (token[body + strspn(token + body, "=")] != '\0')
        return "has characters outside RFC 6750 (letters, digits, -._~+/ and = at the end)";
    return NULL;
}
