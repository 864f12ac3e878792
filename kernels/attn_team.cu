/* Attention of few sequences with few new tokens, head dimensions 64 and 128: a CTA does a chunk
 * that attn_decode.cu would give to one warp, which takes 12 us for 512 keys while most SMs have
 * none.
 *
 * Shapes, formula, order of operations, bytes and FLOPs: as attn_decode.cu. What is parallel in a
 * chunk without another order: scores of different units, and products of different dimensions; the
 * running maximum and the sums of weights are the only chains over all, and they are short.
 *
 * A CTA has four math warps and a producer warp. Four units (256 keys) at a time:
 *
 *   warp i: S^T = K Q^T of unit i; the rows' maxima         -> shared memory
 *   barrier
 *   all:    the running maximum over the four units; warp i: weights and their sums of unit i
 *                                                           -> shared memory
 *   barrier
 *   warp i: dimensions [i D/4, (i + 1) D/4): o = o alpha + V^T P^T, unit after unit
 *
 * K and V of units are slots of one ring, in the order of their use: those of K of four units, then
 * those of V. The CTA that completes a sequence's last chunk merges; its warps share the rows.
 *
 * Shared memory: 12 slots, 192 KB at D = 128, and 5 or 9 KB for what the warps exchange: one CTA an
 * SM. Items are dealt round robin: sequences are few, and a CTA has at most a few items.
 *
 * Measured, H200, 2026-11-24, us (in brackets attn_decode.cu), D = 128, 32 heads, 8 kv heads: one
 * sequence of 1k, 2k, 8k, 32k, 128k keys 10.0 (17.8), 10.4 (17.9), 15.2 (21.8), 50 (55), 183 (228);
 * four of 1k, 2k, 8k 11.0 (18.4), 14.7 (20.1), 55 (43). It gains while there are fewer chunks than
 * SMs; beyond, its barriers keep it at 0.6 of reads. */
#include "attn_decode.cuh"

constexpr uint32_t kTeam = 4; /* math warps, and units at a time */

template <int D, int NT> struct TeamShape {
    static constexpr uint32_t kHalf = page_head_bytes(D);
    static constexpr uint32_t kSlots = 12;
    static constexpr uint32_t kBars = kSlots * kHalf; /* full, then empty */
    static constexpr uint32_t kExchange = kBars + kSlots * 16;
    static constexpr uint32_t kShared = kExchange + 4096 * NT + kTeam * 16 * 8 + kTeam * 256 + 16;
    static_assert(kShared <= 232448, "fits an SM");
};

/* What the warps tell each other. */
template <int NT> struct Exchange {
    uint2 weights[kTeam][4][NT][32];       /* operand B of the products, lane by lane */
    float most[kTeam][16], sum[kTeam][16]; /* of a unit, for each query row */
    float2 factors[kTeam][1][32];          /* of merges */
    uint32_t is_last;
};

/* The next up to four units of an item, all of one chunk. */
struct Quad {
    uint32_t unit, count;
    bool ends_chunk, ends_item;
};
__device__ __forceinline__ Quad quad_of(const Work &w, uint32_t unit) {
    const uint32_t end = min(unit / kChunkUnits * kChunkUnits + kChunkUnits - 1, w.last);
    const uint32_t count = min(kTeam, end - unit + 1);
    return {unit, count, unit + count - 1 == end, unit + count - 1 == w.last};
}

template <int D, int NT> struct Ring {
    using Shape = TeamShape<D, NT>;
    const uint32_t base;
    uint32_t slot = 0, parity = 0;

    __device__ __forceinline__ uint32_t at(uint32_t s) const { return base + s * Shape::kHalf; }
    __device__ __forceinline__ uint32_t full(uint32_t s) const {
        return base + Shape::kBars + s * 8;
    }
    __device__ __forceinline__ uint32_t empty(uint32_t s) const {
        return full(s) + Shape::kSlots * 8;
    }
    __device__ __forceinline__ void init() const {
        for (uint32_t i = 0; i < Shape::kSlots; i++) {
            mbarrier_init(full(i), 1);
            mbarrier_init(empty(i), kTeam);
        }
        fence_mbarrier_init();
    }
    __device__ __forceinline__ void advance(uint32_t n) {
        slot += n;
        if (slot >= Shape::kSlots) slot -= Shape::kSlots, parity ^= 1;
    }
    /* The slot n ahead, complete. */
    __device__ __forceinline__ uint32_t wait(uint32_t n) const {
        const bool wraps = slot + n >= Shape::kSlots;
        const uint32_t s = wraps ? slot + n - Shape::kSlots : slot + n;
        mbarrier_wait(full(s), parity ^ (uint32_t)wraps);
        return s;
    }
    /* One warp is done with slot s, for itself or for `warps` of them. */
    __device__ __forceinline__ void release(uint32_t s, uint32_t warps) const {
        __syncwarp();
        if (threadIdx.x % 32 == 0)
            for (uint32_t i = 0; i < warps; i++)
                mbarrier_arrive(empty(s));
    }
    /* By all lanes of the producer warp; lane i has the page of unit quad.unit + i. */
    __device__ __forceinline__ void load(const AttnParams &p, const Work &w, const Quad &quad,
                                         int32_t page) {
        for (uint32_t i = 0; i < 2 * quad.count; i++) {
            const uint32_t value = i >= quad.count, unit = value ? i - quad.count : i;
            const int32_t id = __shfl_sync(kAllLanes, page, unit);
            const char *const src =
                p.kv + (uint64_t)id * p.page_bytes + (uint64_t)(w.head * 2 + value) * Shape::kHalf;
            mbarrier_wait(empty(slot), parity ^ 1);
            if (threadIdx.x % 32 == 0) load_half(at(slot), src, Shape::kHalf, full(slot));
            advance(1);
        }
    }
};

/* A thread's share of a chunk: the state of its query rows, the same in all warps, and its warp's
 * dimensions of o. */
template <typename T, int D, int NT> struct Team {
    static constexpr int kMine = D / 16 / (int)kTeam; /* k16 blocks of dimensions */
    const AttnParams &p;
    Exchange<NT> &x;
    Ring<D, NT> ring;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    AttnState state[NT][2];
    float o[kMine][NT][4];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int nt = 0; nt < NT; nt++) {
            state[nt][0] = state[nt][1] = {kNoScore, 0.0f};
#pragma unroll
            for (int md = 0; md < kMine; md++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    o[md][nt][i] = 0.0f;
        }
    }
    __device__ __forceinline__ uint32_t row(int nt, int e) const {
        return 8 * nt + lane % 4 * 2 + e;
    }

    __device__ __forceinline__ void scores(const Work &w, const Quad &quad,
                                           const uint32_t (&q)[NT][D / 16][2],
                                           float (&s)[4][NT][4]) {
        if (warp < quad.count) {
            const uint32_t slot = ring.wait(warp);
            score_unit<T, D, NT, true>(p, w, ring.at(slot), q, s);
            ring.release(slot, kTeam);
            mask_scores<NT>(p, w, (quad.unit + warp) * kUnit, s);
        } else {
#pragma unroll
            for (int i = 0; i < 16 * NT; i++)
                s[i / 4 / NT][i / 4 % NT][i % 4] = kNoScore;
        }
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const float most = unit_max<NT>(s, nt, e);
                if (lane < 4) x.most[warp][row(nt, e)] = most;
            }
    }
    /* alpha: of each unit, on what the units before it left. */
    __device__ __forceinline__ void weigh(const Work &w, const Quad &quad, float (&s)[4][NT][4],
                                          float (&alpha)[kTeam][NT][2]) {
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float offset = 0.0f;
#pragma unroll
                for (uint32_t u = 0; u < kTeam; u++) {
                    alpha[u][nt][e] = 1.0f;
                    if (u >= quad.count) continue;
                    const AttnShift shift = attn_raise(state[nt][e].m, x.most[u][row(nt, e)], p.c);
                    alpha[u][nt][e] = shift.alpha;
                    if (u == warp) offset = shift.offset;
                }
                const float sum = weigh_unit<NT>(s, nt, e, p.c, offset);
                if (lane < 4) x.sum[warp][row(nt, e)] = sum;
            }
        uint32_t weights[4][NT][2];
        weight_operand<T, NT>(s, weights);
#pragma unroll
        for (int ks = 0; ks < 4; ks++)
#pragma unroll
            for (int nt = 0; nt < NT; nt++)
                x.weights[warp][ks][nt][lane] = make_uint2(weights[ks][nt][0], weights[ks][nt][1]);
        const uint32_t start = (quad.unit + warp) * kUnit;
        if (warp < quad.count && start + kUnit > w.kv_end)
            zero_rows<D>(ring.at(ring.wait(quad.count + warp)), w.kv_end - start);
    }
    __device__ __forceinline__ void products(const Quad &quad, const float (&alpha)[kTeam][NT][2]) {
#pragma unroll
        for (uint32_t u = 0; u < kTeam; u++) {
            if (u >= quad.count) break;
            bool moved = false;
            uint32_t weights[4][NT][2];
#pragma unroll
            for (int nt = 0; nt < NT; nt++) {
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    state[nt][e].l =
                        attn_add_sum(state[nt][e].l, alpha[u][nt][e], x.sum[u][row(nt, e)]);
                    moved |= alpha[u][nt][e] != 1.0f;
                }
#pragma unroll
                for (int ks = 0; ks < 4; ks++) {
                    const uint2 b = x.weights[u][ks][nt][lane];
                    weights[ks][nt][0] = b.x, weights[ks][nt][1] = b.y;
                }
            }
            if (__any_sync(kAllLanes, moved)) rescale<kMine, NT>(alpha[u], o);
            const uint32_t slot = ring.wait(quad.count + u);
            add_products<T, D, NT, kMine>(ring.at(slot), warp * kMine, weights, o);
            ring.release(slot, 1);
        }
    }
    /* A chunk of an item that holds them all is done: merge it into what came before. */
    __device__ __forceinline__ void join(AttnState (&merged)[NT][2], float (&om)[kMine][NT][4]) {
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const AttnMerge f = attn_merge(merged[nt][e], state[nt][e], p.c);
#pragma unroll
                for (int md = 0; md < kMine; md++) {
                    om[md][nt][e] = attn_merge_value(om[md][nt][e], o[md][nt][e], f);
                    om[md][nt][e + 2] = attn_merge_value(om[md][nt][e + 2], o[md][nt][e + 2], f);
                }
            }
    }
    /* A chunk of a split sequence is done: write it down, and merge all where it is the last. */
    __device__ __forceinline__ void hand_in(const Work &w) {
        write_partial<T, D, NT, kMine>(p, w, warp * kMine, state, o);
        __threadfence();
        named_barrier(1, kTeam * 32);
        if (threadIdx.x == 0) x.is_last = count_chunk(p, w);
        named_barrier(1, kTeam * 32);
        if (!x.is_last) return;
        __threadfence();
        merge_chunks<T, D, NT, 1>(p, w, warp, kTeam, x.factors[warp]);
    }
    __device__ __forceinline__ void run(Work &w) {
        uint32_t q[NT][D / 16][2];
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
#pragma unroll
            for (int ks = 0; ks < D / 16; ks++)
                load_query<T, D>(p, w, nt, ks, q[nt][ks]);
        AttnState merged[NT][2];
        float om[kMine][NT][4] = {};
#pragma unroll
        for (int nt = 0; nt < NT; nt++)
            merged[nt][0] = merged[nt][1] = {kNoScore, 0.0f};
        clear();
        for (;;) {
            const Quad quad = quad_of(w, w.unit);
            float s[4][NT][4], alpha[kTeam][NT][2];
            scores(w, quad, q, s);
            named_barrier(1, kTeam * 32);
            weigh(w, quad, s, alpha);
            named_barrier(1, kTeam * 32);
            products(quad, alpha);
            ring.advance(2 * quad.count);
            w.unit += quad.count;
            if (!quad.ends_chunk) continue;
            if (w.first_chunk == w.last_chunk) {
                write_output<T, D, NT, kMine>(p, w, warp * kMine, state, o);
            } else if (!w.whole) {
                hand_in(w);
            } else {
                join(merged, om);
                if (quad.ends_item) write_output<T, D, NT, kMine>(p, w, warp * kMine, merged, om);
            }
            if (quad.ends_item) return;
            clear();
        }
    }
};

template <typename T, int D, int NT>
__global__ void __launch_bounds__(kTeam * 32 + 32, 1)
    attn_team(const __grid_constant__ AttnParams p) {
#if __CUDA_ARCH__ >= 900 /* attn.cu sends other devices elsewhere */
    using Shape = TeamShape<D, NT>;
    static_assert(sizeof(Exchange<NT>) <= Shape::kShared - Shape::kExchange, "room for it");
    extern __shared__ __align__(128) unsigned char shared[];
    Ring<D, NT> ring{shared_address(shared)};
    let_next_start();
    if (threadIdx.x == 0) ring.init();
    __syncthreads();
    wait_for_previous();
    const uint32_t total = p.counts->n_items * p.n_kv_heads;

    if (threadIdx.x / 32 == kTeam) { /* producer */
        fence_proxy_async();         /* pages were written by ordinary stores */
        for (uint32_t i = blockIdx.x; i < total; i += gridDim.x) {
            Work w;
            if (!open_item(p, i, w)) continue;
            for (bool more = true; more;) {
                const Quad quad = quad_of(w, w.unit);
                const uint32_t unit = quad.unit + threadIdx.x % kTeam;
                ring.load(p, w, quad, w.table[min(unit, w.last)]);
                w.unit += quad.count;
                more = !quad.ends_item;
            }
        }
        return;
    }
    Team<T, D, NT> team{p, *reinterpret_cast<Exchange<NT> *>(shared + Shape::kExchange), ring};
    for (uint32_t i = blockIdx.x; i < total; i += gridDim.x) {
        Work w;
        if (open_item(p, i, w)) team.run(w);
    }
#endif
}

/* --- launch --- */

template <typename T, int D, int NT> static int init_one() {
    return (int)cudaFuncSetAttribute(attn_team<T, D, NT>,
                                     cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     TeamShape<D, NT>::kShared);
}

template <typename T, int D> static int init_both() {
    const int rc = init_one<T, D, 1>();
    return rc ? rc : init_one<T, D, 2>();
}

template <typename T, int D, int NT>
static int launch_one(const AttnParams &p, uint32_t grid, cudaStream_t stream) {
    return launch_kernel(attn_team<T, D, NT>, dim3(grid), dim3(kTeam * 32 + 32),
                         TeamShape<D, NT>::kShared, stream, p);
}

template <typename T>
static int launch_type(const AttnParams &p, uint32_t head_dim, uint32_t max_rows, uint32_t grid,
                       cudaStream_t stream) {
    if (head_dim == 64)
        return max_rows <= 8 ? launch_one<T, 64, 1>(p, grid, stream)
                             : launch_one<T, 64, 2>(p, grid, stream);
    return max_rows <= 8 ? launch_one<T, 128, 1>(p, grid, stream)
                         : launch_one<T, 128, 2>(p, grid, stream);
}

int attn_team_init(pgd_dtype type, uint32_t head_dim) {
    if (type == PGD_BF16)
        return head_dim == 64 ? init_both<__nv_bfloat16, 64>() : init_both<__nv_bfloat16, 128>();
    return head_dim == 64 ? init_both<__half, 64>() : init_both<__half, 128>();
}

int attn_team_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_rows,
                     uint32_t max_items, cudaStream_t stream) {
    int device, sms;
    int rc = (int)cudaGetDevice(&device);
    if (!rc) rc = (int)cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device);
    if (rc) return rc;
    const uint64_t items = (uint64_t)max_items * p.n_kv_heads;
    const uint32_t grid = (uint32_t)(items < (uint64_t)sms ? items : (uint64_t)sms);
    return type == PGD_BF16 ? launch_type<__nv_bfloat16>(p, head_dim, max_rows, grid, stream)
                            : launch_type<__half>(p, head_dim, max_rows, grid, stream);
}
