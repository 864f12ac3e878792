/* Locks and eviction. A lock on a node counts on its whole path, so an unlocked node has no locked
 * descendant, and every cached page (in the tree, held by nobody) can be reached by dropping
 * unlocked leaves. The heap holds exactly the unlocked leaves, ordered by last use. Eviction trims
 * a run from its end, so that the longest useful prefix stays. Interior nodes go only after their
 * children; a root without children and locks goes at once. Thread: engine. Does not decide when to
 * evict. */
#include "radix_int.h"

static bool before(const pgd_radix *r, uint32_t a, uint32_t b) {
    const uint64_t ta = r->node[a].last_use, tb = r->node[b].last_use;
    return ta != tb ? ta < tb : a < b;
}

static void heap_put(pgd_radix *r, uint32_t pos, uint32_t node) {
    r->heap[pos] = node;
    r->node[node].heap_pos = pos;
}

static void sift_up(pgd_radix *r, uint32_t pos) {
    const uint32_t node = r->heap[pos];
    for (; pos > 0 && before(r, node, r->heap[(pos - 1) / 2]); pos = (pos - 1) / 2)
        heap_put(r, pos, r->heap[(pos - 1) / 2]);
    heap_put(r, pos, node);
}

static void sift_down(pgd_radix *r, uint32_t pos) {
    const uint32_t node = r->heap[pos];
    for (;;) {
        uint32_t kid = 2 * pos + 1;
        if (kid >= r->n_heap) break;
        if (kid + 1 < r->n_heap && before(r, r->heap[kid + 1], r->heap[kid])) kid++;
        if (!before(r, r->heap[kid], node)) break;
        heap_put(r, pos, r->heap[kid]);
        pos = kid;
    }
    heap_put(r, pos, node);
}

void pgd_radix_heap_add(pgd_radix *r, uint32_t node) {
    PGD_ASSERT(r->node[node].heap_pos == PGD_NO_NODE);
    heap_put(r, r->n_heap++, node);
    sift_up(r, r->n_heap - 1);
}

void pgd_radix_heap_remove(pgd_radix *r, uint32_t node) {
    const uint32_t pos = r->node[node].heap_pos;
    PGD_ASSERT(pos < r->n_heap && r->heap[pos] == node);
    const uint32_t moved = r->heap[--r->n_heap];
    r->node[node].heap_pos = PGD_NO_NODE;
    if (moved == node) return;
    heap_put(r, pos, moved);
    sift_up(r, pos);
    sift_down(r, r->node[moved].heap_pos);
}

bool pgd_radix_is_evictable(const pgd_radix *r, uint32_t node) {
    const radix_node *n = &r->node[node];
    return n->parent != PGD_NO_NODE && n->lock == 0 && n->n_children == 0;
}

static void free_node(pgd_radix *r, uint32_t node) {
    pgd_radix_table_remove(r, node);
    r->node[node].used = false;
    r->free_node[r->n_free++] = node;
}

void pgd_radix_drop_root_if_empty(pgd_radix *r, uint32_t node) {
    const radix_node *n = &r->node[node];
    if (n->parent != PGD_NO_NODE || n->lock > 0 || n->n_children > 0) return;
    free_node(r, node);
    r->n_roots--;
}

void pgd_radix_unlock(pgd_radix *r, uint32_t node) {
    r->tick++;
    while (node != PGD_NO_NODE) {
        radix_node *n = &r->node[node];
        const uint32_t parent = n->parent;
        PGD_ASSERT(n->used && n->lock > 0);
        n->lock--;
        n->last_use = r->tick;
        if (pgd_radix_is_evictable(r, node)) pgd_radix_heap_add(r, node);
        pgd_radix_drop_root_if_empty(r, node);
        node = parent;
    }
}

/* An unlocked leaf whose run became empty leaves the tree; its parent may become the next leaf. */
static void remove_leaf(pgd_radix *r, uint32_t node) {
    const uint32_t parent = r->node[node].parent;
    pgd_radix_heap_remove(r, node);
    free_node(r, node);
    r->node[parent].n_children--;
    if (pgd_radix_is_evictable(r, parent)) pgd_radix_heap_add(r, parent);
    pgd_radix_drop_root_if_empty(r, parent);
}

uint32_t pgd_radix_evict(pgd_radix *r, uint32_t n) {
    uint32_t freed = 0;
    while (freed < n && r->n_heap > 0) {
        const uint32_t id = r->heap[0];
        radix_node *leaf = &r->node[id];
        const uint32_t page = leaf->last;
        freed += pgd_page_pool_holders(r->pool, page) == 0;
        pgd_page_pool_uncache(r->pool, page);
        r->n_in--;
        r->version++;
        leaf->last = r->prev[page];
        if (--leaf->n_pages == 0)
            remove_leaf(r, id);
        else
            r->next[leaf->last] = PGD_NO_PAGE;
    }
    return freed;
}
