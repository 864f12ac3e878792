/* What all answers share: usage counts, finish reasons, and the frame around choices.
 *
 * prompt_tokens counts each prompt once whatever n; completion_tokens sums over all choices, the
 * end token and tokens trimmed by a stop string included, up to the one that completed it.
 * cached_tokens is always there. reasoning_tokens counts the tokens of reasoning blocks with their
 * end marker. Thread: the loop's. */
#include <string.h>

#include "call.h"
#include "pagoda/jsonw.h"

uint32_t api_prompt_tokens(const pgd_call *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->g.n_requests; i++)
        n += c->g.requests[i].r.n_prompt;
    return n;
}

uint32_t api_cached_tokens(const pgd_call *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->g.n_requests; i++)
        n += atomic_load_explicit(&c->g.requests[i].r.n_cached, memory_order_relaxed);
    return n;
}

uint32_t api_completion_tokens(const pgd_call *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->g.n_choices; i++)
        n += c->g.choices[i].n_seen;
    return n;
}

uint32_t api_reasoning_tokens(const pgd_call *c) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->g.n_choices; i++)
        n += c->g.choices[i].n_reasoning;
    return n;
}

void api_usage_write(const pgd_call *c, pgd_buf *out) {
    const uint32_t prompt = api_prompt_tokens(c), completion = api_completion_tokens(c);
    pgd_buf_putf(out,
                 "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":%u},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":%u}}",
                 prompt, completion, prompt + completion, api_cached_tokens(c),
                 api_reasoning_tokens(c));
}

const char *api_finish_name(const api_choice *ch) {
    if (ch->finish == PGD_FINISH_LENGTH) return "length";
    /* OpenAI's: a call that the client itself named is no reason of the model's */
    return ch->n_calls && !ch->rq->call->g.named_tool ? "tool_calls" : "stop";
}

void api_call_id_write(const pgd_call *c, const char *prefix, const api_piece *v, pgd_sv bytes,
                       pgd_buf *out) {
    const uint32_t digits = api_tool_id_digits(c->g.parsing.formats.tools);
    char id[32];
    api_random_id(id, digits ? digits : 24);
    if (v->id_len)
        pgd_json_escape(out, (pgd_sv){bytes.p, v->id_len});
    else
        pgd_buf_putf(out, "%s%s", digits ? "" : prefix, id);
}

void api_stop_reason_write(const pgd_call *c, const api_choice *ch, pgd_buf *out) {
    if (ch->stop_index >= 0) {
        pgd_buf_putc(out, '"');
        pgd_json_escape(out, c->g.stops.text[ch->stop_index]);
        pgd_buf_putc(out, '"');
    } else if (ch->stop_token >= 0) {
        pgd_buf_put_i64(out, ch->stop_token);
    } else {
        pgd_buf_puts(out, "null");
    }
}

void api_ids_write(const int32_t *ids, size_t n, pgd_buf *out) {
    pgd_buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) pgd_buf_putc(out, ',');
        pgd_buf_put_i64(out, ids[i]);
    }
    pgd_buf_putc(out, ']');
}

void api_chunk_open(pgd_call *c) {
    pgd_buf_putsv(&c->out, pgd_buf_sv(&c->g.prefix));
}

static void put_prompt_ids(const pgd_ids *prompt, pgd_buf *b) {
    if (!prompt) return;
    pgd_buf_puts(b, ",\"prompt_token_ids\":");
    api_ids_write(prompt->v, prompt->n, b);
}

void api_chunk_close(pgd_call *c, const pgd_ids *prompt) {
    pgd_buf_putc(&c->out, ']');
    put_prompt_ids(prompt, &c->out);
    if (c->g.continuous_usage) {
        pgd_buf_puts(&c->out, ",\"usage\":");
        api_usage_write(c, &c->out);
    } else if (c->g.include_usage) {
        pgd_buf_puts(&c->out, ",\"usage\":null");
    }
    pgd_buf_puts(&c->out, "}\n\n");
    api_call_event_done(c);
}

void api_chunks_end(pgd_call *c) {
    if (c->g.include_usage) {
        pgd_buf_putsv(&c->out, pgd_buf_sv(&c->g.prefix));
        pgd_buf_puts(&c->out, "],\"usage\":");
        api_usage_write(c, &c->out);
        pgd_buf_puts(&c->out, "}\n\n");
    }
    pgd_buf_puts(&c->out, "data: [DONE]\n\n");
}

void api_chunks_error(pgd_call *c) {
    if (c->streaming) pgd_buf_puts(&c->out, "data: ");
    api_error_write(&c->err, &c->out);
    if (c->streaming) pgd_buf_puts(&c->out, "\n\ndata: [DONE]\n\n");
}

void api_comment(pgd_call *c) {
    pgd_buf_puts(&c->out, ": keep-alive\n\n");
}

void api_answer_open(pgd_call *c) {
    pgd_buf *const b = &c->out;
    pgd_buf_putf(b, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%llu,\"model\":\"", c->id,
                 c->wire->object, (unsigned long long)c->created);
    pgd_json_escape(b, c->model_name);
    pgd_buf_puts(b, "\",\"choices\":[");
}

void api_answer_close(pgd_call *c, const pgd_ids *prompt) {
    pgd_buf *const b = &c->out;
    pgd_buf_puts(b, "],\"usage\":");
    api_usage_write(c, b);
    put_prompt_ids(prompt, b);
    if (c->g.service_tier) pgd_buf_putf(b, ",\"service_tier\":\"%s\"", c->g.service_tier);
    pgd_buf_puts(b, ",\"system_fingerprint\":\"");
    pgd_json_escape(b, pgd_sv_c(c->api->opt.system_fingerprint));
    pgd_buf_puts(b, "\"}");
}
