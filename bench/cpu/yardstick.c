/* OpenBLAS and oneDNN as yardsticks of prefill; each is optional at build time. */
#include "bench_cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/mem.h"
#include "pagoda/tensor.h"

#if defined(PGD_HAVE_OPENBLAS)
#include <cblas.h>
void openblas_set_num_threads(int n);
#endif
#if defined(PGD_HAVE_DNNL)
#include <dnnl.h>
#include <omp.h>
#endif

struct bench_yardstick {
    uint32_t rows, n, k;
    float *a, *b, *c;
    uint16_t *a16, *b16;
#if defined(PGD_HAVE_DNNL)
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t matmul;
    dnnl_memory_t src, weights, dst;
#endif
};

#if defined(PGD_HAVE_DNNL)
static void ok(dnnl_status_t st) {
    if (st == dnnl_success) return;
    fprintf(stderr, "bench_gemm: oneDNN says %d\n", (int)st);
    exit(2);
}

static void open_dnnl(bench_yardstick *y) {
    const dnnl_dims_t src_dims = {y->rows, y->k}, w_dims = {y->k, y->n}, dst_dims = {y->rows, y->n};
    dnnl_memory_desc_t src, w_any, w_rows, dst;
    ok(dnnl_engine_create(&y->engine, dnnl_cpu, 0));
    ok(dnnl_stream_create(&y->stream, y->engine, dnnl_stream_default_flags));
    ok(dnnl_memory_desc_init_by_tag(&src, 2, src_dims, dnnl_bf16, dnnl_ab));
    ok(dnnl_memory_desc_init_by_tag(&w_rows, 2, w_dims, dnnl_bf16, dnnl_ba));
    ok(dnnl_memory_desc_init_by_tag(&w_any, 2, w_dims, dnnl_bf16, dnnl_format_tag_any));
    ok(dnnl_memory_desc_init_by_tag(&dst, 2, dst_dims, dnnl_f32, dnnl_ab));
    dnnl_matmul_desc_t desc;
    ok(dnnl_matmul_desc_init(&desc, &src, &w_any, NULL, &dst));
    dnnl_primitive_desc_t pd;
    if (dnnl_primitive_desc_create(&pd, &desc, NULL, y->engine, NULL) != dnnl_success) return;
    ok(dnnl_primitive_create(&y->matmul, pd));
    const dnnl_memory_desc_t *w_best = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_t plain;
    ok(dnnl_memory_create(&plain, &w_rows, y->engine, y->b16));
    ok(dnnl_memory_create(&y->weights, w_best, y->engine, DNNL_MEMORY_ALLOCATE));
    dnnl_primitive_desc_t rpd;
    dnnl_primitive_t reorder;
    ok(dnnl_reorder_primitive_desc_create(&rpd, &w_rows, y->engine, w_best, y->engine, NULL));
    ok(dnnl_primitive_create(&reorder, rpd));
    const dnnl_exec_arg_t move[2] = {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, y->weights}};
    ok(dnnl_primitive_execute(reorder, y->stream, 2, move));
    ok(dnnl_stream_wait(y->stream));
    ok(dnnl_memory_create(&y->src, &src, y->engine, y->a16));
    ok(dnnl_memory_create(&y->dst, &dst, y->engine, y->c));
    dnnl_memory_destroy(plain);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(rpd);
    dnnl_primitive_desc_destroy(pd);
}
#endif

void bench_yardstick_threads(uint32_t n) {
    (void)n;
#if defined(PGD_HAVE_OPENBLAS)
    openblas_set_num_threads((int)n);
#endif
#if defined(PGD_HAVE_DNNL)
    omp_set_num_threads((int)n);
#endif
}

bench_yardstick *bench_yardstick_open(uint32_t rows, uint32_t n, uint32_t k) {
    bench_yardstick *y = pgd_calloc(1, sizeof *y);
    if (!y) abort();
    *y = (bench_yardstick){.rows = rows, .n = n, .k = k};
    y->a = pgd_aligned_alloc((size_t)rows * k * 4, 64);
    y->b = pgd_aligned_alloc((size_t)n * k * 4, 64);
    y->c = pgd_aligned_alloc((size_t)rows * n * 4, 64);
    y->a16 = pgd_aligned_alloc((size_t)rows * k * 2, 64);
    y->b16 = pgd_aligned_alloc((size_t)n * k * 2, 64);
    if (!y->a || !y->b || !y->c || !y->a16 || !y->b16) abort();
    uint64_t rng = 2;
    for (size_t i = 0; i < (size_t)rows * k; i++)
        y->a[i] = (float)(pgd_rng_next(&rng) >> 40) * 0x1p-23F - 1.0F;
    for (size_t i = 0; i < (size_t)n * k; i++)
        y->b[i] = (float)(pgd_rng_next(&rng) >> 40) * 0x1p-23F - 1.0F;
    pgd_convert(y->a16, PGD_BF16, y->a, PGD_F32, (size_t)rows * k);
    pgd_convert(y->b16, PGD_BF16, y->b, PGD_F32, (size_t)n * k);
#if defined(PGD_HAVE_DNNL)
    open_dnnl(y);
#endif
    return y;
}

void bench_yardstick_close(bench_yardstick *y) {
#if defined(PGD_HAVE_DNNL)
    if (y->matmul) {
        dnnl_primitive_destroy(y->matmul);
        dnnl_memory_destroy(y->src);
        dnnl_memory_destroy(y->weights);
        dnnl_memory_destroy(y->dst);
    }
    dnnl_stream_destroy(y->stream);
    dnnl_engine_destroy(y->engine);
#endif
    pgd_aligned_free(y->a, (size_t)y->rows * y->k * 4);
    pgd_aligned_free(y->b, (size_t)y->n * y->k * 4);
    pgd_aligned_free(y->c, (size_t)y->rows * y->n * 4);
    pgd_aligned_free(y->a16, (size_t)y->rows * y->k * 2);
    pgd_aligned_free(y->b16, (size_t)y->n * y->k * 2);
    pgd_free(y);
}

bool bench_run_blas(bench_yardstick *y) {
#if defined(PGD_HAVE_OPENBLAS)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)y->rows, (int)y->n, (int)y->k, 1.0F,
                y->a, (int)y->k, y->b, (int)y->k, 0.0F, y->c, (int)y->n);
    return true;
#else
    (void)y;
    return false;
#endif
}

bool bench_run_dnnl(bench_yardstick *y) {
#if defined(PGD_HAVE_DNNL)
    if (!y->matmul) return false;
    const dnnl_exec_arg_t args[3] = {
        {DNNL_ARG_SRC, y->src}, {DNNL_ARG_WEIGHTS, y->weights}, {DNNL_ARG_DST, y->dst}};
    ok(dnnl_primitive_execute(y->matmul, y->stream, 3, args));
    ok(dnnl_stream_wait(y->stream));
    return true;
#else
    (void)y;
    return false;
#endif
}
