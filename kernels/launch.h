/* The C face of the kernels: what src/device/cuda calls, and nothing else.
 *
 * Every launcher enqueues its work on the stream and returns a cudaError_t as int (0: enqueued). It
 * allocates nothing, never synchronises, reads nothing from device memory on the host, and can be
 * captured in a graph. Pointers are device memory unless their comment says otherwise. Row counts
 * are host constants: in a step padded to the size of a captured graph, the rows that hold no work
 * carry ids, pos and tok_seq (or row_tok, row_seq) of -1 and the sequences n_new 0; kernels skip
 * them or compute values that nobody reads.
 *
 * Types: weights, activations that enter a linear (`type`), q, attention output and KV pages are
 * all bf16 or all f16; residual stream, qkv, logits, norms, biases and rotary tables are f32.
 * Formulas, rounding and tolerances are those of include/pagoda/ops.h.
 *
 * Bits: a row's result depends on the row alone, never on the number of rows, the company in the
 * batch, the chunking or the choice of kernel. Two kernels of one operation follow the same order
 * of additions: linears add k16 steps in K order into one f32 accumulator per output (mma.sync
 * m16n8k16 and wgmma k16 give equal bits); attention follows attn.cuh. */
#ifndef PAGODA_KERNELS_LAUNCH_H
#define PAGODA_KERNELS_LAUNCH_H

#include "pagoda/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *pgd_stream;

/* --- rows.cu --- */

/* y[i] = table[ids[i]]; an id below 0 gives zeros. table [vocab, d] of `type`, y [n, d]. */
typedef struct pgd_k_embed {
    const void *table;
    const int32_t *ids;
    float *y;
    pgd_dtype type;
    uint32_t n, d;
} pgd_k_embed;
int pgd_k_run_embed(const pgd_k_embed *a, pgd_stream s);

/* y = round(x / sqrt(mean(x^2) + eps) * w), [n, d]; y of `type` bf16, f16 or f32. */
typedef struct pgd_k_norm {
    const float *x, *w;
    void *y;
    pgd_dtype type;
    uint32_t n, d;
    float eps;
} pgd_k_norm;
int pgd_k_run_norm(const pgd_k_norm *a, pgd_stream s);

/* y[r] = x[row_tok[r]], [.., d]; row_tok below 0 gives zeros. */
typedef struct pgd_k_gather {
    const float *x;
    const int32_t *row_tok;
    float *y;
    uint32_t n, d;
} pgd_k_gather;
int pgd_k_run_gather(const pgd_k_gather *a, pgd_stream s);

/* --- fill.cu --- */

/* n values uniform in [-1, 1): value i is made of draw i of pgd_rng_next from state 1. dst of type
 * f32, bf16 or f16. */
typedef struct pgd_k_fill {
    void *dst;
    pgd_dtype type;
    uint64_t n;
} pgd_k_fill;
int pgd_k_run_fill(const pgd_k_fill *a, pgd_stream s);

/* --- qkv_post.cu: op qkv_post; the layout of pages is page.cuh's --- */

typedef struct pgd_k_qkv_post {
    const float *qkv;             /* [n, (n_heads + 2 n_kv_heads) head_dim] */
    const float *q_norm, *k_norm; /* [head_dim], or NULL */
    const float *cos, *sin;       /* [max_position, rotary_dim / 2] */
    void *q;                      /* [n, n_heads, head_dim] of type */
    void *kv;                     /* pages of this layer */
    const int32_t *pos, *tok_seq; /* [n]; tok_seq -1: no work */
    const pgd_plan_seq *seq;
    const int32_t *page_table; /* [max_slots, max_pages] */
    uint64_t page_bytes;
    pgd_dtype type;
    uint32_t n, max_pages, n_heads, n_kv_heads, head_dim, rotary_dim;
    float eps;
} pgd_k_qkv_post;
int pgd_k_run_qkv_post(const pgd_k_qkv_post *a, pgd_stream s);

/* Copy the first n_tokens of n_copy pages, all layers: op kv_copy. copy lies on the device. */
typedef struct pgd_k_kv_copy {
    void *kv;
    const pgd_plan_copy *copy;
    uint64_t page_bytes;
    pgd_dtype type;
    uint32_t n_copy, n_layers, n_pages, n_kv_heads, head_dim;
} pgd_k_kv_copy;
int pgd_k_run_kv_copy(const pgd_k_kv_copy *a, pgd_stream s);

/* --- linear.cu and the GEMMs behind it --- */

/* A packed matrix W [n, k]: panels of 16 rows, each panel k/16 fragments of 512 bytes in the order
 * in which a warp of mma.sync m16n8k16 (and each warp of wgmma m64nNk16 with A in registers) takes
 * its A operand: 16 bytes a lane. n is rounded up to 16 and k to 16 with zeros. With interleave 2
 * (SwiGLU), row r of a panel is gate 8p + r and row r + 8 is up 8p + r, so that one lane holds both
 * factors of a product. */
uint64_t pgd_k_packed_bytes(uint32_t n, uint32_t k);
/* Pack rows [first, first + rows) of matrix `part` (0, or 1 for the second half of an interleaved
 * pair) from row-major src [rows, k] of src_type (bf16, f16, f32) into dst of `type`. row0 is the
 * index of the part's first row in the stacked matrix (not interleaved), n the rows of the whole.
 * src NULL: small random values, a function of (seed, row in the stacked matrix, column). */
typedef struct pgd_k_pack {
    const void *src;
    void *dst;
    pgd_dtype src_type, type;
    uint32_t first, rows, row0, part, interleave, n, k;
    uint64_t seed;
} pgd_k_pack;
int pgd_k_run_pack(const pgd_k_pack *a, pgd_stream s);

/* op linear: y [m, N] from x [m, k] row-major; ldx and ldy in elements. y f32 or `type`.
 * bias [n] f32 in the order of the packed rows' source (interleaved: gate_0, up_0, gate_1, ...), or
 * NULL. Any m >= 1; the launcher chooses the kernel by (m, n, k), all choices give the same bits.
 */
typedef struct pgd_k_linear {
    const void *x, *w;
    void *y;
    const float *bias;
    pgd_dtype type, y_type;
    pgd_epilogue epilogue;
    uint32_t gelu;
    uint32_t m, n, k, ldx, ldy;
} pgd_k_linear;
int pgd_k_run_linear(const pgd_k_linear *a, pgd_stream s);
/* To be called once per process and device before the first launch (raises shared-memory limits).
 */
int pgd_k_linear_init(void);

/* --- attn.cu, attn_decode.cu, attn_prefill.cu --- */

/* Limits by which the work space is sized. */
typedef struct pgd_k_attn_limits {
    uint32_t max_seqs, max_tokens, max_pages_per_seq, n_pages; /* page of 64 tokens */
    uint32_t n_heads, n_kv_heads, head_dim;
    pgd_dtype type;
} pgd_k_attn_limits;
/* 0: this shape is not supported. */
uint64_t pgd_k_attn_space(const pgd_k_attn_limits *l);
int pgd_k_attn_init(const pgd_k_attn_limits *l);

/* Once a step, before the first layer: decide on the device who does what, from the sequences'
 * lengths (kv_start + n_new) alone. The lists go to `space` (of pgd_k_attn_space bytes). n_seq is
 * the padded number; max_new the host's bound of n_new over the step's sequences (1: decode only).
 */
typedef struct pgd_k_attn_plan {
    const pgd_plan_seq *seq;
    void *space;
    const pgd_k_attn_limits *limits; /* host memory */
    uint32_t n_seq, n_tok, max_new, window;
} pgd_k_attn_plan;
int pgd_k_run_attn_plan(const pgd_k_attn_plan *a, pgd_stream s);

/* op attn over the planned step. window as of the op (layers may differ). */
typedef struct pgd_k_attn {
    const void *q; /* [n_tok, n_heads, head_dim] */
    void *out;     /* the same shape */
    const void *kv;
    const pgd_plan_seq *seq;
    const int32_t *page_table;
    void *space;
    const pgd_k_attn_limits *limits; /* host memory */
    uint64_t page_bytes;
    uint32_t n_seq, n_tok, max_new, window;
    uint32_t max_pages; /* row length of page_table */
    float scale;
} pgd_k_attn;
int pgd_k_run_attn(const pgd_k_attn *a, pgd_stream s);

/* --- step.cu: what a step needs before its first kernel --- */

/* Slot inits and page-table diffs of the plan at `plan` (device memory, checked by its receiver).
 * n_init, n_table are the plan's counts; slots is copied. */
typedef struct pgd_k_slots_apply {
    const void *plan;
    pgd_slots slots;
    uint32_t n_init, n_table;
    uint32_t off_init, off_table;
} pgd_k_slots_apply;
int pgd_k_run_slots_apply(const pgd_k_slots_apply *a, pgd_stream s);

/* Spread the plan's sequences over rows. Sizes in the plan header on the device are the true ones,
 * n_tok, n_seq, n_rows here the padded ones. Late ids come from slots.last_token. Logits rows are
 * listed in order of tokens: of a PGD_PLAN_SCORE sequence every row with a known next token, of a
 * PGD_PLAN_SAMPLE sequence the last. */
typedef struct pgd_k_step_fill {
    const void *plan;
    pgd_slots slots;
    pgd_plan_seq *seq;                       /* [n_seq] out */
    int32_t *ids, *pos, *tok_seq;            /* [n_tok] out */
    int32_t *row_tok, *row_seq, *row_target; /* [n_rows] out */
    uint32_t n_tok, n_seq, n_rows;
} pgd_k_step_fill;
int pgd_k_run_step_fill(const pgd_k_step_fill *a, pgd_stream s);

/* --- sample.cu --- */

/* ops logits_post (in place) and sample. Rows with row_tok -1 are skipped. Results go to sample_out
 * and score_out (device or mapped host memory), in order of sampling and of scored rows: the index
 * of a row's result is its rank among the rows of its kind. space: pgd_k_sample_space bytes. */
typedef struct pgd_k_sample {
    float *logits; /* [n_rows, vocab] */
    const int32_t *pos, *row_tok, *row_seq, *row_target;
    const pgd_plan_seq *seq;
    pgd_slots slots;
    pgd_sample_out *sample_out;
    pgd_score_out *score_out;
    void *space;
    uint32_t n_rows, vocab;
    uint32_t first_sample, first_score; /* index of the first row's results */
} pgd_k_sample;
uint64_t pgd_k_sample_space(uint32_t max_rows, uint32_t vocab);
int pgd_k_run_logits_post(const pgd_k_sample *a, pgd_stream s);
int pgd_k_run_sample(const pgd_k_sample *a, pgd_stream s);

/* --- mask.cu: op logits_mask --- */

typedef struct pgd_k_logits_mask {
    float *logits; /* [n_rows, vocab] */
    const int32_t *row_tok, *row_seq, *row_target;
    const pgd_plan_seq *seq;
    const uint32_t *mask; /* [sequences with PGD_PLAN_MASK][vocab / 32 rounded up] */
    uint32_t n_rows, vocab;
} pgd_k_logits_mask;
int pgd_k_run_logits_mask(const pgd_k_logits_mask *a, pgd_stream s);

#ifdef __cplusplus
}
#endif

#endif
