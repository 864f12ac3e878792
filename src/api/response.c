/* The object of a response: its own numbers, what it repeats of the request, its items as they are
 * at the moment. Streams and plain answers write it by the same functions. Thread: loop. */
#include "response.h"

#include <string.h>

#include "call.h"
#include "pagoda/mem.h"
#include "response_out.h"

void api_response_destroy(api_response **r) {
    if (!r || !*r) return;
    pgd_buf_fini(&(*r)->echo);
    pgd_buf_fini(&(*r)->input);
    api_kept_release(&(*r)->previous);
    pgd_free(*r);
    *r = NULL;
}

void api_put_text(pgd_buf *b, const char *key, pgd_sv text) {
    pgd_buf_putf(b, "\"%s\":\"", key);
    pgd_json_escape(b, text);
    pgd_buf_putc(b, '"');
}

const api_alias *api_item_alias(const pgd_call *c, const api_item *it) {
    return api_find_alias(c->response, pgd_buf_sv(&it->name));
}

bool api_item_is_custom(const pgd_call *c, const api_item *it) {
    const api_alias *const a = api_item_alias(c, it);
    return it->kind == API_TOOL_BEGIN && a && a->kind == API_TOOL_CUSTOM;
}

void api_put_custom_input(const api_item *it, pgd_buf *b) {
    pgd_json_doc *doc = NULL;
    pgd_sv text = pgd_buf_sv(&it->text), input;
    if (text.n && pgd_json_parse(text, &pgd_json_limits_request, &doc, NULL) == PGD_OK &&
        pgd_json_as_str(pgd_json_get(pgd_json_root(doc), "input"), &input))
        text = input;
    pgd_json_escape(b, text);
    pgd_json_free(&doc);
}

static void put_call(const pgd_call *c, const api_item *it, bool empty, pgd_buf *b) {
    const api_alias *const a = api_item_alias(c, it);
    const bool custom = api_item_is_custom(c, it);
    pgd_buf_putf(b, "{\"type\":\"%s\",\"id\":\"%s\",\"call_id\":\"",
                 custom ? "custom_tool_call" : "function_call", it->id);
    pgd_buf_putsv(b, pgd_buf_sv(&it->call_id));
    pgd_buf_puts(b, "\",");
    api_put_text(b, "name", a ? a->name : pgd_buf_sv(&it->name));
    if (a && a->ns.n) {
        pgd_buf_putc(b, ',');
        api_put_text(b, "namespace", a->ns);
    }
    pgd_buf_putf(b, ",\"%s\":\"", custom ? "input" : "arguments");
    if (custom && !empty)
        api_put_custom_input(it, b);
    else if (!empty)
        pgd_json_escape(b, pgd_buf_sv(&it->text));
    pgd_buf_putc(b, '"');
}

void api_put_part(const api_item *it, bool empty, pgd_buf *b) {
    pgd_buf_putf(b, "{\"type\":\"%s\",", it->kind == API_TEXT ? "output_text" : "reasoning_text");
    api_put_text(b, "text", empty ? (pgd_sv){"", 0} : pgd_buf_sv(&it->text));
    if (it->kind == API_TEXT) {
        pgd_buf_puts(b, ",\"annotations\":[],\"logprobs\":[");
        /* where there was no memory for an entry, half of it may stand at the end */
        if (!empty && !it->logprobs.failed) pgd_buf_putsv(b, pgd_buf_sv(&it->logprobs));
        pgd_buf_putc(b, ']');
    }
    pgd_buf_putc(b, '}');
}

void api_put_item(const pgd_call *c, const api_item *it, api_item_at at, pgd_buf *b) {
    static const char *const status[] = {"in_progress", "completed", "incomplete"};
    const bool empty = at == API_ITEM_BEGINS;
    if (it->kind == API_TEXT) {
        pgd_buf_putf(b,
                     "{\"type\":\"message\",\"id\":\"%s\",\"role\":\"assistant\",\"status\":\"%s\","
                     "\"content\":[",
                     it->id, status[at]);
        if (!empty) api_put_part(it, false, b);
        pgd_buf_puts(b, "]}");
        return;
    }
    if (it->kind == API_REASONING) {
        pgd_buf_putf(b, "{\"type\":\"reasoning\",\"id\":\"%s\",\"summary\":[],\"content\":[",
                     it->id);
        if (!empty) api_put_part(it, false, b);
        pgd_buf_puts(b, "],\"encrypted_content\":");
        if (c->response->encrypted && !empty) {
            pgd_buf_puts(b, "\"" API_SEALED);
            pgd_json_escape(b, pgd_buf_sv(&it->text));
            pgd_buf_putc(b, '"');
        } else {
            pgd_buf_puts(b, "null");
        }
    } else {
        put_call(c, it, empty, b);
    }
    pgd_buf_putf(b, ",\"status\":\"%s\"}", status[at]);
}

static void put_usage(const pgd_call *c, pgd_buf *b) {
    const uint32_t in = api_prompt_tokens(c), out = api_completion_tokens(c);
    pgd_buf_putf(b,
                 "{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":%u},"
                 "\"output_tokens\":%u,\"output_tokens_details\":{\"reasoning_tokens\":%u},"
                 "\"total_tokens\":%u}",
                 in, api_cached_tokens(c), out, api_reasoning_tokens(c), in + out);
}

static void put_error(const pgd_call *c, pgd_buf *b) {
    if (c->err.status == PGD_OK) {
        pgd_buf_puts(b, "\"error\":null");
        return;
    }
    pgd_buf_puts(b, "\"error\":");
    pgd_buf_putf(b, "{\"code\":\"%s\",", c->err.code ? c->err.code : "server_error");
    api_put_text(b, "message", pgd_sv_c(c->err.msg));
    pgd_buf_putc(b, '}');
}

static void put_front(const pgd_call *c, const char *status, pgd_buf *b) {
    pgd_buf_putf(b, "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%llu,\"status\":\"%s\",",
                 c->id, (unsigned long long)c->created, status);
    if (strcmp(status, "completed") == 0)
        pgd_buf_putf(b, "\"completed_at\":%llu,",
                     (unsigned long long)(pgd_wall_ns() / 1000000000u));
    else
        pgd_buf_puts(b, "\"completed_at\":null,");
}

void api_put_response_begun(const pgd_call *c, const char *status, pgd_buf *b) {
    put_front(c, status, b);
    pgd_buf_puts(b, "\"error\":null,\"incomplete_details\":null,");
    pgd_buf_putsv(b, pgd_buf_sv(&c->response->echo));
    pgd_buf_puts(b, "\"output\":[],\"usage\":null}");
}

void api_put_response(const pgd_call *c, const char *status, pgd_buf *b) {
    const bool cut = strcmp(status, "incomplete") == 0;
    put_front(c, status, b);
    put_error(c, b);
    pgd_buf_putf(b, ",\"incomplete_details\":%s,",
                 cut ? "{\"reason\":\"max_output_tokens\"}" : "null");
    pgd_buf_putsv(b, pgd_buf_sv(&c->response->echo));
    pgd_buf_puts(b, "\"output\":[");
    for (uint32_t i = 0; i < c->items.n; i++) {
        const api_item *const it = &c->items.v[i];
        if (it->call_id.failed || it->name.failed)
            break; /* the last: the response failed with it */
        if (i) pgd_buf_putc(b, ',');
        api_put_item(c, it, it->whole ? API_ITEM_WHOLE : API_ITEM_CUT, b);
    }
    pgd_buf_puts(b, "],\"usage\":");
    put_usage(c, b);
    pgd_buf_putc(b, '}');
}
