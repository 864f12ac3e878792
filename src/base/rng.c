/* Philox4x32-10 and the draws made from it.
 *
 * The generator has no state: a draw is a function of seed and place, which is what makes a token
 * independent of batch, chunking, cache and preemption. Constants and rounds are those of the paper
 * (Salmon et al., SC 2011); the unit test holds its published vectors. The layout of key and
 * counter below is part of the program's results: changing it changes every sampled text, and the
 * GPU kernels repeat it. Thread: any. */
#include "pagoda/rng.h"

enum { ROUNDS = 10 };

void pgd_philox4x32(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]) {
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    uint32_t c0 = ctr[0];
    uint32_t c1 = ctr[1];
    uint32_t c2 = ctr[2];
    uint32_t c3 = ctr[3];
    for (int r = 0; r < ROUNDS; r++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

float pgd_rng_uniform(uint64_t seed, uint32_t choice, uint32_t position, uint32_t purpose,
                      uint32_t lane) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t ctr[4] = {lane / 4, position, choice, purpose};
    uint32_t out[4];
    pgd_philox4x32(key, ctr, out);
    /* the middle of one of 2^23 cells: odd multiples of 2^-24 are exact in a float, and neither 0
     * nor 1 is among them; with 24 bits and a half the top cell would round to 1 */
    return (float)(2 * (out[lane % 4] >> 9) + 1) * 0x1p-24f;
}

uint64_t pgd_rng_next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}
