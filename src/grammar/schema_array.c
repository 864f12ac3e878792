/* JSON Schema: arrays. Positions of prefixItems are rules that jump to one another, the rest is a
 * counted repetition. uniqueItems cannot be expressed and is refused where it could matter.
 * Thread: the caller's. */
#include "schema.h"

/* The goal of the element at position i (of all positions from the prefixes' ends on, when i is
 * PGD_IR_INF). */
static uint32_t element(pgd_schema *sc, const pgd_parts *flat, uint32_t i) {
    pgd_parts p = {0};
    for (uint32_t k = 0; k < flat->n; k++) {
        const pgd_json *const s = flat->v[k].s;
        const pgd_json *c = pgd_json_first(pgd_json_get(s, "prefixItems"));
        for (uint32_t n = i; c && n > 0; n--)
            c = pgd_json_next(c);
        if (!c) c = pgd_json_get(s, "items");
        if (c) pgd_parts_add(sc, &p, c, 0);
    }
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

static void refuse_unique(pgd_schema *sc, const pgd_parts *flat, uint32_t max) {
    for (uint32_t k = 0; k < flat->n; k++) {
        bool yes = false;
        if (!pgd_json_as_bool(pgd_json_get(flat->v[k].s, "uniqueItems"), &yes) || !yes) continue;
        if (max > 1)
            (void)pgd_schema_fail(sc, PGD_E_UNSUPPORTED, flat->v[k].s, "uniqueItems",
                                  "cannot be enforced by a grammar");
    }
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

uint32_t pgd_schema_array(pgd_schema *sc, const pgd_parts *flat) {
    pgd_ir *const ir = sc->ir;
    const uint32_t min = pgd_schema_count(sc, flat, "minItems", true, 0);
    const uint32_t max = pgd_schema_count(sc, flat, "maxItems", false, PGD_IR_INF);
    const uint32_t n_prefix = longest_prefix(sc, flat);
    const uint32_t close = pgd_ir_lit(ir, PGD_SV("]"));
    const uint32_t rest_min = min > n_prefix ? min - n_prefix : 0;
    const uint32_t rest_max = max == PGD_IR_INF ? max : max > n_prefix ? max - n_prefix : 0;
    uint32_t tail = PGD_IR_FAIL;
    refuse_unique(sc, flat, max);
    if (sc->st != PGD_OK) return PGD_IR_FAIL;
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
    const size_t mark = pgd_ir_mark(ir);
    pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("[")));
    pgd_ir_push(ir, sc->ws);
    pgd_ir_push(ir, at);
    return pgd_ir_seq(ir, mark);
}
