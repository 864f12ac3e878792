/* From the records of a run to figures.
 *
 * Definitions, which are those of the common tools so that figures compare:
 *   TTFT  start to the first text;  E2E  start to the last text
 *   TPOT  (E2E - TTFT) / (output tokens - 1), for answers of two tokens and more
 *   ITL   gaps between chunks, all requests together; one that brings several tokens is one gap
 * Rates are over the whole run, from its start to the last end. The steady window is the part of a
 * closed loop in which every stream was active: its tokens are the chunks within it, each weighed
 * with its answer's tokens per chunk. One thread. */
#include "bench/result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/mem.h"

static int by_value(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* 99th percentile of a record's gaps in ms; 0 without memory or gaps. */
static double gap_p99(const bench_record *r) {
    if (r->n_chunks < 2) return 0;
    const uint32_t n = r->n_chunks - 1;
    uint32_t *gap = pgd_malloc(n * sizeof(*gap));
    if (gap == NULL) return 0;
    for (uint32_t i = 0; i < n; i++)
        gap[i] = r->chunk_us[i + 1] - r->chunk_us[i];
    qsort(gap, n, sizeof(*gap), by_value);
    const double at = 0.99 * (double)(n - 1);
    const uint32_t i = (uint32_t)at;
    const double lo = gap[i], hi = gap[i + 1 < n ? i + 1 : i];
    pgd_free(gap);
    return 1e-3 * (lo + (at - i) * (hi - lo));
}

bench_latency bench_record_latency(const bench_record *r) {
    bench_latency l = {0, 0, 0, 0};
    if (r->n_chunks == 0) return l;
    l.ttft = 1e-3 * r->chunk_us[0];
    l.e2e = 1e-3 * r->chunk_us[r->n_chunks - 1];
    if (r->n_output > 1) l.tpot = (l.e2e - l.ttft) / (double)(r->n_output - 1);
    l.itl = gap_p99(r);
    return l;
}

static void add_record(bench_result *out, const bench_record *r, const bench_slo *slo) {
    out->n++;
    if (r->fault != BENCH_OK) {
        if (out->n_fault[r->fault]++ == 0) out->first_why[r->fault] = r->why;
        return;
    }
    out->n_ok++;
    out->n_prompt += r->n_prompt;
    out->n_output += r->n_output;
    out->n_cached += r->n_cached;
    out->has_cached = out->has_cached || r->has_cached;
    if (!r->has_usage) out->n_no_usage++;
    if (r->n_output != r->item.n_out) out->n_length++;
    const bench_latency l = bench_record_latency(r);
    pgd_samples_add(&out->ttft, l.ttft);
    if (r->n_output > 1) pgd_samples_add(&out->tpot, l.tpot);
    pgd_samples_add(&out->e2e, l.e2e);
    for (uint32_t i = 1; i < r->n_chunks; i++)
        pgd_samples_add(&out->itl, 1e-3 * (r->chunk_us[i] - r->chunk_us[i - 1]));
    const uint64_t late = r->start_ns > r->due_ns ? r->start_ns - r->due_ns : 0;
    pgd_samples_add(&out->lag, 1e-6 * (double)late);
    if (out->has_slo && bench_slo_met(slo, &l)) out->n_good++;
}

/* Tokens over time, and within the steady window. */
static void add_times(bench_result *out, const bench_run *run, const bench_record *r) {
    if (r->fault != BENCH_OK) return;
    const double weight = (double)r->n_output / r->n_chunks;
    for (uint32_t i = 0; i < r->n_chunks; i++) {
        const uint64_t at = r->start_ns + 1000ull * r->chunk_us[i];
        const uint32_t bin = (uint32_t)(1e-9 * (double)at / out->bin_s);
        out->bin[bin < out->n_bins ? bin : out->n_bins - 1] += weight / out->bin_s;
        if (out->steady_seconds > 0 && at > run->full_from_ns && at <= run->full_to_ns)
            out->steady_output += weight;
    }
}

/* Bins of a round length, at most BENCH_MAX_BINS of them. */
static void choose_bins(bench_result *out) {
    static const double lengths[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300};
    out->bin_s = 600;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        if (out->seconds > lengths[i] * BENCH_MAX_BINS) continue;
        out->bin_s = lengths[i];
        break;
    }
    const double n = ceil(out->seconds / out->bin_s);
    out->n_bins = n < 1 ? 1 : n > BENCH_MAX_BINS ? BENCH_MAX_BINS : (uint32_t)n;
}

pgd_status bench_result_make(const bench_run *run, const bench_slo *slo, bench_result *out,
                             pgd_error *err) {
    memset(out, 0, sizeof(*out));
    out->has_slo = bench_slo_any(slo);
    out->seconds = 1e-9 * (double)run->end_ns;
    if (run->full_to_ns > run->full_from_ns && run->full_from_ns > 0) {
        out->steady_from_s = 1e-9 * (double)run->full_from_ns;
        out->steady_seconds = 1e-9 * (double)(run->full_to_ns - run->full_from_ns);
    }
    choose_bins(out);
    for (uint64_t i = 0; i < run->n_started; i++) {
        add_record(out, run->rec[i], slo);
        add_times(out, run, run->rec[i]);
    }
    if (out->seconds > 0) {
        out->requests_s = (double)out->n_ok / out->seconds;
        out->output_s = (double)out->n_output / out->seconds;
        out->total_s = (double)(out->n_prompt + out->n_output) / out->seconds;
        out->good_s = (double)out->n_good / out->seconds;
    }
    if (out->steady_seconds > 0) out->steady_output_s = out->steady_output / out->steady_seconds;
    out->ttft_sum = pgd_samples_summarize(&out->ttft);
    out->tpot_sum = pgd_samples_summarize(&out->tpot);
    out->itl_sum = pgd_samples_summarize(&out->itl);
    out->e2e_sum = pgd_samples_summarize(&out->e2e);
    out->lag_sum = pgd_samples_summarize(&out->lag);
    if (!out->ttft.failed && !out->tpot.failed && !out->itl.failed && !out->e2e.failed &&
        !out->lag.failed)
        return PGD_OK;
    bench_result_fini(out);
    return pgd_fail(err, PGD_E_NOMEM, "no memory for the samples");
}

void bench_result_fini(bench_result *r) {
    pgd_samples_fini(&r->ttft);
    pgd_samples_fini(&r->tpot);
    pgd_samples_fini(&r->itl);
    pgd_samples_fini(&r->e2e);
    pgd_samples_fini(&r->lag);
}
