/* Server-sent events: bytes as they come -> the data of each event. */
#ifndef PAGODA_CLI_SSE_H
#define PAGODA_CLI_SSE_H

#include <stdbool.h>

#include "pagoda/str.h"

/* {0} is a stream's beginning. */
typedef struct cli_sse {
    pgd_buf line; /* a line that is not complete yet */
    pgd_buf data; /* of the event under way */
    bool has_data, after_cr, started;
} cli_sse;

/* Called with the data of one event (borrowed during the call). Anything but PGD_OK ends the
 * feeding with that status. */
typedef pgd_status (*cli_sse_fn)(void *ctx, pgd_sv data, pgd_error *err);

/* Errors: PGD_E_LIMIT (an event over 16 MiB), PGD_E_NOMEM, and what fn returned. */
pgd_status cli_sse_feed(cli_sse *s, pgd_sv bytes, cli_sse_fn fn, void *ctx, pgd_error *err);
void cli_sse_fini(cli_sse *s);

#endif
