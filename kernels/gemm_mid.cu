/* Op linear for m of 17 to 64, and small grids above: the tiles of gemm_wgmma.cuh that are bound by
 * the read of the weights. Rings of about 100 KB, two CTAs an SM, one tile a CTA. */
#include "gemm_wgmma.cuh"

/* Panels, tokens, steps a stage, stages, warpgroups, cluster, CTAs an SM. */
const GemmKernel gemm_mid_kernels[] = {
    wide_entry<2, 32, 8, 6, 1, 1, 2>("wgmma 32r x 32t"),
    wide_entry<4, 32, 8, 4, 1, 1, 2>("wgmma 64r x 32t"),
    wide_entry<2, 64, 8, 4, 1, 1, 2>("wgmma 32r x 64t"),
    wide_entry<4, 64, 4, 6, 1, 1, 2>("wgmma 64r x 64t"),
    wide_entry<4, 128, 4, 4, 1, 1, 2>("wgmma 64r x 128t"),
};
const int gemm_mid_count = sizeof gemm_mid_kernels / sizeof *gemm_mid_kernels;
