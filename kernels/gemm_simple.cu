/* Op linear, variant 0: one warp a tile of 16 rows x 8 tokens, operands straight from memory.
 *
 * Grid: tokens / 8 x panels / 4, four warps a block, each with a panel of its own. A lane takes its
 * 16 bytes of the weight fragment in one load and the elements of x one by one behind guards, so
 * that any k, ldx and alignment are right: this is the kernel for what the fast ones do not take,
 * and the one they are compared with. No shared memory. Every tile of tokens rereads the weights
 * (2 n k bytes each), so nothing here is fast; no figures are kept. */
#include "gemm.cuh"
#include "ptx.cuh"

namespace {

constexpr int kWarps = 4;

template <typename T> __device__ uint32_t pair(const T *x, uint32_t col, uint32_t k, bool valid) {
    const T zero = from_float<T>(0.0f);
    const T lo = valid && col < k ? x[col] : zero;
    const T hi = valid && col + 1 < k ? x[col + 1] : zero;
    return (uint32_t) reinterpret_cast<const uint16_t &>(lo) |
           (uint32_t) reinterpret_cast<const uint16_t &>(hi) << 16;
}

template <typename T> __global__ void __launch_bounds__(kWarps * 32) gemm_simple(GemmArgs a) {
    let_next_start();
    wait_for_previous();
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t panel = blockIdx.y * kWarps + threadIdx.x / 32, token0 = blockIdx.x * 8;
    if (panel >= a.panels) return;

    const uint4 *w = reinterpret_cast<const uint4 *>(a.w) + (size_t)panel * a.steps * 32 + lane;
    const uint32_t token = token0 + lane / 4;
    const bool valid = token < a.m;
    const T *x = static_cast<const T *>(a.x) + (valid ? (size_t)token * a.ldx : 0);
    float d[4] = {0, 0, 0, 0};
    for (uint32_t s = 0; s < a.steps; s++) {
        const uint32_t col = s * 16 + lane % 4 * 2;
        mma_m16n8k16<T>(d, __ldg(w + (size_t)s * 32), pair(x, col, a.k, valid),
                        pair(x, col + 8, a.k, valid));
    }
    TileFinish finish;
    finish.load(a, panel, token0);
    finish.store<T>(a, panel, token0, d);
}

} // namespace

int gemm_simple_launch(pgd_dtype type, const GemmArgs &a, const CUtensorMap *, cudaStream_t s) {
    const dim3 grid(ceil_div(a.m, 8), ceil_div(a.panels, kWarps));
    if (grid.y > 65535) return (int)cudaErrorInvalidValue;
    return type == PGD_BF16 ? launch_kernel(gemm_simple<__nv_bfloat16>, grid, kWarps * 32, 0, s, a)
                            : launch_kernel(gemm_simple<__half>, grid, kWarps * 32, 0, s, a);
}
