/* A conversation with a server. */
#ifndef PAGODA_CLI_SESSION_H
#define PAGODA_CLI_SESSION_H

#include "cli/client.h"
#include "cli/conversation.h"
#include "cli/flags.h"

typedef struct cli_chat_options {
    const char *url, *model, *system, *api_key;
    cli_number temperature, top_p;
    cli_count max_tokens, seed;
    bool once, help;
} cli_chat_options;

typedef struct cli_chat {
    cli_chat_options options; /* strings borrowed from the arguments and the environment */
    cli_url url;
    pgd_buf api_key; /* empty: none */
    pgd_buf model;   /* empty: ask the server */
    cli_conversation talk;
    cli_wait wait;
    int out;          /* where answers go */
    bool tty;         /* out is a terminal with a person before it: figures and reasoning, too */
    bool colour;      /* dim and coloured text is welcome */
    pgd_buf own_path; /* file that this session wrote or read: may be overwritten */
} cli_chat;

void cli_chat_fini(cli_chat *c);
/* Names of the server's models, one a line, for requests: not fit for a terminal. Errors: as
 * cli_exchange, PGD_E_FORMAT. */
pgd_status cli_chat_models(const cli_chat *c, pgd_buf *out, pgd_error *err);
/* Without a model, take the server's first. */
pgd_status cli_chat_choose_model(cli_chat *c, pgd_error *err);
/* The request's body for the conversation as it stands. */
void cli_chat_put_request(const cli_chat *c, pgd_buf *out);
/* Add the prompt, stream the answer to c->out, and add it. PGD_E_CANCELLED: stopped by the user. An
 * answer that was stopped or broke off is kept as far as it came; when nothing came, the prompt is
 * taken back too, so that it can be asked again. */
pgd_status cli_chat_ask(cli_chat *c, pgd_sv prompt, pgd_error *err);

typedef enum cli_next { CLI_NEXT, CLI_QUIT } cli_next;
/* Whether a line is a command: "/" and a letter begin one. */
bool cli_is_command(pgd_sv line);
/* Run it; what there is to say is appended to out, fit for a terminal, in whole lines. */
cli_next cli_run_command(cli_chat *c, pgd_sv line, pgd_buf *out);

#endif
