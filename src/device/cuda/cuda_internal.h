/* Private face of the CUDA backend: the device, and what its files share. The kernels stand behind
 * launch.h; these files only name arguments, order calls and move bytes. */
#ifndef PGD_CUDA_INTERNAL_H
#define PGD_CUDA_INTERNAL_H

#include <cuda_runtime.h>

#include "launch.h"
#include "pagoda/device.h"
#include "pagoda/pool.h"

enum {
    PGD_CUDA_PAGE_TOKENS = 64,
    PGD_CUDA_LOGITS_ROWS = 256,
    PGD_CUDA_STAGES_BYTES = 64 << 20, /* both buffers on the device, while loading */
};

/* One of two buffers through which host memory is moved while loading. */
typedef struct pgd_cuda_stage {
    void *pinned;      /* host */
    void *device;      /* for what a kernel repacks */
    cudaEvent_t taken; /* the copy out of `pinned` has ended */
} pgd_cuda_stage;

typedef struct pgd_cuda_device {
    pgd_device base;
    cudaStream_t stream; /* the only one: what is enqueued takes effect in order */
    bool failed;
    char fatal[256]; /* when failed */
    cudaEvent_t begin[PGD_MAX_STEPS_IN_FLIGHT], end[PGD_MAX_STEPS_IN_FLIGHT];

    /* made by the first upload, freed before the first linear */
    pgd_cuda_stage stage[2];
    uint32_t next_stage;
    pgd_pool *readers; /* threads that fill a stage */
    bool packing;      /* weights were packed since the last wait: see cuda_load.c */

    pgd_k_attn_limits attn;
    uint32_t window;
    void *attn_space, *sample_space;
} pgd_cuda_device;

static inline pgd_cuda_device *pgd_cuda_of(pgd_device *d) {
    return (pgd_cuda_device *)(void *)d;
}

/* PGD_OK, or PGD_E_DEVICE after latching `what` and the error's text, when it is the first. */
pgd_status pgd_cuda_check(pgd_cuda_device *c, int e, const char *what);
/* Zeroed device memory, or NULL. */
void *pgd_cuda_alloc(pgd_device *d, uint64_t bytes);

/* Rows of the device's table, by file. */
void pgd_cuda_fill_load(pgd_device *d);  /* cuda_load.c */
void pgd_cuda_fill_steps(pgd_device *d); /* cuda_steps.c */
void pgd_cuda_fill_ops(pgd_device *d);   /* cuda_ops.c */
/* Wait for packed weights before the first kernel that reads them. */
pgd_status pgd_cuda_finish_packing(pgd_cuda_device *c);
void pgd_cuda_free_stages(pgd_cuda_device *c);

/* The device of the exported constant. */
pgd_status pgd_cuda_open(pgd_device **out, pgd_error *err);

#endif
