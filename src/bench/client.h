/* HTTP client of the load generator: plain HTTP/1.1 to one address over libuv, with a pool of
 * kept-alive connections or one connection a request. Private to src/bench. One thread, which runs
 * the loop. */
#ifndef PGD_BENCH_CLIENT_H
#define PGD_BENCH_CLIENT_H

#include <uv.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef enum bench_fault {
    BENCH_OK = 0,
    BENCH_CONNECT,  /* no connection */
    BENCH_CLOSED,   /* the connection broke within the response */
    BENCH_TIMEOUT,  /* --timeout passed */
    BENCH_HTTP_4XX, /* answered with such a status */
    BENCH_HTTP_5XX,
    BENCH_PROTOCOL, /* no HTTP, no event stream, no JSON where it is due */
    BENCH_STREAM,   /* an error event within the stream */
    BENCH_MEMORY,
    BENCH_FAULT_N
} bench_fault;
const char *bench_fault_name(bench_fault f);

typedef struct bench_url {
    char host[256], port[8];
    char path[512]; /* prefix of all targets, "" or "/base", without a slash at the end */
} bench_url;
/* Parse http://host[:port][/path]; a trailing /v1 is dropped, since targets bring it. Errors:
 * PGD_E_INVALID, PGD_E_UNSUPPORTED (https). */
pgd_status bench_url_parse(const char *text, bench_url *out, pgd_error *err);

typedef struct bench_client bench_client;

/* One request. The caller embeds it, sets the callbacks and keeps it until on_done, which comes
 * exactly once and never within bench_client_send. */
typedef struct bench_exchange {
    void (*on_head)(struct bench_exchange *x, int status, bool event_stream);
    void (*on_body)(struct bench_exchange *x, pgd_sv data);
    /* why: static text or "" */
    void (*on_done)(struct bench_exchange *x, bench_fault fault, const char *why);
    uint64_t deadline_ns; /* on uv_hrtime; 0: none */
} bench_exchange;

typedef struct bench_client_options {
    const bench_url *url; /* borrowed */
    const char *api_key;  /* NULL: no Authorization; borrowed */
    bool keep_alive;
} bench_client_options;

/* Resolve the host (blocking). Errors: PGD_E_NOT_FOUND, PGD_E_NOMEM. */
pgd_status bench_client_create(uv_loop_t *loop, const bench_client_options *opt, bench_client **out,
                               pgd_error *err);
/* Close everything; the caller runs the loop until it is empty, then calls free. */
void bench_client_close(bench_client *c);
void bench_client_free(bench_client **c);

/* Send method and path (below the URL's) with a JSON body (n = 0: none), copied. */
void bench_client_send(bench_client *c, bench_exchange *x, const char *method, const char *path,
                       pgd_sv body);

/* Connections opened so far, and open now. */
uint64_t bench_client_opened(const bench_client *c);

/* Send, and run the loop until the answer is there: appended to `out`. Errors: PGD_E_IO with what
 * went wrong; a status other than 200 is PGD_E_UNSUPPORTED with the server's text. */
pgd_status bench_client_fetch(bench_client *c, const char *method, const char *path, pgd_sv body,
                              pgd_buf *out, pgd_error *err);

#endif
