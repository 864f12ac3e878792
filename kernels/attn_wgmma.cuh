/* The two wgmma of attention, A in registers, accumulators as rows of n8 tiles: d[j] is the
 * accumulator of mma_m16n8k16 for columns 8j .. 8j + 7. The operand lists are as long as they look.
 */
#ifndef PAGODA_KERNELS_ATTN_WGMMA_CUH
#define PAGODA_KERNELS_ATTN_WGMMA_CUH

#include "ptx.cuh"

/* 64 keys by head dimension: B K-major, k16 steps; the first step does not read d. */
template <typename T, bool kFirst> struct ScoreWgmma;
/* Head dimension by 64 keys: B = V as it lies in the page, MN-major. */
template <typename T, int kN> struct ProductWgmma;

/* V of 64 keys: column blocks of 64 (8 KB apart), 8 keys at 1024 bytes; 128-byte swizzle. The next
 * k16 step lies 2048 bytes further. */
__device__ __forceinline__ uint64_t value_descriptor(uint32_t address) {
    return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)512 << 16 | (uint64_t)64 << 32 |
           (uint64_t)1 << 62;
}

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* Wait until at most kPending groups of wgmma are in flight; d was written by one that is done. The
 * compiler knows nothing of flight: without the mention of d it may move reads of d up. */
template <int kPending, int N> __device__ __forceinline__ void wgmma_wait_for(float (&d)[N][4]) {
    wgmma_wait<kPending>();
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            asm volatile("" : "+f"(d[j][i])::"memory");
}

/* Operands A stay in their registers until here: after the wait. */
template <int N> __device__ __forceinline__ void wgmma_read_until_here(const uint4 (&a)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++)
        asm volatile("" ::"r"(a[i].x), "r"(a[i].y), "r"(a[i].z), "r"(a[i].w) : "memory");
}

/* clang-format off */
#define D4(i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define D16(i) D4(i), D4(i + 1), D4(i + 2), D4(i + 3)
#define D32(i) D16(i), D16(i + 4)
#define D64(i) D32(i), D32(i + 8)
#define REGS_32 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define REGS_64 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"

#define SCORE(type, name, first, accumulate)                                                       \
    template <> struct ScoreWgmma<type, first> {                                                   \
        static __device__ __forceinline__ void run(float (&d)[8][4], const uint4 &a,               \
                                                   uint64_t b) {                                   \
            asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, " accumulate ", 0;\n\t"            \
                         "wgmma.mma_async.sync.aligned.m64n64k16.f32." name "." name               \
                         " {" REGS_32 "}, {%32,%33,%34,%35}, %36, p, 1, 1, 0;\n\t}"                \
                         : D32(0)                                                                  \
                         : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b)                          \
                         : "memory");                                                              \
        }                                                                                          \
    };
SCORE(__nv_bfloat16, "bf16", true, "0")
SCORE(__nv_bfloat16, "bf16", false, "1")
SCORE(__half, "f16", true, "0")
SCORE(__half, "f16", false, "1")

#define PRODUCT(type, name, n, regs, acc, a0, b0)                                                  \
    template <> struct ProductWgmma<type, n> {                                                     \
        static __device__ __forceinline__ void run(float (&d)[n / 8][4], const uint4 &a,           \
                                                   uint64_t b) {                                   \
            asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, 1, 0;\n\t"                         \
                         "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." name "." name           \
                         " {" regs "}, {" a0 "}, " b0 ", p, 1, 1, 1;\n\t}"                         \
                         : acc                                                                     \
                         : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b)                          \
                         : "memory");                                                              \
        }                                                                                          \
    };
PRODUCT(__nv_bfloat16, "bf16", 64, REGS_32, D32(0), "%32,%33,%34,%35", "%36")
PRODUCT(__half, "f16", 64, REGS_32, D32(0), "%32,%33,%34,%35", "%36")
PRODUCT(__nv_bfloat16, "bf16", 128, REGS_64, D64(0), "%64,%65,%66,%67", "%68")
PRODUCT(__half, "f16", 128, REGS_64, D64(0), "%64,%65,%66,%67", "%68")
/* clang-format on */

#undef D4
#undef D16
#undef D32
#undef D64
#undef REGS_32
#undef REGS_64
#undef SCORE
#undef PRODUCT

#endif

#endif
