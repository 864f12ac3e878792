/* The wire of /v1/messages: Anthropic's content blocks, strictly one after the other.
 *
 *   message_start, ping, (content_block_start, content_block_delta …, content_block_stop) …,
 *   message_delta, message_stop
 *
 * The input of a tool_use is an object, so its JSON is checked as it comes: what goes out is always
 * the beginning of an object, and stops at the first byte that cannot be. In a plain answer a call
 * that is not complete has the input {"raw": text so far}. The prompt's tokens are those that were
 * computed plus those that came from the cache, as Anthropic counts. Nobody verifies signatures of
 * thinking here; clients only need one to send back. Thread: loop. */
#include <stdio.h>

#include "call.h"
#include "pagoda/json.h"
#include "pagoda/jsonw.h"

#define SIGNATURE "cGFnb2Rh"

/* How far the JSON of a call's arguments has come: api_item.state. */
enum { ARGS_START, ARGS_MORE, ARGS_WHOLE, ARGS_BROKEN };

static void open_event(pgd_call *c, const char *type) {
    pgd_buf_putf(&c->out, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void close_event(pgd_call *c) {
    pgd_buf_puts(&c->out, "}\n\n");
    api_call_event_done(c);
}

/* Members of usage without output_tokens. */
static void put_input_usage(const pgd_call *c, pgd_buf *b) {
    const uint32_t all = api_prompt_tokens(c), cached = api_cached_tokens(c);
    pgd_buf_putf(b,
                 "\"input_tokens\":%u,\"cache_creation_input_tokens\":0,"
                 "\"cache_read_input_tokens\":%u",
                 all > cached ? all - cached : 0, cached < all ? cached : all);
}

/* A message up to its content. */
static void put_head(const pgd_call *c, pgd_buf *b) {
    pgd_buf_putf(b, "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"",
                 c->id);
    pgd_json_escape(b, c->model_name);
    pgd_buf_puts(b, "\",\"content\":[");
}

static void begin(pgd_call *c) {
    open_event(c, "message_start");
    pgd_buf_puts(&c->out, ",\"message\":");
    put_head(c, &c->out);
    pgd_buf_puts(&c->out, "],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{");
    put_input_usage(c, &c->out);
    pgd_buf_puts(&c->out, ",\"output_tokens\":0}}");
    close_event(c);
    if (c->phase != API_RUN) return;
    open_event(c, "ping");
    close_event(c);
}

static void put_text(pgd_buf *b, const char *key, pgd_sv text) {
    pgd_buf_putf(b, "\"%s\":\"", key);
    pgd_json_escape(b, text);
    pgd_buf_putc(b, '"');
}

/* ---- blocks ---- */

static void put_tool_head(const api_item *it, pgd_buf *b) {
    pgd_buf_puts(b, "\"type\":\"tool_use\",\"id\":\"");
    pgd_buf_putsv(b, pgd_buf_sv(&it->call_id));
    pgd_buf_puts(b, "\",");
    put_text(b, "name", pgd_buf_sv(&it->name));
}

static void open_block(pgd_call *c, api_item *it, const api_piece *v, pgd_sv bytes) {
    if (it->kind == API_TOOL_BEGIN) {
        jscan_init(&it->scan);
        api_call_id_write(c, "toolu_", v, bytes, &it->call_id);
    }
    if (!c->g.stream) return;
    pgd_buf *const b = &c->out;
    if (it->call_id.failed || it->name.failed) b->failed = true; /* no call goes out unnamed */
    open_event(c, "content_block_start");
    pgd_buf_putf(b, ",\"index\":%u,\"content_block\":{", api_item_index(c, it));
    if (it->kind == API_TEXT) {
        pgd_buf_puts(b, "\"type\":\"text\",\"text\":\"\"}");
    } else if (it->kind == API_REASONING) {
        pgd_buf_puts(b, "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    } else {
        put_tool_head(it, b);
        pgd_buf_puts(b, ",\"input\":{}}");
    }
    close_event(c);
}

/* What of bytes goes on with the object that it->text began. */
static pgd_sv object_part(api_item *it, pgd_sv bytes) {
    size_t i = 0;
    for (; i < bytes.n && it->state < ARGS_WHOLE; i++) {
        const bool first = it->state == ARGS_START;
        if (first && parse_white(bytes.p[i])) continue;
        if (first && bytes.p[i] != '{') it->state = ARGS_BROKEN;
        if (it->state == ARGS_BROKEN) break;
        const step s = jscan_byte(&it->scan, bytes.p[i]);
        it->state = s == STEP_MORE ? ARGS_MORE : s == STEP_DONE ? ARGS_WHOLE : ARGS_BROKEN;
        if (it->state == ARGS_BROKEN) break;
    }
    return (pgd_sv){bytes.p, i};
}

static void put_delta(pgd_call *c, const api_item *it, const char *type, const char *key,
                      pgd_sv text) {
    open_event(c, "content_block_delta");
    pgd_buf_putf(&c->out, ",\"index\":%u,\"delta\":{\"type\":\"%s\",", api_item_index(c, it), type);
    put_text(&c->out, key, text);
    pgd_buf_putc(&c->out, '}');
    close_event(c);
}

static void more_of_block(pgd_call *c, api_item *it, pgd_sv bytes) {
    if (it->kind == API_TOOL_BEGIN) bytes = object_part(it, bytes);
    if (!bytes.n) return;
    if (!c->g.stream)
        pgd_buf_putsv(&it->text, bytes);
    else if (it->kind == API_TEXT)
        put_delta(c, it, "text_delta", "text", bytes);
    else if (it->kind == API_REASONING)
        put_delta(c, it, "thinking_delta", "thinking", bytes);
    else
        put_delta(c, it, "input_json_delta", "partial_json", bytes);
}

static void close_block(pgd_call *c, api_item *it, bool whole) {
    (void)whole;
    if (!c->g.stream) return;
    if (it->kind == API_REASONING)
        put_delta(c, it, "signature_delta", "signature", PGD_SV(SIGNATURE));
    if (c->phase != API_RUN) return;
    open_event(c, "content_block_stop");
    pgd_buf_putf(&c->out, ",\"index\":%u", api_item_index(c, it));
    close_event(c);
}

static const api_item_events events = {
    .open = open_block, .more = more_of_block, .close = close_block};

static void piece(pgd_call *c, api_choice *ch, const api_piece *v, pgd_sv bytes, uint32_t to) {
    (void)ch;
    (void)to; /* this protocol has no logprobs */
    api_items_take(c, &events, v, bytes);
}

static void finish(pgd_call *c, api_choice *ch, uint32_t to) {
    (void)to;
    api_items_end(c, &events, ch->finish == PGD_FINISH_STOP);
}

/* ---- the end ---- */

/* `"stop_reason":…,"stop_sequence":…` */
static void put_stop(const pgd_call *c, pgd_buf *b) {
    const api_choice *const ch = &c->g.choices[0];
    const pgd_request *const r = &ch->rq->r;
    const char *why = "end_turn";
    const bool by_string = ch->stop_index >= 0 && !ch->n_calls;
    if (ch->finish == PGD_FINISH_LENGTH)
        why = r->max_new_tokens < c->asked_tokens ? "model_context_window_exceeded" : "max_tokens";
    else if (ch->n_calls)
        why = "tool_use";
    else if (by_string)
        why = "stop_sequence";
    pgd_buf_putf(b, "\"stop_reason\":\"%s\",\"stop_sequence\":", why);
    if (by_string)
        api_stop_reason_write(c, ch, b);
    else
        pgd_buf_puts(b, "null");
}

static void put_usage(const pgd_call *c, pgd_buf *b) {
    pgd_buf_puts(b, "\"usage\":{");
    put_input_usage(c, b);
    pgd_buf_putf(b, ",\"output_tokens\":%u}", api_completion_tokens(c));
}

static void end(pgd_call *c) {
    open_event(c, "message_delta");
    pgd_buf_puts(&c->out, ",\"delta\":{");
    put_stop(c, &c->out);
    pgd_buf_puts(&c->out, "},");
    put_usage(c, &c->out);
    close_event(c);
    if (c->phase != API_RUN) return;
    open_event(c, "message_stop");
    pgd_buf_puts(&c->out, "}\n\n"); /* the caller closes the last event */
}

static void put_input(const api_item *it, pgd_buf *b) {
    if (it->state == ARGS_WHOLE) {
        pgd_buf_putsv(b, pgd_buf_sv(&it->text));
        return;
    }
    pgd_buf_putc(b, '{');
    if (it->text.n) put_text(b, "raw", pgd_buf_sv(&it->text));
    pgd_buf_putc(b, '}');
}

static void put_block(const api_item *it, pgd_buf *b) {
    pgd_buf_putc(b, '{');
    if (it->kind == API_TEXT) {
        pgd_buf_puts(b, "\"type\":\"text\",");
        put_text(b, "text", pgd_buf_sv(&it->text));
    } else if (it->kind == API_REASONING) {
        pgd_buf_puts(b, "\"type\":\"thinking\",");
        put_text(b, "thinking", pgd_buf_sv(&it->text));
        pgd_buf_puts(b, ",\"signature\":\"" SIGNATURE "\"");
    } else {
        put_tool_head(it, b);
        pgd_buf_puts(b, ",\"input\":");
        put_input(it, b);
    }
    pgd_buf_putc(b, '}');
}

static void answer(pgd_call *c) {
    pgd_buf *const b = &c->out;
    put_head(c, b);
    for (uint32_t i = 0; i < c->items.n; i++) {
        if (i) pgd_buf_putc(b, ',');
        put_block(&c->items.v[i], b);
    }
    pgd_buf_puts(b, "],");
    put_stop(c, b);
    pgd_buf_putc(b, ',');
    put_usage(c, b);
    pgd_buf_putc(b, '}');
}

/* Clients know an overlong prompt by this sentence. */
static void put_error(const pgd_call *c, pgd_buf *b) {
    const api_error *const e = &c->err;
    char text[128];
    if (e->n_ctx > 0)
        (void)snprintf(text, sizeof text, "prompt is too long: %lld tokens > %lld maximum",
                       (long long)e->n_prompt_tokens, (long long)e->n_ctx);
    pgd_api_error_body_anthropic(b, pgd_status_http(e->status), e->n_ctx > 0 ? text : e->msg,
                                 c->request_id);
}

static void error(pgd_call *c) {
    if (c->streaming) pgd_buf_puts(&c->out, "event: error\ndata: ");
    put_error(c, &c->out);
    if (c->streaming) pgd_buf_puts(&c->out, "\n\n");
}

/* Clients expect message_start first, so before it a comment must do. */
static void keep_alive(pgd_call *c) {
    if (!c->g.began) {
        api_comment(c);
        return;
    }
    open_event(c, "ping");
    pgd_buf_puts(&c->out, "}\n\n");
}

const api_wire api_wire_messages = {.id_prefix = "msg_",
                                    .translate = api_messages_to_chat,
                                    .begin = begin,
                                    .piece = piece,
                                    .finish = finish,
                                    .answer = answer,
                                    .end = end,
                                    .error = error,
                                    .keep_alive = keep_alive};
