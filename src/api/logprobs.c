/* Log-probabilities as JSON fragments, in chat form and in the old completions form.
 *
 * A token's bytes are those that it stands for in the middle of a text, so that the bytes of all
 * tokens joined give the exact text; special tokens that the text leaves out have none. A token
 * that is no valid UTF-8 is shown as \xNN escapes ("bytes:\xNN" in the old form), never as U+FFFD.
 * No infinity or NaN reaches JSON: what cannot be is -9999.0. Thread: the loop's. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/jsonw.h"

static void put_value(pgd_buf *b, float v) {
    pgd_jsonw w;
    pgd_jsonw_init(&w, b);
    pgd_jsonw_f32(&w, v >= -9999.0f ? fminf(v, 0.0f) : -9999.0f);
}

static void put_comma(pgd_buf *b) {
    if (b->n) pgd_buf_putc(b, ',');
}

/* The JSON string that names a token: its text, escapes, or "token_id:N". */
static void put_name(const pgd_call *c, int32_t id, pgd_sv bytes, bool legacy, pgd_buf *b) {
    pgd_buf_putc(b, '"');
    if (c->g.tokens_as_ids) {
        pgd_buf_putf(b, "token_id:%d", (int)id);
    } else if (pgd_utf8_valid_prefix(bytes.p, bytes.n) == bytes.n) {
        pgd_json_escape(b, bytes);
    } else {
        if (legacy) pgd_buf_puts(b, "bytes:");
        for (size_t i = 0; i < bytes.n; i++)
            pgd_buf_putf(b, "\\\\x%02x", (unsigned)(uint8_t)bytes.p[i]);
    }
    pgd_buf_putc(b, '"');
}

static void put_chat_entry(const pgd_call *c, int32_t id, float lp, pgd_buf *scratch, pgd_buf *b) {
    const pgd_tokenizer *const tok = c->model->tokenizer;
    pgd_buf_clear(scratch);
    pgd_tokenizer_token_bytes(tok, id, scratch);
    const pgd_sv bytes = pgd_buf_sv(scratch);
    pgd_buf_puts(b, "{\"token\":");
    put_name(c, id, bytes, false, b);
    pgd_buf_puts(b, ",\"logprob\":");
    put_value(b, lp);
    pgd_buf_puts(b, ",\"bytes\":[");
    const bool silent = c->g.skip_special && pgd_tokenizer_is_special(tok, id);
    for (size_t i = 0; !silent && i < bytes.n; i++) {
        if (i) pgd_buf_putc(b, ',');
        pgd_buf_put_u64(b, (uint8_t)bytes.p[i]);
    }
    pgd_buf_putc(b, ']');
    if (scratch->failed) b->failed = true;
}

void api_logprob_chat(const pgd_call *c, api_choice *ch, uint32_t t) {
    const pgd_toklog *const log = &ch->rq->r.out[ch->i_log];
    pgd_buf *const b = &ch->lp[0];
    pgd_buf scratch = {0};
    put_comma(b);
    put_chat_entry(c, log->token[t], log->logprob[t], &scratch, b);
    pgd_buf_puts(b, ",\"top_logprobs\":[");
    for (uint32_t i = 0; i < c->g.n_top; i++) {
        const pgd_top *const top = &log->top[(size_t)t * c->g.n_top + i];
        if (top->id < 0) break; /* the vocabulary (or a mask) had no more */
        if (i) pgd_buf_putc(b, ',');
        put_chat_entry(c, top->id, top->logprob, &scratch, b);
        pgd_buf_putc(b, '}');
    }
    pgd_buf_puts(b, "]}");
    pgd_buf_fini(&scratch);
}

/* Names written into one top_logprobs object: an object must not have a key twice, though two ids
 * may spell alike (a byte token and a letter); the first, the likelier, stays. */
typedef struct names {
    size_t at[PGD_MAX_TOP_LOGPROBS + 1], len[PGD_MAX_TOP_LOGPROBS + 1];
    size_t n;
} names;

static void put_top(const pgd_call *c, int32_t id, float lp, names *seen, pgd_buf *scratch,
                    pgd_buf *b) {
    pgd_buf_clear(scratch);
    pgd_tokenizer_token_bytes(c->model->tokenizer, id, scratch);
    if (scratch->failed) b->failed = true;
    const size_t start = b->n;
    if (seen->n) pgd_buf_putc(b, ',');
    const size_t at = b->n;
    put_name(c, id, pgd_buf_sv(scratch), true, b);
    if (b->failed) return;
    const size_t len = b->n - at;
    for (size_t i = 0; i < seen->n; i++)
        if (seen->len[i] == len && memcmp(b->p + seen->at[i], b->p + at, len) == 0) {
            b->n = start;
            b->p[start] = '\0';
            return;
        }
    seen->at[seen->n] = at;
    seen->len[seen->n++] = len;
    pgd_buf_putc(b, ':');
    put_value(b, lp);
}

/* One token in the old form; lp NULL: nothing is known of it (the first of a prompt). */
static void put_legacy(const pgd_call *c, api_choice *ch, int32_t id, uint64_t begin_cp,
                       const float *lp, const pgd_top *top) {
    pgd_buf scratch = {0};
    pgd_tokenizer_token_bytes(c->model->tokenizer, id, &scratch);
    if (scratch.failed) ch->lp[0].failed = true;
    for (int i = 0; i < 4; i++)
        put_comma(&ch->lp[i]);
    put_name(c, id, pgd_buf_sv(&scratch), true, &ch->lp[0]);
    pgd_buf_put_u64(&ch->lp[3], begin_cp);
    if (!lp) {
        pgd_buf_puts(&ch->lp[1], "null");
        pgd_buf_puts(&ch->lp[2], "null");
    } else {
        put_value(&ch->lp[1], *lp);
        names seen = {.n = 0};
        pgd_buf_putc(&ch->lp[2], '{');
        for (uint32_t i = 0; i < c->g.n_top && top[i].id >= 0; i++)
            put_top(c, top[i].id, top[i].logprob, &seen, &scratch, &ch->lp[2]);
        put_top(c, id, *lp, &seen, &scratch, &ch->lp[2]);
        pgd_buf_putc(&ch->lp[2], '}');
    }
    pgd_buf_fini(&scratch);
}

void api_logprob_legacy(const pgd_call *c, api_choice *ch, uint32_t t, uint64_t begin_cp) {
    const pgd_toklog *const log = &ch->rq->r.out[ch->i_log];
    put_legacy(c, ch, log->token[t], begin_cp, &log->logprob[t],
               log->top ? &log->top[(size_t)t * c->g.n_top] : NULL);
}

void api_logprob_prompt(const pgd_call *c, api_choice *ch) {
    const pgd_request *const r = &ch->rq->r;
    const pgd_toklog *const s = r->scores;
    const uint32_t n_scored = s ? atomic_load_explicit(&s->len, memory_order_acquire) : 0;
    pgd_detok *d = NULL;
    pgd_buf text = {0};
    if (pgd_detok_create(c->model->tokenizer, c->g.skip_special, &d) != PGD_OK) {
        ch->lp[0].failed = true;
        return;
    }
    uint64_t cp = 0;
    for (uint32_t i = 0; i < r->n_prompt; i++) {
        const bool known = i > 0 && i - 1 < n_scored;
        put_legacy(c, ch, r->prompt[i], cp, known ? &s->logprob[i - 1] : NULL,
                   known && s->top ? &s->top[(size_t)(i - 1) * c->g.n_top] : NULL);
        pgd_buf_clear(&text);
        if (pgd_detok_push(d, r->prompt[i], &text) == PGD_E_NOMEM || text.failed)
            ch->lp[0].failed = true;
        cp += pgd_utf8_count(text.p, text.n);
    }
    pgd_buf_fini(&text);
    pgd_detok_destroy(&d);
}
