/* Samples and their summaries.
 *
 * Quantiles interpolate linearly between order statistics (type 7 of Hyndman and Fan, numpy's
 * default): the definition is part of what makes two tools' p99 comparable. Every sample is kept; a
 * run of a million gaps costs 8 MB, and nothing is lost to buckets. One thread. */
#include <math.h>
#include <stdlib.h>

#include "pagoda/bench.h"
#include "pagoda/mem.h"

void pgd_samples_add(pgd_samples *s, double value) {
    if (s->failed) return;
    if (s->n == s->cap) {
        const size_t cap = s->cap == 0 ? 256 : 2 * s->cap;
        size_t bytes = 0;
        double *grown = pgd_mul_size(cap, sizeof(*s->v), &bytes) ? pgd_realloc(s->v, bytes) : NULL;
        if (grown == NULL) {
            s->failed = true;
            return;
        }
        s->v = grown;
        s->cap = cap;
    }
    s->v[s->n++] = value;
}

void pgd_samples_fini(pgd_samples *s) {
    pgd_free(s->v);
    *s = (pgd_samples){0};
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

double pgd_quantile(const double *sorted, size_t n, double q) {
    const double at = q * (double)(n - 1);
    const size_t i = (size_t)at;
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

pgd_summary pgd_samples_summarize(pgd_samples *s) {
    pgd_summary out = {.n = s->n};
    if (s->n == 0) return out;
    qsort(s->v, s->n, sizeof(*s->v), by_value);
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += s->v[i];
    out.mean = sum / (double)s->n;
    double squares = 0;
    for (size_t i = 0; i < s->n; i++)
        squares += (s->v[i] - out.mean) * (s->v[i] - out.mean);
    out.sd = sqrt(squares / (double)s->n);
    out.min = s->v[0];
    out.max = s->v[s->n - 1];
    out.p50 = pgd_quantile(s->v, s->n, 0.50);
    out.p90 = pgd_quantile(s->v, s->n, 0.90);
    out.p95 = pgd_quantile(s->v, s->n, 0.95);
    out.p99 = pgd_quantile(s->v, s->n, 0.99);
    return out;
}

static void put_rounded(pgd_jsonw *w, const char *key, double v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_f64(w, round(v * 1e3) / 1e3);
}

void pgd_summary_put_json(const pgd_summary *s, const char *key, pgd_jsonw *w) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "n");
    pgd_jsonw_u64(w, s->n);
    put_rounded(w, "mean", s->mean);
    put_rounded(w, "sd", s->sd);
    put_rounded(w, "min", s->min);
    put_rounded(w, "p50", s->p50);
    put_rounded(w, "p90", s->p90);
    put_rounded(w, "p95", s->p95);
    put_rounded(w, "p99", s->p99);
    put_rounded(w, "max", s->max);
    pgd_jsonw_end_obj(w);
}

void pgd_summary_put_heading(pgd_buf *out) {
    pgd_buf_putf(out, "  %-12s%10s%10s%10s%10s%10s%10s\n", "", "mean", "p50", "p90", "p95", "p99",
                 "max");
}

void pgd_summary_put_row(const pgd_summary *s, const char *name, pgd_buf *out) {
    if (s->n == 0) {
        pgd_buf_putf(out, "  %-12s%10s\n", name, "-");
        return;
    }
    pgd_buf_putf(out, "  %-12s%10.2f%10.2f%10.2f%10.2f%10.2f%10.2f\n", name, s->mean, s->p50,
                 s->p90, s->p95, s->p99, s->max);
}
