/* The CUDA device: opening, memory, work space, and the latch of errors.
 *
 * One GPU, one stream, one thread: the rank's. A CUDA error ends the context's use, so the first
 * one is kept as text and every later call returns PGD_E_DEVICE without touching the device again;
 * only a failed allocation is an answer and not a failure. Nothing is allocated after `reserve` and
 * loading. This object does not log: it lives in a library with its own copy of src/base, and what
 * it has to say goes out in errors. */
#include "cuda_internal.h"

#include <stdio.h>
#include <string.h>

#include "cuda_library.h"
#include "pagoda/mem.h"

enum { MIN_MAJOR = 9 };

pgd_status pgd_cuda_check(pgd_cuda_device *c, int e, const char *what) {
    if (e == cudaSuccess) return PGD_OK;
    if (!c->failed)
        (void)snprintf(c->fatal, sizeof c->fatal, "%s: %s (%s)", what,
                       cudaGetErrorString((cudaError_t)e), cudaGetErrorName((cudaError_t)e));
    c->failed = true;
    return PGD_E_DEVICE;
}

void *pgd_cuda_alloc(pgd_device *d, uint64_t bytes) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    void *p = NULL;
    if (c->failed) return NULL;
    const cudaError_t e = cudaMalloc(&p, bytes);
    if (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError(); /* an answer: later calls are not to find it */
        return NULL;
    }
    if (pgd_cuda_check(c, (int)e, "allocating device memory") != PGD_OK) return NULL;
    if (pgd_cuda_check(c, (int)cudaMemsetAsync(p, 0, bytes, c->stream), "clearing memory") ==
        PGD_OK)
        return p;
    (void)cudaFree(p);
    return NULL;
}

static void cuda_free(pgd_device *d, void *p, uint64_t bytes) {
    (void)d;
    (void)bytes;
    (void)cudaFree(p); /* after a failure this fails too, and the process ends soon */
}

static uint64_t cuda_mem_available(pgd_device *d) {
    size_t left = 0, total = 0;
    if (pgd_cuda_of(d)->failed || cudaMemGetInfo(&left, &total) != cudaSuccess) return 0;
    return left;
}

static const char *cuda_fatal(pgd_device *d) {
    const pgd_cuda_device *const c = pgd_cuda_of(d);
    return c->failed ? c->fatal : NULL;
}

/* --- shapes and work space -------------------------------------------------------------------- */

static pgd_dtype cuda_act_type(pgd_device *d, pgd_dtype w_type) {
    (void)d;
    return w_type;
}

static bool cuda_supports_linear(pgd_device *d, pgd_dtype x_type, pgd_dtype w_type) {
    (void)d;
    return x_type == w_type && (w_type == PGD_BF16 || w_type == PGD_F16);
}

static uint64_t cuda_kv_page_bytes(pgd_device *d, uint32_t n_kv_heads, uint32_t head_dim,
                                   uint32_t page_tokens, pgd_dtype kv_type) {
    (void)d;
    if (page_tokens != PGD_CUDA_PAGE_TOKENS || (kv_type != PGD_BF16 && kv_type != PGD_F16) ||
        !head_dim || head_dim % 16)
        return 0;
    return 2ULL * n_kv_heads * page_tokens * head_dim * pgd_dtype_bytes(kv_type);
}

static pgd_k_attn_limits attn_limits(const pgd_device_limits *l) {
    return (pgd_k_attn_limits){.max_seqs = l->plan.max_seqs,
                               .max_tokens = l->plan.max_tokens,
                               .max_pages_per_seq = l->plan.max_pages_per_seq,
                               .n_pages = l->plan.n_pages,
                               .n_heads = l->n_heads,
                               .n_kv_heads = l->n_kv_heads,
                               .head_dim = l->head_dim,
                               .type = l->dtype};
}

static pgd_status cuda_work_space(pgd_device *d, const pgd_device_limits *l, uint64_t *bytes,
                                  pgd_error *err) {
    const pgd_k_attn_limits a = attn_limits(l);
    const uint64_t attn = pgd_k_attn_space(&a);
    if (!attn)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "device %s has no attention for %u query heads over %u heads of size %u "
                        "in %s",
                        d->info.name, l->n_heads, l->n_kv_heads, l->head_dim,
                        pgd_dtype_name(l->dtype));
    *bytes = attn + pgd_k_sample_space(l->tile_rows, l->plan.vocab_size) + PGD_CUDA_STAGES_BYTES;
    return PGD_OK;
}

static pgd_status reserve_one(pgd_cuda_device *c, const char *what, uint64_t bytes, void **out,
                              pgd_error *err) {
    *out = bytes ? pgd_cuda_alloc(&c->base, bytes) : NULL;
    if (*out || !bytes) return PGD_OK;
    return pgd_fail(err, PGD_E_NOMEM, "%s: the device has no room for %llu bytes", what,
                    (unsigned long long)bytes);
}

static pgd_status cuda_reserve(pgd_device *d, const pgd_device_limits *l, pgd_error *err) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    c->attn = attn_limits(l);
    c->window = l->window;
    PGD_TRY(
        reserve_one(c, "work space of attention", pgd_k_attn_space(&c->attn), &c->attn_space, err));
    PGD_TRY(reserve_one(c, "work space of sampling",
                        pgd_k_sample_space(l->tile_rows, l->plan.vocab_size), &c->sample_space,
                        err));
    if (pgd_cuda_check(c, pgd_k_attn_init(&c->attn), "preparing attention") == PGD_OK)
        return PGD_OK;
    return pgd_fail(err, PGD_E_DEVICE, "%s", c->fatal);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void cuda_close(pgd_device *d) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (c->stream) (void)cudaStreamSynchronize(c->stream);
    pgd_cuda_free_stages(c);
    (void)cudaFree(c->attn_space);
    (void)cudaFree(c->sample_space);
    for (uint32_t i = 0; i < PGD_MAX_STEPS_IN_FLIGHT; i++) {
        if (c->begin[i]) (void)cudaEventDestroy(c->begin[i]);
        if (c->end[i]) (void)cudaEventDestroy(c->end[i]);
    }
    if (c->stream) (void)cudaStreamDestroy(c->stream);
    pgd_free(c);
}

static pgd_status find_gpu(pgd_error *err) {
    int n = 0;
    const cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaErrorInsufficientDriver)
        return pgd_fail(err, PGD_E_NOT_FOUND,
                        "no NVIDIA driver, or one older than CUDA %d.%d needs",
                        CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100);
    if (e == cudaErrorNoDevice || (e == cudaSuccess && n == 0))
        return pgd_fail(err, PGD_E_NOT_FOUND, "the NVIDIA driver sees no GPU");
    if (e != cudaSuccess)
        return pgd_fail(err, PGD_E_DEVICE, "the NVIDIA driver does not answer: %s",
                        cudaGetErrorString(e));
    return PGD_OK;
}

static pgd_status describe(pgd_cuda_device *c, pgd_error *err) {
    struct cudaDeviceProp prop;
    size_t left = 0, total = 0;
    pgd_device_info *const i = &c->base.info;
    if (pgd_cuda_check(c, (int)cudaSetDevice(0), "opening the GPU") != PGD_OK ||
        pgd_cuda_check(c, (int)cudaGetDeviceProperties(&prop, 0), "asking the GPU") != PGD_OK)
        return pgd_fail(err, PGD_E_DEVICE, "%s", c->fatal);
    if (prop.major < MIN_MAJOR)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "%s has compute capability %d.%d, the kernels need %d.0", prop.name,
                        prop.major, prop.minor, MIN_MAJOR);
    if (pgd_cuda_check(c, (int)cudaMemGetInfo(&left, &total), "asking for memory") != PGD_OK)
        return pgd_fail(err, PGD_E_DEVICE, "%s", c->fatal);
    (void)snprintf(i->name, sizeof i->name, "cuda %.60s, sm_%d%d", prop.name, prop.major,
                   prop.minor);
    i->page_tokens_default = i->page_tokens_min = i->page_tokens_max = PGD_CUDA_PAGE_TOKENS;
    i->max_seqs_default = 256;
    i->max_tokens_default = 8192;
    i->logits_rows = PGD_CUDA_LOGITS_ROWS;
    i->host_memory = false;
    i->mem_total = total;
    i->mem_available = left;
    return PGD_OK;
}

/* Whether this GPU runs the kernels that were built: a kernel is tried, on 64 bytes. */
static pgd_status try_kernel(pgd_cuda_device *c, pgd_error *err) {
    void *const p = pgd_cuda_alloc(&c->base, 64);
    const pgd_k_fill a = {.dst = p, .type = PGD_F32, .n = 16};
    int e = p ? pgd_k_run_fill(&a, c->stream) : (int)cudaErrorMemoryAllocation;
    if (!e) e = (int)cudaStreamSynchronize(c->stream);
    if (p) (void)cudaFree(p);
    if (e == cudaErrorNoKernelImageForDevice)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "the kernels were not built for %s",
                        c->base.info.name);
    if (!e) e = pgd_k_linear_init();
    if (pgd_cuda_check(c, e, "the first kernel") == PGD_OK) return PGD_OK;
    return pgd_fail(err, PGD_E_DEVICE, "%s: %s", c->base.info.name, c->fatal);
}

static pgd_status make_stream(pgd_cuda_device *c, pgd_error *err) {
    cudaError_t e = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);
    for (uint32_t i = 0; i < PGD_MAX_STEPS_IN_FLIGHT; i++) {
        if (e == cudaSuccess) e = cudaEventCreate(&c->begin[i]);
        if (e == cudaSuccess) e = cudaEventCreate(&c->end[i]);
    }
    if (pgd_cuda_check(c, (int)e, "making a stream") == PGD_OK) return PGD_OK;
    return pgd_fail(err, PGD_E_DEVICE, "%s", c->fatal);
}

static void fill_base(pgd_device *b) {
    b->alloc = pgd_cuda_alloc;
    b->free = cuda_free;
    b->mem_available = cuda_mem_available;
    b->act_type = cuda_act_type;
    b->work_space = cuda_work_space;
    b->reserve = cuda_reserve;
    b->supports_linear = cuda_supports_linear;
    b->kv_page_bytes = cuda_kv_page_bytes;
    b->fatal = cuda_fatal;
    b->close = cuda_close;
    pgd_cuda_fill_load(b);
    pgd_cuda_fill_steps(b);
    pgd_cuda_fill_ops(b);
}

pgd_status pgd_cuda_open(pgd_device **out, pgd_error *err) {
    PGD_TRY(find_gpu(err));
    pgd_cuda_device *const c = pgd_calloc(1, sizeof *c);
    if (!c) return pgd_fail(err, PGD_E_NOMEM, "no memory for the device");
    fill_base(&c->base);
    pgd_status s = describe(c, err);
    if (s == PGD_OK) s = make_stream(c, err);
    if (s == PGD_OK) s = try_kernel(c, err);
    if (s != PGD_OK) {
        cuda_close(&c->base);
        return s;
    }
    *out = &c->base;
    return PGD_OK;
}

/* What the library exports. */
extern const pgd_cuda_library pagoda_cuda;
__attribute__((visibility("default")))
const pgd_cuda_library pagoda_cuda = {PGD_BUILD_ID, pgd_cuda_open};
