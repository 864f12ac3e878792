/* Anthropic's request bodies as chat bodies: the translation of /v1/messages and of count_tokens.
 *
 * The structure of messages is checked here, since paths in errors must be those of the client's
 * body; values that mean the same in both protocols are handed on and judged by the chat route's
 * table. A tool_result becomes a message of its own, in front of the rest of its turn; a last
 * message of the assistant is left open, as a prefill. Server tools have no meaning here and are
 * dropped, as are cache marks, containers and all else that is unknown. Thread: a worker. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/jsonw.h"
#include "pagoda/log.h"
#include "translate.h"

enum { DEFAULT_MAX_TOKENS = 4096 };

typedef struct reader {
    pgd_call *c;
    pgd_jsonw w;
    const pgd_json *calls; /* content of the assistant's turn just before */
    size_t m;              /* index of the message */
} reader;

static pgd_status bad(reader *r, pgd_status st, const char *why, const char *path, ...)
    __attribute__((format(printf, 4, 5)));

/* "messages.1.content.0.type: why" */
static pgd_status bad(reader *r, pgd_status st, const char *why, const char *path, ...) {
    char at[API_PARAM_BYTES];
    va_list ap;
    va_start(ap, path);
    (void)vsnprintf(at, sizeof at, path, ap);
    va_end(ap);
    const char *const code = st == PGD_E_UNSUPPORTED ? "unsupported_value" : "invalid_value";
    return api_fail(&r->c->err, st, code, at, "%s: %s", at, why);
}

static void open_message(reader *r, const char *role) {
    pgd_jsonw_obj(&r->w);
    api_key_str(&r->w, "role", pgd_sv_c(role));
}

static void put_part(reader *r, pgd_sv text) {
    pgd_jsonw_obj(&r->w);
    api_key_str(&r->w, "type", PGD_SV("text"));
    api_key_str(&r->w, "text", text);
    pgd_jsonw_end_obj(&r->w);
}

/* ---- content blocks ---- */

/* The text of a block, or why it has none. A document counts if it is plain text. */
static pgd_status block_text(reader *r, const pgd_json *block, const char *path, pgd_sv *out) {
    pgd_sv type = {"", 0};
    if (api_has_type(block, "text")) {
        if (pgd_json_as_str(pgd_json_get(block, "text"), out)) return PGD_OK;
        return bad(r, PGD_E_INVALID, "Input should be a valid string", "%s.text", path);
    }
    const pgd_json *const source = api_member(block, "source");
    if (api_has_type(block, "document") && api_has_type(source, "text") &&
        pgd_json_as_str(pgd_json_get(source, "data"), out))
        return PGD_OK;
    if (!pgd_json_as_str(pgd_json_get(block, "type"), &type))
        return bad(r, PGD_E_INVALID, "Field required", "%s.type", path);
    if (api_has_type(block, "image") || api_has_type(block, "document"))
        return bad(r, PGD_E_UNSUPPORTED, "this model takes text content only", "%s.type", path);
    char quoted[API_QUOTE_BYTES], why[160];
    (void)snprintf(why, sizeof why, "Input tag '%s' is not one that is expected here",
                   api_quote(quoted, type));
    return bad(r, PGD_E_INVALID, why, "%s.type", path);
}

/* Clients' own account of what they bill stands in a system block and changes with every request:
 * it would keep the prefix cache from ever matching. */
static bool is_billing(pgd_sv text) {
    return pgd_sv_starts(text, PGD_SV("x-anthropic-billing-header:"));
}

/* Text blocks as parts of a chat message: of a system prompt, or of a tool's result. */
static pgd_status put_blocks(reader *r, const pgd_json *blocks, const char *path) {
    char at[API_PARAM_BYTES];
    size_t i = 0;
    pgd_jsonw_key(&r->w, "content");
    pgd_jsonw_arr(&r->w);
    for (const pgd_json *b = pgd_json_first(blocks); b; b = pgd_json_next(b), i++) {
        pgd_sv text = {"", 0};
        (void)snprintf(at, sizeof at, "%s.%zu", path, i);
        PGD_TRY(block_text(r, b, at, &text));
        if (!is_billing(text)) put_part(r, text);
    }
    pgd_jsonw_end_arr(&r->w);
    return PGD_OK;
}

static pgd_status put_content(reader *r, const pgd_json *content, const char *path) {
    pgd_sv text = {"", 0};
    if (!content || pgd_json_as_str(content, &text)) {
        api_key_str(&r->w, "content", text);
        return PGD_OK;
    }
    if (pgd_json_typeof(content) != PGD_JSON_ARRAY)
        return bad(r, PGD_E_INVALID, "Input should be a string or an array of blocks", "%s", path);
    return put_blocks(r, content, path);
}

static pgd_status put_system(reader *r, const pgd_json *system) {
    pgd_sv text;
    if (!system || (pgd_json_as_str(system, &text) && (!text.n || is_billing(text)))) return PGD_OK;
    if (pgd_json_typeof(system) == PGD_JSON_ARRAY && !pgd_json_first(system)) return PGD_OK;
    open_message(r, "system");
    PGD_TRY(put_content(r, system, "system"));
    pgd_jsonw_end_obj(&r->w);
    return PGD_OK;
}

/* ---- a user's turn ---- */

static bool was_called(const reader *r, pgd_sv id) {
    pgd_sv s;
    for (const pgd_json *b = pgd_json_first(r->calls); b; b = pgd_json_next(b))
        if (api_has_type(b, "tool_use") && pgd_json_as_str(pgd_json_get(b, "id"), &s) &&
            pgd_sv_eq(s, id))
            return true;
    return false;
}

static pgd_status put_result(reader *r, const pgd_json *block, size_t i) {
    pgd_sv id;
    char quoted[API_QUOTE_BYTES], path[API_PARAM_BYTES];
    (void)snprintf(path, sizeof path, "messages.%zu.content.%zu", r->m, i);
    if (!pgd_json_as_str(pgd_json_get(block, "tool_use_id"), &id))
        return bad(r, PGD_E_INVALID, "Field required", "%s.tool_use_id", path);
    if (!was_called(r, id))
        return api_fail(&r->c->err, PGD_E_INVALID, "invalid_value", path,
                        "%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each "
                        "`tool_result` block must have a corresponding `tool_use` block in the "
                        "previous message.",
                        path, api_quote(quoted, id));
    open_message(r, "tool");
    api_key_str(&r->w, "tool_call_id", id);
    (void)snprintf(path, sizeof path, "messages.%zu.content.%zu.content", r->m, i);
    PGD_TRY(put_content(r, api_member(block, "content"), path));
    pgd_jsonw_end_obj(&r->w);
    return PGD_OK;
}

static pgd_status put_user(reader *r, const pgd_json *content) {
    size_t i = 0, n_results = 0;
    for (const pgd_json *b = pgd_json_first(content); b; b = pgd_json_next(b), i++) {
        if (!api_has_type(b, "tool_result")) continue;
        n_results++;
        PGD_TRY(put_result(r, b, i));
    }
    if (i && i == n_results) return PGD_OK;
    open_message(r, "user");
    pgd_jsonw_key(&r->w, "content");
    pgd_jsonw_arr(&r->w);
    i = 0;
    for (const pgd_json *b = pgd_json_first(content); b; b = pgd_json_next(b), i++) {
        char path[API_PARAM_BYTES];
        pgd_sv text = {"", 0};
        if (api_has_type(b, "tool_result")) continue;
        (void)snprintf(path, sizeof path, "messages.%zu.content.%zu", r->m, i);
        PGD_TRY(block_text(r, b, path, &text));
        put_part(r, text);
    }
    pgd_jsonw_end_arr(&r->w);
    pgd_jsonw_end_obj(&r->w);
    return PGD_OK;
}

/* ---- the assistant's turn ---- */

static pgd_status put_call(reader *r, const pgd_json *block, size_t i) {
    pgd_sv id, name;
    const pgd_json *const input = api_member(block, "input");
    if (!pgd_json_as_str(pgd_json_get(block, "id"), &id))
        return bad(r, PGD_E_INVALID, "Field required", "messages.%zu.content.%zu.id", r->m, i);
    if (!pgd_json_as_str(pgd_json_get(block, "name"), &name))
        return bad(r, PGD_E_INVALID, "Field required", "messages.%zu.content.%zu.name", r->m, i);
    if (input && pgd_json_typeof(input) != PGD_JSON_OBJECT)
        return bad(r, PGD_E_INVALID, "Input should be an object", "messages.%zu.content.%zu.input",
                   r->m, i);
    pgd_jsonw_obj(&r->w);
    api_key_str(&r->w, "id", id);
    api_key_str(&r->w, "type", PGD_SV("function"));
    pgd_jsonw_key(&r->w, "function");
    pgd_jsonw_obj(&r->w);
    api_key_str(&r->w, "name", name);
    pgd_jsonw_key(&r->w, "arguments");
    if (input) {
        pgd_jsonw_node(&r->w, input);
    } else {
        pgd_jsonw_obj(&r->w);
        pgd_jsonw_end_obj(&r->w);
    }
    pgd_jsonw_end_obj(&r->w);
    pgd_jsonw_end_obj(&r->w);
    return PGD_OK;
}

/* Blocks that only say what a server did for the model, and thinking that nobody may read. */
static bool is_dropped(const pgd_json *b) {
    static const char *const types[] = {"redacted_thinking",      "server_tool_use",
                                        "web_search_tool_result", "web_fetch_tool_result",
                                        "mcp_tool_use",           "mcp_tool_result",
                                        "container_upload",       "code_execution_tool_result"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (api_has_type(b, types[i])) return true;
    return false;
}

typedef struct turn {
    pgd_buf thinking;
    size_t n_texts, n_calls;
} turn;

static pgd_status put_texts(reader *r, const pgd_json *content, turn *t) {
    size_t i = 0;
    pgd_jsonw_key(&r->w, "content");
    pgd_jsonw_arr(&r->w);
    for (const pgd_json *b = pgd_json_first(content); b; b = pgd_json_next(b), i++) {
        char path[API_PARAM_BYTES];
        pgd_sv text = {"", 0};
        (void)snprintf(path, sizeof path, "messages.%zu.content.%zu", r->m, i);
        if (api_has_type(b, "thinking")) {
            if (!pgd_json_as_str(pgd_json_get(b, "thinking"), &text))
                return bad(r, PGD_E_INVALID, "Field required", "%s.thinking", path);
            pgd_buf_putsv(&t->thinking, text);
        } else if (api_has_type(b, "tool_use")) {
            t->n_calls++;
        } else if (!is_dropped(b)) {
            PGD_TRY(block_text(r, b, path, &text));
            put_part(r, text);
            t->n_texts++;
        }
    }
    pgd_jsonw_end_arr(&r->w);
    return PGD_OK;
}

static pgd_status put_assistant(reader *r, const pgd_json *content, turn *t) {
    open_message(r, "assistant");
    PGD_TRY(put_texts(r, content, t));
    if (t->thinking.failed) return api_fail_nomem(&r->c->err);
    if (t->thinking.n) api_key_str(&r->w, "reasoning_content", pgd_buf_sv(&t->thinking));
    if (t->n_calls) {
        size_t i = 0;
        pgd_jsonw_key(&r->w, "tool_calls");
        pgd_jsonw_arr(&r->w);
        for (const pgd_json *b = pgd_json_first(content); b; b = pgd_json_next(b), i++)
            if (api_has_type(b, "tool_use")) PGD_TRY(put_call(r, b, i));
        pgd_jsonw_end_arr(&r->w);
    }
    pgd_jsonw_end_obj(&r->w);
    return PGD_OK;
}

/* ---- messages ---- */

/* *open: the message is text of the assistant, which may be gone on with. */
static pgd_status put_message(reader *r, const pgd_json *msg, bool *open) {
    const pgd_json *const role = pgd_json_get(msg, "role"), *const content =
                                                                api_member(msg, "content");
    const bool assistant = api_is_str(role, "assistant");
    *open = false;
    if (pgd_json_typeof(msg) != PGD_JSON_OBJECT)
        return bad(r, PGD_E_INVALID, "Input should be an object", "messages.%zu", r->m);
    if (!assistant && !api_is_str(role, "user") && !api_is_str(role, "system") &&
        !api_is_str(role, "developer"))
        return bad(r, PGD_E_INVALID, "Input should be 'user' or 'assistant'", "messages.%zu.role",
                   r->m);
    if (!content) return bad(r, PGD_E_INVALID, "Field required", "messages.%zu.content", r->m);
    char path[API_PARAM_BYTES];
    (void)snprintf(path, sizeof path, "messages.%zu.content", r->m);
    const bool blocks = pgd_json_typeof(content) == PGD_JSON_ARRAY;
    if (blocks && pgd_json_count(content) > API_MAX_PARTS)
        return bad(r, PGD_E_INVALID, "too many blocks", "%s", path);
    if (blocks && api_is_str(role, "user")) return put_user(r, content);
    if (blocks && assistant) {
        turn t = {0};
        const pgd_status st = put_assistant(r, content, &t);
        pgd_buf_fini(&t.thinking);
        *open = t.n_texts && !t.n_calls;
        return st;
    }
    pgd_sv name;
    (void)pgd_json_as_str(role, &name);
    open_message(r, name.p);
    PGD_TRY(put_content(r, content, path));
    pgd_jsonw_end_obj(&r->w);
    *open = assistant;
    return PGD_OK;
}

static pgd_status put_messages(reader *r, const pgd_json *body) {
    const pgd_json *const messages = api_member(body, "messages");
    if (!messages) return bad(r, PGD_E_INVALID, "Field required", "messages");
    if (pgd_json_typeof(messages) != PGD_JSON_ARRAY)
        return bad(r, PGD_E_INVALID, "Input should be a valid array", "messages");
    if (!pgd_json_first(messages))
        return bad(r, PGD_E_INVALID, "at least one message is required", "messages");
    if (pgd_json_count(messages) > API_MAX_MESSAGES)
        return bad(r, PGD_E_INVALID, "too many messages", "messages");
    bool open = false;
    pgd_jsonw_key(&r->w, "messages");
    pgd_jsonw_arr(&r->w);
    PGD_TRY(put_system(r, api_member(body, "system")));
    for (const pgd_json *m = pgd_json_first(messages); m; m = pgd_json_next(m), r->m++) {
        PGD_TRY(put_message(r, m, &open));
        r->calls =
            api_is_str(pgd_json_get(m, "role"), "assistant") ? api_member(m, "content") : NULL;
    }
    pgd_jsonw_end_arr(&r->w);
    if (open) api_key_bool(&r->w, "continue_final_message", true);
    return PGD_OK;
}

/* ---- tools ---- */

/* Tools that the client runs; those of Anthropic's servers have a type of their own and no schema.
 */
static bool is_client_tool(const pgd_json *t) {
    return !api_member(t, "type") || api_has_type(t, "custom") || api_member(t, "input_schema");
}

static pgd_status put_tool(reader *r, const pgd_json *t, size_t i) {
    static const char *const keys[] = {"description", "strict"};
    pgd_sv name;
    if (!pgd_json_as_str(pgd_json_get(t, "name"), &name) || !name.n)
        return bad(r, PGD_E_INVALID, "Field required", "tools.%zu.name", i);
    const pgd_json *const schema = api_member(t, "input_schema");
    api_open_function(&r->w, name);
    api_put_members(&r->w, t, keys, sizeof keys / sizeof keys[0]);
    if (schema) api_key_node(&r->w, "parameters", schema);
    api_close_function(&r->w);
    return PGD_OK;
}

static pgd_status put_tool_choice(reader *r, const pgd_json *choice) {
    static const char *const names[][2] = {{"auto", "auto"}, {"any", "required"}, {"none", "none"}};
    bool one = false;
    if (pgd_json_as_bool(api_member(choice, "disable_parallel_tool_use"), &one) && one)
        api_key_bool(&r->w, "parallel_tool_calls", false);
    pgd_jsonw_key(&r->w, "tool_choice");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!api_has_type(choice, names[i][0])) continue;
        pgd_jsonw_cstr(&r->w, names[i][1]);
        return PGD_OK;
    }
    pgd_sv name;
    if (!api_has_type(choice, "tool"))
        return bad(r, PGD_E_INVALID, "Input should be 'auto', 'any', 'tool' or 'none'",
                   "tool_choice.type");
    if (!pgd_json_as_str(pgd_json_get(choice, "name"), &name))
        return bad(r, PGD_E_INVALID, "Field required", "tool_choice.name");
    api_open_function(&r->w, name);
    api_close_function(&r->w);
    return PGD_OK;
}

static pgd_status put_tools(reader *r, const pgd_json *body) {
    const pgd_json *const tools = api_member(body, "tools"), *const choice =
                                                                 api_member(body, "tool_choice");
    size_t i = 0, n = 0;
    if (!tools) return PGD_OK;
    if (pgd_json_typeof(tools) != PGD_JSON_ARRAY)
        return bad(r, PGD_E_INVALID, "Input should be a valid array", "tools");
    pgd_jsonw_key(&r->w, "tools");
    pgd_jsonw_arr(&r->w);
    for (const pgd_json *t = pgd_json_first(tools); t; t = pgd_json_next(t), i++) {
        if (!is_client_tool(t)) continue;
        n++;
        PGD_TRY(put_tool(r, t, i));
    }
    pgd_jsonw_end_arr(&r->w);
    if (n < i)
        pgd_log(PGD_LOG_DEBUG, "api", "server tools dropped n=%zu id=%s", i - n, r->c->request_id);
    return n && choice ? put_tool_choice(r, choice) : PGD_OK;
}

/* ---- all else ---- */

/* Adaptive thinking, and nothing said, leave it to the template. */
static pgd_status put_kwargs(reader *r, const pgd_json *body) {
    const pgd_json *const thinking = api_member(body, "thinking");
    const pgd_json *const own = api_member(body, "chat_template_kwargs");
    const bool on = api_has_type(thinking, "enabled"), off = api_has_type(thinking, "disabled");
    if (thinking && !on && !off && !api_has_type(thinking, "adaptive"))
        return bad(r, PGD_E_INVALID, "Input should be 'enabled', 'disabled' or 'adaptive'",
                   "thinking.type");
    if (own && pgd_json_typeof(own) != PGD_JSON_OBJECT)
        return bad(r, PGD_E_INVALID, "Input should be an object", "chat_template_kwargs");
    api_put_kwargs(&r->w, on ? API_THINK_ON : off ? API_THINK_OFF : API_THINK_UNSAID, own);
    return PGD_OK;
}

static void put_output_config(reader *r, const pgd_json *config) {
    const pgd_json *const effort = api_member(config, "effort"), *const format =
                                                                     api_member(config, "format");
    if (effort) api_key_node(&r->w, "reasoning_effort", effort);
    if (!api_has_type(format, "json_schema")) return;
    api_open_schema(&r->w);
    api_key_str(&r->w, "name", PGD_SV("output"));
    api_key_bool(&r->w, "strict", true);
    api_key_node(&r->w, "schema", api_member(format, "schema"));
    api_close_schema(&r->w);
}

static pgd_status put_max_tokens(reader *r, const pgd_json *body) {
    const pgd_json *const v = api_member(body, "max_tokens");
    int64_t n = DEFAULT_MAX_TOKENS;
    if (v && !pgd_json_as_i64(v, &n))
        return bad(r, PGD_E_INVALID, "Input should be a valid integer", "max_tokens");
    if (n < 1)
        return bad(r, PGD_E_INVALID, "Input should be greater than or equal to 1", "max_tokens");
    r->c->asked_tokens = (uint64_t)n;
    pgd_jsonw_key(&r->w, "max_tokens");
    pgd_jsonw_i64(&r->w, n);
    return PGD_OK;
}

static pgd_status put_stops(reader *r, const pgd_json *v) {
    pgd_sv s;
    size_t i = 0;
    if (!v) return PGD_OK;
    if (pgd_json_typeof(v) != PGD_JSON_ARRAY)
        return bad(r, PGD_E_INVALID, "Input should be a valid array", "stop_sequences");
    if (pgd_json_count(v) > API_MAX_STOPS)
        return bad(r, PGD_E_INVALID, "too many stop sequences", "stop_sequences");
    for (const pgd_json *x = pgd_json_first(v); x; x = pgd_json_next(x), i++)
        if (!pgd_json_as_str(x, &s) || !s.n || s.n > API_MAX_STOP_BYTES)
            return bad(r, PGD_E_INVALID, "Input should be a string of 1 to 1024 bytes",
                       "stop_sequences.%zu", i);
    api_key_node(&r->w, "stop", v);
    return PGD_OK;
}

pgd_status api_messages_to_chat(pgd_call *c, const pgd_json *body, pgd_buf *out) {
    reader r = {.c = c};
    PGD_TRY(api_check_object(&c->err, body));
    if (!api_member(body, "model")) return bad(&r, PGD_E_INVALID, "Field required", "model");
    pgd_jsonw_init(&r.w, out);
    pgd_jsonw_obj(&r.w);
    api_put_same(&r.w, body);
    api_put_members(&r.w, body, (const char *const[]){"include_reasoning"}, 1);
    if (c->route == PGD_ROUTE_MESSAGES) PGD_TRY(put_max_tokens(&r, body));
    PGD_TRY(put_messages(&r, body));
    PGD_TRY(put_tools(&r, body));
    PGD_TRY(put_stops(&r, api_member(body, "stop_sequences")));
    PGD_TRY(put_kwargs(&r, body));
    put_output_config(&r, api_member(body, "output_config"));
    pgd_jsonw_end_obj(&r.w);
    return PGD_OK;
}
