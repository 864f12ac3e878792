/* Steps: pinned memory, ordered copies, marks and graphs.
 *
 * Everything goes to one stream, so a step begins when the one before it has ended and no buffer
 * needs a second copy. Marks are events with time stamps: the difference of two is the device's own
 * account of a step. Graphs are recorded from the same stream, in a mode that minds this thread
 * alone. Thread: the rank's. */
#include "cuda_internal.h"

#include <string.h>

static void *cuda_host_alloc(pgd_device *d, uint64_t bytes) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    void *p = NULL;
    if (c->failed) return NULL;
    const cudaError_t e = cudaHostAlloc(&p, bytes, cudaHostAllocDefault);
    if (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return NULL;
    }
    if (pgd_cuda_check(c, (int)e, "allocating pinned memory") != PGD_OK) return NULL;
    memset(p, 0, bytes);
    return p;
}

static void cuda_host_free(pgd_device *d, void *p, uint64_t bytes) {
    (void)d;
    (void)bytes;
    (void)cudaFreeHost(p);
}

static pgd_status copy(pgd_device *d, void *dst, const void *src, uint64_t bytes,
                       enum cudaMemcpyKind kind) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (c->failed) return PGD_E_DEVICE;
    return pgd_cuda_check(c, (int)cudaMemcpyAsync(dst, src, bytes, kind, c->stream),
                          "copying a step's data");
}

static pgd_status cuda_send(pgd_device *d, void *dst, const void *src, uint64_t bytes) {
    return copy(d, dst, src, bytes, cudaMemcpyHostToDevice);
}

static pgd_status cuda_fetch(pgd_device *d, void *dst, const void *src, uint64_t bytes) {
    return copy(d, dst, src, bytes, cudaMemcpyDeviceToHost);
}

static pgd_status record(pgd_cuda_device *c, cudaEvent_t event) {
    if (c->failed) return PGD_E_DEVICE;
    return pgd_cuda_check(c, (int)cudaEventRecord(event, c->stream), "marking a step");
}

static pgd_status cuda_begin(pgd_device *d, uint32_t i) {
    return record(pgd_cuda_of(d), pgd_cuda_of(d)->begin[i]);
}

static pgd_status cuda_mark(pgd_device *d, uint32_t i) {
    return record(pgd_cuda_of(d), pgd_cuda_of(d)->end[i]);
}

static bool cuda_done(pgd_device *d, uint32_t i) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (c->failed) return true;
    const cudaError_t e = cudaEventQuery(c->end[i]);
    if (e == cudaErrorNotReady) {
        (void)cudaGetLastError(); /* else the next launch would find it */
        return false;
    }
    (void)pgd_cuda_check(c, (int)e, "running a step");
    return true;
}

static uint64_t cuda_step_ns(pgd_device *d, uint32_t i) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    float ms = 0;
    if (c->failed || pgd_cuda_check(c, (int)cudaEventElapsedTime(&ms, c->begin[i], c->end[i]),
                                    "timing a step") != PGD_OK)
        return 0;
    return (uint64_t)((double)ms * 1e6);
}

static void cuda_sync(pgd_device *d) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (!c->failed) (void)pgd_cuda_check(c, (int)cudaStreamSynchronize(c->stream), "running");
}

/* --- graphs ----------------------------------------------------------------------------------- */

static pgd_status cuda_graph_begin(pgd_device *d) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (c->failed) return PGD_E_DEVICE;
    return pgd_cuda_check(c,
                          (int)cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal),
                          "recording a graph");
}

static pgd_status cuda_graph_end(pgd_device *d, void **out) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    if (c->failed) return PGD_E_DEVICE;
    PGD_TRY(pgd_cuda_check(c, (int)cudaStreamEndCapture(c->stream, &graph), "recording a graph"));
    const pgd_status s =
        pgd_cuda_check(c, (int)cudaGraphInstantiate(&ready, graph, 0), "making a graph");
    (void)cudaGraphDestroy(graph);
    PGD_TRY(s);
    *out = ready;
    return pgd_cuda_check(c, (int)cudaGraphUpload(ready, c->stream), "uploading a graph");
}

static pgd_status cuda_graph_launch(pgd_device *d, void *graph) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    if (c->failed) return PGD_E_DEVICE;
    return pgd_cuda_check(c, (int)cudaGraphLaunch(graph, c->stream), "launching a graph");
}

static void cuda_graph_free(pgd_device *d, void *graph) {
    (void)d;
    (void)cudaGraphExecDestroy(graph);
}

void pgd_cuda_fill_steps(pgd_device *d) {
    d->host_alloc = cuda_host_alloc;
    d->host_free = cuda_host_free;
    d->send = cuda_send;
    d->fetch = cuda_fetch;
    d->begin = cuda_begin;
    d->mark = cuda_mark;
    d->done = cuda_done;
    d->step_ns = cuda_step_ns;
    d->sync = cuda_sync;
    d->graph_begin = cuda_graph_begin;
    d->graph_end = cuda_graph_end;
    d->graph_launch = cuda_graph_launch;
    d->graph_free = cuda_graph_free;
}
