/* The wire of /v1/chat/completions: chunks of a stream, and the one object of a plain answer, made
 * from the same deltas.
 *
 * Stream: one role chunk a choice in index order when the first token of the call is there, then
 * deltas of content, reasoning and tool calls, one finish chunk a choice, the usage chunk on
 * request, [DONE]. Logprobs cover every token, those of reasoning and calls too: a chunk has the
 * tokens whose raw text ends with it. Chunks carry `usage` only when asked (clients that index
 * choices[0] break on an unasked one). Thread: loop. */
#include "call.h"
#include "pagoda/jsonw.h"

static void begin(pgd_call *c) {
    pgd_buf *const b = &c->out;
    for (uint32_t i = 0; i < c->g.n_choices && c->phase == API_RUN; i++) {
        api_chunk_open(c);
        pgd_buf_putf(b,
                     "{\"index\":%u,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                     "\"logprobs\":null,\"finish_reason\":null}",
                     i);
        api_chunk_close(c, c->g.want_ids && i == 0 ? &c->g.requests[0].prompt : NULL);
    }
}

/* Logprob fragments of tokens [n_sent, to), into ch->lp. */
static void add_logprobs(const pgd_call *c, api_choice *ch, uint32_t to) {
    if (!c->g.want_logprobs) return;
    for (uint32_t t = ch->n_sent; t < to; t++)
        api_logprob_chat(c, ch, t);
}

static void put_logprobs(pgd_call *c, api_choice *ch, pgd_buf *b) {
    if (!c->g.want_logprobs) {
        pgd_buf_puts(b, "null");
        return;
    }
    pgd_buf_puts(b, "{\"content\":[");
    pgd_buf_putsv(b, pgd_buf_sv(&ch->lp[0]));
    pgd_buf_puts(b, "],\"refusal\":null}");
    if (ch->lp[0].failed) b->failed = true;
}

static void put_token_ids(const pgd_call *c, const api_choice *ch, uint32_t from, uint32_t to,
                          pgd_buf *b) {
    if (!c->g.want_ids) return;
    pgd_buf_puts(b, ",\"token_ids\":");
    api_ids_write(ch->rq->r.out[ch->i_log].token + from, to - from, b);
}

/* The end of a delta object: what every chunk has beside it. */
static void close_delta(pgd_call *c, api_choice *ch, uint32_t to) {
    pgd_buf *const b = &c->out;
    pgd_buf_puts(b, "},\"logprobs\":");
    put_logprobs(c, ch, b);
    pgd_buf_puts(b, ",\"finish_reason\":null");
    put_token_ids(c, ch, ch->n_sent, to, b);
    pgd_buf_putc(b, '}');
    pgd_buf_clear(&ch->lp[0]);
    api_chunk_close(c, NULL);
}

/* `"id":…,"type":"function","function":{"name":…,"arguments":"` */
static void put_call_head(const pgd_call *c, const api_piece *v, pgd_sv bytes, pgd_buf *b) {
    pgd_buf_puts(b, "\"id\":\"");
    api_call_id_write(c, "call_", v, bytes, b);
    pgd_buf_puts(b, "\",\"type\":\"function\",\"function\":{\"name\":\"");
    pgd_json_escape(b, (pgd_sv){bytes.p + v->id_len, bytes.n - v->id_len});
    pgd_buf_puts(b, "\",\"arguments\":\"");
}

/* A piece of an answer that is not streamed; `calls` is the JSON of the calls so far. */
static void keep_piece(const pgd_call *c, api_choice *ch, const api_piece *v, pgd_sv bytes) {
    pgd_buf *const calls = &ch->calls;
    switch ((api_piece_kind)v->kind) {
    case API_TEXT:
        pgd_buf_putsv(&ch->answer, bytes);
        break;
    case API_REASONING:
        pgd_buf_putsv(&ch->reasoning, bytes);
        break;
    case API_TOOL_BEGIN:
        pgd_buf_puts(calls, calls->n ? ",{" : "{");
        put_call_head(c, v, bytes, calls);
        break;
    case API_TOOL_ARGS:
        pgd_json_escape(calls, bytes);
        break;
    case API_TOOL_END:
        pgd_buf_puts(calls, "\"}}");
        break;
    }
}

static void put_text(pgd_buf *b, const char *key, pgd_sv text) {
    pgd_buf_putf(b, "\"%s\":\"", key);
    pgd_json_escape(b, text);
    pgd_buf_putc(b, '"');
}

/* A delta a piece. Reasoning goes by both names that clients look for. Of a call the first delta
 * has id, type and name with empty arguments, the later ones arguments alone: clients join what
 * repeats. */
static void piece(pgd_call *c, api_choice *ch, const api_piece *v, pgd_sv bytes, uint32_t to) {
    pgd_buf *const b = &c->out;
    add_logprobs(c, ch, to);
    if (v->kind == API_TOOL_BEGIN) ch->n_begun++;
    if (!c->g.stream) {
        keep_piece(c, ch, v, bytes);
        return;
    }
    if (v->kind == API_TOOL_END) return;
    api_chunk_open(c);
    pgd_buf_putf(b, "{\"index\":%u,\"delta\":{", ch->index);
    if (v->kind == API_TEXT) {
        put_text(b, "content", bytes);
    } else if (v->kind == API_REASONING) {
        put_text(b, "reasoning_content", bytes);
        pgd_buf_putc(b, ',');
        put_text(b, "reasoning", bytes);
    } else {
        pgd_buf_putf(b, "\"tool_calls\":[{\"index\":%u,", ch->n_begun - 1);
        if (v->kind == API_TOOL_BEGIN) {
            put_call_head(c, v, bytes, b);
            pgd_buf_puts(b, "\"}}]");
        } else {
            pgd_buf_puts(b, "\"function\":{");
            put_text(b, "arguments", bytes);
            pgd_buf_puts(b, "}}]");
        }
    }
    close_delta(c, ch, to);
}

static void finish(pgd_call *c, api_choice *ch, uint32_t to) {
    pgd_buf *const b = &c->out;
    add_logprobs(c, ch, to);
    if (!c->g.stream) return;
    api_chunk_open(c);
    pgd_buf_putf(b, "{\"index\":%u,\"delta\":{},\"logprobs\":", ch->index);
    if (ch->lp[0].n || ch->lp[0].failed)
        put_logprobs(c, ch, b);
    else
        pgd_buf_puts(b, "null");
    pgd_buf_putf(b, ",\"finish_reason\":\"%s\",\"stop_reason\":", api_finish_name(ch));
    api_stop_reason_write(c, ch, b);
    put_token_ids(c, ch, ch->n_sent, ch->n_seen, b);
    pgd_buf_putc(b, '}');
    pgd_buf_clear(&ch->lp[0]);
    api_chunk_close(c, NULL);
}

/* content is null where there is only reasoning, or only calls. */
static void put_message(api_choice *ch, uint32_t i, pgd_buf *b) {
    pgd_buf_putf(b, "{\"index\":%u,\"message\":{\"role\":\"assistant\",", i);
    if (ch->answer.n || (!ch->calls.n && !ch->reasoning.n))
        put_text(b, "content", pgd_buf_sv(&ch->answer));
    else
        pgd_buf_puts(b, "\"content\":null");
    pgd_buf_puts(b, ",\"refusal\":null");
    if (ch->reasoning.n) {
        pgd_buf_putc(b, ',');
        put_text(b, "reasoning_content", pgd_buf_sv(&ch->reasoning));
        pgd_buf_putc(b, ',');
        put_text(b, "reasoning", pgd_buf_sv(&ch->reasoning));
    }
    if (ch->calls.n) {
        pgd_buf_puts(b, ",\"tool_calls\":[");
        pgd_buf_putsv(b, pgd_buf_sv(&ch->calls));
        pgd_buf_putc(b, ']');
    }
    pgd_buf_puts(b, "},\"logprobs\":");
    if (ch->answer.failed || ch->reasoning.failed || ch->calls.failed) b->failed = true;
}

static void answer(pgd_call *c) {
    pgd_buf *const b = &c->out;
    api_answer_open(c);
    for (uint32_t i = 0; i < c->g.n_choices; i++) {
        api_choice *const ch = &c->g.choices[i];
        if (i) pgd_buf_putc(b, ',');
        put_message(ch, i, b);
        put_logprobs(c, ch, b);
        pgd_buf_putf(b, ",\"finish_reason\":\"%s\",\"stop_reason\":", api_finish_name(ch));
        api_stop_reason_write(c, ch, b);
        put_token_ids(c, ch, 0, ch->n_seen, b);
        pgd_buf_putc(b, '}');
    }
    api_answer_close(c, c->g.want_ids ? &c->g.requests[0].prompt : NULL);
}

const api_wire api_wire_chat = {.id_prefix = "chatcmpl-",
                                .object = "chat.completion",
                                .chunk_object = "chat.completion.chunk",
                                .begin = begin,
                                .piece = piece,
                                .finish = finish,
                                .answer = answer,
                                .end = api_chunks_end,
                                .error = api_chunks_error,
                                .keep_alive = api_comment};
