/* Tests of mpsc.c. Threads only count; asserts stay on the test's own thread. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "pagoda/mem.h"
#include "pagoda/queue.h"

enum { PRODUCERS = 4, EACH = 20000 };

typedef struct item {
    pgd_link link; /* first, so that a link is an item */
    uint32_t producer, serial;
} item;

static item items[PRODUCERS][EACH];

static void the_mailbox_keeps_push_order(void **state) {
    (void)state;
    pgd_mailbox *m = NULL;
    item a = {0};
    item b = {0};
    assert_int_equal(pgd_mailbox_create(&m), PGD_OK);
    assert_null(pgd_mailbox_take_all(m));
    pgd_mailbox_push(m, &a.link);
    pgd_mailbox_push(m, &b.link);
    pgd_link *l = pgd_mailbox_take_all(m);
    assert_ptr_equal(l, &a.link);
    assert_ptr_equal(l->next, &b.link);
    assert_null(l->next->next);
    assert_null(pgd_mailbox_take_all(m));
    pgd_mailbox_destroy(&m);
    assert_null(m);
    pgd_mailbox_destroy(&m);
    (void)pgd_mem_fail_after(0);
    assert_int_equal(pgd_mailbox_create(&m), PGD_E_NOMEM);
    (void)pgd_mem_fail_after(-1);
}

/* None of these calls may hang: the test would run into ctest's own limit. */
static void waiting_returns_on_items_wake_and_timeout(void **state) {
    (void)state;
    pgd_mailbox *m = NULL;
    item a = {0};
    assert_int_equal(pgd_mailbox_create(&m), PGD_OK);
    pgd_mailbox_wait(m, 0);
    pgd_mailbox_wait(m, 1000000);
    pgd_mailbox_wake(m);
    pgd_mailbox_wait(m, UINT64_MAX);
    pgd_mailbox_push(m, &a.link);
    pgd_mailbox_wait(m, UINT64_MAX);
    pgd_mailbox_wait(m, UINT64_MAX); /* not taken yet: still a reason not to sleep */
    assert_ptr_equal(pgd_mailbox_take_all(m), &a.link);
    pgd_mailbox_destroy(&m);
}

typedef struct producer {
    pgd_mailbox *mailbox;
    pgd_stack *stack;
    uint32_t index;
} producer;

static void *push_all(void *arg) {
    const producer *p = arg;
    for (uint32_t i = 0; i < EACH; i++) {
        item *it = &items[p->index][i];
        it->producer = p->index;
        it->serial = i;
        if (p->mailbox)
            pgd_mailbox_push(p->mailbox, &it->link);
        else
            pgd_stack_push(p->stack, &it->link);
        if (i % 5000 == 0) (void)usleep(100);
    }
    return NULL;
}

static void start_producers(pthread_t *t, producer *p, pgd_mailbox *m, pgd_stack *s) {
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        p[i] = (producer){.mailbox = m, .stack = s, .index = i};
        assert_int_equal(pthread_create(&t[i], NULL, push_all, &p[i]), 0);
    }
}

static void the_mailbox_loses_nothing_and_keeps_each_producers_order(void **state) {
    (void)state;
    pgd_mailbox *m = NULL;
    pthread_t t[PRODUCERS];
    producer p[PRODUCERS];
    uint32_t next[PRODUCERS] = {0};
    uint32_t wrong = 0;
    assert_int_equal(pgd_mailbox_create(&m), PGD_OK);
    start_producers(t, p, m, NULL);
    for (uint32_t n = 0; n < PRODUCERS * EACH;) {
        pgd_mailbox_wait(m, UINT64_MAX);
        for (pgd_link *l = pgd_mailbox_take_all(m); l; l = l->next, n++) {
            const item *it = (const item *)(const void *)l;
            if (it->serial != next[it->producer]++) wrong++;
        }
    }
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(wrong, 0);
    pgd_mailbox_destroy(&m);
}

static void the_stack_gives_newest_first_and_empties(void **state) {
    (void)state;
    pgd_stack s = {NULL};
    item a = {0};
    item b = {0};
    assert_null(pgd_stack_take_all(&s));
    pgd_stack_push(&s, &a.link);
    pgd_stack_push(&s, &b.link);
    pgd_link *l = pgd_stack_take_all(&s);
    assert_ptr_equal(l, &b.link);
    assert_ptr_equal(l->next, &a.link);
    assert_null(l->next->next);
    assert_null(pgd_stack_take_all(&s));
}

static void the_stack_loses_nothing_between_threads(void **state) {
    (void)state;
    pgd_stack s = {NULL};
    pthread_t t[PRODUCERS];
    producer p[PRODUCERS];
    uint64_t sum = 0;
    uint32_t n = 0;
    start_producers(t, p, NULL, &s);
    while (n < PRODUCERS * EACH) {
        for (pgd_link *l = pgd_stack_take_all(&s); l; l = l->next, n++)
            sum += ((const item *)(const void *)l)->serial;
    }
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_null(pgd_stack_take_all(&s));
    assert_int_equal(sum, (uint64_t)PRODUCERS * EACH * (EACH - 1) / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mailbox_keeps_push_order),
        cmocka_unit_test(waiting_returns_on_items_wake_and_timeout),
        cmocka_unit_test(the_mailbox_loses_nothing_and_keeps_each_producers_order),
        cmocka_unit_test(the_stack_gives_newest_first_and_empties),
        cmocka_unit_test(the_stack_loses_nothing_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
