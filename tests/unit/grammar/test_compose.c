/* Kinds that join others: free text, markers, control tokens, sequences, repetitions. */
#include "gr_test.h"

#define SPEC(...) (&(const pgd_grammar_spec){__VA_ARGS__})
#define PARTS(...)                                                                                 \
    .parts = (const pgd_grammar_spec[]){__VA_ARGS__},                                              \
    .n_parts = sizeof((const pgd_grammar_spec[]){__VA_ARGS__}) / sizeof(pgd_grammar_spec)
#define TEXTS(...)                                                                                 \
    .choices = (const pgd_sv[]){__VA_ARGS__},                                                      \
    .n_choices = sizeof((const pgd_sv[]){__VA_ARGS__}) / sizeof(pgd_sv)

static void check(const pgd_grammar_spec *spec, const char *const *good, const char *const *bad) {
    pgd_vocab *v = gr_vocab(NULL, 0);
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    if (pgd_grammar_compile(&g, spec, v, NULL, &err) != PGD_OK) fail_msg("%s", err.msg);
    for (; *good; good++)
        if (!gr_accepts(g, pgd_sv_c(*good))) fail_msg("rejects %s", *good);
    for (; *bad; bad++)
        if (gr_accepts(g, pgd_sv_c(*bad))) fail_msg("accepts %s", *bad);
    pgd_grammar_release(&g);
    pgd_vocab_destroy(&v);
}

static void free_text_holds_no_marker(void **state) {
    (void)state;
    check(SPEC(.kind = PGD_GRAMMAR_FREE, TEXTS(PGD_SV("<t>"), PGD_SV("aba"), PGD_SV("\xFFx"))),
          (const char *const[]){"", "x", "<t", "<<t", "ab a", "bab", "<t >", "\xF0\x9F\x98\x80",
                                NULL},
          (const char *const[]){"<t>", "x<t>", "<t>x", "ababa", "aaba", "\xFFx", "a\xFF", NULL});
    check(SPEC(.kind = PGD_GRAMMAR_FREE, .text = PGD_SV("{ ")),
          (const char *const[]){"", "x", "x{", "}", NULL},
          (const char *const[]){"{", " x", "{x", NULL});
}

static void many_markers_cost_little(void **state) {
    (void)state;
    enum { N = 200, LEN = 8 };
    static char text[N][LEN];
    static pgd_sv sv[N];
    pgd_vocab *v = gr_vocab(NULL, 0);
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    for (int i = 0; i < N; i++) {
        (void)snprintf(text[i], LEN, "<%03d>", i);
        sv[i] = pgd_sv_c(text[i]);
    }
    const pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_FREE, .choices = sv, .n_choices = N};
    if (pgd_grammar_compile(&g, &spec, v, NULL, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_true(gr_accepts(g, PGD_SV("<000<19><200>")));
    assert_false(gr_accepts(g, PGD_SV("<000<199>")));
    pgd_grammar_release(&g);
    pgd_vocab_destroy(&v);
}

static void text_until_a_marker_ends_with_its_first_occurrence(void **state) {
    (void)state;
    check(SPEC(.kind = PGD_GRAMMAR_UNTIL, .text = PGD_SV("</t>")),
          (const char *const[]){"</t>", "x</t>", "</</t>", "</t</t>", NULL},
          (const char *const[]){"", "</t", "</t>x", "</t></t>", NULL});
    check(SPEC(.kind = PGD_GRAMMAR_UNTIL, .text = PGD_SV("aba")),
          (const char *const[]){"aba", "aaba", "bbaba", NULL},
          (const char *const[]){"ababa", "abaaba", "ab", NULL});
    check(SPEC(.kind = PGD_GRAMMAR_UNTIL, .text = PGD_SV("\xFF</t>"), TEXTS(PGD_SV("<c>"))),
          (const char *const[]){"\xFF</t>", "x</t>\xFF</t>", NULL},
          (const char *const[]){"</t>", "x", "\xFF</t>\xFF</t>", "\xFFy\xFF</t>", "<c>\xFF</t>",
                                NULL});
}

static void parts_join_in_order_and_repeat_with_something_between(void **state) {
    (void)state;
    check(SPEC(.kind = PGD_GRAMMAR_SEQ,
               PARTS({.kind = PGD_GRAMMAR_UNTIL, .text = PGD_SV("</t>")},
                     {.kind = PGD_GRAMMAR_JSON_SCHEMA, .text = PGD_SV("{\"enum\":[1,\"a\"]}")},
                     {.kind = PGD_GRAMMAR_EBNF, .text = PGD_SV("root ::= x x?\nx ::= \"-\"")})),
          (const char *const[]){"</t>1-", "hm</t>\"a\"--", NULL},
          (const char *const[]){"1-", "</t>1", "</t>2-", "</t>1---", NULL});
    check(SPEC(.kind = PGD_GRAMMAR_REPEAT, .min = 2, .max = 3,
               PARTS({.kind = PGD_GRAMMAR_ALT,
                      PARTS({.kind = PGD_GRAMMAR_TEXT, .text = PGD_SV("ab")},
                            {.kind = PGD_GRAMMAR_REGEX, .text = PGD_SV("[0-9]+")})},
                     {.kind = PGD_GRAMMAR_TEXT, .text = PGD_SV(", ")})),
          (const char *const[]){"ab, ab", "12, ab, 3", NULL},
          (const char *const[]){"", "ab", "ab, ", "abab", "1, 2, 3, 4", NULL});
    check(SPEC(.kind = PGD_GRAMMAR_REPEAT, PARTS({.kind = PGD_GRAMMAR_TEXT, .text = PGD_SV("ab")})),
          (const char *const[]){"", "ab", "ababab", NULL}, (const char *const[]){"aba", NULL});
}

static void two_grammars_with_rules_of_the_same_name_do_not_meet(void **state) {
    (void)state;
    check(SPEC(.kind = PGD_GRAMMAR_SEQ,
               PARTS({.kind = PGD_GRAMMAR_JSON_SCHEMA, .text = PGD_SV("{\"type\":\"boolean\"}")},
                     {.kind = PGD_GRAMMAR_EBNF, .text = PGD_SV("s ::= x\nx ::= \"1\" x?")},
                     {.kind = PGD_GRAMMAR_EBNF, .text = PGD_SV("root ::= x\nx ::= \"2\"")})),
          (const char *const[]){"true12", "false1112", NULL},
          (const char *const[]){"true2", "true11", NULL});
}

static void a_lenient_schema_becomes_any_object(void **state) {
    (void)state;
    const pgd_sv text = PGD_SV("{\"type\":\"object\",\"if\":{\"required\":[\"a\"]}}");
    check(SPEC(.kind = PGD_GRAMMAR_JSON_SCHEMA, .text = text, .lenient = true),
          (const char *const[]){"{}", "{\"a\":1}", NULL}, (const char *const[]){"1", NULL});
    pgd_vocab *v = gr_vocab(NULL, 0);
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    const pgd_grammar_spec strict = {
        .kind = PGD_GRAMMAR_SEQ,
        PARTS({.kind = PGD_GRAMMAR_JSON_SCHEMA, .text = text, .name = "tools[3]"})};
    assert_int_equal(pgd_grammar_compile(&g, &strict, v, NULL, &err), PGD_E_UNSUPPORTED);
    if (!strstr(err.msg, "tools[3]: schema #/if")) fail_msg("%s", err.msg);
    pgd_vocab_destroy(&v);
}

static void parts_are_bounded(void **state) {
    (void)state;
    enum { DEEP = 300 };
    static pgd_grammar_spec spec[DEEP];
    pgd_vocab *v = gr_vocab(NULL, 0);
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    for (int i = 0; i < DEEP; i++)
        spec[i] = (pgd_grammar_spec){
            .kind = PGD_GRAMMAR_SEQ, .parts = &spec[i + 1], .n_parts = i + 1 < DEEP};
    assert_int_equal(pgd_grammar_compile(&g, spec, v, NULL, &err), PGD_E_LIMIT);
    spec[0].n_parts = 0;
    assert_int_equal(pgd_grammar_compile(&g, spec, v, NULL, &err), PGD_E_INVALID);
    pgd_vocab_destroy(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_text_holds_no_marker),
        cmocka_unit_test(many_markers_cost_little),
        cmocka_unit_test(text_until_a_marker_ends_with_its_first_occurrence),
        cmocka_unit_test(parts_join_in_order_and_repeat_with_something_between),
        cmocka_unit_test(two_grammars_with_rules_of_the_same_name_do_not_meet),
        cmocka_unit_test(a_lenient_schema_becomes_any_object),
        cmocka_unit_test(parts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
