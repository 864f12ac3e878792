/* API keys. Private to src/http. */
#ifndef PGD_HTTP_AUTH_H
#define PGD_HTTP_AUTH_H

#include "http/parse.h"
#include "pagoda/http.h"

/* The key that a request carries (Authorization: Bearer, or x-api-key), or NULL when it carries
 * none or an unknown one. The time depends on the number of keys, not on which one matches. */
const pgd_api_key *pgd_auth_find(const pgd_http_options *opt, const pgd_http_head *head);

#endif
