/* The PTX that CUDA C has no words for: tensor cores, bulk copies, barriers in shared memory. One
 * function an instruction, named after it; addresses in shared memory are the 32-bit
 * ones of shared_address. No policy lives here.
 *
 * Tiers: mma and ldmatrix need sm_80, bulk copies and mbarriers sm_90, wgmma sm_90a. */
#ifndef PAGODA_KERNELS_PTX_CUH
#define PAGODA_KERNELS_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

__device__ __forceinline__ uint32_t shared_address(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* --- mma.sync: d[16 x 8] += a[16 x 16] b[16 x 8], f32 accumulators. Lane 4g + t holds of a rows g
 * and g + 8, columns 2t, 2t + 1, 2t + 8, 2t + 9; of b rows 2t, 2t + 1 (b0), 2t + 8, 2t + 9 (b1) of
 * column g; of d columns 2t, 2t + 1 of row g (d[0], d[1]) and of row g + 8 (d[2], d[3]). --- */

template <typename T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint4 &a, uint32_t b0,
                                             uint32_t b1);
template <>
__device__ __forceinline__ void mma_m16n8k16<__nv_bfloat16>(float (&d)[4], const uint4 &a,
                                                            uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void mma_m16n8k16<__half>(float (&d)[4], const uint4 &a, uint32_t b0,
                                                     uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

/* Four 8 x 8 matrices of 2-byte elements; lanes 8i .. 8i + 7 give the row addresses of matrix i,
 * lane 4g + t receives elements 2t, 2t + 1 of row g of each. */
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ uint4 load_shared_16(uint32_t address) {
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(address)
                 : "memory");
    return v;
}

/* A barrier of `threads` threads of the CTA, whole warps; barrier 0 is __syncthreads. */
__device__ __forceinline__ void named_barrier(uint32_t barrier, uint32_t threads) {
    asm volatile("barrier.sync.aligned %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

__device__ __forceinline__ void prefetch_l2(const void *p) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

/* --- mbarrier --- */

__device__ __forceinline__ void mbarrier_init(uint32_t bar, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(arrivals) : "memory");
}
/* After the inits, before the async proxy uses the barriers. */
__device__ __forceinline__ void fence_mbarrier_init() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint32_t bar) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}
__device__ __forceinline__ void mbarrier_arrive_expect(uint32_t bar, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes)
                 : "memory");
}
/* Whether the phase of this parity has ended; does not wait. */
__device__ __forceinline__ bool mbarrier_test(uint32_t bar, uint32_t parity) {
    uint32_t done;
    asm volatile("{\n\t.reg .pred p;\n\t"
                 "mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
                 "selp.u32 %0, 1, 0, p;\n\t}"
                 : "=r"(done)
                 : "r"(bar), "r"(parity)
                 : "memory");
    return done;
}
/* Wait for the end of the phase of this parity; a fresh barrier counts as having ended phase 1. */
__device__ __forceinline__ void mbarrier_wait(uint32_t bar, uint32_t parity) {
    uint32_t done;
    do {
        asm volatile("{\n\t.reg .pred p;\n\t"
                     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
                     "selp.u32 %0, 1, 0, p;\n\t}"
                     : "=r"(done)
                     : "r"(bar), "r"(parity)
                     : "memory");
    } while (!done);
}

/* --- copies by the async proxy; they count their bytes on a barrier of the destination --- */

/* Addresses and size are multiples of 16. */
__device__ __forceinline__ void bulk_load(uint32_t dst, const void *src, uint32_t bytes,
                                          uint32_t bar) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];" ::"r"(dst),
                 "l"(src), "r"(bytes), "r"(bar)
                 : "memory");
}
/* The box at (x, y) of a 2-D tensor map; what lies outside the tensor arrives as zeros and counts.
 */
__device__ __forceinline__ void tensor_load(uint32_t dst, const void *map, int32_t x, int32_t y,
                                            uint32_t bar) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(dst),
                 "l"(map), "r"(x), "r"(y), "r"(bar)
                 : "memory");
}
__device__ __forceinline__ void prefetch_tensor_map(const void *map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
/* Orders generic accesses before it with accesses of the async proxy after it. */
__device__ __forceinline__ void fence_proxy_async() {
    asm volatile("fence.proxy.async;" ::: "memory");
}

/* One lane of a converged warp. Where ptxas sees this it knows that a single thread goes on, and
 * issues bulk copies without a loop over lanes. */
__device__ __forceinline__ bool elect_one() {
    uint32_t mine;
    asm volatile("{\n\t.reg .pred p;\n\t"
                 "elect.sync _|p, 0xffffffff;\n\t"
                 "selp.u32 %0, 1, 0, p;\n\t}"
                 : "=r"(mine));
    return mine;
}

#endif

/* --- wgmma (the instruction itself is in wgmma.cuh) --- */

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Before the first wgmma and after every write to registers that the next one reads. */
__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/* Whole warpgroups trade registers a thread; the CTA's total must have room. */
template <int kCount> __device__ __forceinline__ void registers_up_to() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount> __device__ __forceinline__ void registers_down_to() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}

#endif

/* The value of v in lane 0, which the compiler then knows to be the same in all lanes: descriptors
 * from such addresses are made in uniform registers, from others by a move there a wgmma. */
__device__ __forceinline__ uint32_t uniform(uint32_t v) {
    return __shfl_sync(0xffffffffu, v, 0);
}

/* Descriptor of a K-major operand in shared memory, rows of 128 bytes (64 elements of 2 bytes) in
 * the 128-byte swizzle: the 16-byte chunk c of row r lies at chunk c ^ (r % 8). Groups of 8 rows
 * follow each other at 1024 bytes, to which the tile is aligned. The next k16 step lies 32 bytes
 * further. */
__device__ __forceinline__ uint64_t swizzled_descriptor(uint32_t address) {
    return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)64 << 32 |
           (uint64_t)1 << 62;
}
/* The same operand `bytes` further, a multiple of 16. */
__device__ __forceinline__ uint64_t descriptor_after(uint64_t d, uint32_t bytes) {
    return (d & 0xffffffff00000000u) | (uint32_t)((uint32_t)d + bytes / 16);
}

#endif
