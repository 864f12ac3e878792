/* Tests of jsonw.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "pagoda/jsonw.h"
#include "pagoda/mem.h"

static void commas_and_nesting_come_out_right(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "a");
    pgd_jsonw_arr(&w);
    pgd_jsonw_i64(&w, -1);
    pgd_jsonw_u64(&w, UINT64_MAX);
    pgd_jsonw_obj(&w);
    pgd_jsonw_end_obj(&w);
    pgd_jsonw_bool(&w, true);
    pgd_jsonw_null(&w);
    pgd_jsonw_end_arr(&w);
    pgd_jsonw_key(&w, "b\"");
    pgd_jsonw_cstr(&w, NULL);
    pgd_jsonw_key(&w, "c");
    pgd_jsonw_raw(&w, PGD_SV("[1]"));
    pgd_jsonw_key(&w, "d");
    pgd_jsonw_str(&w, PGD_SV("x"));
    pgd_jsonw_end_obj(&w);
    assert_string_equal(b.p,
                        "{\"a\":[-1,18446744073709551615,{},true,null],\"b\\\"\":null,\"c\":[1],"
                        "\"d\":\"x\"}");
    pgd_buf_fini(&b);
}

static void numbers_are_short_and_stay_numbers(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    pgd_jsonw_arr(&w);
    pgd_jsonw_f64(&w, 0.1);
    pgd_jsonw_f64(&w, 2);
    pgd_jsonw_f64(&w, (double)INFINITY);
    pgd_jsonw_f64(&w, (double)NAN);
    pgd_jsonw_f32(&w, 0.1f);
    pgd_jsonw_f32(&w, -INFINITY);
    pgd_jsonw_f64(&w, 1e-7);
    pgd_jsonw_end_arr(&w);
    assert_string_equal(b.p, "[0.1,2.0,null,null,0.1,null,1e-07]");
    assert_int_equal(pgd_json_validate(pgd_buf_sv(&b), &pgd_json_limits_request, NULL), PGD_OK);
    pgd_buf_fini(&b);
}

/* Each code point up to U+07FF alone, escaped, must read back as itself. */
static void every_character_survives_escaping(void **state) {
    (void)state;
    for (uint32_t cp = 1; cp < 0x800; cp++) {
        char text[4];
        const size_t n = pgd_utf8_encode(cp, text);
        pgd_buf b = {0};
        pgd_jsonw w;
        pgd_jsonw_init(&w, &b);
        pgd_jsonw_str(&w, (pgd_sv){text, n});
        pgd_json_doc *doc = NULL;
        pgd_sv back = {0};
        assert_int_equal(pgd_json_parse(pgd_buf_sv(&b), &pgd_json_limits_request, &doc, NULL),
                         PGD_OK);
        assert_true(pgd_json_as_str(pgd_json_root(doc), &back));
        assert_true(pgd_sv_eq(back, (pgd_sv){text, n}));
        pgd_json_free(&doc);
        pgd_buf_fini(&b);
    }
    pgd_buf b = {0};
    pgd_json_escape(&b, (pgd_sv){"a\0\x1f\n\"\\/", 7});
    assert_string_equal(b.p, "a\\u0000\\u001f\\n\\\"\\\\/");
    pgd_buf_fini(&b);
}

static void a_parsed_tree_is_written_back_as_it_was(void **state) {
    (void)state;
    static const char text[] =
        "{\"a\":[1,1.0,-0.5,1e+300,9007199254740993,-18446744073709551615],"
        "\"b\":{\"c\":\"\\n\xE2\x82\xAC\",\"d\":null,\"e\":[true,false,{},[]]}}";
    pgd_json_doc *doc = NULL;
    assert_int_equal(pgd_json_parse(PGD_SV(text), &pgd_json_limits_request, &doc, NULL), PGD_OK);
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    pgd_jsonw_arr(&w);
    pgd_jsonw_node(&w, pgd_json_root(doc));
    pgd_jsonw_node(&w, NULL);
    pgd_jsonw_end_arr(&w);
    assert_int_equal(b.n, sizeof text - 1 + 7);
    assert_memory_equal(b.p + 1, text, sizeof text - 1);
    pgd_json_free(&doc);
    pgd_buf_fini(&b);
}

/* A tool schema may be nested more deeply than any answer we compose. */
static void a_tree_deeper_than_the_writers_stack_is_written(void **state) {
    (void)state;
    enum { DEPTH = 120 };
    char text[2 * DEPTH];
    memset(text, '[', DEPTH);
    memset(text + DEPTH, ']', DEPTH);
    pgd_json_doc *doc = NULL;
    assert_int_equal(
        pgd_json_parse((pgd_sv){text, sizeof text}, &pgd_json_limits_request, &doc, NULL), PGD_OK);
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    pgd_jsonw_node(&w, pgd_json_root(doc));
    assert_int_equal(b.n, sizeof text);
    assert_memory_equal(b.p, text, sizeof text);
    pgd_json_free(&doc);
    pgd_buf_fini(&b);
}

static void failure_shows_in_the_buffer(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &b);
    (void)pgd_mem_fail_after(0);
    pgd_jsonw_arr(&w);
    pgd_jsonw_cstr(&w, "lost");
    pgd_jsonw_end_arr(&w);
    assert_true(pgd_mem_fail_after(-1));
    assert_true(b.failed);
    pgd_buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting_come_out_right),
        cmocka_unit_test(numbers_are_short_and_stay_numbers),
        cmocka_unit_test(every_character_survives_escaping),
        cmocka_unit_test(a_parsed_tree_is_written_back_as_it_was),
        cmocka_unit_test(a_tree_deeper_than_the_writers_stack_is_written),
        cmocka_unit_test(failure_shows_in_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
