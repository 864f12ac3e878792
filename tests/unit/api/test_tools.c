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

#include "api/call.h"
#include "api/parse_int.h"
#include "fold.h"
#include "pagoda/fs.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"
#include "support.h"

enum { IM_START = 267, IM_END = 268 };

static pgd_api *api;
static pgd_api_loop *loop;
static pgd_tokenizer *tok;
static pgd_chat *chat;
static pgd_json_doc *golden;
static pgd_model_spec spec = {.vocab_size = 272, .eos_ids = {IM_END}, .n_eos = 1};
static const char *const names[] = {"m"};

static void no_wake(void *ctx) {
    (void)ctx;
}

static int set_up(void **state) {
    (void)state;
    const pgd_api_options opt = {.n_workers = 1};
    tok = test_tokenizer();
    chat = test_chat();
    const pgd_api_model model = {.tokenizer = tok,
                                 .chat = chat,
                                 .spec = &spec,
                                 .names = names,
                                 .n_names = 1,
                                 .max_model_len = 4096,
                                 .max_logprobs = 20};
    if (pgd_api_create(&opt, &api, NULL) != PGD_OK) return -1;
    pgd_api_attach(api, &model);
    pgd_buf text = {0};
    pgd_error err = {0};
    if (pgd_fs_read(API_GOLDEN "/outputs.json", 1 << 20, &text, &err) != PGD_OK) return -1;
    golden = test_json(text.p, text.n);
    pgd_buf_fini(&text);
    return pgd_api_loop_create(api, no_wake, NULL, &loop) == PGD_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    pgd_json_free(&golden);
    pgd_api_loop_destroy(&loop);
    pgd_api_destroy(&api);
    pgd_chat_destroy(&chat);
    pgd_tokenizer_destroy(&tok);
    return 0;
}

static void speak(const char *tools, const char *think) {
    pgd_error err = {0};
    if (pgd_api_get_state(api) != PGD_API_READY) fail_msg("no model");
    if (api_formats_pick(NULL, tools, think, &api->formats, &err) != PGD_OK)
        fail_msg("%s", err.msg);
}

/* A call in phase RUN as prep leaves it, its requests never submitted. */
static pgd_call *open_call(const char *extra, bool stream) {
    pgd_call *const c = pgd_calloc(1, sizeof *c);
    c->api = api;
    c->loop = loop;
    c->model = &api->model_data;
    c->route = PGD_ROUTE_CHAT;
    c->wire = &api_wire_chat;
    (void)snprintf(c->id, sizeof c->id, "x-1");
    pgd_buf_puts(&c->body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]");
    if (stream)
        pgd_buf_puts(&c->body, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    pgd_buf_putf(&c->body, "%s}", extra);
    api_prep_run(c);
    if (c->err.status != PGD_OK) fail_msg("%s", c->err.msg);
    c->phase = API_RUN;
    return c;
}

static void log_token(pgd_call *c, int32_t id) {
    pgd_toklog *const log = &c->g.requests[0].r.out[0];
    const uint32_t n = atomic_load(&log->len);
    assert_true(n < log->cap);
    log->token[n] = id;
    if (log->logprob) log->logprob[n] = -0.25f * (float)(n + 1);
    atomic_store(&log->len, n + 1);
}

/* Feed in groups drawn from seed (0: one by one), end with an end token, fold the answer. */
static void play_ids(const char *extra, bool stream, const int32_t *ids, size_t n, uint64_t seed,
                     fold *out) {
    pgd_call *c = open_call(extra, stream);
    for (size_t at = 0; at < n && c->phase == API_RUN;) {
        size_t group = seed ? 1 + test_rand(&seed) % 9 : 1;
        for (; group && at < n; group--)
            log_token(c, ids[at++]);
        (void)api_call_pump(c, 0, c->g.n_choices);
    }
    if (c->phase == API_RUN) {
        log_token(c, IM_END);
        pgd_toklog *const log = &c->g.requests[0].r.out[0];
        log->stop_token = IM_END;
        atomic_store(&log->finish, (uint32_t)PGD_FINISH_STOP);
        (void)api_call_pump(c, 0, c->g.n_choices);
    }
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_int_equal(pgd_call_http_status(c), 200);
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

static pgd_sv str_of(const pgd_json *v, const char *key) {
    pgd_sv s = {"", 0};
    (void)pgd_json_as_str(pgd_json_get(v, key), &s);
    return s;
}

static void is(const char *name, const char *what, const pgd_buf *got, pgd_sv want) {
    if (!pgd_sv_eq(pgd_buf_sv(got), want))
        fail_msg("%s: %s is\n  '%s', want\n  '%s'", name, what, got->p ? got->p : "", want.p);
}

static void check(const pgd_json *c, const fold *f, size_t n_raw) {
    const char *const name = str_of(c, "name").p;
    const fold_choice *const ch = &f->choice[0];
    const pgd_json *const calls = test_at(c, "calls");
    is(name, "text", &ch->text, str_of(c, "text"));
    is(name, "reasoning", &ch->reasoning, str_of(c, "reasoning"));
    if (ch->n_calls != pgd_json_count(calls)) fail_msg("%s: %zu calls", name, ch->n_calls);
    size_t i = 0;
    for (const pgd_json *k = pgd_json_first(calls); k; k = pgd_json_next(k), i++) {
        is(name, "a name", &ch->calls[i].name, str_of(k, "name"));
        is(name, "arguments", &ch->calls[i].args, str_of(k, "arguments"));
        const pgd_sv id = str_of(k, "id");
        if (id.n)
            is(name, "an id", &ch->calls[i].id, id);
        else if (pgd_sv_eq(str_of(c, "tools"), PGD_SV("mistral")))
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
    const pgd_json *c = pgd_json_first(test_at(pgd_json_root(golden), "cases"));
    for (; c; c = pgd_json_next(c)) {
        const pgd_sv tools = str_of(c, "tools"), think = str_of(c, "think");
        const pgd_sv open = str_of(c, "open"), raw = str_of(c, "raw");
        if (open.n && !pgd_sv_eq(think, PGD_SV("think"))) continue; /* no such template here */
        n_cases++;
        speak(tools.n ? tools.p : "none", think.n ? think.p : "none");
        pgd_buf_clear(&extra);
        pgd_buf_puts(&extra, ",\"logprobs\":true");
        if (open.n) pgd_buf_puts(&extra, ",\"chat_template_kwargs\":{\"enable_thinking\":true}");
        if (tools.n) {
            pgd_buf_puts(&extra, ",\"tools\":");
            pgd_jsonw w;
            pgd_jsonw_init(&w, &extra);
            pgd_jsonw_node(&w, test_at(pgd_json_root(golden), "tools"));
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
    speak("hermes", "think");
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
    speak("hermes", "think");
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
    speak("hermes", "think");
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
    speak("none", "think");
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
    speak("none", "think");
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
        speak("none", "none");
        api->formats.tools = &own;
        play_ids(TOOLS, stream, ids, n, 0, &f);
        assert_string_equal(f.choice[0].text.p, "A");
        assert_int_equal(f.choice[0].n_calls, 1);
        fold_fini(&f);
        speak("hermes", "none"); /* where it is no marker it is not shown */
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
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
