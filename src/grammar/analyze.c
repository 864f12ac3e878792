/* What the automaton can do: which nodes can reach the end of their rule, and whether a rule can
 * call itself without having consumed a byte.
 *
 * Dead nodes are never entered later, so that a mask does not offer a token behind which the text
 * could not be completed. Left recursion would make the stack grow without bound on no input and is
 * refused by the name of a rule. Both are linear: facts spread along reversed edges from a queue,
 * and cycles are found as strongly connected components (Tarjan, with a stack of its own).
 * Thread: the caller's. */
#include <string.h>

#include "fa.h"
#include "pagoda/mem.h"

typedef struct graph {
    const pgd_fa *fa;
    uint32_t *head, *from; /* who depends on node v: from[head[v] .. head[v + 1]) */
    uint32_t *queue;
} graph;

/* The nodes that u depends on. */
static uint32_t targets(const pgd_fa *fa, uint32_t u, uint32_t out[2]) {
    const pgd_fa_node n = fa->nodes[u];
    switch ((pgd_fa_kind)n.kind) {
    case PGD_FA_K_BYTES:
        out[0] = n.b;
        return 1;
    case PGD_FA_K_SPLIT:
    case PGD_FA_K_CALL:
        out[0] = n.a;
        out[1] = n.b;
        return 2;
    case PGD_FA_K_COUNT:
        out[0] = fa->counters[n.a].entry;
        out[1] = n.b;
        return 2;
    default:
        return 0;
    }
}

static bool graph_init(graph *g, const pgd_fa *fa) {
    const size_t n = fa->n_nodes;
    uint32_t to[2];
    g->fa = fa;
    g->head = pgd_calloc(n + 2, sizeof *g->head);
    g->from = pgd_calloc(2 * n, sizeof *g->from);
    g->queue = pgd_calloc(n, sizeof *g->queue);
    if (!g->head || !g->from || !g->queue) return false;
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t k = targets(fa, u, to); k-- > 0;)
            g->head[to[k] + 2]++;
    for (size_t v = 2; v < n + 2; v++)
        g->head[v] += g->head[v - 1];
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t k = targets(fa, u, to); k-- > 0;)
            g->from[g->head[to[k] + 1]++] = u;
    return true;
}

static void graph_fini(graph *g) {
    pgd_free(g->head);
    pgd_free(g->from);
    pgd_free(g->queue);
}

/* Whether u can reach its rule's end, given what is known of others; with empty, consuming
 * nothing. */
static bool reaches(const pgd_fa *fa, uint32_t u, const uint8_t *known, bool empty) {
    const pgd_fa_node n = fa->nodes[u];
    switch ((pgd_fa_kind)n.kind) {
    case PGD_FA_K_END:
        return true;
    case PGD_FA_K_BYTES:
        return !empty && known[n.b];
    case PGD_FA_K_SPLIT:
        return known[n.a] || known[n.b];
    case PGD_FA_K_CALL:
        return known[n.a] && known[n.b];
    case PGD_FA_K_COUNT:
        return known[n.b] &&
               (fa->counters[n.a].min == 0 || (!empty && known[fa->counters[n.a].entry]));
    default:
        return false;
    }
}

static void spread(graph *g, uint8_t *known, bool empty) {
    size_t n = 0;
    for (uint32_t u = 0; u < g->fa->n_nodes; u++)
        if (!known[u] && reaches(g->fa, u, known, empty)) {
            known[u] = 1;
            g->queue[n++] = u;
        }
    while (n > 0) {
        const uint32_t v = g->queue[--n];
        for (uint32_t k = g->head[v]; k < g->head[v + 1]; k++) {
            const uint32_t u = g->from[k];
            if (known[u] || !reaches(g->fa, u, known, empty)) continue;
            known[u] = 1;
            g->queue[n++] = u;
        }
    }
}

/* ---- Left recursion ---- */

typedef struct tarjan {
    const pgd_fa *fa;
    const uint8_t *alive, *empty;
    uint32_t *index, *low, *stack, *call; /* call: the depth-first search's own stack */
    uint8_t *edge, *on;
    uint32_t n_index, n_stack, n_call;
} tarjan;

/* The k-th node that u enters without consuming; UINT32_MAX for an edge that does not exist.
 * *calls: the edge goes into a rule. */
static uint32_t entered(const tarjan *t, uint32_t u, unsigned k, bool *calls) {
    const pgd_fa_node n = t->fa->nodes[u];
    uint32_t v = UINT32_MAX;
    *calls = false;
    if (n.kind == PGD_FA_K_SPLIT) {
        v = k == 0 ? n.a : n.b;
    } else if (n.kind == PGD_FA_K_CALL || n.kind == PGD_FA_K_COUNT) {
        const bool counts = n.kind == PGD_FA_K_COUNT;
        const uint32_t entry = counts ? t->fa->counters[n.a].entry : n.a;
        const bool skip = counts ? t->fa->counters[n.a].min == 0 : t->empty[n.a];
        *calls = k == 0;
        if (k == 0)
            v = entry;
        else if (skip)
            v = n.b;
    }
    return v != UINT32_MAX && t->alive[v] ? v : UINT32_MAX;
}

static void enter(tarjan *t, uint32_t u) {
    t->index[u] = t->low[u] = ++t->n_index;
    t->stack[t->n_stack++] = u;
    t->on[u] = 1;
    t->call[t->n_call++] = u;
}

/* u is done: when it is the root of a component, look for a call inside it. Leaves in low[] the
 * component's id, which is u's index. */
static void leave(tarjan *t, uint32_t u) {
    t->n_call--;
    if (t->n_call > 0) {
        const uint32_t parent = t->call[t->n_call - 1];
        if (t->low[u] < t->low[parent]) t->low[parent] = t->low[u];
    }
    if (t->low[u] != t->index[u]) return;
    for (uint32_t v = UINT32_MAX; v != u;) {
        v = t->stack[--t->n_stack];
        t->on[v] = 0;
        t->low[v] = t->index[u];
    }
}

static void search(tarjan *t, uint32_t start) {
    enter(t, start);
    while (t->n_call > 0) {
        const uint32_t u = t->call[t->n_call - 1];
        bool calls = false;
        if (t->edge[u] == 2) {
            leave(t, u);
            continue;
        }
        const uint32_t v = entered(t, u, t->edge[u]++, &calls);
        if (v == UINT32_MAX) continue;
        if (!t->index[v])
            enter(t, v);
        else if (t->on[v] && t->index[v] < t->low[u])
            t->low[u] = t->index[v];
    }
}

/* A node that calls a rule which leads back to it without a byte; UINT32_MAX when there is none. */
static uint32_t find_recursion(tarjan *t) {
    const uint32_t n = (uint32_t)t->fa->n_nodes;
    for (uint32_t u = 0; u < n; u++)
        if (!t->index[u] && t->alive[u]) search(t, u);
    for (uint32_t u = 0; u < n; u++) {
        bool calls = false;
        const uint32_t v = t->alive[u] ? entered(t, u, 0, &calls) : UINT32_MAX;
        if (calls && v != UINT32_MAX && t->low[u] == t->low[v]) return v;
    }
    return UINT32_MAX;
}

static pgd_status refuse_left_recursion(pgd_fa_build *b, const uint8_t *empty, pgd_error *err) {
    const size_t n = b->fa->n_nodes;
    tarjan t = {.fa = b->fa, .alive = b->fa->alive, .empty = empty};
    uint32_t *const words = pgd_calloc(4 * n, sizeof *words);
    uint8_t *const flags = pgd_calloc(2 * n, 1);
    pgd_status st = PGD_OK;
    if (words && flags) {
        t.index = words;
        t.low = words + n;
        t.stack = words + 2 * n;
        t.call = words + 3 * n;
        t.edge = flags;
        t.on = flags + n;
        const uint32_t at = find_recursion(&t);
        const pgd_ir *const ir = b->ir;
        if (at != UINT32_MAX) {
            const size_t r = at - PGD_FA_END - 1;
            const pgd_ir_rule none = {0};
            const pgd_ir_rule *const rule = r < ir->n_rules ? &ir->rules[r] : &none;
            st = pgd_fail(err, PGD_E_UNSUPPORTED,
                          "rule '%.*s' is left-recursive: it can begin with itself; write the "
                          "repetition as x* or x+",
                          (int)(rule->name_len < 200 ? rule->name_len : 200),
                          ir->bytes.p ? ir->bytes.p + rule->name : "");
        }
    } else {
        st = pgd_fail(err, PGD_E_NOMEM, "out of memory for the grammar");
    }
    pgd_free(words);
    pgd_free(flags);
    return st;
}

pgd_status pgd_fa_analyze(pgd_fa_build *b, pgd_error *err) {
    pgd_fa *const fa = b->fa;
    graph g = {0};
    pgd_status st = PGD_OK;
    uint8_t *const empty = pgd_calloc(fa->n_nodes, 1);
    fa->alive = pgd_calloc(fa->n_nodes, 1);
    if (empty && fa->alive && graph_init(&g, fa)) {
        spread(&g, fa->alive, false);
        spread(&g, empty, true);
        st = fa->alive[fa->root] ? refuse_left_recursion(b, empty, err)
                                 : pgd_fail(err, PGD_E_INVALID, "no text can match");
    } else {
        st = pgd_fail(err, PGD_E_NOMEM, "out of memory for the grammar");
    }
    graph_fini(&g);
    pgd_free(empty);
    return st;
}
