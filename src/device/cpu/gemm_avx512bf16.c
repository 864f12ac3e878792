/* Tile kernel for bf16 weights on VDPBF16PS (AVX512_BF16), and the packing of rows for it.
 *
 * One instruction adds the two products of a k pair to 16 columns: a panel line of 64 bytes times a
 * broadcast pair of x. A register tile is 6 x 4 or 12 x 2 (rows x panels): 24 accumulators, lines
 * of W and one broadcast fill up to 29 of 32 registers, and hide the instruction's latency of 6
 * cycles. The tall one reads W half as often, so it serves whenever there are more than 6 rows.
 * Each accumulator takes its pairs in order, one at a time, whatever the shape.
 *
 * The instruction rounds each sum to nearest even and treats denormals as zero, on every processor
 * that has it, so results do not depend on the thread's floating-point mode. */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "cpu_internal.h"

#define PGD_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define PGD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define PGD_UNROLL _Pragma("GCC unroll 12")
#endif

/* bf16 pairs [k / 2][n_rows] for bf16 weights; other types go on with f32 rows. */
static void pack_pairs(uint32_t *out, const void *const *row, uint32_t n_rows, uint32_t k) {
    for (uint32_t r = 0; r < n_rows; r++) {
        const unsigned char *const src = row[r];
        for (uint32_t i = 0; i < k / 2; i++)
            memcpy(&out[(size_t)i * n_rows + r], src + (size_t)i * 4, 4);
        if (k & 1) {
            uint16_t last;
            memcpy(&last, src + (size_t)(k - 1) * 2, sizeof last);
            out[(size_t)(k / 2) * n_rows + r] = last;
        }
    }
}

static void pack_rows(void *dst, const void *const *row, uint32_t n_rows, pgd_dtype w_type,
                      uint32_t k) {
    if (w_type == PGD_BF16) {
        pack_pairs(dst, row, n_rows, k);
        return;
    }
    float *const out = dst;
    for (uint32_t r = 0; r < n_rows; r++) {
        for (uint32_t i = 0; i < k; i++)
            out[(size_t)i * n_rows + r] = ((const float *)row[r])[i];
        if (k & 1) out[(size_t)k * n_rows + r] = 0.0F;
    }
}

PGD_INLINE void tile_body(const uint32_t *a, const void *const *b, uint32_t k,
                          const uint32_t n_rows, const uint32_t n_panels, float *c, uint32_t ldc,
                          uint32_t accumulate, const void *const *ahead) {
    __m512 acc[PGD_CPU_TILE_ROWS][PGD_CPU_TILE_PANELS];
    PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
            acc[r][p] = accumulate ? _mm512_loadu_ps(c + (size_t)r * ldc + p * PGD_CPU_LANES)
                                   : _mm512_setzero_ps();
        }
    }
    const unsigned char *w0[PGD_CPU_TILE_PANELS];
    PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
        w0[p] = b[p];
    }
    const bool fetch = n_rows > 6; /* smaller tiles are never the second of a slice */
    const unsigned char *next[PGD_CPU_TILE_PANELS];
    PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
        next[p] = ahead ? ahead[p] : b[p];
    }
    for (size_t i = 0; i < k / 2; i++) {
        if (fetch) {
            PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
                _mm_prefetch((const char *)next[p] + i * 64, _MM_HINT_T1);
            }
        }
        __m512bh w[PGD_CPU_TILE_PANELS];
        PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
            w[p] = (__m512bh)_mm512_loadu_si512(w0[p] + i * 64);
        }
        PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i * n_rows + r]);
            PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
                acc[r][p] = _mm512_dpbf16_ps(acc[r][p], x, w[p]);
            }
        }
    }
    PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
            _mm512_storeu_ps(c + (size_t)r * ldc + p * PGD_CPU_LANES, acc[r][p]);
        }
    }
}

/* One function per shape, so that each has its accumulators in registers. */
/* clang-format off */
#define SHAPES(X)                                     \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(7, 1) X(7, 2)   \
    X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(8, 1) X(8, 2)   \
    X(3, 1) X(3, 2) X(3, 3) X(3, 4) X(9, 1) X(9, 2)   \
    X(4, 1) X(4, 2) X(4, 3) X(4, 4) X(10, 1) X(10, 2) \
    X(5, 1) X(5, 2) X(5, 3) X(5, 4) X(11, 1) X(11, 2) \
    X(6, 1) X(6, 2) X(6, 3) X(6, 4) X(12, 1) X(12, 2)
/* clang-format on */
#define SHAPE(R, P)                                                                                \
    static void tile_##R##x##P(const uint32_t *a, const void *const *b, uint32_t k, float *c,      \
                               uint32_t ldc, uint32_t accumulate, const void *const *ahead) {      \
        tile_body(a, b, k, R, P, c, ldc, accumulate, ahead);                                       \
    }
SHAPES(SHAPE)

typedef void (*shape_fn)(const uint32_t *, const void *const *, uint32_t, float *, uint32_t,
                         uint32_t, const void *const *);
#define ENTRY(R, P) [R][P] = tile_##R##x##P,
static const shape_fn shapes[PGD_CPU_TILE_ROWS + 1][PGD_CPU_TILE_PANELS + 1] = {SHAPES(ENTRY)};

static void tile_bf16(const void *a, const void *const *b, uint32_t k, uint32_t n_rows,
                      uint32_t n_panels, float *c, uint32_t ldc, uint32_t accumulate,
                      const void *const *ahead) {
    const uint32_t most = n_rows > 6 ? 2 : 4;
    for (uint32_t p = 0; p < n_panels; p += most)
        shapes[n_rows][pgd_cpu_min(most, n_panels - p)](a, b + p, k, c + p * PGD_CPU_LANES, ldc,
                                                        accumulate, ahead ? ahead + p : NULL);
}

void pgd_cpu_kernels_avx512bf16(pgd_cpu_kernels *k) {
    k->a_bytes[PGD_BF16] = sizeof(uint16_t);
    k->pack_rows = pack_rows;
    k->tile[PGD_BF16] = tile_bf16;
}
