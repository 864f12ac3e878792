/* WordPiece and WordLevel: greedy longest match, unknown words, word length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tok_test.h"

static const char MODEL[] = "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
                            "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":6,"
                            "\"vocab\":{\"[UNK]\":0,\"un\":1,\"##aff\":2,\"##able\":3,\"##a\":4,"
                            "\"unaffx\":5,\"#\":6,\"###\":7}},\"pre_tokenizer\":{\"type\":"
                            "\"WhitespaceSplit\"}}";

static void the_longest_match_wins_and_a_gap_makes_the_word_unknown(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(MODEL);
    tok_expect(tok, PGD_SV("unaff una unaffa"), 0, NULL, 0, TOK_IDS(1, 2, 1, 4, 1, 2, 4));
    tok_expect(tok, PGD_SV("unq un"), 0, NULL, 0, TOK_IDS(0, 1));
    /* a token with the prefix also matches literally at a word's start, as `tokenizers` has it */
    tok_expect(tok, PGD_SV("##a #"), 0, NULL, 0, TOK_IDS(4, 6));
    tok_expect(tok, PGD_SV("##"), 0, NULL, 0, TOK_IDS(6, 7));
    pgd_tokenizer_destroy(&tok);
}

static void words_longer_than_the_limit_are_unknown_in_characters_not_bytes(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(MODEL);
    tok_expect(tok, PGD_SV("unaaaaa"), 0, NULL, 0, TOK_IDS(0));
    tok_expect(tok, PGD_SV("unaaaa"), 0, NULL, 0, TOK_IDS(1, 4, 4, 4, 4));
    pgd_tokenizer_destroy(&tok);
}

static void word_level_knows_whole_words_only(void **state) {
    (void)state;
    pgd_tokenizer *tok =
        tok_make("{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"u\",\"vocab\":"
                 "{\"u\":0,\"ab\":1,\"a\":2}},\"pre_tokenizer\":{\"type\":"
                 "\"Whitespace\"}}");
    tok_expect(tok, PGD_SV("ab a b"), 0, NULL, 0, TOK_IDS(1, 2, 0));
    pgd_tokenizer_destroy(&tok);
    tok = tok_make("{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"ab\":1}}}");
    pgd_ids ids = {0};
    assert_int_equal(pgd_tokenizer_encode(tok, PGD_SV("x"), 0, NULL, 0, &ids, NULL),
                     PGD_E_UNSUPPORTED);
    pgd_tokenizer_destroy(&tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_match_wins_and_a_gap_makes_the_word_unknown),
        cmocka_unit_test(words_longer_than_the_limit_are_unknown_in_characters_not_bytes),
        cmocka_unit_test(word_level_knows_whole_words_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
