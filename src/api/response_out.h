/* Writing responses and their items as JSON; see response.c. */
#ifndef PAGODA_API_RESPONSE_OUT_H
#define PAGODA_API_RESPONSE_OUT_H

#include "call.h"
#include "response.h"

/* What stands before reasoning that clients are given as encrypted_content. It is not encrypted:
 * the same text stands beside it, and clients that keep nothing else send it back. */
#define API_SEALED "pgd1:"

typedef enum api_item_at { API_ITEM_BEGINS, API_ITEM_WHOLE, API_ITEM_CUT } api_item_at;

/* `"key":"text"` */
void api_put_text(pgd_buf *b, const char *key, pgd_sv text);
/* How the tool of a call goes back to the client; NULL: as it is. */
const api_alias *api_item_alias(const pgd_call *c, const api_item *it);
bool api_item_is_custom(const pgd_call *c, const api_item *it);
/* The free text of a custom tool's call, JSON-escaped: its `input`, or all of it if that is not
 * what the model wrote. */
void api_put_custom_input(const api_item *it, pgd_buf *b);
void api_put_part(const api_item *it, bool empty, pgd_buf *b);
void api_put_item(const pgd_call *c, const api_item *it, api_item_at at, pgd_buf *b);
/* The object with what has come of it: an error or none, items, usage. */
void api_put_response(const pgd_call *c, const char *status, pgd_buf *b);
/* The object before that. Reads only what prep has filled: also for who looks at a detached call.
 */
void api_put_response_begun(const pgd_call *c, const char *status, pgd_buf *b);

#endif
