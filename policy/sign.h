/* policy/sign.h: HMAC-SHA256, SHA-256 and wiping for everybody. */
#ifndef POLICY_SIGN_H
#define POLICY_SIGN_H

#include <stddef.h>
#include <stdint.h>

void sign_hmac_sha256(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t out[32]);
void sign_sha256(const void *bytes, size_t n, uint8_t out[32]);
void sign_wipe(void *bytes, size_t n); /* (NULL, 0) is fine */

#endif
