/* Streamed chat completions: text, figures, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/answer.h"

enum { MS = 1000000 };

static void note(void *ctx, cli_piece kind, pgd_sv text) {
    pgd_buf_putc(ctx, kind == CLI_PIECE_TEXT ? 't' : 'r');
    pgd_buf_putsv(ctx, text);
}

static pgd_status event(cli_answer *a, const char *data, uint64_t now_ms, pgd_error *err) {
    return cli_answer_event(a, pgd_sv_c(data), now_ms * MS, err);
}

static void assert_stats(const cli_answer *a, bool stopped, const char *want) {
    pgd_buf out = {0};
    cli_answer_put_stats(a, stopped, &out);
    assert_string_equal(out.p, want);
    pgd_buf_fini(&out);
}

#define DELTA(text) "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}"

static void pieces_make_the_answer_and_usage_the_figures(void **state) {
    (void)state;
    pgd_buf shown = {0};
    cli_answer a = {.show = note, .ctx = &shown, .sent_ns = 1000 * MS};
    assert_int_equal(event(&a,
                           "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}",
                           1005, NULL),
                     PGD_OK);
    assert_int_equal(a.first_ns, 0); /* the role is no token */
    assert_int_equal(event(&a, DELTA("Hel"), 1030, NULL), PGD_OK);
    assert_int_equal(event(&a, DELTA("lo\\u001b"), 1130, NULL), PGD_OK);
    assert_int_equal(
        event(&a, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", 1131, NULL), PGD_OK);
    assert_int_equal(event(&a,
                           "{\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
                           "\"completion_tokens\":11}}",
                           1132, NULL),
                     PGD_OK);
    assert_int_equal(event(&a, "[DONE]", 1133, NULL), PGD_OK);
    assert_int_equal(event(&a, DELTA("late"), 1134, NULL), PGD_OK);
    assert_true(a.done);
    assert_string_equal(a.text.p, "Hello\x1b"); /* as sent: showing cleans it, keeping does not */
    assert_string_equal(shown.p, "tHeltlo\x1b");
    assert_int_equal(a.prompt_tokens, 7);
    assert_stats(&a, false, "11 tokens, 100.0 tokens/s, first after 30 ms");
    cli_answer_fini(&a);
    pgd_buf_fini(&shown);
}

static void without_usage_pieces_are_counted(void **state) {
    (void)state;
    pgd_buf shown = {0};
    cli_answer a = {.show = note, .ctx = &shown, .sent_ns = 0};
    assert_int_equal(event(&a, DELTA("a"), 10, NULL), PGD_OK);
    assert_stats(&a, true, "~1 token, first after 10 ms, stopped");
    assert_int_equal(event(&a, DELTA("b"), 20, NULL), PGD_OK);
    assert_int_equal(event(&a,
                           "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],"
                           "\"usage\":null}",
                           30, NULL),
                     PGD_OK);
    assert_stats(&a, false,
                 "~2 tokens, 100.0 tokens/s, first after 10 ms, cut off at the limit of tokens");
    cli_answer_fini(&a);
    pgd_buf_fini(&shown);
}

static void reasoning_goes_by_two_names_and_not_into_the_answer(void **state) {
    (void)state;
    pgd_buf shown = {0};
    cli_answer a = {.show = note, .ctx = &shown};
    assert_int_equal(event(&a,
                           "{\"choices\":[{\"delta\":{\"reasoning_content\":\"x\","
                           "\"reasoning\":\"x\"}}]}",
                           1, NULL),
                     PGD_OK);
    assert_int_equal(event(&a, "{\"choices\":[{\"delta\":{\"reasoning\":\"y\"}}]}", 2, NULL),
                     PGD_OK);
    assert_int_equal(event(&a, DELTA("z"), 3, NULL), PGD_OK);
    assert_string_equal(shown.p, "rxrytz");
    assert_string_equal(a.text.p, "z");
    cli_answer_fini(&a);
    pgd_buf_fini(&shown);
}

static void foreign_shapes_are_skipped(void **state) {
    (void)state;
    static const char *const events[] = {
        "{}",
        "[]",
        "null",
        "3",
        "{\"choices\":null}",
        "{\"choices\":{}}",
        "{\"choices\":[3]}",
        "{\"choices\":[{\"delta\":null}]}",
        "{\"choices\":[{\"delta\":{\"content\":null}}]}",
        "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\"}]}}]}",
        "{\"error\":null}",
        "{\"choices\":[],\"usage\":{\"completion_tokens\":\"many\"}}",
        "{\"choices\":[{\"finish_reason\":7}]}"};
    pgd_buf shown = {0};
    cli_answer a = {.show = note, .ctx = &shown};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        assert_int_equal(event(&a, events[i], 1, NULL), PGD_OK);
    assert_int_equal(shown.n, 0);
    assert_false(a.has_usage);
    cli_answer_fini(&a);
}

static void an_error_event_carries_the_servers_message(void **state) {
    (void)state;
    static const struct {
        const char *data, *want;
    } cases[] = {
        {"{\"error\":{\"message\":\"out of \\u001b[31mpages\"}}", "out of \xe2\x90\x9b[31mpages"},
        {"{\"error\":\"plain\"}", "plain"},
        {"{\"error\":{\"code\":1}}", "no reason"},
    };
    for (size_t i = 0; i < 3; i++) {
        cli_answer a = {.show = note};
        pgd_error err = {0};
        assert_int_equal(event(&a, cases[i].data, 1, &err), PGD_E_INTERNAL);
        assert_non_null(strstr(err.msg, cases[i].want));
    }
}

static void what_is_no_json_is_an_error(void **state) {
    (void)state;
    cli_answer a = {.show = note};
    pgd_error err = {0};
    assert_int_equal(event(&a, "{\"choices\":", 1, &err), PGD_E_FORMAT);
    assert_non_null(strstr(err.msg, "no JSON"));
}

static void error_bodies_of_several_servers_are_read(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *reason, *body, *want;
    } cases[] = {
        {400, "Bad Request", "{\"error\":{\"message\":\"no such model\",\"type\":\"x\"}}",
         "no such model (HTTP 400)"},
        {401, "", "{\"error\":\"bad key\"}", "bad key (HTTP 401)"},
        {400, "", "{\"object\":\"error\",\"message\":\"too long\"}", "too long (HTTP 400)"},
        {404, "", "{\"detail\":\"Not Found\"}", "Not Found (HTTP 404)"},
        {502, "Bad Gateway", "<html>\x1b[2J",
         "the server answered HTTP 502 Bad Gateway: <html>\xe2\x90\x9b[2J"},
        {500, "Oops\x07", "", "the server answered HTTP 500 Oops\xe2\x90\x87"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pgd_buf out = {0};
        cli_error_text(cases[i].status, cases[i].reason, pgd_sv_c(cases[i].body), &out);
        assert_string_equal(out.p, cases[i].want);
        pgd_buf_fini(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_make_the_answer_and_usage_the_figures),
        cmocka_unit_test(without_usage_pieces_are_counted),
        cmocka_unit_test(reasoning_goes_by_two_names_and_not_into_the_answer),
        cmocka_unit_test(foreign_shapes_are_skipped),
        cmocka_unit_test(an_error_event_carries_the_servers_message),
        cmocka_unit_test(what_is_no_json_is_an_error),
        cmocka_unit_test(error_bodies_of_several_servers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
