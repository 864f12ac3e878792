/* Op linear for m <= 16: mma.sync, bound by the read of the weights.
 *
 * Grid: ceil(panels / kPanels) CTAs of kPanels math warps and a producer warp. A math warp owns one
 * panel (16 rows) and all tokens, as one or two n8 tiles:
 *
 *           tokens ->   0..7  8..15
 *   warp 0  rows  0..15 [ d0 ][ d1 ]       per k16 step: one 16-byte load a lane (A), half an
 *   warp 1  rows 16..31 [ d0 ][ d1 ]       ldmatrix.x4 a tile (B), one mma a tile
 *   ...
 *
 * Bytes: 2 n k + 2 m k (x, from L2, once a CTA) + the output. FLOPs: 2 m n k. Shared memory: the
 * ring of gemm_ring.cuh, about 100 KB, so that two CTAs, of this or of the next kernel, share an SM
 * and the next kernel's first weights fly while this one drains. Registers: below 128 a thread.
 * The panels of a CTA (gemm_choose): as few as keep the grid at one CTA an SM on narrow matrices,
 * since the slowest SM sets the time; four on wide ones, which reread x less often. */
#include "gemm_ring.cuh"

namespace {

/* One math warp: loads of chunk c + 1 (4 steps) are under way while chunk c is multiplied. */
template <typename T, int kTiles, typename R> struct Math {
    struct Chunk {
        uint4 a[4];
        uint32_t b[kTiles * 2][4];
    };
    const R &ring;
    const uint32_t lane, weights; /* offset of this lane's bytes of a slot's first fragment */
    Cursor<R> in, out;
    float d[kTiles][4] = {};

    __device__ __forceinline__ Math(const R &r)
        : ring(r), lane(threadIdx.x % 32),
          weights(threadIdx.x / 32 * R::kPanelBytes + threadIdx.x % 32 * 16) {}

    __device__ __forceinline__ void load(Chunk &f) {
        if (in.chunk == 0) mbarrier_wait(ring.full(in.slot), in.parity);
        const uint32_t w = ring.weights(in.slot) + weights + in.chunk * 4 * kFragmentBytes;
        const uint32_t box = ring.tokens(in.slot) + in.chunk * R::kBoxBytes;
#pragma unroll
        for (int s = 0; s < 4; s++)
            f.a[s] = load_shared_16(w + s * kFragmentBytes);
        const uint32_t row = lane % 8; /* of the matrix whose address this lane gives */
#pragma unroll
        for (int i = 0; i < kTiles * 2; i++) {
            if constexpr (kTiles == 1) /* k chunks of 8: 4i .. 4i + 3 of the tile */
                ldmatrix_x4(f.b[i], box + row * 128 + (((4 * i + lane / 8) ^ row) << 4));
            else /* k chunks 2i, 2i + 1 of tile 0, then of tile 1 */
                ldmatrix_x4(f.b[i], box + (row + lane / 16 * 8) * 128 +
                                        (((2 * i + lane / 8 % 2) ^ row) << 4));
        }
        in.next();
    }
    __device__ __forceinline__ void step(const Chunk &f, int s) {
        if constexpr (kTiles == 1) {
            mma_m16n8k16<T>(d[0], f.a[s], f.b[s / 2][s % 2 * 2], f.b[s / 2][s % 2 * 2 + 1]);
        } else {
            mma_m16n8k16<T>(d[0], f.a[s], f.b[s][0], f.b[s][1]);
            mma_m16n8k16<T>(d[1], f.a[s], f.b[s][2], f.b[s][3]);
        }
    }
    __device__ __forceinline__ void multiply(const Chunk &f) {
#pragma unroll
        for (int s = 0; s < 4; s++)
            step(f, s);
        if (out.last()) ring.release(out.slot);
        out.next();
    }
    __device__ __forceinline__ void run(uint32_t steps) {
        const uint32_t chunks = steps / 4, rest = steps % 4;
        Chunk f, g;
        if (chunks) load(f);
        for (uint32_t c = 1; c <= chunks; c++) {
            if (c < chunks) load(g);
            multiply(f);
            if (++c > chunks) break;
            if (c < chunks) load(f);
            multiply(g);
        }
        if (rest) { /* what lies behind the last step in the slot is loaded, but not used */
            load(f);
#pragma unroll
            for (int s = 0; s < 3; s++)
                if (s < (int)rest) step(f, s);
        }
    }
};

template <typename T, int kTiles, typename R>
__global__ void __launch_bounds__(R::kMathWarps * 32 + 32, 2)
    gemm_skinny(const __grid_constant__ CUtensorMap map, const GemmArgs a) {
#if __CUDA_ARCH__ >= 900
    extern __shared__ __align__(1024) unsigned char shared[];
    const R ring(shared);
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t panel0 = blockIdx.x * R::kPanels;
    let_next_start();
    ring.init();

    if (warp == R::kMathWarps) { /* producer */
        if (lane == 0)
            ring.produce(
                a, &map, [&](uint32_t) { return make_uint2(panel0, 0); }, 0, 1, 1);
    } else {
        Math<T, kTiles, R> math(ring);
        const uint32_t panel = panel0 + warp;
        wait_for_previous();
        const TileFinish low(a, panel, 0), high(a, panel, kTiles > 1 ? 8 : a.m);
        math.run(a.steps);
        low.store<T>(a, panel, 0, math.d[0]);
        if constexpr (kTiles > 1) high.store<T>(a, panel, 8, math.d[1]);
    }
    ring.fini();
#endif
}

template <int kTiles, int kPanels, int kSteps, int kStages, int kCluster> struct Skinny {
    using R = Ring<kPanels, kTiles * 8, kSteps, kStages, kPanels, kCluster>;

    static int launch(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s) {
        const uint32_t blocks = ceil_div(ceil_div(a.panels, kPanels), kCluster) * kCluster;
        const uint32_t threads = R::kMathWarps * 32 + 32;
        return type == PGD_BF16 ? launch_cluster(gemm_skinny<__nv_bfloat16, kTiles, R>, kCluster,
                                                 blocks, threads, R::kSharedBytes, s, *map, a)
                                : launch_cluster(gemm_skinny<__half, kTiles, R>, kCluster, blocks,
                                                 threads, R::kSharedBytes, s, *map, a);
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

template <int kTiles, int kPanels, int kSteps, int kStages, int kCluster>
constexpr GemmKernel entry(const char *name) {
    using S = Skinny<kTiles, kPanels, kSteps, kStages, kCluster>;
    return {name,      kTiles * 8, kTiles * 8 / kCluster, kTiles * 8, kPanels, kCluster,
            S::launch, S::init};
}

} // namespace

/* Steps a stage and stages: 90 to 112 KB of ring. */
const GemmKernel gemm_skinny_kernels[] = {
    entry<1, 1, 16, 8, 1>("skinny 16r x 8t"),  entry<1, 2, 16, 5, 1>("skinny 32r x 8t"),
    entry<1, 3, 8, 7, 1>("skinny 48r x 8t"),   entry<1, 4, 8, 6, 1>("skinny 64r x 8t"),
    entry<2, 1, 16, 6, 1>("skinny 16r x 16t"), entry<2, 2, 16, 4, 1>("skinny 32r x 16t"),
    entry<2, 3, 8, 6, 1>("skinny 48r x 16t"),  entry<2, 4, 8, 5, 1>("skinny 64r x 16t"),
};
const int gemm_skinny_count = sizeof gemm_skinny_kernels / sizeof *gemm_skinny_kernels;
