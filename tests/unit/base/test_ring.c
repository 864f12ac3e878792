/* Tests of ring.c. Threads only count; asserts stay on the test's own thread. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "pagoda/mem.h"
#include "pagoda/queue.h"

static void capacity_must_be_a_power_of_two(void **state) {
    (void)state;
    pgd_ring *r = NULL;
    assert_int_equal(pgd_ring_create(&r, 0), PGD_E_INVALID);
    assert_int_equal(pgd_ring_create(&r, 3), PGD_E_INVALID);
    for (int64_t n = 0; n < 2; n++) {
        (void)pgd_mem_fail_after(n);
        assert_int_equal(pgd_ring_create(&r, 4), PGD_E_NOMEM);
    }
    (void)pgd_mem_fail_after(-1);
    assert_null(r);
    pgd_ring_destroy(&r);
}

static void it_holds_its_capacity_in_order(void **state) {
    (void)state;
    for (uint32_t cap = 1; cap <= 8; cap *= 2) {
        pgd_ring *r = NULL;
        uint64_t v = 0;
        assert_int_equal(pgd_ring_create(&r, cap), PGD_OK);
        assert_false(pgd_ring_pop(r, &v));
        for (uint64_t turn = 0; turn < 20; turn++) {
            for (uint64_t i = 0; i < cap; i++)
                assert_true(pgd_ring_push(r, turn * 100 + i));
            assert_false(pgd_ring_push(r, 999));
            for (uint64_t i = 0; i < cap; i++) {
                assert_true(pgd_ring_pop(r, &v));
                assert_int_equal(v, turn * 100 + i);
            }
            assert_false(pgd_ring_pop(r, &v));
        }
        pgd_ring_destroy(&r);
        assert_null(r);
    }
}

static void waiting_ends_with_an_item_or_at_the_timeout(void **state) {
    (void)state;
    pgd_ring *r = NULL;
    uint64_t v = 0;
    assert_int_equal(pgd_ring_create(&r, 2), PGD_OK);
    assert_false(pgd_ring_wait(r, &v, 0));
    assert_false(pgd_ring_wait(r, &v, 2000000)); /* past the spin, through the futex */
    assert_true(pgd_ring_push(r, 5));
    assert_true(pgd_ring_wait(r, &v, 0));
    assert_int_equal(v, 5);
    pgd_ring_destroy(&r);
}

enum { ITEMS = 20000 };

static void *produce(void *arg) {
    pgd_ring *r = arg;
    for (uint64_t i = 1; i <= ITEMS; i++) {
        while (!pgd_ring_push(r, i))
            (void)sched_yield();
        if (i % 2000 == 0) (void)usleep(200); /* long enough for the consumer to fall asleep */
    }
    return NULL;
}

static void every_item_crosses_threads_once_and_in_order(void **state) {
    (void)state;
    for (uint32_t cap = 1; cap <= 256; cap *= 16) {
        pgd_ring *r = NULL;
        pthread_t t;
        assert_int_equal(pgd_ring_create(&r, cap), PGD_OK);
        assert_int_equal(pthread_create(&t, NULL, produce, r), 0);
        uint64_t wrong = 0;
        for (uint64_t i = 1; i <= ITEMS; i++) {
            uint64_t v = 0;
            if (!pgd_ring_wait(r, &v, UINT64_MAX) || v != i) wrong++;
        }
        assert_int_equal(pthread_join(t, NULL), 0);
        assert_int_equal(wrong, 0);
        pgd_ring_destroy(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_must_be_a_power_of_two),
        cmocka_unit_test(it_holds_its_capacity_in_order),
        cmocka_unit_test(waiting_ends_with_an_item_or_at_the_timeout),
        cmocka_unit_test(every_item_crosses_threads_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
