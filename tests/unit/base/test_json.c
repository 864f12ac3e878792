/* Tests of json.c: the tree and its getters. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "pagoda/json.h"
#include "pagoda/mem.h"

static pgd_json_doc *parse(const char *text) {
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    if (pgd_json_parse(pgd_sv_c(text), &pgd_json_limits_request, &doc, &err) != PGD_OK)
        fail_msg("%s: %s", text, err.msg);
    return doc;
}

static void types_and_names_follow_the_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        pgd_json_type type;
        const char *name;
    } cases[] = {{"null", PGD_JSON_NULL, "null"},
                 {"true", PGD_JSON_BOOL, "a boolean"},
                 {"1", PGD_JSON_NUMBER, "an integer"},
                 {"1.0", PGD_JSON_NUMBER, "a decimal"},
                 {"-1e2", PGD_JSON_NUMBER, "a decimal"},
                 {"\"\"", PGD_JSON_STRING, "a string"},
                 {"[]", PGD_JSON_ARRAY, "an array"},
                 {"{}", PGD_JSON_OBJECT, "an object"},
                 {"-9999999999999999999999", PGD_JSON_NUMBER, "an integer"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_json_doc *doc = parse(cases[i].text);
        assert_int_equal(pgd_json_typeof(pgd_json_root(doc)), cases[i].type);
        assert_string_equal(pgd_json_type_name(pgd_json_root(doc)), cases[i].name);
        pgd_json_free(&doc);
    }
    assert_string_equal(pgd_json_type_name(NULL), "null");
}

static void lookup_is_case_exact_and_the_last_duplicate_wins(void **state) {
    (void)state;
    pgd_json_doc *doc = parse("{\"a\":1,\"A\":2,\"a\":3,\"\":4}");
    const pgd_json *root = pgd_json_root(doc);
    int64_t v = 0;
    assert_true(pgd_json_as_i64(pgd_json_get(root, "a"), &v));
    assert_int_equal(v, 3);
    assert_true(pgd_json_as_i64(pgd_json_get(root, "A"), &v));
    assert_int_equal(v, 2);
    assert_true(pgd_json_as_i64(pgd_json_get(root, ""), &v));
    assert_int_equal(v, 4);
    assert_null(pgd_json_get(root, "b"));
    assert_null(pgd_json_get(NULL, "a"));
    assert_null(pgd_json_get(pgd_json_get(root, "a"), "a"));
    assert_int_equal(pgd_json_count(root), 4);
    pgd_json_free(&doc);
    assert_null(doc);
    pgd_json_free(&doc);
}

static void children_come_in_order_with_their_keys(void **state) {
    (void)state;
    pgd_json_doc *doc = parse("{\"x\":[10,20],\"y\":\"s\"}");
    const pgd_json *x = pgd_json_first(pgd_json_root(doc));
    assert_string_equal(pgd_json_key(x), "x");
    const pgd_json *item = pgd_json_first(x);
    assert_null(pgd_json_key(item));
    int64_t v = 0;
    assert_true(pgd_json_as_i64(pgd_json_next(item), &v));
    assert_int_equal(v, 20);
    assert_null(pgd_json_next(pgd_json_next(item)));
    const pgd_json *y = pgd_json_next(x);
    assert_string_equal(pgd_json_key(y), "y");
    assert_null(pgd_json_next(y));
    assert_null(pgd_json_first(y));
    assert_null(pgd_json_first(NULL));
    assert_null(pgd_json_next(NULL));
    assert_null(pgd_json_key(NULL));
    assert_int_equal(pgd_json_count(NULL), 0);
    pgd_json_free(&doc);
}

static void integers_keep_their_digits_within_64_bits(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int fits;
        int64_t value;
    } cases[] = {{"0", 1, 0},
                 {"-0", 1, 0},
                 {"9007199254740993", 1, 9007199254740993},
                 {"-9007199254740993", 1, -9007199254740993},
                 {"9223372036854775807", 1, INT64_MAX},
                 {"-9223372036854775808", 1, INT64_MIN},
                 {"9223372036854775808", 0, 0},
                 {"-9223372036854775809", 0, 0},
                 {"99999999999999999999999999999999999999", 0, 0},
                 {"16.0", 1, 16},
                 {"1e3", 1, 1000},
                 {"-2.50e1", 1, -25},
                 {"16.5", 0, 0},
                 {"1e300", 0, 0},
                 {"-1e19", 0, 0},
                 {"9007199254740993.0", 1, 9007199254740992}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_json_doc *doc = parse(cases[i].text);
        int64_t v = 0;
        if (pgd_json_as_i64(pgd_json_root(doc), &v) != (cases[i].fits != 0) || v != cases[i].value)
            fail_msg("%s gave %lld", cases[i].text, (long long)v);
        pgd_json_free(&doc);
    }
}

static void unsigned_seeds_use_all_64_bits(void **state) {
    (void)state;
    pgd_json_doc *doc = parse("[18446744073709551615,7,-1,18446744073709551616,\"7\",7.0]");
    const pgd_json *v = pgd_json_first(pgd_json_root(doc));
    uint64_t u = 0;
    pgd_sv digits;
    assert_true(pgd_json_as_u64(v, &u));
    assert_true(u == UINT64_MAX);
    assert_true(pgd_json_big_digits(v, &digits));
    assert_true(pgd_sv_eq(digits, PGD_SV("18446744073709551615")));
    v = pgd_json_next(v);
    assert_true(pgd_json_as_u64(v, &u));
    assert_int_equal(u, 7);
    assert_false(pgd_json_big_digits(v, &digits));
    v = pgd_json_next(v);
    assert_false(pgd_json_as_u64(v, &u));
    v = pgd_json_next(v);
    assert_false(pgd_json_as_u64(v, &u));
    v = pgd_json_next(v);
    assert_false(pgd_json_as_u64(v, &u));
    assert_false(pgd_json_big_digits(v, &digits));
    assert_true(pgd_json_as_u64(pgd_json_next(v), &u));
    assert_int_equal(u, 7);
    assert_false(pgd_json_as_u64(NULL, &u));
    pgd_json_free(&doc);
}

/* Digits inside keys and strings must not be taken for numbers when text and tree are walked. */
static void numbers_are_matched_to_nodes_past_strings_with_digits(void **state) {
    (void)state;
    pgd_json_doc *doc = parse("{\"1\\\"2\":\"3\\\\\",\"-4\":[9007199254740993,\"5\\u00366\",1.0,8],"
                              "\"e\":{\"7\":-9007199254740995}}");
    const pgd_json *root = pgd_json_root(doc);
    int64_t v = 0;
    const pgd_json *item = pgd_json_first(pgd_json_get(root, "-4"));
    assert_true(pgd_json_as_i64(item, &v));
    assert_true(v == 9007199254740993);
    item = pgd_json_next(pgd_json_next(item));
    assert_false(pgd_json_is_integer_literal(item));
    assert_true(pgd_json_is_integer_literal(pgd_json_next(item)));
    assert_true(pgd_json_as_i64(pgd_json_get(pgd_json_get(root, "e"), "7"), &v));
    assert_true(v == -9007199254740995);
    pgd_json_free(&doc);
}

static void strings_are_unescaped_and_absent_values_refused(void **state) {
    (void)state;
    pgd_json_doc *doc = parse("[\"a\\u00e9\\uD83D\\uDE00\\n\\/\",true,null,1.5]");
    const pgd_json *v = pgd_json_first(pgd_json_root(doc));
    pgd_sv s = {0};
    bool b = false;
    double d = 0;
    int64_t i = 0;
    assert_true(pgd_json_as_str(v, &s));
    assert_true(pgd_sv_eq(s, PGD_SV("a\xC3\xA9\xF0\x9F\x98\x80\n/")));
    assert_false(pgd_json_as_bool(v, &b));
    assert_false(pgd_json_as_f64(v, &d));
    assert_false(pgd_json_is_null(v));
    v = pgd_json_next(v);
    assert_true(pgd_json_as_bool(v, &b));
    assert_true(b);
    assert_false(pgd_json_as_str(v, &s));
    assert_false(pgd_json_as_i64(v, &i));
    v = pgd_json_next(v);
    assert_true(pgd_json_is_null(v));
    v = pgd_json_next(v);
    assert_true(pgd_json_as_f64(v, &d));
    assert_true(d == 1.5);
    assert_true(pgd_json_is_null(NULL));
    assert_false(pgd_json_as_bool(NULL, &b));
    assert_false(pgd_json_as_i64(NULL, &i));
    assert_false(pgd_json_as_f64(NULL, &d));
    assert_false(pgd_json_as_str(NULL, &s));
    assert_false(pgd_json_is_integer_literal(NULL));
    pgd_json_free(&doc);
}

/* Text that ends in a number right at the end of its memory, without a NUL. */
static void text_need_not_be_terminated(void **state) {
    (void)state;
    char *text = pgd_malloc(16);
    memcpy(text, "9007199254740993", 16);
    pgd_json_doc *doc = NULL;
    int64_t v = 0;
    assert_int_equal(pgd_json_parse((pgd_sv){text, 16}, &pgd_json_limits_file, &doc, NULL), PGD_OK);
    pgd_free(text); /* the tree owns what it needs */
    assert_true(pgd_json_as_i64(pgd_json_root(doc), &v));
    assert_true(v == 9007199254740993);
    pgd_json_free(&doc);
}

static void parsing_survives_the_failure_of_each_allocation(void **state) {
    (void)state;
    static const char text[] = "{\"a\":[1,2.5,\"text\",{\"b\":null}],\"c\":9007199254740993,"
                               "\"d\":-18446744073709551615,\"e\":[[],{},\"\\u20ac\"]}";
    int64_t n = 0;
    for (bool failed = true; failed; n++) {
        pgd_json_doc *doc = NULL;
        pgd_error err = {0};
        (void)pgd_mem_fail_after(n);
        const pgd_status s = pgd_json_parse(PGD_SV(text), &pgd_json_limits_request, &doc, &err);
        failed = pgd_mem_fail_after(-1);
        assert_int_equal(s, failed ? PGD_E_NOMEM : PGD_OK);
        if (failed) assert_null(doc);
        pgd_json_free(&doc);
    }
    assert_in_range(n, 20, 1000); /* that many allocations were tried in turn */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_and_names_follow_the_text),
        cmocka_unit_test(lookup_is_case_exact_and_the_last_duplicate_wins),
        cmocka_unit_test(children_come_in_order_with_their_keys),
        cmocka_unit_test(integers_keep_their_digits_within_64_bits),
        cmocka_unit_test(unsigned_seeds_use_all_64_bits),
        cmocka_unit_test(numbers_are_matched_to_nodes_past_strings_with_digits),
        cmocka_unit_test(strings_are_unescaped_and_absent_values_refused),
        cmocka_unit_test(text_need_not_be_terminated),
        cmocka_unit_test(parsing_survives_the_failure_of_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
