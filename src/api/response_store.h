/* Responses that were asked to be kept: a bounded table in memory, least recently used first out,
 * each tenant seeing its own alone. What is kept is immutable and counted, so that a conversation
 * can go on from a response that is being pushed out. Thread: any; a lock guards the table. */
#ifndef PAGODA_API_RESPONSE_STORE_H
#define PAGODA_API_RESPONSE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct api_store api_store;
typedef struct api_kept api_kept;

/* What joins the items of `input`. JSON as it is written here has no raw newline, so that a list
 * can be taken apart without reading it. */
#define API_ITEM_SEP ",\n"

struct api_kept {
    pgd_buf id, tenant;
    pgd_buf input;      /* items with ids at their front */
    pgd_buf object;     /* the response */
    pgd_buf items;      /* ids of the items of its output, a line each */
    api_kept *previous; /* counted; the response that this one went on from, or NULL */
    uint32_t depth;     /* responses up to here, */
    size_t chain_bytes; /* and what their texts hold */

    /* the store's */
    api_store *store;
    _Atomic uint32_t refs;
    uint64_t born_ns;
    api_kept *hash_next, *newer, *older;
};

typedef struct api_store_limits {
    uint32_t max_entries;
    size_t max_bytes; /* of texts, those that only later responses still need included */
    uint64_t ttl_ns;
} api_store_limits;

/* Errors: PGD_E_NOMEM. */
pgd_status api_store_create(const api_store_limits *lim, api_store **out);
/* Everything that was got must have been released. */
void api_store_destroy(api_store **s);
/* A new one with one reference, its texts empty; `previous` is moved in. NULL: no memory. */
api_kept *api_kept_create(api_kept *previous);
/* Moved into the table; what exceeds the limits leaves it, this one too if it alone does. */
void api_store_put(api_store *s, api_kept *k, uint64_t now_ns);
/* A reference, or NULL. */
api_kept *api_store_get(api_store *s, pgd_sv id, pgd_sv tenant, uint64_t now_ns);
/* The same by the id of an item of its output; of several with that id, the newest. */
api_kept *api_store_get_by_item(api_store *s, pgd_sv item, pgd_sv tenant, uint64_t now_ns);
/* Whether it was there. */
bool api_store_remove(api_store *s, pgd_sv id, pgd_sv tenant);
void api_kept_release(api_kept **k);
/* Entries and bytes now. */
void api_store_count(api_store *s, uint32_t *n, size_t *bytes);

#endif
