/* Reductions over a warp, a block and a cluster of blocks, and the launch of such a cluster.
 *
 * All orders are fixed by the shape of the block and the cluster, so that sums of floats are the
 * same in every run; every thread gets the same bits, since a butterfly adds commutatively.
 *
 * Before Hopper there are no clusters: there a cluster has one block, and its barrier is the
 * block's. Kernels take the number of blocks from cluster_size, never from a constant. */
#ifndef PAGODA_KERNELS_CLUSTER_CUH
#define PAGODA_KERNELS_CLUSTER_CUH

#include "common.cuh"

constexpr uint32_t kAllLanes = 0xffffffffu;

__device__ __forceinline__ unsigned char *dynamic_shared() {
    extern __shared__ uint4 pgd_dynamic_shared[];
    return reinterpret_cast<unsigned char *>(pgd_dynamic_shared);
}

struct Add {
    template <typename T> __device__ T operator()(T a, T b) const { return a + b; }
};
struct Max {
    template <typename T> __device__ T operator()(T a, T b) const { return a > b ? a : b; }
};

template <typename Op, typename T> __device__ __forceinline__ T warp_reduce(T v, Op op) {
#pragma unroll
    for (int step = 16; step; step /= 2)
        v = op(v, __shfl_xor_sync(kAllLanes, v, step));
    return v;
}

/* scratch: 32 items of shared memory. blockDim.x is a multiple of 32. Every thread gets the result.
 * Starts and ends with scratch free for the next call. */
template <typename Op, typename T>
__device__ __forceinline__ T block_reduce(T v, T none, Op op, T *scratch) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, n_warps = blockDim.x / 32;
    v = warp_reduce(v, op);
    if (lane == 0) scratch[warp] = v;
    __syncthreads();
    v = warp_reduce(lane < n_warps ? scratch[lane] : none, op);
    __syncthreads();
    return v;
}

/* Sum of v over the threads before this one; *total over all. scratch as above. */
template <typename T> __device__ __forceinline__ T block_prefix(T v, T *total, T *scratch) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, n_warps = blockDim.x / 32;
    T inclusive = v;
#pragma unroll
    for (uint32_t step = 1; step < 32; step *= 2) {
        const T below = __shfl_up_sync(kAllLanes, inclusive, step);
        if (lane >= step) inclusive += below;
    }
    if (lane == 31) scratch[warp] = inclusive;
    __syncthreads();
    T before = 0, all = 0;
    for (uint32_t w = 0; w < n_warps; w++) {
        if (w == warp) before = all;
        all += scratch[w];
    }
    __syncthreads();
    *total = all;
    return before + inclusive - v;
}

/* --- clusters --- */

__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t r = 0;
#if __CUDA_ARCH__ >= 900
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
#endif
    return r;
}

__device__ __forceinline__ uint32_t cluster_size() {
    uint32_t n = 1;
#if __CUDA_ARCH__ >= 900
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(n));
#endif
    return n;
}

/* All threads of all blocks; what they wrote before is seen after, in every block's shared memory.
 */
__device__ __forceinline__ void cluster_sync() {
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.release;\n"
                 "barrier.cluster.wait.acquire;" ::
                     : "memory");
#else
    __syncthreads();
#endif
}

/* The same object in the shared memory of another block of the cluster. That block must have
 * started (a cluster_sync before) and must not end (one after). */
template <typename T> __device__ __forceinline__ T *cluster_peer(T *mine, uint32_t rank) {
#if __CUDA_ARCH__ >= 900
    uint64_t p;
    asm volatile("mapa.u64 %0, %1, %2;" : "=l"(p) : "l"((uint64_t)mine), "r"(rank));
    return reinterpret_cast<T *>(p);
#else
    (void)rank;
    return mine;
#endif
}

/* As launch_kernel, the blocks of x in clusters of `cluster` (a divisor of grid.x; 1 needs no
 * Hopper). */
template <typename... Params, typename... Args>
inline int launch_clusters(void (*kernel)(Params...), dim3 grid, dim3 block, uint32_t cluster,
                           size_t shared, cudaStream_t stream, Args... args) {
    cudaLaunchAttribute attributes[2] = {};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim.x = cluster;
    attributes[1].val.clusterDim.y = 1;
    attributes[1].val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = cluster > 1 ? 2 : 1;
    return (int)cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
}

#endif
