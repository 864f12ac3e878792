/* The token table and lists of ids, over a small vocabulary written here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/tokens.h"

/* Byte-level BPE over a few characters, with a special token before every text. */
static const char tokenizer_json[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,"
    "\"added_tokens\":[{\"id\":8,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,"
    "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
    "\"use_regex\":false},\"post_processor\":{\"type\":\"TemplateProcessing\","
    "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
    "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[8],\"tokens\":[\"<s>\"]}}},"
    "\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"vocab\":{\"a\":0,\"\\u0120\":1,"
    "\"\\u010a\":2,\"\\u00c3\":3,\"\\u00a9\":4,\"\\u0120a\":5,\"\\\\\":6,\"\\\"\":7},"
    "\"merges\":[\"\\u0120 a\"]}}";

static pgd_tokenizer *load(void) {
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    if (pgd_tokenizer_parse(PGD_SV(tokenizer_json), &tok, &err) != PGD_OK) fail_msg("%s", err.msg);
    return tok;
}

static void the_table_shows_ids_strings_and_texts(void **state) {
    (void)state;
    pgd_tokenizer *tok = load();
    pgd_ids ids = {0};
    pgd_buf out = {0};
    const pgd_sv text = PGD_SV("a a\n\xc3\xa9\"\\");
    assert_int_equal(pgd_tokenizer_encode(tok, text, PGD_ENCODE_ADD_SPECIAL, NULL, 0, &ids, NULL),
                     PGD_OK);
    cli_tokens_table(tok, &ids, text, &out);
    assert_string_equal(out.p, "#  id  token  text\n"
                               "0   8  <s>    special\n"
                               "1   0  a      \"a\"\n"
                               "2   5  \xc4\xa0"
                               "a     \" a\"\n"
                               "3   2  \xc4\x8a      \"\\n\"\n"
                               "4   3  \xc3\x83      \"\\xc3\"\n"
                               "5   4  \xc2\xa9      \"\\xa9\"\n"
                               "6   7  \"      \"\\\"\"\n"
                               "7   6  \\      \"\\\\\"\n"
                               "8 tokens, 8 bytes, 7 characters, 1.00 bytes a token\n");
    pgd_buf_clear(&out);
    cli_tokens_ids(&ids, &out);
    assert_string_equal(out.p, "8 0 5 2 3 4 7 6\n");
    pgd_buf_fini(&out);
    pgd_ids_fini(&ids);
    pgd_tokenizer_destroy(&tok);
}

static void an_empty_text_has_a_count_only(void **state) {
    (void)state;
    pgd_tokenizer *tok = load();
    const pgd_ids ids = {0};
    pgd_buf out = {0};
    cli_tokens_table(tok, &ids, PGD_SV(""), &out);
    assert_string_equal(out.p, "0 tokens, 0 bytes, 0 characters\n");
    pgd_buf_clear(&out);
    cli_tokens_ids(&ids, &out);
    assert_string_equal(out.p, "\n");
    pgd_buf_fini(&out);
    pgd_tokenizer_destroy(&tok);
}

static void lists_of_ids_are_read_in_several_forms(void **state) {
    (void)state;
    static const char *const forms[] = {"1 2 3", "1,2,3", "[1, 2, 3]", " 1\n2\t3\n"};
    for (size_t i = 0; i < 4; i++) {
        pgd_ids ids = {0};
        assert_int_equal(cli_tokens_parse(pgd_sv_c(forms[i]), &ids, NULL), PGD_OK);
        assert_int_equal(ids.n, 3);
        for (int32_t j = 0; j < 3; j++)
            assert_int_equal(ids.v[j], j + 1);
        pgd_ids_fini(&ids);
    }
}

static void what_is_no_id_is_named(void **state) {
    (void)state;
    static const char *const bad[] = {"1 x 2", "-1", "1.5", "99999999999", "2147483648"};
    static const char *const named[] = {"'x'", "'-1'", "'1.5'", "'99999999999'", "'2147483648'"};
    for (size_t i = 0; i < 5; i++) {
        pgd_ids ids = {0};
        pgd_error err = {0};
        assert_int_equal(cli_tokens_parse(pgd_sv_c(bad[i]), &ids, &err), PGD_E_INVALID);
        assert_non_null(strstr(err.msg, named[i]));
        pgd_ids_fini(&ids);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_shows_ids_strings_and_texts),
        cmocka_unit_test(an_empty_text_has_a_count_only),
        cmocka_unit_test(lists_of_ids_are_read_in_several_forms),
        cmocka_unit_test(what_is_no_id_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
