/* Service-level objectives, and whether a request met them. Private to src/bench. */
#ifndef PGD_BENCH_SLO_H
#define PGD_BENCH_SLO_H

#include <stdbool.h>

#include "pagoda/status.h"

/* Milliseconds; 0: no limit. */
typedef struct bench_slo {
    double ttft, tpot, itl, e2e;
} bench_slo;

/* Latencies of one request, in milliseconds. tpot and itl are 0 for a single token. */
typedef struct bench_latency {
    double ttft;
    double tpot; /* (e2e - ttft) / (output tokens - 1) */
    double itl;  /* 99th percentile of its own gaps */
    double e2e;
} bench_latency;

/* "ttft:200,tpot:50" in any order; NULL is no objective. Errors: PGD_E_INVALID. */
pgd_status bench_slo_parse(const char *text, bench_slo *out, pgd_error *err);
bool bench_slo_any(const bench_slo *s);
bool bench_slo_met(const bench_slo *s, const bench_latency *l);

#endif
