/* policy/profile.h: a named bundle of body envelope, signing scheme, retry policy, timeout; and its
 * rendering.
 *
 * Rotation: while two secrets are valid both sign. standard and raw list every signature in
 * webhook-signature, newest first. bondx and bondbricks have room for one, and a partner that
 * compares the header with its own HMAC would fail on a list: it carries the signature of the
 * OLDEST valid secret, which the partner surely has, and X-BondX-Signature-Next
 * (X-Webhook-Signature-Next) the newest one's, so that the partner can try its new secret before
 * the old one expires. event-platform, whose signature is part of the signed body, signs with the
 * oldest valid one alone.
 *
 * raw signs as Standard Webhooks do; its secret may be any text. A whsec_ secret signs twice there,
 * once decoded and once as it stands: receivers of either habit find theirs in the list.
 *
 * Of this version: bondx, bondbricks, event-platform, standard (Standard Webhooks 1.0.0), raw. A const
 * table of operations per profile (house rule 6). */
#ifndef POLICY_PROFILE_H
#define POLICY_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct profile_event { /* what rendering needs of an event; strings may be NULL where absent */
    const char *id, *type;
    const void *payload;
    size_t payload_bytes;
    const char *correlation_id, *source, *version, *attributes;
    int64_t created_ms;
};
struct profile_key {
    const char *value; /* the secret as it stands: "whsec_…" */
};
struct profile_input {
    const struct profile_event *event;
    const struct profile_key *keys; /* newest first, the valid ones only */
    size_t keys_n;
    const char *bearer;     /* NULL: no Authorization */
    const char *headers;    /* JSON object of custom headers, NULL: none */
    const char *user_agent; /* "webhookd/0.1.0" */
    int attempt;            /* webhook-attempt, from 1 */
    int64_t now_wall_ms;    /* time of this attempt */
    /* 32 fresh random bytes, for event-platform's token, X-Request-ID, span id */
    const uint8_t *random;
    bool mask; /* for display: signatures, bearer, header values and what was drawn for one attempt
                  become "***" */
};

struct profile {
    const char *name;
    const char *retry;  /* name of a retry policy */
    int64_t timeout_ms; /* 0: delivery.timeout */
    /* opaque operations */
    void (*body)(const struct profile_input *, struct buf *out);
    void (*headers_add)(const struct profile_input *, const struct buf *body, struct buf *out);
};
const struct profile *profile_find(const char *name); /* NULL */
const char *const *profile_names(void);               /* NULL-terminated */

/* Renders body and headers of one attempt. headers: lines "Name: value\n" (no CR), Content-Type
 * first; Content-Length and Host are the transport's. The body's bytes are the same for every
 * attempt of an event (event-platform apart). ERR_NOMEM, or ERR_INVALID where a key or header
 * cannot be used. */
enum err_code profile_render(const struct profile *p, const struct profile_input *in,
                             struct buf *body, struct buf *headers, struct err *err);

/* A new secret: "whsec_" + standard base64 of 32 random bytes. */
void profile_secret_new(char out[64], const uint8_t random[32]);
/* May this secret be used with this profile? NULL or why not (standard needs whsec_ + base64
 * of 24..64 bytes; others any printable text of 8..512 bytes). */
const char *profile_secret_problem(const struct profile *p, const char *secret);
/* Custom headers as a JSON object text: NULL or why not. Reserved: Host, Content-*, Connection,
 * Transfer-Encoding, Authorization, webhook-*, X-BondX-Signature, X-Webhook-Signature, User-Agent,
 * … */
const char *profile_headers_problem(const char *json);
/* A bearer token: b64token of RFC 6750 2.1. */
const char *profile_bearer_problem(const char *token);

#endif
