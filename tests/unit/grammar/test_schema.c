/* JSON Schema: what golden files do not show: refusals by keyword and place, spelling, whitespace,
 * number bounds against arithmetic, budgets. */
#include "gr_test.h"

#include "pagoda/rng.h"

static int setup(void **state) {
    *state = gr_vocab(NULL, 0);
    return 0;
}

static int teardown(void **state) {
    pgd_vocab *v = *state;
    pgd_vocab_destroy(&v);
    return 0;
}

static void keywords_that_cannot_be_honoured_are_named_with_their_place(void **state) {
    static const struct {
        const char *text;
        pgd_status st;
        const char *part;
    } cases[] = {
        {"{\"if\":{}}", PGD_E_UNSUPPORTED, "schema #/if: keyword 'if'"},
        {"{\"properties\":{\"a/b\":{\"if\":{}}}}", PGD_E_UNSUPPORTED,
         "#/properties/a~1b/if: keyword 'if'"},
        {"{\"items\":{\"uniqueItems\":true}}", PGD_E_UNSUPPORTED, "#/items/uniqueItems"},
        {"{\"anyOf\":[{},{\"contains\":{}}]}", PGD_E_UNSUPPORTED, "#/anyOf/1/contains"},
        {"{\"$defs\":{\"a\":{\"dependentRequired\":{}}},\"$ref\":\"#/$defs/a\"}", PGD_E_UNSUPPORTED,
         "#/$defs/a/dependentRequired"},
        {"{\"format\":\"idn-email\",\"type\":\"string\"}", PGD_E_UNSUPPORTED, "keyword 'format'"},
        {"{\"pattern\":\"(?i)a\",\"type\":\"string\"}", PGD_E_UNSUPPORTED,
         "#/pattern: keyword 'pattern': pattern, offset 0: inline flags"},
        {"{\"pattern\":\"(\"}", PGD_E_INVALID, "#/pattern"},
        {"{\"$ref\":\"http://x/y\"}", PGD_E_UNSUPPORTED, "#/$ref"},
        {"{\"$ref\":\"#/nowhere\"}", PGD_E_INVALID, "leads nowhere"},
        {"{\"$ref\":\"#\"}", PGD_E_INVALID, "refers to itself"},
        {"{\"type\":\"strin\"}", PGD_E_INVALID, "#/type"},
        {"{\"minLength\":-1,\"type\":\"string\"}", PGD_E_INVALID, "#/minLength"},
        {"{\"minimum\":\"x\",\"type\":\"number\"}", PGD_E_INVALID, "#/minimum"},
        {"{\"multipleOf\":0,\"type\":\"number\"}", PGD_E_INVALID, "#/multipleOf"},
        {"{\"multipleOf\":0.123456,\"type\":\"number\"}", PGD_E_UNSUPPORTED, "#/multipleOf"},
        {"{\"required\":1,\"type\":\"object\"}", PGD_E_INVALID, "#/required"},
        {"{\"items\":[{}],\"type\":\"array\"}", PGD_E_UNSUPPORTED, "prefixItems"},
        {"{\"minProperties\":3,\"type\":\"object\"}", PGD_E_UNSUPPORTED, "#/minProperties"},
        {"{\"enum\":[]}", PGD_E_INVALID, "no text can match"},
        {"{\"enum\":{}}", PGD_E_INVALID, "enum"},
        {"{\"anyOf\":[]}", PGD_E_INVALID, "#/anyOf"},
        {"{\"allOf\":3}", PGD_E_INVALID, "#/allOf"},
        {"{\"properties\":{\"a\":5},\"type\":\"object\"}", PGD_E_INVALID, "#/properties/a"},
        {"false", PGD_E_INVALID, "false"},
        {"5", PGD_E_INVALID, "a schema is an object or a boolean"},
        {"{", PGD_E_INVALID, ""},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
         PGD_E_INVALID, "no text can match"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA, cases[i].text, cases[i].st, cases[i].part);
}

static void strings_admit_exactly_json_spellings_of_valid_utf8(void **state) {
    const char *const good[] = {
        "\"\"", "\"\\u00e9\\n\\/\"", "\"\\ud83d\\uDE00\"", "\"\xf0\x9f\x98\x80\"", "\"\x7f\"",
        NULL};
    const char *const bad[] = {
        "\"\xff\"",    "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\n\"", "\"\\ud83d\"",
        "\"\\u0000\"", "\"\\x41\"",    "\"\\ude00\"",      "\"a",    "\"\xf4\x90\x80\x80\"",
        NULL};
    gr_check(*state, PGD_GRAMMAR_JSON_SCHEMA, "{\"type\":\"string\"}", good, bad);
    /* one escape, and one surrogate pair, is one character */
    const char *const two[] = {"\"ab\"", "\"\\u0041\xc3\xa9\"", "\"\\ud83d\\ude00\\n\"", NULL};
    const char *const not_two[] = {"\"a\"", "\"\\ud83d\\ude00\"", "\"abc\"", NULL};
    gr_check(*state, PGD_GRAMMAR_JSON_SCHEMA,
             "{\"type\":\"string\",\"minLength\":2,\"maxLength\":2}", two, not_two);
}

static void no_escape_smuggles_a_listed_key_in(void **state) {
    const char *const good[] = {"{\"a\":1}", "{\"a\":1,\"b\":\"x\"}", "{\"aa\":\"x\"}", "{}", NULL};
    const char *const bad[] = {"{\"\\u0061\":\"x\"}", "{\"a\":1,\"a\":\"x\"}",
                               "{\"b\":\"x\",\"a\":1}", NULL};
    gr_check(*state, PGD_GRAMMAR_JSON_SCHEMA,
             "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
             "\"additionalProperties\":{\"type\":\"string\"}}",
             good, bad);
}

static void listed_items_can_be_unique(void **state) {
    const char *const good[] = {"[]", "[1]", "[\"b\",1]", "[1,\"b\",null]", "[null,\"b\",1]", NULL};
    const char *const bad[] = {"[1,1]", "[\"b\",1,\"b\"]", "[2]", "[1,\"b\",null,1]", "[1,]", NULL};
    gr_check(*state, PGD_GRAMMAR_JSON_SCHEMA,
             "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[1,\"b\",1.0,null]}}",
             good, bad);
    const char *const two[] = {"[true,false]", "[false,true]", "[false]", NULL};
    const char *const not_two[] = {"[]", "[true,true]", "[true,null]", NULL};
    gr_check(*state, PGD_GRAMMAR_JSON_SCHEMA,
             "{\"type\":\"array\",\"uniqueItems\":true,\"minItems\":1,\"items\":{\"type\":"
             "\"boolean\"}}",
             two, not_two);
    gr_refused(
        *state, PGD_GRAMMAR_JSON_SCHEMA,
        "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[1,2]},\"minItems\":3}",
        PGD_E_INVALID, "no text can match");
    gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA,
               "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\"}}",
               PGD_E_UNSUPPORTED, "#/uniqueItems");
}

static void whitespace_is_bounded_where_it_is_allowed_at_all(void **state) {
    const char *const text =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"}},\"required\":[\"a\"],"
        "\"additionalProperties\":false}";
    pgd_grammar_spec spec = {
        .kind = PGD_GRAMMAR_JSON_SCHEMA, .text = pgd_sv_c(text), .space = PGD_JSON_SPACE_ANY};
    static const char *const good[] = {"{\"a\":[1,2]}", "{ \"a\" : [ 1 , 2 ] }",
                                       "{\n  \"a\": [\n    1\n  ]\n}", "{\"a\":[ ]}"};
    static const char *const bad[] = {" {\"a\":[]}", "{\"a\":[]} ", "{\"a\":[1 2]}",
                                      "{\"a\":[1, ]}",
                                      "{                                 \"a\":[]}"};
    pgd_grammar *g = NULL;
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, NULL, NULL), PGD_OK);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!gr_accepts(g, pgd_sv_c(good[i]))) fail_msg("rejects %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (gr_accepts(g, pgd_sv_c(bad[i]))) fail_msg("accepts %s", bad[i]);
    pgd_grammar_release(&g);
    const char *const compact[] = {"{\"a\":[1,2]}", NULL}, *const spaced[] = {"{\"a\": [1,2]}",
                                                                              "{\"a\":[1, 2]}",
                                                                              NULL};
    gr_check(*state, PGD_GRAMMAR_JSON_SCHEMA, text, compact, spaced);
}

static void json_object_takes_objects_only(void **state) {
    const char *const good[] = {"{}", "{\"a\":[1,{\"b\":null}],\"c\":-1.5e3}", "{\"\":\"\"}", NULL};
    const char *const bad[] = {"[]",         "1",     "\"a\"",      "{\"a\"}", "{\"a\":01}",
                               "{\"a\":1,}", "{a:1}", "{\"a\":.5}", NULL};
    gr_check(*state, PGD_GRAMMAR_JSON_OBJECT, "", good, bad);
}

/* Random bounds in quarters; every number of up to two decimals near them is tried. */
static void number_bounds_agree_with_arithmetic(void **state) {
    uint64_t rng = 11;
    for (int round = 0; round < 40; round++) {
        const long lo = (long)(pgd_rng_next(&rng) % 4000) - 2000,
                   span = (long)(pgd_rng_next(&rng) % 600);
        const long hi = lo + span;
        const bool open_lo = pgd_rng_next(&rng) & 1, open_hi = pgd_rng_next(&rng) & 1,
                   whole = pgd_rng_next(&rng) & 1;
        char text[300];
        pgd_grammar *g = NULL;
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"%s\":%.2f,\"%s\":%.2f}",
                 whole ? "integer" : "number", open_lo ? "exclusiveMinimum" : "minimum",
                 (double)lo / 4, open_hi ? "exclusiveMaximum" : "maximum", (double)hi / 4);
        if (gr_compile(&g, PGD_GRAMMAR_JSON_SCHEMA, text, *state, NULL) != PGD_OK) {
            assert_true(span < 8); /* an empty range is no grammar */
            continue;
        }
        for (long h = lo * 25 - 150; h <= hi * 25 + 150; h++) { /* hundredths */
            char number[32];
            const long abs = h < 0 ? -h : h;
            if (whole && abs % 100) continue;
            if (abs % 100)
                snprintf(number, sizeof number, "%s%ld.%02ld", h < 0 ? "-" : "", abs / 100,
                         abs % 100);
            else
                snprintf(number, sizeof number, "%s%ld", h < 0 ? "-" : "", abs / 100);
            const bool in =
                (open_lo ? h > lo * 25 : h >= lo * 25) && (open_hi ? h < hi * 25 : h <= hi * 25);
            if (gr_accepts(g, pgd_sv_c(number)) != in)
                fail_msg("%s: %s should be %d", text, number, in);
        }
        pgd_grammar_release(&g);
    }
}

/* A length beside a pattern: implied by it, moved into its one repetition, or intersected. */
static void lengths_beside_patterns_count_characters(void **state) {
    static const struct {
        const char *text;
        const char *good[5], *bad[5];
    } cases[] = {
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]{2,9}$\",\"maxLength\":9}",
         {"\"ab\"", "\"abcdefghi\""},
         {"\"a\"", "\"abcdefghij\""}},
        {"{\"type\":\"string\",\"pattern\":\"^a[^a]*z$\",\"minLength\":3,\"maxLength\":4}",
         {"\"a\xc3\xa9z\"", "\"a\\n\\u0001z\""},
         {"\"az\"", "\"abbbz\"", "\"a\\n\\n\\nz\""}},
        {"{\"type\":\"string\",\"pattern\":\"^(ab|c*)$\",\"minLength\":2,\"maxLength\":3}",
         {"\"ab\"", "\"cc\"", "\"ccc\""},
         {"\"\"", "\"c\"", "\"cccc\""}},
        {"{\"type\":\"string\",\"pattern\":\"x\",\"minLength\":2,\"maxLength\":3}",
         {"\"xa\"", "\"\xc3\xa9\\tx\"", "\"\\\\x\""},
         {"\"x\"", "\"abx1\"", "\"abc\"", "\"\\\\\\\\\\nx\""}},
        {"{\"type\":\"string\",\"pattern\":\"^(ab)*c?$\",\"minLength\":3,\"maxLength\":4}",
         {"\"abc\"", "\"abab\""},
         {"\"ab\"", "\"ababc\""}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        gr_check(*state, PGD_GRAMMAR_JSON_SCHEMA, cases[i].text, cases[i].good, cases[i].bad);
    gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA,
               "{\"type\":\"string\",\"pattern\":\"^abc$\",\"maxLength\":2}", PGD_E_INVALID,
               "no text can match");
}

static void schemas_that_are_too_large_are_refused(void **state) {
    pgd_grammar_limits lim = pgd_grammar_limits_default;
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_JSON_SCHEMA};
    pgd_buf deep = {0};
    for (int i = 0; i < 60000; i++)
        pgd_buf_puts(&deep, "{\"items\":");
    spec.text = pgd_buf_sv(&deep);
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, NULL, &err), PGD_E_LIMIT);
    pgd_buf_clear(&deep);
    /* anyOf under allOf: the branches multiply */
    pgd_buf_puts(&deep, "{\"allOf\":[");
    for (int i = 0; i < 40; i++)
        pgd_buf_putf(&deep, "%s{\"anyOf\":[{\"minLength\":%d},{\"maxLength\":%d}]}", i ? "," : "",
                     i, i + 50);
    pgd_buf_puts(&deep, "]}");
    spec.text = pgd_buf_sv(&deep);
    err = (pgd_error){0};
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, NULL, &err), PGD_E_LIMIT);
    assert_non_null(strstr(err.msg, "too large"));
    pgd_buf_fini(&deep);
    lim.max_states = 100;
    spec.text = PGD_SV("{\"type\":\"object\"}");
    err = (pgd_error){0};
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, &lim, &err), PGD_E_LIMIT);
    assert_null(g);
}

static void big_but_honest_schemas_compile(void **state) {
    pgd_buf text = {0};
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    pgd_buf_puts(&text, "{\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < 1000; i++)
        pgd_buf_putf(&text, "%s\"property_%d\":{\"enum\":[\"v%d\",\"w%d\",%d]}", i ? "," : "", i, i,
                     i, i);
    pgd_buf_puts(&text, "}}");
    if (gr_compile(&g, PGD_GRAMMAR_JSON_SCHEMA, text.p, *state, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    assert_true(gr_accepts(g, PGD_SV("{\"property_3\":\"v3\",\"property_998\":998}")));
    assert_true(gr_accepts(g, PGD_SV("{\"property_3\":\"v3\",\"property_3x\":[]}")));
    assert_false(gr_accepts(g, PGD_SV("{\"property_998\":998,\"property_3\":\"v3\"}")));
    assert_false(gr_accepts(g, PGD_SV("{\"property_3\":\"v4\"}")));
    pgd_grammar_release(&g);
    pgd_buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keywords_that_cannot_be_honoured_are_named_with_their_place),
        cmocka_unit_test(strings_admit_exactly_json_spellings_of_valid_utf8),
        cmocka_unit_test(no_escape_smuggles_a_listed_key_in),
        cmocka_unit_test(listed_items_can_be_unique),
        cmocka_unit_test(whitespace_is_bounded_where_it_is_allowed_at_all),
        cmocka_unit_test(json_object_takes_objects_only),
        cmocka_unit_test(number_bounds_agree_with_arithmetic),
        cmocka_unit_test(lengths_beside_patterns_count_characters),
        cmocka_unit_test(schemas_that_are_too_large_are_refused),
        cmocka_unit_test(big_but_honest_schemas_compile),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
