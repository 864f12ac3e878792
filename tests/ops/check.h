/* What the parts of checkops share: devices of every instruction-set level, guarded buffers, random
 * numbers from a printed seed, and comparison with a float64 reference. One program checks
 * correctness and, with --bench, prints times, so that a fast kernel is never timed unchecked. */
#ifndef PGD_TESTS_OPS_CHECK_H
#define PGD_TESTS_OPS_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "pagoda/device.h"

typedef struct check {
    pgd_device *dev;  /* two threads */
    pgd_device *solo; /* the same level, one thread */
    pgd_device *ref;  /* scalar, one thread */
    pgd_isa isa;
    uint64_t rng;
    bool bench;
    uint32_t n_checks, n_failed;
} check;

/* Uniform in [-1, 1). */
float check_rand(check *c);
uint32_t check_below(check *c, uint32_t n);
/* Zeroed memory with guard bytes on both sides; check_free tells whether they are intact. */
void *check_alloc(size_t bytes);
void check_free(check *c, void *p, const char *what);
/* Fill with random values representable in t, |v| <= scale. */
void check_fill(check *c, void *p, pgd_dtype t, size_t n, float scale);
float check_at(const void *p, pgd_dtype t, size_t i);

/* Record a failure, with a place. */
void check_fail(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* |got[i] - want[i]| <= tol[i] for all i (NaN fails). */
void check_near(check *c, const char *what, const void *got, pgd_dtype t, const double *want,
                const double *tol, size_t n);
void check_same(check *c, const char *what, const void *a, const void *b, size_t bytes);

double check_now(void);
/* Best time of one call of fn(arg), in seconds, over at least 0.2 s. */
double check_time(void (*fn)(void *arg), void *arg);
void check_report(const check *c, const char *op, const char *shape, double seconds, double bytes,
                  double flops);

/* Run an op on a device; aborts when it reports an error. */
void check_run(pgd_device *d, pgd_op op, const void *args, const pgd_step_view *step);
/* A step of n rows where only the counts matter. */
pgd_step_view check_step(uint32_t n_tok, uint32_t n_rows);

void check_linear(check *c);
void check_rows(check *c);
void check_attn(check *c);
void check_sample(check *c);
void bench_linear(check *c);
void bench_rows(check *c);
void bench_attn(check *c);
void bench_sample(check *c);

#endif
