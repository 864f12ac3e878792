/* Page pool: states, fences and counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pagoda/kv.h"

static pgd_page_pool *make(uint32_t n) {
    pgd_page_pool *p = NULL;
    assert_int_equal(pgd_page_pool_create(&p, n, NULL), PGD_OK);
    return p;
}

static void expect(const pgd_page_pool *p, uint32_t free, uint32_t cached, uint32_t held,
                   uint32_t retiring) {
    pgd_page_pool_counts c;
    pgd_error err = {0};
    pgd_page_pool_get_counts(p, &c);
    assert_int_equal(c.free, free);
    assert_int_equal(c.cached, cached);
    assert_int_equal(c.held, held);
    assert_int_equal(c.retiring, retiring);
    if (pgd_page_pool_check(p, NULL, &err) != PGD_OK) fail_msg("%s", err.msg);
}

static void pages_come_in_order_until_none_is_free(void **state) {
    (void)state;
    pgd_page_pool *p = make(3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(pgd_page_pool_alloc(p), i);
    assert_int_equal(pgd_page_pool_alloc(p), PGD_NO_PAGE);
    expect(p, 0, 0, 3, 0);
    pgd_page_pool_destroy(&p);
    assert_null(p);
}

static void a_page_retires_until_its_step_has_passed(void **state) {
    (void)state;
    pgd_page_pool *p = make(2);
    const uint32_t a = pgd_page_pool_alloc(p), b = pgd_page_pool_alloc(p);
    pgd_page_pool_retire(p, a, 5);
    pgd_page_pool_retire(p, b, 6);
    expect(p, 0, 0, 0, 2);
    pgd_page_pool_pass(p, 4);
    assert_int_equal(pgd_page_pool_alloc(p), PGD_NO_PAGE);
    pgd_page_pool_pass(p, 5);
    expect(p, 1, 0, 0, 1);
    assert_int_equal(pgd_page_pool_alloc(p), a);
    pgd_page_pool_pass(p, 9);
    expect(p, 1, 0, 1, 0);
    pgd_page_pool_retire(p, a, 9); /* passed already: free at once */
    expect(p, 2, 0, 0, 0);
    pgd_page_pool_destroy(&p);
}

static void a_shared_page_is_freed_by_its_last_holder(void **state) {
    (void)state;
    pgd_page_pool *p = make(1);
    const uint32_t a = pgd_page_pool_alloc(p);
    pgd_page_pool_ref(p, a);
    pgd_page_pool_retire(p, a, 0);
    expect(p, 0, 0, 1, 0);
    pgd_page_pool_retire(p, a, 0);
    expect(p, 1, 0, 0, 0);
    pgd_page_pool_destroy(&p);
}

static void a_page_of_the_tree_is_cached_without_holders_and_free_when_dropped(void **state) {
    (void)state;
    pgd_page_pool *p = make(2);
    const uint32_t a = pgd_page_pool_alloc(p), b = pgd_page_pool_alloc(p);
    pgd_page_pool_cache(p, a);
    pgd_page_pool_cache(p, b);
    pgd_page_pool_retire(p, a, 0);
    expect(p, 0, 1, 1, 0);
    pgd_page_pool_uncache(p, b); /* still held */
    expect(p, 0, 1, 1, 0);
    pgd_page_pool_ref(p, a);
    expect(p, 0, 0, 2, 0);
    pgd_page_pool_retire(p, a, 0);
    pgd_page_pool_uncache(p, a);
    expect(p, 1, 0, 1, 0);
    pgd_page_pool_destroy(&p);
}

static void the_check_compares_holders(void **state) {
    (void)state;
    pgd_page_pool *p = make(2);
    pgd_error err = {0};
    uint32_t holders[2] = {1, 0};
    assert_int_equal(pgd_page_pool_alloc(p), 0);
    assert_int_equal(pgd_page_pool_check(p, holders, &err), PGD_OK);
    holders[1] = 1;
    assert_int_equal(pgd_page_pool_check(p, holders, &err), PGD_E_INTERNAL);
    pgd_page_pool_destroy(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_come_in_order_until_none_is_free),
        cmocka_unit_test(a_page_retires_until_its_step_has_passed),
        cmocka_unit_test(a_shared_page_is_freed_by_its_last_holder),
        cmocka_unit_test(a_page_of_the_tree_is_cached_without_holders_and_free_when_dropped),
        cmocka_unit_test(the_check_compares_holders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
