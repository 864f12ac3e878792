/* Op linear for m of 17 to 256: the tiles of gemm_wgmma.cuh that are bound by the read of the
 * weights. Rings of 112 KB, two CTAs an SM, one tile a CTA. */
#include "gemm_wgmma.cuh"

/* Panels, tokens, steps a stage, stages of tokens and of weights, warpgroups, CTAs an SM. */
const GemmKernel gemm_mid_kernels[] = {
    wide_entry<4, 32, 8, 4, 5, 1, 2>("wgmma 64r x 32t"),
    wide_entry<3, 64, 8, 4, 4, 1, 2>("wgmma 48r x 64t"),
    wide_entry<4, 64, 4, 6, 8, 1, 2>("wgmma 64r x 64t"),
};
const int gemm_mid_count = sizeof gemm_mid_kernels / sizeof *gemm_mid_kernels;
