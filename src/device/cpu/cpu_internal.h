/* Private face of the CPU backend. The ops (op_*.c) own control flow: which rows, which pages, how
 * work is shared among threads; they are portable C and exist once. What runs per element is a
 * kernel, a row of `pgd_cpu_kernels`: every row is first filled with scalar C and then overwritten
 * by the instruction-set files. A kernel's result for one row depends only on that row's operands,
 * so that tiling, chunking and threads never show in the bits.
 *
 * Packed weights, the same for all instruction sets, and K of the KV pages too (its "columns" are
 * positions): panels of 16 columns. bf16: [k / 2][16][2], so that a 64-byte line is one operand of
 * VDPBF16PS; f32 and f16: [k][16]. k is padded to even with zeros, columns to 16 with zeros. */
#ifndef PGD_CPU_INTERNAL_H
#define PGD_CPU_INTERNAL_H

#include <stddef.h>

#include "pagoda/clock.h"
#include "pagoda/device.h"
#include "pagoda/rng.h"

enum {
    PGD_CPU_LANES = 16,      /* columns of a panel, floats of a vector */
    PGD_CPU_TILE_ROWS = 12,  /* rows of a tile at most */
    PGD_CPU_PV_ROWS = 6,     /* rows of one call of pv at most */
    PGD_CPU_TILE_PANELS = 4, /* panels of a tile at most */
    PGD_CPU_TILE_COLS = PGD_CPU_LANES * PGD_CPU_TILE_PANELS,
    PGD_CPU_ROW_BLOCK = 96, /* rows that share one pass over the weights */
    PGD_CPU_ATTN_ROWS = 24, /* (token, head) rows that share one pass over K and V */
    PGD_CPU_ATTN_BLOCK = PGD_CPU_TILE_COLS, /* positions of one softmax block */
    PGD_CPU_MAX_HEAD = 512,
};

/* pgd_weight.layout */
enum {
    PGD_CPU_PLAIN = 0,
    PGD_CPU_PAIRED = 1, /* panels alternate between the two interleaved parts */
};

/* What becomes of a finished tile row. y points at the row's first element. */
typedef struct pgd_cpu_epi {
    pgd_epilogue kind;
    uint32_t gelu;
    const float *bias; /* [N] or NULL */
    pgd_dtype y_type;
} pgd_cpu_epi;

/* Running softmax of one attention row. */
typedef struct pgd_cpu_soft {
    float max, sum;
} pgd_cpu_soft;

/* First pass over a row of logits. */
typedef struct pgd_cpu_logit_stats {
    float max;
    uint32_t argmax; /* lowest id of the maximum */
    uint32_t bad;    /* NaN or +inf seen, or nothing but -inf */
} pgd_cpu_logit_stats;

/* Tokens z >= floor: how many, and their mass in units of 2^-30 of the most likely token's. */
typedef struct pgd_cpu_mass {
    uint64_t count, mass;
} pgd_cpu_mass;

/* One digit of the radix selection over order-preserving keys (pgd_cpu_key). */
enum { PGD_CPU_DIGITS = 2048 };
typedef struct pgd_cpu_hist {
    uint32_t count[PGD_CPU_DIGITS];
    uint64_t mass[PGD_CPU_DIGITS];
} pgd_cpu_hist;

typedef struct pgd_cpu_noise {
    uint64_t seed;
    uint32_t choice, position;
} pgd_cpu_noise;

typedef struct pgd_cpu_kernels {
    uint32_t tile_rows; /* rows that the level likes in a tile, at most TILE_ROWS */
    /* Bytes that one element of k takes in packed rows, by weight type. */
    uint32_t a_bytes[PGD_DTYPE_N];
    /* dst [k_padded][n_rows] (f32) or [k_padded / 2][n_rows][2] (bf16 pairs, when a_bytes is 2)
     * from rows of x (bf16 when the weight is bf16, else f32). k_padded is k rounded up to even. */
    void (*pack_rows)(void *dst, const void *const *row, uint32_t n_rows, pgd_dtype w_type,
                      uint32_t k);
    /* c[r][0..16 n_panels) (+)= sum over k of a[.][r] * b[.][.], k even, in order. ahead: a
     * place for each panel, as long as its slice, to fetch into the cache on the way; or NULL. */
    void (*tile[PGD_DTYPE_N])(const void *a, const void *const *b, uint32_t k, uint32_t n_rows,
                              uint32_t n_panels, float *c, uint32_t ldc, uint32_t accumulate,
                              const void *const *ahead);
    /* Columns [col, col + n) of one row of y; c holds them (PAIRED: 16 gates, then 16 ups), c is
     * readable and writable up to whole panels. */
    void (*epilogue)(const pgd_cpu_epi *e, const float *c, uint32_t col, uint32_t n, void *y);
    void (*norm)(const float *x, const float *w, void *y, pgd_dtype y_type, uint32_t n, float eps);
    /* Rotate pairs (x[i], x[i + half]). */
    void (*rope)(float *x, const float *cos_row, const float *sin_row, uint32_t half);
    /* dst = round(src * scale) */
    void (*store)(void *dst, pgd_dtype type, const float *src, float scale, uint32_t n);
    /* s[0..64): scores in, probabilities out (0 outside [lo, hi)); returns what the old sum and
     * output are to be multiplied with. lo < hi. */
    float (*softmax)(float *s, uint32_t lo, uint32_t hi, float scale, pgd_cpu_soft *state);
    /* o[r][0..dp) = alpha[r] * o[r] + sum of p[r][t] * v(t), t in [lo, hi), in order. Position t of
     * the block lies in row t % 16 of v[t / 16]. p rows are 64 apart, o rows dp. dp % 16 == 0. */
    void (*pv)(float *o, const float *p, const float *alpha, const void *const *v, pgd_dtype v_type,
               uint32_t n_rows, uint32_t lo, uint32_t hi, uint32_t dp);

    /* Sampling; every level gives the same bits here, scalar included. */
    pgd_cpu_logit_stats (*logit_stats)(const float *x, uint32_t n);
    double (*sum_exp)(const float *x, uint32_t n, float max);
    /* z = (x - max) / temperature */
    void (*scale_logits)(float *z, const float *x, uint32_t n, float max, float temperature);
    /* First i >= from with x[i] > limit, or n. */
    uint32_t (*find_above)(const float *x, uint32_t from, uint32_t n, float limit);
    pgd_cpu_mass (*mass)(const float *z, uint32_t n, float floor, float max);
    /* Adds to h the tokens z >= floor whose key >> (shift + bits) == prefix, at digit key >> shift.
     */
    void (*hist)(pgd_cpu_hist *h, const float *z, uint32_t n, float floor, float max,
                 uint32_t prefix, uint32_t shift, uint32_t bits);
    /* z = -inf where the key is below `least`, and where it is equal, past the first n_equal. */
    void (*cut)(float *z, uint32_t n, uint32_t least, uint32_t n_equal);
    /* argmax of z + gumbel over z > -inf, lowest id first; start: a token to try first. */
    uint32_t (*gumbel)(const float *z, uint32_t n, uint32_t start, const pgd_cpu_noise *noise);
} pgd_cpu_kernels;

typedef struct pgd_cpu_device {
    pgd_device base;
    pgd_pool *pool; /* owned */
    uint32_t n_threads;
    pgd_isa isa;
    pgd_cpu_kernels k;
    /* Per-thread work space, grown at load only: attention needs a fixed size, packed rows of a
     * linear need ROW_BLOCK * k. */
    unsigned char *scratch; /* owned, [n_threads][scratch_bytes] */
    size_t scratch_bytes;
    pgd_clock clock;
    uint64_t begin_ns[PGD_MAX_STEPS_IN_FLIGHT], mark_ns[PGD_MAX_STEPS_IN_FLIGHT];
} pgd_cpu_device;

static inline pgd_cpu_device *pgd_cpu_of(pgd_device *d) {
    return (pgd_cpu_device *)(void *)d;
}
static inline uint32_t pgd_cpu_min(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}
static inline uint32_t pgd_cpu_round_up(uint32_t v, uint32_t m) {
    return (v + m - 1) / m * m;
}
static inline void *pgd_cpu_scratch(const pgd_cpu_device *c, uint32_t thread) {
    return c->scratch + (size_t)thread * c->scratch_bytes;
}
/* Elements between rows of t. */
static inline uint64_t pgd_cpu_stride(const pgd_tensor *t) {
    return t->row_stride ? t->row_stride : t->shape[t->ndim - 1];
}
static inline unsigned char *pgd_cpu_row(const pgd_tensor *t, uint64_t row) {
    return (unsigned char *)t->data + row * pgd_cpu_stride(t) * pgd_dtype_bytes(t->dtype);
}
/* Order-preserving integer of a float that is not NaN (-0 below +0). */
static inline uint32_t pgd_cpu_key(float v) {
    union {
        float f;
        uint32_t u;
    } x = {.f = v};
    return x.u ^ ((x.u >> 31) ? 0xffffffffU : 0x80000000U);
}

/* Where a head's K and V lie in a page (page base + these), in elements. */
typedef struct pgd_cpu_kv_shape {
    uint32_t dp;         /* head_dim rounded up to 16 */
    uint32_t elt_bytes;  /* of kv_type */
    uint64_t head_bytes; /* K (or V) of one head in one page */
    uint64_t v_offset;   /* bytes from the page to V of head 0 */
} pgd_cpu_kv_shape;
pgd_cpu_kv_shape pgd_cpu_kv_shape_of(uint32_t n_kv_heads, uint32_t head_dim, uint32_t page_tokens,
                                     pgd_dtype kv_type);

/* Grow every thread's scratch. Load time only. */
pgd_status pgd_cpu_reserve(pgd_cpu_device *c, size_t bytes, pgd_error *err);
pgd_status pgd_cpu_pack_linear(pgd_device *d, const pgd_tensor *parts, uint32_t n_parts,
                               uint32_t interleave, pgd_dtype dtype, uint64_t seed, pgd_weight *out,
                               pgd_error *err);
pgd_status pgd_cpu_fill_uniform(pgd_device *d, void *dst, pgd_dtype type, uint64_t n);
void pgd_cpu_fill_kernels(pgd_cpu_kernels *k, pgd_isa isa);

/* Kernels by file: each fills its rows. */
void pgd_cpu_kernels_linear(pgd_cpu_kernels *k);
void pgd_cpu_kernels_attn(pgd_cpu_kernels *k);
void pgd_cpu_kernels_norm(pgd_cpu_kernels *k);
void pgd_cpu_kernels_sample(pgd_cpu_kernels *k);
void pgd_cpu_kernels_avx512bf16(pgd_cpu_kernels *k);
void pgd_cpu_simd_gemm_avx2(pgd_cpu_kernels *k);
void pgd_cpu_simd_rows_avx2(pgd_cpu_kernels *k);
void pgd_cpu_simd_attn_avx2(pgd_cpu_kernels *k);
void pgd_cpu_simd_sample_avx2(pgd_cpu_kernels *k);
void pgd_cpu_simd_gemm_avx512(pgd_cpu_kernels *k);
void pgd_cpu_simd_rows_avx512(pgd_cpu_kernels *k);
void pgd_cpu_simd_attn_avx512(pgd_cpu_kernels *k);
void pgd_cpu_simd_sample_avx512(pgd_cpu_kernels *k);

/* Ops. */
#define PGD_CPU_DECLARE(U, l)                                                                      \
    pgd_status pgd_cpu_##l(pgd_device *, const void *, const pgd_step_view *);
PGD_OPS(PGD_CPU_DECLARE)
#undef PGD_CPU_DECLARE

#endif
