/* The arguments of one tool as a grammar: its schema where a format writes them as JSON, or a list
 * of parameters where it writes them between tags or commas.
 *
 * A schema of arguments is made to say that it is an object's: many leave that out. Tags can only
 * be given to parameters that are listed, so there a schema is its `properties` and `required`; a
 * text value between tags is free up to its end (lists of values are honoured, patterns and lengths
 * are not), any other value is JSON by its own schema. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "constrain.h"
#include "pagoda/jsonw.h"

enum { MAX_PARAMS = 256 };

static pgd_sv keep(api_builder *b, pgd_buf *buf) {
    const char *const p = buf->failed ? NULL : pgd_arena_strndup(b->arena, buf->p, buf->n);
    const pgd_sv s = {p ? p : "", p ? buf->n : 0};
    b->failed = b->failed || !p;
    pgd_buf_fini(buf);
    return s;
}

static bool is_text(const pgd_json *v, const char *want) {
    pgd_sv s;
    return pgd_json_as_str(v, &s) && pgd_sv_eq(s, pgd_sv_c(want));
}

/* Whether a schema's type, if it has one, admits objects. */
static bool may_be_object(const pgd_json *schema) {
    const pgd_json *const type = pgd_json_get(schema, "type");
    if (!type || is_text(type, "object")) return true;
    for (const pgd_json *t = pgd_json_first(type); t; t = pgd_json_next(t))
        if (is_text(t, "object")) return true;
    return false;
}

pgd_status api_args_schema(api_builder *b, const api_tool *t, pgd_sv *text, bool *none,
                           api_error *e) {
    const pgd_json *const s = t->parameters;
    bool yes = false;
    *none = !s;
    *text = PGD_SV("{\"type\":\"object\"}");
    if (!s || (pgd_json_as_bool(s, &yes) && yes)) return PGD_OK;
    if (pgd_json_typeof(s) != PGD_JSON_OBJECT) return api_fail_type(e, t->path, "an object", s);
    if (!may_be_object(s)) {
        if (!t->strict) return PGD_OK;
        return api_fail(e, PGD_E_INVALID, "invalid_json_schema", t->path,
                        "Invalid schema for '%s': the type of a function's parameters must be "
                        "'object'.",
                        t->path);
    }
    pgd_buf out = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "type");
    pgd_jsonw_cstr(&w, "object");
    for (const pgd_json *v = pgd_json_first(s); v; v = pgd_json_next(v)) {
        if (strcmp(pgd_json_key(v), "type") == 0) continue;
        pgd_jsonw_key(&w, pgd_json_key(v));
        pgd_jsonw_node(&w, v);
    }
    pgd_jsonw_end_obj(&w);
    *text = keep(b, &out);
    return PGD_OK;
}

/* ---- parameters between tags ---- */

/* The schema of one parameter on its own: with the definitions that it may refer to. */
static pgd_sv param_schema(api_builder *b, const pgd_json *root, const pgd_json *schema) {
    static const char *const shared[] = {"$defs", "definitions"};
    pgd_buf out = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &out);
    if (pgd_json_typeof(schema) != PGD_JSON_OBJECT) {
        pgd_jsonw_node(&w, schema);
        return keep(b, &out);
    }
    pgd_jsonw_obj(&w);
    for (const pgd_json *v = pgd_json_first(schema); v; v = pgd_json_next(v)) {
        pgd_jsonw_key(&w, pgd_json_key(v));
        pgd_jsonw_node(&w, v);
    }
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        const pgd_json *const defs = pgd_json_get(root, shared[i]);
        if (!defs || pgd_json_get(schema, shared[i])) continue;
        pgd_jsonw_key(&w, shared[i]);
        pgd_jsonw_node(&w, defs);
    }
    pgd_jsonw_end_obj(&w);
    return keep(b, &out);
}

/* The listed texts of a schema of strings, as a choice; false when it lists none. */
static bool listed(api_builder *b, const pgd_json *schema, pgd_grammar_spec *out) {
    const pgd_json *const one = pgd_json_get(schema, "const");
    const pgd_json *const many = pgd_json_get(schema, "enum");
    const pgd_json *const first = one ? one : pgd_json_first(many);
    const size_t n = one ? 1 : pgd_json_count(many);
    pgd_sv *const v = pgd_arena_array(b->arena, n ? n : 1, sizeof *v);
    size_t used = 0;
    b->failed = b->failed || !v;
    if (!v || !first) return false;
    for (const pgd_json *x = first; x && used < n; x = pgd_json_next(x)) {
        if (pgd_json_as_str(x, &v[used])) used++;
        if (one) break;
    }
    if (!used) return false;
    *out = (pgd_grammar_spec){.kind = PGD_GRAMMAR_CHOICE, .choices = v, .n_choices = used};
    return true;
}

static const char *type_of(const pgd_json *schema) {
    static const char *const names[] = {"string",  "number", "integer",
                                        "boolean", "object", "array"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_text(pgd_json_get(schema, "type"), names[i])) return names[i];
    return "object";
}

static pgd_grammar_spec one_param(api_builder *b, const api_args_form *f, const api_tool *t,
                                  const pgd_json *schema) {
    const bool raw = f->raw_end && is_text(pgd_json_get(schema, "type"), "string");
    char head[128];
    pgd_grammar_spec value;
    (void)snprintf(head, sizeof head, "%s%s%s", f->typed ? "\" type=\"" : "",
                   f->typed ? type_of(schema) : "", f->key_end);
    if (raw && !listed(b, schema, &value)) {
        value = api_spec_free(b, &f->raw_end, 1, "");
    } else if (!raw) {
        value = api_spec_json(param_schema(b, t->parameters, schema), !t->strict, t->path);
    }
    return API_SEQ(b, api_spec_text(b, f->param), api_spec_text(b, pgd_json_key(schema)),
                   api_spec_text(b, head), value, api_spec_text(b, f->value_end));
}

static bool is_required(const pgd_json *root, const char *key) {
    for (const pgd_json *r = pgd_json_first(pgd_json_get(root, "required")); r;
         r = pgd_json_next(r))
        if (is_text(r, key)) return true;
    return false;
}

/* Keys that stand in the text as they are. */
static bool key_is_sane(const char *key) {
    const size_t n = strlen(key);
    if (!n || n > 64) return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)key[i] <= ' ' || strchr("\"<>{}()=,\x7F", key[i])) return false;
    return true;
}

/* params[0..n), of which the first n_required must stand; each but the first behind `between`. */
static pgd_grammar_spec in_order(api_builder *b, const char *between,
                                 const pgd_grammar_spec *params, size_t n, size_t n_required) {
    const pgd_grammar_spec comma = api_spec_text(b, between);
    pgd_grammar_spec *const seq = pgd_arena_array(b->arena, n + 1, sizeof *seq);
    size_t k = 0;
    b->failed = b->failed || !seq;
    if (!seq) return comma;
    for (size_t i = 0; i < n; i++) {
        const pgd_grammar_spec p = i ? API_SEQ(b, comma, params[i]) : params[i];
        seq[k++] = i < n_required ? p : api_spec_optional(b, p);
    }
    return api_spec_join(b, PGD_GRAMMAR_SEQ, seq, k);
}

/* With separators and nothing required, the first that stands has none before it. */
static pgd_grammar_spec any_first(api_builder *b, const char *between,
                                  const pgd_grammar_spec *params, size_t n) {
    pgd_grammar_spec *const alt = pgd_arena_array(b->arena, n + 1, sizeof *alt);
    b->failed = b->failed || !alt;
    if (!alt) return params[0];
    for (size_t i = 0; i < n; i++)
        alt[i] = in_order(b, between, params + i, n - i, 1);
    return api_spec_optional(b, api_spec_join(b, PGD_GRAMMAR_ALT, alt, n));
}

pgd_status api_spec_args(api_builder *b, const api_args_form *f, const api_tool *t,
                         pgd_grammar_spec *out, api_error *e) {
    const pgd_json *const props = pgd_json_get(t->parameters, "properties");
    const size_t n = pgd_json_count(props);
    *out = (pgd_grammar_spec){.kind = PGD_GRAMMAR_SEQ};
    if (!pgd_json_first(props)) return PGD_OK;
    if (n > MAX_PARAMS)
        return api_fail(e, PGD_E_LIMIT, "invalid_json_schema", t->path,
                        "Invalid schema for '%s': %zu properties, at most %d are served in this "
                        "model's form of calls.",
                        t->path, n, (int)MAX_PARAMS);
    pgd_grammar_spec *const p = pgd_arena_array(b->arena, n, sizeof *p);
    if (!p) return api_fail_nomem(e);
    size_t k = 0, n_required = 0;
    for (int optional = 0; optional < 2; optional++) {
        for (const pgd_json *v = pgd_json_first(props); v; v = pgd_json_next(v)) {
            const char *const key = pgd_json_key(v);
            if (is_required(t->parameters, key) == (optional == 1)) continue;
            if (key_is_sane(key))
                p[k++] = one_param(b, f, t, v);
            else if (!optional)
                return api_fail(e, PGD_E_UNSUPPORTED, "invalid_json_schema", t->path,
                                "Invalid schema for '%s': a required property cannot be written in "
                                "this model's form of calls.",
                                t->path);
        }
        if (!optional) n_required = k;
    }
    if (!k) return PGD_OK;
    *out = n_required || !f->between ? in_order(b, f->between, p, k, n_required)
                                     : any_first(b, f->between, p, k < 24 ? k : 24);
    return PGD_OK;
}
