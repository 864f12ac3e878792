/* JSON Schema: whether two goals exclude each other, which is what oneOf needs to become a plain
 * alternative. Sound and incomplete: true only when it is certain, by type, constants, bounds,
 * lengths, or a member that both demand and that cannot satisfy both.
 * Thread: the caller's. Recursion is bounded by MAX_DEPTH, work by the compilation's steps. */
#include "schema.h"

enum { MAX_DEPTH = 5 };

/* Whether a's listed values all fail to be values of b. Both are flat; a lists values. */
static bool values_disjoint(pgd_schema *sc, const pgd_parts *a, const pgd_parts *b) {
    bool single = false;
    const pgd_json *const values = pgd_schema_values(a, &single);
    const uint32_t types = pgd_schema_types(sc, a) & pgd_schema_types(sc, b);
    for (const pgd_json *v = single ? values : pgd_json_first(values); v;
         v = single ? NULL : pgd_json_next(v)) {
        if (!pgd_ir_step(sc->ir, 1)) return false;
        if ((pgd_value_type(v) & types) && pgd_schema_admits(a, v) && pgd_schema_admits(b, v))
            return false;
    }
    return true;
}

static bool counts_disjoint(pgd_schema *sc, const pgd_parts *a, const pgd_parts *b, const char *min,
                            const char *max) {
    return pgd_schema_count(sc, a, min, true, 0) >
               pgd_schema_count(sc, b, max, false, PGD_IR_INF) ||
           pgd_schema_count(sc, b, min, true, 0) > pgd_schema_count(sc, a, max, false, PGD_IR_INF);
}

static bool below(const pgd_bounds *a, const pgd_bounds *b) {
    if (!a->has_hi || !b->has_lo) return false;
    return a->hi < b->lo || (a->hi == b->lo && (a->hi_open || b->lo_open));
}

/* What flat demands of the member `name`. Patterns are left out: that demands less. */
static pgd_parts member_goal(pgd_schema *sc, const pgd_parts *flat, const char *name) {
    pgd_parts p = {0};
    for (uint32_t i = 0; i < flat->n; i++) {
        const pgd_json *const s = flat->v[i].s;
        const pgd_json *const own = pgd_json_get(pgd_json_get(s, "properties"), name);
        const pgd_json *const more = pgd_json_get(s, "additionalProperties");
        if (own)
            pgd_parts_add(sc, &p, own, 0);
        else if (more && !pgd_json_get(s, "patternProperties"))
            pgd_parts_add(sc, &p, more, 0);
    }
    return p;
}

/* Whether a member that a requires cannot satisfy both. */
static bool members_disjoint(pgd_schema *sc, const pgd_parts *a, const pgd_parts *b,
                             uint32_t depth) {
    for (uint32_t i = 0; i < a->n; i++) {
        const pgd_json *const req = pgd_json_get(a->v[i].s, "required");
        for (const pgd_json *c = pgd_json_first(req); c && sc->st == PGD_OK; c = pgd_json_next(c)) {
            pgd_sv name;
            if (!pgd_json_as_str(c, &name) || !pgd_ir_step(sc->ir, 1)) return false;
            const char *const text = pgd_arena_strndup(sc->arena, name.p, name.n);
            if (!text) return false;
            const pgd_parts x = member_goal(sc, a, text), y = member_goal(sc, b, text);
            if (x.never || y.never || pgd_schema_disjoint(sc, &x, &y, depth + 1)) return true;
        }
    }
    return false;
}

static bool types_disjoint(pgd_schema *sc, const pgd_parts *a, const pgd_parts *b, uint32_t types,
                           uint32_t depth) {
    if (types & (PGD_T_NULL | PGD_T_BOOL)) return false;
    if (types & PGD_T_NUMBER) {
        const pgd_bounds x = pgd_schema_bounds(sc, a), y = pgd_schema_bounds(sc, b);
        if (!below(&x, &y) && !below(&y, &x)) return false;
    }
    if ((types & PGD_T_STRING) && !counts_disjoint(sc, a, b, "minLength", "maxLength"))
        return false;
    if ((types & PGD_T_ARRAY) && !counts_disjoint(sc, a, b, "minItems", "maxItems")) return false;
    if ((types & PGD_T_OBJECT) && !members_disjoint(sc, a, b, depth) &&
        !members_disjoint(sc, b, a, depth))
        return false;
    return true;
}

/* Whether every branch of a's first disjunction is disjoint from b. */
static bool branches_disjoint(pgd_schema *sc, const pgd_parts *a, const pgd_parts *b,
                              uint32_t depth) {
    uint32_t part = 0;
    uintptr_t bit = 0;
    const pgd_json *const list = pgd_schema_disjunction(a, &part, &bit);
    for (const pgd_json *c = pgd_json_first(list); c; c = pgd_json_next(c)) {
        const pgd_parts p = pgd_schema_decide(sc, a, part, bit, c);
        if (!pgd_schema_disjoint(sc, &p, b, depth + 1)) return false;
    }
    return true;
}

bool pgd_schema_disjoint(pgd_schema *sc, const pgd_parts *a, const pgd_parts *b, uint32_t depth) {
    uint32_t part = 0;
    uintptr_t bit = 0;
    bool single = false;
    if (depth > MAX_DEPTH || sc->st != PGD_OK || !pgd_ir_step(sc->ir, 1)) return false;
    const pgd_parts x = pgd_schema_flatten(sc, a), y = pgd_schema_flatten(sc, b);
    if (sc->st != PGD_OK) return false;
    if (x.never || y.never) return true;
    const uint32_t types = pgd_schema_types(sc, &x) & pgd_schema_types(sc, &y);
    if (types == 0) return true;
    if (pgd_schema_values(&x, &single)) return values_disjoint(sc, &x, &y);
    if (pgd_schema_values(&y, &single)) return values_disjoint(sc, &y, &x);
    if (types_disjoint(sc, &x, &y, types, depth)) return true;
    if (pgd_schema_disjunction(&x, &part, &bit)) return branches_disjoint(sc, &x, &y, depth);
    if (pgd_schema_disjunction(&y, &part, &bit)) return branches_disjoint(sc, &y, &x, depth);
    return false;
}
