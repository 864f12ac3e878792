/* The page pool. Owns nothing but counters: for each page how many sequences hold it, whether the
 * tree has it, and, while it retires, the step that must pass first. Invariants: a page is in one
 * of four states derived from these (free, held, cached, retiring); the four counts add up to the
 * total; a page on the free list has no holder, is not in the tree and no step in flight touches
 * it. Thread: engine. Deliberately does not know bytes, devices or why a page is wanted; running
 * out is an answer (PGD_NO_PAGE), a wrong release is a bug and asserts. */
#include "pagoda/kv.h"

#include "pagoda/mem.h"

typedef struct page {
    uint32_t holders;
    uint32_t next;  /* free list or retiring list */
    uint64_t fence; /* valid while retiring */
    bool in_tree, retiring, free;
} page;

struct pgd_page_pool {
    page *page; /* [total] */
    pgd_page_pool_counts n;
    uint32_t free_head, retire_head;
    uint64_t passed; /* steps up to this one have passed */
};

static void push_free(pgd_page_pool *p, uint32_t id) {
    page *g = &p->page[id];
    g->free = true;
    g->next = p->free_head;
    p->free_head = id;
    p->n.free++;
}

pgd_status pgd_page_pool_create(pgd_page_pool **out, uint32_t n_pages, pgd_error *err) {
    if (n_pages == 0 || n_pages > INT32_MAX)
        return pgd_fail(err, PGD_E_INVALID, "KV pool of %u pages: want 1 to 2^31 - 1", n_pages);
    pgd_page_pool *p = pgd_calloc(1, sizeof *p);
    if (p) p->page = pgd_calloc(n_pages, sizeof *p->page);
    if (!p || !p->page) {
        pgd_page_pool_destroy(&p);
        return pgd_fail(err, PGD_E_NOMEM, "KV pool of %u pages: out of memory", n_pages);
    }
    p->n.total = n_pages;
    p->free_head = p->retire_head = PGD_NO_PAGE;
    for (uint32_t i = n_pages; i-- > 0;) /* page 0 comes out first: runs are easy to read */
        push_free(p, i);
    *out = p;
    return PGD_OK;
}

void pgd_page_pool_destroy(pgd_page_pool **p) {
    if (!*p) return;
    pgd_free((*p)->page);
    pgd_free(*p);
    *p = NULL;
}

uint32_t pgd_page_pool_alloc(pgd_page_pool *p) {
    const uint32_t id = p->free_head;
    if (id == PGD_NO_PAGE) return PGD_NO_PAGE;
    page *g = &p->page[id];
    p->free_head = g->next;
    p->n.free--;
    g->free = false;
    g->holders = 1;
    p->n.held++;
    return id;
}

void pgd_page_pool_ref(pgd_page_pool *p, uint32_t id) {
    page *g = &p->page[id];
    PGD_ASSERT(id < p->n.total && (g->holders > 0 || g->in_tree));
    if (g->holders++ == 0) {
        p->n.cached--;
        p->n.held++;
    }
}

void pgd_page_pool_retire(pgd_page_pool *p, uint32_t id, uint64_t fence) {
    page *g = &p->page[id];
    PGD_ASSERT(id < p->n.total && g->holders > 0);
    if (--g->holders > 0) return;
    p->n.held--;
    if (g->in_tree) {
        /* The holder's fence must have passed: an evicted page is free at once. */
        PGD_ASSERT(fence <= p->passed);
        p->n.cached++;
    } else if (fence <= p->passed) {
        push_free(p, id);
    } else {
        g->retiring = true;
        g->fence = fence;
        g->next = p->retire_head;
        p->retire_head = id;
        p->n.retiring++;
    }
}

void pgd_page_pool_cache(pgd_page_pool *p, uint32_t id) {
    page *g = &p->page[id];
    PGD_ASSERT(id < p->n.total && g->holders > 0 && !g->in_tree);
    g->in_tree = true;
}

void pgd_page_pool_uncache(pgd_page_pool *p, uint32_t id) {
    page *g = &p->page[id];
    PGD_ASSERT(id < p->n.total && g->in_tree);
    g->in_tree = false;
    if (g->holders > 0) return;
    p->n.cached--;
    push_free(p, id);
}

void pgd_page_pool_pass(pgd_page_pool *p, uint64_t step) {
    if (step > p->passed) p->passed = step;
    uint32_t *link = &p->retire_head;
    while (*link != PGD_NO_PAGE) {
        const uint32_t id = *link;
        page *g = &p->page[id];
        if (g->fence > p->passed) {
            link = &g->next;
            continue;
        }
        *link = g->next;
        g->retiring = false;
        p->n.retiring--;
        push_free(p, id);
    }
}

uint32_t pgd_page_pool_holders(const pgd_page_pool *p, uint32_t id) {
    return p->page[id].holders;
}

bool pgd_page_pool_in_tree(const pgd_page_pool *p, uint32_t id) {
    return p->page[id].in_tree;
}

void pgd_page_pool_get_counts(const pgd_page_pool *p, pgd_page_pool_counts *out) {
    *out = p->n;
}

/* Length of a list, or total + 1 when it is longer than the pool (a cycle). */
static uint32_t list_length(const pgd_page_pool *p, uint32_t head) {
    uint32_t n = 0;
    for (uint32_t id = head; id != PGD_NO_PAGE && n <= p->n.total; id = p->page[id].next)
        n++;
    return n;
}

pgd_status pgd_page_pool_check(const pgd_page_pool *p, const uint32_t *holders, pgd_error *err) {
    pgd_page_pool_counts c = {.total = p->n.total};
    for (uint32_t i = 0; i < p->n.total; i++) {
        const page *g = &p->page[i];
        if (holders && holders[i] != g->holders)
            return pgd_fail(err, PGD_E_INTERNAL, "page %u: %u holders counted, sequences have %u",
                            i, g->holders, holders[i]);
        const int states = (g->free != 0) + (g->retiring != 0) + (g->holders > 0 || g->in_tree);
        if (states != 1)
            return pgd_fail(err, PGD_E_INTERNAL,
                            "page %u is in %d states: free %d, retiring %d, holders %u, in tree %d",
                            i, states, g->free, g->retiring, g->holders, g->in_tree);
        if (g->retiring && g->fence <= p->passed)
            return pgd_fail(err, PGD_E_INTERNAL, "page %u still retires after its step", i);
        c.free += g->free;
        c.retiring += g->retiring;
        c.held += g->holders > 0;
        c.cached += g->holders == 0 && g->in_tree;
    }
    if (c.free != p->n.free || c.cached != p->n.cached || c.held != p->n.held ||
        c.retiring != p->n.retiring || c.free + c.cached + c.held + c.retiring != c.total)
        return pgd_fail(err, PGD_E_INTERNAL,
                        "pool counts free %u cached %u held %u retiring %u, pages say %u %u %u %u",
                        p->n.free, p->n.cached, p->n.held, p->n.retiring, c.free, c.cached, c.held,
                        c.retiring);
    if (list_length(p, p->free_head) != c.free || list_length(p, p->retire_head) != c.retiring)
        return pgd_fail(err, PGD_E_INTERNAL, "pool lists do not hold what the pages say");
    return PGD_OK;
}
