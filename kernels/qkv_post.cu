/* What follows the qkv projection: split, norm and rotate, and write KV pages; and copies of pages.
 *
 * qkv [n, (Hq + 2 Hkv) D] f32. Of each q and k head: x = x / sqrt(mean(x^2) + eps) * norm when
 * there is a norm, then for i < rotary_dim / 2 = half
 *   x[i], x[i + half] = x[i] cos_i - x[i + half] sin_i, x[i + half] cos_i + x[i] sin_i
 * with row `pos` of the tables. q is rounded to bf16 or f16 [n, Hq, D]; k and v go, rounded, into
 * the page of the token's position, in the layout of page.cuh. A token whose tok_seq is -1 leaves
 * no trace.
 *
 * Bytes of a token: 4 (Hq + 2 Hkv) D read, 2 (Hq + 2 Hkv) D written; the table rows are shared.
 *
 * Mapping: a thread makes 8 elements of one head, one 16-byte store. The D / 8 threads of a head
 * (rounded up to a power of two, at most 32) lie side by side in a warp and sum squares by a
 * butterfly. A thread reads the 8 elements that its own rotate with a second time, from the L1
 * cache: an exchange through shuffles would need half to be a multiple of 8. blockIdx.x is the
 * token; blockIdx.y counts groups of heads, so that one token alone spreads over several SMs.
 *
 * Measured (H200, 2026-11-24, reads 4.53 TB/s): 22.0 us for 2048 tokens, 0.76 of reads counting
 * bytes read and written; 2.5 us for 64, 1.5 for one.
 *
 * kv_copy moves the first n_tokens positions of pages, 16 bytes a thread and turn, for all layers:
 * 2 n_copy n_layers 2 Hkv n_tokens D 2 bytes. Copies of one step do not depend on each other. */
#include "cluster.cuh"
#include "launch.h"
#include "page.cuh"

constexpr uint32_t kThreads = 256;
constexpr uint32_t kChunk = 8; /* elements of a 16-byte chunk */

struct Chunk {
    float v[kChunk];
};

__device__ __forceinline__ Chunk load_chunk(const float *p) {
    const float4 a = reinterpret_cast<const float4 *>(p)[0];
    const float4 b = reinterpret_cast<const float4 *>(p)[1];
    return {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
}

template <typename T> __device__ __forceinline__ void store_chunk(void *p, const Chunk &x) {
    T e[kChunk];
#pragma unroll
    for (uint32_t i = 0; i < kChunk; i++)
        e[i] = from_float<T>(x.v[i]);
    uint4 raw;
    memcpy(&raw, e, sizeof raw);
    *reinterpret_cast<uint4 *>(p) = raw;
}

/* Elements [at, at + 8) of a q or k head at x, rotated. scale: of its norm, weights w, or NULL. */
__device__ __forceinline__ void rotate(const pgd_k_qkv_post &a, Chunk *own, const float *x,
                                       const float *w, float scale, uint32_t at, int32_t pos) {
    const uint32_t half = a.rotary_dim / 2;
    const float *cos_row = a.cos + (size_t)pos * half, *sin_row = a.sin + (size_t)pos * half;
#pragma unroll
    for (uint32_t i = 0; i < kChunk; i++) {
        const uint32_t e = at + i;
        if (e >= 2 * half) break;
        const bool low = e < half;
        const uint32_t other = low ? e + half : e - half, angle = low ? e : other;
        float partner = x[other];
        if (w) partner = __fmul_rn(__fmul_rn(partner, scale), w[other]);
        const float turned = __fmul_rn(partner, sin_row[angle]);
        own->v[i] = __fmaf_rn(own->v[i], cos_row[angle], low ? -turned : turned);
    }
}

/* The same where half is a multiple of 8, so that own and partner elements lie on one side each. */
__device__ __forceinline__ void rotate_chunk(const pgd_k_qkv_post &a, Chunk *own, const float *x,
                                             const float *w, float scale, uint32_t at,
                                             int32_t pos) {
    const uint32_t half = a.rotary_dim / 2;
    if (at >= 2 * half) return;
    const bool low = at < half;
    const uint32_t other = low ? at + half : at - half, angle = low ? at : other;
    Chunk partner = load_chunk(x + other);
    const Chunk c = load_chunk(a.cos + (size_t)pos * half + angle);
    const Chunk s = load_chunk(a.sin + (size_t)pos * half + angle);
    if (w) {
        const Chunk gain = load_chunk(w + other);
#pragma unroll
        for (uint32_t i = 0; i < kChunk; i++)
            partner.v[i] = __fmul_rn(__fmul_rn(partner.v[i], scale), gain.v[i]);
    }
#pragma unroll
    for (uint32_t i = 0; i < kChunk; i++) {
        const float turned = __fmul_rn(partner.v[i], s.v[i]);
        own->v[i] = __fmaf_rn(own->v[i], c.v[i], low ? -turned : turned);
    }
}

/* kLanes: threads of a head, D / 8 rounded up to a power of two. */
template <typename T, uint32_t kLanes>
static __global__ void __launch_bounds__(kThreads) qkv_post(const pgd_k_qkv_post a) {
    const uint32_t token = blockIdx.x, n_heads = a.n_heads + 2 * a.n_kv_heads;
    const uint32_t head = blockIdx.y * (kThreads / kLanes) + threadIdx.x / kLanes;
    const uint32_t at = threadIdx.x % kLanes * kChunk;
    const bool in_head = head < n_heads && at < a.head_dim;
    let_next_start();
    wait_for_previous();
    const int32_t seq = a.tok_seq[token];
    if (seq < 0) return; /* the whole block */
    const int32_t pos = a.pos[token];
    const float *x = a.qkv + ((size_t)token * n_heads + (in_head ? head : 0)) * a.head_dim;
    Chunk own = {};
    if (in_head) own = load_chunk(x + at);
    const bool is_q = head < a.n_heads, is_v = head >= a.n_heads + a.n_kv_heads;
    const float *const w = is_v ? nullptr : is_q ? a.q_norm : a.k_norm;
    float scale = 1.0f;
    if (a.q_norm || a.k_norm) { /* the same for all lanes */
        float sum = 0.0f;
#pragma unroll
        for (uint32_t i = 0; i < kChunk; i++)
            sum = __fmaf_rn(own.v[i], own.v[i], sum);
#pragma unroll
        for (uint32_t step = kLanes / 2; step; step /= 2)
            sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, step));
        const float mean = __fdiv_rn(sum, (float)a.head_dim);
        scale = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, a.eps)));
    }
    if (!in_head) return;
    if (w) {
        const Chunk gain = load_chunk(w + at);
#pragma unroll
        for (uint32_t i = 0; i < kChunk; i++)
            own.v[i] = __fmul_rn(__fmul_rn(own.v[i], scale), gain.v[i]);
    }
    if (!is_v) {
        if (a.rotary_dim % (2 * kChunk) == 0)
            rotate_chunk(a, &own, x, w, scale, at, pos);
        else
            rotate(a, &own, x, w, scale, at, pos);
    }
    if (is_q) {
        T *q = static_cast<T *>(a.q) + ((size_t)token * a.n_heads + head) * a.head_dim;
        store_chunk<T>(q + at, own);
        return;
    }
    const uint32_t kv_head = (head - a.n_heads) % a.n_kv_heads;
    const int32_t page =
        a.page_table[(size_t)a.seq[seq].slot * a.max_pages + (uint32_t)pos / kPageTokens];
    unsigned char *p = static_cast<unsigned char *>(a.kv) + (size_t)page * a.page_bytes;
    p += page_head_offset(kv_head, a.head_dim) + (is_v ? page_head_bytes(a.head_dim) : 0);
    p += page_chunk_offset(a.head_dim, (uint32_t)pos % kPageTokens, at / kChunk);
    store_chunk<T>(p, own);
}

template <typename T> static int launch_qkv_post(const pgd_k_qkv_post *a, cudaStream_t stream) {
    const uint32_t chunks = a->head_dim / kChunk, heads = a->n_heads + 2 * a->n_kv_heads;
    uint32_t lanes = 2;
    while (lanes < chunks)
        lanes *= 2;
    const auto kernel = lanes == 2    ? qkv_post<T, 2>
                        : lanes == 4  ? qkv_post<T, 4>
                        : lanes == 8  ? qkv_post<T, 8>
                        : lanes == 16 ? qkv_post<T, 16>
                                      : qkv_post<T, 32>;
    return launch_kernel(kernel, dim3(a->n, ceil_div(heads * lanes, kThreads)), kThreads, 0, stream,
                         *a);
}

int pgd_k_run_qkv_post(const pgd_k_qkv_post *a, pgd_stream s) {
    if (a->head_dim == 0 || a->head_dim % 16 || a->head_dim > 256 || a->rotary_dim % 2 ||
        a->rotary_dim > a->head_dim || a->page_bytes % 16)
        return cudaErrorInvalidValue;
    if (a->n == 0) return 0;
    switch (a->type) {
    case PGD_BF16:
        return launch_qkv_post<__nv_bfloat16>(a, s);
    case PGD_F16:
        return launch_qkv_post<__half>(a, s);
    default:
        return cudaErrorInvalidValue;
    }
}

/* --- kv_copy --- */

/* Position of the page to which 16-byte unit u of K or V of a head belongs. */
__device__ __forceinline__ uint32_t token_of_unit(uint32_t head_dim, uint32_t u) {
    const uint32_t whole = head_dim / 64 * (kPageTokens * 8), rest = head_dim % 64;
    if (u < whole) return u / 8 % kPageTokens;
    u -= whole;
    if (rest < 32) return u / 2;
    return u < kPageTokens * 4 ? u / 4 : (u - kPageTokens * 4) / 2;
}

static __global__ void __launch_bounds__(kThreads) kv_copy(const pgd_k_kv_copy a) {
    let_next_start();
    wait_for_previous();
    const pgd_plan_copy copy = a.copy[blockIdx.z];
    const size_t layer = (size_t)blockIdx.y * a.n_pages;
    unsigned char *kv = static_cast<unsigned char *>(a.kv);
    const uint4 *from = reinterpret_cast<const uint4 *>(kv + (layer + copy.src) * a.page_bytes);
    uint4 *to = reinterpret_cast<uint4 *>(kv + (layer + copy.dst) * a.page_bytes);
    const uint32_t head_units = page_head_bytes(a.head_dim) / 16;
    const uint32_t units = 2 * a.n_kv_heads * head_units;
    for (uint32_t u = blockIdx.x * kThreads + threadIdx.x; u < units; u += gridDim.x * kThreads)
        if (token_of_unit(a.head_dim, u % head_units) < copy.n_tokens) to[u] = from[u];
}

int pgd_k_run_kv_copy(const pgd_k_kv_copy *a, pgd_stream s) {
    if (a->head_dim == 0 || a->head_dim % 16 || a->page_bytes % 16) return cudaErrorInvalidValue;
    if (a->n_copy == 0 || a->n_layers == 0) return 0;
    const uint32_t units = 2 * a->n_kv_heads * page_head_bytes(a->head_dim) / 16;
    const dim3 grid(ceil_div(units, kThreads * 4), a->n_layers, a->n_copy);
    return launch_kernel(kv_copy, grid, kThreads, 0, s, *a);
}
