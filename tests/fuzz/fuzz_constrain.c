/* Chat bodies, as far as they demand a form of the output: any fields, tools and schemas give a
 * grammar, none, or an error of 4xx; a walk over the masks of a grammar is never stuck unless a
 * limit says so. The first byte chooses the model's formats and what the prompt leaves open. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/constrain.h"
#include "pagoda/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_TOKENS = 257, STEPS = 24 };

static void check(int ok) {
    if (!ok) abort();
}

static void walk(pgd_grammar *g, const uint8_t *data, size_t size) {
    uint32_t bits[N_TOKENS / 32 + 1];
    pgd_matcher *m = NULL;
    pgd_error err = {0};
    if (pgd_matcher_create(&m, g) != PGD_OK) return;
    for (size_t i = 0; i < STEPS && !pgd_matcher_done(m); i++) {
        uint32_t some[N_TOKENS], n = 0;
        if (pgd_matcher_mask(m, bits, &err) != PGD_OK) {
            check(err.code == PGD_E_LIMIT);
            break;
        }
        for (uint32_t id = 0; id < N_TOKENS; id++)
            if (bits[id / 32] >> (id % 32) & 1) some[n++] = id;
        check(n > 0);
        check(pgd_matcher_advance(m, some[data[i % size] % n], &err) == PGD_OK ||
              err.code == PGD_E_LIMIT);
    }
    pgd_matcher_destroy(&m);
}

static pgd_tokenizer *tok; /* 256 byte tokens and one control token; made once */

static pgd_tokenizer *make_tokenizer(void) {
    pgd_buf b = {0};
    pgd_tokenizer *made = NULL;
    pgd_error err = {0};
    uint32_t extra = 0;
    pgd_buf_puts(&b,
                 "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":256,\"content\":\"<tool_call>\","
                 "\"special\":true}],\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                 "\"add_prefix_space\":false,\"use_regex\":false},\"decoder\":{\"type\":"
                 "\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool own = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        char cp[4];
        const size_t n = pgd_utf8_encode(own ? byte : 256 + extra++, cp);
        pgd_buf_puts(&b, byte ? ",\"" : "\"");
        if (byte == '"' || byte == '\\') pgd_buf_putc(&b, '\\');
        pgd_buf_put(&b, cp, n);
        pgd_buf_putf(&b, "\":%u", byte);
    }
    pgd_buf_puts(&b, "},\"merges\":[]}}");
    check(pgd_tokenizer_parse(pgd_buf_sv(&b), &made, &err) == PGD_OK);
    pgd_buf_fini(&b);
    return made;
}

static void run(pgd_call *c, const uint8_t *data, size_t size) {
    pgd_json_doc *doc = NULL;
    api_fields f;
    if (pgd_json_parse((pgd_sv){(const char *)data, size}, &pgd_json_limits_request, &doc, NULL) !=
        PGD_OK)
        return;
    pgd_status st = api_fields_read(pgd_json_root(doc), API_ON_CHAT, &f, &c->err);
    if (st == PGD_OK && f.tools) st = api_check_tools(f.tools, &c->err);
    if (st == PGD_OK) st = api_constrain(c, &f);
    pgd_json_free(&doc);
    check(st == c->err.status);
    if (st != PGD_OK) check(c->err.msg[0] && pgd_status_http(st) / 100 == 4);
    if (st == PGD_OK && c->g.grammar) walk(c->g.grammar, data, size);
    pgd_grammar_release(&c->g.grammar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const tools[] = {"hermes", "llama3_json", "mistral", "deepseek",
                                        "glm",    "pythonic",    "harmony", "none"};
    static const char *const thinks[] = {"none", "think", "cohere", "harmony"};
    if (size < 2) return 0;
    if (!tok) tok = make_tokenizer();
    const pgd_model_spec spec = {.vocab_size = N_TOKENS, .eos_ids = {10}, .n_eos = 1};
    pgd_api api = {.clock = pgd_clock_monotonic()};
    pgd_call c = {.api = &api, .route = PGD_ROUTE_CHAT};
    api_formats *const formats = &c.g.parsing.formats;
    check(api_formats_pick(NULL, tools[data[0] % 8], thinks[data[0] / 8 % 4], formats, NULL) ==
          PGD_OK);
    formats->signs = data[0] & 1 ? 31 : 0;
    c.g.parsing.open = (api_open)(data[0] / 32 % 4);
    check(pgd_arena_create(&c.arena, 0) == PGD_OK);
    check(api_grammars_create(tok, &spec, formats, N_TOKENS, &api.grammars, NULL) == PGD_OK);
    run(&c, data + 1, size - 1);
    api_grammars_destroy(&api.grammars);
    pgd_arena_destroy(&c.arena);
    return 0;
}
