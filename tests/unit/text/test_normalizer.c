/* Normalization beyond the golden files: long runs of marks, Hangul, origins of bytes, and that
 * normal forms are stable and consistent with each other on random text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/tok_unicode.h"
#include "tok_test.h"

static void normalize(pgd_uc_form form, pgd_sv in, pgd_buf *out) {
    pgd_tok_text a = {0}, b = {0};
    pgd_buf_putsv(&a.buf, in);
    assert_int_equal(pgd_uc_normalize(form, &a, &b), PGD_OK);
    pgd_buf_clear(out);
    pgd_buf_putsv(out, pgd_buf_sv(&b.buf));
    pgd_tok_text_fini(&a);
    pgd_tok_text_fini(&b);
}

static void known_texts_take_their_normal_forms(void **state) {
    static const struct {
        pgd_uc_form form;
        const char *in, *want;
    } cases[] = {
        {PGD_UC_NFC, "e\xCC\x81", "\xC3\xA9"},
        {PGD_UC_NFD, "\xC3\xA9", "e\xCC\x81"},
        {PGD_UC_NFC, "plain ASCII", "plain ASCII"},
        {PGD_UC_NFC, "a\xCC\x88\xCC\xA3", "\xE1\xBA\xA1\xCC\x88"},            /* marks reorder */
        {PGD_UC_NFD, "\xEA\xB0\x81", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"}, /* Hangul */
        {PGD_UC_NFC, "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"},
        {PGD_UC_NFC, "\xE2\x84\xAB", "\xC3\x85"}, /* Angstrom sign */
        {PGD_UC_NFKC, "\xEF\xAC\x81", "fi"},
        {PGD_UC_NFKC, "\xEF\xBD\xB6\xEF\xBE\x9E", "\xE3\x82\xAC"}, /* half-width GA composes */
        {PGD_UC_NFKD, "\xC2\xBD",
         "1\xE2\x81\x84"
         "2"},
        {PGD_UC_NFC, "\xF0\x9F\x98\x80\xCC\x81", "\xF0\x9F\x98\x80\xCC\x81"},
        {PGD_UC_NFC, "\xCC\x81", "\xCC\x81"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgd_buf out = {0};
        normalize(cases[i].form, pgd_sv_c(cases[i].in), &out);
        if (!pgd_sv_eq(pgd_buf_sv(&out), pgd_sv_c(cases[i].want))) fail_msg("case %zu", i);
        pgd_buf_fini(&out);
    }
}

static void long_runs_of_marks_are_sorted_stably(void **state) {
    (void)state;
    /* U+0301 and U+0300 (class 230) among U+0323 (220): the 220s come first, the others keep their
     * order. Long enough for the counting sort. */
    pgd_buf in = {0}, want = {0}, out = {0};
    pgd_buf_puts(&in, "q");
    pgd_buf_puts(&want, "q");
    for (int i = 0; i < 500; i++) {
        pgd_buf_puts(&in, i % 2 == 0 ? "\xCC\x81\xCC\xA3" : "\xCC\x80\xCC\xA3");
        pgd_buf_puts(&want, "\xCC\xA3");
    }
    for (int i = 0; i < 500; i++) {
        pgd_buf_puts(&want, i % 2 == 0 ? "\xCC\x81" : "\xCC\x80");
    }
    normalize(PGD_UC_NFD, pgd_buf_sv(&in), &out);
    assert_true(pgd_sv_eq(pgd_buf_sv(&out), pgd_buf_sv(&want)));
    pgd_buf_fini(&in);
    pgd_buf_fini(&want);
    pgd_buf_fini(&out);
}

static void random_text(uint64_t *seed, pgd_buf *out) {
    static const uint32_t first[] = {0x20,   0xC0,   0x300,  0x300,  0x1100,  0xAC00, 0x900,
                                     0x3040, 0xFF60, 0x1E00, 0xFB00, 0x1D15E, 0x300,  0x41};
    const uint32_t n = 1 + tok_random(seed, 30);
    for (uint32_t i = 0; i < n; i++) {
        char s[4];
        const uint32_t cp =
            first[tok_random(seed, sizeof first / sizeof *first)] + tok_random(seed, 0x70);
        pgd_buf_put(out, s, pgd_utf8_encode(cp, s));
    }
}

static void normal_forms_agree_with_each_other_on_random_text(void **state) {
    const uint64_t first_seed = 4242;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)first_seed);
    uint64_t seed = first_seed;
    for (int i = 0; i < 20000; i++) {
        pgd_buf text = {0}, nfc = {0}, nfd = {0}, x = {0};
        random_text(&seed, &text);
        normalize(PGD_UC_NFC, pgd_buf_sv(&text), &nfc);
        normalize(PGD_UC_NFD, pgd_buf_sv(&text), &nfd);
        normalize(PGD_UC_NFC, pgd_buf_sv(&nfd), &x);
        assert_true(pgd_sv_eq(pgd_buf_sv(&x), pgd_buf_sv(&nfc))); /* toNFC(toNFD) = toNFC */
        normalize(PGD_UC_NFD, pgd_buf_sv(&nfc), &x);
        assert_true(pgd_sv_eq(pgd_buf_sv(&x), pgd_buf_sv(&nfd))); /* toNFD(toNFC) = toNFD */
        normalize(PGD_UC_NFC, pgd_buf_sv(&nfc), &x);
        assert_true(pgd_sv_eq(pgd_buf_sv(&x), pgd_buf_sv(&nfc))); /* idempotent */
        pgd_buf_fini(&text);
        pgd_buf_fini(&nfc);
        pgd_buf_fini(&nfd);
        pgd_buf_fini(&x);
    }
}

static void origins_name_the_segment_a_byte_came_from(void **state) {
    (void)state;
    pgd_tok_text in = {.track = true}, out = {.track = true};
    const char *const s = "ab\xC3\xA9z";
    for (uint32_t i = 0; i < 5; i++) {
        pgd_tok_text_put(&in, s + i, 1, i + 10);
    }
    assert_int_equal(pgd_uc_normalize(PGD_UC_NFD, &in, &out), PGD_OK);
    static const uint32_t want[] = {10, 11, 12, 12, 12, 14};
    assert_int_equal(out.buf.n, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(out.origin[i], want[i]);
    }
    pgd_tok_text_fini(&in);
    pgd_tok_text_fini(&out);
}

static void byte_level_characters_map_both_ways(void **state) {
    bool used[0x200] = {false};
    (void)state;
    for (unsigned b = 0; b < 256; b++) {
        const uint32_t cp = pgd_tok_byte_char((uint8_t)b);
        assert_true(cp < 0x200 && !used[cp] && cp > 0x20 && cp != 0x7F && cp != 0xAD);
        used[cp] = true;
        assert_int_equal(pgd_tok_char_byte(cp), (int)b);
    }
    for (uint32_t cp = 0; cp < 0x400; cp++) {
        if (cp >= 0x200 || !used[cp]) assert_int_equal(pgd_tok_char_byte(cp), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_take_their_normal_forms),
        cmocka_unit_test(long_runs_of_marks_are_sorted_stably),
        cmocka_unit_test(normal_forms_agree_with_each_other_on_random_text),
        cmocka_unit_test(origins_name_the_segment_a_byte_came_from),
        cmocka_unit_test(byte_level_characters_map_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
