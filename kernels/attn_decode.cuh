/* The parts of attention by mma.sync with keys on M and queries on N that attn_decode.cu, a warp to
 * a chunk, and attn_team.cu, a CTA to a chunk, share. All lanes of a warp call these functions. */
#ifndef PAGODA_KERNELS_ATTN_DECODE_CUH
#define PAGODA_KERNELS_ATTN_DECODE_CUH

#include "attn_items.cuh"

/* --- addresses --- */

__device__ __forceinline__ uint64_t output_row(const AttnParams &p, const Work &w, uint32_t row) {
    return (uint64_t)(w.q_start + row / p.group) * p.n_heads + w.head * p.group + row % p.group;
}

__device__ __forceinline__ uint32_t partial_row(const AttnParams &p, const Work &w, uint32_t chunk,
                                                uint32_t row) {
    return w.partial + (chunk - w.chunk) * (w.n_new * p.n_heads) + w.head * w.rows + row;
}

__device__ __forceinline__ void load_half(uint32_t dst, const char *src, uint32_t bytes,
                                          uint32_t bar) {
#if __CUDA_ARCH__ >= 900
    mbarrier_arrive_expect(bar, bytes);
    bulk_load(dst, src, bytes, bar);
#endif
}

/* --- scores --- */

/* Elements 16 ks + 2t (and + 8) of query rows 8 nt + g: operand B. */
template <typename T, int D>
__device__ __forceinline__ void load_query(const AttnParams &p, const Work &w, uint32_t nt,
                                           uint32_t ks, uint32_t (&b)[2]) {
    const uint32_t lane = threadIdx.x % 32, row = 8 * nt + lane / 4;
    b[0] = b[1] = 0;
    if (row >= w.rows) return;
    const T *const q =
        static_cast<const T *>(p.q) + output_row(p, w, row) * D + 16 * ks + lane % 4 * 2;
    b[0] = *reinterpret_cast<const uint32_t *>(q);
    b[1] = *reinterpret_cast<const uint32_t *>(q + 8);
}

/* s[mt][nt] = scores of keys 16 mt .. of the unit with query rows 8 nt .. */
template <typename T, int D, int NT, bool kHeld>
__device__ __forceinline__ void
score_unit(const AttnParams &p, const Work &w, uint32_t k,
           const uint32_t (&held)[kHeld ? NT : 1][kHeld ? D / 16 : 1][2], float (&s)[4][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t key = lane % 16, column = lane / 16;
#pragma unroll
    for (int mt = 0; mt < 4; mt++)
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                s[mt][nt][i] = 0.0f;
#pragma unroll
    for (int ks = 0; ks < D / 16; ks++) {
        uint32_t b[NT][2];
#pragma unroll
        for (int nt = 0; nt < NT; nt++) {
            if constexpr (kHeld)
                b[nt][0] = held[nt][ks][0], b[nt][1] = held[nt][ks][1];
            else
                load_query<T, D>(p, w, nt, ks, b[nt]);
        }
#pragma unroll
        for (int mt = 0; mt < 4; mt++) {
            uint32_t a[4];
            ldmatrix_x4(a, k + page_chunk_offset(D, 16 * mt + key, 2 * ks + column));
#pragma unroll
            for (int nt = 0; nt < NT; nt++)
                mma_m16n8k16<T>(s[mt][nt], make_uint4(a[0], a[1], a[2], a[3]), b[nt][0], b[nt][1]);
        }
    }
}

/* -inf for the keys of the unit at `start` that are out of a row's range. */
template <int NT>
__device__ __forceinline__ void mask_scores(const AttnParams &p, const Work &w, uint32_t start,
                                            float (&s)[4][NT][4]) {
    const uint32_t lane = threadIdx.x % 32, g = lane / 4;
    if (start + kUnit <= w.kv_start + 1 && start >= attn_first_key(w.kv_end - 1, p.window)) return;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const uint32_t position = w.kv_start + (8 * nt + lane % 4 * 2 + e) / p.group;
            const uint32_t first = attn_first_key(position, p.window);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const uint32_t key = start + 8 * j + g;
                if (key < first || key > position) s[j / 2][nt][j % 2 * 2 + e] = kNoScore;
            }
        }
}

/* --- weights; a thread's query rows are 8 nt + 2t + e --- */

template <int NT>
__device__ __forceinline__ float unit_max(const float (&s)[4][NT][4], int nt, int e) {
    float most = s[0][nt][e];
#pragma unroll
    for (int j = 1; j < 8; j++)
        most = fmaxf(most, s[j / 2][nt][j % 2 * 2 + e]);
#pragma unroll
    for (int x = 4; x <= 16; x *= 2)
        most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, x));
    return most;
}

/* Scores of a row become weights; their sum. */
template <int NT>
__device__ __forceinline__ float weigh_unit(float (&s)[4][NT][4], int nt, int e, float c,
                                            float offset) {
    float sum = 0;
#pragma unroll
    for (int j = 0; j < 8; j++) {
        float &score = s[j / 2][nt][j % 2 * 2 + e];
        score = attn_weight(score, c, offset);
        sum = j ? __fadd_rn(sum, score) : score;
    }
#pragma unroll
    for (int x = 4; x <= 16; x *= 2)
        sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, x));
    return sum;
}

/* round(p) as operand B of the products. */
template <typename T, int NT>
__device__ __forceinline__ void weight_operand(const float (&s)[4][NT][4],
                                               uint32_t (&weights)[4][NT][2]) {
#pragma unroll
    for (int mt = 0; mt < 4; mt++)
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                weights[mt][nt][h] =
                    movmatrix_trans(pack_pair<T>(s[mt][nt][2 * h], s[mt][nt][2 * h + 1]));
}

/* --- products --- */

template <int kCount, int NT>
__device__ __forceinline__ void rescale(const float (&alpha)[NT][2], float (&o)[kCount][NT][4]) {
#pragma unroll
    for (int md = 0; md < kCount; md++)
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                o[md][nt][i] = __fmul_rn(o[md][nt][i], alpha[nt][i % 2]);
}

/* o[i][nt] += V^T P^T over the keys of the unit, for dimensions 16 (first + i) and 15 more. */
template <typename T, int D, int NT, int kCount>
__device__ __forceinline__ void add_products(uint32_t v, uint32_t first,
                                             const uint32_t (&weights)[4][NT][2],
                                             float (&o)[kCount][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t key = lane / 16 * 8 + lane % 8, column = lane / 8 % 2;
#pragma unroll
    for (int ks = 0; ks < 4; ks++)
#pragma unroll
        for (int md = 0; md < kCount; md++) {
            uint32_t a[4];
            ldmatrix_x4_trans(a,
                              v + page_chunk_offset(D, 16 * ks + key, 2 * (first + md) + column));
#pragma unroll
            for (int nt = 0; nt < NT; nt++)
                mma_m16n8k16<T>(o[md][nt], make_uint4(a[0], a[1], a[2], a[3]), weights[ks][nt][0],
                                weights[ks][nt][1]);
        }
}

/* Rows [from, 64) of V become zero. The slot is written by the async proxy next. */
template <int D> __device__ __forceinline__ void zero_rows(uint32_t v, uint32_t from) {
    for (uint32_t i = from * (D / 8) + threadIdx.x % 32; i < kUnit * (D / 8); i += 32)
        store_shared_16(v + page_chunk_offset(D, i / (D / 8), i % (D / 8)), make_uint4(0, 0, 0, 0));
#if __CUDA_ARCH__ >= 900
    fence_proxy_async();
#endif
    __syncwarp();
}

/* --- results; o holds dimensions from 16 first on --- */

template <typename T, int D, int NT, int kCount>
__device__ __forceinline__ void write_output(const AttnParams &p, const Work &w, uint32_t first,
                                             const AttnState (&state)[NT][2],
                                             const float (&o)[kCount][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const uint32_t row = 8 * nt + lane % 4 * 2 + e;
            if (row >= w.rows) continue;
            const float inverse = attn_inverse(state[nt][e].l);
            T *const out =
                static_cast<T *>(p.out) + output_row(p, w, row) * D + 16 * first + lane / 4;
#pragma unroll
            for (int md = 0; md < kCount; md++) {
                out[16 * md] = from_float<T>(attn_finish(o[md][nt][e], inverse));
                out[16 * md + 8] = from_float<T>(attn_finish(o[md][nt][e + 2], inverse));
            }
        }
}

template <typename T, int D, int NT, int kCount>
__device__ __forceinline__ void write_partial(const AttnParams &p, const Work &w, uint32_t first,
                                              const AttnState (&state)[NT][2],
                                              const float (&o)[kCount][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const uint32_t row = 8 * nt + lane % 4 * 2 + e;
            if (row >= w.rows) continue;
            const uint64_t at = partial_row(p, w, w.chunk, row);
            if (first == 0 && lane < 4)
                p.partial_ml[at] = make_float2(state[nt][e].m, state[nt][e].l);
            float *const out = p.partial_o + at * D + 16 * first + lane / 4;
#pragma unroll
            for (int md = 0; md < kCount; md++) {
                out[16 * md] = o[md][nt][e];
                out[16 * md + 8] = o[md][nt][e + 2];
            }
        }
}

/* Count this chunk, by one thread, after its partials and a fence: whether it completes the
 * sequence and kv head. */
__device__ __forceinline__ bool count_chunk(const AttnParams &p, const Work &w) {
    const uint32_t n = w.last_chunk - w.first_chunk;
    return atomicInc(&p.tickets[w.seq * p.n_kv_heads + w.head], n) == n;
}

/* What merging 32 chunks from `chunk` on does to kRows rows: factors (a, b) to shared memory,
 * lane by lane, since a running maximum is a scan; m and l, the same in all lanes, move on. */
template <int kRows>
__device__ __forceinline__ void merge_factors(const AttnParams &p, const Work &w, uint32_t chunk,
                                              uint32_t row, AttnState (&state)[kRows],
                                              float2 (*factors)[32]) {
    const uint32_t lane = threadIdx.x % 32;
    const bool there = chunk + lane <= w.last_chunk;
    float2 ml[kRows];
#pragma unroll
    for (uint32_t r = 0; r < kRows; r++) {
        ml[r] = make_float2(kNoScore, 0.0f);
        if (there && row + r < w.rows)
            ml[r] = __ldcg(&p.partial_ml[partial_row(p, w, chunk + lane, row + r)]);
    }
#pragma unroll
    for (uint32_t r = 0; r < kRows; r++) {
        float most = fmaxf(state[r].m, ml[r].x);
#pragma unroll
        for (uint32_t d = 1; d < 32; d *= 2)
            most = fmaxf(most, __shfl_up_sync(kAllLanes, most, d)); /* its own below lane d */
        const float before = __shfl_up_sync(kAllLanes, most, 1);
        AttnState moving = {lane ? before : state[r].m, 0.0f};
        const AttnMerge f = attn_merge(moving, {ml[r].x, ml[r].y}, p.c);
        factors[r][lane] = make_float2(f.a, f.b);
        /* moving.l is l b, rounded, since l before it was 0 */
#pragma unroll 1
        for (uint32_t i = 0; i < 32; i++) {
            const float a = __shfl_sync(kAllLanes, f.a, i);
            const float lb = __shfl_sync(kAllLanes, moving.l, i);
            if (chunk + i <= w.last_chunk) state[r].l = __fmaf_rn(state[r].l, a, lb);
        }
        state[r].m = __shfl_sync(kAllLanes, most, 31);
    }
    __syncwarp();
}

/* Merge the chunks of a (sequence, kv head) in order and write the output of rows `from` .. and
 * kRows at a time of every `stride`-th further. The factors come first, so that of the loop over
 * chunks only a product and a sum wait for each other, with several loads of partials in flight: as
 * many as there are registers for (a call of its own spills more). */
template <typename T, int D, int NT, int kRows>
__device__ __forceinline__ void merge_chunks(const AttnParams &p, const Work &w, uint32_t from,
                                             uint32_t stride, float2 (*factors)[32]) {
    constexpr uint32_t kWide = D / 4; /* float4 of a row */
    constexpr uint32_t kMine = (kRows * kWide + 31) / 32;
    /* chunks; divides 32 */
    constexpr uint32_t kAhead = kRows == 1 ? 16 : D * NT <= 128 ? 4 : D <= 128 ? 2 : 1;
    const uint32_t lane = threadIdx.x % 32;
    const uint64_t step = (uint64_t)w.n_new * p.n_heads * D; /* from chunk to chunk */
    for (uint32_t row = from; row < w.rows; row += stride) {
        const uint32_t n = min((uint32_t)kRows, w.rows - row) * kWide;
        AttnState state[kRows];
        float4 o[kMine];
#pragma unroll
        for (uint32_t r = 0; r < kRows; r++)
            state[r] = {kNoScore, 0.0f};
#pragma unroll
        for (uint32_t e = 0; e < kMine; e++)
            o[e] = make_float4(0, 0, 0, 0);
        for (uint32_t chunk = w.first_chunk; chunk <= w.last_chunk; chunk += kAhead) {
            const uint32_t at = (chunk - w.first_chunk) % 32;
            if (at == 0) {
                __syncwarp();
                merge_factors<kRows>(p, w, chunk, row, state, factors);
            }
            const float *const rows = p.partial_o + (uint64_t)partial_row(p, w, chunk, row) * D;
            float4 v[kAhead][kMine];
#pragma unroll
            for (uint32_t i = 0; i < kAhead; i++)
#pragma unroll
                for (uint32_t e = 0; e < kMine; e++) {
                    v[i][e] = make_float4(0, 0, 0, 0);
                    if (chunk + i <= w.last_chunk && lane + 32 * e < n)
                        v[i][e] = __ldcg(reinterpret_cast<const float4 *>(rows + i * step) + lane +
                                         32 * e);
                }
#pragma unroll
            for (uint32_t i = 0; i < kAhead; i++) {
                if (chunk + i > w.last_chunk) continue;
#pragma unroll
                for (uint32_t e = 0; e < kMine; e++) {
                    const uint32_t r = min((lane + 32 * e) / kWide, kRows - 1u);
                    const float2 ab = factors[r][at + i];
                    const AttnMerge f = {ab.x, ab.y};
                    o[e].x = attn_merge_value(o[e].x, v[i][e].x, f);
                    o[e].y = attn_merge_value(o[e].y, v[i][e].y, f);
                    o[e].z = attn_merge_value(o[e].z, v[i][e].z, f);
                    o[e].w = attn_merge_value(o[e].w, v[i][e].w, f);
                }
            }
        }
#pragma unroll
        for (uint32_t e = 0; e < kMine; e++) {
            const uint32_t i = lane + 32 * e, r = i / kWide;
            if (i >= n) continue;
            float l = state[0].l;
#pragma unroll
            for (uint32_t k = 1; k < kRows; k++)
                if (r == k) l = state[k].l;
            const float inverse = attn_inverse(l);
            const uint2 packed = make_uint2(
                pack_pair<T>(attn_finish(o[e].x, inverse), attn_finish(o[e].y, inverse)),
                pack_pair<T>(attn_finish(o[e].z, inverse), attn_finish(o[e].w, inverse)));
            *reinterpret_cast<uint2 *>(static_cast<T *>(p.out) + output_row(p, w, row + r) * D +
                                       i % kWide * 4) = packed;
        }
    }
}

#endif
