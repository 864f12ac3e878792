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

/* Recorded steps in which every sequence has one token: graphs.c. */
enum { GRAPHS_MAX = 40 };
typedef struct step_graphs {
    uint32_t n;
    uint32_t rows[GRAPHS_MAX]; /* ascending: most sequences of each */
    void *body[GRAPHS_MAX], *head[GRAPHS_MAX];
} step_graphs;

typedef struct program {
    pgd_device *dev;
    program_op *op; /* owned, [n_ops]: [0, n_body) run over the tokens, the rest per tile */
    uint32_t n_ops, cap, n_body;
    uint32_t tile_rows;
    workspace ws;
    kv_pool kv;
    pgd_slots slots;
    step_buffers bufs;
    step_graphs graphs;
    const pgd_clock *clock; /* borrowed; NULL: operations are not timed */
} program;

/* Rows of one pass of the head. */
uint32_t program_tile_rows(const pgd_device *dev, uint32_t max_tokens);
/* Device memory that program_build takes. */
uint64_t program_bytes(pgd_device *dev, const pgd_model_spec *s, const pgd_plan_limits *lim,
                       uint32_t max_model_len);

/* Build the program, with slots and step buffers. kv must be filled; weights, device and kv memory
 * are borrowed and outlive the program. Errors: PGD_E_UNSUPPORTED naming the missing op or types,
 * PGD_E_NOMEM. Thread: the rank's. */
pgd_status program_build(program *p, const pgd_model_spec *s, const exec_weights *w, devmem *mem,
                         const pgd_plan_limits *lim, uint32_t max_model_len, pgd_error *err);
void program_fini(program *p);

/* Where a step's results go: as many entries as the plan wants. host_alloc memory, complete when
 * the step is done. */
typedef struct step_out {
    pgd_sample_out *sample;
    pgd_score_out *score;
    void *hidden; /* rows of rows_act in a step that wants them; NULL: not wanted */
} step_out;

/* A step between its body and its head. */
typedef struct program_step {
    const pgd_plan *plan; /* borrowed until the device is done with the step */
    pgd_step_view view;
    int32_t graph; /* index, or -1 */
} program_step;

/* Enqueue a checked plan, in two parts: all up to the residual stream of the last layer, then what
 * the logits need and the results. The plan and its late part (NULL where it has none) are
 * host_alloc memory. Allocates nothing. Returns PGD_E_DEVICE when the device failed. */
pgd_status program_launch_body(program *p, const pgd_plan *plan, program_step *out);
pgd_status program_launch_head(program *p, const program_step *s, const pgd_plan_late *late,
                               const step_out *out);

/* The operations of both parts, for a view whose plan the device has; results stay in bufs. plan:
 * of the results, or NULL when they are one tile. hidden: where the states of all rows go, or NULL.
 */
pgd_status program_run_body(program *p, const pgd_step_view *view);
pgd_status program_run_head(program *p, const pgd_step_view *view, const pgd_plan *plan,
                            void *hidden);
/* Whether a sequence of the plan asks for hidden states. */
bool program_wants_hidden(const pgd_plan *plan);

/* Record graphs for steps of one token a sequence. Nothing where the device records none. Errors:
 * PGD_E_DEVICE. */
pgd_status graphs_capture(program *p, const pgd_plan_limits *lim, pgd_error *err);
/* The graph for a step, or -1. */
int32_t graphs_find(const step_graphs *g, const pgd_plan *plan, uint32_t max_new);
void graphs_free(program *p);

/* The text of pgd_exec_describe. */
void program_describe(const program *p, pgd_buf *out);

#endif
