/* Raw model output through the output parser, in every format: any bytes, cut anywhere, give the
 * same well-formed pieces (calls begin, have arguments and end, positions never go back), nothing
 * crashes, and no text is made up: what comes out is bounded by what went in. The first three bytes
 * choose the formats, the state the prompt left, and the cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/parse.h"
#include "pagoda/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

static const char *const tool_names[] = {
    "none",    "hermes", "llama3_json", "pythonic", "mistral", "deepseek", "harmony",
    "kimi_k2", "cohere", "granite",     "gigachat", "glm",     "kimi_k3"};
static const char *const think_names[] = {"none", "think",   "mistral", "cohere",
                                          "seed", "harmony", "kimi_k3"};
static const char declared[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"s\":{\"type\":\"string\"},\"n\":{\"type\":[\"string\",\"null\"]},"
    "\"i\":{\"type\":\"integer\"}}}}},{\"name\":\"g\"}]";

static void run(const api_parser_options *opt, const char *s, size_t n, size_t cut,
                api_pieces *out) {
    api_parser *p = NULL;
    check(api_parser_create(opt, out, &p) == PGD_OK);
    if (cut > n) {
        for (size_t i = 0; i < n; i++)
            api_parser_feed(p, s + i, 1);
    } else {
        api_parser_feed(p, s, cut);
        api_parser_feed(p, s + cut, n - cut);
    }
    (void)api_parser_in_reasoning(p);
    api_parser_finish(p);
    api_parser_destroy(&p);
    check(!out->bytes.failed);
}

static void check_pieces(const api_pieces *p, size_t n_raw) {
    bool in_call = false, has_args = false;
    uint64_t raw = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < p->n; i++) {
        const api_piece *const v = &p->v[i];
        check(v->raw_end >= raw && v->raw_end <= n_raw);
        raw = v->raw_end;
        bytes += v->len;
        switch ((api_piece_kind)v->kind) {
        case API_TOOL_BEGIN:
            check(!in_call && v->len > v->id_len);
            in_call = true;
            has_args = false;
            break;
        case API_TOOL_ARGS:
            check(in_call && v->len > 0);
            has_args = true;
            break;
        case API_TOOL_END:
            check(in_call && has_args && v->len == 0);
            in_call = false;
            break;
        case API_TEXT:
        case API_REASONING:
            check(!in_call && v->len > 0);
            break;
        }
    }
    /* an escape is six bytes at most for one, a call without arguments gets "{}", and a key of the
     * XML and Python forms comes with its quotes */
    check(!in_call && bytes == p->bytes.n && bytes <= 12 * n_raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    api_parser_options opt = {
        .open = (api_open)(data[1] % 3),
        .keep_reasoning = (data[1] / 3) % 4 == 0,
    };
    const size_t n_tools = sizeof tool_names / sizeof tool_names[0];
    const char *const tools = tool_names[data[0] % n_tools];
    const char *const think =
        think_names[data[0] / n_tools % (sizeof think_names / sizeof think_names[0])];
    check(api_formats_pick(NULL, tools, think, &opt.formats, NULL) == PGD_OK);
    pgd_json_doc *doc = NULL;
    pgd_arena *arena = NULL;
    const pgd_sv text = {declared, sizeof declared - 1};
    check(pgd_json_parse(text, &pgd_json_limits_request, &doc, NULL) == PGD_OK);
    check(pgd_arena_create(&arena, 0) == PGD_OK);
    check(api_toolset_create(pgd_json_root(doc), arena, &opt.tools) == PGD_OK);
    pgd_json_free(&doc);
    const char *const raw = (const char *)data + 3;
    const size_t n = size - 3;
    api_pieces one = {0}, two = {0};
    run(&opt, raw, n, SIZE_MAX, &one);
    run(&opt, raw, n, n ? data[2] % n : 0, &two);
    check_pieces(&one, n);
    check(one.n == two.n && one.bytes.n == two.bytes.n);
    check(!one.bytes.n || memcmp(one.bytes.p, two.bytes.p, one.bytes.n) == 0);
    for (size_t i = 0; i < one.n; i++)
        check(one.v[i].kind == two.v[i].kind && one.v[i].len == two.v[i].len &&
              one.v[i].raw_end == two.v[i].raw_end && one.v[i].id_len == two.v[i].id_len);
    api_pieces_fini(&one);
    api_pieces_fini(&two);
    pgd_arena_destroy(&arena);
    return 0;
}
