/* The declared tools, as far as the parser needs them after the request's JSON is gone: names, and
 * which parameters are strings. A schema that says neither way gives PARAM_ANY. Immutable, in the
 * call's arena. Thread: made on a worker, read on the loop. */
#include <string.h>

#include "parse_int.h"

typedef struct param {
    pgd_sv name;
    param_kind kind;
} param;

typedef struct tool {
    pgd_sv name;
    const param *params;
    size_t n_params;
} tool;

struct api_toolset {
    const tool *v;
    size_t n;
};

static bool copy(pgd_arena *a, pgd_sv s, pgd_sv *out) {
    const char *const p = pgd_arena_strndup(a, s.p ? s.p : "", s.n);
    *out = (pgd_sv){p, s.n};
    return p != NULL;
}

/* By the `type` of a schema: a name, or a list of names. */
static param_kind kind_of(const pgd_json *schema) {
    const pgd_json *const type = pgd_json_get(schema, "type");
    pgd_sv s;
    if (pgd_json_as_str(type, &s)) return pgd_sv_eq(s, PGD_SV("string")) ? PARAM_STRING : PARAM_ANY;
    bool string = false, null = false;
    for (const pgd_json *t = pgd_json_first(type); t; t = pgd_json_next(t)) {
        if (!pgd_json_as_str(t, &s)) return PARAM_ANY;
        if (pgd_sv_eq(s, PGD_SV("string")))
            string = true;
        else if (pgd_sv_eq(s, PGD_SV("null")))
            null = true;
        else
            return PARAM_ANY;
    }
    return !string ? PARAM_ANY : null ? PARAM_STRING_OR_NULL : PARAM_STRING;
}

static pgd_status fill(const pgd_json *spec, pgd_arena *a, tool *out) {
    pgd_sv name = {"", 0};
    (void)pgd_json_as_str(pgd_json_get(spec, "name"), &name);
    const pgd_json *schema = pgd_json_get(spec, "parameters");
    if (!schema) schema = pgd_json_get(spec, "input_schema");
    const pgd_json *const props = pgd_json_get(schema, "properties");
    const bool any = props && pgd_json_typeof(props) == PGD_JSON_OBJECT;
    const size_t n = any ? pgd_json_count(props) : 0;
    param *const params = pgd_arena_array(a, n ? n : 1, sizeof *params);
    if (!params || !copy(a, name, &out->name)) return PGD_E_NOMEM;
    out->params = params;
    if (!n) return PGD_OK;
    for (const pgd_json *v = pgd_json_first(props); v; v = pgd_json_next(v)) {
        param *const at = &params[out->n_params++];
        at->kind = kind_of(v);
        if (!copy(a, pgd_sv_c(pgd_json_key(v)), &at->name)) return PGD_E_NOMEM;
    }
    return PGD_OK;
}

pgd_status api_toolset_create(const pgd_json *tools, pgd_arena *a, const api_toolset **out) {
    const size_t n = pgd_json_count(tools);
    api_toolset *const set = pgd_arena_array(a, 1, sizeof *set);
    tool *const v = pgd_arena_array(a, n ? n : 1, sizeof *v);
    if (!set || !v) return PGD_E_NOMEM;
    set->v = v;
    for (const pgd_json *t = pgd_json_first(tools); t; t = pgd_json_next(t)) {
        const pgd_json *const fn = pgd_json_get(t, "function");
        PGD_TRY(fill(pgd_json_is_null(fn) ? t : fn, a, &v[set->n++]));
    }
    *out = set;
    return PGD_OK;
}

static const tool *find(const api_toolset *t, pgd_sv name) {
    for (size_t i = 0; t && i < t->n; i++)
        if (pgd_sv_eq(t->v[i].name, name)) return &t->v[i];
    return NULL;
}

bool toolset_has(const api_toolset *t, pgd_sv name) {
    return find(t, name) != NULL;
}

param_kind toolset_param(const api_toolset *t, pgd_sv name, pgd_sv key) {
    const tool *const of = find(t, name);
    for (size_t i = 0; of && i < of->n_params; i++)
        if (pgd_sv_eq(of->params[i].name, key)) return of->params[i].kind;
    return PARAM_ANY;
}
