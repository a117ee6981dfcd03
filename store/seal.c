/* store/seal.c: AES-256-GCM for what must not be read from the file, and the keyed digest of ids.
 *
 *   sealed: | 0x01 | key id 4 | nonce 12 | ciphertext n | tag 16 |
 *
 * The ring is read-only after loading, so that every thread may use it; a context is made per call,
 * but for the digest's, which only the writer asks for: keying it costs five times the digest.
 * A random nonce is good for 2^32 seals under one key (NIST SP 800-38D 8.3). */
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dice.h"
#include "base/text.h"

enum {
    SEAL_VERSION = 1,
    KEY_BYTES = 32,
    KEY_ID_BYTES = 4,
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    HEAD_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES,
    KEYS_MAX = 64,
    KEY_FILE_MAX = 64 * 1024
};

struct ring_key {
    uint8_t key[KEY_BYTES];
    uint8_t id[KEY_ID_BYTES];
};
struct keyring {
    EVP_CIPHER *cipher; /* fetched once: a fetch per call costs more than the sealing */
    size_t n;
    EVP_MAC_CTX *digest; /* keyed with the last key's; the writer's */
    struct ring_key keys[KEYS_MAX];
};

size_t keyring_size(const struct keyring *k)
{
    return k->n;
}

void keyring_free(struct keyring *k)
{
    if (k == NULL)
        return;
    EVP_CIPHER_free(k->cipher);
    EVP_MAC_CTX_free(k->digest);
    OPENSSL_cleanse(k, sizeof(*k));
    free(k);
}

static enum err_code ring_new(struct keyring **out, struct err *err)
{
    struct keyring *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return fail(err, ERR_NOMEM, "no memory for the keys");
    k->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    k->digest = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac); /* the context holds it */
    if (k->cipher == NULL || k->digest == NULL) {
        keyring_free(k);
        return fail(err, ERR_INTERNAL, "libcrypto offers no AES-256-GCM or no HMAC");
    }
    *out = k;
    return OK;
}

/* The digest's key hangs on the last key of the file, the oldest: rotation adds keys in front. */
static void ring_add(struct keyring *k, const uint8_t key[KEY_BYTES])
{
    static const char label[] = "webhookd remembered ids";
    uint8_t sha[SHA256_DIGEST_LENGTH], digest_key[KEY_BYTES];
    char sha256[] = "SHA256";
    const OSSL_PARAM with[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                               OSSL_PARAM_construct_end()};
    struct ring_key *r = &k->keys[k->n++];
    memcpy(r->key, key, KEY_BYTES);
    SHA256(key, KEY_BYTES, sha);
    memcpy(r->id, sha, KEY_ID_BYTES);
    HMAC(EVP_sha256(), key, KEY_BYTES, (const unsigned char *)label, sizeof(label) - 1, digest_key,
         NULL);
    if (EVP_MAC_init(k->digest, digest_key, KEY_BYTES, with) != 1)
        abort(); /* no memory, or no SHA-256 at all: every id would be remembered wrongly */
    OPENSSL_cleanse(digest_key, sizeof(digest_key));
}

enum err_code keyring_from_bytes(struct keyring **out, const uint8_t key[32], struct err *err)
{
    struct keyring *k;
    enum err_code code = ring_new(&k, err);
    if (code != OK)
        return code;
    ring_add(k, key);
    *out = k;
    return OK;
}

/* ---- the file ---- */
static enum err_code parse_line(struct keyring *k, const char *path, int line_n, const char *line,
                                size_t n, struct err *err)
{
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    if (n == 0 || line[0] == '#')
        return OK;
    if (k->n == KEYS_MAX)
        return fail(err, ERR_INVALID, "%s:%d: more than %d keys", path, line_n, KEYS_MAX);
    struct buf raw;
    buf_init(&raw, 1024);
    bool good = text_base64_decode(&raw, line, n) && !raw.failed && raw.len == KEY_BYTES;
    if (good)
        ring_add(k, (const uint8_t *)raw.data);
    if (raw.data != NULL)
        OPENSSL_cleanse(raw.data, raw.len);
    buf_fini(&raw);
    if (!good)
        return fail(err, ERR_INVALID, "%s:%d: a key is one line of base64 of 32 bytes", path,
                    line_n);
    return OK;
}

static enum err_code parse_file(struct keyring *k, const char *path, const char *text, size_t n,
                                struct err *err)
{
    enum err_code code = OK;
    int line_n = 1;
    for (size_t at = 0; code == OK && at < n; line_n++) {
        const char *nl = memchr(text + at, '\n', n - at);
        size_t len = nl != NULL ? (size_t)(nl - (text + at)) : n - at;
        code = parse_line(k, path, line_n, text + at, len, err);
        at += len + 1;
    }
    if (code == OK && k->n == 0)
        return fail(err, ERR_INVALID, "%s holds no key: one line of base64 of 32 bytes is needed",
                    path);
    return code;
}

/* Not text_read_file(): the same descriptor is judged and read, and no copy of a key is left behind
 * by a buffer that grew. */
static enum err_code read_fd(int fd, const char *path, struct keyring *k, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(err, ERR_IO, "%s: %s", path, errno_text(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, ERR_INVALID, "%s is not a file", path);
    if ((st.st_mode & 077) != 0)
        return fail(err, ERR_DENIED, "%s can be read or written by others: chmod 600 %s", path,
                    path);
    char *text = malloc(KEY_FILE_MAX);
    if (text == NULL)
        return fail(err, ERR_NOMEM, "no memory for %s", path);
    size_t n = 0;
    ssize_t got = 1;
    while (got > 0 && n < KEY_FILE_MAX) {
        got = read(fd, text + n, KEY_FILE_MAX - n);
        n += got > 0 ? (size_t)got : 0;
    }
    enum err_code code;
    if (got < 0)
        code = fail(err, ERR_IO, "%s: %s", path, errno_text(errno));
    else if (n == KEY_FILE_MAX)
        code = fail(err, ERR_INVALID, "%s is too large for a key file", path);
    else
        code = parse_file(k, path, text, n, err);
    OPENSSL_cleanse(text, KEY_FILE_MAX);
    free(text);
    return code;
}

static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    int fd = open(text_folder(folder, sizeof(folder), path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* Written beside and linked into place: a crash leaves no half key, and of two makers one wins. */
static enum err_code make_file(const char *path, struct err *err)
{
    uint8_t key[KEY_BYTES];
    char tmp[PATH_MAX];
    struct buf line;
    int n = snprintf(tmp, sizeof(tmp), "%s.%ld.new", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(tmp))
        return fail(err, ERR_INVALID, "the path of the key file is too long");
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, errno == EACCES ? ERR_DENIED : ERR_IO, "cannot make the key file %s: %s",
                    path, errno_text(errno));
    dice_bytes(key, sizeof(key));
    buf_init(&line, 256);
    text_base64(&line, key, sizeof(key));
    buf_addc(&line, '\n');
    bool good =
        !line.failed && write(fd, line.data, line.len) == (ssize_t)line.len && fsync(fd) == 0;
    int why = errno;
    close(fd);
    if (line.data != NULL)
        OPENSSL_cleanse(line.data, line.len);
    buf_fini(&line);
    OPENSSL_cleanse(key, sizeof(key));
    if (good && link(tmp, path) != 0 && errno != EEXIST) {
        good = false;
        why = errno;
    }
    (void)unlink(tmp);
    if (!good)
        return fail(err, ERR_IO, "cannot make the key file %s: %s", path, errno_text(why));
    sync_folder(path);
    return OK;
}

enum err_code keyring_load(struct keyring **out, const char *path, bool create, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && create) {
        enum err_code code = make_file(path, err);
        if (code != OK)
            return code;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 && errno == ENOENT)
        return fail(err, ERR_CONFIG,
                    "key file %s: it is gone, and a new one would open nothing that is in the "
                    "store: put it back from your backup",
                    path);
    if (fd < 0)
        return fail(err, errno == EACCES ? ERR_DENIED : ERR_IO, "key file %s: %s", path,
                    errno_text(errno));
    struct keyring *k;
    enum err_code code = ring_new(&k, err);
    if (code == OK) {
        code = read_fd(fd, path, k, err);
        if (code == OK)
            *out = k;
        else
            keyring_free(k);
    }
    close(fd);
    return code;
}

/* ---- sealing ---- */
static bool encrypt(EVP_CIPHER_CTX *ctx, const struct keyring *k, const char *bound,
                    const void *plain, size_t n, uint8_t *out)
{
    int len = 0, end = 0;
    const uint8_t *nonce = out + 1 + KEY_ID_BYTES;
    uint8_t *text = out + HEAD_BYTES;
    return EVP_EncryptInit_ex2(ctx, k->cipher, k->keys[0].key, nonce, NULL) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)bound, (int)strlen(bound)) == 1 &&
           (n == 0 || EVP_EncryptUpdate(ctx, text, &len, plain, (int)n) == 1) &&
           EVP_EncryptFinal_ex(ctx, text + n, &end) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, text + n) == 1;
}

enum err_code seal(const struct keyring *k, const char *bound, const void *plain, size_t n,
                   struct buf *out, struct err *err)
{
    if (n > INT_MAX / 2)
        return fail(err, ERR_INVALID, "%zu bytes are too many to seal", n);
    size_t room = HEAD_BYTES + n + TAG_BYTES;
    uint8_t *sealed = malloc(room);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    enum err_code code = OK;
    if (sealed == NULL || ctx == NULL) {
        code = fail(err, ERR_NOMEM, "no memory to seal %s", bound);
        goto out;
    }
    sealed[0] = SEAL_VERSION;
    memcpy(sealed + 1, k->keys[0].id, KEY_ID_BYTES);
    dice_bytes(sealed + 1 + KEY_ID_BYTES, NONCE_BYTES);
    if (!encrypt(ctx, k, bound, plain, n, sealed)) {
        code = fail(err, ERR_INTERNAL, "libcrypto could not seal %s", bound);
        goto out;
    }
    buf_add(out, sealed, room);
    if (out->failed)
        code = fail(err, ERR_NOMEM, "no room to seal %s", bound);
out:
    EVP_CIPHER_CTX_free(ctx);
    free(sealed);
    return code;
}

static bool decrypt(EVP_CIPHER_CTX *ctx, const struct keyring *k, const struct ring_key *key,
                    const char *bound, const uint8_t *sealed, size_t n, uint8_t *plain)
{
    int len = 0, end = 0;
    uint8_t tag[TAG_BYTES], rest[TAG_BYTES];
    const uint8_t *text = sealed + HEAD_BYTES;
    memcpy(tag, text + n, TAG_BYTES);
    return EVP_DecryptInit_ex2(ctx, k->cipher, key->key, sealed + 1 + KEY_ID_BYTES, NULL) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)bound, (int)strlen(bound)) == 1 &&
           (n == 0 || EVP_DecryptUpdate(ctx, plain, &len, text, (int)n) == 1) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_DecryptFinal_ex(ctx, rest, &end) == 1;
}

/* Two keys of a ring may share their four bytes of id; each is tried. */
enum err_code seal_open(const struct keyring *k, const char *bound, const void *sealed, size_t n,
                        struct buf *out, struct err *err)
{
    const uint8_t *s = sealed;
    if (s == NULL || n < HEAD_BYTES + TAG_BYTES || n > INT_MAX || s[0] != SEAL_VERSION)
        return fail(err, ERR_CORRUPT, "%s is not sealed bytes", bound);
    size_t plain_n = n - HEAD_BYTES - TAG_BYTES;
    uint8_t *plain = malloc(plain_n + 1);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool known = false, opened = false;
    enum err_code code = OK;
    if (plain == NULL || ctx == NULL) {
        code = fail(err, ERR_NOMEM, "no memory to open %s", bound);
        goto out;
    }
    for (size_t i = 0; i < k->n && !opened; i++) {
        if (memcmp(s + 1, k->keys[i].id, KEY_ID_BYTES) != 0)
            continue;
        known = true;
        opened = decrypt(ctx, k, &k->keys[i], bound, s, plain_n, plain);
    }
    if (!known)
        code = fail(err, ERR_DENIED,
                    "%s was sealed with a key that is not in the key file: put that key back "
                    "behind the first line",
                    bound);
    else if (!opened)
        code = fail(err, ERR_CORRUPT, "%s does not open: its bytes are not what was sealed", bound);
    else
        buf_add(out, plain, plain_n);
    if (code == OK && out->failed)
        code = fail(err, ERR_NOMEM, "no room to open %s", bound);
out:
    EVP_CIPHER_CTX_free(ctx);
    if (plain != NULL)
        OPENSSL_cleanse(plain, plain_n + 1);
    free(plain);
    return code;
}

void seal_digest(const struct keyring *k, const void *bytes, size_t n, uint8_t out[16])
{
    uint8_t mac[SHA256_DIGEST_LENGTH];
    size_t mac_n = 0;
    if (EVP_MAC_init(k->digest, NULL, 0, NULL) != 1 || EVP_MAC_update(k->digest, bytes, n) != 1 ||
        EVP_MAC_final(k->digest, mac, &mac_n, sizeof(mac)) != 1)
        abort();
    memcpy(out, mac, 16);
}
