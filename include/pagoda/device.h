/* A compute device: memory, and one table of operations. Opened by name; the table's rows are asked
 * for by the builder at load, so that a missing operation is a load error, never a surprise in a
 * step. The CPU backend fills every row with scalar C (the oracle) and overwrites upward by
 * instruction set. All calls on one device come from its rank thread. */
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
    uint64_t mem_total, mem_available;
} pgd_device_info;

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

    /* Bytes of one KV page of one layer (0: this shape is not supported), and of the pool: page p
     * of layer l starts at l * n_pages * page_bytes + p * page_bytes (CPU). */
    uint64_t (*kv_page_bytes)(pgd_device *d, uint32_t n_kv_heads, uint32_t head_dim,
                              uint32_t page_tokens, pgd_dtype kv_type);
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

#endif
