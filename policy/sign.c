/* policy/sign.c: HMAC-SHA256, SHA-256 and wiping; the one place of policy that knows OpenSSL.
 *
 * To find an algorithm and to make a context for it costs OpenSSL 3 as much as an HMAC of 2 KiB,
 * so each thread keeps one context. It keeps the last key too, as the lane that it belongs to does. */
#include "policy/sign.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

static _Thread_local EVP_MAC_CTX *hmac;
static pthread_key_t hmac_end; /* frees it with its thread */
static pthread_once_t hmac_once = PTHREAD_ONCE_INIT;

static void hmac_free(void *ctx)
{
    EVP_MAC_CTX_free(ctx);
}

static void hmac_key_new(void)
{
    if (pthread_key_create(&hmac_end, hmac_free) != 0)
        abort();
}

static EVP_MAC_CTX *hmac_new(void)
{
    char sha256[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 6),
                                 OSSL_PARAM_END};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);

    EVP_MAC_free(mac);
    pthread_once(&hmac_once, hmac_key_new);
    if (ctx == NULL || EVP_MAC_CTX_set_params(ctx, params) != 1 ||
        pthread_setspecific(hmac_end, ctx) != 0)
        abort();
    return ctx;
}

/* Fails only where OpenSSL has no memory or no SHA-256 at all. A webhook that goes out with a
 * made-up signature would be a lie, so that is the end of the process. */
void sign_hmac_sha256(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t out[32])
{
    size_t out_n;

    if (hmac == NULL)
        hmac = hmac_new();
    if (EVP_MAC_init(hmac, key_n == 0 ? (const uint8_t *)"" : key, key_n, NULL) != 1 ||
        EVP_MAC_update(hmac, n == 0 ? (const uint8_t *)"" : bytes, n) != 1 ||
        EVP_MAC_final(hmac, out, &out_n, 32) != 1)
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
