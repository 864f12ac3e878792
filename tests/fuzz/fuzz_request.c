/* Bodies of every POST route, as a worker reads them: any bytes give a prepared request within its
 * stated bounds, or an error of 4xx with the whole error object; never a crash, never a 5xx. The
 * first byte chooses the route. No engine runs: what would be submitted is checked instead. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

/* A byte-level tokenizer: 256 byte tokens, one control token, BOS in front. */
static pgd_tokenizer *make_tokenizer(void) {
    pgd_buf b = {0};
    pgd_buf_puts(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":["
                     "{\"id\":256,\"content\":\"<|end|>\",\"single_word\":false,\"lstrip\":false,"
                     "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":null,"
                     "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                     "\"trim_offsets\":true,\"use_regex\":false},\"post_processor\":null,"
                     "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                     "\"trim_offsets\":true,\"use_regex\":false},\"model\":{\"type\":\"BPE\","
                     "\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
                     "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,"
                     "\"vocab\":{");
    uint32_t extra = 0;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool own = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        char cp[4];
        const size_t n = pgd_utf8_encode(own ? byte : 256 + extra++, cp);
        pgd_buf_puts(&b, byte ? ",\"" : "\"");
        pgd_json_escape(&b, (pgd_sv){cp, n});
        pgd_buf_putf(&b, "\":%u", byte);
    }
    pgd_buf_puts(&b, "},\"merges\":[]}}");
    pgd_tokenizer *made = NULL;
    pgd_error err = {0};
    check(pgd_tokenizer_parse(pgd_buf_sv(&b), &made, &err) == PGD_OK);
    pgd_buf_fini(&b);
    return made;
}

static pgd_tokenizer *tok; /* made once: it is a thousand times the work of a body */

static void no_wake(void *ctx) {
    (void)ctx;
}

static void check_request(const api_request *q, const pgd_api_model *m) {
    const pgd_request *const r = &q->r;
    check(r->n_prompt >= 1 && r->n_prompt < m->max_model_len);
    check(r->n_choices >= 1 && r->n_choices <= PGD_MAX_N);
    check(r->max_new_tokens <= m->max_model_len - r->n_prompt);
    check(r->max_new_tokens >= 1 || r->score_prompt);
    for (uint32_t i = 0; i < r->n_prompt; i++)
        check(r->prompt[i] >= 0 && (uint32_t)r->prompt[i] < m->spec->vocab_size);
    const pgd_sampling *const s = &r->sampling;
    check(s->temperature > 0 && s->temperature <= 2);
    check(s->top_p > 0 && s->top_p <= 1 && s->min_p >= 0 && s->min_p <= 1);
    check(s->repetition_penalty > 0 && s->n_top <= PGD_MAX_TOP_LOGPROBS);
    check(s->presence_penalty >= -2 && s->presence_penalty <= 2);
    check(s->n_stop_ids <= PGD_MAX_STOP_IDS && s->min_tokens <= r->max_new_tokens);
    for (uint32_t i = 0; i < s->n_stop_ids; i++)
        check(s->stop_ids[i] >= 0 && (uint32_t)s->stop_ids[i] < m->spec->vocab_size);
    for (uint32_t i = 0; i < r->n_bias; i++)
        check(r->bias[i].value >= -100 && r->bias[i].value <= 100);
    for (uint32_t i = 0; i < r->n_choices; i++)
        check(r->out[i].token && r->out[i].cap >= 1);
}

static void check_error(const api_error *e) {
    const int http = pgd_status_http(e->status);
    check(http >= 400 && http < 500);
    pgd_buf b = {0};
    api_error_write(e, &b);
    pgd_json_doc *doc = NULL;
    check(pgd_json_parse(pgd_buf_sv(&b), &pgd_json_limits_request, &doc, NULL) == PGD_OK);
    check(pgd_json_count(pgd_json_get(pgd_json_root(doc), "error")) >= 4 && b.n < 8192);
    pgd_json_free(&doc);
    pgd_buf_fini(&b);
}

static void run(pgd_api_loop *loop, pgd_api *api, const pgd_api_model *m, pgd_route route,
                const uint8_t *data, size_t size) {
    pgd_call *c = pgd_calloc(1, sizeof *c);
    check(c != NULL);
    c->api = api;
    c->loop = loop;
    c->model = m;
    c->route = route;
    c->wire = api_wire_of(route);
    pgd_buf_put(&c->body, data, size);
    api_prep_run(c);
    if (c->err.status != PGD_OK)
        check_error(&c->err);
    else
        for (uint32_t i = 0; i < c->g.n_requests; i++)
            check_request(&c->g.requests[i], m);
    c->phase = API_ENDED;
    pgd_call_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const pgd_route routes[] = {
        PGD_ROUTE_CHAT,       PGD_ROUTE_COMPLETIONS,   PGD_ROUTE_TOKENIZE,  PGD_ROUTE_DETOKENIZE,
        PGD_ROUTE_MESSAGES,   PGD_ROUTE_COUNT_TOKENS,  PGD_ROUTE_RESPONSES, PGD_ROUTE_INPUT_TOKENS,
        PGD_ROUTE_EMBEDDINGS, PGD_ROUTE_APPLY_TEMPLATE};
    enum { N_ROUTES = sizeof routes / sizeof routes[0] };
    if (size < 1) return 0;
    const pgd_model_spec spec = {.vocab_size = 257, .d_model = 4, .eos_ids = {256}, .n_eos = 1};
    const char *const names[] = {"m"};
    if (!tok) tok = make_tokenizer();
    const pgd_api_model m = {.tokenizer = tok,
                             .spec = &spec,
                             .names = names,
                             .n_names = 1,
                             .max_model_len = 512,
                             .embeddings = true,
                             .max_logprobs = 20};
    /* a loop and an API without workers, which only this file builds by hand */
    pgd_api *const api = pgd_calloc(1, sizeof *api);
    check(api != NULL);
    api->clock = pgd_clock_monotonic();
    api->opt.system_fingerprint = "fp";
    pgd_api_loop *loop = NULL;
    check(pgd_api_loop_create(api, no_wake, NULL, &loop) == PGD_OK);
    run(loop, api, &m, routes[(uint8_t)(data[0] - '0') % N_ROUTES], data + 1, size - 1);
    pgd_api_loop_destroy(&loop);
    pgd_free(api);
    return 0;
}
