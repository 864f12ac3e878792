/* The field table: order, strict types, ranges, exact texts and codes, and values with structure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/params.h"
#include "support.h"

static pgd_arena *arena;

static int make_arena(void **state) {
    (void)state;
    return pgd_arena_create(&arena, 0) == PGD_OK ? 0 : -1;
}

static int drop_arena(void **state) {
    (void)state;
    pgd_arena_destroy(&arena);
    return 0;
}

static void rows_are_sorted_and_unique_per_route(void **state) {
    (void)state;
    for (size_t i = 1; i < api_fields_count(); i++) {
        unsigned before, routes;
        const char *const a = api_fields_name(i - 1, &before);
        const char *const b = api_fields_name(i, &routes);
        const int order = strcmp(a, b);
        if (order > 0) fail_msg("row '%s' must stand before '%s'", b, a);
        if (order == 0 && (before & routes)) fail_msg("'%s' has two rows for one route", a);
    }
}

typedef struct bad_case {
    unsigned route;
    const char *body, *param, *code, *message;
} bad_case;

static void wrong_values_get_the_exact_text_and_code(void **state) {
    /* long for its table of cases */
    (void)state;
    static const bad_case cases[] = {
        {API_ON_CHAT, "{\"temperature\":\"1\"}", "temperature", "invalid_type",
         "Invalid type for 'temperature': expected a decimal, but got a string instead."},
        {API_ON_CHAT, "{\"temperature\":200}", "temperature", "decimal_above_max_value",
         "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 200 "
         "instead."},
        {API_ON_CHAT, "{\"top_p\":-0.5}", "top_p", "decimal_below_min_value",
         "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -0.5 "
         "instead."},
        {API_ON_CHAT, "{\"repetition_penalty\":0}", "repetition_penalty", "decimal_below_min_value",
         "Invalid 'repetition_penalty': decimal below minimum value. Expected a value > 0, but got "
         "0 instead."},
        {API_ON_CHAT, "{\"n\":0}", "n", "integer_below_min_value",
         "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."},
        {API_ON_CHAT, "{\"n\":129}", "n", "integer_above_max_value",
         "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead."},
        {API_ON_CHAT, "{\"n\":1.5}", "n", "invalid_type",
         "Invalid type for 'n': expected an integer, but got a decimal instead."},
        {API_ON_CHAT, "{\"n\":99999999999999999999}", "n", "integer_above_max_value",
         "Invalid 'n': integer above maximum value. Expected a value <= 128, but got "
         "99999999999999999999 instead."},
        {API_ON_CHAT, "{\"top_k\":-99999999999999999999}", "top_k", "integer_below_min_value",
         NULL},
        {API_ON_CHAT, "{\"seed\":1e308}", "seed", "integer_above_max_value", NULL},
        {API_ON_CHAT, "{\"stream\":1}", "stream", "invalid_type",
         "Invalid type for 'stream': expected a boolean, but got an integer instead."},
        {API_ON_CHAT, "{\"messages\":{}}", "messages", "invalid_type",
         "Invalid type for 'messages': expected an array, but got an object instead."},
        {API_ON_CHAT, "{\"logprobs\":1}", "logprobs", "invalid_type", NULL},
        {API_ON_COMPLETIONS, "{\"logprobs\":true}", "logprobs", "invalid_type", NULL},
        {API_ON_COMPLETIONS, "{\"logprobs\":6}", "logprobs", "integer_above_max_value", NULL},
        {API_ON_CHAT, "{\"max_tokens\":0}", "max_tokens", "integer_below_min_value", NULL},
        {API_ON_CHAT, "{\"cache_salt\":\"\"}", "cache_salt", "string_below_min_length", NULL},
        {API_ON_CHAT, "{\"structural_tag\":{}}", "structural_tag", "unsupported_parameter",
         "Unsupported parameter: 'structural_tag' is not supported by this server."},
        {API_ON_CHAT, "{\"guided_regex\":1}", "guided_regex", "invalid_type", NULL},
        {API_ON_CHAT, "{\"guided_choice\":\"a\"}", "guided_choice", "invalid_type", NULL},
        {API_ON_CHAT, "{\"use_beam_search\":true}", "use_beam_search", "unsupported_parameter",
         NULL},
        {API_ON_CHAT, "{\"structured_outputs\":[]}", "structured_outputs", "invalid_type", NULL},
        {API_ON_CHAT, "{\"top_p\":\"x\",\"temperature\":3}", "top_p", "invalid_type", NULL},
        {API_ON_CHAT, "{\"temperature\":3,\"top_p\":\"x\"}", "temperature",
         "decimal_above_max_value", NULL},
        {API_ON_CHAT, "[1]", "", NULL, "The request body must be a JSON object, but got an array."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const bad_case *const c = &cases[i];
        pgd_json_doc *doc = test_json(c->body, strlen(c->body));
        api_fields f;
        api_error e = {0};
        if (api_fields_read(pgd_json_root(doc), c->route, &f, &e) == PGD_OK)
            fail_msg("accepted: %s", c->body);
        assert_string_equal(e.param, c->param);
        if (c->code)
            assert_string_equal(e.code, c->code);
        else
            assert_null(e.code);
        if (c->message) assert_string_equal(e.msg, c->message);
        assert_int_equal(pgd_status_http(e.status), 400);
        pgd_json_free(&doc);
    }
}

static void null_unknown_and_off_values_count_as_absent(void **state) {
    (void)state;
    static const char body[] =
        "{\"temperature\":null,\"num_ctx\":\"any\",\"n\":null,\"guided_json\":null,"
        "\"use_beam_search\":false,\"bad_words\":[],\"messages\":null,\"Temperature\":\"x\","
        "\"stream\":null,\"seed\":null,\"prompt\":7,\"echo\":false}";
    pgd_json_doc *doc = test_json(body, sizeof body - 1);
    api_fields f;
    api_error e = {0};
    assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, &f, &e), PGD_OK);
    assert_false(f.temperature.given);
    assert_false(f.n.given);
    assert_false(f.stream.given);
    assert_null(f.messages);
    assert_null(f.prompt); /* no field of the chat route */
    pgd_json_free(&doc);
}

static void the_last_of_duplicate_fields_wins(void **state) {
    (void)state;
    static const char body[] = "{\"n\":\"bad\",\"n\":3,\"seed\":1,\"seed\":null,"
                               "\"top_k\":16.0,\"seed2\":0}";
    pgd_json_doc *doc = test_json(body, sizeof body - 1);
    api_fields f;
    api_error e = {0};
    assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, &f, &e), PGD_OK);
    assert_int_equal(f.n.v, 3);
    assert_false(f.seed.given);
    assert_int_equal(f.top_k.v, 16);
    pgd_json_free(&doc);
}

static void integers_keep_all_their_digits(void **state) {
    (void)state;
    static const char body[] = "{\"seed\":-9223372036854775807,\"max_tokens\":9007199254740993}";
    pgd_json_doc *doc = test_json(body, sizeof body - 1);
    api_fields f;
    api_error e = {0};
    assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, &f, &e), PGD_OK);
    assert_true(f.seed.v == -INT64_MAX);
    assert_true(f.max_tokens.v == 9007199254740993);
    pgd_json_free(&doc);
}

/* stop, logit_bias and token ids, through one small switch. */
static pgd_status read_one(const char *what, const char *json, api_error *e) {
    pgd_json_doc *doc = test_json(json, strlen(json));
    const pgd_json *const v = pgd_json_root(doc);
    pgd_status st;
    if (strcmp(what, "stop") == 0) {
        api_stops s;
        st = api_read_stop(v, arena, &s, e);
    } else if (strcmp(what, "bias") == 0) {
        pgd_bias *b;
        uint32_t n;
        st = api_read_bias(v, 270, arena, &b, &n, e);
    } else {
        int32_t ids[4];
        size_t n;
        st = api_read_ids(v, "stop_token_ids", 270, ids, 4, &n, e);
    }
    pgd_json_free(&doc);
    return st;
}

static void structured_values_name_the_path_of_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *what, *json, *param, *code;
    } cases[] = {
        {"stop", "\"\"", "stop", "string_below_min_length"},
        {"stop", "5", "stop", "invalid_type"},
        {"stop", "[\"a\",1]", "stop[1]", "invalid_type"},
        {"stop", "[\"a\",\"\"]", "stop[1]", "string_below_min_length"},
        {"stop", "[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7]", "stop", "array_above_max_length"},
        {"bias", "{\"x\":1}", "logit_bias.x", "invalid_value"},
        {"bias", "{\"270\":1}", "logit_bias.270", "invalid_value"},
        {"bias", "{\"01\":1}", "logit_bias.01", "invalid_value"},
        {"bias", "{\"-1\":1}", "logit_bias.-1", "invalid_value"},
        {"bias", "{\"1\":\"1\"}", "logit_bias.1", "invalid_type"},
        {"bias", "{\"1\":101}", "logit_bias.1", "decimal_above_max_value"},
        {"bias", "{\"1\":-101}", "logit_bias.1", "decimal_below_min_value"},
        {"ids", "[1,\"2\"]", "stop_token_ids[1]", "invalid_type"},
        {"ids", "[270]", "stop_token_ids[0]", "integer_above_max_value"},
        {"ids", "[0,-1]", "stop_token_ids[1]", "integer_below_min_value"},
        {"ids", "[1,2,3,4,5]", "stop_token_ids", "array_above_max_length"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_error e = {0};
        if (read_one(cases[i].what, cases[i].json, &e) == PGD_OK)
            fail_msg("accepted: %s %s", cases[i].what, cases[i].json);
        assert_string_equal(e.param, cases[i].param);
        assert_string_equal(e.code, cases[i].code);
    }
}

static void logit_bias_keeps_the_last_of_duplicates(void **state) {
    (void)state;
    static const char json[] = "{\"5\":1,\"7\":-100,\"5\":2.5,\"9\":null}";
    pgd_json_doc *doc = test_json(json, sizeof json - 1);
    pgd_bias *b;
    uint32_t n;
    api_error e = {0};
    assert_int_equal(api_read_bias(pgd_json_root(doc), 270, arena, &b, &n, &e), PGD_OK);
    assert_int_equal(n, 2);
    assert_int_equal(b[0].id, 5);
    assert_true(b[0].value == 2.5f);
    assert_true(b[1].value == -100.0f);
    pgd_json_free(&doc);
}

static void features_that_are_not_served_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *body, *param, *code;
    } cases[] = {
        {"{\"modalities\":[\"text\",\"audio\"]}", "modalities", "unsupported_value"},
        {"{\"functions\":[{\"name\":\"f\"}]}", "functions", "unsupported_parameter"},
        {"{\"function_call\":{\"name\":\"f\"}}", "function_call", "unsupported_parameter"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_json_doc *doc = test_json(cases[i].body, strlen(cases[i].body));
        api_fields f;
        api_error e = {0};
        assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, &f, &e), PGD_OK);
        if (api_check_served(&f, &e) == PGD_OK) fail_msg("accepted: %s", cases[i].body);
        assert_string_equal(e.param, cases[i].param);
        assert_string_equal(e.code, cases[i].code);
        pgd_json_free(&doc);
    }
}

static void tools_are_shown_unless_the_choice_is_none(void **state) {
    (void)state;
    static const struct {
        const char *body;
        bool want;
    } cases[] = {
        {"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}", true},
        {"{\"tools\":[{\"name\":\"f\"}],\"tool_choice\":\"auto\"}", true},
        {"{\"tools\":[{\"name\":\"f\"}],\"tool_choice\":\"none\"}", false},
        {"{\"tools\":[]}", false},
        {"{}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_json_doc *doc = test_json(cases[i].body, strlen(cases[i].body));
        api_fields f;
        api_error e = {0};
        assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, &f, &e), PGD_OK);
        assert_int_equal(api_check_tools(f.tools, &e), PGD_OK);
        assert_int_equal(api_wants_tools(&f), cases[i].want);
        pgd_json_free(&doc);
    }
}

static void a_tool_without_a_name_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {"[1]", "[{}]", "[{\"function\":{\"name\":5}}]",
                                         "[{\"function\":{\"name\":\"\"}}]"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        pgd_json_doc *doc = test_json(bodies[i], strlen(bodies[i]));
        api_error e = {0};
        assert_int_not_equal(api_check_tools(pgd_json_root(doc), &e), PGD_OK);
        assert_non_null(strstr(e.param, "tools[0]"));
        pgd_json_free(&doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted_and_unique_per_route),
        cmocka_unit_test(wrong_values_get_the_exact_text_and_code),
        cmocka_unit_test(null_unknown_and_off_values_count_as_absent),
        cmocka_unit_test(the_last_of_duplicate_fields_wins),
        cmocka_unit_test(integers_keep_all_their_digits),
        cmocka_unit_test(structured_values_name_the_path_of_what_is_wrong),
        cmocka_unit_test(logit_bias_keeps_the_last_of_duplicates),
        cmocka_unit_test(features_that_are_not_served_are_refused_by_name),
        cmocka_unit_test(tools_are_shown_unless_the_choice_is_none),
        cmocka_unit_test(a_tool_without_a_name_is_refused),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
