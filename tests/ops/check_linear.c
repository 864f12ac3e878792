/* linear: shapes with odd sizes against float64, every epilogue and type, and the promise that a
 * row's bits do not depend on what else is computed with it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "pagoda/mem.h"

typedef struct linear_case {
    check *c;
    pgd_dtype w_type, x_type, y_type;
    uint32_t m, n, k;
    pgd_epilogue epi;
    uint32_t gelu, with_bias;
    void *x, *w; /* host: x [m, k], w [n, k] */
    float *bias; /* [n] */
    float *y0;   /* [m, n_out]: y before, for the residual */
} linear_case;

static uint32_t out_cols(const linear_case *l) {
    return l->epi == PGD_EPI_SWIGLU ? l->n / 2 : l->n;
}

static void make_case(linear_case *l) {
    check *c = l->c;
    l->x_type = l->w_type == PGD_BF16 ? PGD_BF16 : PGD_F32;
    l->x = check_alloc((size_t)l->m * l->k * pgd_dtype_bytes(l->x_type));
    l->w = check_alloc((size_t)l->n * l->k * pgd_dtype_bytes(l->w_type));
    l->bias = check_alloc(l->n * sizeof(float));
    l->y0 = check_alloc((size_t)l->m * l->n * sizeof(float));
    check_fill(c, l->x, l->x_type, (size_t)l->m * l->k, 1.0F);
    check_fill(c, l->w, l->w_type, (size_t)l->n * l->k, 1.0F);
    check_fill(c, l->bias, PGD_F32, l->n, 1.0F);
    check_fill(c, l->y0, PGD_F32, (size_t)l->m * l->n, 1.0F);
}

static void free_case(linear_case *l) {
    check_free(l->c, l->x, "linear x");
    check_free(l->c, l->w, "linear w");
    check_free(l->c, l->bias, "linear bias");
    check_free(l->c, l->y0, "linear y0");
}

/* W on device d: two parts, uneven unless interleaved. */
static pgd_weight pack(const linear_case *l, pgd_device *d) {
    const bool paired = l->epi == PGD_EPI_SWIGLU;
    const uint32_t n0 = paired ? l->n / 2 : l->n / 3;
    const size_t row = l->k * pgd_dtype_bytes(l->w_type);
    unsigned char *first = l->w;
    pgd_tensor parts[2] = {pgd_tensor_2d(first, l->w_type, n0, l->k),
                           pgd_tensor_2d(first + n0 * row, l->w_type, l->n - n0, l->k)};
    pgd_weight w;
    pgd_error err = {0};
    const pgd_status st = d->pack_linear(d, n0 ? parts : parts + 1, n0 ? 2 : 1, paired ? 2 : 1,
                                         l->w_type, 0, &w, &err);
    if (st != PGD_OK) check_fail(l->c, "pack: %s", err.msg);
    return w;
}

/* Rows row[0..m) of the case on device d; y is guarded memory owned by the caller. */
static void *run_rows(const linear_case *l, pgd_device *d, const uint32_t *row, uint32_t m) {
    const size_t x_row = l->k * pgd_dtype_bytes(l->x_type);
    const uint32_t n_out = out_cols(l);
    unsigned char *x = check_alloc(m * x_row);
    unsigned char *y = check_alloc((size_t)m * n_out * pgd_dtype_bytes(l->y_type));
    for (uint32_t i = 0; i < m; i++) {
        memcpy(x + i * x_row, (unsigned char *)l->x + row[i] * x_row, x_row);
        if (l->epi == PGD_EPI_RESIDUAL)
            memcpy(y + (size_t)i * n_out * 4, l->y0 + (size_t)row[i] * n_out, n_out * 4);
    }
    pgd_weight w = pack(l, d);
    const pgd_linear_args a = {.x = pgd_tensor_2d(x, l->x_type, m, l->k),
                               .y = pgd_tensor_2d(y, l->y_type, m, n_out),
                               .bias = pgd_tensor_1d(l->with_bias ? l->bias : NULL, PGD_F32, l->n),
                               .w = &w,
                               .epilogue = l->epi,
                               .gelu = l->gelu};
    const pgd_step_view step = check_step(m, 0);
    check_run(d, PGD_OP_LINEAR, &a, &step);
    d->free_weight(d, &w);
    check_free(l->c, x, "linear input");
    return y;
}

static double dot(const linear_case *l, uint32_t row, uint32_t col, double *size) {
    double sum = 0.0;
    *size = 0.0;
    for (uint32_t i = 0; i < l->k; i++) {
        const double p = (double)check_at(l->x, l->x_type, (size_t)row * l->k + i) *
                         (double)check_at(l->w, l->w_type, (size_t)col * l->k + i);
        sum += p;
        *size += fabs(p);
    }
    return sum;
}

static double activate(double g, uint32_t gelu) {
    if (!gelu) return g / (1.0 + exp(-g));
    return 0.5 * g * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (g + 0.044715 * g * g * g)));
}

/* Element (row, col) and its tolerance, both by the contract in ops.h. */
static double reference(const linear_case *l, uint32_t row, uint32_t col, double *tol) {
    const double unit = 0x1p-17; /* of the sum of |x w| */
    double size, v;
    if (l->epi == PGD_EPI_SWIGLU) {
        double size_u;
        double g = dot(l, row, col, &size), u = dot(l, row, col + l->n / 2, &size_u);
        if (l->with_bias) {
            g += (double)l->bias[2 * col];
            u += (double)l->bias[2 * col + 1];
        }
        const double a = activate(g, l->gelu);
        v = a * u;
        *tol = 1.2 * size * unit * fabs(u) + fabs(a) * size_u * unit + 1e-6 * (fabs(v) + fabs(u));
    } else {
        v = dot(l, row, col, &size);
        if (l->with_bias) v += (double)l->bias[col];
        if (l->epi == PGD_EPI_RESIDUAL) v += (double)l->y0[(size_t)row * l->n + col];
        *tol = size * unit + 0x1p-22 * fabs(v) + 0x1p-22;
    }
    if (l->y_type == PGD_BF16) *tol += 0x1p-8 * fabs(v);
    return v;
}

static void against_reference(linear_case *l) {
    const uint32_t n_out = out_cols(l);
    const size_t total = (size_t)l->m * n_out;
    double *want = pgd_calloc(total, sizeof *want), *tol = pgd_calloc(total, sizeof *tol);
    uint32_t *row = pgd_calloc(l->m, sizeof *row);
    for (uint32_t r = 0; r < l->m; r++) {
        row[r] = r;
        for (uint32_t j = 0; j < n_out; j++)
            want[(size_t)r * n_out + j] = reference(l, r, j, &tol[(size_t)r * n_out + j]);
    }
    void *y = run_rows(l, l->c->dev, row, l->m);
    char what[96];
    snprintf(what, sizeof what, "linear %s y %s %ux%ux%u epilogue %d gelu %u bias %u",
             pgd_dtype_name(l->w_type), pgd_dtype_name(l->y_type), l->m, l->n, l->k, (int)l->epi,
             l->gelu, l->with_bias);
    check_near(l->c, what, y, l->y_type, want, tol, total);
    check_free(l->c, y, what);
    pgd_free(want);
    pgd_free(tol);
    pgd_free(row);
}

/* Any rows in any number, one thread or two: the same bits. */
static void rows_alone(linear_case *l, uint32_t n_trials) {
    const uint32_t n_out = out_cols(l);
    const size_t bytes = n_out * pgd_dtype_bytes(l->y_type);
    uint32_t row[128];
    for (uint32_t r = 0; r < l->m; r++)
        row[r] = r;
    unsigned char *all = run_rows(l, l->c->dev, row, l->m);
    for (uint32_t trial = 0; trial < n_trials; trial++) {
        const uint32_t m = trial < l->m ? trial + 1 : 1 + check_below(l->c, l->m);
        for (uint32_t i = 0; i < m; i++)
            row[i] = check_below(l->c, l->m);
        unsigned char *y = run_rows(l, trial & 1 ? l->c->solo : l->c->dev, row, m);
        for (uint32_t i = 0; i < m; i++)
            check_same(l->c, "linear row in another batch", y + i * bytes, all + row[i] * bytes,
                       bytes);
        check_free(l->c, y, "linear subset");
    }
    check_free(l->c, all, "linear all");
}

void check_linear(check *c) {
    static const uint32_t shapes[][3] = {{1, 1, 1},    {1, 2, 2},     {2, 16, 3},   {3, 18, 5},
                                         {1, 130, 64}, {5, 100, 255}, {7, 66, 128}, {13, 34, 2050},
                                         {97, 48, 70}, {6, 66, 4101}, {1, 576, 192}};
    static const pgd_dtype types[] = {PGD_BF16, PGD_F16, PGD_F32};
    for (uint32_t t = 0; t < 3; t++)
        for (uint32_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (uint32_t v = 0; v < 6; v++) {
                linear_case l = {.c = c,
                                 .w_type = types[t],
                                 .y_type = v % 2 ? PGD_BF16 : PGD_F32,
                                 .m = shapes[s][0],
                                 .n = shapes[s][1],
                                 .k = shapes[s][2],
                                 .epi = v < 2   ? PGD_EPI_NONE
                                        : v < 5 ? PGD_EPI_SWIGLU
                                                : PGD_EPI_RESIDUAL,
                                 .gelu = v == 3 || v == 4,
                                 .with_bias = v == 1 || v >= 4};
                if (l.epi == PGD_EPI_RESIDUAL) l.y_type = PGD_F32;
                if (l.epi == PGD_EPI_SWIGLU && l.n % 2) continue;
                make_case(&l);
                against_reference(&l);
                free_case(&l);
            }
    for (uint32_t t = 0; t < 3; t++)
        for (uint32_t v = 0; v < 2; v++) {
            linear_case l = {.c = c,
                             .w_type = types[t],
                             .y_type = PGD_F32,
                             .m = 70,
                             .n = v ? 326 : 96,
                             .k = v ? 301 : 4500,
                             .epi = v ? PGD_EPI_SWIGLU : PGD_EPI_NONE};
            make_case(&l);
            rows_alone(&l, c->isa == PGD_ISA_SCALAR ? 6 : 80);
            free_case(&l);
        }
}

typedef struct bench_arg {
    pgd_device *d;
    const pgd_linear_args *a;
    pgd_step_view step;
} bench_arg;

static void bench_once(void *arg) {
    bench_arg *b = arg;
    check_run(b->d, PGD_OP_LINEAR, b->a, &b->step);
}

void bench_linear(check *c) {
    static const uint32_t rows[] = {1, 4, 16, 64, 256};
    static const pgd_dtype types[] = {PGD_BF16, PGD_F32};
    const uint32_t n = 8192, k = 2048;
    for (uint32_t t = 0; t < 2; t++) {
        const pgd_tensor part = pgd_tensor_2d(NULL, types[t], n, k);
        pgd_weight w;
        pgd_error err = {0};
        if (c->dev->pack_linear(c->dev, &part, 1, 1, types[t], 1, &w, &err) != PGD_OK) return;
        for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            const uint32_t m = rows[i];
            if (c->isa == PGD_ISA_SCALAR && m > 4) continue;
            void *x = check_alloc((size_t)m * k * 4), *y = check_alloc((size_t)m * n * 4);
            const pgd_linear_args a = {.x = pgd_tensor_2d(x, types[t], m, k),
                                       .y = pgd_tensor_2d(y, PGD_F32, m, n),
                                       .w = &w};
            bench_arg b = {.d = c->dev, .a = &a, .step = check_step(m, 0)};
            char shape[64];
            snprintf(shape, sizeof shape, "%s %ux%ux%u", pgd_dtype_name(types[t]), m, n, k);
            check_report(c, "linear", shape, check_time(bench_once, &b), (double)w.bytes,
                         2.0 * m * n * k);
            check_free(c, x, "bench x");
            check_free(c, y, "bench y");
        }
        c->dev->free_weight(c->dev, &w);
    }
}
