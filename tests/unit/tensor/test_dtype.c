/* Conversions between element types, against the definition: exhaustive over the 16-bit types, and
 * over rounding edges of the narrowing ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/rng.h"
#include "pagoda/tensor.h"

/* Value of a half by its definition. */
static double half_value(uint16_t h) {
    const double sign = h & 0x8000 ? -1.0 : 1.0;
    const int e = (h >> 10) & 31, m = h & 1023;
    if (e == 31) return m ? (double)NAN : sign * (double)INFINITY;
    return sign * (e ? ldexp(1024 + m, e - 25) : ldexp(m, -24));
}

static void every_half_widens_to_its_value(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const double want = half_value((uint16_t)h);
        const double got = (double)pgd_f16_to_f32((uint16_t)h);
        if (isnan(want))
            assert_true(isnan(got));
        else
            assert_true(got == want && signbit(got) == signbit(want));
    }
}

static void every_16_bit_value_survives_the_round_trip(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = pgd_f16_to_f32((uint16_t)h), b = pgd_bf16_to_f32((uint16_t)h);
        if (!isnan(f))
            assert_int_equal(pgd_f32_to_f16(f), h);
        else
            assert_true(isnan(pgd_f16_to_f32(pgd_f32_to_f16(f))));
        if (!isnan(b))
            assert_int_equal(pgd_f32_to_bf16(b), h);
        else
            assert_true(isnan(pgd_bf16_to_f32(pgd_f32_to_bf16(b))));
    }
}

/* Between two neighbours the nearer one wins, in the middle the even one. */
static void halves_between_neighbours_round_to_nearest_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float lo = pgd_f16_to_f32((uint16_t)h), hi = pgd_f16_to_f32((uint16_t)(h + 1));
        const float mid = (lo + hi) / 2;
        assert_int_equal(pgd_f32_to_f16(mid), h % 2 ? h + 1 : h);
        assert_int_equal(pgd_f32_to_f16(nextafterf(mid, 0.0F)), h);
        assert_int_equal(pgd_f32_to_f16(nextafterf(mid, INFINITY)), h + 1);
        assert_int_equal(pgd_f32_to_f16(-mid), (h % 2 ? h + 1 : h) | 0x8000);
    }
}

static void bf16_between_neighbours_rounds_to_nearest_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7f7f; h++) {
        const float lo = pgd_bf16_to_f32((uint16_t)h), hi = pgd_bf16_to_f32((uint16_t)(h + 1));
        const float mid = (float)(((double)lo + (double)hi) / 2);
        assert_int_equal(pgd_f32_to_bf16(mid), h % 2 ? h + 1 : h);
        assert_int_equal(pgd_f32_to_bf16(nextafterf(mid, 0.0F)), h);
        assert_int_equal(pgd_f32_to_bf16(nextafterf(mid, INFINITY)), h + 1);
    }
}

static void overflow_becomes_infinity(void **state) {
    (void)state;
    assert_int_equal(pgd_f32_to_f16(65519.0F), 0x7bff);
    assert_int_equal(pgd_f32_to_f16(65520.0F), 0x7c00);
    assert_int_equal(pgd_f32_to_f16(-1e30F), 0xfc00);
    assert_int_equal(pgd_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(pgd_f32_to_bf16(3.4028235e38F), 0x7f80);
    assert_int_equal(pgd_f32_to_bf16(-INFINITY), 0xff80);
}

static void bulk_conversion_equals_the_single_one(void **state) {
    (void)state;
    enum { N = 1000 };
    float f[N], back[N];
    uint16_t h[N], b[N];
    uint64_t rng = 7;
    for (size_t i = 0; i < N; i++)
        f[i] = (float)((double)(int64_t)pgd_rng_next(&rng) * 0x1p-50);
    pgd_convert(h, PGD_F16, f, PGD_F32, N);
    pgd_convert(b, PGD_BF16, h, PGD_F16, N);
    pgd_convert(back, PGD_F32, b, PGD_BF16, N);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(h[i], pgd_f32_to_f16(f[i]));
        assert_int_equal(b[i], pgd_f32_to_bf16(pgd_f16_to_f32(h[i])));
        assert_true(back[i] == pgd_bf16_to_f32(b[i]));
    }
    pgd_convert(back, PGD_F32, f, PGD_F32, N);
    assert_memory_equal(back, f, sizeof f);
}

static void bytes_of_a_tensor_are_checked_for_overflow(void **state) {
    (void)state;
    size_t bytes = 1;
    pgd_tensor t = pgd_tensor_2d(NULL, PGD_BF16, 3, 5);
    assert_int_equal(pgd_tensor_bytes(&t, &bytes), PGD_OK);
    assert_int_equal(bytes, 30);
    t = pgd_tensor_1d(NULL, PGD_U8, 0);
    assert_int_equal(pgd_tensor_bytes(&t, &bytes), PGD_OK);
    assert_int_equal(bytes, 0);
    t = pgd_tensor_2d(NULL, PGD_F32, (uint64_t)1 << 33, (uint64_t)1 << 30);
    assert_int_equal(pgd_tensor_bytes(&t, &bytes), PGD_E_LIMIT);
}

static void types_have_names_and_sizes(void **state) {
    (void)state;
    assert_string_equal(pgd_dtype_name(PGD_BF16), "bf16");
    assert_string_equal(pgd_dtype_name(PGD_DTYPE_N), "?");
    assert_int_equal(pgd_dtype_bytes(PGD_F32), 4);
    assert_int_equal(pgd_dtype_bytes(PGD_F16), 2);
    assert_int_equal(pgd_dtype_bytes(PGD_U8), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_widens_to_its_value),
        cmocka_unit_test(every_16_bit_value_survives_the_round_trip),
        cmocka_unit_test(halves_between_neighbours_round_to_nearest_even),
        cmocka_unit_test(bf16_between_neighbours_rounds_to_nearest_even),
        cmocka_unit_test(overflow_becomes_infinity),
        cmocka_unit_test(bulk_conversion_equals_the_single_one),
        cmocka_unit_test(bytes_of_a_tensor_are_checked_for_overflow),
        cmocka_unit_test(types_have_names_and_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
