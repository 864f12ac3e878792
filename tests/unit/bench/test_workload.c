/* Workloads: the same seed gives the same requests, and the distributions are what they are called.
 * Bounds are five standard errors wide at these sample sizes, for fixed seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/workload.h"

enum { N = 40000 };

static bool same(bench_item a, bench_item b) {
    return a.n_in == b.n_in && a.n_out == b.n_out && a.n_prefix == b.n_prefix &&
           a.prefix == b.prefix;
}

static void requests_depend_on_seed_and_index_alone(void **state) {
    (void)state;
    for (int k = BENCH_RANDOM; k <= BENCH_PREFIX; k++) {
        bench_workload w = {.kind = (bench_kind)k,
                            .seed = 7,
                            .n_in = {10, 1000},
                            .n_out = {10, 1000},
                            .n_prefix = {50, 90},
                            .n_suffix = {5, 500},
                            .n_prefixes = 4};
        bench_item first[64];
        for (uint64_t i = 0; i < 64; i++)
            first[i] = bench_workload_item(&w, i);
        for (uint64_t i = 64; i-- > 0;) /* in another order */
            assert_true(same(first[i], bench_workload_item(&w, i)));
        w.seed = 8;
        int n_equal = 0;
        for (uint64_t i = 0; i < 64; i++)
            n_equal += same(first[i], bench_workload_item(&w, i));
        assert_true(n_equal < 4);
    }
}

static void random_lengths_are_even_over_their_range(void **state) {
    (void)state;
    const bench_workload w = {.kind = BENCH_RANDOM, .seed = 1, .n_in = {1, 8}, .n_out = {100, 100}};
    int count[9] = {0};
    for (uint64_t i = 0; i < N; i++) {
        const bench_item it = bench_workload_item(&w, i);
        assert_in_range(it.n_in, 1, 8);
        assert_int_equal(it.n_out, 100);
        count[it.n_in]++;
    }
    const double p = 1.0 / 8, sd = sqrt(N * p * (1 - p));
    for (int k = 1; k <= 8; k++)
        assert_true(fabs(count[k] - N * p) < 5 * sd);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void sharegpt_lengths_have_the_published_means_and_our_quantiles(void **state) {
    (void)state;
    const bench_workload w = {.kind = BENCH_SHAREGPT, .seed = 3};
    double *in = test_malloc(N * sizeof(*in)), *out = test_malloc(N * sizeof(*out));
    double in_sum = 0, out_sum = 0;
    for (uint64_t i = 0; i < N; i++) {
        const bench_item it = bench_workload_item(&w, i);
        assert_in_range(it.n_in, 4, 1024);
        assert_in_range(it.n_out, 4, 2048 - it.n_in);
        in_sum += in[i] = it.n_in;
        out_sum += out[i] = it.n_out;
    }
    assert_true(fabs(in_sum / N - 229.7) < 6);
    assert_true(fabs(out_sum / N - 203.1) < 6);
    qsort(in, N, sizeof(*in), by_value);
    qsort(out, N, sizeof(*out), by_value);
    const double q[] = {0.10, 0.25, 0.50, 0.75, 0.90, 0.99};
    const double want_in[] = {30, 65, 150, 322, 576, 949};
    const double want_out[] = {36, 66, 128, 251, 454, 1140};
    for (int k = 0; k < 6; k++) { /* the table in workload.c */
        assert_true(fabs(pgd_quantile(in, N, q[k]) / want_in[k] - 1) < 0.05);
        assert_true(fabs(pgd_quantile(out, N, q[k]) / want_out[k] - 1) < 0.05);
    }
    test_free(in);
    test_free(out);
}

static void every_round_visits_every_prefix_once(void **state) {
    (void)state;
    const bench_workload w = {.kind = BENCH_PREFIX,
                              .seed = 11,
                              .n_out = {5, 5},
                              .n_prefix = {10, 99},
                              .n_suffix = {1, 20},
                              .n_prefixes = 13};
    uint32_t length[13] = {0};
    for (uint64_t round = 0; round < 20; round++) {
        bool seen[13] = {false};
        for (uint64_t i = 0; i < 13; i++) {
            const bench_item it = bench_workload_item(&w, 13 * round + i);
            assert_in_range(it.prefix, 0, 12);
            assert_false(seen[it.prefix]);
            seen[it.prefix] = true;
            /* a prefix keeps its length */
            assert_true(round == 0 || it.n_prefix == length[it.prefix]);
            length[it.prefix] = it.n_prefix;
            assert_in_range(it.n_prefix, 10, 99);
            assert_in_range(it.n_in - it.n_prefix, 1, 20);
        }
    }
}

static void a_trace_is_played_as_it_stands(void **state) {
    (void)state;
    bench_workload w = {.kind = BENCH_TRACE};
    assert_int_equal(bench_trace_parse(PGD_SV("0,3,4\n1,5,6\n"), &w.trace, NULL), PGD_OK);
    assert_int_equal(bench_workload_item(&w, 0).n_in, 3);
    assert_int_equal(bench_workload_item(&w, 1).n_out, 6);
    assert_int_equal(bench_workload_item(&w, 2).n_in, 3);
    bench_trace_fini(&w.trace);
}

/* Gamma(k) has mean k and variance k. */
static void gamma_draws_have_their_moments(void **state) {
    (void)state;
    const double shapes[] = {0.25, 1, 3, 40};
    for (int k = 0; k < 4; k++) {
        const double shape = shapes[k];
        uint64_t s = 5;
        double sum = 0, squares = 0;
        for (int i = 0; i < N; i++) {
            const double x = bench_gamma(&s, shape);
            assert_true(x > 0 || shape < 1);
            sum += x;
            squares += x * x;
        }
        const double mean = sum / N, var = squares / N - mean * mean;
        assert_true(fabs(mean - shape) < 5 * sqrt(shape / N));
        /* the variance of the sample variance: (mu4 - var^2) / n, mu4 = 3 k^2 + 6 k */
        assert_true(fabs(var - shape) < 5 * sqrt((2 * shape * shape + 6 * shape) / N));
    }
}

static void arrivals_have_the_rate_and_poisson_gaps(void **state) {
    (void)state;
    bench_arrivals a = {.rate = 50, .burstiness = 1, .state = 9};
    double last = 0;
    int n_short = 0;
    for (int i = 0; i < N; i++) {
        const double at = bench_arrivals_next(&a);
        assert_true(at >= last);
        n_short += at - last < 0.02 * log(2); /* the median of an exponential gap */
        last = at;
    }
    assert_true(fabs(last - N / 50.0) < 5 * sqrt((double)N) / 50);
    assert_true(fabs(n_short - N / 2.0) < 5 * sqrt(N / 4.0));
}

static void burstiness_changes_the_spread_but_not_the_rate(void **state) {
    (void)state;
    bench_arrivals burst = {.rate = 10, .burstiness = 0.2, .state = 1};
    bench_arrivals even = {.rate = 10, .burstiness = 20, .state = 1};
    double at_burst = 0, at_even = 0, sq_burst = 0, sq_even = 0;
    for (int i = 0; i < N; i++) {
        const double b = bench_arrivals_next(&burst), e = bench_arrivals_next(&even);
        sq_burst += (b - at_burst) * (b - at_burst);
        sq_even += (e - at_even) * (e - at_even);
        at_burst = b;
        at_even = e;
    }
    assert_true(fabs(at_burst / (N / 10.0) - 1) < 5 * sqrt(5.0 / N));
    assert_true(fabs(at_even / (N / 10.0) - 1) < 5 * sqrt(0.05 / N));
    /* E[x^2] = mean^2 (1 + 1 / shape) */
    assert_true(fabs(sq_burst / N / (0.01 * 6) - 1) < 0.15);
    assert_true(fabs(sq_even / N / (0.01 * 1.05) - 1) < 0.02);
}

static void offline_lengths_are_those_of_the_workload(void **state) {
    (void)state;
    const pgd_bench_range in = {5, 50}, out = {7, 7};
    const bench_workload w = {.kind = BENCH_RANDOM, .seed = 2, .n_in = in, .n_out = out};
    for (uint64_t i = 0; i < 100; i++) {
        const pgd_bench_lengths l = pgd_bench_draw_lengths(false, &in, &out, 2, i);
        assert_int_equal(l.n_in, bench_workload_item(&w, i).n_in);
        assert_int_equal(l.n_out, 7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_depend_on_seed_and_index_alone),
        cmocka_unit_test(random_lengths_are_even_over_their_range),
        cmocka_unit_test(sharegpt_lengths_have_the_published_means_and_our_quantiles),
        cmocka_unit_test(every_round_visits_every_prefix_once),
        cmocka_unit_test(a_trace_is_played_as_it_stands),
        cmocka_unit_test(gamma_draws_have_their_moments),
        cmocka_unit_test(arrivals_have_the_rate_and_poisson_gaps),
        cmocka_unit_test(burstiness_changes_the_spread_but_not_the_rate),
        cmocka_unit_test(offline_lengths_are_those_of_the_workload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
