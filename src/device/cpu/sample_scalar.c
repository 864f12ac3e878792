/* Scalar kernels of sampling. They add in the lane order of the vector kernels (16 partial sums,
 * combined in a fixed tree) and use the same exp and log, so every instruction-set level draws the
 * same token from the same logits. */
#include "cpu_internal.h"

#include <math.h>
#include <string.h>

#include "cpu_math.h"
#include "sample.h"

static pgd_cpu_logit_stats logit_stats(const float *x, uint32_t n) {
    pgd_cpu_logit_stats st = {.max = -INFINITY};
    for (uint32_t i = 0; i < n; i++) {
        if (!(x[i] < INFINITY)) st.bad = 1;
        if (x[i] > st.max) {
            st.max = x[i];
            st.argmax = i;
        }
    }
    if (!(st.max > -INFINITY)) st.bad = 1;
    return st;
}

static double sum_exp(const float *x, uint32_t n, float max) {
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i += PGD_CPU_SUM_CHUNK) {
        float lane[PGD_CPU_LANES] = {0};
        const uint32_t end = pgd_cpu_min(n, i + PGD_CPU_SUM_CHUNK);
        for (uint32_t k = i; k < end; k++)
            lane[k % PGD_CPU_LANES] += pgd_cpu_exp(x[k] - max);
        for (uint32_t w = PGD_CPU_LANES / 2; w; w /= 2)
            for (uint32_t k = 0; k < w; k++)
                lane[k] += lane[k + w];
        sum += (double)lane[0];
    }
    return sum;
}

static void scale_logits(float *z, const float *x, uint32_t n, float max, float temperature) {
    for (uint32_t i = 0; i < n; i++)
        z[i] = (x[i] - max) / temperature;
}

static uint32_t find_above(const float *x, uint32_t from, uint32_t n, float limit) {
    while (from < n && !(x[from] > limit))
        from++;
    return from;
}

static pgd_cpu_mass mass(const float *z, uint32_t n, float floor, float max) {
    pgd_cpu_mass m = {0};
    for (uint32_t i = 0; i < n; i++)
        if (z[i] >= floor) {
            m.count++;
            m.mass += pgd_cpu_mass_of(z[i], max);
        }
    return m;
}

static void hist(pgd_cpu_hist *h, const float *z, uint32_t n, float floor, float max,
                 uint32_t prefix, uint32_t shift, uint32_t bits) {
    for (uint32_t i = 0; i < n; i++) {
        if (!(z[i] >= floor)) continue;
        const uint32_t key = pgd_cpu_key(z[i]) >> shift, digit = key & ((1U << bits) - 1);
        if (key >> bits != prefix) continue;
        h->count[digit]++;
        h->mass[digit] += pgd_cpu_mass_of(z[i], max);
    }
}

static void cut(float *z, uint32_t n, uint32_t least, uint32_t n_equal) {
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t key = pgd_cpu_key(z[i]);
        if (key > least) continue;
        if (key == least && n_equal)
            n_equal--;
        else
            z[i] = -INFINITY;
    }
}

static uint32_t gumbel(const float *z, uint32_t n, uint32_t start, const pgd_cpu_noise *noise) {
    float best = z[start] + pgd_cpu_gumbel(noise, start);
    uint32_t best_id = start;
    for (uint32_t i = 0; i < n; i++) {
        if (!(z[i] + PGD_CPU_GUMBEL_MAX >= best)) continue;
        const float v = z[i] + pgd_cpu_gumbel(noise, i);
        if (v > best || (v == best && i < best_id)) {
            best = v;
            best_id = i;
        }
    }
    return best_id;
}

void pgd_cpu_kernels_sample(pgd_cpu_kernels *k) {
    k->logit_stats = logit_stats;
    k->sum_exp = sum_exp;
    k->scale_logits = scale_logits;
    k->find_above = find_above;
    k->mass = mass;
    k->hist = hist;
    k->cut = cut;
    k->gumbel = gumbel;
}
