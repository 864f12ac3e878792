/* Bytes of terminals -> keys. Sequences are those that xterm, rxvt and the Linux console send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/keys.h"

/* Keys of a text as one string: text as it is, other keys as <kind>. */
static void spell(const char *bytes, size_t n, pgd_buf *out) {
    cli_keys k = {0};
    for (size_t i = 0; i < n; i++) {
        cli_key keys[CLI_KEYS_MAX];
        const unsigned got = cli_keys_feed(&k, bytes[i], keys);
        for (unsigned j = 0; j < got; j++) {
            if (keys[j].kind == CLI_KEY_TEXT)
                pgd_buf_put(out, keys[j].text, keys[j].n);
            else
                pgd_buf_putf(out, "<%d>", (int)keys[j].kind);
        }
    }
}

static void check(const char *bytes, const char *want) {
    pgd_buf out = {0};
    spell(bytes, strlen(bytes), &out);
    assert_string_equal(out.p != NULL ? out.p : "", want);
    pgd_buf_fini(&out);
}

static void check_key(const char *bytes, cli_key_kind kind) {
    char want[16];
    snprintf(want, sizeof(want), "<%d>", (int)kind);
    check(bytes, want);
}

static void keys_of_common_terminals_are_known(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        cli_key_kind kind;
    } cases[] = {
        {"\x1b[A", CLI_KEY_UP},
        {"\x1bOA", CLI_KEY_UP},
        {"\x1b[B", CLI_KEY_DOWN},
        {"\x1b[C", CLI_KEY_RIGHT},
        {"\x1b[D", CLI_KEY_LEFT},
        {"\x1b[1;5D", CLI_KEY_WORD_LEFT},
        {"\x1b[1;3C", CLI_KEY_WORD_RIGHT},
        {"\x1b[1;2C", CLI_KEY_RIGHT},
        {"\x1b"
         "b",
         CLI_KEY_WORD_LEFT},
        {"\x1b"
         "f",
         CLI_KEY_WORD_RIGHT},
        {"\x1b[H", CLI_KEY_HOME},
        {"\x1bOH", CLI_KEY_HOME},
        {"\x1b[1~", CLI_KEY_HOME},
        {"\x1b[7~", CLI_KEY_HOME},
        {"\x1b[F", CLI_KEY_END},
        {"\x1b[4~", CLI_KEY_END},
        {"\x1b[8~", CLI_KEY_END},
        {"\x1b[3~", CLI_KEY_DELETE},
        {"\x7f", CLI_KEY_BACKSPACE},
        {"\x08", CLI_KEY_BACKSPACE},
        {"\x01", CLI_KEY_HOME},
        {"\x05", CLI_KEY_END},
        {"\x15", CLI_KEY_CUT_TO_START},
        {"\x0b", CLI_KEY_CUT_TO_END},
        {"\x17", CLI_KEY_CUT_WORD},
        {"\x03", CLI_KEY_INTERRUPT},
        {"\x04", CLI_KEY_DELETE_OR_EOF},
        {"\x1a", CLI_KEY_SUSPEND},
        {"\r", CLI_KEY_ENTER},
        {"\n", CLI_KEY_ENTER},
        {"\x1b\r", CLI_KEY_NEWLINE},
        {"\x0c", CLI_KEY_REDRAW},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_key(cases[i].bytes, cases[i].kind);
}

static void unknown_sequences_leave_nothing_behind(void **state) {
    (void)state;
    check("\x1b[15~a", "a");                            /* F5 */
    check("\x1b[[Ab", "b");                             /* F1 of the Linux console */
    check("\x1bOPc", "c");                              /* F1 of xterm */
    check("\x1b[<35;10;20Md", "d");                     /* mouse */
    check("\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13Ae", "e"); /* longer than we keep */
    check("\x1b[?2004;1$yf", "f");
    check("\x1bzg", "g");
}

static void ctrl_c_is_heard_within_a_sequence(void **state) {
    (void)state;
    check_key("\x1b\x03", CLI_KEY_INTERRUPT);
    check_key("\x1b[1\x03", CLI_KEY_INTERRUPT);
    check_key("\x1bO\x03", CLI_KEY_INTERRUPT);
    check_key("\xe4\xb8\x03", CLI_KEY_INTERRUPT);
}

static void text_is_whole_code_points(void **state) {
    (void)state;
    check("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
    check("\xff"
          "a\xe4\xb8"
          "b\xc3\xc3\xa9\x80"
          "c",
          "ab\xc3\xa9"
          "c");
    check("\xc2\x9b"
          "x",
          "x");              /* C1 */
    check("\xc0\xafy", "y"); /* overlong */
}

static void a_paste_is_text_whatever_is_in_it(void **state) {
    (void)state;
    check("\x1b[200~a\rb\nc\r\nd\te\x1b[201~", "a\nb\nc\nd\te");
    check("\x1b[200~x\x1b[31my\x07\x1b[201~z", "x[31myz");
    check("\x1b[200~\x1b[20\x1b[201~k", "[20k");
    check("\x1b[200~\x1b\x1b[201~k", "k");
    check("\x1b[200~\xc3\xa9\x1b[201~\xc3\xa9", "\xc3\xa9\xc3\xa9");
    check("\x1b[200~\xc3\x1b[201~a", "a"); /* cut by the end of the paste */
}

static void ctrl_c_ends_a_paste_that_never_ends(void **state) {
    (void)state;
    char want[16];
    snprintf(want, sizeof(want), "a<%d>b<%d>", (int)CLI_KEY_INTERRUPT, (int)CLI_KEY_ENTER);
    check("\x1b[200~a\x03"
          "b\r",
          want);
}

static void a_lone_escape_expires(void **state) {
    (void)state;
    cli_keys k = {0};
    cli_key keys[CLI_KEYS_MAX];
    assert_false(cli_keys_waiting(&k));
    assert_int_equal(cli_keys_feed(&k, 0x1b, keys), 0);
    assert_true(cli_keys_waiting(&k));
    cli_keys_expire(&k);
    assert_false(cli_keys_waiting(&k));
    assert_int_equal(cli_keys_feed(&k, 'b', keys), 1);
    assert_int_equal(keys[0].kind, CLI_KEY_TEXT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_common_terminals_are_known),
        cmocka_unit_test(unknown_sequences_leave_nothing_behind),
        cmocka_unit_test(ctrl_c_is_heard_within_a_sequence),
        cmocka_unit_test(text_is_whole_code_points),
        cmocka_unit_test(a_paste_is_text_whatever_is_in_it),
        cmocka_unit_test(ctrl_c_ends_a_paste_that_never_ends),
        cmocka_unit_test(a_lone_escape_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
