/* Tests of metrics.c: the text is compared whole with what the exposition format 0.0.4 asks for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "pagoda/mem.h"
#include "pagoda/metrics.h"

static void families_are_grouped_and_described_once(void **state) {
    (void)state;
    pgd_metrics *m = NULL;
    assert_int_equal(pgd_metrics_create(&m, "model_name=\"m\""), PGD_OK);
    pgd_metric *stop = pgd_metrics_counter(m, "pagoda_done_total", "vllm:done_total",
                                           "reason=\"stop\"", "Requests done.");
    pgd_metric *run = pgd_metrics_gauge(m, "pagoda_running", NULL, "", "Requests running.");
    pgd_metric *len = pgd_metrics_counter(m, "pagoda_done_total", "vllm:done_total",
                                          "reason=\"length\"", "Requests done.");
    pgd_metric_add(stop, 2);
    pgd_metric_add(stop, 3);
    pgd_metric_add(len, UINT64_MAX);
    pgd_metric_set(run, 1.5);
    pgd_buf b = {0};
    pgd_metrics_render(m, &b);
    assert_string_equal(b.p, "# HELP pagoda_done_total Requests done.\n"
                             "# TYPE pagoda_done_total counter\n"
                             "pagoda_done_total{model_name=\"m\",reason=\"stop\"} 5\n"
                             "pagoda_done_total{model_name=\"m\",reason=\"length\"} "
                             "18446744073709551615\n"
                             "# HELP vllm:done_total Requests done.\n"
                             "# TYPE vllm:done_total counter\n"
                             "vllm:done_total{model_name=\"m\",reason=\"stop\"} 5\n"
                             "vllm:done_total{model_name=\"m\",reason=\"length\"} "
                             "18446744073709551615\n"
                             "# HELP pagoda_running Requests running.\n"
                             "# TYPE pagoda_running gauge\n"
                             "pagoda_running{model_name=\"m\"} 1.5\n");
    assert_true(pgd_metric_value(stop) == 5);
    assert_true(pgd_metric_value(run) == 1.5);
    pgd_buf_fini(&b);
    pgd_metrics_destroy(&m);
    assert_null(m);
    pgd_metrics_destroy(&m);
}

static void histogram_buckets_are_cumulative_and_inclusive(void **state) {
    (void)state;
    static const double bounds[] = {0.5, 1, 10};
    pgd_metrics *m = NULL;
    assert_int_equal(pgd_metrics_create(&m, ""), PGD_OK);
    pgd_metric *h = pgd_metrics_histogram(m, "t", NULL, "", "Time.", bounds, 3);
    pgd_metric_observe(h, 0.5); /* a bound belongs to its bucket */
    pgd_metric_observe(h, 0.75);
    pgd_metric_observe(h, 11);
    pgd_metric_observe(h, (double)NAN);
    pgd_metric *l = pgd_metrics_histogram(m, "u", NULL, "k=\"v\"", "Other.", bounds, 1);
    pgd_metric_observe(l, -1);
    pgd_buf b = {0};
    pgd_metrics_render(m, &b);
    assert_string_equal(b.p, "# HELP t Time.\n# TYPE t histogram\n"
                             "t_bucket{le=\"0.5\"} 1\n"
                             "t_bucket{le=\"1.0\"} 2\n"
                             "t_bucket{le=\"10.0\"} 2\n"
                             "t_bucket{le=\"+Inf\"} 3\n"
                             "t_sum 12.25\nt_count 3\n"
                             "# HELP u Other.\n# TYPE u histogram\n"
                             "u_bucket{k=\"v\",le=\"0.5\"} 1\n"
                             "u_bucket{k=\"v\",le=\"+Inf\"} 1\n"
                             "u_sum{k=\"v\"} -1.0\nu_count{k=\"v\"} 1\n");
    assert_true(pgd_metric_value(h) == 3);
    pgd_buf_fini(&b);
    pgd_metrics_destroy(&m);
}

static void gauges_show_values_that_are_no_numbers(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {(double)NAN, "NaN\n"}, {(double)INFINITY, "+Inf\n"}, {-(double)INFINITY, "-Inf\n"}};
    pgd_metrics *m = NULL;
    assert_int_equal(pgd_metrics_create(&m, ""), PGD_OK);
    pgd_metric *g = pgd_metrics_gauge(m, "g", NULL, "", "G.");
    for (size_t i = 0; i < 3; i++) {
        pgd_buf b = {0};
        pgd_metric_set(g, cases[i].v);
        pgd_metrics_render(m, &b);
        assert_non_null(strstr(b.p, cases[i].text));
        pgd_buf_fini(&b);
    }
    pgd_metrics_destroy(&m);
}

static void absent_series_are_ignored(void **state) {
    (void)state;
    pgd_metric_add(NULL, 1);
    pgd_metric_set(NULL, 1);
    pgd_metric_observe(NULL, 1);
    assert_true(pgd_metric_value(NULL) == 0);
    assert_null(pgd_metrics_counter(NULL, "a", NULL, "", "A."));
}

static void *hammer(void *arg) {
    pgd_metric **s = arg;
    for (int i = 0; i < 20000; i++) {
        pgd_metric_add(s[0], 1);
        pgd_metric_observe(s[1], 0.25);
    }
    return NULL;
}

static void updates_of_several_threads_all_count(void **state) {
    (void)state;
    static const double bounds[] = {1};
    pgd_metrics *m = NULL;
    assert_int_equal(pgd_metrics_create(&m, ""), PGD_OK);
    pgd_metric *s[2] = {pgd_metrics_counter(m, "c", NULL, "", "C."),
                        pgd_metrics_histogram(m, "h", NULL, "", "H.", bounds, 1)};
    pthread_t t[4];
    pgd_buf b = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, s), 0);
    pgd_metrics_render(m, &b); /* while they run */
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    pgd_buf_clear(&b);
    pgd_metrics_render(m, &b);
    assert_true(pgd_metric_value(s[0]) == 80000);
    assert_true(pgd_metric_value(s[1]) == 80000);
    assert_non_null(strstr(b.p, "h_sum 20000.0\n"));
    pgd_buf_fini(&b);
    pgd_metrics_destroy(&m);
}

static void registration_survives_the_failure_of_each_allocation(void **state) {
    (void)state;
    static const double bounds[] = {1, 2};
    int64_t n = 0;
    for (bool failed = true; failed; n++) {
        pgd_metrics *m = NULL;
        (void)pgd_mem_fail_after(n);
        if (pgd_metrics_create(&m, "a=\"b\"") == PGD_OK) {
            pgd_metric *h = pgd_metrics_histogram(m, "h", "i", "", "H.", bounds, 2);
            failed = pgd_mem_fail_after(-1);
            assert_int_equal(h == NULL, failed);
            pgd_buf b = {0};
            pgd_metrics_render(m, &b);
            pgd_buf_fini(&b);
        } else {
            assert_null(m);
        }
        (void)pgd_mem_fail_after(-1);
        pgd_metrics_destroy(&m);
    }
    assert_in_range(n, 8, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_grouped_and_described_once),
        cmocka_unit_test(histogram_buckets_are_cumulative_and_inclusive),
        cmocka_unit_test(gauges_show_values_that_are_no_numbers),
        cmocka_unit_test(absent_series_are_ignored),
        cmocka_unit_test(updates_of_several_threads_all_count),
        cmocka_unit_test(registration_survives_the_failure_of_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
