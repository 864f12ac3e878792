/* Columns and cursor stops. Expected widths are those of the Unicode East Asian Width property and
 * general category of each character, looked up by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/width.h"

static void width_of_characters_follows_unicode(void **state) {
    (void)state;
    static const struct {
        uint32_t cp;
        unsigned width;
    } cases[] = {{'a', 1},     {'~', 1},     {0x1b, 0},   {0x7f, 0},    {0x9b, 0},   {0xe9, 1},
                 {0xad, 1},    {0x300, 0},   {0x36f, 0},  {0x370, 1},   {0x200d, 0}, {0xfe0f, 0},
                 {0x1100, 2},  {0x115f, 2},  {0x3042, 2}, {0x4e2d, 2},  {0xac00, 2}, {0xd7a3, 2},
                 {0xff01, 2},  {0xff61, 1},  {0x20ac, 1}, {0x1f600, 2}, {0x2603, 1}, {0x2b50, 2},
                 {0x20000, 2}, {0x10ffff, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (cli_width(cases[i].cp) != cases[i].width)
            fail_msg("U+%04X: %u, want %u", (unsigned)cases[i].cp, cli_width(cases[i].cp),
                     cases[i].width);
}

static void tables_are_sorted_and_disjoint(void **state) {
    (void)state;
    for (size_t i = 1; i < cli_width_none_n; i++)
        assert_true(cli_width_none[i - 1].last < cli_width_none[i].first);
    for (size_t i = 1; i < cli_width_two_n; i++)
        assert_true(cli_width_two[i - 1].last < cli_width_two[i].first);
    for (size_t i = 0; i < cli_width_none_n; i++)
        assert_true(cli_width_none[i].first <= cli_width_none[i].last);
}

static void text_is_as_wide_as_its_characters(void **state) {
    (void)state;
    assert_int_equal(cli_width_text(PGD_SV("")), 0);
    assert_int_equal(cli_width_text(PGD_SV("a\xc3\xa9")), 2);
    assert_int_equal(cli_width_text(PGD_SV("e\xcc\x81")), 1);
    assert_int_equal(cli_width_text(PGD_SV("\xe4\xb8\xad\xe6\x96\x87!")), 5);
}

/* From both ends over the same stops. */
static void check_stops(pgd_sv text, const size_t *stops, size_t n) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at = cli_next_stop(text, at);
        assert_int_equal(at, stops[i]);
    }
    assert_int_equal(cli_next_stop(text, at), at);
    for (size_t i = n; i > 0; i--) {
        assert_int_equal(at, stops[i - 1]);
        at = cli_prev_stop(text, at);
    }
    assert_int_equal(at, 0);
    assert_int_equal(cli_prev_stop(text, 0), 0);
}

static void a_cursor_stops_behind_whole_characters(void **state) {
    (void)state;
    check_stops(PGD_SV("a\xc3\xa9z"), (const size_t[]){1, 3, 4}, 3);
    check_stops(PGD_SV("e\xcc\x81\xcc\xa7x"), (const size_t[]){5, 6}, 2);
    /* woman, joiner, laptop; then an emoji with a variation selector */
    check_stops(PGD_SV("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb!"), (const size_t[]){11, 12},
                2);
    check_stops(PGD_SV("\xe2\x9d\xa4\xef\xb8\x8fy"), (const size_t[]){6, 7}, 2);
    check_stops(PGD_SV("a\nb"), (const size_t[]){1, 2, 3}, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(width_of_characters_follows_unicode),
        cmocka_unit_test(tables_are_sorted_and_disjoint),
        cmocka_unit_test(text_is_as_wide_as_its_characters),
        cmocka_unit_test(a_cursor_stops_behind_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
