/* Drawing, checked on a small terminal of the test's own: a grid with a cursor that knows the few
 * sequences the editor may use, and refuses all others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/editor.h"
#include "cli/width.h"

enum { MAX_ROWS = 40, MAX_COLS = 40 };

typedef struct terminal {
    uint32_t cell[MAX_ROWS][MAX_COLS];
    size_t rows, cols, row, col;
    size_t scrolled;
} terminal;

static void line_feed(terminal *t) {
    if (t->row + 1 < t->rows) {
        t->row++;
        return;
    }
    memmove(t->cell[0], t->cell[1], sizeof(t->cell[0]) * (t->rows - 1));
    memset(t->cell[t->rows - 1], 0, sizeof(t->cell[0]));
    t->scrolled++;
}

static size_t take_sequence(terminal *t, const char *s) {
    size_t n = 0;
    size_t i = 2;
    assert_int_equal(s[1], '[');
    for (; s[i] >= '0' && s[i] <= '9'; i++)
        n = n * 10 + (size_t)(s[i] - '0');
    switch (s[i]) {
    case 'A':
        assert_true(n >= 1 && n <= t->row);
        t->row -= n;
        break;
    case 'C':
        assert_true(n >= 1 && t->col + n < t->cols);
        t->col += n;
        break;
    case 'J':
        for (size_t c = t->col; c < t->cols; c++)
            t->cell[t->row][c] = 0;
        for (size_t r = t->row + 1; r < t->rows; r++)
            memset(t->cell[r], 0, sizeof(t->cell[r]));
        break;
    default:
        fail_msg("sequence ending in %c", s[i]);
    }
    return i + 1;
}

static void show(terminal *t, const pgd_buf *bytes) {
    for (size_t at = 0; at < bytes->n;) {
        uint32_t cp = 0;
        const char *s = bytes->p + at;
        if (*s == 0x1b) {
            at += take_sequence(t, s);
        } else if (*s == '\r') {
            t->col = 0;
            at++;
        } else if (*s == '\n') {
            line_feed(t);
            at++;
        } else {
            const size_t len = pgd_utf8_decode(s, bytes->n - at, &cp);
            const unsigned w = cli_width(cp);
            assert_true(len > 0 && cp >= 0x20);
            assert_true(t->col + w <= t->cols); /* never leaves wrapping to the terminal */
            if (w > 0) t->cell[t->row][t->col] = cp;
            t->col += w;
            at += len;
        }
    }
}

static void assert_row(const terminal *t, size_t row, const char *want) {
    pgd_buf got = {0};
    for (size_t c = 0; c < t->cols; c++) {
        const uint32_t cp = t->cell[row][c];
        char bytes[4];
        if (cp == 0) {
            if (c > 0 && cli_width(t->cell[row][c - 1]) == 2) continue;
            pgd_buf_putc(&got, ' ');
        } else {
            pgd_buf_put(&got, bytes, pgd_utf8_encode(cp, bytes));
        }
    }
    while (got.n > 0 && got.p[got.n - 1] == ' ')
        got.p[--got.n] = '\0';
    assert_string_equal(got.p != NULL ? got.p : "", want);
    pgd_buf_fini(&got);
}

static cli_screen screen_of(const terminal *t) {
    return (cli_screen){t->cols, t->rows, "> ", "", ""};
}

static void type(terminal *t, cli_editor *e, const char *bytes) {
    const cli_screen screen = screen_of(t);
    for (; *bytes != '\0'; bytes++) {
        pgd_buf out = {0};
        cli_editor_feed(e, *bytes);
        cli_editor_draw(e, &screen, &out);
        show(t, &out);
        pgd_buf_fini(&out);
    }
}

static void a_line_stands_behind_the_prompt(void **state) {
    (void)state;
    terminal t = {.rows = 5, .cols = 20};
    cli_editor e = {0};
    type(&t, &e, "hello\x1b[D\x1b[D");
    assert_row(&t, 0, "> hello");
    assert_int_equal(t.row, 0);
    assert_int_equal(t.col, 5);
    type(&t, &e, "\x15");
    assert_row(&t, 0, "> lo");
    cli_editor_fini(&e);
}

static void long_lines_wrap_and_unwrap(void **state) {
    (void)state;
    terminal t = {.rows = 5, .cols = 10};
    cli_editor e = {0};
    type(&t, &e, "abcdefgh"); /* fills the row: the cursor stands on the next */
    assert_row(&t, 0, "> abcdefgh");
    assert_int_equal(t.row, 1);
    assert_int_equal(t.col, 0);
    type(&t, &e, "ijklmnopqrst");
    assert_row(&t, 1, "ijklmnopqr");
    assert_row(&t, 2, "st");
    type(&t, &e, "\x01");
    assert_int_equal(t.row, 0);
    assert_int_equal(t.col, 2);
    type(&t, &e, "\x0b");
    assert_row(&t, 0, ">");
    assert_row(&t, 1, "");
    assert_row(&t, 2, "");
    cli_editor_fini(&e);
}

static void a_wide_character_does_not_straddle_rows(void **state) {
    (void)state;
    terminal t = {.rows = 5, .cols = 7};
    cli_editor e = {0};
    type(&t, &e, "ab\xe4\xb8\xad\xe6\x96\x87");
    assert_row(&t, 0, "> ab\xe4\xb8\xad");
    assert_row(&t, 1, "\xe6\x96\x87");
    assert_int_equal(t.row, 1);
    assert_int_equal(t.col, 2);
    cli_editor_fini(&e);
}

static void later_lines_are_indented_and_tabs_are_blanks(void **state) {
    (void)state;
    terminal t = {.rows = 5, .cols = 20};
    cli_editor e = {0};
    type(&t, &e, "one\x1b\rtwo\x1b[200~\tx\x1b[201~");
    assert_row(&t, 0, "> one");
    assert_row(&t, 1, "  two    x");
    assert_int_equal(t.col, 10);
    cli_editor_fini(&e);
}

static void of_a_text_taller_than_the_screen_the_cursors_part_is_shown(void **state) {
    (void)state;
    terminal t = {.rows = 4, .cols = 20};
    cli_editor e = {0};
    type(&t, &e, "1\x1b\r2\x1b\r3\x1b\r4\x1b\r5\x1b\r6");
    assert_row(&t, 0, "  3");
    assert_row(&t, 3, "  6");
    const size_t scrolled = t.scrolled;
    type(&t, &e, "\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A");
    assert_row(&t, 0, "> 1");
    assert_row(&t, 3, "  4");
    assert_int_equal(t.row, 0);
    assert_int_equal(t.scrolled, scrolled); /* moving about fills no scrollback */
    cli_editor_fini(&e);
}

static void leaving_shows_all_and_stands_below(void **state) {
    (void)state;
    terminal t = {.rows = 6, .cols = 20};
    cli_editor e = {0};
    type(&t, &e, "one\x1b\rtwo\x1b[A");
    const cli_screen screen = screen_of(&t);
    pgd_buf out = {0};
    cli_editor_leave(&e, &screen, &out);
    show(&t, &out);
    assert_row(&t, 0, "> one");
    assert_row(&t, 1, "  two");
    assert_int_equal(t.row, 2);
    assert_int_equal(t.col, 0);
    pgd_buf_fini(&out);
    cli_editor_fini(&e);
}

static void a_tiny_terminal_is_survived(void **state) {
    (void)state;
    terminal t = {.rows = 4, .cols = 2};
    cli_editor e = {0};
    type(&t, &e, "abc\xe4\xb8\xad\x1b\r\x1b[A\x01");
    assert_true(t.row < t.rows && t.col < t.cols);
    cli_editor_fini(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_stands_behind_the_prompt),
        cmocka_unit_test(long_lines_wrap_and_unwrap),
        cmocka_unit_test(a_wide_character_does_not_straddle_rows),
        cmocka_unit_test(later_lines_are_indented_and_tabs_are_blanks),
        cmocka_unit_test(of_a_text_taller_than_the_screen_the_cursors_part_is_shown),
        cmocka_unit_test(leaving_shows_all_and_stands_below),
        cmocka_unit_test(a_tiny_terminal_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
