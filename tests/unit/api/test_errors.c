/* The error object: four keys always, bounded texts, valid UTF-8 whatever is quoted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/errors.h"
#include "pagoda/api.h"
#include "support.h"

static pgd_json_doc *written(const api_error *e) {
    pgd_buf b = {0};
    api_error_write(e, &b);
    pgd_json_doc *const doc = test_json(b.p, b.n);
    pgd_buf_fini(&b);
    return doc;
}

static void every_error_has_all_four_keys(void **state) {
    (void)state;
    api_error e = {0};
    (void)api_fail(&e, PGD_E_INVALID, NULL, NULL, "no");
    pgd_json_doc *doc = written(&e);
    const pgd_json *const root = pgd_json_root(doc);
    test_str_is(root, "error.message", "no");
    test_str_is(root, "error.type", "invalid_request_error");
    assert_true(pgd_json_is_null(test_at(root, "error.param")));
    assert_true(pgd_json_is_null(test_at(root, "error.code")));
    assert_int_equal(pgd_json_count(test_at(root, "error")), 4);
    pgd_json_free(&doc);
}

static void server_errors_have_type_server_error(void **state) {
    (void)state;
    api_error e = {0};
    assert_int_equal(api_fail_nomem(&e), PGD_E_NOMEM);
    pgd_json_doc *doc = written(&e);
    test_str_is(pgd_json_root(doc), "error.type", "server_error");
    test_str_is(pgd_json_root(doc), "error.code", "server_overloaded");
    assert_int_equal(e.retry_after_ms, 1000);
    pgd_json_free(&doc);
}

static void context_errors_carry_their_numbers(void **state) {
    (void)state;
    api_error e = {.n_prompt_tokens = 9000, .n_ctx = 8192};
    (void)api_fail(&e, PGD_E_LIMIT, "context_length_exceeded", "messages", "long");
    pgd_json_doc *doc = written(&e);
    test_int_is(pgd_json_root(doc), "error.n_prompt_tokens", 9000);
    test_int_is(pgd_json_root(doc), "error.n_ctx", 8192);
    pgd_json_free(&doc);
}

static void quotes_are_cut_at_a_code_point(void **state) {
    (void)state;
    char quoted[API_QUOTE_BYTES], text[130];
    text[0] = 'x';
    for (size_t i = 1; i < sizeof text; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3);
    api_quote(quoted, (pgd_sv){text, sizeof text});
    const size_t n = strlen(quoted);
    assert_true(n <= 67);
    assert_int_equal(pgd_utf8_valid_prefix(quoted, n), n);
    assert_string_equal(quoted + n - 3, "...");
    assert_string_equal(api_quote(quoted, PGD_SV("abc")), "abc");
    assert_string_equal(api_quote(quoted, (pgd_sv){NULL, 0}), "");
}

static void long_messages_and_params_are_cut_to_valid_text(void **state) {
    (void)state;
    char text[2100];
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3);
    text[sizeof text - 1] = '\0';
    text[2097] = '\0';
    api_error e = {0};
    (void)api_fail(&e, PGD_E_INVALID, "c", text, "a%s", text);
    assert_true(strlen(e.msg) < API_MSG_BYTES);
    pgd_json_doc *doc = written(&e);
    pgd_json_free(&doc);
}

static void the_transport_can_write_bodies_of_its_own(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_api_error_body(&b, "Invalid URL (POST /x)", "invalid_request_error", NULL, "unknown_url");
    assert_string_equal(b.p, "{\"error\":{\"message\":\"Invalid URL (POST /x)\",\"type\":"
                             "\"invalid_request_error\",\"param\":null,\"code\":\"unknown_url\"}}");
    pgd_buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_all_four_keys),
        cmocka_unit_test(server_errors_have_type_server_error),
        cmocka_unit_test(context_errors_carry_their_numbers),
        cmocka_unit_test(quotes_are_cut_at_a_code_point),
        cmocka_unit_test(long_messages_and_params_are_cut_to_valid_text),
        cmocka_unit_test(the_transport_can_write_bodies_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
