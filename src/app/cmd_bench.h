/* `pagoda bench latency | throughput | serve`. Private to src/app. */
#ifndef PGD_APP_CMD_BENCH_H
#define PGD_APP_CMD_BENCH_H

/* args: what stands behind `bench`. Returns the exit code. */
int pgd_cmd_bench(int n_args, const char *const *args);

#endif
