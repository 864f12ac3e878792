/* exp and log as every level of the CPU backend computes them: multiplications and additions in one
 * stated order without fused operations, so that scalar and vector code give the same bits. Private
 * to src/device/cpu; the vector twins are in simd.h. */
#ifndef PGD_CPU_CPU_MATH_H
#define PGD_CPU_CPU_MATH_H

#include <stdint.h>

/* exp: x = n ln 2 + r, |r| <= ln 2 / 2; a polynomial of degree 6 in r, scaled by 2^n. Inputs are
 * clamped to [-87.3, 88.3], where results stay normal; below that e^x is 0. Error <= 2 ulp. */
#define PGD_EXP_LO (-87.3F)
#define PGD_EXP_HI 88.3F
#define PGD_EXP_LOG2E 0x1.715476p+0F
#define PGD_EXP_MAGIC 0x1.8p23F    /* adding it rounds to an integer */
#define PGD_EXP_LN2_HI 0x1.62ep-1F /* 12 bits: n * hi is exact */
#define PGD_EXP_LN2_LO 0x1.0bfbe8p-15F
/* e^r = 1 + r + r^2 P(r), P interpolated at Chebyshev nodes: relative error 2^-26 */
#define PGD_EXP_C2 0x1p-1F
#define PGD_EXP_C3 0x1.5554d8p-3F
#define PGD_EXP_C4 0x1.555516p-5F
#define PGD_EXP_C5 0x1.12106cp-7F
#define PGD_EXP_C6 0x1.6d1606p-10F

static inline float pgd_cpu_float_of(uint32_t u) {
    union {
        uint32_t u;
        float f;
    } x = {.u = u};
    return x.f;
}
static inline uint32_t pgd_cpu_bits_of(float f) {
    union {
        float f;
        uint32_t u;
    } x = {.f = f};
    return x.u;
}

static inline float pgd_cpu_exp(float x) {
    if (!(x >= PGD_EXP_LO)) return x < 0.0F ? 0.0F : x; /* NaN stays */
    const float c = x < PGD_EXP_HI ? x : PGD_EXP_HI;
    const float t = c * PGD_EXP_LOG2E + PGD_EXP_MAGIC;
    const float n = t - PGD_EXP_MAGIC;
    const float r = (c - n * PGD_EXP_LN2_HI) - n * PGD_EXP_LN2_LO;
    float p = PGD_EXP_C6;
    p = p * r + PGD_EXP_C5;
    p = p * r + PGD_EXP_C4;
    p = p * r + PGD_EXP_C3;
    p = p * r + PGD_EXP_C2;
    p = (p * r) * r + r;
    /* (1 + p) * 2^n: n sits in the low mantissa bits of t */
    return pgd_cpu_float_of(pgd_cpu_bits_of(1.0F + p) + (pgd_cpu_bits_of(t) << 23));
}

/* ln x for a positive normal x: x = m 2^e, m in [sqrt(1/2), sqrt(2)); with f = m - 1,
 * s = f / (2 + f), z = s^2: ln m = 2 atanh(s) = 2 s (1 + z Q(z)). Error <= 2 ulp. */
#define PGD_LOG_Q0 0x1.555556p-2F
#define PGD_LOG_Q1 0x1.9999ecp-3F
#define PGD_LOG_Q2 0x1.245c0ap-3F
#define PGD_LOG_Q3 0x1.dddaep-4F
#define PGD_LOG_SQRT_HALF 0x3f3504f3U /* its bits */

static inline float pgd_cpu_log(float x) {
    const uint32_t u = pgd_cpu_bits_of(x) + (0x3f800000U - PGD_LOG_SQRT_HALF);
    const float e = (float)((int32_t)(u >> 23) - 127);
    const float m = pgd_cpu_float_of((u & 0x7fffffU) + PGD_LOG_SQRT_HALF);
    const float f = m - 1.0F;
    const float s = f / (2.0F + f);
    const float z = s * s;
    float q = PGD_LOG_Q3;
    q = q * z + PGD_LOG_Q2;
    q = q * z + PGD_LOG_Q1;
    q = q * z + PGD_LOG_Q0;
    const float s2 = s + s;
    const float tail = (s2 * z) * q + e * PGD_EXP_LN2_LO;
    return e * PGD_EXP_LN2_HI + (s2 + tail);
}

#endif
