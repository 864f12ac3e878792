/* A streamed chat completion: the data of its events -> text, and figures about it. */
#ifndef PAGODA_CLI_ANSWER_H
#define PAGODA_CLI_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/str.h"

typedef enum cli_piece { CLI_PIECE_TEXT, CLI_PIECE_REASONING } cli_piece;

/* Called with each piece of text as it comes: as the model wrote it, not fit for a terminal. */
typedef void (*cli_show_fn)(void *ctx, cli_piece kind, pgd_sv text);

typedef struct cli_answer {
    cli_show_fn show; /* set by the caller, as are ctx and sent_ns */
    void *ctx;
    uint64_t sent_ns;
    /* what came */
    pgd_buf text;               /* the answer without its reasoning; owned */
    uint64_t first_ns, last_ns; /* of the first and last piece, 0: none yet */
    uint64_t n_pieces;
    bool has_usage;
    uint64_t prompt_tokens, completion_tokens; /* valid with has_usage */
    bool done;                                 /* [DONE] came */
    char finish[24];                           /* "stop", "length", ...; "" when none came */
} cli_answer;

/* Take the data of one event that came at now_ns. Errors: PGD_E_FORMAT (no JSON), PGD_E_LIMIT (an
 * answer over 64 MiB), PGD_E_NOMEM, and PGD_E_INTERNAL with the server's message when the event is
 * an error. Events behind [DONE] are ignored. */
pgd_status cli_answer_event(cli_answer *a, pgd_sv data, uint64_t now_ns, pgd_error *err);
void cli_answer_fini(cli_answer *a);

/* "12 tokens, 84.1 tokens/s, first after 31 ms", and how it ended unless by itself. */
void cli_answer_put_stats(const cli_answer *a, bool stopped, pgd_buf *out);

/* The message in the body of an error response, in the shapes that servers use; else the status
 * line and the beginning of the body. Fit for a terminal. */
void cli_error_text(int status, const char *reason, pgd_sv body, pgd_buf *out);

#endif
