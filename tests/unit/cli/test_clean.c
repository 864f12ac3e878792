/* No control character reaches the terminal, wherever a text is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/clean.h"
#include "pagoda/rng.h"

static void check(pgd_sv text, const char *want) {
    pgd_buf out = {0};
    cli_clean_text(text, &out);
    assert_string_equal(out.p != NULL ? out.p : "", want);
    pgd_buf_fini(&out);
    for (size_t cut = 0; cut <= text.n; cut++) { /* and in two pieces */
        cli_clean c = {0};
        cli_clean_feed(&c, (pgd_sv){text.p, cut}, &out);
        cli_clean_feed(&c, (pgd_sv){text.p + cut, text.n - cut}, &out);
        cli_clean_end(&c, &out);
        assert_string_equal(out.p != NULL ? out.p : "", want);
        pgd_buf_fini(&out);
    }
    cli_clean c = {0}; /* and byte by byte */
    for (size_t i = 0; i < text.n; i++)
        cli_clean_feed(&c, (pgd_sv){text.p + i, 1}, &out);
    cli_clean_end(&c, &out);
    assert_string_equal(out.p != NULL ? out.p : "", want);
    pgd_buf_fini(&out);
}

static void plain_text_passes(void **state) {
    (void)state;
    check(PGD_SV(""), "");
    check(PGD_SV("a\tb\nc"), "a\tb\nc");
    check(PGD_SV("na\xc3\xafve \xe4\xb8\xad \xf0\x9f\x98\x80"),
          "na\xc3\xafve \xe4\xb8\xad \xf0\x9f\x98\x80");
}

static void controls_become_visible(void **state) {
    (void)state;
    check(PGD_SV("\x1b[31mred"), "\xe2\x90\x9b[31mred");
    check(PGD_SV("\x1b]0;title\x07"), "\xe2\x90\x9b]0;title\xe2\x90\x87");
    check(PGD_SV("a\x08\x7f"), "a\xe2\x90\x88\xe2\x90\xa1");
    check(((pgd_sv){"\0x", 2}), "\xe2\x90\x80x");
    check(PGD_SV("\xc2\x9b"
                 "2J"),
          "\xef\xbf\xbd"
          "2J"); /* C1 CSI */
    check(PGD_SV("\xe2\x80\xae"
                 "evil"),
          "\xef\xbf\xbd"
          "evil"); /* right-to-left override */
    check(PGD_SV("\xe2\x81\xa6x"), "\xef\xbf\xbdx");
}

static void line_ends_are_line_feeds(void **state) {
    (void)state;
    check(PGD_SV("a\r\nb"), "a\nb");
    check(PGD_SV("a\rb"), "a\xe2\x90\x8d"
                          "b");
    check(PGD_SV("a\r\r\n"), "a\xe2\x90\x8d\n");
    check(PGD_SV("a\r"), "a\xe2\x90\x8d");
}

static void bytes_that_are_no_utf8_are_replaced(void **state) {
    (void)state;
    check(PGD_SV("\xff"
                 "a"),
          "\xef\xbf\xbd"
          "a");
    check(PGD_SV("\xe4\xb8"), "\xef\xbf\xbd\xef\xbf\xbd");
    check(PGD_SV("\xe4\xb8x"), "\xef\xbf\xbd\xef\xbf\xbdx");
    check(PGD_SV("\xc0\x9b"), "\xef\xbf\xbd\xef\xbf\xbd"); /* overlong ESC */
    check(PGD_SV("\xf0\x9f\x98\xe4\xb8\xad"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xe4\xb8\xad");
}

static bool is_fit(pgd_sv s) {
    for (size_t at = 0; at < s.n;) {
        uint32_t cp = 0;
        const size_t len = pgd_utf8_decode(s.p + at, s.n - at, &cp);
        if (len == 0) return false;
        if (cp < 0x20 && cp != '\n' && cp != '\t') return false;
        if (cp >= 0x7f && cp < 0xa0) return false;
        at += len;
    }
    return true;
}

static void random_bytes_come_out_fit_and_independent_of_cuts(void **state) {
    (void)state;
    uint64_t rng = 20261124;
    print_message("seed 20261124\n");
    for (int round = 0; round < 2000; round++) {
        char text[48];
        for (size_t i = 0; i < sizeof(text); i++) {
            const uint64_t r = pgd_rng_next(&rng);
            /* many leads, tails and controls */
            text[i] = (char)(r % 3 == 0   ? r >> 8
                             : r % 3 == 1 ? 0x80 | (r >> 8 & 0x7f)
                                          : r >> 8 & 0x3f);
        }
        pgd_buf whole = {0};
        pgd_buf pieces = {0};
        cli_clean c = {0};
        cli_clean_text((pgd_sv){text, sizeof(text)}, &whole);
        for (size_t at = 0; at < sizeof(text);) {
            size_t n = pgd_rng_next(&rng) % 7;
            if (n > sizeof(text) - at) n = sizeof(text) - at;
            cli_clean_feed(&c, (pgd_sv){text + at, n}, &pieces);
            at += n;
        }
        cli_clean_end(&c, &pieces);
        assert_true(is_fit(pgd_buf_sv(&whole)));
        assert_true(pgd_sv_eq(pgd_buf_sv(&whole), pgd_buf_sv(&pieces)));
        pgd_buf_fini(&whole);
        pgd_buf_fini(&pieces);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_passes),
        cmocka_unit_test(controls_become_visible),
        cmocka_unit_test(line_ends_are_line_feeds),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
        cmocka_unit_test(random_bytes_come_out_fit_and_independent_of_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
