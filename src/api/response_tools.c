/* Tools of /v1/responses as chat's functions: flat functions become nested ones, those of a
 * namespace are shown as `namespace__name`, free-text tools as a function of one string. Tools that
 * OpenAI hosts are dropped with a log line, since agents send them to every server. The names under
 * which calls have to go back are kept. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/log.h"
#include "response.h"

const api_alias *api_find_alias(const api_response *r, pgd_sv shown) {
    for (size_t i = 0; r && i < r->n_alias; i++)
        if (pgd_sv_eq(r->alias[i].shown, shown)) return &r->alias[i];
    return NULL;
}

static bool copy(pgd_call *c, pgd_sv s, pgd_sv *out) {
    const char *const p = pgd_arena_strndup(c->arena, s.p ? s.p : "", s.n);
    *out = (pgd_sv){p, s.n};
    return p != NULL;
}

static pgd_status add_alias(api_reader *r, api_tool_kind kind, pgd_sv shown, pgd_sv name,
                            pgd_sv ns) {
    api_response *const resp = r->c->response;
    if (!resp) return PGD_OK; /* only counting */
    if (resp->n_alias == resp->cap_alias) {
        const size_t cap = resp->cap_alias ? 2 * resp->cap_alias : 8;
        api_alias *const v = pgd_arena_array(r->c->arena, cap, sizeof *v);
        if (!v) return api_fail_nomem(r->e);
        if (resp->n_alias) memcpy(v, resp->alias, resp->n_alias * sizeof *v);
        resp->alias = v;
        resp->cap_alias = cap;
    }
    api_alias *const a = &resp->alias[resp->n_alias];
    *a = (api_alias){.kind = kind};
    if (!copy(r->c, shown, &a->shown) || !copy(r->c, name, &a->name) || !copy(r->c, ns, &a->ns))
        return api_fail_nomem(r->e);
    resp->n_alias++;
    return PGD_OK;
}

static void open_function(api_reader *r, pgd_sv name, const pgd_json *tool) {
    const pgd_json *const about = api_member(tool, "description");
    api_open_function(&r->w, name);
    if (about) api_key_node(&r->w, "description", about);
}

static pgd_status fail_name(api_reader *r, const char *path) {
    char at[API_PARAM_BYTES];
    (void)snprintf(at, sizeof at, "%s.name", path);
    return api_fail_missing(r->e, at);
}

static pgd_status put_function(api_reader *r, const pgd_json *tool, pgd_sv ns, const char *path) {
    static const char *const keys[] = {"parameters", "strict"};
    const pgd_json *const nested = api_member(tool, "function");
    if (nested) tool = nested; /* the form of chat */
    pgd_sv name;
    if (!pgd_json_as_str(pgd_json_get(tool, "name"), &name) || !name.n) return fail_name(r, path);
    pgd_buf shown = {0};
    if (ns.n) {
        pgd_buf_putsv(&shown, ns);
        pgd_buf_puts(&shown, "__");
        pgd_buf_putsv(&shown, name);
    }
    pgd_status st = shown.failed ? api_fail_nomem(r->e) : PGD_OK;
    if (st == PGD_OK && ns.n) st = add_alias(r, API_TOOL_FUNCTION, pgd_buf_sv(&shown), name, ns);
    if (st == PGD_OK) {
        open_function(r, ns.n ? pgd_buf_sv(&shown) : name, tool);
        api_put_members(&r->w, tool, keys, sizeof keys / sizeof keys[0]);
        api_close_function(&r->w);
    }
    pgd_buf_fini(&shown);
    return st;
}

static pgd_status put_custom(api_reader *r, const pgd_json *tool, const char *path) {
    pgd_sv name;
    if (!pgd_json_as_str(pgd_json_get(tool, "name"), &name) || !name.n) return fail_name(r, path);
    PGD_TRY(add_alias(r, API_TOOL_CUSTOM, name, name, (pgd_sv){"", 0}));
    open_function(r, name, tool);
    pgd_jsonw_key(&r->w, "parameters");
    pgd_jsonw_raw(&r->w, PGD_SV("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":"
                                "\"string\"}},\"required\":[\"input\"]}"));
    api_close_function(&r->w);
    return PGD_OK;
}

static void put_local_shell(api_reader *r) {
    open_function(r, PGD_SV("local_shell"), NULL);
    api_key_str(&r->w, "description", PGD_SV("Runs a command on the local machine"));
    pgd_jsonw_key(&r->w, "parameters");
    pgd_jsonw_raw(&r->w,
                  PGD_SV("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"array\","
                         "\"items\":{\"type\":\"string\"}},\"working_directory\":{\"type\":"
                         "\"string\"},\"timeout_ms\":{\"type\":\"integer\"}},\"required\":["
                         "\"command\"]}"));
    api_close_function(&r->w);
}

static pgd_status put_namespace(api_reader *r, const pgd_json *tool, const char *path, size_t *n) {
    pgd_sv ns;
    size_t i = 0;
    if (!pgd_json_as_str(pgd_json_get(tool, "name"), &ns) || !ns.n) return fail_name(r, path);
    const pgd_json *const inner = api_member(tool, "tools");
    for (const pgd_json *t = pgd_json_first(inner); t; t = pgd_json_next(t), i++) {
        char at[API_PARAM_BYTES];
        (void)snprintf(at, sizeof at, "%s.tools[%zu]", path, i);
        if (!api_has_type(t, "function") && api_member(t, "type")) continue;
        PGD_TRY(put_function(r, t, ns, at));
        (*n)++;
    }
    return PGD_OK;
}

static pgd_status put_tool(api_reader *r, const pgd_json *t, const char *path, size_t *n) {
    if (pgd_json_typeof(t) != PGD_JSON_OBJECT) return api_fail_type(r->e, path, "an object", t);
    if (api_has_type(t, "namespace")) return put_namespace(r, t, path, n);
    (*n)++;
    if (api_has_type(t, "function")) return put_function(r, t, (pgd_sv){"", 0}, path);
    if (api_has_type(t, "custom")) return put_custom(r, t, path);
    if (api_has_type(t, "local_shell")) {
        put_local_shell(r);
        return PGD_OK;
    }
    (*n)--;
    pgd_sv type = {"", 0};
    char quoted[API_QUOTE_BYTES];
    (void)pgd_json_as_str(pgd_json_get(t, "type"), &type);
    pgd_log(PGD_LOG_INFO, "api", "hosted tool left out type=%s id=%s", api_quote(quoted, type),
            r->c->request_id);
    return PGD_OK;
}

/* {"type":"function","function":{"name":…}} of a flat one. */
static void put_named(api_reader *r, pgd_sv name) {
    api_open_function(&r->w, name);
    api_close_function(&r->w);
}

static void put_allowed(api_reader *r, const pgd_json *v) {
    pgd_sv name;
    pgd_jsonw_obj(&r->w);
    api_key_str(&r->w, "type", PGD_SV("allowed_tools"));
    pgd_jsonw_key(&r->w, "allowed_tools");
    pgd_jsonw_obj(&r->w);
    pgd_jsonw_key(&r->w, "mode");
    pgd_jsonw_node(&r->w, pgd_json_get(v, "mode"));
    pgd_jsonw_key(&r->w, "tools");
    pgd_jsonw_arr(&r->w);
    for (const pgd_json *t = pgd_json_first(api_member(v, "tools")); t; t = pgd_json_next(t))
        if (pgd_json_as_str(pgd_json_get(t, "name"), &name)) put_named(r, name);
    pgd_jsonw_end_arr(&r->w);
    pgd_jsonw_end_obj(&r->w);
    pgd_jsonw_end_obj(&r->w);
}

/* Chat judges what is not of this protocol. A hosted tool cannot be chosen: the model decides. */
static void put_choice(api_reader *r, const pgd_json *v) {
    pgd_sv name;
    pgd_jsonw_key(&r->w, "tool_choice");
    if (pgd_json_typeof(v) != PGD_JSON_OBJECT)
        pgd_jsonw_node(&r->w, v);
    else if (api_has_type(v, "allowed_tools"))
        put_allowed(r, v);
    else if (pgd_json_as_str(pgd_json_get(v, "name"), &name))
        put_named(r, name);
    else
        pgd_jsonw_cstr(&r->w, "auto");
}

pgd_status api_put_response_tools(api_reader *r, const pgd_json *body) {
    const pgd_json *const tools = api_member(body, "tools"), *const choice =
                                                                 api_member(body, "tool_choice");
    size_t i = 0, n = 0;
    if (!tools) return PGD_OK;
    if (pgd_json_typeof(tools) != PGD_JSON_ARRAY)
        return api_fail_type(r->e, "tools", "an array", tools);
    pgd_jsonw_key(&r->w, "tools");
    pgd_jsonw_arr(&r->w);
    for (const pgd_json *t = pgd_json_first(tools); t; t = pgd_json_next(t), i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "tools[%zu]", i);
        PGD_TRY(put_tool(r, t, path, &n));
    }
    pgd_jsonw_end_arr(&r->w);
    if (n && choice) put_choice(r, choice);
    return PGD_OK;
}
