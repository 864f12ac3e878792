/* Op linear for m of 17 to 256: the tiles of gemm_wgmma.cuh with one warpgroup, one tile a CTA, and
 * tall ones with two.
 *
 * A slot of a ring is full again about 1.6 us after it was given back, so what a CTA has in flight
 * sets its speed. Where the grid has no more CTAs than the machine has SMs, rings take all of an
 * SM's memory (deep: 4096x14336 at m 64 37 us, with half of it 51); else half of it, two CTAs an
 * SM. An SM takes in its tokens once a tile, at 64 rows as many bytes as weights; tall tiles, where
 * their grid fits (28672 rows: 128 CTAs), spare that: m 64 60 us, with 64 rows a tile 65. */
#include "gemm_wgmma.cuh"

/* Panels, tokens, steps a stage, stages of tokens and of weights, warpgroups, CTAs an SM. */
const GemmKernel gemm_mid_kernels[] = {
    wide_entry<4, 32, 8, 4, 5, 1, 2>("wgmma 64r x 32t"),
    wide_entry<4, 64, 4, 6, 8, 1, 2>("wgmma 64r x 64t"),
    wide_entry<4, 32, 8, 8, 9, 1, 1>("wgmma 64r x 32t deep"),
    wide_entry<2, 64, 8, 8, 10, 1, 1>("wgmma 32r x 64t deep"),
    wide_entry<3, 64, 8, 8, 8, 1, 1>("wgmma 48r x 64t deep"),
    wide_entry<4, 64, 4, 12, 14, 1, 1>("wgmma 64r x 64t deep"),
    wide_entry<4, 128, 4, 8, 11, 1, 1>("wgmma 64r x 128t deep"),
    wide_entry<14, 32, 4, 8, 6, 2, 1>("wgmma 224r x 32t"),
    wide_entry<14, 64, 4, 6, 5, 2, 1>("wgmma 224r x 64t"),
};
const int gemm_mid_count = sizeof gemm_mid_kernels / sizeof *gemm_mid_kernels;
