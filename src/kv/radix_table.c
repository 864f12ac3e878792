/* The tree's one hash table: a child is found by its parent and the tokens of its first page, a
 * root by its namespace. The 64-bit hash is seeded per process and only narrows the search:
 * equality is always decided on the tokens (or on all 16 bytes of the namespace), so a collision
 * costs a comparison and never shares a page. Linear probing at most a quarter full, deletion
 * shifts back (no tombstones, so probes stay short however long the server runs). Thread: engine.
 * Never grows: the number of nodes is bounded by the number of pages. */
#include "radix_int.h"

#include <string.h>

#include "pagoda/hash.h"

uint64_t pgd_radix_key(const pgd_radix *r, uint32_t parent, const int32_t *page_tok) {
    /* The parent enters through the seed: equal pages under different parents spread out. */
    const uint64_t seed = r->seed ^ ((uint64_t)parent + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return pgd_hash64(page_tok, (size_t)r->page_tokens * sizeof *page_tok, seed);
}

uint64_t pgd_radix_root_key(const pgd_radix *r, const uint8_t ns[16]) {
    return pgd_hash64(ns, 16, r->seed);
}

void pgd_radix_table_add(pgd_radix *r, uint32_t node) {
    uint32_t i = (uint32_t)r->node[node].key & r->mask;
    while (r->slot[i])
        i = (i + 1) & r->mask;
    r->slot[i] = node + 1;
}

void pgd_radix_table_remove(pgd_radix *r, uint32_t node) {
    uint32_t i = (uint32_t)r->node[node].key & r->mask;
    while (r->slot[i] != node + 1) {
        PGD_ASSERT(r->slot[i] != 0);
        i = (i + 1) & r->mask;
    }
    /* Shift back whoever probed past the hole. */
    for (uint32_t j = (i + 1) & r->mask; r->slot[j]; j = (j + 1) & r->mask) {
        const uint32_t home = (uint32_t)r->node[r->slot[j] - 1].key & r->mask;
        if (((j - home) & r->mask) < ((j - i) & r->mask)) continue;
        r->slot[i] = r->slot[j];
        i = j;
    }
    r->slot[i] = 0;
}

uint32_t pgd_radix_find_child(const pgd_radix *r, uint32_t parent, const int32_t *page_tok) {
    const uint64_t key = pgd_radix_key(r, parent, page_tok);
    const size_t bytes = (size_t)r->page_tokens * sizeof *page_tok;
    for (uint32_t i = (uint32_t)key & r->mask; r->slot[i]; i = (i + 1) & r->mask) {
        const uint32_t id = r->slot[i] - 1;
        const radix_node *n = &r->node[id];
        if (n->key == key && n->parent == parent && n->n_pages > 0 &&
            memcmp(&r->tok[(size_t)n->first * r->page_tokens], page_tok, bytes) == 0)
            return id;
    }
    return PGD_NO_NODE;
}

uint32_t pgd_radix_find_root(const pgd_radix *r, const uint8_t ns[16]) {
    const uint64_t key = pgd_radix_root_key(r, ns);
    for (uint32_t i = (uint32_t)key & r->mask; r->slot[i]; i = (i + 1) & r->mask) {
        const uint32_t id = r->slot[i] - 1;
        const radix_node *n = &r->node[id];
        if (n->key == key && n->parent == PGD_NO_NODE && memcmp(n->ns, ns, sizeof n->ns) == 0)
            return id;
    }
    return PGD_NO_NODE;
}
