/* /v1/messages: what a stream folds to is the plain answer in every family, events come in order,
 * streams have the shape of the golden one, and bodies become the chat bodies that they stand for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/fs.h"
#include "pagoda/jsonw.h"
#include "script.h"

/* ---- folding ---- */

typedef struct folder {
    pgd_buf out, args; /* blocks and the end as text; arguments of the open call */
    int64_t n_blocks;
    bool started, open, ended, stopped;
} folder;

static const pgd_json *next_is(const pgd_json *v, const char *type) {
    test_str_is(v, "type", type);
    return v;
}

static void fold_start(folder *f, const pgd_json *e) {
    assert_false(f->open);
    assert_int_equal(test_int(e, "index"), f->n_blocks++);
    const pgd_json *const b = test_at(e, "content_block");
    f->open = true;
    pgd_buf_clear(&f->args);
    pgd_buf_putf(&f->out, "[%s:", script_str(b, "type").p);
    if (test_find(b, "name")) pgd_buf_putf(&f->out, "%s:", script_str(b, "name").p);
    if (test_find(b, "id"))
        assert_true(pgd_sv_starts(script_str(b, "id"), PGD_SV("toolu_")) ||
                    script_str(b, "id").n > 0);
}

static void fold_delta(folder *f, const pgd_json *e) {
    assert_true(f->open);
    assert_int_equal(test_int(e, "index"), f->n_blocks - 1);
    const pgd_json *const d = test_at(e, "delta");
    if (test_find(d, "partial_json"))
        pgd_buf_putsv(&f->args, script_str(d, "partial_json"));
    else if (test_find(d, "thinking"))
        pgd_buf_putsv(&f->out, script_str(d, "thinking"));
    else if (test_find(d, "text"))
        pgd_buf_putsv(&f->out, script_str(d, "text"));
    else
        assert_true(script_str(next_is(d, "signature_delta"), "signature").n > 0);
}

/* A whole object as it is, the beginning of one as {"raw": …}. */
static void put_args(pgd_buf *out, const pgd_buf *args) {
    pgd_json_doc *doc = NULL;
    if (args->n && pgd_json_parse(pgd_buf_sv(args), &pgd_json_limits_request, &doc, NULL) == PGD_OK)
        script_put_node(out, pgd_json_root(doc));
    else if (args->n)
        pgd_buf_putf(out, "raw %s", args->p);
    else
        pgd_buf_puts(out, "{}");
    pgd_json_free(&doc);
}

static void fold_event(void *ctx, const pgd_json *e) {
    folder *const f = ctx;
    const pgd_sv type = script_str(e, "type");
    assert_false(f->stopped);
    if (!f->started) {
        next_is(e, "message_start");
        assert_int_equal(pgd_json_count(test_at(e, "message.content")), 0);
        f->started = true;
    } else if (pgd_sv_eq(type, PGD_SV("content_block_start"))) {
        fold_start(f, e);
    } else if (pgd_sv_eq(type, PGD_SV("content_block_delta"))) {
        fold_delta(f, e);
    } else if (pgd_sv_eq(type, PGD_SV("content_block_stop"))) {
        assert_true(f->open);
        assert_int_equal(test_int(e, "index"), f->n_blocks - 1);
        if (pgd_sv_find(pgd_buf_sv(&f->out), PGD_SV("[tool_use"), 0) != SIZE_MAX &&
            f->out.p[f->out.n - 1] == ':')
            put_args(&f->out, &f->args);
        pgd_buf_putc(&f->out, ']');
        f->open = false;
    } else if (pgd_sv_eq(type, PGD_SV("message_delta"))) {
        assert_false(f->open || f->ended);
        f->ended = true;
        script_put_node(&f->out, test_at(e, "delta"));
        script_put_node(&f->out, test_at(e, "usage"));
    } else if (pgd_sv_eq(type, PGD_SV("message_stop"))) {
        assert_true(f->ended);
        f->stopped = true;
    } else {
        next_is(e, "ping");
    }
}

static void fold_stream(pgd_sv bytes, pgd_buf *out) {
    folder f = {0};
    script_events(bytes, fold_event, &f);
    assert_true(f.stopped);
    pgd_buf_fini(&f.args);
    pgd_buf_clear(out);
    pgd_buf_putsv(out, pgd_buf_sv(&f.out));
    pgd_buf_fini(&f.out);
}

/* The plain answer in the same words. */
static void fold_plain(pgd_sv json, pgd_buf *out) {
    pgd_json_doc *doc = test_json(json.p, json.n);
    const pgd_json *const m = pgd_json_root(doc);
    pgd_buf_clear(out);
    test_str_is(m, "type", "message");
    test_str_is(m, "role", "assistant");
    const pgd_json *b = pgd_json_first(test_at(m, "content"));
    for (; b; b = pgd_json_next(b)) {
        pgd_buf_putf(out, "[%s:", script_str(b, "type").p);
        if (test_find(b, "name")) pgd_buf_putf(out, "%s:", script_str(b, "name").p);
        pgd_buf_putsv(out, script_str(b, "text"));
        pgd_buf_putsv(out, script_str(b, "thinking"));
        const pgd_json *const input = test_find(b, "input");
        if (test_find(b, "thinking")) assert_true(script_str(b, "signature").n > 0);
        if (input && pgd_json_count(input) == 1 && test_find(input, "raw"))
            pgd_buf_putf(out, "raw %s", script_str(input, "raw").p);
        else if (input)
            script_put_node(out, input);
        pgd_buf_putc(out, ']');
    }
    pgd_buf_puts(out, "{\"stop_reason\":");
    script_put_node(out, test_at(m, "stop_reason"));
    pgd_buf_puts(out, ",\"stop_sequence\":");
    script_put_node(out, test_at(m, "stop_sequence"));
    pgd_buf_putc(out, '}');
    script_put_node(out, test_at(m, "usage"));
    pgd_json_free(&doc);
}

#define HEAD                                                                                       \
    "{\"model\":\"m\",\"max_tokens\":2048,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]"
#define TOOLS ",\"tools\":[{\"name\":\"add\",\"input_schema\":{}},{\"name\":\"now\"}]"
#define THINK ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"

/* Both forms of the answer to HEAD extra } in every grouping; what they fold to is left in out. */
static void both(const char *extra, pgd_sv raw, pgd_buf *out) {
    pgd_buf body = {0}, bytes = {0}, streamed = {0};
    pgd_buf_putf(&body, "%s%s}", HEAD, extra);
    script_play(PGD_ROUTE_MESSAGES, body.p, raw, 0, &bytes);
    fold_plain(pgd_buf_sv(&bytes), out);
    pgd_buf_clear(&body);
    pgd_buf_putf(&body, "%s,\"stream\":true%s}", HEAD, extra);
    for (uint64_t seed = 0; seed < 4; seed++) {
        script_play(PGD_ROUTE_MESSAGES, body.p, raw, seed, &bytes);
        fold_stream(pgd_buf_sv(&bytes), &streamed);
        assert_string_equal(streamed.p, out->p);
    }
    pgd_buf_fini(&body);
    pgd_buf_fini(&bytes);
    pgd_buf_fini(&streamed);
}

static void what_a_stream_folds_to_is_the_message_in_every_family(void **state) {
    (void)state;
    pgd_buf extra = {0}, got = {0};
    size_t n_cases = 0, n_tools = 0;
    const pgd_json *c = pgd_json_first(test_at(script_golden(), "cases"));
    for (; c; c = pgd_json_next(c)) {
        const pgd_sv tools = script_str(c, "tools"), think = script_str(c, "think");
        const pgd_sv open = script_str(c, "open");
        if (open.n && !pgd_sv_eq(think, PGD_SV("think"))) continue; /* no such template here */
        script_speak(tools.n ? tools.p : "none", think.n ? think.p : "none");
        pgd_buf_clear(&extra);
        if (open.n) pgd_buf_puts(&extra, THINK);
        if (tools.n) {
            pgd_buf_puts(&extra, ",\"tools\":[");
            const pgd_json *t = pgd_json_first(test_at(script_golden(), "tools"));
            for (const pgd_json *first = t; t; t = pgd_json_next(t)) {
                const pgd_json *const fn = test_find(t, "function");
                pgd_buf_putf(&extra, "%s{\"name\":\"%s\",\"input_schema\":", t == first ? "" : ",",
                             script_str(fn ? fn : t, "name").p);
                script_put_node(&extra, test_find(fn ? fn : t, "parameters"));
                pgd_buf_putc(&extra, '}');
            }
            pgd_buf_putc(&extra, ']');
        }
        both(extra.p ? extra.p : "", script_str(c, "raw"), &got);
        const pgd_json *k = pgd_json_first(test_at(c, "calls"));
        for (; k; k = pgd_json_next(k), n_tools++) {
            pgd_buf_clear(&extra);
            pgd_buf_putf(&extra, "[tool_use:%s:", script_str(k, "name").p);
            assert_true(pgd_sv_find(pgd_buf_sv(&got), pgd_buf_sv(&extra), 0) != SIZE_MAX);
        }
        n_cases++;
    }
    assert_true(n_cases > 60 && n_tools > 30);
    pgd_buf_fini(&extra);
    pgd_buf_fini(&got);
}

static void blocks_follow_each_other(void **state) {
    (void)state;
    pgd_buf b = {0};
    script_speak("hermes", "think");
    both(TOOLS THINK,
         PGD_SV("Hm.</think>\n\nHi.\n<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1}}"
                "</tool_call>\n<tool_call>{\"name\": \"now\"}</tool_call>  more"),
         &b);
    assert_non_null(strstr(b.p,
                           "[thinking:Hm.][text:Hi.\n][tool_use:add:{\"a\":1}][tool_use:now:{}]"
                           "[text:  more]{\"stop_reason\":\"tool_use\""));
    both("", PGD_SV(" \n "), &b); /* white space is no answer */
    assert_true(pgd_sv_starts(pgd_buf_sv(&b), PGD_SV("{\"stop_reason\":\"end_turn\"")));
    both(",\"stop_sequences\":[\"x\",\"END\"]", PGD_SV("one END two"), &b);
    assert_true(pgd_sv_starts(
        pgd_buf_sv(&b),
        PGD_SV("[text:one ]{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\"}")));
    pgd_buf_fini(&b);
}

static void input_that_is_no_object_is_cut_where_it_breaks(void **state) {
    (void)state;
    pgd_buf b = {0};
    script_speak("hermes", "none");
    both(TOOLS,
         PGD_SV("<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1, oops}}</tool_call>"), &b);
    assert_true(pgd_sv_starts(pgd_buf_sv(&b), PGD_SV("[tool_use:add:raw {\"a\": 1, ]")));
    both(TOOLS, PGD_SV("<tool_call>{\"name\": \"add\", \"arguments\": [1]}</tool_call>"), &b);
    assert_true(pgd_sv_starts(pgd_buf_sv(&b), PGD_SV("[tool_use:add:{}]")));
    pgd_buf_fini(&b);
}

static void the_length_names_what_it_hit(void **state) {
    (void)state;
    const int32_t ids[] = {'a', 'b'};
    const char *const want[] = {"max_tokens", "model_context_window_exceeded"};
    const char *const max[] = {"2048", "100000"};
    for (int i = 0; i < 2; i++) {
        char body[256];
        (void)snprintf(body, sizeof body,
                       "{\"model\":\"m\",\"max_tokens\":%s,\"messages\":[{\"role\":\"user\","
                       "\"content\":\"q\"}]}",
                       max[i]);
        pgd_call *c = script_call(PGD_ROUTE_MESSAGES, body);
        script_feed(c, ids, 2, 0, false);
        pgd_json_doc *doc = test_json(c->out.p, c->out.n);
        test_str_is(pgd_json_root(doc), "stop_reason", want[i]);
        pgd_json_free(&doc);
        pgd_call_release(&c);
    }
}

/* ---- the golden stream ---- */

/* Type of each event and keys of its objects; deltas in a row count once, pings not at all. */
static void put_shape(pgd_buf *b, const pgd_json *v) {
    if (pgd_json_typeof(v) != PGD_JSON_OBJECT) return;
    pgd_buf_putc(b, '{');
    for (const pgd_json *k = pgd_json_first(v); k; k = pgd_json_next(k)) {
        pgd_buf_puts(b, pgd_json_key(k));
        if (strcmp(pgd_json_key(k), "type") == 0) pgd_buf_putf(b, "=%s", script_str(v, "type").p);
        put_shape(b, k);
        pgd_buf_putc(b, ' ');
    }
    pgd_buf_putc(b, '}');
}

static void add_shape(void *ctx, const pgd_json *e) {
    folder *const f = ctx;
    if (pgd_sv_eq(script_str(e, "type"), PGD_SV("ping"))) return;
    pgd_buf_clear(&f->args);
    put_shape(&f->args, e);
    pgd_buf_putc(&f->args, '\n');
    if (!pgd_sv_ends(pgd_buf_sv(&f->out), pgd_buf_sv(&f->args)))
        pgd_buf_putsv(&f->out, pgd_buf_sv(&f->args));
}

static void streams_have_the_golden_shape(void **state) {
    (void)state;
    pgd_buf golden = {0}, bytes = {0};
    pgd_error err = {0};
    if (pgd_fs_read(PGD_SOURCE_DIR "/tests/golden/sse/messages.sse", 1 << 20, &golden, &err) !=
        PGD_OK)
        fail_msg("%s", err.msg);
    script_speak("hermes", "think");
    script_play(PGD_ROUTE_MESSAGES, HEAD ",\"stream\":true" TOOLS THINK "}",
                PGD_SV("Let me see</think>Hi<tool_call>{\"name\": \"f\", \"arguments\": "
                       "{\"a\": 1}}</tool_call>"),
                0, &bytes);
    folder want = {0}, got = {0};
    script_events(pgd_buf_sv(&golden), add_shape, &want);
    script_events(pgd_buf_sv(&bytes), add_shape, &got);
    assert_string_equal(got.out.p, want.out.p);
    pgd_buf *const all[] = {&golden, &bytes, &want.out, &want.args, &got.out, &got.args};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        pgd_buf_fini(all[i]);
}

/* ---- bodies ---- */

#define USER "{\"role\":\"user\",\"content\":\"q\"}"

static void bodies_become_what_a_chat_client_would_send(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER "]}",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER "]}"},
        {"{\"model\":\"m\",\"messages\":[" USER "],\"system\":\"s\",\"top_k\":3,\"stream\":true}",
         "{\"model\":\"m\",\"stream\":true,\"top_k\":3,\"max_tokens\":4096,\"messages\":["
         "{\"role\":\"system\",\"content\":\"s\"}," USER "]}"},
        {"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         "],\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cch=1\"},"
         "{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}]}",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"system\",\"content\":[{"
         "\"type\":\"text\",\"text\":\"s\"}]}," USER "]}"},
        {"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\"},"
         "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":"
         "\"f\",\"input\":{\"b\":1,\"a\":2}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
         "\"text\":\"go on\"},{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\",\"content\":"
         "[{\"type\":\"text\",\"text\":\"42\"}],\"is_error\":false}]}]}",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}],"
         "\"reasoning_content\":\"t\",\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":{\"b\":1,\"a\":2}}}]},{\"role\":\"tool\","
         "\"tool_call_id\":\"toolu_1\",\"content\":[{\"type\":\"text\",\"text\":\"42\"}]},{"
         "\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"go on\"}]}]}"},
        {"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         ",{\"role\":\"assistant\",\"content\":\"The\"}]}",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         ",{\"role\":\"assistant\",\"content\":\"The\"}],\"continue_final_message\":true}"},
        {"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         "],\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}"
         "},{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],\"tool_choice\":{\"type\":"
         "\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}}",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         "],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
         "\"parameters\":{\"type\":\"object\"}}}],\"parallel_tool_calls\":false,\"tool_choice\":{"
         "\"type\":\"function\",\"function\":{\"name\":\"f\"}}}"},
        {"{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         "],\"tools\":[],\"tool_choice\":{\"type\":\"any\"},\"stop_sequences\":[\"x\"],"
         "\"thinking\":{\"type\":\"disabled\"},\"chat_template_kwargs\":{\"k\":1},"
         "\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":\"json_schema\",\"schema\":"
         "{\"type\":\"object\"}}}}",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" USER
         "],\"tools\":[],\"stop\":[\"x\"],\"chat_template_kwargs\":{\"enable_thinking\":false,"
         "\"thinking\":false,\"k\":1},\"reasoning_effort\":\"low\",\"response_format\":{\"type\":"
         "\"json_schema\",\"json_schema\":{\"name\":\"output\",\"strict\":true,\"schema\":{"
         "\"type\":\"object\"}}}}"},
    };
    script_bodies(PGD_ROUTE_MESSAGES, cases, sizeof cases / sizeof cases[0]);
}

static void what_is_wrong_is_named_by_its_place_in_the_body(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "The request body must be a JSON object"},
        {"{\"messages\":[" USER "]}", "model: Field required"},
        {"{\"model\":\"m\"}", "messages: Field required"},
        {"{\"model\":\"m\",\"messages\":[]}", "messages: at least one message"},
        {"{\"model\":\"m\",\"messages\":[3]}", "messages.0: Input should be an object"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}", "messages.0.content: Field"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":3}]}",
         "messages.0.content: Input should be a string"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"odd\"}]}]}",
         "messages.0.content.0.type: Input tag 'odd'"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":[]}]}]}",
         "messages.0.content.0.input: Input should be an object"},
        {"{\"model\":\"m\",\"messages\":[" USER "],\"system\":[{\"type\":\"image\"}]}",
         "system.0.type: this model takes text"},
        {"{\"model\":\"m\",\"messages\":[" USER "],\"max_tokens\":\"5\"}", "max_tokens: Input"},
        {"{\"model\":\"m\",\"messages\":[" USER "],\"thinking\":{\"type\":\"x\"}}",
         "thinking.type: "},
        {"{\"model\":\"m\",\"messages\":[" USER "],\"stop_sequences\":[\"\"]}",
         "stop_sequences.0: "},
        {"{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[{\"name\":\"f\",\"input_schema\":{}}]"
         ",\"tool_choice\":{\"type\":\"x\"}}",
         "tool_choice.type: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_error e;
        script_refused(PGD_ROUTE_MESSAGES, cases[i][0], &e);
        if (!pgd_sv_starts(pgd_sv_c(e.msg), pgd_sv_c(cases[i][1])))
            fail_msg("%zu: '%s', want '%s'", i, e.msg, cases[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stream_folds_to_is_the_message_in_every_family),
        cmocka_unit_test(blocks_follow_each_other),
        cmocka_unit_test(input_that_is_no_object_is_cut_where_it_breaks),
        cmocka_unit_test(the_length_names_what_it_hit),
        cmocka_unit_test(streams_have_the_golden_shape),
        cmocka_unit_test(bodies_become_what_a_chat_client_would_send),
        cmocka_unit_test(what_is_wrong_is_named_by_its_place_in_the_body),
    };
    return cmocka_run_group_tests(tests, script_set_up, script_tear_down);
}
