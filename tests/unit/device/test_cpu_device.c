/* Plumbing of the CPU device: opening at every level, packing and its errors, KV page sizes, dummy
 * weights that do not depend on threads, and failing allocations. The ops themselves are held to
 * float64 by tests/ops/checkops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/device.h"
#include "pagoda/mem.h"

static pgd_device *open_cpu(uint32_t n_threads, int32_t isa) {
    pgd_device *d = NULL;
    pgd_error err = {0};
    const pgd_cpu_options opt = {.n_threads = n_threads, .isa = isa};
    assert_int_equal(pgd_device_open_cpu(&opt, &d, &err), PGD_OK);
    return d;
}

static void every_level_up_to_the_best_opens_with_all_ops(void **state) {
    (void)state;
    for (int32_t isa = -1; isa <= (int32_t)pgd_cpu_detect(); isa++) {
        pgd_device *d = open_cpu(2, isa);
        for (int op = 0; op < PGD_OP_N; op++)
            assert_non_null(d->op[op]);
        assert_non_null(strstr(d->info.name, "2 threads"));
        assert_int_equal(pgd_pool_threads(pgd_device_cpu_pool(d)), 2);
        assert_null(d->fatal(d));
        d->close(d);
    }
}

static void a_level_the_processor_lacks_is_refused_by_name(void **state) {
    (void)state;
    pgd_device *d = NULL;
    pgd_error err = {0};
    pgd_cpu_options opt = {.n_threads = 1, .isa = PGD_ISA_N};
    assert_int_equal(pgd_device_open_cpu(&opt, &d, &err), PGD_E_INVALID);
    if (pgd_cpu_detect() == PGD_ISA_AVX512BF16) return;
    opt.isa = PGD_ISA_AVX512BF16;
    err = (pgd_error){0};
    assert_int_equal(pgd_device_open_cpu(&opt, &d, &err), PGD_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "avx512bf16"));
}

static void memory_is_zeroed_and_aligned(void **state) {
    (void)state;
    pgd_device *d = open_cpu(1, 0);
    const uint64_t bytes = 3 << 20;
    unsigned char *p = d->alloc(d, bytes);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (uint64_t i = 0; i < bytes; i++)
        if (p[i]) fail_msg("byte %llu is not zero", (unsigned long long)i);
    assert_int_equal(d->upload(d, p, "abc", 3), PGD_OK);
    char back[3];
    assert_int_equal(d->download(d, back, p, 3), PGD_OK);
    assert_memory_equal(back, "abc", 3);
    d->free(d, p, bytes);
    d->close(d);
}

static void kv_pages_have_a_size_only_for_shapes_that_work(void **state) {
    (void)state;
    pgd_device *d = open_cpu(1, 0);
    assert_int_equal(d->kv_page_bytes(d, 2, 64, 16, PGD_BF16), 2 * 2 * 16 * 64 * 2);
    assert_int_equal(d->kv_page_bytes(d, 1, 80, 256, PGD_F32), 2 * 256 * 80 * 4);
    assert_int_equal(d->kv_page_bytes(d, 1, 72, 16, PGD_F16), 2 * 16 * 80 * 2);
    assert_int_equal(d->kv_page_bytes(d, 1, 64, 24, PGD_BF16), 0);
    assert_int_equal(d->kv_page_bytes(d, 1, 64, 8, PGD_BF16), 0);
    assert_int_equal(d->kv_page_bytes(d, 1, 513, 16, PGD_BF16), 0);
    assert_int_equal(d->kv_page_bytes(d, 1, 64, 16, PGD_I32), 0);
    d->close(d);
}

static void linear_supports_the_pairs_of_its_contract(void **state) {
    (void)state;
    pgd_device *d = open_cpu(1, 0);
    assert_true(d->supports_linear(d, PGD_BF16, PGD_BF16));
    assert_true(d->supports_linear(d, PGD_F32, PGD_F16));
    assert_true(d->supports_linear(d, PGD_F32, PGD_F32));
    assert_false(d->supports_linear(d, PGD_F32, PGD_BF16));
    assert_false(d->supports_linear(d, PGD_BF16, PGD_F32));
    assert_false(d->supports_linear(d, PGD_F32, PGD_U8));
    d->close(d);
}

static void dummy_weights_are_the_same_on_any_threads_and_differ_by_seed(void **state) {
    (void)state;
    pgd_device *one = open_cpu(1, 0), *two = open_cpu(2, 0);
    pgd_error err = {0};
    const pgd_tensor part = pgd_tensor_2d(NULL, PGD_BF16, 100, 37);
    pgd_weight a, b, c;
    assert_int_equal(one->pack_linear(one, &part, 1, 1, PGD_BF16, 5, &a, &err), PGD_OK);
    assert_int_equal(two->pack_linear(two, &part, 1, 1, PGD_BF16, 5, &b, &err), PGD_OK);
    assert_int_equal(two->pack_linear(two, &part, 1, 1, PGD_BF16, 6, &c, &err), PGD_OK);
    assert_int_equal(a.bytes, b.bytes);
    assert_memory_equal(a.data, b.data, a.bytes);
    assert_memory_not_equal(b.data, c.data, b.bytes);
    double sum = 0.0, squares = 0.0;
    const uint16_t *v = a.data;
    for (size_t i = 0; i < a.bytes / 2; i++) {
        const double x = (double)pgd_bf16_to_f32(v[i]);
        assert_true(fabs(x) <= 1.01 * sqrt(3.0 / 37.0));
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(sum / 3700.0) < 0.02);
    assert_true(fabs(squares / 3700.0 * 37.0 - 1.0) < 0.1); /* variance 1 / k */
    one->free_weight(one, &a);
    two->free_weight(two, &b);
    two->free_weight(two, &c);
    assert_null(c.data);
    one->close(one);
    two->close(two);
}

static void packing_refuses_what_does_not_fit_together(void **state) {
    (void)state;
    pgd_device *d = open_cpu(1, 0);
    float m[12] = {0};
    pgd_weight w;
    pgd_error err = {0};
    pgd_tensor parts[2] = {pgd_tensor_2d(m, PGD_F32, 2, 3), pgd_tensor_2d(m, PGD_F32, 2, 2)};
    assert_int_equal(d->pack_linear(d, parts, 2, 1, PGD_F32, 0, &w, &err), PGD_E_INVALID);
    assert_non_null(strstr(err.msg, "part 1"));
    parts[1] = pgd_tensor_2d(m, PGD_F32, 1, 3);
    err = (pgd_error){0};
    assert_int_equal(d->pack_linear(d, parts, 2, 2, PGD_F32, 0, &w, &err), PGD_E_INVALID);
    err = (pgd_error){0};
    assert_int_equal(d->pack_linear(d, parts, 1, 1, PGD_U8, 0, &w, &err), PGD_E_UNSUPPORTED);
    err = (pgd_error){0};
    parts[0].dtype = PGD_I32;
    assert_int_equal(d->pack_linear(d, parts, 1, 1, PGD_F32, 0, &w, &err), PGD_E_UNSUPPORTED);
    err = (pgd_error){0};
    parts[0] = pgd_tensor_2d(NULL, PGD_F32, UINT32_MAX, 3);
    assert_int_equal(d->pack_linear(d, parts, 1, 1, PGD_F32, 0, &w, &err), PGD_E_LIMIT);
    d->close(d);
}

/* Fail the n-th allocation for n = 0, 1, ... until opening and packing go through. */
static void a_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    const pgd_cpu_options opt = {.n_threads = 2, .isa = 0};
    const pgd_tensor part = pgd_tensor_2d(NULL, PGD_F32, 20, 4000);
    bool failed = true;
    for (int64_t n = 0; failed && n < 100; n++) {
        pgd_device *d = NULL;
        pgd_error err = {0};
        pgd_weight w;
        pgd_mem_fail_after(n);
        const pgd_status opened = pgd_device_open_cpu(&opt, &d, &err);
        if (opened == PGD_OK) {
            const pgd_status st = d->pack_linear(d, &part, 1, 1, PGD_F32, 0, &w, &err);
            failed = pgd_mem_fail_after(-1);
            assert_int_equal(st, failed ? PGD_E_NOMEM : PGD_OK);
            if (st == PGD_OK) d->free_weight(d, &w);
            d->close(d);
        } else {
            failed = pgd_mem_fail_after(-1);
            assert_true(failed);
            assert_int_equal(opened, PGD_E_NOMEM);
        }
    }
    assert_false(failed);
}

/* The step path allocates nothing: the guard aborts on any allocation of this thread. */
static void running_an_op_allocates_nothing(void **state) {
    (void)state;
    pgd_device *d = open_cpu(2, -1);
    pgd_error err = {0};
    const pgd_tensor part = pgd_tensor_2d(NULL, PGD_BF16, 70, 300);
    pgd_weight w;
    assert_int_equal(d->pack_linear(d, &part, 1, 1, PGD_BF16, 1, &w, &err), PGD_OK);
    static uint16_t x[100 * 300];
    static float y[100 * 70];
    const pgd_linear_args a = {.x = pgd_tensor_2d(x, PGD_BF16, 100, 300),
                               .y = pgd_tensor_2d(y, PGD_F32, 100, 70),
                               .w = &w};
    for (size_t i = 0; i < 100 * 300; i++)
        x[i] = 0x3f80;
    const pgd_step_view step = {.n_tok = 100, .page_tokens = 16};
    pgd_noalloc_begin();
    const pgd_status st = d->op[PGD_OP_LINEAR](d, &a, &step);
    pgd_noalloc_end();
    assert_int_equal(st, PGD_OK);
    assert_memory_equal(y, y + 99 * 70, 70 * sizeof *y);
    d->free_weight(d, &w);
    d->close(d);
}

static void ops_have_names(void **state) {
    (void)state;
    assert_string_equal(pgd_op_name(PGD_OP_LINEAR), "linear");
    assert_string_equal(pgd_op_name(PGD_OP_SLOTS_APPLY), "slots_apply");
    assert_string_equal(pgd_op_name(PGD_OP_N), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_up_to_the_best_opens_with_all_ops),
        cmocka_unit_test(a_level_the_processor_lacks_is_refused_by_name),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(kv_pages_have_a_size_only_for_shapes_that_work),
        cmocka_unit_test(linear_supports_the_pairs_of_its_contract),
        cmocka_unit_test(dummy_weights_are_the_same_on_any_threads_and_differ_by_seed),
        cmocka_unit_test(packing_refuses_what_does_not_fit_together),
        cmocka_unit_test(a_failed_allocation_is_an_error_and_leaks_nothing),
        cmocka_unit_test(running_an_op_allocates_nothing),
        cmocka_unit_test(ops_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
