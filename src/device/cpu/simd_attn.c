/* Attention's row kernels: the online softmax over a block of 64 scores, and the sum of values.
 *
 * pv keeps R rows x DV vectors of the output in registers and adds positions one by one, in order;
 * rows that see the same positions share the loads and conversions of V. A row's bits do not depend
 * on R and DV. Registers: AVX-512 takes 6 x 4, AVX2 6 x 1 or 1 x 4. */
#include "simd.h"

#include <math.h>

enum { BLOCK = PGD_CPU_ATTN_BLOCK, VECTORS = BLOCK / PGD_CPU_LANES };

static float softmax(float *s, uint32_t lo, uint32_t hi, float scale, pgd_cpu_soft *state) {
    vf x[VECTORS], max = vf_set1(state->max);
    vm seen[VECTORS];
    PGD_UNROLL for (uint32_t i = 0; i < VECTORS; i++) {
        const vi lane = vi_add(vi_iota(), vi_set1(16 * i));
        seen[i] = vm_and(vi_gt(vi_set1(hi), lane), vi_gt(lane, vi_sub(vi_set1(lo), vi_set1(1))));
        x[i] = vf_mul(vf_load(s + 16 * i), vf_set1(scale));
        x[i] = vf_select(seen[i], x[i], vf_set1(-INFINITY));
        max = vf_max(x[i], max); /* of NaN and a number, the number: NaN shows up in exp */
    }
    const float m = vf_max_lane(max);
    PGD_UNROLL for (uint32_t i = 0; i < VECTORS; i++) {
        x[i] = vf_select(seen[i], vf_exp(vf_sub(x[i], vf_set1(m))), vf_zero());
        vf_store(s + 16 * i, x[i]);
    }
    const float alpha = pgd_cpu_exp(state->max - m);
    const float sum = vf_sum(vf_add(vf_add(x[0], x[1]), vf_add(x[2], x[3])));
    state->max = m;
    state->sum = state->sum * alpha + sum;
    return alpha;
}

PGD_INLINE vf load_v(const void *p, pgd_dtype t, size_t i) {
    if (t == PGD_F32) return vf_load((const float *)p + i);
    const uint16_t *const h = (const uint16_t *)p + i;
    return t == PGD_F16 ? vf_load_f16(h) : vf_load_bf16(h);
}

PGD_INLINE void pv_body(pgd_dtype t, const uint32_t n_rows, const uint32_t n_vec, float *o,
                        const float *p, const float *alpha, const void *const *v, uint32_t lo,
                        uint32_t hi, uint32_t dp, uint32_t d) {
    vf acc[PGD_CPU_PV_ROWS][4];
    PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        PGD_UNROLL for (uint32_t j = 0; j < n_vec; j++) {
            acc[r][j] = vf_mul(vf_load(o + (size_t)r * dp + d + 16 * j), vf_set1(alpha[r]));
        }
    }
    for (uint32_t i = lo; i < hi; i++) {
        const size_t at = (size_t)(i % 16) * dp + d;
        vf x[4];
        PGD_UNROLL for (uint32_t j = 0; j < n_vec; j++) {
            x[j] = load_v(v[i / 16], t, at + 16 * j);
        }
        PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
            const vf w = vf_set1(p[r * BLOCK + i]);
            PGD_UNROLL for (uint32_t j = 0; j < n_vec; j++) {
                acc[r][j] = vf_fma(w, x[j], acc[r][j]);
            }
        }
    }
    PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        PGD_UNROLL for (uint32_t j = 0; j < n_vec; j++) {
            vf_store(o + (size_t)r * dp + d + 16 * j, acc[r][j]);
        }
    }
}

#define SHAPE(t, R, N)                                                                             \
    static void pv_##t##_##R##x##N(float *o, const float *p, const float *alpha,                   \
                                   const void *const *v, uint32_t lo, uint32_t hi, uint32_t dp,    \
                                   uint32_t d) {                                                   \
        pv_body(t, R, N, o, p, alpha, v, lo, hi, dp, d);                                           \
    }
#if defined(__AVX512F__)
enum { MAX_ACC = 24 };
/* clang-format off */
#define SHAPES(t, X)                                                  \
    X(t, 1, 1) X(t, 2, 1) X(t, 3, 1) X(t, 4, 1) X(t, 5, 1) X(t, 6, 1) \
    X(t, 1, 4) X(t, 2, 4) X(t, 3, 4) X(t, 4, 4) X(t, 5, 4) X(t, 6, 4)
/* clang-format on */
#else
enum { MAX_ACC = 6 };
/* clang-format off */
#define SHAPES(t, X)                                                             \
    X(t, 1, 1) X(t, 2, 1) X(t, 3, 1) X(t, 4, 1) X(t, 5, 1) X(t, 6, 1) X(t, 1, 4)
/* clang-format on */
#endif
SHAPES(PGD_BF16, SHAPE)
SHAPES(PGD_F16, SHAPE)
SHAPES(PGD_F32, SHAPE)

typedef void (*shape_fn)(float *, const float *, const float *, const void *const *, uint32_t,
                         uint32_t, uint32_t, uint32_t);
#define ENTRY(t, R, N) [t][R][N] = pv_##t##_##R##x##N,
static const shape_fn shapes[PGD_F16 + 1][PGD_CPU_PV_ROWS + 1][5] = {
    SHAPES(PGD_BF16, ENTRY) SHAPES(PGD_F16, ENTRY) SHAPES(PGD_F32, ENTRY)};

static void pv(float *o, const float *p, const float *alpha, const void *const *v, pgd_dtype v_type,
               uint32_t n_rows, uint32_t lo, uint32_t hi, uint32_t dp) {
    for (uint32_t d = 0; d < dp;) {
        const uint32_t n = d + 64 <= dp && 4 * n_rows <= MAX_ACC ? 4 : 1;
        shapes[v_type][n_rows][n](o, p, alpha, v, lo, hi, dp, d);
        d += 16 * n;
    }
}

void PGD_LEVEL(simd_attn)(pgd_cpu_kernels *k) {
    k->softmax = softmax;
    k->pv = pv;
}
