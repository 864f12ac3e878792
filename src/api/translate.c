/* What the translations of other protocols' bodies into chat bodies share.
 *
 * Nothing here judges a value: what is handed on is judged by chat's own table, so that each rule
 * has one home. What a protocol names otherwise, or forbids, is said in its own file. Thread: a
 * worker. */
#include "translate.h"

const pgd_json *api_member(const pgd_json *obj, const char *key) {
    const pgd_json *const v = pgd_json_get(obj, key);
    return pgd_json_is_null(v) ? NULL : v;
}

bool api_is_str(const pgd_json *v, const char *text) {
    pgd_sv s;
    return pgd_json_as_str(v, &s) && pgd_sv_eq(s, pgd_sv_c(text));
}

bool api_has_type(const pgd_json *v, const char *type) {
    return api_is_str(pgd_json_get(v, "type"), type);
}

pgd_status api_check_object(api_error *e, const pgd_json *body) {
    if (pgd_json_typeof(body) == PGD_JSON_OBJECT) return PGD_OK;
    return api_fail(e, PGD_E_INVALID, NULL, NULL,
                    "The request body must be a JSON object, but got %s.",
                    pgd_json_type_name(body));
}

void api_key_str(pgd_jsonw *w, const char *key, pgd_sv s) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_str(w, s);
}

void api_key_bool(pgd_jsonw *w, const char *key, bool v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_bool(w, v);
}

void api_key_node(pgd_jsonw *w, const char *key, const pgd_json *v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_node(w, v);
}

void api_put_members(pgd_jsonw *w, const pgd_json *obj, const char *const *keys, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const pgd_json *const v = api_member(obj, keys[i]);
        if (v) api_key_node(w, keys[i], v);
    }
}

void api_put_same(pgd_jsonw *w, const pgd_json *body) {
    static const char *const keys[] = {"model",
                                       "stream",
                                       "temperature",
                                       "top_p",
                                       "top_k",
                                       "min_p",
                                       "seed",
                                       "repetition_penalty",
                                       "presence_penalty",
                                       "frequency_penalty",
                                       "logit_bias",
                                       "ignore_eos",
                                       "min_tokens",
                                       "stop_token_ids",
                                       "skip_special_tokens",
                                       "documents",
                                       "structured_outputs",
                                       "cache_salt",
                                       "priority",
                                       "request_id"};
    api_put_members(w, body, keys, sizeof keys / sizeof keys[0]);
}

void api_open_function(pgd_jsonw *w, pgd_sv name) {
    pgd_jsonw_obj(w);
    api_key_str(w, "type", PGD_SV("function"));
    pgd_jsonw_key(w, "function");
    pgd_jsonw_obj(w);
    api_key_str(w, "name", name);
}

void api_close_function(pgd_jsonw *w) {
    pgd_jsonw_end_obj(w);
    pgd_jsonw_end_obj(w);
}

void api_open_schema(pgd_jsonw *w) {
    pgd_jsonw_key(w, "response_format");
    pgd_jsonw_obj(w);
    api_key_str(w, "type", PGD_SV("json_schema"));
    pgd_jsonw_key(w, "json_schema");
    pgd_jsonw_obj(w);
}

void api_close_schema(pgd_jsonw *w) {
    pgd_jsonw_end_obj(w);
    pgd_jsonw_end_obj(w);
}

void api_put_kwargs(pgd_jsonw *w, api_thinking thinking, const pgd_json *own) {
    if (thinking == API_THINK_UNSAID) {
        if (own) api_key_node(w, "chat_template_kwargs", own);
        return;
    }
    pgd_jsonw_key(w, "chat_template_kwargs");
    pgd_jsonw_obj(w);
    api_key_bool(w, "enable_thinking", thinking == API_THINK_ON);
    api_key_bool(w, "thinking", thinking == API_THINK_ON);
    for (const pgd_json *v = pgd_json_first(own); v; v = pgd_json_next(v))
        api_key_node(w, pgd_json_key(v), v);
    pgd_jsonw_end_obj(w);
}
