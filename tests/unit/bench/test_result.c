/* Figures of hand-made records, worked out on paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "bench/result.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"

static void near(double got, double want) {
    if (fabs(got - want) > 1e-6 * fmax(1, fabs(want))) fail_msg("got %.12g, want %.12g", got, want);
}

/* Chunks at first_ms and then every gap_ms. */
static bench_record *record(uint64_t start_ms, uint32_t first_ms, uint32_t gap_ms,
                            uint32_t n_chunks, uint64_t n_output) {
    bench_record *r = pgd_calloc(1, sizeof(*r));
    r->start_ns = r->due_ns = start_ms * 1000000;
    r->chunk_us = pgd_calloc(n_chunks, sizeof(uint32_t));
    for (uint32_t i = 0; i < n_chunks; i++)
        r->chunk_us[i] = 1000 * (first_ms + gap_ms * i);
    r->n_chunks = n_chunks;
    r->has_usage = true;
    r->n_prompt = 100;
    r->n_output = n_output;
    r->item.n_out = (uint32_t)n_output;
    return r;
}

static bench_run make_run(void) {
    bench_run run = {.n_started = 4, .end_ns = 2000000000, .n_peak = 2};
    run.rec = pgd_calloc(4, sizeof(bench_record *));
    run.rec[0] = record(0, 100, 10, 11, 11);  /* TTFT 100, E2E 200, TPOT 10 */
    run.rec[1] = record(500, 300, 20, 6, 11); /* TTFT 300, E2E 400, TPOT 10: two a chunk */
    run.rec[2] = record(1000, 50, 0, 1, 1);   /* one token */
    run.rec[3] = record(1000, 1, 1, 2, 2);    /* failed */
    run.rec[1]->n_cached = 64;
    run.rec[1]->has_cached = true;
    run.rec[1]->start_ns += 2000000; /* 2 ms late */
    run.rec[2]->item.n_out = 5;      /* ended early */
    run.rec[3]->fault = BENCH_TIMEOUT;
    memcpy(run.rec[3]->why, "late", 5);
    run.load.concurrency = 2;
    return run;
}

static void figures_are_those_worked_out_by_hand(void **state) {
    (void)state;
    bench_run run = make_run();
    bench_slo slo;
    assert_int_equal(bench_slo_parse("ttft:200,tpot:10", &slo, NULL), PGD_OK);
    bench_result r;
    assert_int_equal(bench_result_make(&run, &slo, &r, NULL), PGD_OK);
    assert_int_equal(r.n, 4);
    assert_int_equal(r.n_ok, 3);
    assert_int_equal(r.n_fault[BENCH_TIMEOUT], 1);
    assert_string_equal(r.first_why[BENCH_TIMEOUT], "late");
    assert_int_equal(r.n_length, 1);
    assert_int_equal(r.n_prompt, 300);
    assert_int_equal(r.n_output, 23);
    assert_int_equal(r.n_cached, 64);
    near(r.seconds, 2);
    near(r.requests_s, 1.5);
    near(r.output_s, 11.5);
    near(r.total_s, 161.5);
    near(r.ttft_sum.mean, 150);
    near(r.ttft_sum.p50, 100);
    near(r.ttft_sum.max, 300);
    assert_int_equal(r.tpot_sum.n, 2);
    near(r.tpot_sum.mean, 10);
    assert_int_equal(r.itl_sum.n, 15); /* 10 gaps of 10 ms and 5 of 20 */
    near(r.itl_sum.mean, 200.0 / 15);
    near(r.e2e_sum.max, 400);
    near(r.lag_sum.max, 2);
    assert_int_equal(r.n_good, 2); /* the second is too late with its first token */
    near(r.good_s, 1);
    near(r.steady_seconds, 0);
    double tokens = 0; /* the bins lose none */
    for (uint32_t i = 0; i < r.n_bins; i++)
        tokens += r.bin[i] * r.bin_s;
    near(tokens, 23);
    bench_result_fini(&r);
    bench_run_fini(&run);
}

static void the_steady_window_weighs_chunks_with_their_tokens(void **state) {
    (void)state;
    bench_run run = make_run();
    run.full_from_ns = 150000000; /* 150..842 ms: 5 chunks of the first, 3 of the second */
    run.full_to_ns = 842000000;
    const bench_slo none = {0};
    bench_result r;
    assert_int_equal(bench_result_make(&run, &none, &r, NULL), PGD_OK);
    near(r.steady_seconds, 0.692);
    near(r.steady_output, 5 + 3 * 11.0 / 6);
    assert_false(r.has_slo);
    bench_result_fini(&r);
    bench_run_fini(&run);
}

static void a_run_in_which_all_failed_has_no_latencies(void **state) {
    (void)state;
    bench_run run = make_run();
    for (int i = 0; i < 4; i++)
        run.rec[i]->fault = BENCH_CONNECT;
    const bench_slo none = {0};
    bench_result r;
    assert_int_equal(bench_result_make(&run, &none, &r, NULL), PGD_OK);
    assert_int_equal(r.n_ok, 0);
    assert_int_equal(r.ttft_sum.n, 0);
    pgd_buf text = {0}, svg = {0};
    bench_result_put_text(&r, &run, &text);
    assert_non_null(strstr(text.p, "4 failed"));
    bench_result_put_svg(&r, "nothing", &svg); /* draws empty axes */
    assert_non_null(strstr(svg.p, "</svg>"));
    pgd_buf_fini(&text);
    pgd_buf_fini(&svg);
    bench_result_fini(&r);
    bench_run_fini(&run);
}

static void the_json_holds_one_cell_a_request(void **state) {
    (void)state;
    bench_run run = make_run();
    bench_slo slo;
    assert_int_equal(bench_slo_parse("ttft:200", &slo, NULL), PGD_OK);
    bench_result r;
    assert_int_equal(bench_result_make(&run, &slo, &r, NULL), PGD_OK);
    pgd_buf text = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &text);
    pgd_jsonw_obj(&w);
    bench_result_put_json(&r, &slo, &w);
    bench_result_put_requests(&run, &w);
    pgd_jsonw_end_obj(&w);
    pgd_json_doc *doc = NULL;
    assert_int_equal(pgd_json_parse(pgd_buf_sv(&text), &pgd_json_limits_file, &doc, NULL), PGD_OK);
    const pgd_json *columns = pgd_json_get(pgd_json_root(doc), "per_request");
    assert_int_equal(pgd_json_count(columns), 9);
    for (const pgd_json *c = pgd_json_first(columns); c != NULL; c = pgd_json_next(c))
        assert_int_equal(pgd_json_count(c), 4);
    const pgd_json *result = pgd_json_get(pgd_json_root(doc), "result");
    int64_t n = 0;
    assert_true(pgd_json_as_i64(pgd_json_get(pgd_json_get(result, "goodput"), "n"), &n));
    assert_int_equal(n, 2);
    const pgd_json *timeout = pgd_json_get(pgd_json_get(result, "errors"), "timeout");
    assert_true(pgd_json_as_i64(pgd_json_get(timeout, "n"), &n) && n == 1);
    pgd_json_free(&doc);
    pgd_buf_fini(&text);
    bench_result_fini(&r);
    bench_run_fini(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_worked_out_by_hand),
        cmocka_unit_test(the_steady_window_weighs_chunks_with_their_tokens),
        cmocka_unit_test(a_run_in_which_all_failed_has_no_latencies),
        cmocka_unit_test(the_json_holds_one_cell_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
