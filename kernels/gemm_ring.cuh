/* The pipeline of the fast GEMMs: a ring of stages in shared memory, filled by one producer lane
 * and drained by math warps.
 *
 * A stage holds kSteps k16 steps of kTokens tokens and kPanels panels:
 *
 *   tokens   kSteps / 4 boxes [kTokens][64 elements], 128-byte swizzle, by tensor map
 *   weights  kPanels x kSteps fragments of 512 bytes; a panel's are contiguous in memory: one bulk
 *            copy a panel
 *
 * full[s] ends a phase when all bytes of a stage have landed (one arrival, by the producer, and the
 * byte count), empty[s] when every math warp has read it. The last stage may hold fewer steps, the
 * last CTA fewer panels: what is not loaded is not waited for, and what math makes of the stale
 * bytes of absent panels is not stored. Absent tokens and columns arrive as zeros.
 *
 * Overlap of kernels: the producer asks for the first kStages stages' weights before it waits for
 * the previous kernel, since weights are constants.
 *
 * Clusters (kCluster CTAs with neighbouring panels and the same tokens): each CTA loads
 * 1 / kCluster of the tokens of every box and multicasts it to all; so x crosses the L2's wires
 * once a cluster. A slot may then be refilled only when the math warps of all CTAs of the cluster
 * have read it: they arrive at the empty barriers of every CTA. */
#ifndef PAGODA_KERNELS_GEMM_RING_CUH
#define PAGODA_KERNELS_GEMM_RING_CUH

#include "gemm.cuh"
#include "ptx.cuh"

template <int kPanels_, int kTokens_, int kSteps_, int kStages_, int kMathWarps_, int kCluster_>
struct Ring {
    static constexpr int kPanels = kPanels_, kTokens = kTokens_, kSteps = kSteps_;
    static constexpr int kStages = kStages_, kMathWarps = kMathWarps_, kCluster = kCluster_;
    static constexpr uint32_t kBoxBytes = kTokens * 128;
    static constexpr uint32_t kTokenBytes = kSteps / 4 * kBoxBytes;
    static constexpr uint32_t kPanelBytes = kSteps * kFragmentBytes;
    static constexpr uint32_t kStageBytes = kTokenBytes + kPanels * kPanelBytes;
    static constexpr uint32_t kBarrierBytes = kStages * 2 * 8;
    static constexpr uint32_t kSharedBytes = kStages * kStageBytes + kBarrierBytes;
    static_assert(kSteps % 4 == 0 && kTokens % (8 * kCluster) == 0 && kTokens / kCluster <= 256,
                  "boxes are whole and keep the swizzle's groups of 8 rows");
    static_assert(kStageBytes % 1024 == 0 && kSharedBytes <= 232448, "fits and stays aligned");

    const uint32_t base; /* shared address of stage 0 */

    /* shared: aligned to 1024, which the swizzle needs */
    __device__ explicit Ring(const unsigned char *shared) : base(shared_address(shared)) {
        if (base % 1024) __trap();
    }
    __device__ uint32_t tokens(uint32_t slot) const { return base + slot * kStageBytes; }
    __device__ uint32_t weights(uint32_t slot) const { return tokens(slot) + kTokenBytes; }
    __device__ uint32_t full(uint32_t slot) const {
        return base + kStages * kStageBytes + slot * 8;
    }
    __device__ uint32_t empty(uint32_t slot) const { return full(slot) + kStages * 8; }

    /* All threads, first thing. */
    __device__ void init() const {
        if (threadIdx.x == 0) {
            for (int s = 0; s < kStages; s++) {
                mbarrier_init(full(s), 1);
                mbarrier_init(empty(s), kMathWarps * kCluster);
            }
            fence_mbarrier_init();
        }
        if constexpr (kCluster > 1)
            cluster_sync();
        else
            __syncthreads();
    }
    /* All threads, last thing: no CTA of a cluster leaves while another still writes to it. */
    __device__ void fini() const {
        if constexpr (kCluster > 1) {
            __syncwarp();
            cluster_sync();
        }
    }
    /* A math warp has read everything of the slot. */
    __device__ void release(uint32_t slot) const {
        __syncwarp();
        const uint32_t lane = threadIdx.x % 32;
        if constexpr (kCluster > 1) {
            if (lane < kCluster) mbarrier_arrive_remote(empty(slot), lane);
        } else {
            if (lane == 0) mbarrier_arrive(empty(slot));
        }
    }

    /* The producer lane's whole work: the stages of tile(i) for i = first, first + step, ... below
     * count. tile gives the first panel and the first token. */
    template <typename Tile>
    __device__ void produce(const GemmArgs &a, const CUtensorMap *map, const Tile &tile,
                            uint32_t first, uint32_t step, uint32_t count) const {
        const uint32_t stages = ceil_div(a.steps, kSteps);
        const uint32_t ahead = stages < kStages ? stages : kStages;
        prefetch_tensor_map(map);
        const uint2 t0 = tile(first);
        for (uint32_t i = 0; i < ahead; i++)
            load_weights(a, t0.x, i, i);
        wait_for_previous();
        fence_proxy_async(); /* x was written by ordinary stores of that kernel */
        for (uint32_t i = 0; i < ahead; i++)
            load_tokens(a, map, t0.y, i, i);
        uint32_t slot = ahead % kStages, parity = ahead == kStages ? 0 : 1, from = ahead;
        for (uint32_t t = first; t < count; t += step, from = 0) {
            const uint2 at = tile(t);
            for (uint32_t i = from; i < stages; i++) {
                mbarrier_wait(empty(slot), parity);
                load_weights(a, at.x, i, slot);
                load_tokens(a, map, at.y, i, slot);
                if (++slot == kStages) slot = 0, parity ^= 1;
            }
        }
    }

  private:
    static __device__ uint32_t steps_of(const GemmArgs &a, uint32_t stage) {
        const uint32_t left = a.steps - stage * kSteps;
        return left < kSteps ? left : kSteps;
    }
    __device__ void load_weights(const GemmArgs &a, uint32_t panel0, uint32_t stage,
                                 uint32_t slot) const {
        const uint32_t left = panel0 < a.panels ? a.panels - panel0 : 0;
        const uint32_t panels = left < kPanels ? left : kPanels;
        const uint32_t steps = steps_of(a, stage), bytes = steps * kFragmentBytes;
        mbarrier_arrive_expect(full(slot), panels * bytes + ceil_div(steps, 4) * kBoxBytes);
        const size_t pitch = (size_t)a.steps * kFragmentBytes;
        const unsigned char *src = a.w + panel0 * pitch + (size_t)stage * kSteps * kFragmentBytes;
        for (uint32_t p = 0; p < panels; p++)
            bulk_load(weights(slot) + p * kPanelBytes, src + p * pitch, bytes, full(slot));
    }
    __device__ void load_tokens(const GemmArgs &a, const CUtensorMap *map, uint32_t token0,
                                uint32_t stage, uint32_t slot) const {
        const uint32_t boxes = ceil_div(steps_of(a, stage), 4);
        for (uint32_t b = 0; b < boxes; b++) {
            const int32_t column = (int32_t)(stage * kSteps * 16 + b * 64);
            const uint32_t dst = tokens(slot) + b * kBoxBytes;
            if constexpr (kCluster > 1) {
                const uint32_t rank = cluster_rank(), rows = kTokens / kCluster;
                tensor_load_multicast(dst + rank * rows * 128, map, column,
                                      (int32_t)(token0 + rank * rows), full(slot),
                                      (uint16_t)((1u << kCluster) - 1));
            } else {
                tensor_load(dst, map, column, (int32_t)token0, full(slot));
            }
        }
    }
};

/* Where a walk through the ring in chunks of 4 steps stands. */
template <typename R> struct Cursor {
    static constexpr uint32_t kChunks = R::kSteps / 4;
    uint32_t slot = 0, parity = 0, chunk = 0;
    __device__ __forceinline__ bool last() const { return chunk == kChunks - 1; }
    __device__ __forceinline__ void next() {
        if (++chunk == kChunks) skip();
    }
    __device__ __forceinline__ void skip() { /* to the next slot */
        chunk = 0;
        if (++slot == R::kStages) slot = 0, parity ^= 1;
    }
};

/* kernel<<<>>> in clusters, with programmatic dependence (launch_kernel has none of the first). */
template <typename... Params, typename... Args>
inline int launch_cluster(void (*kernel)(Params...), int cluster, uint32_t blocks, uint32_t threads,
                          size_t shared, cudaStream_t stream, Args... args) {
    cudaLaunchAttribute attributes[2] = {};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim.x = (unsigned)cluster;
    attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = cluster > 1 ? 2 : 1;
    return (int)cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
}

#endif
