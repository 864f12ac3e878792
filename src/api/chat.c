/* The wire of /v1/chat/completions: chunks of a stream, and the one object of a plain answer, made
 * from the same deltas.
 *
 * Stream: one role chunk a choice in index order when the first token of the call is there, then
 * content deltas, one finish chunk a choice, the usage chunk on request, [DONE]. Chunks carry
 * `usage` only when asked (clients that index choices[0] break on an unasked one). Thread: loop. */
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

static void delta(pgd_call *c, api_choice *ch, pgd_sv text, uint32_t to) {
    pgd_buf *const b = &c->out;
    add_logprobs(c, ch, to);
    if (!c->g.stream) {
        pgd_buf_putsv(&ch->answer, text);
        return;
    }
    api_chunk_open(c);
    pgd_buf_putf(b, "{\"index\":%u,\"delta\":{\"content\":\"", ch->index);
    pgd_json_escape(b, text);
    pgd_buf_puts(b, "\"},\"logprobs\":");
    put_logprobs(c, ch, b);
    pgd_buf_puts(b, ",\"finish_reason\":null");
    put_token_ids(c, ch, ch->n_sent, to, b);
    pgd_buf_putc(b, '}');
    pgd_buf_clear(&ch->lp[0]);
    api_chunk_close(c, NULL);
}

static void finish(pgd_call *c, api_choice *ch, uint32_t to) {
    pgd_buf *const b = &c->out;
    add_logprobs(c, ch, to);
    if (!c->g.stream) return;
    api_chunk_open(c);
    pgd_buf_putf(b, "{\"index\":%u,\"delta\":{},\"logprobs\":", ch->index);
    if (ch->lp[0].n)
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

static void answer(pgd_call *c) {
    pgd_buf *const b = &c->out;
    api_answer_open(c);
    for (uint32_t i = 0; i < c->g.n_choices; i++) {
        api_choice *const ch = &c->g.choices[i];
        if (i) pgd_buf_putc(b, ',');
        pgd_buf_putf(b, "{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":\"", i);
        pgd_json_escape(b, pgd_buf_sv(&ch->answer));
        pgd_buf_puts(b, "\",\"refusal\":null},\"logprobs\":");
        put_logprobs(c, ch, b);
        pgd_buf_putf(b, ",\"finish_reason\":\"%s\",\"stop_reason\":", api_finish_name(ch));
        api_stop_reason_write(c, ch, b);
        put_token_ids(c, ch, 0, ch->n_seen, b);
        pgd_buf_putc(b, '}');
        if (ch->answer.failed) b->failed = true;
    }
    api_answer_close(c, c->g.want_ids ? &c->g.requests[0].prompt : NULL);
}

const api_wire api_wire_chat = {.id_prefix = "chatcmpl-",
                                .object = "chat.completion",
                                .chunk_object = "chat.completion.chunk",
                                .begin = begin,
                                .delta = delta,
                                .finish = finish,
                                .answer = answer};
