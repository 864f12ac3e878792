/* The golden tokenizers: everything that scripts/golden/make_tokenizers.py made `tokenizers` do
 * must come out the same here, decoding one id at a time included. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "golden/tokenizers/cases.h"

static const char FOLDER[] = PGD_SOURCE_DIR "/tests/golden/tokenizers/";

/* Run all cases of the tokenizers whose names start with prefix. */
static void run_group(const char *prefix, size_t at_least) {
    char pattern[1024];
    glob_t found = {0};
    case_counts counts = {0};
    snprintf(pattern, sizeof pattern, "%s%s*.json", FOLDER, prefix);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        pgd_tokenizer *tok = NULL;
        pgd_error err = {0};
        char cases[1100];
        if (pgd_tokenizer_load(found.gl_pathv[i], &tok, &err) != PGD_OK) {
            fail_msg("%s", err.msg);
        }
        snprintf(cases, sizeof cases, "%sl", found.gl_pathv[i]);
        run_cases(tok, cases, &counts);
        pgd_tokenizer_destroy(&tok);
    }
    globfree(&found);
    printf("%s*: %zu cases\n", prefix, counts.run);
    assert_int_equal(counts.failed, 0);
    assert_true(counts.run >= at_least);
}

static void models_with_their_pipelines_encode_and_decode_as_tokenizers(void **state) {
    static const char *const names[] = {"gpt2", "roberta",  "llama", "qwen2",    "o200k",
                                        "kimi", "deepseek", "gemma", "openai",   "bpe_",
                                        "t5",   "unigram_", "bert_", "wordlevel"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        run_group(names[i], 30);
    }
}

static void normalizers_give_the_bytes_of_tokenizers(void **state) {
    (void)state;
    run_group("norm_", 400);
}

static void pre_tokenizers_cut_where_tokenizers_does(void **state) {
    (void)state;
    run_group("split_", 200);
    run_group("punct_", 100);
    run_group("pre_", 100);
    run_group("meta_", 40);
}

static void added_tokens_match_where_tokenizers_matches_them(void **state) {
    (void)state;
    run_group("added", 20);
}

static void decoder_chains_give_the_text_of_tokenizers(void **state) {
    (void)state;
    run_group("dec_", 600);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_with_their_pipelines_encode_and_decode_as_tokenizers),
        cmocka_unit_test(normalizers_give_the_bytes_of_tokenizers),
        cmocka_unit_test(pre_tokenizers_cut_where_tokenizers_does),
        cmocka_unit_test(added_tokens_match_where_tokenizers_matches_them),
        cmocka_unit_test(decoder_chains_give_the_text_of_tokenizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
