/* Values with structure: stop strings, token lists, logit bias, stream options, and the features
 * that are known but not served.
 *
 * Each reader checks everything it hands on (counts, lengths, token ids against the vocabulary) and
 * names the JSON path of what is wrong. Message content itself is the chat module's to judge; here
 * only counts are bounded, before any template work. Thread: any. */
#include <stdio.h>
#include <string.h>

#include "pagoda/arena.h"
#include "pagoda/jsonw.h"
#include "params.h"

static pgd_status fail_long(api_error *e, const char *path, size_t max, size_t got) {
    return api_fail(e, PGD_E_INVALID, "array_above_max_length", path,
                    "Invalid '%s': array too long. Expected an array with maximum length %zu, but "
                    "got an array with length %zu instead.",
                    path, max, got);
}

static pgd_status fail_empty(api_error *e, const char *path) {
    return api_fail(e, PGD_E_INVALID, "empty_array", path,
                    "Invalid '%s': empty array. Expected an array with minimum length 1, but got "
                    "an empty array instead.",
                    path);
}

static pgd_status add_stop(const pgd_json *v, const char *path, pgd_arena *a, api_stops *out,
                           api_error *e) {
    pgd_sv s;
    if (!pgd_json_as_str(v, &s)) return api_fail_type(e, path, "a string", v);
    if (s.n == 0)
        return api_fail(e, PGD_E_INVALID, "string_below_min_length", path,
                        "Invalid '%s': empty string. A stop string must have at least one "
                        "character.",
                        path);
    if (s.n > API_MAX_STOP_BYTES)
        return api_fail(e, PGD_E_INVALID, "string_above_max_length", path,
                        "Invalid '%s': string too long. Expected a string with maximum length %d, "
                        "but got a string with length %zu instead.",
                        path, (int)API_MAX_STOP_BYTES, s.n);
    return api_stops_add(out, a, s) == PGD_OK ? PGD_OK : api_fail_nomem(e);
}

pgd_status api_read_stop(const pgd_json *v, pgd_arena *a, api_stops *out, api_error *e) {
    out->n = 0;
    if (!v) return PGD_OK;
    if (pgd_json_typeof(v) == PGD_JSON_STRING) return add_stop(v, "stop", a, out, e);
    if (pgd_json_typeof(v) != PGD_JSON_ARRAY)
        return api_fail_type(e, "stop", "a string or an array of strings", v);
    const size_t n = pgd_json_count(v);
    if (n > API_MAX_STOPS) return fail_long(e, "stop", API_MAX_STOPS, n);
    char path[API_PARAM_BYTES];
    size_t i = 0;
    for (const pgd_json *s = pgd_json_first(v); s; s = pgd_json_next(s), i++) {
        (void)snprintf(path, sizeof path, "stop[%zu]", i);
        PGD_TRY(add_stop(s, path, a, out, e));
    }
    return PGD_OK;
}

pgd_status api_read_ids(const pgd_json *v, const char *path, uint32_t vocab, int32_t *ids,
                        size_t max, size_t *n, api_error *e) {
    char at[API_PARAM_BYTES];
    *n = 0;
    for (const pgd_json *x = pgd_json_first(v); x; x = pgd_json_next(x)) {
        if (*n == max) return fail_long(e, path, max, pgd_json_count(v));
        int64_t id;
        if (!pgd_json_as_i64(x, &id)) {
            (void)snprintf(at, sizeof at, "%s[%zu]", path, *n);
            return api_fail_type(e, at, "an integer", x);
        }
        if (id < 0 || id >= (int64_t)vocab) {
            (void)snprintf(at, sizeof at, "%s[%zu]", path, *n);
            return api_fail(e, PGD_E_INVALID,
                            id < 0 ? "integer_below_min_value" : "integer_above_max_value", at,
                            "Invalid '%s': token id out of range. Expected a value from 0 to %u, "
                            "but got %lld instead.",
                            at, vocab ? vocab - 1 : 0, (long long)id);
        }
        ids[(*n)++] = (int32_t)id;
    }
    return PGD_OK;
}

static pgd_status read_bias_entry(const pgd_json *x, uint32_t vocab, pgd_bias *out, api_error *e) {
    char quoted[API_QUOTE_BYTES], path[API_PARAM_BYTES];
    const pgd_sv key = pgd_sv_c(pgd_json_key(x));
    (void)snprintf(path, sizeof path, "logit_bias.%s", api_quote(quoted, key));
    uint64_t id;
    /* "01" would be a second name of one token; only the plain form is an id */
    const bool plain = key.n && key.p[0] != '+' && !(key.n > 1 && key.p[0] == '0');
    if (!plain || !pgd_parse_u64(key, &id) || id >= vocab)
        return api_fail(e, PGD_E_INVALID, "invalid_value", path,
                        "Invalid key in 'logit_bias': '%s' is not a token id from 0 to %u.", quoted,
                        vocab ? vocab - 1 : 0);
    double v;
    if (!pgd_json_as_f64(x, &v)) return api_fail_type(e, path, "a decimal", x);
    if (!(v >= -100) || v > 100)
        return api_fail(
            e, PGD_E_INVALID, v > 100 ? "decimal_above_max_value" : "decimal_below_min_value", path,
            "Invalid '%s': decimal %s value. Expected a value %s, but got %.15g "
            "instead.",
            path, v > 100 ? "above maximum" : "below minimum", v > 100 ? "<= 100" : ">= -100", v);
    *out = (pgd_bias){.id = (int32_t)id, .value = (float)v};
    return PGD_OK;
}

pgd_status api_read_bias(const pgd_json *v, uint32_t vocab, pgd_arena *a, pgd_bias **out,
                         uint32_t *n, api_error *e) {
    *out = NULL;
    *n = 0;
    if (!v || !pgd_json_first(v)) return PGD_OK;
    const size_t count = pgd_json_count(v);
    if (count > PGD_MAX_BIAS) return fail_long(e, "logit_bias", PGD_MAX_BIAS, count);
    pgd_bias *const b = pgd_arena_array(a, count, sizeof *b);
    if (!b) return api_fail_nomem(e);
    for (const pgd_json *x = pgd_json_first(v); x; x = pgd_json_next(x)) {
        if (pgd_json_is_null(x)) continue;
        PGD_TRY(read_bias_entry(x, vocab, &b[*n], e));
        uint32_t same = 0; /* duplicate keys: the last wins; at most 1024 entries */
        while (b[same].id != b[*n].id)
            same++;
        b[same].value = b[*n].value;
        if (same == *n) (*n)++;
    }
    *out = b;
    return PGD_OK;
}

static pgd_status read_member_bool(const pgd_json *obj, const char *key, const char *path,
                                   bool *out, api_error *e) {
    const pgd_json *const v = pgd_json_get(obj, key);
    if (pgd_json_is_null(v) || pgd_json_as_bool(v, out)) return PGD_OK;
    return api_fail_type(e, path, "a boolean", v);
}

pgd_status api_read_stream_options(const pgd_json *v, api_stream_options *out, api_error *e) {
    *out = (api_stream_options){0};
    if (!v) return PGD_OK;
    PGD_TRY(read_member_bool(v, "include_usage", "stream_options.include_usage",
                             &out->include_usage, e));
    return read_member_bool(v, "continuous_usage_stats", "stream_options.continuous_usage_stats",
                            &out->continuous_usage, e);
}

static pgd_status check_modalities(const pgd_json *v, api_error *e) {
    size_t i = 0;
    for (const pgd_json *x = pgd_json_first(v); x; x = pgd_json_next(x), i++) {
        char path[API_PARAM_BYTES];
        (void)snprintf(path, sizeof path, "modalities[%zu]", i);
        pgd_sv s;
        if (!pgd_json_as_str(x, &s)) return api_fail_type(e, path, "a string", x);
        if (pgd_sv_eq(s, PGD_SV("text"))) continue;
        char quoted[API_QUOTE_BYTES];
        return api_fail(e, PGD_E_UNSUPPORTED, "unsupported_value", "modalities",
                        "Unsupported value: 'modalities' does not support '%s' with this model.",
                        api_quote(quoted, s));
    }
    return PGD_OK;
}

pgd_status api_check_served(const api_fields *f, api_error *e) {
    PGD_TRY(check_modalities(f->modalities, e));
    if (pgd_json_first(f->functions))
        return api_fail(e, PGD_E_UNSUPPORTED, "unsupported_parameter", "functions",
                        "Unsupported parameter: 'functions' is not supported by this server; use "
                        "'tools' instead.");
    pgd_sv s;
    if (f->function_call && !(pgd_json_as_str(f->function_call, &s) &&
                              (pgd_sv_eq(s, PGD_SV("none")) || pgd_sv_eq(s, PGD_SV("auto")))))
        return api_fail(e, PGD_E_UNSUPPORTED, "unsupported_parameter", "function_call",
                        "Unsupported parameter: 'function_call' is not supported by this server; "
                        "use 'tool_choice' instead.");
    if (f->suffix.n) return api_fail_unsupported(e, "suffix");
    return PGD_OK;
}

pgd_status api_check_messages(const pgd_json *messages, api_error *e) {
    if (!messages) return api_fail_missing(e, "messages");
    const size_t n = pgd_json_count(messages);
    if (n == 0) return fail_empty(e, "messages");
    if (n > API_MAX_MESSAGES) return fail_long(e, "messages", API_MAX_MESSAGES, n);
    size_t i = 0;
    for (const pgd_json *m = pgd_json_first(messages); m; m = pgd_json_next(m), i++) {
        const pgd_json *const content = pgd_json_get(m, "content");
        if (!content || pgd_json_typeof(content) != PGD_JSON_ARRAY) continue;
        const size_t parts = pgd_json_count(content);
        if (parts <= API_MAX_PARTS) continue;
        char path[API_PARAM_BYTES];
        (void)snprintf(path, sizeof path, "messages[%zu].content", i);
        return fail_long(e, path, API_MAX_PARTS, parts);
    }
    return PGD_OK;
}

pgd_status api_check_tools(const pgd_json *tools, api_error *e) {
    const size_t n = pgd_json_count(tools);
    if (n > API_MAX_TOOLS) return fail_long(e, "tools", API_MAX_TOOLS, n);
    size_t i = 0;
    for (const pgd_json *t = pgd_json_first(tools); t; t = pgd_json_next(t), i++) {
        char path[API_PARAM_BYTES];
        (void)snprintf(path, sizeof path, "tools[%zu]", i);
        if (pgd_json_typeof(t) != PGD_JSON_OBJECT) return api_fail_type(e, path, "an object", t);
        const pgd_json *const fn = pgd_json_get(t, "function");
        const pgd_json *const name = pgd_json_get(fn ? fn : t, "name");
        pgd_sv s;
        if (pgd_json_as_str(name, &s) && s.n) continue;
        (void)snprintf(path, sizeof path, "tools[%zu]%s.name", i, fn ? ".function" : "");
        if (pgd_json_is_null(name)) return api_fail_missing(e, path);
        if (!pgd_json_as_str(name, &s)) return api_fail_type(e, path, "a string", name);
        return api_fail(e, PGD_E_INVALID, "string_below_min_length", path,
                        "Invalid '%s': empty string.", path);
    }
    return PGD_OK;
}

static void write_flat_tool(pgd_jsonw *w, const pgd_json *tool) {
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "type");
    pgd_jsonw_cstr(w, "function");
    pgd_jsonw_key(w, "function");
    pgd_jsonw_obj(w);
    for (const pgd_json *v = pgd_json_first(tool); v; v = pgd_json_next(v)) {
        const char *const key = pgd_json_key(v);
        if (strcmp(key, "type") == 0) continue;
        pgd_jsonw_key(w, strcmp(key, "input_schema") == 0 ? "parameters" : key);
        pgd_jsonw_node(w, v);
    }
    pgd_jsonw_end_obj(w);
    pgd_jsonw_end_obj(w);
}

pgd_status api_nest_tools(const pgd_json *tools, pgd_json_doc **doc, const pgd_json **out,
                          api_error *e) {
    *out = tools;
    bool flat = false;
    for (const pgd_json *t = pgd_json_first(tools); t; t = pgd_json_next(t))
        flat = flat || pgd_json_is_null(pgd_json_get(t, "function"));
    if (!flat) return PGD_OK;
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    pgd_jsonw_arr(&w);
    for (const pgd_json *t = pgd_json_first(tools); t; t = pgd_json_next(t)) {
        if (pgd_json_is_null(pgd_json_get(t, "function")))
            write_flat_tool(&w, t);
        else
            pgd_jsonw_node(&w, t);
    }
    pgd_jsonw_end_arr(&w);
    pgd_error err = {0};
    pgd_status st =
        b.failed ? PGD_E_NOMEM : pgd_json_parse(pgd_buf_sv(&b), &pgd_json_limits_file, doc, &err);
    pgd_buf_fini(&b);
    if (st == PGD_OK)
        *out = pgd_json_root(*doc);
    else if (st == PGD_E_NOMEM)
        st = api_fail_nomem(e);
    else
        st = api_fail_from(e, &err, "invalid_value", "tools");
    return st;
}

bool api_wants_tools(const api_fields *f) {
    pgd_sv s;
    return f->tools && pgd_json_first(f->tools) &&
           !(pgd_json_as_str(f->tool_choice, &s) && pgd_sv_eq(s, PGD_SV("none")));
}
