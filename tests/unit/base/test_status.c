/* Tests of status.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

static void every_code_has_a_name_and_an_http_status(void **state) {
    (void)state;
    for (int s = 0; s < PGD_STATUS_N; s++) {
        assert_string_not_equal(pgd_status_name((pgd_status)s), "unknown");
        assert_in_range(pgd_status_http((pgd_status)s), 200, 599);
        for (int t = 0; t < s; t++)
            assert_string_not_equal(pgd_status_name((pgd_status)s), pgd_status_name((pgd_status)t));
    }
    assert_int_equal(pgd_status_http(PGD_OK), 200);
    assert_int_equal(pgd_status_http(PGD_E_INVALID), 400);
    assert_int_equal(pgd_status_http(PGD_E_NOT_FOUND), 404);
    assert_int_equal(pgd_status_http(PGD_E_BUSY), 503);
}

static void a_code_outside_the_table_is_unknown_and_500(void **state) {
    (void)state;
    assert_string_equal(pgd_status_name((pgd_status)99), "unknown");
    assert_string_equal(pgd_status_name((pgd_status)-1), "unknown");
    assert_int_equal(pgd_status_http((pgd_status)99), 500);
}

static void wrap_prepends_the_place_and_keeps_the_code(void **state) {
    (void)state;
    pgd_error err = {0};
    assert_int_equal(pgd_fail(&err, PGD_E_FORMAT, "tensor '%s': end %d > file %d", "w", 9, 8),
                     PGD_E_FORMAT);
    assert_int_equal(pgd_wrap(&err, "loading %s", "m/a.bin"), PGD_E_FORMAT);
    assert_string_equal(err.msg, "loading m/a.bin: tensor 'w': end 9 > file 8");
    assert_int_equal(err.code, PGD_E_FORMAT);
}

static void a_missing_error_is_allowed(void **state) {
    (void)state;
    assert_int_equal(pgd_fail(NULL, PGD_E_IO, "x"), PGD_E_IO);
    assert_int_equal(pgd_wrap(NULL, "x"), PGD_E_INTERNAL);
}

static void the_error_itself_may_be_an_argument(void **state) {
    (void)state;
    pgd_error err = {0};
    pgd_fail(&err, PGD_E_IO, "disk");
    pgd_fail(&err, PGD_E_FORMAT, "late: %s", err.msg);
    assert_string_equal(err.msg, "late: disk");
    pgd_wrap(&err, "%s", err.msg);
    assert_string_equal(err.msg, "late: disk: late: disk");
}

/* For every offset of a three-byte character against the end of the buffer. */
static void long_messages_are_cut_at_a_code_point(void **state) {
    (void)state;
    char text[PGD_ERROR_MSG_BYTES + 8];
    for (size_t lead = PGD_ERROR_MSG_BYTES - 6; lead < PGD_ERROR_MSG_BYTES; lead++) {
        memset(text, 'a', lead);
        memcpy(text + lead, "\xE2\x82\xAC", 4);
        pgd_error err = {0};
        pgd_fail(&err, PGD_E_IO, "%s", text);
        const size_t n = strlen(err.msg);
        assert_true(n < PGD_ERROR_MSG_BYTES);
        assert_int_equal(pgd_utf8_valid_prefix(err.msg, n), n);
        pgd_wrap(&err, "b");
        const size_t m = strlen(err.msg);
        assert_true(m < PGD_ERROR_MSG_BYTES);
        assert_int_equal(pgd_utf8_valid_prefix(err.msg, m), m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_an_http_status),
        cmocka_unit_test(a_code_outside_the_table_is_unknown_and_500),
        cmocka_unit_test(wrap_prepends_the_place_and_keeps_the_code),
        cmocka_unit_test(a_missing_error_is_allowed),
        cmocka_unit_test(the_error_itself_may_be_an_argument),
        cmocka_unit_test(long_messages_are_cut_at_a_code_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
