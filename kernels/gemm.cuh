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

#include "common.cuh"
#include "launch.h"

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
    uint32_t max_m;                   /* largest m; 0: any */
    uint32_t box_rows;                /* tokens a box of the tensor map; 0: takes no map, and x
                                         and ldx of any alignment */
    uint32_t tokens, panels, cluster; /* the tile; CTAs that share tokens */
    int (*launch)(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s);
    int (*init)(); /* raises the limit of shared memory */
};
extern const GemmKernel gemm_skinny_kernels[], gemm_wgmma_kernels[];
extern const int gemm_skinny_count, gemm_wgmma_count;

/* Entry i of the table, variant 0 first; NULL past its end. gemm_run forces an entry (tests,
 * benches); cudaErrorInvalidValue: the entry does not take these arguments, or not on this device.
 */
const GemmKernel *gemm_kernel(int i);
int gemm_choose(uint32_t m, uint32_t n, uint32_t k);
int gemm_run(int kernel, const pgd_k_linear *a, cudaStream_t s);

int gemm_simple_launch(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s);

/* --- epilogues --- */

/* Written with rounding intrinsics, which the compiler never contracts, so that every kernel
 * computes them alike. */
__device__ __forceinline__ float silu(float v) {
    return __fdiv_rn(v, __fadd_rn(1.0f, expf(-v)));
}
__device__ __forceinline__ float gelu_tanh(float v) {
    const float cube = __fmul_rn(__fmul_rn(__fmul_rn(v, v), v), 0.044715f);
    const float t = tanhf(__fmul_rn(0.7978845608028654f, __fadd_rn(v, cube)));
    return __fmul_rn(__fmul_rn(0.5f, v), __fadd_rn(1.0f, t));
}

__device__ __forceinline__ bool has_pairs(const GemmArgs &a) {
    return a.finish >= Finish::kSiluF32;
}

/* y[token][column] before the op, where the epilogue adds to it. */
__device__ __forceinline__ float residual_of(const GemmArgs &a, uint32_t column, uint32_t token) {
    if (a.finish != Finish::kResidual || column >= a.columns || token >= a.m) return 0.0f;
    return static_cast<const float *>(a.y)[(size_t)token * a.ldy + column];
}

/* y[token][column] from its accumulator v (with pairs: v of the gate, up of the other row). */
template <typename T>
__device__ __forceinline__ void finish_one(const GemmArgs &a, uint32_t column, uint32_t token,
                                           float v, float up, float residual) {
    if (column >= a.columns || token >= a.m) return;
    if (has_pairs(a)) {
        if (a.bias) {
            v = __fadd_rn(v, a.bias[2 * column]);
            up = __fadd_rn(up, a.bias[2 * column + 1]);
        }
        const bool gelu = a.finish == Finish::kGeluF32 || a.finish == Finish::kGeluTyped;
        v = __fmul_rn(gelu ? gelu_tanh(v) : silu(v), up);
    } else {
        if (a.bias) v = __fadd_rn(v, a.bias[column]);
        if (a.finish == Finish::kResidual) v = __fadd_rn(residual, v);
    }
    const size_t i = (size_t)token * a.ldy + column;
    if (a.finish == Finish::kTyped || a.finish == Finish::kSiluTyped ||
        a.finish == Finish::kGeluTyped)
        static_cast<T *>(a.y)[i] = from_float<T>(v);
    else
        static_cast<float *>(a.y)[i] = v;
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
    __device__ __forceinline__ TileFinish(const GemmArgs &a, uint32_t panel, uint32_t first) {
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
                finish_one<T>(a, out, token(first, i), d[i], d[i + 2], 0.0f);
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++)
                finish_one<T>(a, column(panel, i), token(first, i), d[i], 0.0f, residual[i]);
        }
    }
};

#endif
