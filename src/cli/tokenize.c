/* pagoda tokenize: a text's tokens, or the text of tokens.
 *
 * Works on the tokenizer file alone: no model is loaded and no server needed. Text is taken exactly
 * as it is, a final line feed of standard input included. Decoded text goes out byte for byte into
 * a pipe or file; a terminal gets it without control characters. Thread: main. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/clean.h"
#include "cli/flags.h"
#include "cli/tokens.h"
#include "cli/tty.h"
#include "pagoda/cli.h"
#include "pagoda/fs.h"

enum { MAX_TEXT_BYTES = 64 << 20, READ_BYTES = 65536, MAX_PATH_BYTES = 4096 };

typedef struct options {
    const char *model, *text; /* adjacent: the positional arguments */
    const char *file, *decode;
    bool ids, no_special, help;
} options;

#define FIELD(name) offsetof(options, name)
static const cli_flag flags[] = {
    {"file", CLI_FLAG_TEXT, FIELD(file), 0, 0, "FILE", "take the text from a file"},
    {"ids", CLI_FLAG_SWITCH, FIELD(ids), 0, 0, "", "print the ids alone, on one line"},
    {"no-special", CLI_FLAG_SWITCH, FIELD(no_special), 0, 0, "",
     "add no special tokens; with --decode, leave them out"},
    {"decode", CLI_FLAG_TEXT, FIELD(decode), 0, 0, "IDS",
     "print the text of \"1 2 3\" or \"1,2,3\""},
    {"help", CLI_FLAG_SWITCH, FIELD(help), 0, 0, "", "this text"},
};

static const cli_command tokenize_command = {
    .name = "tokenize",
    .usage = "MODEL_DIR [TEXT] [flags]",
    .about =
        "Show the tokens of TEXT, of a file, or of standard input. MODEL_DIR is a folder with a\n"
        "tokenizer.json, or such a file.\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .positional = FIELD(model),
    .max_positional = 2,
};

static pgd_status read_stdin(pgd_buf *out, pgd_error *err) {
    for (;;) {
        if (out->n > MAX_TEXT_BYTES)
            return pgd_fail(err, PGD_E_LIMIT, "more than %d bytes of text", MAX_TEXT_BYTES);
        if (pgd_buf_reserve(out, READ_BYTES) != PGD_OK)
            return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        const ssize_t n = read(STDIN_FILENO, out->p + out->n, READ_BYTES);
        if (n == 0) return PGD_OK;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return pgd_fail(err, PGD_E_IO, "cannot read standard input");
        out->n += (size_t)n;
        out->p[out->n] = '\0';
    }
}

static pgd_status load_tokenizer(const char *model, pgd_tokenizer **out, pgd_error *err) {
    char path[MAX_PATH_BYTES];
    if (!pgd_fs_is_dir(model)) return pgd_tokenizer_load(model, out, err);
    PGD_TRY(pgd_fs_join(path, sizeof(path), model, "tokenizer.json", err));
    return pgd_tokenizer_load(path, out, err);
}

static pgd_status read_text(const options *o, pgd_buf *text, pgd_error *err) {
    if (o->text != NULL)
        pgd_buf_puts(text, o->text);
    else if (o->file != NULL)
        PGD_TRY(pgd_fs_read(o->file, MAX_TEXT_BYTES, text, err));
    else
        PGD_TRY(read_stdin(text, err));
    const size_t valid = pgd_utf8_valid_prefix(text->p, text->n);
    if (valid != text->n)
        return pgd_fail(err, PGD_E_INVALID, "the text is no valid UTF-8 at byte %zu", valid);
    return text->failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
}

static pgd_status encode(const options *o, const pgd_tokenizer *tok, pgd_buf *out, pgd_error *err) {
    pgd_buf text = {0};
    pgd_ids ids = {0};
    pgd_status status = read_text(o, &text, err);
    if (status == PGD_OK)
        status = pgd_tokenizer_encode(
            tok, pgd_buf_sv(&text), o->no_special ? 0 : PGD_ENCODE_ADD_SPECIAL, NULL, 0, &ids, err);
    if (status == PGD_OK && o->ids)
        cli_tokens_ids(&ids, out);
    else if (status == PGD_OK)
        cli_tokens_table(tok, &ids, pgd_buf_sv(&text), out);
    pgd_ids_fini(&ids);
    pgd_buf_fini(&text);
    return status;
}

static pgd_status decode(const options *o, const pgd_tokenizer *tok, pgd_buf *out, pgd_error *err) {
    pgd_ids ids = {0};
    pgd_buf text = {0};
    pgd_status status = cli_tokens_parse(pgd_sv_c(o->decode), &ids, err);
    if (status == PGD_OK)
        status = pgd_tokenizer_decode(tok, ids.v, ids.n, o->no_special, &text, err);
    if (status == PGD_OK && isatty(STDOUT_FILENO)) {
        cli_clean_text(pgd_buf_sv(&text), out);
        pgd_buf_putc(out, '\n');
    } else if (status == PGD_OK) {
        pgd_buf_putsv(out, pgd_buf_sv(&text));
    }
    pgd_buf_fini(&text);
    pgd_ids_fini(&ids);
    return status;
}

static pgd_status check(const options *o, pgd_error *err) {
    if (o->model == NULL)
        return pgd_fail(err, PGD_E_INVALID, "no model given (see pagoda tokenize --help)");
    if ((o->text != NULL) + (o->file != NULL) + (o->decode != NULL) > 1)
        return pgd_fail(err, PGD_E_INVALID, "only one of TEXT, --file and --decode at a time");
    return PGD_OK;
}

static pgd_status run(const options *o, pgd_buf *out, pgd_error *err) {
    pgd_tokenizer *tok = NULL;
    PGD_TRY(load_tokenizer(o->model, &tok, err));
    pgd_status status = o->decode != NULL ? decode(o, tok, out, err) : encode(o, tok, out, err);
    pgd_tokenizer_destroy(&tok);
    if (status == PGD_OK && out->failed) status = pgd_fail(err, PGD_E_NOMEM, "out of memory");
    return status;
}

int pgd_cli_tokenize(int n_args, const char *const *args) {
    pgd_error err = {0};
    pgd_buf out = {0};
    options o = {0};
    int code = PGD_CLI_USAGE;
    pgd_status status = cli_flags_parse(&tokenize_command, n_args, args, &o, &err);
    if (status == PGD_OK && o.help) {
        cli_flags_help(&tokenize_command, &out);
        code = PGD_CLI_OK;
    } else if (status == PGD_OK && (status = check(&o, &err)) == PGD_OK) {
        status = run(&o, &out, &err);
        code = status == PGD_OK ? PGD_CLI_OK : PGD_CLI_FAILED;
    }
    if (status == PGD_OK && cli_write_all(STDOUT_FILENO, pgd_buf_sv(&out)) != PGD_OK)
        code = PGD_CLI_FAILED;
    if (status != PGD_OK) {
        pgd_buf_clear(&out);
        cli_clean_text(pgd_sv_c(err.msg), &out);
        (void)fprintf(stderr, "pagoda: %s\n", out.p != NULL ? out.p : "out of memory");
    }
    pgd_buf_fini(&out);
    return code;
}
