/* Commands within a conversation.
 *
 * One table makes dispatch and /help. They exist at a terminal only: in a pipe every line is a
 * prompt, since a document that somebody pipes in must not be able to write files. Thread: main. */
#include <string.h>

#include "cli/clean.h"
#include "cli/session.h"
#include "pagoda/fs.h"

typedef cli_next (*run_fn)(cli_chat *c, pgd_sv arg, pgd_buf *out);

typedef struct command {
    const char *name, *arg, *help;
    run_fn run;
} command;

static void say_error(const pgd_error *err, pgd_buf *out) {
    cli_clean_text(pgd_sv_c(err->msg), out);
    pgd_buf_putc(out, '\n');
}

static cli_next run_system(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    pgd_error err = {0};
    if (arg.n == 0) {
        const pgd_sv system = cli_conversation_system(&c->talk);
        cli_clean_text(system.n > 0 ? system : PGD_SV("no system prompt"), out);
        pgd_buf_putc(out, '\n');
        return CLI_NEXT;
    }
    const bool none = pgd_sv_eq(arg, PGD_SV("-"));
    if (cli_conversation_set_system(&c->talk, none ? PGD_SV("") : arg, &err) != PGD_OK)
        say_error(&err, out);
    else
        pgd_buf_puts(out, none ? "system prompt removed\n" : "system prompt set\n");
    return CLI_NEXT;
}

static cli_next run_clear(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    (void)arg;
    cli_conversation_clear(&c->talk);
    pgd_buf_puts(out, "conversation cleared\n");
    return CLI_NEXT;
}

/* The argument as a C string in *path. False, with a complaint, when there is none. */
static bool take_path(pgd_sv arg, const char *name, pgd_buf *path, pgd_buf *out) {
    if (arg.n == 0) {
        pgd_buf_putf(out, "/%s needs a file\n", name);
        return false;
    }
    pgd_buf_putsv(path, arg);
    return !path->failed;
}

static void note_own_path(cli_chat *c, pgd_sv path) {
    pgd_buf_clear(&c->own_path);
    pgd_buf_putsv(&c->own_path, path);
}

static void say_messages(const char *verb, const cli_chat *c, pgd_buf *out) {
    pgd_buf_putf(out, "%s %zu message%s\n", verb, c->talk.n, c->talk.n == 1 ? "" : "s");
}

static void save(cli_chat *c, const char *path, bool force, pgd_buf *out) {
    pgd_error err = {0};
    const bool own = pgd_sv_eq(pgd_buf_sv(&c->own_path), pgd_sv_c(path));
    if (!force && !own && pgd_fs_exists(path)) {
        cli_clean_text(pgd_sv_c(path), out);
        pgd_buf_puts(out, " exists; /save! overwrites it\n");
    } else if (cli_conversation_save(&c->talk, path, &err) != PGD_OK) {
        say_error(&err, out);
    } else {
        note_own_path(c, pgd_sv_c(path));
        say_messages("saved", c, out);
    }
}

static cli_next run_save(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    pgd_buf path = {0};
    if (take_path(arg, "save", &path, out)) save(c, path.p, false, out);
    pgd_buf_fini(&path);
    return CLI_NEXT;
}

static cli_next run_save_over(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    pgd_buf path = {0};
    if (take_path(arg, "save!", &path, out)) save(c, path.p, true, out);
    pgd_buf_fini(&path);
    return CLI_NEXT;
}

static cli_next run_load(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    pgd_error err = {0};
    pgd_buf path = {0};
    if (take_path(arg, "load", &path, out)) {
        if (cli_conversation_load(&c->talk, path.p, &err) != PGD_OK) {
            say_error(&err, out);
        } else {
            note_own_path(c, arg);
            say_messages("loaded", c, out);
        }
    }
    pgd_buf_fini(&path);
    return CLI_NEXT;
}

static cli_next run_model(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    pgd_error err = {0};
    pgd_buf names = {0};
    if (arg.n > 0) {
        pgd_buf_clear(&c->model);
        pgd_buf_putsv(&c->model, arg);
        pgd_buf_puts(out, "asking ");
        cli_clean_text(arg, out);
        pgd_buf_puts(out, " from now on\n");
    } else if (cli_chat_models(c, &names, &err) == PGD_OK) {
        pgd_sv rest = pgd_buf_sv(&names);
        for (pgd_sv name; pgd_sv_cut(&rest, PGD_SV("\n"), &name);) {
            pgd_buf_puts(out, pgd_sv_eq(name, pgd_buf_sv(&c->model)) ? "* " : "  ");
            cli_clean_text(name, out);
            pgd_buf_putc(out, '\n');
        }
    } else {
        say_error(&err, out);
    }
    pgd_buf_fini(&names);
    return CLI_NEXT;
}

static cli_next run_quit(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    (void)c;
    (void)arg;
    (void)out;
    return CLI_QUIT;
}

static cli_next run_help(cli_chat *c, pgd_sv arg, pgd_buf *out);

static const command commands[] = {
    {"system", "TEXT", "set the system prompt; without TEXT show it; '-' removes it", run_system},
    {"clear", "", "forget the conversation, keep the system prompt", run_clear},
    {"save", "FILE", "write the messages as JSON; /save! overwrites a file", run_save},
    {"save!", "FILE", NULL, run_save_over},
    {"load", "FILE", "replace the conversation by a saved one", run_load},
    {"model", "NAME", "ask another model; without NAME list them", run_model},
    {"help", "", "this list", run_help},
    {"quit", "", "leave, as Ctrl-D does", run_quit},
    {"exit", "", NULL, run_quit},
};

static cli_next run_help(cli_chat *c, pgd_sv arg, pgd_buf *out) {
    (void)c;
    (void)arg;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const command *one = &commands[i];
        if (one->help != NULL) pgd_buf_putf(out, "/%-7s%-6s%s\n", one->name, one->arg, one->help);
    }
    pgd_buf_puts(out, "Ctrl-C stops an answer, and at the prompt clears the line. Alt-Enter begins "
                      "a new line\nin a prompt; pasted text keeps its lines. //text asks /text.\n");
    return CLI_NEXT;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool cli_is_command(pgd_sv line) {
    return line.n >= 2 && line.p[0] == '/' && is_letter(line.p[1]);
}

cli_next cli_run_command(cli_chat *c, pgd_sv line, pgd_buf *out) {
    size_t end = 1;
    while (end < line.n && line.p[end] != ' ' && line.p[end] != '\t' && line.p[end] != '\n')
        end++;
    const pgd_sv name = {line.p + 1, end - 1};
    pgd_sv arg = {line.p + end, line.n - end};
    while (arg.n > 0 && strchr(" \t\n", arg.p[0]) != NULL) {
        arg.p++;
        arg.n--;
    }
    while (arg.n > 0 && strchr(" \t\n", arg.p[arg.n - 1]) != NULL)
        arg.n--;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (pgd_sv_eq(pgd_sv_c(commands[i].name), name)) return commands[i].run(c, arg, out);
    pgd_buf_puts(out, "no command /");
    cli_clean_text(name, out);
    pgd_buf_puts(out, "; /help lists them, //text asks /text\n");
    return CLI_NEXT;
}
