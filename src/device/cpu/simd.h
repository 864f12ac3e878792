/* Sixteen floats as one value, for AVX-512 (one register) and AVX2 with FMA and F16C (two). The
 * simd_*.c files are written on these and compiled once per level with that level's flags, so both
 * levels compute the same bits wherever no file says otherwise. Private to src/device/cpu; included
 * only by files compiled for one of the two levels. */
#ifndef PGD_CPU_SIMD_H
#define PGD_CPU_SIMD_H

#include <immintrin.h>
#include <string.h>

#include "cpu_internal.h"
#include "cpu_math.h"

#define PGD_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define PGD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PGD_UNROLL _Pragma("GCC unroll 12")
#endif

#if defined(__AVX512F__)
#define PGD_LEVEL(name) pgd_cpu_##name##_avx512
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

PGD_INLINE vf vf_zero(void) {
    return _mm512_setzero_ps();
}
PGD_INLINE vf vf_set1(float v) {
    return _mm512_set1_ps(v);
}
PGD_INLINE vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
PGD_INLINE void vf_store(float *p, vf v) {
    _mm512_storeu_ps(p, v);
}
PGD_INLINE vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
PGD_INLINE vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
PGD_INLINE vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
PGD_INLINE vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
PGD_INLINE vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
PGD_INLINE vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
PGD_INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
PGD_INLINE vi vf_bits(vf a) {
    return _mm512_castps_si512(a);
}
PGD_INLINE vf vf_of_bits(vi a) {
    return _mm512_castsi512_ps(a);
}
PGD_INLINE vf vf_of_int(vi a) {
    return _mm512_cvtepi32_ps(a);
}
PGD_INLINE vi vi_of_float(vf a) {
    return _mm512_cvtps_epi32(a);
} /* to nearest even */
/* m ? a : b */
PGD_INLINE vf vf_select(vm m, vf a, vf b) {
    return _mm512_mask_blend_ps(m, b, a);
}
PGD_INLINE vi vi_select(vm m, vi a, vi b) {
    return _mm512_mask_blend_epi32(m, b, a);
}
PGD_INLINE vm vf_ge(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
PGD_INLINE vm vf_gt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
PGD_INLINE vm vf_eq(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
PGD_INLINE vm vf_not_less(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ);
}
PGD_INLINE vm vf_is_nan(vf a) {
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
PGD_INLINE vm vi_gt(vi a, vi b) {
    return _mm512_cmpgt_epi32_mask(a, b);
} /* signed */
PGD_INLINE vm vi_eq(vi a, vi b) {
    return _mm512_cmpeq_epi32_mask(a, b);
}
PGD_INLINE vm vm_and(vm a, vm b) {
    return (vm)(a & b);
}
PGD_INLINE uint32_t vm_bits(vm m) {
    return m;
}
PGD_INLINE vi vi_set1(uint32_t v) {
    return _mm512_set1_epi32((int)v);
}
PGD_INLINE vi vi_load(const void *p) {
    return _mm512_loadu_si512(p);
}
PGD_INLINE void vi_store(void *p, vi v) {
    _mm512_storeu_si512(p, v);
}
PGD_INLINE vi vi_add(vi a, vi b) {
    return _mm512_add_epi32(a, b);
}
PGD_INLINE vi vi_sub(vi a, vi b) {
    return _mm512_sub_epi32(a, b);
}
PGD_INLINE vi vi_and(vi a, vi b) {
    return _mm512_and_si512(a, b);
}
PGD_INLINE vi vi_or(vi a, vi b) {
    return _mm512_or_si512(a, b);
}
PGD_INLINE vi vi_xor(vi a, vi b) {
    return _mm512_xor_si512(a, b);
}
#define vi_shl(a, n) _mm512_slli_epi32(a, n)
#define vi_shr(a, n) _mm512_srli_epi32(a, n)
#define vi_sar(a, n) _mm512_srai_epi32(a, n)
PGD_INLINE vi vi_shr_by(vi a, uint32_t n) {
    return _mm512_srl_epi32(a, _mm_cvtsi32_si128((int)n));
}
PGD_INLINE vi vi_iota(void) {
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
/* High and low words of the 32 x 32 products with the constant m. */
PGD_INLINE vi vi_mul_wide(vi a, uint32_t m, vi *hi) {
    const vi c = _mm512_set1_epi32((int)m);
    const vi even = _mm512_mul_epu32(a, c), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), c);
    *hi = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}
/* Eight 64-bit sums of pairs of lanes, unsigned. */
PGD_INLINE vi vi_add_wide(vi sum, vi a) {
    const vi low = _mm512_and_si512(a, _mm512_set1_epi64(0xffffffff));
    return _mm512_add_epi64(sum, _mm512_add_epi64(low, _mm512_srli_epi64(a, 32)));
}
/* Lanes [0, n) from memory, the rest `fill`; n <= 16. */
PGD_INLINE vm vm_first(uint32_t n) {
    return (vm)((1U << n) - 1);
}
PGD_INLINE vf vf_load_n(const float *p, uint32_t n, float fill) {
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), vm_first(n), p);
}
PGD_INLINE void vf_store_n(float *p, vf v, uint32_t n) {
    _mm512_mask_storeu_ps(p, vm_first(n), v);
}
PGD_INLINE vf vf_load_bf16(const uint16_t *p) {
    return vf_of_bits(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16));
}
PGD_INLINE vf vf_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
/* Low halves of the lanes as 16 words. */
PGD_INLINE void vi_store_words(uint16_t *p, vi v) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(v));
}
PGD_INLINE void vf_store_f16(uint16_t *p, vf v) {
    _mm256_storeu_si256(
        (__m256i *)(void *)p,
        /* masked form: unoptimised, gcc's plain macro converts -1 */
        _mm512_maskz_cvtps_ph((__mmask16)0xffff, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
PGD_INLINE __m256 vf_low(vf v) {
    return _mm512_castps512_ps256(v);
}
PGD_INLINE __m256 vf_high(vf v) {
    return _mm512_extractf32x8_ps(v, 1);
}

#else
#define PGD_LEVEL(name) pgd_cpu_##name##_avx2
typedef struct vf {
    __m256 a, b;
} vf;
typedef struct vi {
    __m256i a, b;
} vi;
typedef vi vm; /* lanes of all ones or zeros */

PGD_INLINE vf vf_zero(void) {
    return (vf){_mm256_setzero_ps(), _mm256_setzero_ps()};
}
PGD_INLINE vf vf_set1(float v) {
    return (vf){_mm256_set1_ps(v), _mm256_set1_ps(v)};
}
PGD_INLINE vf vf_load(const float *p) {
    return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
PGD_INLINE void vf_store(float *p, vf v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
}
PGD_INLINE vf vf_add(vf x, vf y) {
    return (vf){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
PGD_INLINE vf vf_sub(vf x, vf y) {
    return (vf){_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
PGD_INLINE vf vf_mul(vf x, vf y) {
    return (vf){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
PGD_INLINE vf vf_div(vf x, vf y) {
    return (vf){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
PGD_INLINE vf vf_min(vf x, vf y) {
    return (vf){_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
PGD_INLINE vf vf_max(vf x, vf y) {
    return (vf){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
PGD_INLINE vf vf_fma(vf x, vf y, vf z) {
    return (vf){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
PGD_INLINE vi vf_bits(vf x) {
    return (vi){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
}
PGD_INLINE vf vf_of_bits(vi x) {
    return (vf){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
PGD_INLINE vf vf_of_int(vi x) {
    return (vf){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
PGD_INLINE vi vi_of_float(vf x) {
    return (vi){_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
PGD_INLINE vf vf_select(vm m, vf x, vf y) {
    return (vf){_mm256_blendv_ps(y.a, x.a, _mm256_castsi256_ps(m.a)),
                _mm256_blendv_ps(y.b, x.b, _mm256_castsi256_ps(m.b))};
}
PGD_INLINE vi vi_select(vm m, vi x, vi y) {
    return (vi){_mm256_blendv_epi8(y.a, x.a, m.a), _mm256_blendv_epi8(y.b, x.b, m.b)};
}
#define PGD_VF_CMP(x, y, op)                                                                       \
    ((vm){_mm256_castps_si256(_mm256_cmp_ps((x).a, (y).a, op)),                                    \
          _mm256_castps_si256(_mm256_cmp_ps((x).b, (y).b, op))})
PGD_INLINE vm vf_ge(vf x, vf y) {
    return PGD_VF_CMP(x, y, _CMP_GE_OQ);
}
PGD_INLINE vm vf_gt(vf x, vf y) {
    return PGD_VF_CMP(x, y, _CMP_GT_OQ);
}
PGD_INLINE vm vf_eq(vf x, vf y) {
    return PGD_VF_CMP(x, y, _CMP_EQ_OQ);
}
PGD_INLINE vm vf_not_less(vf x, vf y) {
    return PGD_VF_CMP(x, y, _CMP_NLT_UQ);
}
PGD_INLINE vm vf_is_nan(vf x) {
    return PGD_VF_CMP(x, x, _CMP_UNORD_Q);
}
PGD_INLINE vm vi_gt(vi x, vi y) {
    return (vm){_mm256_cmpgt_epi32(x.a, y.a), _mm256_cmpgt_epi32(x.b, y.b)};
}
PGD_INLINE vm vi_eq(vi x, vi y) {
    return (vm){_mm256_cmpeq_epi32(x.a, y.a), _mm256_cmpeq_epi32(x.b, y.b)};
}
PGD_INLINE vm vm_and(vm x, vm y) {
    return (vm){_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
}
PGD_INLINE uint32_t vm_bits(vm m) {
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m.a)) |
           (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m.b)) << 8;
}
PGD_INLINE vi vi_set1(uint32_t v) {
    return (vi){_mm256_set1_epi32((int)v), _mm256_set1_epi32((int)v)};
}
PGD_INLINE vi vi_load(const void *p) {
    const __m256i *q = p;
    return (vi){_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
PGD_INLINE void vi_store(void *p, vi v) {
    __m256i *q = p;
    _mm256_storeu_si256(q, v.a);
    _mm256_storeu_si256(q + 1, v.b);
}
PGD_INLINE vi vi_add(vi x, vi y) {
    return (vi){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
PGD_INLINE vi vi_sub(vi x, vi y) {
    return (vi){_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
PGD_INLINE vi vi_and(vi x, vi y) {
    return vm_and(x, y);
}
PGD_INLINE vi vi_or(vi x, vi y) {
    return (vi){_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}
PGD_INLINE vi vi_xor(vi x, vi y) {
    return (vi){_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)};
}
#define vi_shl(x, n) ((vi){_mm256_slli_epi32((x).a, n), _mm256_slli_epi32((x).b, n)})
#define vi_shr(x, n) ((vi){_mm256_srli_epi32((x).a, n), _mm256_srli_epi32((x).b, n)})
#define vi_sar(x, n) ((vi){_mm256_srai_epi32((x).a, n), _mm256_srai_epi32((x).b, n)})
PGD_INLINE vi vi_shr_by(vi x, uint32_t n) {
    const __m128i c = _mm_cvtsi32_si128((int)n);
    return (vi){_mm256_srl_epi32(x.a, c), _mm256_srl_epi32(x.b, c)};
}
PGD_INLINE vi vi_iota(void) {
    return (vi){_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)};
}
PGD_INLINE __m256i half_mul_wide(__m256i a, __m256i c, __m256i *hi) {
    const __m256i even = _mm256_mul_epu32(a, c),
                  odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), c);
    *hi = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
PGD_INLINE vi vi_mul_wide(vi x, uint32_t m, vi *hi) {
    const __m256i c = _mm256_set1_epi32((int)m);
    return (vi){half_mul_wide(x.a, c, &hi->a), half_mul_wide(x.b, c, &hi->b)};
}
PGD_INLINE __m256i half_add_wide(__m256i sum, __m256i a) {
    const __m256i low = _mm256_and_si256(a, _mm256_set1_epi64x(0xffffffff));
    return _mm256_add_epi64(sum, _mm256_add_epi64(low, _mm256_srli_epi64(a, 32)));
}
PGD_INLINE vi vi_add_wide(vi sum, vi x) {
    return (vi){half_add_wide(sum.a, x.a), half_add_wide(sum.b, x.b)};
}
PGD_INLINE vm vm_first(uint32_t n) {
    return vi_gt(vi_set1(n), vi_iota());
}
PGD_INLINE vf vf_load_n(const float *p, uint32_t n, float fill) {
    const vm m = vm_first(n);
    /* lanes of p + 8 are masked off when n <= 8; the address itself is never formed past p + n */
    const float *q = n > 8 ? p + 8 : p;
    const vf v = {_mm256_maskload_ps(p, m.a), _mm256_maskload_ps(q, m.b)};
    return vf_select(m, v, vf_set1(fill));
}
PGD_INLINE void vf_store_n(float *p, vf v, uint32_t n) {
    const vm m = vm_first(n);
    _mm256_maskstore_ps(p, m.a, v.a);
    if (n > 8) _mm256_maskstore_ps(p + 8, m.b, v.b);
}
PGD_INLINE __m256 half_load_bf16(const uint16_t *p) {
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
PGD_INLINE vf vf_load_bf16(const uint16_t *p) {
    return (vf){half_load_bf16(p), half_load_bf16(p + 8)};
}
PGD_INLINE vf vf_load_f16(const uint16_t *p) {
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)),
                _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 8)))};
}
PGD_INLINE void vi_store_words(uint16_t *p, vi v) {
    const __m256i m = _mm256_set1_epi32(0xffff);
    const __m256i w = _mm256_packus_epi32(_mm256_and_si256(v.a, m), _mm256_and_si256(v.b, m));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(w, 0xd8));
}
PGD_INLINE void vf_store_f16(uint16_t *p, vf v) {
    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128((__m128i *)(void *)(p + 8),
                     _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
PGD_INLINE __m256 vf_low(vf v) {
    return v.a;
}
PGD_INLINE __m256 vf_high(vf v) {
    return v.b;
}
#endif

/* ---- both levels ---- */

/* Lanes i and i + 8, then + 4, + 2, + 1. */
PGD_INLINE float vf_sum(vf v) {
    const __m256 e = _mm256_add_ps(vf_low(v), vf_high(v));
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(d, _mm_shuffle_ps(d, d, 1)));
}
PGD_INLINE float vf_max_lane(vf v) {
    const __m256 e = _mm256_max_ps(vf_low(v), vf_high(v));
    const __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(d, _mm_shuffle_ps(d, d, 1)));
}
/* Round to nearest even, NaN stays NaN: the bits of pgd_f32_to_bf16. */
PGD_INLINE void vf_store_bf16(uint16_t *p, vf v) {
    const vi u = vf_bits(v);
    const vi odd = vi_and(vi_shr(u, 16), vi_set1(1));
    const vi rounded = vi_shr(vi_add(u, vi_add(odd, vi_set1(0x7fff))), 16);
    const vi nan = vi_or(vi_shr(u, 16), vi_set1(0x40));
    vi_store_words(p, vi_select(vf_is_nan(v), nan, rounded));
}
/* n <= 16 elements of y at p. */
PGD_INLINE void vf_store_as(void *p, pgd_dtype t, vf v, uint32_t n) {
    if (t == PGD_F32) {
        vf_store_n(p, v, n);
        return;
    }
    uint16_t words[16];
    uint16_t *const to = n == 16 ? p : words;
    if (t == PGD_BF16)
        vf_store_bf16(to, v);
    else
        vf_store_f16(to, v);
    if (n < 16) memcpy(p, words, n * sizeof *words);
}
/* The bits of pgd_cpu_exp. */
PGD_INLINE vf vf_exp(vf x) {
    const vf c = vf_min(vf_max(x, vf_set1(PGD_EXP_LO)), vf_set1(PGD_EXP_HI));
    const vf t = vf_add(vf_mul(c, vf_set1(PGD_EXP_LOG2E)), vf_set1(PGD_EXP_MAGIC));
    const vf n = vf_sub(t, vf_set1(PGD_EXP_MAGIC));
    const vf r =
        vf_sub(vf_sub(c, vf_mul(n, vf_set1(PGD_EXP_LN2_HI))), vf_mul(n, vf_set1(PGD_EXP_LN2_LO)));
    vf p = vf_set1(PGD_EXP_C6);
    p = vf_add(vf_mul(p, r), vf_set1(PGD_EXP_C5));
    p = vf_add(vf_mul(p, r), vf_set1(PGD_EXP_C4));
    p = vf_add(vf_mul(p, r), vf_set1(PGD_EXP_C3));
    p = vf_add(vf_mul(p, r), vf_set1(PGD_EXP_C2));
    p = vf_add(vf_mul(vf_mul(p, r), r), r);
    const vi e = vi_add(vf_bits(vf_add(vf_set1(1.0F), p)), vi_shl(vf_bits(t), 23));
    const vf y = vf_select(vf_ge(x, vf_set1(PGD_EXP_LO)), vf_of_bits(e), vf_zero());
    return vf_select(vf_is_nan(x), x, y);
}
/* The bits of pgd_cpu_log. */
PGD_INLINE vf vf_log(vf x) {
    const vi u = vi_add(vf_bits(x), vi_set1(0x3f800000U - PGD_LOG_SQRT_HALF));
    const vf e = vf_of_int(vi_sub(vi_shr(u, 23), vi_set1(127)));
    const vf m = vf_of_bits(vi_add(vi_and(u, vi_set1(0x7fffff)), vi_set1(PGD_LOG_SQRT_HALF)));
    const vf f = vf_sub(m, vf_set1(1.0F));
    const vf s = vf_div(f, vf_add(vf_set1(2.0F), f));
    const vf z = vf_mul(s, s);
    vf q = vf_set1(PGD_LOG_Q3);
    q = vf_add(vf_mul(q, z), vf_set1(PGD_LOG_Q2));
    q = vf_add(vf_mul(q, z), vf_set1(PGD_LOG_Q1));
    q = vf_add(vf_mul(q, z), vf_set1(PGD_LOG_Q0));
    const vf s2 = vf_add(s, s);
    const vf tail = vf_add(vf_mul(vf_mul(s2, z), q), vf_mul(e, vf_set1(PGD_EXP_LN2_LO)));
    return vf_add(vf_mul(e, vf_set1(PGD_EXP_LN2_HI)), vf_add(s2, tail));
}

#endif
