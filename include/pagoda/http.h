/* The HTTP front end: a strict HTTP/1.1 server on libuv that feeds the API layer. It listens before
 * the model is loaded, holds every client to deadlines and limits, refuses ambiguous framing (the
 * root of request smuggling) with a 400 and a closed connection, authenticates, and streams what
 * calls produce. One loop a thread; a connection and its call belong to one loop. */
#ifndef PAGODA_HTTP_H
#define PAGODA_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/api.h"
#include "pagoda/metrics.h"
#include "pagoda/status.h"

typedef struct pgd_http pgd_http;

/* One API key. The secret itself is not kept. */
typedef struct pgd_api_key {
    char id[64];        /* for logs */
    char tenant[64];    /* cache group; the id unless the key file says otherwise */
    uint8_t sha256[32]; /* of the secret */
    bool may_set_priority;
} pgd_api_key;

/* A fixed page: bytes of the binary under one path, for GET and HEAD, without a key. Paths of
 * pages are "/", "/status" and those under "/web/". Borrowed for the life of the server. */
typedef struct pgd_http_page {
    const char *path;
    const char *content_type;
    const char *headers; /* complete "name: value\r\n" lines that go with it */
    const char *etag;    /* quoted; of the plain bytes */
    const void *body;
    size_t n_body;
    const void *gzip; /* the same compressed, with a tag of its own; NULL: none */
    size_t n_gzip;
    const char *gzip_etag;
} pgd_http_page;

typedef struct pgd_http_options {
    const char *host; /* numeric address, or "localhost"; NULL: 127.0.0.1 */
    uint16_t port;    /* 0: any free port, see pgd_http_port */
    uint32_t n_loops; /* event loops (threads) */
    const pgd_api_key *keys;
    uint32_t n_keys;       /* 0: no authentication */
    bool metrics_need_key; /* /metrics asks for a key too */
    /* Path of a unix socket for the operator, of mode 0600: it answers the operator's routes, which
     * the port never does, the probes, /server_info, /metrics and /version, all without a key.
     * NULL: none. */
    const char *admin_socket;
    const char *const *cors_origins; /* exact origins, or "*"; none: no CORS headers */
    uint32_t n_cors_origins;
    /* Names by which clients may call (the Host header, without its port), besides localhost and
     * loopback addresses; or "*". Checked where host is loopback, or where there are some: then
     * numeric addresses pass too. */
    const char *const *allowed_hosts;
    uint32_t n_allowed_hosts;
    const pgd_http_page *pages; /* none: their paths are unknown, and / lists the endpoints */
    uint32_t n_pages;
    size_t max_body_bytes;
    size_t max_head_bytes; /* request line and headers */
    uint32_t max_connections;
    uint64_t head_timeout_ns;  /* from the first byte to the end of the head */
    uint64_t body_timeout_ns;  /* for the whole body */
    uint64_t body_idle_ns;     /* without one byte of the body */
    uint64_t idle_timeout_ns;  /* keep-alive connection between requests */
    uint64_t stall_timeout_ns; /* a response of which the client takes no byte */
    pgd_metrics *metrics;
    bool access_log; /* one line for each refusal (calls are logged by the API) */
} pgd_http_options;

/* Defaults of every field (127.0.0.1:8000, no keys). */
extern const pgd_http_options pgd_http_options_default;

/* Bind and listen; options and what they point to are borrowed until destroy. Errors: PGD_E_IO
 * naming address and reason ("address already in use"), PGD_E_INVALID. The admin socket's file is
 * removed at stop, or at destroy. */
pgd_status pgd_http_create(pgd_api *api, const pgd_http_options *opt, pgd_http **out,
                           pgd_error *err);
uint16_t pgd_http_port(const pgd_http *h);
/* Serve until pgd_http_stop. The caller's thread runs loop 0. */
void pgd_http_run(pgd_http *h);
/* Any thread: stop accepting, close idle connections, answer what comes on open ones with
 * `connection: close`. */
void pgd_http_quiesce(pgd_http *h);
/* Any thread: close everything and let pgd_http_run return. */
void pgd_http_stop(pgd_http *h);
/* Open connections now. Any thread. */
uint32_t pgd_http_connections(const pgd_http *h);
void pgd_http_destroy(pgd_http **h);

/* Whether an address that pgd_http_options.host may hold is reached from this machine alone. */
bool pgd_http_host_is_loopback(const char *host);

/* Parse a key file: lines `id:sha256-hex[:tenant[:priority]]`, `#` comments. Appends to *keys
 * (owned, free with pgd_free). Errors name the line. */
pgd_status pgd_http_parse_keys(pgd_sv text, pgd_api_key **keys, uint32_t *n, pgd_error *err);
/* Key i of a list given on the command line. */
void pgd_http_key_from_secret(pgd_sv secret, uint32_t i, pgd_api_key *out);

#endif
