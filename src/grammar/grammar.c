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
    .max_mask_steps = 40000000,
    .max_stack = 512,
    .run_bytes = (size_t)32 << 20,
    .mask_bytes = (size_t)8 << 20,
};

static pgd_status parse_choices(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t *root,
                                pgd_error *err) {
    const size_t mark = pgd_ir_mark(ir);
    size_t total = 0;
    if (spec->n_choices == 0) return pgd_fail(err, PGD_E_INVALID, "no choices");
    for (size_t i = 0; i < spec->n_choices; i++) {
        const pgd_sv c = spec->choices[i];
        total += c.n;
        if (total > ir->lim->max_source_bytes)
            return pgd_fail(err, PGD_E_LIMIT, "choices of more than %zu bytes together",
                            ir->lim->max_source_bytes);
        if (pgd_utf8_valid_prefix(c.p, c.n) != c.n)
            return pgd_fail(err, PGD_E_INVALID, "choice %zu is not UTF-8", i);
        pgd_ir_push(ir, pgd_ir_lit(ir, c));
    }
    *root = pgd_ir_alt(ir, mark);
    return pgd_ir_check(ir, err);
}

static pgd_status parse_schema_text(pgd_ir *ir, const pgd_grammar_spec *spec, pgd_sv text,
                                    uint32_t *root, pgd_error *err) {
    const pgd_json_limits lim = {
        .max_bytes = ir->lim->max_source_bytes,
        .max_nodes = ir->lim->max_source_bytes,
        .max_depth = ir->lim->max_depth,
    };
    pgd_json_doc *doc = NULL;
    pgd_status st = pgd_json_parse(text, &lim, &doc, err);
    if (st == PGD_E_FORMAT) st = PGD_E_INVALID; /* here the text is a caller's value */
    if (st == PGD_OK) st = pgd_schema_parse(ir, pgd_json_root(doc), spec->space, root, err);
    pgd_json_free(&doc);
    if (err && st != PGD_OK) err->code = st;
    return st;
}

static pgd_status parse(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t *root, pgd_error *err) {
    switch (spec->kind) {
    case PGD_GRAMMAR_JSON_SCHEMA:
        if (spec->json) return pgd_schema_parse(ir, spec->json, spec->space, root, err);
        return parse_schema_text(ir, spec, spec->text, root, err);
    case PGD_GRAMMAR_JSON_OBJECT:
        return parse_schema_text(ir, spec, PGD_SV("{\"type\":\"object\"}"), root, err);
    case PGD_GRAMMAR_REGEX:
        return pgd_regex_parse(ir, spec->text, PGD_CHARS_RAW, false, root, err);
    case PGD_GRAMMAR_EBNF:
        return pgd_ebnf_parse(ir, spec->text, root, err);
    case PGD_GRAMMAR_CHOICE:
        return parse_choices(ir, spec, root, err);
    default:
        return pgd_fail(err, PGD_E_INTERNAL, "grammar kind %d", (int)spec->kind);
    }
}

static pgd_status build(pgd_grammar *g, const pgd_grammar_spec *spec, const pgd_vocab *vocab,
                        pgd_error *err) {
    pgd_ir ir;
    uint32_t root = PGD_IR_FAIL;
    pgd_status st = pgd_ir_init(&ir, &g->lim);
    if (st != PGD_OK) st = pgd_ir_check(&ir, err);
    if (st == PGD_OK) st = parse(&ir, spec, &root, err);
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
