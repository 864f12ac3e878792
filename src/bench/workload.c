/* Workloads: how long prompts and outputs are, what they share, when they arrive.
 *
 * Every draw is a function of (seed, stream, index), never of what the server did, so that two
 * servers asked with one seed get the same requests in the same order whatever their speed.
 *
 * ShareGPT-like lengths. The data set is not shipped; its lengths are, as a fit. The usual filter
 * (prompt 4..1024 tokens, output >= 4, both together <= 2048) leaves, for 1,000 prompts counted
 * with the Llama 3.1 tokenizer, means of 229.7 prompt and 203.1 output tokens (published with pull
 * request 18566 of vllm-project/vllm). The lognormals below have these means under that filter. The
 * published figures fix the means only: the deviations 1.3 and 1.0 of the logarithms are our
 * estimate, and prompt and output are drawn independently. Quantiles after the filter:
 *
 *              p10   p25   p50   p75   p90   p99
 *     prompt    30    65   150   322   576   949
 *     output    36    66   128   251   454  1140 */
#include "bench/workload.h"

#include <math.h>

#include "pagoda/rng.h"

static const double SHAREGPT_IN_MU = 5.1396, SHAREGPT_IN_SIGMA = 1.3;
static const double SHAREGPT_OUT_MU = 4.8569, SHAREGPT_OUT_SIGMA = 1.0;

enum { STREAM_LENGTHS = 1, STREAM_PREFIX_LENGTH, STREAM_PREFIX_ORDER };

uint64_t bench_seed(uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t s = seed;
    s = pgd_rng_next(&s) ^ stream;
    s = pgd_rng_next(&s) ^ index;
    return pgd_rng_next(&s);
}

double bench_uniform(uint64_t *state) {
    return ((double)(pgd_rng_next(state) >> 11) + 0.5) * 0x1p-53;
}

uint64_t bench_below(uint64_t *state, uint64_t n) {
    /* the bias of the remainder is below n / 2^64 */
    return pgd_rng_next(state) % n;
}

double bench_normal(uint64_t *state) {
    const double u = bench_uniform(state), v = bench_uniform(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables", TOMS 2000; shapes below 1
 * through Gamma(k) = Gamma(k + 1) U^(1/k). */
double bench_gamma(uint64_t *state, double shape) {
    double boost = 1;
    if (shape < 1) {
        boost = pow(bench_uniform(state), 1 / shape);
        shape += 1;
    }
    const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const double x = bench_normal(state);
        const double t = 1 + c * x;
        if (t <= 0) continue;
        const double v = t * t * t;
        if (log(bench_uniform(state)) < 0.5 * x * x + d - d * v + d * log(v)) return boost * d * v;
    }
}

uint64_t bench_between(uint64_t *state, const pgd_bench_range *r) {
    return r->lo + bench_below(state, r->hi - r->lo + 1);
}

static bench_item sharegpt_item(uint64_t *s) {
    for (;;) { /* the filter keeps about two of three */
        const double in = round(exp(SHAREGPT_IN_MU + SHAREGPT_IN_SIGMA * bench_normal(s)));
        const double out = round(exp(SHAREGPT_OUT_MU + SHAREGPT_OUT_SIGMA * bench_normal(s)));
        if (in >= 4 && in <= 1024 && out >= 4 && in + out <= 2048)
            return (bench_item){.n_in = (uint32_t)in, .n_out = (uint32_t)out};
    }
}

bench_item bench_workload_item(const bench_workload *w, uint64_t index) {
    uint64_t s = bench_seed(w->seed, STREAM_LENGTHS, index);
    bench_item item = {0};
    switch (w->kind) {
    case BENCH_SHAREGPT:
        return sharegpt_item(&s);
    case BENCH_TRACE: {
        const bench_trace_row *row = &w->trace.row[index % w->trace.n];
        item.n_in = row->n_in;
        item.n_out = row->n_out;
        return item;
    }
    case BENCH_PREFIX: {
        /* each round visits every prefix once, from another starting point */
        const uint64_t lap = index / w->n_prefixes;
        const uint64_t turn = bench_seed(w->seed, STREAM_PREFIX_ORDER, lap) % w->n_prefixes;
        item.prefix = (index + turn) % w->n_prefixes;
        uint64_t p = bench_seed(w->seed, STREAM_PREFIX_LENGTH, item.prefix);
        item.n_prefix = (uint32_t)bench_between(&p, &w->n_prefix);
        item.n_in = item.n_prefix + (uint32_t)bench_between(&s, &w->n_suffix);
        item.n_out = (uint32_t)bench_between(&s, &w->n_out);
        return item;
    }
    case BENCH_RANDOM:
        break;
    }
    item.n_in = (uint32_t)bench_between(&s, &w->n_in);
    item.n_out = (uint32_t)bench_between(&s, &w->n_out);
    return item;
}

pgd_bench_lengths pgd_bench_draw_lengths(bool sharegpt, const pgd_bench_range *in,
                                         const pgd_bench_range *out, uint64_t seed,
                                         uint64_t index) {
    const bench_workload w = {
        .kind = sharegpt ? BENCH_SHAREGPT : BENCH_RANDOM, .seed = seed, .n_in = *in, .n_out = *out};
    const bench_item item = bench_workload_item(&w, index);
    return (pgd_bench_lengths){item.n_in, item.n_out};
}

double bench_arrivals_next(bench_arrivals *a) {
    a->at_s += bench_gamma(&a->state, a->burstiness) / (a->rate * a->burstiness);
    return a->at_s;
}
