/* Tests of mem.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pagoda/mem.h"

static void size_arithmetic_refuses_overflow_and_leaves_the_result(void **state) {
    (void)state;
    size_t v = 7;
    assert_true(pgd_mul_size(3, 5, &v));
    assert_int_equal(v, 15);
    assert_true(pgd_mul_size(SIZE_MAX, 1, &v));
    assert_true(v == SIZE_MAX);
    v = 7;
    assert_false(pgd_mul_size(SIZE_MAX / 2 + 1, 2, &v));
    assert_false(pgd_add_size(SIZE_MAX, 1, &v));
    assert_int_equal(v, 7);
    assert_true(pgd_add_size(SIZE_MAX - 1, 1, &v));
    assert_true(v == SIZE_MAX);
}

static void a_size_of_nothing_gives_unique_pointers(void **state) {
    (void)state;
    void *a = pgd_malloc(0);
    void *b = pgd_calloc(0, 8);
    void *c = pgd_realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(b, c);
    c = pgd_realloc(c, 0); /* not a free */
    assert_non_null(c);
    pgd_free(a);
    pgd_free(b);
    pgd_free(c);
}

static void strndup_copies_and_terminates(void **state) {
    (void)state;
    char *s = pgd_strndup("abcdef", 3);
    assert_string_equal(s, "abc");
    pgd_free(s);
    s = pgd_strndup(NULL, 0);
    assert_string_equal(s, "");
    pgd_free(s);
    assert_null(pgd_strndup("", SIZE_MAX));
}

static void aligned_memory_is_aligned_zeroed_and_writable_to_the_end(void **state) {
    (void)state;
    static const size_t sizes[] = {0,      1, 63, 4096, 4097, (2 << 20) - 1, 2 << 20, (2 << 20) + 1,
                                   9 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t align = 16; align <= (4u << 20); align *= 64) {
            unsigned char *p = pgd_aligned_alloc(sizes[i], align);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % align, 0);
            for (size_t k = 0; k < sizes[i]; k += 509)
                assert_int_equal(p[k], 0);
            if (sizes[i]) {
                assert_int_equal(p[sizes[i] - 1], 0);
                p[0] = 1;
                p[sizes[i] - 1] = 1;
            }
            pgd_aligned_free(p, sizes[i]);
        }
    }
    pgd_aligned_free(NULL, 5);
    assert_null(pgd_aligned_alloc(SIZE_MAX, 64));
    assert_null(pgd_aligned_alloc(SIZE_MAX - 5000, 64));
}

static void the_armed_allocation_fails_once(void **state) {
    (void)state;
    assert_false(pgd_mem_fail_after(1));
    void *a = pgd_malloc(8);
    void *b = pgd_malloc(8);
    void *c = pgd_malloc(8);
    assert_true(pgd_mem_fail_after(-1));
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    pgd_free(a);
    pgd_free(c);
    (void)pgd_mem_fail_after(5);
    assert_false(pgd_mem_fail_after(-1)); /* disarmed before it fired */
}

static void every_kind_of_allocation_can_be_made_to_fail(void **state) {
    (void)state;
    (void)pgd_mem_fail_after(0);
    assert_null(pgd_malloc(1));
    (void)pgd_mem_fail_after(0);
    assert_null(pgd_calloc(1, 1));
    (void)pgd_mem_fail_after(0);
    assert_null(pgd_realloc(NULL, 1));
    (void)pgd_mem_fail_after(0);
    assert_null(pgd_aligned_alloc(1, 16));
    (void)pgd_mem_fail_after(0);
    assert_null(pgd_strndup("a", 1));
    assert_true(pgd_mem_fail_after(-1));
}

/* Run fn in a child; whether it ended by abort. */
static int aborts(void (*fn)(void)) {
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void allocate_in_guard(void) {
    pgd_noalloc_begin();
    pgd_noalloc_begin();
    pgd_noalloc_end();
    pgd_free(pgd_malloc(1)); /* the outer guard still holds */
}

static void allocate_after_guard(void) {
    pgd_noalloc_begin();
    pgd_noalloc_begin();
    pgd_noalloc_end();
    pgd_noalloc_end();
    pgd_free(pgd_malloc(1));
}

static void the_guard_aborts_an_allocation_in_checked_builds_only(void **state) {
    (void)state;
#ifdef PGD_CHECKED
    assert_true(aborts(allocate_in_guard));
#else
    assert_false(aborts(allocate_in_guard));
#endif
    assert_false(aborts(allocate_after_guard));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_arithmetic_refuses_overflow_and_leaves_the_result),
        cmocka_unit_test(a_size_of_nothing_gives_unique_pointers),
        cmocka_unit_test(strndup_copies_and_terminates),
        cmocka_unit_test(aligned_memory_is_aligned_zeroed_and_writable_to_the_end),
        cmocka_unit_test(the_armed_allocation_fails_once),
        cmocka_unit_test(every_kind_of_allocation_can_be_made_to_fail),
        cmocka_unit_test(the_guard_aborts_an_allocation_in_checked_builds_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
