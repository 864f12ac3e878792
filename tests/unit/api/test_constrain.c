/* Grammars of calls: whatever a random walk through the grammar of a form writes, the parser of the
 * format takes apart into calls of the declared tools with arguments that follow their schemas. And
 * the specifications that requests become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/constrain.h"
#include "pagoda/fs.h"
#include "pagoda/mem.h"
#include "support.h"

enum { EOS = 256, N_TOKENS = 257, MAX_WALK = 2000 };

static pgd_vocab *vocab;
static pgd_arena *arena;

static int setup(void **state) {
    (void)state;
    vocab = test_byte_vocab();
    assert_int_equal(pgd_arena_create(&arena, 0), PGD_OK);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    pgd_vocab_destroy(&vocab);
    pgd_arena_destroy(&arena);
    return 0;
}

/* One allowed byte: mostly letters, digits and what closes something, so that walks end. */
static uint32_t choose(const uint32_t *bits, uint64_t *rng) {
    static const char liked[] = "\"}]>),:=abcdefgo0123456789\n<{[/ tfn-";
    uint32_t some[N_TOKENS], n = 0;
    const bool all = test_rand(rng) % 16 == 0;
    if (bits[EOS / 32] >> (EOS % 32) & 1 && test_rand(rng) % 3 == 0) return EOS;
    for (uint32_t i = 0; i < N_TOKENS; i++) {
        if (!(bits[i / 32] >> (i % 32) & 1)) continue;
        if (all || (i && i < 128 && strchr(liked, (int)i))) some[n++] = i;
    }
    for (uint32_t i = 0; !n && i < N_TOKENS; i++)
        if (bits[i / 32] >> (i % 32) & 1) some[n++] = i;
    assert_true(n > 0);
    return some[test_rand(rng) % n];
}

/* A text of the grammar without its control bytes; false when the walk grew too long. */
static bool walk(pgd_grammar *g, uint64_t *rng, pgd_buf *out) {
    uint32_t bits[N_TOKENS / 32 + 1];
    pgd_matcher *m = NULL;
    pgd_error err = {0};
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    bool ended = false;
    for (uint32_t i = 0; i < MAX_WALK && !ended; i++) {
        if (pgd_matcher_done(m)) {
            ended = true;
            break;
        }
        if (pgd_matcher_mask(m, bits, &err) != PGD_OK) fail_msg("%s", err.msg);
        const uint32_t t = choose(bits, rng);
        assert_int_equal(pgd_matcher_advance(m, t, NULL), PGD_OK);
        if (t == EOS)
            ended = true;
        else if (t != PGD_GRAMMAR_CONTROL)
            pgd_buf_putc(out, (char)t);
    }
    pgd_matcher_destroy(&m);
    return ended;
}

/* ---- calls in every form ---- */

static const char TOOLS[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"maxLength\":6},\"unit\":{\"type\":"
    "\"string\",\"enum\":[\"c\",\"f\"]},\"days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9}"
    "},"
    "\"required\":[\"city\",\"unit\"],\"additionalProperties\":false}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"tag\",\"strict\":true,\"parameters\":{"
    "\"type\":"
    "\"object\",\"properties\":{\"on\":{\"type\":\"boolean\"},\"ids\":{\"type\":\"array\","
    "\"items\":{"
    "\"$ref\":\"#/$defs/id\"},\"maxItems\":3}},\"required\":[],\"additionalProperties\":false,"
    "\"$defs\":{\"id\":{\"enum\":[1,22,\"x\"]}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

static bool one_of(const pgd_json *v, const char *const *texts) {
    pgd_sv s;
    for (; *texts; texts++)
        if (pgd_json_as_str(v, &s) && pgd_sv_eq(s, pgd_sv_c(*texts))) return true;
    return false;
}

static const char *weather_fault(const pgd_json *a) {
    static const char *const units[] = {"c", "f", NULL};
    pgd_sv s;
    int64_t days = 1;
    if (!pgd_json_as_str(pgd_json_get(a, "city"), &s)) return "city";
    if (!one_of(pgd_json_get(a, "unit"), units)) return "unit";
    const pgd_json *const d = pgd_json_get(a, "days");
    if (d && (!pgd_json_as_i64(d, &days) || days < 1 || days > 9)) return "days";
    for (const pgd_json *v = pgd_json_first(a); v; v = pgd_json_next(v))
        if (strcmp(pgd_json_key(v), "city") != 0 && strcmp(pgd_json_key(v), "unit") != 0 && v != d)
            return "a member that is not declared";
    return NULL;
}

static const char *tag_fault(const pgd_json *a) {
    static const char *const x[] = {"x", NULL};
    bool b;
    int64_t id;
    const pgd_json *const on = pgd_json_get(a, "on"), *const ids = pgd_json_get(a, "ids");
    if (on && !pgd_json_as_bool(on, &b)) return "on";
    for (const pgd_json *v = pgd_json_first(ids); v; v = pgd_json_next(v))
        if (!one_of(v, x) && !(pgd_json_as_i64(v, &id) && (id == 1 || id == 22))) return "ids";
    return pgd_json_count(ids) > 3 ? "too many ids" : NULL;
}

static const char *call_fault(pgd_sv name, pgd_sv args) {
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    const char *fault = "a name that is not declared";
    if (pgd_json_parse(args, &pgd_json_limits_request, &doc, &err) != PGD_OK)
        return "arguments that are no JSON";
    const pgd_json *const a = pgd_json_root(doc);
    if (pgd_json_typeof(a) != PGD_JSON_OBJECT)
        fault = "arguments that are no object";
    else if (pgd_sv_eq(name, PGD_SV("get_weather")))
        fault = weather_fault(a);
    else if (pgd_sv_eq(name, PGD_SV("tag")))
        fault = tag_fault(a);
    else if (pgd_sv_eq(name, PGD_SV("now")))
        fault = pgd_json_first(a) ? "arguments that were not declared" : NULL;
    pgd_json_free(&doc);
    return fault;
}

/* Take text apart as an answer is; returns the number of calls, all of which are right. */
static uint32_t parse_calls(const api_parser_options *opt, pgd_sv text) {
    api_pieces p = {0};
    api_parser *parser = NULL;
    pgd_buf args = {0};
    pgd_sv name = {"", 0};
    uint32_t n = 0;
    size_t at = 0;
    assert_int_equal(api_parser_create(opt, &p, &parser), PGD_OK);
    api_parser_feed(parser, text.p, text.n);
    api_parser_finish(parser);
    for (size_t i = 0; i < p.n; at += p.v[i++].len) {
        const pgd_sv bytes = {p.bytes.p + at, p.v[i].len};
        if (p.v[i].kind == API_TOOL_BEGIN) {
            name = (pgd_sv){bytes.p + p.v[i].id_len, bytes.n - p.v[i].id_len};
            pgd_buf_clear(&args);
            n++;
        } else if (p.v[i].kind == API_TOOL_ARGS) {
            pgd_buf_putsv(&args, bytes);
        } else if (p.v[i].kind == API_TOOL_END) {
            const char *const fault = call_fault(name, pgd_buf_sv(&args));
            if (fault) fail_msg("%s in: %.*s", fault, (int)text.n, text.p);
        } else {
            fail_msg("text beside calls in: %.*s", (int)text.n, text.p);
        }
    }
    pgd_buf_fini(&args);
    api_parser_destroy(&parser);
    api_pieces_fini(&p);
    return n;
}

typedef struct form_case {
    const char *format;
    unsigned signs;
    bool one_a_turn;
} form_case;

static const form_case FORMS[] = {
    {"hermes", 0, false},
    {"hermes", API_SIGN_FUNCTION_TAG, false},
    {"llama3_json", 0, false},
    {"mistral", 0, false},
    {"mistral", API_SIGN_ARGS, false},
    {"deepseek", 0, false},
    {"deepseek", API_SIGN_FENCE, false},
    {"kimi_k2", 0, false},
    {"kimi_k3", 0, false},
    {"glm", 0, false},
    {"cohere", 0, false},
    {"cohere", API_SIGN_ACTION, false},
    {"granite", 0, false},
    {"gigachat", 0, true},
    {"pythonic", 0, false},
    {"pythonic", API_SIGN_LFM, false},
    {"harmony", 0, true},
};

static void every_walk_through_a_form_is_calls_as_declared(void **state) {
    (void)state;
    static const pgd_sv marks[] = {
        {"<tool_call>", 11}, {"<|channel|>", 11}, {"[TOOL_CALLS]", 12}, {"<|open|>", 8}};
    const api_controls controls = {marks, sizeof marks / sizeof marks[0]};
    uint64_t rng = 20261124;
    pgd_json_doc *doc = test_json(TOOLS, sizeof TOOLS - 1);
    const api_fields f = {.tools = pgd_json_root(doc)};
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        api_parser_options opt = {0};
        api_tool_rule rule;
        api_error e = {0};
        pgd_error err = {0};
        pgd_grammar_spec spec;
        pgd_grammar *g = NULL;
        assert_int_equal(api_formats_pick(NULL, FORMS[i].format, "none", &opt.formats, NULL),
                         PGD_OK);
        opt.formats.signs = FORMS[i].signs;
        assert_true(api_can_call(&opt.formats));
        assert_int_equal(api_toolset_create(f.tools, arena, &opt.tools), PGD_OK);
        assert_int_equal(api_read_tool_rule(&f, arena, &rule, &e), PGD_OK);
        api_builder b = {.arena = arena, .controls = i % 2 ? &controls : NULL};
        assert_int_equal(api_spec_calls(&b, &opt.formats, &rule, false, &spec, &e), PGD_OK);
        if (pgd_grammar_compile(&g, &spec, vocab, NULL, &err) != PGD_OK)
            fail_msg("%s: %s", FORMS[i].format, err.msg);
        uint32_t n_ended = 0, n_calls = 0;
        for (uint32_t k = 0; k < 60; k++) {
            pgd_buf text = {0};
            if (walk(g, &rng, &text)) {
                const uint32_t n = parse_calls(&opt, pgd_buf_sv(&text));
                if (!n) fail_msg("%s: no call in: %.*s", FORMS[i].format, (int)text.n, text.p);
                if (FORMS[i].one_a_turn) assert_int_equal(n, 1);
                n_ended++;
                n_calls += n;
            }
            pgd_buf_fini(&text);
        }
        if (n_ended < 20) fail_msg("%s: only %u walks ended", FORMS[i].format, n_ended);
        if (!FORMS[i].one_a_turn && n_calls == n_ended)
            fail_msg("%s: never two calls", FORMS[i].format);
        pgd_grammar_release(&g);
    }
    pgd_json_free(&doc);
}

/* ---- composing ---- */

static pgd_json_doc *read_fields(const char *body, api_fields *f) {
    pgd_json_doc *doc = test_json(body, strlen(body));
    api_error e = {0};
    assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, f, &e), PGD_OK);
    return doc;
}

typedef struct compose_case {
    const char *body, *tools, *think;
    api_open open;
    const char *good[8], *bad[8];
} compose_case;

#define SCHEMA                                                                                     \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{"   \
    "\"enum\":[1,\"a\"]}}}"
#define TOOL                                                                                       \
    "\"tools\":[{\"name\":\"f\",\"strict\":true,\"parameters\":{\"type\":\"object\","              \
    "\"properties\":{"                                                                             \
    "\"x\":{\"enum\":[1,2]}},\"required\":[\"x\"],\"additionalProperties\":false}},{\"name\":"     \
    "\"g\"}]"
#define CALL(name, args)                                                                           \
    "<tool_call>\n{\"name\": \"" name "\", \"arguments\": " args "}\n</tool_call>"

static const compose_case COMPOSED[] = {
    {"{" SCHEMA "}", "hermes", "none", API_OPEN_NOTHING, {"1", "\"a\""}, {"", "2", " 1", "1 "}},
    /* a thought is open, may come, or has been had */
    {"{" SCHEMA "}",
     "none",
     "think",
     API_OPEN_REASONING,
     {"</think>1", "hm < 3</think>\n\n\"a\"", "<think></think>1"},
     {"1", "</think>", "x</think>2", "</think></think>1", "</think>\n\n\n1"}},
    {"{" SCHEMA "}",
     "none",
     "think",
     API_OPEN_NOTHING,
     {"1"}, /* this vocabulary has no token for the marker */
     {"</think>1", "<think>1", "<think></think>1"}},
    {"{" SCHEMA "}", "none", "think", API_OPEN_ANSWER, {"1"}, {"<think></think>1", "</think>1"}},
    /* tools beside a schema: one or the other */
    {"{" SCHEMA "," TOOL "}",
     "hermes",
     "none",
     API_OPEN_NOTHING,
     {"1", CALL("f", "{\"x\": 1}"), CALL("g", "{}") "\n" CALL("f", "{\"x\":2}")},
     {"1" CALL("g", "{}"), CALL("f", "{}"), CALL("h", "{}"), "text", CALL("f", "{\"x\": 3}")}},
    /* auto with a strict tool: any text, and calls that are right */
    {"{" TOOL "}",
     "hermes",
     "none",
     API_OPEN_NOTHING,
     {"", "text < tool_call", "so: " CALL("f", "{\"x\": 1}"), CALL("g", "{}") " done",
      CALL("g", "{}") "\n" CALL("g", "{}")},
     {CALL("f", "{}"), "so: <tool_call>", "<function=f>", CALL("h", "{}")}},
    {"{" TOOL ",\"parallel_tool_calls\":false}",
     "hermes",
     "none",
     API_OPEN_NOTHING,
     {"", CALL("g", "{}")},
     {CALL("g", "{}") "\n" CALL("g", "{}")}},
    {"{" TOOL "}",
     "llama3_json",
     "none",
     API_OPEN_NOTHING,
     {"", "text {", "{\"name\": \"f\", \"parameters\": {\"x\": 1}}"},
     {"{", " {", "{\"name\": \"f\", \"parameters\": {}}", "{\"a\": 1}"}},
    /* forced calls, in spite of a schema, behind a thought */
    {"{" SCHEMA "," TOOL ",\"tool_choice\":\"required\"}",
     "hermes",
     "think",
     API_OPEN_REASONING,
     {"</think>" CALL("g", "{}"), "x</think>\n" CALL("f", "{\"x\": 1}") "\n" CALL("g", "{}")},
     {CALL("g", "{}"), "</think>1", "</think>", "<tool_call></think>" CALL("g", "{}")}},
    {"{" TOOL ",\"tool_choice\":{\"type\":\"function\",\"name\":\"g\"}}",
     "hermes",
     "none",
     API_OPEN_NOTHING,
     {CALL("g", "{}")},
     {"", CALL("f", "{\"x\": 1}"), CALL("g", "{}") "\n" CALL("g", "{}"), CALL("g", "{\"x\":1}")}},
    {"{" TOOL ",\"tool_choice\":\"none\"}", "hermes", "none", API_OPEN_NOTHING, {NULL}, {NULL}},
    {"{\"tools\":[{\"name\":\"g\"}]}", "hermes", "think", API_OPEN_NOTHING, {NULL}, {NULL}},
    /* what a family writes around answers */
    {"{" SCHEMA "}",
     "none",
     "cohere",
     API_OPEN_NOTHING,
     {"1", "<|START_RESPONSE|>1<|END_RESPONSE|>"},
     {"<|START_THINKING|>x<|END_THINKING|>1", "<|START_RESPONSE|>"}},
    {"{" SCHEMA "," TOOL "}",
     "harmony",
     "harmony",
     API_OPEN_NOTHING,
     {"<|channel|>final<|message|>1",
      "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>\"a\"",
      "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"x\": 2}"},
     {"1", "<|channel|>analysis<|message|>1", "<|channel|>final<|message|>2"}},
};

static bool accepts(pgd_grammar *g, const char *text) {
    pgd_matcher *m = NULL;
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    const bool yes =
        pgd_matcher_advance_bytes(m, pgd_sv_c(text), NULL) == PGD_OK && pgd_matcher_accepts(m);
    pgd_matcher_destroy(&m);
    return yes;
}

static void check_composed(pgd_call *c, const compose_case *k) {
    api_fields f;
    pgd_json_doc *doc = read_fields(k->body, &f);
    c->err = (api_error){0};
    c->g.one_call = f.parallel_tool_calls.given && !f.parallel_tool_calls.v;
    c->g.named_tool = false;
    c->g.parsing.open = k->open;
    assert_int_equal(api_formats_pick(NULL, k->tools, k->think, &c->g.parsing.formats, NULL),
                     PGD_OK);
    if (api_constrain(c, &f) != PGD_OK) fail_msg("%s: %s", k->body, c->err.msg);
    pgd_json_free(&doc);
    if (!k->good[0] && !k->bad[0]) {
        assert_null(c->g.grammar);
        return;
    }
    assert_non_null(c->g.grammar);
    for (size_t i = 0; i < 8 && k->good[i]; i++)
        if (!accepts(c->g.grammar, k->good[i])) fail_msg("%s: rejects %s", k->body, k->good[i]);
    for (size_t i = 0; i < 8 && k->bad[i]; i++)
        if (accepts(c->g.grammar, k->bad[i])) fail_msg("%s: accepts %s", k->body, k->bad[i]);
    pgd_grammar_release(&c->g.grammar);
}

static void schemas_tools_and_thoughts_compose(void **state) {
    (void)state;
    pgd_tokenizer *tok = test_tokenizer();
    const pgd_model_spec spec = {.vocab_size = 270, .eos_ids = {268}, .n_eos = 1};
    const api_formats none = {0};
    pgd_api api = {.clock = pgd_clock_monotonic()};
    pgd_call c = {.api = &api, .arena = arena, .route = PGD_ROUTE_CHAT};
    assert_int_equal(api_grammars_create(tok, &spec, &none, 270, &api.grammars, NULL), PGD_OK);
    for (int round = 0; round < 2; round++) /* compiled, then found again */
        for (size_t i = 0; i < sizeof COMPOSED / sizeof COMPOSED[0]; i++)
            check_composed(&c, &COMPOSED[i]);
    api_grammars_destroy(&api.grammars);
    pgd_tokenizer_destroy(&tok);
}

/* Where the markers are tokens a model may think first, by these tokens alone. */
static void a_model_with_the_token_may_think_first(void **state) {
    (void)state;
    static const compose_case thinks = {
        "{" SCHEMA "}",
        "none",
        "think",
        API_OPEN_NOTHING,
        {"1", "\xFF<think>x\xFF</think>1", "\xFF<think>\xFF</think>\n\n\"a\""},
        {"<think>x</think>1", "\xFF<think>1", "\xFF<think>x</think>1", "\xFF</think>1",
         "\xFF<think>\xFF<think>\xFF</think>1"}};
    static const char *const names[][2] = {{"<|bos|>", "<think>"}, {"<|pad|>", "</think>"}};
    pgd_buf file = {0}, text = {0};
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    api_formats formats;
    const pgd_model_spec spec = {.vocab_size = 270, .eos_ids = {268}, .n_eos = 1};
    assert_int_equal(pgd_fs_read(API_TEST_DATA "/tokenizer.json", 1 << 20, &file, &err), PGD_OK);
    for (size_t i = 0; i < file.n;) {
        const pgd_sv rest = {file.p + i, file.n - i};
        size_t k = 0;
        while (k < 2 && !pgd_sv_starts(rest, pgd_sv_c(names[k][0])))
            k++;
        pgd_buf_put(&text, k < 2 ? names[k][1] : rest.p, k < 2 ? strlen(names[k][1]) : 1);
        i += k < 2 ? strlen(names[k][0]) : 1;
    }
    if (pgd_tokenizer_parse(pgd_buf_sv(&text), &tok, &err) != PGD_OK) fail_msg("%s", err.msg);
    pgd_api api = {.clock = pgd_clock_monotonic()};
    pgd_call c = {.api = &api, .arena = arena, .route = PGD_ROUTE_CHAT};
    assert_int_equal(api_formats_pick(NULL, "none", "think", &formats, NULL), PGD_OK);
    assert_int_equal(api_grammars_create(tok, &spec, &formats, 270, &api.grammars, NULL), PGD_OK);
    check_composed(&c, &thinks);
    api_grammars_destroy(&api.grammars);
    pgd_tokenizer_destroy(&tok);
    pgd_buf_fini(&file);
    pgd_buf_fini(&text);
}

/* A marker that is a control token is generated as that token alone, and nowhere else. */
static void control_tokens_are_themselves(void **state) {
    (void)state;
    pgd_tokenizer *tok = test_tokenizer(); /* <|im_start|> is special: let it open calls */
    const pgd_model_spec spec = {.vocab_size = 300, .eos_ids = {268}, .n_eos = 1};
    api_formats formats;
    api_grammars *gs = NULL;
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL;
    uint32_t bits[10];
    assert_int_equal(api_formats_pick(NULL, "harmony", "none", &formats, NULL), PGD_OK);
    assert_int_equal(api_grammars_create(tok, &spec, &formats, 300, &gs, NULL), PGD_OK);
    assert_int_equal(api_grammars_controls(gs)->n, 0); /* none of its tokens is in this one */
    const pgd_grammar_spec s = {.kind = PGD_GRAMMAR_FREE};
    assert_int_equal(api_grammars_get(gs, &s, &g, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    assert_int_equal(pgd_matcher_mask(m, bits, NULL), PGD_OK);
    for (uint32_t id = 0; id < 300; id++) { /* all but control tokens and padding; the end too */
        const bool text = id < 266 && id != 0xFF;
        if ((bits[id / 32] >> (id % 32) & 1) != (text || id == 268) && id >= 256)
            fail_msg("token %u", id);
    }
    pgd_matcher_destroy(&m);
    pgd_grammar_release(&g);
    api_grammars_destroy(&gs);
    pgd_tokenizer_destroy(&tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_walk_through_a_form_is_calls_as_declared),
        cmocka_unit_test(schemas_tools_and_thoughts_compose),
        cmocka_unit_test(a_model_with_the_token_may_think_first),
        cmocka_unit_test(control_tokens_are_themselves),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
