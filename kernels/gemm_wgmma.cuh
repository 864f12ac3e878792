/* Op linear for m > 16: wgmma m64nNk16, weights in registers (A), tokens in shared memory (B).
 *
 * A CTA has one or two math warpgroups and two producer warps; warp w owns panel w of the CTA's
 * kPanels (16 rows each), and panel w + 8 where there are more, and all kTokens tokens of the tile.
 * A warp takes its A fragments from the ring in one 16-byte load a lane and k16 step; the warpgroup
 * reads B once, where mma.sync would read it once a warp. Where a CTA has fewer panels than warps,
 * the idle ones feed zeros.
 *
 * A slot of weights is given back when its last fragment is in registers, a slot of tokens when the
 * wgmma that read it last are complete.
 *
 * Tiles: one warpgroup, 32 to 64 rows x 32 to 128 tokens, and two, 224 rows x 32 or 64 tokens
 * (gemm_mid.cu); two, 128 rows x 128 or 256 tokens (gemm_large.cu). Those of two are persistent.
 * Clusters that share x by multicast gained nothing at any size (4096x4096 m 64: 18.4 us
 * against 17.5; 128 x 256: within 3 %): what bounds is the time from a slot's release to its
 * refill, not the rate of the L2. Order of tiles for large m: groups of 8 tiles of tokens, within a
 * group tokens before rows, so that the ~132 tiles in flight span about 8 x 16 and both operands
 * come from L2.
 *
 * Bytes: 2 n k + 2 m k (ceil(n / rows of a tile) times, from L2) + the output; FLOPs: 2 m n k.
 *
 * Measured (2026-11-24, test_linear --bench, H200, reads 4.51 TB/s), with the tile that gemm_choose
 * takes, share of reads at m 32 / 64: 4096x4096 0.60 / 0.53, 6144x4096 0.75 / 0.70, 4096x14336 0.80
 * / 0.70, 28672x4096 0.87 / 0.84, 128256x4096 0.92 / 0.84. TFLOP/s at m 256 / 512 / 2048: 4096x4096
 * 391 / 586 / 553, 6144x4096 494 / 481 / 584, 4096x14336 471 / 676 / 628, 28672x4096 589 / 679 /
 * 624, cuBLASLt beside it 1.0 to 1.5 times as fast; what a size reaches varies by a tenth with the
 * GPU's power and temperature. */
#ifndef PAGODA_KERNELS_GEMM_WGMMA_CUH
#define PAGODA_KERNELS_GEMM_WGMMA_CUH

#include <string.h>

#include "gemm_ring.cuh"
#include "wgmma.cuh"

namespace {

constexpr uint32_t kTokenGroup = 8; /* tiles of tokens that run side by side */

/* The tiles of two warpgroups are for large m: persistent, and with so many accumulators that the
 * producers hand registers to the math warps, which only whole warpgroups can. */
template <typename R> constexpr bool is_large() {
    return R::kMathWarps == 8;
}
/* Panels of a warp: w, w + kMathWarps, ... */
template <typename R> constexpr int height_of() {
    return (R::kPanels + R::kMathWarps - 1) / R::kMathWarps;
}
template <typename R> constexpr uint32_t threads_of() {
    return R::kMathWarps * 32 + (is_large<R>() ? 128 : 64);
}

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr uint32_t common_multiple(uint32_t a, uint32_t b) {
    uint32_t m = a;
    while (m % b)
        m += a;
    return m;
}

/* One warp's part of the main loop, in chunks of 4 steps. With one panel a warp, when chunk c is
 * issued c - 1 is at work, so the tensor core never waits for what lies between two chunks; c - 2
 * is complete and c + 2 takes its registers, so no wgmma waits for a load either. With two panels a
 * chunk is at work long enough to load the next one beside it. A turn of the loop is whole rounds
 * through the slots of tokens, so that descriptors are constants behind a uniform base: built from
 * a slot in a register, each waits until the wgmma before it has begun, 100 cycles, of which 64
 * tokens use 32. */
template <typename T, typename R> struct Math {
    static constexpr int kHeight = height_of<R>();
    static constexpr uint32_t kSets = kHeight == 1 ? 4 : 2; /* of registers for weights */
    static constexpr uint32_t kAhead = kSets / 2;           /* chunks that are loaded early */
    static constexpr uint32_t kBusy = kSets - kAhead;       /* chunks at work */
    static constexpr uint32_t kTurn = common_multiple(kSets, R::kTokenStages *R::kChunks);
    using Sums = float[kHeight][R::kTokens / 2];
    using Fragments = uint4[kHeight][4];

    const R &ring;
    const uint32_t mine;               /* offset of this lane's bytes of a slot's first fragment */
    const bool idle;                   /* a warp whose last panel is none */
    typename R::WeightCursor w, w_out; /* to load from, to give back */
    typename R::TokenPhases phases;

    __device__ __forceinline__ Math(const R &r)
        : ring(r), mine(threadIdx.x / 32 * R::kPanelBytes + threadIdx.x % 32 * 16),
          idle(threadIdx.x / 32 + (kHeight - 1) * R::kMathWarps >= R::kPanels) {}

    /* of the warp's panel h */
    __device__ __forceinline__ uint4 fragment(int h, uint32_t step) const {
        if (R::kPanels % R::kMathWarps && h == kHeight - 1 && idle) return make_uint4(0, 0, 0, 0);
        return load_shared_16(ring.weights(w.slot) + mine + h * R::kMathWarps * R::kPanelBytes +
                              step * kFragmentBytes);
    }
    /* chunk: within its stage, here and below */
    __device__ __forceinline__ void load(Fragments &a, uint32_t chunk) {
        if (chunk == 0) mbarrier_wait(ring.weights_full(w.slot), w.parity);
#pragma unroll
        for (int h = 0; h < kHeight; h++)
#pragma unroll
            for (uint32_t s = 0; s < 4; s++)
                a[h][s] = fragment(h, chunk * 4 + s);
        if (chunk == R::kChunks - 1) w.next();
    }
    __device__ __forceinline__ void issue(Sums &d, const Fragments &a, uint32_t slot,
                                          uint32_t chunk) {
        if (chunk == 0) mbarrier_wait(ring.tokens_full(slot), phases.take(slot));
        const uint64_t b = swizzled_descriptor(ring.base);
        const uint32_t at = slot * R::kTokenBytes + chunk * R::kBoxBytes;
        wgmma_fence();
#pragma unroll
        for (uint32_t s = 0; s < 4; s++)
#pragma unroll
            for (int h = 0; h < kHeight; h++)
                Wgmma<T, R::kTokens>::run(d[h], a[h][s], descriptor_after(b, at + s * 32));
        wgmma_commit();
        /* the registers hold all that the slot of weights did */
        if (chunk == R::kChunks - 1) release_weights();
    }
    __device__ __forceinline__ void release_weights() {
        ring.release_weights(w_out.slot);
        w_out.next();
    }
    __device__ __forceinline__ void run(Sums &d, uint32_t steps) {
        const uint32_t chunks = steps / R::kSteps * R::kChunks;
        const auto slot_of = [](uint32_t c) { return c / R::kChunks % R::kTokenStages; };
        Fragments a[kSets];
#pragma unroll
        for (int h = 0; h < kHeight; h++)
#pragma unroll
            for (int i = 0; i < R::kTokens / 2; i++)
                d[h][i] = 0.0f;
#pragma unroll
        for (uint32_t i = 0; i < kAhead; i++)
            if (chunks > i) load(a[i], i % R::kChunks);
        for (uint32_t first = 0; first < chunks; first += kTurn) {
#pragma unroll
            for (uint32_t i = 0; i < kTurn; i++) {
                const uint32_t c = first + i, ago = i + kTurn - kBusy;
                if (c >= chunks) break;
                issue(d, a[i % kSets], slot_of(i), i % R::kChunks);
                wgmma_wait<kBusy>();
                if (ago % R::kChunks == R::kChunks - 1 && c >= kBusy)
                    ring.release_tokens(slot_of(ago));
                if (c + kAhead < chunks) load(a[(i + kAhead) % kSets], (i + kAhead) % R::kChunks);
            }
        }
        wgmma_wait<0>();
        for (uint32_t c = chunks < kBusy ? 0 : chunks - kBusy; c < chunks; c++)
            if (c % R::kChunks == R::kChunks - 1) ring.release_tokens(slot_of(c));
        if (steps % R::kSteps) tail(d, steps % R::kSteps, slot_of(chunks));
    }
    /* The last stage where it is not full, step by step. */
    __device__ __forceinline__ void tail(Sums &d, uint32_t steps, uint32_t slot) {
        mbarrier_wait(ring.weights_full(w.slot), w.parity);
        mbarrier_wait(ring.tokens_full(slot), phases.take(slot));
#pragma unroll 1
        for (uint32_t s = 0; s < steps; s++) {
            uint4 a[kHeight];
#pragma unroll
            for (int h = 0; h < kHeight; h++)
                a[h] = fragment(h, s);
            const uint64_t b =
                swizzled_descriptor(ring.tokens(slot) + s / 4 * R::kBoxBytes + s % 4 * 32);
            wgmma_fence();
#pragma unroll
            for (int h = 0; h < kHeight; h++)
                Wgmma<T, R::kTokens>::run(d[h], a[h], b);
            wgmma_commit();
            wgmma_wait<0>();
        }
        w.next();
        release_weights();
        ring.release_tokens(slot);
    }
};

#endif

/* The way out: a warpgroup's accumulators go through shared memory, so that a short loop writes
 * rows of y in order, 16 bytes a thread. kAlone: in memory of its own, 64 tokens a pass, while the
 * ring fills for the next tile; else at once and in the ring, which is drained for good. */
template <typename R, bool kAlone> struct Stage {
    static constexpr uint32_t kRows = (R::kPanels < 4 ? R::kPanels : 4) * kPanelRows;
    /* Of outputs: those of a panel, of the warpgroup's panels, and from token to token in shared
     * memory, where tokens 2t apart fall on other banks. */
    static constexpr uint32_t outputs(bool pairs) { return pairs ? kPanelRows / 2 : kPanelRows; }
    static constexpr uint32_t columns(bool pairs) { return kRows / kPanelRows * outputs(pairs); }
    static constexpr uint32_t pitch(bool pairs) { return columns(pairs) + 4; }
    static constexpr uint32_t kPass = kAlone && R::kTokens > 64 ? 64 : R::kTokens;
    static constexpr uint32_t kPasses = R::kTokens / kPass;
    static constexpr int kHeight = height_of<R>();
    static constexpr uint32_t kFloats = kPass * pitch(false);
    static constexpr uint32_t kOwnBytes = kAlone ? R::kMathWarps / 4 * kFloats * 4 : 0;
    static_assert(kAlone || (R::kMathWarps == 4 && kFloats * 4 <= R::kBarriersAt),
                  "one warpgroup's fits in the ring");

    const uint32_t group, thread; /* warpgroup, thread of it */
    float *const tile;            /* [kPass][pitch] */

    __device__ __forceinline__ Stage(unsigned char *shared)
        : group(threadIdx.x / 128), thread(threadIdx.x % 128),
          tile(reinterpret_cast<float *>(shared + (kAlone ? R::kSharedBytes : 0)) +
               (kAlone ? group * kFloats : 0)) {}

    /* Bring the residuals of a tile into the L2 while the main loop runs. */
    __device__ __forceinline__ void prefetch(const GemmArgs &a, uint32_t panel0,
                                             uint32_t token0) const {
        if (a.finish != Finish::kResidual) return;
        for (uint32_t i = thread; i < R::kTokens * 2 * kHeight; i += 128) {
            const uint32_t token = token0 + i / (2 * kHeight), half = i % (2 * kHeight);
            const uint32_t column =
                (panel0 + half / 2 * R::kMathWarps + group * 4) * kPanelRows + half % 2 * 32;
            if (token < a.m && column < a.columns)
                prefetch_l2(static_cast<const float *>(a.y) + (size_t)token * a.ldy + column);
        }
    }

    template <typename T>
    __device__ __forceinline__ void write(const GemmArgs &a,
                                          const float (&d)[kHeight][R::kTokens / 2],
                                          uint32_t panel0, uint32_t token0) const {
        passes<T>(a, d[0], panel0, 0, token0);
        if constexpr (kHeight > 1) passes<T>(a, d[1], panel0, R::kMathWarps, token0);
        static_assert(kHeight <= 2, "the panels above");
    }

  private:
    /* Panels from `first` of the tile on, this warpgroup's four of them. */
    template <typename T>
    __device__ __forceinline__ void passes(const GemmArgs &a, const float (&d)[R::kTokens / 2],
                                           uint32_t panel0, uint32_t first, uint32_t token0) const {
        first += group * 4;
        const uint32_t panels = R::kPanels - first;
        pass<T, 0>(a, d, panel0 + first, panels, token0);
        if constexpr (kPasses > 1) pass<T, 1>(a, d, panel0 + first, panels, token0 + kPass);
        if constexpr (kPasses > 2) {
            pass<T, 2>(a, d, panel0 + first, panels, token0 + 2 * kPass);
            pass<T, 3>(a, d, panel0 + first, panels, token0 + 3 * kPass);
        }
        static_assert(kPasses <= 2 || kPasses == 4, "the passes above");
    }
    template <typename T, uint32_t kIndex>
    __device__ __forceinline__ void pass(const GemmArgs &a, const float (&d)[R::kTokens / 2],
                                         uint32_t panel0, uint32_t panels, uint32_t token0) const {
        if (token0 >= a.m) return;
        if (has_pairs(a))
            pass_of<T, kIndex, true>(a, d, panel0, panels, token0);
        else
            pass_of<T, kIndex, false>(a, d, panel0, panels, token0);
    }
    /* Four columns of one token a thread and turn; a batch's residuals are asked for at once. */
    template <typename T, uint32_t kIndex, bool kPairs>
    __device__ __forceinline__ void pass_of(const GemmArgs &a, const float (&d)[R::kTokens / 2],
                                            uint32_t panel0, uint32_t panels,
                                            uint32_t token0) const {
        constexpr uint32_t kOutputs = outputs(kPairs), kPitch = pitch(kPairs);
        constexpr uint32_t kUnits = columns(kPairs) / 4, kBatch = 4;
        const uint32_t left = a.m - token0, tokens = left < kPass ? left : kPass;
        const uint32_t total = tokens * kUnits, column0 = panel0 * kOutputs;
        named_barrier(1 + group, 128); /* the pass before, or the ring, is read */
        put<kIndex, kPairs>(a, d, column0);
        named_barrier(1 + group, 128);
#pragma unroll 1
        for (uint32_t first = thread; first < total; first += kBatch * 128) {
            float4 residual[kBatch];
#pragma unroll
            for (uint32_t b = 0; b < kBatch; b++) {
                const uint32_t i = first + b * 128;
                residual[b] = make_float4(0, 0, 0, 0);
                if (!kPairs && i < total)
                    residual[b] = residuals_of(a, column0 + i % kUnits * 4, token0 + i / kUnits);
            }
#pragma unroll
            for (uint32_t b = 0; b < kBatch; b++) {
                const uint32_t i = first + b * 128, column = i % kUnits * 4, token = i / kUnits;
                if (i >= total) break;
                if (kHeight > 1 && column >= panels * kOutputs) continue;
                const float4 v = *reinterpret_cast<const float4 *>(tile + token * kPitch + column);
                if constexpr (kPairs)
                    store_four<T>(a, column0 + column, token0 + token, v);
                else
                    finish_four<T>(a, column0 + column, token0 + token, v, residual[b]);
            }
        }
    }
    /* The warp's accumulators of this pass, pairs joined, as tile[token][column]. */
    template <uint32_t kIndex, bool kPairs>
    __device__ __forceinline__ void put(const GemmArgs &a, const float (&d)[R::kTokens / 2],
                                        uint32_t column0) const {
        constexpr uint32_t kPitch = pitch(kPairs);
        const uint32_t warp = thread / 32, g = thread % 32 / 4, t = thread % 4;
        if (warp * kPanelRows >= kRows) return;
        const uint32_t column = warp * outputs(kPairs) + g;
        float *const to = tile + 2 * t * kPitch + column;
        const uint32_t of = column0 + column < a.columns ? column0 + column : a.columns - 1;
#pragma unroll
        for (uint32_t i = 0; i < kPass / 2; i++) {
            const uint32_t from = kIndex * (kPass / 2) + i, token = i / 4 * 8 + i % 2;
            if constexpr (!kPairs)
                to[token * kPitch + i / 2 % 2 * 8] = d[from];
            else if (i / 2 % 2 == 0)
                to[token * kPitch] = finish_value<true>(a, of, d[from], d[from + 2], 0.0f);
        }
    }
};

template <typename T, typename R, int kResident>
__global__ void __launch_bounds__(threads_of<R>(), kResident)
    gemm_wgmma(const __grid_constant__ CUtensorMap map, const GemmArgs a) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ __align__(1024) unsigned char shared[];
    const R ring(shared);
    const uint32_t warp = threadIdx.x / 32;

    /* Tiles are numbered through groups of token tiles. */
    const uint32_t row_tiles = ceil_div(a.panels, R::kPanels);
    const uint32_t token_tiles = ceil_div(a.m, R::kTokens), count = row_tiles * token_tiles;
    const auto tile =
        [&](uint32_t i) { /* first panel, first token */
                          const uint32_t group = i / (row_tiles * kTokenGroup) * kTokenGroup;
                          const uint32_t left = token_tiles - group,
                                         width = left < kTokenGroup ? left : kTokenGroup;
                          const uint32_t index = i % (row_tiles * kTokenGroup);
                          return make_uint2(index / width * R::kPanels,
                                            (group + index % width) * R::kTokens);
        };

    let_next_start();
    ring.init();

    if (warp >= R::kMathWarps) {
        if constexpr (is_large<R>()) registers_down_to<40>();
        ring.produce(warp - R::kMathWarps, a, &map, tile, blockIdx.x, gridDim.x, count);
    } else {
        if constexpr (is_large<R>()) registers_up_to<232>();
        Math<T, R> math(ring);
        const Stage<R, is_large<R>()> stage(shared);
        wait_for_previous();
        for (uint32_t i = blockIdx.x; i < count; i += gridDim.x) {
            const uint2 at = tile(i);
            if constexpr (is_large<R>()) stage.prefetch(a, at.x, at.y);
            float d[height_of<R>()][R::kTokens / 2];
            math.run(d, a.steps);
            stage.template write<T>(a, d, at.x, at.y);
        }
    }
#endif
}

template <typename R, int kResident> struct Wide {
    static constexpr uint32_t kShared = R::kSharedBytes + Stage<R, is_large<R>()>::kOwnBytes;
    static_assert(kShared <= (kResident == 1 ? 232448 : kHalfShared), "fits an SM");

    static int launch(pgd_dtype type, const GemmArgs &a, const CUtensorMap *map, cudaStream_t s) {
        uint64_t tiles = (uint64_t)ceil_div(a.panels, R::kPanels) * ceil_div(a.m, R::kTokens);
        if (tiles > INT32_MAX) return (int)cudaErrorInvalidValue;
        if (is_large<R>() && tiles > kSms) tiles = kSms;
        const uint32_t blocks = (uint32_t)tiles;
        const uint32_t threads = threads_of<R>();
        return type == PGD_BF16 ? launch_kernel(gemm_wgmma<__nv_bfloat16, R, kResident>, blocks,
                                                threads, kShared, s, *map, a)
                                : launch_kernel(gemm_wgmma<__half, R, kResident>, blocks, threads,
                                                kShared, s, *map, a);
    }
    static int init() {
        const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
        const int e =
            (int)cudaFuncSetAttribute(gemm_wgmma<__nv_bfloat16, R, kResident>, attribute, kShared);
        return e ? e
                 : (int)cudaFuncSetAttribute(gemm_wgmma<__half, R, kResident>, attribute, kShared);
    }
};

template <int kPanels, int kTokens, int kSteps, int kTokenStages, int kWeightStages, int kGroups,
          int kResident>
constexpr GemmKernel wide_entry(const char *name) {
    using R = Ring<kPanels, kTokens, kSteps, kTokenStages, kWeightStages, kGroups * 4>;
    using W = Wide<R, kResident>;
    return {name, 0, kTokens, kTokens, kPanels, kResident, W::launch, W::init};
}

} // namespace

#endif
