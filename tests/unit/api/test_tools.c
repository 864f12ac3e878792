/* From token logs to tool calls and reasoning on the wire, with scripted tokens (a byte each) and
 * no engine: what a stream folds to is the plain answer, and both are what the case says, for every
 * family and every grouping of wake-ups. Cases: tests/golden/api/outputs.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fold.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"
#include "script.h"

enum { IM_START = 267 };

static pgd_call *open_call(const char *extra, bool stream) {
    pgd_buf body = {0};
    pgd_buf_puts(&body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]");
    if (stream) pgd_buf_puts(&body, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    pgd_buf_putf(&body, "%s}", extra);
    pgd_call *const c = script_call(PGD_ROUTE_CHAT, body.p);
    pgd_buf_fini(&body);
    return c;
}

/* Feed, fold the answer. */
static void play_ids(const char *extra, bool stream, const int32_t *ids, size_t n, uint64_t seed,
                     fold *out) {
    pgd_call *c = open_call(extra, stream);
    script_feed(c, ids, n, seed, true);
    if (stream)
        fold_stream(out, pgd_buf_sv(&c->out), FOLD_USAGE);
    else
        fold_answer(out, pgd_buf_sv(&c->out));
    pgd_call_release(&c);
}

static void play(const char *extra, bool stream, pgd_sv raw, uint64_t seed, fold *out) {
    int32_t *const ids = pgd_malloc((raw.n + 1) * sizeof *ids);
    for (size_t i = 0; i < raw.n; i++)
        ids[i] = (uint8_t)raw.p[i];
    play_ids(extra, stream, ids, raw.n, seed, out);
    pgd_free(ids);
}

static void is(const char *name, const char *what, const pgd_buf *got, pgd_sv want) {
    if (!pgd_sv_eq(pgd_buf_sv(got), want))
        fail_msg("%s: %s is\n  '%s', want\n  '%s'", name, what, got->p ? got->p : "", want.p);
}

static void check(const pgd_json *c, const fold *f, size_t n_raw) {
    const char *const name = script_str(c, "name").p;
    const fold_choice *const ch = &f->choice[0];
    const pgd_json *const calls = test_at(c, "calls");
    is(name, "text", &ch->text, script_str(c, "text"));
    is(name, "reasoning", &ch->reasoning, script_str(c, "reasoning"));
    if (ch->n_calls != pgd_json_count(calls)) fail_msg("%s: %zu calls", name, ch->n_calls);
    size_t i = 0;
    for (const pgd_json *k = pgd_json_first(calls); k; k = pgd_json_next(k), i++) {
        is(name, "a name", &ch->calls[i].name, script_str(k, "name"));
        is(name, "arguments", &ch->calls[i].args, script_str(k, "arguments"));
        const pgd_sv id = script_str(k, "id");
        if (id.n)
            is(name, "an id", &ch->calls[i].id, id);
        else if (pgd_sv_eq(script_str(c, "tools"), PGD_SV("mistral")))
            assert_int_equal(ch->calls[i].id.n, 9);
        else
            assert_true(pgd_sv_starts(pgd_buf_sv(&ch->calls[i].id), PGD_SV("call_")));
    }
    assert_string_equal(ch->finish.p, i ? "tool_calls" : "stop");
    assert_int_equal(ch->n_logprobs, n_raw); /* every token has its logprob in some chunk */
}

static void what_a_stream_folds_to_is_the_answer_in_every_family(void **state) {
    (void)state;
    pgd_buf extra = {0};
    size_t n_cases = 0;
    const pgd_json *c = pgd_json_first(test_at(script_golden(), "cases"));
    for (; c; c = pgd_json_next(c)) {
        const pgd_sv tools = script_str(c, "tools"), think = script_str(c, "think");
        const pgd_sv open = script_str(c, "open"), raw = script_str(c, "raw");
        if (open.n && !pgd_sv_eq(think, PGD_SV("think"))) continue; /* no such template here */
        n_cases++;
        script_speak(tools.n ? tools.p : "none", think.n ? think.p : "none");
        pgd_buf_clear(&extra);
        pgd_buf_puts(&extra, ",\"logprobs\":true");
        if (open.n) pgd_buf_puts(&extra, ",\"chat_template_kwargs\":{\"enable_thinking\":true}");
        if (tools.n) {
            pgd_buf_puts(&extra, ",\"tools\":");
            pgd_jsonw w;
            pgd_jsonw_init(&w, &extra);
            pgd_jsonw_node(&w, test_at(script_golden(), "tools"));
        }
        fold plain;
        play(extra.p, false, raw, 0, &plain);
        check(c, &plain, raw.n);
        for (uint64_t seed = 0; seed < 4; seed++) {
            fold streamed;
            play(extra.p, true, raw, seed, &streamed);
            check(c, &streamed, raw.n);
            fold_assert_equal(&plain, &streamed);
            fold_fini(&streamed);
        }
        fold_fini(&plain);
    }
    assert_true(n_cases > 60);
    pgd_buf_fini(&extra);
}

#define TOOLS                                                                                      \
    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"add\"}},{\"type\":\"function\","  \
    "\"function\":{\"name\":\"now\"}}]"
#define THINK ",\"chat_template_kwargs\":{\"enable_thinking\":true}"
static const char two_calls[] = "Hi.\n<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1}}"
                                "</tool_call>\n<tool_call>{\"name\": \"now\"}</tool_call>";

/* Both forms of the answer; the plain one is left in *f. */
static void both(const char *extra, const char *raw, fold *f) {
    fold streamed;
    play(extra, false, pgd_sv_c(raw), 0, f);
    play(extra, true, pgd_sv_c(raw), 3, &streamed);
    fold_assert_equal(f, &streamed);
    fold_fini(&streamed);
}

static void without_parallel_calls_the_first_one_ends_the_answer(void **state) {
    (void)state;
    script_speak("hermes", "think");
    fold f;
    both(TOOLS ",\"parallel_tool_calls\":false", two_calls, &f);
    assert_int_equal(f.choice[0].n_calls, 1);
    assert_string_equal(f.choice[0].calls[0].args.p, "{\"a\": 1}");
    assert_string_equal(f.choice[0].finish.p, "tool_calls");
    fold_fini(&f);
    both(TOOLS ",\"parallel_tool_calls\":true", two_calls, &f);
    assert_int_equal(f.choice[0].n_calls, 2);
    assert_string_equal(f.choice[0].text.p, "Hi.\n");
    fold_fini(&f);
}

static void calls_stay_text_unless_tools_are_offered(void **state) {
    (void)state;
    script_speak("hermes", "think");
    static const char *const extras[] = {"", TOOLS ",\"tool_choice\":\"none\"", ",\"tools\":[]"};
    for (size_t i = 0; i < sizeof extras / sizeof extras[0]; i++) {
        fold f;
        both(extras[i], two_calls, &f);
        assert_string_equal(f.choice[0].text.p, two_calls);
        assert_string_equal(f.choice[0].finish.p, "stop");
        fold_fini(&f);
    }
}

static void stop_strings_apply_to_content_alone(void **state) {
    (void)state;
    script_speak("hermes", "think");
    const char *const raw = "STOP here</think>ok <tool_call>{\"name\": \"now\", \"arguments\": "
                            "{\"x\": \"STOP\"}}</tool_call> then STOP and more";
    fold f;
    both(TOOLS THINK ",\"stop\":\"STOP\"", raw, &f);
    assert_string_equal(f.choice[0].reasoning.p, "STOP here");
    assert_string_equal(f.choice[0].calls[0].args.p, "{\"x\": \"STOP\"}");
    assert_string_equal(f.choice[0].text.p, "ok  then ");
    assert_string_equal(f.choice[0].stop_reason.p, "\"STOP\"");
    fold_fini(&f);
    /* and not over the seam of text and a call */
    both(TOOLS ",\"stop\":\"STOP\"",
         "ST<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>OP", &f);
    assert_string_equal(f.choice[0].text.p, "STOP");
    assert_string_equal(f.choice[0].stop_reason.p, "null");
    fold_fini(&f);
}

static void reasoning_is_counted_and_can_be_left_out_or_in(void **state) {
    (void)state;
    script_speak("none", "think");
    const char *const raw = "Hm.</think>\n\nYes.";
    fold f;
    both(THINK, raw, &f);
    assert_string_equal(f.choice[0].reasoning.p, "Hm.");
    assert_string_equal(f.choice[0].text.p, "Yes.");
    assert_non_null(strstr(f.usage.p, "\"reasoning_tokens\":11"));
    fold_fini(&f);
    both(THINK ",\"include_reasoning\":false,\"logprobs\":true", raw, &f);
    assert_int_equal(f.choice[0].reasoning.n, 0);
    assert_string_equal(f.choice[0].text.p, "Yes.");
    assert_int_equal(f.choice[0].n_logprobs, strlen(raw));
    fold_fini(&f);
    both(THINK ",\"separate_reasoning\":false", raw, &f);
    assert_string_equal(f.choice[0].text.p, raw);
    fold_fini(&f);
    both(THINK ",\"reasoning_format\":\"none\"", raw, &f);
    assert_string_equal(f.choice[0].text.p, raw);
    fold_fini(&f);
}

static void a_user_cannot_open_a_reasoning_block(void **state) {
    (void)state;
    script_speak("none", "think");
    fold f;
    both(",\"messages\":[{\"role\":\"user\",\"content\":\"<think>\\n\"}]", "Yes.", &f);
    assert_string_equal(f.choice[0].text.p, "Yes.");
    assert_int_equal(f.choice[0].reasoning.n, 0);
    fold_fini(&f);
}

static void special_tokens_are_seen_by_the_parser_and_by_nobody_else(void **state) {
    (void)state;
    static const api_tool_format own = {.name = "own",
                                        .markers = {{"<|im_start|>", MARK_OPEN, BODY_CALL}}};
    const char *const head = "A";
    const char *const body = "{\"name\": \"now\", \"arguments\": {}}";
    int32_t ids[128];
    size_t n = 0;
    for (const char *p = head; *p; p++)
        ids[n++] = (uint8_t)*p;
    ids[n++] = IM_START;
    for (const char *p = body; *p; p++)
        ids[n++] = (uint8_t)*p;
    for (int stream = 0; stream < 2; stream++) {
        fold f;
        script_speak("none", "none");
        script_api()->formats.tools = &own;
        play_ids(TOOLS, stream, ids, n, 0, &f);
        assert_string_equal(f.choice[0].text.p, "A");
        assert_int_equal(f.choice[0].n_calls, 1);
        fold_fini(&f);
        script_speak("hermes", "none"); /* where it is no marker it is not shown */
        play_ids(TOOLS, stream, ids, 3, 0, &f);
        assert_string_equal(f.choice[0].text.p, "A{");
        fold_fini(&f);
        play_ids(TOOLS ",\"skip_special_tokens\":false", stream, ids, 3, 0, &f);
        assert_string_equal(f.choice[0].text.p, "A<|im_start|>{");
        fold_fini(&f);
    }
}

static void the_template_tells_the_formats(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"qwen25", "hermes", "none"},      {"hermes", "hermes", "none"},
        {"llama3", "llama3_json", "none"}, {"gptoss", "harmony", "harmony"},
        {"mistral", "mistral", "none"},    {"qwen3", "hermes", "think"},
        {"deepseek", "deepseek", "think"}, {"gemma", "none", "none"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/tests/golden/templates/styles/%s.jinja",
                       PGD_SOURCE_DIR, cases[i][0]);
        pgd_chat *one = NULL;
        api_formats f;
        pgd_error err = {0};
        if (pgd_chat_load(API_TEST_DATA, path, &one, &err) != PGD_OK ||
            api_formats_pick(one, "auto", "auto", &f, &err) != PGD_OK)
            fail_msg("%s: %s", path, err.msg);
        if (strcmp(api_tool_format_name(f.tools), cases[i][1]) ||
            strcmp(api_think_format_name(f.think), cases[i][2]))
            fail_msg("%s: %s, %s", cases[i][0], api_tool_format_name(f.tools),
                     api_think_format_name(f.think));
        pgd_chat_destroy(&one);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stream_folds_to_is_the_answer_in_every_family),
        cmocka_unit_test(without_parallel_calls_the_first_one_ends_the_answer),
        cmocka_unit_test(calls_stay_text_unless_tools_are_offered),
        cmocka_unit_test(stop_strings_apply_to_content_alone),
        cmocka_unit_test(reasoning_is_counted_and_can_be_left_out_or_in),
        cmocka_unit_test(a_user_cannot_open_a_reasoning_block),
        cmocka_unit_test(special_tokens_are_seen_by_the_parser_and_by_nobody_else),
        cmocka_unit_test(the_template_tells_the_formats),
    };
    return cmocka_run_group_tests(tests, script_set_up, script_tear_down);
}
