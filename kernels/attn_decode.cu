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
 * Measured, H200, 2026-11-24, reads 4511 GB/s, D = 128, 32 heads, 8 kv heads; of reads: 0.92, 0.95,
 * 0.97, 0.98 at batch 256 x 1k, 2k, 8k, 32k keys; 0.77, 0.88, 0.94, 0.96 at batch 64; 0.58 at batch
 * 16 x 1k, where attn_team.cu has 0.54. One sequence takes 17.8 us at 1k keys (attn_team.cu: 10.0).
 */
#include "attn_decode.cuh"

constexpr uint32_t kWarps = 3;
constexpr int kMergeRows = 4; /* rows of queries that a merge has in hand */

template <int D> struct DecodeShape {
    static constexpr uint32_t kHalf = page_head_bytes(D); /* K or V of a unit */
    static constexpr uint32_t kSlots = D <= 64 ? 6 : 3;
    static constexpr uint32_t kBarriers = kSlots * 2 * kHalf;     /* for each slot: of K, of V */
    static constexpr uint32_t kFactors = kBarriers + kSlots * 16; /* of merges, each warp's */
    static constexpr uint32_t kShared = kFactors + kWarps * kMergeRows * 32 * 8;
    static constexpr int kCtas = D <= 128 ? 2 : 1; /* an SM */
};

/* Online softmax over the scores of a unit that starts at key `start`: m, l and o of the thread's
 * query rows (8 nt + 2t + e) move on, weights receives round(p) as operand B. */
template <typename T, int D, int NT>
__device__ __forceinline__ void soften(const AttnParams &p, const Work &w, uint32_t start,
                                       float (&s)[4][NT][4], AttnState (&state)[NT][2],
                                       float (&o)[D / 16][NT][4], uint32_t (&weights)[4][NT][2]) {
    mask_scores<NT>(p, w, start, s);
    float alpha[NT][2];
    bool moved = false;
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float most = unit_max<NT>(s, nt, e);
            const AttnShift shift = attn_raise(state[nt][e].m, most, p.c);
            const float sum = weigh_unit<NT>(s, nt, e, p.c, shift.offset);
            state[nt][e].l = attn_add_sum(state[nt][e].l, shift.alpha, sum);
            alpha[nt][e] = shift.alpha;
            moved |= shift.alpha != 1.0f;
        }
    weight_operand<T, NT>(s, weights);
    if (__any_sync(kAllLanes, moved)) rescale<D / 16, NT>(alpha, o);
}

/* Count this chunk as written; true in the warp that completes the sequence and kv head. */
__device__ __forceinline__ bool take_ticket(const AttnParams &p, const Work &w) {
    __threadfence();
    __syncwarp();
    uint32_t last = threadIdx.x % 32 ? 0 : count_chunk(p, w);
    last = __shfl_sync(kAllLanes, last, 0);
    __threadfence();
    return last;
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
            add_products<T, D, NT, D / 16>(v, 0, weights, o);
            __syncwarp();
            if (next && lane == 0) load_half(v, next + Shape::kHalf, Shape::kHalf, bar + 8);
            if (++slot == depth) slot = 0, parity ^= 1;

            const bool end = w.unit == w.last;
            if (!end && w.unit % kChunkUnits != kChunkUnits - 1) continue;
            if (w.first_chunk == w.last_chunk) {
                write_output<T, D, NT, D / 16>(p, w, 0, state, o);
            } else if (!w.whole) {
                write_partial<T, D, NT, D / 16>(p, w, 0, state, o);
                if (take_ticket(p, w))
                    merge_chunks<T, D, NT, kMergeRows>(p, w, 0, kMergeRows, factors);
            } else {
                merge_own<T, D, NT>(p, w, w.unit / kChunkUnits == w.first_chunk, state, merged, o);
                if (end) write_output<T, D, NT, D / 16>(p, w, 0, merged, o);
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
