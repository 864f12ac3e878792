/* Weights to the device.
 *
 * Host memory goes through two pinned buffers in turn: while the copy engine empties one, some
 * threads fill the other, since one alone reads a mapped file at a tenth of what PCIe carries. A
 * matrix also passes a buffer on the device, from which the pack kernel writes the fragments that
 * the tensor cores read; the stream orders its reuse. Weights without data are made on the device.
 *
 * The linear kernels read weights before they wait for the kernel in front of them (they are
 * constants), so the first of them waits on the host for what was packed. Thread: the rank's. */
#include "cuda_internal.h"

#include <string.h>

enum { STAGE_BYTES = PGD_CUDA_STAGES_BYTES / 2, PIECE_BYTES = 512 << 10, N_READERS = 8 };

static pgd_status make_stages(pgd_cuda_device *c) {
    if (!c->readers && pgd_pool_create(&c->readers, N_READERS) != PGD_OK)
        return pgd_cuda_check(c, (int)cudaErrorMemoryAllocation, "starting reader threads");
    for (uint32_t i = 0; i < 2; i++) {
        pgd_cuda_stage *const g = &c->stage[i];
        if (g->taken) continue;
        if (!g->pinned &&
            pgd_cuda_check(c, (int)cudaHostAlloc(&g->pinned, STAGE_BYTES, cudaHostAllocDefault),
                           "allocating pinned memory") != PGD_OK)
            return PGD_E_DEVICE;
        if (!g->device && pgd_cuda_check(c, (int)cudaMalloc(&g->device, STAGE_BYTES),
                                         "allocating the load buffers") != PGD_OK)
            return PGD_E_DEVICE;
        if (pgd_cuda_check(c, (int)cudaEventCreateWithFlags(&g->taken, cudaEventDisableTiming),
                           "making an event") != PGD_OK)
            return PGD_E_DEVICE;
    }
    return PGD_OK;
}

void pgd_cuda_free_stages(pgd_cuda_device *c) {
    pgd_pool_destroy(&c->readers);
    for (uint32_t i = 0; i < 2; i++) {
        pgd_cuda_stage *const g = &c->stage[i];
        if (g->pinned) (void)cudaFreeHost(g->pinned);
        if (g->device) (void)cudaFree(g->device);
        if (g->taken) (void)cudaEventDestroy(g->taken);
        *g = (pgd_cuda_stage){0};
    }
}

typedef struct read_job {
    char *dst;
    const char *src;
    uint64_t bytes;
} read_job;

static void read_pieces(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const read_job *const j = arg;
    const uint64_t from = begin * PIECE_BYTES, to = end * PIECE_BYTES;
    (void)thread;
    memcpy(j->dst + from, j->src + from, (to < j->bytes ? to : j->bytes) - from);
}

/* Copy at most STAGE_BYTES of host memory to dst (NULL: to the buffer on the device); enqueued. */
static pgd_status stage(pgd_cuda_device *c, void *dst, const void *src, uint64_t bytes,
                        const void **on_device) {
    PGD_TRY(make_stages(c));
    pgd_cuda_stage *const g = &c->stage[c->next_stage];
    c->next_stage ^= 1U;
    PGD_TRY(pgd_cuda_check(c, (int)cudaEventSynchronize(g->taken), "waiting for a copy"));
    read_job job = {.dst = g->pinned, .src = src, .bytes = bytes};
    pgd_pool_for(c->readers, (bytes + PIECE_BYTES - 1) / PIECE_BYTES, 1, read_pieces, &job);
    void *const to = dst ? dst : g->device;
    PGD_TRY(pgd_cuda_check(
        c, (int)cudaMemcpyAsync(to, g->pinned, bytes, cudaMemcpyHostToDevice, c->stream),
        "copying to the device"));
    if (on_device) *on_device = to;
    return pgd_cuda_check(c, (int)cudaEventRecord(g->taken, c->stream), "recording an event");
}

static pgd_status wait_stream(pgd_cuda_device *c, const char *what) {
    return pgd_cuda_check(c, (int)cudaStreamSynchronize(c->stream), what);
}

static pgd_status cuda_upload(pgd_device *d, void *dst, const void *src, uint64_t bytes) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (c->failed) return PGD_E_DEVICE;
    for (uint64_t at = 0; at < bytes; at += STAGE_BYTES) {
        const uint64_t n = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        PGD_TRY(stage(c, (char *)dst + at, (const char *)src + at, n, NULL));
    }
    return wait_stream(c, "uploading");
}

static pgd_status cuda_download(pgd_device *d, void *dst, const void *src, uint64_t bytes) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (c->failed) return PGD_E_DEVICE;
    PGD_TRY(pgd_cuda_check(c,
                           (int)cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, c->stream),
                           "downloading"));
    return wait_stream(c, "downloading");
}

pgd_status pgd_cuda_finish_packing(pgd_cuda_device *c) {
    if (!c->packing) return PGD_OK;
    c->packing = false;
    PGD_TRY(wait_stream(c, "packing weights"));
    pgd_cuda_free_stages(c);
    return PGD_OK;
}

/* --- matrices --------------------------------------------------------------------------------- */

static pgd_status pack_part(pgd_cuda_device *c, const pgd_tensor *t, pgd_k_pack a) {
    const uint64_t rows = t->shape[0], row_bytes = a.k * pgd_dtype_bytes(t->dtype);
    const uint64_t stride =
        (t->row_stride ? t->row_stride : t->shape[1]) * pgd_dtype_bytes(t->dtype);
    const uint64_t most = STAGE_BYTES / row_bytes;
    a.src_type = t->dtype;
    if (!t->data) {
        a.rows = (uint32_t)rows;
        return pgd_cuda_check(c, pgd_k_run_pack(&a, c->stream), "packing weights");
    }
    for (uint64_t first = 0; first < rows; first += most) {
        a.first = (uint32_t)first;
        a.rows = (uint32_t)(rows - first < most ? rows - first : most);
        PGD_TRY(stage(c, NULL, (const char *)t->data + first * stride, a.rows * row_bytes, &a.src));
        PGD_TRY(pgd_cuda_check(c, pgd_k_run_pack(&a, c->stream), "packing weights"));
    }
    return PGD_OK;
}

static pgd_status check_parts(const pgd_device *d, const pgd_tensor *parts, uint32_t n_parts,
                              uint32_t interleave, pgd_dtype dtype, uint64_t *n, pgd_error *err) {
    if (dtype != PGD_BF16 && dtype != PGD_F16)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "device %s takes bf16 and f16 weights, not %s",
                        d->info.name, pgd_dtype_name(dtype));
    if (!n_parts || (interleave == 2 && (n_parts != 2 || parts[0].shape[0] != parts[1].shape[0])))
        return pgd_fail(err, PGD_E_INVALID, "pack: interleaving needs two parts of equal rows");
    *n = 0;
    for (uint32_t i = 0; i < n_parts; i++) {
        const pgd_tensor *const t = &parts[i];
        const bool odd_rows = t->row_stride && t->row_stride != t->shape[1];
        if (t->ndim != 2 || t->shape[1] != parts[0].shape[1] || !t->shape[0] || !t->shape[1] ||
            odd_rows || t->shape[1] * pgd_dtype_bytes(t->dtype) > STAGE_BYTES)
            return pgd_fail(err, PGD_E_INVALID, "pack: part %u is not a matrix of the common width",
                            i);
        if (t->data && t->dtype != PGD_F32 && t->dtype != PGD_BF16 && t->dtype != PGD_F16)
            return pgd_fail(err, PGD_E_UNSUPPORTED, "pack: part %u is %s", i,
                            pgd_dtype_name(t->dtype));
        *n += t->shape[0];
    }
    if (*n > UINT32_MAX / 2)
        return pgd_fail(err, PGD_E_LIMIT, "pack: %llu rows are too many", (unsigned long long)*n);
    return PGD_OK;
}

static pgd_status cuda_pack_linear(pgd_device *d, const pgd_tensor *parts, uint32_t n_parts,
                                   uint32_t interleave, pgd_dtype dtype, uint64_t seed,
                                   pgd_weight *out, pgd_error *err) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    uint64_t n = 0;
    PGD_TRY(check_parts(d, parts, n_parts, interleave, dtype, &n, err));
    pgd_weight w = {.n = (uint32_t)n, .k = (uint32_t)parts[0].shape[1], .dtype = dtype};
    w.bytes = pgd_k_packed_bytes(w.n, w.k);
    w.data = pgd_cuda_alloc(d, w.bytes);
    if (!w.data && !c->failed)
        return pgd_fail(err, PGD_E_NOMEM, "the device has no room for %u x %u weights (%llu bytes)",
                        w.n, w.k, (unsigned long long)w.bytes);
    uint32_t row0 = 0;
    pgd_status s = w.data ? PGD_OK : PGD_E_DEVICE;
    for (uint32_t i = 0; i < n_parts && s == PGD_OK; i++) {
        s = pack_part(c, &parts[i],
                      (pgd_k_pack){.dst = w.data,
                                   .type = dtype,
                                   .row0 = interleave == 2 ? 0 : row0,
                                   .part = interleave == 2 ? i : 0,
                                   .interleave = interleave,
                                   .n = w.n,
                                   .k = w.k,
                                   .seed = seed});
        row0 += (uint32_t)parts[i].shape[0];
    }
    if (s != PGD_OK) {
        if (w.data) (void)cudaFree(w.data);
        return pgd_fail(err, s, "%s", c->fatal);
    }
    c->packing = true;
    *out = w;
    return PGD_OK;
}

static void cuda_free_weight(pgd_device *d, pgd_weight *w) {
    (void)d;
    (void)cudaFree(w->data);
    *w = (pgd_weight){0};
}

static pgd_status cuda_fill_uniform(pgd_device *d, void *dst, pgd_dtype type, uint64_t n) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_k_fill a = {.dst = dst, .type = type, .n = n};
    if (c->failed) return PGD_E_DEVICE;
    return pgd_cuda_check(c, pgd_k_run_fill(&a, c->stream), "filling dummy weights");
}

void pgd_cuda_fill_load(pgd_device *d) {
    d->upload = cuda_upload;
    d->download = cuda_download;
    d->pack_linear = cuda_pack_linear;
    d->free_weight = cuda_free_weight;
    d->fill_uniform = cuda_fill_uniform;
}
