/* The rule IR between the front ends and the automaton: expressions over byte sets with named
 * rules. Nodes live in one growing array and are never freed alone. Errors are sticky: a builder
 * that failed returns PGD_IR_FAIL and sets st, which pgd_ir_check turns into words at the end. */
#ifndef PAGODA_GRAMMAR_IR_H
#define PAGODA_GRAMMAR_IR_H

#include "pagoda/grammar.h"
#include "pagoda/json.h"

enum { PGD_IR_FAIL = 0, PGD_IR_EMPTY = 1 }; /* nodes that always exist: nothing, the empty text */
#define PGD_IR_INF UINT32_MAX

typedef enum pgd_ir_op {
    PGD_OP_FAIL,
    PGD_OP_EMPTY,
    PGD_OP_SET,   /* a = set: one byte of it */
    PGD_OP_LIT,   /* bytes [a, a + b) of the byte pool */
    PGD_OP_SEQ,   /* list [a, a + b) */
    PGD_OP_ALT,   /* list [a, a + b) */
    PGD_OP_COUNT, /* a, from b to c times (c may be PGD_IR_INF) */
    PGD_OP_RULE,  /* a = rule */
    PGD_OP_AND,   /* a and b; both regular */
    PGD_OP_DIFF,  /* a and not b; both regular */
    PGD_OP_BEGIN, /* anchors: only between the regex parser and its last pass */
    PGD_OP_END,
    PGD_OP_AHEAD, /* lookahead, likewise: a = pattern, b = 1 when it must not match */
    PGD_OP_BEHIND /* lookbehind */
} pgd_ir_op;

typedef struct pgd_ir_node {
    uint8_t op;
    bool anchor;   /* an anchor is somewhere below */
    bool one_char; /* exactly one character, however many bytes */
    uint32_t a, b, c;
} pgd_ir_node;

typedef struct pgd_byteset {
    uint64_t w[4];
} pgd_byteset;

typedef struct pgd_ir_rule {
    uint32_t body;
    uint32_t name, name_len; /* in the byte pool; empty for made-up rules */
} pgd_ir_rule;

typedef struct pgd_ir {
    pgd_ir_node *nodes;
    size_t n_nodes, cap_nodes;
    uint32_t *list; /* children of SEQ and ALT */
    size_t n_list, cap_list;
    uint32_t *stack; /* children not yet in a node */
    size_t n_stack, cap_stack;
    pgd_byteset *sets;
    size_t n_sets, cap_sets;
    pgd_ir_rule *rules;
    size_t n_rules, cap_rules;
    pgd_buf bytes;
    const pgd_grammar_limits *lim;
    uint64_t steps;
    pgd_status st;
} pgd_ir;

/* Make room for one more item of `size` bytes in *p (n used of *cap). False on failure. */
bool pgd_gr_reserve(void **p, size_t n, size_t *cap, size_t size);

pgd_status pgd_ir_init(pgd_ir *ir, const pgd_grammar_limits *lim);
void pgd_ir_fini(pgd_ir *ir);
/* Count n steps; false, with st set, when there are too many or something failed before. */
bool pgd_ir_step(pgd_ir *ir, uint64_t n);
/* The sticky status, in words. */
pgd_status pgd_ir_check(const pgd_ir *ir, pgd_error *err);

uint32_t pgd_ir_set(pgd_ir *ir, const pgd_byteset *set);
uint32_t pgd_ir_range(pgd_ir *ir, uint8_t lo, uint8_t hi);
uint32_t pgd_ir_lit(pgd_ir *ir, pgd_sv text);
uint32_t pgd_ir_count(pgd_ir *ir, uint32_t x, uint32_t min, uint32_t max);
uint32_t pgd_ir_opt(pgd_ir *ir, uint32_t x);
uint32_t pgd_ir_and(pgd_ir *ir, uint32_t a, uint32_t b);
uint32_t pgd_ir_diff(pgd_ir *ir, uint32_t a, uint32_t b);
uint32_t pgd_ir_anchor(pgd_ir *ir, pgd_ir_op op);
uint32_t pgd_ir_look(pgd_ir *ir, pgd_ir_op op, uint32_t x, uint32_t negative);
/* Sequences and alternatives: push children after a mark, then make the node of all above it. */
size_t pgd_ir_mark(const pgd_ir *ir);
void pgd_ir_push(pgd_ir *ir, uint32_t x);
uint32_t pgd_ir_seq(pgd_ir *ir, size_t mark);
uint32_t pgd_ir_alt(pgd_ir *ir, size_t mark);
uint32_t pgd_ir_seq2(pgd_ir *ir, uint32_t a, uint32_t b);
uint32_t pgd_ir_alt2(pgd_ir *ir, uint32_t a, uint32_t b);
/* A new rule without a body; set rules[i].body later. */
uint32_t pgd_ir_new_rule(pgd_ir *ir, pgd_sv name);
uint32_t pgd_ir_rule_ref(pgd_ir *ir, uint32_t rule);

static inline void pgd_byteset_add(pgd_byteset *s, uint8_t b) {
    s->w[b >> 6] |= 1ull << (b & 63);
}
static inline bool pgd_byteset_has(const pgd_byteset *s, uint8_t b) {
    return (s->w[b >> 6] >> (b & 63)) & 1;
}

/* ---- Sets of code points (cpset.c) ---- */

typedef struct pgd_cprange {
    uint32_t lo, hi; /* inclusive */
} pgd_cprange;

typedef struct pgd_cpset {
    pgd_cprange *v;
    size_t n, cap;
    bool failed;
} pgd_cpset;

void pgd_cpset_fini(pgd_cpset *s);
void pgd_cpset_add(pgd_cpset *s, uint32_t lo, uint32_t hi);
/* Sort and join; then complement over all scalar values. */
void pgd_cpset_normalize(pgd_cpset *s);
void pgd_cpset_invert(pgd_cpset *s);

/* Add the characters that have (inside) or lack a Unicode property (unicode.c); false when it is
 * not known. */
bool pgd_cpset_property(pgd_ir *ir, pgd_cpset *out, pgd_sv name, bool inside);

/* How characters are written in the output. */
typedef enum pgd_charmode {
    PGD_CHARS_RAW, /* UTF-8 */
    PGD_CHARS_JSON /* inside a JSON string, escaped only where JSON demands it; no NUL */
} pgd_charmode;

/* One character of the set, written in mode. Normalizes s. */
uint32_t pgd_ir_class(pgd_ir *ir, pgd_cpset *s, pgd_charmode mode);
uint32_t pgd_ir_char(pgd_ir *ir, uint32_t cp, pgd_charmode mode);
/* x, of which every text has a length in characters, restricted to lengths of min to max. */
uint32_t pgd_ir_limit_chars(pgd_ir *ir, uint32_t x, uint32_t min, uint32_t max, uint32_t any_char);
/* Text (valid UTF-8) written in mode; in JSON mode without the quotes. */
uint32_t pgd_ir_text(pgd_ir *ir, pgd_sv text, pgd_charmode mode);

/* ---- Front ends ---- */

/* Pattern -> expression. search: the pattern may match anywhere in the text (JSON Schema), else it
 * must match all of it. Errors: PGD_E_INVALID, PGD_E_UNSUPPORTED with the offset. */
pgd_status pgd_regex_parse(pgd_ir *ir, pgd_sv pattern, pgd_charmode mode, bool search,
                           uint32_t *out, pgd_error *err);
/* Grammar text -> rules; *root is the expression of the start rule. */
pgd_status pgd_ebnf_parse(pgd_ir *ir, pgd_sv text, uint32_t *root, pgd_error *err);
/* Specification -> rules, by the front end of its kind or of its parts' (compose.c). */
pgd_status pgd_spec_parse(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t *root, pgd_error *err);
/* Schema -> rules. */
pgd_status pgd_schema_parse(pgd_ir *ir, const pgd_json *schema, pgd_json_space space,
                            uint32_t *root, pgd_error *err);

#endif
