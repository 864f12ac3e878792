/* The load generator: what `pagoda bench serve` does to any OpenAI-compatible URL, and the parts
 * that the in-process measurements (latency, throughput; src/app) share with it: flags from one
 * table, samples and their percentiles, and the description of the machine that goes into every
 * result file. One thread; nothing here knows the engine. */
#ifndef PAGODA_BENCH_H
#define PAGODA_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/jsonw.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

/* ---- flags ---- */

typedef enum pgd_bench_type {
    PGD_BENCH_GROUP,  /* no flag but a title in the help text */
    PGD_BENCH_STRING, /* const char *, borrowed from the arguments; NULL without a default */
    PGD_BENCH_COUNT,  /* uint64_t within min..max */
    PGD_BENCH_BYTES,  /* the same with an optional suffix K, M or G (powers of 1024) */
    PGD_BENCH_NUMBER, /* double within min..max */
    PGD_BENCH_SWITCH, /* bool, takes no value */
    PGD_BENCH_CHOICE, /* const char *, one of `arg`, separated by '|' */
    PGD_BENCH_RANGE   /* pgd_bench_range within min..max: "1024" or "512:1536" */
} pgd_bench_type;

typedef struct pgd_bench_range {
    uint64_t lo, hi; /* both inclusive */
} pgd_bench_range;

typedef struct pgd_bench_flag {
    const char *name; /* without dashes; a group's title */
    pgd_bench_type type;
    size_t offset;   /* in the options struct */
    const char *def; /* as one would write it; NULL: left zero */
    double min, max;
    const char *arg; /* placeholder in help, or the choices */
    const char *help;
} pgd_bench_flag;

/* Zero-initialised *out receives the defaults, then the arguments (--name value, --name=value; -h
 * is --help). Errors: PGD_E_INVALID naming the flag, what it got and what it takes. */
pgd_status pgd_bench_parse_flags(const pgd_bench_flag *rows, size_t n_rows, int n_args,
                                 const char *const *args, void *out, pgd_error *err);
/* `head`, then every row. */
void pgd_bench_flags_help(const char *head, const pgd_bench_flag *rows, size_t n_rows,
                          pgd_buf *out);

/* ---- samples ---- */

/* Growable list of values. {0} is empty. `failed` is set when memory ran out (check once). */
typedef struct pgd_samples {
    double *v; /* owned */
    size_t n, cap;
    bool failed;
} pgd_samples;
void pgd_samples_add(pgd_samples *s, double value);
void pgd_samples_fini(pgd_samples *s);

/* Everything is 0 when n is 0. Quantiles interpolate linearly between order statistics, as numpy's
 * default does, so that figures compare with tools written in Python. sd is of the population. */
typedef struct pgd_summary {
    size_t n;
    double mean, sd, min, max, p50, p90, p95, p99;
} pgd_summary;
/* Sorts the samples. O(n log n). */
pgd_summary pgd_samples_summarize(pgd_samples *s);
/* The q-quantile (0..1) of n > 0 ascending values. */
double pgd_quantile(const double *sorted, size_t n, double q);
/* "key": {"n", "mean", ...}, values rounded to 1e-3 (they are milliseconds). */
void pgd_summary_put_json(const pgd_summary *s, const char *key, pgd_jsonw *w);
/* One row of the table whose heading pgd_summary_put_heading writes. */
void pgd_summary_put_heading(pgd_buf *out);
void pgd_summary_put_row(const pgd_summary *s, const char *name, pgd_buf *out);

/* ---- lengths ---- */

typedef struct pgd_bench_lengths {
    uint32_t n_in, n_out; /* tokens */
} pgd_bench_lengths;

/* Lengths of the index-th request: ShareGPT-like, or drawn evenly from the two ranges. A function
 * of its arguments alone. */
pgd_bench_lengths pgd_bench_draw_lengths(bool sharegpt, const pgd_bench_range *in,
                                         const pgd_bench_range *out, uint64_t seed, uint64_t index);

/* ---- result files ---- */

/* "pagoda": version, "date": UTC, "command": [...], "environment": {cpu, cores, memory, kernel}.
 * Nothing that names the user or the network. The writer stands inside an object. */
void pgd_bench_put_environment(pgd_jsonw *w, const char *version, int n_args,
                               const char *const *args);
/* Replace the file at path. Errors: PGD_E_IO naming it. */
pgd_status pgd_bench_write_file(const char *path, pgd_sv text, pgd_error *err);

/* ---- pagoda bench serve ---- */

/* Exit codes of the bench commands. */
enum { PGD_BENCH_OK = 0, PGD_BENCH_FAILED = 1, PGD_BENCH_USAGE = 2 };

/* Run the command with the arguments behind its name; prints to stdout (result) and stderr
 * (progress, errors). PGD_BENCH_FAILED when the server could not be measured or no request
 * succeeded. */
int pgd_bench_serve(int n_args, const char *const *args, const char *version);

#endif
