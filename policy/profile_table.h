/* policy/profile_table.h: what the profile files share and nobody else needs. */
#ifndef POLICY_PROFILE_TABLE_H
#define POLICY_PROFILE_TABLE_H

#include "policy/profile.h"

#define PROFILE_MASKED "***"

/* The key of a Standard Webhooks secret: what stands behind whsec_, decoded. False: not of that
 * form (24 to 64 bytes in padded standard base64). key must be wiped and freed by the caller. */
bool profile_key_decode(const char *secret, struct buf *key);

/* Appends lowercase hex of HMAC-SHA256(the secret as it stands, body), or the mask. */
void profile_hex_signature(const struct profile_input *in, size_t key, const void *body, size_t n,
                           struct buf *out);

/* Envelopes (profile_body.c). */
void body_bondx(const struct profile_input *in, struct buf *out);
void body_bondbricks(const struct profile_input *in, struct buf *out);
void body_event_platform(const struct profile_input *in, struct buf *out);
void body_standard(const struct profile_input *in, struct buf *out);
void body_raw(const struct profile_input *in, struct buf *out);

/* Headers (profile_headers.c): Content-Type first, then what every profile sends, then the
 * signature of each. */
void headers_bondx(const struct profile_input *in, const struct buf *body, struct buf *out);
void headers_bondbricks(const struct profile_input *in, const struct buf *body, struct buf *out);
void headers_event_platform(const struct profile_input *in, const struct buf *body,
                            struct buf *out);
void headers_standard(const struct profile_input *in, const struct buf *body, struct buf *out);
void headers_raw(const struct profile_input *in, const struct buf *body, struct buf *out);

/* Custom headers as lines; false: they are not what profile_headers_problem() accepts. */
bool profile_headers_custom(const char *json, bool mask, struct buf *out);

#endif
