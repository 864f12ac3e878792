/* bench_gemm: how near the linear op comes to the machine.
 *
 *   decode   bytes of weights per second at 1 row over a plain read loop on the same threads, both
 *            over buffers of > 128 MiB (the layers of a 1B-class model), then 2..16 rows
 *   prefill  GFLOP/s at many rows over OpenBLAS sgemm and oneDNN bf16 matmul, in the same run
 *
 *   bench_gemm [--isa NAME] [--threads N] [--seconds S]
 *
 * Rounds of all contenders alternate and the best round of each counts, so that load from elsewhere
 * hits all of them alike. Yardsticks that were not found at build time are left out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_cpu.h"
#include "pagoda/device.h"
#include "pagoda/mem.h"

enum { N_LAYERS = 2, N_SHAPES = 4, MAX_ROWS = 512 };

/* n, k, epilogue of the linears of one layer: d 2048, 32 heads, 8 kv heads of 64, ffn 8192. */
static const struct {
    const char *name;
    uint32_t n, k;
    pgd_epilogue epi;
} shapes[N_SHAPES] = {
    {"qkv", 3072, 2048, PGD_EPI_NONE},
    {"o", 2048, 2048, PGD_EPI_RESIDUAL},
    {"gate_up", 16384, 2048, PGD_EPI_SWIGLU},
    {"down", 2048, 8192, PGD_EPI_RESIDUAL},
};

typedef struct bench {
    pgd_device *d;
    pgd_weight w[N_LAYERS][N_SHAPES];
    void *x;  /* [MAX_ROWS, 8192] bf16 */
    float *y; /* [MAX_ROWS, 16384] */
    uint64_t bytes;
    double seconds;
} bench;

double bench_now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void die(const char *what) {
    fprintf(stderr, "bench_gemm: %s\n", what);
    exit(2);
}

static void setup(bench *b) {
    pgd_error err = {0};
    for (uint32_t l = 0; l < N_LAYERS; l++)
        for (uint32_t s = 0; s < N_SHAPES; s++) {
            const bool paired = shapes[s].epi == PGD_EPI_SWIGLU;
            const uint32_t n = paired ? shapes[s].n / 2 : shapes[s].n;
            const pgd_tensor part = pgd_tensor_2d(NULL, PGD_BF16, n, shapes[s].k);
            const pgd_tensor parts[2] = {part, part};
            if (b->d->pack_linear(b->d, parts, paired ? 2 : 1, paired ? 2 : 1, PGD_BF16, l * 8 + s,
                                  &b->w[l][s], &err) != PGD_OK)
                die(err.msg);
            b->bytes += b->w[l][s].bytes;
        }
    b->x = pgd_aligned_alloc((size_t)MAX_ROWS * 8192 * 2, 64);
    b->y = pgd_aligned_alloc((size_t)MAX_ROWS * 16384 * 4, 64);
    if (!b->x || !b->y) die("no memory");
    uint64_t rng = 1;
    for (size_t i = 0; i < (size_t)MAX_ROWS * 8192; i++)
        ((uint16_t *)b->x)[i] =
            pgd_f32_to_bf16((float)(pgd_rng_next(&rng) >> 40) * 0x1p-23F - 1.0F);
}

static void run_linear(const bench *b, uint32_t layer, uint32_t s, uint32_t rows) {
    const uint32_t cols = shapes[s].epi == PGD_EPI_SWIGLU ? shapes[s].n / 2 : shapes[s].n;
    const pgd_dtype y_type = shapes[s].epi == PGD_EPI_SWIGLU ? PGD_BF16 : PGD_F32;
    const pgd_linear_args a = {.x = pgd_tensor_2d(b->x, PGD_BF16, rows, shapes[s].k),
                               .y = pgd_tensor_2d(b->y, y_type, rows, cols),
                               .w = &b->w[layer][s],
                               .epilogue = shapes[s].epi};
    const pgd_step_view step = {.n_tok = rows, .page_tokens = 16};
    if (b->d->op[PGD_OP_LINEAR](b->d, &a, &step) != PGD_OK) die("linear failed");
}

static void decode_once(const bench *b, uint32_t rows) {
    for (uint32_t l = 0; l < N_LAYERS; l++)
        for (uint32_t s = 0; s < N_SHAPES; s++)
            run_linear(b, l, s, rows);
}

/* The same weights, only read. */
static void read_once(const bench *b) {
    for (uint32_t l = 0; l < N_LAYERS; l++)
        for (uint32_t s = 0; s < N_SHAPES; s++)
            bench_read(pgd_device_cpu_pool(b->d), b->w[l][s].data, b->w[l][s].bytes);
}

static void least(double *best, double t0) {
    const double t = bench_now() - t0;
    if (t < *best) *best = t;
}

static void bench_decode(const bench *b) {
    static const uint32_t rows[] = {1, 2, 4, 8, 12, 16};
    double best[6], read = INFINITY;
    for (uint32_t i = 0; i < 6; i++)
        best[i] = INFINITY;
    for (const double end = bench_now() + b->seconds; bench_now() < end;) {
        double t0 = bench_now();
        read_once(b);
        least(&read, t0);
        for (uint32_t i = 0; i < 6; i++) {
            t0 = bench_now();
            decode_once(b, rows[i]);
            least(&best[i], t0);
        }
    }
    const double bytes = (double)b->bytes;
    printf("decode     %.0f MB of bf16 weights (qkv, o, gate_up, down of %d layers)\n",
           bytes * 1e-6, N_LAYERS);
    printf("  read loop           %7.2f GB/s\n", bytes / read * 1e-9);
    for (uint32_t i = 0; i < 6; i++)
        printf("  %2u rows             %7.2f GB/s  %5.2f of read  %5.2f x the time of 1 row  "
               "(%.2f x its rows/s)\n",
               rows[i], bytes / best[i] * 1e-9, read / best[i], best[i] / best[0],
               rows[i] * best[0] / best[i]);
}

/* Thread pools of all three spin for a while after a call; they must not meet the next one's. */
static void rest(void) {
    const struct timespec t = {.tv_nsec = 10 * 1000 * 1000};
    nanosleep(&t, NULL);
}

static void bench_prefill(const bench *b, uint32_t s, uint32_t rows) {
    const uint32_t n = shapes[s].n, k = shapes[s].k;
    bench_yardstick *y = bench_yardstick_open(rows, n, k);
    pgd_pool *const pool = pgd_device_cpu_pool(b->d);
    double ours = INFINITY, blas = INFINITY, dnnl = INFINITY;
    for (const double end = bench_now() + b->seconds; bench_now() < end;) {
        rest();
        pgd_pool_pin_caller(pool);
        double t0 = bench_now();
        run_linear(b, 0, s, rows);
        least(&ours, t0);
        pgd_pool_unpin_caller(pool);
        rest();
        t0 = bench_now();
        if (bench_run_blas(y)) least(&blas, t0);
        rest();
        t0 = bench_now();
        if (bench_run_dnnl(y)) least(&dnnl, t0);
    }
    bench_yardstick_close(y);
    const double flops = 2.0 * rows * n * k, other = fmin(blas, dnnl);
    printf("prefill %4u x %5u x %4u (%-7s)  %7.1f GFLOP/s | OpenBLAS f32 %7.1f | oneDNN bf16 "
           "%7.1f | %.2f of the best\n",
           rows, n, k, shapes[s].name, flops / ours * 1e-9, flops / blas * 1e-9,
           flops / dnnl * 1e-9, other / ours);
}

int main(int argc, char **argv) {
    bench b = {.seconds = 4.0};
    pgd_cpu_options opt = {.n_threads = 2, .isa = -1};
    pgd_error err = {0};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--isa")) {
            pgd_isa isa;
            if (pgd_isa_parse(value, &isa, &err) != PGD_OK) die(err.msg);
            opt.isa = (int32_t)isa;
        } else if (!strcmp(argv[i], "--threads")) {
            opt.n_threads = (uint32_t)strtoul(value, NULL, 10);
        } else if (!strcmp(argv[i], "--seconds")) {
            b.seconds = strtod(value, NULL);
        } else {
            die("usage: bench_gemm [--isa NAME] [--threads N] [--seconds S]");
        }
    }
    if (pgd_device_open_cpu(&opt, &b.d, &err) != PGD_OK) die(err.msg);
    printf("%s; best round of each within %.0f s\n", b.d->info.name, b.seconds);
    setup(&b);
    pgd_pool_pin_caller(pgd_device_cpu_pool(b.d));
    bench_decode(&b);
    pgd_pool_unpin_caller(pgd_device_cpu_pool(b.d));
    bench_yardstick_threads(opt.n_threads);
    static const uint32_t rows[] = {MAX_ROWS, 128};
    for (uint32_t r = 0; r < 2; r++)
        for (uint32_t s = 0; s < N_SHAPES; s++)
            bench_prefill(&b, s, rows[r]);
    for (uint32_t l = 0; l < N_LAYERS; l++)
        for (uint32_t s = 0; s < N_SHAPES; s++)
            b.d->free_weight(b.d, &b.w[l][s]);
    pgd_aligned_free(b.x, (size_t)MAX_ROWS * 8192 * 2);
    pgd_aligned_free(b.y, (size_t)MAX_ROWS * 16384 * 4);
    b.d->close(b.d);
    return 0;
}
