/* The tree's integrity check: everything that radix_int.h and radix.c claim, recomputed from
 * scratch. Runs after each step in tests and simulation and whenever a person asks; never in the
 * step path of a server. Allocates its scratch. Thread: engine, between steps. */
#include "radix_int.h"

#include <string.h>

#include "pagoda/mem.h"

static pgd_status check_run(const pgd_radix *r, uint32_t id, uint32_t *n_seen, pgd_error *err) {
    const radix_node *n = &r->node[id];
    uint32_t k = 0, prev = PGD_NO_PAGE;
    for (uint32_t page = n->first; page != PGD_NO_PAGE; prev = page, page = r->next[page]) {
        if (page >= r->n_pages || ++k > n->n_pages || r->prev[page] != prev)
            return pgd_fail(err, PGD_E_INTERNAL, "node %u: run broken at page %u", id, page);
        if (!pgd_page_pool_in_tree(r->pool, page))
            return pgd_fail(err, PGD_E_INTERNAL, "node %u: page %u is not marked", id, page);
        if (n->lock > pgd_page_pool_holders(r->pool, page))
            return pgd_fail(err, PGD_E_INTERNAL, "node %u: %u locks, page %u has %u holders", id,
                            n->lock, page, pgd_page_pool_holders(r->pool, page));
    }
    if (k != n->n_pages || n->last != prev)
        return pgd_fail(err, PGD_E_INTERNAL, "node %u: run of %u pages, says %u", id, k,
                        n->n_pages);
    *n_seen += k;
    return PGD_OK;
}

static pgd_status check_node(const pgd_radix *r, uint32_t id, pgd_error *err) {
    const radix_node *n = &r->node[id];
    const bool root = n->parent == PGD_NO_NODE;
    if (root != (n->n_pages == 0) || (!root && !r->node[n->parent].used))
        return pgd_fail(err, PGD_E_INTERNAL, "node %u: parent %u, %u pages", id, n->parent,
                        n->n_pages);
    const uint32_t found =
        root ? pgd_radix_find_root(r, n->ns)
             : pgd_radix_find_child(r, n->parent, &r->tok[(size_t)n->first * r->page_tokens]);
    if (found != id) return pgd_fail(err, PGD_E_INTERNAL, "node %u: a look-up finds %u", id, found);
    if (root && n->n_children == 0 && n->lock == 0)
        return pgd_fail(err, PGD_E_INTERNAL, "root %u is empty and was not dropped", id);
    const bool in_heap = n->heap_pos != PGD_NO_NODE;
    if (in_heap != pgd_radix_is_evictable(r, id) ||
        (in_heap && (n->heap_pos >= r->n_heap || r->heap[n->heap_pos] != id)))
        return pgd_fail(err, PGD_E_INTERNAL, "node %u: lock %u, %u children, heap place %u", id,
                        n->lock, n->n_children, n->heap_pos);
    return PGD_OK;
}

/* scratch: children[n_nodes], locks[n_nodes], zeroed. */
static pgd_status check_all(const pgd_radix *r, const uint32_t *locked, uint32_t n_locked,
                            uint32_t *children, uint32_t *locks, pgd_error *err) {
    uint32_t n_used = 0, n_pages = 0, n_marked = 0, n_roots = 0, n_heap = 0;
    for (uint32_t i = 0; i < n_locked; i++)
        for (uint32_t at = locked[i]; at != PGD_NO_NODE; at = r->node[at].parent)
            locks[at]++;
    for (uint32_t id = 0; id < r->n_nodes; id++) {
        const radix_node *n = &r->node[id];
        if (!n->used) continue;
        n_used++;
        n_heap += n->heap_pos != PGD_NO_NODE;
        n_roots += n->parent == PGD_NO_NODE;
        if (n->parent != PGD_NO_NODE) children[n->parent]++;
        PGD_TRY(check_node(r, id, err));
        PGD_TRY(check_run(r, id, &n_pages, err));
    }
    for (uint32_t id = 0; id < r->n_nodes; id++)
        if (r->node[id].used &&
            (children[id] != r->node[id].n_children || locks[id] != r->node[id].lock))
            return pgd_fail(err, PGD_E_INTERNAL,
                            "node %u: %u children and %u locks, counted %u and %u", id,
                            r->node[id].n_children, r->node[id].lock, children[id], locks[id]);
    for (uint32_t p = 0; p < r->n_pages; p++)
        n_marked += pgd_page_pool_in_tree(r->pool, p);
    if (n_marked != n_pages || n_pages != r->n_in || n_used + r->n_free != r->n_nodes ||
        n_roots != r->n_roots || n_heap != r->n_heap)
        return pgd_fail(err, PGD_E_INTERNAL,
                        "tree: %u pages in runs, %u marked, %u counted; %u nodes + %u free of %u; "
                        "%u roots of %u; %u in the heap of %u",
                        n_pages, n_marked, r->n_in, n_used, r->n_free, r->n_nodes, n_roots,
                        r->n_roots, n_heap, r->n_heap);
    return PGD_OK;
}

pgd_status pgd_radix_check(const pgd_radix *r, const uint32_t *locked, uint32_t n, pgd_error *err) {
    uint32_t *scratch = pgd_calloc((size_t)2 * r->n_nodes, sizeof *scratch);
    if (!scratch) return pgd_fail(err, PGD_E_NOMEM, "tree check: out of memory");
    const pgd_status s = check_all(r, locked, n, scratch, scratch + r->n_nodes, err);
    pgd_free(scratch);
    return s;
}
