/* The route table. Private to src/http. */
#ifndef PGD_HTTP_ROUTE_H
#define PGD_HTTP_ROUTE_H

#include <stdbool.h>

#include "pagoda/api.h"
#include "pagoda/str.h"

enum {
    PGD_GET = 1,
    PGD_POST = 2,
    PGD_DELETE = 4
}; /* HEAD goes wherever GET goes, OPTIONS everywhere */

enum {
    PGD_ROUTE_OPEN = 1,      /* answered without a key */
    PGD_ROUTE_METRIC = 2,    /* open unless the options ask for a key */
    PGD_ROUTE_MODEL_USE = 4, /* needs the loaded model: refused early while loading or draining */
    PGD_ROUTE_QUIET = 8,     /* not in the access log */
    PGD_ROUTE_ADMIN = 16,    /* answered on the operator's socket, and nowhere else */
    PGD_ROUTE_BOTH = 32,     /* answered there as well */
};

typedef struct pgd_route_row {
    const char *path; /* exact; a trailing "/" takes the rest as the argument */
    pgd_route route;
    unsigned methods, flags;
    const char *suffix; /* what has to follow the argument; NULL: nothing */
} pgd_route_row;

/* Find the row for a request target (query ignored, repeated and trailing slashes forgiven).
 * *arg is the percent-decoded rest for prefix rows, in scratch. NULL: unknown path. */
const pgd_route_row *pgd_route_find(pgd_sv target, pgd_buf *scratch, pgd_sv *arg);
/* Whether the row is offered on the operator's socket (admin) or on the port. */
bool pgd_route_is_offered(const pgd_route_row *row, bool admin);
/* "GET, HEAD, OPTIONS" for the Allow header. */
const char *pgd_route_allow(const pgd_route_row *row);

#endif
