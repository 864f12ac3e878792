/* What the kernels of op linear share: the arguments, the epilogues, the table of kernels.
 *
 *   y[t][r] = sum over k of W[r][k] x[t][k]        W [n, k] packed (launch.h), x [m, k], y [m, n]
 *
 * Weights are always the M side of the tensor-core instruction and tokens the N side, so that a
 * warp takes its A operand as one 16-byte load a lane. Every output is one f32 accumulator to which
 * k16 steps are added in K order by mma.sync m16n8k16 or wgmma k16, which give equal bits; the
 * epilogues below are the only ones. Hence a row's bits do not depend on the kernel. No split-K.
 *
 * cuBLASLt is not used: its library is 540 MB, it takes no packed weights (a second copy of them
 * would not fit), and its small-M algorithms split K. */
#ifndef PAGODA_KERNELS_GEMM_CUH
#define PAGODA_KERNELS_GEMM_CUH

#include <cuda.h>
#include <string.h>

#include "common.cuh"
#include "launch.h"

constexpr uint32_t kSms = 132; /* of an H100 or H200; decides tiles and grids, never results */
constexpr uint32_t kPanelRows = 16;
constexpr uint32_t kFragmentBytes = 512; /* a panel's k16 step */

/* Every pair of epilogue and output type; `typed` is bf16 or f16, the type of the weights. */
enum class Finish : uint32_t {
    kF32,
    kTyped,
    kResidual,
    kSiluF32,
    kSiluTyped,
    kGeluF32,
    kGeluTyped,
    kCount
};

struct GemmArgs {
    const unsigned char *w;
    const void *x;
    void *y;
    const float *bias;
    uint32_t m, n, k, steps, panels; /* steps of k16, panels of 16 rows */
    uint32_t ldx, ldy, columns;      /* columns of y: n, or n / 2 with pairs */
    Finish finish;
};

/* An entry of the table of kernels: a tile and the way to launch it. */
struct GemmKernel {
    const char *name;
    uint32_t max_m;          /* largest m; 0: any */
    uint32_t box_rows;       /* tokens a box of the tensor map; 0: takes no map, and x
                                and ldx of any alignment */
    uint32_t tokens, panels; /* the tile */
    uint32_t resident;       /* CTAs an SM */
    int (*launch)(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s);
    int (*init)(); /* raises the limit of shared memory */
};
extern const GemmKernel gemm_skinny_kernels[], gemm_mid_kernels[], gemm_large_kernels[];
extern const int gemm_skinny_count, gemm_mid_count, gemm_large_count;

/* Entry i of the table, variant 0 first; NULL past its end. gemm_run forces an entry (tests,
 * benches); cudaErrorInvalidValue: the entry does not take these arguments, or not on this device.
 */
const GemmKernel *gemm_kernel(int i);
int gemm_choose(uint32_t m, uint32_t n);
int gemm_run(int kernel, const pgd_k_linear *a, cudaStream_t s);

int gemm_simple_launch(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s);

/* --- epilogues --- */

/* Written with intrinsics, which the compiler never contracts, so that every kernel computes them
 * alike. */

/* The gate's activation: v sigmoid(z), z = v (silu), or z = 2 u with gelu's u, since
 * (1 + tanh u) / 2 = sigmoid(2 u). The approximations err by a few 2^-23 of the result per unit of
 * z, far below op linear's tolerance. */
__device__ __forceinline__ float activate(float v, bool gelu) {
    const float cube = __fmul_rn(__fmul_rn(__fmul_rn(v, v), v), 0.044715f);
    const float z = gelu ? __fmul_rn(1.5957691216057308f, __fadd_rn(v, cube)) : v;
    return __fdividef(v, __fadd_rn(1.0f, __expf(-z)));
}

__device__ __forceinline__ bool has_pairs(const GemmArgs &a) {
    return a.finish >= Finish::kSiluF32;
}

/* y[token][column] before the op, where the epilogue adds to it. */
__device__ __forceinline__ float residual_of(const GemmArgs &a, uint32_t column, uint32_t token) {
    if (a.finish != Finish::kResidual || column >= a.columns || token >= a.m) return 0.0f;
    return static_cast<const float *>(a.y)[(size_t)token * a.ldy + column];
}

/* y[token][column], in f32, from its accumulator v (with pairs: v of the gate, up of the other). An
 * absent bias is 0 in all kernels. */
template <bool kPairs>
__device__ __forceinline__ float finish_value(const GemmArgs &a, uint32_t column, float v, float up,
                                              float residual) {
    if constexpr (kPairs) {
        const float2 bias = a.bias ? make_float2(a.bias[2 * column], a.bias[2 * column + 1])
                                   : make_float2(0.0f, 0.0f);
        return __fmul_rn(activate(__fadd_rn(v, bias.x), a.finish >= Finish::kGeluF32),
                         __fadd_rn(up, bias.y));
    } else {
        v = __fadd_rn(v, a.bias ? a.bias[column] : 0.0f);
        return a.finish == Finish::kResidual ? __fadd_rn(residual, v) : v;
    }
}

__device__ __forceinline__ bool is_typed(const GemmArgs &a) {
    return a.finish == Finish::kTyped || a.finish == Finish::kSiluTyped ||
           a.finish == Finish::kGeluTyped;
}

template <typename T>
__device__ __forceinline__ void store_one(const GemmArgs &a, uint32_t column, uint32_t token,
                                          float y) {
    const size_t i = (size_t)token * a.ldy + column;
    if (is_typed(a))
        static_cast<T *>(a.y)[i] = from_float<T>(y);
    else
        static_cast<float *>(a.y)[i] = y;
}

template <typename T, bool kPairs>
__device__ __forceinline__ void finish_one(const GemmArgs &a, uint32_t column, uint32_t token,
                                           float v, float up, float residual) {
    if (column >= a.columns || token >= a.m) return;
    store_one<T>(a, column, token, finish_value<kPairs>(a, column, v, up, residual));
}

/* Four columns from `column` on, a multiple of 4, go as one vector where y allows it. */
__device__ __forceinline__ bool takes_four(const GemmArgs &a, uint32_t column) {
    return column + 4 <= a.columns && a.ldy % 4 == 0 && reinterpret_cast<size_t>(a.y) % 16 == 0;
}

__device__ __forceinline__ float4 residuals_of(const GemmArgs &a, uint32_t column, uint32_t token) {
    if (a.finish != Finish::kResidual) return make_float4(0, 0, 0, 0);
    if (!takes_four(a, column)) return make_float4(0, 0, 0, 0); /* finish_four asks again */
    return *reinterpret_cast<const float4 *>(static_cast<const float *>(a.y) +
                                             (size_t)token * a.ldy + column);
}

template <typename T>
__device__ __forceinline__ void store_four(const GemmArgs &a, uint32_t column, uint32_t token,
                                           float4 y) {
    if (!takes_four(a, column)) {
        const float each[4] = {y.x, y.y, y.z, y.w};
        for (int e = 0; e < 4; e++)
            if (column + e < a.columns) store_one<T>(a, column + e, token, each[e]);
        return;
    }
    const size_t i = (size_t)token * a.ldy + column;
    if (is_typed(a)) {
        const T t[4] = {from_float<T>(y.x), from_float<T>(y.y), from_float<T>(y.z),
                        from_float<T>(y.w)};
        uint2 word;
        memcpy(&word, t, sizeof word);
        *reinterpret_cast<uint2 *>(static_cast<T *>(a.y) + i) = word;
    } else {
        *reinterpret_cast<float4 *>(static_cast<float *>(a.y) + i) = y;
    }
}

/* From accumulators v, without pairs. */
template <typename T>
__device__ __forceinline__ void finish_four(const GemmArgs &a, uint32_t column, uint32_t token,
                                            float4 v, float4 residual) {
    if (!takes_four(a, column)) {
        const float each[4] = {v.x, v.y, v.z, v.w};
        for (int e = 0; e < 4; e++)
            finish_one<T, false>(a, column + e, token, each[e], 0.0f,
                                 residual_of(a, column + e, token));
        return;
    }
    store_four<T>(a, column, token,
                  make_float4(finish_value<false>(a, column, v.x, 0.0f, residual.x),
                              finish_value<false>(a, column + 1, v.y, 0.0f, residual.y),
                              finish_value<false>(a, column + 2, v.z, 0.0f, residual.z),
                              finish_value<false>(a, column + 3, v.w, 0.0f, residual.w)));
}

/* One lane's share of a 16 x 8 tile of mma: rows g and g + 8 of the panel, tokens token + 2t and
 * one more. */
struct TileFinish {
    float residual[4];

    __device__ __forceinline__ static uint32_t column(uint32_t panel, int i) {
        return panel * kPanelRows + threadIdx.x % 32 / 4 + i / 2 * 8;
    }
    __device__ __forceinline__ static uint32_t token(uint32_t first, int i) {
        return first + threadIdx.x % 4 * 2 + i % 2;
    }
    /* After wait_for_previous; early, since the loads take a while. */
    __device__ __forceinline__ void load(const GemmArgs &a, uint32_t panel, uint32_t first) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            residual[i] = residual_of(a, column(panel, i), token(first, i));
    }
    template <typename T>
    __device__ __forceinline__ void store(const GemmArgs &a, uint32_t panel, uint32_t first,
                                          const float (&d)[4]) const {
        if (has_pairs(a)) {
            const uint32_t out = panel * 8 + threadIdx.x % 32 / 4;
#pragma unroll
            for (int i = 0; i < 2; i++)
                finish_one<T, true>(a, out, token(first, i), d[i], d[i + 2], 0.0f);
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++)
                finish_one<T, false>(a, column(panel, i), token(first, i), d[i], 0.0f, residual[i]);
        }
    }
};

#endif
