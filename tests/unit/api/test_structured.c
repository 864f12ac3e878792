/* Structured output through whole calls, on the simulator: its random tokens become texts of the
 * grammar, streamed and not, and what cannot be compiled is refused with the field and the place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

#define CHAT(rest)                                                                                 \
    "{\"model\":\"small\",\"seed\":@,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"     \
    "," rest "}"
#define OBJECT                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":-20,"            \
    "\"maximum\":300},"                                                                            \
    "\"on\":{\"type\":\"boolean\"},\"c\":{\"enum\":[\"red\",\"blue\"]}},\"required\":[\"n\","      \
    "\"on\",\"c\"],"                                                                               \
    "\"additionalProperties\":false}"
#define FORMAT                                                                                     \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"o\",\"strict\":"    \
    "true,\"schema\":" OBJECT "}}"

/* The form with the seed for its '@'. */
static const char *body(char out[2048], const char *form, int seed) {
    const char *const at = strchr(form, '@');
    assert_non_null(at);
    assert_true(strlen(form) < 2000);
    (void)snprintf(out, 2048, "%.*s%d%s", (int)(at - form), form, seed, at + 1);
    return out;
}

static void check_object(pgd_sv text) {
    pgd_json_doc *doc = test_json(text.p, text.n);
    const pgd_json *const v = pgd_json_root(doc);
    bool on;
    const int64_t n = test_int(v, "n");
    pgd_sv c;
    assert_true(n >= -20 && n <= 300);
    assert_true(pgd_json_as_bool(test_at(v, "on"), &on));
    assert_true(pgd_json_as_str(test_at(v, "c"), &c));
    assert_true(pgd_sv_eq(c, PGD_SV("red")) || pgd_sv_eq(c, PGD_SV("blue")));
    assert_int_equal(pgd_json_count(v), 3);
    pgd_json_free(&doc);
}

static bool ended(const fold_choice *ch) {
    return pgd_sv_eq(pgd_buf_sv(&ch->finish), PGD_SV("stop"));
}

static void a_schema_holds_streamed_and_not(void **state) {
    (void)state;
    rig r;
    char text[2048];
    uint32_t n_ended = 0;
    const rig_options o = {.mean_len = 40, .think_parser = "none"};
    rig_open(&r, &o);
    for (int seed = 1; seed <= 12; seed++) {
        fold plain, stream;
        rig_fold(&r, PGD_ROUTE_CHAT, body(text, CHAT(FORMAT ",\"n\":3"), seed), 0, &plain);
        rig_fold(&r, PGD_ROUTE_CHAT, body(text, CHAT(FORMAT ",\"n\":3,\"stream\":true"), seed), 0,
                 &stream);
        fold_assert_equal(&plain, &stream);
        for (size_t i = 0; i < 3; i++) {
            if (!ended(&plain.choice[i])) continue; /* white space may fill the context */
            check_object(pgd_buf_sv(&plain.choice[i].text));
            n_ended++;
        }
        fold_fini(&plain);
        fold_fini(&stream);
    }
    assert_true(n_ended > 18);
    rig_close(&r);
}

static void every_dialect_constrains(void **state) {
    (void)state;
    static const struct {
        pgd_route route;
        const char *form;
        const char *texts[4]; /* all that may come */
    } cases[] = {
        {PGD_ROUTE_CHAT,
         CHAT("\"structured_outputs\":{\"choice\":[\"yes\",\"no\"]}"),
         {"yes", "no"}},
        {PGD_ROUTE_CHAT, CHAT("\"guided_choice\":[\"yes\",\"no\"]"), {"yes", "no"}},
        {PGD_ROUTE_CHAT, CHAT("\"structured_outputs\":{\"regex\":\"a[bc]d\"}"), {"abd", "acd"}},
        {PGD_ROUTE_CHAT, CHAT("\"guided_regex\":\"a[bc]d\",\"ignore_eos\":true"), {"abd", "acd"}},
        {PGD_ROUTE_CHAT, CHAT("\"regex\":\"(a|b)\",\"min_tokens\":9"), {"a", "b"}},
        {PGD_ROUTE_CHAT, CHAT("\"guided_grammar\":\"root ::= x\\nx ::= \\\"q\\\"\""), {"q"}},
        {PGD_ROUTE_CHAT, CHAT("\"ebnf\":\"root ::= [uv]\",\"logprobs\":true"), {"u", "v"}},
        {PGD_ROUTE_CHAT, CHAT("\"guided_json\":{\"const\":{\"a\":1}},\"stream\":true"), {NULL}},
        {PGD_ROUTE_CHAT,
         CHAT("\"structured_outputs\":{\"json\":{\"enum\":[[1,2]]},\"disable_any_whitespace\":"
              "true}"),
         {"[1,2]"}},
        {PGD_ROUTE_COMPLETIONS,
         "{\"model\":\"small\",\"seed\":@,\"prompt\":[\"a\",\"b\"],\"guided_choice\":[\"yes\","
         "\"no\"]}",
         {"yes", "no"}},
    };
    rig r;
    char text[2048];
    const rig_options o = {.think_parser = "none"};
    rig_open(&r, &o);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int seed = 1; seed <= 3; seed++) {
            fold f;
            rig_fold(&r, cases[i].route, body(text, cases[i].form, seed), 0, &f);
            for (size_t k = 0; k < f.n_choices; k++) {
                const pgd_sv got = pgd_buf_sv(&f.choice[k].text);
                bool found = !cases[i].texts[0];
                for (size_t t = 0; t < 4 && cases[i].texts[t]; t++)
                    found = found || pgd_sv_eq(got, pgd_sv_c(cases[i].texts[t]));
                if (!found || !ended(&f.choice[k]))
                    fail_msg("%s: '%.*s', %s", text, (int)got.n, got.p, f.choice[k].finish.p);
            }
            fold_fini(&f);
        }
    }
    rig_close(&r);
}

#define WEATHER                                                                                    \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{"        \
    "\"type\":\"object\","                                                                         \
    "\"properties\":{\"days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9}},\"required\":["  \
    "\"days\"],"                                                                                   \
    "\"additionalProperties\":false}}},{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]"

static void check_calls(const fold_choice *ch, const char *finish, bool only_weather) {
    assert_true(ch->n_calls > 0);
    assert_string_equal(ch->finish.p, finish);
    assert_int_equal(ch->text.n, 0);
    for (size_t i = 0; i < ch->n_calls; i++) {
        const pgd_sv args = pgd_buf_sv(&ch->calls[i].args);
        pgd_json_doc *doc = test_json(args.p, args.n);
        if (pgd_sv_eq(pgd_buf_sv(&ch->calls[i].name), PGD_SV("weather"))) {
            const int64_t days = test_int(pgd_json_root(doc), "days");
            assert_true(days >= 1 && days <= 9);
        } else {
            assert_false(only_weather);
            assert_string_equal(args.p, "{}");
        }
        pgd_json_free(&doc);
    }
}

static void forced_calls_are_calls_with_the_right_reason(void **state) {
    (void)state;
    rig r;
    char text[2048];
    const rig_options o = {
        .mean_len = 2, .tool_parser = "hermes", .think_parser = "none", .max_model_len = 1024};
    rig_open(&r, &o);
    for (int seed = 1; seed <= 8; seed++) {
        static const struct {
            const char *form, *finish;
            bool only_weather;
        } cases[] = {
            {CHAT(WEATHER ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false"),
             "tool_calls", false},
            {CHAT(WEATHER
                  ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"weather\"}}"),
             "stop", true},
        };
        for (size_t i = 0; i < 2; i++) {
            fold plain, stream;
            rig_fold(&r, PGD_ROUTE_CHAT, body(text, cases[i].form, seed), 0, &plain);
            text[strlen(text) - 1] = '\0';
            assert_true(strlen(text) < sizeof text - 20);
            memcpy(text + strlen(text), ",\"stream\":true}", sizeof ",\"stream\":true}");
            rig_fold(&r, PGD_ROUTE_CHAT, text, 0, &stream);
            fold_assert_equal(&plain, &stream);
            check_calls(&plain.choice[0], cases[i].finish, cases[i].only_weather);
            assert_int_equal(plain.choice[0].n_calls, 1);
            fold_fini(&plain);
            fold_fini(&stream);
        }
    }
    rig_close(&r);
}

static void what_cannot_be_honoured_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *form, *param, *code, *says;
    } cases[] = {
        {CHAT("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"o\","
              "\"schema\":{"
              "\"type\":\"object\",\"properties\":{\"a\":{\"if\":{}}}}}}"),
         "response_format.json_schema.schema", "invalid_json_schema", "#/properties/a/if"},
        {CHAT("\"guided_json\":{\"type\":\"strin\"}"), "guided_json", "invalid_json_schema",
         "type"},
        {CHAT("\"guided_json\":\"{\""), "guided_json", "invalid_json_schema", NULL},
        {CHAT("\"guided_regex\":\"(a\""), "guided_regex", "invalid_grammar", NULL},
        {CHAT("\"guided_regex\":\"(a)\\\\1\""), "guided_regex", "invalid_grammar", NULL},
        {CHAT("\"guided_grammar\":\"root ::= y\""), "guided_grammar", "invalid_grammar", "'y'"},
        {CHAT("\"structured_outputs\":{\"choice\":[]}"), "structured_outputs.choice",
         "invalid_grammar", "no choices"},
        {CHAT(WEATHER ",\"tool_choice\":{\"type\":\"function\",\"name\":\"no\"}"), "tool_choice",
         "invalid_value", "'no'"},
        {CHAT("\"tool_choice\":\"required\",\"tools\":[{\"name\":\"f\"},{\"name\":\"g\",\"strict\":"
              "true,"
              "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"if\":{}}}}}]"),
         "tools[1].parameters", "invalid_json_schema", "#/properties/a/if"},
        {CHAT("\"guided_regex\":\"a\",\"continue_final_message\":true"), "guided_regex",
         "unsupported_value", NULL},
    };
    rig r;
    char text[2048];
    const rig_options o = {.tool_parser = "hermes"};
    rig_open(&r, &o);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_expect_error(&r, PGD_ROUTE_CHAT, body(text, cases[i].form, 1), 400, cases[i].param,
                         cases[i].code);
        rig_reply p;
        rig_post(&r, PGD_ROUTE_CHAT, text, &p);
        if (cases[i].says && !strstr(p.body.p, cases[i].says)) fail_msg("%s", p.body.p);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

static void a_model_without_calls_cannot_be_forced(void **state) {
    (void)state;
    rig r;
    char text[2048];
    const rig_options o = {.tool_parser = "none"};
    rig_open(&r, &o);
    rig_expect_error(&r, PGD_ROUTE_CHAT,
                     body(text, CHAT(WEATHER ",\"tool_choice\":\"required\""), 1), 400,
                     "tool_choice", "unsupported_value");
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_holds_streamed_and_not),
        cmocka_unit_test(every_dialect_constrains),
        cmocka_unit_test(forced_calls_are_calls_with_the_right_reason),
        cmocka_unit_test(what_cannot_be_honoured_is_refused_with_its_place),
        cmocka_unit_test(a_model_without_calls_cannot_be_forced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
