/* Negation: `not`, and branches of oneOf that overlap. More of it, labelled by a validator, in
 * tests/golden/grammar/negations.jsonl. */
#include "gr_test.h"

typedef struct values {
    const char *schema;
    const char *good[8], *bad[8];
} values;

static int setup(void **state) {
    *state = gr_vocab(NULL, 0);
    return 0;
}

static int teardown(void **state) {
    pgd_vocab *v = *state;
    pgd_vocab_destroy(&v);
    return 0;
}

static void check(const pgd_vocab *v, const values *cases, size_t n) {
    for (size_t i = 0; i < n; i++)
        gr_check(v, PGD_GRAMMAR_JSON_SCHEMA, cases[i].schema, cases[i].good, cases[i].bad);
}

#define CHECK(cases) check(*state, cases, sizeof cases / sizeof cases[0])

static void one_keyword_is_failed_in_its_own_way(void **state) {
    static const values cases[] = {
        {"{\"not\":{\"type\":[\"string\",\"integer\"]}}",
         {"1.5", "null", "[]", "{}", "-0.25"},
         {"\"a\"", "1", "1.0", "10e-1", "1e2"}},
        {"{\"not\":{\"enum\":[\"a\",null,true,0]}}",
         {"\"\"", "\"aa\"", "false", "1", "10", "0.5"},
         {"\"a\"", "\"\\u0061\"", "null", "true", "0", "-0"}},
        {"{\"not\":{\"pattern\":\"^a\"}}", {"\"ba\"", "\"\""}, {"\"a\"", "1", "null"}},
        {"{\"not\":{\"minimum\":2}}", {"1", "-5", "1.9"}, {"2", "3", "\"a\""}},
        {"{\"not\":{\"exclusiveMinimum\":2}}", {"1", "2"}, {"3", "null"}},
        {"{\"not\":{\"minLength\":2}}", {"\"\"", "\"a\""}, {"\"ab\"", "1"}},
        {"{\"not\":{\"maxItems\":1}}", {"[1,2]", "[1,2,3]"}, {"[]", "[1]", "{}"}},
        {"{\"not\":{\"required\":[\"a\",\"b\"]}}",
         {"{}", "{\"a\":1}", "{\"b\":1,\"c\":2}"},
         {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "1"}},
        {"{\"not\":{\"properties\":{\"a\":{\"type\":\"string\"}}}}",
         {"{\"a\":1}", "{\"a\":null,\"b\":2}"},
         {"{}", "{\"a\":\"x\"}", "{\"b\":1}", "3"}},
        {"{\"not\":{\"not\":{\"const\":\"a\"}}}", {"\"a\""}, {"\"b\"", "1"}},
        {"{\"not\":{\"minLength\":0},\"type\":[\"string\",\"null\"]}", {NULL}, {"\"\"", "null"}},
    };
    check(*state, cases, sizeof cases / sizeof cases[0] - 1);
    gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA, cases[sizeof cases / sizeof cases[0] - 1].schema,
               PGD_E_INVALID, "no text can match");
}

static void a_member_too_many_may_be_any_other(void **state) {
    static const values cases[] = {
        {"{\"not\":{\"properties\":{\"a\":true},\"additionalProperties\":false}}",
         {"{\"b\":1}", "{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":1}"},
         {"{}", "{\"a\":1}", "\"b\"", "1"}},
        {"{\"properties\":{\"b\":{\"type\":\"null\"},\"c\":true},\"additionalProperties\":false,"
         "\"not\":{\"properties\":{\"c\":true},\"additionalProperties\":false}}",
         {"{\"b\":null}", "{\"b\":null,\"c\":1}"},
         {"{}", "{\"c\":1}", "{\"a\":1}", "{\"b\":1}"}},
        {"{\"required\":[\"b\"],\"not\":{\"additionalProperties\":false},\"maxProperties\":1}",
         {"{\"b\":1}"},
         {"{}", "{\"a\":1}", "{\"b\":1,\"a\":1}"}},
    };
    CHECK(cases);
}

static void exactly_one_branch_holds(void **state) {
    static const values cases[] = {
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":3}]}",
         {"1", "-7", "3.5", "\"a\"", "null"},
         {"3", "4", "1.5", "3.0"}},
        {"{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"integer\"}]}",
         {"0.5"},
         {"1", "2.0", "\"\""}},
        {"{\"oneOf\":[{\"enum\":[\"a\",\"b\"]},{\"type\":\"string\"},{\"const\":\"b\"}]}",
         {"\"c\"", "\"ab\""},
         {"\"a\"", "\"b\""}},
        {"{\"type\":\"object\",\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
         {"{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"c\":1}"},
         {"{}", "{\"c\":1}", "{\"a\":1,\"b\":1}", "{\"b\":1,\"a\":1}"}},
        {"{\"type\":\"object\",\"oneOf\":[{\"properties\":{\"k\":{\"const\":1}}},{\"properties\":{"
         "\"k\":{\"const\":2}}}]}",
         {"{\"k\":1}", "{\"k\":2,\"x\":3}"},
         {"{}", "{\"x\":1}", "{\"k\":3}"}},
        {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{}},"
         "\"required\":[\"a\"],\"additionalProperties\":false},{\"type\":\"object\",\"properties\":"
         "{\"a\":{\"type\":\"integer\"},\"c\":{}},\"required\":[\"a\"],\"additionalProperties\":"
         "false}]}",
         {"{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}"},
         {"{\"a\":1}", "{\"a\":1,\"b\":2,\"c\":3}", "{}", "{\"b\":1}"}},
        {"{\"$defs\":{\"t\":{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"n\":{\"$ref\":"
         "\"#/$defs/"
         "t\"}},\"required\":[\"n\"],\"additionalProperties\":false},{\"type\":\"object\","
         "\"additionalProperties\":false,\"properties\":{\"n\":{\"type\":\"null\"}}},{\"type\":"
         "\"null\"}]}},\"$ref\":\"#/$defs/t\"}",
         {"{}", "null", "{\"n\":{}}", "{\"n\":{\"n\":{}}}"},
         {"{\"n\":null}", "{\"n\":{\"n\":null}}", "1"}},
        {"{\"not\":{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":3}]}}",
         {"3", "4", "1.5"},
         {"1", "3.5", "\"a\""}},
    };
    CHECK(cases);
    gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA, "{\"oneOf\":[{\"const\":1},{\"const\":1}]}",
               PGD_E_INVALID, "no text can match");
}

static void exclusions_reach_keys_lists_and_lengths(void **state) {
    static const values cases[] = {
        {"{\"type\":\"object\",\"propertyNames\":{\"not\":{\"const\":\"a\"}}}",
         {"{}", "{\"b\":1}"},
         {"{\"a\":1}", "{\"b\":1,\"a\":1}"}},
        {"{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[1,2,3],\"not\":{\"const\":"
         "2}}}",
         {"[]", "[3,1]"},
         {"[2]", "[1,1]"}},
        {"{\"enum\":[\"ab\",\"cd\",1],\"not\":{\"pattern\":\"^a\"}}", {"\"cd\""}, {"\"ab\"", "1"}},
        {"{\"type\":\"string\",\"minLength\":1,\"maxLength\":2,\"not\":{\"enum\":[\"a\",\"xyz\"]}}",
         {"\"b\"", "\"aa\""},
         {"\"\"", "\"a\"", "\"abc\""}},
        {"{\"type\":\"number\",\"minimum\":0,\"maximum\":2,\"not\":{\"enum\":[1,7]}}",
         {"0", "2", "0.5", "1.25"},
         {"1", "1.0", "-1", "3"}},
    };
    CHECK(cases);
}

static void what_has_no_negation_is_named_where_the_client_wrote_it(void **state) {
    static const char *const cases[][2] = {
        {"{\"not\":{\"items\":{}}}", "schema #/not/items: keyword 'items': cannot be negated"},
        {"{\"not\":{\"if\":{}}}", "schema #/not/if: keyword 'if'"},
        {"{\"properties\":{\"a\":{\"not\":{\"properties\":{\"b\":{\"format\":\"date\"}}}}}}",
         "keyword 'format': cannot be negated"},
        {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"string\",\"format\":\"date\"}]}",
         "schema #/oneOf/1/format: keyword 'format': cannot be negated"},
        {"{\"not\":{\"multipleOf\":2}}", "schema #/not/multipleOf"},
        {"{\"not\":{\"const\":[1]},\"type\":\"array\"}", "keyword 'not': arrays, objects"},
        {"{\"not\":{\"const\":0.5}}", "keyword 'not': arrays, objects and fractions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA, cases[i][0], PGD_E_UNSUPPORTED, cases[i][1]);
    static const char *const wrong[] = {
        "{\"not\":3}",
        "{\"not\":{\"enum\":3}}",
        "{\"not\":{\"type\":\"strin\"}}",
        "{\"not\":{\"required\":[3]}}",
        "{\"not\":{\"minLength\":-1}}",
        "{\"not\":{\"anyOf\":[]}}",
        "{\"not\":{\"$ref\":\"#/x\"}}",
        "{\"type\":\"string\",\"not\":{\"pattern\":3}}",
        "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/"
        "a\"}},\"not\":{\"$ref\":"
        "\"#/$defs/a\"}}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA, wrong[i], PGD_E_INVALID, "");
}

/* n branches: open objects with `props` members of their own, the first of them required. */
static void put_branches(pgd_buf *b, unsigned n, unsigned props) {
    pgd_buf_puts(b, "{\"oneOf\":[");
    for (unsigned i = 0; i < n; i++) {
        pgd_buf_putf(b, "%s{\"type\":\"object\",\"required\":[\"p%u_0\"],\"properties\":{",
                     i ? "," : "", i);
        for (unsigned k = 0; k < props; k++)
            pgd_buf_putf(b, "%s\"p%u_%u\":{\"type\":\"integer\"}", k ? "," : "", i, k);
        pgd_buf_puts(b, "}}");
    }
    pgd_buf_puts(b, "]}");
}

static void too_many_ways_to_overlap_are_refused_for_that(void **state) {
    pgd_buf b = {0};
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    put_branches(&b, 3, 4);
    pgd_buf_putc(&b, '\0');
    if (gr_compile(&g, PGD_GRAMMAR_JSON_SCHEMA, b.p, *state, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    assert_true(gr_accepts(g, PGD_SV("{\"p1_0\":1}")));
    assert_false(gr_accepts(g, PGD_SV("{\"p0_0\":1,\"p1_0\":1}")));
    pgd_grammar_release(&g);
    pgd_buf_clear(&b);
    put_branches(&b, 9, 4);
    pgd_buf_putc(&b, '\0');
    gr_refused(*state, PGD_GRAMMAR_JSON_SCHEMA, b.p, PGD_E_UNSUPPORTED, "#/oneOf");
    pgd_buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_keyword_is_failed_in_its_own_way),
        cmocka_unit_test(a_member_too_many_may_be_any_other),
        cmocka_unit_test(exactly_one_branch_holds),
        cmocka_unit_test(exclusions_reach_keys_lists_and_lengths),
        cmocka_unit_test(what_has_no_negation_is_named_where_the_client_wrote_it),
        cmocka_unit_test(too_many_ways_to_overlap_are_refused_for_that),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
