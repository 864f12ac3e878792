/* Tile kernels on f32 multiply-adds, for AVX2 and AVX-512, and the packing of rows for them.
 *
 * A tile is R rows x P panels of 16 columns in registers. Each accumulator adds its products over k
 * one by one, in order, whatever R and P are, which is what makes a row's bits independent of its
 * neighbours. bf16 pairs need no shuffles: the even element of a pair is its 32-bit word shifted
 * left by 16, the odd one is the word with the low half cleared.
 *
 * Registers: AVX-512 has 32 and takes 6 x 4 or 12 x 2; AVX2 has 16 of half the width and takes
 * 6 x 1, 3 x 2 or 1 x 4. Rows lie `stride` apart in the packed rows, so that a tile of more rows
 * than fit is cut in two. */
#include "simd.h"

#if defined(__AVX512F__)
enum { MAX_ACC = 24, MAX_ROWS = 12 };
#else
enum { MAX_ACC = 6, MAX_ROWS = 6 };
#endif

static void pack_rows(void *dst, const void *const *row, uint32_t n_rows, pgd_dtype w_type,
                      uint32_t k) {
    float *const out = dst;
    for (uint32_t r = 0; r < n_rows; r++) {
        const uint16_t *const h = row[r];
        const float *const f = row[r];
        if (w_type == PGD_BF16)
            for (uint32_t i = 0; i < k; i++)
                out[(size_t)i * n_rows + r] = pgd_cpu_float_of((uint32_t)h[i] << 16);
        else
            for (uint32_t i = 0; i < k; i++)
                out[(size_t)i * n_rows + r] = f[i];
        if (k & 1) out[(size_t)k * n_rows + r] = 0.0F;
    }
}

/* Column vector of element k + odd of a panel. */
PGD_INLINE vf column(const void *panel, pgd_dtype t, size_t k, uint32_t odd) {
    if (t == PGD_F32) return vf_load((const float *)panel + (k + odd) * PGD_CPU_LANES);
    if (t == PGD_F16) return vf_load_f16((const uint16_t *)panel + (k + odd) * PGD_CPU_LANES);
    const vi w = vi_load((const uint16_t *)panel + k * PGD_CPU_LANES);
    return vf_of_bits(odd ? vi_and(w, vi_set1(0xffff0000U)) : vi_shl(w, 16));
}

PGD_INLINE void tile_body(pgd_dtype t, const float *a, size_t stride, const void *const *b,
                          uint32_t k, const uint32_t n_rows, const uint32_t n_panels, float *c,
                          uint32_t ldc, uint32_t accumulate) {
    vf acc[MAX_ROWS][PGD_CPU_TILE_PANELS];
    PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
            acc[r][p] = accumulate ? vf_load(c + (size_t)r * ldc + p * PGD_CPU_LANES) : vf_zero();
        }
    }
    for (size_t i = 0; i < k; i += 2) {
        PGD_UNROLL for (uint32_t odd = 0; odd < 2; odd++) {
            vf w[PGD_CPU_TILE_PANELS];
            PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
                w[p] = column(b[p], t, i, odd);
            }
            PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
                const vf x = vf_set1(a[(i + odd) * stride + r]);
                PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
                    acc[r][p] = vf_fma(x, w[p], acc[r][p]);
                }
            }
        }
    }
    PGD_UNROLL for (uint32_t r = 0; r < n_rows; r++) {
        PGD_UNROLL for (uint32_t p = 0; p < n_panels; p++) {
            vf_store(c + (size_t)r * ldc + p * PGD_CPU_LANES, acc[r][p]);
        }
    }
}

/* One function per type and shape, so that each has its accumulators in registers. */
#define SHAPE(t, R, P)                                                                             \
    static void tile_##t##_##R##x##P(const float *a, size_t stride, const void *const *b,          \
                                     uint32_t k, float *c, uint32_t ldc, uint32_t accumulate) {    \
        tile_body(t, a, stride, b, k, R, P, c, ldc, accumulate);                                   \
    }
#if defined(__AVX512F__)
/* clang-format off */
#define SHAPES(t, X)                                         \
    X(t, 1, 1) X(t, 1, 2) X(t, 1, 4) X(t, 7, 1) X(t, 7, 2)   \
    X(t, 2, 1) X(t, 2, 2) X(t, 2, 4) X(t, 8, 1) X(t, 8, 2)   \
    X(t, 3, 1) X(t, 3, 2) X(t, 3, 4) X(t, 9, 1) X(t, 9, 2)   \
    X(t, 4, 1) X(t, 4, 2) X(t, 4, 4) X(t, 10, 1) X(t, 10, 2) \
    X(t, 5, 1) X(t, 5, 2) X(t, 5, 4) X(t, 11, 1) X(t, 11, 2) \
    X(t, 6, 1) X(t, 6, 2) X(t, 6, 4) X(t, 12, 1) X(t, 12, 2)
/* clang-format on */
#else
/* clang-format off */
#define SHAPES(t, X)                                       \
    X(t, 1, 1) X(t, 1, 2) X(t, 1, 4) X(t, 2, 1) X(t, 2, 2) \
    X(t, 3, 1) X(t, 3, 2) X(t, 4, 1) X(t, 5, 1) X(t, 6, 1)
/* clang-format on */
#endif
SHAPES(PGD_BF16, SHAPE)
SHAPES(PGD_F16, SHAPE)
SHAPES(PGD_F32, SHAPE)

typedef void (*shape_fn)(const float *, size_t, const void *const *, uint32_t, float *, uint32_t,
                         uint32_t);
typedef shape_fn shape_table[MAX_ROWS + 1][PGD_CPU_TILE_PANELS + 1];
#define ENTRY(t, R, P) [R][P] = tile_##t##_##R##x##P,
static const shape_table bf16_shapes = {SHAPES(PGD_BF16, ENTRY)};
static const shape_table f16_shapes = {SHAPES(PGD_F16, ENTRY)};
static const shape_table f32_shapes = {SHAPES(PGD_F32, ENTRY)};

/* As many rows and panels at a time as the registers hold. */
static void run_shapes(const shape_table table, const float *a, const void *const *b, uint32_t k,
                       uint32_t n_rows, uint32_t n_panels, float *c, uint32_t ldc,
                       uint32_t accumulate) {
    for (uint32_t p = 0; p < n_panels;) {
        uint32_t n = n_panels - p;
        n = n == 3 ? 2 : n;
        while (n > 1 && n * n_rows > MAX_ACC)
            n /= 2;
        for (uint32_t r = 0; r < n_rows; r += MAX_ROWS)
            /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): rows and panels are at least 1 */
            table[pgd_cpu_min(MAX_ROWS, n_rows - r)][n](
                a + r, n_rows, b + p, k, c + (size_t)r * ldc + p * PGD_CPU_LANES, ldc, accumulate);
        p += n;
    }
}

static void tile_bf16(const void *a, const void *const *b, uint32_t k, uint32_t n_rows,
                      uint32_t n_panels, float *c, uint32_t ldc, uint32_t accumulate,
                      const void *const *ahead) {
    (void)ahead; /* arithmetic bounds this level */
    run_shapes(bf16_shapes, a, b, k, n_rows, n_panels, c, ldc, accumulate);
}

static void tile_f16(const void *a, const void *const *b, uint32_t k, uint32_t n_rows,
                     uint32_t n_panels, float *c, uint32_t ldc, uint32_t accumulate,
                     const void *const *ahead) {
    (void)ahead; /* arithmetic bounds this level */
    run_shapes(f16_shapes, a, b, k, n_rows, n_panels, c, ldc, accumulate);
}

static void tile_f32(const void *a, const void *const *b, uint32_t k, uint32_t n_rows,
                     uint32_t n_panels, float *c, uint32_t ldc, uint32_t accumulate,
                     const void *const *ahead) {
    (void)ahead; /* arithmetic bounds this level */
    run_shapes(f32_shapes, a, b, k, n_rows, n_panels, c, ldc, accumulate);
}

void PGD_LEVEL(simd_gemm)(pgd_cpu_kernels *k) {
    k->a_bytes[PGD_BF16] = k->a_bytes[PGD_F16] = k->a_bytes[PGD_F32] = sizeof(float);
    k->tile_rows = MAX_ROWS;
    k->pack_rows = pack_rows;
    k->tile[PGD_BF16] = tile_bf16;
    k->tile[PGD_F16] = tile_f16;
    k->tile[PGD_F32] = tile_f32;
}
