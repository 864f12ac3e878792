/* checkops: every op on every instruction-set level of this machine, over odd and even shapes,
 * against float64 references and, where the contract says so, bit for bit against other batches,
 * chunks, page sizes, thread counts and levels.
 *
 *   checkops [--seed N] [--isa NAME] [--bench]
 *
 * Exit status 0 when all checks hold. The tolerances are those of include/pagoda/ops.h. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

enum { GUARD = 64, GUARD_BYTE = 0xA5, MAX_SHOWN = 20 };

float check_rand(check *c) {
    return (float)((double)(pgd_rng_next(&c->rng) >> 40) * 0x1p-23 - 1.0);
}

uint32_t check_below(check *c, uint32_t n) {
    return (uint32_t)(pgd_rng_next(&c->rng) % n);
}

/* Layout: size | guard | data | guard, all in one allocation. */
void *check_alloc(size_t bytes) {
    unsigned char *p = pgd_aligned_alloc(bytes + 3 * GUARD, GUARD);
    if (!p) abort();
    memcpy(p, &bytes, sizeof bytes);
    memset(p + GUARD, GUARD_BYTE, GUARD);
    memset(p + 2 * GUARD + bytes, GUARD_BYTE, GUARD);
    return p + 2 * GUARD;
}

void check_free(check *c, void *data, const char *what) {
    unsigned char *p = (unsigned char *)data - 2 * GUARD;
    size_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    for (size_t i = 0; i < GUARD; i++)
        if (p[GUARD + i] != GUARD_BYTE || p[2 * GUARD + bytes + i] != GUARD_BYTE) {
            check_fail(c, "%s: guard byte %zu overwritten", what, i);
            break;
        }
    pgd_aligned_free(p, bytes + 3 * GUARD);
}

void check_fill(check *c, void *p, pgd_dtype t, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) {
        const float v = check_rand(c) * scale;
        pgd_convert((unsigned char *)p + i * pgd_dtype_bytes(t), t, &v, PGD_F32, 1);
    }
}

float check_at(const void *p, pgd_dtype t, size_t i) {
    float v;
    pgd_convert(&v, PGD_F32, (const unsigned char *)p + i * pgd_dtype_bytes(t), t, 1);
    return v;
}

void check_fail(check *c, const char *fmt, ...) {
    c->n_failed++;
    if (c->n_failed > MAX_SHOWN) return;
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "FAIL [%s] ", pgd_isa_name(c->isa));
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void check_near(check *c, const char *what, const void *got, pgd_dtype t, const double *want,
                const double *tol, size_t n) {
    c->n_checks++;
    for (size_t i = 0; i < n; i++) {
        const double g = (double)check_at(got, t, i);
        if (fabs(g - want[i]) <= tol[i]) continue;
        check_fail(c, "%s: element %zu of %zu is %.9g, expected %.9g +- %.3g", what, i, n, g,
                   want[i], tol[i]);
        return;
    }
}

void check_same(check *c, const char *what, const void *a, const void *b, size_t bytes) {
    c->n_checks++;
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)a)[i] != ((const unsigned char *)b)[i]) {
            check_fail(c, "%s: byte %zu of %zu differs", what, i, bytes);
            return;
        }
}

double check_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

double check_time(void (*fn)(void *arg), void *arg) {
    double best = INFINITY, total = 0.0;
    for (uint32_t i = 0; i < 3 || total < 0.2; i++) {
        const double t0 = check_now();
        fn(arg);
        const double t = check_now() - t0;
        total += t;
        if (t < best) best = t;
    }
    return best;
}

void check_report(const check *c, const char *op, const char *shape, double seconds, double bytes,
                  double flops) {
    printf("%-10s %-12s %-36s %10.1f us", pgd_isa_name(c->isa), op, shape, seconds * 1e6);
    if (bytes > 0.0) printf(" %7.1f GB/s", bytes / seconds * 1e-9);
    if (flops > 0.0) printf(" %7.1f GFLOP/s", flops / seconds * 1e-9);
    putchar('\n');
}

void check_run(pgd_device *d, pgd_op op, const void *args, const pgd_step_view *step) {
    if (d->op[op](d, args, step) == PGD_OK) return;
    fprintf(stderr, "op %s reported an error\n", pgd_op_name(op));
    abort();
}

pgd_step_view check_step(uint32_t n_tok, uint32_t n_rows) {
    return (pgd_step_view){.n_tok = n_tok, .n_rows = n_rows, .page_tokens = 16};
}

static pgd_device *open_or_die(pgd_isa isa, uint32_t n_threads) {
    pgd_error err = {0};
    pgd_device *d = NULL;
    const pgd_cpu_options opt = {.n_threads = n_threads, .isa = (int32_t)isa};
    if (pgd_device_open_cpu(&opt, &d, &err) == PGD_OK) return d;
    fprintf(stderr, "checkops: %s\n", err.msg);
    exit(2);
}

static uint32_t check_level(pgd_isa isa, uint64_t seed, bool bench) {
    check c = {.isa = isa, .rng = seed + isa, .bench = bench};
    c.dev = open_or_die(isa, 2);
    c.solo = open_or_die(isa, 1);
    c.ref = open_or_die(PGD_ISA_SCALAR, 1);
    check_linear(&c);
    check_rows(&c);
    check_attn(&c);
    check_sample(&c);
    printf("%-10s %u checks, %u failed\n", pgd_isa_name(isa), c.n_checks, c.n_failed);
    if (bench && !c.n_failed) {
        bench_linear(&c);
        bench_rows(&c);
        bench_attn(&c);
        bench_sample(&c);
    }
    c.dev->close(c.dev);
    c.solo->close(c.solo);
    c.ref->close(c.ref);
    return c.n_failed;
}

int main(int argc, char **argv) {
    uint64_t seed = 1;
    pgd_isa only = PGD_ISA_N;
    bool bench = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--bench")) {
            bench = true;
        } else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--isa") && i + 1 < argc) {
            pgd_error err = {0};
            if (pgd_isa_parse(argv[++i], &only, &err) == PGD_OK) continue;
            fprintf(stderr, "checkops: %s\n", err.msg);
            return 2;
        } else {
            fprintf(stderr, "usage: checkops [--seed N] [--isa NAME] [--bench]\n");
            return 2;
        }
    }
    printf("seed %" PRIu64 "\n", seed);
    uint32_t failed = 0;
    for (int isa = 0; isa <= (int)pgd_cpu_detect(); isa++)
        if (only == PGD_ISA_N || (int)only == isa) failed += check_level((pgd_isa)isa, seed, bench);
    return failed ? 1 : 0;
}
