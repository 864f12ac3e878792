/* The operations of a decoder. Each has a POD argument struct whose tensors are bound once by the
 * builder; what changes from step to step comes in pgd_step_view. Every row's comment is its
 * contract: formula, shapes, types, rounding. Accumulation is f32 in one fixed order that depends
 * on the shapes and on absolute positions only, never on the number of rows, the split into chunks
 * or the number of threads: the same row gives the same bits in any batch (within one instruction
 * set level).
 *
 * Types: the residual stream h and logits are f32; what enters a linear (`act`) has the type that
 * the device's act_type names (rounded once, by the op that writes it): bf16 when the weights are
 * bf16; for f16 weights f32 on the CPU and f16 on CUDA; f32 for f32 weights, which CUDA does not
 * take. KV pages hold bf16 for bf16 models, f16 for f16 models, f32 for f32 models.
 *
 * Tolerances (tests/ops/checkops holds every level to them) are against exact arithmetic on the
 * same inputs; to them comes the rounding of the output type, 2^-8 of the value for bf16. */
#ifndef PAGODA_OPS_H
#define PAGODA_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/plan.h"
#include "pagoda/sampling.h"
#include "pagoda/status.h"
#include "pagoda/tensor.h"

typedef struct pgd_device pgd_device;
typedef struct pgd_weight pgd_weight;

/* Per-slot state that lives on the device between steps. One allocation each, indexed by slot. */
typedef struct pgd_slots {
    uint32_t max_slots, max_pages, vocab_size;
    int32_t *page_table;    /* [max_slots][max_pages] */
    int32_t *last_token;    /* [max_slots] sampled last */
    pgd_sampling *sampling; /* [max_slots] */
    uint32_t *n_prompt;     /* [max_slots] */
    uint16_t *counts;       /* [max_slots][vocab]: times generated (15 bits), 0x8000 = in prompt */
    pgd_bias *bias;         /* [max_slots][PGD_MAX_BIAS] */
    uint32_t *n_bias;       /* [max_slots] */
} pgd_slots;

/* The step as the device sees it. Arrays are device memory, valid for the step. Where a step runs
 * as a recorded graph, the counts are those of the graph: rows past the plan's hold -1 and
 * sequences past it no rows; operations skip them, or compute what nobody reads. */
typedef struct pgd_step_view {
    uint32_t n_tok, n_seq;
    uint32_t n_rows;           /* rows whose logits are wanted */
    uint32_t max_new;          /* no sequence has more rows; 1: decode only */
    const pgd_plan_seq *seq;   /* [n_seq] */
    const int32_t *ids;        /* [n_tok] after late ids were filled in */
    const int32_t *pos;        /* [n_tok] absolute positions */
    const int32_t *tok_seq;    /* [n_tok] index into seq */
    const int32_t *row_tok;    /* [n_rows] token index of each logits row, ascending */
    const int32_t *row_seq;    /* [n_rows] index into seq */
    const int32_t *row_target; /* [n_rows] scored token id, or -1: this row samples */
    const pgd_slots *slots;
    uint32_t page_tokens; /* a power of two */
    const uint32_t *mask; /* rows of the late part, [n_mask][pgd_mask_words]; NULL: none */
} pgd_step_view;

/* y[i] = table[ids[i]]; table [vocab, d] any float type, y [n_tok, d] f32. */
typedef struct pgd_embed_args {
    pgd_tensor table, y;
} pgd_embed_args;

/* RMSNorm: y = round(x / sqrt(mean(x^2) + eps) * w). x [n, d] f32, w [d] f32, y [n, d] act; y may
 * be x. rows: 0 = n_tok rows, 1 = n_rows rows. The sum of squares runs in one fixed order.
 * Tolerance: 2^-20 of the value. */
typedef struct pgd_norm_args {
    pgd_tensor x, w, y;
    float eps;
    uint32_t over_rows;
} pgd_norm_args;

typedef enum pgd_epilogue {
    PGD_EPI_NONE,     /* y = W x + b */
    PGD_EPI_RESIDUAL, /* y += W x + b, y f32 */
    PGD_EPI_SWIGLU,   /* rows of W alternate gate, up: y[j] = act(g_j) * u_j, y [n, N/2];
                         W packed with interleave 2, which no other epilogue takes */
} pgd_epilogue;

/* y [n, N] from x [n, k]; x act with W; y f32 or act, rounded once. bias [N] f32 in the order of
 * W's rows, or data NULL. Products are added over k in order into one accumulator per output.
 * Tolerance: 2^-17 of the sum of |w x| (SWIGLU: of each factor).
 */
typedef struct pgd_linear_args {
    pgd_tensor x, y, bias;
    const pgd_weight *w;
    pgd_epilogue epilogue;
    uint32_t gelu;      /* SWIGLU: gate activation 0 silu, 1 gelu tanh */
    uint32_t over_rows; /* 0: n_tok rows, 1: n_rows rows (lm head) */
} pgd_linear_args;

/* Split qkv [n_tok, (Hq + 2 Hkv) D] f32; RMSNorm q and k per head when q_norm.data is set; rotate
 * the first rotary_dim of each head (halves layout, x1 cos - x2 sin, x2 cos + x1 sin) by tables
 * cos/sin [max_position, rotary_dim / 2] f32; write q [n_tok, Hq, D] act, and k, v into the pages
 * of the token's slot. The layout of a page is the device's own (CPU: src/device/cpu/op_rope_kv.c).
 * qkv is work space: its contents are undefined afterwards. head_dim is at most 512 on the CPU.
 * Tolerance: 2^-20 of the largest element. */
typedef struct pgd_qkv_post_args {
    pgd_tensor qkv, q, q_norm, k_norm, cos, sin;
    void *kv; /* pages of this layer */
    pgd_dtype kv_type;
    uint32_t n_heads, n_kv_heads, head_dim, rotary_dim;
    uint64_t page_bytes;
    float eps;
} pgd_qkv_post_args;

/* Causal attention of q over the pages of its sequence: softmax(scale q k) v with f32 accumulation
 * over blocks of positions at fixed absolute places, combined in order. window: a query at p sees
 * positions > p - window; 0 = all. out [n_tok, Hq D] act. The result does not depend on the page
 * size. Tolerance: 1e-5 of the largest |v|. */
typedef struct pgd_attn_args {
    pgd_tensor q, out;
    const void *kv;
    pgd_dtype kv_type;
    uint32_t n_heads, n_kv_heads, head_dim;
    uint32_t window;
    uint64_t page_bytes;
    float scale;
} pgd_attn_args;

/* y[r] = x[row_tok[r]]; [.., d] f32. */
typedef struct pgd_gather_args {
    pgd_tensor x, y;
} pgd_gather_args;

/* logits [n_rows, vocab] f32 in place, sampling rows only (row_target < 0): bias, min-tokens mask
 * (-inf on stop ids while generated < min_tokens), penalties from counts. Scored rows stay raw.
 * The number of generated tokens is pos + 1 - n_prompt of the slot. */
typedef struct pgd_logits_post_args {
    pgd_tensor logits;
} pgd_logits_post_args;

/* logits [n_rows, vocab] f32 in place: in sampling rows of sequences with PGD_PLAN_MASK, -inf for
 * every token whose bit of step.mask is 0. The mask row of sequence i is the number of such
 * sequences before it. Behind logits_post, and only in steps that have masks; a device that lacks
 * it serves no grammars. */
typedef struct pgd_logits_mask_args {
    pgd_tensor logits;
} pgd_logits_mask_args;

/* For each row: a sampling row draws argmax_i(logit_i / T + gumbel(seed, choice, position, i)) over
 * the tokens that min-p, top-k and top-p keep (position = pos + 1, purpose PGD_RNG_SAMPLE), or the
 * argmax when greedy; writes sample_out, last_token, and counts the token when penalties are on. A
 * scored row writes score_out. Logprobs: logit - logsumexp of the processed logits before
 * temperature. top lists: descending, ties by lower id, tokens at -inf left out. Sampled rows with
 * NaN or +inf, or with nothing but -inf, set PGD_OUT_BAD_LOGITS (token 0); such a scored row has
 * logprob NaN.
 *
 * Kept set, on z = (logit - max) / T: min-p keeps z >= max + ln(min_p); of those top-k keeps the k
 * largest; of those top-p keeps the smallest set of the largest whose mass reaches top_p of theirs,
 * at least one token. Ties at an edge go to the lower ids. Mass is counted in units of 2^-30 of the
 * most likely token's. Equal logits give equal tokens and logprobs at every level. Tolerance of
 * logprobs: 2e-5. Logits are only read. The CPU reserves its work space for a row of vocab logits
 * when a weight of that many rows (the lm head) is packed. */
typedef struct pgd_sample_args {
    pgd_tensor logits;
    pgd_sample_out *sample_out; /* in order of sampling rows */
    pgd_score_out *score_out;   /* in order of scored rows */
} pgd_sample_args;

/* Copy the first n_tokens of pages, all layers of one pool of n_layers * n_pages pages. */
typedef struct pgd_kv_copy_args {
    void *kv;
    pgd_dtype kv_type;
    uint32_t n_layers, n_pages, n_kv_heads, head_dim, page_tokens;
    uint64_t page_bytes;
    const pgd_plan_copy *copy; /* in the plan in device memory */
    uint32_t n_copy;
} pgd_kv_copy_args;

/* Apply a plan's slot inits and page-table diffs to the slots; counts are rebuilt from the history
 * when the sequence has penalties. */
typedef struct pgd_slots_apply_args {
    const pgd_plan *plan; /* device memory */
    const pgd_plan *host; /* the same in host memory: counts and offsets */
    pgd_slots *slots;
} pgd_slots_apply_args;

/* Spread the sequences of the plan over the arrays of the step (those that the view names), late
 * ids included: they come from last_token. Logits rows, in order of tokens: of a PGD_PLAN_SCORE
 * sequence every row with a known next token, of a PGD_PLAN_SAMPLE sequence the last. The counts
 * are the view's, at least the plan's; what is past the plan's becomes -1, or an empty sequence. */
typedef struct pgd_step_fill_args {
    const pgd_plan *plan;                    /* device memory */
    pgd_plan_seq *seq;                       /* [n_seq] */
    int32_t *ids, *pos, *tok_seq;            /* [n_tok] */
    int32_t *row_tok, *row_seq, *row_target; /* [n_rows] */
} pgd_step_fill_args;

#define PGD_OPS(X)                                                                                 \
    X(EMBED, embed)                                                                                \
    X(NORM, norm)                                                                                  \
    X(LINEAR, linear)                                                                              \
    X(QKV_POST, qkv_post)                                                                          \
    X(ATTN, attn)                                                                                  \
    X(GATHER, gather)                                                                              \
    X(LOGITS_POST, logits_post)                                                                    \
    X(LOGITS_MASK, logits_mask)                                                                    \
    X(SAMPLE, sample)                                                                              \
    X(KV_COPY, kv_copy)                                                                            \
    X(SLOTS_APPLY, slots_apply)                                                                    \
    X(STEP_FILL, step_fill)

typedef enum pgd_op {
#define PGD_OP_ENUM(U, l) PGD_OP_##U,
    PGD_OPS(PGD_OP_ENUM)
#undef PGD_OP_ENUM
        PGD_OP_N
} pgd_op;

/* args: the op's struct above. Returns PGD_OK, or PGD_E_DEVICE after the device latched an error.
 */
typedef pgd_status (*pgd_op_fn)(pgd_device *d, const void *args, const pgd_step_view *step);

const char *pgd_op_name(pgd_op op);

#endif
