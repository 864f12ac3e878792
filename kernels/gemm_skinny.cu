/* Op linear for m <= 16: mma.sync, bound by the read of the weights.
 *
 * Grid: ceil(panels / kPanels) CTAs of kPanels math warps and two producer warps. A math warp owns
 * one panel (16 rows) and all tokens, as one or two n8 tiles:
 *
 *           tokens ->   0..7  8..15
 *   warp 0  rows  0..15 [ d0 ][ d1 ]       per k16 step: one 16-byte load a lane (A), half an
 *   warp 1  rows 16..31 [ d0 ][ d1 ]       ldmatrix.x4 a tile (B), one mma a tile
 *
 * An output is a chain of k / 16 mma, each about 33 cycles behind the one before: 17 us at k 14336,
 * where the bytes take 26. So that nothing else adds to the chain, a stage is straight-line code,
 * loads run 4 steps ahead of it, also over the end of a stage, and the next stage's barriers are
 * asked before they are needed.
 *
 * Bytes: 2 n k + 2 m k (x, from L2, once a CTA) + the output. FLOPs: 2 m n k. Shared memory: the
 * rings of gemm_ring.cuh, 112 KB, so that two CTAs, of this or of the next kernel, share an SM and
 * the next kernel's first weights fly while this one drains. 16 rows a CTA where that grid fits the
 * machine at once, which has the most bytes in flight; else 32, which reread x less often.
 *
 * Measured (2026-11-24, test_linear --bench, H200, reads 4.51 TB/s), share of reads at m 1 / 8 /
 * 16: 4096x4096 0.76 / 0.79 / 0.71, 6144x4096 0.84 / 0.82 / 0.77, 4096x14336 0.93 / 0.94 / 0.89,
 * 28672x4096 0.95 / 0.94 / 0.90, 128256x4096 1.00 / 0.97 / 0.93. Tried and slower: 48 and 64 rows a
 * CTA, clusters that share x by multicast, and for m 32 and 64 more tiles a warp (mma.sync takes 16
 * cycles a tile) or more warps (they reread the weights). */
#include "gemm_ring.cuh"

namespace {

template <typename T, int kTiles, typename R> struct Math {
    static_assert(R::kChunks % 2 == 0, "a stage ends with the second set of registers");
    struct Chunk { /* 4 steps */
        uint4 a[4];
        uint32_t b[4][kTiles][2];
    };
    const R &ring;
    const uint32_t mine; /* offset of this lane's bytes of a slot's first fragment */
    uint32_t rows[4];    /* offsets of what this lane's ldmatrix of each step of a box reads */
    typename R::WeightCursor w; /* the slots in use; a CTA has one tile, so both go round */
    Cursor<R::kTokenStages> t;
    float d[kTiles][4] = {};

    __device__ __forceinline__ Math(const R &r)
        : ring(r), mine(threadIdx.x / 32 * R::kPanelBytes + threadIdx.x % 32 * 16) {
        const uint32_t lane = threadIdx.x % 32, row = lane % 8;
#pragma unroll
        for (uint32_t s = 0; s < 4; s++)
            if constexpr (kTiles == 1) /* this step's two k chunks of 8 and the next one's */
                rows[s] = row * 128 + (((2 * s + lane / 8) ^ row) << 4);
            else /* both k chunks of a tile, then of the tile after */
                rows[s] = (row + lane / 16 * 8) * 128 + (((2 * s + lane / 8 % 2) ^ row) << 4);
    }
    __device__ __forceinline__ bool is_full() const {
        const bool weights = mbarrier_test(ring.weights_full(w.slot), w.parity);
        const bool tokens = mbarrier_test(ring.tokens_full(t.slot), t.parity);
        return weights & tokens; /* both under way at once */
    }
    __device__ __forceinline__ void wait() const {
        mbarrier_wait(ring.weights_full(w.slot), w.parity);
        mbarrier_wait(ring.tokens_full(t.slot), t.parity);
    }
    __device__ __forceinline__ void release(uint32_t weights, uint32_t tokens) const {
        ring.release_weights(weights);
        ring.release_tokens(tokens);
    }
    __device__ __forceinline__ void load(Chunk &f, uint32_t chunk) const {
        const uint32_t from = ring.weights(w.slot) + mine + chunk * 4 * kFragmentBytes;
        const uint32_t box = ring.tokens(t.slot) + chunk * R::kBoxBytes;
#pragma unroll
        for (uint32_t s = 0; s < 4; s++)
            f.a[s] = load_shared_16(from + s * kFragmentBytes);
#pragma unroll
        for (uint32_t s = 0; s < 4; s += 3 - kTiles) {
            uint32_t r[4];
            ldmatrix_x4(r, box + rows[s]);
            f.b[s][0][0] = r[0], f.b[s][0][1] = r[1];
            if constexpr (kTiles == 1)
                f.b[s + 1][0][0] = r[2], f.b[s + 1][0][1] = r[3];
            else
                f.b[s][1][0] = r[2], f.b[s][1][1] = r[3];
        }
    }
    __device__ __forceinline__ void step(const Chunk &f, uint32_t s) {
#pragma unroll
        for (int i = 0; i < kTiles; i++)
            mma_m16n8k16<T>(d[i], f.a[s], f.b[s][i][0], f.b[s][i][1]);
    }
    __device__ __forceinline__ void multiply(const Chunk &f) {
#pragma unroll
        for (uint32_t s = 0; s < 4; s++)
            step(f, s);
    }
    __device__ __forceinline__ void run(uint32_t steps) {
        Chunk f[2];
        const uint32_t stages = steps / R::kSteps;
        if (stages) {
            wait();
            load(f[0], 0);
        }
        for (uint32_t left = stages; left; left--) {
#pragma unroll
            for (uint32_t c = 0; c + 1 < R::kChunks; c++) {
                load(f[(c + 1) % 2], c + 1);
                if (c + 2 < R::kChunks) multiply(f[c % 2]);
            }
            const uint32_t weights = w.slot, tokens = t.slot;
            w.next(), t.next();
            const bool more = left > 1, full = more && is_full();
            multiply(f[0]);
            if (more) {
                if (!full) wait();
                load(f[0], 0);
            }
            multiply(f[1]);
            release(weights, tokens);
        }
        if (steps % R::kSteps) tail(f[0], steps % R::kSteps);
    }
    /* The last stage where it is not full. What lies behind the last step in the slot is loaded,
     * but not used. */
    __device__ __forceinline__ void tail(Chunk &f, uint32_t steps) {
        wait();
#pragma unroll 1
        for (uint32_t c = 0; c * 4 < steps; c++) {
            load(f, c);
#pragma unroll
            for (uint32_t s = 0; s < 4; s++)
                if (c * 4 + s < steps) step(f, s);
        }
        release(w.slot, t.slot);
    }
};

template <typename T, int kTiles, typename R>
__global__ void __launch_bounds__(R::kMathWarps * 32 + 64, 2)
    gemm_skinny(const __grid_constant__ CUtensorMap map, const GemmArgs a) {
#if __CUDA_ARCH__ >= 900
    extern __shared__ __align__(1024) unsigned char shared[];
    const R ring(shared);
    const uint32_t warp = threadIdx.x / 32;
    const uint32_t panel0 = blockIdx.x * R::kPanels;
    let_next_start();
    ring.init();

    if (warp >= R::kMathWarps) {
        const auto tile = [&](uint32_t) { return make_uint2(panel0, 0); };
        ring.produce(warp - R::kMathWarps, a, &map, tile, 0, 1, 1);
    } else {
        Math<T, kTiles, R> math(ring);
        TileFinish finish[kTiles];
        wait_for_previous();
#pragma unroll
        for (int i = 0; i < kTiles; i++)
            finish[i].load(a, panel0 + warp, i * 8);
        math.run(a.steps);
#pragma unroll
        for (int i = 0; i < kTiles; i++)
            finish[i].template store<T>(a, panel0 + warp, i * 8, math.d[i]);
    }
#endif
}

template <int kTiles, int kPanels, int kSteps, int kTokenStages, int kWeightStages> struct Skinny {
    using R = Ring<kPanels, kTiles * 8, kSteps, kTokenStages, kWeightStages, kPanels>;
    static_assert(R::kSharedBytes <= kHalfShared, "two CTAs an SM");

    static int launch(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s) {
        const uint32_t blocks = ceil_div(a.panels, kPanels), threads = R::kMathWarps * 32 + 64;
        return type == PGD_BF16 ? launch_kernel(gemm_skinny<__nv_bfloat16, kTiles, R>, blocks,
                                                threads, R::kSharedBytes, s, *map, a)
                                : launch_kernel(gemm_skinny<__half, kTiles, R>, blocks, threads,
                                                R::kSharedBytes, s, *map, a);
    }
    static int init() {
        const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
        const int e = (int)cudaFuncSetAttribute(gemm_skinny<__nv_bfloat16, kTiles, R>, attribute,
                                                (int)R::kSharedBytes);
        return e ? e
                 : (int)cudaFuncSetAttribute(gemm_skinny<__half, kTiles, R>, attribute,
                                             (int)R::kSharedBytes);
    }
};

template <int kTiles, int kPanels, int kSteps, int kTokenStages, int kWeightStages>
constexpr GemmKernel entry(const char *name) {
    using S = Skinny<kTiles, kPanels, kSteps, kTokenStages, kWeightStages>;
    return {name, kTiles * 8, kTiles * 8, kTiles * 8, kPanels, 2, S::launch, S::init};
}

} // namespace

/* n8 tiles of tokens, panels, steps a stage, stages of tokens and of weights: 112 KB of rings. */
const GemmKernel gemm_skinny_kernels[] = {
    entry<1, 1, 16, 8, 10>("skinny 16r x 8t"),
    entry<1, 2, 16, 4, 6>("skinny 32r x 8t"),
    entry<2, 1, 16, 6, 8>("skinny 16r x 16t"),
    entry<2, 2, 16, 4, 5>("skinny 32r x 16t"),
};
const int gemm_skinny_count = sizeof gemm_skinny_kernels / sizeof *gemm_skinny_kernels;
