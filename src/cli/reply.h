/* An HTTP/1.1 response, parsed from bytes as they come. */
#ifndef PAGODA_CLI_REPLY_H
#define PAGODA_CLI_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/str.h"

/* {0} is a response's beginning. */
typedef struct cli_reply {
    int status;        /* positive once the head is complete */
    bool event_stream; /* Content-Type: text/event-stream */
    bool done;         /* the body is complete */
    char reason[64];   /* phrase of the status line, as sent: not fit for a terminal */
    /* private */
    pgd_buf line; /* of the head or of the chunk framing */
    size_t head_bytes;
    enum {
        CLI_REPLY_HEAD,
        CLI_REPLY_SIZED,
        CLI_REPLY_CHUNK_SIZE,
        CLI_REPLY_CHUNK,
        CLI_REPLY_CHUNK_END,
        CLI_REPLY_TRAILER,
        CLI_REPLY_UNTIL_CLOSE
    } state;
    bool chunked, has_length;
    uint64_t left;
} cli_reply;

/* Called with a piece of the body (borrowed during the call). Anything but PGD_OK ends the feeding
 * with that status. */
typedef pgd_status (*cli_body_fn)(void *ctx, const cli_reply *reply, pgd_sv body, pgd_error *err);

/* Errors: PGD_E_FORMAT saying what is wrong, PGD_E_LIMIT, PGD_E_NOMEM, what fn returned. Bytes
 * behind the end of the body are ignored. */
pgd_status cli_reply_feed(cli_reply *r, pgd_sv bytes, cli_body_fn fn, void *ctx, pgd_error *err);
/* The connection ended. Errors: PGD_E_IO when that is not where the response ends. */
pgd_status cli_reply_close(cli_reply *r, pgd_error *err);
void cli_reply_fini(cli_reply *r);

#endif
