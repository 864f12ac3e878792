/* POST /tokenize, /detokenize, /apply-template, and the token counts of other protocols. Both
 * spellings of peers are read (prompt, content; add_special, add_special_tokens; return_token_strs,
 * with_pieces) and both are answered. A text is tokenized as `tokenizers` does, added tokens
 * included; messages as the chat route would. Thread: a worker. */
#include "call.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"

static void write_tokens(pgd_call *c, const pgd_ids *ids, bool strings) {
    pgd_jsonw w;
    pgd_jsonw_init(&w, &c->out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "count");
    pgd_jsonw_u64(&w, ids->n);
    pgd_jsonw_key(&w, "max_model_len");
    pgd_jsonw_u64(&w, c->model->max_model_len);
    pgd_jsonw_key(&w, "tokens");
    pgd_jsonw_arr(&w);
    for (size_t i = 0; i < ids->n; i++)
        pgd_jsonw_i64(&w, ids->v[i]);
    pgd_jsonw_end_arr(&w);
    pgd_jsonw_key(&w, "token_strs");
    if (strings) {
        pgd_jsonw_arr(&w);
        for (size_t i = 0; i < ids->n; i++)
            pgd_jsonw_str(&w, pgd_tokenizer_token(c->model->tokenizer, ids->v[i]));
        pgd_jsonw_end_arr(&w);
    } else {
        pgd_jsonw_null(&w);
    }
    pgd_jsonw_end_obj(&w);
}

static pgd_status tokenize_text(pgd_call *c, const api_fields *f, pgd_ids *ids) {
    pgd_sv text = f->content;
    if (f->prompt && !pgd_json_as_str(f->prompt, &text))
        return api_fail_type(&c->err, "prompt", "a string", f->prompt);
    return api_encode_text(c, text, f->add_special.given ? f->add_special.v : true, "prompt", ids);
}

pgd_status api_run_tokenize(pgd_call *c, const pgd_json *body) {
    api_fields f;
    PGD_TRY(api_fields_read(body, API_ON_TOKENIZE, &f, &c->err));
    if (f.model.p) PGD_TRY(api_pick_model(c->model, f.model, &c->err));
    if (!f.messages && !f.prompt && !f.content.p) return api_fail_missing(&c->err, "prompt");
    pgd_ids ids = {0};
    pgd_status st = f.messages ? api_encode_chat(c, &f, &ids) : tokenize_text(c, &f, &ids);
    if (st == PGD_OK) write_tokens(c, &ids, f.return_token_strs.given && f.return_token_strs.v);
    pgd_ids_fini(&ids);
    return st;
}

/* Only the prompt: what a field means for sampling does not matter here and is not judged. */
pgd_status api_run_apply_template(pgd_call *c, const pgd_json *body) {
    api_fields f;
    PGD_TRY(api_fields_read(body, API_ON_CHAT, &f, &c->err));
    if (f.model.p) PGD_TRY(api_pick_model(c->model, f.model, &c->err));
    pgd_rendered r = {0};
    PGD_TRY(api_render_chat(c, &f, &r));
    pgd_buf_puts(&c->out, "{\"prompt\":\"");
    pgd_json_escape(&c->out, pgd_buf_sv(&r.text));
    pgd_buf_puts(&c->out, "\"}");
    pgd_rendered_fini(&r);
    return PGD_OK;
}

pgd_status api_run_count(pgd_call *c, const pgd_json *chat) {
    api_fields f;
    PGD_TRY(api_fields_read(chat, API_ON_CHAT, &f, &c->err));
    if (!f.model.p) return api_fail_missing(&c->err, "model");
    PGD_TRY(api_pick_model(c->model, f.model, &c->err));
    pgd_ids ids = {0};
    const pgd_status st = api_encode_chat(c, &f, &ids);
    const bool anthropic = pgd_route_is_anthropic(c->route);
    if (st == PGD_OK)
        pgd_buf_putf(&c->out, "{%s\"input_tokens\":%zu}",
                     anthropic ? "" : "\"object\":\"response.input_tokens\",", ids.n);
    pgd_ids_fini(&ids);
    return st;
}

pgd_status api_run_detokenize(pgd_call *c, const pgd_json *body) {
    api_fields f;
    api_error *const e = &c->err;
    PGD_TRY(api_fields_read(body, API_ON_DETOKENIZE, &f, e));
    if (f.model.p) PGD_TRY(api_pick_model(c->model, f.model, e));
    if (!f.tokens) return api_fail_missing(e, "tokens");
    const size_t cap = pgd_json_count(f.tokens);
    int32_t *const ids = pgd_malloc(cap * sizeof *ids);
    pgd_buf text = {0};
    size_t n = 0;
    pgd_status st = ids ? PGD_OK : api_fail_nomem(e);
    if (st == PGD_OK)
        st = api_read_ids(f.tokens, "tokens", pgd_tokenizer_vocab_size(c->model->tokenizer), ids,
                          cap, &n, e);
    pgd_error err = {0};
    if (st == PGD_OK &&
        pgd_tokenizer_decode(c->model->tokenizer, ids, n, false, &text, &err) != PGD_OK)
        st = api_fail_from(e, &err, "invalid_value", "tokens");
    if (st == PGD_OK) {
        pgd_jsonw w;
        pgd_jsonw_init(&w, &c->out);
        pgd_jsonw_obj(&w);
        pgd_jsonw_key(&w, "prompt");
        pgd_jsonw_str(&w, pgd_buf_sv(&text));
        pgd_jsonw_key(&w, "content");
        pgd_jsonw_str(&w, pgd_buf_sv(&text));
        pgd_jsonw_end_obj(&w);
    }
    pgd_buf_fini(&text);
    pgd_free(ids);
    return st;
}
