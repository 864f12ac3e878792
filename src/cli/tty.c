/* The terminal.
 *
 * Raw mode lasts for the whole conversation, so that Ctrl-C is a byte at the prompt and during an
 * answer alike; output processing stays on, so that a line feed in an answer begins a new line.
 * Signals are blocked and read from a descriptor instead of caught: they then arrive where the
 * program waits anyway, and the way out by SIGTERM, SIGHUP or SIGQUIT is the ordinary one, through
 * cli_tty_close. Only a crash or SIGKILL could leave the terminal raw. Ctrl-Z and SIGTSTP give the
 * terminal back before stopping, SIGCONT takes it again.
 *
 * What is typed during an answer is kept for the prompt, bounded. The state of the terminal is
 * owned by this struct alone; there is one per program. Thread: main. */
#include "cli/tty.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { ESCAPE_MS = 50, READ_BYTES = 4096, MAX_TYPED_BYTES = 64 << 10, CTRL_C = 3 };

#define PASTE_ON "\x1b[?2004h"
#define PASTE_OFF "\x1b[?2004l"

pgd_status cli_write_all(int fd, pgd_sv text) {
    while (text.n > 0) {
        const ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) { /* a terminal shared with a non-blocking program */
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            (void)poll(&p, 1, -1);
            continue;
        }
        if (n < 0) return PGD_E_IO;
        text.p += n;
        text.n -= (size_t)n;
    }
    return PGD_OK;
}

static pgd_status go_raw(cli_tty *t) {
    struct termios raw = t->saved;
    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON | ISTRIP | BRKINT);
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(t->in, TCSADRAIN, &raw) != 0) return PGD_E_IO;
    return cli_write_all(t->out, PGD_SV(PASTE_ON));
}

static void go_cooked(cli_tty *t) {
    (void)cli_write_all(t->out, PGD_SV(PASTE_OFF));
    (void)tcsetattr(t->in, TCSADRAIN, &t->saved);
}

pgd_status cli_tty_open(cli_tty *t, int in, int out, pgd_error *err) {
    static const int heard[] = {SIGINT,  SIGTERM, SIGHUP,   SIGQUIT,
                                SIGTSTP, SIGCONT, SIGWINCH, SIGPIPE};
    *t = (cli_tty){.in = in, .out = out, .signal_fd = -1};
    if (tcgetattr(in, &t->saved) != 0)
        return pgd_fail(err, PGD_E_IO, "cannot read the terminal's settings");
    sigset_t mask;
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
        sigaddset(&mask, heard[i]);
    if (sigprocmask(SIG_BLOCK, &mask, &t->saved_mask) != 0)
        return pgd_fail(err, PGD_E_IO, "cannot block signals");
    t->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (t->signal_fd >= 0 && go_raw(t) == PGD_OK) return PGD_OK;
    cli_tty_close(t);
    return pgd_fail(err, PGD_E_IO, "cannot set up the terminal");
}

void cli_tty_close(cli_tty *t) {
    go_cooked(t);
    if (t->signal_fd >= 0) (void)close(t->signal_fd);
    t->signal_fd = -1;
    (void)sigprocmask(SIG_SETMASK, &t->saved_mask, NULL);
    pgd_buf_fini(&t->typed);
}

/* Ctrl-Z: stop here with the terminal given back; whoever continues us gets it raw again. SIGSTOP
 * because SIGTSTP is blocked. */
static void suspend(cli_tty *t) {
    go_cooked(t);
    (void)raise(SIGSTOP);
    (void)go_raw(t);
}

typedef enum heard { HEARD_NOTHING, HEARD_REDRAW, HEARD_STOP, HEARD_QUIT } heard;

/* Take the signals that arrived; the gravest counts. */
static heard take_signals(cli_tty *t) {
    heard what = HEARD_NOTHING;
    struct signalfd_siginfo info;
    while (read(t->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        heard one = HEARD_NOTHING;
        switch ((int)info.ssi_signo) {
        case SIGWINCH:
            one = HEARD_REDRAW;
            break;
        case SIGCONT: /* the shell may have changed the terminal meanwhile */
            (void)go_raw(t);
            one = HEARD_REDRAW;
            break;
        case SIGTSTP:
            suspend(t);
            one = HEARD_REDRAW;
            break;
        case SIGINT:
            one = HEARD_STOP;
            break;
        case SIGPIPE:
            break;
        default:
            t->quit = (int)info.ssi_signo;
            one = HEARD_QUIT;
            break;
        }
        if (one > what) what = one;
    }
    return what;
}

/* Keep what was typed during an answer. Whether Ctrl-C was among it, which voids what came before
 * it. */
static bool keep_typed(cli_tty *t, const char *bytes, size_t n) {
    bool stop = false;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == CTRL_C) {
            stop = true;
            pgd_buf_clear(&t->typed);
        } else if (t->typed.n < MAX_TYPED_BYTES) {
            pgd_buf_putc(&t->typed, bytes[i]);
        }
    }
    return stop;
}

static pgd_status wait_socket(void *ctx, int fd, short events, int timeout_ms) {
    cli_tty *t = ctx;
    for (;;) {
        struct pollfd p[3] = {{.fd = fd, .events = events},
                              {.fd = t->in, .events = POLLIN},
                              {.fd = t->signal_fd, .events = POLLIN}};
        const int n = poll(p, 3, timeout_ms);
        if (n == 0) return PGD_E_TIMEOUT;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return PGD_E_IO;
        if (p[2].revents != 0 && take_signals(t) >= HEARD_STOP) return PGD_E_CANCELLED;
        if (p[1].revents != 0) {
            char bytes[READ_BYTES];
            const ssize_t got = read(t->in, bytes, sizeof(bytes));
            if (got > 0 && keep_typed(t, bytes, (size_t)got)) return PGD_E_CANCELLED;
            if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
                t->quit = SIGHUP; /* the terminal is gone */
                return PGD_E_CANCELLED;
            }
        }
        if (p[0].revents != 0) return PGD_OK;
    }
}

cli_wait cli_tty_wait(cli_tty *t) {
    return (cli_wait){wait_socket, t};
}

static cli_screen screen_of(const cli_tty *t, const char *prompt, bool colour) {
    struct winsize size = {0};
    cli_screen s = {.columns = 80,
                    .rows = 24,
                    .prompt = prompt,
                    .prompt_on = colour ? "\x1b[1;36m" : "",
                    .prompt_off = colour ? "\x1b[0m" : ""};
    if (ioctl(t->out, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        s.columns = size.ws_col;
        s.rows = size.ws_row;
    }
    return s;
}

/* What an edit needs to be shown. */
typedef struct edit_view {
    cli_tty *t;
    cli_editor *e;
    const char *prompt;
    bool colour;
} edit_view;

static void draw(const edit_view *v, const char *before) {
    const cli_screen screen = screen_of(v->t, v->prompt, v->colour);
    pgd_buf out = {0};
    pgd_buf_puts(&out, before);
    cli_editor_draw(v->e, &screen, &out);
    (void)cli_write_all(v->t->out, pgd_buf_sv(&out));
    pgd_buf_fini(&out);
}

static void leave(const edit_view *v) {
    const cli_screen screen = screen_of(v->t, v->prompt, v->colour);
    pgd_buf out = {0};
    cli_editor_leave(v->e, &screen, &out);
    (void)cli_write_all(v->t->out, pgd_buf_sv(&out));
    pgd_buf_fini(&out);
}

static void redraw_fresh(const edit_view *v) {
    v->e->drawn_row = 0;
    draw(v, "\r");
}

/* Give bytes to the editor up to an event; the rest stays for the next line. True when the line is
 * over, with *out set. */
static bool edit_bytes(const edit_view *v, const char *bytes, size_t n, cli_line *out) {
    for (size_t i = 0; i < n; i++) {
        const cli_edit what = cli_editor_feed(v->e, bytes[i]);
        if (what == CLI_EDIT_MORE) continue;
        if (what == CLI_EDIT_SUSPEND) {
            leave(v);
            suspend(v->t);
            continue;
        }
        if (what == CLI_EDIT_CLEAR) {
            (void)cli_write_all(v->t->out, PGD_SV("\x1b[H\x1b[2J"));
            v->e->drawn_row = 0;
            continue;
        }
        pgd_buf_put(&v->t->typed, bytes + i + 1, n - i - 1);
        leave(v);
        *out = what == CLI_EDIT_LINE ? CLI_LINE : CLI_LINE_END;
        if (what == CLI_EDIT_INTERRUPT) {
            cli_editor_reset(v->e, CLI_EDITOR_DROP);
            *out = CLI_LINE_NONE;
        }
        return true;
    }
    if (!v->e->keys.paste) draw(v, ""); /* a paste is drawn once, when it is complete */
    return false;
}

/* One read of the keyboard. True when the line is over. */
static bool read_keys(const edit_view *v, cli_line *out) {
    char bytes[READ_BYTES];
    const ssize_t got = read(v->t->in, bytes, sizeof(bytes));
    if (got > 0) return edit_bytes(v, bytes, (size_t)got, out);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    *out = CLI_LINE_END;
    return true;
}

cli_line cli_tty_read_line(cli_tty *t, cli_editor *editor, const char *prompt, bool colour) {
    const edit_view v = {t, editor, prompt, colour};
    cli_line out = CLI_LINE_END;
    pgd_buf early = t->typed; /* typed during the answer: edit_bytes puts back what is left over */
    t->typed = (pgd_buf){0};
    editor->drawn_row = 0;
    draw(&v, "");
    bool over = early.n > 0 && edit_bytes(&v, early.p, early.n, &out);
    pgd_buf_fini(&early);
    while (!over) {
        struct pollfd p[2] = {{.fd = t->in, .events = POLLIN},
                              {.fd = t->signal_fd, .events = POLLIN}};
        const int n = poll(p, 2, cli_keys_waiting(&editor->keys) ? ESCAPE_MS : -1);
        if (n == 0) cli_keys_expire(&editor->keys);
        if (n < 0 && errno != EINTR) return CLI_LINE_END;
        if (n <= 0) continue;
        const heard what = p[1].revents != 0 ? take_signals(t) : HEARD_NOTHING;
        if (what == HEARD_QUIT) {
            leave(&v);
            return CLI_LINE_END;
        }
        if (what == HEARD_REDRAW) redraw_fresh(&v);
        if (what == HEARD_STOP) {
            leave(&v);
            cli_editor_reset(editor, CLI_EDITOR_DROP);
            return CLI_LINE_NONE;
        }
        if (p[0].revents != 0) over = read_keys(&v, &out);
    }
    return out;
}
