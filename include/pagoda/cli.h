/* Commands for people at a terminal: `pagoda chat`, a client of any OpenAI-compatible server, and
 * `pagoda tokenize`, which shows what a tokenizer makes of a text. Neither knows the engine: chat
 * speaks HTTP like everybody else, so that what it shows is what other clients get. Main thread. */
#ifndef PAGODA_CLI_H
#define PAGODA_CLI_H

/* Exit codes; a command that a signal ended returns 128 + its number, as shells have it. */
enum { PGD_CLI_OK = 0, PGD_CLI_FAILED = 1, PGD_CLI_USAGE = 2 };

/* Run the command with the arguments behind its name on the standard streams. env: NULL-terminated
 * "NAME=value" strings, of which PAGODA_API_KEY, NO_COLOR and TERM are read. */
int pgd_cli_chat(int n_args, const char *const *args, const char *const *env);
int pgd_cli_tokenize(int n_args, const char *const *args);

#endif
