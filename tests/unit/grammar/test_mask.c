/* Masks against the definition: a bit is set if and only if advancing over the token succeeds; the
 * end token's, if and only if the text may end. Random walks over random grammars, from printed
 * seeds. */
#include "gr_test.h"

#include "pagoda/rng.h"

static const char *const TEXTS[] = {"ab",
                                    "ba",
                                    "abc",
                                    "aab",
                                    "\"a",
                                    "\",",
                                    "\":",
                                    "\",\"",
                                    "\"}",
                                    "{\"",
                                    "}}",
                                    "}]",
                                    "],[",
                                    ",\"b\":",
                                    "true",
                                    "ru",
                                    "12",
                                    "-1",
                                    "0.5",
                                    "e1",
                                    "\xc3\xa9",
                                    "\xc3",
                                    "\xe4\xbd",
                                    "\xa0",
                                    "\\u00",
                                    "\\n",
                                    "\\\"",
                                    "  ",
                                    "\n  ",
                                    " a",
                                    "hello",
                                    "hello w",
                                    "x1x1",
                                    "((a",
                                    "))",
                                    "a+a",
                                    "aaaaaaaaaaaaaaaaaaaaaaaa",
                                    "a",
                                    "\xe2\x80\xa8",
                                    "\xe2\x80\xa7",
                                    "\xf0\x9f\x98\x80",
                                    "null"};
enum { N_TEXTS = sizeof TEXTS / sizeof TEXTS[0], N_TOKENS = 257 + N_TEXTS, EOS = N_TOKENS - 1 };

static const struct {
    pgd_grammar_kind kind;
    pgd_json_space space;
    const char *text;
} GRAMMARS[] = {
    {PGD_GRAMMAR_JSON_OBJECT, PGD_JSON_SPACE_NONE, ""},
    {PGD_GRAMMAR_JSON_OBJECT, PGD_JSON_SPACE_ANY, ""},
    {PGD_GRAMMAR_JSON_SCHEMA, PGD_JSON_SPACE_NONE, "true"},
    {PGD_GRAMMAR_JSON_SCHEMA, PGD_JSON_SPACE_NONE, "{\"type\":\"string\",\"maxLength\":9}"},
    {PGD_GRAMMAR_JSON_SCHEMA, PGD_JSON_SPACE_NONE,
     "{\"type\":\"string\",\"minLength\":30,\"maxLength\":90}"},
    {PGD_GRAMMAR_JSON_SCHEMA, PGD_JSON_SPACE_NONE,
     "{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"enum\":[\"a\",\"ab\",1]},"
     "\"maxItems\":3},\"minItems\":2,\"maxItems\":40}"},
    {PGD_GRAMMAR_JSON_SCHEMA, PGD_JSON_SPACE_NONE,
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"},\"b\":{\"$ref\":\"#\"}}}"},
    {PGD_GRAMMAR_JSON_SCHEMA, PGD_JSON_SPACE_NONE,
     "{\"type\":\"string\",\"pattern\":\"^(hello|a+) ?\",\"maxLength\":12}"},
    {PGD_GRAMMAR_REGEX, PGD_JSON_SPACE_NONE, "(a|b)*abb"},
    {PGD_GRAMMAR_REGEX, PGD_JSON_SPACE_NONE, ".{3,40}"},
    {PGD_GRAMMAR_REGEX, PGD_JSON_SPACE_NONE, "([^\\n\"]|\\\\.){0,100}x"},
    {PGD_GRAMMAR_REGEX, PGD_JSON_SPACE_NONE, "(a|aa){5,30}b?"},
    {PGD_GRAMMAR_REGEX, PGD_JSON_SPACE_NONE, "((ab?){2,20}c?){3,}"},
    {PGD_GRAMMAR_EBNF, PGD_JSON_SPACE_NONE,
     "root ::= e\ne ::= t (\"+\" t)*\nt ::= \"a\" | \"(\" e \")\""},
    {PGD_GRAMMAR_EBNF, PGD_JSON_SPACE_NONE, "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"b\""},
    {PGD_GRAMMAR_EBNF, PGD_JSON_SPACE_NONE, "root ::= (x x?)* \"a\"\nx ::= \"a\"? \"b\" | root"},
};

static int setup(void **state) {
    *state = gr_vocab(TEXTS, N_TEXTS);
    return 0;
}

static int teardown(void **state) {
    pgd_vocab *v = *state;
    pgd_vocab_destroy(&v);
    return 0;
}

/* The mask of m against trying every token; returns a random allowed one, EOS seldom. */
static uint32_t compare(pgd_matcher *m, pgd_matcher *probe, const char *name, uint64_t *rng) {
    uint32_t bits[(N_TOKENS + 31) / 32], allowed[N_TOKENS], n = 0;
    pgd_error err = {0};
    if (pgd_matcher_mask(m, bits, &err) != PGD_OK) fail_msg("%s: %s", name, err.msg);
    for (uint32_t id = 0; id < N_TOKENS; id++) {
        pgd_matcher_assign(probe, m);
        const bool goes = pgd_matcher_advance(probe, id, NULL) == PGD_OK;
        if (goes != gr_bit(bits, id)) fail_msg("%s: token %u: bit %d", name, id, !goes);
        if (goes) allowed[n++] = id;
    }
    assert_true(n > 0);
    assert_int_equal(gr_bit(bits, EOS), pgd_matcher_accepts(m));
    const uint64_t x = pgd_rng_next(rng);
    const uint32_t id = allowed[x % n];
    return id == EOS && n > 1 && (x >> 40) % 4 ? allowed[0] : id;
}

static void mask_bits_are_set_exactly_for_tokens_that_advance(void **state) {
    for (size_t i = 0; i < sizeof GRAMMARS / sizeof GRAMMARS[0]; i++) {
        const pgd_grammar_spec spec = {.kind = GRAMMARS[i].kind,
                                       .space = GRAMMARS[i].space,
                                       .text = pgd_sv_c(GRAMMARS[i].text)};
        pgd_grammar *g = NULL;
        pgd_error err = {0};
        const pgd_status st = pgd_grammar_compile(&g, &spec, *state, NULL, &err);
        if (st == PGD_E_UNSUPPORTED && strstr(err.msg, "left-recursive")) continue;
        if (st != PGD_OK) fail_msg("%s: %s", GRAMMARS[i].text, err.msg);
        for (uint64_t seed = 1; seed <= 6; seed++) {
            pgd_matcher *m = NULL, *probe = NULL;
            uint64_t rng = seed * 1000 + i;
            print_message("grammar %zu seed %llu\n", i, (unsigned long long)rng);
            assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
            assert_int_equal(pgd_matcher_create(&probe, g), PGD_OK);
            for (int step = 0; step < 25; step++) {
                const uint32_t id = compare(m, probe, GRAMMARS[i].text, &rng);
                assert_int_equal(pgd_matcher_advance(m, id, NULL), PGD_OK);
                if (id == EOS) break;
            }
            pgd_matcher_destroy(&m);
            pgd_matcher_destroy(&probe);
        }
        pgd_grammar_release(&g);
    }
}

static void append(char *out, size_t *n, const char *piece) {
    const size_t len = strlen(piece);
    assert_true(*n + len < 4096);
    memcpy(out + *n, piece, len + 1);
    *n += len;
}

/* A random expression over a and b, small enough to list what it matches. */
static void random_regex(uint64_t *rng, int depth, char *out, size_t *n) {
    const uint64_t x = pgd_rng_next(rng);
    const char *const atom[] = {"a", "b", "c", ".", "[ab]", "[^b]"};
    if (depth == 0 || x % 5 == 0) {
        append(out, n, atom[(x >> 8) % 6]);
        return;
    }
    if (x % 5 == 1) {
        random_regex(rng, depth - 1, out, n);
        random_regex(rng, depth - 1, out, n);
        return;
    }
    const char *const tail[] = {")*", ")+", ")?", "){2}", "){1,3}", "){4,}", ")"};
    append(out, n, "(");
    random_regex(rng, depth - 1, out, n);
    if ((x >> 16) % 3 == 0) {
        append(out, n, "|");
        random_regex(rng, depth - 1, out, n);
    }
    append(out, n, tail[(x >> 24) % 7]);
}

static void mask_of_random_patterns_agrees_with_advancing(void **state) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        char pattern[4096];
        size_t n = 0;
        uint64_t rng = seed;
        pgd_grammar *g = NULL;
        pgd_error err = {0};
        random_regex(&rng, 5, pattern, &n);
        if (gr_compile(&g, PGD_GRAMMAR_REGEX, pattern, *state, &err) != PGD_OK)
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, pattern, err.msg);
        pgd_matcher *m = NULL, *probe = NULL;
        assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
        assert_int_equal(pgd_matcher_create(&probe, g), PGD_OK);
        for (int step = 0; step < 12; step++) {
            const uint32_t id = compare(m, probe, pattern, &rng);
            assert_int_equal(pgd_matcher_advance(m, id, NULL), PGD_OK);
            if (id == EOS) break;
        }
        pgd_matcher_destroy(&m);
        pgd_matcher_destroy(&probe);
        pgd_grammar_release(&g);
    }
}

static void control_tokens_and_tokens_without_text_are_never_allowed(void **state) {
    (void)state;
    const pgd_sv tokens[] = {PGD_SV("a"), {NULL, 0}, PGD_SV("</s>"), PGD_SV("<end>"), PGD_SV("a")};
    const uint32_t eos[] = {2, 3};
    pgd_vocab *v = NULL;
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL;
    uint32_t bits = 0;
    assert_int_equal(pgd_vocab_create(&v, tokens, 5, eos, 2, NULL), PGD_OK);
    assert_int_equal(pgd_vocab_size(v), 5);
    assert_int_equal(pgd_vocab_mask_words(v), 1);
    assert_int_equal(gr_compile(&g, PGD_GRAMMAR_REGEX, "[^b]+", v, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    assert_int_equal(pgd_matcher_mask(m, &bits, NULL), PGD_OK);
    assert_int_equal(bits, 1 | 16); /* both tokens of the same text, no end yet */
    assert_int_equal(pgd_matcher_advance(m, 1, NULL), PGD_E_INVALID);
    assert_int_equal(pgd_matcher_advance(m, 2, NULL), PGD_E_INVALID);
    assert_int_equal(pgd_matcher_advance(m, 9, NULL), PGD_E_INVALID);
    assert_int_equal(pgd_matcher_advance(m, 4, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_mask(m, &bits, NULL), PGD_OK);
    assert_int_equal(bits, 1 | 4 | 8 | 16);
    assert_int_equal(pgd_matcher_advance(m, 3, NULL), PGD_OK);
    assert_true(pgd_matcher_done(m));
    assert_int_equal(pgd_matcher_mask(m, &bits, NULL), PGD_OK);
    assert_int_equal(bits, 0);
    assert_int_equal(pgd_matcher_advance(m, 0, NULL), PGD_E_INVALID);
    pgd_matcher_destroy(&m);
    pgd_grammar_release(&g);
    const uint32_t wrong = 5;
    pgd_error err = {0};
    pgd_vocab *none = NULL;
    assert_int_equal(pgd_vocab_create(&none, tokens, 5, &wrong, 1, &err), PGD_E_INVALID);
    pgd_vocab_destroy(&v);
}

static void masks_are_right_when_the_cache_holds_a_single_one(void **state) {
    pgd_grammar_limits lim = pgd_grammar_limits_default;
    const pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_JSON_OBJECT};
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL, *probe = NULL;
    uint64_t rng = 5;
    lim.mask_bytes = 1;
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, &lim, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    assert_int_equal(pgd_matcher_create(&probe, g), PGD_OK);
    for (int step = 0; step < 30; step++) {
        const uint32_t id = compare(m, probe, "one mask", &rng);
        assert_int_equal(pgd_matcher_advance(m, id, NULL), PGD_OK);
        if (id == EOS) break;
    }
    pgd_matcher_destroy(&m);
    pgd_matcher_destroy(&probe);
    pgd_grammar_release(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask_bits_are_set_exactly_for_tokens_that_advance),
        cmocka_unit_test(mask_of_random_patterns_agrees_with_advancing),
        cmocka_unit_test(control_tokens_and_tokens_without_text_are_never_allowed),
        cmocka_unit_test(masks_are_right_when_the_cache_holds_a_single_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
