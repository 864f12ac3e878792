/* Patterns: translation from Oniguruma's syntax, refusals, iteration over matches, and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/tok_regex.h"
#include "tok_test.h"

/* All matches of pattern in text as "begin-end " pairs. */
static void matches(const char *pattern, pgd_sv text, pgd_buf *out) {
    pgd_tok_regex *re = NULL;
    pgd_tok_matcher *m = NULL;
    pgd_error err = {0};
    if (pgd_tok_regex_compile(pgd_sv_c(pattern), false, &re, &err) != PGD_OK) {
        fail_msg("%s: %s", pattern, err.msg);
    }
    assert_int_equal(pgd_tok_matcher_create(&m), PGD_OK);
    pgd_tok_regex_iter it = {re, m, text, 0, SIZE_MAX};
    for (;;) {
        bool found = false;
        size_t b = 0, e = 0;
        assert_int_equal(pgd_tok_regex_next(&it, &found, &b, &e, &err), PGD_OK);
        if (!found) break;
        pgd_buf_putf(out, "%zu-%zu ", b, e);
    }
    pgd_tok_matcher_destroy(&m);
    pgd_tok_regex_free(&re);
}

static void expect(const char *pattern, const char *text, const char *want) {
    pgd_buf out = {0};
    matches(pattern, pgd_sv_c(text), &out);
    if (!pgd_sv_eq(pgd_buf_sv(&out), pgd_sv_c(want))) {
        fail_msg("%s on \"%s\": got %s, want %s", pattern, text, out.p == NULL ? "" : out.p, want);
    }
    pgd_buf_fini(&out);
}

static void patterns_mean_what_oniguruma_makes_of_them(void **state) {
    (void)state;
    expect("\\s+", "a \xC2\xA0\xE1\xA0\x8E", "1-4 "); /* U+180E is no white space */
    expect("[^\\S\\n]", " \n\t", "0-1 2-3 ");
    expect("\\h+", "xafAF09g", "1-7 ");          /* hex digits */
    expect("\\w+", "a\xCC\x81_1-b", "0-5 6-7 "); /* marks are word characters */
    expect("a.c", "a\nc", "");
    expect("(?m:a.c)", "a\nc", "0-3 "); /* (?m) is dot-all */
    expect("^b", "a\nb", "2-3 ");       /* lines by default */
    expect("a$", "a\nb", "0-1 ");
    expect("x{,2}y", "xxxy", "1-4 ");
    expect("\\d{2}+", "12345", "0-4 "); /* not possessive: repeated */
    expect("(ab){1,2}+c", "abababc", "0-7 ");
    expect("[a-z&&[^b-y]]+", "abyz", "0-1 3-4 ");
    expect("[\\p{L}&&[^\\p{Han}]]+",
           "ab\xE4\xB8\xAD"
           "c",
           "0-2 5-6 ");
    expect("\\p{Han}+", "\xE4\xB8\xAD\xE3\x80\x82", "0-3 "); /* script, not extensions */
    expect("\\u4e2d", "\xE4\xB8\xAD", "0-3 ");
    expect("[\\w-]+", "a-b c", "0-3 4-5 ");
    expect("[a[b-d]e]+", "xabdeg", "1-5 "); /* union */
    expect("[a[b-]c]+", "-ab!c", "0-3 4-5 ");
    expect(" ?[^(\\s|[.,!?])]+", "a b.c (d)", "0-1 1-3 4-5 7-8 "); /* BLOOM's pattern */
    expect("[a[b]-[c]]+", "a-c!b", "0-3 4-5 ");
    expect("[[-]x]+", "-x!", "0-2 ");
    expect("[[:alpha:]_]+|[^[:alnum:]]", "a\xCD\x85_1!", "0-4 5-6 "); /* U+0345 is alphabetic */
    expect("[[:punct:]]+", "a$,\xC2\xA2 ", "1-5 ");                   /* symbols too */
    expect("\\bx\\b", "x x\xCC\x81 x", "0-1 6-7 ");
    expect("x{", "x{", "0-2 ");
    expect("[]a]+", "]a", "0-2 ");
    expect("(?i:'s)", "'S '\xC5\xBF", "0-2 3-6 "); /* long s folds to s */
}

static void an_empty_match_behind_a_match_is_skipped(void **state) {
    (void)state;
    expect("x*", "axb", "0-0 1-2 3-3 ");
    expect("", "ab", "0-0 1-1 2-2 ");
    expect("", "\xC3\xA9", "0-0 2-2 ");
}

static void what_has_no_counterpart_is_refused(void **state) {
    static const char *const bad[] = {"[\\W_]",    "[a[^b]]",  "[[:cntrl:]]", "[[:^alpha:]]",
                                      "[[:alpha]", "[a&&b]",   "(",           "[a",
                                      "a\\",       "\\p{Foo}", "\\u12",       "\\p{L"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pgd_tok_regex *re = NULL;
        pgd_error err = {0};
        if (pgd_tok_regex_compile(pgd_sv_c(bad[i]), false, &re, &err) != PGD_E_UNSUPPORTED) {
            fail_msg("%s was accepted", bad[i]);
        }
        assert_non_null(strstr(err.msg, "pattern at byte"));
        assert_null(re);
    }
}

static void literals_are_not_patterns(void **state) {
    (void)state;
    pgd_tok_regex *re = NULL;
    pgd_tok_matcher *m = NULL;
    bool found = false;
    size_t b = 0, e = 0;
    assert_int_equal(pgd_tok_regex_compile(PGD_SV("a.b"), true, &re, NULL), PGD_OK);
    assert_int_equal(pgd_tok_matcher_create(&m), PGD_OK);
    pgd_tok_regex_iter it = {re, m, PGD_SV("axb a.b"), 0, SIZE_MAX};
    assert_int_equal(pgd_tok_regex_next(&it, &found, &b, &e, NULL), PGD_OK);
    assert_true(found && b == 4 && e == 7);
    pgd_tok_matcher_destroy(&m);
    pgd_tok_regex_free(&re);
}

static void a_pattern_that_explodes_meets_a_limit_instead(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
                                  "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                                  "\"(a|aa)+(a|aa)+(a|aa)+[^a]\"},\"behavior\":\"Isolated\"}}");
    pgd_buf text = {0};
    for (int i = 0; i < 5000; i++) {
        pgd_buf_putc(&text, 'a');
    }
    pgd_ids ids = {0};
    pgd_error err = {0};
    assert_int_equal(pgd_tokenizer_encode(tok, pgd_buf_sv(&text), 0, NULL, 0, &ids, &err),
                     PGD_E_LIMIT);
    assert_non_null(strstr(err.msg, "limits"));
    assert_int_equal(ids.n, 0);
    pgd_buf_fini(&text);
    pgd_ids_fini(&ids);
    pgd_tokenizer_destroy(&tok);
}

static void deep_backtracking_does_not_overflow_a_stack(void **state) {
    (void)state;
    /* each repetition of the group keeps a frame; a megabyte of them must not crash */
    pgd_buf text = {0}, out = {0}, want = {0};
    for (int i = 0; i < 1 << 19; i++) {
        pgd_buf_puts(&text, "ab");
    }
    pgd_tok_regex *re = NULL;
    pgd_tok_matcher *m = NULL;
    bool found = false;
    size_t b = 0, e = 0;
    assert_int_equal(pgd_tok_regex_compile(PGD_SV("(?:a(?=b)b|c)+"), false, &re, NULL), PGD_OK);
    assert_int_equal(pgd_tok_matcher_create(&m), PGD_OK);
    pgd_tok_regex_iter it = {re, m, pgd_buf_sv(&text), 0, SIZE_MAX};
    const pgd_status st = pgd_tok_regex_next(&it, &found, &b, &e, NULL);
    assert_true(st == PGD_E_LIMIT || (st == PGD_OK && found && e == text.n));
    pgd_tok_matcher_destroy(&m);
    pgd_tok_regex_free(&re);
    pgd_buf_fini(&text);
    pgd_buf_fini(&out);
    pgd_buf_fini(&want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_mean_what_oniguruma_makes_of_them),
        cmocka_unit_test(an_empty_match_behind_a_match_is_skipped),
        cmocka_unit_test(what_has_no_counterpart_is_refused),
        cmocka_unit_test(literals_are_not_patterns),
        cmocka_unit_test(a_pattern_that_explodes_meets_a_limit_instead),
        cmocka_unit_test(deep_backtracking_does_not_overflow_a_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
