/* structural_tag in both forms: which texts the grammars of them admit, and what is refused, with
 * its path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/constrain.h"
#include "pagoda/mem.h"
#include "support.h"

enum { EOS = 256, N_TOKENS = 257 };

static pgd_vocab *vocab;
static pgd_arena *arena;

static int setup(void **state) {
    (void)state;
    vocab = test_byte_vocab();
    return pgd_arena_create(&arena, 0) == PGD_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    pgd_vocab_destroy(&vocab);
    pgd_arena_destroy(&arena);
    return 0;
}

static pgd_status read_demand(pgd_json_doc *doc, api_demand *d, api_error *e) {
    api_fields f;
    assert_int_equal(api_fields_read(pgd_json_root(doc), API_ON_CHAT, &f, e), PGD_OK);
    return api_read_demand(&f, arena, d, e);
}

static bool accepts(pgd_grammar *g, const char *text) {
    pgd_matcher *m = NULL;
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    const bool yes =
        pgd_matcher_advance_bytes(m, pgd_sv_c(text), NULL) == PGD_OK && pgd_matcher_accepts(m);
    pgd_matcher_destroy(&m);
    return yes;
}

/* A body against texts to accept and to reject, NULL-terminated. */
static void check(const char *body, const char *const *good, const char *const *bad) {
    pgd_json_doc *doc = test_json(body, strlen(body));
    pgd_grammar *g = NULL;
    api_demand d;
    api_error e = {0};
    pgd_error err = {0};
    if (read_demand(doc, &d, &e) != PGD_OK) fail_msg("%s: %s", body, e.msg);
    if (pgd_grammar_compile(&g, &d.spec, vocab, NULL, &err) != PGD_OK)
        fail_msg("%s: %s", body, err.msg);
    for (; *good; good++)
        if (!accepts(g, *good)) fail_msg("%s: rejects %s", body, *good);
    for (; *bad; bad++)
        if (accepts(g, *bad)) fail_msg("%s: accepts %s", body, *bad);
    pgd_grammar_release(&g);
    pgd_json_free(&doc);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define FORMAT(f) "{\"response_format\":{\"type\":\"structural_tag\",\"format\":" f "}}"
#define CONST(s) "{\"type\":\"const_string\",\"value\":\"" s "\"}"
#define TAG(begin, content, end)                                                                   \
    "{\"type\":\"tag\",\"begin\":\"" begin "\",\"content\":" content ",\"end\":" end "}"
#define ANY "{\"type\":\"any_text\"}"
#define BOOL "{\"type\":\"json_schema\",\"json_schema\":{\"type\":\"boolean\"}}"
#define DIGITS "{\"type\":\"regex\",\"pattern\":\"[0-9]+\"}"
#define STRUCTURES                                                                                 \
    "\"structures\":[{\"begin\":\"<f=a>\",\"schema\":{\"type\":\"object\",\"properties\":{\"x\":{" \
    "\"type\":\"boolean\"}},\"required\":[\"x\"],\"additionalProperties\":false},\"end\":\"</f>\"" \
    "},{\"begin\":\"<f=bb>\",\"schema\":{\"enum\":[1,2]},\"end\":\"</"                             \
    "f>\"}],\"triggers\":[\"<f=\"]"

static void the_older_form_constrains_what_a_trigger_begins(void **state) {
    (void)state;
    const char *const *const good =
        LIST("", "Hello < f=", "<f", "<f=bb>1</f>", "a <f=a>{\"x\": true}</f> and <f=bb>2</f>.",
             "<<f=bb>1</f></f><f=bb>1</f>\n");
    const char *const *const bad =
        LIST("<f=", "x<f=c>1</f>", "<f=bb>3</f>", "<f=bb>1", "<f=bb> 1</f>",
             "<f=bb>1</f><f=", "<f=a>{}</f>", "<f=a>{\"x\":true,\"x\":true}</f>");
    check("{\"response_format\":{\"type\":\"structural_tag\"," STRUCTURES "}}", good, bad);
    check("{\"structured_outputs\":{\"structural_tag\":{" STRUCTURES "}}}", good, bad);
    check("{\"structured_outputs\":{\"structural_tag\":\"{\\\"structures\\\":[{\\\"begin\\\":"
          "\\\"[\\\",\\\"schema\\\":{\\\"const\\\":5},\\\"end\\\":\\\"]\\\"}],\\\"triggers\\\":"
          "[\\\"[\\\",\\\"[\\\"]}\"}}",
          LIST("", "x", "[5]", "a]b[5]]c[5]"), LIST("[", "[5", "[6]", "[ 5]"));
}

static void white_space_in_schemas_can_be_forbidden(void **state) {
    (void)state;
    check("{\"structured_outputs\":{\"structural_tag\":{" STRUCTURES
          "},\"disable_any_whitespace\":true}}",
          LIST("<f=a>{\"x\":true}</f>"), LIST("<f=a>{\"x\": true}</f>"));
}

static void single_formats_are_the_whole_output(void **state) {
    (void)state;
    check(FORMAT(CONST("abc")), LIST("abc"), LIST("", "ab", "abcd"));
    check(FORMAT(BOOL), LIST("true", "false"), LIST("", "1"));
    check(FORMAT(DIGITS), LIST("7", "42"), LIST("", "4a"));
    check(FORMAT("{\"type\":\"grammar\",\"grammar\":\"root ::= \\\"a\\\" | \\\"b\\\"\"}"),
          LIST("a", "b"), LIST("", "ab"));
    check(FORMAT(ANY), LIST("", "anything </t>"), LIST("\xFF"));
    check(FORMAT("{\"type\":\"any_text\",\"excludes\":[\"no\",\"bad\"]}"), LIST("", "n o", "nba d"),
          LIST("no", "a bad one"));
    check(FORMAT("{\"type\":\"json_schema\",\"style\":\"json\",\"any_order\":false,\"x\":null,"
                 "\"y\":[],\"json_schema\":\"{\\\"const\\\":1}\"}"),
          LIST("1"), LIST("2"));
}

static void sequences_and_choices_of_formats_nest(void **state) {
    (void)state;
    check(FORMAT("{\"type\":\"sequence\",\"elements\":[" CONST("a") "," DIGITS "," ANY "]}"),
          LIST("a1", "a12 and so on"), LIST("", "a", "ax"));
    check(FORMAT("{\"type\":\"or\",\"elements\":[" DIGITS
                 ",{\"type\":\"sequence\",\"elements\":[" CONST("x") "," BOOL "]}]}"),
          LIST("12", "xtrue"), LIST("", "x", "12x", "true"));
}

static void free_text_in_a_tag_ends_with_its_end(void **state) {
    (void)state;
    check(FORMAT(TAG("<t>", ANY, "\"</t>\"")), LIST("<t></t>", "<t>a<b</t>"),
          LIST("", "<t>", "<t>a</t>b", "<t></t></t>"));
    check(FORMAT(TAG("<t>", ANY, "[\"</t>\",\"<end>\"]")), LIST("<t>a</t>", "<t>b<end>"),
          LIST("<t>a</t><end>", "<t>a"));
    check(FORMAT(TAG("", ANY, "\"\"")), LIST("", "a"), LIST("\xFF"));
    check(FORMAT(TAG("<t>", TAG("[", ANY, "\"\""), "\"</t>\"")), LIST("<t>[a]</t>"),
          LIST("<t>[a", "<t>a</t>"));
    check(FORMAT(TAG("<t>",
                     "{\"type\":\"or\",\"elements\":[" DIGITS ",{\"type\":\"sequence\","
                     "\"elements\":[" CONST("x") "," ANY "]}]}",
                     "\"</t>\"")),
          LIST("<t>1</t>", "<t>x</t>", "<t>x 1 </t</t>"), LIST("<t>1 </t>", "<t>x", "<t>x</t>y"));
    check(FORMAT(TAG("<t>", "{\"type\":\"any_text\",\"excludes\":[\"</t>\",\"<a\"]}", "\"</t>\"")),
          LIST("<t>x</t>"), LIST("<t><a</t>", "<t>x</t></t>"));
    check(FORMAT(TAG("<t>", DIGITS, "[\"</t>\",\"</t>!\",\"\"]")),
          LIST("<t>1</t>", "<t>1</t>!", "<t>1"), LIST("<t></t>", "<t>1</t>?"));
}

#define TAGS "\"tags\":[" TAG("<a>", DIGITS, "\"</a>\"") "," TAG("[b]", ANY, "\"[/b]\"") "]"
#define TRIGGERED(more) "{\"type\":\"triggered_tags\",\"triggers\":[\"<a\",\"[b\"]," TAGS more "}"

static void triggers_dispatch_to_their_tags(void **state) {
    (void)state;
    check(FORMAT(TRIGGERED("")),
          LIST("", "x", "<a>1</a>", "x[b]<a>y[/b]z<a>23</a>", "<[b][/b]", "[a <b"),
          LIST("<a", "<a>x</a>", "[b]", "[b]1", "<a>1</a><a", "[b][/b][bc"));
    check(FORMAT(TRIGGERED(",\"excludes\":[\"zz\",\"<a\"]")), LIST("z", "<a>1</a>z", "[b]zz[/b]"),
          LIST("zz", "<a>1</a>zz"));
    check(FORMAT(TRIGGERED(",\"at_least_one\":true")),
          LIST("<a>1</a>", "[b]x[/b] and", "<a>1</a> <a>2</a>."), LIST("", "x", " <a>1</a>", "<a"));
    check(FORMAT(TRIGGERED(",\"stop_after_first\":true")), LIST("", "x", "<a>1</a>", "x[b][/b]"),
          LIST("<a>1</a>x", "<a>1</a><a>1</a>", "<a"));
    check(FORMAT(TRIGGERED(",\"stop_after_first\":true,\"at_least_one\":true")),
          LIST("<a>1</a>", "[b]x[/b]"), LIST("", "x", "x<a>1</a>", "<a>1</a>x"));
}

static void a_tag_with_triggers_in_it_ends(void **state) {
    (void)state;
    check(FORMAT(TAG("(", TRIGGERED(""), "\")\"")), LIST("()", "(x)", "(x<a>1</a>)", "([b])[/b])"),
          LIST("", "(", "(<a)", "()x", "([b])"));
    check(FORMAT(TAG("(", TRIGGERED(",\"stop_after_first\":true"), "\")\"")),
          LIST("()", "(x)", "(x<a>1</a>)"), LIST("(<a>1</a>x)", "(<a>1</a>"));
    check(FORMAT(TAG("(", TRIGGERED(",\"stop_after_first\":true,\"at_least_one\":true"),
                     "[\"<a\",\"\"]")),
          LIST("(<a>1</a>", "([b][/b]<a"), LIST("(", "(x"));
    check(FORMAT("{\"type\":\"sequence\",\"elements\":[" TAG(
              "<think>", ANY, "\"</think>\"") "," TRIGGERED("") "]}"),
          LIST("<think><a </think>", "<think></think>x<a>1</a>"),
          LIST("x", "<think>", "<think></think><a"));
}

static void a_trigger_counts_where_it_first_occurs(void **state) {
    (void)state;
    check(FORMAT("{\"type\":\"triggered_tags\",\"triggers\":[\"aa\"],\"tags\":[" TAG("aab", DIGITS,
                                                                                     "\"\"") "]}"),
          LIST("aab1", "xaab1", "a", "baab1a", "aab1aab2"), LIST("aaab1", "aa", "aab"));
}

static void tags_in_a_row_have_a_separator(void **state) {
    (void)state;
#define ROW(more) "{\"type\":\"tags_with_separator\",\"separator\":\", \"," TAGS more "}"
    check(FORMAT(ROW("")), LIST("", "<a>1</a>", "<a>1</a>, [b]x, [/b], <a>2</a>"),
          LIST("x", "<a>1</a>, ", "<a>1</a><a>1</a>"));
    check(FORMAT(ROW(",\"at_least_one\":true")), LIST("<a>1</a>", "<a>1</a>, <a>1</a>"), LIST(""));
    check(FORMAT(ROW(",\"stop_after_first\":true")), LIST("", "<a>1</a>"),
          LIST("<a>1</a>, <a>1</a>"));
    check(FORMAT(TAG("(", ROW(",\"at_least_one\":true,\"stop_after_first\":true"), "\")\"")),
          LIST("(<a>1</a>)"), LIST("()", "(<a>1</a>"));
}

#define OLD(rest) "{\"response_format\":{\"type\":\"structural_tag\"," rest "}}"
#define NESTED8(x)                                                                                 \
    "{\"type\":\"or\",\"elements\":[{\"type\":\"or\",\"elements\":[{\"type\":\"or\",\"elements\":" \
    "[{\"type\":\"or\",\"elements\":[{\"type\":\"or\",\"elements\":[{\"type\":\"or\","             \
    "\"elements\":[{\"type\":\"or\",\"elements\":[{\"type\":\"or\",\"elements\":[" x               \
    "]}]}]}]}]}]}]}]}"

static void wrong_tags_name_their_path(void **state) {
    /* long: one table of cases */
    (void)state;
    static const char *const cases[][3] = {
        {"{\"response_format\":{\"type\":\"structural_tag\"}}", "response_format.format",
         "missing_required_parameter"},
        {OLD("\"structures\":[]"), "response_format.triggers", "missing_required_parameter"},
        {OLD("\"structures\":[],\"triggers\":[\"a\"]"), "response_format.structures",
         "empty_array"},
        {OLD("\"structures\":{},\"triggers\":[\"a\"]"), "response_format.structures",
         "invalid_type"},
        {OLD("\"structures\":[{}],\"triggers\":[]"), "response_format.triggers", "empty_array"},
        {OLD("\"structures\":[{}],\"triggers\":[\"\"]"), "response_format.triggers[0]",
         "invalid_value"},
        {OLD("\"structures\":[{}],\"triggers\":[\"a\",3]"), "response_format.triggers[1]",
         "invalid_type"},
        {OLD("\"structures\":[3],\"triggers\":[\"a\"]"), "response_format.structures[0]",
         "invalid_type"},
        {OLD("\"structures\":[{}],\"triggers\":[\"a\"]"), "response_format.structures[0].begin",
         "missing_required_parameter"},
        {OLD("\"structures\":[{\"begin\":\"b\"}],\"triggers\":[\"a\"]"),
         "response_format.structures[0].begin", "invalid_value"},
        {OLD("\"structures\":[{\"begin\":\"a\"}],\"triggers\":[\"a\"]"),
         "response_format.structures[0].end", "missing_required_parameter"},
        {OLD("\"structures\":[{\"begin\":\"a\",\"end\":\"\"}],\"triggers\":[\"a\"]"),
         "response_format.structures[0].schema", "missing_required_parameter"},
        {OLD("\"structures\":[{\"begin\":\"a\",\"end\":\"\",\"schema\":3}],\"triggers\":[\"a\"]"),
         "response_format.structures[0].schema", "invalid_type"},
        {OLD("\"structures\":[{\"begin\":\"a\",\"end\":\"\",\"schema\":{}}],\"triggers\":[\"a\","
             "\"b\"]"),
         "response_format.triggers", "invalid_value"},
        {OLD("\"structures\":[{\"begin\":\"a\",\"end\":\"\",\"schema\":{}}],\"triggers\":[\"ab\","
             "\"b\"]"),
         "response_format", "invalid_value"},
        {OLD("\"structures\":[{}],\"triggers\":[\"a\"],\"format\":{}"), "response_format.format",
         "unsupported_parameter"},
        {OLD("\"structures\":[{\"begin\":\"a\",\"style\":\"x\"}],\"triggers\":[\"a\"]"),
         "response_format.structures[0].style", "unsupported_parameter"},
        {FORMAT("3"), "response_format.format", "invalid_type"},
        {FORMAT("{}"), "response_format.format.type", "missing_required_parameter"},
        {FORMAT("{\"type\":\"qwen_xml_parameter\"}"), "response_format.format.type",
         "unsupported_value"},
        {FORMAT("{\"type\":\"json_schema\",\"style\":\"qwen_xml\",\"json_schema\":{}}"),
         "response_format.format.style", "unsupported_value"},
        {FORMAT("{\"type\":\"json_schema\",\"any_order\":true,\"json_schema\":{}}"),
         "response_format.format.any_order", "unsupported_parameter"},
        {FORMAT("{\"type\":\"any_text\",\"max_tokens\":3}"), "response_format.format.max_tokens",
         "unsupported_parameter"},
        {FORMAT("{\"type\":\"any_text\",\"excludes\":\"a\"}"), "response_format.format.excludes",
         "invalid_type"},
        {FORMAT("{\"type\":\"sequence\",\"elements\":[]}"), "response_format.format.elements",
         "empty_array"},
        {FORMAT("{\"type\":\"sequence\",\"elements\":[" ANY "," CONST("a") "]}"),
         "response_format.format.elements[0]", "invalid_value"},
        {FORMAT("{\"type\":\"or\",\"elements\":[" CONST("a") ",{\"type\":\"const_string\"}]}"),
         "response_format.format.elements[1].value", "missing_required_parameter"},
        {FORMAT(TAG("a", ANY, "3")), "response_format.format.end", "invalid_type"},
        {FORMAT(TAG("a", ANY, "[]")), "response_format.format.end", "empty_array"},
        {FORMAT(TAG("a", ANY, "[\"b\",\"\"]")), "response_format.format.content", "invalid_value"},
        {FORMAT(TAG("a", ANY, "[\"b\",\"ab\"]")), "response_format.format.content",
         "invalid_value"},
        {FORMAT("{\"type\":\"tag\",\"begin\":{\"type\":\"token\",\"token\":1}}"),
         "response_format.format.begin", "invalid_type"},
        {FORMAT(TAG("(", TRIGGERED(""), "\"<a>\"")), "response_format.format.content",
         "invalid_value"},
        {FORMAT(TRIGGERED(",\"at_least_one\":1")), "response_format.format.at_least_one",
         "invalid_type"},
        {FORMAT("{\"type\":\"triggered_tags\",\"triggers\":[\"a\"],\"tags\":[" CONST("a") "]}"),
         "response_format.format.tags[0].value", "unsupported_parameter"},
        {FORMAT("{\"type\":\"triggered_tags\",\"triggers\":[\"a\"],\"tags\":[{\"type\":\"or\"}]}"),
         "response_format.format.tags[0].type", "invalid_value"},
        {FORMAT("{\"type\":\"triggered_tags\",\"triggers\":[\"a\"],\"tags\":[" TAG("a", ANY,
                                                                                   "\"\"") "]}"),
         "response_format.format.tags[0].content", "invalid_value"},
        {FORMAT(NESTED8(NESTED8(CONST("a")))),
         "response_format.format.elements[0].elements[0].elements[0].elements[0].elements[0]."
         "elements[0].elements[0].elements[0].elements[0].elements[0].elements[0].",
         "invalid_value"},
        {"{\"structured_outputs\":{\"structural_tag\":\"{\"}}", "structured_outputs.structural_tag",
         "invalid_value"},
        {"{\"structured_outputs\":{\"structural_tag\":[]}}", "structured_outputs.structural_tag",
         "invalid_type"},
        {"{\"structured_outputs\":{\"structural_tag\":{\"type\":\"x\"}}}",
         "structured_outputs.structural_tag.type", "invalid_value"},
        {"{\"structured_outputs\":{\"structural_tag\":{" STRUCTURES "}},\"guided_regex\":\"a\"}",
         "guided_regex", "invalid_value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_demand d;
        api_error e = {0};
        pgd_json_doc *doc = test_json(cases[i][0], strlen(cases[i][0]));
        if (read_demand(doc, &d, &e) == PGD_OK) fail_msg("accepted: %s", cases[i][0]);
        if (strncmp(e.param, cases[i][1], API_PARAM_BYTES - 8) != 0 ||
            strcmp(e.code, cases[i][2]) != 0)
            fail_msg("%s: %s, %s: %s", cases[i][0], e.param, e.code, e.msg);
        pgd_json_free(&doc);
    }
}

static void what_cannot_be_compiled_is_named_by_its_place(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {OLD("\"structures\":[{\"begin\":\"a\",\"end\":\"\",\"schema\":{\"not\":{\"if\":1}}}],"
             "\"triggers\":[\"a\"]"),
         "structures[0].schema: schema #/not/if"},
        {FORMAT(TAG("a", "{\"type\":\"regex\",\"pattern\":\"(\"}", "\"\"")),
         "format.content.pattern: pattern, offset"},
        {FORMAT("{\"type\":\"json_schema\",\"json_schema\":{\"if\":1}}"),
         "format.json_schema: schema #/if"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_json_doc *doc = test_json(cases[i][0], strlen(cases[i][0]));
        pgd_grammar *g = NULL;
        api_demand d;
        api_error e = {0};
        pgd_error err = {0};
        assert_int_equal(read_demand(doc, &d, &e), PGD_OK);
        if (pgd_grammar_compile(&g, &d.spec, vocab, NULL, &err) == PGD_OK)
            fail_msg("compiled: %s", cases[i][0]);
        if (strncmp(err.msg, cases[i][1], strlen(cases[i][1])) != 0) fail_msg("%s", err.msg);
        pgd_json_free(&doc);
    }
}

/* n triggers of `len` letters each, none inside another. */
static void many_triggers(pgd_buf *b, unsigned n, unsigned len) {
    pgd_buf_puts(b, "{\"structured_outputs\":{\"structural_tag\":{\"structures\":[");
    for (unsigned i = 0; i < n; i++)
        pgd_buf_putf(b, "%s{\"begin\":\"<%0*u>\",\"schema\":true,\"end\":\"</>\"}", i ? "," : "",
                     (int)len, i);
    pgd_buf_puts(b, "],\"triggers\":[");
    for (unsigned i = 0; i < n; i++)
        pgd_buf_putf(b, "%s\"<%0*u>\"", i ? "," : "", (int)len, i);
    pgd_buf_puts(b, "]}}}");
}

static void lists_are_bounded(void **state) {
    (void)state;
    static const struct {
        unsigned n, len;
        bool ok;
    } cases[] = {{32, 12, true}, {33, 12, false}, {2, 1022, true}, {2, 1023, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_buf b = {0};
        pgd_grammar *g = NULL;
        api_demand d;
        api_error e = {0};
        pgd_error err = {0};
        many_triggers(&b, cases[i].n, cases[i].len);
        pgd_json_doc *doc = test_json(b.p, b.n);
        const pgd_status st = read_demand(doc, &d, &e);
        assert_int_equal(st == PGD_OK, cases[i].ok);
        if (!cases[i].ok) assert_string_equal(e.code, "invalid_value");
        if (cases[i].ok && pgd_grammar_compile(&g, &d.spec, vocab, NULL, &err) != PGD_OK)
            fail_msg("%u triggers: %s", cases[i].n, err.msg);
        pgd_grammar_release(&g);
        pgd_json_free(&doc);
        pgd_buf_fini(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_older_form_constrains_what_a_trigger_begins),
        cmocka_unit_test(white_space_in_schemas_can_be_forbidden),
        cmocka_unit_test(single_formats_are_the_whole_output),
        cmocka_unit_test(sequences_and_choices_of_formats_nest),
        cmocka_unit_test(free_text_in_a_tag_ends_with_its_end),
        cmocka_unit_test(triggers_dispatch_to_their_tags),
        cmocka_unit_test(a_tag_with_triggers_in_it_ends),
        cmocka_unit_test(a_trigger_counts_where_it_first_occurs),
        cmocka_unit_test(tags_in_a_row_have_a_separator),
        cmocka_unit_test(wrong_tags_name_their_path),
        cmocka_unit_test(what_cannot_be_compiled_is_named_by_its_place),
        cmocka_unit_test(lists_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
