/* The program of a model: a flat array of operations with bound arguments, built once. */
#ifndef PAGODA_EXEC_PROGRAM_H
#define PAGODA_EXEC_PROGRAM_H

#include "devmem.h"
#include "loader.h"
#include "pagoda/clock.h"
#include "pagoda/ops.h"
#include "pagoda/plan.h"
#include "pagoda/str.h"
#include "slots.h"

typedef struct program_op {
    pgd_op op;
    pgd_op_fn fn;
    const char *name;   /* "layer.qkv": what it computes, static */
    int32_t layer;      /* -1: not of a layer */
    uint64_t calls, ns; /* counted when the program has a clock */
    union {
        pgd_embed_args embed;
        pgd_norm_args norm;
        pgd_linear_args linear;
        pgd_qkv_post_args qkv_post;
        pgd_attn_args attn;
        pgd_gather_args gather;
        pgd_logits_post_args logits_post;
        pgd_sample_args sample;
    } args;
} program_op;

/* KV pages of all layers: page p of layer l starts at kv + (l * n_pages + p) * page_bytes. */
typedef struct kv_pool {
    void *kv;
    pgd_dtype type;
    uint32_t n_layers, n_pages, page_tokens, n_kv_heads, head_dim;
    uint64_t page_bytes;
} kv_pool;

/* Buffers between operations; T = max_tokens, R = tile of logits rows. */
typedef struct workspace {
    pgd_tensor h;        /* [T, d_model] f32: the residual stream */
    pgd_tensor normed;   /* [T, d_model] act */
    pgd_tensor qkv;      /* [T, (Hq + 2 Hkv) D] f32 */
    pgd_tensor q;        /* [T, Hq D] act */
    pgd_tensor attn;     /* [T, Hq D] act */
    pgd_tensor ff;       /* [T, d_ff] act */
    pgd_tensor rows;     /* [R, d_model] f32 */
    pgd_tensor rows_act; /* [R, d_model] act */
    pgd_tensor logits;   /* [R, vocab] f32 */
    pgd_tensor cos, sin; /* [max_model_len, rotary_dim / 2] f32 */
} workspace;

enum { PROGRAM_TILE_ROWS = 64 };

typedef struct program {
    pgd_device *dev;
    program_op *op; /* owned, [n_ops]: [0, n_body) run over the tokens, the rest per tile */
    uint32_t n_ops, cap, n_body;
    uint32_t tile_rows;
    workspace ws;
    kv_pool kv;
    const pgd_clock *clock; /* borrowed; NULL: operations are not timed */
} program;

/* Bytes that the workspace of program_build takes. */
uint64_t workspace_bytes(const pgd_model_spec *s, uint32_t max_tokens, uint32_t max_model_len);

/* Build the program. kv must be filled; weights, device and kv memory are borrowed and outlive the
 * program. Errors: PGD_E_UNSUPPORTED naming the missing op or types, PGD_E_NOMEM.
 * Thread: the rank's. */
pgd_status program_build(program *p, const pgd_model_spec *s, const exec_weights *w, devmem *mem,
                         uint32_t max_tokens, uint32_t max_model_len, pgd_error *err);
void program_fini(program *p);

/* Where a step's results go: as many entries as the plan wants. Host memory. */
typedef struct step_out {
    pgd_sample_out *sample;
    pgd_score_out *score;
} step_out;

/* Apply and run a checked plan. Allocates nothing. Returns PGD_E_DEVICE when the device failed. */
pgd_status program_run(program *p, const pgd_plan *plan, step_buffers *step, pgd_slots *slots,
                       const step_out *out);

/* The text of pgd_exec_describe. */
void program_describe(const program *p, pgd_buf *out);

#endif
