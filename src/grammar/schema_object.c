/* JSON Schema: objects.
 *
 * Properties come in the order in which the schema lists them, then required ones that it does not
 * list, then others. Each position is a rule per number of members written so far (as far as that
 * matters), so an object of n optional properties is n small rules and not 2^n texts. Other members
 * have keys that differ from all listed ones; keys are always spelled the shortest way, so that no
 * escape smuggles a listed name in. What a key demands of its value is the conjunction over all
 * parts of `properties`, every matching `patternProperties` and, where neither applies, that part's
 * `additionalProperties`; with patterns, one alternative per set of patterns that a key matches.
 * Thread: the caller's. */
#include <string.h>

#include "schema.h"

enum { MAX_PATTERNS = 5, MAX_COUNTED = 2000 };

typedef struct pattern {
    uint32_t part, expr;
    const pgd_json *schema;
} pattern;

typedef struct prop {
    const char *name;
    bool required;
} prop;

typedef struct object {
    pgd_schema *sc;
    const pgd_parts *flat;
    prop *props;
    uint32_t n_props, cap_props;
    pgd_strmap *index; /* name -> position */
    pattern patterns[MAX_PATTERNS];
    uint32_t n_patterns;
    uint32_t others_due; /* members that must be there though nothing lists them */
} object;

static void add_prop(object *o, const char *name, bool required) {
    pgd_schema *const sc = o->sc;
    uint64_t i = 0;
    if (sc->st != PGD_OK || !pgd_ir_step(sc->ir, 1)) return;
    if (pgd_strmap_get(o->index, pgd_sv_c(name), &i)) {
        o->props[i].required |= required;
        return;
    }
    if (o->n_props == o->cap_props) {
        const uint32_t cap = o->cap_props ? 2 * o->cap_props : 16;
        prop *const v = pgd_arena_array(sc->arena, cap, sizeof *v);
        if (!v) {
            (void)pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory for the grammar");
            return;
        }
        if (o->n_props) memcpy(v, o->props, o->n_props * sizeof *v);
        o->props = v;
        o->cap_props = cap;
    }
    if (pgd_strmap_put(o->index, pgd_sv_c(name), o->n_props) != PGD_OK) {
        (void)pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory for the grammar");
        return;
    }
    o->props[o->n_props++] = (prop){name, required};
}

static void add_pattern(object *o, uint32_t part, const char *text, const pgd_json *schema) {
    pgd_schema *const sc = o->sc;
    const pgd_json *const s = o->flat->v[part].s;
    uint32_t x = PGD_IR_FAIL;
    pgd_error why = {0};
    if (sc->st != PGD_OK) return;
    if (o->n_patterns == MAX_PATTERNS) {
        (void)pgd_schema_fail(sc, PGD_E_UNSUPPORTED, s, "patternProperties",
                              "more than 5 patterns for one object are not supported");
        return;
    }
    const pgd_status st = pgd_regex_parse(sc->ir, pgd_sv_c(text), PGD_CHARS_JSON, true, &x, &why);
    if (st != PGD_OK) (void)pgd_schema_fail(sc, st, s, "patternProperties", why.msg);
    o->patterns[o->n_patterns++] = (pattern){part, x, schema};
}

static void collect(object *o) {
    pgd_schema *const sc = o->sc;
    static const char *const maps[] = {"properties", "patternProperties"};
    for (uint32_t i = 0; i < o->flat->n; i++) {
        const pgd_json *const s = o->flat->v[i].s;
        for (int k = 0; k < 2; k++) {
            const pgd_json *const map = pgd_json_get(s, maps[k]);
            if (map && pgd_json_typeof(map) != PGD_JSON_OBJECT)
                (void)pgd_schema_fail(sc, PGD_E_INVALID, s, maps[k], "is not an object");
            for (const pgd_json *c = pgd_json_first(map); c && sc->st == PGD_OK;
                 c = pgd_json_next(c)) {
                if (k == 0)
                    add_prop(o, pgd_json_key(c), false);
                else
                    add_pattern(o, i, pgd_json_key(c), c);
            }
        }
    }
    for (uint32_t i = 0; i < o->flat->n; i++) {
        const pgd_json *const s = o->flat->v[i].s, *const req = pgd_json_get(s, "required");
        if (req && pgd_json_typeof(req) != PGD_JSON_ARRAY)
            (void)pgd_schema_fail(sc, PGD_E_INVALID, s, "required", "is not an array");
        for (const pgd_json *c = pgd_json_first(req); c && sc->st == PGD_OK; c = pgd_json_next(c)) {
            pgd_sv name;
            if (!pgd_json_as_str(c, &name)) {
                (void)pgd_schema_fail(sc, PGD_E_INVALID, s, "required", "holds no string");
                return;
            }
            const char *const text = pgd_arena_strndup(sc->arena, name.p, name.n);
            if (text)
                add_prop(o, text, true);
            else
                (void)pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory");
        }
    }
}

/* What is known of negated closed objects: their members are none of the others. */
static void collect_negated(object *o) {
    for (uint32_t i = 0; i < o->flat->n; i++) {
        const pgd_part *const p = &o->flat->v[i];
        for (const pgd_json *c = pgd_json_first(pgd_schema_not(p->s, "properties")); c;
             c = pgd_json_next(c))
            add_prop(o, pgd_json_key(c), false);
        if (p->decided & PGD_DECIDED_OTHER) o->others_due = 1;
    }
}

/* The goal of the value of `name` (NULL: of a key that is not listed) that matches exactly the
 * patterns in the set. */
static uint32_t value_goal(const object *o, const char *name, uint32_t matched) {
    pgd_schema *const sc = o->sc;
    pgd_parts p = {0};
    for (uint32_t i = 0; i < o->flat->n; i++) {
        const pgd_json *const s = o->flat->v[i].s;
        const pgd_json *const own = name ? pgd_json_get(pgd_json_get(s, "properties"), name) : NULL;
        bool covered = own != NULL;
        if (own) pgd_parts_add(sc, &p, own, 0);
        for (uint32_t k = 0; k < o->n_patterns; k++) {
            if (o->patterns[k].part != i || !(matched >> k & 1)) continue;
            pgd_parts_add(sc, &p, o->patterns[k].schema, 0);
            covered = true;
        }
        const pgd_json *const more = pgd_json_get(s, "additionalProperties");
        if (!covered && more) pgd_parts_add(sc, &p, more, 0);
        (void)pgd_ir_step(sc->ir, 1 + (name ? o->n_props / 16 : 0)); /* own: a linear search */
    }
    return pgd_schema_goal(sc, &p);
}

/* key restricted by the propertyNames of all parts. */
static uint32_t allowed_key(const object *o, uint32_t key) {
    pgd_schema *const sc = o->sc;
    pgd_parts p = {0};
    for (uint32_t i = 0; i < o->flat->n; i++) {
        const pgd_json *const names = pgd_json_get(o->flat->v[i].s, "propertyNames");
        if (names) pgd_parts_add(sc, &p, names, 0);
    }
    if (p.never) return PGD_IR_FAIL;
    if (p.n == 0) return key;
    const pgd_parts flat = pgd_schema_flatten(sc, &p);
    uint32_t part = 0;
    uintptr_t bit = 0;
    bool single = false;
    const pgd_json *const values = pgd_schema_values(&flat, &single);
    if (flat.never || !(pgd_schema_types(sc, &flat) & PGD_T_STRING)) return PGD_IR_FAIL;
    if (pgd_schema_disjunction(&flat, &part, &bit))
        return pgd_schema_fail(sc, PGD_E_UNSUPPORTED, flat.v[part].s, NULL,
                               "anyOf and oneOf inside propertyNames are not supported");
    key = pgd_ir_and(sc->ir, key, pgd_schema_string(sc, &flat));
    if (!values) return key;
    const size_t mark = pgd_ir_mark(sc->ir);
    for (const pgd_json *v = single ? values : pgd_json_first(values); v;
         v = single ? NULL : pgd_json_next(v)) {
        pgd_sv s;
        if (pgd_json_as_str(v, &s) && pgd_schema_admits(&flat, v))
            pgd_ir_push(sc->ir, pgd_ir_text(sc->ir, s, PGD_CHARS_JSON));
    }
    return pgd_ir_and(sc->ir, pgd_ir_alt(sc->ir, mark), key);
}

/* A member: key, colon, value; one alternative for each set of patterns. `key` is the expression of
 * the key's text. */
static uint32_t member(const object *o, const char *name, uint32_t key) {
    pgd_schema *const sc = o->sc;
    pgd_ir *const ir = sc->ir;
    const size_t alt = pgd_ir_mark(ir);
    key = allowed_key(o, key);
    for (uint32_t set = 0; set < 1u << o->n_patterns && ir->st == PGD_OK; set++) {
        const uint32_t value = value_goal(o, name, set);
        uint32_t k = key;
        if (value == PGD_IR_FAIL) continue;
        for (uint32_t i = 0; i < o->n_patterns; i++)
            k = set >> i & 1 ? pgd_ir_and(ir, k, o->patterns[i].expr)
                             : pgd_ir_diff(ir, k, o->patterns[i].expr);
        const size_t seq = pgd_ir_mark(ir);
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("\"")));
        pgd_ir_push(ir, k);
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("\"")));
        pgd_ir_push(ir, sc->ws);
        pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV(":")));
        pgd_ir_push(ir, sc->ws);
        pgd_ir_push(ir, value);
        pgd_ir_push(ir, sc->ws);
        pgd_ir_push(ir, pgd_ir_seq(ir, seq));
    }
    return pgd_ir_alt(ir, alt);
}

/* A rule for a member that is not listed; PGD_IR_FAIL when there can be none. */
static uint32_t other_member(const object *o) {
    pgd_ir *const ir = o->sc->ir;
    bool possible = false;
    for (uint32_t set = 0; set < 1u << o->n_patterns && !possible; set++)
        possible = value_goal(o, NULL, set) != PGD_IR_FAIL;
    if (!possible) return PGD_IR_FAIL;
    const size_t mark = pgd_ir_mark(ir);
    for (uint32_t i = 0; i < o->n_props; i++)
        pgd_ir_push(ir, pgd_ir_text(ir, pgd_sv_c(o->props[i].name), PGD_CHARS_JSON));
    const uint32_t listed = pgd_ir_alt(ir, mark);
    const uint32_t body = member(o, NULL, pgd_ir_diff(ir, o->sc->any_key, listed));
    const uint32_t rule = pgd_ir_new_rule(ir, PGD_SV(""));
    if (ir->st == PGD_OK) ir->rules[rule].body = body;
    return pgd_ir_rule_ref(ir, rule);
}

static uint32_t with_comma(pgd_schema *sc, uint32_t written, uint32_t x) {
    const size_t mark = pgd_ir_mark(sc->ir);
    if (written > 0) {
        pgd_ir_push(sc->ir, pgd_ir_lit(sc->ir, PGD_SV(",")));
        pgd_ir_push(sc->ir, sc->ws);
    }
    pgd_ir_push(sc->ir, x);
    return pgd_ir_seq(sc->ir, mark);
}

/* What follows all listed properties when `written` members are there. */
static uint32_t finish(const object *o, uint32_t written, uint32_t min, uint32_t max,
                       uint32_t other) {
    pgd_schema *const sc = o->sc;
    pgd_ir *const ir = sc->ir;
    const uint32_t few = min > written ? min - written : 0;
    const uint32_t due = few > o->others_due ? few : o->others_due;
    const uint32_t room = max == PGD_IR_INF ? max : max > written ? max - written : 0;
    uint32_t x = PGD_IR_FAIL;
    if (written > max) return PGD_IR_FAIL;
    if (other == PGD_IR_FAIL || room == 0) {
        x = due ? PGD_IR_FAIL : PGD_IR_EMPTY;
    } else if (written > 0) {
        x = pgd_ir_count(ir, with_comma(sc, 1, other), due, room);
    } else {
        x = pgd_ir_count(ir, with_comma(sc, 1, other), due ? due - 1 : 0,
                         room == PGD_IR_INF ? room : room - 1);
        x = pgd_ir_seq2(ir, other, x);
        if (due == 0) x = pgd_ir_opt(ir, x);
    }
    return pgd_ir_seq2(ir, x, pgd_ir_lit(ir, PGD_SV("}")));
}

/* Rules [position][members written, up to cap], filled from the last position. */
static uint32_t positions(object *o, uint32_t min, uint32_t max, uint32_t other) {
    pgd_schema *const sc = o->sc;
    pgd_ir *const ir = sc->ir;
    const uint32_t top = max == PGD_IR_INF ? min : max + 1;
    const uint32_t most = o->n_props > 0 ? o->n_props : 1;
    const uint32_t cap = top < 1 ? 1 : top > most ? most : top;
    const uint32_t wide = cap + 1, first = (uint32_t)ir->n_rules;
    for (uint64_t i = 0; i < (uint64_t)(o->n_props + 1) * wide && ir->st == PGD_OK; i++)
        (void)pgd_ir_new_rule(ir, PGD_SV(""));
    for (uint32_t i = o->n_props + 1; i-- > 0 && ir->st == PGD_OK && sc->st == PGD_OK;) {
        const bool last = i == o->n_props;
        const char *const name = last ? "" : o->props[i].name;
        const uint32_t one =
            last ? other : member(o, name, pgd_ir_text(ir, pgd_sv_c(name), PGD_CHARS_JSON));
        for (uint32_t w = 0; w <= cap && w <= i + (last ? cap : 0) && ir->st == PGD_OK; w++) {
            uint32_t body = PGD_IR_FAIL;
            if (last) {
                body = finish(o, w, min, max, one);
            } else {
                const uint32_t here = first + i * wide + w, next = here + wide;
                const uint32_t then = pgd_ir_rule_ref(ir, w < cap ? next + 1 : next);
                body = pgd_ir_seq2(ir, with_comma(sc, w, one), then);
                if (!o->props[i].required) body = pgd_ir_alt2(ir, body, pgd_ir_rule_ref(ir, next));
            }
            if (ir->st == PGD_OK) ir->rules[first + i * wide + w].body = body;
        }
    }
    return pgd_ir_rule_ref(ir, first);
}

/* Whether the number of members can be counted: keys that are not listed may repeat, and a repeated
 * key is one member. */
static void check_counts(const object *o, uint32_t min, uint32_t max, uint32_t other) {
    uint32_t required = 0;
    for (uint32_t i = 0; i < o->n_props; i++)
        required += o->props[i].required;
    if (min > 1 && min > required && other != PGD_IR_FAIL)
        (void)pgd_schema_fail(
            o->sc, PGD_E_UNSUPPORTED, o->flat->v[0].s, "minProperties",
            "above 1 and above the number of required properties is not supported "
            "where keys are free: a grammar cannot tell that they differ");
    else if ((min > MAX_COUNTED || (max != PGD_IR_INF && max > MAX_COUNTED)) && o->n_props > 0)
        (void)pgd_schema_fail(o->sc, PGD_E_LIMIT, o->flat->v[0].s, NULL,
                              "minProperties or maxProperties is too large");
}

uint32_t pgd_schema_object(pgd_schema *sc, const pgd_parts *flat) {
    pgd_ir *const ir = sc->ir;
    object o = {.sc = sc, .flat = flat};
    const uint32_t min = pgd_schema_count(sc, flat, "minProperties", true, 0);
    const uint32_t max = pgd_schema_count(sc, flat, "maxProperties", false, PGD_IR_INF);
    if (pgd_strmap_create(&o.index, 16) != PGD_OK)
        return pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory for the grammar");
    collect(&o);
    collect_negated(&o);
    uint32_t x = PGD_IR_FAIL;
    if (sc->st == PGD_OK && min <= max) {
        const uint32_t other = other_member(&o);
        check_counts(&o, min, max, other);
        x = positions(&o, min, max, other);
    }
    pgd_strmap_destroy(&o.index);
    const size_t mark = pgd_ir_mark(ir);
    pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("{")));
    pgd_ir_push(ir, sc->ws);
    pgd_ir_push(ir, x);
    return pgd_ir_seq(ir, mark);
}
