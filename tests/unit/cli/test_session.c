/* Requests, and commands that need no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/session.h"

static cli_chat new_chat(void) {
    cli_chat c = {.wait = cli_wait_plain(), .out = -1};
    pgd_buf_puts(&c.model, "m");
    return c;
}

static void the_request_holds_what_was_set_and_no_more(void **state) {
    (void)state;
    cli_chat c = new_chat();
    pgd_buf out = {0};
    assert_int_equal(cli_conversation_add(&c.talk, CLI_USER, PGD_SV("a \"b\""), NULL), PGD_OK);
    cli_chat_put_request(&c, &out);
    assert_string_equal(out.p, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
                               "\"a \\\"b\\\"\"}],\"stream\":true,\"stream_options\":"
                               "{\"include_usage\":true}}");
    pgd_buf_clear(&out);
    cli_conversation_clear(&c.talk);
    c.options.temperature = (cli_number){true, 0};
    c.options.top_p = (cli_number){true, 0.9};
    c.options.max_tokens = (cli_count){true, 7};
    c.options.seed = (cli_count){true, 0};
    cli_chat_put_request(&c, &out);
    assert_string_equal(out.p, "{\"model\":\"m\",\"messages\":[],\"temperature\":0.0,\"top_p\":0.9,"
                               "\"max_tokens\":7,\"seed\":0,\"stream\":true,\"stream_options\":"
                               "{\"include_usage\":true}}");
    pgd_buf_fini(&out);
    cli_chat_fini(&c);
}

static void a_slash_and_a_letter_begin_a_command(void **state) {
    (void)state;
    assert_true(cli_is_command(PGD_SV("/help")));
    assert_true(cli_is_command(PGD_SV("/nonsense x")));
    assert_false(cli_is_command(PGD_SV("//help")));
    assert_false(cli_is_command(PGD_SV("/")));
    assert_false(cli_is_command(PGD_SV("/ help")));
    assert_false(cli_is_command(PGD_SV(" /help")));
    assert_false(cli_is_command(PGD_SV("")));
}

/* Run and compare what it says. */
static void check(cli_chat *c, const char *line, cli_next next, const char *want) {
    pgd_buf out = {0};
    assert_int_equal(cli_run_command(c, pgd_sv_c(line), &out), next);
    assert_string_equal(out.p != NULL ? out.p : "", want);
    pgd_buf_fini(&out);
}

static void commands_change_the_conversation(void **state) {
    (void)state;
    cli_chat c = new_chat();
    check(&c, "/system", CLI_NEXT, "no system prompt\n");
    check(&c, "/system  be\nbrief ", CLI_NEXT, "system prompt set\n");
    assert_true(pgd_sv_eq(cli_conversation_system(&c.talk), PGD_SV("be\nbrief")));
    check(&c, "/system", CLI_NEXT, "be\nbrief\n");
    assert_int_equal(cli_conversation_add(&c.talk, CLI_USER, PGD_SV("x"), NULL), PGD_OK);
    check(&c, "/clear", CLI_NEXT, "conversation cleared\n");
    assert_int_equal(c.talk.n, 1);
    check(&c, "/system -", CLI_NEXT, "system prompt removed\n");
    assert_int_equal(c.talk.n, 0);
    check(&c, "/model other", CLI_NEXT, "asking other from now on\n");
    assert_string_equal(c.model.p, "other");
    cli_chat_fini(&c);
}

static void commands_that_leave_and_commands_that_are_none(void **state) {
    (void)state;
    cli_chat c = new_chat();
    check(&c, "/quit", CLI_QUIT, "");
    check(&c, "/exit", CLI_QUIT, "");
    check(&c, "/Quit", CLI_NEXT, "no command /Quit; /help lists them, //text asks /text\n");
    check(&c, "/save", CLI_NEXT, "/save needs a file\n");
    check(&c, "/load ", CLI_NEXT, "/load needs a file\n");
    pgd_buf out = {0};
    assert_int_equal(cli_run_command(&c, PGD_SV("/help"), &out), CLI_NEXT);
    static const char *const names[] = {"/system", "/clear", "/save", "/load",
                                        "/model",  "/help",  "/quit"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_non_null(strstr(out.p, names[i]));
    pgd_buf_fini(&out);
    cli_chat_fini(&c);
}

static void save_overwrites_only_its_own_file_unasked(void **state) {
    (void)state;
    char dir[] = "/tmp/pagoda-cli-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char line[128];
    char want[128];
    char path[64];
    snprintf(path, sizeof(path), "%s/f", dir);
    cli_chat c = new_chat();
    assert_int_equal(cli_conversation_add(&c.talk, CLI_USER, PGD_SV("x"), NULL), PGD_OK);
    snprintf(line, sizeof(line), "/save %s", path);
    check(&c, line, CLI_NEXT, "saved 1 message\n");
    check(&c, line, CLI_NEXT, "saved 1 message\n");
    cli_chat other = new_chat();
    snprintf(want, sizeof(want), "%s exists; /save! overwrites it\n", path);
    check(&other, line, CLI_NEXT, want);
    snprintf(line, sizeof(line), "/load %s", path);
    check(&other, line, CLI_NEXT, "loaded 1 message\n");
    snprintf(line, sizeof(line), "/save %s", path);
    check(&other, line, CLI_NEXT, "saved 1 message\n"); /* loading made it its own */
    snprintf(line, sizeof(line), "/save! %s", path);
    cli_chat third = new_chat();
    check(&third, line, CLI_NEXT, "saved 0 messages\n");
    remove(path);
    rmdir(dir);
    cli_chat_fini(&c);
    cli_chat_fini(&other);
    cli_chat_fini(&third);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_holds_what_was_set_and_no_more),
        cmocka_unit_test(a_slash_and_a_letter_begin_a_command),
        cmocka_unit_test(commands_change_the_conversation),
        cmocka_unit_test(commands_that_leave_and_commands_that_are_none),
        cmocka_unit_test(save_overwrites_only_its_own_file_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
