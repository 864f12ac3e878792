/* Tests of rng.c: the known answers of the Random123 distribution (kat_vectors, philox4x32 10), and
 * what the draws built on them promise. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>

#include "pagoda/rng.h"

static void philox_gives_the_published_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } cases[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                 {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                  {0xffffffff, 0xffffffff},
                  {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
                 {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                  {0xa4093822, 0x299f31d0},
                  {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        pgd_philox4x32(cases[i].key, cases[i].ctr, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void a_draw_depends_on_each_of_its_arguments(void **state) {
    (void)state;
    const float u = pgd_rng_uniform(1, 2, 3, 4, 5);
    assert_true(u == pgd_rng_uniform(1, 2, 3, 4, 5));
    assert_true(u != pgd_rng_uniform(2, 2, 3, 4, 5));
    assert_true(u != pgd_rng_uniform(1 + (1ull << 32), 2, 3, 4, 5));
    assert_true(u != pgd_rng_uniform(1, 3, 3, 4, 5));
    assert_true(u != pgd_rng_uniform(1, 2, 4, 4, 5));
    assert_true(u != pgd_rng_uniform(1, 2, 3, 5, 5));
    assert_true(u != pgd_rng_uniform(1, 2, 3, 4, 6)); /* of the same block */
    assert_true(u != pgd_rng_uniform(1, 2, 3, 4, 9)); /* the same word of the next */
}

/* The upper 23 bits of a word, centred. */
static double centred(uint32_t word) {
    return ((double)(word >> 9) + 0.5) / 8388608.0;
}

/* Four lanes take the four words of one block, first of the published one for zeros, then of one
 * that tells the places of key and counter apart. */
static void the_layout_of_a_draw_is_fixed(void **state) {
    (void)state;
    static const uint32_t first[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    for (uint32_t lane = 0; lane < 4; lane++)
        assert_true((double)pgd_rng_uniform(0, 0, 0, 0, lane) == centred(first[lane]));
    const uint32_t key[2] = {0xa4093822, 0x299f31d0};
    const uint32_t ctr[4] = {0x043f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    uint32_t out[4];
    pgd_philox4x32(key, ctr, out);
    for (uint32_t word = 0; word < 4; word++)
        assert_true((double)pgd_rng_uniform(0x299f31d0a4093822u, ctr[2], ctr[1], ctr[3],
                                            4 * ctr[0] + word) == centred(out[word]));
}

static void draws_are_open_and_even(void **state) {
    (void)state;
    enum { N = 1 << 20, CELLS = 64 };
    const double each = (double)N / (double)CELLS;
    static uint32_t cells[CELLS];
    for (uint32_t i = 0; i < N; i++) {
        const float u = pgd_rng_uniform(99, 0, i, PGD_RNG_SAMPLE, 0);
        assert_true(u > 0 && u < 1);
        cells[(unsigned)(u * (float)CELLS)]++;
    }
    double chi2 = 0;
    for (int c = 0; c < CELLS; c++) {
        const double d = cells[c] - each;
        chi2 += d * d / each;
    }
    assert_true(chi2 < 120); /* 63 degrees of freedom: mean 63, deviation 11; fixed seed */
}

/* Reference values of Vigna's splitmix64.c from state 1234567. */
static void the_sequential_generator_is_splitmix64(void **state) {
    (void)state;
    uint64_t s = 1234567;
    assert_true(pgd_rng_next(&s) == 6457827717110365317u);
    assert_true(pgd_rng_next(&s) == 3203168211198807973u);
    assert_true(pgd_rng_next(&s) == 9817491932198370423u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_answers),
        cmocka_unit_test(a_draw_depends_on_each_of_its_arguments),
        cmocka_unit_test(the_layout_of_a_draw_is_fixed),
        cmocka_unit_test(draws_are_open_and_even),
        cmocka_unit_test(the_sequential_generator_is_splitmix64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
