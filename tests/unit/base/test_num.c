/* Tests of num.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "pagoda/rng.h"

static void known_values_have_their_shortest_text(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0.0"},
                 {-0.0, "-0.0"},
                 {1, "1.0"},
                 {0.1, "0.1"},
                 {100, "100.0"},
                 {1.5, "1.5"},
                 {1e300, "1e+300"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {5e-324, "4.94065645841247e-324"},
                 {9007199254740993.0, "9007199254740992.0"}};
    char out[NUM_TEXT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const unsigned n = num_format_f64(out, cases[i].v);
        assert_string_equal(out, cases[i].text);
        assert_int_equal(n, strlen(cases[i].text));
    }
    (void)num_format_f32(out, 0.1f);
    assert_string_equal(out, "0.1");
    (void)num_format_f32(out, -1.3862944f);
    assert_string_equal(out, "-1.3862944");
}

static void random_values_read_back_exactly(void **state) {
    (void)state;
    uint64_t seed = 20240601;
    print_message("seed %llu\n", (unsigned long long)seed);
    char out[NUM_TEXT_BYTES];
    for (int i = 0; i < 200000; i++) {
        const uint64_t bits = pgd_rng_next(&seed);
        double d;
        memcpy(&d, &bits, sizeof d);
        if (isfinite(d)) {
            assert_true(num_format_f64(out, d) < NUM_TEXT_BYTES);
            assert_true(strtod(out, NULL) == d);
        }
        float f;
        memcpy(&f, &bits, sizeof f);
        if (isfinite(f)) {
            (void)num_format_f32(out, f);
            assert_true(strtof(out, NULL) == f);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values_have_their_shortest_text),
        cmocka_unit_test(random_values_read_back_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
