/* The layout of a KV page: 64 positions of one layer.
 *
 * page  = for each kv head: K, then V
 * K, V  = column blocks of the head dimension: as many of 64 as fit, then one of 32 and one of 16
 *         where the rest asks for them (80 = 64 + 16, 96 = 64 + 32)
 * block = [64 positions][width] of bf16 or f16, the 16-byte chunks of a row permuted by the
 * position as the 128-, 64- or 32-byte swizzle of Hopper's shared memory does
 *
 * So K or V of one head is one contiguous bulk copy whose image in shared memory is what ldmatrix
 * reads without bank conflicts and what wgmma descriptors of the same swizzle mode describe. */
#ifndef PAGODA_KERNELS_PAGE_CUH
#define PAGODA_KERNELS_PAGE_CUH

#include <stdint.h>

constexpr uint32_t kPageTokens = 64;
constexpr uint32_t kPageElementBytes = 2;

/* Bytes of K (or V) of one head. */
__host__ __device__ constexpr uint32_t page_head_bytes(uint32_t head_dim) {
    return kPageTokens * head_dim * kPageElementBytes;
}

__host__ __device__ constexpr uint64_t page_layer_bytes(uint32_t n_kv_heads, uint32_t head_dim) {
    return 2ULL * n_kv_heads * page_head_bytes(head_dim);
}

/* Byte offset of K of a head in the page of a layer; V follows page_head_bytes later. */
__host__ __device__ constexpr uint32_t page_head_offset(uint32_t head, uint32_t head_dim) {
    return head * 2 * page_head_bytes(head_dim);
}

/* Byte offset of the 16-byte chunk that holds elements [8 chunk, 8 chunk + 8) of a position, within
 * K or V of a head. head_dim is a multiple of 16. */
__host__ __device__ constexpr uint32_t page_chunk_offset(uint32_t head_dim, uint32_t token,
                                                         uint32_t chunk) {
    uint32_t base = 0, column = chunk * 8, width = 64;
    const uint32_t whole = head_dim / 64 * 64;
    if (column < whole) {
        base = column / 64 * (kPageTokens * 64 * kPageElementBytes);
        column %= 64;
    } else {
        base = whole * kPageTokens * kPageElementBytes;
        column -= whole;
        const uint32_t rest = head_dim - whole;
        width = rest >= 32 ? 32 : 16;
        if (column >= width) { /* 48 = 32 + 16 */
            base += width * kPageTokens * kPageElementBytes;
            column -= width;
            width = 16;
        }
    }
    const uint32_t c = column / 8;
    const uint32_t twist = width == 64   ? token & 7
                           : width == 32 ? (token >> 1) & 3
                                         : (token >> 2) & 1;
    return base + token * width * kPageElementBytes + (c ^ twist) * 16;
}

#endif
