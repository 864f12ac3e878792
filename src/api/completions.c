/* The wire of /v1/completions: text deltas with the old logprob form (four parallel arrays), the
 * prompt in front when echoed. Choices of several prompts interleave; choice p * n + k is the k-th
 * of prompt p. Thread: the loop's. */
#include "call.h"
#include "pagoda/jsonw.h"

static void begin(pgd_call *c) {
    (void)c; /* no role to announce */
}

/* Also those for which there was no memory: put_logprobs says so. */
static bool has_fragments(const api_choice *ch) {
    return ch->lp[0].n > 0 || ch->lp[0].failed;
}

static void put_logprobs(const pgd_call *c, api_choice *ch, pgd_buf *b) {
    static const char *const key[4] = {"\"tokens\"", "\"token_logprobs\"", "\"top_logprobs\"",
                                       "\"text_offset\""};
    if (!c->g.want_logprobs) {
        pgd_buf_puts(b, "null");
        return;
    }
    for (int i = 0; i < 4; i++) {
        pgd_buf_putf(b, "%s%s:[", i ? "," : "{", key[i]);
        pgd_buf_putsv(b, pgd_buf_sv(&ch->lp[i]));
        pgd_buf_putc(b, ']');
        if (ch->lp[i].failed) b->failed = true;
    }
    pgd_buf_putc(b, '}');
}

static void add_logprobs(const pgd_call *c, api_choice *ch, uint32_t to) {
    if (!c->g.want_logprobs) return;
    for (uint32_t t = ch->n_sent; t < to; t++)
        api_logprob_legacy(c, ch, t, ch->pending[t - ch->n_sent].begin_cp);
}

static void put_ids(const pgd_call *c, const api_choice *ch, uint32_t from, uint32_t to,
                    bool prompt, pgd_buf *b) {
    if (!c->g.want_ids) return;
    pgd_buf_puts(b, ",\"token_ids\":");
    api_ids_write(ch->rq->r.out[ch->i_log].token + from, to - from, b);
    if (!prompt) return;
    pgd_buf_puts(b, ",\"prompt_token_ids\":");
    api_ids_write(ch->rq->prompt.v, ch->rq->prompt.n, b);
}

/* One chunk with text and the fragments gathered in ch->lp; tokens [n_sent, to). */
static void put_chunk(pgd_call *c, api_choice *ch, pgd_sv text, uint32_t to, bool ends) {
    pgd_buf *const b = &c->out;
    const bool first = !ch->opened;
    ch->opened = true;
    api_chunk_open(c);
    pgd_buf_putf(b, "{\"index\":%u,\"text\":\"", ch->index);
    pgd_json_escape(b, text);
    pgd_buf_puts(b, "\",\"logprobs\":");
    if (has_fragments(ch))
        put_logprobs(c, ch, b);
    else
        pgd_buf_puts(b, "null");
    if (ends) {
        pgd_buf_putf(b, ",\"finish_reason\":\"%s\",\"stop_reason\":", api_finish_name(ch));
        api_stop_reason_write(c, ch, b);
    } else {
        pgd_buf_puts(b, ",\"finish_reason\":null");
    }
    put_ids(c, ch, ch->n_sent, to, first, b);
    pgd_buf_putc(b, '}');
    for (int i = 0; i < 4; i++)
        pgd_buf_clear(&ch->lp[i]);
    api_chunk_close(c, NULL);
}

static void echo(pgd_call *c, api_choice *ch) {
    if (c->g.want_logprobs) api_logprob_prompt(c, ch);
    const pgd_sv text = pgd_buf_sv(&ch->rq->echo);
    if (!c->g.stream)
        pgd_buf_putsv(&ch->answer, text);
    else if (text.n || has_fragments(ch))
        put_chunk(c, ch, text, ch->n_sent, false);
}

static void piece(pgd_call *c, api_choice *ch, const api_piece *v, pgd_sv text, uint32_t to) {
    (void)v; /* nothing but TEXT comes here */
    add_logprobs(c, ch, to);
    if (c->g.stream)
        put_chunk(c, ch, text, to, false);
    else
        pgd_buf_putsv(&ch->answer, text);
}

static void finish(pgd_call *c, api_choice *ch, uint32_t to) {
    add_logprobs(c, ch, to);
    if (c->g.stream) put_chunk(c, ch, (pgd_sv){"", 0}, ch->n_seen, true);
}

static void answer(pgd_call *c) {
    pgd_buf *const b = &c->out;
    api_answer_open(c);
    for (uint32_t i = 0; i < c->g.n_choices; i++) {
        api_choice *const ch = &c->g.choices[i];
        if (i) pgd_buf_putc(b, ',');
        pgd_buf_putf(b, "{\"index\":%u,\"text\":\"", i);
        pgd_json_escape(b, pgd_buf_sv(&ch->answer));
        pgd_buf_puts(b, "\",\"logprobs\":");
        put_logprobs(c, ch, b);
        pgd_buf_putf(b, ",\"finish_reason\":\"%s\",\"stop_reason\":", api_finish_name(ch));
        api_stop_reason_write(c, ch, b);
        put_ids(c, ch, 0, ch->n_seen, true, b);
        pgd_buf_putc(b, '}');
        if (ch->answer.failed) b->failed = true;
    }
    api_answer_close(c, NULL);
}

const api_wire api_wire_completions = {.id_prefix = "cmpl-",
                                       .object = "text_completion",
                                       .chunk_object = "text_completion",
                                       .begin = begin,
                                       .echo = echo,
                                       .piece = piece,
                                       .finish = finish,
                                       .answer = answer,
                                       .end = api_chunks_end,
                                       .error = api_chunks_error,
                                       .keep_alive = api_comment};
