/* The radix tree's private parts, shared by its four files. Nodes and pages are indices into
 * arrays sized at create. */
#ifndef PGD_KV_RADIX_INT_H
#define PGD_KV_RADIX_INT_H

#include "pagoda/kv.h"

typedef struct radix_node {
    uint64_t key;                  /* hash under which the table finds it */
    uint64_t last_use;             /* tick of the last lock or unlock */
    uint32_t parent;               /* PGD_NO_NODE: a root */
    uint32_t first, last, n_pages; /* run, linked by next[]/prev[]; a root has none */
    uint32_t n_children;
    uint32_t lock;     /* locks held on this node or below it */
    uint32_t heap_pos; /* place among the evictable leaves, or PGD_NO_NODE */
    bool used;
    uint8_t ns[16]; /* of a root */
} radix_node;

struct pgd_radix {
    pgd_page_pool *pool;
    uint32_t page_tokens, n_pages;
    uint32_t n_in; /* pages in the tree */
    uint64_t seed, tick, version;
    int32_t *tok;          /* [n_pages][page_tokens]: tokens of the pages in the tree */
    uint32_t *next, *prev; /* [n_pages]: neighbours within a run */
    radix_node *node;      /* [n_nodes] */
    uint32_t n_nodes, n_free, n_roots;
    uint32_t *free_node; /* stack of unused nodes */
    uint32_t *slot;      /* [mask + 1] hash table: node + 1, 0 is empty */
    uint32_t mask;
    uint32_t *heap, n_heap; /* evictable leaves, least recently used first */
};

/* radix_table.c: (parent, first page's tokens) → node, and namespace → root. */
uint64_t pgd_radix_key(const pgd_radix *r, uint32_t parent, const int32_t *page_tok);
uint64_t pgd_radix_root_key(const pgd_radix *r, const uint8_t ns[16]);
void pgd_radix_table_add(pgd_radix *r, uint32_t node);
void pgd_radix_table_remove(pgd_radix *r, uint32_t node);
uint32_t pgd_radix_find_child(const pgd_radix *r, uint32_t parent, const int32_t *page_tok);
uint32_t pgd_radix_find_root(const pgd_radix *r, const uint8_t ns[16]);

/* radix_evict.c: the heap of unlocked leaves. Lower sorts first by last_use, then by index. */
void pgd_radix_heap_add(pgd_radix *r, uint32_t node);
void pgd_radix_heap_remove(pgd_radix *r, uint32_t node);
bool pgd_radix_is_evictable(const pgd_radix *r, uint32_t node);
void pgd_radix_drop_root_if_empty(pgd_radix *r, uint32_t node);

#endif
