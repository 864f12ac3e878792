/* What is asked for, and when: lengths, shared prefixes, arrivals. Private to src/bench. */
#ifndef PGD_BENCH_WORKLOAD_H
#define PGD_BENCH_WORKLOAD_H

#include <stdbool.h>

#include "pagoda/bench.h"

/* ---- randomness: SplitMix64, everything a function of the seed ---- */

/* A generator state for (seed, stream, index). */
uint64_t bench_seed(uint64_t seed, uint64_t stream, uint64_t index);
double bench_uniform(uint64_t *state);                             /* in (0, 1) */
uint64_t bench_below(uint64_t *state, uint64_t n);                 /* in [0, n), n > 0 */
double bench_normal(uint64_t *state);                              /* mean 0, deviation 1 */
double bench_gamma(uint64_t *state, double shape);                 /* scale 1, shape > 0 */
uint64_t bench_between(uint64_t *state, const pgd_bench_range *r); /* inclusive */

/* ---- trace files ---- */

typedef struct bench_trace_row {
    double arrival_ms;
    uint32_t n_in, n_out;
} bench_trace_row;

typedef struct bench_trace {
    bench_trace_row *row; /* owned */
    size_t n;
} bench_trace;

/* Parse CSV lines arrival_ms,input_tokens,output_tokens; a heading of just these names, empty lines
 * and lines that begin with '#' are skipped. Arrivals must not fall, tokens are in 1..2^24.
 * Errors: PGD_E_FORMAT naming line, column and value; PGD_E_NOMEM. */
pgd_status bench_trace_parse(pgd_sv text, bench_trace *out, pgd_error *err);
void bench_trace_fini(bench_trace *t);

/* ---- workloads ---- */

typedef enum bench_kind { BENCH_RANDOM, BENCH_SHAREGPT, BENCH_PREFIX, BENCH_TRACE } bench_kind;

typedef struct bench_workload {
    bench_kind kind;
    uint64_t seed;
    pgd_bench_range n_in, n_out;        /* random; n_out also prefix */
    pgd_bench_range n_prefix, n_suffix; /* prefix; the length of a prefix depends on its id */
    uint64_t n_prefixes;
    bench_trace trace; /* owned */
} bench_workload;

typedef struct bench_item {
    uint32_t n_in, n_out; /* tokens */
    uint32_t n_prefix;    /* the first so many of n_in come from the shared prefix */
    uint64_t prefix;      /* its id */
} bench_item;

/* The index-th request: a function of the workload and index alone (a trace repeats from its
 * start). */
bench_item bench_workload_item(const bench_workload *w, uint64_t index);

/* ---- arrivals ---- */

/* Poisson arrivals of `rate` a second; gaps are gamma distributed with shape `burstiness` and the
 * same mean: 1 is exponential, below 1 comes in bursts, above 1 is more even. */
typedef struct bench_arrivals {
    double rate, burstiness;
    uint64_t state;
    double at_s; /* of the last arrival */
} bench_arrivals;
/* Seconds after the start of the next arrival. */
double bench_arrivals_next(bench_arrivals *a);

#endif
