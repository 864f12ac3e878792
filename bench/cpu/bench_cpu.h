/* Yardsticks of the CPU benchmarks: a plain read loop, OpenBLAS and oneDNN. */
#ifndef PGD_BENCH_CPU_H
#define PGD_BENCH_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/pool.h"
#include "pagoda/rng.h"

double bench_now(void);
/* Read p[0..bytes) once on all threads of the pool: 256-bit loads, eight independent sums. */
void bench_read(pgd_pool *pool, const void *p, uint64_t bytes);

/* C [rows, n] = A [rows, k] B^T, B [n, k]: f32 for BLAS, bf16 in and f32 out for oneDNN, whose
 * weights are reordered to the layout it likes before timing. */
typedef struct bench_yardstick bench_yardstick;
void bench_yardstick_threads(uint32_t n);
bench_yardstick *bench_yardstick_open(uint32_t rows, uint32_t n, uint32_t k);
void bench_yardstick_close(bench_yardstick *y);
bool bench_run_blas(bench_yardstick *y); /* false: not built in */
bool bench_run_dnnl(bench_yardstick *y);

#endif
