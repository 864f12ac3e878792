/* Hashes: seeded 64-bit xxHash3 for tables (a hint, never identity), SHA-256 and keyed BLAKE2b of
 * libsodium where identity or secrecy matters, and constant-time comparison. Thread: any. */
#ifndef PAGODA_HASH_H
#define PAGODA_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t pgd_hash64(const void *data, size_t n, uint64_t seed);
void pgd_sha256(const void *data, size_t n, uint8_t out[32]);
/* BLAKE2b-128 of data under a 32-byte key. */
void pgd_keyed_hash128(const void *data, size_t n, const uint8_t key[32], uint8_t out[16]);
/* Equal, in time that depends on n alone. */
bool pgd_ct_equal(const void *a, const void *b, size_t n);
/* n bytes from the system's random source. */
void pgd_random_bytes(void *out, size_t n);

#endif
