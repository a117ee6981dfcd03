/* policy/sign.c: HMAC-SHA256, SHA-256 and wiping; the one place of policy that knows OpenSSL.
 *
 * One-shot calls: a key lives here only for the length of a call, and nothing of it is kept between
 * two. */
#include "policy/sign.h"

#include <stdbool.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* Both fail only where OpenSSL has no memory or no SHA-256 at all. A webhook that goes out with a
 * made-up signature would be a lie, so that is the end of the process. */
void sign_hmac_sha256(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t out[32])
{
    unsigned int out_n = 32;

    if (HMAC(EVP_sha256(), key_n == 0 ? "" : key, (int)key_n, n == 0 ? (const uint8_t *)"" : bytes,
             n, out, &out_n) == NULL)
        abort();
}

/* Fetched once for the process: looking it up costs as much as the digest of a small event. */
static const EVP_MD *sha256(void)
{
    static EVP_MD *fetched;
    EVP_MD *md = __atomic_load_n(&fetched, __ATOMIC_ACQUIRE), *none = NULL;

    if (md != NULL)
        return md;
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (md == NULL)
        abort();
    if (__atomic_compare_exchange_n(&fetched, &none, md, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return md;
    EVP_MD_free(md); /* another thread was faster */
    return none;
}

void sign_sha256(const void *bytes, size_t n, uint8_t out[32])
{
    if (EVP_Digest(bytes, n, out, NULL, sha256(), NULL) != 1)
        abort();
}

void sign_wipe(void *bytes, size_t n)
{
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, n);
}
