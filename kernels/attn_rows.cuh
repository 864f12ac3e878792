/* Steps of the online softmax for kernels with query rows on M: a thread holds of an accumulator
 * tile d[j][0 .. 1] of row g and d[j][2 .. 3] of row g + 8, columns 8j + 2t (+ 1). */
#ifndef PAGODA_KERNELS_ATTN_ROWS_CUH
#define PAGODA_KERNELS_ATTN_ROWS_CUH

#include "attn.cuh"

/* Keys out of [first, position] of each of the thread's two rows become -inf. */
__device__ __forceinline__ void mask_unit(uint32_t start, const uint32_t (&position)[2],
                                          uint32_t window, float (&s)[8][4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const uint32_t first = attn_first_key(position[i / 2], window);
#pragma unroll
        for (int j = 0; j < 8; j++) {
            const uint32_t key = start + 8 * j + threadIdx.x % 4 * 2 + i % 2;
            if (key < first || key > position[i / 2]) s[j][i] = kNoScore;
        }
    }
}

/* Scores become weights, m and l of the thread's two rows move on; alpha is due to o. */
__device__ __forceinline__ void soften_rows(float c, float (&s)[8][4], AttnState (&state)[2],
                                            float (&alpha)[2]) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float most = fmaxf(s[0][2 * h], s[0][2 * h + 1]);
#pragma unroll
        for (int j = 1; j < 8; j++)
            most = fmaxf(most, fmaxf(s[j][2 * h], s[j][2 * h + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, 2));
        const AttnShift shift = attn_raise(state[h].m, most, c);
        float sum[2];
#pragma unroll
        for (int e = 0; e < 2; e++)
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float &score = s[j][2 * h + e];
                score = attn_weight(score, c, shift.offset);
                sum[e] = j ? __fadd_rn(sum[e], score) : score;
            }
        float all = __fadd_rn(sum[0], sum[1]);
        all = __fadd_rn(all, __shfl_xor_sync(0xffffffff, all, 1));
        all = __fadd_rn(all, __shfl_xor_sync(0xffffffff, all, 2));
        state[h].l = attn_add_sum(state[h].l, shift.alpha, all);
        alpha[h] = shift.alpha;
    }
}

/* o = o alpha, skipped where all of a warp's factors are 1. */
template <int N>
__device__ __forceinline__ void scale_rows(float (&o)[N][4], const float (&alpha)[2]) {
    if (!__any_sync(0xffffffff, alpha[0] != 1.0f || alpha[1] != 1.0f)) return;
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            o[j][i] = __fmul_rn(o[j][i], alpha[i / 2]);
}

template <int N> __device__ __forceinline__ void clear_rows(float (&o)[N][4]) {
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            o[j][i] = 0.0f;
}

/* Operand A of k16 step ks of the products: round(p). */
template <typename T> __device__ __forceinline__ uint4 weights_of(const float (&s)[8][4], int ks) {
    const float(&lo)[4] = s[2 * ks], (&hi)[4] = s[2 * ks + 1];
    return make_uint4(pack_pair<T>(lo[0], lo[1]), pack_pair<T>(lo[2], lo[3]),
                      pack_pair<T>(hi[0], hi[1]), pack_pair<T>(hi[2], hi[3]));
}

/* Close a chunk: o becomes the merged outputs, which are also kept at `kept` (kThreads floats
 * apart, this thread's first) unless it is the last. */
template <int N, int kThreads>
__device__ __forceinline__ void close_chunk(float c, bool first, bool last, float *kept,
                                            AttnState (&merged)[2], const AttnState (&state)[2],
                                            float (&o)[N][4]) {
    const AttnMerge f[2] = {attn_merge(merged[0], state[0], c), attn_merge(merged[1], state[1], c)};
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float *const at = kept + (4 * j + i) * kThreads;
            o[j][i] = attn_merge_value(first ? 0.0f : *at, o[j][i], f[i / 2]);
            if (!last) *at = o[j][i];
        }
}

/* Write row h of the thread's two, out pointing at the row. */
template <typename T, int N>
__device__ __forceinline__ void write_row(T *out, int h, float l, const float (&o)[N][4]) {
    const float inverse = attn_inverse(l);
#pragma unroll
    for (int j = 0; j < N; j++)
        *reinterpret_cast<uint32_t *>(out + 8 * j + threadIdx.x % 4 * 2) =
            pack_pair<T>(attn_finish(o[j][2 * h], inverse), attn_finish(o[j][2 * h + 1], inverse));
}

#endif
