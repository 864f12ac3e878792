/* The prefix tree: create, peek, match and insert (locks and eviction: radix_evict.c; lookup:
 * radix_table.c; checks: radix_check.c). Owns the tokens of cached pages and the runs; the pool
 * counts holders. How the pages of a running sequence belong, by position:
 *
 *   0            n_tree * P                n_kv             n_known
 *   | in the tree, locked  | own, committed  | own, in flight |
 *
 * Invariants: two children of one parent never start with equal tokens, hence a page of tokens is
 * in the tree once; a sequence that locks a node holds every page on its path; nothing allocates
 * after create, since a node has at least one page and pages are counted. Thread: engine. Does not
 * keep partial pages: what is shared below page grain is copied by the engine (n > 1). */
#include "radix_int.h"

#include <string.h>

#include "pagoda/mem.h"

enum { MAX_PAGE_TOKENS = 256 };

/* Tokens of page i of a sequence: in place, or gathered into tmp when the page straddles. */
static const int32_t *page_of(const pgd_radix *r, pgd_toks t, uint32_t i, int32_t *tmp) {
    const uint32_t p = r->page_tokens, begin = i * p;
    if (begin + p <= t.n_head) return t.head + begin;
    if (begin >= t.n_head) return t.tail + (begin - t.n_head);
    const uint32_t k = t.n_head - begin;
    memcpy(tmp, t.head + begin, k * sizeof *tmp);
    memcpy(tmp + k, t.tail, (p - k) * sizeof *tmp);
    return tmp;
}

static bool page_equals(const pgd_radix *r, uint32_t page, const int32_t *tok) {
    return memcmp(&r->tok[(size_t)page * r->page_tokens], tok, r->page_tokens * sizeof *tok) == 0;
}

static uint32_t take_node(pgd_radix *r, uint32_t parent) {
    PGD_ASSERT(r->n_free > 0);
    const uint32_t id = r->free_node[--r->n_free];
    r->node[id] = (radix_node){.parent = parent,
                               .first = PGD_NO_PAGE,
                               .last = PGD_NO_PAGE,
                               .heap_pos = PGD_NO_NODE,
                               .last_use = r->tick,
                               .used = true};
    return id;
}

static void index_node(pgd_radix *r, uint32_t id) {
    radix_node *n = &r->node[id];
    n->key = pgd_radix_key(r, n->parent, &r->tok[(size_t)n->first * r->page_tokens]);
    pgd_radix_table_add(r, id);
}

/* Cut a node after its first k pages. The new upper part takes its place under the parent; the
 * lower part keeps its index, so that locks and children of it stay where they are. Returns the
 * upper part, whose lock count is the same. */
static uint32_t split(pgd_radix *r, uint32_t id, uint32_t k) {
    const uint32_t up_id = take_node(r, r->node[id].parent);
    radix_node *low = &r->node[id], *up = &r->node[up_id];
    PGD_ASSERT(k > 0 && k < low->n_pages);
    uint32_t last = low->first;
    for (uint32_t i = 1; i < k; i++)
        last = r->next[last];
    up->first = low->first;
    up->last = last;
    up->n_pages = k;
    up->n_children = 1;
    up->lock = low->lock;
    up->last_use = low->last_use;
    pgd_radix_table_remove(r, id);
    low->first = r->next[last];
    low->n_pages -= k;
    low->parent = up_id;
    r->next[last] = r->prev[low->first] = PGD_NO_PAGE;
    index_node(r, up_id);
    index_node(r, id);
    return up_id;
}

/* Put a held page at the end of a node's run. */
static void append_page(pgd_radix *r, uint32_t id, uint32_t page, const int32_t *tok) {
    radix_node *n = &r->node[id];
    memcpy(&r->tok[(size_t)page * r->page_tokens], tok, r->page_tokens * sizeof *tok);
    r->prev[page] = n->last;
    r->next[page] = PGD_NO_PAGE;
    if (n->last == PGD_NO_PAGE)
        n->first = page;
    else
        r->next[n->last] = page;
    n->last = page;
    n->n_pages++;
    pgd_page_pool_cache(r->pool, page);
    r->n_in++;
    r->version++;
}

static void lock_one(pgd_radix *r, uint32_t id) {
    radix_node *n = &r->node[id];
    if (n->heap_pos != PGD_NO_NODE) pgd_radix_heap_remove(r, id);
    n->lock++;
    n->last_use = r->tick;
}

static bool alloc_arrays(pgd_radix *r) {
    const size_t n = r->n_pages, cap = r->n_nodes;
    size_t n_tok, n_slot = 64;
    while (n_slot < 4 * cap)
        n_slot *= 2;
    if (!pgd_mul_size(n, r->page_tokens, &n_tok)) return false;
    r->mask = (uint32_t)(n_slot - 1);
    r->tok = pgd_calloc(n_tok, sizeof *r->tok);
    r->next = pgd_calloc(n, sizeof *r->next);
    r->prev = pgd_calloc(n, sizeof *r->prev);
    r->node = pgd_calloc(cap, sizeof *r->node);
    r->free_node = pgd_calloc(cap, sizeof *r->free_node);
    r->heap = pgd_calloc(cap, sizeof *r->heap);
    r->slot = pgd_calloc(n_slot, sizeof *r->slot);
    return r->tok && r->next && r->prev && r->node && r->free_node && r->heap && r->slot;
}

pgd_status pgd_radix_create(pgd_radix **out, pgd_page_pool *pool, uint32_t page_tokens,
                            uint64_t seed, pgd_error *err) {
    pgd_page_pool_counts c;
    pgd_page_pool_get_counts(pool, &c);
    if (page_tokens == 0 || page_tokens > MAX_PAGE_TOKENS || c.total > UINT32_MAX / 16)
        return pgd_fail(err, PGD_E_INVALID, "prefix tree over %u pages of %u tokens: not possible",
                        c.total, page_tokens);
    pgd_radix *r = pgd_calloc(1, sizeof *r);
    if (r) {
        r->pool = pool;
        r->page_tokens = page_tokens;
        r->n_pages = c.total;
        r->seed = seed;
        /* Each node but a root has a page; each root has a child; an insert may make a root and
         * split a node before its first page arrives. */
        r->n_nodes = 2 * c.total + 2;
    }
    if (!r || !alloc_arrays(r)) {
        pgd_radix_destroy(&r);
        return pgd_fail(err, PGD_E_NOMEM, "prefix tree over %u pages: out of memory", c.total);
    }
    for (uint32_t i = r->n_nodes; i-- > 0;)
        r->free_node[r->n_free++] = i;
    *out = r;
    return PGD_OK;
}

void pgd_radix_destroy(pgd_radix **out) {
    pgd_radix *r = *out;
    if (!r) return;
    pgd_free(r->tok);
    pgd_free(r->next);
    pgd_free(r->prev);
    pgd_free(r->node);
    pgd_free(r->free_node);
    pgd_free(r->heap);
    pgd_free(r->slot);
    pgd_free(r);
    *out = NULL;
}

/* Follow child `id` while its pages equal pages [i, max) of t. Returns how many do (>= 1: the
 * lookup compared the first); ids go to out unless NULL. */
static uint32_t follow(const pgd_radix *r, uint32_t id, pgd_toks t, uint32_t i, uint32_t max,
                       uint32_t *out) {
    int32_t tmp[MAX_PAGE_TOKENS];
    uint32_t k = 0;
    for (uint32_t page = r->node[id].first; page != PGD_NO_PAGE && i + k < max;
         page = r->next[page], k++) {
        if (k > 0 && !page_equals(r, page, page_of(r, t, i + k, tmp))) break;
        if (out) out[i + k] = page;
    }
    return k;
}

uint32_t pgd_radix_peek(const pgd_radix *r, const uint8_t ns[16], pgd_toks t, uint32_t max_pages,
                        uint32_t *n_idle) {
    int32_t tmp[MAX_PAGE_TOKENS];
    uint32_t i = 0, at = max_pages ? pgd_radix_find_root(r, ns) : PGD_NO_NODE;
    *n_idle = 0;
    while (at != PGD_NO_NODE && i < max_pages) {
        at = pgd_radix_find_child(r, at, page_of(r, t, i, tmp));
        if (at == PGD_NO_NODE) break;
        const uint32_t k = follow(r, at, t, i, max_pages, NULL);
        uint32_t page = r->node[at].first;
        for (uint32_t j = 0; j < k; j++, page = r->next[page])
            *n_idle += pgd_page_pool_holders(r->pool, page) == 0;
        i += k;
        if (k < r->node[at].n_pages) break;
    }
    return i;
}

uint32_t pgd_radix_match(pgd_radix *r, const uint8_t ns[16], pgd_toks t, uint32_t max_pages,
                         uint32_t *pages, uint32_t *node) {
    int32_t tmp[MAX_PAGE_TOKENS];
    uint32_t i = 0, at = max_pages ? pgd_radix_find_root(r, ns) : PGD_NO_NODE;
    *node = PGD_NO_NODE;
    while (at != PGD_NO_NODE && i < max_pages) {
        uint32_t child = pgd_radix_find_child(r, at, page_of(r, t, i, tmp));
        if (child == PGD_NO_NODE) break;
        const uint32_t k = follow(r, child, t, i, max_pages, pages);
        const bool whole = k == r->node[child].n_pages;
        if (!whole) child = split(r, child, k);
        i += k;
        at = child;
        if (!whole) break;
    }
    if (i == 0) return 0;
    *node = at;
    r->tick++;
    for (; at != PGD_NO_NODE; at = r->node[at].parent)
        lock_one(r, at);
    for (uint32_t k = 0; k < i; k++)
        pgd_page_pool_ref(r->pool, pages[k]);
    return i;
}

/* The sequence's page i is already in the tree as `page`: take that one, retire its own. */
static uint32_t repoint(pgd_radix *r, uint32_t *pages, uint32_t i, uint32_t page, uint64_t fence,
                        uint32_t *lo, uint32_t *hi) {
    if (pages[i] == page) return 0;
    pgd_page_pool_ref(r->pool, page);
    pgd_page_pool_retire(r->pool, pages[i], fence);
    pages[i] = page;
    if (i < *lo) *lo = i;
    if (i + 1 > *hi) *hi = i + 1;
    return 1;
}

static uint32_t root_of(pgd_radix *r, const uint8_t ns[16]) {
    uint32_t id = pgd_radix_find_root(r, ns);
    if (id == PGD_NO_NODE) {
        id = take_node(r, PGD_NO_NODE);
        memcpy(r->node[id].ns, ns, sizeof r->node[id].ns);
        r->node[id].key = pgd_radix_root_key(r, ns);
        pgd_radix_table_add(r, id);
        r->n_roots++;
    }
    lock_one(r, id);
    return id;
}

/* Hang pages [i, to) below `at`, which has no child that starts with them. A leaf that only this
 * sequence locks simply grows: another locker would not hold the new pages. */
static uint32_t hang(pgd_radix *r, uint32_t at, pgd_toks t, const uint32_t *pages, uint32_t i,
                     uint32_t to) {
    int32_t tmp[MAX_PAGE_TOKENS];
    const radix_node *n = &r->node[at];
    const bool grow = n->parent != PGD_NO_NODE && n->n_children == 0 && n->lock == 1;
    if (!grow) {
        const uint32_t child = take_node(r, at);
        r->node[at].n_children++;
        r->node[child].lock = 1;
        at = child;
    }
    for (uint32_t k = i; k < to; k++)
        append_page(r, at, pages[k], page_of(r, t, k, tmp));
    if (!grow) index_node(r, at);
    return at;
}

uint32_t pgd_radix_insert(pgd_radix *r, const uint8_t ns[16], pgd_toks t, uint32_t *pages,
                          uint32_t from, uint32_t to, uint64_t fence, uint32_t *node, uint32_t *lo,
                          uint32_t *hi) {
    int32_t tmp[MAX_PAGE_TOKENS];
    PGD_ASSERT((from == 0) == (*node == PGD_NO_NODE) && from <= to);
    if (from == to) return 0;
    r->tick++;
    uint32_t at = from == 0 ? root_of(r, ns) : *node, n_dup = 0, i = from;
    while (i < to) {
        uint32_t child = pgd_radix_find_child(r, at, page_of(r, t, i, tmp));
        if (child == PGD_NO_NODE) {
            at = hang(r, at, t, pages, i, to);
            break;
        }
        const uint32_t k = follow(r, child, t, i, to, NULL);
        uint32_t page = r->node[child].first;
        for (uint32_t j = 0; j < k; j++, page = r->next[page])
            n_dup += repoint(r, pages, i + j, page, fence, lo, hi);
        if (k < r->node[child].n_pages) child = split(r, child, k);
        lock_one(r, child);
        i += k;
        at = child;
    }
    *node = at;
    return n_dup;
}

uint64_t pgd_radix_version(const pgd_radix *r) {
    return r->version;
}

uint32_t pgd_radix_namespaces(const pgd_radix *r) {
    return r->n_roots;
}

uint32_t pgd_radix_pages(const pgd_radix *r) {
    return r->n_in;
}
