/* /v1/responses: what a stream builds up is the plain answer in every family, streams have the
 * shape of the golden one, and bodies become the chat bodies that they stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/response_out.h"
#include "pagoda/fs.h"
#include "pagoda/mem.h"
#include "script.h"

/* ---- folding ---- */

typedef struct folder {
    pgd_buf out, item, text, shapes;
    int64_t n_events, n_items;
    bool open, ended;
    const char *want_end;
} folder;

/* An item without what differs between two answers. */
static void put_item(pgd_buf *b, const pgd_json *item) {
    for (const pgd_json *m = pgd_json_first(item); m; m = pgd_json_next(m)) {
        const char *const key = pgd_json_key(m);
        if (strcmp(key, "id") == 0 || strcmp(key, "call_id") == 0) continue;
        pgd_buf_putf(b, "%s=", key);
        script_put_node(b, m);
        pgd_buf_putc(b, ' ');
    }
    pgd_buf_putc(b, '\n');
}

static void put_end(pgd_buf *b, const pgd_json *response) {
    script_put_node(b, test_at(response, "status"));
    script_put_node(b, test_at(response, "incomplete_details"));
    script_put_node(b, test_at(response, "usage"));
}

static bool ends(const pgd_json *e, const char *what) {
    return pgd_sv_ends(script_str(e, "type"), pgd_sv_c(what));
}

static void fold_step(folder *f, const pgd_json *e) {
    assert_true(f->open);
    assert_int_equal(test_int(e, "output_index"), f->n_items);
    if (test_find(e, "item_id")) assert_string_equal(script_str(e, "item_id").p, f->item.p);
    if (ends(e, ".delta")) {
        pgd_buf_putsv(&f->text, script_str(e, "delta"));
        return;
    }
    if (ends(e, "output_item.done")) {
        assert_string_equal(script_str(test_at(e, "item"), "id").p, f->item.p);
        put_item(&f->out, test_at(e, "item"));
        f->n_items++;
        f->open = false;
        return;
    }
    const pgd_json *const part = test_find(e, "part");
    pgd_sv whole = script_str(part ? part : e, "text");
    if (test_find(e, "arguments")) whole = script_str(e, "arguments");
    if (test_find(e, "input")) whole = script_str(e, "input");
    if (ends(e, "content_part.added"))
        assert_int_equal(whole.n, 0);
    else
        assert_true(pgd_sv_eq(whole, pgd_buf_sv(&f->text)));
}

static void fold_event(void *ctx, const pgd_json *e) {
    folder *const f = ctx;
    assert_false(f->ended);
    assert_int_equal(test_int(e, "sequence_number"), f->n_events++);
    const pgd_json *const response = test_find(e, "response");
    if (f->n_events == 1) test_str_is(e, "type", "response.created");
    if (f->n_events == 2) test_str_is(e, "type", "response.in_progress");
    if (response && f->n_events <= 2) {
        test_str_is(response, "status", "in_progress");
        return;
    }
    if (response) {
        assert_false(f->open);
        f->ended = true;
        pgd_buf items = {0};
        const pgd_json *i = pgd_json_first(test_at(response, "output"));
        for (; i; i = pgd_json_next(i))
            put_item(&items, i);
        assert_true(pgd_sv_eq(pgd_buf_sv(&items), pgd_buf_sv(&f->out)));
        pgd_buf_fini(&items);
        put_end(&f->out, response);
        return;
    }
    if (!ends(e, "output_item.added")) {
        fold_step(f, e);
        return;
    }
    assert_false(f->open);
    f->open = true;
    pgd_buf_clear(&f->text);
    pgd_buf_clear(&f->item);
    pgd_buf_putsv(&f->item, script_str(test_at(e, "item"), "id"));
    test_str_is(e, "item.status", "in_progress");
}

static void folder_fini(folder *f) {
    pgd_buf_fini(&f->out);
    pgd_buf_fini(&f->item);
    pgd_buf_fini(&f->text);
    pgd_buf_fini(&f->shapes);
}

#define HEAD "{\"model\":\"m\",\"input\":\"q\""
#define THINK ",\"chat_template_kwargs\":{\"enable_thinking\":true}"

/* Both forms of the answer to HEAD extra }, in every grouping; the plain one is left in out. */
static void both(const char *extra, pgd_sv raw, pgd_buf *out) {
    pgd_buf body = {0}, bytes = {0};
    pgd_buf_putf(&body, "%s%s}", HEAD, extra);
    script_play(PGD_ROUTE_RESPONSES, body.p, raw, 0, &bytes);
    pgd_json_doc *doc = test_json(bytes.p, bytes.n);
    pgd_buf_clear(out);
    const pgd_json *i = pgd_json_first(test_at(pgd_json_root(doc), "output"));
    for (; i; i = pgd_json_next(i))
        put_item(out, i);
    put_end(out, pgd_json_root(doc));
    pgd_json_free(&doc);
    pgd_buf_clear(&body);
    pgd_buf_putf(&body, "%s,\"stream\":true%s}", HEAD, extra);
    for (uint64_t seed = 0; seed < 4; seed++) {
        folder f = {0};
        script_play(PGD_ROUTE_RESPONSES, body.p, raw, seed, &bytes);
        script_events(pgd_buf_sv(&bytes), fold_event, &f);
        assert_true(f.ended);
        assert_string_equal(f.out.p, out->p);
        folder_fini(&f);
    }
    pgd_buf_fini(&body);
    pgd_buf_fini(&bytes);
}

static void what_a_stream_builds_up_is_the_response_in_every_family(void **state) {
    (void)state;
    pgd_buf extra = {0}, got = {0};
    size_t n_cases = 0, n_calls = 0;
    const pgd_json *c = pgd_json_first(test_at(script_golden(), "cases"));
    for (; c; c = pgd_json_next(c)) {
        const pgd_sv tools = script_str(c, "tools"), think = script_str(c, "think");
        const pgd_sv open = script_str(c, "open");
        if (open.n && !pgd_sv_eq(think, PGD_SV("think"))) continue; /* no such template here */
        script_speak(tools.n ? tools.p : "none", think.n ? think.p : "none");
        pgd_buf_clear(&extra);
        pgd_buf_puts(&extra, open.n ? THINK : "");
        if (tools.n) {
            pgd_buf_puts(&extra, ",\"tools\":[");
            const pgd_json *t = pgd_json_first(test_at(script_golden(), "tools"));
            for (const pgd_json *first = t; t; t = pgd_json_next(t)) {
                const pgd_json *const fn = test_find(t, "function");
                pgd_buf_putf(&extra, "%s{\"type\":\"function\",\"name\":\"%s\",\"parameters\":",
                             t == first ? "" : ",", script_str(fn ? fn : t, "name").p);
                script_put_node(&extra, test_find(fn ? fn : t, "parameters"));
                pgd_buf_putc(&extra, '}');
            }
            pgd_buf_putc(&extra, ']');
        }
        both(extra.p, script_str(c, "raw"), &got);
        const pgd_json *k = pgd_json_first(test_at(c, "calls"));
        for (; k; k = pgd_json_next(k), n_calls++) {
            pgd_buf_clear(&extra);
            pgd_buf_puts(&extra, "name=");
            script_put_node(&extra, test_at(k, "name"));
            pgd_buf_puts(&extra, " arguments=");
            script_put_node(&extra, test_at(k, "arguments"));
            if (pgd_sv_find(pgd_buf_sv(&got), pgd_buf_sv(&extra), 0) == SIZE_MAX)
                fail_msg("%s: no %s in %s", script_str(c, "name").p, extra.p, got.p);
        }
        n_cases++;
    }
    assert_true(n_cases > 60 && n_calls > 30);
    pgd_buf_fini(&extra);
    pgd_buf_fini(&got);
}

static void has(const pgd_buf *b, const char *what) {
    if (!strstr(b->p, what)) fail_msg("no '%s' in\n%s", what, b->p);
}

static void tools_go_back_under_their_own_names(void **state) {
    (void)state;
    pgd_buf b = {0};
    script_speak("hermes", "think");
    both(",\"tools\":[{\"type\":\"namespace\",\"name\":\"ns\",\"tools\":[{\"type\":\"function\","
         "\"name\":\"f\"}]},{\"type\":\"custom\",\"name\":\"patch\"},{\"type\":\"web_search\"}]",
         PGD_SV("<tool_call>{\"name\": \"ns__f\", \"arguments\": {\"a\": 1}}</tool_call>"
                "<tool_call>{\"name\": \"patch\", \"arguments\": {\"input\": \"a\\n\\\"b\\\"\"}}"
                "</tool_call><tool_call>{\"name\": \"patch\", \"arguments\": {\"x\": 1}}"
                "</tool_call>"),
         &b);
    has(&b, "type=\"function_call\" name=\"f\" namespace=\"ns\" arguments=\"{\\\"a\\\": 1}\"");
    has(&b,
        "type=\"custom_tool_call\" name=\"patch\" input=\"a\\n\\\"b\\\"\" status=\"completed\"");
    has(&b, "input=\"{\\\"x\\\": 1}\"");
    pgd_buf_fini(&b);
}

#define LOGPROBS ",\"include\":[\"message.output_text.logprobs\"],\"top_logprobs\":0"

static void logprobs_go_with_their_text(void **state) {
    (void)state;
    pgd_buf b = {0};
    script_speak("none", "think");
    both(THINK LOGPROBS, PGD_SV("Hm.</think> \nab"), &b);
    has(&b, "\"text\":\" \\nab\",\"annotations\":[],\"logprobs\":[{\"token\":\" \",");
    has(&b, "\"token\":\"a\",\"logprob\":-3.5,");
    has(&b, "\"token\":\"b\",\"logprob\":-3.75,");
    pgd_buf_fini(&b);
}

/* The stop string begins before a marker that is no text, and ends behind it. */
static void a_marker_inside_text_has_no_logprobs(void **state) {
    (void)state;
    pgd_buf b = {0};
    script_speak("none", "cohere");
    both(LOGPROBS, PGD_SV("hi<|END_TEXT|>xy"), &b);
    has(&b, "\"text\":\"hixy\",");
    has(&b, "{\"token\":\"i\",\"logprob\":-0.5,");
    has(&b, "{\"token\":\"x\",\"logprob\":-3.75,");
    assert_null(strstr(b.p, "END_TEXT"));
    assert_null(strstr(b.p, "\"token\":\"T\""));
    both(LOGPROBS ",\"stop\":[\"ixy\"]", PGD_SV("hi<|END_TEXT|>xy"), &b);
    has(&b, "\"text\":\"h\",");
    has(&b, "{\"token\":\"h\",\"logprob\":-0.25,");
    assert_null(strstr(b.p, "\"token\":\"i\""));
    pgd_buf_fini(&b);
}

static void an_answer_that_was_cut_says_so(void **state) {
    (void)state;
    const int32_t ids[] = {'a', 'b'};
    script_speak("none", "none");
    for (int stream = 0; stream < 2; stream++) {
        pgd_call *c =
            script_call(PGD_ROUTE_RESPONSES, stream ? HEAD ",\"stream\":true}" : HEAD "}");
        script_feed(c, ids, 2, 0, false);
        has(&c->out, "\"status\":\"incomplete\",\"completed_at\":null,\"error\":null,"
                     "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}");
        has(&c->out, "\"role\":\"assistant\",\"status\":\"incomplete\"");
        if (stream) has(&c->out, "event: response.incomplete\n");
        pgd_call_release(&c);
    }
}

static void an_error_in_a_stream_is_a_failed_response(void **state) {
    (void)state;
    static const char *const before[] = {"", "ab"};
    for (int i = 0; i < 2; i++) {
        pgd_call *c = script_call(PGD_ROUTE_RESPONSES, HEAD ",\"stream\":true}");
        for (const char *p = before[i]; *p; p++) {
            pgd_toklog *const log = &c->g.requests[0].r.out[0];
            log->token[log->len] = *p;
            atomic_store(&log->len, log->len + 1);
            (void)api_call_pump(c, 0, 1);
        }
        api_call_start_stream(c);
        api_error e = {0};
        (void)api_fail(&e, PGD_E_TIMEOUT, "timeout", NULL, "Too late.");
        api_call_fail(c, &e);
        assert_true(pgd_sv_starts(pgd_buf_sv(&c->out), PGD_SV("event: response.created\n")));
        has(&c->out, "event: response.failed\n");
        has(&c->out, "\"status\":\"failed\",\"completed_at\":null,\"error\":{\"code\":\"timeout\","
                     "\"message\":\"Too late.\"}");
        if (i) has(&c->out, "\"text\":\"ab\"");
        assert_true(pgd_sv_ends(pgd_buf_sv(&c->out), PGD_SV("}\n\n")));
        pgd_call_release(&c);
    }
}

/* A call that begins, allocation n of the loop's work failing. Returns whether it was reached. */
static bool call_with_failure(pgd_route route, const char *body, int64_t n) {
    static const char raw[] = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1";
    static const char *const empty[] = {"\"id\":\"\"", "\"call_id\":\"\"", "\"name\":\"\""};
    pgd_call *c = script_call(route, body);
    pgd_toklog *const log = &c->g.requests[0].r.out[0];
    for (const char *p = raw; *p; p++)
        log->token[log->len++] = *p;
    (void)pgd_mem_fail_after(n);
    (void)api_call_pump(c, 0, 1);
    const bool fired = pgd_mem_fail_after(-1);
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        assert_int_equal(pgd_sv_find(pgd_buf_sv(&c->out), pgd_sv_c(empty[i]), 0), SIZE_MAX);
    if (!fired) has(&c->out, "\"name\":\"f\"");
    pgd_call_release(&c);
    return fired;
}

static void a_call_is_never_announced_without_its_id_and_name(void **state) {
    (void)state;
    script_speak("hermes", "none");
    int64_t n = 0, m = 0;
    while (call_with_failure(PGD_ROUTE_RESPONSES,
                             HEAD ",\"stream\":true,\"tools\":[{\"type\":\"function\","
                                  "\"name\":\"f\"}]}",
                             n))
        n++;
    while (call_with_failure(PGD_ROUTE_MESSAGES,
                             "{\"model\":\"m\",\"max_tokens\":99,\"stream\":true,\"messages\":[{"
                             "\"role\":\"user\",\"content\":\"q\"}],\"tools\":[{\"name\":\"f\"}]}",
                             m))
        m++;
    assert_true(n > 5 && m > 5);
}

/* ---- the golden stream ---- */

/* Keys in order, of objects within too, but for whole responses: those may have more. */
static void put_shape(pgd_buf *b, const pgd_json *v) {
    if (!v) return;
    if (pgd_json_typeof(v) == PGD_JSON_ARRAY) put_shape(b, pgd_json_first(v));
    if (pgd_json_typeof(v) != PGD_JSON_OBJECT) return;
    pgd_buf_putc(b, '{');
    for (const pgd_json *k = pgd_json_first(v); k; k = pgd_json_next(k)) {
        pgd_buf_puts(b, pgd_json_key(k));
        if (strcmp(pgd_json_key(k), "type") == 0) pgd_buf_putf(b, "=%s", script_str(v, "type").p);
        if (strcmp(pgd_json_key(k), "response") != 0) put_shape(b, k);
        pgd_buf_putc(b, ' ');
    }
    pgd_buf_putc(b, '}');
}

static void add_shape(void *ctx, const pgd_json *e) {
    folder *const f = ctx;
    pgd_buf_clear(&f->item);
    put_shape(&f->item, e);
    pgd_buf_putc(&f->item, '\n');
    if (!pgd_sv_ends(pgd_buf_sv(&f->shapes), pgd_buf_sv(&f->item)))
        pgd_buf_putsv(&f->shapes, pgd_buf_sv(&f->item));
    const pgd_json *const r = test_find(e, "response");
    if (!r) return;
    pgd_buf_clear(&f->out); /* of the last one, in the end */
    script_put_node(&f->out, r);
}

static void streams_have_the_golden_shape(void **state) {
    (void)state;
    pgd_buf golden = {0}, bytes = {0};
    pgd_error err = {0};
    if (pgd_fs_read(PGD_SOURCE_DIR "/tests/golden/sse/responses.sse", 1 << 20, &golden, &err) !=
        PGD_OK)
        fail_msg("%s", err.msg);
    script_speak("hermes", "think");
    script_play(PGD_ROUTE_RESPONSES,
                HEAD ",\"stream\":true" THINK
                     ",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}",
                PGD_SV("Let me see</think>Hi you<tool_call>{\"name\": \"f\", \"arguments\": "
                       "{\"a\": 1}}</tool_call>"),
                0, &bytes);
    folder want = {0}, got = {0};
    script_events(pgd_buf_sv(&golden), add_shape, &want);
    script_events(pgd_buf_sv(&bytes), add_shape, &got);
    assert_string_equal(got.shapes.p, want.shapes.p);
    pgd_json_doc *a = test_json(want.out.p, want.out.n), *b = test_json(got.out.p, got.out.n);
    const pgd_json *k = pgd_json_first(pgd_json_root(a));
    for (; k; k = pgd_json_next(k)) {
        if (!pgd_json_get(pgd_json_root(b), pgd_json_key(k)))
            fail_msg("the response has no '%s'", pgd_json_key(k));
    }
    pgd_json_free(&a);
    pgd_json_free(&b);
    folder_fini(&want);
    folder_fini(&got);
    pgd_buf_fini(&golden);
    pgd_buf_fini(&bytes);
}

/* ---- bodies ---- */

#define M "{\"model\":\"m\","
#define Q "{\"role\":\"user\",\"content\":\"q\"}"
#define QP "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"}]}"

static void bodies_become_what_a_chat_client_would_send(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {M "\"input\":\"q\",\"instructions\":\"i\",\"max_output_tokens\":5,\"stream\":true}",
         M "\"stream\":true,\"max_completion_tokens\":5,\"messages\":[{\"role\":\"system\","
           "\"content\":\"i\"}," Q "]}"},
        {M "\"input\":[" Q ",{\"type\":\"reasoning\",\"summary\":[],\"content\":[{\"type\":"
           "\"reasoning_text\",\"text\":\"t\"}]},{\"type\":\"message\",\"role\":\"assistant\","
           "\"content\":[{\"type\":\"output_text\",\"text\":\"a\"}]},{\"type\":\"function_call\","
           "\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{\\\"b\\\":1}\"},{\"type\":"
           "\"function_call\",\"call_id\":\"c2\",\"namespace\":\"ns\",\"name\":\"g\",\"arguments\":"
           "\"\"},{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"1\"},{"
           "\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":[{\"type\":"
           "\"input_text\",\"text\":\"2\"}]}]}",
         M "\"messages\":[" QP ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":"
           "\"a\"}],\"reasoning_content\":\"t\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
           "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"b\\\":1}\"}},{\"id\":"
           "\"c2\",\"type\":\"function\",\"function\":{\"name\":\"ns__g\",\"arguments\":\"\"}}]},{"
           "\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":"
           "\"1\"}]},{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":[{\"type\":\"text\","
           "\"text\":\"2\"}]}]}"},
        {M "\"input\":[{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"pgd1:t\"},{"
           "\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"gAAAA\"},{\"type\":"
           "\"custom_tool_call\",\"call_id\":\"c\",\"name\":\"p\",\"input\":\"x\"},{\"type\":"
           "\"web_search_call\"},{\"type\":\"custom_tool_call_output\",\"call_id\":\"c\","
           "\"output\":\"ok\"}]}",
         M "\"messages\":[{\"role\":\"assistant\",\"content\":[],\"reasoning_content\":\"t\","
           "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"p\","
           "\"arguments\":{\"input\":\"x\"}}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\","
           "\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]}]}"},
        {M "\"input\":\"q\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\","
           "\"parameters\":{},\"strict\":true},{\"type\":\"mcp\"}],\"tool_choice\":{\"type\":"
           "\"function\",\"name\":\"f\"},\"parallel_tool_calls\":false}",
         M "\"parallel_tool_calls\":false,\"messages\":[" Q "],\"tools\":[{\"type\":\"function\","
           "\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{},\"strict\":true}}]"
           ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}"},
        {M "\"input\":\"q\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\","
           "\"schema\":{\"type\":\"object\"},\"strict\":true}},\"reasoning\":{\"effort\":\"none\"},"
           "\"include\":[\"message.output_text.logprobs\"],\"top_logprobs\":2}",
         M "\"logprobs\":true,\"top_logprobs\":2,\"messages\":[" Q "],\"reasoning_effort\":"
           "\"none\",\"chat_template_kwargs\":{\"enable_thinking\":false,\"thinking\":false},"
           "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
           "\"schema\":{\"type\":\"object\"},\"strict\":true}}}"},
    };
    script_bodies(PGD_ROUTE_RESPONSES, cases, sizeof cases / sizeof cases[0]);
}

static void what_is_wrong_is_named_by_its_place_in_the_body(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"model\":\"m\"}", "input"},
        {M "\"input\":[3]}", "input[0]"},
        {M "\"input\":\"q\",\"instructions\":3}", "instructions"},
        {M "\"input\":[{\"role\":\"user\"}]}", "input[0].content"},
        {M "\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"odd\"}]}]}",
         "input[0].content[0].type"},
        {M "\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"arguments\":\"\"}]}",
         "input[0].name"},
        {M "\"input\":[{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"\"}]}",
         "input[0].call_id"},
        {M "\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}", "input[0].id"},
        {M "\"input\":\"q\",\"reasoning\":\"high\"}", "reasoning"},
        {M "\"input\":\"q\",\"include\":\"all\"}", "include"},
        {M "\"input\":\"q\",\"tools\":[{\"type\":\"custom\"}]}", "tools[0].name"},
        {M "\"input\":\"q\",\"prompt\":{\"id\":\"p\"}}", "prompt"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        api_error e;
        script_refused(PGD_ROUTE_RESPONSES, cases[i][0], &e);
        assert_string_equal(e.param, cases[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stream_builds_up_is_the_response_in_every_family),
        cmocka_unit_test(tools_go_back_under_their_own_names),
        cmocka_unit_test(logprobs_go_with_their_text),
        cmocka_unit_test(a_marker_inside_text_has_no_logprobs),
        cmocka_unit_test(an_answer_that_was_cut_says_so),
        cmocka_unit_test(an_error_in_a_stream_is_a_failed_response),
        cmocka_unit_test(a_call_is_never_announced_without_its_id_and_name),
        cmocka_unit_test(streams_have_the_golden_shape),
        cmocka_unit_test(bodies_become_what_a_chat_client_would_send),
        cmocka_unit_test(what_is_wrong_is_named_by_its_place_in_the_body),
    };
    return cmocka_run_group_tests(tests, script_set_up, script_tear_down);
}
