/* Element types: sizes, names and conversions.
 *
 * Conversions to a narrower type round to nearest even, overflow becomes infinity and NaN stays a
 * quiet NaN, whatever the value: the same rules as the vector instructions of the CPU backend
 * (VCVTPS2PH, and VCVTNEPS2BF16 apart from denormals), so scalar and vector code store the same
 * bits. Written on integers, because an implicit conversion through a C type would depend on the
 * compiler's support for half precision. Thread: any. Does not vectorise: bulk conversion in a step
 * is the device's business. */
#include "pagoda/tensor.h"

#include <string.h>

static const struct {
    const char *name;
    uint8_t bytes;
} types[PGD_DTYPE_N] = {
    [PGD_F32] = {"f32", 4}, [PGD_BF16] = {"bf16", 2}, [PGD_F16] = {"f16", 2},
    [PGD_I32] = {"i32", 4}, [PGD_U8] = {"u8", 1},
};

static uint32_t bits_of(float v) {
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float v;
    memcpy(&v, &u, sizeof v);
    return v;
}

size_t pgd_dtype_bytes(pgd_dtype t) {
    PGD_ASSERT((unsigned)t < PGD_DTYPE_N);
    return types[t].bytes;
}

const char *pgd_dtype_name(pgd_dtype t) {
    return (unsigned)t < PGD_DTYPE_N ? types[t].name : "?";
}

uint16_t pgd_f32_to_bf16(float v) {
    const uint32_t u = bits_of(v);
    if ((u & 0x7fffffffU) > 0x7f800000U) return (uint16_t)((u >> 16) | 0x40U);
    return (uint16_t)((u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
}

float pgd_bf16_to_f32(uint16_t v) {
    return float_of((uint32_t)v << 16);
}

uint16_t pgd_f32_to_f16(float v) {
    const uint32_t u = bits_of(v), a = u & 0x7fffffffU;
    const uint32_t sign = (u >> 16) & 0x8000U;
    if (a > 0x7f800000U) return (uint16_t)(sign | 0x7e00U | ((a >> 13) & 0x1ffU));
    if (a >= 0x477ff000U) return (uint16_t)(sign | 0x7c00U); /* 65520 and up round to infinity */
    if (a < 0x38800000U) {
        /* Denormal half: let the float adder round at the right bit. 0.5f has its last mantissa
         * bit at 2^-24, which is the unit of a denormal half. */
        const float r = float_of(a) + 0.5F;
        return (uint16_t)(sign | (bits_of(r) - 0x3f000000U));
    }
    const uint32_t rounded = a + 0xfffU + ((a >> 13) & 1U);
    return (uint16_t)(sign | ((rounded - 0x38000000U) >> 13));
}

float pgd_f16_to_f32(uint16_t v) {
    const uint32_t sign = (uint32_t)(v & 0x8000U) << 16;
    const uint32_t exp = (v >> 10) & 0x1fU, man = v & 0x3ffU;
    if (exp == 31) return float_of(sign | 0x7f800000U | (man << 13) | (man ? 0x400000U : 0));
    if (exp == 0) {
        const float m = (float)man * 0x1p-24F;
        return sign ? -m : m;
    }
    return float_of(sign | ((exp + 112) << 23) | (man << 13));
}

static float load(const void *p, pgd_dtype t, size_t i) {
    switch (t) {
    case PGD_F32:
        return ((const float *)p)[i];
    case PGD_BF16:
        return pgd_bf16_to_f32(((const uint16_t *)p)[i]);
    case PGD_F16:
        return pgd_f16_to_f32(((const uint16_t *)p)[i]);
    default:
        pgd_assert_fail("float type", __FILE__, __LINE__);
    }
}

static void store(void *p, pgd_dtype t, size_t i, float v) {
    switch (t) {
    case PGD_F32:
        ((float *)p)[i] = v;
        return;
    case PGD_BF16:
        ((uint16_t *)p)[i] = pgd_f32_to_bf16(v);
        return;
    case PGD_F16:
        ((uint16_t *)p)[i] = pgd_f32_to_f16(v);
        return;
    default:
        pgd_assert_fail("float type", __FILE__, __LINE__);
    }
}

void pgd_convert(void *dst, pgd_dtype dst_type, const void *src, pgd_dtype src_type, size_t n) {
    if (dst_type == src_type) {
        if (n) memcpy(dst, src, n * pgd_dtype_bytes(src_type));
        return;
    }
    if (src_type == PGD_BF16 && dst_type == PGD_F32) { /* every token's embedding takes this way */
        const uint16_t *const from = src;
        for (size_t i = 0; i < n; i++)
            ((float *)dst)[i] = pgd_bf16_to_f32(from[i]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        store(dst, dst_type, i, load(src, src_type, i));
}
