/* JSON Schema -> rules, inside the schema_*.c files.
 *
 * A goal is a set of schemas that one value must satisfy at once: what `allOf`, `$ref` with
 * siblings and overlapping object keywords come down to. Each distinct goal is one rule, built once
 * from a queue, so recursive schemas are recursive rules and nesting costs no C stack. */
#ifndef PAGODA_GRAMMAR_SCHEMA_H
#define PAGODA_GRAMMAR_SCHEMA_H

#include "ir.h"
#include "pagoda/arena.h"
#include "pagoda/map.h"

/* Types, as bits. Numbers are integers or not: "number" is both. */
enum {
    PGD_T_NULL = 1,
    PGD_T_BOOL = 2,
    PGD_T_INT = 4,
    PGD_T_FRACTION = 8,
    PGD_T_STRING = 16,
    PGD_T_ARRAY = 32,
    PGD_T_OBJECT = 64,
    PGD_T_NUMBER = PGD_T_INT | PGD_T_FRACTION,
    PGD_T_ALL = 127
};

/* A schema, and which of its disjunctions have been decided already. */
typedef struct pgd_part {
    const pgd_json *s;
    uintptr_t decided; /* bits of pgd_decided; of pointer size so that there is no padding */
} pgd_part;
enum {
    PGD_DECIDED_ANY = 1,
    PGD_DECIDED_ONE = 2,
    PGD_DECIDED_MEMBER = 4, /* which member there is beside those that a `not` lists */
    PGD_DECIDED_OTHER = 8   /* one that no part lists */
};

/* Growing list of parts, in the compilation's arena. */
typedef struct pgd_parts {
    pgd_part *v;
    uint32_t n, cap;
    bool never; /* holds `false` */
} pgd_parts;

typedef struct pgd_goal {
    struct pgd_goal *next; /* in the queue */
    uint32_t rule;
    pgd_parts parts;
} pgd_goal;

typedef struct pgd_made pgd_made; /* a schema made here: schema_not.c */

typedef struct pgd_schema {
    pgd_ir *ir;
    pgd_arena *arena;
    const pgd_json *root;
    pgd_json_space space;
    pgd_strmap *goals; /* bytes of parts -> pgd_goal */
    pgd_goal *first, *last;
    pgd_made *made;
    uint32_t ws;           /* expression: whitespace between tokens */
    uint32_t json_char;    /* one character of a string, in any spelling */
    uint32_t counted_char; /* one character of a string known to be spelled the shortest way */
    uint32_t any_key;      /* a whole string without quotes, shortest spelling */
    pgd_error *err;
    pgd_status st;
} pgd_schema;

/* Record an error at a keyword (NULL: the schema itself) with its JSON pointer. Returns
 * PGD_IR_FAIL. */
uint32_t pgd_schema_fail(pgd_schema *sc, pgd_status st, const pgd_json *s, const char *keyword,
                         const char *what);
void pgd_parts_add(pgd_schema *sc, pgd_parts *p, const pgd_json *s, uintptr_t decided);
/* Parts with $ref and allOf followed; checks every keyword it meets. */
pgd_parts pgd_schema_flatten(pgd_schema *sc, const pgd_parts *p);
/* A reference to the rule of a goal; PGD_IR_FAIL when nothing can satisfy it. */
uint32_t pgd_schema_goal(pgd_schema *sc, const pgd_parts *p);
/* Where a $ref of s leads; NULL, with st set, when nowhere. */
const pgd_json *pgd_schema_resolve(pgd_schema *sc, const pgd_json *s, const pgd_json *ref);
/* Whether the keyword has no bearing on what is valid. */
bool pgd_schema_says_nothing(const char *keyword);
/* Whether s is somewhere in `in`. */
bool pgd_schema_holds(const pgd_json *in, const pgd_json *s);
/* Types that all parts allow. */
uint32_t pgd_schema_types(pgd_schema *sc, const pgd_parts *flat);
/* The first part with a disjunction to decide, and the keyword; NULL when there is none. */
const pgd_json *pgd_schema_disjunction(const pgd_parts *flat, uint32_t *part, uintptr_t *bit);
/* Whether no value can satisfy both (false when it is not certain). */
bool pgd_schema_disjoint(pgd_schema *sc, const pgd_parts *a, const pgd_parts *b, uint32_t depth);
/* flat, its disjunction `part`/`bit` decided for `branch`. */
pgd_parts pgd_schema_decide(pgd_schema *sc, const pgd_parts *flat, uint32_t part, uintptr_t bit,
                            const pgd_json *branch);

/* ---- Negation (schema_not.c) ---- */

/* The schema of all values that x does not admit; NULL, with st set, when it has none here. */
const pgd_json *pgd_schema_negate(pgd_schema *sc, const pgd_json *x);
/* A keyword inside the `not` of s, where it is one that is not turned round. */
const pgd_json *pgd_schema_not(const pgd_json *s, const char *keyword);
/* Whether v is one of the values that flat must not be. */
bool pgd_schema_excludes(const pgd_parts *flat, const pgd_json *v);
bool pgd_schema_excludes_word(const pgd_parts *flat, const char *word); /* null, true, false */
/* Texts (of strings without quotes) of the values of those types that flat must not be. */
uint32_t pgd_schema_excluded(pgd_schema *sc, const pgd_parts *flat, uint32_t types);
/* {"required": [the member's name]} */
const pgd_json *pgd_schema_require(pgd_schema *sc, const pgd_json *member);
/* What a schema that was made here was made of; NULL for others. */
const pgd_json *pgd_schema_made_of(const pgd_schema *sc, const pgd_json *s);
void pgd_schema_free_made(pgd_schema *sc);

/* Largest lower, or smallest upper, count that a keyword states; `none` without one. */
uint32_t pgd_schema_count(pgd_schema *sc, const pgd_parts *flat, const char *keyword, bool largest,
                          uint32_t none);
/* Whether any part has one of the keywords (NULL-terminated list). */
bool pgd_schema_has(const pgd_parts *flat, const char *const *keywords);

/* Values and their types: schema_value.c */
uint32_t pgd_schema_build(pgd_schema *sc, const pgd_parts *flat);
uint32_t pgd_value_type(const pgd_json *v);
bool pgd_value_equal(const pgd_json *a, const pgd_json *b);
/* Whether every enum and const of flat admits v. */
bool pgd_schema_admits(const pgd_parts *flat, const pgd_json *v);
/* The first list of values that flat states, as an array node or (const) a single one. */
const pgd_json *pgd_schema_values(const pgd_parts *flat, bool *single);
/* Where flat can only be one of a few values: these, each once, as expressions in x. UINT32_MAX
 * where it can be others, or more than cap of them. */
uint32_t pgd_schema_list(pgd_schema *sc, const pgd_parts *flat, uint32_t *x, uint32_t cap);
/* v as text, in the canonical spelling. */
uint32_t pgd_value_expr(pgd_schema *sc, const pgd_json *v);

/* One type each. */
uint32_t pgd_schema_string(pgd_schema *sc, const pgd_parts *flat); /* without quotes */
uint32_t pgd_schema_number(pgd_schema *sc, const pgd_parts *flat, uint32_t types);
uint32_t pgd_schema_array(pgd_schema *sc, const pgd_parts *flat);
uint32_t pgd_schema_object(pgd_schema *sc, const pgd_parts *flat);

typedef struct pgd_bounds {
    double lo, hi;
    bool has_lo, has_hi, lo_open, hi_open;
} pgd_bounds;
pgd_bounds pgd_schema_bounds(pgd_schema *sc, const pgd_parts *flat);

#endif
