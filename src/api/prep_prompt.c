/* Prompts become token ids: messages through the chat template, text through the tokenizer, token
 * arrays as they are.
 *
 * In chat, added tokens match only in what the template (or its trusted context) wrote: text of
 * users never becomes a control token. BOS is added to a chat only on request, and then only when
 * the template did not write it already. At /v1/completions and /tokenize a text is raw: added
 * tokens match everywhere, as `tokenizers` does. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/mem.h"

pgd_status api_encode_text(pgd_call *c, pgd_sv text, bool add_special, const char *param,
                           pgd_ids *out) {
    pgd_error err = {0};
    const unsigned flags = add_special ? PGD_ENCODE_ADD_SPECIAL : 0;
    if (pgd_tokenizer_encode(c->model->tokenizer, text, flags, NULL, 0, out, &err) == PGD_OK)
        return PGD_OK;
    return api_fail_from(&c->err, &err, "invalid_value", param);
}

static pgd_status render(pgd_call *c, const api_fields *f, const pgd_json *tools,
                         pgd_rendered *out) {
    api_error *const e = &c->err;
    const bool open_last = f->continue_final.given && f->continue_final.v;
    if (open_last && f->add_generation_prompt.given && f->add_generation_prompt.v)
        return api_fail(e, PGD_E_INVALID, "invalid_value", "continue_final_message",
                        "Invalid request: 'continue_final_message' and 'add_generation_prompt' "
                        "cannot both be true.");
    const pgd_chat_input in = {
        .messages = f->messages,
        .tools = tools,
        .documents = f->documents && pgd_json_first(f->documents) ? f->documents : NULL,
        .template_kwargs = f->template_kwargs,
        .reasoning_effort = f->reasoning_effort,
        .add_generation_prompt =
            f->add_generation_prompt.given ? f->add_generation_prompt.v : !open_last,
        .continue_final_message = open_last,
    };
    char param[128] = "";
    pgd_error err = {0};
    if (pgd_chat_render(c->model->chat, &in, out, param, &err) == PGD_OK) return PGD_OK;
    const char *const code = err.code == PGD_E_UNSUPPORTED ? "unsupported_value"
                             : param[0]                    ? "invalid_value"
                                                           : NULL;
    return api_fail_from(e, &err, code, param[0] ? param : "messages");
}

/* Drop the second of two BOS at the front: the template wrote one, the post-processor another. */
static void drop_double_bos(const pgd_tokenizer *tok, pgd_ids *ids) {
    const int32_t bos = pgd_tokenizer_bos(tok);
    if (bos < 0 || ids->n < 2 || ids->v[0] != bos || ids->v[1] != bos) return;
    memmove(ids->v + 1, ids->v + 2, (ids->n - 2) * sizeof *ids->v);
    ids->n--;
}

pgd_status api_render_chat(pgd_call *c, const api_fields *f, pgd_rendered *out) {
    api_error *const e = &c->err;
    PGD_TRY(api_check_messages(f->messages, e));
    if (f->tools) PGD_TRY(api_check_tools(f->tools, e));
    if (!c->model->chat)
        return api_fail(e, PGD_E_UNSUPPORTED, "unsupported_value", "messages",
                        "This model has no chat template. Use /v1/completions, or start the "
                        "server with a template.");
    pgd_json_doc *nested = NULL;
    const pgd_json *tools = NULL;
    if (api_wants_tools(f)) PGD_TRY(api_nest_tools(f->tools, &nested, &tools, e));
    const pgd_status st = render(c, f, tools, out);
    pgd_json_free(&nested);
    return st;
}

pgd_status api_encode_chat(pgd_call *c, const api_fields *f, pgd_ids *out) {
    pgd_rendered r = {0};
    PGD_TRY(api_render_chat(c, f, &r));
    c->g.parsing.open = api_prompt_open(&c->api->formats, &r);
    const bool special = f->add_special.given && f->add_special.v;
    pgd_error err = {0};
    pgd_status st =
        pgd_tokenizer_encode(c->model->tokenizer, pgd_buf_sv(&r.text),
                             PGD_ENCODE_CONTROL_SPANS | (special ? PGD_ENCODE_ADD_SPECIAL : 0u),
                             r.control, r.n_control, out, &err);
    if (st != PGD_OK)
        st = api_fail_from(&c->err, &err, "invalid_value", "messages");
    else if (special)
        drop_double_bos(c->model->tokenizer, out);
    pgd_rendered_fini(&r);
    return st;
}

/* truncate_prompt_tokens keeps so many tokens, of the end unless the side says "right". */
static pgd_status truncate_prompt(pgd_call *c, const api_fields *f, pgd_ids *ids) {
    if (!f->truncate_prompt_tokens.given) return PGD_OK;
    int64_t keep = f->truncate_prompt_tokens.v;
    if (keep == 0)
        return api_fail(&c->err, PGD_E_INVALID, "integer_below_min_value", "truncate_prompt_tokens",
                        "Invalid 'truncate_prompt_tokens': expected -1 or a value >= 1, but got 0 "
                        "instead.");
    if (keep < 0) keep = (int64_t)c->model->max_model_len - 1;
    if ((uint64_t)keep >= ids->n) return PGD_OK;
    const size_t n = (size_t)keep;
    if (!pgd_sv_eq(f->truncation_side, PGD_SV("right")))
        memmove(ids->v, ids->v + (ids->n - n), n * sizeof *ids->v);
    ids->n = n;
    return PGD_OK;
}

/* An embedding is a prompt that is only read: it has no tokens to keep and no text of its own. */
uint32_t api_max_choices(const pgd_call *c) {
    return c->route == PGD_ROUTE_EMBEDDINGS ? API_MAX_INPUTS : API_MAX_CHOICES;
}

static pgd_status add_requests(pgd_call *c, size_t n) {
    if (n > api_max_choices(c))
        return api_fail(&c->err, PGD_E_INVALID, "array_above_max_length", "prompt",
                        "Invalid 'prompt': array too long. Expected an array with maximum length "
                        "%u, but got an array with length %zu instead.",
                        api_max_choices(c), n);
    c->g.requests = pgd_calloc(n, sizeof *c->g.requests);
    if (!c->g.requests) return api_fail_nomem(&c->err);
    c->g.n_requests = (uint32_t)n;
    return PGD_OK;
}

static pgd_status prompt_from_text(pgd_call *c, const api_fields *f, pgd_sv text, const char *path,
                                   api_request *q) {
    const bool special = f->add_special.given ? f->add_special.v : true;
    PGD_TRY(api_encode_text(c, text, special, path, &q->prompt));
    if (!c->g.echo || f->truncate_prompt_tokens.given) return PGD_OK;
    pgd_buf_putsv(&q->echo, text);
    return q->echo.failed ? api_fail_nomem(&c->err) : PGD_OK;
}

static pgd_status prompt_from_ids(pgd_call *c, const pgd_json *v, const char *path,
                                  api_request *q) {
    const size_t n = pgd_json_count(v);
    q->prompt.v = pgd_malloc(n * sizeof *q->prompt.v);
    if (!q->prompt.v) return api_fail_nomem(&c->err);
    q->prompt.cap = n;
    return api_read_ids(v, path, c->model->spec->vocab_size, q->prompt.v, n, &q->prompt.n, &c->err);
}

/* One prompt: text or an array of ids. */
static pgd_status prompt_from(pgd_call *c, const api_fields *f, const pgd_json *v, const char *path,
                              api_request *q) {
    pgd_sv text;
    if (pgd_json_as_str(v, &text))
        PGD_TRY(prompt_from_text(c, f, text, path, q));
    else if (pgd_json_typeof(v) == PGD_JSON_ARRAY)
        PGD_TRY(prompt_from_ids(c, v, path, q));
    else
        return api_fail_type(&c->err, path, "a string or an array of token ids", v);
    PGD_TRY(truncate_prompt(c, f, &q->prompt));
    if (q->prompt.n == 0)
        return api_fail(&c->err, PGD_E_INVALID, "empty_array", path,
                        "Invalid '%s': the prompt is empty. At least one token is needed.", path);
    if (!c->g.echo || q->echo.n) return PGD_OK;
    pgd_error err = {0};
    if (pgd_tokenizer_decode(c->model->tokenizer, q->prompt.v, q->prompt.n, c->g.skip_special,
                             &q->echo, &err) != PGD_OK)
        return api_fail_from(&c->err, &err, "invalid_value", path);
    return PGD_OK;
}

static pgd_status completion_prompts(pgd_call *c, const api_fields *f) {
    const pgd_json *const v = f->prompt;
    if (!v) return api_fail_missing(&c->err, "prompt");
    const pgd_json *const first = pgd_json_first(v);
    const bool array = pgd_json_typeof(v) == PGD_JSON_ARRAY;
    if (array && !first)
        return api_fail(&c->err, PGD_E_INVALID, "empty_array", "prompt",
                        "Invalid 'prompt': empty array. Expected an array with minimum length 1, "
                        "but got an empty array instead.");
    if (!array || pgd_json_typeof(first) == PGD_JSON_NUMBER) {
        PGD_TRY(add_requests(c, 1));
        return prompt_from(c, f, v, "prompt", &c->g.requests[0]);
    }
    PGD_TRY(add_requests(c, pgd_json_count(v)));
    char path[API_PARAM_BYTES];
    uint32_t i = 0;
    for (const pgd_json *p = first; p; p = pgd_json_next(p), i++) {
        if (atomic_load_explicit(&c->give_up, memory_order_relaxed))
            return api_fail(&c->err, PGD_E_CANCELLED, NULL, NULL, "The request was cancelled.");
        (void)snprintf(path, sizeof path, "prompt[%u]", i);
        PGD_TRY(prompt_from(c, f, p, path, &c->g.requests[i]));
    }
    return PGD_OK;
}

pgd_status api_prep_prompts(pgd_call *c, const api_fields *f) {
    if (!api_is_chat(c->route)) return completion_prompts(c, f);
    PGD_TRY(add_requests(c, 1));
    pgd_ids *const ids = &c->g.requests[0].prompt;
    PGD_TRY(api_encode_chat(c, f, ids));
    PGD_TRY(truncate_prompt(c, f, ids));
    if (ids->n == 0)
        return api_fail(&c->err, PGD_E_INVALID, "invalid_value", "messages",
                        "Invalid 'messages': they render to an empty prompt.");
    return PGD_OK;
}
