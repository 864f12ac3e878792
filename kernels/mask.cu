/* logits_mask: -inf for every token that a sequence's grammar does not allow.
 *
 *   logits[r][id] = -inf  where bit id % 32 of word id / 32 of the row's mask is 0
 *
 * for sampling rows r of sequences with PGD_PLAN_MASK; the mask row of sequence i is the number of
 * such sequences before it. Grid: slices of 8192 tokens x rows; a warp shares one word of the mask.
 * Bytes: vocab / 8 read a row, and written what the mask forbids (up to 4 vocab): 64 rows of 128k
 * tokens take about 8 us of bandwidth, in steps that have grammars only. */
#include "common.cuh"
#include "launch.h"

#include <math.h>

constexpr uint32_t kThreads = 256, kSlice = 8192;
static_assert(kSlice % kThreads == 0 && kThreads % 32 == 0, "a warp stays within a word");

__global__ void __launch_bounds__(kThreads) logits_mask(pgd_k_logits_mask a) {
    const uint32_t row = blockIdx.y;
    let_next_start();
    wait_for_previous();
    if (a.row_tok[row] < 0 || a.row_target[row] >= 0) return;
    const uint32_t i = (uint32_t)a.row_seq[row];
    if (!(a.seq[i].flags & PGD_PLAN_MASK)) return;
    uint32_t before = 0;
    for (uint32_t j0 = 0; j0 < i; j0 += kThreads) {
        const uint32_t j = j0 + threadIdx.x;
        before += (uint32_t)__syncthreads_count(j < i && a.seq[j].flags & PGD_PLAN_MASK);
    }
    const uint32_t *const mask = a.mask + (size_t)before * ceil_div(a.vocab, 32);
    float *const x = a.logits + (size_t)row * a.vocab;
    const uint32_t first = blockIdx.x * kSlice;
    const uint32_t end = first + kSlice < a.vocab ? first + kSlice : a.vocab;
    for (uint32_t id = first + threadIdx.x; id < end; id += kThreads)
        if (!(mask[id / 32] >> id % 32 & 1)) x[id] = -INFINITY;
}

extern "C" int pgd_k_run_logits_mask(const pgd_k_logits_mask *a, pgd_stream s) {
    if (!a->n_rows) return (int)cudaSuccess;
    const dim3 grid(ceil_div(a->vocab, kSlice), a->n_rows);
    return launch_kernel(logits_mask, grid, dim3(kThreads), 0, s, *a);
}
