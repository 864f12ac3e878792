/* Drawing the line under edit.
 *
 * Wrapping is done here and not left to the terminal: terminals differ in what a character in the
 * last column does to the cursor, and without knowing the cursor's row nothing can be redrawn. So
 * every row ends in an explicit line break before the terminal would wrap. The text is walked
 * twice: once to find the number of rows and the cursor's place, once to write those rows that fit
 * the screen. Uses only cursor up, cursor right, erase below and line breaks, which every terminal
 * has. Thread: as the editor. */
#include <string.h>

#include "cli/editor.h"
#include "cli/width.h"

enum { TAB_COLUMNS = 4 };

/* One walk over prompt and text. */
typedef struct walk {
    const cli_screen *screen;
    pgd_buf *out;              /* NULL: only measure */
    size_t first_row, end_row; /* rows to write */
    size_t row, col;
    size_t cursor_row, cursor_col; /* found on the way */
} walk;

static bool writes(const walk *w) {
    return w->out != NULL && w->row >= w->first_row && w->row < w->end_row;
}

static void next_row(walk *w) {
    w->row++;
    w->col = 0;
    if (writes(w) && w->row > w->first_row) pgd_buf_puts(w->out, "\r\n");
}

/* Bytes that take `columns`, on one row. */
static void put(walk *w, pgd_sv bytes, size_t columns) {
    if (w->col > 0 && w->col + columns > w->screen->columns) next_row(w);
    if (writes(w)) pgd_buf_putsv(w->out, bytes);
    w->col += columns;
}

static void put_spaces(walk *w, size_t n) {
    for (; n > 0; n--)
        put(w, PGD_SV(" "), 1);
}

static void note_cursor(walk *w) {
    if (w->col >= w->screen->columns) next_row(w); /* it cannot stand behind the last column */
    w->cursor_row = w->row;
    w->cursor_col = w->col;
}

static void walk_text(walk *w, pgd_sv text, size_t cursor) {
    const size_t indent = strlen(w->screen->prompt);
    if (writes(w)) pgd_buf_puts(w->out, w->screen->prompt_on);
    for (size_t i = 0; i < indent; i++)
        put(w, (pgd_sv){w->screen->prompt + i, 1}, 1);
    if (writes(w)) pgd_buf_puts(w->out, w->screen->prompt_off);
    for (size_t at = 0; at < text.n;) {
        uint32_t cp = 0;
        size_t len = pgd_utf8_decode(text.p + at, text.n - at, &cp);
        if (len == 0) len = 1; /* cannot be: the text is valid */
        if (at == cursor) note_cursor(w);
        if (cp == '\n') {
            next_row(w);
            put_spaces(w, indent);
        } else if (cp == '\t') {
            put_spaces(w, TAB_COLUMNS);
        } else {
            put(w, (pgd_sv){text.p + at, len}, cli_width(cp));
        }
        at += len;
    }
    if (cursor >= text.n) note_cursor(w);
}

static void begin(cli_editor *e, pgd_buf *out) {
    if (e->drawn_row > 0) pgd_buf_putf(out, "\x1b[%zuA", e->drawn_row);
    pgd_buf_puts(out, "\r\x1b[J");
}

void cli_editor_draw(cli_editor *e, const cli_screen *screen, pgd_buf *out) {
    const pgd_sv text = pgd_buf_sv(&e->text);
    const size_t height = screen->rows > 0 ? screen->rows : 1;
    walk m = {.screen = screen};
    walk_text(&m, text, e->cursor);
    const size_t n_rows = m.row + 1;
    walk w = {.screen = screen, .out = out};
    if (m.cursor_row >= height) w.first_row = m.cursor_row - height + 1;
    w.end_row = w.first_row + height;
    if (w.end_row > n_rows) w.end_row = n_rows;
    begin(e, out);
    walk_text(&w, text, e->cursor);
    const size_t up = w.end_row - 1 - m.cursor_row;
    if (up > 0) pgd_buf_putf(out, "\x1b[%zuA", up);
    pgd_buf_putc(out, '\r');
    if (m.cursor_col > 0) pgd_buf_putf(out, "\x1b[%zuC", m.cursor_col);
    e->drawn_row = m.cursor_row - w.first_row;
}

void cli_editor_leave(cli_editor *e, const cli_screen *screen, pgd_buf *out) {
    walk w = {.screen = screen, .out = out, .end_row = SIZE_MAX};
    begin(e, out);
    walk_text(&w, pgd_buf_sv(&e->text), SIZE_MAX);
    pgd_buf_puts(out, "\r\n");
    e->drawn_row = 0;
}
