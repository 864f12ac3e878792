/* The fields that demand a form of the whole answer, whatever client they come from: OpenAI's
 * response_format, vLLM's structured_outputs and guided_*, SGLang's regex, ebnf and json_schema,
 * llama.cpp's grammar; structural_tag is taken apart in structural_tag.c. One demand at most: two
 * would have to be intersected, and clients that send two mean one of them. Schemas become text,
 * which is what limits and caches count. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "demand.h"
#include "pagoda/jsonw.h"

enum { MAX_NAME = 64 };

typedef struct reader {
    pgd_arena *arena;
    api_demand *out;
    api_error *e;
    pgd_json_space space;
} reader;

static pgd_status demand(reader *r, const char *param, pgd_grammar_kind kind, pgd_sv text) {
    if (r->out->param)
        return api_fail(r->e, PGD_E_INVALID, "invalid_value", param,
                        "Invalid request: '%s' and '%s' both constrain the output; only one may be "
                        "given.",
                        r->out->param, param);
    *r->out = (api_demand){.param = param, .spec = {.kind = kind, .text = text, .space = r->space}};
    return PGD_OK;
}

static pgd_status demand_text(reader *r, const char *param, pgd_grammar_kind kind,
                              const pgd_json *v) {
    pgd_sv s;
    if (!pgd_json_as_str(v, &s)) return api_fail_type(r->e, param, "a string", v);
    return demand(r, param, kind, s);
}

pgd_status api_schema_text(pgd_arena *a, const char *param, const pgd_json *v, pgd_sv *out,
                           api_error *e) {
    const pgd_json_type t = pgd_json_typeof(v);
    if (pgd_json_as_str(v, out)) return PGD_OK;
    if (t != PGD_JSON_OBJECT && t != PGD_JSON_BOOL) return api_fail_type(e, param, "an object", v);
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    pgd_jsonw_node(&w, v);
    const char *const copy = b.failed ? NULL : pgd_arena_strndup(a, b.p, b.n);
    *out = (pgd_sv){copy, b.n};
    pgd_buf_fini(&b);
    return copy ? PGD_OK : api_fail_nomem(e);
}

static pgd_status demand_schema(reader *r, const char *param, const pgd_json *v) {
    pgd_sv text;
    PGD_TRY(api_schema_text(r->arena, param, v, &text, r->e));
    return demand(r, param, PGD_GRAMMAR_JSON_SCHEMA, text);
}

static void free_doc(void *arg) {
    pgd_json_doc *doc = arg;
    pgd_json_free(&doc);
}

/* The value, or what the string holds that vLLM makes of it: *out then lives as long as the arena.
 */
static pgd_status unquote(reader *r, const char *param, const pgd_json *v, const pgd_json **out) {
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    pgd_sv s;
    *out = v;
    if (!pgd_json_as_str(v, &s)) return PGD_OK;
    if (pgd_json_parse(s, &pgd_json_limits_request, &doc, &err) != PGD_OK)
        return api_fail(r->e, err.code == PGD_E_NOMEM ? PGD_E_NOMEM : PGD_E_INVALID,
                        "invalid_value", param, "Invalid '%s': %.800s", param, err.msg);
    *out = pgd_json_root(doc);
    if (pgd_arena_cleanup(r->arena, free_doc, doc) == PGD_OK) return PGD_OK;
    pgd_json_free(&doc);
    return api_fail_nomem(r->e);
}

static pgd_status demand_tags(reader *r, const char *param, const pgd_json *v) {
    pgd_grammar_spec spec;
    const pgd_json *tags;
    PGD_TRY(unquote(r, param, v, &tags));
    PGD_TRY(api_read_structural_tag(r->arena, param, tags, r->space, &spec, r->e));
    PGD_TRY(demand(r, param, PGD_GRAMMAR_SEQ, (pgd_sv){NULL, 0}));
    r->out->spec = spec;
    return PGD_OK;
}

static pgd_status demand_choice(reader *r, const char *param, const pgd_json *v) {
    if (pgd_json_typeof(v) != PGD_JSON_ARRAY) return api_fail_type(r->e, param, "an array", v);
    const size_t n = pgd_json_count(v);
    pgd_sv *const s = pgd_arena_array(r->arena, n ? n : 1, sizeof *s);
    if (!s) return api_fail_nomem(r->e);
    size_t i = 0;
    for (const pgd_json *x = pgd_json_first(v); x; x = pgd_json_next(x), i++) {
        if (pgd_json_as_str(x, &s[i])) continue;
        char path[API_PARAM_BYTES];
        (void)snprintf(path, sizeof path, "%s[%zu]", param, i);
        return api_fail_type(r->e, path, "a string", x);
    }
    PGD_TRY(demand(r, param, PGD_GRAMMAR_CHOICE, (pgd_sv){NULL, 0}));
    r->out->spec.choices = s;
    r->out->spec.n_choices = n;
    return PGD_OK;
}

/* ---- response_format ---- */

static pgd_status check_schema_name(reader *r, const pgd_json *v) {
    static const char path[] = "response_format.json_schema.name";
    pgd_sv s;
    if (pgd_json_is_null(v)) return api_fail_missing(r->e, path);
    if (!pgd_json_as_str(v, &s)) return api_fail_type(r->e, path, "a string", v);
    bool ok = s.n > 0 && s.n <= MAX_NAME;
    for (size_t i = 0; ok && i < s.n; i++)
        ok = (s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
             (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '-';
    if (ok) return PGD_OK;
    char quoted[API_QUOTE_BYTES];
    return api_fail(r->e, PGD_E_INVALID, "invalid_value", path,
                    "Invalid '%s': '%s'. Expected 1 to %d letters, digits, '_' and '-'.", path,
                    api_quote(quoted, s), (int)MAX_NAME);
}

static pgd_status read_json_schema(reader *r, const pgd_json *format) {
    static const char path[] = "response_format.json_schema.schema";
    const pgd_json *const js = pgd_json_get(format, "json_schema");
    const pgd_json *const flat = pgd_json_get(format, "schema");
    if (pgd_json_is_null(js) && !pgd_json_is_null(flat)) /* llama.cpp */
        return demand_schema(r, "response_format.schema", flat);
    if (pgd_json_is_null(js)) return api_fail_missing(r->e, "response_format.json_schema");
    if (pgd_json_typeof(js) != PGD_JSON_OBJECT)
        return api_fail_type(r->e, "response_format.json_schema", "an object", js);
    PGD_TRY(check_schema_name(r, pgd_json_get(js, "name")));
    bool strict;
    const pgd_json *const s = pgd_json_get(js, "strict");
    if (!pgd_json_is_null(s) && !pgd_json_as_bool(s, &strict))
        return api_fail_type(r->e, "response_format.json_schema.strict", "a boolean", s);
    const pgd_json *const schema = pgd_json_get(js, "schema");
    if (pgd_json_is_null(schema)) return api_fail_missing(r->e, path);
    return demand_schema(r, path, schema);
}

static pgd_status read_format(reader *r, const pgd_json *v) {
    static const char path[] = "response_format.type";
    const pgd_json *const t = pgd_json_get(v, "type");
    pgd_sv type;
    char quoted[API_QUOTE_BYTES];
    if (pgd_json_is_null(t)) return api_fail_missing(r->e, path);
    if (!pgd_json_as_str(t, &type)) return api_fail_type(r->e, path, "a string", t);
    if (pgd_sv_eq(type, PGD_SV("text"))) return PGD_OK;
    if (pgd_sv_eq(type, PGD_SV("json_schema"))) return read_json_schema(r, v);
    if (pgd_sv_eq(type, PGD_SV("json_object"))) {
        const pgd_json *const schema = pgd_json_get(v, "schema");
        if (!pgd_json_is_null(schema)) return demand_schema(r, "response_format.schema", schema);
        return demand(r, "response_format", PGD_GRAMMAR_JSON_OBJECT, (pgd_sv){NULL, 0});
    }
    if (pgd_sv_eq(type, PGD_SV("structural_tag"))) return demand_tags(r, "response_format", v);
    return api_fail(r->e, PGD_E_INVALID, "invalid_value", path,
                    "Invalid value: '%s'. Supported values are: 'text', 'json_object', "
                    "'json_schema', and 'structural_tag'.",
                    api_quote(quoted, type));
}

/* ---- structured_outputs ---- */

static pgd_status read_member(reader *r, const char *key, const pgd_json *v) {
    bool yes;
    if (strcmp(key, "json") == 0) return demand_schema(r, "structured_outputs.json", v);
    if (strcmp(key, "regex") == 0)
        return demand_text(r, "structured_outputs.regex", PGD_GRAMMAR_REGEX, v);
    if (strcmp(key, "choice") == 0) return demand_choice(r, "structured_outputs.choice", v);
    if (strcmp(key, "grammar") == 0)
        return demand_text(r, "structured_outputs.grammar", PGD_GRAMMAR_EBNF, v);
    if (strcmp(key, "structural_tag") == 0)
        return demand_tags(r, "structured_outputs.structural_tag", v);
    if (strcmp(key, "json_object") != 0) return PGD_OK; /* unknown: ignored, as everywhere */
    if (!pgd_json_as_bool(v, &yes))
        return api_fail_type(r->e, "structured_outputs.json_object", "a boolean", v);
    if (!yes) return PGD_OK;
    return demand(r, "structured_outputs.json_object", PGD_GRAMMAR_JSON_OBJECT, (pgd_sv){NULL, 0});
}

static pgd_status read_structured(reader *r, const pgd_json *so) {
    const char *const before = r->out->param;
    const pgd_json *const tight = pgd_json_get(so, "disable_any_whitespace");
    bool yes = false;
    if (!pgd_json_is_null(tight) && !pgd_json_as_bool(tight, &yes))
        return api_fail_type(r->e, "structured_outputs.disable_any_whitespace", "a boolean", tight);
    r->space = yes ? PGD_JSON_SPACE_NONE : PGD_JSON_SPACE_ANY;
    for (const pgd_json *v = pgd_json_first(so); v; v = pgd_json_next(v)) {
        const char *const key = pgd_json_key(v);
        /* of duplicates the last counts */
        if (!pgd_json_is_null(v) && pgd_json_get(so, key) == v) PGD_TRY(read_member(r, key, v));
    }
    if (r->out->param == before)
        return api_fail(r->e, PGD_E_INVALID, "invalid_value", "structured_outputs",
                        "Invalid 'structured_outputs': expected one of 'json', 'regex', 'choice', "
                        "'grammar', 'structural_tag', and 'json_object'.");
    return PGD_OK;
}

pgd_status api_read_demand(const api_fields *f, pgd_arena *a, api_demand *out, api_error *e) {
    reader r = {.arena = a, .out = out, .e = e, .space = PGD_JSON_SPACE_ANY};
    const struct {
        const char *param;
        pgd_grammar_kind kind;
        pgd_sv text;
    } texts[] = {{"guided_regex", PGD_GRAMMAR_REGEX, f->guided_regex},
                 {"guided_grammar", PGD_GRAMMAR_EBNF, f->guided_grammar},
                 {"regex", PGD_GRAMMAR_REGEX, f->regex},
                 {"ebnf", PGD_GRAMMAR_EBNF, f->ebnf},
                 {"grammar", PGD_GRAMMAR_EBNF, f->grammar}};
    *out = (api_demand){0};
    if (f->response_format) PGD_TRY(read_format(&r, f->response_format));
    if (f->structured_outputs) PGD_TRY(read_structured(&r, f->structured_outputs));
    r.space = PGD_JSON_SPACE_ANY;
    /* Empty strings and lists are how some clients say "none". */
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text.n) PGD_TRY(demand(&r, texts[i].param, texts[i].kind, texts[i].text));
    if (pgd_json_first(f->guided_choice))
        PGD_TRY(demand_choice(&r, "guided_choice", f->guided_choice));
    pgd_sv s = {NULL, 0};
    if (f->guided_json && !(pgd_json_as_str(f->guided_json, &s) && !s.n))
        PGD_TRY(demand_schema(&r, "guided_json", f->guided_json));
    if (f->json_schema && !(pgd_json_as_str(f->json_schema, &s) && !s.n))
        PGD_TRY(demand_schema(&r, "json_schema", f->json_schema));
    return PGD_OK;
}
