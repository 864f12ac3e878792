/* Fixed pages that the options bring along: finding one, and what a request asks of it. Private to
 * src/http. */
#ifndef PGD_HTTP_PAGE_H
#define PGD_HTTP_PAGE_H

#include <stdbool.h>

#include "http/parse.h"
#include "http/route.h"
#include "pagoda/http.h"

/* The page under the row's path and the argument behind it, or NULL. */
const pgd_http_page *pgd_page_find(const pgd_http_options *opt, const pgd_route_row *row,
                                   pgd_sv arg);
/* Whether this client wants the page of a path that also has a JSON answer: everyone but clients
 * whose Accept header names neither HTML nor everything. accept: the header, p == NULL if absent.
 */
bool pgd_page_wanted(pgd_sv accept);
/* Whether an Accept-Encoding header lets gzip through. */
bool pgd_page_takes_gzip(pgd_sv accept_encoding);
/* Whether an If-None-Match header names the tag (quoted), compared weakly as RFC 9110 13.1.2 says.
 */
bool pgd_page_unchanged(pgd_sv if_none_match, const char *etag);

#endif
