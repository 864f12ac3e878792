/* exp and log of the CPU backend against libm in double: error in units of the last place over a
 * dense sweep, and the edges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "device/cpu/cpu_math.h"
#include "device/cpu/sample.h"

/* Distance of got from want in units of want's last place. */
static double ulps(float got, double want) {
    int e;
    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1.0, e - 24);
}

static void exp_is_within_2_ulp(void **state) {
    (void)state;
    double worst = 0.0;
    for (float x = -87.0F; x < 88.0F; x += 0.00037F)
        worst = fmax(worst, ulps(pgd_cpu_exp(x), exp((double)x)));
    print_message("exp: at most %.2f ulp\n", worst);
    assert_true(worst <= 2.0);
}

static void log_is_within_2_ulp(void **state) {
    (void)state;
    double worst = 0.0;
    for (uint32_t bits = 0x00800000U; bits < 0x7f800000U; bits += 977) {
        const float x = pgd_cpu_float_of(bits);
        worst = fmax(worst, ulps(pgd_cpu_log(x), log((double)x)));
    }
    print_message("log: at most %.2f ulp\n", worst);
    assert_true(worst <= 2.0);
}

static void the_edges_of_exp_are_zero_infinity_free_and_nan(void **state) {
    (void)state;
    assert_true(pgd_cpu_exp(0.0F) == 1.0F);
    assert_true(pgd_cpu_exp(-INFINITY) == 0.0F);
    assert_true(pgd_cpu_exp(-88.0F) == 0.0F);
    assert_true(isfinite(pgd_cpu_exp(INFINITY)));
    assert_true(isnan(pgd_cpu_exp(NAN)));
    assert_true(pgd_cpu_log(1.0F) == 0.0F);
}

static void keys_keep_the_order_of_floats(void **state) {
    (void)state;
    static const float up[] = {-INFINITY, -3.5F, -1e-30F, -0.0F, 0.0F, 1e-40F, 2.0F, INFINITY};
    for (size_t i = 0; i + 1 < sizeof up / sizeof *up; i++)
        assert_true(pgd_cpu_key(up[i]) < pgd_cpu_key(up[i + 1]));
}

static void mass_counts_in_units_of_2_to_minus_30(void **state) {
    (void)state;
    assert_int_equal(pgd_cpu_mass_of(3.0F, 3.0F), 1U << 30);
    assert_int_equal(pgd_cpu_mass_of(-INFINITY, 3.0F), 0);
    for (float d = 0.0F; d < 25.0F; d += 0.013F) {
        const double want = exp(-(double)d) * 0x1p30;
        assert_true(fabs(pgd_cpu_mass_of(-d, 0.0F) - want) <= 0.5 + want * 0x1p-22);
    }
}

static void no_noise_exceeds_the_stated_bound(void **state) {
    (void)state;
    const float largest = 1.0F - 0x1p-24F;
    assert_true(-pgd_cpu_log(-pgd_cpu_log(largest)) < PGD_CPU_GUMBEL_MAX);
    assert_true(isfinite(-pgd_cpu_log(-pgd_cpu_log(0x1p-24F))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_2_ulp),
        cmocka_unit_test(log_is_within_2_ulp),
        cmocka_unit_test(the_edges_of_exp_are_zero_infinity_free_and_nan),
        cmocka_unit_test(keys_keep_the_order_of_floats),
        cmocka_unit_test(mass_counts_in_units_of_2_to_minus_30),
        cmocka_unit_test(no_noise_exceeds_the_stated_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
