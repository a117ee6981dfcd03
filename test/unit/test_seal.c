/* test/unit/test_seal.c: what is sealed opens only in its own place, with its own key, unharmed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* ours is in base/err.h */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "store/seal.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/test_seal.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int drop_folder(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s/key", folder);
    unlink(path);
    return rmdir(folder);
}

static struct keyring *ring(uint8_t fill)
{
    uint8_t key[32];
    struct keyring *k = NULL;
    memset(key, fill, sizeof(key));
    assert_int_equal(keyring_from_bytes(&k, key, NULL), OK);
    return k;
}

static void write_keys(const char *path, const uint8_t *fills, size_t n, mode_t mode)
{
    struct buf b;
    uint8_t key[32];
    buf_init(&b, 4096);
    for (size_t i = 0; i < n; i++) {
        memset(key, fills[i], sizeof(key));
        text_base64(&b, key, sizeof(key));
        buf_addc(&b, '\n');
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.data, b.len), b.len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    buf_fini(&b);
}

static void opens_in_its_place_only(void **state)
{
    struct keyring *k = ring(7), *other = ring(8);
    struct buf sealed, plain;
    struct err err;
    (void)state;
    buf_init(&sealed, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(seal(k, "secret:1", "hello", 5, &sealed, &err), OK);
    assert_int_equal(sealed.len, 1 + 4 + 12 + 5 + 16);
    assert_null(memmem(sealed.data, sealed.len, "hello", 5));
    assert_int_equal(seal_open(k, "secret:1", sealed.data, sealed.len, &plain, &err), OK);
    assert_string_equal(plain.data, "hello");
    buf_clear(&plain);
    assert_int_equal(seal_open(k, "secret:2", sealed.data, sealed.len, &plain, &err), ERR_CORRUPT);
    assert_int_equal(seal_open(other, "secret:1", sealed.data, sealed.len, &plain, &err),
                     ERR_DENIED);
    assert_int_equal(plain.len, 0);
    buf_fini(&sealed);
    buf_fini(&plain);
    keyring_free(k);
    keyring_free(other);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct keyring *k = ring(7);
    struct buf sealed, plain;
    (void)state;
    buf_init(&sealed, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(seal(k, "dead:1", "payload", 7, &sealed, NULL), OK);
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        sealed.data[bit / 8] = (char)(sealed.data[bit / 8] ^ (1 << (bit % 8)));
        assert_int_not_equal(seal_open(k, "dead:1", sealed.data, sealed.len, &plain, NULL), OK);
        sealed.data[bit / 8] = (char)(sealed.data[bit / 8] ^ (1 << (bit % 8)));
    }
    for (size_t n = 0; n < sealed.len; n++)
        assert_int_equal(seal_open(k, "dead:1", sealed.data, n, &plain, NULL), ERR_CORRUPT);
    assert_int_equal(plain.len, 0);
    buf_fini(&sealed);
    buf_fini(&plain);
    keyring_free(k);
}

static void nonces_are_fresh_and_nothing_can_be_sealed(void **state)
{
    struct keyring *k = ring(1);
    struct buf a, b, plain;
    (void)state;
    buf_init(&a, 4096);
    buf_init(&b, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(seal(k, "x", "", 0, &a, NULL), OK);
    assert_int_equal(seal(k, "x", "", 0, &b, NULL), OK);
    assert_memory_not_equal(a.data, b.data, a.len);
    assert_int_equal(seal_open(k, "x", a.data, a.len, &plain, NULL), OK);
    assert_int_equal(plain.len, 0);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&plain);
    keyring_free(k);
}

static void the_file_is_made_once_and_is_private(void **state)
{
    char path[128];
    struct keyring *a = NULL, *b = NULL;
    struct err err;
    struct stat st;
    struct buf sealed, plain;
    (void)state;
    snprintf(path, sizeof(path), "%s/key", folder);
    assert_int_equal(keyring_load(&a, path, false, &err), ERR_CONFIG);
    assert_int_equal(keyring_load(&a, path, true, &err), OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(keyring_load(&b, path, true, &err), OK);
    buf_init(&sealed, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(seal(a, "x", "1", 1, &sealed, NULL), OK);
    assert_int_equal(seal_open(b, "x", sealed.data, sealed.len, &plain, NULL), OK);
    buf_fini(&sealed);
    buf_fini(&plain);
    keyring_free(a);
    keyring_free(b);
    a = NULL;
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(keyring_load(&a, path, true, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_null(a);
}

static void rotation_opens_the_old_and_keeps_the_digest(void **state)
{
    char path[128];
    struct keyring *before = ring(3), *after = NULL;
    struct buf sealed, plain;
    uint8_t one[16], two[16];
    (void)state;
    snprintf(path, sizeof(path), "%s/key", folder);
    write_keys(path, (const uint8_t[]){9, 3}, 2, 0600);
    assert_int_equal(keyring_load(&after, path, false, NULL), OK);
    buf_init(&sealed, 4096);
    buf_init(&plain, 4096);
    assert_int_equal(seal(before, "x", "old", 3, &sealed, NULL), OK);
    assert_int_equal(seal_open(after, "x", sealed.data, sealed.len, &plain, NULL), OK);
    assert_string_equal(plain.data, "old");
    buf_clear(&sealed);
    assert_int_equal(seal(after, "x", "new", 3, &sealed, NULL), OK);
    assert_int_equal(seal_open(before, "x", sealed.data, sealed.len, &plain, NULL), ERR_DENIED);
    seal_digest(before, "id", 2, one);
    seal_digest(after, "id", 2, two);
    assert_memory_equal(one, two, 16);
    seal_digest(after, "di", 2, two);
    assert_memory_not_equal(one, two, 16);
    buf_fini(&sealed);
    buf_fini(&plain);
    keyring_free(before);
    keyring_free(after);
}

/* Stores in the field remember ids so. */
static void the_digest_of_an_id_stays_as_it_is(void **state)
{
    static const uint8_t known[16] = {0xf2, 0x80, 0xfd, 0x90, 0x68, 0xd0, 0x75, 0xdc,
                                      0xdb, 0x26, 0xb5, 0x8a, 0x3a, 0x98, 0x73, 0x1a};
    struct keyring *k = ring(3);
    uint8_t one[16];
    (void)state;
    for (int i = 0; i < 2; i++) {
        seal_digest(k, "evt_1", 5, one);
        assert_memory_equal(one, known, 16);
        seal_digest(k, "", 0, one);
    }
    keyring_free(k);
}

static void bad_files_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "holds no key"},
        {"# only a comment\n", "holds no key"},
        {"AAAA\n", ":1:"},
        {"\nnot base64 at all, is it\n", ":2:"},
    };
    char path[128];
    struct keyring *k = NULL;
    struct err err;
    (void)state;
    snprintf(path, sizeof(path), "%s/key", folder);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(rows[i].text, f);
        fclose(f);
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(keyring_load(&k, path, true, &err), ERR_INVALID);
        assert_non_null(strstr(err.text, rows[i].says));
    }
    assert_null(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_in_its_place_only),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(nonces_are_fresh_and_nothing_can_be_sealed),
        cmocka_unit_test(the_file_is_made_once_and_is_private),
        cmocka_unit_test(rotation_opens_the_old_and_keeps_the_digest),
        cmocka_unit_test(the_digest_of_an_id_stays_as_it_is),
        cmocka_unit_test(bad_files_are_refused_with_their_line),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
