/* A compute device: memory, one table of operations, and steps. Opened by name; the table's rows
 * are asked for by the builder at load, so that a missing operation is a load error, never a
 * surprise in a step. The CPU backend fills every row with scalar C (the oracle) and overwrites
 * upward by instruction set.
 *
 * Operations, send, fetch and graph_launch are enqueued and take effect in the order of the calls;
 * `mark` puts a mark behind them and `done` asks whether the device has reached it. The CPU is done
 * with each before the call returns. All calls on one device come from its rank thread. */
#ifndef PAGODA_DEVICE_H
#define PAGODA_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/cpu.h"
#include "pagoda/ops.h"
#include "pagoda/pool.h"
#include "pagoda/status.h"
#include "pagoda/tensor.h"

typedef struct pgd_device_info {
    char name[96];
    uint32_t page_tokens_default, page_tokens_min, page_tokens_max; /* powers of two */
    uint32_t max_seqs_default, max_tokens_default;
    uint32_t logits_rows; /* rows of one pass of the head, at most */
    bool host_memory;     /* device memory is host memory: the host reads and writes it */
    uint64_t mem_total, mem_available; /* when it was opened */
} pgd_device_info;

enum { PGD_MAX_STEPS_IN_FLIGHT = 3 };

/* What a step may hold at most: sizes the device's own work space. */
typedef struct pgd_device_limits {
    pgd_plan_limits plan;
    uint32_t tile_rows; /* rows of one pass of the head: at most info.logits_rows */
    uint32_t n_heads, n_kv_heads, head_dim;
    uint32_t window; /* the widest of all layers; 0: some layer sees everything */
    pgd_dtype dtype; /* of the model */
} pgd_device_limits;

/* One weight matrix in the device's own layout, made by pack_linear. Shared read-only. */
typedef struct pgd_weight {
    uint32_t n, k; /* y[n] = W[n][k] x[k] */
    pgd_dtype dtype;
    uint32_t layout; /* private to the device */
    void *data;      /* owned by the device */
    uint64_t bytes;
} pgd_weight;

struct pgd_device {
    pgd_device_info info;
    pgd_op_fn op[PGD_OP_N]; /* NULL: not supported */

    /* Zeroed device memory, 64-byte aligned; NULL when there is none. */
    void *(*alloc)(pgd_device *d, uint64_t bytes);
    void (*free)(pgd_device *d, void *p, uint64_t bytes);
    pgd_status (*upload)(pgd_device *d, void *dst, const void *src, uint64_t bytes);
    pgd_status (*download)(pgd_device *d, void *dst, const void *src, uint64_t bytes);
    uint64_t (*mem_available)(pgd_device *d); /* now */

    /* The type of what enters a linear whose weights have this type. */
    pgd_dtype (*act_type)(pgd_device *d, pgd_dtype w_type);
    /* Bytes of work space that reserve will take. Errors: PGD_E_UNSUPPORTED for a shape that the
     * operations cannot run. */
    pgd_status (*work_space)(pgd_device *d, const pgd_device_limits *l, uint64_t *bytes,
                             pgd_error *err);
    /* Allocate it; once, before the first operation. Errors: PGD_E_NOMEM. */
    pgd_status (*reserve)(pgd_device *d, const pgd_device_limits *l, pgd_error *err);

    /* Whether linear can run with these types: x [.., k] of x_type, W of w_type. */
    bool (*supports_linear)(pgd_device *d, pgd_dtype x_type, pgd_dtype w_type);
    /* Pack n_parts row-major host matrices [rows_i, k], stacked along rows, into the device layout
     * of dtype w->dtype. interleave: 2 when rows of two equal parts alternate (gate_0, up_0,
     * gate_1,
     * ...) for the SwiGLU epilogue, else 1. A part with NULL data is filled with small random
     * values (dummy weights), a function of (seed, row, column). Errors: PGD_E_NOMEM. */
    pgd_status (*pack_linear)(pgd_device *d, const pgd_tensor *parts, uint32_t n_parts,
                              uint32_t interleave, pgd_dtype dtype, uint64_t seed, pgd_weight *out,
                              pgd_error *err);
    void (*free_weight)(pgd_device *d, pgd_weight *w);
    /* n values of `type`, uniform in [-1, 1): value i is a function of i alone, the same on every
     * device (the draws of pgd_rng_next from state 1). For dummy weights. */
    pgd_status (*fill_uniform)(pgd_device *d, void *dst, pgd_dtype type, uint64_t n);

    /* Bytes of one KV page of one layer (0: this shape is not supported), and of the pool: page p
     * of layer l starts at l * n_pages * page_bytes + p * page_bytes (CPU). */
    uint64_t (*kv_page_bytes)(pgd_device *d, uint32_t n_kv_heads, uint32_t head_dim,
                              uint32_t page_tokens, pgd_dtype kv_type);
    /* --- steps --- */

    /* Host memory from which send and to which fetch copies at full speed: plans and results.
     * Zeroed, 64-byte aligned; NULL when there is none. Any thread may read and write it. */
    void *(*host_alloc)(pgd_device *d, uint64_t bytes);
    void (*host_free)(pgd_device *d, void *p, uint64_t bytes);
    pgd_status (*send)(pgd_device *d, void *dst, const void *src, uint64_t bytes);
    pgd_status (*fetch)(pgd_device *d, void *dst, const void *src, uint64_t bytes);
    /* i < PGD_MAX_STEPS_IN_FLIGHT: begin before and mark behind the work of a step. done: whether
     * the device has reached the mark; true as well once the device has failed (see fatal).
     * step_ns: the device's time between the two, after done. */
    pgd_status (*begin)(pgd_device *d, uint32_t i);
    pgd_status (*mark)(pgd_device *d, uint32_t i);
    bool (*done)(pgd_device *d, uint32_t i);
    uint64_t (*step_ns)(pgd_device *d, uint32_t i);
    /* Wait for all that was enqueued. */
    void (*sync)(pgd_device *d);

    /* Operations between graph_begin and graph_end are recorded, not run; graph_launch runs them
     * with the arguments they had. NULL: the device has no use for it. *out: graph_free. */
    pgd_status (*graph_begin)(pgd_device *d);
    pgd_status (*graph_end)(pgd_device *d, void **out);
    pgd_status (*graph_launch)(pgd_device *d, void *graph);
    void (*graph_free)(pgd_device *d, void *graph);

    /* NULL, or what went wrong on the device for good (sticky). */
    const char *(*fatal)(pgd_device *d);
    void (*close)(pgd_device *d);
};

typedef struct pgd_cpu_options {
    uint32_t n_threads; /* 0: all cores */
    int32_t isa;        /* a pgd_isa, or -1: best there is; more than there is: PGD_E_UNSUPPORTED */
} pgd_cpu_options;
pgd_status pgd_device_open_cpu(const pgd_cpu_options *opt, pgd_device **out, pgd_error *err);
/* The pool of a CPU device (for benchmarks). */
pgd_pool *pgd_device_cpu_pool(pgd_device *d);

/* The first CUDA device, by libpagoda_cuda.so beside the executable or in ../lib/pagoda. Errors,
 * each one sentence: PGD_E_NOT_FOUND (no library, no driver, no GPU), PGD_E_UNSUPPORTED (a library
 * of another build, a GPU older than the kernels), PGD_E_DEVICE. */
pgd_status pgd_device_open_cuda(pgd_device **out, pgd_error *err);

#endif
