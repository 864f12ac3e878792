/* The items of decode as a warp works through them: which one, which pages come next. Items are
 * claimed from a counter, except the first; all lanes of a warp call these functions together. */
#ifndef PAGODA_KERNELS_ATTN_ITEMS_CUH
#define PAGODA_KERNELS_ATTN_ITEMS_CUH

#include "attn.cuh"

constexpr uint32_t kAllLanes = 0xffffffff;

/* One item, as a warp sees it. */
struct Work {
    uint32_t seq, head, partial, whole;
    uint32_t q_start, n_new, rows, kv_start, kv_end;
    uint32_t unit, last;              /* units of this item */
    uint32_t first_chunk, last_chunk; /* of the sequence, in this launch's window */
    uint32_t chunk;
    const int32_t *table;
};

/* What a warp loads next; the same in all lanes but where a lane is named. Items open in the order
 * in which the warp works on them, so that the loads run ahead over their ends. */
struct Feed {
    uint32_t index;          /* item * n_kv_heads + kv head, from `total` on: no more */
    uint32_t total, started; /* items of all warps; those that were theirs at the start */
    uint32_t unit, last;
    uint32_t claim; /* with this unit the next item is claimed, ahead of its use */
    uint32_t base;  /* lane i: id is the page of unit base + i */
    int32_t id;
    const int32_t *table;
    const char *kv;  /* page 0 of this kv head */
    uint32_t next;   /* lane 0: the item claimed, perhaps on its way */
    uint32_t opened; /* how many so far; */
    uint32_t held;   /* lane i: the index of number i modulo 32 */
};

/* False when the keys of the item all lie before the window of this launch. */
__device__ __forceinline__ bool open_item(const AttnParams &p, uint32_t index, Work &w) {
    const uint4 *raw = reinterpret_cast<const uint4 *>(p.items + index / p.n_kv_heads);
    const uint4 a = raw[0],
                b = raw[1]; /* seq, chunk, partial, whole; slot, q_start, n_new, kv_start */
    w.head = index % p.n_kv_heads;
    w.seq = a.x;
    w.partial = a.z;
    w.whole = a.w;
    w.q_start = b.y;
    w.n_new = b.z;
    w.rows = b.z * p.group;
    w.kv_start = b.w;
    w.kv_end = b.w + b.z;
    w.table = p.page_table + (uint64_t)b.x * p.max_pages;
    const uint32_t first_unit = attn_first_key(w.kv_start, p.window) / kUnit;
    const uint32_t last_unit = (w.kv_end - 1) / kUnit;
    w.first_chunk = first_unit / kChunkUnits;
    w.last_chunk = last_unit / kChunkUnits;
    w.chunk = w.whole ? w.first_chunk : a.y;
    w.unit = max(w.chunk * kChunkUnits, first_unit);
    w.last = w.whole ? last_unit : min(w.chunk * kChunkUnits + kChunkUnits - 1, last_unit);
    return w.chunk >= w.first_chunk;
}

/* The next item that no warp has, by lane 0. Each warp that has a first item claims until there is
 * none: `total` claims in all, after which the counter is zero again. */
__device__ __forceinline__ uint32_t claim_item(const AttnParams &p, const Feed &f) {
    return threadIdx.x % 32 ? 0 : f.started + atomicInc(p.cursor, f.total - 1);
}

/* Open item `index` or, if it has no keys, the next claimed that does, if there is one. */
__device__ __forceinline__ void feed_open(const AttnParams &p, Feed &f, uint32_t index,
                                          uint32_t head_bytes) {
    const uint32_t lane = threadIdx.x % 32;
    Work w;
    while (index < f.total && !open_item(p, index, w))
        index = __shfl_sync(kAllLanes, claim_item(p, f), 0);
    f.index = index;
    if (lane == f.opened++ % 32) f.held = index;
    if (index >= f.total) return;
    f.unit = f.base = w.unit;
    f.last = w.last;
    f.claim = w.last > w.unit ? w.last - 1 : w.last;
    f.table = w.table;
    f.kv = p.kv + (uint64_t)w.head * 2 * head_bytes;
    f.id = f.base + lane <= f.last ? f.table[f.base + lane] : 0;
}

/* Address of the next unit's K (its V follows), NULL after the last. */
__device__ __forceinline__ const char *feed_next(const AttnParams &p, Feed &f,
                                                 uint32_t head_bytes) {
    if (f.index >= f.total) return nullptr;
    if (f.unit == f.claim) f.next = claim_item(p, f);
    if (f.unit - f.base == 32) {
        f.base = f.unit;
        const uint32_t mine = f.base + threadIdx.x % 32;
        f.id = mine <= f.last ? f.table[mine] : 0;
    }
    const int32_t id = __shfl_sync(kAllLanes, f.id, f.unit - f.base);
    const char *const src = f.kv + (uint64_t)id * p.page_bytes;
    if (f.unit++ == f.last) feed_open(p, f, __shfl_sync(kAllLanes, f.next, 0), head_bytes);
    return src;
}

#endif
