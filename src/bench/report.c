/* The result of a run, as a table and as JSON.
 *
 * One thread. */
#include <math.h>

#include "bench/result.h"

void bench_result_put_text(const bench_result *r, const bench_run *run, pgd_buf *out) {
    pgd_buf_putf(out, "requests      %llu in %.2f s, %llu failed", (unsigned long long)r->n,
                 r->seconds, (unsigned long long)(r->n - r->n_ok));
    pgd_buf_putf(out, ", at most %llu in flight\n", (unsigned long long)run->n_peak);
    for (int f = 1; f < BENCH_FAULT_N; f++)
        if (r->n_fault[f] > 0)
            pgd_buf_putf(out, "  %-12s%llu: %s\n", bench_fault_name((bench_fault)f),
                         (unsigned long long)r->n_fault[f], r->first_why[f]);
    pgd_buf_putf(out, "tokens        %llu prompt", (unsigned long long)r->n_prompt);
    if (r->has_cached)
        pgd_buf_putf(out, " (%llu cached, %.1f %%)", (unsigned long long)r->n_cached,
                     r->n_prompt > 0 ? 100 * (double)r->n_cached / (double)r->n_prompt : 0);
    pgd_buf_putf(out, ", %llu output\n", (unsigned long long)r->n_output);
    if (r->n_length > 0)
        pgd_buf_putf(out, "  %llu answers have another length than asked for\n",
                     (unsigned long long)r->n_length);
    if (r->n_no_usage > 0)
        pgd_buf_putf(out, "  %llu answers came without usage: their tokens are chunks\n",
                     (unsigned long long)r->n_no_usage);
    pgd_buf_putf(out, "throughput    %.2f requests/s, %.1f output tokens/s, %.1f tokens/s in all\n",
                 r->requests_s, r->output_s, r->total_s);
    if (r->steady_seconds > 0)
        pgd_buf_putf(out,
                     "steady        %.1f output tokens/s in the %.2f s in which all %llu streams "
                     "were active\n",
                     r->steady_output_s, r->steady_seconds,
                     (unsigned long long)run->load.concurrency);
    if (r->has_slo)
        pgd_buf_putf(out, "goodput       %.2f requests/s, %llu of %llu within the objectives\n",
                     r->good_s, (unsigned long long)r->n_good, (unsigned long long)r->n);
    pgd_buf_puts(out, "latency, ms\n");
    pgd_summary_put_heading(out);
    pgd_summary_put_row(&r->ttft_sum, "TTFT", out);
    pgd_summary_put_row(&r->tpot_sum, "TPOT", out);
    pgd_summary_put_row(&r->itl_sum, "ITL", out);
    pgd_summary_put_row(&r->e2e_sum, "E2E", out);
    if (run->load.open) pgd_summary_put_row(&r->lag_sum, "start lag", out);
}

static void put_u64(pgd_jsonw *w, const char *key, uint64_t v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_u64(w, v);
}

static void put_f64(pgd_jsonw *w, const char *key, double v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_f64(w, round(v * 1e4) / 1e4);
}

static void put_faults(const bench_result *r, pgd_jsonw *w) {
    pgd_jsonw_key(w, "errors");
    pgd_jsonw_obj(w);
    for (int f = 1; f < BENCH_FAULT_N; f++) {
        if (r->n_fault[f] == 0) continue;
        pgd_jsonw_key(w, bench_fault_name((bench_fault)f));
        pgd_jsonw_obj(w);
        put_u64(w, "n", r->n_fault[f]);
        pgd_jsonw_key(w, "first");
        pgd_jsonw_cstr(w, r->first_why[f]);
        pgd_jsonw_end_obj(w);
    }
    pgd_jsonw_end_obj(w);
}

static void put_goodput(const bench_result *r, const bench_slo *slo, pgd_jsonw *w) {
    if (!r->has_slo) return;
    pgd_jsonw_key(w, "goodput");
    pgd_jsonw_obj(w);
    if (slo->ttft > 0) put_f64(w, "ttft_ms", slo->ttft);
    if (slo->tpot > 0) put_f64(w, "tpot_ms", slo->tpot);
    if (slo->itl > 0) put_f64(w, "itl_ms", slo->itl);
    if (slo->e2e > 0) put_f64(w, "e2e_ms", slo->e2e);
    put_u64(w, "n", r->n_good);
    put_f64(w, "share", r->n > 0 ? (double)r->n_good / (double)r->n : 0);
    put_f64(w, "requests_per_s", r->good_s);
    pgd_jsonw_end_obj(w);
}

static void put_series(const bench_result *r, pgd_jsonw *w) {
    pgd_jsonw_key(w, "output_tokens_over_time");
    pgd_jsonw_obj(w);
    put_f64(w, "bin_s", r->bin_s);
    pgd_jsonw_key(w, "per_s");
    pgd_jsonw_arr(w);
    for (uint32_t i = 0; i < r->n_bins; i++)
        pgd_jsonw_f64(w, round(r->bin[i] * 10) / 10);
    pgd_jsonw_end_arr(w);
    pgd_jsonw_end_obj(w);
}

void bench_result_put_json(const bench_result *r, const bench_slo *slo, pgd_jsonw *w) {
    pgd_jsonw_key(w, "result");
    pgd_jsonw_obj(w);
    put_u64(w, "requests", r->n);
    put_u64(w, "succeeded", r->n_ok);
    put_u64(w, "failed", r->n - r->n_ok);
    put_faults(r, w);
    put_u64(w, "other_length", r->n_length);
    put_u64(w, "without_usage", r->n_no_usage);
    put_f64(w, "seconds", r->seconds);
    put_u64(w, "prompt_tokens", r->n_prompt);
    put_u64(w, "output_tokens", r->n_output);
    pgd_jsonw_key(w, "cached_tokens");
    if (r->has_cached)
        pgd_jsonw_u64(w, r->n_cached);
    else
        pgd_jsonw_null(w);
    put_f64(w, "requests_per_s", r->requests_s);
    put_f64(w, "output_tokens_per_s", r->output_s);
    put_f64(w, "total_tokens_per_s", r->total_s);
    pgd_jsonw_key(w, "steady");
    if (r->steady_seconds > 0) {
        pgd_jsonw_obj(w);
        put_f64(w, "from_s", r->steady_from_s);
        put_f64(w, "seconds", r->steady_seconds);
        put_f64(w, "output_tokens", r->steady_output);
        put_f64(w, "output_tokens_per_s", r->steady_output_s);
        pgd_jsonw_end_obj(w);
    } else {
        pgd_jsonw_null(w);
    }
    put_goodput(r, slo, w);
    pgd_summary_put_json(&r->ttft_sum, "ttft_ms", w);
    pgd_summary_put_json(&r->tpot_sum, "tpot_ms", w);
    pgd_summary_put_json(&r->itl_sum, "itl_ms", w);
    pgd_summary_put_json(&r->e2e_sum, "e2e_ms", w);
    pgd_summary_put_json(&r->lag_sum, "start_lag_ms", w);
    put_series(r, w);
    pgd_jsonw_end_obj(w);
}

/* Columns rather than objects: a tenth of the bytes, and what a data frame wants. */
enum { COL_START, COL_PROMPT, COL_OUTPUT, COL_CACHED, COL_TTFT, COL_TPOT, COL_ITL, COL_E2E, COL_N };
static const char *const columns[COL_N] = {"start_s",       "prompt_tokens", "output_tokens",
                                           "cached_tokens", "ttft_ms",       "tpot_ms",
                                           "itl_p99_ms",    "e2e_ms"};

static void put_cell(const bench_record *r, int column, pgd_jsonw *w) {
    if (column == COL_START) {
        pgd_jsonw_f64(w, round(1e-5 * (double)r->start_ns) / 1e4);
    } else if (r->fault != BENCH_OK) {
        pgd_jsonw_null(w);
    } else if (column <= COL_CACHED) {
        const uint64_t v[] = {0, r->n_prompt, r->n_output, r->n_cached};
        pgd_jsonw_u64(w, v[column]);
    } else {
        const bench_latency l = bench_record_latency(r);
        const double v[] = {l.ttft, l.tpot, l.itl, l.e2e};
        pgd_jsonw_f64(w, round(v[column - COL_TTFT] * 1e3) / 1e3);
    }
}

void bench_result_put_requests(const bench_run *run, pgd_jsonw *w) {
    pgd_jsonw_key(w, "per_request");
    pgd_jsonw_obj(w);
    for (int c = 0; c < COL_N; c++) {
        pgd_jsonw_key(w, columns[c]);
        pgd_jsonw_arr(w);
        for (uint64_t i = 0; i < run->n_started; i++)
            put_cell(run->rec[i], c, w);
        pgd_jsonw_end_arr(w);
    }
    pgd_jsonw_key(w, "error");
    pgd_jsonw_arr(w);
    for (uint64_t i = 0; i < run->n_started; i++) {
        const bench_record *r = run->rec[i];
        if (r->fault == BENCH_OK)
            pgd_jsonw_null(w);
        else
            pgd_jsonw_cstr(w, bench_fault_name(r->fault));
    }
    pgd_jsonw_end_arr(w);
    pgd_jsonw_end_obj(w);
}
