/* Fields that demand a form of the output, in every dialect, and tool_choice: what they come to,
 * and what is refused with its path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/constrain.h"
#include "support.h"

static pgd_arena *arena;

static int setup(void **state) {
    (void)state;
    return pgd_arena_create(&arena, 0) == PGD_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    pgd_arena_destroy(&arena);
    return 0;
}

static pgd_json_doc *read_fields(const char *body, api_fields *f) {
    pgd_json_doc *doc = test_json(body, strlen(body));
    api_error e = {0};
    assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, f, &e), PGD_OK);
    return doc;
}

static void demands_are_read_from_every_dialect(void **state) {
    (void)state;
    static const struct {
        const char *body, *param;
        pgd_grammar_kind kind;
        const char *text;
    } cases[] = {
        {"{}", NULL, 0, NULL},
        {"{\"response_format\":{\"type\":\"text\"},\"guided_regex\":\"\",\"guided_choice\":[]}",
         NULL, 0, NULL},
        {"{\"response_format\":{\"type\":\"json_object\"}}", "response_format",
         PGD_GRAMMAR_JSON_OBJECT, NULL},
        {"{\"response_format\":{\"type\":\"json_object\",\"schema\":{\"type\":\"null\"}}}",
         "response_format.schema", PGD_GRAMMAR_JSON_SCHEMA, "{\"type\":\"null\"}"},
        {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"schema\":"
         "{\"const\": 1}}}}",
         "response_format.json_schema.schema", PGD_GRAMMAR_JSON_SCHEMA, "{\"const\":1}"},
        {"{\"structured_outputs\":{\"json\":\"{}\",\"regex\":null}}", "structured_outputs.json",
         PGD_GRAMMAR_JSON_SCHEMA, "{}"},
        {"{\"structured_outputs\":{\"regex\":\"a+\"}}", "structured_outputs.regex",
         PGD_GRAMMAR_REGEX, "a+"},
        {"{\"structured_outputs\":{\"choice\":[\"a\",\"b\"]}}", "structured_outputs.choice",
         PGD_GRAMMAR_CHOICE, NULL},
        {"{\"structured_outputs\":{\"grammar\":\"root ::= x\"}}", "structured_outputs.grammar",
         PGD_GRAMMAR_EBNF, "root ::= x"},
        {"{\"structured_outputs\":{\"json_object\":true}}", "structured_outputs.json_object",
         PGD_GRAMMAR_JSON_OBJECT, NULL},
        {"{\"guided_json\":{}}", "guided_json", PGD_GRAMMAR_JSON_SCHEMA, "{}"},
        {"{\"guided_regex\":\"b\"}", "guided_regex", PGD_GRAMMAR_REGEX, "b"},
        {"{\"guided_choice\":[\"a\"]}", "guided_choice", PGD_GRAMMAR_CHOICE, NULL},
        {"{\"guided_grammar\":\"g\"}", "guided_grammar", PGD_GRAMMAR_EBNF, "g"},
        {"{\"json_schema\":\"{}\"}", "json_schema", PGD_GRAMMAR_JSON_SCHEMA, "{}"},
        {"{\"regex\":\"c\"}", "regex", PGD_GRAMMAR_REGEX, "c"},
        {"{\"ebnf\":\"e\"}", "ebnf", PGD_GRAMMAR_EBNF, "e"},
        {"{\"grammar\":\"g\"}", "grammar", PGD_GRAMMAR_EBNF, "g"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_fields f;
        api_demand d;
        api_error e = {0};
        pgd_json_doc *doc = read_fields(cases[i].body, &f);
        if (api_read_demand(&f, arena, &d, &e) != PGD_OK) fail_msg("%s: %s", cases[i].body, e.msg);
        if (!cases[i].param) {
            assert_null(d.param);
        } else {
            assert_string_equal(d.param, cases[i].param);
            assert_int_equal(d.spec.kind, cases[i].kind);
            if (cases[i].text) assert_true(pgd_sv_eq(d.spec.text, pgd_sv_c(cases[i].text)));
        }
        pgd_json_free(&doc);
    }
}

static void wrong_demands_name_their_path(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"{\"response_format\":{\"type\":\"yaml\"}}", "response_format.type", "invalid_value"},
        {"{\"response_format\":{}}", "response_format.type", "missing_required_parameter"},
        {"{\"response_format\":{\"type\":1}}", "response_format.type", "invalid_type"},
        {"{\"response_format\":{\"type\":\"json_schema\"}}", "response_format.json_schema",
         "missing_required_parameter"},
        {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":[]}}",
         "response_format.json_schema", "invalid_type"},
        {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}}",
         "response_format.json_schema.name", "missing_required_parameter"},
        {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a b\"}}}",
         "response_format.json_schema.name", "invalid_value"},
        {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\"}}}",
         "response_format.json_schema.schema", "missing_required_parameter"},
        {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\","
         "\"schema\":"
         "3}}}",
         "response_format.json_schema.schema", "invalid_type"},
        {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\","
         "\"strict\":1,"
         "\"schema\":{}}}}",
         "response_format.json_schema.strict", "invalid_type"},
        {"{\"structured_outputs\":{}}", "structured_outputs", "invalid_value"},
        {"{\"structured_outputs\":{\"regex\":1}}", "structured_outputs.regex", "invalid_type"},
        {"{\"structured_outputs\":{\"choice\":[\"a\",2]}}", "structured_outputs.choice[1]",
         "invalid_type"},
        {"{\"structured_outputs\":{\"json_object\":1}}", "structured_outputs.json_object",
         "invalid_type"},
        {"{\"structured_outputs\":{\"json\":{},\"disable_any_whitespace\":1}}",
         "structured_outputs.disable_any_whitespace", "invalid_type"},
        {"{\"structured_outputs\":{\"json\":{},\"regex\":\"a\"}}", "structured_outputs.regex",
         "invalid_value"},
        {"{\"response_format\":{\"type\":\"json_object\"},\"guided_regex\":\"a\"}", "guided_regex",
         "invalid_value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_fields f;
        api_demand d;
        api_error e = {0};
        pgd_json_doc *doc = read_fields(cases[i][0], &f);
        if (api_read_demand(&f, arena, &d, &e) == PGD_OK) fail_msg("accepted: %s", cases[i][0]);
        assert_string_equal(e.param, cases[i][1]);
        assert_string_equal(e.code, cases[i][2]);
        pgd_json_free(&doc);
    }
}

#define TWO "\"tools\":[{\"name\":\"a\"},{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]"

static void tool_choices_allow_and_demand(void **state) {
    (void)state;
    static const struct {
        const char *body;
        api_tool_mode mode;
        unsigned allowed; /* bits */
        bool limited;
    } cases[] = {
        {"{}", API_TOOLS_NONE, 0, false},
        {"{" TWO "}", API_TOOLS_AUTO, 3, false},
        {"{" TWO ",\"tool_choice\":\"none\"}", API_TOOLS_NONE, 0, false},
        {"{" TWO ",\"tool_choice\":\"required\"}", API_TOOLS_REQUIRED, 3, false},
        {"{" TWO ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"b\"}}}",
         API_TOOLS_NAMED, 2, false},
        {"{" TWO ",\"tool_choice\":{\"type\":\"function\",\"name\":\"a\"}}", API_TOOLS_NAMED, 1,
         false},
        {"{" TWO
         ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\","
         "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]}}}",
         API_TOOLS_AUTO, 2, true},
        {"{" TWO ",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":["
         "{\"name\":\"a\"}]}}",
         API_TOOLS_REQUIRED, 1, true},
        {"{\"tools\":[{\"name\":\"a\",\"strict\":true}]}", API_TOOLS_AUTO, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_fields f;
        api_tool_rule r;
        api_error e = {0};
        pgd_json_doc *doc = read_fields(cases[i].body, &f);
        if (api_read_tool_rule(&f, arena, &r, &e) != PGD_OK)
            fail_msg("%s: %s", cases[i].body, e.msg);
        assert_int_equal(r.mode, cases[i].mode);
        assert_int_equal(r.limited, cases[i].limited);
        for (size_t k = 0; k < r.n_tools; k++)
            assert_int_equal(r.tool[k].allowed, cases[i].allowed >> k & 1);
        pgd_json_free(&doc);
    }
}

static void wrong_tool_choices_name_their_path(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"{\"tool_choice\":\"required\"}", "tool_choice", "invalid_value"},
        {"{\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}", "tool_choice",
         "invalid_value"},
        {"{" TWO ",\"tool_choice\":\"maybe\"}", "tool_choice", "invalid_value"},
        {"{" TWO ",\"tool_choice\":3}", "tool_choice", "invalid_type"},
        {"{" TWO ",\"tool_choice\":{}}", "tool_choice.type", "missing_required_parameter"},
        {"{" TWO ",\"tool_choice\":{\"type\":\"custom\"}}", "tool_choice.type", "invalid_value"},
        {"{" TWO ",\"tool_choice\":{\"type\":\"function\"}}", "tool_choice.function.name",
         "missing_required_parameter"},
        {"{" TWO ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"c\"}}}",
         "tool_choice", "invalid_value"},
        {"{" TWO
         ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"x\"}}}",
         "tool_choice.allowed_tools.mode", "invalid_value"},
        {"{" TWO ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"tools\":[]}}}",
         "tool_choice.allowed_tools.tools", "empty_array"},
        {"{\"tools\":[{\"name\":\"a\",\"strict\":1}]}", "tools[0].strict", "invalid_type"},
        {"{\"tools\":[{\"name\":\"a b\"}],\"tool_choice\":\"required\"}", "tools[0].function.name",
         "invalid_value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_fields f;
        api_tool_rule r;
        api_error e = {0};
        pgd_json_doc *doc = read_fields(cases[i][0], &f);
        if (api_read_tool_rule(&f, arena, &r, &e) == PGD_OK) fail_msg("accepted: %s", cases[i][0]);
        assert_string_equal(e.param, cases[i][1]);
        assert_string_equal(e.code, cases[i][2]);
        pgd_json_free(&doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(demands_are_read_from_every_dialect),
        cmocka_unit_test(wrong_demands_name_their_path),
        cmocka_unit_test(tool_choices_allow_and_demand),
        cmocka_unit_test(wrong_tool_choices_name_their_path),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
