/* Tests of worker.c. Threads only count; asserts stay on the test's own thread. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "pagoda/mem.h"
#include "pagoda/pool.h"

enum { JOBS = 5000, SUBMITTERS = 3 };

typedef struct job {
    pgd_job base; /* first, so that a pgd_job is a job */
    _Atomic uint32_t *done;
    uint32_t ran;
    pthread_t thread;
    _Atomic uint32_t *wrong;
} job;

static void run(pgd_job *j) {
    job *me = (job *)(void *)j;
    me->ran++;
    me->thread = pthread_self();
}

static void done(pgd_job *j) {
    job *me = (job *)(void *)j;
    if (me->ran != 1 || !pthread_equal(me->thread, pthread_self())) atomic_fetch_add(me->wrong, 1);
    atomic_fetch_add(me->done, 1);
}

static job jobs[SUBMITTERS][JOBS];
static _Atomic uint32_t n_done;
static _Atomic uint32_t n_wrong;
static pgd_workers *workers;

static void *submit_all(void *arg) {
    job *mine = arg;
    for (int i = 0; i < JOBS; i++) {
        mine[i] = (job){.base = {.run = run, .done = done}, .done = &n_done, .wrong = &n_wrong};
        pgd_workers_submit(workers, &mine[i].base);
    }
    return NULL;
}

static void every_job_runs_once_and_is_handed_back_on_its_thread(void **state) {
    (void)state;
    pthread_t t[SUBMITTERS];
    assert_int_equal(pgd_workers_create(&workers, 3, "prep"), PGD_OK);
    for (int i = 0; i < SUBMITTERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, submit_all, jobs[i]), 0);
    for (int i = 0; i < SUBMITTERS; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    pgd_workers_destroy(&workers); /* runs what is left */
    assert_null(workers);
    assert_int_equal(n_done, SUBMITTERS * JOBS);
    assert_int_equal(n_wrong, 0);
}

typedef struct ordered {
    pgd_job base;
    int *next;
    int *slot;
} ordered;

static void take_number(pgd_job *j) {
    ordered *me = (ordered *)(void *)j;
    *me->slot = (*me->next)++;
}

static void nothing(pgd_job *j) {
    (void)j;
}

static void one_worker_keeps_the_order_of_submission(void **state) {
    (void)state;
    enum { N = 100 };
    ordered list[N];
    int slots[N];
    int next = 0;
    assert_int_equal(pgd_workers_create(&workers, 1, "a name much too long"), PGD_OK);
    for (int i = 0; i < N; i++) {
        list[i] = (ordered){
            .base = {.run = take_number, .done = nothing}, .next = &next, .slot = &slots[i]};
        pgd_workers_submit(workers, &list[i].base);
    }
    pgd_workers_destroy(&workers);
    for (int i = 0; i < N; i++)
        assert_int_equal(slots[i], i);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void pass_gate(pgd_job *j) {
    (void)j;
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
}

static void the_queue_length_counts_jobs_not_yet_started(void **state) {
    (void)state;
    pgd_job list[3];
    assert_int_equal(pgd_workers_create(&workers, 1, "gate"), PGD_OK);
    assert_int_equal(pgd_workers_queued(workers), 0);
    (void)pthread_mutex_lock(&gate);
    for (int i = 0; i < 3; i++) {
        list[i] = (pgd_job){.run = pass_gate, .done = nothing};
        pgd_workers_submit(workers, &list[i]);
    }
    while (pgd_workers_queued(workers) != 2)
        (void)usleep(100);
    (void)pthread_mutex_unlock(&gate);
    pgd_workers_destroy(&workers);
}

static void creation_fails_cleanly(void **state) {
    (void)state;
    pgd_workers *w = NULL;
    assert_int_equal(pgd_workers_create(&w, 0, "a"), PGD_E_LIMIT);
    assert_int_equal(pgd_workers_create(&w, 100000, "a"), PGD_E_LIMIT);
    (void)pgd_mem_fail_after(0);
    assert_int_equal(pgd_workers_create(&w, 1, "a"), PGD_E_NOMEM);
    (void)pgd_mem_fail_after(-1);
    assert_null(w);
    pgd_workers_destroy(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_once_and_is_handed_back_on_its_thread),
        cmocka_unit_test(one_worker_keeps_the_order_of_submission),
        cmocka_unit_test(the_queue_length_counts_jobs_not_yet_started),
        cmocka_unit_test(creation_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
