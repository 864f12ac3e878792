/* Requests that a browser makes for a foreign page. Private to src/http. */
#ifndef PGD_HTTP_GUARD_H
#define PGD_HTTP_GUARD_H

#include <stdbool.h>

#include "http/parse.h"
#include "pagoda/http.h"

/* Whether Host headers are checked: the server listens on loopback, or names were given. */
bool pgd_guard_checks_hosts(const pgd_http_options *opt);
/* Whether the value of a Host header means this server, where they are checked. */
bool pgd_guard_host(const pgd_http_options *opt, pgd_sv host);
/* At most cap - 1 bytes of a header's value for a message: what is not printable ASCII becomes ?.
 */
void pgd_guard_quote(pgd_sv value, char *out, size_t cap);
/* Whether a POST with this head may go on: it does not come from a page, or it has the content type
 * for which a browser asks first. */
bool pgd_guard_post(const pgd_http_head *h);

#endif
