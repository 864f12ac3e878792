/* The report of doctor and the memory plan in it: what is shown of given findings and numbers. The
 * checks themselves are serve's and are tested where they live; tests/e2e/test_doctor.py runs the
 * command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/doctor_report.h"
#include "app/memory_plan.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"

static pgd_exec_info gpu_info(void) {
    return (pgd_exec_info){.limits = {.n_pages = 1000,
                                      .page_tokens = 64,
                                      .max_pages_per_seq = 128,
                                      .max_seqs = 256,
                                      .max_tokens = 8192},
                           .max_model_len = 8192,
                           .steps_in_flight = 2,
                           .weight_bytes = 15ULL << 30,
                           .kv_bytes = 1000ULL * (8 << 20),
                           .workspace_bytes = 300ULL << 20,
                           .staging_bytes = 5ULL << 19,
                           .graph_bytes = 512,
                           .mem_total = 140ULL << 30,
                           .mem_free = 139ULL << 30,
                           .device_name = "cuda made of paper"};
}

static void a_plan_is_one_line_with_every_part(void **state) {
    (void)state;
    const pgd_exec_info i = gpu_info();
    pgd_buf out = {0};
    pgd_memory_plan_put(&i, true, &out);
    assert_string_equal(out.p,
                        "weights 15.00 GiB, KV 7.81 GiB (1000 blocks of 64 tokens, 8.0 MiB each), "
                        "work space 300.0 MiB, graphs 0.5 KiB, staging 2.5 MiB on the host; free "
                        "before loading 139.00 GiB of 140.00 GiB; context 8192 tokens, room for 7 "
                        "sequences of full length");
    pgd_buf_fini(&out);
}

static void a_plan_says_whether_graphs_are_known(void **state) {
    (void)state;
    pgd_exec_info i = gpu_info();
    pgd_buf out = {0};
    pgd_memory_plan_put(&i, false, &out);
    assert_non_null(strstr(out.p, ", graphs measured at start, staging"));
    pgd_buf_clear(&out);
    i.graph_bytes = 0;
    i.host_memory = true;
    i.limits.n_pages = 128;
    pgd_memory_plan_put(&i, true, &out);
    assert_non_null(strstr(out.p, ", no graphs, staging 2.5 MiB;"));
    assert_non_null(strstr(out.p, "room for 1 sequence of full length"));
    pgd_buf_fini(&out);
}

/* The simulator has no memory, and an empty info must not divide by its zeros. */
static void a_device_without_memory_has_a_plan_of_zeros(void **state) {
    (void)state;
    const pgd_exec_info none = {.device_name = "sim"};
    pgd_buf out = {0};
    pgd_memory_plan_put(&none, true, &out);
    assert_null(strstr(out.p, "free before loading"));
    assert_non_null(strstr(out.p, "room for 0 sequences"));
    pgd_buf_fini(&out);
}

static void a_report_lists_verdict_topic_and_what_to_do(void **state) {
    (void)state;
    pgd_report r = {0};
    pgd_buf out = {0};
    pgd_report_add(&r, PGD_VERDICT_OK, "memory", NULL, "%d GiB", 4);
    pgd_report_add(&r, PGD_VERDICT_NOTE, "open files", "raise it", "limit 64");
    pgd_report_text(&r, &out);
    assert_string_equal(out.p, "ok    memory         4 GiB\n"
                               "note  open files     limit 64\n"
                               "                     -> raise it\n"
                               "\nNothing stands in the way.\n");
    assert_int_equal(pgd_report_exit_code(&r), 0);
    pgd_report_add(&r, PGD_VERDICT_FAIL, "server", NULL, "in use");
    pgd_buf_clear(&out);
    pgd_report_text(&r, &out);
    assert_non_null(strstr(out.p, "FAIL  server         in use\n\n1 of 3 checks failed.\n"));
    assert_int_equal(pgd_report_exit_code(&r), 1);
    pgd_buf_fini(&out);
    pgd_report_fini(&r);
}

static void whatever_a_file_holds_a_finding_is_one_line_of_valid_text(void **state) {
    (void)state;
    pgd_report r = {0};
    pgd_buf out = {0};
    pgd_json_doc *doc = NULL;
    pgd_sv text;
    char longer[4096];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    pgd_report_add(&r, PGD_VERDICT_FAIL, "model", NULL,
                   "a\nFAIL b\t\x1b[31m \xff\xc3\xa9 \xe2\x82");
    pgd_report_add(&r, PGD_VERDICT_OK, "long", NULL, "%s", longer);
    assert_string_equal(pgd_buf_sv(&r.finding[0].text).p, "a FAIL b  [31m ?\xc3\xa9 ??");
    assert_true(r.finding[1].text.n > 1000);
    pgd_report_json(&r, &out);
    assert_int_equal(pgd_json_parse(pgd_buf_sv(&out), &pgd_json_limits_file, &doc, NULL), PGD_OK);
    const pgd_json *first = pgd_json_first(pgd_json_get(pgd_json_root(doc), "checks"));
    assert_true(pgd_json_as_str(pgd_json_get(first, "text"), &text));
    assert_int_equal(text.n, r.finding[0].text.n);
    pgd_json_free(&doc);
    pgd_buf_fini(&out);
    pgd_report_fini(&r);
}

static uint64_t number(const pgd_json *object, const char *key) {
    double v = -1;
    assert_true(pgd_json_as_f64(pgd_json_get(object, key), &v));
    return (uint64_t)v;
}

static void json_holds_the_checks_and_the_plan_in_bytes(void **state) {
    (void)state;
    pgd_report r = {.has_plan = true, .plan = gpu_info()};
    pgd_buf out = {0};
    pgd_json_doc *doc = NULL;
    pgd_sv text;
    pgd_report_add(&r, PGD_VERDICT_FAIL, "server", "another --port", "in use");
    pgd_report_json(&r, &out);
    assert_int_equal(pgd_json_parse(pgd_buf_sv(&out), &pgd_json_limits_file, &doc, NULL), PGD_OK);
    const pgd_json *root = pgd_json_root(doc), *plan = pgd_json_get(root, "memory_plan");
    const pgd_json *check = pgd_json_first(pgd_json_get(root, "checks"));
    assert_true(pgd_json_as_str(pgd_json_get(check, "verdict"), &text));
    assert_true(pgd_sv_eq(text, PGD_SV("fail")));
    assert_true(pgd_json_as_str(pgd_json_get(check, "advice"), &text));
    assert_true(pgd_sv_eq(text, PGD_SV("another --port")));
    assert_null(pgd_json_next(check));
    assert_int_equal(number(plan, "weight_bytes"), 15ULL << 30);
    assert_int_equal(number(plan, "kv_blocks"), 1000);
    assert_int_equal(number(plan, "full_length_sequences"), 7);
    assert_int_equal(number(plan, "device_bytes_free_before"), 139ULL << 30);
    pgd_json_free(&doc);
    pgd_buf_fini(&out);
    pgd_report_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_one_line_with_every_part),
        cmocka_unit_test(a_plan_says_whether_graphs_are_known),
        cmocka_unit_test(a_device_without_memory_has_a_plan_of_zeros),
        cmocka_unit_test(a_report_lists_verdict_topic_and_what_to_do),
        cmocka_unit_test(whatever_a_file_holds_a_finding_is_one_line_of_valid_text),
        cmocka_unit_test(json_holds_the_checks_and_the_plan_in_bytes),
    };
    return cmocka_run_group_tests_name("app_doctor", tests, NULL, NULL);
}
