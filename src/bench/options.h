/* The flags of `pagoda bench serve`. Private to src/bench. */
#ifndef PGD_BENCH_OPTIONS_H
#define PGD_BENCH_OPTIONS_H

#include "pagoda/bench.h"

typedef struct bench_options {
    const char *url, *model, *endpoint, *api_key_file, *extra_body, *connection;
    double temperature, timeout;
    bool natural_stop;

    const char *workload, *trace, *prompt, *tokenizer;
    pgd_bench_range input_len, output_len, prefix_len, suffix_len, token_ids;
    uint64_t num_prefixes, seed;
    double time_scale;

    uint64_t concurrency, num_requests, warmup;
    double rate, burstiness, duration, stagger;

    const char *goodput, *json, *svg;
    bool quiet, help;
} bench_options;

extern const pgd_bench_flag bench_serve_flags[];
extern const size_t bench_n_serve_flags;
extern const char bench_serve_help[];

/* Parse and check what the table cannot say alone. Errors: PGD_E_INVALID. */
pgd_status bench_options_parse(int n_args, const char *const *args, bench_options *out,
                               pgd_error *err);

#endif
