/* Vector kernels of sampling: the bits of sample_scalar.c, sixteen tokens at a time. exp, log and
 * the noise use no fused operations, sums run in the same lanes, mass is counted in integers. */
#include "simd.h"

#include <math.h>

#include "sample.h"

/* Tokens [i, i + 16) of a row, -inf past its end. */
PGD_INLINE vf tokens_at(const float *x, uint32_t i, uint32_t n) {
    return i + 16 <= n ? vf_load(x + i) : vf_load_n(x + i, n - i, -INFINITY);
}

static pgd_cpu_logit_stats logit_stats(const float *x, uint32_t n) {
    pgd_cpu_logit_stats st = {.max = -INFINITY};
    vf max = vf_set1(-INFINITY);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < n; i += 16) {
        const vf v = tokens_at(x, i, n);
        bad |= vm_bits(vf_not_less(v, vf_set1(INFINITY)));
        max = vf_max(v, max);
    }
    st.max = vf_max_lane(max);
    st.bad = bad != 0 || !(st.max > -INFINITY);
    for (uint32_t i = 0; i < n && !st.bad; i += 16) {
        const uint32_t m = vm_bits(vf_eq(tokens_at(x, i, n), vf_set1(st.max)));
        if (!m) continue;
        st.argmax = i + (uint32_t)__builtin_ctz(m);
        break;
    }
    return st;
}

static double sum_exp(const float *x, uint32_t n, float max) {
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i += PGD_CPU_SUM_CHUNK) {
        const uint32_t end = pgd_cpu_min(n, i + PGD_CPU_SUM_CHUNK);
        vf lanes = vf_zero();
        for (uint32_t k = i; k < end; k += 16)
            lanes = vf_add(lanes, vf_exp(vf_sub(tokens_at(x, k, end), vf_set1(max))));
        sum += (double)vf_sum(lanes);
    }
    return sum;
}

static void scale_logits(float *z, const float *x, uint32_t n, float max, float temperature) {
    for (uint32_t i = 0; i < n; i += 16) {
        const vf v = vf_div(vf_sub(tokens_at(x, i, n), vf_set1(max)), vf_set1(temperature));
        if (i + 16 <= n)
            vf_store(z + i, v);
        else
            vf_store_n(z + i, v, n - i);
    }
}

static uint32_t find_above(const float *x, uint32_t from, uint32_t n, float limit) {
    for (uint32_t i = from; i < n; i += 16) {
        const uint32_t m = vm_bits(vf_gt(tokens_at(x, i, n), vf_set1(limit)));
        if (m) return i + (uint32_t)__builtin_ctz(m);
    }
    return n;
}

/* pgd_cpu_mass_of for 16 tokens. */
PGD_INLINE vi mass_of(vf z, float max) {
    const vf e = vf_exp(vf_sub(z, vf_set1(max)));
    return vi_of_float(vf_mul(e, vf_set1(PGD_CPU_MASS_ONE)));
}

/* Which tokens of [i, i + 16) have z >= floor, past the end none. */
PGD_INLINE uint32_t above(vf z, uint32_t i, uint32_t n, float floor) {
    const uint32_t m = vm_bits(vf_ge(z, vf_set1(floor)));
    return i + 16 <= n ? m : m & ((1U << (n - i)) - 1);
}

static pgd_cpu_mass mass(const float *z, uint32_t n, float floor, float max) {
    pgd_cpu_mass m = {0};
    vi sum = vi_set1(0);
    for (uint32_t i = 0; i < n; i += 16) {
        const vf v = tokens_at(z, i, n);
        const uint32_t in = above(v, i, n, floor);
        if (!in) continue;
        m.count += (uint64_t)__builtin_popcount(in);
        const vm keep = vf_ge(v, vf_set1(floor)); /* tokens past the end have no mass */
        sum = vi_add_wide(sum, vi_select(keep, mass_of(v, max), vi_set1(0)));
    }
    uint64_t part[8];
    vi_store(part, sum);
    for (uint32_t i = 0; i < 8; i++)
        m.mass += part[i];
    return m;
}

/* Order-preserving key of each lane (pgd_cpu_key). */
PGD_INLINE vi keys_of(vf z) {
    const vi u = vf_bits(z);
    return vi_xor(u, vi_or(vi_sar(u, 31), vi_set1(0x80000000U)));
}

static void hist(pgd_cpu_hist *h, const float *z, uint32_t n, float floor, float max,
                 uint32_t prefix, uint32_t shift, uint32_t bits) {
    for (uint32_t i = 0; i < n; i += 16) {
        const vf v = tokens_at(z, i, n);
        uint32_t in = above(v, i, n, floor);
        if (!in) continue;
        const vi key = vi_shr_by(keys_of(v), shift);
        in &= vm_bits(vi_eq(vi_shr_by(key, bits), vi_set1(prefix)));
        if (!in) continue;
        uint32_t digit[16], part[16];
        vi_store(digit, vi_and(key, vi_set1((1U << bits) - 1)));
        vi_store(part, mass_of(v, max));
        for (; in; in &= in - 1) {
            const int lane = __builtin_ctz(in);
            h->count[digit[lane]]++;
            h->mass[digit[lane]] += part[lane];
        }
    }
}

static void cut(float *z, uint32_t n, uint32_t least, uint32_t n_equal) {
    const vi flip = vi_set1(0x80000000U);
    const vi limit = vi_set1(least ^ 0x80000000U); /* unsigned order by a signed compare */
    for (uint32_t i = 0; i < n; i += 16) {
        const vf v = tokens_at(z, i, n);
        const vi key = vi_xor(keys_of(v), flip);
        const uint32_t last = i + 16 <= n ? 0xffffU : (1U << (n - i)) - 1;
        const uint32_t keep = vm_bits(vi_gt(key, limit)) & last;
        if (keep == last) continue;
        uint32_t drop = last & ~keep;
        for (uint32_t eq = vm_bits(vi_eq(key, limit)) & last; eq && n_equal; eq &= eq - 1) {
            drop &= ~(eq & (0U - eq));
            n_equal--;
        }
        for (; drop; drop &= drop - 1)
            z[i + (uint32_t)__builtin_ctz(drop)] = -INFINITY;
    }
}

/* pgd_rng_uniform for tokens [first, first + 16). Each lane makes the whole block of its token and
 * takes its word: sharing blocks would save multiplications, but few tokens get this far. */
PGD_INLINE vf uniforms(const pgd_cpu_noise *noise, uint32_t first) {
    uint32_t k0 = (uint32_t)noise->seed, k1 = (uint32_t)(noise->seed >> 32);
    const vi token = vi_add(vi_iota(), vi_set1(first)), word = vi_and(token, vi_set1(3));
    vi c0 = vi_shr(token, 2), c1 = vi_set1(noise->position);
    vi c2 = vi_set1(noise->choice), c3 = vi_set1(PGD_RNG_SAMPLE);
    for (uint32_t round = 0; round < 10; round++) {
        vi hi0, hi1;
        const vi lo0 = vi_mul_wide(c0, 0xD2511F53U, &hi0);
        const vi lo1 = vi_mul_wide(c2, 0xCD9E8D57U, &hi1);
        c0 = vi_xor(vi_xor(hi1, c1), vi_set1(k0));
        c2 = vi_xor(vi_xor(hi0, c3), vi_set1(k1));
        c1 = lo1;
        c3 = lo0;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    const vi low = vi_select(vi_eq(word, vi_set1(0)), c0, c1);
    const vi high = vi_select(vi_eq(word, vi_set1(2)), c2, c3);
    const vi drawn = vi_select(vi_gt(vi_set1(2), word), low, high);
    const vi odd = vi_or(vi_shl(vi_shr(drawn, 9), 1), vi_set1(1));
    return vf_mul(vf_of_int(odd), vf_set1(0x1p-24F));
}

static uint32_t gumbel(const float *z, uint32_t n, uint32_t start, const pgd_cpu_noise *noise) {
    float best = z[start] + pgd_cpu_gumbel(noise, start);
    uint32_t best_id = start;
    for (uint32_t i = 0; i < n; i += 16) {
        const vf v = tokens_at(z, i, n);
        const vf reach = vf_add(v, vf_set1(PGD_CPU_GUMBEL_MAX));
        if (!vm_bits(vf_ge(reach, vf_set1(best)))) continue;
        const vf inner = vf_sub(vf_zero(), vf_log(uniforms(noise, i)));
        const vf total = vf_add(v, vf_sub(vf_zero(), vf_log(inner)));
        uint32_t m = vm_bits(vf_ge(total, vf_set1(best)));
        if (!m) continue;
        float lane[16];
        vf_store(lane, total);
        for (; m; m &= m - 1) {
            const uint32_t b = (uint32_t)__builtin_ctz(m), id = i + b;
            if (!(lane[b] > best || (lane[b] == best && id < best_id))) continue;
            best = lane[b];
            best_id = id;
        }
    }
    return best_id;
}

void PGD_LEVEL(simd_sample)(pgd_cpu_kernels *k) {
    k->logit_stats = logit_stats;
    k->sum_exp = sum_exp;
    k->scale_logits = scale_logits;
    k->find_above = find_above;
    k->mass = mass;
    k->hist = hist;
    k->cut = cut;
    k->gumbel = gumbel;
}
