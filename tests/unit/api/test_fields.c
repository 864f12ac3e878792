/* Every field against every kind of value, through whole calls: the answer is 200, or 400 with the
 * error object; never a 500, never silence where a feature is not served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/params.h"
#include "rig.h"

static const char *const values[] = {"-1",
                                     "0",
                                     "1",
                                     "2147483648",
                                     "9007199254740992",
                                     "9223372036854775807",
                                     "1e308",
                                     "-1e308",
                                     "1e-320",
                                     "\"NaN\"",
                                     "\"text\"",
                                     "\"\"",
                                     "null",
                                     "true",
                                     "false",
                                     "[]",
                                     "{}",
                                     "[1]",
                                     "[\"a\"]",
                                     "[[1]]",
                                     "[[]]",
                                     "[null]",
                                     "{\"a\":1}",
                                     "{\"type\":\"text\"}",
                                     "16.0",
                                     "0.5",
                                     "-0.0",
                                     "1e5",
                                     "[{\"name\":\"f\"}]"};
enum { N_VALUES = sizeof values / sizeof values[0] };

static void check_reply(const char *body, rig_reply *p) {
    if (p->status == 200) return;
    if (p->status != 400 && !(p->status == 404 && strstr(body, "\"model\":")))
        fail_msg("status %d for %s: %s", p->status, body, p->body.p);
    pgd_json_doc *doc = test_json(p->body.p, p->body.n);
    const pgd_json *const e = test_at(pgd_json_root(doc), "error");
    test_str_is(e, "type", "invalid_request_error");
    (void)test_at(e, "param");
    (void)test_at(e, "code");
    assert_true(p->body.n < 2048);
    pgd_json_free(&doc);
}

/* A body with the wanted field, and the required ones beside it unless it is one of them. */
static void make_body(pgd_route route, const char *field, const char *value, char *out,
                      size_t cap) {
    const bool chat = route == PGD_ROUTE_CHAT;
    const char *const need = chat ? "messages" : "prompt";
    (void)snprintf(out, cap, "{%s%s%s\"%s\":%s}",
                   strcmp(field, "model") == 0 ? "" : "\"model\":\"small\",",
                   strcmp(field, need) == 0 ? ""
                   : chat ? "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                          : "\"prompt\":\"hi\",",
                   strcmp(field, "max_tokens") == 0 ? "" : "\"max_tokens\":2,", field, value);
}

static void any_value_in_any_field_is_answered(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_model_len = 64, .mean_len = 4, .enable_priority = true});
    static const pgd_route route[2] = {PGD_ROUTE_CHAT, PGD_ROUTE_COMPLETIONS};
    unsigned n_ok = 0, n_bad = 0;
    for (size_t row = 0; row < api_fields_count(); row++) {
        unsigned routes;
        const char *const name = api_fields_name(row, &routes);
        for (int k = 0; k < 2; k++) {
            if (!(routes & (k == 0 ? API_ON_CHAT : API_ON_COMPLETIONS))) continue;
            for (size_t v = 0; v < N_VALUES; v++) {
                char body[512];
                make_body(route[k], name, values[v], body, sizeof body);
                rig_reply p;
                rig_post(&r, route[k], body, &p);
                check_reply(body, &p);
                *(p.status == 200 ? &n_ok : &n_bad) += 1;
                rig_reply_fini(&p);
            }
        }
    }
    print_message("accepted %u, refused %u\n", n_ok, n_bad);
    assert_true(n_ok > 300 && n_bad > 300);
    rig_close(&r);
}

static void numbers_out_of_range_never_pass(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_model_len = 64});
    static const struct {
        const char *field, *value, *code;
    } cases[] = {
        {"temperature", "-0.1", "decimal_below_min_value"},
        {"temperature", "2.1", "decimal_above_max_value"},
        {"temperature", "1e308", "decimal_above_max_value"},
        {"top_p", "1.01", "decimal_above_max_value"},
        {"min_p", "-1", "decimal_below_min_value"},
        {"n", "2147483648", "integer_above_max_value"},
        {"n", "-1", "integer_below_min_value"},
        {"max_tokens", "-1", "integer_below_min_value"},
        {"max_tokens", "1e308", "integer_above_max_value"},
        {"top_k", "2147483648", "integer_above_max_value"},
        {"top_k", "-2", "integer_below_min_value"},
        {"min_tokens", "-1", "integer_below_min_value"},
        {"min_tokens", "9007199254740992", "integer_above_max_value"},
        {"presence_penalty", "2.5", "decimal_above_max_value"},
        {"frequency_penalty", "-2.5", "decimal_below_min_value"},
        {"repetition_penalty", "0", "decimal_below_min_value"},
        {"priority", "2147483648", "integer_above_max_value"},
        {"seed", "1e308", "integer_above_max_value"},
        {"truncate_prompt_tokens", "-2", "integer_below_min_value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        make_body(PGD_ROUTE_CHAT, cases[i].field, cases[i].value, body, sizeof body);
        rig_expect_error(&r, PGD_ROUTE_CHAT, body, 400, cases[i].field, cases[i].code);
    }
    rig_close(&r);
}

static void unknown_fields_of_other_servers_are_ignored(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    fold f;
    rig_fold(&r, PGD_ROUTE_CHAT,
             "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
             "\"max_tokens\":2,\"num_ctx\":4096,\"keep_alive\":\"5m\",\"chat_id\":1,"
             "\"mirostat\":2,\"metadata\":{\"a\":\"b\"},\"store\":true,\"user\":\"u\","
             "\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":true},"
             "\"parallel_tool_calls\":true,\"reasoning_effort\":\"low\",\"tools\":[],"
             "\"tool_choice\":\"auto\",\"response_format\":{\"type\":\"text\"},"
             "\"web_search_options\":{},\"prediction\":{}}",
             0, &f);
    fold_fini(&f);
    rig_close(&r);
}

static void priority_is_honoured_or_named_as_ignored(void **state) {
    (void)state;
    for (int enabled = 0; enabled < 2; enabled++)
        for (int may = 0; may < 2; may++) {
            rig r;
            rig_open(&r, &(rig_options){.enable_priority = enabled != 0});
            const pgd_api_request rq = {.route = PGD_ROUTE_COMPLETIONS,
                                        .may_set_priority = may != 0};
            rig_reply p;
            rig_finish(&r,
                       rig_begin_as(&r, &rq,
                                    "{\"model\":\"small\",\"prompt\":\"a\",\"priority\":3,"
                                    "\"max_tokens\":1}"),
                       &p);
            assert_int_equal(p.status, 200);
            assert_string_equal(rig_header(&p, "x-pagoda-ignored"),
                                enabled && may ? "" : "priority");
            rig_reply_fini(&p);
            rig_close(&r);
        }
}

static void top_logprobs_need_logprobs(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_logprobs = 5});
#define HI "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
    rig_expect_error(&r, PGD_ROUTE_CHAT, HI "\"top_logprobs\":2}", 400, "top_logprobs",
                     "invalid_value");
    rig_expect_error(&r, PGD_ROUTE_CHAT, HI "\"logprobs\":true,\"top_logprobs\":6}", 400,
                     "top_logprobs", "integer_above_max_value");
    rig_expect_error(&r, PGD_ROUTE_CHAT, HI "\"logprobs\":true,\"top_logprobs\":21}", 400,
                     "top_logprobs", "integer_above_max_value");
    rig_close(&r);
}

static void long_and_many_things_are_refused(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    static const struct {
        const char *before, *piece, *after, *param, *code;
        int times;
    } cases[] = {
        {"\"stop\":\"", "a", "\"", "stop", "string_above_max_length", 1025},
        {"\"cache_salt\":\"", "a", "\"", "cache_salt", "string_above_max_length", 129},
        {"\"stop_token_ids\":[0", ",1", "]", "stop_token_ids", "array_above_max_length", 48},
        {"\"tools\":[{\"name\":\"f\"}", ",{\"name\":\"f\"}", "]", "tools", "array_above_max_length",
         1024},
        {"\"stream_options\":{\"include_usage\":", "1", "}", "stream_options.include_usage",
         "invalid_type", 1},
        {"\"messages\":[{\"role\":\"user\",\"content\":[", "{\"type\":\"text\",\"text\":\"a\"},",
         "{}]}]", "messages[0].content", "array_above_max_length", 1024},
        {"\"messages\":[", "{\"role\":\"user\",\"content\":\"\"},", "{}]", "messages",
         "array_above_max_length", 16384},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_buf body = {0};
        pgd_buf_puts(&body, "{\"model\":\"small\",");
        if (!strstr(cases[i].before, "messages"))
            pgd_buf_puts(&body, "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],");
        pgd_buf_puts(&body, cases[i].before);
        for (int k = 0; k < cases[i].times; k++)
            pgd_buf_puts(&body, cases[i].piece);
        pgd_buf_puts(&body, cases[i].after);
        pgd_buf_puts(&body, "}");
        rig_expect_error(&r, PGD_ROUTE_CHAT, body.p, 400, cases[i].param, cases[i].code);
        pgd_buf_fini(&body);
    }
    rig_close(&r);
}

/* No token is generated, so that the memory of the logs is never touched. */
static void logs_beyond_all_memory_are_refused(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_model_len = 100000});
    rig_expect_error(&r, PGD_ROUTE_CHAT, HI "\"logprobs\":true,\"top_logprobs\":20,\"n\":128}", 400,
                     "max_tokens", "invalid_value");
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_value_in_any_field_is_answered),
        cmocka_unit_test(numbers_out_of_range_never_pass),
        cmocka_unit_test(unknown_fields_of_other_servers_are_ignored),
        cmocka_unit_test(priority_is_honoured_or_named_as_ignored),
        cmocka_unit_test(top_logprobs_need_logprobs),
        cmocka_unit_test(long_and_many_things_are_refused),
        cmocka_unit_test(logs_beyond_all_memory_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
