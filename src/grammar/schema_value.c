/* JSON Schema: what a goal's value may be: disjunctions, types, constants.
 *
 * A goal with an anyOf or oneOf becomes the alternative of as many goals in which it is decided.
 * With a branch of oneOf go the negations of those branches of which it is not certain that they
 * exclude it. What remains is one alternative per type, or per listed value.
 * Thread: the caller's. */
#include <math.h>
#include <string.h>

#include "schema.h"

enum { PRECISION_MAX = 17, MAX_WAYS = 1024 };

uint32_t pgd_value_type(const pgd_json *v) {
    double d = 0;
    switch (pgd_json_typeof(v)) {
    case PGD_JSON_NULL:
        return PGD_T_NULL;
    case PGD_JSON_BOOL:
        return PGD_T_BOOL;
    case PGD_JSON_STRING:
        return PGD_T_STRING;
    case PGD_JSON_ARRAY:
        return PGD_T_ARRAY;
    case PGD_JSON_OBJECT:
        return PGD_T_OBJECT;
    default:
        (void)pgd_json_as_f64(v, &d);
        return d == floor(d) ? PGD_T_INT : PGD_T_FRACTION;
    }
}

static bool numbers_equal(const pgd_json *a, const pgd_json *b) {
    int64_t i = 0, k = 0;
    double x = 0, y = 0;
    if (pgd_json_as_i64(a, &i) && pgd_json_as_i64(b, &k)) return i == k;
    return pgd_json_as_f64(a, &x) && pgd_json_as_f64(b, &y) && x == y;
}

/* Recursion along the nesting of JSON, which its parser bounds. */
bool pgd_value_equal(const pgd_json *a, const pgd_json *b) {
    pgd_sv s, t;
    bool p = false, q = false;
    if (pgd_json_typeof(a) != pgd_json_typeof(b)) return false;
    switch (pgd_json_typeof(a)) {
    case PGD_JSON_NULL:
        return true;
    case PGD_JSON_BOOL:
        return pgd_json_as_bool(a, &p) && pgd_json_as_bool(b, &q) && p == q;
    case PGD_JSON_NUMBER:
        return numbers_equal(a, b);
    case PGD_JSON_STRING:
        return pgd_json_as_str(a, &s) && pgd_json_as_str(b, &t) && pgd_sv_eq(s, t);
    default:
        break;
    }
    if (pgd_json_count(a) != pgd_json_count(b)) return false;
    const pgd_json *y = pgd_json_first(b);
    for (const pgd_json *x = pgd_json_first(a); x; x = pgd_json_next(x)) {
        const pgd_json *const other = pgd_json_key(x) ? pgd_json_get(b, pgd_json_key(x)) : y;
        if (!other || !pgd_value_equal(x, other)) return false;
        y = pgd_json_next(y);
    }
    return true;
}

static bool in_list(const pgd_json *list, const pgd_json *v) {
    for (const pgd_json *c = pgd_json_first(list); c; c = pgd_json_next(c))
        if (pgd_value_equal(c, v)) return true;
    return false;
}

bool pgd_schema_admits(const pgd_parts *flat, const pgd_json *v) {
    for (uint32_t i = 0; i < flat->n; i++) {
        const pgd_json *const list = pgd_json_get(flat->v[i].s, "enum");
        const pgd_json *const one = pgd_json_get(flat->v[i].s, "const");
        if (list && !in_list(list, v)) return false;
        if (one && !pgd_value_equal(one, v)) return false;
    }
    return !pgd_schema_excludes(flat, v);
}

const pgd_json *pgd_schema_values(const pgd_parts *flat, bool *single) {
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < flat->n; i++) {
            const pgd_json *const v = pgd_json_get(flat->v[i].s, pass == 0 ? "const" : "enum");
            *single = pass == 0;
            if (v) return v;
        }
    return NULL;
}

/* ---- A value as text ---- */

static uint32_t number_expr(pgd_schema *sc, const pgd_json *v) {
    pgd_buf b = {0};
    pgd_sv digits;
    int64_t i = 0;
    double d = 0;
    if (pgd_json_big_digits(v, &digits)) return pgd_ir_lit(sc->ir, digits);
    if (pgd_json_as_i64(v, &i)) {
        pgd_buf_put_i64(&b, i);
    } else if (pgd_json_as_f64(v, &d)) {
        double back = NAN;
        for (int p = 1; p <= PRECISION_MAX && back != d; p++) {
            pgd_buf_clear(&b);
            pgd_buf_putf(&b, "%.*g", p, d);
            if (!pgd_parse_f64(pgd_buf_sv(&b), &back)) back = NAN;
        }
    }
    const uint32_t x = b.failed ? PGD_IR_FAIL : pgd_ir_lit(sc->ir, pgd_buf_sv(&b));
    pgd_buf_fini(&b);
    return x;
}

static uint32_t string_expr(pgd_schema *sc, pgd_sv s) {
    const size_t mark = pgd_ir_mark(sc->ir);
    pgd_ir_push(sc->ir, pgd_ir_lit(sc->ir, PGD_SV("\"")));
    pgd_ir_push(sc->ir, pgd_ir_text(sc->ir, s, PGD_CHARS_JSON));
    pgd_ir_push(sc->ir, pgd_ir_lit(sc->ir, PGD_SV("\"")));
    return pgd_ir_seq(sc->ir, mark);
}

uint32_t pgd_value_expr(pgd_schema *sc, const pgd_json *v) {
    pgd_ir *const ir = sc->ir;
    const bool object = pgd_json_typeof(v) == PGD_JSON_OBJECT;
    bool yes = false;
    pgd_sv s;
    if (pgd_json_typeof(v) == PGD_JSON_NULL) return pgd_ir_lit(ir, PGD_SV("null"));
    if (pgd_json_as_bool(v, &yes)) return pgd_ir_lit(ir, yes ? PGD_SV("true") : PGD_SV("false"));
    if (pgd_json_as_str(v, &s)) return string_expr(sc, s);
    if (pgd_json_typeof(v) == PGD_JSON_NUMBER) return number_expr(sc, v);
    const size_t mark = pgd_ir_mark(ir);
    pgd_ir_push(ir, pgd_ir_lit(ir, object ? PGD_SV("{") : PGD_SV("[")));
    pgd_ir_push(ir, sc->ws);
    for (const pgd_json *c = pgd_json_first(v); c; c = pgd_json_next(c)) {
        if (c != pgd_json_first(v)) {
            pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV(",")));
            pgd_ir_push(ir, sc->ws);
        }
        if (object) {
            pgd_ir_push(ir, string_expr(sc, pgd_sv_c(pgd_json_key(c))));
            pgd_ir_push(ir, sc->ws);
            pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV(":")));
            pgd_ir_push(ir, sc->ws);
        }
        pgd_ir_push(ir, pgd_value_expr(sc, c));
        pgd_ir_push(ir, sc->ws);
    }
    pgd_ir_push(ir, pgd_ir_lit(ir, object ? PGD_SV("}") : PGD_SV("]")));
    return pgd_ir_seq(ir, mark);
}

/* ---- Listed values ---- */

static const char *const STRING_WORDS[] = {"minLength", "maxLength", "pattern",
                                           "format",    "not",       NULL};
static const char *const ARRAY_WORDS[] = {"prefixItems", "items",       "minItems",
                                          "maxItems",    "uniqueItems", NULL};
static const char *const OBJECT_WORDS[] = {
    "properties",    "required",      "additionalProperties", "patternProperties",
    "propertyNames", "minProperties", "maxProperties",        NULL};

static bool number_fits(pgd_schema *sc, const pgd_parts *flat, const pgd_json *v) {
    const pgd_bounds b = pgd_schema_bounds(sc, flat);
    double d = 0, m = 0;
    (void)pgd_json_as_f64(v, &d);
    if (b.has_lo && (d < b.lo || (b.lo_open && d == b.lo))) return false;
    if (b.has_hi && (d > b.hi || (b.hi_open && d == b.hi))) return false;
    for (uint32_t i = 0; i < flat->n; i++)
        if (pgd_json_as_f64(pgd_json_get(flat->v[i].s, "multipleOf"), &m) && m > 0 &&
            fabs(d / m - nearbyint(d / m)) > 1e-9)
            return false;
    return true;
}

/* The part whose `not` demands a member beside those that it lists, and of which that is not yet
 * decided; flat->n: none. */
static uint32_t other_member_due(const pgd_parts *flat) {
    uint32_t i = 0;
    while (i < flat->n && ((flat->v[i].decided & PGD_DECIDED_MEMBER) ||
                           !pgd_schema_not(flat->v[i].s, "additionalProperties")))
        i++;
    return i;
}

/* One listed value of a type that is allowed, under the goal's other keywords. */
static uint32_t listed_value(pgd_schema *sc, const pgd_parts *flat, const pgd_json *v) {
    const uint32_t type = pgd_value_type(v);
    pgd_sv s;
    if (type == PGD_T_STRING && pgd_schema_has(flat, STRING_WORDS) && pgd_json_as_str(v, &s)) {
        pgd_ir *const ir = sc->ir;
        const size_t mark = pgd_ir_mark(ir);
        const uint32_t text = pgd_ir_text(ir, s, PGD_CHARS_JSON);
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("\"")));
        pgd_ir_push(ir, pgd_ir_and(ir, text, pgd_schema_string(sc, flat)));
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("\"")));
        return pgd_ir_seq(ir, mark);
    }
    if ((type & PGD_T_NUMBER) && !number_fits(sc, flat, v)) return PGD_IR_FAIL;
    if ((type == PGD_T_ARRAY && pgd_schema_has(flat, ARRAY_WORDS)) ||
        (type == PGD_T_OBJECT &&
         (pgd_schema_has(flat, OBJECT_WORDS) || other_member_due(flat) < flat->n)))
        return pgd_schema_fail(sc, PGD_E_UNSUPPORTED, flat->v[0].s, NULL,
                               "arrays or objects in enum or const beside other keywords for them "
                               "are not supported");
    return pgd_value_expr(sc, v);
}

static uint32_t listed_values(pgd_schema *sc, const pgd_parts *flat, uint32_t types,
                              const pgd_json *values, bool single) {
    const size_t mark = pgd_ir_mark(sc->ir);
    if (!single && pgd_json_typeof(values) != PGD_JSON_ARRAY)
        return pgd_schema_fail(sc, PGD_E_INVALID, values, NULL, "enum is not an array");
    for (const pgd_json *v = single ? values : pgd_json_first(values); v && sc->st == PGD_OK;
         v = single ? NULL : pgd_json_next(v))
        if ((pgd_value_type(v) & types) && pgd_schema_admits(flat, v))
            pgd_ir_push(sc->ir, listed_value(sc, flat, v));
    return pgd_ir_alt(sc->ir, mark);
}

static const struct {
    uint32_t type;
    const char *text;
} WORDS[] = {{PGD_T_NULL, "null"}, {PGD_T_BOOL, "true"}, {PGD_T_BOOL, "false"}};

/* Whether v stands in its list already before. */
static bool seen_before(const pgd_json *list, const pgd_json *v) {
    for (const pgd_json *c = pgd_json_first(list); c && c != v; c = pgd_json_next(c))
        if (pgd_value_equal(c, v)) return true;
    return false;
}

uint32_t pgd_schema_list(pgd_schema *sc, const pgd_parts *flat, uint32_t *x, uint32_t cap) {
    uint32_t part = 0, n = 0;
    uintptr_t bit = 0;
    bool single = false;
    const uint32_t types = pgd_schema_types(sc, flat);
    if (sc->st != PGD_OK || pgd_schema_disjunction(flat, &part, &bit)) return UINT32_MAX;
    const pgd_json *const values = pgd_schema_values(flat, &single);
    if (!values) {
        if (types & ~(uint32_t)(PGD_T_NULL | PGD_T_BOOL)) return UINT32_MAX;
        for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0] && n < cap; i++)
            if ((types & WORDS[i].type) && !pgd_schema_excludes_word(flat, WORDS[i].text))
                x[n++] = pgd_ir_lit(sc->ir, pgd_sv_c(WORDS[i].text));
        return n;
    }
    for (const pgd_json *v = single ? values : pgd_json_first(values); v && sc->st == PGD_OK;
         v = single ? NULL : pgd_json_next(v)) {
        if (!(pgd_value_type(v) & types) || !pgd_schema_admits(flat, v)) continue;
        if (!single && seen_before(values, v)) continue;
        const uint32_t one = listed_value(sc, flat, v);
        if (one == PGD_IR_FAIL) continue;
        if (n == cap) return UINT32_MAX;
        x[n++] = one;
    }
    return n;
}

/* ---- Alternatives ---- */

/* Add what a branch of oneOf must not be: those branches that it may overlap. Each can be missed in
 * so many ways, and the ways multiply; schemas where that gets out of hand are refused for what
 * they are, not for a budget that they exceed. */
static void exclude_others(pgd_schema *sc, const pgd_parts *flat, uint32_t part,
                           const pgd_json *list, const pgd_json *own, pgd_parts *out) {
    const pgd_parts a = pgd_schema_decide(sc, flat, part, PGD_DECIDED_ONE, own);
    size_t ways = 1;
    for (const pgd_json *c = pgd_json_first(list); c && sc->st == PGD_OK; c = pgd_json_next(c)) {
        if (c == own) continue;
        const pgd_parts b = pgd_schema_decide(sc, flat, part, PGD_DECIDED_ONE, c);
        if (sc->st != PGD_OK || !pgd_ir_step(sc->ir, 1)) return;
        if (pgd_schema_disjoint(sc, &a, &b, 0)) continue;
        const pgd_json *const no = pgd_schema_negate(sc, c);
        const size_t n = pgd_json_count(pgd_json_get(no, "anyOf"));
        ways *= n ? n : 1;
        if (ways > MAX_WAYS)
            (void)pgd_schema_fail(sc, PGD_E_UNSUPPORTED, flat->v[part].s, "oneOf",
                                  "too many branches overlap with each other; use anyOf, or tell "
                                  "them apart by type or a constant");
        if (no) pgd_parts_add(sc, out, no, 0);
    }
}

static uint32_t alternatives(pgd_schema *sc, const pgd_parts *flat, uint32_t part, uintptr_t bit,
                             const pgd_json *list) {
    const size_t mark = pgd_ir_mark(sc->ir);
    const char *const word = bit == PGD_DECIDED_ANY ? "anyOf" : "oneOf";
    if (pgd_json_typeof(list) != PGD_JSON_ARRAY || !pgd_json_first(list))
        return pgd_schema_fail(sc, PGD_E_INVALID, flat->v[part].s, word, "is not a filled array");
    for (const pgd_json *c = pgd_json_first(list); c && sc->st == PGD_OK; c = pgd_json_next(c)) {
        pgd_parts p = pgd_schema_decide(sc, flat, part, bit, c);
        if (bit == PGD_DECIDED_ONE) exclude_others(sc, flat, part, list, c, &p);
        pgd_ir_push(sc->ir, pgd_schema_goal(sc, &p));
    }
    return pgd_ir_alt(sc->ir, mark);
}

/* The goal flat, with the bits for part `due`, and a member that must be there (NULL: none). */
static uint32_t decided_goal(pgd_schema *sc, const pgd_parts *flat, uint32_t due, uintptr_t bits,
                             const pgd_json *member) {
    pgd_parts p = {.never = flat->never};
    for (uint32_t i = 0; i < flat->n; i++)
        pgd_parts_add(sc, &p, flat->v[i].s, flat->v[i].decided | (i == due ? bits : 0));
    const pgd_json *const there = member ? pgd_schema_require(sc, member) : NULL;
    if (there) pgd_parts_add(sc, &p, there, 0);
    return pgd_schema_goal(sc, &p);
}

/* Push a goal for each member of `map` that `known` does not list: that one is there. */
static void push_members(pgd_schema *sc, const pgd_parts *flat, uint32_t due, const pgd_json *map,
                         const pgd_json *known) {
    for (const pgd_json *c = pgd_json_first(map); c && pgd_ir_step(sc->ir, 1); c = pgd_json_next(c))
        if (!pgd_json_get(known, pgd_json_key(c)))
            pgd_ir_push(sc->ir, decided_goal(sc, flat, due, PGD_DECIDED_MEMBER, c));
}

/* Objects with a member beside those that the `not` of part `due` lists: one that another part
 * lists in whatever way (as schema_object.c collects them), or one that none does. */
static uint32_t with_other_member(pgd_schema *sc, const pgd_parts *flat, uint32_t due) {
    const pgd_json *const known = pgd_schema_not(flat->v[due].s, "properties");
    const size_t mark = pgd_ir_mark(sc->ir);
    pgd_ir_push(sc->ir, decided_goal(sc, flat, due, PGD_DECIDED_MEMBER | PGD_DECIDED_OTHER, NULL));
    for (uint32_t i = 0; i < flat->n; i++) {
        const pgd_json *const s = flat->v[i].s, *const req = pgd_json_get(s, "required");
        push_members(sc, flat, due, pgd_json_get(s, "properties"), known);
        push_members(sc, flat, due, pgd_schema_not(s, "properties"), known);
        for (const pgd_json *c = pgd_json_first(req); c && pgd_ir_step(sc->ir, 1);
             c = pgd_json_next(c)) {
            pgd_sv name;
            if (!pgd_json_as_str(c, &name)) break; /* refused later */
            const char *const text = pgd_arena_strndup(sc->arena, name.p, name.n);
            if (text && !pgd_json_get(known, text)) /* it is there anyway */
                pgd_ir_push(sc->ir, decided_goal(sc, flat, due, PGD_DECIDED_MEMBER, NULL));
        }
    }
    return pgd_ir_alt(sc->ir, mark);
}

uint32_t pgd_schema_build(pgd_schema *sc, const pgd_parts *flat) {
    pgd_ir *const ir = sc->ir;
    uint32_t part = 0;
    uintptr_t bit = 0;
    bool single = false;
    const uint32_t types = pgd_schema_types(sc, flat);
    const pgd_json *const list = pgd_schema_disjunction(flat, &part, &bit);
    if (sc->st != PGD_OK) return PGD_IR_FAIL;
    if (list) return alternatives(sc, flat, part, bit, list);
    const pgd_json *const values = pgd_schema_values(flat, &single);
    if (values) return listed_values(sc, flat, types, values, single);
    const size_t mark = pgd_ir_mark(ir);
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++)
        if ((types & WORDS[i].type) && !pgd_schema_excludes_word(flat, WORDS[i].text))
            pgd_ir_push(ir, pgd_ir_lit(ir, pgd_sv_c(WORDS[i].text)));
    if (types & PGD_T_NUMBER) pgd_ir_push(ir, pgd_schema_number(sc, flat, types));
    if (types & PGD_T_STRING) {
        const size_t seq = pgd_ir_mark(ir);
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("\"")));
        pgd_ir_push(ir, pgd_schema_string(sc, flat));
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("\"")));
        pgd_ir_push(ir, pgd_ir_seq(ir, seq));
    }
    /* refused where a listed array or object must not be */
    (void)pgd_schema_excluded(sc, flat, types & (PGD_T_ARRAY | PGD_T_OBJECT));
    if (types & PGD_T_ARRAY) pgd_ir_push(ir, pgd_schema_array(sc, flat));
    if ((types & PGD_T_OBJECT) && other_member_due(flat) < flat->n)
        pgd_ir_push(ir, with_other_member(sc, flat, other_member_due(flat)));
    else if (types & PGD_T_OBJECT)
        pgd_ir_push(ir, pgd_schema_object(sc, flat));
    return pgd_ir_alt(ir, mark);
}
