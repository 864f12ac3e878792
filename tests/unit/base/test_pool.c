/* Tests of pool.c. Threads only count; asserts stay on the test's own thread. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "pagoda/mem.h"
#include "pagoda/pool.h"

enum { MAX_N = 1000, MAX_T = 7 };

typedef struct record {
    uint32_t owner[MAX_N]; /* plain: ranges must be disjoint, and TSan would see if not */
    uint32_t seen[MAX_N];
    uint64_t grain, n;
    _Atomic uint32_t wrong;
    _Atomic uint32_t calls[MAX_T];
} record;

static void note(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    record *r = arg;
    if (begin >= end || end > r->n || begin % r->grain != 0 ||
        (end % r->grain != 0 && end != r->n) || thread >= MAX_T) {
        atomic_fetch_add(&r->wrong, 1);
        return;
    }
    atomic_fetch_add(&r->calls[thread], 1);
    for (uint64_t i = begin; i < end; i++) {
        r->owner[i] = thread;
        r->seen[i]++;
    }
}

static void ranges_cover_each_index_once_in_whole_grains(void **state) {
    (void)state;
    static const uint64_t grains[] = {1, 3, 16, 64, 999, 1000, 5000};
    static record r;
    for (uint32_t threads = 1; threads <= MAX_T; threads += 3) {
        pgd_pool *p = NULL;
        assert_int_equal(pgd_pool_create(&p, threads), PGD_OK);
        assert_int_equal(pgd_pool_threads(p), threads);
        for (uint64_t n = 0; n <= MAX_N; n += n < 40 ? 1 : 96) {
            for (size_t g = 0; g < sizeof grains / sizeof grains[0]; g++) {
                memset(&r, 0, sizeof r);
                r.n = n;
                r.grain = grains[g];
                pgd_pool_for(p, n, grains[g], note, &r);
                assert_int_equal(r.wrong, 0);
                for (uint64_t i = 0; i < n; i++)
                    assert_int_equal(r.seen[i], 1);
                for (uint32_t t = 0; t < MAX_T; t++)
                    assert_in_range(r.calls[t], 0, 1);
            }
        }
        pgd_pool_destroy(&p);
        assert_null(p);
    }
}

static void the_split_depends_only_on_the_arguments(void **state) {
    (void)state;
    static record a;
    static record b;
    pgd_pool *p = NULL;
    assert_int_equal(pgd_pool_create(&p, 5), PGD_OK);
    a.n = b.n = 977;
    a.grain = b.grain = 4;
    pgd_pool_for(p, a.n, a.grain, note, &a);
    for (int i = 0; i < 50; i++) {
        pgd_pool_for(p, b.n, b.grain, note, &b);
        assert_memory_equal(a.owner, b.owner, sizeof a.owner);
    }
    /* 245 chunks over 5 threads: 49 each */
    for (uint64_t i = 0; i < a.n; i++)
        assert_int_equal(a.owner[i], i / (49 * 4));
    pgd_pool_destroy(&p);
}

static void add_range(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    uint64_t *sums = arg;
    for (uint64_t i = begin; i < end; i++)
        sums[thread * 8] += i;
}

/* Thousands of short rounds, with pauses that send the workers to sleep between some of them. */
static void results_of_a_round_are_visible_when_it_returns(void **state) {
    (void)state;
    pgd_pool *p = NULL;
    assert_int_equal(pgd_pool_create(&p, 4), PGD_OK);
    uint64_t wrong = 0;
    for (uint64_t round = 0; round < 3000; round++) {
        uint64_t sums[4 * 8] = {0};
        const uint64_t n = 64 + round % 64;
        pgd_pool_for(p, n, 1, add_range, sums);
        if (sums[0] + sums[8] + sums[16] + sums[24] != n * (n - 1) / 2) wrong++;
        if (round % 300 == 0) (void)usleep(1000);
    }
    assert_int_equal(wrong, 0);
    pgd_pool_destroy(&p);
}

static void without_a_pool_the_work_runs_inline(void **state) {
    (void)state;
    static record r;
    memset(&r, 0, sizeof r);
    r.n = 10;
    r.grain = 3;
    pgd_pool_for(NULL, 10, 3, note, &r);
    for (int i = 0; i < 10; i++)
        assert_int_equal(r.seen[i], 1);
    assert_int_equal(pgd_pool_threads(NULL), 1);
    pgd_pool *p = NULL;
    pgd_pool_destroy(&p);
}

static void count_range(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    _Atomic uint64_t *total = arg;
    (void)thread;
    atomic_fetch_add(total, end - begin);
}

static void a_huge_range_does_not_overflow(void **state) {
    (void)state;
    pgd_pool *p = NULL;
    assert_int_equal(pgd_pool_create(&p, 3), PGD_OK);
    _Atomic uint64_t *total = pgd_calloc(1, sizeof *total);
    pgd_pool_for(p, UINT64_MAX, (uint64_t)1 << 62, count_range, total);
    assert_true(*total == UINT64_MAX);
    pgd_free(total);
    pgd_pool_destroy(&p);
}

static void creation_fails_cleanly(void **state) {
    (void)state;
    pgd_pool *p = NULL;
    assert_int_equal(pgd_pool_create(&p, 1000000), PGD_E_LIMIT);
    for (int64_t n = 0; n < 2; n++) {
        (void)pgd_mem_fail_after(n);
        assert_int_equal(pgd_pool_create(&p, 2), PGD_E_NOMEM);
    }
    (void)pgd_mem_fail_after(-1);
    assert_null(p);
    assert_int_equal(pgd_pool_create(&p, 0), PGD_OK); /* as many as there are cores */
    assert_true(pgd_pool_threads(p) >= 1);
    pgd_pool_destroy(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_cover_each_index_once_in_whole_grains),
        cmocka_unit_test(the_split_depends_only_on_the_arguments),
        cmocka_unit_test(results_of_a_round_are_visible_when_it_returns),
        cmocka_unit_test(without_a_pool_the_work_runs_inline),
        cmocka_unit_test(a_huge_range_does_not_overflow),
        cmocka_unit_test(creation_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
