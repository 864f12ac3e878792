/* How many KV pages fit in a number of bytes. Arithmetic only: who allocates the memory is the
 * device's business. Today there is one KV group (full attention); a page holds K and V of all
 * layers for page_tokens positions. Thread: any. Does not look at the machine: the caller measures
 * free memory. */
#include "pagoda/kv.h"

#include <stddef.h>

#include "pagoda/mem.h"

pgd_status pgd_kv_layout_init(pgd_kv_layout *l, pgd_error *err) {
    const uint32_t p = l->page_tokens;
    if (p < 16 || p > 256 || (p & (p - 1)) != 0)
        return pgd_fail(err, PGD_E_INVALID, "KV block size %u: want a power of two from 16 to 256",
                        p);
    const size_t factor[] = {l->n_layers, l->n_kv_heads, l->head_dim, l->elem_bytes, p};
    size_t bytes = 2; /* K and V */
    for (size_t i = 0; i < sizeof factor / sizeof factor[0]; i++)
        if (factor[i] == 0 || !pgd_mul_size(bytes, factor[i], &bytes))
            return pgd_fail(err, PGD_E_INVALID,
                            "KV layout: %u layers x %u heads x %u x %u bytes x %u tokens is not a "
                            "size",
                            l->n_layers, l->n_kv_heads, l->head_dim, l->elem_bytes, p);
    l->page_bytes = bytes;
    return PGD_OK;
}

uint32_t pgd_kv_layout_pages(const pgd_kv_layout *l, uint64_t kv_bytes) {
    const uint64_t n = l->page_bytes ? kv_bytes / l->page_bytes : 0;
    return n > INT32_MAX ? INT32_MAX : (uint32_t)n;
}

uint64_t pgd_kv_default_bytes(uint64_t free_bytes) {
    const uint64_t cap = (uint64_t)4 << 30, quarter = free_bytes / 4;
    return quarter < cap ? quarter : cap;
}
