/* Editing: what each key does to text, cursor and history.
 *
 * Invariants: text is valid UTF-8 without control characters but line feed and tab (cli_keys lets
 * nothing else through), cursor <= text.n and between two code points, at <= history.n. Up and down
 * move within a text of several lines and go to the history from its first and last line; the line
 * under way is kept as the draft meanwhile. Lines of the history are copied when shown, so that
 * editing one leaves the history as it was. Thread: as the owner. */
#include "cli/editor.h"

#include <string.h>

#include "cli/width.h"

void cli_editor_fini(cli_editor *e) {
    pgd_buf_fini(&e->text);
    pgd_buf_fini(&e->draft);
    cli_history_fini(&e->history);
    *e = (cli_editor){0};
}

static pgd_sv text_of(const cli_editor *e) {
    return pgd_buf_sv(&e->text);
}

static void cut(cli_editor *e, size_t from, size_t to) {
    if (from >= to) return;
    memmove(e->text.p + from, e->text.p + to, e->text.n - to + 1);
    e->text.n -= to - from;
    e->cursor = from;
}

static void insert(cli_editor *e, const char *bytes, size_t n) {
    if (e->text.n + n > CLI_EDITOR_MAX_BYTES) return;
    if (pgd_buf_reserve(&e->text, n) != PGD_OK) {
        e->text.failed = false; /* the line as it is stays good */
        return;
    }
    char *at = e->text.p + e->cursor;
    memmove(at + n, at, e->text.n - e->cursor + 1);
    memcpy(at, bytes, n);
    e->text.n += n;
    e->cursor += n;
}

static size_t line_start(const cli_editor *e, size_t at) {
    while (at > 0 && e->text.p[at - 1] != '\n')
        at--;
    return at;
}

static size_t line_end(const cli_editor *e, size_t at) {
    while (at < e->text.n && e->text.p[at] != '\n')
        at++;
    return at;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n';
}

static size_t word_left(const cli_editor *e) {
    size_t at = e->cursor;
    while (at > 0 && is_space(e->text.p[at - 1]))
        at--;
    while (at > 0 && !is_space(e->text.p[at - 1]))
        at--;
    return at;
}

static size_t word_right(const cli_editor *e) {
    size_t at = e->cursor;
    while (at < e->text.n && is_space(e->text.p[at]))
        at++;
    while (at < e->text.n && !is_space(e->text.p[at]))
        at++;
    return at;
}

/* The stop in the line beginning at `start` that is nearest to `columns` from the left. */
static size_t stop_at_column(const cli_editor *e, size_t start, size_t columns) {
    const size_t end = line_end(e, start);
    size_t at = start;
    while (at < end) {
        const size_t next = cli_next_stop(text_of(e), at);
        if (cli_width_text((pgd_sv){e->text.p + start, next - start}) > columns) break;
        at = next;
    }
    return at;
}

static size_t column_of_cursor(const cli_editor *e, size_t start) {
    return cli_width_text((pgd_sv){e->text.p + start, e->cursor - start});
}

static void set_text(cli_editor *e, pgd_sv text) {
    pgd_buf_clear(&e->text);
    pgd_buf_putsv(&e->text, text);
    if (e->text.failed) pgd_buf_clear(&e->text);
    e->cursor = e->text.n;
}

static void show_history(cli_editor *e, size_t at) {
    if (e->at == e->history.n) {
        pgd_buf_clear(&e->draft);
        pgd_buf_putsv(&e->draft, text_of(e));
        if (e->draft.failed) {
            pgd_buf_clear(&e->draft);
            return; /* better no history than a lost line */
        }
    }
    e->at = at;
    set_text(e, pgd_buf_sv(at == e->history.n ? &e->draft : &e->history.v[at]));
}

static void go_up(cli_editor *e) {
    const size_t start = line_start(e, e->cursor);
    if (start > 0)
        e->cursor = stop_at_column(e, line_start(e, start - 1), column_of_cursor(e, start));
    else if (e->at > 0)
        show_history(e, e->at - 1);
}

static void go_down(cli_editor *e) {
    const size_t end = line_end(e, e->cursor);
    if (end < e->text.n)
        e->cursor = stop_at_column(e, end + 1, column_of_cursor(e, line_start(e, e->cursor)));
    else if (e->at < e->history.n)
        show_history(e, e->at + 1);
}

static void move_key(cli_editor *e, cli_key_kind kind) {
    switch (kind) {
    case CLI_KEY_LEFT:
        e->cursor = cli_prev_stop(text_of(e), e->cursor);
        return;
    case CLI_KEY_RIGHT:
        e->cursor = cli_next_stop(text_of(e), e->cursor);
        return;
    case CLI_KEY_UP:
        go_up(e);
        return;
    case CLI_KEY_DOWN:
        go_down(e);
        return;
    case CLI_KEY_WORD_LEFT:
        e->cursor = word_left(e);
        return;
    case CLI_KEY_WORD_RIGHT:
        e->cursor = word_right(e);
        return;
    case CLI_KEY_HOME:
        e->cursor = line_start(e, e->cursor);
        return;
    case CLI_KEY_END:
        e->cursor = line_end(e, e->cursor);
        return;
    default:
        return;
    }
}

static void cut_key(cli_editor *e, cli_key_kind kind) {
    switch (kind) {
    case CLI_KEY_BACKSPACE:
        cut(e, cli_prev_stop(text_of(e), e->cursor), e->cursor);
        return;
    case CLI_KEY_DELETE:
    case CLI_KEY_DELETE_OR_EOF:
        cut(e, e->cursor, cli_next_stop(text_of(e), e->cursor));
        return;
    case CLI_KEY_CUT_TO_START:
        cut(e, line_start(e, e->cursor), e->cursor);
        return;
    case CLI_KEY_CUT_TO_END:
        cut(e, e->cursor, line_end(e, e->cursor));
        return;
    case CLI_KEY_CUT_WORD:
        cut(e, word_left(e), e->cursor);
        return;
    case CLI_KEY_CUT_WORD_RIGHT:
        cut(e, e->cursor, word_right(e));
        return;
    default:
        move_key(e, kind);
        return;
    }
}

static cli_edit take_key(cli_editor *e, const cli_key *key) {
    switch (key->kind) {
    case CLI_KEY_TEXT:
        insert(e, key->text, key->n);
        return CLI_EDIT_MORE;
    case CLI_KEY_NEWLINE:
        insert(e, "\n", 1);
        return CLI_EDIT_MORE;
    case CLI_KEY_ENTER:
        return CLI_EDIT_LINE;
    case CLI_KEY_INTERRUPT:
        return CLI_EDIT_INTERRUPT;
    case CLI_KEY_SUSPEND:
        return CLI_EDIT_SUSPEND;
    case CLI_KEY_REDRAW:
        return CLI_EDIT_CLEAR;
    case CLI_KEY_DELETE_OR_EOF:
        if (e->text.n == 0) return CLI_EDIT_END;
        cut_key(e, key->kind);
        return CLI_EDIT_MORE;
    default:
        cut_key(e, key->kind);
        return CLI_EDIT_MORE;
    }
}

cli_edit cli_editor_feed(cli_editor *e, char byte) {
    cli_key keys[CLI_KEYS_MAX];
    const unsigned n = cli_keys_feed(&e->keys, byte, keys);
    cli_edit what = CLI_EDIT_MORE;
    /* several keys from one byte are text of a paste: only a single one can be an event */
    for (unsigned i = 0; i < n; i++)
        what = take_key(e, &keys[i]);
    return what;
}

void cli_editor_reset(cli_editor *e, int keep) {
    if (keep == CLI_EDITOR_KEEP) cli_history_add(&e->history, text_of(e));
    pgd_buf_clear(&e->text);
    pgd_buf_clear(&e->draft);
    e->cursor = 0;
    e->at = e->history.n;
}
