/* JSON Schema: negation, for `not` and for branches of oneOf that overlap.
 *
 * A value fails a schema if it fails one of its keywords, so the negation is an anyOf of schemas,
 * one a keyword: it is written as JSON and read like any other, nested negations when their turn
 * comes. What cannot be turned round stays a `not` that the builders honour, in four forms:
 * {"not": {"type"}}, {"enum"} or {"const"}, {"pattern"}, and {"properties", "additionalProperties":
 * false}, where all properties are `true`: a member beside those. Only exact negations are made;
 * keywords that have none here are refused, since a value too many would not be valid.
 *
 * Negations are kept by the schema that they negate, so recursive schemas have finitely many.
 * Thread: the caller's. Memory: documents, freed with the compilation; their text is counted as
 * steps, which bounds it. */
#include <string.h>

#include "pagoda/jsonw.h"
#include "schema.h"

enum { STEPS_A_BYTE = 32, MAX_HOPS = 64, EXTRA_DEPTH = 16 };

struct pgd_made {
    pgd_made *next;
    const pgd_json *of; /* what it is made of */
    bool required;      /* not the negation: that the member `of` is there */
    pgd_json_doc *doc;  /* owned */
};

/* ---- What stays a `not` ---- */

static bool all_true(const pgd_json *map) {
    for (const pgd_json *c = pgd_json_first(map); c; c = pgd_json_next(c)) {
        bool yes = false;
        if (!pgd_json_as_bool(c, &yes) || !yes) return false;
    }
    return pgd_json_typeof(map) == PGD_JSON_OBJECT;
}

/* Whether x is {"properties": {…: true}, "additionalProperties": false}. */
static bool is_closed(const pgd_json *x) {
    const pgd_json *const map = pgd_json_get(x, "properties");
    bool more = true;
    return pgd_json_count(x) == 2 && map && all_true(map) &&
           pgd_json_as_bool(pgd_json_get(x, "additionalProperties"), &more) && !more;
}

static bool stays(const pgd_json *x) {
    static const char *const words[] = {"type", "enum", "const", "pattern"};
    if (pgd_json_typeof(x) != PGD_JSON_OBJECT) return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (pgd_json_count(x) == 1 && pgd_json_get(x, words[i])) return true;
    return is_closed(x);
}

const pgd_json *pgd_schema_not(const pgd_json *s, const char *keyword) {
    const pgd_json *const no = pgd_json_get(s, "not");
    return no && stays(no) ? pgd_json_get(no, keyword) : NULL;
}

/* The values that part i must not be: *single, or in a list. NULL: none. */
static const pgd_json *excluded(const pgd_parts *flat, uint32_t i, bool *single) {
    const pgd_json *const one = pgd_schema_not(flat->v[i].s, "const");
    *single = one != NULL;
    return one ? one : pgd_schema_not(flat->v[i].s, "enum");
}

bool pgd_schema_excludes(const pgd_parts *flat, const pgd_json *v) {
    for (uint32_t i = 0; i < flat->n; i++) {
        bool single = false;
        const pgd_json *const list = excluded(flat, i, &single);
        if (single && pgd_value_equal(list, v)) return true;
        for (const pgd_json *c = single ? NULL : pgd_json_first(list); c; c = pgd_json_next(c))
            if (pgd_value_equal(c, v)) return true;
    }
    return false;
}

bool pgd_schema_excludes_word(const pgd_parts *flat, const char *word) {
    for (uint32_t i = 0; i < flat->n; i++) {
        bool single = false, b = false;
        const pgd_json *const list = excluded(flat, i, &single);
        for (const pgd_json *c = single ? list : pgd_json_first(list); c;
             c = single ? NULL : pgd_json_next(c)) {
            if (pgd_json_typeof(c) == PGD_JSON_NULL && word[0] == 'n') return true;
            if (pgd_json_as_bool(c, &b) && word[0] == (b ? 't' : 'f')) return true;
        }
    }
    return false;
}

uint32_t pgd_schema_excluded(pgd_schema *sc, const pgd_parts *flat, uint32_t types) {
    pgd_ir *const ir = sc->ir;
    const size_t mark = pgd_ir_mark(ir);
    for (uint32_t i = 0; i < flat->n; i++) {
        bool single = false;
        const pgd_json *const list = excluded(flat, i, &single);
        for (const pgd_json *c = single ? list : pgd_json_first(list); c;
             c = single ? NULL : pgd_json_next(c)) {
            const uint32_t type = pgd_value_type(c) & types;
            pgd_sv s;
            double d = 0;
            if (!type || !pgd_ir_step(ir, 1)) continue;
            if (type & ~(uint32_t)(PGD_T_INT | PGD_T_STRING)) {
                ir->n_stack = mark;
                return pgd_schema_fail(sc, PGD_E_UNSUPPORTED, flat->v[i].s, "not",
                                       "arrays, objects and fractions cannot be told from a "
                                       "constant that must not be");
            }
            if (pgd_json_as_str(c, &s))
                pgd_ir_push(ir, pgd_ir_text(ir, s, PGD_CHARS_JSON));
            else
                pgd_ir_push(ir, pgd_value_expr(sc, c));
            if (pgd_json_as_f64(c, &d) && d == 0) pgd_ir_push(ir, pgd_ir_lit(ir, PGD_SV("-0")));
        }
    }
    return pgd_ir_alt(ir, mark);
}

/* ---- Writing a negation ---- */

typedef struct writer {
    pgd_schema *sc;
    const pgd_json *x; /* what is negated */
    pgd_jsonw w;
    uint32_t n; /* schemas written */
} writer;

static void fail_keyword(writer *w, pgd_status st, const char *keyword, const char *what) {
    (void)pgd_schema_fail(w->sc, st, w->x, keyword, what);
}

static void unsupported(writer *w, const char *keyword) {
    fail_keyword(w, PGD_E_UNSUPPORTED, keyword,
                 "cannot be negated, which `not` and branches of oneOf that overlap need; use "
                 "anyOf, or tell branches apart by type or a constant");
}

/* {"type": type, ; the caller closes. type NULL: none. */
static void open_schema(writer *w, const char *type) {
    w->n++;
    pgd_jsonw_obj(&w->w);
    if (!type) return;
    pgd_jsonw_key(&w->w, "type");
    pgd_jsonw_cstr(&w->w, type);
}

/* "not": v, in a schema that is open, or of its own. */
static void put_not(writer *w, const pgd_json *v) {
    pgd_jsonw_key(&w->w, "not");
    pgd_jsonw_node(&w->w, v);
}

static void add_not(writer *w, const pgd_json *v) {
    open_schema(w, NULL);
    put_not(w, v);
    pgd_jsonw_end_obj(&w->w);
}

static void add_not_keyword(writer *w, const char *type, const char *keyword, const pgd_json *v) {
    open_schema(w, type);
    pgd_jsonw_key(&w->w, "not");
    pgd_jsonw_obj(&w->w);
    pgd_jsonw_key(&w->w, keyword);
    pgd_jsonw_node(&w->w, v);
    pgd_jsonw_end_obj(&w->w);
    pgd_jsonw_end_obj(&w->w);
}

/* One schema that none of the list holds of. */
static void add_none(writer *w, const pgd_json *list) {
    open_schema(w, NULL);
    pgd_jsonw_key(&w->w, "allOf");
    pgd_jsonw_arr(&w->w);
    for (const pgd_json *c = pgd_json_first(list); c; c = pgd_json_next(c)) {
        pgd_jsonw_obj(&w->w);
        put_not(w, c);
        pgd_jsonw_end_obj(&w->w);
    }
    pgd_jsonw_end_arr(&w->w);
    pgd_jsonw_end_obj(&w->w);
}

/* For each two of the list a schema that both hold of. */
static void add_pairs(writer *w, const pgd_json *list) {
    for (const pgd_json *a = pgd_json_first(list); a; a = pgd_json_next(a))
        for (const pgd_json *b = pgd_json_next(a); b; b = pgd_json_next(b)) {
            if (!pgd_ir_step(w->sc->ir, w->w.buf->n)) return;
            open_schema(w, NULL);
            pgd_jsonw_key(&w->w, "allOf");
            pgd_jsonw_arr(&w->w);
            pgd_jsonw_node(&w->w, a);
            pgd_jsonw_node(&w->w, b);
            pgd_jsonw_end_arr(&w->w);
            pgd_jsonw_end_obj(&w->w);
        }
}

static void negate_list(writer *w, const char *keyword, const pgd_json *list) {
    if (pgd_json_typeof(list) != PGD_JSON_ARRAY || !pgd_json_first(list)) {
        fail_keyword(w, PGD_E_INVALID, keyword, "is not a filled array");
    } else if (strcmp(keyword, "allOf") == 0) {
        for (const pgd_json *c = pgd_json_first(list); c; c = pgd_json_next(c))
            add_not(w, c);
    } else {
        add_none(w, list);
        if (strcmp(keyword, "oneOf") == 0) add_pairs(w, list);
    }
}

static void negate_required(writer *w, const pgd_json *list) {
    for (const pgd_json *c = pgd_json_first(list); c; c = pgd_json_next(c)) {
        pgd_sv name;
        if (!pgd_json_as_str(c, &name)) {
            fail_keyword(w, PGD_E_INVALID, "required", "holds no string");
            return;
        }
        const char *const text = pgd_arena_strndup(w->sc->arena, name.p, name.n);
        open_schema(w, "object");
        pgd_jsonw_key(&w->w, "properties");
        pgd_jsonw_obj(&w->w);
        pgd_jsonw_key(&w->w, text ? text : "");
        pgd_jsonw_bool(&w->w, false);
        pgd_jsonw_end_obj(&w->w);
        pgd_jsonw_end_obj(&w->w);
        if (!text) fail_keyword(w, PGD_E_NOMEM, NULL, "out of memory");
    }
}

static void negate_properties(writer *w, const pgd_json *map) {
    for (const pgd_json *c = pgd_json_first(map); c; c = pgd_json_next(c)) {
        if (!pgd_ir_step(w->sc->ir, 1) || pgd_json_get(map, pgd_json_key(c)) != c) continue;
        open_schema(w, "object");
        pgd_jsonw_key(&w->w, "required");
        pgd_jsonw_arr(&w->w);
        pgd_jsonw_cstr(&w->w, pgd_json_key(c));
        pgd_jsonw_end_arr(&w->w);
        pgd_jsonw_key(&w->w, "properties");
        pgd_jsonw_obj(&w->w);
        pgd_jsonw_key(&w->w, pgd_json_key(c));
        pgd_jsonw_obj(&w->w);
        put_not(w, c);
        pgd_jsonw_end_obj(&w->w);
        pgd_jsonw_end_obj(&w->w);
        pgd_jsonw_end_obj(&w->w);
    }
}

static void negate_additional(writer *w, const pgd_json *v) {
    const pgd_json *const map = pgd_json_get(w->x, "properties");
    bool yes = false;
    const bool boolean = pgd_json_as_bool(v, &yes);
    if ((boolean && yes) || (pgd_json_typeof(v) == PGD_JSON_OBJECT && !pgd_json_first(v))) return;
    if (!boolean || pgd_json_get(w->x, "patternProperties")) {
        unsupported(w, "additionalProperties");
        return;
    }
    open_schema(w, "object");
    pgd_jsonw_key(&w->w, "not");
    pgd_jsonw_obj(&w->w);
    pgd_jsonw_key(&w->w, "properties");
    pgd_jsonw_obj(&w->w);
    for (const pgd_json *c = pgd_json_first(map); c; c = pgd_json_next(c)) {
        if (pgd_json_get(map, pgd_json_key(c)) != c) continue;
        pgd_jsonw_key(&w->w, pgd_json_key(c));
        pgd_jsonw_bool(&w->w, true);
    }
    pgd_jsonw_end_obj(&w->w);
    pgd_jsonw_key(&w->w, "additionalProperties");
    pgd_jsonw_bool(&w->w, false);
    pgd_jsonw_end_obj(&w->w);
    pgd_jsonw_end_obj(&w->w);
}

/* Bounds, whose negation is another bound. */
typedef struct bound {
    const char *keyword, *type, *other;
    int step; /* 0: of numbers; else the other one is that far off */
} bound;

static const bound bounds[] = {
    {"minimum", "number", "exclusiveMaximum", 0},
    {"maximum", "number", "exclusiveMinimum", 0},
    {"exclusiveMinimum", "number", "maximum", 0},
    {"exclusiveMaximum", "number", "minimum", 0},
    {"minLength", "string", "maxLength", -1},
    {"maxLength", "string", "minLength", 1},
    {"minItems", "array", "maxItems", -1},
    {"maxItems", "array", "minItems", 1},
    {"minProperties", "object", "maxProperties", -1},
    {"maxProperties", "object", "minProperties", 1},
};

static void negate_bound(writer *w, const bound *b, const pgd_json *v) {
    int64_t n = 0;
    if (b->step && (!pgd_json_as_i64(v, &n) || n < 0 || n > INT64_MAX - 1)) {
        fail_keyword(w, PGD_E_INVALID, b->keyword, "is not an integer of 0 or more");
        return;
    }
    if (b->step < 0 && n == 0) return; /* always holds */
    open_schema(w, b->type);
    pgd_jsonw_key(&w->w, b->other);
    if (b->step)
        pgd_jsonw_i64(&w->w, n + b->step);
    else
        pgd_jsonw_node(&w->w, v);
    pgd_jsonw_end_obj(&w->w);
}

static void negate_keyword(writer *w, const char *key, const pgd_json *v) {
    bool yes = true;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        if (strcmp(bounds[i].keyword, key) == 0) {
            negate_bound(w, &bounds[i], v);
            return;
        }
    if (strcmp(key, "type") == 0 || strcmp(key, "enum") == 0 || strcmp(key, "const") == 0 ||
        strcmp(key, "$ref") == 0)
        add_not_keyword(w, NULL, key, v);
    else if (strcmp(key, "pattern") == 0)
        add_not_keyword(w, "string", key, v);
    else if (strcmp(key, "allOf") == 0 || strcmp(key, "anyOf") == 0 || strcmp(key, "oneOf") == 0)
        negate_list(w, key, v);
    else if (strcmp(key, "required") == 0)
        negate_required(w, v);
    else if (strcmp(key, "properties") == 0)
        negate_properties(w, v);
    else if (strcmp(key, "additionalProperties") == 0)
        negate_additional(w, v);
    else if (strcmp(key, "uniqueItems") == 0 && pgd_json_as_bool(v, &yes) && !yes)
        return;
    else if (strcmp(key, "not") == 0) {
        w->n++;
        pgd_jsonw_node(&w->w, v);
    } else if (!pgd_schema_says_nothing(key)) {
        unsupported(w, key);
    }
}

/* The text of the negation of x, an object that is neither a reference alone nor stays a `not`. */
static void write_negation(writer *w) {
    pgd_jsonw_obj(&w->w);
    pgd_jsonw_key(&w->w, "anyOf");
    pgd_jsonw_arr(&w->w);
    for (const pgd_json *c = pgd_json_first(w->x); c && w->sc->st == PGD_OK; c = pgd_json_next(c))
        if (pgd_ir_step(w->sc->ir, 1) && pgd_json_get(w->x, pgd_json_key(c)) == c)
            negate_keyword(w, pgd_json_key(c), c);
    pgd_jsonw_end_arr(&w->w);
    pgd_jsonw_end_obj(&w->w);
}

/* ---- Keeping them ---- */

static const pgd_json *kept(pgd_schema *sc, const pgd_json *of, bool required) {
    for (const pgd_made *m = sc->made; m && pgd_ir_step(sc->ir, 1); m = m->next)
        if (m->of == of && m->required == required) return pgd_json_root(m->doc);
    return NULL;
}

static const pgd_json *keep(pgd_schema *sc, const pgd_json *of, bool required, pgd_sv text) {
    const pgd_json_limits lim = {.max_bytes = sc->ir->lim->max_source_bytes + 1024,
                                 .max_nodes = sc->ir->lim->max_source_bytes + 1024,
                                 .max_depth = sc->ir->lim->max_depth + EXTRA_DEPTH};
    pgd_made *const m = pgd_arena_zalloc(sc->arena, sizeof *m);
    pgd_error err = {0};
    if (!pgd_ir_step(sc->ir, text.n * STEPS_A_BYTE)) return NULL;
    if (!m || pgd_json_parse(text, &lim, &m->doc, &err) != PGD_OK) {
        (void)pgd_schema_fail(sc, m && err.code == PGD_E_LIMIT ? PGD_E_LIMIT : PGD_E_NOMEM, of,
                              NULL, m && err.msg[0] ? err.msg : "out of memory");
        return NULL;
    }
    m->of = of;
    m->required = required;
    m->next = sc->made;
    sc->made = m;
    return pgd_json_root(m->doc);
}

static const pgd_json *make(pgd_schema *sc, const pgd_json *x) {
    pgd_buf text = {0};
    writer w = {.sc = sc, .x = x};
    pgd_jsonw_init(&w.w, &text);
    if (stays(x)) {
        add_not(&w, x);
    } else {
        write_negation(&w);
        if (!w.n) { /* nothing to fail: no value */
            pgd_buf_clear(&text);
            pgd_buf_puts(&text, "false");
        }
    }
    if (text.failed) (void)pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory");
    const pgd_json *const out = sc->st == PGD_OK ? keep(sc, x, false, pgd_buf_sv(&text)) : NULL;
    pgd_buf_fini(&text);
    return out;
}

/* A schema that only refers to another one is that one. */
static const pgd_json *target(pgd_schema *sc, const pgd_json *x) {
    const pgd_json *ref = NULL;
    for (int hops = 0; (ref = pgd_json_get(x, "$ref")) && pgd_json_count(x) == 1; hops++) {
        if (hops == MAX_HOPS)
            (void)pgd_schema_fail(sc, PGD_E_INVALID, x, "$ref", "refers to itself");
        x = sc->st == PGD_OK ? pgd_schema_resolve(sc, x, ref) : NULL;
        if (!x) return NULL;
    }
    return x;
}

const pgd_json *pgd_schema_negate(pgd_schema *sc, const pgd_json *x) {
    bool yes = false;
    x = target(sc, x);
    if (!x || sc->st != PGD_OK) return NULL;
    const pgd_json *const known = kept(sc, x, false);
    if (known) return known;
    if (pgd_json_as_bool(x, &yes))
        return keep(sc, x, false, yes ? PGD_SV("false") : PGD_SV("true"));
    if (pgd_json_typeof(x) != PGD_JSON_OBJECT) {
        (void)pgd_schema_fail(sc, PGD_E_INVALID, x, NULL, "a schema is an object or a boolean");
        return NULL;
    }
    return make(sc, x);
}

const pgd_json *pgd_schema_require(pgd_schema *sc, const pgd_json *member) {
    pgd_buf text = {0};
    pgd_jsonw w;
    const pgd_json *out = kept(sc, member, true);
    if (out) return out;
    pgd_jsonw_init(&w, &text);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "required");
    pgd_jsonw_arr(&w);
    pgd_jsonw_cstr(&w, pgd_json_key(member));
    pgd_jsonw_end_arr(&w);
    pgd_jsonw_end_obj(&w);
    if (text.failed)
        (void)pgd_schema_fail(sc, PGD_E_NOMEM, NULL, NULL, "out of memory");
    else
        out = keep(sc, member, true, pgd_buf_sv(&text));
    pgd_buf_fini(&text);
    return out;
}

const pgd_json *pgd_schema_made_of(const pgd_schema *sc, const pgd_json *s) {
    for (const pgd_made *m = sc->made; m; m = m->next)
        if (pgd_schema_holds(pgd_json_root(m->doc), s)) return m->of;
    return NULL;
}

void pgd_schema_free_made(pgd_schema *sc) {
    for (pgd_made *m = sc->made; m; m = m->next)
        pgd_json_free(&m->doc);
    sc->made = NULL;
}
