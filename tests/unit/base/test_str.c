/* Tests of str.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "pagoda/mem.h"
#include "pagoda/str.h"

static void views_compare_by_bytes(void **state) {
    (void)state;
    assert_true(pgd_sv_eq((pgd_sv){0}, PGD_SV("")));
    assert_true(pgd_sv_eq(pgd_sv_c("ab"), PGD_SV("ab")));
    assert_false(pgd_sv_eq(PGD_SV("ab"), PGD_SV("ac")));
    assert_false(pgd_sv_eq(PGD_SV("ab"), PGD_SV("abc")));
    assert_true(pgd_sv_eq(pgd_sv_c(NULL), (pgd_sv){0}));
    assert_true(pgd_sv_starts(PGD_SV("abc"), PGD_SV("ab")));
    assert_true(pgd_sv_starts(PGD_SV("abc"), (pgd_sv){0}));
    assert_false(pgd_sv_starts(PGD_SV("a"), PGD_SV("ab")));
    assert_true(pgd_sv_ends(PGD_SV("abc"), PGD_SV("bc")));
    assert_false(pgd_sv_ends(PGD_SV("c"), PGD_SV("bc")));
    assert_true(pgd_sv_ends((pgd_sv){0}, (pgd_sv){0}));
}

static void cut_takes_parts_off_the_front(void **state) {
    (void)state;
    static const struct {
        const char *text, *parts[4];
    } cases[] = {{"a,bc,d", {"a", "bc", "d"}},
                 {"a,,", {"a", ""}},
                 {",a", {"", "a"}},
                 {",", {""}},
                 {"abc", {"abc"}},
                 {"", {NULL}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_sv rest = pgd_sv_c(cases[i].text), part;
        size_t n = 0;
        for (; pgd_sv_cut(&rest, PGD_SV(","), &part); n++) {
            assert_non_null(cases[i].parts[n]);
            assert_true(pgd_sv_eq(part, pgd_sv_c(cases[i].parts[n])));
        }
        assert_null(cases[i].parts[n]);
    }
    pgd_sv rest = PGD_SV("a\r\nb"), part;
    assert_true(pgd_sv_cut(&rest, PGD_SV("\r\n"), &part) && pgd_sv_eq(part, PGD_SV("a")));
    assert_true(pgd_sv_eq(rest, PGD_SV("b")));
}

static void find_sees_every_offset_and_the_ends(void **state) {
    (void)state;
    const pgd_sv s = {"ab\0ab", 5};
    assert_int_equal(pgd_sv_find(s, PGD_SV("ab"), 0), 0);
    assert_int_equal(pgd_sv_find(s, PGD_SV("ab"), 1), 3);
    assert_true(pgd_sv_find(s, PGD_SV("ab"), 4) == SIZE_MAX);
    assert_int_equal(pgd_sv_find(s, (pgd_sv){"\0", 1}, 0), 2);
    assert_int_equal(pgd_sv_find(s, (pgd_sv){0}, 5), 5);
    assert_true(pgd_sv_find(s, (pgd_sv){0}, 6) == SIZE_MAX);
    assert_true(pgd_sv_find((pgd_sv){0}, PGD_SV("a"), 0) == SIZE_MAX);
}

static void a_buffer_grows_and_stays_terminated(void **state) {
    (void)state;
    pgd_buf b = {0};
    char want[5001];
    for (size_t i = 0; i < 5000; i++) {
        want[i] = (char)('a' + i % 26);
        pgd_buf_putc(&b, want[i]);
        assert_int_equal(b.p[b.n], 0);
    }
    want[5000] = '\0';
    assert_string_equal(b.p, want);
    pgd_buf_drop_front(&b, 26);
    assert_string_equal(b.p, want + 26);
    pgd_buf_drop_front(&b, b.n);
    assert_string_equal(b.p, "");
    pgd_buf_clear(&b);
    assert_int_equal(b.n, 0);
    pgd_buf_fini(&b);
    assert_null(b.p);
    pgd_buf_drop_front(&b, 0);
    pgd_buf_put(&b, NULL, 0);
    assert_string_equal(b.p, "");
    pgd_buf_fini(&b);
}

static void the_put_functions_write_what_they_say(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_buf_put_u64(&b, 0);
    pgd_buf_putc(&b, ' ');
    pgd_buf_put_u64(&b, UINT64_MAX);
    pgd_buf_putc(&b, ' ');
    pgd_buf_put_i64(&b, INT64_MIN);
    pgd_buf_putc(&b, ' ');
    pgd_buf_put_i64(&b, -7);
    pgd_buf_putf(&b, " %s=%0200d|", "x", 5);
    pgd_buf_puts(&b, "end");
    pgd_buf_putsv(&b, PGD_SV("!"));
    static const char want[] = "0 18446744073709551615 -9223372036854775808 -7 x=";
    assert_memory_equal(b.p, want, sizeof want - 1);
    assert_int_equal(b.n, sizeof want - 1 + 200 + 5);
    assert_true(pgd_sv_ends(pgd_buf_sv(&b), PGD_SV("0005|end!")));
    pgd_buf_fini(&b);
}

static void a_failed_append_is_remembered_and_changes_nothing(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_buf_puts(&b, "kept");
    (void)pgd_mem_fail_after(0);
    pgd_buf_putf(&b, "%0500d", 1);
    assert_true(pgd_mem_fail_after(-1));
    assert_true(b.failed);
    pgd_buf_puts(&b, "lost");
    assert_string_equal(b.p, "kept");
    assert_int_equal(pgd_buf_reserve(&b, 1), PGD_E_NOMEM);
    pgd_buf_clear(&b);
    pgd_buf_puts(&b, "again");
    assert_string_equal(b.p, "again");
    assert_int_equal(pgd_buf_reserve(&b, SIZE_MAX), PGD_E_NOMEM);
    pgd_buf_fini(&b);
}

static void integers_parse_whole_or_not_at_all(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "1e3",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999999"};
    int64_t i = 3;
    uint64_t u = 3;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        assert_false(pgd_parse_i64(pgd_sv_c(bad[k]), &i));
    assert_int_equal(i, 3);
    assert_true(pgd_parse_i64(PGD_SV("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(pgd_parse_i64(PGD_SV("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_true(pgd_parse_i64(PGD_SV("-0"), &i));
    assert_int_equal(i, 0);
    assert_true(pgd_parse_i64(PGD_SV("0012"), &i));
    assert_int_equal(i, 12);
    assert_false(pgd_parse_u64(PGD_SV("-1"), &u));
    assert_false(pgd_parse_u64(PGD_SV("18446744073709551616"), &u));
    assert_true(pgd_parse_u64(PGD_SV("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_true(pgd_parse_u64((pgd_sv){"12345", 2}, &u)); /* the view's end counts, not a NUL */
    assert_int_equal(u, 12);
}

static void decimals_follow_their_grammar_and_stay_finite(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},
                {"-1.5", -1.5},
                {"+2", 2},
                {".5", .5},
                {"5.", 5},
                {"1e3", 1000},
                {"1E-2", .01},
                {"1e-999", 0},
                {"0.1", 0.1},
                {"1e308", 1e308},
                {"4.9e-324", 4.9e-324}};
    static const char *const bad[] = {"",     ".",  "-",  "e5",  "1e",  "1e+",   "inf",    "nan",
                                      "0x10", " 1", "1 ", "1,5", "1_0", "1e999", "-1e999", "1.2.3"};
    double v = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(pgd_parse_f64(pgd_sv_c(good[i].text), &v));
        assert_true(v == good[i].value);
    }
    v = 42;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(pgd_parse_f64(pgd_sv_c(bad[i]), &v));
    assert_true(v == 42);
    char digits[600];
    memset(digits, '1', sizeof digits);
    assert_false(pgd_parse_f64((pgd_sv){digits, sizeof digits}, &v)); /* longer than any number */
    assert_true(pgd_parse_f64((pgd_sv){"1.25xyz", 4}, &v));
    assert_true(v == 1.25);
}

static void wrapped_text_keeps_its_words_and_its_width(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_buf_put_wrapped(&b, "one two  three extraordinarily four", 2, 11);
    assert_string_equal(b.p, "  one two\n  three\n  extraordinarily\n  four\n");
    pgd_buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_compare_by_bytes),
        cmocka_unit_test(find_sees_every_offset_and_the_ends),
        cmocka_unit_test(cut_takes_parts_off_the_front),
        cmocka_unit_test(a_buffer_grows_and_stays_terminated),
        cmocka_unit_test(the_put_functions_write_what_they_say),
        cmocka_unit_test(a_failed_append_is_remembered_and_changes_nothing),
        cmocka_unit_test(integers_parse_whole_or_not_at_all),
        cmocka_unit_test(decimals_follow_their_grammar_and_stay_finite),
        cmocka_unit_test(wrapped_text_keeps_its_words_and_its_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
