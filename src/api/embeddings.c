/* POST /v1/embeddings: the final hidden state of the last token of each input, or the mean of all,
 * scaled to length 1.
 *
 * An input is a completions prompt of which nothing is generated: the body is translated, and every
 * rule about prompts is theirs. The engine computes states where it scores, and scores what has a
 * successor, so each prompt gets one token more that only ends it. The model is the one that is
 * served: a causal language model, whose states are as good for search as it was trained for that.
 * Thread: a worker translates and prepares, the loop answers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/jsonw.h"
#include "translate.h"

enum { END_TOKEN = 0 }; /* any would do: its own state is never computed */

static pgd_status bad(api_error *e, const char *param, const char *supported) {
    return api_fail(e, PGD_E_INVALID, "invalid_value", param,
                    "Invalid value for '%s'. Supported values are: %s.", param, supported);
}

static pgd_status read_options(pgd_call *c, const pgd_json *body) {
    api_error *const e = &c->err;
    const pgd_json *const format = pgd_json_get(body, "encoding_format");
    const pgd_json *const pooling = pgd_json_get(body, "pooling");
    const pgd_json *const normalize = pgd_json_get(body, "normalize");
    const pgd_json *const dims = pgd_json_get(body, "dimensions");
    int64_t n;
    bool scale = true;
    c->embed.base64 = api_is_str(format, "base64");
    c->embed.mean = api_is_str(pooling, "mean");
    if (!pgd_json_is_null(format) && !c->embed.base64 && !api_is_str(format, "float"))
        return bad(e, "encoding_format", "'float' and 'base64'");
    if (!pgd_json_is_null(pooling) && !c->embed.mean && !api_is_str(pooling, "last"))
        return bad(e, "pooling", "'last' and 'mean'");
    if (!pgd_json_is_null(normalize) && !pgd_json_as_bool(normalize, &scale))
        return api_fail_type(e, "normalize", "a boolean", normalize);
    c->embed.raw = !scale;
    if (pgd_json_is_null(dims)) return PGD_OK;
    if (!pgd_json_as_i64(dims, &n)) return api_fail_type(e, "dimensions", "an integer", dims);
    if (n == c->model->spec->d_model) return PGD_OK;
    return api_fail(e, PGD_E_UNSUPPORTED, "unsupported_value", "dimensions",
                    "Unsupported value: this model's embeddings have %u dimensions and cannot be "
                    "shortened.",
                    c->model->spec->d_model);
}

static pgd_status check_input(const pgd_json *input, api_error *e) {
    pgd_sv s;
    if (pgd_json_is_null(input)) return api_fail_missing(e, "input");
    bool empty = pgd_json_as_str(input, &s) && !s.n;
    for (const pgd_json *v = pgd_json_first(input); v && !empty; v = pgd_json_next(v))
        empty = pgd_json_as_str(v, &s) && !s.n;
    return empty ? api_fail(e, PGD_E_INVALID, "string_below_min_length", "input",
                            "Invalid 'input': an input must not be an empty string.")
                 : PGD_OK;
}

static pgd_status translate(pgd_call *c, const pgd_json *body, pgd_buf *out) {
    static const char *const keys[] = {
        "model",      "add_special_tokens",     "cache_salt",      "priority",
        "request_id", "truncate_prompt_tokens", "truncation_side", "user"};
    PGD_TRY(api_check_object(&c->err, body));
    if (!c->model->embeddings)
        return api_fail(&c->err, PGD_E_UNSUPPORTED, "unsupported_value", "model",
                        "This server does not serve embeddings; see --enable-embeddings.");
    PGD_TRY(read_options(c, body));
    PGD_TRY(check_input(pgd_json_get(body, "input"), &c->err));
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    api_put_members(&w, body, keys, sizeof keys / sizeof keys[0]);
    api_key_node(&w, "prompt", pgd_json_get(body, "input"));
    pgd_jsonw_key(&w, "max_tokens");
    pgd_jsonw_i64(&w, 0);
    pgd_jsonw_end_obj(&w);
    return PGD_OK;
}

pgd_status api_prep_embedding(pgd_call *c, api_request *q) {
    q->r.pooled = pgd_arena_array(c->arena, c->model->spec->d_model, sizeof *q->r.pooled);
    q->r.pool_last = !c->embed.mean;
    if (!q->r.pooled || pgd_ids_push(&q->prompt, END_TOKEN) != PGD_OK)
        return api_fail_nomem(&c->err);
    return PGD_OK;
}

/* ---- the answer ---- */

static void begin(pgd_call *c) {
    (void)c; /* never streamed */
}

static void piece(pgd_call *c, api_choice *ch, const api_piece *v, pgd_sv bytes, uint32_t to) {
    (void)c;
    (void)ch;
    (void)v;
    (void)bytes;
    (void)to; /* nothing is generated */
}

static void finish(pgd_call *c, api_choice *ch, uint32_t to) {
    (void)c;
    (void)ch;
    (void)to;
}

/* What value j of the sum is to be multiplied by. */
static double scale_of(const pgd_call *c, const pgd_request *r) {
    const uint32_t width = c->model->spec->d_model;
    double squares = 0;
    if (c->embed.raw) return c->embed.mean ? 1.0 / (r->n_prompt - 1) : 1.0;
    for (uint32_t j = 0; j < width; j++)
        squares += r->pooled[j] * r->pooled[j];
    return squares > 0 ? 1 / sqrt(squares) : 1;
}

/* Base64 of little-endian floats, as the official client asks for by default. */
static void put_base64(const double *v, uint32_t n, double scale, pgd_buf *b) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0, n_bits = 0;
    for (uint32_t i = 0; i < 4 * n; i++) {
        const float f = (float)(v[i / 4] * scale);
        uint32_t word;
        memcpy(&word, &f, sizeof word);
        bits = (bits << 8 | (word >> (8 * (i % 4)) & 255)) & 0xFFFFFF;
        n_bits += 8;
        for (; n_bits >= 6; n_bits -= 6)
            pgd_buf_putc(b, digits[bits >> (n_bits - 6) & 63]);
    }
    if (!n_bits) return;
    pgd_buf_putc(b, digits[bits << (6 - n_bits) & 63]);
    pgd_buf_puts(b, n_bits == 2 ? "==" : "=");
}

static void put_embedding(const pgd_call *c, uint32_t i, pgd_buf *b) {
    const pgd_request *const r = &c->g.requests[i].r;
    const uint32_t width = c->model->spec->d_model;
    const double scale = scale_of(c, r);
    pgd_buf_putf(b, "{\"object\":\"embedding\",\"index\":%u,\"embedding\":", i);
    if (c->embed.base64) {
        pgd_buf_putc(b, '"');
        put_base64(r->pooled, width, scale, b);
        pgd_buf_putc(b, '"');
    } else {
        pgd_jsonw w;
        pgd_jsonw_init(&w, b);
        pgd_jsonw_arr(&w);
        for (uint32_t j = 0; j < width; j++)
            pgd_jsonw_f32(&w, (float)(r->pooled[j] * scale));
        pgd_jsonw_end_arr(&w);
    }
    pgd_buf_putc(b, '}');
}

static void answer(pgd_call *c) {
    pgd_buf *const b = &c->out;
    uint32_t tokens = 0;
    pgd_buf_puts(b, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; i < c->g.n_requests; i++) {
        if (i) pgd_buf_putc(b, ',');
        put_embedding(c, i, b);
        tokens += c->g.requests[i].r.n_prompt - 1;
    }
    pgd_buf_puts(b, "],\"model\":\"");
    pgd_json_escape(b, c->model_name);
    pgd_buf_putf(b, "\",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}", tokens, tokens);
}

static void end(pgd_call *c) {
    (void)c; /* never streamed */
}

/* The body that was judged calls the input a prompt. */
static void error(pgd_call *c) {
    api_error *const e = &c->err;
    if (pgd_sv_starts(pgd_sv_c(e->param), PGD_SV("prompt"))) {
        char rest[API_PARAM_BYTES];
        (void)snprintf(rest, sizeof rest, "input%s", e->param + strlen("prompt"));
        (void)snprintf(e->param, sizeof e->param, "%s", rest);
    }
    api_error_write(e, &c->out);
}

const api_wire api_wire_embeddings = {.id_prefix = "embd-",
                                      .translate = translate,
                                      .begin = begin,
                                      .piece = piece,
                                      .finish = finish,
                                      .answer = answer,
                                      .end = end,
                                      .error = error,
                                      .keep_alive = end};
