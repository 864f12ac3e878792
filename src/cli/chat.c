/* pagoda chat: options, the conversation at a terminal, and the plain one in a pipe.
 *
 * At a terminal (both ends, and not a dumb one) there is the line editor, commands and figures. In
 * a pipe each line is a prompt and only answers are written, without any sequence, so that the
 * output can be processed; the first failure ends it with exit code 1. Nothing is read from the
 * environment but what main passes on. Thread: main. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/clean.h"
#include "cli/session.h"
#include "cli/tty.h"
#include "pagoda/cli.h"

enum { MAX_PROMPT_BYTES = 16 << 20, READ_BYTES = 65536 };

#define FIELD(name) offsetof(cli_chat_options, name)
static const cli_flag flags[] = {
    {"url", CLI_FLAG_TEXT, FIELD(url), 0, 0, "URL", "the server (http://127.0.0.1:8000)"},
    {"model", CLI_FLAG_TEXT, FIELD(model), 0, 0, "NAME", "the model (the server's first)"},
    {"system", CLI_FLAG_TEXT, FIELD(system), 0, 0, "TEXT", "system prompt"},
    {"temperature", CLI_FLAG_NUMBER, FIELD(temperature), 0, 100, "T", "0 to take the likeliest"},
    {"top-p", CLI_FLAG_NUMBER, FIELD(top_p), 0, 1, "P", "nucleus sampling"},
    {"max-tokens", CLI_FLAG_COUNT, FIELD(max_tokens), 1, 1e9, "N", "bound of an answer"},
    {"seed", CLI_FLAG_COUNT, FIELD(seed), 0, 9007199254740991.0, "N", "the same answer again"},
    {"api-key", CLI_FLAG_TEXT, FIELD(api_key), 0, 0, "KEY",
     "better in PAGODA_API_KEY, where ps does not show it"},
    {"once", CLI_FLAG_SWITCH, FIELD(once), 0, 0, "", "all of standard input is one prompt"},
    {"help", CLI_FLAG_SWITCH, FIELD(help), 0, 0, "", "this text"},
};

static const cli_command chat_command = {
    .name = "chat",
    .usage = "[flags]",
    .about =
        "Talk with a model of any OpenAI-compatible server. Without a terminal, every line of\n"
        "standard input is a prompt and the answers go to standard output.\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
};

static const char *env_value(const char *const *env, const char *name) {
    const size_t n = strlen(name);
    for (; env != NULL && *env != NULL; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') return *env + n + 1;
    return NULL;
}

/* A message on standard error, made fit for a terminal. */
static void complain(const char *message) {
    pgd_buf text = {0};
    pgd_buf_puts(&text, "pagoda: ");
    cli_clean_text(pgd_sv_c(message), &text);
    pgd_buf_putc(&text, '\n');
    (void)cli_write_all(STDERR_FILENO, pgd_buf_sv(&text));
    pgd_buf_fini(&text);
}

/* A server takes a list of keys from PAGODA_API_KEY; its first serves a client. */
static pgd_status set_key(cli_chat *c, const char *const *env, pgd_error *err) {
    const char *key = c->options.api_key;
    size_t n = key != NULL ? strlen(key) : 0;
    if (key == NULL) {
        key = env_value(env, "PAGODA_API_KEY");
        n = key != NULL ? strcspn(key, ",") : 0;
    }
    for (size_t i = 0; i < n; i++)
        if (key[i] <= 0x20 || key[i] >= 0x7f)
            return pgd_fail(err, PGD_E_INVALID, "the API key may hold visible ASCII only");
    if (n > 0) pgd_buf_put(&c->api_key, key, n);
    return PGD_OK;
}

static pgd_status set_up(cli_chat *c, int n_args, const char *const *args, const char *const *env,
                         pgd_error *err) {
    c->options.url = "http://127.0.0.1:8000";
    PGD_TRY(cli_flags_parse(&chat_command, n_args, args, &c->options, err));
    if (c->options.help) return PGD_OK;
    PGD_TRY(cli_url_parse(c->options.url, &c->url, err));
    PGD_TRY(set_key(c, env, err));
    if (c->options.model != NULL) pgd_buf_puts(&c->model, c->options.model);
    if (c->options.system != NULL)
        PGD_TRY(cli_conversation_set_system(&c->talk, pgd_sv_c(c->options.system), err));
    const char *term = env_value(env, "TERM");
    const char *no_colour = env_value(env, "NO_COLOR");
    const bool dumb = term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
    c->out = STDOUT_FILENO;
    c->tty = !c->options.once && !dumb && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    c->colour = c->tty && (no_colour == NULL || no_colour[0] == '\0');
    return PGD_OK;
}

/* ---- at a terminal ---- */

static void put_out(pgd_buf *text) {
    (void)cli_write_all(STDOUT_FILENO, pgd_buf_sv(text));
    pgd_buf_fini(text);
}

static void greet(const cli_chat *c) {
    pgd_buf text = {0};
    cli_clean_text(pgd_buf_sv(&c->model), &text);
    pgd_buf_putf(&text, " at http://%s; /help lists the commands\n", c->url.authority);
    put_out(&text);
}

static bool is_blank(pgd_sv line) {
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\n') return false;
    return true;
}

static cli_next take_line(cli_chat *c, pgd_sv line) {
    pgd_error err = {0};
    pgd_buf text = {0};
    if (is_blank(line)) return CLI_NEXT;
    if (cli_is_command(line)) {
        const cli_next next = cli_run_command(c, line, &text);
        put_out(&text);
        return next;
    }
    if (pgd_sv_starts(line, PGD_SV("//"))) {
        line.p++;
        line.n--;
    }
    const pgd_status status = cli_chat_ask(c, line, &err);
    if (status == PGD_OK || status == PGD_E_CANCELLED) return CLI_NEXT;
    pgd_buf_puts(&text, c->colour ? "\x1b[31merror:\x1b[0m " : "error: ");
    cli_clean_text(pgd_sv_c(err.msg), &text);
    pgd_buf_putc(&text, '\n');
    put_out(&text);
    return CLI_NEXT;
}

static void converse(cli_chat *c, cli_tty *tty) {
    cli_editor editor = {0};
    greet(c);
    cli_next next = CLI_NEXT;
    while (next == CLI_NEXT && tty->quit == 0) {
        const cli_line got = cli_tty_read_line(tty, &editor, "> ", c->colour);
        if (got == CLI_LINE_END) break;
        if (got == CLI_LINE_NONE) continue;
        pgd_buf line = {0};
        pgd_buf_putsv(&line, pgd_buf_sv(&editor.text));
        cli_editor_reset(&editor, CLI_EDITOR_KEEP);
        next = take_line(c, pgd_buf_sv(&line));
        pgd_buf_fini(&line);
    }
    cli_editor_fini(&editor);
}

static int chat_at_terminal(cli_chat *c) {
    pgd_error err = {0};
    cli_tty tty;
    if (cli_tty_open(&tty, STDIN_FILENO, STDOUT_FILENO, &err) != PGD_OK) {
        complain(err.msg);
        return PGD_CLI_FAILED;
    }
    c->wait = cli_tty_wait(&tty);
    const pgd_status status = cli_chat_choose_model(c, &err);
    if (status == PGD_OK) converse(c, &tty);
    const int quit = tty.quit;
    cli_tty_close(&tty);
    if (quit != 0) return 128 + quit;
    if (status == PGD_E_CANCELLED) return 128 + SIGINT;
    if (status != PGD_OK) complain(err.msg);
    return status == PGD_OK ? PGD_CLI_OK : PGD_CLI_FAILED;
}

/* ---- in a pipe ---- */

/* Append one read of standard input; *end at its end. */
static pgd_status read_some(pgd_buf *in, bool *end, pgd_error *err) {
    if (in->n > MAX_PROMPT_BYTES)
        return pgd_fail(err, PGD_E_LIMIT, "a prompt of more than %d bytes", MAX_PROMPT_BYTES);
    if (pgd_buf_reserve(in, READ_BYTES) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    const ssize_t n = read(STDIN_FILENO, in->p + in->n, READ_BYTES);
    if (n < 0 && errno != EINTR) return pgd_fail(err, PGD_E_IO, "cannot read standard input");
    *end = n == 0;
    if (n > 0) {
        in->n += (size_t)n;
        in->p[in->n] = '\0';
    }
    return PGD_OK;
}

static pgd_status ask_piped(cli_chat *c, pgd_sv prompt, pgd_error *err) {
    if (prompt.n > 0 && prompt.p[prompt.n - 1] == '\r') prompt.n--;
    if (is_blank(prompt)) return PGD_OK;
    if (pgd_utf8_valid_prefix(prompt.p, prompt.n) != prompt.n)
        return pgd_fail(err, PGD_E_INVALID, "standard input is no valid UTF-8");
    return cli_chat_ask(c, prompt, err);
}

static pgd_status chat_in_lines(cli_chat *c, pgd_buf *in, pgd_error *err) {
    for (bool end = false; !end;) {
        PGD_TRY(read_some(in, &end, err));
        size_t at = 0;
        for (;;) {
            const size_t lf = pgd_sv_find(pgd_buf_sv(in), PGD_SV("\n"), at);
            if (lf >= in->n) break;
            PGD_TRY(ask_piped(c, (pgd_sv){in->p + at, lf - at}, err));
            at = lf + 1;
        }
        pgd_buf_drop_front(in, at);
    }
    return ask_piped(c, pgd_buf_sv(in), err);
}

static pgd_status chat_once(cli_chat *c, pgd_buf *in, pgd_error *err) {
    for (bool end = false; !end;)
        PGD_TRY(read_some(in, &end, err));
    pgd_sv prompt = pgd_buf_sv(in);
    if (prompt.n > 0 && prompt.p[prompt.n - 1] == '\n') prompt.n--;
    if (is_blank(prompt)) return pgd_fail(err, PGD_E_INVALID, "no prompt on standard input");
    return ask_piped(c, prompt, err);
}

static int chat_in_pipe(cli_chat *c) {
    pgd_error err = {0};
    pgd_buf in = {0};
    c->wait = cli_wait_plain();
    const pgd_status status =
        c->options.once ? chat_once(c, &in, &err) : chat_in_lines(c, &in, &err);
    pgd_buf_fini(&in);
    if (status != PGD_OK) complain(err.msg);
    return status == PGD_OK ? PGD_CLI_OK : PGD_CLI_FAILED;
}

int pgd_cli_chat(int n_args, const char *const *args, const char *const *env) {
    pgd_error err = {0};
    cli_chat c = {0};
    int code = PGD_CLI_USAGE;
    if (set_up(&c, n_args, args, env, &err) != PGD_OK) {
        complain(err.msg);
    } else if (c.options.help) {
        pgd_buf text = {0};
        cli_flags_help(&chat_command, &text);
        put_out(&text);
        code = PGD_CLI_OK;
    } else {
        code = c.tty ? chat_at_terminal(&c) : chat_in_pipe(&c);
    }
    cli_chat_fini(&c);
    return code;
}
