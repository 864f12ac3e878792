/* Tests of clock.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include "pagoda/clock.h"

static void the_monotonic_clock_never_goes_back(void **state) {
    (void)state;
    const pgd_clock c = pgd_clock_monotonic();
    uint64_t last = pgd_clock_now(&c);
    assert_true(last > 0);
    for (int i = 0; i < 10000; i++) {
        const uint64_t now = pgd_clock_now(&c);
        assert_true(now >= last);
        last = now;
    }
}

static uint64_t scripted(void *ctx) {
    return ++*(uint64_t *)ctx;
}

static void any_function_can_be_a_clock(void **state) {
    (void)state;
    uint64_t t = 41;
    const pgd_clock c = {.now_ns = scripted, .ctx = &t};
    assert_int_equal(pgd_clock_now(&c), 42);
    assert_int_equal(pgd_clock_now(&c), 43);
}

static void wall_time_is_of_this_century(void **state) {
    (void)state;
    const uint64_t s = pgd_wall_ns() / 1000000000u;
    assert_in_range(s, 1700000000u, 4102444800u); /* 2023 to 2100 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
        cmocka_unit_test(any_function_can_be_a_clock),
        cmocka_unit_test(wall_time_is_of_this_century),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
