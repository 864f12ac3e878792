/* Attention by mma.sync for any sequence: variant 0, the oracle of the others, and the prefill of
 * devices without wgmma.
 *
 * Shapes: q, out [n_tok, n_heads, D]; pages as page.cuh; D 64, 80, 96, 128, 256. Formula and order
 * of operations: attn.cuh. FLOPs: 4 D for each pair of query row and key.
 *
 * Mapping: a CTA works on one tile of the planner's list and one kv head. The tile's rows are the
 * (token, head of the group) pairs of a sequence in that order, 16 for each warp, on M. Units come
 * by cp.async, two stages: while one is used, the next arrives. The state into which chunks are
 * merged lies in shared memory, each thread's elements at its own addresses.
 *
 * Shared memory: queries, two units, merged outputs, 896 D bytes: 112 KB at D = 128, two CTAs an
 * SM. Tiles of 128 rows (160 KB, one CTA) were slower by 7 to 15 % at every shape of the bench and
 * are gone: eight warps that share their barriers wait more than two CTAs of four. Needs sm_80.
 *
 * Measured, H200, 2026-11-24, D = 128, 32 heads, 8 kv heads, causal: 194 TFLOP/s for 1024 new
 * tokens, 223 for 2048, 255 for 8192, 240 for 512 behind 8192, 166 for 16 x 512. */
#include "attn_rows.cuh"

template <int D, int kWarps> struct GenericShape {
    static constexpr uint32_t kRows = 16 * kWarps;
    static constexpr uint32_t kThreads = 32 * kWarps;
    static constexpr uint32_t kHalf = page_head_bytes(D);
    static constexpr uint32_t kUnits = kRows / 64 * kHalf; /* after the queries */
    static constexpr uint32_t kMerged = kUnits + 4 * kHalf;
    static constexpr uint32_t kShared = kMerged + kRows * D * 4;
    static_assert(kShared <= 232448, "shared memory of a CTA");
};

/* Byte offset of a chunk of a tile's query row: groups of 64 rows laid out as a page. */
template <int D> __device__ __forceinline__ uint32_t query_offset(uint32_t row, uint32_t chunk) {
    return row / 64 * page_head_bytes(D) + page_chunk_offset(D, row % 64, chunk);
}

/* K and V of a unit, one after the other in memory and in shared memory. */
template <int D, int kThreads>
__device__ __forceinline__ void fetch_unit(uint32_t dst, const char *src) {
    for (uint32_t i = threadIdx.x; i < 2 * page_head_bytes(D) / 16; i += kThreads)
        copy_async_16(dst + 16 * i, src + 16 * i);
}

/* s[j] = scores of the warp's 16 query rows with keys 8j .. of the unit. */
template <typename T, int D, bool kHeld>
__device__ __forceinline__ void score_unit(uint32_t query, uint32_t first_row, uint32_t k,
                                           const uint4 (&held)[kHeld ? D / 16 : 1],
                                           float (&s)[8][4]) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t key = lane / 16 * 8 + lane % 8, column = lane / 8 % 2;
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            s[j][i] = 0.0f;
#pragma unroll
    for (int ks = 0; ks < D / 16; ks++) {
        uint4 a;
        if constexpr (kHeld) {
            a = held[ks];
        } else {
            uint32_t r[4];
            ldmatrix_x4(r, query + query_offset<D>(first_row + lane % 16, 2 * ks + lane / 16));
            a = make_uint4(r[0], r[1], r[2], r[3]);
        }
#pragma unroll
        for (int j = 0; j < 8; j += 2) {
            uint32_t b[4];
            ldmatrix_x4(b, k + page_chunk_offset(D, 8 * j + key, 2 * ks + column));
            mma_m16n8k16<T>(s[j], a, b[0], b[1]);
            mma_m16n8k16<T>(s[j + 1], a, b[2], b[3]);
        }
    }
}

template <typename T, int D>
__device__ __forceinline__ void add_products(uint32_t v, const float (&weights)[8][4],
                                             float (&o)[D / 8][4]) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t key = lane % 16, column = lane / 16;
#pragma unroll
    for (int ks = 0; ks < 4; ks++) {
        const uint4 a = weights_of<T>(weights, ks);
#pragma unroll
        for (int d = 0; d < D / 8; d += 2) {
            uint32_t b[4];
            ldmatrix_x4_trans(b, v + page_chunk_offset(D, 16 * ks + key, d + column));
            mma_m16n8k16<T>(o[d], a, b[0], b[1]);
            mma_m16n8k16<T>(o[d + 1], a, b[2], b[3]);
        }
    }
}

template <typename T, int D, int kWarps>
__global__ void __launch_bounds__(kWarps * 32) attn_generic(const __grid_constant__ AttnParams p) {
    /* One function, since its phases share the accumulators and the addresses. */
    using Shape = GenericShape<D, kWarps>;
    constexpr bool kHeld = D <= 128;
    extern __shared__ __align__(128) unsigned char shared[];
    const uint32_t query = shared_address(shared), units = query + Shape::kUnits;
    float *const kept = reinterpret_cast<float *>(shared + Shape::kMerged);
    const uint32_t lane = threadIdx.x % 32, first_row = threadIdx.x / 32 * 16;

    let_next_start();
    wait_for_previous();
    const uint32_t head = blockIdx.x % p.n_kv_heads;
    if (blockIdx.x / p.n_kv_heads >= p.counts->n_tiles) return;
    const AttnTile tile = p.tiles[blockIdx.x / p.n_kv_heads];
    const pgd_plan_seq seq = p.seq[tile.seq];
    const uint32_t n_rows = min(Shape::kRows, seq.n_new * p.group - tile.row);
    const uint32_t kv_end = seq.kv_start + seq.n_new;
    const uint32_t low = seq.kv_start + tile.row / p.group;
    const uint32_t high = seq.kv_start + (tile.row + n_rows - 1) / p.group;
    const uint32_t first_unit = attn_first_key(low, p.window) / kUnit, last_unit = high / kUnit;
    const int32_t *const table = p.page_table + (uint64_t)seq.slot * p.max_pages;
    const char *const kv = p.kv + page_head_offset(head, D);

    /* queries and the first unit */
    for (uint32_t i = threadIdx.x; i < Shape::kRows * (D / 8); i += Shape::kThreads) {
        const uint32_t row = i / (D / 8), chunk = i % (D / 8), r = tile.row + row;
        const uint32_t dst = query + query_offset<D>(row, chunk);
        const uint64_t from =
            ((uint64_t)(seq.q_start + r / p.group) * p.n_heads + head * p.group + r % p.group) * D +
            8 * chunk;
        if (row < n_rows)
            copy_async_16(dst, static_cast<const T *>(p.q) + from);
        else
            store_shared_16(dst, make_uint4(0, 0, 0, 0));
    }
    fetch_unit<D, Shape::kThreads>(units, kv + (uint64_t)table[first_unit] * p.page_bytes);
    copy_async_commit();

    const uint32_t position[2] = {seq.kv_start + (tile.row + first_row + lane / 4) / p.group,
                                  seq.kv_start + (tile.row + first_row + lane / 4 + 8) / p.group};
    uint4 held[kHeld ? D / 16 : 1];
    AttnState merged[2] = {{kNoScore, 0.0f}, {kNoScore, 0.0f}}, state[2];
    float o[D / 8][4];
    bool fresh = true;
    for (uint32_t unit = first_unit;; unit++) {
        const uint32_t stage = (unit - first_unit) % 2;
        const uint32_t k = units + stage * 2 * Shape::kHalf, v = k + Shape::kHalf;
        if (unit < last_unit)
            fetch_unit<D, Shape::kThreads>(units + (stage ^ 1) * 2 * Shape::kHalf,
                                           kv + (uint64_t)table[unit + 1] * p.page_bytes);
        copy_async_commit();
        copy_async_wait<1>();
        __syncthreads();
        if (unit * kUnit + kUnit > kv_end) {
            const uint32_t from = (kv_end - unit * kUnit) * (D / 8);
            for (uint32_t i = from + threadIdx.x; i < kUnit * (D / 8); i += Shape::kThreads)
                store_shared_16(v + page_chunk_offset(D, i / (D / 8), i % (D / 8)),
                                make_uint4(0, 0, 0, 0));
            __syncthreads();
        }
        if (fresh) {
            fresh = false;
            state[0] = state[1] = {kNoScore, 0.0f};
            clear_rows(o);
        }
        if constexpr (kHeld) {
            if (unit == first_unit)
#pragma unroll
                for (int ks = 0; ks < D / 16; ks++) {
                    uint32_t r[4];
                    ldmatrix_x4(r,
                                query + query_offset<D>(first_row + lane % 16, 2 * ks + lane / 16));
                    held[ks] = make_uint4(r[0], r[1], r[2], r[3]);
                }
        }
        float s[8][4];
        score_unit<T, D, kHeld>(query, first_row, k, held, s);
        if (unit * kUnit + kUnit > low + 1 || unit * kUnit < attn_first_key(high, p.window))
            mask_unit(unit * kUnit, position, p.window, s);
        float alpha[2];
        soften_rows(p.c, s, state, alpha);
        scale_rows(o, alpha);
        add_products<T, D>(v, s, o);
        const bool last = unit == last_unit;
        if (last || unit % kChunkUnits == kChunkUnits - 1) {
            close_chunk<D / 8, Shape::kThreads>(p.c, unit / kChunkUnits == first_unit / kChunkUnits,
                                                last, kept + threadIdx.x, merged, state, o);
            fresh = true;
        }
        if (last) break;
        __syncthreads(); /* the stage is free */
    }

#pragma unroll
    for (int h = 0; h < 2; h++) {
        const uint32_t row = first_row + lane / 4 + 8 * h, r = tile.row + row;
        if (row >= n_rows) continue;
        const uint64_t at =
            (uint64_t)(seq.q_start + r / p.group) * p.n_heads + head * p.group + r % p.group;
        write_row(static_cast<T *>(p.out) + at * D, h, merged[h].l, o);
    }
}

/* --- launch --- */

constexpr int kTileWarps = (int)kGenericRows / 16;

template <typename T, int D> static int init_one() {
    return (int)cudaFuncSetAttribute(attn_generic<T, D, kTileWarps>,
                                     cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     GenericShape<D, kTileWarps>::kShared);
}
template <typename T> static int init_type(uint32_t head_dim) {
    switch (head_dim) {
    case 64:
        return init_one<T, 64>();
    case 80:
        return init_one<T, 80>();
    case 96:
        return init_one<T, 96>();
    case 128:
        return init_one<T, 128>();
    default:
        return init_one<T, 256>();
    }
}
int attn_generic_init(pgd_dtype type, uint32_t head_dim) {
    return type == PGD_BF16 ? init_type<__nv_bfloat16>(head_dim) : init_type<__half>(head_dim);
}

template <typename T, int D>
static int launch_one(const AttnParams &p, uint32_t max_tiles, cudaStream_t stream) {
    return launch_kernel(attn_generic<T, D, kTileWarps>, dim3(max_tiles * p.n_kv_heads),
                         dim3(32 * kTileWarps), GenericShape<D, kTileWarps>::kShared, stream, p);
}
template <typename T>
static int launch_type(const AttnParams &p, uint32_t head_dim, uint32_t max_tiles,
                       cudaStream_t stream) {
    switch (head_dim) {
    case 64:
        return launch_one<T, 64>(p, max_tiles, stream);
    case 80:
        return launch_one<T, 80>(p, max_tiles, stream);
    case 96:
        return launch_one<T, 96>(p, max_tiles, stream);
    case 128:
        return launch_one<T, 128>(p, max_tiles, stream);
    default:
        return launch_one<T, 256>(p, max_tiles, stream);
    }
}
int attn_generic_launch(const AttnParams &p, pgd_dtype type, uint32_t head_dim, uint32_t max_tiles,
                        cudaStream_t stream) {
    return type == PGD_BF16 ? launch_type<__nv_bfloat16>(p, head_dim, max_tiles, stream)
                            : launch_type<__half>(p, head_dim, max_tiles, stream);
}
