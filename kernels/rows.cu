/* Rows in, rows out: embed, gather and norm.
 *
 * embed   y[i] = table[ids[i]]      table [vocab, d] bf16, f16 or f32; y [n, d] f32
 * gather  y[r] = x[row_tok[r]]      embed with a table of f32
 * norm    y = round(x scale w), scale = 1 / sqrt(sum(x^2) / d + eps)
 *         x [n, d] f32, w [d] f32, y [n, d] bf16, f16 or f32; y may be x
 *
 * Bytes: embed n d (size of the type + 4), gather 8 n d, norm n d (4 + size of the type).
 *
 * Mapping: embed and gather give each thread 8 elements of a row (16 bytes of bf16), blocks of
 * 256 threads side by side over a row, so that one row alone is shared by several SMs. norm gives
 * a row to a block whose shape follows from d alone, never from n: as few pieces of 8 elements a
 * thread as 512 threads allow, at most 8, in registers. A row is read once. The sum of squares runs
 * through a thread's elements in order, then through a butterfly of the warp, then of the warps.
 * Rows that are no multiple of 8, or beyond 32768 elements, take a loop of single elements (norm
 * then reads them twice): the choice depends on d alone, too.
 *
 * Measured (H200, 2026-11-24, reads 4.53 TB/s), 2048 x 4096: norm 13.2 us, 0.84 of reads counting
 * bytes read and written; embed 15.5 us, 0.72; 1.3 and 1.2 us at one row.
 *
 * Pointers are aligned to 16 bytes when d is a multiple of 8. */
#include "cluster.cuh"
#include "launch.h"

constexpr uint32_t kPiece = 8; /* elements a thread moves at once */
constexpr uint32_t kEmbedThreads = 256;
constexpr uint32_t kNormThreads = 512;
constexpr uint32_t kNormMaxPieces = 8;

struct alignas(16) Piece {
    float v[kPiece];
};

/* 8 consecutive elements as floats. Plain loads: a row may be written by the kernel before. */
__device__ __forceinline__ Piece load_piece(const float *p) {
    const float4 a = reinterpret_cast<const float4 *>(p)[0];
    const float4 b = reinterpret_cast<const float4 *>(p)[1];
    return {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
}
template <typename T> __device__ __forceinline__ Piece load_piece(const T *p) {
    static_assert(sizeof(T) == 2, "bf16 or f16");
    const uint4 raw = *reinterpret_cast<const uint4 *>(p);
    T e[kPiece];
    memcpy(e, &raw, sizeof raw);
    Piece x;
#pragma unroll
    for (uint32_t i = 0; i < kPiece; i++)
        x.v[i] = to_float(e[i]);
    return x;
}

__device__ __forceinline__ void store_piece(float *p, const Piece &x) {
    reinterpret_cast<float4 *>(p)[0] = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
    reinterpret_cast<float4 *>(p)[1] = make_float4(x.v[4], x.v[5], x.v[6], x.v[7]);
}
template <typename T> __device__ __forceinline__ void store_piece(T *p, const Piece &x) {
    static_assert(sizeof(T) == 2, "bf16 or f16");
    T e[kPiece];
#pragma unroll
    for (uint32_t i = 0; i < kPiece; i++)
        e[i] = from_float<T>(x.v[i]);
    uint4 raw;
    memcpy(&raw, e, sizeof raw);
    *reinterpret_cast<uint4 *>(p) = raw;
}

/* --- embed, gather --- */

template <typename T, bool kPieces>
static __global__ void __launch_bounds__(kEmbedThreads)
    embed_rows(const T *table, const int32_t *ids, float *y, uint32_t d) {
    let_next_start();
    wait_for_previous();
    const uint32_t row = blockIdx.x;
    const uint32_t at = (blockIdx.y * kEmbedThreads + threadIdx.x) * (kPieces ? kPiece : 1);
    if (at >= d) return;
    const int32_t id = ids[row];
    float *out = y + (size_t)row * d + at;
    const T *in = table + (size_t)(id < 0 ? 0 : id) * d + at;
    if constexpr (kPieces)
        store_piece(out, id < 0 ? Piece{} : load_piece(in));
    else
        *out = id < 0 ? 0.0f : to_float(*in);
}

template <typename T>
static int launch_embed(const void *table, const int32_t *ids, float *y, uint32_t n, uint32_t d,
                        cudaStream_t stream) {
    const bool pieces = d % kPiece == 0;
    const dim3 grid(n, ceil_div(d, kEmbedThreads * (pieces ? kPiece : 1)));
    const auto kernel = pieces ? embed_rows<T, true> : embed_rows<T, false>;
    return launch_kernel(kernel, grid, kEmbedThreads, 0, stream, static_cast<const T *>(table), ids,
                         y, d);
}

int pgd_k_run_embed(const pgd_k_embed *a, pgd_stream s) {
    if (a->n == 0) return 0;
    switch (a->type) {
    case PGD_BF16:
        return launch_embed<__nv_bfloat16>(a->table, a->ids, a->y, a->n, a->d, s);
    case PGD_F16:
        return launch_embed<__half>(a->table, a->ids, a->y, a->n, a->d, s);
    case PGD_F32:
        return launch_embed<float>(a->table, a->ids, a->y, a->n, a->d, s);
    default:
        return cudaErrorInvalidValue;
    }
}

int pgd_k_run_gather(const pgd_k_gather *a, pgd_stream s) {
    if (a->n == 0) return 0;
    return launch_embed<float>(a->x, a->row_tok, a->y, a->n, a->d, s);
}

/* --- norm --- */

__device__ __forceinline__ float scale_of(float sum, uint32_t d, float eps) {
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(sum, (float)d), eps)));
}

/* A row in registers: piece p of a thread starts at 8 (p blockDim.x + threadIdx.x). */
template <typename T, uint32_t kPieces>
static __global__ void __launch_bounds__(kNormThreads)
    norm_row(const float *x, const float *w, T *y, uint32_t d, float eps) {
    __shared__ float scratch[32];
    const size_t row = (size_t)blockIdx.x * d;
    let_next_start();
    /* weights never change: the first pieces are read ahead of the wait */
    constexpr uint32_t kEarly = kPieces < 4 ? kPieces : 2;
    Piece v[kPieces], gain[kEarly];
#pragma unroll
    for (uint32_t p = 0; p < kEarly; p++) {
        const uint32_t at = (p * blockDim.x + threadIdx.x) * kPiece;
        gain[p] = at < d ? load_piece(w + at) : Piece{};
    }
    wait_for_previous();
#pragma unroll
    for (uint32_t p = 0; p < kPieces; p++) {
        const uint32_t at = (p * blockDim.x + threadIdx.x) * kPiece;
        v[p] = at < d ? load_piece(x + row + at) : Piece{};
    }
    float sum = 0.0f;
#pragma unroll
    for (uint32_t p = 0; p < kPieces; p++)
#pragma unroll
        for (uint32_t i = 0; i < kPiece; i++)
            sum = __fmaf_rn(v[p].v[i], v[p].v[i], sum);
    const float scale = scale_of(block_reduce(sum, 0.0f, Add(), scratch), d, eps);
#pragma unroll
    for (uint32_t p = 0; p < kPieces; p++) {
        const uint32_t at = (p * blockDim.x + threadIdx.x) * kPiece;
        if (at >= d) break;
        const Piece g = p < kEarly ? gain[p < kEarly ? p : 0] : load_piece(w + at);
#pragma unroll
        for (uint32_t i = 0; i < kPiece; i++)
            v[p].v[i] = __fmul_rn(__fmul_rn(v[p].v[i], scale), g.v[i]);
        store_piece(y + row + at, v[p]);
    }
}

/* Any d. y may be x: a thread writes only elements that it alone reads again. */
template <typename T>
static __global__ void __launch_bounds__(kNormThreads)
    norm_row_any(const float *x, const float *w, T *y, uint32_t d, float eps) {
    __shared__ float scratch[32];
    const size_t row = (size_t)blockIdx.x * d;
    let_next_start();
    wait_for_previous();
    float sum = 0.0f;
    for (uint32_t i = threadIdx.x; i < d; i += kNormThreads) {
        const float v = x[row + i];
        sum = __fmaf_rn(v, v, sum);
    }
    const float scale = scale_of(block_reduce(sum, 0.0f, Add(), scratch), d, eps);
    for (uint32_t i = threadIdx.x; i < d; i += kNormThreads)
        y[row + i] = from_float<T>(__fmul_rn(__fmul_rn(x[row + i], scale), w[i]));
}

template <typename T> static int launch_norm(const pgd_k_norm *a, cudaStream_t stream) {
    T *const y = static_cast<T *>(a->y);
    const uint32_t pieces = a->d / kPiece;
    if (a->d % kPiece || pieces > kNormThreads * kNormMaxPieces)
        return launch_kernel(norm_row_any<T>, a->n, kNormThreads, 0, stream, a->x, a->w, y, a->d,
                             a->eps);
    const uint32_t each = ceil_div(pieces, kNormThreads);
    const uint32_t threads = ceil_div(ceil_div(pieces, each), 32) * 32;
    const auto kernel = each == 1   ? norm_row<T, 1>
                        : each == 2 ? norm_row<T, 2>
                        : each <= 4 ? norm_row<T, 4>
                                    : norm_row<T, 8>;
    return launch_kernel(kernel, a->n, threads, 0, stream, a->x, a->w, y, a->d, a->eps);
}

int pgd_k_run_norm(const pgd_k_norm *a, pgd_stream s) {
    if (a->n == 0) return 0;
    switch (a->type) {
    case PGD_BF16:
        return launch_norm<__nv_bfloat16>(a, s);
    case PGD_F16:
        return launch_norm<__half>(a, s);
    case PGD_F32:
        return launch_norm<float>(a, s);
    default:
        return cudaErrorInvalidValue;
    }
}
