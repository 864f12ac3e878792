/* The pipeline of the fast GEMMs: two rings of stages in shared memory, one for tokens and one for
 * weights, each filled by one lane of a producer warp of its own and drained by math warps.
 *
 * A stage holds kSteps k16 steps:
 *
 *   tokens   kSteps / 4 boxes [kTokens][64 elements], 128-byte swizzle, by tensor map
 *   weights  kPanels x kSteps fragments of 512 bytes; a panel's are contiguous in memory: one bulk
 *            copy a panel
 *
 * full ends a phase when all bytes of a stage have landed (one arrival, by the producer, and the
 * byte count), empty when every math warp has read it. The last stage may hold fewer steps, the
 * last CTA fewer panels: what is not loaded is not waited for, and what math makes of the stale
 * bytes of absent panels is not stored. Absent tokens and columns arrive as zeros.
 *
 * Why two rings: weights come from HBM, tokens from the nearer L2. In one ring of 96 KB, with 64
 * tokens and 32 rows a stage, two thirds of the bytes in flight were tokens, and with one CTA an SM
 * that leaves less than 32 KB of weights in flight where the HBM takes 40 KB an SM to be busy.
 *
 * Why elected lanes: behind `lane == 0` the compiler wraps each copy in a loop over lanes with
 * votes, and a stage of a narrow grid took 390 to 530 ns whatever it held; behind elect it issues
 * the copies one after the other.
 *
 * Overlap of kernels: the producer of weights does not wait for the previous kernel, since weights
 * are constants: its ring is full when the tokens may come. */
#ifndef PAGODA_KERNELS_GEMM_RING_CUH
#define PAGODA_KERNELS_GEMM_RING_CUH

#include "gemm.cuh"
#include "ptx.cuh"

/* What a CTA may take of shared memory where two share an SM: 228 KB less 1 KB each. */
constexpr uint32_t kHalfShared = 115712;

/* The parity of each slot's next phase, where a walk need not go through all slots. */
struct Phases {
    uint32_t bits = 0;
    __device__ __forceinline__ uint32_t take(uint32_t slot) {
        const uint32_t parity = bits >> slot & 1;
        bits ^= 1u << slot;
        return parity;
    }
};

/* Where a walk through kStages slots stands. */
template <uint32_t kStages> struct Cursor {
    uint32_t slot = 0, parity = 0;
    __device__ __forceinline__ void next() {
        if (++slot == kStages) slot = 0, parity ^= 1;
    }
};

template <int kPanels_, int kTokens_, int kSteps_, int kTokenStages_, int kWeightStages_,
          int kMathWarps_>
struct Ring {
    static constexpr int kPanels = kPanels_, kTokens = kTokens_, kSteps = kSteps_;
    static constexpr int kTokenStages = kTokenStages_, kWeightStages = kWeightStages_;
    static constexpr int kMathWarps = kMathWarps_;
    static constexpr uint32_t kChunks = kSteps / 4; /* of 4 steps, a box each */
    static constexpr uint32_t kBoxBytes = kTokens * 128;
    static constexpr uint32_t kTokenBytes = kChunks * kBoxBytes;
    static constexpr uint32_t kPanelBytes = kSteps * kFragmentBytes;
    static constexpr uint32_t kWeightBytes = kPanels * kPanelBytes;
    static constexpr uint32_t kWeightsAt = kTokenStages * kTokenBytes;
    static constexpr uint32_t kBarriersAt = kWeightsAt + kWeightStages * kWeightBytes;
    static constexpr uint32_t kSharedBytes = kBarriersAt + (kTokenStages + kWeightStages) * 2 * 8;
    using TokenPhases = Phases; /* of tokens: a tile begins with slot 0 */
    using WeightCursor = Cursor<kWeightStages>;
    static_assert(kSteps % 4 == 0 && kTokens % 8 == 0 && kTokens <= 256,
                  "boxes are whole and keep the swizzle's groups of 8 rows");
    static_assert(kTokenBytes % 1024 == 0 && kSharedBytes <= 232448, "fits and stays aligned");

    const uint32_t base; /* shared address of the first stage of tokens */

    /* shared: aligned to 1024, which the swizzle needs */
    __device__ explicit Ring(const unsigned char *shared) : base(kept(shared_address(shared))) {
        if (base % 1024) __trap();
    }
    __device__ uint32_t tokens(uint32_t slot) const { return base + slot * kTokenBytes; }
    __device__ uint32_t weights(uint32_t slot) const {
        return base + kWeightsAt + slot * kWeightBytes;
    }
    __device__ uint32_t tokens_full(uint32_t slot) const { return base + kBarriersAt + slot * 8; }
    __device__ uint32_t tokens_empty(uint32_t slot) const {
        return tokens_full(slot) + kTokenStages * 8;
    }
    __device__ uint32_t weights_full(uint32_t slot) const {
        return base + kBarriersAt + kTokenStages * 16 + slot * 8;
    }
    __device__ uint32_t weights_empty(uint32_t slot) const {
        return weights_full(slot) + kWeightStages * 8;
    }

    /* All threads, first thing. */
    __device__ void init() const {
        if (threadIdx.x == 0) {
            for (int s = 0; s < kTokenStages; s++) {
                mbarrier_init(tokens_full(s), 1);
                mbarrier_init(tokens_empty(s), kMathWarps);
            }
            for (int s = 0; s < kWeightStages; s++) {
                mbarrier_init(weights_full(s), 1);
                mbarrier_init(weights_empty(s), kMathWarps);
            }
            fence_mbarrier_init();
        }
        __syncthreads();
    }
    /* A math warp has read everything of the slot. */
    __device__ __forceinline__ void release_weights(uint32_t slot) const {
        __syncwarp();
        if (threadIdx.x % 32 == 0) mbarrier_arrive(weights_empty(slot));
    }
    __device__ __forceinline__ void release_tokens(uint32_t slot) const {
        __syncwarp();
        if (threadIdx.x % 32 == 0) mbarrier_arrive(tokens_empty(slot));
    }

    /* The whole work of producer warp 0 (weights) and 1 (tokens): the stages of tile(i) for i =
     * first, first + step, ... below count. tile gives the first panel and the first token. Both
     * are called by all lanes of their warp. */
    template <typename Tile>
    __device__ void produce(uint32_t producer, const GemmArgs &a, const CUtensorMap *map,
                            const Tile &tile, uint32_t first, uint32_t step, uint32_t count) const {
        if (!elect_one()) return;
        if (producer == 0) {
            WeightCursor to;
            for (uint32_t t = first; t < count; t += step)
                produce_weights(a, tile(t).x, to);
        } else if (producer == 1) {
            prefetch_tensor_map(map);
            wait_for_previous();
            fence_proxy_async(); /* x was written by ordinary stores of that kernel */
            TokenPhases phases;
            for (uint32_t t = first; t < count; t += step)
                produce_tokens(a, map, tile(t).y, phases);
        }
    }

  private:
    /* The compiler takes the value as it is, in a register: left to itself it reads the shared
     * window's base, 30 cycles, before every address of the main loops. */
    static __device__ __forceinline__ uint32_t kept(uint32_t v) {
        asm volatile("" : "+r"(v));
        return v;
    }
    /* The panel after p. ptxas 13.0 makes 64-bit multiples of a pitch into shifts whose upper half
     * it never computes; a pointer whose history it does not see is safe from that. */
    static __device__ __forceinline__ const unsigned char *next(const unsigned char *p,
                                                                size_t pitch) {
        p += pitch;
        asm volatile("" : "+l"(p));
        return p;
    }
    /* A fresh barrier counts as having ended phase 1, so the first round does not wait. */
    __device__ __forceinline__ void produce_weights(const GemmArgs &a, uint32_t panel0,
                                                    WeightCursor &to) const {
        const size_t pitch = (size_t)a.steps * kFragmentBytes;
        const unsigned char *src = a.w + panel0 * pitch;
        const uint32_t left = panel0 < a.panels ? a.panels - panel0 : 0;
        uint32_t steps = a.steps;
        if (left >= kPanels) { /* nearly all of them: straight-line code */
            for (; steps >= kSteps; steps -= kSteps, src += kPanelBytes, to.next()) {
                const unsigned char *from = src;
                mbarrier_wait(weights_empty(to.slot), to.parity ^ 1);
                mbarrier_arrive_expect(weights_full(to.slot), kWeightBytes);
#pragma unroll
                for (uint32_t p = 0; p < kPanels; p++, from = next(from, pitch))
                    bulk_load(weights(to.slot) + p * kPanelBytes, from, kPanelBytes,
                              weights_full(to.slot));
            }
        }
        const uint32_t panels = left < kPanels ? left : kPanels;
        while (steps) {
            const uint32_t now = steps < kSteps ? steps : kSteps, bytes = now * kFragmentBytes;
            const unsigned char *from = src;
            mbarrier_wait(weights_empty(to.slot), to.parity ^ 1);
            mbarrier_arrive_expect(weights_full(to.slot), panels * bytes);
#pragma unroll 1
            for (uint32_t p = 0; p < panels; p++, from = next(from, pitch))
                bulk_load(weights(to.slot) + p * kPanelBytes, from, bytes, weights_full(to.slot));
            steps -= now, src += kPanelBytes, to.next();
        }
    }
    __device__ __forceinline__ void load_box(const CUtensorMap *map, uint32_t slot, uint32_t b,
                                             uint32_t box, uint32_t token0) const {
        tensor_load(tokens(slot) + b * kBoxBytes, map, (int32_t)(box * 64), (int32_t)token0,
                    tokens_full(slot));
    }
    __device__ __forceinline__ void produce_tokens(const GemmArgs &a, const CUtensorMap *map,
                                                   uint32_t token0, TokenPhases &phases) const {
        const uint32_t boxes = ceil_div(a.steps, 4);
        uint32_t box = 0, slot = 0;
        for (; box + kChunks <= boxes; box += kChunks) {
            mbarrier_wait(tokens_empty(slot), phases.take(slot) ^ 1);
            mbarrier_arrive_expect(tokens_full(slot), kTokenBytes);
#pragma unroll
            for (uint32_t b = 0; b < kChunks; b++)
                load_box(map, slot, b, box + b, token0);
            if (++slot == kTokenStages) slot = 0;
        }
        if (box == boxes) return;
        mbarrier_wait(tokens_empty(slot), phases.take(slot) ^ 1);
        mbarrier_arrive_expect(tokens_full(slot), (boxes - box) * kBoxBytes);
#pragma unroll 1
        for (uint32_t b = 0; box + b < boxes; b++)
            load_box(map, slot, b, box + b, token0);
    }
};

#endif
