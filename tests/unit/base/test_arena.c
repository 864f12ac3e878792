/* Tests of arena.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "pagoda/arena.h"
#include "pagoda/mem.h"

static void blocks_are_aligned_disjoint_and_keep_their_bytes(void **state) {
    (void)state;
    enum { N = 2000 };
    static unsigned char *blocks[N];
    pgd_arena *a = NULL;
    assert_int_equal(pgd_arena_create(&a, 0), PGD_OK);
    for (size_t i = 0; i < N; i++) {
        const size_t n = i * 7 % 901;
        blocks[i] = pgd_arena_alloc(a, n);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)(i & 0xFF), n);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i * 7 % 901; k++)
            assert_int_equal(blocks[i][k], i & 0xFF);
    pgd_arena_destroy(&a);
    assert_null(a);
    pgd_arena_destroy(&a);
}

static void the_limit_counts_what_was_handed_out(void **state) {
    (void)state;
    pgd_arena *a = NULL;
    assert_int_equal(pgd_arena_create(&a, 64), PGD_OK);
    assert_non_null(pgd_arena_alloc(a, 17)); /* 32 with padding */
    assert_int_equal(pgd_arena_used(a), 32);
    assert_null(pgd_arena_alloc(a, 33));
    assert_non_null(pgd_arena_alloc(a, 32));
    assert_null(pgd_arena_alloc(a, 0));
    assert_int_equal(pgd_arena_cleanup(a, pgd_free, NULL), PGD_E_NOMEM);
    pgd_arena_reset(a);
    assert_int_equal(pgd_arena_used(a), 0);
    assert_non_null(pgd_arena_alloc(a, 64));
    pgd_arena_destroy(&a);
}

static void impossible_sizes_are_refused(void **state) {
    (void)state;
    pgd_arena *a = NULL;
    assert_int_equal(pgd_arena_create(&a, 0), PGD_OK);
    assert_null(pgd_arena_alloc(a, SIZE_MAX));
    assert_null(pgd_arena_alloc(a, SIZE_MAX - 16));
    assert_null(pgd_arena_array(a, SIZE_MAX / 2, 3));
    assert_null(pgd_arena_strndup(a, "", SIZE_MAX));
    assert_int_equal(pgd_arena_used(a), 0);
    pgd_arena_destroy(&a);
}

static void arrays_and_strings_arrive_initialised(void **state) {
    (void)state;
    pgd_arena *a = NULL;
    assert_int_equal(pgd_arena_create(&a, 0), PGD_OK);
    memset(pgd_arena_alloc(a, 4096), 0xFF, 4096);
    pgd_arena_reset(a); /* the chunk is reused, with old bytes in it */
    const unsigned char *z = pgd_arena_array(a, 30, 3);
    for (size_t i = 0; i < 90; i++)
        assert_int_equal(z[i], 0);
    assert_string_equal(pgd_arena_strndup(a, "pagoda", 3), "pag");
    assert_string_equal(pgd_arena_strndup(a, NULL, 0), "");
    pgd_arena_destroy(&a);
}

static char trace[8];
static void mark(void *arg) {
    const size_t n = strlen(trace);
    trace[n] = *(const char *)arg;
    trace[n + 1] = '\0';
}

static void cleanups_run_once_in_reverse_at_reset_and_destroy(void **state) {
    (void)state;
    static char names[] = "abc";
    pgd_arena *a = NULL;
    trace[0] = '\0';
    assert_int_equal(pgd_arena_create(&a, 0), PGD_OK);
    assert_int_equal(pgd_arena_cleanup(a, mark, &names[0]), PGD_OK);
    assert_non_null(pgd_arena_alloc(a, 100000));
    assert_int_equal(pgd_arena_cleanup(a, mark, &names[1]), PGD_OK);
    pgd_arena_reset(a);
    assert_string_equal(trace, "ba");
    assert_int_equal(pgd_arena_cleanup(a, mark, &names[2]), PGD_OK);
    pgd_arena_destroy(&a);
    assert_string_equal(trace, "bac");
}

static void a_failed_allocation_leaves_the_arena_usable(void **state) {
    (void)state;
    pgd_arena *a = NULL;
    (void)pgd_mem_fail_after(0);
    assert_int_equal(pgd_arena_create(&a, 0), PGD_E_NOMEM);
    assert_int_equal(pgd_arena_create(&a, 0), PGD_OK);
    (void)pgd_mem_fail_after(0);
    assert_null(pgd_arena_alloc(a, 10));
    assert_true(pgd_mem_fail_after(-1));
    assert_int_equal(pgd_arena_used(a), 0);
    assert_non_null(pgd_arena_alloc(a, 10));
    pgd_arena_destroy(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_disjoint_and_keep_their_bytes),
        cmocka_unit_test(the_limit_counts_what_was_handed_out),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(arrays_and_strings_arrive_initialised),
        cmocka_unit_test(cleanups_run_once_in_reverse_at_reset_and_destroy),
        cmocka_unit_test(a_failed_allocation_leaves_the_arena_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
