/* Tests of hash.c: published vectors. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "pagoda/hash.h"

static void unhex(const char *hex, uint8_t *out, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 |
                           (strchr(digits, hex[2 * i + 1]) - digits));
}

/* FIPS 180-2, appendix B, and the empty message. */
static void sha256_matches_fips_180(void **state) {
    (void)state;
    static const struct {
        const char *text, *hex;
    } cases[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t want[32];
        uint8_t got[32];
        unhex(cases[i].hex, want, 32);
        pgd_sha256(cases[i].text, strlen(cases[i].text), got);
        assert_memory_equal(got, want, 32);
    }
}

/* Python: hashlib.blake2b(b"pagoda", key=bytes(range(32)), digest_size=16).hexdigest(). */
static void the_keyed_hash_is_blake2b_of_16_bytes(void **state) {
    (void)state;
    uint8_t key[32];
    uint8_t want[16];
    uint8_t got[16];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    unhex("1b3e24bcd5988fe0ff9ae5f2acdfe5ee", want, 16);
    pgd_keyed_hash128("pagoda", 6, key, got);
    assert_memory_equal(got, want, 16);
    key[31] ^= 1;
    pgd_keyed_hash128("pagoda", 6, key, got);
    assert_memory_not_equal(got, want, 16);
}

/* XXH3_64bits of the empty input with seed 0, as xxHash's specification gives it. */
static void hash64_is_xxh3_and_depends_on_the_seed(void **state) {
    (void)state;
    assert_true(pgd_hash64("", 0, 0) == 0x2D06800538D394C2u);
    assert_true(pgd_hash64(NULL, 0, 0) == 0x2D06800538D394C2u);
    assert_true(pgd_hash64("a", 1, 0) != pgd_hash64("a", 1, 1));
    assert_true(pgd_hash64("a", 1, 5) == pgd_hash64("a", 1, 5));
}

static void comparison_sees_a_difference_at_every_place(void **state) {
    (void)state;
    uint8_t a[40] = {0};
    uint8_t b[40] = {0};
    assert_true(pgd_ct_equal(a, b, sizeof a));
    assert_true(pgd_ct_equal(a, b, 0));
    for (size_t i = 0; i < sizeof a * 8; i++) {
        b[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(pgd_ct_equal(a, b, sizeof a));
        b[i / 8] = 0;
    }
}

static void random_bytes_fill_the_buffer_and_differ(void **state) {
    (void)state;
    uint8_t a[64] = {0};
    uint8_t b[64] = {0};
    pgd_random_bytes(a, sizeof a);
    pgd_random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a); /* equal once in 2^512 runs */
    pgd_random_bytes(a, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_matches_fips_180),
        cmocka_unit_test(the_keyed_hash_is_blake2b_of_16_bytes),
        cmocka_unit_test(hash64_is_xxh3_and_depends_on_the_seed),
        cmocka_unit_test(comparison_sees_a_difference_at_every_place),
        cmocka_unit_test(random_bytes_fill_the_buffer_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
