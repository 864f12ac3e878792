/* KV memory as the engine sees it: page ids, never bytes. The pool counts owners of every page; the
 * radix tree keeps finished prefixes for reuse; the layout says how many pages fit in memory. The
 * engine thread owns all of it, nothing here locks, and nothing allocates after create.
 *
 * A page is in exactly one state, and free + cached + held + retiring == total at all times:
 *
 *   free ──alloc──► held (n >= 1 sequences) ──last unref──► free, or retiring while a step in
 * flight ▲   └──last unref, in the tree──► cached      may still touch it └── match ── cached
 * ──evict──► free
 *
 * The tree works at page grain: a node is a run of full pages, and its identity is its tokens under
 * its parent (a seeded hash finds the candidate, comparing the tokens decides). Every namespace has
 * a root of its own, so that one tenant's text can never be found by another's. A sequence locks
 * the node where its cached prefix ends; a lock counts on the whole path up to the root, and only
 * unlocked leaves are evicted, least recently used first. */
#ifndef PAGODA_KV_H
#define PAGODA_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/status.h"

#define PGD_NO_PAGE UINT32_MAX
#define PGD_NO_NODE UINT32_MAX

/* ---- layout ---- */

/* Bytes of one page: K and V of every layer. */
typedef struct pgd_kv_layout {
    uint32_t n_layers, n_kv_heads, head_dim, elem_bytes, page_tokens;
    uint64_t page_bytes;
} pgd_kv_layout;

/* Fill page_bytes from the other fields. Errors: PGD_E_INVALID when a field is 0, page_tokens is
 * not a power of two in 16..256, or the product overflows. Thread: any. */
pgd_status pgd_kv_layout_init(pgd_kv_layout *l, pgd_error *err);
/* How many whole pages kv_bytes hold, at most 2^31 - 1 (page ids travel as int32). */
uint32_t pgd_kv_layout_pages(const pgd_kv_layout *l, uint64_t kv_bytes);
/* The CPU default of --kv-cache-memory-bytes: a quarter of free memory, at most 4 GiB. */
uint64_t pgd_kv_default_bytes(uint64_t free_bytes);

/* ---- pool ---- */

typedef struct pgd_page_pool pgd_page_pool;

typedef struct pgd_page_pool_counts {
    uint32_t total, free, cached, held, retiring;
} pgd_page_pool_counts;

/* A pool of n_pages free pages. Owned by the caller. Errors: PGD_E_INVALID, PGD_E_NOMEM. */
pgd_status pgd_page_pool_create(pgd_page_pool **out, uint32_t n_pages, pgd_error *err);
void pgd_page_pool_destroy(pgd_page_pool **p);
/* Take a free page: it has one holder. PGD_NO_PAGE when none is free. Thread: engine. */
uint32_t pgd_page_pool_alloc(pgd_page_pool *p);
/* One more holder of a held or cached page. */
void pgd_page_pool_ref(pgd_page_pool *p, uint32_t page);
/* One holder less. A page without holders that is not in the tree is free once step `fence` has
 * passed (at once when it has). */
void pgd_page_pool_retire(pgd_page_pool *p, uint32_t page, uint64_t fence);
/* The tree takes a held page in, or drops it (then free unless held). Thread: engine. */
void pgd_page_pool_cache(pgd_page_pool *p, uint32_t page);
void pgd_page_pool_uncache(pgd_page_pool *p, uint32_t page);
/* Steps up to `step` have passed: retiring pages fenced by them are free. */
void pgd_page_pool_pass(pgd_page_pool *p, uint64_t step);
uint32_t pgd_page_pool_holders(const pgd_page_pool *p, uint32_t page);
bool pgd_page_pool_in_tree(const pgd_page_pool *p, uint32_t page);
void pgd_page_pool_get_counts(const pgd_page_pool *p, pgd_page_pool_counts *out);
/* Recount everything; holders[page] is what the sequences' tables say (NULL: not compared).
 * Errors: PGD_E_INTERNAL naming the page and the two counts. O(pages). */
pgd_status pgd_page_pool_check(const pgd_page_pool *p, const uint32_t *holders, pgd_error *err);

/* ---- radix tree ---- */

typedef struct pgd_radix pgd_radix;

/* Tokens of a sequence in two pieces (prompt and output), read as one array. Borrowed. */
typedef struct pgd_toks {
    const int32_t *head;
    uint32_t n_head;
    const int32_t *tail;
} pgd_toks;

/* An empty tree over the pool's pages (borrowed, must outlive the tree). seed keys the hashes.
 * Errors: PGD_E_INVALID (page_tokens), PGD_E_NOMEM. */
pgd_status pgd_radix_create(pgd_radix **out, pgd_page_pool *pool, uint32_t page_tokens,
                            uint64_t seed, pgd_error *err);
void pgd_radix_destroy(pgd_radix **r);

/* How many pages a match of at most max_pages would return; *n_idle of them are held by nobody now
 * (they stop being evictable when matched). Changes nothing. Thread: engine. O(pages). */
uint32_t pgd_radix_peek(const pgd_radix *r, const uint8_t ns[16], pgd_toks t, uint32_t max_pages,
                        uint32_t *n_idle);
/* Match the longest cached prefix of at most max_pages pages. Writes their ids to pages[], each
 * with one holder more, and locks the node where the match ends (*node, PGD_NO_NODE without a
 * match); the caller unlocks it. Returns the number of pages. Thread: engine. O(pages). */
uint32_t pgd_radix_match(pgd_radix *r, const uint8_t ns[16], pgd_toks t, uint32_t max_pages,
                         uint32_t *pages, uint32_t *node);
/* Insert pages[from..to) of a sequence whose first `from` pages end at *node (PGD_NO_NODE when from
 * is 0). Where the tree already has the same tokens under another page, the sequence takes that
 * page over: pages[i] is replaced and its own is retired at `fence`. Returns how many were
 * replaced; all of them lie in [*lo, *hi), which are widened. *node moves to the new end, its lock
 * too. Thread: engine, between steps. */
uint32_t pgd_radix_insert(pgd_radix *r, const uint8_t ns[16], pgd_toks t, uint32_t *pages,
                          uint32_t from, uint32_t to, uint64_t fence, uint32_t *node, uint32_t *lo,
                          uint32_t *hi);
/* Take back one lock of node and its path (PGD_NO_NODE: nothing). */
void pgd_radix_unlock(pgd_radix *r, uint32_t node);
/* Drop unlocked leaves, least recently used first and from the end of each run, until n pages that
 * nobody holds became free or nothing is left. Returns how many did. A namespace that becomes empty
 * is dropped. Thread: engine. */
uint32_t pgd_radix_evict(pgd_radix *r, uint32_t n);
/* Changes whenever pages enter or leave the tree: a peek stays true while it does not. */
uint64_t pgd_radix_version(const pgd_radix *r);
uint32_t pgd_radix_namespaces(const pgd_radix *r);
/* Pages in the tree, cached and held. */
uint32_t pgd_radix_pages(const pgd_radix *r);
/* Check structure, tokens, locks and the evictable set; locked[n] are the nodes that sequences hold
 * locks on (PGD_NO_NODE allowed). Errors: PGD_E_INTERNAL with what is wrong. O(nodes + pages). */
pgd_status pgd_radix_check(const pgd_radix *r, const uint32_t *locked, uint32_t n, pgd_error *err);

#endif
