/* Input items of /v1/responses as chat messages.
 *
 *   reasoning, message of the assistant, function_call …   one turn of the assistant
 *   function_call_output                                   a message of the tool
 *   message of anybody else                                a message
 *
 * What a turn consists of is gathered and written when something else comes. Items that only tell
 * what a hosted tool did are dropped; an item that is unknown, or that names one which is not kept,
 * is an error with its path. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "response_out.h"

static pgd_status bad(api_reader *r, pgd_status st, const char *path, const char *member,
                      const char *why) {
    char at[API_PARAM_BYTES];
    (void)snprintf(at, sizeof at, "%s%s%s", path, member[0] ? "." : "", member);
    return api_fail(r->e, st, st == PGD_E_UNSUPPORTED ? "unsupported_value" : "invalid_value", at,
                    "Invalid '%s': %s.", at, why);
}

/* The text of a content part; images and files are refused. */
static pgd_status part_text(api_reader *r, const pgd_json *part, const char *path, pgd_sv *out) {
    static const char *const types[] = {"input_text", "output_text", "text", "reasoning_text",
                                        "summary_text"};
    if (pgd_json_as_str(part, out)) return PGD_OK;
    if (api_has_type(part, "refusal")) {
        if (pgd_json_as_str(pgd_json_get(part, "refusal"), out)) return PGD_OK;
        return bad(r, PGD_E_INVALID, path, "refusal", "expected a string");
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!api_has_type(part, types[i])) continue;
        if (pgd_json_as_str(pgd_json_get(part, "text"), out)) return PGD_OK;
        return bad(r, PGD_E_INVALID, path, "text", "expected a string");
    }
    if (api_has_type(part, "input_image") || api_has_type(part, "input_file") ||
        api_has_type(part, "input_audio"))
        return bad(r, PGD_E_UNSUPPORTED, path, "type", "this model takes text content only");
    return bad(r, PGD_E_INVALID, path, "type", "unknown content part type");
}

static void put_part(pgd_buf *b, pgd_sv text) {
    pgd_buf_puts(b, b->n && b->p[b->n - 1] == '}' ? ",{" : "{");
    pgd_buf_puts(b, "\"type\":\"text\",\"text\":\"");
    pgd_json_escape(b, text);
    pgd_buf_puts(b, "\"}");
}

/* Text, or parts, as parts of chat in b. */
static pgd_status put_parts(api_reader *r, const pgd_json *content, const char *path, pgd_buf *b) {
    pgd_sv text;
    size_t i = 0;
    if (!content) return PGD_OK;
    if (pgd_json_as_str(content, &text)) {
        put_part(b, text);
        return PGD_OK;
    }
    if (pgd_json_typeof(content) != PGD_JSON_ARRAY)
        return bad(r, PGD_E_INVALID, path, "", "expected a string or an array of parts");
    if (pgd_json_count(content) > API_MAX_PARTS)
        return bad(r, PGD_E_INVALID, path, "", "too many parts");
    for (const pgd_json *p = pgd_json_first(content); p; p = pgd_json_next(p), i++) {
        char at[API_PARAM_BYTES];
        (void)snprintf(at, sizeof at, "%s[%zu]", path, i);
        PGD_TRY(part_text(r, p, at, &text));
        put_part(b, text);
    }
    return PGD_OK;
}

/* ---- the assistant's turn ---- */

pgd_status api_end_turn(api_reader *r) {
    if (!r->in_turn) return PGD_OK;
    r->in_turn = false;
    pgd_jsonw *const w = &r->w;
    if (r->parts.failed || r->reasoning.failed || r->tool_calls.failed) return api_fail_nomem(r->e);
    pgd_jsonw_obj(w);
    api_key_str(w, "role", PGD_SV("assistant"));
    pgd_jsonw_key(w, "content");
    pgd_jsonw_arr(w);
    if (r->parts.n) pgd_jsonw_raw(w, pgd_buf_sv(&r->parts));
    pgd_jsonw_end_arr(w);
    if (r->reasoning.n) api_key_str(w, "reasoning_content", pgd_buf_sv(&r->reasoning));
    if (r->tool_calls.n) {
        pgd_jsonw_key(w, "tool_calls");
        pgd_jsonw_arr(w);
        pgd_jsonw_raw(w, pgd_buf_sv(&r->tool_calls));
        pgd_jsonw_end_arr(w);
    }
    pgd_jsonw_end_obj(w);
    pgd_buf_clear(&r->parts);
    pgd_buf_clear(&r->reasoning);
    pgd_buf_clear(&r->tool_calls);
    return PGD_OK;
}

/* Reasoning as text, or as this server sealed it; what others sealed says nothing here. */
static pgd_status put_reasoning(api_reader *r, const pgd_json *item, const char *path) {
    const pgd_json *list = api_member(item, "content");
    pgd_sv text;
    r->in_turn = true;
    if (!list || !pgd_json_first(list)) {
        if (pgd_json_as_str(pgd_json_get(item, "encrypted_content"), &text) &&
            pgd_sv_starts(text, PGD_SV(API_SEALED))) {
            const size_t n = sizeof API_SEALED - 1;
            pgd_buf_put(&r->reasoning, text.p + n, text.n - n);
            return PGD_OK;
        }
        list = api_member(item, "summary");
    }
    size_t i = 0;
    for (const pgd_json *p = pgd_json_first(list); p; p = pgd_json_next(p), i++) {
        char at[API_PARAM_BYTES];
        (void)snprintf(at, sizeof at, "%s.content[%zu]", path, i);
        PGD_TRY(part_text(r, p, at, &text));
        pgd_buf_putsv(&r->reasoning, text);
    }
    return PGD_OK;
}

static pgd_status read_str(api_reader *r, const pgd_json *item, const char *path, const char *key,
                           pgd_sv *out) {
    if (pgd_json_as_str(pgd_json_get(item, key), out)) return PGD_OK;
    return bad(r, PGD_E_INVALID, path, key, "expected a string");
}

/* A call. input: its arguments, an object, or NULL to take the string `key`. */
static pgd_status put_call(api_reader *r, const pgd_json *item, const char *path, pgd_sv name,
                           const char *key) {
    pgd_sv id, ns, text = {"", 0};
    pgd_buf *const b = &r->tool_calls;
    PGD_TRY(read_str(r, item, path, "call_id", &id));
    if (key) PGD_TRY(read_str(r, item, path, key, &text));
    if (pgd_strmap_put(r->calls, id, 1) != PGD_OK) return api_fail_nomem(r->e);
    r->in_turn = true;
    pgd_buf_puts(b, b->n ? ",{\"id\":\"" : "{\"id\":\"");
    pgd_json_escape(b, id);
    pgd_buf_puts(b, "\",\"type\":\"function\",\"function\":{\"name\":\"");
    if (pgd_json_as_str(pgd_json_get(item, "namespace"), &ns) && ns.n) {
        pgd_json_escape(b, ns);
        pgd_buf_puts(b, "__");
    }
    pgd_json_escape(b, name);
    pgd_buf_puts(b, "\",\"arguments\":");
    if (key && strcmp(key, "arguments") == 0) {
        pgd_buf_putc(b, '"');
        pgd_json_escape(b, text);
        pgd_buf_putc(b, '"');
    } else if (key) {
        pgd_buf_puts(b, "{\"input\":\"");
        pgd_json_escape(b, text);
        pgd_buf_puts(b, "\"}");
    } else {
        pgd_jsonw w;
        pgd_jsonw_init(&w, b);
        pgd_jsonw_node(&w, api_member(item, "action"));
    }
    pgd_buf_puts(b, "}}");
    return PGD_OK;
}

/* ---- other items ---- */

/* A message of anybody but the assistant; call: the id of the call that it answers, or "". */
static pgd_status put_other(api_reader *r, const char *role, pgd_sv call, const pgd_json *content,
                            const char *path) {
    PGD_TRY(api_end_turn(r));
    pgd_buf parts = {0};
    pgd_status st = put_parts(r, content, path, &parts);
    if (st == PGD_OK && parts.failed) st = api_fail_nomem(r->e);
    if (st == PGD_OK) {
        pgd_jsonw_obj(&r->w);
        api_key_str(&r->w, "role", pgd_sv_c(role));
        if (call.n) api_key_str(&r->w, "tool_call_id", call);
        pgd_jsonw_key(&r->w, "content");
        pgd_jsonw_arr(&r->w);
        if (parts.n) pgd_jsonw_raw(&r->w, pgd_buf_sv(&parts));
        pgd_jsonw_end_arr(&r->w);
        pgd_jsonw_end_obj(&r->w);
    }
    pgd_buf_fini(&parts);
    return st;
}

static pgd_status put_output(api_reader *r, const pgd_json *item, const char *path) {
    pgd_sv id;
    uint64_t seen;
    char quoted[API_QUOTE_BYTES], at[API_PARAM_BYTES];
    PGD_TRY(read_str(r, item, path, "call_id", &id));
    if (!pgd_strmap_get(r->calls, id, &seen))
        return api_fail(r->e, PGD_E_INVALID, "invalid_value", "input",
                        "No tool call found for function call output with call_id %s.",
                        api_quote(quoted, id));
    (void)snprintf(at, sizeof at, "%s.output", path);
    return put_other(r, "tool", id, api_member(item, "output"), at);
}

static pgd_status put_message(api_reader *r, const pgd_json *item, const char *path) {
    static const char *const roles[] = {"user", "system", "developer"};
    const pgd_json *const role = pgd_json_get(item, "role"), *const content =
                                                                 api_member(item, "content");
    char at[API_PARAM_BYTES];
    (void)snprintf(at, sizeof at, "%s.content", path);
    if (!content) return api_fail_missing(r->e, at);
    if (api_is_str(role, "assistant")) {
        r->in_turn = true;
        return put_parts(r, content, at, &r->parts);
    }
    size_t i = 0;
    while (i < 3 && !api_is_str(role, roles[i]))
        i++;
    if (i == 3)
        return bad(r, PGD_E_INVALID, path, "role",
                   "expected 'user', 'system', 'developer' or 'assistant'");
    return put_other(r, roles[i], (pgd_sv){"", 0}, content, at);
}

/* Accounts of what hosted tools did. */
static bool is_dropped(const pgd_json *item) {
    static const char *const types[] = {
        "web_search_call",       "file_search_call",      "computer_call",   "computer_call_output",
        "code_interpreter_call", "image_generation_call", "mcp_call",        "mcp_list_tools",
        "mcp_approval_request",  "mcp_approval_response", "tool_search_call"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (api_has_type(item, types[i])) return true;
    return false;
}

static pgd_status put_item(api_reader *r, const pgd_json *item, const char *path) {
    pgd_sv name;
    if (pgd_json_typeof(item) != PGD_JSON_OBJECT)
        return bad(r, PGD_E_INVALID, path, "", "expected an object");
    PGD_TRY(api_find_item(r, item, path, &item));
    if (api_has_type(item, "message") || !api_member(item, "type"))
        return put_message(r, item, path);
    if (api_has_type(item, "reasoning")) return put_reasoning(r, item, path);
    if (api_has_type(item, "function_call")) {
        PGD_TRY(read_str(r, item, path, "name", &name));
        return put_call(r, item, path, name, "arguments");
    }
    if (api_has_type(item, "custom_tool_call")) {
        PGD_TRY(read_str(r, item, path, "name", &name));
        return put_call(r, item, path, name, "input");
    }
    if (api_has_type(item, "local_shell_call"))
        return put_call(r, item, path, PGD_SV("local_shell"), NULL);
    if (api_has_type(item, "function_call_output") ||
        api_has_type(item, "custom_tool_call_output") ||
        api_has_type(item, "local_shell_call_output"))
        return put_output(r, item, path);
    if (is_dropped(item)) return PGD_OK;
    if (api_has_type(item, "compaction"))
        return bad(r, PGD_E_UNSUPPORTED, path, "type", "this server compacts nothing");
    return bad(r, PGD_E_INVALID, path, "type", "unknown item type");
}

pgd_status api_put_items(api_reader *r, const pgd_json *items, const char *path) {
    size_t i = 0;
    for (const pgd_json *v = pgd_json_first(items); v; v = pgd_json_next(v), i++) {
        char at[64];
        (void)snprintf(at, sizeof at, "%s[%zu]", path, i);
        PGD_TRY(put_item(r, v, at));
    }
    return PGD_OK;
}
