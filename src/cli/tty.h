/* The terminal: raw mode that is always undone, keys, signals and size. One at a time. */
#ifndef PAGODA_CLI_TTY_H
#define PAGODA_CLI_TTY_H

#include <signal.h>
#include <termios.h>

#include "cli/client.h"
#include "cli/editor.h"

typedef struct cli_tty {
    int in, out;   /* both terminals; borrowed */
    int signal_fd; /* owned */
    struct termios saved;
    sigset_t saved_mask;
    pgd_buf typed; /* bytes typed while an answer ran, for the next prompt */
    int quit;      /* number of the signal that ends the program, 0: none */
} cli_tty;

/* Raw mode, bracketed paste, signals by descriptor. Errors: PGD_E_IO; the terminal is then as it
 * was. */
pgd_status cli_tty_open(cli_tty *t, int in, int out, pgd_error *err);
/* Everything as it was. */
void cli_tty_close(cli_tty *t);

typedef enum cli_line {
    CLI_LINE,      /* in editor->text; drawn, the cursor is below it */
    CLI_LINE_NONE, /* Ctrl-C: the line was dropped, ask again */
    CLI_LINE_END   /* Ctrl-D, a signal (t->quit) or a terminal that went away */
} cli_line;
/* Let the user edit a line. */
cli_line cli_tty_read_line(cli_tty *t, cli_editor *editor, const char *prompt, bool colour);

/* Waiting for a socket: Ctrl-C and signals make it PGD_E_CANCELLED; what else is typed is kept. */
cli_wait cli_tty_wait(cli_tty *t);

/* Write all of it. Errors: PGD_E_IO. */
pgd_status cli_write_all(int fd, pgd_sv text);

#endif
