/* Tests of json_check.c: what is JSON and what is not, after RFC 8259 and in the spirit of the
 * JSONTestSuite (n_: must be refused, y_: must be accepted), and where this program is stricter. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/json.h"
#include "pagoda/mem.h"

/* A literal with its length, since some hold NUL bytes. */
#define T(lit)                                                                                     \
    { (lit), sizeof(lit) - 1 }

static const pgd_sv valid[] = {T("[]"),
                               T("{}"),
                               T(" [ ] "),
                               T("[[]]"),
                               T("null"),
                               T("true"),
                               T("false"),
                               T("42"),
                               T("\"\""),
                               T("-0"),
                               T("-0.0"),
                               T("0e1"),
                               T("0e+1"),
                               T("0E-1"),
                               T("1e22"),
                               T("123.456e78"),
                               T("[1,2 ,\r\n\t3]"),
                               T("{\"a\":1}"),
                               T("{\"\":0}"),
                               T("{\"a\":1,\"a\":2}"),
                               T("{\"a\":[{}]}"),
                               T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
                               T("\"\\u0041\\u00e9\\uFFFF\""),
                               T("\"\\uD83D\\uDE00\""),
                               T("\"\\uD800\\uDC00\""),
                               T("\"\\uDBFF\\uDFFF\""),
                               T("\"\x7F\""),
                               T("\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\""),
                               T("\"\\u0001\""),
                               T("[1e-999]"),
                               T("[123123123123123123123123123123]"),
                               T("\"\xEF\xBB\xBF\""),
                               T("[1.7976931348623157e308]"),
                               T("\"\\\\u0000\""),
                               T("\"\xE2\x80\xA8\""),
                               T("[\"a\",1,true,null,{},[]]"),
                               T("{\"x\":{\"y\":{\"z\":[]}},\"w\":1}")};

static void valid_texts_are_accepted(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        pgd_error err = {0};
        pgd_json_doc *doc = NULL;
        if (pgd_json_validate(valid[i], &pgd_json_limits_request, &err) != PGD_OK)
            fail_msg("%s: %s", valid[i].p, err.msg);
        assert_int_equal(pgd_json_parse(valid[i], &pgd_json_limits_request, &doc, &err), PGD_OK);
        pgd_json_free(&doc);
    }
}

static const pgd_sv invalid[] = {T(""),
                                 T(" "),
                                 T("["),
                                 T("]"),
                                 T("{"),
                                 T("}"),
                                 T("[1"),
                                 T("[1,"),
                                 T("[1,]"),
                                 T("[,1]"),
                                 T("[1,,2]"),
                                 T("[1 2]"),
                                 T("[]]"),
                                 T("[}"),
                                 T("{]"),
                                 T("{\"a\"}"),
                                 T("{\"a\":}"),
                                 T("{\"a\":1,}"),
                                 T("{,}"),
                                 T("{a:1}"),
                                 T("{'a':1}"),
                                 T("{1:1}"),
                                 T("{\"a\" 1}"),
                                 T("{\"a\":1 \"b\":2}"),
                                 T("{\"a\":1}}"),
                                 T("{\"a\":1}1"),
                                 T("1 2"),
                                 T("nul"),
                                 T("nulll"),
                                 T("True"),
                                 T("tru"),
                                 T("falsE"),
                                 T("NaN"),
                                 T("Infinity"),
                                 T("-Infinity"),
                                 T("-"),
                                 T("+1"),
                                 T("--1"),
                                 T("01"),
                                 T("-01"),
                                 T("00"),
                                 T("007"),
                                 T("1."),
                                 T(".5"),
                                 T("-.5"),
                                 T("1.e1"),
                                 T("1e"),
                                 T("1e+"),
                                 T("1E-"),
                                 T("0x10"),
                                 T("1_000"),
                                 T("1a"),
                                 T("1e999"),
                                 T("-1e999"),
                                 T("[1e400]"),
                                 T("\""),
                                 T("\"a"),
                                 T("\"\\"),
                                 T("\"\\\""),
                                 T("\"\\x41\""),
                                 T("\"\\a\""),
                                 T("\"\\u12\""),
                                 T("\"\\u123g\""),
                                 T("\"\\uZZZZ\""),
                                 T("\"\\U0041\""),
                                 T("\"\\u0000\""),
                                 T("\"a\\u0000b\""),
                                 T("\"\\uD800\""),
                                 T("\"\\uDC00\""),
                                 T("\"\\uD800x\""),
                                 T("\"\\uD800\\n\""),
                                 T("\"\\uD800\\u0041\""),
                                 T("\"\\uD800\\uD800\""),
                                 T("\"\\uDC00\\uD800\""),
                                 T("\"\\uD83D\\u\""),
                                 T("\"\n\""),
                                 T("\"\t\""),
                                 T("\"\x01\""),
                                 T("\"\x1F\""),
                                 T("\"\0\""),
                                 T("[\0]"),
                                 T("[]\0"),
                                 T("\0"),
                                 T("\"\xFF\xFE\""),
                                 T("\"\x80\""),
                                 T("\"\xC0\x80\""),
                                 T("\"\xED\xA0\x80\""),
                                 T("\"\xF4\x90\x80\x80\""),
                                 T("\"\xE2\x82\""),
                                 T("\"\xC3"),
                                 T("{\"\xFF\":1}"),
                                 T("\xEF\xBB\xBF{}"),
                                 T("[1]\xFF"),
                                 T("// c\n1"),
                                 T("/**/1"),
                                 T("[1]#"),
                                 T("\f1"),
                                 T("\v1"),
                                 T("\xC2\xA0"
                                   "1"),
                                 T("'a'"),
                                 T("[\"a\",\n4,\n1"),
                                 T("{\"a\":\"b\"]")};

static void invalid_texts_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        pgd_error err = {0};
        pgd_json_doc *doc = NULL;
        if (pgd_json_validate(invalid[i], &pgd_json_limits_request, &err) != PGD_E_FORMAT)
            fail_msg("accepted case %zu: %s", i, invalid[i].p);
        assert_int_equal(pgd_json_parse(invalid[i], &pgd_json_limits_request, &doc, &err),
                         PGD_E_FORMAT);
        assert_null(doc);
        assert_non_null(strstr(err.msg, "line "));
    }
}

/* A prefix of a valid text is never valid, and reading one does not touch a byte past its end (the
 * copy is exactly as long as the prefix, for the address sanitizer to see). */
static void every_proper_prefix_of_an_object_is_refused(void **state) {
    (void)state;
    static const char text[] = "{\"k\\u00e9\":[1,-2.5e+3,true,false,null,"
                               "\"\\uD83D\\uDE00\\n\xE2\x82\xAC\"],\"o\":{\"a\":{}}}";
    assert_int_equal(pgd_json_validate(PGD_SV(text), &pgd_json_limits_request, NULL), PGD_OK);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = pgd_malloc(n);
        memcpy(copy, text, n);
        assert_int_equal(pgd_json_validate((pgd_sv){copy, n}, &pgd_json_limits_request, NULL),
                         PGD_E_FORMAT);
        pgd_free(copy);
    }
}

static void messages_give_line_column_and_reason(void **state) {
    (void)state;
    static const struct {
        pgd_sv text;
        const char *msg;
    } cases[] = {
        {T("{\"a\": 1,\n \"\xC3\xA9\": x}"), "JSON: line 2, column 7: a value is due here"},
        {T("[1"), "JSON: line 1, column 3: the text ends early"},
        {T("[1]]"), "JSON: line 1, column 4: text after the value"},
        {T("[01]"), "JSON: line 1, column 2: leading zero"},
        {T("\"ab\\u0000\""), "JSON: line 1, column 4: \\u0000 is not allowed in a string"},
        {T("{\"a\"=1}"), "JSON: line 1, column 5: ':' is due here"},
        {T("[1;2]"), "JSON: line 1, column 3: ',' or ']' is due here"},
        {T("\"\xE2\x82\xAC\xFF\""), "JSON: line 1, column 3: invalid UTF-8 in a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_error err = {0};
        pgd_json_validate(cases[i].text, &pgd_json_limits_request, &err);
        assert_string_equal(err.msg, cases[i].msg);
    }
}

static char *repeat(const char *s, size_t n, size_t *len) {
    const size_t each = strlen(s);
    char *text = pgd_malloc(n * each);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * each, s, each);
    *len = n * each;
    return text;
}

static void depth_is_bounded_by_the_limit_and_by_a_hard_one(void **state) {
    (void)state;
    size_t n;
    char *open = repeat("[", 5000, &n);
    char text[2 * 1001];
    pgd_json_doc *doc = NULL;
    for (size_t depth = 1; depth <= 1001; depth += depth < 990 ? 43 : 1) {
        memcpy(text, open, depth);
        memset(text + depth, ']', depth);
        const pgd_json_limits exact = {1 << 20, 1 << 20, (uint32_t)depth};
        const pgd_json_limits less = {1 << 20, 1 << 20, (uint32_t)depth - 1};
        const pgd_sv sv = {text, 2 * depth};
        const pgd_status want = depth <= 1000 ? PGD_OK : PGD_E_LIMIT;
        assert_int_equal(pgd_json_parse(sv, &exact, &doc, NULL), want);
        pgd_json_free(&doc);
        assert_int_equal(pgd_json_parse(sv, &less, &doc, NULL), PGD_E_LIMIT);
    }
    const pgd_json_limits none = {1 << 20, 1 << 20, UINT32_MAX};
    assert_int_equal(pgd_json_validate((pgd_sv){open, n}, &none, NULL), PGD_E_LIMIT);
    pgd_free(open);
    /* arrays inside objects inside arrays: the kinds of all levels are remembered */
    char *mixed = repeat("[{\"a\":", 60, &n);
    char *whole = pgd_malloc(n + 1 + 2 * 60);
    memcpy(whole, mixed, n);
    whole[n++] = '1';
    for (int i = 0; i < 60; i++) {
        whole[n++] = '}';
        whole[n++] = ']';
    }
    assert_int_equal(pgd_json_validate((pgd_sv){whole, n}, &pgd_json_limits_request, NULL), PGD_OK);
    whole[n - 1] = '}';
    assert_int_equal(pgd_json_validate((pgd_sv){whole, n}, &pgd_json_limits_request, NULL),
                     PGD_E_FORMAT);
    pgd_free(mixed);
    pgd_free(whole);
}

static void bytes_and_values_are_bounded(void **state) {
    (void)state;
    pgd_json_limits lim = {.max_bytes = 7, .max_nodes = 4, .max_depth = 4};
    assert_int_equal(pgd_json_validate(PGD_SV("[1,2,3]"), &lim, NULL), PGD_OK);
    assert_int_equal(pgd_json_validate(PGD_SV("[1,2,3] "), &lim, NULL), PGD_E_LIMIT);
    lim.max_nodes = 3;
    assert_int_equal(pgd_json_validate(PGD_SV("[1,2,3]"), &lim, NULL), PGD_E_LIMIT);
    assert_int_equal(pgd_json_validate(PGD_SV("[1,2]"), &lim, NULL), PGD_OK);
}

static void numbers_are_bounded_in_length(void **state) {
    (void)state;
    char digits[65];
    memset(digits, '3', sizeof digits);
    pgd_json_doc *doc = NULL;
    for (size_t n = 1; n < sizeof digits; n++) {
        const pgd_status s =
            pgd_json_parse((pgd_sv){digits, n}, &pgd_json_limits_request, &doc, NULL);
        assert_int_equal(s, n <= 63 ? PGD_OK : PGD_E_LIMIT);
        pgd_json_free(&doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_accepted),
        cmocka_unit_test(invalid_texts_are_refused),
        cmocka_unit_test(every_proper_prefix_of_an_object_is_refused),
        cmocka_unit_test(messages_give_line_column_and_reason),
        cmocka_unit_test(depth_is_bounded_by_the_limit_and_by_a_hard_one),
        cmocka_unit_test(bytes_and_values_are_bounded),
        cmocka_unit_test(numbers_are_bounded_in_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
