/* tool_choice: which tools may be called, and whether one must be.
 *
 * Names are checked where a grammar will hold them: what OpenAI allows, and the dots, colons and
 * slashes that servers of tools put between their own names. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "constrain.h"

enum { MAX_NAME = 128 };

static pgd_status fail_value(api_error *e, pgd_sv got, const char *param, const char *supported) {
    char quoted[API_QUOTE_BYTES];
    return api_fail(e, PGD_E_INVALID, "invalid_value", param,
                    "Invalid value: '%s'. Supported values are: %s.", api_quote(quoted, got),
                    supported);
}

static bool name_is_sane(pgd_sv s) {
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!ok && !(c && strchr("_-.:/", c))) return false;
    }
    return s.n > 0 && s.n <= MAX_NAME;
}

static pgd_status read_tools(const api_fields *f, pgd_arena *a, api_tool_rule *r, api_error *e) {
    const size_t n = pgd_json_count(f->tools);
    r->tool = pgd_arena_array(a, n ? n : 1, sizeof *r->tool);
    if (!r->tool) return api_fail_nomem(e);
    for (const pgd_json *v = pgd_json_first(f->tools); v; v = pgd_json_next(v)) {
        const pgd_json *const nested = pgd_json_get(v, "function");
        const bool flat = pgd_json_is_null(nested);
        const pgd_json *const fn = flat ? v : nested;
        api_tool *const t = &r->tool[r->n_tools];
        const char *const inside = flat ? "" : ".function";
        char path[API_PARAM_BYTES];
        *t = (api_tool){.allowed = true};
        (void)pgd_json_as_str(pgd_json_get(fn, "name"), &t->name); /* checked with the messages */
        t->parameters = pgd_json_get(fn, "parameters");
        if (!t->parameters) t->parameters = pgd_json_get(fn, "input_schema");
        if (pgd_json_is_null(t->parameters)) t->parameters = NULL;
        const pgd_json *const strict = pgd_json_get(fn, "strict");
        (void)snprintf(path, sizeof path, "tools[%zu]%s.strict", r->n_tools, inside);
        if (!pgd_json_is_null(strict) && !pgd_json_as_bool(strict, &t->strict))
            return api_fail_type(e, path, "a boolean", strict);
        const int len = snprintf(path, sizeof path, "tools[%zu]%s.parameters", r->n_tools, inside);
        t->path = pgd_arena_strndup(a, path, (size_t)len);
        if (!t->path) return api_fail_nomem(e);
        r->limited = r->limited || t->strict;
        r->n_tools++;
    }
    return PGD_OK;
}

/* Check what the grammar will hold. */
static pgd_status check_names(const api_tool_rule *r, api_error *e) {
    for (size_t i = 0; i < r->n_tools; i++) {
        char path[API_PARAM_BYTES], quoted[API_QUOTE_BYTES];
        if (!r->tool[i].allowed || name_is_sane(r->tool[i].name)) continue;
        (void)snprintf(path, sizeof path, "tools[%zu].function.name", i);
        return api_fail(e, PGD_E_INVALID, "invalid_value", path,
                        "Invalid '%s': '%s'. Expected at most %d letters, digits, and the "
                        "characters _-.:/",
                        path, api_quote(quoted, r->tool[i].name), (int)MAX_NAME);
    }
    return PGD_OK;
}

/* {"type": "function", "function": {"name"}}, or flat. */
static pgd_status read_name(const pgd_json *v, const char *param, pgd_sv *name, api_error *e) {
    const pgd_json *const nested = pgd_json_get(v, "function");
    const pgd_json *const n = pgd_json_get(pgd_json_is_null(nested) ? v : nested, "name");
    char path[API_PARAM_BYTES];
    (void)snprintf(path, sizeof path, "%s.function.name", param);
    if (pgd_json_is_null(n)) return api_fail_missing(e, path);
    return pgd_json_as_str(n, name) ? PGD_OK : api_fail_type(e, path, "a string", n);
}

static pgd_status allow(api_tool_rule *r, const pgd_json *v, const char *param, api_error *e) {
    pgd_sv name = {NULL, 0};
    char quoted[API_QUOTE_BYTES];
    bool found = false;
    PGD_TRY(read_name(v, param, &name, e));
    for (size_t i = 0; i < r->n_tools; i++) {
        if (!pgd_sv_eq(r->tool[i].name, name)) continue;
        r->tool[i].allowed = found = true;
    }
    if (found) return PGD_OK;
    return api_fail(e, PGD_E_INVALID, "invalid_value", param,
                    "Invalid value for '%s': no tool is named '%s' in 'tools'.", param,
                    api_quote(quoted, name));
}

static pgd_status read_allowed(const pgd_json *v, api_tool_rule *r, api_error *e) {
    static const char base[] = "tool_choice.allowed_tools";
    const pgd_json *in = pgd_json_get(v, "allowed_tools");
    if (pgd_json_is_null(in)) in = v; /* flat, as in the Responses API */
    const pgd_json *const tools = pgd_json_get(in, "tools");
    pgd_sv mode = PGD_SV("auto");
    const pgd_json *const m = pgd_json_get(in, "mode");
    if (!pgd_json_is_null(m) && !pgd_json_as_str(m, &mode))
        return api_fail_type(e, "tool_choice.allowed_tools.mode", "a string", m);
    if (!pgd_sv_eq(mode, PGD_SV("auto")) && !pgd_sv_eq(mode, PGD_SV("required")))
        return fail_value(e, mode, "tool_choice.allowed_tools.mode", "'auto' and 'required'");
    if (pgd_json_is_null(tools)) return api_fail_missing(e, "tool_choice.allowed_tools.tools");
    if (pgd_json_typeof(tools) != PGD_JSON_ARRAY)
        return api_fail_type(e, "tool_choice.allowed_tools.tools", "an array", tools);
    size_t i = 0;
    for (const pgd_json *t = pgd_json_first(tools); t; t = pgd_json_next(t), i++) {
        char path[API_PARAM_BYTES];
        (void)snprintf(path, sizeof path, "%s.tools[%zu]", base, i);
        PGD_TRY(allow(r, t, path, e));
    }
    if (!i)
        return api_fail(e, PGD_E_INVALID, "empty_array", "tool_choice.allowed_tools.tools",
                        "Invalid 'tool_choice.allowed_tools.tools': empty array.");
    r->mode = pgd_sv_eq(mode, PGD_SV("auto")) ? API_TOOLS_AUTO : API_TOOLS_REQUIRED;
    r->limited = true;
    return PGD_OK;
}

static pgd_status read_object(const pgd_json *v, api_tool_rule *r, api_error *e) {
    const pgd_json *const t = pgd_json_get(v, "type");
    pgd_sv type;
    if (pgd_json_is_null(t)) return api_fail_missing(e, "tool_choice.type");
    if (!pgd_json_as_str(t, &type)) return api_fail_type(e, "tool_choice.type", "a string", t);
    const bool named = pgd_sv_eq(type, PGD_SV("function"));
    if (!named && !pgd_sv_eq(type, PGD_SV("allowed_tools")))
        return fail_value(e, type, "tool_choice.type", "'function' and 'allowed_tools'");
    for (size_t i = 0; i < r->n_tools; i++)
        r->tool[i].allowed = false;
    if (!named) return read_allowed(v, r, e);
    r->mode = API_TOOLS_NAMED;
    return allow(r, v, "tool_choice", e);
}

pgd_status api_read_tool_rule(const api_fields *f, pgd_arena *a, api_tool_rule *r, api_error *e) {
    const pgd_json *const v = f->tool_choice;
    pgd_sv s = PGD_SV("auto");
    const bool plain = !v || pgd_json_as_str(v, &s);
    *r = (api_tool_rule){0};
    if (!plain && pgd_json_typeof(v) != PGD_JSON_OBJECT)
        return api_fail_type(e, "tool_choice", "a string or an object", v);
    if (plain && pgd_sv_eq(s, PGD_SV("none"))) return PGD_OK;
    const bool automatic = plain && pgd_sv_eq(s, PGD_SV("auto"));
    if (plain && !automatic && !pgd_sv_eq(s, PGD_SV("required")))
        return fail_value(e, s, "tool_choice", "'none', 'auto', and 'required'");
    if (!f->tools || !pgd_json_first(f->tools)) {
        if (automatic) return PGD_OK;
        return api_fail(e, PGD_E_INVALID, "invalid_value", "tool_choice",
                        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when "
                        "'tools' are specified.");
    }
    r->mode = automatic ? API_TOOLS_AUTO : API_TOOLS_REQUIRED;
    PGD_TRY(read_tools(f, a, r, e));
    if (!plain) PGD_TRY(read_object(v, r, e));
    return automatic && !r->limited ? PGD_OK : check_names(r, e);
}
