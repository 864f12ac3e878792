/* Objectives: how they are written and when a request meets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/slo.h"

static void objectives_are_read_in_any_order(void **state) {
    (void)state;
    bench_slo s;
    assert_int_equal(bench_slo_parse("tpot:50.5,ttft:200", &s, NULL), PGD_OK);
    assert_true(s.ttft == 200 && s.tpot == 50.5 && s.itl == 0 && s.e2e == 0);
    assert_true(bench_slo_any(&s));
    assert_int_equal(bench_slo_parse("e2e:1,itl:2", &s, NULL), PGD_OK);
    assert_true(s.ttft == 0 && s.e2e == 1 && s.itl == 2);
    assert_int_equal(bench_slo_parse(NULL, &s, NULL), PGD_OK);
    assert_false(bench_slo_any(&s));
}

static void what_is_no_objective_is_quoted(void **state) {
    (void)state;
    const char *const bad[] = {"",        "ttft",      "ttft:",    "ttft:0",  "ttft:-1",
                               "ttft:1x", "latency:1", "ttft:1,",  ",ttft:1", "ttft:1,,tpot:2",
                               "TTFT:1",  "ttft:nan",  "ttft:inf", "ttft: 1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bench_slo s;
        pgd_error err = {0};
        if (bench_slo_parse(bad[i], &s, &err) != PGD_E_INVALID) fail_msg("'%s' passed", bad[i]);
        assert_non_null(strstr(err.msg, "--goodput"));
    }
}

static void a_request_is_good_when_it_meets_every_objective(void **state) {
    (void)state;
    bench_slo s;
    assert_int_equal(bench_slo_parse("ttft:200,tpot:50", &s, NULL), PGD_OK);
    const struct {
        bench_latency l;
        bool met;
    } cases[] = {
        {{.ttft = 200, .tpot = 50, .itl = 1e9, .e2e = 1e9}, true}, /* limits are inclusive */
        {{.ttft = 200.001, .tpot = 1}, false},
        {{.ttft = 1, .tpot = 50.001}, false},
        {{.ttft = 1, .tpot = 0}, true}, /* a single token has no TPOT */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(bench_slo_met(&s, &cases[i].l), cases[i].met);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objectives_are_read_in_any_order),
        cmocka_unit_test(what_is_no_objective_is_quoted),
        cmocka_unit_test(a_request_is_good_when_it_meets_every_objective),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
