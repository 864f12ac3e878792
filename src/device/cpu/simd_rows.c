/* Kernels that walk one row: norm, rope, store, and the epilogues of linear. Sums run in four
 * vectors of 16 lanes over fixed places of the row, so they depend on the row's length alone. Tails
 * are masked: nothing past the row is read or written. */
#include "simd.h"

#include <math.h>

static void norm(const float *x, const float *w, void *y, pgd_dtype y_type, uint32_t n, float eps) {
    vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    uint32_t i = 0;
    for (; i + 64 <= n; i += 64) {
        PGD_UNROLL for (uint32_t s = 0; s < 4; s++) {
            const vf v = vf_load(x + i + 16 * s);
            sum[s] = vf_fma(v, v, sum[s]);
        }
    }
    for (uint32_t s = 0; i < n; i += 16, s++) {
        const vf v = vf_load_n(x + i, pgd_cpu_min(16, n - i), 0.0F);
        sum[s] = vf_fma(v, v, sum[s]);
    }
    const float total = vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
    const vf scale = vf_set1(1.0F / sqrtf(total / (float)n + eps));
    const size_t bytes = pgd_dtype_bytes(y_type);
    for (i = 0; i < n; i += 16) {
        const uint32_t m = pgd_cpu_min(16, n - i);
        const vf v = vf_mul(vf_load_n(x + i, m, 0.0F), scale);
        vf_store_as((unsigned char *)y + i * bytes, y_type, vf_mul(v, vf_load_n(w + i, m, 0.0F)),
                    m);
    }
}

static void rope(float *x, const float *cos_row, const float *sin_row, uint32_t half) {
    for (uint32_t i = 0; i < half; i += 16) {
        const uint32_t n = pgd_cpu_min(16, half - i);
        const vf a = vf_load_n(x + i, n, 0.0F), b = vf_load_n(x + half + i, n, 0.0F);
        const vf c = vf_load_n(cos_row + i, n, 0.0F), s = vf_load_n(sin_row + i, n, 0.0F);
        vf_store_n(x + i, vf_sub(vf_mul(a, c), vf_mul(b, s)), n);
        vf_store_n(x + half + i, vf_add(vf_mul(b, c), vf_mul(a, s)), n);
    }
}

static void store(void *dst, pgd_dtype type, const float *src, float scale, uint32_t n) {
    const vf f = vf_set1(scale);
    const size_t bytes = pgd_dtype_bytes(type);
    for (uint32_t i = 0; i < n; i += 16) {
        const uint32_t m = pgd_cpu_min(16, n - i);
        vf_store_as((unsigned char *)dst + i * bytes, type, vf_mul(vf_load_n(src + i, m, 0.0F), f),
                    m);
    }
}

/* silu: g / (1 + e^-g); gelu in its tanh form is g / (1 + e^-2u), u = sqrt(2/pi)(g + 0.044715 g^3),
 * since (1 + tanh u) / 2 = 1 / (1 + e^-2u). */
PGD_INLINE vf activate(vf g, uint32_t gelu) {
    vf t = g;
    if (gelu) {
        const vf cubic = vf_mul(vf_mul(vf_mul(g, g), g), vf_set1(0.044715F));
        t = vf_mul(vf_add(g, cubic), vf_set1(1.5957691216F));
    }
    const vf e = vf_exp(vf_sub(vf_zero(), t));
    return vf_div(g, vf_add(vf_set1(1.0F), e));
}

/* Biases of 16 gates or ups: every second one. */
static vf paired_bias(const float *bias, uint32_t col, uint32_t n, uint32_t which) {
    float b[16] = {0};
    for (uint32_t i = 0; bias && i < n; i++)
        b[i] = bias[2 * (col + i) + which];
    return vf_load(b);
}

static void epilogue(const pgd_cpu_epi *e, const float *c, uint32_t col, uint32_t n, void *y) {
    unsigned char *out = (unsigned char *)y + (size_t)col * pgd_dtype_bytes(e->y_type);
    if (e->kind == PGD_EPI_SWIGLU) {
        vf g = vf_load(c), u = vf_load(c + PGD_CPU_LANES);
        if (e->bias) {
            g = vf_add(g, paired_bias(e->bias, col, n, 0));
            u = vf_add(u, paired_bias(e->bias, col, n, 1));
        }
        vf_store_as(out, e->y_type, vf_mul(activate(g, e->gelu), u), n);
        return;
    }
    for (uint32_t i = 0; i < n; i += 16) {
        const uint32_t m = pgd_cpu_min(16, n - i);
        vf v = vf_load(c + i);
        if (e->bias) v = vf_add(v, vf_load_n(e->bias + col + i, m, 0.0F));
        if (e->kind == PGD_EPI_RESIDUAL)
            v = vf_add(vf_load_n((const float *)y + col + i, m, 0.0F), v);
        vf_store_as(out + i * pgd_dtype_bytes(e->y_type), e->y_type, v, m);
    }
}

void PGD_LEVEL(simd_rows)(pgd_cpu_kernels *k) {
    k->norm = norm;
    k->rope = rope;
    k->store = store;
    k->epilogue = epilogue;
}
