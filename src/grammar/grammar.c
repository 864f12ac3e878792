/* Compiled grammars: from a specification through a front end, the automaton and the run-time store
 * to a counted, shareable object.
 *
 * The expressions are dropped once the automaton stands. A grammar is freed by its last reference,
 * be it a cache's or a matcher's. Thread: compile on any one; retain and release on any. */
#include <string.h>

#include "pagoda/mem.h"
#include "store.h"

const pgd_grammar_limits pgd_grammar_limits_default = {
    .max_source_bytes = (size_t)256 << 10,
    .max_depth = 128,
    .max_nodes = 1000000,
    .max_states = 2000000,
    .max_steps = 40000000,
    .max_mask_steps = 4000000,
    .max_stack = 512,
    .run_bytes = (size_t)32 << 20,
    .mask_bytes = (size_t)8 << 20,
};

static pgd_status build(pgd_grammar *g, const pgd_grammar_spec *spec, const pgd_vocab *vocab,
                        pgd_error *err) {
    pgd_ir ir;
    uint32_t root = PGD_IR_FAIL;
    pgd_status st = pgd_ir_init(&ir, &g->lim);
    if (st != PGD_OK) st = pgd_ir_check(&ir, err);
    if (st == PGD_OK) st = pgd_spec_parse(&ir, spec, &root, err);
    if (st == PGD_OK) st = pgd_fa_compile(&g->fa, &ir, root, err);
    pgd_ir_fini(&ir);
    if (st != PGD_OK) return st;
    st = pgd_store_init(&g->store, &g->fa, vocab, &g->lim);
    if (st == PGD_E_NOMEM) return pgd_fail(err, st, "out of memory for the grammar");
    if (st != PGD_OK) return pgd_fail(err, st, "%s", g->store.why);
    g->bytes = sizeof *g + g->lim.run_bytes + g->lim.mask_bytes +
               g->fa.n_nodes * (sizeof(pgd_fa_node) + 4 * sizeof(uint32_t));
    return PGD_OK;
}

static void destroy(pgd_grammar *g) {
    pgd_store_fini(&g->store);
    pgd_fa_fini(&g->fa);
    pthread_mutex_destroy(&g->lock);
    pgd_free(g);
}

pgd_status pgd_grammar_compile(pgd_grammar **out, const pgd_grammar_spec *spec,
                               const pgd_vocab *vocab, const pgd_grammar_limits *lim,
                               pgd_error *err) {
    pgd_grammar *const g = pgd_calloc(1, sizeof *g);
    if (!g) return pgd_fail(err, PGD_E_NOMEM, "out of memory for the grammar");
    g->lim = lim ? *lim : pgd_grammar_limits_default;
    if (pthread_mutex_init(&g->lock, NULL) != 0) {
        pgd_free(g);
        return pgd_fail(err, PGD_E_NOMEM, "no mutex for the grammar");
    }
    atomic_init(&g->refs, 1);
    const pgd_status st = build(g, spec, vocab, err);
    if (st != PGD_OK) {
        destroy(g);
        return st;
    }
    *out = g;
    return PGD_OK;
}

pgd_grammar *pgd_grammar_retain(pgd_grammar *g) {
    (void)atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void pgd_grammar_release(pgd_grammar **pg) {
    pgd_grammar *const g = *pg;
    if (!g) return;
    *pg = NULL;
    /* pairs with itself: the last one sees all that the others did */
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1) destroy(g);
}

uint32_t pgd_grammar_vocab_size(const pgd_grammar *g) {
    return g->store.vocab->n_tokens;
}

size_t pgd_grammar_bytes(const pgd_grammar *g) {
    return g->bytes;
}
