/* The line editor as a state machine: keys in, text and cursor out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/editor.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

#define UP "\x1b[A"
#define DOWN "\x1b[B"
#define RIGHT "\x1b[C"
#define LEFT "\x1b[D"

/* Feed all; the last event. */
static cli_edit type(cli_editor *e, const char *bytes) {
    cli_edit what = CLI_EDIT_MORE;
    for (; *bytes != '\0'; bytes++)
        what = cli_editor_feed(e, *bytes);
    return what;
}

/* Text with the cursor shown as '|'. */
static void assert_shows(const cli_editor *e, const char *want) {
    pgd_buf got = {0};
    pgd_buf_put(&got, e->text.p, e->cursor);
    pgd_buf_putc(&got, '|');
    if (e->cursor < e->text.n) pgd_buf_put(&got, e->text.p + e->cursor, e->text.n - e->cursor);
    assert_string_equal(got.p, want);
    pgd_buf_fini(&got);
}

static void enter(cli_editor *e, const char *line) {
    type(e, line);
    assert_int_equal(type(e, "\r"), CLI_EDIT_LINE);
    cli_editor_reset(e, CLI_EDITOR_KEEP);
}

static void each_key_does_its_edit(void **state) {
    (void)state;
    static const struct {
        const char *keys, *want;
    } cases[] = {
        {"abc", "abc|"},
        {"abc" LEFT LEFT "x", "ax|bc"},
        {"abc" LEFT LEFT LEFT LEFT "x", "x|abc"},
        {"abc" LEFT RIGHT RIGHT "x", "abcx|"},
        {"abc\x01x\x05y", "xabcy|"},
        {"abc\x1b[Hx\x1b[Fy", "xabcy|"},
        {"abc\x7f", "ab|"},
        {"\x7f", "|"},
        {"abc" LEFT "\x7f", "a|c"},
        {"abc\x01\x1b[3~", "|bc"},
        {"abc\x01\x04", "|bc"},
        {"abc\x04", "abc|"}, /* nothing to delete, and no empty line */
        {"abc def\x17", "abc |"},
        {"abc def  \x17", "abc |"},
        {"abc def" LEFT "\x17", "abc |f"},
        {"abc def" LEFT LEFT "\x15", "|ef"},
        {"abc def" LEFT LEFT "\x0b", "abc d|"},
        {"abc def\x1b"
         "b\x1b"
         "b"
         "x",
         "x|abc def"},
        {"abc def\x01\x1b"
         "fx",
         "abcx| def"},
        {"abc def\x01\x1b"
         "d",
         "| def"},
        {"\xe4\xb8\xad\xc3\xa9" LEFT "x", "\xe4\xb8\xadx|\xc3\xa9"},
        {"\xe4\xb8\xad\xc3\xa9\x7f\x7f", "|"},
        {"ae\xcc\x81" LEFT "x", "ax|e\xcc\x81"},
        {"ae\xcc\x81\x7f", "a|"},
        {"a\x1b\rb", "a\nb|"},
        {"one\x1b\rtwo\x01x", "one\nx|two"},
        {"one\x1b\rtwo\x15", "one\n|"},
        {"one\x1b\rtwo" UP "\x0b", "one|\ntwo"},
        {"\x1b[200~a\nb\x1b[201~c", "a\nbc|"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_editor e = {0};
        assert_int_equal(type(&e, cases[i].keys), CLI_EDIT_MORE);
        assert_shows(&e, cases[i].want);
        cli_editor_fini(&e);
    }
}

static void keys_that_end_a_line_are_reported(void **state) {
    (void)state;
    cli_editor e = {0};
    assert_int_equal(type(&e, "\x04"), CLI_EDIT_END);
    assert_int_equal(type(&e, "ab\x03"), CLI_EDIT_INTERRUPT);
    assert_shows(&e, "ab|");
    assert_int_equal(type(&e, "\x1a"), CLI_EDIT_SUSPEND);
    assert_int_equal(type(&e, "\x0c"), CLI_EDIT_CLEAR);
    assert_int_equal(type(&e, "\r"), CLI_EDIT_LINE);
    assert_shows(&e, "ab|");
    cli_editor_fini(&e);
}

static void a_pasted_line_feed_does_not_submit(void **state) {
    (void)state;
    cli_editor e = {0};
    assert_int_equal(type(&e, "\x1b[200~rm x\n\x1b[201~"), CLI_EDIT_MORE);
    assert_int_equal(type(&e, "\x1b[200~\x1b[20\n"), CLI_EDIT_MORE);
    assert_int_equal(type(&e, "\x1b[201~\r"), CLI_EDIT_LINE);
    assert_shows(&e, "rm x\n[20\n|");
    cli_editor_fini(&e);
}

static void history_goes_back_and_forth(void **state) {
    (void)state;
    cli_editor e = {0};
    enter(&e, "first");
    enter(&e, "second");
    type(&e, "draft" UP);
    assert_shows(&e, "second|");
    type(&e, UP);
    assert_shows(&e, "first|");
    type(&e, UP);
    assert_shows(&e, "first|");
    type(&e, DOWN DOWN);
    assert_shows(&e, "draft|");
    type(&e, DOWN);
    assert_shows(&e, "draft|");
    cli_editor_fini(&e);
}

static void editing_an_old_line_leaves_the_history_alone(void **state) {
    (void)state;
    cli_editor e = {0};
    enter(&e, "first");
    type(&e, UP "X");
    enter(&e, "");
    type(&e, UP);
    assert_shows(&e, "firstX|");
    type(&e, UP);
    assert_shows(&e, "first|");
    cli_editor_fini(&e);
}

static void history_takes_no_empty_or_repeated_lines(void **state) {
    (void)state;
    cli_editor e = {0};
    enter(&e, "");
    enter(&e, "a");
    enter(&e, "a");
    assert_int_equal(e.history.n, 1);
    type(&e, "secret");
    cli_editor_reset(&e, CLI_EDITOR_DROP);
    assert_int_equal(e.history.n, 1);
    cli_editor_fini(&e);
}

static void history_is_bounded_and_drops_the_oldest(void **state) {
    (void)state;
    cli_history h = {0};
    char line[32];
    for (int i = 0; i < CLI_HISTORY_MAX + 5; i++) {
        const int n = snprintf(line, sizeof(line), "line %d", i);
        cli_history_add(&h, (pgd_sv){line, (size_t)n});
    }
    assert_int_equal(h.n, CLI_HISTORY_MAX);
    assert_string_equal(h.v[0].p, "line 5");
    cli_history_fini(&h);
}

static void up_and_down_move_within_a_text_of_several_lines(void **state) {
    (void)state;
    cli_editor e = {0};
    enter(&e, "old");
    type(&e, "abcdef\x1b\rxy\x1b\rlonger");
    type(&e, UP);
    assert_shows(&e, "abcdef\nxy|\nlonger");
    type(&e, UP);
    assert_shows(&e, "ab|cdef\nxy\nlonger");
    type(&e, DOWN DOWN);
    assert_shows(&e, "abcdef\nxy\nlo|nger");
    type(&e, UP UP UP);
    assert_shows(&e, "old|");
    type(&e, DOWN);
    assert_shows(&e, "abcdef\nxy\nlonger|");
    cli_editor_fini(&e);
}

static void columns_count_when_moving_between_lines(void **state) {
    (void)state;
    cli_editor e = {0};
    type(&e, "\xe4\xb8\xad\xe6\x96\x87\x1b\rabc" UP); /* column 3 is within the second ideograph */
    assert_shows(&e, "\xe4\xb8\xad|\xe6\x96\x87\nabc");
    cli_editor_fini(&e);
}

static void input_beyond_the_bound_is_dropped(void **state) {
    (void)state;
    cli_editor e = {0};
    type(&e, "\x1b[200~");
    for (size_t i = 0; i < CLI_EDITOR_MAX_BYTES + 10u; i++)
        cli_editor_feed(&e, 'a');
    assert_int_equal(e.text.n, CLI_EDITOR_MAX_BYTES);
    cli_editor_fini(&e);
}

/* Any bytes keep the invariants that drawing rests on. */
static void random_keys_keep_the_text_valid(void **state) {
    (void)state;
    static const char *const keys[] = {UP,
                                       DOWN,
                                       LEFT,
                                       RIGHT,
                                       "\x01",
                                       "\x05",
                                       "\x15",
                                       "\x0b",
                                       "\x17",
                                       "\x7f",
                                       "\x04",
                                       "a",
                                       "b ",
                                       "\xc3",
                                       "\xcc\x81",
                                       "\xe4\xb8",
                                       "\xad",
                                       "\x1b",
                                       "[",
                                       "\r",
                                       "\x1b[200~",
                                       "\n",
                                       "\x1b[201~",
                                       "\x1b\r",
                                       "\xe2\x80\x8d",
                                       "\xf0\x9f\x98\x80",
                                       "\x1b[1;5D",
                                       "\xff"};
    const uint64_t seed = 4711;
    print_message("seed %llu\n", (unsigned long long)seed);
    uint64_t rng = seed;
    cli_editor e = {0};
    for (int i = 0; i < 60000; i++) {
        const size_t pick = pgd_rng_next(&rng) % (sizeof(keys) / sizeof(keys[0]));
        if (type(&e, keys[pick]) == CLI_EDIT_LINE) cli_editor_reset(&e, CLI_EDITOR_KEEP);
        if (e.text.n > 200) cli_editor_reset(&e, CLI_EDITOR_DROP);
        assert_true(e.cursor <= e.text.n);
        assert_true(e.at <= e.history.n);
        assert_int_equal(pgd_utf8_valid_prefix(e.text.p, e.text.n), e.text.n);
        for (size_t j = 0; j < e.text.n; j++)
            assert_true((unsigned char)e.text.p[j] >= 0x20 || e.text.p[j] == '\n');
        assert_int_equal(pgd_utf8_valid_prefix(e.text.p, e.cursor), e.cursor);
    }
    cli_editor_fini(&e);
}

static void without_memory_input_is_lost_but_the_line_stays(void **state) {
    (void)state;
    cli_editor e = {0};
    enter(&e, "old");
    type(&e, "abc");
    for (int i = 0; i < 200; i++) { /* past the capacity of the line */
        pgd_mem_fail_after(0);
        type(&e, "d");
    }
    type(&e, UP DOWN);
    pgd_mem_fail_after(-1);
    assert_true(e.text.n >= 3);
    assert_memory_equal(e.text.p, "abcd", e.text.n < 4 ? e.text.n : 4);
    assert_int_equal(type(&e, "e"), CLI_EDIT_MORE);
    assert_int_equal(e.text.p[e.text.n - 1], 'e');
    cli_editor_fini(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_does_its_edit),
        cmocka_unit_test(keys_that_end_a_line_are_reported),
        cmocka_unit_test(a_pasted_line_feed_does_not_submit),
        cmocka_unit_test(history_goes_back_and_forth),
        cmocka_unit_test(editing_an_old_line_leaves_the_history_alone),
        cmocka_unit_test(history_takes_no_empty_or_repeated_lines),
        cmocka_unit_test(history_is_bounded_and_drops_the_oldest),
        cmocka_unit_test(up_and_down_move_within_a_text_of_several_lines),
        cmocka_unit_test(columns_count_when_moving_between_lines),
        cmocka_unit_test(input_beyond_the_bound_is_dropped),
        cmocka_unit_test(random_keys_keep_the_text_valid),
        cmocka_unit_test(without_memory_input_is_lost_but_the_line_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
