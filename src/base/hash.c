/* Hashes, constant-time comparison and random bytes: a thin face over xxHash and libsodium.
 *
 * xxHash places things in tables and is never trusted as identity; libsodium's functions are used
 * where a forged collision would matter. sodium_init picks implementations and opens the random
 * source; it runs once, whoever comes first. If the system has no random source there is no safe
 * way on, so that failure ends the program. Thread: any. */
#include "pagoda/hash.h"

#include <pthread.h>
#include <sodium.h>
#include <xxhash.h>

#include "pagoda/status.h"

static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;

static void start_sodium(void) {
    PGD_ASSERT(sodium_init() >= 0);
}

uint64_t pgd_hash64(const void *data, size_t n, uint64_t seed) {
    return XXH3_64bits_withSeed(data, n, seed);
}

void pgd_sha256(const void *data, size_t n, uint8_t out[32]) {
    (void)pthread_once(&sodium_once, start_sodium);
    (void)crypto_hash_sha256(out, data, n); /* returns 0 always */
}

void pgd_keyed_hash128(const void *data, size_t n, const uint8_t key[32], uint8_t out[16]) {
    (void)pthread_once(&sodium_once, start_sodium);
    (void)crypto_generichash(out, 16, data, n, key, 32); /* fails only on bad lengths */
}

bool pgd_ct_equal(const void *a, const void *b, size_t n) {
    return sodium_memcmp(a, b, n) == 0;
}

void pgd_random_bytes(void *out, size_t n) {
    (void)pthread_once(&sodium_once, start_sodium);
    randombytes_buf(out, n);
}
