/* Attention of sequences with many new tokens by wgmma, head dimensions 64 and 128.
 *
 * Shapes: q, out [n_tok, n_heads, D]; pages as page.cuh. Formula and order of operations: attn.cuh.
 * FLOPs: 4 D for each pair of query row and key. Bytes: from L2, 4 D for each key of each tile.
 *
 * Mapping: one CTA an SM, two math warpgroups and a producer warp (of a third group). A CTA takes
 * items (tile of 128 query rows, kv head) from the planner's list, heaviest first, forwards and
 * backwards in turn so that the sums are even. A warpgroup has 64 rows: (token, head of the group)
 * pairs in that order. The producer copies whole page halves and rows of queries by bulk copies,
 * and runs ahead over the ends of items. Queries are kept in registers as operand A, so that the
 * tensor core reads only K and V from shared memory; P goes from accumulator to operand A without
 * leaving the registers.
 *
 *   warpgroup:  S(u+1) = Q K(u+1)^T, o += P(u) V(u)   in flight together
 *               softmax of S(u+1) as soon as it is there, beside the second product
 *               o *= alpha(u+1), P(u+1) = round(S(u+1))
 *
 * While one warpgroup is at its softmax the other's products fill the tensor core; making them take
 * turns loses 6 %. The wait for the products stands behind a branch, in both its arms: in the same
 * block as the softmax, ptxas moves it up in front of it (461 TFLOP/s for 490). The state into
 * which chunks are merged lies in shared memory, each thread's elements at its own addresses.
 *
 * Shared memory at D = 128: 4 units 128 KB, merged outputs 64 KB, queries 34 KB (rows padded by 16
 * bytes against bank conflicts), barriers. Registers: 232 a math thread, 40 a producer.
 *
 * Measured, H200, 2026-11-24, D = 128, 32 heads, 8 kv heads, causal: 279 TFLOP/s for 1024 new
 * tokens, 397 for 2048, 489 to 523 for 8192, 460 for 512 behind 8192, 456 for 2048 behind 6144, 223
 * for 16 x 512. Without the softmax 684, without the second product 538, without the first 555,
 * all of them before the wait was moved. */
#include "attn_rows.cuh"
#include "attn_wgmma.cuh"

namespace {

constexpr uint32_t kRows = kPrefillRows;
constexpr uint32_t kMath = 256;            /* threads */
constexpr uint32_t kThreads = kMath + 128; /* registers change hands by warpgroups */
constexpr uint32_t kStages = 4;

template <int D> struct PrefillShape {
    static constexpr uint32_t kHalf = page_head_bytes(D);
    static constexpr uint32_t kQueryStride = 2 * D + 16;
    static constexpr uint32_t kMerged = kStages * 2 * kHalf;
    static constexpr uint32_t kQuery = kMerged + kRows * D * 4;
    static constexpr uint32_t kBarriers = kQuery + kRows * kQueryStride;
    static constexpr uint32_t kShared = kBarriers + (2 + 4 * kStages) * 8;
    static_assert(kShared <= 232448, "shared memory of a CTA");
};

/* Addresses of the barriers. full: bytes have arrived; empty: all math warps are done. */
struct Barriers {
    uint32_t base;
    __device__ __forceinline__ uint32_t query_full() const { return base; }
    __device__ __forceinline__ uint32_t query_empty() const { return base + 8; }
    __device__ __forceinline__ uint32_t k_full(uint32_t s) const { return base + 16 + 32 * s; }
    __device__ __forceinline__ uint32_t v_full(uint32_t s) const { return k_full(s) + 8; }
    __device__ __forceinline__ uint32_t k_empty(uint32_t s) const { return k_full(s) + 16; }
    __device__ __forceinline__ uint32_t v_empty(uint32_t s) const { return k_full(s) + 24; }
};

/* Place in the ring of units; it goes on from item to item. */
struct Ring {
    uint32_t slot, parity;
    __device__ __forceinline__ void next() {
        if (++slot == kStages) slot = 0, parity ^= 1;
    }
};

/* An item as all warps see it. */
struct Job {
    uint32_t head, row, n_rows, q_start; /* rows [row, row + n_rows) of the sequence */
    uint32_t kv_start, kv_end, slot;
    uint32_t first, last; /* units */
};

__device__ __forceinline__ void open_job(const AttnParams &p, uint32_t index, Job &j) {
    const AttnTile tile = p.tiles[index / p.n_kv_heads];
    const pgd_plan_seq seq = p.seq[tile.seq];
    j.head = index % p.n_kv_heads;
    j.row = tile.row;
    j.n_rows = min(kRows, seq.n_new * p.group - tile.row);
    j.q_start = seq.q_start;
    j.kv_start = seq.kv_start;
    j.kv_end = seq.kv_start + seq.n_new;
    j.slot = seq.slot;
    j.first = attn_first_key(j.kv_start + j.row / p.group, p.window) / kUnit;
    j.last = (j.kv_start + (j.row + j.n_rows - 1) / p.group) / kUnit;
}

/* Index of the round-th item of this CTA: the list is dealt there and back. */
__device__ __forceinline__ uint32_t job_index(uint32_t round) {
    const uint32_t at = round % 2 ? gridDim.x - 1 - blockIdx.x : blockIdx.x;
    return round * gridDim.x + at;
}

/* Row of q and out, in units of head_dim, of row r of the job's tile. */
__device__ __forceinline__ uint64_t token_row(const AttnParams &p, const Job &j, uint32_t r) {
    r += j.row;
    return (uint64_t)(j.q_start + r / p.group) * p.n_heads + j.head * p.group + r % p.group;
}

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <typename T, int D>
__device__ __forceinline__ void produce(const AttnParams &p, uint32_t shared, Barriers bar) {
    using Shape = PrefillShape<D>;
    const uint32_t lane = threadIdx.x % 32, total = p.counts->n_tiles * p.n_kv_heads;
    Ring ring = {0, 0};
    uint32_t turn = 0; /* parity of the queries */
    for (uint32_t round = 0; round * gridDim.x < total; round++) {
        if (job_index(round) >= total) continue;
        Job j;
        open_job(p, job_index(round), j);
        mbarrier_wait(bar.query_empty(), turn ^ 1);
        turn ^= 1;
        if (lane == 0) mbarrier_arrive_expect(bar.query_full(), j.n_rows * D * 2);
        __syncwarp();
        for (uint32_t r = lane; r < j.n_rows; r += 32)
            bulk_load(shared + Shape::kQuery + r * Shape::kQueryStride,
                      static_cast<const T *>(p.q) + token_row(p, j, r) * D, D * 2,
                      bar.query_full());
        const int32_t *const table = p.page_table + (uint64_t)j.slot * p.max_pages;
        const char *const kv = p.kv + page_head_offset(j.head, D);
        int32_t ids = 0;
        for (uint32_t unit = j.first; unit <= j.last; unit++, ring.next()) {
            if ((unit - j.first) % 32 == 0) ids = unit + lane <= j.last ? table[unit + lane] : 0;
            const int32_t id = __shfl_sync(0xffffffff, ids, (unit - j.first) % 32);
            const char *const src = kv + (uint64_t)id * p.page_bytes;
            const uint32_t dst = shared + ring.slot * 2 * Shape::kHalf;
            if (lane == 0) {
                mbarrier_wait(bar.k_empty(ring.slot), ring.parity ^ 1);
                mbarrier_arrive_expect(bar.k_full(ring.slot), Shape::kHalf);
                bulk_load(dst, src, Shape::kHalf, bar.k_full(ring.slot));
                mbarrier_wait(bar.v_empty(ring.slot), ring.parity ^ 1);
                mbarrier_arrive_expect(bar.v_full(ring.slot), Shape::kHalf);
                bulk_load(dst + Shape::kHalf, src + Shape::kHalf, Shape::kHalf,
                          bar.v_full(ring.slot));
            }
            __syncwarp();
        }
    }
}

/* One arrival a warp. */
__device__ __forceinline__ void release(uint32_t bar) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) mbarrier_arrive(bar);
}

/* Issue s = Q K^T of the unit at k. */
template <typename T, int D>
__device__ __forceinline__ void issue_scores(uint32_t k, const uint4 (&query)[D / 16],
                                             float (&s)[8][4]) {
    const uint64_t keys = swizzled_descriptor(uniform(k));
    wgmma_fence();
#pragma unroll
    for (int ks = 0; ks < D / 16; ks++) {
        const uint64_t desc = descriptor_after(keys, ks / 4 * 8192 + ks % 4 * 32);
        if (ks == 0)
            ScoreWgmma<T, true>::run(s, query[ks], desc);
        else
            ScoreWgmma<T, false>::run(s, query[ks], desc);
    }
    wgmma_commit();
}

/* Issue o += P V of the unit at v. */
template <typename T, int D>
__device__ __forceinline__ void issue_products(uint32_t v, const uint4 (&weights)[4],
                                               float (&o)[D / 8][4]) {
    const uint64_t values = value_descriptor(uniform(v));
    wgmma_fence();
#pragma unroll
    for (int ks = 0; ks < 4; ks++)
        ProductWgmma<T, D>::run(o, weights[ks], descriptor_after(values, ks * 2048));
    wgmma_commit();
}

/* Wait for the products; their operands are free. */
template <int N>
__device__ __forceinline__ void products_done(float (&o)[N][4], const uint4 (&weights)[4],
                                              uint32_t v_empty) {
    wgmma_wait_for<0>(o);
    wgmma_read_until_here(weights);
    release(v_empty);
}

/* Rows of V behind the end of the sequence become zero; both warpgroups write the same. */
template <int D>
__device__ __forceinline__ void zero_tail(uint32_t v, uint32_t start, uint32_t kv_end) {
    if (start + kUnit <= kv_end) return;
    const uint32_t from = (kv_end - start) * (D / 8);
    for (uint32_t i = from + threadIdx.x % 128; i < kUnit * (D / 8); i += 128)
        store_shared_16(v + page_chunk_offset(D, i / (D / 8), i % (D / 8)), make_uint4(0, 0, 0, 0));
    fence_proxy_async();
    asm volatile("bar.sync %0, 128;" ::"r"(1 + threadIdx.x / 128) : "memory");
}

template <typename T, int D>
__device__ __forceinline__ void compute(const AttnParams &p, uint32_t shared, float *kept,
                                        Barriers bar) {
    /* One function, since wgmma must not cross calls and its phases share the accumulators. */
    using Shape = PrefillShape<D>;
    const uint32_t lane = threadIdx.x % 32, first_row = threadIdx.x / 32 * 16;
    const uint32_t total = p.counts->n_tiles * p.n_kv_heads;
    const uint32_t query_lane =
        shared + Shape::kQuery + (first_row + lane % 16) * Shape::kQueryStride + lane / 16 * 16;
    Ring ring = {0, 0};
    uint32_t turn = 0;
    for (uint32_t round = 0; round * gridDim.x < total; round++) {
        if (job_index(round) >= total) continue;
        Job j;
        open_job(p, job_index(round), j);
        const uint32_t position[2] = {j.kv_start + (j.row + first_row + lane / 4) / p.group,
                                      j.kv_start + (j.row + first_row + lane / 4 + 8) / p.group};
        /* units [clear_from, clear_to) need no mask */
        const uint32_t low = j.kv_start + j.row / p.group;
        const uint32_t high = j.kv_start + (j.row + j.n_rows - 1) / p.group;
        const uint32_t clear_from = ceil_div(attn_first_key(high, p.window), kUnit);
        const uint32_t clear_to = (low + 1) / kUnit;

        uint4 query[D / 16];
        mbarrier_wait(bar.query_full(), turn);
        turn ^= 1;
#pragma unroll
        for (int ks = 0; ks < D / 16; ks++) {
            uint32_t r[4];
            ldmatrix_x4(r, query_lane + 32 * ks);
            query[ks] = make_uint4(r[0], r[1], r[2], r[3]);
        }
        release(bar.query_empty());

        AttnState merged[2] = {{kNoScore, 0.0f}, {kNoScore, 0.0f}};
        AttnState state[2] = {{kNoScore, 0.0f}, {kNoScore, 0.0f}};
        float s[8][4], o[D / 8][4], alpha[2];
        uint4 weights[4];
        clear_rows(o);
        mbarrier_wait(bar.k_full(ring.slot), ring.parity);
        issue_scores<T, D>(shared + ring.slot * 2 * Shape::kHalf, query, s);
        wgmma_wait_for<0>(s);
        release(bar.k_empty(ring.slot));
        if (j.first < clear_from || j.first >= clear_to)
            mask_unit(j.first * kUnit, position, p.window, s);
        soften_rows(p.c, s, state, alpha);
#pragma unroll
        for (int ks = 0; ks < 4; ks++)
            weights[ks] = weights_of<T>(s, ks);

        for (uint32_t unit = j.first; unit < j.last; unit++) {
            const Ring at = ring;
            ring.next();
            mbarrier_wait(bar.k_full(ring.slot), ring.parity);
            mbarrier_wait(bar.v_full(at.slot), at.parity);
            issue_scores<T, D>(shared + ring.slot * 2 * Shape::kHalf, query, s);
            issue_products<T, D>(shared + (at.slot * 2 + 1) * Shape::kHalf, weights, o);
            wgmma_wait_for<1>(s);
            release(bar.k_empty(ring.slot));
            const uint32_t next = unit + 1;
            if (next < clear_from || next >= clear_to)
                mask_unit(next * kUnit, position, p.window, s);
            const bool fresh = next % kChunkUnits == 0;
            const AttnState closed[2] = {state[0], state[1]};
            if (fresh) state[0] = state[1] = {kNoScore, 0.0f};
            soften_rows(p.c, s, state, alpha);
            if (fresh) {
                products_done(o, weights, bar.v_empty(at.slot));
                close_chunk<D / 8, kMath>(p.c, next - j.first <= kChunkUnits, false,
                                          kept + threadIdx.x, merged, closed, o);
                clear_rows(o);
            } else {
                asm volatile("// no chunk ends"); /* else ptxas waits before the softmax */
                products_done(o, weights, bar.v_empty(at.slot));
                scale_rows(o, alpha);
            }
#pragma unroll
            for (int ks = 0; ks < 4; ks++)
                weights[ks] = weights_of<T>(s, ks);
        }

        const uint32_t v = shared + (ring.slot * 2 + 1) * Shape::kHalf;
        mbarrier_wait(bar.v_full(ring.slot), ring.parity);
        zero_tail<D>(v, j.last * kUnit, j.kv_end);
        issue_products<T, D>(v, weights, o);
        products_done(o, weights, bar.v_empty(ring.slot));
        ring.next();
        close_chunk<D / 8, kMath>(p.c, j.first / kChunkUnits == j.last / kChunkUnits, true,
                                  kept + threadIdx.x, merged, state, o);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const uint32_t row = first_row + lane / 4 + 8 * h;
            if (row >= j.n_rows) continue;
            write_row(static_cast<T *>(p.out) + token_row(p, j, row) * D, h, merged[h].l, o);
        }
    }
}

#endif

template <typename T, int D>
__global__ void __launch_bounds__(kThreads, 1) attn_prefill(const __grid_constant__ AttnParams p) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    using Shape = PrefillShape<D>;
    extern __shared__ __align__(1024) unsigned char raw[];
    const uint32_t shared = shared_address(raw);
    const Barriers bar = {shared + Shape::kBarriers};
    if (threadIdx.x == 0) {
        if (shared % 1024) __trap(); /* the swizzle is one of addresses */
        mbarrier_init(bar.query_full(), 1);
        mbarrier_init(bar.query_empty(), kMath / 32);
        for (uint32_t s = 0; s < kStages; s++) {
            mbarrier_init(bar.k_full(s), 1);
            mbarrier_init(bar.v_full(s), 1);
            mbarrier_init(bar.k_empty(s), kMath / 32);
            mbarrier_init(bar.v_empty(s), kMath / 32);
        }
        fence_mbarrier_init();
    }
    __syncthreads();
    let_next_start();
    wait_for_previous();
    if (threadIdx.x >= kMath) {
        registers_down_to<40>();
        if (threadIdx.x >= kMath + 32) return;
        fence_proxy_async(); /* queries and pages were written by ordinary stores */
        produce<T, D>(p, shared, bar);
    } else {
        registers_up_to<232>();
        compute<T, D>(p, shared, reinterpret_cast<float *>(raw + Shape::kMerged), bar);
    }
#endif
}

template <typename T, int D>
int launch_one(const AttnParams &p, uint32_t grid, cudaStream_t stream) {
    return launch_kernel(attn_prefill<T, D>, dim3(grid), dim3(kThreads), PrefillShape<D>::kShared,
                         stream, p);
}

template <typename T, int D> int init_one() {
    return (int)cudaFuncSetAttribute(
        attn_prefill<T, D>, cudaFuncAttributeMaxDynamicSharedMemorySize, PrefillShape<D>::kShared);
}

} // namespace

int attn_prefill_init(pgd_dtype type, uint32_t head_dim) {
    if (type == PGD_BF16)
        return head_dim == 64 ? init_one<__nv_bfloat16, 64>() : init_one<__nv_bfloat16, 128>();
    return head_dim == 64 ? init_one<__half, 64>() : init_one<__half, 128>();
}

int attn_prefill_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_tiles,
                        cudaStream_t stream) {
    int device, sms;
    int rc = (int)cudaGetDevice(&device);
    if (!rc) rc = (int)cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device);
    if (rc) return rc;
    const uint64_t items = (uint64_t)max_tiles * p.n_kv_heads;
    const uint32_t grid = items < (uint64_t)sms ? (uint32_t)items : (uint32_t)sms;
    if (type == PGD_BF16)
        return head_dim == 64 ? launch_one<__nv_bfloat16, 64>(p, grid, stream)
                              : launch_one<__nv_bfloat16, 128>(p, grid, stream);
    return head_dim == 64 ? launch_one<__half, 64>(p, grid, stream)
                          : launch_one<__half, 128>(p, grid, stream);
}
