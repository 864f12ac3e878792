/* norm: RMSNorm over rows, and the store kernel that rounds a row to its destination type.
 * Row by row; rows are shared among threads when there is enough to share. */
#include "cpu_internal.h"

#include <math.h>

/* Below this many elements a fork costs more than it saves (a fork-join is about 2 us). */
enum { FORK_ELEMENTS = 16384 };

typedef struct norm_job {
    const pgd_cpu_device *c;
    const pgd_norm_args *a;
} norm_job;

static void norm_rows(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const norm_job *const j = arg;
    const pgd_norm_args *a = j->a;
    (void)thread;
    const uint32_t n = (uint32_t)a->w.shape[a->w.ndim - 1];
    for (uint64_t r = begin; r < end; r++)
        j->c->k.norm((const float *)(const void *)pgd_cpu_row(&a->x, r), a->w.data,
                     pgd_cpu_row(&a->y, r), a->y.dtype, n, a->eps);
}

pgd_status pgd_cpu_norm(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_norm_args *a = args;
    norm_job j = {.c = pgd_cpu_of(d), .a = a};
    const uint32_t n_rows = a->over_rows ? step->n_rows : step->n_tok;
    const bool fork = n_rows * a->w.shape[a->w.ndim - 1] >= FORK_ELEMENTS;
    pgd_pool_for(fork ? j.c->pool : NULL, n_rows, 1, norm_rows, &j);
    return PGD_OK;
}

/* ---- scalar kernels ---- */

static void put(void *y, pgd_dtype t, uint32_t i, float v) {
    if (t == PGD_F32)
        ((float *)y)[i] = v;
    else
        ((uint16_t *)y)[i] = t == PGD_BF16 ? pgd_f32_to_bf16(v) : pgd_f32_to_f16(v);
}

static void norm(const float *x, const float *w, void *y, pgd_dtype y_type, uint32_t n, float eps) {
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    const float scale = (float)(1.0 / sqrt(sum / n + (double)eps));
    for (uint32_t i = 0; i < n; i++)
        put(y, y_type, i, x[i] * scale * w[i]);
}

static void rope(float *x, const float *cos_row, const float *sin_row, uint32_t half) {
    for (uint32_t i = 0; i < half; i++) {
        const float a = x[i], b = x[half + i];
        x[i] = a * cos_row[i] - b * sin_row[i];
        x[half + i] = b * cos_row[i] + a * sin_row[i];
    }
}

static void store(void *dst, pgd_dtype type, const float *src, float scale, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        put(dst, type, i, src[i] * scale);
}

void pgd_cpu_kernels_norm(pgd_cpu_kernels *k) {
    k->norm = norm;
    k->rope = rope;
    k->store = store;
}
