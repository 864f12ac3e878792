/* One HTTP request at a time: connect, send, receive, close. */
#ifndef PAGODA_CLI_CLIENT_H
#define PAGODA_CLI_CLIENT_H

#include "cli/reply.h"
#include "cli/url.h"

/* How to wait for a socket. A terminal watches the keyboard at the same time. Returns PGD_OK when
 * fd is ready for `events` (of poll), PGD_E_CANCELLED when the user wants to stop, PGD_E_TIMEOUT
 * after timeout_ms, PGD_E_IO. */
typedef struct cli_wait {
    pgd_status (*fn)(void *ctx, int fd, short events, int timeout_ms);
    void *ctx;
} cli_wait;
/* Waits for the socket alone. */
cli_wait cli_wait_plain(void);

typedef struct cli_request {
    const char *method;
    const char *path;    /* below url->base: "/models" */
    const char *api_key; /* NULL: none */
    pgd_sv body;         /* JSON; empty: none */
} cli_request;

/* Send the request, pass the body of the response to fn. The connection is closed on return,
 * whatever happened, which is how an answer under way is stopped. Returns PGD_OK at the end of the
 * response, PGD_E_CANCELLED when `wait` said so, what fn returned, or an error that says what
 * happened and, when nobody listens, how to start a server. *reply is {0} before and owned by the
 * caller after. */
pgd_status cli_exchange(const cli_url *url, const cli_request *request, const cli_wait *wait,
                        cli_reply *reply, cli_body_fn fn, void *ctx, pgd_error *err);

#endif
