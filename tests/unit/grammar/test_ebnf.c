/* EBNF: GBNF and the like-minded part of Lark, errors by line, recursion. */
#include "gr_test.h"

static int setup(void **state) {
    *state = gr_vocab(NULL, 0);
    return 0;
}

static int teardown(void **state) {
    pgd_vocab *v = *state;
    pgd_vocab_destroy(&v);
    return 0;
}

static void gbnf_grammars_match_what_they_say(void **state) {
    static const struct {
        const char *text;
        const char *good[6], *bad[6];
    } cases[] = {
        {"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "yesno", "ye"}},
        {"root ::= a b?\na ::= [a-c]+ # letters\nb ::= \"-\" a", {"a", "abc-c"}, {"-a", "a-", "d"}},
        {"# c\nroot ::= (\"a\" |\n  \"b\"){2,3}\n", {"ab", "bba"}, {"a", "abab"}},
        {"root ::= \"\\x41\\u00e9\\n\\\"\\\\\" .", {"A\xc3\xa9\n\"\\z"}, {"A\xc3\xa9\n\"\\"}},
        {"root ::= [^\"\\n]* \"\\t\"", {"abc\t", "\t"}, {"a\n\t"}},
        {"root ::= [-a] [a-] [\\]x]", {"--]", "aax"}, {"b-]"}},
        {"root ::= expr\nexpr ::= term ((\"+\" | \"-\") term)*\nterm ::= [0-9]+ | \"(\" expr \")\"",
         {"1", "1+2-3", "((1)+2)"},
         {"", "1+", "(1", "1)"}},
        {"root ::= \"a\" root \"b\" | \"\"", {"", "ab", "aaabbb"}, {"aab", "ba"}},
        {"root ::= list\nlist ::= item list | item\nitem ::= \"x\"", {"x", "xxxx"}, {"", "y"}},
        {"root ::= root \"a\" | \"a\"", {"a", "aaa"}, {"", "b"}},
        {"root ::= e\ne ::= e \"+\" t | e \"-\" t | t\nt ::= t \"*\" f | f\nf ::= [0-9] | \"(\" e "
         "\")\"",
         {"1", "1+2*3-4", "(1-2)*3"},
         {"", "+1", "1+", "1*-2"}},
        {"root ::= root root \"x\" | root | \"y\"", {"y", "yyx", "yyxyx"}, {"", "x", "yx"}},
        {"root::=a{0}b{1,}\na::=\"a\"\nb::=\"b\"", {"b", "bbb"}, {"ab", ""}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        gr_check(*state, PGD_GRAMMAR_EBNF, cases[i].text, cases[i].good, cases[i].bad);
}

static void lark_grammars_match_what_they_say(void **state) {
    static const struct {
        const char *text;
        const char *good[6], *bad[6];
    } cases[] = {
        {"start: \"Select\"i \" \" NAME // one\nNAME: /[a-z]+/",
         {"select x", "SELECT abc"},
         {"sel x"}},
        {"?start: sum -> add\n!sum: NUM (\"+\" NUM)~1..2\nNUM: /[0-9]/",
         {"1+2", "1+2+3"},
         {"1", "1+2+3+4"}},
        {"start: \"a\"~3", {"aaa"}, {"aa"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        gr_check(*state, PGD_GRAMMAR_EBNF, cases[i].text, cases[i].good, cases[i].bad);
}

static void faults_are_named_with_their_line(void **state) {
    static const struct {
        const char *text;
        pgd_status st;
        const char *part;
    } cases[] = {
        {"", PGD_E_INVALID, "no rules"},
        {"root ::= x", PGD_E_INVALID, "rule 'x' is used but not defined"},
        {"root ::= \"a\nroot2 ::= \"b\"", PGD_E_INVALID, "line 1: a literal without"},
        {"root ::= \"a\"\nroot ::= \"b\"", PGD_E_INVALID, "line 2: this rule is defined twice"},
        {"root ::= (\"a\"", PGD_E_INVALID, "group without its end"},
        {"root ::= \"a\")", PGD_E_INVALID, "')' without '('"},
        {"root ::= [a", PGD_E_INVALID, "']'"},
        {"root ::= \"a\"{x}", PGD_E_INVALID, "malformed repetition"},
        {"root ::= \"a\"{3,2}", PGD_E_INVALID, "malformed repetition"},
        {"root ::= \"\\q\"", PGD_E_INVALID, "unknown escape"},
        {"just text", PGD_E_INVALID, "expected a rule"},
        {"root ::= (?=\"a\")", PGD_E_INVALID, "expected"},
        {"root ::= (=\"a\")", PGD_E_UNSUPPORTED, "lookahead"},
        {"start: \"a\"\n%ignore WS", PGD_E_UNSUPPORTED, "%ignore"},
        {"start: /a/i", PGD_E_UNSUPPORTED, "flags"},
        {"root ::= x \"a\" | \"a\"\nx ::= root \"b\"", PGD_E_UNSUPPORTED, "left-recursive"},
        {"root ::= root", PGD_E_INVALID, "no text can match"},
        {"root ::= a\na ::= b \"x\" | \"q\"\nb ::= \"y\"? a \"z\"", PGD_E_UNSUPPORTED,
         "left-recursive"},
        {"root ::= \"a\" root", PGD_E_INVALID, "no text can match"},
        {"root ::= \"a\" []", PGD_E_INVALID, "no text can match"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        gr_refused(*state, PGD_GRAMMAR_EBNF, cases[i].text, cases[i].st, cases[i].part);
}

static void ebnf_stays_within_its_bounds_on_adversarial_input(void **state) {
    static const char *const units[] = {"(",  "\"a\" ", "[a]",    "a ", "(\"a\")*",
                                        "| ", "{2}",    "x ::= ", "\n"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const size_t n = 60000 / strlen(units[i]), len = strlen(units[i]);
        char *const s = malloc(16 + n * len);
        assert_non_null(s);
        memcpy(s, "root ::= \"a\" ", 13);
        for (size_t k = 0; k < n; k++)
            memcpy(s + 13 + k * len, units[i], len);
        s[13 + n * len] = '\0';
        pgd_grammar *g = NULL;
        pgd_error err = {0};
        const pgd_status st = gr_compile(&g, PGD_GRAMMAR_EBNF, s, *state, &err);
        assert_true(st == PGD_OK || err.msg[0]);
        pgd_grammar_release(&g);
        free(s);
    }
}

static void a_rule_that_is_unused_and_endless_does_not_matter(void **state) {
    const char *const good[] = {"a", NULL}, *const bad[] = {"b", "", NULL};
    gr_check(*state, PGD_GRAMMAR_EBNF, "root ::= \"a\" | b\nb ::= \"b\" b", good, bad);
}

static void choices_are_exact_texts(void **state) {
    const pgd_sv choices[] = {PGD_SV("yes"), PGD_SV("yes!"), PGD_SV("\xc3\xa9\"\n")};
    pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_CHOICE, .choices = choices, .n_choices = 3};
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, NULL, NULL), PGD_OK);
    for (size_t i = 0; i < 3; i++)
        assert_true(gr_accepts(g, choices[i]));
    assert_false(gr_accepts(g, PGD_SV("ye")));
    assert_false(gr_accepts(g, PGD_SV("")));
    pgd_grammar_release(&g);
    spec.n_choices = 0;
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, NULL, &err), PGD_E_INVALID);
    const pgd_sv broken[] = {PGD_SV("\xff")};
    spec.choices = broken;
    spec.n_choices = 1;
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, NULL, &err), PGD_E_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gbnf_grammars_match_what_they_say),
        cmocka_unit_test(lark_grammars_match_what_they_say),
        cmocka_unit_test(faults_are_named_with_their_line),
        cmocka_unit_test(ebnf_stays_within_its_bounds_on_adversarial_input),
        cmocka_unit_test(a_rule_that_is_unused_and_endless_does_not_matter),
        cmocka_unit_test(choices_are_exact_texts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
