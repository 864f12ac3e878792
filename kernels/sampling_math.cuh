/* exp, log and noise of sampling, bit for bit as the CPU backend computes them (its cpu_math.h,
 * sample.h and rng.c state the derivations): multiplications and additions in one stated order,
 * each rounded on its own. The _rn intrinsics keep the compiler from fusing them, so that the same
 * logits draw the same token on every device. */
#ifndef PAGODA_KERNELS_SAMPLING_MATH_CUH
#define PAGODA_KERNELS_SAMPLING_MATH_CUH

#include <stdint.h>

#include "common.cuh"

/* No noise exceeds this: -ln(-ln(1 - 2^-24)) = 16.64. */
constexpr float kGumbelMax = 17.0f;

constexpr float kLn2Hi = 0x1.62ep-1f;
constexpr float kLn2Lo = 0x1.0bfbe8p-15f;

__device__ __forceinline__ float exact_exp(float x) {
    if (!(x >= -87.3f)) return x < 0.0f ? 0.0f : x; /* NaN stays */
    const float magic = 0x1.8p23f;                  /* adding it rounds to an integer */
    const float c = x < 88.3f ? x : 88.3f;
    const float t = __fadd_rn(__fmul_rn(c, 0x1.715476p+0f), magic);
    const float n = __fsub_rn(t, magic);
    const float r = __fsub_rn(__fsub_rn(c, __fmul_rn(n, kLn2Hi)), __fmul_rn(n, kLn2Lo));
    float p = 0x1.6d1606p-10f;
    p = __fadd_rn(__fmul_rn(p, r), 0x1.12106cp-7f);
    p = __fadd_rn(__fmul_rn(p, r), 0x1.555516p-5f);
    p = __fadd_rn(__fmul_rn(p, r), 0x1.5554d8p-3f);
    p = __fadd_rn(__fmul_rn(p, r), 0x1p-1f);
    p = __fadd_rn(__fmul_rn(__fmul_rn(p, r), r), r);
    return __uint_as_float(__float_as_uint(__fadd_rn(1.0f, p)) + (__float_as_uint(t) << 23));
}

/* ln x for a positive normal x. */
__device__ __forceinline__ float exact_log(float x) {
    const uint32_t sqrt_half = 0x3f3504f3u;
    const uint32_t u = __float_as_uint(x) + (0x3f800000u - sqrt_half);
    const float e = (float)((int32_t)(u >> 23) - 127);
    const float m = __uint_as_float((u & 0x7fffffu) + sqrt_half);
    const float f = __fsub_rn(m, 1.0f);
    const float s = __fdiv_rn(f, __fadd_rn(2.0f, f));
    const float z = __fmul_rn(s, s);
    float q = 0x1.dddaep-4f;
    q = __fadd_rn(__fmul_rn(q, z), 0x1.245c0ap-3f);
    q = __fadd_rn(__fmul_rn(q, z), 0x1.9999ecp-3f);
    q = __fadd_rn(__fmul_rn(q, z), 0x1.555556p-2f);
    const float s2 = __fadd_rn(s, s);
    const float tail = __fadd_rn(__fmul_rn(__fmul_rn(s2, z), q), __fmul_rn(e, kLn2Lo));
    return __fadd_rn(__fmul_rn(e, kLn2Hi), __fadd_rn(s2, tail));
}

/* exp(z), z <= 0, in units of 2^-30, rounded to nearest even. At most 2^30. */
__device__ __forceinline__ uint32_t mass_of(float z) {
    const float m = __fmul_rn(exact_exp(z), 0x1p30f);
    /* products below 2^23 round by the addition; larger ones are whole already */
    const float r = m < 0x1p23f ? __fsub_rn(__fadd_rn(m, 0x1p23f), 0x1p23f) : m;
    return (uint32_t)r;
}

/* What a row's noise is drawn from. */
struct Noise {
    uint64_t seed;
    uint32_t choice, position;
};

/* The words of tokens 4 block to 4 block + 3: Philox4x32-10 with the counter (block, position,
 * choice, PGD_RNG_SAMPLE = 0). */
__device__ __forceinline__ void noise_words(const Noise &noise, uint32_t block, uint32_t *words) {
    uint32_t k0 = (uint32_t)noise.seed, k1 = (uint32_t)(noise.seed >> 32);
    uint32_t c0 = block, c1 = noise.position, c2 = noise.choice, c3 = 0;
#pragma unroll
    for (int r = 0; r < 10; r++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

/* One token's word. */
__device__ __forceinline__ uint32_t noise_word(const Noise &noise, uint32_t token) {
    uint32_t words[4];
    noise_words(noise, token / 4, words);
    const uint32_t low = token & 1 ? words[1] : words[0], high = token & 1 ? words[3] : words[2];
    return token & 2 ? high : low;
}

/* Gumbel noise of a word: -ln(-ln u), u = (2 bits + 1) 2^-24 with its upper 23 bits. */
__device__ __forceinline__ float gumbel_of(uint32_t word) {
    const float u = __fmul_rn((float)((word >> 9) * 2 + 1), 0x1p-24f);
    return -exact_log(-exact_log(u));
}

/* An upper bound of gumbel_of for this word and all below it, cheap, and close where the noise is
 * large: -ln u >= 1 - u. The margin covers the error of the approximate logarithm (below 1e-5), and
 * what rounding adds to a logit that is within kGumbelMax of the best, scaled by a product in place
 * of a division, and to its sum with the noise (below 2e-5). */
__device__ __forceinline__ float gumbel_bound(uint32_t word) {
    const float rest = __fmul_rn((float)(0x1000000u - ((word >> 9) * 2 + 1)), 0x1p-24f);
    return 1e-3f - __logf(rest);
}

#endif
