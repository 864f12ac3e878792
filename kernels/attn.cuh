/* Attention: the order of operations that every kernel follows, the planner's lists, and the
 * addresses of a page in shared memory. Private to attn*.cu and their test.
 *
 *   out[t, h] = sum_j w_j V[j] / sum_j w_j,  w_j = exp(scale q[t, h] . K[j]),  lo(t) <= j <= pos(t)
 *
 * A query row (one head of one token) gets the same bits from every kernel, whatever shares the
 * step with it, because each performs these operations, in this order, on absolute positions:
 *
 *   Unit, 64 keys (a page), with c = scale log2(e):
 *
 *     s_j   = q . K[j], k16 steps of the tensor core in order of the head dimension
 *
 *     s_j   = -inf for keys out of the row's range
 *
 *     m'    = max(m, max s_j)
 *
 *     alpha = 2^(c (m - m'))
 *
 *     p_j   = 2^(c s_j - c m')
 *
 *     l     = l alpha + sum p_j, the sum in the order below
 *
 *     o     = o alpha, then += round(p_j) V[j], four k16 steps in order of the keys
 *
 * Chunk, kChunk keys: (m, l, o) starts from (-inf, 0, 0) and is closed into the row's state M, L,
 * O, which starts so too, chunks in order of position:
 *
 *     M'    = max(M, m),  a = 2^(c (M - M')),  b = 2^(c (m - M'))
 *
 *     L     = L a + l b
 *
 *     O     = O a + o b
 *
 * End:
 *
 *     out   = O / L
 *
 * sum p_j: for each residue r = j % 8, eight terms in order of j; then (r, r ^ 1), (r, r ^ 2),
 * (r, r ^ 4) are added. That is a thread's columns followed by shuffles when rows of queries lie on
 * M (accumulator columns 8i + 2t + e), and a thread's rows followed by shuffles when keys lie on M.
 * A dot product of the tensor core does not depend on which operand is A, nor on mma.sync or wgmma.
 *
 * A unit with no key in range leaves a row's state as it is (alpha = 2^0 = 1, p = 0), and so does
 * the merge of a chunk without any; so kernels may visit more units than a row needs. Rows of V
 * behind the end of the sequence are made zero in shared memory, since 0 * NaN is NaN; rows within
 * it are written. Products of floats are rounded by name (__fmul_rn, __fmaf_rn): what the compiler
 * contracts may differ between kernels. */
#ifndef PAGODA_KERNELS_ATTN_CUH
#define PAGODA_KERNELS_ATTN_CUH

#include "attn_ptx.cuh"
#include "common.cuh"
#include "launch.h"
#include "page.cuh"

constexpr uint32_t kUnit = kPageTokens;
#ifndef PGD_ATTN_CHUNK /* defined by the trial builds of tests/kernels alone */
#define PGD_ATTN_CHUNK 512
#endif
constexpr uint32_t kChunk = PGD_ATTN_CHUNK;
constexpr uint32_t kChunkUnits = kChunk / kUnit;
/* Sequences with at most this many query rows for each kv head are decoded: keys on M, rows on N.
 */
constexpr uint32_t kDecodeRows = 16;
/* Steps of at most so many sequences are decoded by a CTA a chunk, else by a warp a chunk. The host
 * knows no lengths when it records a graph; at 4 the one gains up to 4k keys, the other beyond. */
constexpr uint32_t kTeamSeqs = 4;
/* Query rows of one kv head that a CTA works on: of prefill by wgmma, of variant 0. */
constexpr uint32_t kPrefillRows = 128, kGenericRows = 64;

/* --- the order of operations --- */

struct AttnState {
    float m, l;
};

constexpr float kNoScore = -INFINITY;

/* What a new maximum means for one row: the factor on l and o, and the negative offset of the
 * exponents. */
struct AttnShift {
    float alpha, offset;
};
__device__ __forceinline__ AttnShift attn_raise(float &m, float unit_max, float c) {
    const float next = fmaxf(m, unit_max);
    const float base = next == kNoScore ? 0.0f : next;
    AttnShift s;
    s.alpha = exp2_approx(__fmul_rn(m - base, c));
    s.offset = -__fmul_rn(base, c);
    m = next;
    return s;
}
__device__ __forceinline__ float attn_weight(float score, float c, float offset) {
    return exp2_approx(__fmaf_rn(score, c, offset));
}
__device__ __forceinline__ float attn_add_sum(float l, float alpha, float sum) {
    return __fmaf_rn(l, alpha, sum);
}

/* Factors of the state so far (a) and of the chunk that joins it (b). */
struct AttnMerge {
    float a, b;
};
__device__ __forceinline__ AttnMerge attn_merge(AttnState &s, AttnState chunk, float c) {
    const float next = fmaxf(s.m, chunk.m);
    const float base = next == kNoScore ? 0.0f : next;
    AttnMerge f;
    f.a = exp2_approx(__fmul_rn(s.m - base, c));
    f.b = exp2_approx(__fmul_rn(chunk.m - base, c));
    s.m = next;
    s.l = __fmaf_rn(s.l, f.a, __fmul_rn(chunk.l, f.b));
    return f;
}
__device__ __forceinline__ float attn_merge_value(float o, float chunk_o, AttnMerge f) {
    return __fmaf_rn(o, f.a, __fmul_rn(chunk_o, f.b));
}
/* The addition turns -0 into +0: which of them an underflow left depends on the units visited. */
__device__ __forceinline__ float attn_inverse(float l) {
    return __frcp_rn(l);
}
__device__ __forceinline__ float attn_finish(float o, float inverse) {
    return __fadd_rn(__fmul_rn(o, inverse), 0.0f);
}

/* --- ranges --- */

/* Keys of the query at position p: [attn_first_key, p]. */
__host__ __device__ __forceinline__ uint32_t attn_first_key(uint32_t p, uint32_t window) {
    return window && p + 1 > window ? p + 1 - window : 0;
}

/* --- the planner's lists --- */

/* One chunk of a decoded sequence, all kv heads. Rows of partials: for each chunk n_new * n_heads,
 * those of a kv head together. */
struct alignas(16) AttnItem {
    uint32_t seq, chunk;
    uint32_t partial; /* row of the partials of this chunk */
    uint32_t whole;   /* 1: no room to split, one warp does all chunks, `partial` is its scratch */
    uint32_t slot, q_start, n_new, kv_start;
};
/* Query rows [row, row + tile rows) of a sequence, all kv heads; row = token * group + head. */
struct AttnTile {
    uint32_t seq, row;
};

struct AttnCounts {
    uint32_t n_items, n_tiles;
};

enum class AttnRoute { automatic, generic, decode, team, prefill };

struct AttnParams {
    const void *q;
    void *out;
    const char *kv;
    const pgd_plan_seq *seq;
    const int32_t *page_table;
    const AttnCounts *counts;
    const AttnItem *items;
    const AttnTile *tiles;
    uint32_t *tickets;  /* [max_seqs * n_kv_heads], zero between launches */
    uint32_t *cursor;   /* behind them and as they: items that decode has dealt */
    float2 *partial_ml; /* [rows] (m, l) */
    float *partial_o;   /* [rows, head_dim] */
    uint64_t page_bytes;
    uint32_t n_heads, n_kv_heads, group, window, max_pages;
    float c; /* scale log2(e) */
};

/* The work space. Chunks with room for partials: twice what all pages hold, since sequences share
 * pages, and two for each sequence. */
struct AttnSpace {
    uint64_t items, tiles, tickets, partial_ml, partial_o, bytes; /* byte offsets; counts at 0 */
    uint32_t split_rows;                                          /* rows of partials of splits */
};
AttnSpace attn_space(const pgd_k_attn_limits *l);

/* As the functions of launch.h, with a choice of kernel, for the tests. */
int attn_plan_by(AttnRoute route, const pgd_k_attn_plan *a, cudaStream_t stream);
int attn_run_by(AttnRoute route, const pgd_k_attn *a, cudaStream_t stream);

/* Launchers of the kernels; head_dim and type as attn_supported. */
int attn_decode_init(pgd_dtype type, uint32_t head_dim);
int attn_decode_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_rows,
                       uint32_t max_items, cudaStream_t stream);
int attn_team_init(pgd_dtype type, uint32_t head_dim);
int attn_team_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_rows,
                     uint32_t max_items, cudaStream_t stream);
int attn_generic_init(pgd_dtype type, uint32_t head_dim);
int attn_generic_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_tiles,
                        cudaStream_t stream);

/* By wgmma; as the team, for head dimensions 64 and 128. */
int attn_prefill_init(pgd_dtype type, uint32_t head_dim);
int attn_prefill_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_tiles,
                        cudaStream_t stream);

#endif
