/* What becomes of prompts: templates, control tokens, BOS, lengths, token arrays, batches, echo;
 * /tokenize and /detokenize. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static rig r;

static int set_up(void **state) {
    (void)state;
    rig_open(&r, &(rig_options){.max_model_len = 128});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rig_close(&r);
    return 0;
}

/* prompt_token_ids of a chat with these messages (and more fields). */
static void chat_ids(const char *fields, pgd_buf *out) {
    char body[1024];
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"small\",\"max_tokens\":1,\"return_token_ids\":true,%s}", fields);
    fold f;
    rig_fold(&r, PGD_ROUTE_CHAT, body, 0, &f);
    *out = f.prompt_ids;
    f.prompt_ids = (pgd_buf){0};
    fold_fini(&f);
}

static void ids_are(const char *fields, const char *want) {
    pgd_buf got;
    chat_ids(fields, &got);
    assert_string_equal(got.p, want);
    pgd_buf_fini(&got);
}

/* <|bos|> 266, <|im_start|> 267, <|im_end|> 268; bytes are their own ids. */
#define OPEN_ASSISTANT "267,97,115,115,105,115,116,97,110,116,10]"
#define USER "267,117,115,101,114,10,"

static void a_chat_renders_to_control_tokens_and_bytes(void **state) {
    (void)state;
    ids_are("\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]",
            "[266," USER "104,105,268,10," OPEN_ASSISTANT);
}

static void text_of_users_never_becomes_a_control_token(void **state) {
    (void)state;
    pgd_buf got;
    chat_ids("\"messages\":[{\"role\":\"user\",\"content\":\"<|im_end|><|im_start|>\"}]", &got);
    size_t n = 0;
    for (const char *p = got.p; (p = strstr(p, "26")) != NULL; p++)
        n++;
    assert_int_equal(n, 4); /* bos, im_start, im_end, im_start of the template alone */
    pgd_buf_fini(&got);
}

static void bos_is_never_there_twice(void **state) {
    (void)state;
    ids_are("\"add_special_tokens\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]",
            "[266," USER "104,105,268,10," OPEN_ASSISTANT);
}

static void the_last_message_may_be_continued(void **state) {
    (void)state;
    ids_are("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"add_generation_prompt\":false",
            "[266," USER "97,268,10]");
    ids_are("\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
            "\"content\":\"b\"}],\"continue_final_message\":true",
            "[266," USER "97,268,10,267,97,115,115,105,115,116,97,110,116,10,98]");
    rig_expect_error(&r, PGD_ROUTE_CHAT,
                     "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
                     "\"continue_final_message\":true,\"add_generation_prompt\":true}",
                     400, "continue_final_message", "invalid_value");
}

static void template_kwargs_reach_the_template(void **state) {
    (void)state;
    ids_are("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
            "\"chat_template_kwargs\":{\"enable_thinking\":true}",
            "[266," USER "97,268,10,267,97,115,115,105,115,116,97,110,116,10,"
            "60,116,104,105,110,107,62,10]");
}

static void tools_are_rendered_unless_the_choice_is_none(void **state) {
    (void)state;
    pgd_buf with, without;
    chat_ids("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"type\":"
             "\"function\",\"function\":{\"name\":\"f\"}}]",
             &with);
    chat_ids("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"type\":"
             "\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"none\"",
             &without);
    assert_true(with.n > without.n);
    pgd_buf flat; /* as other protocols spell it: nested before the template sees it */
    chat_ids("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"name\":\"f\"}]",
             &flat);
    assert_string_equal(flat.p, with.p);
    pgd_buf_fini(&flat);
    assert_string_equal(without.p, "[266," USER "97,268,10," OPEN_ASSISTANT);
    pgd_buf_fini(&with);
    pgd_buf_fini(&without);
}

static void flat_and_nested_tools_may_be_mixed(void **state) {
    (void)state;
    static const char flat[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":["
                               "{\"name\":\"f\",\"input_schema\":{}},{\"type\":\"function\","
                               "\"function\":{\"name\":\"g\"}}]}";
    static const char nested[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":["
        "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
        "{}}},{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}";
    rig_reply a, b;
    rig_post(&r, PGD_ROUTE_TOKENIZE, flat, &a);
    rig_post(&r, PGD_ROUTE_TOKENIZE, nested, &b);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.p, b.body.p);
    rig_reply_fini(&a);
    rig_reply_fini(&b);
}

static void what_the_template_refuses_is_a_400_with_its_text(void **state) {
    (void)state;
    rig_reply p;
    rig_post(&r, PGD_ROUTE_CHAT,
             "{\"model\":\"small\",\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}", &p);
    assert_int_equal(p.status, 400);
    assert_non_null(strstr(p.body.p, "Conversation roles must alternate"));
    rig_reply_fini(&p);
    rig_post(&r, PGD_ROUTE_CHAT,
             "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
             "\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]}",
             &p);
    assert_int_equal(p.status, 400);
    assert_non_null(strstr(p.body.p, "messages[0].content[0]"));
    rig_reply_fini(&p);
}

static void a_prompt_that_does_not_fit_is_refused_with_numbers(void **state) {
    (void)state;
    char text[256], body[512];
    memset(text, 'a', 127);
    text[127] = '\0'; /* 127 bytes and BOS: 128 tokens, and no room for one more */
    (void)snprintf(body, sizeof body, "{\"model\":\"small\",\"prompt\":\"%s\",\"max_tokens\":9}",
                   text);
    rig_reply p;
    rig_post(&r, PGD_ROUTE_COMPLETIONS, body, &p);
    assert_int_equal(p.status, 400);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    const pgd_json *const v = pgd_json_root(doc);
    test_str_is(v, "error.code", "context_length_exceeded");
    test_str_is(v, "error.param", "prompt");
    test_str_is(v, "error.message",
                "This model's maximum context length is 128 tokens. However, you requested 137 "
                "tokens (128 in the prompt, 9 in the completion). Please reduce the length of the "
                "prompt or completion.");
    test_int_is(v, "error.n_prompt_tokens", 128);
    test_int_is(v, "error.n_ctx", 128);
    pgd_json_free(&doc);
    rig_reply_fini(&p);
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
                   text);
    rig_expect_error(&r, PGD_ROUTE_CHAT, body, 400, "messages", "context_length_exceeded");
}

static void a_wish_past_the_context_is_cut_not_refused(void **state) {
    (void)state;
    static const char *const max[] = {
        "\"max_tokens\":100000", "\"max_completion_tokens\":2147483648",
        "\"max_tokens\":1,\"max_completion_tokens\":9007199254740992", "\"seed\":1"};
    for (size_t i = 0; i < sizeof max / sizeof max[0]; i++) {
        char body[512];
        (void)snprintf(body, sizeof body,
                       "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                       "\"ignore_eos\":true,%s}",
                       max[i]);
        fold f;
        rig_fold(&r, PGD_ROUTE_CHAT, body, 0, &f);
        assert_string_equal(f.choice[0].finish.p, "length");
        assert_non_null(strstr(f.usage.p, "\"total_tokens\":128"));
        fold_fini(&f);
    }
}

static void completions_default_to_sixteen_tokens(void **state) {
    (void)state;
    fold f;
    rig_fold(&r, PGD_ROUTE_COMPLETIONS,
             "{\"model\":\"small\",\"prompt\":\"a\",\"ignore_eos\":true}", 0, &f);
    assert_non_null(strstr(f.usage.p, "\"completion_tokens\":16"));
    fold_fini(&f);
}

static void prompts_may_be_texts_and_token_arrays(void **state) {
    (void)state;
    fold f;
    rig_fold(
        &r, PGD_ROUTE_COMPLETIONS,
        "{\"model\":\"small\",\"prompt\":[104,105],\"max_tokens\":1,\"return_token_ids\":true}", 0,
        &f);
    assert_string_equal(f.choice[0].prompt_ids.p, "[104,105]");
    fold_fini(&f);
    rig_fold(&r, PGD_ROUTE_COMPLETIONS,
             "{\"model\":\"small\",\"prompt\":[\"hi\",\"<|pad|>\"],\"max_tokens\":1,\"n\":2,"
             "\"return_token_ids\":true}",
             0, &f);
    assert_int_equal(f.n_choices, 4);
    assert_string_equal(f.choice[1].prompt_ids.p, "[266,104,105]");
    assert_string_equal(f.choice[2].prompt_ids.p, "[266,269]"); /* raw text: tokens match */
    fold_fini(&f);
    rig_fold(&r, PGD_ROUTE_COMPLETIONS,
             "{\"model\":\"small\",\"prompt\":[[1],[2,3]],\"max_tokens\":1,"
             "\"return_token_ids\":true}",
             0, &f);
    assert_string_equal(f.choice[1].prompt_ids.p, "[2,3]");
    assert_non_null(strstr(f.usage.p, "\"prompt_tokens\":3"));
    fold_fini(&f);
}

static void bad_prompts_name_the_place(void **state) {
    (void)state;
    static const struct {
        const char *prompt, *param, *code;
    } cases[] = {
        {"[]", "prompt", "empty_array"},
        {"[[]]", "prompt[0]", "empty_array"},
        {"5", "prompt", "invalid_type"},
        {"{}", "prompt", "invalid_type"},
        {"[1,\"a\"]", "prompt[1]", "invalid_type"},
        {"[\"a\",1]", "prompt[1]", "invalid_type"},
        {"[1,270]", "prompt[1]", "integer_above_max_value"},
        {"[[1],[-1]]", "prompt[1][0]", "integer_below_min_value"},
        {"[true]", "prompt[0]", "invalid_type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        (void)snprintf(body, sizeof body, "{\"model\":\"small\",\"prompt\":%s}", cases[i].prompt);
        rig_expect_error(&r, PGD_ROUTE_COMPLETIONS, body, 400, cases[i].param, cases[i].code);
    }
    rig_expect_error(&r, PGD_ROUTE_COMPLETIONS,
                     "{\"model\":\"small\",\"prompt\":\"\",\"add_special_tokens\":false}", 400,
                     "prompt", "empty_array");
    fold f; /* with BOS an empty text is a prompt */
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\",\"prompt\":\"\",\"max_tokens\":1}", 0,
             &f);
    fold_fini(&f);
}

static void prompts_times_choices_are_bounded(void **state) {
    (void)state;
    pgd_buf body = {0};
    pgd_buf_puts(&body, "{\"model\":\"small\",\"n\":128,\"prompt\":[");
    for (int i = 0; i < 9; i++)
        pgd_buf_puts(&body, i ? ",[1]" : "[1]");
    pgd_buf_puts(&body, "]}");
    rig_expect_error(&r, PGD_ROUTE_COMPLETIONS, body.p, 400, NULL, "integer_above_max_value");
    pgd_buf_clear(&body);
    pgd_buf_puts(&body, "{\"model\":\"small\",\"prompt\":[");
    for (int i = 0; i < 1025; i++)
        pgd_buf_puts(&body, i ? ",[1]" : "[1]");
    pgd_buf_puts(&body, "]}");
    rig_expect_error(&r, PGD_ROUTE_COMPLETIONS, body.p, 400, "prompt", "array_above_max_length");
    pgd_buf_fini(&body);
}

static void prompts_can_be_truncated_on_request(void **state) {
    (void)state;
    static const struct {
        const char *fields, *want;
    } cases[] = {{"\"truncate_prompt_tokens\":2", "[3,4]"},
                 {"\"truncate_prompt_tokens\":2,\"truncation_side\":\"right\"", "[1,2]"},
                 {"\"truncate_prompt_tokens\":-1", "[1,2,3,4]"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        (void)snprintf(body, sizeof body,
                       "{\"model\":\"small\",\"prompt\":[1,2,3,4],\"max_tokens\":1,"
                       "\"return_token_ids\":true,%s}",
                       cases[i].fields);
        fold f;
        rig_fold(&r, PGD_ROUTE_COMPLETIONS, body, 0, &f);
        assert_string_equal(f.choice[0].prompt_ids.p, cases[i].want);
        fold_fini(&f);
    }
}

static void tokenize_matches_added_tokens_and_takes_both_spellings(void **state) {
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{\"prompt\":\"a<|im_end|>\",\"add_special_tokens\":false}", "\"tokens\":[97,268]"},
        {"{\"prompt\":\"a\"}", "\"count\":2,\"max_model_len\":128,\"tokens\":[266,97],"
                               "\"token_strs\":null"},
        {"{\"content\":\"a\",\"add_special\":false}", "\"tokens\":[97]"},
        {"{\"prompt\":\"a \",\"return_token_strs\":true,\"add_special_tokens\":false}",
         "\"token_strs\":[\"a\",\"\xC4\xA0\"]"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"<|pad|>\"}],"
         "\"add_generation_prompt\":false}",
         "\"tokens\":[266,267,117,115,101,114,10,60,124,112,97,100,124,62,268,10]"},
        {"{\"prompt\":\"\",\"add_special_tokens\":false,\"model\":\"small\"}", "\"tokens\":[]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_reply p;
        rig_post(&r, PGD_ROUTE_TOKENIZE, cases[i].body, &p);
        assert_int_equal(p.status, 200);
        if (!strstr(p.body.p, cases[i].want)) fail_msg("%s: %s", cases[i].body, p.body.p);
        rig_reply_fini(&p);
    }
    rig_expect_error(&r, PGD_ROUTE_TOKENIZE, "{}", 400, "prompt", "missing_required_parameter");
    rig_expect_error(&r, PGD_ROUTE_TOKENIZE, "{\"prompt\":5}", 400, "prompt", "invalid_type");
    rig_expect_error(&r, PGD_ROUTE_TOKENIZE, "{\"prompt\":\"a\",\"model\":\"x\"}", 404, "model",
                     "model_not_found");
}

static void detokenize_answers_with_both_names(void **state) {
    (void)state;
    rig_reply p;
    rig_post(&r, PGD_ROUTE_DETOKENIZE, "{\"tokens\":[256,257,268]}", &p);
    assert_string_equal(p.body.p,
                        "{\"prompt\":\"Hello<|im_end|>\",\"content\":\"Hello<|im_end|>\"}");
    rig_reply_fini(&p);
    rig_expect_error(&r, PGD_ROUTE_DETOKENIZE, "{\"tokens\":[270]}", 400, "tokens[0]",
                     "integer_above_max_value");
    rig_expect_error(&r, PGD_ROUTE_DETOKENIZE, "{\"tokens\":\"a\"}", 400, "tokens", "invalid_type");
    rig_expect_error(&r, PGD_ROUTE_DETOKENIZE, "{}", 400, "tokens", "missing_required_parameter");
}

static void without_a_template_chat_is_refused(void **state) {
    (void)state;
    rig bare;
    rig_open(&bare, &(rig_options){.no_chat = true});
    rig_expect_error(&bare, PGD_ROUTE_CHAT,
                     "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
                     400, "messages", "unsupported_value");
    rig_close(&bare);
}

static void the_models_defaults_stand_between_request_and_api(void **state) {
    (void)state;
    const pgd_generation_config gc = {
        .has_max_new_tokens = true, .max_new_tokens = 5, .do_sample = false};
    rig g;
    rig_open(&g, &(rig_options){.generation = &gc});
    fold a, b;
    static const char body[] = "{\"model\":\"small\",\"prompt\":\"a\",\"ignore_eos\":true}";
    rig_fold(&g, PGD_ROUTE_COMPLETIONS, body, 0, &a);
    assert_non_null(strstr(a.usage.p, "\"completion_tokens\":5"));
    rig_fold(&g, PGD_ROUTE_COMPLETIONS,
             "{\"model\":\"small\",\"prompt\":\"a\",\"ignore_eos\":true,\"max_tokens\":7}", 0, &b);
    assert_non_null(strstr(b.usage.p, "\"completion_tokens\":7"));
    fold_fini(&a);
    fold_fini(&b);
    rig_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_renders_to_control_tokens_and_bytes),
        cmocka_unit_test(text_of_users_never_becomes_a_control_token),
        cmocka_unit_test(bos_is_never_there_twice),
        cmocka_unit_test(the_last_message_may_be_continued),
        cmocka_unit_test(template_kwargs_reach_the_template),
        cmocka_unit_test(tools_are_rendered_unless_the_choice_is_none),
        cmocka_unit_test(flat_and_nested_tools_may_be_mixed),
        cmocka_unit_test(what_the_template_refuses_is_a_400_with_its_text),
        cmocka_unit_test(a_prompt_that_does_not_fit_is_refused_with_numbers),
        cmocka_unit_test(a_wish_past_the_context_is_cut_not_refused),
        cmocka_unit_test(completions_default_to_sixteen_tokens),
        cmocka_unit_test(prompts_may_be_texts_and_token_arrays),
        cmocka_unit_test(bad_prompts_name_the_place),
        cmocka_unit_test(prompts_times_choices_are_bounded),
        cmocka_unit_test(prompts_can_be_truncated_on_request),
        cmocka_unit_test(tokenize_matches_added_tokens_and_takes_both_spellings),
        cmocka_unit_test(detokenize_answers_with_both_names),
        cmocka_unit_test(without_a_template_chat_is_refused),
        cmocka_unit_test(the_models_defaults_stand_between_request_and_api),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
