/* What must be known before the first request: the model's name, how to build prompts, the
 * workload. Private to src/bench. */
#ifndef PGD_BENCH_SETUP_H
#define PGD_BENCH_SETUP_H

#include "bench/call.h"
#include "bench/options.h"

/* The model to ask for: the option, or the first of the server's list (copied into name). */
pgd_status bench_setup_model(bench_client *client, const bench_options *o, pgd_buf *name,
                             pgd_error *err);
/* Append what the server says at /version; nothing when it says nothing. */
void bench_setup_version(bench_client *client, pgd_buf *out);
/* Prompts as the options and the server allow. `out` is zero; free with bench_prompts_fini. */
pgd_status bench_setup_prompts(bench_client *client, const bench_options *o, const char *model,
                               bench_prompts *out, pgd_error *err);
/* The workload; free its trace. */
pgd_status bench_setup_workload(const bench_options *o, bench_workload *out, pgd_error *err);
/* `,"key":value` for each member of --extra-body, appended. */
pgd_status bench_setup_extra(const char *json, pgd_buf *out, pgd_error *err);
/* The key in the file, without surrounding blanks. */
pgd_status bench_setup_key(const char *path, pgd_buf *out, pgd_error *err);

#endif
