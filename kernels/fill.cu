/* Dummy weights that are not packed: the embedding.
 *
 *   dst[i] = (next_i >> 40) / 2^23 - 1, next_i the i-th draw of pgd_rng_next from state 1
 *
 * SplitMix64 counts: its state before draw i is known without the draws before, so a thread makes
 * any element. Grid: strides over the elements. Bytes: n elements written; once, at load. */
#include "common.cuh"
#include "launch.h"

constexpr uint32_t kThreads = 256;

__device__ __forceinline__ float fill_value(uint64_t i) {
    uint64_t z = 1 + (i + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return (float)((int64_t)(z >> 40) - (1 << 23)) / (float)(1 << 23);
}

template <typename T> __global__ void __launch_bounds__(kThreads) fill(T *dst, uint64_t n) {
    wait_for_previous();
    for (uint64_t i = blockIdx.x * (uint64_t)kThreads + threadIdx.x; i < n;
         i += (uint64_t)gridDim.x * kThreads)
        dst[i] = from_float<T>(fill_value(i));
}

template <typename T> static int launch(const pgd_k_fill *a, cudaStream_t s) {
    const uint64_t blocks = (a->n + kThreads - 1) / kThreads;
    const dim3 grid((uint32_t)(blocks < 4096 ? blocks : 4096));
    return launch_kernel(fill<T>, grid, dim3(kThreads), 0, s, static_cast<T *>(a->dst), a->n);
}

extern "C" int pgd_k_run_fill(const pgd_k_fill *a, pgd_stream s) {
    if (!a->n) return (int)cudaSuccess;
    switch (a->type) {
    case PGD_F32:
        return launch<float>(a, s);
    case PGD_BF16:
        return launch<__nv_bfloat16>(a, s);
    case PGD_F16:
        return launch<__half>(a, s);
    default:
        return (int)cudaErrorInvalidValue;
    }
}
