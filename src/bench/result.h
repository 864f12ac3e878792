/* From the records of a run to figures. Private to src/bench. */
#ifndef PGD_BENCH_RESULT_H
#define PGD_BENCH_RESULT_H

#include "bench/run.h"
#include "bench/slo.h"

enum { BENCH_MAX_BINS = 120 };

/* Times in ms, rates a second. Failed requests count in n and by fault, and nowhere else. */
typedef struct bench_result {
    uint64_t n, n_ok, n_fault[BENCH_FAULT_N];
    uint64_t n_length;   /* answered with another number of tokens than asked for */
    uint64_t n_no_usage; /* tokens counted by chunks */
    uint64_t n_prompt, n_output, n_cached;
    bool has_cached;
    double seconds; /* from the first start to the last end */
    double requests_s, output_s, total_s;
    pgd_samples ttft, tpot, itl, e2e, lag; /* sorted; owned */
    pgd_summary ttft_sum, tpot_sum, itl_sum, e2e_sum, lag_sum;
    bool has_slo;
    uint64_t n_good;
    double good_s;
    /* the steady window; seconds 0 without one */
    double steady_from_s, steady_seconds, steady_output, steady_output_s;
    /* output tokens a second over time, bins of bin_s */
    double bin_s, bin[BENCH_MAX_BINS];
    uint32_t n_bins;
    const char *first_why[BENCH_FAULT_N]; /* a message of each fault; borrowed from the records */
} bench_result;

/* Latencies of one successful record. Errors: none; NaN never. */
bench_latency bench_record_latency(const bench_record *r);

/* Errors: PGD_E_NOMEM. Free with bench_result_fini. */
pgd_status bench_result_make(const bench_run *run, const bench_slo *slo, bench_result *out,
                             pgd_error *err);
void bench_result_fini(bench_result *r);

/* Append the table for people; "result": {...} and "requests": {...} for programs (the writer
 * stands inside an object). */
void bench_result_put_text(const bench_result *r, const bench_run *run, pgd_buf *out);
void bench_result_put_json(const bench_result *r, const bench_slo *slo, pgd_jsonw *w);
void bench_result_put_requests(const bench_run *run, pgd_jsonw *w);
/* A whole SVG document: latency distributions and throughput over time. */
void bench_result_put_svg(const bench_result *r, const char *title, pgd_buf *out);

#endif
