/* KV layout: sizes by hand, and the values it must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pagoda/kv.h"

static void a_page_holds_k_and_v_of_all_layers(void **state) {
    (void)state;
    pgd_kv_layout l = {32, 8, 128, 2, 16, 0}; /* Llama-3.1-8B in bf16: 128 KiB a token */
    assert_int_equal(pgd_kv_layout_init(&l, NULL), PGD_OK);
    assert_int_equal(l.page_bytes, 16 * 128 * 1024);
    assert_int_equal(pgd_kv_layout_pages(&l, (uint64_t)4 << 30), 2048);
    assert_int_equal(pgd_kv_layout_pages(&l, l.page_bytes - 1), 0);
}

static void wrong_sizes_are_refused(void **state) {
    (void)state;
    const pgd_kv_layout bad[] = {{32, 8, 128, 2, 15, 0},
                                 {32, 8, 128, 2, 8, 0},
                                 {32, 8, 128, 2, 512, 0},
                                 {0, 8, 128, 2, 16, 0},
                                 {UINT32_MAX, UINT32_MAX, UINT32_MAX, 4, 16, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pgd_kv_layout l = bad[i];
        pgd_error err = {0};
        assert_int_equal(pgd_kv_layout_init(&l, &err), PGD_E_INVALID);
        assert_true(err.msg[0] != 0);
    }
}

static void the_default_is_a_quarter_of_free_memory_at_most_4_gib(void **state) {
    (void)state;
    assert_int_equal(pgd_kv_default_bytes((uint64_t)8 << 30), (uint64_t)2 << 30);
    assert_int_equal(pgd_kv_default_bytes((uint64_t)64 << 30), (uint64_t)4 << 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_holds_k_and_v_of_all_layers),
        cmocka_unit_test(wrong_sizes_are_refused),
        cmocka_unit_test(the_default_is_a_quarter_of_free_memory_at_most_4_gib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
