/* Request bodies of /v1/responses as chat bodies, and the values that the response repeats.
 *
 * Items and tools have files of their own; values that mean the same in chat are handed on and
 * judged by its table. What cannot be served here (conversations kept by the server, stored
 * prompts) is refused by name. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/mem.h"
#include "response.h"

enum { MAX_CHAIN = 4096 }; /* responses that go on from each other */

/* ---- what the object repeats ---- */

static void echo_last(pgd_buf *b, const char *key, const pgd_json *v, const char *otherwise) {
    pgd_buf_putf(b, "\"%s\":", key);
    if (v) {
        pgd_jsonw w;
        pgd_jsonw_init(&w, b);
        pgd_jsonw_node(&w, v);
    } else {
        pgd_buf_puts(b, otherwise);
    }
}

static void echo(pgd_buf *b, const char *key, const pgd_json *v, const char *otherwise) {
    echo_last(b, key, v, otherwise);
    pgd_buf_putc(b, ',');
}

static pgd_status make_echo(api_reader *r, const pgd_json *body) {
    static const char *const members[][2] = {{"background", "false"},
                                             {"instructions", "null"},
                                             {"max_output_tokens", "null"},
                                             {"max_tool_calls", "null"},
                                             {"model", "null"},
                                             {"parallel_tool_calls", "true"},
                                             {"previous_response_id", "null"},
                                             {"prompt_cache_key", "null"},
                                             {"safety_identifier", "null"},
                                             {"temperature", "1.0"},
                                             {"tool_choice", "\"auto\""},
                                             {"tools", "[]"},
                                             {"top_logprobs", "0"},
                                             {"top_p", "1.0"},
                                             {"truncation", "\"disabled\""},
                                             {"user", "null"},
                                             {"metadata", "{}"}};
    pgd_buf *const b = &r->c->response->echo;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        echo(b, members[i][0], api_member(body, members[i][0]), members[i][1]);
    const pgd_json *const reasoning = api_member(body, "reasoning"), *const text =
                                                                         api_member(body, "text");
    const pgd_json *const verbosity = api_member(text, "verbosity");
    pgd_buf_puts(b, "\"reasoning\":{");
    echo(b, "effort", api_member(reasoning, "effort"), "null");
    echo_last(b, "summary", api_member(reasoning, "summary"), "null");
    pgd_buf_puts(b, "},\"text\":{");
    if (verbosity) echo(b, "verbosity", verbosity, "null");
    echo_last(b, "format", api_member(text, "format"), "{\"type\":\"text\"}");
    pgd_buf_puts(b, "},\"service_tier\":\"default\",");
    pgd_buf_putf(b, "\"store\":%s,", r->c->response->store ? "true" : "false");
    return b->failed ? api_fail_nomem(r->e) : PGD_OK;
}

/* ---- refusals ---- */

static pgd_status check_served(api_reader *r, const pgd_json *body) {
    static const char *const never[] = {"conversation", "prompt"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (api_member(body, never[i])) return api_fail_unsupported(r->e, never[i]);
    const pgd_json *const objects[] = {api_member(body, "reasoning"), api_member(body, "text")};
    static const char *const names[] = {"reasoning", "text"};
    for (size_t i = 0; i < 2; i++)
        if (objects[i] && pgd_json_typeof(objects[i]) != PGD_JSON_OBJECT)
            return api_fail_type(r->e, names[i], "an object", objects[i]);
    return PGD_OK;
}

/* ---- values ---- */

static pgd_status put_format(api_reader *r, const pgd_json *format) {
    static const char *const keys[] = {"name", "description", "schema", "strict"};
    if (!format || api_has_type(format, "text")) return PGD_OK;
    if (!api_has_type(format, "json_schema")) {
        api_key_node(&r->w, "response_format", format);
        return PGD_OK;
    }
    api_open_schema(&r->w);
    api_put_members(&r->w, format, keys, sizeof keys / sizeof keys[0]);
    api_close_schema(&r->w);
    return PGD_OK;
}

static pgd_status put_max_tokens(api_reader *r, const pgd_json *v) {
    int64_t n;
    if (!v) return PGD_OK;
    if (!pgd_json_as_i64(v, &n)) return api_fail_type(r->e, "max_output_tokens", "an integer", v);
    if (n < 1)
        return api_fail(r->e, PGD_E_INVALID, "integer_below_min_value", "max_output_tokens",
                        "Invalid 'max_output_tokens': integer below minimum value. Expected a "
                        "value >= 1, but got %lld instead.",
                        (long long)n);
    pgd_jsonw_key(&r->w, "max_completion_tokens");
    pgd_jsonw_i64(&r->w, n);
    return PGD_OK;
}

static pgd_status put_include(api_reader *r, const pgd_json *body) {
    const pgd_json *const list = api_member(body, "include");
    if (list && pgd_json_typeof(list) != PGD_JSON_ARRAY)
        return api_fail_type(r->e, "include", "an array", list);
    for (const pgd_json *v = pgd_json_first(list); v; v = pgd_json_next(v)) {
        if (r->c->response && api_is_str(v, "reasoning.encrypted_content"))
            r->c->response->encrypted = true;
        if (!api_is_str(v, "message.output_text.logprobs")) continue;
        api_key_bool(&r->w, "logprobs", true);
        if (api_member(body, "top_logprobs"))
            api_key_node(&r->w, "top_logprobs", api_member(body, "top_logprobs"));
        return PGD_OK;
    }
    return PGD_OK;
}

/* ---- what went before ---- */

/* The response that this one goes on from, by its id. */
static pgd_status find_previous(api_reader *r, const pgd_json *id, api_kept **out) {
    pgd_call *const c = r->c;
    pgd_sv s;
    char quoted[API_QUOTE_BYTES];
    if (!id) return PGD_OK;
    if (!pgd_json_as_str(id, &s))
        return api_fail_type(r->e, "previous_response_id", "a string", id);
    if (!c->api->store)
        return api_fail(r->e, PGD_E_INVALID, "previous_response_not_found", "previous_response_id",
                        "previous_response_id is not supported: this server keeps no responses. "
                        "Send the full input.");
    const pgd_sv tenant = pgd_buf_sv(&c->tenant);
    if (api_live_see(c->api, s, tenant, NULL, NULL))
        return api_fail(r->e, PGD_E_INVALID, "response_in_progress", "previous_response_id",
                        "Previous response with id '%s' has not ended yet.", api_quote(quoted, s));
    *out = api_store_get(c->api->store, s, tenant, pgd_clock_now(&c->api->clock));
    if (!*out)
        return api_fail(r->e, PGD_E_NOT_FOUND, "previous_response_not_found",
                        "previous_response_id", "Previous response with id '%s' not found.",
                        api_quote(quoted, s));
    if ((*out)->chain_bytes > pgd_json_limits_request.max_bytes || (*out)->depth > MAX_CHAIN)
        return api_fail(r->e, PGD_E_INVALID, "context_length_exceeded", "previous_response_id",
                        "The conversation that the response ends is too long to go on.");
    return PGD_OK;
}

static pgd_status put_kept_input(api_reader *r, const pgd_buf *items) {
    const pgd_json *root = NULL;
    pgd_buf list = {0};
    pgd_buf_putc(&list, '[');
    pgd_buf_putsv(&list, pgd_buf_sv(items));
    pgd_buf_putc(&list, ']');
    const pgd_status st =
        list.failed ? api_fail_nomem(r->e) : api_read_kept(r, pgd_buf_sv(&list), &root);
    pgd_buf_fini(&list);
    return st == PGD_OK ? api_put_items(r, root, "previous_response_id") : st;
}

static pgd_status put_kept_output(api_reader *r, const pgd_buf *object) {
    const pgd_json *root = NULL;
    PGD_TRY(api_read_kept(r, pgd_buf_sv(object), &root));
    return api_put_items(r, pgd_json_get(root, "output"), "previous_response_id");
}

/* All turns up to the kept response, from the first one on. */
static pgd_status put_previous(api_reader *r, const api_kept *last) {
    const uint32_t n = last->depth;
    const api_kept **const chain = pgd_arena_array(r->c->arena, n, sizeof *chain);
    if (!chain) return api_fail_nomem(r->e);
    uint32_t i = n;
    for (const api_kept *k = last; k; k = k->previous)
        chain[--i] = k;
    for (; i < n; i++) {
        PGD_TRY(put_kept_input(r, &chain[i]->input));
        PGD_TRY(put_kept_output(r, &chain[i]->object));
    }
    return PGD_OK;
}

/* What runs in the background is read later, so it must be kept. A stream of it would have to be
 * taken up again after a break, which no route does. */
static pgd_status check_background(api_reader *r, const pgd_json *body, bool asked_to_keep) {
    const pgd_json *const v = api_member(body, "background");
    bool on = false, stream = false;
    if (v && !pgd_json_as_bool(v, &on)) return api_fail_type(r->e, "background", "a boolean", v);
    r->c->background = on;
    if (!on || (r->c->response->store &&
                !(pgd_json_as_bool(api_member(body, "stream"), &stream) && stream)))
        return PGD_OK;
    if (stream)
        return api_fail(r->e, PGD_E_UNSUPPORTED, "unsupported_value", "stream",
                        "Unsupported value: 'stream' cannot be true with 'background'. Read the "
                        "response with GET /v1/responses/{id} instead.");
    return api_fail(r->e, PGD_E_INVALID, "invalid_value", "background", "Invalid 'background': %s.",
                    asked_to_keep ? "this server keeps no responses, so none can be read later"
                                  : "it requires 'store' to be true, since the response is read "
                                    "later");
}

/* Whether to keep the response, and whether its client waits for it. */
static pgd_status settle_keeping(api_reader *r, const pgd_json *body) {
    const pgd_json *const store = api_member(body, "store");
    bool keep = true;
    if (store && !pgd_json_as_bool(store, &keep))
        return api_fail_type(r->e, "store", "a boolean", store);
    api_response *const resp = r->c->response;
    resp->store = keep && r->c->api->store;
    PGD_TRY(check_background(r, body, keep));
    if (resp->store) PGD_TRY(api_keep_input(r, api_member(body, "input"), &resp->input));
    return resp->input.failed ? api_fail_nomem(r->e) : PGD_OK;
}

/* ---- input ---- */

static void put_message(api_reader *r, const char *role, pgd_sv text) {
    pgd_jsonw_obj(&r->w);
    api_key_str(&r->w, "role", pgd_sv_c(role));
    api_key_str(&r->w, "content", text);
    pgd_jsonw_end_obj(&r->w);
}

static pgd_status put_input(api_reader *r, const pgd_json *body) {
    const pgd_json *const input = api_member(body, "input"), *const before =
                                                                 api_member(body, "instructions");
    pgd_sv text;
    if (!input) return api_fail_missing(r->e, "input");
    if (pgd_json_typeof(input) != PGD_JSON_STRING && pgd_json_typeof(input) != PGD_JSON_ARRAY)
        return api_fail_type(r->e, "input", "a string or an array of items", input);
    if (pgd_json_typeof(input) == PGD_JSON_ARRAY && !pgd_json_first(input))
        return api_fail(r->e, PGD_E_INVALID, "empty_array", "input",
                        "Invalid 'input': empty array. Expected an array with minimum length 1, "
                        "but got an empty array instead.");
    pgd_jsonw_key(&r->w, "messages");
    pgd_jsonw_arr(&r->w);
    if (before) {
        if (!pgd_json_as_str(before, &text))
            return api_fail_type(r->e, "instructions", "a string", before);
        put_message(r, "system", text);
    }
    if (r->previous) PGD_TRY(put_previous(r, r->previous));
    if (pgd_json_as_str(input, &text))
        put_message(r, "user", text);
    else
        PGD_TRY(api_put_items(r, input, "input"));
    PGD_TRY(api_end_turn(r));
    pgd_jsonw_end_arr(&r->w);
    return PGD_OK;
}

static pgd_status put_body(api_reader *r, const pgd_json *body) {
    static const char *const same[] = {"stop", "user", "parallel_tool_calls", "metadata"};
    const pgd_json *const reasoning = api_member(body, "reasoning");
    const pgd_json *const effort = api_member(reasoning, "effort");
    PGD_TRY(check_served(r, body));
    pgd_jsonw_obj(&r->w);
    api_put_same(&r->w, body);
    api_put_members(&r->w, body, same, sizeof same / sizeof same[0]);
    PGD_TRY(put_max_tokens(r, api_member(body, "max_output_tokens")));
    PGD_TRY(put_include(r, body));
    PGD_TRY(put_input(r, body));
    PGD_TRY(api_put_response_tools(r, body));
    if (effort) api_key_node(&r->w, "reasoning_effort", effort);
    api_put_kwargs(&r->w, api_is_str(effort, "none") ? API_THINK_OFF : API_THINK_UNSAID,
                   api_member(body, "chat_template_kwargs"));
    PGD_TRY(put_format(r, api_member(api_member(body, "text"), "format")));
    pgd_jsonw_end_obj(&r->w);
    return PGD_OK;
}

pgd_status api_responses_to_chat(pgd_call *c, const pgd_json *body, pgd_buf *out) {
    api_reader r = {.c = c, .e = &c->err};
    PGD_TRY(api_check_object(&c->err, body));
    pgd_status st = api_check_references(&r, api_member(body, "input"));
    if (st == PGD_OK && c->route == PGD_ROUTE_RESPONSES) {
        c->response = pgd_calloc(1, sizeof *c->response);
        st = c->response ? settle_keeping(&r, body) : api_fail_nomem(&c->err);
        if (st == PGD_OK) st = make_echo(&r, body);
    }
    if (st == PGD_OK) st = find_previous(&r, api_member(body, "previous_response_id"), &r.previous);
    if (st == PGD_OK && pgd_strmap_create(&r.calls, 16) != PGD_OK) st = api_fail_nomem(&c->err);
    pgd_jsonw_init(&r.w, out);
    if (st == PGD_OK) st = put_body(&r, body);
    pgd_strmap_destroy(&r.calls);
    pgd_buf_fini(&r.parts);
    pgd_buf_fini(&r.reasoning);
    pgd_buf_fini(&r.tool_calls);
    for (size_t i = 0; i < r.n_docs; i++)
        pgd_json_free(&r.docs[i]);
    if (c->response && st == PGD_OK)
        c->response->previous = r.previous;
    else
        api_kept_release(&r.previous);
    return st;
}
