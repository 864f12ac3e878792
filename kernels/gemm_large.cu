/* Op linear for large m: the tiles of gemm_wgmma.cuh that are bound by the tensor cores. One CTA an
 * SM, persistent: while a tile is written out, the rings fill for the next one. */
#include "gemm_wgmma.cuh"

/* Panels, tokens, steps a stage, stages of tokens and of weights, warpgroups, CTAs an SM. */
const GemmKernel gemm_large_kernels[] = {
    wide_entry<8, 128, 4, 6, 6, 2, 1>("wgmma 128r x 128t"),
    wide_entry<8, 256, 4, 4, 4, 2, 1>("wgmma 128r x 256t"),
};
const int gemm_large_count = sizeof gemm_large_kernels / sizeof *gemm_large_kernels;
