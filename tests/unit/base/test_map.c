/* Tests of map.c: against a plain array that says what must be in the map. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "pagoda/map.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

enum { KEYS = 3000 };

/* Keys that share low bits, as pointers and shifted ids do. */
static uint64_t key_of(size_t i) {
    return (uint64_t)i << 20;
}

static void random_operations_agree_with_an_array(void **state) {
    (void)state;
    static uint64_t want[KEYS];
    static bool present[KEYS];
    uint64_t seed = 7;
    print_message("seed %llu\n", (unsigned long long)seed);
    size_t count = 0;
    pgd_map64 *m = NULL;
    assert_int_equal(pgd_map64_create(&m, 0), PGD_OK);
    for (int step = 0; step < 300000; step++) {
        const uint64_t r = pgd_rng_next(&seed);
        const size_t i = (size_t)(r % KEYS);
        const bool grow = step / 50000 % 2 == 0; /* waves of mostly puts, then mostly deletes */
        if ((r >> 40 & 3) == 0 ? !grow : grow) {
            assert_int_equal(pgd_map64_put(m, key_of(i), r), PGD_OK);
            count += !present[i];
            present[i] = true;
            want[i] = r;
        } else {
            assert_int_equal(pgd_map64_del(m, key_of(i)), present[i]);
            count -= present[i];
            present[i] = false;
        }
        assert_int_equal(pgd_map64_count(m), count);
        const size_t k = (size_t)(r >> 20) % KEYS;
        uint64_t v = 0;
        assert_int_equal(pgd_map64_get(m, key_of(k), &v), present[k]);
        if (present[k]) assert_true(v == want[k]);
    }
    for (size_t i = 0; i < KEYS; i++) {
        uint64_t v = 0;
        assert_int_equal(pgd_map64_get(m, key_of(i), &v), present[i]);
        if (present[i]) assert_true(v == want[i]);
    }
    pgd_map64_destroy(&m);
    assert_null(m);
    pgd_map64_destroy(&m);
}

static void extreme_keys_are_keys_like_others(void **state) {
    (void)state;
    pgd_map64 *m = NULL;
    uint64_t v = 0;
    assert_int_equal(pgd_map64_create(&m, 4), PGD_OK);
    assert_false(pgd_map64_get(m, 0, &v));
    assert_int_equal(pgd_map64_put(m, 0, 1), PGD_OK);
    assert_int_equal(pgd_map64_put(m, UINT64_MAX, 2), PGD_OK);
    assert_int_equal(pgd_map64_put(m, 0, 3), PGD_OK);
    assert_true(pgd_map64_get(m, 0, &v));
    assert_int_equal(v, 3);
    assert_true(pgd_map64_get(m, UINT64_MAX, &v));
    assert_int_equal(v, 2);
    assert_int_equal(pgd_map64_count(m), 2);
    pgd_map64_destroy(&m);
}

static void a_hint_is_room_enough(void **state) {
    (void)state;
    for (size_t hint = 1; hint < 500; hint += 13) {
        pgd_map64 *m = NULL;
        assert_int_equal(pgd_map64_create(&m, hint), PGD_OK);
        (void)pgd_mem_fail_after(0); /* any growth would fail */
        for (size_t i = 0; i < hint; i++)
            assert_int_equal(pgd_map64_put(m, i, i), PGD_OK);
        assert_false(pgd_mem_fail_after(-1));
        pgd_map64_destroy(&m);
    }
    pgd_map64 *m = NULL;
    assert_int_equal(pgd_map64_create(&m, SIZE_MAX), PGD_E_NOMEM);
    pgd_strmap *s = NULL;
    assert_int_equal(pgd_strmap_create(&s, SIZE_MAX), PGD_E_NOMEM);
}

static void a_failed_growth_leaves_the_map_whole(void **state) {
    (void)state;
    pgd_map64 *m = NULL;
    uint64_t v = 0;
    assert_int_equal(pgd_map64_create(&m, 0), PGD_OK);
    uint64_t n = 0;
    (void)pgd_mem_fail_after(0);
    while (pgd_map64_put(m, n, n) == PGD_OK)
        n++;
    assert_true(pgd_mem_fail_after(-1));
    assert_int_equal(pgd_map64_count(m), n);
    assert_false(pgd_map64_get(m, n, &v));
    for (uint64_t i = 0; i < n; i++)
        assert_true(pgd_map64_get(m, i, &v) && v == i);
    assert_int_equal(pgd_map64_put(m, n, n), PGD_OK);
    pgd_map64_destroy(&m);
    for (int64_t k = 0; k < 2; k++) {
        pgd_strmap *s = NULL;
        (void)pgd_mem_fail_after(k);
        assert_int_equal(pgd_map64_create(&m, 0), PGD_E_NOMEM);
        (void)pgd_mem_fail_after(k);
        assert_int_equal(pgd_strmap_create(&s, 0), PGD_E_NOMEM);
    }
    (void)pgd_mem_fail_after(-1);
}

static void string_keys_are_compared_by_their_bytes(void **state) {
    (void)state;
    static char names[KEYS][12];
    pgd_strmap *m = NULL;
    uint64_t v = 0;
    assert_int_equal(pgd_strmap_create(&m, 0), PGD_OK);
    for (size_t i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "token%zu", i);
        assert_int_equal(pgd_strmap_put(m, pgd_sv_c(names[i]), i), PGD_OK);
    }
    assert_int_equal(pgd_strmap_put(m, (pgd_sv){"a\0b", 3}, 1), PGD_OK);
    assert_int_equal(pgd_strmap_put(m, (pgd_sv){"a\0c", 3}, 2), PGD_OK);
    assert_int_equal(pgd_strmap_put(m, (pgd_sv){0}, 3), PGD_OK);
    assert_int_equal(pgd_strmap_put(m, PGD_SV("token5"), 99), PGD_OK);
    assert_int_equal(pgd_strmap_count(m), KEYS + 3);
    for (size_t i = 0; i < KEYS; i++) {
        char copy[12];
        memcpy(copy, names[i], sizeof copy);
        assert_true(pgd_strmap_get(m, pgd_sv_c(copy), &v));
        assert_int_equal(v, i == 5 ? 99 : i);
    }
    assert_true(pgd_strmap_get(m, (pgd_sv){"a\0c", 3}, &v));
    assert_int_equal(v, 2);
    assert_true(pgd_strmap_get(m, PGD_SV(""), &v));
    assert_int_equal(v, 3);
    assert_false(pgd_strmap_get(m, PGD_SV("token"), &v));
    pgd_strmap_destroy(&m);
    pgd_strmap_destroy(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_an_array),
        cmocka_unit_test(extreme_keys_are_keys_like_others),
        cmocka_unit_test(a_hint_is_room_enough),
        cmocka_unit_test(a_failed_growth_leaves_the_map_whole),
        cmocka_unit_test(string_keys_are_compared_by_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
