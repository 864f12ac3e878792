/* Op linear for m > 16: wgmma m64nNk16, weights in registers (A), tokens in shared memory (B).
 *
 * A CTA has kGroups math warpgroups and a producer warp; warp w owns panel w of the CTA's kPanels
 * (16 rows each) and all kTokens tokens of the tile. A warp takes its A fragments from the ring in
 * one 16-byte load a lane and k16 step; the warpgroup reads B once, where mma.sync would read it
 * once a warp. On narrow matrices a CTA has fewer panels than warps, so that the grid still
 * covers the SMs: the idle warps feed zeros, the tensor core has time for them.
 *
 *   a chunk = 4 steps (k 64):  load A of chunk c + 1 | wgmma of chunk c in flight
 *
 * Two sets of A registers alternate; at most two groups of wgmma are in flight, and a slot is
 * released when the group that read it last is complete.
 *
 * Tiles (rows x tokens): 32, 48 or 64 x 32 or 64 for m <= 64, bound by the read of the
 * weights, ring about 100 KB (two CTAs an SM); 128 x 256 for large m, 192 KB, 128 accumulators a
 * thread; 128 x 128 where that grid would be too small. Clusters of two share the read of x.
 * Order of tiles for large m: groups of 8 tiles of tokens, within a group tokens before rows, so
 * that the ~132 tiles in flight span about 8 x 16 and both operands come from L2.
 *
 * Bytes: 2 n k + 2 m k (ceil(n / rows of a tile) times, from L2) + the output; FLOPs: 2 m n k. */
#include "gemm_ring.cuh"
#include "wgmma.cuh"

namespace {

constexpr uint32_t kTokenGroup = 8; /* tiles of tokens that run side by side */

/* Alone on its SM a CTA hands registers from its producers to its math warps, which only whole
 * warpgroups can; else one producer warp does. */
template <typename R> constexpr uint32_t threads_of(int resident) {
    return R::kMathWarps * 32 + (resident == 1 ? 128 : 32);
}

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

/* One warp's part of the main loop. */
template <typename T, typename R> struct Math {
    const R &ring;
    const uint32_t mine; /* offset of this lane's bytes of a slot's first fragment */
    const bool idle;     /* a warp without a panel */
    Cursor<R> in, at, out;
    float d[R::kTokens / 2] = {};

    __device__ __forceinline__ Math(const R &r)
        : ring(r), mine(threadIdx.x / 32 * R::kPanelBytes + threadIdx.x % 32 * 16),
          idle(R::kPanels < R::kMathWarps && threadIdx.x / 32 >= R::kPanels) {}

    __device__ __forceinline__ uint4 fragment(uint32_t step) const {
        if (R::kPanels < R::kMathWarps && idle) return make_uint4(0, 0, 0, 0);
        return load_shared_16(ring.weights(in.slot) + mine +
                              (in.chunk * 4 + step) * kFragmentBytes);
    }
    __device__ __forceinline__ void load(uint4 (&a)[4]) {
        if (in.chunk == 0) mbarrier_wait(ring.full(in.slot), in.parity);
#pragma unroll
        for (int s = 0; s < 4; s++)
            a[s] = fragment(s);
        in.next();
    }
    __device__ __forceinline__ void issue(const uint4 (&a)[4]) {
        const uint64_t b = swizzled_descriptor(ring.tokens(at.slot) + at.chunk * R::kBoxBytes);
        wgmma_fence();
#pragma unroll
        for (int s = 0; s < 4; s++)
            Wgmma<T, R::kTokens>::run(d, a[s], b + 2 * s);
        wgmma_commit();
        at.next();
    }
    /* The oldest chunk not yet given back is complete. */
    __device__ __forceinline__ void release() {
        if (out.last()) ring.release(out.slot);
        out.next();
    }
    /* The last 1 to 3 steps, one by one. */
    __device__ __forceinline__ void tail(uint32_t steps) {
        if (in.chunk == 0) mbarrier_wait(ring.full(in.slot), in.parity);
        const uint64_t b = swizzled_descriptor(ring.tokens(at.slot) + at.chunk * R::kBoxBytes);
        for (uint32_t s = 0; s < steps; s++) {
            const uint4 a = fragment(s);
            wgmma_fence();
            Wgmma<T, R::kTokens>::run(d, a, b + 2 * s);
            wgmma_commit();
            wgmma_wait<0>();
        }
    }
    __device__ __forceinline__ void run(uint32_t steps) {
        const uint32_t chunks = steps / 4;
        uint4 a0[4], a1[4];
        if (chunks) {
            load(a0);
            issue(a0);
            for (uint32_t c = 1; c < chunks; c++) {
                load(a1);
                issue(a1);
                wgmma_wait<1>();
                release();
                if (++c == chunks) break;
                load(a0);
                issue(a0);
                wgmma_wait<1>();
                release();
            }
            wgmma_wait<0>();
            release();
        }
        if (steps % 4) tail(steps % 4);
    }
};

/* The way out: accumulators go through shared memory, where the ring was, so that a loop of a few
 * lines writes rows of y in order. */
template <typename R> struct Stage {
    static constexpr uint32_t kRows = R::kPanels * kPanelRows;
    static constexpr uint32_t kPitch = kRows + 4; /* tokens 2t apart fall on other banks */
    static constexpr uint32_t kThreads = R::kMathWarps * 32;
    static_assert(R::kTokens * kPitch * 4 <= R::kStages * R::kStageBytes, "fits in the ring");
    float *const tile; /* [kTokens][kPitch] */

    __device__ __forceinline__ Stage(const R &ring) : tile(ring.memory()) {}

    __device__ __forceinline__ void put(const float (&d)[R::kTokens / 2]) {
        const uint32_t warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        named_barrier<1, kThreads>(); /* every math warp is done with the ring */
        if (warp < R::kPanels) {
            float *const to = tile + 2 * t * kPitch + warp * kPanelRows + g;
#pragma unroll
            for (int i = 0; i < R::kTokens / 2; i++)
                to[(i / 4 * 8 + i % 2) * kPitch + i / 2 % 2 * 8] = d[i];
        }
        named_barrier<1, kThreads>();
    }
    template <typename T>
    __device__ __forceinline__ void finish(const GemmArgs &a, uint32_t panel0, uint32_t token0) {
        constexpr int kBatch = 4; /* residuals asked for at once */
        const bool pairs = has_pairs(a);
        const uint32_t width = pairs ? kRows / 2 : kRows;
        const uint32_t column0 = panel0 * (pairs ? 8 : kPanelRows);
        const uint32_t rows = a.m - token0 < R::kTokens ? a.m - token0 : R::kTokens;
        const uint32_t total = rows * width;
#pragma unroll 1
        for (uint32_t first = threadIdx.x; first < total; first += kBatch * kThreads) {
            float residual[kBatch];
#pragma unroll
            for (int b = 0; b < kBatch; b++) {
                const uint32_t i = first + b * kThreads;
                residual[b] =
                    i < total ? residual_of(a, column0 + i % width, token0 + i / width) : 0.0f;
            }
#pragma unroll
            for (int b = 0; b < kBatch; b++) {
                const uint32_t i = first + b * kThreads;
                if (i >= total) break;
                const uint32_t token = i / width, column = i % width;
                const float *const v = tile + token * kPitch;
                if (pairs) {
                    const float *const gate = v + column / 8 * kPanelRows + column % 8;
                    finish_one<T>(a, column0 + column, token0 + token, gate[0], gate[8], 0.0f);
                } else {
                    finish_one<T>(a, column0 + column, token0 + token, v[column], 0.0f,
                                  residual[b]);
                }
            }
        }
    }
};

#endif

template <typename T, typename R, int kResident>
__global__ void __launch_bounds__(threads_of<R>(kResident), kResident)
    gemm_wgmma(const __grid_constant__ CUtensorMap map, const GemmArgs a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ unsigned char shared[];
    const R ring(shared);
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;

    /* Tile: clusters are numbered through groups of token tiles; rank picks the rows. */
    const uint32_t cluster = blockIdx.x / R::kCluster, rank = blockIdx.x % R::kCluster;
    const uint32_t row_tiles = ceil_div(a.panels, R::kPanels * R::kCluster);
    const uint32_t token_tiles = ceil_div(a.m, R::kTokens);
    const uint32_t group = cluster / (row_tiles * kTokenGroup) * kTokenGroup;
    const uint32_t width = token_tiles - group < kTokenGroup ? token_tiles - group : kTokenGroup;
    const uint32_t index = cluster % (row_tiles * kTokenGroup);
    const uint32_t token0 = (group + index % width) * R::kTokens;
    const uint32_t panel0 = (index / width * R::kCluster + rank) * R::kPanels;

    let_next_start();
    ring.init();

    if (warp >= R::kMathWarps) {
        if constexpr (kResident == 1) registers_down_to<40>();
        if (warp == R::kMathWarps && lane == 0) ring.produce(a, &map, panel0, token0);
    } else {
        if constexpr (kResident == 1) registers_up_to<232>();
        Math<T, R> math(ring);
        math.run(a.steps);
        wait_for_previous();
        Stage<R> stage(ring);
        stage.put(math.d);
        stage.template finish<T>(a, panel0, token0);
    }
    ring.fini();
#endif
}

template <typename R, int kResident> struct Wide {
    static int launch(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s) {
        const uint64_t blocks = (uint64_t)ceil_div(a.panels, R::kPanels * R::kCluster) *
                                ceil_div(a.m, R::kTokens) * R::kCluster;
        if (blocks > INT32_MAX) return (int)cudaErrorInvalidValue;
        const uint32_t threads = threads_of<R>(kResident);
        return type == PGD_BF16
                   ? launch_cluster(gemm_wgmma<__nv_bfloat16, R, kResident>, R::kCluster,
                                    (uint32_t)blocks, threads, R::kSharedBytes, s, *map, a)
                   : launch_cluster(gemm_wgmma<__half, R, kResident>, R::kCluster, (uint32_t)blocks,
                                    threads, R::kSharedBytes, s, *map, a);
    }
    static int init() {
        const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
        const int e = (int)cudaFuncSetAttribute(gemm_wgmma<__nv_bfloat16, R, kResident>, attribute,
                                                (int)R::kSharedBytes);
        return e ? e
                 : (int)cudaFuncSetAttribute(gemm_wgmma<__half, R, kResident>, attribute,
                                             (int)R::kSharedBytes);
    }
};

/* Panels, tokens, steps a stage, stages, math warps, cluster; CTAs an SM. */
template <int kPanels, int kTokens, int kSteps, int kStages, int kGroups, int kCluster,
          int kResident>
constexpr GemmKernel entry(const char *name) {
    using R = Ring<kPanels, kTokens, kSteps, kStages, kGroups * 4, kCluster>;
    using W = Wide<R, kResident>;
    return {name, 0, kTokens / kCluster, kTokens, kPanels, kCluster, W::launch, W::init};
}

} // namespace

const GemmKernel gemm_wgmma_kernels[] = {
    entry<2, 32, 8, 6, 1, 1, 2>("wgmma 32r x 32t"),
    entry<4, 32, 8, 4, 1, 1, 2>("wgmma 64r x 32t"),
    entry<2, 32, 8, 6, 1, 2, 2>("wgmma 32r x 32t c2"),
    entry<3, 32, 8, 5, 1, 2, 2>("wgmma 48r x 32t c2"),
    entry<4, 32, 8, 4, 1, 2, 2>("wgmma 64r x 32t c2"),
    entry<2, 64, 8, 4, 1, 1, 2>("wgmma 32r x 64t"),
    entry<4, 64, 4, 6, 1, 1, 2>("wgmma 64r x 64t"),
    entry<2, 64, 8, 4, 1, 2, 2>("wgmma 32r x 64t c2"),
    entry<3, 64, 4, 7, 1, 2, 2>("wgmma 48r x 64t c2"),
    entry<4, 64, 4, 6, 1, 2, 2>("wgmma 64r x 64t c2"),
    entry<4, 64, 4, 6, 1, 4, 2>("wgmma 64r x 64t c4"),
    entry<4, 128, 4, 4, 1, 1, 2>("wgmma 64r x 128t"),
    entry<8, 128, 4, 6, 2, 1, 1>("wgmma 128r x 128t"),
    entry<8, 256, 4, 4, 2, 1, 1>("wgmma 128r x 256t"),
    entry<8, 256, 4, 4, 2, 2, 1>("wgmma 128r x 256t c2"),
};
const int gemm_wgmma_count = sizeof gemm_wgmma_kernels / sizeof *gemm_wgmma_kernels;
