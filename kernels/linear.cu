/* Op linear: packing of weights, and the choice of a kernel for (m, n, k).
 *
 * Packing: one thread a lane of a fragment, 16 bytes out, rows and columns beyond the matrix zero.
 * Bytes: 2 n k written, the source read once. A pack is followed by a synchronisation before the
 * first linear over its result: linears read weights before they wait for the previous kernel.
 *
 * Choice: the kernels give equal bits (gemm.cuh), so it is free to be any function of the shape; it
 * follows the figures of test_linear --bench on an H200. */
#include "gemm.cuh"

#include <cudaTypedefs.h>

namespace {

/* --- packing --- */

__device__ uint64_t mix(uint64_t z) { /* the finaliser of SplitMix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* Uniform of standard deviation 0.02: [-0.02 sqrt(3), 0.02 sqrt(3)). */
__device__ float dummy_weight(uint64_t seed, uint32_t row, uint32_t col) {
    const uint64_t h = mix(mix(seed + 0x9e3779b97f4a7c15ULL * (row + 1ULL)) + col);
    return ((float)(h >> 40) * 0x1p-23f - 1.0f) * 0.034641016f;
}

__device__ float load_weight(const pgd_k_pack &a, size_t i) {
    switch (a.src_type) {
    case PGD_BF16:
        return to_float(static_cast<const __nv_bfloat16 *>(a.src)[i]);
    case PGD_F16:
        return to_float(static_cast<const __half *>(a.src)[i]);
    default:
        return static_cast<const float *>(a.src)[i];
    }
}

template <typename T>
__device__ uint16_t pack_weight(const pgd_k_pack &a, uint32_t r, uint32_t col) {
    float v = 0.0f;
    if (r < a.first + a.rows && col < a.k) {
        const uint32_t stacked = a.interleave == 2 ? 2 * r + a.part : a.row0 + r;
        v = a.src ? load_weight(a, (size_t)(r - a.first) * a.k + col)
                  : dummy_weight(a.seed, stacked, col);
    }
    const T rounded = from_float<T>(v);
    return reinterpret_cast<const uint16_t &>(rounded);
}

/* Rows [first, end) of the part are this call's; end exceeds first + rows when the call holds the
 * last row of the matrix and so zeroes the rest of the last panel. Grid: panels x k16 steps / 4,
 * four warps. */
template <typename T>
__global__ void __launch_bounds__(128) pack(pgd_k_pack a, uint32_t end, uint32_t panel0) {
    const uint32_t steps = ceil_div(a.k, 16), step = blockIdx.y * 4 + threadIdx.x / 32;
    const uint32_t lane = threadIdx.x % 32, panel = panel0 + blockIdx.x;
    if (step >= steps) return;
    uint32_t words[4];
    bool ours[4], all = true;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const uint32_t half = i % 2, col = step * 16 + lane % 4 * 2 + i / 2 * 8;
        uint32_t r; /* row of the part */
        if (a.interleave == 2) {
            r = panel * 8 + lane / 4;
            ours[i] = half == a.part && r >= a.first && r < end;
        } else {
            const uint32_t stacked = panel * kPanelRows + lane / 4 + 8 * half;
            r = stacked - a.row0;
            ours[i] = stacked >= a.row0 && r >= a.first && r < end;
        }
        words[i] = ours[i] ? (uint32_t)pack_weight<T>(a, r, col) |
                                 (uint32_t)pack_weight<T>(a, r, col + 1) << 16
                           : 0;
        all = all && ours[i];
    }
    unsigned char *dst =
        static_cast<unsigned char *>(a.dst) + ((size_t)panel * steps + step) * kFragmentBytes;
    uint32_t *out = reinterpret_cast<uint32_t *>(dst) + lane * 4;
    if (all) {
        *reinterpret_cast<uint4 *>(out) = make_uint4(words[0], words[1], words[2], words[3]);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (ours[i]) out[i] = words[i];
}

/* --- the device, set once by pgd_k_linear_init; the only state of the kernels --- */

struct Device {
    bool ready; /* sm_90a with tensor maps: the fast kernels may run */
    PFN_cuTensorMapEncodeTiled_v12000 encode;
};
Device device;

/* x as [m, k] rows of ldx elements; boxes of box_rows x 64 elements in the 128-byte swizzle. */
int make_map(CUtensorMap *map, pgd_dtype type, const GemmArgs &a, uint32_t box_rows) {
    const cuuint64_t dims[2] = {a.k, a.m}, strides[1] = {(cuuint64_t)a.ldx * 2};
    const cuuint32_t box[2] = {64, box_rows}, steps[2] = {1, 1};
    const CUresult r = device.encode(
        map, type == PGD_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        2, const_cast<void *>(a.x), dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return r == CUDA_SUCCESS ? (int)cudaSuccess : (int)cudaErrorInvalidValue;
}

bool map_takes(const pgd_k_linear *a) {
    return device.ready && (uintptr_t)a->x % 16 == 0 && a->ldx % 8 == 0;
}

Finish finish_of(const pgd_k_linear *a) {
    const bool f32 = a->y_type == PGD_F32;
    switch (a->epilogue) {
    case PGD_EPI_RESIDUAL:
        return f32 ? Finish::kResidual : Finish::kCount;
    case PGD_EPI_SWIGLU:
        if (a->gelu) return f32 ? Finish::kGeluF32 : Finish::kGeluTyped;
        return f32 ? Finish::kSiluF32 : Finish::kSiluTyped;
    default:
        return f32 ? Finish::kF32 : Finish::kTyped;
    }
}

/* The table entry of this tile; -1: none. */
int find(uint32_t tokens, uint32_t panels, uint32_t resident) {
    for (int i = 1; gemm_kernel(i); i++) {
        const GemmKernel *const g = gemm_kernel(i);
        if (g->tokens == tokens && g->panels == panels && g->resident == resident) return i;
    }
    return -1;
}

/* 16 < m <= 64: the deep tile with the fewest panels whose grid fits the machine at once; else the
 * tile with which the busiest SM has the fewer panels to go through. */
int choose_mid(uint32_t m, uint32_t panels) {
    const uint32_t tokens = m <= 32 ? 32 : 64;
    for (uint32_t p = m <= 32 ? 4 : 2; p <= 4; p++)
        if (ceil_div(panels, p) <= kSms) return find(tokens, p, 1);
    const uint32_t small = ceil_div(ceil_div(panels, 4), 2 * kSms) * 2 * 4;
    const uint32_t tall = ceil_div(ceil_div(panels, 14), kSms) * 14;
    return tall < small ? find(tokens, 14, 1) : find(tokens, 4, 2);
}

/* m > 64: the tile whose grid takes the shortest time by this model: rounds of full SMs, each as
 * long as its outputs over the tile's efficiency (percent of the best tile's rate). */
int choose_large(uint32_t m, uint32_t panels) {
    static constexpr struct {
        uint32_t tokens, panels, percent;
    } tiles[] = {{256, 8, 100}, {128, 8, 96}, {128, 4, 57}, {64, 4, 36}};
    int best = 0;
    uint64_t least = UINT64_MAX;
    for (const auto &t : tiles) {
        const uint64_t count = (uint64_t)ceil_div(m, t.tokens) * ceil_div(panels, t.panels);
        const uint64_t cost = (count + kSms - 1) / kSms * t.tokens * t.panels * 100 / t.percent;
        if (cost >= least) continue;
        least = cost;
        best = find(t.tokens, t.panels, 1);
    }
    return best;
}

} // namespace

int gemm_choose(uint32_t m, uint32_t n) {
    const uint32_t panels = ceil_div(n, kPanelRows);
    if (m <= 16) return find(m <= 8 ? 8 : 16, panels <= 2 * kSms ? 1 : 2, 2);
    return m <= 64 ? choose_mid(m, panels) : choose_large(m, panels);
}

const GemmKernel *gemm_kernel(int i) {
    static constexpr GemmKernel simple = {"simple", 0, 0, 0, 0, 0, gemm_simple_launch, nullptr};
    if (i < 0) return nullptr;
    if (i == 0) return &simple;
    i--;
    const struct {
        const GemmKernel *kernels;
        int count;
    } tables[] = {{gemm_skinny_kernels, gemm_skinny_count},
                  {gemm_mid_kernels, gemm_mid_count},
                  {gemm_large_kernels, gemm_large_count}};
    for (const auto &t : tables) {
        if (i < t.count) return &t.kernels[i];
        i -= t.count;
    }
    return nullptr;
}

int gemm_run(int kernel, const pgd_k_linear *a, cudaStream_t s) {
    const GemmKernel *const g = gemm_kernel(kernel);
    const Finish finish = finish_of(a);
    const bool odd = a->epilogue == PGD_EPI_SWIGLU && a->n % 2;
    if (!g || finish == Finish::kCount || odd || !a->m || !a->n || !a->k || a->ldx < a->k ||
        (a->type != PGD_BF16 && a->type != PGD_F16) ||
        (a->y_type != PGD_F32 && a->y_type != a->type) || (g->max_m && a->m > g->max_m) ||
        (g->box_rows && !map_takes(a)))
        return (int)cudaErrorInvalidValue;

    GemmArgs args = {};
    args.w = static_cast<const unsigned char *>(a->w);
    args.x = a->x;
    args.y = a->y;
    args.bias = a->bias;
    args.m = a->m, args.n = a->n, args.k = a->k;
    args.steps = ceil_div(a->k, 16), args.panels = ceil_div(a->n, kPanelRows);
    args.ldx = a->ldx, args.ldy = a->ldy;
    args.finish = finish;
    args.columns = a->epilogue == PGD_EPI_SWIGLU ? a->n / 2 : a->n;
    CUtensorMap map = {};
    if (g->box_rows) {
        const int e = make_map(&map, a->type, args, g->box_rows);
        if (e) return e;
    }
    return g->launch(a->type, args, &map, s);
}

extern "C" {

uint64_t pgd_k_packed_bytes(uint32_t n, uint32_t k) {
    return (uint64_t)ceil_div(n, kPanelRows) * ceil_div(k, 16) * kFragmentBytes;
}

int pgd_k_run_pack(const pgd_k_pack *a, pgd_stream s) {
    const uint32_t part_rows = a->interleave == 2 ? a->n / 2 : a->n - a->row0;
    if (!a->rows || !a->k || a->interleave < 1 || a->interleave > 2 || a->part >= a->interleave ||
        (a->interleave == 2 && a->n % 2) || a->row0 > a->n || a->first > part_rows ||
        a->rows > part_rows - a->first || (a->type != PGD_BF16 && a->type != PGD_F16) ||
        (a->src && a->src_type != PGD_BF16 && a->src_type != PGD_F16 && a->src_type != PGD_F32))
        return (int)cudaErrorInvalidValue;
    const uint32_t step = a->interleave == 2 ? 8 : kPanelRows; /* rows of the part a panel */
    const uint32_t base = a->interleave == 2 ? 0 : a->row0;
    uint32_t end = a->first + a->rows;
    if (end == part_rows) end = ceil_div(base + end, step) * step - base;
    const uint32_t panel0 = (base + a->first) / step;
    const dim3 grid(ceil_div(base + end, step) - panel0, ceil_div(ceil_div(a->k, 16), 4));
    if (a->type == PGD_BF16)
        pack<__nv_bfloat16><<<grid, 128, 0, s>>>(*a, end, panel0);
    else
        pack<__half><<<grid, 128, 0, s>>>(*a, end, panel0);
    return (int)cudaGetLastError();
}

int pgd_k_linear_init(void) {
    int id, major, minor;
    int e = (int)cudaGetDevice(&id);
    if (!e) e = (int)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, id);
    if (!e) e = (int)cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, id);
    if (e) return e;
    if (major != 9 || minor != 0) return (int)cudaSuccess; /* variant 0 serves */
    void *fn = nullptr;
    cudaDriverEntryPointQueryResult found;
    e = (int)cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &fn, 12000,
                                              cudaEnableDefault, &found);
    if (e) return e;
    if (found != cudaDriverEntryPointSuccess || !fn) return (int)cudaErrorNotSupported;
    for (int i = 1; gemm_kernel(i); i++) {
        e = gemm_kernel(i)->init();
        if (e) return e;
    }
    device.encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(fn);
    device.ready = true;
    return (int)cudaSuccess;
}

int pgd_k_run_linear(const pgd_k_linear *a, pgd_stream s) {
    return gemm_run(map_takes(a) ? gemm_choose(a->m, a->n) : 0, a, s);
}

} /* extern "C" */
