/* The address of a server. */
#ifndef PAGODA_CLI_URL_H
#define PAGODA_CLI_URL_H

#include "pagoda/str.h"

typedef struct cli_url {
    char host[256]; /* without the brackets of IPv6 */
    char port[6];
    char base[512];      /* path before "/models": "/v1", or what the URL names and "/v1" */
    char authority[272]; /* for the Host header: "localhost:8000", "[::1]:8000" */
} cli_url;

/* "http://host[:port][/path]"; the scheme may be left out; the path may end in /v1 or not. Errors:
 * PGD_E_UNSUPPORTED (https), PGD_E_INVALID, with the text and what is wrong in it. */
pgd_status cli_url_parse(const char *text, cli_url *out, pgd_error *err);

#endif
