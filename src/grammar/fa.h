/* The automaton: nodes over bytes with calls of rules. Nondeterministic as compiled; store.c makes
 * it deterministic as far as texts really go. Immutable once pgd_fa_compile has returned. */
#ifndef PAGODA_GRAMMAR_FA_H
#define PAGODA_GRAMMAR_FA_H

#include "ir.h"

enum { PGD_FA_DEAD = 0, PGD_FA_END = 1 }; /* nodes that always exist */

typedef enum pgd_fa_kind {
    PGD_FA_K_DEAD,
    PGD_FA_K_END,   /* the rule that runs ends here */
    PGD_FA_K_BYTES, /* one byte of set a, then b */
    PGD_FA_K_SPLIT, /* a or b, consuming nothing */
    PGD_FA_K_CALL,  /* the rule that enters at a, then b */
    PGD_FA_K_COUNT, /* counters[a], then b */
    PGD_FA_K_MARK   /* end of an operand while a product is made; dead later */
} pgd_fa_kind;

typedef struct pgd_fa_node {
    uint32_t kind, a, b;
} pgd_fa_node;

/* The rule that enters at `entry`, min to max times in a row; it never matches the empty text. */
typedef struct pgd_fa_counter {
    uint32_t entry, min, max;
} pgd_fa_counter;

typedef struct pgd_fa {
    pgd_fa_node *nodes;
    size_t n_nodes, cap_nodes;
    pgd_byteset *sets; /* distinct */
    size_t n_sets, cap_sets;
    pgd_fa_counter *counters;
    size_t n_counters, cap_counters;
    uint8_t *alive; /* per node: whether its rule's end can be reached */
    uint32_t root;
    uint32_t n_classes; /* bytes that no set tells apart are one class */
    uint8_t class_of[256], byte_of[256];
} pgd_fa;

/* Working state of a compilation, shared by compile.c, product.c and analyze.c. */
typedef struct pgd_fa_build {
    pgd_ir *ir;
    pgd_fa *fa;
    uint32_t *rule_entry;   /* per rule; node PGD_FA_END + 1 + rule */
    uint8_t *rule_nullable; /* per rule */
    uint32_t *set_table;    /* open-addressing table of sets, id + 1 */
    size_t cap_set_table;
    struct pgd_map64 *inlined; /* inside an operand: (rule, continuation) -> node; else NULL */
    uint32_t depth;
} pgd_fa_build;

/* Expression root -> automaton. Zeroed *fa is filled, owned by the caller, also on error.
 * Errors: PGD_E_LIMIT, PGD_E_NOMEM, PGD_E_UNSUPPORTED (left recursion), PGD_E_INVALID (no text
 * matches). */
pgd_status pgd_fa_compile(pgd_fa *fa, pgd_ir *ir, uint32_t root, pgd_error *err);
void pgd_fa_fini(pgd_fa *fa);

/* A new node; PGD_FA_DEAD, with ir->st set, when there is no room. */
uint32_t pgd_fa_add(pgd_fa_build *b, pgd_fa_kind kind, uint32_t a, uint32_t next);
uint32_t pgd_fa_set(pgd_fa_build *b, const pgd_byteset *set);
/* The node at which expression x starts that goes on to `next`. */
uint32_t pgd_fa_expr(pgd_fa_build *b, uint32_t x, uint32_t next);
/* Which bytes the sets tell apart: class_of gets a number below the returned one. mark[set] says
 * which sets count (NULL: all). */
uint32_t pgd_fa_classes(const pgd_fa *fa, const uint8_t *mark, uint8_t class_of[256]);
/* The node at which "a and b" (or, with negate, "a and not b") starts, both ending at MARK nodes,
 * that goes on to `next`. The nodes of b are those from `first` on. */
uint32_t pgd_fa_product(pgd_fa_build *b, uint32_t a, uint32_t other, uint32_t first, bool negate,
                        uint32_t next);
/* Fill alive; refuse left recursion and a dead root. */
pgd_status pgd_fa_analyze(pgd_fa_build *b, pgd_error *err);

#endif
