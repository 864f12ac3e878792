/* Tests of utf8.c: exhaustive over code points and over short byte strings, against a plain
 * statement of RFC 3629 (table 3-7 of the Unicode standard). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "pagoda/str.h"

static int between(unsigned v, unsigned lo, unsigned hi) {
    return v >= lo && v <= hi;
}

/* Table 3-7 row by row: the length of the well-formed sequence at s, else 0. */
static size_t reference_length(const unsigned char *s, size_t n) {
    static const unsigned char rows[][8] = {
        {0xC2, 0xDF, 0x80, 0xBF, 0, 0, 0, 0},
        {0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF, 0, 0},
        {0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF, 0, 0},
        {0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF, 0, 0},
        {0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF, 0, 0},
        {0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80, 0xBF},
    };
    if (n == 0) return 0;
    if (s[0] < 0x80) return 1;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        if (!between(s[0], rows[r][0], rows[r][1])) continue;
        const size_t len = rows[r][6] ? 4 : rows[r][4] ? 3 : 2;
        if (n < len) return 0;
        for (size_t k = 1; k < len; k++)
            if (!between(s[k], rows[r][2 * k], rows[r][2 * k + 1])) return 0;
        return len;
    }
    return 0;
}

static void every_scalar_value_round_trips(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp < 0x110400; cp++) {
        char text[4];
        uint32_t back = 0;
        const size_t n = pgd_utf8_encode(cp, text);
        if (cp > 0x10FFFF || between(cp, 0xD800, 0xDFFF)) {
            assert_int_equal(n, 0);
            continue;
        }
        if (n == 0 || reference_length((const unsigned char *)text, n) != n ||
            pgd_utf8_decode(text, n, &back) != n || back != cp ||
            pgd_utf8_valid_prefix(text, n) != n || pgd_utf8_count(text, n) != 1)
            fail_msg("U+%04X", cp);
        for (size_t cut = 1; cut < n; cut++)
            if (pgd_utf8_decode(text, cut, &back) != 0 ||
                pgd_utf8_incomplete_tail(text, cut) != cut)
                fail_msg("U+%04X cut at %zu", cp, cut);
        assert_int_equal(pgd_utf8_incomplete_tail(text, n), 0);
    }
}

static void decoding_agrees_with_the_standard_on_all_short_byte_strings(void **state) {
    (void)state;
    for (uint32_t v = 0; v < 1u << 24; v++) {
        /* three free bytes and a fourth that is a legal or an illegal tail */
        const unsigned char s[4] = {(unsigned char)v, (unsigned char)(v >> 8),
                                    (unsigned char)(v >> 16), v % 3 ? 0x80 : 0x41};
        uint32_t cp;
        if (pgd_utf8_decode((const char *)s, 4, &cp) != reference_length(s, 4))
            fail_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
    }
}

/* Every bad byte at every offset around the eight-byte stride. */
static void the_valid_prefix_ends_before_the_first_bad_byte(void **state) {
    (void)state;
    char text[40];
    for (size_t at = 0; at < sizeof text; at++) {
        for (unsigned bad = 0x80; bad < 0x100; bad++) {
            memset(text, 'a', sizeof text);
            text[at] = (char)bad;
            assert_int_equal(pgd_utf8_valid_prefix(text, sizeof text), at);
        }
    }
    memcpy(text, "0123456\xE2\x82\xAC", 10);
    assert_int_equal(pgd_utf8_valid_prefix(text, 10), 10);
    assert_int_equal(pgd_utf8_valid_prefix(text, 9), 7);
    assert_int_equal(pgd_utf8_valid_prefix(NULL, 0), 0);
}

/* By definition: the tail is incomplete when some bytes after it make it whole. */
static void an_incomplete_tail_is_one_that_more_bytes_can_complete(void **state) {
    (void)state;
    static const unsigned char fills[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF};
    for (uint32_t v = 0; v < 1u << 16; v++) {
        unsigned char s[8] = {'a', (unsigned char)v, (unsigned char)(v >> 8)};
        size_t want = 0;
        for (size_t back = 1; back <= 2; back++) {
            if (reference_length(s + 3 - back, back)) continue;
            for (size_t f = 0; f < sizeof fills; f++) {
                s[3] = fills[f];
                s[4] = s[5] = 0x80;
                const size_t len = reference_length(s + 3 - back, 6);
                if (len > back) want = back;
            }
        }
        if (pgd_utf8_incomplete_tail((const char *)s, 3) != want)
            fail_msg("%02x %02x: got %zu, wanted %zu", s[1], s[2],
                     pgd_utf8_incomplete_tail((const char *)s, 3), want);
    }
    assert_int_equal(pgd_utf8_incomplete_tail("", 0), 0);
    assert_int_equal(pgd_utf8_incomplete_tail("\xF0\x9F\x98", 3), 3);
    assert_int_equal(pgd_utf8_incomplete_tail("\x80\x80\x80\x80", 4), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_value_round_trips),
        cmocka_unit_test(decoding_agrees_with_the_standard_on_all_short_byte_strings),
        cmocka_unit_test(the_valid_prefix_ends_before_the_first_bad_byte),
        cmocka_unit_test(an_incomplete_tail_is_one_that_more_bytes_can_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
