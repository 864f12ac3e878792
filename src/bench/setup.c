/* What must be known before the first request.
 *
 * Asks the server for its model and for token counts (vLLM's and Pagoda's /tokenize), or counts
 * with a local tokenizer.json. A server without /tokenize is no error: its prompts are then words,
 * and the result says that their lengths are not tokens. Runs on the loop thread, before the run.
 */
#include "bench/setup.h"

#include <string.h>

#include "pagoda/fs.h"
#include "pagoda/json.h"
#include "pagoda/tokenizer.h"

pgd_status bench_setup_model(bench_client *client, const bench_options *o, pgd_buf *name,
                             pgd_error *err) {
    if (o->model != NULL) {
        const size_t n = strlen(o->model);
        if (n == 0 || pgd_utf8_valid_prefix(o->model, n) != n)
            return pgd_fail(err, PGD_E_INVALID, "--model: no valid name");
        pgd_buf_puts(name, o->model);
        return name->failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
    }
    pgd_buf body = {0};
    pgd_json_doc *doc = NULL;
    pgd_status s = bench_client_fetch(client, "GET", "/v1/models", (pgd_sv){NULL, 0}, &body, err);
    if (s == PGD_OK) s = pgd_json_parse(pgd_buf_sv(&body), &pgd_json_limits_request, &doc, err);
    pgd_sv id = {NULL, 0};
    if (s == PGD_OK) {
        const pgd_json *data = pgd_json_get(pgd_json_root(doc), "data");
        if (!pgd_json_as_str(pgd_json_get(pgd_json_first(data), "id"), &id) || id.n == 0)
            s = pgd_fail(err, PGD_E_FORMAT, "/v1/models names no model: give --model");
    }
    pgd_buf_putsv(name, id);
    pgd_json_free(&doc);
    pgd_buf_fini(&body);
    if (s == PGD_OK && name->failed) s = pgd_fail(err, PGD_E_NOMEM, "out of memory");
    return s;
}

void bench_setup_version(bench_client *client, pgd_buf *out) {
    pgd_buf body = {0};
    pgd_json_doc *doc = NULL;
    pgd_sv version = {NULL, 0};
    if (bench_client_fetch(client, "GET", "/version", (pgd_sv){NULL, 0}, &body, NULL) == PGD_OK &&
        pgd_json_parse(pgd_buf_sv(&body), &pgd_json_limits_request, &doc, NULL) == PGD_OK)
        pgd_json_as_str(pgd_json_get(pgd_json_root(doc), "version"), &version);
    pgd_buf_putsv(out, version);
    pgd_json_free(&doc);
    pgd_buf_fini(&body);
}

/* ---- counting tokens ---- */

typedef struct counter {
    bench_client *client;
    const char *model;
    bool chat;
    pgd_tokenizer *local; /* NULL: ask the server */
} counter;

/* POST /tokenize; the parsed answer is owned by the caller. */
static pgd_status tokenize(const counter *c, pgd_sv text, bool chat, bool special,
                           pgd_json_doc **doc, pgd_error *err) {
    pgd_buf body = {0}, answer = {0};
    pgd_buf_puts(&body, "{\"model\":\"");
    pgd_json_escape(&body, pgd_sv_c(c->model));
    pgd_buf_puts(&body,
                 chat ? "\",\"messages\":[{\"role\":\"user\",\"content\":\"" : "\",\"prompt\":\"");
    pgd_json_escape(&body, text);
    pgd_buf_puts(&body, chat ? "\"}]" : "\"");
    if (!special) pgd_buf_puts(&body, ",\"add_special_tokens\":false");
    pgd_buf_putc(&body, '}');
    pgd_status s = body.failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory")
                               : bench_client_fetch(c->client, "POST", "/tokenize",
                                                    pgd_buf_sv(&body), &answer, err);
    if (s == PGD_OK) s = pgd_json_parse(pgd_buf_sv(&answer), &pgd_json_limits_request, doc, err);
    pgd_buf_fini(&body);
    pgd_buf_fini(&answer);
    return s;
}

static pgd_status count_tokens(void *ctx, pgd_sv text, uint64_t *n, pgd_error *err) {
    const counter *c = ctx;
    if (c->local != NULL) {
        pgd_ids ids = {0};
        const pgd_status s =
            pgd_tokenizer_encode(c->local, text, PGD_ENCODE_ADD_SPECIAL, NULL, 0, &ids, err);
        *n = ids.n;
        pgd_ids_fini(&ids);
        return s;
    }
    pgd_json_doc *doc = NULL;
    PGD_TRY(tokenize(c, text, c->chat, true, &doc, err));
    const pgd_json *root = pgd_json_root(doc), *tokens = pgd_json_get(root, "tokens");
    const bool counted = pgd_json_as_u64(pgd_json_get(root, "count"), n);
    if (!counted) *n = pgd_json_count(tokens);
    pgd_json_free(&doc);
    if (*n == 0) return pgd_fail(err, PGD_E_FORMAT, "/tokenize counted no tokens");
    return PGD_OK;
}

/* Ids of the tokens of the sample text. */
static pgd_status sample_ids(const counter *c, pgd_ids *out, pgd_error *err) {
    pgd_buf text = {0};
    bench_prompts_sample(&text);
    pgd_status s = text.failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
    pgd_json_doc *doc = NULL;
    if (s == PGD_OK && c->local != NULL) {
        s = pgd_tokenizer_encode(c->local, pgd_buf_sv(&text), 0, NULL, 0, out, err);
    } else if (s == PGD_OK) {
        s = tokenize(c, pgd_buf_sv(&text), false, false, &doc, err);
        const pgd_json *t =
            s == PGD_OK ? pgd_json_first(pgd_json_get(pgd_json_root(doc), "tokens")) : NULL;
        for (; t != NULL && s == PGD_OK; t = pgd_json_next(t)) {
            int64_t id = 0;
            if (pgd_json_as_i64(t, &id) && id >= 0 && id <= INT32_MAX)
                s = pgd_ids_push(out, (int32_t)id);
        }
    }
    pgd_json_free(&doc);
    pgd_buf_fini(&text);
    if (s == PGD_OK && out->n == 0) s = pgd_fail(err, PGD_E_FORMAT, "/tokenize gave no token ids");
    return s;
}

static pgd_status token_prompts(const counter *c, bench_prompts *out, pgd_error *err) {
    pgd_ids ids = {0};
    const pgd_status s = sample_ids(c, &ids, err);
    if (s != PGD_OK) {
        pgd_ids_fini(&ids);
        return s;
    }
    out->tokens = true;
    out->lengths = "token ids";
    out->id = ids.v; /* moved */
    out->n_id = ids.n;
    return PGD_OK;
}

static pgd_status text_prompts(const bench_options *o, counter *c, bench_prompts *out,
                               pgd_error *err) {
    PGD_TRY(bench_prompts_calibrate(out, count_tokens, c, err));
    out->lengths = c->local == NULL ? "text, counted by the server"
                   : strcmp(o->endpoint, "chat") == 0
                       ? "text, counted by tokenizer.json without the chat template"
                       : "text, counted by tokenizer.json";
    return PGD_OK;
}

pgd_status bench_setup_prompts(bench_client *client, const bench_options *o, const char *model,
                               bench_prompts *out, pgd_error *err) {
    if (o->token_ids.hi > 0) {
        if (strcmp(o->endpoint, "chat") == 0)
            return pgd_fail(err, PGD_E_INVALID, "--token-ids needs --endpoint completions");
        out->tokens = true;
        out->ids = o->token_ids;
        out->lengths = "token ids";
        return PGD_OK;
    }
    counter c = {.client = client, .model = model, .chat = strcmp(o->endpoint, "chat") == 0};
    if (o->tokenizer != NULL) PGD_TRY(pgd_tokenizer_load(o->tokenizer, &c.local, err));
    const bool want_tokens = strcmp(o->prompt, "tokens") == 0;
    const bool tokens = want_tokens || (strcmp(o->prompt, "auto") == 0 && !c.chat);
    pgd_status s = tokens ? token_prompts(&c, out, err) : text_prompts(o, &c, out, err);
    pgd_tokenizer_destroy(&c.local);
    /* a server that answers, but not to /tokenize; PGD_E_IO is one that does not answer at all */
    if (s == PGD_OK || s == PGD_E_IO || s == PGD_E_NOMEM || o->tokenizer != NULL) return s;
    if (want_tokens) return pgd_wrap(err, "--prompt tokens without --token-ids or --tokenizer");
    bench_prompts_assume(out);
    out->lengths = "words, not tokens: /tokenize did not answer";
    return PGD_OK;
}

/* ---- files and flags ---- */

static pgd_status read_trace(const char *path, bench_trace *out, pgd_error *err) {
    pgd_buf text = {0};
    pgd_status s = pgd_fs_read(path, 1u << 30, &text, err);
    if (s == PGD_OK) {
        s = bench_trace_parse(pgd_buf_sv(&text), out, err);
        if (s != PGD_OK) pgd_wrap(err, "--trace %s", path);
    }
    pgd_buf_fini(&text);
    return s;
}

pgd_status bench_setup_workload(const bench_options *o, bench_workload *out, pgd_error *err) {
    static const char *const names[] = {"random", "sharegpt", "prefix", "trace"};
    *out = (bench_workload){.n_in = o->input_len,
                            .n_out = o->output_len,
                            .n_prefix = o->prefix_len,
                            .n_suffix = o->suffix_len,
                            .n_prefixes = o->num_prefixes,
                            .seed = o->seed};
    for (int k = 0; k < 4; k++)
        if (strcmp(o->workload, names[k]) == 0) out->kind = (bench_kind)k;
    if (o->trace == NULL) return PGD_OK;
    PGD_TRY(read_trace(o->trace, &out->trace, err));
    if (o->num_requests <= out->trace.n) return PGD_OK;
    const size_t n = out->trace.n;
    bench_trace_fini(&out->trace);
    return pgd_fail(err, PGD_E_INVALID, "--num-requests: the trace holds only %zu requests", n);
}

pgd_status bench_setup_extra(const char *json, pgd_buf *out, pgd_error *err) {
    if (json == NULL) return PGD_OK;
    pgd_json_doc *doc = NULL;
    if (pgd_json_parse(pgd_sv_c(json), &pgd_json_limits_request, &doc, err) != PGD_OK)
        return pgd_wrap(err, "--extra-body");
    const pgd_json *root = pgd_json_root(doc);
    const bool is_object = pgd_json_typeof(root) == PGD_JSON_OBJECT;
    for (const pgd_json *m = is_object ? pgd_json_first(root) : NULL; m != NULL;
         m = pgd_json_next(m)) {
        pgd_buf_puts(out, ",\"");
        pgd_json_escape(out, pgd_sv_c(pgd_json_key(m)));
        pgd_buf_puts(out, "\":");
        pgd_jsonw w;
        pgd_jsonw_init(&w, out);
        pgd_jsonw_node(&w, m);
    }
    pgd_json_free(&doc);
    if (!is_object) return pgd_fail(err, PGD_E_INVALID, "--extra-body: '%s' is no object", json);
    return out->failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
}

pgd_status bench_setup_key(const char *path, pgd_buf *out, pgd_error *err) {
    if (path == NULL) return PGD_OK;
    PGD_TRY(pgd_fs_read(path, 65536, out, err));
    while (out->n > 0 && (unsigned char)out->p[out->n - 1] <= ' ')
        out->p[--out->n] = '\0';
    for (size_t i = 0; i < out->n; i++)
        if ((unsigned char)out->p[i] <= ' ' || (unsigned char)out->p[i] >= 127)
            return pgd_fail(err, PGD_E_FORMAT, "--api-key-file %s: more than one word", path);
    return out->n > 0 ? PGD_OK
                      : pgd_fail(err, PGD_E_FORMAT, "--api-key-file %s holds no key", path);
}
