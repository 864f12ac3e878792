/* JSON Schema: arrays. Positions of prefixItems are rules that jump to one another, the rest is a
 * counted repetition. uniqueItems is kept where elements are of a few listed values, by a rule for
 * each set of values already used; elsewhere it is refused where it could matter.
 * Thread: the caller's. */
#include "schema.h"

enum { MAX_UNIQUE = 10 }; /* values: 2^10 rules */

/* The goal of the element at position i (of all positions from the prefixes' ends on, when i is
 * PGD_IR_INF). */
static pgd_parts element_parts(pgd_schema *sc, const pgd_parts *flat, uint32_t i) {
    pgd_parts p = {0};
    for (uint32_t k = 0; k < flat->n; k++) {
        const pgd_json *const s = flat->v[k].s;
        const pgd_json *c = pgd_json_first(pgd_json_get(s, "prefixItems"));
        for (uint32_t n = i; c && n > 0; n--)
            c = pgd_json_next(c);
        if (!c) c = pgd_json_get(s, "items");
        if (c) pgd_parts_add(sc, &p, c, 0);
    }
    return p;
}

static uint32_t element(pgd_schema *sc, const pgd_parts *flat, uint32_t i) {
    const pgd_parts p = element_parts(sc, flat, i);
    return pgd_schema_goal(sc, &p);
}

static uint32_t longest_prefix(pgd_schema *sc, const pgd_parts *flat) {
    size_t n = 0;
    for (uint32_t k = 0; k < flat->n; k++) {
        const pgd_json *const v = pgd_json_get(flat->v[k].s, "prefixItems");
        const pgd_json *const items = pgd_json_get(flat->v[k].s, "items");
        if (v && pgd_json_typeof(v) != PGD_JSON_ARRAY)
            (void)pgd_schema_fail(sc, PGD_E_INVALID, flat->v[k].s, "prefixItems", "is no array");
        if (items && pgd_json_typeof(items) == PGD_JSON_ARRAY)
            (void)pgd_schema_fail(sc, PGD_E_UNSUPPORTED, flat->v[k].s, "items",
                                  "an array of schemas is called prefixItems since draft 2020-12");
        if (pgd_json_count(v) > n) n = pgd_json_count(v);
    }
    return (uint32_t)n;
}

/* The part that demands unique items, or NULL. */
static const pgd_json *demands_unique(const pgd_parts *flat) {
    for (uint32_t k = 0; k < flat->n; k++) {
        bool yes = false;
        if (pgd_json_as_bool(pgd_json_get(flat->v[k].s, "uniqueItems"), &yes) && yes)
            return flat->v[k].s;
    }
    return NULL;
}

/* ws "," ws if there is an element before, then x. */
static uint32_t after(pgd_schema *sc, bool first, uint32_t x) {
    pgd_ir *const ir = sc->ir;
    const size_t mark = pgd_ir_mark(ir);
    if (!first) {
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV(",")));
        pgd_ir_push(ir, sc->ws);
    }
    pgd_ir_push(ir, x);
    pgd_ir_push(ir, sc->ws);
    return pgd_ir_seq(ir, mark);
}

static uint32_t bits_in(uint32_t set) {
    uint32_t n = 0;
    for (; set; set &= set - 1)
        n++;
    return n;
}

/* min to max elements out of n values, none twice: what may follow once those of `used` stand. */
static uint32_t without_repeats(pgd_schema *sc, const uint32_t *value, uint32_t n, uint32_t min,
                                uint32_t max, uint32_t close) {
    pgd_ir *const ir = sc->ir;
    const uint32_t first = (uint32_t)ir->n_rules;
    for (uint32_t used = 0; used < 1U << n && ir->st == PGD_OK; used++)
        (void)pgd_ir_new_rule(ir, PGD_SV(""));
    for (uint32_t used = 0; used < 1U << n && ir->st == PGD_OK; used++) {
        const uint32_t k = bits_in(used);
        const size_t mark = pgd_ir_mark(ir);
        if (k >= min) pgd_ir_push(ir, close);
        for (uint32_t i = 0; i < n && k < max; i++)
            if (!(used >> i & 1))
                pgd_ir_push(ir, pgd_ir_seq2(ir, after(sc, k == 0, value[i]),
                                            pgd_ir_rule_ref(ir, first + (used | 1U << i))));
        const uint32_t body = pgd_ir_alt(ir, mark);
        if (ir->st == PGD_OK) ir->rules[first + used].body = body;
    }
    return pgd_ir_rule_ref(ir, first);
}

/* The elements of an array without repeats and its end; FAIL, with an error, where it is not
 * bounded. */
static uint32_t unique_elements(pgd_schema *sc, const pgd_parts *flat, const pgd_json *from,
                                uint32_t min, uint32_t max, uint32_t close) {
    uint32_t value[MAX_UNIQUE];
    const pgd_parts parts = element_parts(sc, flat, 0);
    const pgd_parts p = pgd_schema_flatten(sc, &parts);
    uint32_t n = p.never ? 0 : UINT32_MAX;
    if (sc->st == PGD_OK && !p.never && !longest_prefix(sc, flat))
        n = pgd_schema_list(sc, &p, value, MAX_UNIQUE);
    if (sc->st != PGD_OK) return PGD_IR_FAIL;
    if (n == UINT32_MAX)
        return pgd_schema_fail(sc, PGD_E_UNSUPPORTED, from, "uniqueItems",
                               "can only be kept where items are one of at most 10 listed values");
    for (uint32_t i = 0; i < n; i++) { /* each written once, and called */
        const uint32_t rule = pgd_ir_new_rule(sc->ir, PGD_SV(""));
        if (sc->ir->st == PGD_OK) sc->ir->rules[rule].body = value[i];
        value[i] = pgd_ir_rule_ref(sc->ir, rule);
    }
    return without_repeats(sc, value, n, min, max < n ? max : n, close);
}

static uint32_t bracketed(pgd_schema *sc, uint32_t inside) {
    const size_t mark = pgd_ir_mark(sc->ir);
    pgd_ir_push(sc->ir, pgd_ir_lit(sc->ir, PGD_SV("[")));
    pgd_ir_push(sc->ir, sc->ws);
    pgd_ir_push(sc->ir, inside);
    return pgd_ir_seq(sc->ir, mark);
}

uint32_t pgd_schema_array(pgd_schema *sc, const pgd_parts *flat) {
    pgd_ir *const ir = sc->ir;
    const uint32_t min = pgd_schema_count(sc, flat, "minItems", true, 0);
    const uint32_t max = pgd_schema_count(sc, flat, "maxItems", false, PGD_IR_INF);
    const uint32_t n_prefix = longest_prefix(sc, flat);
    const uint32_t close = pgd_ir_lit(ir, PGD_SV("]"));
    const uint32_t rest_min = min > n_prefix ? min - n_prefix : 0;
    const uint32_t rest_max = max == PGD_IR_INF ? max : max > n_prefix ? max - n_prefix : 0;
    uint32_t tail = PGD_IR_FAIL;
    const pgd_json *const unique = max > 1 ? demands_unique(flat) : NULL;
    if (sc->st != PGD_OK) return PGD_IR_FAIL;
    if (unique) return bracketed(sc, unique_elements(sc, flat, unique, min, max, close));
    const uint32_t item = rest_max ? element(sc, flat, n_prefix) : PGD_IR_FAIL;
    if (n_prefix > 0) {
        tail = pgd_ir_count(ir, after(sc, false, item), rest_min, rest_max);
    } else if (item == PGD_IR_FAIL) {
        tail = rest_min ? PGD_IR_FAIL : PGD_IR_EMPTY;
    } else {
        const uint32_t more = pgd_ir_count(ir, after(sc, false, item), rest_min ? rest_min - 1 : 0,
                                           rest_max == PGD_IR_INF ? rest_max : rest_max - 1);
        tail = pgd_ir_seq2(ir, after(sc, true, item), more);
        if (rest_min == 0) tail = pgd_ir_opt(ir, tail);
    }
    uint32_t at = pgd_ir_seq2(ir, tail, close);
    for (uint32_t i = n_prefix; i-- > 0 && sc->st == PGD_OK && ir->st == PGD_OK;) {
        const uint32_t rule = pgd_ir_new_rule(ir, PGD_SV(""));
        const uint32_t x = i < max ? element(sc, flat, i) : PGD_IR_FAIL;
        const uint32_t one = pgd_ir_seq2(ir, after(sc, i == 0, x), at);
        const uint32_t body = pgd_ir_alt2(ir, one, i >= min ? close : PGD_IR_FAIL);
        if (ir->st == PGD_OK) ir->rules[rule].body = body;
        at = pgd_ir_rule_ref(ir, rule);
    }
    return bracketed(sc, at);
}
