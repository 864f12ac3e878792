/* Attention of sequences with few new tokens: reads each page once, at the speed of memory.
 *
 * Shapes: q, out [n_tok, n_heads, D]; pages as page.cuh; D 64, 80, 96, 128, 256; rows of queries of
 * one kv head n_new * group <= 16. Formula and order of operations: attn.cuh.
 * Bytes: 4 D n_kv_heads for each key; partials 4 (D + 2) n_heads n_new, written and read, for each
 * chunk of kChunk keys of a sequence with several. FLOPs: 4 D n_heads for each pair of query and
 * key.
 *
 * Mapping: a work item is one chunk of one kv head of one sequence, from the planner's list. One
 * warp does it alone, so a warp never waits for another. Keys lie on M: S^T = K Q^T and
 * O^T = V^T P^T by m16n8k16, 8 or 16 rows of queries on N; P^T changes from accumulator to operand
 * by movmatrix. Each warp owns a ring of units (K and V of 64 keys) in shared memory, filled by
 * bulk copies of whole pages that its lane 0 issues: K of the unit `depth` ahead as soon as the
 * scores are done, V after the products. The first items go round robin over the warps in use, CTAs
 * first; each further one to whichever warp comes next, by a counter that ends at zero as it began.
 * Dealt in advance, a warp that had merged fell behind, so completed its next sequence last and
 * merged again, so that few warps did most merges of a head and the rest waited at the end.
 * With fewer items than warps, fewer warps work, each with more of the ring.
 *
 * The warp that completes the last chunk of a (sequence, kv head) merges them in order of position.
 * The ticket counter by which it knows wraps to zero by itself.
 *
 * Shared memory: kSlots units, 96 KB at D = 128, two CTAs an SM (D = 256: 192 KB and one), and
 * 1 KB a warp for the factors of merges.
 *
 * Measured, H100 80GB HBM3, 2026-11-24, reads 3081 GB/s, D = 128, 32 heads, 8 kv heads, with items
 * dealt in advance and merges of one load after the other (no figures of the present code yet): of
 * reads 0.93 at batch 256 x 2k keys, 0.92 at 64 x 2k, 0.86 at 256 x 8k, 0.63 at 64 x 32k, 0.54 at
 * 1 x 128k; 14.4 us at 1 x 1k. The loss per sequence did not depend on the batch (21 us at 32k
 * keys, 1 us at 8k), which points at the merges. */
#include "attn_items.cuh"

constexpr uint32_t kWarps = 3;
constexpr uint32_t kMergeRows = 4; /* rows of queries that a merge has in hand */

template <int D> struct DecodeShape {
    static constexpr uint32_t kHalf = page_head_bytes(D); /* K or V of a unit */
    static constexpr uint32_t kSlots = D <= 64 ? 6 : 3;
    static constexpr uint32_t kBarriers = kSlots * 2 * kHalf;     /* for each slot: of K, of V */
    static constexpr uint32_t kFactors = kBarriers + kSlots * 16; /* of merges, each warp's */
    static constexpr uint32_t kShared = kFactors + kWarps * kMergeRows * 32 * 8;
    static constexpr int kCtas = D <= 128 ? 2 : 1; /* an SM */
};

__device__ __forceinline__ void load_half(uint32_t dst, const char *src, uint32_t bytes,
                                          uint32_t bar) {
#if __CUDA_ARCH__ >= 900
    mbarrier_arrive_expect(bar, bytes);
    bulk_load(dst, src, bytes, bar);
#endif
}

__device__ __forceinline__ uint64_t output_row(const AttnParams &p, const Work &w, uint32_t row) {
    return (uint64_t)(w.q_start + row / p.group) * p.n_heads + w.head * p.group + row % p.group;
}

__device__ __forceinline__ uint32_t partial_row(const AttnParams &p, const Work &w, uint32_t chunk,
                                                uint32_t row) {
    return w.partial + (chunk - w.chunk) * (w.n_new * p.n_heads) + w.head * w.rows + row;
}

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

/* o[md][nt] += V^T P^T over the keys of the unit. */
template <typename T, int D, int NT>
__device__ __forceinline__ void add_products(uint32_t v, const uint32_t (&weights)[4][NT][2],
                                             float (&o)[D / 16][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t key = lane / 16 * 8 + lane % 8, column = lane / 8 % 2;
#pragma unroll
    for (int ks = 0; ks < 4; ks++)
#pragma unroll
        for (int md = 0; md < D / 16; md++) {
            uint32_t a[4];
            ldmatrix_x4_trans(a, v + page_chunk_offset(D, 16 * ks + key, 2 * md + column));
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

/* Online softmax over the scores of a unit that starts at key `start`: m, l and o of the thread's
 * query rows (8 nt + 2t + e) move on, weights receives round(p) as operand B. */
template <typename T, int D, int NT>
__device__ __forceinline__ void soften(const AttnParams &p, const Work &w, uint32_t start,
                                       float (&s)[4][NT][4], AttnState (&state)[NT][2],
                                       float (&o)[D / 16][NT][4], uint32_t (&weights)[4][NT][2]) {
    const uint32_t lane = threadIdx.x % 32, g = lane / 4;
    if (start + kUnit > w.kv_start + 1 || start < attn_first_key(w.kv_end - 1, p.window)) {
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
    float alpha[NT][2];
    bool moved = false;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            float most = s[0][nt][e];
#pragma unroll
            for (int j = 1; j < 8; j++)
                most = fmaxf(most, s[j / 2][nt][j % 2 * 2 + e]);
#pragma unroll
            for (int x = 4; x <= 16; x *= 2)
                most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, x));
            const AttnShift shift = attn_raise(state[nt][e].m, most, p.c);
            float sum = 0;
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float &score = s[j / 2][nt][j % 2 * 2 + e];
                score = attn_weight(score, p.c, shift.offset);
                sum = j ? __fadd_rn(sum, score) : score;
            }
#pragma unroll
            for (int x = 4; x <= 16; x *= 2)
                sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, x));
            state[nt][e].l = attn_add_sum(state[nt][e].l, shift.alpha, sum);
            alpha[nt][e] = shift.alpha;
            moved |= shift.alpha != 1.0f;
        }
#pragma unroll
    for (int mt = 0; mt < 4; mt++)
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                weights[mt][nt][h] =
                    movmatrix_trans(pack_pair<T>(s[mt][nt][2 * h], s[mt][nt][2 * h + 1]));
    if (!__any_sync(kAllLanes, moved)) return; /* times 1 */
#pragma unroll
    for (int md = 0; md < D / 16; md++)
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                o[md][nt][i] = __fmul_rn(o[md][nt][i], alpha[nt][i % 2]);
}

template <typename T, int D, int NT>
__device__ __forceinline__ void write_output(const AttnParams &p, const Work &w,
                                             const AttnState (&state)[NT][2],
                                             const float (&o)[D / 16][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const uint32_t row = 8 * nt + lane % 4 * 2 + e;
            if (row >= w.rows) continue;
            const float inverse = attn_inverse(state[nt][e].l);
            T *const out = static_cast<T *>(p.out) + output_row(p, w, row) * D + lane / 4;
#pragma unroll
            for (int md = 0; md < D / 16; md++) {
                out[16 * md] = from_float<T>(attn_finish(o[md][nt][e], inverse));
                out[16 * md + 8] = from_float<T>(attn_finish(o[md][nt][e + 2], inverse));
            }
        }
}

template <typename T, int D, int NT>
__device__ __forceinline__ void write_partial(const AttnParams &p, const Work &w,
                                              const AttnState (&state)[NT][2],
                                              const float (&o)[D / 16][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const uint32_t row = 8 * nt + lane % 4 * 2 + e;
            if (row >= w.rows) continue;
            const uint64_t at = partial_row(p, w, w.chunk, row);
            if (lane < 4) p.partial_ml[at] = make_float2(state[nt][e].m, state[nt][e].l);
            float *const out = p.partial_o + at * D + lane / 4;
#pragma unroll
            for (int md = 0; md < D / 16; md++) {
                out[16 * md] = o[md][nt][e];
                out[16 * md + 8] = o[md][nt][e + 2];
            }
        }
}

/* Count this chunk as written; true in the warp that completes the sequence and kv head. */
__device__ __forceinline__ bool take_ticket(const AttnParams &p, const Work &w) {
    __threadfence();
    __syncwarp();
    uint32_t last = 0;
    if (threadIdx.x % 32 == 0) {
        const uint32_t n = w.last_chunk - w.first_chunk;
        last = atomicInc(&p.tickets[w.seq * p.n_kv_heads + w.head], n) == n;
    }
    last = __shfl_sync(kAllLanes, last, 0);
    __threadfence();
    return last;
}

/* What merging 32 chunks from `chunk` on does to kMergeRows rows: factors (a, b) to shared memory,
 * lane by lane, since a running maximum is a scan; m and l, the same in all lanes, move on. */
__device__ __forceinline__ void merge_factors(const AttnParams &p, const Work &w, uint32_t chunk,
                                              uint32_t row, AttnState (&state)[kMergeRows],
                                              float2 (*factors)[32]) {
    const uint32_t lane = threadIdx.x % 32;
    const bool there = chunk + lane <= w.last_chunk;
    float2 ml[kMergeRows];
#pragma unroll
    for (uint32_t r = 0; r < kMergeRows; r++) {
        ml[r] = make_float2(kNoScore, 0.0f);
        if (there && row + r < w.rows)
            ml[r] = __ldcg(&p.partial_ml[partial_row(p, w, chunk + lane, row + r)]);
    }
#pragma unroll
    for (uint32_t r = 0; r < kMergeRows; r++) {
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

/* Merge the chunks of a (sequence, kv head) in order and write the output. The factors come first,
 * so that of the loop over chunks only a product and a sum wait for each other, with several loads
 * of partials in flight: as many as there are registers for (a call of its own spills more). */
template <typename T, int D, int NT>
__device__ __forceinline__ void merge_chunks(const AttnParams &p, const Work &w,
                                             float2 (*factors)[32]) {
    constexpr uint32_t kWide = D / 4; /* float4 of a row */
    constexpr uint32_t kMine = (kMergeRows * kWide + 31) / 32;
    constexpr uint32_t kAhead = D * NT <= 128 ? 4 : D <= 128 ? 2 : 1; /* chunks; divides 32 */
    const uint32_t lane = threadIdx.x % 32;
    const uint64_t step = (uint64_t)w.n_new * p.n_heads * D; /* from chunk to chunk */
    for (uint32_t row = 0; row < w.rows; row += kMergeRows) {
        const uint32_t n = min(kMergeRows, w.rows - row) * kWide;
        AttnState state[kMergeRows];
        float4 o[kMine];
#pragma unroll
        for (uint32_t r = 0; r < kMergeRows; r++)
            state[r] = {kNoScore, 0.0f};
#pragma unroll
        for (uint32_t e = 0; e < kMine; e++)
            o[e] = make_float4(0, 0, 0, 0);
        for (uint32_t chunk = w.first_chunk; chunk <= w.last_chunk; chunk += kAhead) {
            const uint32_t at = (chunk - w.first_chunk) % 32;
            if (at == 0) {
                __syncwarp();
                merge_factors(p, w, chunk, row, state, factors);
            }
            const float *const from = p.partial_o + (uint64_t)partial_row(p, w, chunk, row) * D;
            float4 v[kAhead][kMine];
#pragma unroll
            for (uint32_t i = 0; i < kAhead; i++)
#pragma unroll
                for (uint32_t e = 0; e < kMine; e++) {
                    v[i][e] = make_float4(0, 0, 0, 0);
                    if (chunk + i <= w.last_chunk && lane + 32 * e < n)
                        v[i][e] = __ldcg(reinterpret_cast<const float4 *>(from + i * step) + lane +
                                         32 * e);
                }
#pragma unroll
            for (uint32_t i = 0; i < kAhead; i++) {
                if (chunk + i > w.last_chunk) continue;
#pragma unroll
                for (uint32_t e = 0; e < kMine; e++) {
                    const uint32_t r = min((lane + 32 * e) / kWide, kMergeRows - 1);
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
            for (uint32_t k = 1; k < kMergeRows; k++)
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

/* A chunk of an item that holds them all: merge it into the warp's own scratch row, which each
 * thread writes and reads at its own elements; o then holds the merged values. */
template <typename T, int D, int NT>
__device__ __forceinline__ void merge_own(const AttnParams &p, const Work &w, bool first,
                                          const AttnState (&chunk)[NT][2],
                                          AttnState (&state)[NT][2], float (&o)[D / 16][NT][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const uint32_t row = 8 * nt + lane % 4 * 2 + e;
            if (row >= w.rows) continue;
            const AttnMerge f = attn_merge(state[nt][e], chunk[nt][e], p.c);
            float *const out =
                p.partial_o + (uint64_t)(w.partial + w.head * w.rows + row) * D + lane / 4;
#pragma unroll
            for (int i = 0; i < D / 8; i++) {
                float &value = o[i / 2][nt][i % 2 * 2 + e];
                value = attn_merge_value(first ? 0.0f : out[8 * i], value, f);
                out[8 * i] = value;
            }
        }
}

template <typename T, int D, int NT>
__global__ void __launch_bounds__(kWarps * 32, DecodeShape<D>::kCtas)
    attn_decode(const __grid_constant__ AttnParams p) {
    /* One function, since its phases share the accumulators and the ring. */
#if __CUDA_ARCH__ >= 900 /* attn.cu sends other devices elsewhere */
    using Shape = DecodeShape<D>;
    constexpr bool kHeld = D * NT <= 256; /* queries stay in registers */
    extern __shared__ __align__(128) unsigned char shared[];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;

    let_next_start();
    wait_for_previous();
    const uint32_t total = p.counts->n_items * p.n_kv_heads;
    const uint32_t warps = min(kWarps, ceil_div(total, gridDim.x));
    if (warp >= warps) return; /* no barrier of the CTA follows */

    const uint32_t depth = Shape::kSlots / warps, first_slot = warp * depth;
    const uint32_t ring = shared_address(shared) + first_slot * 2 * Shape::kHalf;
    const uint32_t bars = shared_address(shared) + Shape::kBarriers + first_slot * 16;
    float2(*const factors)[32] =
        reinterpret_cast<float2(*)[32]>(shared + Shape::kFactors) + warp * kMergeRows;
    if (lane == 0) {
        for (uint32_t i = 0; i < 2 * depth; i++)
            mbarrier_init(bars + 8 * i, 1);
        fence_mbarrier_init();
        fence_proxy_async(); /* pages were written by ordinary stores */
    }
    __syncwarp();

    const uint32_t first = warp * gridDim.x + blockIdx.x;
    if (first >= total) return;
    Feed feed = {};
    feed.total = total;
    feed.started = warps * gridDim.x;
    feed_open(p, feed, first, Shape::kHalf);
    for (uint32_t i = 0; i < depth; i++) {
        const char *const src = feed_next(p, feed, Shape::kHalf);
        if (!src || lane) continue;
        const uint32_t slot = ring + i * 2 * Shape::kHalf;
        load_half(slot, src, Shape::kHalf, bars + 16 * i);
        load_half(slot + Shape::kHalf, src + Shape::kHalf, Shape::kHalf, bars + 16 * i + 8);
    }

    uint32_t slot = 0, parity = 0;
    for (uint32_t done = 0;; done++) {
        const uint32_t index = __shfl_sync(kAllLanes, feed.held, done % 32);
        if (index >= total) break;
        Work w;
        open_item(p, index, w);
        uint32_t q[kHeld ? NT : 1][kHeld ? D / 16 : 1][2];
        if constexpr (kHeld) {
#pragma unroll
            for (int nt = 0; nt < NT; nt++)
#pragma unroll
                for (int ks = 0; ks < D / 16; ks++)
                    load_query<T, D>(p, w, nt, ks, q[nt][ks]);
        }
        AttnState merged[NT][2], state[NT][2];
        float o[D / 16][NT][4];
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int e = 0; e < 2; e++)
                merged[nt][e] = {kNoScore, 0.0f};

        bool fresh = true;
        for (;; w.unit++) {
            if (fresh) {
                fresh = false;
#pragma unroll
                for (int nt = 0; nt < NT; nt++) {
                    state[nt][0] = state[nt][1] = {kNoScore, 0.0f};
#pragma unroll
                    for (int md = 0; md < D / 16; md++)
#pragma unroll
                        for (int i = 0; i < 4; i++)
                            o[md][nt][i] = 0.0f;
                }
            }
            const uint32_t k = ring + slot * 2 * Shape::kHalf, v = k + Shape::kHalf;
            const uint32_t bar = bars + 16 * slot;
            float s[4][NT][4];
            mbarrier_wait(bar, parity);
            score_unit<T, D, NT, kHeld>(p, w, k, q, s);

            const char *const next = feed_next(p, feed, Shape::kHalf);
            __syncwarp();
            if (next && lane == 0) load_half(k, next, Shape::kHalf, bar);

            uint32_t weights[4][NT][2];
            soften<T, D, NT>(p, w, w.unit * kUnit, s, state, o, weights);
            mbarrier_wait(bar + 8, parity);
            if (w.unit * kUnit + kUnit > w.kv_end) zero_rows<D>(v, w.kv_end - w.unit * kUnit);
            add_products<T, D, NT>(v, weights, o);
            __syncwarp();
            if (next && lane == 0) load_half(v, next + Shape::kHalf, Shape::kHalf, bar + 8);
            if (++slot == depth) slot = 0, parity ^= 1;

            const bool end = w.unit == w.last;
            if (!end && w.unit % kChunkUnits != kChunkUnits - 1) continue;
            if (w.first_chunk == w.last_chunk) {
                write_output<T, D, NT>(p, w, state, o);
            } else if (!w.whole) {
                write_partial<T, D, NT>(p, w, state, o);
                if (take_ticket(p, w)) merge_chunks<T, D, NT>(p, w, factors);
            } else {
                merge_own<T, D, NT>(p, w, w.unit / kChunkUnits == w.first_chunk, state, merged, o);
                if (end) write_output<T, D, NT>(p, w, merged, o);
            }
            if (end) break;
            fresh = true;
        }
    }
#endif
}

/* --- launch --- */

template <typename T, int D, int NT> static int init_one() {
    return (int)cudaFuncSetAttribute(attn_decode<T, D, NT>,
                                     cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     DecodeShape<D>::kShared);
}

template <typename T, int D>
static int launch_one(const AttnParams &p, uint32_t max_rows, uint32_t max_items,
                      cudaStream_t stream) {
    int device, sms;
    int rc = (int)cudaGetDevice(&device);
    if (!rc) rc = (int)cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device);
    if (rc) return rc;
    const uint64_t items = (uint64_t)max_items * p.n_kv_heads;
    const uint64_t most = (uint64_t)sms * DecodeShape<D>::kCtas;
    const uint32_t grid = (uint32_t)(items < most ? items : most);
    return launch_kernel(max_rows <= 8 ? attn_decode<T, D, 1> : attn_decode<T, D, 2>, dim3(grid),
                         dim3(kWarps * 32), DecodeShape<D>::kShared, stream, p);
}

template <typename T, int D> static int init_both() {
    const int rc = init_one<T, D, 1>();
    return rc ? rc : init_one<T, D, 2>();
}

template <typename T> static int init_type(uint32_t head_dim) {
    switch (head_dim) {
    case 64:
        return init_both<T, 64>();
    case 80:
        return init_both<T, 80>();
    case 96:
        return init_both<T, 96>();
    case 128:
        return init_both<T, 128>();
    default:
        return init_both<T, 256>();
    }
}

int attn_decode_init(pgd_dtype type, uint32_t head_dim) {
    return type == PGD_BF16 ? init_type<__nv_bfloat16>(head_dim) : init_type<__half>(head_dim);
}

template <typename T>
static int launch_type(const AttnParams &p, uint32_t head_dim, uint32_t max_rows,
                       uint32_t max_items, cudaStream_t stream) {
    switch (head_dim) {
    case 64:
        return launch_one<T, 64>(p, max_rows, max_items, stream);
    case 80:
        return launch_one<T, 80>(p, max_rows, max_items, stream);
    case 96:
        return launch_one<T, 96>(p, max_rows, max_items, stream);
    case 128:
        return launch_one<T, 128>(p, max_rows, max_items, stream);
    default:
        return launch_one<T, 256>(p, max_rows, max_items, stream);
    }
}

int attn_decode_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_rows,
                       uint32_t max_items, cudaStream_t stream) {
    return type == PGD_BF16 ? launch_type<__nv_bfloat16>(p, head_dim, max_rows, max_items, stream)
                            : launch_type<__half>(p, head_dim, max_rows, max_items, stream);
}
