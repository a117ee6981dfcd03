/* store/seal.h: AES-256-GCM for what must not be read from the file (secrets, dead letters).
 *
 * Sealed form: 1 byte version, 4 bytes key id (of SHA-256 of the key), 12 bytes fresh random nonce,
 * ciphertext, 16 bytes tag. `bound` (for instance "secret:sub_…:42") is additional data: a row
 * copied elsewhere does not open. The key file: one key a line, base64 of 32 bytes; the first
 * encrypts, all decrypt. */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct keyring;

/* Loads path; makes it (0600, one fresh key, fsynced) where it is missing and create is true.
 * Refuses a file that others can read or write (ERR_DENIED with the chmod to type). */
enum err_code keyring_load(struct keyring **out, const char *path, bool create, struct err *err);
/* A ring of one key that lies in no file: for tests. */
enum err_code keyring_from_bytes(struct keyring **out, const uint8_t key[32], struct err *err);
size_t keyring_size(const struct keyring *k);
void keyring_free(struct keyring *k); /* wiped */

enum err_code seal(const struct keyring *k, const char *bound, const void *plain, size_t n,
                   struct buf *out, struct err *err);
enum err_code seal_open(const struct keyring *k, const char *bound, const void *sealed, size_t n,
                        struct buf *out,
                        struct err *err); /* ERR_CORRUPT, ERR_DENIED: no such key */

/* Keyed digest for remembered ids: the first 16 bytes of HMAC-SHA256 under a key derived from the
 * ring's oldest key (the last of the file), so that it survives a rotation. One thread at a time. */
void seal_digest(const struct keyring *k, const void *bytes, size_t n, uint8_t out[16]);

#endif
