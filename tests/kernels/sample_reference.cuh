/* What sampling must give, in sequential host code: the semantics of src/device/cpu (op_state.c,
 * op_sample.c, sample_scalar.c and the headers they use), with the kept set made by sorting. Host
 * code must be compiled without contraction of floating-point expressions. */
#ifndef PAGODA_TESTS_KERNELS_SAMPLE_REFERENCE_CUH
#define PAGODA_TESTS_KERNELS_SAMPLE_REFERENCE_CUH

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <vector>

#include "../../kernels/launch.h"

static inline float ref_float(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint32_t ref_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static inline float ref_exp(float x) {
    if (!(x >= -87.3F)) return x < 0.0F ? 0.0F : x;
    const float c = x < 88.3F ? x : 88.3F;
    const float t = c * 0x1.715476p+0F + 0x1.8p23F;
    const float n = t - 0x1.8p23F;
    const float r = (c - n * 0x1.62ep-1F) - n * 0x1.0bfbe8p-15F;
    float p = 0x1.6d1606p-10F;
    p = p * r + 0x1.12106cp-7F;
    p = p * r + 0x1.555516p-5F;
    p = p * r + 0x1.5554d8p-3F;
    p = p * r + 0x1p-1F;
    p = (p * r) * r + r;
    return ref_float(ref_bits(1.0F + p) + (ref_bits(t) << 23));
}

static inline float ref_log(float x) {
    const uint32_t half = 0x3f3504f3U, u = ref_bits(x) + (0x3f800000U - half);
    const float e = (float)((int32_t)(u >> 23) - 127);
    const float m = ref_float((u & 0x7fffffU) + half);
    const float f = m - 1.0F;
    const float s = f / (2.0F + f);
    const float z = s * s;
    float q = 0x1.dddaep-4F;
    q = q * z + 0x1.245c0ap-3F;
    q = q * z + 0x1.9999ecp-3F;
    q = q * z + 0x1.555556p-2F;
    const float s2 = s + s;
    const float tail = (s2 * z) * q + e * 0x1.0bfbe8p-15F;
    return e * 0x1.62ep-1F + (s2 + tail);
}

static inline uint32_t ref_mass(float z) {
    const float m = ref_exp(z) * 0x1p30F;
    const float r = m < 0x1p23F ? (m + 0x1p23F) - 0x1p23F : m;
    return (uint32_t)r;
}

static inline float ref_uniform(uint64_t seed, uint32_t choice, uint32_t position, uint32_t lane) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = lane / 4, c1 = position, c2 = choice, c3 = 0 /* PGD_RNG_SAMPLE */;
    for (int r = 0; r < 10; r++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const uint32_t words[4] = {c0, c1, c2, c3};
    return (float)(2 * (words[lane % 4] >> 9) + 1) * 0x1p-24f;
}

static inline uint32_t ref_key(float v) {
    const uint32_t u = ref_bits(v);
    return u ^ (u >> 31 ? 0xffffffffU : 0x80000000U);
}

/* What a row works with. */
struct RefRow {
    const float *x;
    uint32_t n;
    const pgd_sampling *p;
    uint32_t position;
};

/* z[i] = -inf for every token that min-p, top-k and top-p leave out; z <= 0, its maximum 0. */
static inline void ref_keep(std::vector<float> &z, const pgd_sampling *p) {
    const uint32_t n = (uint32_t)z.size();
    const bool top_k = p->top_k > 0 && (uint32_t)p->top_k < n, top_p = p->top_p < 1.0F;
    float floor = -INFINITY;
    uint32_t least = 0;
    if (p->min_p > 0.0F) {
        floor = 0.0F + ref_log(p->min_p);
        if (floor > 0.0F) floor = 0.0F;
        least = ref_key(floor);
    }
    if (!top_k && !top_p) { /* by key, which has -0 below +0 */
        for (float &v : z)
            if (ref_key(v) < least) v = -INFINITY;
        return;
    }
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < n; i++)
        if (z[i] >= floor) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
        const uint32_t ka = ref_key(z[a]), kb = ref_key(z[b]);
        return ka != kb ? ka > kb : a < b;
    });
    if (top_k && order.size() > (uint32_t)p->top_k) order.resize((uint32_t)p->top_k);
    if (top_p) {
        uint64_t mass = 0, reached = 0;
        for (uint32_t i : order)
            mass += ref_mass(z[i]);
        const double share = ceil((double)p->top_p * (double)mass);
        const uint64_t want = share <= 1 ? 1 : share < (double)mass ? (uint64_t)share : mass;
        size_t keep = 0;
        while (keep < order.size() && reached < want)
            reached += ref_mass(z[order[keep++]]);
        order.resize(keep);
    }
    std::vector<float> kept(n, -INFINITY);
    for (uint32_t i : order)
        kept[i] = z[i];
    z = kept;
}

static inline uint32_t ref_draw(const RefRow &r, uint32_t argmax) {
    if (r.p->flags & PGD_SAMPLE_GREEDY) return argmax;
    std::vector<float> z(r.n);
    for (uint32_t i = 0; i < r.n; i++)
        z[i] = (r.x[i] - r.x[argmax]) / r.p->temperature;
    ref_keep(z, r.p);
    float best = -INFINITY;
    uint32_t best_id = argmax;
    for (uint32_t i = 0; i < r.n; i++) {
        if (!(z[i] + 17.0F >= best) || z[i] == -INFINITY) continue;
        const float u = ref_uniform(r.p->seed, r.p->choice, r.position, i);
        const float v = z[i] + -ref_log(-ref_log(u));
        if (v > best) {
            best = v;
            best_id = i;
        }
    }
    return best_id;
}

static inline double ref_log_sum_exp(const float *x, uint32_t n, float max) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)max);
    return (double)max + log(sum);
}

static inline uint32_t ref_top(const float *x, uint32_t n, double lse, uint32_t n_top,
                               pgd_top *top) {
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < n; i++)
        if (x[i] > -INFINITY) order.push_back(i);
    n_top = std::min(std::min(n_top, (uint32_t)PGD_MAX_TOP_LOGPROBS), (uint32_t)order.size());
    std::partial_sort(order.begin(), order.begin() + n_top, order.end(),
                      [&](uint32_t a, uint32_t b) { return x[a] != x[b] ? x[a] > x[b] : a < b; });
    for (uint32_t i = 0; i < n_top; i++)
        top[i] = {(int32_t)order[i], (float)((double)x[order[i]] - lse)};
    return n_top;
}

/* Argmax (lowest id) and whether the row is bad. */
static inline bool ref_look(const float *x, uint32_t n, uint32_t *argmax) {
    float max = -INFINITY;
    bool bad = false;
    *argmax = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(x[i] < INFINITY)) bad = true;
        if (x[i] > max) {
            max = x[i];
            *argmax = i;
        }
    }
    return bad || !(max > -INFINITY);
}

static inline pgd_sample_out ref_sample(const RefRow &r, uint32_t slot) {
    pgd_sample_out out;
    uint32_t argmax;
    memset(&out, 0, sizeof out);
    out.slot = slot;
    if (ref_look(r.x, r.n, &argmax)) {
        out.flags = PGD_OUT_BAD_LOGITS;
        return out;
    }
    out.token = (int32_t)ref_draw(r, argmax);
    if (r.p->flags & PGD_SAMPLE_LOGPROBS) {
        const double lse = ref_log_sum_exp(r.x, r.n, r.x[argmax]);
        out.logprob = (float)((double)r.x[out.token] - lse);
        out.n_top = ref_top(r.x, r.n, lse, r.p->n_top, out.top);
    }
    return out;
}

static inline pgd_score_out ref_score(const RefRow &r, uint32_t slot, uint32_t target) {
    pgd_score_out out;
    uint32_t argmax;
    memset(&out, 0, sizeof out);
    out.slot = slot;
    out.position = r.position;
    out.logprob = NAN;
    if (ref_look(r.x, r.n, &argmax)) return out;
    const double lse = ref_log_sum_exp(r.x, r.n, r.x[argmax]);
    out.logprob = (float)((double)r.x[target] - lse);
    out.n_top = ref_top(r.x, r.n, lse, r.p->n_top, out.top);
    return out;
}

/* logits_post of one sampling row, in place. */
static inline void ref_post(float *x, uint32_t n, const pgd_sampling *p, const uint16_t *counts,
                            const pgd_bias *bias, uint32_t n_bias, uint32_t known,
                            uint32_t n_prompt) {
    for (uint32_t i = 0; i < n_bias; i++)
        if ((uint32_t)bias[i].id < n) x[bias[i].id] += bias[i].value;
    if (known < n_prompt + p->min_tokens)
        for (uint32_t i = 0; i < p->n_stop_ids; i++)
            if ((uint32_t)p->stop_ids[i] < n) x[p->stop_ids[i]] = -INFINITY;
    if (!(p->flags & PGD_SAMPLE_PENALTIES)) return;
    for (uint32_t i = 0; i < n; i++) {
        const uint16_t c = counts[i];
        if (!c) continue;
        if (p->repetition_penalty != 1.0F)
            x[i] = x[i] > 0.0F ? x[i] / p->repetition_penalty : x[i] * p->repetition_penalty;
        if (c & 0x7fff) x[i] -= p->presence_penalty + p->frequency_penalty * (float)(c & 0x7fff);
    }
}

#endif
