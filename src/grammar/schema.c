/* JSON Schema: goals, references, keywords, errors.
 *
 * Draft 2020-12, the part that a grammar can express. Every keyword is either honoured, or known to
 * say nothing about validity, or refused with its JSON pointer: none is dropped. Schemas that no
 * path from the root reaches are not looked at.
 * Thread: the caller's. Memory: an arena that lives for one compilation. */
#include "schema.h"

#include <string.h>

static const char *const HONOURED[] = {"type",
                                       "enum",
                                       "const",
                                       "$ref",
                                       "allOf",
                                       "anyOf",
                                       "oneOf",
                                       "not",
                                       "$defs",
                                       "definitions",
                                       "properties",
                                       "required",
                                       "additionalProperties",
                                       "patternProperties",
                                       "propertyNames",
                                       "minProperties",
                                       "maxProperties",
                                       "prefixItems",
                                       "items",
                                       "minItems",
                                       "maxItems",
                                       "uniqueItems",
                                       "minLength",
                                       "maxLength",
                                       "pattern",
                                       "format",
                                       "minimum",
                                       "maximum",
                                       "exclusiveMinimum",
                                       "exclusiveMaximum",
                                       "multipleOf",
                                       NULL};
static const char *const SAY_NOTHING[] = {"title",
                                          "description",
                                          "default",
                                          "examples",
                                          "example",
                                          "$comment",
                                          "$schema",
                                          "$id",
                                          "$anchor",
                                          "$vocabulary",
                                          "deprecated",
                                          "readOnly",
                                          "writeOnly",
                                          "contentMediaType",
                                          "contentEncoding",
                                          "contentSchema",
                                          "discriminator",
                                          "externalDocs",
                                          "markdownDescription",
                                          "enumDescriptions",
                                          NULL};

static bool listed(const char *const *names, const char *name) {
    for (; *names; names++)
        if (strcmp(*names, name) == 0) return true;
    return false;
}

bool pgd_schema_says_nothing(const char *keyword) {
    return listed(SAY_NOTHING, keyword) || strncmp(keyword, "x-", 2) == 0 ||
           strcmp(keyword, "$defs") == 0 || strcmp(keyword, "definitions") == 0;
}

bool pgd_schema_holds(const pgd_json *in, const pgd_json *s) {
    if (in == s) return true;
    for (const pgd_json *c = pgd_json_first(in); c; c = pgd_json_next(c))
        if (pgd_schema_holds(c, s)) return true;
    return false;
}

/* ---- Errors ---- */

static void put_token(pgd_buf *b, const char *s) {
    pgd_buf_putc(b, '/');
    for (; *s; s++) {
        if (*s == '~')
            pgd_buf_puts(b, "~0");
        else if (*s == '/')
            pgd_buf_puts(b, "~1");
        else
            pgd_buf_putc(b, *s);
    }
}

/* Append the pointer from `from` to `to`. Depth is bounded by the JSON parser. */
static bool find_pointer(const pgd_json *from, const pgd_json *to, pgd_buf *b) {
    size_t i = 0;
    if (from == to) return true;
    for (const pgd_json *c = pgd_json_first(from); c; c = pgd_json_next(c), i++) {
        const size_t n = b->n;
        const char *const key = pgd_json_key(c);
        if (key)
            put_token(b, key);
        else
            pgd_buf_putf(b, "/%zu", i);
        if (find_pointer(c, to, b)) return true;
        if (!b->failed) b->n = n;
    }
    return false;
}

uint32_t pgd_schema_fail(pgd_schema *sc, pgd_status st, const pgd_json *s, const char *keyword,
                         const char *what) {
    pgd_buf at = {0};
    if (sc->st != PGD_OK) return PGD_IR_FAIL;
    for (const pgd_json *of = s; of; of = pgd_schema_made_of(sc, s))
        s = of; /* no client knows schemas that were made here */
    pgd_buf_putc(&at, '#');
    if (s) (void)find_pointer(sc->root, s, &at);
    if (keyword) put_token(&at, keyword);
    if (keyword)
        sc->st = pgd_fail(sc->err, st, "schema %.400s: keyword '%.100s': %s",
                          at.failed ? "#" : at.p, keyword, what);
    else
        sc->st = pgd_fail(sc->err, st, "schema %.400s: %s", at.failed ? "#" : at.p, what);
    pgd_buf_fini(&at);
    return PGD_IR_FAIL;
}

/* ---- Parts ---- */

void pgd_parts_add(pgd_schema *sc, pgd_parts *p, const pgd_json *s, uintptr_t decided) {
    bool yes = false;
    if (pgd_json_as_bool(s, &yes)) {
        p->never |= !yes;
        return;
    }
    if (pgd_json_typeof(s) != PGD_JSON_OBJECT) {
        (void)pgd_schema_fail(sc, PGD_E_INVALID, s, NULL, "a schema is an object or a boolean");
        return;
    }
    if (!pgd_json_first(s) || !pgd_ir_step(sc->ir, p->n + 1)) return;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->v[i].s == s) {
            p->v[i].decided |= decided;
            return;
        }
    if (p->n == p->cap) {
        const uint32_t cap = p->cap ? 2 * p->cap : 4;
        pgd_part *const v = pgd_arena_array(sc->arena, cap, sizeof *v);
        if (!v) {
            (void)pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory");
            return;
        }
        if (p->n) memcpy(v, p->v, p->n * sizeof *v);
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = (pgd_part){s, decided};
}

static void check_keywords(pgd_schema *sc, const pgd_json *s) {
    for (const pgd_json *c = pgd_json_first(s); c && pgd_ir_step(sc->ir, 1); c = pgd_json_next(c)) {
        const char *const key = pgd_json_key(c);
        if (listed(HONOURED, key) || pgd_schema_says_nothing(key)) continue;
        (void)pgd_schema_fail(sc, PGD_E_UNSUPPORTED, s, key, "is not supported");
        return;
    }
}

static const pgd_json *find_anchor(const pgd_json *from, pgd_sv name) {
    pgd_sv a;
    if (pgd_json_as_str(pgd_json_get(from, "$anchor"), &a) && pgd_sv_eq(a, name)) return from;
    for (const pgd_json *c = pgd_json_first(from); c; c = pgd_json_next(c)) {
        const pgd_json *const found = find_anchor(c, name);
        if (found) return found;
    }
    return NULL;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One token of a pointer with ~ and % escapes undone; NUL-terminated in the arena. */
static char *pointer_token(pgd_schema *sc, pgd_sv t) {
    char *const out = pgd_arena_alloc(sc->arena, t.n + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < t.n; i++) {
        const char c = t.p[i];
        if (c == '~' && i + 1 < t.n) {
            out[n++] = t.p[++i] == '1' ? '/' : '~';
        } else if (c == '%' && i + 2 < t.n && hex_value(t.p[i + 1]) >= 0 &&
                   hex_value(t.p[i + 2]) >= 0) {
            out[n++] = (char)(hex_value(t.p[i + 1]) * 16 + hex_value(t.p[i + 2]));
            i += 2;
        } else {
            out[n++] = c;
        }
    }
    if (out) out[n] = '\0';
    return out;
}

static const pgd_json *child(const pgd_json *v, const char *token) {
    uint64_t i = 0;
    if (pgd_json_typeof(v) == PGD_JSON_OBJECT) return pgd_json_get(v, token);
    if (pgd_json_typeof(v) != PGD_JSON_ARRAY || !pgd_parse_u64(pgd_sv_c(token), &i)) return NULL;
    const pgd_json *c = pgd_json_first(v);
    for (; c && i > 0; i--)
        c = pgd_json_next(c);
    return c;
}

const pgd_json *pgd_schema_resolve(pgd_schema *sc, const pgd_json *s, const pgd_json *ref) {
    pgd_sv r;
    if (!pgd_json_as_str(ref, &r) || r.n == 0) {
        (void)pgd_schema_fail(sc, PGD_E_INVALID, s, "$ref", "is not a reference");
        return NULL;
    }
    if (r.p[0] != '#') {
        (void)pgd_schema_fail(sc, PGD_E_UNSUPPORTED, s, "$ref",
                              "only references inside the schema (#...) are supported");
        return NULL;
    }
    const pgd_json *at = sc->root;
    if (r.n > 1 && r.p[1] != '/') at = find_anchor(at, (pgd_sv){r.p + 1, r.n - 1});
    for (size_t i = 1; at && i < r.n && r.p[i] == '/';) {
        size_t end = i + 1;
        while (end < r.n && r.p[end] != '/')
            end++;
        const char *const token = pointer_token(sc, (pgd_sv){r.p + i + 1, end - i - 1});
        at = token ? child(at, token) : NULL;
        i = end;
    }
    if (!at) (void)pgd_schema_fail(sc, PGD_E_INVALID, s, "$ref", "leads nowhere");
    return at;
}

/* What a `not` that is turned round says; one that stays is only looked at. */
static void flatten_not(pgd_schema *sc, const pgd_json *s, pgd_parts *out) {
    static const char *const kept[] = {"type", "const", "enum", "pattern", "additionalProperties"};
    const pgd_json *const no = pgd_json_get(s, "not"), *list = pgd_schema_not(s, "enum");
    bool stays = !no;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        stays |= pgd_schema_not(s, kept[i]) != NULL;
    if (list && pgd_json_typeof(list) != PGD_JSON_ARRAY)
        (void)pgd_schema_fail(sc, PGD_E_INVALID, no, NULL, "enum is not an array");
    const pgd_json *const turned = stays ? NULL : pgd_schema_negate(sc, no);
    if (turned) pgd_parts_add(sc, out, turned, 0);
}

pgd_parts pgd_schema_flatten(pgd_schema *sc, const pgd_parts *p) {
    pgd_parts out = {.never = p->never};
    for (uint32_t i = 0; i < p->n; i++)
        pgd_parts_add(sc, &out, p->v[i].s, p->v[i].decided);
    for (uint32_t i = 0; i < out.n && sc->st == PGD_OK && pgd_ir_step(sc->ir, 1); i++) {
        const pgd_json *const s = out.v[i].s;
        const pgd_json *const ref = pgd_json_get(s, "$ref"), *const all = pgd_json_get(s, "allOf");
        check_keywords(sc, s);
        if (ref) {
            const pgd_json *const to = pgd_schema_resolve(sc, s, ref);
            if (to == s) (void)pgd_schema_fail(sc, PGD_E_INVALID, s, "$ref", "refers to itself");
            if (to) pgd_parts_add(sc, &out, to, 0);
        }
        if (all && pgd_json_typeof(all) != PGD_JSON_ARRAY)
            (void)pgd_schema_fail(sc, PGD_E_INVALID, s, "allOf", "is not an array");
        for (const pgd_json *c = pgd_json_first(all); c; c = pgd_json_next(c))
            pgd_parts_add(sc, &out, c, 0);
        flatten_not(sc, s, &out);
    }
    return out;
}

/* ---- Reading keywords ---- */

bool pgd_schema_has(const pgd_parts *flat, const char *const *keywords) {
    for (uint32_t i = 0; i < flat->n; i++)
        for (const char *const *k = keywords; *k; k++)
            if (pgd_json_get(flat->v[i].s, *k)) return true;
    return false;
}

uint32_t pgd_schema_count(pgd_schema *sc, const pgd_parts *flat, const char *keyword, bool largest,
                          uint32_t none) {
    uint32_t best = none;
    bool any = false;
    for (uint32_t i = 0; i < flat->n; i++) {
        const pgd_json *const v = pgd_json_get(flat->v[i].s, keyword);
        int64_t n = 0;
        if (!v) continue;
        if (!pgd_json_as_i64(v, &n) || n < 0) {
            (void)pgd_schema_fail(sc, PGD_E_INVALID, flat->v[i].s, keyword,
                                  "is not an integer of 0 or more");
            return none;
        }
        const uint32_t c = n < PGD_IR_INF - 1 ? (uint32_t)n : PGD_IR_INF - 1;
        if (!any || (largest ? c > best : c < best)) best = c;
        any = true;
    }
    return best;
}

static uint32_t type_bits(pgd_schema *sc, const pgd_json *s, const pgd_json *name) {
    static const struct {
        const char *name;
        uint32_t bits;
    } types[] = {{"null", PGD_T_NULL},     {"boolean", PGD_T_BOOL},  {"integer", PGD_T_INT},
                 {"number", PGD_T_NUMBER}, {"string", PGD_T_STRING}, {"array", PGD_T_ARRAY},
                 {"object", PGD_T_OBJECT}};
    pgd_sv t;
    if (pgd_json_as_str(name, &t))
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            if (pgd_sv_eq(t, pgd_sv_c(types[i].name))) return types[i].bits;
    (void)pgd_schema_fail(sc, PGD_E_INVALID, s, "type", "names no JSON type");
    return 0;
}

static uint32_t types_of(pgd_schema *sc, const pgd_json *s, const pgd_json *t) {
    uint32_t bits = 0;
    if (pgd_json_typeof(t) != PGD_JSON_ARRAY) return type_bits(sc, s, t);
    for (const pgd_json *c = pgd_json_first(t); c; c = pgd_json_next(c))
        bits |= type_bits(sc, s, c);
    return bits;
}

uint32_t pgd_schema_types(pgd_schema *sc, const pgd_parts *flat) {
    uint32_t all = PGD_T_ALL;
    for (uint32_t i = 0; i < flat->n; i++) {
        const pgd_json *const s = flat->v[i].s, *const t = pgd_json_get(s, "type");
        const pgd_json *const no = pgd_schema_not(s, "type");
        if (t) all &= types_of(sc, s, t);
        if (no) all &= ~types_of(sc, s, no);
        /* values of other types have the pattern, and no members too many */
        if (pgd_schema_not(s, "pattern")) all &= PGD_T_STRING;
        if (pgd_schema_not(s, "additionalProperties")) all &= PGD_T_OBJECT;
    }
    return all;
}

const pgd_json *pgd_schema_disjunction(const pgd_parts *flat, uint32_t *part, uintptr_t *bit) {
    for (uint32_t i = 0; i < flat->n; i++) {
        const uintptr_t decided = flat->v[i].decided;
        const pgd_json *const any = pgd_json_get(flat->v[i].s, "anyOf");
        const pgd_json *const one = pgd_json_get(flat->v[i].s, "oneOf");
        *part = i;
        *bit = any && !(decided & PGD_DECIDED_ANY) ? PGD_DECIDED_ANY : PGD_DECIDED_ONE;
        if (any && !(decided & PGD_DECIDED_ANY)) return any;
        if (one && !(decided & PGD_DECIDED_ONE)) return one;
    }
    return NULL;
}

pgd_parts pgd_schema_decide(pgd_schema *sc, const pgd_parts *flat, uint32_t part, uintptr_t bit,
                            const pgd_json *branch) {
    pgd_parts out = {.never = flat->never};
    for (uint32_t i = 0; i < flat->n; i++)
        pgd_parts_add(sc, &out, flat->v[i].s, flat->v[i].decided | (i == part ? bit : 0));
    pgd_parts_add(sc, &out, branch, 0);
    return out;
}

/* ---- Goals ---- */

uint32_t pgd_schema_goal(pgd_schema *sc, const pgd_parts *p) {
    const pgd_sv key = {(const char *)p->v, p->n * sizeof *p->v};
    uint64_t found = 0;
    if (p->never || sc->st != PGD_OK || !pgd_ir_step(sc->ir, p->n + 1)) return PGD_IR_FAIL;
    if (pgd_strmap_get(sc->goals, key, &found))
        return pgd_ir_rule_ref(sc->ir, ((pgd_goal *)(uintptr_t)found)->rule);
    pgd_goal *const g = pgd_arena_zalloc(sc->arena, sizeof *g);
    char *const copy = pgd_arena_alloc(sc->arena, key.n + 1);
    if (!g || !copy)
        return pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory for the grammar");
    if (key.n) memcpy(copy, key.p, key.n);
    g->parts = (pgd_parts){.v = (pgd_part *)(void *)copy, .n = p->n, .cap = p->n};
    g->rule = pgd_ir_new_rule(sc->ir, PGD_SV(""));
    if (pgd_strmap_put(sc->goals, (pgd_sv){copy, key.n}, (uintptr_t)g) != PGD_OK)
        return pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory for the grammar");
    if (sc->last)
        sc->last->next = g;
    else
        sc->first = g;
    sc->last = g;
    return pgd_ir_rule_ref(sc->ir, g->rule);
}

static void run_queue(pgd_schema *sc) {
    while (sc->first && sc->st == PGD_OK && sc->ir->st == PGD_OK) {
        const pgd_goal *const g = sc->first;
        sc->first = g->next;
        if (!sc->first) sc->last = NULL;
        const pgd_parts flat = pgd_schema_flatten(sc, &g->parts);
        const uint32_t body = flat.never ? PGD_IR_FAIL : pgd_schema_build(sc, &flat);
        if (sc->ir->st == PGD_OK) sc->ir->rules[g->rule].body = body;
    }
}

/* One character of a text that is known to be well formed in the shortest spelling: where
 * characters begin is all that is left to know, and that takes few states. */
static uint32_t counted_char(pgd_ir *ir) {
    pgd_byteset lead = {{0}}, other = {{0}};
    for (unsigned b = 0; b < 256; b++) {
        if (b != '\\' && (b < 0x80 || b >= 0xC0)) pgd_byteset_add(&lead, (uint8_t)b);
        if (b != 'u') pgd_byteset_add(&other, (uint8_t)b);
    }
    const uint32_t more = pgd_ir_count(ir, pgd_ir_range(ir, 0x80, 0xBF), 0, PGD_IR_INF);
    const uint32_t hex = pgd_ir_count(ir, pgd_ir_range(ir, '0', 'f'), 4, 4);
    const uint32_t code = pgd_ir_seq2(ir, pgd_ir_lit(ir, PGD_SV("u")), hex);
    const uint32_t escape = pgd_ir_alt2(ir, code, pgd_ir_set(ir, &other));
    return pgd_ir_alt2(ir, pgd_ir_seq2(ir, pgd_ir_set(ir, &lead), more),
                       pgd_ir_seq2(ir, pgd_ir_lit(ir, PGD_SV("\\")), escape));
}

static void prepare(pgd_schema *sc) {
    /* No NUL and no lone surrogate, whichever way it is written. */
    static const char any_spelling[] =
        "[^\"\\\\\\x00-\\x1f]|\\\\(?:[\"\\\\/bfnrt]|u(?:[1-9a-cefA-CEF][0-9a-fA-F]{3}|"
        "0[1-9a-fA-F][0-9a-fA-F]{2}|00[1-9a-fA-F][0-9a-fA-F]|000[1-9a-fA-F]|"
        "[dD][0-7][0-9a-fA-F]{2}|[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}))";
    static const char spaces[] = "[ \\n\\t\\r]{0,32}";
    pgd_ir *const ir = sc->ir;
    pgd_cpset all = {0};
    uint32_t ws = PGD_IR_EMPTY;
    pgd_cpset_add(&all, 1, 0x10FFFF);
    const uint32_t plain_char = pgd_ir_class(ir, &all, PGD_CHARS_JSON);
    pgd_cpset_fini(&all);
    sc->any_key = pgd_ir_count(ir, plain_char, 0, PGD_IR_INF);
    sc->counted_char = counted_char(ir);
    sc->st =
        pgd_regex_parse(ir, pgd_sv_c(any_spelling), PGD_CHARS_RAW, false, &sc->json_char, sc->err);
    if (sc->space == PGD_JSON_SPACE_ANY && sc->st == PGD_OK)
        sc->st = pgd_regex_parse(ir, pgd_sv_c(spaces), PGD_CHARS_RAW, false, &ws, sc->err);
    sc->ws = ws;
}

pgd_status pgd_schema_parse(pgd_ir *ir, const pgd_json *schema, pgd_json_space space,
                            uint32_t *root, pgd_error *err) {
    pgd_schema sc = {.ir = ir, .root = schema, .space = space, .err = err};
    if (pgd_arena_create(&sc.arena, (size_t)256 << 20) != PGD_OK ||
        pgd_strmap_create(&sc.goals, 64) != PGD_OK) {
        pgd_arena_destroy(&sc.arena);
        return pgd_fail(err, PGD_E_NOMEM, "out of memory for the grammar");
    }
    pgd_parts p = {0};
    prepare(&sc);
    pgd_parts_add(&sc, &p, schema, 0);
    *root = pgd_schema_goal(&sc, &p);
    run_queue(&sc);
    pgd_schema_free_made(&sc);
    pgd_strmap_destroy(&sc.goals);
    pgd_arena_destroy(&sc.arena);
    if (sc.st == PGD_OK) sc.st = pgd_ir_check(ir, err);
    if (sc.st == PGD_OK && p.never) sc.st = pgd_fail(err, PGD_E_INVALID, "schema #: is false");
    return sc.st;
}
