/* A line editor as a pure state machine: bytes in, what happened out, and a drawing on demand. It
 * touches no terminal. Text is UTF-8, may hold line feeds (pasted, or by Alt-Enter), and the cursor
 * moves over whole characters. One thread. */
#ifndef PAGODA_CLI_EDITOR_H
#define PAGODA_CLI_EDITOR_H

#include "cli/history.h"
#include "cli/keys.h"
#include "pagoda/str.h"

enum { CLI_EDITOR_MAX_BYTES = 4 << 20 }; /* more input than this is dropped */

typedef enum cli_edit {
    CLI_EDIT_MORE,      /* nothing the caller must do but draw */
    CLI_EDIT_LINE,      /* Enter: the line is in `text`; take it and call cli_editor_reset */
    CLI_EDIT_INTERRUPT, /* Ctrl-C; the text is as it was */
    CLI_EDIT_END,       /* Ctrl-D on an empty line */
    CLI_EDIT_SUSPEND,   /* Ctrl-Z */
    CLI_EDIT_CLEAR      /* Ctrl-L: draw on an empty screen */
} cli_edit;

typedef struct cli_editor {
    pgd_buf text;
    size_t cursor; /* byte offset in text, between two code points */
    cli_keys keys;
    cli_history history;
    size_t at;        /* line of the history being edited; history.n: a new one */
    pgd_buf draft;    /* the new line while an old one is shown */
    size_t drawn_row; /* of the cursor in the last drawing, from its first row */
} cli_editor;         /* {0} is ready */

void cli_editor_fini(cli_editor *e);
/* Take one byte. Without memory, input is dropped. */
cli_edit cli_editor_feed(cli_editor *e, char byte);
/* An empty line again; `text`, unless empty, goes into the history when keep is CLI_EDITOR_KEEP. */
enum { CLI_EDITOR_DROP = 0, CLI_EDITOR_KEEP = 1 };
void cli_editor_reset(cli_editor *e, int keep);

typedef struct cli_screen {
    size_t columns, rows;
    const char *prompt; /* printable ASCII; later lines are indented by its length */
    const char *prompt_on, *prompt_off; /* sequences around it, may be "" */
} cli_screen;

/* Append what replaces the last drawing by the present text with the cursor in its place. Of a text
 * taller than the screen, the part around the cursor. */
void cli_editor_draw(cli_editor *e, const cli_screen *screen, pgd_buf *out);
/* Append what draws the whole text and leaves the cursor on the row below; the next drawing begins
 * there. */
void cli_editor_leave(cli_editor *e, const cli_screen *screen, pgd_buf *out);

#endif
