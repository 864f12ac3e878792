/* Incremental reading of server-sent events. Private to src/bench. */
#ifndef PGD_BENCH_SSE_H
#define PGD_BENCH_SSE_H

#include <stdbool.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

/* {0} is the start of a stream. */
typedef struct bench_sse {
    pgd_buf line, data; /* owned */
    bool has_data, started, skip_lf;
} bench_sse;

typedef void (*bench_sse_fn)(void *ctx, pgd_sv data);

/* Take in[0..n) and call fn for every event that is complete, with its data lines joined by line
 * feeds (borrowed for the call). Errors: PGD_E_NOMEM, PGD_E_LIMIT (a line or event over 16 MiB). */
pgd_status bench_sse_feed(bench_sse *s, const char *in, size_t n, bench_sse_fn fn, void *ctx);
void bench_sse_clear(bench_sse *s); /* back to the start, memory kept */
void bench_sse_fini(bench_sse *s);

#endif
