/* Percentiles against values that numpy gives, and the samples' edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "pagoda/bench.h"
#include "pagoda/mem.h"

static void near(double got, double want) {
    if (fabs(got - want) > 1e-9 * fmax(1, fabs(want))) fail_msg("got %.12g, want %.12g", got, want);
}

/* numpy.percentile([15, 20, 35, 40, 50], [0, 40, 50, 90, 95, 99, 100]) */
static void quantiles_are_those_of_numpy(void **state) {
    (void)state;
    const double v[] = {15, 20, 35, 40, 50};
    near(pgd_quantile(v, 5, 0), 15);
    near(pgd_quantile(v, 5, 0.40), 29);
    near(pgd_quantile(v, 5, 0.50), 35);
    near(pgd_quantile(v, 5, 0.90), 46);
    near(pgd_quantile(v, 5, 0.95), 48);
    near(pgd_quantile(v, 5, 0.99), 49.6);
    near(pgd_quantile(v, 5, 1), 50);
}

static void a_summary_of_the_first_thousand_numbers(void **state) {
    (void)state;
    pgd_samples s = {0};
    for (int i = 0; i < 1000; i++) /* in no order: 7 is coprime to 1000 */
        pgd_samples_add(&s, 1 + (7 * i) % 1000);
    const pgd_summary m = pgd_samples_summarize(&s);
    assert_int_equal(m.n, 1000);
    near(m.mean, 500.5);
    near(m.sd, sqrt((1000.0 * 1000.0 - 1) / 12));
    near(m.min, 1);
    near(m.max, 1000);
    near(m.p50, 500.5);
    near(m.p90, 900.1);
    near(m.p95, 950.05);
    near(m.p99, 990.01);
    pgd_samples_fini(&s);
}

static void one_sample_is_every_percentile(void **state) {
    (void)state;
    pgd_samples s = {0};
    pgd_samples_add(&s, 3.5);
    const pgd_summary m = pgd_samples_summarize(&s);
    near(m.p50, 3.5);
    near(m.p99, 3.5);
    near(m.sd, 0);
    pgd_samples_fini(&s);
}

static void no_sample_is_all_zero(void **state) {
    (void)state;
    pgd_samples s = {0};
    const pgd_summary m = pgd_samples_summarize(&s);
    assert_int_equal(m.n, 0);
    near(m.mean + m.max + m.p99, 0);
    pgd_buf text = {0};
    pgd_summary_put_row(&m, "TTFT", &text);
    assert_string_equal(text.p, "  TTFT                 -\n");
    pgd_buf_fini(&text);
}

static void memory_that_runs_out_is_remembered(void **state) {
    (void)state;
    pgd_samples s = {0};
    pgd_samples_add(&s, 1);
    pgd_mem_fail_after(0);
    for (int i = 0; i < 300; i++)
        pgd_samples_add(&s, 2);
    assert_true(pgd_mem_fail_after(-1));
    assert_true(s.failed);
    assert_int_equal(s.n, 256);
    pgd_samples_fini(&s);
}

static void json_is_rounded_to_microseconds(void **state) {
    (void)state;
    pgd_samples s = {0};
    pgd_samples_add(&s, 1.0 / 3);
    const pgd_summary m = pgd_samples_summarize(&s);
    pgd_buf text = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &text);
    pgd_jsonw_obj(&w);
    pgd_summary_put_json(&m, "x", &w);
    pgd_jsonw_end_obj(&w);
    assert_string_equal(text.p,
                        "{\"x\":{\"n\":1,\"mean\":0.333,\"sd\":0.0,\"min\":0.333,\"p50\":0.333,"
                        "\"p90\":0.333,\"p95\":0.333,\"p99\":0.333,\"max\":0.333}}");
    pgd_buf_fini(&text);
    pgd_samples_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_those_of_numpy),
        cmocka_unit_test(a_summary_of_the_first_thousand_numbers),
        cmocka_unit_test(one_sample_is_every_percentile),
        cmocka_unit_test(no_sample_is_all_zero),
        cmocka_unit_test(memory_that_runs_out_is_remembered),
        cmocka_unit_test(json_is_rounded_to_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
