/* Incremental decoding: equal to decoding everything, valid UTF-8 at each step, and prompt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tok_test.h"

#define VOCAB                                                                                      \
    "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0,\"\xC4\xA0the\":1," \
    "\"\xC3\xA2\":2,\"\xC4\xA4\":3,\"\xC2\xAC\":4,\"<0xE2>\":5,\"<0x82>\":6,\"<0xAC>\":7,"         \
    "\"<0xFF>\":8,\"\xE2\x96\x81x\":9,\"\xE2\x96\x81\":10,\"\xF0\x9F\x98\x80\":11,\"</w>\":12,"    \
    "\"ab</w>\":13,\"##b\":14,\" "                                                                 \
    "\":15,\"\xC3\xB0\":16,\"\xC5\x81\":17}},\"added_tokens\":[{\"id\":18,\"content\":\"<s>\","    \
    "\"special\":true,\"normalized\":false}],\"decoder\":"

static const char *const CHAINS[] = {
    "null",
    "{\"type\":\"ByteLevel\"}",
    "{\"type\":\"ByteFallback\"}",
    "{\"type\":\"Fuse\"}",
    "{\"type\":\"WordPiece\"}",
    "{\"type\":\"BPEDecoder\"}",
    "{\"type\":\"CTC\"}",
    "{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\"}",
    ("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
     "\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
     "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
    ("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Replace\",\"pattern\":"
     "{\"String\":\"aa\"},\"content\":\"-\"},{\"type\":\"Strip\",\"content\":\"a\",\"start\":2,"
     "\"stop\":2}]}"),
    ("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"},{\"type\":\"Replace\","
     "\"pattern\":{\"Regex\":\"a+\"},\"content\":\"+\"}]}"),
};

static pgd_tokenizer *with_decoder(const char *decoder) {
    pgd_buf json = {0};
    pgd_buf_puts(&json, VOCAB);
    pgd_buf_puts(&json, decoder);
    pgd_buf_putc(&json, '}');
    pgd_tokenizer *tok = tok_make(json.p);
    pgd_buf_fini(&json);
    return tok;
}

static void parts_join_to_the_whole_for_every_chain(void **state) {
    const uint64_t first_seed = 99;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)first_seed);
    uint64_t seed = first_seed;
    for (size_t c = 0; c < sizeof CHAINS / sizeof *CHAINS; c++) {
        pgd_tokenizer *tok = with_decoder(CHAINS[c]);
        for (int round = 0; round < 2000; round++) {
            int32_t ids[24];
            const bool skip = round % 2 == 0;
            const size_t n = tok_random(&seed, 24);
            pgd_buf whole = {0}, parts = {0};
            pgd_detok *d = NULL;
            assert_int_equal(pgd_detok_create(tok, skip, &d), PGD_OK);
            for (size_t i = 0; i < n; i++) {
                ids[i] = (int32_t)tok_random(&seed, 19);
                assert_int_equal(pgd_detok_push(d, ids[i], &parts), PGD_OK);
                assert_int_equal(pgd_utf8_valid_prefix(parts.p, parts.n), parts.n);
            }
            assert_int_equal(pgd_detok_flush(d, &parts), PGD_OK);
            assert_int_equal(pgd_tokenizer_decode(tok, ids, n, skip, &whole, NULL), PGD_OK);
            assert_true(pgd_sv_eq(pgd_buf_sv(&parts), pgd_buf_sv(&whole)));
            pgd_detok_destroy(&d);
            pgd_buf_fini(&whole);
            pgd_buf_fini(&parts);
        }
        pgd_tokenizer_destroy(&tok);
    }
}

/* Push id and check what comes out at once. */
static void push(pgd_detok *d, int32_t id, const char *want) {
    pgd_buf out = {0};
    assert_int_equal(pgd_detok_push(d, id, &out), PGD_OK);
    if (!pgd_sv_eq(pgd_buf_sv(&out), pgd_sv_c(want))) {
        fail_msg("id %d gave \"%s\", wanted \"%s\"", (int)id, out.p == NULL ? "" : out.p, want);
    }
    pgd_buf_fini(&out);
}

static void byte_level_text_appears_as_soon_as_it_is_certain(void **state) {
    (void)state;
    pgd_tokenizer *tok = with_decoder(CHAINS[1]);
    pgd_detok *d = NULL;
    assert_int_equal(pgd_detok_create(tok, true, &d), PGD_OK);
    push(d, 1, " the");
    push(d, 2, "");             /* E2 */
    push(d, 3, "");             /* 82 */
    push(d, 4, "\xE2\x82\xAC"); /* AC */
    push(d, 18, "");            /* special, skipped */
    push(d, 2, "");
    push(d, 0,
         "\xEF\xBF\xBD"
         "a");                  /* the rest can no longer come */
    push(d, 16, "");            /* F0 */
    push(d, 2, "\xEF\xBF\xBD"); /* F0 E2: the first is lost, the second may still begin one */
    pgd_buf out = {0};
    assert_int_equal(pgd_detok_flush(d, &out), PGD_OK);
    assert_true(pgd_sv_eq(pgd_buf_sv(&out), PGD_SV("\xEF\xBF\xBD")));
    assert_int_equal(pgd_detok_push(d, 19, &out), PGD_E_INVALID);
    assert_int_equal(pgd_detok_push(d, -1, &out), PGD_E_INVALID);
    pgd_buf_fini(&out);
    pgd_detok_destroy(&d);
    assert_null(d);
    pgd_tokenizer_destroy(&tok);
}

static void a_run_of_byte_tokens_waits_for_its_end(void **state) {
    (void)state;
    pgd_tokenizer *tok = with_decoder(CHAINS[8]);
    pgd_detok *d = NULL;
    assert_int_equal(pgd_detok_create(tok, false, &d), PGD_OK);
    push(d, 9, "x"); /* the leading space is stripped */
    push(d, 9, " x");
    push(d, 5, "");
    push(d, 6, "");
    push(d, 7, "");
    push(d, 0,
         "\xE2\x82\xAC"
         "a");
    push(d, 5, "");
    push(d, 8, "");
    push(d, 18, "\xEF\xBF\xBD\xEF\xBF\xBD<s>");
    pgd_detok_destroy(&d);
    pgd_tokenizer_destroy(&tok);
}

static void token_bytes_are_those_in_the_middle_of_a_text(void **state) {
    static const struct {
        size_t chain;
        int32_t id;
        const char *want;
    } cases[] = {{1, 1, " the"}, {1, 2, "\xE2"}, {1, 18, "<s>"}, {8, 9, " x"},
                 {8, 10, " "},   {8, 5, "\xE2"}, {4, 14, "b"},   {4, 0, " a"},
                 {5, 13, "ab "}, {7, 9, " x"},   {0, 0, "a"},    {8, 11, "\xF0\x9F\x98\x80"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgd_tokenizer *tok = with_decoder(CHAINS[cases[i].chain]);
        pgd_buf out = {0};
        pgd_tokenizer_token_bytes(tok, cases[i].id, &out);
        if (!pgd_sv_eq(pgd_buf_sv(&out), pgd_sv_c(cases[i].want))) fail_msg("case %zu", i);
        pgd_tokenizer_token_bytes(tok, 1000, &out);
        assert_int_equal(out.n, strlen(cases[i].want));
        pgd_buf_fini(&out);
        pgd_tokenizer_destroy(&tok);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_join_to_the_whole_for_every_chain),
        cmocka_unit_test(byte_level_text_appears_as_soon_as_it_is_certain),
        cmocka_unit_test(a_run_of_byte_tokens_waits_for_its_end),
        cmocka_unit_test(token_bytes_are_those_in_the_middle_of_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
