/* Trace files: what is read and which line an error names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/workload.h"
#include "pagoda/mem.h"

static void a_trace_is_read_in_order(void **state) {
    (void)state;
    const char text[] = "arrival_ms,input_tokens,output_tokens\r\n# a comment\r\n0,10,1\r\n\r\n"
                        "12.5,20,2\n12.5,16777216,3";
    bench_trace t;
    assert_int_equal(bench_trace_parse(pgd_sv_c(text), &t, NULL), PGD_OK);
    assert_int_equal(t.n, 3);
    assert_true(t.row[0].arrival_ms == 0 && t.row[1].arrival_ms == 12.5);
    assert_int_equal(t.row[0].n_in, 10);
    assert_int_equal(t.row[2].n_in, 16777216);
    assert_int_equal(t.row[2].n_out, 3);
    bench_trace_fini(&t);
}

static void thousands_of_lines_are_kept(void **state) {
    (void)state;
    pgd_buf text = {0};
    for (int i = 0; i < 5000; i++)
        pgd_buf_putf(&text, "%d,%d,%d\n", i, i + 1, 2 * i + 1);
    bench_trace t;
    assert_int_equal(bench_trace_parse(pgd_buf_sv(&text), &t, NULL), PGD_OK);
    assert_int_equal(t.n, 5000);
    for (uint32_t i = 0; i < 5000; i++)
        assert_true(t.row[i].n_in == i + 1 && t.row[i].n_out == 2 * i + 1);
    bench_trace_fini(&t);
    pgd_buf_fini(&text);
}

static void an_error_names_line_column_and_value(void **state) {
    (void)state;
    const struct {
        const char *text, *says;
    } bad[] = {
        {"", "holds no request"},
        {"arrival_ms,input_tokens,output_tokens\n", "holds no request"},
        {"0,1,1\nx,1,1\n", "line 2: arrival_ms: 'x' is no number"},
        {"-1,1,1\n", "line 1: arrival_ms: '-1'"},
        {"nan,1,1\n", "line 1: arrival_ms: 'nan'"},
        {"1e300,1,1\n", "line 1: arrival_ms: '1e300'"},
        {"0,0,1\n", "line 1: input_tokens: '0' is no whole number in 1.."},
        {"0,1,16777217\n", "line 1: output_tokens: '16777217'"},
        {"0,1.5,1\n", "line 1: input_tokens: '1.5'"},
        {"0, 1,1\n", "line 1: input_tokens: ' 1'"},
        {"0,1\n", "line 1: want 3 columns"},
        {"0,1,1,1\n", "line 1: want 3 columns"},
        {"0,1,1,\n", "line 1: want 3 columns"},
        {"0,1,1\n\n# x\n5,1,1\n4,1,1\n", "line 5: arrives at 4 ms, before"},
        {"0,1,1\narrival_ms,input_tokens,output_tokens\n", "line 2: arrival_ms"},
        {"time,in,out\n0,1,1\n", "line 1: arrival_ms: 'time'"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bench_trace t;
        pgd_error err = {0};
        assert_int_equal(bench_trace_parse(pgd_sv_c(bad[i].text), &t, &err), PGD_E_FORMAT);
        if (strstr(err.msg, bad[i].says) == NULL)
            fail_msg("case %zu: '%s' lacks '%s'", i, err.msg, bad[i].says);
        assert_null(t.row);
    }
}

static void memory_that_runs_out_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    pgd_buf text = {0};
    for (int i = 0; i < 5000; i++)
        pgd_buf_puts(&text, "0,1,1\n");
    pgd_status s = PGD_E_NOMEM;
    int64_t n = 0;
    for (; s != PGD_OK; n++) {
        bench_trace t;
        pgd_mem_fail_after(n);
        s = bench_trace_parse(pgd_buf_sv(&text), &t, NULL);
        pgd_mem_fail_after(-1);
        assert_true(s == PGD_OK || s == PGD_E_NOMEM);
        bench_trace_fini(&t);
    }
    assert_true(n > 2);
    pgd_buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_read_in_order),
        cmocka_unit_test(thousands_of_lines_are_kept),
        cmocka_unit_test(an_error_names_line_column_and_value),
        cmocka_unit_test(memory_that_runs_out_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
